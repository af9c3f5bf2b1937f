//! What people with a right to it decide while everything breaks: devices cut off or narrowed, the quarantine
//! judged, a record erased, a new root key named.
//!
//! It does not: say what the decisions mean (the model's charter does, and `court` asks it).
//!
//! Invariants: a decision is written by a machine that has the right to it; what it excuses is told to the
//! ledger and the court, and nothing else is excused.

use super::world::World;
use sampan_core::charter::{CutKind, Erased, Holder, Op, Roles};
use sampan_core::engine::{CutRequest, Narrowing};
use sampan_core::id::{CommitId, UnitId};
use sampan_core::log::{Commit, device_id};
use sampan_core::testing::test_key;
use sampan_node::replica::Replica;
use std::collections::BTreeMap;

/// Commits that an operator judges at a time.
const JUDGED_MAX: usize = 3;

impl World {
    /// The key that may name a new root key.
    pub(super) fn succession_key(&self) -> ed25519_dalek::SigningKey {
        test_key(self.seed.wrapping_mul(1_000).wrapping_add(998))
    }

    /// A device is lost: it is cut off at what is held where the word is said. It writes on, and counts nowhere.
    pub(super) fn lose_device(&mut self, n: usize) -> bool {
        let kind = if self.chaos.chance(700) { CutKind::Lost } else { CutKind::Retire };
        let wrote = self.cut_device(n, kind, Roles::NONE);
        if wrote {
            let device = self.machines[n].device;
            for i in (0..self.machines.len()).filter(|i| self.machines[*i].device == device).collect::<Vec<_>>() {
                self.exempt[i] = true;
            }
        }
        wrote
    }

    /// A device may only read from now on, or write in one collection alone.
    pub(super) fn narrow(&mut self, n: usize) -> bool {
        if self.spec(n).roles != Roles::EDITOR {
            return false;
        }
        let wrote = if self.chaos.chance(500) {
            self.cut_device(n, CutKind::Narrow, Roles::READER)
        } else {
            self.take_collections(n)
        };
        if wrote {
            let device = self.machines[n].device;
            self.court.narrowed.insert(device);
        }
        wrote
    }

    fn take_collections(&mut self, n: usize) -> bool {
        if n == 0 || self.spec(n).relay || self.exempt[n] || self.machines[n].starts == 0 {
            return false;
        }
        let (device, unit) = (self.machines[n].device, self.unit_ids[self.spec(n).unit]);
        let left = if self.chaos.chance(500) { "cards" } else { "minutes" };
        let by = if self.chaos.chance(500) { 0 } else { self.operator_of(unit) };
        let now = self.machines[by].clock.now();
        let Some(p) = self.machines[by].process.as_mut() else { return false };
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let narrowing = Narrowing {
            device,
            unit,
            roles: Roles::EDITOR,
            subtree: false,
            collections: Some([left.to_owned()].into()),
            until: None,
            reason: "said in the simulated world".into(),
            regrant: Some(Holder { salt: [8; 16], name: "the same".into() }),
        };
        let wrote = store.group(|s| engine.write_narrowing(s, rng, &narrowing, now)).is_ok();
        self.mend(by, wrote);
        wrote
    }

    pub(super) fn cut_device(&mut self, n: usize, kind: CutKind, remaining: Roles) -> bool {
        if n == 0 || self.spec(n).relay || self.exempt[n] || self.machines[n].starts == 0 || self.chaos.chance(500) {
            return false;
        }
        let device = self.machines[n].device;
        let own = self.unit_ids[self.spec(n).unit];
        let by = if self.chaos.chance(500) { 0 } else { self.operator_of(own) };
        let now = self.machines[by].clock.now();
        let Some(p) = self.machines[by].process.as_mut() else { return false };
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let rights = engine.charter().all_rights().filter(|(d, _)| **d == device);
        let units = rights.map(|(_, right)| right.unit).chain([own]).collect();
        let request = CutRequest { device, kind, reason: "said in the simulated world".into(), remaining };
        let wrote = store.group(|s| engine.write_cut(s, rng, &units, &request, now)).is_ok();
        self.mend(by, wrote);
        wrote
    }

