//! Registers: signed values of which only the newest counts.
//!
//! It does not: enter any digest, or keep what was replaced.
//!
//! Invariants: per (unit, name, device) the greatest counter stands, with equal counters the greater
//! signature bytes (of what a period closed with the one that was signed first), so that all replicas agree; names come
//! from a closed list in [`names`].

use crate::hash::tagged;
use crate::id::{DeviceId, Digest, OrgId, StoreEpoch, UnitId};
use crate::limits::REGISTER_BYTES_MAX;
use crate::log::{merkle, sign, signature_holds};
use crate::rollup::names::CLOSED;
use crate::time::Millis;
use crate::wire::{self, WireError, at_most, frame::AckLeaf};
use ed25519_dalek::SigningKey;

/// The registers that exist.
pub mod names {
    /// A relay's acknowledgement, see [`super::Ack`].
    pub const ACK: &str = "ack";
    /// A device's sign of life, see [`super::Heartbeat`].
    pub const HEARTBEAT: &str = "heartbeat";
    /// The room on a device's disk, see [`super::Room`].
    pub const ROOM: &str = "room";
    /// Whose signs of life a relay knows to be outdone, see [`super::Settled`].
    pub const SETTLED: &str = "settled";
    /// A relay's daily word about its charter, see [`super::Beacon`].
    pub const BEACON: &str = "beacon";
    /// What waits in a device's quarantine, see [`super::Waiting`].
    pub const QUARANTINE: &str = "quarantine";
    /// A device's word that nothing of what is erased is left on its disk, see [`super::Confirmed`].
    pub const ERASED: &str = "erased";
    /// Prefix of the holder's name of a grant: `holder/<grant key>`.
    pub const HOLDER: &str = "holder/";
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Register {
    /// The organisation.
    #[n(0)]
    pub org: OrgId,
    /// The unit it speaks of or for.
    #[n(1)]
    pub unit: UnitId,
    /// Its name.
    #[n(2)]
    pub name: String,
    /// The device that signs.
    #[n(3)]
    pub device: DeviceId,
    /// The newest wins.
    #[n(4)]
    pub counter: u64,
    /// The signer's label of time.
    #[n(5)]
    pub time: Millis,
    /// The value.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

/// A register as it travels.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SignedRegister {
    /// Canonical CBOR of the [`Register`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// ed25519 over `sampan/register/1\0` and the bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// Why a register is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Not a register.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Another organisation's.
    #[error("a register of another organisation")]
    WrongOrganisation,
    /// The signature does not verify.
    #[error("the signature of a register by device {0} does not verify")]
    Signature(DeviceId),
    /// Leaves that the signed root does not cover.
    #[error("an acknowledgement whose leaves do not lead to its signed root")]
    Leaves,
}

impl SignedRegister {
    /// Signs a register.
    #[must_use]
    pub fn seal(key: &SigningKey, register: &Register) -> Self {
        let bytes = wire::encode(register);
        let signature = sign("register", key, &bytes);
        Self { bytes, signature }
    }

    /// Checks form, organisation and signature.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn verify(&self, org: &OrgId) -> Result<Register, RegisterError> {
        let register = self.trust()?;
        if register.org != *org {
            return Err(RegisterError::WrongOrganisation);
        }
        if !signature_holds("register", &register.device, &self.bytes, &self.signature) {
            return Err(RegisterError::Signature(register.device));
        }
        Ok(register)
    }

    /// Decodes without checking the signature: for registers from our own store.
    ///
    /// # Errors
    /// [`RegisterError::Wire`].
    pub fn trust(&self) -> Result<Register, RegisterError> {
        at_most("register", "REGISTER_BYTES_MAX", self.bytes.len(), REGISTER_BYTES_MAX)?;
        let register: Register = wire::decode("register", &self.bytes)?;
        if !register.time.in_range() {
            return Err(WireError::Malformed { what: "register", why: "its time is out of range".into() }.into());
        }
        Ok(register)
    }

    /// Whether this register takes the place of another of the same unit, name and signer, in any store: the one with
    /// the greater counter stands. With equal counters, which only a copy or an old backup of the signer's disk makes, the
    /// greater signature does; but what a period closed with stands as it was signed first.
    ///
    /// # Errors
    /// [`RegisterError::Wire`].
    pub fn outdoes(&self, held: &Self) -> Result<bool, RegisterError> {
        let (new, old) = (self.trust()?, held.trust()?);
        Ok(if new.counter == old.counter && new.name.starts_with(CLOSED) {
            (new.time, &self.signature) < (old.time, &held.signature)
        } else {
            (new.counter, &self.signature) > (old.counter, &held.signature)
        })
    }
}

