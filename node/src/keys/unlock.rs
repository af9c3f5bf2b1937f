//! How this process comes by the passphrase of a folder, once.
//!
//! It does not: try words (`lock` does) or know the command line (`cli` offers what was given).
//!
//! Invariants: the words are read when the first locked key is, and never before; a folder is opened once
//! a process; a file or terminal that gives no words leaves everything as it was.

use super::lock::{self, LOCK_NAME};
use super::passphrase::Passphrase;
use super::{KeyError, Secret};
use sampan_core::limits::PASSPHRASE_BYTES_MAX;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Where the words are to be had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// A file that holds them, from `--passphrase-file` or `SAMPAN_PASSPHRASE_FILE`.
    pub file: Option<PathBuf>,
    /// What to ask at the terminal, where there is one.
    pub prompt: Option<String>,
}

/// What a process has opened.
#[derive(Default)]
struct Opened {
    source: Source,
    /// The bytes of the lock file, and what they opened to: another lock is another try.
    locks: Vec<(Vec<u8>, Secret)>,
}

static OPENED: Mutex<Option<Opened>> = Mutex::new(None);

fn opened() -> MutexGuard<'static, Option<Opened>> {
    // What a panic left is only a cache.
    OPENED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says where the words of this process are to be had.
pub fn offer(source: Source) {
    opened().get_or_insert_default().source = source;
}

/// The passphrase of this process, read now; `None` when none was offered.
///
/// # Errors
/// [`KeyError::Passphrase`] when the file cannot be read or is too long.
pub fn given() -> Result<Option<Passphrase>, KeyError> {
    let source = opened().as_ref().map(|o| o.source.clone()).unwrap_or_default();
    match source.file {
        Some(path) => read_file(&path).map(Some),
        None => source.prompt.as_deref().map(ask).transpose(),
    }
}

/// Whether a file was named: a new folder is then put under what it holds.
#[must_use]
pub fn file_given() -> Option<PathBuf> {
    opened().as_ref().and_then(|o| o.source.file.clone())
}

/// Asks at the terminal; what is typed is not shown.
///
/// # Errors
/// [`KeyError::Passphrase`].
pub fn ask(prompt: &str) -> Result<Passphrase, KeyError> {
    let failed = |e: io::Error| KeyError::Passphrase { path: PathBuf::from("/dev/tty"), reason: e.to_string() };
    let term = console::Term::stderr();
    term.write_str(prompt).map_err(failed)?;
    let typed = Zeroizing::new(term.read_secure_line().map_err(failed)?);
    Ok(Passphrase::new(&typed))
}

/// Reads a passphrase from a file.
///
/// # Errors
/// [`KeyError::Passphrase`].
pub fn read_file(path: &Path) -> Result<Passphrase, KeyError> {
    let failed = |reason: String| KeyError::Passphrase { path: path.to_owned(), reason };
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX + 1));
    let file = fs::File::open(path).map_err(|e| failed(e.to_string()))?;
    file.take(PASSPHRASE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
    if bytes.len() > PASSPHRASE_BYTES_MAX {
        return Err(failed(format!("> {PASSPHRASE_BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| failed("UTF-8".to_owned()))?;
    Ok(Passphrase::new(text))
}

/// The key that seals the key files of a folder, by the passphrase of this process.
///
/// # Errors
/// [`KeyError::Locked`] when no words were given, [`KeyError::Wrong`], [`KeyError`].
pub fn folder_key(keys: &Path) -> Result<Secret, KeyError> {
    let path = keys.join(LOCK_NAME);
    let bytes = fs::read(&path).map_err(|e| super::io_error(&path, e))?;
    if let Some(known) = find(&bytes) {
        return Ok(known);
    }
    let passphrase = given()?.ok_or_else(|| KeyError::Locked { path: keys.to_owned() })?;
    let key = lock::open(keys, &passphrase, &mut std::thread::sleep)?;
    remember(keys, &key);
    Ok(key)
}

fn find(bytes: &[u8]) -> Option<Secret> {
    opened().as_ref()?.locks.iter().find(|(known, _)| known == bytes).map(|(_, key)| key.clone())
}

/// Keeps the key of a folder whose lock was just opened or written, for as long as the process lives.
pub(super) fn remember(keys: &Path, key: &Secret) {
    if let Ok(bytes) = fs::read(keys.join(LOCK_NAME)) {
        let mut opened = opened();
        let locks = &mut opened.get_or_insert_default().locks;
        locks.retain(|(known, _)| *known != bytes);
        locks.push((bytes, key.clone()));
    }
}
