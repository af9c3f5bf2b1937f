//! A sync of ten edits over every thin link, from cold, with a session resumed, and from a daemon whose link is up,
//! beside its floor; and what the handshake is of it.
//!
//! It does not: simulate time (a link of 64 kbit/s takes its seconds), or measure links that are open two hours a day
//! or in one direction only.
//!
//! Invariants: one seeded proxy lies between both ends all the time; bytes are what it carried, both ways, UDP payload;
//! the floor counts the round trips that the protocol needs and those bytes, and no loss.

use crate::city::{self, Branch, PATIENCE, relay, ticket, unit};
use crate::proxy::{Counts, Link, Profile, Proxy, Way};
use crate::table::{Row, bytes, median, ms};
use sampan_core::charter::Roles;
use sampan_core::id::{DeviceId, RecordId};
use sampan_core::testing::SeededRng;
use sampan_core::value::{Edit, Value};
use sampan_node::config::Settings;
use sampan_node::daemon::{Daemon, StatusWriter};
use sampan_node::desk::Desk;
use sampan_node::link::sync_once;
use sampan_node::net::{Endpoint, Options};
use sampan_node::replica::Replica;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Edits of one sync.
const EDITS: usize = 10;
/// Records to edit.
const RECORDS: usize = 200;
/// Longer than a sync takes on any of these links.
const WITHIN: Duration = Duration::from_secs(120);
/// How long a still link is watched.
const STILL: Duration = Duration::from_secs(41);

/// The links: every profile that is open at all hours and both ways.
const LINKS: [&str; 8] = ["clean", "2g", "satellite", "burst", "cut-10s", "nat-rebind", "mtu-1280", "unordered"];

/// One sync.
#[derive(Clone, Copy)]
struct Sync {
    time: Duration,
    up: u64,
    down: u64,
    trips: u64,
    lost: u64,
}

/// What changes between two looks at the proxy.
fn between(before: &Counts, after: &Counts) -> (u64, u64, u64) {
    let lost = |c: &Counts| c.up.lost_all() + c.down.lost_all();
    (
        after.up.carried_bytes - before.up.carried_bytes,
        after.down.carried_bytes - before.down.carried_bytes,
        lost(after) - lost(before),
    )
}

/// The floor of so many round trips and bytes on a link.
fn floor(link: &Link, trips: f64, up: u64, down: u64) -> Duration {
    let rtt = (link.delay * 2 + link.jitter).as_secs_f64();
    let seconds = link.rate_kbit.map_or(0.0, |k| (up + down) as f64 * 8.0 / (k as f64 * 1_000.0));
    Duration::from_secs_f64(trips * rtt + seconds)
}

/// A city behind the proxy, and one branch of it.
struct World {
    proxy: Proxy,
    hub: sampan_relay::serve::Relay,
    branch: PathBuf,
    ids: Vec<RecordId>,
    rows: Vec<BTreeMap<String, Value>>,
    edits: usize,
    rng: SeededRng,
}

impl World {
    async fn new(dir: &Path) -> Result<Self, String> {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let proxy = Proxy::start(Profile::clean(), 5, nowhere).map_err(|e| e.to_string())?;
        let path = dir.join("city");
        let mut founded = city::found(&path, "Thành phố");
        // Children know the relay by the proxy's address.
        let advertised = vec![proxy.listen().to_string()];
        founded.change_file(|f| f.settings.advertise = Some(advertised)).map_err(|e| e.to_string())?;
        drop(founded);
        let hub = relay(Replica::open(&path, &Settings::default()).map_err(|e| e.to_string())?).await;
        proxy.set_upstream(hub.listen);
        let desk = &hub.daemon.desk;
        let root = desk.call(|r| r.engine.charter().root()).await.flatten().ok_or("no root")?;
        let id = unit(desk, root, "Chi bộ 1", "branch").await;
        let branch = dir.join("pc");
        let pc = Branch::join(&branch, &ticket(desk, id, Roles::EDITOR).await);
        pc.sync_ok().await;
        let rows = crate::members::members(7, RECORDS);
        let ids = city::add_members(&pc.desk, id, 7, RECORDS).await;
        pc.sync_ok().await;
        pc.stop().await;
        Ok(Self { proxy, hub, branch, ids, rows, edits: 0, rng: SeededRng::new(11) })
    }

    fn open(&self) -> Result<Replica, String> {
        Replica::open(&self.branch, &Settings::default()).map_err(|e| e.to_string())
    }

