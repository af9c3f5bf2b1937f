//! Organisations on disk with real QUIC between them, in one process: for tests and benches.
//!
//! It does not: start other processes (the end-to-end tests do).

use sampan_core::charter::{Op, Roles};
use sampan_core::engine::InviteRequest;
use sampan_core::id::{OrgId, UnitId};
use sampan_core::store::StoreError;
use sampan_node::config::Settings;
use sampan_node::daemon::StatusWriter;
use sampan_node::desk::{Desk, DeskThread};
use sampan_node::entropy::SystemEntropy;
use sampan_node::keys::Secret;
use sampan_node::link::{SyncFailure, SyncReport, sync_once};
use sampan_node::net::{Endpoint, Options};
use sampan_node::replica::{Replica, ReplicaError};
use sampan_relay::serve::{Relay, start};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything here takes; a test that needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Founds an organisation in a folder.
pub fn found(path: &Path, name: &str) -> Replica {
    let mut rng = SystemEntropy;
    let root = Secret::draw(&mut rng);
    let org: OrgId = root.organisation();
    let schema = sampan_core::schema::builtin();
    let replica = Replica::create(path, org, Settings::default(), |store, engine, rng, _| {
        let now = sampan_node::replica::system_clock()();
        let facts = (schema.version, schema.source.clone(), schema.levels.first().cloned());
        let unit = engine.found(store, rng, &root.signing_key(), name, facts, now)?;
        Ok::<_, ReplicaError>((vec![unit], Vec::new()))
    });
    replica.unwrap_or_else(|e| panic!("founding failed: {e}"))
}

/// Starts a relay on a free port of loopback.
pub async fn relay(replica: Replica) -> Relay {
    relay_at(replica, SocketAddr::from(([127, 0, 0, 1], 0))).await
}

/// Starts a relay on this address.
pub async fn relay_at(replica: Replica, listen: SocketAddr) -> Relay {
    let lock = replica.dir().lock().unwrap_or_else(|e| panic!("locking failed: {e}"));
    let status: StatusWriter = Arc::new(|_, _, _| serde_json::Value::Null);
    start(replica, lock, listen, None, status).await.unwrap_or_else(|e| panic!("starting failed: {e}"))
}

/// Creates a unit at a running relay.
pub async fn unit(desk: &Desk, parent: UnitId, name: &str, kind: &str) -> UnitId {
    let (name, kind) = (name.to_owned(), kind.to_owned());
    let made = desk.call(move |r| {
        let id = UnitId(r.random());
        let now = r.now();
        let op = Op::CreateUnit { unit: id, name, code: None, kind: Some(kind), since: now };
        let Replica { store, engine, rng, .. } = r;
        store.group(|s| engine.write_charter(s, rng, parent, &[op], now))?;
        Ok::<_, StoreError>(id)
    });
    made.await.unwrap_or_else(|| panic!("the desk stopped")).unwrap_or_else(|e| panic!("creating failed: {e}"))
}

/// A ticket line from a running relay.
pub async fn ticket(desk: &Desk, unit: UnitId, roles: Roles) -> String {
    let made = desk.call(move |r| {
        let now = r.now();
        let request = InviteRequest {
            unit,
            roles,
            subtree: false,
            holder: "generated".into(),
            until: None,
            use_by: None,
            collections: None,
            replaces: None,
        };
        let Replica { store, engine, rng, .. } = r;
        store.group(|s| engine.invite(s, rng, &request, now)).map(|t| t.encode())
    });
    made.await.unwrap_or_else(|| panic!("the desk stopped")).unwrap_or_else(|e| panic!("inviting failed: {e}"))
}

/// A branch: its desk and the endpoint it dials with.
pub struct Branch {
    /// The desk.
    pub desk: Desk,
    /// Its thread.
    pub thread: DeskThread,
    /// The endpoint.
    pub endpoint: Endpoint,
}

impl Branch {
    /// Joins by a ticket line in a new folder.
    pub fn join(path: &Path, line: &str) -> Self {
        let ticket = sampan_core::charter::Ticket::decode(line).unwrap_or_else(|e| panic!("{e}"));
        let replica =
            Replica::join(path, &ticket, Settings::default()).unwrap_or_else(|e| panic!("joining failed: {e}"));
        Self::of(replica)
    }

    /// Around an open replica.
    pub fn of(replica: Replica) -> Self {
        let key = replica.engine.key().clone();
        let endpoint = Endpoint::client(&key, Options::default()).unwrap_or_else(|e| panic!("no endpoint: {e}"));
        let (desk, thread) = Desk::start(replica);
        Self { desk, thread, endpoint }
    }

    /// One session.
    pub async fn sync(&self) -> (SyncReport, Result<(), SyncFailure>) {
        sync_once(&self.desk, &self.endpoint, None, PATIENCE, |_| ()).await
    }

    /// One session that must end verified.
    pub async fn sync_ok(&self) -> SyncReport {
        let (report, result) = self.sync().await;
        if let Err(e) = result {
            panic!("not verified: {e}; {report:?}");
        }
        report
    }

    /// Ends it and gives the replica back.
    pub async fn stop(self) -> Replica {
        self.endpoint.close(0, "done");
        drop(self.desk);
        self.thread.stop().await.unwrap_or_else(|| panic!("the desk's thread failed"))
    }
}

/// Adds generated members at a desk.
pub async fn add_members(desk: &Desk, unit: UnitId, seed: u64, n: usize) -> Vec<sampan_core::id::RecordId> {
    let rows = crate::members::members(seed, n);
    let added = desk.call(move |r| {
        let collection = r.collection("members")?;
        let rows =
            rows.into_iter().map(|fields| sampan_node::replica::ImportRecord { unit, fields, updates: None }).collect();
        r.import(&collection, rows)
    });
    added.await.unwrap_or_else(|| panic!("the desk stopped")).unwrap_or_else(|e| panic!("adding failed: {e}"))
}
