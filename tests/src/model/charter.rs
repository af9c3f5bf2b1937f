//! The charter and what follows from it, by a plain fold: who may write where, who holds what.
//!
//! It does not: judge by a clock, or know digests.
//!
//! Invariants: a function of the set of commits. Commits come after all they name; of those that may
//! come next, one that narrows goes first, then the lower id. What makes logs count (`ever`) only
//! grows: it is judged by the revocations that an author had seen, not by those that ran beside it.
//! What narrows, releases or rejects stands by what its author had seen alone. Where that leaves commits of
//! charters outside a cut, everything is folded again without their operations.

use super::cuts::{self, ModelCut, Verdicts, Words};
use sampan_core::charter::{CutKind, Erased, Grant, Op, Roles};
use sampan_core::hash::signed_string;
use sampan_core::id::{CommitId, DeviceId, Flow, OrgId, SpaceId, UnitId};
use sampan_core::limits::{TREE_DEPTH_MAX, UNITS_MAX};
use sampan_core::log::{Commit, EntryKind};
use sampan_core::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// Which rights are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Those that stand: not void, not of a revoked key.
    Now,
    /// All that ever were given by one who could, as far as that one had seen.
    Ever,
}

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelUnit {
    /// Its parent, `None` for the root.
    pub parent: Option<UnitId>,
    /// Its kind.
    pub kind: Option<String>,
    /// Its depth.
    pub depth: usize,
}

/// A right that a key was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRight {
    /// The unit.
    pub unit: UnitId,
    /// The roles.
    pub roles: Roles,
    /// Whether all of them hold below.
    pub subtree: bool,
    /// Until when.
    pub until: Option<Millis>,
    /// The collections that it lets write, if not all.
    pub collections: Option<BTreeSet<String>>,
    /// The key that the grant names.
    pub key: DeviceId,
    /// The commit of the grant.
    pub grant: CommitId,
    /// The commit that brought it to its holder.
    pub taken: CommitId,
}

/// What was given by those who could as far as they had seen, whether it is void now or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ever {
    /// A unit's parents, each with the commit that says so: several, if it was made several times.
    parents: BTreeMap<UnitId, BTreeSet<(UnitId, CommitId)>>,
    pub(super) rights: BTreeMap<DeviceId, Vec<ModelRight>>,
    /// What a ticket gives to whoever uses it, each time that it was granted.
    tickets: BTreeMap<DeviceId, Vec<ModelRight>>,
}

/// The folded charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCharter {
    org: OrgId,
    /// The root unit.
    pub root: Option<UnitId>,
    /// Every unit.
    pub units: BTreeMap<UnitId, ModelUnit>,
    /// Every right that was given and is not void, by the device that has it.
    pub rights: BTreeMap<DeviceId, Vec<ModelRight>>,
    /// Tickets: what a device will have, and the device that used it.
    pub tickets: BTreeMap<DeviceId, (ModelRight, Option<DeviceId>)>,
    /// Revoked keys.
    pub revoked: BTreeSet<DeviceId>,
    /// Where each unit's relays say they listen.
    pub endpoints: BTreeMap<UnitId, BTreeMap<DeviceId, Vec<String>>>,
    /// The published schema: version, the commit that published it, text.
    pub schema: Option<(u32, CommitId, String)>,
    /// Operations without effect: commit and index.
    pub void: BTreeSet<(CommitId, usize)>,
    /// Commits whose causes are not here.
    pub waiting: BTreeSet<CommitId>,
    /// The founding, and the key that it lets name a new root key.
    founded: Option<(CommitId, Option<DeviceId>)>,
    /// New root keys by the commit that names them; of those that follow the same one the lowest stands.
    named: Namings,
    /// The cuts that stand.
    pub cuts: BTreeMap<DeviceId, Vec<ModelCut>>,
    /// What is erased: the unit, and the record or key in hex.
    pub erased: BTreeSet<(UnitId, String)>,
    pub(super) released: Words,
    rejected: Words,
    pub(super) ever: Ever,
    /// What makes logs of charters count: as if no cut left anything of a charter outside.
    wide: Ever,
    /// By commit the keys that it or one of its causes revokes.
    ended: BTreeMap<CommitId, BTreeSet<DeviceId>>,
    /// By commit itself and all its causes.
    past: BTreeMap<CommitId, BTreeSet<CommitId>>,
    authors: BTreeMap<CommitId, DeviceId>,
    /// What stands of that which is judged by its past alone.
    stands: BTreeSet<(CommitId, usize)>,
}

/// A naming of a new root key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Naming {
    root: DeviceId,
    /// The key that may name the next.
    next: Option<DeviceId>,
    /// All that it had seen.
    seen: BTreeSet<CommitId>,
    /// What made its signer the one who may: the founding or other namings.
    follows: BTreeSet<CommitId>,
}

