//! The charter and what follows from it, by a plain fold: who may write where, who holds what.
//!
//! It does not: judge by a clock, or know digests.
//!
//! Invariants: a function of the set of commits. Commits come after all they name; of those that may
//! come next, one that narrows goes first, then the lower id. What makes logs count (`ever`) only
//! grows: it is judged by the revocations that an author had seen, not by those that ran beside it.

use sampan_core::charter::{Grant, Op, Roles};
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
}

/// What was given by those who could as far as they had seen, whether it is void now or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Ever {
    /// A unit's parents: several, if it was made several times.
    parents: BTreeMap<UnitId, BTreeSet<UnitId>>,
    rights: BTreeMap<DeviceId, Vec<ModelRight>>,
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
    ever: Ever,
    /// The founding, and the key that it lets name a new root key.
    founded: Option<(CommitId, Option<DeviceId>)>,
    /// New root keys by the commit that names them, with all that it had seen; the lowest stands.
    named: BTreeMap<CommitId, (DeviceId, BTreeSet<CommitId>)>,
    /// By commit the namings that it or one of its causes is.
    namings: BTreeMap<CommitId, BTreeSet<CommitId>>,
    /// By commit the keys that it or one of its causes revokes.
    ended: BTreeMap<CommitId, BTreeSet<DeviceId>>,
}

impl ModelCharter {
    /// Folds a set of charter commits.
    #[must_use]
    pub fn fold(org: OrgId, commits: &[&Commit]) -> Self {
        let plain = Self::pass(org, commits, BTreeMap::new());
        let named = plain.new_roots(commits);
        if named.is_empty() { plain } else { Self::pass(org, commits, named) }
    }

    /// What the succession key said in the root's charter after it had seen the founding and no other
    /// naming.
    fn new_roots(&self, commits: &[&Commit]) -> BTreeMap<CommitId, (DeviceId, BTreeSet<CommitId>)> {
        let (Some((found, Some(key))), Some(root)) = (self.founded, self.root) else { return BTreeMap::new() };
        let by_id: BTreeMap<CommitId, &Commit> = commits.iter().map(|c| (c.id(), *c)).collect();
        let mut all = BTreeMap::new();
        for (id, c) in &by_id {
            let new = c.payload().entries.iter().find_map(|e| match Op::decode(&e.payload) {
                Ok(Op::Succeed { root, .. }) => Some(root),
                Ok(_) | Err(_) => None,
            });
            let mut seen: BTreeSet<CommitId> = BTreeSet::new();
            let mut todo: Vec<CommitId> = causes(c).copied().collect();
            while let Some(at) = todo.pop() {
                if seen.insert(at) {
                    todo.extend(by_id.get(&at).into_iter().flat_map(|c| causes(c)));
                }
            }
            let place = c.header().space == SpaceId::charter(root) && c.header().device == key;
            if let Some(new) = new.filter(|new| place && new.0 != self.org.0 && seen.contains(&found))
                && !self.waiting.contains(id)
            {
                all.insert(*id, (new, seen));
            }
        }
        let ids: BTreeSet<CommitId> = all.keys().copied().collect();
        all.retain(|_, (_, seen)| seen.is_disjoint(&ids));
        all
    }

    fn pass(org: OrgId, commits: &[&Commit], named: BTreeMap<CommitId, (DeviceId, BTreeSet<CommitId>)>) -> Self {
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
            ever: Ever::default(),
            founded: None,
            named,
            namings: BTreeMap::new(),
            ended: BTreeMap::new(),
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
        let seen: BTreeSet<DeviceId> = causes(commit).filter_map(|c| self.ended.get(c)).flatten().copied().collect();
        let mut ended = seen.clone();
        let namings = causes(commit).filter_map(|c| self.namings.get(c)).flatten().copied();
        let namings: BTreeSet<CommitId> =
            namings.chain(Some(commit.id()).filter(|id| self.named.contains_key(id))).collect();
        self.namings.insert(commit.id(), namings);
        for (index, e) in commit.payload().entries.iter().enumerate() {
            let op = if e.entry.kind == EntryKind::Charter { Op::decode(&e.payload).ok() } else { None };
            let revokes = op.as_ref().and_then(|op| if let Op::Revoke { key, .. } = op { Some(*key) } else { None });
            op.iter().for_each(|op| self.remember(commit, &seen, op));
            if op.is_some_and(|op| self.apply(commit, &seen, op)) {
                ended.extend(revokes);
            } else {
                self.void.insert((commit.id(), index));
            }
        }
        self.ended.insert(commit.id(), ended);
    }

