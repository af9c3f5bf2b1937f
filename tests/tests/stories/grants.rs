//! What a grant narrows: to a district, to some collections, to a time, to inspections; several units on one
//! device; deputies; handing over the post. And what a forged one comes to.

use crate::{city, mem, ok, three_levels};
use sampan_core::charter::{Grant, Op, Roles, Ticket};
use sampan_core::engine::{EditFailure, InviteRequest, NewRecord, SealLimits, TicketFate};
use sampan_core::id::{CommitId, DeviceId, Flow, Incarnation, Nonce, RecordId, SpaceId, UnitId};
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use sampan_core::sync::Event;
use sampan_core::testing::test_key;
use sampan_core::testing::village::{Village, plain_grant};
use sampan_core::time::Millis;
use sampan_core::value::Value;
use sampan_core::wire::frame::{Group, RefuseCode};
use std::collections::BTreeMap;

const DAY: u64 = 24 * 3_600_000;

fn request(unit: UnitId, roles: Roles) -> InviteRequest {
    let holder = "a holder".into();
    InviteRequest { unit, roles, subtree: false, holder, until: None, use_by: None, collections: None, replaces: None }
}

fn invite(v: &mut Village, by: usize, request: &InviteRequest) -> Ticket {
    let now = v.now;
    let r = &mut v.replicas[by];
    r.engine.invite(&mut *r.store, &mut r.rng, request, now).unwrap()
}

/// The key of a device of the village of a seed.
fn key_of(seed: u64, device: DeviceId) -> ed25519_dalek::SigningKey {
    (seed * 1_000..).take(40).map(test_key).find(|k| device_id(k) == device).unwrap()
}

fn named(all: &[&str]) -> Option<std::collections::BTreeSet<String>> {
    Some(all.iter().map(|c| (*c).to_owned()).collect())
}

fn refusal(events: &[Event]) -> Option<RefuseCode> {
    events.iter().find_map(|e| if let Event::Refused { code, .. } = e { Some(*code) } else { None })
}

/// A charter commit under any key, whatever its right.
fn forged(v: &Village, key: &ed25519_dalek::SigningKey, unit: UnitId, op: &Op, seen: &[CommitId]) -> Commit {
    let payload = op.encode();
    let payload_hash = Entry::hash_payload(EntryKind::Charter, &payload);
    let record = RecordId::from_slice(&payload_hash[..16]).unwrap();
    let (kind, collection) = (EntryKind::Charter, String::new());
    let entry = Entry { kind, record, collection, payload_hash, time: v.now, birth: None };
    let header = Header {
        format: FORMAT,
        org: v.org,
        space: SpaceId::charter(unit),
        device: device_id(key),
        incarnation: Incarnation([9; 16]),
        sequence: 1,
        parents: Vec::new(),
        nonce: Nonce([9; 16]),
        charter_heads: seen.to_vec(),
        time: v.now,
        entries: 0,
        root: [0; 32],
    };
    let entries = vec![EntryPayload { entry, payload }];
    Commit::seal(key, header, Payload { secret: [1; 16].into(), entries }).unwrap()
}

