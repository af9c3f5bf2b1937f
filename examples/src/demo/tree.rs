//! The tree of units with its ticks: drawn in place on a terminal, in plain lines elsewhere.
//!
//! It does not: ask anyone; it is told.

use super::words;
use sampan_node::i18n::Lang;
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};

/// What the tree shows of one branch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ticks {
    /// Records at the branch.
    pub records: u64,
    /// Whether all of it is at the district.
    pub district: bool,
    /// Whether all of it is at the city.
    pub city: bool,
}

impl Ticks {
    /// From a status, as `ops` writes it.
    #[must_use]
    pub fn of(status: &Value) -> Self {
        let at = |level: u64| {
            let rows = status["delivered"].as_array().into_iter().flatten();
            let found: Vec<bool> = rows.filter(|d| d[0] == level).map(|d| d[1] == true).collect();
            !found.is_empty() && found.iter().all(|c| *c)
        };
        Self { records: status["records"].as_u64().unwrap_or_default(), district: at(1), city: at(0) }
    }

    /// Whether it is everywhere.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.district && self.city
    }
}

/// The tree as last drawn.
pub struct Tree {
    lang: Lang,
    terminal: bool,
    /// City, then each district with its branches.
    names: (String, Vec<(String, Vec<String>)>),
    drawn: Option<Vec<Ticks>>,
}

impl Tree {
    /// A tree of these units.
    #[must_use]
    pub fn new(lang: Lang, names: (String, Vec<(String, Vec<String>)>)) -> Self {
        Self { lang, terminal: std::io::stdout().is_terminal(), names, drawn: None }
    }

    /// Draws what changed: all of it at first, and after [`Tree::settle`].
    pub fn draw(&mut self, ticks: &[Ticks]) {
        let Some(before) = self.drawn.replace(ticks.to_vec()) else {
            print!("{}", self.text(ticks));
            return;
        };
        if before == ticks {
            return;
        }
        if self.terminal {
            let text = self.text(ticks);
            // Up over the tree as it stands, and over it.
            print!("\x1b[{}A{text}", text.lines().count());
        } else {
            let names = self.names.1.iter().flat_map(|(_, b)| b);
            for ((name, now), old) in names.zip(ticks).zip(&before) {
                if now != old {
                    println!("      {}", self.line(name, now));
                }
            }
        }
        let _ = std::io::stdout().flush();
    }

    /// What is printed next goes below the tree.
    pub fn settle(&mut self) {
        self.drawn = None;
    }

    fn text(&self, ticks: &[Ticks]) -> String {
        let mut out = format!("      {}\n", self.names.0);
        let mut ticks = ticks.iter();
        let last_district = self.names.1.len().saturating_sub(1);
        for (i, (district, branches)) in self.names.1.iter().enumerate() {
            let (fork, bar) = if i == last_district { ("└─", "  ") } else { ("├─", "│ ") };
            out.push_str(&format!("      {fork} {district}\n"));
            let last_branch = branches.len().saturating_sub(1);
            for (j, name) in branches.iter().enumerate() {
                let line = ticks.next().map(|t| self.line(name, t)).unwrap_or_default();
                // The rest of a longer line that stood here goes.
                let erase = if self.terminal { "\x1b[K" } else { "" };
                let fork = if j == last_branch { "└─" } else { "├─" };
                out.push_str(&format!("      {bar} {fork} {line}{erase}\n"));
            }
        }
        out
    }

    fn line(&self, name: &str, t: &Ticks) -> String {
        let mark = |held: bool| if held { "✓" } else { "…" };
        let word = |w: &words::Words| w.with(self.lang, &[]);
        let gap = " ".repeat(20usize.saturating_sub(name.chars().count()));
        let records = words::RECORDS.with(self.lang, &[&t.records]);
        let (here, district, city) = (word(&words::HERE), word(&words::DISTRICT), word(&words::CITY));
        format!("{name}{gap} {records:>14}   {here} ✓ · {district} {} · {city} {}", mark(t.district), mark(t.city))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tick_needs_a_statement_and_all_of_it() {
        let status = json!({ "records": 5, "delivered": [[1, true], [0, false]] });
        assert_eq!(Ticks::of(&status), Ticks { records: 5, district: true, city: false });
        assert!(!Ticks::of(&json!({ "delivered": [] })).complete());
    }
}
