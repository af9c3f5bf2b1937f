//! The projector: keeps one row a record in step with what was stored, after the fact.
//!
//! It does not: hold up receiving or forwarding; it follows, and says how far it is.
//!
//! Invariants: a record with one entry is read from its creation change alone; any other is opened as
//! a document; a record that cannot be opened is marked damaged, durably, and left out.

use super::Replica;
use crate::store::{Created, ProjectedRow, SqliteStore, ToProject};
use sampan_core::change::creation_shown;
use sampan_core::engine::{EditFailure, Engine, Saved};
use sampan_core::id::{DeviceId, RecordId, UnitId};
use sampan_core::log::{EntryKind, EntryPayload};
use sampan_core::record::View;
use sampan_core::schema::{Collection, Schema};
use sampan_core::store::{Batch, RecordEntry, RecordKey, RecordState, Store, StoreError};
use sampan_core::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// Commits projected in one transaction: short enough that an edit never waits for long.
const COMMITS_A_STEP: usize = 16;
/// Queued records projected in one transaction.
const RECORDS_A_STEP: usize = 512;
/// The schema that the projections were made for.
const META_PROJECTED_SCHEMA: &str = "projected_schema";
/// Rows were looked at for the files that they name: not so by versions that knew none.
const META_FILES_NAMED: &str = "files_named";

impl Replica {
    /// Makes the tables of the schema in force, and queues every record when it is new.
    pub(crate) fn follow_schema(&mut self) -> Result<(), StoreError> {
        let Some(schema) = self.schema().cloned() else { return Ok(()) };
        let mark = format!("{}/{}", schema.name, schema.version).into_bytes();
        let before = self.store.meta(META_PROJECTED_SCHEMA)?;
        if before.as_deref() != Some(mark.as_slice()) {
            self.store.group(|s| {
                s.follow_schema(&schema)?;
                if before.is_some() {
                    s.mark_all_dirty()?;
                }
                let mut batch = Batch::default();
                batch.meta.insert(META_PROJECTED_SCHEMA.into(), Some(mark));
                s.write(&batch)
            })?;
        }
        if self.store.meta(META_FILES_NAMED)?.is_none() {
            self.store.group(|s| {
                s.queue_file_rows(&schema)?;
                let mut batch = Batch::default();
                batch.meta.insert(META_FILES_NAMED.into(), Some(Vec::new()));
                s.write(&batch)
            })?;
        }
        self.follow_figures(&schema)
    }

    /// Projects a bounded amount of what was stored since; true when there is more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn project_step(&mut self) -> Result<bool, StoreError> {
        self.follow_schema()?;
        let Some(schema) = self.schema().cloned() else { return Ok(false) };
        let Self { store, engine, .. } = self;
        store.group(|s| {
            let dirty = s.dirty(RECORDS_A_STEP)?;
            if !dirty.is_empty() {
                for key in &dirty {
                    project_record(s, engine, &schema, *key)?;
                }
                s.clear_dirty(&dirty)?;
                return Ok(true);
            }
            let from = s.projected_to()?;
            let feed = s.to_project(from, COMMITS_A_STEP)?;
            let Some(last) = feed.last().map(|f| f.key) else { return Ok(false) };
            let mut opened: BTreeSet<RecordKey> = BTreeSet::new();
            for f in feed {
                project_commit(s, engine, &schema, &f, &mut opened)?;
            }
            s.set_projected_to(last)?;
            Ok(true)
        })
    }

    /// Projects everything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn project(&mut self) -> Result<(), StoreError> {
        while self.project_step()? {}
        Ok(())
    }
}

