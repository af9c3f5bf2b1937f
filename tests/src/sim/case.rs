//! One run as it can be named, repeated and judged: a seed, what was chosen beside it, a planted bug.
//!
//! It does not: run anything on other threads (`swarm` does), or make a case smaller (`shrink` does).
//!
//! Invariants: the command of a case repeats exactly that case; a panic inside a run is a broken promise
//! of that run and of no other.

use super::files::are_on;
use super::{FaultKind, Options, Outcome, Shape, run};
use sampan_core::canary::{Canary, plant};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Once;
use std::time::{Duration, Instant};

/// How many nodes a world may have where nothing else is said.
pub const NODES_MAX: usize = 40;

/// Kinds of faults as a list on a command line: names with commas between, or `none`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kinds(pub Vec<FaultKind>);

impl FromStr for Kinds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let kinds: Result<Vec<FaultKind>, String> = text
            .split(',')
            .map(|word| {
                FaultKind::named(word.trim()).ok_or_else(|| {
                    let known: Vec<&str> = FaultKind::ALL.iter().map(|k| k.word()).collect();
                    format!("no kind of fault is called {:?}; known are {}, and none", word.trim(), known.join(", "))
                })
            })
            .collect();
        Ok(Self(kinds?))
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let words: Vec<&str> = self.0.iter().map(|k| k.word()).collect();
        f.write_str(&words.join(","))
    }
}

/// The canary of a name, or a sentence that names all.
///
/// # Errors
/// The sentence.
pub fn canary_named(name: &str) -> Result<Canary, String> {
    Canary::from_name(name.trim()).ok_or_else(|| {
        let known: Vec<&str> = Canary::ALL.iter().map(|c| c.name()).collect();
        format!("no canary is called {:?}; known are {}", name.trim(), known.join(", "))
    })
}

/// One run, before it is run.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// What was chosen beside it.
    pub options: Options,
    /// The bug that is planted while it runs.
    pub canary: Option<Canary>,
}

impl Case {
    /// The plain case of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// What follows `run` on the command line of `sampan-sim`.
    #[must_use]
    pub fn arguments(&self) -> String {
        let mut out = format!("--seed {}", self.seed);
        let o = &self.options;
        if let Some(only) = &o.only {
            out += &format!(" --only {}", Kinds(only.clone()));
        }
        if !o.without.is_empty() {
            out += &format!(" --without {}", Kinds(o.without.clone()));
        }
        if let Some(n) = o.nodes_max {
            out += &format!(" --nodes-max {n}");
        }
        if let Some(n) = o.edits_max {
            out += &format!(" --edits-max {n}");
        }
        if let Some(n) = o.breaks_max {
            out += &format!(" --breaks-max {n}");
        }
        if o.closings {
            out += " --closings";
        }
        if let Some(files) = o.files {
            out += &format!(" --files {files}");
        }
        if let Some(c) = self.canary {
            out += &format!(" --canary {}", c.name());
        }
        out
    }

    /// The command that repeats it.
    #[must_use]
    pub fn command(&self) -> String {
        format!("cargo run -p sampan-tests --bin sampan-sim -- run {}", self.arguments())
    }

    /// Its shape: all that follows from the seed and the options before anything runs.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let mut shape = Shape::of(self.seed, self.options.nodes_max.unwrap_or(NODES_MAX));
        if let Some(only) = &self.options.only {
            shape.faults = only.iter().copied().collect();
        }
        for kind in &self.options.without {
            shape.faults.remove(kind);
        }
        if !are_on(&self.options) {
            shape.faults.remove(&FaultKind::HostileFile);
        }
        shape
    }

    /// Runs it on this thread, its canary planted for as long, and says what it came to.
    #[must_use]
    pub fn judge(&self) -> Verdict {
        let began = Instant::now();
        let planted = self.canary.map(plant);
        let ran = caught(|| run(self.seed, &self.options));
        drop(planted);
        let took = began.elapsed();
        match ran {
            Ok(outcome) => Verdict { case: self.clone(), broken: outcome.broken.clone(), outcome: Some(outcome), took },
            Err(words) => Verdict { case: self.clone(), broken: vec![words], outcome: None, took },
        }
    }
}

/// What a case came to.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The case.
    pub case: Case,
    /// What was broken, in words; empty is what it should be.
    pub broken: Vec<String>,
    /// What the run came to; `None` when it panicked.
    pub outcome: Option<Outcome>,
    /// How long it took, in real time: for people only.
    pub took: Duration,
}

