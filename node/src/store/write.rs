//! Storing a batch.
//!
//! It does not: open the transaction (`SqliteStore::group`), judge what it stores, or decode packs.
//!
//! Invariants: runs inside a transaction and leaves it to be undone on any error; the tips of a log
//! are what its commits leave, and `counts` is what `hist` adds up to.

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::lazy;
use super::merge::share;
use super::rows::{self, int};
use rusqlite::OptionalExtension as _;
use sampan_core::hash::tagged16;
use sampan_core::id::{CommitId, LogId, RecordId, SpaceId, StoreEpoch};
use sampan_core::limits;
use sampan_core::log::EntryKind;
use sampan_core::register::SignedRegister;
use sampan_core::store::{
    AckRow, Batch, EntryAt, NewCommit, NewGroup, PendingEntry, PendingKey, Quarantined, Status, meta_names,
};
use sampan_core::time::Millis;
use sampan_core::wire;
use std::collections::{BTreeMap, BTreeSet};

/// What a batch touches again and again, looked up once.
#[derive(Default)]
struct Touched {
    spaces: BTreeMap<SpaceId, i64>,
    logs: BTreeMap<LogId, TouchedLog>,
    collections: BTreeMap<String, i64>,
    records: BTreeMap<RecordId, i64>,
    counts: BTreeMap<(i64, Status), i64>,
    /// Records that new commits of this batch name: the projector meets them there.
    committed: BTreeSet<i64>,
    dirty: BTreeSet<i64>,
}

struct TouchedLog {
    id: i64,
    fresh: bool,
    forked: bool,
    tips: BTreeMap<CommitId, u64>,
}

/// Whether an entry counts as a change of its own.
pub(super) fn is_change(kind: EntryKind) -> bool {
    match kind {
        EntryKind::Change | EntryKind::Identity => true,
        EntryKind::Birth | EntryKind::Charter | EntryKind::Erase | EntryKind::Hole => false,
    }
}

/// Whether entries of a kind have no record that lists them.
pub(super) fn is_unlisted(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Charter | EntryKind::Hole)
}

/// The check value of a stored pack: a flipped bit shows even where zstd would not mind it.
pub(super) fn pack_hash(bytes: &[u8]) -> [u8; 16] {
    tagged16("stored-pack", &[bytes])
}

/// The greatest position of a register before some were removed.
pub(super) const META_LAST_REGISTER: &str = "last_register";
/// The small fact that sums up all others.
pub(super) const META_SUM: &str = "sum_of_facts";
/// The small fact that the store's epoch, which lies elsewhere, is compared with.
pub(super) const META_EPOCH: &str = "hash_of_epoch";

/// What a small fact adds to the sum.
pub(super) fn meta_hash(name: &str, value: &[u8]) -> [u8; 16] {
    tagged16("stored-fact", &[&(name.len() as u64).to_be_bytes(), name.as_bytes(), value])
}

/// Puts a hash into a sum, or takes it out.
pub(super) fn toggle(sum: &mut [u8; 16], hash: &[u8; 16]) {
    sum.iter_mut().zip(hash).for_each(|(s, h)| *s ^= h);
}

/// What is kept beside an epoch.
pub(super) fn epoch_hash(epoch: &StoreEpoch) -> [u8; 16] {
    tagged16("stored-epoch", &[&epoch.0])
}

impl SqliteStore {
    /// The sum of all small facts, computed anew.
    pub(super) fn meta_sum(&self) -> Result<[u8; 16], Fault> {
        let mut sum = [0; 16];
        self.all("SELECT name, value FROM meta WHERE name <> ?1", [META_SUM], |r| {
            let (name, value): (String, Vec<u8>) = (r.get(0)?, r.get(1)?);
            toggle(&mut sum, &meta_hash(&name, &value));
            Ok(())
        })?;
        Ok(sum)
    }

