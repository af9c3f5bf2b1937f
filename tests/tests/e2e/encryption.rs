//! An encrypted database: no name of a member in any byte of a locked folder, and everything else as without.
//!
//! Built with the feature `encryption` alone: `.ci/run encryption`, or
//! `cargo test -p sampan-tests --features encryption --test e2e encryption`.
//!
//! Invariants: the same search over the same steps in a plain folder finds the names: it can fail.

use crate::world::{Daemon, World, command, database, database_key, finish, relay, sampan};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const WORDS: &str = "con đò nhỏ bến sông";
const OTHER: &str = "mưa trên phố cổ";

/// Words that stand in no program and no other file: names as they are written and as search folds them.
const KEPT: &str = "Zỹxwquang Độc Nhất";
const EDITED: &str = "Qwỳxzuân Vô Song";
const REMOVED: &str = "Xừzwqyến Khuyết Danh";
const LATE: &str = "Wzậqxinh Sau Cùng";
const NEEDLES: [&str; 9] =
    [KEPT, EDITED, REMOVED, LATE, "zyxwquang", "qwyxzuan", "xuzwqyen", "wzaqxinh", "0987-zqj-654"];

fn words(w: &World, name: &str, text: &str) -> String {
    let path = w.path(name);
    fs::write(&path, format!("{text}\n")).unwrap();
    path
}

/// Every file below a folder, with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            // A daemon's file may go between the two.
            out.insert(path, bytes);
        }
    }
    out
}

/// A text in the forms that it could lie in.
fn forms(text: &str) -> [Vec<u8>; 3] {
    let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect();
    [text.as_bytes().to_vec(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)]
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    // Most bytes are not its first: a search of every window takes minutes in a debug build.
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|b| *b == needle[0]) {
        if bytes[from + at..].starts_with(needle) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// The files at a path that hold a name or number of a member in any form, with what they hold.
fn found(at: &Path) -> Vec<(String, String)> {
    let all = if at.is_dir() { files(at) } else { BTreeMap::from([(at.to_owned(), fs::read(at).unwrap())]) };
    let mut out = Vec::new();
    for (path, bytes) in all {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let inside = |needle: &&&str| forms(needle).iter().any(|form| holds(&bytes, form));
        out.extend(NEEDLES.iter().filter(inside).map(|needle| (name.clone(), (*needle).to_owned())));
    }
    out
}

/// Runs a command of `sampan` in a folder, with its passphrase where it has one.
fn run(args: &[&str], passphrase: Option<&str>) -> String {
    let mut c = command("sampan", args);
    if let Some(file) = passphrase {
        c.env("SAMPAN_PASSPHRASE_FILE", file);
    }
    finish(c).ok().first()
}

/// Work of a day in a folder, with looks at it in between: adds, edits, removals, a daemon, a crash of it.
fn a_day(w: &World, name: &str, passphrase: Option<&str>, look: &mut dyn FnMut(&str)) {
    let dir = w.path(name);
    let add = |full: &str, notes: &str| {
        let (full, notes) = (format!("full_name={full}"), format!("notes={notes}"));
        run(&["add", &dir, "members", &full, "phone=0987-zqj-654", &notes], passphrase)
    };
    add(KEPT, "");
    // Long enough for pages of its own, which are free pages after the removal.
    let long = format!("{REMOVED} ").repeat(400);
    let edited = add(EDITED, &long);
    let removed = add(REMOVED, &long);
    look("after adds");
    run(&["set", &dir, &edited, "full_name=Ai Đó", "notes="], passphrase);
    run(&["set", &dir, &removed, "notes="], passphrase);
    run(&["remove", &dir, &removed], passphrase);
    run(&["sync", &dir], passphrase);
    look("after edits, removals and a sync");
    let mut args = vec!["run", &dir];
    args.extend(passphrase.iter().flat_map(|file| ["--passphrase-file", file]));
    let daemon = Daemon::start("sampan", &args);
    add(LATE, "");
    run(&["sync", &dir], passphrase);
    look("beside a daemon");
    daemon.kill();
    let log = Path::new(&dir).join("store.db-wal");
    assert!(fs::metadata(&log).is_ok_and(|m| m.len() > 4_096), "the crash left no write-ahead log to look at");
    look("after a crash");
    run(&["bundle", "create", &dir, &w.path(&format!("{name}.bundle"))], passphrase);
    assert_eq!(found(Path::new(&w.path(&format!("{name}.bundle")))), []);
    look("after a bundle");
}

/// A second folder of the branch, as a build without encryption would have made it.
fn plain_branch(w: &World, name: &str) -> String {
    w.join_branch(name, "001.1");
    let dir = w.path(name);
    let (path, plain) = (Path::new(&dir).join("store.db"), Path::new(&dir).join("plain.db"));
    let db = database(&dir);
    let heads = |name: &str| db.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).unwrap();
    let (id, version) = (heads("application_id"), heads("user_version"));
    db.execute("ATTACH DATABASE ?1 AS plain KEY ''", [plain.to_str().unwrap()]).unwrap();
    db.query_row("SELECT sqlcipher_export('plain')", [], |_| Ok(())).unwrap();
    db.execute_batch(&format!("PRAGMA plain.application_id = {id}; PRAGMA plain.user_version = {version}")).unwrap();
    drop(db);
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(Path::new(&dir).join(format!("store.db{ending}")));
    }
    fs::rename(plain, path).unwrap();
    fs::remove_file(Path::new(&dir).join("keys/database.key")).unwrap();
    dir
}

