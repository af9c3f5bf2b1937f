//! Files in memory, named by hand: for tests of sessions that use no database.
//!
//! It does not: follow what records say; a test says which spaces name a file.

use crate::file::{Manifest, chunks_of};
use crate::id::{DeviceId, SpaceId};
use crate::limits::FILE_CHUNK_BYTES;
use crate::shelf::{FileKey, FileRun, Shelf, Shelved};
use crate::store::StoreError;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone, Default)]
struct MemFile {
    hashes: Option<Vec<u8>>,
    chunks: BTreeMap<u32, Vec<u8>>,
    wanted: bool,
    spaces: Vec<SpaceId>,
    told: BTreeMap<DeviceId, bool>,
    last: u64,
}

impl MemFile {
    fn is_whole(&self, key: &FileKey) -> bool {
        self.hashes.is_some() && self.chunks.len() == chunks_of(key.size) as usize
    }

    fn shelved(&self, key: &FileKey) -> Shelved {
        let (held, whole) = (self.chunks.len() as u32, self.is_whole(key));
        Shelved { key: *key, held, whole, wanted: self.wanted, spaces: self.spaces.clone() }
    }
}

/// A shelf in memory.
#[derive(Debug, Clone, Default)]
pub struct MemShelf {
    version: u64,
    pieces: u64,
    files: BTreeMap<FileKey, MemFile>,
}

impl MemShelf {
    /// Records in these spaces name a file of these bytes, of which the first `held` chunks are here. It is to come
    /// where they are not all.
    pub fn name(&mut self, bytes: &[u8], spaces: &[SpaceId], held: usize) -> FileKey {
        let manifest = Manifest::of(bytes).unwrap_or_else(|e| panic!("{e}"));
        let key = FileKey { address: manifest.address(), size: manifest.size() };
        let chunks = (0..).zip(bytes.chunks(FILE_CHUNK_BYTES).map(<[u8]>::to_vec)).take(held).collect();
        let hashes = (held > 0).then(|| manifest.to_bytes());
        let file = MemFile { hashes, chunks, wanted: true, spaces: spaces.to_vec(), ..MemFile::default() };
        self.files.insert(key, file);
        self.version += 1;
        key
    }

    /// Chunks that are here of a file.
    #[must_use]
    pub fn chunks(&self, key: &FileKey) -> BTreeMap<u32, Vec<u8>> {
        self.files.get(key).map(|f| f.chunks.clone()).unwrap_or_default()
    }

    /// How many files it knows, named or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn came(&mut self, key: &FileKey) -> &mut MemFile {
        self.pieces += 1;
        let file = self.files.entry(*key).or_default();
        file.last = self.pieces;
        file
    }

    fn such(&self, what: impl Fn(&FileKey, &MemFile) -> bool) -> Vec<Shelved> {
        let named = self.files.iter().filter(|(k, f)| !f.spaces.is_empty() && what(k, f));
        named.map(|(k, f)| f.shelved(k)).collect()
    }
}

impl Shelf for MemShelf {
    fn version(&self) -> u64 {
        self.version
    }

    fn arrival(&self, key: &FileKey) -> u64 {
        self.files.get(key).map_or(0, |f| f.last)
    }

    fn pieces(&self) -> u64 {
        self.pieces
    }

    fn settled(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn wanted(&self) -> Result<Arc<[Shelved]>, StoreError> {
        Ok(self.such(|k, f| f.wanted && !f.is_whole(k)).into())
    }

    fn untold(&self, peer: &DeviceId) -> Result<Vec<Shelved>, StoreError> {
        Ok(self.such(|k, f| f.is_whole(k) && !f.told.contains_key(peer)))
    }

    fn whole(&self) -> Result<Vec<Shelved>, StoreError> {
        Ok(self.such(|k, f| f.is_whole(k)))
    }

    fn find(&self, key: &FileKey) -> Result<Option<Shelved>, StoreError> {
        Ok(self.files.get(key).filter(|f| !f.spaces.is_empty()).map(|f| f.shelved(key)))
    }

    fn missing_chunks(&self, key: &FileKey, limit: usize) -> Result<Vec<FileRun>, StoreError> {
        let held = self.chunks(key);
        let mut out: Vec<FileRun> = Vec::new();
        for index in (0..chunks_of(key.size)).filter(|i| !held.contains_key(i)) {
            let full = out.len() >= limit;
            match out.last_mut() {
                Some(run) if run.first + run.count == index => run.count += 1,
                Some(_) if full => break,
                Some(_) | None => out.push(FileRun { first: index, count: 1 }),
            }
        }
        Ok(out)
    }

    fn hashes(&self, key: &FileKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.files.get(key).and_then(|f| f.hashes.clone()))
    }

    fn chunk(&self, key: &FileKey, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.files.get(key).and_then(|f| f.chunks.get(&index).cloned()))
    }

    fn first_held(&self, key: &FileKey, among: FileRun) -> Result<Option<u32>, StoreError> {
        let range = among.first..among.first.saturating_add(among.count);
        Ok(self.files.get(key).and_then(|f| f.chunks.range(range).next()).map(|(index, _)| *index))
    }

    fn put_hashes(&mut self, key: &FileKey, hashes: &[u8]) -> Result<(), StoreError> {
        self.version += 1;
        self.came(key).hashes = Some(hashes.to_vec());
        Ok(())
    }

    fn put_chunk(&mut self, key: &FileKey, index: u32, bytes: &[u8]) -> Result<bool, StoreError> {
        let file = self.came(key);
        file.chunks.insert(index, bytes.to_vec());
        let whole = file.is_whole(key);
        self.version += u64::from(whole);
        Ok(whole)
    }

    fn seek(&mut self, key: &FileKey) -> Result<(), StoreError> {
        if let Some(file) = self.files.get_mut(key).filter(|f| !f.wanted) {
            file.wanted = true;
            self.version += 1;
        }
        Ok(())
    }

    fn told(&mut self, key: &FileKey, peer: &DeviceId, later: bool) -> Result<(), StoreError> {
        if let Some(file) = self.files.get_mut(key) {
            file.told.insert(*peer, later);
        }
        Ok(())
    }

    fn has_later(&self, peer: &DeviceId) -> Result<bool, StoreError> {
        Ok(self.files.values().any(|f| f.told.get(peer) == Some(&true)))
    }
}
