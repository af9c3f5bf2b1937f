//! Makes a failing case smaller: fewer nodes, faults, edits and kinds of faults, for as long as a
//! promise of the same kind is broken.
//!
//! It does not: promise the smallest case of all: what it tries is what usually helps (after Zeller and
//! Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).
//!
//! Invariants: what it returns was run and failed with the kind of the first sentence of the original.

use super::case::{Case, Verdict};
use super::fault::FaultKind;
use super::swarm::judge_all;

/// Runs that a shrinking may take where nothing else is said.
pub const TRIES_MAX: u32 = 300;

/// What a shrinking came to.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The smallest case found, and what it says.
    pub verdict: Verdict,
    /// The kind of sentence that was kept.
    pub kind: String,
    /// Runs that it took.
    pub tries: u32,
}

/// Makes a case smaller; `None` if it keeps every promise. `note` hears of each smaller one.
pub fn shrink(case: &Case, threads: usize, tries_max: u32, note: &mut dyn FnMut(&Case)) -> Option<Shrunk> {
    let first = judge_all(threads, vec![case.clone()]).pop()?;
    let kind = first.kind()?;
    let mut s = Shrinker { best: first, kind, tries: 1, tries_max, threads, note };
    loop {
        let before = s.best.case.arguments();
        s.kinds();
        s.nodes();
        s.breaks();
        s.edits();
        if s.best.case.arguments() == before || s.tries >= s.tries_max {
            break;
        }
    }
    Some(Shrunk { verdict: s.best, kind: s.kind, tries: s.tries })
}

struct Shrinker<'a> {
    best: Verdict,
    kind: String,
    tries: u32,
    tries_max: u32,
    threads: usize,
    note: &'a mut dyn FnMut(&Case),
}

impl Shrinker<'_> {
    /// Takes the first of several cases that still fails alike, a handful at a time.
    fn first_of(&mut self, cases: Vec<Case>) -> bool {
        for some in cases.chunks(self.threads.max(1)) {
            if self.tries >= self.tries_max {
                return false;
            }
            self.tries += some.len() as u32;
            let verdicts = judge_all(self.threads, some.to_vec());
            if let Some(found) = verdicts.into_iter().find(|v| v.says(&self.kind)) {
                self.best = found;
                (self.note)(&self.best.case);
                return true;
            }
        }
        false
    }

    /// Lowers a limit for as long as the case still fails alike: in large steps first.
    fn limit(&mut self, mut now: u64, of: fn(&mut Case) -> &mut Option<u64>) {
        while now > 0 {
            let mut lower = vec![0, now / 4, now / 2, now * 3 / 4, now - 1];
            lower.dedup();
            let cases = lower.into_iter().map(|n| {
                let mut case = self.best.case.clone();
                *of(&mut case) = Some(n);
                case
            });
            let cases = cases.collect();
            if !self.first_of(cases) {
                return;
            }
            now = of(&mut self.best.case).unwrap_or(0);
        }
    }

    fn nodes(&mut self) {
        let now = self.best.case.shape().nodes.len();
        let mut sizes: Vec<usize> = [3, 4, 6, 9, 13, 19, 28].into_iter().filter(|n| *n < now).collect();
        if now > 4 && sizes.last() != Some(&(now - 1)) {
            sizes.push(now - 1);
        }
        let cases = sizes
            .into_iter()
            .map(|n| {
                let mut case = self.best.case.clone();
                case.options.nodes_max = Some(n);
                case
            })
            .collect();
        self.first_of(cases);
    }

    fn breaks(&mut self) {
        let shape = self.best.case.shape();
        if shape.faults.is_empty() {
            return;
        }
        // Times between faults vary: twice the mean number is more than nearly every world has.
        let most = 2 * shape.lasts / shape.fault_every.max(1);
        let now = self.best.case.options.breaks_max.unwrap_or(most);
        self.limit(now, |case| &mut case.options.breaks_max);
    }

    fn edits(&mut self) {
        let shape = self.best.case.shape();
        let now = self.best.case.options.edits_max.unwrap_or(shape.edits).min(shape.edits);
        self.limit(now, |case| &mut case.options.edits_max);
    }

    /// Kinds are taken out in halves, then in quarters, at last one by one.
    fn kinds(&mut self) {
        let with = |s: &Self, kinds: Vec<FaultKind>| {
            let mut case = s.best.case.clone();
            case.options.without.clear();
            case.options.only = Some(kinds);
            case
        };
        // In one part: without any kind at all.
        let mut parts = 1;
        loop {
            let now: Vec<FaultKind> = self.best.case.shape().faults.into_iter().collect();
            if now.is_empty() {
                return;
            }
            let size = now.len().div_ceil(parts).max(1);
            let rests = now.chunks(size).enumerate().map(|(n, _)| {
                let rest: Vec<FaultKind> =
                    now.iter().enumerate().filter(|(i, _)| i / size != n).map(|(_, k)| *k).collect();
                with(self, rest)
            });
            let cases: Vec<Case> = rests.collect();
            if self.first_of(cases) {
                parts = parts.saturating_sub(1).max(1);
            } else if size == 1 || self.tries >= self.tries_max {
                return;
            } else {
                parts *= 2;
            }
        }
    }
}
