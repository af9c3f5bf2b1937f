//! One function a command, and the one place that chooses it.
//!
//! It does not: parse arguments or print errors.

use super::args::{Command, RecordCommand, UpkeepCommand};
use super::exit::{CliError, ExitCode};
use super::{App, codes};

/// Runs a command of `sampan`.
///
/// # Errors
/// What the command refuses or fails at.
pub fn dispatch(command: &Command, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        Command::Join(_) => not_wired(app, "join"),
        Command::Run(_) => not_wired(app, "run"),
        Command::Sync(_) => not_wired(app, "sync"),
        Command::Record(command) => record(command, app),
        Command::Upkeep(command) => upkeep(command, app),
    }
}

/// Runs a command on records, for `sampan` and `sampan-relay`.
///
/// # Errors
/// As [`dispatch`].
pub fn record(command: &RecordCommand, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        RecordCommand::Add(_) => not_wired(app, "add"),
        RecordCommand::Set(_) => not_wired(app, "set"),
        RecordCommand::Remove(_) => not_wired(app, "remove"),
        RecordCommand::List(_) => not_wired(app, "list"),
        RecordCommand::Show(_) => not_wired(app, "show"),
        RecordCommand::Conflicts(_) => not_wired(app, "conflicts"),
        RecordCommand::Resolve(_) => not_wired(app, "resolve"),
        RecordCommand::Export(_) => not_wired(app, "export"),
    }
}

/// Runs a command that looks after the replica.
///
/// # Errors
/// As [`dispatch`].
pub fn upkeep(command: &UpkeepCommand, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        UpkeepCommand::Status(_) => not_wired(app, "status"),
        UpkeepCommand::Verify(_) => not_wired(app, "verify"),
        UpkeepCommand::Doctor(_) => not_wired(app, "doctor"),
    }
}

fn not_wired(app: &App, command: &str) -> Result<ExitCode, CliError> {
    Err(app.error(&codes::NOT_WIRED, &[("command", command)]))
}
