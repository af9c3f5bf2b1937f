//! The short opening: two ends that were equal when they last met say so in a few dozen bytes.
//!
//! It does not: replace the hello. What a greeting cannot settle (a device whose right is to be shown, a relay
//! that was restored, a first meeting) is asked for in full, on the same link.
//!
//! Invariants: what two ends held when they were found equal, and how far the store then went, is written down
//! in the transaction that notes it; everything stored later is offered, so that a greeting costs no comparing;
//! whether the two ends are equal now is decided by the same digests as ever, and a greeting that misleads costs
//! time, never data. The door is judged as it is for a hello.

use super::door;
use super::session::Session;
use super::terms::{Env, Role, SessionError};
use crate::canary::{self, Canary};
use crate::engine::{Engine, meta};
use crate::frontier::ShortDigest;
use crate::hash::tagged16;
use crate::id::{LogId, StoreEpoch, UnitId};
use crate::limits::{GREETING_SCAN_COMMITS_MAX, GROUPS_AFTER_MAX, PUSH_BYTES_MAX, PUSH_STORED_BYTES_MAX};
use crate::pack;
use crate::scope::Side;
use crate::store::{AckRow, Batch, CommitKey, CommitRow, Store, StoreError};
use crate::time::Millis;
use crate::wire::frame::{Frame, Greeted, Greeting, PROTOCOL_COLUMNS, PROTOCOL_GREETS, ScopeDigests};
use std::collections::BTreeSet;

/// Commits read at a time when looking for what was stored since.
const SCAN_COMMITS: usize = 4_096;
/// Units whose acknowledgements are read one by one; of more, all are read at once.
const ACKS_READ_SINGLY: usize = 16;

/// What both ends held when they were last found equal, and the last commit of this store then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Met {
    digest: ShortDigest,
    through: CommitKey,
}

impl Session {
    /// The lower end: greets, if it was equal with this peer before and little came since. False: a hello is
    /// needed.
    pub(super) fn greet(&mut self, env: &mut Env<'_>) -> Result<bool, SessionError> {
        if env.store.meta(meta::ADMITTED)?.is_none() || !env.engine.chains_for(env.store, &self.peer)?.is_empty() {
            return Ok(false);
        }
        let Some(met) = self.met(env.store)? else { return Ok(false) };
        let mine = self.holds(env.engine);
        let same = mine == met.digest;
        let mut rows = Vec::new();
        if !same {
            // Of a backlog only what comparing shows missing is sent, or a link that is cut again and again
            // would start it anew each time.
            let since = self.since(env, met.through)?;
            let Some(since) = since else { return Ok(false) };
            if since.is_empty() || !self.is_short(env, &since)? {
                return Ok(false);
            }
            rows = since;
        }
        let acks = self.acks_digest(env)?.0;
        let registers = self.registers_held(env)?;
        let greeting = Greeting { since: met.digest, same, acks, fallback: self.fallback, registers };
        self.out.control(Frame::Greeting(greeting));
        self.out.offer(rows);
        self.queue_registers(env)?;
        self.greeted = true;
        if same {
            self.said = Some(mine);
            self.awaiting = true;
        } else {
            self.mark_due = Some(true);
        }
        Ok(true)
    }

    /// The upper end.
    pub(super) fn take_greeting(&mut self, env: &mut Env<'_>, greeting: &Greeting) -> Result<(), SessionError> {
        if self.role != Role::Upper || self.open || self.greeted {
            return Err(SessionError::PeerOrder("Greeting"));
        }
        self.greeted = true;
        let met = self.met(env.store)?.filter(|met| met.digest == greeting.since);
        let welcome = !env.engine.is_blank() && door::lets_in(env, self.peer, greeting.fallback);
        let (Some(met), true) = (met, welcome) else {
            self.out.control(Frame::SayHello);
            return Ok(());
        };
        self.refresh_shared(env.engine);
        let mine = self.holds(env.engine);
        let same_here = mine == greeting.since || canary::sings(Canary::VerifiedTooEarly);
        let mut rows = Vec::new();
        if !same_here {
            match self.since(env, met.through)? {
                Some(since) => rows = since,
                None => {
                    self.out.control(Frame::SayHello);
                    return Ok(());
                }
            }
        }
        self.open = true;
        self.understood();
        self.news_at = env.engine.news_end();
        let equal = greeting.same && same_here;
        // What it brings may rest on a charter of its own; nothing was said of the two charters yet.
        self.charters_differ = !equal;
        let (held, shown) = self.acks_digest(env)?;
        if held == greeting.acks {
            self.acks_sent.extend(shown.into_iter().map(|row| ((row.leaf.unit, row.relay_unit), row.counter)));
        }
        self.registers_shown(env, greeting.registers)?;
        if equal {
            self.said = Some(mine);
            self.peer_said = Some(mine);
        }
        if greeting.same {
            self.respond(env)?;
        }
        // Acknowledgements and registers come beside the answer: a lower end that is told *same* hangs up.
        let same = equal && self.out.is_empty();
        let registers = self.registers_held(env)?;
        self.clock_told = Some(env.now);
        self.out.control(Frame::Greeted(Greeted { epoch: env.engine.epoch(), clock: env.now, same, registers }));
        self.out.offer(rows);
        if same {
            self.show_beacon(env, true)?;
            self.note_verified(env)
        } else {
            // The mark of one whose greeting says that it follows is answered.
            if greeting.same {
                self.ask();
            }
            Ok(())
        }
    }

