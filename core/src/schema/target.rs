//! What a schema says of targets: in which records they stand, and what measures them.
//!
//! It does not: look for records or divide.
//!
//! Invariants: a rule that parsed names a collection that flows down and is addressed, and fields that exist; the
//! metric that measures by hand exists, adds up, and tells the target that it speaks of among its dimensions.

use super::document::Section;
use super::parse::Reader;
use super::types::{Collection, Metric, MetricOp};
use crate::id::Flow;
use crate::value::Kind;
use std::collections::BTreeMap;

/// Where targets stand, and what measures them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRule {
    /// The collection.
    pub of: String,
    /// The number that is to be reached.
    pub value: String,
    /// The field with the period, as `2026` or `2026-Q3`.
    pub period: String,
    /// The field that names the metric that measures it.
    pub measured_by: String,
    /// The field that names a value of the metric's dimensions, where only a part counts.
    pub slice: Option<String>,
    /// The field that names the target that this one is a part of.
    pub part_of: Option<String>,
    /// The metric of what units report by hand, for targets that name no metric.
    pub by_hand: Option<ByHand>,
}

/// The metric of what is reported by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    /// Its name.
    pub metric: String,
    /// Which of its dimensions names the target.
    pub target: usize,
    /// Which of its dimensions names the period, if one does.
    pub period: Option<usize>,
}

impl Reader<'_> {
    /// `[target]`: `of`, `value`, `period`, `measured_by`, `slice`, `part_of`, `by_hand`; `None` once a problem made
    /// it unusable.
    pub(super) fn target(
        &mut self,
        mut s: Section<'_>,
        collections: &BTreeMap<String, Collection>,
        metrics: &BTreeMap<String, Metric>,
    ) -> Option<TargetRule> {
        let of = self.needed(&mut s, "of");
        let value = self.needed(&mut s, "value");
        let period = self.needed(&mut s, "period");
        let measured_by = self.needed(&mut s, "measured_by");
        let slice = s.string("slice", self.problems);
        let part_of = s.string("part_of", self.problems);
        let by_hand = s.string("by_hand", self.problems);
        let path = s.path.clone();
        s.close(self.problems);
        let of = of?;
        let collection = self.collection_named("of", &of, &path, collections)?;
        if collection.flow != Flow::Down || collection.addressed.is_none() {
            let what = format!(
                "'of' names '{}': targets are handed down to units, so it needs flow = \"down\" and 'addressed'",
                collection.id
            );
            self.problems.add(of.line, &path, what);
        }
        let by_hand = by_hand.and_then(|at| {
            let metric = metrics.get(at.value);
            let points_here = |f: &String| {
                let field = collections.get(&metric?.of)?.field(f)?;
                Some(field.kind == Kind::Ref && field.to.as_deref() == Some(collection.id.as_str()))
            };
            let adds = |m: &&Metric| matches!(m.op, MetricOp::Count | MetricOp::Sum(_)) && m.period.is_empty();
            let found = metric.filter(adds).and_then(|m| {
                let target = m.by.iter().position(|f| points_here(f) == Some(true))?;
                let period = m.by.iter().position(|f| f == "period");
                Some(ByHand { metric: m.id.clone(), target, period })
            });
            if found.is_none() {
                let what = format!(
                    "'by_hand' must name a metric that counts or sums, without a period, whose 'by' has a ref to '{}', not '{}'",
                    collection.id, at.value
                );
                self.problems.add(at.line, &path, what);
            }
            found
        });
        Some(TargetRule {
            of: collection.id.clone(),
            value: self.field_of("value", &value?, &path, collection, &[Kind::Int, Kind::Decimal])?,
            period: self.field_of("period", &period?, &path, collection, &[Kind::String])?,
            measured_by: self.field_of("measured_by", &measured_by?, &path, collection, &[Kind::String])?,
            slice: slice.and_then(|at| self.field_of("slice", &at, &path, collection, &[Kind::String])),
            part_of: part_of.and_then(|at| self.field_of("part_of", &at, &path, collection, &[Kind::Ref])),
            by_hand,
        })
    }
}