    pub(super) fn write_batch(&mut self, batch: &Batch) -> Result<(), Fault> {
        lazy::note(batch);
        self.handed.borrow_mut().begin();
        let mut t = Touched::default();
        let gone = if batch.withdrawn.is_empty() { BTreeSet::new() } else { self.withdraw(&batch.withdrawn)? };
        t.dirty.extend(gone);
        self.erase(batch)?;
        self.write_records(batch, &mut t)?;
        self.write_restatus(batch, &mut t)?;
        for group in &batch.groups {
            self.write_group(group, batch.now, &mut t)?;
        }
        self.write_tips(&t)?;
        for (pending, status) in &batch.pending {
            self.write_pending(pending, *status, batch.now, &mut t)?;
        }
        for key in &batch.sealed {
            self.remove_pending(*key, &mut t)?;
        }
        // The projector meets a record among the new commits; what changed without one is queued.
        for record in &batch.records {
            let key = self.record_place(&record.id, &mut t)?;
            if !t.committed.contains(&key) {
                t.dirty.insert(key);
            }
        }
        self.write_counts(&t)?;
        self.forget(&batch.forgotten)?;
        self.write_quarantine(batch)?;
        for register in &batch.registers {
            self.write_register(register)?;
        }
        self.unsay(&batch.unsaid)?;
        self.write_acks(&batch.acks)?;
        self.write_meta(batch)?;
        let mut mark = self.conn.prepare_cached("INSERT OR IGNORE INTO dirty VALUES (?1)")?;
        for record in &t.dirty {
            mark.execute([record])?;
        }
        Ok(())
    }

    /// The position of a row by its key, made when absent.
    fn place_of(&self, find: &str, add: &str, key: impl rusqlite::ToSql) -> Result<i64, Fault> {
        let found = self.conn.prepare_cached(find)?.query_row([&key], |r| r.get(0));
        if let Some(id) = found.optional()? {
            return Ok(id);
        }
        Ok(self.conn.prepare_cached(add)?.insert([&key])?)
    }

    fn space_place(&self, space: &SpaceId, t: &mut Touched) -> Result<i64, Fault> {
        if let Some(id) = t.spaces.get(space) {
            return Ok(*id);
        }
        let id =
            self.place_of("SELECT id FROM spaces WHERE key = ?1", "INSERT INTO spaces (key) VALUES (?1)", space.key())?;
        t.spaces.insert(*space, id);
        Ok(id)
    }

    fn collection_place(&self, name: &str, t: &mut Touched) -> Result<i64, Fault> {
        if let Some(id) = t.collections.get(name) {
            return Ok(*id);
        }
        let id = self.place_of(
            "SELECT id FROM collections WHERE name = ?1",
            "INSERT INTO collections (name) VALUES (?1)",
            name,
        )?;
        t.collections.insert(name.to_owned(), id);
        Ok(id)
    }

    fn record_place(&self, record: &RecordId, t: &mut Touched) -> Result<i64, Fault> {
        if let Some(key) = t.records.get(record) {
            return Ok(*key);
        }
        let sql = "SELECT key FROM records WHERE id = ?1";
        let found = self.one(sql, [record.0], |r| Ok(r.get(0)?))?;
        let key = found.ok_or_else(|| damaged(format!("record {record} has no state")))?;
        t.records.insert(*record, key);
        Ok(key)
    }

    fn write_records(&self, batch: &Batch, t: &mut Touched) -> Result<(), Fault> {
        let mut add = self.conn.prepare_cached(
            "INSERT INTO records (id, collection, space, max_op, entries, irregular, damaged,
             heads, sequences) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let mut change = self.conn.prepare_cached(
            "UPDATE records SET max_op = ?3, entries = ?4, irregular = ?5, damaged = ?6,
             heads = ?7, sequences = ?8, collection = ?9, space = ?10 WHERE key = ?1 AND id = ?2",
        )?;
        for r in &batch.records {
            let heads = rows::heads_blob(&r.heads);
            let sequences = rows::sequences_blob(&r.sequences);
            // Both may change: what came before the creation could only guess them.
            let collection = self.collection_place(&r.collection, t)?;
            let space = self.space_place(&r.space, t)?;
            let key = if let Some(key) = r.key {
                let changed = change.execute((
                    int(key.0),
                    r.id.0,
                    int(r.max_op),
                    r.entries,
                    r.irregular,
                    r.damaged,
                    heads,
                    sequences,
                    collection,
                    space,
                ))?;
                if changed != 1 {
                    let why = format!("record {} is stored under another position", r.id);
                    return Err(damaged(why));
                }
                int(key.0)
            } else {
                add.insert((
                    r.id.0,
                    collection,
                    space,
                    int(r.max_op),
                    r.entries,
                    r.irregular,
                    r.damaged,
                    heads,
                    sequences,
                ))?
            };
            if t.records.insert(r.id, key).is_some() {
                return Err(damaged(format!("record {} is named twice in one batch", r.id)));
            }
        }
        Ok(())
    }

