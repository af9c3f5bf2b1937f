//! Columns into payloads: every change rebuilt byte for byte, and hashed.
//!
//! It does not: judge what it rebuilds; roots and signatures do (`log::Commit::join`), and admission.
//!
//! Invariants: no work and no memory beyond what the limits of a pack allow, whatever the columns say.

use super::super::verbatim::{kind_from_u8, read_names};
use super::blocks::Blocks;
use super::numbers::NumberReader;
use super::past::Pasts;
use super::places::PlaceReader;
use super::shape::{Class, Known, Preds, Shape};
use super::texts::TextReader;
use super::values::{BlobReader, Source, Sources};
use super::{ActorOf, Earlier, PackError, PackScope, actor_of, computed_record};
use crate::change::{Action, Body, Key, Obj, Op, OpId, Scalar, encode_hashed};
use crate::hash::{change_hash, whole_chunk};
use crate::id::{ActorId, ChangeHash, RecordId};
use crate::limits::{
    CHANGE_BYTES_MAX, CHANGE_OPS_MAX, COMMIT_ENTRIES_MAX, PACK_EARLIER_COMMITS_MAX, PACK_ENTRIES_MAX,
    PACK_INFLATED_BYTES_MAX, PACK_OPS_MAX,
};
use crate::log::{BirthOf, Entry, EntryKind, EntryPayload, Payload, Rebuilt, Secret};
use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// The columns, in the order in which they are written.
struct Columns<'a> {
    secrets: BlobReader<'a>,
    counts: NumberReader<'a>,
    kinds: NumberReader<'a>,
    refs: NumberReader<'a>,
    ids: BlobReader<'a>,
    names: NumberReader<'a>,
    times: NumberReader<'a>,
    birth_fields: TextReader<'a>,
    birth_kinds: NumberReader<'a>,
    shapes: NumberReader<'a>,
    whole: BlobReader<'a>,
    deps: NumberReader<'a>,
    hashes: BlobReader<'a>,
    steps: Steps<'a>,
    indexes: NumberReader<'a>,
    authors: NumberReader<'a>,
    seqs: NumberReader<'a>,
    starts: NumberReader<'a>,
    change_times: NumberReader<'a>,
    messages: TextReader<'a>,
    pred_counters: NumberReader<'a>,
    pred_actors: NumberReader<'a>,
}

impl<'a> Columns<'a> {
    fn read(b: &mut Blocks<'a>) -> Result<Self, PackError> {
        let mut there = b.head.number()?;
        let mut next = || {
            let is = there & 1 == 1;
            there >>= 1;
            is
        };
        let out = Self {
            secrets: blobs(b, next())?,
            counts: numbers(b, next())?,
            kinds: numbers(b, next())?,
            refs: numbers(b, next())?,
            ids: blobs(b, next())?,
            names: numbers(b, next())?,
            times: numbers(b, next())?,
            birth_fields: texts(b, next())?,
            birth_kinds: numbers(b, next())?,
            shapes: numbers(b, next())?,
            whole: blobs(b, next())?,
            deps: numbers(b, next())?,
            hashes: blobs(b, next())?,
            steps: steps(b, next())?,
            indexes: numbers(b, next())?,
            authors: numbers(b, next())?,
            seqs: numbers(b, next())?,
            starts: numbers(b, next())?,
            change_times: numbers(b, next())?,
            messages: texts(b, next())?,
            pred_counters: numbers(b, next())?,
            pred_actors: numbers(b, next())?,
        };
        if there != 0 {
            return Err(PackError::Malformed("a column of an unknown kind"));
        }
        Ok(out)
    }

    fn end(&self) -> Result<(), PackError> {
        let numbers = [
            &self.counts,
            &self.kinds,
            &self.refs,
            &self.names,
            &self.times,
            &self.birth_kinds,
            &self.shapes,
            &self.deps,
            &self.indexes,
            &self.authors,
            &self.seqs,
            &self.starts,
            &self.change_times,
            &self.pred_counters,
            &self.pred_actors,
        ];
        numbers.into_iter().try_for_each(NumberReader::end)?;
        [&self.secrets, &self.ids, &self.whole, &self.hashes].into_iter().try_for_each(BlobReader::end)?;
        match &self.steps {
            Steps::Alone(c) => c.end()?,
            Steps::Places(c) => c.end()?,
        }
        self.birth_fields.end()?;
        self.messages.end()
    }
}

