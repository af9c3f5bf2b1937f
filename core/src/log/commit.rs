//! Commits: sealed, signed batches of entries, and their verification.
//!
//! It does not: store, order or judge the right of their author (`intake`, `charter`).
//!
//! Invariants: a [`VerifiedHeader`] exists only for a signature that was checked; a [`Commit`] only
//! for a payload whose Merkle root is the signed one. The received bytes are the ones kept.

use super::entry::{Entry, EntryKind, salt};
use super::merkle;
use super::rebuilt::Rebuilt;
use crate::hash::{signed_string, tagged};
use crate::id::{ActorId, CommitId, DeviceId, Incarnation, LogId, Nonce, OrgId, SpaceId};
use crate::limits;
use crate::time::Millis;
use crate::wire::{self, WireError, at_most};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::sync::{Arc, OnceLock};

/// The format that this version writes.
pub const FORMAT: u8 = 1;

/// The signed header of a commit.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Header {
    /// Format number, [`FORMAT`].
    #[n(0)]
    pub format: u8,
    /// The organisation.
    #[n(1)]
    pub org: OrgId,
    /// The space.
    #[n(2)]
    pub space: SpaceId,
    /// The author's device.
    #[n(3)]
    pub device: DeviceId,
    /// The incarnation of the log.
    #[n(4)]
    pub incarnation: Incarnation,
    /// 1 + the greatest sequence among the parents, from 1.
    #[n(5)]
    pub sequence: u64,
    /// The tips of this device's logs in this space that the commit continues, sorted.
    #[n(6)]
    pub parents: Vec<CommitId>,
    /// The nonce that names the actor of every ordinary change inside.
    #[n(7)]
    pub nonce: Nonce,
    /// The heads of the charters from this unit to the root that the author had seen, sorted.
    #[n(8)]
    pub charter_heads: Vec<CommitId>,
    /// The author's label of time when sealing.
    #[n(9)]
    pub time: Millis,
    /// Number of entries, 1 to 256.
    #[n(10)]
    pub entries: u32,
    /// Merkle root of the entries.
    #[cbor(n(11), with = "minicbor::bytes")]
    pub root: [u8; 32],
}

impl Header {
    /// The log this commit belongs to.
    #[must_use]
    pub fn log(&self) -> LogId {
        LogId { space: self.space, device: self.device, incarnation: self.incarnation }
    }

    /// The actor of the ordinary changes inside.
    #[must_use]
    pub fn actor(&self) -> ActorId {
        ActorId::of(&self.device, &self.nonce)
    }

    fn check(&self) -> Result<(), CommitError> {
        if self.format != FORMAT {
            return Err(CommitError::NewerFormat(self.format));
        }
        at_most("commit", "COMMIT_ENTRIES_MAX", self.entries as usize, limits::COMMIT_ENTRIES_MAX)?;
        at_most("commit", "COMMIT_PARENTS_MAX", self.parents.len(), limits::COMMIT_PARENTS_MAX)?;
        at_most("commit", "CHARTER_HEADS_MAX", self.charter_heads.len(), limits::CHARTER_HEADS_MAX)?;
        let sorted = |v: &[CommitId]| v.windows(2).all(|w| w[0] < w[1]);
        if self.entries == 0 || self.sequence == 0 || !self.time.in_range() {
            return Err(CommitError::Header("an empty commit, sequence 0 or a time out of range"));
        }
        if !sorted(&self.parents) || !sorted(&self.charter_heads) {
            return Err(CommitError::Header("parents or charter heads that are not sorted and distinct"));
        }
        if self.parents.is_empty() != (self.sequence == 1) {
            return Err(CommitError::Header("a sequence that does not fit the parents"));
        }
        Ok(())
    }
}

