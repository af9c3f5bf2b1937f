//! What the commands share: opening a replica, finding what a person named, writing a record.
//!
//! It does not: do the work of a command.
//!
//! Invariants: a record has one JSON shape wherever it is printed; times are RFC 3339, UTC.

use crate::cli::convert::{IntoCli, did_you_mean, list_of};
use crate::cli::exit::CliError;
use crate::cli::{App, assign, codes, refuse};
use crate::config::Settings;
pub(super) use crate::i18n::schema_lang;
use crate::i18n::{self, Lang, writing};
use crate::replica::{Replica, ReplicaError};
use crate::stamp::rfc3339;
use crate::store::ProjectedRow;
use sampan_core::id::{DeviceId, RecordId, UnitId};
use sampan_core::schema::expr::{Expr, Op, Operand, Term};
use sampan_core::schema::{self, Assignment, Collection, assign::REMOVED, title, to_json};
use sampan_core::store::{Store, StoreError};
use sampan_core::time::Millis;
use sampan_core::value::{Edit, Kind, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Digits of a device's id that people are shown.
const DEVICE_SHOWN: usize = 12;
/// Digits at either end of an unknown record's id that a known one must share to be suggested.
const NEAR_DIGITS: usize = 6;
/// Suggestions of records.
const NEAR_RECORDS_MAX: usize = 3;
/// Ids that an ambiguous beginning is answered with.
const AMBIGUOUS_SHOWN_MAX: usize = 8;

/// Errors of the parts in the language of the run.
pub(super) trait OrCli<T> {
    fn or_cli(self, app: &App) -> Result<T, CliError>;
}

impl<T, E: IntoCli> OrCli<T> for Result<T, E> {
    fn or_cli(self, app: &App) -> Result<T, CliError> {
        self.map_err(|e| e.into_cli(app.lang))
    }
}

/// A folder whose database is gone is said to be so; only `sync` and `run` begin a new one, to have it
/// filled again.
///
/// # Errors
/// `database_missing`.
pub fn database_is_there(app: &App, dir: &Path) -> Result<(), CliError> {
    let known = crate::dir::Dir::open(dir).or_cli(app)?;
    if known.store().exists() {
        return Ok(());
    }
    Err(app.error(&codes::DATABASE_MISSING, &[("program", app.program)]).at(dir.display().to_string()))
}

/// Opens the replica of a folder; its config's language counts where no flag or variable says another.
pub(super) fn open(app: &mut App, dir: &Path) -> Result<Replica, CliError> {
    database_is_there(app, dir)?;
    let replica = Replica::open(dir, &Settings::default()).or_cli(app)?;
    let said = (app.env)("SAMPAN_LANG").is_some_and(|t| !t.is_empty());
    if let Some(lang) = replica.config().lang.filter(|_| !said && app.lang == Lang::choose(None, None, app.env)) {
        app.lang = lang;
    }
    Ok(replica)
}

/// The collection of this name.
pub(super) fn collection(app: &App, replica: &Replica, name: &str) -> Result<Collection, CliError> {
    let published = replica.engine.charter().schema().map(|p| p.version.to_string());
    let schema = match (replica.schema(), published) {
        (Some(schema), _) => schema,
        (None, Some(version)) => return Err(app.error(&codes::SCHEMA_NEWER, &[("version", &version)])),
        (None, None) => return Err(ReplicaError::NoSchema).or_cli(app),
    };
    schema.collection(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = schema.collections.keys().map(String::as_str).collect();
        let unknown = crate::cli::convert::unknown_name(app.lang, &codes::UNKNOWN_COLLECTION, name, &known, &[]);
        of_schema(app, replica, unknown)
    })
}

/// Where a name is unknown, which version of the schema does not know it: a newer one may.
pub(super) fn of_schema(app: &App, replica: &Replica, mut error: CliError) -> CliError {
    let unknown = [codes::UNKNOWN_FIELD.name, codes::UNKNOWN_COLLECTION.name, codes::UNKNOWN_CHOICE.name];
    if let Some(schema) = replica.schema().filter(|_| unknown.contains(&error.code)) {
        let newer = replica.engine.schema_newer().map(|version| (version, Some(schema.version)));
        match newer {
            Some(newer) => error.hint.push_str(&format!(" {}", super::status::schema_words(app, newer))),
            None => error.hint.push_str(&app.t("schema.here", &[("version", &schema.version.to_string())])),
        }
    }
    error
}

/// The unit that `--unit` or `_unit` names, or the only one.
pub(super) fn unit(app: &App, replica: &Replica, named: Option<&str>) -> Result<UnitId, CliError> {
    replica.unit_or_only(named).or_cli(app)
}

