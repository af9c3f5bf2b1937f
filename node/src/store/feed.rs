//! What the projector follows: commits in order of storage, the queue of records to look at again,
//! and how far it has come.
//!
//! It does not: project anything.
//!
//! Invariants: a record whose standing changed is in a commit after the cursor or in the queue, so
//! nothing is missed by one who empties both.

use super::error::{Fault, damaged};
use super::rows::{self, int};
use super::write::is_unlisted;
use super::{SqliteStore, sums};
use sampan_core::log::Commit;
use sampan_core::store::{CommitKey, RecordKey, RecordState, Status, StoreError};
use sampan_core::time::Millis;

/// A stored commit with what the store knows of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedCommit {
    /// Its position.
    pub key: CommitKey,
    /// The commit.
    pub commit: Commit,
    /// When this store first saw it.
    pub first_seen: Millis,
    /// Record and status of each entry, in order; `None` for charter operations.
    pub entries: Vec<Option<(RecordKey, Status)>>,
}

impl SqliteStore {
    /// At most `limit` commits stored after `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]; so for every method below.
    pub fn commits_after(&self, after: CommitKey, limit: usize) -> Result<Vec<FeedCommit>, StoreError> {
        self.snapshot(|s| Ok(s.feed(after, limit)?))
    }

    /// At most `limit` records of the queue, lowest position first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn dirty(&self, limit: usize) -> Result<Vec<RecordKey>, StoreError> {
        let sql = "SELECT record FROM dirty ORDER BY record LIMIT ?1";
        Ok(self.all(sql, [limit as i64], |r| Ok(RecordKey(rows::number(r, 0)?)))?)
    }

    /// Puts records into the queue.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mark_dirty(&mut self, records: &[RecordKey]) -> Result<(), StoreError> {
        self.each("INSERT OR IGNORE INTO dirty VALUES (?1)", records)
    }

    /// Takes records out of the queue: in the transaction that projects them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clear_dirty(&mut self, records: &[RecordKey]) -> Result<(), StoreError> {
        let sql = "DELETE FROM dirty WHERE record = ?1";
        if let [record] = records {
            // One statement needs no savepoint, which would cost more than it.
            return self.execute(sql, [int(record.0)]);
        }
        self.each(sql, records)
    }

    /// Puts every record into the queue: when the schema or the projector changed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mark_all_dirty(&mut self) -> Result<(), StoreError> {
        self.group(|s| s.run("INSERT OR IGNORE INTO dirty SELECT key FROM records"))
    }

    /// The last commit that the projections hold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn projected_to(&self) -> Result<CommitKey, StoreError> {
        let sql = "SELECT value FROM info WHERE name = 'projected_to'";
        let held: Option<Vec<u8>> = self.one(sql, [], |r| Ok(r.get(0)?))?;
        // A cursor that is damaged counts as none: the lists are then made anew from the beginning.
        Ok(CommitKey(held.and_then(|bytes| sums::number(&bytes)).unwrap_or(0)))
    }

    /// Moves the cursor: in the transaction that projects what lies before it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_projected_to(&mut self, key: CommitKey) -> Result<(), StoreError> {
        self.group(|s| {
            let sql = "INSERT OR REPLACE INTO info VALUES ('projected_to', ?1)";
            s.execute(sql, [sums::with_sum(key.0)])
        })
    }

    /// The state of a record by its position.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record(&self, key: RecordKey) -> Result<Option<RecordState>, StoreError> {
        Ok(self.read_record(key)?)
    }

    /// A commit by its position.
    ///
    /// # Errors
    /// [`StoreError`], also when there is none.
    pub fn commit(&self, key: CommitKey) -> Result<Commit, StoreError> {
        self.snapshot(|s| Ok(s.opened(key)?.commit()?))
    }

    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
        let mut statement = self.conn.prepare_cached(sql).map_err(Fault::from)?;
        statement.execute(params).map_err(Fault::from)?;
        Ok(())
    }

    fn each(&mut self, sql: &str, records: &[RecordKey]) -> Result<(), StoreError> {
        self.group(|s| records.iter().try_for_each(|record| s.execute(sql, [int(record.0)])))
    }

    fn feed(&self, after: CommitKey, limit: usize) -> Result<Vec<FeedCommit>, Fault> {
        let sql = "SELECT key FROM commits WHERE key > ?1 ORDER BY key LIMIT ?2";
        let keys = self.all(sql, (int(after.0), limit as i64), |r| Ok(CommitKey(rows::number(r, 0)?)))?;
        keys.into_iter().map(|key| self.feed_commit(key)).collect()
    }

    fn feed_commit(&self, key: CommitKey) -> Result<FeedCommit, Fault> {
        let opened = self.opened(key)?;
        let first_seen = opened.first_seen;
        let commit = opened.commit()?;
        let sql = "SELECT h.record, h.status FROM records r JOIN hist h ON h.record = r.key
            WHERE r.id = ?1 AND h.at = ?2 AND h.place = ?3";
        let mut entries = Vec::with_capacity(commit.payload().entries.len());
        for (place, e) in commit.payload().entries.iter().enumerate() {
            let found = self.one(sql, (e.entry.record.0, int(key.0), place as i64), |r| {
                Ok((RecordKey(rows::number(r, 0)?), rows::status(r, 1)?))
            })?;
            if found.is_none() && !is_unlisted(e.entry.kind) {
                let id = commit.id();
                return Err(damaged(format!("entry {place} of commit {id} is not listed")));
            }
            entries.push(found);
        }
        Ok(FeedCommit { key, commit, first_seen, entries })
    }
}
