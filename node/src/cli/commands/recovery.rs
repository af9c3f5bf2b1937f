//! `recovery make`, `recovery ask`, `recovery answer` and `recovery finish`: a passphrase that was forgotten.
//!
//! It does not: know the texts or the keys (`crate::recovery`, `keys::recovery`).
//!
//! Invariants: `ask` and `finish` need no passphrase, and open nothing; what is refused changes nothing; a file
//! that is there is never written over.

use super::common::{self, OrCli};
use super::passphrase::new_one;
use crate::cli::args::{RecoveryAnswerArgs, RecoveryAskArgs, RecoveryCommand, RecoveryFinishArgs};
use crate::cli::convert::IntoCli;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::dir::{Dir, DirError};
use crate::entropy::SystemEntropy;
use crate::i18n::{Lang, format_time, t};
use crate::keys::Cost;
use crate::keys::recovery::{self as folder, RecoverError};
use crate::recovery::{self, DeskError};
use crate::replica::system_clock;
use crate::stamp::rfc3339;
use sampan_core::bundle::recovery::{Answer, RecoveryError, Request};
use sampan_core::limits::RECOVERY_BYTES_MAX;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Runs one of the four.
pub(super) fn recovery(command: &RecoveryCommand, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        RecoveryCommand::Make(args) => make(&args.dir, app),
        RecoveryCommand::Ask(args) => ask(args, app),
        RecoveryCommand::Answer(args) => answer(args, app),
        RecoveryCommand::Finish(args) => finish(args, app),
    }
}

fn make(dir: &Path, app: &mut App) -> Result<ExitCode, CliError> {
    let replica = common::open(app, dir)?;
    let devices = recovery::make(&replica).map_err(|e| in_words(e, app, dir))?;
    let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
    if app.json {
        app.out.json(&json!({ "sealed_to": devices }))?;
    }
    app.say("recovery.made", &[]);
    Ok(ExitCode::Done)
}

/// After a passphrase was set: leaves the key with the level above where there is one, and says so.
pub(super) fn made_with_passphrase(dir: &Path, app: &mut App) {
    let made = common::open(app, dir).and_then(|r| recovery::make(&r).map_err(|e| in_words(e, app, dir)));
    // The passphrase stands either way; what could not be left above is said, and made by the next sync.
    app.say(if made.is_ok() { "recovery.made" } else { "recovery.not_made" }, &[("program", app.program)]);
}

fn ask(args: &RecoveryAskArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let dir = Dir::open(&args.dir).or_cli(app)?;
    not_there(app, &args.request)?;
    let asked = folder::ask(&dir.keys(), system_clock()(), &mut SystemEntropy);
    let request = asked.map_err(|e| folder_words(e, app, &args.dir))?;
    write_new(app, &args.request, &request.text())?;
    let (file, code) = (args.request.display().to_string(), request.code());
    if app.json {
        app.out.json(&json!({ "file": file, "code": code }))?;
    } else {
        app.out.line(&code)?;
    }
    app.say("recovery.asked", &[("file", &file), ("code", &code), ("program", app.program)]);
    Ok(ExitCode::Done)
}

fn answer(args: &RecoveryAnswerArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let replica = common::open(app, &args.dir)?;
    not_there(app, &args.answer)?;
    let text = read(app, &args.request)?;
    let request = Request::read(&text).map_err(|e| text_words(&e, app.lang, app.program, &args.request))?;
    let asked = recovery::answer(&replica, &request, &args.code).map_err(|e| in_words(e, app, &args.request))?;
    write_new(app, &args.answer, &asked.answer.text())?;
    let charter = replica.engine.charter();
    let units: Vec<String> = asked.units.iter().map(|u| charter.path(u)).collect();
    let (device, file) = (asked.head.device.to_string(), args.answer.display().to_string());
    if app.json {
        app.out.json(&json!({
            "file": file,
            "device": device,
            "units": asked.units.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "made_at": rfc3339(asked.head.made),
            "asked_at": rfc3339(asked.asked),
        }))?;
    } else {
        app.out.line(&file)?;
    }
    let values =
        [("unit", units.join(", ")), ("device", device), ("at", format_time(app.lang, asked.asked)), ("file", file)];
    let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
    app.say("recovery.answered", &values);
    Ok(ExitCode::Done)
}

