//! The store as the engine sees it: a small vocabulary of coarse reads and one atomic batch.
//!
//! It does not: say how things lie on disk (node's SQLite store, the in-memory store of `testing`,
//! PostgreSQL one day), open documents, or judge anything: statuses are computed by `intake` and
//! handed in.
//!
//! Invariants: a [`Batch`] is stored whole or not at all, and durably before [`Store::write`]
//! returns, or, inside a node's group of batches, before any output of the group leaves. Commits are
//! stored only whole, after their parents in the same log; only those of counting logs reach
//! [`Batch::groups`], the others go to the quarantine, which no frontier sees.

use crate::frontier::{ShortId, SpaceTips};
use crate::id::{ActorId, ChangeHash, CommitId, DeviceId, Digest, LogId, Nonce, RecordId, SpaceId, StoreEpoch, UnitId};
use crate::log::{BirthOf, Commit, EntryKind, EntryPayload, VerifiedHeader};
use crate::register::SignedRegister;
use crate::shelf::Shelf;
use crate::time::Millis;
use crate::wire::frame::{AckLeaf, Group};
use std::collections::{BTreeMap, BTreeSet};

/// Position of a commit in this store, growing in order of storage, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommitKey(pub u64);

/// Position of a record in this store, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(pub u64);

/// Position of an unsealed local edit in this store, growing in order of editing, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingKey(pub u64);

/// What an entry counts for, computed from the charter and the stored set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It stands and is shown.
    Accepted,
    /// Something that it builds on has not arrived.
    Pending,
    /// It builds on something that does not stand, or lost to a twin of its actor and sequence.
    Blocked,
    /// It breaks the rules of admission and never stands.
    Malformed,
    /// It parses but needs a newer version of this software.
    NeedsNewer,
}

impl Status {
    /// The number that databases keep.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
    /// The inverse of [`Status::number`].
    #[must_use]
    pub fn from_number(n: u8) -> Option<Self> {
        [Self::Accepted, Self::Pending, Self::Blocked, Self::Malformed, Self::NeedsNewer].get(usize::from(n)).copied()
    }
}

/// What is known of a record without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordState {
    /// The record.
    pub id: RecordId,
    /// Its position, `None` before it is stored.
    pub key: Option<RecordKey>,
    /// Its collection.
    pub collection: String,
    /// The space it was born in.
    pub space: SpaceId,
    /// Heads of the standing changes, sorted; empty while its creation has not arrived.
    pub heads: Vec<ChangeHash>,
    /// Greatest operation counter of the standing changes.
    pub max_op: u64,
    /// Greatest standing sequence of each actor.
    pub sequences: BTreeMap<ActorId, u64>,
    /// Number of entries held, of any status.
    pub entries: u32,
    /// Number of entries that are not [`Status::Accepted`].
    pub irregular: u32,
    /// A document of it made Automerge panic: never opened again.
    pub damaged: bool,
}

/// Where an entry lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryAt {
    /// In a sealed commit, at this index.
    Sealed(CommitKey, u32),
    /// Not yet sealed.
    Pending(PendingKey),
}

/// One entry of a record with its payload and everything that judging or showing it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEntry {
    /// Where it lies.
    pub at: EntryAt,
    /// The space of its commit.
    pub space: SpaceId,
    /// The collection that it names.
    pub collection: String,
    /// Its kind.
    pub kind: EntryKind,
    /// Its status as stored.
    pub status: Status,
    /// The change's hash.
    pub hash: ChangeHash,
    /// The actor of the commit that carries it (or will).
    pub actor: ActorId,
    /// The device that signed (or will).
    pub author: DeviceId,
    /// The author's label of time.
    pub time: Millis,
    /// When this store first saw it, by the local clock.
    pub first_seen: Millis,
    /// The field of a birth.
    pub birth: Option<BirthOf>,
    /// The whole change chunk.
    pub bytes: Vec<u8>,
}

/// What the store tells of a commit without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRow {
    /// Position.
    pub key: CommitKey,
    /// Id.
    pub id: CommitId,
    /// Sequence in its log.
    pub sequence: u64,
    /// Number of entries.
    pub entries: u32,
    /// Number of them that are ordinary or identity changes: births and charter operations excluded.
    pub changes: u32,
    /// Bytes of payload as packed (an estimate where a pack holds several commits).
    pub bytes: u32,
    /// The author's label of time when sealing.
    pub time: Millis,
}

