//! News from above: how old it is, who shows less than it did, and what a relay that hides or goes back
//! cannot do.
//!
//! They do not: expect that hiding is prevented: a relay can delay, and the age of its news says so.

use crate::{ok, three_levels};
use sampan_core::charter::Roles;
use sampan_core::engine::{BeaconTaken, SeenBeacon};
use sampan_core::id::{Digest, UnitId};
use sampan_core::register::{Beacon, Register, SignedRegister, names};
use sampan_core::sync::{Event, Session};
use sampan_core::testing::village::Village;
use sampan_core::time::Millis;
use sampan_core::wire;
use sampan_core::wire::frame::Frame;

const DAY: u64 = 86_400_000;

/// What a replica remembers of the relay of a unit.
fn seen(v: &Village, at: usize, unit: UnitId) -> Option<SeenBeacon> {
    let r = &v.replicas[at];
    r.engine.beacons(&*r.store).unwrap().into_iter().find(|s| s.unit == unit)
}

fn today(v: &Village) -> u32 {
    (v.now.0 / DAY) as u32
}

fn tomorrow(v: &mut Village) {
    v.now = Millis(v.now.0 + DAY);
}

/// A beacon signed by a replica, saying what it likes.
fn forged(v: &Village, by: usize, unit: UnitId, counter: u64, beacon: &Beacon) -> SignedRegister {
    let engine = &v.replicas[by].engine;
    let (name, payload) = (names::BEACON.to_owned(), wire::encode(beacon));
    let register = Register { org: v.org, unit, name, device: engine.device(), counter, time: v.now, payload };
    SignedRegister::seal(engine.key(), &register)
}

fn take(v: &mut Village, at: usize, from: usize, signed: &SignedRegister) -> BeaconTaken {
    let (now, from) = (v.now, v.replicas[from].engine.device());
    let r = &mut v.replicas[at];
    r.engine.take_beacon(&mut *r.store, &from, signed, now).unwrap()
}

#[test]
fn a_branch_knows_how_old_the_news_of_the_city_is_though_it_speaks_only_to_its_district() {
    let (mut v, district, _) = three_levels(80);
    let root = v.root();
    for (lower, upper) in [(1, 0), (2, 1)] {
        ok(&v.sync(lower, upper));
    }
    let first = seen(&v, 2, root).expect("the city's word came inside the district's");
    assert_eq!((first.day, first.rolled_back), (today(&v), false));
    assert_eq!(seen(&v, 2, district).unwrap().day, today(&v));
    // The district's link up is down for three days: its own word is of today, the city's is not.
    for _ in 0..3 {
        tomorrow(&mut v);
        ok(&v.sync(2, 1));
    }
    assert_eq!(seen(&v, 2, district).unwrap().day, today(&v));
    assert_eq!(seen(&v, 2, root).unwrap().day, today(&v) - 3);
    // It comes back, and so does the news.
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    let now = seen(&v, 2, root).unwrap();
    assert_eq!(now.day, today(&v));
    assert!(now.number > first.number && now.counter > first.counter);
    assert!(seen(&v, 0, root).is_none(), "nobody is above the city");
}

#[test]
fn a_day_without_news_costs_no_second_beacon() {
    let (mut v, district, _) = three_levels(81);
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    let before = seen(&v, 2, district).unwrap();
    let quiet = v.sync(2, 1);
    ok(&quiet);
    let again = v.sync(2, 1);
    assert_eq!(seen(&v, 2, district), Some(before));
    assert_eq!(quiet.bytes, again.bytes);
    tomorrow(&mut v);
    assert!(v.sync(2, 1).bytes.1 > again.bytes.1, "the next day has its own");
}

#[test]
fn a_relay_that_withholds_what_the_city_decided_is_betrayed_by_the_age_of_the_citys_news() {
    // The district's relay does not sync with the city any more, and lets its branch believe that all is well.
    let (mut v, district, _) = three_levels(82);
    let root = v.root();
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    let told = seen(&v, 2, root).unwrap();
    v.unit(0, root, "Quận Tây Hồ", "district");
    for _ in 0..10 {
        tomorrow(&mut v);
        let end = v.sync(2, 1);
        ok(&end);
    }
    let known = seen(&v, 2, root).unwrap();
    assert_eq!((known.clone(), today(&v) - known.day), (told.clone(), 10), "nobody can make it look younger");
    // It cannot sign for the city, nor show a word of the city under its own name, nor leave the city's out.
    let fresh = Beacon { number: 99, day: today(&v), charter: told.charter, commits: told.commits + 1, above: None };
    let counter = v.now.0;
    let as_city = forged(&v, 1, root, counter, &fresh);
    assert_eq!(take(&mut v, 2, 1, &as_city), BeaconTaken::Refused);
    let inside = Beacon { above: Some(as_city), ..fresh.clone() };
    let carried = forged(&v, 1, district, counter + 1, &inside);
    assert_eq!(take(&mut v, 2, 1, &carried), BeaconTaken::Refused);
    let mine = seen(&v, 2, district).unwrap();
    let without = Beacon { charter: mine.charter, commits: mine.commits, above: None, ..fresh };
    let without = forged(&v, 1, district, counter + 2, &without);
    assert_eq!(take(&mut v, 2, 1, &without), BeaconTaken::News);
    assert_eq!(seen(&v, 2, root), Some(told), "what was known of the city stays, and grows old");
}

