//! Shorter forms of what frames say, since protocol 3: nodes of digest trees and acknowledgements, without what the
//! other end can compute.
//!
//! It does not: decide when they are used, or judge what is rebuilt from them (`sync`).
//!
//! Invariants: a short form that misleads costs time: *verified* rests on whole digests and signatures alone.

use super::frame::{RegistersCursor, Tree};
use crate::id::{DeviceId, Glance, StoreEpoch, UnitId};
use crate::time::Millis;

/// One node of a digest tree, by the beginnings of its digests.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ShortNode {
    /// The unit.
    #[n(0)]
    pub unit: UnitId,
    /// The tree of spaces; none: that of acknowledgements by relays at and above the upper end.
    #[n(1)]
    pub tree: Option<Tree>,
    /// Of the unit's own part.
    #[n(2)]
    pub own: Glance,
    /// One for each child that the sender's charter has, by id, zero for one that holds nothing: eight bytes each. Where
    /// the receiver's charter has another number of them it takes all for different.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub children: Vec<u8>,
}

/// An acknowledgement of units that both ends hold alike: their digests, and with them the root, follow.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ShortAck {
    /// Which of the lower end's units below the upper, counted by id: so many are passed over, so many are meant, and so
    /// on by turns.
    #[n(0)]
    pub units: Vec<u32>,
    /// How many levels above the first of them the acknowledging relay's unit lies.
    #[n(1)]
    pub above: u16,
    /// Of the register.
    #[n(2)]
    pub counter: u64,
    /// Of the register: its time minus the counter, which is mostly the same.
    #[n(3)]
    pub time: i64,
    /// Entries pending in the units.
    #[n(4)]
    pub pending: u64,
    /// Entries blocked or malformed in the units.
    #[n(5)]
    pub blocked: u64,
    /// Commits in quarantine.
    #[n(6)]
    pub quarantined: u64,
    /// Of the register.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub signature: [u8; 64],
    /// Who signed, where it is not the sender.
    #[n(8)]
    pub other: Option<OtherRelay>,
    /// The way to the root, where one unit of many is shown.
    #[n(9)]
    pub way: Option<ShortWay>,
    /// In place of `other`, since protocol 4: who signed, where the charter shows an endpoint of it for the unit.
    #[n(10)]
    pub named: Option<NamedRelay>,
}

/// A [`Greeted`](super::frame::Greeted) of a relay whose store the lower end knows, as its greeting's digest shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Welcome {
    /// The speaker's clock.
    #[n(0)]
    pub clock: Millis,
    /// Whether it holds what the greeting names, and neither more nor less: nothing else has to be said.
    #[n(1)]
    pub same: bool,
    /// How far the other end has sent its registers to the speaker.
    #[n(2)]
    pub registers: Option<RegistersCursor>,
}

/// A [`ShortMark`](super::frame::ShortMark) of an end that holds what the other's last mark or greeting said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SameMark {
    /// The number of that mark, 0 for the greeting.
    #[n(0)]
    pub of: u64,
    /// 1, 2, 3 … for this side of this session.
    #[n(1)]
    pub number: u64,
    /// Frames sent before this one; the receiver waits for them all.
    #[n(2)]
    pub frames: u64,
    /// Whether the sender waits for a mark in return.
    #[n(3)]
    pub answer: bool,
    /// The upper end's clock, where it was not told a moment ago.
    #[n(4)]
    pub clock: Option<Millis>,
}

/// A relay further up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct OtherRelay {
    /// The relay's device.
    #[n(0)]
    pub device: DeviceId,
    /// Its store's epoch.
    #[n(1)]
    pub epoch: StoreEpoch,
}

/// A relay further up, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct NamedRelay {
    /// Which of the devices that publish an endpoint for its unit, counted by id.
    #[n(0)]
    pub place: u16,
    /// Its store's epoch.
    #[n(1)]
    pub epoch: StoreEpoch,
}

/// The way from one leaf to the signed root.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ShortWay {
    /// How many leaves the statement has.
    #[n(0)]
    pub count: u32,
    /// Position of the leaf.
    #[n(1)]
    pub index: u32,
    /// Sibling hashes, lowest first, 32 bytes each.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub siblings: Vec<u8>,
}
