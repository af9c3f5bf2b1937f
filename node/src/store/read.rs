//! The reads of the store.
//!
//! It does not: decode packs (`packs`) or change anything.
//!
//! Invariants: what a straight log lacks is one range of its index; only a log that forked is walked.

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::rows::{self, int};
use rusqlite::Row;
use sampan_core::frontier::{ShortId, SpaceTips};
use sampan_core::id::{
    ActorId, ChangeHash, CommitId, DeviceId, Digest, Flow, Incarnation, LogId, Nonce, RecordId, SpaceId, StoreEpoch,
    UnitId,
};
use sampan_core::log::{BirthOf, Entry, EntryKind, EntryPayload, VerifiedHeader};
use sampan_core::register::SignedRegister;
use sampan_core::store::{
    AckRow, CommitKey, CommitRow, EntryAt, Lineage, PendingEntry, PendingKey, PendingSum, Quarantined, RecordEntry,
    RecordKey, RecordState, Status,
};
use sampan_core::time::Millis;
use sampan_core::wire;
use sampan_core::wire::frame::AckLeaf;
use std::collections::{BTreeMap, BTreeSet};

const ROW: &str = "SELECT key, id, sequence, entries, changes, bytes, time FROM commits";
const RECORD: &str = "SELECT r.key, r.id, c.name, s.key, r.max_op, r.entries, r.irregular,
    r.damaged, r.heads, r.sequences
    FROM records r JOIN collections c ON c.id = r.collection JOIN spaces s ON s.id = r.space";

/// What `logs` keeps of one log.
pub(super) struct LogRow {
    pub id: i64,
    pub forked: bool,
}

fn commit_row(row: &Row<'_>) -> Result<CommitRow, Fault> {
    Ok(CommitRow {
        key: CommitKey(rows::number(row, 0)?),
        id: rows::id(row, 1, "a commit id", CommitId::from_slice)?,
        sequence: rows::number(row, 2)?,
        entries: row.get(3)?,
        changes: row.get(4)?,
        bytes: row.get(5)?,
        time: Millis(rows::number(row, 6)?),
    })
}

fn record_state(row: &Row<'_>) -> Result<RecordState, Fault> {
    Ok(RecordState {
        key: Some(RecordKey(rows::number(row, 0)?)),
        id: rows::id(row, 1, "a record id", RecordId::from_slice)?,
        collection: row.get(2)?,
        space: rows::space(row, 3)?,
        max_op: rows::number(row, 4)?,
        entries: row.get(5)?,
        irregular: row.get(6)?,
        damaged: row.get(7)?,
        heads: rows::heads_of(&row.get::<_, Vec<u8>>(8)?)?,
        sequences: rows::sequences_of(&row.get::<_, Vec<u8>>(9)?)?,
    })
}

fn pending_entry(row: &Row<'_>) -> Result<(PendingEntry, Millis), Fault> {
    let birth: Option<Vec<u8>> = row.get(8)?;
    let entry = Entry {
        kind: rows::kind(row, 3)?,
        record: rows::id(row, 4, "a record id", RecordId::from_slice)?,
        collection: row.get(5)?,
        payload_hash: row.get(6)?,
        time: Millis(rows::number(row, 7)?),
        birth: match birth {
            Some(b) => Some(wire::decode::<BirthOf>("birth", &b).map_err(damaged)?),
            None => None,
        },
    };
    let pending = PendingEntry {
        key: PendingKey(rows::number(row, 0)?),
        space: rows::space(row, 1)?,
        nonce: rows::id(row, 2, "a nonce", Nonce::from_slice)?,
        entry: EntryPayload { entry, payload: row.get(10)? },
    };
    Ok((pending, Millis(rows::number(row, 9)?)))
}

const PENDING: &str = "SELECT p.key, s.key, p.nonce, p.kind, p.record, p.collection, p.hash,
    p.time, p.birth, p.first_seen, p.payload
    FROM pending p JOIN spaces s ON s.id = p.space";

