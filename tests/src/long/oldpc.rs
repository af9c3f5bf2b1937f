//! Everything that a branch does, on an old PC: within 64 MB and one core at a fifth of this one's speed; and a
//! branch's first load over a thin link.
//!
//! It does not: slow a core down or move a process into a cgroup: each command is a process of its own, bound to one
//! core, with its private memory limited by `ulimit -d` (where it wants more it fails), and its CPU time is counted and
//! multiplied.
//!
//! Invariants: the commands are the program's own, start-up included; what they print is checked.

use super::other::kilobytes_of;
use crate::city::{self, Branch, found, relay, ticket};
use crate::proxy::{Link, Profile, Proxy};
use crate::table::{Row, bytes, cpu, median, ms};
use sampan_core::charter::{Op, Roles};
use sampan_core::id::UnitId;
use sampan_core::store::StoreError;
use sampan_core::testing::members::members_csv;
use sampan_core::value::Value;
use sampan_node::desk::{Desk, SessionState};
use sampan_node::link::sync_once;
use sampan_node::replica::{ImportRecord, Replica};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Memory of the old PC's process, in MB.
const MEMORY_MB: f64 = 64.0;
/// What a command is given that does not fit into that, to see how much it takes.
const ROOM_MB: f64 = 2_000.0;
/// How many times slower its core is.
const SLOWER: f64 = 5.0;
/// Rows of a branch's list.
const ROWS: usize = 60;
/// Rows of the largest list that anybody keeps on such a PC.
const MANY: usize = 10_000;
/// Times that each command is run where it can be.
const RUNS: usize = 3;
/// Cards of the branch that loads for the first time, and directives above it.
const CARDS: usize = 28;
const DIRECTIVES: usize = 12;
/// The link of that load.
const KBIT: u64 = 32;
const ROUND_TRIP: Duration = Duration::from_millis(600);
/// Units of each level above and beside the branch: a charter shows them.
const WIDTHS: [(&str, &str, usize); 3] =
    [("Quận", "district", 50), ("Đảng bộ", "grassroots", 46), ("Chi bộ", "branch", 8)];

/// Runs all of it.
///
/// # Errors
/// In words.
pub async fn run(tsv: Option<PathBuf>) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut raw = String::from("command\tcpu_s\tpeak_kb\twall_s\n");
    commands(dir.path(), &mut raw).await?;
    first_load(dir.path()).await?;
    match tsv {
        Some(file) => std::fs::write(&file, raw).map_err(|e| format!("{}: {e}", file.display())),
        None => Ok(()),
    }
}

/// What one command took.
struct Took {
    cpu: Duration,
    wall: Duration,
    peak_kb: f64,
    out: String,
}

/// This program as `sampan`, limited to the memory and one core, started by a shell in this way.
fn bounded(start: &str, megabytes: f64) -> Result<Command, String> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new("bash");
    let limit = (megabytes * 1e6 / 1_024.0) as u64;
    command
        .args(["-c", &format!("ulimit -d $0 || exit 9; {start} taskset -c 0 \"$@\""), &limit.to_string()])
        .arg(exe)
        .args(["node", "--"])
        .env("SAMPAN_LANG", "en")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Runs a command to its end; where it does not fit into the memory, which is said, again with more.
fn took(words: &[&str]) -> Result<Took, String> {
    let fits = took_within(words, MEMORY_MB);
    match fits {
        Err(e) if e.contains("memory allocation of") => {
            println!("(does not fit into {MEMORY_MB} MB: sampan {})", words.first().copied().unwrap_or_default());
            took_within(words, ROOM_MB)
        }
        other => other,
    }
}

fn took_within(words: &[&str], megabytes: f64) -> Result<Took, String> {
    let began = Instant::now();
    let out = bounded("TIMEFORMAT='#cpu %U %S'; time", megabytes)?.args(words).output().map_err(|e| e.to_string())?;
    let wall = began.elapsed();
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    if !out.status.success() {
        return Err(format!("sampan {}: {err}", words.join(" ")));
    }
    let numbers = |mark: &str| -> Vec<f64> {
        let line = err.lines().rev().find_map(|l| l.strip_prefix(mark)).unwrap_or_default();
        line.split_whitespace().filter_map(|w| w.parse().ok()).collect()
    };
    let cpu = Duration::from_secs_f64(numbers("#cpu ").iter().sum());
    let peak_kb = numbers("#peak ").first().copied().unwrap_or_default();
    if peak_kb == 0.0 {
        return Err(format!("nothing was told of {}: {err}", words.join(" ")));
    }
    Ok(Took { cpu, wall, peak_kb, out: String::from_utf8_lossy(&out.stdout).into_owned() })
}

