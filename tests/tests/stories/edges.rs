//! Edges: what is written without right, wrong clocks, one device with two units, a newer schema,
//! hostile frames, a tree of many units.

use crate::{city, mem, ok, three_levels};
use sampan_core::charter::{Op, Roles};
use sampan_core::id::{Flow, SpaceId};
use sampan_core::log::{Commit, Header, device_id};
use sampan_core::pack::{self, PackScope, Stored};
use sampan_core::store::Status;
use sampan_core::sync::{Env, Event, Session};
use sampan_core::testing::test_key;
use sampan_core::time::Millis;
use sampan_core::value::Value;
use sampan_core::wire::frame::{Frame, Group, RefuseCode};

#[test]
fn a_commit_without_right_is_kept_aside_and_shown_to_nobody() {
    let (mut v, district, _) = three_levels(50);
    let other = v.unit(1, district, "Chi bộ 2", "branch");
    ok(&v.sync(2, 1));
    // The branch's own key, in a space where it has no right: the hop checks the author.
    let key = v.replicas[2].engine.key().clone();
    let space = SpaceId { unit: other, flow: Flow::Up, reach: 0 };
    let (group, record) = v.forge(&key, space, device_id(&key));
    let now = v.now;
    let from = v.replicas[0].engine.device();
    let r = &mut v.replicas[1];
    let taken = r.engine.intake(&mut *r.store, &mut r.rng, from, &[group], &|_, _| true, now).unwrap();
    assert_eq!((taken.commits, taken.quarantined), (0, 1));
    assert!(v.view(1, record).is_none());
    assert_eq!(v.replicas[1].store.quarantine().unwrap().len(), 1);
    ok(&v.sync(1, 0));
    assert!(v.replicas[0].store.quarantine().unwrap().is_empty(), "it stays at the hop it reached");
    // A grant that makes its log count takes it out again.
    let device = device_id(&key);
    v.grant(1, other, device);
    ok(&v.sync(1, 0));
    ok(&v.sync(1, 0));
    let r = &v.replicas[1];
    let freed = r.store.quarantine().unwrap().is_empty();
    assert!(freed, "judged again when the charter changed");
    assert!(v.view(1, record).is_some());
}

#[test]
fn a_commit_whose_parent_a_full_quarantine_refused_costs_its_bearer_nothing() {
    let (mut v, district, _) = three_levels(59);
    let other = v.unit(1, district, "Chi bộ 2", "branch");
    let key = v.replicas[2].engine.key().clone();
    let space = SpaceId { unit: other, flow: Flow::Up, reach: 0 };
    let (group, _) = v.forge(&key, space, device_id(&key));
    let scope = PackScope { org: v.org, space };
    let payload = pack::decode(&scope, &group.pack, &Stored).unwrap().remove(0);
    let head = group.headers[0].verify(&v.org).unwrap();
    let header = Header { sequence: 2, parents: vec![head.id()], ..head.header().clone() };
    let child = Commit::seal(&key, header, payload).unwrap();
    let pack = pack::encode(&scope, &[child.payload()], &Stored);
    let orphan = Group { headers: vec![child.head().signed().clone()], pack };
    let (now, from) = (v.now, v.replicas[0].engine.device());
    let r = &mut v.replicas[1];
    let taken = r.engine.intake(&mut *r.store, &mut r.rng, from, &[orphan], &|_, _| true, now).unwrap();
    assert_eq!((taken.commits, taken.quarantined), (0, 1), "set aside, and the session goes on");
}

#[test]
fn a_peer_that_sends_outside_the_shared_scope_is_told_and_cut() {
    let (mut v, district, _) = three_levels(51);
    let other = v.unit(1, district, "Chi bộ 2", "branch");
    let key = v.replicas[2].engine.key().clone();
    let (group, _) = v.forge(&key, SpaceId { unit: other, flow: Flow::Up, reach: 0 }, device_id(&key));
    let mut link = v.connect(2, 1, false);
    v.run(&mut link);
    let now = v.now;
    let peer = v.replicas[2].engine.device();
    let mut session = Session::upper(peer);
    let r = &mut v.replicas[1];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let early = Frame::Commits { after: 0, groups: vec![group] }.encode();
    let error = session.receive(&mut env, 0, &early).unwrap_err();
    assert!(error.to_string().contains("Commits"), "nothing before a hello: {error}");
    assert!(Session::refusal(&error).is_some());
}

