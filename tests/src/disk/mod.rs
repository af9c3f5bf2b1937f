//! A disk that is ours: SQLite writes to it, and tests cut its power, fill it, rot it and copy it.
//!
//! It does not: touch the machine's files, wait, or draw randomness.
//!
//! Invariants: the same operations give the same disk. After a power cut everything opened before fails
//! with an I/O error and changes nothing, closing included. It answers SQLite as the system's own layer
//! does (a write harms only what it covers, [`SECTOR`]s are torn), or promises nothing when
//! [`Disk::set_rough`] is on. No memory mapping; the memory beside a write-ahead log is never durable.

mod image;
mod locks;
mod vfs;

pub use image::{Crash, Image, Model, Op, SECTOR};
pub use vfs::VFS;

use locks::{Locks, Shm};
use sampan_node::store::Files;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What a disk has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Operations that change something or make it durable: all of the following together.
    pub steps: u64,
    /// Writes.
    pub writes: u64,
    /// Syncs, of files and of the folder.
    pub syncs: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Creations, deletions, moves and cuts.
    pub others: u64,
    /// Reads.
    pub reads: u64,
}

/// Which step from now on, 1 for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The n-th step of any kind that changes something or makes it durable.
    Any(u64),
    /// The n-th write.
    Write(u64),
    /// The n-th sync.
    Sync(u64),
    /// The n-th read.
    Read(u64),
}

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes before it.
    PowerOffBefore,
    /// It is done, and the power goes before anybody hears of it.
    PowerOffAfter,
    /// It fails and changes nothing.
    IoError,
    /// It fails, and so does every later step (reads: every later read) until [`Disk::heal`].
    IoErrorForGood,
    /// It finds no room and changes nothing.
    Full,
}

/// What a disk answers when it does not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Io,
    Full,
}

/// Operations of several disks in the order in which they were done.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    ops: Arc<Mutex<Vec<(usize, Op)>>>,
}

impl Tape {
    /// Operations so far.
    #[must_use]
    pub fn len(&self) -> usize {
        hold(&self.ops).len()
    }

    /// Whether nothing was done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it: the number that [`Disk::record`] gave a disk, and what it did.
    #[must_use]
    pub fn take(&self) -> Vec<(usize, Op)> {
        std::mem::take(&mut *hold(&self.ops))
    }
}

#[derive(Debug, Default)]
struct State {
    model: Model,
    /// Grows with every power cut: a handle of an older one is dead.
    generation: u64,
    off: bool,
    counts: Counts,
    planned: Vec<(Step, Fault)>,
    dead_writes: bool,
    dead_reads: bool,
    capacity: Option<u64>,
    locks: BTreeMap<u64, Locks>,
    shm: BTreeMap<u64, Weak<Shm>>,
    tape: Option<(Tape, usize)>,
    handles: u64,
}

#[derive(Debug)]
pub(crate) struct Shared {
    name: String,
    /// First component of its paths: the name and a number that no other disk of the process has.
    tag: String,
    state: Mutex<State>,
}

static DISKS: Mutex<BTreeMap<String, Weak<Shared>>> = Mutex::new(BTreeMap::new());
static MADE: AtomicU64 = AtomicU64::new(0);

fn hold<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds the disk of a path, and the name of the file on it.
pub(crate) fn find(path: &str) -> Option<(Arc<Shared>, String)> {
    let (tag, file) = path.strip_prefix('/')?.split_once('/')?;
    let disk = hold(&DISKS).get(tag)?.upgrade()?;
    Some((disk, file.to_owned()))
}

impl State {
    fn power_off(&mut self) {
        self.generation += 1;
        self.off = true;
        self.locks.clear();
        self.shm.clear();
        self.planned.clear();
    }

    /// Takes the fault that a step meets, counting all planned ones down.
    fn due(&mut self, write: bool, sync: bool, read: bool) -> Option<Fault> {
        let mut due = None;
        self.planned.retain_mut(|(step, fault)| {
            let (n, counts) = match step {
                Step::Any(n) => (n, !read),
                Step::Write(n) => (n, write),
                Step::Sync(n) => (n, sync),
                Step::Read(n) => (n, read),
            };
            if counts {
                *n = n.saturating_sub(1);
            }
            if counts && *n == 0 {
                due = due.or(Some(*fault));
            }
            !(counts && *n == 0)
        });
        due
    }

