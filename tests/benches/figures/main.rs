//! The figures of the design, measured on replicas on disk and QUIC on loopback, beside Automerge's
//! own sync and beside floors: `cargo bench -p sampan-tests [-- --quick] [names of rows]`.
//!
//! It does not: prove anything right (the tests do), or compare times across machines.
//!
//! Invariants: the generated records have the sizes of the published sample, or the bench fails;
//! Automerge syncs the very documents that Sampan does, in the same run.

mod org;
mod peers;

use org::{Org, Session, find_last, import, members, session};
use peers::{PeerCost, documents, empty, sqlite_inserts, zstd3};
use sampan_core::id::RecordId;
use sampan_core::store::Store as _;
use sampan_core::testing::SeededRng;
use sampan_core::value::{Edit, Value};
use sampan_node::config::Settings;
use sampan_node::daemon::{Daemon, StatusWriter};
use sampan_node::net::{Endpoint, Options};
use sampan_node::replica::Replica;
use sampan_tests::city::Branch;
use sampan_tests::long::live;
use sampan_tests::table::{Row, bytes, cpu, median, ms, percentile};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The argument with which the bench starts itself to open a replica in a fresh process.
const CHILD: &str = "--open-in-child";
/// Mean bytes of a record as JSON, of the published sample; ours must lie within 3 %.
const JSON_BYTES: f64 = 660.0;
/// zstd-3 bytes of a creation change among 10,000; ours must lie within 3 %.
const ZSTD_BYTES: f64 = 142.0;
/// Durable edits that are timed.
const EDITS: usize = 300;
/// Edits that are timed over three hops.
const LIVE_EDITS: usize = 60;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, path] = args.as_slice()
        && flag == CHILD
    {
        open_in_child(Path::new(path));
        return;
    }
    let quick = args.iter().any(|a| a == "--quick");
    let rows: Vec<String> = args.into_iter().filter(|a| !a.starts_with("--")).collect();
    let wanted = |name: &str| rows.is_empty() || rows.iter().any(|r| name.contains(r.as_str()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("load of the machine before: {}", load.trim());
        if wanted("sanity") {
            sanity();
        }
        let of_a_branch = ["import", "upload", "first", "nothing", "monday", "edit", "memory"];
        if of_a_branch.iter().any(|r| wanted(r)) {
            if wanted("import") || wanted("upload") || wanted("first") || quick {
                // Beside 10,000 only what has its own goal at 1,000.
                let small = |r: &str| (quick || ["import", "upload", "first"].contains(&r)) && wanted(r);
                branch_rows(1_000, &small).await;
            }
            if !quick {
                branch_rows(10_000, &wanted).await;
            }
        }
        if wanted("live") {
            live().await;
        }
    });
}

/// The sizes of what is generated.
fn sanity() {
    let n = 10_000;
    let rows = members(n);
    let json: usize = rows.iter().map(json_len).sum();
    let json = json as f64 / n as f64;
    let dir = tempfile::tempdir().expect("a folder");
    let mut replica = sampan_tests::city::found(&dir.path().join("city"), "Thành phố");
    let unit = replica.engine.charter().root().expect("a root");
    import(&mut replica, unit, rows);
    let changes = pending_changes(&replica);
    let zstd = zstd3(&changes) as f64 / n as f64;
    let raw = changes.iter().map(Vec::len).sum::<usize>() as f64 / n as f64;
    Row::new("sanity: generated records")
        .ratio("660 B of JSON", json, JSON_BYTES)
        .ratio("142 B of zstd-3", zstd, ZSTD_BYTES)
        .value("JSON", format!("{json:.1} B a record"))
        .value("zstd-3 of 10,000 creation changes", format!("{zstd:.1} B each"))
        .value("raw change", format!("{raw:.1} B"))
        .print();
    for (what, measured, published) in [("JSON", json, JSON_BYTES), ("zstd-3", zstd, ZSTD_BYTES)] {
        let off = (measured / published - 1.0).abs();
        assert!(off <= 0.03, "{what}: {measured:.1} B is {:.1} % off {published} B: no figure compares", off * 100.0);
    }
}

fn json_len(row: &BTreeMap<String, Value>) -> usize {
    let object: serde_json::Map<String, serde_json::Value> =
        row.iter().map(|(k, v)| (k.clone(), sampan_core::schema::to_json(None, v))).collect();
    serde_json::Value::Object(object).to_string().len()
}

/// The changes that wait to be sealed, in order of editing.
fn pending_changes(replica: &Replica) -> Vec<Vec<u8>> {
    replica.store.pending().expect("pending edits").into_iter().map(|p| p.entry.payload).collect()
}

