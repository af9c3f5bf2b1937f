//! Checking everything held: every signature, every payload, every index that follows from them.
//!
//! It does not: repair (`salvage` does), or open records (the replica's `verify` does).
//!
//! Invariants: reads one snapshot; goes on after damage, so that a report names all of it; what a
//! signature does not cover (the bytes of a pack as packed, the lists) is checked by its own hash or
//! by computing it again.

mod beside;

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::rows::{self, int};
use super::write::{is_unlisted, pack_hash};
use sampan_core::frontier::SpaceTips;
use sampan_core::id::{CommitId, LogId, OrgId, RecordId, SpaceId, UnitId};
use sampan_core::log::{Commit, Entry, EntryKind, Payload, VerifiedHeader};
use sampan_core::pack::{self, PackScope};
use sampan_core::store::{Status, StoreError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Decoded packs held at a time.
const PACKS_OPEN: usize = 8;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The table it lies in.
    pub table: &'static str,
    /// The record it concerns, in hex, where one can be named.
    pub record: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Commits, entries, registers and edits looked at.
    pub checked: u64,
    /// Everything that is damaged.
    pub damaged: Vec<Damage>,
    /// Records with holes, by the unit of the space: an erasure of each must stand, which the tables alone cannot say.
    pub holes: BTreeSet<(UnitId, RecordId)>,
}

impl VerifyReport {
    /// Something wrong with a file, by its address.
    pub(super) fn file(&mut self, address: sampan_core::file::FileAddress, what: impl ToString) {
        self.add("files", None, format!("file {address}: {}", what.to_string()));
    }

    pub(super) fn add(&mut self, table: &'static str, record: Option<String>, what: impl ToString) {
        self.damaged.push(Damage { table, record, what: what.to_string() });
    }

    /// Notes a failure to read as damage of a table.
    fn note(&mut self, table: &'static str, result: Result<(), Fault>) {
        if let Err(Fault(e)) = result {
            self.add(table, None, e);
        }
    }
}

/// A row of `commits`, as far as it can be read.
struct Row {
    key: i64,
    id: CommitId,
    head: Result<VerifiedHeader, String>,
}

/// What the commits say that other tables must agree with.
#[derive(Default)]
struct Computed {
    tips: BTreeMap<SpaceId, SpaceTips>,
    entries: u64,
    logs: BTreeMap<LogId, ComputedLog>,
}

/// A log as its commits leave it, in the order of storage.
#[derive(Default)]
pub(super) struct ComputedLog {
    /// Its tips, each with its sequence.
    pub(super) tips: BTreeMap<CommitId, u64>,
    /// Whether it is a tree.
    pub(super) forked: bool,
    /// How many commits it has.
    pub(super) commits: u64,
}

impl ComputedLog {
    /// What `write` does when it stores a commit.
    pub(super) fn advance(&mut self, head: &VerifiedHeader) {
        let h = head.header();
        let follows =
            self.tips.len() == 1 && self.tips.iter().all(|(tip, s)| h.parents.contains(tip) && h.sequence > *s);
        self.forked |= !((follows || self.commits == 0) && i64::try_from(h.sequence).is_ok());
        self.commits += 1;
        for parent in &h.parents {
            self.tips.remove(parent);
        }
        self.tips.insert(head.id(), h.sequence);
    }
}

impl SqliteStore {
    /// Checks everything against the organisation's key and against itself.
    ///
    /// # Errors
    /// [`StoreError`] only when no snapshot can be taken: damage is in the report.
    pub fn verify(&self, org: &OrgId) -> Result<VerifyReport, StoreError> {
        self.snapshot(|s| {
            let mut report = VerifyReport::default();
            let _passing = s.passing_over().map_err(StoreError::from)?;
            let integrity = s.check_file(&mut report);
            report.note("file", integrity);
            let mut computed = Computed::default();
            let commits = s.check_commits(org, &mut computed, &mut report);
            report.note("commits", commits);
            let tips = s.check_tips(&computed, &mut report);
            report.note("tips", tips);
            let hist = s.check_hist(&computed, &mut report);
            report.note("hist", hist);
            let pending = s.check_pending(&mut report);
            report.note("pending", pending);
            let registers = s.check_registers(org, &mut report);
            report.note("registers", registers);
            let quarantine = s.check_quarantine(org, &mut report);
            report.note("quarantine", quarantine);
            s.check_beside(&computed, &mut report);
            let files = s.check_files(&mut report);
            report.note("files", files);
            Ok(report)
        })
    }

    fn check_file(&self, report: &mut VerifyReport) -> Result<(), Fault> {
        for line in self.all("PRAGMA integrity_check", [], |r| Ok(r.get::<_, String>(0)?))? {
            if line != "ok" {
                report.add("file", None, line);
            }
        }
        Ok(())
    }

