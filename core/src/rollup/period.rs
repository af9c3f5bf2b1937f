//! Periods: which one a date or a moment falls into, and from when to when it lasts.
//!
//! It does not: know today, working days or time zones: a moment is cut in UTC; or reckon with dates ([`Date`] does).
//!
//! Invariants: labels sort as their periods do, within one kind; a label is read back to the kind it is of.

use crate::date::Date;
use crate::time::{MAX_MILLIS, Millis};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// How long a period lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeriodKind {
    /// `2026-11-22`
    Day,
    /// `2026-W47`, as in ISO 8601: from Monday on, in the year of its Thursday.
    Week,
    /// `2026-11`
    Month,
    /// `2026-Q4`
    Quarter,
    /// `2026-H2`
    Half,
    /// `2026`
    Year,
}

impl PeriodKind {
    /// The kind that a schema calls so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "quarter" => Self::Quarter,
            "half" => Self::Half,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// The period of this kind that a date falls into; `None` where the date is not known well enough.
    #[must_use]
    pub fn of_date(self, date: Date) -> Option<String> {
        let (year, month) = (date.year(), date.month());
        Some(match self {
            Self::Year => format!("{year:04}"),
            Self::Half => format!("{year:04}-H{}", 1 + (month? - 1) / 6),
            Self::Quarter => format!("{year:04}-Q{}", 1 + (month? - 1) / 3),
            Self::Month => format!("{year:04}-{:02}", month?),
            Self::Day => date.day().map(|_| date.to_string())?,
            Self::Week => date.day().and_then(|_| week_of(date.last_day_number()))?,
        })
    }

    /// The period of this kind that a moment falls into.
    #[must_use]
    pub fn of_time(self, at: Millis) -> String {
        let day = Date::from_day_number((at.0.min(MAX_MILLIS) / DAY_MS) as i32); // the year 9999 at the latest
        day.and_then(|day| self.of_date(day)).unwrap_or_default()
    }
}

/// One period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its kind.
    pub kind: PeriodKind,
    /// Its first moment; 0 for one before 1970.
    pub from: Millis,
    /// The first moment after it.
    pub until: Millis,
}

/// One period in days, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// Its kind.
    pub kind: PeriodKind,
    /// Its first day.
    pub first: i32,
    /// Its last day.
    pub last: i32,
}

impl Days {
    /// The label of the period before it; `None` before the year 1.
    #[must_use]
    pub fn before(self) -> Option<String> {
        self.kind.of_date(Date::from_day_number(self.first.checked_sub(1)?)?)
    }
}

/// Reads a label.
#[must_use]
pub fn read(label: &str) -> Option<Span> {
    let Days { kind, first, last } = days(label)?;
    let moment = |day: i32| Millis(u64::from(day.max(0).unsigned_abs()) * DAY_MS);
    Some(Span { kind, from: moment(first), until: moment(last.saturating_add(1)) })
}

/// Reads a label as the days from its first to its last.
#[must_use]
pub fn days(label: &str) -> Option<Days> {
    let (year, rest) = label.split_once('-').unwrap_or((label, ""));
    let year = number(year, 4)?;
    let months = |kind, first: u8, n: u8| {
        let last = Date::new(year, Some(first + n - 1), None).ok()?.last_day_number();
        Some(Days { kind, first: day(year, first, 1)?, last })
    };
    if label.len() == 4 {
        return months(PeriodKind::Year, 1, 12);
    }
    match rest.as_bytes() {
        [b'Q', q @ b'1'..=b'4'] => months(PeriodKind::Quarter, (q - b'1') * 3 + 1, 3),
        [b'H', h @ b'1'..=b'2'] => months(PeriodKind::Half, (h - b'1') * 6 + 1, 6),
        [b'W', _, _] => {
            // The first week is that of 4 January.
            let fourth = day(year, 1, 4)?;
            let first = fourth - weekday(fourth) + 7 * (i32::from(number(&rest[1..], 2)?) - 1);
            let there = week_of(first).as_deref() == Some(label);
            there.then_some(Days { kind: PeriodKind::Week, first, last: first + 6 })
        }
        [_, _] => months(PeriodKind::Month, number(rest, 2).filter(|m| (1..=12).contains(m))? as u8, 1),
        _ => {
            let date = Date::parse(label).ok().filter(|d| d.day().is_some())?;
            Some(Days { kind: PeriodKind::Day, first: date.last_day_number(), last: date.last_day_number() })
        }
    }
}

/// The year that a period is kept under: the first four characters of its label; empty for none.
#[must_use]
pub fn year_of(label: &str) -> &str {
    if read(label).is_some() { label.get(..4).unwrap_or_default() } else { "" }
}

fn number(text: &str, digits: usize) -> Option<u16> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn day(year: u16, month: u8, day: u8) -> Option<i32> {
    Date::new(year, Some(month), Some(day)).ok().map(Date::last_day_number)
}

/// The week of a day, counted from 1970-01-01.
fn week_of(of: i32) -> Option<String> {
    let thursday = of - weekday(of) + 3;
    let year = Date::from_day_number(thursday)?.year();
    Some(format!("{year:04}-W{:02}", (thursday - day(year, 1, 1)?) / 7 + 1))
}

/// 0 = Monday; 1970-01-01 was a Thursday.
fn weekday(day: i32) -> i32 {
    (day + 3).rem_euclid(7)
}
