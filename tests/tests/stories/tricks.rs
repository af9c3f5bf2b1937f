//! A rightful device that sends every hostile change there is: each becomes what the design says, at
//! every hop, and nobody's record suffers.
//!
//! It does not: make the changes (`testing::hostile` does).

use crate::{mem, ok, three_levels};
use sampan_core::charter::Roles;
use sampan_core::engine::{Intake, IntakeError};
use sampan_core::id::{ActorId, ChangeHash, Nonce, RecordId, SpaceId, UnitId};
use sampan_core::log::{Entry, EntryKind, EntryPayload};
use sampan_core::pack::Stored;
use sampan_core::store::{Status, Store};
use sampan_core::testing::SeededRng;
use sampan_core::testing::hostile::{self, Place};
use sampan_core::testing::village::Village;
use sampan_core::value::Value;
use sampan_core::wire::frame::Group;
use sampan_node::store::SqliteStore;
use std::sync::Arc;

/// Hands a group to a replica as its upper end would.
pub fn give(v: &mut Village, to: usize, group: Group) -> Result<Intake, IntakeError> {
    let (now, from) = (v.now, v.replicas[0].engine.device());
    let r = &mut v.replicas[to];
    r.engine.intake(&mut *r.store, &mut r.rng, from, &[group], &|_, _| true, now)
}

/// One more editor of the branch, in step with the district.
pub fn rogue(v: &mut Village, branch: UnitId) -> usize {
    let t = v.invite(1, branch, Roles::EDITOR);
    let rogue = v.join("rogue", &t, &mut mem);
    ok(&v.sync(rogue, 1));
    rogue
}

/// The changes of a record that stand at a replica.
fn standing(v: &Village, at: usize, record: RecordId) -> Vec<Vec<u8>> {
    let r = &v.replicas[at];
    let key = r.store.records(&[record]).unwrap()[0].as_ref().unwrap().key.unwrap();
    let entries = r.store.entries(key).unwrap().into_iter();
    entries.filter(|e| e.status == Status::Accepted).map(|e| e.bytes).collect()
}

/// What a change has become at a replica.
fn status(v: &Village, at: usize, record: RecordId, bytes: &[u8]) -> Status {
    let hash = ChangeHash(Entry::hash_payload(EntryKind::Change, bytes));
    let r = &v.replicas[at];
    let key = r.store.records(&[record]).unwrap()[0].as_ref().unwrap().key.unwrap();
    let entries = r.store.entries(key).unwrap();
    entries.iter().find(|e| e.hash == hash).unwrap().status
}

/// Signs the chosen tricks by a rightful device, a commit each, on top of an honest record, and hands
/// them to the district; what became of each there.
pub fn send_tricks(
    v: &mut Village,
    rogue: usize,
    record: RecordId,
    chosen: &dyn Fn(&str) -> bool,
) -> Vec<(&'static str, Status)> {
    let base = standing(v, 1, record);
    let space = v.replicas[1].store.records(&[record]).unwrap()[0].as_ref().unwrap().space;
    let engine = &v.replicas[rogue].engine;
    let (key, nonce, device) = (engine.key().clone(), Nonce([0x66; 16]), engine.device());
    let mut place = Place::first(v.org, space, nonce, engine.charter().heads(&space.unit), v.now);
    let tricks = hostile::changes(&base, ActorId::of(&device, &nonce), &mut SeededRng::new(66));
    let tricks: Vec<_> = tricks.into_iter().filter(|t| chosen(t.name)).collect();
    for trick in &tricks {
        let entry = |b: &Vec<u8>| hostile::entry(record, "members", v.now, b.clone());
        let entries: Vec<EntryPayload> = trick.before.iter().chain([&trick.bytes]).map(entry).collect();
        let commit = hostile::commit(&key, &place, entries);
        let taken = give(v, 1, hostile::group(&Stored, &[&commit])).unwrap();
        assert_eq!((taken.commits, taken.quarantined), (1, 0), "{}", trick.name);
        place = Place::after(&commit);
    }
    tricks.iter().map(|t| (t.name, status(v, 1, record, &t.bytes))).collect()
}

