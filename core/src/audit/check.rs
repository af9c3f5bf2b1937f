//! Checking an audit file, line by line, with nothing but the root key.
//!
//! It does not: need a replica, or trust the maker of the file for more than when it first saw a change.
//!
//! Invariants: at most the charter, the headers and one record are kept; a file that passes is signed by
//! authors whose right leads to the root key, entry by entry, and every readable column says what they
//! signed.

use super::FORM;
use super::cuts::{CutId, Cuts, OUTSIDE, Place, carried, left_out};
use super::error::{AuditError, Finding};
use super::line::{CharterLine, CommitLine, EndLine, EntryLine, HeadLine, Line, utc};
use super::make::operations;
use super::tell::{KINDS, tell};
use crate::charter::{Carried, Charter};
use crate::engine::{Checked, NewRecordEntry};
use crate::hash::Tagged;
use crate::id::{ChangeHash, CommitId, DeviceId, Flow, OrgId, RecordId};
use crate::limits::AUDIT_LINE_BYTES_MAX;
use crate::log::{BirthOf, Commit, Entry, EntryKind, Header, SignedHeader, merkle, signature_holds};
use crate::pack::{self, PackScope, Stored};
use crate::schema::{self, Schema};
use crate::time::Millis;
use crate::value::Kind;
use crate::wire;
use crate::wire::frame::Group;
use data_encoding::BASE64;
use std::collections::{BTreeMap, BTreeSet};

/// One author in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Author {
    /// Entries of its own.
    pub entries: u64,
    /// Entries of its own that a cut leaves out: signed by it, and counting nowhere.
    pub outside: u64,
    /// Why its key was revoked, if the charter in the file says so.
    pub revoked: Option<String>,
    /// Until when its rights were given, where all of them end.
    pub until: Option<Millis>,
}

/// A cut that stands by the charter in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTold {
    /// The device that is cut.
    pub device: DeviceId,
    /// Who said so.
    pub issuer: DeviceId,
    /// When, by the issuer's clock.
    pub at: Millis,
    /// What kind of cut: its name.
    pub kind: &'static str,
    /// Why, in words for people.
    pub reason: String,
    /// The path of the unit whose charter holds it.
    pub unit: String,
}

/// What somebody said of a commit in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordTold {
    /// The commit.
    pub commit: CommitId,
    /// Whether it was released; else it was rejected.
    pub released: bool,
    /// Who said so.
    pub issuer: DeviceId,
    /// When, by the issuer's clock.
    pub at: Millis,
    /// Why.
    pub reason: String,
}

/// What a file that holds is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The organisation: its root key.
    pub organisation: OrgId,
    /// Its name.
    pub name: String,
    /// The device that made the file.
    pub made_by: DeviceId,
    /// The path of a unit that it has a right on.
    pub made_for: String,
    /// When, as it says.
    pub made_at: String,
    /// Commits of charters.
    pub charter_commits: u64,
    /// Commits of records.
    pub commits: u64,
    /// Records.
    pub records: u64,
    /// Entries.
    pub entries: u64,
    /// Entries among them that do not stand: a cut leaves their commits out.
    pub outside: u64,
    /// Who wrote them.
    pub authors: BTreeMap<DeviceId, Author>,
    /// The cuts that stand.
    pub cuts: Vec<CutTold>,
    /// Releases and rejections of commits in the file.
    pub words: Vec<WordTold>,
    /// The root key that the chain of grants ends at: the organisation's own, or the one that the succession
    /// key named.
    pub root_key: DeviceId,
}

/// An entry with its bytes.
struct Open {
    line: u64,
    text: EntryLine,
    header: Header,
    entry: Entry,
    payload: Vec<u8>,
    place: Place,
}

/// Checks one file.
pub struct Verifier {
    expected: Option<OrgId>,
    hasher: Tagged,
    line: u64,
    head: Option<(HeadLine, OrgId, DeviceId)>,
    charter_log: Vec<Commit>,
    /// What each of them says of cuts.
    charter_cut: Vec<Option<String>>,
    charter: Option<(Charter, Option<Schema>)>,
    /// With where each lies, and the cuts that it lies outside of.
    commits: BTreeMap<CommitId, (Header, Place, BTreeSet<CutId>)>,
    cuts: Cuts,
    outside: u64,
    record: Option<(RecordId, Vec<Open>)>,
    records: BTreeSet<RecordId>,
    used: BTreeSet<(CommitId, u32)>,
    authors: BTreeMap<DeviceId, Author>,
    ended: bool,
}

