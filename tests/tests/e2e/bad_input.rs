//! Bad input: a clear sentence, the documented exit, and nothing changed.

use crate::world::{World, database, relay, sampan};

#[test]
fn tickets_that_are_cut_altered_used_or_of_another_organisation() {
    let w = World::three_levels();
    let ticket =
        relay(&["invite", &w.path("district"), "--unit", "001.2", "--role", "editor", "--holder", "x"]).ok().first();
    let new = w.path("new");
    sampan(&["join", &new, &ticket[..ticket.len() / 2]]).refused(2, "ticket");
    let mut altered = ticket.clone().into_bytes();
    altered[40] = if altered[40] == b'a' { b'b' } else { b'a' };
    sampan(&["join", &new, &String::from_utf8(altered).unwrap()]).refused(2, "ticket");
    sampan(&["join", &new, "hello"]).refused(2, "ticket");
    assert!(!std::path::Path::new(&new).exists(), "nothing was written");
    sampan(&["join", &w.path("first"), &ticket]).ok();
    w.sync("first");
    sampan(&["join", &new, &ticket]).refused(3, "used");
    assert!(!std::path::Path::new(&new).exists(), "nothing was written");
    let other = w.path("other");
    relay(&["init", &other, "--org", "Khác", "--listen", "127.0.0.1:0"]).ok();
    let foreign = relay(&["invite", &other, "--unit", "Khác", "--role", "editor", "--holder", "x"]).ok().first();
    sampan(&["join", &w.path("first"), &foreign]).refused(2, "organisation");
}

#[test]
fn folders_that_are_not_ours_are_left_alone() {
    let w = World::three_levels();
    let foreign = w.dir.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("a.txt"), "mine").unwrap();
    let path = foreign.display().to_string();
    relay(&["init", &path, "--org", "X"]).refused(2, "");
    sampan(&["list", &path, "members"]).refused(2, "");
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    let w = World::three_levels();
    let dir = w.path("branch");
    sampan(&["add", &dir, "member", "full_name=X"]).refused(2, "members");
    sampan(&["add", &dir, "members", "full_nam=X"]).refused(2, "full_name");
    sampan(&["add", &dir, "members", "full_name=X", "date_of_birth=31/02/2000"]).refused(2, "date_of_birth");
    sampan(&["show", &dir, "00000000000000000000000000000000"]).refused(2, "");
    sampan(&["list", &dir, "members", "--where", "full_nam = X"]).refused(2, "full_name");
    relay(&["invite", &w.path("district"), "--unit", "Chi bô 11", "--role", "editor", "--holder", "x"])
        .refused(2, "Chi bộ");
    assert!(w.list("sampan", "branch", "members").is_empty(), "nothing was written");
}

#[test]
fn a_csv_with_bad_rows_imports_nothing_unless_told_to_skip() {
    let w = World::three_levels();
    let file = w.dir.path().join("rows.csv");
    let path = file.display().to_string();
    let dir = w.path("branch");
    std::fs::write(
        &file,
        "full_name,date_of_birth,status\nAn,1990-01-01,official\nBình,1990-13-01,official\nChi,1990,nowhere\n",
    )
    .unwrap();
    let out = sampan(&["add", &dir, "members", "--from", &path]).refused(2, "date_of_birth");
    assert!(out.stderr.contains('3') && out.stderr.contains('4') && out.stderr.contains("status"), "{out:?}");
    assert!(w.list("sampan", "branch", "members").is_empty());
    let out = sampan(&["add", &dir, "members", "--from", &path, "--skip-bad"]).ok();
    assert_eq!(out.stdout.lines().count(), 1);
    std::fs::write(&file, "full_nam\nAn\n").unwrap();
    sampan(&["add", &dir, "members", "--from", &path]).refused(2, "full_name");
    std::fs::write(&file, b"full_name\nNguy\xe3n\n").unwrap();
    sampan(&["add", &dir, "members", "--from", &path]).refused(2, "UTF-8");
}

