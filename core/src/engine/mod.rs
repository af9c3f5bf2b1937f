//! The engine of one replica: what it holds, folded and summed up, and the few ways to change it.
//!
//! It does not: talk to peers (`sync`), own a store (callers pass it in with every call), read a
//! clock or draw randomness (arguments as well).
//!
//! Invariants: the engine is a cache of the store and the charter in it: [`Engine::open`] on the same
//! store gives the same engine. Whoever rolls a store back reloads the engine.

mod acks;
mod ahead;
mod anew;
mod authority;
mod beacons;
mod book;
mod brief;
mod closing;
mod cuts;
mod deposit;
mod earlier;
mod edit;
mod erase;
mod figures;
mod inside;
mod intake;
mod judge;
mod narrow;
mod root;
mod salvage;
mod seal;
mod through;
mod together;
mod waiting;
mod ways;

pub use acks::{Delivered, told_epoch};
pub use ahead::{Ahead, AheadReader};
pub use anew::{Fate, OwnBlocked};
pub use authority::{InviteRequest, JoinFacts, TicketFate};
pub use beacons::{BeaconTaken, SeenBeacon};
pub use cuts::{Blocked, CutRequest, Laid};
pub use deposit::Ended;
pub(crate) use earlier::Reader;
pub use edit::{EditFailure, NewRecord, Saved};
pub use erase::ErasureRow;
pub use figures::CLOSED_COUNTER;
pub use intake::{Intake, IntakeError};
pub use judge::{Checked, JudgedRecord, NewRecordEntry, judge};
pub use narrow::Narrowing;
pub use root::RootError;
pub use seal::SealLimits;
pub use through::Meetings;
pub use ways::{WayState, Ways};

use crate::canary::{self, Canary};
use intake::Aside;

use crate::charter::Charter;
use crate::entropy::{Entropy, random};
use crate::frontier::tree::Holdings;
use crate::id::{ActorId, CommitId, DeviceId, Flow, Incarnation, LogId, Nonce, OrgId, SpaceId, StoreEpoch, UnitId};
use crate::log::{Commit, EntryKind, device_id};
use crate::pack::Codec;
use crate::schema::Schema;
use crate::store::{Batch, CommitKey, CommitRow, Store, StoreError};
use ed25519_dalek::SigningKey;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Charters of up to so many commits are folded anew in debug builds, to compare: those of the tests, not those whose
/// cost is counted.
const COMPARED_COMMITS_MAX: usize = 200;