fn column(name: &'static str, holds: bool) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err(Finding::Column(name)) }
}

fn id<T: std::str::FromStr + ToString>(text: &str, what: &'static str) -> Result<T, Finding> {
    let id = text.parse::<T>().ok().filter(|id| id.to_string() == text);
    id.ok_or(Finding::Unreadable(what))
}

fn base64(text: &str) -> Result<Vec<u8>, Finding> {
    BASE64.decode(text.as_bytes()).map_err(|_| Finding::Unreadable("a part that is not base64"))
}

impl Verifier {
    /// For a file that must lead to this root key; without one to the key that it names itself.
    #[must_use]
    pub fn new(expected: Option<OrgId>) -> Self {
        Self {
            expected,
            hasher: Tagged::new("audit"),
            line: 0,
            head: None,
            charter_log: Vec::new(),
            charter_cut: Vec::new(),
            charter: None,
            commits: BTreeMap::new(),
            cuts: Cuts::default(),
            outside: 0,
            record: None,
            records: BTreeSet::new(),
            used: BTreeSet::new(),
            authors: BTreeMap::new(),
            ended: false,
        }
    }

    /// Takes the next line, its end of line included.
    ///
    /// # Errors
    /// [`AuditError`]: the first thing that does not hold.
    pub fn line(&mut self, text: &[u8]) -> Result<(), AuditError> {
        self.line += 1;
        // A finding about a record that has ended names that record's line, which `settle` has set.
        self.take(text).map_err(|what| AuditError { line: self.line, what })
    }

    fn take(&mut self, text: &[u8]) -> Result<(), Finding> {
        let first = self.head.is_none();
        let unreadable = |why| if first { Finding::NotAudit } else { Finding::Unreadable(why) };
        if self.ended {
            return Err(Finding::Unreadable("something follows the last line"));
        }
        let Some(body) = text.strip_suffix(b"\n") else {
            return Err(if first { Finding::NotAudit } else { Finding::Cut });
        };
        if text.len() > AUDIT_LINE_BYTES_MAX {
            return Err(unreadable("it is over AUDIT_LINE_BYTES_MAX"));
        }
        let body = std::str::from_utf8(body).map_err(|_| unreadable("it is not UTF-8"))?;
        let line = Line::read(body).ok_or_else(|| unreadable("it is not a line of an audit file in its one form"))?;
        match line {
            Line::Audit(head) if first => self.head(head)?,
            Line::Charter(c) if !first && self.charter.is_none() => self.charter_line(&c)?,
            Line::Commit(c) if !first => self.commit(&c)?,
            Line::Entry(e) if !first => self.entry(e)?,
            Line::End(e) if !first => return self.finish(&e),
            Line::Audit(_) | Line::Charter(_) | Line::Commit(_) | Line::Entry(_) | Line::End(_) => {
                return Err(unreadable("it does not belong there"));
            }
        }
        self.hasher.update(text);
        Ok(())
    }

    fn head(&mut self, head: HeadLine) -> Result<(), Finding> {
        if head.form != FORM {
            return Err(Finding::Newer(head.form));
        }
        let org: OrgId = id(&head.organisation, "its organisation")?;
        let maker: DeviceId = id(&head.made_by, "its maker")?;
        if self.expected.is_some_and(|expected| expected != org) {
            return Err(Finding::OtherRoot(org));
        }
        self.head = Some((head, org, maker));
        Ok(())
    }

    fn org(&self) -> Result<OrgId, Finding> {
        self.head.as_ref().map(|(_, org, _)| *org).ok_or(Finding::NotAudit)
    }

