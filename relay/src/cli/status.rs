//! `status` of a relay: a node's status, and how the levels below stand.
//!
//! It does not: ask anyone; it says what the store knows, and who is connected when a daemon says so.

use crate::admin::children::{self, ChildRow};
use crate::admin::{in_words, open, waiting};
use sampan_core::id::DeviceId;
use sampan_core::store::StoreError;
use sampan_node::cli::args::DirArgs;
use sampan_node::cli::commands::status::{object, words};
use sampan_node::cli::convert::IntoCli;
use sampan_node::cli::output::printable;
use sampan_node::cli::{App, CliError, ExitCode};
use sampan_node::i18n::{format_int, format_stamp};
use sampan_node::replica::{Replica, StatusReport};
use serde_json::{Value as Json, json};

/// The object of `status --json` and `/status.json`: a node's, with `children`.
///
/// A list of children that cannot be read is left out: the rest is still worth showing.
#[must_use]
pub fn status_json(report: &StatusReport, connected: &[DeviceId], replica: &mut Replica) -> Json {
    let mut value = object(report);
    value.insert("projected_to".to_owned(), json!(report.projected_to.0));
    value.insert("stored_to".to_owned(), json!(report.stored_to.0));
    if let Ok(rows) = waiting::rows(replica) {
        let commits: u64 = rows.iter().map(|r| r.commits).sum();
        value.insert("quarantined_below".to_owned(), json!(commits));
    }
    if let Ok(children) = children_of(replica, connected) {
        value.insert("children".to_owned(), json!(children));
    }
    Json::Object(value)
}

fn children_of(replica: &Replica, connected: &[DeviceId]) -> Result<Vec<ChildRow>, StoreError> {
    children::rows(replica.engine.charter(), &replica.store, &replica.device(), connected)
}

/// `status`.
///
/// # Errors
/// When the folder cannot be read.
pub fn status(args: &DirArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = open(app, &args.dir)?;
    let report = replica.status().map_err(|e| in_words(app, e.into()))?;
    if app.json {
        let value = status_json(&report, &[], &mut replica);
        app.out.json(&value)?;
        return Ok(ExitCode::Done);
    }
    let children = children_of(&replica, &[]).map_err(|e| e.into_cli(app.lang))?;
    for line in words(app, &replica, &report)? {
        app.out.line(&printable(&line))?;
    }
    let below = waiting::rows(&replica).map_err(|e| e.into_cli(app.lang))?;
    if !below.is_empty() {
        let commits: u64 = below.iter().map(|r| r.commits).sum();
        let mut units: Vec<String> = below.into_iter().filter(|r| r.unit.is_some()).map(|r| r.path).collect();
        units.dedup();
        let (commits, units) = (commits.to_string(), units.join(", "));
        app.out.line(&printable(&app.t("status.quarantined_below", &[("count", &commits), ("units", &units)])))?;
    }
    let none = app.t("status.none", &[]);
    let count = |n: u64| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    let lag = report.stored_to.0.saturating_sub(report.projected_to.0);
    if lag > 0 {
        app.say("children.lag", &[("count", &count(lag))]);
    }
    app.out.line("")?;
    if children.is_empty() {
        app.say("children.none", &[]);
        return Ok(ExitCode::Done);
    }
    let held: Vec<(String, String)> =
        children.iter().filter_map(|c| c.held_back_at.clone().map(|at| (short(&c.device), at))).collect();
    let ids = ["children.title", "status.units", "devices.last_seen", "children.unsent", "children.verified"];
    let headings = ids.map(|id| app.t(id, &[]));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = children
        .into_iter()
        .map(|c| {
            let unsent = c.unsent_changes.map_or_else(|| none.clone(), count);
            let at = |stamp: Option<String>| stamp.map_or_else(|| none.clone(), |at| format_stamp(app.lang, &at));
            vec![short(&c.device), c.paths.join(", "), at(c.last_seen), unsent, at(c.verified_at)]
        })
        .collect();
    app.out.table(&headings, &cells)?;
    for (device, at) in held {
        app.say(
            "children.held_back",
            &[("device", &device), ("at", &format_stamp(app.lang, &at)), ("program", app.program)],
        );
    }
    Ok(ExitCode::Done)
}

/// Enough of a device's id to find it again.
fn short(device: &str) -> String {
    device.chars().take(12).collect()
}