/// Why a commit cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Bytes that are no header.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A later version wrote it.
    #[error("a commit of format {0} needs a newer Sampan")]
    NewerFormat(u8),
    /// A field out of range.
    #[error("a commit with {0}")]
    Header(&'static str),
    /// Another organisation's commit.
    #[error("a commit of another organisation, {0}")]
    WrongOrganisation(OrgId),
    /// The signature does not verify.
    #[error("the signature of a commit by device {0} does not verify")]
    Signature(DeviceId),
    /// Payload and root differ.
    #[error("the payload of commit {0} does not have the signed Merkle root")]
    Root(CommitId),
    /// Payload and header disagree on the number of entries.
    #[error("commit {id} announces {announced} entries and has {found}")]
    Count {
        /// The commit.
        id: CommitId,
        /// What the header says.
        announced: u32,
        /// What came.
        found: usize,
    },
}

/// A header as it travels: its bytes and the signature over them.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SignedHeader {
    /// Canonical CBOR of the [`Header`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// ed25519 over `sampan/commit/1\0` and the bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

impl SignedHeader {
    /// Checks form, limits, organisation and signature.
    ///
    /// # Errors
    /// [`CommitError`], naming what is wrong; never a payload error.
    pub fn verify(&self, org: &OrgId) -> Result<VerifiedHeader, CommitError> {
        let unchecked = self.trust()?;
        if unchecked.header.org != *org {
            return Err(CommitError::WrongOrganisation(unchecked.header.org));
        }
        if !signature_holds("commit", &unchecked.header.device, &self.bytes, &self.signature) {
            return Err(CommitError::Signature(unchecked.header.device));
        }
        Ok(unchecked)
    }

    /// Decodes without checking the signature: only for bytes from our own store, which were
    /// checked before they were written.
    ///
    /// # Errors
    /// [`CommitError`] when the bytes are no header within the limits.
    pub fn trust(&self) -> Result<VerifiedHeader, CommitError> {
        at_most("commit header", "HEADER_BYTES_MAX", self.bytes.len(), limits::HEADER_BYTES_MAX)?;
        let header: Header = wire::decode("commit header", &self.bytes)?;
        header.check()?;
        Ok(VerifiedHeader { id: CommitId(tagged("commit-id", &[&self.bytes])), header, signed: self.clone() })
    }
}

/// A header whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHeader {
    id: CommitId,
    header: Header,
    signed: SignedHeader,
}

impl VerifiedHeader {
    /// The commit's id: tagged BLAKE3 of the header bytes.
    #[must_use]
    pub fn id(&self) -> CommitId {
        self.id
    }
    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// The bytes and signature as received.
    #[must_use]
    pub fn signed(&self) -> &SignedHeader {
        &self.signed
    }
}

/// An entry with its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPayload {
    /// The entry.
    pub entry: Entry,
    /// The whole change chunk, or the operation's bytes.
    pub payload: Vec<u8>,
}

/// What the salts of a commit's entries come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// The commit's secret: every salt follows from it.
    Whole([u8; 16]),
    /// The salts that an erasure left, one an entry; that of a hole is gone and stands as zeros. From the
    /// secret, which is gone too, it could be computed and a guess at what was erased be tried.
    Salts(Vec<[u8; 16]>),
}

impl From<[u8; 16]> for Secret {
    fn from(secret: [u8; 16]) -> Self {
        Self::Whole(secret)
    }
}

impl Secret {
    /// The salt of the entry at `index`.
    #[must_use]
    pub fn salt(&self, index: u32) -> [u8; 16] {
        match self {
            Self::Whole(secret) => salt(secret, index),
            Self::Salts(salts) => salts.get(index as usize).copied().unwrap_or_default(),
        }
    }
}

/// What a pack carries of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The secret that the salts come from, or what an erasure left of them.
    pub secret: Secret,
    /// The entries in order, payload hashes already computed from the payloads.
    pub entries: Vec<EntryPayload>,
}

impl Payload {
    /// Within the limits: a commit that inflates beyond them would not fit a frame of its own.
    fn check(&self) -> Result<(), CommitError> {
        let bytes = self.entries.iter().map(|e| e.payload.len()).sum();
        Ok(at_most("commit", "COMMIT_BYTES_MAX", bytes, limits::COMMIT_BYTES_MAX)?)
    }

