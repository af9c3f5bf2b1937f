//! Registers between two ends: they enter no digest, and yet none is lost, whatever overtakes what and whenever
//! a link ends.

use crate::erase::erase;
use crate::{mem, ok, three_levels};
use sampan_core::charter::Roles;
use sampan_core::engine::meta;
use sampan_core::id::UnitId;
use sampan_core::register::{Heartbeat, names};
use sampan_core::rollup;
use sampan_core::store::Batch;
use sampan_core::sync::lane;
use sampan_core::testing::village::Village;
use sampan_core::time::Millis;

/// A city, a district and a branch in sync, and a second device of the branch, the fourth replica, that has joined and
/// was never linked.
fn a_second_device(seed: u64) -> (Village, UnitId) {
    let (mut v, _, branch) = three_levels(seed);
    for i in 0..40 {
        v.create(2, branch, "members", &[&format!("full_name=Người {i}")]);
    }
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    let ticket = v.invite(1, branch, Roles::EDITOR);
    v.join("second", &ticket, &mut mem);
    (v, branch)
}

/// Holders' names that a replica knows.
fn holders(v: &Village, at: usize) -> usize {
    let all = v.replicas[at].store.registers(0).unwrap();
    all.iter().filter(|(_, s)| s.trust().unwrap().name.starts_with("holder/")).count()
}

/// The second device gives a sign of life.
fn heartbeat(v: &mut Village, branch: UnitId) {
    let beat = Heartbeat {
        version: "0.1.0".into(),
        unsent_changes: 0,
        verified_at: v.now,
        last_error: String::new(),
        clock_offset: 0,
    };
    let (now, r) = (v.now, &mut v.replicas[3]);
    r.engine.heartbeat(&mut *r.store, branch, &beat, now).unwrap();
}

/// Links, and hangs up as soon as the lower end would.
fn sync_and_hang_up(v: &mut Village, lower: usize, upper: usize, registers_overtake: bool) {
    let mut link = v.connect(lower, upper, false);
    if registers_overtake {
        link.let_overtake(lane::REGISTERS);
    }
    while !link.lower_is_done() {
        assert!(v.step(&mut link), "a link that ends without being verified");
    }
    assert!(v.end(link).error.is_none());
}

/// How many registers of a name a replica has from a device.
fn from(v: &Village, at: usize, name: &str, by: usize) -> usize {
    let device = v.replicas[by].engine.device();
    let all = v.replicas[at].store.registers(0).unwrap();
    all.iter().map(|(_, s)| s.trust().unwrap()).filter(|r| r.name == name && r.device == device).count()
}

#[test]
fn names_that_overtake_the_charter_wait_for_it() {
    let (mut v, _) = a_second_device(1901);
    assert_eq!(holders(&v, 3), 0);
    sync_and_hang_up(&mut v, 3, 1, true);
    assert_eq!(holders(&v, 3), 2);
}

#[test]
fn what_was_on_its_way_up_when_the_link_ended_comes_with_the_next() {
    let (mut v, branch) = a_second_device(1902);
    ok(&v.sync(3, 1));
    ok(&v.sync(3, 1));
    heartbeat(&mut v, branch);
    let mut link = v.connect(3, 1, false);
    v.step(&mut link);
    link.hold_up(true);
    while !link.lower_is_done() {
        assert!(v.step(&mut link), "a link that ends without being verified");
    }
    drop(link);
    assert_eq!(from(&v, 1, names::HEARTBEAT, 3), 0);
    ok(&v.sync(3, 1));
    assert_eq!(from(&v, 1, names::HEARTBEAT, 3), 1);
}

#[test]
fn a_lower_end_that_greets_hangs_up_only_when_it_has_what_came_to_the_relay_since() {
    let (mut v, branch) = a_second_device(1903);
    let gone = v.create(2, branch, "members", &["full_name=Bình"]);
    ok(&v.sync(2, 1));
    erase(&mut v, 1, branch, gone);
    for _ in 0..2 {
        ok(&v.sync(3, 1));
    }
    let (now, r) = (v.now, &mut v.replicas[1]);
    r.engine.confirm_erased(&mut *r.store, now).unwrap();
    assert_eq!(from(&v, 3, names::ERASED, 1), 0);
    sync_and_hang_up(&mut v, 3, 1, false);
    assert_eq!(from(&v, 3, names::ERASED, 1), 1);
}

#[test]
fn a_relay_that_was_put_back_gets_again_what_it_once_had() {
    let (mut v, branch) = a_second_device(1904);
    ok(&v.sync(3, 1));
    heartbeat(&mut v, branch);
    ok(&v.sync(3, 1));
    ok(&v.sync(3, 1));
    assert_eq!(from(&v, 1, names::HEARTBEAT, 3), 1);
    let mut batch = Batch::at(v.now);
    let device = v.replicas[3].engine.device();
    batch.meta.insert(meta::registers_from(&device), None);
    batch.unsaid.push((branch, names::HEARTBEAT.into()));
    v.replicas[1].store.write(&batch).unwrap();
    assert_eq!(from(&v, 1, names::HEARTBEAT, 3), 0);
    ok(&v.sync(3, 1));
    assert_eq!(from(&v, 1, names::HEARTBEAT, 3), 1);
}

/// What a period closed with, as each of two replicas holds it.
fn closings(v: &Village) -> [Vec<Vec<u8>>; 2] {
    [0, 1].map(|at| {
        let all = v.replicas[at].store.registers(0).unwrap();
        let all = all.iter().map(|(_, s)| s.trust().unwrap());
        all.filter(|r| r.name.starts_with(rollup::names::CLOSED)).map(|r| r.payload).collect()
    })
}

#[test]
fn a_relay_that_was_put_back_and_closes_a_period_again_gets_its_first_word_back() {
    let (mut v, district, _) = three_levels(1905);
    let name = format!("{}admissions/2026-10", rollup::names::CLOSED);
    let (mut restored, city) = (Batch::at(v.now), v.replicas[0].engine.device());
    // Enough that by chance of their signatures alone it would hardly come out right each time.
    for round in 0..6_u8 {
        let name = format!("{name}{round}");
        restored.unsaid.push((district, name.clone()));
        let (now, r) = (v.now, &mut v.replicas[1]);
        r.engine.say_figures(&mut *r.store, district, name, vec![round], now).unwrap();
    }
    ok(&v.sync(1, 0));
    assert_eq!(closings(&v)[0].len(), 6);
    restored.meta.insert(meta::registers_from(&city), None);
    v.replicas[1].store.write(&restored).unwrap();
    v.now = Millis(v.now.0 + 60_000);
    for round in 0..6_u8 {
        let (now, r) = (v.now, &mut v.replicas[1]);
        r.engine.say_figures(&mut *r.store, district, format!("{name}{round}"), vec![100], now).unwrap();
    }
    ok(&v.sync(1, 0));
    ok(&v.sync(1, 0));
    let first: Vec<Vec<u8>> = (0..6).map(|round| vec![round]).collect();
    let [mut above, mut own] = closings(&v);
    above.sort();
    own.sort();
    assert_eq!(above, first);
    assert_eq!(own, first);
}
