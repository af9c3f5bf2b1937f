//! Cuts in what is held: which commits of a cut device still count, what leaves and what is listed.
//!
//! It does not: decide which cuts stand (the charter's fold does), or lose anything: what leaves what
//! counts lies in the quarantine from then on, whatever its quota.
//!
//! Invariants: the commits that count are a function of the charter and of all that is held, the
//! quarantine included; logs of devices that no cut names are never walked. A commit that a cut names and
//! that is not held shows nothing: what it continues is outside until it comes.

use super::inside::Gone;
use super::intake::OUTSIDE;
use super::{Engine, IntakeError, meta};
use crate::charter::{Cut, CutKind, CutLog, Op, Roles};
use crate::entropy::Entropy;
use crate::id::{ChangeHash, CommitId, DeviceId, Flow, RecordId, SpaceId, UnitId};
use crate::limits;
use crate::log::Commit;
use crate::pack::{self, PackScope};
use crate::store::{Batch, CommitKey, EntryAt, Quarantined, RecordEntry, Status, Store, StoreError};
use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// What a cut is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutRequest {
    /// The device.
    pub device: DeviceId,
    /// Why.
    pub kind: CutKind,
    /// Why, in words for people.
    pub reason: String,
    /// What remains of the roles, for [`CutKind::Narrow`].
    pub remaining: Roles,
}

/// One commit of the quarantine, for a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid {
    /// The commit as it lies there.
    pub held: Quarantined,
    /// Commits before it in its log that lie in the quarantine too, oldest first: it can only be released
    /// with them.
    pub needs: Vec<CommitId>,
    /// Entries of others that build on it: they wait, and stand when it is released.
    pub blocks: Vec<Blocked>,
    /// Whether it was rejected.
    pub rejected: bool,
}

/// An entry that waits for one in the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blocked {
    /// Its record.
    pub record: RecordId,
    /// Its change.
    pub change: ChangeHash,
    /// Its author.
    pub author: DeviceId,
    /// Whether its author wrote it anew on what stands.
    pub anew: bool,
}

impl Engine {
    /// The logs of a device in all that is held, each with its tips: what a cut names.
    #[must_use]
    pub fn cut_logs(&self, device: &DeviceId) -> Vec<CutLog> {
        let spaces = self.holdings.spaces().filter(|(space, _)| space.flow != Flow::Local);
        let logs = spaces.flat_map(|(space, tips)| tips.logs().map(move |(log, tips)| (*space, *log, tips)));
        logs.filter(|(_, (d, _), tips)| d == device && !tips.is_empty())
            .map(|(space, (_, incarnation), tips)| CutLog { space, incarnation, tips: tips.iter().copied().collect() })
            .collect()
    }

    /// Writes a cut with the tips that are held here into the charters of these units: one says it all, the
    /// others are there so that the relays of each learn it.
    ///
    /// # Errors
    /// [`StoreError`], also when the device has more logs or tips than one cut may name.
    pub fn write_cut(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        units: &BTreeSet<UnitId>,
        request: &CutRequest,
        now: Millis,
    ) -> Result<Vec<CommitId>, StoreError> {
        let op = self.cut_op(store, request)?;
        let mut out = Vec::new();
        for unit in units {
            out.extend(self.write_charter(store, rng, *unit, std::slice::from_ref(&op), now)?);
        }
        Ok(out)
    }

    /// A cut with the tips that are held here.
    pub(super) fn cut_op(&mut self, store: &mut dyn Store, request: &CutRequest) -> Result<Op, StoreError> {
        self.catch_up(store)?;
        let logs = self.cut_logs(&request.device);
        let tips: usize = logs.iter().map(|l| l.tips.len()).sum();
        if logs.len() > limits::CUT_LOGS_MAX || tips > limits::CUT_TIPS_MAX {
            return Err(StoreError::Io(format!(
                "the device has {} logs with {tips} tips, more than CUT_LOGS_MAX or CUT_TIPS_MAX: revoke it from below",
                logs.len()
            )));
        }
        let CutRequest { device, kind, reason, remaining } = request.clone();
        Ok(Op::Cut(Cut { key: device, kind, reason, logs, remaining }))
    }

