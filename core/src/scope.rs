//! Scope: who holds which space, and what two ends of a link share. One pure function of the charter
//! that both ends compute.
//!
//! It does not: read the store or send anything.
//!
//! Invariants: no sibling's space is ever in a shared scope; `local` spaces are in none.

use crate::charter::{Charter, Right, Roles};
use crate::frontier::tree::Holdings;
use crate::hash::tagged;
use crate::id::{DeviceId, Digest, Flow, SpaceId, UnitId};
use crate::wire::frame::{ScopeDigests, Tree};
use std::collections::BTreeSet;

mod ways;

pub use ways::{Rung, Way, is_top, serves, ways};

/// What a device holds, by its rights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    /// Units of which it holds the unit's own spaces.
    pub units: BTreeSet<UnitId>,
    /// Units of which it is a relay: it holds everything below as well, and serves it.
    pub relay_units: BTreeSet<UnitId>,
    /// Units of which it reads or edits everything below as well, without being a relay.
    pub below: BTreeSet<UnitId>,
    /// Units of which a narrowing or a close took it every right: their charters still come, because they say so.
    pub past: BTreeSet<UnitId>,
}

impl Side {
    /// The side of a device.
    #[must_use]
    pub fn of(charter: &Charter, device: &DeviceId) -> Self {
        let mut side = Self::of_rights(charter.rights(device));
        let cuts = charter.cuts().filter(|(key, cut)| *key == device && !cut.kind.is_final());
        side.past = cuts.map(|(_, cut)| cut.unit).filter(|unit| !side.covers(charter, unit)).collect();
        side
    }

    /// The side of whoever has these rights: a device, or the one that will use a ticket.
    #[must_use]
    pub fn of_rights<'a>(rights: impl IntoIterator<Item = &'a Right>) -> Self {
        let mut side = Self::default();
        for right in rights {
            if right.roles.contains(Roles::RELAY) {
                side.relay_units.insert(right.unit);
            } else if right.roles.contains(Roles::READER) && right.subtree {
                side.below.insert(right.unit);
            } else if right.roles.contains(Roles::READER) {
                side.units.insert(right.unit);
            }
        }
        side
    }

    /// Every unit it has a right on.
    #[must_use]
    pub fn all(&self) -> BTreeSet<UnitId> {
        self.units.iter().chain(self.subtrees()).copied().collect()
    }

    /// The units of which it holds everything below.
    pub fn subtrees(&self) -> impl Iterator<Item = &UnitId> {
        self.relay_units.iter().chain(&self.below)
    }

    /// Whether it holds the spaces of a unit.
    #[must_use]
    pub fn covers(&self, charter: &Charter, unit: &UnitId) -> bool {
        self.units.contains(unit)
            || charter.chain(unit).any(|u| self.relay_units.contains(&u.id) || self.below.contains(&u.id))
    }
}

/// One thing that two ends compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// One space.
    Space(SpaceId),
    /// A unit and all below it, in one digest tree.
    Subtree(UnitId, Tree),
}

impl Item {
    /// The unit that it is of.
    #[must_use]
    pub fn unit(&self) -> UnitId {
        match self {
            Item::Space(space) => space.unit,
            Item::Subtree(unit, _) => *unit,
        }
    }
}

/// What a lower and an upper end share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shared {
    /// Charter spaces and trees.
    pub charter: BTreeSet<Item>,
    /// Data spaces and trees.
    pub data: BTreeSet<Item>,
}

impl Shared {
    /// What `lower` and `upper` share; the upper end is a relay of an ancestor (or of the same unit).
    #[must_use]
    pub fn of(charter: &Charter, levels: &[String], lower: &Side, upper: &Side) -> Self {
        let mut out = Self::default();
        for unit in &lower.units {
            if let Some(over) = nearest(charter, unit, upper) {
                out.chain(charter, unit, &over, true);
                for reach in 0..=charter.level(&over, levels) {
                    out.data.insert(Item::Space(SpaceId { unit: *unit, flow: Flow::Up, reach }));
                }
                out.beyond(charter, levels, unit, &over);
            }
        }
        for unit in &lower.past {
            if nearest(charter, unit, upper).is_some() {
                out.charter.extend(charter.chain(unit).map(|u| Item::Space(SpaceId::charter(u.id))));
            }
        }
        for unit in lower.subtrees() {
            if let Some(over) = nearest(charter, unit, upper) {
                let relays = lower.relay_units.contains(unit);
                // A unit that has a relay, above which the upper end is: then this is that relay.
                let served = relays && *unit != over && charter.has_relay(unit);
                out.chain(charter, unit, &over, !served);
                if relays && !served {
                    out.down_below(charter, unit);
                }
                out.charter.insert(Item::Subtree(*unit, Tree::Charter));
                for reach in 0..=charter.level(&over, levels) {
                    out.data.insert(Item::Subtree(*unit, Tree::Up(reach)));
                }
                out.beyond(charter, levels, unit, &over);
            }
        }
        out
    }

