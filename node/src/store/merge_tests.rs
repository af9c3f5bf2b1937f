//! Tests of merging: what a store says is the same before and after, whoever else writes meanwhile.

use super::merge::MergeLimits;
use super::tests::{fresh, open};
use super::*;
use crate::codec::ZstdCodec;
use sampan_core::log::{Entry, EntryKind, Payload};
use sampan_core::pack::{self, PackScope};
use sampan_core::record::{create, ids::record_id};
use sampan_core::store::EntryAt;
use sampan_core::testing::members::members;
use sampan_core::testing::store_suite::batch_of;
use sampan_core::testing::{Writer, test_org, test_time, up_space};
use sampan_core::value::{Kind, Value};

/// So many creations of members, each in a commit and a pack of its own, by two devices in turn; returns them by device.
fn singles(store: &mut SqliteStore, n: usize) -> [Vec<Commit>; 2] {
    let mut writers = [Writer::new(2), Writer::new(3)];
    let mut out: [Vec<Commit>; 2] = [Vec::new(), Vec::new()];
    for (i, fields) in members(5, n).into_iter().enumerate() {
        let (w, made) = (&mut writers[i % 2], &mut out[i % 2]);
        let (space, time) = (up_space(1 + (i % 2) as u8), test_time(60 + i as u64));
        let typed = fields.into_iter().filter(|(_, v)| matches!(v, Value::Str(_)));
        let typed = typed.map(|(k, v)| (k, (Kind::String, v))).collect();
        let salt = std::array::from_fn(|b| (i >> (8 * (b % 2))) as u8);
        let change = create(&w.actor(), time, salt, &typed).unwrap();
        let record = record_id(&space, &change.hash);
        let collection = "members".to_owned();
        let kind = EntryKind::Change;
        let entry = Entry { kind, record, collection, payload_hash: change.hash.0, time, birth: None };
        let parents: Vec<&Commit> = made.last().into_iter().collect();
        let commit = w.commit(space, &parents, vec![EntryPayload { entry, payload: change.bytes }]);
        let batch = batch_of(store, &[&commit]);
        store.write(&batch).unwrap();
        made.push(commit);
    }
    out
}

fn all_steps(store: &mut SqliteStore, limits: MergeLimits) -> u64 {
    let mut merged = 0;
    for _ in 0..1_000 {
        let step = store.merge_step_within(limits).unwrap();
        merged += step.merged;
        if !step.more {
            return merged;
        }
    }
    panic!("merging never ends");
}

fn packs(store: &SqliteStore) -> u64 {
    store.one("SELECT count(*) FROM packs", [], |r| rows::number(r, 0)).unwrap().unwrap()
}

fn sound(store: &SqliteStore) {
    assert_eq!(store.verify(&test_org()).unwrap().damaged, vec![]);
}

fn keys_of(store: &SqliteStore, commits: &[Commit]) -> Vec<CommitKey> {
    let ids: Vec<CommitId> = commits.iter().map(Commit::id).collect();
    store.known(&ids).unwrap().into_iter().map(|k| k.unwrap().0).collect()
}

/// The payloads of what is sent for these commits, pack by pack.
fn sent(store: &SqliteStore, space: SpaceId, keys: &[CommitKey]) -> Vec<Vec<Payload>> {
    let scope = PackScope { org: test_org(), space };
    let groups = store.groups(&space, keys).unwrap();
    groups.iter().map(|g| pack::decode(&scope, &g.pack, &ZstdCodec).unwrap()).collect()
}

#[test]
fn everything_is_the_same_but_the_packs() {
    let (_dir, path, mut store) = fresh();
    let made = singles(&mut store, 600);
    let (tips, before) = (store.tips().unwrap(), packs(&store));
    assert!(store.merge_due().unwrap());
    let merged = all_steps(&mut store, MergeLimits::default());
    assert!(merged >= 560 && packs(&store) < before / 10, "{merged} of {before}, {} left", packs(&store));
    assert!(!store.merge_due().unwrap());
    sound(&store);
    let store = open(&path).unwrap();
    assert_eq!(store.tips().unwrap(), tips);
    for (commits, space) in made.iter().zip([up_space(1), up_space(2)]) {
        let keys = keys_of(&store, commits);
        for (key, commit) in keys.iter().zip(commits) {
            assert_eq!(&store.commit(*key).unwrap(), commit);
            let e = &commit.payload().entries[0];
            let state = store.records(&[e.entry.record]).unwrap()[0].clone().unwrap();
            let held = store.entries(state.key.unwrap()).unwrap();
            assert_eq!((held.len(), held[0].at, &held[0].bytes), (1, EntryAt::Sealed(*key, 0), &e.payload));
        }
        let wanted = |from: usize, to: usize| -> Vec<Payload> {
            commits[from..to].iter().map(|c| c.payload().clone()).collect()
        };
        // All, the end that a peer lacks, one in the middle.
        for (from, to) in [(0, 300), (211, 300), (150, 151)] {
            let got = sent(&store, space, &keys[from..to]);
            assert!(got.iter().all(|p| p.len() <= 256));
            assert_eq!(got.concat(), wanted(from, to), "{from} to {to}");
        }
    }
}

