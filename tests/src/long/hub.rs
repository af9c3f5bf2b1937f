//! The city: a hub that holds every member of 50 districts, and the way up to it from one branch.
//!
//! It does not: carry the members there over links (they are taken in by the hub's own intake, branch by branch), or
//! run in the tests.
//!
//! Invariants: what is stored is what branches would have sent; what opens and what is at rest are processes of their
//! own; the floor is bare SQLite with the same rows and the same search, in the same run.

use super::other::{Other, kilobytes_of, numbers_of, say};
use super::{floor, live};
use crate::city::{self, Branch, PATIENCE, relay, ticket, unit};
use crate::herd::{self, Seed};
use crate::shape;
use crate::table::{Row, bytes, cpu, median, ms};
use sampan_core::charter::{Roles, Ticket};
use sampan_core::engine::meta;
use sampan_core::fold::fold;
use sampan_core::id::{DeviceId, RecordId, UnitId};
use sampan_core::schema::Collection;
use sampan_core::store::{Batch, Store as _, StoreError};
use sampan_core::value::Value;
use sampan_core::wire::frame::Group;
use sampan_node::config::Settings;
use sampan_node::daemon::{Daemon, StatusWriter};
use sampan_node::desk::{Desk, SessionState};
use sampan_node::link::sync_once;
use sampan_node::net::{Endpoint, Options};
use sampan_node::replica::{ImportRecord, Replica};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The shape: members of so many branches of so many districts.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Members in all.
    pub members: usize,
    /// Branches, each with its own device.
    pub branches: usize,
    /// Districts.
    pub districts: usize,
    /// Live edits.
    pub edits: usize,
}

/// Entries of a commit at most.
const COMMIT_ENTRIES: usize = 256;
/// Commits that go into one transaction, as the desk does it.
const TOGETHER: usize = 64;
/// Transactions after which the desk would have been idle once: it then projects, and cuts the log back.
const IDLE_EVERY: usize = 16;
/// Sessions of the district that are timed.
const SESSIONS: usize = 7;
/// Times that a search is repeated.
const SEARCHES: usize = 5;
/// How long the hub's process is left alone before its memory is read.
const REST: Duration = Duration::from_secs(6);
/// Records of the branch whose edits are followed.
const OWN: usize = 60;