    /// A unit's own relay holds all of the unit's spaces, those too that reach only levels below it:
    /// minutes of the city's own meetings, where meetings reach the district.
    fn beyond(&mut self, charter: &Charter, levels: &[String], unit: &UnitId, over: &UnitId) {
        if unit == over {
            let below =
                (0..levels.len().min(usize::from(u8::MAX)) as u8).skip_while(|r| *r <= charter.level(over, levels));
            self.data.extend(below.map(|reach| Item::Space(SpaceId { unit: *unit, flow: Flow::Up, reach })));
        }
    }

    /// The `down` spaces of the units below one, as far as no relay of theirs lies between: who has a relay's right
    /// and serves nobody (a deputy) writes them too, and they go down from the relay above.
    fn down_below(&mut self, charter: &Charter, unit: &UnitId) {
        let children = |unit: &UnitId| charter.unit(unit).map(|u| u.children.iter().copied().collect::<Vec<_>>());
        let mut todo = children(unit).unwrap_or_default();
        while let Some(unit) = todo.pop() {
            if !charter.has_relay(&unit) {
                self.data.insert(Item::Space(SpaceId { unit, flow: Flow::Down, reach: 0 }));
                todo.extend(children(&unit).unwrap_or_default());
            }
        }
    }

    /// Charters and `down` spaces of the units above, and of the unit itself when `own`.
    fn chain(&mut self, charter: &Charter, unit: &UnitId, over: &UnitId, own: bool) {
        let up: Vec<UnitId> = charter.chain(unit).map(|u| u.id).collect();
        for (at, u) in up.iter().enumerate() {
            // From the unit itself up to, and without, the upper end.
            let mut between = up[at..].iter().take_while(|u| charter.is_below(u, over));
            let relay_between = between.any(|u| charter.has_relay(u));
            if u == unit && !own {
                continue;
            }
            self.charter.insert(Item::Space(SpaceId::charter(*u)));
            // A `down` space below the upper end is there only while no other relay lies between.
            if !relay_between {
                self.data.insert(Item::Space(SpaceId { unit: *u, flow: Flow::Down, reach: 0 }));
            }
        }
    }

    /// Whether a space is shared.
    #[must_use]
    pub fn contains(&self, charter: &Charter, space: &SpaceId) -> bool {
        let (items, tree) = match space.flow {
            Flow::Charter => (&self.charter, Some(Tree::Charter)),
            Flow::Up => (&self.data, Some(Tree::Up(space.reach))),
            Flow::Down | Flow::Group | Flow::Inbox => (&self.data, None),
            Flow::Local => return false,
        };
        if items.contains(&Item::Space(*space)) {
            return true;
        }
        let Some(tree) = tree else { return false };
        charter.chain(&space.unit).any(|u| items.contains(&Item::Subtree(u.id, tree)))
    }

    /// Every shared space that holds something, and every single one that is named.
    #[must_use]
    pub fn spaces(&self, charter: &Charter, holdings: &Holdings) -> BTreeSet<SpaceId> {
        let mut out = BTreeSet::new();
        for item in self.charter.iter().chain(&self.data) {
            match item {
                Item::Space(space) => {
                    out.insert(*space);
                }
                Item::Subtree(unit, tree) => {
                    let mut todo = vec![*unit];
                    while let Some(unit) = todo.pop() {
                        let space = Holdings::tree_space(unit, *tree);
                        if holdings.tips(&space).is_some() {
                            out.insert(space);
                        }
                        todo.extend(charter.unit(&unit).iter().flat_map(|u| &u.children));
                    }
                }
            }
        }
        out
    }

    /// The digests of what `holdings` has of it.
    #[must_use]
    pub fn digests(&self, charter: &Charter, holdings: &Holdings) -> ScopeDigests {
        let of = |items: &BTreeSet<Item>| {
            let mut bytes = Vec::new();
            for item in items {
                let (name, digest) = match item {
                    Item::Space(s) => (s.key().to_vec(), holdings.space_digest(s)),
                    Item::Subtree(unit, tree) => {
                        let key = Holdings::tree_space(*unit, *tree).key();
                        ([key.as_slice(), b"+"].concat(), holdings.subtree_digest(charter, unit, *tree))
                    }
                };
                // What holds nothing is left out, as everywhere.
                if digest != Digest::default() {
                    bytes.extend_from_slice(&name);
                    bytes.extend_from_slice(&digest.0);
                }
            }
            Digest(tagged("scope", &[&bytes]))
        };
        ScopeDigests { charter: of(&self.charter), data: of(&self.data) }
    }

    /// Whether a node of a tree lies in a shared subtree.
    #[must_use]
    pub fn contains_node(&self, charter: &Charter, unit: &UnitId, tree: Tree) -> bool {
        let items = if tree == Tree::Charter { &self.charter } else { &self.data };
        charter.chain(unit).any(|u| items.contains(&Item::Subtree(u.id, tree)))
    }
}

/// The unit of the upper end that is nearest above (or at) a lower unit.
fn nearest(charter: &Charter, unit: &UnitId, upper: &Side) -> Option<UnitId> {
    charter.chain(unit).map(|u| u.id).find(|u| upper.relay_units.contains(u))
}
