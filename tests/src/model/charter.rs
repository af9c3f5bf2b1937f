//! The charter and what follows from it, by a plain fold: who may write where, who holds what.
//!
//! It does not: judge by a clock, or know digests.
//!
//! Invariants: a function of the set of commits. Commits come after all they name; of those that may
//! come next, one that narrows goes first, then the lower id.

use sampan_core::charter::{Op, Roles};
use sampan_core::hash::signed_string;
use sampan_core::id::{CommitId, DeviceId, Flow, OrgId, SpaceId, UnitId};
use sampan_core::limits::{TREE_DEPTH_MAX, UNITS_MAX};
use sampan_core::log::{Commit, EntryKind};
use sampan_core::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// Which rights are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Those that stand: not of a revoked key.
    Now,
    /// All that ever were given.
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
    /// The key that the grant names.
    pub key: DeviceId,
}

/// The folded charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCharter {
    org: OrgId,
    /// The root unit.
    pub root: Option<UnitId>,
    /// Every unit.
    pub units: BTreeMap<UnitId, ModelUnit>,
    /// Every right ever given, by the device that has it.
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
}

impl ModelCharter {
    /// Folds a set of charter commits.
    #[must_use]
    pub fn fold(org: OrgId, commits: &[&Commit]) -> Self {
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
        };
        let mut open: BTreeMap<CommitId, (&Commit, bool)> =
            commits.iter().map(|c| (c.id(), (*c, !narrows(c)))).collect();
        let mut taken: BTreeSet<CommitId> = BTreeSet::new();
        loop {
            let free = open.iter().filter(|(_, (c, _))| causes(c).all(|cause| taken.contains(cause)));
            let Some((_, id)) = free.map(|(id, (_, widens))| (*widens, *id)).min() else { break };
            if let Some((commit, _)) = open.remove(&id) {
                c.take(commit);
            }
            taken.insert(id);
        }
        c.waiting = open.into_keys().collect();
        c
    }

    fn take(&mut self, commit: &Commit) {
        for (index, e) in commit.payload().entries.iter().enumerate() {
            let op = if e.entry.kind == EntryKind::Charter { Op::decode(&e.payload).ok() } else { None };
            if !op.is_some_and(|op| self.apply(commit, op)) {
                self.void.insert((commit.id(), index));
            }
        }
    }

    /// One operation; false if its author may not, or it fits nothing.
    fn apply(&mut self, commit: &Commit, op: Op) -> bool {
        let (unit, author) = (commit.header().space.unit, commit.header().device);
        let by_root_key = author.0 == self.org.0;
        let admin = by_root_key || self.has(&author, &unit, Roles::ADMIN, When::Now);
        let relay = by_root_key || self.has(&author, &unit, Roles::RELAY, When::Now);
        match op {
            Op::Found { unit: root, kind, .. } => {
                let may = by_root_key && root == unit && self.root.is_none();
                if may {
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
                let ends_in_time = by_root_key || self.lasts(&author, &unit, grant.until);
                let may = admin && self.units.contains_key(&unit) && ends_in_time && !grant.roles.is_none();
                if may {
                    let (roles, subtree, until, key) = (grant.roles, grant.subtree, grant.until, grant.key);
                    let right = ModelRight { unit, roles, subtree, until, key };
                    if grant.ticket {
                        self.tickets.entry(grant.key).or_insert((right, None));
                    } else {
                        self.rights.entry(grant.key).or_default().push(right);
                    }
                }
                may
            }
            Op::Enrol { device, proof, .. } => {
                let agreed = ed25519_dalek::VerifyingKey::from_bytes(&device.0).is_ok_and(|key| {
                    let signature = ed25519_dalek::Signature::from_bytes(&proof);
                    key.verify_strict(&signed_string("enrol", &author.0), &signature).is_ok()
                });
                let Some((right, used)) = self.tickets.get_mut(&author) else { return false };
                let may = right.unit == unit && used.is_none() && agreed;
                if may {
                    *used = Some(device);
                    let right = right.clone();
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
                let rights = self.rights.get(&key).into_iter().flatten();
                let above =
                    by_root_key || rights.map(|r| r.unit).all(|u| self.has(&author, &u, Roles::ADMIN, When::Now));
                if admin && above {
                    self.revoked.insert(key);
                }
                admin && above
            }
        }
    }

    /// Whether a grant until then does not outlast the longest right that makes its author admin.
    fn lasts(&self, author: &DeviceId, unit: &UnitId, until: Option<Millis>) -> bool {
        let of_admin = self
            .given(author, When::Now)
            .filter(|r| self.on(r, unit).contains(Roles::ADMIN))
            .map(|r| r.until.map_or(u64::MAX, |m| m.0));
        of_admin.max().is_some_and(|limit| until.map_or(u64::MAX, |m| m.0) <= limit)
    }

    fn given(&self, key: &DeviceId, when: When) -> impl Iterator<Item = &ModelRight> {
        let gone = move |k: &DeviceId| when == When::Now && self.revoked.contains(k);
        let me = *key;
        self.rights.get(key).into_iter().flatten().filter(move |r| !gone(&me) && !gone(&r.key))
    }

    /// What a right gives on a unit: all of it on its own, admin and relay below, the rest below only
    /// if the grant says so.
    fn on(&self, right: &ModelRight, unit: &UnitId) -> Roles {
        if right.unit == *unit {
            return right.roles;
        }
        if !self.up(unit).contains(&right.unit) {
            return Roles::NONE;
        }
        if right.subtree {
            return right.roles;
        }
        let stronger = [Roles::ADMIN, Roles::RELAY].into_iter().find(|r| right.roles.contains(*r));
        stronger.unwrap_or(Roles::NONE)
    }

    /// Whether all rights of a device together give it this role on a unit.
    #[must_use]
    pub fn has(&self, device: &DeviceId, unit: &UnitId, role: Roles, when: When) -> bool {
        let all = self.given(device, when).map(|r| self.on(r, unit));
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

    /// Whether a device's logs in a space count: it once had the right to write there.
    #[must_use]
    pub fn counts(&self, device: &DeviceId, space: &SpaceId) -> bool {
        match space.flow {
            Flow::Charter => {
                device.0 == self.org.0
                    || self.tickets.get(device).is_some_and(|(right, _)| right.unit == space.unit)
                    || self.has(device, &space.unit, Roles::RELAY, When::Ever)
            }
            Flow::Up | Flow::Down | Flow::Group | Flow::Local | Flow::Inbox => {
                self.has(device, &space.unit, Roles::EDITOR, When::Ever)
            }
        }
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

fn causes(commit: &Commit) -> impl Iterator<Item = &CommitId> {
    commit.header().parents.iter().chain(&commit.header().charter_heads)
}

fn narrows(commit: &Commit) -> bool {
    let mut ops = commit.payload().entries.iter().map(|e| Op::decode(&e.payload));
    ops.any(|op| matches!(op, Ok(Op::Revoke { .. })))
}
