//! The canaries are alive: each story keeps a promise that anyone may check, and breaks it with the bug
//! planted.
//!
//! It does not: say how the simulated world finds them, or tell of the canaries outside core.

use crate::forks::{clone_disk, with_copy};
use crate::tricks::{give, rogue, send_tricks};
use crate::{ok, three_levels};
use sampan_core::bundle::format::LENGTH_AT;
use sampan_core::bundle::{Address, BoxSecret, Reader, Sealer};
use sampan_core::canary::{Canary, plant};
use sampan_core::id::{Flow, Nonce, SpaceId};
use sampan_core::pack::Stored;
use sampan_core::store::Status;
use sampan_core::sync::Event;
use sampan_core::testing::hostile::{self, Place};
use sampan_core::testing::village::Village;
use sampan_core::testing::{SeededRng, test_key, test_org, test_time};

/// The promise holds, and does not with the bug planted.
fn breaks(canary: Canary, promise: impl Fn() -> bool) {
    assert!(promise(), "{canary:?} is not planted, and the promise is broken");
    let _planted = plant(canary);
    assert!(!promise(), "{canary:?} does not sing");
}

/// Whether two replicas hold the same of a unit: charter and records.
fn same(v: &Village, a: usize, b: usize, unit: sampan_core::id::UnitId) -> bool {
    let of = |at: usize| {
        let held = v.replicas[at].engine.holdings();
        let spaces = held.spaces_of(&unit).filter(|(s, _)| matches!(s.flow, Flow::Charter | Flow::Up));
        spaces.map(|(s, _)| (*s, held.space_digest(s))).collect::<Vec<_>>()
    };
    of(a) == of(b)
}

/// Runs a session to its end; true if whenever either end said verified the two held the same.
fn verified_is_true(v: &mut Village, lower: usize, upper: usize, unit: sampan_core::id::UnitId) -> bool {
    let mut link = v.connect(lower, upper, false);
    let mut said = 0;
    loop {
        let more = v.step(&mut link);
        let events = link.events();
        let now = events.0.iter().chain(events.1).filter(|e| **e == Event::Verified).count();
        if now > said && !same(v, lower, upper, unit) {
            return false;
        }
        said = now;
        if !more {
            assert!(said >= 2, "neither end may be silent");
            return true;
        }
    }
}

/// Three levels, and at the district a commit of nobody's in another branch.
fn with_a_stranger(seed: u64) -> (Village, sampan_core::id::RecordId) {
    let (mut v, district, _) = three_levels(seed);
    let other = v.unit(1, district, "Chi bộ 2", "branch");
    ok(&v.sync(1, 0));
    let space = SpaceId { unit: other, flow: Flow::Up, reach: 0 };
    let heads = v.replicas[1].engine.charter().heads(&other);
    let place = Place::first(v.org, space, Nonce([1; 16]), heads, test_time(5));
    let (_, commit) = hostile::stranger(&place, &mut SeededRng::new(seed));
    let record = commit.payload().entries[0].entry.record;
    give(&mut v, 1, hostile::group(&Stored, &[&commit])).unwrap();
    (v, record)
}

#[test]
fn author_check_skipped() {
    breaks(Canary::AuthorCheckSkipped, || {
        let (v, record) = with_a_stranger(90);
        v.view(1, record).is_none() && v.replicas[1].store.quarantine().unwrap().len() == 1
    });
}

#[test]
fn quarantine_in_frontier() {
    breaks(Canary::QuarantineInFrontier, || {
        let (mut v, _) = with_a_stranger(91);
        v.sync(1, 0).verified()
    });
}

#[test]
fn tips_collapsed() {
    breaks(Canary::TipsCollapsed, || {
        let (mut v, branch, disk) = with_copy(92);
        let copy = clone_disk(&v, 2, disk.lock().clone());
        v.replicas.push(copy);
        let twin = v.replicas.len() - 1;
        v.create(2, branch, "members", &["full_name=X"]);
        v.create(twin, branch, "members", &["full_name=Y"]);
        let ends = [v.sync(2, 1), v.sync(twin, 1), v.sync(2, 1)];
        ends.iter().all(sampan_core::testing::village::LinkEnd::verified)
            && same(&v, 1, 2, branch)
            && same(&v, 1, twin, branch)
    });
}

#[test]
fn digests_under_unequal_charters() {
    breaks(Canary::DigestsUnderUnequalCharters, || {
        let (mut v, district, branch) = three_levels(93);
        v.create(2, branch, "members", &["full_name=An"]);
        ok(&v.sync(2, 1));
        ok(&v.sync(1, 0));
        // Only the charter differs.
        v.unit(1, district, "Chi bộ 2", "branch");
        crate::forget(&mut v, 1, 0);
        verified_is_true(&mut v, 1, 0, district)
    });
}

