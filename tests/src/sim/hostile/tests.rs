//! Worlds with one kind of hostility each.

use super::super::fault::FaultKind;
use super::super::{Options, run};

/// Runs worlds of one kind; says how often it took hold.
fn worlds(kind: FaultKind, seeds: std::ops::Range<u64>) -> u64 {
    let mut fired = 0;
    for seed in seeds {
        let options = Options {
            only: Some(vec![kind]),
            nodes_max: Some(8),
            edits_max: Some(40),
            files: Some(kind == FaultKind::HostileFile),
            ..Options::default()
        };
        let out = run(seed, &options);
        assert!(out.broken.is_empty(), "seed {seed} with {}: {:#?}", kind.word(), out.broken);
        fired += out.fired.get(&kind).copied().unwrap_or(0);
    }
    fired
}

#[test]
fn nothing_that_is_written_without_right_is_believed() {
    assert!(worlds(FaultKind::HostileNoRight, 0..4) > 0);
}

#[test]
fn logs_that_are_forked_on_purpose_come_into_step() {
    assert!(worlds(FaultKind::HostileFork, 0..4) > 0);
}

#[test]
fn a_flood_harms_nobody() {
    assert!(worlds(FaultKind::HostileFlood, 0..4) > 0);
}

#[test]
fn files_that_a_peer_alters_or_asks_for_without_right_harm_nobody() {
    assert!(worlds(FaultKind::HostileFile, 0..4) > 0);
}

#[test]
fn changes_that_upset_automerge_have_one_status_everywhere() {
    assert!(worlds(FaultKind::HostileChange, 0..4) > 0);
}
