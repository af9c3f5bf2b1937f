//! One session: its state, its opening, and the taking of frames.
//!
//! It does not: decide what to say in a turn (`talk`), order frames (`inbox`, `outbox`) or judge at the
//! door (`door`).
//!
//! Invariants: an error that names the peer ends the session and nothing else; an error of our own
//! store ends it too, before anything is acknowledged.

use super::deposit::Deposit;
use super::door::{self, Door};
use super::inbox::Inbox;
use super::orphans::{Lacks, Orphans};
use super::outbox::Outbox;
use super::registers::Registers;
use super::terms::{Env, Event, Progress, Role, SessionError, Stats, Waiting};
use crate::canary::{self, Canary};
use crate::charter::Charter;
use crate::engine::{Engine, Intake, IntakeError, Reader, meta};
use crate::frontier::{ShortDigest, ShortId, SpaceTips};
use crate::id::{CommitId, DeviceId, Flow, LogId, SpaceId, UnitId};
use crate::limits::{
    BEFORE_HELLO_BYTES_MAX, BRIEF_KEPT_MAX, CLOCK_TOLD_EVERY_MS, EARLY_ACKS_MAX, FRAME_ENTRIES_MAX, GROUPS_AFTER_MAX,
    HELLO_LOGS_MAX, JOINED_UNHEARD_MAX, WAITING_BYTES_MAX, WAITING_COMMITS_MAX,
};
use crate::log::brief::Brief;
use crate::scope::{Shared, Side};
use crate::store::{Batch, CommitKey, StoreError};
use crate::time::Millis;
use crate::wire::frame::{
    AckSet, Frame, Group, Hello, Mark, PROTOCOL, PROTOCOL_COLUMNS, PROTOCOL_GREETS, PROTOCOL_MIN, RefuseCode,
    ScopeDigests, ShortMark, SpaceFrontier, Tree, TreeNode,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One session.
#[derive(Debug)]
pub struct Session {
    pub(super) role: Role,
    pub(super) peer: DeviceId,
    /// The newest protocol that both ends speak, as far as is known.
    pub(super) protocol: u16,
    /// Commits that the peer asked to be sent whole.
    plain: BTreeSet<CommitId>,
    /// Groups that were sent with brief headers, by number, and their commits.
    brief: BTreeMap<u64, Vec<CommitId>>,
    /// The number of the last of them.
    numbered: u64,
    /// When this end's clock was last told.
    pub(super) clock_told: Option<Millis>,
    /// Groups that the peer was asked to send whole.
    asked_whole: usize,
    pub(super) open: bool,
    closing: bool,
    pub(super) fallback: bool,
    /// A greeting opened the session, or was sent or taken in vain.
    pub(super) greeted: bool,
    /// The peer understands greetings.
    pub(super) peer_greets: bool,
    pub(super) shared: Shared,
    shared_version: usize,
    pub(super) blank: bool,
    /// Whether the child came with another charter: what this side cannot place may still be rightful.
    pub(super) charters_differ: bool,
    inbox: Inbox,
    pub(super) orphans: Orphans,
    pub(super) out: Outbox,
    pub(super) events: VecDeque<Event>,
    pub(super) stats: Stats,
    progress: Progress,
    /// Frontiers of the peer that are not settled yet.
    pub(super) peer_frontiers: BTreeMap<SpaceId, SpaceTips>,
    /// Bytes of frames that the peer's next mark will have answered.
    pub(super) unanswered: usize,
    pub(super) peer_nodes: Vec<TreeNode>,
    pub(super) peer_inventories: Vec<(LogId, BTreeSet<ShortId>)>,
    pub(super) frontier_sent: BTreeSet<SpaceId>,
    pub(super) nodes_sent: BTreeSet<(UnitId, Tree)>,
    pub(super) inventory_sent: BTreeSet<LogId>,
    pub(super) news_at: u64,
    pub(super) registers: Registers,
    pub(super) acks_sent: BTreeMap<(UnitId, UnitId), u64>,
    /// Units of which commits came that are not acknowledged yet.
    pub(super) touched: BTreeSet<UnitId>,
    /// Some of them by another way than this session: nobody's mark will ask for it.
    pub(super) acknowledge_due: bool,
    /// Acknowledgements by signers that the charter does not show as relays yet.
    early_acks: Vec<AckSet>,
    /// What the child showed at the door and could not be taken.
    shown: door::Shown,
    /// Whether every unit of the peer is to be looked at: once a session.
    pub(super) acknowledge_all: bool,
    pub(super) top_due: bool,
    /// Rounds of comparing anew since the two ends were equal or a commit moved.
    pub(super) repairs: u32,
    moved_at_repair: u64,
    pub(super) said: Option<ShortDigest>,
    /// What the peer said last.
    pub(super) peer_said: Option<ShortDigest>,
    pub(super) mark_due: Option<bool>,
    marks: u64,
    pub(super) awaiting: bool,
    verified: Option<Millis>,
    /// The device's rights have ended: all that remains is the handing in of what it wrote.
    pub(super) deposit: Option<Deposit>,
}

impl Session {
    fn new(role: Role, peer: DeviceId) -> Self {
        Self {
            role,
            peer,
            protocol: PROTOCOL_MIN,
            plain: BTreeSet::new(),
            brief: BTreeMap::new(),
            numbered: 0,
            clock_told: None,
            asked_whole: 0,
            open: false,
            closing: false,
            fallback: false,
            greeted: false,
            peer_greets: false,
            shared: Shared::default(),
            shared_version: 0,
            blank: false,
            charters_differ: false,
            inbox: Inbox::default(),
            orphans: Orphans::default(),
            out: Outbox::default(),
            events: VecDeque::new(),
            stats: Stats::default(),
            progress: Progress::default(),
            peer_frontiers: BTreeMap::new(),
            unanswered: 0,
            peer_nodes: Vec::new(),
            peer_inventories: Vec::new(),
            frontier_sent: BTreeSet::new(),
            nodes_sent: BTreeSet::new(),
            inventory_sent: BTreeSet::new(),
            news_at: 0,
            registers: Registers::default(),
            acks_sent: BTreeMap::new(),
            touched: BTreeSet::new(),
            acknowledge_due: false,
            early_acks: Vec::new(),
            shown: door::Shown::default(),
            acknowledge_all: true,
            top_due: false,
            repairs: 0,
            moved_at_repair: 0,
            said: None,
            peer_said: None,
            mark_due: None,
            marks: 0,
            awaiting: false,
            verified: None,
            deposit: None,
        }
    }

    /// The upper end of a link, waiting for a hello.
    #[must_use]
    pub fn upper(peer: DeviceId) -> Self {
        Self::new(Role::Upper, peer)
    }

    /// The lower end: greets a peer that it was equal with before; else says hello. With it goes at once what the
    /// peer lacks, as far as this end knows.
    /// `fallback`: a nearer relay was tried and did not answer.
    ///
    /// # Errors
    /// [`SessionError::Local`].
    pub fn lower(env: &mut Env<'_>, peer: DeviceId, fallback: bool) -> Result<Self, SessionError> {
        let mut session = Self::new(Role::Lower, peer);
        session.fallback = fallback;
        // What it sends unasked must be readable: as the relay was when last heard of.
        let heard = env.store.meta(&meta::peer_protocol(&peer))?.and_then(|b| b.try_into().ok());
        session.protocol = heard.map_or(PROTOCOL_MIN, u16::from_le_bytes).min(PROTOCOL);
        session.recall_registers(env)?;
        session.refresh_shared(env.engine);
        session.news_at = env.engine.news_end();
        if !session.greet(env)? {
            session.say_hello(env)?;
        }
        Ok(session)
    }

    /// The lower end: a hello, and what the last acknowledgement says the peer lacks.
    pub(super) fn say_hello(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let hello = self.hello(env)?;
        self.out.control(Frame::Hello(Box::new(hello)));
        self.push_unacknowledged(env)?;
        self.queue_registers(env)?;
        self.mark_due = Some(true);
        Ok(())
    }

    fn hello(&mut self, env: &mut Env<'_>) -> Result<Hello, SessionError> {
        let engine = &env.engine;
        let mut frontier = None;
        if self.role == Role::Lower {
            let held = self.shared.spaces(engine.charter(), engine.holdings());
            let listed: Vec<SpaceFrontier> =
                held.iter().filter_map(|s| engine.holdings().tips(s).map(|t| SpaceFrontier::of(*s, t))).collect();
            if listed.iter().map(|s| s.logs.len()).sum::<usize>() <= HELLO_LOGS_MAX {
                self.frontier_sent.extend(held);
                frontier = Some(listed);
            }
        }
        let chain = match self.role {
            Role::Upper => std::mem::take(&mut self.shown.spent),
            Role::Lower => engine.chains_for(env.store, &self.peer)?,
        };
        Ok(Hello {
            version_min: PROTOCOL_MIN,
            version_max: PROTOCOL,
            org: engine.org(),
            device: engine.device(),
            units: engine.joined_units(env.store)?,
            tree_number: 0,
            schema_version: engine.schema().map_or(0, |s| s.version),
            clock: env.now,
            epoch: engine.epoch(),
            digests: self.shared.digests(engine.charter(), engine.holdings()),
            frontier,
            chain,
            fallback: self.fallback,
            registers: self.registers_held(env)?,
        })
    }

    /// Takes one frame as it came from a lane.
    ///
    /// # Errors
    /// [`SessionError`]; the session is over. For an error of the peer, [`Session::refusal`] is what
    /// to tell it.
    pub fn receive(&mut self, env: &mut Env<'_>, lane: u8, bytes: &[u8]) -> Result<(), SessionError> {
        self.stats.frame_bytes_received += bytes.len() as u64;
        let frame = Frame::decode(bytes)?;
        if matches!(frame, Frame::Frontier(_) | Frame::Nodes(_) | Frame::Inventory { .. }) {
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

    fn take(&mut self, env: &mut Env<'_>, frame: Frame) -> Result<(), SessionError> {
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
            Frame::OwnAck(ack) => self.take_own_ack(env, &ack)?,
            Frame::Deposit(told) if self.role == Role::Lower && !self.open => self.take_told(env, &told)?,
            Frame::Deposit(_) => return Err(SessionError::PeerOrder("Deposit")),
            Frame::Plain { commits, groups } => self.send_whole(env, commits, &groups)?,
        }
        Ok(())
    }

    fn take_hello(&mut self, env: &mut Env<'_>, hello: Hello) -> Result<(), SessionError> {
        if self.open {
            return Err(SessionError::PeerOrder("second Hello"));
        }
        if hello.device != self.peer {
            return Err(SessionError::PeerIdentity { claimed: hello.device, actual: self.peer });
        }
        if hello.org != env.engine.org() {
            self.refuse(RefuseCode::WrongOrganisation, "this relay belongs to another organisation".into());
            return Ok(());
        }
        if hello.version_min > PROTOCOL || hello.version_max < PROTOCOL_MIN {
            let text = format!(
                "this side speaks protocol {PROTOCOL_MIN} to {PROTOCOL}, the other {} to {}: install the same version of Sampan",
                hello.version_min, hello.version_max
            );
            self.refuse(RefuseCode::Version, text);
            return Ok(());
        }
        self.open = true;
        self.protocol = hello.version_max.min(PROTOCOL);
        self.peer_greets = self.protocol >= PROTOCOL_GREETS;
        if self.role == Role::Lower {
            let mut batch = Batch::at(env.now);
            env.engine.note_spent(env.store, &hello.chain, &mut batch)?;
            self.let_in(env, batch, hello.epoch, hello.clock)?;
            self.note_clock(env, hello.clock)?;
            self.registers_shown(env, hello.registers)?;
            return self.hand_in_aside(env);
        }
        self.blank = env.engine.is_blank();
        if !self.blank {
            match door::judge(env, self.peer, &hello, &mut self.shown)? {
                Door::Open => {}
                Door::Refused(RefuseCode::GrantEnded, text) if self.open_deposit(env, &text)? => return Ok(()),
                Door::Refused(code, text) => {
                    self.refuse(code, text);
                    return Ok(());
                }
                Door::Redirect(relays) => {
                    self.closing = true;
                    self.out.control(Frame::Redirect(relays.clone()));
                    self.events.push_back(Event::Redirect(relays));
                    return Ok(());
                }
            }
        }
        self.refresh_shared(env.engine);
        self.registers_shown(env, hello.registers)?;
        self.news_at = env.engine.news_end();
        let answer = self.hello(env)?;
        let digests = answer.digests;
        self.charters_differ = digests.charter != hello.digests.charter;
        self.clock_told = Some(env.now);
        self.out.control(Frame::Hello(Box::new(answer)));
        match hello.frontier {
            Some(listed) => {
                for space in self.shared.spaces(env.engine.charter(), env.engine.holdings()) {
                    self.peer_frontiers.insert(space, SpaceTips::default());
                }
                for s in listed {
                    self.note_frontier(env.engine, &s);
                }
            }
            None => self.top_due = !equal(&digests, &hello.digests),
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, code: RefuseCode, text: String) {
        self.closing = true;
        self.out.control(Frame::Refuse(code, text.clone(), None));
        self.events.push_back(Event::Refused { code, text, by_peer: false, retry_after: None });
    }

    /// Keeps what the peer says of a space that both share. Another is left out: the peer may know a
    /// charter that we lack, and a later comparison finds it again.
    fn note_frontier(&mut self, engine: &Engine, said: &SpaceFrontier) {
        if self.may_bring(engine.charter(), &said.space) {
            self.peer_frontiers.insert(said.space, said.tips());
        }
    }

    /// Whether the peer may hand over commits of a space: what both share; and charters, where this
    /// side has none yet.
    fn may_bring(&self, charter: &Charter, space: &SpaceId) -> bool {
        self.shared.contains(charter, space)
            || (space.flow == Flow::Charter && (self.role == Role::Lower || self.blank))
    }

    pub(super) fn take_commits(&mut self, env: &mut Env<'_>, groups: &[Group]) -> Result<(), SessionError> {
        let mut groups = groups;
        while let Some((first, others)) = groups.split_first() {
            let charter_version = self.shared_version;
            let mut todo = match self.take_charters(env, groups)? {
                Some((taken, stored)) => {
                    groups = groups.get(taken..).unwrap_or_default();
                    self.freed(env, &stored, charter_version)
                }
                None => {
                    groups = others;
                    vec![first.clone()]
                }
            };
            while let Some(group) = todo.pop() {
                let charter_version = self.shared_version;
                let lacks = match self.take_group(env, &group) {
                    Ok(stored) => {
                        todo.extend(self.freed(env, &stored, charter_version));
                        continue;
                    }
                    // The peer thinks that we hold the parents, perhaps by our own word from before this
                    // store was restored. Comparing brings them.
                    Err(SessionError::Peer(IntakeError::PeerOrder(_))) => Lacks::Parents,
                    // So it thinks of the charter that shows its place. It brings that next, or it is the
                    // parent's to bring; until then nothing of this is stored or acknowledged.
                    Err(SessionError::Peer(IntakeError::PeerScope(_))) if self.charters_differ => Lacks::Charter,
                    // Of a hole that no erasure accounts for nothing is believed: its commit is missing here
                    // until a charter comes that erases the record.
                    Err(SessionError::Peer(IntakeError::PeerHole(_))) => Lacks::Charter,
                    // It thinks that we hold what this builds on, as it was; perhaps an erasure has not reached it.
                    Err(SessionError::Peer(IntakeError::PeerEarlier(_))) => {
                        let ids = group.headers.iter().filter_map(|h| h.trust().ok()).map(|h| h.id());
                        self.ask_whole(ids.collect(), Vec::new())?;
                        continue;
                    }
                    Err(SessionError::Peer(IntakeError::PeerBrief(number))) => {
                        self.ask_whole(Vec::new(), vec![number])?;
                        continue;
                    }
                    Err(e) => return Err(e),
                };
                if !self.orphans.keep(lacks, group) {
                    return Err(SessionError::PeerFlood);
                }
            }
        }
        Ok(())
    }

    /// Asks for commits again that cannot be read from what is held here.
    fn ask_whole(&mut self, commits: Vec<CommitId>, groups: Vec<u64>) -> Result<(), SessionError> {
        self.asked_whole += 1;
        if self.asked_whole > WAITING_COMMITS_MAX {
            return Err(SessionError::PeerFlood);
        }
        self.out.control(Frame::Plain { commits, groups });
        self.ask();
        Ok(())
    }

    /// Sends commits again that the peer could not read without what they build on: each once.
    fn send_whole(&mut self, env: &mut Env<'_>, mut ids: Vec<CommitId>, groups: &[u64]) -> Result<(), SessionError> {
        ids.extend(groups.iter().filter_map(|number| self.brief.remove(number)).flatten());
        if ids.len() > FRAME_ENTRIES_MAX as usize || self.plain.len() > WAITING_COMMITS_MAX {
            return Err(SessionError::PeerFlood);
        }
        ids.retain(|id| self.plain.insert(*id));
        let mut rows = Vec::new();
        for (key, _) in env.store.known(&ids)?.into_iter().flatten() {
            let found = env.store.stored_after(CommitKey(key.0.saturating_sub(1)), 1)?;
            let charter = env.engine.charter();
            rows.extend(found.into_iter().filter(|(log, _)| self.shared.contains(charter, &log.space)));
        }
        self.out.again(rows);
        if self.out.has_commits() {
            self.ask();
        }
        Ok(())
    }

    /// What waited for the charter that now shows its place.
    fn placed(&mut self, charter: &Charter) -> Vec<Group> {
        let shared = &self.shared;
        self.orphans.placed(|space| shared.contains(charter, space))
    }

    /// Groups that waited for what was just stored: its children, and what a charter now shows the place of.
    fn freed(&mut self, env: &Env<'_>, stored: &[CommitId], charter_version: usize) -> Vec<Group> {
        let mut out = self.orphans.of(stored);
        if self.shared_version != charter_version {
            out.extend(self.placed(env.engine.charter()));
        }
        out
    }

    /// Takes the charters that these groups begin with together, where they are in order; how many groups, and the ids
    /// of their commits if any of them is new.
    fn take_charters(
        &mut self,
        env: &mut Env<'_>,
        groups: &[Group],
    ) -> Result<Option<(usize, Vec<CommitId>)>, SessionError> {
        if self.blank {
            // No more than what shows the peer's right.
            return Ok(None);
        }
        let this = &*self;
        let shared = |charter: &Charter, space: &SpaceId| this.may_bring(charter, space);
        let taken = env.engine.intake_charters(env.store, env.rng, self.peer, groups, &shared, env.now)?;
        let Some((number, intake)) = taken else { return Ok(None) };
        let headers = groups.iter().take(number).map(|g| g.headers.len() as u64).sum();
        Ok(Some((number, self.note_taken(env, headers, intake)?)))
    }

    /// Takes one group; the ids of its commits if any of them is new.
    fn take_group(&mut self, env: &mut Env<'_>, group: &Group) -> Result<Vec<CommitId>, SessionError> {
        let this = &*self;
        let shared = |charter: &Charter, space: &SpaceId| this.may_bring(charter, space);
        let one = std::slice::from_ref(group);
        let intake = env.engine.intake(env.store, env.rng, self.peer, one, &shared, env.now)?;
        self.note_taken(env, group.headers.len() as u64, intake)
    }

    fn note_taken(&mut self, env: &mut Env<'_>, headers: u64, intake: Intake) -> Result<Vec<CommitId>, SessionError> {
        let ids = intake.ids;
        for (key, _) in env.store.known(&ids)?.into_iter().flatten() {
            self.out.has(key);
        }
        self.touched.extend(&intake.touched);
        self.stats.commits_received += intake.commits;
        self.stats.changes_received += intake.changes;
        self.progress.commits += headers;
        self.progress.entries += intake.entries;
        if intake.commits > 0 {
            self.events.push_back(Event::Stored { commits: intake.commits, entries: intake.entries });
        }
        if intake.twin_found {
            self.events.push_back(Event::TwinFound);
        }
        if intake.charter_grew {
            self.charter_changed(env)?;
        }
        Ok(if intake.commits > 0 { ids } else { Vec::new() })
    }

    fn charter_changed(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        if !self.shown.early.is_empty() && !self.closing {
            // The link may stay for weeks: what its child has shown is not asked for again.
            let chains = std::mem::take(&mut self.shown.early);
            self.shown.early = env.engine.intake_chains(env.store, env.rng, self.peer, &chains, env.now)?;
            self.shown.early.truncate(2 * JOINED_UNHEARD_MAX);
        }
        self.refresh_shared(env.engine);
        let early = std::mem::take(&mut self.early_acks);
        let (now_known, still): (Vec<AckSet>, Vec<AckSet>) =
            early.into_iter().partition(|s| env.engine.knows_relay_of(s));
        self.early_acks = still;
        if !now_known.is_empty() {
            env.engine.take_acks(env.store, &now_known, env.now)??;
            self.events.push_back(Event::Acknowledged);
        }
        self.take_early_registers(env)?;
        if self.role == Role::Upper && !self.closing {
            // Started empty: charters are taken until they show the peer's right, and nothing else.
            if self.blank && door::judge_rights(env.engine.charter(), self.peer, env.now).is_none() {
                self.blank = false;
            }
            // While the charter is still arriving a right may be missing; a revoked one never returns.
            if env.engine.charter().revoked(&self.peer).is_some()
                && let Some(Door::Refused(code, text)) = door::judge_rights(env.engine.charter(), self.peer, env.now)
            {
                self.refuse(code, text);
            }
        }
        Ok(())
    }

    pub(super) fn refresh_shared(&mut self, engine: &Engine) {
        let charter = engine.charter();
        let (me, peer) = (Side::of(charter, &engine.device()), Side::of(charter, &self.peer));
        let (lower, upper) = match self.role {
            Role::Lower => (me, peer),
            Role::Upper => (peer, me),
        };
        self.shared = Shared::of(charter, engine.levels(), &lower, &upper);
        self.shared_version = engine.charter_version();
    }

    fn take_mark(&mut self, env: &mut Env<'_>, mark: &ShortMark) -> Result<(), SessionError> {
        if self.awaiting {
            self.awaiting = false;
            self.stats.round_trips += 1;
        }
        self.peer_said = Some(mark.holds);
        if let (Role::Lower, Some(clock)) = (self.role, mark.clock) {
            self.note_clock(env, clock)?;
        }
        if self.blank
            && !env.engine.is_blank()
            && !mark.answer
            && let Some(Door::Refused(code, text)) = door::judge_rights(env.engine.charter(), self.peer, env.now)
        {
            self.refuse(code, text);
            return Ok(());
        }
        self.respond(env)?;
        self.take_news(env)?;
        if canary::sings(Canary::VerifiedTooEarly) && self.verified.is_none() {
            self.note_verified(env)?;
        }
        let mine = self.holds(env.engine);
        if mine == mark.holds {
            self.show_beacon(env, mark.answer)?;
        }
        if self.out.has_nothing_to_answer() {
            // Where nothing is shared, two empty digests are equal and prove nothing.
            let known = !env.engine.is_blank() && !self.shared.data.is_empty();
            if known && mark.holds == mine {
                self.note_verified(env)?;
                if mark.frames == self.inbox.received() {
                    self.settle_registers(env)?;
                }
                // Ours may have changed since we last said it: the peer then compared with what was, and
                // has nothing more to say. It must hear that we are equal now, or it waits for ever.
                if mark.answer || self.said != Some(mine) {
                    self.mark_due = Some(self.mark_due.unwrap_or(false));
                }
                return Ok(());
            }
            // An equality found earlier in the session is no answer to this one.
            self.verified = None;
            if mark.answer {
                self.mark_due = Some(self.mark_due.unwrap_or(false));
            } else if self.repairs < crate::limits::REPAIR_ROUNDS_MAX || self.moved() > self.moved_at_repair {
                // A round in which news came is no vain one: a busy relay has them all the time.
                self.repairs = if self.moved() > self.moved_at_repair { 1 } else { self.repairs + 1 };
                self.moved_at_repair = self.moved();
                self.queue_top(env.engine);
                self.mark_due = Some(true);
            } else {
                self.events.push_back(Event::NotVerified);
            }
        } else {
            self.ask();
        }
        Ok(())
    }

    /// The lower end: keeps how far this clock is from the relay's.
    pub(super) fn note_clock(&self, env: &mut Env<'_>, clock: Millis) -> Result<(), StoreError> {
        // `now` is already put right by the offset known: what remains is its error.
        let error = clock.0.min(crate::time::MAX_MILLIS) as i64 - env.now.0 as i64;
        let known = env.store.meta(meta::CLOCK_OFFSET)?.and_then(|b| b.try_into().ok()).map(i64::from_le_bytes);
        // A second or so is the link's delay, not the clock's error: no write for it.
        if known.is_none() || error.abs() > 2_000 {
            let offset = known.unwrap_or(0).saturating_add(error);
            let mut batch = Batch::at(env.now);
            batch.meta.insert(meta::CLOCK_OFFSET.into(), Some(offset.to_le_bytes().to_vec()));
            env.store.write(&batch)?;
        }
        Ok(())
    }

    /// Whether the other end is to be told this time of the clock: it is the lower one, and has not heard it lately.
    fn clock_due(&mut self, clock: Millis) -> bool {
        let due = self.role == Role::Upper
            && self.clock_told.is_none_or(|told| clock.0.abs_diff(told.0) >= CLOCK_TOLD_EVERY_MS);
        if due {
            self.clock_told = Some(clock);
        }
        due
    }

    /// Commits that this session has carried either way.
    fn moved(&self) -> u64 {
        self.stats.commits_sent + self.stats.commits_received
    }

    pub(super) fn digests(&self, engine: &Engine) -> ScopeDigests {
        self.shared.digests(engine.charter(), engine.holdings())
    }

    /// What this end holds of what both share, in one short digest.
    pub(super) fn holds(&self, engine: &Engine) -> ShortDigest {
        self.short(engine, &self.digests(engine))
    }

    pub(super) fn note_verified(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        self.repairs = 0;
        self.frontier_sent.clear();
        self.nodes_sent.clear();
        self.inventory_sent.clear();
        self.peer_frontiers.clear();
        self.verified = Some(env.now);
        let mut batch = Batch::at(env.now);
        let now = Some(env.now.0.to_le_bytes().to_vec());
        match self.role {
            Role::Lower => {
                batch.meta.insert(meta::VERIFIED_AT.into(), now.clone());
                let through = env.store.last_commit()?.0.to_le_bytes().to_vec();
                let with = [env.now.0.to_le_bytes().as_slice(), &through].concat();
                batch.meta.insert(meta::verified_with(&self.peer), Some(with));
                batch.meta.insert(meta::VERIFIED_THROUGH.into(), Some(through));
                batch.meta.insert(meta::NEWS_FROM_ABOVE_AT.into(), now);
                batch.meta.insert(meta::ADMITTED.into(), Some(vec![1]));
            }
            Role::Upper => {
                batch.meta.insert(format!("{}{}", meta::CHILD_VERIFIED_AT, self.peer), now);
            }
        }
        self.note_met(env, &mut batch)?;
        self.note_registers_sent(&mut batch);
        env.store.write(&batch)?;
        self.events.push_back(Event::Verified);
        Ok(())
    }

    /// Looks for news that the engine told since this session last looked, and starts a turn for it.
    ///
    /// # Errors
    /// [`SessionError::Local`]; an error of the peer, if what it had brought before can be judged now, and is bad.
    pub fn poke(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        if !self.open || self.closing || self.deposit.is_some() {
            return Ok(());
        }
        let due = self.out.due();
        if self.shared_version != env.engine.charter_version() {
            self.charter_changed(env)?;
            let waiting = self.placed(env.engine.charter());
            self.take_commits(env, &waiting)?;
        }
        self.take_news(env)?;
        // What was due before has its mark, or needs none, as the answer to a greeting.
        if self.out.due() > due {
            self.ask();
        }
        Ok(())
    }

    /// What is about to be sent must be answered by a mark of the peer's, also where one that asks nothing
    /// was due. Until commits are confirmed an earlier equality says nothing; a question alone leaves it,
    /// or two ends that are equal could clear what they asked and ask it anew for ever.
    pub(super) fn ask(&mut self) {
        if self.out.has_commits() {
            self.verified = None;
        }
        self.mark_due = Some(true);
    }

    /// Ends what is to be said with a mark that asks for none in return.
    pub(super) fn end_turn(&mut self) {
        self.mark_due = Some(false);
    }

    /// Starts a turn that asks the peer for a mark: to verify anew.
    pub fn ask_to_verify(&mut self) {
        if self.open && !self.closing && self.deposit.is_none() {
            self.verified = None;
            self.mark_due = Some(true);
        }
    }

    /// The next frame to send, the most urgent whose lane is free; `None` when there is none now.
    ///
    /// # Errors
    /// [`SessionError::Local`].
    pub fn next_frame(
        &mut self,
        env: &mut Env<'_>,
        free: &dyn Fn(u8) -> bool,
    ) -> Result<Option<(u8, Vec<u8>)>, SessionError> {
        if let Some(mut out) = self.out.next(env.store, free)? {
            if let Frame::Commits { groups, .. } = &mut out.frame {
                // Either end looks through the device's log once for each group: not for a backlog of small ones.
                let few = groups.len() <= GROUPS_AFTER_MAX;
                for group in groups {
                    let ids: Vec<CommitId> =
                        group.headers.iter().filter_map(|h| h.trust().ok()).map(|h| h.id()).collect();
                    let columns = self.protocol >= PROTOCOL_COLUMNS;
                    let thin = columns && self.deposit.is_none() && !ids.iter().any(|id| self.plain.contains(id));
                    let number = thin.then_some(self.numbered + 1);
                    let held = std::mem::replace(group, Group { headers: Vec::new(), pack: Vec::new() });
                    *group = env.engine.for_peer(env.store, held, &Reader { columns, after: few && thin, number })?;
                    if group.headers.first().is_some_and(Brief::is) {
                        self.numbered += 1;
                        self.brief.insert(self.numbered, ids);
                        if self.brief.len() > BRIEF_KEPT_MAX {
                            self.brief.pop_first();
                        }
                    }
                }
            }
            self.stats.commits_sent += out.commits;
            self.stats.changes_sent += out.changes;
            self.progress.commits += out.commits;
            self.progress.entries += out.entries;
            if let Frame::Announce(a) = &out.frame {
                self.progress.announce(a);
            }
            let bytes = out.frame.encode();
            self.stats.frame_bytes_sent += bytes.len() as u64;
            return Ok(Some((out.lane, bytes)));
        }
        if self.closing || !self.out.is_empty() || !free(super::lane::CHARTER) {
            return Ok(None);
        }
        let Some(answer) = self.mark_due.take() else { return Ok(None) };
        self.marks += 1;
        let digests = self.digests(env.engine);
        // What was taken since the peer's mark may have made the two ends equal: this mark says so, the
        // peer then has nothing to add, and nobody would compare here again.
        let known = !env.engine.is_blank() && !self.shared.data.is_empty();
        let holds = self.short(env.engine, &digests);
        let same = self.peer_said == Some(holds);
        if self.open && known && same && self.verified.is_none() {
            self.note_verified(env)?;
        }
        self.said = Some(holds);
        self.awaiting |= answer;
        let (number, frames, clock) = (self.marks, self.out.sent, env.now);
        // Who greets is understood when it is brief, or is told to say hello.
        let brief = self.peer_greets || (self.greeted && self.role == Role::Lower);
        let mark = if brief {
            let clock = self.clock_due(clock).then_some(clock);
            Frame::ShortMark(ShortMark { number, frames, holds, answer, clock })
        } else {
            Frame::Mark(Mark { number, frames, digests, answer, clock })
        };
        let bytes = mark.encode();
        self.stats.frame_bytes_sent += bytes.len() as u64;
        Ok(Some((super::lane::CHARTER, bytes)))
    }

    /// What happened since the last call.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.events.drain(..)
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// How far what was announced has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// When the two ends last were found equal, `None` when something was asked since.
    #[must_use]
    pub fn verified_at(&self) -> Option<Millis> {
        self.verified
    }

    /// What is kept of the peer's until it can be taken.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let (commits, bytes) = self.orphans.size();
        let (frames, acks) = (self.inbox.len(), self.early_acks.len());
        Waiting { frames, bytes: self.inbox.bytes() + bytes, commits, acks }
    }

    /// Whether nothing waits to be sent and no answer is awaited.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.out.is_empty() && self.mark_due.is_none() && !self.awaiting
    }

    /// What the session waits for, in words for a log: empty when for nothing.
    #[must_use]
    pub fn waits_for(&self) -> String {
        let mut out = Vec::new();
        if !self.open {
            out.push("the other end's hello".to_owned());
        }
        if self.awaiting {
            out.push("an answer to its mark".to_owned());
        }
        if self.mark_due.is_some() || !self.out.is_empty() {
            out.push("room to send what is due".to_owned());
        }
        if let Some(held) = self.inbox.held() {
            out.push(held);
        }
        if self.verified.is_none() {
            out.push(format!(
                "both ends to be equal (repairs {}, open frontiers {})",
                self.repairs,
                self.peer_frontiers.len()
            ));
        }
        out.join("; ")
    }

    /// Whether the link should be closed once nothing is left to send.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// The device at the other end.
    #[must_use]
    pub fn peer(&self) -> DeviceId {
        self.peer
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }
}

/// Whether two ends hold the same: data digests say something only under equal charters.
fn equal(a: &ScopeDigests, b: &ScopeDigests) -> bool {
    a.data == b.data && (a.charter == b.charter || canary::sings(Canary::DigestsUnderUnequalCharters))
}
