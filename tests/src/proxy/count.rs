//! What a link came to: packets and bytes by direction, losses by cause, and by connection.
//!
//! It does not: judge.
//!
//! Invariants: offered = carried + lost + still on the way, doubled packets counted as carried besides; a
//! leg ends where the next begins.

use super::profile::Way;
use std::collections::BTreeMap;
use std::fmt;

/// Why a packet did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// By chance, alone or in a burst.
    Chance,
    /// The queue before the link was full.
    Queue,
    /// It was larger than the link's MTU.
    Mtu,
    /// The link was cut.
    Cut,
    /// It was not the hour.
    Hours,
    /// The direction was shut.
    Shut,
    /// It belongs to a connection that a cut has ended.
    Severed,
}

/// One direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets that came in.
    pub offered: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Packets that went out, doubled ones twice.
    pub carried: u64,
    /// Their bytes.
    pub carried_bytes: u64,
    /// Packets that did not, by cause.
    pub lost: BTreeMap<Lost, u64>,
}

impl Tally {
    /// Packets lost by any cause.
    #[must_use]
    pub fn lost_all(&self) -> u64 {
        self.lost.values().sum()
    }
}

/// What was carried while the path was one and the same: between cuts, rebindings, new dials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leg {
    /// Bytes carried up.
    pub up_bytes: u64,
    /// Bytes carried down.
    pub down_bytes: u64,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Child to relay.
    pub up: Tally,
    /// Relay to child.
    pub down: Tally,
    /// Leg by leg; the last is the present one.
    pub legs: Vec<Leg>,
    /// Cuts so far.
    pub cuts: u64,
    /// Rebindings so far, those of cuts included.
    pub rebinds: u64,
    /// Addresses that dialled.
    pub flows: u64,
}

impl Counts {
    /// One direction.
    #[must_use]
    pub fn way(&self, way: Way) -> &Tally {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    pub(super) fn way_mut(&mut self, way: Way) -> &mut Tally {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Bytes carried in both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.up.carried_bytes + self.down.carried_bytes
    }

    /// Packets lost by this cause in both directions.
    #[must_use]
    pub fn lost(&self, cause: Lost) -> u64 {
        Way::BOTH.iter().filter_map(|w| self.way(*w).lost.get(&cause)).sum()
    }

    pub(super) fn leg(&mut self) -> &mut Leg {
        if self.legs.is_empty() {
            self.legs.push(Leg::default());
        }
        let last = self.legs.len() - 1;
        &mut self.legs[last]
    }

    /// Begins a leg, unless nothing passed in the present one.
    pub(super) fn new_leg(&mut self) {
        if *self.leg() != Leg::default() {
            self.legs.push(Leg::default());
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, t) in [("up", &self.up), ("down", &self.down)] {
            write!(f, "{name} {}/{} packets {} B lost {:?}; ", t.carried, t.offered, t.carried_bytes, t.lost)?;
        }
        write!(f, "{} cuts, {} rebindings, {} dials, {} legs", self.cuts, self.rebinds, self.flows, self.legs.len())
    }
}
