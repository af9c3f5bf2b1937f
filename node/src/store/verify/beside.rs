//! Checking what lies beside the commits: what follows from them, and what follows from other signed
//! bytes.
//!
//! It does not: know what the right value of a fact was that only this place knows: its sum shows that it is
//! not what was written.
//!
//! Invariants: as those of `verify`: it goes on after damage.

use super::{Computed, VerifyReport};
use crate::store::error::Fault;
use crate::store::write::{META_EPOCH, META_SUM, epoch_hash, is_change};
use crate::store::{SqliteStore, rows, sums};
use sampan_core::id::{CommitId, DeviceId, Incarnation, LogId, SpaceId};
use sampan_core::log::merkle;
use sampan_core::register::{Ack, SignedRegister, ack_leaf};
use sampan_core::store::AckRow;
use std::collections::BTreeMap;

impl SqliteStore {
    pub(super) fn check_beside(&self, computed: &Computed, report: &mut VerifyReport) {
        let checks: [(&'static str, Result<(), Fault>); 8] = [
            ("file", self.check_sums(report)),
            ("logs", self.check_logs(computed, report)),
            ("commits", self.check_sizes(report)),
            ("registers", self.check_register_columns(report)),
            ("acks", self.check_acks(report)),
            ("dirty", self.check_names(report)),
            ("meta", self.check_meta(report)),
            ("info", self.check_info(report)),
        ];
        for (table, result) in checks {
            report.note(table, result);
        }
    }

    /// Whether a log is straight, and the sequence of each tip, follow from its commits.
    fn check_logs(&self, computed: &Computed, report: &mut VerifyReport) -> Result<(), Fault> {
        let sql = "SELECT s.key, l.device, l.incarnation, l.forked, l.id FROM logs l
            LEFT JOIN spaces s ON s.id = l.space";
        let held = self.all(sql, [], |r| {
            let log = || -> Result<LogId, Fault> {
                Ok(LogId {
                    space: rows::id(r, 0, "a space", SpaceId::from_key)?,
                    device: rows::id(r, 1, "a device", DeviceId::from_slice)?,
                    incarnation: rows::id(r, 2, "an incarnation", Incarnation::from_slice)?,
                })
            };
            Ok((log().ok(), r.get::<_, i64>(3)?, r.get::<_, i64>(4)?))
        })?;
        let mut known: BTreeMap<LogId, i64> = BTreeMap::new();
        for (log, forked, id) in held {
            let Some(of) = log.and_then(|log| Some((log, computed.logs.get(&log)?))) else {
                report.add("logs", None, format!("log {id} is of no commit that is held"));
                continue;
            };
            known.insert(of.0, id);
            if i64::from(of.1.forked) != forked {
                report.add("logs", None, format!("whether log {id} is straight is not what its commits say"));
            }
        }
        for (log, of) in &computed.logs {
            let Some(id) = known.get(log) else { continue };
            let sql = "SELECT id, sequence FROM tips WHERE log = ?1";
            let tips = self
                .all(sql, [id], |r| Ok((rows::id(r, 0, "a commit id", CommitId::from_slice)?, rows::number(r, 1)?)))?;
            if tips.into_iter().collect::<BTreeMap<_, _>>() != of.tips {
                report.add("tips", None, format!("the tips of log {id} are not what its commits say"));
            }
        }
        let sql = "SELECT count(*) FROM spaces WHERE length(key) <> ?1";
        let width = SpaceId::charter(sampan_core::id::UnitId::default()).key().len() as i64;
        if self.one(sql, [width], |r| rows::number(r, 0))? != Some(0) {
            report.add("spaces", None, "a space has a key of a wrong width");
        }
        Ok(())
    }

    /// How many changes and bytes a commit counts for follows from its entries and its pack.
    fn check_sizes(&self, report: &mut VerifyReport) -> Result<(), Fault> {
        let sql = "SELECT c.id, c.changes, c.bytes, c.entries, length(p.bytes), p.entries FROM commits c
            JOIN (SELECT q.id, q.bytes, (SELECT sum(d.entries) FROM commits d WHERE d.pack = q.id) AS entries
                  FROM packs q) p ON p.id = c.pack";
        let kinds = "SELECT h.kind, count(*) FROM hist h JOIN commits c ON c.key = h.at WHERE c.id = ?1 GROUP BY 1";
        // A commit's share of a pack is told as it came; one that holds several is only bounded by it.
        let rows = self.all(sql, [], |r| {
            let id: Vec<u8> = r.get(0)?;
            Ok((
                id,
                rows::number(r, 1)?,
                rows::number(r, 2)?,
                rows::number(r, 3)?,
                rows::number(r, 4)?,
                rows::number(r, 5)?,
            ))
        })?;
        for (id, changes, bytes, entries, pack, total) in rows {
            let mut counted = 0;
            for (kind, n) in self.all(kinds, [&id], |r| Ok((rows::kind(r, 0)?, rows::number(r, 1)?)))? {
                counted += if is_change(kind) { n } else { 0 };
            }
            let share = (u128::from(pack) * u128::from(entries)).div_ceil(u128::from(total.max(1)));
            if changes != counted || u128::from(bytes) != share {
                let id = CommitId::from_slice(&id).unwrap_or_default();
                report.add("commits", None, format!("commit {id}: its sizes are not those of its entries"));
            }
        }
        Ok(())
    }

    fn check_register_columns(&self, report: &mut VerifyReport) -> Result<(), Fault> {
        let sql = "SELECT bytes, signature, unit, name, device, counter, position FROM registers";
        let held = self.all(sql, [], |r| {
            let signed = SignedRegister { bytes: r.get(0)?, signature: r.get(1)? };
            let same = signed.trust().ok().is_none_or(|of| {
                let same = || -> Result<bool, Fault> {
                    Ok(r.get::<_, Vec<u8>>(2)? == of.unit.0
                        && r.get::<_, String>(3)? == of.name
                        && r.get::<_, Vec<u8>>(4)? == of.device.0
                        && rows::number(r, 5)? == of.counter)
                };
                same().unwrap_or(false)
            });
            Ok((same, r.get::<_, i64>(6)?))
        })?;
        for (_, position) in held.iter().filter(|(same, _)| !same) {
            report.add("registers", None, format!("position {position}: its columns contradict its bytes"));
        }
        Ok(())
    }

    /// A statement says who, when, at which level and over how many units; the proof leads to its root.
    fn check_acks(&self, report: &mut VerifyReport) -> Result<(), Fault> {
        let rows = self.one("SELECT count(*) FROM acks", [], |r| rows::number(r, 0))?.unwrap_or(0);
        let read = self.read_acks(None)?;
        if read.len() as u64 != rows {
            report.add("acks", None, "an acknowledgement has no statement");
        }
        for ack in read {
            report.checked += 1;
            let said = ack.register.trust().ok().and_then(|r| {
                let said: Ack = sampan_core::wire::decode("ack", &r.payload).ok()?;
                Some((r, said))
            });
            // A statement that cannot be read is in the report already, by its own table.
            let Some((register, said)) = said else { continue };
            let same = register.unit == ack.relay_unit
                && register.device == ack.relay
                && register.counter == ack.counter
                && register.time == ack.at
                && said.epoch == ack.epoch
                && said.level == ack.level
                && ack.proof.0 < said.count;
            if !same {
                let unit = ack.leaf.unit;
                report.add("acks", None, format!("the acknowledgement of unit {unit} is not what its statement says"));
            } else if !leads_to(&said, &ack) {
                let unit = ack.leaf.unit;
                report.add("acks", None, format!("the acknowledgement of unit {unit} does not lead to its statement"));
            }
        }
        Ok(())
    }

    /// What is queued, and what records and edits lie in, must be there.
    fn check_names(&self, report: &mut VerifyReport) -> Result<(), Fault> {
        for (table, sql) in [
            ("dirty", "SELECT count(*) FROM dirty d LEFT JOIN records r ON r.key = d.record WHERE r.key IS NULL"),
            ("records", "SELECT count(*) FROM records r LEFT JOIN spaces s ON s.id = r.space WHERE s.id IS NULL"),
            (
                "collections",
                "SELECT count(*) FROM records r LEFT JOIN collections c ON c.id = r.collection WHERE c.id IS NULL",
            ),
            ("pending", "SELECT count(*) FROM pending p LEFT JOIN spaces s ON s.id = p.space WHERE s.id IS NULL"),
            ("statements", "SELECT count(*) FROM statements s WHERE s.id NOT IN (SELECT statement FROM acks)"),
            ("packs", "SELECT count(*) FROM packs p LEFT JOIN spaces s ON s.id = p.space WHERE s.id IS NULL"),
        ] {
            let wrong = self.one(sql, [], |r| rows::number(r, 0))?.unwrap_or(0);
            if wrong > 0 {
                report.add(table, None, format!("{wrong} rows name something that is not there"));
            }
        }
        Ok(())
    }

    fn check_meta(&self, report: &mut VerifyReport) -> Result<(), Fault> {
        let Some(held) = self.read_meta(META_SUM)? else { return Ok(()) };
        if held != self.meta_sum()? {
            report.add("meta", None, "a small fact changed by itself");
        }
        Ok(())
    }

    /// What only this place knows, against the sum beside it.
    fn check_sums(&self, report: &mut VerifyReport) -> Result<(), Fault> {
        for (table, covered, name) in sums::TABLES {
            let sql = format!("SELECT {name} FROM {table} WHERE sum IS NOT row_sum('{table}', {covered})");
            for row in self.all(&sql, [], |r| Ok(r.get::<_, String>(0)?))? {
                let record = (table == "pending").then(|| row.clone());
                report.add(table, record, format!("{row}: a fact that only this place knows changed by itself"));
            }
        }
        Ok(())
    }

    fn check_info(&self, report: &mut VerifyReport) -> Result<(), Fault> {
        let org: Option<Vec<u8>> = self.one("SELECT value FROM info WHERE name = 'org'", [], |r| Ok(r.get(0)?))?;
        if org.is_none_or(|org| org != self.org.0) {
            report.add("info", None, "the organisation is another");
        }
        let names = "SELECT count(*) FROM info WHERE name NOT IN ('org', 'epoch', 'projected_to')";
        if self.one(names, [], |r| rows::number(r, 0))? != Some(0) {
            report.add("info", None, "a fact of a name that there is not");
        }
        let sql = "SELECT value FROM info WHERE name = 'projected_to'";
        let cursor: Option<Vec<u8>> = self.one(sql, [], |r| Ok(r.get(0)?))?;
        if cursor.is_some_and(|bytes| sums::number(&bytes).is_none()) {
            report.add("info", None, "up to where the lists have followed changed by itself");
        }
        let epoch = self.read_epoch()?;
        if self.read_meta(META_EPOCH)?.is_some_and(|hash| hash != epoch_hash(&epoch)) {
            report.add("info", None, "the store's epoch changed by itself");
        }
        Ok(())
    }
}

/// Whether the proof of an acknowledged unit leads to the root that was signed.
fn leads_to(said: &Ack, ack: &AckRow) -> bool {
    let path: Vec<[u8; 32]> = ack.proof.1.iter().map(|d| d.0).collect();
    merkle::root_from_proof(said.count as usize, ack.proof.0 as usize, ack_leaf(&ack.leaf), &path) == Some(said.root.0)
}
