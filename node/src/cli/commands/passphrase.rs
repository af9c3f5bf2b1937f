//! `passphrase`: puts the keys of a folder under a passphrase, gives them another, or takes it away.
//!
//! It does not: encrypt records: whether the database is encrypted is settled when it is made, or by `encrypt`,
//! and this command says which it is.
//!
//! Invariants: a new passphrase is typed twice; a wrong one changes nothing.

use super::common::OrCli;
use crate::cli::args::{PassphraseAction, PassphraseArgs};
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes, unlock};
use crate::config::Settings;
use crate::dir::Dir;
use crate::entropy::SystemEntropy;
use crate::keys::unlock::{ask, file_given, given, read_file};
use crate::keys::{self, Cost, KeyError, Passphrase};
use crate::replica::Replica;
use serde_json::json;
use std::path::PathBuf;

/// Runs `passphrase`.
pub(super) fn passphrase(args: &PassphraseArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let dir = Dir::open(&args.dir).or_cli(app)?;
    let (keys, place) = (dir.keys(), dir.root().display().to_string());
    let locked = keys::is_locked(&keys);
    let refused = |code| app.error(code, &[("dir", &place), ("program", app.program)]).at(place.clone());
    let old = |app: &App| given().and_then(|p| p.ok_or(KeyError::Locked { path: dir.keys() })).or_cli(app);
    match args.action {
        PassphraseAction::Set => {
            if locked && !keys::half_locked(&keys).or_cli(app)? {
                return Err(refused(&codes::PASSPHRASE_SET));
            }
            let new = new_one(app, file_given(), &place)?;
            keys::set_passphrase(&keys, &new, Cost::calibrated(), &mut SystemEntropy).or_cli(app)?;
        }
        PassphraseAction::Change | PassphraseAction::Remove if !locked => {
            return Err(refused(&codes::PASSPHRASE_NONE));
        }
        PassphraseAction::Change => {
            let old = old(app)?;
            let new = new_one(app, args.new_passphrase_file.clone(), &place)?;
            keys::change_passphrase(&keys, &old, &new, Cost::calibrated(), &mut SystemEntropy).or_cli(app)?;
        }
        PassphraseAction::Remove => {
            let old = old(app)?;
            if dir.store().exists() {
                Replica::open(&args.dir, &Settings::default()).and_then(|mut r| r.unseal_tickets()).or_cli(app)?;
            }
            keys::remove_passphrase(&keys, &old).or_cli(app)?;
        }
    }
    let locked = keys::is_locked(&keys);
    let mut encrypted = false;
    if locked && dir.store().exists() {
        let mut replica = Replica::open(&args.dir, &Settings::default()).or_cli(app)?;
        replica.seal_tickets().or_cli(app)?;
        encrypted = replica.store.is_encrypted();
        drop(replica);
        super::recovery::made_with_passphrase(&args.dir, app);
    }
    if app.json {
        app.out.json(&json!({ "passphrase": locked }))?;
    }
    app.say(if locked { "passphrase.done" } else { "passphrase.removed" }, &[]);
    if locked {
        app.say(if encrypted { "passphrase.records_encrypted" } else { "passphrase.records_plain" }, &[]);
    }
    Ok(ExitCode::Done)
}

/// A new passphrase: from a file, or typed twice.
pub(super) fn new_one(app: &App, file: Option<PathBuf>, place: &str) -> Result<Passphrase, CliError> {
    if let Some(file) = file {
        return read_file(&file).or_cli(app);
    }
    if app.json || !unlock::at_terminal() {
        return Err(app.error(&codes::PASSPHRASE_NEEDED, &[("file", place)]).at(place));
    }
    let first = ask(&app.t("passphrase.new", &[])).or_cli(app)?;
    if !first.is_fit() {
        return Err(KeyError::Weak).or_cli(app);
    }
    if ask(&app.t("passphrase.again", &[])).or_cli(app)? != first {
        return Err(app.error(&codes::PASSPHRASE_TWICE, &[]));
    }
    Ok(first)
}
