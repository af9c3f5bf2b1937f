//! Bundles between real engines: who receives what, and what a hostile sender gets.
//!
//! They do not: encrypt (core's own tests do) or write files (`e2e`).

use crate::{mem, ok, three_levels};
use sampan_core::bundle::{Header, Plan, PlanError, TakeError, Taken, Taking, Target};
use sampan_core::charter::Roles;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::sync::Env;
use sampan_core::testing::village::Village;
use sampan_core::wire::frame::{Frame, RefuseCode};
use std::collections::BTreeSet;

fn device(v: &Village, at: usize) -> DeviceId {
    v.replicas[at].engine.device()
}

fn plan(v: &Village, from: usize, target: Target) -> Result<Plan, PlanError> {
    Plan::of(&v.replicas[from].engine, target, &[], v.now)
}

fn frames(v: &mut Village, from: usize, target: Target) -> Vec<Frame> {
    v.seal(from);
    let now = v.now;
    let plan = plan(v, from, target).unwrap();
    let r = &mut v.replicas[from];
    let mut parcel =
        plan.parcel(&mut Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now }, false).unwrap();
    std::iter::from_fn(|| parcel.next(&*r.store).unwrap()).collect()
}

fn take(v: &mut Village, at: usize, sender: DeviceId, down: bool, frames: &[Frame]) -> Result<Taken, TakeError> {
    let now = v.now;
    let r = &mut v.replicas[at];
    let org = r.engine.org();
    let header = Header { org, sender, created: now, down, unit: None, ephemeral: [0; 32], slots: Vec::new() };
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut taking = Taking::new(&header);
    frames.iter().try_for_each(|f| taking.take(&mut env, &f.encode()))?;
    taking.finish(&mut env)
}

/// The units whose spaces these frames speak of.
fn units(frames: &[Frame]) -> BTreeSet<UnitId> {
    let mut out = BTreeSet::new();
    for frame in frames {
        match frame {
            Frame::Commits { groups, .. } => {
                let heads = groups.iter().flat_map(|g| &g.headers);
                out.extend(heads.map(|h| h.trust().unwrap().header().space.unit));
            }
            Frame::Frontier(spaces) => out.extend(spaces.iter().map(|s| s.space.unit)),
            Frame::Acks(sets) => out.extend(sets.iter().flat_map(|s| &s.leaves).map(|l| l.unit)),
            _ => {}
        }
    }
    out
}

/// A city (0), a district (1), two branches of it (2, 3) with a record each, all known to the district.
fn two_branches(seed: u64) -> (Village, UnitId, [UnitId; 2]) {
    let (mut v, district, one) = three_levels(seed);
    let two = v.unit(1, district, "Chi bộ 2", "branch");
    let t = v.invite(1, two, Roles::EDITOR);
    let b = v.join("two", &t, &mut mem);
    ok(&v.sync(b, 1));
    for (at, unit) in [(2, one), (b, two)] {
        v.create(at, unit, "members", &["full_name=An"]);
        ok(&v.sync(at, 1));
    }
    ok(&v.sync(1, 0));
    (v, district, [one, two])
}

#[test]
fn a_bundle_down_speaks_of_the_receivers_line_alone() {
    let (mut v, district, [one, two]) = two_branches(90);
    let root = v.root();
    let down = frames(&mut v, 1, Target::Unit(one));
    assert_eq!(units(&down), BTreeSet::from([root, district, one]));
    // A reader of the whole district sees both; one who shares the bundle with it makes it no larger.
    let request = sampan_core::engine::InviteRequest {
        unit: one,
        roles: Roles::READER,
        subtree: true,
        holder: "x".into(),
        until: None,
        use_by: None,
        collections: None,
        replaces: None,
    };
    let now = v.now;
    let r = &mut v.replicas[1];
    let ticket = r.engine.invite(&mut *r.store, &mut r.rng, &request, now).unwrap();
    let plan = plan(&v, 1, Target::Unit(one)).unwrap();
    assert!(plan.down && plan.receivers.iter().any(|r| r.ticket), "a ticket that is open can open it");
    assert_eq!(units(&frames(&mut v, 1, Target::Unit(one))), BTreeSet::from([root, district, one]));
    let reader = v.join("reader", &ticket, &mut mem);
    ok(&v.sync(reader, 1));
    let both = self::plan(&v, 1, Target::Unit(one)).unwrap();
    assert_eq!((both.receivers.len(), both.receivers.iter().any(|r| r.ticket)), (2, false), "the ticket is used");
    assert_eq!(units(&frames(&mut v, 1, Target::Unit(two))), BTreeSet::from([root, district, two]));
}

