//! What is void only because of something beside it, and which logs count in spite of that.
//!
//! It does not: give a right to anyone: what is kept here ends at the door like any void operation.
//!
//! Invariants: whether a log counts never turns from yes to no when more of the charter arrives, so that
//! what a replica holds does not depend on the order in which it heard of things.

use super::{Charter, Right, Ticket, may, reaches};
use crate::charter::op::{Grant, Roles};
use crate::id::{CommitId, DeviceId, Flow, SpaceId, UnitId};
use crate::log::Commit;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// What was given by one who had the right as far as it had seen, and is void because of something that
/// ran beside it: a revocation of its author, or another use of the ticket.
///
/// It gives no right. But a replica that heard of it first took what was written under it, rightly, and
/// nothing that arrives later may make that depend on the order of arrival: such logs count everywhere.
/// (Ending what a log may add is the work of cuts: see `cuts`.)
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Beside {
    /// Units with the parents that they would have had, and the commits that say so.
    pub(super) units: BTreeMap<UnitId, BTreeMap<UnitId, BTreeSet<CommitId>>>,
    /// Rights of devices.
    pub(super) rights: BTreeMap<DeviceId, Vec<Right>>,
    /// What tickets would have given.
    pub(super) tickets: BTreeMap<DeviceId, Vec<Right>>,
    /// The commits that revoke a key.
    pub(super) revokers: BTreeMap<DeviceId, Vec<CommitId>>,
}

/// The commits being folded, to ask what an author had seen.
pub(super) type Log<'a> = BTreeMap<CommitId, &'a Commit>;

/// A commit with all that it had seen: itself and its causes, looked up when first asked for.
pub(super) struct Past<'a, 'log> {
    pub(super) commit: &'a Commit,
    log: &'a Log<'log>,
    seen: OnceCell<BTreeSet<CommitId>>,
}

impl<'a, 'log> Past<'a, 'log> {
    pub(super) fn of(log: &'a Log<'log>, commit: &'a Commit) -> Self {
        Self { commit, log, seen: OnceCell::new() }
    }

    /// Whether the commit is this one or among its causes.
    pub(super) fn has(&self, id: &CommitId) -> bool {
        self.seen.get_or_init(|| self.walk()).contains(id)
    }

    fn walk(&self) -> BTreeSet<CommitId> {
        let mut seen = BTreeSet::from([self.commit.id()]);
        let mut todo = vec![self.commit];
        while let Some(c) = todo.pop() {
            for id in c.header().parents.iter().chain(&c.header().charter_heads) {
                if seen.insert(*id) {
                    todo.extend(self.log.get(id));
                }
            }
        }
        seen
    }
}

/// Who ever had rights, cuts of charters left out of account: what makes the logs of charters count, so
/// that what narrows is found by everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wide {
    pub(super) rights: BTreeMap<DeviceId, Vec<Right>>,
    pub(super) tickets: BTreeMap<DeviceId, Ticket>,
    pub(super) units: BTreeMap<UnitId, BTreeSet<UnitId>>,
    pub(super) beside: Beside,
}

