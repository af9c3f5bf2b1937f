//! A desk: one replica of a small model, a copyable disk and the engine that works on it.
//!
//! It does not: speak the session protocol: commits are handed over one by one, in the order chosen.
//!
//! Invariants: engines are caches of stores ([`Engine::reload`]), so that a state is its stores and
//! nothing else, and copying one is copying disks; all desks share one clock that stands still.

use crate::plain;
use sampan_core::charter::{Grant, Op, Roles};
use sampan_core::engine::{Engine, Intake, IntakeError, NewRecord, SealLimits};
use sampan_core::hash::tagged;
use sampan_core::id::{CommitId, DeviceId, LogId, OrgId, RecordId, SpaceId, StoreEpoch, UnitId};
use sampan_core::log::{Commit, device_id};
use sampan_core::pack::{self, PackScope, Stored};
use sampan_core::schema::Collection;
use sampan_core::store::{CommitKey, RecordEntry, Store as _};
use sampan_core::testing::{MemStore, SeededRng, test_key, test_org, test_time};
use sampan_core::time::Millis;
use sampan_core::value::{Edit, Value};
use sampan_core::wire::frame::Group;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// The schema of the models: one field of every way to merge.
pub const SCHEMA: &str = r#"
[schema]
name = "models"
version = 1
levels = ["city", "branch"]

[collection.cards]
label = { vi = "Thẻ", en = "Cards" }
flow = "up"
reach = "root"
title = "{a}"

[collection.cards.field.a]
kind = "string"
label = { vi = "a", en = "a" }

[collection.cards.field.b]
kind = "string"
label = { vi = "b", en = "b" }

[collection.cards.field.notes]
kind = "text"
label = { vi = "n", en = "n" }

[collection.cards.field.visits]
kind = "counter"
label = { vi = "v", en = "v" }
"#;

/// The clock of every desk.
pub fn now() -> Millis {
    test_time(100)
}

/// What the plain model says, by the hashes of the changes.
type PlainCards = BTreeMap<Vec<[u8; 32]>, Rc<plain::Card>>;

/// The engines by device: one for all copies of a device's disk; and what was read once already.
#[derive(Clone, Default)]
pub struct Engines {
    by_device: Rc<RefCell<BTreeMap<u64, (u64, Engine)>>>,
    parcels: Rc<RefCell<BTreeMap<CommitId, Parcel>>>,
    cards: Rc<RefCell<PlainCards>>,
    stamps: Rc<Cell<u64>>,
}

impl Engines {
    /// Works on a desk with its device's engine. The engine is reloaded unless this very desk is the
    /// one that it worked on last.
    pub fn at<T>(&self, desk: &mut Desk, work: impl FnOnce(&mut Engine, &mut MemStore, &mut SeededRng) -> T) -> T {
        let mut all = self.by_device.borrow_mut();
        let (stamp, engine) = all.entry(desk.device).or_insert_with(|| {
            let key = test_key(desk.device);
            let engine = Engine::open(&mut desk.store, test_org(), key, Arc::new(Stored), &mut desk.rng);
            (0, engine.unwrap_or_else(|e| panic!("opening failed: {e}")))
        });
        if *stamp != desk.stamp {
            engine.reload(&desk.store).unwrap_or_else(|e| panic!("reloading failed: {e}"));
        }
        self.stamps.set(self.stamps.get() + 1);
        (*stamp, desk.stamp) = (self.stamps.get(), self.stamps.get());
        work(engine, &mut desk.store, &mut desk.rng)
    }

    /// What the plain model says of these changes.
    pub fn plain(&self, entries: &[RecordEntry]) -> Rc<plain::Card> {
        let mut hashes: Vec<[u8; 32]> = entries.iter().map(|e| e.hash.0).collect();
        hashes.sort_unstable();
        let mut cards = self.cards.borrow_mut();
        let card = || Rc::new(plain::Card::of(entries.iter().map(|e| e.bytes.as_slice())));
        cards.entry(hashes).or_insert_with(card).clone()
    }
}