#[test]
fn what_is_said_to_be_held_does_not_travel_again() {
    let (mut v, _, [one, _]) = two_branches(91);
    let commits = |frames: &[Frame]| -> u64 {
        frames.iter().map(|f| if let Frame::Announce(a) = f { a.commits } else { 0 }).sum()
    };
    let first = frames(&mut v, 1, Target::Unit(one));
    assert!(commits(&first) > 0);
    let (branch, relay) = (device(&v, 2), device(&v, 1));
    let up = frames(&mut v, 2, Target::Above);
    take(&mut v, 1, branch, false, &up).unwrap();
    let answer = frames(&mut v, 1, Target::Device(branch));
    assert_eq!(commits(&answer), 0, "the branch said that it has everything");
    let taken = take(&mut v, 2, relay, true, &answer).unwrap();
    assert_eq!((taken.commits, taken.equal), (0, Some(true)), "{taken:?}");
    v.create(2, one, "members", &["full_name=Bình"]);
    let up = frames(&mut v, 2, Target::Above);
    assert_eq!(commits(&up), 1, "and the relay too");
    assert_eq!(take(&mut v, 1, branch, false, &up).unwrap().changes, 1);
}

#[test]
fn nobody_writes_to_a_sibling_or_past_its_line() {
    let (v, _, [_, two]) = two_branches(92);
    assert_eq!(plan(&v, 0, Target::Above), Err(PlanError::NothingAbove));
    assert_eq!(plan(&v, 2, Target::Unit(two)).map(|p| p.down), Ok(false), "of a sibling only its relay above");
    let (sibling, relay) = (device(&v, 3), device(&v, 1));
    assert_eq!(plan(&v, 2, Target::Device(sibling)), Err(PlanError::NotRelated(sibling)));
    let above = plan(&v, 2, Target::Above).unwrap();
    assert_eq!(above.receivers.iter().map(|r| r.key).collect::<Vec<_>>(), [relay]);
}

#[test]
fn a_sender_brings_only_what_is_its_own_to_bring() {
    let (mut v, _, [one, _]) = two_branches(93);
    let (one_device, two_device, relay) = (device(&v, 2), device(&v, 3), device(&v, 1));
    let down = frames(&mut v, 1, Target::Unit(one));
    let up_two = frames(&mut v, 3, Target::Above);
    // A sibling that speaks as if it were the relay.
    let mut posed = down.clone();
    let Frame::Hello(hello) = &mut posed[0] else { panic!("no hello") };
    hello.device = two_device;
    assert_eq!(take(&mut v, 2, two_device, true, &posed), Err(TakeError::NotAbove(two_device)));
    let identity = TakeError::PeerIdentity { claimed: relay, actual: two_device };
    assert_eq!(take(&mut v, 2, two_device, true, &down), Err(identity));
    // A branch that brings the commits of another one.
    v.create(2, one, "members", &["full_name=Chi"]);
    let up_one = frames(&mut v, 2, Target::Above);
    let is_commits = |f: &&Frame| matches!(f, Frame::Commits { .. });
    let foreign: Vec<Frame> = up_two[..1].iter().chain(up_one.iter().filter(is_commits)).cloned().collect();
    assert!(matches!(take(&mut v, 1, two_device, false, &foreign), Err(TakeError::PeerScope(s)) if s.unit == one));
    // The charter and the acknowledgements come from above; nothing comes before the hello or after the mark.
    assert_eq!(take(&mut v, 1, one_device, false, &up_one[1..]), Err(TakeError::PeerOrder(up_one[1].name())));
    let after: Vec<Frame> = up_one.iter().chain(&up_one[1..2]).cloned().collect();
    assert_eq!(take(&mut v, 1, one_device, false, &after), Err(TakeError::PeerOrder(up_one[1].name())));
    let short = &up_one[..up_one.len() - 1];
    assert!(matches!(take(&mut v, 1, one_device, false, short), Err(TakeError::PeerOrder(_))));
    let mut left_out = up_one.clone();
    left_out.remove(1);
    assert_eq!(take(&mut v, 1, one_device, false, &left_out), Err(TakeError::PeerOrder("Mark")));
}

