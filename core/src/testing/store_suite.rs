//! The conformance suite: what every store must do, run against each of them.
//!
//! It does not: test durability or damage, which only a store on a disk has.
//!
//! Invariants: every case starts from an empty store of [`super::test_org`] whose own device is that
//! of [`super::test_key`] 1.

use super::{MemStore, SeededRng, Writer, fake_entry, test_key, test_org, test_time, test_unit, up_space};
use crate::frontier::ShortId;
use crate::id::{ActorId, CommitId, DeviceId, Digest, Incarnation, LogId, Nonce, RecordId, SpaceId, StoreEpoch};
use crate::limits;
use crate::log::{BirthOf, Commit, EntryKind, EntryPayload, device_id};
use crate::pack::{self, Codec, PackScope, Stored};
use crate::register::{Register, SignedRegister};
use crate::store::{
    AckRow, Batch, CommitKey, EntryAt, NewCommit, NewEntry, NewGroup, PendingEntry, PendingKey, Quarantined,
    RecordState, Status, Store, meta_names,
};
use crate::value::Kind;
use crate::wire::frame::{AckLeaf, Group};
use std::collections::{BTreeMap, BTreeSet};

/// A fresh in-memory store as the suite expects it.
#[must_use]
pub fn suite_mem_store() -> MemStore {
    MemStore::new(test_org(), device_id(&test_key(1)), StoreEpoch([7; 16]))
}

/// Runs every case on stores that `make` makes; `codec` reads the packs that they hand out.
///
/// # Panics
/// When the store breaks the contract; the message names the case.
pub fn store_suite(make: &mut dyn FnMut() -> Box<dyn Store>, codec: &dyn Codec) {
    batches_are_whole_or_nothing(make().as_mut());
    tips_advance(make().as_mut());
    missing_of_a_straight_log(make().as_mut());
    missing_of_a_forked_log(make().as_mut());
    groups_round_trip(make().as_mut(), codec);
    charter_commits_come_whole(make().as_mut());
    records_and_entries(make().as_mut());
    pending_becomes_sealed(make().as_mut());
    newest_register_wins(make().as_mut());
    acks_replace(make().as_mut());
    quarantine_is_bounded(make().as_mut());
    meta_is_kept(make().as_mut());
    super::erase_suite::holes(make().as_mut(), codec);
    for seed in 0..6 {
        agrees_with_memory(make().as_mut(), seed, codec);
    }
}

/// A group of these commits with accepted entries, and the pack that holds them.
#[must_use]
pub fn group_of(commits: &[&Commit]) -> NewGroup {
    let Some(first) = commits.first() else {
        return NewGroup { commits: Vec::new(), pack: Vec::new() };
    };
    let scope = PackScope { org: test_org(), space: first.header().space };
    let payloads: Vec<_> = commits.iter().map(|c| c.payload()).collect();
    let new = |c: &&Commit| NewCommit {
        head: c.head().clone(),
        entries: c
            .payload()
            .entries
            .iter()
            .map(|e| NewEntry { record: e.entry.record, kind: e.entry.kind, status: Status::Accepted })
            .collect(),
    };
    NewGroup { commits: commits.iter().map(new).collect(), pack: pack::encode(&scope, &payloads, &Stored) }
}

/// A new record's state after one accepted entry.
#[must_use]
pub fn fresh_state(space: SpaceId, entry: &EntryPayload, actor: ActorId) -> RecordState {
    RecordState {
        id: entry.entry.record,
        key: None,
        collection: entry.entry.collection.clone(),
        space,
        heads: vec![entry.entry.change()],
        max_op: 3,
        sequences: BTreeMap::from([(actor, 1)]),
        entries: 1,
        irregular: 0,
        damaged: false,
    }
}

/// A batch of one group per commit, with fresh states for all records that these commits name and
/// `store` does not know.
///
/// # Panics
/// When the store cannot be read.
#[must_use]
pub fn batch_of(store: &dyn Store, commits: &[&Commit]) -> Batch {
    let mut batch = Batch::at(test_time(90));
    let mut named = BTreeSet::new();
    for c in commits {
        batch.groups.push(group_of(&[c]));
        for e in &c.payload().entries {
            let known = store.records(&[e.entry.record]).unwrap()[0].is_some();
            if !matches!(e.entry.kind, EntryKind::Charter | EntryKind::Hole) && !known && named.insert(e.entry.record) {
                batch.records.push(fresh_state(c.header().space, e, c.header().actor()));
            }
        }
    }
    batch
}

