//! What can go wrong with a record.
//!
//! It does not: say what to do about a refused right or a bad value's spelling (the schema does).
//!
//! Invariants: [`Damaged`] is about changes that are stored or came from elsewhere, [`EditError`]
//! about an edit that was asked for here; both leave the document as it was.

use crate::id::ChangeHash;
use crate::value::Kind;

/// A set of changes that does not make a document that can be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// Bytes that are not one uncompressed change.
    #[error("a stored change is not one uncompressed change: {reason}; run verify")]
    Unreadable {
        /// What Automerge said.
        reason: String,
    },
    /// A change under an actor that is not 16 bytes wide.
    #[error("the change {change} has an actor of {found} bytes, not 16; run verify")]
    Actor {
        /// The change.
        change: ChangeHash,
        /// The actor's width.
        found: usize,
    },
    /// An ancestor is not among the changes.
    #[error("the change {missing}, which others of the record build on, is absent; run verify")]
    MissingAncestor {
        /// The absent change.
        missing: ChangeHash,
    },
    /// The record is kept and forwarded, but not opened.
    #[error(
        "the record has {found} operations, more than the {max} that one record may have; it is kept, but not opened"
    )]
    TooManyOperations {
        /// Its operations.
        found: u64,
        /// [`RECORD_OPS_MAX`](crate::limits::RECORD_OPS_MAX).
        max: u64,
    },
    /// Automerge refused the changes.
    #[error("the record's changes do not fit together: {reason}; run verify")]
    Refused {
        /// What Automerge said.
        reason: String,
    },
    /// Automerge panicked; mark the record before anyone tries again.
    #[error("the record could not be opened without a crash ({reason}); it is set aside as damaged")]
    Panicked {
        /// The panic's message.
        reason: String,
    },
}

/// An edit that was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No such field.
    #[error("there is no field '{field}' in this collection; see its fields in the schema")]
    UnknownField {
        /// The name given.
        field: String,
    },
    /// A name that only the engine writes.
    #[error("the name '{field}' starts with '_' and is the engine's own; choose a field of the collection")]
    ReservedField {
        /// The name given.
        field: String,
    },
    /// A value of another kind than the field's.
    #[error("the value for '{field}' does not fit its kind, {kind:?}")]
    WrongValue {
        /// The field.
        field: String,
        /// Its kind.
        kind: Kind,
    },
    /// Adding to or taking from a field that holds one value.
    #[error("'{field}' holds one value: set or clear it; only counters, lists and sets can be added to")]
    NotAddable {
        /// The field.
        field: String,
    },
    /// A counter would leave its range, [`COUNTER_ABS_MAX`](crate::limits::COUNTER_ABS_MAX) to either side.
    #[error("the counter '{field}' would leave its range (COUNTER_ABS_MAX = {max} to either side of 0); add less", max = crate::limits::COUNTER_ABS_MAX)]
    CounterRange {
        /// The field.
        field: String,
    },
    /// A limit of the formats.
    #[error("{what} is {found}, more than the limit {limit} = {max}; split the edit or shorten the value")]
    Limit {
        /// Name of the limit in `limits`.
        limit: &'static str,
        /// What was measured, such as "the value of 'notes' in bytes".
        what: String,
        /// The limit.
        max: u64,
        /// What was found.
        found: u64,
    },
    /// The record's creation change is not in the document.
    #[error("the record's creation change {creation} is absent; fetch the record again before editing it")]
    NoCreation {
        /// The creation change named.
        creation: ChangeHash,
    },
    /// An identity record without key fields, or with one that is not a plain value.
    #[error("the key field '{field}' of an identity record must be a string, an integer or a yes/no value")]
    KeyField {
        /// The key field; empty if there was none at all.
        field: String,
    },
    /// The document itself is damaged.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// Refuses `found` above `max`, by the limit's name.
pub(super) fn within(
    limit: &'static str,
    max: u64,
    found: u64,
    what: impl FnOnce() -> String,
) -> Result<(), EditError> {
    if found > max { Err(EditError::Limit { limit, what: what(), max, found }) } else { Ok(()) }
}
