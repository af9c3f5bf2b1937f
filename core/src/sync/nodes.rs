//! Digest trees: what is shown of their tops, and how both ends go down to what differs.
//!
//! It does not: compare spaces (`talk`) or compute digests (`frontier::tree`).
//!
//! Invariants: each node and each space's frontier is shown at most once between two verifications; short nodes lead
//! the way once, and where they led nowhere whole digests do.

use super::session::Session;
use super::terms::{Env, SessionError};
use crate::engine::Engine;
use crate::frontier::tree::Holdings;
use crate::id::{Digest, Glance, SpaceId, UnitId};
use crate::limits::FRAME_SPACES_MAX;
use crate::scope::Item;
use crate::wire::frame::{ChildDigest, Frame, PROTOCOL_SHORT, ShortNode, SpaceFrontier, Tree, TreeNode};
use std::collections::{BTreeMap, BTreeSet};

/// How the top of what is shared is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Top {
    /// All of it, with whole digests.
    Whole,
    /// All of it.
    Short,
    /// But for the charters, which are equal.
    ShortData,
}

/// What is said next on the way down.
#[derive(Debug, Default)]
struct Down {
    spaces: Vec<SpaceFrontier>,
    nodes: Vec<TreeNode>,
    short: Vec<ShortNode>,
}

impl Session {
    /// The short form where the peer reads it.
    pub(super) fn top(&self, charters_equal: bool) -> Top {
        match (self.protocol >= PROTOCOL_SHORT && !self.blank, charters_equal) {
            (true, true) => Top::ShortData,
            (true, false) => Top::Short,
            (false, _) => Top::Whole,
        }
    }

    /// Everything at the top of the shared scope: frontiers of single spaces, nodes of trees.
    pub(super) fn queue_top(&mut self, engine: &Engine, top: Top) {
        self.frontier_sent.clear();
        self.nodes_sent.clear();
        self.inventory_sent.clear();
        let (charter, holdings) = (engine.charter(), engine.holdings());
        let mut down = Down::default();
        let charters = if top == Top::ShortData { None } else { Some(&self.shared.charter) };
        let items: Vec<Item> = charters.into_iter().flatten().chain(&self.shared.data).copied().collect();
        for item in items {
            match (item, top) {
                (Item::Space(space), _) => self.show_space(engine, space, &mut down),
                (Item::Subtree(unit, tree), Top::Whole) => {
                    self.nodes_sent.insert((unit, tree));
                    down.nodes.push(holdings.node(charter, &unit, tree));
                }
                (Item::Subtree(unit, tree), Top::Short | Top::ShortData) => {
                    self.nodes_sent.insert((unit, tree));
                    down.short.push(holdings.short_node(charter, &unit, tree));
                }
            }
        }
        self.say_down(down);
    }

    /// Goes down where the peer's tree differs from ours.
    pub(super) fn answer_nodes(&mut self, engine: &Engine, theirs: &[TreeNode]) {
        let (charter, holdings) = (engine.charter(), engine.holdings());
        let mut down = Down::default();
        for node in theirs {
            if self.blank && node.tree == Tree::Charter {
                self.show_space(engine, SpaceId::charter(node.unit), &mut down);
                continue;
            }
            if !self.shared.contains_node(charter, &node.unit, node.tree) {
                // The peer knows a unit that our charter has not yet: compared again when it has.
                continue;
            }
            let mine = holdings.node(charter, &node.unit, node.tree);
            if mine.own != node.own {
                self.show_space(engine, Holdings::space_of(node), &mut down);
            }
            for unit in differing(&mine.children, &node.children) {
                self.go_down(engine, unit, node.tree, false, &mut down);
            }
        }
        self.say_down(down);
    }

    /// The same for short nodes, of spaces and of acknowledgements.
    pub(super) fn answer_short_nodes(&mut self, env: &mut Env<'_>, theirs: &[ShortNode]) -> Result<(), SessionError> {
        let mut down = Down::default();
        for node in theirs {
            let Some(tree) = node.tree else {
                self.answer_acks_node(env, node, &mut down.short)?;
                continue;
            };
            let engine = &*env.engine;
            if !self.shared.contains_node(engine.charter(), &node.unit, tree) {
                continue;
            }
            let mine = engine.holdings().short_node(engine.charter(), &node.unit, tree);
            if mine.own != node.own {
                self.show_space(engine, Holdings::tree_space(node.unit, tree), &mut down);
            }
            for unit in differing_short(engine, &mine, node) {
                self.go_down(engine, unit, tree, true, &mut down);
            }
        }
        self.say_down(down);
        Ok(())
    }

    /// Into a unit whose subtrees differ: of one that has nothing below it the space is shown at once.
    fn go_down(&mut self, engine: &Engine, unit: UnitId, tree: Tree, short: bool, down: &mut Down) {
        let (charter, holdings) = (engine.charter(), engine.holdings());
        // The peer's list may name any unit: a sibling's node is none of its business.
        if !self.shared.contains_node(charter, &unit, tree) {
            return;
        }
        if charter.unit(&unit).is_some_and(|u| u.children.is_empty()) {
            self.show_space(engine, Holdings::tree_space(unit, tree), down);
        } else if self.nodes_sent.insert((unit, tree)) {
            if short {
                down.short.push(holdings.short_node(charter, &unit, tree));
            } else {
                down.nodes.push(holdings.node(charter, &unit, tree));
            }
        }
    }

    fn show_space(&mut self, engine: &Engine, space: SpaceId, down: &mut Down) {
        if self.frontier_sent.insert(space) {
            let tips = engine.holdings().tips(&space).cloned().unwrap_or_default();
            down.spaces.push(SpaceFrontier::of(space, &tips));
        }
    }

    fn say_down(&mut self, down: Down) {
        for chunk in down.spaces.chunks(FRAME_SPACES_MAX) {
            self.out.control(Frame::Frontier(chunk.to_vec()));
        }
        for chunk in down.nodes.chunks(FRAME_SPACES_MAX) {
            self.out.control(Frame::Nodes(chunk.to_vec()));
        }
        for chunk in down.short.chunks(FRAME_SPACES_MAX) {
            self.out.control(Frame::ShortNodes(chunk.to_vec()));
        }
    }
}

/// Children whose digests differ, absent ones counting as zero.
fn differing(mine: &[ChildDigest], theirs: &[ChildDigest]) -> BTreeSet<UnitId> {
    let map = |list: &[ChildDigest]| list.iter().map(|c| (c.unit, c.digest)).collect::<BTreeMap<UnitId, Digest>>();
    let (a, b) = (map(mine), map(theirs));
    a.keys().chain(b.keys()).filter(|u| a.get(u) != b.get(u)).copied().collect()
}

/// The same of short nodes: all of ours where the peer's charter has another number of them.
pub(super) fn differing_short(engine: &Engine, mine: &ShortNode, theirs: &ShortNode) -> Vec<UnitId> {
    let Some(unit) = engine.charter().unit(&mine.unit) else { return Vec::new() };
    let alike = mine.children.len() == theirs.children.len();
    let pairs = mine.children.chunks(Glance::LEN).zip(theirs.children.chunks(Glance::LEN));
    let same: Vec<bool> = pairs.map(|(a, b)| alike && a == b).collect();
    unit.children.iter().zip(0..).filter(|(_, at)| same.get(*at) != Some(&true)).map(|(u, _)| *u).collect()
}
