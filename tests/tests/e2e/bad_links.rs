//! Every named link: a first load and a day of work offline end verified, with the same records.
//!
//! They do not: assert how long anything takes; `sync` is tried again until it verifies.

use crate::links::City;
use crate::world::{relay, sampan};
use sampan_tests::proxy::fate::Dice;
use sampan_tests::proxy::{Counts, Lost, Profile, Way};
use std::time::Duration;

/// Records of a first load: what a thin link carries in some seconds.
const FIRST: usize = 400;
/// Records made in a day offline.
const DAY: usize = 60;
/// A `sync` gives up after this many seconds and is tried again.
const SECONDS: u64 = 30;

/// One profile on one unit of its own.
fn a_branch_on(city: &City, unit: &str, profile: Profile, seed: u64) -> Counts {
    let (feeder, branch) = (format!("{unit}-feeder"), format!("{unit}-branch"));
    city.join(&feeder, unit);
    let ids = city.import(&feeder, seed, FIRST);
    assert_eq!(city.sync_until_verified(&feeder, city.address, SECONDS), 1, "{unit}: loopback needs one session");
    let proxy = city.proxy(profile, seed);
    // The first load.
    city.join(&branch, unit);
    // Where there are hours only tries count, not patience.
    let seconds = if profile.windows.is_some() { 2 } else { SECONDS };
    city.sync_until_verified(&branch, proxy.listen(), seconds);
    assert_eq!(city.records("sampan", &branch) as usize, FIRST + 2, "{unit}: members and directives");
    // A day offline, on both sides of the link.
    let made = city.import(&branch, seed + 1_000, DAY);
    for (i, id) in ids.iter().take(10).enumerate() {
        sampan(&["set", &city.path(&branch), id, &format!("phone=09{i:08}")]).ok();
    }
    sampan(&["set", &city.path(&feeder), &ids[0], "address=đổi ở máy kia"]).ok();
    city.sync_until_verified(&feeder, city.address, SECONDS);
    city.sync_until_verified(&branch, proxy.listen(), seconds);
    city.same(&branch, unit);
    let listed = city.list("sampan", &branch, "members", None);
    assert_eq!(listed.len(), FIRST + made.len(), "{unit}: doubled or missing");
    let first = listed.iter().find(|r| r["_id"] == ids[0].as_str()).unwrap();
    assert_eq!((&first["phone"], &first["address"]), (&"0900000000".into(), &"đổi ở máy kia".into()), "{unit}");
    proxy.counts()
}

/// The first seed from here whose link loses one of its first packets, if it loses any at all: 1 % of a
/// short session may well be nothing.
fn seed_that_shows(profile: &Profile, from: u64) -> u64 {
    let early = |seed: &u64| (0..20).scan(Dice::new(*seed, Way::Up), |d, _| Some(d.draw(&profile.up))).any(|f| f.lost);
    if profile.up.loss + profile.up.burst.map_or(0.0, |b| b.enter) == 0.0 {
        return from;
    }
    (from..).find(early).unwrap_or(from)
}

#[test]
fn every_named_link_ends_verified_after_a_first_load_and_a_day_offline() {
    let names = ["2g", "satellite", "burst", "two-hours-a-day", "cut-10s", "nat-rebind", "mtu-1280", "unordered"];
    let city = City::with(&names);
    // Each is a thread: they wait for their links, hardly for the machine.
    let counts: Vec<(&str, Counts)> = std::thread::scope(|scope| {
        let running: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let city = &city;
                let profile = Profile::named(name).unwrap().days_faster(4_800);
                let seed = seed_that_shows(&profile, 70 + i as u64);
                (*name, scope.spawn(move || a_branch_on(city, name, profile, seed)))
            })
            .collect();
        running
            .into_iter()
            .map(|(name, thread)| (name, thread.join().unwrap_or_else(|_| panic!("the link '{name}' failed, above"))))
            .collect()
    });
    relay(&["verify", &city.path("city")]).ok();
    for (name, c) in &counts {
        println!("{name}: {c}");
        // A link that did nothing would prove nothing.
        let did = match *name {
            "2g" | "satellite" => c.lost(Lost::Chance) > 0,
            "burst" => c.lost(Lost::Chance) * 10 > c.up.offered + c.down.offered,
            "two-hours-a-day" => c.lost(Lost::Hours) > 0,
            "cut-10s" => c.cuts > 0,
            "nat-rebind" => c.rebinds > 1,
            "mtu-1280" => c.up.carried > 0,
            "unordered" => c.up.carried > c.up.offered,
            _ => false,
        };
        assert!(did, "the link '{name}' was no worse than a good one: {c}");
    }
}

#[test]
fn a_path_too_narrow_for_quic_is_unreachable_and_never_verified() {
    let city = City::with(&["001"]);
    city.join("branch", "001");
    city.import("branch", 1, 5);
    let mut narrow = Profile::named("mtu-1280").unwrap();
    // QUIC's least is 1,200 bytes of payload.
    (narrow.up.mtu, narrow.down.mtu) = (Some(1_200), Some(1_200));
    let proxy = city.proxy(narrow, 1);
    let out = city.sync("branch", proxy.listen(), 3).refused(4, "");
    assert!(!out.stdout.contains("\"verified\":true"), "{out:?}");
    assert!(proxy.counts().lost(Lost::Mtu) > 0 && proxy.counts().down.carried == 0);
    proxy.change(Profile::clean());
    city.sync_until_verified("branch", proxy.listen(), SECONDS);
    city.same("branch", "001");
}

/// A link that carries one way only, from the start and in the middle of a load.
#[test]
fn on_a_half_open_link_nobody_says_verified_and_once_whole_both_do() {
    let city = City::with(&["001"]);
    city.join("branch", "001");
    city.import("branch", 1, 600);
    // Slow enough that the link can be shut while the load is on its way.
    let mut slow = Profile::clean();
    (slow.up.rate_kbit, slow.up.delay) = (Some(256), Duration::from_millis(20));
    let proxy = city.proxy(slow, 1);
    for way in Way::BOTH {
        proxy.shut(way, true);
        let out = city.sync("branch", proxy.listen(), 3).refused(4, "");
        assert!(!out.stdout.contains("\"verified\":true"), "{out:?}");
        proxy.shut(way, false);
    }
    // The way down is lost after some of the load has gone up: what the city says is never heard.
    let mut child = city.begin_sync("branch", proxy.listen(), 12);
    let before = proxy.counts().up.carried_bytes;
    while proxy.counts().up.carried_bytes < before + 12_000 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    assert!(child.try_wait().unwrap().is_none(), "the load ended before the link was shut");
    proxy.shut(Way::Down, true);
    assert_eq!(child.wait().unwrap().code(), Some(4), "cut off one way is 'not yet', nothing else");
    let status = sampan(&["status", &city.path("branch"), "--json"]).ok().json();
    assert!(status["unsent_changes"].as_u64().unwrap() > 0, "nothing was acknowledged: {status}");
    let done = |s: &serde_json::Value| s["delivered"].as_array().unwrap().iter().any(|d| d["complete"] == true);
    assert!(!done(&status), "a tick for what was never acknowledged: {status}");
    proxy.shut(Way::Down, false);
    city.sync_until_verified("branch", proxy.listen(), SECONDS);
    city.same("branch", "001");
    let status = sampan(&["status", &city.path("branch"), "--json"]).ok().json();
    assert!(done(&status) && status["unsent_changes"] == 0, "{status}");
}
