//! Asking a replica: lists, one record, its history, conflicts, units by name.
//!
//! It does not: print, or open a document for a list (rows are projected).
//!
//! Invariants: what is asked is projected first, so that a list shows what was stored before it.

use super::{Replica, ReplicaError};
use crate::store::ProjectedRow;
use sampan_core::charter::Unit;
use sampan_core::fold::fold;
use sampan_core::id::{ChangeHash, DeviceId, Flow, RecordId, SpaceId, UnitId};
use sampan_core::record::View;
use sampan_core::schema::expr::Expr;
use sampan_core::schema::{Collection, Schema};
use sampan_core::store::{EntryAt, RecordEntry, RecordKey, Status, StoreError};
use sampan_core::suggest::nearest;
use sampan_core::time::Millis;
use sampan_core::value::Value;
use std::collections::BTreeMap;

/// One record as shown.
#[derive(Debug, Clone)]
pub struct RecordView {
    /// Its id.
    pub id: RecordId,
    /// Its collection.
    pub collection: Collection,
    /// Its space.
    pub space: SpaceId,
    /// Its fields and conflicts.
    pub view: View,
    /// When it was last edited, by its author's label.
    pub updated: Millis,
    /// Who edited it last.
    pub author: DeviceId,
    /// Names of the levels that hold it, nearest first, beside here.
    pub delivered: Vec<(UnitId, bool)>,
    /// Entries by status other than accepted.
    pub irregular: BTreeMap<Status, u64>,
}

/// A record to be shown, with its entries.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The record.
    pub record: RecordView,
    /// Its history, oldest first, when asked for.
    pub history: Vec<HistoryStep>,
}

/// One change of a record's history.
#[derive(Debug, Clone)]
pub struct HistoryStep {
    /// The change.
    pub change: ChangeHash,
    /// Its author, `None` for what every replica computes.
    pub author: Option<DeviceId>,
    /// The unit of its space.
    pub unit: UnitId,
    /// The author's label.
    pub at: Millis,
    /// When this store first saw it.
    pub first_seen_at: Millis,
    /// What it changed.
    pub fields: Vec<HistoryField>,
}

/// One field in a step.
#[derive(Debug, Clone)]
pub struct HistoryField {
    /// The field.
    pub field: String,
    /// What its author saw before.
    pub old: Option<Value>,
    /// What stood after.
    pub new: Option<Value>,
}

/// One conflict.
#[derive(Debug, Clone)]
pub struct ConflictRow {
    /// The record.
    pub record: RecordId,
    /// Its collection.
    pub collection: Collection,
    /// The field.
    pub field: String,
    /// The values with author and time.
    pub values: Vec<(Value, Option<DeviceId>, Millis)>,
    /// The value shown.
    pub winner: Value,
}

impl Replica {
    /// A collection by its name.
    ///
    /// # Errors
    /// [`ReplicaError::NoSchema`], [`ReplicaError::NoCollection`].
    pub fn collection(&self, name: &str) -> Result<Collection, ReplicaError> {
        let schema: &Schema = self.schema().ok_or(ReplicaError::NoSchema)?;
        schema.collection(name).cloned().ok_or_else(|| ReplicaError::NoCollection(name.to_owned()))
    }

