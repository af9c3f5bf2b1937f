//! Commits that the peer brings: what is taken, what waits, what is asked for once more.
//!
//! It does not: judge a commit (`engine::intake`).
//!
//! Invariants: only what both share is taken; what lacks its parents or its charter waits within the limits; each
//! commit is sent whole at most once.

use super::door::{self, Door};
use super::orphans::Lacks;
use super::session::Session;
use super::terms::{Env, Event, Role, SessionError};
use crate::charter::Charter;
use crate::engine::{Engine, Intake, IntakeError};
use crate::id::{CommitId, Flow, SpaceId};
use crate::limits::{FRAME_ENTRIES_MAX, JOINED_UNHEARD_MAX, WAITING_COMMITS_MAX};
use crate::store::CommitKey;
use crate::wire::frame::{AckSet, Frame, Group, SpaceFrontier};

impl Session {
    /// Keeps what the peer says of a space that both share. Another is left out: the peer may know a
    /// charter that we lack, and a later comparison finds it again.
    pub(super) fn note_frontier(&mut self, engine: &Engine, said: &SpaceFrontier) {
        if self.may_bring(engine.charter(), &said.space) {
            self.peer_frontiers.insert(said.space, said.tips());
        }
    }

    /// Whether the peer may hand over commits of a space: what both share; and charters, where this
    /// side has none yet.
    pub(super) fn may_bring(&self, charter: &Charter, space: &SpaceId) -> bool {
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
    pub(super) fn ask_whole(&mut self, commits: Vec<CommitId>, groups: Vec<u64>) -> Result<(), SessionError> {
        self.asked_whole += 1;
        if self.asked_whole > WAITING_COMMITS_MAX {
            return Err(SessionError::PeerFlood);
        }
        self.out.control(Frame::Plain { commits, groups });
        self.ask();
        Ok(())
    }

    /// Sends commits again that the peer could not read without what they build on: each once.
    pub(super) fn send_whole(
        &mut self,
        env: &mut Env<'_>,
        mut ids: Vec<CommitId>,
        groups: &[u64],
    ) -> Result<(), SessionError> {
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
    pub(super) fn placed(&mut self, charter: &Charter) -> Vec<Group> {
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
    pub(super) fn take_group(&mut self, env: &mut Env<'_>, group: &Group) -> Result<Vec<CommitId>, SessionError> {
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

    pub(super) fn charter_changed(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
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
}
