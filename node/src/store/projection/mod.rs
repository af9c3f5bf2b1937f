//! Projections: one plain table a collection, with a row for each record as it stands.
//!
//! It does not: work out what a row holds (the projector does), or keep history.
//!
//! Invariants: any SQL tool can read these tables by a view of the collection's name: typed columns named by the
//! fields' ids, beside `_record` (the store's key), `_id`, `_unit` and `_author` (hex), `_updated` (milliseconds since
//! 1970), `_conflict` (JSON list of fields) and `_removed` (0 or 1). What the view reads is `_rows_COLLECTION`, where ids
//! are bytes and an author is a number of `_authors`: in hex they would be a tenth of a city's disk. Strings, texts, choices, dates and
//! references are TEXT, lists and sets JSON in TEXT; ints, counters, bools (0 or 1) and decimals are
//! INTEGER, a decimal as the integer of its schema's scale (36,8 with one decimal is 368). Unset is
//! NULL. Names in SQL come from a parsed schema only, and are quoted; every value is bound.

mod check;
#[cfg(test)]
mod figure_tests;
mod figures;
mod leftover;
mod put;
mod query;
mod search;
mod tables;
#[cfg(test)]
pub(super) mod tests;

pub(super) use figures::FigurePlan;
pub(super) use leftover::Leftover;
pub(crate) use put::Created;
pub(super) use tables::from_hex;

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::rows::{self, int};
use figures::Counted;
use rusqlite::Row;
use rusqlite::types::{ToSqlOutput, ValueRef};
use sampan_core::change::Shown;
use sampan_core::id::{DeviceId, RecordId, UnitId};
use sampan_core::schema::{Collection, Field, to_cell};
use sampan_core::store::{RecordKey, StoreError};
use sampan_core::time::Millis;
use sampan_core::value::{Kind, Value};
use std::collections::BTreeMap;

/// One record as its collection's table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectedRow {
    /// The record.
    pub id: RecordId,
    /// The unit of its space.
    pub unit: UnitId,
    /// When it was last edited, by its author's label.
    pub updated: Millis,
    /// Who edited it last.
    pub author: DeviceId,
    /// Its fields in conflict.
    pub conflict: Vec<String>,
    /// Whether it is hidden from lists.
    pub removed: bool,
    /// The fields that are set; ids that the collection does not have are left out of the table.
    pub values: BTreeMap<String, Value>,
}

/// Columns before the fields, in the order of every statement of ours.
const OWN_COLUMNS: &str = "_record, _id, _unit, _updated, _author, _conflict, _removed";
/// The same as they are read: with the author's id instead of its number.
const OWN_READ: &str =
    "_record, _id, _unit, _updated, (SELECT device FROM _authors WHERE key = _author), _conflict, _removed";
/// How many these are.
const OWN_COLUMN_COUNT: usize = 7;

impl SqliteStore {
    /// Puts the row of a record, new or changed, and what search finds it by.
    ///
    /// # Errors
    /// [`StoreError`]; so for every method below. The tables must follow the collection's schema, see
    /// [`SqliteStore::follow_schema`].
    pub fn upsert_row(
        &mut self,
        collection: &Collection,
        record: RecordKey,
        row: &ProjectedRow,
    ) -> Result<(), StoreError> {
        Ok(self.group(|s| s.put_rows(collection, [(record, row)]))?)
    }

    /// Puts rows of one collection as [`SqliteStore::upsert_row`] does, all or none: what they have in common is done once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn upsert_rows(
        &mut self,
        collection: &Collection,
        rows: &BTreeMap<RecordKey, ProjectedRow>,
    ) -> Result<(), StoreError> {
        Ok(self.group(|s| s.put_rows(collection, rows.iter().map(|(key, row)| (*key, row))))?)
    }

    /// Removes the row of a record: where it can no longer be shown at all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete_row(&mut self, collection: &Collection, record: RecordKey) -> Result<(), StoreError> {
        Ok(self.group(|s| s.drop_row(collection, record))?)
    }

    /// The row of a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn row(&self, collection: &Collection, record: RecordKey) -> Result<Option<ProjectedRow>, StoreError> {
        Ok(self.read_row(collection, record)?)
    }

    fn read_row(&self, collection: &Collection, record: RecordKey) -> Result<Option<ProjectedRow>, Fault> {
        let sql = format!("{} WHERE _record = ?1", select(collection));
        self.one(&sql, [int(record.0)], |r| projected(collection, r))
    }

    fn drop_row(&self, collection: &Collection, record: RecordKey) -> Result<(), Fault> {
        let Some(before) = self.traces(collection, record)? else { return Ok(()) };
        if self.counts_rows_of(&collection.id) {
            let old = self.read_row(collection, record)?;
            self.count_row(collection, old.as_ref().map(|r| r as &dyn Counted), None)?;
        }
        self.name_files(collection, record, std::iter::empty(), true)?;
        let sql = format!("DELETE FROM {} WHERE _record = ?1", tables::table(&collection.id));
        self.conn.prepare_cached(&sql)?.execute([int(record.0)])?;
        self.count_shown(collection, -i64::from(!before.removed))?;
        self.drop_words(collection, record)
    }

    fn count_shown(&self, collection: &Collection, change: i64) -> Result<(), Fault> {
        if change != 0 {
            let sql = "UPDATE projections SET shown = shown + ?2 WHERE collection = ?1";
            self.conn.prepare_cached(sql)?.execute((&collection.id, change))?;
        }
        Ok(())
    }
}

