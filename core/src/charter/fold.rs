//! The fold: from charter commits to who exists, who may do what, and where relays listen.
//!
//! It does not: store commits, judge by any clock, or know records.
//!
//! Invariants: a pure function of the set of commits; an operation without right is void, listed,
//! with its reason; an operation whose causes have not arrived waits. Order: topological by parents
//! and charter heads, among the free ones those that narrow first, then the lower commit id. Where a cut
//! leaves operations of charters outside, a second pass folds without them.

mod beside;
mod cuts;
mod extend;
mod facts;
mod may;
mod root;
mod taken;

pub use self::cuts::{StandingCut, Word};
pub use self::root::Succession;
pub use self::taken::{Carried, Carrier};

use self::beside::{Beside, Log, Past, Wide};
use self::cuts::{Ruling, Words};
use self::facts::narrows;
use self::root::{Founding, Throne};
use self::taken::Later;
use super::erase::{Erasure, Erasures};
use super::op::{Grant, Op, Roles};
use crate::id::{CommitId, DeviceId, HeadName, OrgId, UnitId};
use crate::limits;
use crate::log::{Commit, EntryKind};
use crate::time::Millis;
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

/// A unit, as the charter knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its id.
    pub id: UnitId,
    /// Its parent, `None` for the root.
    pub parent: Option<UnitId>,
    /// Its name.
    pub name: String,
    /// Its code.
    pub code: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
    /// Since when.
    pub since: Millis,
    /// Its depth, 0 = root.
    pub depth: u8,
    /// Its children, sorted.
    pub children: BTreeSet<UnitId>,
}

/// A standing right of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The unit.
    pub unit: UnitId,
    /// The rights.
    pub roles: Roles,
    /// Whether all of them hold below the unit.
    pub subtree: bool,
    /// From when.
    pub from: Millis,
    /// Until when relays let it in.
    pub until: Option<Millis>,
    /// The commit that granted it.
    pub by: CommitId,
    /// The commit that brought it to its key: the grant, or the enrolment by a ticket.
    pub taken: CommitId,
    /// The grant's key: the device itself, or the ticket that enrolled it.
    pub key: DeviceId,
    /// Commitment to the holder's name.
    pub holder: [u8; 32],
    /// The collections that it lets write; `None` = all.
    pub collections: Option<BTreeSet<String>>,
    /// The device that this one takes over from.
    pub replaces: Option<DeviceId>,
}

/// A standing ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// What the device will have.
    pub right: Right,
    /// Until when it may be used.
    pub use_by: Option<Millis>,
    /// The device that used it.
    pub used_by: Option<DeviceId>,
}

/// An operation without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoidOp {
    /// Its commit.
    pub commit: CommitId,
    /// Its position.
    pub index: u32,
    /// Its author.
    pub author: DeviceId,
    /// Why.
    pub reason: &'static str,
}

/// A published schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its version.
    pub version: u32,
    /// The TOML text.
    pub text: Arc<str>,
    /// The commit that published it.
    pub by: CommitId,
}

