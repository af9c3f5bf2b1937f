//! The README's walk: every fenced `sh` block is run as it stands.
//!
//! The words behind `sh` name the terminal; with `run` the block keeps running until the walk ends.

use crate::world::bins;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn blocks() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let mut out = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) if info.starts_with("sh") => open = Some((info.to_owned(), String::new())),
            (None, Some(info)) if !info.is_empty() => open = Some((String::new(), String::new())),
            (Some(_), Some("")) => out.extend(open.take().filter(|(info, _)| !info.is_empty())),
            (Some((_, body)), _) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, _) => {}
        }
    }
    out
}

#[test]
fn the_walk_of_the_readme_works_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let path = format!("{}:{}", bins().display(), std::env::var("PATH").unwrap_or_default());
    let mut running = Running(Vec::new());
    let blocks = blocks();
    assert!(blocks.len() >= 8, "the README has lost its walk");
    for (info, body) in blocks {
        let keeps = info.ends_with(" run");
        // A block that keeps running is replaced by its command, so that ending it ends the program.
        let script = if keeps { format!("exec {body}") } else { format!("set -eu\n{body}") };
        let mut c = Command::new("bash");
        c.arg("-c").arg(&script).current_dir(dir.path()).env("PATH", &path).env("SAMPAN_LANG", "vi");
        if keeps {
            let mut child = c.stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            running.0.push(child);
            assert!(line.starts_with("ready "), "{info}: {line}");
        } else {
            let out = c.output().unwrap();
            let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            assert!(out.status.success(), "block '{info}':\n{body}\nsaid:\n{said}");
            if body.contains("rollup district --by-unit") {
                assert!(
                    said.contains("Đơn vị đã đọc văn bản") && said.contains("Chi bộ Trúc Bạch"),
                    "no figures:\n{said}"
                );
            }
            if body.contains("list city receipts") {
                assert!(said.contains("26"), "the receipt is not at the city:\n{said}");
            }
        }
    }
}
