//! `verify`: every signature, payload and index of the store, and every record opened once.
//!
//! It does not: repair.
//!
//! Invariants: damage is exit 5, with all of it named.

use super::audit;
use super::common::{self, OrCli};
use crate::cli::args::VerifyArgs;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::i18n::format_int;
use crate::replica::Replica;
use crate::store::{Damage, VerifyReport};
use sampan_core::engine::EditFailure;
use serde_json::json;

/// Runs `verify`.
pub(super) fn verify(args: &VerifyArgs, app: &mut App) -> Result<ExitCode, CliError> {
    if let Some(file) = &args.audit {
        return audit::verify(file, args, app);
    }
    // The shape of the command sees to it that one of the two is there.
    let dir = args.dir.as_deref().unwrap_or_else(|| std::path::Path::new("."));
    let mut replica = common::open(app, dir)?;
    let mut report = replica.store.verify(&replica.engine.org()).or_cli(app)?;
    if report.damaged.is_empty() {
        open_all(app, &mut replica, &mut report)?;
    }
    let damage = |d: &Damage| json!({ "table": d.table, "record": d.record, "what": d.what });
    if app.json {
        let damaged: Vec<_> = report.damaged.iter().map(damage).collect();
        app.out.json(&json!({ "checked": report.checked, "damaged": damaged, "repaired": 0 }))?;
    } else {
        for d in &report.damaged {
            let record = d.record.as_deref().unwrap_or_default();
            let line = app.t("verify.damaged", &[("table", d.table), ("record", record), ("what", &d.what)]);
            app.out.line(&crate::cli::output::printable(&line))?;
        }
    }
    if report.damaged.is_empty() {
        let count = format_int(app.lang, i64::try_from(report.checked).unwrap_or(i64::MAX));
        app.say("verify.clean", &[("count", &count)]);
        return Ok(ExitCode::Done);
    }
    Err(app.error(&codes::DAMAGE_FOUND, &[("count", &report.damaged.len().to_string())]))
}

/// Opens every record and compares it with its row: the store vouches for bytes, this for what they
/// mean.
fn open_all(app: &App, replica: &mut Replica, report: &mut VerifyReport) -> Result<(), CliError> {
    replica.project().or_cli(app)?;
    let Some(schema) = replica.schema().cloned() else { return Ok(()) };
    for collection in schema.collections.values() {
        for row in replica.store.query(collection, None, None, true).or_cli(app)? {
            report.checked += 1;
            let mut add = |table, what: String| {
                report.damaged.push(Damage { table, record: Some(row.id.to_string()), what });
            };
            let opened = replica.engine.document(&replica.store, row.id);
            let view = opened.and_then(|(_, _, d)| d.view().map_err(|e| EditFailure::Damaged(row.id, e)));
            match view {
                Ok(mut view) => {
                    // The table has columns for the schema's fields alone.
                    view.fields.retain(|name, _| collection.field(name).is_some());
                    if view.removed != row.removed || view.fields != row.values {
                        add("projections", "its row does not show what its changes say".to_owned());
                    }
                }
                Err(EditFailure::Store(e)) => return Err(e).or_cli(app),
                Err(e) => add("records", e.to_string()),
            }
        }
    }
    Ok(())
}
