//! A cut: the operation that narrows a right and says up to where the old one holds.
//!
//! It does not: decide whether a cut stands or what lies outside it (`fold`).
//!
//! Invariants: numbers are for ever; a cut names commits, never a time.

use super::op::Roles;
use crate::id::{CommitId, DeviceId, Incarnation, LogId, SpaceId};
use crate::limits;
use crate::wire::{WireError, at_most};

/// Why a right is narrowed, and with it how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum CutKind {
    /// The key is revoked, for good.
    #[n(0)]
    Revoke,
    /// The device is lost, for good: what counts is what the issuer knows.
    #[n(1)]
    Lost,
    /// The device is retired, for good: its post is handed over, what counts is what the issuer holds.
    #[n(2)]
    Retire,
    /// The roles on one unit become fewer.
    #[n(3)]
    Narrow,
    /// A right that had an end is closed.
    #[n(4)]
    Close,
}

impl CutKind {
    /// Whether no later grant gives the key a right again.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Revoke | Self::Lost | Self::Retire => true,
            Self::Narrow | Self::Close => false,
        }
    }

    /// Its word in JSON and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Lost => "lost",
            Self::Retire => "retire",
            Self::Narrow => "narrow",
            Self::Close => "close",
        }
    }
}

/// One log of the key and the tips up to which it counts.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct CutLog {
    /// The space.
    #[n(0)]
    pub space: SpaceId,
    /// The incarnation.
    #[n(1)]
    pub incarnation: Incarnation,
    /// Its tips: they and their ancestors count.
    #[n(2)]
    pub tips: Vec<CommitId>,
}

impl CutLog {
    /// The log of a device that it names.
    #[must_use]
    pub fn log(&self, device: DeviceId) -> LogId {
        LogId { space: self.space, device, incarnation: self.incarnation }
    }
}

/// A cut.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Cut {
    /// The key.
    #[n(0)]
    pub key: DeviceId,
    /// Why.
    #[n(1)]
    pub kind: CutKind,
    /// Why, in words for people.
    #[n(2)]
    pub reason: String,
    /// The logs that count in part. A log that it does not name is outside from its beginning.
    #[n(3)]
    pub logs: Vec<CutLog>,
    /// What remains of the roles, for [`CutKind::Narrow`]; nothing for all others.
    #[n(4)]
    pub remaining: Roles,
}

impl Cut {
    /// Whether it is within the limits.
    pub(super) fn check(&self) -> Result<(), WireError> {
        at_most("cut", "CUT_LOGS_MAX", self.logs.len(), limits::CUT_LOGS_MAX)?;
        let tips = self.logs.iter().map(|l| l.tips.len()).sum();
        at_most("cut", "CUT_TIPS_MAX", tips, limits::CUT_TIPS_MAX)
    }
}
