//! The identifiers: fixed-width byte strings, each its own type so that none can stand for another.
//!
//! It does not: draw randomness (callers pass bytes in) or say how an id is computed (that stands
//! beside the thing it names: `record::ids`, `log`, `charter`).
//!
//! Invariants: an id prints as lowercase hex and parses from exactly that; on the wire it is a CBOR
//! byte string of its exact width.

use std::fmt;

/// An id that could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}: {expected} hexadecimal digits are needed")]
pub struct IdError {
    /// What was expected, such as "a record id".
    pub what: &'static str,
    /// How many digits it has.
    pub expected: usize,
    /// The text given.
    pub text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Width in bytes.
            pub const LEN: usize = $len;
            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
            /// From a slice of exactly the right width.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hex = data_encoding::HEXLOWER.encode(&self.0);
                write!(f, "{}({})", stringify!($name), &hex[..hex.len().min(12)])
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                data_encoding::HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|b| Self::from_slice(&b))
                    .ok_or_else(|| IdError { what: $what, expected: $len * 2, text: text.to_owned() })
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let at = d.position();
                Self::from_slice(d.bytes()?)
                    .ok_or_else(|| minicbor::decode::Error::message(concat!("not ", $what)).at(at))
            }
        }
    };
}

id!(/** The organisation: its root ed25519 public key. */ OrgId, 32, "an organisation id");
id!(/** A unit of the tree: 16 random bytes that never change. */ UnitId, 16, "a unit id");
id!(/** A device: its ed25519 public key. */ DeviceId, 32, "a device id");
id!(/** A record: see `record::ids`. */ RecordId, 16, "a record id");
id!(/** A commit: BLAKE3 of its header, see `log`. */ CommitId, 32, "a commit id");
id!(/** An Automerge change: SHA-256 of its uncompressed chunk body. */ ChangeHash, 32, "a change hash");
id!(/** An Automerge actor as Sampan writes it, see [`ActorId::of`]. */ ActorId, 16, "an actor id");
id!(/** What tells two copies of one replica apart: 16 random bytes, drawn anew on a clone. */ Nonce, 16, "a nonce");
id!(/** A log's incarnation: the nonce in force at its start. */ Incarnation, 16, "an incarnation");
id!(/** A BLAKE3 digest of a frontier or a subtree. */ Digest, 32, "a digest");
id!(/** A store's epoch: 16 random bytes drawn when the database is created or restored. */ StoreEpoch, 16, "a store epoch");

id!(
    /** The first 16 bytes of a commit id: enough to ask "do you have this", never to prove it. */
    ShortId, 16, "a short commit id"
);
id!(
    /** 16 bytes of a digest of what two ends hold: enough where both computed it themselves, and where a difference that
    went unnoticed would cost nothing but time. */
    ShortDigest, 16, "a short digest"
);
id!(
    /** The first 8 bytes of a digest: enough to go down a tree of digests, where a whole one decides at the end. */
    Glance, 8, "the first bytes of a digest"
);
id!(
    /** A commit that both ends hold, by the beginnings of its unit's id (two bytes) and its own (four): enough among the
    tips of the few units that begin so. Where it names another, the signature fails and the commit is asked for whole. */
    Named, 6, "the name of a commit"
);

id!(
    /** The first 4 bytes of the id of a charter's commit that both ends hold. Where more than one begins so, or another is
    meant, the signature does not come out and the commit is asked for whole. */
    HeadName, 4, "the name of a charter's head"
);

impl HeadName {
    /// The name of a charter's commit.
    #[must_use]
    pub fn of(id: &CommitId) -> Self {
        let mut out = [0; Self::LEN];
        out.copy_from_slice(&id.0[..Self::LEN]);
        Self(out)
    }

    /// The first and the last commit that it may mean.
    #[must_use]
    pub fn commits(&self) -> (CommitId, CommitId) {
        let end = |fill: u8| {
            let mut id = [fill; 32];
            id[..Self::LEN].copy_from_slice(&self.0);
            CommitId(id)
        };
        (end(0), end(u8::MAX))
    }
}

