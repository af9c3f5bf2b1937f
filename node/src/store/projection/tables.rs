//! Making the tables of a schema with their views, and letting them grow with it.
//!
//! It does not: remove or retype a column (schemas only grow), or fill new columns: whoever follows a
//! new schema queues the records again.
//!
//! Invariants: table and column names are the schema's own; a collection whose id is the name of one
//! of the store's own tables gets `_` in front of its view's, which no id begins with.

use super::super::SqliteStore;
use super::super::error::Fault;
use super::super::rows;
use super::{OWN_COLUMNS, from_column, is_number, quoted, search};
use rusqlite::Transaction;
use sampan_core::schema::{Collection, Field, Schema};
use sampan_core::store::StoreError;
use std::collections::{BTreeMap, BTreeSet};

/// The store's own tables (`super::super::schema`).
const RESERVED: [&str; 22] = [
    "acks",
    "collections",
    "commits",
    "counts",
    "dirty",
    "file_chunks",
    "file_names",
    "file_told",
    "files",
    "hist",
    "info",
    "logs",
    "meta",
    "packs",
    "pending",
    "projections",
    "quarantine",
    "records",
    "registers",
    "spaces",
    "statements",
    "tips",
];

/// The quoted name of a collection's table of rows.
pub(super) fn table(collection: &str) -> String {
    quoted(&table_name(collection))
}

fn table_name(collection: &str) -> String {
    format!("_rows_{collection}")
}

/// The name of a collection's view.
pub(super) fn view_name(collection: &str) -> String {
    if RESERVED.contains(&collection) || collection.starts_with("sqlite_") {
        format!("_{collection}")
    } else {
        collection.to_owned()
    }
}

/// The quoted name of a collection's search index.
pub(super) fn index(collection: &str) -> String {
    quoted(&format!("_search_{collection}"))
}

/// The statements that make a collection's table of rows, the index of its conflicts and its view; `columns` are the
/// fields' with their types.
fn made(collection: &str, columns: &[(String, String)]) -> String {
    let fields: String = columns.iter().map(|(name, kind)| format!(", {} {kind}", quoted(name))).collect();
    let (name, conflicts) = (table(collection), quoted(&format!("_conflicts_{collection}")));
    let view = viewed(collection, columns.iter().map(|(name, _)| name.as_str()));
    format!(
        "CREATE TABLE {name} (_record INTEGER PRIMARY KEY, _id BLOB NOT NULL, _unit BLOB NOT NULL,
           _updated INTEGER NOT NULL, _author INTEGER NOT NULL, _conflict TEXT NOT NULL,
           _removed INTEGER NOT NULL{fields});
         CREATE INDEX {conflicts} ON {name} (_id) WHERE _conflict <> '[]';
         {view}"
    )
}

/// The statement that makes a collection's view: what a person reads.
fn viewed<'a>(collection: &str, fields: impl Iterator<Item = &'a str>) -> String {
    let fields: String = fields.map(|name| format!(", {}", quoted(name))).collect();
    format!(
        "CREATE VIEW {} AS SELECT _record, lower(hex(_id)) AS _id, lower(hex(_unit)) AS _unit, _updated,
           (SELECT lower(hex(device)) FROM _authors WHERE key = _author) AS _author, _conflict, _removed{fields}
         FROM {};",
        quoted(&view_name(collection)),
        table(collection)
    )
}

