//! The store in memory: the same contract over plain maps.
//!
//! It does not: survive the process; a clone stands for a copied disk.
//!
//! Invariants: a batch is checked as a whole before anything of it is applied.

use crate::frontier::{ShortId, SpaceTips};
use crate::id::{ActorId, CommitId, DeviceId, Flow, LogId, OrgId, RecordId, SpaceId, StoreEpoch, UnitId};
use crate::limits;
use crate::log::{Commit, EntryKind, EntryPayload, Payload, VerifiedHeader};
use crate::pack::{self, Codec, PackScope, Stored};
use crate::register::{Register, SignedRegister};
use crate::shelf::Shelf;
use crate::store::{
    AckRow, Batch, CommitKey, CommitRow, EntryAt, Lineage, PendingEntry, PendingKey, Quarantined, RecordEntry,
    RecordKey, RecordState, Status, Store, StoreError, meta_names,
};
use crate::time::Millis;
use crate::wire::frame::Group;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A store in memory, for the tests of every package.
#[derive(Clone)]
pub struct MemStore {
    codec: Arc<dyn Codec + Send + Sync>,
    org: OrgId,
    device: DeviceId,
    epoch: StoreEpoch,
    packs: Vec<StoredPack>,
    commits: Vec<StoredCommit>,
    /// Positions of commits that were withdrawn: no position is given twice.
    withdrawn: BTreeSet<CommitKey>,
    by_id: BTreeMap<CommitId, CommitKey>,
    tips: BTreeMap<SpaceId, SpaceTips>,
    records: Vec<RecordState>,
    by_record: BTreeMap<RecordId, RecordKey>,
    hist: BTreeMap<RecordKey, BTreeMap<EntryAt, Status>>,
    pending: BTreeMap<PendingKey, (PendingEntry, Millis)>,
    pending_last: u64,
    quarantine: Vec<Quarantined>,
    registers: BTreeMap<(UnitId, String, DeviceId), (u64, u64, SignedRegister)>,
    registers_last: u64,
    acks: BTreeMap<(UnitId, UnitId), AckRow>,
    meta: BTreeMap<String, Vec<u8>>,
    /// Files, in a test that is about them.
    pub files: Option<super::MemShelf>,
}

#[derive(Debug, Clone)]
struct StoredPack {
    bytes: Vec<u8>,
    payloads: Arc<Vec<Payload>>,
}

#[derive(Debug, Clone)]
struct StoredCommit {
    head: VerifiedHeader,
    pack: usize,
    place: usize,
    bytes: u32,
    first_seen: Millis,
}

/// Everything of a batch that can be refused, worked out before anything is applied.
struct Checked {
    payloads: Vec<Arc<Vec<Payload>>>,
    registers: Vec<(Register, SignedRegister)>,
}

/// Places of these positions.
fn places_of(keys: &BTreeSet<CommitKey>) -> impl Iterator<Item = usize> {
    keys.iter().filter_map(|key| key.0.checked_sub(1)).map(|i| i as usize)
}

impl std::fmt::Debug for MemStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemStore").field("device", &self.device).field("commits", &self.commits.len()).finish()
    }
}

impl MemStore {
    /// An empty store of this device, whose packs are not compressed.
    #[must_use]
    pub fn new(org: OrgId, device: DeviceId, epoch: StoreEpoch) -> Self {
        Self::with_codec(org, device, epoch, Arc::new(Stored))
    }

    /// An empty store of this device.
    #[must_use]
    pub fn with_codec(org: OrgId, device: DeviceId, epoch: StoreEpoch, codec: Arc<dyn Codec + Send + Sync>) -> Self {
        Self {
            codec,
            org,
            device,
            epoch,
            packs: Vec::new(),
            commits: Vec::new(),
            withdrawn: BTreeSet::new(),
            by_id: BTreeMap::new(),
            tips: BTreeMap::new(),
            records: Vec::new(),
            by_record: BTreeMap::new(),
            hist: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_last: 0,
            quarantine: Vec::new(),
            registers: BTreeMap::new(),
            registers_last: 0,
            acks: BTreeMap::new(),
            meta: BTreeMap::new(),
            files: None,
        }
    }

    /// Replaces the epoch, as restoring a backup does.
    pub fn set_epoch(&mut self, epoch: StoreEpoch) {
        self.epoch = epoch;
    }

