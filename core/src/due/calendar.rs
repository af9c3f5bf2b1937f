//! Which days are worked: the week's days of rest, holidays, and days worked in exchange.
//!
//! It does not: know today, or where holidays come from (records of a collection that the schema names).
//!
//! Invariants: counting working days always ends; a record that says no day, or too many, changes nothing and is told.

use crate::date::Date;
use crate::limits::{DUE_SPAN_DAYS_MAX, HOLIDAY_DAYS_MAX};
use crate::schema::due::{OnRest, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Days looked at before a span of working days is given up: a calendar that has no more working days than this is wrong.
const LOOK_DAYS_MAX: i32 = 8 * DUE_SPAN_DAYS_MAX as i32;
/// 1970-01-01 was a Thursday; Monday is 0.
const WEEKDAY_OF_DAY_0: i32 = 3;

/// The calendar of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    /// Days of the week without work, 0 = Monday.
    rest: BTreeSet<u8>,
    /// Single days, by their number from 1970-01-01, and whether they are worked.
    days: BTreeMap<i32, bool>,
}

/// Why a record of a holiday says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HolidayError {
    /// A year or a month only.
    #[error("it names no day")]
    NoDay,
    /// The last day lies before the first.
    #[error("its last day lies before its first")]
    Backwards,
    /// Longer than [`HOLIDAY_DAYS_MAX`] days.
    #[error("it is longer than {HOLIDAY_DAYS_MAX} days")]
    TooLong,
}

impl Calendar {
    /// A calendar with these days of the week without work, 0 = Monday.
    #[must_use]
    pub fn new(rest: &[u8]) -> Self {
        Self { rest: rest.iter().copied().collect(), days: BTreeMap::new() }
    }

    /// Takes in a holiday from its first to its last day, or days that are worked in exchange. Where two records speak
    /// of one day, *worked* wins: it is the exception of an exception.
    ///
    /// # Errors
    /// [`HolidayError`]; nothing was taken in.
    pub fn holiday(&mut self, first: Date, last: Option<Date>, worked: bool) -> Result<(), HolidayError> {
        let last = last.unwrap_or(first);
        if first.day().is_none() || last.day().is_none() {
            return Err(HolidayError::NoDay);
        }
        let (first, last) = (first.last_day_number(), last.last_day_number());
        if last < first {
            return Err(HolidayError::Backwards);
        }
        if last - first >= HOLIDAY_DAYS_MAX {
            return Err(HolidayError::TooLong);
        }
        for day in first..=last {
            let known = self.days.entry(day).or_insert(worked);
            *known |= worked;
        }
        Ok(())
    }

    /// Whether any single day of this year is known: if not, only the days of the week were counted.
    #[must_use]
    pub fn knows_year(&self, year: u16) -> bool {
        let day = |month, day| Date::new(year, Some(month), Some(day)).map(Date::last_day_number);
        match (day(1, 1), day(12, 31)) {
            (Ok(first), Ok(last)) => self.days.range(first..=last).next().is_some(),
            _ => false,
        }
    }

    /// Whether work is done on this day, counted from 1970-01-01.
    #[must_use]
    pub fn works(&self, day: i32) -> bool {
        match self.days.get(&day) {
            Some(worked) => *worked,
            None => {
                let weekday = day.wrapping_add(WEEKDAY_OF_DAY_0).rem_euclid(7);
                !self.rest.contains(&(weekday as u8)) // 0 to 6
            }
        }
    }

    /// The date that lies so long after another, as precise as that one is, but a day where days are counted. A span of
    /// working days begins with the first working day *after* the date. `None` beyond the calendar.
    #[must_use]
    pub fn after(&self, date: Date, span: Span) -> Option<Date> {
        match span {
            Span::Days(0) | Span::WorkingDays(0) | Span::Months(0) | Span::Years(0) => Some(date),
            Span::Days(n) => Date::from_day_number(date.last_day_number().checked_add_unsigned(n)?),
            Span::Months(n) => date.plus_months(n),
            Span::Years(n) => date.plus_months(n.checked_mul(12)?),
            Span::WorkingDays(n) => {
                let first = date.last_day_number();
                let days = (first.checked_add(1)?..=first.checked_add(LOOK_DAYS_MAX)?).filter(|d| self.works(*d));
                Date::from_day_number(days.take(n as usize).last()?)
            }
        }
    }

