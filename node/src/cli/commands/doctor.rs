//! `doctor`: looks for what may be wrong, and says what to do about each finding.
//!
//! It does not: change anything, or call anyone.
//!
//! Invariants: a check that fails never keeps the others from being made; exit 0 only when nothing
//! is bad (a note is not bad).

use super::common::OrCli;
use crate::cli::App;
use crate::cli::args::DirArgs;
use crate::cli::convert::IntoCli;
use crate::cli::exit::{CliError, ExitCode};
use crate::config::{ConfigFile, Settings};
use crate::dir::{Dir, Running};
use crate::i18n::format_time;
use crate::keys::{self, KeyKind};
use crate::replica::{Replica, disk_free, room_is_low};
use sampan_core::engine::meta;
use sampan_core::store::{Store, StoreError};
use sampan_core::time::Millis;
use serde_json::json;
use std::fs;

/// Work that waits longer than this is told: a week, the time between two visits to town.
const UNSENT_AGE_MS: u64 = 7 * 24 * 3_600 * 1_000;
/// A clock this far from the level above is told: dates of a day's work would be wrong.
const CLOCK_OFF_MS: u64 = 10 * 60 * 1_000;

/// News from above older than this is told: two weeks, in which a right may have been given or taken.
const NEWS_AGE_MS: u64 = 14 * 24 * 3_600 * 1_000;
/// A device below that was over its quota is told of for a day.
const FLOOD_TOLD_MS: u64 = 24 * 3_600 * 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Note,
    Bad,
}

struct Finding {
    check: &'static str,
    state: State,
    text: String,
}

/// Runs `doctor`.
pub(super) fn doctor(args: &DirArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let dir = Dir::open(&args.dir).or_cli(app)?;
    let mut found = vec![
        judged(app, "folder", "doctor.folder", probe(&dir).map_err(|e| e.into_cli(app.lang))),
        judged(app, "config", "doctor.config", ConfigFile::read(&dir.config()).or_cli(app)),
    ];
    found.extend(key_findings(app, &dir));
    found.extend(disk(app, &dir));
    if beside_store(&dir, "-damaged").exists() {
        found.push(finding("damaged_copy", State::Note, app.t("doctor.damaged_copy", &[("program", app.program)])));
    }
    // Without its config or keys it cannot be opened, which has been said; and a passphrase that was wrong
    // is not tried a second time.
    let closed =
        |f: &Finding| f.check == "locked" || (f.state == State::Bad && f.check != "disk" && f.check != "folder");
    if !found.iter().any(closed) {
        found.extend(database(app, &dir)?);
    }
    found.push(match dir.running().or_cli(app)? {
        Running::Daemon(_) | Running::OneShot => good(app, "daemon", "doctor.daemon"),
        Running::Nobody => finding("daemon", State::Note, app.t("doctor.no_daemon", &[])),
    });
    report(app, &found)
}

/// What the database tells. One that is gone is not begun anew here.
fn database(app: &App, dir: &Dir) -> Result<Vec<Finding>, CliError> {
    let opened = super::common::database_is_there(app, dir.root())
        .and_then(|()| Replica::open(dir.root(), &Settings::default()).or_cli(app));
    let mut replica = match opened {
        Ok(replica) => replica,
        Err(e) => return Ok(vec![judged(app, "database", "doctor.database", Err::<(), _>(e))]),
    };
    let mut found = vec![judged(app, "database", "doctor.database", Ok(()))];
    // A program that cannot encrypt does not tell people to.
    if replica.store.is_encrypted() {
        found.push(good(app, "encryption", "doctor.encrypted"));
    } else if crate::keys::database::BUILT_IN {
        let text = app.t("doctor.not_encrypted", &[("program", app.program)]);
        found.push(finding("encryption", State::Note, text));
    }
    found.extend(look(app, &mut replica).or_cli(app)?);
    found.push(soundness(app, &replica));
    Ok(found)
}

fn report(app: &mut App, found: &[Finding]) -> Result<ExitCode, CliError> {
    let bad = found.iter().any(|f| f.state == State::Bad);
    let word = |state| match state {
        State::Ok => "ok",
        State::Note => "note",
        State::Bad => "bad",
    };
    if app.json {
        let findings = found.iter().map(|f| json!({ "check": f.check, "state": word(f.state), "message": f.text }));
        let findings: Vec<_> = findings.collect();
        app.out.json(&json!({ "ok": !bad, "findings": findings }))?;
    } else {
        let state = |s| match s {
            State::Ok => app.t("doctor.ok", &[]),
            State::Note => app.t("doctor.warning", &[]),
            State::Bad => app.t("doctor.bad", &[]),
        };
        let rows: Vec<Vec<String>> = found.iter().map(|f| vec![state(f.state), f.text.clone()]).collect();
        app.out.table(&[], &rows)?;
        if !bad {
            app.say("doctor.all_good", &[]);
        }
    }
    Ok(if bad { ExitCode::Failed } else { ExitCode::Done })
}

