//! Bundles as files: made on a disk or a stick, looked into, and taken in.
//!
//! It does not: know the form of the file or what goes in (`sampan_core::bundle`), or print (`cli`).
//! `waiting` keeps those that came before what they build on; `erased` removes those that hold what was erased.
//!
//! Invariants: a file that is there is never written over, save the answers in `outbox/`, which are ours; a new
//! one appears under its name only when it is whole and on the disk. A bundle is read twice: once to check all of
//! it, then to take it in inside one transaction, which is undone when anything is refused or the file is not the
//! one that was checked. Memory does not grow with the file.

pub mod erased;
pub mod waiting;

pub use waiting::Waiting;

use crate::dir::DirError;
use crate::keys::tickets::TicketKeyError;
use crate::keys::{self, KeyError, KeyKind};
use crate::replica::Replica;
use sampan_core::bundle::{
    Address, BoxKey, BoxSecret, Checked, FormatError, Header, Plan, PlanError, Reader, Sealer, TakeError, Taken,
    Taking, Target, format::LENGTH_AT, named_by_ticket,
};
use sampan_core::engine::meta;
use sampan_core::id::{CommitId, DeviceId, UnitId};
use sampan_core::store::StoreError;
use sampan_core::sync::Env;
use sampan_core::wire::frame::{Announce, Frame};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes read from a file at a time.
const READ_BYTES: usize = 256 << 10;
/// Digits of a device's id in the name of an answer.
const NAME_DIGITS: usize = 16;

/// Why a bundle was not made, read or taken in.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Nobody to make it for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Refused.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// It builds on something that is not here, and waits for it in the folder now.
    #[error("this bundle waits for an earlier one")]
    Waits(Box<Waiting>),
    /// The same, and there is no room for it to wait; the limit, by its name.
    #[error("no more bundles can wait here: {0}")]
    WaitingFull(&'static str),
    /// Encrypted to others.
    #[error("this bundle is for another device")]
    NotForUs {
        /// The unit it is for, where it says so.
        unit: Option<UnitId>,
    },
    /// The file was another one when it was read again.
    #[error("{0} changed while it was read")]
    Changed(PathBuf),
    /// A file is never written over.
    #[error("{0} is there already")]
    Exists(PathBuf),
    /// It cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot be written.
    #[error(transparent)]
    Unwritable(DirError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A bundle that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Where.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Whether it goes down.
    pub down: bool,
    /// The unit it is for, where that is known.
    pub unit: Option<UnitId>,
    /// Devices that can open it.
    pub devices: Vec<DeviceId>,
    /// Tickets whose device, once it has joined, can open it.
    pub tickets: usize,
    /// Commits and entries in it.
    pub totals: Announce,
    /// Files in it.
    pub files: u64,
}

/// A bundle that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its header.
    pub header: Header,
    /// What it brought.
    pub taken: Taken,
}

/// What can be told of a bundle without taking it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Its header.
    pub header: Header,
    /// Its size.
    pub bytes: u64,
    /// Whether this device can open it.
    pub for_us: bool,
    /// What it holds, if it can be opened.
    pub totals: Option<Announce>,
}

/// Bytes worked through, and of how many: for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    /// So many.
    pub done: u64,
    /// Of so many; never less.
    pub of: u64,
}

/// Makes a bundle. `whole`: also what the receivers said that they hold. `replace`: an older file of this name
/// goes.
///
/// # Errors
/// [`BundleError`]; no file is left.
pub fn create(
    replica: &mut Replica,
    target: Target,
    file: &Path,
    whole: bool,
    replace: bool,
    watch: &mut dyn FnMut(Step),
) -> Result<Created, BundleError> {
    if !replace && file.exists() {
        return Err(BundleError::Exists(file.to_owned()));
    }
    replica.catch_up()?;
    replica.seal()?;
    let now = replica.label()?;
    let first = replica.file().replica.as_ref().and_then(|t| t.relays.first()).map(|r| r.device);
    let named = named_by_ticket(&replica.engine, &replica.store, first)?;
    let plan = Plan::of(&replica.engine, target, &named, now)?;
    let Replica { store, engine, rng, .. } = replica;
    let parcel = store.group(|s| plan.parcel(&mut Env { store: s, engine, rng: &mut **rng, now }, whole));
    let mut parcel = match parcel {
        Ok(parcel) => parcel,
        Err(e) => {
            engine.reload(store)?;
            return Err(e.into());
        }
    };
    let (totals, files) = (parcel.totals, parcel.files);
    let receivers: Vec<BoxKey> = plan.receivers.iter().map(|r| r.box_key).collect();
    let address = Address { org: engine.org(), created: now, down: plan.down, unit: plan.unit, receivers: &receivers };
    let mut draft = Draft::create(file)?;
    let key = engine.key().clone();
    let mut out = Vec::new();
    let mut sealer = Sealer::new(&key, &address, &mut **rng, &mut out)?;
    let mut packed = 0;
    while let Some(frame) = parcel.next(store)? {
        if let Frame::Commits { groups, .. } = &frame {
            packed += groups.iter().map(|g| g.pack.len() as u64).sum::<u64>();
            watch(Step { done: packed.min(totals.bytes), of: totals.bytes });
        }
        sealer.push(&frame.encode(), &mut out)?;
        draft.write(&out)?;
        out.clear();
    }
    let total = sealer.finish(&key, &mut out)?;
    draft.write(&out)?;
    draft.finish(total, replace)?;
    erased::made_anew(replica, file, plan.unit)?;
    let devices = plan.receivers.iter().filter(|r| !r.ticket).map(|r| r.key).collect();
    Ok(Created {
        file: file.to_owned(),
        bytes: u64::from_le_bytes(total),
        down: plan.down,
        unit: plan.unit,
        devices,
        tickets: plan.receivers.iter().filter(|r| r.ticket).count(),
        totals,
        files,
    })
}

