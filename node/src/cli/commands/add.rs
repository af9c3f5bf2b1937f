//! `add`: one record from the command line, or many from a csv file.
//!
//! It does not: read csv (`cli::import` does) or write rows (the replica does).
//!
//! Invariants: a file is imported in one transaction or not at all; every row is checked, and every bad one named,
//! before anything is written: for this the file is read twice, and never held; ids come out in the order of the rows.

use super::common::{self, OrCli};
use super::unique::{Finder, ONE_BY_ONE_MAX, Uniques, uniques};
use crate::cli::args::AddArgs;
use crate::cli::convert::IntoCli;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::import::{BadCell, Column, CsvFile, ImportRow, Row, refused};
use crate::cli::{App, output, refuse};
use crate::i18n::{Lang, format_int, t, writing};
use crate::replica::{ImportRecord, Replica, ReplicaError};
use sampan_core::id::{RecordId, UnitId};
use sampan_core::limits::BAD_CELLS_BYTES_MAX;
use sampan_core::schema::{Collection, parse_cell_as, required_missing};
use sampan_core::store::{Store, StoreError};
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
    let unique = uniques(c, &fields);
    let id = replica.add(c, unit, fields).or_cli(app)?;
    common::written(replica);
    Finder::new(c).note_repeated(app, replica, c, &[(id, unique)])?;
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

/// Where a checked row goes.
#[derive(Clone, Copy)]
struct Placed {
    unit: UnitId,
    updates: Option<RecordId>,
}

/// What is wrong with a file's rows, as far as there is room for it.
#[derive(Default)]
struct BadRows {
    rows: usize,
    first: u64,
    cells: Vec<BadCell>,
    bytes: usize,
    /// Cells that there was no room for.
    more: usize,
}

impl BadRows {
    fn add(&mut self, cells: Vec<BadCell>) {
        let Some(first) = cells.first() else { return };
        if self.rows == 0 {
            self.first = first.line;
        }
        self.rows += 1;
        for cell in cells {
            self.bytes += size_of::<BadCell>() + cell.reason.len() + cell.field.as_ref().map_or(0, String::len);
            if self.bytes > BAD_CELLS_BYTES_MAX {
                self.more += 1;
            } else {
                self.cells.push(cell);
            }
        }
    }

    fn words(&self, lang: Lang) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| t(lang, "csv.more_bad", &[("count", &format_int(lang, self.more as i64))]));
        self.cells.iter().map(move |cell| cell.words(lang)).chain(more)
    }
}

/// What reading a file to check it found.
#[derive(Default)]
struct Checked {
    /// One for each row, in order; none for a bad one.
    rows: Vec<Option<Placed>>,
    bad: BadRows,
    /// The first row that is addressed to a unit which is not there.
    address: Option<CliError>,
}