#[test]
fn a_pack_is_packed_anew_a_few_times_at_most() {
    let (_dir, _path, mut store) = fresh();
    let mut packed = 0;
    let mut made = 0;
    // As they come to a store that is open: the mark is where the last step ended.
    let mut w = Writer::new(4);
    let mut last: Option<Commit> = None;
    for n in 0..1_024 {
        let parents: Vec<&Commit> = last.iter().collect();
        let commit = w.one(up_space(1), &parents, &format!("record {n}"));
        let batch = batch_of(&store, &[&commit]);
        store.write(&batch).unwrap();
        last = Some(commit);
        let before: u64 =
            store.one("SELECT coalesce(max(id), 0) FROM packs", [], |r| rows::number(r, 0)).unwrap().unwrap();
        let step = store.merge_step().unwrap();
        assert!(!step.more);
        made += step.made;
        let sql = "SELECT coalesce(sum(commits), 0) FROM packs WHERE id > ?1";
        packed += store.one(sql, [before as i64], |r| rows::number(r, 0)).unwrap().unwrap();
    }
    assert!(made > 0 && packed <= 1_024 * 8, "{packed} changes were packed anew for 1,024");
    let left = packs(&store);
    assert!(left <= 40, "{left} packs are left");
    sound(&store);
}

#[test]
fn a_merged_pack_that_loses_a_record_leaves_the_others_in_columns() {
    let (_dir, _path, mut store) = fresh();
    let [made, _] = singles(&mut store, 200);
    all_steps(&mut store, MergeLimits::default());
    let keys = keys_of(&store, &made);
    let gone = made[40].payload().entries[0].entry.record;
    let before = packs(&store);
    let mut batch = Batch::at(test_time(9_000));
    batch.holes = vec![(gone, keys[40], 0)];
    batch.forgotten = vec![gone];
    store.write(&batch).unwrap();
    assert_eq!(packs(&store), before + 2, "what lies before, the hole, what lies behind");
    let report = store.verify(&test_org()).unwrap();
    assert_eq!((report.damaged, report.holes.len()), (vec![], 1));
    let got = sent(&store, up_space(1), &keys).concat();
    for (n, (payload, commit)) in got.iter().zip(&made).enumerate() {
        if n == 40 {
            assert_eq!(payload.entries[0].entry.kind, EntryKind::Hole);
        } else {
            assert_eq!(payload, commit.payload());
        }
    }
    let whole =
        store.all("SELECT bytes FROM packs ORDER BY length(bytes) DESC LIMIT 3", [], |r| Ok(r.get::<_, Vec<u8>>(0)?));
    assert!(whole.unwrap().iter().all(|p| pack::is_columnar(p)));
    // And what is left of it merges no more.
    assert_eq!(all_steps(&mut store, MergeLimits::default()), 0);
}

