//! How the tests start and ask the binaries.
//!
//! It does not: assert what a command is for.

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// The folder of the binaries, built once in this test's own profile.
pub fn bins() -> &'static Path {
    static BINS: OnceLock<PathBuf> = OnceLock::new();
    BINS.get_or_init(|| {
        let exe = std::env::current_exe().unwrap();
        let profile = exe.parent().and_then(Path::parent).unwrap().to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--bins"]);
        if cfg!(feature = "encryption") {
            // The packages that have the feature, with what this test was built with: nothing is built twice.
            build.args(["-p", "sampan-node", "-p", "sampan-relay", "-p", "sampan-tests"]);
            build.args(["--features", "sampan-tests/encryption"]);
        } else {
            build.arg("--workspace");
        }
        if profile.ends_with("release") {
            build.arg("--release");
        }
        // What cargo tells a test of its package would make the build scripts of others run anew, and their
        // crates with them, each time that a build from the shell and one from here take turns.
        for (name, _) in std::env::vars_os() {
            let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
            if name.to_str().is_some_and(|n| of_package.iter().any(|p| n.starts_with(p))) {
                build.env_remove(name);
            }
        }
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        assert!(build.status().unwrap().success(), "the binaries do not build");
        profile
    })
}

/// What a command came to.
#[derive(Debug)]
pub struct Out {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Out {
    /// Exit 0, else everything is shown.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
    /// This exit and these words in what was said.
    pub fn refused(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(words), "'{words}' is not in: {}", self.stderr);
        self
    }
    /// stdout as one JSON object.
    pub fn json(&self) -> Json {
        serde_json::from_str(self.stdout.trim()).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
    /// stdout as one JSON object a line.
    pub fn lines(&self) -> Vec<Json> {
        self.stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }
    /// The first line of stdout.
    pub fn first(&self) -> String {
        self.stdout.lines().next().unwrap_or_default().to_owned()
    }
}

/// The files under a folder that hold these words. Searched as text, which the standard library does fast also in a
/// test that is not optimized.
pub fn holding(dir: &Path, needle: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(holding(&path, needle));
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(needle) {
            out.push(path);
        }
    }
    out
}

/// A command with clean surroundings.
pub fn command(bin: &str, args: &[&str]) -> Command {
    let mut c = Command::new(bins().join(bin));
    c.args(args).env("SAMPAN_LANG", "en").env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    c
}