#[test]
fn a_revoked_sender_deposits_its_own_and_no_more_and_nothing_is_taken_from_one_above() {
    let (mut v, district, [one, _]) = two_branches(94);
    let unsent = v.create(2, one, "members", &["full_name=An"]);
    let branch = device(&v, 2);
    let up = frames(&mut v, 2, Target::Above);
    let now = v.now;
    let r = &mut v.replicas[1];
    let request = sampan_core::engine::CutRequest {
        device: branch,
        kind: sampan_core::charter::CutKind::Lost,
        reason: "stolen".into(),
        remaining: Roles::NONE,
    };
    r.engine.write_cut(&mut *r.store, &mut r.rng, &[one].into(), &request, now).unwrap();
    let taken = take(&mut v, 1, branch, false, &up).unwrap();
    assert!(taken.deposit.as_ref().is_some_and(|why| why.contains("stolen")), "{taken:?}");
    assert_eq!((taken.commits, taken.quarantined), (0, 1), "{taken:?}");
    assert!(v.view(1, unsent).is_none());
    let again = take(&mut v, 1, branch, false, &up).unwrap();
    assert_eq!(again, taken, "harmless twice");
    assert_eq!(v.replicas[1].store.quarantine().unwrap().len(), 1);
    assert_eq!(plan(&v, 1, Target::Device(branch)), Err(PlanError::NotRelated(branch)));
    // A deputy at the district whom the city has revoked: a branch that has heard of it takes nothing from it.
    let t = v.invite(0, district, Roles::ADMIN);
    let deputy = v.join("deputy", &t, &mut mem);
    // It dials the relay of its own unit.
    ok(&v.sync(1, 0));
    ok(&v.sync(deputy, 1));
    ok(&v.sync(1, 0));
    ok(&v.sync(3, 1));
    let (deputy_device, two) = (device(&v, deputy), device(&v, 3));
    let down = frames(&mut v, deputy, Target::Device(two));
    take(&mut v, 3, deputy_device, true, &down).unwrap();
    let r = &mut v.replicas[0];
    let op = sampan_core::charter::Op::Revoke { key: deputy_device, reason: "stolen".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, district, &[op], now).unwrap();
    ok(&v.sync(1, 0));
    ok(&v.sync(3, 1));
    let refused = take(&mut v, 3, deputy_device, true, &down);
    assert!(matches!(refused, Err(TakeError::Refused(RefuseCode::GrantEnded, _))), "{refused:?}");
    assert!(v.replicas[3].store.tips().unwrap().keys().all(|s| s.unit != one));
}

#[test]
fn what_lacks_its_parent_waits_for_it_and_only_from_one_who_may_bring_it() {
    let (mut v, _, [one, _]) = two_branches(96);
    v.create(2, one, "members", &["full_name=Bình"]);
    ok(&v.sync(2, 1));
    v.create(2, one, "members", &["full_name=Chi"]);
    let branch = device(&v, 2);
    // The district has the first and the city has not: what goes on from it lacks it there.
    let up = frames(&mut v, 2, Target::Above);
    let try_at_city = |v: &mut Village, sender: DeviceId| {
        let now = v.now;
        let r = &mut v.replicas[0];
        let org = r.engine.org();
        let header =
            Header { org, sender, created: now, down: false, unit: None, ephemeral: [0; 32], slots: Vec::new() };
        let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
        let mut taking = Taking::new(&header);
        let refused = up.iter().try_for_each(|f| taking.take(&mut env, &f.encode()));
        (refused, taking.waits_for(&env))
    };
    let (refused, waits) = try_at_city(&mut v, branch);
    assert!(matches!(refused, Err(TakeError::Missing(_))), "{refused:?}");
    let waits = waits.expect("the branch may bring it");
    let ids: Vec<_> = waits.iter().copied().collect();
    assert_eq!(ids.len(), 1);
    assert!(v.replicas[1].store.known(&ids).unwrap()[0].is_some(), "it is the one that the district has");
    assert!(v.replicas[0].store.known(&ids).unwrap()[0].is_none());
    // Once its right has ended, what it brings is a deposit, and nothing of it waits.
    let now = v.now;
    let r = &mut v.replicas[0];
    let op = sampan_core::charter::Op::Revoke { key: branch, reason: "stolen".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, one, &[op], now).unwrap();
    assert_eq!(try_at_city(&mut v, branch).1, None);
    assert!(sampan_core::bundle::sender_ended(v.replicas[0].engine.charter(), branch, now));
}