#[test]
fn an_unreachable_relay_is_exit_4_and_the_work_stays() {
    let mut w = World::three_levels();
    w.district_daemon.take().unwrap().kill();
    w.city_daemon.take().unwrap().kill();
    w.add("branch", "members", &["full_name=An"]);
    sampan(&["sync", &w.path("branch"), "--timeout", "3"]).refused(4, "Tried");
    // A name that nobody has, and a port that nobody listens on: each is named.
    let branch = w.path("branch");
    sampan(&["sync", &branch, "--timeout", "5", "--relay", "no-such-host.invalid:7447"])
        .refused(4, "no-such-host.invalid");
    sampan(&["sync", &branch, "--timeout", "2", "--relay", "127.0.0.1:9"]).refused(4, "127.0.0.1:9");
    let status = sampan(&["status", &w.path("branch"), "--json"]).ok().json();
    assert_eq!(status["unsent_changes"], 1);
    assert!(status["last_error"].as_str().is_some_and(|e| !e.is_empty()), "{status}");
}

#[test]
fn a_revoked_device_is_refused_at_the_door() {
    let w = World::three_levels();
    let status = sampan(&["status", &w.path("branch"), "--json"]).ok().json();
    let device = status["device"].as_str().unwrap().to_owned();
    relay(&["revoke", &w.path("district"), &device, "--reason", "mất máy"]).ok();
    sampan(&["sync", &w.path("branch")]).refused(3, "");
    let devices = relay(&["devices", &w.path("district"), "--json"]).ok().lines();
    assert!(devices.iter().any(|d| d["device"] == device.as_str() && !d["revoked_at"].is_null()), "{devices:?}");
}

#[test]
fn a_damaged_or_newer_database_is_exit_5_and_untouched() {
    let w = World::three_levels();
    let db = w.dir.path().join("branch/store.db");
    let good = std::fs::read(&db).unwrap();
    let _ = std::fs::remove_file(w.dir.path().join("branch/store.db-wal"));
    std::fs::write(&db, b"not a database at all, but long enough to look at").unwrap();
    sampan(&["list", &w.path("branch"), "members"]).refused(5, "");
    std::fs::write(&db, good).unwrap();
    let conn = database(&w.path("branch"));
    conn.pragma_update(None, "user_version", 9_999).unwrap();
    drop(conn);
    sampan(&["list", &w.path("branch"), "members"]).refused(5, "");
}

#[test]
fn a_lost_database_is_said_and_sync_brings_it_back() {
    let w = World::three_levels();
    let an = w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(w.dir.path().join("branch").join(file));
    }
    sampan(&["list", &w.path("branch"), "members"]).refused(5, "store.db");
    sampan(&["add", &w.path("branch"), "members", "full_name=X"]).refused(5, "store.db");
    w.sync("branch");
    assert_eq!(w.field("sampan", "branch", &an, "full_name"), "An");
}

#[test]
fn what_is_no_address_or_no_relay_is_refused_before_anything_is_tried() {
    let w = World::three_levels();
    for bad in ["nonsense", "127.0.0.1:0", ":7447", "host:99999"] {
        sampan(&["sync", &w.path("branch"), "--relay", bad]).refused(2, "host:port");
    }
    relay(&["run", &w.path("branch")]).refused(3, "relay");
    // At the root there is nothing above, also while its daemon runs.
    let root = relay(&["sync", &w.path("city"), "--json"]).ok().json();
    assert_eq!(root["verified"], true);
}

#[test]
fn a_relays_status_does_not_contradict_itself() {
    let w = World::three_levels();
    w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    w.sync_relay("district");
    let status = relay(&["status", &w.path("district"), "--json"]).ok().json();
    assert_eq!(status["unsent_changes"], 0, "{status}");
    assert!(status["delivered"].as_array().unwrap().iter().all(|d| d["complete"] == true), "{status}");
}
