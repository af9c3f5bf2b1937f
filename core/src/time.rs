//! Labels of time: milliseconds since 1970, bounded, and never the judge of anything.
//!
//! It does not: read a clock (callers pass `now` in) or order changes (causality does).
//!
//! Invariants: a [`Millis`] on the wire lies between 0 and the year 9999; a clock that shows a time
//! before [`BUILD_FLOOR`] counts as *unset*.

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct Millis(#[n(0)] pub u64);

/// The last millisecond of the year 9999: later labels are refused.
pub const MAX_MILLIS: u64 = 253_402_300_799_999;

/// 2026-01-01: no replica of this software existed before, so an earlier clock is unset.
pub const BUILD_FLOOR: Millis = Millis(1_767_225_600_000);

impl Millis {
    /// Whether the label lies in the range that the wire allows.
    #[must_use]
    pub fn in_range(self) -> bool {
        self.0 <= MAX_MILLIS
    }

    /// Whether a clock that shows this has never been set.
    #[must_use]
    pub fn is_unset(self) -> bool {
        self < BUILD_FLOOR
    }
}

/// How the label of an edit is made from the local clock and the last time a relay offered.
///
/// The relay's word is an offset: `relay clock - local clock` when last heard. With an offset, the
/// label is `local + offset`; it never runs more than [`crate::limits::LABEL_LEAD_MS_MAX`] ahead of
/// what the relay would show, because the offset is all that is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockOffset {
    /// Milliseconds to add to the local clock; 0 until a relay was heard.
    pub millis: i64,
}

impl ClockOffset {
    /// The label for a local clock reading.
    #[must_use]
    pub fn label(self, local: Millis) -> Millis {
        let sum = (local.0 as i64).saturating_add(self.millis);
        Millis((sum.max(0) as u64).min(MAX_MILLIS))
    }

    /// The offset after a relay said `relay` while the local clock showed `local`.
    #[must_use]
    pub fn heard(local: Millis, relay: Millis) -> Self {
        Self { millis: (relay.0.min(MAX_MILLIS) as i64) - (local.0.min(MAX_MILLIS) as i64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_at_1970_is_put_right_by_a_relay() {
        let relay = Millis(BUILD_FLOOR.0 + 5_000);
        let off = ClockOffset::heard(Millis(1_000), relay);
        assert_eq!(off.label(Millis(2_000)), Millis(relay.0 + 1_000));
        assert!(Millis(1_000).is_unset());
    }

    #[test]
    fn labels_stay_in_range() {
        assert!(ClockOffset { millis: i64::MAX }.label(Millis(5)).in_range());
        assert_eq!(ClockOffset { millis: i64::MIN }.label(Millis(5)), Millis(0));
    }
}