impl Charter {
    /// Whether a key ever had the right to write in a space, which is what makes its logs count, as far as
    /// no cut says otherwise ([`Charter::cuts_of`]).
    #[must_use]
    pub fn counts(&self, key: &DeviceId, space: &SpaceId) -> bool {
        if space.flow == Flow::Charter {
            return match &self.wide {
                Some(wide) => wide.counts(self, key, &space.unit),
                None => {
                    self.root_counts(key, &space.unit)
                        || self.tickets.get(key).is_some_and(|t| t.right.unit == space.unit)
                        || self.beside.tickets.get(key).is_some_and(|all| all.iter().any(|r| r.unit == space.unit))
                        || self.ever_had(key, &space.unit, Roles::RELAY)
                }
            };
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

    /// Every right that was ever given to a key, by one who had it to give as far as that one had seen; what is
    /// left of it today [`Charter::rights`] says.
    pub fn ever_given(&self, key: &DeviceId) -> impl Iterator<Item = &Right> {
        self.ever(key)
    }

    /// Whether an author had a role on a unit as far as a commit of its had seen.
    pub(super) fn saw(&self, past: &Past<'_, '_>, author: &DeviceId, unit: &UnitId, role: Roles) -> bool {
        // One who never had it is told without looking at what it had seen: strangers cost nothing.
        self.saw_root(past)
            || (self.ever_had(author, unit, role)
                && self
                    .saw_rights(past, author)
                    .fold(Roles::NONE, |acc, r| acc.union(self.saw_covered(past, &r, unit)))
                    .contains(role))
    }

    /// The rights of an author that its commit had seen given and had not seen taken away.
    pub(super) fn saw_rights(&self, past: &Past<'_, '_>, author: &DeviceId) -> impl Iterator<Item = Right> {
        let revoked = |key: &DeviceId| self.beside.revokers.get(key).into_iter().flatten().any(|by| past.has(by));
        let none = self.ever(author).next().is_none() || revoked(author);
        let stands = move |r: &&Right| {
            let gone = |key: &DeviceId| self.saw_cut(past, key, &r.unit);
            !none
                && past.has(&r.taken)
                && !revoked(&r.key)
                && !gone(author)
                && !gone(&r.key)
                && self.saw_given(past, r, &mut BTreeSet::new())
        };
        self.ever(author).filter(stands).map(move |r| Right { roles: self.saw_left(past, author, r), ..r.clone() })
    }

    /// Whether a commit had also seen what gave the giver of a right, up to the root key: nothing that is
    /// kept back and shown later makes an operation rightful that was not.
    fn saw_given(&self, past: &Past<'_, '_>, right: &Right, on_the_way: &mut BTreeSet<CommitId>) -> bool {
        let Some(grant) = past.log.get(&right.by) else { return false };
        let giver = grant.header().device;
        self.saw_root(&Past::of(past.log, grant))
            || (past.has(&right.by)
                && on_the_way.insert(right.taken)
                && self.ever(&giver).any(|r| {
                    past.has(&r.taken)
                        && self.saw_covered(past, r, &right.unit).contains(Roles::ADMIN)
                        && self.saw_given(past, r, on_the_way)
                }))
    }

    /// Whether an author could give a grant as far as its commit had seen.
    pub(super) fn saw_may_grant(&self, past: &Past<'_, '_>, author: &DeviceId, unit: &UnitId, grant: &Grant) -> bool {
        let narrows = |r: &Right| !may::outlasts(r, grant) && may::within(r, grant);
        let given = || {
            let mut all = self.saw_rights(past, author).filter(narrows);
            all.any(|r| self.saw_covered(past, &r, unit).contains(Roles::ADMIN))
        };
        self.ever_was(unit)
            && !grant.roles.is_none()
            && (self.saw_root(past) || (self.ever_had(author, unit, Roles::ADMIN) && given()))
    }

    /// What a right gave on a unit, whatever became of the unit.
    pub(super) fn covered(&self, right: &Right, unit: &UnitId) -> Roles {
        reaches(right, unit, self.was_below(unit, &right.unit))
    }

    /// What a right gave on a unit in the eyes of a commit.
    fn saw_covered(&self, past: &Past<'_, '_>, right: &Right, unit: &UnitId) -> Roles {
        reaches(right, unit, right.unit != *unit && self.saw_below(past, unit, &right.unit))
    }

    /// Whether a unit was ever made, whatever became of it.
    pub(super) fn ever_was(&self, unit: &UnitId) -> bool {
        self.units.contains_key(unit) || self.beside.units.contains_key(unit)
    }

    /// Whether `unit` lies or would lie strictly below `above`, in any of the places where it was made.
    pub(super) fn was_below(&self, unit: &UnitId, above: &UnitId) -> bool {
        climbs(unit, above, |at| {
            let stands = self.units.get(at).and_then(|u| u.parent);
            self.beside.units.get(at).into_iter().flat_map(BTreeMap::keys).copied().chain(stands).collect()
        })
    }

    /// Whether a unit is another or lies below it, as far as a commit had seen.
    pub(super) fn saw_below(&self, past: &Past<'_, '_>, unit: &UnitId, above: &UnitId) -> bool {
        unit == above
            || climbs(unit, above, |at| {
                let made = self.made.get(at).is_some_and(|by| past.has(by));
                let stands = self.units.get(at).filter(|_| made).and_then(|u| u.parent);
                let void = self.beside.units.get(at).into_iter().flatten();
                void.filter(|(_, by)| by.iter().any(|by| past.has(by))).map(|(p, _)| *p).chain(stands).collect()
            })
    }

    /// What makes the logs of charters count, before what lies outside cuts is taken away.
    pub(super) fn wide(&self) -> Wide {
        Wide {
            rights: self.rights.clone(),
            tickets: self.tickets.clone(),
            units: self.units.values().map(|u| (u.id, u.parent.into_iter().collect())).collect(),
            beside: self.beside.clone(),
        }
    }
}

impl Wide {
    fn counts(&self, charter: &Charter, key: &DeviceId, unit: &UnitId) -> bool {
        let below = |above: &UnitId| {
            climbs(unit, above, |at| {
                let stands = self.units.get(at).into_iter().flatten();
                let void = self.beside.units.get(at).into_iter().flat_map(BTreeMap::keys);
                stands.chain(void).copied().collect()
            })
        };
        let rights = self.rights.get(key).into_iter().chain(self.beside.rights.get(key)).flatten();
        charter.root_counts(key, unit)
            || self.tickets.get(key).is_some_and(|t| t.right.unit == *unit)
            || self.beside.tickets.get(key).is_some_and(|all| all.iter().any(|r| r.unit == *unit))
            || rights
                .fold(Roles::NONE, |acc, r| acc.union(reaches(r, unit, r.unit != *unit && below(&r.unit))))
                .contains(Roles::RELAY)
    }
}

/// Whether one comes strictly above a unit by its parents. Parents that are void may lead anywhere, also
/// round in a circle.
fn climbs(unit: &UnitId, above: &UnitId, parents: impl Fn(&UnitId) -> Vec<UnitId>) -> bool {
    let mut seen = BTreeSet::new();
    let mut todo = vec![*unit];
    while let Some(at) = todo.pop() {
        for parent in parents(&at) {
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
