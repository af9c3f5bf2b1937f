//! `rollup`: figures of a unit and all below, who is missing in them, the check by the second way, and closing.
//!
//! It does not: compute (the replica does).
//!
//! Invariants: with `--json` one object a line, of one shape; what is above a hundred percent or too large is said
//! in the row and on stderr, never hidden.

use super::common::{self, OrCli};
use crate::cli::args::RollupArgs;
use crate::cli::convert::{did_you_mean, list_of};
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::i18n::{format_count, format_figure, format_period, format_stored_date, format_time, parse_period};
use crate::replica::{FigureQuery, FigureRow, Replica, RollupError, Unknown};
use crate::report::words;
use crate::stamp::rfc3339;
use sampan_core::id::UnitId;
use sampan_core::rollup::{Corrected, Scalar};
use sampan_core::schema::Metric;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Digits of a device's id that people are shown.
const DEVICE_SHOWN: usize = 12;

/// Runs `rollup`.
pub(super) fn rollup(args: &RollupArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let unit = app.unit.as_deref().map(|u| replica.find_unit(u)).transpose().or_cli(app)?;
    if args.check {
        return check(&mut replica, args, app);
    }
    let query = FigureQuery {
        unit,
        metric: args.metric.clone(),
        period: args.period.as_deref().map(parse_period),
        by_unit: args.by_unit,
    };
    if let (Some(period), Some(metric)) = (&args.close, &args.metric) {
        return close(&mut replica, unit, metric, &parse_period(period), app);
    }
    if args.missing {
        return missing(&mut replica, &query, app);
    }
    let rows = replica.rollup(&query).map_err(|e| refused(app, &replica, e))?;
    let projected = replica.store.projected_to().or_cli(app)?.0;
    if app.json {
        for row in
            rows.iter().take_while(|_| !app.out.closed()).map(|r| object(&replica, r, projected)).collect::<Vec<_>>()
        {
            app.out.json(&row)?;
        }
    } else if rows.is_empty() {
        app.say("rollup.none", &[]);
    } else {
        table(app, &replica, &rows)?;
    }
    Ok(ExitCode::Done)
}

/// The object of the contract.
fn object(replica: &Replica, row: &FigureRow, projected: u64) -> Json {
    let metric = replica.schema().and_then(|s| s.metrics.get(&row.metric));
    let mut out = json!({
        "unit": row.unit.to_string(),
        "name": common::unit_name(replica, &row.unit),
        "below": row.below,
        "metric": row.metric,
        "period": row.period,
        "by": row.by,
        "value": metric.filter(|_| row.unknown.is_none()).map_or(Json::Null, |m| value(m, row)),
        "reason": row.unknown.map(Unknown::name),
        "known_at": match row.unknown {
            Some(Unknown::InSumOf(unit)) => json!(unit.to_string()),
            Some(Unknown::OutOfReach | Unknown::NotSaid | Unknown::TooLarge | Unknown::NotAdditive) | None => Json::Null,
        },
        "units_reported": row.coverage.reported,
        "units_expected": row.coverage.expected,
        "oldest_input_at": row.coverage.oldest.map(rfc3339),
        "projected_to": projected,
        "from": if row.from_records { "records" } else { "figures" },
        "too_large": row.too_large,
        "closed": row.closed.as_ref().map(|c| json!({
            "value": c.value, "at": rfc3339(c.at), "by": c.by.to_string(),
            "units_reported": c.reported, "units_expected": c.expected,
        })),
        "corrections": row.corrected.iter().map(correction).collect::<Vec<_>>(),
    });
    if let (Some((name, over)), Some(map)) = (&row.over, out.as_object_mut()) {
        map.insert("over".to_owned(), json!(name));
        map.insert("over_value".to_owned(), json!(over));
        map.insert("percent".to_owned(), json!(row.ratio.as_ref().map(|r| &r.percent)));
        map.insert("above_100".to_owned(), json!(row.ratio.as_ref().is_some_and(|r| r.above)));
    }
    out
}

/// A count is an integer, a decimal and a date a string; the smallest of nothing is null.
fn value(metric: &Metric, row: &FigureRow) -> Json {
    let integer = match (row.figure.number(&metric.op), &row.figure.best) {
        (Some(n), _) => i64::try_from(n).ok(),
        (None, Some(Scalar::Num(n))) => Some(*n),
        (None, Some(Scalar::Text(_))) => None,
        (None, None) => return Json::Null,
    };
    match integer.filter(|_| row.scale == 0) {
        Some(n) => json!(n),
        None => json!(row.value),
    }
}

