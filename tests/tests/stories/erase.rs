//! Erasure: what is erased above is gone everywhere, whoever still has it and whenever it comes.
//!
//! It does not: look at a disk (`e2e`).

use crate::forks::clone_disk;
use crate::{mem, ok, three_levels};
use sampan_core::charter::{Erased, Op, Roles};
use sampan_core::engine::{EditFailure, IntakeError};
use sampan_core::id::{CommitId, Flow, RecordId, SpaceId, UnitId};
use sampan_core::log::{Commit, EntryKind};
use sampan_core::pack::{self, PackScope, Stored};
use sampan_core::schema::Collection;
use sampan_core::store::{CommitKey, Store};
use sampan_core::testing::village::Village;
use sampan_core::testing::{MemStore, SharedStore};
use sampan_core::value::{Edit, Value};
use sampan_core::wire::frame::Group;
use sampan_tests::model::{Model, disagreements};

fn members(v: &Village, at: usize) -> Collection {
    v.replicas[at].engine.schema().unwrap().collection("members").unwrap().clone()
}

fn space(v: &Village, at: usize, unit: UnitId) -> SpaceId {
    members(v, at).space(unit)
}

pub fn erase(v: &mut Village, by: usize, unit: UnitId, record: RecordId) -> CommitId {
    let what = Erased::Record { space: space(v, by, unit), record };
    let now = v.now;
    let r = &mut v.replicas[by];
    r.engine.erase(&mut *r.store, &mut r.rng, unit, (what, "theo yêu cầu"), now).unwrap()
}

/// Everything of the data spaces of a unit that a replica holds, as a stick would carry it.
fn groups(v: &Village, from: usize, unit: UnitId) -> Vec<Group> {
    let r = &v.replicas[from];
    let mut out = Vec::new();
    for (log, row) in r.store.stored_after(CommitKey(0), usize::MAX >> 1).unwrap() {
        if log.space.unit == unit && log.space.flow != Flow::Charter {
            out.extend(r.store.groups(&log.space, &[row.key]).unwrap());
        }
    }
    out
}

fn take(v: &mut Village, at: usize, groups: &[Group]) -> Result<(), IntakeError> {
    let now = v.now;
    let r = &mut v.replicas[at];
    let from = r.engine.device();
    r.engine.intake(&mut *r.store, &mut r.rng, from, groups, &|_, _| true, now).map(|_| ())
}

/// Nothing of a record but holes is held, and the model says the same of everything else.
fn gone(v: &Village, at: usize, record: RecordId) {
    let r = &v.replicas[at];
    assert!(r.store.records(&[record]).unwrap()[0].is_none(), "{}: its state", r.name);
    assert!(r.store.pending().unwrap().iter().all(|p| p.entry.entry.record != record), "{}: its edits", r.name);
    checked(v, at);
}

fn checked(v: &Village, at: usize) {
    let r = &v.replicas[at];
    let found = disagreements(&mut Model::new(v.org), &*r.store, &r.engine).unwrap();
    assert!(found.is_empty(), "{}: {found:#?}", r.name);
}

