//! Adding a commit to a folded charter without folding it all again.
//!
//! It does not: decide anything that a fold of all would decide otherwise; where that is not plain it leaves the charter
//! as it is and says so.
//!
//! A fold takes commits in an order of its own, so a new one has its turn somewhere in the middle of what was folded
//! before. Its place follows from the order that was kept. It may be added in place where two things are plain. First,
//! what it says stands at its turn: all that it needs (its unit and those above, the right of its author and the grant
//! of that) had its turn before, nothing of it was cut or revoked, and rights otherwise only grow. Second, nothing that
//! has its turn after it looks at what it adds: a key, a device or a unit of which the whole charter has not heard, in
//! any role, or an endpoint after which no commit of its unit has its turn. That covers units made, devices invited and
//! enrolled, and relays that say where they listen: nearly all that a charter grows by.
//!
//! Invariants: the result equals the fold of all, field by field; every test with debug assertions compares them.

use super::{Charter, Right, Ticket, Unit, facts, may, right_of};
use crate::charter::op::{Grant, Op, Roles};
use crate::id::{CommitId, DeviceId, UnitId};
use crate::limits;
use crate::log::{Commit, EntryKind};
use std::collections::BTreeSet;

/// What a commit may be looked at by.
struct Turn<'a> {
    commit: &'a Commit,
    /// Its place in the order.
    at: usize,
    /// The commits that made its unit and those above.
    units: BTreeSet<CommitId>,
}

impl Charter {
    /// Takes up a commit; false where all must be folded again, and nothing was changed.
    #[must_use]
    pub fn extend(&mut self, commit: &Commit) -> bool {
        let Some(turn) = self.turn(commit) else { return false };
        let entries = &commit.payload().entries;
        let mut ops = Vec::with_capacity(entries.len());
        let (mut keys, mut units) = (BTreeSet::new(), BTreeSet::new());
        for (i, e) in entries.iter().enumerate() {
            let Some(op) = facts::op(commit, i).filter(|_| e.entry.kind == EntryKind::Charter) else { return false };
            let own = match &op {
                Op::CreateUnit { unit, .. } => units.insert(*unit),
                Op::Grant(grant) => keys.insert(grant.key),
                // These two read what they themselves change.
                Op::Enrol { .. } | Op::Endpoint { .. } => entries.len() == 1,
                Op::Found { .. } | Op::Schema { .. } | Op::Revoke { .. } | Op::Cut(_) | Op::Erase { .. } => false,
                Op::Release { .. } | Op::Reject { .. } | Op::Succeed { .. } => false,
            };
            if !own || !self.is_plainly_right(&turn, &op, entries.len()) {
                return false;
            }
            ops.push(op);
        }
        for op in ops {
            self.add(commit, op);
        }
        self.order.insert(turn.at, (true, commit.id()));
        self.note_folded(commit);
        // Whoever had seen a right that was given after a narrowing.
        let h = commit.header();
        for after in self.later.values_mut() {
            if h.parents.iter().chain(&h.charter_heads).any(|cause| after.has_seen(cause)) {
                after.sees(commit.id());
            }
        }
        true
    }