    fn check_commits(&self, org: &OrgId, computed: &mut Computed, report: &mut VerifyReport) -> Result<(), Fault> {
        let (mut after, mut wrong) = (0, BTreeSet::new());
        loop {
            let rows = self.commit_rows(after, org, report)?;
            let Some(last) = rows.last() else { break };
            after = last.key;
            for row in rows {
                report.checked += 1;
                let key = row.key;
                if !self.check_head(row, computed, report) {
                    wrong.insert(key);
                }
            }
        }
        self.check_payloads(&wrong, computed, report)?;
        let packs = self.one("SELECT count(DISTINCT pack) FROM commits", [], |r| rows::number(r, 0))?;
        let held = self.one("SELECT count(*) FROM packs", [], |r| rows::number(r, 0))?;
        if held != packs {
            report.add("packs", None, format!("{packs:?} packs are in use, {held:?} are held"));
        }
        Ok(())
    }

    /// Joins every commit whose header is well with its payload, log by log: the commits of a pack are neighbours so,
    /// but for those of packs with several logs, which are small.
    fn check_payloads(
        &self,
        wrong: &BTreeSet<i64>,
        computed: &mut Computed,
        report: &mut VerifyReport,
    ) -> Result<(), Fault> {
        let sql = "SELECT log, sequence, key, pack, place, header, signature FROM commits
            WHERE (log, sequence, key) > (?1, ?2, ?3) ORDER BY log, sequence, key LIMIT 1000";
        let mut open: VecDeque<(i64, Option<Vec<Payload>>)> = VecDeque::new();
        let mut damaged = BTreeSet::new();
        let mut after = (i64::MIN, i64::MIN, i64::MIN);
        loop {
            let rows = self.all(sql, after, |r| {
                let at: (i64, i64, i64) = (r.get(0)?, r.get(1)?, r.get(2)?);
                let head = if wrong.contains(&at.2) { None } else { rows::head(r, 5).ok() };
                Ok((at, r.get::<_, i64>(3)?, rows::index(r, 4)?, head))
            })?;
            let Some((last, ..)) = rows.last() else { return Ok(()) };
            after = *last;
            for ((_, _, key), pack, place, head) in rows {
                if !open.iter().any(|(held, _)| *held == pack) {
                    // A pack that is damaged is told of once.
                    let read = if damaged.contains(&pack) { None } else { self.check_pack(pack, report) };
                    if read.is_none() {
                        damaged.insert(pack);
                    }
                    open.push_back((pack, read));
                    if open.len() > PACKS_OPEN {
                        open.pop_front();
                    }
                }
                let payloads = open.iter_mut().find(|(held, _)| *held == pack).and_then(|(_, p)| p.as_mut());
                let payload = payloads.and_then(|p| p.get_mut(place));
                let payload =
                    payload.map(|p| std::mem::replace(p, Payload { secret: [0; 16].into(), entries: Vec::new() }));
                if let (Some(head), Some(payload)) = (head, payload) {
                    self.check_payload(key, head, payload, computed, report)?;
                }
            }
        }
    }

    fn commit_rows(&self, after: i64, org: &OrgId, report: &mut VerifyReport) -> Result<Vec<Row>, Fault> {
        let sql = "SELECT c.key, c.id, c.pack, c.place, c.header, c.signature, c.sequence,
            c.entries, c.time, s.key, l.device, l.incarnation FROM commits c
            LEFT JOIN logs l ON l.id = c.log LEFT JOIN spaces s ON s.id = l.space
            WHERE c.key > ?1 ORDER BY c.key LIMIT 1000";
        let rows = self.all(sql, [after], |r| {
            let signed = rows::signed_header(r, 4);
            let head = signed.map_err(|Fault(e)| e.to_string()).and_then(|s| s.verify(org).map_err(|e| e.to_string()));
            let id: Vec<u8> = r.get(1)?;
            // The table whose column contradicts the header, if one does.
            let culprit = head.as_ref().ok().and_then(|head| {
                let h = head.header();
                let own = || -> Result<bool, Fault> {
                    Ok(head.id().0[..] == id[..]
                        && rows::number(r, 6)? == h.sequence
                        && rows::number(r, 7)? == u64::from(h.entries)
                        && rows::number(r, 8)? == h.time.0)
                };
                let log = || -> Result<bool, Fault> {
                    Ok(r.get::<_, Vec<u8>>(10)? == h.device.0 && r.get::<_, Vec<u8>>(11)? == h.incarnation.0)
                };
                let space = || -> Result<bool, Fault> { Ok(r.get::<_, Vec<u8>>(9)? == h.space.key()) };
                let same = [("commits", own()), ("logs", log()), ("spaces", space())];
                same.into_iter().find(|(_, same)| !matches!(same, Ok(true))).map(|(table, _)| table)
            });
            let row = Row { key: r.get(0)?, id: CommitId::from_slice(&id).unwrap_or_default(), head };
            Ok((row, culprit))
        })?;
        Ok(rows
            .into_iter()
            .map(|(row, culprit)| {
                if let Some(table) = culprit {
                    report.add(table, None, format!("commit {}: the columns contradict its header", row.id));
                }
                row
            })
            .collect())
    }

