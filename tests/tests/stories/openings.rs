//! What is said before and around data: the first session after news brings what a branch has to learn, and no more.

use crate::three_levels;
use sampan_core::charter::Roles;
use sampan_core::id::RecordId;
use sampan_core::testing::village::Village;
use sampan_node::codec::ZstdCodec;
use sampan_tests::long::tree::{Case, session};
use sampan_tests::shape::mem;
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
