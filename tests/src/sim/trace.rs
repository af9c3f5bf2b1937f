//! The trace of a run: one line a step, kept as a hash, and as text when asked for.
//!
//! It does not: write files.
//!
//! Invariants: it holds nothing that differs between two runs of one seed (no paths, no real time).

/// A trace.
#[derive(Debug)]
pub struct Trace {
    hash: blake3::Hasher,
    lines: Option<Vec<String>>,
    count: u64,
    echo: bool,
}

impl Trace {
    /// A trace; `keep`: also its text. `echo`: also to stderr as it grows.
    #[must_use]
    pub fn new(keep: bool, echo: bool) -> Self {
        Self { hash: blake3::Hasher::new(), lines: keep.then(Vec::new), count: 0, echo }
    }

    /// One line.
    pub fn line(&mut self, at: u64, text: &str) {
        let line = format!("{at:>12} {text}");
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        self.count += 1;
        if self.echo {
            eprintln!("{line}");
        }
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// The hash of all lines, their number, and the text if it was kept.
    #[must_use]
    pub fn end(self) -> (String, u64, Vec<String>) {
        (self.hash.finalize().to_hex().to_string(), self.count, self.lines.unwrap_or_default())
    }
}
