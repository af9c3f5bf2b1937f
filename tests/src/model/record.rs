//! One record: which of its entries stand, from the set of them.
//!
//! It does not: know who may write (only entries of counting commits are offered) or make a document.
//!
//! Invariants: a verdict on rules follows from a change's bytes and its ancestors; only the choice
//! between twins of one (actor, sequence) looks at the whole set, and takes the lower hash.
//!
//! An entry in the wrong place (another space or collection than its record's, a first change that
//! is not this record's, bytes that are not the computed ones) is malformed *as an entry*: the change
//! itself counts as absent, because the rightful entry for it may still come.

use super::ModelStatus;
use super::change::{Plain, Reading};
use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ObjType, ScalarValue};
use sampan_core::hash::tagged16;
use sampan_core::id::{ActorId, ChangeHash, OrgId, RecordId, SpaceId};
use sampan_core::limits::{FIELDS_MAX, STRING_BYTES_MAX};
use sampan_core::log::{Entry, EntryKind};
use sampan_core::value::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// An entry offered for judging.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// The space of its commit.
    pub space: SpaceId,
    /// The actor of its commit.
    pub actor: ActorId,
    /// The entry.
    pub entry: &'a Entry,
    /// Its payload.
    pub bytes: &'a [u8],
    /// What the payload alone comes to.
    pub reading: &'a Reading,
}

/// What became of an entry, with the reason for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stands.
    Stands,
    /// It waits for an ancestor.
    Waits,
    /// Something below it does not stand, or a twin does.
    Blocked(ChangeHash),
    /// It breaks a rule.
    Malformed(String),
    /// It is beyond format 1.
    Newer(String),
}

impl Verdict {
    /// The status that it comes to.
    #[must_use]
    pub fn status(&self) -> ModelStatus {
        match self {
            Self::Stands => ModelStatus::Accepted,
            Self::Waits => ModelStatus::Pending,
            Self::Blocked(_) => ModelStatus::Blocked,
            Self::Malformed(_) => ModelStatus::Malformed,
            Self::Newer(_) => ModelStatus::NeedsNewer,
        }
    }
}

/// Judges all entries of a record, in their order.
#[must_use]
pub fn judge(org: &OrgId, id: RecordId, all: &[Offered<'_>]) -> Vec<Verdict> {
    // Of several births (an identity record's, made in two commits; one that was sent again under
    // another collection) the lowest place is the record's, whatever came first.
    let home = all
        .iter()
        .filter(|e| is_birth_of(org, id, e))
        .map(|e| (e.space, &e.entry.collection, e))
        .min_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let misplaced: Vec<Option<&str>> = all
        .iter()
        .map(|e| match (e.reading, home) {
            (Reading::Malformed(_) | Reading::NeedsNewer(_), _) => None,
            // An identity's creation shows by itself what it creates: this one does not.
            (Reading::Fine(_), None) if e.entry.kind == EntryKind::Identity => {
                Some("it is not the computed identity change")
            }
            (Reading::Fine(plain), None) => {
                plain.deps.is_empty().then_some("it has no ancestor and is not this record's first change")
            }
            (Reading::Fine(plain), Some((space, collection, first))) => {
                misplaced(org, id, e, plain, space, collection, first)
            }
        })
        .collect();
    let mut set: BTreeMap<ChangeHash, Vec<&Offered<'_>>> = BTreeMap::new();
    for (e, _) in all.iter().zip(&misplaced).filter(|(_, m)| m.is_none()) {
        set.entry(e.entry.change()).or_default().push(e);
    }
    let verdicts = Changes::new(&set).judge();
    let of = |(e, m): (&Offered<'_>, &Option<&str>)| match m {
        Some(why) => Verdict::Malformed((*why).to_owned()),
        None => verdicts.get(&e.entry.change()).cloned().unwrap_or(Verdict::Waits),
    };
    all.iter().zip(&misplaced).map(of).collect()
}

/// Whether an entry is a first change that gives its record this id.
fn is_birth_of(org: &OrgId, id: RecordId, e: &Offered<'_>) -> bool {
    let Reading::Fine(plain) = e.reading else { return false };
    match e.entry.kind {
        EntryKind::Change => {
            plain.deps.is_empty()
                && plain.actor == e.actor
                && id.0 == tagged16("record", &[&e.space.key(), &plain.hash.0])
        }
        EntryKind::Identity => is_identity(org, id, e, plain),
        EntryKind::Birth | EntryKind::Charter | EntryKind::Erase | EntryKind::Hole => false,
    }
}

/// Whether a change is the computed first change of an identity record: its key fields as strings in
/// byte order, actor from the id, time 0, and an id that follows from just these fields.
fn is_identity(org: &OrgId, id: RecordId, e: &Offered<'_>, plain: &Plain) -> bool {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    for op in &plain.ops {
        match (&op.obj, &op.key, &op.action) {
            (ObjectId::Root, Key::Map(name), OpType::Put(ScalarValue::Str(value)))
                if op.pred.is_empty() && value.len() <= STRING_BYTES_MAX =>
            {
                fields.push((name.as_str(), value.as_str()));
            }
            _ => return false,
        }
    }
    let mut bytes = prefixed(&e.entry.collection);
    for (name, value) in &fields {
        bytes.extend(prefixed(name));
        bytes.extend(prefixed(value));
    }
    !fields.is_empty()
        && fields.len() <= FIELDS_MAX
        && fields.windows(2).all(|w| w[0].0 < w[1].0)
        && plain.deps.is_empty()
        && (plain.seq, plain.start_op, plain.time, plain.message) == (1, 1, 0, false)
        && plain.actor.0 == tagged16("identity-actor", &[&id.0])
        && id.0 == tagged16("identity", &[&org.0, &e.space.unit.0, &bytes])
}