/// A local edit that no commit holds yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEntry {
    /// Position; ignored in a batch, where the store gives it.
    pub key: PendingKey,
    /// The space.
    pub space: SpaceId,
    /// The nonce in force when it was made: its actor is `ActorId::of(own device, nonce)`.
    pub nonce: Nonce,
    /// Entry and payload.
    pub entry: EntryPayload,
}

/// How many unsealed local edits one space has of one collection, without any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingSum {
    /// The space.
    pub space: SpaceId,
    /// The collection that they name.
    pub collection: String,
    /// Number of them.
    pub entries: u64,
    /// Number of them that are ordinary or identity changes, as in [`CommitRow::changes`].
    pub changes: u64,
    /// The earliest of their labels of time.
    pub oldest: Millis,
}

/// A commit with what it continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Its position.
    pub key: CommitKey,
    /// Its id.
    pub id: CommitId,
    /// Its parents.
    pub parents: Vec<CommitId>,
}

/// A commit kept aside because its device has no right there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its header.
    pub head: VerifiedHeader,
    /// Its pack, alone.
    pub pack: Vec<u8>,
    /// The neighbour that handed it over.
    pub peer: DeviceId,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Millis,
}

/// What a relay holds of a unit, by its own signed word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckRow {
    /// The acknowledged unit.
    pub leaf: AckLeaf,
    /// The relay's unit.
    pub relay_unit: UnitId,
    /// The relay's device.
    pub relay: DeviceId,
    /// The relay's level, 0 = root.
    pub level: u8,
    /// Its store's epoch.
    pub epoch: StoreEpoch,
    /// Counter of the statement.
    pub counter: u64,
    /// Time of the statement, by the relay's clock.
    pub at: Millis,
    /// The signed statement.
    pub register: SignedRegister,
    /// The leaf's index among those of the statement, and its sibling hashes.
    pub proof: (u32, Vec<Digest>),
    /// The last commit of this store that the statement covers for the unit.
    pub through: CommitKey,
    /// Whether it covered all that this store held of the unit when it came.
    pub complete: bool,
}

/// One entry of a commit about to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The record (charter operations: their own id; they have no record state).
    pub record: RecordId,
    /// Its kind.
    pub kind: EntryKind,
    /// Its status.
    pub status: Status,
}

/// One commit about to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit {
    /// Its header.
    pub head: VerifiedHeader,
    /// Its entries in order.
    pub entries: Vec<NewEntry>,
}

/// Commits of one space and the pack that holds exactly their payloads, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// The commits, parents before children.
    pub commits: Vec<NewCommit>,
    /// The pack as received or made.
    pub pack: Vec<u8>,
}

/// Everything one input changes, stored as one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The local clock.
    pub now: Millis,
    /// Commits of counting logs; their tips follow from them.
    pub groups: Vec<NewGroup>,
    /// Records as they are after this batch, new ones with `key: None`.
    pub records: Vec<RecordState>,
    /// Entries already stored whose status changed.
    pub restatus: Vec<(RecordId, EntryAt, Status)>,
    /// New local edits with their status (always accepted unless their record is irregular).
    pub pending: Vec<(PendingEntry, Status)>,
    /// Local edits that the commits above now hold: their rows go.
    pub sealed: Vec<PendingKey>,
    /// Commits set aside.
    pub quarantine: Vec<Quarantined>,
    /// Commits that no longer count: they and their entries leave what is held, and those of them that are
    /// in `quarantine` too lie there from now on, whatever its quota: nothing that was accepted is lost.
    pub withdrawn: Vec<CommitId>,
    /// Entries of held commits that become holes, by record and place: their packs are rewritten, the entries
    /// are listed no more.
    pub holes: Vec<(RecordId, CommitKey, u32)>,
    /// Records that nothing is left of: whatever the store has beside their entries goes.
    pub forgotten: Vec<RecordId>,
    /// Registers that go, of whatever device, by unit and name.
    pub unsaid: Vec<(UnitId, String)>,
    /// Commits that leave the quarantine (they are in `groups` when they now count).
    pub released: Vec<CommitId>,
    /// Registers already verified; an older counter than the stored one is ignored by the store.
    pub registers: Vec<SignedRegister>,
    /// Acknowledgements; each replaces the row of the same leaf unit and relay unit.
    pub acks: Vec<AckRow>,
    /// Small facts by name; `None` deletes.
    pub meta: BTreeMap<String, Option<Vec<u8>>>,
}

