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
mod query;
mod search;
mod tables;
#[cfg(test)]
pub(super) mod tests;

pub(super) use figures::FigurePlan;
pub(super) use leftover::Leftover;
pub(super) use tables::from_hex;

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::rows::{self, int};
use rusqlite::Row;
use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use sampan_core::id::{DeviceId, RecordId, UnitId};
use sampan_core::schema::{Collection, Field, to_cell, to_json};
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
        Ok(self.group(|s| s.put_row(collection, record, row))?)
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

    fn put_row(&self, collection: &Collection, record: RecordKey, row: &ProjectedRow) -> Result<(), Fault> {
        self.put_rows(collection, [(record, row)])
    }

    /// Each record at most once.
    fn put_rows<'r>(
        &self,
        collection: &Collection,
        rows: impl IntoIterator<Item = (RecordKey, &'r ProjectedRow)>,
    ) -> Result<(), Fault> {
        let counted = self.counts_rows_of(&collection.id);
        let table = tables::table(&collection.id);
        // Nothing stands beyond the last row, so nothing of it needs to be taken back.
        let last = self.one(&format!("SELECT max(_record) FROM {table}"), [], |r| Ok(r.get::<_, Option<i64>>(0)?))?;
        let last = last.flatten().unwrap_or(i64::MIN);
        let mut names = String::from(OWN_COLUMNS);
        let mut holes = String::from("?1, ?2, ?3, ?4, ?5, ?6, ?7");
        for (i, f) in collection.fields.iter().enumerate() {
            names.push_str(", ");
            names.push_str(&quoted(&f.id));
            holes.push_str(&format!(", ?{}", i + OWN_COLUMN_COUNT + 1));
        }
        let sql = format!("INSERT OR REPLACE INTO {table} ({names}) VALUES ({holes})");
        let mut insert = self.conn.prepare_cached(&sql)?;
        let mut shown = 0;
        // Rows come by commits, each of one author.
        let mut last_author: Option<(DeviceId, i64)> = None;
        for (record, row) in rows {
            let before = if int(record.0) > last { None } else { self.traces(collection, record)? };
            let old = if counted && before.is_some() { self.read_row(collection, record)? } else { None };
            let author = match last_author {
                Some((device, key)) if device == row.author => key,
                _ => self.author_key(&row.author)?,
            };
            last_author = Some((row.author, author));
            insert.execute(rusqlite::params_from_iter(bound(collection, record, author, row)))?;
            if counted {
                self.count_row(collection, old.as_ref(), Some(&Self::as_stored(collection, row)?))?;
            }
            self.name_files(collection, record, Some(&row.values), before.is_some())?;
            shown += i64::from(!row.removed) - before.as_ref().map_or(0, |b| i64::from(!b.removed));
            let words = search::words_of(collection, &row.values);
            match before {
                None if words.is_empty() => {}
                Some(b) if b.words == words => {}
                None | Some(_) => self.put_words(collection, record, &words)?,
            }
        }
        self.count_shown(collection, shown)
    }

    /// The number of an author, given when it is first met.
    fn author_key(&self, author: &DeviceId) -> Result<i64, Fault> {
        let known = "SELECT key FROM _authors WHERE device = ?1";
        if let Some(key) = self.one(known, [author.0], |r| Ok(r.get(0)?))? {
            return Ok(key);
        }
        self.conn.prepare_cached("INSERT INTO _authors (device) VALUES (?1)")?.execute([author.0])?;
        Ok(self.conn.last_insert_rowid())
    }

    fn drop_row(&self, collection: &Collection, record: RecordKey) -> Result<(), Fault> {
        let Some(before) = self.traces(collection, record)? else { return Ok(()) };
        if self.counts_rows_of(&collection.id) {
            let old = self.read_row(collection, record)?;
            self.count_row(collection, old.as_ref(), None)?;
        }
        self.name_files(collection, record, None, true)?;
        let sql = format!("DELETE FROM {} WHERE _record = ?1", tables::table(&collection.id));
        self.conn.prepare_cached(&sql)?.execute([int(record.0)])?;
        self.count_shown(collection, -i64::from(!before.removed))?;
        self.put_words(collection, record, "")
    }

    /// What the row that stands left in the count and the index.
    fn traces(&self, collection: &Collection, record: RecordKey) -> Result<Option<Traces>, Fault> {
        let fields: Vec<&Field> = collection.search.iter().filter_map(|id| collection.field(id)).collect();
        let columns: String = fields.iter().map(|f| format!(", {}", quoted(&f.id))).collect();
        let table = tables::table(&collection.id);
        let sql = format!("SELECT _removed{columns} FROM {table} WHERE _record = ?1");
        self.one(&sql, [int(record.0)], |r| {
            let mut values = BTreeMap::new();
            for (i, f) in fields.iter().enumerate() {
                if let Some(value) = from_column(f, r.get_ref(i + 1)?)? {
                    values.insert(f.id.clone(), value);
                }
            }
            Ok(Traces { removed: r.get(0)?, words: search::words_of(collection, &values) })
        })
    }

    fn count_shown(&self, collection: &Collection, change: i64) -> Result<(), Fault> {
        if change != 0 {
            let sql = "UPDATE projections SET shown = shown + ?2 WHERE collection = ?1";
            self.conn.prepare_cached(sql)?.execute((&collection.id, change))?;
        }
        Ok(())
    }
}

/// The columns of a row, in the order of `OWN_COLUMNS` and the fields.
fn bound<'v>(collection: &Collection, record: RecordKey, author: i64, row: &'v ProjectedRow) -> Vec<ToSqlOutput<'v>> {
    let conflict = serde_json::Value::from(row.conflict.clone()).to_string();
    let mut out: Vec<ToSqlOutput<'v>> = Vec::with_capacity(OWN_COLUMN_COUNT + collection.fields.len());
    out.extend([
        int(record.0).into(),
        row.id.0.as_slice().into(),
        row.unit.0.as_slice().into(),
        int(row.updated.0).into(),
        author.into(),
        conflict.into(),
        i64::from(row.removed).into(),
    ]);
    out.extend(collection.fields.iter().map(|f| match row.values.get(&f.id) {
        Some(value) => to_column(f, value),
        None => ToSqlOutput::Owned(Sql::Null),
    }));
    out
}

/// See [`SqliteStore::traces`].
struct Traces {
    removed: bool,
    words: String,
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
fn to_column<'v>(field: &Field, value: &'v Value) -> ToSqlOutput<'v> {
    match value {
        Value::Int(n) | Value::Counter(n) if is_number(field.kind) => (*n).into(),
        Value::Bool(b) if field.kind == Kind::Bool => i64::from(*b).into(),
        Value::List(_) | Value::Set(_) => to_json(None, value).to_string().into(),
        Value::Str(s) | Value::Text(s) | Value::Other(s) => s.as_str().into(),
        Value::Int(_) | Value::Counter(_) | Value::Bool(_) => to_cell(None, value).into(),
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
