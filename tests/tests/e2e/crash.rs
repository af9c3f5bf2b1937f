//! Processes killed without warning: nothing acknowledged is lost, nothing complete is sent again.

use crate::world::{Daemon, World, command, relay, sampan};
use sampan_tests::members::members_csv;
use std::process::Stdio;

/// Kills a `sync` after some of what it sends has arrived, then finishes it.
#[test]
fn a_branch_killed_in_the_middle_of_a_sync_goes_on_where_it_was() {
    let w = World::three_levels();
    let csv = w.dir.path().join("members.csv");
    std::fs::write(&csv, members_csv(7, 3_000)).unwrap();
    sampan(&["add", &w.path("branch"), "members", "--from", &csv.display().to_string()]).ok();
    let arrived = || w.list("sampan-relay", "district", "members").len();
    let mut child =
        command("sampan", &["sync", &w.path("branch")]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Wait for the thing: something has arrived, or it has ended.
    while arrived() == 0 && child.try_wait().unwrap().is_none() {}
    let _ = child.kill();
    child.wait().unwrap();
    let before = arrived();
    let report = w.sync("branch");
    let sent = report["changes_sent"].as_u64().unwrap();
    assert_eq!(arrived(), 3_000);
    // What had arrived is not sent again, but for what was on its way in the frame that was cut.
    assert!(sent <= 3_000 - before as u64 + 2_048, "{sent} sent again after {before} had arrived");
    sampan(&["verify", &w.path("branch")]).ok();
    relay(&["verify", &w.path("district")]).ok();
}

#[test]
fn a_relay_killed_in_the_middle_loses_nothing_it_acknowledged() {
    let mut w = World::three_levels();
    let csv = w.dir.path().join("members.csv");
    std::fs::write(&csv, members_csv(8, 3_000)).unwrap();
    sampan(&["add", &w.path("branch"), "members", "--from", &csv.display().to_string()]).ok();
    let mut child =
        command("sampan", &["sync", &w.path("branch")]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while w.list("sampan-relay", "district", "members").is_empty() && child.try_wait().unwrap().is_none() {}
    w.district_daemon.take().unwrap().kill();
    let code = child.wait().unwrap().code();
    let acknowledged =
        3_000 - sampan(&["status", &w.path("branch"), "--json"]).ok().json()["unsent_changes"].as_u64().unwrap();
    assert!(w.list("sampan-relay", "district", "members").len() as u64 >= acknowledged);
    if code != Some(0) {
        assert_eq!(code, Some(4), "cut off is 'not yet in sync', nothing else");
    }
    w.district_daemon = Some(Daemon::start("sampan-relay", &["run", &w.path("district")]));
    w.sync("branch");
    assert_eq!(w.list("sampan-relay", "district", "members").len(), 3_000);
    relay(&["verify", &w.path("district")]).ok();
}

#[test]
fn a_restarted_relay_serves_its_children_also_without_its_parent() {
    let mut w = World::three_levels();
    w.city_daemon.take().unwrap().kill();
    w.district_daemon.take().unwrap().kill();
    w.district_daemon = Some(Daemon::start("sampan-relay", &["run", &w.path("district")]));
    let an = w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    w.field("sampan-relay", "district", &an, "full_name");
    relay(&["sync", &w.path("district"), "--timeout", "2"]).refused(4, "Tried");
    let status = sampan(&["status", &w.path("branch"), "--json"]).ok().json();
    let delivered: Vec<bool> = status["delivered"].as_array().unwrap().iter().map(|d| d["complete"] == true).collect();
    assert_eq!(delivered, [true, false], "{status}");
    w.city_daemon = Some(Daemon::start("sampan-relay", &["run", &w.path("city")]));
    w.sync_relay("district");
    w.field("sampan-relay", "city", &an, "full_name");
}

#[test]
fn an_emptied_relay_takes_a_charter_and_is_refilled() {
    let mut w = World::three_levels();
    let an = w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    w.sync_relay("district");
    w.district_daemon.take().unwrap().kill();
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(w.dir.path().join("district").join(file));
    }
    w.district_daemon = Some(Daemon::start("sampan-relay", &["run", &w.path("district")]));
    w.sync("branch");
    w.sync_relay("district");
    w.field("sampan-relay", "district", &an, "full_name");
    // The ticks of the old store lapsed, and stand again for the new one.
    w.sync("branch");
    let status = sampan(&["status", &w.path("branch"), "--json"]).ok().json();
    assert!(status["delivered"].as_array().unwrap().iter().all(|d| d["complete"] == true), "{status}");
}
