//! The serving half of a relay: who is connected, what goes to whom.
//!
//! It does not: administer units and devices (`admin`).

use crate::cli::args::RunArgs;
use sampan_node::cli::args::SyncArgs;
use sampan_node::cli::{App, CliError, ExitCode, codes};

/// `run`.
///
/// # Errors
/// What stops the daemon.
pub fn cli_run(_: &RunArgs, app: &mut App) -> Result<ExitCode, CliError> {
    Err(app.error(&codes::NOT_WIRED, &[("command", "run")]))
}

/// `sync`.
///
/// # Errors
/// Not reachable, refused, or not yet in sync.
pub fn cli_sync(_: &SyncArgs, app: &mut App) -> Result<ExitCode, CliError> {
    Err(app.error(&codes::NOT_WIRED, &[("command", "sync")]))
}
