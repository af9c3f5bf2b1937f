//! Judging the entries of one record: which of them stand.
//!
//! It does not: load or store anything, or know who may write (`intake` asked the charter before).
//!
//! Invariants: a pure function of the set of entries; computed births and identity creations stand by
//! their bytes alone; an entry in another space than its record's is malformed.

use crate::canary::{self, Canary};
use crate::change::{Candidate, ChangeError, Parsed, Standing, creation_fields, evaluate};
use crate::id::{ActorId, ChangeHash, OrgId, RecordId, SpaceId};
use crate::log::{BirthOf, EntryKind};
use crate::record::ids::{identity_id, record_id};
use crate::store::{EntryAt, RecordEntry, RecordState, Status};
use crate::value::Value;
use std::collections::BTreeMap;

/// What was found about the bytes of a change before it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checked {
    /// Nothing: whoever sent it chose the bytes.
    #[default]
    Nothing,
    /// Our own writer made them from columns, and `hash` with them ([`crate::log::Rebuilt`]).
    Rebuilt,
    /// They are stored here as a change that stands, so their form is canonical.
    Standing,
}

/// An entry that is not stored yet.
#[derive(Debug, Clone, Copy)]
pub struct NewRecordEntry<'a> {
    /// The space of its commit.
    pub space: SpaceId,
    /// The collection that it names.
    pub collection: &'a str,
    /// Its kind.
    pub kind: EntryKind,
    /// The change's hash.
    pub hash: ChangeHash,
    /// The actor of its commit.
    pub actor: ActorId,
    /// The field of a birth.
    pub birth: Option<&'a BirthOf>,
    /// The whole change chunk.
    pub bytes: &'a [u8],
    /// What needs no second look.
    pub checked: Checked,
}

impl<'a> NewRecordEntry<'a> {
    /// A stored entry, seen the same way, with nothing taken for granted.
    #[must_use]
    pub fn stored(e: &'a RecordEntry) -> Self {
        Self {
            space: e.space,
            collection: &e.collection,
            kind: e.kind,
            hash: e.hash,
            actor: e.actor,
            birth: e.birth.as_ref(),
            bytes: &e.bytes,
            checked: Checked::Nothing,
        }
    }

    /// A stored entry whose status is believed.
    fn believed(e: &'a RecordEntry) -> Self {
        let checked = if e.status == Status::Accepted { Checked::Standing } else { Checked::Nothing };
        Self { checked, ..Self::stored(e) }
    }

    /// The change: read without doing again what was done to make or to accept these very bytes.
    fn parse(&self) -> Result<Parsed<'a>, ChangeError> {
        match self.checked {
            Checked::Nothing => Parsed::read(self.bytes),
            Checked::Rebuilt => Parsed::read_rebuilt(self.bytes, self.hash),
            Checked::Standing => Parsed::read_standing(self.bytes),
        }
    }
}

/// What judging came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedRecord {
    /// The record's state, its key as it was.
    pub state: RecordState,
    /// The status of each new entry, in order.
    pub statuses: Vec<Status>,
    /// Stored entries whose status changed.
    pub restatus: Vec<(RecordId, EntryAt, Status)>,
}

/// Judges all entries of a record: those stored and the new ones.
#[must_use]
pub fn judge(
    org: &OrgId,
    id: RecordId,
    before: Option<&RecordState>,
    stored: &[RecordEntry],
    new: &[NewRecordEntry<'_>],
) -> JudgedRecord {
    let all: Vec<NewRecordEntry<'_>> = stored.iter().map(NewRecordEntry::believed).chain(new.iter().copied()).collect();
    let parsed: Vec<Result<Parsed<'_>, ChangeError>> = all.iter().map(NewRecordEntry::parse).collect();
    let birthplace = birthplace(org, id, &all, &parsed);
    // What is in the wrong place is left out of the evaluation, so a rightful twin still stands.
    let offered: Vec<Option<Candidate<'_, '_>>> = all
        .iter()
        .zip(&parsed)
        .map(|(e, p)| match p {
            Err(error) => Some(Candidate::refused(e.hash, *error)),
            Ok(p) if !belongs(org, id, e, p, birthplace.as_ref()) => None,
            Ok(p) => Some(Candidate::of(p, e.kind.expected_actor(e.actor))),
        })
        .collect();
    let candidates: Vec<Candidate<'_, '_>> = offered.iter().flatten().copied().collect();
    let evaluation = evaluate(&candidates);
    let status = |e: &NewRecordEntry<'_>, offered: &Option<Candidate<'_, '_>>| {
        if offered.is_none() {
            return Status::Malformed;
        }
        match evaluation.standings.get(&e.hash) {
            Some(Standing::Standing) => Status::Accepted,
            Some(Standing::Pending { .. }) | None => Status::Pending,
            Some(Standing::NeedsNewer(_)) => Status::NeedsNewer,
            Some(Standing::Blocked { .. }) if canary::sings(Canary::BlockedEntryTicked) => Status::Accepted,
            Some(Standing::Blocked { .. }) => Status::Blocked,
            Some(Standing::Malformed(_)) => Status::Malformed,
        }
    };
    let statuses: Vec<Status> = all.iter().zip(&offered).map(|(e, c)| status(e, c)).collect();
    let (old, fresh) = statuses.split_at(stored.len());
    let restatus = stored.iter().zip(old).filter(|(e, s)| e.status != **s).map(|(e, s)| (id, e.at, *s)).collect();
    let (space, collection) = match &birthplace {
        Some(b) => (b.space, b.collection.to_owned()),
        None => before
            .map(|b| (b.space, b.collection.clone()))
            .or_else(|| all.first().map(|e| (e.space, e.collection.to_owned())))
            .unwrap_or((SpaceId::charter(crate::id::UnitId::default()), String::new())),
    };
    let state = RecordState {
        id,
        key: before.and_then(|b| b.key),
        collection,
        space,
        heads: evaluation.heads,
        max_op: evaluation.max_op,
        sequences: evaluation.seqs,
        entries: all.len() as u32,
        irregular: statuses.iter().filter(|s| **s != Status::Accepted).count() as u32,
        damaged: before.is_some_and(|b| b.damaged),
    };
    JudgedRecord { state, statuses: fresh.to_vec(), restatus }
}

