//! The demo, as a library so that its binary stays a few lines.
//!
//! It does not: hold the small examples (`examples/` beside it has them).

pub mod demo;
