//! Edits that were made on top of what a cut took out: written anew by their author's replica, or listed.
//!
//! They do not: try every order (`models`), or run programs (`e2e`).

use crate::cuts::{aside, carry, carry_charter, checked, cut, release, stolen};
use crate::{mem, ok};
use sampan_core::charter::{CutKind, Op, Roles};
use sampan_core::engine::{Engine, Fate};
use sampan_core::id::{Flow, RecordId, UnitId};
use sampan_core::pack::Stored;
use sampan_core::store::{RecordEntry, Status};
use sampan_core::testing::village::Village;
use sampan_core::time::Millis;
use sampan_core::value::Value;
use std::sync::Arc;

fn text(v: &Village, at: usize, id: RecordId, field: &str) -> String {
    match v.field(at, id, field) {
        Some(Value::Str(s) | Value::Text(s)) => s,
        other => format!("{other:?}"),
    }
}

fn later(v: &mut Village) {
    v.now = Millis(v.now.0 + 1_000);
}

fn fates(v: &Village, at: usize) -> Vec<Fate> {
    v.replicas[at].engine.own_blocked(&*v.replicas[at].store).unwrap().iter().map(|b| b.fate).collect()
}

fn all(v: &Village, at: usize, id: RecordId) -> Vec<RecordEntry> {
    let r = &v.replicas[at];
    let key = r.store.records(&[id]).unwrap().remove(0).and_then(|s| s.key).unwrap();
    r.store.entries(key).unwrap()
}

fn reject(v: &mut Village, by: usize, unit: UnitId) {
    let (commits, now) = (aside(v, by), v.now);
    let r = &mut v.replicas[by];
    let op = Op::Reject { commits, reason: "giả".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, unit, &[op], now).unwrap();
}

/// A thief (2) wrote `forged` into a card that the second PC (3) got by stick, and wrote `mine` on top of; the
/// district (1) then cut the thief off, and all but the thief heard of it.
fn built_upon(seed: u64, forged: &[&[&str]], mine: &[&[&str]]) -> (Village, UnitId, RecordId) {
    let (mut v, _, branch, card) = stolen(seed);
    for edits in forged {
        later(&mut v);
        v.set(2, "members", card, edits);
    }
    v.seal(2);
    carry(&mut v, 2, 3, branch);
    for edits in mine {
        later(&mut v);
        v.set(3, "members", card, edits);
    }
    later(&mut v);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    meet(&mut v, 3);
    (v, branch, card)
}

fn meet(v: &mut Village, at: usize) {
    for _ in 0..2 {
        ok(&v.sync(at, 1));
        ok(&v.sync(1, 0));
    }
    ok(&v.sync(at, 1));
}

#[test]
fn an_edit_on_top_of_what_was_cut_is_written_anew_with_its_time() {
    let (mut v, branch, card) = built_upon(2_600, &[&["full_name=Kẻ gian", "phone=1"]], &[&["phone=0912"]]);
    for at in [0, 1, 3] {
        assert_eq!(text(&v, at, card, "phone"), "0912", "{at}");
        assert_eq!(text(&v, at, card, "full_name"), "Nguyễn Văn An", "{at}: what was cut stays out");
        assert!(v.view(at, card).unwrap().conflicts.is_empty());
    }
    assert_eq!(fates(&v, 3), [Fate::Anew]);
    let of_mine: Vec<RecordEntry> =
        all(&v, 3, card).into_iter().filter(|e| e.author == v.replicas[3].engine.device()).collect();
    assert_eq!(of_mine.iter().map(|e| e.status).collect::<Vec<_>>(), [Status::Pending, Status::Accepted]);
    assert_eq!(of_mine[0].time, of_mine[1].time, "the author's time is noted");
    // The district, whom the thief's commit reaches later, sees what waits for it and that it was written anew.
    carry(&mut v, 2, 1, branch);
    let laid = v.replicas[1].engine.laid(&*v.replicas[1].store).unwrap();
    assert!(laid[0].blocks.len() == 1 && laid[0].blocks[0].anew);
    checked(&v);
    // Released after all: both stand, and equal values are no conflict.
    let commits = aside(&v, 1);
    release(&mut v, 1, branch, commits);
    meet(&mut v, 3);
    for at in [0, 1, 3] {
        assert_eq!(text(&v, at, card, "phone"), "0912", "{at}");
        assert_eq!(text(&v, at, card, "full_name"), "Kẻ gian", "{at}: what was released stands");
        assert!(v.view(at, card).unwrap().conflicts.is_empty(), "{at}");
    }
    assert_eq!(fates(&v, 3), []);
    checked(&v);
}