fn finding(check: &'static str, state: State, text: String) -> Finding {
    Finding { check, state, text }
}

fn good(app: &App, check: &'static str, id: &str) -> Finding {
    finding(check, State::Ok, app.t(id, &[]))
}

/// A check that went well, or the sentence and the hint of its error.
fn judged<T>(app: &App, check: &'static str, id: &str, result: Result<T, CliError>) -> Finding {
    match result {
        Ok(_) => good(app, check, id),
        Err(e) => finding(check, State::Bad, app.t("doctor.finding", &[("why", &e.message), ("hint", &e.hint)])),
    }
}

/// Writes and removes one small file where logs go.
fn probe(dir: &Dir) -> Result<(), crate::dir::DirError> {
    let path = dir.logs().join(".doctor");
    let failed = |e| crate::dir::DirError::from_io(&path, e);
    fs::create_dir_all(dir.logs()).map_err(failed)?;
    fs::write(&path, b"sampan").map_err(failed)?;
    fs::remove_file(&path).map_err(failed)
}

fn load_keys(dir: &Dir) -> Result<(), crate::keys::KeyError> {
    keys::load(&dir.keys(), KeyKind::Device)?;
    keys::load(&dir.keys(), KeyKind::Box)?;
    // The root key lies in the folder of the first relay alone, the database's where it is encrypted.
    for kind in [KeyKind::Root, KeyKind::Database] {
        if keys::exists(&dir.keys(), kind) {
            keys::load(&dir.keys(), kind)?;
        }
    }
    Ok(())
}

/// How the keys lie: readable, under a passphrase, half-way between.
fn key_findings(app: &App, dir: &Dir) -> Vec<Finding> {
    let keys = dir.keys();
    let mut out = Vec::new();
    match load_keys(dir) {
        // Nothing is wrong; the rest of the folder cannot be looked at without the words.
        Err(crate::keys::KeyError::Locked { .. }) => {
            out.push(finding("locked", State::Note, app.t("doctor.locked", &[("program", app.program)])));
        }
        other => out.push(judged(app, "keys", "doctor.keys", other.or_cli(app))),
    }
    if !keys::is_locked(&keys) {
        out.push(finding("passphrase", State::Note, app.t("doctor.no_passphrase", &[("program", app.program)])));
    } else if keys::half_locked(&keys).unwrap_or(false) {
        out.push(finding("passphrase", State::Bad, app.t("doctor.half_locked", &[("program", app.program)])));
    }
    out
}

/// The room on the disk of the folder; nothing where the system does not say.
fn disk(app: &App, dir: &Dir) -> Option<Finding> {
    let free = disk_free(dir.root())?;
    let database = fs::metadata(dir.store()).map_or(0, |m| m.len());
    let shown = crate::i18n::format_bytes(app.lang, free);
    Some(if room_is_low(free, database) {
        finding("disk", State::Bad, app.t("doctor.disk_low", &[("free", &shown)]))
    } else {
        finding("disk", State::Ok, app.t("doctor.disk", &[("free", &shown)]))
    })
}

fn beside_store(dir: &Dir, ending: &str) -> std::path::PathBuf {
    let mut name = dir.store().into_os_string();
    name.push(ending);
    name.into()
}

/// A quick look at the database file and at records marked as damaged; `verify` looks at everything.
fn soundness(app: &App, replica: &Replica) -> Finding {
    match replica.store.quick_check() {
        Ok(found) if found.is_empty() => good(app, "damage", "doctor.sound"),
        Ok(found) => {
            let (count, what) = (found.len().to_string(), found.join("; "));
            let values = [("count", count.as_str()), ("what", &what), ("program", app.program)];
            finding("damage", State::Bad, app.t("doctor.unsound", &values))
        }
        Err(e) => judged(app, "damage", "doctor.sound", Err::<(), _>(e).or_cli(app)),
    }
}

