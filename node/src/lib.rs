//! A branch node.
