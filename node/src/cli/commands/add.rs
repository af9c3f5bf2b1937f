//! `add`: one record from the command line, or many from a csv file.
//!
//! It does not: read csv (`cli::import` does) or write rows (the replica does).
//!
//! Invariants: a file is imported in one transaction or not at all; every bad row is named before
//! anything is written; ids come out in the order of the rows.

use super::common::{self, OrCli};
use super::unique::Finder;
use crate::cli::args::AddArgs;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::import::{BadCell, Column, Import, ImportRow, read_file};
use crate::cli::{App, output, refuse};
use crate::i18n::{Lang, format_int, t, writing};
use crate::replica::{ImportRecord, Replica, ReplicaError};
use sampan_core::id::{RecordId, UnitId};
use sampan_core::schema::{Collection, parse_cell_as, required_missing};
use sampan_core::store::Store;
use sampan_core::value::Value;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The column that an export names records by.
pub(super) const ID_COLUMN: &str = "_id";

/// Runs `add`.
pub(super) fn add(args: &AddArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let collection = common::collection(app, &replica, &args.collection)?;
    match &args.from {
        Some(file) => from_file(app, &mut replica, &collection, file, args.skip_bad),
        None => one(app, &mut replica, &collection, &args.assignments),
    }
}

fn one(app: &mut App, replica: &mut Replica, c: &Collection, typed: &[String]) -> Result<ExitCode, CliError> {
    let edits = common::edits(app, c, typed).map_err(|e| common::of_schema(app, replica, e))?;
    let fields = common::initial(app, c, edits)?;
    common::address_is_known(app, replica, c, fields.iter())?;
    let unit = common::unit(app, replica, app.unit.as_deref())?;
    let finder = Finder::new(app, replica, c, 1)?;
    let id = replica.add(c, unit, fields.clone()).or_cli(app)?;
    common::written(replica);
    finder.note_repeated(app, replica, c, &[(id, fields)])?;
    print(app, &[id], 0)?;
    app.say("record.saved", &[]);
    Ok(ExitCode::Done)
}

fn print(app: &mut App, ids: &[RecordId], skipped: usize) -> Result<(), CliError> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    if app.json {
        app.out.json(&json!({ "records": ids, "skipped": skipped }))?;
    } else {
        for id in ids {
            app.out.line(&id)?;
        }
    }
    Ok(())
}

fn from_file(
    app: &mut App,
    replica: &mut Replica,
    c: &Collection,
    file: &Path,
    skip_bad: bool,
) -> Result<ExitCode, CliError> {
    let lang = app.lang;
    let import = read_file(lang, file, &columns(c), &mut |name, text| cell(lang, c, name, text))?;
    let finder = Finder::new(app, replica, c, import.rows.len())?;
    let (rows, import) = place(app, replica, c, &finder, import)?;
    let skipped = import.bad_rows();
    let bad = import.bad.clone();
    import.accept(lang, &file.display().to_string(), skip_bad)?;
    let values: Vec<BTreeMap<String, Value>> = rows.iter().map(|r| r.fields.clone()).collect();
    common::address_is_known(app, replica, c, values.iter().flatten())?;
    let updated = rows.iter().filter(|r| r.updates.is_some()).count();
    let ids = replica.import(c, rows).or_cli(app)?;
    common::written(replica);
    let saved: Vec<_> = ids.iter().copied().zip(values).collect();
    finder.note_repeated(app, replica, c, &saved)?;
    print(app, &ids, skipped)?;
    if !app.json {
        for cell in &bad {
            output::to_stderr(&cell.words(lang));
        }
        let count = |n: usize| format_int(lang, n as i64);
        if skipped > 0 {
            app.say("csv.skipped", &[("count", &count(skipped))]);
        }
        if updated > 0 {
            app.say("record.updated_count", &[("count", &count(updated))]);
        }
        app.say("record.added", &[("count", &count(ids.len() - updated))]);
    }
    Ok(ExitCode::Done)
}

/// The headings that a file of this collection may have.
fn columns(c: &Collection) -> Vec<Column> {
    let of = |f: &sampan_core::schema::Field| Column {
        id: f.id.clone(),
        labels: [&f.label.vi, &f.label.en].into_iter().filter(|l| !l.is_empty()).cloned().collect(),
    };
    let id = Column { id: ID_COLUMN.to_owned(), labels: Vec::new() };
    c.fields.iter().map(of).chain([id]).collect()
}

/// One cell, or why not.
fn cell(lang: Lang, c: &Collection, name: &str, text: &str) -> Result<Value, String> {
    if name == ID_COLUMN {
        let id = text.parse::<RecordId>().map_err(|_| t(lang, "csv.id", &[]))?;
        return Ok(Value::Str(id.to_string()));
    }
    // The reader asks only for columns that it was given.
    let Some(field) = c.field(name) else { return Err(t(lang, "value.other", &[])) };
    match parse_cell_as(field, text, writing(lang)) {
        Ok(value) => Ok(value.unwrap_or_else(|| Value::Str(String::new()))),
        Err(e) => Err(format!("'{text}': {}", refuse::value_reason(lang, field, &e))),
    }
}

