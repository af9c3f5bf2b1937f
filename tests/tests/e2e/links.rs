//! A city and branches whose only way to it is a proxy: shared by the tests of bad links.
//!
//! It does not: assert what a link is for.

use crate::world::{Daemon, Out, command, finish, relay, sampan};
use sampan_tests::members::members_csv;
use sampan_tests::proxy::{Profile, Proxy};
use serde_json::Value as Json;
use std::net::SocketAddr;
use std::process::{Child, Stdio};

/// Where nobody answers: the city advertises it, so that no branch finds a way around its proxy.
const NOWHERE: &str = "127.0.0.1:9";

/// Attempts of one `sync` after another before a test gives up.
const ATTEMPTS: usize = 80;

/// A city relay that runs, with one unit for each name.
pub struct City {
    pub dir: tempfile::TempDir,
    pub daemon: Option<Daemon>,
    pub address: SocketAddr,
}

impl City {
    /// A city that branches reach only through an address that they are told.
    pub fn with(units: &[&str]) -> Self {
        Self::init(units, &["--listen", "127.0.0.1:0", "--advertise", NOWHERE])
    }

    /// A city that is found where it says it listens, also after a restart.
    pub fn at_home(units: &[&str]) -> Self {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Self::init(units, &["--listen", &free])
    }

    fn init(units: &[&str], listen: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let city = dir.path().join("city").display().to_string();
        relay(&[&["init", &city, "--org", "Thành phố"], listen].concat()).ok();
        for unit in units {
            relay(&["unit", "add", &city, "--name", unit, "--code", unit, "--kind", "branch"]).ok();
        }
        for title in ["Chỉ thị 05", "Nghị quyết 18"] {
            relay(&["add", &city, "directives", &format!("title={title}")]).ok();
        }
        let daemon = Daemon::start("sampan-relay", &["run", &city]);
        let address = daemon.ready.parse().unwrap();
        Self { dir, daemon: Some(daemon), address }
    }

    /// `kill -9` of the relay.
    pub fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// The relay again.
    pub fn start(&mut self) {
        self.daemon = Some(Daemon::start("sampan-relay", &["run", &self.path("city")]));
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// A device of a unit that has not met the city yet.
    pub fn join(&self, name: &str, unit: &str) {
        let ticket = relay(&["invite", &self.path("city"), "--unit", unit, "--role", "editor", "--holder", name]);
        sampan(&["join", &self.path(name), &ticket.ok().first(), "--timeout", "1"]).ok();
    }

    /// Generated members, imported at a device; their ids.
    pub fn import(&self, name: &str, seed: u64, n: usize) -> Vec<String> {
        let file = self.dir.path().join(format!("{name}-{seed}.csv"));
        std::fs::write(&file, members_csv(seed, n)).unwrap();
        let out = sampan(&["add", &self.path(name), "members", "--from", &file.display().to_string()]).ok();
        out.stdout.lines().map(str::to_owned).collect()
    }

    /// One `sync` through an address, whatever it comes to.
    pub fn sync(&self, name: &str, through: SocketAddr, seconds: u64) -> Out {
        let (through, seconds) = (through.to_string(), seconds.to_string());
        sampan(&["sync", &self.path(name), "--relay", &through, "--timeout", &seconds, "--json"])
    }

    /// A `sync` through an address that the test goes on beside.
    pub fn begin_sync(&self, name: &str, through: SocketAddr, seconds: u64) -> Child {
        let (through, seconds) = (through.to_string(), seconds.to_string());
        let mut c = command("sampan", &["sync", &self.path(name), "--relay", &through, "--timeout", &seconds]);
        c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// `sync` after `sync` until one has verified; each other one must have said "not yet". How many.
    pub fn sync_until_verified(&self, name: &str, through: SocketAddr, seconds: u64) -> usize {
        for attempt in 1..=ATTEMPTS {
            let out = self.sync(name, through, seconds);
            match out.code {
                0 => {
                    assert_eq!(out.json()["verified"], true, "{name}: {out:?}");
                    return attempt;
                }
                4 => assert!(!out.stdout.contains("\"verified\":true"), "{name}: {out:?}"),
                _ => panic!("{name}: {out:?}"),
            }
        }
        panic!("{name}: not verified after {ATTEMPTS} attempts: {:?}", self.sync(name, through, seconds));
    }

    /// Records of a collection, as lines of JSON, in order.
    pub fn list(&self, bin: &str, name: &str, collection: &str, filter: Option<&str>) -> Vec<Json> {
        let dir = self.path(name);
        let mut args = vec!["list", &dir, collection, "--json"];
        args.extend(filter.into_iter().flat_map(|f| ["--where", f]));
        finish(command(bin, &args)).ok().lines()
    }

    /// Both ends hold the same records of a branch's unit, and both stores are sound.
    pub fn same(&self, name: &str, unit: &str) {
        let bare = |records: Vec<Json>| {
            let mut all: Vec<String> = records.iter().map(essence).collect();
            all.sort();
            all
        };
        let here = bare(self.list("sampan", name, "members", None));
        let id = self.unit_id(unit);
        let there = self.list("sampan-relay", "city", "members", None);
        let there = bare(there.into_iter().filter(|r| r["_unit"] == id.as_str()).collect());
        assert_eq!(here, there, "{name}: the two ends differ");
        let orders = |bin, name| bare(self.list(bin, name, "directives", None));
        assert_eq!(orders("sampan", name), orders("sampan-relay", "city"), "{name}: directives differ");
        sampan(&["verify", &self.path(name)]).ok();
    }

    pub fn unit_id(&self, unit: &str) -> String {
        let units = relay(&["unit", "list", &self.path("city"), "--json"]).ok().lines();
        let found = units.iter().find(|u| u["code"] == unit).unwrap_or_else(|| panic!("no unit {unit}"));
        found["unit"].as_str().unwrap_or_else(|| panic!("{found}")).to_owned()
    }

    /// Records known at a replica.
    pub fn records(&self, bin: &str, name: &str) -> u64 {
        let out = finish(command(bin, &["status", &self.path(name), "--json"])).ok();
        out.json()["records"].as_u64().unwrap()
    }

    /// A proxy before the city.
    pub fn proxy(&self, profile: Profile, seed: u64) -> Proxy {
        Proxy::start(profile, seed, self.address).unwrap()
    }
}

/// A record without what each replica says of itself.
fn essence(record: &Json) -> String {
    let mut fields = record.as_object().unwrap().clone();
    fields.retain(|name, _| !name.starts_with('_') || name == "_id");
    Json::Object(fields).to_string()
}