type Namings = BTreeMap<CommitId, Naming>;

/// Cuts, releases, rejections, and what made logs of charters count, of a first pass.
type Known = (BTreeMap<DeviceId, Vec<ModelCut>>, Words, Words, Ever);

impl ModelCharter {
    /// Folds a set of charter commits.
    #[must_use]
    pub fn fold(org: OrgId, commits: &[&Commit]) -> Self {
        let plain = Self::pass(org, commits, BTreeMap::new(), None);
        let named = plain.new_roots(commits);
        let first = if named.is_empty() { plain } else { Self::pass(org, commits, named.clone(), None) };
        let mut verdicts = Verdicts { stands: first.stands.clone(), ..Verdicts::default() };
        let charters: Vec<&Commit> = commits.iter().copied().filter(|c| first.past.contains_key(&c.id())).collect();
        for (device, all) in &first.cuts {
            for cut in all {
                let inside = cuts::inside(cut, &charters, |s| s.flow == Flow::Charter);
                let of = charters.iter().filter(|c| c.header().device == *device && !inside.contains(&c.id()));
                for c in of.filter(|c| first.reaches(cut, &c.header().space.unit)) {
                    if cut.last {
                        verdicts.outside.insert(c.id());
                    }
                    verdicts.narrowed.extend(cut.targets.iter().map(|t| (c.id(), *t, cut.remaining)));
                }
            }
        }
        let (mut released, mut rejected) = (first.released.clone(), first.rejected.clone());
        released.retain(|(_, _, by)| !verdicts.outside.contains(by));
        rejected.retain(|(_, _, by)| !verdicts.outside.contains(by));
        let place = |id: &CommitId| charters.iter().find(|c| c.id() == *id).map(|c| c.header().space.unit);
        verdicts.outside.retain(|id| !place(id).is_some_and(|unit| first.has_word(&released, id, &unit)));
        let wide = first.ever.clone();
        // The verdicts hold for both passes: what a cut or a word says was said in the first.
        let known = (first.cuts, released, rejected, wide);
        let mut c = Self::pass(org, commits, named, Some((&verdicts, known)));
        for (key, all) in &c.cuts {
            for cut in all.iter().filter(|cut| !cut.last) {
                let Some(rights) = c.rights.get_mut(key) else { continue };
                for r in rights.iter_mut().filter(|r| cut.targets.contains(&r.taken)) {
                    r.roles = r.roles.intersection(cut.remaining);
                }
                rights.retain(|r| !r.roles.is_none());
            }
        }
        c.rights.retain(|_, rights| !rights.is_empty());
        c
    }

    /// What a succession key said in the root's charter after it had seen what made it one, and no other naming
    /// by the same right.
    fn new_roots(&self, commits: &[&Commit]) -> Namings {
        let (Some((found, Some(key))), Some(root)) = (self.founded, self.root) else { return BTreeMap::new() };
        let by_id: BTreeMap<CommitId, &Commit> = commits.iter().map(|c| (c.id(), *c)).collect();
        let mut all: BTreeMap<CommitId, (DeviceId, DeviceId, Option<DeviceId>, BTreeSet<CommitId>)> = BTreeMap::new();
        for (id, c) in &by_id {
            let new = c.payload().entries.iter().find_map(|e| match Op::decode(&e.payload) {
                Ok(Op::Succeed { root, succession }) => Some((root, succession)),
                Ok(_) | Err(_) => None,
            });
            let mut seen: BTreeSet<CommitId> = BTreeSet::new();
            let mut todo: Vec<CommitId> = causes(c).copied().collect();
            while let Some(at) = todo.pop() {
                if seen.insert(at) {
                    todo.extend(by_id.get(&at).into_iter().flat_map(|c| causes(c)));
                }
            }
            if let Some((new, next)) = new.filter(|(new, _)| new.0 != self.org.0)
                && c.header().space == SpaceId::charter(root)
                && !self.waiting.contains(id)
            {
                all.insert(*id, (c.header().device, new, next, seen));
            }
        }
        // Until nothing more follows: who may name is known only by what was named.
        let mut out = Namings::new();
        loop {
            let mut may: Vec<(CommitId, DeviceId)> = vec![(found, key)];
            may.extend(out.iter().filter_map(|(id, n)| Some((*id, n.next?))));
            let before = out.values().map(|n| n.follows.len()).sum::<usize>();
            for (by, key) in may {
                let of = |id: &CommitId| all.get(id).is_some_and(|(k, _, _, seen)| *k == key && seen.contains(&by));
                let beside: BTreeSet<CommitId> = all.keys().copied().filter(|id| of(id)).collect();
                for id in beside.iter().filter(|id| all[id].3.is_disjoint(&beside)) {
                    let (_, root, next, seen) = all[id].clone();
                    let naming = Naming { root, next, seen, follows: BTreeSet::new() };
                    out.entry(*id).or_insert(naming).follows.insert(by);
                }
            }
            if out.values().map(|n| n.follows.len()).sum::<usize>() == before {
                return out;
            }
        }
    }

