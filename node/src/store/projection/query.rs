//! Asking the projections.
//!
//! It does not: parse a filter (`sampan_core::schema::Expr`) or print.
//!
//! Invariants: SQL only narrows what is read; whether a row matches is decided by
//! [`Expr::matches`], so that a filter means the same wherever it is evaluated.

use super::super::SqliteStore;
use super::super::error::Fault;
use super::super::rows;
use super::{ProjectedRow, bytes, is_number, projected, quoted, search, select, tables};
use rusqlite::types::Value as Sql;
use sampan_core::id::{DeviceId, RecordId, UnitId};
use sampan_core::schema::{Collection, Expr, Op, Operand, Term, list_key};
use sampan_core::store::{RecordKey, StoreError};
use sampan_core::time::Millis;
use sampan_core::value::{Kind, Value};

impl SqliteStore {
    /// The rows of a collection that match a filter and hold all words of a search, in
    /// Vietnamese order ([`list_key`]), then by id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn query(
        &self,
        collection: &Collection,
        filter: Option<&Expr>,
        search: Option<&str>,
        include_removed: bool,
    ) -> Result<Vec<ProjectedRow>, StoreError> {
        let mut rows = self.matching(collection, filter, search, include_removed)?;
        // Only rows that are shown are sorted: a filter needs none, and the key says more than a column's collation could.
        rows.sort_by_cached_key(|row| (list_key(collection, &row.values), row.id));
        Ok(rows)
    }

    /// Hands each row that [`SqliteStore::query`] would give to `f`, with its record, in no order and without holding
    /// more than one. `f` must not write.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn each_row(
        &self,
        collection: &Collection,
        filter: Option<&Expr>,
        search: Option<&str>,
        include_removed: bool,
        f: &mut dyn FnMut(RecordKey, ProjectedRow),
    ) -> Result<(), StoreError> {
        Ok(self.each_matching(collection, filter, search, include_removed, f)?)
    }

    /// The records whose rows match, in the order of a key, then as [`SqliteStore::query`] has them: for lists that are
    /// too long to be held whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn in_order<K: Ord>(
        &self,
        collection: &Collection,
        filter: Option<&Expr>,
        search: Option<&str>,
        key: impl Fn(&ProjectedRow) -> K,
    ) -> Result<Vec<RecordKey>, StoreError> {
        let mut found = Vec::new();
        self.each_matching(collection, filter, search, false, &mut |record, row| {
            found.push((key(&row), list_key(collection, &row.values), row.id, record));
        })?;
        found.sort_unstable();
        Ok(found.into_iter().map(|(.., record)| record).collect())
    }

    /// The rows of these records, in this order, less those that were removed meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rows_of(&self, collection: &Collection, records: &[RecordKey]) -> Result<Vec<ProjectedRow>, StoreError> {
        let mut out = Vec::with_capacity(records.len());
        for record in records {
            out.extend(self.row(collection, *record)?.filter(|row| !row.removed));
        }
        Ok(out)
    }

    /// The records of a collection with a field in conflict, removed ones included, by id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn in_conflict(&self, collection: &Collection) -> Result<Vec<RecordId>, StoreError> {
        let table = tables::table(&collection.id);
        let sql = format!("SELECT _id FROM {table} WHERE _conflict <> '[]' ORDER BY _id");
        Ok(self.all(&sql, [], |r| Ok(RecordId(bytes(r, 0)?)))?)
    }

    /// Number of records of all collections that are projected and not removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count_records(&self) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(sum(shown), 0) FROM projections";
        Ok(self.one(sql, [], |r| rows::number(r, 0))?.unwrap_or(0))
    }

    fn matching(
        &self,
        collection: &Collection,
        filter: Option<&Expr>,
        search: Option<&str>,
        include_removed: bool,
    ) -> Result<Vec<ProjectedRow>, Fault> {
        let mut out = Vec::new();
        self.each_matching(collection, filter, search, include_removed, &mut |_, row| out.push(row))?;
        Ok(out)
    }

    pub(super) fn each_matching(
        &self,
        collection: &Collection,
        filter: Option<&Expr>,
        search: Option<&str>,
        include_removed: bool,
        f: &mut dyn FnMut(RecordKey, ProjectedRow),
    ) -> Result<(), Fault> {
        let mut sql = format!("{} WHERE 1", select(collection));
        let mut bound: Vec<Sql> = Vec::new();
        if !include_removed {
            sql.push_str(" AND _removed = 0");
        }
        if let Some(text) = search.filter(|t| !t.trim().is_empty()) {
            let question = search::question(text);
            let (Some(question), false) = (question, collection.search.is_empty()) else {
                return Ok(());
            };
            let index = tables::index(&collection.id);
            bound.push(question.into());
            sql.push_str(&format!(" AND _record IN (SELECT rowid FROM {index} WHERE {index} MATCH ?{})", bound.len()));
        }
        for term in filter.iter().flat_map(|f| &f.terms) {
            narrow(collection, term, &mut sql, &mut bound);
        }
        self.all(&sql, rusqlite::params_from_iter(bound), |r| {
            let row = projected(collection, r)?;
            if filter.is_none_or(|f| f.matches(&|name| value_of(&row, name))) {
                f(RecordKey(rows::number(r, 0)?), row);
            }
            Ok(())
        })
        .map(drop)
    }
}

/// The value of a field or pseudo-field.
pub(super) fn value_of(row: &ProjectedRow, name: &str) -> Option<Value> {
    pseudo(name, &row.id, &row.unit, &row.author, row.updated, &row.conflict).or_else(|| row.values.get(name).cloned())
}

/// What a row says beside its fields; `None` for any other name.
pub(super) fn pseudo(
    name: &str,
    id: &RecordId,
    unit: &UnitId,
    author: &DeviceId,
    updated: Millis,
    conflict: &[String],
) -> Option<Value> {
    match name {
        "_id" => Some(Value::Str(id.to_string())),
        "_unit" => Some(Value::Str(unit.to_string())),
        "_author" => Some(Value::Str(author.to_string())),
        "_updated" => Some(Value::Str(crate::stamp::rfc3339(updated))),
        "_conflict" => Some(Value::List(conflict.to_vec())),
        _ => None,
    }
}

/// Adds a condition that every row which satisfies the term meets, where SQL has one.
fn narrow(collection: &Collection, term: &Term, sql: &mut String, bound: &mut Vec<Sql>) {
    let Some(field) = collection.field(&term.field) else { return };
    // A list's column is JSON: it equals nothing that a term names.
    if matches!(field.kind, Kind::List | Kind::Set) {
        return;
    }
    let compare = match term.op {
        Op::Eq => "=",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
        // These hold for unset values too, or need the folded text.
        Op::Ne | Op::Contains => return,
    };
    let name = quoted(&field.id);
    let number = is_number(field.kind);
    let value: Sql = match &term.operand {
        Operand::Value(Value::Int(n) | Value::Counter(n)) if number => (*n).into(),
        Operand::Value(Value::Bool(b)) if number => i64::from(*b).into(),
        Operand::Value(Value::Str(s) | Value::Text(s)) if !number => s.clone().into(),
        Operand::Prefix(p) if !number && p.is_ascii() => {
            bound.push(p.clone().into());
            sql.push_str(&format!(" AND substr({name}, 1, {}) {compare} ?{}", p.len(), bound.len()));
            return;
        }
        Operand::Empty | Operand::Value(_) | Operand::Prefix(_) | Operand::Folded(_) | Operand::OneOf(_) => return,
    };
    bound.push(value);
    sql.push_str(&format!(" AND {name} {compare} ?{}", bound.len()));
}
