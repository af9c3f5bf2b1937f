//! Deposits: what a device may still do whose rights have ended, and what it may not.
//!
//! They do not: try what a cut means for what counts (`cuts`).

use crate::cuts::{aside, carry_charter, checked, cut, release, stolen};
use crate::narrowing::team;
use crate::{mem, ok};
use sampan_core::charter::{CutKind, Roles};
use sampan_core::id::{DeviceId, Flow, UnitId};
use sampan_core::limits::DEPOSIT_COMMITS_MAX;
use sampan_core::log::{Commit, Header};
use sampan_core::pack::PackScope;
use sampan_core::store::CommitKey;
use sampan_core::sync::{Env, Event, Session, SessionError};
use sampan_core::testing::village::{LinkEnd, Village};
use sampan_core::wire::frame::{Frame, Group, Mark, RefuseCode, ScopeDigests};

fn deposited(end: &LinkEnd) -> Option<(u64, u64, u64)> {
    end.upper.iter().find_map(|e| match e {
        Event::Deposited { counting, aside, refused } => Some((*counting, *aside, *refused)),
        _ => None,
    })
}

fn refused(events: &[Event]) -> Option<(RefuseCode, String)> {
    events.iter().find_map(|e| match e {
        Event::Refused { code, text, .. } => Some((*code, text.clone())),
        _ => None,
    })
}

fn held(v: &Village, at: usize) -> (CommitKey, usize) {
    (v.replicas[at].store.last_commit().unwrap(), v.replicas[at].engine.charter_version())
}

#[test]
fn what_an_old_pc_had_not_sent_is_handed_in_released_and_reaches_the_new_pc() {
    let (mut v, _, branch, before) = stolen(720);
    let unsent = v.create(2, branch, "members", &["full_name=Chưa gửi"]);
    v.seal(2);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    // What the thief writes, and what others write meanwhile.
    v.set(2, "members", before, &["full_name=Bị sửa"]);
    let later = v.create(3, branch, "members", &["full_name=Sau khi mất"]);
    ok(&v.sync(3, 1));
    let had = (held(&v, 1), v.replicas[2].engine.charter_version());
    let end = v.sync(2, 1);
    assert!(end.error.is_none(), "{end:?}");
    let (code, text) = refused(&end.lower).unwrap();
    assert_eq!(code, RefuseCode::GrantEnded);
    assert!(text.contains("máy bị mất") && text.contains("handed in (2 commits)"), "{text}");
    assert_eq!(deposited(&end), Some((0, 2, 0)));
    assert_eq!(held(&v, 1), had.0, "nothing of it counts");
    assert_eq!(v.replicas[2].engine.charter_version(), had.1, "it is told of nothing but its own end");
    assert!(v.view(2, later).is_none());
    let ended = v.replicas[2].engine.ended(&*v.replicas[2].store).unwrap().unwrap();
    assert_eq!((ended.reason.as_str(), ended.for_good, ended.handed_in, ended.left), ("máy bị mất", true, 2, 0));
    let no = v.try_create(2, branch, "members", &["full_name=X"]).unwrap_err();
    assert!(no.contains("máy bị mất"), "{no}");
    checked(&v);

    // Again: nothing is sent twice, and nothing is counted twice.
    let end = v.sync(2, 1);
    assert_eq!(deposited(&end), Some((0, 0, 0)));
    assert_eq!(v.replicas[2].engine.ended(&*v.replicas[2].store).unwrap().unwrap().handed_in, 2);

    let first = aside(&v, 1)[0];
    release(&mut v, 1, branch, vec![first]);
    ok(&v.sync(3, 1));
    ok(&v.sync(1, 0));
    for at in [0, 1, 3] {
        assert!(v.view(at, unsent).is_some(), "{at}");
        assert_eq!(format!("{:?}", v.field(at, before, "full_name").unwrap()), "Str(\"Nguyễn Văn An\")", "{at}");
    }
    checked(&v);
}

#[test]
fn a_device_that_had_heard_of_its_cut_hands_in_what_its_own_cut_took_from_it() {
    let (mut v, _, branch, _) = stolen(721);
    let unsent = v.create(2, branch, "members", &["full_name=Chưa gửi"]);
    v.seal(2);
    cut(&mut v, 1, 2, branch, CutKind::Retire);
    // Its charter comes by hand: what it had not sent lies in its own quarantine now.
    carry_charter(&mut v, 1, 2);
    assert_eq!(aside(&v, 2).len(), 1);
    let ways = sampan_core::scope::ways(v.replicas[2].engine.charter(), &v.replicas[2].engine.device());
    assert_eq!(ways.iter().map(|way| way.rungs.len()).collect::<Vec<_>>(), [2]);
    assert_eq!(deposited(&v.sync(2, 1)), Some((0, 1, 0)));
    let id = aside(&v, 1)[0];
    release(&mut v, 1, branch, vec![id]);
    ok(&v.sync(3, 1));
    assert!(v.view(3, unsent).is_some());
    checked(&v);
}

