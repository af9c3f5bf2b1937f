//! Enrolling without a link: tickets as files and pictures; and what is refused on the way.

use crate::world::{Daemon, World, relay, sampan};
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

fn secret_line(stderr: &str) -> String {
    let line = stderr.lines().map(str::trim).find(|l| l.starts_with("sampan-succession:"));
    line.unwrap_or_else(|| panic!("no succession key in: {stderr}")).to_owned()
}

/// Every file below a folder.
fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out
}

#[test]
fn the_root_key_goes_offline_and_daily_work_goes_on() {
    let mut w = city();
    let city = w.path("city");
    w.city_daemon = Some(Daemon::start("sampan-relay", &["run", &city]));
    let (stick, key) = (w.path("stick"), w.path("city/keys/root.key"));
    let before = std::fs::read(&key).unwrap();
    // What is refused leaves the key where it is.
    std::fs::write(w.path("taken"), "dear").unwrap();
    relay(&["root", "export", &city, &w.path("taken")]).refused(2, "is there already");
    relay(&["root", "export", &city, &w.path("city/outbox/root")]).refused(2, "not offline");
    relay(&["root", "export", &city, &w.path("no/folder/root")]).refused(1, "cannot be written");
    assert_eq!((std::fs::read(&key).unwrap(), read(&w.path("taken")).as_str()), (before.clone(), "dear"));

    relay(&["root", "export", &city, &stick]).ok();
    assert!(!std::path::Path::new(&key).exists() && read(&stick).starts_with("sampan-root:"));
    assert_eq!(std::fs::metadata(&stick).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(relay(&["root", "show", &city, "--json"]).ok().json()["here"], false);
    relay(&["root", "export", &city, &w.path("again")]).refused(2, "not in this folder");
    relay(&["root", "appoint", &city, "--holder", "X"]).refused(2, "not in this folder");
    assert!(!std::path::Path::new(&w.path("again")).exists());

    // Units, invitations, joining, syncing: nothing of it needs the root key.
    relay(&["unit", "add", &city, "--name", "Quận", "--code", "2", "--kind", "district"]).ok();
    let ticket =
        relay(&["invite", &city, "--unit", "1", "--role", "editor", "--holder", "Lan", "--collections", "members"])
            .ok()
            .first();
    sampan(&["join", &w.path("a"), &ticket]).ok();
    let id = w.add("a", "members", &["full_name=An"]);
    w.sync("a");
    assert_eq!(w.field("sampan-relay", "city", &id, "full_name"), serde_json::json!("An"));
    sampan(&["add", &w.path("a"), "meetings", "title=X", "held_on=2026-11-20"]).refused(3, "meetings");
    assert_eq!(relay(&["doctor", &city]).code, 0);

    // Back again: the very key, into its own organisation alone.
    relay(&["init", &w.path("other"), "--org", "Khác", "--listen", "127.0.0.1:0"]).ok();
    std::fs::remove_file(w.path("other/keys/root.key")).unwrap();
    relay(&["root", "import", &w.path("other"), &stick]).refused(2, "not the key");
    std::fs::write(w.path("slip"), read(&stick).replace(':', ":a")).unwrap();
    relay(&["root", "import", &city, &w.path("slip")]).refused(2, "wrong or missing");
    relay(&["root", "import", &city, &w.path("taken")]).refused(2, "starts with 'sampan-root:'");
    assert!(!std::path::Path::new(&key).exists());
    relay(&["root", "import", &city, &stick]).ok();
    assert_eq!(std::fs::read(&key).unwrap(), before);
    relay(&["root", "import", &city, &stick]).refused(2, "never overwritten");
}

#[test]
fn the_succession_key_is_shown_once_and_names_one_new_root_key() {
    let dir = tempfile::tempdir().unwrap();
    let w = World { dir, city_daemon: None, district_daemon: None };
    let city = w.path("city");
    let made = relay(&["init", &city, "--org", "Thành phố", "--listen", "127.0.0.1:0"]).ok();
    let line = secret_line(&made.stderr);
    assert!(!made.stdout.contains("sampan-succession"), "{made:?}");
    let digits: String = line.split_once(':').unwrap().1.replace('-', "");
    for file in files(std::path::Path::new(&city)) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).replace('-', "");
        assert!(!text.contains(&digits), "the succession key is in {}", file.display());
    }
    let json = relay(&["init", &w.path("j"), "--org", "J", "--listen", "127.0.0.1:0", "--json"]).ok();
    assert!(json.json()["succession_key"].as_str().unwrap().starts_with("sampan-succession:"));
    let foreign = w.path("foreign");
    std::fs::write(&foreign, json.json()["succession_key"].as_str().unwrap()).unwrap();

    let before = relay(&["root", "show", &city, "--json"]).ok().json();
    // The stolen root key, taken along before.
    relay(&["root", "export", &city, &w.path("stolen")]).ok();
    let paper = w.path("paper");
    std::fs::write(&paper, line[..line.len() - 2].to_uppercase()).unwrap();
    relay(&["root", "succeed", &city, "--succession-key", &paper]).refused(2, "wrong or missing");
    relay(&["root", "succeed", &city, "--succession-key", &foreign]).refused(2, "not the key");
    relay(&["root", "succeed", &city, "--succession-key", &w.path("stolen")]).refused(2, "sampan-succession:");
    assert_eq!(relay(&["root", "show", &city, "--json"]).ok().json()["root_key"], before["root_key"]);
    assert!(!std::path::Path::new(&w.path("city/keys/root.key")).exists());

    // As a person types it.
    std::fs::write(&paper, format!("{}\r\n", line.to_uppercase())).unwrap();
    let named = relay(&["root", "succeed", &city, "--succession-key", &paper]).ok();
    assert!(!named.stdout.contains("sampan-succession"), "{named:?}");
    let next = secret_line(&named.stderr);
    let after = relay(&["root", "show", &city, "--json"]).ok().json();
    assert_ne!(after["root_key"], before["root_key"]);
    assert_eq!((&after["here"], &after["named"][0]["stands"]), (&serde_json::json!(true), &serde_json::json!(true)));
    relay(&["root", "succeed", &city, "--succession-key", &paper]).refused(3, "used already");
    // The new one rules, the old one does not even come back in.
    relay(&["root", "appoint", &city, "--holder", "Chánh văn phòng"]).ok();
    let held = relay(&["devices", &city, "--json"]).ok().lines();
    assert!(held.iter().any(|d| d["holder"] == "Chánh văn phòng" && d["role"] == "admin"), "{held:?}");
    std::fs::remove_file(w.path("city/keys/root.key")).unwrap();
    relay(&["root", "import", &city, &w.path("stolen")]).refused(2, "not the key");
    // The next paper names the next one, once; the first is worth nothing any more.
    let second = w.path("second");
    std::fs::write(&second, &next).unwrap();
    let third = relay(&["root", "succeed", &city, "--succession-key", &second, "--json"]).ok();
    let last = relay(&["root", "show", &city, "--json"]).ok().json();
    assert_eq!((&last["root_key"], &last["here"]), (&third.json()["root_key"], &serde_json::json!(true)));
    assert_eq!(last["named"].as_array().unwrap().iter().filter(|n| n["stands"] == true).count(), 2, "{last}");
    assert_ne!(last["root_key"], after["root_key"]);
    for spent in [&paper, &second] {
        relay(&["root", "succeed", &city, "--succession-key", spent]).refused(3, "used already");
    }
    let more = w.path("more");
    std::fs::write(&more, third.json()["succession_key"].as_str().unwrap()).unwrap();
    relay(&["root", "appoint", &city, "--holder", "Người thứ hai"]).ok();
    relay(&["root", "succeed", &city, "--succession-key", &more]).ok();
    // What stood, stands.
    relay(&["unit", "add", &city, "--name", "Quận", "--code", "2", "--kind", "district"]).ok();
}

