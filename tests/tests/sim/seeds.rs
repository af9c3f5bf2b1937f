//! Every file of `tests/seeds`: what once failed keeps its promises now.
//!
//! It does not: compare traces with those of other versions.

use crate::{THREADS, my_turn};
use sampan_tests::sim::canary::bait;
use sampan_tests::sim::case::Case;
use sampan_tests::sim::seedfile::SeedFile;
use sampan_tests::sim::shrink::shrink;
use sampan_tests::sim::swarm::on_threads;
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let all = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
    let mut out: Vec<PathBuf> = all.filter(|p| p.extension().is_some_and(|e| e == "txt")).collect();
    out.sort();
    out
}

#[test]
fn what_once_failed_keeps_its_promises() {
    let turn = my_turn();
    let mut failed = Vec::new();
    let work = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).map_err(|e| format!("tests/seeds/{name}: {e}"))?;
        let file = SeedFile::parse(&text).map_err(|e| format!("tests/seeds/{name}: {e}"))?;
        file.replay().map(|_| ()).map_err(|e| format!("tests/seeds/{name}: {e}"))
    };
    on_threads(THREADS, files().into_iter(), work, |r: Result<(), String>| failed.extend(r.err()));
    drop(turn);
    failed.sort();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A planted bug gives a run that fails for sure: shrunk, it fails with the same kind of words.
#[test]
fn a_shrunk_run_fails_alike_and_is_smaller() {
    let (canary, seeds) = crate::canaries::SURE;
    let case = |seed| {
        let mut case = Case::of(seed);
        case.canary = Some(canary);
        case.options.only = Some(bait(canary).to_vec());
        case.options.nodes_max = Some(crate::canaries::NODES_MAX);
        case
    };
    let turn = my_turn();
    let mut tried = (1..=seeds).map(|seed| (case(seed).shape(), shrink(&case(seed), THREADS, 24, &mut |_| {})));
    let (before, shrunk) = tried.find_map(|(before, shrunk)| shrunk.map(|s| (before, s))).expect("one fails");
    drop(turn);
    let after = shrunk.verdict.case.shape();
    assert!(shrunk.verdict.says(&shrunk.kind), "{:?}", shrunk.verdict.broken);
    let sizes = |edits: u64, s: &sampan_tests::sim::Shape| (s.nodes.len(), s.faults.len(), edits);
    let (a, b) =
        (sizes(before.edits, &before), sizes(shrunk.verdict.case.options.edits_max.unwrap_or(after.edits), &after));
    assert!(b.0 <= a.0 && b.1 <= a.1 && b.2 <= a.2 && a != b, "from {a:?} to {b:?}");
}
