//! Changing a grant: fewer roles, fewer collections, an earlier end.
//!
//! It does not: widen (an invitation does), or end all rights (`devices::revoke` does).
//!
//! Invariants: what is not less than what stands is refused, and nothing is written then.

use super::devices::Told;
use super::found::checked_name;
use super::invite::{day, known_collections};
use super::{Failure, decide, resolve};
use sampan_core::charter::{Holder, Right, Roles};
use sampan_core::engine::Narrowing;
use sampan_core::entropy::random;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::time::Millis;
use sampan_node::cli::convert::IntoCli as _;
use sampan_node::cli::{App, CliError, codes};
use sampan_node::replica::Replica;
use std::collections::BTreeSet;

/// What is asked for; what is not said stays as it is.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The start of the device's id.
    pub device: &'a str,
    /// The unit.
    pub unit: UnitId,
    /// What is left of the roles.
    pub roles: Option<Roles>,
    /// What is left of the collections; empty = as it is.
    pub collections: &'a [String],
    /// The new last day.
    pub until: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
}

/// What is left of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowed {
    /// The device.
    pub device: DeviceId,
    /// The roles.
    pub roles: Roles,
    /// The collections; `None` = all.
    pub collections: Option<BTreeSet<String>>,
    /// Until when.
    pub until: Option<Millis>,
    /// Logs that the cut names.
    pub logs: usize,
    /// Collections that it takes and this relay does not hold: all that was written there is outside.
    pub unheld: Vec<String>,
}

/// Narrows what a device may on one unit.
///
/// # Errors
/// `unknown_device`, `own_device`, `no_right`, `not_narrower`, `bad_date`, `date_past`, `unknown_collection`;
/// nothing was written.
pub fn narrow(app: &App, replica: &mut Replica, request: &Request) -> Result<Narrowed, CliError> {
    let reason = checked_name(app, "--reason", request.reason)?.to_owned();
    let now = replica.label().map_err(|e| Failure::Store(e).into_cli(app.lang))?;
    let until = request.until.map(|text| day(app, "--until", text, now)).transpose()?;
    let collections = known_collections(app, replica, request.collections)?;
    let told = Told::read(&replica.store).map_err(|e| e.into_cli(app.lang))?;
    let own = replica.device();
    decide(app, replica, |desk| {
        desk.require_admin(app.lang, &request.unit, "right.narrow")?;
        let charter = desk.engine.charter();
        let here: BTreeSet<DeviceId> =
            charter.all_rights().filter(|(_, r)| r.unit == request.unit).map(|(d, _)| *d).collect();
        let device = resolve::device(app.lang, &here, request.device)?;
        if device == own {
            return Err(app.error(&codes::OWN_DEVICE, &[]).into());
        }
        let rights: Vec<Right> = charter.rights(&device).filter(|r| r.unit == request.unit).cloned().collect();
        let held = rights.iter().fold(Roles::NONE, |all, r| all.union(r.roles));
        let left = left_of(&rights, request.roles.unwrap_or(held), collections.clone(), until);
        let Some(left) = left.filter(|_| held.contains(request.roles.unwrap_or(held))) else {
            return Err(app.error(&codes::NOT_NARROWER, &[("role", &held.names().join(","))]).into());
        };
        let name = rights.iter().find_map(|r| told.holder(&r.key, &r.holder)).unwrap_or_default().to_owned();
        // Fewer roles are said by the cut alone; what else is left needs a grant of its own.
        let more = collections.is_some() || until.is_some();
        let regrant = more.then(|| Holder { salt: random(desk.rng), name });
        let (unit, reason) = (request.unit, reason.clone());
        let (roles, subtree) = (left.roles, rights.iter().any(|r| r.subtree));
        let (collections, until) = (left.collections.clone(), left.until);
        let narrowing = Narrowing { device, unit, roles, subtree, collections, until, reason, regrant };
        let logs = desk.engine.cut_logs(&device).len();
        let writes = left.roles.contains(Roles::EDITOR);
        let kept = |name: &String| writes && left.collections.as_ref().is_none_or(|named| named.contains(name));
        let unheld = super::unheld::unheld(desk.engine, &device).into_iter();
        let unheld =
            unheld.filter(|(name, units)| units.contains(&unit) && !kept(name)).map(|(name, _)| name).collect();
        desk.engine.write_narrowing(desk.store, desk.rng, &narrowing, desk.now)?;
        Ok::<_, Failure>(Narrowed { device, logs, unheld, ..left })
    })
}

/// What would be left, if that is less than what stands and not nothing.
fn left_of(
    rights: &[Right],
    roles: Roles,
    collections: Option<BTreeSet<String>>,
    until: Option<Millis>,
) -> Option<Narrowed> {
    let held = rights.iter().fold(Roles::NONE, |all, r| all.union(r.roles));
    // Of several grants the widest is what stands: all collections, without end.
    let all = rights.iter().any(|r| r.collections.is_none());
    let named: BTreeSet<String> = rights.iter().flat_map(|r| r.collections.iter().flatten().cloned()).collect();
    let named = (!all).then_some(named);
    let ends = rights.iter().map(|r| r.until).collect::<Option<Vec<Millis>>>().and_then(|ends| ends.into_iter().max());
    let fewer = |new: &BTreeSet<String>| named.as_ref().is_none_or(|old| new.is_subset(old) && new != old);
    let writes = roles.contains(Roles::EDITOR) && !roles.contains(Roles::ADMIN);
    let narrower = collections.as_ref().is_none_or(|new| fewer(new) && writes)
        && until.is_none_or(|new| ends.is_none_or(|old| new < old))
        && (roles != held || collections.is_some() || until.is_some());
    (narrower && !roles.is_none()).then(|| Narrowed {
        device: DeviceId::default(),
        roles,
        collections: collections.or(named),
        until: until.or(ends),
        logs: 0,
        unheld: Vec::new(),
    })
}
