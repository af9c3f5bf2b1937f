//! `sampan-bench`: the measurements that take minutes and processes of their own.
//!
//! It does not: run in the tests or in CI; `cargo bench -p sampan-tests` has the short ones.
//!
//! Invariants: loopback only; what it starts it ends; every row says what it is beside.

use clap::{Parser, Subcommand};
use sampan_node::net::{Endpoint, Options};
use sampan_tests::herd::{self, Branch, Kept};
use sampan_tests::long::other::Other;
use sampan_tests::table::{Row, cpu, percentile};
use sampan_tests::{long, shape};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Sockets that the branches of the herd share. Each has one of its own in the field; through a single one the relay's
/// answers to 512 that dial at once would not fit, and what is lost there says nothing about a relay.
const SOCKETS: usize = 32;

/// Long measurements of Sampan.
#[derive(Debug, Parser)]
#[command(name = "sampan-bench", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every branch of a city at one relay at once.
    Herd {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 17_000)]
        branches: usize,
        /// Districts that they belong to.
        #[arg(long, value_name = "N", default_value_t = 50)]
        districts: usize,
        /// How many dial at a time; the others wait their turn, and all stay.
        #[arg(long, value_name = "N", default_value_t = 512)]
        at_once: usize,
        /// Raw figures, one line a branch.
        #[arg(long, value_name = "FILE")]
        tsv: Option<PathBuf>,
    },
    /// Runs each of the hottest paths once, for `.ci/run guard` to count their instructions.
    Paths,
    /// What a district's relay and the hub say to find one branch that differs, sessions in memory.
    Tree {
        /// Districts.
        #[arg(long, value_name = "N", default_value_t = shape::CITY.districts)]
        districts: usize,
        /// Grassroots units.
        #[arg(long, value_name = "N", default_value_t = shape::CITY.grassroots)]
        grassroots: usize,
        /// Branches.
        #[arg(long, value_name = "N", default_value_t = shape::CITY.branches)]
        branches: usize,
    },
    /// Commits of 1, 10 and 256 entries that a relay takes in a second, on disk, beside its floors.
    Intake,
    /// A hub that holds a whole city, and the way up to it: disk, opening, memory at rest, search, one district verified,
    /// live edits over three links.
    City {
        /// Members.
        #[arg(long, value_name = "N", default_value_t = 472_869)]
        members: usize,
        /// Branches that they belong to.
        #[arg(long, value_name = "N", default_value_t = 17_000)]
        branches: usize,
        /// Districts that those belong to.
        #[arg(long, value_name = "N", default_value_t = 50)]
        districts: usize,
        /// Live edits that are followed.
        #[arg(long, value_name = "N", default_value_t = 60)]
        edits: usize,
        /// Raw figures, one a line.
        #[arg(long, value_name = "FILE")]
        tsv: Option<PathBuf>,
        /// The folder that the city is kept in, and measured from again, instead of one that goes.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// A sync of ten edits over every thin link, from cold, resumed, and from a daemon; and what the handshake is of it.
    Links {
        /// Only these: `handshake`, `still`, or a link by name.
        #[arg(value_name = "NAME")]
        only: Vec<String>,
        /// Syncs of each kind.
        #[arg(long, value_name = "N", default_value_t = 5)]
        runs: usize,
        /// Raw figures, one line a sync.
        #[arg(long, value_name = "FILE")]
        tsv: Option<PathBuf>,
    },
    /// Everything that a branch does within 64 MB and one core at a fifth of this one's speed; a first load over a thin link.
    OldPc {
        /// Rows of the longest list: fewer to try it.
        #[arg(long, value_name = "N", default_value_t = long::oldpc::MANY)]
        rows: usize,
        /// Only the first load over a thin link.
        #[arg(long)]
        load_only: bool,
        /// Raw figures, one line a command.
        #[arg(long, value_name = "FILE")]
        tsv: Option<PathBuf>,
    },
    /// Where the bytes of that first load go: each frame taken apart, in memory.
    LoadBytes,
    /// First loads of these sizes: time, bytes, memory, disk and opening; a table, raw lines and plots.
    Sizes {
        /// How many records.
        #[arg(value_name = "N", default_values_t = [100, 1_000, 10_000])]
        sizes: Vec<usize>,
        /// The folder for `sizes.tsv` and the plots.
        #[arg(long, value_name = "DIR", default_value = "target/sizes")]
        out: PathBuf,
    },
    /// The process that loads.
    #[command(hide = true)]
    Load { dir: PathBuf, ticket: String },
    /// The process that opens.
    #[command(hide = true)]
    Open { dir: PathBuf },
    /// The process that opens the city's hub.
    #[command(hide = true)]
    OpenHub { dir: PathBuf, plain: PathBuf, name: String, card: String },
    /// The program of a branch.
    #[command(hide = true)]
    Node {
        #[arg(last = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// The relay of the herd, in a process of its own.
    #[command(hide = true)]
    Relay { dir: PathBuf, web: String },
    /// The floor of the herd: accepts handshakes and keeps the connections, nothing else.
    #[command(hide = true)]
    Accept,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Herd { branches, districts, at_once, tsv } => runtime(herd(branches, districts, at_once, tsv)),
        Command::Paths => {
            sampan_tests::guard::run();
            Ok(())
        }
        Command::Tree { districts, grassroots, branches } => {
            load_of_the_machine();
            long::tree::run(shape::Counts { districts, grassroots, branches })
        }
        Command::Intake => {
            load_of_the_machine();
            long::intake::run()
        }
        Command::City { members, branches, districts, edits, tsv, dir } => {
            load_of_the_machine();
            let counts = long::hub::Counts { members, branches, districts, edits };
            runtime(async move { long::hub::run(counts, tsv, dir).await })
        }
        Command::Links { only, runs, tsv } => {
            load_of_the_machine();
            runtime(async move { long::links::run(&only, runs, tsv).await })
        }
        Command::OldPc { rows, load_only, tsv } => {
            load_of_the_machine();
            runtime(async move { long::oldpc::run(tsv, rows, load_only).await })
        }
        Command::LoadBytes => long::load::run(),
        Command::Node { words } => return long::oldpc::node(words),
        Command::Sizes { sizes, out } => {
            load_of_the_machine();
            runtime(async move { long::sizes::run(&sizes, &out).await })
        }
        Command::Load { dir, ticket } => runtime(async move { long::sizes::load(&dir, &ticket).await }),
        Command::Open { dir } => long::sizes::open(&dir),
        Command::OpenHub { dir, plain, name, card } => long::hub::open(&dir, &plain, &name, &card),
        Command::Relay { dir, web } => return relay(&dir, &web),
        Command::Accept => runtime(accept()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("sampan-bench: {words}");
            ExitCode::FAILURE
        }
    }
}

