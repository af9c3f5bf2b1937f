//! When an end may close at once, and when what it said last is on its way still; and what travels by name alone.
//!
//! It does not: open a link (`links` has what the pump makes of it). That an end which may close has nothing on its way is
//! checked by the village after every step of every story.

use crate::charter::Roles;
use crate::id::{DeviceId, OrgId, StoreEpoch, UnitId};
use crate::pack::StoredColumns;
use crate::register::Heartbeat;
use crate::store::Store;
use crate::testing::MemStore;
use crate::testing::village::{LinkEnd, Village};
use crate::time::Millis;
use std::sync::Arc;

fn mem(org: OrgId, device: DeviceId, epoch: StoreEpoch) -> Box<dyn Store> {
    Box::new(MemStore::new(org, device, epoch))
}

fn ok(end: &LinkEnd) {
    assert!(end.verified(), "not verified: {end:?}");
}

/// A replica forgets that it ever was equal with another, so that their next session opens with a hello.
fn forget(v: &mut Village, at: usize, peer: usize) {
    let name = crate::engine::meta::met(&v.replicas[peer].engine.device());
    let mut batch = crate::store::Batch::at(v.now);
    batch.meta.insert(name, None);
    v.replicas[at].store.write(&batch).unwrap();
}

/// A city (0), a district relay (1) and a branch of the district (2), all in sync.
fn three_levels(seed: u64) -> (Village, UnitId, UnitId) {
    let mut v = Village::found(seed, Arc::new(StoredColumns), &mut mem);
    let root = v.root();
    let district = v.unit(0, root, "Quận Ba Đình", "district");
    let branch = v.unit(0, district, "Chi bộ 1", "branch");
    let t = v.invite(0, district, Roles::ADMIN);
    let d = v.join("district", &t, &mut mem);
    ok(&v.sync(d, 0));
    v.listen(d, district);
    ok(&v.sync(d, 0));
    let t = v.invite(d, branch, Roles::EDITOR);
    let b = v.join("branch", &t, &mut mem);
    ok(&v.sync(b, d));
    ok(&v.sync(d, 0));
    (v, district, branch)
}

#[test]
fn a_session_with_ten_edits_needs_one_round_trip_until_it_may_close() {
    let (mut v, _, branch) = three_levels(431);
    let ids: Vec<_> = (0..10).map(|i| v.create(2, branch, "members", &[&format!("full_name=Người {i}")])).collect();
    ok(&v.sync(2, 1));
    for id in ids {
        v.now.0 += 60_000;
        v.set(2, "members", id, &["phone=0901"]);
    }
    let end = v.sync(2, 1);
    ok(&end);
    assert_eq!((end.changes.0, end.round_trips_to_close()), (10, 1), "{end:?}");
    let end = v.sync(2, 1);
    ok(&end);
    assert_eq!((end.changes.0, end.round_trips_to_close()), (0, 1), "nothing changed: {end:?}");
}

#[test]
fn a_lower_end_that_has_the_last_word_waits() {
    let (mut v, _, _) = three_levels(432);
    let root = v.root();
    // What came down is confirmed by a mark that nobody answers.
    v.create(0, root, "directives", &["title=Chỉ thị 05"]);
    ok(&v.sync(1, 0));
    let end = v.sync(2, 1);
    ok(&end);
    assert!(end.changes.1 > 0 && !end.heard, "{end:?}");
    // And a hello's answer too, where it brought something.
    v.create(0, root, "directives", &["title=Chỉ thị 06"]);
    ok(&v.sync(1, 0));
    forget(&mut v, 2, 1);
    let end = v.sync(2, 1);
    ok(&end);
    assert!(end.changes.1 > 0 && !end.heard, "{end:?}");
}

