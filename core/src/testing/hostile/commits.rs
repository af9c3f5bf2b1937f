//! Commits that no honest device makes, properly signed.
//!
//! It does not: break a signature or a limit of commits: what nobody could send is a fault of the test.
//!
//! Invariants: the same arguments give the same bytes.

use crate::entropy::random;
use crate::hash::tagged16;
use crate::id::{ActorId, CommitId, Incarnation, Nonce, OrgId, RecordId, SpaceId};
use crate::log::commit::FORMAT;
use crate::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use crate::pack::{self, Codec, PackScope};
use crate::record::ids::record_id;
use crate::testing::SeededRng;
use crate::time::Millis;
use crate::value::{Kind, Value};
use crate::wire::frame::Group;
use ed25519_dalek::SigningKey;

/// Where a commit claims to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The organisation.
    pub org: OrgId,
    /// The space.
    pub space: SpaceId,
    /// The incarnation of its log.
    pub incarnation: Incarnation,
    /// The nonce of its actor.
    pub nonce: Nonce,
    /// Its sequence.
    pub sequence: u64,
    /// Its parents.
    pub parents: Vec<CommitId>,
    /// The charter that it claims to have seen.
    pub charter_heads: Vec<CommitId>,
    /// Its time.
    pub time: Millis,
}

impl Place {
    /// The start of a log, of an incarnation that the nonce names.
    #[must_use]
    pub fn first(org: OrgId, space: SpaceId, nonce: Nonce, charter_heads: Vec<CommitId>, time: Millis) -> Self {
        let (incarnation, parents) = (Incarnation(nonce.0), Vec::new());
        Self { org, space, incarnation, nonce, sequence: 1, parents, charter_heads, time }
    }

    /// On top of a commit, in its log.
    #[must_use]
    pub fn after(commit: &Commit) -> Self {
        let h = commit.header();
        Self { sequence: h.sequence + 1, parents: vec![commit.id()], ..Self::beside(commit) }
    }

    /// Where a commit stands already: a fork, when its own device seals it.
    #[must_use]
    pub fn beside(commit: &Commit) -> Self {
        let h = commit.header();
        Self {
            org: h.org,
            space: h.space,
            incarnation: h.incarnation,
            nonce: h.nonce,
            sequence: h.sequence,
            parents: h.parents.clone(),
            charter_heads: h.charter_heads.clone(),
            time: h.time,
        }
    }
}

/// An entry that carries these bytes as an ordinary change of a record.
#[must_use]
pub fn entry(record: RecordId, collection: &str, time: Millis, bytes: Vec<u8>) -> EntryPayload {
    let kind = EntryKind::Change;
    let payload_hash = Entry::hash_payload(kind, &bytes);
    let collection = collection.to_owned();
    EntryPayload { entry: Entry { kind, record, collection, payload_hash, time, birth: None }, payload: bytes }
}

/// A properly signed commit of any key at any place.
///
/// # Panics
/// When the entries break a limit of commits, which nobody could send.
#[must_use]
pub fn commit(key: &SigningKey, place: &Place, entries: Vec<EntryPayload>) -> Commit {
    let hashes: Vec<&[u8]> = entries.iter().map(|e| e.entry.payload_hash.as_slice()).collect();
    let secret = tagged16("hostile-secret", &hashes);
    let header = Header {
        format: FORMAT,
        org: place.org,
        space: place.space,
        device: device_id(key),
        incarnation: place.incarnation,
        sequence: place.sequence,
        parents: place.parents.clone(),
        nonce: place.nonce,
        charter_heads: place.charter_heads.clone(),
        time: place.time,
        entries: 0,
        root: [0; 32],
    };
    Commit::seal(key, header, Payload { secret: secret.into(), entries })
        .unwrap_or_else(|e| panic!("a commit that nobody could send: {e}"))
}

/// A second commit where `honest` stands, by the same key: a log forked on purpose.
#[must_use]
pub fn fork(key: &SigningKey, honest: &Commit, entries: Vec<EntryPayload>) -> Commit {
    commit(key, &Place::beside(honest), entries)
}

/// An entry that creates a member with a name of this many bytes, honest in form.
///
/// # Panics
/// When the name is longer than a string may be.
#[must_use]
pub fn creation(key: &SigningKey, place: &Place, bytes: usize, rng: &mut SeededRng) -> EntryPayload {
    let actor = ActorId::of(&device_id(key), &place.nonce);
    let fields = [("full_name".to_owned(), (Kind::String, Value::Str("x".repeat(bytes))))];
    let made = crate::record::create(&actor, place.time, random(rng), &fields.into())
        .unwrap_or_else(|e| panic!("the test creates a record that breaks a rule: {e}"));
    entry(record_id(&place.space, &made.hash), "members", place.time, made.bytes)
}

/// A commit of a device that nobody ever gave a right, honest in all else; its `place` is taken over
/// but for sequence and parents.
#[must_use]
pub fn stranger(place: &Place, rng: &mut SeededRng) -> (SigningKey, Commit) {
    let key = SigningKey::from_bytes(&random(rng));
    let nonce = Nonce(random(rng));
    let first = Place::first(place.org, place.space, nonce, place.charter_heads.clone(), place.time);
    let made = creation(&key, &first, 20, rng);
    let commit = commit(&key, &first, vec![made]);
    (key, commit)
}

/// `count` commits of one stranger, a chain whose entries have about `bytes` each: more than
/// `QUARANTINE_COMMITS_MAX` of them, or more bytes than `QUARANTINE_BYTES_MAX`, is a flood.
#[must_use]
pub fn flood(place: &Place, count: usize, bytes: usize, rng: &mut SeededRng) -> Vec<Commit> {
    let (key, first) = stranger(place, rng);
    let mut out = vec![first];
    while out.len() < count {
        let place = Place::after(&out[out.len() - 1]);
        let made = creation(&key, &place, bytes, rng);
        out.push(commit(&key, &place, vec![made]));
    }
    out
}

/// Commits of one space as they travel.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn group(codec: &dyn Codec, commits: &[&Commit]) -> Group {
    let h = commits[0].header();
    let scope = PackScope { org: h.org, space: h.space };
    let payloads: Vec<&Payload> = commits.iter().map(|c| c.payload()).collect();
    let headers = commits.iter().map(|c| c.head().signed().clone()).collect();
    Group { headers, pack: pack::encode(&scope, &payloads, codec) }
}
