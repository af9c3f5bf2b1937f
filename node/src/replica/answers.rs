//! Who is asked by a record, and who has answered it.
//!
//! It does not: decide what is late (see `due`), or open a document: replies are projected rows.
//!
//! Invariants: a record asks every unit below the one that issued it, or those that it is addressed to with all below
//! them; a reply counts wherever what it answers is known, and is kept where that has not arrived.

use super::{Replica, ReplicaError};
use crate::store::ProjectedRow;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::schema::{Collection, Expr};
use sampan_core::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A unit's answers to a record, the newest last.
pub type Answers = BTreeMap<UnitId, Vec<ProjectedRow>>;

impl Replica {
    /// The units among `among` that a record asks: below the unit that issued it, and addressed if it names units.
    /// A word in the address that names no unit known here asks nobody here.
    #[must_use]
    pub fn units_asked(&self, collection: &Collection, record: &ProjectedRow, among: &[UnitId]) -> Vec<UnitId> {
        let charter = self.engine.charter();
        let addressed = collection.addressed.as_deref().and_then(|field| match record.values.get(field) {
            Some(Value::Set(words)) if !words.is_empty() => Some(words),
            _ => None,
        });
        let targets: Option<BTreeSet<UnitId>> =
            addressed.map(|words| words.iter().filter_map(|w| self.find_unit(w).ok()).collect());
        let asks = |unit: &UnitId| {
            charter.is_below(unit, &record.unit)
                && targets.as_ref().is_none_or(|t| charter.chain(unit).any(|u| t.contains(&u.id)))
        };
        among.iter().copied().filter(asks).collect()
    }

    /// This device's units and all below them, in the order of their paths.
    #[must_use]
    pub fn units_and_below(&self) -> Vec<UnitId> {
        let charter = self.engine.charter();
        let own: BTreeSet<UnitId> = self.units().into_iter().collect();
        let mut found: Vec<UnitId> = charter
            .units()
            .filter(|u| charter.chain(&u.id).any(|above| own.contains(&above.id)))
            .map(|u| u.id)
            .collect();
        found.sort_by_cached_key(|u| (charter.path(u), *u));
        found
    }

    /// The replies of a collection by what they answer, as far as they pass a filter.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn answers(
        &mut self,
        reply: &Collection,
        filter: Option<&Expr>,
    ) -> Result<BTreeMap<RecordId, Answers>, ReplicaError> {
        let by = self.schema().and_then(|s| s.answers_by(reply)).map(|f| f.id.clone());
        let Some(by) = by else { return Ok(BTreeMap::new()) };
        let mut out: BTreeMap<RecordId, Answers> = BTreeMap::new();
        for row in self.list(reply, filter, None)? {
            let Some(Value::Str(id)) = row.values.get(&by) else { continue };
            let Ok(id) = id.parse::<RecordId>() else { continue };
            out.entry(id).or_default().entry(row.unit).or_default().push(row);
        }
        for rows in out.values_mut().flat_map(BTreeMap::values_mut) {
            rows.sort_by_key(|r| (r.updated, r.id));
        }
        Ok(out)
    }
}
