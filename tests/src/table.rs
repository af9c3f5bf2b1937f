//! Printing: one row a figure, ratios first, then the goal, then what was measured.
//!
//! It does not: measure.

use std::time::Duration;

/// One row.
#[derive(Default)]
pub struct Row {
    name: String,
    ratios: Vec<String>,
    values: Vec<String>,
    goals: Vec<String>,
}

impl Row {
    /// A row of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// How many times `other` this is; below 1 is better.
    pub fn ratio(mut self, to: &str, ours: f64, other: f64) -> Self {
        self.ratios.push(format!("{:.4} x {to}", ours / other));
        self
    }

    /// A measured value.
    pub fn value(mut self, name: &str, text: impl Into<String>) -> Self {
        self.values.push(format!("{name} {}", text.into()));
        self
    }

    /// A goal, in the unit of the measure; smaller is better.
    pub fn goal(mut self, what: &str, measured: f64, goal: f64) -> Self {
        let word = if measured <= goal { "met" } else { "MISSED" };
        self.goals.push(format!("{what}: {word}, {:.2} x the goal of {goal}", measured / goal));
        self
    }

    /// Prints it.
    pub fn print(self) {
        println!("{}", self.name);
        for (title, lines) in [("ratios", &self.ratios), ("goals", &self.goals), ("measured", &self.values)] {
            if !lines.is_empty() {
                println!("    {title}: {}", lines.join("; "));
            }
        }
    }
}

/// Milliseconds.
pub fn ms(d: Duration) -> String {
    let ms = d.as_secs_f64() * 1_000.0;
    if ms < 10.0 { format!("{ms:.3} ms") } else { format!("{ms:.1} ms") }
}

/// Bytes.
pub fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.2} MB", n as f64 / 1e6),
    }
}

/// The middle of some durations.
pub fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The value below which this share of the durations lies.
pub fn percentile(mut all: Vec<Duration>, share: f64) -> Duration {
    all.sort_unstable();
    let at = ((all.len() as f64 * share).ceil() as usize).clamp(1, all.len().max(1)) - 1;
    all.get(at).copied().unwrap_or_default()
}

/// CPU time of this process so far, all threads: what a busy machine does not change.
pub fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold spaces; after its bracket the 12th and 13th words are ticks of 10 ms.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|w| w.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