/// Where earlier entries lie: by two columns, or by one.
enum Steps<'a> {
    Alone(NumberReader<'a>),
    Places(PlaceReader<'a>),
}

fn steps<'a>(b: &mut Blocks<'a>, there: bool) -> Result<Steps<'a>, PackError> {
    if there && b.dense { PlaceReader::read(b).map(Steps::Places) } else { numbers(b, there).map(Steps::Alone) }
}

fn numbers<'a>(b: &mut Blocks<'a>, there: bool) -> Result<NumberReader<'a>, PackError> {
    if there { NumberReader::read(b) } else { Ok(NumberReader::Const(0)) }
}

fn texts<'a>(b: &mut Blocks<'a>, there: bool) -> Result<TextReader<'a>, PackError> {
    if there { TextReader::read(b) } else { Ok(TextReader::Const("")) }
}

fn blobs<'a>(b: &mut Blocks<'a>, there: bool) -> Result<BlobReader<'a>, PackError> {
    if there { BlobReader::read(b) } else { Ok(BlobReader::trivial()) }
}

struct Reading<'a> {
    earlier: Option<&'a dyn Earlier>,
    /// Earlier commits that were asked for.
    steps: BTreeSet<u64>,
    hashes: u64,
    space: crate::id::SpaceId,
    c: Columns<'a>,
    known: Known<'a>,
    sources: Sources<'a>,
    names: Vec<String>,
    actors: Vec<ActorId>,
    pasts: Pasts,
    /// Records in the order of first mention.
    records: Vec<RecordId>,
    /// The place of each record's last entry.
    last: BTreeMap<RecordId, usize>,
    time: i64,
    ops_left: usize,
    bytes_left: usize,
    made: Made<'a>,
}

/// What one change is made of, kept from change to change for its memory.
#[derive(Default)]
struct Made<'a> {
    text: String,
    values: Vec<Value<'a>>,
    /// Where each item of a list or set ends in the text.
    items: Vec<usize>,
}

enum Value<'a> {
    Scalar(Scalar<'a>),
    /// From here to there in the text.
    Text(usize, usize),
    /// These of the items, the first of which begins here.
    Items {
        first: usize,
        count: usize,
        from: usize,
    },
}

pub(super) fn read<'a>(
    scope: &PackScope,
    mut b: Blocks<'a>,
    hashes: u64,
    earlier: Option<&'a dyn Earlier>,
) -> Result<Vec<(Payload, Rebuilt)>, PackError> {
    let commits = b.head.count()?;
    let names = read_names(&mut b.head)?;
    let known = Known::read(&mut b.head)?;
    let count = b.head.count()?;
    let mut actors = BlobReader::read(&mut b)?;
    let mut table = Vec::new();
    for _ in 0..count {
        table.push(ActorId::from_slice(actors.next()?).ok_or(PackError::Malformed("an actor of another width"))?);
    }
    actors.end()?;
    let c = Columns::read(&mut b)?;
    let sources = Sources::read(&known.shapes, &mut b)?;
    b.end()?;
    let mut r = Reading {
        earlier,
        steps: BTreeSet::new(),
        hashes: 0,
        space: scope.space,
        c,
        known,
        sources,
        names,
        actors: table,
        pasts: Pasts::default(),
        records: Vec::new(),
        last: BTreeMap::new(),
        time: 0,
        ops_left: PACK_OPS_MAX,
        bytes_left: PACK_INFLATED_BYTES_MAX,
        made: Made::default(),
    };
    let (mut out, mut total) = (Vec::new(), 0);
    for _ in 0..commits {
        let secret: [u8; 16] = array(r.c.secrets.next()?)?;
        let count = r.c.counts.index(COMMIT_ENTRIES_MAX)?;
        total += count;
        if count == 0 || total > PACK_ENTRIES_MAX {
            return Err(PackError::Malformed("a commit or a pack with none or too many entries"));
        }
        let (mut entries, mut marks) = (Vec::new(), Rebuilt::default());
        for _ in 0..count {
            let (entry, rebuilt) = r.entry()?;
            entries.push(entry);
            marks.push(rebuilt);
        }
        out.push((Payload { secret: Secret::Whole(secret), entries }, marks));
    }
    r.c.end()?;
    r.sources.end()?;
    if r.hashes != hashes {
        return Err(PackError::Malformed("another number of hashes than announced"));
    }
    Ok(out)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], PackError> {
    bytes.try_into().map_err(|_| PackError::Malformed("a blob of another width"))
}