    fn check_pack(&self, pack: i64, report: &mut VerifyReport) -> Option<Vec<Payload>> {
        let sql = "SELECT s.key, p.commits, p.hash, p.bytes FROM packs p
            JOIN spaces s ON s.id = p.space WHERE p.id = ?1";
        let found = self.one(sql, [pack], |r| {
            let scope = PackScope { org: self.org, space: rows::space(r, 0)? };
            let (count, hash): (usize, Vec<u8>) = (rows::index(r, 1)?, r.get(2)?);
            let bytes: Vec<u8> = r.get(3)?;
            if hash != pack_hash(&bytes) {
                return Err(damaged(format!("pack {pack} is not the one that was stored")));
            }
            let payloads =
                pack::decode(&scope, &bytes, self.codec.as_ref()).map_err(|e| damaged(format!("pack {pack}: {e}")))?;
            if payloads.len() != count {
                return Err(damaged(format!("pack {pack} does not hold {count} commits")));
            }
            Ok(payloads)
        });
        let why = match found {
            Ok(Some(payloads)) => return Some(payloads),
            Ok(None) => format!("pack {pack} is not there"),
            Err(Fault(e)) => e.to_string(),
        };
        self.blame("packs", "c.pack = ?1", pack, &why, report);
        None
    }

    /// Names every record that has an entry in the commits of a condition.
    fn blame(&self, table: &'static str, condition: &str, value: i64, what: &str, report: &mut VerifyReport) {
        let sql = format!(
            "SELECT DISTINCT r.id FROM hist h JOIN records r ON r.key = h.record
             WHERE h.at IN (SELECT c.key FROM commits c WHERE {condition})"
        );
        let records = self.all(&sql, [value], |r| Ok(rows::id(r, 0, "a record id", RecordId::from_slice)?.to_string()));
        let records = records.unwrap_or_default();
        if records.is_empty() {
            report.add(table, None, what);
        }
        for record in records {
            report.add(table, Some(record), what);
        }
    }

    /// Whether the header is well.
    fn check_head(&self, row: Row, computed: &mut Computed, report: &mut VerifyReport) -> bool {
        let head = match row.head {
            Ok(head) => head,
            Err(why) => {
                let why = format!("commit {}: {why}", row.id);
                self.blame("commits", "c.key = ?1", row.key, &why, report);
                return false;
            }
        };
        let h = head.header();
        computed.tips.entry(h.space).or_default().advance(h.device, h.incarnation, head.id(), &h.parents);
        computed.logs.entry(h.log()).or_default().advance(&head);
        true
    }

    fn check_payload(
        &self,
        key: i64,
        head: VerifiedHeader,
        payload: Payload,
        computed: &mut Computed,
        report: &mut VerifyReport,
    ) -> Result<(), Fault> {
        match Commit::join(head, payload) {
            Ok(commit) => self.check_entries(key, &commit, computed, report),
            Err(e) => {
                self.blame("packs", "c.key = ?1", key, &e.to_string(), report);
                Ok(())
            }
        }
    }

    fn check_entries(
        &self,
        key: i64,
        commit: &Commit,
        computed: &mut Computed,
        report: &mut VerifyReport,
    ) -> Result<(), Fault> {
        let sql = "SELECT h.kind FROM records r JOIN hist h ON h.record = r.key
            WHERE r.id = ?1 AND h.at = ?2 AND h.place = ?3";
        for (place, e) in commit.payload().entries.iter().enumerate() {
            report.checked += 1;
            if e.entry.kind == EntryKind::Hole {
                report.holes.insert((commit.header().space.unit, e.entry.record));
            }
            if is_unlisted(e.entry.kind) {
                continue;
            }
            computed.entries += 1;
            let record = e.entry.record;
            let found = self.one(sql, (record.0, key, place as i64), |r| rows::kind(r, 0))?;
            if found != Some(e.entry.kind) {
                let what = format!("entry {place} of commit {} is not listed", commit.id());
                report.add("hist", Some(record.to_string()), what);
            }
        }
        Ok(())
    }

