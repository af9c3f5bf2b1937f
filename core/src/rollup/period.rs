//! Periods: which one a date or a moment falls into, and from when to when it lasts.
//!
//! It does not: know today, working days or time zones: a moment is cut in UTC.
//!
//! Invariants: labels sort as their periods do, within one kind; a label is read back to the kind it is of.

use crate::date::Date;
use crate::time::{MAX_MILLIS, Millis};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

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
        let year = i64::from(date.year());
        let month = date.month();
        Some(match self {
            Self::Year => format!("{year:04}"),
            Self::Half => format!("{year:04}-H{}", 1 + (month? - 1) / 6),
            Self::Quarter => format!("{year:04}-Q{}", 1 + (month? - 1) / 3),
            Self::Month => format!("{year:04}-{:02}", month?),
            Self::Day => format!("{year:04}-{:02}-{:02}", month?, date.day()?),
            Self::Week => week_of(days(year, i64::from(month?), i64::from(date.day()?))),
        })
    }

    /// The period of this kind that a moment falls into.
    #[must_use]
    pub fn of_time(self, at: Millis) -> String {
        let day = at.0.min(MAX_MILLIS) as i64 / DAY_MS;
        let (year, month, of_month) = civil(day);
        match self {
            Self::Week => week_of(day),
            Self::Year => format!("{year:04}"),
            Self::Half => format!("{year:04}-H{}", 1 + (month - 1) / 6),
            Self::Quarter => format!("{year:04}-Q{}", 1 + (month - 1) / 3),
            Self::Month => format!("{year:04}-{month:02}"),
            Self::Day => format!("{year:04}-{month:02}-{of_month:02}"),
        }
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

/// Reads a label.
#[must_use]
pub fn read(label: &str) -> Option<Span> {
    let (year, rest) = match label.split_once('-') {
        None => (label, ""),
        Some((year, rest)) => (year, rest),
    };
    let year = number(year, 4).filter(|y| *y >= 1)?;
    let span = |kind, first: i64, after: i64| Some(Span { kind, from: moment(first), until: moment(after) });
    let months = |kind, first: i64, n: i64| {
        let (y, m) = if first + n > 12 { (year + 1, first + n - 12) } else { (year, first + n) };
        span(kind, days(year, first, 1), days(y, m, 1))
    };
    if label.len() == 4 {
        return months(PeriodKind::Year, 1, 12);
    }
    match rest.as_bytes() {
        [b'Q', q @ b'1'..=b'4'] => months(PeriodKind::Quarter, i64::from(q - b'1') * 3 + 1, 3),
        [b'H', h @ b'1'..=b'2'] => months(PeriodKind::Half, i64::from(h - b'1') * 6 + 1, 6),
        [b'W', _, _] => {
            let monday = first_monday(year) + 7 * (number(&rest[1..], 2)? - 1);
            let there = week_of(monday) == label;
            there.then(|| span(PeriodKind::Week, monday, monday + 7)).flatten()
        }
        [_, _] => months(PeriodKind::Month, number(rest, 2).filter(|m| (1..=12).contains(m))?, 1),
        _ => {
            Date::parse(label).ok().filter(|d| d.day().is_some())?;
            let (month, day) = rest.split_once('-')?;
            let first = days(year, number(month, 2)?, number(day, 2)?);
            span(PeriodKind::Day, first, first + 1)
        }
    }
}

/// The year that a period is kept under: the first four characters of its label; empty for none.
#[must_use]
pub fn year_of(label: &str) -> &str {
    if read(label).is_some() { label.get(..4).unwrap_or_default() } else { "" }
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn moment(day: i64) -> Millis {
    Millis((day.max(0) * DAY_MS) as u64)
}

fn week_of(day: i64) -> String {
    let thursday = day - weekday(day) + 3;
    let (year, _, _) = civil(thursday);
    format!("{year:04}-W{:02}", (thursday - days(year, 1, 1)) / 7 + 1)
}

/// The Monday of the first ISO week of a year: the week of 4 January.
fn first_monday(year: i64) -> i64 {
    let fourth = days(year, 1, 4);
    fourth - weekday(fourth)
}

/// 0 = Monday; 1970-01-01 was a Thursday.
fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days`].
fn civil(day: i64) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}
