//! Editing records: from typed edits to durable, unsealed changes.
//!
//! It does not: parse what a person typed (`schema`), check rights beyond refusing a space that this
//! device may not write, or project rows (node does).
//!
//! Invariants: an edit is durable when this returns; a birth goes before the change that needs it;
//! validation of required fields happens here, at the keyboard, and nowhere else.

use super::Engine;
use super::judge::{Checked, NewRecordEntry, judge};
use crate::charter::Grant;
use crate::entropy::{Entropy, random};
use crate::id::{ChangeHash, Flow, RecordId, UnitId};
use crate::log::{BirthOf, Entry, EntryKind, EntryPayload};
use crate::record::ids::{identity_id, record_id};
use crate::record::{self, Damaged, Document, EditContext, EditError, NewChange};
use crate::schema::Collection;
use crate::store::{Batch, PendingEntry, PendingKey, RecordEntry, RecordState, Status, Store, StoreError};
use crate::time::Millis;
use crate::value::{Edit, Kind, Value};
use std::collections::BTreeMap;

/// Why an edit was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditFailure {
    /// No such record here.
    #[error("there is no record {0} here")]
    NoRecord(RecordId),
    /// It is erased, for ever.
    #[error("record {0} was erased on request and cannot be edited or made again")]
    Erased(RecordId),
    /// Its creation has not arrived, or it cannot be opened.
    #[error("record {0} cannot be edited yet: the change that created it has not arrived")]
    NotHere(RecordId),
    /// No right.
    #[error("this device has no right to write {collection} of unit {unit}")]
    NoRight {
        /// The collection.
        collection: String,
        /// The unit.
        unit: UnitId,
    },
    /// The right has ended, as far as this device's clock says.
    #[error("the right of this device to write {collection} of unit {unit} has ended")]
    Ended {
        /// The collection.
        collection: String,
        /// The unit.
        unit: UnitId,
        /// When.
        at: Millis,
    },
    /// Its rights were ended for good, as a relay showed by the cut that says so.
    #[error("the rights of this device were ended: {0}")]
    Cut(String),
    /// The record would never travel: this device's level is above the collection's reach.
    #[error(
        "records of {collection} do not travel up to this device's level, so one written here would never reach unit {unit}: write it there, or at a level that holds them"
    )]
    OutOfReach {
        /// The collection.
        collection: String,
        /// The unit.
        unit: UnitId,
    },
    /// A field of the record's identity.
    #[error("field '{0}' is part of the record's identity and never changes")]
    KeyField(String),
    /// Required fields are empty.
    #[error("required: {}", .0.join(", "))]
    Required(Vec<String>),
    /// The record's collection is not in the schema.
    #[error("collection '{0}' is not in the schema here; a newer schema is needed")]
    NoCollection(String),
    /// The edit itself.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The document.
    #[error("record {0} cannot be opened: {1}")]
    Damaged(RecordId, Damaged),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A record about to be made.
#[derive(Debug, Clone)]
pub struct NewRecord<'a> {
    /// The collection.
    pub collection: &'a Collection,
    /// The unit.
    pub unit: UnitId,
    /// Its fields.
    pub fields: BTreeMap<String, Value>,
}

/// What was saved.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The record.
    pub id: RecordId,
    /// Its document after the edit, `None` when it was just created.
    pub document: Option<Document>,
    /// Its fields, when it was just created: what a document would show.
    pub created: Option<BTreeMap<String, Value>>,
    /// Number of changes written, births included; 0 when nothing differed.
    pub changes: usize,
}

