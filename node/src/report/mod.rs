//! A report for people who would rather look: one page of figures that stands by itself, to be read on a screen, in
//! print and by a screen reader.
//!
//! It does not: compute figures, or need a network, a script or a font that is not there.
//!
//! Invariants: what people typed can only ever be text in it; its numbers are those of `rollup` and `targets`.

mod gather;
mod html;
pub mod model;
mod page;
mod svg;
#[cfg(test)]
mod tests;
pub mod words;

pub use gather::{Wanted, gather, problem};
pub use page::page;
