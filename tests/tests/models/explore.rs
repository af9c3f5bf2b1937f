//! The explorer: every sequence of steps up to a depth, breadth first, each distinct state once.
//!
//! It does not: know what a state is (a [`World`] does), or sample: the bound is the only limit.
//!
//! Invariants: a counterexample is as short as any, because shorter sequences are tried first; two
//! states are merged only where their digests cover everything that later steps can see; a panic of
//! what is explored is a counterexample like any other.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something that can be taken step by step.
pub trait World: Clone {
    /// One operation.
    type Step: Clone + fmt::Debug;

    /// The steps worth trying here. One that only renames another may be left out.
    fn steps(&self) -> Vec<Self::Step>;

    /// Takes a step; `false` when it changed nothing.
    ///
    /// # Errors
    /// What the step broke.
    fn step(&mut self, step: &Self::Step) -> Result<bool, String>;

    /// A digest of all that later steps and checks can see.
    fn digest(&self) -> [u8; 32];

    /// What must hold in every state.
    ///
    /// # Errors
    /// What does not.
    fn check(&self) -> Result<(), String>;
}

/// How much was seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Distinct states.
    pub states: usize,
    /// Steps taken.
    pub steps: usize,
}

/// A sequence of steps after which something does not hold.
pub struct Counterexample<S> {
    /// The steps from the start.
    pub steps: Vec<S>,
    /// What broke.
    pub broken: String,
}

impl<S: fmt::Debug> fmt::Debug for Counterexample<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "after {} steps:", self.steps.len())?;
        for (i, s) in self.steps.iter().enumerate() {
            writeln!(f, "  {}. {s:?}", i + 1)?;
        }
        write!(f, "{}", self.broken)
    }
}

/// Explores everything up to `depth` steps from `start`.
///
/// # Errors
/// The shortest [`Counterexample`].
pub fn explore<W: World>(start: W, depth: usize) -> Result<Seen, Counterexample<W::Step>> {
    let mut seen = Seen { states: 1, steps: 0 };
    let mut digests = BTreeSet::from([start.digest()]);
    let mut level = vec![(start, Vec::new())];
    for (world, steps) in &level {
        guarded(|| world.check()).map_err(|broken| Counterexample { steps: Vec::clone(steps), broken })?;
    }
    for _ in 0..depth {
        let mut next = Vec::new();
        for (world, steps) in level {
            for step in world.steps() {
                let mut after = world.clone();
                let mut path: Vec<W::Step> = steps.clone();
                path.push(step.clone());
                seen.steps += 1;
                let fresh = guarded(|| {
                    if !after.step(&step)? || !digests.insert(after.digest()) {
                        return Ok(false);
                    }
                    after.check().map(|()| true)
                });
                match fresh {
                    Ok(true) => next.push((after, path)),
                    Ok(false) => {}
                    Err(broken) => return Err(Counterexample { steps: path, broken }),
                }
            }
        }
        seen.states += next.len();
        level = next;
    }
    Ok(seen)
}

/// Runs what may panic and turns the panic into words.
fn guarded<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        Err(words.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "a panic".into()))
    })
}

#[derive(Debug, Clone)]
struct Jugs(u8, u8);

impl World for Jugs {
    type Step = &'static str;
    fn steps(&self) -> Vec<&'static str> {
        vec!["fill 3", "fill 5", "empty 3", "empty 5", "3 to 5", "5 to 3"]
    }
    fn step(&mut self, step: &&'static str) -> Result<bool, String> {
        let before = (self.0, self.1);
        match *step {
            "fill 3" => self.0 = 3,
            "fill 5" => self.1 = 5,
            "empty 3" => self.0 = 0,
            "empty 5" => self.1 = 0,
            "3 to 5" => *self = Self(self.0.saturating_sub(5 - self.1), 5.min(self.0 + self.1)),
            _ => *self = Self(3.min(self.0 + self.1), self.1.saturating_sub(3 - self.0)),
        }
        Ok(before != (self.0, self.1))
    }
    fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        (out[0], out[1]) = (self.0, self.1);
        out
    }
    fn check(&self) -> Result<(), String> {
        if self.1 == 4 { Err("four litres".into()) } else { Ok(()) }
    }
}

#[test]
fn the_explorer_finds_the_shortest_way() {
    let found = explore(Jugs(0, 0), 9).expect_err("the puzzle has a solution");
    assert_eq!(found.steps.len(), 6, "{found:?}");
    assert!(explore(Jugs(0, 0), 5).is_ok_and(|s| s.states > 6 && s.steps > s.states));
}
