//! Everything that a branch does, on an old PC: within 64 MB and one core at a fifth of this one's speed; and a
//! branch's first load over a thin link.
//!
//! It does not: slow a core down or move a process into a cgroup: each command is a process of its own, bound to one
//! core, with its private memory limited by `ulimit -d` (where it wants more it fails), and its CPU time is counted and
//! multiplied.
//!
//! Invariants: the commands are the program's own, start-up included; what they print is checked. A command that does not
//! fit into the memory is run again with more, and one that fails is told; either way the rows behind it are still run,
//! and the whole ends in a failure that names them.

use super::other::kilobytes_of;
use crate::city::{self, Branch, found, relay, ticket};
use crate::proxy::{Link, Profile, Proxy};
use crate::table::{Row, bytes, cpu, median, ms};
use sampan_core::charter::{Op, Roles};
use sampan_core::entropy::Entropy as _;
use sampan_core::id::UnitId;
use sampan_core::store::{Store as _, StoreError};
use sampan_core::testing::members::members_csv;
use sampan_core::value::Value;
use sampan_node::desk::{Desk, SessionState};
use sampan_node::link::sync_once;
use sampan_node::replica::{ImportRecord, Replica};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
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
pub const MANY: usize = 10_000;
/// Bytes of a scan: it comes by itself with its record.
const SCAN_BYTES: usize = 800_000;
/// Longer than a live edit takes on any machine.
const LIVE_PATIENCE: Duration = Duration::from_secs(60);
/// Times that each command is run where it can be.
const RUNS: usize = 3;
/// Cards of the branch that loads for the first time, and directives above it.
pub(super) const CARDS: usize = 28;
pub(super) const DIRECTIVES: usize = 12;
/// The link of that load.
const KBIT: u64 = 32;
const ROUND_TRIP: Duration = Duration::from_millis(600);
/// Units of each level above and beside the branch: a charter shows them.
pub(super) const WIDTHS: [(&str, &str, usize); 3] =
    [("Quận", "district", 50), ("Đảng bộ", "grassroots", 46), ("Chi bộ", "branch", 8)];

/// Runs all of it, or only the first load; `many` are the rows of the longest list, [`MANY`] for the figures.
///
/// # Errors
/// In words; the rows that failed or did not fit, once all were tried.
pub async fn run(tsv: Option<PathBuf>, many: usize, load_only: bool) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    if load_only {
        return first_load(dir.path()).await;
    }
    let mut rows = Rows { raw: String::from("command\tcpu_s\tpeak_kb\twall_s\n"), ..Rows::default() };
    if let Err(e) = commands(dir.path(), &mut rows, many).await {
        rows.failed("the commands", &e);
    }
    if let Err(e) = first_load(dir.path()).await {
        rows.failed("the first load over a thin link", &e);
    }
    if let Some(file) = tsv {
        std::fs::write(&file, &rows.raw).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    if rows.wrong.is_empty() { Ok(()) } else { Err(rows.wrong.join("; ")) }
}

/// The rows so far.
#[derive(Default)]
struct Rows {
    /// What each command took, one line each.
    raw: String,
    /// What did not fit or failed.
    wrong: Vec<String>,
}

impl Rows {
    fn failed(&mut self, name: &str, why: &str) {
        println!("old PC: {name}\n    FAILED: {why}");
        self.wrong.push(format!("{name}: failed"));
    }