#[test]
fn a_district_admin_grants_inside_its_district_and_nowhere_else() {
    let (mut v, district, branch) = three_levels(400);
    let root = v.root();
    let sibling = v.unit(0, root, "Quận Hoàn Kiếm", "district");
    ok(&v.sync(1, 0));
    for (name, roles) in Roles::NAMES {
        invite(&mut v, 1, &request(branch, roles));
        invite(&mut v, 1, &request(district, roles.union(Roles::INSPECTOR)));
        for place in [root, sibling] {
            let now = v.now;
            let r = &mut v.replicas[1];
            let refused = r.engine.invite(&mut *r.store, &mut r.rng, &request(place, roles), now);
            assert!(refused.is_err_and(|e| e.to_string().contains("no right")), "{name}");
        }
    }
    ok(&v.sync(1, 0));
    assert!(v.replicas[0].engine.charter().void().is_empty());

    // A forged one, in a charter that it may not write: it counts nowhere, and gives nobody anything.
    let district_key = v.replicas[1].engine.device();
    let key = key_of(400, district_key);
    let friend = device_id(&test_key(900));
    let grant = Grant { subtree: true, ..plain_grant(friend, Roles::ADMIN, v.now) };
    for place in [root, sibling] {
        let heads = v.replicas[0].engine.charter().heads(&place);
        let commit = forged(&v, &key, place, &Op::Grant(grant.clone()), &heads);
        let would = v.replicas[0].engine.charter_with(std::slice::from_ref(&commit));
        assert!(would.roles(&friend, &place).is_none() && would.rights(&friend).next().is_none());
        assert!(would.void().iter().any(|o| o.commit == commit.id()), "listed, with why");
        assert!(!would.counts(&district_key, &SpaceId::charter(place)), "and kept out of the charter");
    }
}

#[test]
fn a_grant_lets_write_its_collections_alone() {
    let (mut v, _, branch) = three_levels(401);
    let ticket = invite(
        &mut v,
        1,
        &InviteRequest { collections: named(&["receipts", "resolutions"]), ..request(branch, Roles::EDITOR) },
    );
    let at = v.join("helper", &ticket, &mut mem);
    // Before any link the ticket says it, and after the charter the charter.
    for _ in 0..2 {
        let refused = v.try_create(at, branch, "members", &["full_name=X"]).unwrap_err();
        assert!(refused.contains("no right to write members"), "{refused}");
        ok(&v.sync(at, 1));
    }
    let kept = v.create(at, branch, "resolutions", &["title=Nghị quyết 1"]);
    ok(&v.sync(at, 1));
    assert!(v.view(1, kept).is_some(), "what it may write travels");
    // The others of the branch write everything, and it reads everything.
    let member = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(at, 1));
    assert_eq!(v.field(at, member, "full_name"), Some(Value::Str("An".into())));
}

/// A program that does not ask whether its grant lets it write a collection: the villages, its unit, its replica, the
/// commit that it signed, and the record in it.
fn beyond_its_grant(seed: u64) -> (Village, UnitId, usize, Group, RecordId) {
    let (mut v, _, branch) = three_levels(seed);
    let ticket =
        invite(&mut v, 1, &InviteRequest { collections: named(&["receipts"]), ..request(branch, Roles::EDITOR) });
    let at = v.join("forger", &ticket, &mut mem);
    ok(&v.sync(at, 1));
    ok(&v.sync(1, 0));
    let schema = v.replicas[at].engine.schema().cloned().unwrap();
    let members = schema.collection("members").unwrap();
    let now = v.now;
    let device = v.replicas[at].engine.device();
    let key = key_of(seed, device);
    let heads = v.replicas[1].engine.charter().heads(&branch);
    let nonce = Nonce([5; 16]);
    let actor = sampan_core::id::ActorId::of(&device, &nonce);
    let fields: BTreeMap<String, (sampan_core::value::Kind, Value)> =
        [("full_name".to_owned(), (sampan_core::value::Kind::String, Value::Str("Mạo danh".into())))].into();
    let change = sampan_core::record::create(&actor, now, [3; 6], &fields).unwrap();
    let space = members.space(branch);
    let id = sampan_core::record::ids::record_id(&space, &change.hash);
    let entry = Entry {
        kind: EntryKind::Change,
        record: id,
        collection: "members".into(),
        payload_hash: change.hash.0,
        time: now,
        birth: None,
    };
    let header = Header {
        format: FORMAT,
        org: v.org,
        space,
        device,
        incarnation: Incarnation(nonce.0),
        sequence: 1,
        parents: Vec::new(),
        nonce,
        charter_heads: heads,
        time: now,
        entries: 0,
        root: [0; 32],
    };
    let entries = vec![EntryPayload { entry, payload: change.bytes }];
    let commit = Commit::seal(&key, header, Payload { secret: [1; 16].into(), entries }).unwrap();
    let scope = sampan_core::pack::PackScope { org: v.org, space };
    let group = Group {
        headers: vec![commit.head().signed().clone()],
        pack: sampan_core::pack::encode(&scope, &[commit.payload()], &sampan_core::pack::Stored),
    };
    (v, branch, at, group, id)
}