/// The payload of an acknowledgement: what its signer holds durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Ack {
    /// The epoch of the signer's store; a new one voids the ticks of the old.
    #[n(0)]
    pub epoch: StoreEpoch,
    /// The level of the signer's unit, 0 = root.
    #[n(1)]
    pub level: u8,
    /// Number of leaves.
    #[n(2)]
    pub count: u32,
    /// Merkle root over the leaves, see [`ack_leaf`].
    #[n(3)]
    pub root: Digest,
    /// Entries pending in these units.
    #[n(4)]
    pub pending: u64,
    /// Entries blocked or malformed in these units.
    #[n(5)]
    pub blocked: u64,
    /// Commits in quarantine.
    #[n(6)]
    pub quarantined: u64,
}

/// The Merkle leaf of an acknowledged unit.
#[must_use]
pub fn ack_leaf(leaf: &AckLeaf) -> [u8; 32] {
    tagged("ack-leaf", &[&leaf.unit.0, &leaf.digest.0])
}

/// The root over acknowledged units.
#[must_use]
pub fn ack_root(leaves: &[AckLeaf]) -> Digest {
    Digest(merkle::root(&leaves.iter().map(ack_leaf).collect::<Vec<_>>()))
}

/// A relay's word about the charters from its unit to the root: daily, and when they change.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Beacon {
    /// Counts this relay's beacons.
    #[n(0)]
    pub number: u64,
    /// The day, by its clock, in days since 1970-01-01.
    #[n(1)]
    pub day: u32,
    /// Digest of those charters.
    #[n(2)]
    pub charter: Digest,
    /// Commits in them.
    #[n(3)]
    pub commits: u64,
    /// The newest beacon that it has from above.
    #[n(4)]
    pub above: Option<SignedRegister>,
}

/// What waits in the quarantine of the device that signs.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct Waiting {
    /// Per unit, sorted, at most `WAITING_UNITS_MAX`.
    #[n(0)]
    pub units: Vec<WaitingUnit>,
    /// Commits of the units that are not named.
    #[n(1)]
    pub more: u64,
}

impl Waiting {
    /// How many commits wait.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.units.iter().map(|u| u.commits).fold(self.more, u64::saturating_add)
    }
}

/// What waits of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct WaitingUnit {
    /// The unit whose records they are.
    #[n(0)]
    pub unit: UnitId,
    /// How many commits.
    #[n(1)]
    pub commits: u64,
    /// Since when the oldest lies there, by the signer's clock.
    #[n(2)]
    pub oldest: Millis,
}

/// A device's sign of life, for the relays above it.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Heartbeat {
    /// Program version.
    #[n(0)]
    pub version: String,
    /// Changes that the nearest relay has not acknowledged.
    #[n(1)]
    pub unsent_changes: u64,
    /// When the device last verified, 0 for never.
    #[n(2)]
    pub verified_at: Millis,
    /// Its last error in words, empty for none.
    #[n(3)]
    pub last_error: String,
    /// Its clock minus the relay's, in milliseconds.
    #[n(4)]
    pub clock_offset: i64,
}

/// How much room a device's disk has, for the relays above it: said again when it is another class.
///
/// It stands beside the [`Heartbeat`] and not in it, because older relays read that one to the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Room {
    /// So many bytes are free at least: a power of two, so that it is seldom another one.
    #[n(0)]
    pub free: u64,
    /// Whether that is too little for a backup beside the database.
    #[n(1)]
    pub low: bool,
}

/// A relay's word to those above it: these devices said that they had work unsent, and have been found equal with it
/// since. Above it only their own sign of life would tell, which is said at the beginning of a link.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct Settled {
    /// The devices, sorted, at most `SETTLED_DEVICES_MAX`; of more the latest are named.
    #[n(0)]
    pub devices: Vec<SettledDevice>,
}

/// One device of a [`Settled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
pub struct SettledDevice {
    /// The first 8 bytes of its id.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub device: [u8; 8],
    /// The time of the sign of life that is outdone.
    #[n(1)]
    pub said: Millis,
}

impl SettledDevice {
    /// The sign of life that a device gave at this time.
    #[must_use]
    pub fn of(device: &DeviceId, said: Millis) -> Self {
        Self { device: std::array::from_fn(|i| device.0[i]), said }
    }
}

/// What tells one erasure from another in a [`Confirmed`]: the first 8 bytes of
/// `H16("erased-tag", unit | name of what is erased in hex)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct ErasedTag(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 8]);

/// A device's word that what these erasures name is gone from its disk: packs, tables, search, free pages
/// and journals.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Confirmed {
    /// The epoch of its store.
    #[n(0)]
    pub epoch: StoreEpoch,
    /// The erasures, the newest first, at most `ERASED_CONFIRMED_MAX`.
    #[n(1)]
    pub entries: Vec<ErasedTag>,
}
