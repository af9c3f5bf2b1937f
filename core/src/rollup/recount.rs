//! The second way to a figure: every record anew, in one pass, from what its document says.
//!
//! It does not: share anything with the incremental way but the schema: neither cells nor keys nor the cutting
//! of periods, so that a fault of one shows as a difference between the two.
//!
//! Invariants: pure; values come out in plain writing, as `rollup` prints them.

use crate::id::UnitId;
use crate::schema::{Expr, Metric, MetricOp, Schema};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A figure's place: the unit, the period, the dimensions.
pub type Place = (UnitId, String, Vec<String>);

/// One record as its document says.
#[derive(Debug, Clone)]
pub struct Held {
    /// The units whose figure it counts in: its own, or that and all above.
    pub units: Vec<UnitId>,
    /// Its fields.
    pub fields: BTreeMap<String, Value>,
}

/// The figures of a metric over these records; `sum` takes the place of what the metric does, for what it is
/// divided by.
#[must_use]
pub fn recount(schema: &Schema, metric: &Metric, sum: Option<&str>, records: &[Held]) -> BTreeMap<Place, String> {
    let Some(collection) = schema.collection(&metric.of) else { return BTreeMap::new() };
    let Ok(filter) = Expr::parse(collection, &metric.filter) else { return BTreeMap::new() };
    let op = sum.map_or_else(|| metric.op.clone(), |f| MetricOp::Sum(f.to_owned()));
    let mut groups: BTreeMap<Place, Vec<&Value>> = BTreeMap::new();
    let nothing = Value::Int(0);
    for record in records {
        if !filter.matches(&|name| record.fields.get(name).cloned()) {
            continue;
        }
        let value = match op.field() {
            None => Some(&nothing),
            Some(field) => record.fields.get(field).filter(|v| counts(&op, v)),
        };
        let Some(value) = value else { continue };
        let period = match &metric.on {
            None => String::new(),
            Some(field) => match record.fields.get(field) {
                Some(Value::Str(date)) => label(&metric.period, date).unwrap_or_else(|| "undated".to_owned()),
                _ => "undated".to_owned(),
            },
        };
        let by: Vec<String> = metric.by.iter().map(|f| record.fields.get(f).map(written).unwrap_or_default()).collect();
        for unit in &record.units {
            groups.entry((*unit, period.clone(), by.clone())).or_default().push(value);
        }
    }
    let scale = op.field().and_then(|f| collection.field(f)).map_or(0, |f| f.scale);
    groups.into_iter().map(|(place, values)| (place, combined(&op, scale, &values))).collect()
}

fn counts(op: &MetricOp, value: &Value) -> bool {
    let number = matches!(value, Value::Int(_) | Value::Counter(_));
    match op {
        MetricOp::Count => true,
        MetricOp::Sum(_) => number,
        MetricOp::Min(_) | MetricOp::Max(_) | MetricOp::Distinct(_) => {
            number || matches!(value, Value::Bool(_)) || matches!(value, Value::Str(s) if !s.is_empty())
        }
    }
}

fn combined(op: &MetricOp, scale: u8, values: &[&Value]) -> String {
    let numbers = || values.iter().filter_map(|v| as_number(v));
    match op {
        MetricOp::Count => values.len().to_string(),
        MetricOp::Sum(_) => pointed(numbers().map(i128::from).sum::<i128>().to_string(), scale),
        MetricOp::Distinct(_) => values.iter().map(|v| written(v)).collect::<BTreeSet<_>>().len().to_string(),
        MetricOp::Min(_) | MetricOp::Max(_) => {
            let least = matches!(op, MetricOp::Min(_));
            let number = if least { numbers().min() } else { numbers().max() };
            let texts = || values.iter().filter_map(|v| if let Value::Str(s) = v { Some(s) } else { None });
            let text = if least { texts().min() } else { texts().max() };
            // Where a column holds both, numbers come before texts.
            match (number, text) {
                (Some(n), None) => pointed(n.to_string(), scale),
                (Some(n), Some(_)) if least => pointed(n.to_string(), scale),
                (_, Some(t)) => t.clone(),
                (None, None) => String::new(),
            }
        }
    }
}

fn as_number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) | Value::Counter(n) => Some(*n),
        Value::Bool(b) => Some(i64::from(*b)),
        Value::Str(_) | Value::Text(_) | Value::List(_) | Value::Set(_) | Value::Other(_) => None,
    }
}

/// Digits with a point before the last `scale` of them.
fn pointed(digits: String, scale: u8) -> String {
    let scale = usize::from(scale);
    if scale == 0 {
        return digits;
    }
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |d| ("-", d));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{rest}")
}

fn written(value: &Value) -> String {
    match value {
        Value::Int(n) | Value::Counter(n) => format!("{n}"),
        Value::Bool(true) => "true".to_owned(),
        Value::Bool(false) => "false".to_owned(),
        Value::Str(s) | Value::Text(s) | Value::Other(s) => s.to_owned(),
        Value::List(_) | Value::Set(_) => String::new(),
    }
}

/// The period that a date falls into, from its digits; `None` for what is no date, and where it says too little.
fn label(kind: &str, date: &str) -> Option<String> {
    let widths: Vec<usize> = date.split('-').map(str::len).collect();
    let digits = date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if !digits || widths.is_empty() || widths.len() > 3 || !widths.iter().eq([4, 2, 2].iter().take(widths.len())) {
        return None;
    }
    let parts: Vec<u32> = date.split('-').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    let (year, month, day) = (*parts.first()?, parts.get(1).copied(), parts.get(2).copied());
    let days = month.map(|m| months(year).get((m as usize).checked_sub(1)?).copied());
    if year == 0 || days.is_some_and(|d| d.is_none()) || day.is_some_and(|d| d == 0 || days.flatten() < Some(d)) {
        return None;
    }
    match kind {
        "year" => Some(format!("{year:04}")),
        "half" => Some(format!("{year:04}-H{}", if month? < 7 { 1 } else { 2 })),
        "quarter" => Some(format!("{year:04}-Q{}", month?.div_ceil(3))),
        "month" => Some(format!("{year:04}-{:02}", month?)),
        "day" => day.map(|_| date.to_owned()),
        "week" => Some(week(year, month?, day?)),
        _ => None,
    }
}

fn leap(year: u32) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

/// Days of each month.
fn months(year: u32) -> [u32; 12] {
    [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

/// The ISO week from the number of the day in its year and its day of the week.
fn week(year: u32, month: u32, day: u32) -> String {
    let ordinal = months(year).iter().take(month.saturating_sub(1) as usize).sum::<u32>() + day;
    // 1 = Monday, by Gauss for 31 December of the year before.
    let before = year.saturating_sub(1);
    let dow = (before + before / 4 - before / 100 + before / 400 + ordinal - 1) % 7 + 1;
    let of = (ordinal + 10 - dow) / 7;
    let weeks = |y: u32| {
        let p = |y: u32| (y + y / 4 - y / 100 + y / 400) % 7;
        if p(y) == 4 || p(y.saturating_sub(1)) == 3 { 53 } else { 52 }
    };
    match of {
        0 => format!("{before:04}-W{:02}", weeks(before)),
        n if n > weeks(year) => format!("{:04}-W01", year + 1),
        n => format!("{year:04}-W{n:02}"),
    }
}