fn take(v: &mut Village, hop: usize, from: usize, group: &Group) -> (u64, u64) {
    let (device, now) = (v.replicas[from].engine.device(), v.now);
    let r = &mut v.replicas[hop];
    let groups = std::slice::from_ref(group);
    let taken = r.engine.intake(&mut *r.store, &mut r.rng, device, groups, &|_, _| true, now).unwrap();
    (taken.commits, taken.quarantined)
}

#[test]
fn what_a_grant_does_not_let_write_is_set_aside_at_every_hop_until_a_grant_does() {
    let (mut v, branch, at, group, id) = beyond_its_grant(402);
    for hop in [1, 0] {
        assert_eq!(take(&mut v, hop, at, &group), (0, 1), "hop {hop}");
        assert!(v.replicas[hop].store.quarantine().unwrap()[0].reason.contains("collection"), "hop {hop}");
        assert!(v.view(hop, id).is_none());
    }
    // A wider grant, later, lets it in: nothing has to be sent again.
    let wider = invite(&mut v, 1, &request(branch, Roles::EDITOR));
    v.use_ticket(at, &wider);
    ok(&v.sync(at, 1));
    assert!(v.view(1, id).is_some());
    assert_eq!(v.replicas[1].store.quarantine().unwrap().len(), 0);
}

#[test]
fn an_operator_may_let_in_what_a_grant_did_not_let_write() {
    let (mut v, branch, at, group, id) = beyond_its_grant(404);
    assert_eq!(take(&mut v, 1, at, &group), (0, 1));
    let commits = vec![v.replicas[1].store.quarantine().unwrap()[0].head.id()];
    let (op, now) = (Op::Release { commits, reason: "đúng là của chi bộ".into() }, v.now);
    let r = &mut v.replicas[1];
    r.engine.write_charter(&mut *r.store, &mut r.rng, branch, &[op], now).unwrap();
    ok(&v.sync(at, 1));
    ok(&v.sync(1, 0));
    for hop in [1, 0] {
        assert!(v.view(hop, id).is_some(), "hop {hop}");
        assert_eq!(v.replicas[hop].store.quarantine().unwrap().len(), 0, "hop {hop}");
    }
}

#[test]
fn an_admin_of_some_collections_hands_on_no_others() {
    let mut v = city(403);
    let root = v.root();
    let unit = v.unit(0, root, "Ban", "district");
    let narrow = InviteRequest { collections: named(&["receipts"]), ..request(unit, Roles::ADMIN) };
    let ticket = invite(&mut v, 0, &narrow);
    let at = v.join("admin", &ticket, &mut mem);
    ok(&v.sync(at, 0));
    let void = |v: &Village| v.replicas[at].engine.charter().void().len();
    for good in [
        InviteRequest { collections: named(&["receipts"]), ..request(unit, Roles::EDITOR) },
        request(unit, Roles::READER),
        request(unit, Roles::RELAY),
    ] {
        invite(&mut v, at, &good);
        assert_eq!(void(&v), 0, "{good:?}");
    }
    let bad = [
        request(unit, Roles::EDITOR),
        request(unit, Roles::ADMIN),
        request(unit, Roles::INSPECTOR),
        InviteRequest { collections: named(&["receipts", "members"]), ..request(unit, Roles::EDITOR) },
    ];
    for (n, bad) in bad.into_iter().enumerate() {
        invite(&mut v, at, &bad);
        assert_eq!(void(&v), n + 1, "{bad:?}");
    }
    ok(&v.sync(at, 0));
    assert_eq!(v.replicas[0].engine.charter().void().len(), 4, "void everywhere");
}

