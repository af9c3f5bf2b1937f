//! Charter operations: what may be said in the authority log.
//!
//! It does not: decide whether an operation stands (`fold`).
//!
//! Invariants: an operation is the payload of an entry of kind `Charter` in the charter space of
//! the unit it is about; numbers are for ever.

use super::cut::Cut;
use super::erase::Erased;
use crate::hash::tagged;
use crate::id::{CommitId, DeviceId, UnitId};
use crate::limits;
use crate::log::{sign, signature_holds};
use crate::time::Millis;
use crate::wire::{self, WireError, at_most};
use ed25519_dalek::SigningKey;
use std::collections::BTreeSet;

/// The collection that an inspector writes.
pub const INSPECTIONS: &str = "inspections";

/// Rights, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct Roles(#[n(0)] u8);

impl Roles {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Reads the unit's records.
    pub const READER: Self = Self(1);
    /// Edits the unit's records; includes reader.
    pub const EDITOR: Self = Self(2 | 1);
    /// Carries, acknowledges and summarises for the unit and all below it; includes reader.
    pub const RELAY: Self = Self(4 | 1);
    /// Decides about the unit and all below it; includes every other role.
    pub const ADMIN: Self = Self(8 | 4 | 2 | 1);
    /// Reader, and editor of [`INSPECTIONS`].
    pub const INSPECTOR: Self = Self(16 | 1);

