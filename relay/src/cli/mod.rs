//! The command line of `sampan-relay`.
//!
//! It does not: do what the commands do (see [`crate::admin`], and the node for records).
//!
//! Invariants: those of `sampan`: stdout carries data alone, every error ends with what to do next.

pub mod args;
mod commands;
mod link;
mod quarantine;
mod report;
mod root;
mod schema;
mod silent;
mod status;

pub use status::status_json;

use sampan_node::cli::output::Output;
use sampan_node::cli::{App, ExitCode, finish, usage};

/// The body of `main`: parses, chooses the language, dispatches, reports.
pub fn run(
    arguments: Vec<std::ffi::OsString>,
    env: &dyn Fn(&str) -> Option<String>,
    stdout: &mut dyn std::io::Write,
) -> ExitCode {
    let early = usage::peek(&arguments, env);
    let mut app =
        App { program: "sampan-relay", lang: early.lang, json: early.json, unit: None, out: Output::new(stdout), env };
    let result = usage::parse::<args::Cli>(arguments, &mut app).and_then(|cli| match cli {
        None => Ok(ExitCode::Done),
        Some(cli) => {
            sampan_node::cli::unlock::offer(&app, &cli.global);
            app.unit = cli.global.unit;
            match cli.command {
                Some(command) => commands::dispatch(&command, &mut app),
                None => {
                    let text = app.t("relay.everyday", &[("program", app.program)]);
                    app.out.line(&text)?;
                    Ok(ExitCode::Done)
                }
            }
        }
    });
    finish(result, &mut app)
}

#[cfg(test)]
mod tests;
