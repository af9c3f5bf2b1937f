//! Making an audit file, piece by piece.
//!
//! It does not: choose the records (the caller has the projections), write a file, or tell of edits
//! that no commit holds yet: nobody has signed them.
//!
//! Invariants: charter first, then record by record, each commit before its first entry; what is handed
//! out goes into the file in this order and unchanged, for the last line signs it.

use super::FORM;
use super::cuts::{Cuts, OUTSIDE, Place, carried, left_out};
use super::line::{CharterLine, CommitLine, EndLine, EntryLine, HeadLine, Line, OfLine, utc};
use super::tell::{KINDS, tell};
use crate::charter::Carried;
use crate::engine::{Engine, NewRecordEntry};
use crate::hash::Tagged;
use crate::id::{CommitId, DeviceId, Flow, RecordId, SpaceId, UnitId};
use crate::limits::AUDIT_COMMITS_KEPT;
use crate::log::{Commit, EntryKind, VerifiedHeader, merkle, sign};
use crate::pack::{self, PackScope, Stored};
use crate::store::{CommitKey, EntryAt, RecordEntry, Store, StoreError};
use crate::time::Millis;
use crate::wire;
use crate::wire::frame::Group;
use data_encoding::BASE64;
use std::collections::{BTreeMap, BTreeSet};

/// What a file is of; all that is given holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// One record.
    pub record: Option<RecordId>,
    /// The records of a unit and of those below it.
    pub unit: Option<UnitId>,
    /// The records that something was done to since then, by their author's label or as first seen.
    pub since: Option<Millis>,
}

/// A commit with the tree over its entries.
struct Opened {
    commit: Commit,
    tree: merkle::Tree,
}

/// Makes one file.
pub struct AuditWriter<'a> {
    engine: &'a Engine,
    of: Selection,
    hasher: Tagged,
    lines: u64,
    opened: BTreeMap<CommitKey, Opened>,
    told: BTreeSet<CommitId>,
    cuts: Cuts,
    /// Logs of cut devices whose commits were told.
    chained: BTreeSet<(DeviceId, SpaceId)>,
    /// Commits that do not stand, with when they were put aside, and their entries by record.
    aside: Vec<(Opened, Millis)>,
    aside_of: BTreeMap<RecordId, Vec<(usize, u32)>>,
}

