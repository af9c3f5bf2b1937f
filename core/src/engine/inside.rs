//! What the cuts of a device leave of its log in one space, and why a commit of it does not count.
//!
//! It does not: decide which cuts stand or what they take (the charter's fold does), or move anything.
//!
//! Invariants: a function of the charter and of what is held, the quarantine included; a log on which no cut bears is
//! never walked. A commit counts as a whole or not at all: one entry of a collection that was taken sets it aside.

use super::Engine;
use super::intake::{CARRIES, OUTSIDE, TAKEN};
use crate::canary::{self, Canary};
use crate::charter::{Carried, Carrier, Charter, StandingCut};
use crate::id::{CommitId, DeviceId, Flow, SpaceId};
use crate::log::{Commit, EntryKind, Header};
use crate::pack::{self, PackScope};
use crate::store::{CommitKey, Lineage, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Why commits of one log no longer count.
pub(super) type Gone = BTreeMap<CommitKey, (CommitId, &'static str)>;

/// For each cut that bears on the log of a device in a space: the commits that it leaves inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inside {
    cuts: BTreeMap<(CommitId, u32), BTreeSet<CommitId>>,
}

impl Inside {
    fn leaves(&self, cut: &StandingCut, id: &CommitId) -> bool {
        self.cuts.get(&(cut.by, cut.index)).is_none_or(|left| left.contains(id))
    }

    /// Whether no cut that bears on the log leaves a commit out.
    fn is_within_all(&self, id: &CommitId) -> bool {
        self.cuts.values().all(|left| left.contains(id))
    }
}

/// Why a commit of records does not count by these cuts and its device's rights, judged by its header and the
/// collections that it carries; `None` if it does.
fn why_not<'c>(
    charter: &Charter,
    id: &CommitId,
    h: &Header,
    inside: Option<&Inside>,
    collections: impl IntoIterator<Item = &'c str>,
) -> Option<&'static str> {
    let leaves = |cut: &StandingCut| inside.is_none_or(|inside| inside.leaves(cut, id));
    let of = Carrier { device: &h.device, space: &h.space, heads: &h.charter_heads, inside: &leaves };
    let cut = inside.is_some() && charter.cuts_of(&h.device, &h.space).any(|c| c.kind.is_final() && !leaves(c));
    match charter.carried(&of, collections) {
        Carried::Never => (!canary::sings(Canary::AuthorCheckSkipped)).then_some(CARRIES),
        Carried::Nothing => Some(OUTSIDE),
        Carried::Taken | Carried::Counts if cut => Some(OUTSIDE),
        Carried::Taken => Some(TAKEN),
        Carried::Counts => None,
    }
}

/// The collections that a commit says it carries; what was erased of it says none.
fn collections(commit: &Commit) -> BTreeSet<&str> {
    let entries = commit.payload().entries.iter().filter(|e| e.entry.kind != EntryKind::Hole);
    entries.map(|e| e.entry.collection.as_str()).collect()
}

