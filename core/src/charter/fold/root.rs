//! The root key: the one that founded the organisation, or the one that the succession key named in its
//! place.
//!
//! It does not: keep any key, or undo what the first root key said before it was replaced.
//!
//! Invariants: a pure function of the set of commits. A naming counts if it is signed by the key that may name, in
//! the root's charter: the succession key that the founding names, once it had seen the founding, or the next one that
//! an earlier naming names, once it had seen that naming. One that had seen another naming by the same right is void,
//! of several beside each other the lowest commit stands, and with it what follows from it. What a root key said
//! before it was replaced stands where the next standing naming had seen it, and nowhere else: a thief cannot say that
//! it was earlier.

use super::Charter;
use super::beside::{Log, Past};
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

/// A naming that had seen no other by the same right.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Naming {
    root: DeviceId,
    /// The key that may name the next one.
    next: Option<DeviceId>,
    /// The namings that it follows; `None`: the founding.
    after: BTreeSet<Option<CommitId>>,
    /// Everything that it had seen.
    before: BTreeSet<CommitId>,
}

/// Every such naming, and those that stand, each following the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Throne {
    named: BTreeMap<CommitId, Naming>,
    stands: Vec<CommitId>,
}

impl Throne {
    /// Reads the namings of a log that was folded without any.
    pub(super) fn of(charter: &Charter, log: &Log<'_>) -> Self {
        let (Some(founding), Some(root)) = (&charter.founding, charter.root) else { return Self::default() };
        let Some(key) = founding.succession else { return Self::default() };
        let place = SpaceId::charter(root);
        let in_place = log.values().filter(|c| c.header().space == place && charter.folded.contains_key(&c.id()));
        let all: BTreeMap<CommitId, (&Commit, DeviceId, Option<DeviceId>)> = in_place
            .filter_map(|c| first_named(c).map(|(root, next)| (c.id(), (*c, root, next))))
            .filter(|(_, (_, root, _))| root.0 != charter.org.0)
            .collect();
        let mut out = Self::default();
        let mut todo = vec![(None, founding.commit, key)];
        while let Some((after, seen, key)) = todo.pop() {
            let by_key = all.iter().filter(|(id, (c, _, _))| c.header().device == key && **id != seen);
            let mut beside: BTreeMap<CommitId, BTreeSet<CommitId>> = by_key
                .map(|(id, (c, _, _))| (*id, past(log, c)))
                .filter(|(_, before)| before.contains(&seen))
                .collect();
            let ids: BTreeSet<CommitId> = beside.keys().copied().collect();
            beside.retain(|_, before| before.is_disjoint(&ids));
            for (id, before) in beside {
                if let Some(known) = out.named.get_mut(&id) {
                    known.after.insert(after);
                    continue;
                }
                let Some((_, root, next)) = all.get(&id).copied() else { continue };
                out.named.insert(id, Naming { root, next, after: [after].into(), before });
                todo.extend(next.map(|key| (Some(id), id, key)));
            }
        }
        let mut stands: Vec<CommitId> = Vec::new();
        while let Some(id) = out.following(stands.last().copied()).next() {
            stands.push(id);
        }
        out.stands = stands;
        out
    }

    /// The namings that follow one, or the founding, lowest first. A naming lies behind those that it follows in
    /// causal order, so that no walk along them is endless.
    fn following(&self, at: Option<CommitId>) -> impl Iterator<Item = CommitId> {
        self.named.iter().filter(move |(_, n)| n.after.contains(&at)).map(|(id, _)| *id)
    }

