//! What the projections keep of a record, found without its schema: so that an erasure leaves nothing.
//!
//! It does not: project anything, or clean free pages (`SqliteStore::scrub` does).
//!
//! Invariants: every table that a collection ever had is looked at, whatever the schema in force says.

use super::super::SqliteStore;
use super::super::error::Fault;
use super::tables;
use sampan_core::store::RecordKey;

/// A collection's table and search index, quoted.
pub(in super::super) struct Leftover {
    /// The collection.
    pub collection: String,
    /// Its table.
    pub table: String,
    /// Its search index, if it has one.
    pub index: Option<String>,
}

impl SqliteStore {
    /// Every table and index of a collection.
    pub(in super::super) fn leftovers(&self) -> Result<Vec<Leftover>, Fault> {
        self.all("SELECT collection, search FROM projections", [], |r| {
            let (collection, search): (String, String) = (r.get(0)?, r.get(1)?);
            let (table, index) = (tables::table(&collection), tables::index(&collection));
            Ok(Leftover { collection, table, index: (!search.is_empty()).then_some(index) })
        })
    }

    /// Removes the rows of a record by its position, and what search finds them by.
    pub(in super::super) fn drop_leftovers(&self, record: i64) -> Result<(), Fault> {
        for Leftover { collection, table, index } in self.leftovers()? {
            self.uncount(&collection, RecordKey(record.cast_unsigned()))?;
            let sql = format!("DELETE FROM {table} WHERE _record = ?1 RETURNING _removed");
            let shown = self.one(&sql, [record], |r| Ok(r.get::<_, bool>(0)?))?;
            let Some(removed) = shown else { continue };
            if !removed {
                let sql = "UPDATE projections SET shown = shown - 1 WHERE collection = ?1";
                self.conn.prepare_cached(sql)?.execute([&collection])?;
            }
            if let Some(index) = index {
                self.conn.prepare_cached(&format!("DELETE FROM {index} WHERE rowid = ?1"))?.execute([record])?;
            }
        }
        Ok(())
    }
}
