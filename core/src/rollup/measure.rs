//! A metric made ready to look at rows.
//!
//! It does not: read rows or keep figures.
//!
//! Invariants: what a row gives follows from the row and the schema alone; a row that is removed gives nothing
//! (its keeper does not ask).

use super::figure::{Given, Scalar};
use super::period::PeriodKind;
use crate::date::Date;
use crate::schema::{Expr, MetricOp, Over, Schema};
use crate::value::Value;

/// The period of records whose date is not known well enough.
pub const UNDATED: &str = "undated";
/// What follows a metric's name in that of the sum it is divided by.
pub const OVER: &str = "/over";

/// Which figure of a metric a record counts in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Key {
    /// The label of the period; empty for what is as of now.
    pub period: String,
    /// A value for each dimension; empty where the record has none.
    pub by: Vec<String>,
}

/// One metric, or the sum that one is divided by.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Its name; ends in [`OVER`] where it is what another is divided by.
    pub id: String,
    /// The collection that it looks at.
    pub of: String,
    /// How it combines.
    pub op: MetricOp,
    filter: Expr,
    by: Vec<String>,
    on: Option<(String, PeriodKind)>,
}

/// Every metric of a schema, with the sums that ratios divide by.
#[must_use]
pub fn measures(schema: &Schema) -> Vec<Measure> {
    let mut out = Vec::new();
    for metric in schema.metrics.values() {
        let Some(collection) = schema.collection(&metric.of) else { continue };
        // A schema that parsed has filters that parse.
        let filter = Expr::parse(collection, &metric.filter).unwrap_or_default();
        let kind = PeriodKind::named(&metric.period);
        let measure = Measure {
            id: metric.id.clone(),
            of: metric.of.clone(),
            op: metric.op.clone(),
            filter,
            by: metric.by.clone(),
            on: metric.on.clone().zip(kind),
        };
        if let Some(Over::Field(field)) = &metric.over {
            let id = format!("{}{OVER}", metric.id);
            out.push(Measure { id, op: MetricOp::Sum(field.clone()), ..measure.clone() });
        }
        out.push(measure);
    }
    out.sort_by(|a, b| a.id.cmp(&b.id));
    out
}

impl Measure {
    /// What a row gives, and to which figure; `None` where it does not count.
    #[must_use]
    pub fn of_row(&self, get: &dyn Fn(&str) -> Option<Value>) -> Option<(Key, Given)> {
        if !self.filter.matches(get) {
            return None;
        }
        let given = match &self.op {
            MetricOp::Count => Given { amount: 0, value: None },
            MetricOp::Sum(f) => match get(f)? {
                Value::Int(n) | Value::Counter(n) => Given { amount: n, value: None },
                _ => return None,
            },
            MetricOp::Min(f) | MetricOp::Max(f) | MetricOp::Distinct(f) => {
                Given { amount: 0, value: Some(scalar(&get(f)?)?) }
            }
        };
        let period = match &self.on {
            None => String::new(),
            Some((field, kind)) => match get(field) {
                Some(Value::Str(text)) => {
                    let label = Date::parse(&text).ok().and_then(|d| kind.of_date(d));
                    label.unwrap_or_else(|| UNDATED.to_owned())
                }
                _ => UNDATED.to_owned(),
            },
        };
        let by = self.by.iter().map(|f| get(f).map(|v| dimension(&v)).unwrap_or_default()).collect();
        Some((Key { period, by }, given))
    }
}

fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::Int(n) | Value::Counter(n) => Some(Scalar::Num(*n)),
        Value::Bool(b) => Some(Scalar::Num(i64::from(*b))),
        Value::Str(s) if !s.is_empty() => Some(Scalar::Text(s.clone())),
        Value::Str(_) | Value::Text(_) | Value::List(_) | Value::Set(_) | Value::Other(_) => None,
    }
}

fn dimension(value: &Value) -> String {
    match value {
        Value::Str(s) | Value::Text(s) | Value::Other(s) => s.clone(),
        Value::Int(n) | Value::Counter(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::List(_) | Value::Set(_) => String::new(),
    }
}
