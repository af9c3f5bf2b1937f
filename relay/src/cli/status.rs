//! `status` of a relay: a node's status, and how the levels below stand.
//!
//! It does not: ask anyone; it says what the store knows, and who is connected when a daemon says so.

use super::commands::explain;
use crate::admin::children::{self, ChildRow};
use crate::admin::open;
use crate::admin::when::{maybe, rfc3339};
use sampan_core::id::DeviceId;
use sampan_core::store::StoreError;
use sampan_node::cli::args::DirArgs;
use sampan_node::cli::convert::IntoCli;
use sampan_node::cli::{App, CliError, ExitCode};
use sampan_node::i18n::format_int;
use sampan_node::replica::{Replica, StatusReport};
use serde_json::{Value as Json, json};

/// The object of `status --json` and `/status.json`: a node's, with `children`.
///
/// A list of children that cannot be read is left out: the rest is still worth showing.
#[must_use]
pub fn status_json(report: &StatusReport, connected: &[DeviceId], replica: &mut Replica) -> Json {
    let mut value = own_json(report);
    if let Ok(children) = children_of(replica, connected) {
        value["children"] = json!(children);
    }
    value
}

fn children_of(replica: &Replica, connected: &[DeviceId]) -> Result<Vec<ChildRow>, StoreError> {
    children::rows(replica.engine.charter(), &replica.store, &replica.device(), connected)
}

fn own_json(r: &StatusReport) -> Json {
    let delivered: Vec<Json> = r
        .delivered
        .iter()
        .map(|d| json!({ "unit": d.unit.to_string(), "level": d.level, "at": maybe(d.at), "complete": d.complete }))
        .collect();
    json!({
        "organisation": r.organisation,
        "units": r.units.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "device": r.device.to_string(),
        "records": r.records,
        "unsent_changes": r.unsent_changes,
        "pending": r.pending,
        "blocked": r.blocked,
        "quarantined": r.quarantined,
        "delivered": delivered,
        "verified_at": maybe(r.verified_at),
        "news_from_above_at": maybe(r.news_from_above_at),
        "last_error": r.last_error,
        "projected_to": r.projected_to.0,
        "stored_to": r.stored_to.0,
    })
}

/// `status`.
///
/// # Errors
/// When the folder cannot be read.
pub fn status(args: &DirArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = open(app, &args.dir)?;
    let report = replica.status().map_err(|e| explain(app, e.into()))?;
    if app.json {
        let value = status_json(&report, &[], &mut replica);
        app.out.json(&value)?;
        return Ok(ExitCode::Done);
    }
    let children = children_of(&replica, &[]).map_err(|e| e.into_cli(app.lang))?;
    let charter = replica.engine.charter();
    let none = app.t("status.none", &[]);
    let count = |n: u64| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    let units: Vec<String> = report.units.iter().map(|u| charter.path(u)).collect();
    let is_root = report.units.iter().any(|u| charter.root() == Some(*u));
    let mut rows = vec![
        ("org.organisation", report.organisation.clone()),
        ("status.units", units.join(", ")),
        ("status.device", report.device.to_string()),
        ("status.records", count(report.records)),
        ("status.unsent", count(report.unsent_changes)),
        ("status.pending", count(report.pending)),
        ("status.blocked", count(report.blocked)),
        ("status.quarantined", count(report.quarantined)),
    ];
    if !is_root {
        let verified = report.verified_at.map_or_else(|| app.t("status.never_verified", &[]), rfc3339);
        rows.push(("status.verified", verified));
        rows.push(("status.news_from_above", maybe(report.news_from_above_at).unwrap_or_else(|| none.clone())));
    }
    if let Some(error) = &report.last_error {
        rows.push(("status.last_error", error.clone()));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(id, value)| vec![app.t(id, &[]), value]).collect();
    app.out.table(&[], &rows)?;
    let lag = report.stored_to.0.saturating_sub(report.projected_to.0);
    if lag > 0 {
        app.say("children.lag", &[("count", &count(lag))]);
    }
    app.out.line("")?;
    if children.is_empty() {
        app.say("children.none", &[]);
        return Ok(ExitCode::Done);
    }
    let ids = ["children.title", "status.units", "devices.last_seen", "children.unsent", "children.verified"];
    let headings = ids.map(|id| app.t(id, &[]));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = children
        .into_iter()
        .map(|c| {
            let unsent = c.unsent_changes.map_or_else(|| none.clone(), count);
            let seen = c.last_seen.unwrap_or_else(|| none.clone());
            vec![short(&c.device), c.paths.join(", "), seen, unsent, c.verified_at.unwrap_or_else(|| none.clone())]
        })
        .collect();
    app.out.table(&headings, &cells)?;
    Ok(ExitCode::Done)
}

/// Enough of a device's id to find it again.
fn short(device: &str) -> String {
    device.chars().take(12).collect()
}
