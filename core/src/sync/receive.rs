//! The taking of frames, each as it comes from its lane.
//!
//! It does not: put them in order (`inbox`) or say what follows from them (`hello`, `commits`, `marks`, `talk`).
//!
//! Invariants: what a peer may make this end keep is bounded before it is kept; a frame without a place ends the
//! session.

use super::session::Session;
use super::terms::{Env, Event, Role, SessionError};
use crate::engine::meta;
use crate::limits::{BEFORE_HELLO_BYTES_MAX, EARLY_ACKS_MAX, FRAME_ENTRIES_MAX, WAITING_BYTES_MAX};
use crate::store::Batch;
use crate::wire::frame::{Frame, Mark, RefuseCode, SameMark, ShortMark};

impl Session {
    /// Takes one frame as it came from a lane.
    ///
    /// # Errors
    /// [`SessionError`]; the session is over. For an error of the peer, [`Session::refusal`] is what
    /// to tell it.
    pub fn receive(&mut self, env: &mut Env<'_>, lane: u8, bytes: &[u8]) -> Result<(), SessionError> {
        self.stats.frame_bytes_received += bytes.len() as u64;
        let frame = Frame::decode(bytes)?;
        if matches!(frame, Frame::Frontier(_) | Frame::Nodes(_) | Frame::ShortNodes(_) | Frame::Inventory { .. }) {
            self.unanswered += bytes.len();
            if self.unanswered > WAITING_BYTES_MAX {
                return Err(SessionError::PeerFlood);
            }
        }
        if !self.inbox.put(lane, bytes.len(), frame) {
            return Err(SessionError::PeerFlood);
        }
        let so_far = self.stats.frame_bytes_received;
        if self.role == Role::Upper && !self.open && so_far > BEFORE_HELLO_BYTES_MAX as u64 {
            return Err(SessionError::PeerFlood);
        }
        while let Some(frame) = self.inbox.take(self.open) {
            if self.closing {
                break;
            }
            self.take(env, frame)?;
        }
        Ok(())
    }

    /// What a peer that broke the protocol is told before the link is closed.
    #[must_use]
    pub fn refusal(error: &SessionError) -> Option<Vec<u8>> {
        match error {
            SessionError::Local(_) => None,
            SessionError::PeerWire(_)
            | SessionError::PeerOrder(_)
            | SessionError::PeerIdentity { .. }
            | SessionError::PeerFlood
            | SessionError::Peer(_)
            | SessionError::PeerRegister(_) => {
                Some(Frame::Refuse(RefuseCode::Protocol, error.to_string(), None).encode())
            }
        }
    }

