//! What a store does with holes: the part of the suite for erasures.
//!
//! It does not: look at a disk; the node's own tests and the real binaries do.

use super::store_suite::{batch_of, group_of};
use super::{Writer, fake_entry, test_org, test_time, up_space};
use crate::log::{Commit, EntryKind, Payload};
use crate::pack::{self, Codec, PackScope};
use crate::store::{Batch, Store};

/// Two commits in one pack, the first with two records: one record goes from both, all else stays.
pub(super) fn holes(store: &mut dyn Store, codec: &dyn Codec) {
    let (space, mut w) = (up_space(1), Writer::new(7));
    let creation = |word: &str| fake_entry(&space, EntryKind::Change, None, test_time(5), word.as_bytes());
    let (goes, stays) = (creation("it goes"), creation("it stays"));
    let (gone, kept) = (goes.entry.record, stays.entry.record);
    let first = w.commit(space, &[], vec![goes, stays]);
    let edit = fake_entry(&space, EntryKind::Change, Some(gone), test_time(6), b"an edit of it");
    let second = w.commit(space, &[&first], vec![edit]);
    let mut batch = batch_of(store, &[&first, &second]);
    batch.groups = vec![group_of(&[&first, &second])];
    store.write(&batch).unwrap_or_else(|e| panic!("holes: {e}"));
    let keys: Vec<_> = store.known(&[first.id(), second.id()]).unwrap().into_iter().flatten().map(|(k, _)| k).collect();
    let tips = store.tips().unwrap();

    let mut erasing = Batch::at(test_time(9));
    erasing.holes = vec![(gone, keys[0], 0), (gone, keys[1], 0)];
    erasing.forgotten = vec![gone];
    store.write(&erasing).unwrap_or_else(|e| panic!("holes: {e}"));

    assert_eq!(store.tips().unwrap(), tips, "holes: the chain stays");
    let states = store.records(&[gone, kept]).unwrap();
    assert!(states[0].is_none() && states[1].is_some(), "holes: only one record went");
    let rest = store.entries(states[1].as_ref().and_then(|s| s.key).unwrap()).unwrap();
    assert_eq!(rest.len(), 1, "holes: the other keeps its entry");
    assert_eq!(rest[0].bytes, first.payload().entries[1].payload, "holes: byte for byte");
    let rows = store.stored_after(crate::store::CommitKey(0), 9).unwrap();
    assert_eq!(rows.iter().map(|(_, r)| r.changes).collect::<Vec<_>>(), [1, 0], "holes: no change is left to count");
    let punched = |c: &Commit| -> Payload {
        let mut payload = c.payload().clone();
        payload.punch(|_, e| e.record == gone);
        payload
    };
    let scope = PackScope { org: test_org(), space };
    let read = |store: &dyn Store, some: &[crate::store::CommitKey]| -> Vec<Payload> {
        let groups = store.groups(&space, some).unwrap();
        groups.iter().flat_map(|g| pack::decode(&scope, &g.pack, codec).unwrap()).collect()
    };
    assert_eq!(read(store, &keys), [punched(&first), punched(&second)], "holes: as they travel");
    assert_eq!(read(store, &keys[1..]), [punched(&second)], "holes: alone");
}