/// Names of small facts in the store.
pub mod meta {
    /// The nonce in force, 16 bytes.
    pub const NONCE: &str = "nonce";
    /// The incarnation in force, 16 bytes.
    pub const INCARNATION: &str = "incarnation";
    /// Counter of the newest acknowledgement or heartbeat signed here, 8 bytes.
    pub const REGISTER_COUNTER: &str = "register_counter";
    /// When this replica last verified with its upper end, 8 bytes of milliseconds.
    pub const VERIFIED_AT: &str = "verified_at";
    /// Prefix: when a child last verified, 8 bytes.
    pub const CHILD_VERIFIED_AT: &str = "child_verified_at/";
    /// Prefix: when a child was last seen, 8 bytes.
    pub const CHILD_SEEN_AT: &str = "child_seen_at/";
    /// At which meetings a child was found to hold what came down: a tag of 16 bytes, then for each 16 bytes.
    #[must_use]
    pub fn meetings(child: &crate::id::DeviceId) -> String {
        format!("meetings/{child}")
    }
    /// When a child was last over its quota and told to come back later, 8 bytes.
    pub const CHILD_HELD_BACK_AT: &str = "child_held_back_at/";
    /// The last commit that this replica held when it last verified with its upper end, 8 bytes: what
    /// both share of it is there.
    pub const VERIFIED_THROUGH: &str = "verified_through";
    /// The same two with one relay: when, and the last commit held then, 16 bytes.
    #[must_use]
    pub fn verified_with(relay: &crate::id::DeviceId) -> String {
        format!("{VERIFIED_WITH}{relay}")
    }
    /// Prefix of [`verified_with`].
    pub const VERIFIED_WITH: &str = "verified_with/";
    /// When a bundle last brought something from one relay, 8 bytes.
    #[must_use]
    pub fn news_from(relay: &crate::id::DeviceId) -> String {
        format!("{NEWS_FROM}{relay}")
    }
    /// Prefix of [`news_from`].
    pub const NEWS_FROM: &str = "news_from/";
    /// When something last came from above, 8 bytes.
    pub const NEWS_FROM_ABOVE_AT: &str = "news_from_above_at";
    /// Offset to the upper end's clock in milliseconds, 8 bytes, signed.
    pub const CLOCK_OFFSET: &str = "clock_offset";
    /// 1 once an upper end has let this device in: the chain need not travel any more.
    pub const ADMITTED: &str = "admitted";
    /// The units that tickets named, before the charter has come: for each 16 bytes and its depth.
    pub const JOINED_UNIT: &str = "joined_unit";
    /// The chains of commits that show the rights of tickets on a unit, two groups for each.
    #[must_use]
    pub fn chain(unit: &crate::id::UnitId) -> String {
        format!("chain/{unit}")
    }
    /// Marks a ticket of this device of which a relay said that it is used or over.
    #[must_use]
    pub fn spent(ticket: &crate::id::DeviceId) -> String {
        format!("spent/{ticket}")
    }
    /// The X25519 secret of the ticket that a unit was joined with, 32 bytes: opens bundles that were made for
    /// the ticket before anyone knew which device would use it.
    #[must_use]
    pub fn ticket_box(unit: &crate::id::UnitId) -> String {
        format!("ticket_box/{unit}")
    }
    /// The store epoch that an upper relay last named, 16 bytes, and when by its clock, 8 bytes.
    #[must_use]
    pub fn peer_epoch(relay: &crate::id::DeviceId) -> String {
        format!("peer_epoch/{relay}")
    }
    /// The newest protocol that an upper relay last spoke and this replica knows, 2 bytes, and the newest that this
    /// replica knew then, 2 bytes.
    #[must_use]
    pub fn peer_protocol(relay: &crate::id::DeviceId) -> String {
        format!("peer_protocol/{relay}")
    }
    /// What this replica and a peer held when they were last found equal, 16 bytes, and its last commit then, 8 bytes.
    #[must_use]
    pub fn met(peer: &crate::id::DeviceId) -> String {
        format!("met/{peer}")
    }
    /// How far registers were sent to a relay when this replica was last equal with it, a cursor of 12 bytes.
    #[must_use]
    pub fn registers_sent(relay: &crate::id::DeviceId) -> String {
        format!("registers_sent/{relay}")
    }
    /// How far a peer has sent its registers here, a cursor of 12 bytes.
    #[must_use]
    pub fn registers_from(peer: &crate::id::DeviceId) -> String {
        format!("registers_from/{peer}")
    }
    /// The newest beacon signed here, a signed register.
    pub const BEACON: &str = "beacon";
    /// The newest beacon that came from above, a signed register.
    pub const BEACON_ABOVE: &str = "beacon_above";
    /// The newest word of each relay above, see [`SeenBeacon`](super::SeenBeacon).
    pub const BEACONS_SEEN: &str = "beacons_seen";
    /// The beacon that a child was shown last: the first 8 bytes of its signature.
    #[must_use]
    pub fn beacon_shown(child: &crate::id::DeviceId) -> String {
        format!("beacon_shown/{child}")
    }
    /// What this device was told of the end of its rights, see [`Ended`](super::Ended).
    pub const ENDED: &str = "ended";
    /// What this device last told upward of its quarantine, see [`Waiting`](crate::register::Waiting).
    pub const WAITING_SAID: &str = "waiting_said";
    /// Prefix: a digest of the commits of this device's own in its quarantine that a relay was last handed, 32 bytes.
    pub const ASIDE_HANDED: &str = "aside_handed/";
    /// Marks an edit of this device that was written anew, with the change that it was written as.
    #[must_use]
    pub fn anew(change: &crate::id::ChangeHash) -> String {
        format!("anew/{change}")
    }
    /// How often acknowledgements were stored, 8 bytes.
    pub const ACKS_WRITTEN: &str = "acks_written";
    /// The newest protocol that this replica knew when it last was equal with a child, 2 bytes.
    #[must_use]
    pub fn spoken_with(child: &crate::id::DeviceId) -> String {
        format!("spoken_with/{child}")
    }
    /// Digest of the erasures that this store has carried out, 16 bytes.
    pub const ERASED: &str = "erased";
    /// Stands while traces of what was erased may lie on the disk.
    pub const ERASED_UNCLEAN: &str = "erased_unclean";
    /// How often this replica found commits of its own device and incarnation that it had not made.
    pub const TWINS_FOUND: &str = "twins_found";
}

/// Something that live sessions may have to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A commit was stored.
    Commit {
        /// Its log.
        log: LogId,
        /// What the store tells of it.
        row: CommitRow,
    },
    /// Acknowledgements of a unit changed.
    Acks(UnitId),
}