fn misplaced(
    org: &OrgId,
    id: RecordId,
    e: &Offered<'_>,
    plain: &Plain,
    space: SpaceId,
    collection: &str,
    first: &Offered<'_>,
) -> Option<&'static str> {
    if e.space != space || e.entry.collection != collection {
        return Some("it lies in another space or names another collection than its record's first change");
    }
    match e.entry.kind {
        EntryKind::Change if plain.deps.is_empty() && e.bytes != first.bytes => {
            Some("it has no ancestor and is not this record's first change")
        }
        EntryKind::Change => None,
        EntryKind::Identity if !is_identity(org, id, e, plain) => Some("it is not the computed identity change"),
        EntryKind::Identity => None,
        EntryKind::Birth if !is_field_birth(id, e, plain, first) => Some("it is not the computed birth change"),
        EntryKind::Birth => None,
        EntryKind::Charter | EntryKind::Erase | EntryKind::Hole => Some("it is no change"),
    }
}

/// Whether a change is the computed birth of the field that its entry names.
fn is_field_birth(id: RecordId, e: &Offered<'_>, plain: &Plain, first: &Offered<'_>) -> bool {
    let (Some(of), Reading::Fine(creation), [op]) = (&e.entry.birth, first.reading, plain.ops.as_slice()) else {
        return false;
    };
    let made = match (of.kind, &op.action) {
        (Kind::Text, OpType::Make(ObjType::Text))
        | (Kind::List, OpType::Make(ObjType::List))
        | (Kind::Set, OpType::Make(ObjType::Map)) => true,
        (Kind::Counter, OpType::Put(ScalarValue::Counter(c))) => i64::from(c) == 0,
        _ => false,
    };
    let named = matches!((&op.obj, &op.key), (ObjectId::Root, Key::Map(name)) if name.as_str() == of.field);
    made && named
        && op.pred.is_empty()
        && plain.deps == [creation.hash]
        && (plain.seq, plain.start_op, plain.time, plain.message) == (1, creation.max_op() + 1, 0, false)
        && plain.actor.0 == tagged16("birth", &[&id.0, &prefixed(&of.field), &[of.kind as u8]])
}

