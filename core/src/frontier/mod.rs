//! Frontiers: which commits are the tips of each log, and their digests.
//!
//! It does not: decide which logs count (the store keeps only counting logs here, `intake` decides)
//! or who shares what (`scope`).
//!
//! Invariants: a digest is a pure function of the set of tips; an empty space has the zero digest
//! and is left out of every other, so that a space not yet used costs nothing.

pub mod tree;

pub use crate::id::{ShortDigest, ShortId};

use crate::canary::{self, Canary};
use crate::hash::tagged;
use crate::id::{CommitId, DeviceId, Digest, Incarnation, SpaceId};
use crate::small::{SmallMap, SmallSet};
use std::collections::BTreeSet;

/// The tips of every log of one space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpaceTips {
    /// Of most spaces one, with one tip.
    logs: SmallMap<(DeviceId, Incarnation), SmallSet<CommitId>>,
}

impl SpaceTips {
    /// The logs in order of device and incarnation.
    pub fn logs(&self) -> impl Iterator<Item = (&(DeviceId, Incarnation), &SmallSet<CommitId>)> {
        self.logs.iter()
    }

    /// The tips of one log, empty if unknown.
    #[must_use]
    pub fn tips(&self, device: DeviceId, incarnation: Incarnation) -> BTreeSet<CommitId> {
        self.logs.get(&(device, incarnation)).into_iter().flatten().copied().collect()
    }

    /// Every tip of every log.
    pub fn all(&self) -> impl Iterator<Item = &CommitId> {
        self.logs.values().flatten()
    }

    /// Tips of all incarnations of one device.
    #[must_use]
    pub fn of_device(&self, device: DeviceId) -> Vec<CommitId> {
        let mut out: Vec<_> =
            self.logs.iter().filter(|((d, _), _)| *d == device).flat_map(|(_, t)| t.iter().copied()).collect();
        out.sort_unstable();
        out
    }

    /// Adds a tip.
    pub fn insert(&mut self, device: DeviceId, incarnation: Incarnation, tip: CommitId) {
        let tips = self.logs.get_or_insert_with((device, incarnation), SmallSet::new);
        if canary::sings(Canary::TipsCollapsed) {
            tips.clear();
        }
        tips.insert(tip);
    }

    /// Replaces the tips of one log; none: the log is not there.
    pub fn replace(&mut self, device: DeviceId, incarnation: Incarnation, tips: impl IntoIterator<Item = CommitId>) {
        let tips: SmallSet<CommitId> = tips.into_iter().collect();
        if tips.is_empty() {
            self.logs.remove(&(device, incarnation));
        } else {
            self.logs.insert((device, incarnation), tips);
        }
    }

    /// Takes in a stored commit: it becomes a tip of its log and its parents *in that log* no longer are.
    pub fn advance(&mut self, device: DeviceId, incarnation: Incarnation, id: CommitId, parents: &[CommitId]) {
        let tips = self.logs.get_or_insert_with((device, incarnation), SmallSet::new);
        for p in parents {
            tips.remove(p);
        }
        if canary::sings(Canary::TipsCollapsed) {
            tips.clear();
        }
        tips.insert(id);
    }

    /// Number of logs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.logs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// The digest of this space, zero when it has no log.
    #[must_use]
    pub fn digest(&self, space: &SpaceId) -> Digest {
        if self.logs.is_empty() {
            return Digest::default();
        }
        let mut bytes = Vec::with_capacity(SpaceId::KEY_LEN + self.logs.len() * 84);
        bytes.extend_from_slice(&space.key());
        for ((device, incarnation), tips) in &self.logs {
            bytes.extend_from_slice(&device.0);
            bytes.extend_from_slice(&incarnation.0);
            bytes.extend_from_slice(&(tips.len() as u32).to_le_bytes());
            for tip in tips {
                bytes.extend_from_slice(&tip.0);
            }
        }
        Digest(tagged("space", &[&bytes]))
    }
}
