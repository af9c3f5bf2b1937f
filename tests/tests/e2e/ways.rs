//! A device with units below two districts: one way up to each relay, by hand and by daemon; and a deputy at the
//! city, who syncs with the city's relay. Real processes.

use crate::world::{Daemon, World, command, finish, relay, sampan};
use serde_json::{Value as Json, json};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

/// What is given up on, not what is expected.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for a thing to be so.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Three levels, a second district with a branch, and a folder with a unit below each.
struct Two {
    w: World,
    second: Option<Daemon>,
}

impl Two {
    fn new() -> Self {
        let w = World::three_levels();
        let (city, second) = (w.path("city"), w.path("second"));
        relay(&["unit", "add", &city, "--name", "Quận Đống Đa", "--code", "002", "--kind", "district"]).ok();
        let branch = ["--parent", "002", "--name", "Chi bộ 9", "--code", "002.1", "--kind", "branch"];
        relay(&[["unit", "add", &city].as_slice(), branch.as_slice()].concat()).ok();
        let ticket = relay(&["invite", &city, "--unit", "002", "--role", "admin", "--holder", "Quận"]).ok().first();
        relay(&["join", &second, &ticket, "--listen", "127.0.0.1:0"]).ok();
        let daemon = Daemon::start("sampan-relay", &["run", &second]);
        w.sync_relay("second");
        let ticket = relay(&["invite", &second, "--unit", "002.1", "--role", "editor", "--holder", "hai"]).ok().first();
        sampan(&["join", &w.path("branch"), &ticket]).ok();
        Self { w, second: Some(daemon) }
    }

    fn add(&self, unit: &str, name: &str) -> String {
        let field = format!("full_name={name}");
        sampan(&["add", &self.w.path("branch"), "--unit", unit, "members", &field]).ok().first()
    }

    fn has(&self, at: &str, id: &str) -> bool {
        self.w.list("sampan-relay", at, "members").iter().any(|r| r["_id"] == id)
    }

    fn status(&self) -> Json {
        sampan(&["status", &self.w.path("branch"), "--json"]).ok().json()
    }
}