    /// The Merkle leaves of these entries.
    #[must_use]
    pub fn leaves(&self) -> Vec<[u8; 32]> {
        let leaf = |(i, e): (usize, &EntryPayload)| e.entry.leaf(i as u32, &self.secret.salt(i as u32));
        self.entries.iter().enumerate().map(leaf).collect()
    }

    /// The Merkle root of these entries.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        merkle::root(&self.leaves())
    }

    /// Whether an erasure left holes in it.
    #[must_use]
    pub fn has_holes(&self) -> bool {
        self.entries.iter().any(|e| e.entry.kind == EntryKind::Hole)
    }

    /// Makes holes of the entries that `gone` names by index and entry, and salts of the secret; true if there
    /// were any. Everything else stays byte for byte, and so does the Merkle root.
    pub fn punch(&mut self, gone: impl Fn(u32, &Entry) -> bool) -> bool {
        let hit = |(i, e): (usize, &EntryPayload)| e.entry.kind != EntryKind::Hole && gone(i as u32, &e.entry);
        let hits: Vec<usize> = self.entries.iter().enumerate().filter(|(i, e)| hit((*i, e))).map(|(i, _)| i).collect();
        if hits.is_empty() {
            return false;
        }
        let mut salts: Vec<[u8; 16]> = (0..self.entries.len()).map(|i| self.secret.salt(i as u32)).collect();
        for i in hits {
            self.entries[i] = EntryPayload { entry: self.entries[i].entry.hole(&salts[i]), payload: Vec::new() };
            salts[i] = [0; 16];
        }
        self.secret = Secret::Salts(salts);
        true
    }
}

/// What follows from a commit of a charter alone and is needed in every fold.
#[derive(Debug, Clone, Default)]
struct Memo {
    facts: OnceLock<Arc<[u8]>>,
    proof: OnceLock<bool>,
}

/// A whole commit whose payload has the signed root.
#[derive(Debug, Clone)]
pub struct Commit {
    head: VerifiedHeader,
    payload: Payload,
    rebuilt: Rebuilt,
    memo: Memo,
}

impl PartialEq for Commit {
    /// How its pack was read, and what was remembered of it, is no part of a commit.
    fn eq(&self, other: &Self) -> bool {
        self.head == other.head && self.payload == other.payload
    }
}

impl Eq for Commit {}

impl Commit {
    /// Joins a verified header and a payload.
    ///
    /// # Errors
    /// [`CommitError::Count`] or [`CommitError::Root`] when they do not belong together.
    pub fn join(head: VerifiedHeader, payload: Payload) -> Result<Self, CommitError> {
        Self::join_read(head, (payload, Rebuilt::default()))
    }

    /// Joins a verified header and a payload as [`crate::pack::read`] gave it.
    ///
    /// # Errors
    /// As [`Commit::join`].
    pub fn join_read(head: VerifiedHeader, (payload, rebuilt): (Payload, Rebuilt)) -> Result<Self, CommitError> {
        if payload.entries.len() != head.header.entries as usize {
            return Err(CommitError::Count {
                id: head.id,
                announced: head.header.entries,
                found: payload.entries.len(),
            });
        }
        payload.check()?;
        if payload.root() != head.header.root {
            return Err(CommitError::Root(head.id));
        }
        Ok(Self { head, payload, rebuilt, memo: Memo::default() })
    }

    /// Seals entries: fills in count and root, signs. The header's `entries` and `root` are ignored.
    ///
    /// # Errors
    /// [`CommitError`] when the result would break a limit.
    pub fn seal(key: &SigningKey, mut header: Header, payload: Payload) -> Result<Self, CommitError> {
        header.entries = payload.entries.len() as u32;
        header.root = payload.root();
        header.check()?;
        payload.check()?;
        let bytes = wire::encode(&header);
        let signature = sign("commit", key, &bytes);
        let head = SignedHeader { bytes, signature }.trust()?;
        Ok(Self { head, payload, rebuilt: Rebuilt::default(), memo: Memo::default() })
    }