fn correction(c: &Corrected) -> Json {
    let record = Some(c.record).filter(|r| *r != Default::default()).map(|r| r.to_string());
    json!({
        "old": c.old, "new": c.new, "at": rfc3339(c.at), "by": c.by, "author": c.author.to_string(),
        "unit": c.unit.to_string(), "record": record,
    })
}

fn table(app: &mut App, replica: &Replica, rows: &[FigureRow]) -> Result<(), CliError> {
    let ratios = rows.iter().any(|r| r.over.is_some());
    let closed = rows.iter().any(|r| r.closed.is_some());
    let mut ids = vec!["rollup.unit", "rollup.metric", "rollup.period", "rollup.value"];
    if ratios {
        ids.push("rollup.ratio");
    }
    ids.extend(["rollup.coverage", "rollup.oldest"]);
    if closed {
        ids.push("rollup.closed");
    }
    let headings: Vec<String> = ids.iter().map(|id| app.t(id, &[])).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let none = app.t("status.none", &[]);
    let mut cells = Vec::new();
    for row in rows {
        let name = common::unit_name(replica, &row.unit);
        let name = if row.below { name } else { app.t("rollup.own", &[("unit", &name)]) };
        let metric = format!("{}{}", label(app, replica, &row.metric), dims(app, replica, row));
        let value = match row.unknown {
            Some(_) => app.t("rollup.unknown", &[]),
            None if row.value.is_empty() => none.clone(),
            None => shown_value(app, row),
        };
        let mut line = vec![name, metric, format_period(app.lang, &row.period), value];
        if ratios {
            line.push(match (&row.over, &row.ratio) {
                (Some((_, value)), Some(r)) => {
                    let over = over_label(app, replica, row);
                    let percent = format_figure(app.lang, &r.percent);
                    let value = format_figure(app.lang, value.as_deref().unwrap_or_default());
                    let values = [("percent", percent.as_str()), ("over", over.as_str()), ("value", value.as_str())];
                    app.t(if r.above { "rollup.above" } else { "rollup.of" }, &values)
                }
                (Some(_), None) => app.t("rollup.no_over", &[("over", &over_label(app, replica, row))]),
                (None, _) => String::new(),
            });
        }
        let (reported, expected) =
            (format_count(app.lang, row.coverage.reported), format_count(app.lang, row.coverage.expected));
        line.push(app.t("rollup.reported", &[("reported", &reported), ("expected", &expected)]));
        line.push(row.coverage.oldest.map_or_else(|| none.clone(), |at| format_time(app.lang, at)));
        if closed {
            line.push(row.closed.as_ref().map_or_else(String::new, |c| {
                let value = c.value.as_ref().map(|v| format_figure(app.lang, v));
                let value = value.unwrap_or_else(|| app.t("rollup.unknown", &[]));
                format!("{value} ({})", format_time(app.lang, c.at))
            }));
        }
        cells.push(line);
    }
    app.out.table(&headings, &cells)?;
    let mut told = std::collections::BTreeSet::new();
    for row in rows {
        let unit = common::unit_name(replica, &row.unit);
        if let Some(why) = row.unknown.filter(|_| told.insert((row.unit, &row.metric))) {
            let line = why_unknown(app, replica, &unit, &row.metric, why);
            crate::cli::output::to_stderr(&crate::cli::output::printable(&line));
        } else if row.too_large {
            app.say("rollup.too_large", &[("unit", &unit), ("metric", &label(app, replica, &row.metric))]);
        }
        for c in row.corrected.iter().filter(|c| c.by.len() == row.by.len() && row.by.values().eq(c.by.iter())) {
            let by = if c.by.is_empty() { String::new() } else { format!(" [{}]", c.by.join(", ")) };
            let author: String = c.author.to_string().chars().take(DEVICE_SHOWN).collect();
            let (of, at) = (common::unit_name(replica, &c.unit), format_time(app.lang, c.at));
            let metric = label(app, replica, &row.metric);
            let (period, old, new) =
                (format_period(app.lang, &c.period), format_figure(app.lang, &c.old), format_figure(app.lang, &c.new));
            let values = [
                ("unit", unit.as_str()),
                ("metric", metric.as_str()),
                ("period", period.as_str()),
                ("by", by.as_str()),
                ("old", old.as_str()),
                ("new", new.as_str()),
                ("at", at.as_str()),
                ("author", author.as_str()),
                ("of", of.as_str()),
            ];
            let line = app.t("rollup.corrected", &values);
            app.out.line(&crate::cli::output::printable(&line))?;
        }
    }
    Ok(())
}