/// What an open replica tells.
fn look(app: &App, replica: &mut Replica) -> Result<Vec<Finding>, StoreError> {
    let report = replica.status()?;
    let root = report.top;
    let mut out = Vec::new();
    out.push(if replica.engine.is_blank() {
        finding("charter", State::Note, app.t("doctor.no_charter", &[("program", app.program)]))
    } else {
        good(app, "charter", "doctor.charter")
    });
    if let Some(newer) = report.schema_newer {
        out.push(finding("schema_newer", State::Bad, super::status::schema_words(app, newer)));
    }
    out.push(clock(app, replica)?);
    let oldest = if root { None } else { oldest_unsent(replica, report.verified_at, report.unsent_changes)? };
    let now = replica.label()?;
    out.push(match oldest.filter(|at| now.0.saturating_sub(at.0) > UNSENT_AGE_MS) {
        Some(at) => finding("unsent", State::Bad, app.t("doctor.unsent_old", &[("at", &format_time(app.lang, at))])),
        None => good(app, "unsent", "doctor.sent"),
    });
    out.push(match &report.last_error {
        Some(why) => finding("link", State::Bad, app.t("doctor.link_bad", &[("why", why), ("program", app.program)])),
        None => good(app, "link", "doctor.link"),
    });
    for way in report.ways.iter().filter(|w| report.ways.len() > 1 && w.verified_at.is_none()) {
        let unit = super::common::unit_name(replica, &way.unit);
        out.push(finding("way", State::Note, app.t("doctor.way_never", &[("unit", &unit), ("program", app.program)])));
    }
    if report.twins_found > 0 {
        out.push(finding("copy", State::Note, app.t("doctor.clone", &[])));
    }
    if let Some(at) = replica.copy_noticed_at()? {
        out.push(finding("restored", State::Note, app.t("doctor.restored", &[("at", &format_time(app.lang, at))])));
    }
    if report.quarantined > 0 {
        let count = crate::i18n::format_int(app.lang, i64::try_from(report.quarantined).unwrap_or(i64::MAX));
        out.push(finding("quarantine", State::Note, app.t("doctor.quarantine", &[("count", &count)])));
    }
    if !report.bundles_waiting.is_empty() {
        let senders = super::bundle::senders(replica, &report.bundles_waiting);
        let count = crate::i18n::format_int(app.lang, i64::try_from(report.bundles_waiting.len()).unwrap_or(i64::MAX));
        let values = [("count", count.as_str()), ("senders", senders.as_str()), ("program", app.program)];
        out.push(finding("bundles", State::Note, app.t("doctor.bundles_waiting", &values)));
    }
    for words in super::bundle::gone_words(app, replica, &crate::bundle::erased::gone(&replica.store)?) {
        out.push(finding("bundles", State::Note, words));
    }
    let held = replica.held_back()?.into_iter().filter(|(_, at)| now.0.saturating_sub(at.0) < FLOOD_TOLD_MS).count();
    if held > 0 {
        let values = [("count", held.to_string()), ("program", app.program.to_owned())];
        let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
        out.push(finding("quota", State::Note, app.t("doctor.held_back", &values)));
    }
    let old = report.news_from_above_at.filter(|at| now.0.saturating_sub(at.0) > NEWS_AGE_MS);
    if let Some(at) = old.filter(|_| !root) {
        let at = format_time(app.lang, at);
        out.push(finding("news", State::Note, app.t("doctor.news_old", &[("at", &at), ("program", app.program)])));
    }
    Ok(out)
}

fn clock(app: &App, replica: &Replica) -> Result<Finding, StoreError> {
    let now = replica.now();
    if now.is_unset() {
        let text = app.t("doctor.clock_unset", &[("at", &format_time(app.lang, now))]);
        return Ok(finding("clock", State::Bad, text));
    }
    let offset = replica.store.meta(meta::CLOCK_OFFSET)?.and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes);
    if offset.unsigned_abs() > CLOCK_OFF_MS {
        let minutes = format!("{} min", offset / 60_000);
        return Ok(finding("clock", State::Bad, app.t("doctor.clock_bad", &[("offset", &minutes)])));
    }
    Ok(good(app, "clock", "doctor.clock"))
}

/// Since when work has been waiting, as far as it can be told: the oldest edit that is not sealed, or
/// the last time that everything had been sent.
fn oldest_unsent(replica: &Replica, verified: Option<Millis>, unsent: u64) -> Result<Option<Millis>, StoreError> {
    if unsent == 0 {
        return Ok(None);
    }
    let pending = replica.store.pending_sums()?.iter().map(|p| p.oldest).min();
    Ok(pending.into_iter().chain(verified).min())
}
