//! First loads of many sizes: time, bytes, memory, disk and opening, as figures, raw lines and plots.
//!
//! It does not: compare with anything (`cargo bench -p sampan-tests` does), or run sizes beside each other.
//!
//! Invariants: the relay and the branch that wrote are this process; what loads and what opens are fresh processes
//! of their own, so that their memory is theirs alone; real QUIC on loopback, real stores.

use super::other::{kilobytes_of, numbers_of, say};
use super::plot;
use crate::city::{Branch, found, relay, ticket, unit};
use crate::members;
use crate::table::{Row, cpu};
use sampan_core::charter::Roles;
use sampan_core::value::Value;
use sampan_node::config::Settings;
use sampan_node::desk::SessionState;
use sampan_node::link::sync_once;
use sampan_node::replica::{ImportRecord, Replica};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// The name by which a search finds the last record, and no other; and as somebody types it.
const LAST_NAME: &str = "Nguyễn Đệ Nhất Cuối Cùng";
const LAST_TYPED: &str = "de nhat cuoi cung";

/// Rows made, imported and sealed at a time: what the bench itself holds stays small, however many there are.
const SLICE: usize = 10_000;

/// Longer than a session of the largest size takes on a busy machine.
const LOAD_WITHIN: Duration = Duration::from_secs(3_600);

/// The size that others are compared with, and how many times its cost a record they may cost.
const BESIDE: (f64, f64) = (10_000.0, 1.25);

/// What is measured at one size, in this order in the raw lines.
const COLUMNS: [&str; 12] = [
    "records",
    "import_s",
    "upload_s",
    "load_verified_s",
    "load_listed_s",
    "load_cpu_s",
    "frame_bytes",
    "round_trips",
    "load_peak_rss_bytes",
    "disk_bytes",
    "open_s",
    "open_rss_bytes",
];

/// What is plotted: file, title, unit, column, factor, and whether a record's share of it.
const PLOTS: [(&str, &str, &str, &str, f64, bool); 6] = [
    ("time", "First load until all is listed, a record", "µs a record", "load_listed_s", 1e6, true),
    ("cpu", "CPU of the end that loads, a record", "µs a record", "load_cpu_s", 1e6, true),
    ("bytes", "Bytes of frames of a first load, a record", "B a record", "frame_bytes", 1.0, true),
    ("memory", "Most resident memory of the process that loads", "MB", "load_peak_rss_bytes", 1e-6, false),
    ("disk", "Disk of the loaded store, a record", "B a record", "disk_bytes", 1.0, true),
    ("open", "Opening a store in a fresh process", "ms", "open_s", 1e3, false),
];

/// Measures every size, prints a table and writes `sizes.tsv` and the plots into a folder.
///
/// # Errors
/// In words.
pub async fn run(sizes: &[usize], out: &Path) -> Result<(), String> {
    std::fs::create_dir_all(out).map_err(|e| format!("{}: {e}", out.display()))?;
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for n in sizes {
        let row = one(*n).await?;
        let told: Vec<String> = COLUMNS.iter().zip(&row).map(|(c, v)| format!("{c} {v}")).collect();
        println!("{}", told.join("; "));
        rows.push(row);
        write(out, &rows)?;
    }
    table(&rows);
    Ok(())
}

fn write(out: &Path, rows: &[Vec<f64>]) -> Result<(), String> {
    let mut tsv = COLUMNS.join("\t") + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(f64::to_string).collect();
        let _ = writeln!(tsv, "{}", cells.join("\t"));
    }
    let put = |name: &str, text: &str| {
        let file = out.join(name);
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))
    };
    put("sizes.tsv", &tsv)?;
    for (file, title, unit, column, factor, each) in PLOTS {
        let at = COLUMNS.iter().position(|c| *c == column).unwrap_or_default();
        let cost = |row: &Vec<f64>| row[at] * factor / if each { row[0] } else { 1.0 };
        let points: Vec<(f64, f64)> = rows.iter().map(|row| (row[0], cost(row))).collect();
        put(&format!("{file}.svg"), &plot::svg(title, unit, &points))?;
    }
    Ok(())
}

fn table(rows: &[Vec<f64>]) {
    println!("| records | {} |", PLOTS.map(|p| format!("{}, {}", p.0, p.2)).join(" | "));
    println!("| --- |{}", " --- |".repeat(PLOTS.len()));
    for row in rows {
        let cells = PLOTS.map(|(_, _, _, column, factor, each)| {
            let at = COLUMNS.iter().position(|c| *c == column).unwrap_or_default();
            format!("{:.1}", row[at] * factor / if each { row[0] } else { 1.0 })
        });
        println!("| {} | {} |", row[0], cells.join(" | "));
    }
    let Some(base) = rows.iter().find(|row| row[0] == BESIDE.0) else { return };
    for row in rows.iter().filter(|row| row[0] > BESIDE.0) {
        let mut told = Row::new(format!("{} records, cost a record beside that of {}", row[0], BESIDE.0));
        for (_, title, _, column, _, _) in PLOTS.iter().filter(|p| p.5) {
            let at = COLUMNS.iter().position(|c| c == column).unwrap_or_default();
            let times = (row[at] / row[0]) / (base[at] / base[0]);
            told = told.goal(title, times, BESIDE.1);
        }
        told.print();
    }
}

