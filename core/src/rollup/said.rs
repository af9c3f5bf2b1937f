//! What units say of their figures: payloads of registers.
//!
//! It does not: sign, judge who may say it (`sync`), or choose between several (the reader of figures does).
//!
//! Invariants: numbers are for ever; what is said carries the frontier that it was computed from; what does
//! not fit its limit is not said in part: it says that it is too large, and nothing is claimed of it.

use super::figure::{Figure, Scalar};
use crate::id::{DeviceId, RecordId, UnitId};
use crate::time::Millis;

/// Bytes of a space's digest in a [`Report`]: it tells what is held from what is not, and proves nothing.
pub const REPORT_DIGEST_BYTES: usize = 8;

/// The names of these registers.
pub mod names {
    /// A device's word of what it holds of its unit, see [`super::Report`]; it goes up as far as heartbeats do.
    pub const REPORT: &str = "report";
    /// Prefix of a unit's own figures: `figure/METRIC/YEAR`, see [`super::Said`]; to the next relay.
    pub const FIGURE: &str = "figure/";
    /// Prefix of a relay's figures of its unit and all below: `sum/METRIC/YEAR`; to the next relay.
    pub const SUM: &str = "sum/";
    /// Prefix of what a period closed with: `closed/METRIC/PERIOD`, see [`super::Closing`]; all the way up.
    pub const CLOSED: &str = "closed/";

    /// The metric that the name of a figure, sum or closing speaks of, with the year or period.
    #[must_use]
    pub fn metric(name: &str) -> Option<(&str, &str)> {
        let rest = [FIGURE, SUM, CLOSED].iter().find_map(|p| name.strip_prefix(p))?;
        rest.rsplit_once('/')
    }
}

/// What a device holds of its unit: that the unit has reported everything up to here, also where that is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct Report {
    /// The unit's spaces that travel up and hold anything, by reach.
    #[n(0)]
    pub spaces: Vec<SpaceAt>,
}

/// One space of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SpaceAt {
    /// Its reach.
    #[n(0)]
    pub reach: u8,
    /// The first bytes of its digest.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub digest: [u8; REPORT_DIGEST_BYTES],
}

/// Figures of one metric in one year: of a unit alone, or of a relay's unit and all below.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct Said {
    /// The figures, by period and dimensions.
    #[n(0)]
    pub figures: Vec<SaidFigure>,
    /// Commits in the unit's space that they were computed from: of several devices of a unit the one that has
    /// seen most stands.
    #[n(1)]
    pub commits: u64,
    /// The units whose figures are in it, with when each was last heard of.
    #[n(2)]
    pub units: Vec<UnitAt>,
    /// It is larger than its limit: nothing is said.
    #[n(3)]
    pub too_large: bool,
    /// Corrections of closed periods, the newest.
    #[n(4)]
    pub corrected: Vec<Corrected>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SaidFigure {
    /// Its period; empty for as of now.
    #[n(0)]
    pub period: String,
    /// Its dimensions.
    #[n(1)]
    pub by: Vec<String>,
    /// Records in it.
    #[n(2)]
    pub n: u64,
    /// The upper half of its sum.
    #[n(3)]
    pub high: i64,
    /// The lower half.
    #[n(4)]
    pub low: u64,
    /// The smallest or greatest.
    #[n(5)]
    pub best: Option<SaidScalar>,
}

/// A value that is smallest or greatest.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum SaidScalar {
    /// A number.
    #[n(0)]
    Num(#[n(0)] i64),
    /// A date.
    #[n(1)]
    Text(#[n(0)] String),
}

/// A unit that reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct UnitAt {
    /// The unit.
    #[n(0)]
    pub unit: UnitId,
    /// When it was last heard of.
    #[n(1)]
    pub at: Millis,
}

/// What a period closed with: signed once, under a counter of 1, and standing for ever.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Closing {
    /// The figures of the unit and all below, their periods empty.
    #[n(0)]
    pub figures: Vec<SaidFigure>,
    /// Units that had reported.
    #[n(1)]
    pub reported: u64,
    /// Units that were expected.
    #[n(2)]
    pub expected: u64,
    /// The oldest of what they had last said.
    #[n(3)]
    pub oldest: Option<Millis>,
}

/// A figure of a closed period that became another.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Corrected {
    /// The period.
    #[n(0)]
    pub period: String,
    /// The dimensions of the figure.
    #[n(1)]
    pub by: Vec<String>,
    /// What it was, in plain writing.
    #[n(2)]
    pub old: String,
    /// What it became.
    #[n(3)]
    pub new: String,
    /// When that was seen.
    #[n(4)]
    pub at: Millis,
    /// Whose change it was.
    #[n(5)]
    pub author: DeviceId,
    /// The unit of the record.
    #[n(6)]
    pub unit: UnitId,
    /// The record; 0 where it is not told further up.
    #[n(7)]
    pub record: RecordId,
}

impl SaidFigure {
    /// A figure as it travels.
    #[must_use]
    pub fn of(period: &str, by: &[String], figure: &Figure) -> Self {
        let best = figure.best.as_ref().map(|b| match b {
            Scalar::Num(n) => SaidScalar::Num(*n),
            Scalar::Text(t) => SaidScalar::Text(t.clone()),
        });
        let (high, low) = ((figure.total >> 64) as i64, figure.total as u64);
        Self { period: period.to_owned(), by: by.to_vec(), n: figure.n, high, low, best }
    }

    /// The figure that it says.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let best = self.best.as_ref().map(|b| match b {
            SaidScalar::Num(n) => Scalar::Num(*n),
            SaidScalar::Text(t) => Scalar::Text(t.clone()),
        });
        Figure { n: self.n, total: (i128::from(self.high) << 64) | i128::from(self.low), best }
    }
}