    /// Whether an author had a role as far as it had seen: a right ever given, neither it nor the key
    /// that the grant names among the revoked keys that it had seen.
    fn saw(&self, author: &DeviceId, seen: &BTreeSet<DeviceId>, unit: &UnitId, role: Roles) -> bool {
        let rights = self.saw_rights(author, seen).map(|r| self.on(r, unit, When::Ever));
        rights.fold(Roles::NONE, Roles::union).contains(role)
    }

    /// Whether a commit speaks for the root: the first root key in what the standing naming had seen, the
    /// new one once it had seen that naming.
    fn is_root(&self, commit: &Commit) -> bool {
        let (author, first) = (commit.header().device, commit.header().device.0 == self.org.0);
        match self.named.first_key_value() {
            None => first,
            Some((id, (root, _))) if *root == author => self.namings[&commit.id()].contains(id),
            Some((_, (_, before))) => first && before.contains(&commit.id()),
        }
    }

    /// The same, as far as its author had seen.
    fn saw_root(&self, commit: &Commit) -> bool {
        let (author, seen) = (commit.header().device, &self.namings[&commit.id()]);
        let own = |(id, (root, _)): (&CommitId, &(DeviceId, BTreeSet<CommitId>))| *root == author && seen.contains(id);
        if author.0 == self.org.0 { seen.is_empty() } else { self.named.iter().any(own) }
    }

