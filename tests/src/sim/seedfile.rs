//! Seed files: runs that once failed, each with the sentence that says what it found and what was fixed.
//!
//! It does not: keep traces: every change of the engine changes them.
//!
//! Invariants: a file says its seed once and what it found; whoever reads a bad one is told the line.

use super::case::{Case, Kinds, Verdict, canary_named};
use super::files::are_on;
use std::fmt;

/// A seed file.
#[derive(Debug, Clone)]
pub struct SeedFile {
    /// The run.
    pub case: Case,
    /// What it found.
    pub found: String,
    /// What was fixed.
    pub fixed: String,
}

/// What is wrong with a seed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSeedFile {
    /// The line, from 1; 0 when something is missing in the whole file.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for BadSeedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { write!(f, "{}", self.what) } else { write!(f, "line {}: {}", self.line, self.what) }
    }
}

impl std::error::Error for BadSeedFile {}

impl SeedFile {
    /// Reads the text of one.
    ///
    /// # Errors
    /// [`BadSeedFile`] with the line.
    pub fn parse(text: &str) -> Result<Self, BadSeedFile> {
        let mut case = Case::default();
        let (mut found, mut fixed) = (String::new(), String::new());
        let mut seen: Vec<String> = Vec::new();
        for (line, key, value) in pairs(text)? {
            let bad = |what: String| BadSeedFile { line, what };
            if seen.contains(&key) {
                return Err(bad(format!("{key:?} stands here twice")));
            }
            if value.is_empty() {
                return Err(bad(format!("{key:?} has no value")));
            }
            let number =
                || value.parse::<u64>().map_err(|_| bad(format!("{value:?} is not a number from 0 to 2^64-1")));
            let kinds = || value.parse::<Kinds>().map(|k| k.0).map_err(bad);
            match key.as_str() {
                "seed" => case.seed = number()?,
                "nodes-max" => case.options.nodes_max = Some(number()? as usize),
                "edits-max" => case.options.edits_max = Some(number()?),
                "breaks-max" => case.options.breaks_max = Some(number()?),
                "closings" => {
                    case.options.closings =
                        value.parse().map_err(|_| bad(format!("{value:?} is not true or false")))?;
                }
                "only" => case.options.only = Some(kinds()?),
                "without" => case.options.without = kinds()?,
                "files" => {
                    let yes = match value.as_str() {
                        "yes" => true,
                        "no" => false,
                        _ => return Err(bad(format!("{value:?} is neither yes nor no"))),
                    };
                    case.options.files = Some(yes);
                }
                "canary" => case.canary = Some(canary_named(&value).map_err(bad)?),
                "found" => found = value,
                "fixed" => fixed = value,
                _ => {
                    return Err(bad(format!(
                        "{key:?} is not known; known are seed, only, without, nodes-max, edits-max, breaks-max, \
                         closings, files, canary, found and fixed"
                    )));
                }
            }
            seen.push(key);
        }
        for key in ["seed", "found", "fixed"] {
            if !seen.iter().any(|s| s == key) {
                return Err(BadSeedFile { line: 0, what: format!("there is no {key:?}") });
            }
        }
        // Files of before there were any in worlds tell the story that they told.
        case.options.files.get_or_insert(false);
        Ok(Self { case, found, fixed })
    }

    /// The text of one.
    #[must_use]
    pub fn text(&self) -> String {
        let o = &self.case.options;
        let mut out = format!("seed: {}\n", self.case.seed);
        if let Some(only) = &o.only {
            out += &format!("only: {}\n", Kinds(only.clone()));
        }
        if !o.without.is_empty() {
            out += &format!("without: {}\n", Kinds(o.without.clone()));
        }
        let limits =
            [("nodes-max", o.nodes_max.map(|n| n as u64)), ("edits-max", o.edits_max), ("breaks-max", o.breaks_max)];
        for (key, n) in limits {
            if let Some(n) = n {
                out += &format!("{key}: {n}\n");
            }
        }
        if o.closings {
            out += "closings: true\n";
        }
        if are_on(o) {
            out += "files: yes\n";
        }
        if let Some(c) = self.case.canary {
            out += &format!("canary: {}\n", c.name());
        }
        out + &format!("found: {}\nfixed: {}\n", self.found, self.fixed)
    }

    /// Runs it twice: the traces must be one, and every promise kept (with a canary: one broken).
    ///
    /// # Errors
    /// What differs, in words, and the command.
    pub fn replay(&self) -> Result<Verdict, String> {
        let (first, _) = twice(&self.case)?;
        match (first.kept(), self.case.canary) {
            (true, None) | (false, Some(_)) => Ok(first),
            (false, None) => Err(format!("it fails again ({})\n{}", self.found, first.complaint())),
            (true, Some(c)) => {
                Err(format!("the canary {} is not caught any more\n  {}", c.name(), self.case.command()))
            }
        }
    }
}

/// Runs a case twice with its trace kept.
///
/// # Errors
/// The first line in which the two traces differ.
pub fn twice(case: &Case) -> Result<(Verdict, Verdict), String> {
    let mut case = case.clone();
    case.options.keep_trace = true;
    let (a, b) = (case.judge(), case.judge());
    match difference(&a, &b) {
        Some(words) => Err(format!("seed {} does not repeat itself: {words}\n  {}", case.seed, case.command())),
        None => Ok((a, b)),
    }
}

