//! The scripts: what a village does while the power goes.
//!
//! It does not: look at what is left; it says what happens and keeps what was promised.
//!
//! Invariants: a script draws nothing but from its seed, and asks no clock.

use crate::stage::{Book, Stage, codec};
use sampan_core::charter::{Op, Roles};
use sampan_core::engine::{Engine, NewRecord, SealLimits};
use sampan_core::id::{Flow, RecordId, SpaceId, StoreEpoch, UnitId};
use sampan_core::log::device_id;
use sampan_core::register::Heartbeat;
use sampan_core::store::{CommitKey, Store as _, StoreError};
use sampan_core::testing::SeededRng;
use sampan_core::testing::village::{Replica, plain_grant};
use sampan_core::value::Value;
use sampan_core::wire::frame::Group;
use sampan_node::store::ProjectedRow;
use std::collections::BTreeMap;

/// A script.
pub type Script = fn(&Book);

/// All of them, by name, and whether their disks promise nothing to SQLite.
pub const ALL: &[(&str, bool, Script)] = &[
    ("founding", false, founding),
    ("creating", false, creating),
    ("edits", false, edits),
    ("edits-rough", true, edits),
    ("sealing", false, sealing),
    ("charter", false, charter),
    ("joining", false, joining),
    ("going-up", false, going_up),
    ("going-up-grouped", false, going_up_grouped),
    ("going-up-rough", true, going_up),
    ("coming-down", false, coming_down),
    ("quarantine", false, quarantine),
    ("fork", false, fork),
    ("old-backup", false, old_backup),
    ("old-backup-grouped", false, old_backup_grouped),
    ("acknowledgements", false, acknowledgements),
    ("registers", false, registers),
    ("checkpoint", false, checkpoint),
    ("checkpoint-rough", true, checkpoint),
    ("checkpoint-beside-a-reader", false, checkpoint_beside_a_reader),
    ("projection", false, projection),
    ("reopening", false, reopening),
    ("renewing", false, renewing),
    ("removing", false, removing),
    ("conflicts", false, conflicts),
    ("import", false, import),
    ("large-values", false, large_values),
    ("new-epoch", false, new_epoch),
    ("malformed", false, malformed),
    ("newer-schema", false, newer_schema),
    ("two-devices", false, two_devices),
    ("grouped-edits", false, grouped_edits),
    ("merging", false, merging),
    ("merging-rough", true, merging),
];

fn founding(book: &Book) {
    let (mut s, district, branch) = Stage::three_levels(book);
    // The making of it all is what counts here.
    *book.from.borrow_mut() = 0;
    s.create(2, branch, &["full_name=An"]);
    s.create(1, district, &["full_name=Bình"]);
    s.sync(2, 1);
    s.sync(1, 0);
}

fn creating(book: &Book) {
    let (mut s, district, branch) = Stage::three_levels(book);
    for n in 0..5 {
        s.create(2, branch, &[&format!("full_name=Người {n}"), "phone=1"]);
    }
    s.create(1, district, &["full_name=Ở quận"]);
    s.sync(2, 1);
    s.sync(1, 0);
}

fn edits(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.create(2, branch, &["full_name=An", "phone=0"]);
    for n in 0..6 {
        s.set(2, an, &[&format!("phone={n}")]);
        s.set(2, an, &[&format!("address=số {n}"), &format!("occupation=nghề {n}")]);
    }
    s.sync(2, 1);
    s.set(2, an, &["phone=99"]);
}

fn sealing(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let all: Vec<_> = (0..4).map(|n| s.create(2, branch, &[&format!("full_name=Người {n}")])).collect();
    for id in &all {
        s.set(2, *id, &["phone=1"]);
    }
    let now = s.v.now;
    let limits = SealLimits { entries: 3, ..SealLimits::default() };
    let r = &mut s.v.replicas[2];
    let made = r.engine.seal(&mut *r.store, &mut r.rng, limits, now).unwrap();
    assert!(made >= 3, "{made}");
    s.sync(2, 1);
}

