//! Whom to dial: the nearest relay above, then the next, then what the ticket said.
//!
//! It does not: dial.

use crate::replica::Replica;
use sampan_core::id::DeviceId;
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

/// The relays above this replica, nearest first.
#[must_use]
pub fn route(replica: &Replica) -> Vec<Hop> {
    let mut out: Vec<(DeviceId, Vec<String>)> = scope::upstream(replica.engine.charter(), &replica.device())
        .into_iter()
        .map(|(_, device, addresses)| (device, addresses))
        .collect();
    // Before the charter has come the ticket's word is all there is; after, it may still know an
    // address that answers.
    for relay in replica.file().replica.iter().flat_map(|t| &t.relays) {
        match out.iter_mut().find(|(d, _)| *d == relay.device) {
            Some((_, addresses)) => {
                for a in &relay.addresses {
                    if !addresses.contains(a) {
                        addresses.push(a.clone());
                    }
                }
            }
            None if replica.engine.is_blank() => out.push((relay.device, relay.addresses.clone())),
            None => {}
        }
    }
    out.into_iter().enumerate().map(|(distance, (device, addresses))| Hop { device, addresses, distance }).collect()
}
