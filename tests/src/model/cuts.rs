//! Cuts, plainly: what they are and what they leave of the logs of a device.
//!
//! It does not: know stores; what is held is given as a list of commits.
//!
//! Invariants: a function of the charter and the set of commits; two last cuts leave what both leave; what others take
//! is asked right by right and collection by collection.

use super::charter::{ModelCharter, ModelRight, When};
use sampan_core::charter::Roles;
use sampan_core::id::{CommitId, DeviceId, Flow, SpaceId, UnitId};
use sampan_core::log::{Commit, EntryKind};
use std::collections::{BTreeMap, BTreeSet};

/// Releases or rejections: the commit named, the unit whose charter says so, the commit that says so.
pub(super) type Words = BTreeSet<(CommitId, UnitId, CommitId)>;

/// A cut that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCut {
    /// The commit that says so.
    pub by: CommitId,
    /// Whether it ends rights for good.
    pub last: bool,
    /// Whether somebody made less of a right, rather than closing one that was over.
    pub narrows: bool,
    /// The tips that it names.
    pub tips: BTreeMap<SpaceId, BTreeSet<CommitId>>,
    /// The units it reaches with all below them; `None`: all.
    pub realm: Option<BTreeSet<UnitId>>,
    /// The rights that it narrows, by the commit that gave them.
    pub targets: BTreeSet<CommitId>,
    /// What remains of them.
    pub remaining: Roles,
}

/// What the first pass of a fold says for the second.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pub(super) stands: BTreeSet<(CommitId, usize)>,
    pub(super) outside: BTreeSet<CommitId>,
    pub(super) narrowed: Vec<(CommitId, CommitId, Roles)>,
}

/// The commits that a cut leaves in the spaces asked for: tips that it names and their ancestors.
pub(super) fn inside(cut: &ModelCut, commits: &[&Commit], of: impl Fn(&SpaceId) -> bool) -> BTreeSet<CommitId> {
    let mut out: BTreeSet<CommitId> = BTreeSet::new();
    let named: BTreeSet<CommitId> = cut.tips.iter().filter(|(s, _)| of(s)).flat_map(|(_, t)| t).copied().collect();
    loop {
        let wanted = |c: &&&Commit| {
            let parent = commits.iter().any(|o| out.contains(&o.id()) && o.header().parents.contains(&c.id()));
            !out.contains(&c.id()) && (named.contains(&c.id()) || parent)
        };
        let more: Vec<CommitId> = commits.iter().filter(wanted).map(|c| c.id()).collect();
        if more.is_empty() {
            return out;
        }
        out.extend(more);
    }
}

/// What a device wrote in a space.
fn own<'a>(device: &DeviceId, space: &SpaceId, held: &[&'a Commit]) -> Vec<&'a Commit> {
    held.iter().copied().filter(|c| c.header().device == *device && c.header().space == *space).collect()
}

impl ModelCharter {
    /// The commits of a space that the last cuts of a device leave; `None` where none bears on it.
    #[must_use]
    pub fn left(&self, device: &DeviceId, space: &SpaceId, held: &[&Commit]) -> Option<BTreeSet<CommitId>> {
        let own = own(device, space, held);
        let cuts = self.bearing(device, space).into_iter().filter(|c| c.last);
        let all: Vec<BTreeSet<CommitId>> = cuts.map(|c| inside(c, &own, |s| s == space)).collect();
        all.into_iter().reduce(|a, b| a.intersection(&b).copied().collect())
    }

    fn bearing(&self, device: &DeviceId, space: &SpaceId) -> Vec<&ModelCut> {
        if matches!(space.flow, Flow::Charter | Flow::Local) {
            return Vec::new();
        }
        self.cuts.get(device).into_iter().flatten().filter(|c| self.reaches(c, &space.unit)).collect()
    }

    /// Whether some cut may leave a commit of a device's log in a space out.
    #[must_use]
    pub fn is_cut(&self, device: &DeviceId, space: &SpaceId) -> bool {
        let cuts = self.bearing(device, space);
        let unit = &space.unit;
        let rights: Vec<&ModelRight> = self.ever.rights.get(device).into_iter().flatten().collect();
        // To one that has seen nothing and lies outside of everything.
        let whole = |collection: &str| self.lets_carry(device, space, &[], collection, &|_| false);
        let gone = |collection: &&String| {
            let taken = rights.iter().any(|r| cuts.iter().any(|c| self.takes(c, r, unit, collection)));
            taken && !whole(collection)
        };
        cuts.iter().any(|c| c.last) || self.known_collections(device).iter().any(|c| gone(&c))
    }

    /// Every collection that a right of a device names, the inspections, and one that none names.
    fn known_collections(&self, device: &DeviceId) -> BTreeSet<String> {
        let rights = self.ever.rights.get(device).into_iter().flatten();
        let named = rights.filter_map(|r| r.collections.clone()).flatten();
        named.chain(["inspections".to_owned(), "one that no grant names".to_owned()]).collect()
    }

