//! Marks: the ends of turns, and when two ends are found equal.
//!
//! It does not: say what is sent in a turn (`talk`).
//!
//! Invariants: *verified* is noted only where both ends' digests are equal and nothing waits to be said; repairs are
//! bounded.

use super::door::{self, Door};
use super::nodes::Top;
use super::session::Session;
use super::terms::{Env, Event, Role, SessionError};
use crate::canary::{self, Canary};
use crate::engine::{Engine, meta};
use crate::frontier::ShortDigest;
use crate::limits::{CLOCK_TOLD_EVERY_MS, MARKS_KEPT_MAX};
use crate::store::{Batch, StoreError};
use crate::time::Millis;
use crate::wire::frame::{PROTOCOL, ScopeDigests, ShortMark};

impl Session {
    pub(super) fn take_mark(&mut self, env: &mut Env<'_>, mark: &ShortMark) -> Result<(), SessionError> {
        if self.awaiting {
            self.awaiting = false;
            self.stats.round_trips += 1;
        }
        self.peer_said = Some(mark.holds);
        self.peer_held = self.peer_said;
        self.peer_mark = mark.number;
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
                self.queue_top(env.engine, Top::Whole);
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
    pub(super) fn clock_due(&mut self, clock: Millis) -> bool {
        let due = self.role == Role::Upper
            && self.clock_told.is_none_or(|told| clock.0.abs_diff(told.0) >= CLOCK_TOLD_EVERY_MS);
        if due {
            self.clock_told = Some(clock);
        }
        due
    }

    /// What this end says in a mark, or, as number 0, in its greeting.
    pub(super) fn said(&mut self, number: u64, holds: ShortDigest) {
        self.said = Some(holds);
        self.said_at.insert(number, holds);
        if self.said_at.len() > MARKS_KEPT_MAX {
            self.said_at.pop_first();
        }
    }

    /// Commits that this session has carried either way.
    pub(super) fn moved(&self) -> u64 {
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
                batch.meta.insert(meta::spoken_with(&self.peer), Some(PROTOCOL.to_le_bytes().to_vec()));
                self.note_meeting(env, &mut batch)?;
            }
        }
        self.note_met(env, &mut batch)?;
        self.note_registers_sent(&mut batch);
        env.store.write(&batch)?;
        self.events.push_back(Event::Verified);
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
}
