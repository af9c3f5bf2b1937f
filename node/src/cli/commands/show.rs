//! `show` and `conflicts`: one record with its history, and where people disagree.
//!
//! It does not: settle anything (`resolve` does).
//!
//! Invariants: a tick stands only where a signed statement covers every entry of the record.

use super::common::{self, Facts, OrCli};
use crate::cli::App;
use crate::cli::args::{DirArgs, ShowArgs};
use crate::cli::exit::{CliError, ExitCode};
use crate::i18n::format_time;
use crate::replica::{HistoryStep, Replica, Shown};
use crate::stamp::rfc3339;
use sampan_core::record::REMOVED_KEY;
use sampan_core::schema::{Collection, title_in, to_json};
use serde_json::{Map, Value as Json, json};

/// Runs `show`.
pub(super) fn show(args: &ShowArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let id = common::record(app, &mut replica, &args.record)?;
    let shown = replica.show(id, args.history).or_cli(app)?;
    if app.json {
        let mut object = object(&shown);
        if args.history {
            let c = &shown.record.collection;
            object.insert("history".into(), shown.history.iter().map(|s| history_json(c, s)).collect());
        }
        app.out.json(&object)?;
    } else {
        words(app, &replica, &shown)?;
        if args.history {
            history_words(app, &replica, &shown)?;
        }
    }
    Ok(ExitCode::Done)
}

fn object(shown: &Shown) -> Map<String, Json> {
    let r = &shown.record;
    let conflict: Vec<String> = r.view.conflicts.iter().map(|c| c.field.clone()).collect();
    let facts = Facts {
        collection: &r.collection,
        values: &r.view.fields,
        id: r.id,
        unit: r.space.unit,
        updated: r.updated,
        author: r.author,
        conflict: &conflict,
    };
    let mut out = facts.json();
    let delivered: Map<String, Json> = r.delivered.iter().map(|(u, there)| (u.to_string(), json!(there))).collect();
    out.insert("_delivered".into(), Json::Object(delivered));
    if r.view.removed {
        out.insert(REMOVED_KEY.into(), json!(true));
    }
    out
}

fn history_json(c: &Collection, step: &HistoryStep) -> Json {
    let fields: Map<String, Json> = step
        .fields
        .iter()
        .map(|f| {
            let value = |v: &Option<_>| v.as_ref().map_or(Json::Null, |v| to_json(c.field(&f.field), v));
            (f.field.clone(), json!({ "old": value(&f.old), "new": value(&f.new) }))
        })
        .collect();
    json!({
        "change": step.change.to_string(),
        "author": step.author.map(|a| a.to_string()),
        "unit": step.unit.to_string(),
        "at": rfc3339(step.at),
        "first_seen_at": rfc3339(step.first_seen_at),
        "fields": fields,
    })
}

/// *saved here ✓ · district ✓ · city ·*
fn ticks(app: &App, replica: &Replica, shown: &Shown) -> String {
    let mark = |there: bool| if there { "✓" } else { "·" };
    let mut parts = vec![format!("{} {}", app.t("tick.here", &[]), mark(true))];
    for (unit, there) in &shown.record.delivered {
        parts.push(format!("{} {}", common::level_name(app, replica, unit), mark(*there)));
    }
    // Before the charter has come it is known only that there is a level above.
    if replica.engine.is_blank() {
        parts.push(format!("{} {}", app.t("tick.above", &[]), mark(false)));
    }
    let mut line = String::new();
    for (i, part) in parts.iter().enumerate() {
        let after_tick = i > 0 && parts[i - 1].ends_with('✓');
        line.push_str(if i == 0 {
            ""
        } else if after_tick {
            " · "
        } else {
            " "
        });
        line.push_str(part);
    }
    line
}