impl<'a> Reading<'a> {
    /// An entry, and whether its change was made here from columns: else its bytes are the sender's.
    fn entry(&mut self) -> Result<(EntryPayload, bool), PackError> {
        let kind = u8::try_from(self.c.kinds.next()?).ok().and_then(EntryKind::from_u8);
        let kind = kind.filter(|k| *k != EntryKind::Hole);
        let kind = kind.ok_or(PackError::Malformed("an entry of unknown kind"))?;
        let reference = self.c.refs.next()?;
        let mut record = match reference {
            super::REF_COMPUTED => None,
            super::REF_EXPLICIT => Some(RecordId(array(self.c.ids.next()?)?)),
            n => {
                let at = usize::try_from(n - super::REF_FIRST).ok();
                let found = at.and_then(|at| self.records.get(at)).copied();
                Some(found.ok_or(PackError::Malformed("a record named before it appears"))?)
            }
        };
        let name = self.c.names.index(self.names.len())?;
        let collection = self.names.get(name).ok_or(PackError::Malformed("a name out of range"))?.clone();
        self.time = self.time.checked_add(self.c.times.signed()?).ok_or(PackError::Malformed("a time out of range"))?;
        let time = u64::try_from(self.time).map(Millis).ok().filter(|t| t.in_range());
        let time = time.ok_or(PackError::Malformed("a time out of range"))?;
        let birth = if kind == EntryKind::Birth { Some(self.birth()?) } else { None };
        let shape = self.c.shapes.index(self.known.shapes.len())?;
        let mut entry =
            Entry { kind, record: record.unwrap_or(RecordId([0; 16])), collection, payload_hash: [0; 32], time, birth };
        let place = self.pasts.len();
        let payload = match shape.checked_sub(1) {
            None => {
                let body = self.c.whole.next()?;
                let payload = if kind.is_change() {
                    let hash = change_hash(body);
                    entry.payload_hash = hash.0;
                    whole_chunk(body, &hash)
                } else {
                    entry.payload_hash = Entry::hash_payload(kind, body);
                    body.to_vec()
                };
                self.spend(payload.len())?;
                record = record.or_else(|| computed_record(&self.space, kind, &entry.payload_hash));
                entry.record = record.ok_or(PackError::Malformed("a record that cannot be computed"))?;
                self.pasts.push_unknown(entry.payload_hash, entry.record);
                payload
            }
            Some(shape) if kind.is_change() => self.change(&mut entry, record, shape)?,
            Some(_) => return Err(PackError::Malformed("a shape for what is no change")),
        };
        if reference < super::REF_FIRST {
            self.records.push(entry.record);
        }
        self.last.insert(entry.record, place);
        Ok((EntryPayload { entry, payload }, shape > 0))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), PackError> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(PackError::TooLarge(
            // What it would inflate to at the least.
            PACK_INFLATED_BYTES_MAX as u64 + 1,
        ))?;
        Ok(())
    }

    fn birth(&mut self) -> Result<BirthOf, PackError> {
        let mut field = String::new();
        self.c.birth_fields.next(&mut field, CHANGE_BYTES_MAX.min(self.bytes_left))?;
        self.spend(field.len())?;
        let kind = u8::try_from(self.c.birth_kinds.next()?).ok().and_then(kind_from_u8);
        Ok(BirthOf { field, kind: kind.ok_or(PackError::Malformed("a birth of unknown kind"))? })
    }

    /// Dependencies, with the place in this pack of those that lie in it.
    fn deps(
        &mut self,
        record: Option<RecordId>,
        count: u32,
    ) -> Result<(Vec<ChangeHash>, Vec<Option<usize>>), PackError> {
        let (mut hashes, mut places) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let at = match self.c.deps.next()? {
                super::DEP_PREVIOUS => {
                    let at = record.and_then(|r| self.last.get(&r));
                    Some(*at.ok_or(PackError::Malformed("a dependency on an entry that is not there"))?)
                }
                super::DEP_HASH => {
                    hashes.push(ChangeHash(array(self.c.hashes.next()?)?));
                    self.hashes += 1;
                    None
                }
                super::DEP_OUTSIDE => Some(self.outside()?),
                n => {
                    let back = usize::try_from(n - super::DEP_BACK).ok().filter(|n| *n > 0);
                    let at = back.and_then(|n| self.pasts.len().checked_sub(n));
                    Some(at.ok_or(PackError::Malformed("a dependency on an entry that is not there"))?)
                }
            };
            if let Some(past) = at.and_then(|at| self.pasts.get(at)) {
                hashes.push(past.hash);
            }
            places.push(at);
        }
        self.spend(32 * hashes.len())?;
        Ok((hashes, places))
    }

    /// The place of an entry of an earlier commit, which is now known.
    fn outside(&mut self) -> Result<usize, PackError> {
        let earlier = self.earlier.ok_or(PackError::Earlier)?;
        let (steps, index) = match &mut self.c.steps {
            Steps::Alone(steps) => (steps.next()?, self.c.indexes.index(COMMIT_ENTRIES_MAX)? as u32),
            Steps::Places(places) => places.next()?,
        };
        self.steps.insert(steps);
        if self.steps.len() > PACK_EARLIER_COMMITS_MAX {
            return Err(PackError::Malformed("more earlier commits than PACK_EARLIER_COMMITS_MAX"));
        }
        let entry = earlier.entry(steps, index).filter(|e| e.entry.kind.is_change()).ok_or(PackError::Earlier)?;
        // Its hash and keys are kept until the pack is read.
        self.spend(entry.payload.len())?;
        Ok(self.pasts.add_outside(&entry))
    }

    fn actor(&self, n: u64) -> Result<ActorId, PackError> {
        let at = usize::try_from(n).ok().and_then(|n| self.actors.get(n)).copied();
        at.ok_or(PackError::Malformed("an actor out of range"))
    }

    fn change(&mut self, entry: &mut Entry, record: Option<RecordId>, shape: usize) -> Result<Vec<u8>, PackError> {
        let out_of_range = PackError::Malformed("a shape out of range");
        let (message, count) = self.known.shapes.get(shape).map(|s| (s.message, s.deps)).ok_or(out_of_range.clone())?;
        let (deps, places) = self.deps(record, count)?;
        let followed = if let Some(Some(at)) = places.first() { self.pasts.outside_record(*at) } else { None };
        let record = record.or(followed);
        entry.record = record.unwrap_or(entry.record);
        let author = match self.c.authors.next()?.checked_sub(1) {
            Some(n) => self.actor(n)?,
            None => match actor_of(entry) {
                ActorOf::Birth(a) | ActorOf::Identity(a) => a,
                ActorOf::Table => {
                    self.pasts.author(&places).ok_or(PackError::Malformed("an actor that cannot be computed"))?
                }
            },
        };
        let seq = self.pasts.seq(&places, &author).wrapping_add(self.c.seqs.signed()? as u64);
        let start_op = self.pasts.start_op(&places).wrapping_add(self.c.starts.signed()? as u64);
        if start_op == 0 || start_op > u64::from(u32::MAX) {
            return Err(PackError::Malformed("a counter out of range"));
        }
        let time = (entry.time.0 as i64).wrapping_add(self.c.change_times.signed()?);
        self.made.text.clear();
        if message {
            self.c.messages.next(&mut self.made.text, CHANGE_BYTES_MAX)?;
        }
        let message = self.made.text.len();
        let preds = self.preds(shape, &places)?;
        let ops = self.values(shape)?;
        let shape_of = self.known.shapes.get(shape).ok_or(out_of_range)?;
        let mut body = Body {
            deps,
            actors: actors(author, &preds),
            seq,
            start_op,
            time,
            message: self.made.text.get(..message).unwrap_or_default(),
            ops: Vec::with_capacity(ops),
            preds: Vec::with_capacity(preds.len()),
        };
        let starts = operations(&self.made, shape_of, &self.known.keys, &preds, &mut body)?;
        let (bytes, hash) = encode_hashed(&body);
        if bytes.len() > CHANGE_BYTES_MAX {
            return Err(PackError::Malformed("a change that is too large"));
        }
        entry.payload_hash = hash.0;
        entry.record = match record {
            Some(record) => record,
            None => computed_record(&self.space, entry.kind, &hash.0)
                .ok_or(PackError::Malformed("a record that cannot be computed"))?,
        };
        let before = if let [at] = places.as_slice() { *at } else { None };
        let last = self.known.last.get(shape).map(Vec::as_slice).unwrap_or_default();
        let last = last.iter().filter_map(|(key, at)| Some((*key, *starts.get(*at as usize)?)));
        self.pasts.push((hash.0, entry.record), &body, before, last);
        self.bytes_left =
            self.bytes_left.checked_sub(bytes.len()).ok_or(PackError::TooLarge(PACK_INFLATED_BYTES_MAX as u64 + 1))?;
        Ok(bytes)
    }

    /// The predecessors of each step.
    fn preds(&mut self, shape: usize, places: &[Option<usize>]) -> Result<Vec<(u32, u64, Option<ActorId>)>, PackError> {
        let steps = self.known.shapes.get(shape).map(|s| s.steps.as_slice()).unwrap_or_default();
        let mut out = Vec::new();
        for (i, step) in (0..).zip(steps) {
            match step.preds {
                Preds::Named(0) => {}
                Preds::Known => {
                    let (actor, counter) = self
                        .pasts
                        .last(places, step.key, self.known.keys.get(step.key as usize).copied().unwrap_or_default())
                        .ok_or(PackError::Malformed("a predecessor that cannot be computed"))?;
                    out.push((i, counter, Some(actor)));
                }
                Preds::Named(n) => {
                    self.ops_left = self
                        .ops_left
                        .checked_sub(n as usize)
                        .ok_or(PackError::Malformed("more operations than PACK_OPS_MAX"))?;
                    for _ in 0..n {
                        let counter = self.c.pred_counters.next()?;
                        let at = self.c.pred_actors.next()?;
                        let known = at.checked_sub(1).map(|at| {
                            let at = usize::try_from(at).ok().and_then(|at| self.actors.get(at)).copied();
                            at.ok_or(PackError::Malformed("an actor out of range"))
                        });
                        out.push((i, counter, known.transpose()?));
                    }
                }
            }
        }
        if out.len() as u64 > CHANGE_OPS_MAX {
            return Err(PackError::Malformed("a change with too many predecessors"));
        }
        Ok(out)
    }

    /// Reads the values of a change's steps; how many operations they make.
    fn values(&mut self, shape: usize) -> Result<usize, PackError> {
        let made = &mut self.made;
        made.values.clear();
        made.items.clear();
        let steps = self.known.shapes.get(shape).map(|s| s.steps.as_slice()).unwrap_or_default();
        let of = self.sources.of.get(shape).map(Vec::as_slice).unwrap_or_default();
        let mut ops = steps.len();
        for (step, at) in steps.iter().zip(of) {
            let room = CHANGE_BYTES_MAX.saturating_sub(made.text.len()).min(self.bytes_left);
            let from = made.text.len();
            let value = match self.sources.columns.get_mut(*at as usize) {
                None | Some(Source::Nothing) => Value::Scalar(Scalar::Null),
                Some(Source::Numbers(c)) => Value::Scalar(number(step.class, c.next()?)),
                Some(Source::Blobs(c)) => Value::Scalar(match step.class {
                    Class::F64 => Scalar::F64(f64::from_bits(u64::from_le_bytes(array(c.next()?)?))),
                    _ => Scalar::Bytes(c.next()?),
                }),
                Some(Source::Texts(c)) => {
                    c.next(&mut made.text, room)?;
                    if step.class == Class::Text {
                        ops += made.text.get(from..).unwrap_or_default().chars().count();
                    }
                    Value::Text(from, made.text.len())
                }
                Some(Source::Lists(counts, c)) => {
                    let count = counts.index(self.ops_left.min(CHANGE_OPS_MAX as usize))?;
                    let first = made.items.len();
                    for _ in 0..count {
                        let room = CHANGE_BYTES_MAX.saturating_sub(made.text.len());
                        c.next(&mut made.text, room)?;
                        made.items.push(made.text.len());
                    }
                    ops += count;
                    Value::Items { first, count, from }
                }
            };
            if ops as u64 > CHANGE_OPS_MAX {
                return Err(PackError::Malformed("a change with too many operations"));
            }
            made.values.push(value);
        }
        self.ops_left =
            self.ops_left.checked_sub(ops).ok_or(PackError::Malformed("more operations than PACK_OPS_MAX"))?;
        Ok(ops)
    }
}

