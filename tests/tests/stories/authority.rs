//! Who is let in, who is not, and what happens to what they wrote.

use crate::{city, mem, three_levels};
use sampan_core::charter::{Op, Roles};
use sampan_core::sync::Event;
use sampan_core::wire::frame::RefuseCode;

fn refusal(events: &[Event]) -> Option<RefuseCode> {
    events.iter().find_map(|e| match e {
        Event::Refused { code, .. } => Some(*code),
        _ => None,
    })
}

#[test]
fn a_ticket_is_used_once() {
    let mut v = city(20);
    let root = v.root();
    let branch = v.unit(0, root, "Chi bộ 1", "branch");
    let ticket = v.invite(0, branch, Roles::EDITOR);
    let first = v.join("first", &ticket, &mut mem);
    let second = v.join("second", &ticket, &mut mem);
    assert!(v.sync(first, 0).verified());
    let end = v.sync(second, 0);
    assert_eq!(refusal(&end.lower), Some(RefuseCode::TicketUsed), "{end:?}");
    assert!(v.sync(first, 0).verified(), "the rightful one is not disturbed");
}

#[test]
fn an_expired_ticket_is_refused_by_the_relay_and_only_there() {
    let mut v = city(21);
    let root = v.root();
    let branch = v.unit(0, root, "Chi bộ 1", "branch");
    let now = v.now;
    let r = &mut v.replicas[0];
    let request = sampan_core::engine::InviteRequest {
        unit: branch,
        roles: Roles::EDITOR,
        subtree: false,
        holder: "a holder".into(),
        until: None,
        use_by: Some(now),
        collections: None,
        replaces: None,
    };
    let ticket = r.engine.invite(&mut *r.store, &mut r.rng, &request, now).unwrap();
    v.now.0 += 1_000;
    let late = v.join("late", &ticket, &mut mem);
    assert_eq!(refusal(&v.sync(late, 0).lower), Some(RefuseCode::TicketExpired));
}

#[test]
fn a_stranger_is_refused_at_the_door() {
    let (mut v, _, _) = three_levels(22);
    let other = city(23);
    let foreign = other.replicas.into_iter().next().unwrap();
    v.replicas.push(foreign);
    let at = v.replicas.len() - 1;
    let end = v.sync(at, 0);
    assert_eq!(refusal(&end.upper), Some(RefuseCode::WrongOrganisation), "{end:?}");
}

#[test]
fn a_revoked_device_is_refused_and_told_why() {
    let (mut v, district, _) = three_levels(24);
    let device = v.replicas[2].engine.device();
    let now = v.now;
    let r = &mut v.replicas[1];
    let op = Op::Revoke { key: device, reason: "máy bị mất".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, district, &[op], now).unwrap();
    let end = v.sync(2, 1);
    assert_eq!(refusal(&end.lower), Some(RefuseCode::GrantEnded), "{end:?}");
}

#[test]
fn a_reader_cannot_write_and_a_branch_cannot_write_elsewhere() {
    let (mut v, district, branch) = three_levels(25);
    let t = v.invite(1, branch, Roles::READER);
    let reader = v.join("reader", &t, &mut mem);
    assert!(v.sync(reader, 1).verified());
    assert!(v.try_create(reader, branch, "members", &["full_name=X"]).is_err());
    assert!(v.try_create(2, district, "members", &["full_name=X"]).is_err());
}

#[test]
fn a_branch_cannot_invite() {
    let (mut v, _, branch) = three_levels(26);
    let now = v.now;
    let r = &mut v.replicas[2];
    let request = sampan_core::engine::InviteRequest {
        unit: branch,
        roles: Roles::ADMIN,
        subtree: false,
        holder: "a holder".into(),
        until: None,
        use_by: None,
        collections: None,
        replaces: None,
    };
    let refused = r.engine.invite(&mut *r.store, &mut r.rng, &request, now);
    assert!(refused.is_err_and(|e| e.to_string().contains("no right")));
}
