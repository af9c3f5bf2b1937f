//! A folder in one file: a consistent snapshot of the database, the configuration and the keys.
//!
//! It does not: seal anything itself: keys go in as they lie, sealed where the folder has a passphrase.
//! Logs, the outbox and locks stay behind.
//!
//! Invariants: a file that is there is never written over, nor is a folder; nothing is made of a backup
//! before all of it was read and its hashes were right; a folder made of one is another store from its
//! first moment.
//!
//! The form, version 1: the line `sampan backup, version 1`; one line of JSON, the [`Manifest`]; the
//! BLAKE3 hash of that line in hex; then the contents of the files, one behind the other, in the order of
//! the manifest, which has length and BLAKE3 hash of each.

use crate::codec::ZstdCodec;
use crate::config::{ConfigError, ConfigFile};
use crate::dir::{Dir, DirError};
use crate::keys::{KeyError, database};
use crate::replica::Replica;
use crate::store::SqliteStore;
use sampan_core::id::{DeviceId, OrgId};
use sampan_core::store::StoreError;
use sampan_core::time::Millis;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEADER: &str = "sampan backup, version 1";
/// How the first line of every version begins.
const HEADER_ANY: &str = "sampan backup, version ";
/// Bytes in the line of the manifest: eight files of a hundred bytes each, with room.
const MANIFEST_BYTES_MAX: u64 = 8 << 10;
/// What a backup may hold, by its name inside DIR; other names are refused.
const NAMES: [&str; 8] = [
    "sampan.toml",
    "keys/lock",
    "keys/recovery",
    "keys/device.key",
    "keys/box.key",
    "keys/root.key",
    DATABASE_KEY,
    STORE,
];
const STORE: &str = "store.db";
const DATABASE_KEY: &str = "keys/database.key";
/// MiB of cache for the moment that a store is opened here.
const CACHE_MB: u32 = 16;

/// Why a backup was not made or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there already.
    #[error("{path} is there already and is not written over; choose another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It is no backup of ours.
    #[error("{path} is not a Sampan backup")]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error("{path} is a backup of a newer Sampan; install that version")]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// Its end is missing.
    #[error("{path} is incomplete; copy it again")]
    Cut {
        /// The file.
        path: PathBuf,
    },
    /// It is not as it was written.
    #[error("{path} is damaged in {part}; nothing was restored")]
    Altered {
        /// The file.
        path: PathBuf,
        /// Which part of it.
        part: String,
    },
    /// It cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The folder, or writing the file.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key of an encrypted store.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// One file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    name: String,
    bytes: u64,
    blake3: String,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The organisation.
    pub organisation: OrgId,
    /// The device whose folder it was.
    pub device: DeviceId,
    /// When it was made, by the clock of the machine.
    pub made_at: Millis,
    /// Whether its keys are under a passphrase.
    pub sealed: bool,
    /// Whether its database is encrypted; the database key is in it then, as the others are.
    pub encrypted: bool,
    parts: Vec<Part>,
}

/// The manifest as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestLine {
    organisation: String,
    device: String,
    made_at: u64,
    sealed: bool,
    files: Vec<Part>,
}

impl Manifest {
    /// Bytes of the files in it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.bytes).sum()
    }

    fn line(&self) -> String {
        let line = ManifestLine {
            organisation: self.organisation.to_string(),
            device: self.device.to_string(),
            made_at: self.made_at.0,
            sealed: self.sealed,
            files: self.parts.clone(),
        };
        // Strings and numbers are always JSON.
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let read: ManifestLine = serde_json::from_slice(line).ok()?;
        let mut names: Vec<&str> = read.files.iter().map(|p| p.name.as_str()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        let known = names.len() == all && names.iter().all(|n| NAMES.contains(n));
        let whole = ["sampan.toml", "keys/device.key", STORE].iter().all(|n| names.contains(n));
        (known && whole).then_some(())?;
        read.files.iter().try_fold(0_u64, |sum, p| sum.checked_add(p.bytes))?;
        Some(Self {
            organisation: read.organisation.parse().ok()?,
            device: read.device.parse().ok()?,
            made_at: Millis(read.made_at.min(sampan_core::time::MAX_MILLIS)),
            sealed: read.sealed,
            encrypted: read.files.iter().any(|p| p.name == DATABASE_KEY),
            parts: read.files,
        })
    }
}

