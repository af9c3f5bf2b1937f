//! The deposit session: what remains of a session where the device's rights have ended.
//!
//! It does not: judge what is handed in (`engine` does, as ever), or tell the device anything but which of its own
//! commits are here and which cut ended its rights.
//!
//! Invariants: nothing leaves the relay but [`Frame::Deposit`] and the refusal after it; nothing is taken but the
//! device's own commits of records, at most `DEPOSIT_COMMITS_MAX` and `DEPOSIT_BYTES_MAX` of them; the door was
//! judged by the charter, so that a resumed connection changes nothing.
//!
//! The course: the relay answers a hello with a deposit frame that names what it holds; the device offers what is
//! missing and ends with a mark that asks for no answer; the relay says what it holds now, and refuses.

use super::session::Session;
use super::terms::{Env, Event, Role, SessionError};
use crate::engine::{Ended, IntakeError, meta};
use crate::id::{CommitId, UnitId};
use crate::limits::{DEPOSIT_BYTES_MAX, DEPOSIT_COMMITS_MAX, FRAME_PAYLOAD_BYTES_MAX, NAME_BYTES_MAX};
use crate::log::brief::Brief;
use crate::scope::{Shared, Side};
use crate::store::{Batch, Quarantined, StoreError};
use crate::wire;
use crate::wire::frame::{self, Frame, Group, Mark, RefuseCode};
use std::collections::BTreeSet;

/// The reason where an end that the grant named has come.
const TIME_OVER: &str = "its time is over";

/// A deposit under way.
#[derive(Debug, Default)]
pub(super) struct Deposit {
    /// What the door said.
    text: String,
    /// What the device once shared with this relay.
    shared: Shared,
    commits: usize,
    bytes: usize,
    seen: BTreeSet<CommitId>,
    /// The lower end: what the relay lacked was offered.
    offered: bool,
}

impl Session {
    /// The upper end: opens the session for a deposit, if this relay has anything to do with the device.
    pub(super) fn open_deposit(&mut self, env: &mut Env<'_>, text: &str) -> Result<bool, SessionError> {
        let shared = env.engine.deposit_scope(&self.peer);
        if shared.data.is_empty() {
            return Ok(false);
        }
        let told = self.told(env, 0, false)?;
        self.out.control(Frame::Deposit(Box::new(told)));
        self.open = true;
        self.deposit = Some(Deposit { text: text.to_owned(), shared, ..Deposit::default() });
        Ok(true)
    }

    fn told(&self, env: &Env<'_>, taken: u64, last: bool) -> Result<frame::Deposit, StoreError> {
        let mut reason = env.engine.end_of(&self.peer).unwrap_or_else(|| TIME_OVER.to_owned());
        reason.truncate((0..=NAME_BYTES_MAX.min(reason.len())).rfind(|n| reason.is_char_boundary(*n)).unwrap_or(0));
        let cut = if last { None } else { env.engine.ending_cut(&self.peer) };
        Ok(frame::Deposit { reason, cut, held: env.engine.deposited(env.store, &self.peer)?, taken, last })
    }

    /// Takes one frame of a deposit session.
    pub(super) fn take_in_deposit(&mut self, env: &mut Env<'_>, frame: Frame) -> Result<(), SessionError> {
        match (self.role, frame) {
            (Role::Upper, Frame::Commits { after: _, groups }) => {
                groups.iter().try_for_each(|g| self.take_deposited(env, g))
            }
            (Role::Upper, Frame::Mark(Mark { answer: false, .. })) => self.end_deposit(env),
            (Role::Upper, Frame::Hello(_)) => Err(SessionError::PeerOrder("second Hello")),
            (Role::Upper, Frame::Acks(_)) => Err(SessionError::PeerOrder("Acks")),
            // What it says before it has heard that its rights ended, or to no purpose.
            (Role::Upper, _) => Ok(()),
            (Role::Lower, Frame::Deposit(told)) => self.take_told(env, &told),
            // Said before it heard that they ended.
            (Role::Lower, other) if other.is_file() => Ok(()),
            (Role::Lower, other) => Err(SessionError::PeerOrder(other.name())),
        }
    }

