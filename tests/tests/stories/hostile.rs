//! What a rightful but hostile or mistaken peer may try, and what must not be believed.
//!
//! It does not: send bytes that are no frames (`edges`, and the fuzz targets).

use crate::forks::{clone_disk, with_copy};
use crate::{mem, ok, three_levels};
use sampan_core::charter::Roles;
use sampan_core::engine::{Engine, IntakeError};
use sampan_core::id::{CommitId, Digest, Flow, Incarnation, Nonce, SpaceId, StoreEpoch};
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload};
use sampan_core::pack::{self, PackScope, Stored};
use sampan_core::store::{CommitKey, EntryAt, Status};
use sampan_core::sync::{Env, Event, Session};
use sampan_core::testing::SeededRng;
use sampan_core::testing::village::Village;
use sampan_core::wire::frame::{
    ChildDigest, Frame, Greeted, Group, Mark, PROTOCOL, ScopeDigests, Tree, TreeNode, Welcome,
};
use std::sync::Arc;

/// A commit by replica `by` with one entry of this kind.
fn odd(v: &Village, by: usize, space: SpaceId, kind: EntryKind, parents: Vec<CommitId>) -> Group {
    let engine = &v.replicas[by].engine;
    let payload = vec![7; 60];
    let payload_hash = Entry::hash_payload(kind, &payload);
    let change = sampan_core::record::create(&engine.actor(), v.now, [1; 6], &Default::default()).unwrap();
    let (payload, payload_hash) =
        if kind.is_change() { (change.bytes, change.hash.0) } else { (payload, payload_hash) };
    let record = sampan_core::id::RecordId([5; 16]);
    let entry = Entry { kind, record, collection: "members".into(), payload_hash, time: v.now, birth: None };
    let payload = Payload { secret: [3; 16].into(), entries: vec![EntryPayload { entry, payload }] };
    let header = Header {
        format: FORMAT,
        org: v.org,
        space,
        device: engine.device(),
        incarnation: Incarnation([8; 16]),
        sequence: 1 + u64::from(!parents.is_empty()),
        parents,
        nonce: Nonce([8; 16]),
        charter_heads: vec![],
        time: v.now,
        entries: 0,
        root: [0; 32],
    };
    let commit = Commit::seal(engine.key(), header, payload).unwrap();
    let scope = PackScope { org: v.org, space };
    let pack = pack::encode(&scope, &[commit.payload()], &Stored);
    Group { headers: vec![commit.head().signed().clone()], pack }
}

fn give(v: &mut Village, from: usize, to: usize, group: Group) -> Result<(), IntakeError> {
    let (now, from) = (v.now, v.replicas[from].engine.device());
    let r = &mut v.replicas[to];
    r.engine.intake(&mut *r.store, &mut r.rng, from, &[group], &|_, _| true, now).map(|_| ())
}

#[test]
fn an_entry_of_a_kind_that_has_no_place_is_the_peers_fault_and_not_the_stores() {
    let (mut v, district, branch) = three_levels(70);
    let data = SpaceId { unit: branch, flow: Flow::Up, reach: 0 };
    for (by, space, kind) in
        [(2, data, EntryKind::Erase), (2, data, EntryKind::Charter), (1, SpaceId::charter(district), EntryKind::Change)]
    {
        let group = odd(&v, by, space, kind, vec![]);
        let error = give(&mut v, by, 0, group).unwrap_err();
        assert!(matches!(error, IntakeError::PeerCommit(_)), "{kind:?}: {error}");
    }
}

#[test]
fn a_parent_of_another_device_or_space_is_refused() {
    let (mut v, _, branch) = three_levels(71);
    v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    let data = SpaceId { unit: branch, flow: Flow::Up, reach: 0 };
    let held = v.replicas[1].store.stored_after(CommitKey(0), 10_000).unwrap();
    let own = v.replicas[2].engine.device();
    // Sequence 1 each, so that only the place is wrong.
    let first = |wanted: &dyn Fn(&sampan_core::id::LogId) -> bool| {
        held.iter().find(|(log, row)| row.sequence == 1 && wanted(log)).map(|(_, row)| row.id).unwrap()
    };
    let elsewhere = first(&|log| log.space.flow == Flow::Charter);
    let group = odd(&v, 2, data, EntryKind::Change, vec![elsewhere]);
    let error = give(&mut v, 2, 1, group).unwrap_err();
    assert!(matches!(error, IntakeError::PeerCommit(_)), "{error}");
    let right = first(&|log| log.space.flow == Flow::Up && log.device == own);
    let space = held.iter().find(|(_, row)| row.id == right).unwrap().0.space;
    let group = odd(&v, 2, space, EntryKind::Change, vec![right]);
    give(&mut v, 2, 1, group).unwrap();
}

