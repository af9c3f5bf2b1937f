//! Times as programs read them, and the end of a day that a person names.
//!
//! It does not: read a clock or judge a right by one.
//!
//! Invariants: what is printed is RFC 3339 in UTC; a day ends with its last millisecond in UTC.

use sampan_core::date::Date;
use sampan_core::time::Millis;
pub use sampan_node::stamp::rfc3339;

/// RFC 3339, `None` for a time that never was.
#[must_use]
pub fn maybe(at: Option<Millis>) -> Option<String> {
    at.filter(|t| *t > Millis(0)).map(rfc3339)
}

/// The last millisecond of a day, month or year.
#[must_use]
pub fn end_of(date: Date) -> Option<Millis> {
    let (year, month, day) = (i16::try_from(date.year()).ok()?, date.month(), date.day());
    let small = |n: u8| i8::try_from(n).ok();
    let last = match (month, day) {
        (Some(m), Some(d)) => jiff::civil::Date::new(year, small(m)?, small(d)?).ok()?,
        (Some(m), None) => jiff::civil::Date::new(year, small(m)?, 1).ok()?.last_of_month(),
        (None, _) => jiff::civil::Date::new(year, 12, 31).ok()?,
    };
    let zoned = last.at(23, 59, 59, 999_000_000).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    u64::try_from(zoned.timestamp().as_millisecond()).ok().map(Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_with_its_last_millisecond() {
        let end = |t: &str| end_of(Date::parse_typed(t).unwrap()).map(rfc3339);
        assert_eq!(end("2027-02-28").as_deref(), Some("2027-02-28T23:59:59Z"));
        assert_eq!(end("2/2028").as_deref(), Some("2028-02-29T23:59:59Z"));
        assert_eq!(end("2027").as_deref(), Some("2027-12-31T23:59:59Z"));
        assert_eq!(end("1960"), None);
        assert_eq!(rfc3339(Millis(0)), "1970-01-01T00:00:00Z");
        assert_eq!(maybe(Some(Millis(0))), None);
    }
}