/// A file that is being written beside its name.
struct Draft {
    to: PathBuf,
    draft: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Draft {
    fn create(to: &Path) -> Result<Self, BundleError> {
        let mut name = to.as_os_str().to_owned();
        name.push(".part");
        let draft = PathBuf::from(name);
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&draft);
        let file = file.map_err(|e| BundleError::Unwritable(DirError::from_io(to, e)))?;
        Ok(Self { to: to.to_owned(), draft, file: Some(BufWriter::new(file)) })
    }

    fn failed(&self) -> impl Fn(io::Error) -> BundleError + use<> {
        let to = self.to.clone();
        move |e| BundleError::Unwritable(DirError::from_io(&to, e))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        let failed = self.failed();
        self.file.iter_mut().try_for_each(|f| f.write_all(bytes)).map_err(failed)
    }

    /// Shows other processes that the draft is being written.
    fn hold(&self) {
        // A file system without locks: the draft then only may be taken for one that a power cut left.
        let _ = self.file.as_ref().map(|f| f.get_ref().try_lock());
    }

    /// Writes the length where it belongs and gives the file its name, once all of it is on the disk.
    fn finish(mut self, total: [u8; 8], replace: bool) -> Result<(), BundleError> {
        let failed = self.failed();
        let written = self.file.iter_mut().try_for_each(|file| {
            file.seek(SeekFrom::Start(LENGTH_AT))?;
            file.write_all(&total)
        });
        written.map_err(failed)?;
        self.place(replace)
    }

    /// Gives the file its name, once all of it is on the disk.
    fn place(mut self, replace: bool) -> Result<(), BundleError> {
        let failed = self.failed();
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(&failed)?;
        if !replace && self.to.exists() {
            return Err(BundleError::Exists(self.to.clone()));
        }
        fs::rename(&self.draft, &self.to).map_err(&failed)?;
        let folder = self.to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(&failed)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After `finish` has renamed it there is none.
        let _ = fs::remove_file(&self.draft);
    }
}

/// Where the answer to a device's bundle is put.
#[must_use]
pub fn answer_path(replica: &Replica, to: &DeviceId) -> PathBuf {
    let digits: String = to.to_string().chars().take(NAME_DIGITS).collect();
    replica.dir().outbox().join(format!("for-{digits}.bundle"))
}

/// The secrets that may open a bundle for this device.
fn secrets(replica: &Replica) -> Result<Vec<BoxSecret>, BundleError> {
    let mut out =
        vec![keys::load(&replica.dir().keys(), KeyKind::Box)?.box_secret(), BoxSecret::of_signer(replica.engine.key())];
    for unit in replica.units() {
        let secret = keys::tickets::load(&replica.store, &replica.dir().keys(), &meta::ticket_box(&unit));
        out.extend(secret.map_err(|e| match e {
            TicketKeyError::Key(e) => BundleError::Key(e),
            TicketKeyError::Store(e) => BundleError::Store(e),
        })?);
    }
    Ok(out)
}

fn open(path: &Path) -> Result<File, BundleError> {
    let unreadable = |source| BundleError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    Ok(file)
}

/// Reads a file from its beginning to its end: its bytes go to `raw`, each frame that it holds to `each`.
fn read(
    file: &mut File,
    path: &Path,
    reader: Reader<'_>,
    mut raw: impl FnMut(&[u8]) -> Result<(), BundleError>,
    mut each: impl FnMut(&[u8]) -> Result<(), BundleError>,
) -> Result<Checked, BundleError> {
    let unreadable = |source| BundleError::Unreadable { path: path.to_owned(), source };
    let mut reader = reader;
    let mut bytes = vec![0; READ_BYTES];
    let mut frames = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    loop {
        let n = match file.read(&mut bytes) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(unreadable(e)),
        };
        raw(&bytes[..n])?;
        reader.push(&bytes[..n], &mut frames)?;
        frames.drain(..).try_for_each(|frame| each(&frame))?;
    }
    Ok(reader.finish()?)
}

