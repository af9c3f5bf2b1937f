//! Edits of an open record: which births and which change they make.
//!
//! It does not: check rights, a field's own limits, or that identity key fields stay (callers do),
//! and it never seals or stores.
//!
//! Invariants: one call makes at most one ordinary change, preceded by the births it needs; edits
//! that change nothing make nothing; on any error the document is as it was.

use super::born::birth;
use super::document::Document;
use super::engine::{at_time, guarded, parse, within_limits};
use super::error::{EditError, within};
use super::{NewChange, REMOVED_KEY, write};
use crate::id::{ActorId, ChangeHash};
use crate::limits::RECORD_OPS_MAX;
use crate::time::Millis;
use crate::value::{Edit, Kind};
use automerge::transaction::Transactable;
use std::collections::BTreeSet;

/// Who edits, and on what the births of the record rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditContext {
    /// The record's creation change.
    pub creation: ChangeHash,
    /// The actor of this replica.
    pub actor: ActorId,
    /// The author's time.
    pub time: Millis,
}

impl Document {
    /// Applies edits and returns the changes that came out: first the computed births of fields that
    /// are used for the first time, then one change with all edits; empty if nothing changes.
    ///
    /// `kinds` gives the kind of each field of the collection. [`REMOVED_KEY`] is known without it: a
    /// yes/no value; setting it again settles a conflict about it.
    ///
    /// # Errors
    /// [`EditError`]; the document is then as it was.
    pub fn edit(
        &mut self,
        ctx: &EditContext,
        kinds: &dyn Fn(&str) -> Option<Kind>,
        edits: &[(String, Edit)],
    ) -> Result<Vec<NewChange>, EditError> {
        let mut copy = self.clone();
        let made = guarded(|| copy.edit_inner(ctx, kinds, edits))?;
        if !made.is_empty() {
            *self = copy;
        }
        Ok(made)
    }

    fn edit_inner(
        &mut self,
        ctx: &EditContext,
        kinds: &dyn Fn(&str) -> Option<Kind>,
        edits: &[(String, Edit)],
    ) -> Result<Vec<NewChange>, EditError> {
        let mut typed = Vec::with_capacity(edits.len());
        for (field, edit) in edits {
            let kind = kind_of(field, kinds)?;
            match edit {
                Edit::Set(value) | Edit::Add(value) | Edit::Sub(value) => drop(write::typed(field, kind, value)?),
                Edit::Clear => {}
            }
            typed.push((field.as_str(), kind, edit));
        }
        let mut made = self.births(ctx, &typed)?;
        let new: BTreeSet<String> = made.iter().filter_map(|c| c.birth.as_ref()).map(|(f, _)| f.clone()).collect();
        let contested = typed.iter().any(|(field, ..)| *field == REMOVED_KEY)
            && self.removal()?.is_some_and(|(_, conflict)| conflict.is_some());

        self.set_actor(&ctx.actor);
        let mut tx = self.doc.transaction();
        let mut touched = BTreeSet::new();
        for (field, kind, edit) in &typed {
            let before = tx.pending_ops();
            if kind.is_born() {
                write::born(&mut tx, field, *kind, edit, new.contains(*field))?;
            } else {
                write::scalar(&mut tx, field, *kind, edit, contested && *field == REMOVED_KEY)?;
            }
            if tx.pending_ops() > before {
                touched.insert((*field).to_owned());
            }
        }
        let (Some(hash), _) = tx.commit_with(at_time(ctx.time.0 as i64)) else {
            return Ok(Vec::new());
        };

        let change = self.committed(&hash)?;
        within_limits(&change)?;
        let bytes = change.raw_bytes().to_vec();
        let hash = self.note(&change)?;
        within("RECORD_OPS_MAX", RECORD_OPS_MAX, self.operations(), || "the record in operations".into())?;
        made.push(NewChange { bytes, hash, birth: None, fields: touched.into_iter().collect() });
        Ok(made)
    }

    /// Makes and applies the births that these edits need.
    fn births(&mut self, ctx: &EditContext, edits: &[(&str, Kind, &Edit)]) -> Result<Vec<NewChange>, EditError> {
        let mut made = Vec::new();
        for (field, kind, edit) in edits {
            if !kind.is_born() || !write::needs_object(field, *kind, edit)? || write::holds(&self.doc, field)? {
                continue;
            }
            let creation = self.metas.get(&ctx.creation).ok_or(EditError::NoCreation { creation: ctx.creation })?;
            let Some(birth) = birth(&self.record, &ctx.creation, creation.max_op(), field, *kind) else {
                continue;
            };
            if self.metas.contains_key(&birth.hash) {
                continue;
            }
            within_limits(&parse(&birth.bytes)?)?;
            self.apply_own(&birth.bytes)?;
            made.push(birth);
        }
        Ok(made)
    }
}

fn kind_of(field: &str, kinds: &dyn Fn(&str) -> Option<Kind>) -> Result<Kind, EditError> {
    if field == REMOVED_KEY {
        return Ok(Kind::Bool);
    }
    if field.starts_with('_') {
        return Err(EditError::ReservedField { field: field.to_owned() });
    }
    kinds(field).ok_or_else(|| EditError::UnknownField { field: field.to_owned() })
}
