//! A branch node.
pub mod codec;
pub mod store;
