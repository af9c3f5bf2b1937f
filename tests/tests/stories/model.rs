//! The plain model beside the engine, in stories; random histories are in `model_random`.

use crate::forks::{clone_disk, with_copy};
use crate::{city, mem, ok, three_levels};
use sampan_core::charter::{Grant, Op, Roles};
use sampan_core::engine::IntakeError;
use sampan_core::id::{ActorId, Flow, Incarnation, Nonce, SpaceId, UnitId};
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use sampan_core::pack::{self, PackScope, Stored};
use sampan_core::record::{self, ids::record_id};
use sampan_core::scope::{Shared, Side};
use sampan_core::testing::test_key;
use sampan_core::testing::village::{Village, plain_grant};
use sampan_core::value::{Kind, Value};
use sampan_core::wire::frame::Group;
use sampan_tests::model::{Dump, Model, ModelStatus, disagreements};
use std::collections::BTreeSet;

/// Every replica says what the model says.
fn agree(v: &Village, model: &mut Model) {
    for (at, r) in v.replicas.iter().enumerate() {
        let found = disagreements(model, &*r.store, &r.engine).unwrap();
        assert!(found.is_empty(), "replica {at} ({}):\n{}", r.name, found.join("\n"));
    }
}

fn give(v: &mut Village, to: usize, commit: &Commit) -> Result<(), IntakeError> {
    let scope = PackScope { org: v.org, space: commit.header().space };
    let pack = pack::encode(&scope, &[commit.payload()], &Stored);
    let group = Group { headers: vec![commit.head().signed().clone()], pack };
    let (now, from) = (v.now, v.replicas[0].engine.device());
    let r = &mut v.replicas[to];
    r.engine.intake(&mut *r.store, &mut r.rng, from, &[group], &|_, _| true, now).map(|_| ())
}

/// The key and nonce of the `n`-th stranger, and its actor.
fn stranger(n: u64) -> (ed25519_dalek::SigningKey, Nonce, ActorId) {
    let (key, nonce) = (test_key(900_000 + n), Nonce([n as u8; 16]));
    let actor = ActorId::of(&device_id(&key), &nonce);
    (key, nonce, actor)
}

fn grant(v: &mut Village, by: usize, unit: UnitId, n: u64) {
    v.grant(by, unit, device_id(&stranger(n).0));
}

fn entry(kind: EntryKind, record: sampan_core::id::RecordId, collection: &str, payload: &[u8]) -> EntryPayload {
    let (payload, collection) = (payload.to_vec(), collection.to_owned());
    let payload_hash = Entry::hash_payload(kind, &payload);
    let time = sampan_core::testing::test_time(5);
    EntryPayload { entry: Entry { kind, record, collection, payload_hash, time, birth: None }, payload }
}

/// A commit of the `n`-th stranger on top of these.
fn sealed(v: &Village, n: u64, space: SpaceId, parent: Option<&Commit>, entries: Vec<EntryPayload>) -> Commit {
    let (key, nonce, _) = stranger(n);
    let header = Header {
        format: FORMAT,
        org: v.org,
        space,
        device: device_id(&key),
        incarnation: Incarnation(nonce.0),
        sequence: 1 + parent.map_or(0, |p| p.header().sequence),
        parents: parent.map(Commit::id).into_iter().collect(),
        nonce,
        charter_heads: vec![],
        time: v.now,
        entries: 0,
        root: [0; 32],
    };
    Commit::seal(&key, header, Payload { secret: [n as u8; 16].into(), entries }).unwrap()
}

/// A card made by the `n`-th stranger: its first change.
fn card(n: u64, salt: u8) -> Vec<u8> {
    let fields = [("full_name".to_owned(), (Kind::String, Value::Str("An".into())))];
    record::create(&stranger(n).2, sampan_core::testing::test_time(4), [salt; 6], &fields.into()).unwrap().bytes
}

fn hash(bytes: &[u8]) -> sampan_core::id::ChangeHash {
    sampan_core::hash::change_hash(&bytes[8..])
}

#[test]
fn a_quiet_village_is_as_the_model_says() {
    let (mut v, _, branch) = three_levels(80);
    let mut model = Model::new(v.org);
    agree(&v, &mut model);
    let an = v.create(2, branch, "members", &["full_name=An", "notes=đã họp"]);
    agree(&v, &mut model);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    v.set(2, "members", an, &["phone=1", "notes=đã họp rồi"]);
    v.set(1, "members", an, &["phone=2", "notes=chưa họp"]);
    v.set(0, "members", an, &["_removed=true"]);
    agree(&v, &mut model);
    for _ in 0..2 {
        ok(&v.sync(2, 1));
        ok(&v.sync(1, 0));
    }
    agree(&v, &mut model);
    let view = v.view(0, an).unwrap();
    assert!(view.removed && view.conflicts.len() == 2, "{view:?}");
    assert!(view.conflicts.iter().any(|c| c.field == "phone"), "a conflict was compared");
}

