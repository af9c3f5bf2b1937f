//! Taking what is whole out of a damaged database, and putting a rebuilt one in its place.
//!
//! It does not: build the new one (the replica's `repair` does, through the engine, as if everything came
//! from a neighbour).
//!
//! Invariants: from [`SqliteStore::seize`] on no other process reads or writes the file, and whoever waits
//! for it finds afterwards that it is no database of ours any more, so that no edit goes into a file that
//! was replaced; what is handed out was checked against its signature and its root.

use super::error::{Fault, damaged};
use super::rows::{self, int};
use super::write::META_SUM;
use super::{SqliteStore, io};
use sampan_core::id::OrgId;
use sampan_core::log::{Commit, Entry, Payload};
use sampan_core::pack::{self, PackScope};
use sampan_core::register::SignedRegister;
use sampan_core::store::{PendingEntry, Quarantined, Store as _, StoreError};
use std::path::Path;

/// What lies at a position of `commits`.
#[derive(Debug)]
pub enum Piece {
    /// A whole commit.
    Whole(Box<Commit>),
    /// One that cannot be read any more.
    Lost,
}

impl SqliteStore {
    /// Takes the file for this process alone, until it is dropped.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process has it open.
    pub fn seize(&mut self) -> Result<(), StoreError> {
        let busy = || StoreError::Busy("another program has this folder open".to_owned());
        let set = |name: &str, value: &str| -> Result<String, Fault> {
            Ok(self.conn.pragma_update_and_check(None, name, value, |r| r.get(0))?)
        };
        self.conn.flush_prepared_statement_cache();
        // Leaving the write-ahead log is possible only where nobody else has the file open; afterwards no
        // file beside the database is left that the new one could be mixed with.
        if set("journal_mode", "DELETE")? != "delete" {
            return Err(busy());
        }
        set("locking_mode", "EXCLUSIVE")?;
        self.run("BEGIN EXCLUSIVE")?;
        self.run("ROLLBACK")?;
        // The lock is kept by now; somebody may have come between the two.
        if set("journal_mode", "MEMORY")? != "memory" {
            return Err(busy());
        }
        self.run("BEGIN EXCLUSIVE")?;
        self.depth.set(1);
        self.pass_over_until_written()?;
        Ok(())
    }

    /// The greatest position in `commits`: by the table, or where its last page is malformed by what names it.
    ///
    /// # Errors
    /// [`StoreError`] when not even that can be read.
    pub fn last_position(&self) -> Result<i64, StoreError> {
        let by_table = self.read_last_commit().map(|key| int(key.0));
        let by = |sql: &str| self.one(sql, [], |r| Ok(r.get(0)?)).map(|n| n.unwrap_or(0));
        let found = by_table
            .or_else(|_| by("SELECT coalesce(max(key), 0) FROM commits INDEXED BY commits_of_log"))
            .or_else(|_| by("SELECT coalesce(max(at), 0) FROM hist"));
        Ok(found?)
    }

    /// What lies at a position; `None` when nothing does.
    #[must_use]
    pub fn piece(&self, org: &OrgId, key: i64) -> Option<Piece> {
        let sql = "SELECT pack, place, header, signature FROM commits WHERE key = ?1";
        let found = self.one(sql, [key], |r| Ok((r.get::<_, i64>(0)?, rows::index(r, 1)?, rows::signed_header(r, 2)?)));
        let (pack, place, signed) = match found {
            Ok(Some(found)) => found,
            Ok(None) => return None,
            Err(_) => return Some(Piece::Lost),
        };
        let whole = || -> Option<Commit> {
            let head = signed.verify(org).ok()?;
            let scope = PackScope { org: self.org, space: head.header().space };
            let payload = self.payload_at(&scope, pack, place).ok()?;
            Commit::join(head, payload).ok()
        };
        Some(whole().map_or(Piece::Lost, |c| Piece::Whole(Box::new(c))))
    }

