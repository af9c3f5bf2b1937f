//! Links that are cut again and again while a load is on its way: progress never goes back, and what was
//! complete is not sent again. The proxy counts.
//!
//! They do not: assert how long anything takes.

use crate::links::City;
use crate::world::sampan;
use sampan_tests::proxy::{After, Counts, Cut, Every, Link, Profile, Proxy};
use std::process::Child;
use std::time::Duration;

/// What 64 kbit/s carry in the 10 s between two cuts, both directions together.
const BYTES_A_CUT: u64 = 80_000;
/// Records of a load that spans several cuts.
const RECORDS: usize = 5_200;
/// Of everything that a cut link carries, at least half is the load itself: after each cut come a
/// handshake and the greetings (8 kB), and before it at most one frame (256 entries, about 17 kB) was cut
/// off: 43 of 80 kB at the very worst, half of that on average.
const FACTOR: u64 = 2;
/// Records of a load in one session.
const LOAD: usize = 1_500;
/// Bound for giving up, in seconds.
const GIVE_UP: u64 = 120;

/// Entries of complete commits that a replica holds, as plain SQL sees them.
fn held(city: &City, name: &str) -> u64 {
    let path = city.dir.path().join(name).join("store.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(db) = rusqlite::Connection::open_with_flags(path, flags) else { return 0 };
    db.busy_timeout(Duration::from_secs(20)).unwrap();
    let sum = db.query_row("SELECT coalesce(sum(entries), 0) FROM commits", [], |r| r.get::<_, i64>(0));
    // Before the first session has made the tables there is nothing.
    sum.unwrap_or(0).try_into().unwrap()
}

/// Bytes of the same load on a good line, by a device of its own.
fn clean_bytes(city: &City, name: &str) -> u64 {
    let proxy = city.proxy(Profile::clean(), 1);
    assert_eq!(city.sync_until_verified(name, proxy.listen(), GIVE_UP), 1, "a good line needs one session");
    let counts = proxy.counts();
    println!("{name} on a good line: {counts}");
    counts.bytes()
}

fn assert_bytes(what: &str, counts: &Counts, clean: u64) {
    println!("{what}: {:.2} x a clean transfer's {clean} B; {counts}", counts.bytes() as f64 / clean as f64);
    assert!(counts.bytes() <= FACTOR * clean, "{what}: {} B for a load of {clean} B: {counts}", counts.bytes());
}

/// Every connection dies with its cut; a `sync` then ends by its own time, and the next one dials anew.
/// `at` is where progress is looked for.
fn through_cuts(city: &City, name: &str, at: &str, what: &str, clean: u64) {
    let cut = Cut { every: Every::Bytes(BYTES_A_CUT), dark: Duration::ZERO, after: After::Severed };
    let proxy = city.proxy(Profile { cut: Some(cut), ..Profile::of(Link::default()) }, 5);
    let mut progress = held(city, at);
    let mut sessions = 0;
    loop {
        let before = proxy.counts();
        let out = city.sync(name, proxy.listen(), 3);
        sessions += 1;
        let now = held(city, at);
        println!("{what}: session {sessions}: exit {}, {now} entries held; {}", out.code, proxy.counts());
        assert!(now >= progress, "{what}: {at} held {progress} entries and holds {now}");
        match out.code {
            0 => break,
            4 => assert!(!out.stdout.contains("\"verified\":true"), "{out:?}"),
            _ => panic!("{what}: {out:?}"),
        }
        // A cut that found the last word on its way takes no data with it: nothing is left to grow.
        let unsent = now < progress + 1 && proxy.counts().cuts > before.cuts;
        assert!(
            !unsent || proxy.counts().bytes() - before.bytes() < BYTES_A_CUT / 2,
            "{what}: a whole connection of {BYTES_A_CUT} B brought nothing, {now} held: {}",
            proxy.counts()
        );
        progress = now;
        assert!(sessions < 40, "{what}: no end after {sessions} sessions: {}", proxy.counts());
    }
    let counts = proxy.counts();
    assert!(counts.cuts >= 5, "{what}: hardly cut: {counts}");
    assert_bytes(what, &counts, clean);
}

#[test]
fn a_load_cut_every_10_seconds_goes_on_where_it_was_in_both_directions() {
    let city = City::with(&["001", "002"]);
    // Up: two devices of two units push as much; one on a good line, one through cuts.
    for (name, unit) in [("feeder", "001"), ("cut", "002")] {
        city.join(name, unit);
        city.import(name, 1, RECORDS);
    }
    let clean = clean_bytes(&city, "feeder");
    // Down: two new devices load the same.
    for name in ["clean-load", "cut-load"] {
        city.join(name, "001");
    }
    let clean_down = clean_bytes(&city, "clean-load");
    std::thread::scope(|scope| {
        scope.spawn(|| through_cuts(&city, "cut", "city", "up", clean));
        scope.spawn(|| through_cuts(&city, "cut-load", "cut-load", "down", clean_down));
    });
    for (name, unit) in [("cut", "002"), ("cut-load", "001")] {
        city.same(name, unit);
        assert_eq!(city.list("sampan", name, "members", None).len(), RECORDS, "{name}: doubled or missing");
    }
}

/// Follows one running `sync`: what is held at its device may only grow. The counts of each look.
fn follow(city: &City, name: &str, proxy: &Proxy, mut child: Child) -> Vec<u64> {
    let mut seen = vec![held(city, name)];
    loop {
        let ended = child.try_wait().unwrap();
        let now = held(city, name);
        let last = *seen.last().unwrap();
        assert!(now >= last, "{name} held {last} entries and holds {now}");
        if now > last {
            seen.push(now);
        }
        if let Some(status) = ended {
            let stands = sampan(&["status", &city.path(name), "--json"]);
            assert_eq!(status.code(), Some(0), "{name}: {seen:?} {} {stands:?}", proxy.counts());
            return seen;
        }
    }
}

fn one_session(city: &City, name: &str, profile: Profile, clean: u64) -> (Proxy, Vec<u64>) {
    let proxy = city.proxy(profile, 9);
    let seen = follow(city, name, &proxy, city.begin_sync(name, proxy.listen(), GIVE_UP));
    let counts = proxy.counts();
    assert_eq!(counts.flows, 1, "{name}: it dialled anew: {counts}");
    assert_bytes(name, &counts, clean);
    (proxy, seen)
}

/// A unit with a load at the city, and devices of it that have not met the city yet; the bytes of one
/// clean load.
fn loaded(names: &[&str]) -> (City, u64) {
    let city = City::with(&["001"]);
    city.join("feeder", "001");
    city.import("feeder", 2, LOAD);
    city.sync_until_verified("feeder", city.address, GIVE_UP);
    for name in names {
        city.join(name, "001");
    }
    city.join("clean", "001");
    let clean = clean_bytes(&city, "clean");
    (city, clean)
}

fn assert_loaded(city: &City, name: &str) {
    city.same(name, "001");
    assert_eq!(city.list("sampan", name, "members", None).len(), LOAD, "{name}: doubled or missing");
}

/// Slow enough for a load to span several cuts of 2 s.
fn thin(kbit: u64) -> Link {
    Link { rate_kbit: Some(kbit), delay: Duration::from_millis(20), ..Link::default() }
}

#[test]
fn short_cuts_in_the_middle_of_a_load_need_no_new_session() {
    let (city, clean) = loaded(&["flapping"]);
    let (every, dark) = (Every::Time(Duration::from_secs(2)), Duration::from_millis(300));
    let cut = Cut { every, dark, after: After::Rebound };
    let (proxy, seen) = one_session(&city, "flapping", Profile { cut: Some(cut), ..Profile::of(thin(128)) }, clean);
    let counts = proxy.counts();
    assert!(counts.cuts >= 5, "hardly cut: {counts}");
    assert!(seen.len() >= 3, "progress came in {seen:?}");
    assert_loaded(&city, "flapping");
}

#[test]
fn new_ports_in_the_middle_of_a_load_need_no_new_session() {
    let (city, clean) = loaded(&["rebound"]);
    // A new port costs what was on the way to the old one, and some full packets that prove the new path.
    let profile = Profile { rebind: Some(Every::Bytes(clean / 3)), ..Profile::of(thin(1_000)) };
    let (proxy, _) = one_session(&city, "rebound", profile, clean);
    let counts = proxy.counts();
    assert!(counts.rebinds >= 3 && counts.cuts == 0, "{counts}");
    assert_loaded(&city, "rebound");
}
