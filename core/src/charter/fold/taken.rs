//! What cuts that are not final take of a log: collection by collection, and up to where each right holds.
//!
//! It does not: know commits of records (callers say what one carries, what it had seen, and which cuts it lies
//! inside), or judge by any clock.
//!
//! Invariants: a right that cuts took of a collection lets it be written up to what all of them name. A right given
//! in the commit of the cut goes on without a gap, and so does one given beside it; one given after a *narrow* holds
//! for what its author wrote having seen it: what lies between stays out. Nothing that counts ceases to because more
//! rights are given.

use super::beside::{Log, Past};
use super::{Charter, Right, StandingCut};
use crate::charter::cut::CutKind;
use crate::charter::op::INSPECTIONS;
use crate::id::{CommitId, DeviceId, Flow, SpaceId, UnitId};
use std::collections::{BTreeMap, BTreeSet};

/// Stands for every collection that no grant of a device names: none has this name.
const ANY_OTHER: &str = "";

/// Rights given after a narrowing of their holder, by the commit that brought them.
pub(super) type Later = BTreeMap<(DeviceId, CommitId), After>;

/// What a right came after.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct After {
    /// Commits of narrowings that had been seen when it was given.
    cuts: BTreeSet<CommitId>,
    /// The commit that brought it, and all that had seen that.
    seen: BTreeSet<CommitId>,
}

/// Whether what a commit of records carries counts, as far as rights to collections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// All of it does.
    Counts,
    /// It carries a collection that its device was never given to write there.
    Never,
    /// It carries a collection that was taken away, and its device may still write others.
    Taken,
    /// Nothing that its device could write there was left to it.
    Nothing,
}

/// A commit of records, as its device's rights see it.
pub struct Carrier<'a> {
    /// Who wrote it.
    pub device: &'a DeviceId,
    /// Where.
    pub space: &'a SpaceId,
    /// The commits of charters that it names.
    pub heads: &'a [CommitId],
    /// Whether it lies inside a cut.
    pub inside: &'a dyn Fn(&StandingCut) -> bool,
}

impl After {
    pub(super) fn has_seen(&self, commit: &CommitId) -> bool {
        self.seen.contains(commit)
    }

    pub(super) fn sees(&mut self, commit: CommitId) {
        self.seen.insert(commit);
    }
}

impl Charter {
    /// The cuts that bear on what a device wrote in a space of records: final ones, and those that took a
    /// collection which no right gives without a gap. Spaces that never leave their device are never cut; charters
    /// are cut by the fold.
    pub fn cuts_of(&self, device: &DeviceId, space: &SpaceId) -> impl Iterator<Item = &StandingCut> {
        let cut = !matches!(space.flow, Flow::Charter | Flow::Local);
        let all: Vec<&StandingCut> = self.cuts.get(device).filter(|_| cut).into_iter().flatten().collect();
        let bare = Carrier { device, space, heads: &[], inside: &|_| false };
        // Few devices are ever cut: only for them the collections are looked at.
        let gaps: Vec<&str> = if all.iter().any(|c| !c.kind.is_final()) {
            let named = self.collections_of(device).into_iter();
            named.filter(|name| !self.holds_for(&bare, name)).collect()
        } else {
            Vec::new()
        };
        let taken = move |c: &StandingCut| {
            let of = |r: &Right| gaps.iter().any(|name| self.takes(c, r, &space.unit, name));
            self.ever(device).any(of)
        };
        all.into_iter().filter(move |c| if c.kind.is_final() { self.reaches_unit(c, &space.unit) } else { taken(c) })
    }

