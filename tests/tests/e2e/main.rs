//! The real binaries end to end: what a person types, what is printed, how it ends.
//!
//! They do not: look inside the library, but to make an organisation where a command cannot.

mod one_pc;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the binaries lie.
pub struct Bins {
    /// `sampan`.
    pub sampan: PathBuf,
    /// `sampan-relay`.
    pub relay: PathBuf,
}

/// Builds the workspace's binaries, once, in the profile of this test.
pub fn bins() -> &'static Bins {
    static BINS: OnceLock<Bins> = OnceLock::new();
    BINS.get_or_init(|| {
        // …/TARGET/PROFILE/deps/e2e-HASH
        let own = std::env::current_exe().unwrap();
        let folder = own.parent().and_then(Path::parent).unwrap().to_owned();
        let profile = folder.file_name().unwrap().to_str().unwrap();
        let profile = if profile == "debug" { "dev" } else { profile };
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built = Command::new(cargo)
            .args(["build", "--bins", "-p", "sampan-node", "-p", "sampan-relay", "--profile", profile])
            .arg("--target-dir")
            .arg(folder.parent().unwrap())
            .current_dir(workspace)
            .status();
        assert!(built.unwrap().success(), "the binaries do not build");
        Bins { sampan: folder.join("sampan"), relay: folder.join("sampan-relay") }
    })
}

/// How a command ended.
#[derive(Debug)]
pub struct Output {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Output {
    /// The one object printed.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The objects printed, one a line.
    pub fn lines(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }

    /// The error object on stderr.
    pub fn error(&self) -> serde_json::Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        value["error"].clone()
    }
}

/// Runs a binary, in English unless the arguments say otherwise.
pub fn run(bin: &Path, arguments: &[&str]) -> Output {
    let out = Command::new(bin).args(arguments).env("LC_ALL", "C").env_remove("SAMPAN_LANG").output().unwrap();
    Output {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

/// Runs `sampan`.
pub fn sampan(arguments: &[&str]) -> Output {
    run(&bins().sampan, arguments)
}

/// Runs `sampan`, which must end with exit 0.
pub fn ok(arguments: &[&str]) -> Output {
    let out = sampan(arguments);
    assert_eq!(out.code, 0, "{arguments:?}: {out:?}");
    out
}
