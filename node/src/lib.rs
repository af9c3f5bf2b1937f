//! A branch node.

pub mod net;
