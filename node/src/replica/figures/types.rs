//! What is asked of figures, what is answered, and why there is no answer.
//!
//! It does not: compute.
//!
//! Invariants: a row carries everything that says how far its figure can be trusted.

use crate::replica::ReplicaError;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::rollup::{Corrected, Coverage, Figure, Key, Ratio};
use sampan_core::store::StoreError;
use sampan_core::time::Millis;
use std::collections::BTreeMap;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct FigureQuery {
    /// The unit; the highest that this device works for unless it is said.
    pub unit: Option<UnitId>,
    /// One metric instead of all.
    pub metric: Option<String>,
    /// One period instead of all.
    pub period: Option<String>,
    /// A row for each unit one level down instead of one for all.
    pub by_unit: bool,
}

/// Why a question about figures has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RollupError {
    /// The replica.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// No such metric.
    #[error("there is no metric '{name}'{}", sampan_core::suggest::did_you_mean(.nearest))]
    UnknownMetric {
        /// The name given.
        name: String,
        /// Metrics that look like it.
        nearest: Vec<String>,
    },
    /// No period.
    #[error("'{0}' is no period")]
    BadPeriod(String),
    /// A period of another kind than the metric's.
    #[error("the metric '{metric}' is kept by {kind}, not by '{period}'")]
    OtherPeriod {
        /// The metric.
        metric: String,
        /// Its period.
        kind: String,
        /// What was given.
        period: String,
    },
    /// The unit's figures are not this device's to see.
    #[error("the figures of {0} are not shown to this device")]
    NotShown(UnitId),
    /// The metric does not reach this level.
    #[error("the metric '{0}' does not reach this level")]
    OutOfReach(String),
    /// What is to be closed is not known here.
    #[error("the figure of '{0}' is not known here")]
    NotKnown(String, Unknown),
    /// The period is not over.
    #[error("the period {0} is not over")]
    NotOver(String),
    /// Closed already.
    #[error("the period {period} of '{metric}' was closed already")]
    Closed {
        /// The metric.
        metric: String,
        /// The period.
        period: String,
    },
}

impl From<StoreError> for RollupError {
    fn from(e: StoreError) -> Self {
        Self::Replica(e.into())
    }
}

/// Why a figure is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// The metric's figures do not travel as far as this device.
    OutOfReach,
    /// Nothing has been said of it here yet.
    NotSaid,
    /// It is within the sum that the relay of this unit above it says; that relay and those below it know it.
    InSumOf(UnitId),
    /// It was said to be too large to travel.
    TooLarge,
    /// It was counted in parts, and numbers of different values do not add up.
    NotAdditive,
}

impl Unknown {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OutOfReach => "out_of_reach",
            Self::NotSaid => "not_said",
            Self::InSumOf(_) => "in_sum",
            Self::TooLarge => "too_large",
            Self::NotAdditive => "not_additive",
        }
    }
}

/// One figure with everything that says how far it can be trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureRow {
    /// The unit.
    pub unit: UnitId,
    /// Whether units below are in it.
    pub below: bool,
    /// The metric.
    pub metric: String,
    /// The period; empty for a metric without.
    pub period: String,
    /// The dimensions with their values; empty for the whole.
    pub by: BTreeMap<String, String>,
    /// The figure; nothing where it is not known.
    pub figure: Figure,
    /// Why it is not known here, where it is not: then it is no zero.
    pub unknown: Option<Unknown>,
    /// Its value in plain writing; empty where it is not known.
    pub value: String,
    /// Its decimals.
    pub scale: u8,
    /// How complete it is.
    pub coverage: Coverage,
    /// What it is divided by: the name, and its value where it has one.
    pub over: Option<(String, Option<String>)>,
    /// The ratio.
    pub ratio: Option<Ratio>,
    /// What the period closed with.
    pub closed: Option<ClosedWith>,
    /// What changed after that, oldest first.
    pub corrected: Vec<Corrected>,
    /// Whether it comes from the records themselves.
    pub from_records: bool,
    /// A unit below said that its figures are too large to travel.
    pub too_large: bool,
}

/// What a period closed with.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedWith {
    /// The value, in plain writing; `None` where the closing does not tell it.
    pub value: Option<String>,
    /// When.
    pub at: Millis,
    /// By whom.
    pub by: DeviceId,
    /// Units that had reported.
    pub reported: u64,
    /// Units that were expected.
    pub expected: u64,
}

/// A unit that has not reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingUnit {
    /// The unit.
    pub unit: UnitId,
    /// The metric.
    pub metric: String,
    /// The period.
    pub period: String,
    /// When it was last heard of at all.
    pub heard: Option<Millis>,
    /// Since when it is missing: then, or since it exists.
    pub since: Millis,
}

/// A figure that the second way does not find again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The unit.
    pub unit: UnitId,
    /// Whether units below are in it.
    pub below: bool,
    /// The metric.
    pub metric: String,
    /// The figure's place.
    pub key: Key,
    /// What is kept.
    pub kept: String,
    /// What the changes say.
    pub counted: String,
}