/// Two tickets without a link; one of them was used by somebody else meanwhile.
#[test]
fn a_spent_ticket_beside_a_good_one_is_told_once_and_shuts_nobody_out() {
    let mut w = World::three_levels();
    let (city, district) = (w.path("city"), w.path("district"));
    let invite =
        |unit: &str| relay(&["invite", &district, "--unit", unit, "--role", "editor", "--holder", "Y"]).ok().first();
    let (first, second, late) = (invite("001.1"), invite("001.2"), invite("001.2"));
    let (both, other) = (w.path("both"), w.path("other"));
    (w.city_daemon, w.district_daemon) = (None, None);
    for ticket in [&first, &second] {
        sampan(&["join", &both, ticket, "--timeout", "1"]).ok();
    }
    w.city_daemon = Some(crate::world::Daemon::start("sampan-relay", &["run", &city]));
    w.district_daemon = Some(crate::world::Daemon::start("sampan-relay", &["run", &district]));
    sampan(&["join", &other, &second]).ok();
    let said = sampan(&["sync", &both, "--json"]);
    assert_eq!((said.code, said.json()["verified"].clone()), (3, true.into()), "{said:?}");
    assert!(said.stderr.contains("ticket_used"), "{said:?}");
    w.sync("both");
    w.add("both", "members", &["full_name=An"]);
    // On a folder that has other rights a used ticket is refused as on a new one, and changes nothing.
    let before = sampan(&["status", &both, "--json"]).ok().json()["units"].clone();
    sampan(&["join", &both, &second]).refused(3, "used already");
    assert_eq!(sampan(&["status", &both, "--json"]).ok().json()["units"], before);
    sampan(&["join", &both, &late]).ok();
    w.sync("both");
    assert_eq!(sampan(&["status", &both, "--json"]).ok().json()["units"].as_array().unwrap().len(), 2);
}