#[test]
fn a_node_of_a_sibling_is_shown_to_nobody() {
    let (mut v, district, _) = three_levels(72);
    let root = v.root();
    let sibling = v.unit(0, root, "Quận Tây Hồ", "district");
    v.unit(0, sibling, "Chi bộ 9", "branch");
    ok(&v.sync(1, 0));
    let (now, lower, upper) = (v.now, v.replicas[1].engine.device(), v.replicas[0].engine.device());
    let r = &mut v.replicas[1];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut asking = Session::lower(&mut env, upper, false).unwrap();
    let (_, hello) = asking.next_frame(&mut env, &|_| true).unwrap().unwrap();
    let children = vec![ChildDigest { unit: sibling, digest: Digest([1; 32]) }];
    let node = TreeNode { unit: district, tree: Tree::Charter, own: Digest([2; 32]), children };
    let digests = ScopeDigests::default();
    let mark = Mark { number: 1, frames: 2, digests, answer: true, clock: now };
    let mut session = Session::upper(lower);
    let r = &mut v.replicas[0];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    for bytes in [hello, Frame::Nodes(vec![node]).encode(), Frame::Mark(mark).encode()] {
        session.receive(&mut env, 0, &bytes).unwrap();
    }
    while let Some((_, bytes)) = session.next_frame(&mut env, &|_| true).unwrap() {
        let Frame::Nodes(nodes) = Frame::decode(&bytes).unwrap() else { continue };
        assert!(nodes.iter().all(|n| n.unit != sibling), "{nodes:?}");
    }
}

#[test]
fn two_ends_that_share_nothing_never_say_verified() {
    let (mut v, _, branch) = three_levels(73);
    let t = v.invite(1, branch, Roles::EDITOR);
    let second = v.join("second", &t, &mut mem);
    ok(&v.sync(second, 1));
    ok(&v.sync(2, 1));
    // The other end is a branch's device and no relay: nothing is compared, so nothing is equal.
    let end = v.sync(second, 2);
    assert!(!end.lower.contains(&Event::Verified) && !end.upper.contains(&Event::Verified), "{end:?}");
}

#[test]
fn sealing_keeps_the_status_that_an_edit_had_while_pending() {
    let (mut v, branch, disk) = with_copy(74);
    let all: Vec<_> = (0..8).map(|i| v.create(2, branch, "members", &[&format!("full_name=Người {i}")])).collect();
    ok(&v.sync(2, 1));
    let copy = clone_disk(&v, 2, disk.lock().clone());
    v.replicas.push(copy);
    let twin = v.replicas.len() - 1;
    for id in &all {
        v.set(2, "members", *id, &["phone=1"]);
        v.set(twin, "members", *id, &["phone=2"]);
    }
    ok(&v.sync(2, 1));
    // The twin's commits arrive while the same (actor, sequence) is still pending here.
    let held = v.replicas[2].store.stored_after(CommitKey(0), 10_000).unwrap();
    let (log, row) = held.last().unwrap().clone();
    let group = v.replicas[2].store.groups(&log.space, &[row.key]).unwrap().remove(0);
    give(&mut v, 1, twin, group).unwrap();
    let statuses = |v: &Village| {
        let mut out = Vec::new();
        for id in &all {
            let state = v.replicas[twin].store.records(&[*id]).unwrap().remove(0).unwrap();
            let entries = v.replicas[twin].store.entries(state.key.unwrap()).unwrap();
            out.extend(entries.into_iter().map(|e| (e.hash, e.status, matches!(e.at, EntryAt::Pending(_)))));
        }
        out.sort();
        out
    };
    let before = statuses(&v);
    assert!(before.iter().any(|(_, s, pending)| *pending && *s == Status::Blocked), "{before:?}");
    v.seal(twin);
    let after = statuses(&v);
    assert!(after.iter().all(|(_, _, pending)| !pending));
    let plain = |all: Vec<(sampan_core::id::ChangeHash, Status, bool)>| -> Vec<_> {
        all.into_iter().map(|(hash, status, _)| (hash, status)).collect()
    };
    assert_eq!(plain(before), plain(after));
    for id in &all {
        assert!(v.view(twin, *id).is_some(), "it still opens");
    }
}

#[test]
fn a_tick_lapses_when_the_relay_says_hello_from_another_store() {
    a_tick_lapses(75, false);
}

#[test]
fn a_tick_lapses_when_the_relay_answers_a_greeting_from_another_store() {
    a_tick_lapses(77, true);
}

/// `greeted`: the two ends were equal before, and remember it.
fn a_tick_lapses(seed: u64, greeted: bool) {
    let (mut v, _, branch) = three_levels(seed);
    v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(2, 1));
    let ticked = |v: &Village| {
        let r = &v.replicas[2];
        r.engine.delivered(&*r.store, &branch).unwrap()[0].complete
    };
    assert!(ticked(&v));
    if !greeted {
        crate::forget(&mut v, 2, 1);
    }
    let (now, lower, upper) = (v.now, v.replicas[2].engine.device(), v.replicas[1].engine.device());
    let r = &mut v.replicas[2];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut asking = Session::lower(&mut env, upper, false).unwrap();
    let (_, hello) = asking.next_frame(&mut env, &|_| true).unwrap().unwrap();
    let r = &mut v.replicas[1];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut answering = Session::upper(lower);
    answering.receive(&mut env, 0, &hello).unwrap();
    let (_, answer) = answering.next_frame(&mut env, &|_| true).unwrap().unwrap();
    let mut answer = Frame::decode(&answer).unwrap();
    match &mut answer {
        Frame::Hello(hello) if !greeted => hello.epoch = StoreEpoch([9; 16]),
        Frame::Welcome(welcome) if greeted => {
            // Only of the store that the greeting shows to be known may it say no more than that.
            let Welcome { clock, same, registers } = *welcome;
            let (epoch, version) = (StoreEpoch([9; 16]), Some(PROTOCOL));
            answer = Frame::Greeted(Greeted { epoch, clock, same, registers, version });
        }
        other => panic!("answered by {other:?}"),
    }
    let r = &mut v.replicas[2];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    asking.receive(&mut env, 0, &answer.encode()).unwrap();
    assert!(!ticked(&v), "the store that it was about is gone");
    ok(&v.sync(2, 1));
    assert!(ticked(&v), "said anew");
}

