//! The history of a record: which change touched which field, and what its author saw and wrote.
//!
//! It does not: name authors or units (the caller maps an actor to its commit) or judge.
//!
//! Invariants: steps are in an order that depends on the set of changes alone, ancestors first; `old`
//! is what stood where the author worked and `new` what stood right after, so that a concurrent edit
//! never shows up as this author's.

use super::document::Document;
use super::engine::guarded;
use super::error::Damaged;
use super::ids::birth_actor;
use super::read;
use crate::id::{ActorId, ChangeHash, RecordId};
use crate::value::{Kind, Value};
use automerge::legacy::{Key, ObjectId, OpType};
use automerge::{Change, ObjType, ScalarValue};
use std::collections::{BTreeMap, BTreeSet};

/// One change of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The change.
    pub change: ChangeHash,
    /// Who wrote it (a computed actor for births and identity creations).
    pub actor: ActorId,
    /// The author's time in milliseconds; 0 where it is computed.
    pub time: i64,
    /// What it builds on.
    pub deps: Vec<ChangeHash>,
    /// The fields it touched, in byte order; [`REMOVED_KEY`](super::REMOVED_KEY) is among them.
    pub fields: Vec<FieldStep>,
    /// Whether it is a computed birth change, which has no author and changes nothing one can see.
    pub birth: bool,
}

/// What one change did to one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldStep {
    /// The field.
    pub field: String,
    /// What its author saw; `None` for an absent field or an empty text, list or set.
    pub old: Option<Value>,
    /// What stood afterwards, in the same words.
    pub new: Option<Value>,
}

impl Document {
    /// Every change, ancestors first.
    ///
    /// # Errors
    /// [`Damaged`], if Automerge cannot read its own document.
    pub fn history(&self) -> Result<Vec<Step>, Damaged> {
        guarded(|| self.history_inner())
    }

    fn history_inner(&self) -> Result<Vec<Step>, Damaged> {
        let touched = self.touched()?;
        let mut steps = Vec::with_capacity(self.metas.len());
        for hash in self.order() {
            let Some(meta) = self.metas.get(&hash) else {
                continue;
            };
            let (before, after) = (Self::point(&meta.deps), Self::point([&hash]));
            let mut fields = Vec::new();
            let names = touched.get(&hash).into_iter().flatten();
            for field in names.filter(|f| meta.birth.is_none() && f.as_str() != super::NONCE_KEY) {
                fields.push(FieldStep {
                    field: field.clone(),
                    old: read::winner(&self.doc, field, Some(&before))?.filter(|v| !is_blank(v)),
                    new: read::winner(&self.doc, field, Some(&after))?.filter(|v| !is_blank(v)),
                });
            }
            steps.push(Step {
                change: hash,
                actor: meta.actor,
                time: meta.time,
                deps: meta.deps.clone(),
                fields,
                birth: meta.birth.is_some(),
            });
        }
        Ok(steps)
    }

    /// The root keys that each change touches, be it through an object that lies under them.
    pub(super) fn touched(&self) -> Result<BTreeMap<ChangeHash, BTreeSet<String>>, Damaged> {
        let mut under: BTreeMap<(u64, Vec<u8>), String> = BTreeMap::new();
        let mut out = BTreeMap::new();
        for hash in self.order() {
            let change = self.change(&hash)?;
            let (start, actor) = (change.start_op().get(), change.actor_id().to_bytes().to_vec());
            let mut keys = BTreeSet::new();
            for (i, op) in change.decode().operations.into_iter().enumerate() {
                let key = match (&op.obj, &op.key) {
                    (ObjectId::Root, Key::Map(key)) => Some(key.to_string()),
                    (ObjectId::Root, Key::Seq(_)) => None,
                    (ObjectId::Id(id), _) => under.get(&(id.counter(), id.actor().to_bytes().to_vec())).cloned(),
                };
                let Some(key) = key else { continue };
                if matches!(op.action, OpType::Make(_)) {
                    under.insert((start + i as u64, actor.clone()), key.clone());
                }
                keys.insert(key);
            }
            out.insert(hash, keys);
        }
        Ok(out)
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Text(s) => s.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Set(set) => set.is_empty(),
        Value::Str(_) | Value::Int(_) | Value::Bool(_) | Value::Counter(_) | Value::Other(_) => false,
    }
}

/// The field and kind that a change gives birth to, if it is a computed birth change of `record`.
pub(super) fn birth_of(record: &RecordId, change: &Change) -> Option<(String, Kind)> {
    if change.len() != 1 || change.seq() != 1 || change.timestamp() != 0 || change.deps().len() != 1 {
        return None;
    }
    let op = change.decode().operations.pop()?;
    let (ObjectId::Root, Key::Map(field)) = (&op.obj, &op.key) else {
        return None;
    };
    let kind = match op.action {
        OpType::Make(ObjType::Text) => Kind::Text,
        OpType::Make(ObjType::List) => Kind::List,
        OpType::Make(ObjType::Map) => Kind::Set,
        OpType::Put(ScalarValue::Counter(_)) => Kind::Counter,
        OpType::Make(ObjType::Table)
        | OpType::Put(_)
        | OpType::Delete
        | OpType::Increment(_)
        | OpType::MarkBegin(_)
        | OpType::MarkEnd(_) => return None,
    };
    let creation = ChangeHash(change.deps()[0].0);
    let max_op = change.start_op().get() - 1;
    let same_actor = change.actor_id().to_bytes() == birth_actor(record, field, kind).0;
    let computed = same_actor && super::verify_birth(record, &creation, max_op, field, kind, change.raw_bytes());
    computed.then(|| (field.to_string(), kind))
}
