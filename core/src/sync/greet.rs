//! The short opening: two ends that were equal when they last met say so in a few dozen bytes.
//!
//! It does not: replace the hello. What a greeting cannot settle (a device whose right is to be shown, a relay
//! that was restored, a first meeting) is asked for in full, on the same link.
//!
//! Invariants: what two ends held when they were found equal, and how far the store then went, is written down
//! in the transaction that notes it; everything stored later is offered, so that a greeting costs no comparing;
//! whether the two ends are equal now is decided by the same digests as ever, and a greeting that misleads costs
//! time, never data. The door is judged as it is for a hello.

use super::acks::{Lacks, PeerAcks};
use super::door;
use super::session::Session;
use super::terms::{Env, Role, SessionError};
use crate::canary::{self, Canary};
use crate::engine::{Engine, meta, told_epoch};
use crate::frontier::{ShortDigest, SpaceTips};
use crate::hash::tagged16;
use crate::id::{LogId, StoreEpoch};
use crate::limits::{GREETING_SCAN_COMMITS_MAX, HELLO_LOGS_MAX};
use crate::scope::Side;
use crate::store::{Batch, CommitKey, CommitRow, Store, StoreError};
use crate::time::Millis;
use crate::wire::frame::{
    Frame, Greeted, Greeting, PROTOCOL, PROTOCOL_GREETS, PROTOCOL_MIN, PROTOCOL_SHORT, ScopeDigests, Welcome,
};

