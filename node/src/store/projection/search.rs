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
use rusqlite::CachedStatement;
use sampan_core::change::Shown;
use sampan_core::fold::fold_onto;
use sampan_core::schema::{Collection, Field, to_cell};
use sampan_core::store::RecordKey;
use sampan_core::value::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// Gathers words, kept from row to row for its memory.
#[derive(Default)]
pub(super) struct Words {
    folded: String,
    /// Where each word lies in the folded text.
    places: Vec<Range<usize>>,
    joined: String,
}

impl Words {
    /// The words that a row with these values is found by: folded, ascending, each once, with spaces between them.
    pub(super) fn gather<'v>(&mut self, values: impl Iterator<Item = (&'v Field, &'v Shown<'v>)>) -> &str {
        self.folded.clear();
        for (field, value) in values {
            self.folded.push(' ');
            match value {
                Shown::Str(text) => fold_onto(&mut self.folded, text),
                Shown::Text(text) | Shown::Other(text) => fold_onto(&mut self.folded, text),
                Shown::Int(_) | Shown::Bool(_) | Shown::List(_) | Shown::Set(_) | Shown::Counter(_) => {
                    fold_onto(&mut self.folded, &to_cell(Some(field), &value.to_value()));
                }
            }
        }
        self.cut();
        &self.joined
    }

    /// Runs of letters and digits.
    fn cut(&mut self) {
        let folded = self.folded.as_str();
        self.places.clear();
        let mut from = 0;
        for (at, c) in folded.char_indices().filter(|(_, c)| !c.is_alphanumeric()) {
            self.places.push(from..at);
            from = at + c.len_utf8();
        }
        self.places.push(from..folded.len());
        let word = |place: &Range<usize>| folded.get(place.clone()).unwrap_or_default();
        self.places.retain(|place| !place.is_empty());
        self.places.sort_unstable_by(|a, b| word(a).cmp(word(b)));
        self.places.dedup_by(|a, b| word(a) == word(b));
        self.joined.clear();
        for place in &self.places {
            if !self.joined.is_empty() {
                self.joined.push(' ');
            }
            self.joined.push_str(word(place));
        }
    }
}

/// The words that a row with these values is found by, each once.
pub(super) fn words_of(collection: &Collection, values: &BTreeMap<String, Value>) -> String {
    let fields = collection.search.iter().filter_map(|id| Some((collection.field(id)?, values.get(id)?)));
    let found: Vec<(&Field, Shown<'_>)> = fields.map(|(field, value)| (field, Shown::from(value))).collect();
    Words::default().gather(found.iter().map(|(field, value)| (*field, value))).to_owned()
}

/// What the index is asked: every word of the text, by its beginning. `None` when the text has no
/// word.
pub(super) fn question(text: &str) -> Option<String> {
    let mut words = Words::default();
    fold_onto(&mut words.folded, text);
    words.cut();
    // Words are letters and digits: nothing in them can end the quotes.
    let asked: Vec<String> = words.joined.split_terminator(' ').map(|w| format!("\"{w}\"*")).collect();
    (!asked.is_empty()).then(|| asked.join(" AND "))
}

impl SqliteStore {
    /// The statement that replaces the words of a row, which are not none: position and words.
    pub(super) fn index_statement(&self, collection: &Collection) -> Result<CachedStatement<'_>, Fault> {
        let index = tables::index(&collection.id);
        Ok(self.conn.prepare_cached(&format!("INSERT OR REPLACE INTO {index} (rowid, words) VALUES (?1, ?2)"))?)
    }

    /// A row is found by nothing any more.
    pub(super) fn drop_words(&self, collection: &Collection, record: RecordKey) -> Result<(), Fault> {
        if collection.search.is_empty() {
            return Ok(());
        }
        let sql = format!("DELETE FROM {} WHERE rowid = ?1", tables::index(&collection.id));
        self.conn.prepare_cached(&sql)?.execute([int(record.0)])?;
        Ok(())
    }
}