/// How many pieces of news are kept for sessions that are behind; older ones are found again by
/// comparing frontiers.
const NEWS_MAX: usize = 65_536;

/// The engine of one replica.
pub struct Engine {
    org: OrgId,
    device: DeviceId,
    key: SigningKey,
    codec: Arc<dyn Codec + Send + Sync>,
    charter: Charter,
    charter_log: Vec<Commit>,
    holdings: Holdings,
    acks: book::Shelf,
    schema: Option<Schema>,
    /// The published schemas that it was chosen from.
    schemas: Vec<CommitId>,
    epoch: StoreEpoch,
    nonce: Nonce,
    incarnation: Incarnation,
    news: VecDeque<News>,
    news_dropped: u64,
    aside: Aside,
    /// Whether what is held may not be what counts: the charter's cuts changed and the store was not looked
    /// at since.
    cuts_changed: bool,
    /// Devices that lost a grant since then without a cut of their own: whoever gave it was cut off before.
    poorer: BTreeSet<DeviceId>,
    /// Whether edits of this device may have to be written anew, because of what lies in the quarantine.
    anew_due: bool,
    /// The newest commit that this cache has taken in.
    last: CommitKey,
    /// What was read of the frame whose turn it is.
    ahead: Ahead,
    /// Which link is asked for which file.
    pub(crate) fetches: crate::sync::fetch::Fetches,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("org", &self.org).field("device", &self.device).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the engine of a store.
    ///
    /// A store without a nonce gets one; it is the incarnation as well.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or written.
    pub fn open(
        store: &mut dyn Store,
        org: OrgId,
        key: SigningKey,
        codec: Arc<dyn Codec + Send + Sync>,
        rng: &mut dyn Entropy,
    ) -> Result<Self, StoreError> {
        let mut engine = Self {
            org,
            device: device_id(&key),
            key,
            codec,
            charter: Charter::empty(org),
            charter_log: Vec::new(),
            holdings: Holdings::default(),
            acks: book::Shelf::default(),
            schema: None,
            schemas: Vec::new(),
            epoch: store.epoch()?,
            nonce: Nonce::default(),
            incarnation: Incarnation::default(),
            news: VecDeque::new(),
            news_dropped: 0,
            aside: Aside::default(),
            cuts_changed: false,
            poorer: BTreeSet::new(),
            anew_due: false,
            last: CommitKey(0),
            ahead: Ahead::default(),
            fetches: crate::sync::fetch::Fetches::default(),
        };
        if store.meta(meta::NONCE)?.is_none() {
            let nonce = Nonce(random(rng));
            let mut batch = Batch::default();
            batch.meta.insert(meta::NONCE.into(), Some(nonce.0.to_vec()));
            batch.meta.insert(meta::INCARNATION.into(), Some(nonce.0.to_vec()));
            store.write(&batch)?;
        }
        engine.reload(store)?;
        engine.settle_cuts(store, crate::time::Millis::default())?;
        engine.settle_erasures(store, crate::time::Millis::default())?;
        Ok(engine)
    }