/// The process: the program's own `main`, and then what it took.
#[must_use]
pub fn node(words: Vec<std::ffi::OsString>) -> std::process::ExitCode {
    let arguments = std::iter::once("sampan".into()).chain(words).collect();
    let env = |name: &str| std::env::var(name).ok();
    let code = sampan_node::cli::run(arguments, &env, &mut std::io::stdout());
    eprintln!("#peak {}", kilobytes_of("self", "VmHWM"));
    code.into()
}

async fn commands(dir: &Path, raw: &mut String) -> Result<(), String> {
    let hub = relay(found(&dir.join("city"), "Thành phố")).await;
    let desk = &hub.daemon.desk;
    let root = desk.call(|r| r.engine.charter().root()).await.flatten().ok_or("no root")?;
    let branch = units(desk, root).await?;
    let line = ticket(desk, branch, Roles::EDITOR).await;
    let path = dir.join("pc").to_string_lossy().into_owned();
    let csv = |name: &str, seed, n| -> Result<String, String> {
        let file = dir.join(name);
        std::fs::write(&file, members_csv(seed, n)).map_err(|e| e.to_string())?;
        Ok(file.to_string_lossy().into_owned())
    };
    let (small, large) = (csv("small.csv", 3, ROWS)?, csv("large.csv", 4, MANY)?);
    let path = path.as_str();
    let mut told = |name: &str, goal_s: f64, all: Vec<Took>| {
        for t in &all {
            let (cpu, wall) = (t.cpu.as_secs_f64(), t.wall.as_secs_f64());
            let _ = writeln!(raw, "{name}\t{cpu}\t{}\t{wall}", t.peak_kb);
        }
        let spent = median(all.iter().map(|t| t.cpu).collect());
        let wall = median(all.iter().map(|t| t.wall).collect());
        let peak = all.iter().map(|t| t.peak_kb).fold(0.0, f64::max) * 1.024e-3;
        Row::new(format!("old PC: {name}; median of {}", all.len()))
            .goal("MB of memory at most", peak, MEMORY_MB)
            .goal("seconds of a core five times slower", spent.as_secs_f64() * SLOWER, goal_s)
            .value("memory", format!("{peak:.1} MB"))
            .value("CPU here", ms(spent))
            .value("five times that", ms(spent.mul_f64(SLOWER)))
            .value("clock here, on one core", ms(wall))
            .print();
    };
    let one = |words: &[&str]| took(words).map(|t| vec![t]);
    let many = |words: &[&str]| (0..RUNS).map(|_| took(words)).collect::<Result<Vec<_>, _>>();
    told("the program alone (--version)", 0.25, many(&["--version"])?);
    let words = ["join", path, &line];
    told("join, with the relay's answer", 5.0, blocking(move || one(&words)).await?);
    told("the first sync", 5.0, one_of(path, &["sync"]).await?);
    let imported = took(&["add", path, "members", "--from", &small])?;
    let ids: Vec<String> = imported.out.lines().map(str::to_owned).collect();
    if ids.len() != ROWS {
        return Err(format!("{} of {ROWS} rows were imported", ids.len()));
    }
    told("import of 60 rows", 5.0, vec![imported]);
    let edits: Result<Vec<Took>, String> =
        ids.iter().take(5).map(|id| took(&["set", path, id, "phone=0912345678"])).collect();
    told("one edit, started for it", 1.0, edits?);
    told("a folded search", 1.0, many(&["list", path, "members", "--search", "nguyen"])?);
    told("status", 1.0, many(&["status", path])?);
    told("sync of 60 rows and five edits", 5.0, one_of(path, &["sync"]).await?);
    told("sync, nothing changed", 2.0, one_of(path, &["sync"]).await?);
    told("import of 10,000 rows", 60.0, one(&["add", path, "members", "--from", &large])?);
    let listed = many(&["list", path, "members", "--json"])?;
    if listed.iter().any(|t| t.out.lines().count() != ROWS + MANY) {
        return Err("not every member was listed".into());
    }
    told("list of 10,060 records", 10.0, listed);
    told("search of 10,060 records", 1.0, many(&["list", path, "members", "--search", "nguyen van"])?);
    told("sync of 10,000 rows", 60.0, one_of(path, &["sync"]).await?);
    daemon(path, &ids[0]).await?;
    hub.daemon.stop().await;
    Ok(())
}

