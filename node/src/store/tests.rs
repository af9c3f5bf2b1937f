//! Tests of the store on SQLite: the common suite, and what only a disk has.

use super::*;
use crate::codec::ZstdCodec;
use sampan_core::log::device_id;
use sampan_core::store::EntryAt;
use sampan_core::testing::store_suite::{batch_of, group_of};
use sampan_core::testing::{Writer, store_suite, test_key, test_org, test_time, test_unit, up_space};
use tempfile::TempDir;

pub(super) const EPOCH: StoreEpoch = StoreEpoch([7; 16]);

pub(super) fn own_device() -> DeviceId {
    device_id(&test_key(1))
}

pub(super) fn create<'a>(at: impl Into<Place<'a>>) -> SqliteStore {
    SqliteStore::create(at, Arc::new(ZstdCodec), own_device(), test_org(), EPOCH, 16).unwrap()
}

pub(super) fn open<'a>(at: impl Into<Place<'a>>) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(at, Arc::new(ZstdCodec), own_device(), test_org(), 16)
}

pub(super) fn fresh() -> (TempDir, PathBuf, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = create(&path);
    (dir, path, store)
}

/// The names of all tables of a new store.
pub(super) fn tables_for_tests(store: &SqliteStore) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table'";
    store.all(sql, [], |r| Ok(r.get(0)?)).unwrap()
}

/// A store with three commits of one log in two packs, a charter commit, and a register's worth of
/// nothing else.
pub(super) fn filled(store: &mut SqliteStore) -> Vec<Commit> {
    let mut w = Writer::new(2);
    let a = w.one(up_space(1), &[], &"the first record of three ".repeat(4));
    let b = w.one(up_space(1), &[&a], &"the second record of three ".repeat(4));
    let c = w.one(up_space(1), &[&b], &"the third record of three ".repeat(4));
    let d = w.one(SpaceId::charter(test_unit(1)), &[], "an operation");
    let mut batch = batch_of(store, &[&a, &b, &c, &d]);
    batch.groups = vec![group_of(&[&a, &b]), group_of(&[&c]), group_of(&[&d])];
    store.write(&batch).unwrap();
    vec![a, b, c, d]
}

#[test]
fn keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let mut n = 0;
    let mut make = || -> Box<dyn Store> {
        n += 1;
        Box::new(create(&dir.path().join(format!("{n}.db"))))
    };
    store_suite(&mut make, &ZstdCodec);
}

#[test]
fn everything_is_there_after_opening_again() {
    let (_dir, path, mut store) = fresh();
    let commits = filled(&mut store);
    store.set_projected_to(CommitKey(3)).unwrap();
    let (tips, charter) = (store.tips().unwrap(), store.charter_commits().unwrap());
    drop(store);
    let mut store = open(&path).unwrap();
    assert_eq!(store.tips().unwrap(), tips);
    assert_eq!(store.charter_commits().unwrap(), charter);
    assert_eq!(store.projected_to().unwrap(), CommitKey(3));
    assert_eq!(store.epoch().unwrap(), EPOCH);
    assert_eq!(store.commit(CommitKey(2)).unwrap(), commits[1]);
    store.checkpoint().unwrap();
    store.set_epoch(StoreEpoch([8; 16])).unwrap();
    assert_eq!(store.epoch().unwrap(), StoreEpoch([8; 16]));
}

