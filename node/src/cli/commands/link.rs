//! `sync` and `run`, and the first dialling of `join`.
//!
//! It does not: know how a session works (`crate::link`) or how a relay serves its children.
//!
//! Invariants: `sync` exits 0 only when both ends said that they hold the same; with a daemon running
//! it asks the daemon, because one process at a time keeps a folder's link.

use super::common::OrCli;
use crate::cli::args::{RunArgs, SyncArgs};
use crate::cli::codes::Code;
use crate::cli::progress::{Counts, Progress};
use crate::cli::{App, CliError, ExitCode, codes};
use crate::config::{ConfigFile, Settings};
use crate::daemon::{Daemon, StatusWriter, until_stopped};
use crate::desk::{Desk, SessionState};
use crate::dir::{Dir, RunLock, Running};
use crate::i18n::{Lang, format_bytes, format_int};
use crate::link::{SyncFailure, SyncReport, is_top, sync_once};
use crate::net::{Endpoint, Options};
use crate::replica::{Replica, ReplicaError};
use sampan_core::engine::TicketFate;
use sampan_core::id::UnitId;
use std::time::Duration;

/// A runtime for one command.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime(lang: Lang) -> Result<tokio::runtime::Runtime, CliError> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|e| failed(lang, &e.to_string()))
}

/// A failure of the machine, in its own words.
#[must_use]
pub fn failed(lang: Lang, reason: &str) -> CliError {
    CliError::new(lang, &codes::IO, &[("dir", "–"), ("reason", reason)])
}

/// Runs `sync`.
///
/// # Errors
/// Refused: exit 3; not reachable or not yet in sync: exit 4, after the report was printed.
pub fn sync(args: &SyncArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let lang = app.lang;
    let dir = Dir::open(&args.dir).or_cli(app)?;
    let within = Duration::from_secs(args.timeout.max(1));
    check_address(args.relay.as_deref(), app)?;
    if at_root(&dir).or_cli(app)? {
        app.say("sync.root", &[]);
        print_report(&SyncReport { verified: true, ..SyncReport::default() }, app)?;
        return Ok(ExitCode::Done);
    }
    let mut spent = Vec::new();
    let (report, result) = match dir.running().or_cli(app)? {
        Running::Daemon(info) => {
            app.say("sync.daemon", &[]);
            let body = args.timeout.max(1).to_string();
            let answer = crate::control::post(&info, "/sync", &body, within + Duration::from_secs(5))
                .map_err(|e| failed(lang, &format!("the daemon does not answer: {e}")))?;
            let answer: crate::api::SyncAnswer =
                serde_json::from_str(&answer).map_err(|e| failed(lang, &e.to_string()))?;
            (answer.report, answer.failure.map_or(Ok(()), Err))
        }
        Running::Nobody | Running::OneShot => {
            let replica = Replica::open(&args.dir, &Settings::default()).or_cli(app)?;
            let lock = dir.lock().or_cli(app)?;
            let (mut replica, outcome) = alone(replica, lock, args.relay.clone(), within, lang)?;
            replica.iter().for_each(crate::recovery::refreshed);
            let told = match &outcome.1 {
                Ok(()) => true,
                // Of which this very failure tells.
                Err(SyncFailure::Refused(word, _)) => word == "ticket_used" || word == "ticket_expired",
                Err(SyncFailure::NoRelay | SyncFailure::Unreachable(_) | SyncFailure::NotVerified(_)) => false,
            };
            if let Some(replica) = replica.as_mut().filter(|_| told) {
                spent = replica.forget_spent_tickets().or_cli(app)?;
            }
            outcome
        }
    };
    print_report(&report, app)?;
    match result {
        // All is in sync, and yet one of the tickets that were used here has opened nothing.
        Ok(()) if !spent.is_empty() => Err(spent_error(app, &spent)),
        Ok(()) => Ok(ExitCode::Done),
        Err(failure) => Err(ended_of(&args.dir, &failure, app).unwrap_or_else(|| error_of(&failure, lang))),
    }
}