/// Runs a prepared command to its end.
pub fn finish(mut c: Command) -> Out {
    let out = c.output().unwrap();
    Out {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// Runs `sampan`.
pub fn sampan(args: &[&str]) -> Out {
    finish(command("sampan", args))
}

/// Runs `sampan-relay`.
pub fn relay(args: &[&str]) -> Out {
    finish(command("sampan-relay", args))
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    /// The address that it said it is ready at.
    pub ready: String,
}

impl Daemon {
    /// Starts a binary's `run` and waits until it is ready.
    pub fn start(bin: &str, args: &[&str]) -> Self {
        Self::of(command(bin, args))
    }
    /// The same of a command that was prepared.
    pub fn of(mut c: Command) -> Self {
        let mut child = c.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "not ready: '{line}'");
        let ready = line.trim_start_matches("ready ").trim().to_owned();
        Self { child, ready }
    }
    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    /// Asks it to stop, and waits.
    pub fn stop(mut self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A city, a district and a branch of it, as folders; the relays run.
pub struct World {
    pub dir: tempfile::TempDir,
    pub city_daemon: Option<Daemon>,
    pub district_daemon: Option<Daemon>,
}

impl World {
    /// City and district relays running and in step; a branch joined.
    pub fn three_levels() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let w = Self { dir, city_daemon: None, district_daemon: None };
        let (city, district) = (w.path("city"), w.path("district"));
        relay(&["init", &city, "--org", "Thành phố", "--listen", "127.0.0.1:0"]).ok();
        relay(&["unit", "add", &city, "--name", "Quận Ba Đình", "--code", "001", "--kind", "district"]).ok();
        relay(&["unit", "add", &city, "--parent", "001", "--name", "Chi bộ 1", "--code", "001.1", "--kind", "branch"])
            .ok();
        relay(&["unit", "add", &city, "--parent", "001", "--name", "Chi bộ 2", "--code", "001.2", "--kind", "branch"])
            .ok();
        let mut w = w;
        w.city_daemon = Some(Daemon::start("sampan-relay", &["run", &city]));
        let ticket = relay(&["invite", &city, "--unit", "001", "--role", "admin", "--holder", "Quận"]).ok().first();
        relay(&["join", &district, &ticket, "--listen", "127.0.0.1:0"]).ok();
        w.district_daemon = Some(Daemon::start("sampan-relay", &["run", &district]));
        w.sync_relay("district");
        w.join_branch("branch", "001.1");
        w
    }

    /// A path inside the world.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// A new device of a branch, joined at the district and in step.
    pub fn join_branch(&self, name: &str, unit: &str) {
        let ticket = relay(&["invite", &self.path("district"), "--unit", unit, "--role", "editor", "--holder", name])
            .ok()
            .first();
        sampan(&["join", &self.path(name), &ticket]).ok();
        self.sync(name);
    }

    /// `sampan sync`, which must verify.
    pub fn sync(&self, name: &str) -> Json {
        let out = sampan(&["sync", &self.path(name), "--json", "--timeout", "60"]).ok();
        assert_eq!(out.json()["verified"], true, "{out:?}");
        out.json()
    }

    /// `sampan-relay sync`, which must verify.
    pub fn sync_relay(&self, name: &str) -> Json {
        let out = relay(&["sync", &self.path(name), "--json", "--timeout", "60"]).ok();
        assert_eq!(out.json()["verified"], true, "{out:?}");
        out.json()
    }

    /// Adds a record; its id.
    pub fn add(&self, name: &str, collection: &str, fields: &[&str]) -> String {
        let dir = self.path(name);
        let mut args = vec!["add", dir.as_str(), collection];
        args.extend(fields);
        sampan(&args).ok().first()
    }

    /// One field of a record at a replica, of whichever program.
    pub fn field(&self, bin: &str, name: &str, record: &str, field: &str) -> Json {
        finish(command(bin, &["show", &self.path(name), record, "--json"])).ok().json()[field].clone()
    }

    /// Every record of a collection, as `list --json` shows it.
    pub fn list(&self, bin: &str, name: &str, collection: &str) -> Vec<Json> {
        finish(command(bin, &["list", &self.path(name), collection, "--json"])).ok().lines()
    }
}

/// Copies a folder, as `cp -r` does: other files, the same content.
pub fn copy_folder(from: &str, to: &str) {
    let status = Command::new("cp").args(["-r", from, to]).status().unwrap();
    assert!(status.success());
}

/// Plain SQL over the database of a folder; with its key where it is encrypted (one that was in the clear when it
/// was first asked for, and may be sealed since).
pub fn database(dir: &str) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(Path::new(dir).join("store.db")).unwrap();
    if let Some(key) = database_key(dir) {
        db.execute_batch(&format!("PRAGMA cipher_log = off; PRAGMA key = \"x'{key}'\"")).unwrap();
    }
    db
}

/// The database key of a folder in hex, where it has one.
pub fn database_key(dir: &str) -> Option<String> {
    static SEEN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let text = std::fs::read_to_string(Path::new(dir).join("keys/database.key")).ok()?;
    let mut seen = SEEN.lock().unwrap();
    if let Some(key) = text.lines().nth(1).filter(|digits| digits.len() == 64) {
        seen.insert(dir.to_owned(), key.to_owned());
    }
    Some(seen.get(dir).unwrap_or_else(|| panic!("the key of {dir} was never in the clear")).clone())
}
