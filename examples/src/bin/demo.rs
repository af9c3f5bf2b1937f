//! `sampan-demo`: one city, two districts, six branches, in twenty seconds.
//!
//! It does not: anything but hand arguments to the library.

use clap::Parser;
use sampan_examples::demo::{self, Options};
use std::path::PathBuf;
use std::process::ExitCode;

/// An organisation of nine replicas on this machine: watch it load, lose its links, and agree again.
#[derive(Debug, Parser)]
#[command(name = "sampan-demo", version)]
struct Arguments {
    /// Language: vi or en.
    #[arg(long, value_name = "vi|en")]
    lang: Option<sampan_node::i18n::Lang>,
    /// Leave everything running at the end, with paths ready to paste.
    #[arg(long)]
    stay: bool,
    /// The role of one branch, which the demo gives to the processes it starts.
    #[arg(long, hide = true, value_name = "DIR")]
    branch: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.branch {
        Some(dir) => demo::branch_process(&dir),
        None => demo::main(Options { lang: arguments.lang, stay: arguments.stay }),
    }
}
