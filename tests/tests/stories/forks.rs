//! Clones, old backups, and logs that fork.

use crate::{mem, three_levels};
use sampan_core::charter::Roles;
use sampan_core::engine::Engine;
use sampan_core::id::StoreEpoch;
use sampan_core::pack::Stored;
use sampan_core::sync::Event;
use sampan_core::testing::village::{Replica, Village};
use sampan_core::testing::{MemStore, SeededRng};
use sampan_core::wire::frame::RefuseCode;
use std::sync::Arc;

/// A copy of a replica's disk, made before anything else happens. Stores are rebuilt from what the
/// copy's peer holds where they cannot be cloned, so this takes the village's own clone.
pub fn clone_disk(v: &Village, at: usize, store: MemStore) -> Replica {
    let old = &v.replicas[at];
    let mut rng = SeededRng::new(999);
    let mut store: Box<dyn sampan_core::store::Store> = Box::new(store);
    let engine = Engine::open(&mut *store, v.org, old.engine.key().clone(), Arc::new(Stored), &mut rng).unwrap();
    Replica { store, engine, rng, name: "copy".into() }
}

/// Three levels whose branch store is kept where a test can copy it.
pub fn with_copy(seed: u64) -> (Village, sampan_core::id::UnitId, std::sync::Arc<std::sync::Mutex<MemStore>>) {
    let (mut v, _, branch) = three_levels(seed);
    let old = &v.replicas[2];
    let shared = Arc::new(std::sync::Mutex::new(MemStore::new(v.org, old.engine.device(), old.engine.epoch())));
    // Rebuild the branch on a store that can be copied, from the district.
    let key = old.engine.key().clone();
    let mut rng = SeededRng::new(5);
    let mut store: Box<dyn sampan_core::store::Store> = Box::new(crate::forks::Handle(shared.clone()));
    let engine = Engine::open(&mut *store, v.org, key, Arc::new(Stored), &mut rng).unwrap();
    v.replicas[2] = Replica { store, engine, rng, name: "branch".into() };
    assert!(v.sync(2, 1).verified());
    (v, branch, shared)
}

/// A store behind a handle, so that its "disk" can be copied while it is in use.
pub struct Handle(pub Arc<std::sync::Mutex<MemStore>>);

mod handle {
    use super::Handle;
    use sampan_core::frontier::{ShortId, SpaceTips};
    use sampan_core::id::{CommitId, DeviceId, LogId, RecordId, SpaceId, StoreEpoch, UnitId};
    use sampan_core::log::Commit;
    use sampan_core::register::SignedRegister;
    use sampan_core::store::{
        AckRow, Batch, CommitKey, CommitRow, Lineage, PendingEntry, Quarantined, RecordEntry, RecordKey, RecordState,
        Status, Store, StoreError,
    };
    use sampan_core::wire::frame::Group;
    use std::collections::{BTreeMap, BTreeSet};

    type R<T> = Result<T, StoreError>;