    fn take_deposited(&mut self, env: &mut Env<'_>, group: &Group) -> Result<(), SessionError> {
        let Some(deposit) = &mut self.deposit else { return Ok(()) };
        deposit.commits += group.headers.len();
        deposit.bytes += group.pack.len();
        // What is over the limit waits for the next session; who goes on regardless is no honest device.
        if deposit.commits > 2 * DEPOSIT_COMMITS_MAX || deposit.bytes > 2 * DEPOSIT_BYTES_MAX {
            return Err(SessionError::PeerFlood);
        }
        if deposit.commits > DEPOSIT_COMMITS_MAX || deposit.bytes > DEPOSIT_BYTES_MAX {
            return Ok(());
        }
        // Sent before the device knew that it deposits: it comes again, whole.
        if group.headers.first().is_some_and(Brief::is) {
            return Ok(());
        }
        let Some(part) = env.engine.deposit_part(&self.peer, &deposit.shared, group) else { return Ok(()) };
        let ids: Vec<CommitId> = part.headers.iter().filter_map(|h| h.trust().ok()).map(|h| h.id()).collect();
        let one = std::slice::from_ref(&part);
        match env.engine.intake(env.store, env.rng, self.peer, one, &|_, _| true, env.now) {
            Ok(intake) => {
                self.stats.commits_received += intake.commits;
                self.stats.changes_received += intake.changes;
                deposit.seen.extend(ids);
                if intake.commits > 0 {
                    self.events.push_back(Event::Stored { commits: intake.commits, entries: intake.entries });
                }
                Ok(())
            }
            // A log that counts to its end, and a parent that did not fit into this session, or what went out before
            // the device knew that it deposits: it comes again.
            Err(IntakeError::PeerOrder(_) | IntakeError::PeerEarlier(_)) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn end_deposit(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let Some(deposit) = self.deposit.take() else { return Ok(()) };
        let ids: Vec<CommitId> = deposit.seen.iter().copied().collect();
        let counting = env.store.known(&ids)?.iter().flatten().count() as u64;
        let laid: BTreeSet<CommitId> = env.store.quarantine()?.iter().map(|q| q.head.id()).collect();
        let aside = deposit.seen.intersection(&laid).count() as u64;
        let told = self.told(env, counting + aside, true)?;
        self.out.control(Frame::Deposit(Box::new(told)));
        let mut text = deposit.text;
        let refused = ids.len() as u64 - counting - aside;
        if counting + aside > 0 {
            text.push_str(&format!("; what it had not sent was handed in ({} commits)", counting + aside));
        }
        if refused > 0 {
            text.push_str(&format!("; {refused} commits found no room here and stay on it for another try"));
        }
        self.events.push_back(Event::Deposited { counting, aside, refused });
        self.refuse(RefuseCode::GrantEnded, text);
        Ok(())
    }

    fn offer_aside(&mut self, aside: Vec<Quarantined>) {
        let mut groups: Vec<Group> = Vec::new();
        let mut bytes = 0;
        for q in aside {
            if bytes + q.pack.len() > FRAME_PAYLOAD_BYTES_MAX as usize && !groups.is_empty() {
                self.out.aside(std::mem::take(&mut groups));
                bytes = 0;
            }
            bytes += q.pack.len();
            groups.push(Group { headers: vec![q.head.signed().clone()], pack: q.pack });
        }
        if !groups.is_empty() {
            self.out.aside(groups);
        }
    }

    /// The lower end of an ordinary session: what a narrowing of its own right took out of what counts here, before
    /// it was sent, goes to the relay's quarantine too, where somebody who may will find it. Once a relay.
    pub(super) fn hand_in_aside(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        if env.engine.aside_count() == 0 {
            return Ok(());
        }
        let mut aside = env.engine.to_deposit(env.store, &[])?.aside;
        aside.retain(|q| self.shared.contains(env.engine.charter(), &q.head.header().space));
        let mut room = DEPOSIT_BYTES_MAX / 2;
        aside.truncate(DEPOSIT_COMMITS_MAX / 2);
        aside.retain(|q| {
            room = room.saturating_sub(q.pack.len());
            room > 0
        });
        let ids: Vec<u8> = aside.iter().flat_map(|q| q.head.id().0).collect();
        let digest = crate::hash::tagged("aside", &[&ids]).to_vec();
        let name = format!("{}{}", meta::ASIDE_HANDED, self.peer);
        if aside.is_empty() || env.store.meta(&name)?.as_ref() == Some(&digest) {
            return Ok(());
        }
        let mut batch = Batch::at(env.now);
        batch.meta.insert(name, Some(digest));
        env.store.write(&batch)?;
        self.offer_aside(aside);
        Ok(())
    }

    /// The lower end: is told that its rights have ended, or how much of what it offered was taken.
    pub(super) fn take_told(&mut self, env: &mut Env<'_>, told: &frame::Deposit) -> Result<(), SessionError> {
        let lacks = env.engine.to_deposit(env.store, &told.held)?;
        let before = env.engine.ended(env.store)?;
        let for_good = told.cut.as_ref().is_some_and(|cut| env.engine.ends_for_good(cut));
        let mut ended = Ended {
            reason: told.reason.clone(),
            at: env.now,
            relay: self.peer,
            for_good,
            handed_in: told.taken,
            left: lacks.len() as u64,
        };
        if let Some(before) = before {
            ended.at = before.at;
            ended.for_good |= before.for_good;
            ended.handed_in += before.handed_in;
        }
        // A relay that knows nothing of this device's units elsewhere cannot say that all its rights are over.
        if for_good || !self.has_units_elsewhere(env) {
            let mut batch = Batch::at(env.now);
            batch.meta.insert(meta::ENDED.into(), Some(wire::encode(&ended)));
            env.store.write(&batch)?;
        }
        self.open = true;
        let deposit = self.deposit.get_or_insert_default();
        if told.last || std::mem::replace(&mut deposit.offered, true) {
            return Ok(());
        }
        // What went out with the opening may have left out what only an ordinary session can ask for again.
        self.out.begin_anew();
        // Half of what may be: some of it may have gone out with the hello.
        let mut room = DEPOSIT_BYTES_MAX / 2;
        let mut fits = |bytes: usize| {
            room = room.saturating_sub(bytes);
            room > 0
        };
        let rows: Vec<_> =
            lacks.rows.into_iter().take(DEPOSIT_COMMITS_MAX / 2).take_while(|(_, r)| fits(r.bytes as usize)).collect();
        let aside: Vec<Quarantined> =
            lacks.aside.into_iter().take(DEPOSIT_COMMITS_MAX / 2).take_while(|q| fits(q.pack.len())).collect();
        self.out.offer(rows);
        self.offer_aside(aside);
        // The end of the deposit: the relay answers with what it holds.
        self.end_turn();
        Ok(())
    }

    /// Whether this device has a right on a unit that does not lie below the peer.
    fn has_units_elsewhere(&self, env: &Env<'_>) -> bool {
        let charter = env.engine.charter();
        let relays = Side::of(charter, &self.peer).relay_units;
        let below = |unit: &UnitId| charter.chain(unit).any(|u| relays.contains(&u.id));
        !relays.is_empty() && !Side::of(charter, &env.engine.device()).all().iter().all(below)
    }
}
