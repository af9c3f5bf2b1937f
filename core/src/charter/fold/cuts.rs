//! Which cuts stand, and what lies inside and outside them.
//!
//! It does not: know which commits of records a replica holds (`engine` asks here and walks its own logs).
//!
//! Invariants: whether a narrowing operation, a release or a rejection stands follows from the causal past
//! of its commit alone, so that nothing beside it ever voids it: two who cut each other are both cut, and
//! no order of arrival shows. Operations of a charter that lie outside a cut have no effect and give no
//! right to anyone's records; their commits stay in the charter's frontier, because what narrows in them
//! stands all the same and must be found by everybody. Two final cuts of one log: what both name; what others take
//! of a log `taken` says, right by right.

use super::beside::{Log, Past};
use super::{Charter, Right};
use crate::charter::cut::{Cut, CutKind};
use crate::charter::op::{Op, Roles};
use crate::id::{CommitId, DeviceId, Flow, SpaceId, UnitId};
use crate::limits;
use crate::log::Commit;
use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// A cut that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingCut {
    /// Its commit.
    pub by: CommitId,
    /// Its position there.
    pub index: u32,
    /// The unit whose charter holds it.
    pub unit: UnitId,
    /// Who issued it.
    pub issuer: DeviceId,
    /// When, by the issuer's clock.
    pub at: Millis,
    /// Why.
    pub kind: CutKind,
    /// Why, in words for people.
    pub reason: String,
    /// The tips that it names, by space: of all incarnations, because one continues another.
    pub tips: BTreeMap<SpaceId, BTreeSet<CommitId>>,
    /// What remains of the roles.
    pub(super) remaining: Roles,
    /// The units that it reaches, each with all below it; `None`: all there are.
    realm: Option<BTreeSet<UnitId>>,
    /// For a cut that is not final: what gave the rights that it narrows.
    pub(super) targets: BTreeSet<CommitId>,
}

/// A release or rejection that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The unit whose charter holds it: it speaks for that and what lies below.
    pub unit: UnitId,
    /// The commit that says so.
    pub by: CommitId,
    /// Who says so.
    pub issuer: DeviceId,
    /// When, by the issuer's clock.
    pub at: Millis,
    /// Why.
    pub reason: String,
}

/// Words by the commit that they name.
pub(super) type Words = BTreeMap<CommitId, Vec<Word>>;

/// What a first pass found out about narrowing operations, for the second.
#[derive(Debug, Default)]
pub(super) struct Ruling {
    /// Narrowing operations, releases and rejections that stand.
    pub(super) stands: BTreeSet<(CommitId, u32)>,
    /// Commits of charters whose operations have no effect, but for those that narrow.
    pub(super) outside: BTreeSet<CommitId>,
    /// What cuts that are not final leave of rights, for commits outside them: commit, what gave the right.
    narrowed: BTreeMap<(CommitId, CommitId), Roles>,
}

impl Ruling {
    /// Whether it changes nothing of what the first pass folded.
    pub(super) fn is_empty(&self) -> bool {
        self.outside.is_empty() && self.narrowed.is_empty()
    }

    /// What is left of a right in the eyes of a commit of its holder.
    pub(super) fn left(&self, commit: &CommitId, right: &Right) -> Roles {
        let left = self.narrowed.get(&(*commit, right.taken));
        left.map_or(right.roles, |left| right.roles.intersection(*left))
    }
}

