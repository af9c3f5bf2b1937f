//! The schema: which collections exist, their fields, how they travel.
//!
//! It does not: store or merge anything; the sync session never looks at it beyond the space that
//! a collection's records live in.
//!
//! Invariants: ids are lowercase ASCII words; fields keep the order of the file; a schema that
//! parsed is valid.

pub mod types;

pub use types::{Choice, Collection, Field, Label, Metric, MetricOp, Schema};