#[test]
fn a_sign_of_life_beside_a_greeting_is_waited_for() {
    let (mut v, _, branch) = three_levels(433);
    ok(&v.sync(2, 1));
    let end = v.sync(2, 1);
    assert!(end.verified() && end.heard, "{end:?}");
    v.now.0 += 3_600_000;
    let beat = Heartbeat {
        version: "0.1.0".into(),
        unsent_changes: 0,
        verified_at: Millis(0),
        last_error: String::new(),
        clock_offset: 0,
    };
    let now = v.now;
    let r = &mut v.replicas[2];
    r.engine.heartbeat(&mut *r.store, branch, &beat, now).unwrap();
    // The answer to a greeting says nothing of what came behind it.
    let end = v.sync(2, 1);
    assert!(end.verified() && !end.heard, "{end:?}");
    // With edits, a mark behind both of them is answered.
    v.now.0 += 3_600_000;
    let now = v.now;
    let r = &mut v.replicas[2];
    r.engine.heartbeat(&mut *r.store, branch, &beat, now).unwrap();
    v.create(2, branch, "members", &["full_name=An"]);
    let end = v.sync(2, 1);
    assert!(end.verified() && end.heard, "{end:?}");
}

#[test]
fn an_edit_that_is_said_while_the_answer_comes_is_not_left_behind() {
    let (mut v, _, branch) = three_levels(434);
    let an = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    v.set(2, "members", an, &["phone=1"]);
    let mut link = v.connect(2, 1, false);
    assert!(!link.lower_is_heard(), "nothing was answered yet");
    v.run(&mut link);
    assert!(link.lower_is_done() && link.lower_is_heard());
    // The link stays, as a daemon's does, and its next edit does not arrive.
    link.hold_up(true);
    v.set(2, "members", an, &["phone=2"]);
    v.seal(2);
    v.run(&mut link);
    assert!(!link.lower_is_heard(), "the edit is on its way, and it may close");
    link.hold_up(false);
    v.run(&mut link);
    assert!(link.lower_is_heard());
    assert_eq!(v.field(1, an, "phone"), v.field(2, an, "phone"));
}

#[test]
fn a_new_device_that_was_just_shown_its_right_waits() {
    let (mut v, _, branch) = three_levels(435);
    let ticket = v.invite(1, branch, Roles::EDITOR);
    let second = v.join("second", &ticket, &mut mem);
    let end = v.sync(second, 1);
    assert!(end.verified() && !end.heard, "{end:?}");
}

#[test]
fn heads_and_relays_that_the_other_end_can_look_up_travel_by_name() {
    let (mut v, _, branch) = three_levels(436);
    let id = v.create(2, branch, "members", &["full_name=An", "phone=1"]);
    ok(&v.sync(2, 1));
    let end = v.sync(1, 0);
    ok(&end);
    let end = v.sync(2, 1);
    ok(&end);
    assert_eq!(end.named.1, 1, "the city's acknowledgement: {end:?}");
    assert!(end.bytes.1 <= 140, "169 with the relay's whole key: {end:?}");
    // The branch's charter goes on: its next commit names other heads than the one before.
    let ticket = v.invite(1, branch, Roles::EDITOR);
    let second = v.join("second", &ticket, &mut mem);
    ok(&v.sync(second, 1));
    ok(&v.sync(2, 1));
    v.set(2, "members", id, &["phone=2"]);
    let end = v.sync(2, 1);
    ok(&end);
    assert_eq!((end.changes.0, end.round_trips, end.named.0), (1, 1, 1), "{end:?}");
    let other_heads = end.bytes.0;
    assert_eq!(v.field(1, id, "phone"), v.field(2, id, "phone"));
    v.set(2, "members", id, &["phone=3"]);
    let end = v.sync(2, 1);
    ok(&end);
    assert_eq!((end.changes.0, end.round_trips, end.named.0), (1, 1, 0), "the same heads: {end:?}");
    assert!(other_heads <= end.bytes.0 + 10, "{other_heads}, and under the same heads {end:?}");
    ok(&v.sync(2, 1));
    // And by the relay's hand to the next one up, and to a device that begins anew.
    ok(&v.sync(1, 0));
    assert_eq!(v.field(0, id, "phone"), v.field(2, id, "phone"));
    ok(&v.sync(2, 1));
    let ticks = v.replicas[2].engine.delivered(&*v.replicas[2].store, &branch).unwrap();
    assert!(ticks.iter().all(|t| t.complete), "{ticks:?}");
}