fn finish(args: &RecoveryFinishArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let dir = Dir::open(&args.dir).or_cli(app)?;
    let text = read(app, &args.answer)?;
    let answer = Answer::read(&text).map_err(|e| text_words(&e, app.lang, app.program, &args.answer))?;
    let new = new_one(app, args.new_passphrase_file.clone(), &args.dir.display().to_string())?;
    let done = folder::finish(&dir.keys(), &answer, &new, Cost::calibrated(), &mut SystemEntropy);
    done.map_err(|e| match e {
        RecoverError::Text(e) => text_words(&e, app.lang, app.program, &args.answer),
        other => folder_words(other, app, &args.dir),
    })?;
    if app.json {
        app.out.json(&json!({ "passphrase": true }))?;
    }
    app.say("recovery.done", &[("program", app.program)]);
    Ok(ExitCode::Done)
}

fn read(app: &App, path: &Path) -> Result<Vec<u8>, CliError> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let limit = RECOVERY_BYTES_MAX as u64 * 2;
    let got = File::open(path).and_then(|f| f.take(limit).read_to_end(&mut bytes));
    got.map_err(|e| app.error(&codes::FILE_UNREADABLE, &[("file", &name), ("reason", &e.to_string())]).at(name))?;
    Ok(bytes)
}

fn not_there(app: &App, path: &Path) -> Result<(), CliError> {
    if path.exists() {
        let file = path.display().to_string();
        return Err(app.error(&codes::FILE_EXISTS, &[("file", &file)]).at(file));
    }
    Ok(())
}

/// Writes a file that is not there, durably and for its owner alone; what was not finished is removed.
fn write_new(app: &App, path: &Path, text: &str) -> Result<(), CliError> {
    let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return not_there(app, path),
        Err(e) => return Err(DirError::from_io(path, e).into_cli(app.lang)),
    };
    (&file).write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| {
        let _ = fs::remove_file(path);
        DirError::from_io(path, e).into_cli(app.lang)
    })
}

fn text_words(error: &RecoveryError, lang: Lang, program: &str, file: &Path) -> CliError {
    let file = file.display().to_string();
    let new = |code, kind: &str| {
        let what = t(lang, &format!("recovery.{kind}"), &[]);
        CliError::new(lang, code, &[("file", &file), ("what", &what), ("program", program)]).at(file.clone())
    };
    match error {
        RecoveryError::Not(kind) => new(&codes::RECOVERY_NOT, kind),
        RecoveryError::Newer(kind) => new(&codes::RECOVERY_NEWER, kind),
        RecoveryError::Damaged(kind) => new(&codes::RECOVERY_DAMAGED, kind),
        RecoveryError::Signature => new(&codes::RECOVERY_DAMAGED, "request"),
        RecoveryError::NotForUs => new(&codes::RECOVERY_NOT_FOR_US, "request"),
        RecoveryError::OtherRequest => new(&codes::RECOVERY_OTHER, "answer"),
        RecoveryError::Receiver => new(&codes::RECOVERY_DAMAGED, "request"),
    }
}

fn folder_words(error: RecoverError, app: &App, dir: &Path) -> CliError {
    let place = dir.display().to_string();
    let values = [("dir", place.as_str()), ("program", app.program)];
    match error {
        RecoverError::NotLocked(_) => app.error(&codes::PASSPHRASE_NONE, &values).at(place.clone()),
        RecoverError::NoDeposit(_) => app.error(&codes::RECOVERY_NONE, &values).at(place.clone()),
        RecoverError::NotAsked(_) => app.error(&codes::RECOVERY_NOT_ASKED, &values).at(place.clone()),
        RecoverError::OtherFolder(_) => app.error(&codes::RECOVERY_OTHER, &[("file", &place)]).at(place.clone()),
        RecoverError::Text(e) => text_words(&e, app.lang, app.program, dir),
        RecoverError::Key(e) => e.into_cli(app.lang),
    }
}

fn in_words(error: DeskError, app: &App, file: &Path) -> CliError {
    let name = file.display().to_string();
    let refused = |why: &str, values: &[(&str, &str)]| {
        let what = app.t(why, values);
        app.error(&codes::RECOVERY_REFUSED, &[("file", &name), ("what", &what)]).at(name.clone())
    };
    match error {
        DeskError::Folder(RecoverError::Text(e)) => text_words(&e, app.lang, app.program, file),
        DeskError::Folder(e) => folder_words(e, app, file),
        DeskError::Plan(_) => app.error(&codes::BUNDLE_NOTHING_ABOVE, &[]),
        DeskError::Store(e) => e.into_cli(app.lang),
        DeskError::OtherOrganisation => refused("recovery.other_org", &[]),
        DeskError::Code => app.error(&codes::RECOVERY_CODE, &[("file", &name)]).at("--code"),
        DeskError::Ended(reason) => refused("recovery.ended", &[("reason", &reason)]),
        DeskError::Unknown => refused("recovery.unknown", &[]),
        DeskError::NotBelow => refused("recovery.not_below", &[]),
    }
}