/// Why a figure is not known here, in words.
fn why_unknown(app: &App, replica: &Replica, unit: &str, metric: &str, why: Unknown) -> String {
    let at = match why {
        Unknown::InSumOf(unit) => common::unit_name(replica, &unit),
        Unknown::OutOfReach | Unknown::NotSaid | Unknown::TooLarge | Unknown::NotAdditive => String::new(),
    };
    let values = [("unit", unit), ("metric", &label(app, replica, metric)), ("at", &at)];
    app.t(&format!("rollup.unknown_{}", why.name()), &values)
}

/// What people call a metric.
fn label(app: &App, replica: &Replica, metric: &str) -> String {
    replica.schema().map_or_else(|| metric.to_owned(), |s| words::metric(s, metric, app.lang))
}

/// What people call what a row is divided by.
fn over_label(app: &App, replica: &Replica, row: &FigureRow) -> String {
    let label = replica.schema().and_then(|s| words::over(s, s.metrics.get(&row.metric)?, app.lang));
    label.unwrap_or_default()
}

/// The value of a row as people write it: the earliest of dates is a date, also where only its year is known.
fn shown_value(app: &App, row: &FigureRow) -> String {
    match &row.figure.best {
        Some(Scalar::Text(_)) => format_stored_date(app.lang, &row.value),
        Some(Scalar::Num(_)) | None => format_figure(app.lang, &row.value),
    }
}

/// The dimensions of a row, as people call them.
fn dims(app: &App, replica: &Replica, row: &FigureRow) -> String {
    if row.by.is_empty() {
        return String::new();
    }
    let schema = replica.schema();
    let collection = schema.and_then(|s| s.collection(&s.metrics.get(&row.metric)?.of));
    let word = |(field, value): (&String, &String)| match collection.and_then(|c| c.field(field)) {
        Some(f) => {
            let choice = f.choices.iter().find(|c| c.id == *value);
            choice.map_or_else(|| value.clone(), |c| c.label.text(common::schema_lang(app.lang)).to_owned())
        }
        None => value.clone(),
    };
    format!(" [{}]", row.by.iter().map(word).collect::<Vec<_>>().join(", "))
}

fn missing(replica: &mut Replica, query: &FigureQuery, app: &mut App) -> Result<ExitCode, CliError> {
    let rows = replica.missing_units(query).map_err(|e| refused(app, replica, e))?;
    let path = |unit: &UnitId| replica.engine.charter().path(unit);
    if app.json {
        for row in rows {
            app.out.json(&json!({
                "unit": row.unit.to_string(),
                "name": common::unit_name(replica, &row.unit),
                "path": path(&row.unit),
                "metric": row.metric,
                "period": row.period,
                "since": rfc3339(row.since),
                "heard_at": row.heard.map(rfc3339),
            }))?;
        }
        return Ok(ExitCode::Done);
    }
    if rows.is_empty() {
        app.say("rollup.all_reported", &[]);
        return Ok(ExitCode::Done);
    }
    let ids = ["rollup.unit", "rollup.metric", "rollup.period", "rollup.since", "rollup.heard"];
    let headings = ids.map(|id| app.t(id, &[]));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let never = app.t("rollup.never", &[]);
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|r| {
            let heard = r.heard.map_or_else(|| never.clone(), |at| format_time(app.lang, at));
            let period = format_period(app.lang, &r.period);
            vec![path(&r.unit), label(app, replica, &r.metric), period, format_time(app.lang, r.since), heard]
        })
        .collect();
    app.out.table(&headings, &cells)?;
    Ok(ExitCode::Done)
}

