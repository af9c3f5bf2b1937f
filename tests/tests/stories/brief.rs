//! Brief headers: what they save, that they never bring anything but what was signed, and that what one end cannot
//! rebuild it asks for.
//!
//! It does not: look at packs (`columns`), or at old peers (`versions`).

use crate::{mem, ok};
use sampan_core::charter::Roles;
use sampan_core::engine::IntakeError;
use sampan_core::id::{CommitId, DeviceId, OrgId, RecordId, StoreEpoch, UnitId};
use sampan_core::log::brief::Brief;
use sampan_core::pack::StoredColumns;
use sampan_core::store::{CommitKey, Store};
use sampan_core::sync::{Env, Session};
use sampan_core::testing::village::Village;
use sampan_core::testing::{MemStore, SharedStore};
use sampan_core::value::Value;
use sampan_core::wire::frame::{Frame, Group};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A city (0), whose disk can be put back, and a branch (1), in sync, with a record of the branch.
fn pair(seed: u64) -> (Village, UnitId, RecordId, SharedStore) {
    let mut disk = None;
    let mut make = |org: OrgId, device: DeviceId, epoch: StoreEpoch| {
        let shared = SharedStore::new(MemStore::new(org, device, epoch));
        disk = Some(shared.clone());
        Box::new(shared) as Box<dyn Store>
    };
    let mut v = Village::found(890 + seed, Arc::new(StoredColumns), &mut make);
    let root = v.root();
    let branch = v.unit(0, root, "Chi bộ 1", "branch");
    let t = v.invite(0, branch, Roles::EDITOR);
    v.join("branch", &t, &mut mem);
    ok(&v.sync(1, 0));
    let an = v.create(1, branch, "members", &["full_name=An", "phone=0"]);
    ok(&v.sync(1, 0));
    ok(&v.sync(1, 0));
    (v, branch, an, disk.unwrap())
}

/// The groups that the branch sends with its opening.
fn pushed(v: &mut Village) -> Vec<Group> {
    v.seal(1);
    let (city, now) = (v.replicas[0].engine.device(), v.now);
    let r = &mut v.replicas[1];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut session = Session::lower(&mut env, city, false).unwrap();
    let mut out = Vec::new();
    while let Some((_, bytes)) = session.next_frame(&mut env, &|_| true).unwrap() {
        if let Frame::Commits { groups, .. } = Frame::decode(&bytes).unwrap() {
            out.extend(groups);
        }
    }
    out
}

fn take(v: &mut Village, group: &Group) -> Result<Vec<CommitId>, IntakeError> {
    let (from, now) = (v.replicas[1].engine.device(), v.now);
    let r = &mut v.replicas[0];
    let one = std::slice::from_ref(group);
    r.engine.intake(&mut *r.store, &mut r.rng, from, one, &|_, _| true, now).map(|i| i.ids)
}

fn held(v: &Village, at: usize) -> BTreeSet<CommitId> {
    v.replicas[at].store.stored_after(CommitKey(0), usize::MAX).unwrap().into_iter().map(|(_, r)| r.id).collect()
}

fn phone(v: &Village, at: usize, id: RecordId) -> Option<Value> {
    v.field(at, id, "phone")
}

#[test]
fn a_commit_travels_without_what_follows_from_its_parent() {
    let (mut v, _, an, _) = pair(0);
    v.set(1, "members", an, &["phone=1"]);
    let groups = pushed(&mut v);
    let [group] = groups.as_slice() else { panic!("{} groups", groups.len()) };
    let [head] = group.headers.as_slice() else { panic!("{} headers", group.headers.len()) };
    assert!(Brief::is(head) && head.bytes.len() <= 20, "{} bytes", head.bytes.len());
    let end = v.sync(1, 0);
    ok(&end);
    assert_eq!(end.round_trips, 1);
    assert_eq!(phone(&v, 0, an), Some(Value::Str("1".into())));
    // Several in a row, each of which names the one before it, and what a neighbour of the branch gets of it.
    for n in 2..6 {
        v.set(1, "members", an, &[&format!("phone={n}")]);
        v.seal(1);
    }
    let groups = pushed(&mut v);
    assert!(groups.len() == 4 && groups.iter().all(|g| Brief::is(&g.headers[0])));
    ok(&v.sync(1, 0));
    assert_eq!(phone(&v, 0, an), Some(Value::Str("5".into())));
    let units = v.replicas[0].engine.charter().units_of(&v.replicas[1].engine.device());
    let t = v.invite(0, *units.iter().next().unwrap(), Roles::EDITOR);
    let second = v.join("second", &t, &mut mem);
    ok(&v.sync(second, 0));
    assert_eq!(held(&v, second), held(&v, 0));
}