impl Batch {
    /// An empty batch at this time.
    #[must_use]
    pub fn at(now: Millis) -> Self {
        Self { now, ..Self::default() }
    }

    /// Whether writing it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::at(self.now)
    }
}

/// Why the store could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk.
    #[error("the disk is full: {0}; free some room, nothing was changed")]
    Full(String),
    /// What is stored contradicts itself.
    #[error("the database is damaged: {0}; run 'verify' to see what is affected")]
    Damaged(String),
    /// A newer version wrote the database.
    #[error("the database has version {found}, this program knows {known}: install the newer Sampan")]
    Newer {
        /// Version found.
        found: u32,
        /// Newest version known.
        known: u32,
    },
    /// The database at this path is encrypted, and this program cannot read such.
    #[error("{0} is encrypted, and this program was built without encryption: install one that has it")]
    Encrypted(String),
    /// Another process holds the database.
    #[error("the database is in use by another process: {0}")]
    Busy(String),
    /// Reading or writing failed.
    #[error("the database cannot be read or written: {0}")]
    Io(String),
}

/// Names in [`Store::meta`] that the store itself writes.
pub mod meta_names {
    /// Commits that the quarantine refused because their peer's quota was used up, as [`count`].
    pub const QUARANTINE_REFUSED: &str = "quarantine_refused";

    /// A count as `meta` keeps it: eight bytes, little-endian; anything else is 0.
    #[must_use]
    pub fn count(bytes: &[u8]) -> u64 {
        bytes.try_into().map_or(0, u64::from_le_bytes)
    }
}