/// The first thing in which two runs of one case differ.
#[must_use]
pub fn difference(a: &Verdict, b: &Verdict) -> Option<String> {
    if a.broken != b.broken {
        return Some(format!("once {:?}, once {:?}", a.broken.first(), b.broken.first()));
    }
    // Two panics with the same words: there is no trace to compare.
    let (Some(a), Some(b)) = (&a.outcome, &b.outcome) else { return None };
    if let Some(at) = a.lines.iter().zip(&b.lines).position(|(a, b)| a != b) {
        return Some(format!("line {}: once {:?}, once {:?}", at + 1, a.lines[at], b.lines[at]));
    }
    if a.lines.len() != b.lines.len() {
        let (less, more) = if a.lines.len() < b.lines.len() { (a, b) } else { (b, a) };
        let (n, next) = (less.lines.len(), &more.lines[less.lines.len()]);
        return Some(format!("one trace ends after line {n}, the other goes on: {next:?}"));
    }
    (a.trace != b.trace).then(|| "the lines are the same and the hashes are not".to_owned())
}

/// `key: value` a line; a line that begins with a space goes on with the value of before; `#` begins a
/// line that nobody reads.
fn pairs(text: &str) -> Result<Vec<(usize, String, String)>, BadSeedFile> {
    let mut out: Vec<(usize, String, String)> = Vec::new();
    for (n, raw) in text.lines().enumerate() {
        let line = n + 1;
        if raw.trim().is_empty() || raw.starts_with('#') {
            continue;
        }
        if raw.starts_with([' ', '\t']) {
            let Some((_, _, value)) = out.last_mut() else {
                return Err(BadSeedFile { line, what: "a line that goes on with nothing".to_owned() });
            };
            value.push(' ');
            value.push_str(raw.trim());
            continue;
        }
        let Some((key, value)) = raw.split_once(':') else {
            return Err(BadSeedFile { line, what: format!("{raw:?} is not \"key: value\"") });
        };
        out.push((line, key.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::{FaultKind, Outcome, Stats};
    use super::*;

    const GOOD: &str = "# a story\nseed: 18446744073709551615\nonly: kill, torn-write\nnodes-max: 4\nclosings: true\n\
                        found: A commit was gone\n  after a start.\nfixed: It is synced first.\n";

    #[test]
    fn a_file_is_read_and_written_again() {
        let file = SeedFile::parse(GOOD).unwrap();
        assert_eq!(file.case.seed, u64::MAX);
        assert_eq!(file.case.options.only, Some(vec![FaultKind::Kill, FaultKind::TornWrite]));
        assert_eq!((file.case.options.nodes_max, file.case.options.edits_max), (Some(4), None));
        assert!(file.case.options.closings && file.case.command().contains(" --closings"));
        assert_eq!(file.found, "A commit was gone after a start.");
        let again = SeedFile::parse(&file.text()).unwrap();
        assert_eq!(again.text(), file.text());
        assert_eq!(again.case.command(), file.case.command());
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line() {
        let said = |text: &str| SeedFile::parse(text).unwrap_err();
        assert_eq!(said("seed: 1\nfound: x\n").line, 0);
        assert_eq!(said("seed: 1\nsprout: 2\n").line, 2);
        assert_eq!(said("seed: 1\nseed: 2\n").line, 2);
        assert_eq!(said("\n\nseed: minus\n").line, 3);
        assert_eq!(said("  seed: 1\n").line, 1);
        assert_eq!(said("seed 1\n").line, 1);
        assert_eq!(said("seed:\n").line, 1);
        let kinds = said("seed: 1\nonly: earthquake\n");
        assert!(kinds.line == 2 && kinds.what.contains("earthquake") && kinds.to_string().starts_with("line 2: "));
        assert!(said("canary: nightingale\n").what.contains("tips-collapsed"));
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        let with = |lines: &[&str], trace: &str| {
            let outcome = Outcome {
                seed: 1,
                broken: Vec::new(),
                stats: Stats::default(),
                fired: std::collections::BTreeMap::new(),
                on: Vec::new(),
                trace: trace.to_owned(),
                lines: lines.iter().map(|l| (*l).to_owned()).collect(),
            };
            Verdict { case: Case::of(1), broken: Vec::new(), outcome: Some(outcome), took: std::time::Duration::ZERO }
        };
        let a = with(&["x", "y"], "1");
        assert_eq!(difference(&a, &a), None);
        assert!(difference(&a, &with(&["x", "z"], "2")).unwrap().starts_with("line 2: "));
        assert!(difference(&with(&["x"], "2"), &a).unwrap().contains("ends after line 1"));
        assert!(difference(&a, &with(&["x", "y"], "2")).unwrap().contains("hashes"));
        let mut broken = a.clone();
        broken.broken.push("b0 lacks it".to_owned());
        assert!(difference(&a, &broken).unwrap().contains("b0 lacks it"));
    }
}