/// Commits read at a time when looking for what was stored since.
const SCAN_COMMITS: usize = 4_096;

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
        // After an update both ends say once what they speak now.
        if !self.told_ours {
            return Ok(false);
        }
        let mine = self.holds(env.engine);
        let Some(met) = self.met(env.store)? else { return self.greet_anew(env, mine) };
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
        self.say_greeting(env, met.digest, same, None)?;
        self.out.offer(rows);
        if same {
            self.said(0, mine);
            self.awaiting = true;
        } else {
            self.mark_due = Some(true);
        }
        Ok(true)
    }

    /// The lower end does not remember when it was equal with this peer: it names what it holds now. A hello costs six
    /// times as much; it is better where it can list all tips.
    fn greet_anew(&mut self, env: &mut Env<'_>, mine: ShortDigest) -> Result<bool, SessionError> {
        let (charter, holdings) = (env.engine.charter(), env.engine.holdings());
        let many = || {
            let spaces = self.shared.spaces(charter, holdings);
            spaces.iter().filter_map(|s| holdings.tips(s)).map(SpaceTips::len).sum::<usize>() > HELLO_LOGS_MAX
        };
        let whole = Side::of(charter, &env.engine.device()).subtrees().next().is_some();
        if self.protocol < PROTOCOL_SHORT || !whole || !many() {
            return Ok(false);
        }
        let charters = short_charter(&self.digests(env.engine));
        self.say_greeting(env, mine, true, Some(charters))?;
        self.said(0, mine);
        self.awaiting = true;
        Ok(true)
    }

    fn say_greeting(
        &mut self,
        env: &mut Env<'_>,
        since: ShortDigest,
        same: bool,
        charter: Option<ShortDigest>,
    ) -> Result<(), SessionError> {
        let tree = self.protocol >= PROTOCOL_SHORT;
        let acks = self.acks_held(env, tree)?;
        let (fallback, registers) = (self.fallback, self.registers_held(env)?);
        let version = tree.then_some(PROTOCOL);
        self.out.control(Frame::Greeting(Greeting { since, same, acks, fallback, registers, version, charter }));
        self.greeted = true;
        // The greeting itself, which is all that an answer to it without a mark shows to have arrived.
        self.sent_at_mark = self.out.sent + 1;
        self.queue_registers(env)
    }

    /// The upper end.
    pub(super) fn take_greeting(&mut self, env: &mut Env<'_>, greeting: &Greeting) -> Result<(), SessionError> {
        if self.role != Role::Upper || self.open || self.greeted {
            return Err(SessionError::PeerOrder("Greeting"));
        }
        self.greeted = true;
        let met = self.met(env.store)?.filter(|met| met.digest == greeting.since);
        let heard = greeting.version.is_some() || self.heard_ours(env.store)?;
        let welcome = !env.engine.is_blank() && door::lets_in(env, self.peer, greeting.fallback);
        if !heard || !welcome {
            self.out.control(Frame::SayHello);
            return Ok(());
        }
        self.refresh_shared(env.engine);
        let mine = self.holds(env.engine);
        let same_here = mine == greeting.since || canary::sings(Canary::VerifiedTooEarly);
        let mut rows = Vec::new();
        if same_here && (met.is_some() || greeting.same) {
            // Equal now, whatever either remembers.
        } else if let (Some(met), false) = (met, same_here) {
            match self.since(env, met.through)? {
                Some(since) => rows = since,
                None => {
                    self.out.control(Frame::SayHello);
                    return Ok(());
                }
            }
        } else if let Some(charters) = greeting.charter {
            self.protocol = greeting.version.unwrap_or(PROTOCOL_MIN).min(PROTOCOL);
            self.top_due = Some(self.top(charters == short_charter(&self.digests(env.engine))));
        } else {
            self.out.control(Frame::SayHello);
            return Ok(());
        }
        self.open = true;
        self.understood(greeting.version);
        self.news_at = env.engine.news_end();
        let equal = greeting.same && same_here;
        // What it brings may rest on a charter of its own; nothing was said of the two charters yet.
        self.charters_differ = !equal;
        let tree = greeting.version.is_some();
        self.peer_acks = Some(if tree { PeerAcks::Tree(greeting.acks) } else { PeerAcks::Flat(greeting.acks) });
        // Who says the right digest of them knows this store, and what this end speaks.
        let charter = env.engine.charter();
        let (side, me) = (Side::of(charter, &self.peer), Side::of(charter, &env.engine.device()));
        // One that was updated since says so, which a welcome does not.
        let told = self.heard_ours(env.store)?;
        let known = tree && told && matches!(self.acks_lacking(env, &side, &me)?, Lacks::New | Lacks::Others);
        self.registers_shown(env, greeting.registers)?;
        if equal {
            self.said(0, mine);
            self.peer_said = Some(mine);
        }
        if greeting.same {
            self.peer_held = Some(greeting.since);
            self.respond(env)?;
        }
        // Acknowledgements and registers come beside the answer: a lower end that is told *same* hangs up.
        let same = equal && self.out.is_empty();
        let registers = self.registers_held(env)?;
        self.clock_told = Some(env.now);
        let version = greeting.version.map(|_| PROTOCOL);
        let epoch = env.engine.epoch();
        let clock = env.now;
        self.out.opening(if known {
            Frame::Welcome(Welcome { clock, same, registers })
        } else {
            Frame::Greeted(Greeted { epoch, clock, same, registers, version })
        });
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
        self.understood(greeted.version);
        self.let_in(env, Batch::at(env.now), greeted.epoch, greeted.clock)?;
        self.note_clock(env, greeted.clock)?;
        self.registers_shown(env, greeted.registers)?;
        self.hand_in_aside(env)?;
        if let (true, Some(said)) = (greeted.same, self.said) {
            self.awaiting = false;
            self.heard = Some(0);
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

    /// The lower end: its greeting was understood, by the store that it knows.
    pub(super) fn take_welcome(&mut self, env: &mut Env<'_>, welcome: &Welcome) -> Result<(), SessionError> {
        let Some((epoch, _)) = told_epoch(env.store, &self.peer)? else {
            return Err(SessionError::PeerOrder("Welcome"));
        };
        let Welcome { clock, same, registers } = *welcome;
        self.take_greeted(env, &Greeted { epoch, clock, same, registers, version: Some(self.protocol) })
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
        self.heard = None;
        self.awaiting = false;
        self.refresh_shared(env.engine);
        self.news_at = env.engine.news_end();
        self.say_hello(env)
    }

    /// Who greets, or answers a greeting, speaks at least the protocol of greetings.
    fn understood(&mut self, version: Option<u16>) {
        self.peer_greets = true;
        self.protocol = version.unwrap_or(PROTOCOL_GREETS).clamp(PROTOCOL_GREETS, PROTOCOL);
    }

    /// The upper end: whether this peer has heard of the newest protocol that this end speaks, or has said that it does
    /// not know it.
    fn heard_ours(&self, store: &dyn Store) -> Result<bool, StoreError> {
        let spoken = store.meta(&meta::spoken_with(&self.peer))?.and_then(|b| b.try_into().ok());
        Ok(spoken.map(u16::from_le_bytes) == Some(PROTOCOL))
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
        let heard = [self.protocol.to_le_bytes(), PROTOCOL.to_le_bytes()].concat();
        batch.meta.insert(meta::peer_protocol(&self.peer), Some(heard));
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
}

/// The charters of what two ends share, in brief.
fn short_charter(digests: &ScopeDigests) -> ShortDigest {
    ShortDigest(tagged16("met-charter", &[&digests.charter.0]))
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
