//! What the tests and benches share: organisations on disk, generated records, a made-up disk, the
//! plain model, the simulated world, a proxy for bad links, whole organisations in memory, the herd of
//! branches, long measurements, the paths whose instructions are counted and the rows of figures.
//!
//! It does not: contain a test.

pub mod city;
pub mod disk;
pub mod guard;
pub mod herd;
pub mod long;
pub mod model;
pub mod proxy;
pub mod shape;
pub mod sim;
pub mod table;
pub use sampan_core::testing::members;
