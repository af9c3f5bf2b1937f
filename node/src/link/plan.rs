//! The plan of a kept link: which relays to try next, and how long to wait before.
//!
//! It does not: dial or sleep; `keep` does on sockets, the simulated world on virtual time.
//!
//! Invariants: it never gives up; the wait doubles from failure to failure up to its bound and starts
//! anew after a session that verified; a redirect is followed at once, with the relay that sent it as
//! the last resort; where a relay cannot serve now, those above it are tried at once; a relay that named a
//! time is not dialled before it, nor is another in its place.

use super::route::Hop;
use crate::desk::SessionEnd;
use sampan_core::entropy::{Entropy, random};
use sampan_core::limits::QUOTA_WAIT_S_MAX;
use sampan_core::sync::Event;
use sampan_core::wire::frame::RefuseCode;
use std::time::Duration;

/// The plan.
#[derive(Debug, Clone)]
pub struct Plan {
    backoff_s: (u64, u64),
    delay_s: u64,
    redirected: Vec<Hop>,
    /// What the last attempt had to try.
    last: Vec<Hop>,
    /// Seconds that a relay asked to wait.
    asked_s: u64,
    /// There are other ways up.
    several: bool,
}

impl Plan {
    /// A fresh plan; `backoff_s`: the first and the longest wait, in seconds.
    #[must_use]
    pub fn new(backoff_s: (u64, u64)) -> Self {
        Self {
            backoff_s,
            delay_s: backoff_s.0.max(1),
            redirected: Vec::new(),
            last: Vec::new(),
            asked_s: 0,
            several: false,
        }
    }

    /// The relays to try now, in order: those that a redirect named, else those that the charter and
    /// the ticket know.
    pub fn hops(&mut self, known: Vec<Hop>) -> Vec<Hop> {
        self.last = if self.redirected.is_empty() { known } else { std::mem::take(&mut self.redirected) };
        self.last.clone()
    }

    /// A session with a relay ended. `verified`: both ends were equal at some moment of it.
    pub fn ended(&mut self, hop: &Hop, end: Option<&SessionEnd>, verified: bool) {
        if let Some(SessionEnd::Redirect(to)) = end {
            self.redirected = nearer(to, hop);
        }
        if verified || !self.redirected.is_empty() {
            self.delay_s = self.backoff_s.0.max(1);
        }
        self.asked_s = u64::from(retry_after(end).unwrap_or(0));
        if is_busy(end) || (self.several && is_ended(end)) {
            self.redirected = beyond(&self.last, hop);
        }
    }

    /// Says whether there are other ways up beside this plan's.
    pub fn set_several(&mut self, several: bool) {
        self.several = several;
    }

    /// How long to wait before the next attempt: between half and the whole of the delay, so that 340
    /// branches do not come back in one instant.
    pub fn wait(&mut self, rng: &mut dyn Entropy) -> Duration {
        let wait = if self.redirected.is_empty() {
            let share = u64::from(u16::from_le_bytes(random(rng)));
            let own = Duration::from_millis(self.delay_s * 500 + self.delay_s * 500 * share / 65_535);
            // A little later than asked, and not all at once.
            own.max(Duration::from_millis(self.asked_s * 1_000 + self.asked_s * 100 * share / 65_535))
        } else {
            Duration::ZERO
        };
        self.asked_s = 0;
        self.delay_s = (self.delay_s * 2).min(self.backoff_s.1.max(1));
        wait
    }
}

/// Whether a relay said that it cannot serve this device now, or does not know it, as one that lost a part of its
/// charter does not: another above it may.
#[must_use]
pub fn is_busy(end: Option<&SessionEnd>) -> bool {
    let code = match end {
        Some(SessionEnd::Refused(Event::Refused { code, by_peer: true, retry_after: None, .. })) => code,
        _ => return false,
    };
    matches!(code, RefuseCode::Busy | RefuseCode::NoGrant)
}

/// Whether a relay said that this device's rights have ended. Of a device with other ways up it may know only some.
#[must_use]
pub fn is_ended(end: Option<&SessionEnd>) -> bool {
    matches!(end, Some(SessionEnd::Refused(Event::Refused { code: RefuseCode::GrantEnded, by_peer: true, .. })))
}

/// The seconds after which a relay asked this device, which is over its quota there, to come back.
#[must_use]
pub fn retry_after(end: Option<&SessionEnd>) -> Option<u32> {
    match end {
        Some(SessionEnd::Refused(Event::Refused { retry_after, by_peer: true, .. })) => {
            retry_after.map(|s| s.min(QUOTA_WAIT_S_MAX))
        }
        Some(SessionEnd::Refused(_) | SessionEnd::Redirect(_) | SessionEnd::NotVerified | SessionEnd::Failed(_))
        | None => None,
    }
}

