//! The parts of a change: operations, what they point at, and the values they carry.
//!
//! It does not: read or write bytes (see `read`, `write`) or judge (see `rules`, `refs`).
//!
//! Invariants: actors are indexes into [`Body::actors`], where 0 is the author; strings and byte
//! strings are borrowed from the input.

use crate::id::{ActorId, ChangeHash};

/// An operation's id inside one change: its counter and the index of its actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId {
    /// Lamport counter, from 1.
    pub counter: u64,
    /// Index into the change's actors; 0 is the author.
    pub actor: u32,
}

/// The object that an operation works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obj {
    /// The record's root map.
    Root,
    /// What this operation made.
    Op(OpId),
}

/// The place inside the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// A key of a map.
    Map(&'a str),
    /// The beginning of a list or text (insertions only).
    Head,
    /// An element of a list or text, by the operation that inserted it.
    Elem(OpId),
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Makes a map.
    MakeMap,
    /// Puts the value.
    Set,
    /// Makes a list.
    MakeList,
    /// Deletes its predecessors.
    Delete,
    /// Makes a text.
    MakeText,
    /// Adds the value to a counter.
    Increment,
    /// Makes a table (outside format 1).
    MakeTable,
    /// Begins a mark (outside format 1).
    MarkBegin {
        /// The mark's name.
        name: &'a str,
        /// Whether text inserted at its edge joins it.
        expand: bool,
    },
    /// Ends a mark (outside format 1).
    MarkEnd {
        /// Whether text inserted at its edge joins it.
        expand: bool,
    },
}

impl Action<'_> {
    /// The number on the wire.
    #[must_use]
    pub fn code(&self) -> u64 {
        match self {
            Action::MakeMap => 0,
            Action::Set => 1,
            Action::MakeList => 2,
            Action::Delete => 3,
            Action::MakeText => 4,
            Action::Increment => 5,
            Action::MakeTable => 6,
            Action::MarkBegin { .. } | Action::MarkEnd { .. } => 7,
        }
    }
}

/// A value that an operation carries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An unsigned integer.
    Uint(u64),
    /// A signed integer.
    Int(i64),
    /// A double.
    F64(f64),
    /// A string.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A counter's start.
    Counter(i64),
    /// Milliseconds since 1970.
    Timestamp(i64),
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Op<'a> {
    /// The object it works on.
    pub obj: Obj,
    /// The place inside it.
    pub key: Key<'a>,
    /// Whether it inserts a new element after the key.
    pub insert: bool,
    /// What it does.
    pub action: Action<'a>,
    /// The value it carries; `Null` where the action needs none.
    pub value: Scalar<'a>,
    /// Where its predecessors begin in [`Body::preds`].
    pub pred_at: u32,
    /// How many predecessors it has.
    pub pred_len: u32,
}

/// Everything that a change says; its bytes are a pure function of this.
#[derive(Debug, Clone, PartialEq)]
pub struct Body<'a> {
    /// The changes it was made on top of, ascending.
    pub deps: Vec<ChangeHash>,
    /// The author, then every other actor that an operation names, ascending.
    pub actors: Vec<ActorId>,
    /// Which change of its actor this is, from 1.
    pub seq: u64,
    /// The counter of the first operation, from 1.
    pub start_op: u64,
    /// Milliseconds since 1970; a label only.
    pub time: i64,
    /// A message; empty for none.
    pub message: &'a str,
    /// The operations; their counters run on from `start_op`.
    pub ops: Vec<Op<'a>>,
    /// The predecessors of all operations, one after the other.
    pub preds: Vec<OpId>,
}

impl<'a> Body<'a> {
    /// The predecessors of one of this change's operations.
    #[must_use]
    pub fn preds_of(&self, op: &Op<'a>) -> &[OpId] {
        let at = op.pred_at as usize;
        self.preds.get(at..at + op.pred_len as usize).unwrap_or(&[])
    }

    /// The counter of the last operation; one less than `start_op` if there is none.
    #[must_use]
    pub fn max_op(&self) -> u64 {
        (self.start_op + self.ops.len() as u64).saturating_sub(1)
    }

    /// The operation of this id, if it is one of this change's own.
    #[must_use]
    pub fn own(&self, id: OpId) -> Option<&Op<'a>> {
        if id.actor != 0 {
            return None;
        }
        let index = usize::try_from(id.counter.checked_sub(self.start_op)?).ok()?;
        self.ops.get(index)
    }

    /// The actor's bytes behind an id of this change.
    #[must_use]
    pub fn actor_of(&self, id: OpId) -> Option<ActorId> {
        self.actors.get(id.actor as usize).copied()
    }
}
