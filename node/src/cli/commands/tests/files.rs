//! `attach` and `fetch` on one folder, good and bad, and what the store keeps of it.
//!
//! They do not: carry a file anywhere.

use super::*;
use sampan_core::file::FileRef;
use sampan_core::limits::{FILE_CHUNK_BYTES, FILE_UNNAMED_MS};
use sampan_core::shelf::{FileKey, FileRun, Shelf as _};
use sampan_core::time::Millis;

/// Bytes of a scan: no two chunks alike.
pub(super) fn scan(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / FILE_CHUNK_BYTES * 31 + i * 7) as u8).collect()
}

fn open(d: &str) -> Replica {
    Replica::open(Path::new(d), &Settings::default()).unwrap()
}

fn directive(d: &str) -> String {
    done(&["add", d, "directives", "title=Chỉ thị 05", "number=05-CT"]).trim().to_owned()
}

#[test]
fn a_file_is_attached_and_written_out_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    let id = directive(d);
    for len in [0, 1, FILE_CHUNK_BYTES, 5 * FILE_CHUNK_BYTES + 17] {
        let (from, to) = (dir.path().join("Chỉ thị 05.pdf"), dir.path().join(format!("back-{len}.pdf")));
        std::fs::write(&from, scan(len)).unwrap();
        let said = json(&["attach", d, &id, "scan", from.to_str().unwrap()]);
        assert_eq!((&said["bytes"], &said["name"]), (&serde_json::json!(len), &"Chỉ thị 05.pdf".into()));
        assert_eq!(json(&["show", d, &id])["scan"], said["file"]);
        // The same again changes nothing.
        done(&["attach", d, &id, "scan", from.to_str().unwrap()]);
        let out = json(&["fetch", d, &id, "scan", to.to_str().unwrap()]);
        assert_eq!((&out["whole"], &out["bytes_here"]), (&true.into(), &serde_json::json!(len)));
        assert_eq!(std::fs::read(&to).unwrap(), scan(len));
    }
    done(&["verify", d]);
}

#[test]
fn what_cannot_be_attached_or_fetched_is_told_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    let id = directive(d);
    let (pdf, out) = (dir.path().join("a.pdf"), dir.path().join("out.pdf"));
    std::fs::write(&pdf, scan(100)).unwrap();
    let large = dir.path().join("large.bin");
    std::fs::File::create(&large).unwrap().set_len(sampan_core::limits::FILE_BYTES_MAX + 1).unwrap();
    let (pdf, out, large) = (pdf.to_str().unwrap(), out.to_str().unwrap(), large.to_str().unwrap());
    let folder = dir.path().to_str().unwrap();
    let missing = format!("{folder}/none.pdf");
    let nobody = "00".repeat(16);
    for (parts, code, exit) in [
        (vec!["attach", d, &id, "scan", &missing], "file_unreadable", 2),
        (vec!["attach", d, &id, "scan", folder], "file_unreadable", 2),
        (vec!["attach", d, &id, "scan", large], "limit", 2),
        (vec!["attach", d, &id, "title", pdf], "field_not_file", 2),
        (vec!["attach", d, &id, "scna", pdf], "unknown_field", 2),
        (vec!["attach", d, &nobody, "scan", pdf], "unknown_record", 2),
        (vec!["attach", folder, &id, "scan", pdf], "dir_not_ours", 2),
        (vec!["fetch", d, &id, "scan", out], "file_none", 2),
        (vec!["fetch", d, &id, "title", out], "field_not_file", 2),
        (vec!["fetch", d, &nobody, "scan", out], "unknown_record", 2),
        (vec!["set", d, &id, "scan=a.pdf"], "file_form", 2),
    ] {
        let e = refused(&parts);
        assert_eq!((e.code, e.exit as u8), (code, exit), "{parts:?}: {e:?}");
        assert!(!e.message.is_empty() && !e.hint.is_empty(), "{e:?}");
    }
    assert_eq!(json(&["show", d, &id])["scan"], Json::Null);
    assert_eq!(open(d).store.files().unwrap(), Vec::<FileKey>::new());
    done(&["attach", d, &id, "scan", pdf]);
    std::fs::write(out, "mine").unwrap();
    assert_eq!(refused(&["fetch", d, &id, "scan", out]).code, "file_exists");
    assert_eq!(std::fs::read_to_string(out).unwrap(), "mine");
}