/// Moves the rows of a database of version 3, where ids were hex in the collection's own table, to where they lie now.
/// An id that is not hex becomes empty, which [`SqliteStore::verify`] finds as it would have found the other.
///
/// # Errors
/// What SQLite says.
pub(in super::super) fn from_hex(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let collections: Vec<String> =
        tx.prepare("SELECT collection FROM projections")?.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
    for c in collections {
        let columns: Vec<(String, String)> = tx
            .prepare("SELECT name, type FROM pragma_table_info(?1) WHERE substr(name, 1, 1) <> '_'")?
            .query_map([view_name(&c)], |r| Ok((r.get(0)?, r.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let fields: String = columns.iter().map(|(name, _)| format!(", {}", quoted(name))).collect();
        let (old, conflicts) = (quoted(&view_name(&c)), quoted(&format!("_conflicts_{c}")));
        tx.execute_batch(&format!(
            "DROP INDEX IF EXISTS {conflicts};
             ALTER TABLE {old} RENAME TO _rows;
             {}
             INSERT OR IGNORE INTO _authors (device) SELECT DISTINCT coalesce(unhex(_author), x'') FROM _rows;
             INSERT INTO {} ({OWN_COLUMNS}{fields})
               SELECT _record, coalesce(unhex(_id), x''), coalesce(unhex(_unit), x''), _updated,
                 (SELECT key FROM _authors WHERE device = coalesce(unhex(_rows._author), x'')), _conflict, _removed{fields}
               FROM _rows ORDER BY _record;
             DROP TABLE _rows;",
            made(&c, &columns),
            table(&c)
        ))?;
    }
    Ok(())
}

fn column(field: &Field) -> (String, String) {
    (field.id.clone(), if is_number(field.kind) { "INTEGER" } else { "TEXT" }.to_owned())
}

impl SqliteStore {
    /// Makes or extends the tables of every collection of a schema; rows that stand keep what they
    /// hold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn follow_schema(&mut self, schema: &Schema) -> Result<(), StoreError> {
        Ok(self.group(|s| schema.collections.values().try_for_each(|c| s.follow_collection(c)))?)
    }

    fn follow_collection(&self, c: &Collection) -> Result<(), Fault> {
        let sql = "SELECT search FROM projections WHERE collection = ?1";
        let searched = self.one(sql, [&c.id], |r| Ok(r.get::<_, String>(0)?))?;
        let wanted = c.search.join(" ");
        match searched {
            None => self.make_table(c)?,
            Some(_) => self.add_columns(c)?,
        }
        if searched.as_ref() != Some(&wanted) {
            self.make_index(c)?;
            let sql = "UPDATE projections SET search = ?2 WHERE collection = ?1";
            self.conn.execute(sql, (&c.id, wanted))?;
        }
        Ok(())
    }

    fn make_table(&self, c: &Collection) -> Result<(), Fault> {
        let columns: Vec<_> = c.fields.iter().map(column).collect();
        self.conn.execute_batch(&made(&c.id, &columns))?;
        let sql = "INSERT INTO projections (collection, shown, search) VALUES (?1, 0, '')";
        self.conn.execute(sql, [&c.id])?;
        Ok(())
    }

    fn add_columns(&self, c: &Collection) -> Result<(), Fault> {
        let sql = "SELECT name FROM pragma_table_info(?1)";
        let held = self.all(sql, [table_name(&c.id)], |r| Ok(r.get::<_, String>(0)?))?;
        let known: BTreeSet<&String> = held.iter().collect();
        let new: Vec<_> = c.fields.iter().filter(|f| !known.contains(&f.id)).map(column).collect();
        for (name, kind) in &new {
            self.conn.execute_batch(&format!("ALTER TABLE {} ADD COLUMN {} {kind}", table(&c.id), quoted(name)))?;
        }
        if !new.is_empty() {
            let all = held.iter().filter(|name| !name.starts_with('_')).chain(new.iter().map(|(name, _)| name));
            let view = viewed(&c.id, all.map(String::as_str));
            self.conn.execute_batch(&format!("DROP VIEW {}; {view}", quoted(&view_name(&c.id))))?;
        }
        Ok(())
    }

    /// Makes the search index anew from the rows.
    fn make_index(&self, c: &Collection) -> Result<(), Fault> {
        let name = index(&c.id);
        self.conn.execute_batch(&format!("DROP TABLE IF EXISTS {name}"))?;
        if c.search.is_empty() {
            return Ok(());
        }
        // Words come folded and cut (`search`), so the plainest tokenizer is the right one; the rows
        // hold the text, so the index keeps neither it nor positions.
        self.conn.execute_batch(&format!(
            "CREATE VIRTUAL TABLE {name} USING fts5(words, content='', contentless_delete=1, detail=none,
             tokenize='ascii')"
        ))?;
        let fields: Vec<&Field> = c.search.iter().filter_map(|id| c.field(id)).collect();
        let columns: String = fields.iter().map(|f| format!(", {}", quoted(&f.id))).collect();
        let sql =
            format!("SELECT _record{columns} FROM {} WHERE _record > ?1 ORDER BY _record LIMIT 1000", table(&c.id));
        let mut put = self.index_statement(c)?;
        let mut after = 0;
        loop {
            let words = self.all(&sql, [after], |r| {
                let mut values = BTreeMap::new();
                for (i, f) in fields.iter().enumerate() {
                    if let Some(value) = from_column(f, r.get_ref(i + 1)?)? {
                        values.insert(f.id.clone(), value);
                    }
                }
                Ok((rows::number(r, 0)?, search::words_of(c, &values)))
            })?;
            let Some((last, _)) = words.last() else { return Ok(()) };
            after = rows::int(*last);
            for (record, words) in &words {
                if !words.is_empty() {
                    put.execute((rows::int(*record), words))?;
                }
            }
        }
    }
}