    /// A payload by where it lies; the space comes from the signed header, not from the tables.
    fn payload_at(&self, scope: &PackScope, pack: i64, place: usize) -> Result<Payload, Fault> {
        let nothing = || damaged("no such payload");
        if let Some(open) = self.cache.borrow_mut().find(pack) {
            return open.get(place).cloned().ok_or_else(nothing);
        }
        let bytes: Vec<u8> =
            self.one("SELECT bytes FROM packs WHERE id = ?1", [pack], |r| Ok(r.get(0)?))?.ok_or_else(nothing)?;
        let payloads = pack::decode(scope, &bytes, self.codec.as_ref()).map_err(damaged)?;
        let payloads = std::sync::Arc::new(payloads);
        self.cache.borrow_mut().keep(pack, &payloads);
        payloads.get(place).cloned().ok_or_else(nothing)
    }

    /// Unsealed edits that are whole, in order, and how many are not.
    #[must_use]
    pub fn whole_pending(&self) -> (Vec<PendingEntry>, u64) {
        let held = self.one("SELECT count(*) FROM pending", [], |r| rows::number(r, 0)).ok().flatten().unwrap_or(0);
        let mut pending = self.read_pending().unwrap_or_default();
        pending.retain(|p| Entry::hash_payload(p.entry.entry.kind, &p.entry.payload) == p.entry.entry.payload_hash);
        let lost = held.saturating_sub(pending.len() as u64);
        (pending, lost)
    }

    /// What is set aside and whole.
    #[must_use]
    pub fn whole_quarantine(&self, org: &OrgId) -> Vec<Quarantined> {
        let mut held = self.read_quarantine().unwrap_or_default();
        held.retain(|q| q.head.signed().verify(org).is_ok());
        held
    }

    /// Registers whose signature holds.
    #[must_use]
    pub fn whole_registers(&self, org: &OrgId) -> Vec<SignedRegister> {
        let held = self.read_registers(0).unwrap_or_default();
        held.into_iter().map(|(_, signed)| signed).filter(|signed| signed.verify(org).is_ok()).collect()
    }

    /// A quick look: what SQLite says of the file, and records that are marked as damaged.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read at all.
    pub fn quick_check(&self) -> Result<Vec<String>, StoreError> {
        let mut found = self.all("PRAGMA quick_check(8)", [], |r| Ok(r.get::<_, String>(0)?))?;
        found.retain(|line| line != "ok");
        let sql = "SELECT count(*) FROM records WHERE damaged <> 0";
        let marked = self.one(sql, [], |r| rows::number(r, 0))?.unwrap_or(0);
        if marked > 0 {
            found.push(format!("records: {marked}"));
        }
        Ok(found)
    }

    /// Every small fact by its name, and whether none of them changed by itself.
    #[must_use]
    pub fn facts(&self) -> (Vec<(String, Vec<u8>)>, bool) {
        let read = self.all("SELECT name, value FROM meta ORDER BY name", [], |r| Ok((r.get(0)?, r.get(1)?)));
        let sum = self.meta_sum().ok().map(|sum| sum.to_vec());
        let sound = self.meta(META_SUM).ok().flatten() == sum;
        (read.unwrap_or_default(), sound)
    }

    /// Closes a store so that its one file holds everything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close(self) -> Result<(), StoreError> {
        let done = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0));
        if done.map_err(Fault::from)? != 0 {
            return Err(StoreError::Busy("somebody reads the database".to_owned()));
        }
        self.conn.close().map_err(|(_, e)| Fault::from(e).into())
    }

    /// Puts `rebuilt` in the place of this seized file at `path`, whose bytes stay at `keep` where one is named.
    ///
    /// # Errors
    /// [`StoreError`]; this file stands then.
    pub fn replace_by(self, path: &Path, rebuilt: &Path, keep: Option<&Path>) -> Result<(), StoreError> {
        self.write_again();
        // SQLite writes nothing in a transaction that has met a malformed page. Nothing was written in this one, and
        // the lock is kept.
        self.run("ROLLBACK")?;
        self.run("BEGIN EXCLUSIVE")?;
        self.run("PRAGMA application_id = 0")?;
        if let Some(keep) = keep {
            // Best effort: not every file system has a second name for a file.
            let _ = std::fs::remove_file(keep);
            let _ = std::fs::hard_link(path, keep);
        }
        std::fs::rename(rebuilt, path).map_err(|e| io(path, &e))?;
        if let Some(parent) = path.parent() {
            std::fs::File::open(parent).and_then(|f| f.sync_all()).map_err(|e| io(path, &e))?;
        }
        // Only for those who wait at the old file: the new one has its name by now.
        let _ = self.run("COMMIT");
        Ok(())
    }
}
