//! Files in the database: what names them, their hashes and chunks, and what leaves with the last name.
//!
//! It does not: cut or check a file (`sampan_core::file` does), choose what is fetched (the session does), or read a
//! clock.
//!
//! Invariants: `files.held` counts the chunks that are here, and `whole` says that none is missing; every name comes
//! from a row that was projected, in its transaction; a file that goes takes its chunks along in the same transaction.

use super::error::{Fault, damaged};
use super::rows::{self, int, uint};
use super::{SqliteStore, projection};
use rusqlite::Row;
use sampan_core::file::{FileRef, Manifest, chunks_of};
use sampan_core::id::{DeviceId, Digest, SpaceId};
use sampan_core::limits::{FILE_ALONE_BYTES, FILE_ARRIVALS_MAX, FILES_ALONE_BYTES_MAX, FILES_WANTED_MAX};
use sampan_core::schema::{Collection, Schema};
use sampan_core::shelf::{FileKey, FileRun, Shelf, Shelved};
use sampan_core::store::{RecordKey, StoreError};
use sampan_core::time::Millis;
use sampan_core::value::Kind;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Files looked at by one step of collecting.
const COLLECT_A_STEP: usize = 64;

/// What the store remembers of its files between two looks.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    version: Cell<u64>,
    wanted: RefCell<Option<(u64, Arc<[Shelved]>)>>,
    /// Pieces that came, in all; of each file the number of its last; and the number of those not named here.
    pieces: Cell<u64>,
    last_piece: RefCell<BTreeMap<FileKey, u64>>,
    other_piece: Cell<u64>,
}

impl Shelves {
    fn came(&self, key: &FileKey) {
        let count = self.pieces.get() + 1;
        self.pieces.set(count);
        let mut last = self.last_piece.borrow_mut();
        last.insert(*key, count);
        if last.len() > FILE_ARRIVALS_MAX {
            last.clear();
            self.other_piece.set(count);
        }
    }
}

/// Files that are to come, and how much of them is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct FilesWaiting {
    /// How many.
    pub count: u64,
    /// Bytes that are missing, in whole chunks.
    pub bytes: u64,
}

const COLUMNS: &str = "f.id, f.address, f.size, f.held, f.whole, f.wanted";

impl SqliteStore {
    fn bump(&self) {
        self.shelves.version.set(self.shelves.version.get() + 1);
    }

    /// Another process wrote: it may have been a file.
    pub(super) fn files_may_have_changed(&self) {
        let of = &self.shelves;
        of.last_piece.borrow_mut().clear();
        of.pieces.set(of.pieces.get() + 1);
        of.other_piece.set(of.pieces.get());
        self.bump();
    }

    fn file_id(&self, key: &FileKey) -> Result<Option<i64>, Fault> {
        let sql = "SELECT id FROM files WHERE address = ?1 AND size = ?2";
        self.one(sql, (key.address.0, int(key.size)), |r| Ok(r.get(0)?))
    }

    fn file_id_or_new(&self, key: &FileKey) -> Result<i64, Fault> {
        let sql = "INSERT INTO files (address, size, unnamed) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING";
        self.conn.prepare_cached(sql)?.execute((key.address.0, int(key.size)))?;
        self.file_id(key)?.ok_or_else(|| damaged("a file is not where it was put"))
    }

