//! `schema …`: the organisation's schema on the screen, the next one checked and published.
//!
//! It does not: judge (see [`crate::admin::schema`]) or change a file.
//!
//! Invariants: `check` writes nothing; with `--json` one object.

use super::args::SchemaCommand;
use crate::admin::found::read_schema;
use crate::admin::open;
use crate::admin::schema::{may_follow, present, publish};
use sampan_core::id::Flow;
use sampan_core::schema::{News, Schema, kind_name};
use sampan_node::cli::commands::status::schema_words;
use sampan_node::cli::output::{printable, to_stderr};
use sampan_node::cli::{App, CliError, ExitCode, codes};
use sampan_node::i18n::{format_count, schema_lang};
use serde_json::{Value as Json, json};

/// Runs one of them.
///
/// # Errors
/// What is refused.
pub fn run(command: &SchemaCommand, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        SchemaCommand::Publish(a) => {
            let file = a.file.display().to_string();
            let new = read_schema(app, &a.file)?;
            let mut replica = open(app, &a.dir)?;
            let news = publish(app, &mut replica, &new, &file)?;
            tell(app, &new, Some(&news))?;
            app.say("schema.published", &[("name", &new.name), ("version", &new.version.to_string())]);
            Ok(ExitCode::Done)
        }
        SchemaCommand::Check(a) => {
            let file = a.file.display().to_string();
            let new = read_schema(app, &a.file)?;
            let news = match &a.dir {
                Some(dir) => Some(may_follow(app, present(&open(app, dir)?).as_ref(), &new, &file)?),
                None => None,
            };
            tell(app, &new, news.as_deref())?;
            let count = |n: usize| format_count(app.lang, n as u64);
            let fields = new.collections.values().map(|c| c.fields.len()).sum();
            let values = [
                ("file", file),
                ("collections", count(new.collections.len())),
                ("fields", count(fields)),
                ("metrics", count(new.metrics.len())),
            ];
            let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
            app.say("schema.sound", &values);
            app.say(if news.is_some() { "schema.may_follow" } else { "schema.not_compared" }, &[]);
            Ok(ExitCode::Done)
        }
        SchemaCommand::Show(a) => {
            let replica = open(app, &a.dir)?;
            let known = present(&replica).ok_or_else(|| app.error(&codes::NO_SCHEMA, &[]))?;
            if a.source {
                // As it was published: what the next version is written from. Tabs are all that TOML holds of controls.
                for line in known.text.lines() {
                    app.out.line(&line.split('\t').map(printable).collect::<Vec<_>>().join("\t"))?;
                }
                return Ok(ExitCode::Done);
            }
            let version = known.published.to_string();
            // Where the newest is not read, the one that is in force here.
            if let (Some(newer), Some(schema)) = (replica.engine.schema_newer(), replica.engine.schema()) {
                if !app.json {
                    to_stderr(&printable(&schema_words(app, (newer, Some(schema.version)))));
                }
                return show(app, schema);
            }
            let schema = known.schema.ok_or_else(|| app.error(&codes::SCHEMA_NEWER, &[("version", &version)]))?;
            show(app, &schema)
        }
    }
}

/// What is new, and with `--json` the whole result.
fn tell(app: &mut App, new: &Schema, news: Option<&[News]>) -> Result<(), CliError> {
    if app.json {
        let news =
            news.map(|all| all.iter().map(|n| json!({ "what": n.kind(), "where": n.path() })).collect::<Vec<_>>());
        return Ok(app.out.json(&json!({
            "name": new.name,
            "version": new.version,
            "collections": new.collections.len(),
            "metrics": new.metrics.len(),
            "may_follow": news.as_ref().map(|_| true),
            "news": news,
        }))?);
    }
    for one in news.unwrap_or_default() {
        let line = app.t(&format!("schema.news_{}", one.kind()), &[("path", &one.path())]);
        app.out.line(&printable(&line))?;
    }
    Ok(())
}

fn flow_name(flow: Flow) -> &'static str {
    match flow {
        Flow::Up => "up",
        Flow::Down => "down",
        Flow::Group => "group",
        Flow::Local => "local",
        Flow::Charter => "charter",
        Flow::Inbox => "inbox",
    }
}

fn show(app: &mut App, schema: &Schema) -> Result<ExitCode, CliError> {
    let lang = schema_lang(app.lang);
    let reach = |level: u8| schema.levels.get(usize::from(level)).cloned().unwrap_or_default();
    if app.json {
        let collections: Vec<Json> = schema
            .collections
            .values()
            .map(|c| {
                let fields: Vec<Json> = c
                    .fields
                    .iter()
                    .map(|f| {
                        json!({
                            "id": f.id, "kind": kind_name(f.kind), "label": f.label.text(lang),
                            "required": f.required, "hidden": f.hidden,
                        })
                    })
                    .collect();
                json!({
                    "id": c.id, "label": c.label.text(lang), "flow": flow_name(c.flow), "reach": reach(c.reach),
                    "reply_to": c.reply_to, "fields": fields,
                })
            })
            .collect();
        app.out.json(&json!({
            "name": schema.name,
            "version": schema.version,
            "levels": schema.levels,
            "collections": collections,
            "metrics": schema.metrics.keys().collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::Done);
    }
    let levels = schema.levels.join(", ");
    let head =
        [("schema.name", &schema.name), ("schema.version", &schema.version.to_string()), ("schema.levels", &levels)];
    let head: Vec<Vec<String>> = head.iter().map(|(id, value)| vec![app.t(id, &[]), (*value).clone()]).collect();
    app.out.table(&[], &head)?;
    app.out.line("")?;
    let headings = ["schema.collection", "schema.label", "schema.flow", "schema.reach", "schema.fields"];
    let headings = headings.map(|id| app.t(id, &[]));
    let rows: Vec<Vec<String>> = schema
        .collections
        .values()
        .map(|c| {
            let fields = format_count(app.lang, c.fields.iter().filter(|f| !f.hidden).count() as u64);
            vec![c.id.clone(), c.label.text(lang).to_owned(), flow_name(c.flow).to_owned(), reach(c.reach), fields]
        })
        .collect();
    app.out.table(&headings.each_ref().map(String::as_str), &rows)?;
    Ok(ExitCode::Done)
}
