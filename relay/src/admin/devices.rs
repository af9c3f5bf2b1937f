//! Devices: who holds which right, and ending all rights of one.
//!
//! It does not: judge what a device wrote: a cut names what this relay holds of it, the fold does the rest.
//!
//! Invariants: a holder's name is shown only where it fits the commitment in the grant.

use super::when::{maybe, rfc3339};
use super::{Failure, decide, no_right};
use sampan_core::charter::{Charter, CutKind, Grant, Holder, Op, Roles};
use sampan_core::engine::{CutRequest, meta};
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::log::EntryKind;
use sampan_core::register::{Heartbeat, Register, Room, Settled, SettledDevice, names};
use sampan_core::store::{Store, StoreError};
use sampan_core::time::Millis;
use sampan_core::wire;
use sampan_node::cli::{App, CliError, codes};
use sampan_node::replica::Replica;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One right of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceRow {
    /// The device.
    pub device: String,
    /// Who holds it, where that is known here.
    pub holder: Option<String>,
    /// The unit's id.
    pub unit: String,
    /// Its roles, joined by commas.
    pub role: String,
    /// From when.
    pub from: String,
    /// Until when.
    pub until: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// When it was last seen.
    pub last_seen: Option<String>,
    /// The collections that it may write; `null` = all that its role lets it.
    pub collections: Option<Vec<String>>,
    /// The device that took over from it.
    pub replaced_by: Option<String>,
    /// Whether another was invited to take over from it, and it still has its right.
    pub to_retire: bool,
    /// The unit's path, for people.
    #[serde(skip)]
    pub path: String,
}

/// What the registers say of devices and holders.
#[derive(Debug, Default)]
pub struct Told {
    /// Names by grant key.
    holders: BTreeMap<DeviceId, Vec<Holder>>,
    /// The newest sign of life of each device, with its label.
    pub heartbeats: BTreeMap<DeviceId, (Millis, Heartbeat)>,
    /// The room on the disk of each device, as it last told.
    pub rooms: BTreeMap<DeviceId, (Millis, Room)>,
    /// Signs of life that relays below know to be outdone.
    settled: BTreeSet<(UnitId, SettledDevice)>,
    /// Changes of each device that lie in the quarantine here.
    aside: BTreeMap<DeviceId, u64>,
}

impl Told {
    /// Reads the registers of a store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let mut told = Self::default();
        for (_, signed) in store.registers(0)? {
            // A register that this version cannot read says nothing to it.
            let Ok(register) = signed.trust() else { continue };
            told.take(&register);
        }
        for held in store.quarantine()? {
            let header = held.head.header();
            *told.aside.entry(header.device).or_default() += u64::from(header.entries);
        }
        Ok(told)
    }

    fn take(&mut self, register: &Register) {
        if let Some(key) = register.name.strip_prefix(names::HOLDER) {
            if let (Ok(key), Ok(holder)) = (key.parse(), wire::decode::<Holder>("holder", &register.payload)) {
                self.holders.entry(key).or_default().push(holder);
            }
        } else if register.name == names::HEARTBEAT
            && let Ok(beat) = wire::decode::<Heartbeat>("heartbeat", &register.payload)
        {
            let newest = self.heartbeats.entry(register.device).or_insert((register.time, beat.clone()));
            if register.time > newest.0 {
                *newest = (register.time, beat);
            }
        } else if register.name == names::SETTLED
            && let Ok(settled) = wire::decode::<Settled>("settled", &register.payload)
        {
            self.settled.extend(settled.devices.into_iter().map(|d| (register.unit, d)));
        } else if register.name == names::ROOM
            && let Ok(room) = wire::decode::<Room>("room", &register.payload)
        {
            let newest = self.rooms.entry(register.device).or_insert((register.time, room));
            if register.time > newest.0 {
                *newest = (register.time, room);
            }
        }
    }

    /// The name behind a grant's commitment.
    #[must_use]
    pub fn holder(&self, grant: &DeviceId, commitment: &[u8; 32]) -> Option<&str> {
        let of_key = self.holders.get(grant).into_iter().flatten();
        of_key
            .map(|h| (h, Grant::holder_hash(&h.salt, &h.name)))
            .find(|(_, hash)| hash == commitment)
            .map(|(h, _)| h.name.as_str())
    }
}

/// A time among the store's small facts.
///
/// # Errors
/// [`StoreError`].
pub fn fact(store: &dyn Store, prefix: &str, device: &DeviceId) -> Result<Option<Millis>, StoreError> {
    let bytes = store.meta(&format!("{prefix}{device}"))?.and_then(|b| b.try_into().ok());
    Ok(bytes.map(|b| Millis(u64::from_le_bytes(b))).filter(|t| *t > Millis(0)))
}

/// When a device was last seen: by this relay, else as its own sign of life says.
///
/// # Errors
/// [`StoreError`].
pub fn last_seen(store: &dyn Store, told: &Told, device: &DeviceId) -> Result<Option<Millis>, StoreError> {
    let seen = fact(store, meta::CHILD_SEEN_AT, device)?;
    Ok(seen.max(told.heartbeats.get(device).map(|(at, _)| *at).filter(|t| *t > Millis(0))))
}

