//! Audit files: who did what, when claimed and when first seen, for one who holds only the root key.
//!
//! It does not: open a file, or say that a file is complete: whoever makes one can leave out a record,
//! or what came last of it, but never change, add or take from the middle (`manual::audit`).
//!
//! Invariants: a line has one form, and every readable column of it is computed again from the signed
//! bytes beside it; what is held against the maker's word alone (when it first saw a change, and that
//! nothing was left out) stands under the maker's own signature.

mod check;
mod cuts;
mod error;
mod line;
mod make;
mod tell;
#[cfg(test)]
mod tests;

pub use check::{Author, CutTold, Report, Verifier, WordTold};
pub use error::{AuditError, Finding};
pub use line::{ChangedField, CharterLine, CommitLine, EndLine, EntryLine, HeadLine, Line, OfLine, utc};
pub use make::{AuditWriter, Selection};

/// The form of audit files that this version writes.
pub const FORM: u32 = 1;
