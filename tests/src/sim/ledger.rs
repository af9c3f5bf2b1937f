//! The ledger: what every store has held, what every person was promised, and who broke it. Written
//! from what the stores say after each step, with nothing of the engine's own bookkeeping.
//!
//! It does not: make faults, or judge statuses (`court` does, with the plain model).
//!
//! Invariants: what a store held when a step ended is durable and stays there, unless a fault that takes
//! whole disks excuses it; an edit that a person saw saved is unsealed or in exactly one commit,
//! as long as its record is not erased; an
//! honest device never forks its own log.

use sampan_core::id::{ChangeHash, CommitId, DeviceId, Flow, LogId, RecordId, StoreEpoch, UnitId};
use sampan_core::log::{Commit, EntryKind};
use sampan_core::store::{CommitKey, Store, StoreError};
use sampan_node::replica::Replica;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Commits read at a time.
const READ_COMMITS: usize = 1_024;

/// What one disk holds, as last seen.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Commits in order of storage.
    pub order: Vec<CommitId>,
    /// The same as a set.
    pub set: BTreeSet<CommitId>,
    last: CommitKey,
    /// Edits that a person saw saved and that no commit holds yet.
    pub unsealed: BTreeMap<ChangeHash, RecordId>,
    /// The store's epoch.
    pub epoch: StoreEpoch,
    /// Of each relay above the newest beacon that was remembered: its counter, and the commits that it speaks of.
    pub beacons: BTreeMap<(UnitId, DeviceId), (u64, u64)>,
}

/// The ledger of a world.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every commit that any store ever held.
    pub commits: BTreeMap<CommitId, Rc<Commit>>,
    /// What each machine's disk holds.
    pub held: Vec<Held>,
    /// Everything that a store of this epoch ever held.
    pub ever: BTreeMap<StoreEpoch, BTreeSet<CommitId>>,
    /// Devices that may fork their logs: cloned, restored, or hostile.
    pub may_fork: BTreeSet<DeviceId>,
    /// The first commit after each commit of a log, or its beginning.
    next: BTreeMap<(LogId, Option<CommitId>), CommitId>,
    /// The commit of each edit.
    sealed_in: BTreeMap<ChangeHash, CommitId>,
    /// The epoch that a disk must not claim any more, because an old backup was put on it.
    past: BTreeMap<usize, StoreEpoch>,
    /// What was broken, in words.
    pub broken: Vec<String>,
}

impl Ledger {
    /// Notes that something was broken.
    pub fn accuse(&mut self, words: String) {
        self.broken.push(words);
    }