fn spent_error(app: &App, spent: &[(UnitId, TicketFate)]) -> CliError {
    let used = spent.iter().any(|(_, fate)| *fate == TicketFate::Used);
    let units: Vec<String> = spent.iter().map(|(unit, _)| unit.to_string()).collect();
    let code = if used { &codes::TICKET_USED } else { &codes::TICKET_EXPIRED };
    app.error(code, &[("when", ""), ("what", ""), ("reason", "")]).at(units.join(" "))
}

/// Where the relay said that this device's rights have ended: what became of what was unsent, and for an end
/// that is for good the error that says so.
fn ended_of(dir: &std::path::Path, failure: &SyncFailure, app: &App) -> Option<CliError> {
    let refused = matches!(failure, SyncFailure::Refused(word, _) if word == "grant_ended");
    let replica = Replica::open(dir, &Settings::default()).ok().filter(|_| refused)?;
    let ended = replica.engine.ended(&replica.store).ok().flatten()?;
    if !app.json {
        super::status::ended_words(app, &ended).iter().for_each(|line| crate::cli::output::to_stderr(line));
    }
    ended.for_good.then(|| CliError::new(app.lang, &codes::DEVICE_CUT, &[("reason", &ended.reason)]))
}

/// Whether there is nothing above this folder. Where a daemon has the keys open, they are not asked for.
fn at_root(dir: &Dir) -> Result<bool, ReplicaError> {
    if !dir.store().exists() {
        return Ok(false);
    }
    if crate::keys::is_locked(&dir.keys()) && matches!(dir.running()?, Running::Daemon(_)) {
        let file = ConfigFile::read(&dir.config())?;
        return Ok(file.replica.is_some_and(|table| table.relays.is_empty()));
    }
    Ok(is_top(&Replica::open(dir.root(), &Settings::default())?))
}

/// `--relay` is `host:port` with a port that can be dialled.
fn check_address(relay: Option<&str>, app: &App) -> Result<(), CliError> {
    let Some(text) = relay else { return Ok(()) };
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, p)| p.parse::<u16>().ok());
    if port.is_some_and(|p| p > 0) {
        return Ok(());
    }
    let reason = app.t("value.address", &[]);
    Err(app.error(&codes::BAD_VALUE, &[("field", "--relay"), ("given", text), ("reason", &reason)]))
}

type Outcome = (SyncReport, Result<(), SyncFailure>);

/// One session of a replica that nobody else has open; the replica comes back.
///
/// # Errors
/// When no socket or thread is to be had.
pub fn alone(
    replica: Replica,
    lock: RunLock,
    relay: Option<String>,
    within: Duration,
    lang: Lang,
) -> Result<(Option<Replica>, Outcome), CliError> {
    let bar = Progress::stderr(lang, "progress.syncing");
    runtime(lang)?.block_on(async move {
        let key = replica.engine.key().clone();
        let options = Options { thin: true, ..Options::default() };
        let endpoint = Endpoint::client(&key, options).map_err(|e| failed(lang, &e.to_string()))?;
        let (desk, thread) = Desk::start(replica);
        let watch = |state: &SessionState| {
            let (a, d) = (state.progress.announced, state.progress);
            let announced = Counts { commits: a.commits, entries: a.entries, bytes: a.bytes };
            bar.update(
                announced,
                Counts {
                    commits: d.commits,
                    entries: d.entries,
                    bytes: state.stats.frame_bytes_received + state.stats.frame_bytes_sent,
                },
            );
        };
        let outcome = sync_once(&desk, &endpoint, relay, within, watch).await;
        endpoint.close(crate::net::code::DONE, "");
        // A moment for the close to leave, so that the relay need not wait for silence.
        let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
        drop(desk);
        let replica = thread.stop().await;
        drop(lock);
        Ok((replica, outcome))
    })
}

