//! The call list: units below that have not been heard of for so many days, and whom to call.
//!
//! It does not: call, or say why a unit is silent; what its devices last said of themselves stands beside it.
//!
//! Invariants: every unit below with a device stands in exactly one of *heard of* and *silent*; units without a device
//! are counted apart, for nobody can hear of them.

use super::devices::{Told, last_seen, unsent};
use super::when::maybe;
use sampan_core::charter::Charter;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::schema::Expr;
use sampan_core::time::Millis;
use sampan_core::value::Value;
use sampan_node::replica::{Replica, ReplicaError};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Whom to call about a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// A name.
    pub name: String,
    /// A telephone number, where one is known.
    pub phone: Option<String>,
}

/// What a device last said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SilentDevice {
    /// The device.
    pub device: String,
    /// Who holds it, where that is known here.
    pub holder: Option<String>,
    /// When it was last heard of.
    pub last_seen: Option<String>,
    /// Its version of Sampan.
    pub version: Option<String>,
    /// Changes that it had not sent then.
    pub unsent_changes: Option<u64>,
    /// Its last error, in words.
    pub last_error: Option<String>,
    /// Its clock minus the relay's, in seconds.
    pub clock_offset_s: Option<i64>,
    /// Bytes that were free on its disk at least.
    pub disk_free_bytes: Option<u64>,
    /// Whether that is too little.
    pub disk_low: Option<bool>,
}

/// A unit that is silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SilentRow {
    /// The unit.
    pub unit: String,
    /// Its path.
    pub name: String,
    /// When any of its devices was last heard of; `null` for never.
    pub last_seen: Option<String>,
    /// Whole days since then.
    pub days: Option<u64>,
    /// Changes that its devices had not sent when they last said so.
    pub unsent_changes: u64,
    /// Whom to call, from the unit's own records, else the holders of its devices.
    pub contacts: Vec<Contact>,
    /// Its devices.
    pub devices: Vec<SilentDevice>,
}

/// The list and its sums.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Silence {
    /// Silent units, the longest silent first.
    pub rows: Vec<SilentRow>,
    /// Units below that have a device.
    pub with_device: usize,
    /// Units below that have none.
    pub without_device: usize,
}

/// Units strictly below this device's own that were not heard of for `days` days.
///
/// # Errors
/// [`ReplicaError`].
pub fn silence(replica: &mut Replica, days: u64, within: Option<UnitId>) -> Result<Silence, ReplicaError> {
    let now = replica.label()?;
    let mut contacts = contacts(replica)?;
    let charter = replica.engine.charter();
    let told = Told::read(&replica.store)?;
    let own = replica.device();
    let mine: BTreeSet<UnitId> = replica.units().into_iter().collect();
    let below = |unit: &UnitId| {
        let chain = || charter.chain(unit).map(|u| u.id);
        chain().skip(1).any(|u| mine.contains(&u)) && within.is_none_or(|w| chain().any(|u| u == w))
    };
    let mut devices: BTreeMap<UnitId, BTreeMap<DeviceId, Option<String>>> =
        charter.units().filter(|u| below(&u.id)).map(|u| (u.id, BTreeMap::new())).collect();
    for (device, right) in charter.all_rights().filter(|(d, _)| **d != own && charter.revoked(d).is_none()) {
        if let Some(of_unit) = devices.get_mut(&right.unit) {
            let holder = told.holder(&right.key, &right.holder).map(str::to_owned);
            of_unit.entry(*device).or_insert(holder);
        }
    }
    let mut out = Silence::default();
    let mut found: Vec<(Option<Millis>, SilentRow)> = Vec::new();
    for (unit, devices) in devices {
        if devices.is_empty() {
            out.without_device += 1;
            continue;
        }
        out.with_device += 1;
        let mut newest = None;
        let mut shown = Vec::new();
        for (device, holder) in &devices {
            let seen = last_seen(&replica.store, &told, device)?;
            newest = newest.max(seen);
            let unsent = unsent(charter, &replica.store, &told, device)?;
            shown.push(of_device(&told, device, holder.clone(), seen, unsent));
        }
        let quiet = newest.map(|at| now.0.saturating_sub(at.0) / DAY_MS);
        if quiet.is_some_and(|d| d < days) {
            continue;
        }
        let known = contacts.remove(&unit).unwrap_or_default();
        found.push((newest, row(charter, unit, newest, quiet, known, shown)));
    }
    found.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    out.rows = found.into_iter().map(|(_, row)| row).collect();
    Ok(out)
}

/// How the units below one that lies directly below this relay stand, added up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SumRow {
    /// The unit directly below.
    pub unit: String,
    /// Its path.
    pub name: String,
    /// Units of it that have a device, itself included.
    pub units: u64,
    /// Those that were not heard of for so many days, or never.
    pub silent: u64,
    /// When the one that is silent longest was last heard of; `null` where one never was.
    pub oldest_seen: Option<String>,
    /// Changes that were not sent when it was last said.
    pub unsent_changes: u64,
    /// Units that have such changes.
    pub units_unsent: u64,
    /// Devices whose disk has too little room.
    pub disks_low: u64,
    /// Devices whose last link ended with an error.
    pub errors: u64,
    /// Devices whose clock is off by [`CLOCK_OFF_S`] or more.
    pub clocks_off: u64,
    /// How many devices run each version.
    pub versions: BTreeMap<String, u64>,
}