impl Engine {
    /// Why a commit of a device that may write in its space does not count all the same; `None` if nothing says so.
    pub(super) fn why_outside(
        &self,
        charter: &Charter,
        commit: &Commit,
        inside: Option<&Inside>,
    ) -> Option<&'static str> {
        if commit.header().space.flow == Flow::Charter {
            return None;
        }
        why_not(charter, &commit.id(), commit.header(), inside, collections(commit))
    }

    /// The same by the header alone: what it says holds whatever the commit carries.
    pub(super) fn is_surely_outside(&self, id: &CommitId, h: &Header, inside: Option<&Inside>) -> bool {
        inside.is_some() && why_not(&self.charter, id, h, inside, []).is_some()
    }

    /// For each cut device that wrote some of these commits of a space: what its cuts leave of all that is held or
    /// comes now.
    pub(super) fn insides(
        &self,
        store: &dyn Store,
        space: SpaceId,
        commits: &[Commit],
    ) -> Result<BTreeMap<DeviceId, Inside>, StoreError> {
        let mut out = BTreeMap::new();
        let authors: BTreeSet<DeviceId> = commits.iter().map(|c| c.header().device).collect();
        for device in authors {
            if let Some(inside) = self.inside_of(store, &space, &device, commits)? {
                out.insert(device, inside);
            }
        }
        Ok(out)
    }

    /// Of what is not held yet, what the cuts of a device leave inside; `None` without cuts.
    pub(super) fn inside_of(
        &self,
        store: &dyn Store,
        space: &SpaceId,
        device: &DeviceId,
        commits: &[Commit],
    ) -> Result<Option<Inside>, StoreError> {
        let cuts: Vec<&StandingCut> = self.charter.cuts_of(device, space).collect();
        if cuts.is_empty() || canary::sings(Canary::CutIgnored) {
            return Ok(None);
        }
        let named: Vec<CommitId> = cuts.iter().filter_map(|c| c.tips.get(space)).flatten().copied().collect();
        if store.known(&named)?.iter().all(Option::is_some) {
            // Every named tip is held, with all before it: nothing that comes now is inside.
            let nothing = cuts.iter().map(|c| ((c.by, c.index), BTreeSet::new()));
            return Ok(Some(Inside { cuts: nothing.collect() }));
        }
        let mut parents = self.parents_of(&store.lineage(space, device)?);
        parents.extend(commits.iter().map(|c| (c.id(), c.header().parents.clone())));
        Ok(Some(self.inside(device, space, &parents)))
    }

    /// Parents of commits that are held or lie in the quarantine.
    fn parents_of(&self, held: &[Lineage]) -> BTreeMap<CommitId, Vec<CommitId>> {
        let mut out = self.aside.commits.clone();
        out.extend(held.iter().map(|c| (c.id, c.parents.clone())));
        out
    }

    /// What each cut of a device leaves inside: the tips that it names and their ancestors.
    fn inside(&self, device: &DeviceId, space: &SpaceId, parents: &BTreeMap<CommitId, Vec<CommitId>>) -> Inside {
        let mut cuts = BTreeMap::new();
        for cut in self.charter.cuts_of(device, space) {
            let mut todo: Vec<CommitId> = cut.tips.get(space).into_iter().flatten().copied().collect();
            let mut reached = BTreeSet::new();
            while let Some(id) = todo.pop() {
                if let Some(above) = parents.get(&id)
                    && reached.insert(id)
                {
                    todo.extend(above);
                }
            }
            cuts.insert((cut.by, cut.index), reached);
        }
        Inside { cuts }
    }

    /// The commits of a device in a space that are held and no longer count, each with the reason.
    pub(super) fn no_longer_counting(
        &self,
        store: &dyn Store,
        space: &SpaceId,
        device: &DeviceId,
    ) -> Result<Gone, StoreError> {
        let counts = self.charter.counts(device, space);
        let cut = self.charter.cuts_of(device, space).next().is_some() && !canary::sings(Canary::CutIgnored);
        let poorer = self.poorer.contains(device);
        if counts && !cut && !poorer {
            return Ok(Gone::new());
        }
        let held = store.lineage(space, device)?;
        let inside = cut.then(|| self.inside(device, space, &self.parents_of(&held)));
        let mut why: BTreeMap<CommitId, &'static str> = BTreeMap::new();
        if counts {
            // What lies inside every cut needs no look at what it carries, if the rights are still those it came by.
            let within = |id: &CommitId| !poorer && inside.as_ref().is_none_or(|inside| inside.is_within_all(id));
            let past = held.iter().filter(|c| !within(&c.id) && !self.charter.released(&c.id, &space.unit));
            let keys: Vec<CommitKey> = past.map(|c| c.key).collect();
            for keys in keys.chunks(crate::limits::COMMIT_ENTRIES_MAX) {
                for commit in self.read_commits(store, space, keys)? {
                    why.extend(self.why_outside(&self.charter, &commit, inside.as_ref()).map(|why| (commit.id(), why)));
                }
            }
        }
        let mut standing: BTreeSet<CommitId> = BTreeSet::new();
        let mut gone = Gone::new();
        // In order of storage, parents first.
        for c in held {
            let released = self.charter.released(&c.id, &space.unit);
            let reason = match why.get(&c.id) {
                Some(why) => Some(*why),
                None if !counts && !released => Some(OUTSIDE),
                None => (!c.parents.iter().all(|p| standing.contains(p))).then_some(super::intake::CONTINUES),
            };
            match reason {
                Some(reason) => {
                    gone.insert(c.key, (c.id, reason));
                }
                None => {
                    standing.insert(c.id);
                }
            }
        }
        Ok(gone)
    }

    /// Commits that are held, opened.
    fn read_commits(&self, store: &dyn Store, space: &SpaceId, keys: &[CommitKey]) -> Result<Vec<Commit>, StoreError> {
        let bad = |what: String| StoreError::Damaged(format!("a commit of a cut device cannot be read: {what}"));
        let scope = PackScope { org: self.org, space: *space };
        let mut out = Vec::with_capacity(keys.len());
        for group in store.groups(space, keys)? {
            let payloads = pack::decode(&scope, &group.pack, &*self.codec).map_err(|e| bad(e.to_string()))?;
            for (head, payload) in group.headers.iter().zip(payloads) {
                let head = head.verify(&self.org).map_err(|e| bad(e.to_string()))?;
                out.push(Commit::join(head, payload).map_err(|e| bad(e.to_string()))?);
            }
        }
        Ok(out)
    }
}