    /// The space that an entry counts in.
    fn space_of(&self, at: EntryAt) -> Result<Option<i64>, Fault> {
        match at {
            EntryAt::Sealed(key, _) => self.one(
                "SELECT l.space FROM commits c JOIN logs l ON l.id = c.log WHERE c.key = ?1",
                [int(key.0)],
                |r| Ok(r.get(0)?),
            ),
            EntryAt::Pending(key) => {
                self.one("SELECT space FROM pending WHERE key = ?1", [int(key.0)], |r| Ok(r.get(0)?))
            }
        }
    }

    fn write_restatus(&self, batch: &Batch, t: &mut Touched) -> Result<(), Fault> {
        let old = "SELECT status FROM hist WHERE record = ?1 AND at = ?2 AND place = ?3";
        let mut change =
            self.conn.prepare_cached("UPDATE hist SET status = ?4 WHERE record = ?1 AND at = ?2 AND place = ?3")?;
        for (record, entry, status) in &batch.restatus {
            let key = self.record_place(record, t)?;
            let (at, place) = rows::at_columns(*entry);
            let before = self.one(old, (key, at, place), |r| rows::status(r, 0))?;
            let (Some(before), Some(space)) = (before, self.space_of(*entry)?) else {
                return Err(damaged(format!("record {record} has no entry at {entry:?}")));
            };
            change.execute((key, at, place, status.number()))?;
            *t.counts.entry((space, before)).or_default() -= 1;
            *t.counts.entry((space, *status)).or_default() += 1;
            t.dirty.insert(key);
        }
        Ok(())
    }

    fn log_place(&self, log: &LogId, t: &mut Touched) -> Result<(), Fault> {
        if t.logs.contains_key(log) {
            return Ok(());
        }
        let touched = if let Some(held) = self.log_row(log)? {
            let sql = "SELECT id, sequence FROM tips WHERE log = ?1";
            let tips = self.all(sql, [held.id], |r| {
                let id = rows::id(r, 0, "a commit id", CommitId::from_slice)?;
                Ok((id, rows::number(r, 1)?))
            })?;
            // All that it had may have been withdrawn: then it begins anew.
            let fresh = tips.is_empty();
            TouchedLog { id: held.id, fresh, forked: held.forked, tips: tips.into_iter().collect() }
        } else {
            let space = self.space_place(&log.space, t)?;
            let sql = "INSERT INTO logs (space, device, incarnation, forked) VALUES (?1, ?2, ?3, 0)";
            let id = self.conn.prepare_cached(sql)?.insert((space, log.device.0, log.incarnation.0))?;
            TouchedLog { id, fresh: true, forked: false, tips: BTreeMap::new() }
        };
        t.logs.insert(*log, touched);
        Ok(())
    }

    fn write_group(&self, group: &NewGroup, now: Millis, t: &mut Touched) -> Result<(), Fault> {
        let Some(first) = group.commits.first() else {
            return Err(damaged("a group without commits"));
        };
        let space = first.head.header().space;
        let space_place = self.space_place(&space, t)?;
        let pack = self.insert_pack(space_place, group.commits.len() as i64, &group.pack)?;
        let total: u64 = group.commits.iter().map(|c| c.entries.len() as u64).sum();
        for (place, commit) in group.commits.iter().enumerate() {
            if commit.head.header().space != space {
                let id = commit.head.id();
                return Err(damaged(format!("commit {id} lies in another space than its group")));
            }
            let bytes = share(group.pack.len(), commit.entries.len() as u64, total);
            let key = self.write_commit(commit, (pack, place as i64), bytes, now, t)?;
            self.write_hist(commit, key, space_place, t)?;
        }
        Ok(())
    }