    /// The namings that stand, one after the other.
    fn line(&self) -> Vec<CommitId> {
        let mut out: Vec<CommitId> = Vec::new();
        let Some((mut at, _)) = self.founded else { return out };
        while let Some((next, _)) = self.named.iter().find(|(_, n)| n.follows.contains(&at)) {
            out.push(*next);
            at = *next;
        }
        out
    }

    fn pass(org: OrgId, commits: &[&Commit], named: Namings, known: Option<(&Verdicts, Known)>) -> Self {
        let mut c = Self {
            org,
            root: None,
            units: BTreeMap::new(),
            rights: BTreeMap::new(),
            tickets: BTreeMap::new(),
            revoked: BTreeSet::new(),
            endpoints: BTreeMap::new(),
            schema: None,
            void: BTreeSet::new(),
            waiting: BTreeSet::new(),
            cuts: BTreeMap::new(),
            erased: BTreeSet::new(),
            released: Words::new(),
            rejected: Words::new(),
            ever: Ever::default(),
            founded: None,
            named,
            wide: Ever::default(),
            ended: BTreeMap::new(),
            past: BTreeMap::new(),
            authors: BTreeMap::new(),
            stands: BTreeSet::new(),
        };
        let verdicts = known.map(|(verdicts, known)| {
            (c.cuts, c.released, c.rejected, c.wide) = known;
            verdicts
        });
        let mut open: BTreeMap<CommitId, (&Commit, bool)> =
            commits.iter().map(|c| (c.id(), (*c, !narrows(c)))).collect();
        let mut taken: BTreeSet<CommitId> = BTreeSet::new();
        loop {
            let free = open.iter().filter(|(_, (c, _))| causes(c).all(|cause| taken.contains(cause)));
            let Some((_, id)) = free.map(|(id, (_, widens))| (*widens, *id)).min() else { break };
            if let Some((commit, _)) = open.remove(&id) {
                c.take(commit, verdicts);
            }
            taken.insert(id);
        }
        c.waiting = open.into_keys().collect();
        c
    }

    fn take(&mut self, commit: &Commit, verdicts: Option<&Verdicts>) {
        let id = commit.id();
        let mut past: BTreeSet<CommitId> = causes(commit).filter_map(|c| self.past.get(c)).flatten().copied().collect();
        past.insert(id);
        self.past.insert(id, past);
        self.authors.insert(id, commit.header().device);
        let seen: BTreeSet<DeviceId> = causes(commit).filter_map(|c| self.ended.get(c)).flatten().copied().collect();
        self.ended.insert(id, seen);
        for (index, e) in commit.payload().entries.iter().enumerate() {
            let op = if e.entry.kind == EntryKind::Charter { Op::decode(&e.payload).ok() } else { None };
            let stands = op.is_some_and(|op| self.say(commit, (id, index), verdicts, op));
            if !stands {
                self.void.insert((id, index));
            }
        }
    }

    /// Whether a commit speaks for the root: the first root key in what the standing naming had seen, the
    /// new one once it had seen that naming.
    fn is_root(&self, commit: &Commit) -> bool {
        let (author, id) = (commit.header().device, commit.id());
        let line = self.line();
        let in_time = |n: usize| line.get(n).is_none_or(|by| self.named[by].seen.contains(&id));
        let mut named = line.iter().enumerate();
        (author.0 == self.org.0 && in_time(0))
            || named.any(|(n, by)| self.named[by].root == author && self.past[&id].contains(by) && in_time(n + 1))
    }

    /// The same of any commit, as far as its author had seen.
    fn saw_root(&self, id: &CommitId) -> bool {
        let (author, past) = (self.authors[id], &self.past[id]);
        let seen = || self.named.iter().filter(|(by, _)| past.contains(by));
        if author.0 == self.org.0 {
            return seen().next().is_none();
        }
        seen().any(|(by, n)| n.root == author && !seen().any(|(_, later)| later.follows.contains(by)))
    }

    /// One operation; whether it stands.
    fn say(&mut self, commit: &Commit, at: (CommitId, usize), verdicts: Option<&Verdicts>, op: Op) -> bool {
        let narrows = matches!(op, Op::Revoke { .. } | Op::Cut(_) | Op::Erase { .. });
        let by_past = narrows || matches!(op, Op::Release { .. } | Op::Reject { .. });
        let out = verdicts.is_some_and(|v| v.outside.contains(&at.0));
        let stands = match verdicts {
            Some(v) if by_past => v.stands.contains(&at) && (narrows || !out),
            Some(_) if out => return false,
            Some(_) | None => {
                let saw = self.gives(commit, &op);
                let stands = self.apply(commit, verdicts, op.clone());
                if saw || stands {
                    self.remember(commit, &op);
                }
                stands
            }
        };
        if let (true, Op::Revoke { key, .. }) = (stands, &op) {
            self.revoked.insert(*key);
            self.ended.entry(at.0).or_default().insert(*key);
        }
        if let (true, Op::Erase { what, .. }) = (stands, &op) {
            self.erased.insert((commit.header().space.unit, what.name()));
        }
        if by_past && stands {
            self.stands.insert(at);
        }
        stands
    }

