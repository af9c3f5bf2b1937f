//! Enrolling without a link: tickets as files and pictures; and what is refused on the way.

use crate::world::{World, relay, sampan};
use std::os::unix::fs::PermissionsExt as _;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A city with one branch; nothing runs, nothing listens.
fn city() -> World {
    let dir = tempfile::tempdir().unwrap();
    let w = World { dir, city_daemon: None, district_daemon: None };
    relay(&["init", &w.path("city"), "--org", "Thành phố", "--listen", "127.0.0.1:0"]).ok();
    relay(&["unit", "add", &w.path("city"), "--name", "Chi bộ 1", "--code", "1", "--kind", "branch"]).ok();
    w
}

#[test]
fn a_ticket_goes_by_file_and_by_picture_and_a_device_joins_without_a_link() {
    let w = city();
    let (file, svg) = (w.path("branch.ticket"), w.path("branch.svg"));
    let args = ["invite", &w.path("city"), "--unit", "1", "--role", "editor", "--holder", "Lan"];
    let out = relay(&[&args[..], &["--ticket-file", &file, "--qr", &svg]].concat()).ok();
    assert_eq!(out.stdout.lines().count(), 1, "stdout has the line alone: {out:?}");
    assert_eq!(read(&file).trim_end(), out.first());
    for secret in [&file, &svg] {
        assert_eq!(std::fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600, "{secret}");
    }
    assert!(read(&svg).starts_with("<svg"));

    // The file as an editor of another system may have left it.
    std::fs::write(w.path("from-mail.txt"), format!("\u{feff}{}\r\n\r\n", out.first())).unwrap();
    let joined = sampan(&["join", &w.path("a"), &format!("@{}", w.path("from-mail.txt")), "--timeout", "0"]).ok();
    assert!(joined.stderr.contains("could not be reached"), "{joined:?}");
    let id = w.add("a", "members", &["full_name=Nguyễn Văn An"]);
    assert_eq!(w.field("sampan", "a", &id, "full_name"), serde_json::json!("Nguyễn Văn An"));
    sampan(&["join", &w.path("b"), "--ticket-file", &file, "--timeout", "0"]).ok();

    // A relay of a lower unit takes its ticket from a file too.
    let relay_file = w.path("relay.ticket");
    relay(&[
        "invite",
        &w.path("city"),
        "--unit",
        "1",
        "--role",
        "relay",
        "--holder",
        "M",
        "--ticket-file",
        &relay_file,
    ])
    .ok();
    relay(&["join", &w.path("r"), &format!("@{relay_file}"), "--listen", "127.0.0.1:0", "--timeout", "0"]).ok();
}

#[test]
fn a_picture_on_the_screen_leaves_stdout_to_the_line() {
    let w = city();
    let out =
        relay(&["invite", &w.path("city"), "--unit", "1", "--role", "editor", "--holder", "Lan", "--qr", "-"]).ok();
    assert!(out.stdout.lines().count() == 1 && out.first().starts_with("sampan:"), "{out:?}");
    assert!(out.stderr.contains("▀▀▀") && out.stderr.lines().count() > 30, "{out:?}");
}

#[test]
fn files_that_cannot_be_made_grant_nothing_and_files_that_are_no_tickets_join_nothing() {
    let w = city();
    let city = w.path("city");
    let taken = w.path("letter.txt");
    std::fs::write(&taken, "dear").unwrap();
    let invite = ["invite", &city, "--unit", "1", "--role", "editor", "--holder", "Lan"];
    let granted = || relay(&["status", &city, "--json"]).ok().json()["pending"].clone();
    let before = granted();
    let unmade = w.path("no/such/folder/x");
    let svg = w.path("x.svg");
    for (more, code, words) in [
        (vec!["--ticket-file", taken.as_str()], 2, "is there already"),
        (vec!["--qr", "x.png"], 2, "only .svg"),
        (vec!["--qr", svg.as_str(), "--ticket-file", taken.as_str()], 2, "is there already"),
        (vec!["--ticket-file", unmade.as_str()], 1, "cannot be written"),
    ] {
        relay(&[&invite[..], &more].concat()).refused(code, words);
    }
    assert!(!std::path::Path::new(&svg).exists(), "what was taken for a refused ticket is given back");
    // A unit that does not exist, after the file was taken.
    let file = w.path("t");
    let wrong = ["invite", &city, "--unit", "nowhere", "--role", "editor", "--holder", "L", "--ticket-file", &file];
    relay(&wrong).refused(2, "nowhere");
    assert!(!std::path::Path::new(&file).exists());
    assert_eq!((read(&taken).as_str(), granted()), ("dear", before));

    let a = w.path("a");
    sampan(&["join", &a, &format!("@{taken}")]).refused(2, "not a ticket");
    sampan(&["join", &a, &format!("@{}", w.path("gone"))]).refused(2, "cannot be read");
    sampan(&["join", &a, "--ticket-file", &w.path("")]).refused(2, "cannot be read");
    std::fs::write(w.path("big"), vec![b'a'; 1 << 20]).unwrap();
    sampan(&["join", &a, &format!("@{}", w.path("big"))]).refused(2, "not a ticket");
    std::fs::write(w.path("bytes"), [0xff, 0xfe, 0x00]).unwrap();
    sampan(&["join", &a, &format!("@{}", w.path("bytes"))]).refused(2, "not a ticket");
    let line = relay(&invite).ok().first();
    std::fs::write(w.path("cut"), &line[..line.len() / 2]).unwrap();
    sampan(&["join", &a, &format!("@{}", w.path("cut"))]).refused(2, "cut");
    sampan(&["join", &a, &line, "--ticket-file", &w.path("cut")]).refused(2, "cannot be used together");
    sampan(&["join", &a]).refused(2, "missing");
    assert!(!std::path::Path::new(&a).exists());
}