fn ids(rows: &[crate::store::CommitRow]) -> Vec<CommitId> {
    rows.iter().map(|r| r.id).collect()
}

fn put(store: &mut dyn Store, commits: &[&Commit]) {
    let batch = batch_of(store, commits);
    store.write(&batch).unwrap();
}

fn batches_are_whole_or_nothing(store: &mut dyn Store) {
    let mut w = Writer::new(2);
    let a = w.one(up_space(1), &[], "a record");
    let b = w.one(up_space(1), &[&a], "another record");
    put(store, &[&a]);
    let before = (store.tips().unwrap(), store.last_commit().unwrap());
    let mut bad = batch_of(store, &[&b, &a]);
    bad.meta.insert("word".into(), Some(vec![1]));
    assert!(store.write(&bad).is_err(), "a commit held twice is refused");
    assert_eq!((store.tips().unwrap(), store.last_commit().unwrap()), before, "nothing changed");
    assert_eq!(store.known(&[b.id(), a.id()]).unwrap(), [None, Some((CommitKey(1), 1))]);
    assert_eq!(store.meta("word").unwrap(), None);
    let record = b.payload().entries[0].entry.record;
    assert_eq!(store.records(&[record]).unwrap(), [None], "no state of a refused batch stays");
    let mut stateless = batch_of(store, &[&b]);
    stateless.records.clear();
    assert!(store.write(&stateless).is_err(), "an entry needs its record's state");
    let mut astray = Batch::at(test_time(1));
    let held = a.payload().entries[0].entry.record;
    astray.restatus.push((held, EntryAt::Sealed(CommitKey(9), 0), Status::Blocked));
    assert!(store.write(&astray).is_err(), "a status of nothing is refused");
    put(store, &[&b]);
    assert_eq!(store.last_commit().unwrap(), CommitKey(2));
}

fn tips_advance(store: &mut dyn Store) {
    let space = up_space(1);
    let mut w = Writer::new(2);
    let a = w.one(space, &[], "a first");
    let b = w.one(space, &[&a], "b second");
    let c = w.one(space, &[&a], "c a twin");
    put(store, &[&a, &b]);
    let tips = |s: &dyn Store, w: &Writer| s.tips().unwrap()[&space].tips(w.device(), w.incarnation);
    assert_eq!(tips(store, &w), BTreeSet::from([b.id()]));
    put(store, &[&c]);
    assert_eq!(tips(store, &w), BTreeSet::from([b.id(), c.id()]), "both sides of a fork stand");
    let old = w.clone();
    w.incarnation = Incarnation([9; 16]);
    let d = w.one(space, &[&b, &c], "d another incarnation");
    put(store, &[&d]);
    assert_eq!(tips(store, &old), BTreeSet::from([b.id(), c.id()]), "another log's tips stay");
    assert_eq!(tips(store, &w), BTreeSet::from([d.id()]));
    let mut old = old;
    let e = old.one(space, &[&b, &c], "e the fork joined");
    put(store, &[&e]);
    assert_eq!(tips(store, &old), BTreeSet::from([e.id()]));
    assert_eq!(store.tips().unwrap()[&space].len(), 2);
    assert!(!store.tips().unwrap().contains_key(&up_space(2)));
}

fn missing_of_a_straight_log(store: &mut dyn Store) {
    let space = up_space(1);
    let mut w = Writer::new(2);
    let mut chain: Vec<Commit> = Vec::new();
    for i in 0..6 {
        let parents: Vec<_> = chain.last().into_iter().collect();
        let c = w.one(space, &parents, &format!("link number {i}"));
        chain.push(c);
    }
    put(store, &chain[..5].iter().collect::<Vec<_>>());
    let log = chain[0].header().log();
    let all: Vec<_> = chain[..5].iter().map(Commit::id).collect();
    let missing = |have: &[CommitId]| ids(&store.missing(&log, &have.iter().copied().collect()).unwrap());
    assert_eq!(missing(&[]), all, "nothing held: everything is missing");
    assert_eq!(missing(&[all[2]]), all[3..]);
    assert_eq!(missing(&[all[4]]), []);
    assert_eq!(missing(&[all[0], all[3]]), all[4..], "the newest held one counts");
    assert_eq!(missing(&[chain[5].id()]), all, "an unknown id tells nothing");
    assert_eq!(missing(&[chain[5].id(), all[1]]), all[2..]);
    let row = &store.missing(&log, &BTreeSet::new()).unwrap()[1];
    assert_eq!((row.key, row.sequence, row.entries), (CommitKey(2), 2, 1));
    assert_eq!(row.time, chain[1].header().time);
    assert!(row.bytes > 0);
    let inventory = store.inventory(&log).unwrap();
    assert_eq!(inventory.len(), 5);
    let some: BTreeSet<_> = inventory.into_iter().skip(1).collect();
    assert_eq!(ids(&store.missing_from(&log, &some).unwrap()), all[..1]);
    let other = LogId { incarnation: Incarnation([1; 16]), ..log };
    assert_eq!(store.missing(&other, &BTreeSet::new()).unwrap(), []);
    assert_eq!(store.inventory(&other).unwrap(), []);
}