#[test]
fn verified_too_early() {
    breaks(Canary::VerifiedTooEarly, || {
        let (mut v, _, branch) = three_levels(94);
        v.create(1, branch, "members", &["full_name=An"]);
        crate::forget(&mut v, 1, 0);
        verified_is_true(&mut v, 1, 0, branch)
    });
}

#[test]
fn verified_too_early_by_a_greeting() {
    breaks(Canary::VerifiedTooEarly, || {
        let (mut v, _, branch) = three_levels(99);
        ok(&v.sync(2, 1));
        v.create(1, branch, "members", &["full_name=An"]);
        verified_is_true(&mut v, 2, 1, branch)
    });
}

#[test]
fn canonical_check_off() {
    breaks(Canary::CanonicalCheckOff, || {
        let (mut v, _, branch) = three_levels(95);
        let record = v.create(2, branch, "members", &["full_name=An"]);
        ok(&v.sync(2, 1));
        let rogue = rogue(&mut v, branch);
        let statuses = send_tricks(&mut v, rogue, record, &|name| name == "run-not-canonical");
        statuses == [("run-not-canonical", Status::Malformed)]
    });
}

#[test]
fn blocked_entry_ticked() {
    breaks(Canary::BlockedEntryTicked, || {
        let (mut v, _, branch) = three_levels(96);
        let record = v.create(2, branch, "members", &["full_name=An"]);
        ok(&v.sync(2, 1));
        let rogue = rogue(&mut v, branch);
        let statuses = send_tricks(&mut v, rogue, record, &|name| name == "child-of-malformed");
        let counts = v.replicas[1].store.irregular(&[branch].into()).unwrap();
        statuses == [("child-of-malformed", Status::Blocked)] && counts.get(&Status::Blocked) == Some(&1)
    });
}

#[test]
fn priority_forgotten() {
    let planted = |forget: bool| {
        let (mut v, _, branch) = three_levels(97);
        v.create(2, branch, "members", &["full_name=An"]);
        let _planted = forget.then(|| plant(Canary::PriorityForgotten));
        v.sync(2, 1);
        let r = &v.replicas[2];
        r.engine.delivered(&*r.store, &branch).unwrap().iter().any(|d| d.complete)
    };
    assert!(planted(false), "the branch has its tick");
    assert!(!planted(true), "the canary does not sing");
}

#[test]
fn cut_ignored() {
    breaks(Canary::CutIgnored, || {
        let (mut v, branch, record) = crate::cuts::written_after_the_cut(98);
        ok(&v.sync(1, 0));
        assert!(v.replicas[1].engine.charter().revoked(&v.replicas[2].engine.device()).is_some(), "{branch}");
        v.view(1, record).is_none()
    });
}

#[test]
fn bundle_unchecked() {
    breaks(Canary::BundleUnchecked, || {
        let (mut out, mut frames) = (Vec::new(), Vec::new());
        let (key, secrets) = (test_key(1), [BoxSecret::of_signer(&test_key(2))]);
        let receivers = [secrets[0].public()];
        let address =
            Address { org: test_org(), created: test_time(1), down: false, unit: None, receivers: &receivers };
        let mut rng = SeededRng::new(99);
        let mut sealer = Sealer::new(&key, &address, &mut rng, &mut out).unwrap();
        sealer.push(b"a frame", &mut out).unwrap();
        let length = sealer.finish(&key, &mut out).unwrap();
        out[LENGTH_AT as usize..][..8].copy_from_slice(&length);
        *out.last_mut().unwrap() ^= 1;
        let mut reader = Reader::new(test_org(), &secrets);
        reader.push(&out, &mut frames).and_then(|()| reader.finish()).is_err()
    });
}

#[test]
fn beacon_goes_back() {
    breaks(Canary::BeaconGoesBack, || crate::beacons::an_older_beacon_is_noticed(97));
}

#[test]
fn a_canary_is_heard_on_its_own_thread_only() {
    let _planted = plant(Canary::TipsCollapsed);
    let sings = || sampan_core::canary::sings(Canary::TipsCollapsed);
    assert!(sings());
    assert!(!std::thread::spawn(sings).join().unwrap(), "worlds beside each other share no bugs");
}

#[test]
fn a_figure_taken_into_another_counts_once() {
    use sampan_core::rollup::Figure;
    use sampan_core::schema::MetricOp;
    breaks(Canary::FigureCountedTwice, || {
        let one = Figure { n: 3, total: 0, best: None };
        let mut both = one.clone();
        both.merge(&MetricOp::Count, &one).is_ok() && both.n == 6
    });
}
