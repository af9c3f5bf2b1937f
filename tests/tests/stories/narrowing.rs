//! Rights that become less: narrowed by a person, closed by a relay; and what waits in quarantines, told upward.

use crate::cuts::{aside, checked, cut, release, stolen};
use crate::{mem, ok, three_levels};
use sampan_core::charter::{CutKind, Holder, Roles};
use sampan_core::engine::{InviteRequest, Narrowing};
use sampan_core::id::UnitId;
use sampan_core::limits::CLOSING_CUT_AFTER_MS;
use sampan_core::register::{Waiting, names};
use sampan_core::sync::Event;
use sampan_core::testing::village::Village;
use sampan_core::time::Millis;
use sampan_core::wire;
use sampan_core::wire::frame::RefuseCode;
use std::collections::BTreeSet;

const DAY: u64 = 86_400_000;

/// A ticket of the district for a team that works in a unit until then.
pub(crate) fn team(v: &mut Village, unit: UnitId, until: Millis) -> sampan_core::charter::Ticket {
    let now = v.now;
    let request = InviteRequest {
        unit,
        roles: Roles::EDITOR,
        subtree: false,
        holder: "team".into(),
        until: Some(until),
        use_by: None,
        collections: None,
        replaces: None,
    };
    let r = &mut v.replicas[1];
    r.engine.invite(&mut *r.store, &mut r.rng, &request, now).unwrap()
}

fn close(v: &mut Village, at: usize) -> usize {
    let now = v.now;
    let r = &mut v.replicas[at];
    r.engine.write_closings(&mut *r.store, &mut r.rng, now).unwrap().len()
}

#[test]
fn a_right_whose_time_was_over_is_closed_by_the_units_relay_and_its_scope_is_withdrawn() {
    let (mut v, district, first) = three_levels(730);
    let second = v.unit(1, district, "Chi bộ 2", "branch");
    let end = Millis(v.now.0 + DAY);
    let ticket = team(&mut v, first, end);
    let at = v.join("team", &ticket, &mut mem);
    ok(&v.sync(at, 1));
    let lasting = v.invite(1, second, Roles::EDITOR);
    v.use_ticket(at, &lasting);
    ok(&v.sync(at, 1));
    let pushed = v.create(at, first, "members", &["full_name=Trước hạn"]);
    v.now = Millis(end.0 + 1);
    assert!(v.try_create(at, first, "members", &["full_name=X"]).is_err());
    // The other grant still runs: it pushes first.
    ok(&v.sync(at, 1));
    assert!(v.view(1, pushed).is_some());
    assert_eq!(close(&mut v, 1), 0, "what was written in time may still arrive");
    v.now = Millis(end.0 + CLOSING_CUT_AFTER_MS);
    ok(&v.sync(1, 0));
    assert_eq!(close(&mut v, 0), 0, "the unit's own relay does it");
    assert_eq!(close(&mut v, 1), 1);
    assert_eq!(close(&mut v, 1), 0, "once");
    assert!(v.replicas[1].engine.charter().void().is_empty());
    ok(&v.sync(at, 1));
    let (later, other) =
        (v.create(2, first, "members", &["full_name=Sau"]), v.create(1, second, "members", &["full_name=Khác"]));
    ok(&v.sync(2, 1));
    ok(&v.sync(at, 1));
    assert!(v.view(at, later).is_none() && v.view(at, other).is_some(), "its scope is what still runs");
    assert!(v.view(at, pushed).is_some() && v.view(1, pushed).is_some() && aside(&v, 1).is_empty());
    checked(&v);
}

#[test]
fn a_device_whose_only_right_was_closed_still_hands_in_and_it_lies_aside() {
    let (mut v, _, first) = three_levels(731);
    let end = Millis(v.now.0 + DAY);
    let ticket = team(&mut v, first, end);
    let at = v.join("team", &ticket, &mut mem);
    ok(&v.sync(at, 1));
    let unsent = v.create(at, first, "members", &["full_name=Chưa gửi"]);
    v.seal(at);
    v.now = Millis(end.0 + CLOSING_CUT_AFTER_MS);
    assert_eq!(close(&mut v, 1), 1);
    let over = v.sync(at, 1);
    assert!(over.lower.iter().any(|e| matches!(e, Event::Refused { code: RefuseCode::GrantEnded, .. })), "{over:?}");
    let laid = aside(&v, 1);
    assert_eq!(laid.len(), 1);
    release(&mut v, 1, first, laid);
    assert!(v.view(1, unsent).is_some());
    checked(&v);
}