#[test]
fn what_was_written_in_time_counts_at_once_and_what_says_that_it_was_not_stays() {
    let (mut v, _, branch, _) = stolen(722);
    let until = sampan_core::time::Millis(v.now.0 + 1_000);
    let ticket = team(&mut v, branch, until);
    let team = v.join("team", &ticket, &mut mem);
    ok(&v.sync(team, 1));
    let in_time = v.create(team, branch, "members", &["full_name=Kịp"]);
    // Sealed when the link comes up, after the end.
    v.now.0 = until.0 + 1;
    let end = v.sync(team, 1);
    assert_eq!(refused(&end.lower).map(|(code, _)| code), Some(RefuseCode::GrantEnded));
    assert_eq!(deposited(&end), Some((1, 0, 0)));
    assert!(v.view(1, in_time).is_some() && aside(&v, 1).is_empty());
    let ended = v.replicas[team].engine.ended(&*v.replicas[team].store).unwrap().unwrap();
    assert_eq!((ended.for_good, ended.handed_in, ended.left), (false, 1, 0));
    // One that says itself that it is later: its own replica would not have let it be written.
    let own = v.replicas[team].engine.device();
    let group = groups_of(&v, team, |_, flow, d| flow == Flow::Up && d == own).pop().unwrap();
    let r = &v.replicas[team];
    let head = group.headers[0].verify(&r.engine.org()).unwrap();
    let scope = PackScope { org: r.engine.org(), space: head.header().space };
    let mut payload = sampan_core::pack::decode(&scope, &group.pack, r.engine.codec()).unwrap().remove(0);
    payload.entries.iter_mut().for_each(|e| e.entry.time.0 = until.0 + 1);
    let header = Header { sequence: 2, parents: vec![head.id()], ..head.header().clone() };
    let late = Commit::seal(r.engine.key(), header, payload).unwrap();
    let pack = sampan_core::pack::encode(&scope, &[late.payload()], r.engine.codec());
    let group = Group { headers: vec![late.head().signed().clone()], pack };
    let before = held(&v, 1);
    let (_, result) = hostile(&mut v, team, 1, &[Frame::Commits { after: 0, groups: vec![group] }, end_mark(2)]);
    assert_eq!((result, held(&v, 1)), (Ok(()), before));
    assert!(aside(&v, 1).is_empty());
    checked(&v);
}

/// What a revoked device that keeps no rule sends to a relay, after an honest hello.
fn hostile(v: &mut Village, at: usize, relay: usize, frames: &[Frame]) -> (Vec<Frame>, Result<(), SessionError>) {
    crate::forget(v, at, relay);
    let (now, upper) = (v.now, v.replicas[relay].engine.device());
    let lower: DeviceId = v.replicas[at].engine.device();
    let r = &mut v.replicas[at];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let hello = Session::lower(&mut env, upper, false).unwrap().next_frame(&mut env, &|_| true).unwrap().unwrap().1;
    let r = &mut v.replicas[relay];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut session = Session::upper(lower);
    let mut result = session.receive(&mut env, 0, &hello);
    let mut said = Vec::new();
    for frame in frames {
        if result.is_ok() {
            result = session.receive(&mut env, 0, &frame.encode());
        }
    }
    while let Some((_, bytes)) = session.next_frame(&mut env, &|_| true).unwrap() {
        said.push(Frame::decode(&bytes).unwrap());
    }
    (said, result)
}

fn groups_of(v: &Village, at: usize, wanted: impl Fn(&UnitId, Flow, DeviceId) -> bool) -> Vec<Group> {
    let r = &v.replicas[at];
    let rows = r.store.stored_after(CommitKey(0), usize::MAX >> 1).unwrap();
    let rows = rows.into_iter().filter(|(log, _)| wanted(&log.space.unit, log.space.flow, log.device));
    rows.flat_map(|(log, row)| r.store.groups(&log.space, &[row.key]).unwrap()).collect()
}

fn end_mark(frames: u64) -> Frame {
    let now = sampan_core::time::Millis(1);
    Frame::Mark(Mark { number: 1, frames, digests: ScopeDigests::default(), answer: false, clock: now })
}

