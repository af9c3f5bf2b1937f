//! `quarantine DIR list|show|release|reject`.
//!
//! It does not: decide anything (see `admin::quarantine`).
//!
//! Invariants: rows on stdout, words on stderr.

use super::args::{QuarantineArgs, QuarantineCommand, VerdictArgs};
use crate::admin::quarantine::{self, Verdict};
use crate::admin::{open, waiting};
use sampan_core::id::CommitId;
use sampan_node::cli::convert::IntoCli;
use sampan_node::cli::{App, CliError, ExitCode};
use sampan_node::i18n::format_stamp;
use serde_json::json;

/// Runs the command.
///
/// # Errors
/// What it refuses; nothing was written then.
pub fn quarantine(args: &QuarantineArgs, app: &mut App) -> Result<ExitCode, CliError> {
    match &args.command {
        QuarantineCommand::List { all: _, below: true } => below(args, app),
        QuarantineCommand::List { all, below: false } => list(args, *all, app),
        QuarantineCommand::Show { commit } => show(args, commit, app),
        QuarantineCommand::Release(v) => say(args, v, Verdict::Release, app),
        QuarantineCommand::Reject(v) => say(args, v, Verdict::Reject, app),
    }
}

fn list(args: &QuarantineArgs, all: bool, app: &mut App) -> Result<ExitCode, CliError> {
    let replica = open(app, &args.dir)?;
    let rows = quarantine::rows(&replica, all).map_err(|e| e.into_cli(app.lang))?;
    if app.json {
        for row in &rows {
            app.out.json(row)?;
        }
        return Ok(ExitCode::Done);
    }
    let ids = ["commit", "holder", "unit", "at", "entries", "blocks", "reason", "state"];
    let headings = ids.map(|id| app.t(&format!("quarantine.{id}"), &[]));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|r| {
            let holder = r.holder.unwrap_or(r.device);
            let anew = r.blocks.iter().filter(|b| b.anew).count();
            let (entries, mut blocks) = (r.entries.to_string(), r.blocks.len().to_string());
            if anew > 0 {
                let said = app.t("quarantine.anew", &[("count", &anew.to_string())]);
                blocks = format!("{blocks} ({said})");
            }
            vec![r.commit, holder, r.path, format_stamp(app.lang, &r.at), entries, blocks, r.reason, r.state.to_owned()]
        })
        .collect();
    app.out.table(&headings, &cells)?;
    Ok(ExitCode::Done)
}

fn below(args: &QuarantineArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let replica = open(app, &args.dir)?;
    let rows = waiting::rows(&replica).map_err(|e| e.into_cli(app.lang))?;
    if app.json {
        for row in &rows {
            app.out.json(row)?;
        }
        return Ok(ExitCode::Done);
    }
    let ids = ["quarantine.unit", "quarantine.count", "quarantine.since", "quarantine.holder", "quarantine.said"];
    let headings = ids.map(|id| app.t(id, &[]));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let cell = |r: waiting::WaitingRow| {
        let unit = if r.unit.is_some() { r.path } else { "…".to_owned() };
        let oldest = r.oldest_at.map(|at| format_stamp(app.lang, &at)).unwrap_or_default();
        let said = format_stamp(app.lang, &r.said_at);
        vec![unit, r.commits.to_string(), oldest, r.holder.unwrap_or(r.device), said]
    };
    let cells: Vec<Vec<String>> = rows.into_iter().map(cell).collect();
    app.out.table(&headings, &cells)?;
    Ok(ExitCode::Done)
}

fn show(args: &QuarantineArgs, commit: &str, app: &mut App) -> Result<ExitCode, CliError> {
    let replica = open(app, &args.dir)?;
    let (row, changes) = quarantine::show(app, &replica, commit)?;
    if app.json {
        let mut out = serde_json::to_value(&row).unwrap_or_default();
        out["changes"] = json!(changes);
        app.out.json(&out)?;
        return Ok(ExitCode::Done);
    }
    let rows = [
        ("quarantine.commit", row.commit),
        ("org.device", row.device),
        ("quarantine.holder", row.holder.unwrap_or_default()),
        ("quarantine.unit", row.path),
        ("quarantine.at", format_stamp(app.lang, &row.at)),
        ("quarantine.since", format_stamp(app.lang, &row.since)),
        ("quarantine.reason", row.reason),
        ("quarantine.needs", row.needs.join(" ")),
        ("quarantine.state", row.state.to_owned()),
    ];
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|(id, value)| vec![app.t(id, &[]), value]).collect();
    for c in changes {
        let fields = c.fields.map(|f| serde_json::Value::Object(f).to_string()).unwrap_or_default();
        rows.push(vec![format!("{} {}", c.collection, c.record), fields]);
    }
    for b in row.blocks {
        let said = if b.anew { app.t("quarantine.anew", &[("count", "1")]) } else { String::new() };
        rows.push(vec![app.t("quarantine.blocks", &[]), format!("{} ({}) {said}", b.record, b.author)]);
    }
    app.out.table(&[], &rows)?;
    Ok(ExitCode::Done)
}

fn say(args: &QuarantineArgs, v: &VerdictArgs, verdict: Verdict, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = open(app, &args.dir)?;
    let done = quarantine::say(app, &mut replica, &v.commits, &v.reason, verdict)?;
    let ids: Vec<String> = done.iter().map(CommitId::to_string).collect();
    let (field, said) = match verdict {
        Verdict::Release => ("released", "quarantine.released"),
        Verdict::Reject => ("rejected", "quarantine.rejected"),
    };
    if app.json {
        app.out.json(&json!({ field: ids }))?;
    } else {
        for id in &ids {
            app.out.line(id)?;
        }
    }
    app.say(said, &[("count", &ids.len().to_string())]);
    Ok(ExitCode::Done)
}
