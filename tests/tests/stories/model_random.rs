//! Random small histories, rightful and hostile, beside the plain model.
//!
//! It does not: open links. Commits are made by hand and handed to three relays in three orders.
//!
//! Invariants: everything follows from the seed; whatever the order of arrival, every replica says
//! what the model says, and those that hold the same say the same.

use crate::three_levels;
use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{Change, ExpandedChange, ObjType, ScalarValue};
use ed25519_dalek::SigningKey;
use sampan_core::engine::IntakeError;
use sampan_core::hash::{CHUNK_PREFIX, change_hash, whole_chunk};
use sampan_core::id::{ActorId, ChangeHash, CommitId, DeviceId, Flow, Incarnation, Nonce, RecordId, SpaceId, UnitId};
use sampan_core::limits::COUNTER_STEP_MAX;
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{BirthOf, Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use sampan_core::pack::{self, PackScope, Stored};
use sampan_core::record::{self, ids};
use sampan_core::testing::village::Village;
use sampan_core::testing::{SeededRng, test_key};
use sampan_core::value::{Kind, Value};
use sampan_core::wire::frame::Group;
use sampan_tests::model::change::{self, Reading};
use sampan_tests::model::{Dump, Model, ModelStatus, disagreements};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

/// A change that was made, with what later ones need to know of it.
#[derive(Clone)]
struct Made {
    hash: ChangeHash,
    bytes: Vec<u8>,
    by: usize,
    actor: ActorId,
    seq: u64,
    start_op: u64,
    ops: Vec<Op>,
    past: BTreeSet<usize>,
    kind: EntryKind,
    birth: Option<BirthOf>,
}

struct Record {
    id: RecordId,
    space: SpaceId,
    made: Vec<Made>,
}

struct Author {
    key: SigningKey,
    nonce: Nonce,
    tips: BTreeMap<SpaceId, Vec<(CommitId, u64)>>,
}

impl Author {
    fn actor(&self) -> ActorId {
        ActorId::of(&device_id(&self.key), &self.nonce)
    }
}

struct World {
    rng: SeededRng,
    v: Village,
    branch: UnitId,
    authors: Vec<Author>,
    records: Vec<Record>,
    commits: Vec<Commit>,
}

const KEYS: [&str; 4] = ["a", "b", "notes", "count"];

fn am(actor: &ActorId) -> automerge::ActorId {
    automerge::ActorId::from(actor.0)
}

impl World {
    fn new(seed: u64) -> Self {
        let (v, _, branch) = three_levels(seed % 50 + 100);
        let author = |n: u64| {
            let nonce = Nonce([n as u8 + 1; 16]);
            Author { key: test_key(500_000 + n), nonce, tips: BTreeMap::new() }
        };
        let authors = (0..4).map(author).collect();
        let mut w = Self { rng: SeededRng::new(seed), v, branch, authors, records: Vec::new(), commits: Vec::new() };
        for by in [0, 1] {
            w.grant(by);
        }
        w
    }

    /// The district lets a key write in the branch; the last author never is.
    fn grant(&mut self, by: usize) {
        let (key, branch) = (device_id(&self.authors[by].key), self.branch);
        self.v.grant(1, branch, key);
        self.v.sync(1, 0);
        self.v.sync(2, 1);
    }

    fn space(&mut self) -> SpaceId {
        let reach = u8::from(self.rng.one_in(12));
        SpaceId { unit: self.branch, flow: Flow::Up, reach }
    }

    fn new_record(&mut self) {
        let space = self.space();
        let by = self.rng.below(4) as usize;
        let actor = self.authors[by].actor();
        let now = self.v.now;
        let (id, bytes, kind) = if self.rng.one_in(3) {
            let keys = vec![("directive".to_owned(), format!("d{}", self.rng.below(2)))];
            let id = ids::identity_id(&self.v.org, &self.branch, "members", &keys);
            let values = keys.into_iter().map(|(k, v)| (k, Value::Str(v))).collect();
            (id, record::identity_creation(&id, &values).unwrap().bytes, EntryKind::Identity)
        } else {
            let fields = [
                ("a".to_owned(), (Kind::String, Value::Str("x".into()))),
                ("notes".to_owned(), (Kind::Text, Value::Text("ab".into()))),
                ("count".to_owned(), (Kind::Counter, Value::Counter(3))),
            ];
            let n = [self.rng.below(256) as u8; 6];
            let made = record::create(&actor, now, n, &fields.into_iter().collect()).unwrap();
            (ids::record_id(&space, &made.hash), made.bytes, EntryKind::Change)
        };
        let made = self.known(bytes, by, BTreeSet::new(), kind, None);
        match self.records.iter_mut().find(|r| r.id == id) {
            Some(_) => {}
            None => self.records.push(Record { id, space, made: vec![made] }),
        }
    }

    fn known(&self, bytes: Vec<u8>, by: usize, past: BTreeSet<usize>, kind: EntryKind, birth: Option<BirthOf>) -> Made {
        let change = Change::try_from(bytes.as_slice()).unwrap();
        let actor = ActorId::from_slice(change.actor_id().to_bytes()).unwrap();
        let (hash, seq, start_op) = (ChangeHash(change.hash().0), change.seq(), change.start_op().get());
        let ops = change.decode().operations;
        Made { hash, bytes, by, actor, seq, start_op, ops, past, kind, birth }
    }

    /// An edit of a record, on top of some of its changes; sometimes wrong in one way.
    fn edit(&mut self, at: usize) {
        let by = self.rng.below(4) as usize;
        let len = self.records[at].made.len() as u64;
        if self.rng.one_in(6) {
            return self.birth(at, by);
        }
        let mut deps: BTreeSet<usize> = BTreeSet::new();
        for _ in 0..=self.rng.below(2) {
            let near = len.min(4);
            deps.insert((len - 1 - self.rng.below(near)) as usize);
        }
        let record = &self.records[at];
        let mut past = deps.clone();
        deps.iter().for_each(|d| past.extend(&record.made[*d].past));
        let ancestors: Vec<&Made> = past.iter().map(|i| &record.made[*i]).collect();
        let actor = self.authors[by].actor();
        let mut seq = 1 + ancestors.iter().filter(|m| m.actor == actor).map(|m| m.seq).max().unwrap_or(0);
        let top = ancestors.iter().map(|m| m.start_op + m.ops.len() as u64 - 1).max().unwrap_or(0);
        let mut start_op = top + 1;
        let ids: Vec<(OpId, Op)> = ancestors
            .iter()
            .flat_map(|m| {
                let actor = am(&m.actor);
                (m.start_op..).zip(&m.ops).map(move |(n, op)| (OpId(n, actor.clone()), op.clone()))
            })
            .collect();
        let hashes = deps.iter().map(|d| automerge::ChangeHash(record.made[*d].hash.0)).collect();
        let mut operations = Vec::new();
        for _ in 0..=self.rng.below(2) {
            operations.push(operation(&mut self.rng, &ids));
        }
        let mut time = self.v.now.0 as i64;
        let mut extra_bytes = Vec::new();
        match self.rng.below(40) {
            0 => seq += 1,
            1 => start_op += 1,
            2 => start_op -= 1,
            3 => time = -1,
            4 => extra_bytes = vec![1, 2],
            5 => seq = 0,
            6 => start_op = u64::from(u32::MAX),
            7..=13 => bend(&mut self.rng, &mut operations[0], &ids),
            _ => {}
        }
        let Some(start_op) = NonZeroU64::new(start_op) else { return };
        let (actor_id, message) = (am(&actor), None);
        let expanded = ExpandedChange {
            operations,
            actor_id,
            hash: None,
            seq,
            start_op,
            time,
            message,
            deps: hashes,
            extra_bytes,
            author: None,
        };
        let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Change::from(expanded)));
        // Automerge cannot write counters above 32 bits.
        let Ok(built) = built else { return };
        let mut bytes = built.raw_bytes().to_vec();
        if self.rng.one_in(12) {
            // Damage behind a right checksum reaches the reader.
            // (Past the length of the chunk: a pack could not carry another.)
            let at = 11 + self.rng.below(bytes.len() as u64 - 11) as usize;
            bytes[at] = self.rng.below(256) as u8;
            bytes = rewrapped(&bytes[CHUNK_PREFIX..]);
        }
        // Only what can be read can be built upon well; the rest keeps its hash.
        let made = match change::read(&bytes) {
            Reading::Fine(_) => Some(self.known(bytes.clone(), by, past.clone(), EntryKind::Change, None)),
            Reading::Malformed(_) | Reading::NeedsNewer(_) => None,
        };
        let hash = change_hash(&bytes[CHUNK_PREFIX..]);
        let made = made.unwrap_or(Made {
            hash,
            bytes,
            by,
            actor,
            seq,
            start_op: start_op.get(),
            ops: Vec::new(),
            past,
            kind: EntryKind::Change,
            birth: None,
        });
        self.records[at].made.push(made);
    }

    fn birth(&mut self, at: usize, by: usize) {
        let record = &self.records[at];
        let first = &record.made[0];
        let max_op = first.start_op + first.ops.len() as u64 - 1 + u64::from(self.rng.one_in(8));
        let kind = [Kind::Text, Kind::List, Kind::Set, Kind::Counter][self.rng.below(4) as usize];
        let field = ["late", "notes"][self.rng.below(2) as usize];
        let Some(change) = record::birth(&record.id, &first.hash, max_op, field, kind) else { return };
        let kind = if self.rng.one_in(8) { Kind::Text } else { kind };
        let birth = Some(BirthOf { field: field.to_owned(), kind });
        let made = self.known(change.bytes, by, [0].into(), EntryKind::Birth, birth);
        self.records[at].made.push(made);
    }

    fn entry(&mut self, at: usize, n: usize) -> (SpaceId, EntryPayload) {
        let made = self.records[at].made[n].clone();
        let kind = match self.rng.below(15) {
            0 => EntryKind::Identity,
            1 => EntryKind::Change,
            _ => made.kind,
        };
        let collection = if self.rng.one_in(15) { "meetings" } else { "members" };
        let other = self.rng.below(self.records.len() as u64) as usize;
        let record = self.records[if self.rng.one_in(20) { other } else { at }].id;
        let space = if self.rng.one_in(12) { self.space() } else { self.records[at].space };
        // A pack carries a field for births and for nothing else.
        let birth = (kind == EntryKind::Birth).then_some(made.birth).flatten();
        let payload_hash = Entry::hash_payload(kind, &made.bytes);
        let (collection, time) = (collection.to_owned(), self.v.now);
        let entry = Entry { kind, record, collection, payload_hash, time, birth };
        (space, EntryPayload { entry, payload: made.bytes })
    }

    /// Commits of what was made: mostly by its author, some entries twice, some never.
    fn seal(&mut self) {
        let mut by_log: BTreeMap<(usize, SpaceId), Vec<EntryPayload>> = BTreeMap::new();
        for at in 0..self.records.len() {
            for n in 0..self.records[at].made.len() {
                if self.rng.one_in(14) {
                    continue;
                }
                for _ in 0..=u64::from(self.rng.one_in(8)) {
                    let by = if self.rng.one_in(12) { self.rng.below(4) as usize } else { self.records[at].made[n].by };
                    let (space, entry) = self.entry(at, n);
                    by_log.entry((by, space)).or_default().push(entry);
                }
            }
        }
        for ((by, space), entries) in by_log {
            let mut left = entries.as_slice();
            while !left.is_empty() {
                let take = (1 + self.rng.below(4) as usize).min(left.len());
                let (now, rest) = left.split_at(take);
                left = rest;
                self.commit(by, space, now.to_vec());
            }
        }
    }

    fn commit(&mut self, by: usize, space: SpaceId, entries: Vec<EntryPayload>) {
        let fork = self.rng.one_in(6);
        let secret = [self.rng.below(256) as u8; 16];
        let author = &mut self.authors[by];
        let tips = author.tips.entry(space).or_default();
        // A fork builds on what the tip built on: here, on the first commit alone.
        let parent = if fork { tips.first() } else { tips.last() }.copied();
        let header = Header {
            format: FORMAT,
            org: self.v.org,
            space,
            device: device_id(&author.key),
            incarnation: Incarnation(author.nonce.0),
            sequence: 1 + parent.map_or(0, |(_, s)| s),
            parents: parent.iter().map(|(id, _)| *id).collect(),
            nonce: author.nonce,
            charter_heads: Vec::new(),
            time: self.v.now,
            entries: 0,
            root: [0; 32],
        };
        let commit = Commit::seal(&author.key, header, Payload { secret: secret.into(), entries }).unwrap();
        tips.push((commit.id(), commit.header().sequence));
        self.commits.push(commit);
    }

    fn give(&mut self, to: usize, commit: &Commit) -> Result<(), IntakeError> {
        let scope = PackScope { org: self.v.org, space: commit.header().space };
        let pack = pack::encode(&scope, &[commit.payload()], &Stored);
        let group = Group { headers: vec![commit.head().signed().clone()], pack };
        let (now, from) = (self.v.now, DeviceId([9; 32]));
        let r = &mut self.v.replicas[to];
        r.engine.intake(&mut *r.store, &mut r.rng, from, &[group], &|_, _| true, now).map(|_| ())
    }
}