    fn check(&self, generation: u64) -> Result<(), Trouble> {
        if self.off || self.generation != generation { Err(Trouble::Io) } else { Ok(()) }
    }

    fn act(&mut self, op: Op) -> Result<(), Trouble> {
        let (write, sync) = (matches!(op, Op::Write(..)), matches!(op, Op::Sync(..) | Op::SyncFolder));
        let fault = self.due(write, sync, false);
        match fault {
            Some(Fault::PowerOffBefore) => {
                self.power_off();
                return Err(Trouble::Io);
            }
            Some(Fault::IoError) => return Err(Trouble::Io),
            Some(Fault::IoErrorForGood) => self.dead_writes = true,
            Some(Fault::Full) => return Err(Trouble::Full),
            Some(Fault::PowerOffAfter) | None => {}
        }
        if self.dead_writes {
            return Err(Trouble::Io);
        }
        if let (Some(capacity), Op::Write(file, at, bytes)) = (self.capacity, &op) {
            let grows = (at + bytes.len() as u64).saturating_sub(self.model.content(*file).len() as u64);
            if grows > 0 && self.model.bytes() + grows > capacity {
                return Err(Trouble::Full);
            }
        }
        self.counts.steps += 1;
        match &op {
            Op::Write(_, _, bytes) => {
                self.counts.writes += 1;
                self.counts.bytes_written += bytes.len() as u64;
            }
            Op::Sync(..) | Op::SyncFolder => self.counts.syncs += 1,
            Op::Create(_) | Op::Cut(..) | Op::Delete(_) | Op::Rename(..) => self.counts.others += 1,
        }
        self.model.play(&op);
        if let Some((tape, me)) = &self.tape {
            hold(&tape.ops).push((*me, op));
        }
        if fault == Some(Fault::PowerOffAfter) {
            self.power_off();
            return Err(Trouble::Io);
        }
        Ok(())
    }

    fn read(&mut self, file: u64, at: u64, out: &mut [u8]) -> Result<usize, Trouble> {
        self.counts.reads += 1;
        match self.due(false, false, true) {
            Some(Fault::IoErrorForGood) => self.dead_reads = true,
            Some(Fault::PowerOffBefore | Fault::PowerOffAfter) => {
                self.power_off();
                return Err(Trouble::Io);
            }
            Some(Fault::IoError | Fault::Full) => return Err(Trouble::Io),
            None => {}
        }
        if self.dead_reads {
            return Err(Trouble::Io);
        }
        let content = self.model.content(file);
        let from = content.len().min(at as usize);
        let n = out.len().min(content.len() - from);
        out[..n].copy_from_slice(&content[from..from + n]);
        out[n..].fill(0);
        Ok(n)
    }
}

/// One made-up disk. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Disk {
    shared: Arc<Shared>,
}