    /// Whether a cut names a commit as a tip.
    pub(super) fn is_named(&self, commit: &Commit) -> bool {
        let h = commit.header();
        let mut cuts = self.charter.cuts_of(&h.device, &h.space);
        cuts.any(|cut| cut.tips.get(&h.space).is_some_and(|tips| tips.contains(&commit.id())))
    }

    /// Takes out of what counts the commits that a changed charter leaves outside, into the quarantine; the
    /// units whose `up` spaces changed.
    pub(super) fn settle_cuts(&mut self, store: &mut dyn Store, now: Millis) -> Result<BTreeSet<UnitId>, StoreError> {
        let mut touched = BTreeSet::new();
        if !self.cuts_changed {
            return Ok(touched);
        }
        let mut gone: Vec<(SpaceId, Gone)> = Vec::new();
        for (space, tips) in self.holdings.spaces().filter(|(space, _)| space.flow != Flow::Charter) {
            let devices: BTreeSet<DeviceId> = tips.logs().map(|((device, _), _)| *device).collect();
            let mut all = Gone::new();
            for device in devices {
                all.extend(self.no_longer_counting(store, space, &device)?);
            }
            if !all.is_empty() {
                gone.push((*space, all));
            }
        }
        let changed = !gone.is_empty();
        for (space, gone) in gone {
            if space.flow == Flow::Up {
                touched.insert(space.unit);
            }
            let reasons: BTreeMap<CommitId, &'static str> = gone.values().copied().collect();
            let keys: Vec<CommitKey> = gone.into_keys().collect();
            for keys in keys.chunks(limits::COMMIT_ENTRIES_MAX) {
                self.withdraw(store, space, keys, &reasons, now)?;
            }
        }
        if changed {
            self.holdings = Self::held(store)?;
            self.holdings.tree_changed();
            self.acks.holdings_changed();
            // Whoever follows the news compares anew: what it was told of may be gone.
            self.news_dropped += self.news.len() as u64 + 1;
            self.news.clear();
        }
        self.cuts_changed = false;
        self.poorer.clear();
        Ok(touched)
    }

    /// Moves commits of one space from what counts into the quarantine, and judges their records anew.
    fn withdraw(
        &mut self,
        store: &mut dyn Store,
        space: SpaceId,
        keys: &[CommitKey],
        reasons: &BTreeMap<CommitId, &'static str>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let bad = |what: String| StoreError::Damaged(format!("a commit that a cut leaves outside: {what}"));
        let scope = PackScope { org: self.org, space };
        let mut batch = Batch::at(now);
        let mut records = BTreeSet::new();
        let mut own = false;
        for group in store.groups(&space, keys)? {
            let payloads = pack::decode(&scope, &group.pack, &*self.codec).map_err(|e| bad(e.to_string()))?;
            for (head, payload) in group.headers.iter().zip(payloads) {
                let head = head.verify(&self.org).map_err(|e| bad(e.to_string()))?;
                records.extend(payload.entries.iter().map(|e| e.entry.record));
                own |= head.header().actor() == self.actor();
                let pack = pack::encode(&scope, &[&payload], &*self.codec);
                self.aside.add(&head);
                batch.withdrawn.push(head.id());
                let reason = reasons.get(&head.id()).copied().unwrap_or(OUTSIDE).to_owned();
                let peer = self.device;
                batch.quarantine.push(Quarantined { head, pack, peer, reason, at: now });
            }
        }
        let keys: BTreeSet<CommitKey> = keys.iter().copied().collect();
        let records: Vec<RecordId> = records.into_iter().collect();
        for (id, state) in records.iter().zip(store.records(&records)?) {
            let Some(state) = state else { continue };
            let Some(key) = state.key else { continue };
            let mut rest = store.entries(key)?;
            rest.retain(|e| !matches!(e.at, EntryAt::Sealed(at, _) if keys.contains(&at)));
            let judged = super::judge(&self.org, *id, Some(&state), &rest, &[]);
            batch.records.push(judged.state);
            own |= rest.iter().any(|e| e.actor == self.actor() && judged.restatus.iter().any(|(_, at, _)| *at == e.at));
            batch.restatus.extend(judged.restatus);
        }
        if own {
            batch.meta.insert(meta::NONCE.into(), Some(super::anew::nonce_after(&self.nonce).0.to_vec()));
        }
        store.write(&batch)?;
        self.anew_due = true;
        self.reload_nonce(store)
    }