fn rewrapped(body: &[u8]) -> Vec<u8> {
    whole_chunk(body, &change_hash(body))
}

/// One operation that fits these earlier ones.
fn operation(rng: &mut SeededRng, ids: &[(OpId, Op)]) -> Op {
    let key = KEYS[rng.below(4) as usize];
    let root = |op: &Op| op.obj == ObjectId::Root && matches!(&op.key, Key::Map(k) if k.as_str() == key);
    let value = |op: &Op| matches!(op.action, OpType::Put(_) | OpType::Make(_));
    let at_key: Vec<OpId> = ids.iter().filter(|(_, op)| root(op) && value(op)).map(|(id, _)| id.clone()).collect();
    let plain = |action, pred: Vec<OpId>| Op {
        action,
        obj: ObjectId::Root,
        key: Key::Map(key.into()),
        pred: pred.into(),
        insert: false,
    };
    let texts: Vec<&OpId> =
        ids.iter().filter(|(_, op)| op.action == OpType::Make(ObjType::Text)).map(|(id, _)| id).collect();
    if !texts.is_empty() && rng.one_in(3) {
        let text = texts[rng.below(texts.len() as u64) as usize];
        let obj = ObjectId::Id(text.clone());
        let letters: Vec<&OpId> = ids.iter().filter(|(_, op)| op.obj == obj && op.insert).map(|(id, _)| id).collect();
        let pick = |rng: &mut SeededRng| letters.get(rng.below(letters.len().max(1) as u64) as usize).copied();
        if let Some(letter) = pick(rng).filter(|_| rng.one_in(3)) {
            let key = Key::Seq(ElementId::Id(letter.clone()));
            return Op { action: OpType::Delete, obj, key, pred: vec![letter.clone()].into(), insert: false };
        }
        let after = pick(rng).filter(|_| !rng.one_in(3)).map_or(ElementId::Head, |l| ElementId::Id(l.clone()));
        let action = OpType::Put(ScalarValue::Str("z".into()));
        return Op { action, obj, key: Key::Seq(after), pred: Vec::new().into(), insert: true };
    }
    let counters: Vec<OpId> = ids
        .iter()
        .filter(|(_, op)| root(op) && matches!(op.action, OpType::Put(ScalarValue::Counter(_))))
        .map(|(id, _)| id.clone())
        .collect();
    match rng.below(8) {
        0 if !at_key.is_empty() => plain(OpType::Delete, at_key),
        1 | 2 if !counters.is_empty() => plain(OpType::Increment(rng.below(9) as i64 - 4), counters),
        3 => plain(OpType::Make(ObjType::Text), at_key),
        4 => plain(OpType::Put(ScalarValue::counter(1)), at_key),
        5 => Op { key: Key::Map("_removed".into()), ..plain(OpType::Put(ScalarValue::Boolean(true)), Vec::new()) },
        n => plain(OpType::Put(ScalarValue::Int(n as i64)), if rng.one_in(5) { Vec::new() } else { at_key }),
    }
}