#[test]
fn an_inspector_reads_everything_and_writes_inspections() {
    let (mut v, _, branch) = three_levels(404);
    let member = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    let ticket = v.invite(1, branch, Roles::INSPECTOR);
    let at = v.join("inspector", &ticket, &mut mem);
    ok(&v.sync(at, 1));
    assert_eq!(v.field(at, member, "full_name"), Some(Value::Str("An".into())));
    assert!(v.try_create(at, branch, "members", &["full_name=X"]).is_err());
    let seen = v.create(at, branch, "inspections", &["subject=Sổ sách", "inspected_on=2026-11-20"]);
    ok(&v.sync(at, 1));
    ok(&v.sync(1, 0));
    assert!(v.view(1, seen).is_some() && v.view(0, seen).is_some());
    ok(&v.sync(2, 1));
    assert!(v.view(2, seen).is_some(), "the branch sees what was found");
}

#[test]
fn one_device_serves_several_units() {
    let (mut v, district, first) = three_levels(405);
    let second = v.unit(1, district, "Chi bộ 2", "branch");
    ok(&v.sync(1, 0));
    let tickets = [v.invite(1, first, Roles::EDITOR), v.invite(1, second, Roles::EDITOR)];
    let at = v.join("both", &tickets[0], &mut mem);
    ok(&v.sync(at, 1));
    v.use_ticket(at, &tickets[1]);
    ok(&v.sync(at, 1));
    for unit in [first, second] {
        let id = v.create(at, unit, "members", &["full_name=An"]);
        ok(&v.sync(at, 1));
        assert!(v.view(1, id).is_some(), "{unit}");
    }
    assert_eq!(v.replicas[0].engine.charter().void().len(), 0);
}

#[test]
fn two_tickets_used_before_any_link_both_hold() {
    let (mut v, district, first) = three_levels(410);
    let second = v.unit(1, district, "Chi bộ 2", "branch");
    let tickets = [v.invite(1, first, Roles::EDITOR), v.invite(1, second, Roles::EDITOR)];
    let at = v.join("both", &tickets[0], &mut mem);
    v.use_ticket(at, &tickets[1]);
    ok(&v.sync(at, 1));
    for unit in [first, second] {
        v.create(at, unit, "members", &["full_name=An"]);
    }
}

/// The second ticket was issued by the city while the district had no link: the district cannot place its chain
/// and takes the other; nothing is lost when it learns of the unit, over the same link or a later one.
#[test]
fn a_ticket_that_the_relay_cannot_place_yet_keeps_no_other_from_working_and_is_not_lost() {
    for same_link in [true, false] {
        let (mut v, district, first) = three_levels(411);
        let second = v.unit(0, district, "Chi bộ 2", "branch");
        // Its grant follows another of the same author, which has not arrived either.
        v.invite(0, second, Roles::READER);
        let tickets = [v.invite(1, first, Roles::EDITOR), v.invite(0, second, Roles::EDITOR)];
        let at = v.join("both", &tickets[1], &mut mem);
        v.use_ticket(at, &tickets[0]);
        let device = v.replicas[at].engine.device();
        let units = |v: &Village| v.replicas[1].engine.charter().rights(&device).map(|r| r.unit).collect::<Vec<_>>();
        let mut link = v.connect(at, 1, false);
        v.run(&mut link);
        v.create(at, first, "members", &["full_name=An"]);
        assert_eq!(units(&v), [first]);
        ok(&v.sync(1, 0));
        if same_link {
            v.run(&mut link);
            assert_eq!(units(&v).len(), 2, "tried again when the charter grew");
        }
        ok(&v.sync(at, 1));
        v.create(at, second, "members", &["full_name=Bình"]);
        assert_eq!(units(&v).len(), 2, "shown again until the charter shows it");
        let quiet = v.replicas[at].engine.chains(&*v.replicas[at].store).unwrap();
        assert!(quiet.is_empty(), "what the charter shows is shown no more");
    }
}

