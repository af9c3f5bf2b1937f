//! Taking commits out of what is held: where a cut leaves them outside.
//!
//! It does not: decide which (the engine does), or lose them: the batch puts them into the quarantine.
//!
//! Invariants: runs inside the transaction of its batch; what remains of a log is what its commits
//! say, and a log or a pack goes with its last commit; the newest position of all is never given again, because
//! the charter that brought the cut was stored later.

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::merge::{Near, share};
use super::rows::{self, int};
use super::verify::ComputedLog;
use sampan_core::id::CommitId;
use sampan_core::store::Status;
use std::collections::{BTreeMap, BTreeSet};

impl SqliteStore {
    /// Removes commits with their entries from what is held; what counts per space and status changes with
    /// them. Returns the records that they had entries of.
    pub(super) fn withdraw(&self, ids: &[CommitId]) -> Result<BTreeSet<i64>, Fault> {
        let mut logs = BTreeSet::new();
        let mut records = BTreeSet::new();
        let mut touched = BTreeMap::new();
        let mut counts: BTreeMap<(i64, Status), i64> = BTreeMap::new();
        let newest = self.read_last_commit()?;
        for id in ids {
            let sql = "SELECT c.key, c.log, c.pack, l.space FROM commits c JOIN logs l ON l.id = c.log WHERE c.id = ?1";
            let found = self.one(sql, [id.0], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
            let Some((key, log, pack, space)): Option<(i64, i64, i64, i64)> = found else {
                return Err(damaged(format!("commit {id} is to be withdrawn and is not held")));
            };
            let near = self.near(key)?.ok_or_else(|| damaged(format!("there is no pack {pack}")))?;
            if key == int(newest.0) {
                return Err(damaged(format!("commit {id} is the newest and cannot be withdrawn")));
            }
            logs.insert(log);
            for (record, status) in self.entries_of(*id, key)? {
                records.insert(record);
                *counts.entry((space, status)).or_default() -= 1;
            }
            self.conn.prepare_cached("DELETE FROM commits WHERE key = ?1")?.execute([key])?;
            touched.insert(pack, near);
        }
        for (pack, near) in touched {
            self.pack_without(pack, &near)?;
        }
        self.cache.borrow_mut().clear();
        self.handed.borrow_mut().clear();
        for log in logs {
            self.log_anew(log)?;
        }
        let sql = "UPDATE counts SET entries = entries + ?3 WHERE space = ?1 AND status = ?2";
        let mut change = self.conn.prepare_cached(sql)?;
        for ((space, status), n) in counts {
            change.execute((space, status.number(), n))?;
        }
        Ok(records)
    }

    /// Record and status of each entry of a commit; the entries are no longer listed afterwards.
    fn entries_of(&self, id: CommitId, key: i64) -> Result<Vec<(i64, Status)>, Fault> {
        let commit = self.opened(sampan_core::store::CommitKey(key as u64))?.commit()?;
        let sql = "DELETE FROM hist WHERE at = ?2 AND record = (SELECT key FROM records WHERE id = ?1)
            RETURNING record, status";
        let named: BTreeSet<_> = commit.payload().entries.iter().map(|e| e.entry.record).collect();
        let mut out = Vec::new();
        for record in named {
            out.extend(self.all(sql, (record.0, key), |r| Ok((r.get(0)?, rows::status(r, 1)?)))?);
        }
        if out.len() > commit.payload().entries.len() {
            return Err(damaged(format!("commit {id} has more entries listed than it holds")));
        }
        Ok(out)
    }

    /// A pack that commits were taken out of: it goes with its last; of what remains each counts for its share.
    fn pack_without(&self, pack: i64, near: &Near) -> Result<(), Fault> {
        let left = self.commits_of_pack(pack, near)?;
        if left.is_empty() {
            return self.remove_pack(pack);
        }
        let sql = "SELECT length(bytes) FROM packs WHERE id = ?1";
        let bytes = self.one(sql, [pack], |r| rows::index(r, 0))?.unwrap_or(0);
        let total: u64 = left.iter().map(|(.., n)| n).sum();
        for (key, _, entries) in left {
            let sql = "UPDATE commits SET bytes = ?2 WHERE key = ?1";
            self.conn.prepare_cached(sql)?.execute((key, int(share(bytes, entries, total))))?;
        }
        Ok(())
    }

    /// What follows from the commits that remain of a log; a log of none goes, and begins anew should one come back.
    fn log_anew(&self, log: i64) -> Result<(), Fault> {
        let sql = "SELECT header, signature FROM commits WHERE log = ?1 ORDER BY key";
        let mut left = ComputedLog::default();
        self.all(sql, [log], |r| {
            left.advance(&rows::head(r, 0)?);
            Ok(())
        })?;
        self.conn.prepare_cached("DELETE FROM tips WHERE log = ?1")?.execute([log])?;
        if left.commits == 0 {
            self.conn.prepare_cached("DELETE FROM logs WHERE id = ?1")?.execute([log])?;
            return Ok(());
        }
        self.conn.prepare_cached("UPDATE logs SET forked = ?2 WHERE id = ?1")?.execute((log, left.forked))?;
        let mut add = self.conn.prepare_cached("INSERT INTO tips (log, id, sequence) VALUES (?1, ?2, ?3)")?;
        for (tip, sequence) in left.tips {
            add.execute((log, tip.0, int(sequence)))?;
        }
        Ok(())
    }
}
