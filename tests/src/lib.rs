//! What the tests and benches share: organisations on disk, generated records.
//!
//! It does not: contain a test.

pub mod city;
pub mod proxy;
pub use sampan_core::testing::members;
