//! A PC with little memory: a long list, within 64 MB of private memory for each command.
//!
//! They do not: measure time or how much each takes (`sampan-bench old-pc` does).

use crate::links::City;
use crate::world::{Daemon, Out, bins, finish, sampan};
use sampan_tests::members::members_csv;
use std::process::{Command, Stdio};

/// KiB of private memory.
const LIMIT_KIB: u32 = 65_536;
/// Rows of the longest list that a branch's PC keeps.
const ROWS: usize = 10_000;

/// A command of `sampan` within so many KiB.
fn within(kib: u32, args: &[&str]) -> Command {
    let mut c = Command::new("bash");
    c.args(["-c", &format!("ulimit -d {kib} || exit 99; exec \"$0\" \"$@\"")]).arg(bins().join("sampan"));
    c.args(args).env("SAMPAN_LANG", "en").env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    c
}

/// Whether this system ends a program that wants more than it was given; where not, it is said, and nothing is tried.
fn limited() -> bool {
    let able =
        within(1, &["--version"]).output().is_ok_and(|out| !out.status.success() && out.status.code() != Some(99))
            && within(LIMIT_KIB, &["--version"]).output().is_ok_and(|out| out.status.success());
    if !able {
        eprintln!(
            "NOT TRIED: 'ulimit -d' of bash limits no memory here; that a branch's work fits into 64 MB is not known"
        );
    }
    able
}

fn small(args: &[&str]) -> Out {
    let out = finish(within(LIMIT_KIB, args));
    assert_eq!(out.code, 0, "sampan {} within {LIMIT_KIB} KiB: {}", args.join(" "), out.stderr);
    out
}

#[test]
fn ten_thousand_rows_are_imported_listed_checked_and_sent_within_64_mb() {
    if !limited() {
        return;
    }
    let city = City::at_home(&["P1"]);
    city.join("pc", "P1");
    let pc = city.path("pc");
    small(&["sync", &pc, "--timeout", "120"]);
    let file = city.path("members.csv");
    std::fs::write(&file, members_csv(4, ROWS)).unwrap();
    // A bad last row: nothing of the rows before it stays.
    let bad = city.path("bad.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.trim_end().rsplit_once('\n').unwrap();
    std::fs::write(&bad, format!("{head}\nonly a name\n")).unwrap();
    let refused = finish(within(LIMIT_KIB, &["add", &pc, "members", "--from", &bad]));
    let refused = refused.refused(2, &format!("line {}", ROWS + 1));
    assert!(refused.stdout.is_empty(), "{refused:?}");
    let status = || sampan(&["status", &pc, "--json"]).ok().json();
    assert_eq!(sampan(&["list", &pc, "members", "--json"]).ok().stdout, "");
    assert_eq!(status()["unsent_changes"], 0);

    let ids = small(&["add", &pc, "members", "--from", &file]);
    assert_eq!(ids.stdout.lines().count(), ROWS);
    assert_eq!(status()["unsent_changes"], ROWS);
    assert_eq!(small(&["list", &pc, "members", "--json"]).stdout.lines().count(), ROWS);
    assert_eq!(small(&["list", &pc, "members"]).stdout.lines().count(), ROWS + 1, "with its headings");
    let out = city.path("out.csv");
    small(&["export", &pc, "members", &out]);
    assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), ROWS + 1);
    small(&["sync", &pc, "--timeout", "300"]);
    assert_eq!(status()["unsent_changes"], 0);
    small(&["verify", &pc]);
    small(&["backup", &pc, &city.path("pc.backup")]);
    for args in [["status", &pc], ["due", &pc], ["rollup", &pc], ["doctor", &pc]] {
        small(&args);
    }
    small(&["report", &pc, "--out", &city.path("report.html")]);
    // The daemon, linked, and an edit beside it that it sends.
    let daemon = Daemon::of(within(LIMIT_KIB, &["run", &pc]));
    small(&["set", &pc, ids.stdout.lines().next().unwrap(), "phone=0987654321"]);
    small(&["sync", &pc, "--timeout", "120"]);
    assert_eq!(status()["unsent_changes"], 0);
    daemon.stop();
    assert_eq!(city.list("sampan-relay", "city", "members", None).len(), ROWS);
}