/// Writes the backup of a folder to a new file. Works beside a running daemon; needs the passphrase only where
/// the database is encrypted.
///
/// # Errors
/// [`BackupError`]; no file remains.
pub fn create(dir: &Dir, file: &Path, now: Millis) -> Result<Manifest, BackupError> {
    let config = ConfigFile::read(&dir.config())?;
    let table = config.replica.ok_or_else(|| DirError::NotOurs { path: dir.root().to_owned() })?;
    let place = database::place(dir)?;
    let failed = |e| DirError::from_io(file, e);
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists { path: file.to_owned() },
        _ => BackupError::Dir(failed(e)),
    })?;
    // A name of ours: what a power cut leaves of it is cleared by the next backup.
    let copy = dir.root().join("store.db-backup");
    let written = (|| {
        let store = SqliteStore::open(&place, Arc::new(ZstdCodec), table.device, table.org, CACHE_MB)?;
        store.copy_to(&copy)?;
        let encrypted = store.is_encrypted();
        drop(store);
        let parts = NAMES
            .iter()
            .map(|name| (*name, if *name == STORE { copy.clone() } else { dir.root().join(name) }))
            // The key of an encryption that was cut off opens nothing.
            .filter(|(name, path)| path.exists() && (encrypted || **name != *DATABASE_KEY))
            .map(|(name, path)| part(name, &path))
            .collect::<Result<Vec<_>, _>>()?;
        let sealed = parts.iter().any(|p| p.name == "keys/lock");
        let manifest =
            Manifest { organisation: table.org, device: table.device, made_at: now, sealed, encrypted, parts };
        put(&out, &manifest, |name| if name == STORE { copy.clone() } else { dir.root().join(name) })
            .map_err(failed)?;
        if let Some(parent) = file.parent() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent).and_then(|f| f.sync_all()).map_err(failed)?;
        }
        Ok(manifest)
    })();
    // Fails only where there is none.
    let _ = fs::remove_file(&copy);
    if written.is_err() {
        let _ = fs::remove_file(file);
    }
    written
}

fn part(name: &str, path: &Path) -> Result<Part, BackupError> {
    let mut hash = blake3::Hasher::new();
    let bytes = File::open(path).and_then(|mut f| io::copy(&mut f, &mut hash));
    let bytes = bytes.map_err(|e| DirError::from_io(path, e))?;
    Ok(Part { name: name.to_owned(), bytes, blake3: hash.finalize().to_hex().to_string() })
}

fn put(out: &File, manifest: &Manifest, place: impl Fn(&str) -> PathBuf) -> io::Result<()> {
    let mut to = BufWriter::new(out);
    let line = manifest.line();
    write!(to, "{HEADER}\n{line}\n{}\n", blake3::hash(line.as_bytes()).to_hex())?;
    for part in &manifest.parts {
        let mut from = File::open(place(&part.name))?.take(part.bytes);
        // A file that changed since it was hashed makes a backup that does not restore: better none.
        let copied = io::copy(&mut from, &mut to)?;
        if copied != part.bytes {
            return Err(io::Error::other(format!("{} changed while it was read", part.name)));
        }
    }
    to.flush()?;
    out.sync_all()
}

/// A backup whose every byte was checked, positioned at its first content.
struct Checked {
    manifest: Manifest,
    from: BufReader<File>,
}

/// Reads all of a backup once and checks it.
fn check(path: &Path) -> Result<Manifest, BackupError> {
    let Checked { manifest, mut from } = open(path)?;
    for part in &manifest.parts {
        let mut hash = blake3::Hasher::new();
        copy_part(path, part, &mut from, &mut hash).map_err(|e| match e {
            BackupError::Dir(e) => BackupError::Unreadable { path: path.to_owned(), reason: e.to_string() },
            other => other,
        })?;
    }
    match from.fill_buf() {
        Ok([]) => Ok(manifest),
        Ok(_) => Err(altered(path, "its end")),
        Err(e) => Err(unreadable(path, &e)),
    }
}

fn open(path: &Path) -> Result<Checked, BackupError> {
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let mut from = BufReader::new(file);
    let header = line(path, &mut from, HEADER.len() as u64 + 1);
    match header {
        Ok(text) if text == HEADER.as_bytes() => {}
        Ok(text) if text.starts_with(HEADER_ANY.as_bytes()) => {
            return Err(BackupError::Newer { path: path.to_owned() });
        }
        // A file of some other kind has no short first line, or another one.
        Ok(_) | Err(BackupError::Altered { .. }) => return Err(BackupError::NotABackup { path: path.to_owned() }),
        Err(BackupError::Cut { .. }) if !begins_as_ours(path) => {
            return Err(BackupError::NotABackup { path: path.to_owned() });
        }
        Err(e) => return Err(e),
    }
    let text = line(path, &mut from, MANIFEST_BYTES_MAX)?;
    let hash = line(path, &mut from, 65)?;
    if blake3::hash(&text).to_hex().as_bytes() != hash.as_slice() {
        return Err(altered(path, "its list of contents"));
    }
    let manifest = Manifest::parse(&text).ok_or_else(|| altered(path, "its list of contents"))?;
    Ok(Checked { manifest, from })
}