/// Everything that is measured at a branch and its district with `n` records.
async fn branch_rows(n: usize, wanted: &dyn Fn(&str) -> bool) {
    let runs = if n > 1_000 { 3 } else { 5 };
    let mut org = Org::new(&["district"]).await;
    let path = org.device_path();
    let pc = Branch::join(&path, &org.ticket().await);
    session(&pc).await;
    let mut replica = pc.stop().await;
    let rows = members(n);

    let (began, before) = (Instant::now(), cpu());
    let ids = import(&mut replica, org.branch, rows.clone());
    let (imported, import_cpu) = (began.elapsed(), cpu() - before);
    let changes = pending_changes(&replica);
    let began = Instant::now();
    replica.seal().expect("sealing");
    let sealed = began.elapsed();
    let inserts =
        median((0..3).map(|i| sqlite_inserts(&org.dir.path().join(format!("floor{i}.db")), &changes)).collect());
    let zstd = zstd3(&changes);
    if wanted("import") {
        Row::new(format!("import of {n} in one transaction"))
            .ratio("bare SQLite inserts", imported.as_secs_f64(), inserts.as_secs_f64())
            .goal("seconds", imported.as_secs_f64(), 2.0 * n as f64 / 10_000.0)
            .value("time", ms(imported))
            .value("CPU", ms(import_cpu))
            .value("sealing all of it", ms(sealed))
            .value("bare SQLite inserts", ms(inserts))
            .print();
    }
    let pc = Branch::of(replica);
    let before = cpu();
    let upload = session(&pc).await;
    let upload_cpu = cpu() - before;
    if wanted("upload") {
        Row::new(format!("upload of {n}, branch to its relay (sealed before)"))
            .ratio("zstd-3 of the raw changes, bytes of frames", upload.frames as f64, zstd as f64)
            .ratio("bare SQLite inserts, time", upload.time.as_secs_f64(), inserts.as_secs_f64())
            .value("time", ms(upload.time))
            .value("CPU of both ends", ms(upload_cpu))
            .value("UDP", bytes(upload.udp()))
            .value("frames", bytes(upload.frames))
            .value("round trips", upload.report.round_trips.to_string())
            .print();
    }
    // The relay must have done its own work before others are timed.
    org.nearest().call(|r| r.project()).await.expect("a desk").expect("projecting");
    let mut pair =
        if wanted("nothing") || wanted("monday") { Some((documents(&changes), documents(&changes))) } else { None };
    if wanted("nothing") {
        let (a, b) = pair.as_mut().expect("made above");
        nothing(&pc, n, peers::sync(a, b)).await;
    }
    // After `nothing`: each new device is news of the charter.
    if wanted("first") {
        first(&mut org, n, runs, &changes, zstd, inserts).await;
        session(&pc).await;
    }
    if wanted("monday") {
        let (a, b) = pair.as_mut().expect("made above");
        monday(&pc, &ids, &rows, a, b).await;
    }
    drop(pair);
    let mut replica = pc.stop().await;
    if wanted("edit") {
        edits(&mut replica, &ids, &rows, org.dir.path(), &changes);
    }
    drop(replica);
    if wanted("memory") {
        memory(&path, n);
    }
    org.stop().await;
}

/// First sync: a second PC of the branch joins and loads everything from the district's relay.
async fn first(org: &mut Org, n: usize, runs: usize, changes: &[Vec<u8>], zstd: u64, inserts: Duration) {
    let mut done: Vec<(Duration, Session)> = Vec::new();
    let mut spent = Vec::new();
    for _ in 0..runs {
        let pc = org.device().await;
        let (began, before) = (Instant::now(), cpu());
        let s = session(&pc).await;
        pc.desk.call(find_last).await.expect("a desk");
        done.push((began.elapsed(), s));
        spent.push(cpu() - before);
        pc.stop().await;
    }
    let time = median(done.iter().map(|(t, _)| *t).collect());
    let verified = median(done.iter().map(|(_, s)| s.time).collect());
    let s = &done[0].1;
    let mut from = documents(changes);
    let mut to = empty(n);
    let am = peers::sync(&mut from, &mut to);
    let goal = if n > 1_000 { 0.6 } else { 0.12 };
    Row::new(format!("first sync of {n} to an empty replica, until a search finds the last"))
        .ratio("Automerge's sync, time", time.as_secs_f64(), am.time.as_secs_f64())
        .ratio("Automerge's sync, bytes", s.frames as f64, am.bytes as f64)
        .ratio("zstd-3 of the raw changes, bytes", s.frames as f64, zstd as f64)
        .ratio("bare SQLite inserts, time", time.as_secs_f64(), inserts.as_secs_f64())
        .goal("seconds", time.as_secs_f64(), goal)
        .goal("bytes of the floor", s.frames as f64 / zstd as f64, 0.65)
        .value("time", ms(time))
        .value("CPU of both ends", ms(median(spent)))
        .value("of which until verified", ms(verified))
        .value("UDP", bytes(s.udp()))
        .value("frames", format!("{} ({:.1} B a record)", bytes(s.frames), s.frames as f64 / n as f64))
        .value("round trips", s.report.round_trips.to_string())
        .value("Automerge", peer(&am))
        .value("zstd-3", bytes(zstd))
        .value("bare SQLite inserts", ms(inserts))
        .print();
}