impl From<CommitId> for ShortId {
    fn from(id: CommitId) -> Self {
        let mut out = [0; Self::LEN];
        out.copy_from_slice(&id.0[..Self::LEN]);
        Self(out)
    }
}

impl Glance {
    /// The beginning of a digest; zero for zero.
    #[must_use]
    pub fn of<const N: usize>(digest: &[u8; N]) -> Self {
        let mut out = [0; Self::LEN];
        for (to, from) in out.iter_mut().zip(digest) {
            *to = *from;
        }
        Self(out)
    }
}

impl ActorId {
    /// The actor of a replica: the first 16 bytes of BLAKE3(device, nonce).
    #[must_use]
    pub fn of(device: &DeviceId, nonce: &Nonce) -> Self {
        Self(crate::hash::tagged16("actor", &[&device.0, &nonce.0]))
    }
}

/// Which way the records of a collection travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Flow {
    /// The authority log of a unit; travels both ways along the chain.
    #[n(0)]
    Charter,
    /// To the ancestors, as far as the reach.
    #[n(1)]
    Up,
    /// To all units below.
    #[n(2)]
    Down,
    /// Between the members of a group (reserved).
    #[n(3)]
    Group,
    /// Nowhere.
    #[n(4)]
    Local,
    /// Extracts for one unit (reserved).
    #[n(5)]
    Inbox,
}

/// What is replicated as a whole: the records of one unit with one flow and reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
pub struct SpaceId {
    /// The unit of birth.
    #[n(0)]
    pub unit: UnitId,
    /// The flow.
    #[n(1)]
    pub flow: Flow,
    /// The level (0 = root) of the highest relay that holds it; 0 for every flow but `Up`.
    #[n(2)]
    pub reach: u8,
}

impl SpaceId {
    /// Width of [`SpaceId::key`] in bytes.
    pub const KEY_LEN: usize = 18;

    /// The charter space of a unit.
    #[must_use]
    pub fn charter(unit: UnitId) -> Self {
        Self { unit, flow: Flow::Charter, reach: 0 }
    }

    /// The 18 bytes that hashes and databases use: unit, flow, reach.
    #[must_use]
    pub fn key(&self) -> [u8; Self::KEY_LEN] {
        let mut out = [0; Self::KEY_LEN];
        out[..16].copy_from_slice(&self.unit.0);
        out[16] = self.flow as u8;
        out[17] = self.reach;
        out
    }

    /// The inverse of [`SpaceId::key`]; `None` for a wrong width or an unknown flow.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        if key.len() != Self::KEY_LEN {
            return None;
        }
        let flow = match key[16] {
            0 => Flow::Charter,
            1 => Flow::Up,
            2 => Flow::Down,
            3 => Flow::Group,
            4 => Flow::Local,
            5 => Flow::Inbox,
            _ => return None,
        };
        Some(Self { unit: UnitId::from_slice(&key[..16])?, flow, reach: key[17] })
    }
}

/// The log of one device in one space under one incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
pub struct LogId {
    /// The space.
    #[n(0)]
    pub space: SpaceId,
    /// The device that signs.
    #[n(1)]
    pub device: DeviceId,
    /// Its incarnation.
    #[n(2)]
    pub incarnation: Incarnation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_and_wrong_widths_are_named() {
        let id = RecordId([7; 16]);
        assert_eq!(id.to_string().parse::<RecordId>(), Ok(id));
        let err = "abc".parse::<RecordId>().unwrap_err();
        assert!(err.to_string().contains("a record id"), "{err}");
    }

    #[test]
    fn space_keys_round_trip() {
        for flow in [Flow::Charter, Flow::Up, Flow::Down, Flow::Group, Flow::Local, Flow::Inbox] {
            let s = SpaceId { unit: UnitId([3; 16]), flow, reach: 2 };
            assert_eq!(SpaceId::from_key(&s.key()), Some(s));
        }
        assert_eq!(SpaceId::from_key(&[9; 18]), None);
    }
}