/// The folded charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charter {
    org: OrgId,
    name: String,
    root: Option<UnitId>,
    units: BTreeMap<UnitId, Unit>,
    rights: BTreeMap<DeviceId, Vec<Right>>,
    tickets: BTreeMap<DeviceId, Ticket>,
    box_keys: BTreeMap<DeviceId, [u8; 32]>,
    revoked: BTreeMap<DeviceId, String>,
    endpoints: BTreeMap<UnitId, BTreeMap<DeviceId, Vec<String>>>,
    /// The newest first, at most `SCHEMAS_KEPT_MAX`.
    schemas: Vec<Published>,
    void: Vec<VoidOp>,
    waiting: usize,
    beside: Beside,
    folded: BTreeMap<CommitId, UnitId>,
    /// The order of the fold: whether a commit does not narrow, and which it is.
    order: Vec<(bool, CommitId)>,
    /// Who signed what was folded.
    authors: BTreeSet<DeviceId>,
    /// Whether one pass folded it, with no regard to cuts and namings of root keys.
    is_plain: bool,
    /// What the founding said, once it is known.
    founding: Option<Founding>,
    throne: Throne,
    /// Whether the standing naming of a root key was met in this fold.
    crowned: BTreeSet<CommitId>,
    /// Per unit the commits that no commit of the same unit names as a cause.
    heads: BTreeMap<UnitId, BTreeSet<CommitId>>,
    /// Per commit the other units whose commits name it: it is no head for chains with such a unit.
    named_by: BTreeMap<CommitId, BTreeSet<UnitId>>,
    /// The commit that made each unit.
    made: BTreeMap<UnitId, CommitId>,
    /// Units that somebody wanted to make in vain.
    void_units: BTreeSet<UnitId>,
    /// The cuts that stand, in the order of the fold.
    cuts: BTreeMap<DeviceId, Vec<StandingCut>>,
    released: Words,
    rejected: Words,
    /// What is erased for ever.
    pub(super) erasures: Erasures,
    /// Commits of charters that lie outside a cut.
    outside: BTreeSet<CommitId>,
    /// Rights that were given after a narrowing.
    later: Later,
    /// What makes logs of charters count, where it is more than the rest of this says.
    wide: Option<Box<Wide>>,
}

impl Charter {
    /// The charter of an organisation of which nothing is known yet.
    #[must_use]
    pub fn empty(org: OrgId) -> Self {
        Self {
            org,
            name: String::new(),
            root: None,
            units: BTreeMap::new(),
            rights: BTreeMap::new(),
            tickets: BTreeMap::new(),
            box_keys: BTreeMap::new(),
            revoked: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            schemas: Vec::new(),
            void: Vec::new(),
            waiting: 0,
            beside: Beside::default(),
            folded: BTreeMap::new(),
            order: Vec::new(),
            authors: BTreeSet::new(),
            is_plain: false,
            founding: None,
            throne: Throne::default(),
            crowned: BTreeSet::new(),
            heads: BTreeMap::new(),
            named_by: BTreeMap::new(),
            made: BTreeMap::new(),
            void_units: BTreeSet::new(),
            cuts: BTreeMap::new(),
            released: Words::new(),
            rejected: Words::new(),
            erasures: Erasures::default(),
            outside: BTreeSet::new(),
            later: Later::new(),
            wide: None,
        }
    }

