//! A stolen PC: keys under a passphrase, given once a daemon; what is told, counted and never printed.

use crate::world::{Daemon, Out, World, command, database, finish, relay, sampan};
use std::fs;
use std::path::Path;

const WORDS: &str = "con đò nhỏ bến sông";
const OTHER: &str = "mưa trên phố cổ";

/// A file with a passphrase; its path.
fn words(w: &World, name: &str, text: &str) -> String {
    let path = w.path(name);
    fs::write(&path, format!("{text}\n")).unwrap();
    path
}

/// Every secret of a folder without a passphrase, in hex.
fn secrets(dir: &str) -> Vec<String> {
    let keys = fs::read_dir(Path::new(dir).join("keys")).unwrap();
    keys.map(|e| fs::read_to_string(e.unwrap().path()).unwrap().lines().nth(1).unwrap().to_owned()).collect()
}

/// Whether a file under a folder has these bytes; which.
fn find(dir: &Path, needle: &[u8]) -> Option<String> {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = find(&path, needle) {
                return Some(found);
            }
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|w| w == needle) {
            return Some(path.display().to_string());
        }
    }
    None
}

/// The secret of the ticket that a folder was made with, as it lies in the database.
fn ticket_secret(dir: &str) -> Vec<u8> {
    let db = database(dir);
    db.query_row("SELECT value FROM meta WHERE name LIKE 'ticket\\_box/%' ESCAPE '\\'", [], |r| r.get(0)).unwrap()
}

fn silent(out: &Out, hidden: &[String]) {
    for secret in hidden {
        assert!(!out.stdout.contains(secret.as_str()) && !out.stderr.contains(secret.as_str()), "{out:?}");
    }
}

