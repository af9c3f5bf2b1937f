//! Entries: what one commit says about one record.
//!
//! It does not: parse the change inside a payload (`change`) or judge it (`intake`).
//!
//! Invariants: a leaf binds index, record and the salted rest, so that an erased value cannot be
//! guessed from its leaf; the payload hash of a change is Automerge's own.

use crate::hash::{CHUNK_PREFIX, change_hash, tagged, tagged16};
use crate::id::{ActorId, ChangeHash, RecordId};
use crate::time::Millis;
use crate::value::Kind;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum EntryKind {
    /// An ordinary Automerge change.
    #[n(0)]
    Change,
    /// The computed first change of an identity record.
    #[n(1)]
    Identity,
    /// The computed birth of a text, list, set or counter.
    #[n(2)]
    Birth,
    /// A charter operation.
    #[n(3)]
    Charter,
    /// Reserved: an erasure is an operation of a charter.
    #[n(4)]
    Erase,
    /// What an erasure leaves: the record and the inner hash, which stands where the payload's hash stood.
    #[n(5)]
    Hole,
}

impl EntryKind {
    /// The kind of this number; `None` if unknown.
    #[must_use]
    pub fn from_u8(n: u8) -> Option<Self> {
        let all = [Self::Change, Self::Identity, Self::Birth, Self::Charter, Self::Erase, Self::Hole];
        all.get(usize::from(n)).copied()
    }

    /// Whether the payload is an Automerge change.
    #[must_use]
    pub fn is_change(self) -> bool {
        matches!(self, Self::Change | Self::Identity | Self::Birth)
    }

    /// The actor that the change must be written under: the commit's own for an ordinary change,
    /// none for the computed ones, which stand by their bytes.
    #[must_use]
    pub fn expected_actor(self, of_commit: ActorId) -> Option<ActorId> {
        (self == Self::Change).then_some(of_commit)
    }
}

/// The field that a birth makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
pub struct BirthOf {
    /// The field's id.
    #[n(0)]
    pub field: String,
    /// Its kind.
    #[n(1)]
    pub kind: Kind,
}

/// One entry, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the payload is.
    pub kind: EntryKind,
    /// The record; for charter operations the first 16 bytes of the payload hash.
    pub record: RecordId,
    /// The record's collection; empty for charter operations.
    pub collection: String,
    /// SHA-256 as Automerge computes it for changes; of a hole the inner hash of the entry that was there;
    /// tagged BLAKE3 for everything else.
    pub payload_hash: [u8; 32],
    /// The author's label of time.
    pub time: Millis,
    /// The field and kind of a birth.
    pub birth: Option<BirthOf>,
}

/// The part of an entry that its salt hides, in the order of the wire.
#[derive(minicbor::Encode)]
struct Hidden<'a> {
    #[n(0)]
    kind: EntryKind,
    #[n(1)]
    collection: &'a str,
    #[cbor(n(2), with = "minicbor::bytes")]
    payload_hash: &'a [u8],
    #[n(3)]
    time: Millis,
    #[n(4)]
    birth: Option<&'a BirthOf>,
}

impl Entry {
    /// The hash of a payload of this kind. Changes are whole chunks.
    #[must_use]
    pub fn hash_payload(kind: EntryKind, payload: &[u8]) -> [u8; 32] {
        if kind.is_change() {
            change_hash(payload.get(CHUNK_PREFIX..).unwrap_or_default()).0
        } else {
            tagged("payload", &[payload])
        }
    }

    /// The payload hash as a change hash.
    #[must_use]
    pub fn change(&self) -> ChangeHash {
        ChangeHash(self.payload_hash)
    }

    /// H(salt, rest of the entry): what an erasure leaves behind.
    #[must_use]
    pub fn inner(&self, salt: &[u8; 16]) -> [u8; 32] {
        let hidden = crate::wire::encode(&Hidden {
            kind: self.kind,
            collection: &self.collection,
            payload_hash: &self.payload_hash,
            time: self.time,
            birth: self.birth.as_ref(),
        });
        tagged("entry", &[salt, &hidden])
    }

    /// The leaf at `index`.
    #[must_use]
    pub fn leaf(&self, index: u32, salt: &[u8; 16]) -> [u8; 32] {
        let inner = if self.kind == EntryKind::Hole { self.payload_hash } else { self.inner(salt) };
        tagged("leaf", &[&index.to_le_bytes(), &self.record.0, &inner])
    }

    /// The hole that an erasure leaves of this entry: nothing else of it can be guessed from that.
    #[must_use]
    pub fn hole(&self, salt: &[u8; 16]) -> Self {
        Self {
            kind: EntryKind::Hole,
            record: self.record,
            collection: String::new(),
            payload_hash: if self.kind == EntryKind::Hole { self.payload_hash } else { self.inner(salt) },
            time: Millis(0),
            birth: None,
        }
    }
}

/// The salt of entry `index` under a commit's secret.
#[must_use]
pub fn salt(secret: &[u8; 16], index: u32) -> [u8; 16] {
    tagged16("salt", &[secret, &index.to_le_bytes()])
}
