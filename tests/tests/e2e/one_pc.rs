//! One PC without any link: every command on records with good and bad input.

use crate::world::{Out, sampan};
use sampan_tests::city::found;
use sampan_tests::members::members_csv;
use std::path::Path;

/// Runs `sampan`, which must end with exit 0.
fn ok(arguments: &[&str]) -> Out {
    sampan(arguments).ok()
}

/// The error object on stderr.
fn error(out: &Out) -> serde_json::Value {
    let line = out.stderr.lines().last().unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {out:?}"));
    value["error"].clone()
}

/// An organisation in a folder of its own.
fn office(dir: &Path) -> String {
    let path = dir.join("office");
    drop(found(&path, "Thành phố"));
    path.display().to_string()
}

#[test]
fn a_record_lives_through_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let d = office(dir.path());
    let id = ok(&["add", &d, "members", "full_name=Lê Thị Đào", "id_number=012", "status=Dự bị"]);
    let id = id.stdout.trim();
    assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    let twin = ok(&["add", &d, "members", "full_name=Bùi Bá", "id_number=012"]);
    assert!(twin.stderr.contains(id), "a repeated number is a note: {twin:?}");
    ok(&["remove", &d, twin.stdout.trim()]);
    let shown = ok(&["set", &d, id, "phone=0912", "rewards+=Bằng khen"]);
    assert_eq!(shown.stdout, "", "words go to stderr");
    let record = ok(&["show", &d, id, "--history", "--json"]).json();
    assert_eq!((record["phone"].as_str(), record["address"].is_null()), (Some("0912"), true));
    let steps = record["history"].as_array().unwrap().iter().filter(|s| s["author"].is_string());
    assert_eq!(steps.count(), 2, "one creation, one edit: {record}");
    let listed = ok(&["list", &d, "members", "--where", "status = candidate", "--search", "dao", "--json"]).lines();
    assert_eq!((listed.len(), listed[0]["_id"].as_str()), (1, Some(id)));
    assert_eq!(ok(&["conflicts", &d, "--json"]).stdout, "");
    assert_eq!(ok(&["list", &d, "meetings"]).stdout, "");
    let vi = ok(&["--lang", "vi", "show", &d, id]);
    assert!(vi.stdout.contains("Họ và tên") && vi.stdout.contains("đã lưu tại đây ✓"), "{vi:?}");
    assert_eq!(ok(&["status", &d, "--json"]).json()["records"], 1);
    assert_eq!(ok(&["verify", &d, "--json"]).json()["damaged"], serde_json::json!([]));
    assert_eq!(ok(&["doctor", &d, "--json"]).json()["ok"], true);
}

#[test]
fn a_thousand_rows_come_in_at_once_and_go_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let d = office(dir.path());
    let file = dir.path().join("members.csv");
    let f = file.to_str().unwrap();
    let rows = members_csv(7, 1_000);
    std::fs::write(&file, &rows).unwrap();
    let added = ok(&["add", &d, "members", "--from", f]);
    assert_eq!(added.stdout.lines().count(), 1_000);
    let first = rows.lines().nth(1).unwrap();
    let shown = ok(&["show", &d, added.stdout.lines().next().unwrap(), "--json"]).json();
    assert!(first.contains(shown["address"].as_str().unwrap()), "ids come in the order of the rows");
    // Again: the card numbers match, nothing is new.
    let again = ok(&["add", &d, "members", "--from", f, "--json"]).json();
    let before: Vec<_> = added.stdout.lines().collect();
    assert_eq!(again["records"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect::<Vec<_>>(), before);
    assert_eq!(ok(&["status", &d, "--json"]).json()["records"], 1_000);
    let out = dir.path().join("out.csv");
    ok(&["export", &d, "members", out.to_str().unwrap()]);
    assert_eq!(ok(&["add", &d, "members", "--from", out.to_str().unwrap()]).stdout.lines().count(), 1_000);
    assert_eq!(ok(&["status", &d, "--json"]).json()["records"], 1_000);
}

#[test]
fn a_bad_row_stops_the_file_or_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let d = office(dir.path());
    let file = dir.path().join("m.csv");
    let f = file.to_str().unwrap();
    std::fs::write(&file, "full_name,status\nAn,official\nAn,official\nBình,chief\n,official\n").unwrap();
    let refused = sampan(&["add", &d, "members", "--from", f, "--json"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert_eq!(
        (error(&refused)["code"].as_str(), error(&refused)["details"].as_array().unwrap().len()),
        (Some("csv_bad_rows"), 2)
    );
    assert_eq!(ok(&["list", &d, "members"]).stdout, "");
    let skipped = ok(&["add", &d, "members", "--from", f, "--skip-bad", "--json"]).json();
    let ids = skipped["records"].as_array().unwrap();
    assert_eq!((ids.len(), skipped["skipped"].as_u64()), (2, Some(2)));
    assert_ne!(ids[0], ids[1], "two equal rows are two records");
}

#[test]
fn bad_input_has_its_code_its_exit_and_a_hint_in_both_languages() {
    let dir = tempfile::tempdir().unwrap();
    let d = office(dir.path());
    let id = ok(&["add", &d, "members", "full_name=An"]).stdout;
    let id = id.trim();
    let table: [(&[&str], &str, i32); 12] = [
        (&["lsit"], "usage", 2),
        (&["add", &d, "membrs", "a=1"], "unknown_collection", 2),
        (&["add", &d, "members", "fulname=A"], "unknown_field", 2),
        (&["add", &d, "members", "phone=1"], "required", 2),
        (&["set", &d, id, "status=oficial"], "unknown_choice", 2),
        (&["set", &d, id, "date_of_birth=1950-13"], "bad_date", 2),
        (&["set", &d, "ffff", "phone=1"], "unknown_record", 2),
        (&["list", &d, "members", "--where", "status !"], "bad_expr", 2),
        (&["resolve", &d, id, "phone=1"], "not_in_conflict", 2),
        (&["export", &d, "members", "x.doc"], "export_kind", 2),
        (&["join", &d, "hello"], "ticket_not", 2),
        (&["status", "/nowhere"], "dir_not_ours", 2),
    ];
    for (arguments, code, exit) in table {
        let en = sampan(&[arguments, &["--json"]].concat());
        let vi = sampan(&[arguments, &["--json", "--lang", "vi"]].concat());
        for out in [&en, &vi] {
            assert_eq!((out.code, error(out)["code"].as_str(), out.stdout.as_str()), (exit, Some(code), ""), "{out:?}");
        }
        for part in ["message", "hint"] {
            assert_ne!(error(&en)[part], error(&vi)[part], "{arguments:?}: {part}");
        }
        let words = sampan(arguments);
        assert!(words.stderr.contains(error(&en)["hint"].as_str().unwrap()), "{words:?}");
    }
}