/// Whether a branch to which its district says today's beacon and then yesterday's holds on to the newer one.
pub fn an_older_beacon_is_noticed(seed: u64) -> bool {
    let (mut v, district, _) = three_levels(seed);
    ok(&v.sync(2, 1));
    let said = |v: &mut Village| {
        let now = v.now;
        let r = &mut v.replicas[1];
        r.engine.beacon(&mut *r.store, now).unwrap().unwrap()
    };
    let old = said(&mut v);
    tomorrow(&mut v);
    let new = said(&mut v);
    assert_eq!(take(&mut v, 2, 1, &new), BeaconTaken::News);
    let verdict = take(&mut v, 2, 1, &old);
    let kept = seen(&v, 2, district).unwrap();
    verdict == BeaconTaken::RolledBack(district) && kept.rolled_back && kept.day == today(&v)
}

#[test]
fn a_relay_that_goes_back_behind_what_it_showed_is_noticed_and_said() {
    let (mut v, district, _) = three_levels(83);
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    let old = seen(&v, 2, district).unwrap();
    // The district decides something that its branch hears of.
    v.invite(1, district, Roles::READER);
    ok(&v.sync(2, 1));
    let newer = seen(&v, 2, district).unwrap();
    assert!(newer.commits > old.commits, "{old:?} {newer:?}");
    let charter_before = v.replicas[2].engine.charter_version();
    // Then its relay is put back to what it was before, by mistake or on purpose, and speaks.
    let (lower, upper) = (v.replicas[2].engine.device(), v.replicas[1].engine.device());
    let back = Beacon { number: 50, day: today(&v), charter: old.charter, commits: old.commits, above: None };
    let back = forged(&v, 1, district, newer.counter + 10, &back);
    let now = v.now;
    let r = &mut v.replicas[2];
    let mut env = sampan_core::sync::Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    let mut session = Session::lower(&mut env, upper, false).unwrap();
    let hello = {
        let mut up = Session::upper(lower);
        let (_, hello) = session.next_frame(&mut env, &|_| true).unwrap().unwrap();
        let r = &mut v.replicas[1];
        let mut env = sampan_core::sync::Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
        up.receive(&mut env, 0, &hello).unwrap();
        up.next_frame(&mut env, &|_| true).unwrap().unwrap().1
    };
    let r = &mut v.replicas[2];
    let mut env = sampan_core::sync::Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
    for bytes in [hello, Frame::Registers(vec![back.clone()]).encode()] {
        session.receive(&mut env, 0, &bytes).unwrap();
    }
    let events: Vec<Event> = session.events().collect();
    assert!(events.contains(&Event::RolledBack(district)), "{events:?}");
    let known = seen(&v, 2, district).unwrap();
    assert!(known.rolled_back && (known.counter, known.commits) == (newer.counter, newer.commits), "{known:?}");
    assert_eq!(v.replicas[2].engine.charter_version(), charter_before, "the branch itself never goes back");
    // An older word shown again, or as many decisions and others, is the same thing.
    let other = Beacon { number: 51, day: today(&v), charter: Digest([9; 32]), commits: newer.commits, above: None };
    let other = forged(&v, 1, district, newer.counter + 11, &other);
    assert_eq!(take(&mut v, 2, 1, &other), BeaconTaken::RolledBack(district));
    let older = Beacon { number: 1, day: 0, charter: newer.charter, commits: newer.commits + 9, above: None };
    let older = forged(&v, 1, district, newer.counter - 1, &older);
    assert_eq!(take(&mut v, 2, 1, &older), BeaconTaken::RolledBack(district));
    // Once it shows again what it had, it is believed again.
    tomorrow(&mut v);
    ok(&v.sync(2, 1));
    assert!(!seen(&v, 2, district).unwrap().rolled_back);
}

#[test]
fn only_relays_above_are_heard_and_a_chain_of_them_is_bounded() {
    let (mut v, district, branch) = three_levels(84);
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    let plain = Beacon { number: 1, day: today(&v), charter: Digest([1; 32]), commits: 1, above: None };
    let counter = v.now.0 * 2;
    // A branch is no relay; a district says nothing to the city; a stranger's unit is nobody's.
    for (by, unit, at) in [(2, branch, 1), (1, district, 0), (1, branch, 2), (1, UnitId([9; 16]), 2)] {
        let signed = forged(&v, by, unit, counter, &plain);
        let before = v.replicas[at].engine.beacons(&*v.replicas[at].store).unwrap();
        let taken = take(&mut v, at, by, &signed);
        assert!(taken == BeaconTaken::Refused || (by, unit) == (1, branch), "{by} {unit}: {taken:?}");
        if taken == BeaconTaken::Refused {
            assert_eq!(v.replicas[at].engine.beacons(&*v.replicas[at].store).unwrap(), before);
        }
    }
    // A beacon in a beacon in a beacon, and so on, all by one relay.
    let mut nested = plain;
    for n in 0..40 {
        let inner = forged(&v, 1, district, counter + n, &nested);
        nested = Beacon { above: Some(inner), ..nested };
    }
    let nested = forged(&v, 1, district, counter + 100, &nested);
    assert_eq!(take(&mut v, 2, 1, &nested), BeaconTaken::Refused);
    // A byte bent.
    let now = v.now;
    let r = &mut v.replicas[1];
    let mut bent = r.engine.beacon(&mut *r.store, now).unwrap().unwrap();
    bent.signature[3] ^= 1;
    assert_eq!(take(&mut v, 2, 1, &bent), BeaconTaken::Refused);
}
