//! Whom to dial: for each way up the nearest relay, then the next, then what the tickets said.
//!
//! It does not: dial.
//!
//! Invariants: the charter's ways come first, the deepest relay before the others; a relay that only a ticket named is
//! dialled while something waits that no other relay can place.

use crate::config::ConfigFile;
use crate::replica::Replica;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::scope;

/// One relay that may be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The key that must answer.
    pub device: DeviceId,
    /// Addresses, most preferred first.
    pub addresses: Vec<String>,
    /// How many nearer relays come before it.
    pub distance: usize,
}

/// The relays of one way up, nearest first; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The unit of the nearest, where the charter tells.
    pub unit: Option<UnitId>,
    /// What people call it: that unit's name, or the address that a ticket named.
    pub name: String,
    /// The relays.
    pub hops: Vec<Hop>,
}

impl Route {
    /// What tells it from the others: the key of the nearest relay.
    #[must_use]
    pub fn key(&self) -> DeviceId {
        self.hops.first().map(|h| h.device).unwrap_or(DeviceId([0; 32]))
    }

    /// Whether a relay is on it.
    #[must_use]
    pub fn leads_over(&self, device: &DeviceId) -> bool {
        self.hops.iter().any(|h| h.device == *device)
    }

    fn of(unit: Option<UnitId>, name: String, relays: Vec<(DeviceId, Vec<String>)>) -> Self {
        let hop = |(distance, (device, addresses))| Hop { device, addresses, distance };
        Self { unit, name, hops: relays.into_iter().enumerate().map(hop).collect() }
    }
}

/// The ways up of this replica.
#[must_use]
pub fn routes(replica: &Replica) -> Vec<Route> {
    let charter = replica.engine.charter();
    let mut out: Vec<Route> = Vec::new();
    for way in scope::ways(charter, &replica.device()) {
        let unit = way.unit();
        let name = charter.unit(&unit).map(|u| u.name.clone()).unwrap_or_default();
        let relays = way.rungs.into_iter().map(|r| (r.relay, r.addresses)).collect();
        out.push(Route::of(Some(unit), name, relays));
    }
    // Before the charter has come the tickets' word is all there is, also for a unit that was joined later; after, it
    // may still know an address that answers.
    let unheard = replica.engine.has_unheard_tickets(&replica.store).unwrap_or(false);
    let blank = replica.engine.is_blank();
    let mut told: Vec<(DeviceId, Vec<String>)> = Vec::new();
    // A ticket that was used beside a running daemon stands in the file alone.
    let fresh = if unheard { ConfigFile::read(&replica.dir().config()).ok() } else { None };
    let fresh = fresh.filter(|file| file.replica.is_some());
    for relay in fresh.as_ref().unwrap_or(replica.file()).replica.iter().flat_map(|t| &t.relays) {
        told.push((relay.device, relay.addresses.clone()));
        for hop in out.iter_mut().flat_map(|r| &mut r.hops).filter(|h| h.device == relay.device) {
            for address in &relay.addresses {
                if !hop.addresses.contains(address) {
                    hop.addresses.push(address.clone());
                }
            }
        }
    }
    if blank || unheard {
        let known = |(device, _): &(DeviceId, Vec<String>)| out.iter().any(|r| r.leads_over(device));
        let (known, mut new): (Vec<_>, Vec<_>) =
            told.into_iter().filter(|(d, _)| *d != replica.device()).partition(known);
        if !new.is_empty() {
            let name = new.first().and_then(|(_, addresses)| addresses.first()).cloned().unwrap_or_default();
            new.extend(known);
            out.push(Route::of(None, name, new));
        }
    }
    out
}

/// Whether nothing is above this replica: it is a relay of the root, and no other is to be dialled.
#[must_use]
pub fn is_top(replica: &Replica) -> bool {
    scope::is_top(replica.engine.charter(), &replica.device())
}
