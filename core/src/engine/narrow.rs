//! Changing a grant: fewer roles, fewer collections, an earlier end.
//!
//! It does not: widen anything (an invitation does) or decide who may (the fold does; callers ask before).
//!
//! Invariants: what was granted is cut at the tips that are held here; where the device may still write, a grant of
//! what is left stands in the same commit: collections that it names go on, all others end at those tips.

use super::{CutRequest, Engine};
use crate::charter::{CutKind, Grant, Holder, Op, Roles};
use crate::entropy::Entropy;
use crate::id::{DeviceId, UnitId};
use crate::store::{Store, StoreError};
use crate::time::Millis;
use std::collections::BTreeSet;

/// What is left of a device's rights on one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// The device.
    pub device: DeviceId,
    /// The unit.
    pub unit: UnitId,
    /// The roles.
    pub roles: Roles,
    /// Whether they hold below.
    pub subtree: bool,
    /// The collections that may be written; `None` = all.
    pub collections: Option<BTreeSet<String>>,
    /// Until when.
    pub until: Option<Millis>,
    /// Why, in words for people.
    pub reason: String,
    /// The holder's name, to go with a grant of what is left; `None`: fewer roles say all there is to say.
    pub regrant: Option<Holder>,
}

impl Engine {
    /// Writes a narrowing into the unit's charter.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn write_narrowing(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        narrowing: &Narrowing,
        now: Millis,
    ) -> Result<(), StoreError> {
        let Narrowing { device, unit, roles, .. } = *narrowing;
        let remaining = if narrowing.regrant.is_some() { Roles::NONE } else { roles };
        let request = CutRequest { device, kind: CutKind::Narrow, reason: narrowing.reason.clone(), remaining };
        let Some(holder) = &narrowing.regrant else {
            self.write_cut(store, rng, &[unit].into(), &request, now)?;
            return Ok(());
        };
        let grant = Op::Grant(Grant {
            key: device,
            roles,
            subtree: narrowing.subtree,
            from: now,
            until: narrowing.until,
            ticket: false,
            use_by: None,
            holder: Grant::holder_hash(&holder.salt, &holder.name),
            collections: narrowing.collections.clone(),
            replaces: None,
        });
        // In one commit: what is granted beside a cut goes on without a gap, what is granted after it does not.
        let cut = self.cut_op(store, &request)?;
        self.write_charter(store, rng, unit, &[cut, grant], now)?;
        self.write_holder(store, unit, device, holder.clone(), now)
    }
}
