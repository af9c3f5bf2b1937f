//! Dates as the records know them: a year, a month or a day, without a time or a zone.
//!
//! It does not: know today; know days of rest (see `due`).
//!
//! Invariants: a [`Date`] exists in the Gregorian calendar, year 1 to 9999; it prints as `YYYY`,
//! `YYYY-MM` or `YYYY-MM-DD` and parses from exactly that ([`Date::parse_typed`] also takes what a
//! person writes in Vietnam).

use std::fmt;

/// A date of the precision that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    /// 0 = not known.
    month: u8,
    /// 0 = not known.
    day: u8,
}

/// Why a text is no date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// Not one of the forms.
    #[error("a date such as 2025, 2025-11, 2025-11-30 or 30/11/2025")]
    Form,
    /// A month beyond December.
    #[error("a date whose month lies between 1 and 12 (day comes before month: 30/11/2025)")]
    Month,
    /// A day that this month does not have.
    #[error("a date that exists: that month has {days} days")]
    Day {
        /// Days of that month.
        days: u8,
    },
}

impl Date {
    /// A date from its parts; `None` stands for not known.
    ///
    /// # Errors
    /// A year outside 1 to 9999, a day without a month, or a date that does not exist.
    pub fn new(year: u16, month: Option<u8>, day: Option<u8>) -> Result<Self, DateError> {
        if !(1..=9999).contains(&year) || (month.is_none() && day.is_some()) {
            return Err(DateError::Form);
        }
        if month.is_some_and(|m| !(1..=12).contains(&m)) {
            return Err(DateError::Month);
        }
        if let (Some(m), Some(d)) = (month, day) {
            let days = days_in(year, m);
            if !(1..=days).contains(&d) {
                return Err(DateError::Day { days });
            }
        }
        Ok(Self { year, month: month.unwrap_or(0), day: day.unwrap_or(0) })
    }