#[test]
fn two_processes_on_one_store_do_not_fork_their_own_log() {
    let (mut v, branch, disk) = with_copy(76);
    let mut store: Box<dyn sampan_core::store::Store> = Box::new(disk);
    let mut rng = SeededRng::new(12);
    let key = v.replicas[2].engine.key().clone();
    let engine = Engine::open(&mut *store, v.org, key, Arc::new(Stored), &mut rng).unwrap();
    let name = "beside".to_owned();
    v.replicas.push(sampan_core::testing::village::Replica { store, engine, rng, name });
    let beside = v.replicas.len() - 1;
    for (at, who) in [(2, "A"), (beside, "B"), (2, "C")] {
        v.create(at, branch, "members", &[&format!("full_name={who}")]);
        v.seal(at);
    }
    for (_, tips) in v.replicas[2].store.tips().unwrap() {
        assert!(tips.logs().all(|(_, tips)| tips.len() == 1), "{tips:?}");
    }
}

#[test]
fn a_stranger_without_a_hello_cannot_fill_a_relays_memory() {
    let (mut v, _, _) = three_levels(77);
    let peer = v.replicas[2].engine.device();
    let now = v.now;
    let r = &mut v.replicas[1];
    let mut session = Session::upper(peer);
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    // Registers on a lane of their own wait for the hello; half a MiB of them at a time.
    let signed = sampan_core::register::SignedRegister { bytes: vec![0; 500 << 10], signature: [0; 64] };
    let frame = Frame::Registers(vec![signed]).encode();
    let refused = (0..20).find_map(|n| session.receive(&mut env, 2, &frame).err().map(|e| (n, e)));
    let (taken, error) = refused.expect("it took everything");
    assert!(taken <= 4, "{taken} frames kept");
    assert!(Session::refusal(&error).is_some());
}

#[test]
fn what_was_set_aside_and_turns_out_wrong_is_not_blamed_on_the_bearer_of_the_charter() {
    let (mut v, _, branch) = three_levels(78);
    let t = v.invite(1, branch, Roles::READER);
    let reader = v.join("reader", &t, &mut mem);
    ok(&v.sync(reader, 1));
    ok(&v.sync(1, 0));
    v.create(2, branch, "members", &["full_name=An"]);
    v.seal(2);
    let (log, parent) = v.replicas[2].store.stored_after(CommitKey(0), 10_000).unwrap().pop().unwrap();
    // On top of a commit of another device, which the relay does not hold yet: it cannot see that.
    let group = odd(&v, reader, log.space, EntryKind::Change, vec![parent.id]);
    give(&mut v, reader, 1, group).unwrap();
    assert_eq!(v.replicas[1].store.quarantine().unwrap().len(), 1);
    ok(&v.sync(2, 1));
    // Now the reader may write, and what lies aside is judged again.
    let key = v.replicas[reader].engine.device();
    v.grant(0, branch, key);
    ok(&v.sync(1, 0));
    assert!(v.replicas[1].store.quarantine().unwrap().is_empty(), "it was judged");
}

#[test]
fn what_was_set_aside_and_came_again_rightly_is_not_stored_twice() {
    let (mut v, _, branch) = three_levels(79);
    let t = v.invite(1, branch, Roles::READER);
    let reader = v.join("reader", &t, &mut mem);
    ok(&v.sync(reader, 1));
    ok(&v.sync(1, 0));
    let space = SpaceId { unit: branch, flow: Flow::Up, reach: 0 };
    let first = odd(&v, reader, space, EntryKind::Change, vec![]);
    let second = odd(&v, reader, space, EntryKind::Change, vec![first.headers[0].trust().unwrap().id()]);
    give(&mut v, reader, 1, second.clone()).unwrap();
    assert_eq!(v.replicas[1].store.quarantine().unwrap().len(), 1, "set aside without its parent");
    let key = v.replicas[reader].engine.device();
    v.grant(0, branch, key);
    ok(&v.sync(1, 0));
    give(&mut v, reader, 1, first).unwrap();
    give(&mut v, reader, 1, second).unwrap();
    v.unit(0, branch, "Tổ 1", "branch");
    ok(&v.sync(1, 0));
    assert!(v.replicas[1].store.quarantine().unwrap().is_empty(), "it is held");
}