/// The relays of a route behind one that cannot serve now, told so.
#[must_use]
pub fn beyond(route: &[Hop], hop: &Hop) -> Vec<Hop> {
    let rest = route.iter().skip_while(|h| h.device != hop.device).skip(1);
    rest.map(|h| Hop { distance: h.distance.max(1), ..h.clone() }).collect()
}

/// The relays that a redirect names; where none of them answers, the one that sent it serves, told so.
#[must_use]
pub fn nearer(to: &[sampan_core::wire::frame::RelayAddress], from: &Hop) -> Vec<Hop> {
    let nearer = to.iter().map(|r| Hop { device: r.device, addresses: r.addresses.clone(), distance: 0 });
    nearer.chain([Hop { distance: 1, ..from.clone() }]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_core::id::DeviceId;
    use sampan_core::testing::SeededRng;
    use sampan_core::wire::frame::RelayAddress;

    fn hop(n: u8) -> Hop {
        Hop { device: DeviceId([n; 32]), addresses: vec![format!("relay-{n}")], distance: 0 }
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_starts_anew_after_a_session_that_verified() {
        let mut rng = SeededRng::new(1);
        let mut plan = Plan::new((1, 8));
        let within = |w: Duration, s: u64| w >= Duration::from_millis(s * 500) && w <= Duration::from_secs(s);
        for s in [1, 2, 4, 8, 8] {
            plan.ended(&hop(1), None, false);
            let wait = plan.wait(&mut rng);
            assert!(within(wait, s), "{wait:?} for {s} s");
        }
        plan.ended(&hop(1), None, true);
        assert!(within(plan.wait(&mut rng), 1));
    }

    #[test]
    fn a_redirect_is_followed_at_once_and_once() {
        let mut rng = SeededRng::new(1);
        let mut plan = Plan::new((1, 8));
        let to = vec![RelayAddress { device: DeviceId([2; 32]), addresses: vec!["relay-2".into()] }];
        plan.ended(&hop(1), Some(&SessionEnd::Redirect(to)), false);
        assert_eq!(plan.wait(&mut rng), Duration::ZERO);
        let hops = plan.hops(vec![hop(9)]);
        assert_eq!(hops, [hop(2), Hop { distance: 1, ..hop(1) }]);
        assert_eq!(plan.hops(vec![hop(9)]), [hop(9)]);
    }

    #[test]
    fn where_a_relay_cannot_serve_the_ones_above_are_tried_at_once_and_then_the_wait_goes_on() {
        let mut rng = SeededRng::new(1);
        let mut plan = Plan::new((1, 8));
        let route = vec![hop(1), Hop { distance: 1, ..hop(2) }, Hop { distance: 2, ..hop(3) }];
        assert_eq!(plan.hops(route.clone()), route);
        // It has not heard of the device's right yet, or has lost it.
        for code in [RefuseCode::Busy, RefuseCode::NoGrant] {
            let text = String::new();
            let end = SessionEnd::Refused(Event::Refused { code, text, by_peer: true, retry_after: None });
            plan.hops(route.clone());
            plan.ended(&hop(1), Some(&end), false);
            assert_eq!(plan.wait(&mut rng), Duration::ZERO);
            assert_eq!(plan.hops(route.clone()), route[1..]);
            plan.ended(&hop(3), Some(&end), false);
            assert!(plan.wait(&mut rng) > Duration::ZERO);
        }
    }

    #[test]
    fn a_relay_that_names_a_time_is_not_dialled_before_it_and_no_other_is() {
        let mut rng = SeededRng::new(1);
        let mut plan = Plan::new((1, 8));
        let route = vec![hop(1), Hop { distance: 1, ..hop(2) }];
        plan.hops(route.clone());
        let busy = |s| {
            let (code, text) = (RefuseCode::Busy, String::new());
            SessionEnd::Refused(Event::Refused { code, text, by_peer: true, retry_after: Some(s) })
        };
        plan.ended(&hop(1), Some(&busy(90)), false);
        let wait = plan.wait(&mut rng);
        assert!(wait >= Duration::from_secs(90) && wait <= Duration::from_secs(99), "{wait:?}");
        assert_eq!(plan.hops(route.clone()), route);
        plan.ended(&hop(1), Some(&busy(u32::MAX)), false);
        assert!(plan.wait(&mut rng) <= Duration::from_secs(u64::from(QUOTA_WAIT_S_MAX) * 11 / 10));
        plan.ended(&hop(1), None, true);
        assert!(plan.wait(&mut rng) <= Duration::from_secs(1));
    }
}
