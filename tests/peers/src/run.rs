//! The rows: who is measured, how often, in which order.
//!
//! It does not: know how a contender does what it does.

use crate::Asked;
use crate::automerge_docs::Documents;
use crate::big::Big;
use crate::contender::{Contender, Cost, Over};
use crate::edits::Records;
use crate::floors::{Files, Quic, compress, verify};
use crate::iroh_node::Iroh;
use crate::peers::sqlite_commits;
use crate::report::{Lines, Table};
use crate::resident;
use crate::samod_repo::Samod;
use crate::sampan::Sampan;
use sampan_tests::table::{bytes, median, percentile};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};

/// The rows that can be asked for.
pub const ROWS: [&str; 5] = ["first", "nothing", "monday", "live", "memory"];
/// Between two live edits, so that each is alone.
pub const BETWEEN: Duration = Duration::from_millis(50);
/// The most records for samod's second setting, which is there to see which is its best.
const ANNOUNCED_MAX: usize = 1_000;
/// Live edits a contender.
const LIVE_EDITS: usize = 30;

/// The runtime of this program and of its children.
#[must_use]
pub fn runtime() -> Runtime {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.expect("a runtime")
}

/// Everything that was asked for.
pub fn run(asked: &Asked) {
    resident::LIMIT.get_or_init(|| asked.limit);
    let runtime = runtime();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let facts = format!(
        "{now}; {cores} cores; load before {}; limit {} s\nsampan {}; samod 0.16; automerge 0.12; iroh-docs 0.101",
        load.trim(),
        asked.limit.as_secs(),
        env!("CARGO_PKG_VERSION"),
    );
    println!("{facts}");
    let mut lines = Lines::new(&facts);
    let path = asked.tsv.clone().unwrap_or_else(|| {
        let name = format!("{}.tsv", jiff::Timestamp::now().strftime("%Y-%m-%d"));
        Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(name)
    });
    for n in &asked.sizes {
        size(runtime.handle(), asked, *n, &mut lines);
        // After each size, so that a run that is ended early has kept something.
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).expect("a folder for the results");
        }
        std::fs::write(&path, lines.text()).expect("the results");
    }
    // What tasks of the peers still wait for is nobody's any more.
    runtime.shutdown_timeout(Duration::from_secs(2));
}

/// Peers with all of the records at one end.
fn peers(asked: &Asked, records: &Records, changes: &[Vec<u8>], dir: &Path) -> Vec<Box<dyn Contender>> {
    let (n, limit) = (records.rows.len(), asked.limit);
    let mut out: Vec<Box<dyn Contender>> = Vec::new();
    let mut take = |name: &str, made: Result<Box<dyn Contender>, Over>| match made {
        Ok(made) => out.push(made),
        Err(over) => println!("{name}: {n} records were not there within {} s", over.0.as_secs()),
    };
    if asked.has("samod") {
        if n <= asked.samod_max {
            take("samod", Samod::new(changes, dir, limit, false).map(|s| Box::new(s) as _));
            if n <= ANNOUNCED_MAX {
                take("samod, announced", Samod::new(changes, dir, limit, true).map(|s| Box::new(s) as _));
            }
        } else {
            println!("samod: not measured above {} records (--samod-max)", asked.samod_max);
        }
    }
    if asked.has("iroh-docs") {
        take("iroh-docs", Iroh::new(records, dir, limit).map(|s| Box::new(s) as _));
    }
    for saved in [false, true] {
        if asked.has("documents") {
            take("documents", Ok(Box::new(Documents::new(changes, dir, saved, limit))));
        }
        if asked.has("big") {
            take("one big document", Big::new(records, dir, saved, limit).map(|s| Box::new(s) as _));
        }
    }
    out
}

