//! The algebra: what one record gives, a cell that records add to and are taken from, and the figure that a
//! cell shows.
//!
//! It does not: know units, periods or dimensions, or keep anything.
//!
//! Invariants: adding and removing are exact inverses, in any order; figures of different units add up in any
//! order to the same figure, and the number of different values is refused there instead of being guessed.

use crate::canary::{self, Canary};
use crate::schema::MetricOp;
use crate::schema::number::plain_decimal;
use std::collections::BTreeMap;

/// A value that can be the smallest or the greatest, or one of several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar {
    /// A number, a decimal scaled.
    Num(i64),
    /// A date, or any other string.
    Text(String),
}

/// What one record gives to a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What is added up; 0 for a count.
    pub amount: i64,
    /// The value that counts by itself: of min, max and distinct.
    pub value: Option<Scalar>,
}

/// A figure as people see it, and as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figure {
    /// Records in it.
    pub n: u64,
    /// Their sum, scaled; of `distinct` the number of different values.
    pub total: i128,
    /// The smallest or the greatest.
    pub best: Option<Scalar>,
}

/// Numbers of different values do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("numbers of different values do not add up")]
pub struct NotAdditive;

impl Figure {
    /// Takes in the figure of other records.
    ///
    /// # Errors
    /// [`NotAdditive`] for `distinct`; nothing was changed.
    pub fn merge(&mut self, op: &MetricOp, other: &Self) -> Result<(), NotAdditive> {
        let better = match op {
            MetricOp::Distinct(_) if self.n > 0 && other.n > 0 => return Err(NotAdditive),
            MetricOp::Count | MetricOp::Sum(_) | MetricOp::Distinct(_) => None,
            MetricOp::Min(_) => self.best.as_ref().into_iter().chain(&other.best).min(),
            MetricOp::Max(_) => self.best.as_ref().into_iter().chain(&other.best).max(),
        };
        self.best = better.cloned();
        self.n = self.n.saturating_add(other.n);
        if canary::sings(Canary::FigureCountedTwice) {
            self.n = self.n.saturating_add(other.n);
        }
        self.total = self.total.saturating_add(other.total);
        Ok(())
    }

    /// The number that it is, scaled; `None` for a smallest or greatest.
    #[must_use]
    pub fn number(&self, op: &MetricOp) -> Option<i128> {
        match op {
            MetricOp::Count => Some(i128::from(self.n)),
            MetricOp::Sum(_) | MetricOp::Distinct(_) => Some(self.total),
            MetricOp::Min(_) | MetricOp::Max(_) => None,
        }
    }

    /// The value in plain writing, with a point before the decimals; empty for the smallest of nothing.
    #[must_use]
    pub fn text(&self, op: &MetricOp, scale: u8) -> String {
        match (self.number(op), &self.best) {
            (Some(n), _) => plain(n, scale),
            (None, Some(Scalar::Num(n))) => plain_decimal(*n, scale),
            (None, Some(Scalar::Text(t))) => t.clone(),
            (None, None) => String::new(),
        }
    }
}

/// A scaled number in plain writing.
fn plain(n: i128, scale: u8) -> String {
    if scale == 0 {
        return n.to_string();
    }
    let one = 10_u128.pow(u32::from(scale));
    let (whole, rest) = (n.unsigned_abs() / one, n.unsigned_abs() % one);
    let sign = if n < 0 { "-" } else { "" };
    format!("{sign}{whole}.{rest:0width$}", width = usize::from(scale))
}

/// A figure that records are added to and taken from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// Records in it.
    pub n: i64,
    /// Their sum.
    pub total: i128,
    /// How many records have each value, where values count by themselves.
    pub values: BTreeMap<Scalar, i64>,
}

impl Cell {
    /// A record came.
    pub fn add(&mut self, given: &Given) {
        self.put(given, 1);
    }

    /// What a record gave is taken back.
    pub fn remove(&mut self, given: &Given) {
        self.put(given, -1);
    }

    fn put(&mut self, given: &Given, sign: i64) {
        self.n += sign;
        self.total += i128::from(given.amount) * i128::from(sign);
        if let Some(value) = &given.value {
            let count = self.values.entry(value.clone()).or_default();
            *count += sign;
            if *count == 0 {
                self.values.remove(value);
            }
        }
    }

    /// Takes in what another cell holds.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.total += other.total;
        for (value, n) in &other.values {
            let count = self.values.entry(value.clone()).or_default();
            *count += n;
            if *count == 0 {
                self.values.remove(value);
            }
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What it shows.
    #[must_use]
    pub fn figure(&self, op: &MetricOp) -> Figure {
        let n = u64::try_from(self.n).unwrap_or(0);
        match op {
            MetricOp::Count => Figure { n, total: 0, best: None },
            MetricOp::Sum(_) => Figure { n, total: self.total, best: None },
            MetricOp::Distinct(_) => Figure { n, total: self.values.len() as i128, best: None },
            MetricOp::Min(_) => Figure { n, total: 0, best: self.values.keys().next().cloned() },
            MetricOp::Max(_) => Figure { n, total: 0, best: self.values.keys().next_back().cloned() },
        }
    }
}