fn charter(book: &Book) {
    let (mut s, district, branch) = Stage::three_levels(book);
    let now = s.v.now;
    s.v.unit(1, district, "Chi bộ 2", "branch");
    let root = s.v.root();
    let key = device_id(&sampan_core::testing::test_key(77));
    s.v.invite(1, branch, Roles::READER);
    for (by, unit, op) in [
        (1, branch, Op::Grant(plain_grant(key, Roles::EDITOR, now))),
        (1, district, Op::Revoke { key, reason: "mất".into() }),
        (0, root, Op::Revoke { key, reason: "mất".into() }),
    ] {
        let r = &mut s.v.replicas[by];
        r.engine.write_charter(&mut *r.store, &mut r.rng, unit, &[op], now).unwrap();
    }
    s.sync(1, 0);
    s.sync(2, 1);
}

fn joining(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let t = s.v.invite(1, branch, Roles::EDITOR);
    let second = s.join("second", &t);
    s.link(second, 1);
    s.sync(second, 1);
    s.create(second, branch, &["full_name=Mới"]);
    s.sync(second, 1);
    s.sync(2, 1);
}

fn up(book: &Book, grouped: bool) {
    let (mut s, _, branch) = Stage::three_levels(book);
    s.grouped = grouped;
    let an = s.create(2, branch, &["full_name=An", "phone=0"]);
    s.create(2, branch, &["full_name=Bình"]);
    s.sync(2, 1);
    s.set(2, an, &["phone=1"]);
    s.sync(2, 1);
    s.sync(1, 0);
    s.sync(2, 1);
}

fn going_up(book: &Book) {
    up(book, false);
}

fn going_up_grouped(book: &Book) {
    up(book, true);
}

fn coming_down(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.create(2, branch, &["full_name=An"]);
    s.sync(2, 1);
    for n in 0..3 {
        s.v.set(1, "members", an, &[&format!("phone={n}")]);
        s.v.create(1, branch, "members", &[&format!("full_name=Từ trên {n}")]);
    }
    s.sync(2, 1);
    s.sync(1, 0);
}

fn give(s: &mut Stage, from: usize, to: usize, group: Group) -> sampan_core::engine::Intake {
    let (now, from) = (s.v.now, s.v.replicas[from].engine.device());
    let r = &mut s.v.replicas[to];
    r.engine.intake(&mut *r.store, &mut r.rng, from, &[group], &|_, _| true, now).unwrap()
}

fn quarantine(book: &Book) {
    let (mut s, district, branch) = Stage::three_levels(book);
    let other = s.v.unit(1, district, "Chi bộ 2", "branch");
    s.sync(2, 1);
    let key = s.v.replicas[2].engine.key().clone();
    let (group, _) = s.v.forge(&key, SpaceId { unit: other, flow: Flow::Up, reach: 0 }, device_id(&key));
    assert_eq!(give(&mut s, 0, 1, group).quarantined, 1);
    s.create(2, branch, &["full_name=An"]);
    s.sync(2, 1);
    let now = s.v.now;
    let grant = plain_grant(device_id(&key), Roles::EDITOR, now);
    let r = &mut s.v.replicas[1];
    r.engine.write_charter(&mut *r.store, &mut r.rng, other, &[Op::Grant(grant)], now).unwrap();
    s.sync(1, 0);
    s.sync(1, 0);
    assert!(s.v.replicas[1].store.quarantine().unwrap().is_empty());
}

/// A replica on a copy of what seat 2 holds now.
fn copy(s: &Stage) -> Replica {
    let mut rng = SeededRng::new(999);
    let mut store: Box<dyn sampan_core::store::Store> = Box::new(s.store_of_copy(2));
    let engine = Engine::open(&mut *store, s.v.org, s.book.key(2), codec(), &mut rng).unwrap();
    Replica { store, engine, rng, name: "copy".into() }
}

fn fork(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.v.create(2, branch, "members", &["full_name=An", "phone=0"]);
    s.sync(2, 1);
    book.backup.set(Some(s.v.replicas[2].engine.nonce()));
    let twin = copy(&s);
    s.v.replicas.push(twin);
    s.v.set(2, "members", an, &["phone=1"]);
    s.v.set(3, "members", an, &["address=ở đây"]);
    s.create(2, branch, &["full_name=X"]);
    s.v.create(3, branch, "members", &["full_name=Y"]);
    s.sync(2, 1);
    s.sync(3, 1);
    s.sync(2, 1);
    s.v.set(2, "members", an, &["occupation=a"]);
    s.v.set(3, "members", an, &["education=b"]);
    for (lower, upper) in [(2, 1), (3, 1), (2, 1), (1, 0)] {
        s.sync(lower, upper);
    }
}