    fn standing(&self) -> impl DoubleEndedIterator<Item = (&CommitId, &Naming)> {
        self.stands.iter().filter_map(|id| Some((id, self.named.get(id)?)))
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

impl Charter {
    /// The key that may name the next root key: the founding's, or what the last naming that stands says.
    #[must_use]
    pub fn succession_key(&self) -> Option<DeviceId> {
        match self.throne.standing().next_back() {
            Some((_, last)) => last.next,
            None => self.founding.as_ref().and_then(|f| f.succession),
        }
    }

    /// Whether a succession key has done what it can: the naming that it signed stands.
    #[must_use]
    pub fn succession_used(&self, key: &DeviceId) -> bool {
        let founding = self.founding.as_ref().and_then(|f| f.succession);
        let earlier = founding.into_iter().chain(self.throne.standing().filter_map(|(_, n)| n.next));
        earlier.take(self.throne.stands.len()).any(|k| k == *key)
    }

    /// The root key that the chain of grants ends at now.
    #[must_use]
    pub fn root_key(&self) -> DeviceId {
        self.throne.standing().next_back().map_or(DeviceId(self.org.0), |(_, n)| n.root)
    }

    /// The new root keys that were named, by commit; those that stand follow one another.
    pub fn successions(&self) -> impl Iterator<Item = Succession> {
        self.throne.named.iter().map(move |(commit, n)| Succession {
            commit: *commit,
            root: n.root,
            stands: self.throne.stands.contains(commit),
        })
    }

    /// Whether a commit speaks with the root key's right.
    pub(super) fn is_root(&self, past: &Past<'_, '_>) -> bool {
        let (author, id) = (past.commit.header().device, past.commit.id());
        // Said before the next naming, which had seen it.
        let in_time = |next: Option<(&CommitId, &Naming)>| next.is_none_or(|(_, n)| n.before.contains(&id));
        if author.0 == self.org.0 {
            return in_time(self.throne.standing().next());
        }
        let next = self.throne.standing().skip(1).map(Some).chain([None]);
        self.throne.standing().zip(next).any(|((by, n), next)| n.root == author && past.has(by) && in_time(next))
    }

    /// Whether a commit spoke with the root key's right as far as its author had seen. What stands may
    /// still turn out otherwise, but what counts by it counts for good.
    pub(super) fn saw_root(&self, past: &Past<'_, '_>) -> bool {
        let author = past.commit.header().device;
        if author.0 == self.org.0 {
            return !self.throne.named.keys().any(|id| past.has(id));
        }
        let mut seen = self.throne.named.iter().filter(|(id, n)| n.root == author && past.has(id));
        seen.any(|(id, _)| !self.throne.following(Some(*id)).any(|next| past.has(&next)))
    }

    /// Whether a key's logs count in a charter because it is, was or may name a root key.
    pub(super) fn root_counts(&self, key: &DeviceId, unit: &UnitId) -> bool {
        let founding = self.founding.as_ref().and_then(|f| f.succession);
        let mut may_name = founding.into_iter().chain(self.throne.named.values().filter_map(|n| n.next));
        key.0 == self.org.0
            || (self.root == Some(*unit) && may_name.any(|k| k == *key))
            || self.throne.named.values().any(|n| n.root == *key)
    }

    /// A naming, met in the fold: whether it is one of those that stand.
    pub(super) fn name_root(
        &mut self,
        commit: &Commit,
        author: &DeviceId,
        root: &DeviceId,
    ) -> Result<(), &'static str> {
        let founding = self.founding.as_ref().and_then(|f| f.succession);
        let mut may_name = founding.into_iter().chain(self.throne.named.values().filter_map(|n| n.next));
        if !may_name.any(|k| k == *author) {
            return Err("only the succession key names a new root key");
        }
        let id = commit.id();
        let stands = self.throne.standing().any(|(at, n)| *at == id && n.root == *root);
        if !stands || !self.crowned.insert(id) {
            return Err("a succession key names one new root key, once, after it has seen what made it one");
        }
        Ok(())
    }
}

fn first_named(commit: &Commit) -> Option<(DeviceId, Option<DeviceId>)> {
    commit.payload().entries.iter().find_map(|e| match Op::decode(&e.payload) {
        Ok(Op::Succeed { root, succession }) => Some((root, succession)),
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
