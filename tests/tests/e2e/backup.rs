//! Backups: one file, a new folder out of it, and nothing lost on the way.

use crate::world::{Daemon, World, command, database, finish, relay, sampan};
use serde_json::json;
use std::fs;
use std::path::Path;

#[test]
fn a_restored_backup_takes_back_what_was_sent_and_forks_nothing() {
    let w = World::three_levels();
    let (dir, file, new) = (w.path("branch"), w.path("branch.backup"), w.path("restored"));
    let an = w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    let late = w.add("branch", "members", &["full_name=Chưa gửi"]);
    // Beside a daemon, as it would be every night.
    let daemon = Daemon::start("sampan", &["run", &dir]);
    let made = sampan(&["backup", &dir, &file, "--json"]).ok().json();
    daemon.stop();
    assert_eq!(made["sealed"], false);
    assert!(!Path::new(&dir).join("store.db-backup").exists());
    sampan(&["set", &dir, &an, "phone=1"]).ok();
    let bình = w.add("branch", "members", &["full_name=Bình"]);
    w.sync("branch");

    let said = sampan(&["restore", &file, &new]).ok();
    assert!(said.stderr.contains("another store") && said.stderr.contains("only one of the two"), "{said:?}");
    // Before the first sync it knows what the backup knew, and may go on at once.
    assert_eq!(w.list("sampan", "restored", "members").len(), 2);
    sampan(&["set", &new, &an, "address=phố Hàng Bạc"]).ok();
    let chi = w.add("restored", "members", &["full_name=Chi"]);
    // The old folder goes on as well: the worst case.
    sampan(&["set", &dir, &an, "notes=cũ"]).ok();
    for name in ["restored", "branch", "restored", "branch"] {
        w.sync(name);
    }
    for name in ["restored", "branch"] {
        assert_eq!(w.field("sampan", name, &an, "phone"), json!("1"), "{name}");
        assert_eq!(w.field("sampan", name, &an, "address"), json!("phố Hàng Bạc"), "{name}");
        assert_eq!(w.field("sampan", name, &an, "notes"), json!("cũ"), "{name}");
        let mut ids: Vec<_> = w.list("sampan", name, "members").iter().map(|r| r["_id"].clone()).collect();
        ids.sort_by_key(ToString::to_string);
        let mut all = [&an, &late, &bình, &chi].map(|id| json!(id));
        all.sort_by_key(ToString::to_string);
        assert_eq!(ids, all, "{name}");
        sampan(&["verify", &w.path(name)]).ok();
        let status = sampan(&["status", &w.path(name), "--json"]).ok().json();
        assert_eq!((&status["blocked"], &status["quarantined"]), (&json!(0), &json!(0)), "{name}");
        assert_eq!(status["unsent_changes"], 0, "{name}");
    }
    assert_eq!(w.list("sampan-relay", "district", "members").len(), 4);
    relay(&["verify", &w.path("district")]).ok();
}

#[test]
fn the_old_ticks_of_a_restored_store_lapse_until_they_are_confirmed() {
    let w = World::three_levels();
    w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    let epoch = |name: &str| -> Vec<u8> {
        let db = database(&w.path(name));
        db.query_row("SELECT value FROM info WHERE name = 'epoch'", [], |r| r.get(0)).unwrap()
    };
    let file = w.path("b");
    sampan(&["backup", &w.path("branch"), &file]).ok();
    sampan(&["restore", &file, &w.path("again")]).ok();
    sampan(&["list", &w.path("again"), "members"]).ok();
    assert_ne!(epoch("branch"), epoch("again"));
    let once = epoch("again");
    sampan(&["list", &w.path("again"), "members"]).ok();
    assert_eq!(epoch("again"), once, "once");
    w.sync("again");
}

#[test]
fn neither_writes_over_anything() {
    let w = World::three_levels();
    let (dir, file) = (w.path("branch"), w.path("b"));
    sampan(&["backup", &dir, &file]).ok();
    let first = fs::read(&file).unwrap();
    sampan(&["backup", &dir, &file]).refused(2, "not overwritten");
    assert_eq!(fs::read(&file).unwrap(), first);
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
    sampan(&["restore", &file, &dir]).refused(2, "Choose another");
    sampan(&["restore", &file, &w.path("district")]).refused(2, "Choose another");
    fs::create_dir(w.path("full")).unwrap();
    fs::write(Path::new(&w.path("full")).join("a"), "mine").unwrap();
    sampan(&["restore", &file, &w.path("full")]).refused(2, "Choose another");
    sampan(&["backup", &w.path("full"), &w.path("c")]).refused(2, "not a Sampan folder");
    assert!(!Path::new(&w.path("c")).exists());
    sampan(&["backup", &dir, &format!("{}/no/such/folder/b", w.path("x"))]).refused(1, "no/such");
}

#[test]
fn cut_altered_and_foreign_backups_make_no_folder() {
    let w = World::three_levels();
    w.add("branch", "members", &["full_name=An"]);
    let (file, bad, new) = (w.path("b"), w.path("bad"), w.path("new"));
    sampan(&["backup", &w.path("branch"), &file]).ok();
    let whole = fs::read(&file).unwrap();
    let refused = |bytes: &[u8], exit: i32, words: &str| {
        fs::write(&bad, bytes).unwrap();
        sampan(&["restore", &bad, &new]).refused(exit, words);
        assert!(!Path::new(&new).exists(), "{words}");
    };
    for len in [0, 10, 24, 25, 200, 700, whole.len() / 2, whole.len() - 1] {
        let words = if len == 0 { "not a Sampan backup" } else { "incomplete" };
        refused(&whole[..len], 2, words);
    }
    // One bit at many places, every part of the file among them.
    for at in (0..whole.len()).step_by(whole.len() / 40).chain([26, 700, whole.len() - 1]) {
        let mut bent = whole.clone();
        bent[at] ^= 4;
        refused(&bent, 2, "");
    }
    let more = [whole.as_slice(), b"x"].concat();
    refused(&more, 2, "damaged");
    refused(b"hello", 2, "not a Sampan backup");
    refused(&[0; 100_000], 2, "not a Sampan backup");
    let newer = String::from_utf8_lossy(&whole[..25]).replace("version 1", "version 2").into_bytes();
    refused(&[newer.as_slice(), &whole[25..]].concat(), 2, "newer");
    sampan(&["restore", &w.path("nowhere"), &new]).refused(2, "nowhere");
    sampan(&["restore", &file, &new]).ok();
}

#[test]
fn a_locked_folder_is_backed_up_locked() {
    let w = World::three_levels();
    let (dir, file, new, words) = (w.path("branch"), w.path("b"), w.path("new"), w.path("words"));
    fs::write(&words, "con đò nhỏ bến sông").unwrap();
    sampan(&["passphrase", &dir, "set", "--passphrase-file", &words]).ok();
    // It takes no passphrase to make one, and to put it back, where records are not encrypted; to use it, it does.
    let needed = if cfg!(feature = "encryption") { words.as_str() } else { "" };
    let run = |args: &[&str]| {
        let mut c = command("sampan", args);
        c.env("SAMPAN_PASSPHRASE_FILE", needed);
        finish(c).ok()
    };
    let made = run(&["backup", &dir, &file, "--json"]).json();
    assert_eq!(made["sealed"], true);
    run(&["restore", &file, &new]);
    sampan(&["list", &new, "members"]).refused(3, "under a passphrase");
    sampan(&["sync", &new, "--passphrase-file", &words]).ok();
}