    /// The turn of a commit in the order of the fold, where the rest of the charter is as plain as it must be.
    fn turn<'a>(&self, commit: &'a Commit) -> Option<Turn<'a>> {
        let h = commit.header();
        let (author, unit, id) = (h.device, h.space.unit, commit.id());
        let plain = self.is_plain
            && self.waiting == 0
            && !facts::narrows(commit)
            && !self.folded.contains_key(&id)
            && !self.released.contains_key(&id)
            && !self.rejected.contains_key(&id)
            && !self.is_spoken_against(&author);
        if !plain {
            return None;
        }
        let causes: BTreeSet<&CommitId> = h.parents.iter().chain(&h.charter_heads).collect();
        if causes.iter().any(|cause| !self.folded.contains_key(*cause)) {
            return None;
        }
        // It is free after the last of its causes, and then comes before the first that is greater.
        let free = self.order.iter().rposition(|(_, o)| causes.contains(o)).map_or(0, |last| last + 1);
        let before = self.order.iter().skip(free).position(|o| *o > (true, id));
        let at = before.map_or(self.order.len(), |n| free + n);
        let units = self.chain(&unit).map(|u| self.made.get(&u.id).copied()).collect::<Option<BTreeSet<_>>>()?;
        (!units.is_empty() && self.had_turns(at, &units)).then_some(Turn { commit, at, units })
    }

    /// Whether all of these had their turn before a place.
    fn had_turns(&self, at: usize, ids: &BTreeSet<CommitId>) -> bool {
        !self.order.iter().skip(at).any(|(_, o)| ids.contains(o))
    }

    /// Whether a key was revoked or cut, rightly or not.
    fn is_spoken_against(&self, key: &DeviceId) -> bool {
        self.revoked.contains_key(key) || self.beside.revokers.contains_key(key) || self.cuts.contains_key(key)
    }

    /// Whether an operation stands at its turn, and nothing after that looks at what it adds.
    fn is_plainly_right(&self, turn: &Turn<'_>, op: &Op, ops: usize) -> bool {
        match op {
            Op::CreateUnit { unit, .. } => {
                let depth = turn.units.len();
                self.is_given(turn, |r| self.covers(r, &turn.unit()).contains(Roles::ADMIN))
                    && self.is_unheard_unit(unit)
                    && depth < limits::TREE_DEPTH_MAX
                    && self.units.len() + ops <= limits::UNITS_MAX
            }
            Op::Grant(grant) => {
                !grant.roles.is_none() && self.is_unheard_key(&grant.key) && self.may_plainly_grant(turn, grant)
            }
            Op::Enrol { device, proof, .. } => {
                let author = &turn.commit.header().device;
                let ticket = self.tickets.get(author).filter(|t| t.used_by.is_none() && t.right.unit == turn.unit());
                ticket.is_some_and(|t| self.had_turns(turn.at, &[t.right.by].into()))
                    && !self.beside.tickets.contains_key(author)
                    && self.is_unheard_key(device)
                    && facts::enrol_proves(turn.commit, device, proof)
            }
            Op::Endpoint { .. } => {
                let unit = turn.unit();
                self.is_given(turn, |r| self.covers(r, &unit).contains(Roles::RELAY))
                    && !self.order.iter().skip(turn.at).any(|(_, o)| self.folded.get(o) == Some(&unit))
            }
            Op::Found { .. } | Op::Schema { .. } | Op::Revoke { .. } | Op::Cut(_) | Op::Erase { .. } => false,
            Op::Release { .. } | Op::Reject { .. } | Op::Succeed { .. } => false,
        }
    }

    fn may_plainly_grant(&self, turn: &Turn<'_>, grant: &Grant) -> bool {
        let unit = turn.unit();
        let gives = |r: &Right| {
            self.covers(r, &unit).contains(Roles::ADMIN) && !may::outlasts(r, grant) && may::within(r, grant)
        };
        self.is_given(turn, gives)
    }

    /// Whether the author is the root key, or has a right of this kind that was given before its turn.
    fn is_given(&self, turn: &Turn<'_>, of: impl Fn(&Right) -> bool) -> bool {
        let author = &turn.commit.header().device;
        let mut rights = self.rights.get(author).into_iter().flatten();
        author.0 == self.org.0
            || rights
                .any(|r| !self.is_spoken_against(&r.key) && of(r) && self.had_turns(turn.at, &[r.taken, r.by].into()))
    }

    /// Whether no commit has spoken of a key or with it.
    fn is_unheard_key(&self, key: &DeviceId) -> bool {
        key.0 != self.org.0
            && !self.is_spoken_against(key)
            && !self.authors.contains(key)
            && !self.rights.contains_key(key)
            && !self.tickets.contains_key(key)
            && !self.box_keys.contains_key(key)
            && !self.beside.rights.contains_key(key)
            && !self.beside.tickets.contains_key(key)
    }

    /// Whether no commit has spoken of a unit or in its charter.
    fn is_unheard_unit(&self, unit: &UnitId) -> bool {
        !self.units.contains_key(unit)
            && !self.made.contains_key(unit)
            && !self.void_units.contains(unit)
            && !self.beside.units.contains_key(unit)
            && !self.heads.contains_key(unit)
    }

    /// Adds what an operation that stands says, as the fold does.
    fn add(&mut self, commit: &Commit, op: Op) {
        let (unit, author) = (commit.header().space.unit, commit.header().device);
        match op {
            Op::CreateUnit { unit: id, name, code, kind, since } => {
                let (parent, children) = (Some(unit), BTreeSet::new());
                // It was looked at before: it cannot fail.
                if self.add_unit(Unit { id, parent, name, code, kind, since, depth: 0, children }).is_ok() {
                    self.made.insert(id, commit.id());
                }
            }
            Op::Grant(grant) => {
                let right = right_of(commit, unit, &grant);
                if grant.ticket {
                    self.tickets.insert(grant.key, Ticket { right, use_by: grant.use_by, used_by: None });
                } else {
                    self.rights.entry(grant.key).or_default().push(right);
                }
            }
            Op::Enrol { device, box_key, .. } => {
                let Some(ticket) = self.tickets.get_mut(&author) else { return };
                ticket.used_by = Some(device);
                let right = Right { taken: commit.id(), ..ticket.right.clone() };
                self.box_keys.insert(device, box_key);
                self.rights.entry(device).or_default().push(right);
            }
            Op::Endpoint { addresses } => {
                let of_unit = self.endpoints.entry(unit).or_default();
                if addresses.is_empty() {
                    of_unit.remove(&author);
                } else {
                    of_unit.insert(author, addresses);
                }
            }
            Op::Found { .. } | Op::Schema { .. } | Op::Revoke { .. } | Op::Cut(_) | Op::Erase { .. } => {}
            Op::Release { .. } | Op::Reject { .. } | Op::Succeed { .. } => {}
        }
    }
}

impl Turn<'_> {
    fn unit(&self) -> UnitId {
        self.commit.header().space.unit
    }
}
