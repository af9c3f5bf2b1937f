//! Erasing on request: the entry, the holes, and a disk that has no trace of it.
//!
//! It does not: decide who may (the charter does), or choose words (`cli`).
//!
//! Invariants: this device says that something is gone only after its database was cleaned, and while no old
//! copy of it lies in the folder, nor a bundle that may hold it.

use super::{Replica, ReplicaError};
use sampan_core::charter::Erased;
use sampan_core::engine::ErasureRow;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::store::{Store as _, StoreError};
use std::path::PathBuf;

impl Replica {
    /// The erasure that names a record which is here: `None` when no such record is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn erasable(&self, record: RecordId) -> Result<Option<(UnitId, Erased)>, StoreError> {
        let state = self.store.records(&[record])?.into_iter().next().flatten();
        Ok(state.map(|s| (s.space.unit, Erased::Record { space: s.space, record })))
    }

    /// Writes an erasure for ever and carries it out here; the disk is cleaned by [`Replica::clean_erased`].
    ///
    /// # Errors
    /// [`ReplicaError`]; nothing was changed.
    pub fn erase(&mut self, unit: UnitId, what: Erased, reason: &str) -> Result<(), ReplicaError> {
        let now = self.label()?;
        let Self { store, engine, rng, .. } = self;
        let done = store.group(|s| engine.erase(s, rng, unit, (what, reason), now));
        if done.is_err() {
            // What the engine remembers of the undone transaction must go as well.
            engine.reload(store)?;
        }
        done?;
        Ok(())
    }

    /// Leaves no trace on the disk of what is erased, and says so to the relays; false while another process
    /// holds the database or an old copy lies in the folder, see [`Replica::old_copies`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clean_erased(&mut self) -> Result<bool, StoreError> {
        if !self.engine.is_unclean(&self.store)? {
            return Ok(true);
        }
        if let Err(e) = crate::bundle::erased::forget(self) {
            // As with a database that another process reads: not confirmed, and tried again.
            tracing::warn!(error = %e, "a bundle that may hold what was erased is still in the folder");
            return Ok(false);
        }
        if !self.old_copies().is_empty() || !self.store.scrub()? {
            return Ok(false);
        }
        let now = self.label()?;
        let Self { store, engine, .. } = self;
        store.group(|s| engine.confirm_erased(s, now))?;
        Ok(true)
    }

    /// Old databases that a repair or an encryption left in the folder: they may hold what was erased since.
    #[must_use]
    pub fn old_copies(&self) -> Vec<PathBuf> {
        let beside = |ending: &str| {
            let mut name = self.dir.store().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        ["-damaged", "-rebuilt", "-encrypted"].into_iter().map(beside).filter(|p| p.exists()).collect()
    }

    /// Every erasure with those who have confirmed it and those who have not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn erasures(&self) -> Result<Vec<ErasureRow>, StoreError> {
        self.engine.erasures(&self.store)
    }
}
