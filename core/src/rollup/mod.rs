//! Rollups: the figures that a schema declares, their algebra, and what units say of them to each other.
//!
//! It does not: keep figures (a store does), sign or send registers (`engine` and `sync` do), or read a clock.
//!
//! Invariants: exact, in whole numbers of the schema's scale, never a float; the order in which records or
//! figures arrive never matters; what a record gave is taken back by the same evaluation of its old row; a
//! figure is of one unit, or of one unit and everything below it, and says which.
//!
//! How figures are made, travel and close is told in the manual, [`crate::manual::figures`].

mod coverage;
mod figure;
mod measure;
pub mod period;
mod ratio;
pub mod recount;
mod said;
#[cfg(test)]
mod tests;

pub use coverage::Coverage;
pub use figure::{Cell, Figure, Given, NotAdditive, Scalar};
pub use measure::{Key, Measure, OVER, UNDATED, measures};
pub use period::PeriodKind;
pub use ratio::{Ratio, ratio};
pub use said::{Closing, Corrected, REPORT_DIGEST_BYTES, Report, Said, SaidFigure, SaidScalar, SpaceAt, UnitAt, names};