    /// The nearest relay above a unit whose operator may decide there; the city's when there is none.
    pub(super) fn operator_of(&self, unit: UnitId) -> usize {
        let near = (0..self.shape.nodes.len()).rev().find(|i| {
            let Some(p) = self.machines[*i].process.as_ref().filter(|_| !self.exempt[*i]) else { return false };
            let charter = p.replica.engine.charter();
            let above = charter.chain(&unit).any(|u| u.id == self.unit_ids[self.spec(*i).unit]);
            self.spec(*i).relay && above && charter.roles(&self.machines[*i].device, &unit).contains(Roles::ADMIN)
        });
        near.unwrap_or(0)
    }

    /// An operator says what is to become of some of what lies in the quarantine: the first one from here on who
    /// has something there.
    pub(super) fn judge_laid(&mut self, from: usize) -> bool {
        let count = self.machines.len();
        let order = (0..count).map(|i| (from + i) % count);
        let has = |i: &usize| {
            let runs = self.spec(*i).relay && !self.exempt[*i] && self.machines[*i].runs();
            runs && !self.ledger.held.get(*i).is_none_or(|h| h.order.is_empty()) && !self.laid(*i).is_empty()
        };
        let Some(n) = order.into_iter().find(has) else { return false };
        let (first, release) = (self.chaos.bits() as usize, self.chaos.chance(600));
        let device = self.machines[n].device;
        let now = self.machines[n].clock.now();
        let Some(p) = self.machines[n].process.as_mut() else { return false };
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let Ok(laid) = engine.laid(store) else { return false };
        let may = |unit: &UnitId| engine.charter().roles(&device, unit).contains(Roles::ADMIN);
        let known: Vec<_> = laid.iter().filter(|l| may(&l.held.head.header().space.unit)).collect();
        let Some(one) = known.get(first % known.len().max(1)) else { return false };
        let mut commits: Vec<CommitId> = one.needs.iter().take(JUDGED_MAX).copied().collect();
        if one.needs.len() <= JUDGED_MAX {
            commits.push(one.held.head.id());
        }
        let units: BTreeMap<CommitId, UnitId> =
            laid.iter().map(|l| (l.held.head.id(), l.held.head.header().space.unit)).collect();
        let unit = one.held.head.header().space.unit;
        commits.retain(|c| units.get(c) == Some(&unit));
        let reason = "said in the simulated world".to_owned();
        let op = if release { Op::Release { commits, reason } } else { Op::Reject { commits, reason } };
        let wrote = store.group(|s| engine.write_charter(s, rng, unit, &[op], now)).is_ok();
        self.mend(n, wrote);
        wrote
    }

    /// An operator erases a record that somebody wrote.
    pub(super) fn erase(&mut self) -> bool {
        let Some((_, record)) = self.chaos.pick(self.people.records()).cloned() else { return false };
        let born = |c: &Commit| c.payload().entries.iter().any(|e| e.entry.record == record);
        let Some(space) = self.ledger.commits.values().find(|c| born(c)).map(|c| c.header().space) else {
            return false;
        };
        let by = if self.chaos.chance(500) { 0 } else { self.operator_of(space.unit) };
        let now = self.machines[by].clock.now();
        let Some(p) = self.machines[by].process.as_mut() else { return false };
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let what = (Erased::Record { space, record }, "asked for in the simulated world");
        let wrote = store.group(|s| engine.erase(s, rng, space.unit, what, now)).is_ok();
        self.mend(by, wrote);
        wrote
    }

    /// The succession key names a new root key.
    pub(super) fn succeed(&mut self) -> bool {
        let (succession, root) = (self.succession_key(), test_key(self.seed.wrapping_mul(1_000).wrapping_add(999)));
        let now = self.machines[0].clock.now();
        let Some(p) = self.machines[0].process.as_mut() else { return false };
        let Replica { store, engine, rng, .. } = &mut p.replica;
        if engine.charter().successions().next().is_some() {
            return false;
        }
        let wrote = store.group(|s| engine.succeed(s, rng, &succession, (device_id(&root), None), now)).is_ok();
        self.mend(0, wrote);
        wrote
    }
}
