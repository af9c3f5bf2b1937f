//! Printing and keeping: one table a row, ratios first, medians; every single measurement as a line of TSV.
//!
//! It does not: measure, or judge.
//!
//! Invariants: a ratio is Sampan's median divided by the other's, so below 1 Sampan takes less.

use crate::contender::{Cost, Done, Over};
use sampan_tests::table::{bytes, median, ms};
use std::fmt::Write as _;
use std::time::Duration;

/// Every measurement, as lines.
#[derive(Default)]
pub struct Lines(String);

impl Lines {
    /// With what was true when it began.
    pub fn new(facts: &str) -> Self {
        let mut out = String::new();
        for line in facts.lines() {
            out.push_str(&format!("# {line}\n"));
        }
        out.push_str("row\trecords\tedits\tcontender\trun\tseconds\tcpu_seconds\tbytes\tnote\n");
        Self(out)
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// One row: what several contenders cost.
pub struct Table {
    row: &'static str,
    title: String,
    records: usize,
    edits: usize,
    /// Divides bytes for a second column: records, or edits.
    unit: (&'static str, usize),
    all: Vec<(String, Vec<Cost>, Option<Over>)>,
}

impl Table {
    /// An empty one.
    pub fn new(row: &'static str, title: String, records: usize, edits: usize) -> Self {
        let unit = if edits > 0 { ("an edit", edits) } else { ("a record", records) };
        Self { row, title, records, edits, unit, all: Vec::new() }
    }

    /// The name of its row.
    #[must_use]
    pub fn row(&self) -> &'static str {
        self.row
    }

    /// Adds a measurement; what went beyond the limit is handed back.
    pub fn add(&mut self, lines: &mut Lines, name: &str, done: Done) -> Result<Duration, Over> {
        let at = self.all.iter().position(|(n, _, _)| n == name).unwrap_or_else(|| {
            self.all.push((name.to_owned(), Vec::new(), None));
            self.all.len() - 1
        });
        let (_, costs, over) = &mut self.all[at];
        let start = format!("{}\t{}\t{}\t{name}\t{}", self.row, self.records, self.edits, costs.len() + 1);
        let (line, result) = match done {
            Ok(cost) => {
                let bytes = cost.bytes.map(|b| b.to_string()).unwrap_or_default();
                let (time, cpu) = (cost.time.as_secs_f64(), cost.cpu.as_secs_f64());
                let line = format!("{start}\t{time:.6}\t{cpu:.2}\t{bytes}\t{}", cost.note);
                let time = cost.time;
                costs.push(cost);
                (line, Ok(time))
            }
            Err(hit) => {
                *over = Some(hit);
                (format!("{start}\t\t\t\tover_the_limit_of={}s", hit.0.as_secs()), Err(hit))
            }
        };
        // Writing to a string cannot fail.
        let _ = writeln!(lines.0, "{line}");
        result
    }

    /// Prints it.
    pub fn print(&self) {
        println!("\n{}", self.title);
        let medians: Vec<_> = self.all.iter().map(|(n, costs, over)| (n, Middle::of(costs), over)).collect();
        let Some(ours) = medians.first().and_then(|(_, m, _)| *m) else { return };
        println!("    {:<38}{:>10}{:>10}{:>10}   measured (median)", "Sampan / other:", "time", "CPU", "bytes");
        for (name, middle, over) in &medians {
            let hit = over.map(|o| format!("over the limit of {} s", o.0.as_secs()));
            let Some(m) = middle else {
                println!("    {name:<38}{:>30}   {}", "", hit.unwrap_or_default());
                continue;
            };
            let size = m.bytes.map(|b| {
                let each = b as f64 / self.unit.1.max(1) as f64;
                format!(", {} ({each:.1} B {})", bytes(b), self.unit.0)
            });
            println!(
                "    {name:<38}{:>10}{:>10}{:>10}   {}, CPU {}{}, {} run(s){}{}",
                ratio(Some(ours.time.as_secs_f64()), Some(m.time.as_secs_f64())),
                ratio(Some(ours.cpu.as_secs_f64()), Some(m.cpu.as_secs_f64())),
                ratio(ours.bytes.map(|b| b as f64), m.bytes.map(|b| b as f64)),
                ms(m.time),
                ms(m.cpu),
                size.unwrap_or_default(),
                m.runs,
                hit.map(|h| format!(", then {h}")).unwrap_or_default(),
                if m.note.is_empty() { String::new() } else { format!("; {}", m.note) },
            );
        }
    }
}

/// The median of each measure.
#[derive(Clone, Copy)]
struct Middle<'a> {
    time: Duration,
    cpu: Duration,
    bytes: Option<u64>,
    runs: usize,
    note: &'a str,
}

impl<'a> Middle<'a> {
    fn of(costs: &'a [Cost]) -> Option<Self> {
        let last = costs.last()?;
        let mut sizes: Vec<u64> = costs.iter().filter_map(|c| c.bytes).collect();
        sizes.sort_unstable();
        Some(Self {
            time: median(costs.iter().map(|c| c.time).collect()),
            cpu: median(costs.iter().map(|c| c.cpu).collect()),
            bytes: sizes.get(sizes.len() / 2).copied(),
            runs: costs.len(),
            note: &last.note,
        })
    }
}

fn ratio(ours: Option<f64>, other: Option<f64>) -> String {
    match (ours, other) {
        (Some(ours), Some(other)) if other > 0.0 => {
            let r = ours / other;
            if r < 0.001 { format!("{r:.6}") } else { format!("{r:.4}") }
        }
        _ => "-".to_owned(),
    }
}
