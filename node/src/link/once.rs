//! One session with the nearest relay that answers.
//!
//! It does not: try again (`keep` does) or print.
//!
//! Invariants: "verified" is said only as the session machine said it, after everything that was
//! unsealed here had been sealed and sent.

use super::plan::{beyond, is_busy, nearer, retry_after};
use super::pump::{is_done, pump, refusal};
use super::route::{Hop, route};
use crate::desk::{Desk, SessionEnd, SessionState};
use crate::net::{DialError, Endpoint};
use crate::replica::META_LAST_ERROR;
use sampan_core::store::{Batch, Store};
use sampan_core::sync::Role;
use sampan_core::wire::frame::RefuseCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// Redirects followed in one attempt: one a level would do.
const REDIRECTS_MAX: usize = 4;

/// One address is tried at most this long: what answers at all on a thin link answers sooner.
const ADDRESS_WITHIN: Duration = Duration::from_secs(10);

/// What one `sync` came to; the contract's object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SyncReport {
    /// Both ends hold the same.
    pub verified: bool,
    /// Round trips of the handshake.
    pub handshake_round_trips: u64,
    /// Waits for an answer after it.
    pub round_trips: u64,
    /// UDP payload sent.
    pub sent_bytes: u64,
    /// UDP payload received.
    pub received_bytes: u64,
    /// Commits sent.
    pub commits_sent: u64,
    /// Commits received that were new.
    pub commits_received: u64,
    /// Changes sent, births excluded.
    pub changes_sent: u64,
    /// Changes received that were new, births excluded.
    pub changes_received: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Why a session did not end verified.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum SyncFailure {
    /// No relay is known.
    #[error("no relay above is known here")]
    NoRelay,
    /// Nobody answered; what was tried, in words.
    #[error("{0}")]
    Unreachable(String),
    /// The relay refused this device: a word for programs, and the sentence.
    #[error("{1}")]
    Refused(String, String),
    /// The relay answered, and the time was over before both ends were equal.
    #[error("not yet in sync: {0}")]
    NotVerified(String),
}

impl SyncFailure {
    /// The word that programs test.
    #[must_use]
    pub fn refused(code: RefuseCode, text: String) -> Self {
        let word = match code {
            RefuseCode::WrongOrganisation => "wrong_organisation",
            RefuseCode::NoGrant => "no_grant",
            RefuseCode::GrantEnded => "grant_ended",
            RefuseCode::TicketUsed => "ticket_used",
            RefuseCode::TicketExpired => "ticket_expired",
            RefuseCode::Version => "version",
            RefuseCode::Busy => "busy",
            RefuseCode::Protocol => "protocol",
        };
        Self::Refused(word.to_owned(), text)
    }
}

/// One session: dials the route, follows redirects, and ends when verified, refused, or when the time
/// is over. `watch` sees every state on the way.
pub async fn sync_once(
    desk: &Desk,
    endpoint: &Endpoint,
    relay: Option<String>,
    timeout: Duration,
    mut watch: impl FnMut(&SessionState),
) -> (SyncReport, Result<(), SyncFailure>) {
    let began = Instant::now();
    let deadline = began + timeout;
    let mut report = SyncReport::default();
    let result = attempt(desk, endpoint, relay, deadline, &mut watch, &mut report).await;
    report.seconds = began.elapsed().as_secs_f64();
    report.verified = result.is_ok();
    let words = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    remember_error(desk, words).await;
    (report, result)
}

/// Keeps the last error of the link where `status` finds it.
pub(super) async fn remember_error(desk: &Desk, words: String) {
    let wrote = desk
        .call(move |replica| {
            let before = replica.store.meta(META_LAST_ERROR)?.unwrap_or_default();
            if before != words.as_bytes() {
                let mut batch = Batch::at(replica.now());
                batch.meta.insert(META_LAST_ERROR.into(), Some(words.into_bytes()));
                replica.store.write(&batch)?;
            }
            Ok::<_, sampan_core::store::StoreError>(())
        })
        .await;
    if let Some(Err(e)) = wrote {
        tracing::error!(error = %e, "the last error could not be kept");
    }
}

