//! Notices a dead path before QUIC's idle timeout does, and a load that stands still before that.
//!
//! It does not: read a clock; who runs it passes the time in. It does not tell a slow peer
//! program from a fast one: QUIC acknowledges whether or not the program reads.
//!
//! Invariants: it judges by datagrams received and nothing else. The dialling end pings every
//! 10 s of silence, so that something is outstanding whenever this runs out; after a short outage
//! QUIC's own doubling probes could leave a path unused for as long again, where a new dial takes
//! two round trips. A load that stands still is nudged: after a new port at a NAT the other end sends to
//! the old one until it hears from here, and may then send no more than three times what it heard
//! (RFC 9000, 8.1 and 9.3), which after pings of 40 bytes is not one packet.

use std::time::{Duration, Instant};

/// A path on which nothing arrived for this long is given up: one ping and its probes.
pub(super) const STALL_AFTER: Duration = Duration::from_secs(25);

/// How often to look: a load of a few seconds must be noticed while it lasts, and a machine may dial thousands.
pub(super) const STALL_LOOK_EVERY: Duration = Duration::from_secs(2);

/// What came in since the last nudge, in bytes, makes silence look like a load that was cut off rather than like
/// an end that has nothing to say. A nudge costs a fourteenth of it.
const LOAD_FROM: u64 = 16 << 10;

/// A load is nudged after a silence of so many round trips: one is what any answer takes, and queues on the
/// way double it.
const SILENT_ROUND_TRIPS: u32 = 4;

/// But after no less: a peer's disk may take so long.
const SILENCE_MIN: Duration = Duration::from_millis(500);

/// And after no more, whatever queues have made of the round trip's estimate.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Nudges in one silence, each after twice the wait: what they cannot mend, a new dial can.
const NUDGES_MAX: u32 = 4;

/// How often to look while a load may be under way.
pub(super) const LOAD_LOOK_EVERY: Duration = Duration::from_millis(250);

/// Notices that a load stands still.
#[derive(Debug)]
pub(super) struct LoadWatch {
    bytes: u64,
    since: Instant,
    /// Bytes received when the last nudge went, or at the start.
    nudged_at: u64,
    nudges: u32,
}

impl LoadWatch {
    /// Starts with the bytes received by `now`.
    pub(super) fn new(bytes: u64, now: Instant) -> Self {
        Self { bytes, since: now, nudged_at: bytes, nudges: 0 }
    }

    /// Whether so much has come that silence would be worth a nudge.
    pub(super) fn is_load(&self) -> bool {
        self.nudges > 0 || self.bytes - self.nudged_at >= LOAD_FROM
    }

    /// Takes the bytes received by `now`; true if a nudge is due.
    pub(super) fn stands(&mut self, bytes: u64, round_trip: Duration, now: Instant) -> bool {
        if bytes != self.bytes {
            (self.bytes, self.since, self.nudges) = (bytes, now, 0);
        }
        let wait = (round_trip * SILENT_ROUND_TRIPS).clamp(SILENCE_MIN, SILENCE_MAX) * 2_u32.pow(self.nudges);
        let due = self.is_load() && self.nudges < NUDGES_MAX && now.duration_since(self.since) >= wait;
        if due {
            self.nudges += 1;
            (self.nudged_at, self.since) = (bytes, now);
        }
        due
    }
}

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

    #[test]
    fn only_a_load_that_stands_still_is_nudged_and_not_for_ever() {
        let t0 = Instant::now();
        let (trip, ms) = (Duration::from_millis(100), Duration::from_millis);
        let mut watch = LoadWatch::new(0, t0);
        assert!(!watch.stands(LOAD_FROM - 1, trip, t0 + ms(1)));
        assert!(!watch.stands(LOAD_FROM - 1, trip, t0 + ms(9_000)), "too little for a load");
        assert!(!watch.stands(LOAD_FROM, trip, t0 + ms(10_000)));
        assert!(!watch.stands(LOAD_FROM, trip, t0 + ms(10_499)), "not silent for long");
        assert!(watch.stands(LOAD_FROM, trip, t0 + ms(10_500)));
        assert!(!watch.stands(LOAD_FROM, trip, t0 + ms(11_499)), "the second wait is twice as long");
        assert!(watch.stands(LOAD_FROM, trip, t0 + ms(11_500)));
        assert!(watch.stands(LOAD_FROM, trip, t0 + ms(20_000)));
        assert!(watch.stands(LOAD_FROM, trip, t0 + ms(40_000)));
        assert!(!watch.stands(LOAD_FROM, trip, t0 + ms(99_000)), "it has had its nudges");
        // The answer to a nudge is no load.
        assert!(!watch.stands(LOAD_FROM + 100, trip, t0 + ms(99_001)));
        assert!(!watch.is_load());
        assert!(!watch.stands(LOAD_FROM + 100, trip, t0 + ms(109_000)));
        // On a long path a pause of less than four round trips is none.
        assert!(!watch.stands(LOAD_FROM * 3, ms(600), t0 + ms(110_000)));
        assert!(!watch.stands(LOAD_FROM * 3, ms(600), t0 + ms(112_399)));
        assert!(watch.stands(LOAD_FROM * 3, ms(600), t0 + ms(112_400)));
    }
}