    fn charter_line(&mut self, c: &CharterLine) -> Result<(), Finding> {
        let org = self.org()?;
        let bad = |e: &dyn std::fmt::Display| Finding::Commit(e.to_string());
        let group: Group = wire::decode("group", &base64(&c.group)?).map_err(|e| bad(&e))?;
        let [signed] = group.headers.as_slice() else {
            return Err(Finding::Unreadable("a charter line with more than one commit"));
        };
        let head = signed.verify(&org).map_err(|e| bad(&e))?;
        let space = head.header().space;
        if space.flow != Flow::Charter {
            return Err(Finding::Unreadable("a charter line with a commit of records"));
        }
        let payloads = pack::decode(&PackScope { org, space }, &group.pack, &Stored).map_err(|e| bad(&e))?;
        let [payload] = <[_; 1]>::try_from(payloads).map_err(|_| Finding::Unreadable("a pack of several commits"))?;
        let commit = Commit::join(head, payload).map_err(|e| bad(&e))?;
        let h = commit.header();
        column("commit", c.commit == commit.id().to_string())?;
        column("unit", c.unit == h.space.unit.to_string())?;
        column("author", c.author == h.device.to_string())?;
        column("at", c.at == utc(h.time))?;
        column("first_seen_at", c.first_seen_at.as_deref().is_none_or(|at| millis(at).is_some()))?;
        column("operations", c.operations == operations(&commit))?;
        self.charter_log.push(commit);
        self.charter_cut.push(c.cut.clone());
        Ok(())
    }

    /// The charter, once all of it has come.
    fn fold(&mut self) -> Result<&(Charter, Option<Schema>), Finding> {
        let org = self.org()?;
        if self.charter.is_none() {
            let known: BTreeMap<CommitId, u64> =
                self.charter_log.iter().map(|c| (c.id(), c.header().sequence)).collect();
            if known.len() != self.charter_log.len() {
                return Err(Finding::Twice("a commit of the charter".into()));
            }
            for c in &self.charter_log {
                let h = c.header();
                if let Some(missing) = h.parents.iter().chain(&h.charter_heads).find(|c| !known.contains_key(c)) {
                    return Err(Finding::CharterMissing(*missing));
                }
                if h.sequence != 1 + h.parents.iter().filter_map(|p| known.get(p)).max().copied().unwrap_or(0) {
                    return Err(Finding::Commit("a sequence that does not follow its parents".into()));
                }
            }
            let charter = Charter::fold(org, &self.charter_log);
            if charter.root().is_none() {
                return Err(Finding::NoFounding);
            }
            for c in &self.charter_log {
                let h = c.header();
                if !charter.counts(&h.device, &h.space) {
                    return Err(Finding::NoRight { device: h.device, unit: h.space.unit });
                }
            }
            for (c, said) in self.charter_log.iter().zip(&self.charter_cut) {
                let outside = charter.outside().contains(&c.id());
                column("cut", said.as_deref() == outside.then_some(OUTSIDE))?;
            }
            let said = self.head.as_ref().map(|(h, _, _)| h.name.as_str());
            column("name", said == Some(charter.name()))?;
            let schema = charter.schemas().iter().find_map(|p| schema::parse(&p.text).ok());
            self.charter = Some((charter, schema));
        }
        self.charter.as_ref().ok_or(Finding::NoFounding)
    }

    fn commit(&mut self, c: &CommitLine) -> Result<(), Finding> {
        let org = self.org()?;
        let signature = base64(&c.signature)?.try_into().map_err(|_| Finding::Unreadable("a signature's width"))?;
        let signed = SignedHeader { bytes: base64(&c.header)?, signature };
        let head = signed.verify(&org).map_err(|e| Finding::Commit(e.to_string()))?;
        let (commit, h) = (head.id(), head.header());
        column("commit", c.commit == commit.to_string())?;
        column("unit", c.unit == h.space.unit.to_string())?;
        column("author", c.author == h.device.to_string())?;
        column("at", c.at == utc(h.time))?;
        let (charter, _) = self.fold()?;
        if let Some(missing) = h.charter_heads.iter().find(|c| !charter.knows(c)) {
            return Err(Finding::CharterMissing(*missing));
        }
        let counts = charter.counts(&h.device, &h.space) || charter.released(&commit, &h.space.unit);
        if h.space.flow == Flow::Charter || !counts {
            return Err(Finding::NoRight { device: h.device, unit: h.space.unit });
        }
        if self.commits.contains_key(&commit) {
            return Err(Finding::Twice(format!("commit {commit}")));
        }
        let Some((charter, _)) = &self.charter else { return Err(Finding::NoFounding) };
        let (mut place, out_of) = self.cuts.place(charter, &commit, h);
        // Past a cut that left something it may be said to stand, and then no entry may be of what was taken; or to
        // be left out, as whatever it leads to is that a file does not show.
        if place == Place::Allowed && c.cut.as_deref() != place.word() {
            place = left_out(charter, &commit, h);
        }
        column("cut", c.cut.as_deref() == place.word())?;
        self.commits.insert(commit, (h.clone(), place, out_of));
        Ok(())
    }

