//! What a side says in a turn: the commits that the peer lacks, and what it needs to know to send the
//! rest.
//!
//! It does not: send (`outbox`), take frames (`receive`), go down digest trees (`nodes`) or acknowledge (`acks`).
//!
//! Invariants: a commit is planned only when it is known to be missing at the peer, or by an inventory
//! in a forked log; each comparison is answered at most once between two verifications.

use super::acks::Lacks;
use super::greet::stored_since;
use super::nodes::Top;
use super::session::Session;
use super::terms::{Env, Role, SessionError};
use crate::engine::News;
use crate::frontier::SpaceTips;
use crate::id::{Flow, LogId, SpaceId, UnitId};
use crate::limits::FRAME_SPACES_MAX;
use crate::scope::Side;
use crate::store::{CommitKey, CommitRow, Store};
use crate::wire::frame::{Frame, SpaceFrontier};
use std::collections::BTreeSet;

impl Session {
    /// Offers what the peer's last acknowledgement does not cover, before it was asked: one round trip
    /// for a branch with news.
    pub(super) fn push_unacknowledged(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let side = Side::of(env.engine.charter(), &env.engine.device());
        // A relay's children are acknowledged one by one: it compares frontiers instead.
        if side.subtrees().next().is_some() || side.units.len() != 1 {
            return Ok(());
        }
        let Some(unit) = side.units.first() else { return Ok(()) };
        let acked = env.store.acks(Some(*unit))?.into_iter().find(|a| a.relay == self.peer);
        let Some(acked) = acked.filter(|a| a.through > CommitKey(0)) else { return Ok(()) };
        let own = env.engine.device();
        let charter = env.engine.charter();
        let wanted = |log: &LogId| {
            log.device == own && log.space.flow != Flow::Charter && self.shared.contains(charter, &log.space)
        };
        let rows = stored_since(env.store, acked.through, usize::MAX, wanted)?.unwrap_or_default();
        // The peer may hold some of it already, from a link that was cut before it could say so. A short
        // day's work is sent again without asking; of a backlog only what comparing shows missing, or a
        // link that is cut again and again would start it anew each time and never end.
        if self.is_short(env, &rows)? {
            self.out.offer(rows);
        }
        Ok(())
    }

    /// Works through everything that the peer said since the last turn.
    pub(super) fn respond(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        if let Some(top) = self.top_due.take() {
            self.queue_top(env.engine, top);
        }
        self.unanswered = 0;
        let nodes = std::mem::take(&mut self.peer_nodes);
        self.answer_nodes(env.engine, &nodes);
        let nodes = std::mem::take(&mut self.peer_short_nodes);
        self.answer_short_nodes(env, &nodes)?;
        for (log, inventory) in std::mem::take(&mut self.peer_inventories) {
            let rows = env.store.missing_from(&log, &inventory)?;
            self.out.offer(rows.into_iter().map(|r| (log, r)).collect());
            self.send_inventory(env.store, log)?;
        }
        let mut rows = Vec::new();
        let mut ask: Vec<SpaceFrontier> = Vec::new();
        for (space, theirs) in std::mem::take(&mut self.peer_frontiers) {
            let settled = self.compare_space(env, space, &theirs, &mut rows, &mut ask)?;
            if !settled {
                self.peer_frontiers.insert(space, theirs);
            }
        }
        for chunk in ask.chunks(FRAME_SPACES_MAX) {
            self.out.control(Frame::Frontier(chunk.to_vec()));
        }
        self.out.offer(rows);
        if self.role == Role::Upper && !self.blank {
            self.acknowledge(env)?;
            self.queue_registers(env)?;
        }
        if self.role == Role::Lower {
            self.queue_registers(env)?;
        }
        Ok(())
    }

    /// Compares one space; true when nothing about it is left open.
    fn compare_space(
        &mut self,
        env: &mut Env<'_>,
        space: SpaceId,
        theirs: &SpaceTips,
        rows: &mut Vec<(LogId, CommitRow)>,
        ask: &mut Vec<SpaceFrontier>,
    ) -> Result<bool, SessionError> {
        let mine = env.engine.holdings().tips(&space).cloned().unwrap_or_default();
        let mut settled = true;
        for ((device, incarnation), _) in mine.logs() {
            let log = LogId { space, device: *device, incarnation: *incarnation };
            let have = theirs.tips(*device, *incarnation);
            let ids: Vec<_> = have.iter().copied().collect();
            if env.store.known(&ids)?.iter().all(Option::is_some) {
                rows.extend(env.store.missing(&log, &have)?.into_iter().map(|r| (log, r)));
            } else {
                settled = false;
                if self.frontier_sent.contains(&space) {
                    // The peer saw our tips and has sent what it could: the log has forked.
                    self.send_inventory(env.store, log)?;
                }
            }
        }
        let unknown = theirs.logs().any(|((d, i), tips)| !tips.is_empty() && mine.tips(*d, *i).is_empty());
        if unknown {
            settled = false;
        }
        if !settled && self.frontier_sent.insert(space) {
            ask.push(SpaceFrontier::of(space, &mine));
        }
        Ok(settled)
    }

    fn send_inventory(&mut self, store: &dyn Store, log: LogId) -> Result<(), SessionError> {
        if self.inventory_sent.insert(log) {
            self.out.control(Frame::Inventory { log, commits: store.inventory(&log)? });
        }
        Ok(())
    }

    /// What the engine told since this session last looked.
    pub(super) fn take_news(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let (mut rows, mut acked) = (Vec::new(), BTreeSet::new());
        // Another session may have brought what this one's commits wait for.
        let mut ready = Vec::new();
        match env.engine.news_since(self.news_at) {
            None => {
                ready = self.orphans.all();
                self.queue_top(env.engine, Top::Whole);
            }
            Some(news) => {
                for n in news {
                    match n {
                        // What this session itself brought the outbox knows; the peer's twin on a cloned disk
                        // has the same name and needs it.
                        News::Commit { log, row } => {
                            ready.extend(self.orphans.of(&[row.id]));
                            if self.shared.contains(env.engine.charter(), &log.space) {
                                // What came by another way changes what is held of a unit of the peer's: it is
                                // told anew, or its tick would wait for the peer's next visit.
                                if self.role == Role::Upper && log.space.flow == Flow::Up && !self.out.knows(row.key) {
                                    self.touched.insert(log.space.unit);
                                    self.acknowledge_due = true;
                                }
                                rows.push((*log, row.clone()));
                            }
                        }
                        News::Acks(unit) => {
                            acked.insert(*unit);
                        }
                    }
                }
            }
        }
        self.news_at = env.engine.news_end();
        self.out.offer(rows);
        self.take_commits(env, &ready)?;
        if std::mem::take(&mut self.acknowledge_due) && !self.blank {
            self.acknowledge(env)?;
        }
        if self.role == Role::Upper && !self.blank && !acked.is_empty() {
            let side = Side::of(env.engine.charter(), &self.peer);
            let in_side = |u: &UnitId| side.covers(env.engine.charter(), u);
            let units: BTreeSet<UnitId> = acked.into_iter().filter(in_side).collect();
            self.pass_acks(env, &units, Lacks::New)?;
        }
        Ok(())
    }
}