/// Where and with which change a record was born.
struct Birthplace<'a> {
    space: SpaceId,
    collection: &'a str,
    creation: &'a [u8],
    hash: ChangeHash,
    max_op: u64,
}

fn birthplace<'a>(
    org: &OrgId,
    id: RecordId,
    all: &[NewRecordEntry<'a>],
    parsed: &[Result<Parsed<'_>, ChangeError>],
) -> Option<Birthplace<'a>> {
    // Of several valid births (an identity record's, made in two commits) the bytes are the same, but
    // an entry may name another collection or, for an identity, lie in another space of the unit: the
    // lowest place stands, whichever came first.
    let births = all.iter().zip(parsed).filter_map(|(e, p)| {
        let p = p.as_ref().ok()?;
        let born = p.deps.is_empty()
            && match e.kind {
                EntryKind::Change => p.actor() == e.actor && record_id(&e.space, &e.hash) == id,
                EntryKind::Identity => is_identity(org, id, e, p),
                EntryKind::Birth | EntryKind::Charter | EntryKind::Erase | EntryKind::Hole => false,
            };
        born.then_some(Birthplace {
            space: e.space,
            collection: e.collection,
            creation: e.bytes,
            hash: e.hash,
            max_op: p.max_op(),
        })
    });
    births.min_by(|a, b| (a.space, a.collection).cmp(&(b.space, b.collection)))
}

fn is_identity(org: &OrgId, id: RecordId, e: &NewRecordEntry<'_>, p: &Parsed<'_>) -> bool {
    let Some(fields) = creation_fields(p) else {
        return false;
    };
    let mut text: Vec<(String, String)> = Vec::with_capacity(fields.len());
    for (name, value) in &fields {
        let Value::Str(v) = value else { return false };
        text.push((name.clone(), v.clone()));
    }
    identity_id(org, &e.space.unit, e.collection, &text) == id && verify_identity_bytes(&id, &fields, e.bytes)
}

fn verify_identity_bytes(id: &RecordId, fields: &BTreeMap<String, Value>, bytes: &[u8]) -> bool {
    crate::record::verify_identity(id, fields, bytes)
}

/// Whether an entry may be an entry of this record at all, by its place and its computed bytes.
fn belongs(
    org: &OrgId,
    id: RecordId,
    e: &NewRecordEntry<'_>,
    p: &Parsed<'_>,
    birthplace: Option<&Birthplace<'_>>,
) -> bool {
    let Some(b) = birthplace else {
        // Nothing is known of the record yet: what waits is judged again when its creation comes;
        // but a change without dependencies that is no birth of this record never will be one, and a
        // computed creation shows by itself what it creates.
        return match e.kind {
            EntryKind::Change | EntryKind::Birth => !p.deps.is_empty(),
            EntryKind::Identity | EntryKind::Charter | EntryKind::Erase | EntryKind::Hole => false,
        };
    };
    if e.space != b.space || e.collection != b.collection {
        return false;
    }
    match e.kind {
        EntryKind::Change => !p.deps.is_empty() || e.bytes == b.creation,
        // Only the computed change is exempt from the actor rule: any other under this kind would be
        // written in another's name.
        EntryKind::Identity => is_identity(org, id, e, p),
        EntryKind::Birth => e.birth.is_some_and(|birth| {
            crate::record::verify_birth(&id, &b.hash, b.max_op, &birth.field, birth.kind, e.bytes)
        }),
        EntryKind::Charter | EntryKind::Erase | EntryKind::Hole => false,
    }
}
