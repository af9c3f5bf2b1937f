//! Full-text search: which words a row is found by.
//!
//! It does not: rank; a list is in the order of titles.
//!
//! Invariants: row and question are folded and cut into words by the same function (đ = d, no
//! diacritics, uỷ = ủy, lower case), so that what is typed without marks finds what was written with
//! them; a word is found by its beginning.

use super::super::SqliteStore;
use super::super::error::Fault;
use super::super::rows::int;
use super::tables;
use sampan_core::fold::fold;
use sampan_core::schema::{Collection, to_cell};
use sampan_core::store::RecordKey;
use sampan_core::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The folded words of a text: runs of letters and digits.
fn words(text: &str) -> BTreeSet<String> {
    let folded = fold(text);
    folded.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// The words that a row with these values is found by, each once.
pub(super) fn words_of(collection: &Collection, values: &BTreeMap<String, Value>) -> String {
    let found: BTreeSet<String> = collection
        .search
        .iter()
        .filter_map(|id| Some((collection.field(id), values.get(id)?)))
        .flat_map(|(field, value)| words(&to_cell(field, value)))
        .collect();
    found.into_iter().collect::<Vec<_>>().join(" ")
}

/// What the index is asked: every word of the text, by its beginning. `None` when the text has no
/// word.
pub(super) fn question(text: &str) -> Option<String> {
    // Words are letters and digits: nothing in them can end the quotes.
    let asked: Vec<String> = words(text).into_iter().map(|w| format!("\"{w}\"*")).collect();
    (!asked.is_empty()).then(|| asked.join(" AND "))
}

impl SqliteStore {
    /// Replaces the words of a row; none for an empty text.
    pub(super) fn put_words(&self, collection: &Collection, record: RecordKey, words: &str) -> Result<(), Fault> {
        if collection.search.is_empty() {
            return Ok(());
        }
        let index = tables::index(&collection.id);
        if words.is_empty() {
            let sql = format!("DELETE FROM {index} WHERE rowid = ?1");
            self.conn.prepare_cached(&sql)?.execute([int(record.0)])?;
        } else {
            let sql = format!("INSERT OR REPLACE INTO {index} (rowid, words) VALUES (?1, ?2)");
            self.conn.prepare_cached(&sql)?.execute((int(record.0), words))?;
        }
        Ok(())
    }
}
