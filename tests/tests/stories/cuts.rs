//! Cuts: what a device writes after it was revoked, by whatever way it comes, and what an operator can do.
//!
//! It does not: try every order (`models`), or draw anything at random (`charters`).

use crate::{city, mem, ok, three_levels};
use sampan_core::charter::{CutKind, Grant, Op, Roles};
use sampan_core::engine::CutRequest;
use sampan_core::id::{CommitId, Flow, RecordId, SpaceId, UnitId};
use sampan_core::store::{CommitKey, Status};
use sampan_core::sync::Event;
use sampan_core::testing::village::{Village, plain_grant};
use sampan_core::wire::frame::RefuseCode;
use sampan_tests::model::{Model, disagreements};

/// Hands everything of a unit's `up` space from one replica to another by hand, as a stick would.
pub(crate) fn carry(v: &mut Village, from: usize, to: usize, unit: UnitId) {
    carry_spaces(v, from, to, |space| space.unit == unit && space.flow == Flow::Up);
}

/// Hands every charter that one replica holds to another by hand.
pub(crate) fn carry_charter(v: &mut Village, from: usize, to: usize) {
    carry_spaces(v, from, to, |space| space.flow == Flow::Charter);
}

fn carry_spaces(v: &mut Village, from: usize, to: usize, which: impl Fn(&SpaceId) -> bool) {
    let r = &v.replicas[from];
    let mut groups = Vec::new();
    for (log, row) in r.store.stored_after(CommitKey(0), usize::MAX >> 1).unwrap() {
        if which(&log.space) {
            groups.extend(r.store.groups(&log.space, &[row.key]).unwrap());
        }
    }
    let (bearer, now) = (r.engine.device(), v.now);
    let r = &mut v.replicas[to];
    r.engine.intake(&mut *r.store, &mut r.rng, bearer, &groups, &|_, _| true, now).unwrap();
}

pub(crate) fn cut(v: &mut Village, by: usize, whom: usize, unit: UnitId, kind: CutKind) {
    let (device, now) = (v.replicas[whom].engine.device(), v.now);
    let r = &mut v.replicas[by];
    let request = CutRequest { device, kind, reason: "máy bị mất".into(), remaining: Roles::NONE };
    r.engine.write_cut(&mut *r.store, &mut r.rng, &[unit].into(), &request, now).unwrap();
}

pub(crate) fn release(v: &mut Village, by: usize, unit: UnitId, commits: Vec<CommitId>) {
    let now = v.now;
    let r = &mut v.replicas[by];
    let op = Op::Release { commits, reason: "chị ấy ghi trước khi mất máy".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, unit, &[op], now).unwrap();
}

pub(crate) fn aside(v: &Village, at: usize) -> Vec<CommitId> {
    v.replicas[at].engine.laid(&*v.replicas[at].store).unwrap().iter().map(|l| l.held.head.id()).collect()
}

fn entries(v: &Village, at: usize, id: RecordId) -> Vec<Status> {
    let r = &v.replicas[at];
    let key = r.store.records(&[id]).unwrap().remove(0).and_then(|s| s.key);
    key.map_or_else(Vec::new, |k| r.store.entries(k).unwrap().iter().map(|e| e.status).collect())
}

/// Every replica is what the plain model says of what it holds.
pub(crate) fn checked(v: &Village) {
    let mut model = Model::new(v.org);
    for r in &v.replicas {
        let found = disagreements(&mut model, &*r.store, &r.engine).unwrap();
        assert!(found.is_empty(), "{}: {found:#?}", r.name);
    }
}

