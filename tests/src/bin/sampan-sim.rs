//! `sampan-sim`: runs simulated worlds by hand. See `sampan_tests::sim`.
//!
//! It does not: touch real disks or networks.
//!
//! Invariants: exit code 0 means that every promise was kept (of a canary: that it was caught), 1 that
//! one was not, 2 that the command was not understood.

use clap::{Args, Parser, Subcommand};
use sampan_core::canary::Canary;
use sampan_tests::sim::canary::{self, TRIALS};
use sampan_tests::sim::case::{Case, Kinds, Verdict, canary_named};
use sampan_tests::sim::seedfile::SeedFile;
use sampan_tests::sim::shrink::{TRIES_MAX, shrink};
use sampan_tests::sim::swarm::{Tally, on_threads};
use sampan_tests::sim::{FaultKind, Options};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Simulated worlds of Sampan.
#[derive(Debug, Parser)]
#[command(name = "sampan-sim", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the world of one seed.
    Run {
        #[command(flatten)]
        which: Which,
        /// Print the trace to stderr as it grows.
        #[arg(long)]
        trace: bool,
    },
    /// Runs many worlds, and says what they came to together.
    #[command(group = clap::ArgGroup::new("until").required(true).multiple(true).args(["minutes", "seeds"]))]
    Swarm {
        /// Begin no world after so many minutes.
        #[arg(long, value_name = "M")]
        minutes: Option<u64>,
        /// Run so many worlds.
        #[arg(long, value_name = "N")]
        seeds: Option<u64>,
        /// The first seed.
        #[arg(long, value_name = "N", default_value_t = 1)]
        from: u64,
        #[command(flatten)]
        threads: Threads,
        #[command(flatten)]
        choice: Choice,
    },
    /// Runs a seed file twice: one trace, and every promise kept.
    Replay {
        /// The file, as in tests/seeds.
        file: PathBuf,
    },
    /// Makes a failing run smaller, and prints the smallest command.
    Shrink {
        #[command(flatten)]
        which: Which,
        /// Run at most so many worlds.
        #[arg(long, value_name = "N", default_value_t = TRIES_MAX)]
        tries: u32,
        #[command(flatten)]
        threads: Threads,
    },
    /// Plants bugs, and counts the seeds until the ordinary oracles catch them.
    Canary {
        /// The canary, or all.
        #[arg(default_value = "all", value_parser = canaries)]
        name: Canaries,
        /// Within how many seeds it must be caught, instead of the stated number.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        seeds: Option<u64>,
        /// The first seed of the first trial.
        #[arg(long, value_name = "N", default_value_t = 1)]
        from: u64,
        /// At most this many nodes a world.
        #[arg(long, value_name = "N")]
        nodes_max: Option<usize>,
        /// Only the kinds of faults that give the canary something to sing about.
        #[arg(long)]
        bait: bool,
        #[command(flatten)]
        threads: Threads,
    },
}

/// A run.
#[derive(Debug, Args)]
struct Which {
    /// The seed that decides everything.
    #[arg(long, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    choice: Choice,
}

/// What may be chosen beside a seed.
#[derive(Debug, Args)]
struct Choice {
    /// Take these kinds of faults out.
    #[arg(long, value_name = "KIND,…")]
    without: Option<Kinds>,
    /// Have only these kinds, whatever the seed says; "none" for none.
    #[arg(long, value_name = "KIND,…")]
    only: Option<Kinds>,
    /// At most this many nodes.
    #[arg(long, value_name = "N")]
    nodes_max: Option<usize>,
    /// At most this many edits.
    #[arg(long, value_name = "N")]
    edits_max: Option<u64>,
    /// At most this many faults.
    #[arg(long, value_name = "N")]
    breaks_max: Option<u64>,
    /// Relays close periods now and then.
    #[arg(long)]
    closings: bool,
    /// Whether people attach files.
    #[arg(long, value_name = "true|false")]
    files: Option<bool>,
    /// Plant this bug.
    #[arg(long, value_name = "NAME", value_parser = canary_named)]
    canary: Option<Canary>,
}

#[derive(Debug, Args)]
struct Threads {
    /// Worlds beside each other.
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
}

#[derive(Debug, Clone)]
struct Canaries(Vec<Canary>);

fn canaries(name: &str) -> Result<Canaries, String> {
    if name == "all" {
        return Ok(Canaries(Canary::ALL.to_vec()));
    }
    canary_named(name).map(|c| Canaries(vec![c])).map_err(|e| e + ", and all")
}

impl Choice {
    fn case(&self, seed: u64) -> Case {
        let options = Options {
            without: self.without.clone().unwrap_or_default().0,
            only: self.only.clone().map(|k| k.0),
            nodes_max: self.nodes_max,
            edits_max: self.edits_max,
            breaks_max: self.breaks_max,
            closings: self.closings,
            files: self.files,
            ..Options::default()
        };
        Case { seed, options, canary: self.canary }
    }