    /// Reads what a store holds now beyond what was known of it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn look(&mut self, at: usize, name: &str, replica: &Replica) -> Result<Vec<CommitId>, StoreError> {
        while self.held.len() <= at {
            self.held.push(Held::default());
        }
        let epoch = replica.store.epoch()?;
        self.held[at].epoch = epoch;
        let mut new = Vec::new();
        loop {
            let feed = replica.store.commits_after(self.held[at].last, READ_COMMITS)?;
            let Some(last) = feed.last() else { break };
            self.held[at].last = last.key;
            for f in feed {
                // A row that rotted is no word of its author's. The court has every store checked in the end.
                if f.commit.head().signed().verify(&replica.engine.org()).is_err() {
                    continue;
                }
                let id = f.commit.id();
                self.take(name, f.commit);
                let held = &mut self.held[at];
                if held.set.insert(id) {
                    held.order.push(id);
                }
                self.ever.entry(epoch).or_default().insert(id);
                new.push(id);
            }
        }
        let pending: BTreeMap<ChangeHash, RecordId> =
            replica.store.pending()?.iter().map(|p| (p.entry.entry.change(), p.entry.entry.record)).collect();
        let erased = |r: &RecordId| replica.engine.charter().erasure_of(r).is_some();
        let lost: Vec<ChangeHash> = self.held[at]
            .unsealed
            .iter()
            .filter(|(h, r)| !pending.contains_key(*h) && !self.is_sealed_here(at, h) && !erased(r))
            .map(|(h, _)| *h)
            .collect();
        for hash in lost {
            self.accuse(format!("{name}: the edit {hash} was saved, and is neither unsealed nor in a commit there"));
        }
        self.held[at].unsealed = pending;
        Ok(new)
    }

    fn is_sealed_here(&self, at: usize, hash: &ChangeHash) -> bool {
        self.sealed_in.get(hash).is_some_and(|c| self.held[at].set.contains(c))
            || self.held[at].set.iter().any(|c| {
                self.commits.get(c).is_some_and(|c| c.payload().entries.iter().any(|e| e.entry.change() == *hash))
            })
    }

    /// Enters a commit that a store holds.
    fn take(&mut self, name: &str, commit: Commit) {
        let id = commit.id();
        if self.commits.contains_key(&id) {
            return;
        }
        let h = commit.header().clone();
        let log = h.log();
        let honest = !self.may_fork.contains(&h.device);
        let mut before: Vec<Option<CommitId>> = h
            .parents
            .iter()
            .filter(|p| self.commits.get(p).is_some_and(|c| c.header().log() == log))
            .map(|p| Some(*p))
            .collect();
        if before.is_empty() {
            before.push(None);
        }
        for parent in before {
            if let Some(other) = self.next.insert((log, parent), id)
                && honest
            {
                let (space, device) = (h.space, h.device);
                self.accuse(format!(
                    "{name}: the honest device {device} forked its log of {space:?}: {other} and {id}"
                ));
            }
        }
        for e in &commit.payload().entries {
            if e.entry.kind == EntryKind::Change
                && let Some(other) = self.sealed_in.insert(e.entry.change(), id)
                && honest
            {
                let hash = e.entry.change();
                self.accuse(format!("{name}: the edit {hash} is in two commits: {other} and {id}"));
            }
        }
        self.commits.insert(id, Rc::new(commit));
    }

    /// After a start: everything that the disk held must be there still.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn after_start(&mut self, at: usize, name: &str, replica: &Replica) -> Result<(), StoreError> {
        if let Some(held) = self.held.get(at) {
            let ids = held.order.clone();
            let known = replica.store.known(&ids)?;
            // A cut takes commits out of what counts, not off the disk.
            let laid: BTreeSet<CommitId> = replica.store.quarantine()?.iter().map(|q| q.head.id()).collect();
            for (id, k) in ids.iter().zip(known) {
                if k.is_none() && !laid.contains(id) {
                    self.accuse(format!("{name}: commit {id} was held durably and is gone after a start"));
                }
            }
            if let Some(past) = self.past.remove(&at)
                && replica.store.epoch()? == past
            {
                self.accuse(format!("{name}: an old backup speaks as the store of before it"));
            }
            // Positions may be given again after what was never promised was rolled back.
            self.held[at].last = CommitKey(0);
        }
        self.look(at, name, replica).map(|_| ())
    }

    /// An old backup is on the disk: what it held is excused, and it may not speak for the store of before.
    pub fn restored(&mut self, at: usize) {
        if let Some(held) = self.held.get(at) {
            self.past.insert(at, held.epoch);
        }
        self.forget(at);
    }

    /// The disk is another now: what it held before is excused.
    pub fn forget(&mut self, at: usize) {
        if let Some(held) = self.held.get_mut(at) {
            *held = Held::default();
        }
    }

    /// The commits of data spaces, and those of charters, that a disk holds.
    #[must_use]
    pub fn of(&self, at: usize, charter: bool) -> Vec<Rc<Commit>> {
        let held = self.held.get(at).map(|h| h.order.as_slice()).unwrap_or_default();
        let all = held.iter().filter_map(|id| self.commits.get(id));
        all.filter(|c| (c.header().space.flow == Flow::Charter) == charter).cloned().collect()
    }
}