fn get(address: &str, path: &str) -> String {
    let mut s = std::net::TcpStream::connect(address).unwrap();
    write!(s, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut out = String::new();
    s.read_to_string(&mut out).unwrap();
    out
}

/// One number of the metrics.
fn gauge(address: &str, name: &str) -> f64 {
    let all = get(address, "/metrics");
    let line = all.lines().find_map(|l| l.strip_prefix(&format!("{name} "))).unwrap_or_else(|| panic!("{all}"));
    line.trim().parse().unwrap()
}

#[test]
fn one_folder_below_two_districts_is_served_by_both_and_each_has_its_own() {
    let mut t = Two::new();
    let (a, b) = (t.add("001.1", "An"), t.add("002.1", "Bình"));
    assert_eq!(t.status()["unsent_changes"], 2);
    let report = t.w.sync("branch");
    let ways = report["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 2, "{report}");
    assert!(ways.iter().all(|w| w["verified"] == true && w["error"] == ""), "{report}");
    assert!(t.has("district", &a) && t.has("second", &b));
    assert!(!t.has("district", &b) && !t.has("second", &a), "neither has what is the other's");
    let status = t.status();
    assert_eq!(status["unsent_changes"], 0, "{status}");
    assert_eq!(status["ways"].as_array().unwrap().len(), 2, "{status}");
    assert!(status["ways"].as_array().unwrap().iter().all(|w| w["verified_at"].is_string()), "{status}");
    let report = t.w.sync("branch");
    assert_eq!((&report["changes_sent"], &report["changes_received"]), (&json!(0), &json!(0)), "{report}");

    // What stands below the second district alone: nobody answers for it, and the other is served all the same.
    t.second.take().unwrap().stop();
    t.w.city_daemon.take().unwrap().stop();
    let (c, d) = (t.add("001.1", "Cúc"), t.add("002.1", "Dung"));
    let out = sampan(&["sync", &t.w.path("branch"), "--json", "--timeout", "10"]).refused(4, "Quận Đống Đa");
    assert!(!out.stderr.contains("Quận Ba Đình"), "{out:?}");
    let report = out.json();
    assert_eq!(report["verified"], false);
    for way in report["ways"].as_array().unwrap() {
        assert_eq!(way["verified"] == true, way["name"] == "Quận Ba Đình", "{report}");
    }
    assert!(t.has("district", &c) && !t.has("second", &d));
    let status = t.status();
    assert_eq!(status["unsent_changes"], 1, "{status}");
    assert!(status["last_error"].as_str().unwrap().contains("Quận Đống Đa"), "{status}");
    let said = finish(command("sampan", &["status", &t.w.path("branch")])).ok().stdout;
    assert!(said.contains("the way up to") && said.contains("Quận Đống Đa"), "{said}");
    let doctor = sampan(&["doctor", &t.w.path("branch")]);
    assert!(doctor.code != 0 && doctor.stdout.contains("Quận Đống Đa"), "{doctor:?}");
}

#[test]
fn a_daemon_keeps_a_link_on_each_way_and_says_which_one_is_down() {
    let mut t = Two::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let web = format!("127.0.0.1:{port}");
    let daemon = Daemon::start("sampan", &["run", &t.w.path("branch"), "--web", &web]);
    let (a, b) = (t.add("001.1", "An"), t.add("002.1", "Bình"));
    until("each has its own", || t.has("district", &a) && t.has("second", &b));
    until("both are linked", || gauge(&web, "sampan_ways_linked") == 2.0);
    assert_eq!(gauge(&web, "sampan_ways"), 2.0);
    // What a relay has to say comes by its own way, without being asked.
    let new = relay(&["add", &t.w.path("second"), "--unit", "002.1", "members", "full_name=Từ quận"]).ok().first();
    let listed = || t.w.list("sampan", "branch", "members").iter().any(|r| r["_id"] == new.as_str());
    until("it came down", listed);
    let report = t.w.sync("branch");
    assert_eq!(report["ways"].as_array().unwrap().len(), 2, "{report}");
    t.second.take().unwrap().stop();
    t.w.city_daemon.take().unwrap().stop();
    let c = t.add("001.1", "Cúc");
    until("the other goes on", || t.has("district", &c));
    until("it is said which is down", || {
        let last = t.status()["last_error"].as_str().unwrap_or_default().to_owned();
        last.contains("Quận Đống Đa") && !last.contains("Quận Ba Đình")
    });
    assert_eq!(gauge(&web, "sampan_ways_linked"), 1.0);
    assert!(get(&web, "/").contains("↑ Quận Đống Đa"));
    daemon.stop();
}

#[test]
fn a_deputy_at_the_city_syncs_with_its_relay_and_its_word_counts() {
    let w = World::three_levels();
    let (city, deputy) = (w.path("city"), w.path("deputy"));
    let root = relay(&["status", &city, "--json"]).ok().json()["units"][0].as_str().unwrap().to_owned();
    let ticket = relay(&["invite", &city, "--unit", &root, "--role", "admin", "--holder", "Phó"]).ok().first();
    sampan(&["join", &deputy, &ticket]).ok();
    let an = w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    w.sync_relay("district");
    w.sync("deputy");
    assert_eq!(w.field("sampan", "deputy", &an, "full_name"), json!("An"));
    let status = |name: &str| sampan(&["status", &w.path(name), "--json"]).ok().json();
    let now = status("deputy");
    assert_eq!(now["ways"].as_array().unwrap().len(), 1, "{now}");
    assert!(now["verified_at"].is_string() && now["unsent_changes"] == 0, "{now}");

    // The city's relay is away: what the deputy writes is not said to have arrived, and it is not called the top.
    let mut w = w;
    let listened = w.city_daemon.as_ref().unwrap().ready.clone();
    w.city_daemon.take().unwrap().stop();
    let order = sampan(&["add", &deputy, "--unit", &root, "directives", "title=Chỉ thị 05"]).ok().first();
    sampan(&["sync", &deputy, "--timeout", "5"]).refused(4, "could not be reached");
    let now = sampan(&["status", &deputy, "--json"]).ok().json();
    assert_eq!(now["unsent_changes"], 1, "{now}");
    let said = finish(command("sampan", &["status", &deputy])).ok().stdout;
    assert!(said.contains("not yet sent up") && !said.contains("highest level"), "{said}");
    w.city_daemon = Some(Daemon::start("sampan-relay", &["run", &city, "--listen", &listened]));
    w.sync("deputy");
    let now = sampan(&["status", &deputy, "--json"]).ok().json();
    assert_eq!(now["unsent_changes"], 0, "{now}");
    w.sync_relay("district");
    w.sync("branch");
    assert_eq!(w.field("sampan", "branch", &order, "title"), json!("Chỉ thị 05"));

    // It lets in whom it likes, and takes away: its word goes to the relay, and down.
    let ticket = relay(&["invite", &deputy, "--unit", "001.2", "--role", "editor", "--holder", "Ba"]).ok().first();
    sampan(&["join", &w.path("new"), &ticket]).ok();
    w.sync("deputy");
    w.sync_relay("district");
    w.sync("new");
    let device = sampan(&["status", &w.path("branch"), "--json"]).ok().json()["device"].as_str().unwrap().to_owned();
    relay(&["revoke", &deputy, &device, "--lost", "--reason", "mất máy"]).ok();
    w.sync("deputy");
    w.sync_relay("district");
    let out = sampan(&["sync", &w.path("branch"), "--json", "--timeout", "20"]);
    assert_eq!(out.code, 3, "{out:?}");
    // The city's own relay is the top, and says so.
    let out = relay(&["sync", &city]).ok();
    assert!(out.stderr.contains("highest level") || out.stdout.contains("highest level"), "{out:?}");
}
