//! The pure engine of Sampan: records, commits, authority and the sync session.
//!
//! It does not: open a socket, read a clock, touch a file, start a thread, ask the environment or
//! compress; time, randomness, storage and compression come in as arguments.
//!
//! Invariants about what is absent: Automerge is named only in [`record`]; nothing iterates over an
//! unordered map; no bytes reach Automerge except through [`change`]'s admission.

pub mod audit;
pub mod bundle;
#[path = "testing/canary.rs"]
pub mod canary;
pub mod change;
pub mod charter;
pub mod date;
pub mod due;
pub mod engine;
pub mod entropy;
pub mod file;
pub mod fold;
pub mod frontier;
pub mod hash;
pub mod id;
pub mod limits;
pub mod log;
pub mod manual;
pub mod pack;
pub mod record;
pub mod register;
pub mod rollup;
pub mod schema;
pub mod scope;
pub mod shelf;
pub mod small;
pub mod store;
pub mod suggest;
pub mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod value;
pub mod wire;