async fn attempt(
    desk: &Desk,
    endpoint: &Endpoint,
    relay: Option<String>,
    deadline: Instant,
    watch: &mut impl FnMut(&SessionState),
    report: &mut SyncReport,
) -> Result<(), SyncFailure> {
    let mut hops = desk.call(|r| route(r)).await.unwrap_or_default();
    if let Some(address) = relay {
        // An address never changes the key that must answer.
        hops.truncate(1);
        hops.iter_mut().for_each(|h| h.addresses = vec![address.clone()]);
    }
    if hops.is_empty() {
        return Err(SyncFailure::NoRelay);
    }
    let mut tried = Vec::new();
    let mut redirects = 0;
    let mut at = 0;
    while let Some(hop) = hops.get(at).cloned() {
        at += 1;
        let connection = match dial(endpoint, &hop, deadline, hops.len() - at).await {
            Ok(c) => c,
            Err(errors) => {
                tried.extend(errors);
                continue;
            }
        };
        report.handshake_round_trips += 1;
        let fallback = hop.distance > 0;
        let left = deadline.saturating_duration_since(Instant::now());
        let mut last = SessionState::default();
        // Done is done: what the relay says between that moment and the close is not awaited.
        let mut done = false;
        let end = {
            let (last, done) = (&mut last, &mut done);
            let watch = &mut *watch;
            let link = pump(desk, connection, Role::Lower, fallback, move |state| {
                watch(state);
                *last = state.clone();
                *done |= state.end.is_none() && is_done(state);
                is_done(state)
            });
            tokio::time::timeout(left, link).await
        };
        let state = match &end {
            Ok(end) => {
                report.sent_bytes += end.udp_bytes.0;
                report.received_bytes += end.udp_bytes.1;
                end.state.clone()
            }
            Err(_) => last,
        };
        add(report, &state);
        match (&state.end, end) {
            (Some(SessionEnd::Redirect(to)), _) if redirects < REDIRECTS_MAX => {
                redirects += 1;
                hops = nearer(to, &hop);
                at = 0;
            }
            (other, end) => {
                if is_busy(other.as_ref()) {
                    let text = refusal(other).map(|(_, text)| text).unwrap_or_default();
                    let rest = beyond(&hops, &hop);
                    if rest.is_empty() {
                        return Err(SyncFailure::NotVerified(text));
                    }
                    tried.push(text);
                    hops = rest;
                    at = 0;
                    continue;
                }
                // Over the quota there: what is left is taken if there is time to wait as long as was asked.
                let asked = retry_after(other.as_ref()).map(|s| Duration::from_secs(u64::from(s)));
                if let Some(wait) = asked.filter(|wait| Instant::now() + *wait < deadline) {
                    tokio::time::sleep(wait).await;
                    at -= 1;
                    continue;
                }
                if let Some((code, text)) = refusal(other) {
                    return Err(SyncFailure::refused(code, text));
                }
                return match end {
                    Ok(_) if done || (state.verified_at.is_some() && state.settled) => Ok(()),
                    Ok(end) => Err(SyncFailure::NotVerified(why(&state, end.transport.as_deref()))),
                    Err(_) if done => Ok(()),
                    Err(_) => Err(SyncFailure::NotVerified(format!(
                        "the time given was over; what arrived is kept (waited for: {})",
                        state.waits_for
                    ))),
                };
            }
        }
    }
    Err(SyncFailure::Unreachable(tried.join("; ")))
}

fn why(state: &SessionState, transport: Option<&str>) -> String {
    match &state.end {
        Some(SessionEnd::Failed(words)) => words.clone(),
        Some(SessionEnd::NotVerified) => "after all repairs the two ends still differ; run 'verify' on both".into(),
        Some(SessionEnd::Refused(_) | SessionEnd::Redirect(_)) | None => {
            let cut = transport.unwrap_or("the link was closed");
            format!("{cut}; what arrived is kept")
        }
    }
}

fn add(report: &mut SyncReport, state: &SessionState) {
    report.round_trips += state.stats.round_trips;
    report.commits_sent += state.stats.commits_sent;
    report.commits_received += state.stats.commits_received;
    report.changes_sent += state.stats.changes_sent;
    report.changes_received += state.stats.changes_received;
}

/// Dials every address of a hop; leaves time for the hops behind it.
pub(super) async fn dial(
    endpoint: &Endpoint,
    hop: &Hop,
    deadline: Instant,
    behind: usize,
) -> Result<crate::net::Connection, Vec<String>> {
    let mut errors = Vec::new();
    for address in &hop.addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = (left / (behind as u32 + 1)).min(ADDRESS_WITHIN);
        if share.is_zero() {
            errors.push(format!("{address}: no time was left to try it"));
            continue;
        }
        match endpoint.connect(address, &[hop.device], share).await {
            Ok(connection) => return Ok(connection),
            Err(e @ (DialError::Dns { .. } | DialError::Unreachable { .. } | DialError::WrongKey { .. })) => {
                errors.push(e.to_string());
            }
            Err(e @ (DialError::Handshake { .. } | DialError::Refused { .. })) => errors.push(e.to_string()),
        }
    }
    Err(errors)
}