#[test]
fn several_edits_on_each_other_come_again_in_their_order_and_once() {
    let mine: [&[&str]; 4] = [&["phone=1"], &["phone=2", "address=Số 5"], &["full_name=Nguyễn An"], &["phone=3"]];
    let (mut v, _, card) = built_upon(2_601, &[&["phone=666"], &["full_name=Kẻ gian"]], &mine);
    for at in [0, 1, 3] {
        assert_eq!(text(&v, at, card, "phone"), "3", "{at}");
        assert_eq!(text(&v, at, card, "full_name"), "Nguyễn An", "{at}");
        assert_eq!(text(&v, at, card, "address"), "Số 5", "{at}");
        assert!(v.view(at, card).unwrap().conflicts.is_empty());
    }
    assert_eq!(fates(&v, 3), [Fate::Anew; 4]);
    let before = all(&v, 3, card).len();
    // Opened again, met again: nothing is written a second time.
    for _ in 0..2 {
        let now = v.now;
        let org = v.org;
        let r = &mut v.replicas[3];
        let key = r.engine.key().clone();
        r.engine = Engine::open(&mut *r.store, org, key, Arc::new(Stored), &mut r.rng).unwrap();
        v.now = Millis(now.0 + 5);
        meet(&mut v, 3);
    }
    assert_eq!(all(&v, 3, card).len(), before);
    // The next edit is an ordinary one, and does not fight with any of those.
    v.set(3, "members", card, &["phone=4"]);
    meet(&mut v, 3);
    assert_eq!(text(&v, 0, card, "phone"), "4");
    checked(&v);
}

#[test]
fn what_others_wrote_meanwhile_is_a_conflict_and_not_overwritten() {
    let (mut v, _, branch, card) = stolen(2_602);
    let t = v.invite(1, branch, Roles::EDITOR);
    let third = v.join("third", &t, &mut mem);
    ok(&v.sync(third, 1));
    v.set(2, "members", card, &["phone=666"]);
    v.seal(2);
    carry(&mut v, 2, 3, branch);
    later(&mut v);
    v.set(3, "members", card, &["phone=0912"]);
    later(&mut v);
    v.set(third, "members", card, &["phone=0913"]);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    meet(&mut v, third);
    meet(&mut v, 3);
    meet(&mut v, third);
    for at in [0, 1, 3, third] {
        let view = v.view(at, card).unwrap();
        assert_eq!(view.conflicts.len(), 1, "{at}");
        let values: Vec<&Value> = view.conflicts[0].values.iter().map(|c| &c.value).collect();
        let has = |s: &str| values.contains(&&Value::Str(s.into()));
        assert!(has("0912") && has("0913") && values.len() == 2, "{at}: {values:?}");
    }
    checked(&v);
}

#[test]
fn what_would_count_twice_waits_for_a_word_and_is_written_anew_when_it_is_a_rejection() {
    let forged: [&[&str]; 1] = [&["notes=Của kẻ gian. ", "rewards+=Giả"]];
    let mine: [&[&str]; 2] = [&["notes=Của kẻ gian. Đã gặp gia đình.", "rewards+=Huy hiệu 30 năm"], &["phone=7"]];
    let (mut v, branch, card) = built_upon(2_603, &forged, &mine);
    assert_eq!(fates(&v, 3), [Fate::Waits; 2], "the second may build on the first");
    assert!(v.field(0, card, "notes").is_none() && v.field(3, card, "phone").is_none());
    carry(&mut v, 2, 1, branch);
    reject(&mut v, 1, branch);
    meet(&mut v, 3);
    for at in [0, 1, 3] {
        assert_eq!(text(&v, at, card, "notes"), "Đã gặp gia đình.", "{at}");
        assert_eq!(v.field(at, card, "rewards"), Some(Value::List(vec!["Huy hiệu 30 năm".into()])), "{at}");
        assert_eq!(text(&v, at, card, "phone"), "7", "{at}");
    }
    assert_eq!(fates(&v, 3), [Fate::Anew; 2]);
    checked(&v);
}

#[test]
fn what_would_count_twice_and_is_released_counts_once() {
    let forged: [&[&str]; 1] = [&["notes=Một. "]];
    let (mut v, branch, card) = built_upon(2_604, &forged, &[&["notes=Một. Hai."]]);
    carry(&mut v, 2, 1, branch);
    let commits = aside(&v, 1);
    release(&mut v, 1, branch, commits);
    meet(&mut v, 3);
    for at in [0, 1, 3] {
        assert_eq!(text(&v, at, card, "notes"), "Một. Hai.", "{at}");
    }
    assert_eq!(fates(&v, 3), []);
    checked(&v);
}

#[test]
fn a_counter_gets_its_sum_and_a_set_its_elements() {
    let (mut v, _, branch, _) = stolen(2_605);
    let record = v.create(3, branch, "receipts", &["contacts=2", &format!("directive={}", "0".repeat(32))]);
    let document = v.create(3, branch, "meetings", &["title=Họp", "held_on=2026-11-01", "absent=[\"An\",\"Ba\"]"]);
    meet(&mut v, 3);
    ok(&v.sync(2, 1));
    carry(&mut v, 3, 2, branch);
    v.set(2, "receipts", record, &["contacts+=100"]);
    v.set(2, "meetings", document, &["absent+=Kẻ gian"]);
    v.seal(2);
    carry(&mut v, 2, 3, branch);
    later(&mut v);
    v.set(3, "receipts", record, &["contacts+=5"]);
    v.set(3, "meetings", document, &["absent+=Cường", "absent-=An"]);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    carry(&mut v, 2, 1, branch);
    meet(&mut v, 3);
    let names = |of: &[&str]| Some(Value::Set(of.iter().map(|s| (*s).to_owned()).collect()));
    assert_eq!(v.field(3, document, "absent"), names(&["Ba", "Cường"]), "an element twice is an element once");
    assert_eq!(v.field(0, record, "contacts"), Some(Value::Counter(2)), "a sum twice is not");
    reject(&mut v, 1, branch);
    meet(&mut v, 3);
    assert_eq!(v.field(0, record, "contacts"), Some(Value::Counter(7)));
    checked(&v);
}

