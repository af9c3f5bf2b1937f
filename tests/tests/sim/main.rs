//! Simulated worlds in the ordinary test run: pinned seeds, past failures, seeds of this commit, some of
//! them twice, and the canaries. Long forms are commands: `sampan-sim swarm`, `sampan-sim canary`.
//!
//! It does not: search for long. What is here takes a few minutes on two cores.
//!
//! Invariants: a failing seed prints its sentences and the command that repeats it.

mod canaries;
mod pinned;
mod seeds;

use sampan_tests::sim::case::{Case, Verdict};
use sampan_tests::sim::swarm::judge_all;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Worlds beside each other.
const THREADS: usize = 2;

/// One group of worlds at a time, so that there are never more than [`THREADS`] of them.
fn my_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs cases and fails with the complaints of all that broke a promise.
fn all_keep(what: &str, cases: Vec<Case>) -> Vec<Verdict> {
    let turn = my_turn();
    let verdicts = judge_all(THREADS, cases);
    drop(turn);
    let failed: Vec<String> = verdicts.iter().filter(|v| !v.kept()).map(Verdict::complaint).collect();
    assert!(failed.is_empty(), "{} of {} {what} fail\n{}", failed.len(), verdicts.len(), failed.join("\n"));
    verdicts
}
