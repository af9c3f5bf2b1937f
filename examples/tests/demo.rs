//! The demo itself, run as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

fn run(temp: &Path, arguments: &[&str], broken: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sampan-demo"));
    command.args(arguments).env("TMPDIR", temp).env_remove("SAMPAN_DEMO_BREAK");
    if let Some(step) = broken {
        command.env("SAMPAN_DEMO_BREAK", step);
    }
    command.output().unwrap()
}

fn nothing_left(temp: &Path) {
    let left: Vec<_> = std::fs::read_dir(temp).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

fn everything_holds(lang: &str, title: &str, next: &str) {
    let temp = tempfile::tempdir().unwrap();
    let output = run(temp.path(), &["--lang", lang], None);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let table = text.split_once(title).unwrap_or_else(|| panic!("no table in {text}")).1;
    let rows: Vec<&str> = table.lines().take(10).collect();
    assert!(rows.iter().all(|r| r.starts_with("  ") && r.ends_with(|c: char| c.is_ascii_digit())), "{rows:#?}");
    assert!(rows[1].ends_with(" 300"), "{rows:#?}");
    assert!(rows[8].ends_with("6/6"), "{rows:#?}");
    assert!(rows[9].contains("8/8"), "{rows:#?}");
    assert!(text.contains(next), "{text}");
    nothing_left(temp.path());
}

#[test]
fn it_holds_in_vietnamese() {
    everything_holds("vi", "Kết quả\n", "Thử tiếp:");
}

#[test]
fn it_holds_in_english() {
    everything_holds("en", "What happened\n", "Try next:");
}

#[test]
fn a_wrong_row_is_found_and_the_step_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let output = run(temp.path(), &["--lang", "en"], Some("proof"));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("Failed at step 'proof'") && errors.contains("không đúng"), "{errors}");
    assert!(errors.contains("demo.log"), "{errors}");
    nothing_left(temp.path());
}