    /// Keeps what a record names now: `texts` of its fields of files, none of a record whose row goes. `known`: it may
    /// have named some before.
    pub(super) fn name_files<'v>(
        &self,
        collection: &Collection,
        record: RecordKey,
        texts: impl Iterator<Item = &'v str>,
        known: bool,
    ) -> Result<(), Fault> {
        if !collection.fields.iter().any(|f| f.kind == Kind::File) {
            return Ok(());
        }
        let refs = texts.filter_map(|text| text.parse::<FileRef>().ok());
        let named: BTreeSet<FileKey> = refs.map(|f| FileKey { address: f.address, size: f.size }).collect();
        if named.is_empty() && !known {
            return Ok(());
        }
        self.set_names(int(record.0), &named)
    }

    fn set_names(&self, record: i64, named: &BTreeSet<FileKey>) -> Result<(), Fault> {
        let mut now = BTreeSet::new();
        for key in named {
            now.insert(self.file_id_or_new(key)?);
        }
        let sql = "SELECT file FROM file_names WHERE record = ?1 AND current = 1";
        let before: BTreeSet<i64> = self.all(sql, [record], |r| Ok(r.get(0)?))?.into_iter().collect();
        if before == now {
            return Ok(());
        }
        for file in &now {
            let sql = "INSERT INTO file_names VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET current = 1";
            self.conn.prepare_cached(sql)?.execute((record, file))?;
            self.conn.prepare_cached("UPDATE files SET unnamed = NULL WHERE id = ?1")?.execute([file])?;
        }
        for file in before.difference(&now) {
            let sql = "UPDATE file_names SET current = 0 WHERE record = ?1 AND file = ?2";
            self.conn.prepare_cached(sql)?.execute((record, file))?;
            let sql = "UPDATE files SET unnamed = 0 WHERE id = ?1
                AND NOT EXISTS (SELECT 1 FROM file_names WHERE file = ?1 AND current = 1)";
            self.conn.prepare_cached(sql)?.execute([file])?;
        }
        self.bump();
        Ok(())
    }

    /// A record is gone for ever, by its position: with it what it alone names, now or before.
    pub(super) fn forget_files(&self, record: i64) -> Result<(), Fault> {
        let files: Vec<i64> = self.all("SELECT file FROM file_names WHERE record = ?1", [record], |r| Ok(r.get(0)?))?;
        if files.is_empty() {
            return Ok(());
        }
        self.conn.prepare_cached("DELETE FROM file_names WHERE record = ?1")?.execute([record])?;
        for file in files {
            let sql = "SELECT 1 FROM file_names WHERE file = ?1 AND current = 1 LIMIT 1";
            if self.one(sql, [file], |_| Ok(()))?.is_none() {
                self.drop_file(file)?;
            }
        }
        self.bump();
        Ok(())
    }

    fn drop_file(&self, file: i64) -> Result<(), Fault> {
        self.drop_chunks(file)?;
        for sql in [
            "DELETE FROM file_names WHERE file = ?1",
            "DELETE FROM file_told WHERE file = ?1",
            "DELETE FROM files WHERE id = ?1",
        ] {
            self.conn.prepare_cached(sql)?.execute([file])?;
        }
        Ok(())
    }

    fn drop_chunks(&self, file: i64) -> Result<(), Fault> {
        let sql = "DELETE FROM file_chunks WHERE id BETWEEN ?1 AND ?2";
        self.conn.prepare_cached(sql)?.execute((file << 32, (file << 32) + i64::from(u32::MAX)))?;
        Ok(())
    }

    /// Removes files that no record's current value has named for `grace` milliseconds; how many.
    ///
    /// # Errors
    /// [`StoreError`]; so for every method below.
    pub fn collect_files(&mut self, now: Millis, grace: u64) -> Result<u64, StoreError> {
        let waits = "SELECT 1 FROM files WHERE unnamed IS NOT NULL AND (unnamed = 0 OR unnamed <= ?1) LIMIT 1";
        let before = now.0.saturating_sub(grace);
        if now.is_unset() || self.one(waits, [int(before)], |_| Ok(()))?.is_none() {
            return Ok(0);
        }
        self.group(|s| {
            let sql = "SELECT id FROM files WHERE unnamed IS NOT NULL AND unnamed > 0 AND unnamed <= ?1 LIMIT ?2";
            let old: Vec<i64> = s.all(sql, (int(before), COLLECT_A_STEP as i64), |r| Ok(r.get(0)?))?;
            for file in &old {
                s.drop_file(*file)?;
            }
            s.execute("UPDATE files SET unnamed = ?1 WHERE unnamed = 0", [int(now.0)])?;
            s.bump();
            Ok(old.len() as u64)
        })
    }

    /// A person wants this file here, whatever its size. False where no record names it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn want_file(&mut self, key: &FileKey) -> Result<bool, StoreError> {
        self.group(|s| {
            let Some(file) = s.file_id(key)? else { return Ok(false) };
            s.execute("UPDATE files SET wanted = 1 WHERE id = ?1", [file])?;
            s.bump();
            Ok(true)
        })
    }

    /// Files that are to come and are not whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn files_waiting(&self) -> Result<FilesWaiting, StoreError> {
        let mut out = FilesWaiting::default();
        for file in self.read_wanted()?.iter() {
            out.count += 1;
            let left = chunks_of(file.key.size).saturating_sub(file.held);
            out.bytes += (u64::from(left) * sampan_core::limits::FILE_CHUNK_BYTES as u64).min(file.key.size);
        }
        Ok(out)
    }

    /// Every file that is known: for checks and repairs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn files(&self) -> Result<Vec<FileKey>, StoreError> {
        let sql = "SELECT address, size FROM files ORDER BY id";
        Ok(self.all(sql, [], |r| Ok(FileKey { address: digest(r, 0)?, size: rows::number(r, 1)? }))?)
    }

    /// Makes a file ready that is whole in memory: its hashes and chunks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_file(&mut self, manifest: &Manifest, bytes: &[u8]) -> Result<FileKey, StoreError> {
        let key = FileKey { address: manifest.address(), size: manifest.size() };
        self.group(|s| {
            s.put_hashes(&key, &manifest.to_bytes())?;
            for (i, chunk) in (0..).zip(bytes.chunks(sampan_core::limits::FILE_CHUNK_BYTES)) {
                s.put_chunk(&key, i, chunk)?;
            }
            Ok(key)
        })
    }

    fn shelved(&self, row: Found) -> Result<Shelved, Fault> {
        let sql = "SELECT DISTINCT s.key FROM file_names n JOIN records r ON r.key = n.record
            JOIN spaces s ON s.id = r.space WHERE n.file = ?1 AND n.current = 1 LIMIT ?2";
        // A seal or a form may be named a thousand times; a few spaces say where it may be had.
        let spaces = self.all(sql, (row.id, SPACES_A_FILE), |r| rows::space(r, 0))?;
        let wanted = row.wanted || row.key.size < FILE_ALONE_BYTES;
        Ok(Shelved { key: row.key, held: row.held, whole: row.whole, wanted, spaces })
    }

    fn read_wanted(&self) -> Result<Arc<[Shelved]>, Fault> {
        let version = self.shelves.version.get();
        if let Some((at, held)) = self.shelves.wanted.borrow().as_ref()
            && *at == version
        {
            return Ok(held.clone());
        }
        // Whole chunks are counted: what lies on the disk is a little more.
        let here = "SELECT coalesce(sum(held), 0) FROM files";
        let some = "SELECT 1 FROM files WHERE whole = 0 LIMIT 1";
        let mut out = Vec::new();
        if self.one(some, [], |_| Ok(()))?.is_some() {
            let held = self.one(here, [], |r| rows::number(r, 0))?.unwrap_or(0);
            let room = held.saturating_mul(sampan_core::limits::FILE_CHUNK_BYTES as u64) < FILES_ALONE_BYTES_MAX;
            let alone = if room { int(FILE_ALONE_BYTES) } else { 0 };
            let sql = format!(
                "SELECT {COLUMNS} FROM files f WHERE whole = 0 AND unnamed IS NULL AND (size < ?1 OR wanted > 0)
                 ORDER BY wanted <> 1, size, id LIMIT ?2"
            );
            for row in self.all(&sql, (alone, FILES_WANTED_MAX as i64), found)? {
                out.push(self.shelved(row)?);
            }
        }
        let out: Arc<[Shelved]> = out.into();
        *self.shelves.wanted.borrow_mut() = Some((version, out.clone()));
        Ok(out)
    }

    fn read_missing_chunks(&self, key: &FileKey, limit: usize) -> Result<Vec<FileRun>, Fault> {
        let Some(file) = self.file_id(key)? else { return Ok(Vec::new()) };
        let sql = "SELECT id FROM file_chunks WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
        let held = self.all(sql, (file << 32, (file << 32) + i64::from(u32::MAX)), |r| Ok(r.get::<_, i64>(0)?))?;
        let mut out = Vec::new();
        let mut next = 0;
        let end = chunks_of(key.size);
        for at in held.into_iter().map(|id| (id & i64::from(u32::MAX)) as u32).chain([end]) {
            if at > next && out.len() < limit {
                out.push(FileRun { first: next, count: at - next });
            }
            next = at.saturating_add(1);
        }
        Ok(out)
    }

    fn keep_chunk(&self, key: &FileKey, index: u32, bytes: &[u8]) -> Result<bool, Fault> {
        let Some(file) = self.file_id(key)? else { return Ok(false) };
        let sql = "INSERT INTO file_chunks VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        let new = self.conn.prepare_cached(sql)?.execute(((file << 32) | i64::from(index), bytes))?;
        let sql = "UPDATE files SET held = held + ?2, whole = (held + ?2 >= ?3 AND hashes IS NOT NULL) WHERE id = ?1
            RETURNING whole";
        let whole = self.one(sql, (file, new as i64, chunks_of(key.size)), |r| Ok(r.get(0)?))?;
        let whole = whole.unwrap_or(false);
        self.shelves.came(key);
        if whole {
            self.bump();
        }
        Ok(whole)
    }
}

