//! The virtual network: paths between machines, packets that are lost, doubled, late, and links over
//! them with the lanes that QUIC gives.
//!
//! It does not: look into frames, or keep time (`world` does). Of QUIC it keeps what a session can
//! notice: a lane keeps its order and loses nothing while the link lives, lanes overtake each other,
//! loss costs time, a dead link is noticed late and by each end alone.
//!
//! Invariants: what a path does to a packet follows from its own dice.

use super::dice::Dice;
use super::fault::{FaultKind, Faults};
use sampan_node::desk::SessionId;
use sampan_node::link::{Hop, Patience};
use std::collections::BTreeMap;

/// Bytes of a packet.
const PACKET_BYTES: usize = 1_200;
/// A link without a word is given up after this, in milliseconds.
pub const IDLE_MS: u64 = 30_000;
/// How long one address is tried before the next.
pub const DIAL_MS: u64 = 5_000;

/// The path between two machines.
#[derive(Debug, Clone)]
pub struct Path {
    /// Delay of one way in milliseconds.
    pub delay_ms: u64,
    /// What the delay varies by.
    pub jitter_ms: u64,
    /// Packets lost, of a thousand.
    pub loss_permille: u64,
    /// Packets doubled, of a thousand.
    pub double_permille: u64,
    /// Whether a burst of loss goes on.
    burst: bool,
    /// Bursts begin this often, of a thousand packets; 0 for none.
    pub burst_permille: u64,
    /// Lanes overtake each other.
    pub reorders: bool,
    /// Kilobits a second.
    pub rate_kbit: u64,
    /// No packet comes through until then, from below and from above.
    pub dead_until: [u64; 2],
    dice: Dice,
}

/// What became of a frame on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It arrives after so many milliseconds.
    After(u64),
    /// It never arrives.
    Never,
}

impl Path {
    /// A path of a world.
    #[must_use]
    pub fn new(seed: u64, lower: usize, upper: usize, faults: &Faults) -> Self {
        let mut dice = Dice::of(seed, &format!("path/{lower}/{upper}"));
        let has = |k| faults.has(k);
        let loss = if has(FaultKind::Loss) { dice.between(0, 120) } else { 0 };
        let delay = if has(FaultKind::Delay) { dice.between(50, 3_000) } else { dice.between(1, 60) };
        Self {
            delay_ms: delay,
            jitter_ms: delay / 2,
            loss_permille: loss,
            double_permille: if has(FaultKind::Duplication) { dice.between(0, 100) } else { 0 },
            burst: false,
            burst_permille: if has(FaultKind::BurstLoss) { dice.between(0, 30) } else { 0 },
            reorders: has(FaultKind::Reordering),
            rate_kbit: [64, 512, 10_000, 100_000][dice.between(0, 3) as usize],
            dead_until: [0; 2],
            dice,
        }
    }

    /// Whether packets from one end come through now.
    #[must_use]
    pub fn open(&self, from_lower: bool, now: u64) -> bool {
        self.dead_until[usize::from(!from_lower)] <= now
    }

    /// The round trip without loss.
    #[must_use]
    pub fn round_trip(&self) -> u64 {
        2 * self.delay_ms + 1
    }

    /// Sends `bytes`: when they arrive, lost packets having been sent again.
    pub fn send(&mut self, bytes: usize, from_lower: bool, now: u64, faults: &mut Faults) -> Passage {
        if !self.open(from_lower, now) {
            return Passage::Never;
        }
        let packets = bytes.div_ceil(PACKET_BYTES).max(1);
        let serial = bytes as u64 * 8 / self.rate_kbit.max(1);
        let mut worst = 0;
        for _ in 0..packets {
            let mut took = self.delay_ms + self.dice.between(0, self.jitter_ms);
            if self.reorders && self.dice.chance(100) {
                took += self.dice.between(1, 500);
                faults.fired(FaultKind::Reordering);
            }
            if self.dice.chance(self.double_permille) {
                // The second copy is the transport's to drop.
                faults.fired(FaultKind::Duplication);
            }
            let mut again = self.round_trip().max(30);
            while self.lost(faults) {
                took += again;
                again = (again * 2).min(10_000);
            }
            if self.delay_ms > 500 {
                faults.fired(FaultKind::Delay);
            }
            worst = worst.max(took);
        }
        Passage::After(worst + serial)
    }

    fn lost(&mut self, faults: &mut Faults) -> bool {
        if self.burst {
            self.burst = self.dice.chance(800);
            faults.fired(FaultKind::BurstLoss);
            return true;
        }
        self.burst = self.dice.chance(self.burst_permille);
        if self.dice.chance(self.loss_permille) {
            faults.fired(FaultKind::Loss);
            return true;
        }
        false
    }
}

/// One link.
#[derive(Debug)]
pub struct Link {
    /// The nodes: who dialled, who accepted.
    pub nodes: [usize; 2],
    /// The start of each node's process that the link belongs to.
    pub starts: [u64; 2],
    /// The sessions.
    pub sessions: [SessionId; 2],
    /// Which way up of the lower end it is.
    pub way: u32,
    /// Which relay of the route it is.
    pub hop: Hop,
    /// Whether each end still believes in it.
    pub open: [bool; 2],
    /// When the last frame of each lane arrives, by direction.
    pub lanes: BTreeMap<(bool, u8), u64>,
    /// Whether both ends were equal at some moment.
    pub verified: bool,
    /// How long its lower end still waits.
    pub patience: Patience,
    /// Whether a frame of each direction was lost for good.
    pub stuck: [bool; 2],
    /// Bytes of frames each way.
    pub bytes: [u64; 2],
    /// Stored commits of each end when it opened: what both must hold when they say verified.
    pub marks: [usize; 2],
}
