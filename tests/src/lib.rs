//! What the tests and benches share: organisations on disk, generated records, a made-up disk, the
//! plain model, the simulated world and a proxy for bad links.
//!
//! It does not: contain a test.

pub mod city;
pub mod disk;
pub mod model;
pub mod proxy;
pub mod sim;
pub use sampan_core::testing::members;