#[test]
fn a_record_whose_creation_is_cut_is_listed_and_not_written_onto() {
    let (mut v, _, branch, _) = stolen(2_606);
    let forged = v.create(2, branch, "members", &["full_name=Không có thật"]);
    v.seal(2);
    carry(&mut v, 2, 3, branch);
    v.set(3, "members", forged, &["phone=1"]);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    meet(&mut v, 3);
    assert_eq!(fates(&v, 3), [Fate::NoRecord]);
    assert!(v.view(3, forged).is_none());
    checked(&v);
}

#[test]
fn whose_own_right_is_over_writes_nothing_anew() {
    let (mut v, _, branch, card) = stolen(2_607);
    v.set(2, "members", card, &["phone=666"]);
    v.seal(2);
    carry(&mut v, 2, 3, branch);
    v.set(3, "members", card, &["phone=0912"]);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    cut(&mut v, 1, 3, branch, CutKind::Retire);
    carry_charter(&mut v, 1, 3);
    v.seal(3);
    let own = v.replicas[3].engine.device();
    let standing = all(&v, 3, card).iter().filter(|e| e.author == own && e.status == Status::Accepted).count();
    assert_eq!(standing, 0);
    checked(&v);
}

/// A store put back to before the cut, and a copy of the disk: what they write anew is the same, byte by byte.
#[test]
fn a_copy_of_the_disk_writes_the_same_and_it_counts_once() {
    let (mut v, _, branch, card) = stolen(2_608);
    v.set(2, "members", card, &["phone=666", "notes=Giả"]);
    v.seal(2);
    carry(&mut v, 2, 3, branch);
    later(&mut v);
    v.set(3, "members", card, &["notes=Giả và thật"]);
    v.seal(3);
    // The copy: another store of the same device that holds the same.
    let (org, key) = (v.org, v.replicas[3].engine.key().clone());
    let copy = {
        let t = v.invite(1, branch, Roles::EDITOR);
        v.join("copy", &t, &mut mem)
    };
    {
        let device = v.replicas[3].engine.device();
        let mut store = mem(org, device, sampan_core::id::StoreEpoch([9; 16]));
        let r = &mut v.replicas[copy];
        r.engine = Engine::open(&mut *store, org, key, Arc::new(Stored), &mut r.rng).unwrap();
        r.store = store;
    }
    carry_charter(&mut v, 3, copy);
    carry(&mut v, 3, copy, branch);
    later(&mut v);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    carry(&mut v, 2, 1, branch);
    reject(&mut v, 1, branch);
    carry_charter(&mut v, 1, copy);
    later(&mut v);
    meet(&mut v, 3);
    v.seal(copy);
    assert_eq!(text(&v, copy, card, "notes"), " và thật");
    assert_eq!(text(&v, 3, card, "notes"), " và thật");
    let hashes = |at: usize| {
        let mut out: Vec<_> =
            all(&v, at, card).iter().filter(|e| e.status == Status::Accepted).map(|e| e.hash).collect();
        out.sort_unstable();
        out
    };
    assert_eq!(hashes(copy), hashes(3));
    carry(&mut v, copy, 1, branch);
    meet(&mut v, 3);
    for at in [0, 1, 3] {
        assert_eq!(text(&v, at, card, "notes"), " và thật", "{at}");
    }
    let held = v.replicas[1].store.stored_after(sampan_core::store::CommitKey(0), 10_000).unwrap();
    assert!(held.iter().any(|(log, _)| log.space.flow == Flow::Up));
}

/// Without it the next edit had the sequence of one that may stand again, and of two such only one stands.
#[test]
fn an_edit_after_the_cut_and_the_one_before_it_both_stand_when_it_is_taken_back() {
    let (mut v, branch, card) = built_upon(2_609, &[&["notes=Một. "]], &[&["notes=Một. Hai."]]);
    later(&mut v);
    v.set(3, "members", card, &["phone=0912"]);
    carry(&mut v, 2, 1, branch);
    let commits = aside(&v, 1);
    release(&mut v, 1, branch, commits);
    meet(&mut v, 3);
    for at in [0, 1, 3] {
        assert_eq!(text(&v, at, card, "notes"), "Một. Hai.", "{at}");
        assert_eq!(text(&v, at, card, "phone"), "0912", "{at}");
    }
    assert!(all(&v, 0, card).iter().all(|e| e.status == Status::Accepted));
    checked(&v);
}
