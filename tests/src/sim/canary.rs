//! Whether the net holds: each planted bug must be caught by the ordinary oracles within a stated number
//! of seeds.
//!
//! It does not: plant anything in the engine (`sampan_core::canary` names the places).
//!
//! Invariants: a seed that fails without the bug as well says nothing about the bug, and does not count
//! as a catch.

use super::Options;
use super::case::{Case, Verdict};
use super::fault::FaultKind;
use super::swarm::{median, on_threads};
use sampan_core::canary::Canary;

/// Trials of one canary, each from another first seed.
pub const TRIALS: u64 = 5;
/// The distance between the first seeds of two trials.
const APART: u64 = 10_000;

/// Within how many seeds a canary is caught in worlds with only the faults that matter to it (`--bait`). Medians
/// of five trials in worlds of at most 6 nodes are 1 and 2, the longest trial took 9 (tests/PROOF.md).
pub const BAITED_SEEDS_MAX: u64 = 20;
/// Within how many seeds it is to be caught in worlds with whatever faults their seeds choose.
pub const SEEDS_MAX: u64 = 100;

/// The kinds of faults that give a canary something to sing about: worlds with only these catch it soon.
#[must_use]
pub const fn bait(canary: Canary) -> &'static [FaultKind] {
    match canary {
        // A crash at the very step that was to make it durable: others come too late.
        Canary::AckBeforeDurable | Canary::SealNotDurable => &[FaultKind::CrashInTransaction],
        Canary::UnsealedEditLost => &[FaultKind::PowerLoss],
        Canary::AuthorCheckSkipped | Canary::QuarantineInFrontier => &[FaultKind::HostileNoRight],
        Canary::TipsCollapsed => &[FaultKind::Clone, FaultKind::RestoreBranch, FaultKind::HostileFork],
        Canary::DigestsUnderUnequalCharters => {
            &[FaultKind::NewSchema, FaultKind::Revoked, FaultKind::HostileStale, FaultKind::OneWay]
        }
        Canary::CanonicalCheckOff => &[FaultKind::HostileChange],
        Canary::ActorKeptAfterRestore => &[FaultKind::Clone, FaultKind::RestoreBranch],
        Canary::BlockedEntryTicked => &[FaultKind::NewSchema, FaultKind::HostileNoRight, FaultKind::HostileChange],
        Canary::VerifiedTooEarly => &[FaultKind::Flapping, FaultKind::HalfOpen, FaultKind::Delay],
        Canary::PriorityForgotten => &[],
        Canary::CutIgnored => &[FaultKind::Lost, FaultKind::Narrowed, FaultKind::Outage],
        Canary::BundleUnchecked => &[FaultKind::Carried],
        Canary::BeaconGoesBack => &[FaultKind::HostileBeacon, FaultKind::NewSchema],
        Canary::FigureCountedTwice => &[],
        Canary::SilentUnitClaimed => &[FaultKind::Outage],
        Canary::ChunkUnchecked => &[FaultKind::HostileFile],
    }
}

/// One trial.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The first seed.
    pub from: u64,
    /// Seeds until it was caught, that one included; `None` when it was not.
    pub seeds: Option<u64>,
    /// Seeds on the way that fail without the canary too.
    pub failing_anyway: u64,
    /// The run that caught it.
    pub catch: Option<Verdict>,
}

/// What the trials of one canary came to.
#[derive(Debug, Clone)]
pub struct Trials {
    /// The canary.
    pub canary: Canary,
    /// Within how many seeds it had to be caught.
    pub seeds_max: u64,
    /// Each trial.
    pub trials: Vec<Trial>,
}

impl Trials {
    /// Whether each trial caught it.
    #[must_use]
    pub fn caught(&self) -> bool {
        !self.trials.is_empty() && self.trials.iter().all(|t| t.seeds.is_some())
    }

    /// The median of the seeds it took; a trial without a catch counts as one seed more than allowed.
    #[must_use]
    pub fn median(&self) -> u64 {
        median(&self.trials.iter().map(|t| t.seeds.unwrap_or(self.seeds_max + 1)).collect::<Vec<u64>>())
    }
}

/// Whether a seed catches a canary: it breaks a promise with the bug, and none without it.
#[must_use]
pub fn catches(canary: Canary, seed: u64, options: &Options) -> Catch {
    let with = Case { seed, options: options.clone(), canary: Some(canary) }.judge();
    if with.kept() {
        return Catch::Slipped;
    }
    let without = Case { seed, options: options.clone(), canary: None }.judge();
    if without.kept() { Catch::Caught(Box::new(with)) } else { Catch::FailsAnyway(Box::new(without)) }
}

/// What one seed says of a canary.
#[derive(Debug, Clone)]
pub enum Catch {
    /// Caught: what was broken.
    Caught(Box<Verdict>),
    /// Not seen.
    Slipped,
    /// The seed fails without the bug too: it says nothing.
    FailsAnyway(Box<Verdict>),
}

/// Tries canaries on so many threads; `each` hears of a canary when all its trials are done.
pub fn try_all(
    canaries: &[Canary],
    threads: usize,
    seeds_max: u64,
    first_seed: u64,
    options: impl Fn(Canary) -> Options + Sync,
    mut each: impl FnMut(&Trials),
) {
    let jobs: Vec<(Canary, u64)> =
        canaries.iter().flat_map(|c| (0..TRIALS).map(|n| (*c, first_seed + n * APART))).collect();
    let mut open: Vec<Trials> = Vec::new();
    let work = |(canary, from)| (canary, trial(canary, from, seeds_max, &options(canary)));
    on_threads(threads, jobs.into_iter(), work, |(canary, trial)| {
        if !open.iter().any(|t| t.canary == canary) {
            open.push(Trials { canary, seeds_max, trials: Vec::new() });
        }
        let Some(at) = open.iter().position(|t| t.canary == canary) else { return };
        open[at].trials.push(trial);
        if open[at].trials.len() as u64 == TRIALS {
            let mut done = open.remove(at);
            done.trials.sort_by_key(|t| t.from);
            each(&done);
        }
    });
}

fn trial(canary: Canary, from: u64, seeds_max: u64, options: &Options) -> Trial {
    let mut failing_anyway = 0;
    for n in 0..seeds_max {
        match catches(canary, from + n, options) {
            Catch::Caught(verdict) => {
                return Trial { from, seeds: Some(n + 1), failing_anyway, catch: Some(*verdict) };
            }
            Catch::FailsAnyway(_) => failing_anyway += 1,
            Catch::Slipped => {}
        }
    }
    Trial { from, seeds: None, failing_anyway, catch: None }
}