fn words(app: &mut App, replica: &Replica, shown: &Shown) -> Result<(), CliError> {
    let r = &shown.record;
    let c = &r.collection;
    let mut head = title_in(c, &r.view.fields, common::schema_lang(app.lang));
    if r.view.removed {
        head = format!("{head} ({})", app.t("record.removed", &[])).trim_start().to_owned();
    }
    if !head.is_empty() {
        app.out.line(&crate::cli::output::printable(&head))?;
    }
    let known = c.fields.iter().filter(|f| !f.hidden).map(|f| f.id.as_str());
    let unknown = r.view.fields.keys().map(String::as_str).filter(|n| c.field(n).is_none());
    let mut rows: Vec<Vec<String>> = Vec::new();
    for name in known.chain(unknown) {
        if let Some(value) = r.view.fields.get(name) {
            rows.push(vec![common::label(app, c, name), common::shown(app, c, name, value)]);
        }
    }
    let mut own = |id: &str, value: String| rows.push(vec![app.t(id, &[]), value]);
    own("record.id", r.id.to_string());
    own("record.unit", common::unit_name(replica, &r.space.unit));
    own("record.updated", format_time(app.lang, r.updated));
    own("record.author", common::author_name(app, replica, Some(r.author)));
    app.out.table(&[], &rows)?;
    let waiting: u64 = r.irregular.values().sum();
    if waiting > 0 {
        let line = app.t("record.waiting", &[("count", &crate::i18n::format_count(app.lang, waiting))]);
        app.out.line(&line)?;
    }
    if !r.view.conflicts.is_empty() {
        let fields: Vec<String> = r.view.conflicts.iter().map(|k| common::label(app, c, &k.field)).collect();
        let line = app.t("record.conflict_note", &[("fields", &fields.join(", ")), ("program", app.program)]);
        app.out.line(&line)?;
    }
    let line = ticks(app, replica, shown);
    Ok(app.out.line(&line)?)
}

fn history_words(app: &mut App, replica: &Replica, shown: &Shown) -> Result<(), CliError> {
    let c = &shown.record.collection;
    let mut rows = Vec::new();
    for step in &shown.history {
        let value = |f: &str, v: &Option<_>| v.as_ref().map_or(String::new(), |v| common::shown(app, c, f, v));
        for (i, f) in step.fields.iter().enumerate() {
            // Time and author stand once a change.
            let (at, author) = match i {
                0 => (format_time(app.lang, step.at), common::author_name(app, replica, step.author)),
                _ => (String::new(), String::new()),
            };
            let label = common::label(app, c, &f.field);
            rows.push(vec![at, author, label, value(&f.field, &f.old), value(&f.field, &f.new)]);
        }
    }
    let word = |id: &str| app.t(id, &[]);
    let headings =
        [word("history.at"), word("history.author"), word("history.field"), word("history.old"), word("history.new")];
    let heading = format!("\n{}", app.t("history.title", &[]));
    app.out.line(&heading)?;
    Ok(app.out.table(&headings.each_ref().map(String::as_str), &rows)?)
}

/// Runs `conflicts`.
pub(super) fn conflicts(args: &DirArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let rows = replica.conflicts().or_cli(app)?;
    if rows.is_empty() {
        app.say("conflict.none", &[]);
    }
    for row in rows {
        let c = &row.collection;
        let field = c.field(&row.field);
        if app.json {
            let values = row.values.iter().map(|(value, author, at)| {
                let author = author.map(|a| a.to_string());
                json!({ "value": to_json(field, value), "author": author, "at": rfc3339(*at) })
            });
            let values: Vec<Json> = values.collect();
            app.out.json(&json!({
                "record": row.record.to_string(),
                "field": row.field,
                "values": values,
                "winner": to_json(field, &row.winner),
            }))?;
            continue;
        }
        let record = row.record.to_string();
        let fields = replica.show(row.record, false).or_cli(app)?.record.view.fields;
        app.out.line(&format!(
            "{record}  {}",
            crate::cli::output::printable(&title_in(c, &fields, common::schema_lang(app.lang)))
        ))?;
        let line = if row.field == REMOVED_KEY {
            app.t("conflict.removed", &[])
        } else {
            let label = common::label(app, c, &row.field);
            app.t("conflict.field", &[("field", &label), ("count", &row.values.len().to_string())])
        };
        app.out.line(&format!("  {line}"))?;
        for (value, author, at) in &row.values {
            let value_words = common::shown(app, c, &row.field, value);
            let author = common::author_name(app, &replica, *author);
            let values = [("value", value_words.as_str()), ("author", &author), ("at", &format_time(app.lang, *at))];
            let mut line = app.t("conflict.value", &values);
            if *value == row.winner {
                line = format!("{line} ({})", app.t("conflict.shown", &[]));
            }
            app.out.line(&format!("    {}", crate::cli::output::printable(&line)))?;
        }
        let how = app.t("conflict.how", &[("record", &record), ("field", &row.field)]);
        app.out.line(&format!("  {how}"))?;
    }
    Ok(ExitCode::Done)
}