    fn commit(&self, key: CommitKey) -> Result<&StoredCommit, StoreError> {
        key.0
            .checked_sub(1)
            .filter(|_| !self.withdrawn.contains(&key))
            .and_then(|i| self.commits.get(i as usize))
            .ok_or_else(|| StoreError::Damaged(format!("there is no commit at position {}", key.0)))
    }

    fn payload(&self, c: &StoredCommit) -> &Payload {
        &self.packs[c.pack].payloads[c.place]
    }

    fn row(&self, i: usize) -> CommitRow {
        let c = &self.commits[i];
        let h = c.head.header();
        CommitRow {
            key: CommitKey(i as u64 + 1),
            id: c.head.id(),
            sequence: h.sequence,
            entries: h.entries,
            changes: self.payload(c).entries.iter().filter(|e| is_change(e.entry.kind)).count() as u32,
            bytes: c.bytes,
            time: h.time,
        }
    }

    fn of_log(&self, log: &LogId) -> Vec<usize> {
        self.held_from(0).filter(|i| self.commits[*i].head.header().log() == *log).collect()
    }

    /// Places of the commits that are held, from one on.
    fn held_from(&self, first: usize) -> impl Iterator<Item = usize> {
        (first..self.commits.len()).filter(|i| !self.withdrawn.contains(&CommitKey(*i as u64 + 1)))
    }

    fn withdraw(&mut self, ids: &[CommitId]) {
        let mut logs = BTreeSet::new();
        for id in ids {
            let Some(key) = self.by_id.remove(id) else { continue };
            self.withdrawn.insert(key);
            logs.insert(self.commits[key.0 as usize - 1].head.header().log());
            for entries in self.hist.values_mut() {
                entries.retain(|at, _| !matches!(at, EntryAt::Sealed(k, _) if *k == key));
            }
        }
        // Of what remains of a pack each counts for its share.
        let packs: BTreeSet<usize> =
            places_of(&self.withdrawn).filter_map(|i| self.commits.get(i).map(|c| c.pack)).collect();
        for pack in packs {
            let left: Vec<usize> = self.held_from(0).filter(|i| self.commits[*i].pack == pack).collect();
            let entries = |i: &usize| u64::from(self.commits[*i].head.header().entries);
            let total: u64 = left.iter().map(entries).sum();
            let shares: Vec<(usize, u64)> = left
                .iter()
                .map(|i| (*i, (self.packs[pack].bytes.len() as u64 * entries(i)).div_ceil(total.max(1))))
                .collect();
            for (i, share) in shares {
                self.commits[i].bytes = share as u32;
            }
        }
        for log in logs {
            let mut tips = SpaceTips::default();
            for i in self.of_log(&log) {
                let h = self.commits[i].head.header();
                tips.advance(h.device, h.incarnation, self.commits[i].head.id(), &h.parents);
            }
            let space = self.tips.entry(log.space).or_default();
            space.replace(log.device, log.incarnation, tips.tips(log.device, log.incarnation));
            if space.is_empty() {
                self.tips.remove(&log.space);
            }
        }
    }

    fn erase(&mut self, batch: &Batch) {
        for (record, key, place) in &batch.holes {
            if let Some(entries) = self.by_record.get(record).and_then(|k| self.hist.get_mut(k)) {
                entries.remove(&EntryAt::Sealed(*key, *place));
            }
            let Ok(c) = self.commit(*key) else { continue };
            let (at, in_pack) = (c.pack, c.place);
            let scope = PackScope { org: self.org, space: c.head.header().space };
            let held = &mut self.packs[at];
            let mut payloads = (*held.payloads).clone();
            payloads[in_pack].punch(|i, e| i == *place && e.record == *record);
            held.bytes = pack::encode(&scope, &payloads.iter().collect::<Vec<_>>(), &*self.codec);
            held.payloads = Arc::new(payloads);
        }
        for record in &batch.forgotten {
            if let Some(key) = self.by_record.remove(record) {
                self.hist.remove(&key);
            }
        }
    }

    fn space_of(&self, at: EntryAt) -> Option<SpaceId> {
        match at {
            EntryAt::Sealed(key, _) => Some(self.commit(key).ok()?.head.header().space),
            EntryAt::Pending(key) => Some(self.pending.get(&key)?.0.space),
        }
    }

