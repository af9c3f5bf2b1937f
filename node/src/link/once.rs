//! One session on each way up, with the nearest relay that answers there.
//!
//! It does not: try again (`keep` does) or print.
//!
//! Invariants: "verified" is said only as the session machine said it, after everything that was
//! unsealed here had been sealed and sent; of several ways each must have been found so, by what is held at the end.

use super::plan::{beyond, is_busy, is_ended, nearer, retry_after};
use super::pump::{is_done, pump, refusal};
use super::route::{Hop, Route, routes};
use crate::desk::{Desk, SessionEnd, SessionState};
use crate::net::{DialError, Endpoint};
use crate::replica::{META_LAST_ERROR, Replica};
use sampan_core::id::DeviceId;
use sampan_core::scope::{Shared, Side};
use sampan_core::store::{Batch, Store};
use sampan_core::sync::Role;
use sampan_core::wire::frame::{RefuseCode, ScopeDigests};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Redirects followed in one attempt: one a level would do.
const REDIRECTS_MAX: usize = 4;

/// Steps of projection before a session, so that what is said of figures is up to date: some 2,000 commits.
const STEPS_BEFORE: usize = 128;

/// One address is tried at most this long: what answers at all on a thin link answers sooner.
const ADDRESS_WITHIN: Duration = Duration::from_secs(10);

/// A session whose records are in step waits so long for a file that does not move: a chunk takes four seconds at
/// 32 kbit/s.
const FILES_SILENCE: Duration = Duration::from_secs(20);
/// The same, where the relay has to get it first: it may be there in a moment, or next week.
const FILES_SOUGHT: Duration = Duration::from_secs(2);

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
    /// Files that came whole.
    #[serde(default)]
    pub files_received: u64,
    /// Files that are to come, small or asked for, and are not whole.
    #[serde(default)]
    pub files_waiting: u64,
    /// Bytes of them that are missing.
    #[serde(default)]
    pub files_waiting_bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Each way up, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<WayReport>,
}

/// What one of several ways came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WayReport {
    /// The unit whose relay is the nearest on it; none where only a ticket knows the relay.
    pub unit: Option<String>,
    /// What people call it.
    pub name: String,
    /// Both ends hold the same.
    pub verified: bool,
    /// Why not, in words; empty when verified.
    pub error: String,
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
    /// Why, without what the variant says.
    fn why(&self) -> String {
        match self {
            Self::NotVerified(why) => why.clone(),
            Self::NoRelay | Self::Unreachable(_) | Self::Refused(..) => self.to_string(),
        }
    }

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

/// One session on each way: dials the route, follows redirects, and ends when verified, refused, or when the time
/// is over. `relay` takes the place of the addresses of the first way. `watch` sees every state on the way.
pub async fn sync_once(
    desk: &Desk,
    endpoint: &Endpoint,
    relay: Option<String>,
    timeout: Duration,
    mut watch: impl FnMut(&SessionState),
) -> (SyncReport, Result<(), SyncFailure>) {
    let began = Instant::now();
    let mut round =
        Round { desk, endpoint, deadline: began + timeout, report: SyncReport::default(), ways: Vec::new() };
    round.all(relay, &mut watch).await;
    let (mut report, result) = round.end().await;
    report.seconds = began.elapsed().as_secs_f64();
    report.verified = result.is_ok();
    note_waiting(desk, &mut report).await;
    let words = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    remember_error(desk, move || words).await;
    (report, result)
}

/// Puts what is still to come of files into a report.
pub(crate) async fn note_waiting(desk: &Desk, report: &mut SyncReport) {
    if let Some(Ok(waiting)) = desk.call(|r| r.store.files_waiting()).await {
        (report.files_waiting, report.files_waiting_bytes) = (waiting.count, waiting.bytes);
    }
}

/// One way that was gone.
struct Gone {
    route: Route,
    result: Result<(), SyncFailure>,
    /// The relay that it verified with, and what both shared of it then.
    equal: Option<(DeviceId, ScopeDigests)>,
}

/// All ways, one after the other.
struct Round<'a> {
    desk: &'a Desk,
    endpoint: &'a Endpoint,
    deadline: Instant,
    report: SyncReport,
    ways: Vec<Gone>,
}

