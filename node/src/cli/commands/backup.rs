//! `backup` and `restore`: a folder in one file, and a new folder out of it.
//!
//! It does not: know what the file looks like (`crate::backup` does).
//!
//! Invariants: neither ever writes over something; a backup that is not whole makes no folder.

use super::common::{self, OrCli};
use crate::backup::{self, Manifest};
use crate::cli::App;
use crate::cli::args::{BackupArgs, RestoreArgs};
use crate::cli::exit::{CliError, ExitCode};
use crate::dir::Dir;
use crate::i18n::format_time;
use crate::replica::system_clock;
use crate::stamp::rfc3339;
use serde_json::json;

/// Runs `backup`.
pub(super) fn backup(args: &BackupArgs, app: &mut App) -> Result<ExitCode, CliError> {
    common::database_is_there(app, &args.dir)?;
    let dir = Dir::open(&args.dir).or_cli(app)?;
    let manifest = backup::create(&dir, &args.file, system_clock()()).or_cli(app)?;
    let file = args.file.display().to_string();
    tell(app, &manifest)?;
    let bytes = crate::i18n::format_bytes(app.lang, manifest.bytes());
    app.say("backup.done", &[("file", &file), ("bytes", &bytes)]);
    let word = match (manifest.sealed, manifest.encrypted) {
        (true, true) => "backup.encrypted",
        (true, false) => "backup.sealed",
        (false, _) => "backup.plain",
    };
    app.say(word, &[("program", app.program)]);
    Ok(ExitCode::Done)
}

/// Runs `restore`.
pub(super) fn restore(args: &RestoreArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let manifest = backup::restore(&args.backup, &args.new_dir).or_cli(app)?;
    tell(app, &manifest)?;
    let dir = args.new_dir.display().to_string();
    app.say(
        "restore.done",
        &[("dir", &dir), ("at", &format_time(app.lang, manifest.made_at)), ("program", app.program)],
    );
    Ok(ExitCode::Done)
}

fn tell(app: &mut App, manifest: &Manifest) -> Result<(), CliError> {
    if app.json {
        app.out.json(&json!({
            "organisation": manifest.organisation.to_string(),
            "device": manifest.device.to_string(),
            "made_at": rfc3339(manifest.made_at),
            "sealed": manifest.sealed,
            "bytes": manifest.bytes(),
        }))?;
    }
    Ok(())
}
