//! Cuts, plainly: what they are and what they leave of the logs of a device.
//!
//! It does not: know stores; what is held is given as a list of commits.
//!
//! Invariants: a function of the charter and the set of commits; two cuts leave what both leave.

use super::charter::{ModelCharter, ModelRight, When};
use sampan_core::charter::Roles;
use sampan_core::id::{CommitId, DeviceId, Flow, SpaceId, UnitId};
use sampan_core::log::Commit;
use std::collections::{BTreeMap, BTreeSet};

/// Releases or rejections: the commit named, the unit whose charter says so, the commit that says so.
pub(super) type Words = BTreeSet<(CommitId, UnitId, CommitId)>;

/// A cut that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCut {
    /// The commit that says so.
    pub by: CommitId,
    /// Whether it ends rights for good.
    pub last: bool,
    /// The tips that it names.
    pub tips: BTreeMap<SpaceId, BTreeSet<CommitId>>,
    /// The units it reaches with all below them; `None`: all.
    pub realm: Option<BTreeSet<UnitId>>,
    /// The rights that it narrows, by the commit that gave them.
    pub targets: BTreeSet<CommitId>,
    /// What remains of them.
    pub remaining: Roles,
}

/// What the first pass of a fold says for the second.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pub(super) stands: BTreeSet<(CommitId, usize)>,
    pub(super) outside: BTreeSet<CommitId>,
    pub(super) narrowed: Vec<(CommitId, CommitId, Roles)>,
}

/// The commits that a cut leaves in the spaces asked for: tips that it names and their ancestors.
pub(super) fn inside(cut: &ModelCut, commits: &[&Commit], of: impl Fn(&SpaceId) -> bool) -> BTreeSet<CommitId> {
    let mut out: BTreeSet<CommitId> = BTreeSet::new();
    let named: BTreeSet<CommitId> = cut.tips.iter().filter(|(s, _)| of(s)).flat_map(|(_, t)| t).copied().collect();
    loop {
        let wanted = |c: &&&Commit| {
            let parent = commits.iter().any(|o| out.contains(&o.id()) && o.header().parents.contains(&c.id()));
            !out.contains(&c.id()) && (named.contains(&c.id()) || parent)
        };
        let more: Vec<CommitId> = commits.iter().filter(wanted).map(|c| c.id()).collect();
        if more.is_empty() {
            return out;
        }
        out.extend(more);
    }
}

impl ModelCharter {
    /// The commits of a space that the cuts of a device leave; `None` where no cut bears on it.
    #[must_use]
    pub fn left(&self, device: &DeviceId, space: &SpaceId, held: &[&Commit]) -> Option<BTreeSet<CommitId>> {
        if matches!(space.flow, Flow::Charter | Flow::Local) {
            return None;
        }
        let own: Vec<&Commit> =
            held.iter().copied().filter(|c| c.header().device == *device && c.header().space == *space).collect();
        let cuts = self.cuts.get(device).into_iter().flatten();
        let bearing = cuts.filter(|c| self.reaches(c, &space.unit) && (c.last || self.no_right_left(device, c, space)));
        let all: Vec<BTreeSet<CommitId>> = bearing.map(|c| inside(c, &own, |s| s == space)).collect();
        all.into_iter().reduce(|a, b| a.intersection(&b).copied().collect())
    }

    /// Whether a cut that is not final takes the right to edit, and no other right gives it.
    fn no_right_left(&self, device: &DeviceId, cut: &ModelCut, space: &SpaceId) -> bool {
        let narrowing = || self.cuts.get(device).into_iter().flatten().filter(|c| !c.remaining.contains(Roles::EDITOR));
        let narrowed = |r: &ModelRight| narrowing().any(|c| c.targets.contains(&r.taken));
        let roles = |taken: bool| {
            let all = self.ever.rights.get(device).into_iter().flatten().filter(|r| narrowed(r) == taken);
            all.map(|r| self.on(r, &space.unit, When::Ever)).fold(Roles::NONE, Roles::union)
        };
        // An inspector may go on where nobody was more than one.
        let rest = roles(false);
        let goes_on =
            rest.contains(Roles::EDITOR) || (rest.contains(Roles::INSPECTOR) && !roles(true).contains(Roles::EDITOR));
        !cut.remaining.contains(Roles::EDITOR) && !goes_on
    }

    /// Whether every right of a device was taken away for good.
    #[must_use]
    pub fn ended(&self, device: &DeviceId) -> bool {
        let last = self.cuts.get(device).into_iter().flatten().any(|c| c.last);
        self.revoked.contains(device) || (last && !self.has_right_now(device))
    }

    /// Whether a commit of a unit's spaces was released.
    #[must_use]
    pub fn released(&self, commit: &CommitId, unit: &UnitId) -> bool {
        self.has_word(&self.released, commit, unit)
    }
}
