//! Where a database lies, and what it is encrypted under.
//!
//! It does not: know where keys come from (`keys::database` does).
//!
//! Invariants: a key is used where the file is encrypted, and a file that is plain is opened as it is; which of
//! the two it is says the file itself, by its first bytes.

use super::error::{Fault, damaged};
use super::files::Files;
use super::io;
use crate::keys::Secret;
use sampan_core::store::StoreError;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// How every plain SQLite database begins. Of an encrypted one these bytes are random.
const PLAIN: &[u8; 16] = b"SQLite format 3\0";

/// A path, and a key if what lies there is encrypted or to be.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    path: Cow<'a, Path>,
    key: Option<Secret>,
}

impl<'a> Place<'a> {
    /// A path with its key.
    pub fn keyed(path: impl Into<Cow<'a, Path>>, key: Option<Secret>) -> Self {
        Self { path: path.into(), key }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    pub(super) fn into_key(self) -> Option<Secret> {
        self.key
    }

    /// Another file under the same key.
    pub(super) fn beside<'b>(&self, path: &'b Path) -> Place<'b> {
        Place::keyed(path, self.key.clone())
    }

    /// What it means that the first page of a file is not that of a database.
    pub(super) fn locked_out(&self, fault: Fault) -> Fault {
        let path = self.path.display();
        match fault {
            Fault(StoreError::Damaged(what)) if what.contains("not a database") => damaged(match self.key {
                Some(_) => format!("keys/database.key does not open {path}, or its first page is damaged"),
                None => format!("{path} is no database, or it is encrypted and keys/database.key is missing"),
            }),
            other => other,
        }
    }

    /// The same without its key where a plain database lies there.
    pub(super) fn as_it_lies(&self, files: &dyn Files) -> Result<Self, Fault> {
        let mut place = self.clone();
        if place.key.is_some() {
            let mut head = [0; 16];
            let read = files.head(&place.path, &mut head).map_err(|e| io(&place.path, &e))?;
            if read == head.len() && head == *PLAIN {
                place.key = None;
            } else if !cfg!(feature = "encryption") {
                return Err(StoreError::Encrypted(place.path.display().to_string()).into());
            }
        }
        Ok(place)
    }
}

impl<'a> From<&'a Path> for Place<'a> {
    fn from(path: &'a Path) -> Self {
        Self::keyed(path, None)
    }
}

impl<'a> From<&'a PathBuf> for Place<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::keyed(path.as_path(), None)
    }
}

impl<'a> From<&'a Place<'_>> for Place<'a> {
    fn from(place: &'a Place<'_>) -> Self {
        Self::keyed(place.path(), place.key.clone())
    }
}

#[cfg(all(test, not(feature = "encryption")))]
mod tests {
    use crate::store::tests::{create, open};
    use crate::store::{Place, SqliteStore};
    use sampan_core::store::StoreError;

    #[test]
    fn a_program_without_encryption_says_so_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let key = crate::keys::Secret::from_bytes([5; 32]);
        let encrypted: Vec<u8> = (0..8_192).map(|n| (n * 31 % 251) as u8).collect();
        std::fs::write(&path, &encrypted).unwrap();
        let opened = open(Place::keyed(path.as_path(), Some(key.clone())));
        assert!(matches!(opened, Err(StoreError::Encrypted(_))), "{opened:?}");
        assert_eq!(std::fs::read(&path).unwrap(), encrypted);
        // A key that an encryption left which was cut off does not keep a plain database from opening.
        std::fs::remove_file(&path).unwrap();
        drop::<SqliteStore>(create(&path));
        assert!(!open(Place::keyed(path.as_path(), Some(key))).unwrap().is_encrypted());
    }
}