fn prefixed(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// The changes of one record by hash.
struct Changes<'a> {
    set: &'a BTreeMap<ChangeHash, Vec<&'a Offered<'a>>>,
    /// Every change's ancestors among those that keep the rules.
    past: BTreeMap<ChangeHash, BTreeSet<ChangeHash>>,
    verdicts: BTreeMap<ChangeHash, Verdict>,
}

impl<'a> Changes<'a> {
    fn new(set: &'a BTreeMap<ChangeHash, Vec<&'a Offered<'a>>>) -> Self {
        Self { set, past: BTreeMap::new(), verdicts: BTreeMap::new() }
    }

    fn judge(mut self) -> BTreeMap<ChangeHash, Verdict> {
        // Ancestors first: again and again whatever has all that it waits for. Nothing can wait in a
        // circle, because a change's hash covers its dependencies.
        let mut open: BTreeSet<ChangeHash> = self.set.keys().copied().collect();
        while !open.is_empty() {
            let ready: Vec<ChangeHash> =
                open.iter().filter(|h| self.deps(h).iter().all(|d| !open.contains(d))).copied().collect();
            if ready.is_empty() {
                break;
            }
            for hash in ready {
                open.remove(&hash);
                let verdict = self.judge_one(&hash);
                self.verdicts.insert(hash, verdict);
            }
        }
        self.settle_twins();
        self.verdicts
    }

    fn plain(&self, hash: &ChangeHash) -> Option<&'a Plain> {
        self.set.get(hash)?.iter().find_map(|e| match e.reading {
            Reading::Fine(plain) => Some(plain),
            Reading::Malformed(_) | Reading::NeedsNewer(_) => None,
        })
    }

    fn deps(&self, hash: &ChangeHash) -> &'a [ChangeHash] {
        self.plain(hash).map_or(&[], |p| &p.deps)
    }

    fn judge_one(&mut self, hash: &ChangeHash) -> Verdict {
        let set = self.set;
        let Some(plain) = self.plain(hash) else {
            return match set.get(hash).and_then(|all| all.first()).map(|e| e.reading) {
                Some(Reading::NeedsNewer(why)) => Verdict::Newer(why.clone()),
                Some(Reading::Malformed(why)) => Verdict::Malformed(why.clone()),
                Some(Reading::Fine(_)) | None => Verdict::Waits,
            };
        };
        let entries = set.get(hash).map(Vec::as_slice).unwrap_or_default();
        if !entries.iter().any(|e| e.entry.kind != EntryKind::Change || e.actor == plain.actor) {
            return Verdict::Malformed("its actor is not the one its commit stands for".into());
        }
        let below: Vec<(ChangeHash, Option<&Verdict>)> =
            plain.deps.iter().map(|d| (*d, self.verdicts.get(d))).collect();
        if below.iter().any(|(_, v)| matches!(v, None | Some(Verdict::Waits | Verdict::Newer(_)))) {
            return Verdict::Waits;
        }
        if let Some((dep, _)) = below.iter().find(|(_, v)| !matches!(v, Some(Verdict::Stands))) {
            return Verdict::Blocked(*dep);
        }
        let mut past: BTreeSet<ChangeHash> = plain.deps.iter().copied().collect();
        for dep in &plain.deps {
            past.extend(self.past.get(dep).into_iter().flatten());
        }
        let ancestors: Vec<&Plain> = past.iter().filter_map(|h| self.plain(h)).collect();
        let verdict = match fits(plain, &ancestors) {
            Ok(()) => Verdict::Stands,
            Err(why) => Verdict::Malformed(why),
        };
        self.past.insert(*hash, past);
        verdict
    }

    /// Of several changes with one (actor, sequence) the lowest hash stands; the others are blocked by
    /// it, with all that was built on them. Groups are settled by their lowest first counter, then
    /// actor and sequence, so that what an earlier one takes down no longer stands in a later one.
    fn settle_twins(&mut self) {
        let mut groups: BTreeMap<(ActorId, u64), BTreeSet<ChangeHash>> = BTreeMap::new();
        for hash in self.standing() {
            if let Some(p) = self.plain(&hash) {
                groups.entry((p.actor, p.seq)).or_default().insert(hash);
            }
        }
        let first = |g: &BTreeSet<ChangeHash>| g.iter().filter_map(|h| self.plain(h)).map(|p| p.start_op).min();
        let mut order: Vec<_> =
            groups.into_iter().filter(|(_, g)| g.len() > 1).map(|(place, g)| (first(&g), place, g)).collect();
        order.sort();
        for (_, _, group) in order {
            let alive: Vec<ChangeHash> = group.into_iter().filter(|h| self.stands(h)).collect();
            let Some((winner, losers)) = alive.split_first() else { continue };
            for loser in losers {
                for hash in self.standing() {
                    if hash == *loser || self.past.get(&hash).is_some_and(|past| past.contains(loser)) {
                        self.verdicts.insert(hash, Verdict::Blocked(*winner));
                    }
                }
            }
        }
    }

    fn stands(&self, hash: &ChangeHash) -> bool {
        self.verdicts.get(hash) == Some(&Verdict::Stands)
    }

    fn standing(&self) -> Vec<ChangeHash> {
        self.verdicts.keys().filter(|h| self.stands(h)).copied().collect()
    }
}