/// Counts the bytes that are read, for whoever watches: `passes` times the whole file are to come.
fn counted<'a>(file: &File, passes: u64, watch: &'a mut dyn FnMut(Step)) -> impl FnMut(&[u8]) + use<'a> {
    let of = file.metadata().map_or(0, |m| m.len()).saturating_mul(passes);
    let mut done = 0;
    move |bytes| {
        done += bytes.len() as u64;
        watch(Step { done, of: of.max(done) });
    }
}

/// Checks a whole bundle and says what it is; nothing is changed.
///
/// # Errors
/// [`BundleError`].
pub fn inspect(replica: &Replica, path: &Path) -> Result<Inspected, BundleError> {
    let secrets = secrets(replica)?;
    inspect_open(replica, &mut open(path)?, path, &secrets, &mut |_| {}).map(|(inspected, _)| inspected)
}

fn inspect_open(
    replica: &Replica,
    file: &mut File,
    path: &Path,
    secrets: &[BoxSecret],
    seen: &mut dyn FnMut(&[u8]),
) -> Result<(Inspected, Checked), BundleError> {
    let mut totals = None;
    let mut raw = |bytes: &[u8]| {
        seen(bytes);
        Ok(())
    };
    let checked = read(file, path, Reader::new(replica.engine.org(), secrets), &mut raw, |bytes| {
        if let Frame::Announce(a) = Frame::decode(bytes).map_err(TakeError::from)? {
            totals = Some(a);
        }
        Ok(())
    })?;
    let (header, bytes) = (checked.header.clone(), checked.total);
    Ok((Inspected { header, bytes, for_us: checked.for_us, totals }, checked))
}

/// Takes a bundle in, as a whole. One that builds on what is not here yet waits in the folder, if its sender may
/// bring it and there is room; see [`waiting::take_ready`].
///
/// # Errors
/// [`BundleError`]; nothing was changed, but for [`BundleError::Waits`].
pub fn apply(replica: &mut Replica, path: &Path, watch: &mut dyn FnMut(Step)) -> Result<Applied, BundleError> {
    let secrets = secrets(replica)?;
    let mut file = open(path)?;
    let mut seen = counted(&file, 2, watch);
    let (_, checked) = inspect_open(replica, &mut file, path, &secrets, &mut seen)?;
    if !checked.for_us {
        return Err(BundleError::NotForUs { unit: checked.header.unit });
    }
    match take_in(replica, &mut file, path, &checked, &secrets, &mut seen)? {
        Attempt::Taken(taken) => {
            erased::came_anew(replica, &checked.header.sender.to_string())?;
            Ok(Applied { header: checked.header, taken })
        }
        Attempt::Lacks(lacks) => {
            let waiting = waiting::enter(replica, &mut file, path, &checked, &secrets, lacks)?;
            Err(BundleError::Waits(Box::new(waiting)))
        }
    }
}

/// What became of a bundle.
enum Attempt {
    /// It is here.
    Taken(Taken),
    /// Nothing was changed: these commits are not here, and its sender may bring what builds on them.
    Lacks(BTreeSet<CommitId>),
}

/// Takes in a bundle that was checked, in one transaction.
fn take_in(
    replica: &mut Replica,
    file: &mut File,
    path: &Path,
    checked: &Checked,
    secrets: &[BoxSecret],
    seen: &mut dyn FnMut(&[u8]),
) -> Result<Attempt, BundleError> {
    let now = replica.label()?;
    let Replica { store, engine, rng, .. } = replica;
    let mut lacks = None;
    let taken = store.group(|s| {
        engine.catch_up(s)?;
        let mut taking = Taking::new(&checked.header);
        let raw = |bytes: &[u8]| {
            seen(bytes);
            Ok(())
        };
        let again = read(file, path, Reader::new(engine.org(), secrets), raw, |frame| {
            let env = &mut Env { store: &mut *s, engine: &mut *engine, rng: &mut **rng, now };
            let taken = taking.take(env, frame);
            if matches!(taken, Err(TakeError::Missing(_))) {
                lacks = taking.waits_for(env);
            }
            Ok(taken?)
        })?;
        if again != *checked {
            return Err(BundleError::Changed(path.to_owned()));
        }
        Ok(taking.finish(&mut Env { store: s, engine, rng: &mut **rng, now })?)
    });
    match taken {
        Ok(taken) => {
            replica.follow_schema()?;
            Ok(Attempt::Taken(taken))
        }
        Err(e) => {
            // What the engine remembers of the undone transaction goes as well.
            engine.reload(store)?;
            lacks.map(Attempt::Lacks).ok_or(e)
        }
    }
}