    /// Runs a command some times and prints its row; `goal_s` are seconds of the old core. Its last output, where it
    /// succeeded and `fine` finds it to be right.
    async fn tell(
        &mut self,
        (name, goal_s, times): (&str, f64, usize),
        words: &[&str],
        fine: impl Fn(&str) -> Result<(), String>,
    ) -> Option<String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        self.each(
            &if times > 1 { format!("{name}; median of {times}") } else { name.to_owned() },
            goal_s,
            vec![words; times],
            fine,
        )
        .await
    }

    /// The same of commands that differ a little.
    async fn each(
        &mut self,
        name: &str,
        goal_s: f64,
        commands: Vec<Vec<String>>,
        fine: impl Fn(&str) -> Result<(), String>,
    ) -> Option<String> {
        let mut all: Vec<Took> = Vec::new();
        for words in commands {
            // On a thread of its own: the relay that it may talk to runs in this process.
            let took = tokio::task::spawn_blocking(move || took(&words)).await.map_err(|e| e.to_string());
            match took.and_then(|t| t).and_then(|t| fine(&t.out).map(|()| t)) {
                Ok(t) => all.push(t),
                Err(e) => {
                    self.failed(name, &e);
                    return None;
                }
            }
        }
        for t in &all {
            let (cpu, wall) = (t.cpu.as_secs_f64(), t.wall.as_secs_f64());
            let _ = writeln!(self.raw, "{name}\t{cpu}\t{}\t{wall}", t.peak_kb);
        }
        let spent = median(all.iter().map(|t| t.cpu).collect());
        let wall = median(all.iter().map(|t| t.wall).collect());
        let peak = all.iter().map(|t| t.peak_kb).fold(0.0, f64::max) * 1.024e-3;
        let fits = all.iter().all(|t| t.fits);
        if !fits {
            self.wrong.push(format!("{name}: does not fit into {MEMORY_MB} MB"));
        }
        Row::new(format!("old PC: {name}"))
            .goal("MB of memory at most", peak, MEMORY_MB)
            .goal("seconds of a core five times slower", spent.as_secs_f64() * SLOWER, goal_s)
            .value("within 64 MB of private memory:", if fits { "yes" } else { "NO" })
            .value("memory", format!("{peak:.1} MB"))
            .value("CPU here", ms(spent))
            .value("five times that", ms(spent.mul_f64(SLOWER)))
            .value("clock here, on one core", ms(wall))
            .print();
        all.pop().map(|t| t.out)
    }
}

