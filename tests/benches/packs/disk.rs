//! What a store takes on a disk before and after small packs were merged, and what one commit of a merged pack costs
//! to send.
//!
//! It does not: go through an engine: commits are written as intake would, each with its own pack.

use super::{Desk, created, edited, raw, scope, sealed};
use sampan_core::id::StoreEpoch;
use sampan_core::log::commit::device_id;
use sampan_core::log::{Commit, EntryPayload};
use sampan_core::pack;
use sampan_core::store::Store as _;
use sampan_core::testing::store_suite::batch_of;
use sampan_core::testing::{SeededRng, test_key, test_org, test_time};
use sampan_node::codec::ZstdCodec;
use sampan_node::store::{MergeLimits, SqliteStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Commits in one transaction, as a relay takes them.
const TOGETHER: usize = 64;

fn open(path: &Path) -> SqliteStore {
    let (codec, device) = (Arc::new(ZstdCodec), device_id(&test_key(1)));
    let opened = if path.exists() {
        SqliteStore::open(path, codec, device, test_org(), 16)
    } else {
        SqliteStore::create(path, codec, device, test_org(), StoreEpoch([7; 16]), 16)
    };
    opened.expect("a store")
}

fn filled(path: &Path, commits: &[Commit]) -> SqliteStore {
    let mut store = open(path);
    for run in commits.chunks(TOGETHER) {
        store
            .group(|s| {
                for c in run {
                    let mut batch = batch_of(s, &[c]);
                    batch.groups.iter_mut().for_each(|g| g.pack = pack::encode(&scope(), &[c.payload()], &ZstdCodec));
                    s.write(&batch)?;
                }
                Ok::<_, sampan_core::store::StoreError>(())
            })
            .expect("room on the disk");
    }
    store
}

/// Bytes of the database with nothing free in it.
fn size(store: &mut SqliteStore, path: &Path) -> u64 {
    assert!(store.scrub().expect("a database"), "nobody else reads it");
    std::fs::metadata(path).expect("a file").len()
}

/// Microseconds to read what is sent of these commits, one at a time: a store just opened, and once more.
fn sending(path: &Path, commits: &[Commit]) -> (f64, f64) {
    let store = open(path);
    let ids: Vec<_> = commits.iter().map(Commit::id).collect();
    let keys: Vec<_> = store.known(&ids).expect("a store").into_iter().flatten().map(|(key, _)| key).collect();
    let mut times = (0.0, 0.0);
    for (n, key) in keys.iter().enumerate() {
        let began = Instant::now();
        let groups = store.groups(&scope().space, &[*key]).expect("a commit");
        let took = began.elapsed().as_secs_f64() * 1e6;
        assert_eq!(groups.len(), 1);
        if n == 0 { times.0 = took } else { times.1 += took / (keys.len() - 1) as f64 }
    }
    times
}

fn row(what: &str, records: usize, commits: &[Commit]) {
    let floor = zstd::bulk::compress(&raw(commits), 3).expect("zstd").len();
    let dir = tempfile::tempdir().expect("a folder");
    let each = |n: u64| n as f64 / records as f64;
    println!("{what}: {} commits; zstd-3 of the raw changes {:.1} B a record", commits.len(), each(floor as u64));
    let some = &commits[commits.len() / 3..][..64];
    for entries in [0, 256, 1_024, 4_096] {
        let path = dir.path().join(format!("{entries}.db"));
        let mut store = filled(&path, commits);
        let limits = MergeLimits { entries, ..MergeLimits::default() };
        let (mut merged, mut made, mut steps) = (0, 0, 0);
        let began = Instant::now();
        let mut longest = 0.0f64;
        let mut more = entries > 0;
        while more {
            let step_began = Instant::now();
            let step = store.merge_step_within(limits).expect("a store");
            longest = longest.max(step_began.elapsed().as_secs_f64() * 1e3);
            (merged, made, steps) = (merged + step.merged, made + step.made, steps + 1);
            more = step.more;
        }
        let took = began.elapsed().as_secs_f64() * 1e3;
        let bytes = size(&mut store, &path);
        let damaged = store.verify(&test_org()).expect("a store").damaged.into_iter().filter(|d| d.table == "packs");
        assert_eq!(damaged.count(), 0);
        drop(store);
        let (cold, warm) = sending(&path, some);
        println!(
            "  packs of {entries:>4}: {:7.1} B a record on disk; {merged} packs into {made} in {steps} steps, {took:.0} ms, the longest {longest:.0} ms; one commit sent: {cold:.0} µs cold, {warm:.0} µs then",
            each(bytes)
        );
    }
}

pub fn disk() {
    let mut desk = Desk::new();
    let entries: Vec<EntryPayload> = created(&mut desk, 10_000).into_iter().map(|(_, e)| e).collect();
    row("10,000 creations in commits of 10", 10_000, &sealed(&mut desk, &entries, 10));
    let mut desk = Desk::new();
    let mut rng = SeededRng::new(9);
    let actor = desk.actor();
    let (mut all, mut entries): (Vec<_>, Vec<EntryPayload>) = created(&mut desk, 1_000).into_iter().unzip();
    for round in 0..5 {
        for (n, m) in all.iter_mut().enumerate() {
            entries.push(edited(&mut rng, actor, m, test_time(100_000 * (1 + round) + 61 * n as u64)));
        }
    }
    row("1,000 records with five edits each, one a commit", 1_000, &sealed(&mut desk, &entries, 1));
}