#[test]
fn garbage_ends_a_session_with_a_reason_and_changes_nothing() {
    let (mut v, _, _) = three_levels(52);
    let peer = v.replicas[2].engine.device();
    let now = v.now;
    let r = &mut v.replicas[1];
    let before = r.store.last_commit().unwrap();
    for bytes in [vec![], vec![0xff; 40], vec![0x82, 0x00, 0x80], Frame::Announce(Default::default()).encode()] {
        let mut session = Session::upper(peer);
        let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
        let error = session.receive(&mut env, 0, &bytes).unwrap_err();
        let told = Session::refusal(&error).unwrap();
        assert!(matches!(Frame::decode(&told), Ok(Frame::Refuse(RefuseCode::Protocol, ..))));
    }
    assert_eq!(r.store.last_commit().unwrap(), before);
}

#[test]
fn a_clock_at_1970_or_2099_hurts_nothing_and_is_put_right() {
    for wrong in [1_000, Millis(4_070_908_800_000).0] {
        let (mut v, _, branch) = three_levels(53);
        let right = v.now;
        v.now = Millis(wrong);
        let an = v.create(2, branch, "members", &["full_name=An", "phone=1"]);
        v.now = right;
        ok(&v.sync(2, 1));
        v.now = Millis(wrong);
        v.set(2, "members", an, &["phone=2"]);
        v.now = right;
        v.set(1, "members", an, &["phone=3"]);
        ok(&v.sync(2, 1));
        ok(&v.sync(1, 0));
        let views: Vec<_> = (0..3).map(|at| v.view(at, an).unwrap()).collect();
        assert!(views.windows(2).all(|w| w[0] == w[1]));
        assert_eq!(views[0].conflicts.len(), 1, "order comes from causes, not from clocks");
    }
}

#[test]
fn one_device_serves_two_units() {
    let (mut v, district, branch) = three_levels(54);
    let second = v.unit(1, district, "Chi bộ 2", "branch");
    let t = v.invite(1, second, Roles::EDITOR);
    v.use_ticket(2, &t);
    ok(&v.sync(2, 1));
    ok(&v.sync(2, 1));
    let a = v.create(2, branch, "members", &["full_name=A"]);
    let b = v.create(2, second, "members", &["full_name=B"]);
    ok(&v.sync(2, 1));
    assert!(v.view(1, a).is_some() && v.view(1, b).is_some());
    let units = v.replicas[2].engine.charter().units_of(&v.replicas[2].engine.device());
    assert_eq!(units.len(), 2);
}

