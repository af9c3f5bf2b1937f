//! Creating, editing and removing records, with their rows kept in step in the same transaction.
//!
//! It does not: parse what a person typed or choose words.
//!
//! Invariants: what is saved is durable and listed when these return; an import is one transaction, of which only a
//! piece is in memory at a time.

use super::project::row_of;
use super::{Replica, ReplicaError};
use crate::store::SqliteStore;
use sampan_core::engine::{Engine, NewRecord};
use sampan_core::entropy::Entropy;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::limits::{IMPORT_PIECE_BYTES, IMPORT_PIECE_ROWS};
use sampan_core::record::REMOVED_KEY;
use sampan_core::schema::Collection;
use sampan_core::store::{Store, StoreError};
use sampan_core::time::Millis;
use sampan_core::value::{Edit, Value};
use std::collections::BTreeMap;

/// One record of an import: fields to set on a new record or on one that exists.
#[derive(Debug, Clone)]
pub struct ImportRecord {
    /// The unit.
    pub unit: UnitId,
    /// The fields.
    pub fields: BTreeMap<String, Value>,
    /// The record that the row updates, if its match fields found one.
    pub updates: Option<RecordId>,
}

/// Takes the records of an import, one after the other, into its transaction; what it holds of them is bounded.
pub struct Importer<'i> {
    store: &'i mut SqliteStore,
    engine: &'i Engine,
    rng: &'i mut dyn Entropy,
    collection: &'i Collection,
    now: Millis,
    /// Records that are not written yet.
    piece: Vec<ImportRecord>,
    /// Bytes of their values, about.
    bytes: usize,
    ids: Vec<RecordId>,
}

impl std::fmt::Debug for Importer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer")
            .field("piece", &self.piece.len())
            .field("ids", &self.ids.len())
            .finish_non_exhaustive()
    }
}

impl Importer<'_> {
    /// Takes one record. It may be written only later.
    ///
    /// # Errors
    /// [`ReplicaError`] of the first that is refused: nothing of the import may stay.
    pub fn take(&mut self, row: ImportRecord) -> Result<(), ReplicaError> {
        self.bytes += row.fields.values().map(bytes_of).sum::<usize>();
        self.piece.push(row);
        if self.piece.len() >= IMPORT_PIECE_ROWS || self.bytes >= IMPORT_PIECE_BYTES {
            self.write_piece()?;
        }
        Ok(())
    }

    fn write_piece(&mut self) -> Result<(), ReplicaError> {
        let rows = std::mem::take(&mut self.piece);
        self.bytes = 0;
        let (engine, collection, now) = (self.engine, self.collection, self.now);
        let (store, rng) = (&mut *self.store, &mut *self.rng);
        let mut out: Vec<Option<RecordId>> = vec![None; rows.len()];
        let mut new = Vec::new();
        let mut places = Vec::new();
        for (i, row) in rows.into_iter().enumerate() {
            match row.updates {
                Some(id) => {
                    let edits: Vec<_> = row.fields.into_iter().map(|(k, v)| (k, Edit::Set(v))).collect();
                    let saved = engine.edit(store, collection, id, &edits, now)?;
                    row_of(store, engine, collection, &saved, now)?;
                    out[i] = Some(id);
                }
                None => {
                    new.push(NewRecord { collection, unit: row.unit, fields: row.fields });
                    places.push(i);
                }
            }
        }
        let saved = engine.create(store, rng, new, now)?;
        for (place, saved) in places.into_iter().zip(saved) {
            row_of(store, engine, collection, &saved, now)?;
            out[place] = Some(saved.id);
        }
        self.ids.extend(out.into_iter().flatten());
        Ok(())
    }
}

/// Bytes of a value, about.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::Str(s) | Value::Text(s) | Value::Other(s) => s.len(),
        Value::List(l) => l.iter().map(String::len).sum(),
        Value::Set(s) => s.iter().map(String::len).sum(),
        Value::Int(_) | Value::Bool(_) | Value::Counter(_) => 8,
    }
}