impl Disk {
    /// An empty disk. The name is for people and traces: two disks may have the same.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::from_image(name, &Image::default())
    }

    /// A disk that holds a copy: an old backup, a clone.
    #[must_use]
    pub fn from_image(name: &str, image: &Image) -> Self {
        vfs::register();
        let tag = format!("{name}-{}", MADE.fetch_add(1, Ordering::Relaxed));
        let state = Mutex::new(State { model: Model::of(image), ..State::default() });
        let shared = Arc::new(Shared { name: name.to_owned(), tag: tag.clone(), state });
        let mut disks = hold(&DISKS);
        disks.retain(|_, d| d.strong_count() > 0);
        disks.insert(tag, Arc::downgrade(&shared));
        drop(disks);
        Self { shared }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        hold(&self.shared.state)
    }

    /// Its name. Paths hold a number besides, which differs between runs: write the name into traces.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The path of a file on it, as `SqliteStore::create_on` and SQLite (with [`VFS`]) want it.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/{}/{file}", self.shared.tag))
    }

    /// What it has done.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Writes, cuts and names that a power cut now could lose; 0 right after a commit. A checkpoint
    /// beside a reader may leave some in the database that the log still holds: where that can be, ask
    /// [`Disk::unsynced_in`] of the log.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.state().model.unsynced()
    }

    /// Writes and cuts of one file that no sync has covered, e.g. of `store.db-wal`.
    #[must_use]
    pub fn unsynced_in(&self, file: &str) -> usize {
        self.state().model.unsynced_in(file)
    }

    /// From now on promises nothing to SQLite: a torn write may spoil its neighbours in the sector.
    /// SQLite then writes more, and a part of that after its sync: [`Disk::unsynced`] is not 0 then.
    pub fn set_rough(&self, rough: bool) {
        self.state().model.rough = rough;
    }

    /// Bytes that fit, `None` for any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes of all files now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state().model.bytes()
    }

    /// Plans a fault.
    pub fn fail_at(&self, step: Step, fault: Fault) {
        self.state().planned.push((step, fault));
    }

    /// Forgets planned and lasting faults.
    pub fn heal(&self) {
        let mut s = self.state();
        s.planned.clear();
        (s.dead_reads, s.dead_writes) = (false, false);
    }

    /// Cuts the power: everything open fails from now on, and nothing opens until [`Disk::crash`].
    pub fn power_off(&self) {
        self.state().power_off();
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Cuts the power, decides what has survived, and turns it on again.
    pub fn crash(&self, crash: Crash) {
        let mut s = self.state();
        let left = s.model.after(crash);
        s.replace(&left);
    }

    /// Stops and starts without loss: as [`Disk::crash`], but everything written is there.
    pub fn restart(&self) {
        let mut s = self.state();
        let left = s.model.current();
        s.replace(&left);
    }

    /// All files are gone.
    pub fn lose(&self) {
        self.state().replace(&Image::default());
    }

    /// Puts a copy in the place of everything, e.g. an old backup; what was open is dead.
    pub fn restore(&self, image: &Image) {
        self.state().replace(image);
    }

    /// A copy of what programs see now.
    #[must_use]
    pub fn snapshot(&self) -> Image {
        self.state().model.current()
    }

    /// A copy of what is durable now.
    #[must_use]
    pub fn durable(&self) -> Image {
        self.state().model.after(Crash::DropUnsynced)
    }

    /// Flips one bit of a file, also where it is durable; where, `None` for an empty or absent file.
    #[must_use]
    pub fn flip_bit(&self, file: &str, seed: u64) -> Option<(String, u64)> {
        let at = self.state().model.flip_bit(file, seed)?;
        Some((file.to_owned(), at))
    }

    /// Writes what it does from now on onto a tape, under this number.
    pub fn record(&self, tape: &Tape, me: usize) {
        self.state().tape = Some((tape.clone(), me));
    }

    fn act(&self, op: Op) -> io::Result<()> {
        let mut s = self.state();
        let generation = s.generation;
        s.check(generation).and_then(|()| s.act(op)).map_err(|t| match t {
            Trouble::Io => io::Error::other("the disk does not answer"),
            Trouble::Full => io::Error::from(io::ErrorKind::StorageFull),
        })
    }

    fn file_of(&self, path: &Path) -> io::Result<String> {
        let text = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        match find(text) {
            Some((disk, file)) if Arc::ptr_eq(&disk, &self.shared) => Ok(file),
            Some(_) | None => Err(io::Error::other(format!("{text} is not on the disk {}", self.name()))),
        }
    }
}

impl State {
    fn replace(&mut self, image: &Image) {
        self.power_off();
        self.off = false;
        let rough = self.model.rough;
        self.model = Model::of(image);
        self.model.rough = rough;
    }
}

impl Files for Disk {
    fn vfs(&self) -> Option<&str> {
        Some(VFS)
    }

    fn find(&self, path: &Path) -> io::Result<()> {
        let file = self.file_of(path)?;
        let s = self.state();
        if s.off {
            return Err(io::Error::other("the disk does not answer"));
        }
        s.model.find(&file).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn head(&self, path: &Path, into: &mut [u8]) -> io::Result<usize> {
        self.find(path)?;
        let file = self.file_of(path)?;
        let s = self.state();
        let held = s.model.find(&file).map_or(&[][..], |id| s.model.content(id));
        let read = held.len().min(into.len());
        into[..read].copy_from_slice(&held[..read]);
        Ok(read)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        self.act(Op::Delete(self.file_of(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.find(from)?;
        self.act(Op::Rename(self.file_of(from)?, self.file_of(to)?))
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        self.act(Op::SyncFolder)
    }
}

#[cfg(test)]
mod tests;