/// A stolen PC (2) and a second one of the same branch (3), which has all that the first wrote so far.
pub(crate) fn stolen(seed: u64) -> (Village, UnitId, UnitId, RecordId) {
    let (mut v, district, branch) = three_levels(seed);
    let t = v.invite(1, branch, Roles::EDITOR);
    let other = v.join("second", &t, &mut mem);
    let before = v.create(2, branch, "members", &["full_name=Nguyễn Văn An"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(other, 1));
    ok(&v.sync(1, 0));
    (v, district, branch, before)
}

/// A record that the district took from the stolen PC and that the city, which then cuts it off, does not know.
pub fn written_after_the_cut(seed: u64) -> (Village, UnitId, RecordId) {
    let (mut v, _, branch, _) = stolen(seed);
    let record = v.create(2, branch, "members", &["full_name=Trần Thị Ba"]);
    ok(&v.sync(2, 1));
    cut(&mut v, 0, 2, branch, CutKind::Lost);
    (v, branch, record)
}

#[test]
fn what_a_stolen_device_writes_later_counts_nowhere_whoever_carries_it() {
    let (mut v, _, branch, before) = stolen(700);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    let forged = v.create(2, branch, "members", &["full_name=Kẻ gian"]);
    v.set(2, "members", before, &["full_name=Bị sửa"]);
    v.seal(2);
    carry(&mut v, 2, 3, branch);
    assert!(v.view(3, forged).is_some(), "the second PC has not heard of the cut");
    checked(&v);
    ok(&v.sync(3, 1));
    ok(&v.sync(1, 0));
    for at in [0, 1, 3] {
        assert!(v.view(at, forged).is_none(), "{at}");
        let name = v.field(at, before, "full_name").unwrap();
        assert_eq!(format!("{name:?}"), "Str(\"Nguyễn Văn An\")", "{at}");
    }
    assert_eq!(aside(&v, 3).len(), 1, "it left what counts and is kept");
    assert_eq!(entries(&v, 3, forged), []);
    // The same again, straight to the district: set aside, and its bearer is none the worse for it.
    carry(&mut v, 2, 1, branch);
    assert_eq!(aside(&v, 1), aside(&v, 3));
    ok(&v.sync(3, 1));
    checked(&v);
}

#[test]
fn a_cut_device_is_refused_at_the_door_and_told_why() {
    let (mut v, _, branch, _) = stolen(701);
    cut(&mut v, 1, 2, branch, CutKind::Revoke);
    let end = v.sync(2, 1);
    let refused = end.lower.iter().find_map(|e| match e {
        Event::Refused { code, text, .. } => Some((*code, text.clone())),
        _ => None,
    });
    assert!(refused.is_some_and(|(code, text)| code == RefuseCode::GrantEnded && text.contains("máy bị mất")));
    // It is final: a later grant to the key opens no door.
    let key = v.replicas[2].engine.device();
    let (mut grant, now) = (None, v.now);
    for (_, r) in v.replicas[1].engine.charter().all_rights() {
        grant = Some(r.clone());
    }
    let right = grant.unwrap();
    let grant = plain_grant(key, Roles::EDITOR, now);
    let op = Op::Grant(Grant { holder: right.holder, ..grant });
    let r = &mut v.replicas[1];
    r.engine.write_charter(&mut *r.store, &mut r.rng, branch, &[op], now).unwrap();
    assert!(v.replicas[1].engine.charter().revoked(&key).is_some());
    checked(&v);
}

#[test]
fn an_operator_releases_what_was_written_before_the_theft_and_what_builds_on_it_comes_with_it() {
    let (mut v, _, branch, _) = stolen(702);
    let unsent = v.create(2, branch, "members", &["full_name=Trần Thị Bình"]);
    v.seal(2);
    carry(&mut v, 2, 3, branch);
    v.set(3, "members", unsent, &["full_name=Trần Thị Bình An"]);
    v.seal(3);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    ok(&v.sync(3, 1));
    ok(&v.sync(1, 0));
    assert_eq!(entries(&v, 3, unsent), [Status::Pending], "the rightful edit waits for what was cut off");
    assert!(v.view(0, unsent).is_none());
    // The cut came to the district before the commit, which travelled no further than its bearer.
    carry(&mut v, 2, 1, branch);
    let laid = v.replicas[1].engine.laid(&*v.replicas[1].store).unwrap();
    assert_eq!((laid.len(), laid[0].blocks.len(), laid[0].rejected), (1, 1, false));
    assert_eq!(laid[0].blocks[0].author, v.replicas[3].engine.device());
    let id = laid[0].held.head.id();
    release(&mut v, 1, branch, vec![id]);
    assert!(aside(&v, 1).is_empty());
    ok(&v.sync(3, 1));
    ok(&v.sync(1, 0));
    for at in [0, 1, 3] {
        let name = v.field(at, unsent, "full_name").unwrap();
        assert_eq!(format!("{name:?}"), "Str(\"Trần Thị Bình An\")", "{at}");
    }
    checked(&v);
}

#[test]
fn what_is_rejected_is_remembered_and_not_deleted() {
    let (mut v, _, branch, _) = stolen(703);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    v.create(2, branch, "members", &["full_name=Kẻ gian"]);
    v.seal(2);
    carry(&mut v, 2, 1, branch);
    let id = aside(&v, 1)[0];
    let now = v.now;
    let r = &mut v.replicas[1];
    let op = Op::Reject { commits: vec![id], reason: "giả".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, branch, &[op], now).unwrap();
    let laid = r.engine.laid(&*r.store).unwrap();
    assert!(laid.len() == 1 && laid[0].rejected);
    release(&mut v, 1, branch, vec![id]);
    assert!(aside(&v, 1).is_empty(), "a rejection can be taken back");
    checked(&v);
}

#[test]
fn a_cut_names_what_comes_later_and_a_link_that_holds_it_brings_it() {
    let (mut v, _, branch, before) = stolen(704);
    // The district holds one more commit than the city when it cuts.
    let late = v.create(2, branch, "members", &["full_name=Lê Văn Cường"]);
    ok(&v.sync(2, 1));
    cut(&mut v, 1, 2, branch, CutKind::Retire);
    ok(&v.sync(1, 0));
    ok(&v.sync(3, 1));
    for at in [0, 1, 3] {
        assert!(v.view(at, late).is_some() && v.view(at, before).is_some() && aside(&v, at).is_empty(), "{at}");
    }
    checked(&v);
}

#[test]
fn a_device_that_hears_of_its_own_cut_keeps_its_edits() {
    let (mut v, _, branch, before) = stolen(705);
    v.create(2, branch, "members", &["full_name=Chưa gửi"]);
    v.seal(2);
    cut(&mut v, 1, 2, branch, CutKind::Revoke);
    // Its charter comes by hand.
    carry_charter(&mut v, 1, 2);
    assert_eq!(aside(&v, 2).len(), 1);
    assert!(v.view(2, before).is_some());
    assert!(v.try_create(2, branch, "members", &["full_name=X"]).is_err());
    checked(&v);
}

#[test]
fn a_city_that_cuts_a_district_ends_what_it_gives_afterwards() {
    let mut v = city(706);
    let root = v.root();
    let district = v.unit(0, root, "Quận Ba Đình", "district");
    let branch = v.unit(0, district, "Chi bộ 1", "branch");
    let t = v.invite(0, district, Roles::ADMIN);
    let d = v.join("district", &t, &mut mem);
    ok(&v.sync(d, 0));
    v.listen(d, district);
    let rightful = v.invite(d, branch, Roles::EDITOR);
    ok(&v.sync(d, 0));
    let device = v.replicas[d].engine.device();
    let now = v.now;
    let r = &mut v.replicas[0];
    let request = CutRequest { device, kind: CutKind::Revoke, reason: "khoá lộ".into(), remaining: Roles::NONE };
    r.engine.write_cut(&mut *r.store, &mut r.rng, &[district].into(), &request, now).unwrap();
    // What it gives now, having heard nothing, gives nothing.
    let wrong = v.invite(d, branch, Roles::EDITOR);
    let honest = v.join("honest", &rightful, &mut mem);
    let end = v.connect(honest, 0, true);
    let mut link = end;
    v.run(&mut link);
    assert!(v.end(link).verified(), "a ticket from before the cut works");
    let thief = v.join("thief", &wrong, &mut mem);
    let mut link = v.connect(thief, 0, true);
    v.run(&mut link);
    assert!(!v.end(link).verified());
    checked(&v);
}
