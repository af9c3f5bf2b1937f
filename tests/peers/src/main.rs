//! Sampan beside its peers and beside floors, on the same records in the same run: see the README of
//! this folder. `cargo run --release --manifest-path tests/peers/Cargo.toml -- [rows] [--n 1000,10000]`.
//!
//! It does not: prove anything right beyond what keeps a figure honest (everything has arrived), run in
//! CI, or change a peer.
//!
//! Invariants: every contender moves the records of one generator, in one process, both of its ends in
//! one runtime of two workers; repeats are interleaved, so that a busy minute falls on all of them; whoever goes beyond the
//! time limit is printed as such and leaves the rest of that size.

mod automerge_docs;
mod big;
mod contender;
mod counting;
mod edits;
mod floors;
mod iroh_node;
#[path = "../../benches/figures/org.rs"]
#[allow(dead_code)] // shared with the bench `figures`, which uses all of it
mod org;
#[path = "../../benches/figures/peers.rs"]
#[allow(dead_code)] // as above
mod peers;
mod report;
mod resident;
mod run;
mod samod_repo;
mod sampan;

use std::process::ExitCode;
use std::time::Duration;

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Names of rows, all when empty.
    pub rows: Vec<String>,
    /// Numbers of records.
    pub sizes: Vec<usize>,
    /// Repeats; none: five up to 1,000 records, else three.
    pub runs: Option<usize>,
    /// Longest time for one measurement of one contender.
    pub limit: Duration,
    /// The most records for samod, whose cost grows faster than their number.
    pub samod_max: usize,
    /// Contenders beside Sampan, all when empty.
    pub only: Vec<String>,
    /// Where the raw lines go.
    pub tsv: Option<std::path::PathBuf>,
}

impl Asked {
    fn read(args: &[String]) -> Result<Self, String> {
        let mut out = Self {
            rows: Vec::new(),
            sizes: vec![1_000, 3_000, 10_000],
            runs: None,
            limit: Duration::from_secs(120),
            samod_max: 3_000,
            only: Vec::new(),
            tsv: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            let number =
                |text: &str| text.replace('_', "").parse::<usize>().map_err(|_| format!("{text}: not a number"));
            match arg.as_str() {
                "--n" => out.sizes = value()?.split(',').map(number).collect::<Result<_, _>>()?,
                "--runs" => out.runs = Some(number(value()?)?.max(1)),
                "--limit" => out.limit = Duration::from_secs(number(value()?)? as u64),
                "--samod-max" => out.samod_max = number(value()?)?,
                "--only" => out.only = value()?.split(',').map(str::to_owned).collect(),
                "--tsv" => out.tsv = Some(value()?.into()),
                other if other.starts_with('-') => {
                    return Err(format!("{other} is not known; see tests/peers/README.md"));
                }
                row if run::ROWS.contains(&row) => out.rows.push(row.to_owned()),
                other => return Err(format!("{other} is not a row; rows: {}", run::ROWS.join(" "))),
            }
        }
        Ok(out)
    }

    /// Whether a row was asked for.
    #[must_use]
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|r| r == row)
    }

    /// Whether a contender was asked for.
    #[must_use]
    pub fn has(&self, contender: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| contender.contains(o.as_str()))
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, rest @ ..] = args.as_slice()
        && flag == resident::CHILD
    {
        resident::child(rest);
        return ExitCode::SUCCESS;
    }
    match Asked::read(&args) {
        Ok(asked) => {
            run::run(&asked);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}