impl<'a> AuditWriter<'a> {
    /// Begins a file about records of these units: its first line and the charters that show who may
    /// write there, and that the maker is of the organisation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin(
        engine: &'a Engine,
        store: &dyn Store,
        of: Selection,
        units: &BTreeSet<UnitId>,
        now: Millis,
    ) -> Result<(Self, String), StoreError> {
        let mut w = Self {
            engine,
            of,
            hasher: Tagged::new("audit"),
            lines: 0,
            opened: BTreeMap::new(),
            told: BTreeSet::new(),
            cuts: Cuts::default(),
            chained: BTreeSet::new(),
            aside: Vec::new(),
            aside_of: BTreeMap::new(),
        };
        let mut out = String::new();
        let head = HeadLine {
            form: FORM,
            organisation: engine.org().to_string(),
            name: engine.charter().name().to_owned(),
            made_by: engine.device().to_string(),
            made_at: utc(now),
            of: OfLine {
                record: of.record.map(|r| r.to_string()),
                unit: of.unit.map(|u| u.to_string()),
                since: of.since.map(utc),
            },
        };
        w.put(&mut out, &Line::Audit(head));
        let charters = w.charters(units);
        let ids: Vec<CommitId> = charters.iter().map(|c| c.id()).collect();
        for (commit, seen) in charters.iter().zip(store.first_seen(&ids)?) {
            let outside = engine.charter().outside().contains(&commit.id());
            let line = charter_line(commit, seen, outside);
            w.put(&mut out, &line);
        }
        w.lay_aside(store, units, &ids.into_iter().collect())?;
        Ok((w, out))
    }

    /// Finds what lies in the quarantine because a cut leaves it out, or somebody rejected it.
    fn lay_aside(
        &mut self,
        store: &dyn Store,
        units: &BTreeSet<UnitId>,
        told: &BTreeSet<CommitId>,
    ) -> Result<(), StoreError> {
        let charter = self.engine.charter();
        for held in store.quarantine()? {
            let (id, h) = (held.head.id(), held.head.header());
            let of_file = h.space.flow != Flow::Charter && units.contains(&h.space.unit);
            let cut = charter.counts(&h.device, &h.space) && charter.cuts_of(&h.device, &h.space).next().is_some();
            let judged = h.charter_heads.iter().all(|c| told.contains(c)) && !charter.released(&id, &h.space.unit);
            // What cannot be opened is no evidence.
            let Some(commit) = (of_file && cut && judged).then(|| self.engine.open_laid(&held).ok()).flatten() else {
                continue;
            };
            for (index, e) in commit.payload().entries.iter().enumerate() {
                let wanted = self.of.record.is_none_or(|r| r == e.entry.record);
                if wanted && KINDS.iter().any(|(k, _)| *k == e.entry.kind) {
                    let place = (self.aside.len(), index as u32);
                    self.aside_of.entry(e.entry.record).or_default().push(place);
                }
            }
            let tree = merkle::Tree::new(commit.payload().leaves());
            self.aside.push((Opened { commit, tree }, held.at));
        }
        Ok(())
    }

    /// Records that something was written to which does not stand.
    #[must_use]
    pub fn set_aside(&self) -> Vec<RecordId> {
        self.aside_of.keys().copied().collect()
    }

    /// The line of a commit, if it was not told; before it, where a cut bears on its device, those of all that
    /// counts of it, newest first: they show that what is inside is.
    fn commit_lines(
        &mut self,
        store: &dyn Store,
        head: &VerifiedHeader,
        stands: bool,
        out: &mut String,
    ) -> Result<(), StoreError> {
        let (charter, h) = (self.engine.charter(), head.header());
        let log = (h.device, h.space);
        if charter.cuts_of(&h.device, &h.space).next().is_some() && self.chained.insert(log) {
            let held = store.lineage(&h.space, &h.device)?;
            let keys: Vec<CommitKey> = held.iter().rev().map(|c| c.key).collect();
            for keys in keys.chunks(AUDIT_COMMITS_KEPT) {
                let mut heads = Vec::new();
                for group in store.groups(&h.space, keys)? {
                    for head in group.headers {
                        let bad = |e| StoreError::Damaged(format!("a commit cannot be read: {e}"));
                        heads.push(head.verify(&self.engine.org()).map_err(bad)?);
                    }
                }
                heads.sort_by_key(|head| std::cmp::Reverse(held.iter().find(|c| c.id == head.id()).map(|c| c.key)));
                heads.iter().for_each(|head| self.commit_line(head, true, out));
            }
        }
        self.commit_line(head, stands, out);
        Ok(())
    }

    fn commit_line(&mut self, head: &VerifiedHeader, stands: bool, out: &mut String) {
        let (id, h) = (head.id(), head.header());
        if !self.told.insert(id) {
            return;
        }
        let signed = head.signed();
        let charter = self.engine.charter();
        let place = match self.cuts.place(charter, &id, h).0 {
            // Whether it carries what was taken, its header does not say.
            Place::Allowed if !stands => left_out(charter, &id, h),
            place => place,
        };
        let line = Line::Commit(CommitLine {
            commit: id.to_string(),
            unit: h.space.unit.to_string(),
            author: h.device.to_string(),
            at: utc(h.time),
            header: BASE64.encode(&signed.bytes),
            signature: BASE64.encode(&signed.signature),
            cut: place.word().map(str::to_owned),
        });
        self.put(out, &line);
    }

    /// The lines of what was written to a record and does not stand.
    fn outside(&mut self, store: &dyn Store, id: RecordId, out: &mut String) -> Result<(), StoreError> {
        for (at, index) in self.aside_of.get(&id).cloned().unwrap_or_default() {
            let Some(head) = self.aside.get(at).map(|(o, _)| o.commit.head().clone()) else { continue };
            // First what stands: whether this does is seen from it.
            let known = self.told.contains(&head.id());
            if !known && !self.is_left_out(store, at)? {
                continue;
            }
            self.commit_lines(store, &head, false, out)?;
            let Some((opened, seen)) = self.aside.get(at) else { continue };
            let Some(line) = aside_line(opened, *seen, index) else { continue };
            self.put(out, &Line::Entry(line));
        }
        Ok(())
    }

    /// Whether a cut leaves out a commit that was put aside, or one that it continues.
    fn is_left_out(&mut self, store: &dyn Store, at: usize) -> Result<bool, StoreError> {
        let Some((opened, _)) = self.aside.get(at) else { return Ok(false) };
        let (charter, id, h) = (self.engine.charter(), opened.commit.id(), opened.commit.header());
        let (place, out_of) = self.cuts.look(charter, &id, h);
        if place != Place::Allowed {
            return Ok(!place.stands());
        }
        let entries = opened.commit.payload().entries.iter().filter(|e| e.entry.kind != EntryKind::Hole);
        let taken = carried(charter, h, &out_of, entries.map(|e| e.entry.collection.as_str())) != Carried::Counts;
        Ok(taken || store.known(&h.parents)?.iter().any(Option::is_none))
    }

    fn put(&mut self, out: &mut String, line: &Line) {
        let start = out.len();
        out.push_str(&line.write());
        out.push('\n');
        self.hasher.update(&out.as_bytes()[start..]);
        self.lines += 1;
    }

    /// The charters of these units and the maker's, up to the root, and all that they rest on.
    fn charters(&self, units: &BTreeSet<UnitId>) -> Vec<&'a Commit> {
        let charter = self.engine.charter();
        let own = charter.units_of(&self.engine.device());
        let chain: BTreeSet<UnitId> =
            units.iter().chain(&own).flat_map(|u| charter.chain(u).map(|u| u.id).chain([*u])).collect();
        let log: BTreeMap<CommitId, &'a Commit> = self.engine.charter_log().iter().map(|c| (c.id(), c)).collect();
        let mut todo: Vec<CommitId> =
            log.values().filter(|c| chain.contains(&c.header().space.unit)).map(|c| c.id()).collect();
        let mut needed = BTreeSet::new();
        while let Some(id) = todo.pop() {
            if let Some(c) = log.get(&id).filter(|_| needed.insert(id)) {
                todo.extend(c.header().parents.iter().chain(&c.header().charter_heads));
            }
        }
        // As they came, which is causes first.
        self.engine.charter_log().iter().filter(|c| needed.contains(&c.id())).collect()
    }

    /// The lines of one record; nothing for one that has no signed entry or lies outside the selection.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record(&mut self, store: &dyn Store, id: RecordId) -> Result<String, StoreError> {
        let mut out = String::new();
        let state = store.records(&[id])?.into_iter().next().flatten();
        let entries = match state.and_then(|s| s.key) {
            Some(key) => store.entries(key)?,
            None => Vec::new(),
        };
        let sealed: Vec<(CommitKey, u32, &RecordEntry)> = entries
            .iter()
            .filter_map(|e| match e.at {
                EntryAt::Sealed(key, index) => Some((key, index, e)),
                EntryAt::Pending(_) => None,
            })
            .collect();
        let recent = |e: &RecordEntry| self.of.since.is_none_or(|since| e.time >= since || e.first_seen >= since);
        let aside = self.aside_of.get(&id).into_iter().flatten().filter_map(|(at, _)| self.aside.get(*at));
        let late = aside.map(|(o, at)| o.commit.header().time.max(*at)).max();
        let touched = late.is_some_and(|at| self.of.since.is_none_or(|since| at >= since));
        if !touched && !sealed.iter().any(|(_, _, e)| recent(e)) {
            return Ok(out);
        }
        let all: Vec<NewRecordEntry<'_>> = sealed.iter().map(|(_, _, e)| NewRecordEntry::stored(e)).collect();
        let told = tell(&self.engine.org(), self.engine.schema(), id, &all);
        for ((key, index, e), told) in sealed.into_iter().zip(told) {
            self.open(store, key, &e.space)?;
            let Some(opened) = self.opened.get(&key) else { continue };
            let commit = &opened.commit;
            let lost = || StoreError::Damaged(format!("an entry of record {id} is not in its commit"));
            let proof = opened.tree.proof(index as usize).ok_or_else(lost)?.concat();
            let header = commit.header();
            let (author, unit) = (header.device.to_string(), header.space.unit.to_string());
            let head = commit.head().clone();
            let kind = KINDS.iter().find(|(k, _)| *k == e.kind).ok_or_else(lost)?.1;
            let line = Line::Entry(EntryLine {
                commit: commit.id().to_string(),
                index,
                record: id.to_string(),
                collection: e.collection.clone(),
                kind: kind.to_owned(),
                author: (e.kind == EntryKind::Change).then_some(author),
                unit,
                at: utc(e.time),
                first_seen_at: utc(e.first_seen),
                status: told.status.to_owned(),
                change: e.hash.to_string(),
                fields: told.fields,
                birth: e.birth.as_ref().map(|b| (b.field.clone(), b.kind as u8)),
                salt: BASE64.encode(&commit.payload().secret.salt(index)),
                proof: BASE64.encode(&proof),
                payload: BASE64.encode(&e.bytes),
            });
            self.commit_lines(store, &head, true, &mut out)?;
            self.put(&mut out, &line);
        }
        self.outside(store, id, &mut out)?;
        Ok(out)
    }

    /// Opens a commit, if it is not open; only so many stay open.
    fn open(&mut self, store: &dyn Store, key: CommitKey, space: &SpaceId) -> Result<(), StoreError> {
        if self.opened.contains_key(&key) {
            return Ok(());
        }
        let damaged = |what: String| StoreError::Damaged(format!("a commit cannot be read: {what}"));
        let group = store.groups(space, &[key])?.into_iter().next().ok_or_else(|| damaged("it is gone".into()))?;
        let scope = PackScope { org: self.engine.org(), space: *space };
        let payload = pack::decode(&scope, &group.pack, self.engine.codec()).map_err(|e| damaged(e.to_string()))?;
        let (head, payload) = (group.headers.into_iter().next(), payload.into_iter().next());
        let (head, payload) = head.zip(payload).ok_or_else(|| damaged("it is empty".into()))?;
        let head = head.verify(&self.engine.org()).map_err(|e| damaged(e.to_string()))?;
        let commit = Commit::join(head, payload).map_err(|e| damaged(e.to_string()))?;
        if self.opened.len() >= AUDIT_COMMITS_KEPT {
            self.opened.pop_first();
        }
        let tree = merkle::Tree::new(commit.payload().leaves());
        self.opened.insert(key, Opened { commit, tree });
        Ok(())
    }

    /// The last line: the maker's signature over all that was handed out.
    #[must_use]
    pub fn end(self) -> String {
        let digest = self.hasher.finish();
        let end = EndLine {
            lines: self.lines,
            digest: data_encoding::HEXLOWER.encode(&digest),
            signature: BASE64.encode(&sign("audit", self.engine.key(), &digest)),
        };
        let mut text = Line::End(end).write();
        text.push('\n');
        text
    }
}

