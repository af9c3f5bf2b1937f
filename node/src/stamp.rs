//! Times as text: RFC 3339, UTC, whole seconds.
//!
//! It does not: read a clock.

use sampan_core::time::Millis;

/// `2026-11-21T08:13:00Z`; the epoch for a label out of range, which no stored one is.
#[must_use]
pub fn rfc3339(at: Millis) -> String {
    let stamp = jiff::Timestamp::from_millisecond(at.0 as i64).unwrap_or_default();
    let whole = jiff::Timestamp::from_second(stamp.as_second()).unwrap_or_default();
    whole.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_in_utc() {
        assert_eq!(rfc3339(Millis(1_767_225_600_999)), "2026-01-01T00:00:00Z");
    }
}