#[test]
fn the_model_notices_what_an_engine_would_hide() {
    let (mut v, _, branch) = three_levels(81);
    let an = v.create(2, branch, "members", &["full_name=An"]);
    v.seal(2);
    let r = &v.replicas[2];
    let dump = Dump::of(&*r.store, &r.engine).unwrap();
    let mut model = Model::new(v.org);
    let charter = model.charter(&dump.commits);
    let mut expected = model.statuses(&charter, &dump.commits, &dump.pending, r.engine.device());
    let place = *expected.keys().find(|p| dump.record_at(p) == Some(an)).unwrap();
    expected.insert(place, ModelStatus::Blocked);
    let found = sampan_tests::model::diff(&dump.statuses, &expected, &|p| dump.record_at(p));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains(&an.to_string()) && found[0].contains("Accepted") && found[0].contains("Blocked"));
    // A document with one change less is not what the engine shows.
    v.set(2, "members", an, &["phone=1"]);
    let r = &v.replicas[2];
    let entries = r.engine.document(&*r.store, an).unwrap().1;
    let less = sampan_tests::model::document(entries[..1].iter().map(|e| e.bytes.as_slice())).unwrap().unwrap();
    assert!(sampan_tests::model::same_view(&v.view(2, an).unwrap(), &less).is_err());
}

#[test]
fn a_cloned_disk_is_as_the_model_says_at_every_step() {
    let (mut v, branch, disk) = with_copy(82);
    let mut model = Model::new(v.org);
    let an = v.create(2, branch, "members", &["full_name=An", "phone=0"]);
    ok(&v.sync(2, 1));
    let copy = clone_disk(&v, 2, disk.lock().clone());
    v.replicas.push(copy);
    let twin = v.replicas.len() - 1;
    v.set(2, "members", an, &["phone=1"]);
    v.set(twin, "members", an, &["phone=2"]);
    agree(&v, &mut model);
    for (a, b) in [(2, 1), (twin, 1), (2, 1), (1, 0)] {
        ok(&v.sync(a, b));
        agree(&v, &mut model);
    }
    let r = &v.replicas[0];
    let statuses = Dump::of(&*r.store, &r.engine).unwrap().statuses;
    assert!(statuses.values().any(|s| *s == ModelStatus::Blocked), "the twin's change is blocked");
}

#[test]
fn who_holds_what_is_as_the_model_says() {
    let (mut v, district, branch) = three_levels(83);
    let other = v.unit(1, district, "Chi bộ 2", "branch");
    let root = v.root();
    let far = v.unit(0, root, "Quận Tây Hồ", "district");
    let t = v.invite(1, district, Roles::READER);
    let reader = v.join("reader", &t, &mut mem);
    for (a, b) in [(1, 0), (2, 1), (reader, 1), (1, 0), (2, 1)] {
        ok(&v.sync(a, b));
    }
    let mut all = BTreeSet::new();
    for unit in [root, district, branch, other, far] {
        for flow in [Flow::Charter, Flow::Up, Flow::Down, Flow::Local] {
            for reach in 0..4 {
                all.insert(SpaceId { unit, flow, reach: if flow == Flow::Up { reach } else { 0 } });
            }
        }
    }
    let mut model = Model::new(v.org);
    for (lower, upper) in [(1, 0), (2, 1), (2, 0), (reader, 1), (reader, 0)] {
        let (low, up) = (v.replicas[lower].engine.device(), v.replicas[upper].engine.device());
        let r = &v.replicas[upper];
        let (engine, levels) = (r.engine.charter(), r.engine.levels());
        let shared = Shared::of(engine, levels, &Side::of(engine, &low), &Side::of(engine, &up));
        let found: BTreeSet<SpaceId> = all.iter().filter(|s| shared.contains(engine, s)).copied().collect();
        let plain = model.charter(&Dump::of(&*r.store, &r.engine).unwrap().commits);
        let (one, two) = (plain.spaces_of(&low, levels, &all), plain.spaces_of(&up, levels, &all));
        let expected: BTreeSet<SpaceId> = one.intersection(&two).filter(|s| s.flow != Flow::Local).copied().collect();
        assert_eq!(found, expected, "{lower} under {upper}");
        assert!(plain.relays_above(&branch) == [district, root] && plain.has_right_now(&low));
        for space in one.iter().chain(&two) {
            let when = sampan_tests::model::When::Now;
            assert!(plain.may_read(&low, space, when) || plain.may_read(&up, space, when));
        }
    }
    let plain = model.charter(&Dump::of(&*v.replicas[0].store, &v.replicas[0].engine).unwrap().commits);
    let sibling = SpaceId { unit: other, flow: Flow::Up, reach: 0 };
    let branch_device = v.replicas[2].engine.device();
    assert!(!plain.may_read(&branch_device, &sibling, sampan_tests::model::When::Ever));
}

