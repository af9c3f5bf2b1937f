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