fn number(class: Class, n: u64) -> Scalar<'static> {
    let signed = super::numbers::unzigzag(n);
    match class {
        Class::Bool => Scalar::Bool(n != 0),
        Class::Uint => Scalar::Uint(n),
        Class::Counter => Scalar::Counter(signed),
        Class::Timestamp => Scalar::Timestamp(signed),
        Class::Int
        | Class::Increment
        | Class::Null
        | Class::F64
        | Class::Str
        | Class::Bytes
        | Class::Text
        | Class::List
        | Class::Set
        | Class::Delete => Scalar::Int(signed),
    }
}

/// The author, then every other actor that is named, ascending.
fn actors(author: ActorId, preds: &[(u32, u64, Option<ActorId>)]) -> Vec<ActorId> {
    let mut others: Vec<ActorId> = preds.iter().filter_map(|(_, _, a)| *a).filter(|a| *a != author).collect();
    others.sort_unstable();
    others.dedup();
    let mut out = Vec::with_capacity(others.len() + 1);
    out.push(author);
    out.append(&mut others);
    out
}

/// The place of an actor: the author's is 0, the others stand in order.
fn place_of(actors: &[ActorId], actor: &ActorId) -> u32 {
    match actors.split_first() {
        Some((author, others)) if author != actor => others.binary_search(actor).map_or(0, |at| at as u32 + 1),
        Some(_) | None => 0,
    }
}

