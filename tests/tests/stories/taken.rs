//! Collections taken from a device: what a replica that does not care writes in them afterwards counts nowhere,
//! whatever way it comes; what it may still write goes on.
//!
//! It does not: say which rights fold to what (`charters` does), or take whole roles (`narrowing` does).

use crate::cuts::{aside, carry, carry_charter, checked, cut, release};
use crate::narrowing::narrow;
use crate::{mem, ok, three_levels};
use sampan_core::charter::{CutKind, Op, Roles};
use sampan_core::engine::InviteRequest;
use sampan_core::id::{CommitId, RecordId, UnitId};
use sampan_core::testing::village::Village;

/// What lies in one space with the members.
const VISIT: [&str; 2] = ["subject=Chi bộ 2", "inspected_on=2026-11-20"];
const TAKEN: &str = "it carries a collection that was taken from its device";
const CONTINUES: &str = "it continues a commit that was set aside";

/// A branch whose first PC (2) lost all but the members, and its second one (3), which has not heard of that, nor
/// has the first.
fn narrowed(seed: u64) -> (Village, UnitId, RecordId) {
    let (mut v, _, branch) = three_levels(seed);
    let t = v.invite(1, branch, Roles::EDITOR);
    let second = v.join("second", &t, &mut mem);
    let before = v.create(2, branch, "inspections", &VISIT);
    ok(&v.sync(2, 1));
    ok(&v.sync(second, 1));
    ok(&v.sync(1, 0));
    narrow(&mut v, 2, branch, Roles::EDITOR, Some(("members", None)));
    (v, branch, before)
}

fn reasons(v: &Village, at: usize) -> Vec<String> {
    let r = &v.replicas[at];
    r.engine.laid(&*r.store).unwrap().into_iter().map(|l| l.held.reason).collect()
}

fn sealed(v: &mut Village, at: usize, unit: UnitId, collection: &str, fields: &[&str]) -> RecordId {
    let id = v.create(at, unit, collection, fields);
    v.seal(at);
    id
}

#[test]
fn what_is_written_in_a_collection_that_was_taken_counts_nowhere_whoever_carries_it() {
    let (mut v, branch, before) = narrowed(740);
    let allowed = sealed(&mut v, 2, branch, "members", &["full_name=Còn quyền"]);
    let forged = sealed(&mut v, 2, branch, "inspections", &VISIT);
    let after = sealed(&mut v, 2, branch, "members", &["full_name=Theo sau"]);
    carry(&mut v, 2, 3, branch);
    assert!(v.view(3, forged).is_some(), "the second PC has not heard of it");
    checked(&v);
    ok(&v.sync(3, 1));
    ok(&v.sync(1, 0));
    // One that joins later has it from the district, or from a stick that the first one gave.
    let t = v.invite(1, branch, Roles::EDITOR);
    let late = v.join("late", &t, &mut mem);
    ok(&v.sync(late, 1));
    carry(&mut v, 2, late, branch);
    for at in [0, 1, 3, late] {
        assert!(v.view(at, forged).is_none() && v.view(at, after).is_none(), "{at}");
        assert!(v.view(at, before).is_some() && v.view(at, allowed).is_some(), "{at}");
    }
    for at in [3, late] {
        assert_eq!(reasons(&v, at), [TAKEN, CONTINUES], "{at}");
    }
    // The same again, straight to the district: its bearer is none the worse for it.
    carry(&mut v, 2, 1, branch);
    assert_eq!((aside(&v, 1), reasons(&v, 1)), (aside(&v, 3), reasons(&v, 3)));
    ok(&v.sync(3, 1));
    checked(&v);
    // Released by hand it counts, with what follows it; a rejection says so and changes nothing.
    let laid = aside(&v, 1);
    let now = v.now;
    let r = &mut v.replicas[1];
    let op = Op::Reject { commits: vec![laid[0]], reason: "giả".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, branch, &[op], now).unwrap();
    assert!(r.engine.laid(&*r.store).unwrap()[0].rejected);
    release(&mut v, 1, branch, vec![laid[0]]);
    ok(&v.sync(3, 1));
    ok(&v.sync(1, 0));
    for at in [0, 1, 3] {
        assert!(v.view(at, forged).is_some() && v.view(at, after).is_some(), "{at}");
    }
    checked(&v);
}