/// A collection's table and a field's column, as SQL names them.
pub(super) fn table_and_column(collection: &str, field: &str) -> (String, String) {
    (tables::table(collection), quoted(field))
}

/// A name in SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// All columns of a collection's table.
fn select(collection: &Collection) -> String {
    let fields: String = collection.fields.iter().map(|f| format!(", {}", quoted(&f.id))).collect();
    format!("SELECT {OWN_READ}{fields} FROM {}", tables::table(&collection.id))
}

/// The row of [`select`].
fn projected(collection: &Collection, r: &Row<'_>) -> Result<ProjectedRow, Fault> {
    let conflict: String = r.get(5)?;
    let mut values = BTreeMap::new();
    for (i, f) in collection.fields.iter().enumerate() {
        if let Some(value) = from_column(f, r.get_ref(i + OWN_COLUMN_COUNT)?)? {
            values.insert(f.id.clone(), value);
        }
    }
    Ok(ProjectedRow {
        id: RecordId(bytes(r, 1)?),
        unit: UnitId(bytes(r, 2)?),
        updated: Millis(rows::number(r, 3)?),
        author: DeviceId(bytes(r, 4)?),
        conflict: serde_json::from_str(&conflict).map_err(damaged)?,
        removed: r.get(6)?,
        values,
    })
}

fn bytes<const N: usize>(r: &Row<'_>, i: usize) -> Result<[u8; N], Fault> {
    r.get_ref(i)?.as_blob().map_err(damaged)?.try_into().map_err(damaged)
}

/// Whether a field's column is a number.
fn is_number(kind: Kind) -> bool {
    match kind {
        Kind::Int | Kind::Decimal | Kind::Counter | Kind::Bool => true,
        Kind::Text | Kind::String | Kind::Date | Kind::Choice => false,
        Kind::List | Kind::Set | Kind::Ref | Kind::File => false,
    }
}

/// A value as its column keeps it. One of another kind than its field, which only a peer without
/// manners writes, is kept as text.
fn to_column<'v>(field: &Field, value: &'v Shown<'v>) -> ToSqlOutput<'v> {
    match value {
        Shown::Int(n) | Shown::Counter(n) if is_number(field.kind) => (*n).into(),
        Shown::Bool(b) if field.kind == Kind::Bool => i64::from(*b).into(),
        Shown::List(items) | Shown::Set(items) => {
            let json: serde_json::Value = items.iter().copied().collect();
            json.to_string().into()
        }
        Shown::Str(s) => (*s).into(),
        Shown::Text(s) | Shown::Other(s) => s.as_ref().into(),
        Shown::Int(_) | Shown::Counter(_) | Shown::Bool(_) => to_cell(None, &value.to_value()).into(),
    }
}

/// The inverse of [`to_column`].
fn from_column(field: &Field, column: ValueRef<'_>) -> Result<Option<Value>, Fault> {
    let text = match column {
        ValueRef::Null => return Ok(None),
        ValueRef::Integer(n) => {
            return Ok(Some(match field.kind {
                Kind::Bool => Value::Bool(n != 0),
                Kind::Counter => Value::Counter(n),
                _ if is_number(field.kind) => Value::Int(n),
                _ => Value::Other(n.to_string()),
            }));
        }
        ValueRef::Real(x) => return Ok(Some(Value::Other(x.to_string()))),
        ValueRef::Text(_) => column.as_str().map_err(damaged)?.to_owned(),
        ValueRef::Blob(_) => return Err(damaged(format!("column {} holds bytes", field.id))),
    };
    let list = || serde_json::from_str::<Vec<String>>(&text);
    Ok(Some(match field.kind {
        Kind::Text => Value::Text(text),
        Kind::String | Kind::Date | Kind::Choice | Kind::Ref | Kind::File => Value::Str(text),
        Kind::List => list().map_or_else(|_| Value::Other(text.clone()), Value::List),
        Kind::Set => list().map_or_else(|_| Value::Other(text.clone()), |l| Value::Set(l.into_iter().collect())),
        Kind::Int | Kind::Decimal | Kind::Counter | Kind::Bool => Value::Other(text),
    }))
}