    fn check_tips(&self, computed: &Computed, report: &mut VerifyReport) -> Result<(), Fault> {
        let held = self.read_tips()?;
        let spaces = held.keys().chain(computed.tips.keys());
        for space in spaces.collect::<BTreeSet<_>>() {
            if held.get(space) != computed.tips.get(space) {
                let unit = space.unit;
                report.add("tips", None, format!("the tips of a space of unit {unit} are others"));
            }
        }
        Ok(())
    }

    /// `hist` must list nothing beside what the packs hold, and `counts` must be its sums.
    fn check_hist(&self, computed: &Computed, report: &mut VerifyReport) -> Result<(), Fault> {
        let sealed = self.one("SELECT count(*) FROM hist WHERE at > 0", [], |r| rows::number(r, 0))?;
        if sealed != Some(computed.entries) && report.damaged.is_empty() {
            let what = format!("{sealed:?} entries are listed, {} are held", computed.entries);
            report.add("hist", None, what);
        }
        let sql = "SELECT l.space, h.status, count(*) FROM hist h JOIN commits c ON c.key = h.at
            JOIN logs l ON l.id = c.log WHERE h.at > 0 GROUP BY 1, 2
            UNION ALL SELECT p.space, h.status, count(*) FROM hist h
            JOIN pending p ON p.key = -h.at WHERE h.at < 0 GROUP BY 1, 2";
        let mut sums: BTreeMap<(i64, Status), u64> = BTreeMap::new();
        self.all(sql, [], |r| {
            *sums.entry((r.get(0)?, rows::status(r, 1)?)).or_default() += rows::number(r, 2)?;
            Ok(())
        })?;
        let sql = "SELECT space, status, entries FROM counts WHERE entries <> 0";
        let held = self.all(sql, [], |r| Ok(((r.get(0)?, rows::status(r, 1)?), rows::number(r, 2)?)))?;
        if held.into_iter().collect::<BTreeMap<_, _>>() != sums {
            report.add("counts", None, "the numbers of entries by status are not their sums");
        }
        Ok(())
    }

    fn check_pending(&self, report: &mut VerifyReport) -> Result<(), Fault> {
        self.each_pending(|p| {
            report.checked += 1;
            let e = &p.entry.entry;
            let record = Some(e.record.to_string());
            if Entry::hash_payload(e.kind, &p.entry.payload) != e.payload_hash {
                report.add("pending", record, "the edit does not have the hash it was stored with");
                return Ok(());
            }
            let sql = "SELECT 1 FROM records r JOIN hist h ON h.record = r.key
                WHERE r.id = ?1 AND h.at = ?2";
            let listed = self.one(sql, (e.record.0, -int(p.key.0)), |_| Ok(()))?;
            if listed.is_none() && e.kind != EntryKind::Charter {
                report.add("hist", record, "a pending edit is not listed");
            }
            Ok(())
        })
    }

    fn check_registers(&self, org: &OrgId, report: &mut VerifyReport) -> Result<(), Fault> {
        for (position, signed) in self.read_registers(0)? {
            report.checked += 1;
            if let Err(e) = signed.verify(org) {
                report.add("registers", None, format!("position {position}: {e}"));
            }
        }
        let statements = "SELECT bytes, signature FROM statements";
        let signed = self.all(statements, [], |r| {
            Ok(sampan_core::register::SignedRegister { bytes: r.get(0)?, signature: r.get(1)? })
        })?;
        for signed in signed {
            report.checked += 1;
            if let Err(e) = signed.verify(org) {
                report.add("statements", None, e);
            }
        }
        Ok(())
    }

    fn check_quarantine(&self, org: &OrgId, report: &mut VerifyReport) -> Result<(), Fault> {
        let sql = "SELECT header, signature, id, pack FROM quarantine";
        let held =
            self.all(sql, [], |r| Ok((rows::signed_header(r, 0)?, r.get::<_, Vec<u8>>(2)?, r.get::<_, Vec<u8>>(3)?)))?;
        for (signed, id, packed) in held {
            report.checked += 1;
            let head = match signed.verify(org) {
                Ok(head) => head,
                Err(e) => {
                    report.add("quarantine", None, e);
                    continue;
                }
            };
            let scope = PackScope { org: self.org, space: head.header().space };
            let payload = pack::decode(&scope, &packed, self.codec.as_ref()).ok().and_then(|p| p.into_iter().next());
            let joined = payload.and_then(|payload| Commit::join(head.clone(), payload).ok());
            let whole = head.id().0[..] == id[..] && joined.is_some();
            if !whole {
                report.add("quarantine", None, format!("commit {} is not what its header says", head.id()));
            }
        }
        Ok(())
    }
}