    /// The verified header.
    #[must_use]
    pub fn head(&self) -> &VerifiedHeader {
        &self.head
    }
    /// Makes holes of entries, see [`Payload::punch`]: id, signature and root stay.
    pub fn punch(&mut self, gone: impl Fn(u32, &Entry) -> bool) -> bool {
        let any = self.payload.punch(gone);
        if any {
            self.rebuilt = Rebuilt::default();
            self.memo = Memo::default();
        }
        any
    }

    /// Whether the change at `index` was made from columns by our own writer, and never from bytes that a peer chose.
    #[must_use]
    pub fn is_rebuilt(&self, index: usize) -> bool {
        self.rebuilt.at(index)
    }

    /// A byte for each entry, worked out once: `of` has nothing but this commit to go by.
    pub(crate) fn facts(&self, of: impl FnOnce(&Self) -> Arc<[u8]>) -> &[u8] {
        self.memo.facts.get_or_init(|| of(self))
    }

    /// Whether what its only entry shows holds, worked out once: `of` has nothing but this commit to go by.
    pub(crate) fn proof(&self, of: impl FnOnce() -> bool) -> bool {
        if self.payload.entries.len() == 1 { *self.memo.proof.get_or_init(of) } else { of() }
    }

    /// The commit's id.
    #[must_use]
    pub fn id(&self) -> CommitId {
        self.head.id
    }
    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.head.header
    }
    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }
}

/// Signs `sampan/<kind>/1\0` and the bytes.
#[must_use]
pub fn sign(kind: &str, key: &SigningKey, bytes: &[u8]) -> [u8; 64] {
    key.sign(&signed_string(kind, bytes)).to_bytes()
}

/// Whether a signature by this device over `sampan/<kind>/1\0` and the bytes holds: strict ed25519
/// verification, false for a bad key as well.
#[must_use]
pub fn signature_holds(kind: &str, device: &DeviceId, bytes: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(&device.0)
        .and_then(|key| key.verify_strict(&signed_string(kind, bytes), &Signature::from_bytes(signature)))
        .is_ok()
}

/// The device id of a signing key.
#[must_use]
pub fn device_id(key: &SigningKey) -> DeviceId {
    DeviceId(key.verifying_key().to_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::entry::EntryKind;
    use super::*;
    use crate::id::{RecordId, UnitId};

    #[test]
    fn a_commit_that_inflates_beyond_the_limit_is_refused_on_either_side() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let payload = vec![0; limits::COMMIT_BYTES_MAX / 2 + 1];
        let kind = EntryKind::Charter;
        let payload_hash = Entry::hash_payload(kind, &payload);
        let entry = Entry {
            kind,
            record: RecordId([1; 16]),
            collection: String::new(),
            payload_hash,
            time: Millis(0),
            birth: None,
        };
        let entry = EntryPayload { entry, payload };
        let payload = Payload { secret: [0; 16].into(), entries: vec![entry.clone(), entry] };
        let org = OrgId(device_id(&key).0);
        let header = Header {
            format: FORMAT,
            org,
            space: SpaceId::charter(UnitId::default()),
            device: device_id(&key),
            incarnation: Incarnation::default(),
            sequence: 1,
            parents: vec![],
            nonce: Nonce::default(),
            charter_heads: vec![],
            time: Millis(0),
            entries: 2,
            root: payload.root(),
        };
        let bytes = wire::encode(&header);
        let signature = sign("commit", &key, &bytes);
        let head = SignedHeader { bytes, signature }.verify(&org).unwrap();
        assert!(matches!(Commit::join(head, payload.clone()), Err(CommitError::Wire(_))));
        assert!(matches!(Commit::seal(&key, header, payload), Err(CommitError::Wire(_))));
    }
}
