//! What a relay takes in a second, with the real store on disk, beside its floors in the same run: ed25519 verifying
//! the same signatures, SQLite inserting the same rows.
//!
//! It does not: open a socket, or project (the desk does that when nobody waits; it is timed apart).

use crate::city;
use crate::shape::{Branch, group};
use crate::table::{Row, cpu, median};
use sampan_core::charter::{Op, Roles};
use sampan_core::id::{CommitId, DeviceId, UnitId};
use sampan_core::log::{Commit, device_id};
use sampan_core::schema::Collection;
use sampan_core::store::StoreError;
use sampan_core::testing::test_key;
use sampan_core::testing::village::plain_grant;
use sampan_core::wire::frame::Group;
use sampan_node::replica::Replica;
use std::path::Path;
use std::time::{Duration, Instant};

/// Commits of each size, and how many entries each has.
const SIZES: [(usize, usize); 3] = [(1_000, 1), (400, 10), (40, 256)];
/// Commits that many links bring at once go into one transaction, as the desk does it.
const TOGETHER: usize = 64;
/// Runs of each, on a branch of its own.
const RUNS: usize = 3;

/// Runs all sizes and prints them.
///
/// # Errors
/// In words.
pub fn run() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut relay = city::found(&dir.path().join("city"), "Thành phố");
    let mut number = 0;
    for (commits, entries) in SIZES {
        for together in [1, TOGETHER.min(commits)] {
            let mut done = Vec::new();
            for _ in 0..RUNS {
                number += 1;
                done.push(once(
                    &mut relay,
                    &dir.path().join(format!("{number}.db")),
                    number,
                    (commits, entries),
                    together,
                )?);
            }
            print(commits, entries, together, &done);
        }
    }
    Ok(())
}

struct Once {
    taken: Duration,
    spent: Duration,
    projected: Duration,
    verify: Duration,
    verify_cpu: Duration,
    sqlite: Duration,
    sqlite_cpu: Duration,
}

fn once(
    relay: &mut Replica,
    db: &Path,
    n: u64,
    (commits, entries): (usize, usize),
    together: usize,
) -> Result<Once, String> {
    let words = |e: StoreError| e.to_string();
    let mut branch = enrol(relay, n).map_err(words)?;
    let collection = relay.collection("members").map_err(|e| e.to_string())?;
    let all: Vec<Commit> = made(relay, &mut branch, &collection, n, commits, entries);
    let groups: Vec<Group> = all.iter().map(|c| group(relay.engine.org(), c)).collect();

    let (began, before) = (Instant::now(), cpu());
    for run in groups.chunks(together) {
        let now = relay.now();
        let Replica { store, engine, rng, .. } = &mut *relay;
        let took = store.group(|s| {
            // Each came in a frame of its own.
            run.iter().try_fold(0, |sum, g| {
                let took = engine.intake(s, rng, DeviceId::default(), std::slice::from_ref(g), &|_, _| true, now);
                took.map(|t| sum + t.commits).map_err(|e| StoreError::Io(e.to_string()))
            })
        });
        if took != Ok(run.len() as u64) {
            return Err(format!("taken in: {took:?} of {}", run.len()));
        }
    }
    let (taken, spent) = (began.elapsed(), cpu() - before);
    let began = Instant::now();
    relay.project().map_err(words)?;
    let projected = began.elapsed();

    let (began, before) = (Instant::now(), cpu());
    let org = relay.engine.org();
    for g in &groups {
        g.headers[0].verify(&org).map_err(|e| e.to_string())?;
    }
    let (verify, verify_cpu) = (began.elapsed(), cpu() - before);
    let before = cpu();
    let sqlite = inserts(db, &all, together).map_err(|e| e.to_string())?;
    Ok(Once { taken, spent, projected, verify, verify_cpu, sqlite, sqlite_cpu: cpu() - before })
}