#[test]
fn minutes_of_the_city_reach_the_citys_own_relay() {
    let mut v = city(96);
    let root = v.root();
    let t = v.invite(0, root, Roles::EDITOR);
    let office = v.join("office", &t, &mut mem);
    ok(&v.sync(office, 0));
    let minutes = v.create(office, root, "meetings", &["title=Họp", "held_on=2026-01-01"]);
    ok(&v.sync(office, 0));
    assert!(v.view(0, minutes).is_some(), "meetings reach the district, and this is the city's own");
}

#[test]
fn a_change_that_calls_itself_computed_is_not_written_in_anothers_name() {
    let (mut v, _, branch) = three_levels(84);
    let space = SpaceId { unit: branch, flow: Flow::Up, reach: 0 };
    grant(&mut v, 1, branch, 1);
    grant(&mut v, 1, branch, 2);
    let first = card(1, 1);
    let id = record_id(&space, &hash(&first));
    let own = sealed(&v, 1, space, None, vec![entry(EntryKind::Change, id, "members", &first)]);
    give(&mut v, 1, &own).unwrap();
    // The second stranger writes the next change of the first one's actor.
    let doc = record::Document::load(id, [first.as_slice()]).unwrap();
    let context = record::EditContext { creation: hash(&first), actor: stranger(1).2, time: v.now };
    let mut doc = doc;
    let edits = [("full_name".to_owned(), sampan_core::value::Edit::Set(Value::Str("Kẻ khác".into())))];
    let forged = doc.edit(&context, &|_| Some(Kind::String), &edits).unwrap().remove(0);
    for kind in [EntryKind::Identity, EntryKind::Change] {
        let entries = vec![entry(kind, id, "members", &forged.bytes)];
        let commit = sealed(&v, 2, space, None, entries);
        give(&mut v, 1, &commit).unwrap();
        let shown = v.field(1, id, "full_name");
        assert_eq!(shown, Some(Value::Str("An".into())), "{kind:?}");
    }
    agree(&v, &mut Model::new(v.org));
}

#[test]
fn where_a_record_was_born_does_not_depend_on_what_came_first() {
    let (mut v, _, branch) = three_levels(85);
    let space = SpaceId { unit: branch, flow: Flow::Up, reach: 0 };
    grant(&mut v, 1, branch, 1);
    grant(&mut v, 1, branch, 2);
    ok(&v.sync(1, 0));
    let first = card(1, 1);
    let id = record_id(&space, &hash(&first));
    let own = sealed(&v, 1, space, None, vec![entry(EntryKind::Change, id, "members", &first)]);
    // Sent again under another collection: by someone else, and by its author.
    let theirs = sealed(&v, 2, space, None, vec![entry(EntryKind::Change, id, "meetings", &first)]);
    let again = sealed(&v, 1, space, Some(&own), vec![entry(EntryKind::Change, id, "meetings", &first)]);
    for (to, order) in [(0, [&theirs, &own, &again]), (1, [&own, &again, &theirs])] {
        for commit in order {
            give(&mut v, to, commit).unwrap();
        }
    }
    agree(&v, &mut Model::new(v.org));
    let statuses = |at: usize| Dump::of(&*v.replicas[at].store, &v.replicas[at].engine).unwrap().statuses;
    let of_card = |at| {
        statuses(at).into_iter().filter(|(p, _)| {
        matches!(p, sampan_tests::model::Place::Sealed(c, _) if [own.id(), theirs.id(), again.id()].contains(c))
    })
    };
    assert!(of_card(0).eq(of_card(1)));
}

#[test]
fn a_commit_set_aside_is_taken_when_its_parent_comes_and_only_once() {
    let (mut v, district, branch) = three_levels(86);
    let space = SpaceId { unit: branch, flow: Flow::Up, reach: 0 };
    let card_of = |salt| {
        let bytes = card(1, salt);
        (record_id(&space, &hash(&bytes)), bytes)
    };
    let ((a, a_bytes), (b, b_bytes)) = (card_of(1), card_of(2));
    let parent = sealed(&v, 1, space, None, vec![entry(EntryKind::Change, a, "members", &a_bytes)]);
    let child = sealed(&v, 1, space, Some(&parent), vec![entry(EntryKind::Change, b, "members", &b_bytes)]);
    give(&mut v, 1, &child).unwrap();
    assert_eq!(v.replicas[1].store.quarantine().unwrap().len(), 1);
    grant(&mut v, 1, branch, 1);
    assert_eq!(v.replicas[1].store.quarantine().unwrap().len(), 1, "its parent is not here yet");
    give(&mut v, 1, &parent).unwrap();
    agree(&v, &mut Model::new(v.org));
    assert!(v.replicas[1].store.quarantine().unwrap().is_empty());
    assert!(v.view(1, b).is_some());
    // Sent again, and judged again with the next word of the charter: nothing is stored twice.
    give(&mut v, 1, &child).unwrap();
    v.unit(1, district, "Chi bộ 2", "branch");
    agree(&v, &mut Model::new(v.org));
}

