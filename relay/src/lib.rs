//! A relay: a node with children.
//!
//! It does not: merge or judge anything itself; it is a node whose desk also serves links from below.

pub mod hub;
pub mod serve;
