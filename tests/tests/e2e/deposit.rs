//! A stolen PC: cut off, its post handed over without a link; it comes back and hands in what it had not sent.
//!
//! It does not: try what a deposit takes and what not (`stories::deposits`).

use crate::world::{Daemon, World, command, finish, relay, sampan};
use serde_json::Value as Json;

fn device(w: &World, name: &str) -> String {
    sampan(&["status", &w.path(name), "--json"]).ok().json()["device"].as_str().unwrap().to_owned()
}

fn laid(w: &World) -> Vec<Json> {
    laid_at(w, "district")
}

fn laid_at(w: &World, at: &str) -> Vec<Json> {
    relay(&["quarantine", &w.path(at), "list", "--json"]).ok().lines()
}

fn names(w: &World, bin: &str, at: &str) -> Vec<String> {
    w.list(bin, at, "members").iter().map(|m| m["full_name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_stolen_pc_comes_back_deposits_and_what_was_right_reaches_the_new_pc() {
    let w = World::three_levels();
    let district = w.path("district");
    let before = w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    // Unsent, on the PC and on a stick, when the PC is stolen.
    w.add("branch", "members", &["full_name=Bình"]);
    let stick = w.path("stick");
    sampan(&["bundle", "create", &w.path("branch"), &stick]).ok();
    let old = device(&w, "branch");
    // The new secretary has a ticket on a file, and no link.
    let file = w.path("new.ticket");
    let invite = ["invite", &district, "--unit", "001.1", "--role", "editor", "--holder", "Thư ký mới"];
    relay(&[&invite[..], &["--replaces", &old[..12], "--ticket-file", &file]].concat()).ok();
    sampan(&["join", &w.path("new"), &format!("@{file}"), "--timeout", "0"]).ok();
    w.add("new", "members", &["full_name=Cúc"]);
    relay(&["revoke", &district, &old[..12], "--lost", "--reason", "mất cắp"]).ok();
    w.sync("new");
    assert_eq!(names(&w, "sampan", "new"), ["An", "Cúc"]);

    // The thief writes on, and dials.
    sampan(&["set", &w.path("branch"), &before, "full_name=Kẻ gian"]).ok();
    w.add("branch", "members", &["full_name=Giả"]);
    let out = sampan(&["sync", &w.path("branch"), "--timeout", "60"]);
    assert_eq!(out.code, 3, "{out:?}");
    assert!(out.stderr.contains("rights of this device were ended: mất cắp"), "{out:?}");
    assert!(out.stderr.contains("2 commits that were unsent were handed in"), "{out:?}");
    let status = sampan(&["status", &w.path("branch"), "--json"]).ok().json();
    assert_eq!((&status["ended"]["handed_in"], &status["ended"]["left"]), (&2.into(), &0.into()), "{status}");
    sampan(&["add", &w.path("branch"), "members", "full_name=X"]).refused(3, "mất cắp");
    assert!(!names(&w, "sampan", "branch").contains(&"Cúc".to_owned()), "it receives nothing");
    // The stick says the same again, to the relay's own hands.
    let out = relay(&["bundle", "apply", &district, &stick, "--json"]).ok().json();
    assert!(out["deposit"].as_str().is_some_and(|why| why.contains("mất cắp")), "{out}");
    assert_eq!((&out["quarantined"], &out["receipt"]), (&1.into(), &Json::Null), "{out}");

    // The city hears that something waits, and not what.
    w.sync_relay("district");
    w.sync_relay("district");
    let below = relay(&["quarantine", &w.path("city"), "list", "--below", "--json"]).ok().lines();
    assert_eq!((below.len(), &below[0]["commits"]), (1, &2.into()), "{below:?}");
    assert!(laid_at(&w, "city").is_empty());
    let status = relay(&["status", &w.path("city"), "--json"]).ok().json();
    assert_eq!(status["quarantined_below"], 2, "{status}");

    let list = laid(&w);
    assert_eq!(list.len(), 2, "{list:?}");
    assert_eq!(list[0]["device"], old.as_str());
    let (first, second) = (list[0]["commit"].as_str().unwrap(), list[1]["commit"].as_str().unwrap());
    let shown = relay(&["quarantine", &district, "show", first, "--json"]).ok().json();
    assert_eq!(shown["changes"][0]["fields"]["full_name"], "Bình", "{shown}");
    relay(&["quarantine", &district, "release", first, "--reason", "chị ấy ghi trước khi mất máy"]).ok();
    relay(&["quarantine", &district, "reject", second, "--reason", "kẻ gian ghi"]).ok();
    assert!(laid(&w).is_empty());
    w.sync("new");
    w.sync_relay("district");
    for (bin, at) in [("sampan", "new"), ("sampan-relay", "district"), ("sampan-relay", "city")] {
        assert_eq!(names(&w, bin, at), ["An", "Bình", "Cúc"], "{at}");
    }
    finish(command("sampan", &["verify", &w.path("new")])).ok();
}

#[test]
fn a_running_pc_is_cut_off_at_once_and_its_next_link_is_a_deposit() {
    let w = World::three_levels();
    let old = device(&w, "branch");
    let running = Daemon::start("sampan", &["run", &w.path("branch")]);
    w.sync("branch");
    relay(&["revoke", &w.path("district"), &old[..12], "--reason", "mất cắp"]).ok();
    // The same process dials again, with the session that it resumes: each look waits for the daemon's word.
    let mut ended = Json::Null;
    for _ in 0..600 {
        ended = sampan(&["status", &w.path("branch"), "--json"]).ok().json()["ended"].clone();
        if !ended.is_null() {
            break;
        }
        sampan(&["sync", &w.path("branch"), "--timeout", "5"]);
    }
    assert_eq!((&ended["reason"], &ended["for_good"]), (&"mất cắp".into(), &true.into()), "{ended}");
    drop(running);
    assert!(laid(&w).is_empty());
}
