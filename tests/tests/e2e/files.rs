//! Files of records with the real binaries: they come by themselves or when asked, over links that are cut, through the
//! levels, by stick, and go with their record.
//!
//! They do not: assert how long anything takes.

use crate::links::City;
use crate::world::{Daemon, Out, World, command, database, finish, holding, relay, sampan};
use sampan_tests::proxy::{After, Cut, Every, Link, Profile};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A scanned directive.
const SCAN: usize = 3_000_000;
/// One that comes by itself.
const SMALL: usize = 200_000;
/// What 256 kbit/s carry in the 10 s between two cuts, both directions together.
const BYTES_A_CUT: u64 = 320_000;
/// Of everything that a cut link carries at least half is the file: a cut costs a handshake and the greetings (8 kB) and
/// what was on its way (a few chunks of 16 kB).
const FACTOR: u64 = 2;
/// Rounds that a file may need through a relay that has to get it first.
const ROUNDS_MAX: usize = 40;

/// Bytes that do not compress, that no other file has, with a word in them.
fn scan(seed: u64, len: usize, word: &str) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out: Vec<u8> = (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    out[len / 2..][..word.len()].copy_from_slice(word.as_bytes());
    out
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

fn fetch(bin: &str, dir: &str, record: &str, field: &str, to: &Path) -> Out {
    let _ = fs::remove_file(to);
    finish(command(bin, &["fetch", dir, record, field, &to.display().to_string(), "--json"]))
}

/// Bytes here of a file that is not whole, as `fetch` tells.
fn here(out: &Out) -> u64 {
    assert_eq!(out.code, 4, "{out:?}");
    out.json()["bytes_here"].as_u64().unwrap()
}

/// Chunks of a file of this size at a folder, as plain SQL sees them.
fn chunks(dir: &str, size: usize) -> i64 {
    let sql = "SELECT coalesce((SELECT held FROM files WHERE size = ?1), 0)";
    database(dir).query_row(sql, [size as i64], |r| r.get(0)).unwrap()
}

#[test]
fn a_scanned_directive_arrives_whole_over_a_link_that_is_cut_every_10_seconds() {
    let city = City::with(&["001"]);
    let order = relay(&["add", &city.path("city"), "directives", "title=Chỉ thị 12"]).ok().first();
    let bytes = scan(1, SCAN, "Chỉ thị 12");
    let pdf = write(city.dir.path(), "Chỉ thị 12.pdf", &bytes);
    relay(&["attach", &city.path("city"), &order, "scan", &pdf]).ok();
    let to = city.dir.path().join("out.pdf");
    for name in ["clean", "cut"] {
        city.join(name, "001");
        city.sync_until_verified(name, city.address, 60);
        // It is too large to come by itself; asked for, it comes with the next sync.
        assert_eq!(chunks(&city.path(name), SCAN), 0);
        assert_eq!(here(&fetch("sampan", &city.path(name), &order, "scan", &to)), 0);
    }
    let proxy = city.proxy(Profile::clean(), 1);
    let said = city.sync("clean", proxy.listen(), 120).ok().json();
    assert_eq!((&said["files_received"], &said["files_waiting"]), (&json!(1), &json!(0)), "{said}");
    fetch("sampan", &city.path("clean"), &order, "scan", &to).ok();
    assert_eq!(fs::read(&to).unwrap(), bytes);
    let clean = proxy.counts().bytes();
    assert!(clean < SCAN as u64 * 5 / 4, "{clean} B for a file of {SCAN} B");

    let cut = Cut { every: Every::Bytes(BYTES_A_CUT), dark: Duration::ZERO, after: After::Severed };
    let proxy = city.proxy(Profile { cut: Some(cut), ..Profile::of(Link::default()) }, 5);
    let (mut progress, mut sessions) = (0, 0);
    loop {
        // The records were verified before the file began; the file goes on with the next session.
        let out = city.sync("cut", proxy.listen(), 5);
        assert!(matches!(out.code, 0 | 4), "{out:?}");
        sessions += 1;
        let got = fetch("sampan", &city.path("cut"), &order, "scan", &to);
        if got.code == 0 {
            break;
        }
        let now = here(&got);
        println!("session {sessions}: exit {}, {now} B here; {}", out.code, proxy.counts());
        assert!(now >= progress, "{now} B are here of {progress}");
        progress = now;
        assert!(sessions < ROUNDS_MAX, "no end: {}", proxy.counts());
    }
    assert_eq!(fs::read(&to).unwrap(), bytes);
    let counts = proxy.counts();
    println!(
        "{:.2} x a clean transfer's {clean} B in {sessions} sessions; {counts}",
        counts.bytes() as f64 / clean as f64
    );
    assert!(counts.cuts >= 5, "hardly cut: {counts}");
    assert!(counts.bytes() <= FACTOR * clean, "{} B for a file that takes {clean} B: {counts}", counts.bytes());
    sampan(&["verify", &city.path("cut")]).ok();
}

/// Syncs until a file is here, which a relay may have to get first; it may lie there for a moment.
fn until_here(w: &World, syncs: &[(&str, &str)], at: (&str, &str), record: &str, field: &str) -> Vec<u8> {
    let to = w.dir.path().join(format!("{}-{field}.pdf", at.1));
    for _ in 0..ROUNDS_MAX {
        let out = fetch(at.0, &w.path(at.1), record, field, &to);
        if out.code == 0 {
            return fs::read(&to).unwrap();
        }
        here(&out);
        for (bin, name) in syncs {
            finish(command(bin, &["sync", &w.path(name), "--timeout", "60"])).ok();
        }
    }
    panic!("{at:?}: the file of {record} does not come: {:?}", fetch(at.0, &w.path(at.1), record, field, &to));
}

#[test]
fn small_files_come_by_themselves_and_large_ones_when_asked_down_and_up_two_levels() {
    let w = World::three_levels();
    let (city, district, branch) = (w.path("city"), w.path("district"), w.path("branch"));
    let dir = w.dir.path();
    let (small, large) = (scan(2, SMALL, "nhỏ"), scan(3, SCAN / 2, "lớn"));
    let order = relay(&["add", &city, "directives", "title=Nhỏ"]).ok().first();
    let long = relay(&["add", &city, "directives", "title=Lớn"]).ok().first();
    relay(&["attach", &city, &order, "scan", &write(dir, "small.pdf", &small)]).ok();
    relay(&["attach", &city, &long, "scan", &write(dir, "large.pdf", &large)]).ok();
    w.sync_relay("district");
    w.sync("branch");
    assert_eq!(until_here(&w, &[("sampan", "branch")], ("sampan", "branch"), &order, "scan"), small);
    for name in [&district, &branch] {
        assert_eq!(chunks(name, large.len()), 0, "nobody has asked for the large one");
    }
    // Asked for at the branch, the district gets it from the city and passes it on.
    assert_eq!(until_here(&w, &[("sampan", "branch")], ("sampan", "branch"), &long, "scan"), large);
    assert_eq!(sampan(&["status", &branch, "--json"]).ok().json()["files_waiting"], json!(0));

    // Up: a small one with the very sync that brings its record.
    let (small, large) = (scan(4, SMALL + 1, "biên bản"), scan(5, SCAN / 2 + 1, "nghị quyết"));
    let report = w.add("branch", "reports", REPORT);
    sampan(&["attach", &branch, &report, "file", &write(dir, "r.pdf", &small)]).ok();
    w.sync("branch");
    let at_district = fetch("sampan-relay", &district, &report, "file", &dir.join("r-district.pdf")).ok();
    assert_eq!(at_district.json()["whole"], json!(true));
    assert_eq!(until_here(&w, &[("sampan-relay", "district")], ("sampan-relay", "city"), &report, "file"), small);
    let programme = w.add("branch", "programmes", PROGRAMME);
    sampan(&["attach", &branch, &programme, "file", &write(dir, "p.pdf", &large)]).ok();
    w.sync("branch");
    w.sync_relay("district");
    assert_eq!((chunks(&district, large.len()), chunks(&city, large.len())), (0, 0));
    // Asked for at the city: the wish goes down as far as the branch.
    let syncs = [("sampan-relay", "district"), ("sampan", "branch")];
    assert_eq!(until_here(&w, &syncs, ("sampan-relay", "city"), &programme, "file"), large);
    // Another branch has seen nothing of it.
    w.join_branch("other", "001.2");
    assert_eq!(chunks(&w.path("other"), large.len()), 0);
    let unknown = fetch("sampan", &w.path("other"), &programme, "file", &dir.join("other.pdf"));
    unknown.refused(2, "no record");
    for (bin, name) in [("sampan", &branch), ("sampan-relay", &district), ("sampan-relay", &city)] {
        finish(command(bin, &["verify", name])).ok();
    }
    // When all is there, nothing of files is said any more.
    w.sync("branch");
    let still = w.sync("branch");
    assert!(still["received_bytes"].as_u64().unwrap() < 8_000, "{still}");
}

/// The required fields of a report and a work programme.
const REPORT: &[&str] = &["kind=monthly", "period=2026-10"];
const PROGRAMME: &[&str] = &["title=Chương trình công tác"];

#[test]
fn a_stick_carries_files_both_ways() {
    let mut w = World::three_levels();
    let (district, branch) = (w.path("district"), w.path("branch"));
    let dir = w.dir.path().to_owned();
    // No link from here on.
    [w.district_daemon.take(), w.city_daemon.take()].into_iter().flatten().for_each(Daemon::stop);
    let down = scan(6, SCAN / 2, "xuống");
    let order = relay(&["add", &district, "directives", "title=Kế hoạch"]).ok().first();
    relay(&["attach", &district, &order, "scan", &write(&dir, "k.pdf", &down)]).ok();
    let stick = w.path("down.bundle");
    let made = relay(&["bundle", "create", &district, &stick, "--for", "001.1", "--json"]).ok().json();
    assert_eq!(made["files"], json!(1), "{made}");
    let taken = sampan(&["bundle", "apply", &branch, &stick, "--json"]).ok().json();
    assert_eq!(taken["files_received"], json!(1), "{taken}");
    let to = dir.join("out.pdf");
    fetch("sampan", &branch, &order, "scan", &to).ok();
    assert_eq!(fs::read(&to).unwrap(), down);
    // Twice is once, and a bit that was changed is found before anything is taken.
    sampan(&["bundle", "apply", &branch, &stick]).ok();
    let mut bent = fs::read(&stick).unwrap();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    let bent = write(&dir, "bent.bundle", &bent);
    sampan(&["bundle", "apply", &branch, &bent]).refused(2, "altered");
    let up = scan(7, SMALL, "lên");
    let report = w.add("branch", "reports", REPORT);
    sampan(&["attach", &branch, &report, "file", &write(&dir, "b.pdf", &up)]).ok();
    let back = w.path("up.bundle");
    let made = sampan(&["bundle", "create", &branch, &back, "--json"]).ok().json();
    assert_eq!(made["files"], json!(1), "what came from there is not carried back: {made}");
    relay(&["bundle", "apply", &district, &back]).ok();
    fetch("sampan-relay", &district, &report, "file", &to).ok();
    assert_eq!(fs::read(&to).unwrap(), up);
    for (bin, name) in [("sampan", &branch), ("sampan-relay", &district)] {
        finish(command(bin, &["verify", name])).ok();
    }
}

#[test]
fn a_file_is_erased_everywhere_with_its_record() {
    const WORD: &str = "zqxvw-độc-nhất-trong-tệp";
    let mut w = World::three_levels();
    let (district, branch) = (w.path("district"), w.path("branch"));
    let dir = w.dir.path().to_owned();
    let report = w.add("branch", "reports", REPORT);
    let kept = w.add("branch", "programmes", PROGRAMME);
    let (goes, stays) = (scan(8, SMALL, WORD), scan(9, SMALL - 7, "còn lại"));
    let (goes_at, stays_at) = (write(&dir, "g.pdf", &goes), write(&dir, "s.pdf", &stays));
    sampan(&["attach", &branch, &report, "file", &goes_at]).ok();
    sampan(&["attach", &branch, &kept, "file", &stays_at]).ok();
    w.sync("branch");
    for name in ["city", "district"] {
        until_here(&w, &[("sampan-relay", "district")], ("sampan-relay", name), &report, "file");
        until_here(&w, &[("sampan-relay", "district")], ("sampan-relay", name), &kept, "file");
    }
    for name in ["branch", "district", "city"] {
        assert!(!holding(Path::new(&w.path(name)), WORD).is_empty(), "{name}: it must be there before");
    }
    relay(&["erase", &district, &report, "--reason", "theo yêu cầu"]).ok();
    for _ in 0..2 {
        w.sync("branch");
        w.sync_relay("district");
    }
    [w.district_daemon.take(), w.city_daemon.take()].into_iter().flatten().for_each(Daemon::stop);
    for (bin, name) in [("sampan", "branch"), ("sampan-relay", "district"), ("sampan-relay", "city")] {
        assert_eq!(holding(Path::new(&w.path(name)), WORD), Vec::<PathBuf>::new(), "{name}");
        finish(command(bin, &["verify", &w.path(name)])).ok();
        let to = dir.join("kept.pdf");
        fetch(bin, &w.path(name), &kept, "file", &to).ok();
        assert_eq!(fs::read(&to).unwrap(), stays, "{name}");
        fetch(bin, &w.path(name), &report, "file", &to).refused(3, "erased");
    }
}

#[test]
fn what_may_not_be_done_with_files_is_told() {
    let w = World::three_levels();
    let (district, branch) = (w.path("district"), w.path("branch"));
    let dir = w.dir.path();
    let order = relay(&["add", &district, "directives", "title=Kế hoạch"]).ok().first();
    w.sync("branch");
    let pdf = write(dir, "a.pdf", &scan(10, 1_000, "a"));
    // A branch has no right on what came from above.
    sampan(&["attach", &branch, &order, "scan", &pdf]).refused(3, "directives");
    sampan(&["attach", &branch, &order, "scan", &dir.join("none.pdf").display().to_string()]).refused(2, "none.pdf");
    sampan(&["attach", &branch, &order, "title", &pdf]).refused(2, "title");
    sampan(&["fetch", &branch, &order, "scan", &w.path("out.pdf")]).refused(2, "scan");
    let vi = finish(command("sampan", &["--lang", "vi", "fetch", &branch, &order, "scan", &w.path("out.pdf")]));
    vi.refused(2, "chưa có tệp");
    let sql = "SELECT count(*) FROM files";
    assert_eq!(database(&branch).query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap(), 0);
}
