//! Payloads into columns.
//!
//! It does not: prove that they come back (the parent does, by reading what was written).
//!
//! Invariants: a change goes into columns only if its parts give its bytes; any other goes as it is, beside them.

use super::blocks::{Place, Shelf};
use super::numbers::Numbers;
use super::past::{self, Pasts};
use super::places::Places;
use super::shape::{Part, Preds, Shape, Shapes, Step, last_steps, parts};
use super::texts::Texts;
use super::values::{Blobs, Values};
use super::{ActorOf, Dep, PackScope, Past, actor_of, computed_record, kind_number};
use crate::change::{Body, Parsed, encode_body};
use crate::hash::CHUNK_PREFIX;
use crate::id::{ActorId, ChangeHash, RecordId};
use crate::limits::PACK_EARLIER_COMMITS_MAX;
use crate::log::{EntryKind, EntryPayload, Payload, Secret};
use std::collections::{BTreeMap, BTreeSet};

/// The columns of a pack while it is made, in the order in which they are written.
#[derive(Debug, Default)]
struct Columns<'a> {
    secrets: Blobs,
    counts: Numbers,
    kinds: Numbers,
    refs: Numbers,
    ids: Blobs,
    names: Numbers,
    times: Numbers,
    birth_fields: Texts<'a>,
    birth_kinds: Numbers,
    shapes: Numbers,
    whole: Blobs,
    deps: Numbers,
    hashes: Blobs,
    steps: Numbers,
    indexes: Numbers,
    places: Places,
    authors: Numbers,
    seqs: Numbers,
    starts: Numbers,
    change_times: Numbers,
    messages: Texts<'a>,
    pred_counters: Numbers,
    pred_actors: Numbers,
}

/// One of them.
enum Column<'c, 'a> {
    Numbers(&'c Numbers),
    Texts(&'c Texts<'a>),
    Blobs(&'c Blobs, Place),
    Places(&'c Places),
}

impl Column<'_, '_> {
    fn is_trivial(&self) -> bool {
        match self {
            Self::Numbers(c) => c.is_trivial(),
            Self::Texts(c) => c.is_trivial(),
            Self::Blobs(c, _) => c.is_trivial(),
            Self::Places(c) => c.is_trivial(),
        }
    }

    fn write(&self, out: &mut Shelf) {
        match self {
            Self::Numbers(c) => c.write(out),
            Self::Texts(c) => c.write(out),
            Self::Blobs(c, place) => c.write(out, *place),
            Self::Places(c) => c.write(out),
        }
    }
}

/// What is written to.
#[derive(Default)]
struct Writer<'a> {
    past: Option<Past<'a>>,
    /// Earlier commits named so far.
    steps: BTreeSet<u64>,
    outside: usize,
    hashes: u64,
    columns: Columns<'a>,
    values: Values<'a>,
    shapes: Shapes<'a>,
    names: Vec<&'a str>,
    name_at: BTreeMap<&'a str, u64>,
    actors: Vec<ActorId>,
    actor_at: BTreeMap<ActorId, u64>,
    pasts: Pasts,
    /// Each change's place by its hash.
    at: BTreeMap<[u8; 32], usize>,
    /// Each record's number in the order of first mention, and the place of its last entry.
    records: BTreeMap<RecordId, (u64, usize)>,
    time: i64,
    /// Changes that went into columns.
    shaped: usize,
}

/// What was written.
pub(super) struct Written {
    /// The pack's content.
    pub(super) shelf: Shelf,
    /// Changes that went into columns.
    pub(super) shaped: usize,
    /// Dependencies that are named by their hash.
    pub(super) hashes: u64,
    /// Dependencies that are named by their place in an earlier commit.
    pub(super) outside: usize,
}

/// Writes the columns.
pub(super) fn write<'a>(scope: &PackScope, payloads: &[&'a Payload], past: Past<'a>) -> Written {
    let mut w = Writer { past: Some(past), ..Writer::default() };
    for p in payloads {
        if let Secret::Whole(secret) = &p.secret {
            w.columns.secrets.push(secret);
        }
        w.columns.counts.push(p.entries.len() as u64);
        for e in &p.entries {
            w.entry(scope, e);
        }
    }
    let (shaped, hashes, outside) = (w.shaped, w.hashes, w.outside);
    Written { shelf: w.finish(payloads.len()), shaped, hashes, outside }
}

impl<'a> Writer<'a> {
    fn is_dense(&self) -> bool {
        self.past.is_some_and(|p| p.dense)
    }

    fn actor(&mut self, actor: ActorId) -> u64 {
        *self.actor_at.entry(actor).or_insert_with(|| {
            self.actors.push(actor);
            self.actors.len() as u64 - 1
        })
    }

