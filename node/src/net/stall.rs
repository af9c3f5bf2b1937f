//! Notices a dead path before QUIC's idle timeout does.
//!
//! It does not: read a clock; who runs it passes the time in. It does not tell a slow peer
//! program from a fast one: QUIC acknowledges whether or not the program reads.
//!
//! Invariants: it judges by datagrams received and nothing else. The dialling end pings every
//! 10 s of silence, so that something is outstanding whenever this runs out; after a short outage
//! QUIC's own doubling probes could leave a path unused for as long again, where a new dial takes
//! two round trips.

use std::time::{Duration, Instant};

/// A path on which nothing arrived for this long is given up: one ping and its probes.
pub(super) const STALL_AFTER: Duration = Duration::from_secs(25);

/// How often to look.
pub(super) const STALL_LOOK_EVERY: Duration = Duration::from_secs(5);

/// The last sign of life.
#[derive(Debug)]
pub(super) struct StallWatch {
    datagrams: u64,
    since: Instant,
}

impl StallWatch {
    /// Starts with the count of datagrams received by `now`.
    pub(super) fn new(datagrams: u64, now: Instant) -> Self {
        Self { datagrams, since: now }
    }

    /// Takes the count at `now`; true if it has stood still for [`STALL_AFTER`].
    pub(super) fn stalled(&mut self, datagrams: u64, now: Instant) -> bool {
        if datagrams != self.datagrams {
            *self = Self::new(datagrams, now);
        }
        now.duration_since(self.since) >= STALL_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_standing_count_is_a_stall() {
        let t0 = Instant::now();
        let mut watch = StallWatch::new(3, t0);
        assert!(!watch.stalled(3, t0 + STALL_AFTER - Duration::from_secs(1)));
        assert!(!watch.stalled(4, t0 + STALL_AFTER));
        assert!(!watch.stalled(4, t0 + STALL_AFTER * 2 - Duration::from_secs(1)));
        assert!(watch.stalled(4, t0 + STALL_AFTER * 2));
    }
}
