//! The hub: accepts links from below and hands each to the desk.
//!
//! It does not: judge who may come in (the session's door does, on every accept, by the charter) or
//! keep anything for a child that is not there.
//!
//! Invariants: a child that misbehaves costs its own link and no other.

use sampan_core::sync::Role;
use sampan_node::desk::Desk;
use sampan_node::link::pump;
use sampan_node::net::Endpoint;

/// Accepts until the endpoint is closed.
pub async fn accept(desk: Desk, endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        let desk = desk.clone();
        tokio::spawn(async move {
            let remote = incoming.remote();
            match incoming.accept().await {
                Ok(connection) => {
                    let peer = connection.peer();
                    let end = pump(&desk, connection, Role::Upper, false, |_| false).await;
                    tracing::info!(%peer, %remote, end = ?end.transport, "a link ended");
                }
                Err(error) => tracing::info!(%remote, %error, "a handshake failed"),
            }
        });
    }
}
