//! What tells this machine, this boot and this database file from their copies.
//!
//! It does not: decide anything; the replica compares these with what stands beside its nonce.
//!
//! Invariants: only hashes leave this module; what cannot be read is `None`, which counts as
//! unchanged. `SAMPAN_MACHINE_ID` and `SAMPAN_BOOT_ID` stand in for the system's words; they are for
//! tests.

use sampan_core::hash::tagged16;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The facts, each hashed; `None` = could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MachineFacts {
    /// The machine's id.
    pub machine: Option<[u8; 16]>,
    /// This boot's id.
    pub boot: Option<[u8; 16]>,
    /// The database file: device, inode, and time of birth where the file system has one.
    pub file: Option<[u8; 16]>,
}

/// Reads the facts; `env` looks up an environment variable.
#[must_use]
pub fn machine_facts(database: &Path, env: &dyn Fn(&str) -> Option<String>) -> MachineFacts {
    let word = |variable: &str, path: &str| {
        let text = env(variable).or_else(|| fs::read_to_string(path).ok())?;
        let text = text.trim();
        // An image that is to be cloned says "uninitialized"; that tells nothing.
        (!text.is_empty() && text != "uninitialized").then(|| text.to_owned())
    };
    MachineFacts {
        machine: word("SAMPAN_MACHINE_ID", "/etc/machine-id").map(|w| tagged16("machine-id", &[w.as_bytes()])),
        boot: word("SAMPAN_BOOT_ID", "/proc/sys/kernel/random/boot_id").map(|w| tagged16("boot-id", &[w.as_bytes()])),
        file: file_identity(database),
    }
}

fn file_identity(database: &Path) -> Option<[u8; 16]> {
    let meta = fs::metadata(database).ok()?;
    let born =
        meta.created().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
    Some(tagged16("database-file", &[&meta.dev().to_be_bytes(), &meta.ino().to_be_bytes(), &born.to_be_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(machine: &'static str, boot: &'static str) -> impl Fn(&str) -> Option<String> {
        move |name| match name {
            "SAMPAN_MACHINE_ID" => Some(machine.to_owned()),
            "SAMPAN_BOOT_ID" => Some(boot.to_owned()),
            _ => None,
        }
    }

    #[test]
    fn the_same_place_gives_the_same_facts_and_a_copy_others() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.db"), dir.path().join("b.db"));
        fs::write(&a, "x").unwrap();
        fs::copy(&a, &b).unwrap();
        let first = machine_facts(&a, &env("m1", "b1"));
        assert_eq!(machine_facts(&a, &env("m1\n", "b1")), first);
        fs::write(&a, "more").unwrap();
        assert_eq!(machine_facts(&a, &env("m1", "b1")), first, "writing keeps the identity");
        assert_ne!(machine_facts(&b, &env("m1", "b1")).file, first.file);
        assert_ne!(machine_facts(&a, &env("m2", "b1")).machine, first.machine);
        assert_ne!(machine_facts(&a, &env("m1", "b2")).boot, first.boot);
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        let facts = machine_facts(Path::new("/nowhere/at/all"), &env("uninitialized", " "));
        assert_eq!(facts, MachineFacts::default());
    }
}