    fn check(&self, batch: &Batch) -> Result<Checked, StoreError> {
        let refuse = |why: String| Err(StoreError::Damaged(why));
        let mut named: BTreeSet<RecordId> = BTreeSet::new();
        for r in &batch.records {
            let held = self.by_record.get(&r.id).copied();
            if held != r.key || !named.insert(r.id) {
                return refuse(format!("record {} is stored under another position", r.id));
            }
        }
        let known = |id: &RecordId| named.contains(id) || self.by_record.contains_key(id);
        if let Some(id) = batch.withdrawn.iter().find(|id| !self.by_id.contains_key(id)) {
            return refuse(format!("commit {id} is to be withdrawn and is not held"));
        }
        let mut payloads = Vec::new();
        let mut ids = BTreeSet::new();
        for g in &batch.groups {
            let Some(first) = g.commits.first() else {
                return refuse("a group without commits".into());
            };
            let space = first.head.header().space;
            for c in &g.commits {
                let id = c.head.id();
                if self.by_id.contains_key(&id) || !ids.insert(id) {
                    return refuse(format!("commit {id} is already stored"));
                }
                if c.head.header().space != space {
                    return refuse(format!("commit {id} lies in another space than its group"));
                }
                if c.entries.len() != c.head.header().entries as usize {
                    return refuse(format!("commit {id} comes without all its entries"));
                }
                if let Some(e) = c.entries.iter().find(|e| !unlisted(e.kind) && !known(&e.record)) {
                    return refuse(format!("record {} has no state", e.record));
                }
            }
            let scope = PackScope { org: self.org, space };
            let decoded =
                pack::decode(&scope, &g.pack, &*self.codec).map_err(|e| StoreError::Damaged(e.to_string()))?;
            if decoded.len() != g.commits.len() {
                return refuse("a pack that holds other commits than its group".into());
            }
            payloads.push(Arc::new(decoded));
        }
        for (record, at, _) in &batch.restatus {
            let held = self.by_record.get(record).and_then(|k| self.hist.get(k));
            if !held.is_some_and(|h| h.contains_key(at)) {
                return refuse(format!("record {record} has no entry at {at:?}"));
            }
        }
        if let Some((p, _)) = batch
            .pending
            .iter()
            .find(|(p, _)| p.entry.entry.kind != EntryKind::Charter && !known(&p.entry.entry.record))
        {
            return refuse(format!("record {} has no state", p.entry.entry.record));
        }
        let mut registers = Vec::new();
        for signed in &batch.registers {
            let register = signed.trust().map_err(|e| StoreError::Damaged(e.to_string()))?;
            registers.push((register, signed.clone()));
        }
        Ok(Checked { payloads, registers })
    }

    fn apply_groups(&mut self, batch: &Batch, payloads: Vec<Arc<Vec<Payload>>>) {
        for (g, payloads) in batch.groups.iter().zip(payloads) {
            let total: u64 = g.commits.iter().map(|c| c.entries.len() as u64).sum();
            for (place, c) in g.commits.iter().enumerate() {
                let key = CommitKey(self.commits.len() as u64 + 1);
                let h = c.head.header();
                self.tips.entry(h.space).or_default().advance(h.device, h.incarnation, c.head.id(), &h.parents);
                for (i, e) in c.entries.iter().enumerate() {
                    if let Some(record) = self.by_record.get(&e.record)
                        && !unlisted(e.kind)
                    {
                        let at = EntryAt::Sealed(key, i as u32);
                        self.hist.entry(*record).or_default().insert(at, e.status);
                    }
                }
                let bytes = (g.pack.len() as u64 * c.entries.len() as u64).div_ceil(total.max(1));
                self.by_id.insert(c.head.id(), key);
                self.commits.push(StoredCommit {
                    head: c.head.clone(),
                    pack: self.packs.len(),
                    place,
                    bytes: bytes as u32,
                    first_seen: batch.now,
                });
            }
            self.packs.push(StoredPack { bytes: g.pack.clone(), payloads });
        }
    }

    fn apply_pending(&mut self, batch: &Batch) {
        for (p, status) in &batch.pending {
            self.pending_last += 1;
            let key = PendingKey(self.pending_last);
            let mut p = p.clone();
            p.key = key;
            if let Some(record) = self.by_record.get(&p.entry.entry.record) {
                let entries = self.hist.entry(*record).or_default();
                entries.insert(EntryAt::Pending(key), *status);
            }
            self.pending.insert(key, (p, batch.now));
        }
        for key in &batch.sealed {
            self.pending.remove(key);
            for entries in self.hist.values_mut() {
                entries.remove(&EntryAt::Pending(*key));
            }
        }
    }

