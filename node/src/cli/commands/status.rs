//! `status`: what is saved, what arrived where, what is unsent, and why not if not.
//!
//! It does not: ask anyone; a relay adds its children to [`object`].
//!
//! Invariants: the keys of the object are those of the contract; nothing is called delivered that no
//! signed statement covers.

use super::common::{self, OrCli};
use crate::cli::App;
use crate::cli::args::DirArgs;
use crate::cli::exit::{CliError, ExitCode};
use crate::dir::Running;
use crate::i18n::{format_int, format_stored_date, format_time};
use crate::replica::{BeaconRow, Replica, StatusReport, WayRow};
use crate::stamp::rfc3339;
use sampan_core::engine::{Ended, Fate};
use serde_json::{Map, Value as Json, json};

/// The object that programs read.
#[must_use]
pub fn object(report: &StatusReport) -> Map<String, Json> {
    let delivered = report.delivered.iter().map(|d| {
        json!({
            "unit": d.unit.to_string(),
            "level": d.level,
            "at": d.at.map(rfc3339),
            "complete": d.complete,
        })
    });
    let units = report.units.iter().map(ToString::to_string);
    let built = |fate: Fate| report.built_on_cut.get(&fate).copied().unwrap_or(0);
    let built_on_cut = json!({
        "anew": built(Fate::Anew), "waits": built(Fate::Waits), "no_record": built(Fate::NoRecord),
    });
    let pairs = [
        ("units", units.collect::<Json>()),
        ("device", json!(report.device.to_string())),
        ("records", json!(report.records)),
        ("unsent_changes", json!(report.unsent_changes)),
        ("pending", json!(report.pending)),
        ("blocked", json!(report.blocked)),
        ("quarantined", json!(report.quarantined)),
        ("bundles_waiting", json!(report.bundles_waiting.len())),
        ("files_waiting", json!(report.files_waiting.count)),
        ("files_waiting_bytes", json!(report.files_waiting.bytes)),
        ("built_on_cut", built_on_cut),
        ("delivered", delivered.collect()),
        ("ways", report.ways.iter().map(way).collect()),
        ("verified_at", json!(report.verified_at.map(rfc3339))),
        ("news_from_above_at", json!(report.news_from_above_at.map(rfc3339))),
        ("beacon", report.beacon.as_ref().map_or(Json::Null, beacon)),
        (
            "withdrawn",
            report.withdrawn.iter().map(|(u, why)| json!({ "unit": u.to_string(), "reason": why })).collect(),
        ),
        ("ended", report.ended.as_ref().map_or(Json::Null, ended)),
        (
            "schema_newer",
            report.schema_newer.map_or(Json::Null, |(published, read)| json!({ "published": published, "read": read })),
        ),
        ("last_error", json!(report.last_error)),
    ];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

fn way(w: &WayRow) -> Json {
    json!({
        "unit": w.unit.to_string(),
        "units": w.units.iter().map(ToString::to_string).collect::<Json>(),
        "verified_at": w.verified_at.map(rfc3339),
    })
}

fn beacon(b: &BeaconRow) -> Json {
    json!({
        "unit": b.unit.to_string(),
        "number": b.number,
        "date": date(b),
        "age_days": b.age_days,
        "rolled_back": !b.rolled_back.is_empty(),
    })
}

fn ended(e: &Ended) -> Json {
    json!({
        "reason": e.reason,
        "at": rfc3339(e.at),
        "for_good": e.for_good,
        "handed_in": e.handed_in,
        "left": e.left,
    })
}

/// The end of this device's rights in words, and what became of what it had not sent.
pub fn ended_words(app: &App, e: &Ended) -> Vec<String> {
    let count = |n: u64| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    let id = if e.for_good { "ended.for_good" } else { "ended.told" };
    let mut out = vec![app.t(id, &[("reason", &e.reason), ("at", &format_time(app.lang, e.at))])];
    if e.handed_in > 0 {
        out.push(app.t("ended.handed_in", &[("count", &count(e.handed_in))]));
    }
    if e.left > 0 {
        out.push(app.t("ended.left", &[("count", &count(e.left))]));
    }
    out
}

/// That the organisation's schema is of a form that this program does not read, and what it goes by instead.
#[must_use]
pub fn schema_words(app: &App, (published, read): (u32, Option<u32>)) -> String {
    let (version, read) = (published.to_string(), read.map(|v| v.to_string()));
    match &read {
        Some(read) => app.t("schema.newer_kept", &[("version", &version), ("read", read)]),
        None => app.t("error.schema_newer", &[("version", &version)]),
    }
}

fn date(b: &BeaconRow) -> String {
    rfc3339(b.at).chars().take_while(|c| *c != 'T').collect()
}

/// Runs `status`.
pub(super) fn status(args: &DirArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let report = replica.status().or_cli(app)?;
    if app.json {
        app.out.json(&object(&report))?;
    } else {
        for line in words(app, &replica, &report)? {
            app.out.line(&crate::cli::output::printable(&line))?;
        }
    }
    Ok(ExitCode::Done)
}

/// The same for a person, a line each.
///
/// # Errors
/// When the folder's lock cannot be looked at.
pub fn words(app: &App, replica: &Replica, report: &StatusReport) -> Result<Vec<String>, CliError> {
    let count = |n: u64| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    let root = report.top;
    let labelled = |id: &str, text: &str| format!("{}: {text}", app.t(id, &[]));
    let mut out = Vec::new();
    if !report.organisation.is_empty() {
        out.push(labelled("status.organisation", &report.organisation));
    }
    let units: Vec<String> = report.units.iter().map(|u| common::unit_name(replica, u)).collect();
    out.push(labelled("status.units", &units.join(", ")));
    out.push(app.t("status.records_count", &[("count", &count(report.records))]));
    if root {
        out.push(app.t("status.root", &[]));
    } else if report.unsent_changes > 0 {
        out.push(app.t("status.unsent_count", &[("count", &count(report.unsent_changes))]));
    } else if report.verified_at.is_some() {
        out.push(app.t("status.unsent_none", &[]));
    }
    for d in &report.delivered {
        let level = common::level_name(app, replica, &d.unit);
        out.push(match (d.at, d.complete) {
            (Some(at), true) => {
                app.t("tick.level_since", &[("level", &level), ("at", &format_time(app.lang, at))]) + " ✓"
            }
            (Some(_), false) => app.t("tick.partly", &[("level", &level)]),
            (None, _) => app.t("tick.not_yet", &[("level", &level)]),
        });
    }
    if report.ways.len() > 1 {
        for way in &report.ways {
            let unit = common::unit_name(replica, &way.unit);
            out.push(match way.verified_at {
                Some(at) => app.t("status.way", &[("unit", &unit), ("at", &format_time(app.lang, at))]),
                None => app.t("status.way_never", &[("unit", &unit)]),
            });
        }
    }
    if !root {
        out.push(match (report.verified_at, report.unsent_changes) {
            (None, _) if replica.engine.is_blank() => app.t("status.not_admitted", &[("program", app.program)]),
            (None, _) => app.t("status.never_verified", &[]),
            (Some(at), 0) => app.t("status.verified_at", &[("at", &format_time(app.lang, at))]),
            (Some(at), n) => {
                app.t("status.verified_since", &[("at", &format_time(app.lang, at)), ("count", &count(n))])
            }
        });
        if let Some(at) = report.news_from_above_at {
            out.push(app.t("status.news_at", &[("at", &format_time(app.lang, at))]));
        }
        if let Some(b) = &report.beacon {
            let (unit, days) = (common::unit_name(replica, &b.unit), count(b.age_days));
            out.push(app.t(
                "status.beacon",
                &[("unit", &unit), ("date", &format_stored_date(app.lang, &date(b))), ("days", &days)],
            ));
            for unit in &b.rolled_back {
                out.push(app.t("status.rolled_back", &[("unit", &common::unit_name(replica, unit))]));
            }
        }
    }
    for (id, n) in [
        ("status.pending_count", report.pending),
        ("status.blocked_count", report.blocked),
        ("status.quarantined_count", report.quarantined),
    ] {
        if n > 0 {
            out.push(app.t(id, &[("count", &count(n))]));
        }
    }
    if !report.bundles_waiting.is_empty() {
        let (n, senders) =
            (report.bundles_waiting.len() as u64, super::bundle::senders(replica, &report.bundles_waiting));
        out.push(app.t("status.bundles_waiting", &[("count", &count(n)), ("senders", &senders)]));
    }
    if report.files_waiting.count > 0 {
        let size = crate::i18n::format_bytes(app.lang, report.files_waiting.bytes);
        out.push(app.t("file.waiting", &[("count", &count(report.files_waiting.count)), ("size", &size)]));
    }
    for (fate, n) in &report.built_on_cut {
        let id = match fate {
            Fate::Anew => "status.cut_anew",
            Fate::Waits => "status.cut_waits",
            Fate::NoRecord => "status.cut_no_record",
        };
        out.push(app.t(id, &[("count", &count(*n))]));
    }
    for (unit, reason) in &report.withdrawn {
        out.push(app.t("status.withdrawn", &[("unit", &common::unit_name(replica, unit)), ("reason", reason)]));
    }
    if let Some(ended) = &report.ended {
        out.extend(ended_words(app, ended));
    }
    out.extend(report.schema_newer.map(|newer| schema_words(app, newer)));
    if let Some(why) = &report.last_error {
        out.push(app.t("status.why_not", &[("why", why)]));
    }
    let behind = report.stored_to.0.saturating_sub(report.projected_to.0);
    if behind > 0 {
        out.push(app.t("status.behind", &[("count", &count(behind))]));
    }
    if report.twins_found > 0 {
        out.push(app.t("status.twins", &[("count", &count(report.twins_found))]));
    }
    let now = replica.now();
    if now.is_unset() {
        out.push(app.t("status.clock_hint", &[("at", &format_time(app.lang, now))]));
    }
    if let Running::Daemon(info) = replica.dir().running().or_cli(app)? {
        out.push(app.t("status.daemon", &[("pid", &info.pid.to_string())]));
    }
    Ok(out)
}