impl Engine {
    /// The entries of a record that stand, as a document.
    ///
    /// # Errors
    /// [`EditFailure`].
    pub fn document(
        &self,
        store: &dyn Store,
        id: RecordId,
    ) -> Result<(RecordState, Vec<RecordEntry>, Document), EditFailure> {
        let state = store.records(&[id])?.into_iter().next().flatten();
        let Some(state) = state.filter(|s| !self.charter.is_erased(&s.space.unit, &id)) else {
            let erased = self.charter.erasure_of(&id).is_some();
            return Err(if erased { EditFailure::Erased(id) } else { EditFailure::NoRecord(id) });
        };
        let key = state.key.ok_or(EditFailure::NoRecord(id))?;
        if state.heads.is_empty() {
            return Err(EditFailure::NotHere(id));
        }
        let entries = store.entries(key)?;
        let standing = entries.iter().filter(|e| e.status == Status::Accepted).map(|e| e.bytes.as_slice());
        let document = Document::load(id, standing).map_err(|e| EditFailure::Damaged(id, e))?;
        Ok((state, entries, document))
    }

    /// Creates records in one batch; an identity that exists is updated instead.
    ///
    /// # Errors
    /// [`EditFailure`] of the first record refused; nothing was stored.
    pub fn create(
        &self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        records: Vec<NewRecord<'_>>,
        now: Millis,
    ) -> Result<Vec<Saved>, EditFailure> {
        let mut batch = Batch::at(now);
        let mut out = Vec::with_capacity(records.len());
        for new in records {
            self.check_right(store, new.collection, new.unit, now)?;
            let missing: Vec<String> = new
                .collection
                .fields
                .iter()
                .filter(|f| f.required && new.fields.get(&f.id).is_none_or(is_empty))
                .map(|f| f.id.clone())
                .collect();
            if !missing.is_empty() {
                return Err(EditFailure::Required(missing));
            }
            if new.collection.identity.is_empty() {
                out.push(self.create_one(&mut batch, rng, new, now)?);
            } else {
                // Two rows of one identity in one batch build on each other: write what is there first.
                if !batch.is_empty() {
                    store.write(&std::mem::replace(&mut batch, Batch::at(now)))?;
                }
                out.push(self.create_identity(store, new, now)?);
            }
        }
        if !batch.is_empty() {
            store.write(&batch)?;
        }
        Ok(out)
    }

    pub(super) fn check_right(
        &self,
        store: &dyn Store,
        collection: &Collection,
        unit: UnitId,
        now: Millis,
    ) -> Result<(), EditFailure> {
        let told = self.ended(store)?.filter(|e| e.for_good).map(|e| e.reason);
        if let Some(reason) = told.or_else(|| self.charter().revoked(&self.device).map(str::to_owned)) {
            return Err(EditFailure::Cut(reason));
        }
        let space = collection.space(unit);
        let until = if self.is_blank() {
            // Before the charter has come the ticket is all there is; the relay will judge.
            let grants = self.ticket_grants(store, &unit)?;
            let may = |g: &Grant| g.collections.as_ref().is_none_or(|named| named.contains(&collection.id));
            if !grants.is_empty() && !grants.iter().any(may) {
                return Err(EditFailure::NoRight { collection: collection.id.clone(), unit });
            }
            grants.iter().filter(|g| may(g)).map(|g| g.until).max_by_key(|u| u.map_or(u64::MAX, |m| m.0)).flatten()
        } else {
            let until = self.charter().may_write_until(&self.device, &space.unit, &collection.id);
            let until = until.filter(|_| self.charter().counts(&self.device, &space));
            until.ok_or_else(|| EditFailure::NoRight { collection: collection.id.clone(), unit })?
        };
        // What is written after the end would be written for nothing: the relay lets nobody in with it.
        if let Some(at) = until.filter(|until| *until < now && !now.is_unset()) {
            return Err(EditFailure::Ended { collection: collection.id.clone(), unit, at });
        }
        if self.is_blank() {
            return Ok(());
        }
        // What a level does not hold no link of it shares: an edit there would stay for ever, unsent.
        let holds = |at: &UnitId| *at == unit || self.charter().level(at, self.levels()) >= space.reach;
        if space.flow == Flow::Up && !self.charter().rights(&self.device).any(|r| holds(&r.unit)) {
            return Err(EditFailure::OutOfReach { collection: collection.id.clone(), unit });
        }
        Ok(())
    }

