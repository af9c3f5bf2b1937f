//! A record's document: a set of changes, opened.
//!
//! It does not: judge which changes stand (the caller passes only those), keep anything on disk, or
//! know the schema.
//!
//! Invariants: equal sets of changes make equal documents, in whatever order they came; the bytes
//! handed out are the bytes handed in; adding changes either works as a whole or leaves the document
//! as it was.

use super::engine::{am_actor, blank, guarded, our_actor, ours, parse, refused, theirs};
use super::error::Damaged;
use super::history::birth_of;
use crate::id::{ActorId, ChangeHash, RecordId};
use crate::limits::RECORD_OPS_MAX;
use crate::value::Kind;
use automerge::{Automerge, Change, ReadDoc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is known of one change without asking Automerge again.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) bytes: Arc<[u8]>,
    pub(super) actor: ActorId,
    pub(super) start_op: u64,
    pub(super) ops: u64,
    pub(super) time: i64,
    pub(super) deps: Vec<ChangeHash>,
    /// The field and kind, if it is a computed birth change of this record.
    pub(super) birth: Option<(String, Kind)>,
}

/// A record's document, opened for reading and editing.
#[derive(Debug, Clone)]
pub struct Document {
    pub(super) record: RecordId,
    pub(super) doc: Automerge,
    pub(super) metas: BTreeMap<ChangeHash, Meta>,
}

impl Document {
    /// Opens the document that these changes of `record` make.
    ///
    /// The changes may come in any order and repeat, but must be complete: every ancestor is among
    /// them. They must have passed admission.
    ///
    /// # Errors
    /// [`Damaged`]; a record with more than [`RECORD_OPS_MAX`] operations is refused as
    /// [`Damaged::TooManyOperations`] before it is opened.
    pub fn load<'a>(record: RecordId, changes: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Damaged> {
        // The actor only matters for edits, which set their own.
        let mut out = Self { record, doc: blank(&ActorId([0; 16])), metas: BTreeMap::new() };
        guarded(|| out.take(changes))?;
        Ok(out)
    }

    /// Adds changes of the same record; those already held are no-ops.
    ///
    /// # Errors
    /// As for [`Document::load`]; the document is then as it was.
    pub fn apply<'a>(&mut self, changes: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Damaged> {
        let mut copy = self.clone();
        guarded(|| copy.take(changes))?;
        *self = copy;
        Ok(())
    }

    fn take<'a>(&mut self, changes: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Damaged> {
        let mut parsed = Vec::new();
        let mut total = self.operations();
        for bytes in changes {
            let change = parse(bytes)?;
            let hash = ours(&change.hash());
            if self.metas.contains_key(&hash) {
                continue;
            }
            total = total.saturating_add(change.len() as u64);
            if total > RECORD_OPS_MAX {
                return Err(Damaged::TooManyOperations { found: total, max: RECORD_OPS_MAX });
            }
            self.note(&change)?;
            parsed.push(change);
        }
        let missing = self.metas.values().flat_map(|m| &m.deps).find(|dep| !self.metas.contains_key(dep));
        if let Some(missing) = missing {
            return Err(Damaged::MissingAncestor { missing: *missing });
        }
        self.doc.apply_changes(parsed).map_err(refused)
    }

    /// Remembers a change that is, or is about to be, in the document.
    pub(super) fn note(&mut self, change: &Change) -> Result<ChangeHash, Damaged> {
        let hash = ours(&change.hash());
        let actor = our_actor(change.actor_id())
            .ok_or_else(|| Damaged::Actor { change: hash, found: change.actor_id().to_bytes().len() })?;
        let meta = Meta {
            bytes: change.raw_bytes().into(),
            actor,
            start_op: change.start_op().get(),
            ops: change.len() as u64,
            time: change.timestamp(),
            deps: change.deps().iter().map(ours).collect(),
            birth: birth_of(&self.record, change),
        };
        self.metas.insert(hash, meta);
        Ok(hash)
    }

    /// Applies one change made here.
    pub(super) fn apply_own(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let change = parse(bytes)?;
        self.note(&change)?;
        self.doc.apply_changes([change]).map_err(refused)
    }

    /// Sets who writes the next change.
    pub(super) fn set_actor(&mut self, actor: &ActorId) {
        self.doc.set_actor(am_actor(actor));
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> RecordId {
        self.record
    }

    /// The changes that no other builds on, in byte order.
    #[must_use]
    pub fn heads(&self) -> Vec<ChangeHash> {
        self.doc.get_heads().iter().map(ours).collect()
    }

    /// The greatest operation counter; 0 for an empty document.
    #[must_use]
    pub fn max_op(&self) -> u64 {
        self.metas.values().map(Meta::max_op).max().unwrap_or(0)
    }

    /// Number of operations in all changes.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.metas.values().map(|m| m.ops).sum()
    }

    /// All changes with their bytes, ancestors first, in the order of [`Document::history`].
    #[must_use]
    pub fn changes(&self) -> Vec<(ChangeHash, Vec<u8>)> {
        self.order().into_iter().filter_map(|h| Some((h, self.metas.get(&h)?.bytes.to_vec()))).collect()
    }

    /// The changes in an order that puts ancestors first and depends on nothing but the set: a
    /// change's first operation counter is greater than those of all its ancestors.
    pub(super) fn order(&self) -> Vec<ChangeHash> {
        let mut out: Vec<(u64, ChangeHash)> = self.metas.iter().map(|(h, m)| (m.start_op, *h)).collect();
        out.sort_unstable();
        out.into_iter().map(|(_, h)| h).collect()
    }

    /// The ancestors of these changes, themselves included.
    pub(super) fn closure<'a>(&self, of: impl IntoIterator<Item = &'a ChangeHash>) -> BTreeSet<ChangeHash> {
        let mut seen = BTreeSet::new();
        let mut stack: Vec<ChangeHash> = of.into_iter().copied().collect();
        while let Some(hash) = stack.pop() {
            if seen.insert(hash)
                && let Some(meta) = self.metas.get(&hash)
            {
                stack.extend(&meta.deps);
            }
        }
        seen
    }

    /// The change that an operation belongs to.
    pub(super) fn writer(&self, op: &automerge::ObjId) -> Result<ChangeHash, Damaged> {
        self.doc
            .hash_for_opid(op)
            .map(|h| ours(&h))
            .ok_or_else(|| Damaged::Refused { reason: format!("no change holds the operation {op}") })
    }

    /// The change of this hash as Automerge's, from our own bytes.
    pub(super) fn change(&self, hash: &ChangeHash) -> Result<Change, Damaged> {
        match self.metas.get(hash) {
            Some(meta) => parse(&meta.bytes),
            None => Err(Damaged::MissingAncestor { missing: *hash }),
        }
    }

    /// The change that Automerge holds under this hash.
    pub(super) fn committed(&self, hash: &automerge::ChangeHash) -> Result<Change, Damaged> {
        self.doc
            .get_change_by_hash(hash)
            .filter(|c| c.hash() == *hash)
            .ok_or_else(|| Damaged::Refused { reason: format!("the change {hash} did not come out as it went in") })
    }

    /// Heads in Automerge's form.
    pub(super) fn point<'a>(hashes: impl IntoIterator<Item = &'a ChangeHash>) -> Vec<automerge::ChangeHash> {
        theirs(hashes)
    }
}

impl Meta {
    /// The greatest operation counter of the change.
    pub(super) fn max_op(&self) -> u64 {
        self.start_op.saturating_add(self.ops).saturating_sub(1)
    }
}
