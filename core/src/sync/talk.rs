//! What a side says in a turn: the commits that the peer lacks, and what it needs to know to send the
//! rest.
//!
//! It does not: send (`outbox`) or take frames (`session`).
//!
//! Invariants: a commit is planned only when it is known to be missing at the peer, or by an inventory
//! in a forked log; each comparison is answered at most once between two verifications.

use super::greet::stored_since;
use super::session::Session;
use super::terms::{Env, Role, SessionError};
use crate::engine::{Engine, News};
use crate::frontier::SpaceTips;
use crate::frontier::tree::Holdings;
use crate::id::{Digest, Flow, LogId, SpaceId, UnitId};
use crate::limits::{ACK_LEAVES_MAX, FRAME_SPACES_MAX};
use crate::scope::{Item, Side};
use crate::store::{CommitKey, CommitRow, Store};
use crate::wire::frame::{ChildDigest, Frame, SpaceFrontier, Tree, TreeNode};
use std::collections::{BTreeMap, BTreeSet};

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
        if self.top_due {
            self.top_due = false;
            self.queue_top(env.engine);
        }
        self.unanswered = 0;
        let nodes = std::mem::take(&mut self.peer_nodes);
        self.answer_nodes(env.engine, &nodes)?;
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

    /// Everything at the top of the shared scope: frontiers of single spaces, nodes of trees.
    pub(super) fn queue_top(&mut self, engine: &Engine) {
        self.frontier_sent.clear();
        self.nodes_sent.clear();
        self.inventory_sent.clear();
        let (charter, holdings) = (engine.charter(), engine.holdings());
        let mut spaces = Vec::new();
        let mut nodes = Vec::new();
        for item in self.shared.charter.iter().chain(&self.shared.data) {
            match item {
                Item::Space(space) => {
                    self.frontier_sent.insert(*space);
                    spaces.push(SpaceFrontier::of(*space, &holdings.tips(space).cloned().unwrap_or_default()));
                }
                Item::Subtree(unit, tree) => {
                    self.nodes_sent.insert((*unit, *tree));
                    nodes.push(holdings.node(charter, unit, *tree));
                }
            }
        }
        for chunk in spaces.chunks(FRAME_SPACES_MAX) {
            self.out.control(Frame::Frontier(chunk.to_vec()));
        }
        for chunk in nodes.chunks(FRAME_SPACES_MAX) {
            self.out.control(Frame::Nodes(chunk.to_vec()));
        }
    }

    /// Goes down where the peer's tree differs from ours.
    fn answer_nodes(&mut self, engine: &Engine, theirs: &[TreeNode]) -> Result<(), SessionError> {
        let (charter, holdings) = (engine.charter(), engine.holdings());
        let mut spaces = Vec::new();
        let mut nodes = Vec::new();
        for node in theirs {
            if self.blank && node.tree == Tree::Charter {
                let space = SpaceId::charter(node.unit);
                if self.frontier_sent.insert(space) {
                    spaces.push(SpaceFrontier::of(space, &holdings.tips(&space).cloned().unwrap_or_default()));
                }
                continue;
            }
            if !self.shared.contains_node(charter, &node.unit, node.tree) {
                // The peer knows a unit that our charter has not yet: compared again when it has.
                continue;
            }
            let mine = holdings.node(charter, &node.unit, node.tree);
            if mine.own != node.own {
                let space = Holdings::space_of(node);
                if self.frontier_sent.insert(space) {
                    spaces.push(SpaceFrontier::of(space, &holdings.tips(&space).cloned().unwrap_or_default()));
                }
            }
            for unit in differing(&mine.children, &node.children) {
                // The peer's list may name any unit: a sibling's node is none of its business.
                if self.shared.contains_node(charter, &unit, node.tree) && self.nodes_sent.insert((unit, node.tree)) {
                    nodes.push(holdings.node(charter, &unit, node.tree));
                }
            }
        }
        for chunk in spaces.chunks(FRAME_SPACES_MAX) {
            self.out.control(Frame::Frontier(chunk.to_vec()));
        }
        for chunk in nodes.chunks(FRAME_SPACES_MAX) {
            self.out.control(Frame::Nodes(chunk.to_vec()));
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
                self.queue_top(env.engine);
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
            let units: Vec<UnitId> = acked.into_iter().filter(in_side).collect();
            self.pass_acks(env, &units)?;
        }
        Ok(())
    }

    /// Signs for what is held of the peer's units, and passes down what those above have signed.
    fn acknowledge(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let side = Side::of(env.engine.charter(), &self.peer);
        let me = Side::of(env.engine.charter(), &env.engine.device());
        let mut by_relay: BTreeMap<UnitId, BTreeSet<UnitId>> = BTreeMap::new();
        let mut passed = Vec::new();
        let mut todo: BTreeSet<UnitId> = std::mem::take(&mut self.touched);
        if std::mem::take(&mut self.acknowledge_all) {
            todo.extend(&side.units);
            let mut below: Vec<UnitId> = side.subtrees().copied().collect();
            while let Some(u) = below.pop() {
                below.extend(env.engine.charter().unit(&u).iter().flat_map(|u| &u.children));
                todo.insert(u);
            }
        }
        for unit in todo {
            let holds = env.engine.holdings().spaces_of(&unit).any(|(s, _)| s.flow == Flow::Up);
            let relay = env.engine.charter().chain(&unit).map(|u| u.id).find(|u| me.relay_units.contains(u));
            if let (true, Some(relay)) = (holds, relay) {
                by_relay.entry(relay).or_default().insert(unit);
                passed.push(unit);
            }
        }
        for (relay, units) in by_relay {
            let units: Vec<UnitId> = units.into_iter().collect();
            for some in units.chunks(ACK_LEAVES_MAX) {
                let said = env.engine.acknowledge(env.store, relay, &some.iter().copied().collect(), env.now)?;
                // A device without units below is shown its own leaf with its proof, by `pass_acks`.
                let Some(set) = said.filter(|_| side.subtrees().next().is_some()) else { continue };
                for leaf in &set.leaves {
                    self.acks_sent.insert((leaf.unit, relay), u64::MAX);
                }
                self.out.registers(Frame::Acks(vec![set]));
            }
        }
        self.pass_acks(env, &passed)
    }

    /// Passes down the statements about these units that the peer has not been shown in this session.
    fn pass_acks(&mut self, env: &mut Env<'_>, units: &[UnitId]) -> Result<(), SessionError> {
        let mut sets = Vec::new();
        for unit in units {
            for (relay, counter, set) in env.engine.acks_for(env.store, unit)? {
                let shown = self.acks_sent.get(&(*unit, relay)).copied().unwrap_or(0);
                // u64::MAX: this very statement went out whole a moment ago.
                if shown == u64::MAX {
                    self.acks_sent.insert((*unit, relay), counter);
                } else if counter > shown {
                    self.acks_sent.insert((*unit, relay), counter);
                    match self.own_ack(env, unit, &set) {
                        Some(own) => self.out.registers(Frame::OwnAck(own)),
                        None => sets.push(set),
                    }
                }
            }
        }
        for chunk in sets.chunks(FRAME_SPACES_MAX) {
            self.out.registers(Frame::Acks(chunk.to_vec()));
        }
        Ok(())
    }
}

/// Children whose digests differ, absent ones counting as zero.
fn differing(mine: &[ChildDigest], theirs: &[ChildDigest]) -> BTreeSet<UnitId> {
    let map = |list: &[ChildDigest]| list.iter().map(|c| (c.unit, c.digest)).collect::<BTreeMap<UnitId, Digest>>();
    let (a, b) = (map(mine), map(theirs));
    a.keys().chain(b.keys()).filter(|u| a.get(u) != b.get(u)).copied().collect()
}