/// Spaces looked at of the records that name one file.
const SPACES_A_FILE: i64 = 64;

struct Found {
    id: i64,
    key: FileKey,
    held: u32,
    whole: bool,
    wanted: bool,
}

fn found(r: &Row<'_>) -> Result<Found, Fault> {
    Ok(Found {
        id: r.get(0)?,
        key: FileKey { address: digest(r, 1)?, size: rows::number(r, 2)? },
        held: r.get(3)?,
        whole: r.get(4)?,
        wanted: r.get::<_, i64>(5)? > 0,
    })
}

fn digest(r: &Row<'_>, i: usize) -> Result<Digest, Fault> {
    Ok(Digest(r.get::<_, [u8; 32]>(i)?))
}

impl Shelf for SqliteStore {
    fn version(&self) -> u64 {
        self.shelves.version.get()
    }

    fn arrival(&self, key: &FileKey) -> u64 {
        self.shelves.last_piece.borrow().get(key).copied().unwrap_or(self.shelves.other_piece.get())
    }

    fn pieces(&self) -> u64 {
        self.shelves.pieces.get()
    }

    fn settled(&self) -> Result<bool, StoreError> {
        Ok(self.projected_to()? >= self.read_last_commit()? && self.dirty(1)?.is_empty())
    }

    fn wanted(&self) -> Result<Arc<[Shelved]>, StoreError> {
        Ok(self.read_wanted()?)
    }

