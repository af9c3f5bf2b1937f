//! Keeping the links upward alive, one keeper for each way: dial, stay, back off, come back, and move when a nearer
//! relay answers or the network changes.
//!
//! It does not: give up; what it could not do stands in `status`.
//!
//! Invariants: ways come and go with the charter; a link that still serves a way is not cut because a nearer relay
//! has appeared, the next attempt finds it.

use super::once::{dial, remember_error};
use super::plan::Plan;
use super::pump::{pump, refusal};
use super::route::{Route, routes};
use crate::desk::{Desk, SessionEnd};
use crate::entropy::SystemEntropy;
use crate::net::Endpoint;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::sync::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One dialling of all addresses takes at most this.
const DIAL_WITHIN: Duration = Duration::from_secs(20);
/// How long a link to a farther relay is kept before the nearer one is tried again.
const DETOUR_FOR: Duration = Duration::from_secs(300);
/// How often the machine's own address is looked at.
const ADDRESS_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether the charter shows other ways.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the keeper of one way shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayLink {
    /// The key of the nearest relay: what tells the ways apart.
    pub key: DeviceId,
    /// The unit of that relay, where the charter tells.
    pub unit: Option<UnitId>,
    /// What people call the way.
    pub name: String,
    /// The relay that the link is up to.
    pub connected: Option<DeviceId>,
    /// When it tries again, if it waits.
    pub next_try: Option<std::time::SystemTime>,
    /// The last error in words, empty for none.
    pub last_error: String,
}

/// What the keepers show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkState {
    /// Each way.
    pub ways: Vec<WayLink>,
}

impl LinkState {
    /// Whether every way has its link.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.ways.is_empty() && self.ways.iter().all(|w| w.connected.is_some())
    }

    /// The last errors in words, each with its way where there are several; empty for none.
    #[must_use]
    pub fn last_error(&self) -> String {
        let failed = self.ways.iter().filter(|w| !w.last_error.is_empty());
        let named = |w: &WayLink| {
            if self.ways.len() > 1 { format!("{}: {}", w.name, w.last_error) } else { w.last_error.clone() }
        };
        failed.map(named).collect::<Vec<_>>().join("; ")
    }
}

/// One running keeper.
struct Keeper {
    stop: watch::Sender<bool>,
}

/// What all keepers share.
#[derive(Clone)]
struct Common {
    desk: Desk,
    endpoint: Endpoint,
    backoff_s: (u64, u64),
    kicks: watch::Receiver<u64>,
    state: Arc<watch::Sender<LinkState>>,
}

impl Common {
    /// Changes what is shown of one way.
    fn show(&self, key: &DeviceId, change: impl FnOnce(&mut WayLink)) {
        self.state.send_modify(|s| {
            if let Some(way) = s.ways.iter_mut().find(|w| w.key == *key) {
                change(way);
            }
        });
    }
}

/// Keeps a link on every way until the desk stops. `wake` ends all waits early.
pub async fn keep(
    desk: Desk,
    endpoint: Endpoint,
    backoff_s: (u64, u64),
    wake: Arc<Notify>,
    state: watch::Sender<LinkState>,
) {
    let (kick, kicks) = watch::channel(0);
    let common = Common { desk, endpoint, backoff_s, kicks, state: Arc::new(state) };
    let mut keepers: BTreeMap<DeviceId, Keeper> = BTreeMap::new();
    let mut tasks: JoinSet<DeviceId> = JoinSet::new();
    loop {
        let Some(known) = common.desk.call(|r| routes(r)).await else { return };
        let before = common.state.borrow().last_error();
        reconcile(&common, &known, &mut keepers, &mut tasks);
        if common.state.borrow().last_error() != before {
            // The error of a way that is none any more is nobody's.
            let shown = common.state.clone();
            remember_error(&common.desk, move || shown.borrow().last_error()).await;
        }
        tokio::select! {
            () = wake.notified() => kick.send_modify(|n| *n += 1),
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                match ended {
                    Ok(key) => {
                        keepers.remove(&key);
                    }
                    // Whose it was is not told: all begin anew.
                    Err(error) => {
                        tracing::error!(%error, "a keeper ended");
                        tasks.shutdown().await;
                        keepers.clear();
                    }
                }
            }
        }
    }
}

