//! Databases of older versions, opened by this one.

use super::tests::{EPOCH, create, filled, open, own_device};
use super::*;
use sampan_core::id::Digest;
use sampan_core::log::EntryKind;
use sampan_core::register::Register;
use sampan_core::testing::store_suite::fresh_state;
use sampan_core::testing::{Writer, fake_entry, test_key, test_org, test_time, test_unit, up_space};
use sampan_core::wire::frame::AckLeaf;

/// Two rows in each table with sums.
fn rows(store: &mut SqliteStore) {
    filled(store);
    for n in 1..=2_u8 {
        let (space, mut w) = (up_space(1), Writer::new(u64::from(n) + 4));
        let time = test_time(u64::from(n));
        let register = Register {
            org: test_org(),
            unit: test_unit(n),
            name: format!("word {n}"),
            device: own_device(),
            counter: u64::from(n),
            time,
            payload: vec![n],
        };
        let signed = SignedRegister::seal(&test_key(1), &register);
        let entry = fake_entry(&space, EntryKind::Change, None, time, &[n; 9]);
        let mut batch = Batch::at(time);
        batch.records.push(fresh_state(space, &entry, w.actor()));
        let edit = PendingEntry { key: sampan_core::store::PendingKey(0), space, nonce: w.nonce, entry };
        batch.pending.push((edit, Status::Accepted));
        let head = w.one(up_space(1), &[], &format!("set aside {n}")).head().clone();
        let (peer, reason) = (DeviceId([n; 32]), "no grant".to_owned());
        batch.quarantine.push(Quarantined { head, pack: vec![n; 40], peer, reason, at: time });
        batch.acks.push(AckRow {
            leaf: AckLeaf { unit: test_unit(n), digest: Digest([n; 32]) },
            relay_unit: test_unit(9),
            relay: own_device(),
            level: 0,
            epoch: EPOCH,
            counter: u64::from(n),
            at: time,
            register: signed.clone(),
            proof: (0, Vec::new()),
            through: CommitKey(1),
            complete: true,
        });
        batch.registers.push(signed);
        store.write(&batch).unwrap();
    }
}

fn columns(conn: &Connection, table: &str) -> Vec<(String, String)> {
    let mut q = conn.prepare("SELECT name, type || \"notnull\" || pk FROM pragma_table_info(?1)").unwrap();
    q.query_map([table], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// Makes a database one of version 1, as that version made it.
fn as_version_1(path: &Path) {
    as_version_3(path);
    let old = Connection::open(path).unwrap();
    for (table, ..) in sums::TABLES {
        old.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN sum")).unwrap();
    }
    for table in ["files", "file_chunks", "file_names", "file_told"] {
        old.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    // Up to where the lists have followed: eight bytes then, and no sum.
    let followed = "INSERT OR REPLACE INTO info VALUES ('projected_to', x'0300000000000000')";
    old.execute_batch(followed).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let mut first = Connection::open_in_memory().unwrap();
    schema::migrations().to_version(&mut first, 1).unwrap();
    for (table, ..) in sums::TABLES {
        assert_eq!(columns(&old, table), columns(&first, table), "{table}");
    }
}

#[test]
fn a_database_of_version_1_gets_its_sums_and_a_bit_that_flips_in_it_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut store = create(&path);
    rows(&mut store);
    let mut before = store.verify(&test_org()).unwrap();
    store.close().unwrap();
    as_version_1(&path);
    let store = open(&path).unwrap();
    let version: u32 = store.conn.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
    assert_eq!(version, schema::VERSION);
    let mut report = store.verify(&test_org()).unwrap();
    // The made-up packs that are set aside are told before and after, and nothing else.
    assert!(before.damaged.iter().all(|d| d.table == "quarantine"), "{before:?}");
    before.damaged.sort_by(|a, b| a.what.cmp(&b.what));
    report.damaged.sort_by(|a, b| a.what.cmp(&b.what));
    assert_eq!(report, before);
    for (table, change, undo) in [
        ("commits", "first_seen = first_seen + 1", "first_seen = first_seen - 1"),
        ("pending", "first_seen = first_seen + 1", "first_seen = first_seen - 1"),
        ("registers", "position = position + 64", "position = position - 64"),
        ("acks", "through = through + 1", "through = through - 1"),
        ("quarantine", "at = at + 1", "at = at - 1"),
    ] {
        let rows: i64 = store.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).unwrap();
        assert!(rows >= 2, "{table}");
        store.conn.execute(&format!("UPDATE {table} SET {change}"), []).unwrap();
        let damaged = store.verify(&test_org()).unwrap().damaged;
        let by_sum = damaged.iter().filter(|d| d.table == table && d.what.contains("changed by itself")).count();
        assert_eq!(by_sum as i64, rows, "{table}: {damaged:?}");
        store.conn.execute(&format!("UPDATE {table} SET {undo}"), []).unwrap();
    }
    // What is written from now on has its sums from the start.
    drop(store);
    let mut store = open(&path).unwrap();
    filled_more(&mut store);
    assert_eq!(store.verify(&test_org()).unwrap().damaged.len(), before.damaged.len());
}

fn filled_more(store: &mut SqliteStore) {
    let c = Writer::new(30).one(up_space(1), &[], "one more of a later day");
    let batch = sampan_core::testing::store_suite::batch_of(store, &[&c]);
    store.write(&batch).unwrap();
}
