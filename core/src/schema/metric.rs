//! Reading the metrics of a schema file.
//!
//! It does not: compute figures (`rollup` does).
//!
//! Invariants: a metric that parsed names a collection and fields that exist, its filter parses, and what
//! travels above its records is a figure that tells of nobody: no free text is a dimension there, and no
//! values are counted that only the records know.

use super::document::{At, Section};
use super::expr::Expr;
use super::parse::{Reader, kind_name};
use super::types::{Collection, Metric, MetricOp, Over};
use crate::limits::{METRIC_DIMENSIONS_MAX, METRICS_MAX};
use crate::suggest::{did_you_mean, nearest};
use crate::value::Kind;
use std::collections::BTreeMap;

/// Periods that a metric may be cut into.
pub const PERIODS: [&str; 6] = ["day", "week", "month", "quarter", "half", "year"];

/// A metric that another divides by, checked once all are known.
pub(super) struct Divides {
    line: u32,
    path: String,
    target: String,
}

impl Reader<'_> {
    /// One `[metric.ID]`; `None` once a problem made it unusable.
    pub(super) fn metric(
        &mut self,
        id: &str,
        mut s: Section<'_>,
        collections: &BTreeMap<String, Collection>,
        overs: &mut Vec<Divides>,
    ) -> Option<Metric> {
        self.check_id("metric", id, &s);
        let label = self.label(&mut s, id);
        let of = self.needed(&mut s, "of");
        let op = self.needed(&mut s, "op");
        let filter = s.string("where", self.problems);
        let by = s.strings("by", self.problems);
        let period = s.string("period", self.problems);
        let on = s.string("on", self.problems);
        let over = s.string("over", self.problems);
        let expected = s.string("expected", self.problems);
        let reach = self.reach(&mut s, true);
        if let Some(p) = period.as_ref().filter(|p| !PERIODS.contains(&p.value)) {
            let what = format!("'period' must be one of {}, not '{}'", PERIODS.join(", "), p.value);
            self.problems.add(p.line, &s.path, what);
        }
        let path = s.path.clone();
        let (first, line) = (s.line, |at: &Option<At<&str>>, or: u32| at.as_ref().map_or(or, |a| a.line));
        s.close(self.problems);
        let (of, op) = (of?, op?);
        let Some(collection) = collections.get(of.value) else {
            let near = nearest(of.value, collections.keys().map(String::as_str));
            let what = format!("'of' names '{}', which is no collection.{}", of.value, did_you_mean(&near));
            self.problems.add(of.line, &path, what);
            return None;
        };
        if let Some(Err(e)) = filter.as_ref().map(|f| Expr::parse(collection, f.value)) {
            self.problems.add(line(&filter, of.line), &path, format!("'where': {e}"));
        }
        if let Some(on) = &on {
            match collection.field(on.value) {
                None => self.no_field(on.line, &path, "on", on.value, &collection.fields),
                Some(f) if f.kind != Kind::Date => {
                    let what =
                        format!("'on' names '{}', a {}; a date puts a record into a period", f.id, kind_name(f.kind));
                    self.problems.add(on.line, &path, what);
                }
                Some(_) if period.is_none() => {
                    self.problems.add(on.line, &path, "'on' needs a 'period' that the date falls into");
                }
                Some(_) => {}
            }
        }
        let expected_level = self.expected(expected.as_ref(), &path);
        let over_of = over.as_ref().and_then(|o| self.over(o, &path, collection, overs));
        let metric = Metric {
            id: id.to_owned(),
            label,
            of: of.value.to_owned(),
            op: self.metric_op(&op, &path, collection)?,
            filter: filter.map(|f| f.value.to_owned()).unwrap_or_default(),
            by: by.value,
            period: period.map(|p| p.value.to_owned()).unwrap_or_default(),
            on: on.map(|o| o.value.to_owned()),
            reach,
            expected: expected_level,
            over: over_of,
        };
        if metric.over.is_some() && !matches!(metric.op, MetricOp::Count | MetricOp::Sum(_)) {
            self.problems.add(line(&over, first), &path, "'over' divides a count or a sum, nothing else");
        }
        self.dimensions(by.line, &path, &metric, collection);
        if matches!(metric.op, MetricOp::Distinct(_)) && metric.outreaches(collection) {
            let what = format!(
                "'distinct' is counted where the records are, and those of '{}' do not travel as far as this metric: give it their reach",
                collection.id
            );
            self.problems.add(op.line, &path, what);
        }
        Some(metric)
    }

    fn dimensions(&mut self, line: u32, path: &str, metric: &Metric, collection: &Collection) {
        if metric.by.len() > METRIC_DIMENSIONS_MAX {
            let what = format!("'by' names more than {METRIC_DIMENSIONS_MAX} dimensions (METRIC_DIMENSIONS_MAX)");
            self.problems.add(line, path, what);
        }
        for (i, name) in metric.by.iter().enumerate() {
            if metric.by[..i].contains(name) {
                self.problems.add(line, path, format!("'by' names '{name}' twice"));
            }
            let Some(field) = collection.field(name) else {
                self.no_field(line, path, "by", name, &collection.fields);
                continue;
            };
            match field.kind {
                Kind::Choice | Kind::Bool | Kind::Date | Kind::Ref => {}
                // Above the records a dimension must not spell out what they say of a person.
                Kind::String | Kind::Int if !metric.outreaches(collection) => {}
                Kind::String | Kind::Int => {
                    let what = format!(
                        "'by' names '{name}', a {}: where the figure travels further than the records of '{}', only kinds choice, bool, date and ref can be dimensions",
                        kind_name(field.kind),
                        collection.id
                    );
                    self.problems.add(line, path, what);
                }
                Kind::Text | Kind::List | Kind::Set | Kind::Counter | Kind::Decimal | Kind::File => {
                    let what = format!("'by' names '{name}', a {}, which makes no groups", kind_name(field.kind));
                    self.problems.add(line, path, what);
                }
            }
        }
    }

    /// The level of the units that must report: the lowest unless one is named.
    fn expected(&mut self, at: Option<&At<&str>>, path: &str) -> u8 {
        let lowest = self.levels.len().saturating_sub(1) as u8; // at most TREE_DEPTH_MAX levels
        let Some(at) = at else { return lowest };
        let found = self.levels.iter().position(|l| l == at.value);
        if found.is_none() {
            let near = nearest(at.value, self.levels.iter().map(String::as_str));
            let what = format!(
                "'expected' must be a level ({}), not '{}'.{}",
                self.levels.join(", "),
                at.value,
                did_you_mean(&near)
            );
            self.problems.add(at.line, path, what);
        }
        found.map_or(lowest, |i| i as u8)
    }

    /// `METRIC`, or `sum:FIELD` of the same records.
    fn over(&mut self, at: &At<&str>, path: &str, collection: &Collection, overs: &mut Vec<Divides>) -> Option<Over> {
        let Some((word, field)) = at.value.split_once(':') else {
            overs.push(Divides { line: at.line, path: path.to_owned(), target: at.value.to_owned() });
            return Some(Over::Metric(at.value.to_owned()));
        };
        let field = field.trim();
        if word.trim() != "sum" {
            let what = format!("'over' must name a metric or be sum:FIELD, not '{}'", at.value);
            self.problems.add(at.line, path, what);
            return None;
        }
        match collection.field(field) {
            None => self.no_field(at.line, path, "over", field, &collection.fields),
            Some(f) if !is_number(f.kind) => {
                let what = format!("'over' names '{field}', a {}, which cannot be reckoned with", kind_name(f.kind));
                self.problems.add(at.line, path, what);
            }
            Some(_) => return Some(Over::Field(field.to_owned())),
        }
        None
    }

    /// What metrics divide by exists, and is itself no ratio.
    pub(super) fn check_overs(&mut self, overs: Vec<Divides>, metrics: &BTreeMap<String, Metric>) {
        if metrics.len() > METRICS_MAX {
            self.problems.add(1, "metric", format!("a schema has at most {METRICS_MAX} metrics (METRICS_MAX)"));
        }
        for Divides { line, path, target } in overs {
            let what = match metrics.get(&target) {
                Some(m) if m.over.is_some() => format!("'over' names '{target}', which is a ratio itself"),
                Some(m) if matches!(m.op, MetricOp::Count | MetricOp::Sum(_) | MetricOp::Distinct(_)) => continue,
                Some(_) => format!("'over' names '{target}', which is no number to divide by"),
                None => {
                    let near = nearest(&target, metrics.keys().map(String::as_str));
                    format!("'over' names '{target}', which is no metric.{}", did_you_mean(&near))
                }
            };
            self.problems.add(line, &path, what);
        }
    }

    /// `count`, or `sum`, `min`, `max`, `distinct` of a field, as in `sum:FIELD`.
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
                "distinct" => Some((MetricOp::Distinct(field.clone()), field)),
                _ => None,
            }
        });
        let Some((made, name)) = made else {
            let what =
                format!("'op' must be count, sum:FIELD, min:FIELD, max:FIELD or distinct:FIELD, not '{}'", op.value);
            self.problems.add(op.line, path, what);
            return None;
        };
        match collection.field(&name) {
            None => self.no_field(op.line, path, "op", &name, &collection.fields),
            Some(f) => {
                let fits = match made {
                    MetricOp::Count => true,
                    MetricOp::Sum(_) => is_number(f.kind),
                    MetricOp::Min(_) | MetricOp::Max(_) => is_number(f.kind) || f.kind == Kind::Date,
                    MetricOp::Distinct(_) => !matches!(f.kind, Kind::Text | Kind::List | Kind::Set),
                };
                if !fits {
                    let what = format!("'op' names '{name}', a {}, which cannot be reckoned with", kind_name(f.kind));
                    self.problems.add(op.line, path, what);
                }
            }
        }
        Some(made)
    }
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Int | Kind::Decimal | Kind::Counter)
}
