//! Putting rows, with all that follows from them in the same transaction: figures, names of files, words for search.
//!
//! It does not: work out what a row holds, or read rows.
//!
//! Invariants: a row is the same whether it comes as a whole ([`ProjectedRow`]) or straight from a creation
//! ([`Created`]): both become a [`Fresh`] one, and only that is put.

use super::search::Words;
use super::{OWN_COLUMN_COUNT, OWN_COLUMNS, ProjectedRow, from_column, quoted, search, tables, to_column};
use crate::store::SqliteStore;
use crate::store::error::Fault;
use crate::store::projection::figures::{Counted, Touch, stored};
use crate::store::projection::query::pseudo;
use crate::store::rows::int;
use rusqlite::CachedStatement;
use rusqlite::types::Null;
use sampan_core::change::Shown;
use sampan_core::id::{DeviceId, RecordId, UnitId};
use sampan_core::schema::{Collection, Field};
use sampan_core::store::{RecordKey, StoreError};
use sampan_core::time::Millis;
use sampan_core::value::Value;
use std::collections::BTreeMap;

/// The row of a record of which nothing but its creation is known.
pub(crate) struct Created<'a> {
    /// The record.
    pub(crate) id: RecordId,
    /// The unit of its space.
    pub(crate) unit: UnitId,
    /// When it was made, by its author's label.
    pub(crate) updated: Millis,
    /// Who made it.
    pub(crate) author: DeviceId,
    /// Its fields, ascending by name; names that the collection does not have are left out of the table.
    pub(crate) fields: Vec<(&'a str, Shown<'a>)>,
}

/// A row as it is about to be put.
struct Fresh<'r> {
    collection: &'r Collection,
    id: RecordId,
    unit: UnitId,
    updated: Millis,
    author: DeviceId,
    conflict: &'r [String],
    removed: bool,
    /// One for each field of the collection, in its order.
    values: &'r [Option<Shown<'r>>],
}

impl Fresh<'_> {
    /// What search looks at.
    fn searched(&self, places: &[usize]) -> impl Iterator<Item = (&Field, &Shown<'_>)> {
        let of = |at: &usize| Some((self.collection.fields.get(*at)?, self.values.get(*at)?.as_ref()?));
        places.iter().filter_map(of)
    }

    /// The texts of its fields of files.
    fn files(&self) -> impl Iterator<Item = &str> {
        let fields = self.collection.fields.iter().zip(self.values);
        fields.filter_map(|(field, value)| match value {
            Some(Shown::Str(text)) if field.kind == sampan_core::value::Kind::File => Some(*text),
            Some(_) | None => None,
        })
    }
}

impl Counted for Fresh<'_> {
    fn touch(&self) -> Touch {
        Touch { author: self.author, record: self.id, unit: self.unit }
    }

    fn removed(&self) -> bool {
        self.removed
    }

    fn value(&self, name: &str) -> Option<Value> {
        let known = pseudo(name, &self.id, &self.unit, &self.author, self.updated, self.conflict);
        known.or_else(|| {
            let at = self.collection.fields.iter().position(|f| f.id == name)?;
            stored(self.collection.fields.get(at)?, self.values.get(at)?.as_ref()?)
        })
    }
}

impl SqliteStore {
    /// Each record at most once.
    pub(super) fn put_rows<'r>(
        &self,
        collection: &Collection,
        rows: impl IntoIterator<Item = (RecordKey, &'r ProjectedRow)>,
    ) -> Result<(), Fault> {
        let mut putting = Putting::begin(self, collection)?;
        let mut values = Vec::new();
        for (record, row) in rows {
            values.clear();
            values.extend(collection.fields.iter().map(|f| row.values.get(&f.id).map(Shown::from)));
            let (id, unit, updated, author) = (row.id, row.unit, row.updated, row.author);
            let (conflict, removed) = (row.conflict.as_slice(), row.removed);
            let row = Fresh { collection, id, unit, updated, author, conflict, removed, values: &values };
            putting.put(record, &row)?;
        }
        putting.end()
    }

    /// Puts the row of a record as [`SqliteStore::upsert_row`] does, in the transaction under way and without a savepoint
    /// of its own: at each savepoint the search index writes a segment, and merges those before it.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction must not be committed then.
    ///
    /// # Panics
    /// Outside of a transaction.
    pub(crate) fn put_row(
        &mut self,
        collection: &Collection,
        record: RecordKey,
        row: &ProjectedRow,
    ) -> Result<(), StoreError> {
        assert!(self.depth.get() > 0, "rows are put in a transaction");
        Ok(self.put_rows(collection, [(record, row)])?)
    }

    /// Puts rows of one collection straight from creations, each record at most once, as [`SqliteStore::put_row`] does.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction must not be committed then.
    ///
    /// # Panics
    /// Outside of a transaction.
    pub(crate) fn put_created<'a>(
        &mut self,
        collection: &Collection,
        rows: impl IntoIterator<Item = (RecordKey, Created<'a>)>,
    ) -> Result<(), StoreError> {
        assert!(self.depth.get() > 0, "rows are put in a transaction");
        Ok(self.put_creations(collection, rows)?)
    }

