//! The changes that every replica computes to the same bytes: births of fields and creations of
//! identity records.
//!
//! It does not: decide when a field needs its birth (`edit` does) or carry them (they travel as
//! ordinary entries of the commit that first uses them).
//!
//! Invariants: time 0, sequence 1, no message, an actor computed from what is born; the bytes are
//! fixed by golden vectors and never move. Any difference in them, even of time, would make two
//! replicas' first uses two different objects, of which Automerge shows one and hides the other.

use super::NewChange;
use super::engine::{am_actor, at_time, blank, guarded, ours, refused, within_limits};
use super::error::{Damaged, EditError, within};
use super::ids::{birth_actor, identity_actor};
use super::write;
use crate::id::{ChangeHash, RecordId};
use crate::limits;
use crate::value::{Kind, Value};
use automerge::legacy::{Key, ObjectId, Op, OpType, SortedVec};
use automerge::transaction::Transactable;
use automerge::{Change, ExpandedChange, ObjType, ROOT, ScalarValue};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// The birth change of a text, list, set or counter that the creation change did not make.
///
/// It depends on the creation alone and makes the empty object (or the counter 0) at the root key.
/// `creation_max_op` is the greatest operation of the creation change. `None` for the other kinds,
/// which have no birth.
#[must_use]
pub fn birth(
    record: &RecordId,
    creation: &ChangeHash,
    creation_max_op: u64,
    field: &str,
    kind: Kind,
) -> Option<NewChange> {
    let action = match kind {
        Kind::Text => OpType::Make(ObjType::Text),
        Kind::List => OpType::Make(ObjType::List),
        Kind::Set => OpType::Make(ObjType::Map),
        Kind::Counter => OpType::Put(ScalarValue::counter(0)),
        Kind::String | Kind::Int | Kind::Decimal | Kind::Bool | Kind::Date | Kind::Choice | Kind::Ref | Kind::File => {
            return None;
        }
    };
    let op = Op { action, obj: ObjectId::Root, key: Key::Map(field.into()), pred: SortedVec::new(), insert: false };
    let change = Change::from(ExpandedChange {
        operations: vec![op],
        actor_id: am_actor(&birth_actor(record, field, kind)),
        hash: None,
        seq: 1,
        start_op: NonZeroU64::new(creation_max_op.checked_add(1)?)?,
        time: 0,
        message: None,
        deps: vec![automerge::ChangeHash(creation.0)],
        extra_bytes: Vec::new(),
        author: None,
    });
    Some(NewChange {
        bytes: change.raw_bytes().to_vec(),
        hash: ours(&change.hash()),
        birth: Some((field.to_owned(), kind)),
        fields: Vec::new(),
    })
}

/// Whether `bytes` are exactly the birth change of this field.
#[must_use]
pub fn verify_birth(
    record: &RecordId,
    creation: &ChangeHash,
    creation_max_op: u64,
    field: &str,
    kind: Kind,
    bytes: &[u8],
) -> bool {
    birth(record, creation, creation_max_op, field, kind).is_some_and(|b| b.bytes == bytes)
}

/// The creation change of an identity record: its key fields in byte order, nothing else.
///
/// # Errors
/// [`EditError::KeyField`] if there is no key field or one is no string, integer or boolean; a
/// string beyond its limit.
pub fn identity_creation(id: &RecordId, key_fields: &BTreeMap<String, Value>) -> Result<NewChange, EditError> {
    if key_fields.is_empty() {
        return Err(EditError::KeyField { field: String::new() });
    }
    within("FIELDS_MAX", limits::FIELDS_MAX as u64, key_fields.len() as u64, || "the number of key fields".into())?;
    guarded(|| {
        let mut doc = blank(&identity_actor(id));
        let mut tx = doc.transaction();
        for (field, value) in key_fields {
            let scalar = match value {
                Value::Str(s) => ScalarValue::Str(write::bounded(field, s)?.into()),
                Value::Int(n) => ScalarValue::Int(*n),
                Value::Bool(b) => ScalarValue::Boolean(*b),
                Value::Text(_) | Value::List(_) | Value::Set(_) | Value::Counter(_) | Value::Other(_) => {
                    return Err(EditError::KeyField { field: field.clone() });
                }
            };
            tx.put(ROOT, field.as_str(), scalar).map_err(refused)?;
        }
        tx.commit_with(at_time(0));
        finish(&doc, key_fields.keys().cloned().collect())
    })
}

/// Whether `bytes` are exactly the creation change of this identity record.
#[must_use]
pub fn verify_identity(id: &RecordId, key_fields: &BTreeMap<String, Value>, bytes: &[u8]) -> bool {
    identity_creation(id, key_fields).is_ok_and(|c| c.bytes == bytes)
}

/// The only change of a document that was just made.
pub(super) fn finish(doc: &automerge::Automerge, fields: Vec<String>) -> Result<NewChange, EditError> {
    let change = doc.get_last_local_change().ok_or_else(|| Damaged::Refused { reason: "no change came out".into() })?;
    within_limits(&change)?;
    Ok(NewChange { bytes: change.raw_bytes().to_vec(), hash: ours(&change.hash()), birth: None, fields })
}
