//! The local HTTP API of a running node: health, metrics, status, a page for people, and what the
//! command line asks of a daemon.
//!
//! It does not: serve records yet, or listen beyond loopback unless `web` says so; the pages on `web`
//! are read-only.
//!
//! Invariants: what changes anything asks for the token in `run.json`, which only the folder's owner
//! can read; a request with a foreign `Host` is refused, so that a web page elsewhere cannot reach in.

mod page;

use crate::daemon::StatusWriter;
use crate::desk::Desk;
use crate::link::{LinkState, SyncFailure, SyncReport, sync_once};
use crate::net::Endpoint;
use crate::replica::StatusReport;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use sampan_core::store::Store as _;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

/// What the handlers share.
#[derive(Clone)]
pub struct Api {
    /// The desk.
    pub desk: Desk,
    /// The endpoint that dials.
    pub endpoint: Endpoint,
    /// The kept link's state.
    pub link: watch::Receiver<LinkState>,
    /// Wakes the keeper.
    pub wake: Arc<Notify>,
    /// The token of `run.json`.
    pub token: Arc<str>,
    /// How the status is written, with what a relay adds.
    pub status: StatusWriter,
}

/// What a `sync` asked of a daemon answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncAnswer {
    /// The counts.
    pub report: SyncReport,
    /// Why not verified, if not.
    pub failure: Option<SyncFailure>,
}

/// Serves the API on a listener: loopback with everything, or `web` with what may be read.
pub async fn serve(api: Api, listener: TcpListener, full: bool) {
    let mut router = Router::new()
        .route("/", get(page_of))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/status.json", get(status_of));
    if full {
        router = router.route("/nudge", post(nudge)).route("/sync", post(sync_now));
    }
    let local = listener.local_addr().ok();
    let router = router
        .layer(middleware::from_fn(move |request: Request, next: Next| check_host(local, request, next)))
        .with_state(api);
    if let Err(e) = axum::serve(listener, router).await {
        tracing::error!(error = %e, "the API ended");
    }
}

/// On loopback only names of loopback are served: a page elsewhere that names this port is not.
async fn check_host(local: Option<SocketAddr>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let known = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    if local.is_some_and(|l| l.ip().is_loopback()) && !known {
        return (StatusCode::FORBIDDEN, "this address is served to this machine alone\n").into_response();
    }
    next.run(request).await
}

fn has_token(api: &Api, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
    given.and_then(|g| g.strip_prefix("Bearer ")).is_some_and(|g| g == &*api.token)
}

async fn nudge(State(api): State<Api>, headers: HeaderMap) -> Response {
    if !has_token(&api, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    api.desk.nudge().await;
    api.wake.notify_one();
    StatusCode::NO_CONTENT.into_response()
}

async fn sync_now(State(api): State<Api>, headers: HeaderMap, body: String) -> Response {
    if !has_token(&api, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let seconds = body.trim().parse::<u64>().unwrap_or(60).clamp(1, 3_600);
    // A session of its own, beside the kept link: it verifies from scratch and counts from now on.
    let (report, result) = sync_once(&api.desk, &api.endpoint, None, Duration::from_secs(seconds), |_| ()).await;
    axum::Json(SyncAnswer { report, failure: result.err() }).into_response()
}

async fn health(State(api): State<Api>) -> Response {
    match api.desk.call(|r| r.store.last_commit()).await {
        Some(Ok(_)) => "ok\n".into_response(),
        Some(Err(e)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{e}\n")).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
    }
}

async fn report(api: &Api) -> Option<(StatusReport, serde_json::Value)> {
    let connected = api.desk.connected();
    let write = api.status.clone();
    let answer = api.desk.call(move |r| {
        let report = r.status()?;
        let value = write(&report, &connected, r);
        Ok::<_, sampan_core::store::StoreError>((report, value))
    });
    match answer.await {
        Some(Ok(pair)) => Some(pair),
        Some(Err(e)) => {
            tracing::error!(error = %e, "the status could not be read");
            None
        }
        None => None,
    }
}

async fn status_of(State(api): State<Api>) -> Response {
    match report(&api).await {
        Some((_, value)) => axum::Json(value).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn metrics(State(api): State<Api>) -> Response {
    let Some((r, _)) = report(&api).await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let verified = r.verified_at.map_or(0.0, |t| t.0 as f64 / 1_000.0);
    let held_back = api.desk.call(|r| r.held_back()).await.and_then(Result::ok).map_or(0, |h| h.len());
    let link = api.link.borrow().clone();
    let linked = link.ways.iter().filter(|w| w.connected.is_some()).count();
    let in_step = r.ways.iter().filter(|w| w.verified_at.is_some()).count();
    let gauges: [(&str, &str, f64); 14] = [
        ("sampan_records", "Records that are not removed.", r.records as f64),
        ("sampan_unsent_changes", "Local changes not acknowledged by the nearest relay.", r.unsent_changes as f64),
        ("sampan_entries_pending", "Entries that wait for something.", r.pending as f64),
        ("sampan_entries_blocked", "Entries that do not stand.", r.blocked as f64),
        ("sampan_commits_quarantined", "Commits set aside.", r.quarantined as f64),
        ("sampan_commits_stored", "Position of the newest commit.", r.stored_to.0 as f64),
        ("sampan_commits_projected", "Position of the newest commit in the lists.", r.projected_to.0 as f64),
        ("sampan_links_open", "Sessions open now.", api.desk.connected().len() as f64),
        ("sampan_devices_held_back", "Devices below that were ever over their quota.", held_back as f64),
        ("sampan_verified_seconds", "When this replica last verified on every way up, seconds since 1970.", verified),
        ("sampan_ways", "Ways up: relays that are the nearest above one of its units.", r.ways.len() as f64),
        ("sampan_ways_verified", "Ways up that ever verified.", in_step as f64),
        ("sampan_ways_linked", "Ways up whose kept link is open.", linked as f64),
        ("sampan_twins_found_total", "Times that a copy of this disk was found to have written.", r.twins_found as f64),
    ];
    let mut out = String::new();
    for (name, help, value) in gauges {
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], out).into_response()
}

async fn page_of(State(api): State<Api>, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT_LANGUAGE).and_then(|h| h.to_str().ok()).unwrap_or("vi");
    let lang = if accepts.starts_with("en") { crate::i18n::Lang::En } else { crate::i18n::Lang::Vi };
    match report(&api).await {
        Some((r, value)) => {
            let link = api.link.borrow().clone();
            let html = page::page(lang, &r, &value, &link);
            let policy = "default-src 'none'; style-src 'unsafe-inline'";
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)], html)
                .into_response()
        }
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
