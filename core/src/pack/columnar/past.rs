//! What is known of the changes that a pack names: enough to compute what their successors would repeat.
//!
//! It does not: look into a store; what lies outside the pack comes from an [`Earlier`](super::Earlier).
//!
//! Invariants: writer and reader compute the same from the same entries, whatever either has stored.

use super::shape::Preds;
use super::shape::parts;
use crate::change::{Body, Parsed};
use crate::id::{ActorId, ChangeHash, RecordId};
use crate::log::EntryPayload;
use std::collections::BTreeMap;

/// How far back a key's last operation is looked for: a record's edits that travel together are few.
const STEPS_BACK_MAX: usize = 16;

/// From this place on stand the changes outside the pack: far above `PACK_ENTRIES_MAX`.
const OUTSIDE: usize = 1 << 24;

/// What the successor of a change repeats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past {
    pub(super) hash: ChangeHash,
    pub(super) record: RecordId,
    /// `None` where the change was not taken apart: only its hash is known.
    pub(super) known: Option<KnownPast>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct KnownPast {
    pub(super) author: ActorId,
    pub(super) seq: u64,
    pub(super) max_op: u64,
    /// The only dependency, where it is known too.
    pub(super) before: Option<usize>,
    /// Where its keys begin among all, and how many there are.
    keys: (usize, usize),
}

/// The changes of a pack, in order.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    all: Vec<Past>,
    /// Key and counter of each change's last operation of that key, in the order of keys.
    keys: Vec<(u32, u32)>,
    /// Those that lie outside the pack, each with the counter of its last operation of each key.
    outside: Vec<(Past, BTreeMap<String, u64>)>,
}

impl Pasts {
    pub(super) fn get(&self, at: usize) -> Option<&Past> {
        match at.checked_sub(OUTSIDE) {
            Some(at) => self.outside.get(at).map(|(past, _)| past),
            None => self.all.get(at),
        }
    }

    /// Takes in an entry that lies outside the pack; its place.
    pub(super) fn add_outside(&mut self, e: &EntryPayload) -> usize {
        let mut keys = BTreeMap::new();
        let parsed = Parsed::read_stored(&e.payload).ok().filter(|_| e.entry.kind.is_change());
        let known = parsed.map(|p| {
            for part in parts(p.body()).unwrap_or_default() {
                keys.insert(part.key.to_owned(), p.start_op.wrapping_add(part.at as u64));
            }
            KnownPast { author: p.actor(), seq: p.seq, max_op: p.max_op(), before: None, keys: (0, 0) }
        });
        let past = Past { hash: e.entry.change(), record: e.entry.record, known };
        self.outside.push((past, keys));
        OUTSIDE + self.outside.len() - 1
    }

    /// The record of a change outside the pack.
    pub(super) fn outside_record(&self, at: usize) -> Option<RecordId> {
        self.outside.get(at.checked_sub(OUTSIDE)?).map(|(past, _)| past.record)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// An entry of which only its hash and record matter.
    pub(super) fn push_unknown(&mut self, hash: [u8; 32], record: RecordId) {
        self.all.push(Past { hash: ChangeHash(hash), record, known: None });
    }

    /// A change that was taken apart: `keys` by key, each with the counter of its last operation.
    pub(super) fn push(
        &mut self,
        (hash, record): ([u8; 32], RecordId),
        body: &Body<'_>,
        before: Option<usize>,
        keys: impl Iterator<Item = (u32, u64)>,
    ) {
        let start = self.keys.len();
        // Counters are of 32 bits; one beyond is no change's that anyone takes.
        self.keys.extend(keys.filter_map(|(key, counter)| Some((key, u32::try_from(counter).ok()?))));
        let known = KnownPast {
            author: body.actors.first().copied().unwrap_or_default(),
            seq: body.seq,
            max_op: body.max_op(),
            before,
            keys: (start, self.keys.len() - start),
        };
        self.all.push(Past { hash: ChangeHash(hash), record, known: Some(known) });
    }

    /// The author of the first dependency.
    pub(super) fn author(&self, deps: &[Option<usize>]) -> Option<ActorId> {
        Some(self.get((*deps.first()?)?)?.known?.author)
    }

    /// The sequence that follows, for this author, from what is known of the dependencies.
    pub(super) fn seq(&self, deps: &[Option<usize>], author: &ActorId) -> u64 {
        let known = deps.iter().flatten().filter_map(|at| self.get(*at)?.known);
        known.filter(|k| k.author == *author).map(|k| k.seq).max().unwrap_or(0).wrapping_add(1)
    }

    /// The first counter that follows.
    pub(super) fn start_op(&self, deps: &[Option<usize>]) -> u64 {
        let known = deps.iter().flatten().filter_map(|at| self.get(*at)?.known);
        known.map(|k| k.max_op).max().unwrap_or(0).wrapping_add(1)
    }

    /// The operation that the only dependency left at this key: its author and counter.
    pub(super) fn last(&self, deps: &[Option<usize>], key: u32, name: &str) -> Option<(ActorId, u64)> {
        let [Some(at)] = deps else { return None };
        let mut at = *at;
        for _ in 0..STEPS_BACK_MAX {
            if let Some(at) = at.checked_sub(OUTSIDE) {
                let (past, keys) = self.outside.get(at)?;
                return Some((past.known?.author, *keys.get(name)?));
            }
            let known = self.all.get(at)?.known?;
            let (start, len) = known.keys;
            let keys = self.keys.get(start..start + len)?;
            if let Ok(found) = keys.binary_search_by_key(&key, |(k, _)| *k) {
                return keys.get(found).map(|(_, counter)| (known.author, u64::from(*counter)));
            }
            at = known.before?;
        }
        None
    }
}

/// Whether the predecessors are exactly the one that is known.
pub(super) fn is_known(body: &Body<'_>, op: &crate::change::Op<'_>, last: Option<(ActorId, u64)>) -> Preds {
    match (body.preds_of(op), last) {
        ([one], Some((author, counter))) if one.counter == counter && body.actor_of(*one) == Some(author) => {
            Preds::Known
        }
        (named, _) => Preds::Named(named.len() as u32),
    }
}
