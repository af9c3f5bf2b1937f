//! How fast backfill and files may leave: a cap by day, none at night.
//!
//! It does not: hold back anything more urgent than backfill; a directive never waits for a cap.
//!
//! Invariants: without `rate_kbit_max` nothing waits; over any stretch of day at most the cap and one
//! frame go out.

use crate::config::{Config, Night};
use sampan_core::sync::lane;
use std::time::Duration;
use tokio::time::Instant;

/// The pace of one link.
#[derive(Debug, Clone)]
pub struct Pace {
    kbit: Option<u32>,
    night: Night,
    free_at: Instant,
}

impl Pace {
    /// The pace that a configuration asks for.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self { kbit: config.rate_kbit_max, night: config.night, free_at: Instant::now() }
    }

    /// How long a frame on this lane has to wait; `None` when it may go now.
    #[must_use]
    pub fn wait(&self, frame_lane: u8, now: Instant, minute: impl Fn() -> u16) -> Option<Duration> {
        if frame_lane < lane::BACKFILL || self.kbit.is_none() || self.night.contains(minute()) {
            return None;
        }
        self.free_at.checked_duration_since(now).filter(|d| !d.is_zero())
    }

    /// A frame of this many bytes went out.
    pub fn spent(&mut self, frame_lane: u8, bytes: usize, now: Instant) {
        let Some(kbit) = self.kbit.filter(|_| frame_lane >= lane::BACKFILL) else { return };
        // kbit a second is bits a millisecond.
        let millis = bytes as u64 * 8 / u64::from(kbit.max(1));
        self.free_at = self.free_at.max(now) + Duration::from_millis(millis);
    }
}

/// The minute of the local day, 0 to 1,439.
#[must_use]
pub fn minute_of_day() -> u16 {
    let now = jiff::Zoned::now();
    u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backfill_waits_by_day_and_nothing_else_does() {
        let config = Config { rate_kbit_max: Some(64), ..Config::default() };
        let mut pace = Pace::of(&config);
        let now = Instant::now();
        let (noon, midnight) = (|| 12 * 60, || 0);
        assert_eq!(pace.wait(lane::BACKFILL, now, noon), None);
        pace.spent(lane::BACKFILL, 8_000, now);
        assert_eq!(pace.wait(lane::BACKFILL, now, noon), Some(Duration::from_secs(1)));
        assert_eq!(pace.wait(lane::BACKFILL, now, midnight), None, "the night is free");
        for urgent in [lane::CHARTER, lane::DOWN, lane::REGISTERS, lane::RECENT] {
            assert_eq!(pace.wait(urgent, now, noon), None);
        }
        assert_eq!(pace.wait(lane::BACKFILL, now + Duration::from_secs(1), noon), None);
    }
}
