//! Bundles that came before what they build on: kept in the folder, and taken in by themselves once it is here.
//!
//! It does not: judge (`sampan_core::bundle::Taking` does, anew each time), or let in what nobody may bring.
//!
//! Invariants: what waits was read to its end, is signed, is for this device, and its sender had the right to bring
//! it; the file lies as it came, encrypted, under the hash of its chunks, so that twice is once. The file comes
//! before its row and goes after it, and taking in twice is harmless: a power cut between any two steps loses and
//! doubles nothing. Limits: `BUNDLES_WAITING_…`.

use super::{
    Applied, Attempt, BundleError, Created, Draft, answer_path, create, erased, inspect_open, open, read, secrets,
    take_in,
};
use crate::dir::DirError;
use crate::replica::Replica;
use sampan_core::bundle::{BoxSecret, Checked, Reader, TakeError, Target, sender_ended};
use sampan_core::id::{CommitId, DeviceId, UnitId};
use sampan_core::limits::{
    BUNDLES_WAITING_BYTES_MAX, BUNDLES_WAITING_MAX, BUNDLES_WAITING_PER_SENDER_BYTES_MAX,
    BUNDLES_WAITING_PER_SENDER_MAX,
};
use sampan_core::store::{Batch, Store, StoreError};
use sampan_core::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Where the store keeps the rows.
const META_WAITING: &str = "bundles_waiting";
/// How the name of a file that waits ends.
const ENDING: &str = "bundle";

/// One bundle that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its name: the hash of its chunks.
    pub id: String,
    /// Who made it.
    pub sender: DeviceId,
    /// Whether it goes down.
    pub down: bool,
    /// When it was made, by the sender's clock.
    pub created: Millis,
    /// The unit that it is for, where it says so.
    pub unit: Option<UnitId>,
    /// Its size.
    pub bytes: u64,
    /// Since when it waits.
    pub since: Millis,
    /// The commits that it waits for, as far as is known.
    pub lacks: BTreeSet<CommitId>,
}

/// The same as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    sender: String,
    down: bool,
    created: u64,
    unit: Option<String>,
    bytes: u64,
    since: u64,
    lacks: Vec<String>,
    /// It was tried since its sender's rights ended, and waits on: the next time it is refused.
    #[serde(default)]
    judged: bool,
}

impl Row {
    fn of(checked: &Checked, lacks: &BTreeSet<CommitId>, now: Millis) -> Self {
        let h = &checked.header;
        Self {
            sender: h.sender.to_string(),
            down: h.down,
            created: h.created.0,
            unit: h.unit.map(|u| u.to_string()),
            bytes: checked.total,
            since: now.0,
            lacks: lacks.iter().map(ToString::to_string).collect(),
            judged: false,
        }
    }

    fn read(&self, id: &str) -> Waiting {
        Waiting {
            id: id.to_owned(),
            sender: self.sender.parse().unwrap_or_default(),
            down: self.down,
            created: Millis(self.created),
            unit: self.unit.as_ref().and_then(|u| u.parse().ok()),
            bytes: self.bytes,
            since: Millis(self.since),
            lacks: self.lacks.iter().filter_map(|l| l.parse().ok()).collect(),
        }
    }
}

type Rows = BTreeMap<String, Row>;

/// What became of bundles that waited.
#[derive(Debug, Default)]
pub struct Ready {
    /// Taken in, in this order.
    pub applied: Vec<Applied>,
    /// Refused now, and gone from the folder.
    pub refused: Vec<(Waiting, BundleError)>,
    /// Answers made for senders below, in `outbox/`.
    pub answers: Vec<Created>,
}

fn rows(store: &dyn Store) -> Result<Rows, StoreError> {
    let Some(bytes) = store.meta(META_WAITING)? else { return Ok(Rows::new()) };
    serde_json::from_slice(&bytes).map_err(|e| StoreError::Damaged(format!("the list of waiting bundles: {e}")))
}

/// Changes the rows in one transaction; two processes may work on one folder.
fn change(replica: &mut Replica, change: impl FnOnce(&mut Rows)) -> Result<(), StoreError> {
    let now = replica.now();
    replica.store.group(|s| {
        let mut all = rows(s)?;
        change(&mut all);
        let bytes = serde_json::to_vec(&all).map_err(|e| StoreError::Damaged(e.to_string()))?;
        let mut batch = Batch::at(now);
        batch.meta.insert(META_WAITING.into(), (!all.is_empty()).then_some(bytes));
        s.write(&batch)
    })
}

/// Where a bundle of this name waits.
#[must_use]
pub fn path_of(replica: &Replica, id: &str) -> PathBuf {
    replica.dir().waiting().join(format!("{id}.{ENDING}"))
}

/// The bundles that wait, the oldest first.
///
/// # Errors
/// [`StoreError`].
pub fn list(replica: &Replica) -> Result<Vec<Waiting>, StoreError> {
    let all = rows(&replica.store)?;
    let mut out: Vec<Waiting> =
        all.iter().filter(|(id, _)| path_of(replica, id).exists()).map(|(id, row)| row.read(id)).collect();
    out.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(out)
}