/// Puts the operations together; the counter of each step's own.
fn operations<'t>(
    made: &'t Made<'t>,
    shape: &Shape,
    keys: &[&'t str],
    preds: &[(u32, u64, Option<ActorId>)],
    body: &mut Body<'t>,
) -> Result<Vec<u64>, PackError> {
    let mut starts = Vec::with_capacity(shape.steps.len());
    let mut left = preds.iter().peekable();
    let part = |from: usize, to: usize| made.text.get(from..to).unwrap_or_default();
    for ((i, step), value) in (0..).zip(&shape.steps).zip(&made.values) {
        let counter = body.start_op + body.ops.len() as u64;
        starts.push(counter);
        let key = Key::Map(keys.get(step.key as usize).copied().unwrap_or_default());
        let pred_at = body.preds.len() as u32;
        while let Some((_, counter, actor)) = left.next_if(|p| p.0 == i) {
            let actor = actor.map_or(0, |a| place_of(&body.actors, &a));
            body.preds.push(OpId { counter: *counter, actor });
        }
        let pred_len = body.preds.len() as u32 - pred_at;
        let action = match step.class {
            Class::Text => Action::MakeText,
            Class::List => Action::MakeList,
            Class::Set => Action::MakeMap,
            Class::Delete => Action::Delete,
            Class::Increment => Action::Increment,
            Class::Null
            | Class::Bool
            | Class::Uint
            | Class::Int
            | Class::F64
            | Class::Str
            | Class::Bytes
            | Class::Counter
            | Class::Timestamp => Action::Set,
        };
        let scalar = match (step.class, value) {
            (Class::Str, Value::Text(from, to)) => Scalar::Str(part(*from, *to)),
            (_, Value::Scalar(scalar)) => *scalar,
            (_, Value::Text(..) | Value::Items { .. }) => Scalar::Null,
        };
        body.ops.push(Op { obj: Obj::Root, key, insert: false, action, value: scalar, pred_at, pred_len });
        fill(body, step.class, value, counter, made)?;
    }
    Ok(starts)
}

