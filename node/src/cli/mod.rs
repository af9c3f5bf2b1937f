//! The command line: its shape, its exits, its words, and the way of data in and out.
//!
//! It does not: do the work of a command (`commands` calls the replica) or know SQL, QUIC or
//! Automerge.
//!
//! Invariants: stdout carries data and `ready …` alone; every error ends with what to do next; the
//! codes and exits stand in one list ([`codes`]).

pub mod args;
pub mod assign;
pub mod codes;
pub mod commands;
pub mod convert;
pub mod exit;
pub mod import;
pub mod output;
pub mod progress;
pub mod refuse;
pub mod unlock;
pub mod usage;

pub use exit::{CliError, ExitCode};

use crate::i18n::Lang;
use output::Output;

/// What every command is given beside its own arguments.
pub struct App<'a> {
    /// The program's name, for hints: `sampan` or `sampan-relay`.
    pub program: &'static str,
    /// The language of words.
    pub lang: Lang,
    /// Whether results and errors are JSON.
    pub json: bool,
    /// `--unit`, as given.
    pub unit: Option<String>,
    /// Results.
    pub out: Output<'a>,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl App<'_> {
    /// A message in the language of this run.
    #[must_use]
    pub fn t(&self, id: &str, values: &[(&str, &str)]) -> String {
        crate::i18n::t(self.lang, id, values)
    }

    /// Words for the person, on stderr; nothing with `--json`, where a program reads.
    pub fn say(&self, id: &str, values: &[(&str, &str)]) {
        if !self.json {
            output::to_stderr(&self.t(id, values));
        }
    }

    /// An error in the language of this run.
    #[must_use]
    pub fn error(&self, code: &'static codes::Code, values: &[(&str, &str)]) -> CliError {
        CliError::new(self.lang, code, values)
    }
}

/// The body of `main` for `sampan`: parses, chooses the language, dispatches, reports.
pub fn run(
    arguments: Vec<std::ffi::OsString>,
    env: &dyn Fn(&str) -> Option<String>,
    stdout: &mut dyn std::io::Write,
) -> ExitCode {
    let early = usage::peek(&arguments, env);
    // A flag leads the environment and the config: those who ask the environment later see it there.
    let flagged = |name: &str| match early.flag {
        Some(lang) if name == "SAMPAN_LANG" => Some(lang.code().to_owned()),
        _ => env(name),
    };
    let env = &flagged;
    let mut app =
        App { program: "sampan", lang: early.lang, json: early.json, unit: None, out: Output::new(stdout), env };
    let result = usage::parse::<args::Cli>(arguments, &mut app).and_then(|cli| match cli {
        None => Ok(ExitCode::Done),
        Some(cli) => {
            unlock::offer(&app, &cli.global);
            app.unit = cli.global.unit;
            match cli.command {
                Some(command) => commands::dispatch(&command, &mut app),
                None => {
                    let text = app.t("everyday", &[("program", app.program)]);
                    app.out.line(&text)?;
                    Ok(ExitCode::Done)
                }
            }
        }
    });
    finish(result, &mut app)
}

/// Flushes results and reports an error; the exit of the process.
pub fn finish(result: Result<ExitCode, CliError>, app: &mut App) -> ExitCode {
    let result = result.and_then(|exit| app.out.flush().map(|()| exit).map_err(CliError::from));
    match result {
        Ok(exit) => exit,
        Err(error) => {
            output::to_stderr(&if app.json { error.to_json() } else { error.to_words() });
            error.exit
        }
    }
}

#[cfg(test)]
mod tests;
