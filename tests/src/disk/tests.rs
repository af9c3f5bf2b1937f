//! Tests of the made-up disk under plain SQLite and under the store.

use super::*;
use rusqlite::{Connection, OpenFlags};
use sampan_core::id::StoreEpoch;
use sampan_core::log::device_id;
use sampan_core::store::{CommitKey, Store as _, StoreError};
use sampan_core::testing::store_suite::batch_of;
use sampan_core::testing::{Writer, test_key, test_org, up_space};
use sampan_node::codec::ZstdCodec;
use sampan_node::store::SqliteStore;

fn connect(disk: &Disk) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let c = Connection::open_with_flags_and_vfs(disk.path("a.db"), flags, VFS)?;
    c.pragma_update_and_check(None, "journal_mode", "WAL", |r| {
        assert_eq!(r.get::<_, String>(0)?, "wal");
        Ok(())
    })?;
    c.pragma_update(None, "synchronous", "FULL")?;
    Ok(c)
}

fn sum(c: &Connection) -> rusqlite::Result<i64> {
    c.query_row("SELECT coalesce(sum(n), 0) FROM t", [], |r| r.get(0))
}

fn create(disk: &Disk) -> Result<SqliteStore, StoreError> {
    let device = device_id(&test_key(1));
    let path = disk.path("store.db");
    SqliteStore::create_on(disk, &path, Arc::new(ZstdCodec), device, test_org(), StoreEpoch([7; 16]), 16)
}

fn open(disk: &Disk) -> Result<SqliteStore, StoreError> {
    let device = device_id(&test_key(1));
    SqliteStore::open_on(disk, &disk.path("store.db"), Arc::new(ZstdCodec), device, test_org(), 16)
}

#[test]
fn several_connections_see_each_other_and_keep_out_of_each_others_way() {
    let disk = Disk::new("d");
    let (a, b) = (connect(&disk).unwrap(), connect(&disk).unwrap());
    a.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(sum(&b).unwrap(), 1);
    assert_eq!(disk.unsynced(), 0);
    b.execute_batch("BEGIN; SELECT * FROM t").unwrap();
    a.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)").unwrap();
    assert!(b.execute_batch("INSERT INTO t VALUES (4)").is_err(), "one writes at a time");
    a.execute_batch("COMMIT").unwrap();
    assert_eq!(sum(&b).unwrap(), 1, "one snapshot");
    b.execute_batch("ROLLBACK").unwrap();
    assert_eq!(sum(&b).unwrap(), 3);
    drop((a, b));
    assert!(!disk.snapshot().files.contains_key("a.db-wal"), "the last one tidies up");
    assert_eq!(sum(&connect(&disk).unwrap()).unwrap(), 3);
}

#[test]
fn a_power_cut_silences_what_was_open() {
    let disk = Disk::new("d");
    let a = connect(&disk).unwrap();
    a.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").unwrap();
    disk.power_off();
    assert!(a.execute_batch("INSERT INTO t VALUES (2)").is_err());
    let before = disk.snapshot();
    drop(a);
    assert_eq!(disk.snapshot(), before);
    assert!(connect(&disk).is_err(), "there is no power");
    disk.crash(Crash::DropUnsynced);
    assert_eq!(sum(&connect(&disk).unwrap()).unwrap(), 1);
}

