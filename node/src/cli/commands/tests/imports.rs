//! Imports that are longer than what is written at a time: whole or not at all, in the order of their rows.
//!
//! They do not: measure memory (`tests/e2e/small.rs` runs the program within 64 MB).

use super::*;
use crate::replica::ImportRecord;
use sampan_core::engine::EditFailure;
use sampan_core::limits::{BAD_CELLS_BYTES_MAX, IMPORT_PIECE_BYTES, IMPORT_PIECE_ROWS, SEAL_PART_ENTRIES};
use sampan_core::value::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Rows of several pieces, and a few more.
const MANY: usize = 2 * IMPORT_PIECE_ROWS + 44;

fn open(dir: &str) -> Replica {
    Replica::open(Path::new(dir), &Settings::default()).unwrap()
}

fn row(fields: &[(&str, &str)]) -> ImportRecord {
    let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), Value::Str((*v).to_owned())));
    ImportRecord { unit: UnitId([7; 16]), fields: fields.collect(), updates: None }
}

/// Nothing of an import is there: no row, no record, no edit to seal.
fn untouched(replica: &mut Replica, why: &str) {
    let members = replica.collection("members").unwrap();
    assert_eq!(replica.list(&members, None, None).unwrap(), [], "{why}");
    assert_eq!(replica.store.pending().unwrap(), [], "{why}");
    assert!(replica.store.irregular(&[UnitId([7; 16])].into()).unwrap().is_empty(), "{why}: it is counted");
    assert_eq!(replica.verify().unwrap().damaged.len(), 0, "{why}");
}

#[test]
fn a_bad_last_row_of_many_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let file = dir.path().join("m.csv");
    let f = file.to_str().unwrap();
    let mut good = String::from("full_name,date_of_birth,_unit\n");
    (0..MANY).for_each(|n| writeln!(good, "Người {n},1950,P01").unwrap());
    let last = format!("line {}", MANY + 2);
    for (bad, what) in
        [("A,hôm qua,P01", "a date"), ("B,1950,P99", "a unit"), (",1950,P01", "a name"), ("C,1950", "a cell")]
    {
        std::fs::write(&file, format!("{good}{bad}\n")).unwrap();
        let e = refused(&["add", &d, "members", "--from", f]);
        assert_eq!((e.code, e.details.len()), ("csv_bad_rows", 1), "{what}: {e:?}");
        assert!(e.details[0].contains(&last), "{what}: {e:?}");
        untouched(&mut open(&d), what);
    }
    let third = json(&["add", &d, "members", "--from", f, "--skip-bad"]);
    assert_eq!((third["records"].as_array().unwrap().len(), third["skipped"].clone()), (MANY, Json::from(1)));
}

#[test]
fn what_fails_once_pieces_are_written_undoes_them() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let mut replica = open(&d);
    let members = replica.collection("members").unwrap();
    let good = |n: usize| row(&[("full_name", &format!("Người {n}"))]);
    let rows: Vec<ImportRecord> = (0..MANY).map(good).chain([row(&[("phone", "1")])]).collect();
    let refused = replica.import(&members, rows).unwrap_err();
    assert!(matches!(refused, ReplicaError::Edit(EditFailure::Required(_))), "{refused}");
    untouched(&mut replica, "a row that is refused");
    // A file that is not the same any more, a disk that cannot be read: the rows end in an error.
    let broken = replica.import_from(&members, |importer| {
        (0..MANY).try_for_each(|n| importer.take(good(n)))?;
        Err(ReplicaError::NoSchema)
    });
    assert!(matches!(broken, Err(ReplicaError::NoSchema)), "{broken:?}");
    untouched(&mut replica, "rows that end in an error");

    let ids = replica.import(&members, (0..MANY).map(good).collect()).unwrap();
    assert_eq!(replica.list(&members, None, None).unwrap().len(), MANY);
    let pending = replica.store.pending().unwrap();
    assert_eq!(pending.iter().map(|p| p.entry.entry.record).collect::<Vec<_>>(), ids, "in the order of the rows");
    // Sealing reads them in parts, and makes the commits that it makes of all at once.
    const { assert!(MANY > 2 * SEAL_PART_ENTRIES) };
    let before = replica.store.last_commit().unwrap();
    assert_eq!(replica.seal().unwrap(), 3);
    let made = replica.store.stored_after(before, 10).unwrap();
    assert_eq!(made.iter().map(|(_, row)| row.entries).collect::<Vec<_>>(), [256, 256, 44]);
    let sealed = made.iter().flat_map(|(_, row)| {
        let of = |at| replica.store.entry_at(row.key, at).unwrap().unwrap().entry.record;
        (0..row.entries).map(of).collect::<Vec<_>>()
    });
    assert_eq!(sealed.collect::<Vec<_>>(), ids, "in the order of editing");
    assert_eq!(replica.store.pending().unwrap(), []);
}

