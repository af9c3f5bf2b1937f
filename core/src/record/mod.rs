//! Records: one Automerge document each; typed edits, views, conflicts and history over it.
//!
//! It does not: judge foreign bytes (`change` does, and only what it admitted comes here), know
//! which fields a collection declares (callers pass each field's [`Kind`]),
//! sign, seal or store anything, or draw randomness that reaches an output.
//!
//! Invariants: nothing outside this folder names Automerge; a document is a function of its set of
//! changes, never of the order of arrival; every call into Automerge that sees stored or foreign
//! changes is guarded, so that a panic becomes [`Damaged`]; an edit that fails changes nothing.
//!
//! How a record lies in its document: the root map goes from field name to value. Strings, choices,
//! dates, references and files are string scalars, `int` and `decimal` integers, `bool` a boolean,
//! `text` a text object, `list` a list of strings, `set` a map from element to true (so that an
//! addition wins over a concurrent removal) and `counter` a counter. Names that start with `_` are
//! ours: [`NONCE_KEY`] and [`REMOVED_KEY`], and the key fields of identity records that are no
//! fields of the collection.

mod born;
mod create;
mod diff;
mod document;
mod edit;
mod engine;
mod error;
mod history;
pub mod ids;
mod read;
mod rebase;
#[cfg(test)]
mod tests;
mod view;
mod write;

pub use born::{birth, identity_creation, verify_birth, verify_identity};
pub use create::create;
pub use document::Document;
pub use edit::EditContext;
pub use error::{Damaged, EditError};
pub use history::{FieldStep, Step};
pub use rebase::Rebased;
pub use view::{Conflict, ConflictValue, View};

use crate::id::ChangeHash;
use crate::value::Kind;

/// The root key of the six random bytes that make two equal rows two records.
pub const NONCE_KEY: &str = "_n";

/// The root key that hides a record from lists.
pub const REMOVED_KEY: &str = "_removed";

/// A change that was just made here, ready to be stored and sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChange {
    /// The uncompressed change chunk: the one byte form that is stored.
    pub bytes: Vec<u8>,
    /// Its hash.
    pub hash: ChangeHash,
    /// The field and kind, if this is a computed birth change.
    pub birth: Option<(String, Kind)>,
    /// The fields that it touches, in byte order; empty for a birth, which shows no author.
    pub fields: Vec<String>,
}