/// Founds the city, measures it, prints the rows.
///
/// # Errors
/// In words.
pub async fn run(counts: Counts, tsv: Option<PathBuf>, kept: Option<PathBuf>) -> Result<(), String> {
    let temporary = tempfile::tempdir().map_err(|e| e.to_string())?;
    let dir = kept.as_deref().unwrap_or(temporary.path());
    let path = dir.join("city");
    let mut lines = Vec::new();
    if path.exists() {
        println!("the city of {} is measured as it is", dir.display());
    } else {
        std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        fill(&path, counts, &mut lines)?;
    }
    let district = district(&path)?;
    opened(dir, &path, counts, &mut lines)?;
    at_rest(&path, &mut lines).await?;
    // What is joined below the hub is new each time.
    links(temporary.path(), &path, counts, district, &mut lines).await?;
    if let Some(file) = tsv {
        let text: String = lines.iter().map(|(what, value)| format!("{what}\t{value}\n")).collect();
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(())
}

type Lines = Vec<(&'static str, f64)>;

/// A district without a relay of its own yet.
fn district(path: &Path) -> Result<UnitId, String> {
    let hub = Replica::open(path, &Settings::default()).map_err(|e| e.to_string())?;
    let charter = hub.engine.charter();
    let districts = charter.units().filter(|u| u.kind.as_deref() == Some("district"));
    districts.map(|u| u.id).find(|id| !charter.has_relay(id)).ok_or_else(|| "no district is left".into())
}

/// Founds the units, and takes every branch's commits in.
fn fill(path: &Path, counts: Counts, lines: &mut Lines) -> Result<(), String> {
    let Counts { members, branches, districts, .. } = counts;
    let words = |e: StoreError| e.to_string();
    let (began, before) = (Instant::now(), cpu());
    let found = herd::found(path, branches, districts).map_err(words)?;
    println!(
        "{branches} branches in {districts} districts founded in {:.0} s, CPU {:.0} s",
        secs(began),
        spent(before)
    );
    let mut hub = Replica::open(path, &Settings::default()).map_err(|e| e.to_string())?;
    let collection = hub.collection("members").map_err(|e| e.to_string())?;
    let began = Instant::now();
    let (mut making, mut taking, mut projecting) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut transactions = 0;
    let mut waiting: Vec<Group> = Vec::new();
    for (at, seed) in found.branches.into_iter().enumerate() {
        let before = cpu();
        let n = members / branches + usize::from(at < members % branches);
        waiting.extend(commits(&hub, seed, &collection, at as u64, n)?);
        making += cpu() - before;
        if waiting.len() >= TOGETHER || at + 1 == branches {
            let before = cpu();
            take(&mut hub, &std::mem::take(&mut waiting)).map_err(words)?;
            taking += cpu() - before;
            transactions += 1;
        }
        if transactions >= IDLE_EVERY || at + 1 == branches {
            transactions = 0;
            let before = cpu();
            hub.project().map_err(words)?;
            hub.store.checkpoint().map_err(words)?;
            projecting += cpu() - before;
        }
    }
    println!("{members} members taken in and projected after {:.0} s", secs(began));
    let each = |d: Duration| d.as_secs_f64() * 1e6 / members as f64;
    lines.extend([
        ("members", members as f64),
        ("making_cpu_us", each(making)),
        ("intake_cpu_us", each(taking)),
        ("projection_cpu_us", each(projecting)),
    ]);
    Row::new(format!("city: {members} members of {branches} branches taken in by the hub"))
        .value("CPU of intake, a member", format!("{:.0} µs", each(taking)))
        .value("of projection", format!("{:.0} µs", each(projecting)))
        .value("of making and signing them at the branches", format!("{:.0} µs", each(making)))
        .print();
    Ok(())
}

/// A branch's members as its device would have sealed them.
fn commits(hub: &Replica, seed: Seed, members: &Collection, number: u64, n: usize) -> Result<Vec<Group>, String> {
    let last = seed.own.last().and_then(|g| g.headers.last()).ok_or("a branch without a charter")?;
    let grant = last.trust().map_err(|e| e.to_string())?.id();
    let mut branch = shape::Branch::new(seed.unit, seed.key, grant);
    let (org, now) = (hub.engine.org(), hub.now());
    let slices = (0..n).step_by(COMMIT_ENTRIES).map(|at| (at, COMMIT_ENTRIES.min(n - at)));
    Ok(slices
        .map(|(at, n)| shape::group(org, &branch.commit(org, members, now, number * 1_000 + at as u64, n)))
        .collect())
}

/// Takes groups in as the desk does, each as a frame of its own, all in one transaction.
fn take(hub: &mut Replica, groups: &[Group]) -> Result<(), StoreError> {
    let now = hub.now();
    let Replica { store, engine, rng, .. } = hub;
    store.group(|s| {
        for group in groups {
            let from = DeviceId::default();
            let took = engine.intake(s, rng, from, std::slice::from_ref(group), &|_, _| true, now);
            let took = took.map_err(|e| StoreError::Io(e.to_string()))?;
            if took.commits != 1 {
                return Err(StoreError::Io(format!("taken in: {took:?}")));
            }
        }
        Ok(())
    })
}

/// Disk, opening, searching: in fresh processes, beside bare SQLite.
fn opened(dir: &Path, path: &Path, counts: Counts, lines: &mut Lines) -> Result<(), String> {
    let n = counts.members as f64;
    let plain = dir.join("floor.db");
    let _ = std::fs::remove_file(&plain);
    let (began, before) = (Instant::now(), cpu());
    floor::table(&plain, counts.members, counts.branches).map_err(|e| e.to_string())?;
    println!("the floor's table written in {:.0} s, CPU {:.0} s", secs(began), spent(before));
    let size = |file: &Path| std::fs::metadata(file).map_or(0, |m| m.len()) as f64;
    let disk: f64 = std::fs::read_dir(path).into_iter().flatten().flatten().map(|f| size(&f.path())).sum();
    let sqlite = size(&plain);
    // Of a branch in the middle: a name as somebody writes it, and as somebody types it, and a card.
    let number = counts.branches as u64 / 2;
    let row = crate::members::members(number * 1_000, 1).pop().unwrap_or_default();
    let text = |name: &str| match row.get(name) {
        Some(Value::Str(s)) => s.clone(),
        _ => String::new(),
    };
    let (name, card) = (text("full_name"), text("card_number"));
    let mut runs: Vec<Vec<f64>> = Vec::new();
    let words = [path.to_string_lossy(), plain.to_string_lossy(), name.as_str().into(), card.as_str().into()];
    for _ in 0..3 {
        runs.push(numbers_of(&["open-hub", &words[0], &words[1], &words[2], &words[3]])?);
    }
    if runs.iter().any(|r| r.len() != 11) {
        return Err(format!("the process that opens said {runs:?}"));
    }
    let of = |at: usize| {
        let mut all: Vec<f64> = runs.iter().map(|r| r[at]).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let secs = |at: usize| Duration::from_secs_f64(of(at));
    let what = [
        "open_s",
        "open_cpu_s",
        "open_rss_bytes",
        "search_exact_s",
        "search_folded_s",
        "search_card_s",
        "hits",
        "search_rss_bytes",
        "floor_open_s",
        "floor_search_s",
        "floor_card_s",
    ];
    lines.extend([("disk_bytes", disk), ("floor_disk_bytes", sqlite)]);
    lines.extend(what.iter().enumerate().map(|(at, name)| (*name, of(at))));
    Row::new(format!("city: {} members on disk, opened by a fresh process", counts.members))
        .ratio("bare SQLite's table and search of the same rows, bytes", disk, sqlite)
        .ratio("bare SQLite's opening", of(0), of(8))
        .ratio("its search of the name", of(4), of(9))
        .ratio("its search of the card", of(5), of(10))
        .goal("B a record on disk, with projection and search", disk / n, 900.0)
        .goal("seconds to open", of(0), 1.0)
        .goal("MB of memory once open", of(2) / 1e6, 200.0)
        .value("disk", format!("{} ({:.0} B a record; bare SQLite {:.0})", bytes(disk as u64), disk / n, sqlite / n))
        .value("open", format!("{}, CPU {}", ms(secs(0)), ms(secs(1))))
        .value(&format!("search of '{name}' ({} found)", of(6)), ms(secs(3)))
        .value(&format!("of '{}'", fold(&name)), ms(secs(4)))
        .value("of a card's number", ms(secs(5)))
        .value("bare SQLite: open, name, card", format!("{}, {}, {}", ms(secs(8)), ms(secs(9)), ms(secs(10))))
        .value("memory after searching", format!("{:.1} MB", of(7) / 1e6))
        .print();
    Ok(())
}

/// The process that opens a hub, and then the floor.
///
/// # Errors
/// In words.
pub fn open(path: &Path, plain: &Path, name: &str, card: &str) -> Result<(), String> {
    let rss = || kilobytes_of("self", "VmRSS") * 1_024.0;
    let (began, before) = (Instant::now(), cpu());
    let mut hub = Replica::open(path, &Settings::default()).map_err(|e| e.to_string())?;
    let collection = hub.collection("members").map_err(|e| e.to_string())?;
    let (open, open_cpu) = (began.elapsed(), cpu() - before);
    let resident = rss();
    let mut search = |text: &str| -> Result<(Duration, usize), String> {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..SEARCHES {
            let began = Instant::now();
            found = hub.list(&collection, None, Some(text)).map_err(|e| e.to_string())?.len();
            times.push(began.elapsed());
        }
        Ok((median(times), found))
    };
    let (exact, hits) = search(name)?;
    let (folded, hits_folded) = search(&fold(name))?;
    let (by_card, cards) = search(card)?;
    if hits == 0 || hits_folded < hits || cards == 0 {
        return Err(format!("'{name}' was found {hits} times, folded {hits_folded}, card {card} {cards}"));
    }
    let after = rss();
    let plain = floor::search(plain, &fold(name), card, SEARCHES).map_err(|e| e.to_string())?;
    let s = |d: Duration| d.as_secs_f64();
    let all = [s(open), s(open_cpu), resident, s(exact), s(folded), s(by_card), hits as f64, after];
    say(&[all.as_slice(), &plain.map(s)].concat());
    Ok(())
}

/// The running program's memory when nothing happens.
async fn at_rest(path: &Path, lines: &mut Lines) -> Result<(), String> {
    let web = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?;
    let began = Instant::now();
    let other = Other::start(&["relay", &path.to_string_lossy(), &web.to_string()])?;
    let ready = began.elapsed();
    tokio::time::sleep(REST).await;
    let before = other.cpu();
    tokio::time::sleep(REST).await;
    let (rss, peak, busy) = (other.kilobytes("VmRSS"), other.kilobytes("VmHWM"), other.cpu() - before);
    lines.extend([
        ("ready_s", ready.as_secs_f64()),
        ("rest_rss_kb", rss),
        ("rest_peak_kb", peak),
        ("rest_cpu_s", busy),
    ]);
    Row::new("city: the hub's relay process at rest")
        .goal("MB of memory", rss * 1.024e-3, 200.0)
        .goal("seconds until it accepts", ready.as_secs_f64(), 1.0)
        .value("memory", format!("{:.0} MB, at most {:.0} MB", rss * 1.024e-3, peak * 1.024e-3))
        .value("CPU while nothing happens", format!("{:.1} ms a second", busy * 1_000.0 / REST.as_secs_f64()))
        .print();
    Ok(())
}

/// The relays below the hub: one district verified, and live edits of one of its branches.
async fn links(dir: &Path, path: &Path, counts: Counts, district: UnitId, lines: &mut Lines) -> Result<(), String> {
    let hub = relay(Replica::open(path, &Settings::default()).map_err(|e| e.to_string())?).await;
    let desk = &hub.daemon.desk;
    let joined = |line: String, name: &str| -> Result<Replica, String> {
        let ticket = Ticket::decode(&line).map_err(|e| e.to_string())?;
        Replica::join(&dir.join(name), &ticket, Settings::default()).map_err(|e| e.to_string())
    };
    let below = joined(ticket(desk, district, Roles::RELAY).await, "district")?;
    let (began, before) = (Instant::now(), cpu());
    let upper = relay(below).await;
    published(desk, district).await?;
    // Its first load, as that of a relay that was lost: everything of its district.
    let expected = counts.members / counts.districts;
    loop {
        let got = upper.daemon.desk.call(projected).await.ok_or("the desk stopped")??;
        if got + 300 >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (loaded, loading) = (began.elapsed(), cpu() - before);
    lines.extend([("district_load_s", loaded.as_secs_f64()), ("district_load_cpu_s", loading.as_secs_f64())]);
    Row::new(format!("city: a district's relay that holds nothing loads its {expected} members from the hub"))
        .value("time", ms(loaded))
        .value("CPU of both ends", ms(loading))
        .print();

    let grassroots = unit(desk, district, "Đảng bộ cơ sở", "grassroots").await;
    let middle = relay(joined(ticket(desk, grassroots, Roles::RELAY).await, "grassroots")?).await;
    published(desk, grassroots).await?;
    let branch = unit(desk, grassroots, "Chi bộ", "branch").await;
    let pc = Branch::join(&dir.join("pc"), &ticket(desk, branch, Roles::EDITOR).await);
    pc.sync_ok().await;
    let mut replica = pc.stop().await;
    let rows = crate::members::members(77, OWN);
    let collection = replica.collection("members").map_err(|e| e.to_string())?;
    let import = rows.iter().map(|f| ImportRecord { unit: branch, fields: f.clone(), updates: None }).collect();
    let ids: Vec<RecordId> = replica.import(&collection, import).map_err(|e| e.to_string())?;
    let lock = replica.dir().lock().map_err(|e| e.to_string())?;
    let endpoint = Endpoint::client(replica.engine.key(), Options::default()).map_err(|e| e.to_string())?;
    let status: StatusWriter = Arc::new(|_, _, _| serde_json::Value::Null);
    let pc = Daemon::start(replica, endpoint, lock, None, true, status).await.map_err(|e| e.to_string())?;
    let stores =
        [dir.join("grassroots"), dir.join("district"), path.to_path_buf()].map(|d| d.join("store.db")).to_vec();
    live::settle(&stores).await?;
    let before = cpu();
    let hops = live::edits(&pc.desk, &ids, &rows, &stores, counts.edits).await?;
    let spent = (cpu() - before) / u32::try_from(counts.edits.max(1)).unwrap_or(1);
    let commits = live::sqlite_commits(&dir.join("commits.db"), &[0; 150], 100).map_err(|e| e.to_string())?;
    let floor = median(commits);
    for (name, hop) in ["live_first_s", "live_second_s", "live_city_s"].into_iter().zip(&hops) {
        lines.push((name, median(hop.clone()).as_secs_f64()));
    }
    lines.extend([("live_cpu_s", spent.as_secs_f64()), ("live_floor_s", 4.0 * floor.as_secs_f64())]);
    live::row(
        format!("city: live edit over three links, {} members, {} edits", counts.members, counts.edits),
        &hops,
        floor,
    )
    .value("CPU of all four programs, an edit", ms(spent))
    .print();
    pc.stop().await;
    middle.daemon.stop().await;

    let replica = upper.daemon.stop().await.ok_or("the district's desk failed")?;
    verified(desk, replica, lines).await?;
    hub.daemon.stop().await;
    Ok(())
}

/// Whole sessions of the district with the hub, nothing changed: after a meeting, and after it was forgotten.
async fn verified(hub: &Desk, replica: Replica, lines: &mut Lines) -> Result<(), String> {
    let met = |device: DeviceId| {
        move |r: &mut Replica| {
            let mut batch = Batch::at(r.now());
            batch.meta.insert(meta::met(&device), None);
            r.store.write(&batch)
        }
    };
    let (own, other) = (replica.device(), hub.call(|r| r.device()).await.ok_or("the desk stopped")?);
    let district = Branch::of(replica);
    let mut forget = false;
    for (name, title, key) in [
        ("they met before", "a district verified with the hub, nothing changed", "verify_s"),
        ("the last meeting forgotten", "a district verified from the top, nothing changed", "verify_top_s"),
    ] {
        let (mut times, mut told, mut spent) = (Vec::new(), (0, 0, 0), Duration::ZERO);
        for at in 0..=SESSIONS {
            if forget {
                hub.call(met(own)).await.ok_or("the desk stopped")?.map_err(|e| e.to_string())?;
                district.desk.call(met(other)).await.ok_or("the desk stopped")?.map_err(|e| e.to_string())?;
            }
            let mut last = SessionState::default();
            let (began, before) = (Instant::now(), cpu());
            let (report, result) =
                sync_once(&district.desk, &district.endpoint, None, PATIENCE, |s| last = s.clone()).await;
            result.map_err(|e| format!("{title}: {e}"))?;
            // The first of them may still bring acknowledgements.
            if at > 0 {
                times.push(began.elapsed());
                spent += cpu() - before;
                let udp = report.sent_bytes + report.received_bytes;
                told = (last.stats.frame_bytes_sent + last.stats.frame_bytes_received, udp, report.round_trips);
            }
        }
        let time = median(times);
        lines.push((key, time.as_secs_f64()));
        Row::new(format!("city: {title}; median of {SESSIONS}"))
            .goal("bytes of frames", told.0 as f64, 200.0)
            .value("handshake and all", ms(time))
            .value("CPU of both ends", ms(spent / SESSIONS as u32))
            .value("frames, UDP", format!("{}, {}", bytes(told.0), bytes(told.1)))
            .value("round trips", told.2.to_string())
            .value("", name)
            .print();
        forget = true;
    }
    district.stop().await;
    Ok(())
}

async fn published(hub: &Desk, unit: UnitId) -> Result<(), String> {
    let until = Instant::now() + city::PATIENCE;
    while Instant::now() < until {
        let there = hub.call(move |r| !r.engine.charter().endpoints(&unit).is_empty()).await;
        if there.ok_or("the desk stopped")? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("a relay has not published its endpoint".into())
}

/// How many members a replica shows.
fn projected(replica: &mut Replica) -> Result<usize, String> {
    let path = replica.dir().store();
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = rusqlite::Connection::open_with_flags(path, flags).map_err(|e| e.to_string())?;
    match conn.query_row("SELECT count(*) FROM members", [], |r| r.get::<_, i64>(0)) {
        Ok(n) => Ok(usize::try_from(n).unwrap_or_default()),
        // Its schema has not come yet.
        Err(rusqlite::Error::SqliteFailure(_, _)) => Ok(0),
        Err(e) => Err(e.to_string()),
    }
}

fn secs(began: Instant) -> f64 {
    began.elapsed().as_secs_f64()
}

fn spent(before: Duration) -> f64 {
    (cpu() - before).as_secs_f64()
}