#[test]
fn a_group_lands_whole_or_not_at_all() {
    let (_dir, path, mut store) = fresh();
    let mut w = Writer::new(2);
    let a = w.one(up_space(1), &[], "in a group that fails");
    let b = w.one(up_space(1), &[], "in a group that stands");
    let batch = batch_of(&store, &[&a]);
    let failed: Result<(), StoreError> = store.group(|s| {
        s.write(&batch)?;
        assert_eq!(s.entries(RecordKey(1))?.len(), 1, "a group reads what it wrote");
        Err(StoreError::Busy("for the test".into()))
    });
    assert_eq!(failed, Err(StoreError::Busy("for the test".into())));
    assert_eq!(store.last_commit().unwrap(), CommitKey(0));
    // The position of the pack is given again: what was decoded in the failed group must not show.
    let batch = batch_of(&store, &[&b]);
    store
        .group(|s| {
            s.write(&batch)?;
            assert!(s.write(&batch).is_err(), "the same again is refused");
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let entry = &b.payload().entries[0];
    assert_eq!(store.entries(RecordKey(1)).unwrap()[0].bytes, entry.payload);
    let other = open(&path).unwrap();
    assert_eq!(other.last_commit().unwrap(), CommitKey(1), "the inner failure undid only itself");
}

#[test]
fn a_panic_inside_a_group_undoes_it() {
    let (_dir, _path, mut store) = fresh();
    let a = Writer::new(2).one(up_space(1), &[], "before a panic");
    let batch = batch_of(&store, &[&a]);
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| {
        store.group(|s| -> Result<(), StoreError> {
            s.write(&batch)?;
            panic!("for the test");
        })
    }));
    assert!(caught.is_err());
    assert_eq!(store.last_commit().unwrap(), CommitKey(0));
    store.write(&batch).unwrap();
}

