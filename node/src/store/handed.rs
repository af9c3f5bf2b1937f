//! What intake and sealing have just decoded, verified and stored, kept for the projector.
//!
//! It does not: hold anything that the disk does not; what is not here is read from there.
//!
//! Invariants: held bytes stay under [`HANDED_ON_BYTES_MAX`]; the oldest stay when there is no room, because the projector
//! goes in order of storage; everything is dropped when a transaction is undone, something is erased or withdrawn, or
//! another process wrote; the row of a record decides what becomes of an entry, never what was noted here.

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::packs::in_memory;
use super::rows::{self, int};
use super::write::is_unlisted;
use sampan_core::id::{CommitId, RecordId};
use sampan_core::limits::HANDED_ON_BYTES_MAX;
use sampan_core::log::Commit;
use sampan_core::store::{CommitKey, RecordKey, Status, StoreError};
use std::collections::BTreeMap;

/// A stored commit as the projector needs it.
#[derive(Debug)]
pub(crate) struct ToProject {
    /// Its position.
    pub(crate) key: CommitKey,
    /// The commit, verified.
    pub(crate) commit: Commit,
    /// One for each entry, in order.
    pub(crate) records: Vec<Listed>,
}

/// The record of an entry, and whether that entry is all there is of it, and stands; `None` for what no record lists.
pub(crate) type Listed = Option<(RecordKey, bool)>;

/// Positions of the records of a commit's entries; `None` for what no record lists.
type Places = Vec<Option<i64>>;

/// Commits that the projector has not met yet.
#[derive(Default)]
pub(super) struct Handed {
    bytes: usize,
    /// What the last batch wrote and nobody has handed on.
    written: BTreeMap<CommitId, (i64, Places)>,
    ready: BTreeMap<i64, (Commit, Places)>,
    /// What SQLite counts of other connections' writes, when the first of them came.
    version: i64,
}

impl Handed {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A batch begins: what the one before it left here is not handed on any more.
    pub(super) fn begin(&mut self) {
        self.written.clear();
    }

    /// A commit was written.
    pub(super) fn wrote(&mut self, id: CommitId, key: i64, places: Places) {
        self.written.insert(id, (key, places));
    }

    /// Nothing is held, and no memory.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.bytes == 0
    }

    /// A byte short of full, as far as it counts.
    #[cfg(test)]
    pub(super) fn fill_for_tests(&mut self) {
        self.bytes = HANDED_ON_BYTES_MAX - 1;
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn keep(&mut self, commit: Commit, version: i64) {
        let Some((key, places)) = self.written.remove(&commit.id()) else { return };
        let bytes = cost(&commit, &places);
        if self.bytes + bytes > HANDED_ON_BYTES_MAX {
            return;
        }
        if self.ready.is_empty() {
            self.version = version;
        }
        self.bytes += bytes;
        self.ready.insert(key, (commit, places));
    }

    fn take(&mut self, key: i64, id: &CommitId) -> Option<(Commit, Places)> {
        let (commit, places) = self.ready.remove(&key)?;
        self.bytes -= cost(&commit, &places);
        (commit.id() == *id).then_some((commit, places))
    }
}

fn cost(commit: &Commit, places: &Places) -> usize {
    in_memory(commit.payload()) + commit.head().signed().bytes.len() + 512 + places.len() * size_of::<Option<i64>>()
}

impl SqliteStore {
    /// Keeps commits that were just written for whoever projects them.
    pub(super) fn take_decoded(&mut self, commits: Vec<Commit>) -> Result<(), Fault> {
        let version = self.other_writers()?;
        let mut handed = self.handed.borrow_mut();
        commits.into_iter().for_each(|c| handed.keep(c, version));
        Ok(())
    }

    /// A number that changes when another connection has written.
    fn other_writers(&self) -> Result<i64, Fault> {
        Ok(self.conn.pragma_query_value(None, "data_version", |r| r.get(0))?)
    }