/// What a text, list or set was filled with.
fn fill<'t>(
    body: &mut Body<'t>,
    class: Class,
    value: &Value<'t>,
    made_by: u64,
    made: &'t Made<'t>,
) -> Result<(), PackError> {
    let obj = Obj::Op(OpId { counter: made_by, actor: 0 });
    let pred_at = body.preds.len() as u32;
    let mut after = Key::Head;
    let mut insert = |body: &mut Body<'t>, text: &'t str| {
        let counter = body.start_op + body.ops.len() as u64;
        let (action, value) = (Action::Set, Scalar::Str(text));
        body.ops.push(Op { obj, key: after, insert: true, action, value, pred_at, pred_len: 0 });
        after = Key::Elem(OpId { counter, actor: 0 });
    };
    match (class, value) {
        (Class::Text, Value::Text(from, to)) => {
            let text = made.text.get(*from..*to).unwrap_or_default();
            for (at, c) in text.char_indices() {
                insert(body, text.get(at..at + c.len_utf8()).unwrap_or_default());
            }
        }
        (Class::List | Class::Set, Value::Items { first, count, from }) => {
            let mut start = *from;
            let ends = made.items.get(*first..first + count);
            for end in ends.ok_or(PackError::Malformed("items that are not there"))? {
                let text = made.text.get(start..*end).unwrap_or_default();
                start = *end;
                if class == Class::List {
                    insert(body, text);
                } else {
                    let (action, value) = (Action::Set, Scalar::Bool(true));
                    let key = Key::Map(text);
                    body.ops.push(Op { obj, key, insert: false, action, value, pred_at, pred_len: 0 });
                }
            }
        }
        (_, _) => {}
    }
    Ok(())
}
