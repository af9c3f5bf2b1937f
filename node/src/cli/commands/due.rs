//! `due`: what must be done by when, by the rules of the schema.
//!
//! It does not: remind anybody, or change a record.
//!
//! Invariants: what is late comes first and is marked by a word; dates are written as people write them, and plain in JSON.

use super::common::{self, OrCli};
use crate::cli::args::DueArgs;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes, output};
use crate::i18n::{format_count, format_date, format_int, format_period};
use crate::replica::{DueList, DueRow, Replica};
use sampan_core::date::Date;
use sampan_core::schema::due::Span;
use sampan_core::time::Millis;
use serde_json::json;

/// Runs `due`.
pub(super) fn due(args: &DueArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let today = match &args.on {
        Some(text) => day(app, text)?,
        None => local_day(replica.label().or_cli(app)?),
    };
    let unit = app.unit.clone().map(|u| replica.find_unit(&u).or_cli(app)).transpose()?;
    let mut list = replica.due(today, today.saturating_add_unsigned(args.days), args.units_below).or_cli(app)?;
    list.rows.retain(|r| unit.is_none_or(|u| r.unit == u));
    tell_calendar(app, &list);
    if app.json {
        for row in &list.rows {
            if app.out.closed() {
                break;
            }
            app.out.json(&json!({
                "rule": row.rule.id,
                "label": row.rule.label.text(common::schema_lang(app.lang)),
                "due": row.due.on.to_string(),
                "days": i64::from(row.due.day) - i64::from(today),
                "late": row.due.day < today,
                "milestone": row.due.milestone.map(|m| m.to_string()),
                "period": row.due.period,
                "record": row.record.map(|r| r.to_string()),
                "title": row.title,
                "unit": row.unit.to_string(),
            }))?;
        }
    } else if list.rows.is_empty() {
        app.say("due.none", &[("days", &format_int(app.lang, i64::from(args.days)))]);
    } else {
        table(app, &replica, &list.rows, today, unit.is_some())?;
    }
    Ok(ExitCode::Done)
}

/// What is odd about the calendar, on stderr also beside JSON: without it the dates below would be silently wrong.
fn tell_calendar(app: &App, list: &DueList) {
    for (record, why) in &list.odd_holidays {
        let values = [("record", record.to_string()), ("reason", why.to_string())];
        output::to_stderr(&app.t("due.odd_holiday", &[("record", &values[0].1), ("reason", &values[1].1)]));
    }
    for year in &list.years_without_holidays {
        output::to_stderr(&app.t("due.no_holidays", &[("year", &year.to_string())]));
    }
}

fn table(app: &mut App, replica: &Replica, rows: &[DueRow], today: i32, one_unit: bool) -> Result<(), CliError> {
    let several = !one_unit && rows.iter().any(|r| r.unit != rows[0].unit);
    let mut headings = vec![app.t("due.date", &[]), app.t("due.when", &[]), app.t("due.what", &[])];
    headings.push(app.t("record.title", &[]));
    if several {
        headings.push(app.t("record.unit", &[]));
    }
    headings.push(app.t("record.id", &[]));
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let days = i64::from(row.due.day) - i64::from(today);
            let mut what = row.rule.label.text(common::schema_lang(app.lang)).to_owned();
            if let Some(milestone) = row.due.milestone {
                what = format!("{what} ({})", span(app, milestone));
            }
            let period = row.due.period.as_deref().map(|p| format_period(app.lang, p));
            let title = period.unwrap_or_else(|| row.title.clone());
            let mut line = vec![format_date(app.lang, row.due.on), when(app, days), what, title];
            if several {
                line.push(common::unit_name(replica, &row.unit));
            }
            line.push(row.record.map(|r| r.to_string()).unwrap_or_default());
            line
        })
        .collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    Ok(app.out.table(&headings, &cells)?)
}

fn when(app: &App, days: i64) -> String {
    let count = format_int(app.lang, days.abs());
    match days {
        0 => app.t("due.today", &[]),
        1.. => app.t("due.in_days", &[("days", &count)]),
        _ => app.t("due.late", &[("days", &count)]),
    }
}

fn span(app: &App, span: Span) -> String {
    let id = match span {
        Span::Days(_) => "due.span_days",
        Span::WorkingDays(_) => "due.span_working_days",
        Span::Months(_) => "due.span_months",
        Span::Years(_) => "due.span_years",
    };
    app.t(id, &[("n", &format_count(app.lang, u64::from(span.number())))])
}

/// The day that `--on` names.
fn day(app: &App, text: &str) -> Result<i32, CliError> {
    let date = Date::parse_typed(text).ok().filter(|d| d.day().is_some());
    date.map(Date::last_day_number).ok_or_else(|| {
        let values = [("field", "--on"), ("given", text), ("reason", "YYYY-MM-DD, DD/MM/YYYY")];
        app.error(&codes::BAD_VALUE, &values).at("--on")
    })
}

/// The day that a clock on the wall shows at this time.
fn local_day(now: Millis) -> i32 {
    let stamp = jiff::Timestamp::from_millisecond(i64::try_from(now.0).unwrap_or_default()).unwrap_or_default();
    let civil = stamp.to_zoned(jiff::tz::TimeZone::system()).date();
    let (month, day) = (civil.month().unsigned_abs(), civil.day().unsigned_abs());
    Date::new(civil.year().unsigned_abs(), Some(month), Some(day)).map_or(0, Date::last_day_number)
}