    fn saw_rights<'a>(
        &'a self,
        author: &DeviceId,
        seen: &'a BTreeSet<DeviceId>,
    ) -> impl Iterator<Item = &'a ModelRight> {
        let all = if seen.contains(author) { None } else { self.ever.rights.get(author) };
        all.into_iter().flatten().filter(|r| !seen.contains(&r.key))
    }

    /// What an operation gives, if its author could as far as it had seen: whatever becomes of it in
    /// the fold, the logs that it made rightful count.
    fn remember(&mut self, commit: &Commit, seen: &BTreeSet<DeviceId>, op: &Op) {
        let (unit, author) = (commit.header().space.unit, commit.header().device);
        let known = |c: &Self| c.root == Some(unit) || c.ever.parents.contains_key(&unit);
        match op {
            Op::CreateUnit { unit: id, .. } => {
                if known(self) && (self.saw_root(commit) || self.saw(&author, seen, &unit, Roles::ADMIN)) {
                    self.ever.parents.entry(*id).or_default().insert(unit);
                }
            }
            Op::Grant(g) => {
                let end = |until: Option<Millis>| until.map_or(u64::MAX, |m| m.0);
                let lasts = |r: &ModelRight| {
                    self.on(r, &unit, When::Ever).contains(Roles::ADMIN) && end(r.until) >= end(g.until)
                };
                let may = self.saw_root(commit) || self.saw_rights(&author, seen).any(lasts);
                if known(self) && may && !g.roles.is_none() {
                    let to = if g.ticket { &mut self.ever.tickets } else { &mut self.ever.rights };
                    to.entry(g.key).or_default().push(right(unit, g));
                }
            }
            Op::Enrol { device, proof, .. } => {
                let tickets = self.ever.tickets.get(&author).into_iter().flatten();
                let given: Vec<ModelRight> = tickets.filter(|r| r.unit == unit).cloned().collect();
                if !given.is_empty() && agreed(device, &author, proof) {
                    self.ever.rights.entry(*device).or_default().extend(given);
                }
            }
            Op::Found { .. } | Op::Endpoint { .. } | Op::Schema { .. } => {}
            Op::Revoke { .. } | Op::Succeed { .. } => {}
        }
    }

    /// One operation; false if its author may not, or it fits nothing.
    fn apply(&mut self, commit: &Commit, seen: &BTreeSet<DeviceId>, op: Op) -> bool {
        let (unit, author) = (commit.header().space.unit, commit.header().device);
        let by_root_key = self.is_root(commit);
        let admin = by_root_key || self.has(&author, &unit, Roles::ADMIN, When::Now);
        let relay = by_root_key || self.has(&author, &unit, Roles::RELAY, When::Now);
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
                let ends_in_time = by_root_key || self.lasts(&author, &unit, grant.until);
                let may = admin && self.units.contains_key(&unit) && ends_in_time && !grant.roles.is_none();
                if may {
                    let right = right(unit, &grant);
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
                // By what its author had seen: two who revoke each other are both revoked.
                let mut units = self.rights.get(&key).into_iter().flatten().map(|r| r.unit).chain([unit]);
                let may = units.all(|u| by_root_key || self.saw(&author, seen, &u, Roles::ADMIN));
                if may {
                    self.revoked.insert(key);
                }
                may
            }
            // One that names twice in one commit is in no history that is tried.
            Op::Succeed { .. } => self.named.first_key_value().is_some_and(|(id, _)| *id == commit.id()),
        }
    }

    /// Whether a grant until then does not outlast the longest right that makes its author admin.
    fn lasts(&self, author: &DeviceId, unit: &UnitId, until: Option<Millis>) -> bool {
        let of_admin = self
            .given(author, When::Now)
            .filter(|r| self.on(r, unit, When::Now).contains(Roles::ADMIN))
            .map(|r| r.until.map_or(u64::MAX, |m| m.0));
        of_admin.max().is_some_and(|limit| until.map_or(u64::MAX, |m| m.0) <= limit)
    }

    fn given(&self, key: &DeviceId, when: When) -> impl Iterator<Item = &ModelRight> {
        let gone = move |k: &DeviceId| when == When::Now && self.revoked.contains(k);
        let me = *key;
        let all = match when {
            When::Now => &self.rights,
            When::Ever => &self.ever.rights,
        };
        all.get(key).into_iter().flatten().filter(move |r| !gone(&me) && !gone(&r.key))
    }

    /// What a right gives on a unit: all of it on its own, admin and relay below, the rest below only
    /// if the grant says so.
    fn on(&self, right: &ModelRight, unit: &UnitId, when: When) -> Roles {
        if right.unit == *unit {
            return right.roles;
        }
        let below = match when {
            When::Now => self.up(unit).contains(&right.unit),
            When::Ever => self.ever_above(unit).contains(&right.unit),
        };
        if !below {
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
            todo.extend(self.ever.parents.get(&at).into_iter().flatten().filter(|p| out.insert(**p)));
        }
        out
    }

    /// Whether a device's logs in a space count: it once had the right to write there.
    #[must_use]
    pub fn counts(&self, device: &DeviceId, space: &SpaceId) -> bool {
        match space.flow {
            Flow::Charter => {
                let may_name = self.founded.and_then(|(_, key)| key) == Some(*device);
                device.0 == self.org.0
                    || self.named.values().any(|(root, _)| root == device)
                    || (may_name && self.root == Some(space.unit))
                    || self.ever.tickets.get(device).into_iter().flatten().any(|right| right.unit == space.unit)
                    || self.has(device, &space.unit, Roles::RELAY, When::Ever)
            }
            Flow::Up | Flow::Down | Flow::Group | Flow::Local | Flow::Inbox => {
                let writes = [Roles::EDITOR, Roles::INSPECTOR];
                writes.iter().any(|role| self.has(device, &space.unit, *role, When::Ever))
            }
        }
    }

    /// Whether each entry of a commit of records is of a collection that its device was ever let write.
    #[must_use]
    pub fn may_carry(&self, commit: &Commit) -> bool {
        let h = commit.header();
        let lets = |r: &ModelRight, collection: &str| {
            let roles = self.on(r, &h.space.unit, When::Ever);
            let inspects = collection == "inspections" && roles.contains(Roles::INSPECTOR);
            let named = r.collections.as_ref().is_none_or(|all| all.contains(collection));
            named && (inspects || roles.contains(Roles::EDITOR))
        };
        let mut named = commit.payload().entries.iter().map(|e| e.entry.collection.as_str());
        h.space.flow == Flow::Charter || named.all(|c| self.given(&h.device, When::Ever).any(|r| lets(r, c)))
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

fn right(unit: UnitId, g: &Grant) -> ModelRight {
    let (roles, subtree, until, key) = (g.roles, g.subtree, g.until, g.key);
    ModelRight { unit, roles, subtree, until, collections: g.collections.clone(), key }
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
    ops.any(|op| matches!(op, Ok(Op::Revoke { .. } | Op::Succeed { .. })))
}