/// A branch with a device that may write.
pub(crate) fn enrol(relay: &mut Replica, n: u64) -> Result<Branch, StoreError> {
    let key = test_key(6_000_000 + n);
    let unit = UnitId(relay.random());
    let now = relay.now();
    let root = relay.engine.charter().root().unwrap_or_default();
    let Replica { store, engine, rng, .. } = relay;
    let grant = store.group(|s| {
        let name = format!("Chi bộ {n}");
        let op = Op::CreateUnit { unit, name, code: None, kind: Some("branch".into()), since: now };
        engine.write_charter(s, rng, root, &[op], now)?;
        engine.write_charter(s, rng, unit, &[Op::Grant(plain_grant(device_id(&key), Roles::EDITOR, now))], now)
    })?;
    let grant: CommitId = grant.last().copied().unwrap_or_default();
    Ok(Branch::new(unit, key, grant))
}

/// Commits of so many entries, all by one device.
pub(crate) fn made(
    relay: &Replica,
    branch: &mut Branch,
    collection: &Collection,
    n: u64,
    commits: usize,
    entries: usize,
) -> Vec<Commit> {
    let org = relay.engine.org();
    (0..commits).map(|at| branch.commit(org, collection, relay.now(), n * 1_000_000 + at as u64, entries)).collect()
}

/// The same rows in bare tables: a row a commit, a row an entry, and an index over the entries.
fn inserts(path: &Path, commits: &[Commit], together: usize) -> rusqlite::Result<Duration> {
    let conn = rusqlite::Connection::open(path)?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch(
        "CREATE TABLE c (key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, head BLOB NOT NULL);
         CREATE TABLE e (record BLOB NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (record, at)) WITHOUT ROWID",
    )?;
    let began = Instant::now();
    let mut key = 0;
    for run in commits.chunks(together) {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for c in run {
            key += 1;
            let head = c.head().signed();
            conn.prepare_cached("INSERT INTO c VALUES (?1, ?2, ?3)")?.execute((
                key,
                c.id().0,
                head.bytes.as_slice(),
            ))?;
            let mut add = conn.prepare_cached("INSERT INTO e VALUES (?1, ?2, ?3)")?;
            for e in &c.payload().entries {
                add.execute((e.entry.record.0, key, e.payload.as_slice()))?;
            }
        }
        conn.execute_batch("COMMIT")?;
    }
    Ok(began.elapsed())
}

fn print(commits: usize, entries: usize, together: usize, done: &[Once]) {
    let of = |f: fn(&Once) -> Duration| median(done.iter().map(f).collect()).as_secs_f64();
    let taken = of(|o| o.taken);
    let rate = |seconds: f64| commits as f64 / seconds;
    // The clock of CPU time ticks every 10 ms: all runs together. CPU is the steadier word on a busy machine.
    let spent = |f: fn(&Once) -> Duration| done.iter().map(f).sum::<Duration>().as_secs_f64() / (commits * RUNS) as f64;
    let (ours, verify, sqlite) = (spent(|o| o.spent), spent(|o| o.verify_cpu), spent(|o| o.sqlite_cpu));
    Row::new(format!("intake: {commits} commits of {entries}, {together} a durable transaction; median of {RUNS}"))
        .ratio("SQLite inserting the same rows, time", taken, of(|o| o.sqlite))
        .ratio("ed25519 verifying the same signatures, time", taken, of(|o| o.verify))
        .ratio("both, CPU", ours, verify + sqlite)
        .value("commits a second", format!("{:.0}", rate(taken)))
        .value("entries a second", format!("{:.0}", rate(taken) * entries as f64))
        .value("CPU a commit", format!("{:.0} µs", ours * 1e6))
        .value("of SQLite", format!("{:.0} µs", sqlite * 1e6))
        .value("of ed25519", format!("{:.0} µs", verify * 1e6))
        .value("SQLite, commits a second", format!("{:.0}", rate(of(|o| o.sqlite))))
        .value("ed25519, commits a second", format!("{:.0}", rate(of(|o| o.verify))))
        .value(
            "projecting afterwards, an entry",
            format!("{:.0} µs", of(|o| o.projected) / (commits * entries) as f64 * 1e6),
        )
        .print();
}
