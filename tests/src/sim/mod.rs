//! The simulated world: cities, districts and branches made of the real core, store, desk and link plan
//! on virtual time, with the network, the clock, the disk and the randomness ours. One seed decides
//! everything.
//!
//! It does not: run sockets, threads or real files (`e2e` and `proxy` do).
//!
//! Invariants: the same seed gives a byte-identical trace; a run that breaks a promise says which, and
//! how to run it again.

mod anew;
mod authority;
pub mod canary;
mod carry;
pub mod case;
mod chaos;
mod court;
mod dice;
mod ends;
mod fault;
mod figures;
mod files;
mod hostile;
mod ledger;
mod machine;
mod net;
mod people;
pub mod seedfile;
mod shape;
pub mod shrink;
pub mod swarm;
mod trace;
mod world;

pub use fault::FaultKind;
pub use shape::Shape;
pub use world::{Options, Stats, World};

use std::collections::BTreeMap;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was broken, in words; empty is what it should be.
    pub broken: Vec<String>,
    /// Counts.
    pub stats: Stats,
    /// How often each fault fired.
    pub fired: BTreeMap<FaultKind, u64>,
    /// The kinds that were on.
    pub on: Vec<FaultKind>,
    /// The hash of the trace.
    pub trace: String,
    /// Its lines, where they were kept.
    pub lines: Vec<String>,
}

/// Runs the world of a seed.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Outcome {
    let mut world = World::new(seed, options.clone());
    world.run();
    let broken = world.ledger.broken.clone();
    let (stats, fired) = (world.stats.clone(), world.faults.counts().clone());
    let on = world.faults.kinds().collect();
    let (trace, _, lines) = world.end();
    Outcome { seed, broken, stats, fired, on, trace, lines }
}
