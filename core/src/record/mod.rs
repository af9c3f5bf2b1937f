//! (in the making)
pub mod ids;
