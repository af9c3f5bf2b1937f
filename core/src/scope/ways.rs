//! Ways: which relays a device dials, one way for each relay that is nearest above one of its units.
//!
//! It does not: dial, or know whether a relay answers.
//!
//! Invariants: a function of the charter alone, so that a relay finds the same ways for its child as the child does;
//! no way leads to a relay of a unit that lies below one that the device itself serves; every way has a rung.

use super::Side;
use crate::charter::Charter;
use crate::id::{DeviceId, UnitId};
use std::collections::BTreeSet;

/// One relay on a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// The unit that it is a relay of.
    pub unit: UnitId,
    /// The key that answers there.
    pub relay: DeviceId,
    /// Where it listens, most preferred first.
    pub addresses: Vec<String>,
}

/// One way up: the nearest relay of some of a device's units, and those above it, to fall back on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The device's units that it is the way of.
    pub units: BTreeSet<UnitId>,
    /// The relays, nearest first; at least one.
    pub rungs: Vec<Rung>,
}

impl Way {
    /// The unit of the nearest relay: no two ways of a device have the same.
    #[must_use]
    pub fn unit(&self) -> UnitId {
        self.rungs.first().map(|r| r.unit).unwrap_or_default()
    }

    /// Where a relay stands on it.
    fn position(&self, relay: &DeviceId) -> Option<usize> {
        self.rungs.iter().position(|r| r.relay == *relay)
    }

    /// Whether a relay is the nearest on it, or beside the nearest.
    #[must_use]
    pub fn begins_with(&self, relay: &DeviceId) -> bool {
        self.position(relay).is_some_and(|at| self.rungs[at].unit == self.unit())
    }

    /// The relays that come before one, where it is on this way.
    #[must_use]
    pub fn before(&self, relay: &DeviceId) -> Option<&[Rung]> {
        self.position(relay).map(|at| &self.rungs[..at])
    }
}

/// The ways of a device, the deepest relay first. One for each unit whose relay is the nearest above (or at) a unit of
/// the device's. A relay goes on from the highest unit that it serves itself; a device that has a relay's right and
/// listens nowhere (a deputy) dials the relay of its own unit.
#[must_use]
pub fn ways(charter: &Charter, device: &DeviceId) -> Vec<Way> {
    let mut side = Side::of(charter, device);
    if side.all().is_empty() {
        // One whose rights have ended still finds whom to hand in to what it wrote.
        side = Side::of_rights(charter.ever_given(device));
    }
    let mut out: Vec<(u8, Way)> = Vec::new();
    for unit in side.all() {
        let chain: Vec<_> = charter.chain(&unit).map(|u| (u.id, u.depth, charter.endpoints(&u.id))).collect();
        let served = |(id, _, relays): &(UnitId, u8, Vec<(DeviceId, Vec<String>)>)| {
            side.relay_units.contains(id) && relays.iter().any(|(d, _)| d == device)
        };
        let from = chain.iter().rposition(served).map_or(0, |at| at + 1);
        let (mut rungs, mut seen, mut depth) = (Vec::new(), BTreeSet::from([*device]), None);
        for (id, at, relays) in chain.into_iter().skip(from) {
            for (relay, addresses) in relays {
                if seen.insert(relay) {
                    depth.get_or_insert(at);
                    rungs.push(Rung { unit: id, relay, addresses });
                }
            }
        }
        let (Some(first), Some(depth)) = (rungs.first(), depth) else { continue };
        match out.iter_mut().find(|(_, way)| way.unit() == first.unit) {
            Some((_, way)) => {
                way.units.insert(unit);
            }
            None => out.push((depth, Way { units: BTreeSet::from([unit]), rungs })),
        }
    }
    out.sort_by(|(a, one), (b, other)| b.cmp(a).then(one.unit().cmp(&other.unit())));
    out.into_iter().map(|(_, way)| way).collect()
}

/// Whether nothing is above a device: it is a relay of the root, and no other is to be dialled.
#[must_use]
pub fn is_top(charter: &Charter, device: &DeviceId) -> bool {
    let side = Side::of(charter, device);
    side.relay_units.iter().any(|u| charter.root() == Some(*u)) && ways(charter, device).is_empty()
}

