//! Dates as the records know them: a year, a month or a day, without a time or a zone.
//!
//! It does not: know today; compute ages or periods.
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

    /// What a person types: the stored form, `d/m/yyyy` or `m/yyyy`, with spaces around it.
    ///
    /// # Errors
    /// Any other form, and dates that do not exist.
    pub fn parse_typed(text: &str) -> Result<Self, DateError> {
        let text = text.trim();
        let parts: Vec<&str> = text.split('/').map(str::trim).collect();
        match parts[..] {
            [_] => Self::parse(text),
            [m, y] => Self::new(year(y)?, Some(one_or_two(m)?), None),
            [d, m, y] => Self::new(year(y)?, Some(one_or_two(m)?), Some(one_or_two(d)?)),
            _ => Err(DateError::Form),
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
    fn other_forms_are_refused() {
        for text in ["", "25", "0000", "2025-1", "2025-1-1", "2025-01-01T00", "+025", "1/2/3/2025", "5/1/98"] {
            assert_eq!(Date::parse_typed(text), Err(DateError::Form), "{text}");
        }
        assert_eq!(Date::parse("5/1/1998"), Err(DateError::Form));
    }
}