/// All rows of one number of records.
fn size(rt: &Handle, asked: &Asked, n: usize, lines: &mut Lines) {
    let runs = asked.runs.unwrap_or(if n > 1_000 { 3 } else { 5 });
    let dir = tempfile::tempdir().expect("a folder");
    let mut records = Records::new(n);
    let mut sampan = Sampan::new(rt, &records);
    let mut others = peers(asked, &records, &sampan.changes, dir.path());
    let mut at = Place { asked, runs, lines, quic: Quic::new(rt), files: Files::new(dir.path()) };
    at.first(&mut sampan, &mut others, n);
    if asked.wants("nothing") {
        at.nothing(&mut sampan, &mut others, n);
    }
    if asked.wants("monday") {
        for k in [10, 100, 1_000] {
            if k * 10 <= n {
                at.monday(&mut sampan, &mut others, &mut records, k);
            }
        }
    }
    // Memory before the live edits, which make Sampan's documents and the peers' differ.
    if asked.wants("memory") {
        at.memory(&mut sampan, &mut others, n);
    }
    if asked.wants("live") {
        at.live(&mut sampan, &mut others, &mut records);
    }
    drop(others);
    sampan.stop();
}

struct Place<'a> {
    asked: &'a Asked,
    runs: usize,
    lines: &'a mut Lines,
    quic: Quic,
    files: Files,
}

type Others = Vec<Box<dyn Contender>>;