async fn one(n: usize) -> Result<Vec<f64>, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let city = relay(found(&dir.path().join("city"), "Thành phố")).await;
    let desk = &city.daemon.desk;
    let root = desk.call(|r| r.engine.charter().root()).await.flatten().ok_or("no root")?;
    let branch = unit(desk, root, "Chi bộ 1", "branch").await;

    let pc = Branch::join(&dir.path().join("pc"), &ticket(desk, branch, Roles::EDITOR).await);
    pc.sync_ok().await;
    let mut replica = pc.stop().await;
    let collection = replica.collection("members").map_err(|e| e.to_string())?;
    let mut imported = Duration::ZERO;
    for at in (0..n).step_by(SLICE) {
        let mut rows = members::members(2_026 + at as u64, SLICE.min(n - at));
        if let Some(last) = rows.last_mut().filter(|_| at + SLICE >= n) {
            last.insert("full_name".into(), Value::Str(LAST_NAME.into()));
        }
        let rows = rows.into_iter().map(|fields| ImportRecord { unit: branch, fields, updates: None }).collect();
        let began = Instant::now();
        replica.import(&collection, rows).map_err(|e| e.to_string())?;
        imported += began.elapsed();
        replica.seal().map_err(|e| e.to_string())?;
    }
    let pc = Branch::of(replica);
    let began = Instant::now();
    let (_, result) = sync_once(&pc.desk, &pc.endpoint, None, LOAD_WITHIN, |_| ()).await;
    result.map_err(|e| e.to_string())?;
    let uploaded = began.elapsed();
    pc.stop().await;
    desk.call(|r| r.project()).await.ok_or("the desk stopped")?.map_err(|e| e.to_string())?;

    let second = dir.path().join("second");
    let line = ticket(desk, branch, Roles::EDITOR).await;
    let loaded = child(&["load", &second.to_string_lossy(), &line]).await?;
    let disk = disk(&second);
    let mut opened: Vec<Vec<f64>> = Vec::new();
    for _ in 0..3 {
        opened.push(child(&["open", &second.to_string_lossy()]).await?);
    }
    opened.sort_by(|a, b| a[0].total_cmp(&b[0]));
    city.daemon.stop().await;
    let [verified, listed, spent, frames, trips, peak] = loaded.as_slice() else {
        return Err(format!("the process that loads said {loaded:?}"));
    };
    let [open, resident] = opened[1].as_slice() else {
        return Err(format!("the process that opens said {opened:?}"));
    };
    let (imported, uploaded) = (imported.as_secs_f64(), uploaded.as_secs_f64());
    Ok(vec![n as f64, imported, uploaded, *verified, *listed, *spent, *frames, *trips, *peak, disk, *open, *resident])
}

/// Everything in a replica's folder.
fn disk(path: &Path) -> f64 {
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    files.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum::<u64>() as f64
}

/// This program in a fresh process; the numbers that it said. The relay of this process goes on meanwhile.
async fn child(words: &[&str]) -> Result<Vec<f64>, String> {
    let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
    let said = move || numbers_of(&words.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(said).await.map_err(|e| e.to_string())?
}

/// The process that loads: joins, syncs, lists.
///
/// # Errors
/// In words.
pub async fn load(path: &Path, line: &str) -> Result<(), String> {
    let pc = Branch::join(path, line);
    let (began, before) = (Instant::now(), cpu());
    let mut last = SessionState::default();
    let (report, result) = sync_once(&pc.desk, &pc.endpoint, None, LOAD_WITHIN, |s| last = s.clone()).await;
    result.map_err(|e| e.to_string())?;
    let verified = began.elapsed();
    pc.desk.call(find_last).await.ok_or("the desk stopped")??;
    let (listed, spent) = (began.elapsed(), cpu() - before);
    let frames = last.stats.frame_bytes_sent + last.stats.frame_bytes_received;
    let peak = status("VmHWM");
    pc.stop().await;
    say(&[seconds(verified), seconds(listed), seconds(spent), frames as f64, report.round_trips as f64, peak]);
    Ok(())
}

/// The process that opens: a replica, and one search.
///
/// # Errors
/// In words.
pub fn open(path: &Path) -> Result<(), String> {
    let began = Instant::now();
    let mut replica = Replica::open(path, &Settings::default()).map_err(|e| e.to_string())?;
    let open = began.elapsed();
    find_last(&mut replica)?;
    say(&[seconds(open), status("VmRSS")]);
    Ok(())
}

/// Finds the last record by a folded search.
fn find_last(replica: &mut Replica) -> Result<(), String> {
    let collection = replica.collection("members").map_err(|e| e.to_string())?;
    match replica.list(&collection, None, Some(LAST_TYPED)).map_err(|e| e.to_string())?.len() {
        1 => Ok(()),
        found => Err(format!("the search found {found} records, not the last one alone")),
    }
}

fn seconds(d: Duration) -> f64 {
    d.as_secs_f64()
}

/// A figure of this process's status, in bytes.
fn status(name: &str) -> f64 {
    kilobytes_of("self", name) * 1_024.0
}