/// Whether a file without a line end is the beginning of a backup.
fn begins_as_ours(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|f| f.take(HEADER.len() as u64).read_to_end(&mut start));
    read.is_ok() && !start.is_empty() && HEADER.as_bytes().starts_with(&start)
}

fn line(path: &Path, from: &mut BufReader<File>, bytes_max: u64) -> Result<Vec<u8>, BackupError> {
    let mut text = Vec::new();
    from.take(bytes_max).read_until(b'\n', &mut text).map_err(|e| unreadable(path, &e))?;
    if text.pop_if(|b| *b == b'\n').is_some() {
        return Ok(text);
    }
    Err(if (text.len() as u64) < bytes_max {
        BackupError::Cut { path: path.to_owned() }
    } else {
        altered(path, "its first lines")
    })
}

/// Copies one part and checks it on the way.
fn copy_part(path: &Path, part: &Part, from: &mut BufReader<File>, to: &mut dyn Write) -> Result<(), BackupError> {
    let mut hash = blake3::Hasher::new();
    let mut left = part.bytes;
    while left > 0 {
        let chunk = from.fill_buf().map_err(|e| unreadable(path, &e))?;
        if chunk.is_empty() {
            return Err(BackupError::Cut { path: path.to_owned() });
        }
        let used = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        hash.update(&chunk[..used]);
        to.write_all(&chunk[..used]).map_err(|e| DirError::from_io(Path::new(&part.name), e))?;
        from.consume(used);
        left -= used as u64;
    }
    if hash.finalize().to_hex().as_str() != part.blake3 {
        return Err(altered(path, &part.name));
    }
    Ok(())
}

fn altered(path: &Path, part: &str) -> BackupError {
    BackupError::Altered { path: path.to_owned(), part: part.to_owned() }
}

fn unreadable(path: &Path, e: &io::Error) -> BackupError {
    BackupError::Unreadable { path: path.to_owned(), reason: e.to_string() }
}

/// Makes a new folder of a backup. The replica in it is another store than the one that was backed up:
/// it writes under a new name, and what the old one was told as delivered counts only when confirmed anew.
///
/// # Errors
/// [`BackupError`]; no folder remains.
pub fn restore(file: &Path, path: &Path) -> Result<Manifest, BackupError> {
    // The folder first: a wrong one is told without reading gigabytes.
    if !matches!(Dir::look(path)?, crate::dir::Found::Free) {
        return Err(DirError::Foreign { path: path.to_owned() }.into());
    }
    check(file)?;
    let Checked { manifest, mut from } = open(file)?;
    let new = Dir::create(path)?;
    let root = new.dir().root().to_owned();
    let mut config = None;
    for part in &manifest.parts {
        if part.name == "sampan.toml" {
            let mut text = Vec::new();
            copy_part(file, part, &mut from, &mut text)?;
            config = Some(text);
            continue;
        }
        let to = root.join(&part.name);
        let failed = |e| DirError::from_io(&to, e);
        let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to).map_err(failed)?;
        copy_part(file, part, &mut from, &mut &out)?;
        out.sync_all().map_err(failed)?;
    }
    File::open(new.dir().keys()).and_then(|f| f.sync_all()).map_err(|e| DirError::from_io(&root, e))?;
    let Manifest { device, organisation, .. } = manifest;
    let mut store =
        SqliteStore::open(&database::place(new.dir())?, Arc::new(ZstdCodec), device, organisation, CACHE_MB)?;
    Replica::mark_restored(&mut store)?;
    drop(store);
    // Last of all, as for every new folder.
    crate::dir::write_atomic(&new.dir().config(), &config.unwrap_or_default(), 0o600)?;
    let table = ConfigFile::read(&new.dir().config())?.replica;
    if table.is_none_or(|t| t.device != device || t.org != organisation) {
        return Err(altered(file, "sampan.toml"));
    }
    new.keep()?;
    Ok(manifest)
}
