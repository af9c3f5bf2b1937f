//! The devices that dial this relay: who they are and how they stand.
//!
//! It does not: know who is connected now (the daemon passes that in).
//!
//! Invariants: a child is a device whose nearest relay is one of this device's units, or one that was
//! seen here.

use super::devices::{Told, fact, last_seen, unsent};
use super::when::maybe;
use sampan_core::charter::{Charter, Right, Roles};
use sampan_core::engine::meta;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::store::{Store, StoreError};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChildRow {
    /// The device.
    pub device: String,
    /// Its units.
    pub units: Vec<String>,
    /// Whether a link is up now; false where no daemon runs.
    pub connected: bool,
    /// When it was last seen.
    pub last_seen: Option<String>,
    /// Changes that it had not sent when it last said so.
    pub unsent_changes: Option<u64>,
    /// When it last verified with this relay.
    pub verified_at: Option<String>,
    /// When it was last over its quota here and told to come back later.
    pub held_back_at: Option<String>,
    /// Its units by path, for people.
    #[serde(skip)]
    pub paths: Vec<String>,
}

/// The children of a device's relay, by the paths of their units.
///
/// # Errors
/// [`StoreError`].
pub fn rows(
    charter: &Charter,
    store: &dyn Store,
    own: &DeviceId,
    connected: &[DeviceId],
) -> Result<Vec<ChildRow>, StoreError> {
    let told = Told::read(store)?;
    let mine: BTreeSet<UnitId> =
        charter.rights(own).filter(|r| r.roles.contains(Roles::RELAY)).map(|r| r.unit).collect();
    let connected: BTreeSet<&DeviceId> = connected.iter().collect();
    // Asked once a unit: a city has more devices than units.
    let relayed: BTreeSet<UnitId> = charter.units().filter(|u| charter.has_relay(&u.id)).map(|u| u.id).collect();
    let mut units: BTreeMap<DeviceId, (BTreeSet<UnitId>, bool)> = BTreeMap::new();
    for (device, right) in charter.all_rights().filter(|(d, _)| *d != own && charter.revoked(d).is_none()) {
        let (of_device, near) = units.entry(*device).or_default();
        of_device.insert(right.unit);
        *near |= nearest_relay(charter, &relayed, right).is_some_and(|u| mine.contains(&u));
    }
    let mut out = Vec::new();
    for (device, (units, near)) in units {
        let verified = fact(store, meta::CHILD_VERIFIED_AT, &device)?;
        let seen_here = verified.is_some() || fact(store, meta::CHILD_SEEN_AT, &device)?.is_some();
        let connected = connected.contains(&device);
        if !(near || seen_here || connected) {
            continue;
        }
        out.push(ChildRow {
            device: device.to_string(),
            units: units.iter().map(UnitId::to_string).collect(),
            connected,
            last_seen: maybe(last_seen(store, &told, &device)?.max(verified)),
            unsent_changes: unsent(charter, store, &told, &device)?,
            verified_at: maybe(verified),
            held_back_at: maybe(fact(store, meta::CHILD_HELD_BACK_AT, &device)?),
            paths: units.iter().map(|u| charter.path(u)).collect(),
        });
    }
    out.sort_by(|a, b| (&a.paths, &a.device).cmp(&(&b.paths, &b.device)));
    Ok(out)
}

/// The unit whose relay a device of this right dials.
fn nearest_relay(charter: &Charter, relayed: &BTreeSet<UnitId>, right: &Right) -> Option<UnitId> {
    // A relay dials above its own unit.
    let skip = usize::from(right.roles.contains(Roles::RELAY));
    charter.chain(&right.unit).skip(skip).map(|u| u.id).find(|u| relayed.contains(u))
}
