//! The demo: nine replicas with real links, what happens to them, and the proof that they agree.
//!
//! It does not: use the command line programs; it shows what one would type.
//!
//! Invariants: whatever happens, its processes end and its folder goes; the exit code is 0 only when
//! everything held, 130 after an interrupt.

mod branch;
mod checks;
mod compare;
mod node;
mod ops;
mod proof;
mod stage;
mod story;
mod tree;
mod wire;
mod words;

use sampan_node::daemon::until_stopped;
use sampan_node::i18n::Lang;
use stage::{Stage, slug};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Lines of a log that a failure shows.
const LOG_LINES: usize = 12;
/// What shells take for "interrupted".
const EXIT_INTERRUPTED: u8 = 130;

/// How the demo is run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Its language, if said.
    pub lang: Option<Lang>,
    /// Whether it stays.
    pub stay: bool,
}

/// The role of a branch.
#[must_use]
pub fn branch_process(dir: &Path) -> ExitCode {
    match branch::serve(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The demo.
#[must_use]
pub fn main(options: Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain("start", &error),
    };
    let lang = Lang::choose(options.lang, None, &|name| std::env::var(name).ok());
    let mut stage = match Stage::new(lang) {
        Ok(stage) => stage,
        Err(error) => return complain("start", &format!("{error:#}")),
    };
    let code = runtime.block_on(async {
        let began = Instant::now();
        let told = tokio::select! {
            told = stage.tell() => Some(told),
            () = until_stopped() => None,
        };
        let code = match told {
            Some(Ok(())) => {
                let (seconds, first) = (format!("{:.1}", began.elapsed().as_secs_f64()), slug(&stage.places[0].name));
                println!("  {}\n\n{}", words::TOOK.with(lang, &[&seconds]), words::TRY_NEXT.with(lang, &[&first]));
                ExitCode::SUCCESS
            }
            Some(Err(error)) => failed(&stage, &error),
            None => {
                println!("\n{}", words::INTERRUPTED.with(lang, &[]));
                ExitCode::from(EXIT_INTERRUPTED)
            }
        };
        if options.stay && code != ExitCode::from(EXIT_INTERRUPTED) {
            stay(&stage);
            until_stopped().await;
            println!("\n{}", words::INTERRUPTED.with(lang, &[]));
        }
        stage.close().await;
        code
    });
    drop(runtime);
    code
}

fn complain(step: &str, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("sampan-demo: {step}: {error}");
    ExitCode::FAILURE
}

/// Says which step failed, and shows the end of the log that knows more.
fn failed(stage: &Stage, error: &anyhow::Error) -> ExitCode {
    stage.note(&format!("{error:#}"));
    let log = error.downcast_ref::<branch::BranchError>().map_or_else(|| stage.log(), |e| e.log.clone());
    eprintln!("\n{}", words::FAILED.with(stage.lang, &[&stage.step, &format!("{error:#}")]));
    eprintln!("{}", words::FAILED_LOG.with(stage.lang, &[&log.display()]));
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        eprintln!("  | {line}");
    }
    ExitCode::FAILURE
}

/// Commands ready to paste.
fn stay(stage: &Stage) {
    println!("\n{}", words::STAYING.with(stage.lang, &[]));
    let relays = stage.city.iter().chain(stage.districts.iter().map(|d| &d.node));
    for node in relays {
        println!("  sampan-relay status {}", node.path.display());
    }
    for p in &stage.places {
        println!("  sampan status {}", p.branch.path.display());
    }
    if let Some(p) = stage.places.first() {
        println!("  sampan list {} members --search nguyen", p.branch.path.display());
        println!("  sampan sync {}", p.branch.path.display());
    }
}