#[test]
fn a_newer_schema_travels_and_an_older_replica_keeps_what_it_does_not_know() {
    let (mut v, _, branch) = three_levels(55);
    let known = sampan_core::schema::builtin();
    let version = known.version + 1;
    let (from, to) = (format!("version = {}", known.version), format!("version = {version}"));
    let mut newer = known.source.replacen(&from, &to, 1);
    newer.push_str("\n[collection.members.field.blood_group]\nkind = \"string\"\nlabel = { vi = \"Nhóm máu\", en = \"Blood group\" }\n");
    assert!(sampan_core::schema::parse(&newer).is_ok(), "{:?}", sampan_core::schema::parse(&newer));
    let now = v.now;
    let root = v.root();
    let r = &mut v.replicas[0];
    r.engine.write_charter(&mut *r.store, &mut r.rng, root, &[Op::Schema { version, text: newer }], now).unwrap();
    ok(&v.sync(1, 0));
    // The district has the new schema, the branch not yet.
    let an = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    assert_eq!(v.replicas[2].engine.schema().unwrap().version, version);
    v.set(2, "members", an, &["blood_group=O"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    assert_eq!(v.field(0, an, "blood_group"), Some(Value::Str("O".into())));
}

#[test]
fn what_fails_admission_is_malformed_everywhere_and_never_shown() {
    let (mut v, _, branch) = three_levels(56);
    let t = v.invite(1, branch, Roles::EDITOR);
    let rogue = v.join("rogue", &t, &mut mem);
    ok(&v.sync(rogue, 1));
    // A rightful author signs a change of an actor that is not its own.
    let key = v.replicas[rogue].engine.key().clone();
    let space = SpaceId { unit: branch, flow: Flow::Up, reach: 0 };
    let foreign = test_key(4_711);
    let (group, record) = v.forge(&foreign, space, device_id(&key));
    let now = v.now;
    let from = v.replicas[rogue].engine.device();
    let r = &mut v.replicas[1];
    r.engine.intake(&mut *r.store, &mut r.rng, from, &[group], &|_, _| true, now).unwrap();
    ok(&v.sync(1, 0));
    for at in [0, 1] {
        assert!(v.view(at, record).is_none(), "at {at}");
        let counts = v.replicas[at].store.irregular(&[branch].into()).unwrap();
        assert_eq!(counts.get(&Status::Malformed), Some(&1), "at {at}");
    }
}

#[test]
fn a_tree_of_many_units_is_in_step_and_a_change_deep_below_is_found() {
    let mut v = city(57);
    let root = v.root();
    let mut branches = Vec::new();
    let mut first = None;
    for d in 0..12 {
        let district = v.unit(0, root, &format!("Quận {d}"), "district");
        first.get_or_insert(district);
        for b in 0..10 {
            branches.push((district, v.unit(0, district, &format!("Chi bộ {d}.{b}"), "branch")));
        }
    }
    let first = first.unwrap();
    let t = v.invite(0, first, Roles::ADMIN);
    let d = v.join("district", &t, &mut mem);
    ok(&v.sync(d, 0));
    v.listen(d, first);
    ok(&v.sync(d, 0));
    let inside: Vec<_> = branches.iter().filter(|(dd, _)| *dd == first).map(|(_, b)| *b).collect();
    for (i, b) in inside.iter().enumerate() {
        for n in 0..8 {
            v.create(d, *b, "members", &[&format!("full_name=Người {i} {n}")]);
        }
    }
    ok(&v.sync(d, 0));
    let end = v.sync(d, 0);
    ok(&end);
    assert_eq!((end.round_trips, end.changes), (1, (0, 0)), "{end:?}");
    let one = v.create(d, inside[7], "members", &["full_name=Thêm"]);
    let end = v.sync(d, 0);
    ok(&end);
    assert_eq!(end.changes.0, 1);
    assert!(v.view(0, one).is_some());
    let _ = Event::Verified;
}

#[test]
fn an_office_that_edits_a_subtree_holds_it_and_its_edits_travel() {
    let (mut v, district, branch) = three_levels(58);
    let now = v.now;
    let r = &mut v.replicas[1];
    let request = sampan_core::engine::InviteRequest {
        unit: district,
        roles: Roles::EDITOR,
        subtree: true,
        holder: "an office".into(),
        until: None,
        use_by: None,
        collections: None,
        replaces: None,
    };
    let ticket = r.engine.invite(&mut *r.store, &mut r.rng, &request, now).unwrap();
    let office = v.join("office", &ticket, &mut mem);
    ok(&v.sync(office, 1));
    let an = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(office, 1));
    assert!(v.view(office, an).is_some(), "it holds what lies below");
    let binh = v.create(office, branch, "members", &["full_name=Bình"]);
    let end = v.sync(office, 1);
    ok(&end);
    assert_eq!(end.changes.0, 1);
    assert!(v.view(1, binh).is_some());
    ok(&v.sync(2, 1));
    assert!(v.view(2, binh).is_some());
}