impl Charter {
    /// Takes up a cut, if its author could issue it as far as it had seen.
    pub(super) fn apply_cut(&mut self, past: &Past<'_, '_>, index: u32, cut: Cut) -> Result<(), &'static str> {
        let h = past.commit.header();
        let (unit, issuer) = (h.space.unit, h.device);
        let role = if cut.kind == CutKind::Close { Roles::RELAY } else { Roles::ADMIN };
        if !self.saw(past, &issuer, &unit, role) {
            return Err("its author has no right to cut below this unit");
        }
        let everywhere = self.saw_root(past);
        let (realm, targets) = if cut.kind.is_final() {
            let above = self.saw_rights(past, &issuer).filter(|r| r.roles.contains(Roles::ADMIN)).map(|r| r.unit);
            ((!everywhere).then(|| above.collect()), BTreeSet::new())
        } else {
            let given = self.ever(&cut.key).filter(|r| r.unit == unit && past.has(&r.taken));
            let closes = |r: &&Right| match cut.kind {
                CutKind::Close => r.until.is_some_and(|u| h.time.0 >= u.0.saturating_add(limits::CLOSING_CUT_AFTER_MS)),
                CutKind::Revoke | CutKind::Lost | CutKind::Retire | CutKind::Narrow => true,
            };
            (Some([unit].into()), given.filter(closes).map(|r| r.taken).collect())
        };
        if !cut.kind.is_final() && targets.is_empty() {
            return Err("the key has no such right there");
        }
        let mut tips: BTreeMap<SpaceId, BTreeSet<CommitId>> = BTreeMap::new();
        for log in cut.logs {
            tips.entry(log.space).or_default().extend(log.tips);
        }
        let remaining = if cut.kind == CutKind::Narrow { cut.remaining } else { Roles::NONE };
        self.cuts.entry(cut.key).or_default().push(StandingCut {
            by: past.commit.id(),
            index,
            unit,
            issuer,
            at: h.time,
            kind: cut.kind,
            reason: cut.reason,
            tips,
            remaining,
            realm,
            targets,
        });
        Ok(())
    }

    /// Takes up a release or a rejection, if its author was admin as far as it had seen.
    pub(super) fn apply_words(&mut self, past: &Past<'_, '_>, op: &Op) -> Result<(), &'static str> {
        let h = past.commit.header();
        if !self.saw(past, &h.device, &h.space.unit, Roles::ADMIN) {
            return Err("its author is no admin of this unit");
        }
        let (to, commits, reason) = match op {
            Op::Release { commits, reason } => (&mut self.released, commits, reason),
            Op::Reject { commits, reason } => (&mut self.rejected, commits, reason),
            Op::Found { .. } | Op::CreateUnit { .. } | Op::Grant(_) | Op::Enrol { .. } | Op::Endpoint { .. } => {
                return Ok(());
            }
            Op::Schema { .. } | Op::Revoke { .. } | Op::Cut(_) | Op::Erase { .. } | Op::Succeed { .. } => return Ok(()),
        };
        for id in commits {
            to.entry(*id).or_default().push(Word {
                unit: h.space.unit,
                by: past.commit.id(),
                issuer: h.device,
                at: h.time,
                reason: reason.clone(),
            });
        }
        Ok(())
    }

    /// What the cuts of a first pass mean for the commits of charters; forgets the releases and rejections
    /// that lie outside a cut themselves.
    pub(super) fn rule(&mut self, log: &Log<'_>, stands: BTreeSet<(CommitId, u32)>) -> Ruling {
        let mut ruling = Ruling { stands, ..Ruling::default() };
        if self.cuts.is_empty() {
            return ruling;
        }
        let mut by_device: BTreeMap<DeviceId, Vec<&Commit>> = BTreeMap::new();
        for c in log.values().filter(|c| self.cuts.contains_key(&c.header().device)) {
            by_device.entry(c.header().device).or_default().push(c);
        }
        for (device, commits) in &by_device {
            for cut in self.cuts.get(device).into_iter().flatten() {
                for c in outside(log, commits, cut).filter(|c| self.reaches_unit(cut, &c.header().space.unit)) {
                    if cut.kind.is_final() {
                        ruling.outside.insert(c.id());
                    }
                    for target in &cut.targets {
                        let left =
                            ruling.narrowed.entry((c.id(), *target)).or_insert(Roles::ADMIN.union(Roles::INSPECTOR));
                        *left = left.intersection(cut.remaining);
                    }
                }
            }
        }
        for words in [&mut self.released, &mut self.rejected] {
            words.values_mut().for_each(|all| all.retain(|w| !ruling.outside.contains(&w.by)));
            words.retain(|_, all| !all.is_empty());
        }
        ruling.outside.retain(|id| {
            let unit = log.get(id).map(|c| c.header().space.unit);
            !unit.is_some_and(|u| self.has_word(&self.released, id, &u))
        });
        ruling
    }

    /// Takes from the rights what cuts that are not final leave away; what was stays what once was.
    pub(super) fn settle_rights(&mut self) {
        let cuts: Vec<(DeviceId, BTreeSet<CommitId>, Roles)> = self
            .cuts
            .iter()
            .flat_map(|(key, all)| all.iter().map(move |c| (*key, c)))
            .filter(|(_, c)| !c.kind.is_final())
            .map(|(key, c)| (key, c.targets.clone(), c.remaining))
            .collect();
        for (key, targets, remaining) in cuts {
            let Some(rights) = self.rights.get_mut(&key) else { continue };
            for right in rights.iter_mut().filter(|r| targets.contains(&r.taken)) {
                self.beside.rights.entry(key).or_default().push(right.clone());
                right.roles = right.roles.intersection(remaining);
            }
            rights.retain(|r| !r.roles.is_none());
            if rights.is_empty() {
                self.rights.remove(&key);
            }
        }
    }

    /// Whether a final cut of a key ends a right on a unit.
    pub(super) fn cut_ends(&self, key: &DeviceId, unit: &UnitId) -> bool {
        let cuts = self.cuts.get(key).into_iter().flatten();
        cuts.filter(|c| c.kind.is_final()).any(|c| self.reaches_unit(c, unit))
    }

    /// Whether a final cut that a commit had seen ended a right on a unit.
    pub(super) fn saw_cut(&self, past: &Past<'_, '_>, key: &DeviceId, unit: &UnitId) -> bool {
        let cuts = self.cuts.get(key).into_iter().flatten().filter(|c| c.kind.is_final());
        let mut over =
            cuts.filter(|c| c.realm.as_ref().is_none_or(|r| r.iter().any(|at| self.saw_below(past, unit, at))));
        over.any(|c| past.has(&c.by))
    }

    /// What a commit had seen of narrowings of a right.
    pub(super) fn saw_left(&self, past: &Past<'_, '_>, key: &DeviceId, right: &Right) -> Roles {
        let cuts = self.cuts.get(key).into_iter().flatten().filter(|c| c.targets.contains(&right.taken));
        cuts.filter(|c| past.has(&c.by)).fold(right.roles, |left, c| left.intersection(c.remaining))
    }

    pub(super) fn reaches_unit(&self, cut: &StandingCut, unit: &UnitId) -> bool {
        let below = |above: &UnitId| {
            // A unit that stands lies where it stands; one that is void, anywhere that it was made.
            unit == above
                || if self.units.contains_key(unit) { self.is_below(unit, above) } else { self.was_below(unit, above) }
        };
        cut.realm.as_ref().is_none_or(|realm| realm.iter().any(below))
    }

    /// Every cut that stands, by key.
    pub fn cuts(&self) -> impl Iterator<Item = (&DeviceId, &StandingCut)> {
        self.cuts.iter().flat_map(|(key, all)| all.iter().map(move |c| (key, c)))
    }

    /// Operations of charters that lie outside a cut of their author: their commits.
    #[must_use]
    pub fn outside(&self) -> &BTreeSet<CommitId> {
        &self.outside
    }

    /// Whether a commit of a space was released: it counts whatever was cut.
    #[must_use]
    pub fn released(&self, commit: &CommitId, unit: &UnitId) -> bool {
        self.has_word(&self.released, commit, unit)
    }

    /// Whether a commit of a space was looked at and rejected.
    #[must_use]
    pub fn rejected(&self, commit: &CommitId, unit: &UnitId) -> bool {
        self.has_word(&self.rejected, commit, unit)
    }

    /// What was said of a commit: releases, then rejections.
    pub fn words(&self, commit: &CommitId) -> impl Iterator<Item = (bool, &Word)> {
        let released = self.released.get(commit).into_iter().flatten().map(|w| (true, w));
        released.chain(self.rejected.get(commit).into_iter().flatten().map(|w| (false, w)))
    }

    /// Whether two charters cut and release alike, so that the same commits count under both.
    #[must_use]
    pub fn cuts_alike(&self, other: &Self) -> bool {
        self.cuts == other.cuts && self.released == other.released && self.outside == other.outside
    }

    fn has_word(&self, words: &Words, commit: &CommitId, unit: &UnitId) -> bool {
        let all = words.get(commit).into_iter().flatten();
        let mut over = all.map(|w| w.unit);
        over.any(|at| at == *unit || self.is_below(unit, &at) || self.was_below(unit, &at))
    }
}

/// The commits of a cut device that are neither named nor an ancestor of one that is named.
fn outside<'a>(log: &'a Log<'a>, of_device: &'a [&'a Commit], cut: &StandingCut) -> impl Iterator<Item = &'a Commit> {
    let mut todo: Vec<CommitId> =
        cut.tips.iter().filter(|(s, _)| s.flow == Flow::Charter).flat_map(|(_, t)| t.iter().copied()).collect();
    let mut inside = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if let Some(c) = log.get(&id)
            && inside.insert(id)
        {
            todo.extend(&c.header().parents);
        }
    }
    of_device.iter().copied().filter(move |c| !inside.contains(&c.id()))
}