#[test]
fn a_post_is_handed_over_without_a_link_and_the_old_device_still_hands_in() {
    let w = World::three_levels();
    let (old, district) = (w.path("branch"), w.path("district"));
    let of = |dir: &str, role: &str| {
        let rows = relay(&["devices", dir, "--json"]).ok().lines();
        rows.into_iter().find(|d| d["holder"] == role).unwrap_or_else(|| panic!("no {role}"))
    };
    let old_id = of(&district, "branch")["device"].as_str().unwrap().to_owned();
    let unsent = w.add("branch", "members", &["full_name=An"]);
    let invite = ["invite", &district, "--unit", "001.1", "--role", "editor", "--holder", "Thư ký mới"];
    relay(&[&invite[..], &["--replaces", "abcd12"]].concat()).refused(2, "no device");
    let file = w.path("new.ticket");
    relay(&[&invite[..], &["--replaces", &old_id[..12], "--ticket-file", &file]].concat()).ok();
    let row = of(&district, "branch");
    assert_eq!((&row["to_retire"], &row["replaced_by"]), (&serde_json::json!(true), &serde_json::Value::Null));

    sampan(&["join", &w.path("new"), &format!("@{file}"), "--timeout", "0"]).ok();
    let own = w.add("new", "members", &["full_name=Bình"]);
    w.sync("new");
    let row = of(&district, "branch");
    assert_eq!(row["replaced_by"], of(&district, "Thư ký mới")["device"], "{row}");
    assert_eq!(of(&district, "Thư ký mới")["to_retire"], false);
    // The old one comes back after all.
    w.sync("branch");
    w.sync("new");
    for id in [&unsent, &own] {
        assert_ne!(w.field("sampan", "new", id, "full_name"), serde_json::Value::Null);
    }
    relay(&["revoke", &district, &old_id[..12], "--reason", "handed over"]).ok();
    assert_eq!(of(&district, "branch")["to_retire"], false, "done");
    sampan(&["sync", &old, "--timeout", "20"]).refused(3, "handed over");
}

#[test]
fn a_district_admin_is_refused_outside_its_district_and_nothing_changes() {
    let w = World::three_levels();
    let (city, district) = (w.path("city"), w.path("district"));
    relay(&["unit", "add", &city, "--name", "Quận Hoàn Kiếm", "--code", "002", "--kind", "district"]).ok();
    w.sync_relay("district");
    let before = std::fs::read_dir(w.dir.path()).unwrap().count();
    for unit in ["002", "Quận Hoàn Kiếm"] {
        for role in ["admin", "relay", "editor", "reader", "inspector"] {
            let file = w.path("ticket");
            let args = ["invite", &district, "--unit", unit, "--role", role, "--holder", "X", "--ticket-file", &file];
            relay(&args).refused(3, "no right");
        }
    }
    relay(&["unit", "add", &district, "--parent", "002", "--name", "X"]).refused(3, "no right");
    assert_eq!(std::fs::read_dir(w.dir.path()).unwrap().count(), before);
    assert_eq!(w.sync_relay("district")["changes_sent"], 0);
    // A grant may not end after its author's own, and only an editor is narrowed to collections.
    let invite = ["invite", &district, "--unit", "001.1", "--holder", "X", "--role"];
    relay(&[&invite[..], &["admin", "--collections", "members"]].concat()).refused(2, "--collections");
    relay(&[&invite[..], &["editor", "--collections", "membrs"]].concat()).refused(2, "membrs");
}
