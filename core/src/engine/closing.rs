//! Closing cuts: a right whose end has come, cut by the relay of its unit when what was written in time has had a
//! month to arrive.
//!
//! It does not: end a session (the door does, at the end itself) or cut what still runs.
//!
//! Invariants: the fold takes a close only where the right had an end at least `CLOSING_CUT_AFTER_MS` ago by the
//! author's label, so that no replica needs a clock; what is closed is no longer due.

use super::{CutRequest, Engine};
use crate::charter::{CutKind, Roles};
use crate::entropy::Entropy;
use crate::id::{DeviceId, UnitId};
use crate::limits::CLOSING_CUT_AFTER_MS;
use crate::store::{Store, StoreError};
use crate::time::Millis;
use std::collections::BTreeSet;

/// What a closing cut says to people.
const REASON: &str = "its time was over";

impl Engine {
    /// Rights that this relay is to close: those of its unit, and of units below it that have no relay of their own.
    #[must_use]
    pub fn due_closings(&self, now: Millis) -> BTreeSet<(DeviceId, UnitId)> {
        if now.is_unset() {
            return BTreeSet::new();
        }
        let charter = &self.charter;
        let over = |until: Option<Millis>| until.is_some_and(|u| now.0 >= u.0.saturating_add(CLOSING_CUT_AFTER_MS));
        let due = charter.all_rights().filter(|(device, r)| {
            over(r.until)
                && **device != self.device
                && charter.revoked(device).is_none()
                && charter
                    .chain(&r.unit)
                    .find(|u| charter.has_relay(&u.id))
                    .is_some_and(|near| charter.endpoints(&near.id).iter().any(|(relay, _)| *relay == self.device))
                && charter.roles(&self.device, &r.unit).contains(Roles::RELAY)
        });
        due.map(|(device, r)| (*device, r.unit)).collect()
    }

    /// Closes what is due: each cut names what is held here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn write_closings(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        now: Millis,
    ) -> Result<BTreeSet<(DeviceId, UnitId)>, StoreError> {
        let due = self.due_closings(now);
        for (device, unit) in &due {
            let (kind, reason) = (CutKind::Close, REASON.to_owned());
            let request = CutRequest { device: *device, kind, reason, remaining: Roles::NONE };
            self.write_cut(store, rng, &[*unit].into(), &request, now)?;
        }
        Ok(due)
    }
}
