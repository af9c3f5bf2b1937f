//! Intake: taking commits from a neighbour, checked, judged and stored as one batch.
//!
//! It does not: open a document, trust the neighbour for anything, or decide what to ask for.
//!
//! Invariants: nothing is stored whose signature, root and parents were not checked; commits of logs
//! that do not count go to the quarantine, under its quota, and are judged again when the charter
//! changes; a commit already held is no error and changes nothing.

use super::anew::taken_out;
use super::inside::Inside;
use super::judge::{Checked, NewRecordEntry, judge};
use super::{Engine, brief, meta, meta_u64};
use crate::canary::{self, Canary};
use crate::charter::Charter;
use crate::entropy::Entropy;
use crate::id::{CommitId, DeviceId, Flow, RecordId, SpaceId, UnitId};
use crate::limits::LOG_TIPS_MAX;
use crate::log::{Commit, CommitError, EntryKind, Payload, Rebuilt, SignedHeader, VerifiedHeader};
use crate::pack::{self, PackError, PackScope};
use crate::store::{Batch, CommitKey, NewCommit, NewEntry, NewGroup, Quarantined, Status, Store, StoreError};
use crate::time::Millis;
use crate::wire::frame::Group;
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

/// Commits of one space, told apart.
pub(super) struct Split {
    /// Those that count.
    counting: Vec<Commit>,
    /// Those that are set aside, with the reason.
    pub(super) aside: Vec<(Commit, String)>,
    /// The charter with all of them, if they are a charter's and all count: what it is once they are stored.
    charter: Option<Charter>,
}

/// Why a commit lies in the quarantine that a cut leaves outside.
pub(super) const OUTSIDE: &str = "it lies outside a cut of its device";

/// Why one does that carries what a narrowing took from its device.
pub(super) const TAKEN: &str = "it carries a collection that was taken from its device";

/// Why one does that carries what its device was never let write.
pub(super) const CARRIES: &str = "it carries a collection that its device has no right to write here";

/// Why one does that is right by itself.
pub(super) const CONTINUES: &str = "it continues a commit that was set aside";

/// What an intake came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intake {
    /// Commits stored that were not held before.
    pub commits: u64,
    /// Distinct changes in their data spaces, births excluded.
    pub changes: u64,
    /// Entries in them.
    pub entries: u64,
    /// Commits set aside.
    pub quarantined: u64,
    /// Whether the charter grew.
    pub charter_grew: bool,
    /// Whether commits of this device and incarnation came that this replica had not made.
    pub twin_found: bool,
    /// Whether a commit came that one in the quarantine names as its parent.
    pub awaited: bool,
    /// Units whose `up` spaces grew, by what came or by what a charter released from the quarantine.
    pub touched: BTreeSet<UnitId>,
    /// The commits of the groups, new or not.
    pub ids: Vec<CommitId>,
}

impl Intake {
    fn add(&mut self, other: Self) {
        self.commits += other.commits;
        self.changes += other.changes;
        self.entries += other.entries;
        self.quarantined += other.quarantined;
        self.charter_grew |= other.charter_grew;
        self.twin_found |= other.twin_found;
        self.awaited |= other.awaited;
        self.touched.extend(other.touched);
        self.ids.extend(other.ids);
    }
}

/// What lies in the quarantine, and the parents that it names: never less than the store has, save for
/// what another process put there, which is found when the quarantine is judged.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// The commits with their parents.
    pub(super) commits: BTreeMap<CommitId, Vec<CommitId>>,
    parents: BTreeSet<CommitId>,
}

impl Aside {
    pub(super) fn of(held: &[Quarantined]) -> Self {
        let mut out = Self::default();
        held.iter().for_each(|q| out.add(&q.head));
        out
    }

    pub(super) fn add(&mut self, head: &VerifiedHeader) {
        self.commits.insert(head.id(), head.header().parents.clone());
        self.parents.extend(&head.header().parents);
    }
}