#[test]
fn what_is_set_aside_in_a_charter_is_taken_in_any_order() {
    // A chain of admins whose grants arrive last first: each makes the next one count.
    for turn in 0..6 {
        let mut v = city(87 + turn);
        let root = v.root();
        let space = SpaceId::charter(root);
        let admin = |n: u64| {
            let grant = plain_grant(device_id(&stranger(n).0), Roles::ADMIN, sampan_core::testing::test_time(5));
            Op::Grant(Grant { subtree: true, ..grant })
        };
        let says = |v: &Village, n: u64, op: &Op| {
            let bytes = op.encode();
            let id = sampan_core::id::RecordId::from_slice(&Entry::hash_payload(EntryKind::Charter, &bytes)[..16]);
            sealed(v, n + 10 * turn, space, None, vec![entry(EntryKind::Charter, id.unwrap(), "", &bytes)])
        };
        let of = |n: u64| admin(n + 10 * turn);
        let chain = [says(&v, 1, &of(2)), says(&v, 2, &of(3)), says(&v, 3, &of(4))];
        for commit in chain.iter().rev() {
            give(&mut v, 0, commit).unwrap();
        }
        let now = v.now;
        let r = &mut v.replicas[0];
        r.engine.write_charter(&mut *r.store, &mut r.rng, root, &[of(1)], now).unwrap();
        agree(&v, &mut Model::new(v.org));
    }
}

#[test]
fn rights_that_end_fold_as_the_model_says() {
    let (mut v, district, branch) = three_levels(95);
    let mut model = Model::new(v.org);
    let ticket = v.invite(1, branch, Roles::EDITOR);
    ok(&v.sync(1, 0));
    let one = v.join("one", &ticket, &mut mem);
    ok(&v.sync(one, 1));
    v.create(one, branch, "members", &["full_name=An"]);
    ok(&v.sync(one, 1));
    ok(&v.sync(1, 0));
    let (device, now) = (v.replicas[one].engine.device(), v.now);
    let r = &mut v.replicas[1];
    let op = Op::Revoke { key: device, reason: "mất máy".into() };
    r.engine.write_charter(&mut *r.store, &mut r.rng, district, &[op], now).unwrap();
    ok(&v.sync(1, 0));
    agree(&v, &mut model);
    let r = &v.replicas[0];
    let plain = model.charter(&Dump::of(&*r.store, &r.engine).unwrap().commits);
    assert!(!plain.has_right_now(&device));
    assert!(plain.counts(&device, &SpaceId { unit: branch, flow: Flow::Up, reach: 0 }), "what it wrote stays");
}

/// A ticket that two devices use at two relays that do not see each other: the first in the fold
/// stands, which may be either.
fn ticket_used_at_two_relays(seed: u64) -> (Village, usize, usize) {
    let (mut v, _, branch) = three_levels(seed);
    let ticket = v.invite(1, branch, Roles::EDITOR);
    ok(&v.sync(1, 0));
    let one = v.join("one", &ticket, &mut mem);
    let two = v.join("two", &ticket, &mut mem);
    for (at, relay) in [(one, 1), (two, 0)] {
        for turn in 0..2 {
            let mut link = v.connect(at, relay, true);
            v.run(&mut link);
            ok(&v.end(link));
            if turn == 0 {
                v.create(at, branch, "members", &["full_name=An"]);
            }
        }
    }
    (v, one, two)
}

#[test]
fn a_log_that_counted_counts_for_ever_and_everywhere() {
    for seed in 200..204 {
        let (mut v, one, two) = ticket_used_at_two_relays(seed);
        v.sync(1, 0);
        let last = v.sync(1, 0);
        ok(&last);
        agree(&v, &mut Model::new(v.org));
        for at in [0, 1] {
            let (charter, holdings) = (v.replicas[at].engine.charter(), v.replicas[at].engine.holdings());
            let (one, two) = (v.replicas[one].engine.device(), v.replicas[two].engine.device());
            let up = holdings.spaces().filter(|(space, _)| space.flow == Flow::Up);
            let held: BTreeSet<_> = up.flat_map(|(_, tips)| tips.logs()).map(|((device, _), _)| *device).collect();
            assert!(held.contains(&one) && held.contains(&two), "both logs are held, seed {seed}, replica {at}");
            // The ticket lets in one of them, whichever that is.
            let may = |d| charter.rights(d).next().is_some();
            assert!(may(&one) != may(&two), "seed {seed}");
        }
    }
}