    /// Whether an author had a role as far as its commit had seen: a right ever given, neither it nor the
    /// key that the grant names among the revoked or cut keys that it had seen.
    fn saw(&self, commit: &Commit, unit: &UnitId, role: Roles) -> bool {
        self.saw_root(&commit.id())
            || self
                .saw_rights(commit)
                .iter()
                .map(|r| self.saw_on(&commit.id(), r, unit))
                .fold(Roles::NONE, Roles::union)
                .contains(role)
    }

    fn saw_rights(&self, commit: &Commit) -> Vec<ModelRight> {
        let (id, author) = (commit.id(), commit.header().device);
        let (past, ended) = (&self.past[&id], &self.ended[&id]);
        let gone = |key: &DeviceId, unit: &UnitId| {
            let cuts = self.cuts.get(key).into_iter().flatten().filter(|c| c.last && past.contains(&c.by));
            ended.contains(key)
                || cuts.into_iter().any(|c| match &c.realm {
                    None => true,
                    Some(realm) => realm.iter().any(|r| r == unit || self.saw_above(&id, unit).contains(r)),
                })
        };
        let all = self.ever.rights.get(&author).into_iter().flatten();
        all.filter(|r| past.contains(&r.taken) && !gone(&author, &r.unit) && !gone(&r.key, &r.unit))
            .filter(|r| self.rooted(&id, r, &mut BTreeSet::new()))
            .map(|r| {
                let cuts = self.cuts.get(&author).into_iter().flatten();
                let seen = cuts.filter(|c| past.contains(&c.by) && c.targets.contains(&r.taken));
                ModelRight { roles: seen.fold(r.roles, |left, c| left.intersection(c.remaining)), ..r.clone() }
            })
            .collect()
    }

    /// Whether all that led from the root key to a right was seen.
    fn rooted(&self, id: &CommitId, right: &ModelRight, way: &mut BTreeSet<CommitId>) -> bool {
        let Some(giver) = self.authors.get(&right.grant) else { return false };
        if self.saw_root(&right.grant) {
            return true;
        }
        if !self.past[id].contains(&right.grant) || !way.insert(right.taken) {
            return false;
        }
        let of_giver = self.ever.rights.get(giver).into_iter().flatten();
        for r in of_giver.filter(|r| self.past[id].contains(&r.taken)) {
            if self.saw_on(id, r, &right.unit).contains(Roles::ADMIN) && self.rooted(id, r, way) {
                return true;
            }
        }
        false
    }

    /// What a right gives on a unit by the tree that a commit had seen.
    fn saw_on(&self, id: &CommitId, right: &ModelRight, unit: &UnitId) -> Roles {
        if right.unit == *unit {
            return right.roles;
        }
        let below = self.saw_above(id, unit).contains(&right.unit);
        if below { part_below(right) } else { Roles::NONE }
    }

    fn saw_above(&self, id: &CommitId, unit: &UnitId) -> BTreeSet<UnitId> {
        let past = &self.past[id];
        let mut out = BTreeSet::new();
        let mut todo = vec![*unit];
        while let Some(at) = todo.pop() {
            let parents = self.ever.parents.get(&at).into_iter().flatten().filter(|(_, by)| past.contains(by));
            todo.extend(parents.map(|(p, _)| *p).filter(|p| out.insert(*p)));
        }
        out
    }

