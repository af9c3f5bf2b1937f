//! What is due when: the schema's rules applied to records and periods.
//!
//! It does not: read records or know who answered; a caller brings the values of a record, or says which periods a unit
//! has, and the day of today.
//!
//! Invariants: the same records, calendar and day give the same list on every machine; what was reached or is there is
//! not due; of several milestones that have passed only the last is.

mod calendar;

pub use calendar::{Calendar, HolidayError};

use crate::date::Date;
use crate::limits::DUE_PERIODS_BACK;
use crate::rollup::period::{self, PeriodKind};
use crate::schema::due::{DueRule, DueWhen, Each, OnRest, Span};
use crate::value::Value;

/// One date to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// When, as precise as it is known.
    pub on: Date,
    /// The last day that this may mean, counted from 1970-01-01: later than this is late.
    pub day: i32,
    /// Which milestone, where the rule has several.
    pub milestone: Option<Span>,
    /// Which period, where the rule asks for one each.
    pub period: Option<String>,
}

impl Due {
    fn new(on: Date, calendar: &Calendar, on_rest: OnRest) -> Self {
        let on = calendar.on_rest(on, on_rest);
        Self { on, day: on.last_day_number(), milestone: None, period: None }
    }
}

/// The dates that a record makes due by a rule of its collection; `get` gives the value of a field. Whether the record
/// passes the rule's filter, and whether it was answered, is the caller's to see.
#[must_use]
pub fn of_record(rule: &DueRule, get: &dyn Fn(&str) -> Option<Value>, calendar: &Calendar, today: i32) -> Vec<Due> {
    let DueWhen::Record { date, after, reached } = &rule.when else { return Vec::new() };
    let Some(Value::Str(text)) = get(date) else { return Vec::new() };
    let Ok(from) = Date::parse(&text) else { return Vec::new() };
    let reached = match reached.as_deref().and_then(get) {
        Some(Value::Int(n)) => Some(n),
        _ => None,
    };
    let several = after.len() > 1;
    let mut dues: Vec<Due> = after
        .iter()
        .filter(|span| reached.is_none_or(|n| i64::from(span.number()) > n))
        .filter_map(|span| {
            let due = Due::new(calendar.after(from, *span)?, calendar, rule.on_rest);
            Some(Due { milestone: several.then_some(*span), ..due })
        })
        .collect();
    dues.sort_by_key(|d| d.day);
    // Whoever reached the second milestone is not asked about the first.
    let passed = dues.iter().filter(|d| d.day < today).count();
    dues.split_off(passed.saturating_sub(1))
}

/// The periods of a rule that a unit lacks: those that have ended, at most [`DUE_PERIODS_BACK`] of them, and the one of
/// today. `has` says whether a record for a period is there; `from` is the unit's first day where it is known.
#[must_use]
pub fn of_periods(
    rule: &DueRule,
    has: &dyn Fn(&str) -> bool,
    calendar: &Calendar,
    today: i32,
    from: Option<i32>,
) -> Vec<Due> {
    let DueWhen::Period { each, after, since, .. } = &rule.when else { return Vec::new() };
    // A rule's first day is the first that its date may mean, and all but a whole date are asked for from their end on.
    let since = since.map(Date::last_day_number).max(from);
    let Some(today) = Date::from_day_number(today) else { return Vec::new() };
    let kind = match each {
        Each::Month => PeriodKind::Month,
        Each::Quarter => PeriodKind::Quarter,
        Each::Half => PeriodKind::Half,
        Each::Year => PeriodKind::Year,
    };
    let mut dues = Vec::new();
    let mut period = kind.of_date(today);
    for _ in 0..=DUE_PERIODS_BACK {
        let Some((name, days)) = period.and_then(|name| period::days(&name).map(|days| (name, days))) else { break };
        if since.is_some_and(|s| days.last < s) {
            break;
        }
        if !has(&name)
            && let Some(on) = Date::from_day_number(days.last).and_then(|d| calendar.after(d, *after))
        {
            dues.push(Due { period: Some(name), ..Due::new(on, calendar, rule.on_rest) });
        }
        period = days.before();
    }
    dues.reverse();
    dues
}

#[cfg(test)]
mod tests;