/// Seconds from which a clock is called off.
pub const CLOCK_OFF_S: u64 = 600;

/// The call list added up by the units directly below this device's own, by their paths.
///
/// # Errors
/// [`ReplicaError`].
pub fn sums(replica: &mut Replica, days: u64, within: Option<UnitId>) -> Result<Vec<SumRow>, ReplicaError> {
    let all = silence(replica, 0, within)?;
    let mine: BTreeSet<UnitId> = replica.units().into_iter().collect();
    let charter = replica.engine.charter();
    let mut out: BTreeMap<UnitId, SumRow> = BTreeMap::new();
    for row in &all.rows {
        let Ok(unit) = row.unit.parse::<UnitId>() else { continue };
        let line: Vec<UnitId> = charter.chain(&unit).map(|u| u.id).collect();
        // The last before this device's own.
        let Some(at) = line.iter().position(|u| mine.contains(u)).and_then(|i| i.checked_sub(1)) else { continue };
        let sum = out.entry(line[at]).or_insert_with(|| SumRow {
            unit: line[at].to_string(),
            name: charter.path(&line[at]),
            oldest_seen: row.last_seen.clone(),
            ..SumRow::default()
        });
        let count = |test: &dyn Fn(&SilentDevice) -> bool| row.devices.iter().filter(|d| test(d)).count() as u64;
        sum.units += 1;
        sum.silent += u64::from(row.days.is_none_or(|d| d >= days));
        // RFC 3339 of one zone sorts as the times do, and what never was comes first.
        sum.oldest_seen = sum.oldest_seen.take().min(row.last_seen.clone());
        sum.unsent_changes += row.unsent_changes;
        sum.units_unsent += u64::from(row.unsent_changes > 0);
        sum.disks_low += count(&|d| d.disk_low == Some(true));
        sum.errors += count(&|d| d.last_error.is_some());
        sum.clocks_off += count(&|d| d.clock_offset_s.is_some_and(|s| s.unsigned_abs() >= CLOCK_OFF_S));
        for version in row.devices.iter().filter_map(|d| d.version.clone()) {
            *sum.versions.entry(version).or_default() += 1;
        }
    }
    let mut rows: Vec<SumRow> = out.into_values().collect();
    rows.sort_by(|a, b| (&a.name, &a.unit).cmp(&(&b.name, &b.unit)));
    Ok(rows)
}

fn of_device(
    told: &Told,
    device: &DeviceId,
    holder: Option<String>,
    seen: Option<Millis>,
    unsent: Option<u64>,
) -> SilentDevice {
    let beat = told.heartbeats.get(device).map(|(_, b)| b);
    SilentDevice {
        device: device.to_string(),
        holder,
        last_seen: maybe(seen),
        version: beat.map(|b| b.version.clone()),
        unsent_changes: unsent,
        last_error: beat.map(|b| b.last_error.clone()).filter(|e| !e.is_empty()),
        clock_offset_s: beat.map(|b| b.clock_offset / 1_000),
        disk_free_bytes: told.rooms.get(device).map(|(_, room)| room.free),
        disk_low: told.rooms.get(device).map(|(_, room)| room.low),
    }
}

fn row(
    charter: &Charter,
    unit: UnitId,
    newest: Option<Millis>,
    days: Option<u64>,
    known: Vec<Contact>,
    devices: Vec<SilentDevice>,
) -> SilentRow {
    let contacts = if known.is_empty() {
        let holders: BTreeSet<&String> = devices.iter().filter_map(|d| d.holder.as_ref()).collect();
        holders.into_iter().map(|name| Contact { name: name.clone(), phone: None }).collect()
    } else {
        known
    };
    SilentRow {
        unit: unit.to_string(),
        name: charter.path(&unit),
        last_seen: maybe(newest),
        days,
        unsent_changes: devices.iter().filter_map(|d| d.unsent_changes).sum(),
        contacts,
        devices,
    }
}

/// Whom the schema says to call, from the records that units keep of themselves.
fn contacts(replica: &mut Replica) -> Result<BTreeMap<UnitId, Vec<Contact>>, ReplicaError> {
    let schema = replica.schema().ok_or(ReplicaError::NoSchema)?.clone();
    let mut out: BTreeMap<UnitId, Vec<Contact>> = BTreeMap::new();
    let Some(rule) = &schema.contact else { return Ok(out) };
    let Some(collection) = schema.collection(&rule.of) else { return Ok(out) };
    let filter = Expr::parse(collection, &rule.filter).unwrap_or_default(); // parsed with the schema
    for row in replica.list(collection, Some(&filter), None)? {
        let text = |field: &str| match row.values.get(field) {
            Some(Value::Str(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let Some(name) = text(&rule.name) else { continue };
        let phone = rule.phone.as_deref().and_then(text);
        out.entry(row.unit).or_default().push(Contact { name, phone });
    }
    Ok(out)
}