/// The record of an id, or of a beginning of it that only one record has.
pub(super) fn record(app: &App, replica: &mut Replica, text: &str) -> Result<RecordId, CliError> {
    let text = text.trim();
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    if let Ok(id) = text.parse::<RecordId>() {
        if replica.store.records(&[id]).or_cli(app)?.into_iter().flatten().next().is_some() {
            return Ok(id);
        }
        if replica.engine.charter().erasure_of(&id).is_some() {
            return Err(app.error(&codes::RECORD_ERASED, &[("name", text)]).at(text));
        }
    } else if digits {
        let lower = text.to_ascii_lowercase();
        let mut found = with_digits(replica, &lower).or_cli(app)?;
        found.retain(|(id, _)| id.to_string().starts_with(&lower));
        match found.as_slice() {
            [(id, _)] => return Ok(*id),
            [] => {}
            several => {
                let ids: Vec<String> = several.iter().take(AMBIGUOUS_SHOWN_MAX).map(|(id, _)| id.to_string()).collect();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let values = [("name", text), ("known", &list_of(app.lang, &ids))];
                return Err(app.error(&codes::AMBIGUOUS_RECORD, &values).at(text));
            }
        }
    }
    let near = did_you_mean(app.lang, &near_records(replica, text, digits).or_cli(app)?);
    Err(app.error(&codes::UNKNOWN_RECORD, &[("name", text), ("nearest", &near)]).at(text))
}

/// Records with these digits anywhere in their id, with their titles.
fn with_digits(replica: &mut Replica, digits: &str) -> Result<Vec<(RecordId, String)>, StoreError> {
    let term = Term {
        field: "_id".to_owned(),
        kind: Kind::String,
        op: Op::Contains,
        operand: Operand::Folded(digits.to_owned()),
    };
    named(replica, Some(&Expr { terms: vec![term] }), None)
}

/// Records of every collection, removed ones included, with their titles.
fn named(
    replica: &mut Replica,
    filter: Option<&Expr>,
    search: Option<&str>,
) -> Result<Vec<(RecordId, String)>, StoreError> {
    replica.project()?;
    let Some(schema) = replica.schema() else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for collection in schema.collections.values() {
        let rows = replica.store.query(collection, filter, search, true)?;
        out.extend(rows.into_iter().map(|r| (r.id, title(collection, &r.values))));
    }
    Ok(out)
}

/// Records that may have been meant: by either end of a mistyped id, or by a name instead of an id.
fn near_records(replica: &mut Replica, text: &str, digits: bool) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    if digits && text.len() >= NEAR_DIGITS {
        let lower = text.to_ascii_lowercase();
        found = with_digits(replica, &lower[..NEAR_DIGITS])?;
        found.extend(with_digits(replica, &lower[lower.len() - NEAR_DIGITS..])?);
    } else if !text.is_empty() && !digits {
        found = named(replica, None, Some(text))?;
    }
    let mut seen = BTreeSet::new();
    found.retain(|(id, _)| seen.insert(*id));
    found.truncate(NEAR_RECORDS_MAX);
    Ok(found
        .into_iter()
        .map(|(id, title)| if title.is_empty() { id.to_string() } else { format!("{id} ({title})") })
        .collect())
}

/// What a person typed, as edits; a required field is not emptied at the keyboard.
pub(super) fn edits(app: &App, collection: &Collection, typed: &[String]) -> Result<Vec<(String, Edit)>, CliError> {
    // First the shape of each argument and what contradicts itself.
    assign::parse_all(app.lang, typed)?;
    let mut out = Vec::with_capacity(typed.len());
    for text in typed {
        let (field, edit) = Assignment::parse_as(collection, text, writing(app.lang))
            .map_err(|e| refuse::bad_assignment(app.lang, collection, &e))?;
        if let Edit::Set(Value::Str(text)) = &edit
            && collection.field(&field).is_some_and(|f| f.kind == Kind::File)
            && let Err(e) = text.parse::<sampan_core::file::FileRef>()
        {
            return Err(app.error(&codes::FILE_FORM, &[("what", &e.to_string())]).at(field));
        }
        let empties = match &edit {
            Edit::Clear => true,
            Edit::Set(value) => schema::value::is_empty(value),
            Edit::Add(_) | Edit::Sub(_) => false,
        };
        if empties && collection.field(&field).is_some_and(|f| f.required) {
            return Err(refuse::required(app.lang, &[field]));
        }
        out.push((field, edit));
    }
    Ok(out)
}

/// Units that a record is addressed to must exist: a code mistyped would ask nobody, in silence.
///
/// # Errors
/// `unknown_unit`, `ambiguous_unit`.
pub(super) fn address_is_known<'v>(
    app: &App,
    replica: &Replica,
    collection: &Collection,
    values: impl Iterator<Item = (&'v String, &'v Value)>,
) -> Result<(), CliError> {
    for (_, value) in values.filter(|(field, _)| Some(*field) == collection.addressed.as_ref()) {
        if let Value::Set(words) = value {
            for word in words {
                replica.find_unit(word).or_cli(app)?;
            }
        }
    }
    Ok(())
}