impl SqliteStore {
    /// Every row of a query.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        mut of: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut found = statement.query(params)?;
        let mut out = Vec::new();
        while let Some(row) = found.next()? {
            out.push(of(row)?);
        }
        Ok(out)
    }

    /// The first row of a query, if there is one.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        of: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut found = statement.query(params)?;
        found.next()?.map(of).transpose()
    }

    pub(super) fn read_epoch(&self) -> Result<StoreEpoch, Fault> {
        self.one("SELECT value FROM info WHERE name = 'epoch'", [], |r| {
            rows::id(r, 0, "an epoch", StoreEpoch::from_slice)
        })?
        .ok_or_else(|| damaged("it has no epoch"))
    }

    pub(super) fn read_tips(&self) -> Result<BTreeMap<SpaceId, SpaceTips>, Fault> {
        let sql = "SELECT s.key, l.device, l.incarnation, t.id FROM tips t
            JOIN logs l ON l.id = t.log JOIN spaces s ON s.id = l.space";
        let mut out: BTreeMap<SpaceId, SpaceTips> = BTreeMap::new();
        self.all(sql, [], |r| {
            out.entry(rows::space(r, 0)?).or_default().insert(
                rows::id(r, 1, "a device", DeviceId::from_slice)?,
                rows::id(r, 2, "an incarnation", Incarnation::from_slice)?,
                rows::id(r, 3, "a commit id", CommitId::from_slice)?,
            );
            Ok(())
        })?;
        Ok(out)
    }

    pub(super) fn read_known(&self, ids: &[CommitId]) -> Result<Vec<Option<(CommitKey, u64)>>, Fault> {
        let sql = "SELECT key, sequence FROM commits WHERE id = ?1";
        let of = |r: &Row<'_>| Ok((CommitKey(rows::number(r, 0)?), rows::number(r, 1)?));
        ids.iter().map(|id| self.one(sql, [id.0], of)).collect()
    }

    pub(super) fn read_head(&self, id: &CommitId) -> Result<Option<VerifiedHeader>, Fault> {
        self.one("SELECT header, signature FROM commits WHERE id = ?1", [id.0], |r| rows::head(r, 0))
    }

    pub(super) fn read_first_seen(&self, ids: &[CommitId]) -> Result<Vec<Option<Millis>>, Fault> {
        let sql = "SELECT first_seen FROM commits WHERE id = ?1";
        ids.iter().map(|id| self.one(sql, [id.0], |r| Ok(Millis(rows::number(r, 0)?)))).collect()
    }

    pub(super) fn read_stored_after(&self, after: CommitKey, limit: usize) -> Result<Vec<(LogId, CommitRow)>, Fault> {
        let sql =
            "SELECT c.key, c.id, c.sequence, c.entries, c.changes, c.bytes, c.time, s.key, l.device, l.incarnation
            FROM commits c JOIN logs l ON l.id = c.log JOIN spaces s ON s.id = l.space
            WHERE c.key > ?1 ORDER BY c.key LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(sql, (int(after.0), limit), |r| {
            let log = LogId {
                space: rows::space(r, 7)?,
                device: rows::id(r, 8, "a device", DeviceId::from_slice)?,
                incarnation: rows::id(r, 9, "an incarnation", Incarnation::from_slice)?,
            };
            Ok((log, commit_row(r)?))
        })
    }

    pub(super) fn log_row(&self, log: &LogId) -> Result<Option<LogRow>, Fault> {
        let sql = "SELECT l.id, l.forked FROM logs l JOIN spaces s ON s.id = l.space
            WHERE s.key = ?1 AND l.device = ?2 AND l.incarnation = ?3";
        let key = (log.space.key(), log.device.0, log.incarnation.0);
        self.one(sql, key, |r| Ok(LogRow { id: r.get(0)?, forked: r.get(1)? }))
    }

    pub(super) fn read_missing(&self, log: &LogId, have: &BTreeSet<CommitId>) -> Result<Vec<CommitRow>, Fault> {
        let Some(held) = self.log_row(log)? else {
            return Ok(Vec::new());
        };
        if held.forked {
            return self.missing_by_walk(held.id, have);
        }
        let sql = "SELECT sequence FROM commits WHERE id = ?1 AND log = ?2";
        let mut through = 0;
        for id in have {
            let found = self.one(sql, (id.0, held.id), |r| Ok(r.get::<_, i64>(0)?))?;
            through = through.max(found.unwrap_or(0));
        }
        let sql = format!("{ROW} WHERE log = ?1 AND sequence > ?2 ORDER BY sequence");
        self.all(&sql, (held.id, through), commit_row)
    }

    /// What a forked log has beside the ancestors of `have`.
    fn missing_by_walk(&self, log: i64, have: &BTreeSet<CommitId>) -> Result<Vec<CommitRow>, Fault> {
        let sql = "SELECT id, header, signature FROM commits WHERE log = ?1";
        let parents: BTreeMap<CommitId, Vec<CommitId>> = self
            .all(sql, [log], |r| {
                let id = rows::id(r, 0, "a commit id", CommitId::from_slice)?;
                Ok((id, rows::head(r, 1)?.header().parents.clone()))
            })?
            .into_iter()
            .collect();
        let mut todo: Vec<CommitId> = have.iter().copied().collect();
        let mut held = BTreeSet::new();
        while let Some(id) = todo.pop() {
            if let Some(above) = parents.get(&id)
                && held.insert(id)
            {
                todo.extend_from_slice(above);
            }
        }
        let mut out = self.rows_of_log(log)?;
        out.retain(|r| !held.contains(&r.id));
        Ok(out)
    }

    fn rows_of_log(&self, log: i64) -> Result<Vec<CommitRow>, Fault> {
        self.all(&format!("{ROW} WHERE log = ?1 ORDER BY key"), [log], commit_row)
    }

    pub(super) fn read_lineage(&self, space: &SpaceId, device: &DeviceId) -> Result<Vec<Lineage>, Fault> {
        let sql = "SELECT c.key, c.id, c.header, c.signature FROM logs l JOIN spaces s ON s.id = l.space
            JOIN commits c ON c.log = l.id WHERE s.key = ?1 AND l.device = ?2 ORDER BY c.key";
        self.all(sql, (space.key(), device.0), |r| {
            Ok(Lineage {
                key: CommitKey(rows::number(r, 0)?),
                id: rows::id(r, 1, "a commit id", CommitId::from_slice)?,
                parents: rows::head(r, 2)?.header().parents.clone(),
            })
        })
    }

    pub(super) fn read_inventory(&self, log: &LogId) -> Result<Vec<ShortId>, Fault> {
        let Some(held) = self.log_row(log)? else {
            return Ok(Vec::new());
        };
        let sql = "SELECT id FROM commits WHERE log = ?1 ORDER BY key";
        self.all(sql, [held.id], |r| rows::short_id(r, 0))
    }

    pub(super) fn read_missing_from(
        &self,
        log: &LogId,
        inventory: &BTreeSet<ShortId>,
    ) -> Result<Vec<CommitRow>, Fault> {
        let Some(held) = self.log_row(log)? else {
            return Ok(Vec::new());
        };
        let mut out = self.rows_of_log(held.id)?;
        out.retain(|r| !inventory.contains(&r.id.into()));
        Ok(out)
    }

    pub(super) fn read_records(&self, ids: &[RecordId]) -> Result<Vec<Option<RecordState>>, Fault> {
        let sql = format!("{RECORD} WHERE r.id = ?1");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut out = Vec::with_capacity(ids.len());
        for id in ids {
            out.push(statement.query([id.0])?.next()?.map(record_state).transpose()?);
        }
        Ok(out)
    }

    pub(super) fn read_record(&self, key: RecordKey) -> Result<Option<RecordState>, Fault> {
        let sql = format!("{RECORD} WHERE r.key = ?1");
        self.one(&sql, [int(key.0)], record_state)
    }

    pub(super) fn read_entries(&self, record: RecordKey) -> Result<Vec<RecordEntry>, Fault> {
        let sql = "SELECT at, place, status FROM hist WHERE record = ?1";
        let mut places =
            self.all(sql, [int(record.0)], |r| Ok((rows::at_of(r.get(0)?, r.get(1)?), rows::status(r, 2)?)))?;
        // The order of `EntryAt`: sealed entries in order of storage, then unsealed ones.
        places.sort_unstable();
        let mut out = Vec::with_capacity(places.len());
        let mut last = None;
        for (at, status) in places {
            out.push(match at {
                EntryAt::Sealed(key, place) => {
                    let held = match last.take() {
                        Some((k, held)) if k == key => held,
                        _ => self.opened(key)?,
                    };
                    let entry = held.entry(place)?;
                    let header = held.head.header();
                    let (actor, author) = (header.actor(), header.device);
                    let out = record_entry(at, status, (header.space, entry), (actor, author), held.first_seen);
                    last = Some((key, held));
                    out
                }
                EntryAt::Pending(key) => {
                    let sql = format!("{PENDING} WHERE p.key = ?1");
                    let (p, first_seen) = self
                        .one(&sql, [int(key.0)], pending_entry)?
                        .ok_or_else(|| damaged(format!("there is no pending edit {}", key.0)))?;
                    let actor = ActorId::of(&self.own_device, &p.nonce);
                    record_entry(at, status, (p.space, &p.entry), (actor, self.own_device), first_seen)
                }
            });
        }
        Ok(out)
    }

    pub(super) fn read_pending(&self) -> Result<Vec<PendingEntry>, Fault> {
        let sql = format!("{PENDING} ORDER BY p.key");
        self.all(&sql, [], |r| Ok(pending_entry(r)?.0))
    }

    pub(super) fn read_pending_of(
        &self,
        space: &SpaceId,
        after: PendingKey,
        limit: usize,
    ) -> Result<Vec<PendingEntry>, Fault> {
        let sql = format!("{PENDING} WHERE s.key = ?1 AND p.key > ?2 ORDER BY p.key LIMIT ?3");
        self.all(&sql, (space.key(), int(after.0), limit as i64), |r| Ok(pending_entry(r)?.0))
    }

    pub(super) fn read_pending_sums(&self) -> Result<Vec<PendingSum>, Fault> {
        let sql = "SELECT s.key, p.collection, count(*), sum(p.kind IN (?1, ?2)), min(p.time)
            FROM pending p JOIN spaces s ON s.id = p.space GROUP BY s.key, p.collection";
        let mut sums = self.all(sql, (EntryKind::Change as u8, EntryKind::Identity as u8), |r| {
            Ok(PendingSum {
                space: rows::space(r, 0)?,
                collection: r.get(1)?,
                entries: rows::number(r, 2)?,
                changes: rows::number(r, 3)?,
                oldest: Millis(rows::number(r, 4)?),
            })
        })?;
        sums.sort_by(|a, b| (a.space, &a.collection).cmp(&(b.space, &b.collection)));
        Ok(sums)
    }

    /// Hands each unsealed edit to `of`, in order of editing.
    pub(super) fn each_pending(&self, mut of: impl FnMut(PendingEntry) -> Result<(), Fault>) -> Result<(), Fault> {
        let sql = format!("{PENDING} ORDER BY p.key");
        self.all(&sql, [], |r| of(pending_entry(r)?.0)).map(drop)
    }

    pub(super) fn read_quarantine(&self) -> Result<Vec<Quarantined>, Fault> {
        let sql = "SELECT peer, reason, at, header, signature, pack FROM quarantine
            ORDER BY position";
        self.all(sql, [], |r| {
            Ok(Quarantined {
                peer: rows::id(r, 0, "a device", DeviceId::from_slice)?,
                reason: r.get(1)?,
                at: Millis(rows::number(r, 2)?),
                head: rows::head(r, 3)?,
                pack: r.get(5)?,
            })
        })
    }

    pub(super) fn read_registers(&self, after: u64) -> Result<Vec<(u64, SignedRegister)>, Fault> {
        let sql = "SELECT position, bytes, signature FROM registers WHERE position > ?1
            ORDER BY position";
        self.all(sql, [i64::try_from(after).unwrap_or(i64::MAX)], |r| {
            let signed = SignedRegister { bytes: r.get(1)?, signature: r.get(2)? };
            Ok((rows::number(r, 0)?, signed))
        })
    }

    pub(super) fn read_acks(&self, leaf: Option<UnitId>) -> Result<Vec<AckRow>, Fault> {
        let sql = "SELECT a.leaf, a.relay_unit, a.digest, a.relay, a.level, a.epoch, a.counter,
            a.at, a.proof, a.through, a.complete, t.bytes, t.signature
            FROM acks a JOIN statements t ON t.id = a.statement";
        match leaf {
            Some(unit) => {
                let sql = format!("{sql} WHERE a.leaf = ?1 ORDER BY a.relay_unit");
                self.all(&sql, [unit.0], ack_row)
            }
            None => self.all(&format!("{sql} ORDER BY a.leaf, a.relay_unit"), [], ack_row),
        }
    }

    pub(super) fn read_last_commit(&self) -> Result<CommitKey, Fault> {
        let sql = "SELECT coalesce(max(key), 0) FROM commits";
        let key = self.one(sql, [], |r| rows::number(r, 0))?;
        Ok(CommitKey(key.unwrap_or(0)))
    }

    pub(super) fn read_irregular(&self, units: &BTreeSet<UnitId>) -> Result<BTreeMap<Status, u64>, Fault> {
        let sql = "SELECT c.status, c.entries FROM spaces s JOIN counts c ON c.space = s.id
            WHERE s.key BETWEEN ?1 AND ?2 AND c.entries > 0";
        let mut out = BTreeMap::new();
        for unit in units {
            let of_reach = |reach| SpaceId { unit: *unit, flow: Flow::Up, reach };
            self.all(sql, (of_reach(0).key(), of_reach(u8::MAX).key()), |r| {
                *out.entry(rows::status(r, 0)?).or_insert(0) += rows::number(r, 1)?;
                Ok(())
            })?;
        }
        Ok(out)
    }

    pub(super) fn read_meta(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.one("SELECT value FROM meta WHERE name = ?1", [name], |r| Ok(r.get(0)?))
    }
}

