//! Bundles that arrive before what they build on: they wait in the folder, and nobody has to think of them again.
//!
//! They do not: sleep to wait; the moment of a kill is a seeded delay, which is a fault and no wait.

use crate::bundles::Sticks;
use crate::world::{Daemon, Out, command, copy_folder, finish, relay, sampan};
use sampan_tests::proxy::fate::mix;
use serde_json::Value as Json;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const NAMES: [&str; 4] = ["An", "Bình", "Chi", "Dũng"];

/// A district whose disk died after it had acknowledged four bundles of a branch, each of which goes on from the
/// one before: `b0` to `b3`. `known`: what came back has heard of the branch's device.
fn four_after_a_lost_disk(known: bool) -> Sticks {
    let w = Sticks::new();
    w.branch("branch", "001.1");
    if known {
        w.create("sampan", "branch", None, "hello");
        w.answered("district", "hello", "hello-answer");
        w.apply("sampan", "branch", "hello-answer").ok();
    }
    copy_folder(&w.path("district"), &w.path("old"));
    for (i, name) in NAMES.iter().enumerate() {
        sampan(&["add", &w.path("branch"), "members", &format!("full_name={name}")]).ok();
        w.create("sampan", "branch", None, &format!("b{i}"));
        w.answered("district", &format!("b{i}"), &format!("a{i}"));
        w.apply("sampan", "branch", &format!("a{i}")).ok();
    }
    lose(&w);
    w
}

/// The district's disk dies; an old copy comes back.
fn lose(w: &Sticks) {
    std::fs::remove_dir_all(w.path("district")).unwrap();
    copy_folder(&w.path("old"), &w.path("district"));
}

fn district(w: &Sticks, file: &str) -> Out {
    w.apply("sampan-relay", "district", file)
}

fn waiting(w: &Sticks, at: &str) -> Vec<Json> {
    finish(command("sampan-relay", &["bundle", "waiting", &w.path(at), "--json"])).ok().lines()
}

fn folder(w: &Sticks, at: &str) -> PathBuf {
    PathBuf::from(w.path(at)).join("inbox/waiting")
}

fn files(w: &Sticks, at: &str) -> usize {
    std::fs::read_dir(folder(w, at)).map_or(0, Iterator::count)
}

fn names(w: &Sticks) -> Vec<String> {
    let mut out: Vec<String> = w
        .list("sampan-relay", "district", "members")
        .iter()
        .map(|m| m["full_name"].as_str().unwrap().to_owned())
        .collect();
    out.sort();
    out
}

/// Everything is at the district, once, and the branch hears of it.
fn all_is_there(w: &Sticks) {
    assert_eq!(names(w), NAMES);
    assert_eq!((waiting(w, "district").len(), files(w, "district")), (0, 0));
    relay(&["verify", &w.path("district")]).ok();
}

