//! One link with its clock passed in: when each packet leaves, if it does.
//!
//! It does not: own a socket or read a clock.
//!
//! Invariants: without a reorder draw packets of a direction leave in the order they came; a packet that
//! is on the way when the link is cut is lost.

use super::count::{Counts, Lost};
use super::fate::Dice;
use super::profile::{After, Every, Profile, Way};
use std::time::Duration;

/// What the sockets must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The link was cut: what is on the way is lost, and connections are afterwards as said.
    Cut(After),
    /// The NAT took a new port.
    Rebind,
}

/// One direction's state.
#[derive(Debug)]
struct Lane {
    dice: Dice,
    /// When the last byte accepted so far has left the modem.
    busy_until: Duration,
    /// When the last packet in order arrives.
    last_out: Duration,
    shut: bool,
}

/// A link.
#[derive(Debug)]
pub struct Line {
    profile: Profile,
    up: Lane,
    down: Lane,
    dark_until: Duration,
    next_cut: Duration,
    next_rebind: Duration,
    bytes_since_cut: u64,
    bytes_since_rebind: u64,
    /// What it came to.
    pub counts: Counts,
}

impl Line {
    /// A link at time zero.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        let lane = |way| Lane {
            dice: Dice::new(seed, way),
            busy_until: Duration::ZERO,
            last_out: Duration::ZERO,
            shut: false,
        };
        let mut line = Self {
            profile,
            up: lane(Way::Up),
            down: lane(Way::Down),
            dark_until: Duration::ZERO,
            next_cut: Duration::MAX,
            next_rebind: Duration::MAX,
            bytes_since_cut: 0,
            bytes_since_rebind: 0,
            counts: Counts::default(),
        };
        line.plan(Duration::ZERO);
        line
    }

    /// Another profile from now on; draws go on where they were.
    pub fn change(&mut self, profile: Profile, now: Duration) {
        self.profile = profile;
        self.bytes_since_cut = 0;
        self.bytes_since_rebind = 0;
        self.plan(now);
    }

    fn plan(&mut self, now: Duration) {
        let at = |every| match every {
            Some(Every::Time(t)) => now + t,
            Some(Every::Bytes(_)) | None => Duration::MAX,
        };
        self.next_cut = at(self.profile.cut.map(|c| c.every));
        self.next_rebind = at(self.profile.rebind);
    }

    /// Shuts or opens one direction.
    pub fn shut(&mut self, way: Way, shut: bool) {
        self.lane(way).shut = shut;
    }

    /// When [`Line::tick`] has something to say at the latest.
    #[must_use]
    pub fn next_event(&self) -> Duration {
        self.next_cut.min(self.next_rebind)
    }

    /// What has come due by the clock.
    pub fn tick(&mut self, now: Duration) -> Option<Event> {
        if now >= self.next_cut
            && let Some(cut) = self.profile.cut
            && let Every::Time(every) = cut.every
        {
            self.next_cut = now + every;
            return Some(self.cut(now, cut.dark, cut.after));
        }
        if now >= self.next_rebind
            && let Some(Every::Time(every)) = self.profile.rebind
        {
            self.next_rebind = now + every;
            return Some(self.rebind());
        }
        None
    }

    /// Cuts the link now.
    pub fn cut(&mut self, now: Duration, dark: Duration, after: After) -> Event {
        self.dark_until = now + dark;
        self.bytes_since_cut = 0;
        for way in Way::BOTH {
            let lane = self.lane(way);
            lane.busy_until = now;
            lane.last_out = now;
        }
        self.counts.cuts += 1;
        self.counts.new_leg();
        if after == After::Rebound {
            self.counts.rebinds += 1;
        }
        Event::Cut(after)
    }

    /// Takes a new port now.
    pub fn rebind(&mut self) -> Event {
        self.bytes_since_rebind = 0;
        self.counts.rebinds += 1;
        self.counts.new_leg();
        Event::Rebind
    }

    /// A packet of this size came in: when it arrives, once or twice, or not at all.
    pub fn offer(&mut self, way: Way, now: Duration, bytes: usize) -> [Option<Duration>; 2] {
        let link = *self.profile.link(way);
        let tally = self.counts.way_mut(way);
        tally.offered += 1;
        tally.offered_bytes += bytes as u64;
        // Every packet is drawn for, also one that is lost anyhow: indexes count what came in.
        let fate = self.lane(way).dice.draw(&link);
        if let Some(cause) = self.barred(way, now) {
            return self.lose(way, cause);
        }
        if link.mtu.is_some_and(|mtu| bytes + super::profile::HEADER_BYTES > mtu) {
            return self.lose(way, Lost::Mtu);
        }
        let lane = self.lane(way);
        let begins = lane.busy_until.max(now);
        let takes = link
            .rate_kbit
            .map_or(Duration::ZERO, |kbit| Duration::from_nanos(bytes as u64 * 8 * 1_000_000 / kbit.max(1)));
        if let Some(kbit) = link.rate_kbit {
            let waiting = (begins - now).as_nanos() as u64 / 1_000 * kbit / 8_000;
            if waiting + bytes as u64 > link.queue_bytes {
                return self.lose(way, Lost::Queue);
            }
        }
        // What is lost on the air has taken its time on it.
        lane.busy_until = begins + takes;
        if fate.lost {
            return self.lose(way, Lost::Chance);
        }
        let arrives = lane.busy_until + link.delay + fate.jitter;
        let out = if fate.overtaken {
            arrives + link.reorder_by
        } else {
            lane.last_out = lane.last_out.max(arrives);
            lane.last_out
        };
        [Some(out), fate.twice.then_some(out)]
    }

    /// A packet is about to go out; whether it may, and what follows from the bytes so far.
    pub fn carry(&mut self, way: Way, now: Duration, bytes: usize) -> (bool, Option<Event>) {
        if let Some(cause) = self.barred(way, now) {
            self.lose(way, cause);
            return (false, None);
        }
        let n = bytes as u64;
        let tally = self.counts.way_mut(way);
        tally.carried += 1;
        tally.carried_bytes += n;
        match way {
            Way::Up => self.counts.leg().up_bytes += n,
            Way::Down => self.counts.leg().down_bytes += n,
        }
        self.bytes_since_cut += n;
        self.bytes_since_rebind += n;
        if let Some(cut) = self.profile.cut
            && let Every::Bytes(limit) = cut.every
            && self.bytes_since_cut >= limit
        {
            return (true, Some(self.cut(now, cut.dark, cut.after)));
        }
        if let Some(Every::Bytes(limit)) = self.profile.rebind
            && self.bytes_since_rebind >= limit
        {
            return (true, Some(self.rebind()));
        }
        (true, None)
    }

    /// Counts a loss that the sockets found.
    pub fn lose(&mut self, way: Way, cause: Lost) -> [Option<Duration>; 2] {
        *self.counts.way_mut(way).lost.entry(cause).or_default() += 1;
        [None, None]
    }

    fn barred(&mut self, way: Way, now: Duration) -> Option<Lost> {
        if now < self.dark_until {
            return Some(Lost::Cut);
        }
        if self.lane(way).shut {
            return Some(Lost::Shut);
        }
        let hours = self.profile.windows?;
        let of_day = Duration::from_nanos((now.as_nanos() % hours.day.as_nanos().max(1)) as u64);
        (of_day >= hours.open).then_some(Lost::Hours)
    }

    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::{Cut, Link, Windows};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_slow_link_takes_its_time_and_its_queue_is_bounded() {
        // 64 kbit/s is 8 bytes a millisecond.
        let link = Link { rate_kbit: Some(64), delay: 100 * MS, queue_bytes: 3_000, ..Link::default() };
        let mut line = Line::new(Profile::of(link), 1);
        let at: Vec<_> = (0..5).map(|_| line.offer(Way::Up, Duration::ZERO, 800)[0]).collect();
        assert_eq!(at, [Some(200 * MS), Some(300 * MS), Some(400 * MS), None, None]);
        assert_eq!(line.counts.lost(Lost::Queue), 2);
        assert_eq!(line.offer(Way::Down, Duration::ZERO, 800)[0], Some(200 * MS), "each direction has its own");
        assert_eq!(line.offer(Way::Up, 300 * MS, 800)[0], Some(500 * MS));
    }

    #[test]
    fn a_cut_loses_what_is_on_the_way_and_opens_again() {
        let mut line = Line::new(Profile::of(Link { delay: 10 * MS, ..Link::default() }), 1);
        assert_eq!(line.offer(Way::Up, Duration::ZERO, 100)[0], Some(10 * MS));
        assert_eq!(line.cut(5 * MS, 50 * MS, After::Severed), Event::Cut(After::Severed));
        assert_eq!(line.carry(Way::Up, 10 * MS, 100), (false, None));
        assert_eq!(line.offer(Way::Up, 20 * MS, 100)[0], None);
        assert_eq!(line.offer(Way::Up, 55 * MS, 100)[0], Some(65 * MS));
        assert_eq!((line.counts.lost(Lost::Cut), line.counts.cuts), (2, 1));
    }

    #[test]
    fn cuts_come_by_the_clock_or_by_the_bytes_and_legs_count_apart() {
        let cut = |every| Profile { cut: Some(Cut { every, dark: MS, after: After::Same }), ..Profile::default() };
        let mut line = Line::new(cut(Every::Bytes(1_000)), 1);
        assert_eq!(line.carry(Way::Up, Duration::ZERO, 600), (true, None));
        assert_eq!(line.carry(Way::Down, Duration::ZERO, 600), (true, Some(Event::Cut(After::Same))));
        assert_eq!(line.carry(Way::Up, 2 * MS, 300), (true, None));
        let legs: Vec<_> = line.counts.legs.iter().map(|l| (l.up_bytes, l.down_bytes)).collect();
        assert_eq!(legs, [(600, 600), (300, 0)]);
        let mut line = Line::new(cut(Every::Time(10 * MS)), 1);
        assert_eq!((line.tick(9 * MS), line.next_event()), (None, 10 * MS));
        assert_eq!(line.tick(11 * MS), Some(Event::Cut(After::Same)));
        assert_eq!(line.tick(12 * MS), None);
    }

    #[test]
    fn hours_shut_directions_and_the_mtu_are_kept() {
        let mut line =
            Line::new(Profile { windows: Some(Windows { day: 100 * MS, open: 10 * MS }), ..Profile::default() }, 1);
        assert!(line.offer(Way::Up, 205 * MS, 10)[0].is_some());
        assert!(line.offer(Way::Up, 210 * MS, 10)[0].is_none());
        let mut line = Line::new(Profile::named("mtu-1280").unwrap(), 1);
        assert!(line.offer(Way::Up, MS, 1_252)[0].is_some());
        assert!(line.offer(Way::Up, MS, 1_253)[0].is_none());
        line.shut(Way::Down, true);
        assert!(line.offer(Way::Down, MS, 100)[0].is_none() && line.offer(Way::Up, MS, 100)[0].is_some());
        assert_eq!((line.counts.lost(Lost::Mtu), line.counts.lost(Lost::Shut)), (1, 1));
    }

    #[test]
    fn order_is_kept_but_for_those_drawn_to_be_overtaken() {
        let mut line = Line::new(Profile::named("satellite").unwrap(), 3);
        let out: Vec<_> = (0..200).filter_map(|i| line.offer(Way::Up, MS * i, 500)[0]).collect();
        assert!(out.is_sorted() && out.len() < 200);
        let mut line = Line::new(Profile::named("unordered").unwrap(), 3);
        let out: Vec<_> = (0..200).map(|i| line.offer(Way::Up, MS * i, 500)).collect();
        assert!(!out.iter().map(|o| o[0]).collect::<Vec<_>>().is_sorted());
        assert!(out.iter().any(|o| o[1].is_some()), "none came twice");
    }
}
