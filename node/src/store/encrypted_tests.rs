//! Tests of the store under a key; only in a build with the feature `encryption`.

use super::tests::{EPOCH, create, filled, open, own_device};
use super::*;
use crate::codec::ZstdCodec;
use sampan_core::testing::test_org;
use std::fs;
use tempfile::TempDir;

const WORD: &[u8] = b"third record of three";

fn key(byte: u8) -> Option<Secret> {
    Some(Secret::from_bytes([byte; 32]))
}

fn under(path: &Path, byte: u8) -> Place<'_> {
    Place::keyed(path, key(byte))
}

/// A filled store under key 7, and the one file it is.
fn encrypted() -> (TempDir, PathBuf, Vec<Commit>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut store = create(under(&path, 7));
    assert!(store.is_encrypted());
    let commits = filled(&mut store);
    store.close().unwrap();
    (dir, path, commits)
}

/// A page of the file as it cannot have been written.
fn spoil(path: &Path, page: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[(page - 1) * 4_096 + 2_000] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn pages_of(store: &SqliteStore, table: &str) -> Vec<usize> {
    let sql = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf'";
    store.all(sql, [table], |r| Ok(r.get::<_, i64>(0)? as usize)).unwrap()
}

#[test]
fn keeps_the_contract_under_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut n = 0;
    let mut make = || -> Box<dyn Store> {
        n += 1;
        Box::new(create(Place::keyed(dir.path().join(format!("{n}.db")), key(3))))
    };
    sampan_core::testing::store_suite(&mut make, &ZstdCodec);
}

#[test]
fn only_its_key_opens_it_and_nothing_is_changed_by_others() {
    let (_dir, path, commits) = encrypted();
    let whole = fs::read(&path).unwrap();
    assert!(!whole.starts_with(b"SQLite format 3"));
    for wrong in [under(&path, 8), Place::from(&path)] {
        let said = open(wrong).unwrap_err();
        assert!(matches!(said, StoreError::Damaged(_)), "{said}");
        assert!(!said.to_string().contains("0808"), "{said}");
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    let store = open(under(&path, 7)).unwrap();
    assert_eq!(store.verify(&test_org()).unwrap().damaged, []);
    assert!(store.known(&[commits[2].id()]).unwrap()[0].is_some());
    assert!(!format!("{store:?}").contains("0707"));
}

#[test]
fn a_copy_is_encrypted_under_the_same_key() {
    let (dir, path, _) = encrypted();
    let store = open(under(&path, 7)).unwrap();
    let to = dir.path().join("copy.db");
    store.copy_to(&to).unwrap();
    assert!(open(&to).is_err() && open(under(&to, 8)).is_err());
    let copy = open(under(&to, 7)).unwrap();
    assert_eq!(copy.verify(&test_org()).unwrap(), store.verify(&test_org()).unwrap());
    let salt = |p: &Path| fs::read(p).unwrap()[..16].to_vec();
    assert_ne!(salt(&path), salt(&to), "no two files share what their pages are sealed with");
}

#[test]
fn a_plain_database_is_opened_as_it_is_and_encrypted_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let (path, to) = (dir.path().join("store.db"), dir.path().join("new.db"));
    let commits = filled(&mut create(&path));
    let mut plain = open(under(&path, 7)).unwrap();
    assert!(!plain.is_encrypted());
    let before = plain.verify(&test_org()).unwrap();
    assert!(fs::read(&path).unwrap().windows(4).any(|w| w == b"meta"), "the control: tables' names lie there");
    plain.encrypt_into(&to, &Secret::from_bytes([7; 32])).unwrap();
    let made = open(under(&to, 7)).unwrap();
    assert!(made.is_encrypted());
    assert_eq!(made.sizes().unwrap(), plain.sizes().unwrap());
    assert_eq!(made.verify(&test_org()).unwrap(), before);
    assert_eq!(made.epoch().unwrap(), EPOCH);
    assert!(made.known(&[commits[2].id()]).unwrap()[0].is_some());
    made.close().unwrap();
    plain.replace_by(&path, &to, None).unwrap();
    assert!(open(under(&path, 7)).unwrap().is_encrypted());
    assert!(!fs::read(&path).unwrap().windows(WORD.len()).any(|w| w == WORD));
}

#[test]
fn one_spoilt_page_is_found_and_the_rest_is_read_all_the_same() {
    let (_dir, path, commits) = encrypted();
    let store = open(under(&path, 7)).unwrap();
    let page = pages_of(&store, "packs")[0];
    drop(store);
    let whole = fs::read(&path).unwrap();
    spoil(&path, page);
    let store = open(under(&path, 7)).unwrap();
    let report = store.verify(&test_org()).unwrap();
    assert!(report.damaged.iter().any(|d| d.table == "packs" || d.table == "commits"), "{report:?}");
    assert!(!report.damaged.iter().any(|d| d.table == "registers" || d.table == "meta"), "{report:?}");
    // What the look left in memory is not taken for what lies there.
    assert!(!store.tips().unwrap().is_empty());
    drop(store);

    // Outside of `verify` such a page is damage as well, and no other fault.
    let mut store = open(under(&path, 7)).unwrap();
    let read = store.groups(&up(), &[CommitKey(1)]);
    assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
    drop(store);

    // A seized one hands out what is whole, goes on to be written, and its first page stays encrypted.
    store = open(under(&path, 7)).unwrap();
    store.seize().unwrap();
    let last = store.last_position().unwrap();
    assert_eq!(last, commits.len() as i64);
    assert!((1..=last).all(|at| matches!(store.piece(&test_org(), at), Some(Piece::Lost))));
    let (facts, _) = store.facts();
    assert!(!facts.is_empty());
    let new = path.with_extension("new");
    fs::write(&new, "new").unwrap();
    let keep = path.with_extension("keep");
    store.replace_by(&path, &new, Some(&keep)).unwrap();
    let kept = fs::read(&keep).unwrap();
    assert_eq!(kept.len(), whole.len());
    assert!(!kept.windows(6).any(|w| w == b"CREATE"), "the tables' names are not plain in it");
    let reopened = SqliteStore::open(under(&keep, 7), Arc::new(ZstdCodec), own_device(), test_org(), 16);
    assert!(matches!(reopened, Err(StoreError::Damaged(_))), "no database of ours any more");
}

#[test]
fn it_is_scrubbed_as_a_plain_one_is() {
    let (_dir, path, _) = encrypted();
    let mut store = open(under(&path, 7)).unwrap();
    assert!(store.scrub().unwrap());
    assert_eq!(store.verify(&test_org()).unwrap().damaged, []);
    drop(store);
    assert!(open(under(&path, 7)).unwrap().is_encrypted() && open(&path).is_err());
}

#[test]
fn whichever_page_is_spoilt_it_is_found_and_the_check_ends() {
    let (_dir, path, _) = encrypted();
    let whole = fs::read(&path).unwrap();
    let tables = tables_for_tests(&open(under(&path, 7)).unwrap());
    for table in tables.iter().filter(|t| !["info", "sqlite_sequence"].contains(&t.as_str())) {
        let page = pages_of(&open(under(&path, 7)).unwrap(), table)[0];
        spoil(&path, page);
        let store = open(under(&path, 7)).unwrap_or_else(|e| panic!("{table}: {e}"));
        let report = store.verify(&test_org()).unwrap_or_else(|e| panic!("{table}: {e}"));
        assert!(!report.damaged.is_empty(), "{table}");
        drop(store);
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(open(under(&path, 7)).unwrap().verify(&test_org()).unwrap().damaged, []);
}

fn up() -> SpaceId {
    sampan_core::testing::up_space(1)
}
