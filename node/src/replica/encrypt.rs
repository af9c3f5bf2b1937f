//! Encrypting the database of a folder that was made without a database key.
//!
//! It does not: go back (a folder that is not to be encrypted is joined anew with a build that does not encrypt).
//!
//! Invariants: the key is durable before anything is encrypted under it; the plain database stands until the
//! encrypted one is whole, holds as many rows in every table, and bears its name; the store stays the same one:
//! its epoch, its positions and its ticks.

use super::{META_FILE, Replica, ReplicaError};
use crate::codec::ZstdCodec;
use crate::config::ConfigFile;
use crate::dir::{Dir, DirError, machine_facts};
use crate::entropy::SystemEntropy;
use crate::keys::{self, KeyKind, database};
use crate::store::{Place, SqliteStore, wipe};
use sampan_core::store::{Batch, Store as _, StoreError};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// MiB of cache for the two databases each.
const CACHE_MB: u32 = 64;

impl Replica {
    /// Encrypts the database of the folder at `path`, of which the caller holds the lock. False where it is
    /// encrypted already.
    ///
    /// # Errors
    /// [`ReplicaError`]; the plain database stands.
    pub fn encrypt(path: &Path) -> Result<bool, ReplicaError> {
        if !database::BUILT_IN {
            return Err(StoreError::Io("this program was built without encryption".to_owned()).into());
        }
        let dir = Dir::open(path)?;
        let table = ConfigFile::read(&dir.config())?.replica;
        let table = table.ok_or_else(|| ReplicaError::Unfinished(path.display().to_string()))?;
        let device = keys::load(&dir.keys(), KeyKind::Device)?.device();
        let key = database::ensure(&dir.keys(), &mut SystemEntropy)?;
        let file = dir.store();
        let open = |place: &Place<'_>| SqliteStore::open(place, Arc::new(ZstdCodec), device, table.org, CACHE_MB);
        let mut old = open(&database::place(&dir)?)?;
        if old.is_encrypted() {
            return Ok(false);
        }
        let new = beside(&file, "-encrypted");
        clear(&new)?;
        let made = (|| -> Result<(), ReplicaError> {
            old.encrypt_into(&new, &key)?;
            let mut made = open(&Place::keyed(new.as_path(), Some(key)))?;
            if !made.quick_check()?.is_empty() || made.sizes()? != old.sizes()? {
                return Err(StoreError::Damaged("its encrypted copy is not whole".to_owned()).into());
            }
            // It keeps the number of this file when it gets the name of the other: no copy is to be noticed.
            let facts = machine_facts(&new, &|name| std::env::var(name).ok());
            if let Some(number) = facts.file.filter(|_| made.meta(META_FILE).is_ok_and(|m| m.is_some())) {
                let mut batch = Batch::default();
                batch.meta.insert(META_FILE.to_owned(), Some(number.to_vec()));
                made.write(&batch)?;
            }
            Ok(made.close()?)
        })();
        if let Err(e) = made {
            drop(old);
            clear(&new)?;
            return Err(e);
        }
        // Opened while its name still leads to it, and kept until the store is closed: closing it before would
        // give the store's locks away.
        let bytes = fs::OpenOptions::new().write(true).open(&file).map_err(|e| DirError::from_io(&file, e))?;
        old.replace_by(&file, &new, None)?;
        wipe(bytes).map_err(|e| DirError::from_io(&file, e))?;
        Ok(true)
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What an attempt that was cut off left.
fn clear(new: &Path) -> Result<(), DirError> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        let path = beside(new, ending);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(DirError::from_io(&path, e)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