fn from_file(
    app: &mut App,
    replica: &mut Replica,
    c: &Collection,
    file: &Path,
    skip_bad: bool,
) -> Result<ExitCode, CliError> {
    let lang = app.lang;
    let mut source = CsvFile::open(lang, file)?;
    let mut finder = Finder::new(c);
    let checked = check(app, replica, c, &mut source, &mut finder)?;
    if checked.bad.rows > 0 && !skip_bad {
        let error = refused(lang, &file.display().to_string(), checked.bad.rows, checked.bad.first);
        return Err(error.with_details(checked.bad.words(lang).collect()));
    }
    if let Some(error) = checked.address {
        return Err(error);
    }
    let updated = checked.rows.iter().flatten().filter(|p| p.updates.is_some()).count();
    let (ids, unique) = write(replica, c, &mut source, &checked.rows, lang)?;
    common::written(replica);
    let saved: Vec<(RecordId, Uniques)> = ids.iter().copied().zip(unique).collect();
    finder.note_repeated(app, replica, c, &saved)?;
    let skipped = checked.bad.rows;
    print(app, &ids, skipped)?;
    if !app.json {
        for words in checked.bad.words(lang) {
            output::to_stderr(&words);
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

/// Reads the whole file, and says of each row where it goes; nothing is written, and nothing of it held.
fn check(
    app: &App,
    replica: &mut Replica,
    c: &Collection,
    source: &mut CsvFile,
    finder: &mut Finder,
) -> Result<Checked, CliError> {
    let lang = app.lang;
    let mut units: Units = BTreeMap::new();
    let mut out = Checked::default();
    let mut good = 0;
    source.each_row(lang, &columns(c), &mut |name, text| cell(lang, c, name, text), &mut |row| {
        let placed = match row {
            Row::Bad(cells) => Err(cells),
            Row::Good(row) => {
                good += 1;
                if good == ONE_BY_ONE_MAX + 1 {
                    finder.read_all(app, replica, c)?;
                }
                let placed = place_row(app, replica, c, finder, &mut units, &row)?;
                placed.map_err(|(field, reason)| vec![BadCell { line: row.line, field, reason }])
            }
        };
        match placed {
            Ok((placed, fields)) => {
                if out.address.is_none() {
                    out.address = common::address_is_known(app, replica, c, fields.iter()).err();
                }
                out.rows.push(Some(placed));
            }
            Err(cells) => {
                out.bad.add(cells);
                out.rows.push(None);
            }
        }
        Ok::<(), CliError>(())
    })?;
    Ok(out)
}

/// Why writing the rows ended.
enum Broken {
    Cli(CliError),
    Replica(ReplicaError),
}

impl From<CliError> for Broken {
    fn from(e: CliError) -> Self {
        Self::Cli(e)
    }
}

impl From<ReplicaError> for Broken {
    fn from(e: ReplicaError) -> Self {
        Self::Replica(e)
    }
}

impl From<StoreError> for Broken {
    fn from(e: StoreError) -> Self {
        Self::Replica(e.into())
    }
}

/// Reads the file again, and writes each row to where it goes; the ids, and what is noted where it repeats.
fn write(
    replica: &mut Replica,
    c: &Collection,
    source: &mut CsvFile,
    places: &[Option<Placed>],
    lang: Lang,
) -> Result<(Vec<RecordId>, Vec<Uniques>), CliError> {
    let mut unique: Vec<Uniques> = Vec::new();
    let mut at = 0;
    let changed = source.changed(lang);
    let done = replica.import_from(c, |importer| {
        source.each_row(lang, &columns(c), &mut |name, text| cell(lang, c, name, text), &mut |row| {
            let place = places.get(at).ok_or_else(|| Broken::Cli(changed.clone()))?;
            at += 1;
            // A row that was bad before is skipped, whatever it says now: the file as a whole is compared at its end.
            let (Some(Placed { unit, updates }), Row::Good(row)) = (*place, row) else { return Ok(()) };
            let Ok((fields, _)) = fields_of(lang, c, &row) else { return Err(Broken::Cli(changed.clone())) };
            unique.push(uniques(c, &fields));
            Ok(importer.take(ImportRecord { unit, fields, updates })?)
        })
    });
    match done {
        Ok(ids) => Ok((ids, unique)),
        Err(Broken::Cli(e)) => Err(e),
        Err(Broken::Replica(e)) => Err(e.into_cli(lang)),
    }
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

/// Why a row cannot be placed: the field, and the reason.
type Bad = (Option<String>, String);

/// Where a row goes, and what it says.
type PlacedRow = (Placed, BTreeMap<String, Value>);

/// Units by the name that a row has for them.
type Units = BTreeMap<Option<String>, Result<UnitId, String>>;

/// The values of a row, and the record that it names.
type Fields = (BTreeMap<String, Value>, Option<RecordId>);

fn fields_of(lang: Lang, c: &Collection, row: &ImportRow) -> Result<Fields, Bad> {
    let mut fields = BTreeMap::new();
    let mut named = None;
    for (name, text) in &row.cells {
        match cell(lang, c, name, text) {
            Ok(Value::Str(id)) if name == ID_COLUMN => named = id.parse::<RecordId>().ok(),
            Ok(value) => drop(fields.insert(name.clone(), value)),
            Err(reason) => return Err((Some(name.clone()), reason)),
        }
    }
    if fields.is_empty() { Err((None, t(lang, "csv.nothing", &[]))) } else { Ok((fields, named)) }
}

/// Where a row goes: a new record of a unit, or an update of one that is here; and what it says.
fn place_row(
    app: &App,
    replica: &mut Replica,
    c: &Collection,
    finder: &Finder,
    units: &mut Units,
    row: &ImportRow,
) -> Result<Result<PlacedRow, Bad>, CliError> {
    let (fields, named) = match fields_of(app.lang, c, row) {
        Ok(found) => found,
        Err(bad) => return Ok(Err(bad)),
    };
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
            Ok(Ok((Placed { unit: *of, updates: Some(*id) }, fields)))
        }
        // An identity that exists is updated by its own key fields.
        [] | [_] => {
            let missing: BTreeSet<&str> = required_missing(c, &fields).into_iter().collect();
            if !missing.is_empty() {
                let names = missing.into_iter().collect::<Vec<_>>().join(", ");
                return Ok(Err((None, app.t("csv.required", &[("fields", &names)]))));
            }
            Ok(match unit {
                Ok(unit) => Ok((Placed { unit, updates: None }, fields)),
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
            let error = other.into_cli(app.lang);
            Err(format!("{} {}", error.message, error.hint))
        }
    }
}