    /// The cut that an operation makes; `None` if its author may not, or it narrows nothing.
    fn make_cut(&self, commit: &Commit, cut: sampan_core::charter::Cut) -> Option<ModelCut> {
        let (unit, h) = (commit.header().space.unit, commit.header());
        let last = matches!(cut.kind, CutKind::Revoke | CutKind::Lost | CutKind::Retire);
        let closing = cut.kind == CutKind::Close;
        if !self.saw(commit, &unit, if closing { Roles::RELAY } else { Roles::ADMIN }) {
            return None;
        }
        let past = &self.past[&commit.id()];
        let realm = if !last {
            Some([unit].into())
        } else if self.saw_root(&commit.id()) {
            None
        } else {
            let admin = self.saw_rights(commit).into_iter().filter(|r| r.roles.contains(Roles::ADMIN));
            Some(admin.map(|r| r.unit).collect())
        };
        let ripe = |r: &ModelRight| !closing || r.until.is_some_and(|u| h.time.0 >= u.0 + 30 * 24 * 3_600_000);
        let there = |r: &&ModelRight| !last && r.unit == unit && past.contains(&r.taken) && ripe(r);
        let rights = self.ever.rights.get(&cut.key).into_iter().flatten();
        let targets: BTreeSet<CommitId> = rights.filter(there).map(|r| r.taken).collect();
        if !last && targets.is_empty() {
            return None;
        }
        let mut tips: BTreeMap<SpaceId, BTreeSet<CommitId>> = BTreeMap::new();
        for log in cut.logs {
            tips.entry(log.space).or_default().extend(log.tips);
        }
        let remaining = if cut.kind == CutKind::Narrow { cut.remaining } else { Roles::NONE };
        let narrows = cut.kind == CutKind::Narrow;
        Some(ModelCut { by: commit.id(), last, narrows, tips, realm, targets, remaining })
    }

    /// Whether a cut reaches a unit: by where it stands, or if it does not, by wherever it was made.
    pub(super) fn reaches(&self, cut: &ModelCut, unit: &UnitId) -> bool {
        let Some(realm) = &cut.realm else { return true };
        let stands = self.units.contains_key(unit);
        let above: BTreeSet<UnitId> = if stands { self.up(unit).into_iter().collect() } else { self.ever_above(unit) };
        realm.contains(unit) || realm.iter().any(|r| above.contains(r))
    }

    pub(super) fn has_word(&self, words: &Words, commit: &CommitId, unit: &UnitId) -> bool {
        let mut said = words.iter().filter(|(named, _, _)| named == commit);
        said.any(|(_, at, _)| at == unit || self.up(unit).contains(at) || self.ever_above(unit).contains(at))
    }

    /// Whether an operation gives what its author could give as far as it had seen: whatever becomes of it
    /// in the fold, the logs that it made rightful count.
    fn gives(&self, commit: &Commit, op: &Op) -> bool {
        let (unit, author) = (commit.header().space.unit, commit.header().device);
        let known = self.root == Some(unit) || self.ever.parents.contains_key(&unit);
        match op {
            Op::CreateUnit { .. } => known && self.saw(commit, &unit, Roles::ADMIN),
            Op::Grant(g) => {
                let end = |until: Option<Millis>| until.map_or(u64::MAX, |m| m.0);
                let lasts = |r: &ModelRight| {
                    self.saw_on(&commit.id(), r, &unit).contains(Roles::ADMIN) && end(r.until) >= end(g.until)
                };
                let may = self.saw_root(&commit.id()) || self.saw_rights(commit).iter().any(lasts);
                known && may && !g.roles.is_none()
            }
            Op::Enrol { device, proof, .. } => {
                let tickets = self.ever.tickets.get(&author).into_iter().flatten();
                tickets.filter(|r| r.unit == unit).count() > 0 && agreed(device, &author, proof)
            }
            Op::Found { .. } | Op::Endpoint { .. } | Op::Schema { .. } | Op::Revoke { .. } | Op::Erase { .. } => false,
            Op::Cut(_) | Op::Release { .. } | Op::Reject { .. } | Op::Succeed { .. } => false,
        }
    }

    fn remember(&mut self, commit: &Commit, op: &Op) {
        let (unit, author, at) = (commit.header().space.unit, commit.header().device, commit.id());
        match op {
            Op::CreateUnit { unit: id, .. } => {
                self.ever.parents.entry(*id).or_default().insert((unit, at));
            }
            Op::Grant(g) => {
                let to = if g.ticket { &mut self.ever.tickets } else { &mut self.ever.rights };
                to.entry(g.key).or_default().push(right(at, unit, g));
            }
            Op::Enrol { device, .. } => {
                let tickets = self.ever.tickets.get(&author).into_iter().flatten().filter(|r| r.unit == unit);
                let given: Vec<ModelRight> = tickets.map(|r| ModelRight { taken: at, ..r.clone() }).collect();
                self.ever.rights.entry(*device).or_default().extend(given);
            }
            Op::Found { .. } | Op::Endpoint { .. } | Op::Schema { .. } | Op::Revoke { .. } | Op::Erase { .. } => {}
            Op::Cut(_) | Op::Release { .. } | Op::Reject { .. } | Op::Succeed { .. } => {}
        }
    }

