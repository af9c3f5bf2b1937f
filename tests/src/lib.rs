//! What the tests and benches share: organisations on disk, generated records, a made-up disk, the
//! plain model, the simulated world, a proxy for bad links, the herd of branches and the rows of figures.
//!
//! It does not: contain a test.

pub mod city;
pub mod disk;
pub mod herd;
pub mod model;
pub mod proxy;
pub mod sim;
pub mod table;
pub use sampan_core::testing::members;
