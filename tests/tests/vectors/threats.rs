//! The threat model's page names tests: every one of them exists.
//!
//! It does not: say that a test shows what its line says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The names of functions that are tests.
fn tests_of(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let marked = |at: usize| {
        // Attributes stand between the mark and the function, nothing else.
        let above = lines[..at].iter().rev().take_while(|l| l.starts_with("#["));
        above.into_iter().any(|l| *l == "#[test]" || l.starts_with("#[tokio::test"))
    };
    let name = |l: &str| {
        let rest = l.strip_prefix("async ").unwrap_or(l).strip_prefix("fn ")?;
        rest.split('(').next().map(str::to_owned)
    };
    (0..lines.len()).filter(|at| marked(*at)).filter_map(|at| name(lines[at])).collect()
}

#[test]
fn every_line_of_the_threat_model_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for folder in ["core", "node", "relay", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    let known: BTreeSet<String> = files.iter().flat_map(|f| tests_of(&std::fs::read_to_string(f).unwrap())).collect();
    assert!(known.len() > 400 && known.contains("every_line_of_the_threat_model_names_a_test_that_exists"));
    let page = std::fs::read_to_string(root.join("core/src/manual/threats.rs")).unwrap();
    let rows: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("//! | can")).collect();
    assert!(rows.len() > 30, "the page has lost its tables");
    for row in rows {
        let evidence = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default().trim();
        if evidence == "remains" {
            continue;
        }
        let names: Vec<&str> = evidence.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "a line without a test, which does not say that it remains: {row}");
        for name in names {
            assert!(known.contains(name), "the page names a test that does not exist: {name}");
        }
    }
    for party in
        ["Outsider on the wire", "Stolen", "Curious branch", "Dishonest relay", "Former secretary", "Hostile author"]
    {
        assert!(page.contains(&format!("//! # {party}")), "{party}");
    }
}

#[test]
fn marks_of_tests_are_found_and_other_functions_are_not() {
    let text =
        "#[test]\nfn a() {}\n#[test]\n#[ignore]\nfn b() {}\nfn c() {}\n#[tokio::test(flavor = \"x\")]\nasync fn d() {}";
    assert_eq!(tests_of(text), ["a", "b", "d"]);
}
