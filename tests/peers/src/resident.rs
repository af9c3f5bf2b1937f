//! Resident memory of a process of its own that receives all records: this program started again.
//!
//! It does not: tell what an allocator keeps from what is used; VmRSS is what the machine has to give.

use crate::contender::{Over, Resident};
use crate::{automerge_docs, big, iroh_node, samod_repo, sampan};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The argument with which this program starts itself.
pub const CHILD: &str = "--receive-in-child";

/// The time limit of the run.
pub static LIMIT: OnceLock<Duration> = OnceLock::new();

/// VmRSS of this process in bytes.
#[must_use]
pub fn now() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
}

/// Starts a child and waits for what it says, at most until the limit.
pub fn ask(args: &[&str]) -> Result<Resident, Over> {
    let limit = *LIMIT.get().unwrap_or(&Duration::from_secs(120));
    let exe = std::env::current_exe().expect("this program");
    let mut child = Command::new(exe).arg(CHILD).args(args).stdout(Stdio::piped()).spawn().expect("a child");
    let began = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if began.elapsed() > limit {
            child.kill().expect("ending the child");
            child.wait().expect("the child ends");
            return Err(Over(limit));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("what it says");
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    let [before, after] = numbers.as_slice() else { panic!("the child {args:?} said {text:?}") };
    Ok(Resident { before: *before, after: *after })
}

/// The child.
pub fn child(args: &[String]) {
    let runtime = crate::run::runtime();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let got = match words.as_slice() {
        ["sampan", path, ticket] => runtime.block_on(sampan::receive(Path::new(path), ticket)),
        ["samod", path, addr, ids] => runtime.block_on(samod_repo::receive_all(Path::new(path), addr, Path::new(ids))),
        ["iroh", path, ticket, n] => {
            runtime.block_on(iroh_node::receive_all(Path::new(path), ticket, n.parse().expect("a number")))
        }
        ["documents", path] => automerge_docs::hold(Path::new(path)),
        ["big", path] => big::hold(Path::new(path)),
        other => panic!("{other:?} is not for a child"),
    };
    println!("{} {}", got.before, got.after);
    // What was received lies in folders of the parent: nothing needs an orderly end.
    std::process::exit(0);
}