/// What one command took.
struct Took {
    cpu: Duration,
    wall: Duration,
    peak_kb: f64,
    out: String,
    /// Within the old PC's memory.
    fits: bool,
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

/// Runs a command to its end; where it fails, again with more memory: whether it was for want of it.
fn took(words: &[String]) -> Result<Took, String> {
    took_within(words, MEMORY_MB).or_else(|_| took_within(words, ROOM_MB).map(|t| Took { fits: false, ..t }))
}

fn took_within(words: &[String], megabytes: f64) -> Result<Took, String> {
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
    Ok(Took { cpu, wall, peak_kb, out: String::from_utf8_lossy(&out.stdout).into_owned(), fits: true })
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

/// So many lines.
fn lines(n: usize) -> impl Fn(&str) -> Result<(), String> {
    move |out| match out.lines().count() {
        found if found == n => Ok(()),
        found => Err(format!("{found} lines instead of {n}")),
    }
}

fn any(_: &str) -> Result<(), String> {
    Ok(())
}

async fn commands(dir: &Path, rows: &mut Rows, many: usize) -> Result<(), String> {
    let hub = relay(found(&dir.join("city"), "Thành phố")).await;
    let desk = &hub.daemon.desk;
    let root = desk.call(|r| r.engine.charter().root()).await.flatten().ok_or("no root")?;
    let branch = units(desk, root).await?;
    let line = ticket(desk, branch, Roles::EDITOR).await;
    desk.call(move |r| directives(r, root)).await.ok_or("the desk stopped")??;
    let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let csv = |name: &str, seed, n| -> Result<String, String> {
        std::fs::write(dir.join(name), members_csv(seed, n)).map_err(|e| e.to_string())?;
        Ok(at(name))
    };
    let (small, large) = (csv("small.csv", 3, ROWS)?, csv("large.csv", 4, many)?);
    let (path, city) = (at("pc"), at("city"));
    let pc = path.as_str();

    rows.tell(("the program alone (--version)", 0.25, RUNS), &["--version"], any).await;
    rows.tell(("join, with the relay's answer", 5.0, 1), &["join", pc, &line], any).await;
    rows.tell(("sync, the first: charters and directives", 5.0, 1), &["sync", pc], any).await;
    rows.tell(("add, one record", 1.0, RUNS), &["add", pc, "members", "full_name=Trần Văn Một"], lines(1)).await;
    let imported = ("add --from, 60 rows", 5.0, 1);
    let imported = rows.tell(imported, &["add", pc, "members", "--from", &small], lines(ROWS)).await;
    let ids: Vec<String> = imported.iter().flat_map(|out| out.lines()).map(str::to_owned).collect();
    let id = ids.first().ok_or("no record to go on with")?.as_str();
    let edit = |id: &String| ["set", pc, id, "phone=0912345678"].map(str::to_owned).to_vec();
    rows.each("set, one edit; median of 5", 1.0, ids.iter().take(5).map(edit).collect(), any).await;
    let held = RUNS + ROWS;
    rows.tell(("list", 1.0, RUNS), &["list", pc, "members", "--json"], lines(held)).await;
    rows.tell(("list --search", 1.0, RUNS), &["list", pc, "members", "--search", "nguyen"], any).await;
    rows.tell(("show --history", 1.0, RUNS), &["show", pc, id, "--history"], any).await;
    usual(rows, dir, pc, held, "").await;

    let meeting = ["add", pc, "meetings", "title=Sinh hoạt thường kỳ", "held_on=2026-11-01"];
    let meeting = rows.tell(("add, a meeting", 1.0, 1), &meeting, lines(1)).await;
    let meeting = meeting.as_deref().unwrap_or_default().trim();
    // What no codec makes smaller, as a scan.
    let mut scan = vec![0; SCAN_BYTES];
    sampan_core::testing::SeededRng::new(9).fill(&mut scan);
    std::fs::write(dir.join("minutes.pdf"), &scan).map_err(|e| e.to_string())?;
    let attach = ["attach", pc, meeting, "signed_minutes", &at("minutes.pdf")];
    rows.tell(("attach, a scan of 800 kB", 2.0, 1), &attach, any).await;
    let fetch = ["fetch", pc, meeting, "signed_minutes", &at("fetched.pdf")];
    rows.tell(("fetch it", 2.0, 1), &fetch, |_: &str| match std::fs::read(dir.join("fetched.pdf")) {
        Ok(bytes) if bytes == scan => Ok(()),
        Ok(_) => Err("another file came back".into()),
        Err(e) => Err(e.to_string()),
    })
    .await;
    rows.tell(("sync of 64 records, five edits and a scan", 5.0, 1), &["sync", pc], any).await;
    rows.tell(("sync, nothing changed", 2.0, RUNS), &["sync", pc], any).await;

    rows.tell(("set, for a bundle", 1.0, 1), &["set", pc, id, "phone=0987654321"], any).await;
    let (up, down) = (at("up.bundle"), at("down.bundle"));
    rows.tell(("bundle create", 2.0, 1), &["bundle", "create", pc, &up], any).await;
    let to = branch.to_string();
    let answer = [["bundle", "apply", &city, &up].to_vec(), ["bundle", "create", &city, &down, "--for", &to].to_vec()];
    for words in answer {
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        // The city's own part is no old PC's.
        let done =
            tokio::task::spawn_blocking(move || took_within(&words, ROOM_MB)).await.map_err(|e| e.to_string())?;
        if let Err(e) = done {
            rows.failed("the city's side of the bundles", &e);
        }
    }
    rows.tell(("bundle apply", 2.0, 1), &["bundle", "apply", pc, &down], any).await;

    let held = held + many;
    let of = format!(" of {held} records");
    let import = format!("add --from, {many} rows");
    rows.tell((&import, 60.0, 1), &["add", pc, "members", "--from", &large], lines(many)).await;
    rows.tell((&format!("list{of}"), 10.0, 1), &["list", pc, "members", "--json"], lines(held)).await;
    rows.tell((&format!("list, as people see it{of}"), 10.0, 1), &["list", pc, "members"], lines(held + 1)).await;
    let search = ["list", pc, "members", "--search", "nguyen van"];
    rows.tell((&format!("list --search{of}"), 1.0, RUNS), &search, any).await;
    rows.tell((&format!("sync of {many} rows"), 60.0, 1), &["sync", pc, "--timeout", "300"], any).await;
    usual(rows, dir, pc, held, &of).await;
    if let Err(e) = daemon(&hub.daemon.desk, pc, id, held).await {
        rows.failed("the daemon", &e);
    }
    hub.daemon.stop().await;
    Ok(())
}

/// What is done with a list of any length.
async fn usual(rows: &mut Rows, dir: &Path, pc: &str, held: usize, of: &str) {
    let long = if of.is_empty() { 1.0 } else { 15.0 };
    let name = |what: &str| format!("{what}{of}");
    let at = |file: &str| dir.join(format!("{held}-{file}")).to_string_lossy().into_owned();
    rows.tell((&name("status"), 1.0, RUNS), &["status", pc], any).await;
    rows.tell((&name("due"), long, 1), &["due", pc], any).await;
    rows.tell((&name("rollup"), 1.0, 1), &["rollup", pc], any).await;
    rows.tell((&name("report"), 2.0 * long, 1), &["report", pc, "--out", &at("report.html")], any).await;
    rows.tell((&name("export"), long, 1), &["export", pc, "members", &at("export.csv")], |_: &str| {
        lines(held + 1)(&std::fs::read_to_string(at("export.csv")).map_err(|e| e.to_string())?)
    })
    .await;
    rows.tell((&name("verify"), 2.0 * long, 1), &["verify", pc], any).await;
    rows.tell((&name("backup"), 2.0 * long, 1), &["backup", pc, &at("backup.sampan")], any).await;
}

/// A child that is ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The daemon with all those records: until it is ready, its memory, and an edit until the city has it.
async fn daemon(hub: &Desk, pc: &str, id: &str, held: usize) -> Result<(), String> {
    let mut words = bounded("exec", MEMORY_MB)?;
    words.args(["run", pc]).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = Running(words.spawn().map_err(|e| e.to_string())?);
    let out = BufReader::new(child.0.stdout.take().ok_or("no stdout")?);
    let first = tokio::task::spawn_blocking(move || {
        let mut out = out;
        let mut line = String::new();
        out.read_line(&mut line).map(|_| (line, out))
    });
    // What it says later must find somebody who reads.
    let (line, _out) = first.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
    let ready = began.elapsed();
    if !line.starts_with("ready ") {
        return Err(format!("it said {line:?}, and ended as {:?}", child.0.try_wait()));
    }
    let pid = child.0.id().to_string();
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit(')').next().unwrap_or_default().to_owned();
        rest.split_whitespace().skip(11).take(2).filter_map(|w| w.parse::<f64>().ok()).sum::<f64>() / 100.0
    };
    let spent = ticks();
    let commits = || async { hub.call(|r| r.store.last_commit().ok()).await.flatten().ok_or("the city stopped") };
    // The link is up, and what it had to say is said.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (before, edited) = (commits().await?, Instant::now());
    let words = ["set", pc, id, "phone=0977777777"].map(str::to_owned);
    let set = tokio::task::spawn_blocking(move || took(&words));
    let live = loop {
        if commits().await? > before {
            break edited.elapsed();
        }
        if edited.elapsed() > LIVE_PATIENCE {
            return Err(format!("the edit was not at the city after {} s", LIVE_PATIENCE.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    set.await.map_err(|e| e.to_string())??;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = ticks();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let still = (ticks() - before) / 5.0;
    let peak = kilobytes_of(&pid, "VmHWM") * 1.024e-3;
    if let Ok(Some(status)) = child.0.try_wait() {
        return Err(format!("it ended by itself: {status}"));
    }
    Row::new(format!("old PC: the daemon with {held} records, linked, and one live edit"))
        .goal("MB of memory at most", peak, MEMORY_MB)
        .goal("seconds of a core five times slower until ready", spent * SLOWER, 2.0)
        .value("memory now", format!("{:.1} MB", kilobytes_of(&pid, "VmRSS") * 1.024e-3))
        .value("until ready", ms(ready))
        .value("CPU until then (in steps of 10 ms)", format!("{:.0} ms", spent * 1e3))
        .value("an edit, from starting 'set' until the city has stored it", ms(live))
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

/// Directives of the city.
fn directives(replica: &mut Replica, root: UnitId) -> Result<(), String> {
    let collection = replica.collection("directives").map_err(|e| e.to_string())?;
    let row = |n: usize| ImportRecord { unit: root, fields: directive(n), updates: None };
    replica.import(&collection, (1..=DIRECTIVES).map(row).collect()).map_err(|e| e.to_string())?;
    Ok(())
}

/// The fields of one: a number, a title and a page of text.
pub(super) fn directive(n: usize) -> BTreeMap<String, Value> {
    let page = "Căn cứ kế hoạch công tác năm, các chi bộ tổ chức sinh hoạt chuyên đề, rà soát hồ sơ đảng viên, \
                cập nhật biến động và báo cáo kết quả trước ngày hai mươi lăm hằng tháng. ";
    BTreeMap::from([
        ("title".to_owned(), Value::Str(format!("Về việc rà soát hồ sơ đảng viên đợt {n}"))),
        ("number".to_owned(), Value::Str(format!("{n}-HD/ĐU"))),
        ("body".to_owned(), Value::Text(page.repeat(2 + n % 3))),
    ])
}