/// Starts a keeper for every new way and stops those of ways that are gone.
fn reconcile(
    common: &Common,
    known: &[Route],
    keepers: &mut BTreeMap<DeviceId, Keeper>,
    tasks: &mut JoinSet<DeviceId>,
) {
    // A way whose nearest relay is new may still be served by the keeper that dialled a farther one: it ends by itself.
    let mut held = BTreeSet::new();
    for (key, keeper) in keepers.iter() {
        if known.iter().any(|r| r.key() == *key) {
            continue;
        }
        let new =
            known.iter().find(|r| r.leads_over(key) && !keepers.contains_key(&r.key()) && !held.contains(&r.key()));
        match new {
            Some(route) => {
                held.insert(route.key());
            }
            None => {
                let _ = keeper.stop.send_replace(true);
            }
        }
    }
    let new: Vec<&Route> =
        known.iter().filter(|r| !keepers.contains_key(&r.key()) && !held.contains(&r.key())).collect();
    for route in new {
        let (stop, stopped) = watch::channel(false);
        keepers.insert(route.key(), Keeper { stop });
        tasks.spawn(keep_one(common.clone(), route.key(), stopped));
    }
    common.state.send_if_modified(|s| {
        let mut ways: Vec<WayLink> = Vec::new();
        let before = |key: &DeviceId| s.ways.iter().find(|w| w.key == *key).cloned();
        for key in keepers.keys() {
            let old = before(key);
            let route = known.iter().find(|r| r.key() == *key);
            let (unit, name) = match (route, &old) {
                (Some(r), _) => (r.unit, r.name.clone()),
                (None, Some(w)) => (w.unit, w.name.clone()),
                (None, None) => (None, String::new()),
            };
            let blank = WayLink {
                key: *key,
                unit,
                name: name.clone(),
                connected: None,
                next_try: None,
                last_error: String::new(),
            };
            ways.push(WayLink { unit, name, ..old.unwrap_or(blank) });
        }
        // In the order of the ways.
        ways.sort_by_key(|w| known.iter().position(|r| r.key() == w.key).unwrap_or(usize::MAX));
        let changed = s.ways != ways;
        s.ways = ways;
        changed
    });
}

/// Keeps the link of one way until it is told to stop or the way is gone; its key.
async fn keep_one(mut common: Common, key: DeviceId, mut stopped: watch::Receiver<bool>) -> DeviceId {
    let mut plan = Plan::new(common.backoff_s);
    loop {
        if *stopped.borrow() {
            return key;
        }
        let Some(known) = common.desk.call(|r| routes(r)).await else { return key };
        plan.set_several(known.len() > 1);
        let Some(route) = known.into_iter().find(|r| r.key() == key) else { return key };
        let hops = plan.hops(route.hops);
        let mut error = String::new();
        let count = hops.len();
        let deadline = Instant::now() + DIAL_WITHIN;
        for (i, hop) in hops.into_iter().enumerate() {
            let connection = match dial(&common.endpoint, &hop, deadline, count - i - 1).await {
                Ok(c) => c,
                Err(errors) => {
                    error =
                        [error, errors.join("; ")].into_iter().filter(|e| !e.is_empty()).collect::<Vec<_>>().join("; ");
                    continue;
                }
            };
            common.show(&key, |w| (w.connected, w.next_try, w.last_error) = (Some(hop.device), None, String::new()));
            let detour = hop.distance > 0;
            let mut worked = false;
            let control = connection.control.clone();
            let end = {
                let link = pump(&common.desk, connection, Role::Lower, detour, |state| {
                    worked |= state.verified_at.is_some();
                    state.end.is_some()
                });
                tokio::pin!(link);
                let mut addresses = tokio::time::interval(ADDRESS_EVERY);
                let mut own = own_address();
                let mut stopping = false;
                loop {
                    tokio::select! {
                        end = &mut link => break end,
                        () = tokio::time::sleep(DETOUR_FOR), if detour => {
                            control.close(crate::net::code::DONE, "trying the nearer relay again");
                        }
                        // A sender that is gone says the same: nobody keeps this any more.
                        _ = stopped.wait_for(|stop| *stop), if !stopping => {
                            stopping = true;
                            control.close(crate::net::code::DONE, "this way is none any more");
                        }
                        _ = addresses.tick() => {
                            let now = own_address();
                            if now != own {
                                own = now;
                                // The connection survives: its peer learns the new address from the next packet.
                                if let Err(e) = common.endpoint.rebind() {
                                    tracing::warn!(error = %e, "the network changed and the socket could not follow");
                                }
                            }
                        }
                    }
                }
            };
            plan.ended(&hop, end.state.end.as_ref(), worked);
            error = match &end.state.end {
                Some(SessionEnd::Redirect(_)) => String::new(),
                Some(SessionEnd::Failed(words)) => words.clone(),
                Some(SessionEnd::NotVerified) => "after all repairs the two ends still differ".into(),
                Some(SessionEnd::Refused(_)) => refusal(&end.state.end).map(|(_, text)| text).unwrap_or_default(),
                None => end.transport.unwrap_or_default(),
            };
            break;
        }
        if *stopped.borrow() {
            return key;
        }
        let wait = plan.wait(&mut SystemEntropy);
        let next_try = Some(std::time::SystemTime::now() + wait);
        common.show(&key, |w| (w.connected, w.next_try, w.last_error) = (None, next_try, error));
        let shown = common.state.clone();
        remember_error(&common.desk, move || shown.borrow().last_error()).await;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = common.kicks.changed() => {}
            _ = stopped.changed() => {}
        }
    }
}

/// The address that this machine would send from; nothing is sent to learn it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address for documentation: connecting a UDP socket only asks the routing table.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|a| a.ip())
}
