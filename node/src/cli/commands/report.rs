//! `report`: one page for people who would rather look.
//!
//! It does not: gather or lay out (see [`crate::report`]).
//!
//! Invariants: a file is written whole beside its place and then moved there, as `export` does; what cannot be written
//! leaves an older file as it was.

use super::common::{self, OrCli};
use super::rollup::refused;
use crate::cli::args::ReportArgs;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::replica::Replica;
use crate::report::model::SilentPart;
use crate::report::{Wanted, gather, page};
use sampan_core::id::UnitId;
use serde_json::json;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Who is silent below a unit, where the program knows: days, the unit, the list.
pub type Silent<'f> = &'f mut dyn FnMut(&mut Replica, &App, u32, UnitId) -> Result<Option<SilentPart>, CliError>;

/// Runs `report`.
///
/// # Errors
/// What it refuses or fails at.
pub fn report(args: &ReportArgs, app: &mut App, silent: Silent<'_>) -> Result<ExitCode, CliError> {
    let ending = args.out.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = args.out.display().to_string();
    if ending != "html" && ending != "htm" {
        return Err(app.error(&codes::REPORT_KIND, &[("kind", &format!(".{ending}"))]).at(name));
    }
    let mut replica = common::open(app, &args.dir)?;
    let unit = app.unit.as_deref().map(|u| replica.find_unit(u)).transpose().or_cli(app)?;
    let unit = replica.figure_unit(unit).map_err(|e| refused(app, &replica, e))?;
    let wanted = Wanted { unit: Some(unit), period: args.period.clone() };
    let mut report = gather(&mut replica, &wanted, app.lang).map_err(|e| refused(app, &replica, e))?;
    report.silent = silent(&mut replica, app, args.days, unit)?;
    write(&args.out, &page(&report)).map_err(|e| {
        let values = [("file", name.as_str()), ("reason", &e.to_string())];
        app.error(&codes::FILE_UNWRITABLE, &values).at(name.clone())
    })?;
    if app.json {
        app.out.json(&json!({
            "file": name,
            "unit": unit.to_string(),
            "period": args.period,
            "targets": report.targets.len(),
            "metrics": report.metrics.len(),
            "missing": report.missing_all,
            "silent": report.silent.as_ref().map(|s| s.lines.len()),
            "questions": report.questions.len(),
            "projected_to": report.projected_to,
        }))?;
    }
    app.say("report.done", &[("file", &name)]);
    Ok(ExitCode::Done)
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let written = write_draft(&draft, text).and_then(|()| fs::rename(&draft, file));
    if written.is_err() {
        // What is left is ours alone, and the person was told that nothing was written.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_draft(draft: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
