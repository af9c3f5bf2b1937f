//! Digest trees: the organisation's own tree as a Merkle tree over the frontiers of its spaces.
//!
//! It does not: know sessions or rights (`scope` says which trees two ends compare).
//!
//! Invariants: a subtree's digest is H(own space, children's digests by unit id); subtrees that hold
//! nothing have the zero digest and are left out of their parent's, so that a unit created but not
//! yet used changes no data digest. Digests of inner nodes are cached until a space below changes.

use super::SpaceTips;
use crate::charter::Charter;
use crate::hash::tagged;
use crate::id::{CommitId, DeviceId, Digest, Flow, Glance, Incarnation, SpaceId, UnitId};
use crate::wire::frame::{ChildDigest, ShortNode, Tree, TreeNode};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The frontier of everything a store holds, with digests per space and per subtree.
#[derive(Debug, Default)]
pub struct Holdings {
    spaces: BTreeMap<SpaceId, SpaceTips>,
    own: RefCell<BTreeMap<SpaceId, Digest>>,
    subtrees: RefCell<BTreeMap<(UnitId, Tree), Digest>>,
}

impl Holdings {
    /// From the tips that a store holds.
    #[must_use]
    pub fn new(spaces: BTreeMap<SpaceId, SpaceTips>) -> Self {
        Self { spaces, ..Self::default() }
    }

    /// The tips of a space.
    #[must_use]
    pub fn tips(&self, space: &SpaceId) -> Option<&SpaceTips> {
        self.spaces.get(space)
    }

    /// Every space with commits.
    pub fn spaces(&self) -> impl Iterator<Item = (&SpaceId, &SpaceTips)> {
        self.spaces.iter()
    }

    /// The spaces of one unit with commits.
    pub fn spaces_of(&self, unit: &UnitId) -> impl Iterator<Item = (&SpaceId, &SpaceTips)> {
        let first = SpaceId { unit: *unit, flow: Flow::Charter, reach: 0 };
        let last = SpaceId { unit: *unit, flow: Flow::Inbox, reach: u8::MAX };
        self.spaces.range(first..=last)
    }

    /// The spaces of the units from one to another, both included, but for their charters.
    pub fn data_spaces_between(&self, (first, last): (UnitId, UnitId)) -> impl Iterator<Item = (&SpaceId, &SpaceTips)> {
        let first = SpaceId { unit: first, flow: Flow::Charter, reach: 0 };
        let last = SpaceId { unit: last, flow: Flow::Inbox, reach: u8::MAX };
        self.spaces.range(first..=last).filter(|(s, _)| s.flow != Flow::Charter)
    }

    /// Takes in a stored commit.
    pub fn advance(
        &mut self,
        charter: &Charter,
        space: SpaceId,
        device: DeviceId,
        incarnation: Incarnation,
        id: CommitId,
        parents: &[CommitId],
    ) {
        self.spaces.entry(space).or_default().advance(device, incarnation, id, parents);
        self.own.borrow_mut().remove(&space);
        let tree = match space.flow {
            Flow::Charter => Tree::Charter,
            Flow::Up => Tree::Up(space.reach),
            Flow::Down | Flow::Group | Flow::Local | Flow::Inbox => return,
        };
        let mut subtrees = self.subtrees.borrow_mut();
        subtrees.remove(&(space.unit, tree));
        for u in charter.chain(&space.unit) {
            subtrees.remove(&(u.id, tree));
        }
    }

    /// Forgets cached subtrees: after the tree of units changed.
    pub fn tree_changed(&mut self) {
        self.subtrees.borrow_mut().clear();
    }

    /// The digest of one space, zero when it holds nothing.
    #[must_use]
    pub fn space_digest(&self, space: &SpaceId) -> Digest {
        if let Some(d) = self.own.borrow().get(space) {
            return *d;
        }
        let digest = self.spaces.get(space).map(|t| t.digest(space)).unwrap_or_default();
        self.own.borrow_mut().insert(*space, digest);
        digest
    }

    /// The space that a unit has in a tree.
    #[must_use]
    pub fn tree_space(unit: UnitId, tree: Tree) -> SpaceId {
        match tree {
            Tree::Charter => SpaceId::charter(unit),
            Tree::Up(reach) => SpaceId { unit, flow: Flow::Up, reach },
        }
    }

    /// The digest of a unit's subtree in one tree.
    #[must_use]
    pub fn subtree_digest(&self, charter: &Charter, unit: &UnitId, tree: Tree) -> Digest {
        if let Some(d) = self.subtrees.borrow().get(&(*unit, tree)) {
            return *d;
        }
        let own = self.space_digest(&Self::tree_space(*unit, tree));
        let children = self.children(charter, unit, tree);
        let digest = if children.is_empty() && own == Digest::default() {
            Digest::default()
        } else {
            let mut bytes = Vec::with_capacity(children.len() * 48);
            for c in &children {
                bytes.extend_from_slice(&c.unit.0);
                bytes.extend_from_slice(&c.digest.0);
            }
            Digest(tagged("subtree", &[&unit.0, &own.0, &bytes]))
        };
        self.subtrees.borrow_mut().insert((*unit, tree), digest);
        digest
    }

    fn children(&self, charter: &Charter, unit: &UnitId, tree: Tree) -> Vec<ChildDigest> {
        let ids = charter.unit(unit).map(|u| u.children.iter().copied().collect::<Vec<_>>()).unwrap_or_default();
        let digests = ids.into_iter().map(|c| ChildDigest { unit: c, digest: self.subtree_digest(charter, &c, tree) });
        digests.filter(|c| c.digest != Digest::default()).collect()
    }

    /// A node as a peer is shown it.
    #[must_use]
    pub fn node(&self, charter: &Charter, unit: &UnitId, tree: Tree) -> TreeNode {
        let own = self.space_digest(&Self::tree_space(*unit, tree));
        TreeNode { unit: *unit, tree, own, children: self.children(charter, unit, tree) }
    }

    /// The same, as short as it goes.
    #[must_use]
    pub fn short_node(&self, charter: &Charter, unit: &UnitId, tree: Tree) -> ShortNode {
        let own = Glance::of(&self.space_digest(&Self::tree_space(*unit, tree)).0);
        let below = charter.unit(unit).map(|u| &u.children);
        let children =
            below.into_iter().flatten().flat_map(|c| Glance::of(&self.subtree_digest(charter, c, tree).0).0).collect();
        ShortNode { unit: *unit, tree: Some(tree), own, children }
    }

    /// The space that a tree node stands for.
    #[must_use]
    pub fn space_of(node: &TreeNode) -> SpaceId {
        Self::tree_space(node.unit, node.tree)
    }

    /// The digest of a unit's own `up` spaces that reach a level: what a relay there acknowledges.
    #[must_use]
    pub fn own_up_digest(&self, unit: &UnitId, level: u8) -> Digest {
        let mut bytes = Vec::new();
        for (space, _) in self.spaces_of(unit) {
            if space.flow == Flow::Up && space.reach <= level {
                bytes.push(space.reach);
                bytes.extend_from_slice(&self.space_digest(space).0);
            }
        }
        Digest(tagged("own-up", &[&unit.0, &bytes]))
    }
}