impl Round<'_> {
    async fn all(&mut self, mut relay: Option<String>, watch: &mut impl FnMut(&SessionState)) {
        let mut first = BTreeSet::new();
        // What is said of figures speaks of what is sealed and shown.
        let said = self.desk.call(|r| {
            r.seal()?;
            // A backlog longer than that is for the projector, which holds nobody up.
            for _ in 0..STEPS_BEFORE {
                if !r.project_step()? {
                    break;
                }
            }
            r.publish_figures(true)
        });
        if let Some(Err(error)) = said.await {
            tracing::warn!(%error, "the figures could not be said");
        }
        loop {
            let known = self.desk.call(|r| routes(r)).await.unwrap_or_default();
            if self.ways.is_empty() {
                first = known.iter().map(Route::key).collect();
            }
            // The charter may have shown more ways meanwhile; one that a session has just served needs no other.
            let served = |r: &Route| self.ways.iter().any(|w| w.equal.as_ref().is_some_and(|(d, _)| r.leads_over(d)));
            let gone = |r: &Route| self.ways.iter().any(|w| w.route.key() == r.key());
            let open: Vec<&Route> =
                known.iter().filter(|r| !gone(r) && (first.contains(&r.key()) || !served(r))).collect();
            let (Some(route), left) = (open.first().copied().cloned(), open.len()) else { break };
            let several = known.len() > 1 || !self.ways.is_empty();
            let mut dialled = route.clone();
            if let Some(address) = relay.take() {
                // An address never changes the key that must answer.
                dialled.hops.truncate(1);
                dialled.hops.iter_mut().for_each(|h| h.addresses = vec![address.clone()]);
            }
            self.go(route, dialled.hops, several, left, watch).await;
        }
        // What came by one way may be another's to have.
        for at in 0..self.ways.len().saturating_sub(1) {
            let Some((relay, digests)) = self.ways[at].equal else { continue };
            if self.desk.call(move |r| shared(r, &relay)).await.is_some_and(|now| now != digests) {
                let gone = self.ways.remove(at);
                let hops = gone.route.hops.clone();
                self.go(gone.route, hops, true, 1, watch).await;
                if let Some(again) = self.ways.pop() {
                    self.ways.insert(at, again);
                }
            }
        }
    }

    /// Goes one way, in its share of the time that is left.
    async fn go(
        &mut self,
        route: Route,
        hops: Vec<Hop>,
        several: bool,
        left: usize,
        watch: &mut impl FnMut(&SessionState),
    ) {
        let now = Instant::now();
        let share = self.deadline.saturating_duration_since(now) / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
        let result = attempt(self.desk, self.endpoint, hops, several, now + share, watch, &mut self.report).await;
        let mut equal = None;
        if let Ok(relay) = &result {
            let relay = *relay;
            equal = self.desk.call(move |r| shared(r, &relay)).await.map(|digests| (relay, digests));
        }
        self.ways.push(Gone { route, result: result.map(|_| ()), equal });
    }

    async fn end(mut self) -> (SyncReport, Result<(), SyncFailure>) {
        let known = self.desk.call(|r| routes(r)).await.unwrap_or_default();
        let any = self.ways.iter().any(|w| w.result.is_ok());
        // A way that is none any more, as another has shown, is no failure.
        self.ways.retain(|w| !any || w.result.is_ok() || known.iter().any(|r| r.key() == w.route.key()));
        if self.ways.len() <= 1 {
            let result = self.ways.pop().map_or(Err(SyncFailure::NoRelay), |w| w.result);
            return (self.report, result);
        }
        for way in &self.ways {
            self.report.ways.push(WayReport {
                unit: way.route.unit.map(|u| u.to_string()),
                name: way.route.name.clone(),
                verified: way.result.is_ok(),
                error: way.result.as_ref().err().map(SyncFailure::why).unwrap_or_default(),
            });
        }
        let failures: Vec<(&str, &SyncFailure)> =
            self.ways.iter().filter_map(|w| w.result.as_ref().err().map(|e| (w.route.name.as_str(), e))).collect();
        let result = if failures.is_empty() { Ok(()) } else { Err(merged(&failures, any)) };
        (self.report, result)
    }
}

/// One failure for those of several ways; `any`: another way did verify.
fn merged(failures: &[(&str, &SyncFailure)], any: bool) -> SyncFailure {
    let words = failures.iter().map(|(name, e)| format!("{name}: {}", e.why())).collect::<Vec<_>>().join("; ");
    let refused = failures.iter().find_map(|(_, e)| match e {
        SyncFailure::Refused(word, _) => Some(word.as_str()),
        SyncFailure::NoRelay | SyncFailure::Unreachable(_) | SyncFailure::NotVerified(_) => None,
    });
    let reached = failures.iter().any(|(_, e)| matches!(e, SyncFailure::NotVerified(_)));
    match refused {
        // Who waits for a ticket to be taken must hear of it whatever else went well.
        Some(word) if !any || matches!(word, "ticket_used" | "ticket_expired") => {
            SyncFailure::Refused(word.to_owned(), words)
        }
        None if !any && !reached => SyncFailure::Unreachable(words),
        Some(_) | None => SyncFailure::NotVerified(words),
    }
}