    /// Ten edits of ten records, made at once.
    async fn edit(&mut self, desk: &Desk) -> Result<(), String> {
        let edits: Vec<(RecordId, String, Value)> = (0..EDITS)
            .map(|_| {
                let at = self.edits * 7 % self.ids.len();
                self.edits += 1;
                let (name, value) = crate::members::edit(&mut self.rng, &self.rows[at]);
                self.rows[at].insert(name.clone(), value.clone());
                (self.ids[at], name, value)
            })
            .collect();
        let done = desk.call(move |r| {
            edits.into_iter().try_for_each(|(id, name, value)| r.set(id, &[(name, Edit::Set(value))]).map(|_| ()))
        });
        done.await.ok_or("the desk stopped")?.map_err(|e| e.to_string())
    }

    /// One session of a branch by itself.
    async fn session(&mut self, pc: &Branch) -> Result<Sync, String> {
        self.edit(&pc.desk).await?;
        let before = self.proxy.counts();
        let began = Instant::now();
        let (report, result) = sync_once(&pc.desk, &pc.endpoint, None, WITHIN, |_| ()).await;
        result.map_err(|e| format!("{e}; {report:?}"))?;
        let time = began.elapsed();
        self.quiet().await;
        let (up, down, lost) = between(&before, &self.proxy.counts());
        Ok(Sync { time, up, down, trips: report.handshake_round_trips + report.round_trips, lost })
    }

