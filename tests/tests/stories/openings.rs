//! What is said before and around data: the first session after news brings what a branch has to learn, and no more.

use crate::{three_levels, three_levels_with};
use sampan_core::charter::Roles;
use sampan_core::engine::NewRecord;
use sampan_core::id::RecordId;
use sampan_core::testing::SeededRng;
use sampan_core::testing::members::{edit, members};
use sampan_core::testing::village::Village;
use sampan_core::value::{Edit, Value};
use sampan_node::codec::ZstdCodec;
use sampan_tests::long::tree::{Case, session};
use sampan_tests::shape::mem;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One session; pending edits are sealed first, as the program does.
fn meet(v: &mut Village, lower: usize, upper: usize) -> Case {
    v.seal(lower);
    v.seal(upper);
    v.now.0 += 60_000;
    session(v, lower, upper, "a session").unwrap()
}

fn ticks(v: &Village, at: usize, branch: &sampan_core::id::UnitId) -> Vec<bool> {
    let r = &v.replicas[at];
    r.engine.delivered(&*r.store, branch).unwrap().iter().map(|t| t.complete).collect()
}

#[test]
fn the_session_after_an_upload_says_nothing_and_the_one_after_the_relays_own_one_statement() {
    let (mut v, _, branch) = three_levels(401);
    for i in 0..600 {
        v.create(2, branch, "members", &[&format!("full_name=Người {i}")]);
    }
    let upload = meet(&mut v, 2, 1);
    assert!(upload.changes.0 >= 600, "{upload:?}");
    assert_eq!(ticks(&v, 2, &branch), [true, false], "its acknowledgement came with the upload");
    let next = meet(&mut v, 2, 1);
    assert!(next.bytes() <= 200 && next.round_trips == 1, "{} B: {:?}", next.bytes(), next.frames);
    meet(&mut v, 1, 0);
    let next = meet(&mut v, 2, 1);
    assert_eq!(ticks(&v, 2, &branch), [true, true]);
    let learned = next.frames.get("ShortAcks").copied().unwrap_or_default();
    assert!(learned > 0 && next.bytes() <= 200 + learned, "{} B: {:?}", next.bytes(), next.frames);
    assert!(learned <= 160, "{:?}", next.frames);
    let next = meet(&mut v, 2, 1);
    assert!(next.bytes() <= 200 && next.round_trips == 1, "{} B: {:?}", next.bytes(), next.frames);
}

/// A record and what its fields were made with.
type Made = (RecordId, BTreeMap<String, Value>);

/// A branch in three levels with so many members as the figures have them, all of it acknowledged by its relay.
fn members_of_a_branch(seed: u64, n: usize) -> (Village, Vec<Made>) {
    let (mut v, _, branch) = three_levels_with(seed, Arc::new(ZstdCodec), &mut mem);
    let collection = sampan_core::schema::builtin().collection("members").cloned().unwrap();
    let rows = members(2_026, n);
    let new =
        |fields: &BTreeMap<String, Value>| NewRecord { collection: &collection, unit: branch, fields: fields.clone() };
    let r = &mut v.replicas[2];
    let saved = r.engine.create(&mut *r.store, &mut r.rng, rows.iter().map(new).collect(), v.now).unwrap();
    let ids: Vec<RecordId> = saved.into_iter().map(|s| s.id).collect();
    meet(&mut v, 2, 1);
    meet(&mut v, 2, 1);
    (v, ids.into_iter().zip(rows).collect())
}

/// So many edits of different members, some time apart, and the session that brings them.
fn monday(v: &mut Village, rows: &[(RecordId, BTreeMap<String, Value>)], rng: &mut SeededRng, edits: usize) -> Case {
    let collection = sampan_core::schema::builtin().collection("members").cloned().unwrap();
    for i in 0..edits {
        let (id, row) = &rows[i * 7 % rows.len()];
        let (name, value) = edit(rng, row);
        v.now.0 += 40;
        let now = v.now;
        let r = &mut v.replicas[2];
        r.engine.edit(&mut *r.store, &collection, *id, &[(name, Edit::Set(value))], now).unwrap();
    }
    meet(v, 2, 1)
}