#[test]
fn a_passphrase_locks_the_keys_and_is_given_once_a_daemon() {
    let w = World::three_levels();
    let dir = w.path("branch");
    let (right, wrong) = (words(&w, "right", WORDS), words(&w, "wrong", OTHER));
    let hidden = secrets(&dir);
    assert_eq!(hidden.len(), if cfg!(feature = "encryption") { 3 } else { 2 }, "device, box, and the database's");
    let ticket = ticket_secret(&dir);
    assert_eq!(ticket.len(), 32);
    let device = fs::read_to_string(Path::new(&dir).join("keys/device.key")).unwrap();
    let device = device.lines().nth(1).unwrap().to_owned();
    sampan(&["passphrase", &dir, "change", "--passphrase-file", &right]).refused(2, "has no passphrase");
    sampan(&["passphrase", &dir, "set"]).refused(3, "--passphrase-file");
    let short = words(&w, "short", "bảy chữ");
    sampan(&["passphrase", &dir, "set", "--passphrase-file", &short]).refused(2, "at least 8");
    sampan(&["passphrase", &dir, "set", "--passphrase-file", &w.path("nowhere")]).refused(2, "nowhere");
    sampan(&["list", &dir, "members"]).ok();
    sampan(&["passphrase", &dir, "set", "--passphrase-file", &right]).ok();
    for secret in &hidden {
        assert_eq!(find(Path::new(&dir), secret.as_bytes()), None);
    }
    let device = data_encoding::HEXLOWER.decode(device.as_bytes()).unwrap();
    assert_eq!(find(Path::new(&dir), &device), None, "nor as bytes, in the database and beside it");
    assert_eq!(find(Path::new(&dir), &ticket), None, "nor what the ticket brought, free pages and logs included");
    assert_eq!(ticket_secret(&dir).len(), 72);
    for (file, what) in [("device.key", "sealed"), ("box.key", "sealed"), ("lock", "argon2id")] {
        let path = Path::new(&dir).join("keys").join(file);
        assert!(fs::read_to_string(&path).unwrap().contains(what), "{file}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    sampan(&["passphrase", &dir, "set", "--passphrase-file", &right]).refused(2, "already");

    // No words, wrong words: one sentence, exit 3, nothing changed.
    let before = fs::read(Path::new(&dir).join("keys/device.key")).unwrap();
    sampan(&["list", &dir, "members"]).refused(3, "under a passphrase");
    let out = sampan(&["sync", &dir, "--passphrase-file", &wrong]).refused(3, "not the passphrase");
    silent(&out, &hidden);
    let out = sampan(&["--json", "status", &dir, "--passphrase-file", &wrong]);
    let error: serde_json::Value = serde_json::from_str(&out.stderr).unwrap();
    assert_eq!((out.code, &error["error"]["code"]), (3, &"passphrase_wrong".into()));
    let vi = finish({
        let mut c = command("sampan", &["--lang", "vi", "list", &dir, "members"]);
        c.env("SAMPAN_PASSPHRASE_FILE", &wrong);
        c
    });
    vi.refused(3, "Câu mật khẩu không đúng");
    assert_eq!(fs::read(Path::new(&dir).join("keys/device.key")).unwrap(), before);

    // The right words, by flag and by environment; then a daemon, which has them for as long as it runs.
    let an = sampan(&["add", &dir, "members", "full_name=An", "--passphrase-file", &right]).ok().first();
    let mut run = command("sampan", &["show", &dir, &an, "--json"]);
    run.env("SAMPAN_PASSPHRASE_FILE", &right);
    assert_eq!(finish(run).ok().json()["full_name"], "An");
    let daemon = Daemon::start("sampan", &["run", &dir, "--passphrase-file", &right]);
    let out = sampan(&["sync", &dir, "--json"]).ok();
    assert_eq!(out.json()["verified"], true, "the daemon has the keys open");
    silent(&out, &hidden);
    daemon.stop();
    for secret in &hidden {
        assert_eq!(find(&Path::new(&dir).join("logs"), secret.as_bytes()), None);
    }
    for words in [WORDS, OTHER] {
        assert_eq!(find(Path::new(&dir), words.as_bytes()), None);
    }

    // Another passphrase, and none; the device is the same all along.
    let new = ["passphrase", &dir, "change", "--passphrase-file", &wrong, "--new-passphrase-file", &right];
    sampan(&new).refused(3, "not the passphrase");
    sampan(&["passphrase", &dir, "change", "--passphrase-file", &right, "--new-passphrase-file", &wrong]).ok();
    sampan(&["list", &dir, "members", "--passphrase-file", &right]).refused(3, "not the passphrase");
    sampan(&["passphrase", &dir, "remove", "--passphrase-file", &wrong]).ok();
    assert_eq!(ticket_secret(&dir), ticket);
    let mut after = secrets(&dir);
    after.sort();
    let mut hidden = hidden;
    hidden.sort();
    assert_eq!(after, hidden);
    w.sync("branch");
}

#[test]
fn folders_made_with_a_passphrase_never_hold_a_plain_key() {
    let w = World::three_levels();
    let right = words(&w, "right", WORDS);
    let ticket = relay(&["invite", &w.path("district"), "--unit", "001.2", "--role", "editor", "--holder", "Bình"]);
    let dir = w.path("second");
    let short = words(&w, "short", "bảy chữ");
    let ticket = ticket.ok().first();
    sampan(&["join", &dir, &ticket, "--passphrase-file", &short]).refused(2, "at least 8");
    assert!(!Path::new(&dir).exists(), "nothing was written, and the ticket is still good");
    sampan(&["join", &dir, &ticket, "--passphrase-file", &right]).ok();
    for file in ["device.key", "box.key"] {
        assert!(fs::read_to_string(Path::new(&dir).join("keys").join(file)).unwrap().contains("sealed"));
    }
    sampan(&["add", &dir, "members", "full_name=Bình"]).refused(3, "under a passphrase");
    sampan(&["add", &dir, "members", "full_name=Bình", "--passphrase-file", &right]).ok();
    sampan(&["sync", &dir, "--passphrase-file", &right]).ok();

    let city = w.path("locked-city");
    relay(&["init", &city, "--org", "Khác", "--listen", "127.0.0.1:0", "--passphrase-file", &right]).ok();
    assert!(fs::read_to_string(Path::new(&city).join("keys/root.key")).unwrap().contains("root key, sealed"));
    relay(&["unit", "add", &city, "--name", "A"]).refused(3, "under a passphrase");
    relay(&["unit", "add", &city, "--name", "A", "--passphrase-file", &right]).ok();
    let daemon = Daemon::start("sampan-relay", &["run", &city, "--passphrase-file", &right]);
    relay(&["sync", &city, "--json"]).ok();
    daemon.stop();
}

#[test]
fn damaged_locks_are_told_and_left_alone() {
    let w = World::three_levels();
    let (dir, right) = (w.path("branch"), words(&w, "right", WORDS));
    sampan(&["passphrase", &dir, "set", "--passphrase-file", &right]).ok();
    let lock = Path::new(&dir).join("keys/lock");
    let whole = fs::read_to_string(&lock).unwrap();
    let memory = whole.split("m=").nth(1).unwrap().split(' ').next().unwrap();
    for bad in [
        whole[..whole.len() / 2].to_owned(),
        whole.replace(&format!("m={memory}"), "m=4194304"),
        "hello\n".to_owned(),
        String::new(),
    ] {
        fs::write(&lock, &bad).unwrap();
        sampan(&["list", &dir, "members", "--passphrase-file", &right]).refused(5, "lock");
        sampan(&["passphrase", &dir, "remove", "--passphrase-file", &right]).refused(5, "lock");
        assert_eq!(fs::read_to_string(&lock).unwrap(), bad);
    }
    fs::write(&lock, &whole).unwrap();
    sampan(&["list", &dir, "members", "--passphrase-file", &right]).ok();
}

#[cfg(not(feature = "encryption"))]
#[test]
fn a_program_without_encryption_leaves_an_encrypted_folder_alone() {
    let w = World::three_levels();
    let dir = w.path("branch");
    w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    sampan(&["encrypt", &dir]).refused(1, "built without encryption");
    assert!(!Path::new(&dir).join("keys/database.key").exists());
    assert_eq!(w.list("sampan", "branch", "members").len(), 1);
    // As a folder looks that a program with encryption made.
    let key = Path::new(&dir).join("keys/database.key");
    fs::write(&key, format!("sampan database key, version 1\n{}\n", "07".repeat(32))).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&key, mode).unwrap();
    let closed: Vec<u8> = (0..40_960_u32).map(|n| (n * 131 % 251) as u8).collect();
    let file = Path::new(&dir).join("store.db");
    fs::write(&file, &closed).unwrap();
    let (backup, new) = (w.path("b"), w.path("new"));
    for args in [
        ["list", &dir, "members"].as_slice(),
        &["add", &dir, "members", "full_name=B"],
        &["sync", &dir],
        &["verify", &dir],
        &["verify", &dir, "--repair"],
        &["backup", &dir, &backup],
    ] {
        sampan(args).refused(1, "is encrypted");
        assert_eq!(fs::read(&file).unwrap(), closed, "{args:?}");
    }
    assert!(!Path::new(&backup).exists() && !Path::new(&new).exists());
    sampan(&["doctor", &dir]).refused(1, "");
}
