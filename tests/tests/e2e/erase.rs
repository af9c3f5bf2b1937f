//! A record erased on request, with the real binaries: nothing of it in any file of any folder.
//!
//! It does not: reach backups and sticks: what comes out of them is erased when it comes.

use crate::world::{Daemon, World, holding, relay, sampan};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Words that are in no other file: a name as it is written, and as search folds it.
const NAME: &str = "Zỹxwquang Độc Nhất";
const FOLDED: &str = "zyxwquang";
const PHONE: &str = "0987-zqj-654";

fn found(w: &World, name: &str) -> Vec<PathBuf> {
    let dir = PathBuf::from(w.path(name));
    [NAME, FOLDED, PHONE].iter().flat_map(|needle| holding(&dir, needle)).collect()
}

/// Rounds that registers may need beside what a sync waits for.
const ROUNDS_MAX: usize = 30;

/// Syncs a branch and the district until something that travels in registers has come: a sync does not wait for them.
fn until(w: &World, branch: &str, come: impl Fn() -> bool) {
    for _ in 0..ROUNDS_MAX {
        if come() {
            return;
        }
        w.sync(branch);
        w.sync_relay("district");
    }
}

#[test]
fn what_is_erased_is_in_no_file_of_any_folder_and_nothing_brings_it_back() {
    let mut w = World::three_levels();
    let (branch, district) = (w.path("branch"), w.path("district"));
    let stays = w.add("branch", "members", &["full_name=Nguyễn Văn An"]);
    let goes = w.add("branch", "members", &[&format!("full_name={NAME}"), &format!("phone={PHONE}")]);
    sampan(&["set", &branch, &goes, &format!("notes={NAME}")]).ok();
    w.sync("branch");
    w.sync_relay("district");
    for (bin, name) in [("sampan", "branch"), ("sampan-relay", "district"), ("sampan-relay", "city")] {
        assert_eq!(w.list(bin, name, "members").len(), 2);
        assert!(!found(&w, name).is_empty(), "{name}: it must be there before");
    }
    let backup = w.path("branch.backup");
    sampan(&["backup", &branch, &backup]).ok();
    let stick = w.path("stick.sampan");
    sampan(&["bundle", "create", &branch, &stick, "--for", "001", "--whole"]).ok();

    // Bad input: one sentence, the exit, and nothing changed.
    sampan(&["erase", &branch, &goes, "--reason", "theo yêu cầu"]).refused(3, "admin");
    relay(&["erase", &district, &goes]).refused(2, "--reason");
    relay(&["erase", &district, "ffffffffffffffffffffffffffffffff", "--reason", "x"]).refused(2, "no record");
    relay(&["erase", &district, &goes, "--reason", " "]).refused(2, "--reason");
    assert_eq!(w.list("sampan-relay", "district", "members").len(), 2);

    // An edit that is not sent yet, while it is erased above.
    sampan(&["set", &branch, &goes, &format!("notes={PHONE} và thêm")]).ok();
    let said = relay(&["--json", "erase", &district, &goes, "--reason", "theo yêu cầu"]).ok().json();
    assert_eq!((&said["kind"], &said["erased"]), (&json!("record"), &json!(goes)));
    w.sync("branch");
    w.sync("branch");
    w.sync_relay("district");
    w.sync_relay("district");
    // Daemons clean when they are quiet, at the latest when they stop.
    [w.district_daemon.take(), w.city_daemon.take()].into_iter().flatten().for_each(Daemon::stop);
    for (bin, name) in [("sampan", "branch"), ("sampan-relay", "district"), ("sampan-relay", "city")] {
        assert_eq!(found(&w, name), Vec::<PathBuf>::new(), "{name}");
        assert_eq!(w.list(bin, name, "members").len(), 1, "{name}");
        let run = if bin == "sampan" { sampan } else { relay };
        run(&["verify", &w.path(name)]).ok();
        run(&["show", &w.path(name), &goes]).refused(3, "erased");
        assert_eq!(w.field(bin, name, &stays, "full_name"), json!("Nguyễn Văn An"), "{name}");
    }
    sampan(&["set", &branch, &goes, "notes=lại"]).refused(3, "erased");
    let vi = crate::world::finish(crate::world::command("sampan", &["--lang", "vi", "show", &branch, &goes]));
    vi.refused(3, "đã được xoá vĩnh viễn");
    // The same again changes nothing.
    relay(&["erase", &district, &goes, "--reason", "lần nữa"]).ok();

    // A bundle that was made before brings nothing back.
    relay(&["bundle", "apply", &district, &stick]).ok();
    assert_eq!(found(&w, "district"), Vec::<PathBuf>::new());

    // A backup that was made before: gone with its first sync.
    w.city_daemon = Some(Daemon::start("sampan-relay", &["run", &w.path("city")]));
    w.district_daemon = Some(Daemon::start("sampan-relay", &["run", &district]));
    sampan(&["restore", &backup, &w.path("restored")]).ok();
    assert!(!found(&w, "restored").is_empty());
    w.sync("restored");
    assert_eq!(found(&w, "restored"), Vec::<PathBuf>::new());

    // Who has confirmed and who has not: the city's word comes down, the branch's goes up.
    let list = || relay(&["--json", "erase", &district, "--list"]).ok().lines();
    until(&w, "branch", || list().iter().all(|row| row["waiting"] == json!([])));
    let rows = list();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["waiting"], json!([]), "{rows:?}");
    assert_eq!(rows[0]["confirmed"].as_array().map(Vec::len), Some(3), "{rows:?}");
}

#[test]
fn the_name_of_a_holder_is_erased_from_every_folder() {
    let mut w = World::three_levels();
    let district = w.path("district");
    let holder = "Vũ Zqwholder 0912zqj";
    let ticket = relay(&["invite", &district, "--unit", "001.2", "--role", "editor", "--holder", holder]).ok().first();
    sampan(&["join", &w.path("second"), &ticket]).ok();
    w.sync("second");
    let names = ["second", "district", "city"];
    until(&w, "second", || names.iter().all(|name| !holding(Path::new(&w.path(name)), holder).is_empty()));
    for name in names {
        assert!(!holding(Path::new(&w.path(name)), holder).is_empty(), "{name}: it must be there before");
    }
    let rows = relay(&["--json", "devices", &district]).ok().lines();
    let device = rows.iter().find(|r| r["holder"] == holder).unwrap()["device"].as_str().unwrap().to_owned();
    relay(&["erase", &district, "--holder", "00112233445566", "--reason", "x"]).refused(2, "device");
    sampan(&["erase", &w.path("second"), "--holder", &device, "--reason", "x"]).refused(3, "admin");
    relay(&["erase", &district, "--holder", &device, "--reason", "theo yêu cầu"]).ok();
    for _ in 0..2 {
        w.sync("second");
        w.sync_relay("district");
    }
    [w.district_daemon.take(), w.city_daemon.take()].into_iter().flatten().for_each(Daemon::stop);
    for name in names {
        assert_eq!(holding(Path::new(&w.path(name)), holder), Vec::<PathBuf>::new(), "{name}");
    }
    let rows = relay(&["--json", "devices", &district]).ok().lines();
    assert!(rows.iter().any(|r| r["device"] == device.as_str() && r["holder"].is_null()), "{rows:?}");
}
