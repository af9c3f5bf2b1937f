//! A relay: a node with children, and the administration of the tree of units.
//!
//! It does not: decide what is true (`sampan_core` does) or keep records in another way than a
//! branch (`sampan_node` does).
//!
//! Invariants: quinn is named only in `net`; what a person may decide lies in [`admin`], its shape on
//! the command line in [`cli`].

pub mod admin;
pub mod cli;
pub mod hub;