fn ack_row(r: &Row<'_>) -> Result<AckRow, Fault> {
    let proof: Vec<u8> = r.get(8)?;
    Ok(AckRow {
        leaf: AckLeaf {
            unit: rows::id(r, 0, "a unit", UnitId::from_slice)?,
            digest: rows::id(r, 2, "a digest", Digest::from_slice)?,
        },
        relay_unit: rows::id(r, 1, "a unit", UnitId::from_slice)?,
        relay: rows::id(r, 3, "a device", DeviceId::from_slice)?,
        level: r.get(4)?,
        epoch: rows::id(r, 5, "an epoch", StoreEpoch::from_slice)?,
        counter: rows::number(r, 6)?,
        at: Millis(rows::number(r, 7)?),
        register: SignedRegister { bytes: r.get(11)?, signature: r.get(12)? },
        proof: wire::decode("proof", &proof).map_err(damaged)?,
        through: CommitKey(rows::number(r, 9)?),
        complete: r.get(10)?,
    })
}

fn record_entry(
    at: EntryAt,
    status: Status,
    (space, payload): (SpaceId, &EntryPayload),
    (actor, author): (ActorId, DeviceId),
    first_seen: Millis,
) -> RecordEntry {
    RecordEntry {
        at,
        space,
        collection: payload.entry.collection.clone(),
        kind: payload.entry.kind,
        status,
        hash: ChangeHash(payload.entry.payload_hash),
        actor,
        author,
        time: payload.entry.time,
        first_seen,
        birth: payload.entry.birth.clone(),
        bytes: payload.payload.clone(),
    }
}