#[test]
fn commits_leave_a_merged_pack_and_no_position_comes_back() {
    let (_dir, _path, mut store) = fresh();
    let [made, other] = singles(&mut store, 64);
    all_steps(&mut store, MergeLimits::default());
    let newest: i64 = store.one("SELECT max(id) FROM packs", [], |r| Ok(r.get(0)?)).unwrap().unwrap();
    let all: Vec<CommitId> = made.iter().rev().map(Commit::id).collect();
    store.group(|s| Ok::<_, StoreError>(s.withdraw(&all[..10])?)).unwrap();
    sound(&store);
    store.group(|s| Ok::<_, StoreError>(s.withdraw(&all[10..])?)).unwrap();
    sound(&store);
    // All of the other log but the newest commit of all, so that the merged packs are gone.
    let rest: Vec<CommitId> = other[..31].iter().rev().map(Commit::id).collect();
    let kept = other[31].clone();
    store.group(|s| Ok::<_, StoreError>(s.withdraw(&rest)?)).unwrap();
    let mut w = Writer::new(9);
    let more = w.one(up_space(4), &[], "later");
    let batch = batch_of(&store, &[&more]);
    store.write(&batch).unwrap();
    let next: i64 = store.one("SELECT max(id) FROM packs", [], |r| Ok(r.get(0)?)).unwrap().unwrap();
    assert!(next > newest, "{next} after {newest}");
    assert_eq!(store.commit(keys_of(&store, std::slice::from_ref(&kept))[0]).unwrap(), kept);
}

#[test]
fn what_changed_since_it_was_read_is_left_alone() {
    let (_dir, path, mut store) = fresh();
    let [made, _] = singles(&mut store, 100);
    let plan = store.snapshot(|s| Ok::<_, StoreError>(s.merge_plan(MergeLimits::default())?)).unwrap().unwrap();
    assert_eq!(plan.merges.len(), 2);
    // Another process erases a record of one of them, and merges the rest of the other log.
    let mut other = open(&path).unwrap();
    let keys = keys_of(&other, &made);
    let gone = made[7].payload().entries[0].entry.record;
    let mut batch = Batch::at(test_time(9_000));
    batch.holes = vec![(gone, keys[7], 0)];
    batch.forgotten = vec![gone];
    other.write(&batch).unwrap();
    assert!(other.merge_step().unwrap().merged > 0);
    let done = store.group(|s| Ok::<_, StoreError>([s.merge(&plan.merges[0])?, s.merge(&plan.merges[1])?])).unwrap();
    assert_eq!(done, [false, false]);
    sound(&store);
    // What the first had read before is the same.
    assert_eq!(store.commit(keys[50 - 1]).unwrap(), made[49]);
    assert_eq!(other.commit(keys[8]).unwrap(), made[8]);
}

#[test]
fn what_is_damaged_forked_or_too_little_stays_as_it_is() {
    let (_dir, _path, mut store) = fresh();
    singles(&mut store, 30);
    // Fifteen of each log: one pack too few.
    assert_eq!(all_steps(&mut store, MergeLimits::default()), 0);
    let (_dir, _path, mut store) = fresh();
    let [made, _] = singles(&mut store, 80);
    let keys = keys_of(&store, &made);
    let sql = "UPDATE packs SET bytes = zeroblob(length(bytes)) WHERE id = (SELECT pack FROM commits WHERE key = ?1)";
    store.conn.execute(sql, [rows::int(keys[5].0)]).unwrap();
    all_steps(&mut store, MergeLimits::default());
    let damaged = store.verify(&test_org()).unwrap().damaged;
    assert_eq!(damaged.iter().filter(|d| d.record.is_some()).count(), 1, "{damaged:?}");
    for (key, commit) in keys.iter().zip(&made).filter(|(key, _)| **key != keys[5]) {
        assert_eq!(&store.commit(*key).unwrap(), commit);
    }
    // Large ones, which a frame might not hold if they counted for less.
    let (_dir, _path, mut store) = fresh();
    let (mut w, mut last) = (Writer::new(6), None::<Commit>);
    for n in 0..40 {
        let parents: Vec<&Commit> = last.iter().collect();
        let commit = w.one(up_space(1), &parents, &format!("page {n} ").repeat(if n < 20 { 400 } else { 1 }));
        store.write(&batch_of(&store, &[&commit])).unwrap();
        last = Some(commit);
    }
    assert_eq!(all_steps(&mut store, MergeLimits::default()), 20);
    sound(&store);
    let (_dir, _path, mut store) = fresh();
    let mut w = Writer::new(5);
    let first = w.one(up_space(1), &[], "the root of both");
    let mut all = vec![first.clone()];
    for n in 0..40 {
        let parent = if n % 2 == 0 { &first } else { all.last().unwrap_or(&first) };
        let next = w.one(up_space(1), &[parent], &format!("twig {n}"));
        all.push(next);
    }
    for c in &all {
        let batch = batch_of(&store, &[c]);
        store.write(&batch).unwrap();
    }
    assert_eq!(all_steps(&mut store, MergeLimits::default()), 0);
    sound(&store);
}
