//! The second way to every figure: from the documents of the records.
//!
//! It does not: mend a difference.
//!
//! Invariants: shares nothing with the first way but the schema.

use super::types::{Difference, FigureQuery, RollupError};
use crate::replica::{Replica, ReplicaError};
use sampan_core::engine::EditFailure;
use sampan_core::id::UnitId;
use sampan_core::rollup::{Key, OVER, recount};
use sampan_core::schema::{Collection, Metric, Over};
use sampan_core::store::RecordKey;
use sampan_core::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Records read at a time when figures are counted anew.
const RECORDS_A_STEP: usize = 256;

impl Replica {
    /// Counts every figure that is kept here anew, from the changes of the records through their documents; where
    /// the two ways differ.
    ///
    /// # Errors
    /// [`RollupError`].
    pub fn check_figures(&mut self, only: Option<&str>) -> Result<Vec<Difference>, RollupError> {
        self.project()?;
        let query = FigureQuery { metric: only.map(str::to_owned), ..FigureQuery::default() };
        let metrics: Vec<Metric> = match only {
            Some(_) => self.asked(&query)?.1,
            None => self.schema().ok_or(ReplicaError::NoSchema)?.metrics.values().cloned().collect(),
        };
        let Some(schema) = self.schema().cloned() else { return Ok(Vec::new()) };
        let mut held: BTreeMap<&str, Vec<recount::Held>> = BTreeMap::new();
        let mut out = Vec::new();
        for metric in &metrics {
            let Some(collection) = schema.collection(&metric.of) else { continue };
            if !held.contains_key(metric.of.as_str()) {
                held.insert(&metric.of, self.held_records(collection)?);
            }
            let records = held.get(metric.of.as_str()).map(Vec::as_slice).unwrap_or_default();
            let sums = match &metric.over {
                Some(Over::Field(f)) => vec![None, Some(f.as_str())],
                Some(Over::Metric(_)) | None => vec![None],
            };
            for sum in sums {
                let id = if sum.is_some() { format!("{}{OVER}", metric.id) } else { metric.id.clone() };
                for below in [false, true] {
                    let records: Vec<recount::Held> = records
                        .iter()
                        .map(|r| recount::Held {
                            units: if below { r.units.clone() } else { r.units[..1].to_vec() },
                            fields: r.fields.clone(),
                        })
                        .collect();
                    let counted = recount::recount(&schema, metric, sum, &records);
                    let counted: BTreeMap<(UnitId, Key), String> =
                        counted.into_iter().map(|((u, period, by), v)| ((u, Key { period, by }), v)).collect();
                    let kept = self.store.every_figure(&id, below)?;
                    let places: BTreeSet<&(UnitId, Key)> = kept.keys().chain(counted.keys()).collect();
                    for place in places {
                        let (k, c) = (kept.get(place), counted.get(place));
                        if k != c {
                            out.push(Difference {
                                unit: place.0,
                                below,
                                metric: id.clone(),
                                key: place.1.clone(),
                                kept: k.cloned().unwrap_or_default(),
                                counted: c.cloned().unwrap_or_default(),
                            });
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// Every record of a collection, each opened as a document.
    fn held_records(&self, collection: &Collection) -> Result<Vec<recount::Held>, ReplicaError> {
        let charter = self.engine.charter();
        let mut out = Vec::new();
        let mut after = RecordKey(0);
        loop {
            let states = self.store.records_after(after, RECORDS_A_STEP)?;
            let Some(last) = states.last().and_then(|s| s.key) else { return Ok(out) };
            after = last;
            for state in states.into_iter().filter(|s| s.collection == collection.id) {
                if state.damaged || state.heads.is_empty() {
                    continue;
                }
                let (state, entries, document) = self.engine.document(&self.store, state.id)?;
                let view = document.view().map_err(|e| EditFailure::Damaged(state.id, e))?;
                let (author, updated) = crate::replica::project::last_touch(&state, &entries);
                let row = crate::replica::project::row_of_view(&state, view, author, updated);
                if row.removed {
                    continue;
                }
                // What a list shows of a value is what counts: one of another kind than its field is text.
                let row = crate::store::SqliteStore::as_stored(collection, &row)?;
                let mut fields = row.values.clone();
                for name in sampan_core::schema::expr::PSEUDO_FIELDS {
                    if let Some(value) = pseudo(&row, name) {
                        fields.insert(name.to_owned(), value);
                    }
                }
                let mut units = vec![row.unit];
                units.extend(charter.chain(&row.unit).map(|u| u.id).filter(|u| *u != row.unit));
                // The first is the record's own; with those below its own counts once too.
                out.push(recount::Held { units, fields });
            }
        }
    }
}

fn pseudo(row: &crate::store::ProjectedRow, name: &str) -> Option<Value> {
    match name {
        "_id" => Some(Value::Str(row.id.to_string())),
        "_unit" => Some(Value::Str(row.unit.to_string())),
        "_author" => Some(Value::Str(row.author.to_string())),
        "_updated" => Some(Value::Str(crate::stamp::rfc3339(row.updated))),
        "_conflict" => Some(Value::List(row.conflict.clone())),
        _ => None,
    }
}
