//! Checking what is kept about the rows of a collection: their number, and the search index.
//!
//! It does not: check the rows themselves, which needs the records.

use super::super::error::{Fault, damaged};
use super::super::{Damage, SqliteStore, VerifyReport, rows};
use super::search;
use super::tables;
use rusqlite::OptionalExtension as _;
use sampan_core::schema::Collection;
use sampan_core::store::{RecordKey, RecordState, StoreError};

impl SqliteStore {
    /// The states of records after a position, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn records_after(&self, after: RecordKey, limit: usize) -> Result<Vec<RecordState>, StoreError> {
        let sql = "SELECT key FROM records WHERE key > ?1 ORDER BY key LIMIT ?2";
        let keys = self.all(sql, (rows::int(after.0), limit as i64), |r| Ok(RecordKey(rows::number(r, 0)?)))?;
        let mut out = Vec::with_capacity(keys.len());
        for key in keys {
            out.extend(self.read_record(key)?);
        }
        Ok(out)
    }

    /// Checks what follows from the rows of a collection, of which there are so many, and so many that are not removed.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn check_collection(
        &self,
        collection: &Collection,
        (held, shown): (u64, u64),
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let mut add = |what: String| {
            report.damaged.push(Damage {
                table: "projections",
                record: None,
                what: format!("{}: {what}", collection.id),
            });
        };
        let sql = "SELECT shown, search FROM projections WHERE collection = ?1";
        let kept = self.one(sql, [&collection.id], |r| Ok((rows::number(r, 0)?, r.get::<_, String>(1)?)))?;
        if kept != Some((shown, collection.search.join(" "))) {
            add("the number of its rows, or what its index covers, is another".to_owned());
        }
        let wanted = "SELECT count(*) FROM records r JOIN collections c ON c.id = r.collection
            WHERE c.name = ?1 AND length(r.heads) > 0 AND r.damaged = 0";
        let wanted = self.one(wanted, [&collection.id], |r| rows::number(r, 0))?;
        if wanted != Some(held) {
            add("a record has no row, or a row no record".to_owned());
        }
        let placed = format!(
            "SELECT count(*) FROM {} t JOIN records r ON r.key = t._record AND r.id = t._id",
            tables::table(&collection.id)
        );
        if self.one(&placed, [], |r| rows::number(r, 0))? != Some(held) {
            add("a row lies at the position of another record".to_owned());
        }
        if let Err(Fault(e)) = self.check_index(collection) {
            report.damaged.push(Damage { table: "search", record: None, what: format!("{}: {e}", collection.id) });
        }
        Ok(())
    }

    /// The index is sound in itself, and finds each row by a word of its own.
    fn check_index(&self, collection: &Collection) -> Result<(), Fault> {
        if collection.search.is_empty() {
            return Ok(());
        }
        let index = tables::index(&collection.id);
        let check = format!("INSERT INTO {index} ({index}) VALUES ('integrity-check')");
        self.conn.execute_batch(&check)?;
        let found =
            format!("SELECT 1 FROM {index} WHERE {index} MATCH ?1 AND rowid = (SELECT key FROM records WHERE id = ?2)");
        let mut found = self.conn.prepare_cached(&found)?;
        let mut lost = Ok(());
        self.each_matching(collection, None, None, true, &mut |_, row| {
            let words = search::words_of(collection, &row.values);
            let all: Vec<String> = words.split(' ').filter(|w| !w.is_empty()).map(|w| format!("\"{w}\"")).collect();
            if lost.is_err() || all.is_empty() {
                return;
            }
            let hit = found.query_row((all.join(" AND "), row.id.0), |_| Ok(())).optional();
            lost = match hit {
                Ok(Some(())) => Ok(()),
                Ok(None) => Err(damaged(format!("record {} is not found by its words", row.id))),
                Err(e) => Err(e.into()),
            };
        })?;
        lost
    }
}