    fn create_one(
        &self,
        batch: &mut Batch,
        rng: &mut dyn Entropy,
        new: NewRecord<'_>,
        now: Millis,
    ) -> Result<Saved, EditFailure> {
        let space = new.collection.space(new.unit);
        let kinded: BTreeMap<String, (Kind, Value)> = new
            .fields
            .iter()
            .map(|(name, v)| {
                (name.clone(), (new.collection.field(name).map_or_else(|| kind_of(v), |f| f.kind), v.clone()))
            })
            .collect();
        let change = record::create(&self.actor(), now, random(rng), &kinded)?;
        let id = record_id(&space, &change.hash);
        let parsed_max = crate::change::Parsed::read(&change.bytes).map_or(0, |p| p.max_op());
        batch.records.push(RecordState {
            id,
            key: None,
            collection: new.collection.id.clone(),
            space,
            heads: vec![change.hash],
            max_op: parsed_max,
            sequences: [(self.actor(), 1)].into(),
            entries: 1,
            irregular: 0,
            damaged: false,
        });
        let pending = self.pending_entry(id, new.collection, new.unit, EntryKind::Change, change, now);
        batch.pending.push((pending, Status::Accepted));
        Ok(Saved { id, document: None, created: Some(new.fields), changes: 1 })
    }

    fn create_identity(&self, store: &mut dyn Store, new: NewRecord<'_>, now: Millis) -> Result<Saved, EditFailure> {
        let mut keys = BTreeMap::new();
        for name in &new.collection.identity {
            let value = match new.fields.get(name) {
                Some(v) => v.clone(),
                None if name == "_unit" => Value::Str(new.unit.to_string()),
                None => return Err(EditFailure::Required(vec![name.clone()])),
            };
            keys.insert(name.clone(), value);
        }
        let text: Vec<(String, String)> = keys.iter().map(|(k, v)| (k.clone(), key_text(v))).collect();
        let keys: BTreeMap<String, Value> = text.iter().map(|(k, v)| (k.clone(), Value::Str(v.clone()))).collect();
        let id = identity_id(&self.org, &new.unit, &new.collection.id, &text);
        if self.charter.is_erased(&new.unit, &id) {
            return Err(EditFailure::Erased(id));
        }
        let exists = store.records(&[id])?.into_iter().next().flatten().is_some_and(|r| !r.heads.is_empty());
        let mut changes = 0;
        if !exists {
            let change = record::identity_creation(&id, &keys)?;
            let entry = self.pending_entry(id, new.collection, new.unit, EntryKind::Identity, change, now);
            self.write_pending(store, id, vec![entry], now)?;
            changes += 1;
        }
        let rest = new.fields.into_iter().filter(|(k, _)| !keys.contains_key(k));
        let edits: Vec<(String, Edit)> = rest.map(|(k, v)| (k, Edit::Set(v))).collect();
        let mut saved = self.edit(store, new.collection, id, &edits, now)?;
        saved.changes += changes;
        Ok(saved)
    }