    /// The stored form only: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    ///
    /// # Errors
    /// Any other form, and dates that do not exist.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let parts: Vec<&str> = text.split('-').collect();
        match parts[..] {
            [y] => Self::new(year(y)?, None, None),
            [y, m] => Self::new(year(y)?, Some(two(m)?), None),
            [y, m, d] => Self::new(year(y)?, Some(two(m)?), Some(two(d)?)),
            _ => Err(DateError::Form),
        }
    }

    /// What a person types: the stored form, `d/m/yyyy` or `m/yyyy`, also with points or dashes, with spaces around it.
    /// Day comes before month in every language.
    ///
    /// # Errors
    /// Any other form, and dates that do not exist.
    pub fn parse_typed(text: &str) -> Result<Self, DateError> {
        let text = text.trim();
        // Behind a dash a year of four digits tells day-first from the stored form.
        let mark = text.chars().find(|c| matches!(c, '/' | '.')).unwrap_or('-');
        let parts: Vec<&str> = text.split(mark).map(str::trim).collect();
        match parts[..] {
            [m, y] if y.len() == 4 => Self::new(year(y)?, Some(one_or_two(m)?), None),
            [d, m, y] if y.len() == 4 => Self::new(year(y)?, Some(one_or_two(m)?), Some(one_or_two(d)?)),
            _ => Self::parse(text),
        }
    }

    /// The year.
    #[must_use]
    pub fn year(self) -> u16 {
        self.year
    }

    /// The month, if known.
    #[must_use]
    pub fn month(self) -> Option<u8> {
        (self.month > 0).then_some(self.month)
    }

    /// The day, if known.
    #[must_use]
    pub fn day(self) -> Option<u8> {
        (self.day > 0).then_some(self.day)
    }

    /// Days from 1970-01-01 to the last day that this date may mean: a year ends on 31 December, a month on its last day.
    ///
    /// The arithmetic is Howard Hinnant's ("chrono-compatible low-level date algorithms", `days_from_civil`).
    #[must_use]
    pub fn last_day_number(self) -> i32 {
        let month = if self.month == 0 { 12 } else { self.month };
        let day = if self.day == 0 { days_in(self.year, month) } else { self.day };
        // The year begins in March, so that a leap day is its last.
        let year = i32::from(self.year) - i32::from(month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * (i32::from(month) + if month > 2 { -3 } else { 9 }) + 2) / 5 + i32::from(day) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// The day that lies so many days after 1970-01-01; `None` outside the years 1 to 9999. The reverse of
    /// [`Date::last_day_number`] for whole days (`civil_from_days` of the same source).
    #[must_use]
    pub fn from_day_number(days: i32) -> Option<Self> {
        let shifted = days.checked_add(719_468)?;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = shifted_month + if shifted_month < 10 { 3 } else { -9 };
        let year = year_of_era + era * 400 + i32::from(month <= 2);
        // Each lies in its range by construction, but for the year.
        Self::new(u16::try_from(year).ok()?, Some(month as u8), Some(day as u8)).ok()
    }

    /// So many months later, as precise as this date is: a year stays a year, and the day is the last of its month
    /// where that month is shorter. `None` beyond the year 9999.
    #[must_use]
    pub fn plus_months(self, months: u32) -> Option<Self> {
        let before = u32::from(self.year) * 12 + u32::from(self.month.max(1)) - 1;
        let after = before.checked_add(months)?;
        let (year, month) = (u16::try_from(after / 12).ok()?, (after % 12 + 1) as u8);
        match (self.month(), self.day()) {
            (None, _) => Self::new(year, None, None).ok(),
            (Some(_), None) => Self::new(year, Some(month), None).ok(),
            (Some(_), Some(day)) => Self::new(year, Some(month), Some(day.min(days_in(year, month)))).ok(),
        }
    }

    /// Day before month, as written in Vietnam: `30/11/2025`, `11/2025`, `2025`.
    #[must_use]
    pub fn day_first(self) -> String {
        match (self.month(), self.day()) {
            (Some(m), Some(d)) => format!("{d:02}/{m:02}/{:04}", self.year),
            (Some(m), None) => format!("{m:02}/{:04}", self.year),
            (None, _) => format!("{:04}", self.year),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if let Some(m) = self.month() {
            write!(f, "-{m:02}")?;
        }
        if let Some(d) = self.day() {
            write!(f, "-{d:02}")?;
        }
        Ok(())
    }
}

fn digits(text: &str, widths: std::ops::RangeInclusive<usize>) -> Result<u16, DateError> {
    let ok = widths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    ok.then(|| text.parse().ok()).flatten().ok_or(DateError::Form)
}

fn year(text: &str) -> Result<u16, DateError> {
    digits(text, 4..=4)
}

fn two(text: &str) -> Result<u8, DateError> {
    digits(text, 2..=2).map(|n| n as u8) // two digits fit
}

fn one_or_two(text: &str) -> Result<u8, DateError> {
    digits(text, 1..=2).map(|n| n as u8) // two digits fit
}

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_precisions_round_trip() {
        for text in ["2025", "2025-02", "2024-02-29", "0001-01-01", "9999-12-31"] {
            assert_eq!(Date::parse(text).map(|d| d.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_people_write_becomes_the_stored_form() {
        for (typed, stored) in [
            ("5/1/1998", "1998-01-05"),
            ("30/11/2025", "2025-11-30"),
            ("11/2025", "2025-11"),
            (" 1975 ", "1975"),
            ("1998-01-05", "1998-01-05"),
            ("5-1-1998", "1998-01-05"),
            ("05.01.1998", "1998-01-05"),
            ("11-2025", "2025-11"),
            ("2025-11", "2025-11"),
        ] {
            assert_eq!(Date::parse_typed(typed).map(|d| d.to_string()), Ok(stored.to_owned()));
        }
        assert_eq!(Date::parse("1998-01-05").map(Date::day_first), Ok("05/01/1998".to_owned()));
        assert_eq!(Date::parse("1998-01").map(Date::day_first), Ok("01/1998".to_owned()));
    }

    #[test]
    fn dates_that_do_not_exist_are_refused_with_a_reason() {
        assert_eq!(Date::parse("2025-02-29"), Err(DateError::Day { days: 28 }));
        assert_eq!(Date::parse("1900-02-29"), Err(DateError::Day { days: 28 }));
        assert_eq!(Date::parse("2025-13"), Err(DateError::Month));
        assert_eq!(Date::parse_typed("11/30/2025"), Err(DateError::Month));
        assert_eq!(Date::parse("2025-00"), Err(DateError::Month));
    }

    #[test]
    fn days_are_counted_through_every_calendar_rule() {
        for (text, number) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-03-01", 11_017),
            ("2024-02-29", 19_782),
            ("2026-11-22", 20_779),
            ("0001-01-01", -719_162),
            ("9999-12-31", 2_932_896),
            ("2024-02", 19_782),
            ("1970", 364),
        ] {
            assert_eq!(Date::parse(text).map(Date::last_day_number), Ok(number), "{text}");
        }
        let mut before = None;
        for number in -719_162..=2_932_896 {
            let date = Date::from_day_number(number).unwrap();
            assert_eq!(date.last_day_number(), number);
            assert!(before < Some(date), "{date}");
            before = Some(date);
        }
        assert_eq!(Date::from_day_number(-719_163), None);
        assert_eq!(Date::from_day_number(2_932_897), None);
    }

    #[test]
    fn months_are_added_as_far_as_the_date_is_known() {
        for (from, months, to) in [
            ("2025-01-31", 1, Some("2025-02-28")),
            ("2024-02-29", 12, Some("2025-02-28")),
            ("2025-12", 1, Some("2026-01")),
            ("1996", 360, Some("2026")),
            ("1996-05-19", 360, Some("2026-05-19")),
            ("9999-12", 1, None),
        ] {
            let after = Date::parse(from).unwrap().plus_months(months).map(|d| d.to_string());
            assert_eq!(after.as_deref(), to, "{from} + {months}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "25",
            "0000",
            "2025-1",
            "2025-1-1",
            "2025-01-01T00",
            "+025",
            "1/2/3/2025",
            "5/1/98",
            "5.1-1998",
            "5.1.98",
        ] {
            assert_eq!(Date::parse_typed(text), Err(DateError::Form), "{text}");
        }
        assert_eq!(Date::parse("5/1/1998"), Err(DateError::Form));
    }
}
