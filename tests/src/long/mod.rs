//! Long measurements, run by `sampan-bench`: the digest tree, a relay's intake, first loads of many sizes.
//!
//! It does not: run in the tests, but for a small digest tree (`tests/stories/shape.rs`).

pub mod floor;
pub mod hub;
pub mod intake;
pub mod links;
pub mod live;
pub mod load;
pub mod oldpc;
pub mod other;
pub mod plot;
pub mod sizes;
pub mod tree;