/// Of two tickets one was used by another device first, or is over: the other works, and what is over opens nothing.
#[test]
fn a_spent_ticket_shuts_nobody_out_who_has_another() {
    let (mut v, district, first) = three_levels(412);
    let second = v.unit(1, district, "Chi bộ 2", "branch");
    let third = v.unit(1, district, "Chi bộ 3", "branch");
    let used = v.invite(1, second, Roles::EDITOR);
    let now = v.now;
    let over = invite(&mut v, 1, &InviteRequest { use_by: Some(Millis(now.0 - 1)), ..request(third, Roles::EDITOR) });
    let good = v.invite(1, first, Roles::EDITOR);
    let other = v.join("other", &used, &mut mem);
    ok(&v.sync(other, 1));
    let at = v.join("three", &used, &mut mem);
    v.use_ticket(at, &over);
    v.use_ticket(at, &good);
    ok(&v.sync(at, 1));
    let device = v.replicas[at].engine.device();
    let units: Vec<UnitId> = v.replicas[1].engine.charter().rights(&device).map(|r| r.unit).collect();
    assert_eq!(units, [first]);
    let fate = |ticket: &Ticket| {
        let key = sampan_core::log::device_id(&ed25519_dalek::SigningKey::from_bytes(&ticket.seed));
        let r = &v.replicas[at];
        r.engine.ticket_fate(&*r.store, &ticket.unit, &key, v.now).unwrap()
    };
    assert_eq!([&used, &over, &good].map(fate), [TicketFate::Used, TicketFate::Expired, TicketFate::Counts]);
    // Alone, each is refused as before.
    for (ticket, code) in [(&used, RefuseCode::TicketUsed), (&over, RefuseCode::TicketExpired)] {
        let alone = v.join("alone", ticket, &mut mem);
        assert_eq!(refusal(&v.sync(alone, 1).lower), Some(code));
    }
}

#[test]
fn two_tickets_on_one_unit_before_any_link_both_hold() {
    let (mut v, _, first) = three_levels(413);
    let tickets = [v.invite(1, first, Roles::READER), v.invite(1, first, Roles::EDITOR)];
    let at = v.join("twice", &tickets[1], &mut mem);
    v.use_ticket(at, &tickets[0]);
    // The same line again adds nothing that could not be taken.
    v.use_ticket(at, &tickets[0]);
    ok(&v.sync(at, 1));
    v.create(at, first, "members", &["full_name=An"]);
    let device = v.replicas[at].engine.device();
    assert_eq!(v.replicas[1].engine.charter().rights(&device).count(), 2);
}

#[test]
fn a_teams_device_is_refused_when_its_time_is_over_and_loses_nothing_if_it_is_renewed() {
    let (mut v, district, first) = three_levels(406);
    let second = v.unit(1, district, "Chi bộ 2", "branch");
    let other = v.unit(1, district, "Chi bộ 3", "branch");
    let end = Millis(v.now.0 + 10 * DAY);
    let mut tickets = [first, second]
        .map(|unit| invite(&mut v, 1, &InviteRequest { until: Some(end), ..request(unit, Roles::EDITOR) }))
        .into_iter();
    let at = v.join("team", &tickets.next().unwrap(), &mut mem);
    ok(&v.sync(at, 1));
    v.use_ticket(at, &tickets.next().unwrap());
    ok(&v.sync(at, 1));
    let seen = v.create(2, first, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(at, 1));
    assert!(v.view(at, seen).is_some());
    assert!(v.try_create(at, other, "members", &["full_name=X"]).is_err(), "the units that were named, no others");

    // Written in time, not sent in time.
    let late = v.create(at, first, "members", &["full_name=Bình"]);
    v.now = Millis(end.0 + 1);
    let refused = v.try_create(at, first, "members", &["full_name=X"]).unwrap_err();
    assert!(refused.contains("has ended"), "{refused}");
    let over = v.sync(at, 1);
    assert_eq!(refusal(&over.lower), Some(RefuseCode::GrantEnded), "{over:?}");
    let after = v.create(2, first, "members", &["full_name=Cúc"]);
    ok(&v.sync(2, 1));
    v.sync(at, 1);
    assert!(v.view(1, late).is_some(), "it is pushed first");
    assert!(v.view(at, after).is_none(), "and nothing comes any more");

    let renewed = v.invite(1, first, Roles::EDITOR);
    v.use_ticket(at, &renewed);
    ok(&v.sync(at, 1));
    assert!(v.view(at, after).is_some() && v.replicas[at].engine.ended(&*v.replicas[at].store).unwrap().is_none());
}