/// Why an intake was refused as a whole; nothing was stored of the group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// A commit that is none.
    #[error("the peer sent {0}")]
    PeerCommit(#[from] CommitError),
    /// A pack that cannot be read.
    #[error("the peer sent {0}")]
    PeerPack(#[from] PackError),
    /// A space that the two ends do not share.
    #[error("the peer sent commits of a space outside the shared scope (unit {unit}, {flow:?})", unit = .0.unit, flow = .0.flow)]
    PeerScope(SpaceId),
    /// Commits of several spaces in one group, or an empty one.
    #[error("the peer sent a group that is empty or mixes spaces")]
    PeerGroup,
    /// A commit whose parents are neither held nor sent before it.
    #[error("the peer sent commit {0} before its parents")]
    PeerOrder(CommitId),
    /// A pack that leaves out what follows from earlier commits, which are not held here as the peer thinks.
    #[error("the peer sent commit {0} without what follows from commits that are not held here")]
    PeerEarlier(CommitId),
    /// A group of this number with brief headers, which cannot be rebuilt from what is held here.
    #[error("the peer sent group {0} without what follows from commits that are not held here")]
    PeerBrief(u64),
    /// A hole where no erasure that stands names the record.
    #[error("the peer sent commit {0} with a hole in it that no erasure accounts for")]
    PeerHole(CommitId),
    /// Our store failed.
    #[error(transparent)]
    LocalStore(#[from] StoreError),
}

impl Engine {
    /// Takes groups from a neighbour; `shared` says which spaces it may hand over.
    ///
    /// # Errors
    /// [`IntakeError`]; groups before the refused one are stored, the refused one is not.
    pub fn intake(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        from: DeviceId,
        groups: &[Group],
        shared: &dyn Fn(&Charter, &SpaceId) -> bool,
        now: Millis,
    ) -> Result<Intake, IntakeError> {
        let mut total = Intake::default();
        for group in groups {
            total.add(self.intake_group(store, from, group, shared, now)?);
        }
        self.after_intake(store, rng, &mut total, now)?;
        Ok(total)
    }

    /// What follows from what was taken in: the quarantine is judged again, a twin makes a new incarnation.
    pub(super) fn after_intake(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        total: &mut Intake,
        now: Millis,
    ) -> Result<(), IntakeError> {
        if total.charter_grew || total.awaited {
            total.add(self.judge_quarantine(store, now)?);
        }
        if total.twin_found {
            let found = meta_u64(store, meta::TWINS_FOUND)? + 1;
            let mut batch = Batch::at(now);
            batch.meta.insert(meta::TWINS_FOUND.into(), Some(found.to_le_bytes().to_vec()));
            store.write(&batch)?;
            self.renew(store, rng, true)?;
        }
        Ok(())
    }

    fn intake_group(
        &mut self,
        store: &mut dyn Store,
        from: DeviceId,
        group: &Group,
        shared: &dyn Fn(&Charter, &SpaceId) -> bool,
        now: Millis,
    ) -> Result<Intake, IntakeError> {
        let Some(number) = brief::number(&group.headers)? else {
            return self.intake_headers(store, from, &group.headers, &group.pack, None, shared, now);
        };
        // Whatever is wrong with it: it may follow from something else than what is held here.
        self.intake_brief(store, from, group, shared, now).map_err(|e| match e {
            IntakeError::LocalStore(e) => IntakeError::LocalStore(e),
            IntakeError::PeerCommit(_)
            | IntakeError::PeerPack(_)
            | IntakeError::PeerScope(_)
            | IntakeError::PeerGroup
            | IntakeError::PeerOrder(_)
            | IntakeError::PeerEarlier(_)
            | IntakeError::PeerBrief(_)
            | IntakeError::PeerHole(_) => IntakeError::PeerBrief(number),
        })
    }

    fn intake_brief(
        &mut self,
        store: &mut dyn Store,
        from: DeviceId,
        group: &Group,
        shared: &dyn Fn(&Charter, &SpaceId) -> bool,
        now: Millis,
    ) -> Result<Intake, IntakeError> {
        let outline = self.outline(store, &group.headers)?.ok_or(IntakeError::PeerGroup)?;
        let first = outline.first();
        let space = first.header().space;
        if !shared(&self.charter, &space) {
            return Err(IntakeError::PeerScope(space));
        }
        let read = self.unpack(store, (space, first.header().device), &[first.id()], &group.pack)?;
        let headers = outline.headers(&read.0, &|name| self.charter.named(name)).ok_or(IntakeError::PeerGroup)?;
        self.intake_headers(store, from, &headers, &group.pack, Some(read), shared, now)
    }

    /// Takes the commits of these headers; `read`: their payloads, if the pack was read before.
    #[allow(clippy::too_many_arguments)] // The parts of one group, and what every intake is given.
    fn intake_headers(
        &mut self,
        store: &mut dyn Store,
        from: DeviceId,
        headers: &[SignedHeader],
        bytes: &[u8],
        read: Option<(Vec<(Payload, Rebuilt)>, bool)>,
        shared: &dyn Fn(&Charter, &SpaceId) -> bool,
        now: Millis,
    ) -> Result<Intake, IntakeError> {
        let ready = if read.is_none() { self.take_ahead(headers, bytes) } else { None };
        let heads = match &ready {
            Some(commits) => commits.iter().map(|c| c.head().clone()).collect(),
            None => headers.iter().map(|h| h.verify(&self.org)).collect::<Result<Vec<_>, _>>()?,
        };
        let first = heads.first().ok_or(IntakeError::PeerGroup)?.header();
        let space = first.space;
        if heads.iter().any(|h| h.header().space != space) {
            return Err(IntakeError::PeerGroup);
        }
        if !shared(&self.charter, &space) {
            return Err(IntakeError::PeerScope(space));
        }
        let ids: Vec<CommitId> = heads.iter().map(|h| h.id()).collect();
        let known = store.known(&ids)?;
        if known.iter().all(Option::is_some) {
            return Ok(Intake { ids, ..Intake::default() });
        }
        let (commits, may_keep) = match (ready, read) {
            (Some(commits), _) => (commits, true),
            (None, Some((payloads, may_keep))) => (joined(heads, payloads)?, may_keep),
            (None, None) => {
                let place = (space, first.device);
                let read = self.unpack(store, place, &first.parents, bytes).map_err(|e| match e {
                    IntakeError::PeerPack(PackError::Earlier) => IntakeError::PeerEarlier(ids[0]),
                    e => e,
                });
                let (payloads, may_keep) = read?;
                (joined(heads, payloads)?, may_keep)
            }
        };
        let mut fresh = Vec::with_capacity(commits.len());
        let mut seen = BTreeSet::new();
        for (commit, known) in commits.into_iter().zip(&known) {
            check_kinds(&commit)?;
            if known.is_none() && seen.insert(commit.id()) {
                self.check_holes(&commit)?;
                fresh.push(commit);
            }
        }
        let pack = (may_keep && fresh.len() == headers.len()).then_some(bytes);
        let taken = self.store_commits(store, Some(from), space, fresh, pack, Batch::at(now))?;
        Ok(Intake { ids, ..taken })
    }

    /// Judges and stores commits of one space that were verified and are not held yet, in one write with
    /// what `batch` has already.
    pub(super) fn store_commits(
        &mut self,
        store: &mut dyn Store,
        from: Option<DeviceId>,
        space: SpaceId,
        mut commits: Vec<Commit>,
        pack: Option<&[u8]>,
        mut batch: Batch,
    ) -> Result<Intake, IntakeError> {
        let pack = if self.punch(&mut commits) { None } else { pack };
        let held_aside = self.check_parents(store, &commits)?;
        let Split { counting, aside, charter } = self.split_counting(store, space, commits, held_aside, None)?;
        let mut out = Intake::default();
        let scope = PackScope { org: self.org, space };
        if let Some(from) = from {
            out.quarantined = aside.len() as u64;
            if canary::sings(Canary::QuarantineInFrontier) {
                for h in aside.iter().map(|(c, _)| c.head()) {
                    let (id, h) = (h.id(), h.header());
                    self.holdings.advance(&self.charter, h.space, h.device, h.incarnation, id, &h.parents);
                }
            }
            // A named tip may show that what lies in the quarantine is inside its cut after all.
            out.awaited |= aside.iter().any(|(c, _)| self.is_named(c));
            aside.iter().for_each(|(c, _)| self.aside.add(c.head()));
            self.set_aside(&mut batch, &scope, from, aside);
        }
        if !counting.is_empty() {
            let pack = match pack {
                Some(p) if out.quarantined == 0 => p.to_vec(),
                _ => {
                    let payloads: Vec<&Payload> = counting.iter().map(Commit::payload).collect();
                    pack::encode(&scope, &payloads, &*self.codec)
                }
            };
            self.judge_commits(store, &mut batch, &counting, pack)?;
        }
        self.count_stored(&mut out, &mut batch, &counting, from);
        if !batch.is_empty() {
            store.write(&batch)?;
        }
        self.note_stored(store, &counting, charter)?;
        store.hand_on(counting)?;
        Ok(out)
    }

    /// Adds up what is about to be stored.
    pub(super) fn count_stored(
        &mut self,
        out: &mut Intake,
        batch: &mut Batch,
        counting: &[Commit],
        from: Option<DeviceId>,
    ) {
        for c in counting {
            let h = c.header();
            // One that was set aside before counts now: it leaves the quarantine as it is stored.
            if self.aside.commits.remove(&c.id()).is_some() {
                batch.released.push(c.id());
            }
            out.awaited |= self.aside.parents.contains(&c.id());
            out.commits += 1;
            if h.space.flow == Flow::Up {
                out.touched.insert(h.space.unit);
            }
            out.entries += u64::from(h.entries);
            out.charter_grew |= h.space.flow == Flow::Charter;
            out.twin_found |= from.is_some() && h.device == self.device && h.incarnation == self.incarnation;
            let changes = c.payload().entries.iter();
            out.changes +=
                changes.filter(|e| matches!(e.entry.kind, EntryKind::Change | EntryKind::Identity)).count() as u64;
        }
    }

    /// Every parent is held, set aside, or comes earlier in the group, is of the same device and space,
    /// and the sequence follows from them: a parent elsewhere would lie outside the scope of a later
    /// hop, which could then never take the commit. Returns the parents that are set aside.
    pub(super) fn check_parents(
        &self,
        store: &dyn Store,
        commits: &[Commit],
    ) -> Result<BTreeSet<CommitId>, IntakeError> {
        let mut here: BTreeMap<CommitId, (u64, DeviceId, SpaceId)> = BTreeMap::new();
        let mut aside: Option<BTreeMap<CommitId, (u64, DeviceId, SpaceId)>> = None;
        let mut out = BTreeSet::new();
        for c in commits {
            let h = c.header();
            let held = store.known(&h.parents)?;
            let mut greatest = 0;
            for (parent, held) in h.parents.iter().zip(held) {
                let mut found = match held {
                    Some((key, sequence)) => Some(self.place_of(store, h.space, h.device, parent, key, sequence)?),
                    None => here.get(parent).copied(),
                };
                if found.is_none() {
                    if aside.is_none() {
                        let held = store.quarantine()?;
                        let place = |q: &Quarantined| {
                            let h = q.head.header();
                            (q.head.id(), (h.sequence, h.device, h.space))
                        };
                        aside = Some(held.iter().map(place).collect());
                    }
                    found = aside.as_ref().and_then(|a| a.get(parent)).copied();
                    out.extend(found.map(|_| *parent));
                }
                let Some((sequence, device, space)) = found else {
                    // A log that does not count may have lost its parent to a full quarantine: what
                    // follows is set aside too, and costs its bearer nothing.
                    let counts = self.charter.counts(&h.device, &h.space)
                        && self.charter.cuts_of(&h.device, &h.space).next().is_none();
                    if counts || h.space.flow == Flow::Charter {
                        return Err(IntakeError::PeerOrder(c.id()));
                    }
                    out.insert(*parent);
                    greatest = greatest.max(h.sequence - 1);
                    continue;
                };
                if device != h.device || space != h.space {
                    return Err(CommitError::Header("a parent of another device or space").into());
                }
                greatest = greatest.max(sequence);
            }
            if greatest.checked_add(1) != Some(h.sequence) {
                return Err(CommitError::Header("a sequence that does not follow its parents").into());
            }
            here.insert(c.id(), (h.sequence, h.device, h.space));
        }
        Ok(out)
    }

    /// Sequence, device and space of a commit that is held. Nearly every parent is a tip of its own
    /// log: only another is looked up.
    fn place_of(
        &self,
        store: &dyn Store,
        space: SpaceId,
        device: DeviceId,
        id: &CommitId,
        key: CommitKey,
        sequence: u64,
    ) -> Result<(u64, DeviceId, SpaceId), StoreError> {
        let tips = self.holdings.tips(&space);
        if tips.is_some_and(|t| t.logs().any(|((d, _), tips)| *d == device && tips.contains(id))) {
            return Ok((sequence, device, space));
        }
        let row = store.stored_after(CommitKey(key.0.saturating_sub(1)), 1)?.into_iter().next();
        let row = row.filter(|(_, row)| row.id == *id);
        let (log, _) = row.ok_or_else(|| StoreError::Damaged(format!("commit {id} is not at its position")))?;
        Ok((sequence, log.device, log.space))
    }

    /// Which commits are of logs that count, and which are set aside, with the reason; `folded` is the charter with all
    /// of them, where it is known.
    pub(super) fn split_counting(
        &self,
        store: &dyn Store,
        space: SpaceId,
        commits: Vec<Commit>,
        mut left_out: BTreeSet<CommitId>,
        folded: Option<&Charter>,
    ) -> Result<Split, StoreError> {
        let insides = self.insides(store, space, &commits)?;
        // A charter commit may bring the very grant that makes it count: judge it with all of them.
        // Where all count already, what comes with them does not change that.
        let folds = space.flow == Flow::Charter && folded.is_none() && !self.all_count(&commits);
        let with_new = folds.then(|| self.charter_with(&commits));
        let charter = folded.or(with_new.as_ref()).unwrap_or(&self.charter);
        let mut tips = self.holdings.tips(&space).cloned().unwrap_or_default();
        let (mut counting, mut aside) = (Vec::new(), Vec::new());
        for c in commits {
            let h = c.header();
            let released = charter.released(&c.id(), &space.unit);
            let may = released || charter.counts(&h.device, &space) || canary::sings(Canary::AuthorCheckSkipped);
            let reason = if !may {
                if h.charter_heads.iter().all(|head| charter.knows(head)) {
                    Some("its device has no right to write here")
                } else {
                    Some("the charter that would decide about it has not arrived")
                }
            } else if let Some(why) =
                if released { None } else { self.why_outside(charter, &c, insides.get(&h.device)) }
            {
                Some(why)
            } else if h.parents.iter().any(|p| left_out.contains(p)) {
                Some(CONTINUES)
            } else {
                let mut after = tips.clone();
                after.advance(h.device, h.incarnation, c.id(), &h.parents);
                if after.tips(h.device, h.incarnation).len() > LOG_TIPS_MAX {
                    Some("its log has more tips than LOG_TIPS_MAX")
                } else {
                    tips = after;
                    None
                }
            };
            match reason {
                None => counting.push(c),
                Some(reason) => {
                    left_out.insert(c.id());
                    aside.push((c, reason.to_owned()));
                }
            }
        }
        // Folding a whole city takes long: what was folded to judge is kept where nothing was left out of it.
        let charter = with_new.filter(|_| aside.is_empty());
        Ok(Split { counting, aside, charter })
    }

    /// Whether all of these count by the charter as it is.
    pub(super) fn all_count(&self, commits: &[Commit]) -> bool {
        commits.iter().map(Commit::header).all(|h| self.charter.counts(&h.device, &h.space))
    }

    /// Puts commits into the quarantine; the store keeps its quota.
    fn set_aside(&self, batch: &mut Batch, scope: &PackScope, from: DeviceId, aside: Vec<(Commit, String)>) {
        for (commit, reason) in aside {
            let pack = pack::encode(scope, &[commit.payload()], &*self.codec);
            batch.quarantine.push(Quarantined { head: commit.head().clone(), pack, peer: from, reason, at: batch.now });
        }
    }

    /// Computes the statuses of all entries of counting commits and adds everything to the batch.
    pub(super) fn judge_commits(
        &self,
        store: &dyn Store,
        batch: &mut Batch,
        commits: &[Commit],
        pack: Vec<u8>,
    ) -> Result<(), StoreError> {
        let mut by_record: BTreeMap<RecordId, Vec<(usize, usize)>> = BTreeMap::new();
        for (ci, c) in commits.iter().enumerate() {
            for (ei, e) in c.payload().entries.iter().enumerate() {
                if e.entry.kind.is_change() && c.header().space.flow != Flow::Charter {
                    by_record.entry(e.entry.record).or_default().push((ci, ei));
                }
            }
        }
        let ids: Vec<RecordId> = by_record.keys().copied().collect();
        let states = store.records(&ids)?;
        // Charter operations are judged by the fold; data entries of unknown kinds never stand.
        let mut statuses: Vec<Vec<Status>> = commits
            .iter()
            .map(|c| {
                let charter = c.header().space.flow == Flow::Charter;
                let status = |kind| {
                    if charter == (kind == EntryKind::Charter) { Status::Accepted } else { Status::Malformed }
                };
                c.payload().entries.iter().map(|e| status(e.entry.kind)).collect()
            })
            .collect();
        for ((id, places), state) in by_record.iter().zip(states) {
            let stored = match state.as_ref().and_then(|s| s.key) {
                Some(key) => store.entries(key)?,
                None => Vec::new(),
            };
            let new: Vec<NewRecordEntry<'_>> = places.iter().map(|(ci, ei)| new_entry(&commits[*ci], *ei)).collect();
            let judged = judge(&self.org, *id, state.as_ref(), &stored, &new);
            for ((ci, ei), status) in places.iter().zip(judged.statuses) {
                statuses[*ci][*ei] = status;
            }
            batch.records.push(judged.state);
            batch.restatus.extend(judged.restatus);
        }
        let commits = commits.iter().zip(statuses).map(|(c, statuses)| NewCommit {
            head: c.head().clone(),
            entries: c
                .payload()
                .entries
                .iter()
                .zip(statuses)
                .map(|(e, status)| NewEntry { record: e.entry.record, kind: e.entry.kind, status })
                .collect(),
        });
        batch.groups.push(NewGroup { commits: commits.collect(), pack });
        Ok(())
    }

    /// Takes out of the quarantine what counts now, until nothing more does: what leaves it may be a
    /// charter's commit or a parent that makes others count.
    pub(super) fn judge_quarantine(&mut self, store: &mut dyn Store, now: Millis) -> Result<Intake, IntakeError> {
        let mut out = Intake::default();
        loop {
            out.touched.extend(self.settle_cuts(store, now)?);
            self.settle_erasures(store, now)?;
            let pass = self.judge_quarantine_once(store, now)?;
            let stored = pass.commits;
            out.add(pass);
            if stored == 0 {
                self.write_anew(store, now)?;
                return Ok(out);
            }
        }
    }

    fn judge_quarantine_once(&mut self, store: &mut dyn Store, now: Millis) -> Result<Intake, IntakeError> {
        let mut out = Intake::default();
        let mut held = store.quarantine()?;
        self.aside = Aside::of(&held);
        // A cut, a rejection or the schema may have come.
        self.anew_due |= self.may_block(&held);
        held.sort_by_key(|q| q.head.header().sequence);
        let mut inside: BTreeMap<(SpaceId, DeviceId), Option<Inside>> = BTreeMap::new();
        for q in held {
            let h = q.head.header().clone();
            let released = self.charter.released(&q.head.id(), &h.space.unit);
            if !released {
                if !self.charter.counts(&h.device, &h.space) {
                    continue;
                }
                let left = match inside.entry((h.space, h.device)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => free.insert(self.inside_of(&*store, &h.space, &h.device, &[])?),
                };
                if self.is_surely_outside(&q.head.id(), &h, left.as_ref()) {
                    continue;
                }
            }
            let parents = store.known(&h.parents)?;
            if parents.iter().any(Option::is_none) {
                continue;
            }
            let id = q.head.id();
            let mut batch = Batch::at(now);
            batch.released.push(id);
            // It may have come again, rightly this time, while it lay aside for want of a parent.
            if store.known(&[id])?.iter().all(Option::is_some) {
                store.write(&batch)?;
                continue;
            }
            let scope = PackScope { org: self.org, space: h.space };
            let payload = pack::decode(&scope, &q.pack, &*self.codec)?.into_iter().next();
            let Some(payload) = payload else { continue };
            let commit = Commit::join(q.head.clone(), payload)?;
            let counting = self.split_counting(store, h.space, vec![commit], BTreeSet::new(), None)?.counting;
            if counting.is_empty() {
                continue;
            }
            // Released and stored in one write: a crash between two would lose it.
            match self.store_commits(store, Some(q.peer), h.space, counting, Some(&q.pack), batch.clone()) {
                Ok(mut taken) => {
                    // What a cut took out of this very store was made here and by no twin.
                    taken.twin_found &= !taken_out(&self.device, &q);
                    out.add(taken);
                }
                Err(e @ IntakeError::LocalStore(_)) => return Err(e),
                // What it says of its parents could not be seen while they were missing; whoever brought
                // this charter did not bring it.
                Err(
                    IntakeError::PeerCommit(_)
                    | IntakeError::PeerPack(_)
                    | IntakeError::PeerScope(_)
                    | IntakeError::PeerGroup
                    | IntakeError::PeerOrder(_)
                    | IntakeError::PeerEarlier(_)
                    | IntakeError::PeerBrief(_)
                    | IntakeError::PeerHole(_),
                ) => store.write(&batch)?,
            }
        }
        Ok(out)
    }
}

/// The commits of these headers and payloads.
pub(super) fn joined(
    heads: Vec<VerifiedHeader>,
    payloads: Vec<(Payload, Rebuilt)>,
) -> Result<Vec<Commit>, IntakeError> {
    if payloads.len() != heads.len() {
        return Err(IntakeError::PeerGroup);
    }
    Ok(heads.into_iter().zip(payloads).map(|(h, p)| Commit::join_read(h, p)).collect::<Result<_, _>>()?)
}

/// Charters hold operations, every other space changes and the holes that erasures leave: an entry of another kind has no record that it
/// could be stored under, and is refused before the store would stumble over it.
pub(super) fn check_kinds(commit: &Commit) -> Result<(), CommitError> {
    let charter = commit.header().space.flow == Flow::Charter;
    let fits = |kind: EntryKind| {
        if charter { kind == EntryKind::Charter } else { kind.is_change() || kind == EntryKind::Hole }
    };
    if commit.payload().entries.iter().all(|e| fits(e.entry.kind)) {
        Ok(())
    } else {
        Err(CommitError::Header("an entry of a kind that has no place in its space"))
    }
}

fn new_entry(commit: &Commit, index: usize) -> NewRecordEntry<'_> {
    let e = &commit.payload().entries[index];
    NewRecordEntry {
        space: commit.header().space,
        collection: &e.entry.collection,
        kind: e.entry.kind,
        hash: e.entry.change(),
        actor: commit.header().actor(),
        birth: e.entry.birth.as_ref(),
        bytes: &e.payload,
        checked: if commit.is_rebuilt(index) { Checked::Rebuilt } else { Checked::Nothing },
    }
}
