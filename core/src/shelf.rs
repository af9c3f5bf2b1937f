//! The files of a store as a session sees them: which are named, what of them is here, what is asked for.
//!
//! It does not: say how chunks lie on a disk, cut a file (`file`), or decide who may have one (`sync`).
//!
//! Invariants: a file is kept only under its key, and each of its chunks only after it was checked against the list of
//! hashes that gives the address; a file counts as named only by the current value of a record that is held.

use crate::file::FileAddress;
use crate::id::{DeviceId, SpaceId};
use crate::store::StoreError;
use std::sync::Arc;

/// A file by its content: the address covers the size, and a name with another size is another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
pub struct FileKey {
    /// The address.
    #[n(0)]
    pub address: FileAddress,
    /// Bytes.
    #[n(1)]
    pub size: u64,
}

/// Neighbouring chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
pub struct FileRun {
    /// The first.
    #[n(0)]
    pub first: u32,
    /// How many.
    #[n(1)]
    pub count: u32,
}

/// What a store has of a file that it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// The file.
    pub key: FileKey,
    /// Chunks that are here.
    pub held: u32,
    /// Whether all of it is here.
    pub whole: bool,
    /// Whether it is to come: it is small, a person asked for it, or a neighbour did.
    pub wanted: bool,
    /// The spaces of the records whose current values name it.
    pub spaces: Vec<SpaceId>,
}

/// The files of a store.
pub trait Shelf {
    /// Grows whenever a file is named, asked for, becomes whole or goes: who looked at this number saw it all.
    fn version(&self) -> u64;

    /// Another number whenever a piece of this file came since it was last asked: cheap, nothing is read for it.
    fn arrival(&self, key: &FileKey) -> u64;

    /// Grows with each piece of any file that comes.
    fn pieces(&self) -> u64;

    /// Whether the names follow from everything that is stored.
    ///
    /// # Errors
    /// [`StoreError`]; so for every method below.
    fn settled(&self) -> Result<bool, StoreError>;

    /// Files that are to come and are not whole, those asked for by a person first, then the smallest.
    ///
    /// # Errors
    /// [`StoreError`].
    fn wanted(&self) -> Result<Arc<[Shelved]>, StoreError>;

    /// Files that are whole and that this neighbour was not told of.
    ///
    /// # Errors
    /// [`StoreError`].
    fn untold(&self, peer: &DeviceId) -> Result<Vec<Shelved>, StoreError>;

    /// Files that are whole and that a record names.
    ///
    /// # Errors
    /// [`StoreError`].
    fn whole(&self) -> Result<Vec<Shelved>, StoreError>;

    /// What is known of a file; `None` where no record names it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find(&self, key: &FileKey) -> Result<Option<Shelved>, StoreError>;

    /// The chunks that are missing, in order, at most so many runs.
    ///
    /// # Errors
    /// [`StoreError`].
    fn missing_chunks(&self, key: &FileKey, limit: usize) -> Result<Vec<FileRun>, StoreError>;

    /// The hashes of the chunks, one after the other.
    ///
    /// # Errors
    /// [`StoreError`].
    fn hashes(&self, key: &FileKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// One chunk.
    ///
    /// # Errors
    /// [`StoreError`].
    fn chunk(&self, key: &FileKey, index: u32) -> Result<Option<Vec<u8>>, StoreError>;

    /// The first of these chunks that is here.
    ///
    /// # Errors
    /// [`StoreError`].
    fn first_held(&self, key: &FileKey, among: FileRun) -> Result<Option<u32>, StoreError>;

    /// Keeps the hashes of a file; they were checked against its address. One that no record names yet is kept as one
    /// that none names any more.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_hashes(&mut self, key: &FileKey, hashes: &[u8]) -> Result<(), StoreError>;

    /// Keeps a chunk of a file whose hashes are here; it was checked. Whether the file is whole now.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_chunk(&mut self, key: &FileKey, index: u32, bytes: &[u8]) -> Result<bool, StoreError>;

    /// A neighbour asks for a file that is not whole here.
    ///
    /// # Errors
    /// [`StoreError`].
    fn seek(&mut self, key: &FileKey) -> Result<(), StoreError>;

    /// This neighbour has the file; or only knows that it is here, and may ask for it `later`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn told(&mut self, key: &FileKey, peer: &DeviceId, later: bool) -> Result<(), StoreError>;

    /// Whether files are here that this neighbour may ask for later.
    ///
    /// # Errors
    /// [`StoreError`].
    fn has_later(&self, peer: &DeviceId) -> Result<bool, StoreError>;
}
