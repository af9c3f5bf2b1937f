//! Pinned seeds, seeds of this commit, and seeds run twice.
//!
//! It does not: look for canaries.

use crate::{THREADS, all_keep, my_turn};
use sampan_tests::sim::case::Case;
use sampan_tests::sim::seedfile::difference;
use sampan_tests::sim::swarm::{LARGE_NODES, judge_all};
use std::process::Command;

/// The seeds that every run of the tests runs: all sizes and lengths, calm ones and such with all kinds.
const PINNED: [u64; 32] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32,
];
/// Seeds that are run twice: a small calm world, a large one, and two with many kinds of faults.
const TWICE: [u64; 4] = [2, 4, 10, 11];
/// Seeds that follow from the commit.
const OF_COMMIT: usize = 64;

#[test]
fn pinned_worlds_keep_every_promise() {
    let large = PINNED.iter().filter(|s| Case::of(**s).shape().nodes.len() >= LARGE_NODES).count();
    assert!(large * 10 >= PINNED.len(), "{large} of the pinned worlds are large: fewer than a tenth");
    all_keep("pinned seeds", PINNED.into_iter().map(Case::of).collect());
}

/// Each commit tries worlds that no commit before it tried.
#[test]
fn worlds_of_this_commit_keep_every_promise() {
    let commit = commit();
    println!("the seeds follow from {commit:?}; to have them again: SAMPAN_SIM_COMMIT={commit}");
    let seeds = (0..OF_COMMIT).map(|n| {
        let hash = blake3::hash(format!("{commit} {n}").as_bytes());
        let mut eight = [0; 8];
        eight.copy_from_slice(&hash.as_bytes()[..8]);
        // Short enough to be said aloud.
        u64::from_le_bytes(eight) % 1_000_000_000_000
    });
    // In every second one periods are closed.
    let case = |(n, seed): (usize, u64)| {
        let mut case = Case::of(seed);
        case.options.closings = n % 2 == 1;
        case
    };
    all_keep(&format!("seeds of commit {commit}"), seeds.enumerate().map(case).collect());
}

/// What the seeds of a commit are derived from.
fn commit() -> String {
    if let Ok(word) = std::env::var("SAMPAN_SIM_COMMIT") {
        return word;
    }
    let git = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    match git {
        Ok(out) if out.status.success() => String::from_utf8_lossy(&out.stdout).trim().to_owned(),
        // Sources without a repository still have worlds.
        Ok(_) | Err(_) => "sampan".to_owned(),
    }
}

/// Both runs of a seed go through the threads in another order, so that nothing of another world, of the
/// thread or of the moment may be in a trace.
#[test]
fn the_same_seed_twice_gives_the_same_trace() {
    let cases = |seeds: Vec<u64>| -> Vec<Case> {
        seeds
            .into_iter()
            .map(|s| {
                let mut case = Case::of(s);
                case.options.keep_trace = true;
                case
            })
            .collect()
    };
    let turn = my_turn();
    let there = judge_all(THREADS, cases(TWICE.to_vec()));
    let mut back = judge_all(THREADS, cases(TWICE.into_iter().rev().collect()));
    drop(turn);
    back.reverse();
    for (a, b) in there.iter().zip(&back) {
        assert_eq!(a.case.seed, b.case.seed);
        if let Some(words) = difference(a, b) {
            panic!("seed {} does not repeat itself: {words}\n  {}", a.case.seed, a.case.command());
        }
        let lines = a.outcome.as_ref().map_or(0, |o| o.lines.len());
        assert!(lines > 50 || !a.kept(), "the trace of seed {} has {lines} lines", a.case.seed);
    }
}
