//! `targets`: what was set, handed down and reached, with percent and coverage.
//!
//! It does not: compute (the replica does).
//!
//! Invariants: with `--json` one object a line, of one shape; a percent names what it is of, and one above a hundred
//! is flagged.

use super::common::{self, OrCli};
use super::rollup::refused;
use crate::cli::App;
use crate::cli::args::TargetsArgs;
use crate::cli::exit::{CliError, ExitCode};
use crate::replica::targets::plain;
use crate::replica::{Replica, TargetOver, TargetQuery, TargetRow};
use crate::report::{problem, words};
use crate::stamp::rfc3339;
use serde_json::{Value as Json, json};

/// Runs `targets`.
pub(super) fn targets(args: &TargetsArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let unit = app.unit.as_deref().map(|u| replica.find_unit(u)).transpose().or_cli(app)?;
    let query = TargetQuery { unit, metric: args.metric.clone(), period: args.period.clone(), by_unit: args.by_unit };
    let rows = replica.targets(&query).map_err(|e| refused(app, &replica, e))?;
    if app.json {
        for row in rows.iter().take_while(|_| !app.out.closed()).map(|r| object(&replica, r)).collect::<Vec<_>>() {
            app.out.json(&row)?;
        }
    } else if rows.is_empty() {
        app.say("targets.none", &[]);
    } else {
        table(app, &replica, &rows)?;
    }
    Ok(ExitCode::Done)
}

/// A whole number is one, a decimal is a string.
fn number(n: Option<i128>, scale: u8) -> Json {
    match (n, n.and_then(|n| i64::try_from(n).ok()).filter(|_| scale == 0)) {
        (None, _) => Json::Null,
        (Some(_), Some(n)) => json!(n),
        (Some(n), None) => json!(plain(n, scale)),
    }
}

fn object(replica: &Replica, row: &TargetRow) -> Json {
    json!({
        "unit": row.unit.to_string(),
        "name": common::unit_name(replica, &row.unit),
        "title": row.title,
        "metric": row.metric,
        "by_hand": row.by_hand,
        "period": row.period,
        "slice": row.slice,
        "by": row.by,
        "target": number(row.target, row.scale),
        "records": row.records,
        "handed_down": number(row.handed_down, row.scale),
        "handed_to": row.handed_to,
        "value": number(row.value, row.value_scale),
        "over": row.over.map(TargetOver::name),
        "percent": row.ratio.as_ref().map(|r| &r.percent),
        "above_100": row.ratio.as_ref().is_some_and(|r| r.above),
        "units_reported": row.coverage.reported,
        "units_expected": row.coverage.expected,
        "oldest_input_at": row.coverage.oldest.map(rfc3339),
        "from": if row.from_records { "records" } else { "figures" },
        "problem": row.problem.map(|p| p.name()),
    })
}

fn table(app: &mut App, replica: &Replica, rows: &[TargetRow]) -> Result<(), CliError> {
    let slices = rows.iter().any(|r| !r.slice.is_empty());
    let handed = rows.iter().any(|r| r.handed_down.is_some());
    let mut ids = vec!["rollup.unit", "targets.title", "rollup.period"];
    if slices {
        ids.push("targets.slice");
    }
    ids.push("targets.set");
    if handed {
        ids.push("targets.handed");
    }
    ids.extend(["targets.reached", "rollup.ratio", "rollup.coverage", "rollup.oldest"]);
    let headings: Vec<String> = ids.iter().map(|id| app.t(id, &[])).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let none = app.t("status.none", &[]);
    let shown = |n: Option<i128>, scale: u8| n.map_or_else(|| none.clone(), |n| words::number(app.lang, n, scale));
    let mut cells = Vec::new();
    for row in rows {
        let mut line =
            vec![common::unit_name(replica, &row.unit), row.title.clone(), words::period(app.lang, &row.period)];
        if slices {
            line.push(slice(app, replica, row));
        }
        line.push(shown(row.target, row.scale));
        if handed {
            line.push(shown(row.handed_down, row.scale));
        }
        line.push(match row.problem {
            Some(p) => problem(app.lang, p),
            None => shown(row.value, row.value_scale),
        });
        line.push(row.ratio.as_ref().map_or_else(
            || none.clone(),
            |r| {
                let id = match (row.over, r.above) {
                    (Some(TargetOver::HandedDown), false) => "targets.of_handed",
                    (Some(TargetOver::HandedDown), true) => "targets.of_handed_above",
                    (Some(TargetOver::Target) | None, false) => "targets.percent",
                    (Some(TargetOver::Target) | None, true) => "targets.above",
                };
                app.t(id, &[("percent", &words::percent(app.lang, &r.percent))])
            },
        ));
        let counts = [row.coverage.reported, row.coverage.expected].map(|n| words::count(app.lang, n));
        line.push(app.t("rollup.reported", &[("reported", &counts[0]), ("expected", &counts[1])]));
        line.push(row.coverage.oldest.map_or_else(|| none.clone(), |at| words::moment(app.lang, at)));
        cells.push(line);
    }
    app.out.table(&headings, &cells)?;
    Ok(())
}

fn slice(app: &App, replica: &Replica, row: &TargetRow) -> String {
    if row.by.is_empty() {
        return row.slice.clone();
    }
    let schema = replica.schema();
    let metric = row.metric.as_ref().and_then(|m| schema?.metrics.get(m));
    let collection = metric.and_then(|m| schema?.collection(&m.of));
    row.by.iter().map(|(f, v)| words::dimension(collection, f, v, app.lang)).collect::<Vec<_>>().join(", ")
}