/// Makes one operation wrong, or at least odd.
fn bend(rng: &mut SeededRng, op: &mut Op, ids: &[(OpId, Op)]) {
    let any = |rng: &mut SeededRng| ids[rng.below(ids.len() as u64) as usize].0.clone();
    match rng.below(14) {
        0 => op.obj = ObjectId::Id(any(rng)),
        1 => op.obj = ObjectId::Root,
        2 => op.key = Key::Seq(ElementId::Id(any(rng))),
        3 => op.key = Key::Seq(ElementId::Head),
        4 => op.key = Key::Map("b".into()),
        5 => op.insert = !op.insert,
        6 => op.action = OpType::Delete,
        7 => op.action = OpType::Increment(COUNTER_STEP_MAX as i64 * (1 - 2 * (rng.below(2) as i64)) * 2),
        8 => op.action = OpType::Make(ObjType::Table),
        9 => op.action = OpType::MarkEnd(true),
        10 => op.pred = Vec::new().into(),
        11 => op.pred = vec![any(rng)].into(),
        12 => op.pred = vec![OpId(1, am(&ActorId([0xee; 16])))].into(),
        _ => {
            let one = any(rng);
            op.pred = vec![one.clone(), one].into();
        }
    }
}

/// One history from its seed; what went wrong, as sentences.
fn history(seed: u64, seen: &mut BTreeMap<ModelStatus, usize>) -> Vec<String> {
    let mut w = World::new(seed);
    for _ in 0..1 + w.rng.below(3) {
        w.new_record();
    }
    for _ in 0..w.rng.below(24) {
        let at = w.rng.below(w.records.len() as u64) as usize;
        w.edit(at);
    }
    w.seal();
    let mut out = Vec::new();
    let mut model = Model::new(w.v.org);
    let late = w.rng.below(w.commits.len() as u64 + 1);
    for to in [0, 1] {
        let mut waiting: Vec<Commit> = w.commits.clone();
        for i in (1..waiting.len()).rev() {
            waiting.swap(i, w.rng.below(i as u64 + 1) as usize);
        }
        let (mut step, mut refused) = (0, 0);
        while !waiting.is_empty() && refused <= waiting.len() {
            let commit = waiting.remove(0);
            match w.give(to, &commit) {
                Ok(()) => refused = 0,
                Err(IntakeError::PeerOrder(_)) => {
                    refused += 1;
                    waiting.push(commit);
                    continue;
                }
                Err(e) => out.push(format!("replica {to} refused commit {}: {e}", commit.id())),
            }
            if step == late && to == 0 {
                // The third author's right arrives in the middle, at both.
                w.grant(2);
            }
            step += 1;
            if step % 5 == 0 || waiting.is_empty() {
                let r = &w.v.replicas[to];
                out.extend(
                    disagreements(&mut model, &*r.store, &r.engine)
                        .unwrap()
                        .into_iter()
                        .map(|s| format!("replica {to}, step {step}: {s}")),
                );
            }
            if !out.is_empty() {
                return out;
            }
        }
    }
    let dump = |at: usize| Dump::of(&*w.v.replicas[at].store, &w.v.replicas[at].engine).unwrap().statuses;
    let (one, two) = (dump(0), dump(1));
    one.values().for_each(|s| *seen.entry(*s).or_default() += 1);
    if one != two {
        out.push("two replicas hold the same and say different things".to_owned());
    }
    out
}

#[test]
fn random_histories_are_as_the_model_says() {
    let from = std::env::var("SAMPAN_MODEL_FROM").ok().and_then(|n| n.parse().ok()).unwrap_or(0u64);
    let seeds = std::env::var("SAMPAN_MODEL_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100u64);
    let (mut wrong, mut seen) = (Vec::new(), BTreeMap::new());
    for seed in from..from + seeds {
        let found = history(seed, &mut seen);
        if !found.is_empty() {
            wrong.push(format!("seed {seed}:\n  {}", found.join("\n  ")));
        }
        if wrong.len() >= 8 {
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{seen:?}");
    assert_eq!(seen.len(), 6, "a status that never occurs is not tested: {seen:?}");
}