impl Place<'_> {
    /// One turn of everybody; who went beyond the limit leaves, who took a sixth of it is not asked again.
    fn turn(
        &mut self,
        table: &mut Table,
        others: &mut Others,
        tired: &mut Vec<String>,
        mut one: impl FnMut(&mut dyn Contender) -> crate::contender::Done,
    ) {
        let limit = self.asked.limit;
        others.retain_mut(|other| {
            let name = other.name();
            if tired.iter().any(|t| t == name) || !other.does(table.row()) {
                return true;
            }
            match table.add(self.lines, name, one(other.as_mut())) {
                Ok(time) => {
                    if time > limit / 6 {
                        tired.push(name.to_owned());
                    }
                    true
                }
                Err(_) => false,
            }
        });
    }

    fn floor(&mut self, table: &mut Table, name: &str, cost: Cost) {
        // A floor has no limit.
        let _ = table.add(self.lines, name, Ok(cost));
    }

    fn first(&mut self, sampan: &mut Sampan, others: &mut Others, n: usize) {
        let wanted = self.asked.wants("first");
        let title = format!("first sync of {n} records to an empty replica");
        let mut table = Table::new("first", title, n, 0);
        let mut tired = Vec::new();
        for _ in 0..if wanted { self.runs } else { 1 } {
            let _ = table.add(self.lines, sampan.name(), sampan.first());
            self.turn(&mut table, others, &mut tired, |o| o.first());
            let frames = sampan.frames;
            let moved = self.quic.bytes(frames);
            self.floor(&mut table, "floor: quinn moving Sampan's frames", moved);
            self.floor(&mut table, "floor: ed25519, Sampan's signatures", verify(&sampan.commits));
            let inserted = self.files.inserts(&sampan.changes);
            self.floor(&mut table, "floor: SQLite, the raw changes", inserted);
            self.floor(&mut table, "floor: zstd-3 of the raw changes", compress(&sampan.changes));
        }
        if wanted {
            table.print();
        }
    }

    fn nothing(&mut self, sampan: &mut Sampan, others: &mut Others, n: usize) {
        let mut table = Table::new("nothing", format!("nothing changed, {n} records, reconnect"), n, 0);
        let mut tired = Vec::new();
        for _ in 0..self.runs {
            let _ = table.add(self.lines, sampan.name(), sampan.nothing());
            self.turn(&mut table, others, &mut tired, |o| o.nothing());
            let trip = self.quic.bytes(1);
            self.floor(&mut table, "floor: a QUIC connection, one round trip", trip);
        }
        table.print();
    }

    fn monday(&mut self, sampan: &mut Sampan, others: &mut Others, records: &mut Records, k: usize) {
        let n = records.rows.len();
        let mut table = Table::new("monday", format!("Monday: {k} of {n} edited offline, reconnect"), n, k);
        let mut tired = Vec::new();
        for _ in 0..self.runs.min(3) {
            let mut edits = records.edit(k);
            sampan.edit(&mut edits);
            let _ = table.add(self.lines, sampan.name(), sampan.monday(&edits));
            self.turn(&mut table, others, &mut tired, |o| o.monday(&edits));
            let trip = self.quic.bytes(1);
            self.floor(&mut table, "floor: a QUIC connection, one round trip", trip);
            let inserted = self.files.inserts(&edits.changes);
            self.floor(&mut table, "floor: SQLite, the raw changes", inserted);
            self.floor(&mut table, "floor: zstd-3 of the raw changes", compress(&edits.changes));
        }
        table.print();
    }

    fn live(&mut self, sampan: &mut Sampan, others: &mut Others, records: &mut Records) {
        let n = records.rows.len();
        let title = format!("live edit over one link, {n} records, {LIVE_EDITS} edits");
        let mut table = Table::new("live", title, n, 0);
        let edits = records.edit(LIVE_EDITS);
        let mut one = |table: &mut Table, name: &str, times: Result<Vec<Duration>, Over>| {
            let cost = times.map(|times| {
                let note = format!("p95_ms={:.2}", percentile(times.clone(), 0.95).as_secs_f64() * 1e3);
                Cost { time: median(times), note, ..Cost::default() }
            });
            // Each contender has one turn.
            table.add(self.lines, name, cost).is_ok()
        };
        one(&mut table, sampan.name(), sampan.live(&edits));
        others.retain_mut(|o| !o.does("live") || one(&mut table, o.name(), o.live(&edits)));
        one(&mut table, "floor: one round trip on a QUIC link", Ok(self.quic.echoes(LIVE_EDITS)));
        let path = self.files.fresh();
        one(&mut table, "floor: a one-row durable commit", Ok(sqlite_commits(&path, &sampan.changes[0], LIVE_EDITS)));
        table.print();
    }

    fn memory(&mut self, sampan: &mut Sampan, others: &mut Others, n: usize) {
        println!("\nmemory of a process that received {n} records (VmRSS; beyond what it had with its node up)");
        let mut ours: Option<f64> = None;
        let mut all: Vec<&mut dyn Contender> = vec![sampan];
        all.extend(others.iter_mut().map(|o| &mut **o as &mut dyn Contender));
        for contender in all.into_iter().filter(|c| c.does("memory")) {
            let name = contender.name();
            let mut table = Table::new("memory", String::new(), n, 0);
            let mut each = Vec::new();
            for _ in 0..self.runs.min(3) {
                let began = Instant::now();
                let got = contender.memory();
                let cost = got.map(|got| {
                    each.push((got.after.saturating_sub(got.before) as f64 / n as f64, got));
                    let note = format!("resident_before={} resident_after={}", got.before, got.after);
                    Cost {
                        time: began.elapsed(),
                        bytes: Some(got.after.saturating_sub(got.before)),
                        note,
                        ..Cost::default()
                    }
                });
                match table.add(self.lines, name, cost) {
                    Ok(time) if time <= self.asked.limit / 6 => {}
                    Ok(_) => break,
                    Err(over) => {
                        println!("    {name:<38} over the limit of {} s", over.0.as_secs());
                        break;
                    }
                }
            }
            each.sort_by(|a, b| a.0.total_cmp(&b.0));
            let Some((record, got)) = each.get(each.len() / 2) else { continue };
            let mine = *ours.get_or_insert(*record);
            println!(
                "    {name:<38}{:>10.4} x   {record:.0} B a record; {} before, {} after, {} run(s)",
                mine / record,
                bytes(got.before),
                bytes(got.after),
                each.len(),
            );
        }
    }
}