impl Replica {
    /// Creates or updates records in one transaction; ids in the order given.
    ///
    /// # Errors
    /// [`ReplicaError`] of the first that is refused; nothing was stored.
    pub fn import(&mut self, collection: &Collection, rows: Vec<ImportRecord>) -> Result<Vec<RecordId>, ReplicaError> {
        self.import_from(collection, |importer| rows.into_iter().try_for_each(|row| importer.take(row)))
    }

    /// Creates or updates the records that `rows` hands over, in one transaction, however many they are; ids in the
    /// order in which they were handed over.
    ///
    /// # Errors
    /// What `rows` says; [`ReplicaError`] of the first that is refused; nothing was stored.
    pub fn import_from<E: From<ReplicaError> + From<StoreError>>(
        &mut self,
        collection: &Collection,
        rows: impl FnOnce(&mut Importer<'_>) -> Result<(), E>,
    ) -> Result<Vec<RecordId>, E> {
        let now = self.label()?;
        let Self { store, engine, rng, .. } = self;
        store.group(|store| {
            // A daemon beside us may have drawn a new nonce since this process opened the folder.
            engine.reload_nonce(store)?;
            let (piece, ids) = (Vec::new(), Vec::new());
            let mut importer = Importer { store, engine, rng, collection, now, piece, bytes: 0, ids };
            rows(&mut importer)?;
            importer.write_piece()?;
            Ok(importer.ids)
        })
    }

    /// Creates one record.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn add(
        &mut self,
        collection: &Collection,
        unit: UnitId,
        fields: BTreeMap<String, Value>,
    ) -> Result<RecordId, ReplicaError> {
        let ids = self.import(collection, vec![ImportRecord { unit, fields, updates: None }])?;
        ids.first().copied().ok_or_else(|| ReplicaError::NoRecord(String::new()))
    }

    /// Edits a record; the number of changes written, 0 when nothing differed.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn set(&mut self, id: RecordId, edits: &[(String, Edit)]) -> Result<usize, ReplicaError> {
        let collection = self.collection_of(id)?;
        let now = self.label()?;
        let Self { store, engine, .. } = self;
        store.group(|s| {
            engine.reload_nonce(s)?;
            let saved = engine.edit(s, &collection, id, edits, now)?;
            row_of(s, engine, &collection, &saved, now)?;
            Ok(saved.changes)
        })
    }

    /// Marks a record as removed: hidden from lists, seen by `show`.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn remove(&mut self, id: RecordId) -> Result<usize, ReplicaError> {
        self.set(id, &[(REMOVED_KEY.to_owned(), Edit::Set(Value::Bool(true)))])
    }

    /// The collection of a record that is here.
    ///
    /// # Errors
    /// [`ReplicaError::NoRecord`] or [`ReplicaError::NoCollection`].
    pub fn collection_of(&self, id: RecordId) -> Result<Collection, ReplicaError> {
        let state = self.store.records(&[id])?.into_iter().next().flatten();
        let state = state.ok_or_else(|| ReplicaError::NoRecord(id.to_string()))?;
        let schema = self.schema().ok_or(ReplicaError::NoSchema)?;
        schema.collection(&state.collection).cloned().ok_or(ReplicaError::NoCollection(state.collection))
    }

    /// Seals everything pending, as far as the charter allows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn seal(&mut self) -> Result<u64, StoreError> {
        let now = self.label()?;
        let limits = sampan_core::engine::SealLimits {
            entries: self.config.seal_entries_max,
            ..sampan_core::engine::SealLimits::default()
        };
        let Self { store, engine, rng, .. } = self;
        let sealed = store.group(|s| engine.seal(s, rng, limits, now));
        if sealed.is_err() {
            // What was rolled back must not be a parent of what comes next.
            engine.reload(store)?;
        }
        sealed
    }
}
