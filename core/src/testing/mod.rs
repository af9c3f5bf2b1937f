//! What the tests of every package share: a seeded generator, keys, small commits, the in-memory
//! store and the suite that every store must pass.
//!
//! It does not: reach a release build (feature `testing`), or know the engine above the log.
//!
//! Invariants: the same seed gives the same bytes on every machine.

mod erase_suite;
mod forge;
pub mod hostile;
pub mod mem_shelf;
pub mod mem_store;
pub mod members;
pub mod shared_store;
pub mod store_suite;
pub mod village;

pub use mem_shelf::MemShelf;
pub use mem_store::MemStore;
pub use shared_store::SharedStore;
pub use store_suite::store_suite;

use crate::entropy::Entropy;
use crate::hash::{change_hash, whole_chunk};
use crate::id::{ActorId, CommitId, DeviceId, Flow, Incarnation, Nonce, OrgId, RecordId, SpaceId, UnitId};
use crate::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use crate::record::ids::record_id;
use crate::time::{BUILD_FLOOR, Millis};
use ed25519_dalek::SigningKey;

/// A generator that repeats itself: splitmix64.
#[derive(Debug, Clone)]
pub struct SeededRng {
    state: u64,
}

impl SeededRng {
    /// The generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    /// True once in `n` calls on average.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl Entropy for SeededRng {
    fn fill(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The `n`-th device key of the tests.
#[must_use]
pub fn test_key(n: u64) -> SigningKey {
    let mut seed = [0; 32];
    SeededRng::new(n ^ 0x5a5a_0000).fill(&mut seed);
    SigningKey::from_bytes(&seed)
}

/// The organisation of the tests: the public key of [`test_key`] 0.
#[must_use]
pub fn test_org() -> OrgId {
    OrgId(device_id(&test_key(0)).0)
}

/// The `n`-th unit of the tests.
#[must_use]
pub fn test_unit(n: u8) -> UnitId {
    UnitId([n; 16])
}

/// The `up` space of reach 0 of a unit.
#[must_use]
pub fn up_space(unit: u8) -> SpaceId {
    SpaceId { unit: test_unit(unit), flow: Flow::Up, reach: 0 }
}

/// A time some seconds after the build floor.
#[must_use]
pub fn test_time(seconds: u64) -> Millis {
    Millis(BUILD_FLOOR.0 + seconds * 1_000)
}

/// An entry of kind `kind` whose payload is a chunk (or an operation) around `body`. Without a
/// `record` the entry creates its own, as a first change or a charter operation does.
#[must_use]
pub fn fake_entry(
    space: &SpaceId,
    kind: EntryKind,
    record: Option<RecordId>,
    time: Millis,
    body: &[u8],
) -> EntryPayload {
    let payload = if kind.is_change() { whole_chunk(body, &change_hash(body)) } else { body.to_vec() };
    let payload_hash = Entry::hash_payload(kind, &payload);
    let computed = if kind == EntryKind::Charter {
        let mut first = [0; 16];
        first.copy_from_slice(&payload_hash[..16]);
        RecordId(first)
    } else {
        record_id(space, &crate::id::ChangeHash(payload_hash))
    };
    let collection = match kind {
        EntryKind::Charter | EntryKind::Hole => "",
        EntryKind::Change | EntryKind::Identity | EntryKind::Birth | EntryKind::Erase => "members",
    };
    EntryPayload {
        entry: Entry {
            kind,
            record: record.unwrap_or(computed),
            collection: collection.to_owned(),
            payload_hash,
            time,
            birth: None,
        },
        payload,
    }
}

/// One device that writes commits, each on top of the last unless told otherwise.
#[derive(Debug, Clone)]
pub struct Writer {
    /// Its key.
    pub key: SigningKey,
    /// Its nonce.
    pub nonce: Nonce,
    /// The incarnation of its logs.
    pub incarnation: Incarnation,
    /// Seconds on its clock; one more with every commit.
    pub seconds: u64,
}

impl Writer {
    /// The writer with the `n`-th key and a nonce of its own.
    #[must_use]
    pub fn new(n: u64) -> Self {
        let nonce = Nonce([n as u8 ^ 0x33; 16]);
        Self { key: test_key(n), nonce, incarnation: Incarnation(nonce.0), seconds: 1_000 * n }
    }

    /// Its device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        device_id(&self.key)
    }

    /// The actor it writes under.
    #[must_use]
    pub fn actor(&self) -> ActorId {
        ActorId::of(&self.device(), &self.nonce)
    }

    /// Seals entries on top of these parents.
    ///
    /// # Panics
    /// When the commit would break a limit: a fault of the test.
    pub fn commit(&mut self, space: SpaceId, parents: &[&Commit], entries: Vec<EntryPayload>) -> Commit {
        self.seconds += 1;
        let mut ids: Vec<CommitId> = parents.iter().map(|p| p.id()).collect();
        ids.sort_unstable();
        let below = parents.iter().map(|p| p.header().sequence).max();
        let header = Header {
            format: crate::log::commit::FORMAT,
            org: test_org(),
            space,
            device: self.device(),
            incarnation: self.incarnation,
            sequence: 1 + below.unwrap_or(0),
            parents: ids,
            nonce: self.nonce,
            charter_heads: Vec::new(),
            time: test_time(self.seconds),
            entries: 0,
            root: [0; 32],
        };
        let secret = crate::hash::tagged16("test-secret", &[&self.seconds.to_le_bytes()]);
        Commit::seal(&self.key, header, Payload { secret: secret.into(), entries })
            .unwrap_or_else(|e| panic!("the test makes a commit that breaks a rule: {e}"))
    }

    /// Seals one creation whose content follows from `word`.
    ///
    /// # Panics
    /// See [`Writer::commit`].
    pub fn one(&mut self, space: SpaceId, parents: &[&Commit], word: &str) -> Commit {
        let kind = if space.flow == Flow::Charter { EntryKind::Charter } else { EntryKind::Change };
        let time = test_time(self.seconds);
        let entry = fake_entry(&space, kind, None, time, word.as_bytes());
        self.commit(space, parents, vec![entry])
    }
}