fn old_backup(book: &Book) {
    put_back(book, false);
}

fn old_backup_grouped(book: &Book) {
    put_back(book, true);
}

fn put_back(book: &Book, grouped: bool) {
    let (mut s, _, branch) = Stage::three_levels(book);
    s.grouped = grouped;
    let an = s.create(2, branch, &["full_name=An"]);
    s.sync(2, 1);
    book.backup.set(Some(s.v.replicas[2].engine.nonce()));
    // The copy goes on, and seat 2 stands for the backup that is put back.
    let ahead = copy(&s);
    s.v.replicas.push(ahead);
    s.v.create(3, branch, "members", &["full_name=Bình"]);
    for n in 0..3 {
        s.v.set(3, "members", an, &[&format!("phone={n}")]);
        s.v.seal(3);
    }
    s.sync(3, 1);
    s.sync(2, 1);
    s.set(2, an, &["phone=2"]);
    s.sync(2, 1);
}

fn acknowledgements(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    for n in 0..3 {
        s.create(2, branch, &[&format!("full_name=Người {n}")]);
        s.v.now.0 += 60_000;
        for (lower, upper) in [(2, 1), (1, 0), (2, 1)] {
            s.sync(lower, upper);
        }
    }
    let r = &s.v.replicas[2];
    let delivered = r.engine.delivered(&*r.store, &branch).unwrap();
    assert_eq!(delivered.iter().filter(|d| d.complete).count(), 2, "{delivered:?}");
    *book.now.borrow_mut() = s.v.now;
}

fn registers(book: &Book) {
    let (mut s, district, branch) = Stage::three_levels(book);
    for n in 0..4 {
        s.v.now.0 += 1_000;
        let now = s.v.now;
        let beat = Heartbeat {
            version: "0.1".into(),
            unsent_changes: n,
            verified_at: now,
            last_error: String::new(),
            clock_offset: 0,
        };
        let r = &mut s.v.replicas[2];
        r.engine.heartbeat(&mut *r.store, branch, &beat, now).unwrap();
        s.v.replicas[1].name = format!("district-{n}");
        s.v.listen(1, district);
        s.sync(2, 1);
    }
    s.sync(1, 0);
    *book.now.borrow_mut() = s.v.now;
}

fn merging(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let all: Vec<_> = (0..18)
        .map(|n| {
            let id = s.v.create(2, branch, "members", &[&format!("full_name=Người {n}"), "phone=0"]);
            s.v.seal(2);
            id
        })
        .collect();
    s.sync(2, 1);
    s.begin();
    assert!(s.merge(2) >= 16);
    s.set(2, all[3], &["phone=1"]);
    s.sync(2, 1);
    assert!(s.merge(1) >= 16);
    s.checkpoint(1);
    s.set(2, all[4], &["phone=2"]);
    s.sync(2, 1);
    s.sync(1, 0);
}

fn checkpoint(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.create(2, branch, &["full_name=An"]);
    for n in 0..3 {
        s.set(2, an, &[&format!("phone={n}")]);
        s.checkpoint(2);
        s.sync(2, 1);
        s.checkpoint(1);
        s.checkpoint(2);
        s.set(2, an, &[&format!("address=số {n}")]);
    }
    s.sync(2, 1);
}

fn checkpoint_beside_a_reader(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.create(2, branch, &["full_name=An"]);
    let held = s.held(2);
    let (disk, device, org) = (held.borrow().disk.clone(), s.v.replicas[2].engine.device(), s.v.org);
    held.borrow_mut().reader = true;
    let reader = crate::stage::open(&disk, device, org).unwrap();
    let steps = reader.snapshot(|r| {
        r.last_commit()?;
        s.set(2, an, &["phone=1"]);
        s.checkpoint(2);
        s.v.seal(2);
        s.checkpoint(2);
        Ok::<_, StoreError>(book.tape.len())
    });
    assert!(steps.unwrap() > 0);
    // What the reader held back follows now; a session may leave only what the log holds durably.
    s.checkpoint(2);
    drop(reader);
    s.set(2, an, &["phone=2"]);
    s.sync(2, 1);
}

