//! Tests of the folder of a replica.

use super::*;
use crate::entropy::SystemEntropy;
use std::os::unix::fs::PermissionsExt;

fn made(path: &Path) -> Dir {
    let new = Dir::create(path).unwrap();
    fs::write(new.dir().config(), "").unwrap();
    new.keep().unwrap()
}

#[test]
fn a_missing_and_an_empty_folder_can_be_taken() {
    let t = tempfile::tempdir().unwrap();
    for path in [t.path().join("a/b"), t.path().join("empty")] {
        if path.ends_with("empty") {
            fs::create_dir(&path).unwrap();
        }
        let dir = made(&path);
        assert_eq!(Dir::open(&path).unwrap(), dir);
        let mode = fs::metadata(dir.keys()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[test]
fn a_folder_that_is_not_ours_is_left_alone() {
    let t = tempfile::tempdir().unwrap();
    fs::write(t.path().join("thesis.odt"), "years of work").unwrap();
    let err = Dir::create(t.path()).unwrap_err();
    assert!(err.to_string().contains("not empty and not a Sampan folder; choose another"), "{err}");
    assert!(matches!(Dir::open(t.path()), Err(DirError::NotOurs { .. })));
    assert_eq!(fs::read_dir(t.path()).unwrap().count(), 1);
    let file = t.path().join("thesis.odt");
    assert!(matches!(Dir::create(&file), Err(DirError::NotAFolder { .. })));
}

#[test]
fn a_replica_is_not_made_over_another() {
    let t = tempfile::tempdir().unwrap();
    let path = t.path().join("r");
    made(&path);
    assert_eq!(Dir::look(&path).unwrap(), Found::Ours);
    assert!(matches!(Dir::create(&path), Err(DirError::Foreign { .. })));
}

#[test]
fn what_is_not_kept_goes_again() {
    let t = tempfile::tempdir().unwrap();
    let (missing, empty) = (t.path().join("missing"), t.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    for path in [&missing, &empty] {
        let new = Dir::create(path).unwrap();
        fs::write(new.dir().store(), "half").unwrap();
        drop(new);
    }
    assert!(!missing.exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn a_making_that_was_cut_off_can_be_done_again() {
    let t = tempfile::tempdir().unwrap();
    let new = Dir::create(t.path()).unwrap();
    fs::write(new.dir().store(), "half").unwrap();
    fs::write(t.path().join("store.db-wal"), "half").unwrap();
    std::mem::forget(new);
    assert_eq!(Dir::look(t.path()).unwrap(), Found::Free);
    let again = Dir::create(t.path()).unwrap();
    assert!(!again.dir().store().exists());
    std::mem::forget(again);
    // A stranger's file makes it the stranger's folder.
    fs::write(t.path().join("letter.txt"), "dear").unwrap();
    assert_eq!(Dir::look(t.path()).unwrap(), Found::Foreign);
}

#[test]
fn system_errors_become_sentences() {
    let p = Path::new("/x");
    let text = |kind| DirError::from_io(p, io::Error::from(kind)).to_string();
    assert!(text(io::ErrorKind::ReadOnlyFilesystem).contains("cannot be written"));
    assert!(text(io::ErrorKind::PermissionDenied).contains("cannot be written"));
    assert!(text(io::ErrorKind::StorageFull).contains("disk is full"));
}

#[test]
fn one_process_at_a_time_keeps_the_link() {
    let t = tempfile::tempdir().unwrap();
    let dir = made(&t.path().join("r"));
    assert_eq!(dir.running().unwrap(), Running::Nobody);
    let lock = dir.lock().unwrap();
    assert_eq!(dir.running().unwrap(), Running::OneShot);
    let info = RunInfo::draw(4711, &mut SystemEntropy);
    lock.announce(&info).unwrap();
    assert_eq!(dir.running().unwrap(), Running::Daemon(info.clone()));
    let mode = fs::metadata(dir.root().join("run.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    match dir.lock() {
        Err(DirError::Busy { pid, .. }) => assert_eq!(pid, Some(info.pid)),
        other => panic!("{other:?}"),
    }
    drop(lock);
    assert_eq!(dir.running().unwrap(), Running::Nobody);
    assert!(!dir.root().join("run.json").exists());
}

#[test]
fn a_run_file_without_a_lock_is_stale() {
    let t = tempfile::tempdir().unwrap();
    let dir = made(&t.path().join("r"));
    let lock = dir.lock().unwrap();
    lock.announce(&RunInfo::draw(1, &mut SystemEntropy)).unwrap();
    let left = fs::read(dir.root().join("run.json")).unwrap();
    drop(lock);
    fs::write(dir.root().join("run.json"), left).unwrap();
    assert_eq!(dir.running().unwrap(), Running::Nobody);
    let _lock = dir.lock().unwrap();
    assert_eq!(dir.running().unwrap(), Running::OneShot, "the stale file is gone");
}

#[test]
fn an_atomic_write_leaves_the_old_file_when_it_fails() {
    let t = tempfile::tempdir().unwrap();
    let path = t.path().join("f");
    write_atomic(&path, b"one", 0o600).unwrap();
    fs::create_dir(t.path().join("f.new")).unwrap();
    assert!(write_atomic(&path, b"two", 0o600).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"one");
}
