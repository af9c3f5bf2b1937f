//! Bundles that may hold what was erased: those that this device made and put into `outbox/`, and those that wait.
//!
//! It does not: reach a file elsewhere (a stick, another PC), or decide what is erased (the charter does).
//!
//! Invariants: what may hold an erased record goes, also where it cannot be told (a bundle is encrypted to its
//! receiver); what certainly holds none stays. What went is remembered until another one is made for that unit.

use super::waiting::{self, Waiting};
use super::{BundleError, open, read, secrets};
use crate::dir::DirError;
use crate::replica::Replica;
use sampan_core::bundle::{Header, Reader, TakeError};
use sampan_core::charter::{Charter, Erased, Erasure};
use sampan_core::id::{Flow, SpaceId, UnitId};
use sampan_core::store::{Batch, Store, StoreError};
use sampan_core::wire::frame::Frame;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Where the store keeps what went.
const META_GONE: &str = "bundles_erased";
/// So many are remembered by name: more than anyone has in `outbox/` at a time.
const GONE_MAX: usize = 256;

/// A bundle that was removed because it might have held what was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The name of the file in `outbox/`; none for one that waited.
    pub file: Option<String>,
    /// The unit that it was for.
    pub unit: Option<String>,
    /// The device that made it, of one that waited.
    pub sender: Option<String>,
}

/// Whether an erasure names something of a space.
fn is_of(e: &Erasure, space: &SpaceId) -> bool {
    match e.what {
        Erased::Record { space: of, .. } => of == *space || (e.unit == space.unit && space.flow != Flow::Charter),
        Erased::Holder { .. } => false,
    }
}

/// Whether a frame brings commits of a space in which something was erased.
pub(super) fn touches(charter: &Charter, frame: &[u8]) -> Result<bool, BundleError> {
    let frame = Frame::decode(frame).map_err(TakeError::from)?;
    let units = |name: &str, unit: &UnitId| {
        charter.erasures().any(|e| matches!(e.what, Erased::Holder { .. }) && e.unit == *unit && e.what.name() == name)
    };
    Ok(match frame {
        Frame::Commits { groups, .. } => groups
            .iter()
            .flat_map(|g| g.headers.first())
            .any(|h| h.trust().is_ok_and(|h| charter.erasures().any(|e| is_of(e, &h.header().space)))),
        Frame::Registers(registers) => registers
            .iter()
            .filter_map(|r| r.trust().ok())
            .any(|r| r.name.strip_prefix(sampan_core::register::names::HOLDER).is_some_and(|key| units(key, &r.unit))),
        _ => false,
    })
}

/// Whether a bundle that this device made may hold something that was erased, by whom it is for.
fn may_hold(charter: &Charter, header: &Header) -> bool {
    charter.erasures().any(|e| {
        let shared = matches!(&e.what, Erased::Record { space, .. } if !matches!(space.flow, Flow::Up | Flow::Down));
        let Some(unit) = header.unit else { return true };
        // Who receives it may have rights on other units as well, and get what is of those.
        let devices = charter.all_rights().filter(|(_, r)| r.unit == unit).map(|(device, _)| device);
        let units = devices.flat_map(|d| charter.units_of(d)).chain([unit]).collect::<BTreeSet<_>>();
        let near = |u: &UnitId| *u == e.unit || charter.is_below(&e.unit, u) || charter.is_below(u, &e.unit);
        shared || units.iter().any(near)
    })
}

/// Removes every bundle of the folder that may hold what is erased.
///
/// # Errors
/// [`BundleError`]; what could not be removed is still there, and the next call tries again.
pub fn forget(replica: &mut Replica) -> Result<(), BundleError> {
    let mut gone = Vec::new();
    for one in waiting::list(replica)? {
        if waiting_holds(replica, &one)? && waiting::remove(replica, &one.id)? {
            gone.push(Gone { file: None, unit: one.unit.map(|u| u.to_string()), sender: Some(one.sender.to_string()) });
        }
    }
    for (path, header) in made_here(replica)? {
        if may_hold(replica.engine.charter(), &header) {
            fs::remove_file(&path).map_err(|e| BundleError::Unwritable(DirError::from_io(&path, e)))?;
            let file = path.file_name().map(|n| n.to_string_lossy().into_owned());
            gone.push(Gone { file, unit: header.unit.map(|u| u.to_string()), sender: None });
        }
    }
    if gone.is_empty() {
        return Ok(());
    }
    tracing::warn!(count = gone.len(), "bundles that may hold what was erased were removed: make new ones");
    Ok(change(replica, |all| {
        all.retain(|g| !gone.contains(g));
        all.append(&mut gone);
        all.drain(..all.len().saturating_sub(GONE_MAX));
    })?)
}