    /// The lower end: its greeting was understood.
    pub(super) fn take_greeted(&mut self, env: &mut Env<'_>, greeted: &Greeted) -> Result<(), SessionError> {
        if self.role != Role::Lower || self.open || !self.greeted {
            return Err(SessionError::PeerOrder("Greeted"));
        }
        self.open = true;
        self.understood();
        self.let_in(env, Batch::at(env.now), greeted.epoch, greeted.clock)?;
        self.note_clock(env, greeted.clock)?;
        self.registers_shown(env, greeted.registers)?;
        self.hand_in_aside(env)?;
        if let (true, Some(said)) = (greeted.same, self.said) {
            self.awaiting = false;
            self.stats.round_trips += 1;
            self.peer_said = Some(said);
            if self.holds(env.engine) == said {
                self.note_verified(env)?;
            }
        }
        self.take_news(env)?;
        if !self.out.is_commits_and_control_empty() {
            self.ask();
        }
        Ok(())
    }

    /// The lower end: its greeting was not understood, or is not enough. Begins again with a hello.
    pub(super) fn take_say_hello(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        if self.role != Role::Lower || self.open || !self.greeted {
            return Err(SessionError::PeerOrder("SayHello"));
        }
        self.greeted = false;
        self.stats.round_trips += 1;
        self.out.begin_anew();
        self.registers.begin_anew();
        self.said = None;
        self.awaiting = false;
        self.refresh_shared(env.engine);
        self.news_at = env.engine.news_end();
        self.say_hello(env)
    }

    /// Who greets, or answers a greeting, speaks at least the protocol of greetings.
    fn understood(&mut self) {
        self.peer_greets = true;
        self.protocol = self.protocol.max(PROTOCOL_GREETS);
    }

    /// Writes down, in `batch`, what both ends hold now.
    pub(super) fn note_met(&self, env: &Env<'_>, batch: &mut Batch) -> Result<(), StoreError> {
        if !self.peer_greets {
            return Ok(());
        }
        let digest = self.holds(env.engine);
        let through = env.store.last_commit()?;
        let value = [digest.0.as_slice(), &through.0.to_le_bytes()].concat();
        batch.meta.insert(meta::met(&self.peer), Some(value));
        Ok(())
    }

    /// Stores, with `batch`, what a relay's hello or greeting says of its store and its version, and that it let this
    /// device in.
    pub(super) fn let_in(
        &self,
        env: &mut Env<'_>,
        mut batch: Batch,
        epoch: StoreEpoch,
        clock: Millis,
    ) -> Result<(), StoreError> {
        // With the relay's clock: a later statement of it, that came by another way, may tell of a newer store.
        let told = [epoch.0.as_slice(), &clock.0.to_le_bytes()].concat();
        batch.meta.insert(meta::peer_epoch(&self.peer), Some(told));
        batch.meta.insert(meta::peer_protocol(&self.peer), Some(self.protocol.to_le_bytes().to_vec()));
        // It is let in again: another grant, or the end was never rightful.
        if env.store.meta(meta::ENDED)?.is_some() {
            batch.meta.insert(meta::ENDED.into(), None);
        }
        env.store.write(&batch)
    }

    fn met(&self, store: &dyn Store) -> Result<Option<Met>, StoreError> {
        let bytes = store.meta(&meta::met(&self.peer))?;
        Ok(bytes.and_then(|b| {
            let (digest, through) = b.split_at_checked(16)?;
            let digest = ShortDigest(digest.try_into().ok()?);
            Some(Met { digest, through: CommitKey(u64::from_le_bytes(through.try_into().ok()?)) })
        }))
    }

