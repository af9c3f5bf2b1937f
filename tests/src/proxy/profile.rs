//! What a link does, by name and by parts.
//!
//! It does not: draw or count.
//!
//! Invariants: a profile is plain data; the same profile and seed are the same link.

use std::time::Duration;

/// Bytes of IPv4 and UDP headers around a payload: an MTU speaks of both.
pub const HEADER_BYTES: usize = 28;

/// Bytes that wait in front of a slow link: a modem's buffer, above QUIC's first flight of 48 kB.
pub const QUEUE_BYTES: u64 = 64 << 10;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From the child to its relay.
    Up,
    /// From the relay to the child.
    Down,
}

impl Way {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Up, Self::Down];
}

/// Loss in bursts (Gilbert-Elliott): in the bad state everything is lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// Chance, a packet, to enter the bad state.
    pub enter: f64,
    /// Chance, a packet, to leave it; one over it is the mean length.
    pub leave: f64,
}

impl Burst {
    /// Bursts of this mean length, in packets, that lose this share of all packets.
    #[must_use]
    pub fn losing(share: f64, length: f64) -> Self {
        let leave = 1.0 / length;
        Self { enter: leave * share / (1.0 - share), leave }
    }
}

/// One direction of a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Rate, `None` for as fast as the machine.
    pub rate_kbit: Option<u64>,
    /// Bytes that may wait for the rate; what does not fit is lost.
    pub queue_bytes: u64,
    /// One way.
    pub delay: Duration,
    /// Up to this much more, drawn for each packet; order is kept.
    pub jitter: Duration,
    /// Share of packets lost, each by itself.
    pub loss: f64,
    /// Loss in bursts besides.
    pub burst: Option<Burst>,
    /// Share of packets that arrive twice.
    pub duplicate: f64,
    /// Share of packets that later ones overtake.
    pub reorder: f64,
    /// How much later such a packet arrives.
    pub reorder_by: Duration,
    /// The largest IP packet that passes; larger ones vanish.
    pub mtu: Option<usize>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            rate_kbit: None,
            queue_bytes: QUEUE_BYTES,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(40),
            mtu: None,
        }
    }
}

/// When something happens again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// By the clock.
    Time(Duration),
    /// By bytes carried in both directions since the last time, whatever the machine's speed.
    Bytes(u64),
}

/// What has become of a connection when a cut link is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It goes on where it was.
    Same,
    /// The NAT has forgotten: packets leave from a new port, answers to the old one are lost.
    Rebound,
    /// It is dead for good: only what opens a connection anew brings packets through again, as behind
    /// a firewall that restarted.
    Severed,
}

/// A link that is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// How often.
    pub every: Every,
    /// How long nothing passes.
    pub dark: Duration,
    /// What follows.
    pub after: After,
}

/// A link that is open for a part of each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The length of a day.
    pub day: Duration,
    /// How long it is open, from the day's begin.
    pub open: Duration,
}

/// Everything about a link.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Profile {
    /// Child to relay.
    pub up: Link,
    /// Relay to child.
    pub down: Link,
    /// Cuts, if any.
    pub cut: Option<Cut>,
    /// Hours, if it has any.
    pub windows: Option<Windows>,
    /// NAT rebinding in the middle of traffic, without any darkness.
    pub rebind: Option<Every>,
}

impl Profile {
    /// Both directions alike.
    #[must_use]
    pub fn of(link: Link) -> Self {
        Self { up: link, down: link, ..Self::default() }
    }

    /// A good line: nothing is changed, all is counted.
    #[must_use]
    pub fn clean() -> Self {
        Self::default()
    }

    /// The names that [`Profile::named`] knows.
    pub const NAMES: [&str; 11] = [
        "clean",
        "2g",
        "satellite",
        "burst",
        "two-hours-a-day",
        "cut-10s",
        "severed-10s",
        "nat-rebind",
        "mtu-1280",
        "unordered",
        "one-way",
    ];

    /// A profile by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let ms = Duration::from_millis;
        let second = Duration::from_secs;
        Some(match name {
            "clean" => Self::clean(),
            "2g" => {
                Self::of(Link { rate_kbit: Some(64), delay: ms(300), jitter: ms(60), loss: 0.05, ..Link::default() })
            }
            "satellite" => Self::of(Link { delay: ms(300), jitter: ms(10), loss: 0.01, ..Link::default() }),
            "burst" => Self::of(Link {
                delay: ms(20),
                jitter: ms(10),
                burst: Some(Burst::losing(0.25, 5.0)),
                ..Link::default()
            }),
            "two-hours-a-day" => Self {
                windows: Some(Windows { day: second(24 * 3600), open: second(2 * 3600) }),
                ..Self::of(Link { delay: ms(40), loss: 0.01, ..Link::default() })
            },
            "cut-10s" => Self {
                cut: Some(Cut { every: Every::Time(second(10)), dark: second(1), after: After::Rebound }),
                ..Self::of(Link { rate_kbit: Some(64), delay: ms(50), ..Link::default() })
            },
            "severed-10s" => Self {
                cut: Some(Cut { every: Every::Time(second(10)), dark: second(1), after: After::Severed }),
                ..Self::of(Link { rate_kbit: Some(64), delay: ms(50), ..Link::default() })
            },
            "nat-rebind" => Self {
                rebind: Some(Every::Bytes(16 << 10)),
                ..Self::of(Link { rate_kbit: Some(512), delay: ms(40), ..Link::default() })
            },
            "mtu-1280" => Self::of(Link { delay: ms(20), mtu: Some(1280), ..Link::default() }),
            "unordered" => Self::of(Link {
                delay: ms(30),
                jitter: ms(20),
                duplicate: 0.1,
                reorder: 0.2,
                reorder_by: ms(60),
                ..Link::default()
            }),
            "one-way" => Self { down: Link { loss: 1.0, ..Link::default() }, ..Self::default() },
            _ => return None,
        })
    }

    /// The same days and hours, this many times faster; rates and delays stay.
    #[must_use]
    pub fn days_faster(mut self, times: u32) -> Self {
        self.windows = self.windows.map(|w| Windows { day: w.day / times, open: w.open / times });
        self
    }

    /// The link of one direction.
    #[must_use]
    pub fn link(&self, way: Way) -> &Link {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_profile_and_nothing_else_is() {
        for name in Profile::NAMES {
            assert!(Profile::named(name).is_some(), "{name}");
        }
        assert_eq!(Profile::named("3g"), None);
    }

    #[test]
    fn two_hours_a_day_stay_a_twelfth_at_any_speed() {
        let w = Profile::named("two-hours-a-day").unwrap().days_faster(7_200).windows.unwrap();
        assert_eq!((w.day, w.open), (Duration::from_secs(12), Duration::from_secs(1)));
    }
}