/// What this replica and a relay above share of what is held here.
fn shared(replica: &Replica, relay: &DeviceId) -> ScopeDigests {
    let (engine, charter) = (&replica.engine, replica.engine.charter());
    let (lower, upper) = (Side::of(charter, &engine.device()), Side::of(charter, relay));
    Shared::of(charter, engine.levels(), &lower, &upper).digests(charter, engine.holdings())
}

/// Keeps the last error of the link where `status` finds it; `words` are asked for when they are written.
pub(super) async fn remember_error(desk: &Desk, words: impl FnOnce() -> String + Send + 'static) {
    let wrote = desk
        .call(move |replica| {
            let words = words();
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

/// Goes one way; the relay that it verified with. `several`: there are other ways.
async fn attempt(
    desk: &Desk,
    endpoint: &Endpoint,
    mut hops: Vec<Hop>,
    several: bool,
    deadline: Instant,
    watch: &mut impl FnMut(&SessionState),
    report: &mut SyncReport,
) -> Result<DeviceId, SyncFailure> {
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
        let control = connection.control.clone();
        let end = {
            let (last, done) = (&mut last, &mut done);
            let watch = &mut *watch;
            // The records are verified; the files that they name may still be on their way.
            let (moved_in, mut moved) = tokio::sync::watch::channel(None);
            let link = pump(desk, connection, Role::Lower, fallback, move |state| {
                watch(state);
                *last = state.clone();
                *done |= state.end.is_none() && is_done(state);
                let waits = if *done { patience_for(state) } else { None };
                moved_in.send_if_modified(|old: &mut Option<_>| {
                    let new = waits.map(|patience| (state.files, state.names_known, patience));
                    let differs = *old != new;
                    *old = new;
                    differs
                });
                state.end.is_some() || (*done && waits.is_none())
            });
            tokio::pin!(link);
            let mut impatient = None;
            tokio::time::timeout(left, async {
                loop {
                    tokio::select! {
                        end = &mut link => break end,
                        Ok(()) = moved.changed() => {
                            let waits = moved.borrow_and_update().map(|(_, _, patience)| patience);
                            impatient = waits.map(|patience| Instant::now() + patience);
                        }
                        () = tokio::time::sleep_until(impatient.unwrap_or_else(Instant::now)), if impatient.is_some() => {
                            impatient = None;
                            control.close(crate::net::code::DONE, "");
                        }
                    }
                }
            })
            .await
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
                // A relay that knows nothing of this device's units elsewhere may say that its rights have ended: those
                // above it know them, and have the charter that says which one ended.
                let ended = several && is_ended(other.as_ref());
                if is_busy(other.as_ref()) || ended {
                    let text = refusal(other).map(|(_, text)| text).unwrap_or_default();
                    let rest = beyond(&hops, &hop);
                    if rest.is_empty() {
                        return Err(unserved(refusal(other)));
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
                    Ok(_) if done || (state.verified_at.is_some() && state.settled) => Ok(hop.device),
                    Ok(end) => Err(SyncFailure::NotVerified(why(&state, end.transport.as_deref()))),
                    Err(_) if done => Ok(hop.device),
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
    report.files_received += state.files.received;
}

/// How long a session whose records are in step waits in silence for files; `None` when for none.
fn patience_for(state: &SessionState) -> Option<Duration> {
    if !state.names_known || !state.files.is_still() {
        Some(FILES_SILENCE)
    } else if state.files.lacking > 0 {
        Some(FILES_SOUGHT)
    } else {
        None
    }
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

/// What it comes to when no relay is left to try: only one that is busy now may serve this device later.
fn unserved(refusal: Option<(RefuseCode, String)>) -> SyncFailure {
    match refusal {
        Some((code, text)) if code != RefuseCode::Busy => SyncFailure::refused(code, text),
        refusal => SyncFailure::NotVerified(refusal.map(|(_, text)| text).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_right_is_refused_and_who_came_too_early_is_not_yet_in_sync() {
        let end = |code| unserved(Some((code, "why".to_owned())));
        for (code, word) in [(RefuseCode::NoGrant, "no_grant"), (RefuseCode::GrantEnded, "grant_ended")] {
            assert!(matches!(end(code), SyncFailure::Refused(w, _) if w == word));
        }
        assert!(matches!(end(RefuseCode::Busy), SyncFailure::NotVerified(why) if why == "why"));
    }
}
