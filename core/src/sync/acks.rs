//! Acknowledgements in a session: what the upper end signs, what of it and of those above the peer is shown.
//!
//! It does not: make or judge them (`engine::acks`), or know their short forms (`own_ack`, `short_ack`).
//!
//! Invariants: what the peer's opening shows it to have is not shown again; where two ends of many units differ, only the
//! units that differ are; a statement is shown at most once a session.

use super::nodes::differing_short;
use super::session::Session;
use super::terms::{Env, Role, SessionError};
use crate::engine::told_epoch;
use crate::frontier::ShortDigest;
use crate::id::{Glance, UnitId};
use crate::limits::{ACK_LEAVES_MAX, FRAME_SPACES_MAX};
use crate::scope::Side;
use crate::store::StoreError;
use crate::wire::frame::{Frame, ShortNode};
use std::collections::{BTreeMap, BTreeSet};

/// Which statements about a unit the peer may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    /// Those that came since the opening.
    New,
    /// Those of this relay's own units.
    Own,
    /// All others.
    Others,
    /// Any.
    Any,
}

/// What the peer's opening says of the acknowledgements that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerAcks {
    /// A digest of digests.
    Tree(ShortDigest),
    /// A digest of all of them, by a peer of protocol 2.
    Flat(ShortDigest),
}

impl Session {
    /// The lower end: what its opening says.
    pub(super) fn acks_held(&self, env: &Env<'_>, tree: bool) -> Result<ShortDigest, StoreError> {
        let charter = env.engine.charter();
        let (lower, upper) = (Side::of(charter, &env.engine.device()), Side::of(charter, &self.peer));
        if tree {
            let epoch = told_epoch(env.store, &self.peer)?.map(|(epoch, _)| epoch).unwrap_or_default();
            env.engine.acks_digest(env.store, (&lower, &upper), epoch)
        } else {
            env.engine.acks_digest_flat(env.store, &all_units(env, &lower), &upper)
        }
    }

    /// Signs for what is held of the peer's units, and passes down what those above have signed.
    pub(super) fn acknowledge(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let side = Side::of(env.engine.charter(), &self.peer);
        let me = Side::of(env.engine.charter(), &env.engine.device());
        let mut todo: BTreeSet<UnitId> = std::mem::take(&mut self.touched);
        let mut lacking = (BTreeSet::new(), Lacks::New);
        if std::mem::take(&mut self.acknowledge_all) {
            lacking = self.compare_acks(env, &side, &me)?;
            todo.extend(env.engine.acks_due(env.store, &side)?);
        }
        let mut by_relay: BTreeMap<UnitId, BTreeSet<UnitId>> = BTreeMap::new();
        for unit in &todo {
            let holds = env.engine.holdings().spaces_of(unit).any(|(s, _)| s.flow == crate::id::Flow::Up);
            let relay = env.engine.charter().chain(unit).map(|u| u.id).find(|u| me.relay_units.contains(u));
            if let (true, Some(relay)) = (holds, relay) {
                by_relay.entry(relay).or_default().insert(*unit);
            }
        }
        for (relay, units) in by_relay {
            let units: Vec<UnitId> = units.into_iter().collect();
            for some in units.chunks(ACK_LEAVES_MAX) {
                let said = env.engine.acknowledge(env.store, relay, &some.iter().copied().collect(), env.now)?;
                // A device without units below is shown its own leaf with its proof, by `pass_acks`.
                let Some(set) = said.filter(|_| side.subtrees().next().is_some()) else { continue };
                let counter = set.register.trust().map_or(0, |r| r.counter);
                for leaf in &set.leaves {
                    self.acks_sent.insert((leaf.unit, relay), counter);
                    // What others said of it the peer has, or lacks by the comparing above.
                    todo.remove(&leaf.unit);
                }
                match self.short_ack(env, &set) {
                    Some(short) => {
                        self.acks_short.extend(set.leaves.iter().map(|leaf| leaf.unit));
                        self.out.registers(Frame::ShortAcks(vec![short]));
                    }
                    None => self.out.registers(Frame::Acks(vec![set])),
                }
            }
        }
        self.pass_acks(env, &lacking.0, lacking.1)?;
        self.pass_acks(env, &todo, Lacks::New)
    }

    /// The upper end: what the peer lacks by what its opening says.
    pub(super) fn acks_lacking(&self, env: &Env<'_>, side: &Side, me: &Side) -> Result<Lacks, StoreError> {
        let engine = &*env.engine;
        Ok(match self.peer_acks {
            Some(PeerAcks::Tree(theirs)) => {
                let mine = engine.acks_digest(env.store, (side, me), engine.epoch())?;
                let half = Glance::LEN;
                match (theirs.0[..half] == mine.0[..half], theirs.0[half..] == mine.0[half..]) {
                    (true, true) => Lacks::New,
                    (false, true) => Lacks::Own,
                    (true, false) => Lacks::Others,
                    (false, false) => Lacks::Any,
                }
            }
            Some(PeerAcks::Flat(theirs)) => {
                let equal = theirs == engine.acks_digest_flat(env.store, &all_units(env, side), me)?;
                if equal { Lacks::New } else { Lacks::Any }
            }
            None => Lacks::Any,
        })
    }

