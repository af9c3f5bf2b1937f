//! Three levels of real processes: first load, edits both ways, conflicts, receipts, ticks.

use crate::world::{Daemon, World, command, finish, relay, sampan};
use serde_json::json;

#[test]
fn records_go_up_directives_come_down_and_ticks_appear() {
    let w = World::three_levels();
    let an = w.add("branch", "members", &["full_name=Nguyễn Văn An", "status=official"]);
    let status = sampan(&["status", &w.path("branch"), "--json"]).ok().json();
    assert_eq!(status["unsent_changes"], 1, "{status}");
    let report = w.sync("branch");
    assert_eq!(report["changes_sent"], 1, "{report}");
    w.sync_relay("district");
    assert_eq!(w.field("sampan-relay", "city", &an, "full_name"), json!("Nguyễn Văn An"));
    let order =
        finish(command("sampan-relay", &["add", &w.path("city"), "directives", "title=Chỉ thị 05"])).ok().first();
    w.sync_relay("district");
    w.sync("branch");
    assert_eq!(w.field("sampan", "branch", &order, "title"), json!("Chỉ thị 05"));
    let status = sampan(&["status", &w.path("branch"), "--json"]).ok().json();
    assert_eq!(status["unsent_changes"], 0, "{status}");
    let delivered = status["delivered"].as_array().unwrap();
    assert_eq!(delivered.len(), 2, "{status}");
    assert!(delivered.iter().all(|d| d["complete"] == true), "{status}");
    // Nothing new: one round trip.
    let report = w.sync("branch");
    assert_eq!((&report["changes_sent"], &report["changes_received"]), (&json!(0), &json!(0)), "{report}");
}

#[test]
fn a_conflict_is_seen_on_both_sides_and_resolved_once() {
    let w = World::three_levels();
    w.join_branch("deputy", "001.1");
    let an = w.add("branch", "members", &["full_name=An", "phone=1"]);
    w.sync("branch");
    w.sync("deputy");
    sampan(&["set", &w.path("branch"), &an, "phone=2"]).ok();
    sampan(&["set", &w.path("deputy"), &an, "phone=3", "address=Hà Nội"]).ok();
    for name in ["branch", "deputy", "branch"] {
        w.sync(name);
    }
    for name in ["branch", "deputy"] {
        let conflicts = sampan(&["conflicts", &w.path(name), "--json"]).ok().lines();
        assert_eq!(conflicts.len(), 1, "{conflicts:?}");
        assert_eq!(conflicts[0]["field"], "phone");
        assert_eq!(conflicts[0]["values"].as_array().unwrap().len(), 2);
        assert_eq!(w.field("sampan", name, &an, "address"), json!("Hà Nội"));
    }
    sampan(&["resolve", &w.path("deputy"), &an, "phone=3"]).ok();
    w.sync("deputy");
    w.sync("branch");
    assert!(sampan(&["conflicts", &w.path("branch"), "--json"]).ok().stdout.is_empty());
    assert_eq!(w.field("sampan", "branch", &an, "phone"), json!("3"));
    let history = sampan(&["show", &w.path("branch"), &an, "--history", "--json"]).ok();
    assert!(history.stdout.contains("first_seen_at"), "{history:?}");
}

#[test]
fn texts_counters_and_identities_made_on_two_sides_at_once_keep_both() {
    let w = World::three_levels();
    w.join_branch("deputy", "001.1");
    let order =
        finish(command("sampan-relay", &["add", &w.path("city"), "directives", "title=Chỉ thị 05"])).ok().first();
    let an = w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    w.sync_relay("district");
    w.sync("branch");
    w.sync("deputy");
    let directive = format!("directive={order}");
    let mine = w.add("branch", "receipts", &[&directive]);
    let theirs = w.add("deputy", "receipts", &[&directive]);
    assert_eq!(mine, theirs, "one receipt, whoever writes it first");
    sampan(&["set", &w.path("branch"), &mine, "contacts+=2"]).ok();
    sampan(&["set", &w.path("deputy"), &mine, "contacts+=3"]).ok();
    sampan(&["set", &w.path("branch"), &an, "notes=trái "]).ok();
    sampan(&["set", &w.path("deputy"), &an, "notes=phải "]).ok();
    for name in ["branch", "deputy", "branch"] {
        w.sync(name);
    }
    w.sync_relay("district");
    for (bin, name) in [("sampan", "branch"), ("sampan", "deputy"), ("sampan-relay", "city")] {
        assert_eq!(w.field(bin, name, &mine, "contacts"), json!(5), "at {name}");
        let notes = w.field(bin, name, &an, "notes");
        let notes = notes.as_str().unwrap_or_default();
        assert!(notes.contains("trái") && notes.contains("phải"), "at {name}: {notes}");
    }
}