    fn untold(&self, peer: &DeviceId) -> Result<Vec<Shelved>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM files f WHERE whole = 1 AND unnamed IS NULL
             AND NOT EXISTS (SELECT 1 FROM file_told t WHERE t.file = f.id AND t.peer = ?1) ORDER BY id LIMIT ?2"
        );
        let rows = self.all(&sql, (peer.0, FILES_WANTED_MAX as i64), found)?;
        Ok(rows.into_iter().map(|row| self.shelved(row)).collect::<Result<_, _>>()?)
    }

    fn whole(&self) -> Result<Vec<Shelved>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM files f WHERE whole = 1 AND unnamed IS NULL ORDER BY size, id LIMIT ?1");
        let rows = self.all(&sql, [FILES_WANTED_MAX as i64], found)?;
        Ok(rows.into_iter().map(|row| self.shelved(row)).collect::<Result<_, _>>()?)
    }

    fn find(&self, key: &FileKey) -> Result<Option<Shelved>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM files f WHERE address = ?1 AND size = ?2 AND unnamed IS NULL");
        let row = self.one(&sql, (key.address.0, int(key.size)), found)?;
        Ok(row.map(|row| self.shelved(row)).transpose()?)
    }

    fn missing_chunks(&self, key: &FileKey, limit: usize) -> Result<Vec<FileRun>, StoreError> {
        Ok(self.read_missing_chunks(key, limit)?)
    }

    fn hashes(&self, key: &FileKey) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT hashes FROM files WHERE address = ?1 AND size = ?2";
        let held = self.one(sql, (key.address.0, int(key.size)), |r| Ok(r.get::<_, Option<Vec<u8>>>(0)?))?;
        Ok(held.flatten())
    }

    fn chunk(&self, key: &FileKey, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT c.bytes FROM files f JOIN file_chunks c ON c.id = (f.id << 32) | ?3
            WHERE f.address = ?1 AND f.size = ?2";
        Ok(self.one(sql, (key.address.0, int(key.size), index), |r| Ok(r.get(0)?))?)
    }

    fn first_held(&self, key: &FileKey, among: FileRun) -> Result<Option<u32>, StoreError> {
        let (Some(file), Some(more)) = (self.file_id(key)?, among.count.checked_sub(1)) else { return Ok(None) };
        let sql = "SELECT id FROM file_chunks WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1";
        let at = |index: u32| (file << 32) | i64::from(index);
        let range = (at(among.first), at(among.first.saturating_add(more)));
        Ok(self.one(sql, range, |r| Ok((r.get::<_, i64>(0)? & i64::from(u32::MAX)) as u32))?)
    }

    fn put_hashes(&mut self, key: &FileKey, hashes: &[u8]) -> Result<(), StoreError> {
        self.group(|s| {
            let file = s.file_id_or_new(key)?;
            // A file of no bytes has no chunk that could complete it.
            let sql = "UPDATE files SET hashes = ?2, whole = (held >= ?3) WHERE id = ?1";
            s.execute(sql, (file, hashes, chunks_of(key.size)))?;
            s.shelves.came(key);
            s.bump();
            Ok(())
        })
    }

    fn put_chunk(&mut self, key: &FileKey, index: u32, bytes: &[u8]) -> Result<bool, StoreError> {
        self.group(|s| Ok(s.keep_chunk(key, index, bytes)?))
    }

    fn seek(&mut self, key: &FileKey) -> Result<(), StoreError> {
        self.group(|s| {
            let sql = "UPDATE files SET wanted = 2 WHERE address = ?1 AND size = ?2 AND wanted = 0 AND whole = 0";
            let mut statement = s.conn.prepare_cached(sql).map_err(Fault::from)?;
            if statement.execute((key.address.0, int(key.size))).map_err(Fault::from)? > 0 {
                s.bump();
            }
            Ok(())
        })
    }

    fn told(&mut self, key: &FileKey, peer: &DeviceId, later: bool) -> Result<(), StoreError> {
        self.group(|s| {
            let Some(file) = s.file_id(key)? else { return Ok(()) };
            s.execute("INSERT OR REPLACE INTO file_told VALUES (?1, ?2, ?3)", (file, peer.0, later))
        })
    }

    fn has_later(&self, peer: &DeviceId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM file_told WHERE peer = ?1 AND later = 1 LIMIT 1";
        Ok(self.one(sql, [peer.0], |_| Ok(()))?.is_some())
    }
}

