//! Sealing: pending edits become signed commits, in one durable batch, before a byte of them leaves.
//!
//! It does not: decide when (node does: a link, ten minutes, 256 entries, shutdown).
//!
//! Invariants: entries keep the order of editing; a commit holds edits of one space and one nonce; an
//! edit is either pending or in exactly one commit.

use super::Engine;
use crate::entropy::{Entropy, random};
use crate::id::{Nonce, RecordId, SpaceId};
use crate::limits;
use crate::log::commit::FORMAT;
use crate::log::{Commit, Header, Payload, Secret};
use crate::pack::{self, PackScope};
use crate::store::{
    Batch, EntryAt, NewCommit, NewEntry, NewGroup, PendingEntry, PendingKey, Status, Store, StoreError,
};
use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// How much one commit takes; never more than the format allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealLimits {
    /// Entries a commit.
    pub entries: usize,
    /// Payload bytes a commit.
    pub bytes: usize,
}

impl Default for SealLimits {
    fn default() -> Self {
        // Three quarters of a frame: header, names and references come on top of the payload.
        Self { entries: limits::COMMIT_ENTRIES_MAX, bytes: limits::COMMIT_BYTES_MAX * 3 / 4 }
    }
}

impl Engine {
    /// Seals everything pending; returns the number of commits made. Does nothing before the charter
    /// of this device's unit has come, because a commit names the charter it was made under.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed of the commit that failed.
    pub fn seal(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        limits: SealLimits,
        now: Millis,
    ) -> Result<u64, StoreError> {
        let mut made = 0;
        // Another process may have written: sealing on tips of before would fork our own log.
        self.catch_up(store)?;
        if self.charter.root().is_none() {
            return Ok(0);
        }
        self.write_anew(store, now)?;
        // What this device may not write (it was made before the charter had come) would hold up its whole
        // log at the relay: it stays here, unsent, until a grant lets it go. So does what would lie outside a cut.
        let mut sums = store.pending_sums()?;
        sums.retain(|sum| self.may_seal(&sum.space, &sum.collection));
        let mut may: BTreeMap<SpaceId, BTreeSet<String>> = BTreeMap::new();
        for sum in sums {
            may.entry(sum.space).or_default().insert(sum.collection);
        }
        for (space, collections) in may {
            made += self.seal_space(store, rng, limits, now, &space, &collections)?;
        }
        Ok(made)
    }

    /// Seals the edits of one space, in runs of one nonce, in the order of editing; a part of them in memory.
    fn seal_space(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        limits: SealLimits,
        now: Millis,
        space: &SpaceId,
        collections: &BTreeSet<String>,
    ) -> Result<u64, StoreError> {
        let mut made = 0;
        let mut run: Vec<PendingEntry> = Vec::new();
        let mut bytes = 0;
        let mut after = PendingKey(0);
        loop {
            let part = store.pending_of(space, after, limits::SEAL_PART_ENTRIES)?;
            let Some(last) = part.last() else { break };
            after = last.key;
            for p in part.into_iter().filter(|p| collections.contains(&p.entry.entry.collection)) {
                let same = run.last().is_none_or(|l| l.nonce == p.nonce);
                let size = p.entry.payload.len() + 64;
                let full = run.len() >= limits.entries.clamp(1, limits::COMMIT_ENTRIES_MAX);
                if !same || full || bytes + size > limits.bytes {
                    made += self.seal_run(store, rng, std::mem::take(&mut run), now)?;
                    bytes = 0;
                }
                bytes += size;
                run.push(p);
            }
        }
        Ok(made + self.seal_run(store, rng, run, now)?)
    }

    /// Whether an entry of this collection, sealed now, would count.
    pub(super) fn may_seal(&self, space: &SpaceId, collection: &str) -> bool {
        self.charter.may_add(&self.device, space, &self.charter.heads(&space.unit), collection)
    }

    fn seal_run(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        run: Vec<PendingEntry>,
        now: Millis,
    ) -> Result<u64, StoreError> {
        let Some(first) = run.first() else {
            return Ok(0);
        };
        let (space, nonce) = (first.space, first.nonce);
        if !self.charter.counts(&self.device, &space) {
            return Ok(0);
        }
        let keys: Vec<PendingKey> = run.iter().map(|p| p.key).collect();
        let statuses = statuses(store, &run)?;
        let payload =
            Payload { secret: Secret::Whole(random(rng)), entries: run.into_iter().map(|p| p.entry).collect() };
        let commit = self.sign(store, space, nonce, payload, now)?;
        let mut batch = Batch::at(now);
        let scope = PackScope { org: self.org, space };
        let packed = pack::encode(&scope, &[commit.payload()], &*self.codec);
        let entries = commit.payload().entries.iter().zip(&keys);
        let entries = entries.map(|(e, key)| NewEntry {
            record: e.entry.record,
            kind: e.entry.kind,
            status: statuses.get(key).copied().unwrap_or(Status::Accepted),
        });
        let new = NewCommit { head: commit.head().clone(), entries: entries.collect() };
        batch.groups.push(NewGroup { commits: vec![new], pack: packed });
        batch.sealed = keys;
        store.write(&batch)?;
        self.note_stored(store, std::slice::from_ref(&commit), None)?;
        store.hand_on(vec![commit])?;
        Ok(1)
    }

    /// Signs a commit of this device on top of its log.
    pub(super) fn sign(
        &self,
        store: &dyn Store,
        space: SpaceId,
        nonce: Nonce,
        payload: Payload,
        now: Millis,
    ) -> Result<Commit, StoreError> {
        let parents = self.own_parents(&space);
        let sequences = store.known(&parents)?;
        let sequence = 1 + sequences.into_iter().flatten().map(|(_, s)| s).max().unwrap_or(0);
        let header = Header {
            format: FORMAT,
            org: self.org,
            space,
            device: self.device,
            incarnation: self.incarnation,
            sequence,
            charter_heads: self.charter_heads(&space.unit, &parents),
            parents,
            nonce,
            time: now,
            entries: 0,
            root: [0; 32],
        };
        Commit::seal(&self.key, header, payload)
            .map_err(|e| StoreError::Io(format!("a commit of ours broke a limit: {e}")))
    }
}

/// What pending entries stand at where that is not accepted: what came meanwhile may have blocked them,
/// and sealing changes no status.
fn statuses(store: &dyn Store, run: &[PendingEntry]) -> Result<BTreeMap<PendingKey, Status>, StoreError> {
    let ids: BTreeSet<RecordId> = run.iter().map(|p| p.entry.entry.record).collect();
    let ids: Vec<RecordId> = ids.into_iter().collect();
    let mut out = BTreeMap::new();
    for state in store.records(&ids)?.into_iter().flatten().filter(|s| s.irregular > 0) {
        let Some(key) = state.key else { continue };
        for e in store.entries(key)? {
            if let EntryAt::Pending(at) = e.at {
                out.insert(at, e.status);
            }
        }
    }
    Ok(out)
}