    /// One operation; false if its author may not, or it fits nothing.
    fn apply(&mut self, commit: &Commit, verdicts: Option<&Verdicts>, op: Op) -> bool {
        let (unit, author) = (commit.header().space.unit, commit.header().device);
        let by_root_key = self.is_root(commit);
        // In the fold a cut is known by what lies outside it; inside it the old right holds.
        let held = self.held(commit, verdicts);
        let roles = held.iter().map(|r| self.on(r, &unit, When::Now)).fold(Roles::NONE, Roles::union);
        let admin = by_root_key || roles.contains(Roles::ADMIN);
        let relay = by_root_key || roles.contains(Roles::RELAY);
        match op {
            Op::Found { unit: root, kind, succession, .. } => {
                let may = by_root_key && root == unit && self.root.is_none();
                if may {
                    self.founded = Some((commit.id(), succession));
                    self.root = Some(root);
                    self.units.insert(root, ModelUnit { parent: None, kind, depth: 0 });
                }
                may
            }
            Op::CreateUnit { unit: id, kind, .. } => {
                let Some(depth) = self.units.get(&unit).map(|parent| parent.depth + 1) else { return false };
                let may =
                    admin && !self.units.contains_key(&id) && depth < TREE_DEPTH_MAX && self.units.len() < UNITS_MAX;
                if may {
                    self.units.insert(id, ModelUnit { parent: Some(unit), kind, depth });
                }
                may
            }
            Op::Grant(grant) => {
                let ends_in_time = by_root_key || self.lasts(&held, &unit, grant.until);
                let may = admin && self.units.contains_key(&unit) && ends_in_time && !grant.roles.is_none();
                if may {
                    let right = right(commit.id(), unit, &grant);
                    if grant.ticket {
                        self.tickets.entry(grant.key).or_insert((right, None));
                    } else {
                        self.rights.entry(grant.key).or_default().push(right);
                    }
                }
                may
            }
            Op::Enrol { device, proof, .. } => {
                let Some((right, used)) = self.tickets.get_mut(&author) else { return false };
                let may = right.unit == unit && used.is_none() && agreed(&device, &author, &proof);
                if may {
                    *used = Some(device);
                    let right = ModelRight { taken: commit.id(), ..right.clone() };
                    self.rights.entry(device).or_default().push(right);
                }
                may
            }
            Op::Endpoint { addresses } => {
                if relay {
                    self.endpoints.entry(unit).or_default().insert(author, addresses);
                }
                relay
            }
            Op::Schema { version, text } => {
                let may = admin && self.root == Some(unit);
                let better = match &self.schema {
                    None => true,
                    Some((v, by, _)) => version > *v || (version == *v && commit.id() < *by),
                };
                if may && better {
                    self.schema = Some((version, commit.id(), text));
                }
                may
            }
            Op::Revoke { key, .. } => {
                // By what its author had seen: two who revoke each other are both revoked.
                let mut units = self.rights.get(&key).into_iter().flatten().map(|r| r.unit).chain([unit]);
                units.all(|u| self.saw(commit, &u, Roles::ADMIN))
            }
            Op::Cut(cut) => {
                let key = cut.key;
                let made = self.make_cut(commit, cut);
                let stands = made.is_some();
                self.cuts.entry(key).or_default().extend(made);
                stands
            }
            Op::Release { commits, .. } => {
                let may = self.saw(commit, &unit, Roles::ADMIN);
                self.released.extend(commits.into_iter().filter(|_| may).map(|c| (c, unit, commit.id())));
                may
            }
            Op::Reject { commits, .. } => {
                let may = self.saw(commit, &unit, Roles::ADMIN);
                self.rejected.extend(commits.into_iter().filter(|_| may).map(|c| (c, unit, commit.id())));
                may
            }
            Op::Erase { what, .. } => match what {
                Erased::Record { space, .. } if space.unit != unit || space.flow == Flow::Charter => false,
                Erased::Record { .. } | Erased::Holder { .. } => self.saw(commit, &unit, Roles::ADMIN),
            },
            // One that names twice in one commit is in no history that is tried.
            Op::Succeed { .. } => self.line().contains(&commit.id()),
        }
    }

    /// Whether a grant until then does not outlast the longest right that makes its author admin.
    fn lasts(&self, held: &[ModelRight], unit: &UnitId, until: Option<Millis>) -> bool {
        let of_admin = held
            .iter()
            .filter(|r| self.on(r, unit, When::Now).contains(Roles::ADMIN))
            .map(|r| r.until.map_or(u64::MAX, |m| m.0));
        of_admin.max().is_some_and(|limit| until.map_or(u64::MAX, |m| m.0) <= limit)
    }

    /// What an author holds when a commit of its is folded.
    fn held(&self, commit: &Commit, verdicts: Option<&Verdicts>) -> Vec<ModelRight> {
        let author = commit.header().device;
        let gone = |k: &DeviceId| self.revoked.contains(k);
        let all = self.rights.get(&author).into_iter().flatten().filter(|r| !gone(&author) && !gone(&r.key));
        let left = |r: &ModelRight| {
            let narrowed = verdicts.map(|v| v.narrowed.as_slice()).unwrap_or_default().iter();
            let of = narrowed.filter(|(c, target, _)| *c == commit.id() && *target == r.taken);
            of.fold(r.roles, |roles, (_, _, remaining)| roles.intersection(*remaining))
        };
        all.map(|r| ModelRight { roles: left(r), ..r.clone() }).collect()
    }