fn missing_of_a_forked_log(store: &mut dyn Store) {
    let space = up_space(1);
    let mut w = Writer::new(2);
    let a = w.one(space, &[], "the root");
    let left = w.one(space, &[&a], "the left one");
    let left2 = w.one(space, &[&left], "left and on");
    let right = w.one(space, &[&a], "the right one");
    let joined = w.one(space, &[&left2, &right], "both again");
    put(store, &[&a, &left, &left2, &right, &joined]);
    let log = a.header().log();
    let missing = |have: &[&Commit]| {
        let have = have.iter().map(|c| c.id()).collect();
        ids(&store.missing(&log, &have).unwrap())
    };
    assert_eq!(missing(&[&left2]), [right.id(), joined.id()]);
    assert_eq!(missing(&[&right]), [left.id(), left2.id(), joined.id()]);
    assert_eq!(missing(&[&left, &right]), [left2.id(), joined.id()]);
    assert_eq!(missing(&[&joined]), []);
    let named: BTreeSet<ShortId> = [a.id().into(), right.id().into(), joined.id().into()].into();
    assert_eq!(ids(&store.missing_from(&log, &named).unwrap()), [left.id(), left2.id()]);
}

/// The commits of groups, verified as a receiver would.
fn opened(groups: &[Group], space: SpaceId, codec: &dyn Codec) -> Vec<Commit> {
    let scope = PackScope { org: test_org(), space };
    let mut out = Vec::new();
    for g in groups {
        let payloads = pack::decode(&scope, &g.pack, codec).unwrap();
        assert_eq!(payloads.len(), g.headers.len(), "a pack holds exactly its headers' payloads");
        for (h, p) in g.headers.iter().zip(payloads) {
            out.push(Commit::join(h.verify(&test_org()).unwrap(), p).unwrap());
        }
    }
    out
}

fn groups_round_trip(store: &mut dyn Store, codec: &dyn Codec) {
    let space = up_space(1);
    let mut w = Writer::new(2);
    let mut chain: Vec<Commit> = Vec::new();
    for i in 0..7 {
        let parents: Vec<_> = chain.last().into_iter().collect();
        let word = format!("record number {i} {}", "with some words ".repeat(9));
        let c = w.one(space, &parents, &word);
        chain.push(c);
    }
    let mut batch = batch_of(store, &chain.iter().collect::<Vec<_>>());
    let parts: [&[Commit]; 3] = [&chain[..3], &chain[3..4], &chain[4..]];
    batch.groups = parts.iter().map(|p| group_of(&p.iter().collect::<Vec<_>>())).collect();
    store.write(&batch).unwrap();
    let keys = |of: &[u64]| of.iter().map(|k| CommitKey(*k)).collect::<Vec<_>>();
    let all = store.groups(&space, &keys(&[1, 2, 3, 4, 5, 6, 7])).unwrap();
    let sent: Vec<_> = all.iter().map(|g| &g.pack).collect();
    let stored: Vec<_> = batch.groups.iter().map(|g| &g.pack).collect();
    assert_eq!(sent, stored, "whole packs travel as they were stored");
    assert_eq!(opened(&all, space, codec), chain);
    let tail = store.groups(&space, &keys(&[2, 3, 4, 6, 7])).unwrap();
    let expected: Vec<_> = [1, 2, 3, 5, 6].iter().map(|i| chain[*i].clone()).collect();
    assert_eq!(opened(&tail, space, codec), expected, "a part of a pack is packed anew");
    let swapped = store.groups(&space, &keys(&[2, 1])).unwrap();
    assert_eq!(opened(&swapped, space, codec), [chain[1].clone(), chain[0].clone()]);
    assert_eq!(store.groups(&space, &[]).unwrap(), []);
    assert!(store.groups(&space, &keys(&[8])).is_err(), "no such commit");
    assert!(store.groups(&up_space(2), &keys(&[1])).is_err(), "another space");
}