/// The fields of a record that begins with these edits.
pub(super) fn initial(
    app: &App,
    collection: &Collection,
    edits: Vec<(String, Edit)>,
) -> Result<BTreeMap<String, Value>, CliError> {
    let mut fields: BTreeMap<String, Value> = BTreeMap::new();
    for (field, edit) in edits {
        if field == REMOVED {
            return Err(refuse::unknown_field(app.lang, collection, &field));
        }
        let before = fields.remove(&field);
        let value = match (before, edit) {
            (_, Edit::Set(value)) => Some(value),
            (_, Edit::Clear) => None,
            (Some(Value::Counter(a)), Edit::Add(Value::Counter(b))) => Some(Value::Counter(a.saturating_add(b))),
            (Some(Value::Counter(a)), Edit::Sub(Value::Counter(b))) => Some(Value::Counter(a.saturating_sub(b))),
            (None, Edit::Sub(Value::Counter(b))) => Some(Value::Counter(b.saturating_neg())),
            (Some(Value::List(mut a)), Edit::Add(Value::List(b))) => {
                a.extend(b);
                Some(Value::List(a))
            }
            (Some(Value::Set(mut a)), Edit::Add(Value::Set(b))) => {
                a.extend(b);
                Some(Value::Set(a))
            }
            (Some(Value::List(mut a)), Edit::Sub(Value::List(b))) => {
                a.retain(|x| !b.contains(x));
                Some(Value::List(a))
            }
            (Some(Value::Set(a)), Edit::Sub(Value::Set(b))) => Some(Value::Set(a.difference(&b).cloned().collect())),
            (None, Edit::Add(value)) => Some(value),
            // Nothing to take from.
            (before, Edit::Add(_) | Edit::Sub(_)) => before,
        };
        if let Some(value) = value {
            fields.insert(field, value);
        }
    }
    Ok(fields)
}

/// What every record's JSON is made of.
pub(super) struct Facts<'a> {
    pub collection: &'a Collection,
    pub values: &'a BTreeMap<String, Value>,
    pub id: RecordId,
    pub unit: UnitId,
    pub updated: Millis,
    pub author: DeviceId,
    pub conflict: &'a [String],
}

impl<'a> Facts<'a> {
    pub(super) fn of_row(collection: &'a Collection, row: &'a ProjectedRow) -> Self {
        Self {
            collection,
            values: &row.values,
            id: row.id,
            unit: row.unit,
            updated: row.updated,
            author: row.author,
            conflict: &row.conflict,
        }
    }

    /// The object of the contract: every field of the schema, `null` where unset, hidden and unknown
    /// ones where they are set.
    pub(super) fn json(&self) -> Map<String, Json> {
        let mut out = Map::new();
        for f in self.collection.fields.iter().filter(|f| !f.hidden) {
            out.insert(f.id.clone(), Json::Null);
        }
        for (name, value) in self.values {
            out.insert(name.clone(), to_json(self.collection.field(name), value));
        }
        out.insert("_id".into(), json!(self.id.to_string()));
        out.insert("_collection".into(), json!(self.collection.id));
        out.insert("_unit".into(), json!(self.unit.to_string()));
        out.insert("_updated".into(), json!(rfc3339(self.updated)));
        out.insert("_author".into(), json!(self.author.to_string()));
        out.insert("_conflict".into(), json!(self.conflict));
        out
    }
}

/// A value for a person.
pub(super) fn shown(app: &App, collection: &Collection, field: &str, value: &Value) -> String {
    match collection.field(field) {
        Some(f) => schema::display(f, value, schema_lang(app.lang)),
        None => match value {
            Value::Bool(b) => app.t(if *b { "record.yes" } else { "record.no" }, &[]),
            other => schema::to_cell(None, other),
        },
    }
}

/// A field's label for a person.
pub(super) fn label(app: &App, collection: &Collection, field: &str) -> String {
    match collection.field(field) {
        Some(f) => Some(f.label.text(schema_lang(app.lang))).filter(|l| !l.is_empty()).unwrap_or(field).to_owned(),
        None if field == REMOVED => app.t("record.removed", &[]),
        None => field.to_owned(),
    }
}

/// A unit's name, or its id while the charter has not come.
pub(super) fn unit_name(replica: &Replica, unit: &UnitId) -> String {
    replica.engine.charter().unit(unit).map_or_else(|| unit.to_string(), |u| u.name.clone())
}

/// The word for a unit's level: its kind, else the schema's name for its depth, else its own name.
pub(super) fn level_name(app: &App, replica: &Replica, unit: &UnitId) -> String {
    let known = replica.engine.charter().unit(unit);
    let kind = known.and_then(|u| u.kind.clone());
    let level = kind.or_else(|| replica.engine.levels().get(usize::from(known?.depth)).cloned());
    match level {
        Some(level) if i18n::find(&format!("level.{level}")).is_some() => app.t(&format!("level.{level}"), &[]),
        Some(level) => level,
        None => unit_name(replica, unit),
    }
}

/// Who wrote something.
pub(super) fn author_name(app: &App, replica: &Replica, author: Option<DeviceId>) -> String {
    match author {
        None => app.t("record.computed", &[]),
        Some(d) if d == replica.device() => app.t("record.this_device", &[]),
        Some(d) => d.to_string().chars().take(DEVICE_SHOWN).collect(),
    }
}

/// After something was written: a daemon hears of it at once.
pub(super) fn written(replica: &Replica) {
    crate::control::nudge(replica.dir());
}