/// One run of a command that needs the relay of this process.
async fn one_of(path: &str, words: &[&str]) -> Result<Vec<Took>, String> {
    let mut all: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
    all.insert(1, path.to_owned());
    let took = tokio::task::spawn_blocking(move || took(&all.iter().map(String::as_str).collect::<Vec<_>>()));
    took.await.map_err(|e| e.to_string())?.map(|t| vec![t])
}

async fn blocking<T: Send>(f: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    tokio::task::block_in_place(f)
}

/// A child that is ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The daemon with 10,060 records: until it is ready, and its memory.
async fn daemon(path: &str, id: &str) -> Result<(), String> {
    let mut words = bounded("exec", MEMORY_MB)?;
    words.args(["run", path]).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = Running(words.spawn().map_err(|e| e.to_string())?);
    let mut out = BufReader::new(child.0.stdout.take().ok_or("no stdout")?);
    let mut line = String::new();
    out.read_line(&mut line).map_err(|e| e.to_string())?;
    let ready = began.elapsed();
    if !line.starts_with("ready ") {
        let _ = out.read_to_string(&mut line);
        return Err(format!("the daemon said {line:?}"));
    }
    let pid = child.0.id().to_string();
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit(')').next().unwrap_or_default().to_owned();
        rest.split_whitespace().skip(11).take(2).filter_map(|w| w.parse::<f64>().ok()).sum::<f64>() / 100.0
    };
    let spent = ticks();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let path = path.to_owned();
    let id = id.to_owned();
    let set = tokio::task::spawn_blocking(move || took(&["set", &path, &id, "phone=0987654321"]));
    set.await.map_err(|e| e.to_string())??;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = ticks();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let still = (ticks() - before) / 5.0;
    let peak = kilobytes_of(&pid, "VmHWM") * 1.024e-3;
    Row::new("old PC: the daemon with 10,060 records, linked, after an edit")
        .goal("MB of memory at most", peak, MEMORY_MB)
        .goal("seconds of a core five times slower until ready", spent * SLOWER, 2.0)
        .value("memory now", format!("{:.1} MB", kilobytes_of(&pid, "VmRSS") * 1.024e-3))
        .value("until ready", ms(ready))
        .value("CPU until then (in steps of 10 ms)", format!("{:.0} ms", spent * 1e3))
        .value("CPU while nothing happens", format!("{:.1} ms a second", still * 1e3))
        .print();
    Ok(())
}

/// A city's units down to one branch; that branch.
async fn units(desk: &Desk, root: UnitId) -> Result<UnitId, String> {
    let mut above = root;
    for (name, kind, n) in WIDTHS {
        let made = desk.call(move |r| {
            let (now, ids): (_, Vec<UnitId>) = (r.now(), (0..n).map(|_| UnitId(r.random())).collect());
            let op = |(at, unit): (usize, &UnitId)| Op::CreateUnit {
                unit: *unit,
                name: format!("{name} {}", at + 1),
                code: None,
                kind: Some(kind.to_owned()),
                since: now,
            };
            let ops: Vec<Op> = ids.iter().enumerate().map(op).collect();
            let Replica { store, engine, rng, .. } = r;
            store.group(|s| engine.write_charter(s, rng, above, &ops, now))?;
            Ok::<_, StoreError>(ids[0])
        });
        above = made.await.ok_or("the desk stopped")?.map_err(|e| e.to_string())?;
    }
    Ok(above)
}

