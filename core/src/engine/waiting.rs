//! What waits in the quarantine, told upward: per unit how many commits, and since when.
//!
//! It does not: tell what is in them, or move them: the list alone travels.
//!
//! Invariants: signed by the device that holds them; said anew only when it says something else; what was rejected
//! does not wait.

use super::{Engine, meta};
use crate::id::UnitId;
use crate::limits::WAITING_UNITS_MAX;
use crate::register::{Register, SignedRegister, Waiting, WaitingUnit, names};
use crate::store::{Batch, Store, StoreError};
use crate::time::Millis;
use crate::wire;
use std::collections::BTreeMap;

impl Engine {
    /// How many commits are known to lie in the quarantine: cheap, to see that something changed.
    #[must_use]
    pub fn aside_count(&self) -> usize {
        self.aside.commits.len()
    }

    /// What waits here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn waiting(&self, store: &dyn Store) -> Result<Waiting, StoreError> {
        let mut units: BTreeMap<UnitId, (u64, Millis)> = BTreeMap::new();
        for q in store.quarantine()? {
            let unit = q.head.header().space.unit;
            if self.charter.rejected(&q.head.id(), &unit) {
                continue;
            }
            let row = units.entry(unit).or_insert((0, q.at));
            *row = (row.0 + 1, row.1.min(q.at));
        }
        let more = units.iter().skip(WAITING_UNITS_MAX).map(|(_, (commits, _))| commits).sum();
        let rows = units.into_iter().take(WAITING_UNITS_MAX);
        let units = rows.map(|(unit, (commits, oldest))| WaitingUnit { unit, commits, oldest }).collect();
        Ok(Waiting { units, more })
    }

    /// Says what waits here, if that differs from what was said last; true when it was said.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tell_waiting(&self, store: &mut dyn Store, now: Millis) -> Result<bool, StoreError> {
        let Some(unit) = self.charter.units_of(&self.device).first().copied() else { return Ok(false) };
        let payload = wire::encode(&self.waiting(store)?);
        let said = store.meta(meta::WAITING_SAID)?;
        let nothing = wire::encode(&Waiting::default());
        if said.as_ref().unwrap_or(&nothing) == &payload {
            return Ok(false);
        }
        let mut batch = Batch::at(now);
        let counter = self.next_counter(store, &mut batch, now)?;
        let name = names::QUARANTINE.to_owned();
        batch.meta.insert(meta::WAITING_SAID.into(), Some(payload.clone()));
        let register = Register { org: self.org, unit, name, device: self.device, counter, time: now, payload };
        batch.registers.push(SignedRegister::seal(&self.key, &register));
        store.write(&batch)?;
        Ok(true)
    }
}