impl SqliteStore {
    /// Spaces that name a file, for those who choose what goes along.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn file_spaces(&self, key: &FileKey) -> Result<Vec<SpaceId>, StoreError> {
        Ok(self.find(key)?.map(|f| f.spaces).unwrap_or_default())
    }

    /// Puts the rows that name a file into the queue again, after an upgrade from a version that knew no files.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn queue_file_rows(&mut self, schema: &Schema) -> Result<(), StoreError> {
        for collection in schema.collections.values() {
            for field in collection.fields.iter().filter(|f| f.kind == Kind::File) {
                let (table, field) = projection::table_and_column(&collection.id, &field.id);
                let sql = format!("INSERT OR IGNORE INTO dirty SELECT _record FROM {table} WHERE {field} IS NOT NULL");
                self.execute(&sql, [])?;
            }
        }
        Ok(())
    }

    /// Every file, its hashes and its chunks, checked.
    pub(super) fn check_files(&self, report: &mut super::VerifyReport) -> Result<(), Fault> {
        let sql = "SELECT address, size, held, whole, id, hashes IS NULL FROM files ORDER BY id";
        let files = self.all(sql, [], |r| {
            let key = FileKey { address: digest(r, 0)?, size: rows::number(r, 1)? };
            Ok((key, r.get::<_, i64>(2)?, r.get::<_, bool>(3)?, r.get::<_, i64>(4)?, r.get::<_, bool>(5)?))
        })?;
        for (key, held, whole, id, blank) in files {
            report.checked += 1;
            let address = key.address;
            let name = FileRef { address, size: key.size, name: String::new() };
            let hashes = self.hashes(&key).map_err(Fault::from)?;
            let range = (id << 32, (id << 32) + i64::from(u32::MAX));
            let sql = "SELECT id, bytes FROM file_chunks WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
            let manifest = match hashes.map(|h| Manifest::read(&name, &h)) {
                Some(Ok(manifest)) => Some(manifest),
                Some(Err(e)) => {
                    report.file(address, e);
                    None
                }
                None => None,
            };
            let mut count = 0;
            let chunks = self.all(sql, range, |r| {
                let index = (uint(r.get(0)?) & u64::from(u32::MAX)) as u32;
                let fault = match (&manifest, r.get_ref(1)?.as_blob()) {
                    (Some(manifest), Ok(bytes)) => manifest.check(index, bytes).err().map(|e| e.to_string()),
                    (None, _) => Some(format!("chunk {index} cannot be checked")),
                    (_, Err(e)) => Some(e.to_string()),
                };
                Ok(fault)
            })?;
            for fault in chunks {
                count += 1;
                if let Some(fault) = fault {
                    report.file(address, fault);
                }
            }
            if count != held || whole != (count == i64::from(chunks_of(key.size)) && !blank) {
                report.file(address, "how much of it is here is not what its chunks say");
            }
        }
        let sql = "SELECT (SELECT count(*) FROM file_names WHERE file NOT IN (SELECT id FROM files))
            + (SELECT count(*) FROM file_chunks WHERE (id >> 32) NOT IN (SELECT id FROM files))
            + (SELECT count(*) FROM file_names WHERE record NOT IN (SELECT key FROM records))
            + (SELECT count(*) FROM files f WHERE (f.unnamed IS NULL)
                <> EXISTS (SELECT 1 FROM file_names n WHERE n.file = f.id AND n.current = 1))";
        let wrong = self.one(sql, [], |r| rows::number(r, 0))?.unwrap_or(0);
        if wrong > 0 {
            report.add("files", None, format!("{wrong} rows of files name something that is not there"));
        }
        Ok(())
    }
}