#[test]
fn a_deposit_takes_no_charter_and_nobody_elses_work_and_tells_nothing_else() {
    let (mut v, district, branch, _) = stolen(723);
    // An admin's device that is cut, with a grant of its own making and another's record in its bag.
    let ticket = v.invite(0, district, Roles::ADMIN);
    let admin = v.join("deputy", &ticket, &mut mem);
    ok(&v.sync(1, 0));
    // A deputy dials the relay of its own unit.
    ok(&v.sync(admin, 1));
    ok(&v.sync(1, 0));
    cut(&mut v, 0, admin, district, CutKind::Revoke);
    ok(&v.sync(1, 0));
    v.invite(admin, branch, Roles::ADMIN);
    let own = v.create(admin, district, "members", &["full_name=Của mình"]);
    v.seal(admin);
    let others = v.create(3, branch, "members", &["full_name=Của người khác"]);
    v.seal(3);
    let device = v.replicas[admin].engine.device();
    let charter = groups_of(&v, admin, |_, flow, d| flow == Flow::Charter && d == device);
    assert!(!charter.is_empty());
    let mut groups = charter;
    groups.extend(groups_of(&v, 3, |_, flow, _| flow == Flow::Up));
    groups.extend(groups_of(&v, admin, |_, flow, _| flow == Flow::Up));
    let before = held(&v, 1);
    let asks = Frame::Frontier(vec![]);
    let (said, result) = hostile(&mut v, admin, 1, &[Frame::Commits { after: 0, groups }, asks, end_mark(3)]);
    assert_eq!(result, Ok(()));
    assert_eq!(held(&v, 1), before, "no charter, and nothing that counts");
    assert!(v.view(1, own).is_none() && v.view(1, others).is_none());
    let laid = v.replicas[1].engine.laid(&*v.replicas[1].store).unwrap();
    assert!(laid.len() == 1 && laid[0].held.head.header().device == device);
    // What the relay says: its own commits, the cut, the refusal.
    let names: Vec<&str> = said.iter().map(Frame::name).collect();
    assert_eq!(names, ["Deposit", "Deposit", "Refuse"]);
    for frame in &said {
        if let Frame::Deposit(told) = frame {
            assert!(told.held.iter().flat_map(|s| &s.logs).all(|log| log.device == device), "{told:?}");
            assert_eq!(told.cut.is_some(), !told.last);
        }
    }
    checked(&v);
}

#[test]
fn a_deposit_is_bounded_and_a_flood_of_it_is_cut() {
    let (mut v, _, branch, _) = stolen(724);
    cut(&mut v, 1, 2, branch, CutKind::Lost);
    v.create(2, branch, "members", &["full_name=X"]);
    v.seal(2);
    let group = groups_of(&v, 2, |_, flow, _| flow == Flow::Up).pop().unwrap();
    let bag = |n: usize| Frame::Commits { after: 0, groups: vec![group.clone(); n] };
    let (_, result) = hostile(&mut v, 2, 1, &[bag(DEPOSIT_COMMITS_MAX), bag(DEPOSIT_COMMITS_MAX)]);
    assert_eq!(result, Ok(()));
    let (said, result) = hostile(&mut v, 2, 1, &[bag(DEPOSIT_COMMITS_MAX), bag(DEPOSIT_COMMITS_MAX), bag(1)]);
    assert_eq!(result, Err(SessionError::PeerFlood));
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(aside(&v, 1).len(), 1);
    checked(&v);
}

#[test]
fn a_deposit_frame_belongs_to_the_door_and_nowhere_else() {
    let (mut v, _, branch, _) = stolen(725);
    let told = Frame::Deposit(Box::default());
    // To a relay; and to a device in the middle of an ordinary session.
    let (_, result) = hostile(&mut v, 2, 1, std::slice::from_ref(&told));
    assert_eq!(result, Err(SessionError::PeerOrder("Deposit")));
    let mut link = v.connect(3, 1, false);
    v.run(&mut link);
    assert!(v.end(link).verified());
    // A relay that says so without a cut is believed for what it is: a closed door, and no end of the work.
    let (now, upper) = (v.now, v.replicas[1].engine.device());
    let r = &mut v.replicas[3];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut session = Session::lower(&mut env, upper, false).unwrap();
    session.receive(&mut env, 0, &told.encode()).unwrap();
    assert!(!r.engine.ended(&*r.store).unwrap().unwrap().for_good);
    v.create(3, branch, "members", &["full_name=Việc vẫn chạy"]);
    ok(&v.sync(3, 1));
    assert!(v.replicas[3].engine.ended(&*v.replicas[3].store).unwrap().is_none(), "let in again");
}