fn peer(cost: &PeerCost) -> String {
    format!("{} {} in {} messages", ms(cost.time), bytes(cost.bytes), cost.messages)
}

/// Both ends hold the same: a whole cold session.
async fn nothing(pc: &Branch, n: usize, am: PeerCost) {
    let mut done = Vec::new();
    for _ in 0..7 {
        done.push(session(pc).await);
    }
    let time = median(done.iter().map(|s| s.time).collect());
    let s = done.iter().min_by_key(|s| s.udp()).expect("seven sessions");
    let worst = done.iter().map(Session::udp).max().unwrap_or_default();
    Row::new(format!("nothing changed, {n} records, a whole cold session"))
        .ratio("Automerge's sync, time", time.as_secs_f64(), am.time.as_secs_f64())
        .ratio("Automerge's sync, bytes", s.frames as f64, am.bytes as f64)
        .goal("bytes of frames", done.iter().map(|s| s.frames).max().unwrap_or_default() as f64, 200.0)
        .goal("round trips", done.iter().map(|s| s.report.round_trips).max().unwrap_or_default() as f64, 1.0)
        .goal("UDP bytes, handshake included", worst as f64, 5_000.0)
        .value("time", ms(time))
        .value("UDP", format!("{} to {}", bytes(s.udp()), bytes(worst)))
        .value("frames", bytes(s.frames))
        .value("round trips", s.report.round_trips.to_string())
        .value("Automerge", peer(&am))
        .print();
}

/// Edited offline at the branch, one field of different records, then a link.
async fn monday(
    pc: &Branch,
    ids: &[RecordId],
    rows: &[BTreeMap<String, Value>],
    a: &mut [automerge::Automerge],
    b: &mut [automerge::Automerge],
) {
    let mut rng = SeededRng::new(7);
    let mut next = 0;
    let counts = if ids.len() > 1_000 {
        vec![(10, 600.0), (100, 1_950.0), (1_000, 13_000.0)]
    } else {
        vec![(10, 600.0), (100, 1_950.0)]
    };
    for (k, goal) in counts {
        let mut done = Vec::new();
        let mut changes = Vec::new();
        for _ in 0..3 {
            let edits: Vec<(usize, String, Value)> = (next..next + k)
                .map(|at| {
                    // Spread over all records, each once.
                    let at = at * 7 % ids.len();
                    let (name, value) = sampan_tests::members::edit(&mut rng, &rows[at]);
                    (at, name, value)
                })
                .collect();
            next += k;
            let places: Vec<usize> = edits.iter().map(|(at, _, _)| *at).collect();
            let todo: Vec<_> = edits.into_iter().map(|(at, n, v)| (ids[at], vec![(n, Edit::Set(v))])).collect();
            let raw = pc.desk.call(move |r| {
                for (id, edit) in &todo {
                    r.set(*id, edit).expect("an edit");
                }
                pending_changes(r)
            });
            changes = raw.await.expect("a desk");
            assert_eq!(changes.len(), k, "one change an edit");
            for (at, change) in places.iter().zip(&changes) {
                peers::add(&mut a[*at], change);
            }
            done.push((session(pc).await, peers::sync(a, b)));
        }
        let time = median(done.iter().map(|(s, _)| s.time).collect());
        let (s, am) = &done[0];
        assert_eq!(s.report.changes_sent, k as u64);
        let zstd = zstd3(&changes);
        Row::new(format!("Monday: {k} of {} edited offline, reconnect", ids.len()))
            .ratio("Automerge's sync, time", time.as_secs_f64(), am.time.as_secs_f64())
            .ratio("Automerge's sync, bytes", s.frames as f64, am.bytes as f64)
            .ratio("zstd-3 of the raw changes, bytes", s.frames as f64, zstd as f64)
            .goal("bytes of frames", s.frames as f64, goal)
            .goal("round trips", s.report.round_trips as f64, 1.0)
            .value("time", ms(time))
            .value("UDP", bytes(s.udp()))
            .value("frames", bytes(s.frames))
            .value("round trips", s.report.round_trips.to_string())
            .value("Automerge", peer(am))
            .value("zstd-3", bytes(zstd))
            .print();
    }
}