fn charter_commits_come_whole(store: &mut dyn Store) {
    let (one, two) = (SpaceId::charter(test_unit(1)), SpaceId::charter(test_unit(2)));
    let mut w = Writer::new(2);
    let a = w.one(one, &[], "create a unit");
    let b = w.one(up_space(1), &[], "a data commit");
    let c = w.one(two, &[], "grant something");
    let d = w.one(one, &[&a], "and more");
    put(store, &[&a, &b, &c, &d]);
    assert_eq!(store.charter_commits().unwrap(), [a, c, d], "in order of storage, without data");
    assert!(store.irregular(&[test_unit(2)].into()).unwrap().is_empty());
}

fn records_and_entries(store: &mut dyn Store) {
    let space = up_space(1);
    let mut w = Writer::new(2);
    let a = w.one(space, &[], "a creation");
    let first = &a.payload().entries[0];
    let record = first.entry.record;
    let edit = fake_entry(&space, EntryKind::Change, Some(record), test_time(5), b"an edit of it");
    let mut birth = fake_entry(&space, EntryKind::Birth, Some(record), test_time(0), b"a birth");
    birth.entry.birth = Some(BirthOf { field: "notes".into(), kind: Kind::Text });
    let b = w.commit(space, &[&a], vec![edit.clone(), birth.clone()]);
    put(store, &[&a]);
    let mut state = store.records(&[record]).unwrap()[0].clone().unwrap();
    assert_eq!(state, RecordState { key: state.key, ..fresh_state(space, first, w.actor()) });
    let key = state.key.unwrap();
    state.heads = vec![edit.entry.change(), birth.entry.change()];
    state.sequences.insert(ActorId([1; 16]), u64::from(u32::MAX) + 7);
    (state.entries, state.irregular, state.max_op, state.damaged) = (3, 1, 1 << 40, true);
    // What came before the creation could only guess these.
    (state.collection, state.space) = ("meetings".into(), up_space(2));
    let mut batch = batch_of(store, &[&b]);
    batch.now = test_time(200);
    batch.records = vec![state.clone()];
    batch.groups[0].commits[0].entries[0].status = Status::Pending;
    store.write(&batch).unwrap();
    assert_eq!(store.records(&[RecordId([0; 16]), record]).unwrap(), [None, Some(state)]);
    let entries = store.entries(key).unwrap();
    let at: Vec<_> = entries.iter().map(|e| (e.at, e.kind, e.status)).collect();
    let expected = [
        (EntryAt::Sealed(CommitKey(1), 0), EntryKind::Change, Status::Accepted),
        (EntryAt::Sealed(CommitKey(2), 0), EntryKind::Change, Status::Pending),
        (EntryAt::Sealed(CommitKey(2), 1), EntryKind::Birth, Status::Accepted),
    ];
    assert_eq!(at, expected);
    assert_eq!(entries[1].bytes, edit.payload);
    assert_eq!((entries[1].hash, entries[1].time), (edit.entry.change(), test_time(5)));
    assert_eq!((entries[1].actor, entries[1].author), (w.actor(), w.device()));
    assert_eq!((entries[0].first_seen, entries[1].first_seen), (test_time(90), test_time(200)));
    assert_eq!(entries[2].birth, birth.entry.birth);
    assert_eq!((entries[0].space, entries[0].collection.as_str()), (space, "members"));
    let stored = store.stored_after(CommitKey(1), 5).unwrap();
    assert_eq!((stored.len(), stored[0].0), (1, b.header().log()));
    assert_eq!((stored[0].1.id, stored[0].1.entries, stored[0].1.changes), (b.id(), 2, 1), "a birth is no change");
    assert_eq!(store.stored_after(CommitKey(0), 1).unwrap()[0].1.id, a.id());
    let of_unit = |s: &dyn Store, n| s.irregular(&[test_unit(n)].into()).unwrap();
    let counts = BTreeMap::from([(Status::Accepted, 2), (Status::Pending, 1)]);
    assert_eq!(of_unit(store, 1), counts);
    assert_eq!(of_unit(store, 2), BTreeMap::new());
    let mut again = Batch::at(test_time(300));
    again.restatus.push((record, expected[1].0, Status::Blocked));
    store.write(&again).unwrap();
    assert_eq!(store.entries(key).unwrap()[1].status, Status::Blocked);
    let counts = BTreeMap::from([(Status::Accepted, 2), (Status::Blocked, 1)]);
    assert_eq!(of_unit(store, 1), counts);
}