#[test]
fn in_any_order_they_wait_and_follow_by_themselves() {
    let w = four_after_a_lost_disk(true);
    for order in [[3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
        let mut came: Vec<usize> = Vec::new();
        for (at, i) in order.into_iter().enumerate() {
            let before = names(&w);
            let out = district(&w, &format!("b{i}"));
            came.push(i);
            // What is here now: all that hang together from the first on.
            let whole = (0..4).take_while(|i| came.contains(i)).count();
            if i < whole {
                let told = out.ok().json();
                let followed = told["had_waited"].as_array().unwrap().len();
                assert_eq!(names(&w).len(), before.len() + 1 + followed, "{order:?} at {at}: {told}");
            } else {
                out.refused(4, "Chi bộ 1").refused(4, "it waits in this folder");
                assert_eq!(names(&w), before, "nothing of it is applied");
                // Twice is once.
                district(&w, &format!("b{i}")).refused(4, "it waits in this folder");
            }
            assert_eq!(names(&w), NAMES[..whole], "{order:?} at {at}");
            assert_eq!(
                (waiting(&w, "district").len(), files(&w, "district")),
                (came.len() - whole, came.len() - whole)
            );
        }
        all_is_there(&w);
        assert_eq!(district(&w, "b2").ok().json()["commits_received"], 0);
        let receipt = district(&w, "b3").ok().json()["receipt"].as_str().unwrap().to_owned();
        sampan(&["bundle", "apply", &w.path("branch"), &receipt]).ok();
        assert_eq!(w.status("sampan", "branch")["delivered"][0]["complete"], true);
        lose(&w);
    }
}

#[test]
fn status_and_doctor_say_what_waits_and_for_whom() {
    let w = four_after_a_lost_disk(true);
    district(&w, "b2").refused(4, "it waits in this folder");
    assert_eq!(w.status("sampan-relay", "district")["bundles_waiting"], 1);
    let words = relay(&["status", &w.path("district")]).ok().stdout;
    assert!(words.contains("1 bundles wait for an earlier one of Chi bộ 1"), "{words}");
    let doctor = finish(command("sampan-relay", &["doctor", &w.path("district"), "--json"])).json();
    let found = doctor["findings"].as_array().unwrap().iter().find(|f| f["check"] == "bundles").unwrap().clone();
    assert!(found["state"] == "note" && found["message"].as_str().unwrap().contains("Chi bộ 1"), "{found}");
    let row = waiting(&w, "district").remove(0);
    assert_eq!(row["direction"], "up");
    // What waits can be given up; the file is on the stick still.
    let id = row["id"].as_str().unwrap();
    relay(&["bundle", "waiting", &w.path("district"), "--drop", "abcdef"]).refused(2, "abcdef");
    relay(&["bundle", "waiting", &w.path("district"), "--drop", &id[..12]]).ok();
    assert_eq!((waiting(&w, "district").len(), files(&w, "district")), (0, 0));
    assert!(relay(&["bundle", "waiting", &w.path("district")]).ok().stdout.contains("No bundle waits"));
}

#[test]
fn a_folder_with_no_room_says_so_and_changes_nothing() {
    let w = four_after_a_lost_disk(true);
    sampan(&["add", &w.path("branch"), "members", "full_name=Giang"]).ok();
    let most = sampan_core::limits::BUNDLES_WAITING_PER_SENDER_MAX;
    for i in 0..=most {
        w.create("sampan", "branch", None, &format!("e{i}"));
    }
    for i in 0..most {
        district(&w, &format!("e{i}")).refused(4, "it waits in this folder");
    }
    let before = waiting(&w, "district");
    let last = format!("e{most}");
    district(&w, &last).refused(1, "BUNDLES_WAITING_PER_SENDER_MAX");
    assert_eq!((waiting(&w, "district"), files(&w, "district")), (before.clone(), most));
    // One that waits already needs no room.
    district(&w, "e0").refused(4, "it waits in this folder");
    relay(&["bundle", "waiting", &w.path("district"), "--drop", before[0]["id"].as_str().unwrap()]).ok();
    district(&w, &last).refused(4, "it waits in this folder");
    district(&w, "b2").refused(1, "BUNDLES_WAITING_PER_SENDER_MAX");
    for i in 0..4 {
        district(&w, &format!("b{i}")).ok();
    }
    assert_eq!(names(&w).len(), 5, "with the last parent all that waited has come");
    assert_eq!(files(&w, "district"), 0);
}

#[test]
fn a_sync_brings_the_parents_and_the_rest_follows() {
    // Up: the branch's own disk is older than its last bundle, so the link brings the parent alone.
    let w = Sticks::new();
    // Once, so that its address is in the charter.
    Daemon::start("sampan-relay", &["run", &w.path("district")]).stop();
    w.branch("branch", "001.1");
    copy_folder(&w.path("district"), &w.path("old"));
    sampan(&["add", &w.path("branch"), "members", "full_name=An"]).ok();
    w.create("sampan", "branch", None, "one");
    w.answered("district", "one", "answer");
    w.apply("sampan", "branch", "answer").ok();
    copy_folder(&w.path("branch"), &w.path("branch-then"));
    sampan(&["add", &w.path("branch"), "members", "full_name=Bình"]).ok();
    w.create("sampan", "branch", None, "two");
    lose(&w);
    district(&w, "two").refused(4, "it waits in this folder");
    std::fs::remove_dir_all(w.path("branch")).unwrap();
    std::fs::rename(w.path("branch-then"), w.path("branch")).unwrap();
    let daemon = Daemon::start("sampan-relay", &["run", &w.path("district")]);
    sampan(&["sync", &w.path("branch"), "--timeout", "60"]).ok();
    until(|| waiting(&w, "district").is_empty());
    assert_eq!((names(&w), files(&w, "district")), (vec!["An".to_owned(), "Bình".to_owned()], 0));
    // And the branch gets back what it had lost.
    until(|| {
        sampan(&["sync", &w.path("branch"), "--timeout", "60"]).ok();
        w.list("sampan", "branch", "members").len() == 2
    });
    // Down: a directive that goes on from one that the branch, restored, has not.
    copy_folder(&w.path("branch"), &w.path("branch-then"));
    daemon.stop();
    relay(&["add", &w.path("district"), "directives", "title=Một"]).ok();
    let send = |name: &str| w.create("sampan-relay", "district", Some("001.1"), name);
    send("down-1");
    w.apply("sampan", "branch", "down-1").ok();
    w.create("sampan", "branch", None, "said");
    w.answered("district", "said", "said-answer");
    relay(&["add", &w.path("district"), "directives", "title=Hai"]).ok();
    send("down-2");
    std::fs::remove_dir_all(w.path("branch")).unwrap();
    std::fs::rename(w.path("branch-then"), w.path("branch")).unwrap();
    let before = w.list("sampan", "branch", "directives");
    w.apply("sampan", "branch", "down-2").refused(4, "it waits in this folder");
    assert_eq!(w.list("sampan", "branch", "directives"), before);
    let daemon = Daemon::start("sampan-relay", &["run", &w.path("district")]);
    sampan(&["sync", &w.path("branch"), "--timeout", "60"]).ok();
    assert_eq!(w.list("sampan", "branch", "directives").len(), before.len() + 2);
    assert_eq!((w.status("sampan", "branch")["bundles_waiting"].clone(), files(&w, "branch")), (0.into(), 0));
    daemon.stop();
}

#[test]
fn one_whose_sender_is_revoked_meanwhile_is_judged_anew() {
    let w = four_after_a_lost_disk(true);
    district(&w, "b1").refused(4, "it waits in this folder");
    let device = w.status("sampan", "branch")["device"].as_str().unwrap().to_owned();
    relay(&["revoke", &w.path("district"), &device, "--reason", "stolen"]).ok();
    let out = district(&w, "b0").ok().json();
    assert_eq!((&out["quarantined"], &out["receipt"]), (&1.into(), &Json::Null), "{out}");
    assert_eq!(out["had_waited"][0]["quarantined"], 1, "{out}");
    assert!(names(&w).is_empty());
    assert_eq!((waiting(&w, "district").len(), files(&w, "district")), (0, 0));
    // One that comes now and lacks something is kept as a deposit, or not at all: it never waits.
    let _ = district(&w, "b3");
    assert_eq!((names(&w).len(), waiting(&w, "district").len(), files(&w, "district")), (0, 0, 0));
}

#[test]
fn a_power_cut_anywhere_loses_and_doubles_nothing() {
    let w = four_after_a_lost_disk(false);
    // Each moment that a cut can fall into, as the disk then is. The file has come, its row has not.
    district(&w, "b2").refused(4, "it waits in this folder");
    let row = waiting(&w, "district").remove(0);
    let id = row["id"].as_str().unwrap();
    let kept = folder(&w, "district").join(format!("{id}.bundle"));
    let bytes = std::fs::read(&kept).unwrap();
    relay(&["bundle", "waiting", &w.path("district"), "--drop", id]).ok();
    std::fs::write(&kept, &bytes).unwrap();
    assert!(waiting(&w, "district").is_empty());
    // Half a file.
    std::fs::write(folder(&w, "district").join("half.bundle.part"), b"sampan-bundle").unwrap();
    // A file that rotted: it is of no use.
    std::fs::write(folder(&w, "district").join("rotten.bundle"), b"sampan-bundle").unwrap();
    district(&w, "b0").ok();
    assert_eq!((waiting(&w, "district").len(), files(&w, "district")), (1, 1), "it has its row again");
    district(&w, "b1").ok();
    assert_eq!(names(&w), NAMES[..3]);
    // It was taken in, and its file has not gone.
    std::fs::write(&kept, &bytes).unwrap();
    district(&w, "b3").ok();
    all_is_there(&w);
    lose(&w);
    // And real ones: every order of work is cut at a moment drawn, then done once more to its end.
    let began = Instant::now();
    let _ = district(&w, "b3");
    let span = began.elapsed();
    for n in 0..16 {
        let file = w.path(&format!("b{}", 3 - n % 4));
        let mut child = command("sampan-relay", &["bundle", "apply", &w.path("district"), &file])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(span.mul_f64(mix(77 + n) as f64 / u64::MAX as f64));
        let _ = child.kill();
        child.wait().unwrap();
    }
    for i in [3, 2, 1, 0] {
        let _ = district(&w, &format!("b{i}"));
    }
    all_is_there(&w);
}

fn until(mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(120), "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_erasure_takes_along_the_bundles_that_may_hold_it() {
    let w = Sticks::new();
    w.branch("branch", "001.1");
    w.branch("other", "001.2");
    let ids: Vec<String> = NAMES[..2]
        .iter()
        .map(|name| sampan(&["add", &w.path("branch"), "members", &format!("full_name={name}")]).ok().first())
        .collect();
    w.create("sampan", "branch", None, "b0");
    w.answered("district", "b0", "a0");
    w.apply("sampan", "branch", "a0").ok();
    copy_folder(&w.path("district"), &w.path("old"));
    for (i, name) in NAMES[2..].iter().enumerate() {
        sampan(&["add", &w.path("branch"), "members", &format!("full_name={name}")]).ok();
        w.create("sampan", "branch", None, &format!("b{}", i + 1));
        w.answered("district", &format!("b{}", i + 1), &format!("a{}", i + 1));
        w.apply("sampan", "branch", &format!("a{}", i + 1)).ok();
    }
    lose(&w);
    // In the district's outbox: answers for both branches, and one that a person put there; a stranger's file.
    w.create("sampan", "other", None, "other-up");
    let for_other = district(&w, "other-up").ok().json()["receipt"].as_str().unwrap().to_owned();
    let for_branch = district(&w, "b0").ok().json()["receipt"].as_str().unwrap().to_owned();
    let outbox = PathBuf::from(w.path("district")).join("outbox");
    let by_hand = outbox.join("tay.bundle").display().to_string();
    relay(&["bundle", "create", &w.path("district"), &by_hand, "--for", "001.1", "--whole"]).ok();
    let strange = outbox.join("ghi-chu.txt").display().to_string();
    std::fs::write(&strange, "x").unwrap();
    district(&w, "b2").refused(4, "it waits in this folder");
    let there = |path: &str| std::path::Path::new(path).exists();

    let out = relay(&["erase", &w.path("district"), &ids[0], "--reason", "theo yêu cầu"]).ok();
    for words in ["2 bundles in outbox/", "tay.bundle", "1 waiting bundles", "Chi bộ 1"] {
        assert!(out.stderr.contains(words), "'{words}' is not in {}", out.stderr);
    }
    assert!(!there(&for_branch) && !there(&by_hand), "they may hold the record");
    assert!(there(&for_other) && there(&strange), "what holds nothing of that unit stays");
    assert_eq!((waiting(&w, "district").len(), files(&w, "district")), (0, 0));
    let doctor = || finish(command("sampan-relay", &["doctor", &w.path("district")])).stdout;
    assert!(doctor().contains("tay.bundle") && doctor().contains("ask for new ones"), "{}", doctor());
    let confirmed = relay(&["--json", "erase", &w.path("district"), "--list"]).ok().lines();
    assert_eq!(confirmed[0]["confirmed"].as_array().map(Vec::len), Some(1), "{confirmed:?}");

    // What builds on something absent in that space does not wait here any more: its bytes may hold the record.
    district(&w, "b2").refused(4, "Apply the earlier one first");
    assert_eq!(files(&w, "district"), 0);
    // The parents, and it is taken in; the record stays away, and the words go with the new bundles.
    district(&w, "b1").ok();
    district(&w, "b2").ok();
    let names: Vec<_> = w.list("sampan-relay", "district", "members").iter().map(|m| m["full_name"].clone()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    relay(&["show", &w.path("district"), &ids[0]]).refused(3, "erased");
    assert!(there(&for_branch), "the answer was made anew");
    assert!(!doctor().contains("tay.bundle") && !doctor().contains("ask for new ones"), "{}", doctor());
    // The branch hears of it by that answer; what lay in its own outbox goes as well.
    let own = PathBuf::from(w.path("branch")).join("outbox/len.bundle").display().to_string();
    sampan(&["bundle", "create", &w.path("branch"), &own, "--whole"]).ok();
    sampan(&["bundle", "apply", &w.path("branch"), &for_branch]).ok();
    sampan(&["erase", &w.path("branch"), "--list"]).ok();
    assert!(!there(&own));
    assert_eq!(w.list("sampan", "branch", "members").len(), 3);
}
