//! A copy of the whole database, as it is at one moment, while others go on writing.
//!
//! It does not: know where backups go.
//!
//! Invariants: the copy is one snapshot, and durable when this returns; it is encrypted under the same key.

use super::error::Fault;
use super::{Place, SqliteStore, beside, connect, remove_if_there};
use crate::store::files::SystemFiles;
use rusqlite::backup::{Backup, StepResult};
use sampan_core::store::StoreError;
use std::path::Path;

impl SqliteStore {
    /// Writes a copy to `path`; one that lies there is replaced.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError`]; what was half written is removed.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let clear = || {
            ["", "-wal", "-shm", "-journal"].iter().try_for_each(|e| remove_if_there(&SystemFiles, &beside(path, e)))
        };
        clear()?;
        // The reads of the copy are those of this snapshot: a writer in between does not make it start anew.
        let copied = self.snapshot(|s| s.copy_pages(path).map_err(StoreError::from));
        if copied.is_err() {
            // What is left of it is cleared by the next one.
            let _ = clear();
        }
        copied
    }

    fn copy_pages(&self, path: &Path) -> Result<(), Fault> {
        self.one("SELECT count(*) FROM info", [], |_| Ok(()))?;
        let mut to = connect(&SystemFiles, &Place::keyed(path, self.key.clone()), true)?;
        to.pragma_update(None, "synchronous", "FULL")?;
        let step = Backup::new(&self.conn, &mut to)?.step(-1)?;
        if step != StepResult::Done {
            return Err(StoreError::Busy(format!("the copy was not finished ({step:?})")).into());
        }
        to.close().map_err(|(_, e)| Fault::from(e))
    }
}