    fn apply_quarantine(&mut self, batch: &Batch) {
        self.quarantine.retain(|q| !batch.released.contains(&q.head.id()));
        let mut refused = 0u64;
        for q in &batch.quarantine {
            let same_peer = || self.quarantine.iter().filter(|o| o.peer == q.peer);
            if self.quarantine.iter().any(|o| o.head.id() == q.head.id()) {
                continue;
            }
            let bytes: usize = same_peer().map(quarantined_bytes).sum();
            if batch.withdrawn.contains(&q.head.id()) {
                self.quarantine.push(q.clone());
            } else if same_peer().count() >= limits::QUARANTINE_COMMITS_MAX
                || bytes + quarantined_bytes(q) > limits::QUARANTINE_BYTES_MAX
            {
                refused += 1;
            } else {
                self.quarantine.push(q.clone());
            }
        }
        if refused > 0 {
            let name = meta_names::QUARANTINE_REFUSED;
            let before = self.meta.get(name).map_or(0, |b| meta_names::count(b));
            self.meta.insert(name.to_owned(), (before + refused).to_le_bytes().to_vec());
        }
    }

    fn apply_registers(&mut self, registers: Vec<(Register, SignedRegister)>) {
        for (register, signed) in registers {
            let key = (register.unit, register.name, register.device);
            let held = self.registers.get(&key);
            if held.is_none_or(|(_, _, old)| signed.outdoes(old).unwrap_or(false)) {
                self.registers_last += 1;
                self.registers.insert(key, (self.registers_last, register.counter, signed));
            }
        }
    }
}

/// Bytes that a quarantined commit counts for.
fn quarantined_bytes(q: &Quarantined) -> usize {
    q.head.signed().bytes.len() + q.pack.len()
}

/// The ancestors, within a list of commits, of those in `have`, themselves included.
fn ancestors(commits: &[(CommitId, &[CommitId])], have: &BTreeSet<CommitId>) -> BTreeSet<CommitId> {
    let parents: BTreeMap<_, _> = commits.iter().copied().collect();
    let mut todo: Vec<CommitId> = have.iter().copied().collect();
    let mut out = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if let Some(p) = parents.get(&id)
            && out.insert(id)
        {
            todo.extend_from_slice(p);
        }
    }
    out
}

impl Store for MemStore {
    fn epoch(&self) -> Result<StoreEpoch, StoreError> {
        Ok(self.epoch)
    }

    fn tips(&self) -> Result<BTreeMap<SpaceId, SpaceTips>, StoreError> {
        Ok(self.tips.clone())
    }

    fn known(&self, ids: &[CommitId]) -> Result<Vec<Option<(CommitKey, u64)>>, StoreError> {
        let of = |id| {
            let key = *self.by_id.get(id)?;
            Some((key, self.commits.get(key.0 as usize - 1)?.head.header().sequence))
        };
        Ok(ids.iter().map(of).collect())
    }

    fn head(&self, id: &CommitId) -> Result<Option<VerifiedHeader>, StoreError> {
        self.by_id.get(id).map(|key| Ok(self.commit(*key)?.head.clone())).transpose()
    }

    fn first_seen(&self, ids: &[CommitId]) -> Result<Vec<Option<Millis>>, StoreError> {
        let of = |id| Some(self.commits.get(self.by_id.get(id)?.0 as usize - 1)?.first_seen);
        Ok(ids.iter().map(of).collect())
    }

    fn stored_after(&self, after: CommitKey, limit: usize) -> Result<Vec<(LogId, CommitRow)>, StoreError> {
        let found = self.held_from(after.0 as usize).take(limit);
        Ok(found.map(|i| (self.commits[i].head.header().log(), self.row(i))).collect())
    }

    fn missing(&self, log: &LogId, have: &BTreeSet<CommitId>) -> Result<Vec<CommitRow>, StoreError> {
        let of_log = self.of_log(log);
        let commits: Vec<_> =
            of_log.iter().map(|i| &self.commits[*i].head).map(|h| (h.id(), h.header().parents.as_slice())).collect();
        let held = ancestors(&commits, have);
        Ok(of_log.into_iter().map(|i| self.row(i)).filter(|r| !held.contains(&r.id)).collect())
    }

    fn lineage(&self, space: &SpaceId, device: &DeviceId) -> Result<Vec<Lineage>, StoreError> {
        let of = |i: usize| {
            let head = &self.commits[i].head;
            let h = head.header();
            let key = CommitKey(i as u64 + 1);
            (h.space == *space && h.device == *device).then(|| Lineage {
                key,
                id: head.id(),
                parents: h.parents.clone(),
            })
        };
        Ok(self.held_from(0).filter_map(of).collect())
    }