/// Whether a device serves a unit as its relay: it has the right, and listens.
#[must_use]
pub fn serves(charter: &Charter, side: &Side, device: &DeviceId, unit: &UnitId) -> bool {
    side.relay_units.contains(unit) && charter.endpoints(unit).iter().any(|(d, _)| d == device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charter::Roles;
    use crate::id::{OrgId, StoreEpoch};
    use crate::pack::Stored;
    use crate::store::Store;
    use crate::testing::MemStore;
    use crate::testing::village::{Village, plain_grant};
    use std::sync::Arc;

    fn mem(org: OrgId, device: DeviceId, epoch: StoreEpoch) -> Box<dyn Store> {
        Box::new(MemStore::new(org, device, epoch))
    }

    fn grant(v: &mut Village, unit: UnitId, key: DeviceId, roles: Roles) {
        let now = v.now;
        let r = &mut v.replicas[0];
        let op = crate::charter::Op::Grant(plain_grant(key, roles, now));
        r.engine.write_charter(&mut *r.store, &mut r.rng, unit, &[op], now).unwrap();
    }

    /// Where the ways of a device begin, and how many relays each has.
    fn found(v: &Village, key: &DeviceId) -> Vec<(UnitId, usize)> {
        ways(v.replicas[0].engine.charter(), key).iter().map(|w| (w.unit(), w.rungs.len())).collect()
    }

    /// A district with a relay, in a village's city.
    fn district(v: &mut Village, name: &str) -> (UnitId, usize) {
        let root = v.root();
        let unit = v.unit(0, root, name, "district");
        let ticket = v.invite(0, unit, Roles::ADMIN);
        let at = v.join(name, &ticket, &mut mem);
        v.sync(at, 0);
        v.listen(at, unit);
        assert!(v.sync(at, 0).verified());
        (unit, at)
    }

    #[test]
    fn there_is_one_way_for_each_nearest_relay_and_none_below_what_a_device_serves() {
        let mut v = Village::found(62, Arc::new(Stored), &mut mem);
        let root = v.root();
        let ((one, at_one), (two, at_two)) = (district(&mut v, "Quận 1"), district(&mut v, "Quận 2"));
        let lone = v.unit(0, root, "Quận 3", "district");
        let [a, b, c] =
            [(one, "Chi bộ 1"), (two, "Chi bộ 2"), (lone, "Chi bộ 3")].map(|(u, n)| v.unit(0, u, n, "branch"));
        let key = crate::log::device_id(&crate::testing::test_key(777));
        assert!(found(&v, &key).is_empty(), "a stranger has none");
        grant(&mut v, a, key, Roles::EDITOR);
        assert_eq!(found(&v, &key), [(one, 2)]);
        let second = v.unit(0, one, "Chi bộ 4", "branch");
        grant(&mut v, second, key, Roles::EDITOR);
        assert_eq!(found(&v, &key), [(one, 2)], "below the same relay it is one way");
        grant(&mut v, b, key, Roles::EDITOR);
        let mut both = vec![(one, 2), (two, 2)];
        both.sort();
        assert_eq!(found(&v, &key), both);
        // Below no relay but the city's: that is the last of the ways, being the highest.
        grant(&mut v, c, key, Roles::EDITOR);
        assert_eq!(found(&v, &key), [both[0], both[1], (root, 1)]);
        let all = ways(v.replicas[0].engine.charter(), &key);
        let of_one = all.iter().find(|w| w.unit() == one).unwrap();
        assert_eq!(of_one.units, BTreeSet::from([a, second]));
        let [first, other, city] = [at_one, at_two, 0].map(|at| v.replicas[at].engine.device());
        assert!(of_one.begins_with(&first) && !of_one.begins_with(&city) && !of_one.begins_with(&other));
        assert_eq!(of_one.before(&city).map(|r| r.iter().map(|r| r.relay).collect::<Vec<_>>()), Some(vec![first]));
        assert_eq!(of_one.before(&other), None);
        // A relay that also works for a unit below it goes up from what it serves; nothing is above the city's.
        grant(&mut v, a, first, Roles::EDITOR);
        assert_eq!(found(&v, &first), [(root, 1)]);
        grant(&mut v, a, city, Roles::EDITOR);
        assert!(found(&v, &city).is_empty() && is_top(v.replicas[0].engine.charter(), &city));
    }

    #[test]
    fn a_device_with_a_relays_right_that_listens_nowhere_dials_the_relay_of_its_unit() {
        let mut v = Village::found(63, Arc::new(Stored), &mut mem);
        let root = v.root();
        let (one, at_one) = district(&mut v, "Quận 1");
        let key = crate::log::device_id(&crate::testing::test_key(778));
        grant(&mut v, one, key, Roles::ADMIN);
        assert_eq!(found(&v, &key), [(one, 2)]);
        grant(&mut v, root, key, Roles::ADMIN);
        assert_eq!(found(&v, &key), [(one, 2), (root, 1)]);
        let charter = v.replicas[0].engine.charter();
        assert!(!is_top(charter, &key));
        let relay = v.replicas[at_one].engine.device();
        let side = Side::of(charter, &relay);
        assert!(serves(charter, &side, &relay, &one) && !serves(charter, &side, &relay, &root));
        assert!(!serves(charter, &Side::of(charter, &key), &key, &one));
    }
}
