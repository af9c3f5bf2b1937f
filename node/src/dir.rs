//! DIR: the folder of one replica, and who is working in it.
//!
//! It does not: read the config, the keys or the database; it knows only where they lie.
//!
//! Invariants: a folder that is not ours is never written to; a folder that was being made when the
//! power went is known by its mark and may be made again; only the holder of `run.lock` writes
//! `run.json`, so one that lies there while the lock is free is stale.

mod machine;

pub use machine::{MachineFacts, machine_facts};

use sampan_core::entropy::{Entropy, random};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Lies in a folder from the moment it is taken until the replica in it is whole.
const UNFINISHED: &str = ".unfinished";
/// Every name that a folder under construction may hold; others make it somebody else's.
const OURS: [&str; 10] =
    [UNFINISHED, "sampan.toml", "store.db", "keys", "files", "run.lock", "run.json", "logs", "outbox", "inbox"];
/// How often a lock is tried: another process may be looking at it for a moment.
const LOCK_TRIES: u32 = 5;
/// Milliseconds between two tries.
const LOCK_PAUSE_MS: u64 = 10;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// It holds something else.
    #[error("{path} is not empty and not a Sampan folder; choose another")]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// There is no replica in it.
    #[error("{path} is not a Sampan folder; join first: sampan join DIR TICKET")]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// It is not a folder.
    #[error("{path} is a file, not a folder; choose another")]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// We may not write there.
    #[error("{path} cannot be written: {reason}; nothing was changed")]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// No room on the disk.
    #[error("the disk is full ({path}); free some room, nothing was changed")]
    Full {
        /// The file or folder.
        path: PathBuf,
    },
    /// Another process works in it.
    #[error("{path} is in use by another Sampan{}", pid.map(|p| format!(" (process {p})")).unwrap_or_default())]
    Busy {
        /// The folder.
        path: PathBuf,
        /// Its process id, where known.
        pid: Option<u32>,
    },
    /// Anything else that the system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl DirError {
    /// Sorts a system error by what a person can do about it.
    #[must_use]
    pub fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path, reason: source.to_string() }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::NotADirectory => Self::NotAFolder { path },
            _ => Self::Io { path, source },
        }
    }
}

/// What a path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or an empty folder, or one whose making was cut off: a replica may be made here.
    Free,
    /// A replica.
    Ours,
    /// Something else.
    Foreign,
}

/// The folder of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dir {
    root: PathBuf,
}

impl Dir {
    /// Looks, and changes nothing.
    ///
    /// # Errors
    /// [`DirError::NotAFolder`], or when it cannot be read.
    pub fn look(path: &Path) -> Result<Found, DirError> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Free),
            Err(e) => return Err(DirError::from_io(path, e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| DirError::from_io(path, e))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        let has = |name: &str| names.iter().any(|n| n == name);
        Ok(if has("sampan.toml") && has("keys") {
            Found::Ours
        } else if names.is_empty() || (has(UNFINISHED) && names.iter().all(|n| is_ours(n))) {
            Found::Free
        } else {
            Found::Foreign
        })
    }

    /// Takes an empty or missing folder for a new replica. What it holds goes again when the
    /// [`NewDir`] is dropped before [`NewDir::keep`].
    ///
    /// # Errors
    /// [`DirError::Foreign`] also for a folder that holds a replica; [`DirError`].
    pub fn create(path: &Path) -> Result<NewDir, DirError> {
        match Self::look(path)? {
            Found::Free => {}
            Found::Ours | Found::Foreign => {
                return Err(DirError::Foreign { path: path.to_owned() });
            }
        }
        let made_root = !path.exists();
        let failed = |e| DirError::from_io(path, e);
        fs::create_dir_all(path).map_err(failed)?;
        let new = NewDir { dir: Self { root: path.to_owned() }, made_root, kept: false };
        new.dir.clear().map_err(failed)?;
        File::create(path.join(UNFINISHED)).and_then(|f| f.sync_all()).map_err(failed)?;
        fs::DirBuilder::new().mode(0o700).create(new.dir.keys()).map_err(failed)?;
        for folder in [new.dir.files(), new.dir.logs(), new.dir.outbox()] {
            fs::create_dir(folder).map_err(failed)?;
        }
        Ok(new)
    }

    /// Opens the folder of a replica.
    ///
    /// # Errors
    /// [`DirError::NotOurs`]; the folder is left alone.
    pub fn open(path: &Path) -> Result<Self, DirError> {
        match Self::look(path)? {
            Found::Ours => Ok(Self { root: path.to_owned() }),
            Found::Free | Found::Foreign => Err(DirError::NotOurs { path: path.to_owned() }),
        }
    }

    /// The folder of this name, without a look at it: for a replica whose files lie elsewhere.
    #[must_use]
    pub fn named(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The config.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("sampan.toml")
    }
    /// The database.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.root.join("store.db")
    }
    /// The damaged database that a repair has replaced.
    #[must_use]
    pub fn damaged(&self) -> PathBuf {
        self.root.join("store.db-damaged")
    }
    /// The folder of the keys, see [`crate::keys`].
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }
    /// The folder of attached files.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }
    /// The folder of the logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
    /// The folder of bundles to carry away.
    #[must_use]
    pub fn outbox(&self) -> PathBuf {
        self.root.join("outbox")
    }
    /// The folder of bundles that wait for what they build on; made when the first has to wait.
    #[must_use]
    pub fn waiting(&self) -> PathBuf {
        self.root.join("inbox").join("waiting")
    }
    fn run_lock(&self) -> PathBuf {
        self.root.join("run.lock")
    }
    fn run_json(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// Takes the lock of the one process that keeps the link: a daemon, or a single `sync`.
    ///
    /// # Errors
    /// [`DirError::Busy`] when another process holds it.
    pub fn lock(&self) -> Result<RunLock, DirError> {
        let file = self.lock_file()?;
        for attempt in 0.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt + 1 < LOCK_TRIES => {
                    std::thread::sleep(std::time::Duration::from_millis(LOCK_PAUSE_MS));
                }
                Err(TryLockError::WouldBlock) => {
                    let pid = self.read_run_info().map(|i| i.pid);
                    return Err(DirError::Busy { path: self.root.clone(), pid });
                }
                Err(TryLockError::Error(e)) => return Err(DirError::from_io(&self.run_lock(), e)),
            }
        }
        // Whoever wrote it does not hold the lock any more.
        let _ = fs::remove_file(self.run_json());
        Ok(RunLock { run_json: self.run_json(), _file: file })
    }

    /// Who keeps the link of this folder now.
    ///
    /// # Errors
    /// When the lock cannot be looked at.
    pub fn running(&self) -> Result<Running, DirError> {
        // No lock is touched where nobody ever ran.
        if !self.run_lock().exists() {
            return Ok(Running::Nobody);
        }
        match self.lock_file()?.try_lock_shared() {
            Ok(()) => Ok(Running::Nobody),
            Err(TryLockError::WouldBlock) => Ok(self.read_run_info().map_or(Running::OneShot, Running::Daemon)),
            Err(TryLockError::Error(e)) => Err(DirError::from_io(&self.run_lock(), e)),
        }
    }

    fn lock_file(&self) -> Result<File, DirError> {
        let path = self.run_lock();
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| DirError::from_io(&path, e))
    }

    fn read_run_info(&self) -> Option<RunInfo> {
        serde_json::from_slice(&fs::read(self.run_json()).ok()?).ok()
    }

    /// Removes a replica that was only just made, names of ours alone; with `root` the empty folder
    /// as well.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn discard(self, root: bool) -> Result<(), DirError> {
        let failed = |e| DirError::from_io(&self.root, e);
        // The mark first: what is left after a failure may be taken for a new replica.
        File::create(self.root.join(UNFINISHED)).map_err(failed)?;
        self.clear().map_err(failed)?;
        if root { fs::remove_dir(&self.root).map_err(failed) } else { Ok(()) }
    }

    /// Removes what the making of a replica leaves; only names of ours.
    fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if !is_ours(&entry.file_name().to_string_lossy()) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn is_ours(name: &str) -> bool {
    // SQLite keeps its journal beside the database, and an atomic write its draft beside the file.
    OURS.contains(&name) || name.starts_with("store.db-") || name == "sampan.toml.new"
}