fn projection(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.create(2, branch, &["full_name=An"]);
    s.create(2, branch, &["full_name=Bình"]);
    project(&mut s);
    s.set(2, an, &["phone=1"]);
    s.v.seal(2);
    project(&mut s);
    s.sync(2, 1);
}

/// What the projector of a node does, in one transaction.
fn project(s: &mut Stage) {
    let schema = s.v.replicas[2].engine.schema().cloned().unwrap();
    let engine = &s.v.replicas[2].engine;
    let held = s.held(2);
    let mut held = held.borrow_mut();
    held.directly(
        |store| {
            store.group(|store| {
                store.follow_schema(&schema)?;
                let dirty = store.dirty(100)?;
                for key in &dirty {
                    let Some(state) = store.record(*key)? else { continue };
                    let Some(collection) = schema.collection(&state.collection) else { continue };
                    let Ok((_, _, document)) = engine.document(&*store, state.id) else { continue };
                    let Ok(view) = document.view() else { continue };
                    let row = ProjectedRow {
                        id: state.id,
                        unit: state.space.unit,
                        updated: s.v.now,
                        author: engine.device(),
                        conflict: Vec::new(),
                        removed: view.removed,
                        values: view.fields,
                    };
                    store.upsert_row(collection, *key, &row)?;
                }
                store.clear_dirty(&dirty)?;
                let last = store.last_commit()?;
                store.set_projected_to(last)
            })
        },
        |_| {},
    )
    .unwrap();
}

fn reopening(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.create(2, branch, &["full_name=An"]);
    for n in 0..3 {
        s.reopen(2);
        s.set(2, an, &[&format!("phone={n}")]);
        s.sync(2, 1);
        s.reopen(1);
    }
    s.checkpoint(2);
    s.reopen(2);
    s.sync(2, 1);
}

fn renewing(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.create(2, branch, &["full_name=An"]);
    for whole in [false, true, false] {
        let r = &mut s.v.replicas[2];
        r.engine.renew(&mut *r.store, &mut r.rng, whole).unwrap();
        s.set(2, an, &[&format!("phone={}", u8::from(whole))]);
        s.v.seal(2);
    }
    s.sync(2, 1);
}

fn removing(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.create(2, branch, &["full_name=An"]);
    s.sync(2, 1);
    s.set(2, an, &["_removed=true"]);
    s.sync(2, 1);
    s.set(2, an, &["_removed=false"]);
    s.set(2, an, &["phone=1"]);
    s.sync(2, 1);
    s.sync(1, 0);
}

fn conflicts(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let an = s.v.create(2, branch, "members", &["full_name=An", "phone=0"]);
    s.sync(2, 1);
    s.v.set(2, "members", an, &["phone=1", "address=a"]);
    s.v.set(1, "members", an, &["phone=2", "address=b"]);
    s.sync(2, 1);
    assert!(!s.v.view(2, an).unwrap().conflicts.is_empty());
    s.v.set(2, "members", an, &["phone=3"]);
    s.v.set(1, "members", an, &["address=c"]);
    s.sync(2, 1);
    s.sync(1, 0);
    assert!(s.v.view(0, an).unwrap().conflicts.is_empty());
}

/// Creates many records in one call.
fn many(s: &mut Stage, at: usize, unit: UnitId, n: usize) -> Vec<RecordId> {
    let now = s.v.now;
    let schema = s.v.replicas[at].engine.schema().cloned().unwrap();
    let c = schema.collection("members").unwrap();
    let one = |n: usize| {
        let name = Value::Str(format!("Người thứ {n}"));
        NewRecord { collection: c, unit, fields: BTreeMap::from([("full_name".to_owned(), name)]) }
    };
    let r = &mut s.v.replicas[at];
    let saved = r.engine.create(&mut *r.store, &mut r.rng, (0..n).map(one).collect(), now).unwrap();
    saved.into_iter().map(|s| s.id).collect()
}