/// Prints what a session came to.
///
/// # Errors
/// When stdout cannot be written.
pub fn print_report(report: &SyncReport, app: &mut App) -> Result<(), CliError> {
    let lang = app.lang;
    if app.json {
        return app.out.json(report).map_err(|e| failed(lang, &e.to_string()));
    }
    for way in &report.ways {
        let id = if way.verified { "sync.way" } else { "sync.way_not" };
        app.say(id, &[("unit", &way.name), ("why", &way.error)]);
    }
    if !report.verified {
        return Ok(());
    }
    if report.changes_sent + report.changes_received + report.commits_received == 0 {
        app.say("sync.nothing", &[]);
    }
    let int = |n: u64| format_int(lang, i64::try_from(n).unwrap_or(i64::MAX));
    if report.files_received > 0 {
        app.say("file.received", &[("count", &int(report.files_received))]);
    }
    if report.files_waiting > 0 {
        let size = format_bytes(lang, report.files_waiting_bytes);
        app.say("file.waiting", &[("count", &int(report.files_waiting)), ("size", &size)]);
    }
    let seconds = crate::i18n::format_decimal(lang, (report.seconds * 10.0).round() as i64, 1);
    app.say(
        "sync.summary",
        &[
            ("sent", &int(report.changes_sent)),
            ("sent_bytes", &format_bytes(lang, report.sent_bytes)),
            ("received", &int(report.changes_received)),
            ("received_bytes", &format_bytes(lang, report.received_bytes)),
            ("seconds", &seconds),
        ],
    );
    Ok(())
}

/// The error that a person reads for a session that did not end verified.
#[must_use]
pub fn error_of(failure: &SyncFailure, lang: Lang) -> CliError {
    let next = crate::i18n::t(lang, "link.run_sync", &[]);
    match failure {
        SyncFailure::NoRelay => {
            let tried = crate::i18n::t(lang, "status.none", &[]);
            CliError::new(lang, &codes::UNREACHABLE, &[("tried", &tried), ("next", &next)])
        }
        SyncFailure::Unreachable(tried) => {
            CliError::new(lang, &codes::UNREACHABLE, &[("tried", tried), ("next", &next)])
        }
        SyncFailure::NotVerified(what) => CliError::new(lang, &codes::NOT_IN_SYNC, &[("what", what), ("next", &next)]),
        SyncFailure::Refused(word, text) => {
            let when = format!(" ({text})");
            let values = [("when", when.as_str()), ("needed", text), ("what", text), ("next", next.as_str())];
            CliError::new(lang, code_of(word), &values)
        }
    }
}

/// The code of a relay's refusal.
#[must_use]
pub fn code_of(word: &str) -> &'static Code {
    match word {
        "ticket_used" => &codes::TICKET_USED,
        "ticket_expired" => &codes::TICKET_EXPIRED,
        "grant_ended" => &codes::GRANT_ENDED,
        "version" => &codes::NEWER_NEEDED,
        "busy" | "protocol" => &codes::NOT_IN_SYNC,
        _ => &codes::NO_GRANT,
    }
}

/// Runs the daemon of a branch.
///
/// # Errors
/// When the folder is in use, or a listener cannot be bound.
pub fn run(args: &RunArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let lang = app.lang;
    let flags = Settings { web: args.web, ..Settings::default() };
    let replica = Replica::open(&args.dir, &flags).or_cli(app)?;
    let lock = replica.dir().lock().or_cli(app)?;
    crate::recovery::refreshed(&replica);
    let level = replica.config().log.clone();
    crate::observe::install(&replica.dir().logs(), "sampan", &level).map_err(|e| failed(lang, &e.to_string()))?;
    let web = replica.config().web;
    let status: StatusWriter =
        std::sync::Arc::new(|report, _, _| serde_json::Value::Object(super::status::object(report)));
    runtime(lang)?.block_on(async {
        let key = replica.engine.key().clone();
        let options = Options { thin: true, ..Options::default() };
        let endpoint = Endpoint::client(&key, options).map_err(|e| failed(lang, &e.to_string()))?;
        let daemon = Daemon::start(replica, endpoint, lock, web, true, status)
            .await
            .map_err(|e| failed(lang, &format!("{e:#}")))?;
        app.out.line(&format!("ready {}", daemon.api)).map_err(|e| failed(lang, &e.to_string()))?;
        app.out.flush().map_err(|e| failed(lang, &e.to_string()))?;
        until_stopped().await;
        daemon.stop().await;
        Ok(ExitCode::Done)
    })
}