/// Where each row goes: a new record of a unit, or an update of one that is here.
fn place(
    app: &App,
    replica: &mut Replica,
    c: &Collection,
    finder: &Finder,
    mut import: Import,
) -> Result<(Vec<ImportRecord>, Import), CliError> {
    let mut units: BTreeMap<Option<String>, Result<UnitId, String>> = BTreeMap::new();
    let mut good = Vec::with_capacity(import.rows.len());
    let mut kept = Vec::with_capacity(import.rows.len());
    for row in std::mem::take(&mut import.rows) {
        match place_row(app, replica, c, finder, &mut units, &row)? {
            Ok(record) => {
                good.push(record);
                kept.push(row);
            }
            Err((field, reason)) => import.bad.push(BadCell { line: row.line, field, reason }),
        }
    }
    import.rows = kept;
    import.bad.sort_by_key(|b| b.line);
    Ok((good, import))
}

/// Why a row cannot be placed: the field, and the reason.
type Bad = (Option<String>, String);

fn place_row(
    app: &App,
    replica: &mut Replica,
    c: &Collection,
    finder: &Finder,
    units: &mut BTreeMap<Option<String>, Result<UnitId, String>>,
    row: &ImportRow,
) -> Result<Result<ImportRecord, Bad>, CliError> {
    let lang = app.lang;
    let mut fields = BTreeMap::new();
    let mut named = None;
    for (name, text) in &row.cells {
        match cell(lang, c, name, text) {
            Ok(Value::Str(id)) if name == ID_COLUMN => named = id.parse::<RecordId>().ok(),
            Ok(value) => drop(fields.insert(name.clone(), value)),
            Err(reason) => return Ok(Err((Some(name.clone()), reason))),
        }
    }
    if fields.is_empty() {
        return Ok(Err((None, app.t("csv.nothing", &[]))));
    }
    // A row without a unit of its own goes where `--unit` says.
    let wanted = row.unit.clone().or_else(|| app.unit.clone());
    let unit = units.entry(wanted.clone()).or_insert_with(|| find_unit(app, replica, wanted.as_deref())).clone();
    if let Err(reason) = &unit
        && row.unit.is_some()
    {
        return Ok(Err((Some(crate::cli::import::UNIT_COLUMN.to_owned()), reason.clone())));
    }
    let mut found = Vec::new();
    if let Some(id) = named
        && let Some(state) = replica.store.records(&[id]).or_cli(app)?.into_iter().flatten().next()
    {
        if state.collection != c.id {
            let values = [("record", id.to_string()), ("collection", state.collection)];
            let values = values.each_ref().map(|(k, v)| (*k, v.as_str()));
            return Ok(Err((Some(ID_COLUMN.to_owned()), app.t("csv.other_collection", &values))));
        }
        found.push((id, state.space.unit));
    }
    if found.is_empty() {
        found = finder.matching(app, replica, c, &fields)?;
    }
    match found.as_slice() {
        [(id, of)] if c.identity.is_empty() => {
            // Moving a record to another unit is not a matter of a column.
            if row.unit.is_some() && unit.as_ref().is_ok_and(|u| u != of) {
                let of = common::unit_name(replica, of);
                let values = [("record", id.to_string()), ("unit", of)];
                let values = values.each_ref().map(|(k, v)| (*k, v.as_str()));
                let field = crate::cli::import::UNIT_COLUMN.to_owned();
                return Ok(Err((Some(field), app.t("csv.other_unit", &values))));
            }
            Ok(Ok(ImportRecord { unit: *of, fields, updates: Some(*id) }))
        }
        // An identity that exists is updated by its own key fields.
        [] | [_] => {
            let missing: BTreeSet<&str> = required_missing(c, &fields).into_iter().collect();
            if !missing.is_empty() {
                let names = missing.into_iter().collect::<Vec<_>>().join(", ");
                return Ok(Err((None, app.t("csv.required", &[("fields", &names)]))));
            }
            Ok(match unit {
                Ok(unit) => Ok(ImportRecord { unit, fields, updates: None }),
                Err(reason) => Err((None, reason)),
            })
        }
        several => Ok(Err((None, app.t("csv.several", &[("count", &several.len().to_string())])))),
    }
}

fn find_unit(app: &App, replica: &Replica, named: Option<&str>) -> Result<UnitId, String> {
    match replica.unit_or_only(named) {
        Ok(unit) => Ok(unit),
        Err(ReplicaError::UnknownUnit { name, .. }) => Err(app.t("csv.unit", &[("name", &name)])),
        Err(ReplicaError::WhichUnit(_)) => Err(app.t("csv.unit_needed", &[])),
        Err(other) => {
            let error = crate::cli::convert::IntoCli::into_cli(other, app.lang);
            Err(format!("{} {}", error.message, error.hint))
        }
    }
}