/// Durable edits of a replica that is not linked.
fn edits(replica: &mut Replica, ids: &[RecordId], rows: &[BTreeMap<String, Value>], dir: &Path, changes: &[Vec<u8>]) {
    let mut rng = SeededRng::new(8);
    let mut times = Vec::new();
    let before = cpu();
    for i in 0..EDITS {
        let at = i * 31 % ids.len();
        let (name, value) = sampan_tests::members::edit(&mut rng, &rows[at]);
        let began = Instant::now();
        replica.set(ids[at], &[(name, Edit::Set(value))]).expect("an edit");
        times.push(began.elapsed());
    }
    let spent = cpu().saturating_sub(before) / EDITS as u32;
    let floor = median(live::sqlite_commits(&dir.join("commits.db"), &changes[0], EDITS).expect("bare SQLite"));
    let p50 = percentile(times.clone(), 0.5);
    let p99 = percentile(times.clone(), 0.99);
    let max = percentile(times, 1.0);
    let as_ms = |d: Duration| d.as_secs_f64() * 1_000.0;
    Row::new(format!("local edit, durable and listed, {} records, {EDITS} edits", ids.len()))
        .ratio("a one-row durable commit of SQLite, p50", p50.as_secs_f64(), floor.as_secs_f64())
        .goal("p50 ms", as_ms(p50), 1.5)
        .goal("p99 ms", as_ms(p99), 4.0)
        .goal("max ms", as_ms(max), 10.0)
        .value("p50", ms(p50))
        .value("p99", ms(p99))
        .value("max", ms(max))
        .value("CPU an edit, generating it included", ms(spent))
        .value("one-row commit", ms(floor))
        .print();
}

/// A fresh process that opens the branch and runs one query.
fn memory(path: &Path, n: usize) {
    let mut opens = Vec::new();
    let (mut rss, mut query) = (0.0f64, 0.0f64);
    for _ in 0..5 {
        let exe = std::env::current_exe().expect("this program");
        let out = std::process::Command::new(exe).arg(CHILD).arg(path).output().expect("a child");
        assert!(out.status.success(), "the child failed: {}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        let [open, asked, resident] = numbers.as_slice() else { panic!("the child said {text:?}") };
        opens.push(Duration::from_secs_f64(*open));
        query = query.max(*asked);
        rss = rss.max(*resident);
    }
    let open = median(opens);
    Row::new(format!("a branch with {n} records in a fresh process"))
        .goal("cold open ms", open.as_secs_f64() * 1_000.0, 50.0)
        .goal("resident MB after a query", rss / 1e6, 30.0)
        .value("cold open", ms(open))
        .value("query", ms(Duration::from_secs_f64(query)))
        .value("VmRSS", bytes(rss as u64))
        .value("store", bytes(std::fs::metadata(path.join("store.db")).map_or(0, |m| m.len())))
        .print();
}

fn open_in_child(path: &Path) {
    let began = Instant::now();
    let mut replica = Replica::open(path, &Settings::default()).expect("opening");
    let open = began.elapsed();
    let began = Instant::now();
    find_last(&mut replica);
    let query = began.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib: f64 = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0);
    println!("{} {} {}", open.as_secs_f64(), query.as_secs_f64(), kib * 1_024.0);
}

/// A live edit over three links, daemons kept: branch, grassroots relay, district relay, city.
async fn live() {
    let mut org = Org::new(&["district", "grassroots"]).await;
    let path = org.device_path();
    let line = org.ticket().await;
    let pc = Branch::join(&path, &line);
    session(&pc).await;
    let mut replica = pc.stop().await;
    let rows = members(1_000);
    let ids = import(&mut replica, org.branch, rows.clone());
    let pc = Branch::of(replica);
    session(&pc).await;
    let replica = pc.stop().await;
    let lock = replica.dir().lock().expect("the lock");
    let endpoint = Endpoint::client(replica.engine.key(), Options::default()).expect("an endpoint");
    let status: StatusWriter = Arc::new(|_, _, _| serde_json::Value::Null);
    let daemon = Daemon::start(replica, endpoint, lock, None, true, status).await.expect("a daemon");
    let stores: Vec<_> = ["grassroots", "district", "city"].map(|d| org.dir.path().join(d).join("store.db")).into();
    live::settle(&stores).await.expect("stores");

    let hops = live::edits(&daemon.desk, &ids, &rows, &stores, LIVE_EDITS).await.expect("edits");
    let floor = live::sqlite_commits(&org.dir.path().join("commits.db"), &[0; 150], 100).expect("bare SQLite");
    live::row(
        format!("live edit over three links, 1000 records, {LIVE_EDITS} edits, median (p95)"),
        &hops,
        median(floor),
    )
    .print();
    daemon.stop().await;
    org.stop().await;
}