    /// At most `limit` commits stored after `after`, oldest first: those handed on, the others from the disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn to_project(&self, after: CommitKey, limit: usize) -> Result<Vec<ToProject>, StoreError> {
        self.snapshot(|s| Ok(s.read_to_project(after, limit)?))
    }

    fn read_to_project(&self, after: CommitKey, limit: usize) -> Result<Vec<ToProject>, Fault> {
        let sql = "SELECT key, id FROM commits WHERE key > ?1 ORDER BY key LIMIT ?2";
        let found = self.all(sql, (int(after.0), limit as i64), |r| {
            Ok((r.get::<_, i64>(0)?, rows::id(r, 1, "a commit id", CommitId::from_slice)?))
        })?;
        let version = self.other_writers()?;
        if found.is_empty() || self.handed.borrow().version != version {
            // All is projected, or what was decoded may have been erased since.
            self.handed.borrow_mut().clear();
        }
        found.into_iter().map(|(key, id)| self.one_to_project(key, &id)).collect()
    }

    fn one_to_project(&self, key: i64, id: &CommitId) -> Result<ToProject, Fault> {
        let at = CommitKey(rows::uint(key));
        let handed = self.handed.borrow_mut().take(key, id);
        if let Some((commit, places)) = handed
            && let Some(records) = self.as_placed(&commit, &places)?
        {
            return Ok(ToProject { key: at, commit, records });
        }
        let commit = self.opened(at)?.commit()?;
        let records = self.as_listed(key, &commit)?;
        Ok(ToProject { key: at, commit, records })
    }

    /// The records at these positions, if they still are those of the entries.
    fn as_placed(&self, commit: &Commit, places: &Places) -> Result<Option<Vec<Listed>>, Fault> {
        let held = self.records_at(places)?;
        let mut out = Vec::with_capacity(places.len());
        let entries = &commit.payload().entries;
        if entries.len() != places.len() {
            return Ok(None);
        }
        for (e, place) in entries.iter().zip(places) {
            out.push(match place {
                None => None,
                Some(key) => match held.get(key) {
                    Some((id, alone)) if *id == e.entry.record => Some((RecordKey(rows::uint(*key)), *alone)),
                    Some(_) | None => return Ok(None),
                },
            });
        }
        Ok(Some(out))
    }

    /// Id of each record, and whether it has one entry, which stands.
    fn records_at(&self, places: &Places) -> Result<BTreeMap<i64, (RecordId, bool)>, Fault> {
        let (Some(first), Some(last)) = (places.iter().flatten().min(), places.iter().flatten().max()) else {
            return Ok(BTreeMap::new());
        };
        let of = |r: &rusqlite::Row<'_>| {
            let alone = r.get::<_, i64>(2)? == 1 && r.get::<_, i64>(3)? == 0 && !r.get::<_, bool>(4)?;
            Ok((r.get::<_, i64>(0)?, (rows::id(r, 1, "a record id", RecordId::from_slice)?, alone)))
        };
        let sql = "SELECT key, id, entries, irregular, damaged FROM records WHERE key BETWEEN ?1 AND ?2";
        // New records lie side by side.
        if (last - first) as usize <= 4 * places.len() {
            return Ok(self.all(sql, (first, last), of)?.into_iter().collect());
        }
        let mut out = BTreeMap::new();
        for key in places.iter().flatten() {
            out.extend(self.one(sql, (key, key), of)?);
        }
        Ok(out)
    }

    /// The records that list the entries of a commit.
    fn as_listed(&self, key: i64, commit: &Commit) -> Result<Vec<Listed>, Fault> {
        let sql = "SELECT h.record, h.status, r.entries, r.damaged FROM records r JOIN hist h ON h.record = r.key
            WHERE r.id = ?1 AND h.at = ?2 AND h.place = ?3";
        let mut out = Vec::with_capacity(commit.payload().entries.len());
        for (place, e) in commit.payload().entries.iter().enumerate() {
            let found = self.one(sql, (e.entry.record.0, key, place as i64), |r| {
                let alone =
                    rows::status(r, 1)? == Status::Accepted && r.get::<_, i64>(2)? == 1 && !r.get::<_, bool>(3)?;
                Ok((RecordKey(rows::number(r, 0)?), alone))
            })?;
            if found.is_none() && !is_unlisted(e.entry.kind) {
                return Err(damaged(format!("entry {place} of commit {} is not listed", commit.id())));
            }
            out.push(found);
        }
        Ok(out)
    }
}
