//! Checking a replica: its store, and every record against what its changes say.
//!
//! It does not: repair (`repair` does).
//!
//! Invariants: records are opened only where the store is sound, so that one damage is not told twice.

use super::project::{last_touch, row_of_view};
use super::{Replica, ReplicaError};
use crate::codec::ZstdCodec;
use crate::config::{Config, ConfigFile};
use crate::dir::Dir;
use crate::keys::database;
use crate::store::{Damage, ProjectedRow, SqliteStore, VerifyReport};
use sampan_core::engine::{EditFailure, NewRecordEntry, judge};
use sampan_core::id::RecordId;
use sampan_core::schema::Collection;
use sampan_core::store::{RecordKey, RecordState, Status, Store, StoreError};
use std::path::Path;
use std::sync::Arc;

/// Records read at a time.
const RECORDS_A_STEP: usize = 256;

impl Replica {
    /// Checks everything: signatures, payloads and indexes, whether each hole was asked for, then every record and its row.
    ///
    /// # Errors
    /// [`StoreError`] only where the database cannot be read at all.
    pub fn verify(&mut self) -> Result<VerifyReport, StoreError> {
        let mut report = self.store.verify(&self.engine.org())?;
        for (unit, record) in &report.holes {
            if !self.engine.charter().is_erased(unit, record) {
                let what = "a hole is left of it, and no erasure of it stands".to_owned();
                report.damaged.push(Damage { table: "packs", record: Some(record.to_string()), what });
            }
        }
        if !report.damaged.is_empty() {
            return Ok(report);
        }
        let mut after = RecordKey(0);
        loop {
            let states = self.store.records_after(after, RECORDS_A_STEP)?;
            let Some(last) = states.last().and_then(|s| s.key) else { break };
            after = last;
            for state in states {
                report.checked += 1;
                self.check_record(&state, &mut report)?;
            }
        }
        if report.damaged.is_empty() {
            self.project()?;
            self.check_rows(&mut report)?;
        }
        if report.damaged.is_empty() {
            self.store.check_kept_figures(&mut report)?;
        }
        Ok(report)
    }

    /// Checks the tables of a folder whose engine does not open any more.
    ///
    /// # Errors
    /// [`ReplicaError`] when the database cannot be read at all.
    pub fn verify_tables(path: &Path) -> Result<VerifyReport, ReplicaError> {
        let dir = Dir::open(path)?;
        let table = ConfigFile::read(&dir.config())?.replica;
        let table = table.ok_or_else(|| ReplicaError::Unfinished(path.display().to_string()))?;
        let store = SqliteStore::open(
            &database::place(&dir)?,
            Arc::new(ZstdCodec),
            table.device,
            table.org,
            Config::default().cache_mb,
        )?;
        Ok(store.verify(&table.org)?)
    }

    /// The state of a record, and where each of its entries stands, follow from the entries alone.
    fn check_record(&self, state: &RecordState, report: &mut VerifyReport) -> Result<(), StoreError> {
        let Some(key) = state.key else { return Ok(()) };
        let mut add = |table, what: String| {
            report.damaged.push(Damage { table, record: Some(state.id.to_string()), what });
        };
        let entries = match self.store.entries(key) {
            Ok(entries) => entries,
            Err(StoreError::Damaged(what)) => {
                add("hist", what);
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let new: Vec<NewRecordEntry<'_>> = entries.iter().map(NewRecordEntry::stored).collect();
        let judged = judge(&self.engine.org(), state.id, None, &[], &new);
        let held: Vec<Status> = entries.iter().map(|e| e.status).collect();
        if judged.statuses != held {
            add("hist", "an entry does not stand as what it builds on says".to_owned());
            return Ok(());
        }
        if state.damaged {
            add("records", "it is marked as one that cannot be opened".to_owned());
            return Ok(());
        }
        // Where the creation has not come, space and collection are those of whichever entry came first.
        let born = !judged.state.heads.is_empty();
        let said = RecordState { key: None, ..judged.state };
        let held = RecordState { key: None, ..state.clone() };
        if born && said.collection != held.collection {
            add("collections", "it is listed in another collection than it was made in".to_owned());
        } else if (born && said != held) || said.entries != held.entries || said.irregular != held.irregular {
            add("records", "what is kept of it is not what its changes say".to_owned());
        }
        Ok(())
    }

    /// Every row shows what the changes of its record say, and every record that can be shown has one.
    fn check_rows(&mut self, report: &mut VerifyReport) -> Result<(), StoreError> {
        let Some(schema) = self.schema().cloned() else { return Ok(()) };
        for collection in schema.collections.values() {
            let (mut rows, mut shown, mut broken) = (0, 0, Ok(()));
            let read = self.store.snapshot(|store| {
                store.each_row(collection, None, None, true, &mut |_, row| {
                    rows += 1;
                    shown += u64::from(!row.removed);
                    if broken.is_ok() {
                        report.checked += 1;
                        broken = self.check_row(collection, &row, report);
                    }
                })
            });
            broken?;
            match read {
                Ok(()) => self.store.check_collection(collection, (rows, shown), report)?,
                Err(StoreError::Damaged(what)) => {
                    report.damaged.push(Damage { table: "projections", record: None, what });
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn check_row(
        &self,
        collection: &Collection,
        row: &ProjectedRow,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let mut add = |table, id: RecordId, what: String| {
            report.damaged.push(Damage { table, record: Some(id.to_string()), what });
        };
        let opened = self.engine.document(&self.store, row.id).and_then(|(state, entries, document)| {
            let view = document.view().map_err(|e| EditFailure::Damaged(row.id, e))?;
            let (author, updated) = last_touch(&state, &entries);
            Ok(row_of_view(&state, view, author, updated))
        });
        match opened {
            Ok(mut said) => {
                // The table has columns for the schema's fields alone.
                said.values.retain(|name, _| collection.field(name).is_some());
                if said != *row {
                    add("projections", row.id, "its row does not show what its changes say".to_owned());
                }
            }
            Err(EditFailure::Store(StoreError::Damaged(what))) => add("packs", row.id, what),
            Err(EditFailure::Store(e)) => return Err(e),
            Err(EditFailure::NoRecord(_)) => add("projections", row.id, "its row is of no record".to_owned()),
            Err(e) => add("records", row.id, e.to_string()),
        }
        Ok(())
    }
}