    /// Reads everything anew: after a rolled back transaction, or when another process wrote.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reload(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.holdings = Self::held(store)?;
        self.acks.forget();
        self.charter_log = store.charter_commits()?;
        let quarantine = store.quarantine()?;
        self.anew_due = self.may_block(&quarantine);
        self.aside = Aside::of(&quarantine);
        self.refold();
        self.reload_nonce(store)?;
        self.news_dropped += self.news.len() as u64;
        self.news.clear();
        self.last = store.last_commit()?;
        Ok(())
    }

    /// Reads the nonce and incarnation anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reload_nonce(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let read = |name: &str| -> Result<[u8; 16], StoreError> {
            let bytes = store.meta(name)?.ok_or_else(|| StoreError::Damaged(format!("'{name}' is missing")))?;
            bytes.try_into().map_err(|_| StoreError::Damaged(format!("'{name}' has a wrong width")))
        };
        self.nonce = Nonce(read(meta::NONCE)?);
        self.incarnation = Incarnation(read(meta::INCARNATION)?);
        Ok(())
    }

    /// Reads the store's epoch anew: after it was given another.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reload_epoch(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.epoch = store.epoch()?;
        self.acks.forget();
        Ok(())
    }

    /// Grows when anything about files changes here: what is named, asked for or here, or who may be asked for it.
    #[must_use]
    pub fn files_version(&self, shelf: &dyn crate::shelf::Shelf) -> u64 {
        shelf.version().wrapping_add(self.fetches.version())
    }

    /// Lets other links be asked for files that nobody has brought for a while: called with the clock, at every turn.
    pub fn sweep_fetches(&mut self, now: crate::time::Millis) {
        self.fetches.sweep(now);
    }

    /// Takes in what another process wrote into the same store; true if there was anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn catch_up(&mut self, store: &dyn Store) -> Result<bool, StoreError> {
        self.reload_nonce(store)?;
        if self.acks.others_wrote(store)? {
            self.acks.forget();
        }
        if store.last_commit()? == self.last {
            return Ok(false);
        }
        self.holdings = Self::held(store)?;
        self.acks.holdings_changed();
        self.charter_log = store.charter_commits()?;
        self.refold();
        loop {
            let rows = store.stored_after(self.last, 4_096)?;
            let Some((_, newest)) = rows.last() else { return Ok(true) };
            self.last = newest.key;
            for (log, row) in rows {
                self.tell(News::Commit { log, row });
            }
        }
    }

    /// The frontier of what a store holds.
    fn held(store: &dyn Store) -> Result<Holdings, StoreError> {
        let mut spaces = store.tips()?;
        if canary::sings(Canary::QuarantineInFrontier) {
            for q in store.quarantine()? {
                let h = q.head.header();
                spaces.entry(h.space).or_default().advance(h.device, h.incarnation, q.head.id(), &h.parents);
            }
        }
        Ok(Holdings::new(spaces))
    }

    fn refold(&mut self) {
        self.set_charter(Charter::fold(self.org, &self.charter_log));
    }

    /// Takes into the charter the commits that were just added to its log, without folding all of it where that can be.
    fn grow(&mut self, new: &[Commit]) {
        let new = new.iter().filter(|c| c.header().space.flow == Flow::Charter);
        if new.into_iter().all(|c| self.charter.extend(c)) {
            self.assert_folded(&self.charter, &[]);
            self.holdings.tree_changed();
        } else {
            // What was taken up until here is in the log as well.
            self.refold();
        }
    }

    /// In debug builds: a charter that was extended is what a fold of all makes. Not for great ones, which take too long.
    fn assert_folded(&self, charter: &Charter, new: &[Commit]) {
        if cfg!(debug_assertions) && self.charter_log.len() <= COMPARED_COMMITS_MAX {
            let all = Charter::fold(self.org, self.charter_log.iter().chain(new));
            assert!(*charter == all, "a charter that was extended is not what a fold of all makes");
        }
    }

    fn set_charter(&mut self, charter: Charter) {
        if !charter.cuts_alike(&self.charter) {
            self.cuts_changed = true;
            let held = |c: &Charter| -> BTreeSet<_> { c.all_rights().map(|(d, r)| (*d, r.unit, r.taken)).collect() };
            let left = held(&charter);
            self.poorer.extend(held(&self.charter).difference(&left).map(|(device, ..)| *device));
        }
        self.charter = charter;
        self.holdings.tree_changed();
        self.acks.charter_changed();
        let published: Vec<CommitId> = self.charter.schemas().iter().map(|p| p.by).collect();
        if published != self.schemas {
            // A newer form that this version does not read leaves the one before it in force.
            self.schema = self.charter.schemas().iter().find_map(|p| crate::schema::parse(&p.text).ok());
            self.schemas = published;
        }
    }

    /// The organisation.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }
    /// This device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }
    /// This device's key.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }
    /// The folded charter.
    #[must_use]
    pub fn charter(&self) -> &Charter {
        &self.charter
    }
    /// The commits that the charter is folded from, causes first.
    #[must_use]
    pub fn charter_log(&self) -> &[Commit] {
        &self.charter_log
    }
    /// Grows with every commit of a charter.
    #[must_use]
    pub fn charter_version(&self) -> usize {
        self.charter_log.len()
    }
    /// Frontiers and digests of all that is held.
    #[must_use]
    pub fn holdings(&self) -> &Holdings {
        &self.holdings
    }
    /// The schema in force: the newest that was published and that this version reads. `None` before one has come.
    #[must_use]
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }
    /// The version that was published last, where that is one that this version does not read.
    #[must_use]
    pub fn schema_newer(&self) -> Option<u32> {
        let published = self.charter.schema()?.version;
        self.schema.as_ref().is_none_or(|s| s.version != published).then_some(published)
    }
    /// The names of the levels, empty before the schema has come.
    #[must_use]
    pub fn levels(&self) -> &[String] {
        self.schema.as_ref().map(|s| s.levels.as_slice()).unwrap_or_default()
    }
    /// The store's epoch.
    #[must_use]
    pub fn epoch(&self) -> StoreEpoch {
        self.epoch
    }
    /// The nonce in force.
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }
    /// The incarnation in force.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
    /// The actor of this replica's edits.
    #[must_use]
    pub fn actor(&self) -> ActorId {
        ActorId::of(&self.device, &self.nonce)
    }
    /// The codec of packs.
    #[must_use]
    pub fn codec(&self) -> &(dyn Codec + Send + Sync) {
        &*self.codec
    }

    /// Draws a new nonce, and with `incarnation` a new incarnation of the same name: after a clone or
    /// a restore. Edits still pending keep the nonce they were made under.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn renew(&mut self, store: &mut dyn Store, rng: &mut dyn Entropy, incarnation: bool) -> Result<(), StoreError> {
        let nonce = Nonce(random(rng));
        let mut batch = Batch::default();
        batch.meta.insert(meta::NONCE.into(), Some(nonce.0.to_vec()));
        if incarnation {
            batch.meta.insert(meta::INCARNATION.into(), Some(nonce.0.to_vec()));
        }
        store.write(&batch)?;
        self.reload_nonce(store)
    }

    /// The position after the newest piece of news.
    #[must_use]
    pub fn news_end(&self) -> u64 {
        self.news_dropped + self.news.len() as u64
    }

    /// News from a position on; `None` if some of it was dropped already.
    pub fn news_since(&self, position: u64) -> Option<impl Iterator<Item = &News>> {
        let skip = position.checked_sub(self.news_dropped)?;
        Some(self.news.iter().skip(skip as usize))
    }

    fn tell(&mut self, news: News) {
        self.news.push_back(news);
        if self.news.len() > NEWS_MAX {
            self.news.pop_front();
            self.news_dropped += 1;
        }
    }

    /// Takes commits that were just written into the cache: tips, news, and the charter if it grew; `folded` is the
    /// charter with exactly them, where it is known.
    fn note_stored(
        &mut self,
        store: &dyn Store,
        commits: &[Commit],
        folded: Option<Charter>,
    ) -> Result<(), StoreError> {
        let ids: Vec<_> = commits.iter().map(Commit::id).collect();
        let keys = store.known(&ids)?;
        let mut grew = false;
        for (c, key) in commits.iter().zip(keys) {
            let h = c.header();
            self.holdings.advance(&self.charter, h.space, h.device, h.incarnation, c.id(), &h.parents);
            self.acks.advanced(&h.space);
            if h.space.flow == Flow::Charter {
                self.charter_log.push(c.clone());
                grew = true;
            }
            let entries = &c.payload().entries;
            let bytes = entries.iter().map(|e| e.payload.len() as u32).sum();
            let changes =
                entries.iter().filter(|e| matches!(e.entry.kind, EntryKind::Change | EntryKind::Identity)).count()
                    as u32;
            if let Some((key, sequence)) = key {
                self.last = self.last.max(key);
                let row = CommitRow { key, id: c.id(), sequence, entries: h.entries, changes, bytes, time: h.time };
                self.tell(News::Commit { log: h.log(), row });
            }
        }
        match folded {
            Some(charter) if grew => self.set_charter(charter),
            None if grew => self.grow(commits),
            _ => {}
        }
        Ok(())
    }

    /// The heads of charters that a commit for `unit` names, without those it names as parents.
    fn charter_heads(&self, unit: &UnitId, parents: &[CommitId]) -> Vec<CommitId> {
        self.charter.heads(unit).into_iter().filter(|h| !parents.contains(h)).collect()
    }

    /// The parents of this device's next commit in a space: the tips of the log in force, or, at its
    /// start, the tips of all its incarnations.
    fn own_parents(&self, space: &SpaceId) -> Vec<CommitId> {
        let Some(tips) = self.holdings.tips(space) else {
            return Vec::new();
        };
        let current = tips.tips(self.device, self.incarnation);
        let mut out: Vec<_> =
            if current.is_empty() { tips.of_device(self.device) } else { current.into_iter().collect() };
        // A device of very many incarnations must still be able to seal.
        out.truncate(crate::limits::COMMIT_PARENTS_MAX);
        out
    }
}

/// 8 bytes of a meta value as a number, 0 when absent or of another width.
pub(crate) fn meta_u64(store: &dyn Store, name: &str) -> Result<u64, StoreError> {
    Ok(store.meta(name)?.and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes))
}