    /// Where a deadline lies that may fall on a day of rest; a date without a day stays.
    #[must_use]
    pub fn on_rest(&self, date: Date, rule: OnRest) -> Date {
        if date.day().is_none() {
            return date;
        }
        let day = date.last_day_number();
        let found = match rule {
            OnRest::Stays => None,
            OnRest::Next => (day..day.saturating_add(LOOK_DAYS_MAX)).find(|d| self.works(*d)),
            OnRest::Before => (day.saturating_sub(LOOK_DAYS_MAX)..=day).rev().find(|d| self.works(*d)),
        };
        found.and_then(Date::from_day_number).unwrap_or(date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    /// Saturdays and Sundays rest; Tết of 2026 (16 to 20 February), and Saturday 28 February worked for it.
    fn tet() -> Calendar {
        let mut calendar = Calendar::new(&[5, 6]);
        calendar.holiday(date("2026-02-16"), Some(date("2026-02-20")), false).unwrap();
        calendar.holiday(date("2026-02-28"), None, true).unwrap();
        calendar
    }

    #[test]
    fn working_days_pass_over_weekends_and_holidays_and_count_days_worked_in_exchange() {
        let calendar = tet();
        for (from, days, to) in [
            ("2026-02-12", 1, "2026-02-13"),
            ("2026-02-13", 1, "2026-02-23"),
            ("2026-02-14", 1, "2026-02-23"),
            ("2026-02-13", 5, "2026-02-27"),
            ("2026-02-13", 6, "2026-02-28"),
            ("2026-02-13", 7, "2026-03-02"),
        ] {
            assert_eq!(calendar.after(date(from), Span::WorkingDays(days)), Some(date(to)), "{from} + {days}");
        }
    }

    #[test]
    fn a_deadline_on_a_day_of_rest_moves_as_the_rule_says() {
        let calendar = tet();
        assert_eq!(calendar.on_rest(date("2026-02-17"), OnRest::Next), date("2026-02-23"));
        assert_eq!(calendar.on_rest(date("2026-02-17"), OnRest::Before), date("2026-02-13"));
        assert_eq!(calendar.on_rest(date("2026-02-17"), OnRest::Stays), date("2026-02-17"));
        assert_eq!(calendar.on_rest(date("2026-02-28"), OnRest::Next), date("2026-02-28"));
        assert_eq!(calendar.on_rest(date("2026-02"), OnRest::Next), date("2026-02"));
    }

    #[test]
    fn holidays_that_say_nothing_are_told_and_change_nothing() {
        let mut calendar = tet();
        let before = calendar.clone();
        for (first, last, why) in [
            ("2026", None, HolidayError::NoDay),
            ("2026-04-30", Some("2026-05"), HolidayError::NoDay),
            ("2026-05-01", Some("2026-04-30"), HolidayError::Backwards),
            ("2026-05-01", Some("2062-05-03"), HolidayError::TooLong),
        ] {
            assert_eq!(calendar.holiday(date(first), last.map(date), false), Err(why), "{first} {last:?}");
        }
        assert_eq!(calendar, before);
        assert!(calendar.knows_year(2026) && !calendar.knows_year(2027));
    }

    #[test]
    fn what_lies_beyond_the_calendar_has_no_date() {
        let calendar = Calendar::new(&[5, 6]);
        assert_eq!(calendar.after(date("9999-12-31"), Span::Days(1)), None);
        assert_eq!(calendar.after(date("9999-12-31"), Span::WorkingDays(1)), None);
        assert_eq!(calendar.after(date("9950"), Span::Years(50)), None);
        assert_eq!(calendar.after(date("1996"), Span::Years(30)), Some(date("2026")));
        assert_eq!(calendar.after(date("2024-02"), Span::Days(1)), Some(date("2024-03-01")));
    }
}
