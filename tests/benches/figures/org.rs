//! The organisation that is measured: a city, relays below it, one branch, all on disk and on
//! loopback.
//!
//! It does not: measure.

use sampan_core::charter::Roles;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::value::Value;
use sampan_node::config::Settings;
use sampan_node::desk::{Desk, SessionState};
use sampan_node::link::{SyncReport, sync_once};
use sampan_node::replica::{ImportRecord, Replica};
use sampan_relay::serve::Relay;
use sampan_tests::city::{Branch, PATIENCE, found, relay, ticket, unit};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The words by which a search finds the last record of a generated set, and no other.
pub const LAST_NAME: &str = "Nguyễn Đệ Nhất Cuối Cùng";
/// The same as somebody types it.
pub const LAST_TYPED: &str = "de nhat cuoi cung";

/// A city, relays below it in a chain, and a branch unit under the last of them.
pub struct Org {
    /// Where everything lies; removed at the end.
    pub dir: tempfile::TempDir,
    /// Relays, the city first.
    pub relays: Vec<Relay>,
    /// The branch's unit.
    pub branch: UnitId,
    tickets: u32,
}

impl Org {
    /// An organisation with these kinds of units between the city and the branch.
    pub async fn new(kinds: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let city = relay(found(&dir.path().join("city"), "Thành phố")).await;
        let mut above = root(&city.daemon.desk).await;
        let mut relays = vec![city];
        for kind in kinds {
            let city = &relays[0].daemon.desk;
            let id = unit(city, above, &format!("Đơn vị {kind}"), kind).await;
            let line = ticket(city, id, Roles::RELAY).await;
            let decoded = sampan_core::charter::Ticket::decode(&line).expect("a ticket of ours");
            let replica = Replica::join(&dir.path().join(kind), &decoded, Settings::default()).expect("joining");
            let joined = relay(replica).await;
            published(city, id).await;
            relays.push(joined);
            above = id;
        }
        let branch = unit(&relays[0].daemon.desk, above, "Chi bộ 1", "branch").await;
        Self { dir, relays, branch, tickets: 0 }
    }

    /// A ticket for an editor of the branch.
    pub async fn ticket(&self) -> String {
        ticket(&self.relays[0].daemon.desk, self.branch, Roles::EDITOR).await
    }

    /// A new PC of the branch that has only joined.
    pub async fn device(&mut self) -> Branch {
        let path = self.device_path();
        Branch::join(&path, &self.ticket().await)
    }

    /// The folder of the next device.
    pub fn device_path(&mut self) -> PathBuf {
        self.tickets += 1;
        self.dir.path().join(format!("pc{}", self.tickets))
    }

    /// The relay that the branch dials.
    pub fn nearest(&self) -> &Desk {
        &self.relays[self.relays.len() - 1].daemon.desk
    }

    /// Ends everything.
    pub async fn stop(self) {
        for relay in self.relays.into_iter().rev() {
            relay.daemon.stop().await;
        }
    }
}

async fn root(desk: &Desk) -> UnitId {
    desk.call(|r| r.engine.charter().root()).await.flatten().expect("a founded organisation")
}

async fn published(city: &Desk, unit: UnitId) {
    let until = Instant::now() + PATIENCE;
    loop {
        let there = city.call(move |r| !r.engine.charter().endpoints(&unit).is_empty()).await.expect("a desk");
        if there {
            return;
        }
        assert!(Instant::now() < until, "a relay has not published its endpoint");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What one session cost.
pub struct Session {
    /// Dialling to verified.
    pub time: Duration,
    /// The report.
    pub report: SyncReport,
    /// Bytes of frames, both ways.
    pub frames: u64,
}

impl Session {
    /// UDP bytes, both ways.
    pub fn udp(&self) -> u64 {
        self.report.sent_bytes + self.report.received_bytes
    }
}

/// One session that must end verified.
pub async fn session(branch: &Branch) -> Session {
    let mut last = SessionState::default();
    let began = Instant::now();
    let (report, result) =
        sync_once(&branch.desk, &branch.endpoint, None, PATIENCE, |state| last = state.clone()).await;
    let time = began.elapsed();
    if let Err(e) = result {
        panic!("not verified: {e}; {report:?}");
    }
    let frames = last.stats.frame_bytes_sent + last.stats.frame_bytes_received;
    Session { time, report, frames }
}

/// Imports generated members into a replica that is not linked; ids in order.
pub fn import(replica: &mut Replica, unit: UnitId, rows: Vec<BTreeMap<String, Value>>) -> Vec<RecordId> {
    let collection = replica.collection("members").expect("the collection");
    let rows = rows.into_iter().map(|fields| ImportRecord { unit, fields, updates: None }).collect();
    replica.import(&collection, rows).expect("importing")
}

/// The generated members of a figure: the last one has a name of its own.
pub fn members(n: usize) -> Vec<BTreeMap<String, Value>> {
    let mut all = sampan_tests::members::members(2_026, n);
    if let Some(last) = all.last_mut() {
        last.insert("full_name".into(), Value::Str(LAST_NAME.into()));
    }
    all
}

/// Finds the last record by a folded search; panics when it is not found, or not alone.
pub fn find_last(replica: &mut Replica) {
    let collection = replica.collection("members").expect("the collection");
    let found = replica.list(&collection, None, Some(LAST_TYPED)).expect("a search");
    assert_eq!(found.len(), 1, "the search must find the last record");
}