    fn given(&self, key: &DeviceId, when: When) -> impl Iterator<Item = &ModelRight> {
        let gone = move |k: &DeviceId| when == When::Now && self.revoked.contains(k);
        let cut = move |k: &DeviceId, r: &ModelRight| {
            let mut last = self.cuts.get(k).into_iter().flatten().filter(|c| c.last);
            when == When::Now && last.any(|c| self.reaches(c, &r.unit))
        };
        let me = *key;
        let all = match when {
            When::Now => &self.rights,
            When::Ever => &self.ever.rights,
        };
        all.get(key)
            .into_iter()
            .flatten()
            .filter(move |r| !gone(&me) && !gone(&r.key) && !cut(&me, r) && !cut(&r.key, r))
    }

    /// What a right gives on a unit: all of it on its own, admin and relay below, the rest below only
    /// if the grant says so.
    pub(super) fn on(&self, right: &ModelRight, unit: &UnitId, when: When) -> Roles {
        if right.unit == *unit {
            return right.roles;
        }
        let below = match when {
            When::Now => self.up(unit).contains(&right.unit),
            When::Ever => self.ever_above(unit).contains(&right.unit),
        };
        if below { part_below(right) } else { Roles::NONE }
    }

    /// Whether all rights of a device together give it this role on a unit.
    #[must_use]
    pub fn has(&self, device: &DeviceId, unit: &UnitId, role: Roles, when: When) -> bool {
        let all = self.given(device, when).map(|r| self.on(r, unit, when));
        all.fold(Roles::NONE, Roles::union).contains(role)
    }

    /// The unit and its ancestors, nearest first; empty for a unit that the charter does not know.
    #[must_use]
    pub fn up(&self, unit: &UnitId) -> Vec<UnitId> {
        let mut out = Vec::new();
        let mut at = self.units.contains_key(unit).then_some(*unit);
        while let Some(unit) = at {
            out.push(unit);
            at = self.units.get(&unit).and_then(|u| u.parent);
        }
        out
    }

    /// The units that a unit ever lay below, in any of the places where it was made. What is void may
    /// lead round in a circle.
    fn ever_above(&self, unit: &UnitId) -> BTreeSet<UnitId> {
        let mut out = BTreeSet::new();
        let mut todo = vec![*unit];
        while let Some(at) = todo.pop() {
            let parents = self.ever.parents.get(&at).into_iter().flatten();
            todo.extend(parents.map(|(p, _)| *p).filter(|p| out.insert(*p)));
        }
        out
    }

    /// As the same charter was before anything of a charter lay outside a cut.
    fn wide(&self) -> Self {
        Self { ever: self.wide.clone(), ..self.clone() }
    }

    /// Whether a device's logs in a space count: it once had the right to write there.
    #[must_use]
    pub fn counts(&self, device: &DeviceId, space: &SpaceId) -> bool {
        match space.flow {
            Flow::Charter => {
                let wide = self.wide();
                let may_name = self.founded.and_then(|(_, key)| key) == Some(*device)
                    || self.named.values().any(|n| n.next == Some(*device));
                device.0 == self.org.0
                    || self.named.values().any(|n| n.root == *device)
                    || (may_name && self.root == Some(space.unit))
                    || wide.ever.tickets.get(device).into_iter().flatten().any(|right| right.unit == space.unit)
                    || wide.has(device, &space.unit, Roles::RELAY, When::Ever)
            }
            Flow::Up | Flow::Down | Flow::Group | Flow::Local | Flow::Inbox => {
                let writes = [Roles::EDITOR, Roles::INSPECTOR];
                writes.iter().any(|role| self.has(device, &space.unit, *role, When::Ever))
            }
        }
    }

    /// Whether a commit of a charter had seen another, or is it.
    pub(super) fn saw_commit(&self, commit: &CommitId, other: &CommitId) -> bool {
        self.past.get(commit).is_some_and(|past| past.contains(other))
    }

    /// Whether a device has any right that stands.
    #[must_use]
    pub fn has_right_now(&self, device: &DeviceId) -> bool {
        self.given(device, When::Now).next().is_some()
    }

    /// Whether a relay of the unit itself has said where it listens and may still be one.
    #[must_use]
    pub fn has_relay(&self, unit: &UnitId) -> bool {
        let of_unit = self.endpoints.get(unit).into_iter().flatten();
        let mut here = of_unit.filter(|(_, addresses)| !addresses.is_empty());
        here.any(|(device, _)| self.has(device, unit, Roles::RELAY, When::Now))
    }