#[test]
fn one_entry_of_what_was_taken_sets_its_whole_commit_aside() {
    let (mut v, branch, _) = narrowed(741);
    let allowed = v.create(2, branch, "members", &["full_name=Cùng một lần"]);
    let forged = v.create(2, branch, "inspections", &VISIT);
    v.seal(2);
    carry(&mut v, 2, 1, branch);
    assert!(v.view(1, allowed).is_none() && v.view(1, forged).is_none());
    assert_eq!(reasons(&v, 1), [TAKEN]);
    checked(&v);
}

#[test]
fn a_replica_that_hears_of_its_narrowing_keeps_what_was_unsent_and_goes_on_with_what_is_left() {
    let (mut v, branch, before) = narrowed(742);
    let unsent = sealed(&mut v, 2, branch, "inspections", &VISIT);
    // Not sealed yet: it stays an edit, and holds up nothing.
    let edit = v.create(2, branch, "inspections", &VISIT);
    carry_charter(&mut v, 1, 2);
    assert_eq!((aside(&v, 2).len(), reasons(&v, 2)), (1, vec![TAKEN.to_owned()]));
    assert!(v.try_create(2, branch, "inspections", &VISIT).is_err());
    let own = v.create(2, branch, "members", &["full_name=Còn quyền"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(2, 1));
    assert!(v.view(1, own).is_some() && v.view(1, before).is_some());
    assert!(v.view(1, unsent).is_none() && v.view(1, edit).is_none());
    let laid = aside(&v, 1);
    assert_eq!(laid.len(), 1, "what it had not sent is handed in");
    release(&mut v, 1, branch, laid);
    ok(&v.sync(2, 1));
    assert!(v.view(1, unsent).is_some() && v.view(2, unsent).is_some());
    let more = v.create(2, branch, "members", &["full_name=Viết tiếp"]);
    ok(&v.sync(2, 1));
    assert!(v.view(1, more).is_some());
    checked(&v);
}

#[test]
fn a_widening_gives_the_collection_back_for_what_is_written_after_it_and_not_for_what_lies_between() {
    let (mut v, branch, _) = narrowed(743);
    let between = sealed(&mut v, 2, branch, "inspections", &VISIT);
    carry(&mut v, 2, 3, branch);
    let request = InviteRequest {
        unit: branch,
        roles: Roles::EDITOR,
        subtree: false,
        holder: "Hoa".into(),
        until: None,
        use_by: None,
        collections: None,
        replaces: None,
    };
    let now = v.now;
    let r = &mut v.replicas[1];
    let ticket = r.engine.invite(&mut *r.store, &mut r.rng, &request, now).unwrap();
    v.use_ticket(2, &ticket);
    ok(&v.sync(2, 1));
    ok(&v.sync(2, 1));
    ok(&v.sync(3, 1));
    ok(&v.sync(1, 0));
    for at in [0, 1, 3] {
        assert!(v.view(at, between).is_none(), "{at}");
    }
    let after = v.create(2, branch, "inspections", &VISIT);
    ok(&v.sync(2, 1));
    ok(&v.sync(3, 1));
    ok(&v.sync(1, 0));
    for at in [0, 1, 2, 3] {
        assert!(v.view(at, after).is_some(), "{at}");
    }
    assert_eq!(aside(&v, 1).len(), 1);
    checked(&v);
}

#[test]
fn what_a_second_narrowing_takes_counts_up_to_it_and_so_does_what_was_left_before_the_end() {
    let (mut v, branch, before) = narrowed(744);
    ok(&v.sync(2, 1));
    let members = v.create(2, branch, "members", &["full_name=Giữa hai lần"]);
    ok(&v.sync(2, 1));
    // All roles go: what the first narrowing left was right until now.
    narrow(&mut v, 2, branch, Roles::READER, None);
    let unsent = sealed(&mut v, 2, branch, "members", &["full_name=Quá muộn"]);
    carry(&mut v, 2, 1, branch);
    assert!(v.view(2, unsent).is_some() && v.view(1, unsent).is_none());
    let late: CommitId = aside(&v, 1)[0];
    assert_eq!(reasons(&v, 1), ["it lies outside a cut of its device"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(3, 1));
    for at in [1, 2, 3] {
        assert!(v.view(at, before).is_some() && v.view(at, members).is_some(), "{at}");
        assert!(at == 3 || aside(&v, at) == [late], "{at}");
    }
    checked(&v);
}

#[test]
fn a_device_narrowed_and_then_lost_is_cut_by_both_and_its_deposit_lies_aside() {
    let (mut v, branch, before) = narrowed(745);
    ok(&v.sync(2, 1));
    let kept = v.create(2, branch, "members", &["full_name=Đã gửi"]);
    ok(&v.sync(2, 1));
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    let unsent = sealed(&mut v, 2, branch, "members", &["full_name=Chưa gửi"]);
    let end = v.sync(2, 1);
    assert!(end.error.is_none(), "{end:?}");
    assert!(v.view(1, before).is_some() && v.view(1, kept).is_some() && v.view(1, unsent).is_none());
    assert_eq!(aside(&v, 1).len(), 1);
    checked(&v);
}

#[test]
fn what_was_taken_comes_by_no_deposit_of_another_right_either() {
    // Its device deposits after its whole right was closed: members are in time, the inspection is not right.
    let (mut v, branch, _) = narrowed(746);
    let forged = sealed(&mut v, 2, branch, "inspections", &VISIT);
    narrow(&mut v, 2, branch, Roles::READER, None);
    ok(&v.sync(2, 1));
    ok(&v.sync(2, 1));
    assert!(v.view(1, forged).is_none() && v.view(2, forged).is_none());
    assert_eq!(aside(&v, 1), aside(&v, 2));
    checked(&v);
}

#[test]
fn what_rests_on_the_grant_of_a_thief_goes_with_it_from_a_device_that_has_another() {
    let (mut v, district, branch) = three_levels(747);
    let now = v.now;
    let t = v.invite(1, district, Roles::ADMIN);
    let stolen = v.join("deputy", &t, &mut mem);
    ok(&v.sync(stolen, 1));
    let request = InviteRequest {
        unit: branch,
        roles: Roles::EDITOR,
        subtree: false,
        holder: "Hoa".into(),
        until: None,
        use_by: None,
        collections: Some(["members".to_owned()].into()),
        replaces: None,
    };
    let r = &mut v.replicas[1];
    let ticket = r.engine.invite(&mut *r.store, &mut r.rng, &request, now).unwrap();
    let second = v.join("second", &ticket, &mut mem);
    ok(&v.sync(second, 1));
    ok(&v.sync(1, 0));
    ok(&v.sync(stolen, 1));
    // The thief's grant reaches the district and the device, not the city.
    let more = InviteRequest { collections: Some(["inspections".to_owned()].into()), ..request };
    let r = &mut v.replicas[stolen];
    let ticket = r.engine.invite(&mut *r.store, &mut r.rng, &more, now).unwrap();
    ok(&v.sync(stolen, 1));
    v.use_ticket(second, &ticket);
    ok(&v.sync(second, 1));
    let gone = sealed(&mut v, second, branch, "inspections", &VISIT);
    ok(&v.sync(second, 1));
    assert!(v.view(1, gone).is_some() && v.view(0, gone).is_none());
    cut(&mut v, 0, stolen, district, CutKind::Lost);
    ok(&v.sync(1, 0));
    assert!(v.view(1, gone).is_none(), "it rests on a grant that is no more");
    ok(&v.sync(second, 1));
    let kept = v.create(second, branch, "members", &["full_name=Còn quyền"]);
    ok(&v.sync(second, 1));
    ok(&v.sync(1, 0));
    for at in [0, 1, second] {
        assert!(v.view(at, gone).is_none() && v.view(at, kept).is_some(), "{at}");
    }
    checked(&v);
}