/// One replica.
#[derive(Clone)]
pub struct Desk {
    /// Which test key is its device's.
    pub device: u64,
    /// Its disk.
    pub store: MemStore,
    /// Its randomness.
    pub rng: SeededRng,
    /// Edits made here, so that each writes another value.
    pub edits: u32,
    /// Names this content of the disk: no two contents have one stamp.
    stamp: u64,
}

/// A commit as it is handed over, and as a group of its own.
#[derive(Clone)]
pub struct Parcel(Rc<(Commit, Group)>);

impl Parcel {
    /// The commit.
    pub fn commit(&self) -> &Commit {
        &self.0.0
    }
    /// The same as a group of its own.
    pub fn group(&self) -> &Group {
        &self.0.1
    }
    /// A parcel from a group of one commit.
    pub fn of(group: Group, space: &SpaceId) -> Self {
        Self(Rc::new((open(&group, space), group)))
    }
}

/// What a desk made of a commit handed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Stored, set aside, or held already.
    Yes(Intake),
    /// Refused until its parents come.
    Later,
}

impl Desk {
    /// An empty desk of the `device`-th test key.
    pub fn new(engines: &Engines, device: u64) -> Self {
        let id = device_id(&test_key(device));
        let store = MemStore::new(test_org(), id, StoreEpoch([device as u8; 16]));
        let mut desk = Self { device, store, rng: SeededRng::new(device), edits: 0, stamp: u64::MAX };
        let Self { store, rng, .. } = &mut desk;
        // Draws the nonce of this disk, whatever the engine in the pool was opened on.
        Engine::open(store, test_org(), test_key(device), Arc::new(Stored), rng)
            .unwrap_or_else(|e| panic!("opening failed: {e}"));
        engines.at(&mut desk, |_, _, _| ());
        desk
    }

    /// Its device.
    pub fn id(&self) -> DeviceId {
        device_id(&test_key(self.device))
    }

    /// Every commit that it holds, in order of storage, without those set aside.
    pub fn parcels(&self, engines: &Engines) -> Vec<Parcel> {
        let rows = self.store.stored_after(CommitKey(0), usize::MAX).unwrap();
        let mut known = engines.parcels.borrow_mut();
        let read = |log: &LogId, key| {
            let group = self.store.groups(&log.space, &[key]).unwrap().remove(0);
            Parcel::of(group, &log.space)
        };
        rows.iter().map(|(log, row)| known.entry(row.id).or_insert_with(|| read(log, row.key)).clone()).collect()
    }

    /// The commits that it holds.
    pub fn held(&self) -> BTreeSet<CommitId> {
        self.store.stored_after(CommitKey(0), usize::MAX).unwrap().into_iter().map(|(_, r)| r.id).collect()
    }

    /// Takes one commit from a neighbour.
    ///
    /// # Errors
    /// What the engine refused for another reason than missing parents.
    pub fn take(&mut self, engines: &Engines, from: DeviceId, parcel: &Parcel) -> Result<Taken, String> {
        self.take_groups(engines, from, std::slice::from_ref(parcel.group()))
    }

    /// Takes groups from a neighbour.
    ///
    /// # Errors
    /// As for [`Desk::take`].
    pub fn take_groups(&mut self, engines: &Engines, from: DeviceId, groups: &[Group]) -> Result<Taken, String> {
        let taken = engines.at(self, |engine, store, rng| engine.intake(store, rng, from, groups, &|_, _| true, now()));
        match taken {
            Ok(intake) => Ok(Taken::Yes(intake)),
            Err(IntakeError::PeerOrder(_)) => Ok(Taken::Later),
            Err(e) => Err(format!("device {} refused a commit: {e}", self.device)),
        }
    }