    fn write_commit(
        &self,
        commit: &NewCommit,
        (pack, place): (i64, i64),
        bytes: u64,
        now: Millis,
        t: &mut Touched,
    ) -> Result<i64, Fault> {
        let (id, h) = (commit.head.id(), commit.head.header());
        if commit.entries.len() != h.entries as usize {
            return Err(damaged(format!("commit {id} comes without all its entries")));
        }
        let log_id = h.log();
        self.log_place(&log_id, t)?;
        let log = t.logs.get_mut(&log_id).ok_or_else(|| damaged("a log was lost"))?;
        // Straight: it follows the only tip, or is the first. A range of sequences is then a range
        // of ancestors.
        let follows = log.tips.len() == 1 && log.tips.iter().all(|(tip, s)| h.parents.contains(tip) && h.sequence > *s);
        let straight = (follows || log.fresh) && i64::try_from(h.sequence).is_ok();
        log.forked |= !straight;
        log.fresh = false;
        for parent in &h.parents {
            log.tips.remove(parent);
        }
        log.tips.insert(id, h.sequence);
        let changes = commit.entries.iter().filter(|e| is_change(e.kind)).count() as i64;
        let signed = commit.head.signed();
        let mut add = self.conn.prepare_cached(
            "INSERT INTO commits (id, log, sequence, pack, place, entries, changes,
             bytes, first_seen, time, header, signature, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, row_sum('commits', ?1, ?9))",
        )?;
        Ok(add.insert((
            id.0,
            log.id,
            int(h.sequence),
            pack,
            place,
            h.entries,
            changes,
            int(bytes),
            int(now.0),
            int(h.time.0),
            &signed.bytes,
            signed.signature,
        ))?)
    }

    fn write_hist(&self, commit: &NewCommit, key: i64, space: i64, t: &mut Touched) -> Result<(), Fault> {
        let mut add = self
            .conn
            .prepare_cached("INSERT INTO hist (record, at, place, kind, status) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut places = Vec::with_capacity(commit.entries.len());
        for (place, e) in commit.entries.iter().enumerate() {
            // Operations of a charter and holes have no record state.
            if is_unlisted(e.kind) {
                places.push(None);
                continue;
            }
            let record = self.record_place(&e.record, t)?;
            places.push(Some(record));
            add.execute((record, key, place as i64, e.kind as u8, e.status.number()))?;
            *t.counts.entry((space, e.status)).or_default() += 1;
            t.committed.insert(record);
        }
        self.handed.borrow_mut().wrote(commit.head.id(), key, places);
        Ok(())
    }

    /// Writes the tips of the logs that the batch touched.
    fn write_tips(&self, t: &Touched) -> Result<(), Fault> {
        let mut clear = self.conn.prepare_cached("DELETE FROM tips WHERE log = ?1")?;
        let mut add = self.conn.prepare_cached("INSERT INTO tips (log, id, sequence) VALUES (?1, ?2, ?3)")?;
        let mut fork = self.conn.prepare_cached("UPDATE logs SET forked = 1 WHERE id = ?1")?;
        for log in t.logs.values() {
            clear.execute([log.id])?;
            for (tip, sequence) in &log.tips {
                add.execute((log.id, tip.0, int(*sequence)))?;
            }
            if log.forked {
                fork.execute([log.id])?;
            }
        }
        Ok(())
    }

    fn write_pending(&self, p: &PendingEntry, status: Status, now: Millis, t: &mut Touched) -> Result<(), Fault> {
        let (space, e) = (self.space_place(&p.space, t)?, &p.entry.entry);
        let birth = e.birth.as_ref().map(wire::encode);
        let key = self
            .conn
            .prepare_cached(
                "INSERT INTO pending (space, nonce, kind, record, collection, hash, time, birth,
                 first_seen, payload, sum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, row_sum('pending', ?4, ?6, ?9))",
            )?
            .insert((
                space,
                p.nonce.0,
                e.kind as u8,
                e.record.0,
                &e.collection,
                e.payload_hash,
                int(e.time.0),
                birth,
                int(now.0),
                &p.entry.payload,
            ))?;
        if e.kind == EntryKind::Charter {
            return Ok(());
        }
        let record = self.record_place(&e.record, t)?;
        self.conn.prepare_cached("INSERT INTO hist VALUES (?1, ?2, 0, ?3, ?4)")?.execute((
            record,
            -key,
            e.kind as u8,
            status.number(),
        ))?;
        *t.counts.entry((space, status)).or_default() += 1;
        t.dirty.insert(record);
        Ok(())
    }

    fn remove_pending(&self, key: PendingKey, t: &mut Touched) -> Result<(), Fault> {
        let sql = "SELECT space, record FROM pending WHERE key = ?1";
        let found: Option<(i64, RecordId)> =
            self.one(sql, [int(key.0)], |r| Ok((r.get(0)?, rows::id(r, 1, "a record id", RecordId::from_slice)?)))?;
        let Some((space, record)) = found else {
            return Ok(());
        };
        self.conn.prepare_cached("DELETE FROM pending WHERE key = ?1")?.execute([int(key.0)])?;
        let sql = "DELETE FROM hist WHERE at = ?2 AND place = 0
            AND record = (SELECT key FROM records WHERE id = ?1) RETURNING status";
        if let Some(status) = self.one(sql, (record.0, -int(key.0)), |r| rows::status(r, 0))? {
            *t.counts.entry((space, status)).or_default() -= 1;
        }
        Ok(())
    }

    fn write_counts(&self, t: &Touched) -> Result<(), Fault> {
        let mut add = self.conn.prepare_cached(
            "INSERT INTO counts (space, status, entries) VALUES (?1, ?2, ?3)
             ON CONFLICT (space, status) DO UPDATE SET entries = entries + excluded.entries",
        )?;
        for ((space, status), n) in t.counts.iter().filter(|(_, n)| **n != 0) {
            add.execute((space, status.number(), n))?;
        }
        Ok(())
    }

    fn write_quarantine(&self, batch: &Batch) -> Result<(), Fault> {
        let mut release = self.conn.prepare_cached("DELETE FROM quarantine WHERE id = ?1")?;
        for id in &batch.released {
            release.execute([id.0])?;
        }
        let used = "SELECT count(*), coalesce(sum(length(header) + length(pack)), 0)
            FROM quarantine WHERE peer = ?1";
        let mut quotas: BTreeMap<[u8; 32], (u64, u64)> = BTreeMap::new();
        let mut refused = 0u64;
        for q in &batch.quarantine {
            let held = "SELECT 1 FROM quarantine WHERE id = ?1";
            if self.one(held, [q.head.id().0], |_| Ok(()))?.is_some() {
                continue;
            }
            // What was accepted once is never refused for want of room.
            if batch.withdrawn.contains(&q.head.id()) {
                self.add_quarantined(q)?;
                continue;
            }
            let quota = match quotas.get_mut(&q.peer.0) {
                Some(quota) => quota,
                None => {
                    let found = self.one(used, [q.peer.0], |r| Ok((rows::number(r, 0)?, rows::number(r, 1)?)))?;
                    quotas.entry(q.peer.0).or_insert(found.unwrap_or_default())
                }
            };
            let bytes = quota.1 + (q.head.signed().bytes.len() + q.pack.len()) as u64;
            if quota.0 >= limits::QUARANTINE_COMMITS_MAX as u64 || bytes > limits::QUARANTINE_BYTES_MAX as u64 {
                refused += 1;
                continue;
            }
            *quota = (quota.0 + 1, bytes);
            self.add_quarantined(q)?;
        }
        if refused > 0 {
            let name = meta_names::QUARANTINE_REFUSED;
            let before = self.read_meta(name)?.map_or(0, |b| meta_names::count(&b));
            self.put_meta(name, Some(&(before + refused).to_le_bytes()))?;
        }
        Ok(())
    }

    fn add_quarantined(&self, q: &Quarantined) -> Result<(), Fault> {
        let signed = q.head.signed();
        self.conn
            .prepare_cached(
                "INSERT INTO quarantine (id, peer, reason, at, header, signature, pack, sum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, row_sum('quarantine', ?1, ?2, ?3, ?4))",
            )?
            .execute((q.head.id().0, q.peer.0, &q.reason, int(q.at.0), &signed.bytes, signed.signature, &q.pack))?;
        Ok(())
    }

    fn write_register(&self, signed: &SignedRegister) -> Result<(), Fault> {
        let r = signed.trust().map_err(damaged)?;
        let sql = "SELECT position, bytes, signature FROM registers
            WHERE unit = ?1 AND name = ?2 AND device = ?3";
        let held = self.one(sql, (r.unit.0, &r.name, r.device.0), |row| {
            let bytes: Vec<u8> = row.get(1)?;
            Ok((row.get::<_, i64>(0)?, SignedRegister { bytes, signature: row.get(2)? }))
        })?;
        if let Some((_, held)) = &held
            && !signed.outdoes(held).map_err(damaged)?
        {
            return Ok(());
        }
        // The row with the greatest position is the newest, so a position is never given twice: the
        // new one is taken before the old row goes.
        let next = self.last_register()? + 1;
        if let Some((position, _)) = held {
            self.conn.prepare_cached("DELETE FROM registers WHERE position = ?1")?.execute([position])?;
        }
        let sql = "INSERT INTO registers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, row_sum('registers', ?7, ?1))";
        self.conn.prepare_cached(sql)?.execute((
            next,
            r.unit.0,
            &r.name,
            r.device.0,
            int(r.counter),
            &signed.bytes,
            signed.signature,
        ))?;
        Ok(())
    }

    /// The greatest position that a register ever had.
    pub(super) fn last_register(&self) -> Result<i64, Fault> {
        let sql = "SELECT coalesce(max(position), 0) FROM registers";
        let held = self.one(sql, [], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0);
        let before = self.read_meta(META_LAST_REGISTER)?.and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes);
        Ok(held.max(before))
    }

    fn write_acks(&self, acks: &[AckRow]) -> Result<(), Fault> {
        if acks.is_empty() {
            return Ok(());
        }
        let mut put = self.conn.prepare_cached(
            "INSERT OR REPLACE INTO acks (leaf, relay_unit, digest, relay, level, epoch, counter,
             at, statement, proof, through, complete, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, row_sum('acks', ?1, ?2, ?11, ?12))",
        )?;
        let mut replaced: BTreeSet<i64> = BTreeSet::new();
        let mut last: Option<(&AckRow, i64)> = None;
        for ack in acks {
            let old = "SELECT statement FROM acks WHERE leaf = ?1 AND relay_unit = ?2";
            replaced.extend(self.one(old, (ack.leaf.unit.0, ack.relay_unit.0), |r| Ok(r.get::<_, i64>(0)?))?);
            // A statement names many units in a row: it is looked up once.
            let statement = match last {
                Some((a, id)) if a.register == ack.register => id,
                _ => self.statement(ack)?,
            };
            last = Some((ack, statement));
            put.execute((
                ack.leaf.unit.0,
                ack.relay_unit.0,
                ack.leaf.digest.0,
                ack.relay.0,
                ack.level,
                ack.epoch.0,
                int(ack.counter),
                int(ack.at.0),
                statement,
                wire::encode(&ack.proof),
                int(ack.through.0),
                ack.complete,
            ))?;
        }
        // Only what a row named until now can be named by none: a relay of thousands keeps a statement for each.
        let mut unnamed = self.conn.prepare_cached(
            "DELETE FROM statements WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM acks WHERE statement = ?1)",
        )?;
        for statement in replaced {
            unnamed.execute([statement])?;
        }
        Ok(())
    }

    fn statement(&self, ack: &AckRow) -> Result<i64, Fault> {
        let find = "SELECT id FROM statements WHERE signature = ?1 AND bytes = ?2";
        let key = (ack.register.signature, &ack.register.bytes);
        if let Some(id) = self.one(find, key, |r| Ok(r.get(0)?))? {
            return Ok(id);
        }
        let add = "INSERT INTO statements (signature, bytes) VALUES (?1, ?2)";
        Ok(self.conn.prepare_cached(add)?.insert(key)?)
    }

    fn write_meta(&self, batch: &Batch) -> Result<(), Fault> {
        for (name, value) in &batch.meta {
            self.put_meta(name, value.as_deref())?;
        }
        Ok(())
    }

    pub(super) fn put_meta(&self, name: &str, value: Option<&[u8]>) -> Result<(), Fault> {
        // No signature covers a small fact: their sum tells when one changed by itself.
        let mut sum = match self.read_meta(META_SUM)? {
            Some(held) => held.try_into().unwrap_or_default(),
            None => self.meta_sum()?,
        };
        for held in [self.read_meta(name)?.as_deref(), value].into_iter().flatten() {
            toggle(&mut sum, &meta_hash(name, held));
        }
        let put = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
        self.conn.prepare_cached(put)?.execute((META_SUM, sum))?;
        match value {
            Some(v) => self.conn.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?.execute((name, v))?,
            None => self.conn.prepare_cached("DELETE FROM meta WHERE name = ?1")?.execute([name])?,
        };
        Ok(())
    }
}