/// A folder taken for a replica that is not whole yet.
#[derive(Debug)]
pub struct NewDir {
    dir: Dir,
    made_root: bool,
    kept: bool,
}

impl NewDir {
    /// The folder, to fill it.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The replica in it is whole.
    ///
    /// # Errors
    /// When the mark cannot be removed.
    pub fn keep(mut self) -> Result<Dir, DirError> {
        let mark = self.dir.root.join(UNFINISHED);
        fs::remove_file(&mark).map_err(|e| DirError::from_io(&mark, e))?;
        self.kept = true;
        Ok(self.dir.clone())
    }
}

impl Drop for NewDir {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed keeps its mark, and the next `create` clears it.
            let _ = self.dir.clear();
            if self.made_root {
                let _ = fs::remove_dir(&self.dir.root);
            }
        }
    }
}

/// What a daemon tells other processes of this folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its process id.
    pub pid: u32,
    /// The loopback port of its API.
    pub port: u16,
    /// What its API asks for.
    pub token: String,
}

impl RunInfo {
    /// For this process, with a new token.
    #[must_use]
    pub fn draw(port: u16, rng: &mut dyn Entropy) -> Self {
        let token = data_encoding::HEXLOWER.encode(&random::<32>(rng));
        Self { pid: std::process::id(), port, token }
    }
}

/// Who keeps the link of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Running {
    /// Nobody.
    Nobody,
    /// A single `sync`, or a daemon that is only starting.
    OneShot,
    /// A daemon.
    Daemon(RunInfo),
}

/// The lock of the process that keeps the link; given back when dropped, also by a crash.
#[derive(Debug)]
pub struct RunLock {
    run_json: PathBuf,
    _file: File,
}

impl RunLock {
    /// Tells other processes how to reach this daemon.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&self, info: &RunInfo) -> Result<(), DirError> {
        let text =
            serde_json::to_vec(info).map_err(|e| DirError::Io { path: self.run_json.clone(), source: e.into() })?;
        write_atomic(&self.run_json, &text, 0o600)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.run_json);
    }
}

/// Replaces a file as a whole: a draft beside it, made durable, then renamed.
///
/// # Errors
/// [`DirError`]; the old file stands.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DirError> {
    let draft = {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        PathBuf::from(name)
    };
    let written =
        OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&draft).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
                _ => File::open(".")?.sync_all(),
            }
        });
    written.map_err(|e| {
        let _ = fs::remove_file(&draft);
        DirError::from_io(path, e)
    })
}

#[cfg(test)]
mod tests;