fn pending_becomes_sealed(store: &mut dyn Store) {
    let space = up_space(1);
    let mut w = Writer::new(1);
    let first = fake_entry(&space, EntryKind::Change, None, test_time(1), b"typed here");
    let record = first.entry.record;
    let mut birth = fake_entry(&space, EntryKind::Birth, Some(record), test_time(2), b"a list");
    birth.entry.birth = Some(BirthOf { field: "tags".into(), kind: Kind::Set });
    let nonce = w.nonce;
    let made = |entry: &EntryPayload| PendingEntry { key: PendingKey(0), space, nonce, entry: entry.clone() };
    let mut batch = Batch::at(test_time(11));
    batch.records.push(fresh_state(space, &first, w.actor()));
    batch.pending = vec![(made(&first), Status::Accepted), (made(&birth), Status::Pending)];
    store.write(&batch).unwrap();
    let held = store.pending().unwrap();
    let expected =
        [PendingEntry { key: PendingKey(1), ..made(&first) }, PendingEntry { key: PendingKey(2), ..made(&birth) }];
    assert_eq!(held, expected);
    pending_in_parts(store);
    let key = store.records(&[record]).unwrap()[0].as_ref().unwrap().key.unwrap();
    let entries = store.entries(key).unwrap();
    let at: Vec<_> = entries.iter().map(|e| e.at).collect();
    assert_eq!(at, [EntryAt::Pending(PendingKey(1)), EntryAt::Pending(PendingKey(2))]);
    assert_eq!((entries[0].actor, entries[0].author), (w.actor(), w.device()));
    assert_eq!(entries[0].first_seen, test_time(11));
    let mut restatus = Batch::at(test_time(12));
    restatus.restatus.push((record, at[1], Status::Accepted));
    store.write(&restatus).unwrap();
    assert_eq!(store.entries(key).unwrap()[1].status, Status::Accepted);
    let c = w.commit(space, &[], vec![first.clone()]);
    let mut seal = Batch::at(test_time(13));
    seal.groups.push(group_of(&[&c]));
    seal.sealed.push(PendingKey(1));
    store.write(&seal).unwrap();
    assert_eq!(store.pending().unwrap(), expected[1..]);
    let at: Vec<_> = store.entries(key).unwrap().iter().map(|e| e.at).collect();
    let moved = [EntryAt::Sealed(CommitKey(1), 0), EntryAt::Pending(PendingKey(2))];
    assert_eq!(at, moved, "unsealed ones come last");
    let counts = store.irregular(&[test_unit(1)].into()).unwrap();
    assert_eq!(counts, BTreeMap::from([(Status::Accepted, 2)]), "an edit counts once");
    let mut rest = Batch::at(test_time(14));
    rest.sealed.push(PendingKey(2));
    store.write(&rest).unwrap();
    let mut more = Batch::at(test_time(15));
    more.pending.push((made(&birth), Status::Accepted));
    store.write(&more).unwrap();
    assert_eq!(store.pending().unwrap()[0].key, PendingKey(3), "a position is never used again");
}

fn register(n: u64, counter: u64, payload: &[u8]) -> SignedRegister {
    let key = test_key(n);
    let register = Register {
        org: test_org(),
        unit: test_unit(1),
        name: "heartbeat".into(),
        device: device_id(&key),
        counter,
        time: test_time(counter),
        payload: payload.to_vec(),
    };
    SignedRegister::seal(&key, &register)
}

fn newest_register_wins(store: &mut dyn Store) {
    let put = |s: &mut dyn Store, r: &SignedRegister| {
        let mut batch = Batch::at(test_time(1));
        batch.registers.push(r.clone());
        s.write(&batch).unwrap();
    };
    let (a1, a2, b1) = (register(1, 1, b"one"), register(1, 2, b"two"), register(2, 1, b"other"));
    put(store, &a1);
    put(store, &b1);
    assert_eq!(store.registers(0).unwrap(), [(1, a1.clone()), (2, b1.clone())]);
    put(store, &a2);
    let newest = [(2, b1.clone()), (3, a2.clone())];
    assert_eq!(store.registers(0).unwrap(), newest);
    put(store, &a1);
    put(store, &a2);
    assert_eq!(store.registers(0).unwrap(), newest, "older and equal ones are ignored");
    assert_eq!(store.registers(2).unwrap(), newest[1..]);
    assert_eq!(store.registers(3).unwrap(), []);
    let (x, y) = (register(1, 3, b"x"), register(1, 3, b"y"));
    let (low, high) = if x.signature < y.signature { (x, y) } else { (y, x) };
    put(store, &low);
    put(store, &high);
    put(store, &low);
    assert_eq!(store.registers(2).unwrap(), [(5, high)], "the greater signature stands");
}