#[test]
fn whatever_is_bent_brings_nothing_but_what_was_signed() {
    let (mut v, _, an, _) = pair(1);
    v.set(1, "members", an, &["phone=1"]);
    v.seal(1);
    v.set(1, "members", an, &["phone=2"]);
    let groups = pushed(&mut v);
    let (before, signed) = (held(&v, 0), held(&v, 1));
    assert!(!signed.is_subset(&before));
    let [first, second] = groups.as_slice() else { panic!("{} groups", groups.len()) };
    let mut refused = 0;
    let mut bend = |v: &mut Village, group: Group| match take(v, &group) {
        Ok(_) => assert!(held(v, 0).is_subset(&signed), "something else was taken"),
        Err(IntakeError::PeerBrief(_) | IntakeError::PeerGroup | IntakeError::PeerCommit(_)) => {
            refused += 1;
            assert!(held(v, 0).is_subset(&signed));
        }
        Err(e) => panic!("{e}"),
    };
    // The second cannot be read before the first has come.
    bend(&mut v, second.clone());
    assert_eq!(held(&v, 0), before);
    for bit in [0x01, 0x10, 0x80] {
        for at in 0..first.headers[0].bytes.len() {
            let mut group = first.clone();
            group.headers[0].bytes[at] ^= bit;
            bend(&mut v, group);
        }
        for at in (0..64).step_by(7) {
            let mut group = first.clone();
            group.headers[0].signature[at] ^= bit;
            bend(&mut v, group);
        }
        for at in 0..first.pack.len() {
            let mut group = first.clone();
            group.pack[at] ^= bit;
            bend(&mut v, group);
        }
    }
    let mut mixed = first.clone();
    mixed.pack.clone_from(&second.pack);
    bend(&mut v, mixed);
    let mut twice = first.clone();
    twice.headers.push(first.headers[0].clone());
    bend(&mut v, twice);
    assert!(refused > 100, "{refused} refused");
    // Held by now or not, the true ones are taken, and again.
    for group in [first, second, first, second] {
        assert_eq!(take(&mut v, group).unwrap().len(), 1);
    }
    assert_eq!(held(&v, 0), signed);
}

#[test]
fn a_relay_that_lost_the_parent_asks_for_the_whole() {
    let (mut v, _, an, disk) = pair(2);
    let backup = disk.lock().clone();
    v.set(1, "members", an, &["phone=1"]);
    ok(&v.sync(1, 0));
    ok(&v.sync(1, 0));
    // An old state of the disk comes back unnoticed: what the branch edits next builds on what the city lacks now.
    *disk.lock() = backup;
    let r = &mut v.replicas[0];
    r.engine.reload(&*r.store).unwrap();
    v.set(1, "members", an, &["phone=2"]);
    let groups = pushed(&mut v);
    let last = groups.last().expect("nothing was pushed");
    assert!(matches!(take(&mut v, last), Err(IntakeError::PeerBrief(_))));
    let end = v.sync(1, 0);
    ok(&end);
    assert!(end.changes.0 >= 3, "{end:?}");
    assert_eq!(phone(&v, 0, an), Some(Value::Str("2".into())));
    assert_eq!(held(&v, 0), held(&v, 1));
}

#[test]
fn what_comes_twice_is_known_though_its_parent_is_no_tip_any_more() {
    let (mut v, _, an, _) = pair(3);
    for n in 1..6 {
        v.set(1, "members", an, &[&format!("phone={n}")]);
        v.seal(1);
    }
    let groups = pushed(&mut v);
    assert_eq!(groups.len(), 5);
    for _ in 0..2 {
        for group in &groups {
            take(&mut v, group).unwrap();
        }
    }
    assert_eq!(held(&v, 0), held(&v, 1));
}

#[test]
fn who_goes_on_sending_what_cannot_be_rebuilt_is_sent_away() {
    let (mut v, _, an, _) = pair(4);
    v.set(1, "members", an, &["phone=1"]);
    let groups = pushed(&mut v);
    let mut forged = groups[0].clone();
    forged.headers[0].signature[5] ^= 1;
    // The branch's device turns hostile after a proper hello.
    crate::forget(&mut v, 1, 0);
    let (devices, now) = ([0, 1].map(|n| v.replicas[n].engine.device()), v.now);
    let hello = {
        let r = &mut v.replicas[1];
        let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
        Session::lower(&mut env, devices[0], false).unwrap().next_frame(&mut env, &|_| true).unwrap().unwrap()
    };
    let before = held(&v, 0);
    let r = &mut v.replicas[0];
    let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut session = Session::upper(devices[1]);
    session.receive(&mut env, 0, &hello.1).unwrap();
    let frame = Frame::Commits { after: 0, groups: vec![forged; 100] }.encode();
    let sent = (0..1_000).take_while(|_| session.receive(&mut env, 3, &frame).is_ok()).count();
    assert_eq!(sent, sampan_core::limits::WAITING_COMMITS_MAX / 100);
    assert_eq!(held(&v, 0), before);
}