#[test]
fn every_trick_becomes_what_the_design_says_and_hurts_nobody() {
    let (mut v, _, branch) = three_levels(80);
    let record = v.create(2, branch, "members", &["full_name=An", "phone=1"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    let rogue = rogue(&mut v, branch);
    let base = standing(&v, 1, record);
    let before = v.view(1, record).unwrap().fields;
    let sent = send_tricks(&mut v, rogue, record, &|_| true);
    let engine = &v.replicas[rogue].engine;
    let actor = ActorId::of(&engine.device(), &Nonce([0x66; 16]));
    let tricks = hostile::changes(&base, actor, &mut SeededRng::new(66));
    assert!(sent.len() > 50 && sent.len() == tricks.len(), "{}", sent.len());
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    for (trick, (name, at_district)) in tricks.iter().zip(sent) {
        assert_eq!((name, at_district), (trick.name, trick.expect));
        for at in [0, 2] {
            assert_eq!(status(&v, at, record, &trick.bytes), trick.expect, "{name} at {at}");
        }
    }
    // The one half of the fork that stands sets a field that no schema knows, and that is all.
    v.set(2, "members", record, &["phone=2"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    let views: Vec<_> = (0..3).map(|at| v.view(at, record).unwrap()).collect();
    assert!(views.windows(2).all(|w| w[0] == w[1]));
    assert_eq!(views[0].fields.get("full_name"), before.get("full_name"));
}

#[test]
fn a_claim_that_comes_before_a_record_does_not_say_where_it_belongs() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = |org, device, epoch| -> Box<dyn Store> {
        let path = dir.path().join("city.db");
        Box::new(SqliteStore::create(&path, Arc::new(Stored), device, org, epoch, 16).unwrap())
    };
    for mut v in [crate::city(81), Village::found(81, Arc::new(Stored), &mut disk)] {
        let root = v.root();
        let [here, elsewhere] = ["Chi bộ 1", "Chi bộ 2"].map(|name| v.unit(0, root, name, "branch"));
        let [honest, rogue] = [here, elsewhere].map(|unit| {
            let t = v.invite(0, unit, Roles::EDITOR);
            let at = v.join("a branch", &t, &mut mem);
            ok(&v.sync(at, 0));
            at
        });
        let record = v.create(honest, here, "members", &["full_name=An"]);
        let base = standing(&v, honest, record);
        let right = v.replicas[honest].store.records(&[record]).unwrap()[0].as_ref().unwrap().space;
        // Whoever saw the record elsewhere sends an edit of it to a relay that has not.
        let engine = &v.replicas[rogue].engine;
        let (nonce, space) = (Nonce([5; 16]), SpaceId { unit: elsewhere, ..right });
        let actor = ActorId::of(&engine.device(), &nonce);
        let edit = hostile::next(&base, actor, "mine", |_| {});
        let place = Place::first(v.org, space, nonce, engine.charter().heads(&elsewhere), v.now);
        let entry = hostile::entry(record, "meetings", v.now, edit.clone());
        let commit = hostile::commit(engine.key(), &place, vec![entry]);
        assert_eq!(give(&mut v, 0, hostile::group(&Stored, &[&commit])).unwrap().commits, 1);
        assert_eq!(status(&v, 0, record, &edit), Status::Pending);
        ok(&v.sync(honest, 0));
        assert_eq!(status(&v, 0, record, &edit), Status::Malformed);
        let state = v.replicas[0].store.records(&[record]).unwrap().remove(0).unwrap();
        assert_eq!((state.space, state.collection.as_str()), (right, "members"));
        // What is edited above goes into the record's own space, and is seen below.
        v.set(0, "members", record, &["phone=7"]);
        ok(&v.sync(honest, 0));
        assert_eq!(v.field(honest, record, "phone"), Some(Value::Str("7".into())));
    }
}

#[test]
fn a_copy_of_a_creation_under_another_collection_changes_nothing_whichever_comes_first() {
    let (mut v, _, branch) = three_levels(82);
    let record = v.create(2, branch, "members", &["full_name=An"]);
    v.set(2, "members", record, &["phone=1"]);
    ok(&v.sync(2, 1));
    let rogue = rogue(&mut v, branch);
    let base = standing(&v, 1, record);
    let r = &v.replicas[1];
    let space = r.store.records(&[record]).unwrap()[0].as_ref().unwrap().space;
    let engine = &v.replicas[rogue].engine;
    let place = Place::first(v.org, space, Nonce([5; 16]), engine.charter().heads(&branch), v.now);
    let copies = base.iter().map(|b| hostile::entry(record, "meetings", v.now, b.clone())).collect();
    let copy = hostile::group(&Stored, &[&hostile::commit(engine.key(), &place, copies)]);
    // The district has the record first, the city the copy.
    ok(&v.sync(1, 0));
    let t = v.invite(0, v.root(), Roles::ADMIN);
    let late = v.join("another office of the city", &t, &mut mem);
    let first = v.replicas[1].store.stored_after(sampan_core::store::CommitKey(0), 10_000).unwrap();
    let charters: Vec<_> = first.iter().filter(|(log, _)| log.space.flow == sampan_core::id::Flow::Charter).collect();
    for (log, row) in charters {
        let group = v.replicas[1].store.groups(&log.space, &[row.key]).unwrap().remove(0);
        give(&mut v, late, group).unwrap();
    }
    give(&mut v, late, copy.clone()).unwrap();
    give(&mut v, 1, copy).unwrap();
    for (log, row) in first.iter().filter(|(log, _)| log.space == space) {
        let group = v.replicas[1].store.groups(&log.space, &[row.key]).unwrap().remove(0);
        give(&mut v, late, group).unwrap();
    }
    let seen = [1, late].map(|at| (v.view(at, record), v.replicas[at].store.records(&[record]).unwrap().remove(0)));
    let [(one, state), (other, late_state)] = seen;
    assert!(one.is_some(), "the record is there");
    assert_eq!(one, other);
    let place = |s: Option<sampan_core::store::RecordState>| s.map(|s| (s.space, s.collection, s.heads, s.irregular));
    assert_eq!(place(state), place(late_state));
}

#[test]
fn an_author_that_files_one_creation_twice_is_judged_alike_in_either_order() {
    use sampan_core::engine::{Checked, NewRecordEntry, judge};
    let (v, _, branch) = three_levels(83);
    let engine = &v.replicas[2].engine;
    let (actor, mut rng) = (engine.actor(), SeededRng::new(1));
    let space = SpaceId { unit: branch, flow: sampan_core::id::Flow::Up, reach: 0 };
    let place = Place::first(v.org, space, engine.nonce(), vec![], v.now);
    let made = hostile::creation(engine.key(), &place, 5, &mut rng);
    let of = |collection| NewRecordEntry {
        space,
        collection,
        kind: EntryKind::Change,
        hash: made.entry.change(),
        actor,
        birth: None,
        bytes: &made.payload,
        checked: Checked::Nothing,
    };
    let both = [of("members"), of("meetings")];
    let back = [both[1], both[0]];
    let (one, other) =
        (judge(&v.org, made.entry.record, None, &[], &both), judge(&v.org, made.entry.record, None, &[], &back));
    assert_eq!(one.state, other.state);
    assert_eq!(one.statuses, [Status::Malformed, Status::Accepted]);
    assert_eq!(other.statuses, [Status::Accepted, Status::Malformed]);
}

#[test]
fn noise_in_a_charter_is_void_and_the_rest_of_it_stands() {
    use sampan_core::entropy::Entropy as _;
    let (mut v, district, branch) = three_levels(84);
    let mut rng = SeededRng::new(84);
    let engine = &v.replicas[1].engine;
    let key = engine.key().clone();
    let space = SpaceId::charter(district);
    let mut place = Place::first(v.org, space, Nonce([4; 16]), engine.charter().heads(&district), v.now);
    for round in 0..60 {
        let mut noise = vec![0; 1 + rng.below(300) as usize];
        rng.fill(&mut noise);
        // Like an operation, as far as it goes: an array that begins with a small number.
        noise[0] = [0x82, 0x83, noise[0]][round % 3];
        let kind = EntryKind::Charter;
        let payload_hash = Entry::hash_payload(kind, &noise);
        let mut id = [0; 16];
        id.copy_from_slice(&payload_hash[..16]);
        if round % 5 == 0 {
            id = [7; 16];
        }
        let entry =
            Entry { kind, record: RecordId(id), collection: String::new(), payload_hash, time: v.now, birth: None };
        let commit = hostile::commit(&key, &place, vec![EntryPayload { entry, payload: noise }]);
        // Whoever cannot write it in the form of a pack cannot send it.
        if give(&mut v, 0, hostile::group(&Stored, &[&commit])).is_ok() {
            place = Place::after(&commit);
        }
    }
    assert!(place.sequence > 40, "the noise arrived: {}", place.sequence);
    let later = v.unit(1, district, "Chi bộ 2", "branch");
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    for at in 0..3 {
        assert!(v.replicas[at].engine.charter().unit(&branch).is_some(), "at {at}");
    }
    assert!(v.replicas[0].engine.charter().unit(&later).is_some());
}

#[test]
fn a_sequence_at_the_end_of_numbers_is_refused_like_any_that_does_not_follow() {
    let (mut v, _, branch) = three_levels(85);
    let space = SpaceId { unit: branch, flow: sampan_core::id::Flow::Up, reach: 0 };
    let mut rng = SeededRng::new(85);
    let place = Place::first(v.org, space, Nonce([4; 16]), vec![], v.now);
    let (key, first) = hostile::stranger(&place, &mut rng);
    // Nobody knows the parent of a stranger's commit, so nobody can say that its number is wrong.
    let last = Place { sequence: u64::MAX, parents: vec![first.id()], ..Place::beside(&first) };
    let last = hostile::commit(&key, &last, vec![hostile::creation(&key, &last, 5, &mut rng)]);
    assert_eq!(give(&mut v, 1, hostile::group(&Stored, &[&last])).unwrap().quarantined, 1);
    for sequence in [2, u64::MAX] {
        let beyond = Place { sequence, parents: vec![last.id()], ..Place::beside(&last) };
        let beyond = hostile::commit(&key, &beyond, vec![hostile::creation(&key, &beyond, 5, &mut rng)]);
        let refused = give(&mut v, 1, hostile::group(&Stored, &[&beyond]));
        assert!(matches!(refused, Err(IntakeError::PeerCommit(_))), "{refused:?}");
    }
}