fn waiting_holds(replica: &Replica, one: &Waiting) -> Result<bool, BundleError> {
    let path = waiting::path_of(replica, &one.id);
    let keys = secrets(replica)?;
    let mut found = false;
    let reader = Reader::new(replica.engine.org(), &keys);
    let done = open(&path).and_then(|mut file| {
        read(
            &mut file,
            &path,
            reader,
            |_| Ok(()),
            |frame| {
                found |= touches(replica.engine.charter(), frame)?;
                Ok(())
            },
        )
    });
    match done {
        Ok(_) => Ok(found),
        Err(e @ (BundleError::Key(_) | BundleError::Store(_))) => Err(e),
        // What cannot be read to its end is of no use and may hold anything.
        Err(_) => Ok(true),
    }
}

/// The bundles in `outbox/` that this device made, with what stands openly in them.
fn made_here(replica: &Replica) -> Result<Vec<(PathBuf, Header)>, BundleError> {
    let folder = replica.dir().outbox();
    let failed = |e| BundleError::Unwritable(DirError::from_io(&folder, e));
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut out = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let header = header_of(replica, &path).filter(|h| h.sender == replica.device());
        out.extend(header.map(|h| (path, h)));
    }
    Ok(out)
}

/// What stands openly at the beginning of a file; `None` for what is no bundle of this organisation.
fn header_of(replica: &Replica, path: &Path) -> Option<Header> {
    let mut file = open(path).ok()?;
    let mut reader = Reader::new(replica.engine.org(), &[]);
    let mut bytes = vec![0; super::READ_BYTES];
    while reader.header().is_none() {
        match file.read(&mut bytes).ok()? {
            0 => return None,
            n => reader.push(&bytes[..n], &mut Vec::new()).ok()?,
        }
    }
    reader.header().cloned()
}

/// What went and was not made anew.
///
/// # Errors
/// [`StoreError`].
pub fn gone(store: &dyn Store) -> Result<Vec<Gone>, StoreError> {
    let Some(bytes) = store.meta(META_GONE)? else { return Ok(Vec::new()) };
    serde_json::from_slice(&bytes).map_err(|e| StoreError::Damaged(format!("the list of removed bundles: {e}")))
}

fn change(replica: &mut Replica, change: impl FnOnce(&mut Vec<Gone>)) -> Result<(), StoreError> {
    let now = replica.now();
    replica.store.group(|s| {
        let mut all = gone(s)?;
        change(&mut all);
        let bytes = serde_json::to_vec(&all).map_err(|e| StoreError::Damaged(e.to_string()))?;
        let mut batch = Batch::at(now);
        batch.meta.insert(META_GONE.into(), (!all.is_empty()).then_some(bytes));
        s.write(&batch)
    })
}

/// A bundle was made: what it takes the place of is missed no more.
pub(super) fn made_anew(replica: &mut Replica, file: &Path, unit: Option<UnitId>) -> Result<(), StoreError> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned());
    let unit = unit.map(|u| u.to_string());
    let same = |g: &Gone| g.sender.is_none() && (g.file == name || (unit.is_some() && g.unit == unit));
    if gone(&replica.store)?.iter().any(same) {
        change(replica, |all| all.retain(|g| !same(g)))?;
    }
    Ok(())
}

/// A bundle of a sender was taken in: what of it was removed while it waited is missed no more.
pub(super) fn came_anew(replica: &mut Replica, sender: &str) -> Result<(), StoreError> {
    if gone(&replica.store)?.iter().any(|g| g.sender.as_deref() == Some(sender)) {
        change(replica, |all| all.retain(|g| g.sender.as_deref() != Some(sender)))?;
    }
    Ok(())
}