    fn entry(&mut self, scope: &PackScope, e: &'a EntryPayload) {
        let (entry, c) = (&e.entry, &mut self.columns);
        c.kinds.push(kind_number(entry.kind));
        let names = &mut self.names;
        c.names.push(*self.name_at.entry(&entry.collection).or_insert_with(|| {
            names.push(&entry.collection);
            names.len() as u64 - 1
        }));
        c.times.push_signed(entry.time.0 as i64 - self.time);
        self.time = entry.time.0 as i64;
        if let Some(birth) = &entry.birth {
            c.birth_fields.push(birth.field.as_str());
            c.birth_kinds.push(birth.kind as u64);
        }
        let place = self.pasts.len();
        let next = self.records.len() as u64;
        let previous = self.records.get(&entry.record).copied();
        let taken = taken_apart(e);
        let deps = taken.as_ref().map(|(parsed, _)| self.deps(entry.record, parsed, previous.map(|(_, at)| at)));
        let c = &mut self.columns;
        let followed = deps.as_deref().and_then(|d| d.first()).is_some_and(|(dep, at)| {
            matches!(dep, Dep::Outside(..))
                && at.and_then(|at| self.pasts.get(at)).is_some_and(|past| past.record == entry.record)
        });
        match previous {
            Some((number, _)) => c.refs.push(super::REF_FIRST + number),
            None if followed => c.refs.push(super::REF_COMPUTED),
            None if computed_record(&scope.space, entry.kind, &entry.payload_hash) == Some(entry.record) => {
                c.refs.push(super::REF_COMPUTED);
            }
            None => {
                c.refs.push(super::REF_EXPLICIT);
                c.ids.push(&entry.record.0);
            }
        }
        self.records.insert(entry.record, (previous.map_or(next, |(number, _)| number), place));
        if let (Some((parsed, parts)), Some(deps)) = (taken, deps) {
            self.change(e, &parsed, parts, &deps);
        } else {
            self.columns.shapes.push(0);
            let from = if entry.kind.is_change() { CHUNK_PREFIX } else { 0 };
            self.columns.whole.push(e.payload.get(from..).unwrap_or_default());
            self.pasts.push_unknown(entry.payload_hash, entry.record);
        }
        self.at.insert(entry.payload_hash, place);
    }

    /// How the dependencies of a change are named, each with its place if it is known.
    fn deps(&mut self, record: RecordId, parsed: &Parsed<'_>, previous: Option<usize>) -> Vec<(Dep, Option<usize>)> {
        let mut out = Vec::with_capacity(parsed.deps.len());
        for hash in &parsed.deps {
            out.push(match self.at.get(&hash.0) {
                Some(at) if previous == Some(*at) => (Dep::Previous, Some(*at)),
                Some(at) => (Dep::Back((self.pasts.len() - at) as u64), Some(*at)),
                None => match self.outside(record, hash) {
                    Some((steps, index, at)) => (Dep::Outside(steps, index), Some(at)),
                    None => (Dep::Hash(*hash), None),
                },
            });
        }
        out
    }

    /// Where an earlier commit has this change.
    fn outside(&mut self, record: RecordId, hash: &ChangeHash) -> Option<(u64, u32, usize)> {
        let (steps, index, entry) = self.past?.earlier?.place(&record, hash)?;
        if !self.steps.contains(&steps) && self.steps.len() >= PACK_EARLIER_COMMITS_MAX {
            return None;
        }
        self.steps.insert(steps);
        self.outside += 1;
        Some((steps, index, self.pasts.add_outside(&entry)))
    }

    /// Puts a change into columns.
    fn change(
        &mut self,
        e: &'a EntryPayload,
        parsed: &Parsed<'a>,
        parts: Vec<Part<'a>>,
        deps: &[(Dep, Option<usize>)],
    ) {
        let (entry, body) = (&e.entry, parsed.body());
        let past: Vec<Option<usize>> = deps.iter().map(|(_, at)| *at).collect();
        let mut shape = Shape {
            message: !body.message.is_empty(),
            deps: deps.len() as u32,
            steps: Vec::with_capacity(parts.len()),
        };
        for part in &parts {
            let key = self.shapes.key(part.key);
            let op = &body.ops[part.at]; // `parts` counts them
            let preds = past::is_known(body, op, self.pasts.last(&past, key, part.key));
            shape.steps.push(Step { key, class: part.class, preds });
        }
        let number = self.shapes.shape(&shape);
        self.columns.shapes.push(number as u64 + 1);
        let dense = self.is_dense();
        for (dep, _) in deps {
            let c = &mut self.columns;
            match dep {
                Dep::Previous => c.deps.push(super::DEP_PREVIOUS),
                Dep::Hash(hash) => {
                    c.deps.push(super::DEP_HASH);
                    c.hashes.push(&hash.0);
                    self.hashes += 1;
                }
                Dep::Outside(steps, index) => {
                    c.deps.push(super::DEP_OUTSIDE);
                    if dense {
                        c.places.push(*steps, *index);
                        continue;
                    }
                    c.steps.push(*steps);
                    c.indexes.push(u64::from(*index));
                }
                Dep::Back(n) => c.deps.push(super::DEP_BACK + n),
            }
        }
        let author = parsed.actor();
        let number = match actor_of(entry) {
            ActorOf::Birth(a) | ActorOf::Identity(a) if a == author => 0,
            ActorOf::Table if self.pasts.author(&past) == Some(author) => 0,
            ActorOf::Birth(_) | ActorOf::Identity(_) | ActorOf::Table => self.actor(author) + 1,
        };
        let c = &mut self.columns;
        c.authors.push(number);
        c.seqs.push_signed(body.seq.wrapping_sub(self.pasts.seq(&past, &author)) as i64);
        c.starts.push_signed(body.start_op.wrapping_sub(self.pasts.start_op(&past)) as i64);
        c.change_times.push_signed(body.time.wrapping_sub(entry.time.0 as i64));
        if shape.message {
            c.messages.push(body.message);
        }
        for (part, step) in parts.iter().zip(&shape.steps) {
            if let Preds::Named(_) = step.preds {
                self.preds(body, part.at);
            }
        }
        let last = last_steps(&shape);
        let last = last.iter().map(|(key, at)| (*key, body.start_op + parts[*at as usize].at as u64));
        let before = if let [at] = past.as_slice() { *at } else { None };
        self.pasts.push((entry.payload_hash, entry.record), body, before, last);
        for (part, step) in parts.into_iter().zip(&shape.steps) {
            self.values.push(step.key, step.class, part.value);
        }
        self.shaped += 1;
    }

