//! More small commits than one frame of ours holds: up, down, in one foreign frame, in a deposit and in a bundle.
//!
//! They do not: measure what that costs (the benches do).

use crate::{mem, ok, three_levels};
use sampan_core::bundle::{Header, Plan, Taking, Target};
use sampan_core::charter::{CutKind, Roles};
use sampan_core::engine::CutRequest;
use sampan_core::id::{DeviceId, Flow, LogId, SpaceId, UnitId};
use sampan_core::limits::{BACKFILL_BYTES_MIN, FRAME_ENTRIES_MAX, PUSH_BYTES_MAX};
use sampan_core::store::CommitKey;
use sampan_core::sync::Env;
use sampan_core::testing::village::Village;
use sampan_core::wire::frame::{Frame, Group};
use std::collections::BTreeSet;

/// Commits, each of one entry: more than a frame takes, and less than a second one fills.
const MANY: usize = FRAME_ENTRIES_MAX as usize + 44;

/// A city, its district and a branch of it that has made so many commits of one record each, none of them sent.
fn unsent(seed: u64) -> (Village, UnitId) {
    let (mut v, _, branch) = three_levels(seed);
    for i in 0..MANY {
        v.create(2, branch, "members", &[&format!("full_name=Người {i}")]);
        v.seal(2);
    }
    (v, branch)
}

/// The space of a unit's members, as a replica holds it, with the commits of one device in it.
fn commits(v: &Village, at: usize, unit: &UnitId, device: DeviceId) -> (SpaceId, Vec<CommitKey>) {
    let r = &v.replicas[at];
    let spaces: Vec<SpaceId> = r.engine.holdings().spaces_of(unit).map(|(s, _)| *s).collect();
    let mut out = (spaces[0], Vec::new());
    for space in spaces {
        let tips = r.engine.holdings().tips(&space).unwrap();
        for ((author, incarnation), _) in tips.logs().filter(|((author, _), _)| *author == device) {
            let log = LogId { space, device: *author, incarnation: *incarnation };
            let rows = r.store.missing(&log, &BTreeSet::new()).unwrap();
            if rows.len() > out.1.len() {
                assert!(rows.iter().all(|row| row.entries == 1), "each is small");
                out = (space, rows.iter().map(|row| row.key).collect());
            }
        }
    }
    out
}

/// Changes of records that a replica holds.
fn held(v: &Village, at: usize) -> u64 {
    let rows = v.replicas[at].store.stored_after(CommitKey(0), 100_000).unwrap();
    rows.iter().filter(|(log, _)| log.space.flow == Flow::Up).map(|(_, row)| u64::from(row.changes)).sum()
}

#[test]
fn they_go_up_in_one_session_and_down_to_another_device() {
    let (mut v, branch) = unsent(300);
    let own = v.replicas[2].engine.device();
    assert_eq!(commits(&v, 2, &branch, own).1.len(), MANY);
    // Up: more than is pushed unasked, and less than waits behind recent news, so that one lane has them all.
    let bytes = MANY as u64 * 150;
    assert!(bytes > PUSH_BYTES_MAX && bytes < BACKFILL_BYTES_MIN);
    let end = v.sync(2, 1);
    ok(&end);
    assert_eq!(end.changes.0, MANY as u64);
    assert_eq!(held(&v, 1), MANY as u64);
    ok(&v.sync(1, 0));
    assert_eq!(held(&v, 0), MANY as u64);
    // Down: a second device of the branch has none of them.
    let ticket = v.invite(1, branch, Roles::EDITOR);
    let second = v.join("second", &ticket, &mut mem);
    ok(&v.sync(second, 1));
    assert_eq!(held(&v, second), MANY as u64);
    assert!(v.sync(second, 1).verified());
    // And in both directions at once: each has as many that the other has not.
    for i in 0..MANY {
        for at in [2, second] {
            v.create(at, branch, "members", &[&format!("full_name=Thêm {at} {i}")]);
            v.seal(at);
        }
    }
    ok(&v.sync(second, 1));
    let end = v.sync(2, 1);
    ok(&end);
    assert_eq!(end.changes.0, MANY as u64);
    ok(&v.sync(second, 1));
    for at in [1, 2, second] {
        assert_eq!(held(&v, at), 3 * MANY as u64, "replica {at}");
    }
}