    /// Edits one record: at most one ordinary change, with the births it needs before it.
    ///
    /// # Errors
    /// [`EditFailure`]; nothing was stored.
    pub fn edit(
        &self,
        store: &mut dyn Store,
        collection: &Collection,
        id: RecordId,
        edits: &[(String, Edit)],
        now: Millis,
    ) -> Result<Saved, EditFailure> {
        let (state, entries, mut document) = self.document(store, id)?;
        self.check_right(store, collection, state.space.unit, now)?;
        if let Some((name, _)) = edits.iter().find(|(name, _)| collection.identity.contains(name)) {
            return Err(EditFailure::KeyField(name.clone()));
        }
        let creation = entries
            .iter()
            .find(|e| e.status == Status::Accepted && is_creation(e))
            .map(|e| e.hash)
            .ok_or(EditFailure::NotHere(id))?;
        let kinds = |name: &str| {
            if name == record::REMOVED_KEY { Some(Kind::Bool) } else { collection.field(name).map(|f| f.kind) }
        };
        let context = EditContext { creation, actor: self.actor(), time: now };
        let changes = document.edit(&context, &kinds, edits)?;
        let count = changes.len();
        let unit = state.space.unit;
        let entries = changes.into_iter().map(|c| {
            let kind = if c.birth.is_some() { EntryKind::Birth } else { EntryKind::Change };
            self.pending_entry(id, collection, unit, kind, c, now)
        });
        let entries: Vec<PendingEntry> = entries.collect();
        if !entries.is_empty() {
            self.write_pending(store, id, entries, now)?;
        }
        Ok(Saved { id, document: Some(document), created: None, changes: count })
    }

    fn pending_entry(
        &self,
        record: RecordId,
        collection: &Collection,
        unit: UnitId,
        kind: EntryKind,
        change: NewChange,
        now: Millis,
    ) -> PendingEntry {
        let birth = change.birth.map(|(field, kind)| BirthOf { field, kind });
        let entry =
            Entry { kind, record, collection: collection.id.clone(), payload_hash: change.hash.0, time: now, birth };
        PendingEntry {
            key: PendingKey(0),
            space: collection.space(unit),
            nonce: self.nonce(),
            entry: EntryPayload { entry, payload: change.bytes },
        }
    }

    fn write_pending(
        &self,
        store: &mut dyn Store,
        id: RecordId,
        entries: Vec<PendingEntry>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let state = store.records(&[id])?.into_iter().next().flatten();
        let stored = match state.as_ref().and_then(|s| s.key) {
            Some(key) => store.entries(key)?,
            None => Vec::new(),
        };
        let new: Vec<NewRecordEntry<'_>> = entries
            .iter()
            .map(|p| NewRecordEntry {
                space: p.space,
                collection: &p.entry.entry.collection,
                kind: p.entry.entry.kind,
                hash: ChangeHash(p.entry.entry.payload_hash),
                actor: self.actor(),
                birth: p.entry.entry.birth.as_ref(),
                bytes: &p.entry.payload,
                checked: Checked::Nothing,
            })
            .collect();
        let judged = judge(&self.org, id, state.as_ref(), &stored, &new);
        let mut batch = Batch::at(now);
        batch.records.push(judged.state);
        batch.restatus = judged.restatus;
        batch.pending = entries.into_iter().zip(judged.statuses).collect();
        store.write(&batch)
    }
}

pub(super) fn is_creation(e: &RecordEntry) -> bool {
    matches!(e.kind, EntryKind::Change | EntryKind::Identity)
        && crate::change::Parsed::read(&e.bytes).is_ok_and(|p| p.deps.is_empty())
}

fn is_empty(v: &Value) -> bool {
    match v {
        Value::Str(s) | Value::Text(s) | Value::Other(s) => s.is_empty(),
        Value::List(l) => l.is_empty(),
        Value::Set(s) => s.is_empty(),
        Value::Int(_) | Value::Bool(_) | Value::Counter(_) => false,
    }
}

fn kind_of(v: &Value) -> Kind {
    match v {
        Value::Str(_) | Value::Other(_) => Kind::String,
        Value::Text(_) => Kind::Text,
        Value::Int(_) => Kind::Int,
        Value::Bool(_) => Kind::Bool,
        Value::List(_) => Kind::List,
        Value::Set(_) => Kind::Set,
        Value::Counter(_) => Kind::Counter,
    }
}

fn key_text(v: &Value) -> String {
    match v {
        Value::Str(s) | Value::Text(s) | Value::Other(s) => s.clone(),
        Value::Int(n) | Value::Counter(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::List(l) => l.join(";"),
        Value::Set(s) => s.iter().cloned().collect::<Vec<_>>().join(";"),
    }
}
