//! `silent`: the call list.
//!
//! It does not: find who is silent (see `admin::silent`).
//!
//! Invariants: with `--json` one object a unit and nothing else on stdout; the sums go to stderr.

use super::args::SilentArgs;
use crate::admin::silent::{SilentRow, silence, sums};
use sampan_core::id::UnitId;
use sampan_node::cli::convert::IntoCli;
use sampan_node::cli::{App, CliError, ExitCode};
use sampan_node::i18n::{format_count, format_int, format_stamp};
use sampan_node::replica::Replica;

/// Runs `silent`.
pub(super) fn silent(args: &SilentArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = crate::admin::open(app, &args.dir)?;
    let within = app.unit.clone().map(|u| replica.find_unit(&u)).transpose().map_err(|e| e.into_cli(app.lang))?;
    if args.sums {
        return sum_up(args, within, app, &mut replica);
    }
    let found = silence(&mut replica, u64::from(args.days), within).map_err(|e| e.into_cli(app.lang))?;
    let count = |n: usize| format_int(app.lang, n as i64);
    let values = [
        ("silent", count(found.rows.len())),
        ("units", count(found.with_device)),
        ("days", format_int(app.lang, i64::from(args.days))),
        ("without", count(found.without_device)),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    app.say(if found.without_device > 0 { "silent.sum_without" } else { "silent.sum" }, &values);
    if app.json {
        for row in &found.rows {
            if app.out.closed() {
                break;
            }
            app.out.json(row)?;
        }
        return Ok(ExitCode::Done);
    }
    if found.rows.is_empty() {
        return Ok(ExitCode::Done);
    }
    let ids = [
        "org.unit",
        "silent.days",
        "devices.last_seen",
        "silent.unsent",
        "silent.call",
        "silent.phone",
        "silent.error",
    ];
    let headings = ids.map(|id| app.t(id, &[]));
    let cells: Vec<Vec<String>> = found.rows.iter().map(|r| line(app, r)).collect();
    app.out.table(&headings.each_ref().map(String::as_str), &cells)?;
    Ok(ExitCode::Done)
}

/// How all stand, a line for each unit directly below.
fn sum_up(
    args: &SilentArgs,
    within: Option<UnitId>,
    app: &mut App,
    replica: &mut Replica,
) -> Result<ExitCode, CliError> {
    let rows = sums(replica, u64::from(args.days), within).map_err(|e| e.into_cli(app.lang))?;
    if app.json {
        for row in &rows {
            app.out.json(row)?;
        }
        return Ok(ExitCode::Done);
    }
    let ids = [
        "org.unit",
        "silent.units",
        "silent.silent",
        "silent.oldest",
        "silent.unsent",
        "silent.disks",
        "silent.errors",
        "silent.clocks",
        "silent.versions",
    ];
    let headings = ids.map(|id| app.t(id, &[]));
    let count = |n: u64| format_count(app.lang, n);
    let never = app.t("silent.never", &[]);
    let cells = rows.iter().map(|r| {
        let versions: Vec<String> = r.versions.iter().map(|(v, n)| format!("{v} ({})", count(*n))).collect();
        vec![
            r.name.clone(),
            count(r.units),
            count(r.silent),
            r.oldest_seen.as_deref().map_or_else(|| never.clone(), |at| format_stamp(app.lang, at)),
            count(r.unsent_changes),
            count(r.disks_low),
            count(r.errors),
            count(r.clocks_off),
            versions.join(", "),
        ]
    });
    let cells: Vec<Vec<String>> = cells.collect();
    app.out.table(&headings.each_ref().map(String::as_str), &cells)?;
    Ok(ExitCode::Done)
}

fn line(app: &App, row: &SilentRow) -> Vec<String> {
    let joined = |words: Vec<&str>| words.join(", ");
    let days = row.days.map_or_else(|| app.t("silent.never", &[]), |d| format_int(app.lang, d.cast_signed()));
    vec![
        row.name.clone(),
        days,
        row.last_seen.as_deref().map(|at| format_stamp(app.lang, at)).unwrap_or_default(),
        format_int(app.lang, row.unsent_changes.cast_signed()),
        joined(row.contacts.iter().map(|c| c.name.as_str()).collect()),
        joined(row.contacts.iter().filter_map(|c| c.phone.as_deref()).collect()),
        joined(row.devices.iter().filter_map(|d| d.last_error.as_deref()).collect()),
    ]
}
