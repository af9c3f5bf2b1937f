//! Keeping one upstream link alive: dial, stay, back off, come back, and move when a nearer relay
//! answers or the network changes.
//!
//! It does not: give up; what it could not do stands in `status`.

use super::once::{dial, remember_error};
use super::plan::Plan;
use super::pump::{pump, refusal};
use super::route::route;
use crate::desk::{Desk, SessionEnd};
use crate::entropy::SystemEntropy;
use crate::net::Endpoint;
use sampan_core::sync::Role;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// One dialling of all addresses takes at most this.
const DIAL_WITHIN: Duration = Duration::from_secs(20);
/// How long a link to a farther relay is kept before the nearer one is tried again.
const DETOUR_FOR: Duration = Duration::from_secs(300);
/// How often the machine's own address is looked at.
const ADDRESS_EVERY: Duration = Duration::from_secs(5);

/// What the keeper shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkState {
    /// The relay that the link is up to.
    pub connected: Option<sampan_core::id::DeviceId>,
    /// When it tries again, if it waits.
    pub next_try: Option<std::time::SystemTime>,
    /// The last error in words, empty for none.
    pub last_error: String,
}

/// Keeps the link until the desk stops. `wake` ends a wait early.
pub async fn keep(
    desk: Desk,
    endpoint: Endpoint,
    backoff_s: (u64, u64),
    wake: Arc<Notify>,
    state: watch::Sender<LinkState>,
) {
    let mut plan = Plan::new(backoff_s);
    loop {
        let Some(known) = desk.call(|r| route(r)).await else { return };
        let hops = plan.hops(known);
        let mut error = String::new();
        let count = hops.len();
        let deadline = Instant::now() + DIAL_WITHIN;
        for (i, hop) in hops.into_iter().enumerate() {
            let connection = match dial(&endpoint, &hop, deadline, count - i - 1).await {
                Ok(c) => c,
                Err(errors) => {
                    error =
                        [error, errors.join("; ")].into_iter().filter(|e| !e.is_empty()).collect::<Vec<_>>().join("; ");
                    continue;
                }
            };
            state.send_modify(|s| {
                *s = LinkState { connected: Some(hop.device), next_try: None, last_error: String::new() }
            });
            let detour = hop.distance > 0;
            let mut worked = false;
            let control = connection.control.clone();
            let end = {
                let link = pump(&desk, connection, Role::Lower, detour, |state| {
                    worked |= state.verified_at.is_some();
                    state.end.is_some()
                });
                tokio::pin!(link);
                let mut addresses = tokio::time::interval(ADDRESS_EVERY);
                let mut own = own_address();
                loop {
                    tokio::select! {
                        end = &mut link => break end,
                        () = tokio::time::sleep(DETOUR_FOR), if detour => {
                            control.close(crate::net::code::DONE, "trying the nearer relay again");
                        }
                        _ = addresses.tick() => {
                            let now = own_address();
                            if now != own {
                                own = now;
                                // The connection survives: its peer learns the new address from the next packet.
                                if let Err(e) = endpoint.rebind() {
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
        remember_error(&desk, error.clone()).await;
        let wait = plan.wait(&mut SystemEntropy);
        let next_try = Some(std::time::SystemTime::now() + wait);
        state.send_modify(|s| *s = LinkState { connected: None, next_try, last_error: error });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = wake.notified() => {}
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
