//! The hub: accepts links from below and hands each to the desk.
//!
//! It does not: judge who may come in (the session's door does, on every accept, by the charter) or
//! keep anything for a child that is not there.
//!
//! Invariants: a child that misbehaves costs its own link and no other; what strangers at one address may
//! cost the desk is bounded by the [`gate`](crate::gate).

use crate::gate::Gate;
use sampan_core::id::DeviceId;
use sampan_core::sync::{Event, Role};
use sampan_node::desk::{Desk, SessionEnd};
use sampan_node::link::pump;
use sampan_node::net::{Endpoint, Incoming, code};
use std::time::Instant;

/// What a link is closed with that the gate does not let in, or no longer keeps.
const BUSY: u32 = code::FIRST_FREE;

/// Accepts until the endpoint is closed.
pub async fn accept(desk: Desk, endpoint: Endpoint) {
    let gate = Gate::default();
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(serve(desk.clone(), gate.clone(), Box::new(incoming)));
    }
}

/// `incoming` is boxed: a task keeps room for what it was started with.
async fn serve(desk: Desk, gate: Gate, incoming: Box<Incoming>) {
    let remote = incoming.remote();
    // What is done once is boxed: the task of a link that is quiet for hours keeps room for the largest of it.
    if !Box::pin(gate.approach(remote.ip(), Instant::now())).await {
        tracing::info!(%remote, "a handshake was refused: a device at its address dials too often");
        return;
    }
    let connection = match Box::pin(incoming.accept()).await {
        Ok(connection) => connection,
        Err(error) => {
            gate.refused(remote.ip(), Instant::now());
            tracing::info!(%remote, %error, "a handshake failed");
            return;
        }
    };
    let peer = connection.peer();
    if let Err(seconds) = gate.may_open(peer, remote.ip(), Instant::now()) {
        let words = format!("this device dials too often (DEVICE_LINKS_BURST); try again in {seconds} s");
        connection.control.close(BUSY, &words);
        tracing::warn!(%peer, %remote, seconds, "a device that dials too often waits");
        return;
    }
    // Only where many were refused is the desk asked before it is given a session: an honest relay's day
    // costs it nothing.
    if gate.is_suspect(remote.ip(), Instant::now()) && !Box::pin(is_known(&desk, peer)).await {
        gate.refused(remote.ip(), Instant::now());
        connection.control.close(BUSY, "too many were refused at this address; try again in some minutes");
        tracing::warn!(%peer, %remote, "a stranger waits: too many were refused at its address");
        return;
    }
    let control = connection.control.clone();
    let close = move || control.close(BUSY, "this device has opened more links than one device needs");
    let pass = gate.enter(peer, Box::new(close));
    let end = pump(&desk, connection, Role::Upper, false, |_| false).await;
    drop(pass);
    // A device over its quota is known here, and says nothing of its neighbours.
    if matches!(&end.state.end, Some(SessionEnd::Refused(Event::Refused { retry_after: None, .. }))) {
        gate.refused(remote.ip(), Instant::now());
    }
    tracing::info!(%peer, %remote, end = ?end.transport, "a link ended");
}

/// Whether the charter shows any right of a key, revoked or not: its door then has its own words for it.
async fn is_known(desk: &Desk, peer: DeviceId) -> bool {
    let known = desk.call(move |r| {
        let charter = r.engine.charter();
        // An emptied relay knows nobody, and is refilled by those whom it does not know.
        r.engine.is_blank() || charter.revoked(&peer).is_some() || charter.rights(&peer).next().is_some()
    });
    known.await.unwrap_or(false)
}
