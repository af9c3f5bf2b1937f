//! Coverage: how many of the units that are expected have reported, and which have not.
//!
//! It does not: decide what a report is; it is told when each unit was last heard of.
//!
//! Invariants: a unit is counted once; reported and missing are all that is expected.

use crate::id::UnitId;
use crate::time::Millis;

/// How complete a figure is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Units that reported.
    pub reported: u64,
    /// Units that are expected.
    pub expected: u64,
    /// The oldest of what the units that reported last said.
    pub oldest: Option<Millis>,
    /// The units that did not, with when they were last heard of at all.
    pub missing: Vec<(UnitId, Option<Millis>)>,
}

impl Coverage {
    /// Of these units, each with when it was last heard of; who was not heard of since `from` is missing.
    #[must_use]
    pub fn of(units: impl IntoIterator<Item = (UnitId, Option<Millis>)>, from: Millis) -> Self {
        let mut out = Self::default();
        for (unit, heard) in units {
            out.expected += 1;
            match heard.filter(|at| *at >= from) {
                Some(at) => {
                    out.reported += 1;
                    out.oldest = Some(out.oldest.map_or(at, |o| o.min(at)));
                }
                None => out.missing.push((unit, heard)),
            }
        }
        out
    }
}