fn runtime(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(work)
}

/// Times are worth little without it.
fn load_of_the_machine() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of the machine before: {}", load.trim());
}

/// The program's own `run`, with what its command line would say.
fn relay(dir: &Path, web: &str) -> ExitCode {
    let words = ["sampan-relay", "run", &dir.to_string_lossy(), "--listen", "127.0.0.1:0", "--web", web];
    let env = |name: &str| std::env::var(name).ok();
    sampan_relay::cli::run(words.iter().map(Into::into).collect(), &env, &mut std::io::stdout()).into()
}

async fn accept() -> Result<(), String> {
    let key = sampan_core::testing::test_key(1);
    let endpoint = Endpoint::server(([127, 0, 0, 1], 0).into(), &key, Options::default()).map_err(|e| e.to_string())?;
    println!("ready {}", endpoint.local_addr().map_err(|e| e.to_string())?);
    std::io::stdout().flush().map_err(|e| e.to_string())?;
    let mut kept = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        kept.spawn(async move {
            if let Ok(connection) = incoming.accept().await {
                connection.control.closed().await;
            }
        });
    }
    Ok(())
}

async fn herd(branches: usize, districts: usize, at_once: usize, tsv: Option<PathBuf>) -> Result<(), String> {
    load_of_the_machine();
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let city = dir.path().join("city");
    let began = Instant::now();
    let found = herd::found(&city, branches, districts).map_err(|e| e.to_string())?;
    println!("founded {branches} branches in {:.1} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let (org, device) = (found.org, found.relay);
    let numbered = found.branches.into_iter().enumerate();
    let ready: Result<Vec<Branch>, String> =
        numbered.map(|(n, seed)| Branch::new(seed, org, device, n as u64)).collect();
    let ready = ready?;
    println!("set up their replicas in {:.1} s", began.elapsed().as_secs_f64());

    let web = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?;
    let began = Instant::now();
    let relay = Other::start(&["relay", &city.to_string_lossy(), &web.to_string()])?;
    let opened = began.elapsed();
    let (rss_before, cpu_before) = (relay.kilobytes("VmRSS"), relay.cpu());
    let key = sampan_core::testing::test_key(2);
    let sockets: Result<Vec<Endpoint>, _> = (0..SOCKETS).map(|_| Endpoint::client(&key, Options::default())).collect();
    let sockets = sockets.map_err(|e| e.to_string())?;
    let bare = floor(&sockets, branches.min(2_000), at_once).await?;
    let dropped = dropped_datagrams();

    let turns = Arc::new(Semaphore::new(at_once));
    let mut tasks = JoinSet::new();
    let (began, own_before) = (Instant::now(), own_cpu());
    for (branch, socket) in ready.into_iter().zip(sockets.iter().cycle()) {
        let (socket, address, turns) = (socket.clone(), relay.address.clone(), turns.clone());
        tasks.spawn(async move {
            let _turn = turns.acquire_owned().await.map_err(|e| e.to_string())?;
            herd::run(branch, &socket, &address, device).await
        });
    }
    let mut kept: Vec<Kept> = Vec::with_capacity(branches);
    let mut failed: Vec<String> = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done.map_err(|e| e.to_string())? {
            Ok(k) => kept.push(k),
            Err(words) => failed.push(words),
        }
        if (kept.len() + failed.len()).is_multiple_of(1_000) {
            eprintln!("{} verified, {} failed, {:.1} s", kept.len(), failed.len(), began.elapsed().as_secs_f64());
        }
    }
    let all = kept.iter().map(|k| k.at).max().map_or(Duration::ZERO, |at| at - began);
    let mut counted = links_open(&web.to_string())?;
    for _ in 0..20 {
        // A busy desk says who is connected ten times a second.
        if counted as usize >= kept.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        counted = links_open(&web.to_string())?;
    }
    let rss = relay.kilobytes("VmRSS");
    let spent = relay.cpu() - cpu_before;
    let own = own_cpu() - own_before;
    let dropped = dropped_datagrams().saturating_sub(dropped);
    let lost: u64 = kept.iter().map(Kept::lost_packets).sum();
    let each = |seconds: f64| format!("{:.2} ms", seconds * 1e3 / kept.len().max(1) as f64);
    let verified: Vec<Duration> = kept.iter().map(|k| k.verified).collect();
    if let Some(file) = tsv {
        let lines = kept.iter().map(|k| format!("{}\t{}\n", k.connected.as_micros(), k.verified.as_micros()));
        let text = format!("connected_us\tverified_us\n{}", lines.collect::<String>());
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let seconds = |d: Duration| format!("{:.3} s", d.as_secs_f64());
    let rate = kept.len() as f64 / all.as_secs_f64();
    let each_kb = (rss - rss_before) / kept.len().max(1) as f64;
    Row::new(format!("herd: {branches} branches, each with its key and one commit, {at_once} dialling at a time"))
        .ratio("the floor, bare handshakes a second of the same sockets", rate, bare.rate)
        .ratio("the floor's CPU, both ends", (spent + own) / kept.len().max(1) as f64, bare.server + bare.client)
        .goal("seconds until all are verified", all.as_secs_f64(), 60.0 * branches as f64 / 17_000.0)
        .goal("memory of the relay in MiB", rss / 1_024.0, 1_024.0)
        .goal("kB a connected branch", each_kb, 45.0)
        .value("verified", format!("{} ({} failed)", kept.len(), failed.len()))
        .value("connected at the end, by the relay", format!("{counted}"))
        .value("branches a second", format!("{rate:.0}"))
        .value("bare handshakes a second", format!("{:.0}", bare.rate))
        .value("CPU a branch: relay", each(spent))
        .value("branches", each(own))
        .value("CPU a bare handshake: server", format!("{:.2} ms", bare.server * 1e3))
        .value("client", format!("{:.2} ms", bare.client * 1e3))
        .value("datagrams that full sockets dropped (of the whole machine)", dropped.to_string())
        .value("packets that branches sent again", lost.to_string())
        .value("from dialling to verified, p50", seconds(percentile(verified.clone(), 0.5)))
        .value("p99", seconds(percentile(verified, 0.99)))
        .value("relay CPU", format!("{spent:.1} s"))
        .value("relay opened in", seconds(opened))
        .value("relay memory before", format!("{:.0} MiB", rss_before / 1_024.0))
        .print();
    for words in failed.iter().take(5) {
        println!("    failed: {words}");
    }
    if failed.is_empty() && counted as usize == branches {
        Ok(())
    } else {
        Err(format!("{} of {branches} failed, {counted} were connected at the end", failed.len()))
    }
}

/// What bare mutual handshakes come to.
struct Bare {
    /// A second.
    rate: f64,
    /// CPU seconds of the accepting end, each.
    server: f64,
    /// CPU seconds of the dialling end, each.
    client: f64,
}

/// Mutual handshakes with a process that does nothing else.
async fn floor(sockets: &[Endpoint], n: usize, at_once: usize) -> Result<Bare, String> {
    let other = Other::start(&["accept"])?;
    let device = sampan_core::log::device_id(&sampan_core::testing::test_key(1));
    let turns = Arc::new(Semaphore::new(at_once));
    let mut tasks = JoinSet::new();
    let (began, own, their) = (Instant::now(), own_cpu(), other.cpu());
    for (at, socket) in (0..n).zip(sockets.iter().cycle()) {
        let (socket, address, turns) = (socket.clone(), other.address.clone(), turns.clone());
        tasks.spawn(async move {
            let _turn = turns.acquire_owned().await.map_err(|e| e.to_string())?;
            let own = socket.under(&sampan_core::testing::test_key(5_000_000 + at as u64));
            own.connect(&address, &[device], Duration::from_secs(60)).await.map_err(|e| e.to_string())
        });
    }
    let mut kept = Vec::new();
    while let Some(done) = tasks.join_next().await {
        kept.push(done.map_err(|e| e.to_string())??);
    }
    let each = |seconds: f64| seconds / kept.len().max(1) as f64;
    Ok(Bare {
        rate: kept.len() as f64 / began.elapsed().as_secs_f64(),
        server: each(other.cpu() - their),
        client: each(own_cpu() - own),
    })
}

fn own_cpu() -> f64 {
    cpu().as_secs_f64()
}

/// Datagrams that this machine dropped because a socket had no room for them.
fn dropped_datagrams() -> u64 {
    let text = std::fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut lines = text.lines().filter(|l| l.starts_with("Udp:"));
    let names = lines.next().unwrap_or_default().split_whitespace();
    let values = lines.next().unwrap_or_default().split_whitespace();
    names.zip(values).find(|(name, _)| *name == "RcvbufErrors").and_then(|(_, n)| n.parse().ok()).unwrap_or_default()
}

/// How many sessions the relay says are open.
fn links_open(web: &str) -> Result<u64, String> {
    let mut stream = std::net::TcpStream::connect(web).map_err(|e| format!("{web}: {e}"))?;
    let ask = format!("GET /metrics HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| e.to_string())?;
    let line = answer.lines().find_map(|l| l.strip_prefix("sampan_links_open "));
    line.and_then(|n| n.trim().parse().ok()).ok_or_else(|| format!("no sampan_links_open in {answer:?}"))
}