#[test]
fn what_is_written_after_the_end_stays_unsealed() {
    let (mut v, _, branch) = three_levels(407);
    let end = Millis(v.now.0 + DAY);
    let ticket = invite(&mut v, 1, &InviteRequest { until: Some(end), ..request(branch, Roles::EDITOR) });
    let at = v.join("team", &ticket, &mut mem);
    ok(&v.sync(at, 1));
    v.now = Millis(end.0 + 1);
    let now = v.now;
    let r = &mut v.replicas[at];
    let schema = r.engine.schema().cloned().unwrap();
    let collection = schema.collection("members").unwrap();
    let fields = [("full_name".to_owned(), Value::Str("X".into()))].into();
    let new = NewRecord { collection, unit: branch, fields };
    let refused = r.engine.create(&mut *r.store, &mut r.rng, vec![new], now);
    assert!(matches!(refused, Err(EditFailure::Ended { at, .. }) if at == end));
    assert_eq!(r.engine.seal(&mut *r.store, &mut r.rng, SealLimits::default(), now).unwrap(), 0);
}

#[test]
fn deputies_have_the_same_right_and_their_work_meets() {
    let (mut v, _, branch) = three_levels(408);
    let t = v.invite(1, branch, Roles::EDITOR);
    let deputy = v.join("deputy", &t, &mut mem);
    ok(&v.sync(deputy, 1));
    let id = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(deputy, 1));
    v.set(2, "members", id, &["phone=0912345678"]);
    v.set(deputy, "members", id, &["status=official"]);
    for at in [2, deputy, 2] {
        ok(&v.sync(at, 1));
    }
    for at in [1, 2, deputy] {
        let fields = v.view(at, id).unwrap().fields;
        assert!(fields.contains_key("phone") && fields.contains_key("status"), "replica {at}: {fields:?}");
    }
}

#[test]
fn a_new_secretary_takes_over_and_the_old_device_may_still_hand_in() {
    let (mut v, _, branch) = three_levels(409);
    let old = v.replicas[2].engine.device();
    let unsent = v.create(2, branch, "members", &["full_name=An"]);
    let ticket = invite(&mut v, 1, &InviteRequest { replaces: Some(old), ..request(branch, Roles::EDITOR) });
    assert_eq!(v.replicas[1].engine.charter().replaced_by(&old), Some(None), "invited");
    let new = v.join("new", &ticket, &mut mem);
    let own = v.try_create(new, branch, "members", &["full_name=Bình"]);
    let own = own.unwrap_or_else(|e| panic!("before any link: {e}"));
    ok(&v.sync(new, 1));
    let device = v.replicas[new].engine.device();
    assert_eq!(v.replicas[1].engine.charter().replaced_by(&old), Some(Some(device)));
    assert_eq!(v.replicas[1].engine.charter().replaced_by(&device), None);
    ok(&v.sync(2, 1));
    ok(&v.sync(new, 1));
    for id in [unsent, own] {
        assert!(v.view(new, id).is_some() && v.view(1, id).is_some());
    }
    assert_eq!(v.replicas[1].engine.charter().rights(&old).next().map(|r| r.unit), Some(branch), "until it is retired");
    let spaces = [SpaceId { unit: branch, flow: Flow::Up, reach: 0 }];
    assert!(spaces.iter().all(|s| v.replicas[1].engine.charter().counts(&old, s)));
}
