//! Reading the metrics of a schema file.
//!
//! It does not: compute figures.
//!
//! Invariants: a metric that parsed names a collection and fields that exist, and its filter parses.

use super::document::{At, Section};
use super::expr::Expr;
use super::parse::{Reader, kind_name};
use super::types::{Collection, Metric, MetricOp};
use crate::suggest::{did_you_mean, nearest};
use crate::value::Kind;
use std::collections::BTreeMap;

/// Periods that a metric may be cut into.
pub const PERIODS: [&str; 6] = ["day", "week", "month", "quarter", "half", "year"];

impl Reader<'_> {
    /// One `[metric.ID]`; `None` once a problem made it unusable.
    pub(super) fn metric(
        &mut self,
        id: &str,
        mut s: Section<'_>,
        collections: &BTreeMap<String, Collection>,
    ) -> Option<Metric> {
        self.check_id("metric", id, &s);
        let of = self.needed(&mut s, "of");
        let op = self.needed(&mut s, "op");
        let filter = s.string("where", self.problems);
        let by = s.strings("by", self.problems);
        let period = s.string("period", self.problems);
        let reach = self.reach(&mut s, true);
        if let Some(p) = period.as_ref().filter(|p| !PERIODS.contains(&p.value)) {
            let what = format!("'period' must be one of {}, not '{}'", PERIODS.join(", "), p.value);
            self.problems.add(p.line, &s.path, what);
        }
        let path = s.path.clone();
        s.close(self.problems);
        let (of, op) = (of?, op?);
        let Some(collection) = collections.get(of.value) else {
            let near = nearest(of.value, collections.keys().map(String::as_str));
            let what = format!("'of' names '{}', which is no collection.{}", of.value, did_you_mean(&near));
            self.problems.add(of.line, &path, what);
            return None;
        };
        for name in by.value.iter().filter(|n| collection.field(n).is_none()) {
            self.no_field(by.line, &path, "by", name, &collection.fields);
        }
        if let Some(Err(e)) = filter.as_ref().map(|f| Expr::parse(collection, f.value)) {
            self.problems.add(filter.as_ref().map_or(of.line, |f| f.line), &path, format!("'where': {e}"));
        }
        Some(Metric {
            id: id.to_owned(),
            of: of.value.to_owned(),
            op: self.metric_op(&op, &path, collection)?,
            filter: filter.map(|f| f.value.to_owned()).unwrap_or_default(),
            by: by.value,
            period: period.map(|p| p.value.to_owned()).unwrap_or_default(),
            reach,
        })
    }

    /// `count`, `sum:FIELD`, `min:FIELD` or `max:FIELD`.
    fn metric_op(&mut self, op: &At<&str>, path: &str, collection: &Collection) -> Option<MetricOp> {
        if op.value == "count" {
            return Some(MetricOp::Count);
        }
        let made = op.value.split_once(':').and_then(|(word, field)| {
            let field = field.trim().to_owned();
            match word.trim() {
                "sum" => Some((MetricOp::Sum(field.clone()), field)),
                "min" => Some((MetricOp::Min(field.clone()), field)),
                "max" => Some((MetricOp::Max(field.clone()), field)),
                _ => None,
            }
        });
        let Some((made, name)) = made else {
            let what = format!("'op' must be count, sum:FIELD, min:FIELD or max:FIELD, not '{}'", op.value);
            self.problems.add(op.line, path, what);
            return None;
        };
        match collection.field(&name) {
            None => self.no_field(op.line, path, "op", &name, &collection.fields),
            Some(f) => {
                let ordered = matches!(f.kind, Kind::Int | Kind::Decimal | Kind::Counter)
                    || (f.kind == Kind::Date && !matches!(made, MetricOp::Sum(_)));
                if !ordered {
                    let what = format!("'op' names '{name}', a {}, which cannot be reckoned with", kind_name(f.kind));
                    self.problems.add(op.line, path, what);
                }
            }
        }
        Some(made)
    }
}