    /// Every role by its name on the command line.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("admin", Self::ADMIN),
        ("relay", Self::RELAY),
        ("editor", Self::EDITOR),
        ("reader", Self::READER),
        ("inspector", Self::INSPECTOR),
    ];

    /// The role of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, r)| *r)
    }
    /// What is in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// Both together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether all of `other` is in it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Whether it is empty.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
    /// The part that holds for units below without being said: admin and relay.
    #[must_use]
    pub fn below(self) -> Self {
        if self.contains(Self::ADMIN) {
            Self::ADMIN
        } else if self.contains(Self::RELAY) {
            Self::RELAY
        } else {
            Self::NONE
        }
    }
    /// The strongest names that describe it.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        if self.contains(Self::ADMIN) {
            return vec!["admin"];
        }
        let special = [("relay", Self::RELAY), ("editor", Self::EDITOR), ("inspector", Self::INSPECTOR)];
        let mut out: Vec<_> = special.iter().filter(|(_, r)| self.contains(*r)).map(|(n, _)| *n).collect();
        if out.is_empty() && self.contains(Self::READER) {
            out.push("reader");
        }
        out
    }
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Op {
    /// Founds the organisation; only the root key, in the root unit's charter, once.
    #[n(0)]
    Found {
        /// The organisation's name.
        #[n(0)]
        name: String,
        /// The root unit.
        #[n(1)]
        unit: UnitId,
        /// The key that may name a new root key (reserved).
        #[n(2)]
        succession: Option<DeviceId>,
        /// Kind of the root unit: its level's name.
        #[n(3)]
        kind: Option<String>,
    },
    /// Creates a child of the unit whose charter this is.
    #[n(1)]
    CreateUnit {
        /// The new unit.
        #[n(0)]
        unit: UnitId,
        /// Its name.
        #[n(1)]
        name: String,
        /// Its code.
        #[n(2)]
        code: Option<String>,
        /// Its kind: the name of a level.
        #[n(3)]
        kind: Option<String>,
        /// Since when, by the author's clock.
        #[n(4)]
        since: Millis,
    },
    /// Grants a key rights on the unit whose charter this is.
    #[n(2)]
    Grant(#[n(0)] Grant),
    /// A one-time ticket key names the device that uses it; signed by the ticket key.
    #[n(3)]
    Enrol {
        /// The device.
        #[n(0)]
        device: DeviceId,
        /// Its X25519 public key.
        #[cbor(n(1), with = "minicbor::bytes")]
        box_key: [u8; 32],
        /// The device's signature over the ticket key, so that nobody enrols another's key.
        #[cbor(n(2), with = "minicbor::bytes")]
        proof: [u8; 64],
    },
    /// Where the author's relay for this unit listens; replaces what it said before.
    #[n(4)]
    Endpoint {
        /// `host:port`, most preferred first; empty = no more.
        #[cbor(n(0), decode_with = "crate::wire::addresses")]
        addresses: Vec<String>,
    },
    /// Publishes a schema; in the root's charter.
    #[n(5)]
    Schema {
        /// Its version; the greatest stands.
        #[n(0)]
        version: u32,
        /// The TOML text.
        #[n(1)]
        text: String,
    },
    /// Ends every right of a key at the door and cuts nothing that it wrote (see [`Op::Cut`]).
    #[n(6)]
    Revoke {
        /// The key.
        #[n(0)]
        key: DeviceId,
        /// Why, for people.
        #[n(1)]
        reason: String,
    },
    /// Ends or narrows rights of a key, and names the tips up to which what it wrote counts.
    #[n(7)]
    Cut(#[n(0)] Cut),
    /// Makes commits count that lie outside a cut, or whose device has no right: each by its hash.
    #[n(8)]
    Release {
        /// The commits, of the spaces of the unit whose charter this is, or of a unit below it.
        #[n(0)]
        commits: Vec<CommitId>,
        /// Why, for people.
        #[n(1)]
        reason: String,
    },
    /// Says that commits in quarantine were looked at and are not to count. Changes nothing that counts.
    #[n(9)]
    Reject {
        /// The commits, as for a release.
        #[n(0)]
        commits: Vec<CommitId>,
        /// Why, for people.
        #[n(1)]
        reason: String,
    },
    /// Erases a record of the unit whose charter this is, or the name of a holder there, for ever.
    #[n(10)]
    Erase {
        /// What.
        #[n(0)]
        what: Erased,
        /// Why, for people; it stands for ever, so it names nobody.
        #[n(1)]
        reason: String,
    },
    /// Names a new root key: only the succession key that the founding or the naming before names, in the root unit's
    /// charter, once.
    #[n(16)]
    Succeed {
        /// The new root key.
        #[n(0)]
        root: DeviceId,
        /// The key that may name the next one.
        #[n(1)]
        succession: Option<DeviceId>,
    },
}

/// A grant: who may do what where.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Grant {
    /// The key that gains the rights: a device, or a one-time ticket.
    #[n(0)]
    pub key: DeviceId,
    /// The rights.
    #[n(1)]
    pub roles: Roles,
    /// Whether editor, reader and inspector hold below the unit too.
    #[n(2)]
    pub subtree: bool,
    /// From when, by the issuer's clock.
    #[n(3)]
    pub from: Millis,
    /// Until when the relay lets it in; judged by relays only.
    #[n(4)]
    pub until: Option<Millis>,
    /// Whether the key is a ticket: it may only enrol one device, which then has the rights.
    #[n(5)]
    pub ticket: bool,
    /// Until when a ticket may be used; judged by relays only.
    #[n(6)]
    pub use_by: Option<Millis>,
    /// H(salt, holder's name): the name itself travels as an erasable register.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub holder: [u8; 32],
    /// The collections that it lets write; `None` = all. Reading is by space and knows no collections.
    #[n(8)]
    pub collections: Option<BTreeSet<String>>,
    /// The device that the new one takes over from: to be retired by whoever answers for the unit.
    #[n(9)]
    pub replaces: Option<DeviceId>,
}

impl Grant {
    /// The commitment to a holder's name.
    #[must_use]
    pub fn holder_hash(salt: &[u8; 16], name: &str) -> [u8; 32] {
        tagged("holder", &[salt, name.as_bytes()])
    }
}

/// The payload of a holder register: the name behind a grant's commitment.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Holder {
    /// The salt of the commitment.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub salt: [u8; 16],
    /// The name.
    #[n(1)]
    pub name: String,
}

