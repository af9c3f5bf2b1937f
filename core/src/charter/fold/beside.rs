//! What is void only because of something beside it, and which logs count in spite of that.
//!
//! It does not: give a right to anyone: what is kept here ends at the door like any void operation.
//!
//! Invariants: whether a log counts never turns from yes to no when more of the charter arrives, so that
//! what a replica holds does not depend on the order in which it heard of things.

use super::{Charter, Right, may, reaches};
use crate::charter::op::{Grant, Roles};
use crate::id::{CommitId, DeviceId, Flow, SpaceId, UnitId};
use crate::log::Commit;
use std::collections::{BTreeMap, BTreeSet};

/// What was given by one who had the right as far as it had seen, and is void because of something that
/// ran beside it: a revocation of its author, or another use of the ticket.
///
/// It gives no right. But a replica that heard of it first took what was written under it, rightly, and
/// nothing that arrives later may make that depend on the order of arrival: such logs count everywhere.
/// (Ending what a log may add is the work of cuts.)
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Beside {
    /// Units with the parents that they would have had.
    pub(super) units: BTreeMap<UnitId, BTreeSet<UnitId>>,
    /// Rights of devices.
    pub(super) rights: BTreeMap<DeviceId, Vec<Right>>,
    /// What tickets would have given.
    pub(super) tickets: BTreeMap<DeviceId, Vec<Right>>,
    /// The commits that revoke a key.
    pub(super) revokers: BTreeMap<DeviceId, Vec<CommitId>>,
}

/// The commits being folded, to ask what an author had seen.
pub(super) type Log<'a> = BTreeMap<CommitId, &'a Commit>;

impl Charter {
    /// Whether a key ever had the right to write in a space, which is what makes its logs count.
    #[must_use]
    pub fn counts(&self, key: &DeviceId, space: &SpaceId) -> bool {
        if space.flow == Flow::Charter {
            return self.root_counts(key, &space.unit)
                || self.tickets.get(key).is_some_and(|t| t.right.unit == space.unit)
                || self.beside.tickets.get(key).is_some_and(|all| all.iter().any(|r| r.unit == space.unit))
                || self.ever_had(key, &space.unit, Roles::RELAY);
        }
        self.ever_had(key, &space.unit, Roles::EDITOR) || self.ever_had(key, &space.unit, Roles::INSPECTOR)
    }
    fn ever_had(&self, key: &DeviceId, unit: &UnitId, role: Roles) -> bool {
        self.ever(key).fold(Roles::NONE, |acc, r| acc.union(self.covered(r, unit))).contains(role)
    }
    /// Every right that was given to a key by one who had it to give, as far as that one had seen.
    pub(super) fn ever(&self, key: &DeviceId) -> impl Iterator<Item = &Right> {
        self.rights.get(key).into_iter().chain(self.beside.rights.get(key)).flatten()
    }

    /// The roles that an author had on a unit as far as a commit of its had seen.
    pub(super) fn saw(&self, log: &Log<'_>, commit: &Commit, author: &DeviceId, unit: &UnitId) -> Roles {
        self.saw_rights(log, commit, author).fold(Roles::NONE, |acc, r| acc.union(self.covered(r, unit)))
    }

    fn saw_rights<'a>(
        &'a self,
        log: &'a Log<'_>,
        commit: &'a Commit,
        author: &'a DeviceId,
    ) -> impl Iterator<Item = &'a Right> {
        let lost = move |key: &DeviceId| {
            let revokers = self.beside.revokers.get(key).map(Vec::as_slice).unwrap_or_default();
            !revokers.is_empty() && had_seen(log, commit, revokers)
        };
        let none = lost(author);
        self.ever(author).filter(move |r| !none && !lost(&r.key))
    }

    /// Whether an author could give a grant as far as its commit had seen.
    pub(super) fn saw_may_grant(
        &self,
        log: &Log<'_>,
        commit: &Commit,
        author: &DeviceId,
        unit: &UnitId,
        grant: &Grant,
    ) -> bool {
        let mut admin = self.saw_rights(log, commit, author).filter(|r| self.covered(r, unit).contains(Roles::ADMIN));
        let root = self.saw_root(log, commit, author);
        let narrows = |r: &Right| !may::outlasts(r, grant) && may::within(r, grant);
        self.ever_was(unit) && !grant.roles.is_none() && (root || admin.any(narrows))
    }

    /// What a right gave on a unit, whatever became of the unit.
    pub(super) fn covered(&self, right: &Right, unit: &UnitId) -> Roles {
        reaches(right, unit, self.was_below(unit, &right.unit))
    }

    /// Whether a unit was ever made, whatever became of it.
    pub(super) fn ever_was(&self, unit: &UnitId) -> bool {
        self.units.contains_key(unit) || self.beside.units.contains_key(unit)
    }

    /// Whether `unit` lies or would lie strictly below `above`, in any of the places where it was made.
    fn was_below(&self, unit: &UnitId, above: &UnitId) -> bool {
        // Parents that are void may lead anywhere, also round in a circle.
        let mut seen = BTreeSet::new();
        let mut todo = vec![*unit];
        while let Some(at) = todo.pop() {
            let stands = self.units.get(&at).and_then(|u| u.parent);
            for parent in self.beside.units.get(&at).into_iter().flatten().copied().chain(stands) {
                if parent == *above {
                    return true;
                }
                if seen.insert(parent) {
                    todo.push(parent);
                }
            }
        }
        false
    }
}

/// Whether one of these commits is among the causes of a commit.
pub(super) fn had_seen(log: &Log<'_>, commit: &Commit, any: &[CommitId]) -> bool {
    let causes = |c: &Commit| -> Vec<CommitId> {
        let h = c.header();
        h.parents.iter().chain(&h.charter_heads).copied().collect()
    };
    let mut todo = causes(commit);
    let mut seen = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if any.contains(&id) {
            return true;
        }
        if seen.insert(id) {
            todo.extend(log.get(&id).map(|c| causes(c)).unwrap_or_default());
        }
    }
    false
}