/// A second PC of a branch loads everything for the first time.
async fn first_load(dir: &Path) -> Result<(), String> {
    let link = Link { rate_kbit: Some(KBIT), delay: ROUND_TRIP / 2, ..Link::default() };
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let proxy = Proxy::start(Profile::of(link), 1, nowhere).map_err(|e| e.to_string())?;
    let hub = relay(found(&dir.join("city2"), "Thành phố")).await;
    proxy.set_upstream(hub.listen);
    let desk = &hub.daemon.desk;
    let root = desk.call(|r| r.engine.charter().root()).await.flatten().ok_or("no root")?;
    let branch = units(desk, root).await?;
    let pc = Branch::join(&dir.join("first"), &ticket(desk, branch, Roles::EDITOR).await);
    pc.sync_ok().await;
    city::add_members(&pc.desk, branch, 5, CARDS).await;
    desk.call(move |r| directives(r, root)).await.ok_or("the desk stopped")??;
    pc.sync_ok().await;
    pc.stop().await;

    let (mut times, mut sizes, mut told) = (Vec::new(), Vec::new(), Vec::new());
    let mut spent = Duration::ZERO;
    for at in 0..RUNS {
        let line = ticket(desk, branch, Roles::EDITOR).await;
        let pc = Branch::join(&dir.join(format!("second{at}")), &line);
        let before = proxy.counts();
        let mut last = SessionState::default();
        let (began, own) = (Instant::now(), cpu());
        let through = Some(proxy.listen().to_string());
        let (report, result) =
            sync_once(&pc.desk, &pc.endpoint, through, Duration::from_secs(120), |s| last = s.clone()).await;
        result.map_err(|e| format!("{e}; {report:?}"))?;
        times.push(began.elapsed());
        spent += cpu() - own;
        let listed = pc.desk.call(|r| {
            let members = r.collection("members").map_err(|e| e.to_string())?;
            r.project().map_err(|e| e.to_string())?;
            r.list(&members, None, None).map(|l| l.len()).map_err(|e| e.to_string())
        });
        if listed.await.ok_or("the desk stopped")?? != CARDS {
            return Err("not every card was listed".into());
        }
        let after = proxy.counts();
        sizes.push(after.bytes() - before.bytes());
        told.push((
            last.stats.frame_bytes_sent + last.stats.frame_bytes_received,
            report.handshake_round_trips + report.round_trips,
            after.down.carried_bytes - before.down.carried_bytes,
        ));
        pc.stop().await;
    }
    sizes.sort_unstable();
    let (udp, (frames, trips, down)) = (sizes[RUNS / 2], told[RUNS / 2]);
    let time = median(times);
    let floor = ROUND_TRIP.as_secs_f64() * trips as f64 + udp as f64 * 8.0 / (KBIT as f64 * 1e3);
    let cards = format!("{CARDS} cards, {DIRECTIVES} directives, the charters of {:?} units", WIDTHS.map(|w| w.2));
    Row::new(format!("old PC: first load over {KBIT} kbit/s and 600 ms: {cards}; median of {RUNS}"))
        .ratio("round trips and bytes of that link", time.as_secs_f64(), floor)
        .goal("kB, handshake and all", udp as f64 / 1e3, 30.0)
        .goal("seconds", time.as_secs_f64(), 12.0)
        .value("time", ms(time))
        .value("UDP, of which down", format!("{}, {}", bytes(udp), bytes(down)))
        .value("frames", bytes(frames))
        .value("round trips", trips.to_string())
        .value("CPU of both ends", ms(spent / RUNS as u32))
        .print();
    hub.daemon.stop().await;
    Ok(())
}

/// Directives of the city: a number, a title and a page of text.
fn directives(replica: &mut Replica, root: UnitId) -> Result<(), String> {
    let collection = replica.collection("directives").map_err(|e| e.to_string())?;
    let page = "Căn cứ kế hoạch công tác năm, các chi bộ tổ chức sinh hoạt chuyên đề, rà soát hồ sơ đảng viên, \
                cập nhật biến động và báo cáo kết quả trước ngày hai mươi lăm hằng tháng. ";
    let row = |n: usize| {
        let mut fields: BTreeMap<String, Value> = BTreeMap::new();
        fields.insert("title".into(), Value::Str(format!("Về việc rà soát hồ sơ đảng viên đợt {n}")));
        fields.insert("number".into(), Value::Str(format!("{n}-HD/ĐU")));
        fields.insert("body".into(), Value::Text(page.repeat(2 + n % 3)));
        ImportRecord { unit: root, fields, updates: None }
    };
    replica.import(&collection, (1..=DIRECTIVES).map(row).collect()).map_err(|e| e.to_string())?;
    Ok(())
}
