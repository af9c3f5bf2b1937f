//! Frames read before their turn: the same is held as without, and what was read of other bytes is never used.
//!
//! They do not: run on several threads (the desk does).

use crate::{ok, three_levels};
use sampan_core::engine::IntakeError;
use sampan_core::id::{Flow, SpaceId};
use sampan_core::limits::AHEAD_BYTES_MIN;
use sampan_core::store::CommitKey;
use sampan_core::testing::village::Village;
use sampan_core::wire::frame::{Frame, Group};

/// A branch (2) with records that its district (1) has not had, and the frame that would bring them.
fn bringing(seed: u64) -> (Village, SpaceId, Group) {
    let (mut v, _, branch) = three_levels(seed);
    ok(&v.sync(2, 1));
    for at in 0..20 {
        v.create(2, branch, "members", &[&format!("full_name=Nguyễn Văn Số {at}, một cái tên dài để đủ một khung")]);
    }
    v.seal(2);
    let r = &v.replicas[2];
    let space = SpaceId { unit: branch, flow: Flow::Up, reach: 0 };
    let rows = r.store.stored_after(CommitKey(0), 10_000).unwrap();
    let (log, row) = rows.iter().rfind(|(log, _)| log.space == space).unwrap();
    let group = r.store.groups(&log.space, &[row.key]).unwrap().remove(0);
    (v, space, group)
}

fn frame(group: &Group) -> Vec<u8> {
    Frame::Commits { after: 0, groups: vec![group.clone()] }.encode()
}

/// The district takes `group` after `read` was read ahead; commits stored.
fn take(v: &mut Village, read: &[u8], group: &Group) -> Result<u64, IntakeError> {
    let (now, from) = (v.now, v.replicas[2].engine.device());
    let r = &mut v.replicas[1];
    let ahead = r.engine.ahead_reader().read(read);
    assert!(ahead.is_some(), "nothing was read ahead");
    r.engine.read_ahead(ahead);
    let taken = r.engine.intake(&mut *r.store, &mut r.rng, from, std::slice::from_ref(group), &|_, _| true, now);
    r.engine.read_ahead(None);
    taken.map(|t| t.commits)
}

#[test]
fn what_was_read_before_its_turn_is_held_as_if_it_was_not() {
    let (mut v, space, group) = bringing(310);
    assert_eq!(take(&mut v, &frame(&group), &group), Ok(1));
    let held = |v: &Village, at: usize| v.replicas[at].engine.holdings().space_digest(&space);
    assert_eq!(held(&v, 1), held(&v, 2));
    ok(&v.sync(2, 1));
}

#[test]
fn what_was_read_of_other_bytes_is_not_used() {
    // The rightful frame was read; then comes one whose header was signed by nobody, and one whose pack is damaged.
    let (mut v, _, group) = bringing(311);
    let read = frame(&group);
    let mut forged = group.clone();
    forged.headers[0].signature[7] ^= 1;
    assert!(matches!(take(&mut v, &read, &forged), Err(IntakeError::PeerCommit(_))));
    let mut damaged = group.clone();
    let last = damaged.pack.len() - 1;
    damaged.pack[last] ^= 1;
    assert!(take(&mut v, &read, &damaged).is_err());
    assert_eq!(take(&mut v, &read, &group), Ok(1));
}

#[test]
fn what_is_wrong_or_small_is_left_to_its_turn() {
    let (v, _, group) = bringing(312);
    let reader = v.replicas[1].engine.ahead_reader();
    let mut forged = group.clone();
    forged.headers[0].signature[7] ^= 1;
    assert!(reader.read(&frame(&forged)).is_none());
    let mut damaged = group.clone();
    let last = damaged.pack.len() - 1;
    damaged.pack[last] ^= 1;
    assert!(reader.read(&frame(&damaged)).is_none());
    assert!(reader.read(&frame(&group)[1..]).is_none());
    let mark = Frame::AcksLost.encode();
    assert!(mark.len() < AHEAD_BYTES_MIN && reader.read(&mark).is_none());
}