fn check(replica: &mut Replica, args: &RollupArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let differences = replica.check_figures(args.metric.as_deref()).map_err(|e| refused(app, replica, e))?;
    let metrics = args.metric.as_ref().map_or_else(|| replica.schema().map_or(0, |s| s.metrics.len()), |_| 1);
    if app.json {
        let line = |d: &crate::replica::Difference| {
            json!({
                "unit": d.unit.to_string(), "below": d.below, "metric": d.metric, "period": d.key.period,
                "by": d.key.by, "kept": d.kept, "counted": d.counted,
            })
        };
        let lines: Vec<Json> = differences.iter().map(line).collect();
        app.out.json(&json!({ "checked": metrics, "differences": lines }))?;
    } else {
        for d in &differences {
            let unit = common::unit_name(replica, &d.unit);
            let unit = if d.below { unit } else { app.t("rollup.own", &[("unit", &unit)]) };
            let metric = label(app, replica, &d.metric);
            let by = if d.key.by.is_empty() { String::new() } else { format!(" [{}]", d.key.by.join(", ")) };
            let values = [
                ("unit", unit.as_str()),
                ("metric", metric.as_str()),
                ("period", d.key.period.as_str()),
                ("by", by.as_str()),
                ("kept", d.kept.as_str()),
                ("counted", d.counted.as_str()),
            ];
            let line = app.t("rollup.check_line", &values);
            app.out.line(&crate::cli::output::printable(&line))?;
        }
    }
    if differences.is_empty() {
        app.say("rollup.check_ok", &[("count", &metrics.to_string())]);
        return Ok(ExitCode::Done);
    }
    Err(app.error(&codes::FIGURES_DIFFER, &[("count", &differences.len().to_string()), ("program", app.program)]))
}

fn close(
    replica: &mut Replica,
    unit: Option<UnitId>,
    metric: &str,
    period: &str,
    app: &mut App,
) -> Result<ExitCode, CliError> {
    let unit = replica.figure_unit(unit).map_err(|e| refused(app, replica, e))?;
    replica.close_period(unit, metric, period).map_err(|e| refused(app, replica, e))?;
    common::written(replica);
    let query = FigureQuery {
        unit: Some(unit),
        metric: Some(metric.to_owned()),
        period: Some(period.to_owned()),
        by_unit: false,
    };
    let rows = replica.rollup(&query).map_err(|e| refused(app, replica, e))?;
    let projected = replica.store.projected_to().or_cli(app)?.0;
    if app.json {
        for row in &rows {
            app.out.json(&object(replica, row, projected))?;
        }
    } else {
        table(app, replica, &rows)?;
    }
    let name = common::unit_name(replica, &unit);
    let metric = label(app, replica, metric);
    app.say(
        "rollup.closed_done",
        &[("metric", &metric), ("period", &format_period(app.lang, period)), ("unit", &name)],
    );
    Ok(ExitCode::Done)
}

/// Why a question has no answer, in words.
pub(super) fn refused(app: &App, replica: &Replica, error: RollupError) -> CliError {
    match error {
        RollupError::Replica(e) => {
            Err::<(), _>(e).or_cli(app).err().unwrap_or_else(|| app.error(&codes::INTERNAL, &[]))
        }
        RollupError::UnknownMetric { name, nearest } => {
            let none = BTreeMap::<String, Metric>::new();
            let metrics = replica.schema().map_or(&none, |s| &s.metrics);
            let known: Vec<&str> = metrics.keys().map(String::as_str).collect();
            let (near, known) = (did_you_mean(app.lang, &nearest), list_of(app.lang, &known));
            app.error(&codes::UNKNOWN_METRIC, &[("name", &name), ("nearest", &near), ("known", &known)]).at(name)
        }
        RollupError::BadPeriod(period) => app.error(&codes::BAD_PERIOD, &[("period", &period)]).at(period),
        RollupError::OtherPeriod { metric, kind, period } => {
            let kind = if kind.is_empty() { "-".to_owned() } else { kind };
            let values = [("metric", metric.as_str()), ("kind", kind.as_str()), ("period", period.as_str())];
            app.error(&codes::OTHER_PERIOD, &values).at(period.clone())
        }
        RollupError::NotShown(unit) => {
            let path = replica.engine.charter().path(&unit);
            let what = app.t("right.figures", &[("unit", &path)]);
            app.error(&codes::NO_RIGHT, &[("what", &what)])
        }
        RollupError::OutOfReach(name) => app.error(&codes::METRIC_REACH, &[("name", &name)]).at(name),
        RollupError::NotKnown(name, why) => {
            let unit = app.unit.clone().unwrap_or_default();
            let why = why_unknown(app, replica, &unit, &name, why);
            app.error(&codes::FIGURE_UNKNOWN, &[("name", &name), ("why", &why)]).at(name)
        }
        RollupError::NotOver(period) => app.error(&codes::PERIOD_OPEN, &[("period", &period)]).at(period),
        RollupError::Closed { metric, period } => {
            app.error(&codes::PERIOD_CLOSED, &[("metric", &metric), ("period", &period)]).at(period)
        }
    }
}