impl Op {
    /// The payload bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`WireError`] for anything that is not one canonical operation within the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let op: Self = wire::decode("charter operation", bytes)?;
        let name = |n: &str| at_most("name", "NAME_BYTES_MAX", n.len(), limits::NAME_BYTES_MAX);
        match &op {
            Op::Found { name: n, kind, .. } => {
                name(n)?;
                kind.as_deref().map_or(Ok(()), name)?;
            }
            Op::CreateUnit { name: n, code, kind, .. } => {
                name(n)?;
                code.as_deref().map_or(Ok(()), name)?;
                kind.as_deref().map_or(Ok(()), name)?;
            }
            Op::Endpoint { addresses } => {
                at_most("endpoint", "ENDPOINTS_MAX", addresses.len(), limits::ENDPOINTS_MAX)?;
                addresses.iter().try_for_each(|a| name(a))?;
            }
            Op::Schema { text, .. } => at_most("schema", "SCHEMA_BYTES_MAX", text.len(), limits::SCHEMA_BYTES_MAX)?,
            Op::Revoke { reason, .. } | Op::Erase { reason, .. } => name(reason)?,
            Op::Grant(grant) => {
                let named = grant.collections.iter().flatten();
                at_most("grant", "GRANT_COLLECTIONS_MAX", named.clone().count(), limits::GRANT_COLLECTIONS_MAX)?;
                named.clone().try_for_each(|c| {
                    at_most("collection", "SCHEMA_ID_BYTES_MAX", c.len(), limits::SCHEMA_ID_BYTES_MAX)
                })?;
            }
            Op::Cut(cut) => {
                name(&cut.reason)?;
                cut.check()?;
            }
            Op::Release { commits, reason } | Op::Reject { commits, reason } => {
                name(reason)?;
                at_most("list of commits", "VERDICT_COMMITS_MAX", commits.len(), limits::VERDICT_COMMITS_MAX)?;
            }
            Op::Enrol { .. } | Op::Succeed { .. } => {}
        }
        Ok(op)
    }

    /// Whether it takes something away: such operations go first among concurrent ones.
    #[must_use]
    pub fn narrows(&self) -> bool {
        matches!(self, Op::Revoke { .. } | Op::Cut(_) | Op::Erase { .. } | Op::Succeed { .. })
    }

    /// Whether it stands by what its author had seen alone, whatever ran beside it.
    pub(super) fn is_ruled(&self) -> bool {
        let ends = matches!(self, Op::Revoke { .. } | Op::Cut(_) | Op::Erase { .. });
        ends || matches!(self, Op::Release { .. } | Op::Reject { .. })
    }

    /// Decodes bytes that [`Op::decode`] has accepted before.
    pub(super) fn decode_known(bytes: &[u8]) -> Option<Self> {
        minicbor::decode(bytes).ok()
    }

    /// The enrolment of a device by a ticket.
    #[must_use]
    pub fn enrol(device: &SigningKey, box_key: [u8; 32], ticket: &DeviceId) -> Self {
        let proof = sign("enrol", device, &ticket.0);
        Op::Enrol { device: crate::log::device_id(device), box_key, proof }
    }
}

/// Whether an enrolment's device agreed to this ticket.
#[must_use]
pub fn enrol_proves(device: &DeviceId, ticket: &DeviceId, proof: &[u8; 64]) -> bool {
    signature_holds("enrol", device, &ticket.0, proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_narrow_as_designed() {
        assert!(Roles::ADMIN.contains(Roles::RELAY) && Roles::ADMIN.contains(Roles::EDITOR));
        assert!(!Roles::RELAY.contains(Roles::EDITOR), "a relay right alone never edits");
        assert_eq!(Roles::EDITOR.union(Roles::RELAY).below(), Roles::RELAY);
        assert_eq!(Roles::EDITOR.below(), Roles::NONE);
        assert_eq!(Roles::named("editor"), Some(Roles::EDITOR));
        assert_eq!(Roles::RELAY.union(Roles::EDITOR).names(), ["relay", "editor"]);
    }

    #[test]
    fn operations_round_trip_and_refuse_what_follows() {
        let op = Op::CreateUnit {
            unit: UnitId([1; 16]),
            name: "Phường Trúc Bạch".into(),
            code: Some("00004".into()),
            kind: None,
            since: Millis(5),
        };
        let mut bytes = op.encode();
        assert_eq!(Op::decode(&bytes), Ok(op));
        for cut in 0..bytes.len() {
            assert!(Op::decode(&bytes[..cut]).is_err(), "prefix {cut}");
        }
        bytes.push(0);
        assert!(Op::decode(&bytes).is_err());
    }
}
