//! `encrypt`: encrypts the database of a folder that was made without.
//!
//! It does not: work in a program that was built without encryption, and says so.
//!
//! Invariants: what fails leaves the plain database as it was.

use super::common::{self, OrCli};
use crate::cli::App;
use crate::cli::args::DirArgs;
use crate::cli::codes;
use crate::cli::exit::{CliError, ExitCode};
use crate::dir::Dir;
use crate::keys::database;
use crate::replica::Replica;
use serde_json::json;

/// Runs `encrypt`.
pub(super) fn encrypt(args: &DirArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let dir = Dir::open(&args.dir).or_cli(app)?;
    common::database_is_there(app, &args.dir)?;
    if !database::BUILT_IN {
        return Err(app.error(&codes::ENCRYPTION_NONE, &[]));
    }
    // A daemon must not have it open.
    let _lock = dir.lock().or_cli(app)?;
    let changed = Replica::encrypt(&args.dir).or_cli(app)?;
    if app.json {
        app.out.json(&json!({ "encrypted": true, "changed": changed }))?;
    }
    app.say(if changed { "encrypt.done" } else { "encrypt.already" }, &[]);
    if !crate::keys::is_locked(&dir.keys()) {
        app.say("encrypt.no_passphrase", &[("program", app.program)]);
    }
    Ok(ExitCode::Done)
}
