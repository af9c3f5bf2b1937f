//! Collections taken from a device, with the real binaries: what it writes in them afterwards is listed, shown as
//! such by both verifiers, and let in by hand.
//!
//! It does not: try every way that such a commit may come (the stories do).

use crate::evidence::{Python, read};
use crate::world::{Daemon, World, relay, sampan};
use serde_json::Value as Json;

const VISIT: [&str; 2] = ["subject=Chi bộ 2", "inspected_on=2026-11-20"];

#[test]
fn what_is_written_past_a_narrowing_is_listed_told_by_both_verifiers_and_released() {
    let mut w = World::three_levels();
    let (city, district, branch) = (w.path("city"), w.path("district"), w.path("branch"));
    let before = w.add("branch", "inspections", &VISIT);
    w.sync("branch");
    w.sync_relay("district");
    let device = sampan(&["status", &branch, "--json"]).ok().json()["device"].as_str().unwrap().to_owned();
    // The city hears nothing of what is written now: three commits, one of them of what it takes.
    w.city_daemon.take().unwrap().stop();
    let allowed = w.add("branch", "members", &["full_name=Còn quyền"]);
    w.sync("branch");
    let forged = w.add("branch", "inspections", &VISIT);
    w.sync("branch");
    let after = w.add("branch", "members", &["full_name=Theo sau"]);
    w.sync("branch");
    let narrow = ["narrow", &city, &device, "--unit", "001.1", "--collections", "members", "--reason", "đổi việc"];
    let done = relay(&[&narrow[..], &["--json"]].concat()).ok().json();
    let not_held: Vec<&str> = done["not_held"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
    assert!(not_held.contains(&"meetings") && !not_held.contains(&"members"), "{done}");
    w.city_daemon = Some(Daemon::start("sampan-relay", &["run", &city]));
    w.sync_relay("district");

    let set_aside = relay(&["quarantine", &district, "list", "--json"]).ok().lines();
    let reasons: Vec<&Json> = set_aside.iter().map(|l| &l["reason"]).collect();
    let taken = "it carries a collection that was taken from its device";
    assert_eq!(reasons, [taken, "it continues a commit that was set aside"]);
    assert!(relay(&["quarantine", &district, "list"]).ok().stdout.contains(taken));
    let stands = |record: &str| relay(&["show", &district, record]).code == 0;
    assert_eq!([&before, &allowed, &forged, &after].map(|r| stands(r)), [true, true, false, false]);
    // One that joins later never sees it.
    w.join_branch("late", "001.1");
    assert_eq!(w.list("sampan", "late", "inspections").len(), 1);
    assert_eq!(w.list("sampan", "late", "members").len(), 1);

    // The device itself: no more inspections, and members go on.
    w.sync("branch");
    sampan(&["add", &branch, "inspections", VISIT[0], VISIT[1]]).refused(3, "inspections");
    let more = w.add("branch", "members", &["full_name=Viết tiếp"]);
    w.sync("branch");
    assert!(stands(&more));

    let file = w.path("taken.jsonl");
    let python = Python::find(&w.dir.path().join("packages"));
    let both = |code: i32, word: &str| {
        let out = sampan(&["verify", "--audit", &file]);
        assert!(out.code == code && format!("{}{}", out.stdout, out.stderr).contains(word), "{out:?}");
        if let Some((answer, said)) = python.as_ref().and_then(|p| p.output(&["--audit", &file])) {
            assert!(answer == i32::from(code != 0) && !said.contains("Traceback"), "Python: {said}");
        }
    };
    let audited = || -> (Vec<Json>, Vec<String>) {
        relay(&["audit", &district, &file]).ok();
        let lines = read(&file);
        let cut = |l: &Json| l["cut"].as_str().unwrap_or("none").to_owned();
        let mut places: Vec<String> = lines.iter().filter(|l| l["line"] == "commit").map(cut).collect();
        places.sort_unstable();
        (lines, places)
    };
    let (lines, places) = audited();
    both(0, "outside a cut");
    assert_eq!(places, ["allowed", "allowed", "inside", "outside", "outside"]);
    let status =
        |record: &str| lines.iter().find(|l| l["line"] == "entry" && l["record"] == record).unwrap()["status"].clone();
    assert_eq!([&before, &allowed, &forged, &after].map(|r| status(r)), ["accepted", "accepted", "outside", "outside"]);

    // False evidence: the forged one told as if its device might still have written it.
    let commit = lines.iter().find(|l| l["record"] == forged.as_str()).unwrap()["commit"].as_str().unwrap().to_owned();
    let text = std::fs::read_to_string(&file).unwrap();
    let bent = |line: &str| {
        if line.contains(&commit) && line.contains("\"line\":\"commit\"") {
            line.replace("\"cut\":\"outside\"", "\"cut\":\"allowed\"")
        } else if line.contains(&commit) {
            line.replace("\"status\":\"outside\"", "\"status\":\"accepted\"")
        } else {
            line.to_owned()
        }
    };
    let bent: Vec<String> = text.lines().map(bent).collect();
    std::fs::write(&file, bent.join("\n") + "\n").unwrap();
    both(5, "'cut'");

    // Let in by hand, and what follows it with it; the city has it with the next link.
    relay(&["quarantine", &district, "release", &commit, "--reason", "ghi trước khi đổi việc"]).ok();
    assert!(stands(&forged) && stands(&after));
    w.sync_relay("district");
    assert_eq!(relay(&["show", &city, &forged]).code, 0);
    let (_, places) = audited();
    both(0, "ghi trước khi đổi việc");
    assert_eq!(places, ["allowed", "allowed", "allowed", "inside", "released"]);
}
