//! The running node: desk, kept link and API around one replica, as parts that tests start as well.
//!
//! It does not: accept links from below (a relay adds that) or parse arguments.
//!
//! Invariants: one process at a time keeps a folder's link (`run.lock`); stopping seals what is
//! pending.

use crate::api::{Api, serve};
use crate::desk::{Desk, DeskThread};
use crate::dir::{RunInfo, RunLock};
use crate::entropy::SystemEntropy;
use crate::link::{LinkState, keep};
use crate::net::{Endpoint, code};
use crate::replica::{Replica, StatusReport};
use sampan_core::id::DeviceId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// How long a closing endpoint may take to tell its peers.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// How often, and how many times, a closed address is tried.
const FREE_STEP: Duration = Duration::from_millis(5);
const FREE_TRIES: u32 = 600;

/// How a node writes its status.
pub type StatusWriter = Arc<dyn Fn(&StatusReport, &[DeviceId], &mut Replica) -> serde_json::Value + Send + Sync>;

/// A running node.
pub struct Daemon {
    /// Its desk.
    pub desk: Desk,
    /// The loopback address of its API.
    pub api: SocketAddr,
    /// The address of its page, if it has one.
    pub web: Option<SocketAddr>,
    /// The state of its kept link.
    pub link: watch::Receiver<LinkState>,
    endpoint: Endpoint,
    thread: DeskThread,
    tasks: Vec<JoinHandle<()>>,
    _lock: RunLock,
}

impl Daemon {
    /// Starts a node. `has_parent`: whether it keeps a link upward.
    ///
    /// # Errors
    /// When a listener cannot be bound or `run.json` cannot be written.
    pub async fn start(
        replica: Replica,
        endpoint: Endpoint,
        lock: RunLock,
        web: Option<SocketAddr>,
        has_parent: bool,
        status: StatusWriter,
    ) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        let backoff = replica.config().backoff_s;
        let loopback = TcpListener::bind(("127.0.0.1", 0)).await.context("the loopback API cannot listen")?;
        let api_addr = loopback.local_addr()?;
        let page = match web {
            Some(addr) => {
                Some(TcpListener::bind(addr).await.with_context(|| format!("--web cannot listen on {addr}"))?)
            }
            None => None,
        };
        let web = page.as_ref().and_then(|p| p.local_addr().ok());
        let info = RunInfo::draw(api_addr.port(), &mut SystemEntropy);
        lock.announce(&info)?;
        let (desk, thread) = Desk::start(replica);
        let (state, link) = watch::channel(LinkState::default());
        let wake = Arc::new(Notify::new());
        let api = Api {
            desk: desk.clone(),
            endpoint: endpoint.clone(),
            link: link.clone(),
            wake: wake.clone(),
            token: info.token.as_str().into(),
            status,
        };
        let mut tasks = vec![tokio::spawn(serve(api.clone(), loopback, true))];
        if let Some(page) = page {
            tasks.push(tokio::spawn(serve(api, page, false)));
        }
        if has_parent {
            tasks.push(tokio::spawn(keep(desk.clone(), endpoint.clone(), backoff, wake, state)));
        }
        Ok(Self { desk, api: api_addr, web, link, endpoint, thread, tasks, _lock: lock })
    }

    /// Adds a task that ends with the node.
    pub fn add_task(&mut self, task: JoinHandle<()>) {
        self.tasks.push(task);
    }

    /// Ends links and tasks, seals, gives the address free and the replica back.
    pub async fn stop(self) -> Option<Replica> {
        let address = self.endpoint.local_addr().ok();
        self.endpoint.close(code::STOPPING, "this side is stopping");
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        let _ = tokio::time::timeout(CLOSE_WITHIN, self.endpoint.wait_idle()).await;
        drop(self.endpoint);
        drop(self.desk);
        let replica = self.thread.stop().await;
        if let Some(address) = address {
            until_free(address).await;
        }
        replica
    }
}

/// Waits until an address can be listened on again: the socket goes only with its driver, a moment
/// after the last handle, and who restarts a relay in this process wants the same port.
async fn until_free(address: SocketAddr) {
    for _ in 0..FREE_TRIES {
        match std::net::UdpSocket::bind(address) {
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => tokio::time::sleep(FREE_STEP).await,
            Ok(_) | Err(_) => return,
        }
    }
    tracing::warn!(%address, "the address is still in use");
}

/// Waits for an interrupt or a termination signal.
pub async fn until_stopped() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}