    /// Whether a right with these roles lets its holder write a collection of a unit.
    fn lets(&self, right: &ModelRight, roles: Roles, unit: &UnitId, collection: &str) -> bool {
        let given = self.on(&ModelRight { roles, ..right.clone() }, unit, When::Ever);
        let role = given.contains(Roles::EDITOR) || (collection == "inspections" && given.contains(Roles::INSPECTOR));
        role && right.collections.as_ref().is_none_or(|all| all.contains(collection))
    }

    /// Whether a cut that is not the last takes a collection from a right.
    fn takes(&self, cut: &ModelCut, right: &ModelRight, unit: &UnitId, collection: &str) -> bool {
        !cut.last
            && cut.targets.contains(&right.taken)
            && self.lets(right, right.roles, unit, collection)
            && !self.lets(right, right.roles.intersection(cut.remaining), unit, collection)
    }

    /// Whether a right was given by one who had seen a narrowing that takes a collection from its holder, and leaves
    /// nothing of it.
    fn is_after(&self, right: &ModelRight, cut: &ModelCut, device: &DeviceId, unit: &UnitId, collection: &str) -> bool {
        let others = || self.ever.rights.get(device).into_iter().flatten();
        let seen = cut.by != right.taken && self.saw_commit(&right.taken, &cut.by);
        let left = self.leaves(cut, device, unit, collection);
        cut.narrows && seen && !left && others().any(|r| self.takes(cut, r, unit, collection))
    }

    /// Whether what a cut says also gives its device the collection.
    fn leaves(&self, cut: &ModelCut, device: &DeviceId, unit: &UnitId, collection: &str) -> bool {
        let mut rights = self.ever.rights.get(device).into_iter().flatten();
        rights.any(|r| r.taken == cut.by && self.lets(r, r.roles, unit, collection))
    }

    /// Whether some right that its device was given lets a commit that names these commits of charters carry a
    /// collection: one that no cut took, up to what every cut names that took it; one given after a narrowing, for
    /// what had seen it.
    pub fn lets_carry(
        &self,
        device: &DeviceId,
        space: &SpaceId,
        heads: &[CommitId],
        collection: &str,
        inside: &dyn Fn(&ModelCut) -> bool,
    ) -> bool {
        let cuts = self.bearing(device, space);
        let unit = &space.unit;
        let rights = || self.ever.rights.get(device).into_iter().flatten();
        let after = |r: &ModelRight| cuts.iter().any(|c| self.is_after(r, c, device, unit, collection));
        // One right took the place of another that had no gap before, but for cuts that left the collection.
        let went_on = |new: &ModelRight, old: &ModelRight| {
            let of_old = || cuts.iter().filter(|c| self.takes(c, old, unit, collection));
            let lasted = of_old().all(|c| inside(c) || self.leaves(c, device, unit, collection));
            lasted && !after(old) && of_old().any(|c| c.by == new.taken)
        };
        rights().any(|r| {
            let saw = heads.iter().any(|head| self.saw_commit(head, &r.taken));
            self.lets(r, r.roles, unit, collection)
                && !cuts.iter().any(|c| self.takes(c, r, unit, collection) && !inside(c))
                && (saw || !after(r) || rights().any(|old| went_on(r, old)))
        })
    }

    /// Whether its device's rights let a commit carry all that it says it carries.
    #[must_use]
    pub fn is_rightful(&self, commit: &Commit, held: &[&Commit]) -> bool {
        let h = commit.header();
        if h.space.flow == Flow::Charter {
            return true;
        }
        let own =
            if self.bearing(&h.device, &h.space).is_empty() { Vec::new() } else { own(&h.device, &h.space, held) };
        let inside = |c: &ModelCut| inside(c, &own, |s| *s == h.space).contains(&commit.id());
        let may = |collection: &str| self.lets_carry(&h.device, &h.space, &h.charter_heads, collection, &inside);
        let carried = commit.payload().entries.iter().filter(|e| e.entry.kind != EntryKind::Hole);
        let named: BTreeSet<&str> = carried.map(|e| e.entry.collection.as_str()).collect();
        if named.is_empty() {
            self.known_collections(&h.device).iter().any(|c| may(c))
        } else {
            named.into_iter().all(may)
        }
    }

    /// Whether every right of a device was taken away for good.
    #[must_use]
    pub fn ended(&self, device: &DeviceId) -> bool {
        let last = self.cuts.get(device).into_iter().flatten().any(|c| c.last);
        self.revoked.contains(device) || (last && !self.has_right_now(device))
    }

    /// Whether a commit of a unit's spaces was released.
    #[must_use]
    pub fn released(&self, commit: &CommitId, unit: &UnitId) -> bool {
        self.has_word(&self.released, commit, unit)
    }
}