/// The city (0), a district (1), a branch (2): two records in one commit, held by all.
fn two_records(seed: u64) -> (Village, UnitId, RecordId, RecordId) {
    let (mut v, _, branch) = three_levels(seed);
    let stays = v.create(2, branch, "members", &["full_name=Nguyễn Văn An"]);
    let goes = v.create(2, branch, "members", &["full_name=Trần Thị Bình"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    (v, branch, stays, goes)
}

fn name(v: &Village, at: usize, record: RecordId) -> Option<Value> {
    v.field(at, record, "full_name")
}

#[test]
fn a_branch_that_edits_offline_what_is_erased_above_keeps_nothing_of_it() {
    let (mut v, branch, stays, goes) = two_records(800);
    v.set(2, "members", goes, &["full_name=Trần Thị Bình Minh"]);
    v.set(2, "members", stays, &["full_name=Nguyễn Văn Anh"]);
    v.seal(2);
    v.set(2, "members", goes, &["full_name=Chưa đóng gói"]);
    erase(&mut v, 1, branch, goes);
    gone(&v, 1, goes);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    for at in [0, 1, 2] {
        gone(&v, at, goes);
        assert_eq!(name(&v, at, stays), Some(Value::Str("Nguyễn Văn Anh".into())), "{at}");
    }
    ok(&v.sync(2, 1));
}

#[test]
fn an_erased_record_is_edited_no_more_and_says_so() {
    let (mut v, branch, _, goes) = two_records(801);
    erase(&mut v, 1, branch, goes);
    ok(&v.sync(2, 1));
    let (collection, now) = (members(&v, 2), v.now);
    let edit = [("full_name".to_owned(), Edit::Set(Value::Str("lại".into())))];
    let r = &mut v.replicas[2];
    let refused = r.engine.edit(&mut *r.store, &collection, goes, &edit, now);
    assert!(matches!(refused, Err(EditFailure::Erased(id)) if id == goes), "{refused:?}");
    gone(&v, 2, goes);
}

#[test]
fn a_replica_that_never_held_it_gets_holes_and_believes_only_erased_ones() {
    let (mut v, branch, stays, goes) = two_records(802);
    erase(&mut v, 1, branch, goes);
    let t = v.invite(1, branch, Roles::EDITOR);
    let late = v.join("late", &t, &mut mem);
    ok(&v.sync(late, 1));
    gone(&v, late, goes);
    assert!(name(&v, late, stays).is_some());
    let holes = groups(&v, late, branch);
    let scope = PackScope { org: v.org, space: space(&v, 1, branch) };
    let payloads = pack::decode(&scope, &holes[0].pack, &Stored).unwrap();
    assert!(payloads[0].entries.iter().any(|e| e.entry.kind == EntryKind::Hole && e.payload.is_empty()));

    // One that has the charter without the erasure believes none of it, and stores nothing.
    let (mut other, ..) = two_records(802);
    let t = other.invite(1, branch, Roles::EDITOR);
    let fresh = other.join("fresh", &t, &mut mem);
    let before = other.replicas[fresh].store.last_commit().unwrap();
    assert!(matches!(take(&mut other, fresh, &holes), Err(IntakeError::PeerHole(_))));
    assert_eq!(other.replicas[fresh].store.last_commit().unwrap(), before);
}

#[test]
fn a_hole_that_was_made_by_nobody_with_a_right_is_not_believed() {
    let (mut v, branch, stays, _) = two_records(803);
    let t = v.invite(1, branch, Roles::EDITOR);
    let fresh = v.join("fresh", &t, &mut mem);
    let scope = PackScope { org: v.org, space: space(&v, 1, branch) };
    let forged: Vec<Group> = groups(&v, 2, branch)
        .into_iter()
        .map(|g| {
            let mut payloads = pack::decode(&scope, &g.pack, &Stored).unwrap();
            payloads.iter_mut().for_each(|p| {
                p.punch(|_, e| e.record == stays);
            });
            Group { pack: pack::encode(&scope, &payloads.iter().collect::<Vec<_>>(), &Stored), ..g }
        })
        .collect();
    assert!(matches!(take(&mut v, fresh, &forged), Err(IntakeError::PeerHole(_))));
    // The true commits are still welcome.
    ok(&v.sync(fresh, 1));
    assert!(name(&v, fresh, stays).is_some());
}

#[test]
fn a_late_bundle_brings_nothing_back() {
    let (mut v, branch, stays, goes) = two_records(804);
    let t = v.invite(1, branch, Roles::EDITOR);
    let other = v.join("second", &t, &mut mem);
    let old = groups(&v, 2, branch);
    erase(&mut v, 1, branch, goes);
    // It hears of the erasure first and of the record only then, from a stick that is older.
    let link = v.connect(other, 1, false);
    let end = v.end(link);
    drop(end);
    let chart: Vec<Group> = {
        let r = &v.replicas[1];
        let rows = r.store.stored_after(CommitKey(0), usize::MAX >> 1).unwrap();
        let of = |(log, row): &(sampan_core::id::LogId, sampan_core::store::CommitRow)| {
            (log.space.flow == Flow::Charter).then(|| r.store.groups(&log.space, &[row.key]).unwrap())
        };
        rows.iter().filter_map(of).flatten().collect()
    };
    take(&mut v, other, &chart).unwrap();
    take(&mut v, other, &old).unwrap();
    gone(&v, other, goes);
    assert!(name(&v, other, stays).is_some());
    ok(&v.sync(other, 1));
    // And once more, where it was held and erased.
    take(&mut v, 1, &old).unwrap();
    gone(&v, 1, goes);
}

#[test]
fn a_restored_backup_loses_it_at_its_first_sync_and_a_newer_one_before_its_first_read() {
    let (mut v, _, branch) = three_levels(805);
    let t = v.invite(1, branch, Roles::EDITOR);
    let mut disk: Option<SharedStore> = None;
    let pc = v.join("pc", &t, &mut |org, device, epoch| {
        let shared = SharedStore::new(MemStore::new(org, device, epoch));
        disk = Some(shared.clone());
        Box::new(shared)
    });
    let disk = disk.unwrap();
    let goes = v.create(pc, branch, "members", &["full_name=Trần Thị Bình"]);
    ok(&v.sync(pc, 1));
    let old = disk.lock().clone();
    erase(&mut v, 1, branch, goes);
    ok(&v.sync(pc, 1));
    gone(&v, pc, goes);
    let restored = clone_disk(&v, pc, old.clone());
    v.replicas[pc] = restored;
    assert!(name(&v, pc, goes).is_some(), "it was made before anyone knew");
    ok(&v.sync(pc, 1));
    gone(&v, pc, goes);

    // A backup that has the charter and not yet its consequences: opening it carries them out.
    let mut torn = old;
    for commit in v.replicas[1].store.charter_commits().unwrap() {
        let id = commit.id();
        if torn.known(&[id]).unwrap()[0].is_none() {
            put_raw(&mut torn, &commit);
        }
    }
    assert!(torn.records(&[goes]).unwrap()[0].is_some());
    let restored = clone_disk(&v, pc, torn);
    v.replicas[pc] = restored;
    gone(&v, pc, goes);
}

fn put_raw(store: &mut MemStore, commit: &Commit) {
    use sampan_core::store::{Batch, NewCommit, NewEntry, NewGroup, Status};
    let scope = PackScope { org: commit.header().org, space: commit.header().space };
    let entries = commit.payload().entries.iter();
    let entries =
        entries.map(|e| NewEntry { record: e.entry.record, kind: e.entry.kind, status: Status::Accepted }).collect();
    let mut batch = Batch::at(sampan_core::time::Millis(1));
    let pack = pack::encode(&scope, &[commit.payload()], &Stored);
    batch.groups.push(NewGroup { commits: vec![NewCommit { head: commit.head().clone(), entries }], pack });
    store.write(&batch).unwrap();
}

#[test]
fn an_emptied_relay_is_refilled_with_holes() {
    let (mut v, branch, stays, goes) = two_records(806);
    erase(&mut v, 1, branch, goes);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    let old = &v.replicas[1];
    let empty = MemStore::new(v.org, old.engine.device(), sampan_core::id::StoreEpoch([9; 16]));
    let replaced = clone_disk(&v, 1, empty);
    v.replicas[1] = replaced;
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    gone(&v, 1, goes);
    assert!(name(&v, 1, stays).is_some());
}

#[test]
fn who_is_no_admin_of_the_unit_erases_nothing() {
    let (mut v, branch, _, goes) = two_records(807);
    let t = v.invite(1, branch, Roles::RELAY);
    let carrier = v.join("carrier", &t, &mut mem);
    ok(&v.sync(carrier, 1));
    let (what, now) = (Erased::Record { space: space(&v, 1, branch), record: goes }, v.now);
    let r = &mut v.replicas[carrier];
    assert!(r.engine.erase(&mut *r.store, &mut r.rng, branch, (what, "lừa"), now).is_err());
    // Its own program may be another: the operation stands nowhere.
    let op = Op::Erase { what, reason: "lừa".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, branch, &[op], now).unwrap();
    ok(&v.sync(carrier, 1));
    ok(&v.sync(2, 1));
    for at in [1, 2, carrier] {
        assert!(name(&v, at, goes).is_some(), "{at}");
        assert_eq!(v.replicas[at].engine.charter().void().len(), 1, "{at}");
        checked(&v, at);
    }
    // Nor does an admin erase in another unit what lies in this one.
    let (district, now) = (v.replicas[1].engine.charter().unit(&branch).unwrap().parent.unwrap(), v.now);
    let r = &mut v.replicas[1];
    let op = Op::Erase { what, reason: "nhầm".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, district, &[op], now).unwrap();
    assert!(name(&v, 1, goes).is_some());
    checked(&v, 1);
}

#[test]
fn every_device_that_may_hold_it_is_listed_until_it_has_said_that_it_is_gone() {
    let (mut v, branch, _, goes) = two_records(808);
    erase(&mut v, 1, branch, goes);
    let device = |v: &Village, at: usize| v.replicas[at].engine.device();
    let all = [device(&v, 0), device(&v, 1), device(&v, 2)];
    let rows = |v: &Village, at: usize| v.replicas[at].engine.erasures(&*v.replicas[at].store).unwrap().remove(0);
    assert_eq!(rows(&v, 1).waiting, all.into());
    let confirm = |v: &mut Village, at: usize| {
        let now = v.now;
        let r = &mut v.replicas[at];
        assert!(r.engine.is_unclean(&*r.store).unwrap());
        r.engine.confirm_erased(&mut *r.store, now).unwrap();
        assert!(!r.engine.is_unclean(&*r.store).unwrap());
    };
    confirm(&mut v, 1);
    assert_eq!(rows(&v, 1).confirmed.keys().copied().collect::<Vec<_>>(), [all[1]]);
    ok(&v.sync(2, 1));
    confirm(&mut v, 2);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    confirm(&mut v, 0);
    ok(&v.sync(1, 0));
    for at in [0, 1] {
        assert!(rows(&v, at).waiting.is_empty(), "{at}: {:?}", rows(&v, at));
    }
}

#[test]
fn the_name_of_a_holder_is_erased_and_never_taken_again() {
    let (mut v, branch, ..) = two_records(809);
    let holders = |v: &Village, at: usize| {
        let all = v.replicas[at].store.registers(0).unwrap();
        all.iter().filter(|(_, s)| s.trust().unwrap().name.starts_with("holder/")).count()
    };
    let (key, _) = v.replicas[1].engine.charter().all_rights().find(|(_, r)| r.unit == branch).unwrap();
    let right = v.replicas[1].engine.charter().rights(key).next().unwrap().key;
    let before: Vec<usize> = [0, 1, 2].iter().map(|at| holders(&v, *at)).collect();
    assert!(before.iter().all(|n| *n > 0), "{before:?}");
    let now = v.now;
    let r = &mut v.replicas[1];
    let what = Erased::Holder { key: right };
    r.engine.erase(&mut *r.store, &mut r.rng, branch, (what, "theo yêu cầu"), now).unwrap();
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    for (at, before) in before.iter().enumerate() {
        assert_eq!(holders(&v, at), before - 1, "{at}");
        checked(&v, at);
    }
}
