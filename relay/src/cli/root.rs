//! `root …`: what a person does with the root key, and what is told about it.
//!
//! It does not: touch a key itself (see [`crate::admin::root`]).

use super::args::RootCommand;
use crate::admin::root;
use sampan_core::id::DeviceId;
use sampan_node::cli::{App, CliError, ExitCode};
use serde_json::json;

/// Runs one of them.
///
/// # Errors
/// What is refused.
pub fn run(command: &RootCommand, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        RootCommand::Export(a) => {
            let key = root::export(app, &a.dir, &a.key_file)?;
            told(app, &key, "root.exported", &a.key_file.display().to_string())
        }
        RootCommand::Import(a) => {
            let key = root::import(app, &a.dir, &a.key_file)?;
            told(app, &key, "root.imported", &a.key_file.display().to_string())
        }
        RootCommand::Succeed(a) => {
            root::succeed(app, &a.dir, &a.succession_key, &mut |app, key, line| {
                if app.json {
                    app.out.json(&json!({ "root_key": key.to_string(), "succession_key": line }))?;
                }
                app.say("root.next_succession", &[("line", line)]);
                Ok(app.out.flush()?)
            })?;
            app.say("root.succeeded", &[("file", &a.dir.join("keys/root.key").display().to_string())]);
            Ok(ExitCode::Done)
        }
        RootCommand::Appoint(a) => {
            let device = root::appoint(app, &a.dir, &a.holder)?;
            if app.json {
                app.out.json(&json!({ "device": device.to_string(), "role": "admin" }))?;
            }
            app.say("root.appointed", &[("device", &device.to_string())]);
            Ok(ExitCode::Done)
        }
        RootCommand::Show(a) => {
            let row = root::show(app, &a.dir)?;
            if app.json {
                app.out.json(&row)?;
                return Ok(ExitCode::Done);
            }
            let place = app.t(if row.here { "root.here" } else { "root.away" }, &[]);
            let mut rows = vec![vec![app.t("root.key", &[]), row.root_key, place]];
            let none = app.t("root.none", &[]);
            rows.push(vec![app.t("root.succession", &[]), row.succession_key.unwrap_or(none), String::new()]);
            for named in row.named {
                let stands = app.t(if named.stands { "root.stands" } else { "root.void" }, &[]);
                rows.push(vec![app.t("root.named", &[]), named.root_key, stands]);
            }
            app.out.table(&[], &rows)?;
            Ok(ExitCode::Done)
        }
    }
}

fn told(app: &mut App, key: &DeviceId, words: &str, file: &str) -> Result<ExitCode, CliError> {
    if app.json {
        app.out.json(&json!({ "root_key": key.to_string() }))?;
    }
    app.say(words, &[("file", file)]);
    Ok(ExitCode::Done)
}