fn acks_replace(store: &mut dyn Store) {
    let leaf = |unit: u8, d: u8| AckLeaf { unit: test_unit(unit), digest: Digest([d; 32]) };
    let row = |unit: u8, relay: u8, counter: u64| AckRow {
        leaf: leaf(unit, counter as u8),
        relay_unit: test_unit(relay),
        relay: DeviceId([relay; 32]),
        level: relay,
        epoch: StoreEpoch([relay; 16]),
        counter,
        at: test_time(counter),
        register: register(u64::from(relay), counter, b"ack"),
        proof: (unit.into(), vec![Digest([1; 32]), Digest([2; 32])]),
        through: CommitKey(counter),
        complete: counter.is_multiple_of(2),
    };
    let mut batch = Batch::at(test_time(1));
    batch.acks = vec![row(1, 8, 1), row(2, 8, 1), row(1, 9, 4)];
    store.write(&batch).unwrap();
    let mut proof = row(1, 8, 2);
    proof.proof = (3, Vec::new());
    let mut batch = Batch::at(test_time(2));
    batch.acks = vec![proof.clone()];
    store.write(&batch).unwrap();
    assert_eq!(store.acks(Some(test_unit(1))).unwrap(), [proof.clone(), row(1, 9, 4)]);
    assert_eq!(store.acks(None).unwrap(), [proof, row(1, 9, 4), row(2, 8, 1)]);
    assert_eq!(store.acks(Some(test_unit(7))).unwrap(), []);
}

fn quarantine_is_bounded(store: &mut dyn Store) {
    let mut w = Writer::new(3);
    let mut aside = |peer: u8, n: usize, pack: usize| Quarantined {
        head: w.one(up_space(1), &[], &format!("without a right {n}")).head().clone(),
        pack: vec![1; pack],
        peer: DeviceId([peer; 32]),
        reason: "no grant".into(),
        at: test_time(n as u64),
    };
    let put = |s: &mut dyn Store, q: &[Quarantined]| {
        let mut batch = Batch::at(test_time(1));
        batch.quarantine = q.to_vec();
        s.write(&batch).unwrap();
    };
    let refused = |s: &dyn Store| s.meta(meta_names::QUARANTINE_REFUSED).unwrap().map(|b| meta_names::count(&b));
    let first = aside(1, 0, 100);
    put(store, std::slice::from_ref(&first));
    put(store, std::slice::from_ref(&first));
    assert_eq!(store.quarantine().unwrap(), std::slice::from_ref(&first), "doubles fold");
    assert_eq!(store.known(&[first.head.id()]).unwrap(), [None], "it is not held");
    assert!(store.tips().unwrap().is_empty());
    assert_eq!(refused(store), None);
    let large = aside(1, 1, limits::QUARANTINE_BYTES_MAX - 50);
    put(store, &[large]);
    assert_eq!(store.quarantine().unwrap().len(), 1, "over the bytes of its peer");
    assert_eq!(refused(store), Some(1));
    let other = aside(2, 2, 10);
    put(store, std::slice::from_ref(&other));
    let many: Vec<_> = (0..limits::QUARANTINE_COMMITS_MAX + 1).map(|i| aside(1, 10 + i, 8)).collect();
    put(store, &many);
    assert_eq!(store.quarantine().unwrap().len(), limits::QUARANTINE_COMMITS_MAX + 1);
    assert_eq!(refused(store), Some(3), "one by bytes, two by number");
    let mut batch = Batch::at(test_time(1));
    batch.released = vec![first.head.id()];
    store.write(&batch).unwrap();
    assert_eq!(store.quarantine().unwrap()[0], other);
}

fn meta_is_kept(store: &mut dyn Store) {
    assert_eq!(store.epoch().unwrap(), StoreEpoch([7; 16]));
    let mut batch = Batch::at(test_time(1));
    batch.meta.insert("nonce".into(), Some(vec![1, 2]));
    batch.meta.insert("empty".into(), Some(Vec::new()));
    store.write(&batch).unwrap();
    assert_eq!(store.meta("nonce").unwrap(), Some(vec![1, 2]));
    assert_eq!(store.meta("empty").unwrap(), Some(Vec::new()));
    let mut batch = Batch::at(test_time(1));
    batch.meta.insert("nonce".into(), None);
    batch.meta.insert("empty".into(), Some(vec![3]));
    store.write(&batch).unwrap();
    assert_eq!(store.meta("nonce").unwrap(), None);
    assert_eq!(store.meta("empty").unwrap(), Some(vec![3]));
    store.write(&Batch::at(test_time(9))).unwrap();
}

