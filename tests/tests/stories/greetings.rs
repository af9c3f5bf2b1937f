//! The short opening between two ends that were equal when they last met: what it costs, and that whatever it
//! cannot settle is settled by a hello on the same link.

use crate::cuts::cut;
use crate::{forget, mem, ok, three_levels};
use sampan_core::charter::{CutKind, Roles};
use sampan_core::engine::meta;
use sampan_core::id::UnitId;
use sampan_core::store::Batch;
use sampan_core::testing::village::{LinkEnd, Village};
use sampan_core::value::Value;

fn text(s: &str) -> Option<Value> {
    Some(Value::Str(s.into()))
}

/// Three levels with fifty records, all in sync, and every acknowledgement passed down.
fn in_sync(seed: u64) -> (Village, UnitId) {
    let (mut v, _, branch) = three_levels(seed);
    for i in 0..50 {
        v.create(2, branch, "members", &[&format!("full_name=Người {i}")]);
    }
    for _ in 0..2 {
        ok(&v.sync(2, 1));
        ok(&v.sync(1, 0));
    }
    ok(&v.sync(2, 1));
    (v, branch)
}

/// In sync after one round trip.
fn at_once(end: &LinkEnd) {
    ok(end);
    assert_eq!(end.round_trips, 1, "{end:?}");
}

#[test]
fn nothing_changed_costs_two_hundred_bytes_at_every_level() {
    let (mut v, _) = in_sync(301);
    for (lower, upper) in [(2, 1), (1, 0), (2, 1)] {
        let end = v.sync(lower, upper);
        at_once(&end);
        assert!(end.bytes.0 + end.bytes.1 <= 200, "{} to {} cost {:?}", lower, upper, end.bytes);
    }
}

#[test]
fn news_of_either_end_or_of_both_takes_one_round_trip() {
    let (mut v, branch) = in_sync(302);
    let an = v.create(2, branch, "members", &["full_name=An"]);
    at_once(&v.sync(2, 1));
    assert_eq!(v.field(1, an, "full_name"), text("An"));
    let root = v.root();
    let first = v.create(0, root, "directives", &["title=Chỉ thị 1"]);
    at_once(&v.sync(1, 0));
    assert_eq!(v.field(1, first, "title"), text("Chỉ thị 1"));
    v.set(2, "members", an, &["phone=0912345678"]);
    at_once(&v.sync(2, 1));
    assert_eq!(v.field(1, an, "phone"), text("0912345678"));
    assert_eq!(v.field(2, first, "title"), text("Chỉ thị 1"));
    at_once(&v.sync(2, 1));
}

#[test]
fn a_tick_that_came_to_the_relay_since_travels_with_a_greeting_that_finds_nothing_new() {
    let (mut v, branch) = in_sync(303);
    let ticks = |v: &Village| {
        let r = &v.replicas[2];
        r.engine.delivered(&*r.store, &branch).unwrap().iter().map(|t| t.complete).collect::<Vec<_>>()
    };
    v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    assert_eq!(ticks(&v), [true, false]);
    at_once(&v.sync(2, 1));
    assert_eq!(ticks(&v), [true, true]);
}

#[test]
fn an_end_that_does_not_remember_asks_for_a_hello_on_the_same_link() {
    let (mut v, branch) = in_sync(304);
    forget(&mut v, 1, 2);
    // They are equal, whatever it remembers.
    at_once(&v.sync(2, 1));
    // The relay forgets, and both have news: what went with the greeting in vain comes again.
    forget(&mut v, 1, 2);
    let an = v.create(2, branch, "members", &["full_name=An"]);
    let root = v.root();
    let order = v.create(0, root, "directives", &["title=Chỉ thị 1"]);
    ok(&v.sync(1, 0));
    forget(&mut v, 1, 2);
    let end = v.sync(2, 1);
    ok(&end);
    assert_eq!(end.round_trips, 2, "{end:?}");
    assert_eq!(v.field(1, an, "full_name"), text("An"));
    assert_eq!(v.field(2, order, "title"), text("Chỉ thị 1"));
    // The branch forgets, as one that was restored from before its first sync: it says hello.
    forget(&mut v, 2, 1);
    at_once(&v.sync(2, 1));
    at_once(&v.sync(2, 1));
}

#[test]
fn two_ends_that_remember_different_days_find_out_and_become_equal() {
    let (mut v, branch) = in_sync(305);
    let name = meta::met(&v.replicas[1].engine.device());
    let old = v.replicas[2].store.meta(&name).unwrap();
    let an = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    // The branch's memory goes back a day, as with an old backup; what it holds does not.
    let mut batch = Batch::at(v.now);
    batch.meta.insert(name, old);
    v.replicas[2].store.write(&batch).unwrap();
    v.set(2, "members", an, &["phone=0912345678"]);
    ok(&v.sync(2, 1));
    assert_eq!(v.field(1, an, "phone"), text("0912345678"));
    at_once(&v.sync(2, 1));
}

#[test]
fn a_device_that_lost_its_right_is_told_so_when_it_greets() {
    let (mut v, branch) = in_sync(306);
    cut(&mut v, 0, 2, branch, CutKind::Lost);
    ok(&v.sync(1, 0));
    v.create(2, branch, "members", &["full_name=An"]);
    let end = v.sync(2, 1);
    assert!(!end.lower.contains(&sampan_core::sync::Event::Verified), "{end:?}");
    let r = &v.replicas[2];
    assert!(r.engine.ended(&*r.store).unwrap().is_some(), "it was not told");
}

#[test]
fn a_new_branch_below_widens_what_two_relays_share() {
    let (mut v, _) = in_sync(307);
    let relay = &v.replicas[1].engine;
    let over = *relay.charter().units_of(&relay.device()).first().unwrap();
    let second = v.unit(1, over, "Chi bộ 2", "branch");
    let ticket = v.invite(1, second, Roles::EDITOR);
    let b = v.join("second", &ticket, &mut mem);
    ok(&v.sync(b, 1));
    let an = v.create(b, second, "members", &["full_name=An"]);
    ok(&v.sync(b, 1));
    at_once(&v.sync(1, 0));
    assert_eq!(v.field(0, an, "full_name"), text("An"));
}

#[test]
fn one_edit_and_its_tick_cost_little_beside_the_commit_itself() {
    let (mut v, branch) = in_sync(308);
    let an = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    v.set(2, "members", an, &["phone=0912345678"]);
    let end = v.sync(2, 1);
    at_once(&end);
    let r = &v.replicas[2];
    assert!(r.engine.delivered(&*r.store, &branch).unwrap()[0].complete, "its tick came along");
    let newest = r.store.stored_after(sampan_core::store::CommitKey(0), usize::MAX >> 1).unwrap().pop().unwrap();
    let group = r.store.groups(&newest.0.space, &[newest.1.key]).unwrap().pop().unwrap();
    let commit = sampan_core::wire::encode(&group).len() as u64;
    assert!(end.bytes.0 + end.bytes.1 <= commit + 300, "{:?} beside a commit of {commit}", end.bytes);
}
