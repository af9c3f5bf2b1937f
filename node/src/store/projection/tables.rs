//! Making the tables of a schema, and letting them grow with it.
//!
//! It does not: remove or retype a column (schemas only grow), or fill new columns: whoever follows a
//! new schema queues the records again.
//!
//! Invariants: table and column names are the schema's own; a collection whose id is the name of one
//! of the store's own tables gets `_` in front of it, which no id begins with.

use super::super::SqliteStore;
use super::super::error::Fault;
use super::super::rows;
use super::{from_column, is_number, quoted, search};
use sampan_core::schema::{Collection, Field, Schema};
use sampan_core::store::{RecordKey, StoreError};
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

/// The quoted name of a collection's table.
pub(super) fn table(collection: &str) -> String {
    quoted(&table_name(collection))
}

fn table_name(collection: &str) -> String {
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

fn column(field: &Field) -> String {
    let kind = if is_number(field.kind) { "INTEGER" } else { "TEXT" };
    format!("{} {kind}", quoted(&field.id))
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
        let fields: String = c.fields.iter().map(|f| format!(", {}", column(f))).collect();
        let (name, conflicts) = (table(&c.id), quoted(&format!("_conflicts_{}", c.id)));
        self.conn.execute_batch(&format!(
            "CREATE TABLE {name} (_record INTEGER PRIMARY KEY, _id TEXT NOT NULL, _unit TEXT NOT NULL,
               _updated INTEGER NOT NULL, _author TEXT NOT NULL, _conflict TEXT NOT NULL,
               _removed INTEGER NOT NULL{fields});
             CREATE INDEX {conflicts} ON {name} (_id) WHERE _conflict <> '[]'"
        ))?;
        let sql = "INSERT INTO projections (collection, shown, search) VALUES (?1, 0, '')";
        self.conn.execute(sql, [&c.id])?;
        Ok(())
    }

    fn add_columns(&self, c: &Collection) -> Result<(), Fault> {
        let sql = "SELECT name FROM pragma_table_info(?1)";
        let held = self.all(sql, [table_name(&c.id)], |r| Ok(r.get::<_, String>(0)?))?;
        let held: BTreeSet<String> = held.into_iter().collect();
        for f in c.fields.iter().filter(|f| !held.contains(&f.id)) {
            self.conn.execute_batch(&format!("ALTER TABLE {} ADD COLUMN {}", table(&c.id), column(f)))?;
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
                self.put_words(c, RecordKey(*record), words)?;
            }
        }
    }
}
