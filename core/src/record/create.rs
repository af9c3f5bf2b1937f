//! Creation of an ordinary record.
//!
//! It does not: validate against a schema or compute the record's id (`ids::record_id` does, from
//! the hash that comes out).
//!
//! Invariants: sequence 1, operations from 1, no dependencies; [`NONCE_KEY`] comes first, then the
//! fields in byte order; equal arguments give equal bytes.

use super::engine::{at_time, blank, guarded, refused};
use super::error::{EditError, within};
use super::{NONCE_KEY, NewChange, born, write};
use crate::id::ActorId;
use crate::limits;
use crate::time::Millis;
use crate::value::{Kind, Value};
use automerge::transaction::Transactable;
use automerge::{ROOT, ScalarValue};
use std::collections::BTreeMap;

/// The creation change of an ordinary record.
///
/// `n` are six fresh random bytes. A text, list, set or counter that is given here, even empty, is
/// born with the record and never needs a birth change.
///
/// # Errors
/// A value that does not fit its kind, a reserved name, or a limit.
pub fn create(
    actor: &ActorId,
    time: Millis,
    n: [u8; 6],
    fields: &BTreeMap<String, (Kind, Value)>,
) -> Result<NewChange, EditError> {
    within("FIELDS_MAX", limits::FIELDS_MAX as u64, fields.len() as u64, || "the number of fields".into())?;
    guarded(|| {
        let mut doc = blank(actor);
        let mut tx = doc.transaction();
        tx.put(ROOT, NONCE_KEY, ScalarValue::Bytes(n.to_vec())).map_err(refused)?;
        for (field, (kind, value)) in fields {
            if field.starts_with('_') {
                return Err(EditError::ReservedField { field: field.clone() });
            }
            write::fresh(&mut tx, field, *kind, value)?;
        }
        tx.commit_with(at_time(time.0 as i64));
        born::finish(&doc, fields.keys().cloned().collect())
    })
}