    /// Whether a commit that carries these collections counts by its device's rights, final cuts left aside.
    pub fn carried<'c>(&self, of: &Carrier<'_>, collections: impl IntoIterator<Item = &'c str>) -> Carried {
        let (mut named, mut out) = (false, false);
        for collection in collections {
            named = true;
            if !self.holds_for(of, collection) {
                if !self.may_carry(of.device, &of.space.unit, collection) {
                    return Carried::Never;
                }
                out = true;
            }
        }
        if named && !out {
            Carried::Counts
        } else if !self.collections_of(of.device).into_iter().any(|name| self.holds_for(of, name)) {
            Carried::Nothing
        } else if out {
            Carried::Taken
        } else {
            // What was erased of it says no more what it was.
            Carried::Counts
        }
    }

    /// Whether a device, knowing these commits of charters, may add to its log in a space an entry of this
    /// collection that counts.
    #[must_use]
    pub fn may_add(&self, device: &DeviceId, space: &SpaceId, heads: &[CommitId], collection: &str) -> bool {
        // What is written now lies outside every cut that is known.
        let of = Carrier { device, space, heads, inside: &|_| false };
        let uncut = space.flow == Flow::Local || !self.cuts_of(device, space).any(|c| c.kind.is_final());
        uncut && (self.carried(&of, [collection]) == Carried::Counts)
    }

    /// Whether some right lets a commit carry a collection.
    fn holds_for(&self, of: &Carrier<'_>, collection: &str) -> bool {
        let (unit, cut) = (&of.space.unit, of.space.flow != Flow::Local);
        self.ever(of.device).any(|r| {
            let unseen = || self.unseen(of, r, collection);
            let past = || self.narrowings(of.device).any(|c| self.takes(c, r, unit, collection) && !(of.inside)(c));
            r.writes(self.covered(r, unit), collection) && !(cut && (past() || unseen()))
        })
    }

    /// Whether a right was given after a narrowing that took a collection, and a commit had not seen it.
    fn unseen(&self, of: &Carrier<'_>, right: &Right, collection: &str) -> bool {
        let after = self.later.get(&(*of.device, right.taken));
        let seen = after.is_some_and(|a| of.heads.iter().any(|h| a.seen.contains(h)));
        !seen && self.came_after(of.device, right, &of.space.unit, collection) && !self.continues(of, right, collection)
    }

    /// Whether a right was given after a narrowing that took a collection and left nothing of it.
    fn came_after(&self, device: &DeviceId, right: &Right, unit: &UnitId, collection: &str) -> bool {
        let Some(after) = self.later.get(&(*device, right.taken)) else { return false };
        let mut cuts = self.narrowings(device).filter(|c| after.cuts.contains(&c.by));
        cuts.any(|c| {
            self.ever(device).any(|r| self.takes(c, r, unit, collection)) && !self.leaves(c, device, unit, collection)
        })
    }

    /// Whether a right is what a narrowing left of one that itself went on until then.
    fn continues(&self, of: &Carrier<'_>, right: &Right, collection: &str) -> bool {
        let (device, unit) = (of.device, &of.space.unit);
        let here = |r: &Right| {
            let mut cuts = self.narrowings(device).filter(|c| c.by == right.taken);
            cuts.any(|c| self.takes(c, r, unit, collection))
        };
        let gap = |c: &StandingCut| !self.leaves(c, device, unit, collection) && !(of.inside)(c);
        self.ever(device).any(|r| {
            here(r)
                && !self.came_after(device, r, unit, collection)
                && !self.narrowings(device).any(|c| self.takes(c, r, unit, collection) && gap(c))
        })
    }

    /// Whether the commit of a cut gives its device a right to a collection.
    fn leaves(&self, cut: &StandingCut, device: &DeviceId, unit: &UnitId, collection: &str) -> bool {
        self.ever(device).any(|r| r.taken == cut.by && r.writes(self.covered(r, unit), collection))
    }

    /// Whether a cut that is not final takes from a right what lets it write a collection of a unit.
    fn takes(&self, cut: &StandingCut, right: &Right, unit: &UnitId, collection: &str) -> bool {
        let writes = |roles| right.writes(roles, collection);
        !cut.kind.is_final()
            && cut.targets.contains(&right.taken)
            && self.reaches_unit(cut, unit)
            && writes(self.covered(right, unit))
            && !writes(self.covered(&Right { roles: right.roles.intersection(cut.remaining), ..right.clone() }, unit))
    }

    fn narrowings(&self, device: &DeviceId) -> impl Iterator<Item = &StandingCut> {
        self.cuts.get(device).into_iter().flatten().filter(|c| !c.kind.is_final())
    }

    /// Names that stand for every collection there may be, as far as the rights of a device tell them apart.
    fn collections_of(&self, device: &DeviceId) -> BTreeSet<&str> {
        let named = self.ever(device).filter_map(|r| r.collections.as_ref()).flatten();
        named.map(String::as_str).chain([INSPECTIONS, ANY_OTHER]).collect()
    }

    /// Finds the rights that were given after a narrowing of their holder, and who had seen them.
    pub(super) fn find_later(&mut self, log: &Log<'_>) {
        let mut later = Later::new();
        for (device, cuts) in &self.cuts {
            let narrowed: BTreeSet<CommitId> =
                cuts.iter().filter(|c| c.kind == CutKind::Narrow).map(|c| c.by).collect();
            if narrowed.is_empty() {
                continue;
            }
            for r in self.ever(device) {
                let Some(taken) = log.get(&r.taken) else { continue };
                let past = Past::of(log, taken);
                // What is given by the commit of a cut goes on.
                let cuts: BTreeSet<CommitId> =
                    narrowed.iter().filter(|by| **by != r.taken && past.has(by)).copied().collect();
                if !cuts.is_empty() {
                    later.insert((*device, r.taken), After { cuts, seen: BTreeSet::new() });
                }
            }
        }
        if later.is_empty() {
            return;
        }
        let mut children: BTreeMap<CommitId, Vec<CommitId>> = BTreeMap::new();
        for (id, c) in log {
            for cause in c.header().parents.iter().chain(&c.header().charter_heads) {
                children.entry(*cause).or_default().push(*id);
            }
        }
        for ((_, taken), after) in &mut later {
            let mut todo = vec![*taken];
            while let Some(id) = todo.pop() {
                if after.seen.insert(id) {
                    todo.extend(children.get(&id).into_iter().flatten());
                }
            }
        }
        self.later = later;
    }
}