    impl Store for Handle {
        fn epoch(&self) -> R<StoreEpoch> {
            self.0.lock().unwrap().epoch()
        }
        fn tips(&self) -> R<BTreeMap<SpaceId, SpaceTips>> {
            self.0.lock().unwrap().tips()
        }
        fn known(&self, ids: &[CommitId]) -> R<Vec<Option<(CommitKey, u64)>>> {
            self.0.lock().unwrap().known(ids)
        }
        fn stored_after(&self, after: CommitKey, limit: usize) -> R<Vec<(LogId, CommitRow)>> {
            self.0.lock().unwrap().stored_after(after, limit)
        }
        fn missing(&self, log: &LogId, have: &BTreeSet<CommitId>) -> R<Vec<CommitRow>> {
            self.0.lock().unwrap().missing(log, have)
        }
        fn lineage(&self, space: &SpaceId, device: &DeviceId) -> R<Vec<Lineage>> {
            self.0.lock().unwrap().lineage(space, device)
        }
        fn inventory(&self, log: &LogId) -> R<Vec<ShortId>> {
            self.0.lock().unwrap().inventory(log)
        }
        fn missing_from(&self, log: &LogId, inventory: &BTreeSet<ShortId>) -> R<Vec<CommitRow>> {
            self.0.lock().unwrap().missing_from(log, inventory)
        }
        fn groups(&self, space: &SpaceId, keys: &[CommitKey]) -> R<Vec<Group>> {
            self.0.lock().unwrap().groups(space, keys)
        }
        fn charter_commits(&self) -> R<Vec<Commit>> {
            self.0.lock().unwrap().charter_commits()
        }
        fn records(&self, ids: &[RecordId]) -> R<Vec<Option<RecordState>>> {
            self.0.lock().unwrap().records(ids)
        }
        fn entries(&self, record: RecordKey) -> R<Vec<RecordEntry>> {
            self.0.lock().unwrap().entries(record)
        }
        fn pending(&self) -> R<Vec<PendingEntry>> {
            self.0.lock().unwrap().pending()
        }
        fn quarantine(&self) -> R<Vec<Quarantined>> {
            self.0.lock().unwrap().quarantine()
        }
        fn registers(&self, after: u64) -> R<Vec<(u64, SignedRegister)>> {
            self.0.lock().unwrap().registers(after)
        }
        fn acks(&self, leaf: Option<UnitId>) -> R<Vec<AckRow>> {
            self.0.lock().unwrap().acks(leaf)
        }
        fn last_commit(&self) -> R<CommitKey> {
            self.0.lock().unwrap().last_commit()
        }
        fn irregular(&self, units: &BTreeSet<UnitId>) -> R<BTreeMap<Status, u64>> {
            self.0.lock().unwrap().irregular(units)
        }
        fn meta(&self, name: &str) -> R<Option<Vec<u8>>> {
            self.0.lock().unwrap().meta(name)
        }
        fn write(&mut self, batch: &Batch) -> R<()> {
            self.0.lock().unwrap().write(batch)
        }
    }
}

#[test]
fn a_cloned_disk_that_nobody_noticed_forks_its_log_and_loses_nothing() {
    let (mut v, branch, disk) = with_copy(40);
    let an = v.create(2, branch, "members", &["full_name=An", "phone=0"]);
    assert!(v.sync(2, 1).verified());
    let copy = clone_disk(&v, 2, disk.lock().unwrap().clone());
    v.replicas.push(copy);
    let twin = v.replicas.len() - 1;
    // Both write under one key, one nonce, one incarnation: same log, same sequence.
    v.set(2, "members", an, &["phone=1"]);
    v.set(twin, "members", an, &["address=ở đây"]);
    let x = v.create(2, branch, "members", &["full_name=X"]);
    let y = v.create(twin, branch, "members", &["full_name=Y"]);
    assert!(v.sync(2, 1).verified());
    let end = v.sync(twin, 1);
    assert!(end.verified(), "{end:?}");
    assert!(end.lower.contains(&Event::TwinFound));
    assert_ne!(v.replicas[twin].engine.incarnation(), v.replicas[2].engine.incarnation());
    assert!(v.sync(2, 1).verified());
    for at in [1, 2, twin] {
        assert!(v.view(at, x).is_some() && v.view(at, y).is_some(), "at {at}");
    }
    // One (actor, sequence) twice in one record: the lower hash stands, the same one everywhere.
    let views: Vec<_> = [1, 2, twin].iter().map(|at| v.view(*at, an).unwrap()).collect();
    assert!(views.windows(2).all(|w| w[0] == w[1]));
    // From now on both write under names of their own.
    v.set(2, "members", an, &["occupation=a"]);
    v.set(twin, "members", an, &["education=b"]);
    for (a, b) in [(2, 1), (twin, 1), (2, 1), (1, 0)] {
        assert!(v.sync(a, b).verified());
    }
    let view = v.view(0, an).unwrap();
    assert!(view.fields.contains_key("occupation") && view.fields.contains_key("education"), "{view:?}");
}

