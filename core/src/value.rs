//! The value of one field, as people and programs see it.
//!
//! It does not: know Automerge (`record` maps values to operations) or the schema (`schema` says
//! which kind a field has and parses what a person typed).
//!
//! Invariants: a value is always of exactly one [`Kind`]; lists and sets hold strings.

use std::collections::BTreeSet;

/// The kinds of field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// Collaborative text: concurrent splices merge.
    #[n(0)]
    Text,
    /// A short string, replaced as a whole.
    #[n(1)]
    String,
    /// A 64-bit signed integer.
    #[n(2)]
    Int,
    /// An integer scaled by the field's number of decimals.
    #[n(3)]
    Decimal,
    /// True or false.
    #[n(4)]
    Bool,
    /// A year, a month or a day.
    #[n(5)]
    Date,
    /// The id of one of the field's choices.
    #[n(6)]
    Choice,
    /// Strings in order.
    #[n(7)]
    List,
    /// Strings without order; an addition wins over a concurrent removal.
    #[n(8)]
    Set,
    /// A number that concurrent additions all count in.
    #[n(9)]
    Counter,
    /// Another record's id, in hex.
    #[n(10)]
    Ref,
    /// A file's address (later).
    #[n(11)]
    File,
}

impl Kind {
    /// Every kind, each at the place of its number.
    pub const ALL: [Self; 12] = [
        Self::Text,
        Self::String,
        Self::Int,
        Self::Decimal,
        Self::Bool,
        Self::Date,
        Self::Choice,
        Self::List,
        Self::Set,
        Self::Counter,
        Self::Ref,
        Self::File,
    ];

    /// Whether the field is an object or counter in Automerge, which needs one common birth.
    #[must_use]
    pub fn is_born(self) -> bool {
        matches!(self, Kind::Text | Kind::List | Kind::Set | Kind::Counter)
    }
}

/// One field's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Kinds `string`, `choice`, `date` (as YYYY, YYYY-MM or YYYY-MM-DD), `ref`, `file`.
    Str(String),
    /// Kind `text`.
    Text(String),
    /// Kinds `int`, and `decimal` as its scaled integer.
    Int(i64),
    /// Kind `bool`.
    Bool(bool),
    /// Kind `list`.
    List(Vec<String>),
    /// Kind `set`.
    Set(BTreeSet<String>),
    /// Kind `counter`.
    Counter(i64),
    /// A scalar of a kind that no schema of ours writes; kept and shown as text.
    Other(String),
}

/// One edit of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The field becomes this value (a text is diffed, a list and a set as well).
    Set(Value),
    /// The field is emptied: a scalar is deleted, a born field loses its content.
    Clear,
    /// A counter grows by this (or shrinks); lists and sets gain these strings.
    Add(Value),
    /// Lists and sets lose these strings; a counter shrinks by this.
    Sub(Value),
}
