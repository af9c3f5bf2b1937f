//! Forks: a copied disk, every interleaving of what the two copies and a third do, and every order of
//! delivery of what they made.
//!
//! It does not: look at the session (the stories do); here a copy meets its twin's commits one by one.
//!
//! Invariants: whatever name the copy goes on under, nothing is lost and everyone agrees; two changes
//! of one actor and sequence come only from a copy that nobody noticed.

use crate::ends::new_parcels;
use crate::explore::{World as _, explore};
use crate::merge::{Card, Step};
use sampan_core::frontier::SpaceTips;
use sampan_core::store::Status;

/// How the copy goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copy {
    /// Nobody noticed: the same nonce and incarnation.
    Unnoticed,
    /// The boot id differed: a new nonce.
    NewNonce,
    /// The machine or the file differed: a new nonce and a new incarnation.
    NewIncarnation,
}

const A: fn(usize) -> Step = |d| Step::Set(d, "a");

/// Desks 0 and 1 are copies of one device's disk that wrote a commit before; desk 2 is another's.
fn world(copy: Copy, edits: &[fn(usize) -> Step]) -> Card {
    copied(copy, edits, &[])
}

/// The same; these steps are taken after the commit and before the copy is made.
fn copied(copy: Copy, edits: &[fn(usize) -> Step], before: &[Step]) -> Card {
    let mut world = Card::new(&[2, 2, 3], edits);
    world.step(&Step::Set(0, "b")).unwrap();
    world.step(&Step::Seal(0)).unwrap();
    for step in before {
        world.step(step).unwrap();
    }
    world.used = 0;
    world.desks[1] = world.desks[0].clone();
    world.alike = if copy == Copy::Unnoticed { 2 } else { 0 };
    // Edits of the two differ, and so do the secrets that their machines draw.
    world.desks[1].edits = 50;
    world.desks[1].rng = sampan_core::testing::SeededRng::new(1_000);
    if copy != Copy::Unnoticed {
        let incarnation = copy == Copy::NewIncarnation;
        let engines = world.engines.clone();
        engines.at(&mut world.desks[1], |e, store, rng| e.renew(store, rng, incarnation)).unwrap();
    }
    world
}

fn run(copy: Copy, edits: &[fn(usize) -> Step], depth: usize) {
    explored(copy, world(copy, edits), depth);
}

fn explored(copy: Copy, world: Card, depth: usize) {
    let seen = explore(world.clone(), depth).unwrap_or_else(|e| panic!("{copy:?} {e:?}"));
    println!("{copy:?}: {} states, {} steps, {}", seen.states, seen.steps, world.told());
}

#[test]
fn a_copy_that_nobody_noticed_forks_its_log_alike_everywhere() {
    run(Copy::Unnoticed, &[A], 4);
    run(Copy::Unnoticed, &[A, Step::Splice], 3);
}

#[test]
fn a_copy_under_a_new_nonce_forks_its_log_alike_everywhere() {
    run(Copy::NewNonce, &[A], 3);
}

#[test]
fn a_copy_of_a_new_incarnation_has_a_log_of_its_own() {
    run(Copy::NewIncarnation, &[A], 3);
}

#[test]
fn an_edit_that_was_pending_when_the_disk_was_copied_counts_once_however_often_it_is_sealed() {
    for (copy, depth) in [(Copy::Unnoticed, 3), (Copy::NewNonce, 2), (Copy::NewIncarnation, 2)] {
        explored(copy, copied(copy, &[A], &[A(0)]), depth);
    }
}

/// `cargo test --release -p sampan-tests --test models forks -- --ignored`
#[test]
#[ignore = "minutes: one operation more, of each kind of copy"]
fn five_operations_of_copies_and_a_third() {
    for copy in [Copy::Unnoticed, Copy::NewNonce, Copy::NewIncarnation] {
        explored(copy, copied(copy, &[A], &[A(0)]), 3);
        run(copy, &[A, Step::Splice], 5);
    }
}

/// Both copies edit one field; the third takes both.
fn both_edit(copy: Copy) -> (Card, Vec<SpaceTips>, Vec<Status>) {
    let mut w = world(copy, &[]);
    for step in [A(0), A(1), Step::Deliver(0, 2), Step::Deliver(1, 2)] {
        w.step(&step).unwrap();
    }
    let engines = w.engines.clone();
    let tips = engines.at(&mut w.desks[2], |e, _, _| {
        let spaces = e.holdings().spaces().filter(|(s, _)| s.flow == sampan_core::id::Flow::Up);
        spaces.map(|(_, t)| t.clone()).collect()
    });
    let base = world(copy, &[]).desks.swap_remove(0);
    let (new, desk) = (new_parcels(&engines, &w.desks, &base), &w.desks[2]);
    let mut statuses: Vec<Status> = Vec::new();
    for p in new.values() {
        for e in &p.commit().payload().entries {
            use sampan_core::store::Store as _;
            let state = desk.store.records(&[e.entry.record]).unwrap().remove(0).unwrap();
            let entries = desk.store.entries(state.key.unwrap()).unwrap();
            statuses.extend(entries.iter().filter(|o| o.hash == e.entry.change()).map(|o| o.status));
        }
    }
    statuses.sort_unstable();
    (w, tips, statuses)
}

#[test]
fn what_each_copy_comes_to_is_what_the_design_says() {
    // One log with two tips, and of the two changes under one name the lower hash stands.
    let (w, tips, statuses) = both_edit(Copy::Unnoticed);
    let device = w.desks[0].id();
    let logs = |tips: &[SpaceTips]| -> Vec<usize> {
        tips[0].logs().filter(|((d, _), _)| *d == device).map(|(_, t)| t.len()).collect()
    };
    assert_eq!(logs(&tips), [2]);
    assert_eq!(statuses, [Status::Accepted, Status::Blocked]);
    // Another nonce: still one log with two tips, and both changes stand.
    let (_, tips, statuses) = both_edit(Copy::NewNonce);
    assert_eq!(logs(&tips), [2]);
    assert_eq!(statuses, [Status::Accepted, Status::Accepted]);
    // Another incarnation: two logs, both changes stand.
    let (_, tips, statuses) = both_edit(Copy::NewIncarnation);
    assert_eq!(logs(&tips), [1, 1]);
    assert_eq!(statuses, [Status::Accepted, Status::Accepted]);
}

#[test]
fn a_copy_that_meets_its_twin_goes_on_under_another_name() {
    let mut w = world(Copy::Unnoticed, &[]);
    for step in [A(0), A(1), Step::Deliver(0, 1)] {
        w.step(&step).unwrap();
    }
    assert!(w.met.contains_key(&1), "the copy noticed");
    w.step(&A(1)).unwrap();
    w.step(&Step::Deliver(1, 0)).unwrap();
    w.check().unwrap();
    w.step(&A(0)).unwrap();
    w.check().unwrap();
}
