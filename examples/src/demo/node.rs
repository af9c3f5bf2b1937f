//! One node, a relay or a branch: its folder open by itself, or running with its links.
//!
//! It does not: know which process it is in.
//!
//! Invariants: closed, its replica is worked on directly, as by `sampan add` in a folder where nothing
//! runs; open, everything goes through the running node's desk.

use super::ops;
use anyhow::{Context as _, Result, anyhow};
use sampan_core::charter::Ticket;
use sampan_node::config::Settings;
use sampan_node::control;
use sampan_node::daemon::{Daemon, StatusWriter};
use sampan_node::desk::{Desk, SessionState};
use sampan_node::dir::{Dir, Running};
use sampan_node::link::{SyncReport, sync_once};
use sampan_node::net::{Endpoint, Options};
use sampan_node::replica::Replica;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything here takes, also in a debug build on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Whether a node accepts links from below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It does.
    Relay,
    /// It does not.
    Branch,
}

enum State {
    Closed(Box<Replica>),
    Open(Box<Daemon>),
    Failed,
}

/// A node.
pub struct Node {
    /// Its folder.
    pub path: PathBuf,
    /// Where a relay listens; port 0 before it was opened once.
    pub listen: SocketAddr,
    kind: Kind,
    state: State,
}

/// A demo's links come back within a second.
#[must_use]
pub fn settings() -> Settings {
    Settings { backoff_s: Some((1, 1)), ..Settings::default() }
}

impl Node {
    /// Around an open replica.
    #[must_use]
    pub fn of(kind: Kind, path: &Path, replica: Replica) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { path: path.to_owned(), listen, kind, state: State::Closed(Box::new(replica)) }
    }

    /// Joins by a ticket in a new folder.
    ///
    /// # Errors
    /// When the ticket is none or the folder cannot be made.
    pub fn join(kind: Kind, path: &Path, ticket: &str) -> Result<Self> {
        Ok(Self::of(kind, path, Replica::join(path, &Ticket::decode(ticket)?, settings())?))
    }

    /// Runs it: links up.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn open(&mut self) -> Result<()> {
        let replica = match std::mem::replace(&mut self.state, State::Failed) {
            State::Closed(replica) => *replica,
            State::Open(daemon) => {
                self.state = State::Open(daemon);
                return Ok(());
            }
            State::Failed => return Err(anyhow!("{} has failed before", self.path.display())),
        };
        let lock = replica.dir().lock()?;
        let status: StatusWriter = Arc::new(|s, _, _| json!({ "records": s.records, "unsent": s.unsent_changes }));
        let daemon = match self.kind {
            Kind::Relay => {
                let relay = sampan_relay::serve::start(replica, lock, self.listen, None, status).await?;
                self.listen = relay.listen;
                relay.daemon
            }
            Kind::Branch => {
                let endpoint = Endpoint::client(replica.engine.key(), Options::default())?;
                Daemon::start(replica, endpoint, lock, None, true, status).await?
            }
        };
        self.state = State::Open(Box::new(daemon));
        Ok(())
    }

    /// Stops it: every link of it is cut.
    ///
    /// # Errors
    /// When its thread failed.
    pub async fn close(&mut self) -> Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Open(daemon) => State::Closed(Box::new(daemon.stop().await.context("the desk's thread failed")?)),
            other => other,
        };
        Ok(())
    }

    /// Runs something on its replica.
    ///
    /// # Errors
    /// When it has failed, or what was asked does.
    pub async fn with<R: Send + 'static>(
        &mut self,
        f: impl FnOnce(&mut Replica) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        match &mut self.state {
            State::Closed(replica) => f(replica),
            State::Open(daemon) => daemon.desk.call(f).await.context("the desk has stopped")?,
            State::Failed => Err(anyhow!("{} has failed before", self.path.display())),
        }
    }

    /// Carries out one request (see `ops`).
    ///
    /// # Errors
    /// What the replica refuses.
    pub async fn ask(&mut self, request: Value) -> Result<Value> {
        self.with(move |r| ops::perform(r, &request)).await
    }

    /// One session, as `sampan sync` has it where nothing runs.
    ///
    /// # Errors
    /// When it is open, or the session did not end verified.
    pub async fn sync(&mut self, relay: Option<String>, watch: impl FnMut(&SessionState)) -> Result<SyncReport> {
        let replica = match std::mem::replace(&mut self.state, State::Failed) {
            State::Closed(replica) => *replica,
            other => {
                self.state = other;
                return Err(anyhow!("{} is running: ask it instead", self.path.display()));
            }
        };
        let endpoint = Endpoint::client(replica.engine.key(), Options::default())?;
        let (desk, thread) = Desk::start(replica);
        let (report, result) = sync_once(&desk, &endpoint, relay, PATIENCE, watch).await;
        endpoint.close(0, "done");
        drop(desk);
        self.state = State::Closed(Box::new(thread.stop().await.context("the desk's thread failed")?));
        result?;
        Ok(report)
    }
}

/// One session of a running node, as `sampan sync` asks its daemon for it.
///
/// # Errors
/// When nothing runs there, or the session did not end verified.
pub async fn sync_running(path: &Path) -> Result<SyncReport> {
    let Running::Daemon(info) = Dir::open(path)?.running()? else {
        return Err(anyhow!("nothing runs in {}", path.display()));
    };
    let seconds = PATIENCE.as_secs().to_string();
    let asked = tokio::task::spawn_blocking(move || control::post(&info, "/sync", &seconds, PATIENCE));
    let answer: Value = serde_json::from_str(&asked.await??)?;
    if !answer["failure"].is_null() {
        return Err(anyhow!("not verified: {}", answer["failure"]));
    }
    Ok(serde_json::from_value(answer["report"].clone())?)
}
