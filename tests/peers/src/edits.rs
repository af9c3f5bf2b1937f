//! The records of all contenders, and their edits.
//!
//! It does not: draw anything that does not follow from the seed of the figures.

use sampan_core::testing::SeededRng;
use sampan_core::value::Value;
use std::collections::BTreeMap;

/// One record.
pub type Fields = BTreeMap<String, Value>;

/// The records, as they are after the edits so far.
pub struct Records {
    /// Each by its place.
    pub rows: Vec<Fields>,
    rng: SeededRng,
    next: usize,
}

/// Some edits, of one field of different records.
#[derive(Default)]
pub struct Edits {
    /// Places of the records.
    pub places: Vec<usize>,
    /// Field and new value.
    pub fields: Vec<(String, Value)>,
    /// The whole record after the edit, as JSON.
    pub json: Vec<Vec<u8>>,
    /// Sampan's raw changes of these edits, which are Automerge's too; empty for live ones.
    pub changes: Vec<Vec<u8>>,
}

impl Records {
    /// The first `n` of the figures.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { rows: crate::org::members(n), rng: SeededRng::new(7), next: 0 }
    }

    /// The next `k` edits, spread over all records, each once.
    pub fn edit(&mut self, k: usize) -> Edits {
        let mut out = Edits::default();
        for at in self.next..self.next + k {
            let at = at * 7 % self.rows.len();
            let (name, value) = sampan_tests::members::edit(&mut self.rng, &self.rows[at]);
            self.rows[at].insert(name.clone(), value.clone());
            out.places.push(at);
            out.fields.push((name, value));
            out.json.push(json(&self.rows[at]));
        }
        self.next += k;
        out
    }
}

/// A record as JSON.
#[must_use]
pub fn json(row: &Fields) -> Vec<u8> {
    let object: serde_json::Map<String, serde_json::Value> =
        row.iter().map(|(k, v)| (k.clone(), sampan_core::schema::to_json(None, v))).collect();
    serde_json::Value::Object(object).to_string().into_bytes()
}
