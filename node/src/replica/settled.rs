//! Whose signs of life are outdone: a relay tells those above it which devices it has found equal since they said that
//! they had work unsent.
//!
//! It does not: end or open a link, or speak of devices that other relays meet.
//!
//! Invariants: what is told follows from what is stored and changes only with it, so that it is seldom told anew; of a
//! device whose work lies in the quarantine here nothing is told.

use super::Replica;
use sampan_core::engine::meta;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::limits::SETTLED_DEVICES_MAX;
use sampan_core::register::{Heartbeat, Settled, SettledDevice, names};
use sampan_core::store::{Store, StoreError};
use sampan_core::time::Millis;
use sampan_core::wire;
use std::collections::{BTreeMap, BTreeSet};

impl Replica {
    /// Tells the relays above which devices below were found equal since they said otherwise, if that is not what they
    /// were told before; whether it did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tell_settled(&mut self) -> Result<bool, StoreError> {
        let charter = self.engine.charter();
        let served: BTreeSet<UnitId> =
            sampan_core::scope::Side::of(charter, &self.device()).relay_units.into_iter().collect();
        let told_above = |unit: &UnitId| charter.unit(unit).is_some_and(|u| u.parent.is_some());
        let served: Vec<UnitId> = served.into_iter().filter(told_above).collect();
        if served.is_empty() {
            return Ok(false);
        }
        let mut said: BTreeMap<DeviceId, (Millis, u64)> = BTreeMap::new();
        for register in self.store.registers_named(names::HEARTBEAT)?.iter().filter_map(|s| s.trust().ok()) {
            let Ok(beat) = wire::decode::<Heartbeat>("heartbeat", &register.payload) else { continue };
            let newest = said.entry(register.device).or_default();
            *newest = (*newest).max((register.time, beat.unsent_changes));
        }
        let aside: BTreeSet<DeviceId> = self.store.quarantine()?.iter().map(|q| q.head.header().device).collect();
        let mut settled: BTreeMap<DeviceId, Millis> = BTreeMap::new();
        for (device, (at, _)) in said.into_iter().filter(|(d, (_, unsent))| *unsent > 0 && !aside.contains(d)) {
            let met = self.store.meta(&format!("{}{device}", meta::CHILD_VERIFIED_AT))?;
            let met = met.and_then(|b| b.try_into().ok()).map_or(Millis(0), |b| Millis(u64::from_le_bytes(b)));
            if met >= at {
                settled.insert(device, at);
            }
        }
        let mut words = Vec::new();
        for unit in served {
            let below = |d: &DeviceId| charter.rights(d).any(|r| r.unit == unit || charter.is_below(&r.unit, &unit));
            let mut devices: Vec<SettledDevice> =
                settled.iter().filter(|(d, _)| below(d)).map(|(d, at)| SettledDevice::of(d, *at)).collect();
            devices.sort_by_key(|d| std::cmp::Reverse((d.said, d.device)));
            devices.truncate(SETTLED_DEVICES_MAX);
            devices.sort();
            let own = self.store.registers_named(names::SETTLED)?;
            let mut own = own.iter().filter_map(|s| s.trust().ok());
            let before = own.find(|r| r.device == self.engine.device() && r.unit == unit && r.name == names::SETTLED);
            let settled = Settled { devices };
            let payload = wire::encode(&settled);
            if before.map_or(!settled.devices.is_empty(), |r| r.payload != payload) {
                words.push((unit, settled));
            }
        }
        let (now, said) = (self.label()?, !words.is_empty());
        let Self { store, engine, .. } = self;
        store.group(|store| words.iter().try_for_each(|(unit, s)| engine.tell_settled(store, *unit, s, now)))?;
        Ok(said)
    }
}