#[test]
fn two_equal_rows_of_one_import_are_two_records() {
    let w = World::three_levels();
    let csv = w.dir.path().join("rows.csv");
    std::fs::write(&csv, "full_name\nTrần Bình\nTrần Bình\n").unwrap();
    let ids = sampan(&["add", &w.path("branch"), "members", "--from", &csv.display().to_string()]).ok();
    let ids: Vec<&str> = ids.stdout.lines().collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_daemon_pushes_what_the_command_line_writes() {
    let w = World::three_levels();
    let daemon = Daemon::start("sampan", &["run", &w.path("branch")]);
    let an = w.add("branch", "members", &["full_name=An"]);
    // The daemon keeps the link; asked, it verifies, and counts what it sends itself.
    let report = w.sync("branch");
    assert_eq!(report["verified"], true);
    w.sync_relay("district");
    assert_eq!(w.field("sampan-relay", "city", &an, "full_name"), json!("An"));
    daemon.stop();
    w.sync("branch");
}

#[test]
fn one_device_works_for_two_units() {
    let w = World::three_levels();
    let ticket =
        relay(&["invite", &w.path("district"), "--unit", "001.2", "--role", "editor", "--holder", "hai"]).ok().first();
    sampan(&["join", &w.path("branch"), &ticket]).ok();
    w.sync("branch");
    sampan(&["add", &w.path("branch"), "members", "full_name=X"]).refused(2, "unit");
    let a = sampan(&["add", &w.path("branch"), "--unit", "001.1", "members", "full_name=A"]).ok().first();
    let b = sampan(&["add", &w.path("branch"), "--unit", "001.2", "members", "full_name=B"]).ok().first();
    w.sync("branch");
    let listed = w.list("sampan-relay", "district", "members");
    let unit = |id: &str| listed.iter().find(|r| r["_id"] == id).map(|r| r["_unit"].clone());
    assert!(unit(&a).is_some() && unit(&b).is_some() && unit(&a) != unit(&b), "{listed:?}");
}

#[test]
fn clocks_wrong_by_decades_hurt_nothing() {
    let w = World::three_levels();
    let an = w.add("branch", "members", &["full_name=An"]);
    for (offset, phone) in [("-1795000000", "1970"), ("2300000000", "2099")] {
        let mut c = command("sampan", &["set", &w.path("branch"), &an, &format!("phone={phone}")]);
        c.env("SAMPAN_CLOCK_OFFSET_S", offset);
        finish(c).ok();
        let mut c = command("sampan", &["sync", &w.path("branch"), "--json"]);
        c.env("SAMPAN_CLOCK_OFFSET_S", offset);
        assert_eq!(finish(c).ok().json()["verified"], true);
        assert_eq!(w.field("sampan-relay", "district", &an, "phone"), json!(phone));
    }
}

#[test]
fn the_status_page_and_metrics_are_served() {
    let w = World::three_levels();
    let mut w = w;
    w.district_daemon.take().unwrap().stop();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let web = format!("127.0.0.1:{port}");
    w.district_daemon = Some(Daemon::start("sampan-relay", &["run", &w.path("district"), "--web", &web]));
    w.sync("branch");
    let get = |path: &str| {
        use std::io::{Read as _, Write as _};
        let mut s = std::net::TcpStream::connect(&web).unwrap();
        write!(s, "GET {path} HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n").unwrap();
        let mut out = String::new();
        s.read_to_string(&mut out).unwrap();
        out
    };
    assert!(get("/healthz").contains("ok"));
    assert!(get("/metrics").contains("sampan_records"));
    let status = get("/status.json");
    assert!(status.contains("\"children\""), "{status}");
    assert!(get("/").contains("<!doctype html>"));
    assert!(get("/nudge").contains("404"), "nothing that changes is served there");
}