#[test]
fn no_byte_of_a_locked_folder_holds_a_name_of_a_member() {
    let w = World::three_levels();
    let (dir, right, wrong) = (w.path("branch"), words(&w, "right", WORDS), words(&w, "wrong", OTHER));
    let key = database_key(&dir).expect("a new folder has a database key");
    let bytes = data_encoding::HEXLOWER.decode(key.as_bytes()).unwrap();
    let set = sampan(&["passphrase", &dir, "set", "--passphrase-file", &right]).ok();
    assert!(set.stderr.contains("nobody reads them without it"), "{set:?}");
    let mut looks = 0;
    a_day(&w, "branch", Some(&right), &mut |when| {
        assert_eq!(found(Path::new(&dir)), [], "{when}");
        for (path, held) in files(Path::new(&dir)) {
            assert!(!holds(&held, key.as_bytes()) && !holds(&held, &bytes), "{when}: the key is in {}", path.display());
        }
        looks += 1;
    });
    assert_eq!(looks, 5);

    // A backup is as closed, and so is the folder made of it.
    let (file, new) = (w.path("branch.backup"), w.path("restored"));
    sampan(&["backup", &dir, &file]).refused(3, "under a passphrase");
    assert!(!Path::new(&file).exists());
    run(&["backup", &dir, &file], Some(&right));
    assert_eq!(found(Path::new(&file)), []);
    for no in [None, Some(wrong.as_str())] {
        let mut c = command("sampan", &["restore", &file, &new]);
        c.envs(no.map(|n| ("SAMPAN_PASSPHRASE_FILE", n)));
        assert_eq!(finish(c).code, 3);
        assert!(!Path::new(&new).exists(), "nothing is made of it without the words");
    }
    run(&["restore", &file, &new], Some(&right));
    assert_eq!(found(Path::new(&new)), []);

    // Wrong words open nothing and change nothing but the count of tries.
    let still = |dir: &str| {
        let mut all = files(Path::new(dir));
        all.retain(|path, _| !path.ends_with("tries") && !path.ends_with("store.db-shm"));
        all
    };
    let before = still(&dir);
    sampan(&["list", &dir, "members"]).refused(3, "under a passphrase");
    sampan(&["list", &dir, "members", "--passphrase-file", &wrong]).refused(3, "not the passphrase");
    assert!(still(&dir) == before, "a wrong passphrase changed a file");

    // It is all there for those who have them.
    for name in [&dir, &new] {
        let out = sampan(&["list", name, "members", "--search", "zyxwquang", "--passphrase-file", &right]).ok();
        assert!(out.stdout.contains(KEPT), "{out:?}");
        assert!(sampan(&["list", name, "members", "--passphrase-file", &right]).ok().stdout.contains(LATE));
        sampan(&["verify", name, "--passphrase-file", &right]).ok();
    }
    sampan(&["sync", &new, "--passphrase-file", &right]).ok();

    // Above, keys lie without a passphrase: whoever takes the folder has the key; who has store.db alone has nothing.
    let above = Path::new(&w.path("district")).join("store.db");
    assert!(relay(&["list", &w.path("district"), "members"]).ok().stdout.contains(KEPT));
    assert_eq!(found(&above), []);
}

#[test]
fn the_same_search_finds_the_names_in_a_plain_folder_until_it_is_encrypted() {
    let w = World::three_levels();
    let dir = plain_branch(&w, "plain");
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut last = Vec::new();
    a_day(&w, "plain", None, &mut |when| {
        last = found(Path::new(&dir));
        assert!(!last.is_empty(), "{when}");
        seen.extend(last.iter().cloned());
    });
    for needle in NEEDLES {
        assert!(seen.iter().any(|(_, held)| held == needle), "{needle} is nowhere to be found");
    }
    assert!(seen.iter().any(|(file, _)| file == "store.db-wal"), "the write-ahead log: {seen:?}");
    assert!(last.iter().any(|(file, held)| file == "store.db" && held == REMOVED), "free pages: {last:?}");

    let doctor = |dir: &str| {
        let found = sampan(&["doctor", dir, "--json"]).json()["findings"].as_array().unwrap().clone();
        found.into_iter().find(|f| f["check"] == "encryption").unwrap()["state"].clone()
    };
    assert_eq!(doctor(&dir), "note");
    let rows = w.list("sampan", "plain", "members");
    let status = |dir: &str| {
        let mut s = sampan(&["status", dir, "--json"]).ok().json();
        s.as_object_mut().unwrap().remove("news_from_above_at");
        s
    };
    let before = status(&dir);
    let reader = database(&dir);
    reader.query_row("SELECT count(*) FROM commits", [], |r| r.get::<_, i64>(0)).unwrap();
    sampan(&["encrypt", &dir]).refused(1, "busy");
    drop(reader);
    assert_eq!(doctor(&dir), "note", "nothing was changed");
    let said = sampan(&["encrypt", &dir]).ok();
    assert!(said.stderr.contains("passphrase"), "its key lies in the clear: {said:?}");
    assert!(said.stderr.contains("overwritten"), "{said:?}");
    assert_eq!(doctor(&dir), "ok");
    assert_eq!(found(Path::new(&dir)), []);
    assert_eq!(w.list("sampan", "plain", "members"), rows);
    assert_eq!(status(&dir), before, "the same store, with its ticks");
    sampan(&["verify", &dir]).ok();
    w.sync("plain");
    assert_eq!(sampan(&["encrypt", &dir, "--json"]).ok().json()["changed"], false);
}