    fn entry(&mut self, text: EntryLine) -> Result<(), Finding> {
        let record: RecordId = id(&text.record, "its record")?;
        if self.record.as_ref().is_none_or(|(open, _)| *open != record) {
            self.settle()?;
            if !self.records.insert(record) {
                return Err(Finding::Twice(format!("record {record}, in two places")));
            }
        }
        let commit: CommitId = id(&text.commit, "its commit")?;
        let (header, place, out_of) = self.commits.get(&commit).cloned().ok_or(Finding::CommitMissing(commit))?;
        let kind = KINDS.iter().find(|(_, name)| *name == text.kind).ok_or(Finding::Column("kind"))?.0;
        let (payload, salt) = (base64(&text.payload)?, base64(&text.salt)?);
        let salt: [u8; 16] = salt.try_into().map_err(|_| Finding::Unreadable("a salt's width"))?;
        let siblings = base64(&text.proof)?;
        let (siblings, rest) = siblings.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(Finding::Unreadable("a proof's width"));
        }
        let birth = match &text.birth {
            Some((field, n)) => Some(BirthOf {
                field: field.clone(),
                kind: Kind::ALL.get(usize::from(*n)).copied().ok_or(Finding::Column("birth"))?,
            }),
            None => None,
        };
        let payload_hash = Entry::hash_payload(kind, &payload);
        column("change", text.change == ChangeHash(payload_hash).to_string())?;
        let time = millis(&text.at).ok_or(Finding::Column("at"))?;
        let entry = Entry { kind, record, collection: text.collection.clone(), payload_hash, time, birth };
        let leaf = entry.leaf(text.index, &salt);
        let root = merkle::root_from_proof(header.entries as usize, text.index as usize, leaf, siblings);
        if root != Some(header.root) {
            return Err(Finding::NotSigned(record));
        }
        // The hash of a change leaves its first eight bytes out: they are computed from it.
        if payload
            != crate::hash::whole_chunk(payload.get(crate::hash::CHUNK_PREFIX..).unwrap_or_default(), &entry.change())
        {
            return Err(Finding::NotSigned(record));
        }
        column("unit", text.unit == header.space.unit.to_string())?;
        column("author", text.author == (kind == EntryKind::Change).then(|| header.device.to_string()))?;
        column("first_seen_at", millis(&text.first_seen_at).is_some())?;
        if place.stands() && place != Place::Released {
            let (charter, _) = self.fold()?;
            match carried(charter, &header, &out_of, [text.collection.as_str()]) {
                Carried::Counts => {}
                Carried::Never => return Err(Finding::NoRight { device: header.device, unit: header.space.unit }),
                Carried::Taken | Carried::Nothing => return Err(Finding::Column("cut")),
            }
        }
        if !self.used.insert((commit, text.index)) {
            return Err(Finding::Twice(format!("entry {} of commit {commit}", text.index)));
        }
        let open = Open { line: self.line, text, header, entry, payload, place };
        match &mut self.record {
            Some((_, entries)) => entries.push(open),
            None => self.record = Some((record, vec![open])),
        }
        Ok(())
    }

    /// Judges a record all of whose entries have come, and compares what is told of it.
    fn settle(&mut self) -> Result<(), Finding> {
        let Some((record, entries)) = self.record.take() else { return Ok(()) };
        let org = self.org()?;
        let (standing, outside): (Vec<Open>, Vec<Open>) = entries.into_iter().partition(|o| o.place.stands());
        let now = self.line;
        for open in &outside {
            self.line = open.line;
            column("status", open.text.status == OUTSIDE)?;
            column("fields", open.text.fields.is_empty())?;
            self.outside += 1;
            if open.entry.kind == EntryKind::Change {
                self.authors.entry(open.header.device).or_default().outside += 1;
            }
        }
        self.line = now;
        if standing.is_empty() {
            return Ok(());
        }
        let (_, schema) = self.fold()?;
        let all: Vec<NewRecordEntry<'_>> = standing
            .iter()
            .map(|o| NewRecordEntry {
                space: o.header.space,
                collection: &o.entry.collection,
                kind: o.entry.kind,
                hash: o.entry.change(),
                actor: o.header.actor(),
                birth: o.entry.birth.as_ref(),
                bytes: &o.payload,
                checked: Checked::Nothing,
            })
            .collect();
        let told = tell(&org, schema.as_ref(), record, &all);
        for (open, told) in standing.iter().zip(told) {
            // What is wrong with a record is said at its own line, not at the one that showed its end.
            self.line = open.line;
            column("status", open.text.status == told.status)?;
            column("fields", open.text.fields == told.fields)?;
            if open.entry.kind == EntryKind::Change {
                self.authors.entry(open.header.device).or_default().entries += 1;
            }
        }
        self.line = now;
        Ok(())
    }

    fn finish(&mut self, end: &EndLine) -> Result<(), Finding> {
        self.settle()?;
        self.fold()?;
        let (_, _, maker) = self.head.clone().ok_or(Finding::NotAudit)?;
        let digest = std::mem::replace(&mut self.hasher, Tagged::new("audit")).finish();
        let signature = base64(&end.signature)?.try_into().map_err(|_| Finding::Unreadable("a signature's width"))?;
        let same = end.lines + 1 == self.line && end.digest == data_encoding::HEXLOWER.encode(&digest);
        if !same || !signature_holds("audit", &maker, &digest, &signature) {
            return Err(Finding::Maker(maker));
        }
        if self.fold()?.0.all_rights().all(|(device, _)| *device != maker) {
            return Err(Finding::MakerUnknown(maker));
        }
        self.ended = true;
        Ok(())
    }

    /// What the file is about, once all its lines were taken.
    ///
    /// # Errors
    /// [`Finding::Cut`] when the last line has not come.
    pub fn report(mut self) -> Result<Report, AuditError> {
        let line = self.line;
        let (true, Some((head, organisation, made_by)), Some((charter, _))) = (self.ended, self.head, self.charter)
        else {
            let what = if line == 0 { Finding::NotAudit } else { Finding::Cut };
            return Err(AuditError { line, what });
        };
        for (device, author) in &mut self.authors {
            author.revoked = charter.revoked(device).map(str::to_owned);
            let ends: Option<Vec<Millis>> = charter.rights(device).map(|r| r.until).collect();
            author.until = ends.and_then(|ends| ends.into_iter().max());
        }
        let cuts = charter.cuts().map(|(device, c)| CutTold {
            device: *device,
            issuer: c.issuer,
            at: c.at,
            kind: c.kind.name(),
            reason: c.reason.clone(),
            unit: charter.path(&c.unit),
        });
        let words = self.commits.keys().flat_map(|id| charter.words(id).map(move |(released, w)| (id, released, w)));
        let words = words.map(|(id, released, w)| WordTold {
            commit: *id,
            released,
            issuer: w.issuer,
            at: w.at,
            reason: w.reason.clone(),
        });
        let made_for = charter.all_rights().find(|(d, _)| **d == made_by).map(|(_, r)| charter.path(&r.unit));
        Ok(Report {
            organisation,
            name: head.name,
            made_by,
            made_for: made_for.unwrap_or_default(),
            made_at: head.made_at,
            charter_commits: self.charter_log.len() as u64,
            commits: self.commits.len() as u64,
            records: self.records.len() as u64,
            entries: self.used.len() as u64,
            outside: self.outside,
            cuts: cuts.collect(),
            words: words.collect(),
            root_key: charter.root_key(),
            authors: self.authors,
        })
    }
}

/// A label of time in the one form that [`utc`] writes.
fn millis(text: &str) -> Option<Millis> {
    let part = |from: usize, to: usize| text.get(from..to).and_then(|d| d.parse::<u64>().ok());
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    // Days of a date: the inverse of what `utc` does, from the same source.
    let shifted_year = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    let ms = ((part(11, 13)? * 60 + part(14, 16)?) * 60 + part(17, 19)?) * 1_000 + part(20, 23)?;
    let at = Millis(days * 86_400_000 + ms);
    (at.in_range() && utc(at) == text).then_some(at)
}