#[test]
fn a_monday_is_its_pack_and_little_else() {
    let (mut v, rows) = members_of_a_branch(403, 600);
    let mut rng = SeededRng::new(7);
    let beside = |case: &Case| case.bytes() - case.frames["Commits"];
    let first = monday(&mut v, &rows, &mut rng, 10);
    assert_eq!((first.changes, first.round_trips), ((10, 0), 1), "{first:?}");
    assert!(first.bytes() <= 600 && beside(&first) <= 190, "{first:?}");
    let hundred = monday(&mut v, &rows, &mut rng, 100);
    assert!(hundred.bytes() <= 1_950 && beside(&hundred) <= 190, "{hundred:?}");
    // The branch's charter goes on: a Monday under other heads names them, and the next one need not.
    let units = v.replicas[2].engine.charter().units_of(&v.replicas[2].engine.device());
    let ticket = v.invite(1, *units.first().unwrap(), Roles::EDITOR);
    let second = v.join("second", &ticket, &mut mem);
    v.sync(second, 1);
    meet(&mut v, 2, 1);
    let mut link = v.connect(2, 1, false);
    v.run(&mut link);
    let other = monday(&mut v, &rows, &mut rng, 10);
    assert!(other.bytes() <= 620 && beside(&other) <= 190, "{other:?}");
}

#[test]
fn a_first_load_says_the_shipped_schema_by_its_words() {
    let (mut v, _, _) = three_levels_with(405, Arc::new(ZstdCodec), &mut mem);
    let grassroots = v.replicas[1].engine.charter().units_of(&v.replicas[1].engine.device());
    let branch = v.unit(1, *grassroots.first().unwrap(), "Chi bộ 2", "branch");
    let ticket = v.invite(1, branch, Roles::EDITOR);
    let second = v.join("second", &ticket, &mut mem);
    let case = meet(&mut v, second, 1);
    let schema = |at: usize| v.replicas[at].engine.schema().unwrap().source.clone();
    assert_eq!(schema(second), schema(1));
    // The text alone is 37 kB, and 8.7 kB with zstd. Where the shipped schema has grown away from the words of form 7 it is
    // time for a new form.
    assert!(case.frames["Commits"] <= 5_500 && case.bytes() <= 7_500, "{case:?}");
}

#[test]
fn a_monday_of_a_thousand_edits_takes_one_round_trip() {
    let mut v = Village::found(402, Arc::new(ZstdCodec), &mut mem);
    let root = v.root();
    let branch = v.unit(0, root, "Chi bộ 1", "branch");
    let ticket = v.invite(0, branch, Roles::EDITOR);
    let pc = v.join("branch", &ticket, &mut mem);
    let ids: Vec<RecordId> =
        (0..1_000).map(|i| v.create(pc, branch, "members", &[&format!("full_name=Người {i}")])).collect();
    for _ in 0..2 {
        meet(&mut v, pc, 0);
    }
    for (i, id) in ids.iter().enumerate() {
        v.now.0 += 20_000 + (i as u64 * 7_919) % 9_000;
        v.set(pc, "members", *id, &[&format!("phone=09{:08}", i * 7_919)]);
    }
    let case = meet(&mut v, pc, 0);
    assert_eq!((case.changes, case.round_trips), ((1_000, 0), 1), "{case:?}");
    assert!(case.bytes() < 20 << 10, "{case:?}");
    assert!(ticks(&v, pc, &branch)[0]);
    let scattered = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128;
    // More than that is compared first: a link that is cut again and again must not start it anew each time.
    for (i, id) in ids.iter().enumerate() {
        v.now.0 += 20_000 + (i as u64 * 6_007) % 9_000;
        v.set(pc, "members", *id, &[&format!("full_name=Bà {}", scattered.wrapping_mul(i as u128 + 1))]);
    }
    let case = meet(&mut v, pc, 0);
    assert_eq!((case.changes, case.round_trips), ((1_000, 0), 2), "{case:?}");
}