/// All of one device's commits in one frame, as no program of ours makes it and any may send it.
fn one_frame(v: &Village, at: usize, unit: &UnitId, device: DeviceId) -> Vec<Group> {
    let (space, keys) = commits(v, at, unit, device);
    let groups = v.replicas[at].store.groups(&space, &keys).unwrap();
    let frame = Frame::Commits { after: 0, groups };
    let Frame::Commits { groups, .. } = Frame::decode(&frame.encode()).unwrap() else { panic!("another frame") };
    assert!(groups.iter().map(|g| g.headers.len()).sum::<usize>() >= MANY);
    groups
}

#[test]
fn one_frame_that_holds_them_all_is_taken_whole_in_both_directions() {
    let (mut v, branch) = unsent(301);
    let (device, relay) = (v.replicas[2].engine.device(), v.replicas[1].engine.device());
    let take = |v: &mut Village, at: usize, from: DeviceId, groups: &[Group]| {
        let now = v.now;
        let r = &mut v.replicas[at];
        r.engine.intake(&mut *r.store, &mut r.rng, from, groups, &|_, _| true, now).unwrap()
    };
    let groups = one_frame(&v, 2, &branch, device);
    let up = take(&mut v, 1, device, &groups);
    assert_eq!((up.commits, up.changes, up.quarantined), (MANY as u64, MANY as u64, 0));
    assert_eq!(take(&mut v, 1, device, &groups).commits, 0, "harmless twice");
    assert!(v.sync(2, 1).verified());
    let ticket = v.invite(1, branch, Roles::EDITOR);
    let second = v.join("second", &ticket, &mut mem);
    ok(&v.sync(second, 1));
    for i in 0..MANY {
        v.create(2, branch, "members", &[&format!("full_name=Sau {i}")]);
        v.seal(2);
    }
    ok(&v.sync(2, 1));
    let groups = one_frame(&v, 1, &branch, device);
    let down = take(&mut v, second, relay, &groups);
    assert_eq!((down.commits, down.changes), (MANY as u64, MANY as u64));
    assert!(v.sync(second, 1).verified());
    assert_eq!(held(&v, second), 2 * MANY as u64);
}

#[test]
fn a_device_that_is_cut_off_hands_them_all_in() {
    let (mut v, branch) = unsent(302);
    let now = v.now;
    let device = v.replicas[2].engine.device();
    let r = &mut v.replicas[1];
    let request = CutRequest { device, kind: CutKind::Lost, reason: "stolen".into(), remaining: Roles::NONE };
    r.engine.write_cut(&mut *r.store, &mut r.rng, &[branch].into(), &request, now).unwrap();
    for _ in 0..4 {
        let _ = v.sync(2, 1);
    }
    assert_eq!(v.replicas[1].store.quarantine().unwrap().len(), MANY);
    assert_eq!(held(&v, 1), 0);
}

#[test]
fn a_bundle_carries_them_all() {
    let (mut v, _) = unsent(303);
    let now = v.now;
    let device = v.replicas[2].engine.device();
    let r = &mut v.replicas[2];
    let plan = Plan::of(&r.engine, Target::Above, &[], now).unwrap();
    let mut parcel =
        plan.parcel(&mut Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now }, false).unwrap();
    let frames: Vec<Frame> = std::iter::from_fn(|| parcel.next(&*r.store).unwrap()).collect();
    let org = r.engine.org();
    let r = &mut v.replicas[1];
    let header =
        Header { org, sender: device, created: now, down: false, unit: None, ephemeral: [0; 32], slots: Vec::new() };
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut taking = Taking::new(&header);
    frames.iter().for_each(|f| taking.take(&mut env, &f.encode()).unwrap());
    assert_eq!(taking.finish(&mut env).unwrap().changes, MANY as u64);
}