/// Where a leaf of a table lies in the file.
fn page_of(dir: &str, table: &str) -> usize {
    let db = database(dir);
    let sql = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' LIMIT 1";
    db.query_row(sql, [table], |r| r.get::<_, i64>(0)).unwrap() as usize
}

fn spoil(dir: &str, page: usize) {
    let path = Path::new(dir).join("store.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[(page - 1) * 4_096 + 1_000] ^= 4;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_bit_that_flips_in_an_encrypted_database_is_found_and_comes_back_from_above() {
    let w = World::three_levels();
    let dir = w.path("branch");
    let long = "Hồ sơ dài ".repeat(200);
    let ids: Vec<String> = (0..30)
        .map(|n| w.add("branch", "members", &[&format!("full_name=An {n}"), &format!("notes={long}{n}")]))
        .collect();
    w.sync("branch");
    let rows = w.list("sampan", "branch", "members");
    for table in ["packs", "commits", "hist", "_rows_members"] {
        spoil(&dir, page_of(&dir, table));
        let out = sampan(&["verify", &dir, "--json"]);
        assert_eq!(out.code, 5, "{table}: {out:?}");
        assert!(!out.json()["damaged"].as_array().unwrap().is_empty(), "{table}");
        let out = sampan(&["verify", &dir, "--repair", "--json"]);
        assert!([0, 4].contains(&out.code), "{table}: {out:?}");
        w.sync("branch");
        sampan(&["verify", &dir]).ok();
        assert_eq!(w.list("sampan", "branch", "members"), rows, "{table}");
        assert_eq!(w.field("sampan", "branch", &ids[0], "full_name"), "An 0");
        assert!(fs::read(Path::new(&dir).join("store.db")).unwrap()[..6] != *b"SQLite", "{table}: as closed as before");
    }

    // The first page opens all others: without it, and without its key, one sentence, and nothing is touched.
    let path = Path::new(&dir).join("store.db");
    let whole = fs::read(&path).unwrap();
    spoil(&dir, 1);
    let spoilt = fs::read(&path).unwrap();
    for args in [["list", &dir, "members"].as_slice(), &["verify", &dir], &["verify", &dir, "--repair"]] {
        sampan(args).refused(5, "its first page is damaged");
        assert_eq!(fs::read(&path).unwrap(), spoilt);
    }
    fs::write(&path, &whole).unwrap();
    let key = Path::new(&dir).join("keys/database.key");
    let away = Path::new(&dir).with_extension("key");
    fs::rename(&key, &away).unwrap();
    sampan(&["list", &dir, "members"]).refused(5, "keys/database.key is missing");
    fs::copy(Path::new(&w.path("district")).join("keys/database.key"), &key).unwrap();
    sampan(&["list", &dir, "members"]).refused(5, "keys/database.key does not open");
    assert_eq!(fs::read(&path).unwrap(), whole);
    fs::rename(&away, &key).unwrap();
    assert_eq!(w.list("sampan", "branch", "members"), rows);
}

#[test]
fn an_emptied_folder_is_refilled_encrypted_and_recovery_opens_the_database_too() {
    let w = World::three_levels();
    let (dir, old, new) = (w.path("branch"), words(&w, "old", WORDS), words(&w, "new", OTHER));
    w.add("branch", "members", &[&format!("full_name={KEPT}")]);
    w.sync("branch");
    fs::remove_file(Path::new(&dir).join("store.db")).unwrap();
    fs::remove_file(Path::new(&dir).join("keys/database.key")).unwrap();
    w.sync("branch");
    assert!(w.list("sampan", "branch", "members")[0]["full_name"] == KEPT);
    assert_eq!(found(Path::new(&dir)), []);

    sampan(&["passphrase", &dir, "set", "--passphrase-file", &old]).ok();
    let (request, answer) = (w.path("request"), w.path("answer"));
    let code = sampan(&["recovery", "ask", &dir, &request]).ok().first();
    relay(&["recovery", "answer", &w.path("district"), &request, &answer, "--code", &code]).ok();
    sampan(&["recovery", "finish", &dir, &answer, "--new-passphrase-file", &new]).ok();
    sampan(&["list", &dir, "members", "--passphrase-file", &old]).refused(3, "not the passphrase");
    let out = sampan(&["list", &dir, "members", "--passphrase-file", &new]).ok();
    assert!(out.stdout.contains(KEPT), "{out:?}");
}