    /// What lies in the quarantine, oldest first, with what belongs to it.
    ///
    /// # Errors
    /// [`StoreError`], also for a commit there that cannot be read.
    pub fn laid(&self, store: &dyn Store) -> Result<Vec<Laid>, StoreError> {
        let mut all = store.quarantine()?;
        all.sort_by_key(|q| (q.head.header().time, q.head.header().sequence, q.head.id()));
        let parents: BTreeMap<CommitId, Vec<CommitId>> =
            all.iter().map(|q| (q.head.id(), q.head.header().parents.clone())).collect();
        let mut out = Vec::with_capacity(all.len());
        for held in all {
            let (id, space) = (held.head.id(), held.head.header().space);
            let rejected = self.charter.rejected(&id, &space.unit) && !self.charter.released(&id, &space.unit);
            let blocks = self.blocked_by(store, &held)?;
            out.push(Laid { needs: before(&parents, id), blocks, rejected, held });
        }
        Ok(out)
    }

    /// The commit of the quarantine, opened.
    ///
    /// # Errors
    /// [`IntakeError`] where it cannot be read.
    pub fn open_laid(&self, held: &Quarantined) -> Result<Commit, IntakeError> {
        let scope = PackScope { org: self.org, space: held.head.header().space };
        let payload = pack::decode(&scope, &held.pack, &*self.codec)?.into_iter().next();
        Ok(Commit::join(held.head.clone(), payload.ok_or(IntakeError::PeerGroup)?)?)
    }

    /// Entries of what counts that wait for a change in a commit of the quarantine, directly or by way of
    /// another that waits.
    fn blocked_by(&self, store: &dyn Store, held: &Quarantined) -> Result<Vec<Blocked>, StoreError> {
        let commit = self.open_laid(held).map_err(|e| StoreError::Damaged(e.to_string()))?;
        let mut by_record: BTreeMap<RecordId, BTreeSet<ChangeHash>> = BTreeMap::new();
        for e in commit.payload().entries.iter().filter(|e| e.entry.kind.is_change()) {
            by_record.entry(e.entry.record).or_default().insert(e.entry.change());
        }
        let ids: Vec<RecordId> = by_record.keys().copied().collect();
        let mut out = Vec::new();
        for ((record, mut missing), state) in by_record.into_iter().zip(store.records(&ids)?) {
            let Some(key) = state.filter(|s| s.irregular > 0).and_then(|s| s.key) else { continue };
            let mut rest: Vec<RecordEntry> = store.entries(key)?;
            let said: BTreeSet<_> = rest.iter().map(|e| (e.actor, e.time)).collect();
            let anew = |e: &RecordEntry| said.contains(&(super::anew::actor_anew(&e.author, &e.actor), e.time));
            rest.retain(|e| matches!(e.status, Status::Pending | Status::Blocked));
            loop {
                let (hit, miss): (Vec<_>, Vec<_>) = rest.into_iter().partition(|e| builds_on(e, &missing));
                if hit.is_empty() {
                    break;
                }
                for e in hit {
                    missing.insert(e.hash);
                    out.push(Blocked { record, change: e.hash, author: e.author, anew: anew(&e) });
                }
                rest = miss;
            }
        }
        out.sort_unstable();
        Ok(out)
    }
}

fn builds_on(e: &RecordEntry, on: &BTreeSet<ChangeHash>) -> bool {
    crate::change::Parsed::read(&e.bytes).is_ok_and(|p| p.deps.iter().any(|d| on.contains(d)))
}

/// What lies in the quarantine before a commit, oldest first.
fn before(parents: &BTreeMap<CommitId, Vec<CommitId>>, id: CommitId) -> Vec<CommitId> {
    let mut out = Vec::new();
    let mut todo: Vec<CommitId> = parents.get(&id).into_iter().flatten().copied().collect();
    while let Some(at) = todo.pop() {
        if let Some(above) = parents.get(&at)
            && !out.contains(&at)
        {
            out.push(at);
            todo.extend(above);
        }
    }
    out.reverse();
    out
}