/// Changes that a device had not sent when it was last heard of: what it said itself; or if both ends were found equal
/// after it said so, here or at a relay below, none but what lies in the quarantine here. `None` if it never said.
///
/// # Errors
/// [`StoreError`].
pub fn unsent(charter: &Charter, store: &dyn Store, told: &Told, device: &DeviceId) -> Result<Option<u64>, StoreError> {
    let verified = fact(store, meta::CHILD_VERIFIED_AT, device)?;
    let said = told.heartbeats.get(device);
    let aside = told.aside.get(device).copied().unwrap_or(0);
    // A relay speaks for what lies below its own unit.
    let below = || charter.rights(device).flat_map(|r| charter.chain(&r.unit)).map(|u| u.id);
    Ok(said.map(|(at, beat)| {
        let equal = verified.is_some_and(|v| v >= *at)
            || below().any(|u| told.settled.contains(&(u, SettledDevice::of(device, *at))));
        if equal { aside.min(beat.unsent_changes) } else { beat.unsent_changes }
    }))
}

/// When each revoked key was revoked.
fn revoked_at(store: &dyn Store) -> Result<BTreeMap<DeviceId, Millis>, StoreError> {
    let mut out: BTreeMap<DeviceId, Millis> = BTreeMap::new();
    for commit in store.charter_commits()? {
        for entry in commit.payload().entries.iter().filter(|e| e.entry.kind == EntryKind::Charter) {
            let key = match Op::decode(&entry.payload) {
                Ok(Op::Revoke { key, .. }) => Some(key),
                Ok(Op::Cut(cut)) if cut.kind.is_final() => Some(cut.key),
                Ok(_) | Err(_) => None,
            };
            if let Some(key) = key {
                let at = commit.header().time;
                out.entry(key).and_modify(|t| *t = at.min(*t)).or_insert(at);
            }
        }
    }
    Ok(out)
}

/// Every right of every device, by unit path and holder.
///
/// # Errors
/// [`StoreError`].
pub fn rows(charter: &Charter, store: &dyn Store) -> Result<Vec<DeviceRow>, StoreError> {
    let told = Told::read(store)?;
    let revoked = revoked_at(store)?;
    let mut out = Vec::new();
    for (device, right) in charter.all_rights() {
        let ended = [device, &right.key].into_iter().filter(|k| charter.revoked(k).is_some());
        let ended = ended.filter_map(|k| revoked.get(k)).min();
        let replaced = charter.replaced_by(device);
        out.push(DeviceRow {
            to_retire: replaced.is_some() && charter.revoked(device).is_none(),
            replaced_by: replaced.flatten().map(|d| d.to_string()),
            collections: right.collections.as_ref().map(|c| c.iter().cloned().collect()),
            device: device.to_string(),
            holder: told.holder(&right.key, &right.holder).map(str::to_owned),
            unit: right.unit.to_string(),
            role: right.roles.names().join(","),
            from: rfc3339(right.from),
            until: maybe(right.until),
            revoked_at: ended.copied().map(rfc3339),
            last_seen: maybe(last_seen(store, &told, device)?),
            path: charter.path(&right.unit),
        });
    }
    out.sort_by(|a, b| (&a.path, &a.holder, &a.device).cmp(&(&b.path, &b.holder, &b.device)));
    Ok(out)
}

/// What revoking a device came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The device.
    pub device: DeviceId,
    /// Whether it was done now, not before.
    pub new: bool,
    /// Logs that the cut names.
    pub logs: usize,
    /// Collections that are not held here, with their units: all that the device wrote there is outside.
    pub unheld: BTreeMap<String, BTreeSet<UnitId>>,
}

/// Ends every right of a device, and cuts what it wrote at what is held here; not if that was done before.
///
/// # Errors
/// `unknown_device`, `own_device`, `no_right`; nothing was written.
pub fn revoke(app: &App, replica: &mut Replica, named: &str, kind: CutKind, reason: &str) -> Result<Revoked, CliError> {
    let reason = super::found::checked_name(app, "--reason", reason)?.to_owned();
    let own = replica.device();
    decide(app, replica, |desk| {
        let charter = desk.engine.charter();
        let mut units: BTreeMap<DeviceId, BTreeSet<UnitId>> = BTreeMap::new();
        for (device, right) in charter.all_rights() {
            units.entry(*device).or_default().insert(right.unit);
        }
        let known: BTreeSet<DeviceId> = units.keys().copied().collect();
        let device = super::resolve::device(app.lang, &known, named)?;
        if device == own {
            return Err(app.error(&codes::OWN_DEVICE, &[]).into());
        }
        if charter.revoked(&device).is_some() {
            return Ok(Revoked { device, new: false, logs: 0, unheld: BTreeMap::new() });
        }
        let units = units.remove(&device).unwrap_or_default();
        if units.iter().any(|u| !charter.roles(&own, u).contains(Roles::ADMIN)) {
            return Err(no_right(app.lang, "right.revoke", "").into());
        }
        // In the charter of each of its units: the relays there learn it from that one.
        let logs = desk.engine.cut_logs(&device).len();
        let unheld = super::unheld::unheld(desk.engine, &device);
        let request = CutRequest { device, kind, reason: reason.clone(), remaining: Roles::NONE };
        desk.engine.write_cut(desk.store, desk.rng, &units, &request, desk.now)?;
        Ok::<_, Failure>(Revoked { device, new: true, logs, unheld })
    })
}