    /// The rows of a collection, by title and id.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn list(
        &mut self,
        collection: &Collection,
        filter: Option<&Expr>,
        search: Option<&str>,
    ) -> Result<Vec<ProjectedRow>, ReplicaError> {
        self.project()?;
        Ok(self.store.query(collection, filter, search, false)?)
    }

    /// Hands each row of a collection that is not removed to `f`, in no order and without holding more than one.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn each_row(&mut self, collection: &Collection, f: &mut dyn FnMut(ProjectedRow)) -> Result<(), ReplicaError> {
        self.project()?;
        Ok(self.store.each_row(collection, None, None, false, &mut |_, row| f(row))?)
    }

    /// The records that [`Replica::list`] would give the rows of, by a key first; [`SqliteStore::rows_of`] reads them.
    ///
    /// # Errors
    /// [`ReplicaError`].
    ///
    /// [`SqliteStore::rows_of`]: crate::store::SqliteStore::rows_of
    pub fn in_order<K: Ord>(
        &mut self,
        collection: &Collection,
        filter: Option<&Expr>,
        search: Option<&str>,
        key: impl Fn(&ProjectedRow) -> K,
    ) -> Result<Vec<RecordKey>, ReplicaError> {
        self.project()?;
        Ok(self.store.in_order(collection, filter, search, key)?)
    }

    /// One record, with its history when asked.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn show(&mut self, id: RecordId, history: bool) -> Result<Shown, ReplicaError> {
        let collection = self.collection_of(id)?;
        let (state, entries, document) = self.engine.document(&self.store, id)?;
        let damaged = |e| ReplicaError::Edit(sampan_core::engine::EditFailure::Damaged(id, e));
        let view = document.view().map_err(damaged)?;
        let heads = entries.iter().filter(|e| state.heads.contains(&e.hash));
        let newest = heads.max_by_key(|e| (e.time, e.hash));
        let (updated, author) = newest.map(|e| (e.time, e.author)).unwrap_or_default();
        let mut irregular = BTreeMap::new();
        for e in entries.iter().filter(|e| e.status != Status::Accepted) {
            *irregular.entry(e.status).or_insert(0) += 1;
        }
        let delivered = self.delivered_record(&state.space, &entries)?;
        let space = state.space;
        let record = RecordView { id, collection, space, view, updated, author, delivered, irregular };
        let mut steps = Vec::new();
        if history {
            let by_hash: BTreeMap<ChangeHash, &RecordEntry> = entries.iter().map(|e| (e.hash, e)).collect();
            for step in document.history().map_err(damaged)? {
                let Some(e) = by_hash.get(&step.change) else { continue };
                let computed = step.birth || e.kind == sampan_core::log::EntryKind::Identity;
                let fields = step.fields.into_iter();
                steps.push(HistoryStep {
                    change: step.change,
                    author: (!computed).then_some(e.author),
                    unit: e.space.unit,
                    at: e.time,
                    first_seen_at: e.first_seen,
                    fields: fields.map(|f| HistoryField { field: f.field, old: f.old, new: f.new }).collect(),
                });
            }
        }
        Ok(Shown { record, history: steps })
    }

    /// Which ancestors hold every accepted entry of a record.
    fn delivered_record(&self, space: &SpaceId, entries: &[RecordEntry]) -> Result<Vec<(UnitId, bool)>, StoreError> {
        if space.flow != Flow::Up {
            // Ticks speak of what travels up; the rest came from above, or stays here.
            return Ok(Vec::new());
        }
        let ticks = self.engine.delivered(&self.store, &space.unit)?;
        let ticks = ticks.into_iter().filter(|t| t.level >= space.reach);
        let covered = |through| {
            entries.iter().filter(|e| e.status == Status::Accepted).all(|e| match e.at {
                EntryAt::Sealed(key, _) => key <= through,
                EntryAt::Pending(_) => false,
            })
        };
        Ok(ticks.map(|t| (t.unit, covered(t.through))).collect())
    }

    /// Every conflict of every record that has one.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn conflicts(&mut self) -> Result<Vec<ConflictRow>, ReplicaError> {
        self.project()?;
        let schema = self.schema().ok_or(ReplicaError::NoSchema)?.clone();
        let mut out = Vec::new();
        for collection in schema.collections.values() {
            for id in self.store.in_conflict(collection)? {
                let (_, entries, document) = self.engine.document(&self.store, id)?;
                let by_hash: BTreeMap<ChangeHash, &RecordEntry> = entries.iter().map(|e| (e.hash, e)).collect();
                let view = document.view().map_err(|e| sampan_core::engine::EditFailure::Damaged(id, e))?;
                for c in view.conflicts {
                    let values = c.values.into_iter().map(|v| {
                        let e = by_hash.get(&v.change);
                        (v.value, e.map(|e| e.author), e.map(|e| e.time).unwrap_or_default())
                    });
                    out.push(ConflictRow {
                        record: id,
                        collection: collection.clone(),
                        field: c.field,
                        values: values.collect(),
                        winner: c.winner,
                    });
                }
            }
        }
        Ok(out)
    }

    /// A unit by id, code, path or unambiguous name.
    ///
    /// # Errors
    /// [`ReplicaError::UnknownUnit`] with the nearest names, [`ReplicaError::AmbiguousUnit`].
    pub fn find_unit(&self, text: &str) -> Result<UnitId, ReplicaError> {
        let charter = self.engine.charter();
        if let Ok(id) = text.parse::<UnitId>() {
            if charter.unit(&id).is_some() || self.units().contains(&id) {
                return Ok(id);
            }
            return Err(ReplicaError::UnknownUnit { name: text.to_owned(), nearest: Vec::new() });
        }
        let folded = fold(text);
        let by = |test: &dyn Fn(&Unit) -> bool| charter.units().filter(|u| test(u)).map(|u| u.id).collect::<Vec<_>>();
        let mut found = by(&|u| u.code.as_deref() == Some(text));
        if found.is_empty() && text.contains('/') {
            found = by(&|u| fold(&charter.path(&u.id)) == folded);
        }
        if found.is_empty() {
            found = by(&|u| fold(&u.name) == folded);
        }
        match found.as_slice() {
            [one] => Ok(*one),
            [] => {
                let names = charter.units().map(|u| u.name.as_str());
                let codes = charter.units().filter_map(|u| u.code.as_deref());
                let nearest = nearest(text, names.chain(codes)).into_iter().map(str::to_owned).collect();
                Err(ReplicaError::UnknownUnit { name: text.to_owned(), nearest })
            }
            several => {
                let mut paths: Vec<String> = several.iter().map(|u| charter.path(u)).collect();
                paths.sort();
                Err(ReplicaError::AmbiguousUnit { name: text.to_owned(), paths })
            }
        }
    }

    /// The unit that a command works for: the one named, or the only one.
    ///
    /// # Errors
    /// [`ReplicaError::WhichUnit`], and as [`Replica::find_unit`].
    pub fn unit_or_only(&self, named: Option<&str>) -> Result<UnitId, ReplicaError> {
        match (named, self.units().as_slice()) {
            (Some(text), _) => self.find_unit(text),
            (None, [one]) => Ok(*one),
            (None, several) => {
                let charter = self.engine.charter();
                let names = several.iter().map(|u| charter.unit(u).map_or_else(|| u.to_string(), |u| u.name.clone()));
                Err(ReplicaError::WhichUnit(names.collect::<Vec<_>>().join(", ")))
            }
        }
    }
}