#[test]
fn an_old_backup_takes_its_own_commits_back() {
    let (mut v, branch, disk) = with_copy(41);
    let an = v.create(2, branch, "members", &["full_name=An"]);
    assert!(v.sync(2, 1).verified());
    let old = disk.lock().unwrap().clone();
    let late = v.create(2, branch, "members", &["full_name=Bình"]);
    v.set(2, "members", an, &["phone=1"]);
    assert!(v.sync(2, 1).verified());
    let restored = clone_disk(&v, 2, old);
    v.replicas[2] = restored;
    let before = v.replicas[2].engine.incarnation();
    let end = v.sync(2, 1);
    assert!(end.verified(), "{end:?}");
    assert!(end.lower.contains(&Event::TwinFound));
    assert_ne!(v.replicas[2].engine.incarnation(), before);
    assert!(v.view(2, late).is_some());
    v.set(2, "members", an, &["phone=2"]);
    assert!(v.sync(2, 1).verified());
    assert_eq!(v.view(1, an), v.view(2, an));
    let _ = mem;
}

/// Puts the district relay on a disk that can be copied, filled again by its parent.
fn copied_relay(v: &mut Village) -> Arc<std::sync::Mutex<MemStore>> {
    let old = &v.replicas[1].engine;
    let (key, disk) = (old.key().clone(), MemStore::new(v.org, old.device(), old.epoch()));
    let disk = Arc::new(std::sync::Mutex::new(disk));
    let mut store: Box<dyn sampan_core::store::Store> = Box::new(Handle(disk.clone()));
    let mut rng = SeededRng::new(6);
    let engine = Engine::open(&mut *store, v.org, key, Arc::new(Stored), &mut rng).unwrap();
    v.replicas[1] = Replica { store, engine, rng, name: "district".into() };
    assert!(v.sync(1, 0).verified());
    disk
}

/// The backup comes back; a restore that is known as one has an epoch of its own.
fn restore(v: &mut Village, disk: &Arc<std::sync::Mutex<MemStore>>, backup: MemStore, epoch: Option<StoreEpoch>) {
    let mut held = disk.lock().unwrap();
    *held = backup;
    if let Some(epoch) = epoch {
        held.set_epoch(epoch);
    }
    drop(held);
    let r = &mut v.replicas[1];
    r.engine.reload(&*r.store).unwrap();
}

#[test]
fn a_relay_restored_from_before_a_branch_joined_lets_it_in_again() {
    let (mut v, district, _) = three_levels(68);
    let disk = copied_relay(&mut v);
    let backup = disk.lock().unwrap().clone();
    let t = v.invite(1, district, Roles::EDITOR);
    let late = v.join("late", &t, &mut mem);
    assert!(v.sync(late, 1).verified());
    restore(&mut v, &disk, backup, None);
    let first = v.sync(late, 1);
    let refused = |e: &Event| matches!(e, Event::Refused { code: RefuseCode::Busy, .. });
    assert!(first.lower.iter().any(refused), "{first:?}");
    assert!(v.sync(late, 1).verified(), "the chain is shown again");
}

#[test]
fn a_branch_with_news_is_in_step_at_once_with_a_relay_that_lost_what_it_had_acknowledged() {
    for epoch in [None, Some(StoreEpoch([9; 16]))] {
        let (mut v, _, branch) = three_levels(69);
        let disk = copied_relay(&mut v);
        assert!(v.sync(2, 1).verified());
        let backup = disk.lock().unwrap().clone();
        let first = v.create(2, branch, "members", &["full_name=An"]);
        assert!(v.sync(2, 1).verified());
        restore(&mut v, &disk, backup, epoch);
        let second = v.create(2, branch, "members", &["full_name=Bình"]);
        let end = v.sync(2, 1);
        assert!(end.verified(), "{epoch:?}: {end:?}");
        assert!(v.view(1, first).is_some() && v.view(1, second).is_some());
    }
}