    fn put_creations<'a>(
        &self,
        collection: &Collection,
        rows: impl IntoIterator<Item = (RecordKey, Created<'a>)>,
    ) -> Result<(), Fault> {
        let mut putting = Putting::begin(self, collection)?;
        let mut by_name: Vec<(&str, usize)> = collection.fields.iter().map(|f| f.id.as_str()).zip(0..).collect();
        by_name.sort_unstable();
        let mut values: Vec<Option<Shown<'_>>> = Vec::new();
        for (record, row) in rows {
            values.clear();
            values.resize(collection.fields.len(), None);
            let mut known = by_name.iter().peekable();
            for (name, value) in row.fields {
                while known.next_if(|(id, _)| *id < name).is_some() {}
                if let Some((_, at)) = known.next_if(|(id, _)| *id == name)
                    && let Some(slot) = values.get_mut(*at)
                {
                    *slot = Some(value);
                }
            }
            let Created { id, unit, updated, author, .. } = row;
            let row = Fresh { collection, id, unit, updated, author, conflict: &[], removed: false, values: &values };
            putting.put(record, &row)?;
        }
        putting.end()
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

    /// What the row that stands left in the count and the index.
    pub(super) fn traces(&self, collection: &Collection, record: RecordKey) -> Result<Option<Traces>, Fault> {
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
}

/// See [`SqliteStore::traces`].
pub(super) struct Traces {
    pub(super) removed: bool,
    words: String,
}

/// Rows of one collection on their way: what they have in common is done once.
struct Putting<'s, 'c> {
    store: &'s SqliteStore,
    collection: &'c Collection,
    insert: CachedStatement<'s>,
    /// Puts words of a row; none where nothing is searched.
    index: Option<CachedStatement<'s>>,
    /// The places of the fields that search covers.
    searched: Vec<usize>,
    /// Nothing stands beyond this row, so nothing of it needs to be taken back.
    last: i64,
    /// Whether figures count these rows.
    counted: bool,
    /// Rows come by commits, each of one author.
    author: Option<(DeviceId, i64)>,
    words: Words,
    /// Rows shown now and not before.
    shown: i64,
}

impl<'s, 'c> Putting<'s, 'c> {
    fn begin(store: &'s SqliteStore, collection: &'c Collection) -> Result<Self, Fault> {
        let table = tables::table(&collection.id);
        let last = store.one(&format!("SELECT max(_record) FROM {table}"), [], |r| Ok(r.get::<_, Option<i64>>(0)?))?;
        let mut names = String::from(OWN_COLUMNS);
        let mut holes = String::from("?1, ?2, ?3, ?4, ?5, ?6, ?7");
        for (i, f) in collection.fields.iter().enumerate() {
            names.push_str(", ");
            names.push_str(&quoted(&f.id));
            holes.push_str(&format!(", ?{}", i + OWN_COLUMN_COUNT + 1));
        }
        let sql = format!("INSERT OR REPLACE INTO {table} ({names}) VALUES ({holes})");
        let insert = store.conn.prepare_cached(&sql)?;
        let index = if collection.search.is_empty() { None } else { Some(store.index_statement(collection)?) };
        let place = |id: &String| collection.fields.iter().position(|f| f.id == *id);
        Ok(Self {
            store,
            collection,
            insert,
            index,
            searched: collection.search.iter().filter_map(place).collect(),
            last: last.flatten().unwrap_or(i64::MIN),
            counted: store.counts_rows_of(&collection.id),
            author: None,
            words: Words::default(),
            shown: 0,
        })
    }

    fn put(&mut self, record: RecordKey, row: &Fresh<'_>) -> Result<(), Fault> {
        let (store, collection) = (self.store, self.collection);
        let before = if int(record.0) > self.last { None } else { store.traces(collection, record)? };
        let old = if self.counted && before.is_some() { store.read_row(collection, record)? } else { None };
        let author = match self.author {
            Some((device, key)) if device == row.author => key,
            _ => store.author_key(&row.author)?,
        };
        self.author = Some((row.author, author));
        self.insert(record, author, row)?;
        if self.counted {
            store.count_row(collection, old.as_ref().map(|r| r as &dyn Counted), Some(row))?;
        }
        store.name_files(collection, record, row.files(), before.is_some())?;
        self.shown += i64::from(!row.removed) - before.as_ref().map_or(0, |b| i64::from(!b.removed));
        let words = self.words.gather(row.searched(&self.searched));
        match (before, &mut self.index) {
            (None, _) if words.is_empty() => Ok(()),
            (Some(b), _) if b.words == words => Ok(()),
            (None | Some(_), Some(index)) if !words.is_empty() => {
                index.execute((int(record.0), words))?;
                Ok(())
            }
            (None | Some(_), _) => store.drop_words(collection, record),
        }
    }

    fn insert(&mut self, record: RecordKey, author: i64, row: &Fresh<'_>) -> Result<(), Fault> {
        let to = &mut self.insert;
        to.raw_bind_parameter(1, int(record.0))?;
        to.raw_bind_parameter(2, row.id.0)?;
        to.raw_bind_parameter(3, row.unit.0)?;
        to.raw_bind_parameter(4, int(row.updated.0))?;
        to.raw_bind_parameter(5, author)?;
        if row.conflict.is_empty() {
            to.raw_bind_parameter(6, "[]")?;
        } else {
            to.raw_bind_parameter(6, serde_json::Value::from(row.conflict).to_string())?;
        }
        to.raw_bind_parameter(7, row.removed)?;
        for ((i, field), value) in (OWN_COLUMN_COUNT + 1..).zip(&self.collection.fields).zip(row.values) {
            match value {
                Some(value) => to.raw_bind_parameter(i, to_column(field, value))?,
                None => to.raw_bind_parameter(i, Null)?,
            }
        }
        to.raw_execute()?;
        Ok(())
    }

    fn end(self) -> Result<(), Fault> {
        self.store.count_shown(self.collection, self.shown)
    }
}
