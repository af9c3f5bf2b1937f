//! The planted bug "an unsealed edit lost at a crash": a transaction of nothing but pending edits is
//! committed without a sync of the log.
//!
//! It does not: do anything in a build without the feature `testing`, where `begin` is always false.
//!
//! Invariants: whatever else a transaction holds is durable as ever when it ends.

use rusqlite::Connection;
use sampan_core::canary::{self, Canary};
use sampan_core::store::Batch;
use std::cell::Cell;

thread_local! {
    /// Whether the transaction under way on this thread holds more than pending edits.
    static MORE: Cell<bool> = const { Cell::new(false) };
}

/// Before a transaction: whether it may end without a sync. Inside one the setting cannot be changed.
pub(super) fn begin(conn: &Connection) -> rusqlite::Result<bool> {
    if !canary::sings(Canary::UnsealedEditLost) {
        return Ok(false);
    }
    MORE.set(false);
    conn.pragma_update(None, "synchronous", "OFF")?;
    Ok(true)
}

/// What a batch adds to the transaction under way.
pub(super) fn note(batch: &Batch) {
    if canary::sings(Canary::UnsealedEditLost) {
        let edits = !batch.pending.is_empty()
            && batch.groups.is_empty()
            && batch.sealed.is_empty()
            && batch.quarantine.is_empty()
            && batch.registers.is_empty()
            && batch.acks.is_empty()
            && batch.meta.is_empty();
        MORE.set(MORE.get() || !edits);
    }
}

/// After a transaction that [`begin`] was told true of: syncs what is more than edits.
pub(super) fn end(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "synchronous", "FULL")?;
    if MORE.get() {
        // A checkpoint syncs the log before it copies a page.
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::fresh;
    use super::*;
    use sampan_core::log::EntryKind;
    use sampan_core::store::{PendingEntry, PendingKey, Status, Store as _, StoreError};
    use sampan_core::testing::store_suite::{batch_of, fresh_state};
    use sampan_core::testing::{Writer, fake_entry, test_time, up_space};

    fn edit(word: &str) -> Batch {
        let (space, w) = (up_space(1), Writer::new(1));
        let entry = fake_entry(&space, EntryKind::Change, None, test_time(1), word.as_bytes());
        let mut batch = Batch::at(test_time(1));
        batch.records.push(fresh_state(space, &entry, w.actor()));
        let pending = PendingEntry { key: PendingKey(0), space, nonce: w.nonce, entry };
        batch.pending.push((pending, Status::Accepted));
        batch
    }

    #[test]
    fn only_edits_go_without_a_sync_and_only_while_the_canary_sings() {
        let (_dir, path, mut store) = fresh();
        store.checkpoint().unwrap();
        let size = || std::fs::metadata(&path).unwrap().len();
        let before = size();
        let saved_with = |store: &mut crate::store::SqliteStore, word: &str| -> i64 {
            let read = |s: &mut crate::store::SqliteStore| -> Result<i64, StoreError> {
                s.write(&edit(word))?;
                Ok(s.conn.pragma_query_value(None, "synchronous", |r| r.get(0)).unwrap())
            };
            store.group(read).unwrap()
        };
        assert_eq!(saved_with(&mut store, "a"), 2, "FULL");
        let planted = canary::plant(Canary::UnsealedEditLost);
        assert_eq!(saved_with(&mut store, "b"), 0, "OFF");
        assert_eq!(size(), before, "no checkpoint, and with it no sync, behind an edit");
        let mut w = Writer::new(2);
        let commits: Vec<_> = (0..64).map(|n| w.one(up_space(1), &[], &format!("record {n} ").repeat(40))).collect();
        for c in &commits {
            store.write(&batch_of(&store, &[c])).unwrap();
        }
        assert!(size() > before, "what is more than edits was synced");
        drop(planted);
        assert_eq!(saved_with(&mut store, "c"), 2, "FULL again");
        assert_eq!(store.pending().unwrap().len(), 3);
    }
}