/// Whether a change fits its whole causal past.
fn fits(change: &Plain, past: &[&Plain]) -> Result<(), String> {
    let mine = past.iter().filter(|p| p.actor == change.actor).map(|p| p.seq).max().unwrap_or(0);
    if change.seq != mine + 1 {
        return Err(format!("its sequence is {} after {mine}", change.seq));
    }
    let top = past.iter().map(|p| p.max_op()).max().unwrap_or(0);
    if change.start_op != top + 1 {
        return Err(format!("its operations start at {} after {top}", change.start_op));
    }
    if change.others.iter().any(|a| past.iter().all(|p| p.actor != *a)) {
        return Err("it names an actor that no ancestor has".into());
    }
    let find = |id: &OpId| change.op(id).or_else(|| past.iter().find_map(|p| p.op(id)));
    for op in &change.ops {
        refers(op, &find).map_err(str::to_owned)?;
    }
    Ok(())
}

/// Whether everything that an operation names exists and is what it is taken for.
fn refers<'p>(op: &Op, find: &dyn Fn(&OpId) -> Option<&'p Op>) -> Result<(), &'static str> {
    let is_map = match &op.obj {
        ObjectId::Root => true,
        ObjectId::Id(id) => match find(id).map(|made| &made.action) {
            Some(OpType::Make(ObjType::Map)) => true,
            Some(OpType::Make(ObjType::List | ObjType::Text)) => false,
            _ => return Err("it works on an object that nothing made"),
        },
    };
    if is_map != matches!(op.key, Key::Map(_)) {
        return Err("it uses a map as a list, or a list as a map");
    }
    if let Key::Seq(ElementId::Id(id)) = &op.key
        && !find(id).is_some_and(|e| e.insert && e.obj == op.obj)
    {
        return Err("it names an element that nothing inserted there");
    }
    let mut counters = 0;
    for id in op.pred.iter() {
        let old = find(id).ok_or("it names a predecessor that does not exist")?;
        // An element's own insertion is written at its neighbour's place and stands at its own.
        let old_key = if old.insert { Key::Seq(ElementId::Id(id.clone())) } else { old.key.clone() };
        if old.obj != op.obj || old_key != op.key {
            return Err("it names a predecessor in another place");
        }
        match &old.action {
            OpType::Put(ScalarValue::Counter(_)) => counters += 1,
            OpType::Put(_) | OpType::Make(ObjType::Map | ObjType::List | ObjType::Text) => {}
            OpType::Make(ObjType::Table)
            | OpType::Delete
            | OpType::Increment(_)
            | OpType::MarkBegin(_)
            | OpType::MarkEnd(_) => {
                return Err("it names a predecessor that is no value");
            }
        }
    }
    if matches!(op.action, OpType::Increment(_)) && counters == 0 {
        return Err("it adds to no counter");
    }
    Ok(())
}
