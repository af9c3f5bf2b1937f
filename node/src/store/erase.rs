//! Erasing on the disk: packs rewritten with holes, what lies beside them removed, and no trace left in free
//! pages, the search index or the write-ahead log.
//!
//! It does not: decide what is erased (the engine does), or reach copies beside the database.
//!
//! Invariants: runs inside the transaction of its batch, but for [`SqliteStore::scrub`]; a rewritten pack gets
//! a new position, so that a decoded one in another process's memory is never taken for it; every other
//! payload of the pack stays byte for byte.

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::projection::Leftover;
use super::rows::{self, int};
use super::write::{META_LAST_REGISTER, is_change, pack_hash};
use rusqlite::types::ValueRef;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::log::Payload;
use sampan_core::pack::{self, PackScope};
use sampan_core::store::{Batch, Status, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a database above which the copy that cleaning makes lies in a file and not in memory. The file has no name,
/// and is encrypted where the database is: SQLCipher keys what it attaches for a `VACUUM` like the database itself.
const SCRUB_IN_MEMORY_MAX: u64 = 32 << 20;

/// Entries of one pack that become holes: key of the commit, index, record.
type Hits = BTreeMap<i64, BTreeSet<(u32, RecordId)>>;

impl SqliteStore {
    /// Makes the holes of a batch.
    pub(super) fn erase(&self, batch: &Batch) -> Result<(), Fault> {
        let mut packs: BTreeMap<i64, Hits> = BTreeMap::new();
        for (record, key, place) in &batch.holes {
            let pack = self.one("SELECT pack FROM commits WHERE key = ?1", [int(key.0)], |r| Ok(r.get(0)?))?;
            let pack: i64 = pack.ok_or_else(|| damaged(format!("there is no commit at position {}", key.0)))?;
            packs.entry(pack).or_default().entry(int(key.0)).or_default().insert((*place, *record));
        }
        for (pack, hits) in packs {
            self.rewrite(pack, &hits)?;
        }
        Ok(())
    }

    fn rewrite(&self, pack: i64, hits: &Hits) -> Result<(), Fault> {
        let sql = "SELECT p.space, p.commits, s.key FROM packs p JOIN spaces s ON s.id = p.space WHERE p.id = ?1";
        let found = self.one(sql, [pack], |r| Ok((r.get(0)?, r.get(1)?, rows::space(r, 2)?)))?;
        let (space, commits, space_id): (i64, i64, _) =
            found.ok_or_else(|| damaged(format!("there is no pack {pack}")))?;
        let mut payloads: Vec<Payload> = self.payloads(pack)?.as_ref().clone();
        // Of commits that were withdrawn the pack may have entries of the record as well: all are of one space.
        let records: BTreeSet<RecordId> = hits.values().flatten().map(|(_, record)| *record).collect();
        for payload in &mut payloads {
            payload.punch(|_, e| records.contains(&e.record));
        }
        let mut gone: BTreeMap<Status, i64> = BTreeMap::new();
        for (key, entries) in hits {
            let sql = "SELECT place FROM commits WHERE key = ?1";
            let place = self.one(sql, [key], |r| rows::index(r, 0))?.unwrap_or(usize::MAX);
            let payload = payloads.get(place).ok_or_else(|| damaged(format!("pack {pack} lacks a commit")))?;
            let changes = payload.entries.iter().filter(|e| is_change(e.entry.kind)).count() as i64;
            self.conn.prepare_cached("UPDATE commits SET changes = ?2 WHERE key = ?1")?.execute((key, changes))?;
            let sql = "DELETE FROM hist WHERE at = ?1 AND place = ?2
                AND record = (SELECT key FROM records WHERE id = ?3) RETURNING status";
            for (index, record) in entries {
                if let Some(status) = self.one(sql, (key, index, record.0), |r| rows::status(r, 0))? {
                    *gone.entry(status).or_default() += 1;
                }
            }
        }
        let sql = "UPDATE counts SET entries = entries - ?3 WHERE space = ?1 AND status = ?2";
        for (status, n) in gone {
            self.conn.prepare_cached(sql)?.execute((space, status.number(), n))?;
        }
        let scope = PackScope { org: self.org, space: space_id };
        let bytes = pack::encode(&scope, &payloads.iter().collect::<Vec<_>>(), self.codec.as_ref());
        // Before the old one goes: the greatest position is never given to another.
        let anew = self
            .conn
            .prepare_cached("INSERT INTO packs (space, commits, hash, bytes) VALUES (?1, ?2, ?3, ?4)")?
            .insert((space, commits, pack_hash(&bytes), &bytes))?;
        // The commits of a pack have neighbouring positions: no look at all others.
        let first: i64 = *hits.keys().next().unwrap_or(&0);
        let near = (pack, first, commits);
        let sql = "SELECT sum(entries) FROM commits WHERE key > ?2 - ?3 AND key < ?2 + ?3 AND pack = ?1";
        let total: i64 = self.one(sql, near, |r| Ok(r.get(0)?))?.unwrap_or(1);
        let sql = "UPDATE commits SET pack = ?2, bytes = (?5 * entries + ?6 - 1) / ?6
            WHERE key > ?3 - ?4 AND key < ?3 + ?4 AND pack = ?1";
        self.conn.prepare_cached(sql)?.execute((pack, anew, first, commits, bytes.len() as i64, total.max(1)))?;
        self.conn.prepare_cached("DELETE FROM packs WHERE id = ?1")?.execute([pack])?;
        self.cache.borrow_mut().clear();
        self.handed.borrow_mut().clear();
        Ok(())
    }

    /// Removes records that nothing is left of, with their rows and what search finds them by.
    pub(super) fn forget(&self, records: &[RecordId]) -> Result<(), Fault> {
        for record in records {
            let sql = "SELECT key FROM records WHERE id = ?1";
            let Some(key) = self.one(sql, [record.0], |r| Ok(r.get::<_, i64>(0)?))? else { continue };
            self.drop_leftovers(key)?;
            self.conn.prepare_cached("DELETE FROM dirty WHERE record = ?1")?.execute([key])?;
            self.conn.prepare_cached("DELETE FROM hist WHERE record = ?1")?.execute([key])?;
            self.conn.prepare_cached("DELETE FROM records WHERE key = ?1")?.execute([key])?;
        }
        Ok(())
    }

    /// Removes registers by unit and name, whoever said them.
    pub(super) fn unsay(&self, registers: &[(UnitId, String)]) -> Result<(), Fault> {
        if registers.is_empty() {
            return Ok(());
        }
        // Whoever follows the registers reads from a position: the last one given is never given again.
        let last = self.last_register()?;
        self.put_meta(META_LAST_REGISTER, Some(&last.to_le_bytes()))?;
        for (unit, name) in registers {
            self.conn.prepare_cached("DELETE FROM registers WHERE unit = ?1 AND name = ?2")?.execute((unit.0, name))?;
        }
        Ok(())
    }

    /// Leaves no trace of what was deleted: search indexes made anew without it, free pages and gaps gone,
    /// the write-ahead log emptied. False when another process holds what it needs: then again later.
    ///
    /// # Errors
    /// [`StoreError`]; nothing that counts has changed.
    pub fn scrub(&mut self) -> Result<bool, StoreError> {
        match self.scrub_now() {
            Ok(done) => Ok(done),
            Err(Fault(StoreError::Busy(_))) => Ok(false),
            Err(Fault(e)) => Err(e),
        }
    }

    fn scrub_now(&self) -> Result<bool, Fault> {
        self.conn.flush_prepared_statement_cache();
        self.cache.borrow_mut().clear();
        self.handed.borrow_mut().clear();
        for Leftover { index, .. } in self.leftovers()? {
            if let Some(index) = index {
                // Deleted words stay in the index's older segments until they are merged into one.
                self.conn.execute_batch(&format!("INSERT INTO {index} ({index}) VALUES ('optimize')"))?;
            }
        }
        let pages: u64 = self.conn.pragma_query_value(None, "page_count", rows_number)?;
        let size: u64 = self.conn.pragma_query_value(None, "page_size", rows_number)?;
        let large = pages.saturating_mul(size) > SCRUB_IN_MEMORY_MAX;
        if large {
            self.conn.pragma_update(None, "temp_store", "FILE")?;
        }
        let done = self.conn.execute_batch("VACUUM");
        if large {
            self.conn.pragma_update(None, "temp_store", "MEMORY")?;
        }
        done?;
        let busy: i64 = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))?;
        Ok(busy == 0)
    }
}

/// SQLCipher answers some of these in digits.
fn rows_number(r: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    Ok(match r.get_ref(0)? {
        ValueRef::Text(digits) => std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).unwrap_or(u64::MAX),
        ValueRef::Integer(n) => n as u64,
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => u64::MAX,
    })
}
