//! Signing what this device says of figures, and how far it may be told.
//!
//! It does not: compute figures (`node` does, over its rows) or choose between what several devices say.
//!
//! Invariants: the same is never signed twice; what closed a period is signed once and for ever, under a
//! counter of 1; a figure goes up as far as the reach of its metric, and where the records go too only the
//! word that a unit has reported.

use super::Engine;
use crate::charter::Roles;
use crate::id::{Flow, UnitId};
use crate::register::{Register, SignedRegister};
use crate::rollup::names;
use crate::scope::Side;
use crate::store::{Batch, Store, StoreError};
use crate::time::Millis;

/// The counter of what stands for ever.
pub const CLOSED_COUNTER: u64 = 1;

impl Engine {
    /// Signs a register of figures of a unit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn say_figures(
        &self,
        store: &mut dyn Store,
        unit: UnitId,
        name: String,
        payload: Vec<u8>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::at(now);
        let counter =
            if name.starts_with(names::CLOSED) { CLOSED_COUNTER } else { self.next_counter(store, &mut batch, now)? };
        let register = Register { org: self.org, unit, name, device: self.device, counter, time: now, payload };
        batch.registers.push(SignedRegister::seal(&self.key, &register));
        store.write(&batch)
    }

    /// Whether a register, if it is one of figures, may be told to this side above: as far as the metric reaches,
    /// and, but for what a period closed with, where the records themselves do not come.
    #[must_use]
    pub fn figure_reaches(&self, upper: &Side, signed: &SignedRegister) -> bool {
        let Ok(register) = signed.trust() else { return false };
        let Some((metric, _)) = names::metric(&register.name) else { return true };
        let Some(schema) = &self.schema else { return false };
        let Some(metric) = schema.metrics.get(metric) else { return false };
        let Some(collection) = schema.collection(&metric.of) else { return false };
        let level = upper.relay_units.iter().map(|u| self.charter.level(u, &schema.levels)).min();
        let Some(level) = level else { return false };
        let records = collection.flow == Flow::Up && level >= collection.reach;
        level >= metric.reach && (register.name.starts_with(names::CLOSED) || !records)
    }

    /// Whether this device may speak for the figures of a unit and all below.
    #[must_use]
    pub fn sums_for(&self, unit: &UnitId) -> bool {
        self.charter.roles(&self.device, unit).contains(Roles::RELAY)
    }
}