    /// Takes everything that another desk holds and it does not; true if anything came. Says whether
    /// it met commits of its own that it had not made.
    ///
    /// # Errors
    /// A refusal.
    pub fn take_all(&mut self, engines: &Engines, from: &Desk) -> Result<(bool, bool), String> {
        let (mut came, mut twin) = (false, false);
        let held = self.held();
        for parcel in from.parcels(engines).into_iter().filter(|p| !held.contains(&p.commit().id())) {
            match self.take(engines, from.id(), &parcel)? {
                Taken::Yes(intake) => {
                    came |= intake.commits + intake.quarantined > 0;
                    twin |= intake.twin_found;
                }
                Taken::Later => return Err(format!("commit {} came before its parents", parcel.commit().id())),
            }
        }
        Ok((came, twin))
    }

    /// Seals what is pending; true if there was anything.
    pub fn seal(&mut self, engines: &Engines) -> bool {
        let made = engines.at(self, |e, store, rng| e.seal(store, rng, SealLimits::default(), now()));
        made.unwrap_or_else(|e| panic!("sealing failed: {e}")) > 0
    }

    /// Creates a card; `None` where it may not.
    pub fn create(&mut self, engines: &Engines, unit: UnitId, a: &str) -> Result<RecordId, String> {
        let fields = BTreeMap::from([("a".to_owned(), Value::Str(a.to_owned()))]);
        engines.at(self, |e, store, rng| {
            let collection = cards(e);
            let new = NewRecord { collection: &collection, unit, fields };
            e.create(store, rng, vec![new], now()).map(|s| s[0].id).map_err(|e| e.to_string())
        })
    }

    /// Edits a card; false when nothing differed.
    ///
    /// # Errors
    /// The refusal.
    pub fn edit(&mut self, engines: &Engines, id: RecordId, field: &str, edit: Edit) -> Result<bool, String> {
        self.edits += 1;
        engines.at(self, |e, store, _| {
            let edits = [(field.to_owned(), edit)];
            e.edit(store, &cards(e), id, &edits, now()).map(|s| s.changes > 0).map_err(|e| e.to_string())
        })
    }

    /// Everything that later steps can see of it.
    pub fn digest(&self) -> [u8; 32] {
        let pending: Vec<_> = self.store.pending().unwrap().iter().map(|p| p.entry.entry.payload_hash).collect();
        let meta = |name| self.store.meta(name).unwrap();
        let aside: BTreeSet<_> = self.store.quarantine().unwrap().iter().map(|q| q.head.id()).collect();
        let names = (meta("nonce"), meta("incarnation"));
        let all = format!("{:?}", (self.device, self.edits, &self.rng, names, self.held(), aside, pending));
        tagged("desk", &[all.as_bytes()])
    }
}

/// A group of one commit, opened.
fn open(group: &Group, space: &SpaceId) -> Commit {
    let payload = pack::decode(&PackScope { org: test_org(), space: *space }, &group.pack, &Stored).unwrap().remove(0);
    Commit::join(group.headers[0].trust().unwrap(), payload).unwrap()
}

/// The collection of the models.
pub fn cards(engine: &Engine) -> Collection {
    engine.schema().and_then(|s| s.collection("cards")).cloned().expect("the schema of the models came with the base")
}

/// An admin's direct grant to a device.
pub fn grant(device: u64, roles: Roles) -> Op {
    let (key, holder) = (device_id(&test_key(device)), [device as u8; 32]);
    let (from, until, use_by) = (now(), None, None);
    Op::Grant(Grant { key, roles, subtree: true, from, until, ticket: false, use_by, holder })
}

/// The founder's desk, device 1: the organisation, with these rights granted by it.
pub fn found(engines: &Engines, grants: &[Op]) -> (Desk, UnitId) {
    assert_eq!(test_org(), OrgId(device_id(&test_key(0)).0));
    let mut desk = Desk::new(engines, 1);
    let unit = engines.at(&mut desk, |e, store, rng| {
        let schema = (1, SCHEMA.to_owned(), Some("city".to_owned()));
        let unit = e.found(store, rng, &test_key(0), "Thành phố", schema, now()).unwrap();
        if !grants.is_empty() {
            e.write_charter(store, rng, unit, grants, now()).unwrap();
        }
        unit
    });
    (desk, unit)
}
