//! The net itself: each planted bug is caught by the ordinary oracles on every seed of a short list.
//!
//! It does not: measure how many seeds it takes in general: `sampan-sim canary` does.

use crate::{THREADS, my_turn};
use sampan_core::canary::Canary;
use sampan_tests::sim::Options;
use sampan_tests::sim::canary::{Catch, bait, catches};
use sampan_tests::sim::swarm::on_threads;

/// A canary that every second seed or so catches, and how many are tried.
pub const SURE: (Canary, u64) = (Canary::VerifiedTooEarly, 20);

/// Nodes of a world at most.
pub const NODES_MAX: usize = 6;

/// Seeds of small worlds with the faults that matter, at least one of which catches the canary.
const SEEDS: [(Canary, &[u64]); 18] = [
    (Canary::AckBeforeDurable, &[1, 6, 9]),
    (Canary::SealNotDurable, &[9, 10, 14]),
    (Canary::AuthorCheckSkipped, &[2, 4]),
    (Canary::TipsCollapsed, &[2, 4]),
    (Canary::DigestsUnderUnequalCharters, &[2, 3]),
    (Canary::CanonicalCheckOff, &[2, 3]),
    (Canary::ActorKeptAfterRestore, &[19]),
    (Canary::BlockedEntryTicked, &[4, 5, 7]),
    (Canary::UnsealedEditLost, &[1]),
    (Canary::VerifiedTooEarly, &[2, 3]),
    (Canary::PriorityForgotten, &[2]),
    (Canary::QuarantineInFrontier, &[1]),
    (Canary::CutIgnored, &[5, 6]),
    (Canary::BundleUnchecked, &[1]),
    (Canary::BeaconGoesBack, &[1, 2]),
    (Canary::FigureCountedTwice, &[1, 2]),
    (Canary::SilentUnitClaimed, &[1, 2]),
    (Canary::ChunkUnchecked, &[11, 15]),
];

#[test]
fn every_canary_is_caught() {
    for canary in Canary::ALL {
        assert!(SEEDS.iter().any(|(c, seeds)| *c == canary && !seeds.is_empty()), "{canary:?} has no seeds");
    }
    let turn = my_turn();
    let mut failed = Vec::new();
    let work = |(canary, seeds): (Canary, &[u64])| {
        let mut words = format!("{}: not caught on any of {seeds:?}", canary.name());
        for seed in seeds {
            // The seeds of the others were chosen in worlds without files.
            let options = Options {
                only: Some(bait(canary).to_vec()),
                nodes_max: Some(NODES_MAX),
                files: Some(canary == Canary::ChunkUnchecked),
                ..Options::default()
            };
            match catches(canary, *seed, &options) {
                Catch::Caught(_) => return None,
                Catch::Slipped => {}
                Catch::FailsAnyway(v) => words += &format!("\n  without the bug too: {}", v.complaint()),
            }
        }
        Some(words)
    };
    on_threads(THREADS, SEEDS.into_iter(), work, |r| failed.extend(r));
    drop(turn);
    failed.sort();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
