//! What a cut made here leaves outside as a whole: records that this relay does not hold.
//!
//! It does not: cut; it is asked before, so that a person can be told.
//!
//! Invariants: by the schema and the tree alone: what lies at lower levels by design is no sign of damage here.

use sampan_core::charter::{Charter, Roles};
use sampan_core::engine::Engine;
use sampan_core::id::{DeviceId, Flow, UnitId};
use sampan_core::scope::Side;
use std::collections::{BTreeMap, BTreeSet};

/// Collections that a device may have written in, with the units whose relay here does not hold them.
#[must_use]
pub fn unheld(engine: &Engine, device: &DeviceId) -> BTreeMap<String, BTreeSet<UnitId>> {
    let mut out: BTreeMap<String, BTreeSet<UnitId>> = BTreeMap::new();
    let (charter, me) = (engine.charter(), Side::of(engine.charter(), &engine.device()));
    let Some(schema) = engine.schema() else { return out };
    for unit in written(charter, device) {
        let Some(over) = charter.chain(&unit).find(|u| me.relay_units.contains(&u.id)) else { continue };
        let level = charter.level(&over.id, engine.levels());
        for (name, collection) in &schema.collections {
            let space = collection.space(unit);
            let here = space.flow != Flow::Up || over.id == unit || space.reach <= level;
            if !here && space.flow == Flow::Up && charter.may_carry(device, &unit, name) {
                out.entry(name.clone()).or_default().insert(unit);
            }
        }
    }
    out
}

/// Units whose records a device was ever given to write.
fn written(charter: &Charter, device: &DeviceId) -> BTreeSet<UnitId> {
    let mut out = BTreeSet::new();
    for right in charter.ever_given(device) {
        out.insert(right.unit);
        if right.subtree || right.roles.contains(Roles::ADMIN) {
            out.extend(charter.units().filter(|u| charter.is_below(&u.id, &right.unit)).map(|u| u.id));
        }
    }
    out
}
