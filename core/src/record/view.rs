//! What a record shows now, and where people disagree.
//!
//! It does not: format values, order fields as the schema does, or name authors (the caller maps a
//! change to its commit).
//!
//! Invariants: names that start with `_` are no fields; a field is in conflict only if concurrent
//! values of it differ; a removal stands against concurrent edits and is listed as a conflict of
//! [`REMOVED_KEY`].

use super::document::Document;
use super::engine::guarded;
use super::error::Damaged;
use super::{REMOVED_KEY, read};
use crate::id::ChangeHash;
use crate::value::Value;
use automerge::{ROOT, ReadDoc};
use std::collections::{BTreeMap, BTreeSet};

/// A record as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The value shown of every field that is present. A born field that was emptied is present with
    /// an empty value.
    pub fields: BTreeMap<String, Value>,
    /// The fields whose concurrent values differ, in byte order of name.
    pub conflicts: Vec<Conflict>,
    /// Whether the record is hidden from lists.
    pub removed: bool,
}

/// Concurrent different values of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The field; [`REMOVED_KEY`] where an edit ran beside a removal.
    pub field: String,
    /// All values, the loser first, the winner last. For [`REMOVED_KEY`] an edit counts as the
    /// value *false*, because its author took the record as present.
    pub values: Vec<ConflictValue>,
    /// The value that is shown.
    pub winner: Value,
}

/// One of several concurrent values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictValue {
    /// The value.
    pub value: Value,
    /// The change that wrote it (for a text, list, set or counter: that made it).
    pub change: ChangeHash,
}

impl Document {
    /// What the record shows now.
    ///
    /// # Errors
    /// [`Damaged`], if Automerge cannot read its own document.
    pub fn view(&self) -> Result<View, Damaged> {
        guarded(|| self.view_inner())
    }

    fn view_inner(&self) -> Result<View, Damaged> {
        let mut view = View::default();
        let keys: Vec<String> = self.doc.keys(ROOT).filter(|k| !k.starts_with('_')).collect();
        for key in keys {
            let values = read::all(&self.doc, &key, None)?;
            let Some((winner, _)) = values.last().cloned() else {
                continue;
            };
            if values.iter().any(|(value, _)| *value != winner) {
                let mut listed = Vec::new();
                for (value, op) in values {
                    listed.push(ConflictValue { value, change: self.writer(&op)? });
                }
                view.conflicts.push(Conflict { field: key.clone(), values: listed, winner: winner.clone() });
            }
            view.fields.insert(key, winner);
        }
        if let Some(conflict) = self.removal()?.inspect(|(removed, _)| view.removed = *removed).and_then(|(_, c)| c) {
            // `_` sorts before every letter that a field may begin with.
            view.conflicts.insert(0, conflict);
        }
        Ok(view)
    }

    /// Whether the record is removed, and the conflict about that, if any; `None` if nobody ever
    /// said anything about it.
    pub(super) fn removal(&self) -> Result<Option<(bool, Option<Conflict>)>, Damaged> {
        let said = read::all(&self.doc, REMOVED_KEY, None)?;
        let Some((winner, _)) = said.last().cloned() else {
            return Ok(None);
        };
        let removed = winner == Value::Bool(true);
        let differ = said.iter().any(|(value, _)| *value != winner);
        let mut values = Vec::new();
        for (value, op) in said {
            values.push(ConflictValue { value, change: self.writer(&op)? });
        }
        let mut beside = Vec::new();
        if removed {
            let removals: BTreeSet<ChangeHash> =
                values.iter().filter(|v| v.value == Value::Bool(true)).map(|v| v.change).collect();
            beside = self.edits_beside(&removals)?;
        }
        if !differ && beside.is_empty() {
            return Ok(Some((removed, None)));
        }
        let edits = beside.into_iter().map(|change| ConflictValue { value: Value::Bool(false), change });
        let values = edits.chain(values).collect();
        Ok(Some((removed, Some(Conflict { field: REMOVED_KEY.to_owned(), values, winner }))))
    }

    /// The changes that edited a field and that ran beside every one of `removals`: neither before
    /// one (then it was made in their knowledge) nor after one (then they were made in its).
    fn edits_beside(&self, removals: &BTreeSet<ChangeHash>) -> Result<Vec<ChangeHash>, Damaged> {
        let known = self.closure(removals);
        if known.len() == self.metas.len() {
            return Ok(Vec::new());
        }
        let mut after: BTreeSet<ChangeHash> = removals.clone();
        let mut out = Vec::new();
        let touched = self.touched()?;
        for hash in self.order() {
            let Some(meta) = self.metas.get(&hash) else {
                continue;
            };
            if meta.deps.iter().any(|dep| after.contains(dep)) {
                after.insert(hash);
            }
            let edits = touched.get(&hash).is_some_and(|fields| fields.iter().any(|f| !f.starts_with('_')));
            if edits && meta.birth.is_none() && !known.contains(&hash) && !after.contains(&hash) {
                out.push(hash);
            }
        }
        Ok(out)
    }
}
