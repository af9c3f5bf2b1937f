//! Sampan's own bounded reader and writer of Automerge's change format, and the admission door.
//!
//! It does not: merge anything (`record` does, with Automerge), sign, store or decide who may write.
//! Automerge itself is named only in this module's tests, which hold the two implementations
//! against each other; where they differ, Automerge is right.
//!
//! Invariants: nothing is allocated before its size is bounded by the input or by a limit; whatever
//! [`Parsed::read`] accepts encodes to exactly the bytes that were read; no input panics; every
//! verdict is a function of bytes and causal past (or of a *set* of changes), never of an order.

mod admit;
mod bytes;
mod columns;
mod error;
mod evaluate;
mod fields;
mod op;
mod read;
mod refs;
mod rules;
mod shown;
mod write;

#[cfg(test)]
mod tests;

pub use admit::{admit, extends};
pub use error::{ChangeError, Malformed, NeedsNewer};
pub use evaluate::{Candidate, Evaluation, Standing, evaluate};
pub use fields::{creation_fields, replaces_all, scalar_value, simple_edit};
pub use op::{Action, Body, Key, Obj, Op, OpId, Scalar};
pub use read::Parsed;
pub use refs::check_against;
pub use shown::{Shown, creation_shown};
pub use write::{ChangeBuilder, encode_body, encode_hashed};