    fn preds(&mut self, body: &Body<'a>, at: usize) {
        for id in body.preds_of(&body.ops[at]) {
            self.columns.pred_counters.push(id.counter);
            let actor = match id.actor {
                0 => 0,
                _ => body.actor_of(*id).map_or(0, |a| self.actor(a) + 1),
            };
            self.columns.pred_actors.push(actor);
        }
    }

    fn finish(self, commits: usize) -> Shelf {
        let mut out = Shelf::default();
        out.dense = self.is_dense();
        super::leb::put(&mut out.head, commits as u64);
        super::leb::put(&mut out.head, self.names.len() as u64);
        self.names.iter().for_each(|n| super::leb::put_bytes(&mut out.head, n.as_bytes()));
        self.shapes.write(&mut out.head);
        let mut actors = Blobs::default();
        self.actors.iter().for_each(|a| actors.push(&a.0));
        super::leb::put(&mut out.head, self.actors.len() as u64);
        actors.write(&mut out, Place::Stored);
        let c = self.columns;
        let columns = [
            Column::Blobs(&c.secrets, Place::Stored),
            Column::Numbers(&c.counts),
            Column::Numbers(&c.kinds),
            Column::Numbers(&c.refs),
            Column::Blobs(&c.ids, Place::Stored),
            Column::Numbers(&c.names),
            Column::Numbers(&c.times),
            Column::Texts(&c.birth_fields),
            Column::Numbers(&c.birth_kinds),
            Column::Numbers(&c.shapes),
            Column::Blobs(&c.whole, Place::Squeezed),
            Column::Numbers(&c.deps),
            Column::Blobs(&c.hashes, Place::Stored),
            if out.dense { Column::Places(&c.places) } else { Column::Numbers(&c.steps) },
            Column::Numbers(&c.indexes),
            Column::Numbers(&c.authors),
            Column::Numbers(&c.seqs),
            Column::Numbers(&c.starts),
            Column::Numbers(&c.change_times),
            Column::Texts(&c.messages),
            Column::Numbers(&c.pred_counters),
            Column::Numbers(&c.pred_actors),
        ];
        let there =
            columns.iter().zip(0..).filter(|(c, _)| !c.is_trivial()).fold(0u64, |mask, (_, bit)| mask | 1 << bit);
        super::leb::put(&mut out.head, there);
        columns.iter().filter(|c| !c.is_trivial()).for_each(|c| c.write(&mut out));
        self.values.write(&mut out);
        out
    }
}

/// A change and its parts, if they give its bytes.
fn taken_apart(e: &EntryPayload) -> Option<(Parsed<'_>, Vec<Part<'_>>)> {
    if !e.entry.kind.is_change() {
        return None;
    }
    let parsed = Parsed::read_stored(&e.payload).ok()?;
    if parsed.hash().0 != e.entry.payload_hash || encode_body(parsed.body()) != e.payload {
        return None;
    }
    let parts = parts(parsed.body())?;
    Some((parsed, parts))
}

/// Whether the columns can hold these payloads at all.
pub(super) fn fits(payloads: &[&Payload]) -> bool {
    payloads.iter().all(|p| {
        matches!(p.secret, Secret::Whole(_))
            && p.entries.iter().all(|e| {
                e.entry.kind != EntryKind::Hole && (e.entry.kind == EntryKind::Birth) == e.entry.birth.is_some()
            })
    })
}