    /// Compares with what the peer's opening says that it has; the units of which it may lack something, and what.
    fn compare_acks(
        &mut self,
        env: &Env<'_>,
        side: &Side,
        me: &Side,
    ) -> Result<(BTreeSet<UnitId>, Lacks), SessionError> {
        let engine = &*env.engine;
        let lacks = self.acks_lacking(env, side, me)?;
        let tree = matches!(self.peer_acks, Some(PeerAcks::Tree(_)));
        if lacks == Lacks::New || tree {
            self.acks_equal_at = engine.acks_at(env.store)?;
        }
        if lacks == Lacks::New {
            return Ok((BTreeSet::new(), lacks));
        }
        if !tree {
            return Ok((all_units(env, side), lacks));
        }
        let mut nodes = Vec::new();
        for unit in side.subtrees() {
            if self.acks_nodes_sent.insert(*unit) {
                nodes.extend(engine.acks_node(env.store, unit, me)?);
            }
        }
        for chunk in nodes.chunks(FRAME_SPACES_MAX) {
            self.out.control(Frame::ShortNodes(chunk.to_vec()));
        }
        Ok((side.units.clone(), lacks))
    }

    /// Goes down the tree of acknowledgements: the lower end shows its own where they differ, the upper passes what
    /// the lower lacks.
    pub(super) fn answer_acks_node(
        &mut self,
        env: &mut Env<'_>,
        theirs: &ShortNode,
        answer: &mut Vec<ShortNode>,
    ) -> Result<(), SessionError> {
        let charter = env.engine.charter();
        let (me, peer) = (Side::of(charter, &env.engine.device()), Side::of(charter, &self.peer));
        let (lower, upper) = if self.role == Role::Lower { (me, peer) } else { (peer, me) };
        // Of a sibling's units nothing is shown; and each costs reading: once.
        if !lower.covers(charter, &theirs.unit) || !self.acks_nodes_taken.insert(theirs.unit) {
            return Ok(());
        }
        let Some(mine) = env.engine.acks_node(env.store, &theirs.unit, &upper)? else { return Ok(()) };
        let below = differing_short(env.engine, &mine, theirs);
        let own = mine.own != theirs.own;
        if self.role == Role::Lower {
            let own = own.then_some(theirs.unit);
            for unit in own.into_iter().chain(below) {
                if self.acks_nodes_sent.insert(unit) {
                    answer.extend(env.engine.acks_node(env.store, &unit, &upper)?);
                }
            }
            return Ok(());
        }
        let mut lacking = BTreeSet::new();
        if own {
            lacking.insert(theirs.unit);
        }
        for unit in below {
            if env.engine.charter().unit(&unit).is_some_and(|u| u.children.is_empty()) {
                lacking.insert(unit);
            } else if self.acks_nodes_sent.insert(unit) {
                answer.extend(env.engine.acks_node(env.store, &unit, &upper)?);
            }
        }
        self.pass_acks(env, &lacking, Lacks::Any)
    }

    /// Passes down the statements about these units that the peer lacks and has not been shown in this session.
    pub(super) fn pass_acks(
        &mut self,
        env: &mut Env<'_>,
        units: &BTreeSet<UnitId>,
        lacks: Lacks,
    ) -> Result<(), SessionError> {
        let (mut sets, mut short) = (Vec::new(), Vec::new());
        let me = Side::of(env.engine.charter(), &env.engine.device());
        for unit in units {
            for (relay, counter, set) in env.engine.acks_for(env.store, unit)? {
                let shown = self.acks_sent.get(&(*unit, relay)).copied().unwrap_or(0);
                let known = match lacks {
                    Lacks::New => env.engine.ack_at(env.store, unit, &relay)? <= self.acks_equal_at,
                    Lacks::Own => !me.relay_units.contains(&relay),
                    Lacks::Others => me.relay_units.contains(&relay),
                    Lacks::Any => false,
                };
                if known || counter <= shown {
                    continue;
                }
                self.acks_sent.insert((*unit, relay), counter);
                if let Some(own) = self.own_ack(env, unit, &set) {
                    self.out.registers(Frame::OwnAck(own));
                } else if let Some(said) = self.short_ack(env, &set) {
                    self.acks_short.insert(*unit);
                    short.push(said);
                } else {
                    sets.push(set);
                }
            }
        }
        for chunk in short.chunks(FRAME_SPACES_MAX) {
            self.out.registers(Frame::ShortAcks(chunk.to_vec()));
        }
        for chunk in sets.chunks(FRAME_SPACES_MAX) {
            self.out.registers(Frame::Acks(chunk.to_vec()));
        }
        Ok(())
    }
}

/// The units of a side, with all below those that it has everything of.
pub(super) fn all_units(env: &Env<'_>, side: &Side) -> BTreeSet<UnitId> {
    let mut units = side.units.clone();
    let mut below: Vec<UnitId> = side.subtrees().copied().collect();
    while let Some(unit) = below.pop() {
        below.extend(env.engine.charter().unit(&unit).iter().flat_map(|u| &u.children));
        units.insert(unit);
    }
    units
}
