//! A relay: a node with children, and the administration of the tree of units.
//!
//! It does not: merge or judge anything itself; it is a node whose desk also serves links from below.
//!
//! Invariants: what an admin decides lies in [`admin`], its shape on the command line in [`cli`].

pub mod admin;
pub mod cli;
pub mod gate;
pub mod hub;
pub mod serve;