    pub(super) fn take(&mut self, env: &mut Env<'_>, frame: Frame) -> Result<(), SessionError> {
        if !self.open && !frame.opens() {
            // What came with a greeting that was taken in vain comes again after the hello.
            let in_vain = self.role == Role::Upper && self.greeted;
            return if in_vain { Ok(()) } else { Err(SessionError::PeerOrder(frame.name())) };
        }
        if self.deposit.is_some() && !matches!(frame, Frame::Refuse(..)) {
            return self.take_in_deposit(env, frame);
        }
        match frame {
            Frame::Hello(h) => self.take_hello(env, *h)?,
            Frame::Greeting(greeting) => self.take_greeting(env, &greeting)?,
            Frame::Greeted(greeted) => self.take_greeted(env, &greeted)?,
            Frame::Welcome(welcome) => self.take_welcome(env, &welcome)?,
            Frame::SayHello => self.take_say_hello(env)?,
            Frame::Refuse(code, text, retry_after) => {
                self.closing = true;
                // A relay that was restored from before this device joined, or has not heard of its unit yet,
                // does not know it: the next hello shows the chain again.
                // A relay that was replaced by an older one may not read what it was sent unasked.
                if code == RefuseCode::Protocol && self.role == Role::Lower {
                    let mut batch = Batch::at(env.now);
                    batch.meta.insert(meta::peer_protocol(&self.peer), None);
                    batch.meta.insert(meta::met(&self.peer), None);
                    env.store.write(&batch)?;
                }
                let unknown = matches!(code, RefuseCode::NoGrant | RefuseCode::Busy) && retry_after.is_none();
                if unknown && self.role == Role::Lower {
                    let mut batch = Batch::at(env.now);
                    batch.meta.insert(meta::ADMITTED.into(), None);
                    env.store.write(&batch)?;
                }
                self.note_refused_ticket(env, code)?;
                self.events.push_back(Event::Refused { code, text, by_peer: true, retry_after });
            }
            Frame::Redirect(relays) => {
                self.closing = true;
                self.events.push_back(Event::Redirect(relays));
            }
            Frame::Frontier(spaces) => {
                for s in spaces {
                    self.note_frontier(env.engine, &s);
                }
            }
            Frame::Nodes(nodes) => self.peer_nodes.extend(nodes),
            Frame::ShortNodes(nodes) => self.peer_short_nodes.extend(nodes),
            Frame::ShortAcks(said) => self.take_short_acks(env, &said)?,
            Frame::AcksLost => self.say_acks_whole(env)?,
            Frame::FileOffer(_)
            | Frame::FileWant(_)
            | Frame::FileHashes { .. }
            | Frame::FileChunk { .. }
            | Frame::FileAnswer(_) => self.take_file(env, frame)?,
            Frame::Announce(a) => {
                self.progress.announce(&a);
                self.events.push_back(Event::Announced(a));
            }
            Frame::Commits { after: _, groups } => {
                // Each costs a signature check: one frame is one unit of work for everybody who waits.
                let commits = groups.iter().map(|g| g.headers.len()).sum::<usize>();
                self.stats.commits_shown += commits as u64;
                if commits > FRAME_ENTRIES_MAX as usize {
                    return Err(SessionError::PeerFlood);
                }
                self.take_commits(env, &groups)?;
            }
            Frame::Inventory { log, commits } => {
                if self.may_bring(env.engine.charter(), &log.space) {
                    self.peer_inventories.push((log, commits.into_iter().collect()));
                }
            }
            Frame::Registers(registers) => self.take_registers(env, registers)?,
            Frame::RegistersCursor(cursor) => self.take_registers_cursor(env, cursor)?,
            Frame::Acks(sets) => {
                if self.role != Role::Lower {
                    return Err(SessionError::PeerOrder("Acks"));
                }
                // Their lane may be faster than the charter's: what has no meaning yet is taken when it has.
                let early = sets.iter().filter(|s| !env.engine.knows_relay_of(s)).cloned();
                let room = EARLY_ACKS_MAX.saturating_sub(self.early_acks.len());
                self.early_acks.extend(early.take(room));
                env.engine.take_acks(env.store, &sets, env.now)??;
                self.events.push_back(Event::Acknowledged);
            }
            Frame::Mark(Mark { number, frames, digests, answer, clock }) => {
                let holds = self.short(env.engine, &digests);
                self.take_mark(env, &ShortMark { number, frames, holds, answer, clock: Some(clock) })?;
            }
            Frame::ShortMark(mark) => self.take_mark(env, &mark)?,
            Frame::SameMark(SameMark { of, number, frames, answer, clock }) => {
                // What was said too long ago to be known is something else than what is held now.
                let holds = self.said_at.get(&of).copied().unwrap_or_default();
                self.heard = Some(of);
                self.take_mark(env, &ShortMark { number, frames, holds, answer, clock })?;
            }
            Frame::OwnAck(ack) => self.take_own_ack(env, &ack)?,
            Frame::Deposit(told) if self.role == Role::Lower && !self.open => self.take_told(env, &told)?,
            Frame::Deposit(_) => return Err(SessionError::PeerOrder("Deposit")),
            Frame::Plain { commits, groups } => self.send_whole(env, commits, &groups)?,
        }
        Ok(())
    }
}
