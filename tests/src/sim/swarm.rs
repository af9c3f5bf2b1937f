//! Many worlds on a few threads, and what they came to together.
//!
//! It does not: keep the outcomes of single runs that kept every promise.
//!
//! Invariants: a world lives and dies on one thread; the tally does not depend on the order in which
//! worlds end.

use super::case::{Case, Verdict};
use super::fault::FaultKind;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// Bytes of stack of a thread that runs worlds: what a main thread has.
const STACK_BYTES: usize = 8 << 20;
/// From so many nodes on a world is a large one.
pub const LARGE_NODES: usize = 20;
/// From so many seeds on a swarm must have seen every kind of fault, and its share of large worlds.
pub const COVERAGE_SEEDS: usize = 200;
/// Milliseconds of a year.
const YEAR_MS: f64 = 365.25 * 86_400_000.0;

/// Does jobs on so many threads, and hands each result to `each` on the thread of the caller, as they
/// come. The jobs are asked for one by one, so that a caller may stop by the clock.
pub fn on_threads<J: Send, R: Send>(
    threads: usize,
    jobs: impl Iterator<Item = J> + Send,
    work: impl Fn(J) -> R + Sync,
    mut each: impl FnMut(R),
) {
    let jobs = Mutex::new(jobs);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (jobs, work, tell) = (&jobs, &work, tell.clone());
            let worker = move || {
                loop {
                    let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(job) = next else { return };
                    if tell.send(work(job)).is_err() {
                        return;
                    }
                }
            };
            if thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker).is_err() {
                // Without a thread of its own the work of this one is left to the others.
                break;
            }
        }
        drop(tell);
        for result in told {
            each(result);
        }
    });
}

/// Judges cases on so many threads; the verdicts are in the order of the cases.
#[must_use]
pub fn judge_all(threads: usize, cases: Vec<Case>) -> Vec<Verdict> {
    let mut out = Vec::new();
    on_threads(threads, cases.into_iter().enumerate(), |(n, case)| (n, case.judge()), |pair| out.push(pair));
    out.sort_by_key(|(n, _)| *n);
    out.into_iter().map(|(_, v)| v).collect()
}

/// One failing seed of a swarm.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The case.
    pub case: Case,
    /// Its first sentence.
    pub words: String,
    /// The kind of that sentence.
    pub kind: String,
}

/// What a swarm came to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    edits: Vec<u64>,
    replicas: Vec<u64>,
    virtual_ms: u64,
    large: usize,
    fired: BTreeMap<FaultKind, (u64, u64)>,
    failures: Vec<Failure>,
    slowest: Option<(Duration, u64)>,
    expected: Vec<FaultKind>,
}

impl Tally {
    /// An empty one; `expected`: the kinds that must fire.
    #[must_use]
    pub fn new(expected: Vec<FaultKind>) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Counts a verdict in.
    pub fn add(&mut self, verdict: &Verdict) {
        let shape_nodes = verdict.case.shape().nodes.len();
        let (edits, nodes, ms) = match &verdict.outcome {
            Some(o) => (o.stats.edits, o.stats.nodes, o.stats.virtual_ms),
            None => (0, shape_nodes, 0),
        };
        self.edits.push(edits);
        self.replicas.push(nodes as u64);
        self.virtual_ms += ms;
        // Copies of disks do not make a world large.
        self.large += usize::from(shape_nodes >= LARGE_NODES);
        if let Some(o) = &verdict.outcome {
            for (kind, n) in &o.fired {
                let counts = self.fired.entry(*kind).or_default();
                *counts = (counts.0 + n, counts.1 + 1);
            }
        }
        if let (Some(words), Some(kind)) = (verdict.broken.first(), verdict.kind()) {
            self.failures.push(Failure { case: verdict.case.clone(), words: words.clone(), kind });
        }
        if self.slowest.is_none_or(|(most, _)| verdict.took > most) {
            self.slowest = Some((verdict.took, verdict.case.seed));
        }
    }

    /// Worlds so far.
    #[must_use]
    pub fn seeds(&self) -> usize {
        self.edits.len()
    }

