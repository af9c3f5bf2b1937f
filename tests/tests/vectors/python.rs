//! The formats from outside: what a real village holds, checked by a verifier in Python that was written
//! from the manual alone.
//!
//! It does not: run where the Python packages are missing, but for CI, where they are installed or the
//! test fails.

use sampan_core::charter::{Roles, Ticket};
use sampan_core::id::{DeviceId, OrgId, SpaceId, StoreEpoch};
use sampan_core::pack::Stored;
use sampan_core::store::{CommitKey, Store};
use sampan_core::testing::MemStore;
use sampan_core::testing::village::Village;
use sampan_core::wire;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

fn mem(org: OrgId, device: DeviceId, epoch: StoreEpoch) -> Box<dyn Store> {
    Box::new(MemStore::new(org, device, epoch))
}

/// A city and a branch that has written records of every kind of entry, and a ticket for another.
fn village() -> (Village, String) {
    let mut v = Village::found(31, Arc::new(Stored), &mut mem);
    let root = v.root();
    let unit = v.unit(0, root, "Chi bộ 1", "branch");
    let ticket = v.invite(0, unit, Roles::EDITOR);
    let branch = v.join("branch", &ticket, &mut mem);
    assert!(v.sync(branch, 0).verified());
    let id = v.create(branch, unit, "members", &["full_name=Nguyễn Văn An", "card_number=1"]);
    v.seal(branch);
    v.set(branch, "members", id, &["full_name=Nguyễn Văn Ân"]);
    v.create(branch, unit, "members", &["full_name=Trần Thị Bình", "card_number=2"]);
    v.seal(branch);
    assert!(v.sync(branch, 0).verified());
    let next = v.invite(0, unit, Roles::READER).encode();
    (v, next)
}

/// Writes what the city holds: one file for each run of commits of one space.
fn export(v: &Village, ticket: &str, folder: &Path) {
    let store = &v.replicas[0].store;
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("org", &v.org.0);
    write("ticket.txt", ticket.as_bytes());
    let mut runs: Vec<(SpaceId, Vec<CommitKey>)> = Vec::new();
    for (log, row) in store.stored_after(CommitKey(0), 1_000).unwrap() {
        match runs.last_mut() {
            Some((space, keys)) if *space == log.space => keys.push(row.key),
            _ => runs.push((log.space, vec![row.key])),
        }
    }
    let groups = runs.iter().flat_map(|(space, keys)| store.groups(space, keys).unwrap());
    for (i, group) in groups.enumerate() {
        write(&format!("{i:04}.group"), &wire::encode(&group));
    }
}

fn verifier() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("verify/sampan_verify.py")
}

fn run(folder: &Path, packages: Option<&Path>) -> Option<Output> {
    let mut command = Command::new("python3");
    command.arg("-B").arg(verifier()).arg(folder);
    if let Some(packages) = packages {
        command.env("PYTHONPATH", packages);
    }
    command.output().ok()
}

/// Python with the packages: as it is, or in CI with them installed into `into`.
fn python(folder: &Path, into: &Path) -> Result<Option<PathBuf>, String> {
    let missing = match run(folder, None) {
        Some(out) if out.status.code() != Some(3) => return Ok(None),
        Some(out) => String::from_utf8_lossy(&out.stderr).into_owned(),
        None => "python3 is not there".to_owned(),
    };
    if std::env::var("CI").is_ok_and(|v| v == "true") {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(into);
        let out = pip.args(["blake3", "cryptography"]).output().expect("python3 is part of CI");
        assert!(out.status.success(), "pip: {}", String::from_utf8_lossy(&out.stderr));
        return Ok(Some(into.to_owned()));
    }
    Err(missing)
}

#[test]
fn a_verifier_in_another_language_agrees_and_sees_every_flipped_byte() {
    let (v, ticket) = village();
    let temp = tempfile::tempdir().unwrap();
    let (folder, packages) = (temp.path().join("export"), temp.path().join("packages"));
    std::fs::create_dir(&folder).unwrap();
    export(&v, &ticket, &folder);
    let packages = match python(&folder, &packages) {
        Ok(packages) => packages,
        Err(missing) => {
            // Past the capture of test output, which would hide the words of a test that passes.
            let words = format!("\n!!! SKIPPED: the verifier in Python did not run: {missing}\n");
            std::io::stderr().write_all(words.as_bytes()).unwrap();
            return;
        }
    };
    let check = |what: &str, holds: bool| {
        let out = run(&folder, packages.as_deref()).expect("it ran a moment ago");
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.status.code(), Some(i32::from(!holds)), "{what}: {said}");
        said
    };
    let said = check("the export as it is", true);
    assert!(said.contains("ticket sound"), "{said}");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 4, "more than one group: {files:?}");
    for file in &files {
        let whole = std::fs::read(file).unwrap();
        // The lengths vary, so that over all files every part is hit: headers, signatures, packs.
        for at in [0, whole.len() / 3, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            std::fs::write(file, &flipped).unwrap();
            check(&format!("{} with byte {at} flipped", file.display()), false);
        }
        std::fs::write(file, &whole).unwrap();
        if file.extension().is_some_and(|e| e == "group") {
            std::fs::write(file, &whole[..whole.len() - 1]).unwrap();
            check(&format!("{} cut", file.display()), false);
            std::fs::write(file, &whole).unwrap();
        }
    }
    check("the export put back", true);
    // A ticket whose check sum fits and whose grant is another key's, or another unit's.
    let sound = Ticket::decode(&ticket).unwrap();
    for (forged, why) in [
        (Ticket { seed: [9; 32], ..sound.clone() }, "another key"),
        (Ticket { unit: v.root(), ..sound.clone() }, "another unit"),
        (Ticket { org: OrgId([9; 32]), ..sound.clone() }, "another organisation"),
    ] {
        std::fs::write(folder.join("ticket.txt"), forged.encode()).unwrap();
        assert!(check(why, false).contains(why));
    }
    std::fs::write(folder.join("ticket.txt"), &ticket).unwrap();
    // A commit that others build on is missed when its file is gone.
    let first = files.iter().find(|f| f.extension().is_some_and(|e| e == "group")).unwrap();
    std::fs::remove_file(first).unwrap();
    assert!(check("the first group gone", false).contains("missing"));
}
