//! `verify`: every signature, payload and index of the store, and every record opened once.
//!
//! It does not: check or rebuild anything itself (the replica does).
//!
//! Invariants: damage is exit 5, with all of it named, unless it was repaired; nothing is repaired unasked.

use super::audit;
use super::common::{self, OrCli};
use crate::cli::args::VerifyArgs;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::config::Settings;
use crate::dir::Dir;
use crate::i18n::format_int;
use crate::replica::{Repaired, Replica};
use crate::store::{Damage, VerifyReport};
use serde_json::json;

/// Runs `verify`.
pub(super) fn verify(args: &VerifyArgs, app: &mut App) -> Result<ExitCode, CliError> {
    if let Some(file) = &args.audit {
        return audit::verify(file, args, app);
    }
    // The shape of the command sees to it that one of the two is there.
    let dir = args.dir.as_deref().unwrap_or_else(|| std::path::Path::new("."));
    let checked = common::open(app, dir).and_then(|mut replica| replica.verify().or_cli(app));
    let report = match checked {
        Ok(report) => report,
        // Too damaged for the engine: its tables can be looked at all the same, through a connection of their own
        // (of an encrypted database one that met a spoilt page reads nothing more).
        Err(e) if e.code == codes::DATABASE_DAMAGED.name => match Replica::verify_tables(dir) {
            Ok(mut report) => {
                if report.damaged.is_empty() {
                    report.damaged.push(Damage { table: "file", record: None, what: e.message });
                }
                report
            }
            Err(_) => return Err(e),
        },
        Err(e) => return Err(e),
    };
    let sound = report.damaged.is_empty();
    let repaired = if args.repair && !sound { Some(repair(dir, app)?) } else { None };
    let (done, left) = repaired.unwrap_or_default();
    let fixed = if repaired.is_some() {
        (report.damaged.len() as u64).saturating_sub(done.lost_commits + done.lost_edits).max(1)
    } else {
        0
    };
    tell(app, &report, fixed, done)?;
    let count = |n: u64| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    if sound {
        app.say("verify.clean", &[("count", &count(report.checked))]);
        if discard_damaged(dir, app)? {
            app.say("verify.discarded", &[]);
        }
        return Ok(ExitCode::Done);
    }
    let damage =
        |n: usize| Err(app.error(&codes::DAMAGE_FOUND, &[("count", &n.to_string()), ("program", app.program)]));
    if repaired.is_none() {
        return damage(report.damaged.len());
    }
    app.say("verify.rebuilt", &[("count", &count(fixed))]);
    if done.lost_edits > 0 {
        app.say("verify.lost_edits", &[("count", &count(done.lost_edits))]);
    }
    if left > 0 {
        return damage(left);
    }
    if done.lost_commits + done.waiting > 0 {
        let (lost, waiting) = (count(done.lost_commits), count(done.waiting));
        let values = [("lost", lost.as_str()), ("waiting", &waiting), ("program", app.program)];
        return Err(app.error(&codes::REPAIR_SYNC, &values));
    }
    Ok(ExitCode::Done)
}

/// Removes the damaged database that a repair left, once a session after it has said that both ends hold the
/// same: until then it may be the only one that has something.
fn discard_damaged(at: &std::path::Path, app: &App) -> Result<bool, CliError> {
    let dir = Dir::open(at).or_cli(app)?;
    let copy = dir.damaged();
    let Ok(left) = std::fs::metadata(&copy).and_then(|m| m.modified()) else { return Ok(false) };
    let left = left.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let mut replica = Replica::open(at, &Settings::default()).or_cli(app)?;
    let verified = replica.status().or_cli(app)?.verified_at;
    if verified.is_none_or(|at| at.0 <= left) {
        return Ok(false);
    }
    std::fs::remove_file(&copy).map_err(|e| crate::dir::DirError::from_io(&copy, e)).or_cli(app)?;
    Ok(true)
}

/// Rebuilds the database and checks the new one; how much of it is damaged.
fn repair(at: &std::path::Path, app: &App) -> Result<(Repaired, usize), CliError> {
    // A daemon must not have it open; the lock is kept until the new one was checked.
    let _lock = Dir::open(at).and_then(|dir| dir.lock()).or_cli(app)?;
    let done = Replica::repair(at).or_cli(app)?;
    let mut again = Replica::open(at, &Settings::default()).or_cli(app)?;
    let left = again.verify().or_cli(app)?;
    Ok((done, left.damaged.len()))
}

fn tell(app: &mut App, report: &VerifyReport, fixed: u64, done: Repaired) -> Result<(), CliError> {
    let damage = |d: &Damage| json!({ "table": d.table, "record": d.record, "what": d.what });
    if app.json {
        let damaged: Vec<_> = report.damaged.iter().map(damage).collect();
        app.out.json(&json!({
            "checked": report.checked,
            "damaged": damaged,
            "repaired": fixed,
            "to_fetch": done.lost_commits,
            "waiting": done.waiting,
            "lost_edits": done.lost_edits,
        }))?;
    } else {
        for d in &report.damaged {
            let record = d.record.as_deref().unwrap_or_default();
            let line = app.t("verify.damaged", &[("table", d.table), ("record", record), ("what", &d.what)]);
            app.out.line(&crate::cli::output::printable(&line))?;
        }
    }
    Ok(())
}