    fn inventory(&self, log: &LogId) -> Result<Vec<ShortId>, StoreError> {
        let of_log = self.of_log(log).into_iter();
        Ok(of_log.map(|i| self.commits[i].head.id().into()).collect())
    }

    fn missing_from(&self, log: &LogId, inventory: &BTreeSet<ShortId>) -> Result<Vec<CommitRow>, StoreError> {
        let rows = self.of_log(log).into_iter().map(|i| self.row(i));
        Ok(rows.filter(|r| !inventory.contains(&r.id.into())).collect())
    }

    fn entry_at(&self, commit: CommitKey, index: u32) -> Result<Option<EntryPayload>, StoreError> {
        Ok(self.payload(self.commit(commit)?).entries.get(index as usize).cloned())
    }

    fn groups(&self, space: &SpaceId, keys: &[CommitKey]) -> Result<Vec<Group>, StoreError> {
        let mut wanted = Vec::with_capacity(keys.len());
        for key in keys {
            let c = self.commit(*key)?;
            if c.head.header().space != *space {
                return Err(StoreError::Damaged(format!("commit {} lies in another space", c.head.id())));
            }
            wanted.push(c);
        }
        let scope = PackScope { org: self.org, space: *space };
        let mut out: Vec<Group> = Vec::new();
        let mut anew: Vec<&StoredCommit> = Vec::new();
        let flush = |anew: &mut Vec<&StoredCommit>, out: &mut Vec<Group>| {
            if !anew.is_empty() {
                let payloads: Vec<_> = anew.iter().map(|c| self.payload(c)).collect();
                out.push(Group {
                    headers: anew.iter().map(|c| c.head.signed().clone()).collect(),
                    pack: pack::encode(&scope, &payloads, &*self.codec),
                });
                anew.clear();
            }
        };
        let mut at = 0;
        while let Some(c) = wanted.get(at) {
            let stored = &self.packs[c.pack];
            let whole = wanted
                .get(at..at + stored.payloads.len())
                .filter(|run| run.iter().enumerate().all(|(i, r)| r.pack == c.pack && r.place == i));
            if let Some(run) = whole {
                flush(&mut anew, &mut out);
                out.push(Group {
                    headers: run.iter().map(|c| c.head.signed().clone()).collect(),
                    pack: stored.bytes.clone(),
                });
                at += run.len();
            } else {
                let size = |c: &StoredCommit| (c.head.header().entries as usize, inflated(self.payload(c)));
                let (entries, bytes) = anew.iter().map(|c| size(c)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
                let (e, b) = size(c);
                if entries + e > limits::REPACK_ENTRIES_MAX || bytes + b > limits::REPACK_BYTES_MAX {
                    flush(&mut anew, &mut out);
                }
                anew.push(c);
                at += 1;
            }
        }
        flush(&mut anew, &mut out);
        Ok(out)
    }

    fn charter_commits(&self) -> Result<Vec<Commit>, StoreError> {
        self.held_from(0)
            .map(|i| &self.commits[i])
            .filter(|c| c.head.header().space.flow == Flow::Charter)
            .map(|c| {
                Commit::join(c.head.clone(), self.payload(c).clone()).map_err(|e| StoreError::Damaged(e.to_string()))
            })
            .collect()
    }

    fn records(&self, ids: &[RecordId]) -> Result<Vec<Option<RecordState>>, StoreError> {
        let state = |id| self.by_record.get(id).map(|k| self.records[k.0 as usize - 1].clone());
        Ok(ids.iter().map(state).collect())
    }

    fn entries(&self, record: RecordKey) -> Result<Vec<RecordEntry>, StoreError> {
        let mut out = Vec::new();
        // Sealed entries come before pending ones in the order of `EntryAt`.
        for (at, status) in self.hist.get(&record).into_iter().flatten() {
            let (payload, space, actor, author, first_seen): (&EntryPayload, _, ActorId, _, _) = match at {
                EntryAt::Sealed(key, i) => {
                    let c = self.commit(*key)?;
                    let h = c.head.header();
                    let e = &self.payload(c).entries[*i as usize];
                    (e, h.space, h.actor(), h.device, c.first_seen)
                }
                EntryAt::Pending(key) => {
                    let (p, seen) = &self.pending[key];
                    let actor = ActorId::of(&self.device, &p.nonce);
                    (&p.entry, p.space, actor, self.device, *seen)
                }
            };
            out.push(RecordEntry {
                at: *at,
                space,
                collection: payload.entry.collection.clone(),
                kind: payload.entry.kind,
                status: *status,
                hash: payload.entry.change(),
                actor,
                author,
                time: payload.entry.time,
                first_seen,
                birth: payload.entry.birth.clone(),
                bytes: payload.payload.clone(),
            });
        }
        Ok(out)
    }

    fn pending(&self) -> Result<Vec<PendingEntry>, StoreError> {
        Ok(self.pending.values().map(|(p, _)| p.clone()).collect())
    }

    fn pending_of(&self, space: &SpaceId, after: PendingKey, limit: usize) -> Result<Vec<PendingEntry>, StoreError> {
        let later = self.pending.values().map(|(p, _)| p).filter(|p| p.space == *space && p.key > after);
        Ok(later.take(limit).cloned().collect())
    }

    fn quarantine(&self) -> Result<Vec<Quarantined>, StoreError> {
        Ok(self.quarantine.clone())
    }

    fn registers(&self, after: u64) -> Result<Vec<(u64, SignedRegister)>, StoreError> {
        let mut out: Vec<_> = self
            .registers
            .values()
            .filter(|(position, ..)| *position > after)
            .map(|(position, _, signed)| (*position, signed.clone()))
            .collect();
        out.sort_by_key(|(position, _)| *position);
        Ok(out)
    }

    fn acks(&self, leaf: Option<UnitId>) -> Result<Vec<AckRow>, StoreError> {
        let rows = self.acks.values();
        Ok(rows.filter(|a| leaf.is_none_or(|u| a.leaf.unit == u)).cloned().collect())
    }

    fn last_commit(&self) -> Result<CommitKey, StoreError> {
        Ok(CommitKey(self.commits.len() as u64))
    }

    fn irregular(&self, units: &BTreeSet<UnitId>) -> Result<BTreeMap<Status, u64>, StoreError> {
        let mut out = BTreeMap::new();
        for (at, status) in self.hist.values().flatten() {
            let counts = self.space_of(*at).is_some_and(|s| s.flow == Flow::Up && units.contains(&s.unit));
            if counts {
                *out.entry(*status).or_insert(0) += 1;
            }
        }
        Ok(out)
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(name).cloned())
    }

