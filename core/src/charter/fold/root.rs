//! The root key: the one that founded the organisation, or the one that the succession key named in its
//! place.
//!
//! It does not: keep any key, or undo what the first root key said before it was replaced.
//!
//! Invariants: a pure function of the set of commits. A naming counts if it is signed by the succession key
//! that the founding names, in the root's charter, and had seen the founding; one that had seen another
//! naming is void, of several beside each other the lowest commit stands. What the first root key said
//! stands where the standing naming had seen it, and nowhere else: a thief cannot say that it was earlier.

use super::Charter;
use super::beside::{Log, had_seen};
use crate::charter::op::Op;
use crate::id::{CommitId, DeviceId, SpaceId, UnitId};
use crate::log::Commit;
use std::collections::{BTreeMap, BTreeSet};

/// A new root key that the succession key named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Succession {
    /// The commit.
    pub commit: CommitId,
    /// The new root key.
    pub root: DeviceId,
    /// Whether it stands; of several beside each other one does.
    pub stands: bool,
}

/// What the founding said of the succession.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Founding {
    pub(super) commit: CommitId,
    pub(super) succession: Option<DeviceId>,
}

/// The naming that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    commit: CommitId,
    root: DeviceId,
    /// Everything that the naming had seen.
    before: BTreeSet<CommitId>,
}

/// Every naming that had seen no other, and the one that stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Throne {
    named: BTreeMap<CommitId, DeviceId>,
    stands: Option<Standing>,
}

impl Throne {
    /// Reads the namings of a log that was folded without any.
    pub(super) fn of(charter: &Charter, log: &Log<'_>) -> Self {
        let (Some(founding), Some(root)) = (&charter.founding, charter.root) else { return Self::default() };
        let Some(key) = founding.succession else { return Self::default() };
        let place = SpaceId::charter(root);
        let by_key = log.values().filter(|c| c.header().device == key && c.header().space == place);
        let mut all: BTreeMap<CommitId, (DeviceId, BTreeSet<CommitId>)> = BTreeMap::new();
        for commit in by_key.filter(|c| charter.folded.contains_key(&c.id())) {
            let before = past(log, commit);
            if let Some(named) = first_named(commit)
                && named.0 != charter.org.0
                && before.contains(&founding.commit)
            {
                all.insert(commit.id(), (named, before));
            }
        }
        let ids: BTreeSet<CommitId> = all.keys().copied().collect();
        all.retain(|_, (_, before)| before.is_disjoint(&ids));
        let named = all.iter().map(|(id, (root, _))| (*id, *root)).collect();
        let stands = all.into_iter().next().map(|(commit, (root, before))| Standing { commit, root, before });
        Self { named, stands }
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

impl Charter {
    /// The key that may name a new root key, while nothing else is known of it.
    #[must_use]
    pub fn succession_key(&self) -> Option<DeviceId> {
        self.founding.as_ref().and_then(|f| f.succession)
    }

    /// The root key that the chain of grants ends at now.
    #[must_use]
    pub fn root_key(&self) -> DeviceId {
        self.throne.stands.as_ref().map_or(DeviceId(self.org.0), |s| s.root)
    }

    /// The new root keys that were named, by commit: at most one stands.
    pub fn successions(&self) -> impl Iterator<Item = Succession> {
        let stands = self.throne.stands.as_ref().map(|s| s.commit);
        self.throne.named.iter().map(move |(commit, root)| Succession {
            commit: *commit,
            root: *root,
            stands: stands == Some(*commit),
        })
    }

    /// Whether a commit speaks with the root key's right.
    pub(super) fn is_root(&self, log: &Log<'_>, commit: &Commit, author: &DeviceId) -> bool {
        let first = author.0 == self.org.0;
        match &self.throne.stands {
            None => first,
            Some(s) if *author == s.root => had_seen(log, commit, &[s.commit]),
            Some(s) => first && s.before.contains(&commit.id()),
        }
    }

    /// Whether a commit spoke with the root key's right as far as its author had seen. What stands may
    /// still turn out otherwise, but what counts by it counts for good.
    pub(super) fn saw_root(&self, log: &Log<'_>, commit: &Commit, author: &DeviceId) -> bool {
        let named: Vec<CommitId> = self.throne.named.keys().copied().collect();
        if author.0 == self.org.0 {
            return named.is_empty() || !had_seen(log, commit, &named);
        }
        self.throne.named.iter().any(|(id, root)| root == author && had_seen(log, commit, &[*id]))
    }

    /// Whether a key's logs count in a charter because it is, was or may name a root key.
    pub(super) fn root_counts(&self, key: &DeviceId, unit: &UnitId) -> bool {
        key.0 == self.org.0
            || (self.root == Some(*unit) && self.succession_key() == Some(*key))
            || self.throne.named.values().any(|root| root == key)
    }

    /// A naming, met in the fold: whether it is the one that stands.
    pub(super) fn name_root(
        &mut self,
        commit: &Commit,
        author: &DeviceId,
        root: &DeviceId,
    ) -> Result<(), &'static str> {
        if self.succession_key() != Some(*author) {
            return Err("only the succession key names a new root key");
        }
        let stands = self.throne.stands.as_ref().filter(|s| s.commit == commit.id() && s.root == *root);
        if stands.is_none() || std::mem::replace(&mut self.crowned, true) {
            return Err("the succession key names one new root key, once, after it has seen the founding");
        }
        Ok(())
    }
}

fn first_named(commit: &Commit) -> Option<DeviceId> {
    commit.payload().entries.iter().find_map(|e| match Op::decode(&e.payload) {
        Ok(Op::Succeed { root, .. }) => Some(root),
        Ok(_) | Err(_) => None,
    })
}

/// Every commit that a commit had seen, without itself.
fn past(log: &Log<'_>, commit: &Commit) -> BTreeSet<CommitId> {
    let mut out = BTreeSet::new();
    let mut todo = vec![commit];
    while let Some(at) = todo.pop() {
        let h = at.header();
        for id in h.parents.iter().chain(&h.charter_heads) {
            if out.insert(*id) {
                todo.extend(log.get(id));
            }
        }
    }
    out
}