#[test]
fn every_fault_shows_and_loses_nothing_that_stood() {
    let disk = Disk::new("d");
    let a = connect(&disk).unwrap();
    a.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").unwrap();
    for fault in [Fault::IoError, Fault::Full] {
        disk.fail_at(Step::Write(1), fault);
        assert!(a.execute_batch("INSERT INTO t VALUES (2)").is_err());
        assert_eq!(sum(&a).unwrap(), 1);
    }
    disk.fail_at(Step::Sync(1), Fault::IoErrorForGood);
    assert!(a.execute_batch("INSERT INTO t VALUES (2)").is_err());
    assert!(a.execute_batch("INSERT INTO t VALUES (2)").is_err());
    disk.heal();
    disk.set_capacity(Some(disk.bytes()));
    let fat = "INSERT INTO t SELECT 0 FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 9000)
        SELECT x FROM c)";
    let e = a.execute_batch(fat).unwrap_err();
    assert_eq!(e.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
    disk.set_capacity(None);
    a.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    disk.fail_at(Step::Sync(1), Fault::PowerOffAfter);
    assert!(a.execute_batch("INSERT INTO t VALUES (4)").is_err(), "nobody heard of it");
    assert!(disk.is_off());
    drop(a);
    disk.crash(Crash::DropUnsynced);
    let a = connect(&disk).unwrap();
    assert_eq!(sum(&a).unwrap(), 7, "but it is there");
    disk.fail_at(Step::Sync(1), Fault::PowerOffBefore);
    assert!(a.execute_batch("INSERT INTO t VALUES (8)").is_err());
    drop(a);
    disk.crash(Crash::DropUnsynced);
    assert_eq!(sum(&connect(&disk).unwrap()).unwrap(), 7);
}

#[test]
fn the_store_lives_on_it_and_survives() {
    let disk = Disk::new("d");
    let mut store = create(&disk).unwrap();
    assert!(create(&disk).is_err(), "it is there already");
    assert_eq!(disk.snapshot().files.keys().collect::<Vec<_>>(), ["store.db", "store.db-wal"]);
    let mut w = Writer::new(2);
    let a = w.one(up_space(1), &[], "before the power cut");
    store.write(&batch_of(&store, &[&a])).unwrap();
    assert_eq!(disk.unsynced(), 0);
    let backup = disk.snapshot();
    let b = w.one(up_space(1), &[&a], "under way");
    disk.fail_at(Step::Sync(1), Fault::PowerOffBefore);
    assert!(store.write(&batch_of(&store, &[&b])).is_err());
    drop(store);
    disk.crash(Crash::DropUnsynced);
    let store = open(&disk).unwrap();
    assert_eq!(store.last_commit().unwrap(), CommitKey(1));
    assert!(store.verify(&test_org()).unwrap().damaged.is_empty());
    let copy = Disk::from_image("d", &backup);
    assert_eq!(open(&copy).unwrap().last_commit().unwrap(), CommitKey(1));
    drop(store);
    disk.lose();
    assert!(matches!(open(&disk), Err(StoreError::Io(_))));
}

#[test]
fn rot_is_found() {
    let disk = Disk::new("d");
    let mut store = create(&disk).unwrap();
    let a = Writer::new(2).one(up_space(1), &[], &"incompressible? no, but long enough ".repeat(9));
    store.write(&batch_of(&store, &[&a])).unwrap();
    drop(store);
    let clean = disk.snapshot();
    let mut found = 0;
    for seed in 0..200 {
        let copy = Disk::from_image("rot", &clean);
        let (_, _) = copy.flip_bit("store.db", seed).unwrap();
        let seen = open(&copy).and_then(|s| s.verify(&test_org()));
        found += usize::from(seen.is_err() || seen.is_ok_and(|r| !r.damaged.is_empty()));
    }
    // Most of a small database is unused room, where a flipped bit harms nothing.
    assert!(found > 3, "{found}");
}

/// Closing a database says nothing of what it could not do: what was not moved out of the log by then would
/// stay behind when the file gets its name.
#[test]
fn an_error_while_a_store_is_made_leaves_nothing_in_the_way() {
    for fault in [Fault::IoError, Fault::Full, Fault::IoErrorForGood] {
        for step in 1.. {
            let disk = Disk::new("d");
            disk.fail_at(Step::Any(step), fault);
            let made = create(&disk);
            let steps = disk.counts().steps;
            disk.heal();
            let failed = made.is_err();
            let store = if failed { create(&disk).or_else(|_| open(&disk)) } else { made };
            let store = store.unwrap_or_else(|e| panic!("{fault:?} at step {step} stands in the way: {e}"));
            assert_eq!(store.epoch(), Ok(StoreEpoch([7; 16])));
            assert_eq!(store.verify(&test_org()).unwrap().damaged, vec![], "{fault:?} at step {step}");
            if !failed && step > steps {
                break;
            }
        }
    }
}
