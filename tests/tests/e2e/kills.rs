//! A storm of `kill -9` on real processes: `add`, `sync`, the branch's daemon, the relay.
//!
//! What a command had reported stays: ids that `add` printed, and at the city what a verified `sync` had
//! before it. Nothing is damaged, nothing is doubled, and after the storm both sides hold the same.
//!
//! They do not: wait by the clock for anything; the moment of a kill is a seeded delay, which is a fault
//! and no wait.
//!
//! `SAMPAN_KILLS` says how many, `SAMPAN_KILL_SEED` which ones; a storm that fails prints its own command.

use crate::links::City;
use crate::world::{Daemon, command, relay, sampan};
use sampan_tests::proxy::fate::mix;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// Kills of the ordinary test run.
const KILLS: u64 = 50;
/// Storms beside one another, each in a city of its own.
const STORMS: u64 = 2;
/// `verify` runs at both ends after this many kills, with a whole session after it, and at the end.
const VERIFY_EVERY: u64 = 10;
/// Attempts a kill, at most: a command may end before its moment.
const TRIES: u64 = 20;
/// Seconds that a `sync` may take while its relay dies.
const SECONDS: u64 = 30;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    /// The command line while it saves.
    Add,
    /// A session from the branch, sealing included.
    Sync,
    /// The branch's daemon while the command line saves beside it.
    Daemon,
    /// The relay while a session with it runs.
    Relay,
    /// The command line at the relay, beside its daemon.
    RelayAdd,
}

const VICTIMS: [Victim; 5] = [Victim::Add, Victim::Sync, Victim::Daemon, Victim::Relay, Victim::RelayAdd];