/// Removes a bundle that waits; false when none has this name.
///
/// # Errors
/// [`BundleError`].
pub fn remove(replica: &mut Replica, id: &str) -> Result<bool, BundleError> {
    let path = path_of(replica, id);
    let mut known = false;
    change(replica, |all| known = all.remove(id).is_some())?;
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(known),
        Err(e) => Err(BundleError::Unwritable(DirError::from_io(&path, e))),
    }
}

/// The files of the folder, by name, with their sizes. What a power cut left half written goes.
fn files(folder: &Path) -> Result<BTreeMap<String, u64>, BundleError> {
    let failed = |e| BundleError::Unwritable(DirError::from_io(folder, e));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut out = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().and_then(|e| e.to_str());
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or_default();
        match ending {
            Some(ENDING) => {
                out.insert(name.to_owned(), fs::metadata(&path).map_or(0, |m| m.len()));
            }
            Some("part") if !is_being_written(&path) => {
                let _ = fs::remove_file(&path);
            }
            Some(_) | None => {}
        }
    }
    Ok(out)
}

/// Whether another process holds a draft.
fn is_being_written(path: &Path) -> bool {
    File::open(path).is_ok_and(|f| matches!(f.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Lets a bundle wait that was checked and tried.
pub(super) fn enter(
    replica: &mut Replica,
    file: &mut File,
    path: &Path,
    checked: &Checked,
    secrets: &[BoxSecret],
    lacks: BTreeSet<CommitId>,
) -> Result<Waiting, BundleError> {
    let id = data_encoding::HEXLOWER.encode(&checked.hash);
    let folder = replica.dir().waiting();
    let row = Row::of(checked, &lacks, replica.now());
    let there = files(&folder)?;
    if !there.contains_key(&id) {
        room(&there, &rows(&replica.store)?, &row)?;
        fs::create_dir_all(&folder).map_err(|e| BundleError::Unwritable(DirError::from_io(&folder, e)))?;
        let mut draft = Draft::create(&path_of(replica, &id))?;
        draft.hold();
        let mut erased = false;
        let reader = Reader::new(replica.engine.org(), secrets);
        let again = read(
            file,
            path,
            reader,
            |bytes| draft.write(bytes),
            |frame| {
                erased |= erased::touches(replica.engine.charter(), frame)?;
                Ok(())
            },
        )?;
        if again != *checked {
            return Err(BundleError::Changed(path.to_owned()));
        }
        if let Some(first) = lacks.first().filter(|_| erased) {
            // Made before or after the erasure, nobody can tell: nothing that may hold it is kept.
            return Err(TakeError::Missing(*first).into());
        }
        draft.place(true)?;
    }
    change(replica, |all| {
        all.entry(id.clone()).or_insert_with(|| row.clone()).lacks = row.lacks.clone();
    })?;
    Ok(row.read(&id))
}

/// Whether there is room for one more.
fn room(there: &BTreeMap<String, u64>, rows: &Rows, new: &Row) -> Result<(), BundleError> {
    let full = |limit| Err(BundleError::WaitingFull(limit));
    if there.len() >= BUNDLES_WAITING_MAX {
        return full("BUNDLES_WAITING_MAX");
    }
    if there.values().sum::<u64>().saturating_add(new.bytes) > BUNDLES_WAITING_BYTES_MAX {
        return full("BUNDLES_WAITING_BYTES_MAX");
    }
    let of_sender: Vec<u64> =
        rows.iter().filter(|(_, r)| r.sender == new.sender).filter_map(|(id, _)| there.get(id).copied()).collect();
    if of_sender.len() >= BUNDLES_WAITING_PER_SENDER_MAX {
        return full("BUNDLES_WAITING_PER_SENDER_MAX");
    }
    if of_sender.iter().sum::<u64>().saturating_add(new.bytes) > BUNDLES_WAITING_PER_SENDER_BYTES_MAX {
        return full("BUNDLES_WAITING_PER_SENDER_BYTES_MAX");
    }
    Ok(())
}

/// Takes in what waits and need not wait any more, and what that lets follow, until no more does. `told`: a sender
/// whom the caller answers itself.
///
/// # Errors
/// [`BundleError`] of the machine: the disk, the store, the keys. What was not taken in still waits.
pub fn take_ready(replica: &mut Replica, told: Option<DeviceId>) -> Result<Ready, BundleError> {
    let mut out = Ready::default();
    let there = files(&replica.dir().waiting())?;
    if there.is_empty() {
        return Ok(out);
    }
    replica.catch_up()?;
    adopt(replica, &there)?;
    while let Some(one) = next_ready(replica)? {
        try_one(replica, &one, &mut out)?;
    }
    let senders: BTreeSet<DeviceId> = out
        .applied
        .iter()
        .filter(|a| !a.header.down && a.taken.deposit.is_none() && Some(a.header.sender) != told)
        .map(|a| a.header.sender)
        .collect();
    for sender in senders {
        let path = answer_path(replica, &sender);
        match create(replica, Target::Device(sender), &path, false, true, &mut |_| {}) {
            Ok(answer) => out.answers.push(answer),
            Err(e @ (BundleError::Store(_) | BundleError::Unwritable(_))) => return Err(e),
            // Who may not be answered (any more) is not.
            Err(e) => tracing::warn!(error = %e, "a bundle that had waited cannot be answered"),
        }
    }
    Ok(out)
}

/// Files that a power cut kept from getting their row.
fn adopt(replica: &mut Replica, there: &BTreeMap<String, u64>) -> Result<(), BundleError> {
    let known = rows(&replica.store)?;
    for id in there.keys().filter(|id| !known.contains_key(*id)) {
        let path = path_of(replica, id);
        let keys = secrets(replica)?;
        match open(&path).and_then(|mut f| inspect_open(replica, &mut f, &path, &keys, &mut |_| {})) {
            // With nothing that it lacks it is tried at once, and then says what that is.
            Ok((_, checked)) => {
                let row = Row::of(&checked, &BTreeSet::new(), replica.now());
                change(replica, |all| drop(all.insert(id.clone(), row)))?;
            }
            Err(e @ (BundleError::Key(_) | BundleError::Store(_) | BundleError::Unreadable { .. })) => return Err(e),
            Err(e) => {
                remove(replica, id)?;
                tracing::warn!(file = %path.display(), error = %e, "a waiting bundle was damaged");
            }
        }
    }
    let gone: Vec<String> = known.keys().filter(|id| !there.contains_key(*id)).cloned().collect();
    if !gone.is_empty() {
        change(replica, |all| all.retain(|id, _| !gone.contains(id)))?;
    }
    Ok(())
}

/// The oldest bundle that lacks nothing any more, or whose sender's right has ended since.
fn next_ready(replica: &Replica) -> Result<Option<Waiting>, StoreError> {
    let mut aside: Option<BTreeSet<CommitId>> = None;
    let all = rows(&replica.store)?;
    let now = replica.label()?;
    let mut list: Vec<(Waiting, bool)> = all.iter().map(|(id, row)| (row.read(id), row.judged)).collect();
    list.sort_by(|(a, _), (b, _)| (a.created, &a.id).cmp(&(b.created, &b.id)));
    for (one, judged) in list {
        if !judged && sender_ended(replica.engine.charter(), one.sender, now) {
            return Ok(Some(one));
        }
        let ids: Vec<CommitId> = one.lacks.iter().copied().collect();
        let known = replica.store.known(&ids)?;
        let mut absent = ids.iter().zip(known).filter(|(_, known)| known.is_none()).map(|(id, _)| *id).peekable();
        if absent.peek().is_none() {
            return Ok(Some(one));
        }
        if aside.is_none() {
            aside = Some(replica.store.quarantine()?.iter().map(|q| q.head.id()).collect());
        }
        if absent.all(|id| aside.as_ref().is_some_and(|a| a.contains(&id))) {
            return Ok(Some(one));
        }
    }
    Ok(None)
}

fn try_one(replica: &mut Replica, one: &Waiting, out: &mut Ready) -> Result<(), BundleError> {
    let path = path_of(replica, &one.id);
    let keys = secrets(replica)?;
    let tried = open(&path).and_then(|mut file| {
        let (_, checked) = inspect_open(replica, &mut file, &path, &keys, &mut |_| {})?;
        let attempt = take_in(replica, &mut file, &path, &checked, &keys, &mut |_| {})?;
        Ok((checked, attempt))
    });
    match tried {
        Ok((checked, Attempt::Taken(taken))) => {
            remove(replica, &one.id)?;
            tracing::info!(sender = %one.sender, changes = taken.changes, "a bundle that waited was taken in");
            out.applied.push(Applied { header: checked.header, taken });
            Ok(())
        }
        Ok((_, Attempt::Lacks(lacks))) if lacks != one.lacks => {
            let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
            Ok(change(replica, |all| {
                if let Some(row) = all.get_mut(&one.id) {
                    row.lacks = lacks;
                }
            })?)
        }
        Ok((_, Attempt::Lacks(_))) | Err(BundleError::Take(TakeError::Missing(_)))
            if !rows(&replica.store)?.get(&one.id).is_some_and(|row| row.judged) =>
        {
            // Tried because its sender's rights have ended, and what it handed in before is not here yet.
            Ok(change(replica, |all| {
                if let Some(row) = all.get_mut(&one.id) {
                    row.judged = true;
                }
            })?)
        }
        Err(e @ (BundleError::Key(_) | BundleError::Store(_) | BundleError::Unreadable { .. })) => Err(e),
        Err(BundleError::Take(TakeError::Local(e))) => Err(e.into()),
        Ok((_, Attempt::Lacks(lacks))) => {
            // It asks for what is here: never tried again and again.
            refuse(replica, one, TakeError::Missing(lacks.first().copied().unwrap_or_default()).into(), out)
        }
        Err(e) => refuse(replica, one, e, out),
    }
}

fn refuse(replica: &mut Replica, one: &Waiting, why: BundleError, out: &mut Ready) -> Result<(), BundleError> {
    remove(replica, &one.id)?;
    tracing::warn!(sender = %one.sender, error = %why, "a bundle that waited was refused");
    out.refused.push((one.clone(), why));
    Ok(())
}