fn import(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    many(&mut s, 2, branch, 150);
    s.checkpoint(2);
    s.sync(2, 1);
    s.sync(1, 0);
}

fn large_values(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let mut rng = SeededRng::new(4);
    let mut noise = |n: usize| (0..n).map(|_| format!("{:08x}", rng.next_u64() as u32)).collect::<String>();
    let an = s.create(2, branch, &["full_name=An"]);
    for field in ["address", "occupation", "education"] {
        s.set(2, an, &[&format!("{field}={}", noise(24))]);
    }
    for _ in 0..40 {
        s.v.set(2, "members", an, &[&format!("rewards+={}", noise(60))]);
    }
    s.sync(2, 1);
    s.set(2, an, &["address=ngắn"]);
    s.sync(2, 1);
}

fn new_epoch(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    s.create(2, branch, &["full_name=An"]);
    s.sync(2, 1);
    let epoch = StoreEpoch([9; 16]);
    s.held(1).borrow_mut().directly(|real| real.set_epoch(epoch), |plain| plain.set_epoch(epoch)).unwrap();
    s.reopen(1);
    s.sync(2, 1);
    s.sync(1, 0);
}

fn malformed(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    // A rightful author signs a change of an actor that is not its own.
    let device = s.v.replicas[2].engine.device();
    let foreign = sampan_core::testing::test_key(4_711);
    let (group, _) = s.v.forge(&foreign, SpaceId { unit: branch, flow: Flow::Up, reach: 0 }, device);
    assert_eq!(give(&mut s, 2, 1, group).commits, 1);
    s.sync(1, 0);
    s.sync(2, 1);
}

fn newer_schema(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let known = sampan_core::schema::builtin();
    let version = known.version + 1;
    let mut text = known.source.replacen(&format!("version = {}", known.version), &format!("version = {version}"), 1);
    text.push_str(
        "\n[collection.members.field.blood_group]\nkind = \"string\"\nlabel = { vi = \"Nhóm máu\", en = \"Blood group\" }\n",
    );
    let (now, root) = (s.v.now, s.v.root());
    let r = &mut s.v.replicas[0];
    r.engine.write_charter(&mut *r.store, &mut r.rng, root, &[Op::Schema { version, text }], now).unwrap();
    s.sync(1, 0);
    s.sync(2, 1);
    let an = s.create(2, branch, &["full_name=An"]);
    s.set(2, an, &["blood_group=O"]);
    s.sync(2, 1);
}

fn two_devices(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    let t = s.v.invite(1, branch, Roles::EDITOR);
    let second = s.join("second", &t);
    s.link(second, 1);
    s.sync(second, 1);
    s.begin();
    let an = s.v.create(2, branch, "members", &["full_name=An"]);
    s.sync(2, 1);
    s.sync(second, 1);
    s.v.set(2, "members", an, &["phone=1"]);
    s.v.set(second, "members", an, &["address=b"]);
    s.create(second, branch, &["full_name=Bình"]);
    for at in [2, second, 2] {
        s.sync(at, 1);
    }
}

fn grouped_edits(book: &Book) {
    let (mut s, _, branch) = Stage::three_levels(book);
    s.grouped = true;
    let an = s.v.create(2, branch, "members", &["full_name=An"]);
    let schema = s.v.replicas[2].engine.schema().cloned().unwrap();
    let c = schema.collection("members").unwrap();
    let (now, held) = (s.v.now, s.held(2));
    for n in 0..3 {
        let r = &mut s.v.replicas[2];
        held.borrow_mut()
            .group(|store| {
                for m in 0..4 {
                    let edit = sampan_core::schema::Assignment::parse(c, &format!("phone={n}{m}")).unwrap();
                    r.engine.edit(store, c, an, &[edit], now).unwrap();
                }
                r.engine.seal(store, &mut r.rng, SealLimits::default(), now)
            })
            .unwrap();
        s.sync(2, 1);
    }
    assert!(s.v.replicas[1].store.last_commit().unwrap() > CommitKey(0));
}