/// A random history of several devices, spaces and forks, on the store and in memory.
fn agrees_with_memory(store: &mut dyn Store, seed: u64, codec: &dyn Codec) {
    let mut rng = SeededRng::new(seed);
    let mut model = suite_mem_store();
    let mut writers: Vec<_> = (1..4).map(Writer::new).collect();
    let mut made: Vec<Commit> = Vec::new();
    for step in 0..40u64 {
        let mut fresh: Vec<Commit> = Vec::new();
        let space = up_space(1 + rng.below(2) as u8);
        let which = rng.below(3) as usize;
        for n in 0..=rng.below(4) {
            let w = &mut writers[which];
            let log = LogId { space, device: w.device(), incarnation: w.incarnation };
            let of_log: Vec<&Commit> = made.iter().chain(&fresh).filter(|c| c.header().log() == log).collect();
            let parent = if rng.one_in(6) && !of_log.is_empty() {
                of_log.get(rng.below(of_log.len() as u64) as usize)
            } else {
                of_log.last()
            };
            let parents: Vec<&Commit> = parent.into_iter().copied().collect();
            let mut entries = vec![fake_entry(
                &space,
                EntryKind::Change,
                None,
                test_time(step),
                &rng.next_u64().to_le_bytes().repeat(3),
            )];
            if let Some(p) = parents.first() {
                let record = Some(p.payload().entries[0].entry.record);
                entries.push(fake_entry(
                    &space,
                    EntryKind::Change,
                    record,
                    test_time(n),
                    &rng.next_u64().to_le_bytes(),
                ));
            }
            let c = w.commit(space, &parents, entries);
            fresh.push(c);
        }
        let refs: Vec<&Commit> = fresh.iter().collect();
        let mut batch = batch_of(&model, &refs);
        if rng.one_in(2) {
            batch.groups = vec![group_of(&refs)];
        }
        if let Some(c) = made.last()
            && rng.one_in(3)
        {
            let (key, _) = model.known(&[c.id()]).unwrap()[0].unwrap();
            let record = c.payload().entries[0].entry.record;
            batch.restatus.push((record, EntryAt::Sealed(key, 0), Status::Blocked));
        }
        if rng.one_in(3) {
            let entry = fake_entry(
                &space,
                EntryKind::Change,
                Some(fresh[0].payload().entries[0].entry.record),
                test_time(step),
                &step.to_le_bytes(),
            );
            let p = PendingEntry { key: PendingKey(0), space, nonce: Nonce([4; 16]), entry };
            batch.pending.push((p, Status::Accepted));
            batch.sealed = model.pending().unwrap().iter().map(|p| p.key).collect();
        }
        model.write(&batch).unwrap();
        store.write(&batch).unwrap();
        made.extend(fresh);
    }
    same(store, &model, &made, &mut rng, codec);
    for _ in 0..4 {
        let batch = withdrawal(&model, &made, &mut rng);
        model.write(&batch).unwrap();
        store.write(&batch).unwrap();
        same(store, &model, &made, &mut rng, codec);
    }
    let gone = model.quarantine().unwrap();
    assert_eq!(store.quarantine().unwrap(), gone);
    // One of them comes back, under a new position.
    let back = made.iter().find(|c| gone.iter().any(|q| q.head.id() == c.id())).unwrap();
    let mut batch = batch_of(&model, &[back]);
    batch.released = vec![back.id()];
    model.write(&batch).unwrap();
    store.write(&batch).unwrap();
    assert_eq!(store.known(&[back.id()]).unwrap()[0].unwrap().0, store.last_commit().unwrap());
    same(store, &model, &made, &mut rng, codec);
}

/// A batch that withdraws some commits that nothing continues, never the newest.
fn withdrawal(model: &MemStore, made: &[Commit], rng: &mut SeededRng) -> Batch {
    let held: Vec<&Commit> = made.iter().filter(|c| model.known(&[c.id()]).unwrap()[0].is_some()).collect();
    let last = made.last().map(Commit::id);
    let ends = held
        .iter()
        .filter(|c| Some(c.id()) != last && !held.iter().any(|other| other.header().parents.contains(&c.id())));
    let mut batch = Batch::at(test_time(99));
    for c in ends {
        if batch.withdrawn.is_empty() || rng.one_in(2) {
            let (head, pack) = (c.head().clone(), vec![1; limits::QUARANTINE_BYTES_MAX / 64]);
            let (peer, reason, at) = (DeviceId([9; 32]), "cut".into(), test_time(99));
            batch.withdrawn.push(c.id());
            batch.quarantine.push(Quarantined { head, pack, peer, reason, at });
        }
    }
    batch
}