    /// The kinds that a swarm with this choice can fire.
    fn possible(&self) -> Vec<FaultKind> {
        let without = self.without.clone().unwrap_or_default().0;
        let only = self.only.clone().map_or_else(|| FaultKind::ALL.to_vec(), |k| k.0);
        let files = self.files == Some(true);
        only.into_iter().filter(|k| !without.contains(k) && (files || *k != FaultKind::HostileFile)).collect()
    }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { which, trace } => {
            let mut case = which.choice.case(which.seed);
            case.options.echo = trace;
            let verdict = case.judge();
            say(&verdict);
            code(verdict.kept())
        }
        Command::Swarm { minutes, seeds, from, threads, choice } => {
            swarm(minutes, seeds, from, threads.threads, &choice)
        }
        Command::Replay { file } => replay(&file),
        Command::Shrink { which, tries, threads } => smaller(&which.choice.case(which.seed), threads.threads, tries),
        Command::Canary { name, seeds, from, nodes_max, bait, threads } => {
            let options = |c| {
                let only = bait.then(|| canary::bait(c).to_vec());
                Options { nodes_max, only, ..Options::default() }
            };
            let usual = if bait { canary::BAITED_SEEDS_MAX } else { canary::SEEDS_MAX };
            sing(&name.0, threads.threads, seeds.unwrap_or(usual), from, options)
        }
    }
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Nothing of real time is in this: two runs of one seed print the same.
fn say(verdict: &Verdict) {
    println!("seed {}", verdict.case.seed);
    if let Some(o) = &verdict.outcome {
        let fired: Vec<String> = o.fired.iter().map(|(k, n)| format!("{} {n}", k.word())).collect();
        println!("faults   {}", Kinds(o.on.clone()));
        println!("fired    {}", if fired.is_empty() { "none".to_owned() } else { fired.join(", ") });
        println!("counts   {:?}", o.stats);
        println!("trace    {}", o.trace);
    }
    if verdict.kept() {
        println!("every promise was kept");
    } else {
        for words in &verdict.broken {
            println!("BROKEN   {words}");
        }
        println!("again    {}", verdict.case.command());
    }
}

fn swarm(minutes: Option<u64>, seeds: Option<u64>, from: u64, threads: usize, choice: &Choice) -> ExitCode {
    let began = Instant::now();
    let until = minutes.map(|m| Duration::from_secs(m * 60));
    let jobs =
        (from..).take_while(|s| seeds.is_none_or(|n| s - from < n) && until.is_none_or(|most| began.elapsed() < most));
    let mut tally = Tally::new(choice.possible());
    let mut told = Instant::now();
    on_threads(
        threads,
        jobs,
        |seed| choice.case(seed).judge(),
        |verdict| {
            tally.add(&verdict);
            // A long swarm is not waited for: its first failure is work for now.
            if !verdict.kept() {
                eprintln!("{}: {}", verdict.case.command(), verdict.broken.join("; "));
            }
            if told.elapsed() > Duration::from_secs(60) {
                told = Instant::now();
                eprintln!("{} seeds, {} of them failed", tally.seeds(), tally.failures().len());
            }
        },
    );
    println!("{tally}");
    println!("took {:.0} s on {threads} threads", began.elapsed().as_secs_f64());
    code(tally.passes())
}

fn replay(file: &PathBuf) -> ExitCode {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) => {
            eprintln!("{}: {e}", file.display());
            return ExitCode::from(2);
        }
    };
    let read = match SeedFile::parse(&text) {
        Ok(read) => read,
        Err(e) => {
            eprintln!("{}: {e}", file.display());
            return ExitCode::from(2);
        }
    };
    println!("found    {}\nfixed    {}", read.found, read.fixed);
    match read.replay() {
        Ok(verdict) => {
            say(&verdict);
            ExitCode::SUCCESS
        }
        Err(words) => {
            println!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn smaller(case: &Case, threads: usize, tries: u32) -> ExitCode {
    let Some(shrunk) = shrink(case, threads, tries, &mut |case| eprintln!("smaller: {}", case.arguments())) else {
        println!("seed {} keeps every promise: there is nothing to shrink", case.seed);
        return ExitCode::FAILURE;
    };
    println!("kind     {}\ntries    {}", shrunk.kind, shrunk.tries);
    say(&shrunk.verdict);
    let file = SeedFile { case: shrunk.verdict.case, found: "…".to_owned(), fixed: "…".to_owned() };
    println!("\nAs a file of tests/seeds, once it is fixed:\n{}", file.text());
    ExitCode::SUCCESS
}

fn sing(all: &[Canary], threads: usize, seeds: u64, from: u64, options: impl Fn(Canary) -> Options + Sync) -> ExitCode {
    let mut good = true;
    println!("canary                           median  limit  seeds until caught, in {TRIALS} trials");
    canary::try_all(all, threads, seeds, from, options, |t| {
        good &= t.caught();
        let each: Vec<String> =
            t.trials.iter().map(|t| t.seeds.map_or("never".to_owned(), |n| n.to_string())).collect();
        let anyway: u64 = t.trials.iter().map(|t| t.failing_anyway).sum();
        let mark = if t.caught() { "" } else { "  NOT CAUGHT" };
        println!("{:<32} {:>6} {:>6}  {}{mark}", t.canary.name(), t.median(), t.seeds_max, each.join(" "));
        if anyway > 0 {
            println!("  {anyway} seeds on the way fail without it too, and were passed over");
        }
        if let Some(catch) = t.trials.iter().find_map(|t| t.catch.as_ref()) {
            println!("  {}", catch.broken.first().map_or("", String::as_str));
            println!("  {}", catch.case.command());
        }
    });
    code(good)
}