    /// The failing ones, by seed.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        let mut all = self.failures.clone();
        all.sort_by_key(|f| f.case.seed);
        all
    }

    /// The kinds that had to fire and never did.
    #[must_use]
    pub fn never_fired(&self) -> Vec<FaultKind> {
        self.expected.iter().copied().filter(|k| !self.fired.contains_key(k)).collect()
    }

    /// What is wrong with the swarm itself, whatever its worlds did: too little of what it is for.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.seeds() < COVERAGE_SEEDS {
            return out;
        }
        let never = self.never_fired();
        if !never.is_empty() {
            let words: Vec<&str> = never.iter().map(|k| k.word()).collect();
            out.push(format!("never fired in {} seeds: {}", self.seeds(), words.join(", ")));
        }
        if self.large * 10 < self.seeds() {
            out.push(format!(
                "{} of {} worlds have {LARGE_NODES} nodes or more: fewer than a tenth",
                self.large,
                self.seeds()
            ));
        }
        out
    }

    /// Whether it passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.failures.is_empty() && self.gaps().is_empty()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.seeds().max(1);
        writeln!(f, "seeds                {}", self.seeds())?;
        writeln!(f, "edits, median        {} (sum {})", median(&self.edits), self.edits.iter().sum::<u64>())?;
        writeln!(f, "replicas, median     {} (sum {})", median(&self.replicas), self.replicas.iter().sum::<u64>())?;
        writeln!(f, "simulated years      {:.1}", self.virtual_ms as f64 / YEAR_MS)?;
        writeln!(f, "{LARGE_NODES} nodes or more     {} ({} %)", self.large, self.large * 100 / n)?;
        if let Some((took, seed)) = self.slowest {
            writeln!(f, "slowest              seed {seed}, {:.1} s", took.as_secs_f64())?;
        }
        writeln!(f, "fault                fired, in worlds")?;
        for kind in FaultKind::ALL {
            let (times, worlds) = self.fired.get(kind).copied().unwrap_or_default();
            writeln!(f, "  {:<20} {times:>8} {worlds:>6}", kind.word())?;
        }
        let mut kinds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for fail in self.failures() {
            writeln!(f, "FAILED seed {}: {}\n  {}", fail.case.seed, fail.words, fail.case.command())?;
            kinds.entry(fail.kind).or_default().push(fail.case.seed);
        }
        let mut kinds: Vec<(String, Vec<u64>)> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, seeds)| std::cmp::Reverse(seeds.len()));
        for (kind, seeds) in kinds {
            let first: Vec<String> = seeds.iter().take(8).map(u64::to_string).collect();
            writeln!(f, "{:>6} × {kind} (seeds {})", seeds.len(), first.join(" "))?;
        }
        for gap in self.gaps() {
            writeln!(f, "FAILED: {gap}")?;
        }
        write!(f, "{} of {} seeds failed", self.failures.len(), self.seeds())
    }
}

/// The middle one; of none, 0.
#[must_use]
pub fn median(of: &[u64]) -> u64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Stats};
    use super::*;

    fn verdict(seed: u64, fired: &[FaultKind], broken: &[&str]) -> Verdict {
        let broken: Vec<String> = broken.iter().map(|w| (*w).to_owned()).collect();
        let fired: BTreeMap<FaultKind, u64> = fired.iter().map(|k| (*k, 3)).collect();
        let stats = Stats { edits: seed, nodes: 5, virtual_ms: 1_000, ..Stats::default() };
        let outcome = Outcome {
            seed,
            broken: broken.clone(),
            stats,
            fired,
            on: Vec::new(),
            trace: String::new(),
            lines: Vec::new(),
        };
        Verdict { case: Case::of(seed), broken, outcome: Some(outcome), took: Duration::ZERO }
    }

    #[test]
    fn a_kind_that_never_fired_fails_a_swarm_that_is_large_enough() {
        let kinds = vec![FaultKind::Kill, FaultKind::Loss];
        let mut tally = Tally::new(kinds.clone());
        for seed in 0..COVERAGE_SEEDS as u64 - 1 {
            tally.add(&verdict(seed, &[FaultKind::Kill], &[]));
        }
        assert!(tally.passes(), "a small swarm proves nothing either way: {tally}");
        tally.add(&verdict(999, &[FaultKind::Kill], &[]));
        assert_eq!(tally.never_fired(), [FaultKind::Loss]);
        assert!(!tally.passes() && tally.to_string().contains("never fired in 200 seeds: loss"), "{tally}");
        tally.add(&verdict(1_000, &kinds, &[]));
        assert!(tally.passes(), "{tally}");
    }

    #[test]
    fn too_few_large_worlds_fail_a_swarm() {
        let mut tally = Tally::new(Vec::new());
        for seed in 0..COVERAGE_SEEDS as u64 {
            let mut v = verdict(seed, &[], &[]);
            v.case.options.nodes_max = Some(5);
            tally.add(&v);
        }
        assert!(!tally.passes() && tally.gaps()[0].contains("fewer than a tenth"), "{tally}");
    }

    #[test]
    fn a_broken_promise_fails_a_swarm_and_is_named_with_its_command() {
        let mut tally = Tally::new(Vec::new());
        tally.add(&verdict(4, &[], &[]));
        tally.add(&verdict(8, &[], &["b0 lacks something", "and more"]));
        tally.add(&verdict(6, &[], &["b1 lacks something"]));
        let said = tally.to_string();
        assert!(!tally.passes() && said.contains("FAILED seed 8: b0 lacks something"), "{said}");
        assert!(said.contains("run --seed 8") && said.contains("2 × … lacks something (seeds 6 8)"), "{said}");
        assert!(said.contains("edits, median        6 (sum 18)"), "{said}");
    }

    #[test]
    fn jobs_are_all_done_and_results_keep_their_order() {
        let mut all = Vec::new();
        on_threads(3, 0..100_u64, |n| n * n, |r| all.push(r));
        all.sort_unstable();
        assert_eq!(all, (0..100).map(|n| n * n).collect::<Vec<u64>>());
        assert_eq!((median(&[]), median(&[3, 1, 2])), (0, 2));
    }
}