#[test]
fn a_snapshot_does_not_move() {
    let (_dir, path, mut writer) = fresh();
    let reader = open(&path).unwrap();
    reader
        .snapshot(|s| {
            assert_eq!(s.last_commit()?, CommitKey(0));
            filled(&mut writer);
            assert_eq!(s.last_commit()?, CommitKey(0), "one snapshot");
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(reader.last_commit().unwrap(), CommitKey(4));
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let (_dir, path, mut store) = fresh();
    filled(&mut store);
    store.conn.pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    drop(store);
    let before = std::fs::read(&path).unwrap();
    let (found, known) = (schema::VERSION + 1, schema::VERSION);
    assert_eq!(open(&path).unwrap_err(), StoreError::Newer { found, known });
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn what_is_no_database_of_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    assert!(matches!(open(&path), Err(StoreError::Io(_))), "absent");
    std::fs::write(&path, "a letter to the district, longer than a header ".repeat(100)).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(open(&path), Err(StoreError::Damaged(_))));
    let made = SqliteStore::create(&path, Arc::new(ZstdCodec), own_device(), test_org(), EPOCH, 16);
    assert!(matches!(made, Err(StoreError::Io(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let foreign = dir.path().join("other.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    assert!(matches!(open(&foreign), Err(StoreError::Damaged(_))));
    let ours = dir.path().join("ours.db");
    drop(create(&ours));
    let other = SqliteStore::open(&ours, Arc::new(ZstdCodec), own_device(), OrgId([1; 32]), 16);
    let StoreError::Io(why) = other.unwrap_err() else { panic!("of another organisation") };
    assert!(why.contains("another organisation"), "{why}");
}

#[test]
fn a_half_made_database_does_not_stand_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    std::fs::write(half_made(&path), "cut off").unwrap();
    assert!(create(&path).verify(&test_org()).unwrap().damaged.is_empty());
    assert!(!half_made(&path).exists());
}

/// SQLite takes a log that lies beside a database for its own: what an older one left must go first.
#[test]
fn what_an_older_database_left_beside_it_is_not_taken_for_its_own() {
    let (_dir, path, mut store) = fresh();
    filled(&mut store);
    let log = beside(&path, "-wal");
    let kept = std::fs::read(&log).unwrap();
    assert!(!kept.is_empty());
    drop(store);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&log, &kept).unwrap();
    std::fs::write(beside(&half_made(&path), "-wal"), &kept).unwrap();
    let store = create(&path);
    assert_eq!(store.last_commit().unwrap(), CommitKey(0), "nothing of the older one");
    assert_eq!(store.verify(&test_org()).unwrap().damaged, vec![]);
}

#[test]
fn a_full_disk_changes_nothing() {
    let (_dir, _path, mut store) = fresh();
    let commits = filled(&mut store);
    let pages: i64 = store.conn.pragma_query_value(None, "page_count", |r| r.get(0)).unwrap();
    store.conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    let mut w = Writer::new(3);
    let large: String = (0..9_000u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    let a = w.one(up_space(2), &[], &large);
    let batch = batch_of(&store, &[&a]);
    assert!(matches!(store.write(&batch), Err(StoreError::Full(_))));
    let outer: Result<(), StoreError> = store.group(|s| {
        let _ = s.write(&batch);
        // SQLite may have undone the whole group: what follows must not land without it.
        s.set_projected_to(CommitKey(9))
    });
    let moved = store.projected_to().unwrap() == CommitKey(9);
    assert_eq!(outer.is_ok(), moved, "a group that failed left nothing");
    assert_eq!(store.last_commit().unwrap(), CommitKey(4));
    store.conn.pragma_update_and_check(None, "max_page_count", 1 << 30, |_| Ok(())).unwrap();
    store.write(&batch).unwrap();
    assert_eq!(store.commit(CommitKey(1)).unwrap(), commits[0]);
    assert!(store.verify(&test_org()).unwrap().damaged.is_empty());
}

#[test]
fn every_flipped_bit_of_a_pack_header_or_signature_is_found() {
    let (_dir, _path, mut store) = fresh();
    let commits = filled(&mut store);
    let clean = store.verify(&test_org()).unwrap();
    assert_eq!(clean, VerifyReport { checked: 8, ..VerifyReport::default() });
    for (table, column, key) in
        [("packs", "bytes", "id"), ("commits", "header", "key"), ("commits", "signature", "key")]
    {
        let read = format!("SELECT {column} FROM {table} WHERE {key} = 2");
        let write = format!("UPDATE {table} SET {column} = ?1 WHERE {key} = 2");
        let good: Vec<u8> = store.conn.query_row(&read, [], |r| r.get(0)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            store.conn.execute(&write, [&bad]).unwrap();
            let found = store.verify(&test_org()).unwrap().damaged;
            // The second pack holds the third commit; the second commit lies in the first pack.
            let hurt = if table == "packs" { &commits[2] } else { &commits[1] };
            let record = hurt.payload().entries[0].entry.record.to_string();
            assert!(
                found.iter().any(|d| d.table == table && d.record.as_deref() == Some(&record)),
                "{table}.{column} byte {at}: {found:?}"
            );
        }
        store.conn.execute(&write, [&good]).unwrap();
    }
    assert_eq!(store.verify(&test_org()).unwrap(), clean);
    assert_ne!(store.verify(&OrgId([3; 32])).unwrap().damaged, [], "another root key");
}

#[test]
fn what_no_signature_covers_is_computed_again() {
    for (harm, table) in [
        ("DELETE FROM tips WHERE rowid IN (SELECT 1) OR log = 1", "tips"),
        ("DELETE FROM hist WHERE at = 2", "hist"),
        ("INSERT INTO hist VALUES (1, 3, 9, 0, 0)", "hist"),
        ("UPDATE counts SET entries = entries + 1", "counts"),
        ("UPDATE commits SET sequence = 9 WHERE key = 2", "commits"),
        ("DELETE FROM packs WHERE id = 2", "packs"),
        ("UPDATE logs SET forked = 1 - forked", "logs"),
        ("UPDATE tips SET sequence = sequence + 1", "tips"),
        ("UPDATE commits SET changes = changes + 1 WHERE key = 2", "commits"),
        ("UPDATE commits SET bytes = bytes + 1 WHERE key = 2", "commits"),
        ("INSERT INTO dirty VALUES (999)", "dirty"),
        ("INSERT INTO meta VALUES ('made_up', x'01')", "meta"),
        ("UPDATE info SET value = zeroblob(16) WHERE name = 'epoch'", "info"),
        ("INSERT INTO statements VALUES (77, x'00', x'00')", "statements"),
        ("INSERT INTO packs VALUES (77, 1, 1, x'00', x'00')", "packs"),
    ] {
        let (_dir, _path, mut store) = fresh();
        filled(&mut store);
        let harm = harm.replace("rowid IN (SELECT 1) OR ", "");
        store.conn.execute_batch(&harm).unwrap();
        let found = store.verify(&test_org()).unwrap().damaged;
        assert!(found.iter().any(|d| d.table == table), "{harm}: {found:?}");
    }
}

#[test]
fn a_log_is_what_is_left_of_it_and_goes_with_its_last_commit() {
    let (_dir, _path, mut store) = fresh();
    let [a, b, c, _] = filled(&mut store).try_into().unwrap();
    let logs = |s: &SqliteStore| s.one("SELECT count(*) FROM logs", [], |r| Ok(r.get::<_, i64>(0)?)).unwrap();
    assert_eq!(logs(&store), Some(2));
    // A twin of the second: the log is a tree until the twin is withdrawn.
    let mut w = Writer::new(2);
    let twin = w.one(up_space(1), &[&a], &"another second record ".repeat(4));
    let late = w.one(SpaceId::charter(test_unit(2)), &[], "an operation");
    let mut batch = batch_of(&store, &[&twin, &late]);
    batch.groups = vec![group_of(&[&twin]), group_of(&[&late])];
    store.write(&batch).unwrap();
    let forked = |s: &SqliteStore| s.one("SELECT max(forked) FROM logs", [], |r| Ok(r.get::<_, bool>(0)?)).unwrap();
    assert_eq!(forked(&store), Some(true));
    for gone in [vec![&twin], vec![&c], vec![&b, &a]] {
        let mut batch = Batch::at(test_time(9));
        batch.withdrawn = gone.iter().map(|c| c.id()).collect();
        store.write(&batch).unwrap();
        let damaged = store.verify(&test_org()).unwrap().damaged;
        assert!(damaged.iter().all(|d| d.table != "logs" && d.table != "tips"), "{damaged:?}");
        assert_eq!(forked(&store), Some(false));
    }
    assert_eq!(logs(&store), Some(2), "those of the charters");
}

/// What the projector is told of a store's first commits: position, commit, records.
fn told(store: &SqliteStore) -> Vec<(CommitKey, Commit, Vec<super::handed::Listed>)> {
    let all = store.to_project(CommitKey(0), 9).unwrap();
    all.into_iter().map(|p| (p.key, p.commit, p.records)).collect()
}

#[test]
fn what_is_handed_on_is_what_the_disk_says() {
    let (_dir, path, mut store) = fresh();
    let commits = filled(&mut store);
    let from_disk = told(&store);
    assert_eq!(from_disk.iter().map(|(_, c, _)| c).collect::<Vec<_>>(), commits.iter().collect::<Vec<_>>());
    assert_eq!(from_disk[1].2, [Some((RecordKey(2), true))]);
    assert_eq!(from_disk[3].2, [None], "a charter's");
    let refill = |store: &mut SqliteStore| {
        let places = |c: &Commit| if c.header().space.flow == sampan_core::id::Flow::Charter { None } else { Some(()) };
        let keys = [1, 2, 3, 4];
        for (c, key) in commits.iter().zip(keys) {
            store.handed.borrow_mut().wrote(c.id(), key, vec![places(c).map(|()| key)]);
        }
        store.hand_on(commits.clone()).unwrap();
        assert!(!store.handed.borrow().is_empty());
    };
    // No pack can be read any more: what is told comes from memory alone, and once.
    refill(&mut store);
    store.conn.execute("UPDATE packs SET bytes = x'00'", []).unwrap();
    store.cache.borrow_mut().clear();
    assert_eq!(told(&store), from_disk);
    assert!(store.handed.borrow().is_empty());
    assert!(store.to_project(CommitKey(0), 9).is_err());
    // A record that is another's now, or that more is known of: the row decides.
    refill(&mut store);
    store.conn.execute("UPDATE records SET entries = 2 WHERE key = 2", []).unwrap();
    assert_eq!(told(&store)[1].2, [Some((RecordKey(2), false))]);
    refill(&mut store);
    store.conn.execute("UPDATE records SET id = zeroblob(16) WHERE key = 2", []).unwrap();
    assert!(store.to_project(CommitKey(0), 9).is_err(), "it is looked for on the disk");
    // What another process wrote, a transaction undone, an erasure, and the end of all that is to be projected.
    refill(&mut store);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("UPDATE records SET irregular = 1 WHERE key = 3", []).unwrap();
    assert!(store.to_project(CommitKey(0), 9).is_err());
    assert!(store.handed.borrow().is_empty());
    refill(&mut store);
    let undone: Result<(), StoreError> = store.group(|_| Err(StoreError::Io("no".into())));
    assert!(undone.is_err() && store.handed.borrow().is_empty());
    refill(&mut store);
    assert!(store.to_project(CommitKey(4), 9).unwrap().is_empty() && store.handed.borrow().is_empty());
    // No more than there is room for, the oldest first.
    for _ in 0..2 {
        store.handed.borrow_mut().fill_for_tests();
        let before = store.handed.borrow().bytes();
        store.handed.borrow_mut().wrote(commits[0].id(), 9, vec![Some(1)]);
        store.hand_on(vec![commits[0].clone()]).unwrap();
        assert_eq!(store.handed.borrow().bytes(), before);
    }
}

#[test]
fn the_feed_and_the_queue_miss_nothing() {
    let (_dir, _path, mut store) = fresh();
    let commits = filled(&mut store);
    assert_eq!(store.dirty(10).unwrap(), [], "new commits are met in the feed");
    let feed = store.commits_after(CommitKey(1), 2).unwrap();
    let found: Vec<_> = feed.iter().map(|f| (f.key, f.commit.clone())).collect();
    assert_eq!(found, [(CommitKey(2), commits[1].clone()), (CommitKey(3), commits[2].clone())]);
    assert_eq!(feed[0].entries, [Some((RecordKey(2), Status::Accepted))]);
    assert_eq!(store.commits_after(CommitKey(3), 9).unwrap()[0].entries, [None], "a charter's");
    let mut batch = Batch::at(test_time(9));
    let record = commits[2].payload().entries[0].entry.record;
    batch.restatus.push((record, EntryAt::Sealed(CommitKey(3), 0), Status::Blocked));
    let mut state = store.record(RecordKey(1)).unwrap().unwrap();
    state.damaged = true;
    batch.records.push(state);
    store.write(&batch).unwrap();
    assert_eq!(store.dirty(10).unwrap(), [RecordKey(1), RecordKey(3)]);
    store.clear_dirty(&[RecordKey(1)]).unwrap();
    assert_eq!(store.dirty(10).unwrap(), [RecordKey(3)]);
    store.mark_all_dirty().unwrap();
    assert_eq!(store.dirty(2).unwrap(), [RecordKey(1), RecordKey(2)]);
}

#[test]
fn a_statement_is_kept_once_and_leaves_with_its_last_unit() {
    use sampan_core::id::Digest;
    use sampan_core::register::{Register, SignedRegister};
    use sampan_core::wire::frame::AckLeaf;
    let (_dir, _path, mut store) = fresh();
    let leaf = |n: u8| AckLeaf { unit: test_unit(n), digest: Digest([n; 32]) };
    let rows = |counter: u64| -> Vec<AckRow> {
        let register = Register {
            org: test_org(),
            unit: test_unit(9),
            name: "ack".into(),
            device: own_device(),
            counter,
            time: test_time(counter),
            payload: Vec::new(),
        };
        let register = SignedRegister::seal(&test_key(1), &register);
        let row = |n| AckRow {
            leaf: leaf(n),
            relay_unit: test_unit(9),
            relay: own_device(),
            level: 0,
            epoch: EPOCH,
            counter,
            at: test_time(counter),
            register: register.clone(),
            proof: (n.into(), vec![Digest([n; 32])]),
            through: CommitKey(0),
            complete: true,
        };
        (1..=5).map(row).collect()
    };
    let kept = |store: &SqliteStore| -> i64 {
        store.conn.query_row("SELECT count(*) FROM statements", [], |r| r.get(0)).unwrap()
    };
    for counter in 1..=3 {
        let mut batch = Batch::at(test_time(1));
        batch.acks = rows(counter);
        store.write(&batch).unwrap();
        assert_eq!(kept(&store), 1);
    }
    assert_eq!(store.acks(None).unwrap(), rows(3));
    // A later one takes the units over one by one: the older stays until the last has left it.
    for (taken, row) in rows(4).into_iter().enumerate() {
        assert_eq!(kept(&store), if taken == 0 { 1 } else { 2 });
        let mut batch = Batch::at(test_time(1));
        batch.acks = vec![row];
        store.write(&batch).unwrap();
    }
    assert_eq!((kept(&store), store.acks(None).unwrap()), (1, rows(4)));
}

#[test]
fn a_statement_costs_the_same_however_many_a_relay_keeps() {
    use sampan_core::id::Digest;
    use sampan_core::register::{Register, SignedRegister};
    use sampan_core::wire::frame::AckLeaf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let (_dir, _path, mut store) = fresh();
    let (org, device) = (test_org(), own_device());
    let said = |unit: u16, counter: u64| {
        let (mut id, time) = (test_unit(7), test_time(counter));
        id.0[..2].copy_from_slice(&unit.to_le_bytes());
        let payload = unit.to_le_bytes().to_vec();
        let register = Register { org, unit: test_unit(9), name: "ack".into(), device, counter, time, payload };
        AckRow {
            leaf: AckLeaf { unit: id, digest: Digest([1; 32]) },
            relay_unit: test_unit(9),
            relay: device,
            level: 0,
            epoch: EPOCH,
            counter,
            at: time,
            register: SignedRegister::seal(&test_key(1), &register),
            proof: (0, Vec::new()),
            through: CommitKey(0),
            complete: true,
        }
    };
    let steps = Arc::new(AtomicU64::new(0));
    let counted = steps.clone();
    // Every ten of SQLite's own instructions.
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    store.conn.progress_handler(10, Some(count)).unwrap();
    let mut costs = Vec::new();
    let mut from = 0;
    for many in [10, 1_000] {
        let mut batch = Batch::at(test_time(1));
        batch.acks = (from..many).map(|unit| said(unit, 1)).collect();
        store.write(&batch).unwrap();
        from = many;
        steps.store(0, Ordering::Relaxed);
        let mut batch = Batch::at(test_time(2));
        batch.acks = vec![said(3, u64::from(many))];
        store.write(&batch).unwrap();
        costs.push(steps.load(Ordering::Relaxed));
    }
    assert!(costs[1] <= costs[0] * 2, "one of 10, one of 1,000: {costs:?}");
}

#[test]
fn what_another_process_wrote_is_never_missed_also_before_the_first_question() {
    let (_dir, path, mut store) = fresh();
    // A command line writes between a daemon's opening and its first look.
    filled(&mut open(&path).unwrap());
    assert!(store.changed_elsewhere().unwrap(), "nobody has looked yet");
    assert!(!store.changed_elsewhere().unwrap());
    let mut batch = Batch::default();
    batch.meta.insert("x".into(), Some(vec![1]));
    open(&path).unwrap().write(&batch).unwrap();
    assert!(store.changed_elsewhere().unwrap());
}

#[test]
fn small_facts_are_summed_up_whatever_happens_to_them() {
    let (_dir, path, mut store) = fresh();
    let put = |store: &mut SqliteStore, name: &str, value: Option<&[u8]>| {
        let mut batch = Batch::at(test_time(1));
        batch.meta.insert(name.to_owned(), value.map(<[u8]>::to_vec));
        store.write(&batch).unwrap();
        assert_eq!(store.verify(&test_org()).unwrap().damaged, [], "{name} {value:?}");
    };
    put(&mut store, "a", Some(b"1"));
    put(&mut store, "a", Some(b"2"));
    put(&mut store, "b", Some(b""));
    put(&mut store, "a", None);
    put(&mut store, "never there", None);
    store.set_epoch(sampan_core::id::StoreEpoch([9; 16])).unwrap();
    assert_eq!(store.verify(&test_org()).unwrap().damaged, []);
    // A store of before has no sum: it gets one with the next fact, and is not called damaged meanwhile.
    store.conn.execute("DELETE FROM meta WHERE name = 'sum_of_facts'", []).unwrap();
    assert_eq!(store.verify(&test_org()).unwrap().damaged, []);
    put(&mut store, "c", Some(b"3"));
    store.conn.execute("UPDATE meta SET value = x'34' WHERE name = 'c'", []).unwrap();
    assert_eq!(store.verify(&test_org()).unwrap().damaged[0].table, "meta");
    drop(store);
    drop(path);
}

#[test]
fn a_copy_is_the_whole_store_and_replaces_an_older_one() {
    let (dir, _path, mut store) = fresh();
    let commits = filled(&mut store);
    let to = dir.path().join("copy.db");
    std::fs::write(&to, "what a power cut left").unwrap();
    store.copy_to(&to).unwrap();
    let copy = open(&to).unwrap();
    assert_eq!(copy.verify(&test_org()).unwrap(), store.verify(&test_org()).unwrap());
    assert_eq!(copy.known(&[commits[2].id()]).unwrap(), store.known(&[commits[2].id()]).unwrap());
}

#[test]
fn what_is_seized_is_open_to_nobody_and_hands_out_what_is_whole() {
    let (_dir, path, mut store) = fresh();
    let commits = filled(&mut store);
    let other = open(&path).unwrap();
    other.tips().unwrap();
    store.conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    assert!(matches!(store.seize(), Err(StoreError::Busy(_))), "somebody has it open");
    drop(other);
    store.conn.execute("UPDATE packs SET bytes = x'00' WHERE id = 2", []).unwrap();
    store.seize().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.busy_timeout(std::time::Duration::ZERO).unwrap();
    assert!(other.query_row("SELECT count(*) FROM commits", [], |r| r.get::<_, i64>(0)).is_err());
    let pieces: Vec<_> = (0..=store.last_position().unwrap() + 1).map(|key| store.piece(&test_org(), key)).collect();
    let whole = pieces.iter().filter(|p| matches!(p, Some(super::Piece::Whole(_)))).count();
    let lost = pieces.iter().filter(|p| matches!(p, Some(super::Piece::Lost))).count();
    assert_eq!((whole, lost), (commits.len() - 1, 1));
    assert!(matches!(store.piece(&OrgId([3; 32]), 1), Some(super::Piece::Lost)), "another organisation's");
}

#[test]
fn a_store_with_a_page_of_garbage_is_replaced_all_the_same() {
    for table in ["packs", "commits"] {
        garbage_in(table);
    }
}

fn garbage_in(table: &str) {
    let (dir, path, mut store) = fresh();
    let commits = filled(&mut store);
    let sql = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' LIMIT 1";
    let page: i64 = store.one(sql, [table], |r| Ok(r.get(0)?)).unwrap().unwrap();
    store.close().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[(page as usize - 1) * 4_096..][..64].fill(0xee);
    std::fs::write(&path, bytes).unwrap();
    let mut store = open(&path).unwrap();
    store.seize().unwrap();
    assert_eq!(store.last_position().unwrap(), commits.len() as i64, "{table}");
    assert!(matches!(store.piece(&test_org(), 1), Some(super::Piece::Lost)));
    let (new, keep) = (dir.path().join("new.db"), dir.path().join("kept.db"));
    create(&new).close().unwrap();
    store.replace_by(&path, &new, Some(&keep)).unwrap();
    assert_eq!(open(&path).unwrap().tips().unwrap(), BTreeMap::new());
    assert!(open(&keep).is_err(), "whoever waited for the old one finds that it is ours no more");
}
