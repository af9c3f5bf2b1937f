//! The running relay: a node that listens, publishes where, and keeps a link to its parent.
//!
//! It does not: parse arguments.
//!
//! Invariants: it publishes its endpoint once its charter shows that it may; an emptied relay listens
//! before that, so that its children can give it the charter back.

use anyhow::Context as _;
use sampan_core::id::UnitId;
use sampan_core::scope::Side;
use sampan_core::store::StoreError;
use sampan_node::daemon::{Daemon, StatusWriter};
use sampan_node::dir::RunLock;
use sampan_node::net::{Endpoint, Options};
use sampan_node::replica::Replica;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How often a relay looks whether its endpoint stands in the charter as it is.
const PUBLISH_EVERY: Duration = Duration::from_secs(2);

/// How often a relay looks whether a right's time has been over for so long that it is cut.
const CLOSE_EVERY: Duration = Duration::from_secs(3_600);

/// A running relay.
pub struct Relay {
    /// The node inside.
    pub daemon: Daemon,
    /// Where it accepts.
    pub listen: SocketAddr,
}

/// Starts a relay.
///
/// # Errors
/// When it cannot listen, or its store cannot be written.
pub async fn start(
    mut replica: Replica,
    lock: RunLock,
    listen: SocketAddr,
    web: Option<SocketAddr>,
    status: StatusWriter,
) -> anyhow::Result<Relay> {
    let connections_max = replica.config().connections_max as usize;
    let options = Options { connections_max, ..Options::default() };
    let key = replica.engine.key().clone();
    let endpoint = Endpoint::server(listen, &key, options).with_context(|| format!("cannot listen on {listen}"))?;
    let listen = endpoint.local_addr()?;
    let advertise = advertised(&replica.config().advertise.clone(), listen);
    publish(&mut replica, &advertise)?;
    // The relay of the root has no way up, and dials nobody; that may change with the charter.
    let mut daemon = Daemon::start(replica, endpoint.clone(), lock, web, true, status).await?;
    let accepting = tokio::spawn(crate::hub::accept(daemon.desk.clone(), endpoint));
    daemon.add_task(accepting);
    let desk = daemon.desk.clone();
    // A relay that has only joined learns its right with its first session.
    daemon.add_task(tokio::spawn(async move {
        loop {
            let addresses = advertise.clone();
            match desk.call(move |r| publish(r, &addresses)).await {
                None => return,
                Some(Err(error)) => tracing::error!(%error, "the endpoint could not be published"),
                Some(Ok(_)) => {}
            }
            tokio::time::sleep(PUBLISH_EVERY).await;
        }
    }));
    let desk = daemon.desk.clone();
    daemon.add_task(tokio::spawn(async move {
        loop {
            match desk.call(close).await {
                None => return,
                Some(Err(error)) => tracing::error!(%error, "a right whose time was over could not be closed"),
                Some(Ok(closed)) if closed > 0 => tracing::info!(closed, "rights whose time was over were closed"),
                Some(Ok(_)) => {}
            }
            tokio::time::sleep(CLOSE_EVERY).await;
        }
    }));
    Ok(Relay { daemon, listen })
}

/// Writes the closing cuts that are due at this relay; how many.
///
/// # Errors
/// [`StoreError`].
pub fn close(replica: &mut Replica) -> Result<usize, StoreError> {
    let now = replica.label()?;
    if replica.engine.due_closings(now).is_empty() {
        return Ok(0);
    }
    let Replica { store, engine, rng, .. } = replica;
    let closed = store.group(|s| {
        engine.catch_up(s)?;
        engine.write_closings(s, rng, now)
    });
    if closed.is_err() {
        engine.reload(store)?;
    }
    Ok(closed?.len())
}

/// Publishes where this relay listens, for every unit that it relays; true when something was written.
///
/// # Errors
/// [`StoreError`].
pub fn publish(replica: &mut Replica, addresses: &[String]) -> Result<bool, StoreError> {
    let units: Vec<UnitId> = Side::of(replica.engine.charter(), &replica.device()).relay_units.into_iter().collect();
    let now = replica.label()?;
    let mut wrote = false;
    for unit in units {
        let Replica { store, engine, rng, .. } = replica;
        let stands = engine.charter().endpoints(&unit).iter().any(|(d, a)| *d == engine.device() && a == addresses);
        if !stands {
            wrote |= store.group(|s| {
                engine.catch_up(s)?;
                engine.publish_endpoint(s, rng, unit, addresses, now)
            })?;
        }
    }
    Ok(wrote)
}

/// What to tell children: what was configured, or the address listened on, or for a wildcard the
/// host's own addresses.
#[must_use]
pub fn advertised(configured: &[String], listen: SocketAddr) -> Vec<String> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    if !listen.ip().is_unspecified() {
        return vec![listen.to_string()];
    }
    let mut out: Vec<String> =
        own_address().into_iter().map(|ip| SocketAddr::new(ip, listen.port()).to_string()).collect();
    let local = SocketAddr::from(([127, 0, 0, 1], listen.port())).to_string();
    if !out.contains(&local) {
        out.push(local);
    }
    out
}

fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address for documentation: nothing is sent, the routing table answers.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|a| a.ip()).filter(|ip| !ip.is_unspecified())
}
