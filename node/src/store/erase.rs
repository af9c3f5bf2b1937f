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
use super::merge::share;
use super::projection::Leftover;
use super::rows::{self, int};
use super::write::{META_LAST_REGISTER, is_change};
use rusqlite::types::ValueRef;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::log::{Payload, Secret};
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
        let sql = "SELECT p.space, s.key FROM packs p JOIN spaces s ON s.id = p.space WHERE p.id = ?1";
        let found = self.one(sql, [pack], |r| Ok((r.get(0)?, rows::space(r, 1)?)))?;
        let (space, space_id): (i64, _) = found.ok_or_else(|| damaged(format!("there is no pack {pack}")))?;
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
        let Some(near) = hits.keys().next().and_then(|key| self.near(*key).transpose()).transpose()? else {
            return Err(damaged(format!("pack {pack} has no commit")));
        };
        let held = self.commits_of_pack(pack, &near)?;
        let scope = PackScope { org: self.org, space: space_id };
        // What has holes lies verbatim: it must not make its neighbours do so.
        for (first, run) in runs(&payloads) {
            let of_run: Vec<_> =
                held.iter().filter_map(|(key, place, n)| Some((*key, place.checked_sub(first)?, *n))).collect();
            let of_run: Vec<_> = of_run.into_iter().filter(|(_, place, _)| *place < run.len()).collect();
            if of_run.is_empty() {
                continue;
            }
            let bytes = pack::encode(&scope, &run.iter().collect::<Vec<_>>(), self.codec.as_ref());
            // Before the old one goes: the greatest position is never given to another.
            let anew = self.insert_pack(space, run.len() as i64, &bytes)?;
            let total: u64 = of_run.iter().map(|(.., n)| n).sum();
            let sql = "UPDATE commits SET pack = ?2, place = ?3, bytes = ?4 WHERE key = ?1";
            let mut moved = self.conn.prepare_cached(sql)?;
            for (key, place, entries) in of_run {
                moved.execute((key, anew, place as i64, int(share(bytes.len(), entries, total))))?;
            }
        }
        self.remove_pack(pack)?;
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
            self.forget_files(key)?;
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

/// Neighbours that all have holes, or have none, each run with the place of its first.
fn runs(payloads: &[Payload]) -> Vec<(usize, &[Payload])> {
    let holed = |p: &Payload| matches!(p.secret, Secret::Salts(_));
    let mut first = 0;
    let chunks = payloads.chunk_by(|a, b| holed(a) == holed(b));
    chunks
        .map(|run| {
            first += run.len();
            (first - run.len(), run)
        })
        .collect()
}

/// SQLCipher answers some of these in digits.
fn rows_number(r: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    Ok(match r.get_ref(0)? {
        ValueRef::Text(digits) => std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).unwrap_or(u64::MAX),
        ValueRef::Integer(n) => n as u64,
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => u64::MAX,
    })
}