struct Storm {
    city: City,
    seed: u64,
    draws: u64,
    /// Ids that `add` at the branch printed.
    saved: BTreeSet<String>,
    /// Those of them that a verified `sync` covered.
    delivered: BTreeSet<String>,
    /// Ids that `add` at the city printed.
    orders: BTreeSet<String>,
    /// How long each victim takes when it is left alone.
    span: BTreeMap<Victim, Duration>,
    rows: u64,
    hits: BTreeMap<Victim, u64>,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let city = City::at_home(&["001"]);
        city.join("branch", "001");
        let mut storm = Self {
            city,
            seed,
            draws: 0,
            saved: BTreeSet::new(),
            delivered: BTreeSet::new(),
            orders: BTreeSet::new(),
            span: BTreeMap::new(),
            rows: 0,
            hits: BTreeMap::new(),
        };
        // Each once without a kill: how long it takes here and today.
        for victim in VICTIMS {
            let began = Instant::now();
            storm.strike(victim, None);
            storm.span.insert(victim, began.elapsed());
        }
        assert!(!storm.saved.is_empty() && storm.saved == storm.delivered && !storm.orders.is_empty());
        storm
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.draws += 1;
        mix(self.seed ^ mix(self.draws)) % below.max(1)
    }

    /// One command, killed after `moment`, if it takes that long; whether it was.
    fn strike(&mut self, victim: Victim, moment: Option<Duration>) -> bool {
        match victim {
            Victim::Add => {
                let (child, out) = self.begin_add("sampan", "branch", "members", "full_name");
                let killed = self.end(child, moment);
                self.saved.extend(whole_lines(out));
                killed
            }
            Victim::RelayAdd => {
                let (child, out) = self.begin_add("sampan-relay", "city", "directives", "title");
                let killed = self.end(child, moment);
                self.orders.extend(whole_lines(out));
                killed
            }
            Victim::Sync => {
                let before = self.saved.clone();
                let (child, out) = self.begin_sync();
                let killed = self.end(child, moment);
                self.note_sync(before, out);
                killed
            }
            Victim::Daemon => {
                let branch = self.city.path("branch");
                let daemon = Daemon::start("sampan", &["run", &branch]);
                let (child, out) = self.begin_add("sampan", "branch", "members", "full_name");
                if let Some(moment) = moment {
                    pause(moment);
                    daemon.kill();
                } else {
                    drop(daemon);
                }
                self.end(child, None);
                self.saved.extend(whole_lines(out));
                true
            }
            Victim::Relay => {
                let before = self.saved.clone();
                let (mut child, out) = self.begin_sync();
                if let Some(moment) = moment {
                    pause(moment);
                    let met = child.try_wait().unwrap().is_none();
                    self.city.kill();
                    // What it had said it has, the city must hold when it is back; what not, nobody said.
                    if met {
                        let _ = child.kill();
                    }
                    child.wait().unwrap();
                    self.note_sync(before, out);
                    self.city.start();
                    met
                } else {
                    self.end(child, None);
                    self.note_sync(before, out);
                    false
                }
            }
        }
    }

    fn begin_add(&mut self, bin: &str, name: &str, collection: &str, field: &str) -> (Child, ChildStdout) {
        let rows = 1 + self.draw(40);
        let file = self.city.dir.path().join(format!("{name}.csv"));
        let mut text = format!("{field}\n");
        for _ in 0..rows {
            self.rows += 1;
            text.push_str(&format!("Kill {}\n", self.rows));
        }
        std::fs::write(&file, text).unwrap();
        let dir = self.city.path(name);
        let mut c = command(bin, &["add", &dir, collection, "--from", &file.display().to_string()]);
        let mut child = c.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        (child, out)
    }

    fn begin_sync(&mut self) -> (Child, ChildStdout) {
        let seconds = SECONDS.to_string();
        let mut c = command("sampan", &["sync", &self.city.path("branch"), "--json", "--timeout", &seconds]);
        // Small commits: more seals and frames in which to be hit.
        c.env("SAMPAN_SEAL_ENTRIES_MAX", (1 + self.draw(20)).to_string());
        let mut child = c.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        (child, out)
    }

    /// Kills a child at its moment, or waits for its end; whether the kill met it alive.
    fn end(&self, mut child: Child, moment: Option<Duration>) -> bool {
        if let Some(moment) = moment {
            pause(moment);
            let alive = child.try_wait().unwrap().is_none();
            let _ = child.kill();
            child.wait().unwrap();
            return alive;
        }
        assert_eq!(child.wait().unwrap().code(), Some(0), "a command that nobody killed failed");
        false
    }

    fn note_sync(&mut self, before: BTreeSet<String>, mut out: impl std::io::Read) {
        let mut text = String::new();
        let _ = out.read_to_string(&mut text);
        if text.ends_with('\n')
            && let Ok(report) = serde_json::from_str::<Json>(text.trim())
            && report["verified"] == true
        {
            self.delivered.extend(before);
        }
    }

    /// Nothing that was reported is missing, at either end.
    fn check(&self, n: u64, victim: Victim) {
        let ids = |records: Vec<Json>| -> BTreeSet<String> {
            records.iter().map(|r| r["_id"].as_str().unwrap().to_owned()).collect()
        };
        let gone =
            |said: &BTreeSet<String>, held: &BTreeSet<String>| said.difference(held).cloned().collect::<Vec<_>>();
        let here = ids(self.city.list("sampan", "branch", "members", None));
        let lost = gone(&self.saved, &here);
        assert!(lost.is_empty(), "kill {n} ({victim:?}): the branch lost {lost:?}, which 'add' had printed");
        let there = ids(self.city.list("sampan-relay", "city", "members", None));
        let lost = gone(&self.delivered, &there);
        assert!(lost.is_empty(), "kill {n} ({victim:?}): the city lost {lost:?}, which a 'sync' had verified");
        let orders = ids(self.city.list("sampan-relay", "city", "directives", None));
        let lost = gone(&self.orders, &orders);
        assert!(lost.is_empty(), "kill {n} ({victim:?}): the city lost {lost:?}, which 'add' had printed there");
    }

    fn verify(&self) {
        sampan(&["verify", &self.city.path("branch")]).ok();
        relay(&["verify", &self.city.path("city")]).ok();
    }

    /// A session that nobody kills: from now on the city must hold all of it.
    fn in_step(&mut self) {
        self.city.sync_until_verified("branch", self.city.address, SECONDS);
        self.delivered = self.saved.clone();
    }

    fn rage(mut self, kills: u64) {
        let repeat = Repeat { seed: self.seed, kills };
        let mut n = 0;
        let mut tries = 0;
        while n < kills {
            tries += 1;
            assert!(tries < kills * TRIES, "{n} kills in {tries} tries: commands end before their moment");
            let victim = VICTIMS[self.draw(VICTIMS.len() as u64) as usize];
            let span = self.span[&victim].as_micros() as u64;
            // A little beyond the end, so that the last moments are met as well.
            let moment = Duration::from_micros(self.draw(span + span / 10));
            if self.strike(victim, Some(moment)) {
                n += 1;
                *self.hits.entry(victim).or_default() += 1;
                self.check(n, victim);
                if n % VERIFY_EVERY == 0 {
                    self.verify();
                    self.in_step();
                }
            }
        }
        // The storm is over.
        self.in_step();
        self.check(n, Victim::Sync);
        self.verify();
        self.city.same("branch", "001");
        for (bin, name) in [("sampan", "branch"), ("sampan-relay", "city")] {
            for (collection, field) in [("members", "full_name"), ("directives", "title")] {
                let records = self.city.list(bin, name, collection, None);
                let rows: BTreeSet<&str> = records.iter().filter_map(|r| r[field].as_str()).collect();
                assert_eq!(rows.len(), records.len(), "{name}: rows of {collection} are doubled");
            }
        }
        let status = sampan(&["status", &self.city.path("branch"), "--json"]).ok().json();
        assert_eq!(status["unsent_changes"], 0, "{status}");
        println!(
            "storm {:#x}: {n} kills in {tries} tries {:?}; {} records reported, {} rows written, {} directives",
            repeat.seed,
            self.hits,
            self.saved.len(),
            self.rows,
            self.orders.len()
        );
    }
}

/// Says how to do it again, if it failed.
struct Repeat {
    seed: u64,
    kills: u64,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, kills) = (self.seed, self.kills);
            eprintln!(
                "again: SAMPAN_STORM={seed} SAMPAN_KILLS={kills} cargo test -p sampan-tests --test e2e kills -- --nocapture"
            );
        }
    }
}

/// Lines that were printed whole.
fn whole_lines(mut out: impl std::io::Read) -> Vec<String> {
    let mut text = String::new();
    let _ = out.read_to_string(&mut text);
    text.split_inclusive('\n').filter_map(|l| l.strip_suffix('\n')).map(str::to_owned).collect()
}

/// Lets a seeded moment pass.
fn pause(moment: Duration) {
    let until = Instant::now() + moment;
    // The scheduler's grain is coarser than a transaction: the last stretch is spun.
    let coarse = moment.saturating_sub(Duration::from_millis(1));
    std::thread::sleep(coarse);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

#[test]
fn nothing_reported_is_lost_in_a_storm_of_kills() {
    let kills = number("SAMPAN_KILLS").unwrap_or(KILLS);
    if let Some(seed) = number("SAMPAN_STORM") {
        Storm::new(seed).rage(kills);
        return;
    }
    let seed = number("SAMPAN_KILL_SEED").unwrap_or(1);
    std::thread::scope(|scope| {
        for i in 0..STORMS {
            let share = kills / STORMS + u64::from(i < kills % STORMS);
            scope.spawn(move || Storm::new(mix(seed ^ mix(i))).rage(share));
        }
    });
}