/// The store.
pub trait Store {
    /// Commits of the batch that was written last, as they were decoded and verified: a store may keep some of them for
    /// who reads them next. Nothing hangs on it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn hand_on(&mut self, _commits: Vec<Commit>) -> Result<(), StoreError> {
        Ok(())
    }
    /// This store's epoch, drawn when it was created.
    ///
    /// # Errors
    /// [`StoreError`] when reading fails; so for every method below.
    fn epoch(&self) -> Result<StoreEpoch, StoreError>;

    /// The tips of every log of every space, quarantine excluded.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tips(&self) -> Result<BTreeMap<SpaceId, SpaceTips>, StoreError>;

    /// Position and sequence of each commit, `None` for those not held. Quarantined ones are not held.
    ///
    /// # Errors
    /// [`StoreError`].
    fn known(&self, ids: &[CommitId]) -> Result<Vec<Option<(CommitKey, u64)>>, StoreError>;

    /// The header of a commit, `None` if it is not held. Quarantined ones are not held.
    ///
    /// # Errors
    /// [`StoreError`].
    fn head(&self, id: &CommitId) -> Result<Option<VerifiedHeader>, StoreError>;

    /// When this store first saw each commit, by the local clock; `None` for those not held.
    ///
    /// # Errors
    /// [`StoreError`].
    fn first_seen(&self, ids: &[CommitId]) -> Result<Vec<Option<Millis>>, StoreError>;

    /// Commits stored after a position, in order of storage, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stored_after(&self, after: CommitKey, limit: usize) -> Result<Vec<(LogId, CommitRow)>, StoreError>;

    /// The commits of a log that are neither in `have` nor ancestors (within the log) of a commit in
    /// it, parents before children. Ids in `have` that are not held are ignored.
    ///
    /// # Errors
    /// [`StoreError`].
    fn missing(&self, log: &LogId, have: &BTreeSet<CommitId>) -> Result<Vec<CommitRow>, StoreError>;

    /// Every commit that is held of a device in a space, of all its logs there, with its position and its
    /// parents, in order of storage.
    ///
    /// # Errors
    /// [`StoreError`].
    fn lineage(&self, space: &SpaceId, device: &DeviceId) -> Result<Vec<Lineage>, StoreError>;

    /// Truncated ids of every commit of a log.
    ///
    /// # Errors
    /// [`StoreError`].
    fn inventory(&self, log: &LogId) -> Result<Vec<ShortId>, StoreError>;

    /// The commits of a log that an inventory does not name, parents before children.
    ///
    /// # Errors
    /// [`StoreError`].
    fn missing_from(&self, log: &LogId, inventory: &BTreeSet<ShortId>) -> Result<Vec<CommitRow>, StoreError>;

    /// These commits, all of one space, ready to send, in the order asked for: packs as stored where
    /// a pack holds exactly consecutive ones of them, else packed anew.
    ///
    /// # Errors
    /// [`StoreError`].
    fn groups(&self, space: &SpaceId, keys: &[CommitKey]) -> Result<Vec<Group>, StoreError>;

    /// The entry at this index of a commit, with its payload; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn entry_at(&self, commit: CommitKey, index: u32) -> Result<Option<EntryPayload>, StoreError>;

    /// Every commit of every charter space, in order of storage.
    ///
    /// # Errors
    /// [`StoreError`].
    fn charter_commits(&self) -> Result<Vec<Commit>, StoreError>;

    /// The states of these records, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn records(&self, ids: &[RecordId]) -> Result<Vec<Option<RecordState>>, StoreError>;

    /// All entries of a record, unsealed ones last.
    ///
    /// # Errors
    /// [`StoreError`].
    fn entries(&self, record: RecordKey) -> Result<Vec<RecordEntry>, StoreError>;

    /// Unsealed local edits in order of editing: all of them, however many an import has made.
    ///
    /// # Errors
    /// [`StoreError`].
    fn pending(&self) -> Result<Vec<PendingEntry>, StoreError>;

    /// Unsealed local edits of one space after a position, in order of editing, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn pending_of(&self, space: &SpaceId, after: PendingKey, limit: usize) -> Result<Vec<PendingEntry>, StoreError> {
        let mut found = self.pending()?;
        found.retain(|p| p.space == *space && p.key > after);
        found.truncate(limit);
        Ok(found)
    }

    /// What unsealed local edits there are, by space and collection.
    ///
    /// # Errors
    /// [`StoreError`].
    fn pending_sums(&self) -> Result<Vec<PendingSum>, StoreError> {
        let mut sums: BTreeMap<(SpaceId, String), PendingSum> = BTreeMap::new();
        for PendingEntry { space, entry, .. } in self.pending()? {
            let (e, collection) = (&entry.entry, entry.entry.collection.clone());
            let none = PendingSum { space, collection, entries: 0, changes: 0, oldest: e.time };
            let sum = sums.entry((space, e.collection.clone())).or_insert(none);
            sum.entries += 1;
            sum.changes += u64::from(matches!(e.kind, EntryKind::Change | EntryKind::Identity));
            sum.oldest = sum.oldest.min(e.time);
        }
        Ok(sums.into_values().collect())
    }

    /// The quarantine.
    ///
    /// # Errors
    /// [`StoreError`].
    fn quarantine(&self) -> Result<Vec<Quarantined>, StoreError>;

    /// Registers stored or replaced after position `after`, with their positions, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn registers(&self, after: u64) -> Result<Vec<(u64, SignedRegister)>, StoreError>;

    /// Acknowledgements, of one unit or of all.
    ///
    /// # Errors
    /// [`StoreError`].
    fn acks(&self, leaf: Option<UnitId>) -> Result<Vec<AckRow>, StoreError>;

    /// The position of the newest commit, 0 for none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn last_commit(&self) -> Result<CommitKey, StoreError>;

    /// Number of entries of each status in the `up` spaces of these units.
    ///
    /// # Errors
    /// [`StoreError`].
    fn irregular(&self, units: &BTreeSet<UnitId>) -> Result<BTreeMap<Status, u64>, StoreError>;

    /// A small fact by name.
    ///
    /// # Errors
    /// [`StoreError`].
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores a batch, whole or not at all.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed.
    fn write(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// The files that records name, where this store keeps any.
    fn shelf(&self) -> Option<&dyn Shelf> {
        None
    }

    /// The same, to put some there.
    fn shelf_mut(&mut self) -> Option<&mut dyn Shelf> {
        None
    }
}
