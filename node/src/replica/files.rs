//! Files of records: kept here, given out, waited for.
//!
//! It does not: fetch (a session does), or choose words (`cli`).
//!
//! Invariants: a file and the value that names it are stored in one transaction; what is given out was checked, chunk by
//! chunk, against the address that the record's author signed.

use super::{Replica, ReplicaError};
use crate::store::SqliteStore;
use sampan_core::file::{FileError, FileRef, Manifest, chunks_of};
use sampan_core::id::RecordId;
use sampan_core::limits::{FILE_CHUNK_BYTES, FILE_UNNAMED_MS};
use sampan_core::shelf::{FileKey, Shelf as _};
use sampan_core::store::StoreError;
use sampan_core::value::{Edit, Kind, Value};
use std::io::{self, Write};

/// Why a file cannot be attached or given out.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The record, the right, the store.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The file, or what stands in the field.
    #[error(transparent)]
    File(#[from] FileError),
    /// The collection has no such field.
    #[error("there is no field '{0}'")]
    NoField(String),
    /// A field of another kind.
    #[error("'{0}' holds no files")]
    NotForFiles(String),
    /// Nothing stands in the field.
    #[error("no file is attached to '{0}'")]
    Empty(String),
    /// What is here is not what was signed.
    #[error("the file is damaged here: {0}")]
    Damaged(FileError),
    /// Where it is to go.
    #[error("it cannot be written: {0}")]
    Write(io::Error),
}

impl From<StoreError> for AttachError {
    fn from(e: StoreError) -> Self {
        Self::Replica(e.into())
    }
}

/// How much of a file is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// What the record says.
    pub file: FileRef,
    /// Bytes that are here.
    pub here: u64,
    /// Whether that is all.
    pub whole: bool,
}

impl Replica {
    /// Keeps a file's bytes here and names it in a field of a record, in one transaction.
    ///
    /// # Errors
    /// [`AttachError`]; nothing was changed.
    pub fn attach(&mut self, id: RecordId, field: &str, name: &str, bytes: &[u8]) -> Result<FileRef, AttachError> {
        self.file_field(id, field)?;
        let manifest = Manifest::of(bytes)?;
        let file = FileRef::new(manifest.address(), manifest.size(), name)?;
        let edits = [(field.to_owned(), Edit::Set(Value::Str(file.to_string())))];
        let collection = self.collection_of(id)?;
        let now = self.label().map_err(ReplicaError::from)?;
        let Self { store, engine, .. } = self;
        let done = store.group(|s| {
            engine.reload_nonce(s)?;
            s.put_file(&manifest, bytes)?;
            let saved = engine.edit(s, &collection, id, &edits, now)?;
            super::project::row_of(s, engine, &collection, &saved, now)?;
            Ok::<_, ReplicaError>(())
        });
        done?;
        Ok(file)
    }

    /// The file that a field of a record names, and how much of it is here.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn file_state(&mut self, id: RecordId, field: &str) -> Result<FileState, AttachError> {
        self.file_field(id, field)?;
        // What a bundle has just brought is here, and known as this record's once its row was looked at.
        self.project()?;
        let shown = self.show(id, false)?;
        let text = match shown.record.view.fields.get(field) {
            Some(Value::Str(text)) if !text.is_empty() => text.clone(),
            Some(_) | None => return Err(AttachError::Empty(field.to_owned())),
        };
        let file: FileRef = text.parse()?;
        let key = FileKey { address: file.address, size: file.size };
        let Some(held) = self.store.find(&key)? else { return Ok(FileState { file, here: 0, whole: false }) };
        let here = u64::from(held.held) * FILE_CHUNK_BYTES as u64;
        // The last chunk is mostly shorter.
        let here = if held.whole { file.size } else { here.min(file.size) };
        Ok(FileState { here, whole: held.whole, file })
    }

    /// Writes a file out that is whole here.
    ///
    /// # Errors
    /// [`AttachError`]; what was written so far is nothing to rely on.
    pub fn write_file(&self, file: &FileRef, out: &mut dyn Write) -> Result<(), AttachError> {
        let key = FileKey { address: file.address, size: file.size };
        self.store.snapshot(|s| {
            let hashes = s.hashes(&key)?.unwrap_or_default();
            let manifest = Manifest::read(file, &hashes).map_err(AttachError::Damaged)?;
            for index in 0..chunks_of(file.size) {
                let bytes = s.chunk(&key, index)?.unwrap_or_default();
                manifest.check(index, &bytes).map_err(AttachError::Damaged)?;
                out.write_all(&bytes).map_err(AttachError::Write)?;
            }
            Ok(())
        })
    }

    /// Has a file fetched, whatever its size.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn want_file(&mut self, file: &FileRef) -> Result<(), AttachError> {
        // The row that names it may not have been looked at yet.
        self.project()?;
        self.store.want_file(&FileKey { address: file.address, size: file.size })?;
        Ok(())
    }

    /// Removes files that no record has named for a week; how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn collect_files(&mut self) -> Result<u64, StoreError> {
        let now = self.now();
        self.store.collect_files(now, FILE_UNNAMED_MS)
    }

    fn file_field(&self, id: RecordId, field: &str) -> Result<(), AttachError> {
        let collection = self.collection_of(id)?;
        match collection.field(field) {
            None => Err(AttachError::NoField(field.to_owned())),
            Some(f) if f.kind != Kind::File => Err(AttachError::NotForFiles(field.to_owned())),
            Some(_) => Ok(()),
        }
    }
}

/// Carries what is whole of the files of a damaged store into a new one; what is not is fetched again.
pub(super) fn carry(old: &SqliteStore, new: &mut SqliteStore) -> Result<(), StoreError> {
    for key in old.files().unwrap_or_default() {
        let name = FileRef { address: key.address, size: key.size, name: String::new() };
        let Ok(Some(hashes)) = old.hashes(&key) else { continue };
        let Ok(manifest) = Manifest::read(&name, &hashes) else { continue };
        new.group(|s| {
            s.put_hashes(&key, &hashes)?;
            for index in 0..manifest.chunks() {
                let Ok(Some(bytes)) = old.chunk(&key, index) else { continue };
                if manifest.check(index, &bytes).is_ok() {
                    s.put_chunk(&key, index, &bytes)?;
                }
            }
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(())
}