    /// One digest for what two ends hold, that no other two ends have.
    pub(super) fn short(&self, engine: &Engine, digests: &ScopeDigests) -> ShortDigest {
        let (lower, upper) = match self.role {
            Role::Lower => (engine.device(), self.peer),
            Role::Upper => (self.peer, engine.device()),
        };
        let charter: &[u8] = if canary::sings(Canary::DigestsUnderUnequalCharters) { &[] } else { &digests.charter.0 };
        let parts: [&[u8]; 5] = [&engine.org().0, &lower.0, &upper.0, charter, &digests.data.0];
        ShortDigest(tagged16("met", &parts))
    }

    /// What both share and was stored after a position, but for the peer's own; `None` where looking for it
    /// costs more than comparing.
    fn since(&self, env: &Env<'_>, through: CommitKey) -> Result<Option<Vec<(LogId, CommitRow)>>, StoreError> {
        let charter = env.engine.charter();
        let wanted = |log: &LogId| log.device != self.peer && self.shared.contains(charter, &log.space);
        stored_since(env.store, through, GREETING_SCAN_COMMITS_MAX, wanted)
    }

    /// Whether commits are few enough to be sent unasked.
    pub(super) fn is_short(&self, env: &Env<'_>, rows: &[(LogId, CommitRow)]) -> Result<bool, StoreError> {
        let bytes = bytes_of(rows);
        if bytes <= PUSH_BYTES_MAX {
            return Ok(true);
        }
        // What is known to fall away from each on the way; looked up where there are so few that it will.
        let columns = self.protocol >= PROTOCOL_COLUMNS;
        if !columns || bytes > PUSH_STORED_BYTES_MAX || rows.len() > GROUPS_AFTER_MAX {
            return Ok(false);
        }
        let mut left = 0;
        for (log, row) in rows {
            for group in env.store.groups(&log.space, &[row.key])? {
                left += (group.pack.len() as u64).saturating_sub(pack::known_to_the_receiver(&group.pack));
            }
        }
        Ok(left <= PUSH_BYTES_MAX)
    }

    /// The acknowledgements of the lower end's units by relays at or above the upper end, as held here, and
    /// their digest.
    fn acks_digest(&self, env: &Env<'_>) -> Result<(ShortDigest, Vec<AckRow>), StoreError> {
        let charter = env.engine.charter();
        let (me, peer) = (Side::of(charter, &env.engine.device()), Side::of(charter, &self.peer));
        let (lower, upper) = if self.role == Role::Lower { (me, peer) } else { (peer, me) };
        let above: BTreeSet<UnitId> = upper.relay_units.iter().flat_map(|u| charter.chain(u)).map(|u| u.id).collect();
        let mut units = lower.units.clone();
        let mut below: Vec<UnitId> = lower.subtrees().copied().collect();
        while let Some(unit) = below.pop() {
            below.extend(charter.unit(&unit).iter().flat_map(|u| &u.children));
            units.insert(unit);
        }
        let mut rows = Vec::new();
        if units.len() <= ACKS_READ_SINGLY {
            for unit in &units {
                rows.extend(env.store.acks(Some(*unit))?);
            }
        } else {
            rows = env.store.acks(None)?;
        }
        rows.retain(|row| units.contains(&row.leaf.unit) && above.contains(&row.relay_unit));
        rows.sort_by_key(|row| (row.leaf.unit, row.relay_unit));
        let mut bytes = Vec::new();
        for row in &rows {
            bytes.extend_from_slice(&row.leaf.unit.0);
            bytes.extend_from_slice(&row.relay_unit.0);
            bytes.extend_from_slice(&row.relay.0);
            bytes.extend_from_slice(&row.epoch.0);
            bytes.extend_from_slice(&row.counter.to_le_bytes());
        }
        Ok((ShortDigest(tagged16("acks-held", &[&bytes])), rows))
    }
}

/// Commits stored after a position that `wanted` takes; `None` when more than `scan_max` would have to be read.
pub(super) fn stored_since(
    store: &dyn Store,
    after: CommitKey,
    scan_max: usize,
    wanted: impl Fn(&LogId) -> bool,
) -> Result<Option<Vec<(LogId, CommitRow)>>, StoreError> {
    let (mut at, mut read, mut rows) = (after, 0, Vec::new());
    loop {
        let found = store.stored_after(at, SCAN_COMMITS)?;
        let Some((_, last)) = found.last() else { return Ok(Some(rows)) };
        at = last.key;
        read += found.len();
        if read > scan_max {
            return Ok(None);
        }
        rows.extend(found.into_iter().filter(|(log, _)| wanted(log)));
    }
}

/// Stored bytes of these commits.
fn bytes_of(rows: &[(LogId, CommitRow)]) -> u64 {
    rows.iter().map(|(_, row)| u64::from(row.bytes)).sum()
}