/// Projects the records that a commit names; `opened` are those that were looked at as a whole.
fn project_commit(
    store: &mut SqliteStore,
    engine: &Engine,
    schema: &Schema,
    f: &ToProject,
    opened: &mut BTreeSet<RecordKey>,
) -> Result<(), StoreError> {
    let (unit, author) = (f.commit.header().space.unit, f.commit.header().device);
    store.hear(&f.commit.header().space, f.commit.header().time)?;
    let mut created: BTreeMap<&str, Vec<(RecordKey, &EntryPayload)>> = BTreeMap::new();
    let mut others = Vec::new();
    for (entry, place) in f.commit.payload().entries.iter().zip(&f.records) {
        let Some((key, alone)) = place else { continue };
        let e = &entry.entry;
        let Some(collection) = schema.collection(&e.collection).filter(|_| !opened.contains(key)) else { continue };
        if *alone && e.kind == EntryKind::Change {
            created.entry(&collection.id).or_default().push((*key, entry));
        } else {
            others.push(*key);
        }
    }
    for (collection, mut entries) in created {
        let Some(collection) = schema.collection(collection) else { continue };
        entries.sort_by_key(|(key, _)| *key);
        entries.dedup_by_key(|(key, _)| *key);
        // Read one by one as they are put: no row of them is ever held.
        let rows = entries.into_iter().filter_map(|(key, entry)| {
            let row = created_row(entry, unit, author);
            others.extend(row.is_none().then_some(key));
            Some((key, row?))
        });
        store.put_created(collection, rows)?;
    }
    for key in others {
        if opened.insert(key) {
            project_record(store, engine, schema, key)?;
        }
    }
    Ok(())
}

/// The row of a creation change, where the reader can tell.
fn created_row(entry: &EntryPayload, unit: UnitId, author: DeviceId) -> Option<Created<'_>> {
    let e = &entry.entry;
    let fields = creation_shown(&entry.payload, e.change())?;
    Some(Created { id: e.record, unit, updated: e.time, author, fields })
}

fn project_record(store: &mut SqliteStore, engine: &Engine, schema: &Schema, key: RecordKey) -> Result<(), StoreError> {
    let Some(state) = store.record(key)? else { return Ok(()) };
    let Some(collection) = schema.collection(&state.collection) else { return Ok(()) };
    if state.damaged || state.heads.is_empty() {
        return store.delete_row(collection, key);
    }
    let opened = engine.document(store, state.id).and_then(|(state, entries, document)| {
        let view = document.view().map_err(|e| EditFailure::Damaged(state.id, e))?;
        Ok((state, entries, view))
    });
    match opened {
        Ok((state, entries, view)) => {
            let (author, updated) = last_touch(&state, &entries);
            let row = row_of_view(&state, view, author, updated);
            store.put_row(collection, key, &row)
        }
        Err(EditFailure::Store(e)) => Err(e),
        // What Automerge could not open stays unopened: durably, before anyone tries again.
        Err(_) => {
            let mut batch = Batch::default();
            batch.records.push(RecordState { damaged: true, ..state });
            store.write(&batch)?;
            store.delete_row(collection, key)
        }
    }
}

/// Author and time of the newest head.
pub(super) fn last_touch(state: &RecordState, entries: &[RecordEntry]) -> (DeviceId, Millis) {
    let heads = entries.iter().filter(|e| state.heads.contains(&e.hash));
    heads.max_by_key(|e| (e.time, e.hash)).map(|e| (e.author, e.time)).unwrap_or_default()
}

pub(super) fn row_of_view(state: &RecordState, view: View, author: DeviceId, updated: Millis) -> ProjectedRow {
    ProjectedRow {
        id: state.id,
        unit: state.space.unit,
        updated,
        author,
        conflict: view.conflicts.iter().map(|c| c.field.clone()).collect(),
        removed: view.removed,
        values: view.fields,
    }
}

/// Writes the row of a record that was just saved here, in the same transaction, which is undone on any error.
pub(super) fn row_of(
    store: &mut SqliteStore,
    engine: &Engine,
    collection: &Collection,
    saved: &Saved,
    now: Millis,
) -> Result<(), EditFailure> {
    if saved.changes == 0 {
        return Ok(());
    }
    let state = store.records(&[saved.id])?.into_iter().next().flatten();
    let Some((state, key)) = state.and_then(|s| s.key.map(|k| (s, k))) else {
        return Err(EditFailure::NoRecord(RecordId::default()));
    };
    let author = engine.device();
    let row = match (&saved.document, &saved.created) {
        (Some(document), _) => {
            let view = document.view().map_err(|e| EditFailure::Damaged(saved.id, e))?;
            row_of_view(&state, view, author, now)
        }
        (None, Some(fields)) => ProjectedRow {
            id: saved.id,
            unit: state.space.unit,
            updated: now,
            author,
            conflict: Vec::new(),
            removed: false,
            values: fields.clone(),
        },
        (None, None) => return Ok(()),
    };
    store.put_row(collection, key, &row)?;
    // The edit queued its record; its row is written here, so no document needs to be opened again.
    store.clear_dirty(&[key])?;
    Ok(())
}