/// Unsealed edits are the same in parts, space by space, as they are in one; and their sums count them.
fn pending_in_parts(store: &dyn Store) {
    let all = store.pending().unwrap();
    let sums = store.pending_sums().unwrap();
    assert!(sums.is_sorted_by_key(|s| (s.space, s.collection.clone())), "{sums:?}");
    let spaces: BTreeSet<SpaceId> = all.iter().map(|p| p.space).collect();
    assert_eq!(sums.iter().map(|s| s.space).collect::<BTreeSet<_>>(), spaces);
    for s in &sums {
        let of = || all.iter().filter(|p| p.space == s.space && p.entry.entry.collection == s.collection);
        assert_eq!(s.entries, of().count() as u64);
        assert_eq!(s.changes, of().filter(|p| p.entry.entry.kind != EntryKind::Birth).count() as u64);
        assert_eq!(Some(s.oldest), of().map(|p| p.entry.entry.time).min());
    }
    for space in &spaces {
        let (mut after, mut found) = (PendingKey(0), Vec::new());
        loop {
            let part = store.pending_of(space, after, 2).unwrap();
            assert!(part.len() <= 2, "more than was asked for");
            let Some(last) = part.last() else { break };
            after = last.key;
            found.extend(part);
        }
        let of: Vec<_> = all.iter().filter(|p| p.space == *space).cloned().collect();
        assert_eq!(found, of);
    }
}

/// Every read of both stores gives the same.
fn same(store: &dyn Store, model: &MemStore, made: &[Commit], rng: &mut SeededRng, codec: &dyn Codec) {
    assert_eq!(store.tips(), model.tips());
    assert_eq!(store.last_commit(), model.last_commit());
    assert_eq!(store.pending(), model.pending());
    pending_in_parts(store);
    let half = CommitKey(made.len() as u64 / 2);
    assert_eq!(store.stored_after(half, usize::MAX), model.stored_after(half, usize::MAX));
    let all: Vec<_> = made.iter().map(Commit::id).collect();
    assert_eq!(store.known(&all), model.known(&all));
    let units = [test_unit(1), test_unit(2)].into();
    assert_eq!(store.irregular(&units), model.irregular(&units));
    let logs: BTreeSet<_> = made.iter().map(|c| c.header().log()).collect();
    for log in logs {
        assert_eq!(store.lineage(&log.space, &log.device), model.lineage(&log.space, &log.device));
        assert_eq!(store.inventory(&log), model.inventory(&log));
        for count in 0..4 {
            let have: BTreeSet<_> = (0..count).map(|_| all[rng.below(all.len() as u64) as usize]).collect();
            let missing = store.missing(&log, &have).unwrap();
            assert_eq!(missing, model.missing(&log, &have).unwrap(), "have {have:?}");
            let keys: Vec<_> = missing.iter().map(|r| r.key).collect();
            let groups = store.groups(&log.space, &keys).unwrap();
            let found: Vec<_> = opened(&groups, log.space, codec).iter().map(Commit::id).collect();
            assert_eq!(found, ids(&missing));
            let short = have.iter().map(|id| ShortId::from(*id)).collect();
            assert_eq!(store.missing_from(&log, &short), model.missing_from(&log, &short));
        }
    }
    for record in made.iter().flat_map(|c| &c.payload().entries).map(|e| e.entry.record) {
        let state = store.records(&[record]).unwrap();
        assert_eq!(state, model.records(&[record]).unwrap());
        let key = state[0].as_ref().unwrap().key.unwrap();
        assert_eq!(store.entries(key), model.entries(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_in_memory_keeps_the_contract() {
        store_suite(&mut || Box::new(suite_mem_store()), &Stored);
    }

    #[test]
    fn a_clone_is_another_disk() {
        let mut one = suite_mem_store();
        let copy = one.clone();
        let a = Writer::new(2).one(up_space(1), &[], "after the copy");
        put(&mut one, &[&a]);
        assert_eq!(copy.last_commit(), Ok(CommitKey(0)));
    }
}