    fn shelf(&self) -> Option<&dyn Shelf> {
        self.files.as_ref().map(|files| files as &dyn Shelf)
    }

    fn shelf_mut(&mut self) -> Option<&mut dyn Shelf> {
        self.files.as_mut().map(|files| files as &mut dyn Shelf)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let checked = self.check(batch)?;
        for r in &batch.records {
            let mut state = r.clone();
            let key = r.key.unwrap_or(RecordKey(self.records.len() as u64 + 1));
            state.key = Some(key);
            if r.key.is_none() {
                self.by_record.insert(r.id, key);
                self.records.push(state);
            } else {
                self.records[key.0 as usize - 1] = state;
            }
        }
        for (record, at, status) in &batch.restatus {
            let entries = self.by_record.get(record).and_then(|k| self.hist.get_mut(k));
            if let Some(entries) = entries {
                entries.insert(*at, *status);
            }
        }
        self.erase(batch);
        self.withdraw(&batch.withdrawn);
        self.apply_groups(batch, checked.payloads);
        self.apply_pending(batch);
        self.apply_quarantine(batch);
        self.apply_registers(checked.registers);
        self.registers.retain(|(unit, name, _), _| !batch.unsaid.iter().any(|(u, n)| u == unit && n == name));
        for ack in &batch.acks {
            self.acks.insert((ack.leaf.unit, ack.relay_unit), ack.clone());
        }
        for (name, value) in &batch.meta {
            match value {
                Some(v) => self.meta.insert(name.clone(), v.clone()),
                None => self.meta.remove(name),
            };
        }
        Ok(())
    }
}

/// Whether entries of a kind have no record that lists them.
fn unlisted(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Charter | EntryKind::Hole)
}

/// Whether an entry counts as a change of its own.
fn is_change(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Change | EntryKind::Identity)
}

/// Bytes that a payload takes inflated, about.
fn inflated(p: &Payload) -> usize {
    p.entries.iter().map(|e| e.payload.len() + 32).sum()
}