    /// The same by a daemon whose link is up: until it knows that the relay has it all.
    async fn live(&mut self, daemon: &Daemon) -> Result<Sync, String> {
        let before = self.proxy.counts();
        let began = Instant::now();
        self.edit(&daemon.desk).await?;
        while unsent(&daemon.desk).await? > 0 {
            if began.elapsed() > WITHIN {
                return Err("ten edits of a daemon did not arrive".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let time = began.elapsed();
        self.quiet().await;
        let (up, down, lost) = between(&before, &self.proxy.counts());
        Ok(Sync { time, up, down, trips: 1, lost })
    }

    /// Waits until nothing is on its way any more.
    async fn quiet(&self) {
        let mut before = self.proxy.counts();
        loop {
            tokio::time::sleep(Duration::from_millis(900)).await;
            let now = self.proxy.counts();
            if now == before {
                return;
            }
            before = now;
        }
    }
}

async fn unsent(desk: &Desk) -> Result<u64, String> {
    desk.call(|r| r.unsent_changes()).await.ok_or("the desk stopped")?.map_err(|e| e.to_string())
}

/// Measures every link, prints the rows.
///
/// # Errors
/// In words.
pub async fn run(only: &[String], runs: usize, tsv: Option<PathBuf>) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut world = World::new(dir.path()).await?;
    let mut raw = String::from("link\tfrom\ttime_us\tup_bytes\tdown_bytes\tround_trips\tlost_packets\tfloor_us\n");
    let wanted = |name: &str| only.is_empty() || only.iter().any(|o| o == name);
    if wanted("handshake") {
        handshakes(&world).await?;
    }
    if wanted("still") {
        still(&world).await?;
    }
    for name in LINKS.into_iter().filter(|n| wanted(n)) {
        let profile = Profile::named(name).ok_or("no such profile")?;
        let link = *profile.link(Way::Up);
        let mut kinds: [(&str, Vec<Sync>); 3] = [("cold", Vec::new()), ("resumed", Vec::new()), ("daemon", Vec::new())];
        for _ in 0..runs {
            // Opened while the link is good: what is measured is the session.
            let pc = Branch::of(world.open()?);
            world.proxy.change(profile);
            kinds[0].1.push(world.session(&pc).await?);
            kinds[1].1.push(world.session(&pc).await?);
            world.proxy.change(Profile::clean());
            pc.stop().await;
        }
        let replica = world.open()?;
        let lock = replica.dir().lock().map_err(|e| e.to_string())?;
        let endpoint = Endpoint::client(replica.engine.key(), Options::default()).map_err(|e| e.to_string())?;
        let status: StatusWriter = Arc::new(|_, _, _| serde_json::Value::Null);
        let daemon = Daemon::start(replica, endpoint, lock, None, true, status).await.map_err(|e| e.to_string())?;
        let until = Instant::now() + PATIENCE;
        while !daemon.link.borrow().is_connected() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.quiet().await;
        world.proxy.change(profile);
        for _ in 0..runs {
            kinds[2].1.push(world.live(&daemon).await?);
        }
        world.proxy.change(Profile::clean());
        daemon.stop().await;
        for (kind, all) in &kinds {
            print(name, kind, &link, all, &mut raw);
        }
    }
    world.hub.daemon.stop().await;
    match tsv {
        Some(file) => std::fs::write(&file, raw).map_err(|e| format!("{}: {e}", file.display())),
        None => Ok(()),
    }
}

fn print(name: &str, kind: &str, link: &Link, all: &[Sync], raw: &mut String) {
    let mut floors = Vec::new();
    for s in all {
        let floor = floor(link, s.trips as f64, s.up, s.down);
        floors.push(floor);
        let (time, floor) = (s.time.as_micros(), floor.as_micros());
        let _ = writeln!(raw, "{name}\t{kind}\t{time}\t{}\t{}\t{}\t{}\t{floor}", s.up, s.down, s.trips, s.lost);
    }
    let middle = |f: fn(&Sync) -> u64| {
        let mut v: Vec<u64> = all.iter().map(f).collect();
        v.sort_unstable();
        v.get(v.len() / 2).copied().unwrap_or_default()
    };
    let (time, floor) = (median(all.iter().map(|s| s.time).collect()), median(floors));
    let worst = all.iter().map(|s| s.time).max().unwrap_or_default();
    Row::new(format!("links: {EDITS} edits over {name}, {kind}; median of {}", all.len()))
        .ratio("its floor", time.as_secs_f64(), floor.as_secs_f64())
        .value("time", format!("{} (worst {})", ms(time), ms(worst)))
        .value("floor", ms(floor))
        .value("UDP up, down", format!("{}, {}", bytes(middle(|s| s.up)), bytes(middle(|s| s.down))))
        .value("round trips", middle(|s| s.trips).to_string())
        .value("packets lost", middle(|s| s.lost).to_string())
        .print();
}

/// Bare handshakes: whole and resumed, with and without probes of the path's MTU.
async fn handshakes(world: &World) -> Result<(), String> {
    let hub: DeviceId = world.hub.daemon.desk.call(|r| r.device()).await.ok_or("the desk stopped")?;
    let key = world.open()?.engine.key().clone();
    let address = world.proxy.listen().to_string();
    for name in ["clean", "2g"] {
        let profile = Profile::named(name).ok_or("no such profile")?;
        // Loss would hide what is compared here.
        let link = Link { loss: 0.0, jitter: Duration::ZERO, ..*profile.link(Way::Up) };
        world.proxy.change(Profile::of(link));
        for thin in [false, true] {
            let endpoint = Endpoint::client(&key, Options { thin, ..Options::default() }).map_err(|e| e.to_string())?;
            for kind in ["whole", "resumed"] {
                let before = world.proxy.counts();
                let began = Instant::now();
                let connection = endpoint.connect(&address, &[hub], WITHIN).await.map_err(|e| e.to_string())?;
                let time = began.elapsed();
                world.quiet().await;
                let (up, down, _) = between(&before, &world.proxy.counts());
                connection.control.close(1, "");
                world.quiet().await;
                let floor = floor(&link, 1.0, up, down);
                let probes = if thin { "without probes" } else { "with probes" };
                Row::new(format!("links: a {kind} handshake over {name} without loss, {probes}"))
                    .ratio("one round trip and its bytes", time.as_secs_f64(), floor.as_secs_f64())
                    .value("until the dialler may send", ms(time))
                    .value("UDP up, down, with what follows it", format!("{up} B, {down} B"))
                    .print();
            }
            endpoint.close(1, "");
        }
    }
    world.proxy.change(Profile::clean());
    Ok(())
}

/// What a link costs on which nothing happens.
async fn still(world: &World) -> Result<(), String> {
    let replica = world.open()?;
    let lock = replica.dir().lock().map_err(|e| e.to_string())?;
    let endpoint = Endpoint::client(replica.engine.key(), Options::default()).map_err(|e| e.to_string())?;
    let status: StatusWriter = Arc::new(|_, _, _| serde_json::Value::Null);
    let daemon = Daemon::start(replica, endpoint, lock, None, true, status).await.map_err(|e| e.to_string())?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = world.proxy.counts();
    tokio::time::sleep(STILL).await;
    let (up, down, _) = between(&before, &world.proxy.counts());
    let an_hour = |n: u64| bytes((n as f64 * 3_600.0 / STILL.as_secs_f64()) as u64);
    Row::new(format!("links: a daemon whose link is still, for {} s", STILL.as_secs()))
        .value("UDP up, down", format!("{up} B, {down} B"))
        .value("an hour", format!("{}, {}", an_hour(up), an_hour(down)))
        .print();
    daemon.stop().await;
    Ok(())
}