pub(crate) fn narrow(v: &mut Village, whom: usize, unit: UnitId, roles: Roles, more: Option<(&str, Option<Millis>)>) {
    let (device, now) = (v.replicas[whom].engine.device(), v.now);
    let narrowing = Narrowing {
        device,
        unit,
        roles,
        subtree: false,
        collections: more.map(|(named, _)| [named.to_owned()].into()),
        until: more.and_then(|(_, until)| until),
        reason: "đổi việc".into(),
        regrant: more.map(|_| Holder { salt: [9; 16], name: "Hoa".into() }),
    };
    let r = &mut v.replicas[1];
    r.engine.write_narrowing(&mut *r.store, &mut r.rng, &narrowing, now).unwrap();
    assert!(r.engine.charter().void().is_empty());
}

#[test]
fn fewer_roles_put_aside_what_comes_later_and_what_was_unsent_is_handed_in() {
    let (mut v, _, branch) = three_levels(732);
    let before = v.create(2, branch, "members", &["full_name=Trước"]);
    ok(&v.sync(2, 1));
    let unsent = v.create(2, branch, "members", &["full_name=Chưa gửi"]);
    v.seal(2);
    narrow(&mut v, 2, branch, Roles::READER, None);
    ok(&v.sync(2, 1));
    ok(&v.sync(2, 1));
    assert!(v.try_create(2, branch, "members", &["full_name=X"]).is_err());
    assert!(v.view(1, before).is_some() && v.view(1, unsent).is_none());
    let laid = aside(&v, 1);
    assert_eq!((laid.len(), aside(&v, 2).len()), (1, 1), "it still reads, and its work is known");
    release(&mut v, 1, branch, laid);
    ok(&v.sync(2, 1));
    assert!(v.view(1, unsent).is_some() && v.view(2, unsent).is_some());
    checked(&v);
}

#[test]
fn fewer_collections_and_an_earlier_end_leave_the_log_whole() {
    let (mut v, _, branch) = three_levels(733);
    let unsent = v.create(2, branch, "members", &["full_name=Chưa gửi"]);
    let end = Millis(v.now.0 + DAY);
    narrow(&mut v, 2, branch, Roles::EDITOR, Some(("members", Some(end))));
    ok(&v.sync(2, 1));
    assert!(v.view(1, unsent).is_some() && aside(&v, 1).is_empty(), "the right goes on");
    assert!(v.try_create(2, branch, "meetings", &["title=X", "held_on=2026-11-20"]).is_err());
    let own = v.create(2, branch, "members", &["full_name=Còn quyền"]);
    ok(&v.sync(2, 1));
    assert!(v.view(1, own).is_some());
    let rights: Vec<_> =
        v.replicas[1].engine.charter().rights(&v.replicas[2].engine.device()).map(|r| r.until).collect();
    assert_eq!(rights, [Some(end)]);
    v.now = Millis(end.0 + 1);
    let over = v.sync(2, 1);
    assert!(over.lower.iter().any(|e| matches!(e, Event::Refused { code: RefuseCode::GrantEnded, .. })), "{over:?}");
    checked(&v);
}

/// What the city knows to wait below.
fn waits(v: &Village) -> Vec<Waiting> {
    let all = v.replicas[0].store.registers(0).unwrap();
    let all = all.into_iter().map(|(_, signed)| signed.trust().unwrap());
    let of = all.filter(|r| r.name == names::QUARANTINE);
    of.map(|r| wire::decode::<Waiting>("waiting", &r.payload).unwrap()).collect()
}

fn tell(v: &mut Village, at: usize) -> bool {
    let now = v.now;
    let r = &mut v.replicas[at];
    r.engine.tell_waiting(&mut *r.store, now).unwrap()
}

#[test]
fn what_waits_in_a_districts_quarantine_is_known_to_the_city() {
    let (mut v, _, branch, _) = stolen(734);
    assert!(!tell(&mut v, 1), "nothing waits: nothing is said");
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    for name in ["full_name=Một", "full_name=Hai"] {
        v.create(2, branch, "members", &[name]);
        v.seal(2);
    }
    v.sync(2, 1);
    assert!(tell(&mut v, 1) && !tell(&mut v, 1), "once");
    ok(&v.sync(1, 0));
    let said = waits(&v);
    assert_eq!(said.iter().map(Waiting::commits).collect::<Vec<_>>(), [2]);
    assert_eq!(said[0].units.iter().map(|u| u.unit).collect::<BTreeSet<_>>(), [branch].into());
    // A sibling or a branch is not told: it goes up and nowhere else.
    ok(&v.sync(3, 1));
    let at_branch = v.replicas[3].store.registers(0).unwrap();
    assert!(at_branch.iter().all(|(_, s)| s.trust().unwrap().name != names::QUARANTINE));
    let laid = aside(&v, 1);
    release(&mut v, 1, branch, laid);
    assert!(tell(&mut v, 1));
    v.now.0 += 1;
    ok(&v.sync(1, 0));
    assert_eq!(waits(&v).iter().map(Waiting::commits).sum::<u64>(), 0, "the newest word counts");
    checked(&v);
}
