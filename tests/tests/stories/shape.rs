//! A hub and a district's relay over many units: what is said when nothing differs, and when one branch does.
//!
//! They do not: measure the shape of a whole city (`sampan-bench tree` does; the counts hardly grow with it).

use sampan_core::id::{StoreEpoch, UnitId};
use sampan_core::store::{AckRow, Batch, Store, StoreError};
use sampan_core::testing::village::Replica;
use sampan_tests::long::tree::{cases, session};
use sampan_tests::shape::{Counts, DISTRICT, HUB, Shape, mem};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Large enough that the hello cannot list every log, so that digests are compared from the top.
const SMALL: Counts = Counts { districts: 3, grassroots: 30, branches: 600 };

#[test]
fn one_branch_that_differs_is_found_in_few_round_trips_and_nothing_in_200_bytes() {
    let mut shape = Shape::found(9, SMALL);
    let mut seen = Vec::new();
    // The first two meetings of each bring every acknowledgement.
    let early = |name: &str| name.contains("first") || name.contains("the next");
    for case in cases(&mut shape).into_iter().filter(|c| !early(c.name)) {
        let (same, forgot) = (case.changes == (0, 0), case.name.contains("forgotten"));
        let bytes = case.bytes();
        // Without a memory of the last meeting digests are compared from the top.
        let bytes_max = match (same, forgot) {
            (true, _) => 200,
            (false, false) => 1_536,
            (false, true) => 2_560,
        };
        let trips_max = if same || !forgot { 1 } else { 3 };
        assert!(bytes <= bytes_max, "{}: {bytes} bytes, at most {bytes_max}: {:?}", case.name, case.frames);
        assert!(case.round_trips <= trips_max, "{}: {} round trips", case.name, case.round_trips);
        seen.push(case.name);
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn what_was_acknowledged_of_one_branch_since_is_found_among_all_and_nothing_else_passes() {
    let mut shape = Shape::found(10, SMALL);
    let meet = |shape: &mut Shape, lower: usize| {
        shape.village.now.0 += 60_000;
        session(&mut shape.village, lower, HUB, "a session").unwrap()
    };
    for _ in 0..3 {
        meet(&mut shape, DISTRICT);
    }
    // Another way brought both the same, and asked the hub for its word.
    let group = shape.write(0);
    shape.take(HUB, &group);
    shape.take(DISTRICT, &group);
    let unit = shape.branches[0].unit;
    let (root, now) = (shape.village.root(), shape.village.now);
    let Replica { store, engine, .. } = &mut shape.village.replicas[HUB];
    assert!(engine.acknowledge(&mut **store, root, &[unit].into(), now).unwrap().is_some());
    let counter = |shape: &Shape, at: usize| {
        let acks = shape.village.replicas[at].store.acks(Some(unit)).unwrap();
        acks.iter().map(|a| a.counter).max().unwrap()
    };
    assert!(counter(&shape, DISTRICT) < counter(&shape, HUB));
    let case = meet(&mut shape, DISTRICT);
    assert_eq!(counter(&shape, DISTRICT), counter(&shape, HUB), "{:?}", case.frames);
    // Beside the commit, which each sends unasked.
    let said = ["ShortNodes", "ShortAcks"].map(|name| case.frames.get(name).copied().unwrap_or_default());
    assert!(said[0] > 0 && said[0] <= 400 && said[1] > 0 && said[1] <= 120, "{:?}", case.frames);
    assert!(!case.frames.contains_key("Acks") && case.round_trips <= 3, "{:?}", case.frames);
    let case = meet(&mut shape, DISTRICT);
    assert!(case.bytes() <= 200 && case.round_trips == 1, "{} B: {:?}", case.bytes(), case.frames);
}

#[test]
fn a_first_meeting_of_ends_that_hold_the_same_passes_one_statement_for_all_branches() {
    let mut shape = Shape::found(11, SMALL);
    let case = session(&mut shape.village, DISTRICT, HUB, "the first").unwrap();
    let short = case.frames.get("ShortAcks").copied().unwrap_or_default();
    assert!(short > 0 && short <= 160 && !case.frames.contains_key("Acks"), "{:?}", case.frames);
    let district = &shape.village.replicas[DISTRICT];
    let acked = district.store.acks(None).unwrap().iter().filter(|a| a.complete).count();
    let own = shape.branches.iter().filter(|b| b.district == 0).count();
    assert_eq!(acked, own, "every branch of its own is acknowledged");
}

/// A store that counts how often acknowledgements are read.
struct Counting {
    real: Box<dyn Store>,
    acks: Arc<AtomicU64>,
}

impl Counting {
    fn real<T>(&self, ask: impl FnOnce(&dyn Store) -> T) -> T {
        ask(&*self.real)
    }
}

impl Store for Counting {
    fn acks(&self, leaf: Option<UnitId>) -> Result<Vec<AckRow>, StoreError> {
        self.acks.fetch_add(1, Ordering::Relaxed);
        self.real.acks(leaf)
    }
    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.real.write(batch)
    }
    sampan_core::store_reads! {
        epoch() -> sampan_core::id::StoreEpoch;
        tips() -> ::std::collections::BTreeMap<sampan_core::id::SpaceId, sampan_core::frontier::SpaceTips>;
        known(ids: &[sampan_core::id::CommitId]) -> Vec<Option<(sampan_core::store::CommitKey, u64)>>;
        head(id: &sampan_core::id::CommitId) -> Option<sampan_core::log::VerifiedHeader>;
        first_seen(ids: &[sampan_core::id::CommitId]) -> Vec<Option<sampan_core::time::Millis>>;
        stored_after(after: sampan_core::store::CommitKey, limit: usize) -> Vec<(sampan_core::id::LogId, sampan_core::store::CommitRow)>;
        missing(log: &sampan_core::id::LogId, have: &::std::collections::BTreeSet<sampan_core::id::CommitId>) -> Vec<sampan_core::store::CommitRow>;
        lineage(space: &sampan_core::id::SpaceId, device: &sampan_core::id::DeviceId) -> Vec<sampan_core::store::Lineage>;
        inventory(log: &sampan_core::id::LogId) -> Vec<sampan_core::frontier::ShortId>;
        missing_from(log: &sampan_core::id::LogId, inventory: &::std::collections::BTreeSet<sampan_core::frontier::ShortId>) -> Vec<sampan_core::store::CommitRow>;
        groups(space: &sampan_core::id::SpaceId, keys: &[sampan_core::store::CommitKey]) -> Vec<sampan_core::wire::frame::Group>;
        entry_at(commit: sampan_core::store::CommitKey, index: u32) -> Option<sampan_core::log::EntryPayload>;
        charter_commits() -> Vec<sampan_core::log::Commit>;
        records(ids: &[sampan_core::id::RecordId]) -> Vec<Option<sampan_core::store::RecordState>>;
        entries(record: sampan_core::store::RecordKey) -> Vec<sampan_core::store::RecordEntry>;
        pending() -> Vec<sampan_core::store::PendingEntry>;
        quarantine() -> Vec<sampan_core::store::Quarantined>;
        registers(after: u64) -> Vec<(u64, sampan_core::register::SignedRegister)>;
        last_commit() -> sampan_core::store::CommitKey;
        irregular(units: &::std::collections::BTreeSet<sampan_core::id::UnitId>) -> ::std::collections::BTreeMap<sampan_core::store::Status, u64>;
        meta(name: &str) -> Option<Vec<u8>>;
    }
}

#[test]
fn a_hub_reads_no_acknowledgement_for_a_district_that_has_nothing_new() {
    let mut shape = Shape::found(12, SMALL);
    let counted = Arc::new(AtomicU64::new(0));
    let hub = &mut shape.village.replicas[HUB];
    let real = std::mem::replace(&mut hub.store, mem(hub.engine.org(), hub.engine.device(), StoreEpoch::default()));
    hub.store = Box::new(Counting { real, acks: counted.clone() });
    let mut reads = Vec::new();
    for _ in 0..4 {
        shape.village.now.0 += 60_000;
        let before = counted.load(Ordering::Relaxed);
        session(&mut shape.village, DISTRICT, HUB, "a session").unwrap();
        reads.push(counted.load(Ordering::Relaxed) - before);
    }
    assert_eq!(reads[2..], [0, 0], "{reads:?}");
}