    /// The unit and its ancestors that have a relay of their own, nearest first.
    #[must_use]
    pub fn relays_above(&self, unit: &UnitId) -> Vec<UnitId> {
        self.up(unit).into_iter().filter(|u| self.has_relay(u)).collect()
    }

    /// The level of a unit: the place of its kind among the levels, else its depth.
    #[must_use]
    pub fn level(&self, unit: &UnitId, levels: &[String]) -> usize {
        let Some(u) = self.units.get(unit) else { return usize::MAX };
        levels.iter().position(|l| Some(l) == u.kind.as_ref()).unwrap_or(u.depth)
    }

    /// Which of these spaces a device should hold once it and all between have met: DESIGN 6.
    #[must_use]
    pub fn spaces_of(&self, device: &DeviceId, levels: &[String], all: &BTreeSet<SpaceId>) -> BTreeSet<SpaceId> {
        all.iter().filter(|s| self.holds(device, levels, s)).copied().collect()
    }

    /// Whether a device should hold a space.
    #[must_use]
    pub fn holds(&self, device: &DeviceId, levels: &[String], space: &SpaceId) -> bool {
        self.given(device, When::Now).any(|r| self.right_holds(r, levels, space))
    }

    fn right_holds(&self, right: &ModelRight, levels: &[String], space: &SpaceId) -> bool {
        let (relay, at) = (right.roles.contains(Roles::RELAY), right.unit);
        if !right.roles.contains(Roles::READER) {
            return false;
        }
        let chain = self.up(&space.unit);
        let below = chain.iter().skip(1).any(|u| *u == at);
        let above = self.up(&at).iter().skip(1).any(|u| *u == space.unit);
        let own = space.unit == at;
        match space.flow {
            Flow::Charter => own || above || (below && (relay || right.subtree)),
            Flow::Up if own => true,
            // Reach 0 is the root: every relay between the unit and the level of the reach holds it.
            Flow::Up if below && relay => usize::from(space.reach) <= self.level(&at, levels),
            Flow::Up if below && right.subtree => {
                self.relays_above(&at).first().is_some_and(|over| usize::from(space.reach) <= self.level(over, levels))
            }
            Flow::Up => false,
            Flow::Down if below && relay => chain.iter().take_while(|u| **u != at).all(|u| !self.has_relay(u)),
            Flow::Down => own || above,
            Flow::Group => false,
            Flow::Inbox => own || (below && relay),
            Flow::Local => own,
        }
    }

    /// Whether a device may see what is in a space at all: the line that nothing may cross. Wider than
    /// [`ModelCharter::holds`]: reach and nearer relays save bytes, they keep no secret from above.
    #[must_use]
    pub fn may_read(&self, device: &DeviceId, space: &SpaceId, when: When) -> bool {
        let mine: Vec<&ModelRight> = self.given(device, when).filter(|r| r.roles.contains(Roles::READER)).collect();
        let passes_down = matches!(space.flow, Flow::Charter | Flow::Down);
        mine.into_iter().any(|r| {
            let own = r.unit == space.unit;
            let below = self.up(&space.unit).contains(&r.unit);
            let above = self.up(&r.unit).contains(&space.unit);
            let from_above = above && passes_down;
            let from_below = below && space.flow != Flow::Local && (r.subtree || r.roles.contains(Roles::RELAY));
            own || from_above || from_below
        })
    }
}

/// What a right gives below its unit: all if the grant says so, else admin and relay.
fn part_below(right: &ModelRight) -> Roles {
    if right.subtree {
        return right.roles;
    }
    let stronger = [Roles::ADMIN, Roles::RELAY].into_iter().find(|r| right.roles.contains(*r));
    stronger.unwrap_or(Roles::NONE)
}

fn right(at: CommitId, unit: UnitId, g: &Grant) -> ModelRight {
    let (roles, subtree, until, key) = (g.roles, g.subtree, g.until, g.key);
    ModelRight { unit, roles, subtree, until, collections: g.collections.clone(), key, grant: at, taken: at }
}

fn causes(commit: &Commit) -> impl Iterator<Item = &CommitId> {
    commit.header().parents.iter().chain(&commit.header().charter_heads)
}

/// Whether a device agreed to use a ticket.
fn agreed(device: &DeviceId, ticket: &DeviceId, proof: &[u8; 64]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(&device.0).is_ok_and(|key| {
        let signature = ed25519_dalek::Signature::from_bytes(proof);
        key.verify_strict(&signed_string("enrol", &ticket.0), &signature).is_ok()
    })
}

fn narrows(commit: &Commit) -> bool {
    let mut ops = commit.payload().entries.iter().map(|e| Op::decode(&e.payload));
    ops.any(|op| matches!(op, Ok(Op::Revoke { .. } | Op::Cut(_) | Op::Erase { .. } | Op::Succeed { .. })))
}