#[test]
fn a_file_that_is_not_here_is_wanted_and_what_is_missing_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    let id = directive(d);
    let bytes = scan(100 * FILE_CHUNK_BYTES);
    let manifest = sampan_core::file::Manifest::of(&bytes).unwrap();
    let file = FileRef::new(manifest.address(), manifest.size(), "a.pdf").unwrap();
    let key = FileKey { address: file.address, size: file.size };
    done(&["set", d, &id, &format!("scan={file}")]);
    let out = dir.path().join("out.pdf");
    // Too large to come by itself.
    assert!(open(d).store.wanted().unwrap().is_empty());
    let e = refused(&["fetch", d, &id, "scan", out.to_str().unwrap()]);
    assert_eq!((e.code, e.exit), ("file_not_here", ExitCode::NotInSync));
    assert!(!out.exists());
    let mut r = open(d);
    assert_eq!(r.store.wanted().unwrap().iter().map(|f| f.key).collect::<Vec<_>>(), vec![key]);
    assert_eq!(r.store.missing_chunks(&key, 9).unwrap(), vec![FileRun { first: 0, count: 100 }]);
    r.store.put_hashes(&key, &manifest.to_bytes()).unwrap();
    for i in [0_u32, 1, 2, 50] {
        let from = i as usize * FILE_CHUNK_BYTES;
        assert!(!r.store.put_chunk(&key, i, &bytes[from..from + FILE_CHUNK_BYTES]).unwrap());
    }
    let gaps = [FileRun { first: 3, count: 47 }, FileRun { first: 51, count: 49 }];
    assert_eq!(r.store.missing_chunks(&key, 9).unwrap(), gaps);
    assert_eq!(r.store.missing_chunks(&key, 1).unwrap(), gaps[..1]);
    assert_eq!(r.store.files_waiting().unwrap().bytes, 96 * FILE_CHUNK_BYTES as u64);
    // Twice is once.
    r.store.put_chunk(&key, 50, &bytes[..FILE_CHUNK_BYTES]).unwrap();
    for i in (3..50).chain(51..100) {
        let from = i as usize * FILE_CHUNK_BYTES;
        let whole = r.store.put_chunk(&key, i, &bytes[from..from + FILE_CHUNK_BYTES]).unwrap();
        assert_eq!(whole, i == 99);
    }
    assert!(r.store.wanted().unwrap().is_empty());
    drop(r);
    done(&["verify", d]);
    done(&["fetch", d, &id, "scan", out.to_str().unwrap()]);
    assert_eq!(std::fs::read(&out).unwrap(), bytes);
    // A flipped bit is found, not written out, and mended by what comes again.
    let db = rusqlite::Connection::open(Path::new(d).join("store.db")).unwrap();
    db.execute("UPDATE file_chunks SET bytes = zeroblob(length(bytes)) WHERE (id & 255) = 7", []).unwrap();
    drop(db);
    let again = dir.path().join("again.pdf");
    assert_eq!(refused(&["fetch", d, &id, "scan", again.to_str().unwrap()]).exit, ExitCode::Damaged);
    assert!(!again.exists());
    let r = open(d);
    let report = r.store.verify(&r.engine.org()).unwrap();
    assert!(report.damaged.iter().any(|d| d.table == "files" && d.what.contains("chunk 7")), "{report:?}");
    drop(r);
    done(&["verify", d, "--repair"]);
    let mut r = open(d);
    r.project().unwrap();
    assert_eq!(r.store.missing_chunks(&key, 9).unwrap(), vec![FileRun { first: 7, count: 1 }]);
    assert!(r.store.verify(&r.engine.org()).unwrap().damaged.is_empty());
}

#[test]
fn what_nothing_names_goes_after_its_time_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    let (id, other) = (directive(d), directive(d));
    let path = dir.path().join("a.pdf");
    let attach = |id: &str, len: usize| {
        std::fs::write(&path, scan(len)).unwrap();
        done(&["attach", d, id, "scan", path.to_str().unwrap()]);
    };
    attach(&id, 40_000);
    attach(&other, 40_000);
    attach(&id, 50_000);
    let mut r = open(d);
    let now = 1_800_000_000_000;
    let mut collect =
        |at: u64| (r.store.collect_files(Millis(at), FILE_UNNAMED_MS).unwrap(), r.store.files().unwrap().len());
    assert_eq!(collect(now), (0, 2));
    assert_eq!(collect(now + 2 * FILE_UNNAMED_MS), (0, 2), "the other record still names it");
    done(&["set", d, &other, "scan="]);
    assert_eq!(collect(now), (0, 2), "noticed");
    assert_eq!(collect(now + FILE_UNNAMED_MS - 1), (0, 2), "its time is not over");
    assert_eq!(collect(now + FILE_UNNAMED_MS), (1, 1));
    assert!(r.store.verify(&r.engine.org()).unwrap().damaged.is_empty());
    // Named again in time it stays.
    done(&["set", d, &id, "scan="]);
    assert_eq!(r.store.collect_files(Millis(now), FILE_UNNAMED_MS).unwrap(), 0);
    drop(r);
    attach(&id, 50_000);
    let mut r = open(d);
    assert_eq!(r.store.collect_files(Millis(now + 2 * FILE_UNNAMED_MS), FILE_UNNAMED_MS).unwrap(), 0);
    assert_eq!(r.store.files().unwrap().len(), 1);
    // Erased, it goes with the record at once, with all that the record ever named.
    drop(r);
    attach(&id, 60_000);
    done(&["erase", d, &id, "--reason", "theo yêu cầu"]);
    let r = open(d);
    assert_eq!(r.store.files().unwrap(), Vec::new());
    assert!(r.store.verify(&r.engine.org()).unwrap().damaged.is_empty());
}

#[test]
fn a_folder_of_a_version_that_knew_no_files_finds_those_that_its_rows_name() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    let id = directive(d);
    let manifest = sampan_core::file::Manifest::of(&scan(70_000)).unwrap();
    let file = FileRef::new(manifest.address(), manifest.size(), "a.pdf").unwrap();
    done(&["set", d, &id, &format!("scan={file}")]);
    crate::store::as_version_3(&Path::new(d).join("store.db"));
    let db = rusqlite::Connection::open(Path::new(d).join("store.db")).unwrap();
    for table in ["files", "file_chunks", "file_names", "file_told"] {
        db.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    db.execute_batch("DELETE FROM meta WHERE name = 'files_named'; PRAGMA user_version = 2").unwrap();
    drop(db);
    let mut r = open(d);
    r.project().unwrap();
    let wanted = r.store.wanted().unwrap();
    assert_eq!(wanted.iter().map(|f| f.key.address).collect::<Vec<_>>(), vec![file.address]);
    assert!(wanted[0].spaces.len() == 1 && !wanted[0].whole);
}
