//! Where no link exists at all: a city, a district and a branch that only a memory stick travels between.
//!
//! They do not: open a socket.

use crate::world::{Out, command, database, finish, relay, sampan};
use sampan_tests::members::members_csv;
use serde_json::Value as Json;

/// A city, its district and a branch of it as folders; nobody runs.
pub(crate) struct Sticks {
    dir: tempfile::TempDir,
}

impl Sticks {
    /// The city with its units and one directive; a district that joined and has its scope by stick, and whose
    /// answer the city has.
    pub(crate) fn new() -> Self {
        let w = Self { dir: tempfile::tempdir().unwrap() };
        let city = w.path("city");
        relay(&["init", &city, "--org", "Thành phố", "--listen", "127.0.0.1:0"]).ok();
        relay(&["unit", "add", &city, "--name", "Quận Ba Đình", "--code", "001", "--kind", "district"]).ok();
        for (name, code) in [("Chi bộ 1", "001.1"), ("Chi bộ 2", "001.2")] {
            let add = ["unit", "add", &city, "--parent", "001", "--name", name, "--code", code, "--kind", "branch"];
            relay(&add).ok();
        }
        relay(&["add", &city, "directives", "title=Chỉ thị 05"]).ok();
        let ticket = w.invite("city", "001", "admin");
        // Ticket and first load travel together, before anyone knows which device will use them.
        w.create("sampan-relay", "city", Some("001"), "to-district");
        relay(&["join", &w.path("district"), &ticket, "--listen", "127.0.0.1:0", "--timeout", "1"]).ok();
        w.apply("sampan-relay", "district", "to-district").ok();
        w
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub(crate) fn invite(&self, at: &str, unit: &str, role: &str) -> String {
        relay(&["invite", &self.path(at), "--unit", unit, "--role", role, "--holder", "x"]).ok().first()
    }

    /// A device of a branch that joined without a link.
    fn join(&self, name: &str, unit: &str) {
        let ticket = self.invite("district", unit, "editor");
        sampan(&["join", &self.path(name), &ticket, "--timeout", "1"]).ok();
    }

    fn try_create(&self, bin: &str, at: &str, to: Option<&str>, file: &str) -> Out {
        let (dir, file) = (self.path(at), self.path(file));
        let mut args = vec!["bundle", "create", &dir, &file, "--json"];
        args.extend(to.into_iter().flat_map(|to| ["--for", to]));
        finish(command(bin, &args))
    }

    pub(crate) fn create(&self, bin: &str, at: &str, to: Option<&str>, file: &str) -> Json {
        self.try_create(bin, at, to, file).ok().json()
    }

    pub(crate) fn apply(&self, bin: &str, at: &str, file: &str) -> Out {
        finish(command(bin, &["bundle", "apply", &self.path(at), &self.path(file), "--json"]))
    }

    /// Takes in what comes from below and puts the answer under a name.
    pub(crate) fn answered(&self, at: &str, file: &str, answer: &str) -> Json {
        let answer = self.path(answer);
        let args = ["bundle", "apply", &self.path(at), &self.path(file), "--json", "--receipt", &answer];
        relay(&args).ok().json()
    }

    /// A branch with its scope, and whose enrolment the district knows.
    pub(crate) fn branch(&self, name: &str, unit: &str) {
        let ticket = self.invite("district", unit, "editor");
        self.create("sampan-relay", "district", Some(unit), &format!("{name}-load"));
        sampan(&["join", &self.path(name), &ticket, "--timeout", "1"]).ok();
        self.apply("sampan", name, &format!("{name}-load")).ok();
    }

    pub(crate) fn list(&self, bin: &str, at: &str, collection: &str) -> Vec<Json> {
        finish(command(bin, &["list", &self.path(at), collection, "--json"])).ok().lines()
    }

    pub(crate) fn status(&self, bin: &str, at: &str) -> Json {
        finish(command(bin, &["status", &self.path(at), "--json"])).ok().json()
    }

    /// Everything that a folder holds, as far as any command shows it.
    pub(crate) fn seen(&self, bin: &str, at: &str) -> String {
        let mut status = self.status(bin, at);
        // When something last came from above is the one thing that a newer answer with nothing new changes.
        for other in ["children", "news_from_above_at", "bundles_waiting"] {
            status.as_object_mut().unwrap().remove(other);
        }
        let lists = ["members", "directives"].map(|c| self.list(bin, at, c));
        format!("{status} {lists:?}")
    }
}

/// Whether the nearest relay has all that is here.
fn ticked(status: &Json) -> bool {
    status["unsent_changes"] == 0 && status["delivered"][0]["complete"] == true
}

#[test]
fn ticket_and_first_load_in_one_trip_then_work_up_and_the_tick_down() {
    let w = Sticks::new();
    assert_eq!(w.list("sampan-relay", "district", "directives").len(), 1);
    w.branch("branch", "001.1");
    assert_eq!(w.list("sampan", "branch", "directives").len(), 1, "the first load came by stick");
    sampan(&["add", &w.path("branch"), "members", "full_name=Nguyễn Văn An"]).ok();
    let before = w.status("sampan", "branch");
    assert!(before["unsent_changes"] == 1 && !ticked(&before), "{before}");
    let made = w.create("sampan", "branch", None, "up");
    assert_eq!((made["direction"].as_str(), made["devices"].as_array().map(Vec::len)), (Some("up"), Some(1)));
    let taken = w.answered("district", "up", "down");
    assert_eq!((&taken["changes_received"], &taken["quarantined"]), (&1.into(), &0.into()), "{taken}");
    assert_eq!(w.list("sampan-relay", "district", "members").len(), 1);
    assert!(!ticked(&w.status("sampan", "branch")), "no tick before the answer is here");
    w.apply("sampan", "branch", "down").ok();
    let after = w.status("sampan", "branch");
    assert!(ticked(&after), "{after}");
    assert_eq!(after["verified_at"], Json::Null, "a file is no session: nothing was verified");
    // And on to the city, whose tick comes back through the district.
    w.create("sampan-relay", "district", None, "district-up");
    w.answered("city", "district-up", "city-down");
    assert_eq!(w.list("sampan-relay", "city", "members").len(), 1);
    w.apply("sampan-relay", "district", "city-down").ok();
    w.create("sampan-relay", "district", Some("001.1"), "down-2");
    w.apply("sampan", "branch", "down-2").ok();
    let city = w.status("sampan", "branch");
    assert!(city["delivered"].as_array().unwrap().iter().all(|d| d["complete"] == true), "{city}");
    assert_eq!(city["delivered"].as_array().map(Vec::len), Some(2), "{city}");
    for (bin, at) in [("sampan", "branch"), ("sampan-relay", "district"), ("sampan-relay", "city")] {
        finish(command(bin, &["verify", &w.path(at)])).ok();
    }
}

#[test]
fn the_branch_may_also_speak_first() {
    let w = Sticks::new();
    w.join("branch", "001.1");
    sampan(&["add", &w.path("branch"), "members", "full_name=Trần Thị Bình"]).ok();
    // Nothing is known here but the ticket: the bundle is for the relay that it names.
    w.try_create("sampan", "branch", Some("001"), "no").refused(2, "Leave --for out");
    w.create("sampan", "branch", None, "hello");
    let taken = w.answered("district", "hello", "load");
    assert_eq!(taken["changes_received"], 0, "work follows when the charter that allows it is here: {taken}");
    w.apply("sampan", "branch", "load").ok();
    assert_eq!(w.list("sampan", "branch", "directives").len(), 1);
    w.create("sampan", "branch", None, "work");
    assert_eq!(w.answered("district", "work", "receipt")["changes_received"], 1);
    w.apply("sampan", "branch", "receipt").ok();
    assert!(ticked(&w.status("sampan", "branch")));
    let load = std::fs::metadata(w.path("load")).unwrap().len();
    let receipt = std::fs::metadata(w.path("receipt")).unwrap().len();
    assert!(receipt < load, "what the branch said that it holds does not travel again: {receipt} and {load} B");
}

#[test]
fn twice_and_in_any_order_is_harmless() {
    let w = Sticks::new();
    w.branch("branch", "001.1");
    for (name, file) in [("An", "one"), ("Bình", "two"), ("Chi", "three")] {
        sampan(&["add", &w.path("branch"), "members", &format!("full_name={name}")]).ok();
        w.create("sampan", "branch", None, file);
    }
    assert_eq!(w.answered("district", "three", "answer-3")["changes_received"], 3);
    w.apply("sampan", "branch", "answer-3").ok();
    let (district, branch) = (w.seen("sampan-relay", "district"), w.seen("sampan", "branch"));
    for (i, file) in ["one", "three", "two", "one"].into_iter().enumerate() {
        let answer = format!("again-{i}");
        assert_eq!(w.answered("district", file, &answer)["commits_received"], 0, "{file}");
        w.apply("sampan", "branch", &answer).ok();
    }
    w.apply("sampan", "branch", "branch-load").ok();
    w.apply("sampan", "branch", "answer-3").ok();
    assert_eq!(w.seen("sampan-relay", "district"), district);
    assert_eq!(w.seen("sampan", "branch"), branch);
    // An answer without a name of its own lies in the outbox, and a newer one takes its place.
    let out = w.apply("sampan-relay", "district", "one").ok().json();
    let receipt = out["receipt"].as_str().unwrap().to_owned();
    assert!(receipt.contains("outbox"), "{receipt}");
    w.apply("sampan-relay", "district", "two").ok();
    sampan(&["bundle", "apply", &w.path("branch"), &receipt]).ok();
    assert_eq!(w.seen("sampan", "branch"), branch);
}

#[test]
fn a_bundle_that_goes_on_from_one_that_is_lost_says_so_and_a_whole_one_heals_it() {
    let w = Sticks::new();
    w.branch("branch", "001.1");
    crate::world::copy_folder(&w.path("district"), &w.path("old"));
    sampan(&["add", &w.path("branch"), "members", "full_name=An"]).ok();
    w.create("sampan", "branch", None, "first");
    w.answered("district", "first", "answer");
    w.apply("sampan", "branch", "answer").ok();
    sampan(&["add", &w.path("branch"), "members", "full_name=Bình"]).ok();
    w.create("sampan", "branch", None, "second");
    // The district's disk died; what came back is older than what it had acknowledged.
    std::fs::remove_dir_all(w.path("district")).unwrap();
    crate::world::copy_folder(&w.path("old"), &w.path("district"));
    let before = w.seen("sampan-relay", "district");
    w.apply("sampan-relay", "district", "second").refused(4, "it waits in this folder");
    assert_eq!(w.seen("sampan-relay", "district"), before);
    assert_eq!(w.status("sampan-relay", "district")["bundles_waiting"], 1);
    let (dir, whole) = (w.path("branch"), w.path("whole"));
    sampan(&["bundle", "create", &dir, &whole, "--whole"]).ok();
    assert_eq!(w.answered("district", "whole", "answer-2")["changes_received"], 2);
    assert_eq!(w.status("sampan-relay", "district")["bundles_waiting"], 0, "what it waited for came another way");
    assert_eq!(w.answered("district", "second", "answer-3")["commits_received"], 0);
    w.apply("sampan", "branch", "answer-2").ok();
    assert!(ticked(&w.status("sampan", "branch")));
}

#[test]
fn wrong_files_get_one_sentence_and_change_nothing() {
    let w = Sticks::new();
    w.branch("branch", "001.1");
    w.branch("other", "001.2");
    sampan(&["add", &w.path("branch"), "members", "full_name=An"]).ok();
    w.create("sampan", "branch", None, "up");
    let before = w.seen("sampan-relay", "district");
    let bytes = std::fs::read(w.path("up")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(w.path(name), bytes).unwrap();
    write("empty", b"");
    write("text", b"hello");
    write("cut", &bytes[..bytes.len() - 40]);
    write("cut-early", &bytes[..20]);
    write("long", &[bytes.as_slice(), b"x"].concat());
    for at in [30, bytes.len() / 2, bytes.len() - 100, bytes.len() - 1] {
        let mut bent = bytes.clone();
        bent[at] ^= 4;
        write(&format!("bent-{at}"), &bent);
        let out = w.apply("sampan-relay", "district", &format!("bent-{at}"));
        assert!([2, 3].contains(&out.code), "byte {at}: {out:?}");
    }
    w.apply("sampan-relay", "district", "bent-30").refused(2, "");
    for name in ["empty", "text"] {
        w.apply("sampan-relay", "district", name).refused(2, "is not a bundle");
    }
    for name in ["cut", "cut-early"] {
        w.apply("sampan-relay", "district", name).refused(2, "is incomplete");
    }
    w.apply("sampan-relay", "district", "long").refused(2, "damaged or was altered");
    w.apply("sampan-relay", "district", "nowhere").refused(2, "cannot be read");
    w.apply("sampan-relay", "district", "city").refused(2, "cannot be read");
    // For another device: a sibling, and the city, which the branch did not encrypt to.
    w.apply("sampan", "other", "up").refused(3, "not for this device");
    w.apply("sampan-relay", "city", "up").refused(3, "not for this device");
    let out = finish(command("sampan", &["bundle", "inspect", &w.path("other"), &w.path("up"), "--json"])).ok().json();
    assert_eq!((&out["for_us"], &out["entries"]), (&false.into(), &Json::Null), "{out}");
    let out = relay(&["bundle", "inspect", &w.path("district"), &w.path("up"), "--json"]).ok().json();
    assert_eq!(
        (&out["for_us"], &out["direction"], &out["entries"]),
        (&true.into(), &"up".into(), &2.into()),
        "its work and its enrolment: {out}"
    );
    // Of another organisation.
    let foreign = w.path("foreign");
    relay(&["init", &foreign, "--org", "Khác", "--listen", "127.0.0.1:0"]).ok();
    relay(&["bundle", "apply", &foreign, &w.path("up")]).refused(2, "another organisation");
    // A file is never written over; a sibling cannot be written to; nothing is above the city.
    w.try_create("sampan", "branch", None, "up").refused(2, "is there already");
    assert_eq!(std::fs::read(w.path("up")).unwrap(), bytes);
    w.try_create("sampan", "branch", Some("001.9"), "new").refused(2, "001.9");
    w.try_create("sampan-relay", "city", None, "new").refused(2, "No relay above");
    let sibling = w.status("sampan", "other")["device"].as_str().unwrap().to_owned();
    w.try_create("sampan", "branch", Some(&sibling), "new").refused(2, "");
    w.try_create("sampan", "branch", None, "none/new").refused(1, "");
    assert!(!std::path::Path::new(&w.path("new")).exists() && !std::path::Path::new(&w.path("new.part")).exists());
    assert_eq!(w.seen("sampan-relay", "district"), before, "nothing was changed");
    for at in ["district", "other", "city", "foreign"] {
        assert!(!std::path::Path::new(&w.path(at)).join("inbox").exists(), "what is wrong never waits: {at}");
    }
    // And the good one still does its work.
    assert_eq!(w.answered("district", "up", "down")["changes_received"], 1);
}

#[test]
fn a_revoked_sender_deposits_and_a_used_ticket_is_refused() {
    let w = Sticks::new();
    w.branch("branch", "001.1");
    sampan(&["add", &w.path("branch"), "members", "full_name=An"]).ok();
    w.create("sampan", "branch", None, "first");
    w.answered("district", "first", "answer");
    sampan(&["add", &w.path("branch"), "members", "full_name=Bình"]).ok();
    w.create("sampan", "branch", None, "second");
    let device = w.status("sampan", "branch")["device"].as_str().unwrap().to_owned();
    relay(&["revoke", &w.path("district"), &device, "--reason", "stolen"]).ok();
    let out = w.apply("sampan-relay", "district", "second").ok().json();
    assert_eq!((&out["quarantined"], &out["receipt"]), (&1.into(), &Json::Null), "{out}");
    assert_eq!(w.list("sampan-relay", "district", "members").len(), 1);
    w.try_create("sampan-relay", "district", Some(&device), "back").refused(3, "");
    // One ticket, two devices: the second is told so, wherever it brings its bundle.
    let ticket = w.invite("district", "001.2", "editor");
    for name in ["a", "b"] {
        sampan(&["join", &w.path(name), &ticket, "--timeout", "1"]).ok();
        w.create("sampan", name, None, &format!("{name}-hello"));
    }
    w.answered("district", "a-hello", "a-load");
    w.apply("sampan-relay", "district", "b-hello").refused(3, "used already");
    w.apply("sampan", "b", "a-load").refused(3, "not for this device");
}

#[test]
fn a_bundle_holds_what_its_receiver_may_read_and_nothing_else() {
    let w = Sticks::new();
    w.branch("one", "001.1");
    w.branch("two", "001.2");
    for (name, who) in [("one", "Kín Một"), ("two", "Kín Hai")] {
        sampan(&["add", &w.path(name), "members", &format!("full_name={who}")]).ok();
        w.create("sampan", name, None, &format!("{name}-up"));
        w.apply("sampan-relay", "district", &format!("{name}-up")).ok();
        let bytes = std::fs::read(w.path(&format!("{name}-up"))).unwrap();
        assert!(!bytes.windows(4).any(|b| b == "Kín".as_bytes()), "names stand openly in the file");
    }
    let (dir, file) = (w.path("district"), w.path("whole"));
    relay(&["bundle", "create", &dir, &file, "--for", "001.2", "--whole"]).ok();
    w.apply("sampan", "two", "whole").ok();
    let names: Vec<_> = w.list("sampan", "two", "members").iter().map(|m| m["full_name"].clone()).collect();
    assert_eq!(names, ["Kín Hai"]);
    let held = database(&w.path("two"));
    let commits: i64 = held.query_row("SELECT count(*) FROM commits", [], |r| r.get(0)).unwrap();
    assert!(commits > 0);
    let one = w.list("sampan-relay", "district", "members");
    let other = one.iter().find(|m| m["full_name"] == "Kín Một").unwrap()["_id"].as_str().unwrap().to_owned();
    sampan(&["show", &w.path("two"), &other]).refused(2, "");
}

#[test]
fn a_first_load_of_ten_thousand_records() {
    let w = Sticks::new();
    w.branch("branch", "001.1");
    let csv = w.path("members.csv");
    std::fs::write(&csv, members_csv(7, 10_000)).unwrap();
    sampan(&["add", &w.path("branch"), "members", "--from", &csv]).ok();
    w.create("sampan", "branch", None, "up");
    assert_eq!(w.answered("district", "up", "down")["changes_received"], 10_000);
    w.apply("sampan", "branch", "down").ok();
    assert!(ticked(&w.status("sampan", "branch")));
    // Another device of the same branch gets them all by one file.
    w.branch("second", "001.1");
    assert_eq!(w.status("sampan", "second")["records"], 10_001);
    sampan(&["verify", &w.path("second")]).ok();
}