impl Verdict {
    /// Whether every promise was kept.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.broken.is_empty()
    }

    /// The kind of its first accusation, `None` if there is none.
    #[must_use]
    pub fn kind(&self) -> Option<String> {
        self.broken.first().map(|words| kind_of(words))
    }

    /// Whether it says something of this kind.
    #[must_use]
    pub fn says(&self, kind: &str) -> bool {
        self.broken.iter().any(|words| kind_of(words) == kind)
    }

    /// What a person needs of a run that broke a promise: the sentences and the command.
    #[must_use]
    pub fn complaint(&self) -> String {
        const SENTENCES_MAX: usize = 5;
        let mut out = format!("seed {}:", self.case.seed);
        for words in self.broken.iter().take(SENTENCES_MAX) {
            out += &format!("\n  {words}");
        }
        if self.broken.len() > SENTENCES_MAX {
            out += &format!("\n  and {} sentences more", self.broken.len() - SENTENCES_MAX);
        }
        out + &format!("\n  {}", self.case.command())
    }
}

/// The kind of an accusation: its words without what differs from world to world (names of machines,
/// ids, numbers).
#[must_use]
pub fn kind_of(words: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for word in words.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let varies = bare.eq_ignore_ascii_case("city") || bare.bytes().any(|b| b.is_ascii_digit());
        let word = if varies { "…" } else { word };
        // A list of several machines is of the kind of a list of one.
        if !(varies && out.last() == Some(&"…")) {
            out.push(word);
        }
    }
    out.join(" ")
}

thread_local! {
    /// Whether a panic of this thread belongs to a run.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// What the last such panic said.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs something; a panic in it comes back as its sentence instead of going to stderr.
fn caught<T>(what: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !INSIDE.get() {
                return before(info);
            }
            let place = info.location().map_or_else(String::new, |l| format!("{} line {}", short(l.file()), l.line()));
            SAID.set(Some(format!("panic in {place}: {}", payload(info.payload()))));
        }));
    });
    let outer = INSIDE.replace(true);
    // What a run holds is dropped with it: nothing that a panic left half done is seen again.
    let out = catch_unwind(AssertUnwindSafe(what));
    INSIDE.set(outer);
    out.map_err(|e| SAID.take().unwrap_or_else(|| format!("panic: {}", payload(&*e))))
}

fn payload(of: &(dyn Any + Send)) -> String {
    let text = of.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| of.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "something that is no text".to_owned())
}

/// A file without the folders of this machine.
fn short(file: &str) -> String {
    let parts: Vec<&str> = file.split(['/', '\\']).collect();
    if file.starts_with('/') { parts[parts.len().saturating_sub(3)..].join("/") } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_sentence_has_no_names_in_it() {
        let a = kind_of("b0 shows no tick of city, cd0-1 after everything healed");
        let b = kind_of("cd3-2 shows no tick of cd1-4 after everything healed");
        assert_eq!(a, b);
        assert_ne!(a, kind_of("b0 shows 2 unsent changes and every tick"));
        let up = kind_of("b2 lacks commit 2fcbd7d5 of SpaceId { unit: UnitId(22b0), flow: Up, reach: 1 } after");
        let down = kind_of("b1 lacks commit 2fcbd7d5 of SpaceId { unit: UnitId(22b0), flow: Down, reach: 1 } after");
        assert_ne!(up, down, "the flow belongs to the kind");
    }

    #[test]
    fn a_panic_is_a_sentence_and_the_next_run_is_not_touched() {
        let said = caught(|| panic!("the {} fell", "sky")).unwrap_err();
        assert!(said.contains("the sky fell") && said.contains("case.rs line "), "{said}");
        assert_eq!(caught(|| 7), Ok(7));
    }

    #[test]
    fn a_command_names_all_that_was_chosen() {
        let mut case = Case::of(9);
        assert_eq!(case.arguments(), "--seed 9");
        case.options.only = Some(vec![FaultKind::Kill, FaultKind::Loss]);
        case.options.nodes_max = Some(3);
        case.options.breaks_max = Some(0);
        case.canary = Some(Canary::TipsCollapsed);
        assert_eq!(case.arguments(), "--seed 9 --only kill,loss --nodes-max 3 --breaks-max 0 --canary tips-collapsed");
        case.options.only = Some(Vec::new());
        assert!(case.arguments().contains("--only none"));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        assert_eq!("kill, loss".parse::<Kinds>(), Ok(Kinds(vec![FaultKind::Kill, FaultKind::Loss])));
        assert_eq!("none".parse::<Kinds>(), Ok(Kinds::default()));
        let said = "kill,earthquake".parse::<Kinds>().unwrap_err();
        assert!(said.contains("\"earthquake\"") && said.contains("power-loss"), "{said}");
        let said = canary_named("nightingale").unwrap_err();
        assert!(said.contains("\"nightingale\"") && said.contains("tips-collapsed"), "{said}");
    }
}
