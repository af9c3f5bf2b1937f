//! One function a command, and the one place that chooses it.
//!
//! It does not: parse arguments or print errors.
//!
//! Invariants: `sampan` and `sampan-relay` run the same functions for the same words.

mod add;
mod audit;
mod backup;
mod bundle;
pub mod common;
mod doctor;
mod due;
mod edit;
mod encrypt;
mod erase;
mod file;
pub mod join;
pub mod link;
mod list;
mod passphrase;
mod recovery;
mod replies;
pub mod report;
mod rollup;
mod show;
pub mod status;
mod targets;
#[cfg(test)]
mod tests;
mod unique;
mod verify;

use super::App;
use super::args::{Command, RecordCommand, UpkeepCommand};
use super::exit::{CliError, ExitCode};

/// Runs a command of `sampan`.
///
/// # Errors
/// What the command refuses or fails at.
pub fn dispatch(command: &Command, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        Command::Join(args) => join::join(args, app),
        Command::Run(args) => link::run(args, app),
        Command::Sync(args) => link::sync(args, app),
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
        RecordCommand::Add(args) => add::add(args, app),
        RecordCommand::Set(args) => edit::set(args, app),
        RecordCommand::Remove(args) => edit::remove(args, app),
        RecordCommand::List(args) => list::list(args, app),
        RecordCommand::Show(args) => show::show(args, app),
        RecordCommand::Conflicts(args) => show::conflicts(args, app),
        RecordCommand::Resolve(args) => edit::resolve(args, app),
        RecordCommand::Erase(args) => erase::erase(args, app),
        RecordCommand::Export(args) => list::export(args, app),
        RecordCommand::Due(args) => due::due(args, app),
        RecordCommand::Replies(args) => replies::replies(args, app),
        RecordCommand::Targets(args) => targets::targets(args, app),
        // Who is silent only a relay knows.
        RecordCommand::Report(args) => report::report(args, app, &mut |_, _, _, _| Ok(None)),
        RecordCommand::Attach(args) => file::attach(args, app),
        RecordCommand::Fetch(args) => file::fetch(args, app),
    }
}

/// Runs a command that looks after the replica.
///
/// # Errors
/// As [`dispatch`].
pub fn upkeep(command: &UpkeepCommand, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        UpkeepCommand::Status(args) => status::status(args, app),
        UpkeepCommand::Rollup(args) => rollup::rollup(args, app),
        UpkeepCommand::Verify(args) => verify::verify(args, app),
        UpkeepCommand::Audit(args) => audit::audit(args, app),
        UpkeepCommand::Doctor(args) => doctor::doctor(args, app),
        UpkeepCommand::Bundle(command) => bundle::bundle(command, app),
        UpkeepCommand::Passphrase(args) => passphrase::passphrase(args, app),
        UpkeepCommand::Recovery(command) => recovery::recovery(command, app),
        UpkeepCommand::Encrypt(args) => encrypt::encrypt(args, app),
        UpkeepCommand::Backup(args) => backup::backup(args, app),
        UpkeepCommand::Restore(args) => backup::restore(args, app),
    }
}