#[test]
fn new_rows_and_known_ones_keep_their_order_across_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let file = dir.path().join("m.csv");
    let f = file.to_str().unwrap();
    let rows = |of: &mut dyn Iterator<Item = usize>, phone: &str| {
        let mut text = String::from("full_name,card_number,phone,id_number,_unit\n");
        of.for_each(|n| writeln!(text, "Người {n},{n:06},{phone},{n:09},P01").unwrap());
        std::fs::write(&file, text).unwrap();
    };
    rows(&mut (0..MANY).step_by(3), "1");
    let ids = |json: &Json| -> Vec<String> {
        json["records"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    let first = ids(&json(&["add", &d, "members", "--from", f]));
    rows(&mut (0..MANY), "2");
    let second = ids(&json(&["add", &d, "members", "--from", f]));
    assert_eq!(second.len(), MANY);
    assert_eq!(second.iter().step_by(3).collect::<Vec<_>>(), first.iter().collect::<Vec<_>>(), "those that were there");
    let listed = done(&["list", &d, "members", "--json"]);
    let listed: BTreeMap<String, Json> =
        listed.lines().map(|l| serde_json::from_str::<Json>(l).unwrap()).map(|j| (j["_id"].to_string(), j)).collect();
    assert_eq!(listed.len(), MANY);
    for (n, id) in second.iter().enumerate() {
        let shown = &listed[&Json::from(id.as_str()).to_string()];
        assert_eq!((&shown["card_number"], &shown["phone"]), (&format!("{n:06}").into(), &"2".into()));
    }
    // What is exported in parts is what is listed.
    let out = dir.path().join("out.csv");
    done(&["export", &d, "members", out.to_str().unwrap()]);
    let text = std::fs::read_to_string(&out).unwrap();
    assert_eq!(text.lines().count(), 1 + MANY);
    assert!(second.iter().all(|id| text.contains(id.as_str())));
}

#[test]
fn a_file_of_nothing_but_bad_cells_is_told_up_to_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let file = dir.path().join("m.csv");
    let f = file.to_str().unwrap();
    let long = "x".repeat(IMPORT_PIECE_BYTES / 2);
    let rows = 2 * BAD_CELLS_BYTES_MAX / long.len();
    let mut text = String::from("full_name,date_of_birth\n");
    (0..rows).for_each(|n| writeln!(text, "Người {n},{long}").unwrap());
    std::fs::write(&file, text).unwrap();
    let e = refused(&["add", &d, "members", "--from", f, "--lang", "en"]);
    assert_eq!(e.code, "csv_bad_rows");
    assert!(e.message.contains(&rows.to_string()), "{}", e.message);
    let told = e.details.len() - 1;
    assert!(told > 0 && told < rows, "{told} of {rows}");
    assert!(e.details.iter().map(String::len).sum::<usize>() <= BAD_CELLS_BYTES_MAX + 1_000);
    assert!(e.details[told].contains(&format!("{} more bad cells", rows - told)), "{}", e.details[told]);
    untouched(&mut open(&d), "bad cells");
}
