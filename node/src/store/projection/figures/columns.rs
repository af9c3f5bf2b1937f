//! Figures as columns: dimensions, sums, values, and what a row gives as it will be read back.
//!
//! It does not: run SQL.
//!
//! Invariants: what is written so is read back the same.

use super::{FORM, Touch};
use crate::store::SqliteStore;
use crate::store::error::{Fault, damaged};
use crate::store::projection::{ProjectedRow, from_column, is_number, to_column};
use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use sampan_core::change::Shown;
use sampan_core::id::UnitId;
use sampan_core::rollup::{Given, Key, Measure, Scalar};
use sampan_core::schema::{Collection, Field, Schema};
use sampan_core::store::StoreError;
use sampan_core::value::Value;
use std::collections::BTreeMap;

impl SqliteStore {
    /// What a row as it is about to be stored gives is what it will give when it is read back.
    ///
    /// # Errors
    /// [`StoreError`] where a value cannot be kept at all.
    pub fn as_stored(collection: &Collection, row: &ProjectedRow) -> Result<ProjectedRow, StoreError> {
        let mut out = ProjectedRow { values: BTreeMap::new(), ..row.clone() };
        for f in &collection.fields {
            if let Some(value) = row.values.get(&f.id)
                && let Some(stored) = stored(f, &Shown::from(value))
            {
                out.values.insert(f.id.clone(), stored);
            }
        }
        Ok(out)
    }
}

pub(super) fn mark(schema: &Schema) -> Vec<u8> {
    format!("{FORM}/{}/{}", schema.name, schema.version).into_bytes()
}

/// A row as metrics look at it.
pub(in crate::store::projection) trait Counted {
    /// Whose it is, and who wrote it.
    fn touch(&self) -> Touch;
    /// Whether it is hidden from lists: it gives nothing then.
    fn removed(&self) -> bool;
    /// The value of a field or pseudo-field, as it will be read back.
    fn value(&self, name: &str) -> Option<Value>;
}

/// A row that was read.
impl Counted for ProjectedRow {
    fn touch(&self) -> Touch {
        Touch { author: self.author, record: self.id, unit: self.unit }
    }

    fn removed(&self) -> bool {
        self.removed
    }

    fn value(&self, name: &str) -> Option<Value> {
        crate::store::projection::query::value_of(self, name)
    }
}

/// What a row gives to a metric, and at which unit.
pub(super) fn gives(m: &Measure, row: Option<&dyn Counted>) -> Option<(UnitId, Key, Given)> {
    let row = row.filter(|r| !r.removed())?;
    let (key, given) = m.of_row(&|name| row.value(name))?;
    Some((row.touch().unit, key, given))
}

/// A value as it will be read back; `None` for what would not be.
pub(in crate::store::projection) fn stored(field: &Field, value: &Shown<'_>) -> Option<Value> {
    let column = to_column(field, value);
    let held = match &column {
        ToSqlOutput::Borrowed(v) => *v,
        ToSqlOutput::Owned(v) => ValueRef::from(v),
        _ => return None,
    };
    if is_number(field.kind)
        && let ValueRef::Text(text) = held
        && let Some(number) = number_of(text)
    {
        return from_column(field, ValueRef::from(&number)).ok()?;
    }
    from_column(field, held).ok()?
}

/// What SQLite makes of a text that it puts into a column of numbers: a number, where it is written like one.
fn number_of(text: &[u8]) -> Option<Sql> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    if let Ok(n) = text.parse::<i64>() {
        return Some(Sql::Integer(n));
    }
    let real = text.parse::<f64>().ok().filter(|x| x.is_finite())?;
    // Beyond 2^51 SQLite keeps a real, also where it is whole.
    let whole = real.fract() == 0.0 && real.abs() < 2_251_799_813_685_248.0;
    Some(if whole { Sql::Integer(real as i64) } else { Sql::Real(real) })
}

pub(super) fn dims_text(by: &[String]) -> String {
    serde_json::Value::from(by.to_vec()).to_string()
}

pub(super) fn dims_of(text: &str) -> Result<Vec<String>, Fault> {
    serde_json::from_str(text).map_err(damaged)
}

pub(super) fn total(column: ValueRef<'_>) -> Result<i128, Fault> {
    column.as_str().map_err(damaged)?.parse().map_err(damaged)
}

pub(super) fn scalar_column(value: &Scalar) -> Sql {
    match value {
        Scalar::Num(n) => Sql::Integer(*n),
        Scalar::Text(t) => Sql::Text(t.clone()),
    }
}

pub(super) fn scalar_of(column: ValueRef<'_>) -> Result<Scalar, Fault> {
    match column {
        ValueRef::Integer(n) => Ok(Scalar::Num(n)),
        ValueRef::Text(_) => Ok(Scalar::Text(column.as_str().map_err(damaged)?.to_owned())),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Err(damaged("a figure's value is no value")),
    }
}