/// An entry of a commit that does not stand.
fn aside_line(opened: &Opened, seen: Millis, index: u32) -> Option<EntryLine> {
    let (commit, h) = (&opened.commit, opened.commit.header());
    let held = commit.payload().entries.get(index as usize)?;
    let e = &held.entry;
    Some(EntryLine {
        commit: commit.id().to_string(),
        index,
        record: e.record.to_string(),
        collection: e.collection.clone(),
        kind: KINDS.iter().find(|(k, _)| *k == e.kind)?.1.to_owned(),
        author: (e.kind == EntryKind::Change).then(|| h.device.to_string()),
        unit: h.space.unit.to_string(),
        at: utc(e.time),
        first_seen_at: utc(seen),
        status: OUTSIDE.to_owned(),
        change: e.change().to_string(),
        fields: BTreeMap::new(),
        birth: e.birth.as_ref().map(|b| (b.field.clone(), b.kind as u8)),
        salt: BASE64.encode(&commit.payload().secret.salt(index)),
        proof: BASE64.encode(&opened.tree.proof(index as usize)?.concat()),
        payload: BASE64.encode(&held.payload),
    })
}

fn charter_line(commit: &Commit, seen: Option<Millis>, outside: bool) -> Line {
    let h = commit.header();
    let scope = PackScope { org: h.org, space: h.space };
    let group = Group {
        headers: vec![commit.head().signed().clone()],
        pack: pack::encode(&scope, &[commit.payload()], &Stored),
    };
    Line::Charter(CharterLine {
        commit: commit.id().to_string(),
        unit: h.space.unit.to_string(),
        author: h.device.to_string(),
        at: utc(h.time),
        first_seen_at: seen.map(utc),
        operations: operations(commit),
        group: BASE64.encode(&wire::encode(&group)),
        cut: outside.then(|| OUTSIDE.to_owned()),
    })
}

/// The names of a charter's operations by their number, so that those of later versions have one too.
pub(super) fn operations(commit: &Commit) -> Vec<String> {
    const NAMES: [&str; 10] =
        ["found", "create unit", "grant", "enrol", "endpoint", "schema", "revoke", "cut", "release", "reject"];
    const SUCCEED: u32 = 16;
    let number = |payload: &[u8]| {
        let mut d = minicbor::Decoder::new(payload);
        d.array().ok().and_then(|_| d.u32().ok())
    };
    let named = |n: u32| if n == SUCCEED { Some("succeed") } else { NAMES.get(n as usize).copied() };
    let name = |n: u32| named(n).map_or_else(|| format!("operation {n}"), str::to_owned);
    let all = commit.payload().entries.iter();
    all.map(|e| number(&e.payload).map_or_else(|| "unreadable".to_owned(), name)).collect()
}