    /// Folds a set of charter commits, in any order.
    #[must_use]
    pub fn fold<'a>(org: OrgId, commits: impl IntoIterator<Item = &'a Commit>) -> Self {
        let mut by_id: Log<'_> = BTreeMap::new();
        for c in commits {
            by_id.insert(c.id(), c);
        }
        let mut stands = BTreeSet::new();
        let mut first = Self::pass(Self::empty(org), &by_id, None, &mut stands);
        // Who is root decides about everything else, and is known only once all is seen.
        let throne = Throne::of(&first, &by_id);
        let empty = || Self { throne: throne.clone(), ..Self::empty(org) };
        if !throne.is_empty() {
            stands.clear();
            first = Self::pass(empty(), &by_id, None, &mut stands);
        }
        let ruling = first.rule(&by_id, stands);
        let mut charter = if ruling.is_empty() {
            first
        } else {
            let wide = Some(Box::new(first.wide()));
            let Self { cuts, released, rejected, erasures, .. } = first;
            let base = Self { cuts, released, rejected, erasures, wide, ..empty() };
            Self::pass(base, &by_id, Some(&ruling), &mut BTreeSet::new())
        };
        charter.is_plain = throne.is_empty() && ruling.is_empty();
        charter.outside = ruling.outside;
        charter.settle_rights();
        charter.find_later(&by_id);
        charter
    }

    /// Folds once: the first time without regard to what lies outside cuts, then by a ruling on that.
    fn pass(
        mut charter: Self,
        by_id: &Log<'_>,
        ruling: Option<&Ruling>,
        stands: &mut BTreeSet<(CommitId, u32)>,
    ) -> Self {
        let mut open: BTreeMap<CommitId, usize> = BTreeMap::new();
        let mut children: BTreeMap<CommitId, Vec<CommitId>> = BTreeMap::new();
        // (does not narrow, id): what narrows comes first, then the lower id.
        let mut free: BTreeSet<(bool, CommitId)> = BTreeSet::new();
        for (id, c) in by_id {
            let causes: BTreeSet<&CommitId> = c.header().parents.iter().chain(&c.header().charter_heads).collect();
            open.insert(*id, causes.len());
            if causes.is_empty() {
                free.insert((!narrows(c), *id));
            }
            for cause in causes {
                children.entry(*cause).or_default().push(*id);
            }
        }
        while let Some((wide, id)) = free.pop_first() {
            charter.order.push((wide, id));
            charter.take(by_id, by_id[&id], ruling, stands);
            for child in children.get(&id).into_iter().flatten() {
                let Some(n) = open.get_mut(child) else {
                    continue;
                };
                *n -= 1;
                if *n == 0 {
                    free.insert((!narrows(by_id[child]), *child));
                }
            }
        }
        charter.waiting = by_id.len() - charter.folded.len();
        charter
    }

    fn take(
        &mut self,
        log: &Log<'_>,
        commit: &Commit,
        ruling: Option<&Ruling>,
        stands: &mut BTreeSet<(CommitId, u32)>,
    ) {
        let h = commit.header();
        let past = Past::of(log, commit);
        for (i, e) in commit.payload().entries.iter().enumerate() {
            let place = (commit.id(), i as u32);
            let verdict = match facts::op(commit, i) {
                Some(_) if e.entry.kind != EntryKind::Charter => Err(UNKNOWN),
                Some(op) => match ruling.filter(|r| op.is_ruled() || r.outside.contains(&place.0)) {
                    Some(ruling) => self.apply_ruled(ruling, place, op),
                    None => {
                        let ruled = op.is_ruled();
                        let verdict = self.apply(&past, place.1, ruling, op);
                        if ruled && verdict.is_ok() {
                            stands.insert(place);
                        }
                        verdict
                    }
                },
                None => Err(UNKNOWN),
            };
            if let Err(reason) = verdict {
                self.void.push(VoidOp { commit: commit.id(), index: i as u32, author: h.device, reason });
            }
        }
        self.note_folded(commit);
    }

    /// Notes that a commit was folded, and what it names.
    fn note_folded(&mut self, commit: &Commit) {
        let h = commit.header();
        let unit = h.space.unit;
        self.folded.insert(commit.id(), unit);
        self.authors.insert(h.device);
        let heads = self.heads.entry(unit).or_default();
        heads.insert(commit.id());
        for cause in h.parents.iter().chain(&h.charter_heads) {
            match self.folded.get(cause) {
                Some(at) if *at == unit => {
                    self.heads.entry(unit).or_default().remove(cause);
                }
                Some(_) => {
                    self.named_by.entry(*cause).or_default().insert(unit);
                }
                None => {}
            }
        }
    }

    /// One operation of a second pass whose verdict the first has given already.
    fn apply_ruled(&mut self, ruling: &Ruling, place: (CommitId, u32), op: Op) -> Result<(), &'static str> {
        if !op.is_ruled() {
            return Err("it lies outside a cut of its author");
        }
        if !ruling.stands.contains(&place) || (!op.narrows() && ruling.outside.contains(&place.0)) {
            return Err("its author had no right to it as far as it had seen, or lies outside a cut");
        }
        if let Op::Revoke { key, reason } = op {
            self.beside.revokers.entry(key).or_default().push(place.0);
            self.revoked.entry(key).or_insert(reason);
        }
        Ok(())
    }

    fn apply(&mut self, past: &Past<'_, '_>, index: u32, ruling: Option<&Ruling>, op: Op) -> Result<(), &'static str> {
        let commit = past.commit;
        let (unit, author) = (commit.header().space.unit, &commit.header().device);
        let is_root_key = self.is_root(past);
        let may = |c: &Self, role: Roles| is_root_key || c.held_roles(ruling, commit, author, &unit).contains(role);
        match op {
            Op::Found { name, unit: root, kind, succession } => {
                if !is_root_key || root != unit || self.root.is_some() {
                    return Err("only the root key founds the organisation, once");
                }
                self.root = Some(root);
                self.founding = Some(Founding { commit: commit.id(), succession });
                self.name.clone_from(&name);
                let since = commit.header().time;
                let children = BTreeSet::new();
                let u = Unit { id: root, parent: None, name, code: None, kind, since, depth: 0, children };
                self.units.insert(root, u);
                self.made.insert(root, commit.id());
            }
            Op::CreateUnit { unit: id, name, code, kind, since } => {
                let verdict = if may(self, Roles::ADMIN) {
                    self.add_unit(Unit {
                        id,
                        parent: Some(unit),
                        name,
                        code,
                        kind,
                        since,
                        depth: 0,
                        children: BTreeSet::new(),
                    })
                } else {
                    Err("its author is no admin of the parent unit")
                };
                if verdict.is_err() {
                    self.void_units.insert(id);
                }
                if verdict.is_ok() {
                    self.made.insert(id, commit.id());
                } else if self.ever_was(&unit) && self.saw(past, author, &unit, Roles::ADMIN) {
                    self.beside.units.entry(id).or_default().entry(unit).or_default().insert(commit.id());
                }
                verdict?;
            }
            Op::Grant(grant) => {
                let verdict = self.apply_grant(ruling, commit, is_root_key, &grant);
                if verdict.is_err() && self.saw_may_grant(past, author, &unit, &grant) {
                    let right = right_of(commit, unit, &grant);
                    let to = if grant.ticket { &mut self.beside.tickets } else { &mut self.beside.rights };
                    to.entry(grant.key).or_default().push(right);
                }
                verdict?;
            }
            Op::Enrol { device, box_key, proof } => {
                let stands = self.tickets.get(author).filter(|t| t.right.unit == unit);
                let free = stands.filter(|t| t.used_by.is_none()).map(|t| t.right.clone());
                // A ticket that was granted twice: which grant stands is the fold's to say, but the device
                // may have heard of the other one alone.
                let lapsed = self.beside.tickets.get(author).into_iter().flatten().filter(|r| r.unit == unit);
                let used = stands.filter(|_| free.is_none()).map(|t| &t.right);
                let beside: Vec<Right> = used.into_iter().chain(lapsed).cloned().collect();
                if free.is_none() && beside.is_empty() {
                    return Err("its author is no standing ticket of this unit");
                }
                if !facts::enrol_proves(commit, &device, &proof) {
                    return Err("the device did not agree to this ticket");
                }
                if !beside.is_empty() {
                    let beside = beside.into_iter().map(|r| Right { taken: commit.id(), ..r });
                    self.beside.rights.entry(device).or_default().extend(beside);
                }
                let Some(right) = free else {
                    return Err(if self.tickets.contains_key(author) {
                        "the ticket was used already"
                    } else {
                        "its author is no standing ticket of this unit"
                    });
                };
                if let Some(ticket) = self.tickets.get_mut(author) {
                    ticket.used_by = Some(device);
                }
                self.box_keys.insert(device, box_key);
                self.rights.entry(device).or_default().push(Right { taken: commit.id(), ..right });
            }
            Op::Endpoint { addresses } => {
                if !may(self, Roles::RELAY) {
                    return Err("its author is no relay of this unit");
                }
                let of_unit = self.endpoints.entry(unit).or_default();
                if addresses.is_empty() {
                    of_unit.remove(author);
                } else {
                    of_unit.insert(*author, addresses);
                }
            }
            Op::Schema { version, text } => {
                if self.root != Some(unit) || !may(self, Roles::ADMIN) {
                    return Err("a schema is published in the root's charter by an admin of the root");
                }
                let by = commit.id();
                // The greatest version stands; of two with one version the lower commit id. Those before it are for
                // programs that do not read it.
                let after = self.schemas.partition_point(|s| (s.version, by) > (version, s.by));
                self.schemas.insert(after, Published { version, text: text.into(), by });
                self.schemas.truncate(limits::SCHEMAS_KEPT_MAX);
            }
            Op::Revoke { key, reason } => {
                // What runs beside a revocation never voids it: two who revoke each other are both revoked.
                let may = |unit: &UnitId| self.saw(past, author, unit, Roles::ADMIN);
                let below = self.rights.get(&key).is_none_or(|rights| rights.iter().all(|r| may(&r.unit)));
                if !may(&unit) || !below {
                    return Err("its author is no admin above every right of that key");
                }
                self.beside.revokers.entry(key).or_default().push(commit.id());
                self.revoked.entry(key).or_insert(reason);
            }
            Op::Succeed { root, succession: _ } => {
                if self.root != Some(unit) {
                    return Err("a new root key is named in the root's charter");
                }
                self.name_root(commit, author, &root)?;
            }
            Op::Erase { what, reason } => {
                if !what.belongs_to(&unit) || !self.saw(past, author, &unit, Roles::ADMIN) {
                    return Err("its author is no admin of the unit that it erases something of");
                }
                let (by, at) = (commit.id(), commit.header().time);
                self.erasures.add(Erasure { unit, what, by, issuer: *author, at, reason });
            }
            Op::Cut(cut) => self.apply_cut(past, index, cut)?,
            op @ (Op::Release { .. } | Op::Reject { .. }) => self.apply_words(past, &op)?,
        }
        Ok(())
    }

    /// Adds a unit below its parent.
    fn add_unit(&mut self, mut unit: Unit) -> Result<(), &'static str> {
        let id = unit.id;
        if self.units.contains_key(&id) {
            return Err("the unit exists already");
        }
        let full = self.units.len() >= limits::UNITS_MAX;
        let Some(parent) = unit.parent.and_then(|p| self.units.get_mut(&p)) else {
            return Err("the parent unit does not exist");
        };
        unit.depth = parent.depth + 1;
        if usize::from(unit.depth) >= limits::TREE_DEPTH_MAX || full {
            return Err("the tree has reached TREE_DEPTH_MAX or UNITS_MAX");
        }
        parent.children.insert(id);
        self.units.insert(id, unit);
        Ok(())
    }

    fn apply_grant(
        &mut self,
        ruling: Option<&Ruling>,
        commit: &Commit,
        is_root_key: bool,
        grant: &Grant,
    ) -> Result<(), &'static str> {
        let unit = commit.header().space.unit;
        if !self.units.contains_key(&unit) {
            return Err("the unit does not exist");
        }
        if !is_root_key {
            let held = self.held(ruling, commit, &commit.header().device);
            let admin: Vec<Right> = held.filter(|r| self.covers(r, &unit).contains(Roles::ADMIN)).collect();
            if admin.is_empty() {
                return Err("its author is no admin of this unit");
            }
            if !admin.iter().any(|r| !may::outlasts(r, grant)) {
                return Err("it would outlast the grant of its author");
            }
            if !admin.iter().any(|r| !may::outlasts(r, grant) && may::within(r, grant)) {
                return Err("it would let write collections that its author may not");
            }
        }
        if grant.roles.is_none() {
            return Err("it grants nothing");
        }
        let right = right_of(commit, unit, grant);
        if grant.ticket {
            match self.tickets.entry(grant.key) {
                Entry::Vacant(free) => {
                    free.insert(Ticket { right, use_by: grant.use_by, used_by: None });
                }
                Entry::Occupied(_) => self.beside.tickets.entry(grant.key).or_default().push(right),
            }
        } else {
            self.rights.entry(grant.key).or_default().push(right);
        }
        Ok(())
    }

    fn standing(&self, key: &DeviceId) -> impl Iterator<Item = &Right> {
        let revoked = self.revoked.contains_key(key);
        let rights = self.rights.get(key).into_iter().flatten();
        let rights = rights.filter(move |r| !revoked && !self.revoked.contains_key(&r.key));
        let key = *key;
        rights.filter(move |r| !self.cut_ends(&key, &r.unit) && !self.cut_ends(&r.key, &r.unit))
    }

    /// What an author holds in the eyes of the fold when a commit of its is its turn: what a cut leaves
    /// inside is judged as if there were none.
    fn held(&self, ruling: Option<&Ruling>, commit: &Commit, author: &DeviceId) -> impl Iterator<Item = Right> {
        let revoked = self.revoked.contains_key(author);
        let rights = self.rights.get(author).into_iter().flatten();
        let rights = rights.filter(move |r| !revoked && !self.revoked.contains_key(&r.key));
        let id = commit.id();
        rights.map(move |r| Right { roles: ruling.map_or(r.roles, |ruling| ruling.left(&id, r)), ..r.clone() })
    }

    fn held_roles(&self, ruling: Option<&Ruling>, commit: &Commit, author: &DeviceId, unit: &UnitId) -> Roles {
        self.held(ruling, commit, author).fold(Roles::NONE, |acc, r| acc.union(self.covers(&r, unit)))
    }

    /// What a right gives on a unit.
    fn covers(&self, right: &Right, unit: &UnitId) -> Roles {
        reaches(right, unit, self.is_below(unit, &right.unit))
    }

    /// The organisation.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }
    /// The organisation's name, empty while unknown.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The root unit, `None` while nothing is known.
    #[must_use]
    pub fn root(&self) -> Option<UnitId> {
        self.root
    }
    /// A unit.
    #[must_use]
    pub fn unit(&self, id: &UnitId) -> Option<&Unit> {
        self.units.get(id)
    }
    /// Every unit by id.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.units.values()
    }
    /// The unit and its ancestors, from the unit to the root.
    pub fn chain(&self, unit: &UnitId) -> impl Iterator<Item = &Unit> {
        std::iter::successors(self.units.get(unit), |u| u.parent.and_then(|p| self.units.get(&p)))
    }
    /// Whether `unit` lies strictly below `above`.
    #[must_use]
    pub fn is_below(&self, unit: &UnitId, above: &UnitId) -> bool {
        self.chain(unit).skip(1).any(|u| u.id == *above)
    }
    /// Names from the root's child to the unit, joined by `/`; the root's own name for the root.
    #[must_use]
    pub fn path(&self, unit: &UnitId) -> String {
        let mut names: Vec<&str> = self.chain(unit).map(|u| u.name.as_str()).collect();
        names.reverse();
        if names.len() > 1 { names[1..].join("/") } else { names.concat() }
    }
    /// All standing roles of a key on a unit.
    #[must_use]
    pub fn roles(&self, key: &DeviceId, unit: &UnitId) -> Roles {
        self.standing(key).fold(Roles::NONE, |acc, r| acc.union(self.covers(r, unit)))
    }
    /// The standing rights of a key.
    pub fn rights(&self, key: &DeviceId) -> impl Iterator<Item = &Right> {
        self.standing(key)
    }
    /// Every key with its rights, revoked or not.
    pub fn all_rights(&self) -> impl Iterator<Item = (&DeviceId, &Right)> {
        self.rights.iter().flat_map(|(k, v)| v.iter().map(move |r| (k, r)))
    }
    /// The units that a key holds any right on, sorted.
    #[must_use]
    pub fn units_of(&self, key: &DeviceId) -> BTreeSet<UnitId> {
        self.standing(key).map(|r| r.unit).collect()
    }
    /// Whether and why a key was revoked: all its rights ended, for good.
    #[must_use]
    pub fn revoked(&self, key: &DeviceId) -> Option<&str> {
        let ended = || {
            let cut = self.cuts.get(key)?.iter().find(|c| c.kind.is_final())?;
            self.standing(key).next().is_none().then_some(cut.reason.as_str())
        };
        self.revoked.get(key).map(String::as_str).or_else(ended)
    }
    /// The X25519 public key that a device named when it enrolled: what is encrypted to it.
    #[must_use]
    pub fn box_key(&self, device: &DeviceId) -> Option<[u8; 32]> {
        self.box_keys.get(device).copied()
    }
    /// A ticket.
    #[must_use]
    pub fn ticket(&self, key: &DeviceId) -> Option<&Ticket> {
        self.tickets.get(key)
    }
    /// Every ticket by its key.
    pub fn tickets(&self) -> impl Iterator<Item = (&DeviceId, &Ticket)> {
        self.tickets.iter()
    }
    /// The relays of a unit and where they listen.
    #[must_use]
    pub fn endpoints(&self, unit: &UnitId) -> Vec<(DeviceId, Vec<String>)> {
        let of_unit = self.endpoints.get(unit).into_iter().flatten();
        of_unit.filter(|(d, _)| self.roles(d, unit).contains(Roles::RELAY)).map(|(d, a)| (*d, a.clone())).collect()
    }
    /// Whether a unit has a relay of its own.
    #[must_use]
    pub fn has_relay(&self, unit: &UnitId) -> bool {
        !self.endpoints(unit).is_empty()
    }
    /// The published schema.
    #[must_use]
    pub fn schema(&self) -> Option<&Published> {
        self.schemas.first()
    }
    /// The published schema and those before it, the newest first, at most `SCHEMAS_KEPT_MAX`: who does not read the
    /// first goes by the first that it reads.
    #[must_use]
    pub fn schemas(&self) -> &[Published] {
        &self.schemas
    }
    /// Operations without effect.
    #[must_use]
    pub fn void(&self) -> &[VoidOp] {
        &self.void
    }
    /// Number of commits whose causes have not arrived.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }
    /// Whether a commit is part of this fold.
    #[must_use]
    pub fn knows(&self, commit: &CommitId) -> bool {
        self.folded.contains_key(commit)
    }
    /// The commit that counts and that a name means; `None` where none does, or more than one.
    #[must_use]
    pub fn named(&self, name: &HeadName) -> Option<CommitId> {
        let (first, last) = name.commits();
        let mut found = self.folded.range(first..=last).map(|(id, _)| *id);
        found.next().filter(|_| found.next().is_none())
    }
    /// The heads of the charters from a unit to the root, sorted: what a new commit names.
    #[must_use]
    pub fn heads(&self, unit: &UnitId) -> Vec<CommitId> {
        let chain: BTreeSet<UnitId> = self.chain(unit).map(|u| u.id).chain([*unit]).collect();
        let local = chain.iter().filter_map(|u| self.heads.get(u)).flatten();
        let free = local.filter(|c| self.named_by.get(c).is_none_or(|by| by.is_disjoint(&chain)));
        let heads: BTreeSet<CommitId> = free.copied().collect();
        heads.into_iter().take(limits::CHARTER_HEADS_MAX).collect()
    }

    /// The level of a unit: the position of its kind among the schema's levels, else its depth.
    #[must_use]
    pub fn level(&self, unit: &UnitId, levels: &[String]) -> u8 {
        let Some(u) = self.units.get(unit) else {
            return u8::MAX;
        };
        let by_kind = u.kind.as_ref().and_then(|k| levels.iter().position(|l| l == k));
        by_kind.map_or(u.depth, |p| p as u8)
    }
}

const UNKNOWN: &str = "it is not a charter operation that this version knows";

fn reaches(right: &Right, unit: &UnitId, below: bool) -> Roles {
    if right.unit == *unit {
        right.roles
    } else if !below {
        Roles::NONE
    } else if right.subtree {
        right.roles
    } else {
        right.roles.below()
    }
}

fn right_of(commit: &Commit, unit: UnitId, grant: &Grant) -> Right {
    Right {
        unit,
        roles: grant.roles,
        subtree: grant.subtree,
        from: grant.from,
        until: grant.until,
        by: commit.id(),
        taken: commit.id(),
        key: grant.key,
        holder: grant.holder,
        collections: grant.collections.clone(),
        replaces: grant.replaces,
    }
}
