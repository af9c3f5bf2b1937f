//! What a hostile device sends: changes that crash or upset Automerge, and commits around them.
//!
//! It does not: send anything, or break a signature (a rightful author signs what is below, and every
//! byte arrives as it was made).
//!
//! Invariants: everything follows from the seed; every change comes out of a pack as it went in; what
//! becomes of a change holds whatever else of the list arrives with it, in any order.

mod commits;
mod raw;

pub use commits::{Place, commit, creation, entry, flood, fork, group, stranger};
pub use raw::Raw;

use crate::change::{Action, Body, Key, Obj, Op, OpId, Parsed, Scalar, encode_body};
use crate::entropy::random;
use crate::hash::{CHUNK_PREFIX, change_hash, whole_chunk};
use crate::id::{ActorId, ChangeHash};
use crate::limits::{CHANGE_BYTES_MAX, CHANGE_DEPS_MAX, CHANGE_OPS_MAX, COUNTER_STEP_MAX};
use crate::store::Status;
use crate::testing::SeededRng;
use crate::time::MAX_MILLIS;
use raw::put;

/// A change to send, and what must become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostileChange {
    /// What is wrong with it.
    pub name: &'static str,
    /// Changes of the same actor that belong to the trick and go before it.
    pub before: Vec<Vec<u8>>,
    /// The chunk.
    pub bytes: Vec<u8>,
    /// What it is everywhere, once it and `before` have arrived beside the honest record.
    pub expect: Status,
}

/// Every trick, on top of an honest record: `base` are its changes, of which all stand; `actor` is the
/// one of the commits that will carry the tricks. Their order follows the names' families, not the seed.
///
/// # Panics
/// When `base` is empty or holds what is no change: a fault of the test.
#[must_use]
pub fn changes(base: &[Vec<u8>], actor: ActorId, rng: &mut SeededRng) -> Vec<HostileChange> {
    let past = Past::of(base);
    let mut list = List { past: &past, actor, word: format!("kẻ xấu {:016x}", rng.next_u64()), out: Vec::new() };
    list.history(rng);
    list.headers(rng);
    list.references();
    list.operations();
    list.bytes(rng);
    list.beyond_the_format(rng);
    list.out
}

/// A change of `actor` on top of `base`, with one field set to `word`, changed by `edit`; honest if
/// `edit` does nothing.
#[must_use]
pub fn next(base: &[Vec<u8>], actor: ActorId, word: &str, edit: impl FnOnce(&mut Body<'_>)) -> Vec<u8> {
    let past = Past::of(base);
    let mut body = past.body(actor, word);
    edit(&mut body);
    encode_body(&body)
}

/// An honest change, changed by `edit` and wrapped up again with a right checksum.
#[must_use]
pub fn altered(honest: &[u8], edit: impl FnOnce(&mut Body<'_>)) -> Vec<u8> {
    let parsed = honest_change(honest);
    let mut body = parsed.body().clone();
    edit(&mut body);
    encode_body(&body)
}

fn honest_change(bytes: &[u8]) -> Parsed<'_> {
    Parsed::read(bytes).unwrap_or_else(|e| panic!("the test starts from a change that is none: {e}"))
}

/// A chunk of this type around this content; the checksum is what a pack's reader will put there.
#[must_use]
pub fn chunk(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    put(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    wrapped(&out)
}

fn wrapped(hashed: &[u8]) -> Vec<u8> {
    whole_chunk(hashed, &change_hash(hashed))
}

/// What an honest record comes to.
struct Past<'a> {
    changes: Vec<Parsed<'a>>,
    heads: Vec<ChangeHash>,
    max_op: u64,
}

impl<'a> Past<'a> {
    fn of(base: &'a [Vec<u8>]) -> Self {
        let changes: Vec<Parsed<'a>> = base.iter().map(|b| honest_change(b)).collect();
        let named = |hash: &ChangeHash| changes.iter().any(|c| c.deps.contains(hash));
        let mut heads: Vec<ChangeHash> = changes.iter().map(Parsed::hash).filter(|h| !named(h)).collect();
        heads.sort_unstable();
        let max_op = changes.iter().map(|c| c.max_op()).max().unwrap_or(0);
        assert!(max_op > 0, "the honest record has no operation");
        Self { changes, heads, max_op }
    }

    fn sequence(&self, actor: ActorId) -> u64 {
        self.changes.iter().filter(|c| c.actor() == actor).map(|c| c.seq).max().unwrap_or(0)
    }

    /// The next change of an actor: sets one field.
    fn body<'w>(&self, actor: ActorId, word: &'w str) -> Body<'w> {
        let (key, value) = (Key::Map("later"), Scalar::Str(word));
        let op = Op { obj: Obj::Root, key, insert: false, action: Action::Set, value, pred_at: 0, pred_len: 0 };
        Body {
            deps: self.heads.clone(),
            actors: vec![actor],
            seq: self.sequence(actor) + 1,
            start_op: self.max_op + 1,
            time: self.changes.iter().map(|c| c.time).max().unwrap_or(0),
            message: "",
            ops: vec![op],
            preds: Vec::new(),
        }
    }

    /// The first operation of the record for which `wanted` holds: its counter and actor.
    fn find(&self, wanted: impl Fn(&Op<'_>) -> bool) -> Option<(u64, ActorId)> {
        self.changes
            .iter()
            .find_map(|c| c.ops_with_counters().find(|(_, op)| wanted(op)).map(|(counter, _)| (counter, c.actor())))
    }
}

struct List<'p, 'a> {
    past: &'p Past<'a>,
    actor: ActorId,
    word: String,
    out: Vec<HostileChange>,
}

impl List<'_, '_> {
    fn add(&mut self, name: &'static str, expect: Status, bytes: Vec<u8>) {
        self.out.push(HostileChange { name, before: Vec::new(), bytes, expect });
    }

    /// The next change, with another word each time, so that no two tricks are one change.
    fn made(&self, edit: impl FnOnce(&mut Body<'_>)) -> Vec<u8> {
        let word = format!("{} {}", self.word, self.out.len());
        let mut body = self.past.body(self.actor, &word);
        edit(&mut body);
        encode_body(&body)
    }

    fn edited(&mut self, name: &'static str, expect: Status, edit: impl FnOnce(&mut Body<'_>)) {
        let bytes = self.made(edit);
        self.add(name, expect, bytes);
    }

    fn raw(&self) -> Raw {
        Raw::of(&self.made(|_| {}))
    }

    /// Sequences, counters and dependencies against the causal past.
    fn history(&mut self, rng: &mut SeededRng) {
        use Status::{Blocked, Malformed, Pending};
        self.edited("sequence-gap", Malformed, |b| b.seq += 1 + rng.below(9));
        if self.past.sequence(self.actor) > 0 {
            self.edited("sequence-of-an-ancestor", Malformed, |b| b.seq -= 1);
        }
        self.edited("start-op-too-high", Malformed, |b| b.start_op += 1 + rng.below(9));
        self.edited("start-op-too-low", Malformed, |b| b.start_op -= 1);
        self.edited("start-op-at-the-top", Malformed, |b| b.start_op = u64::from(u32::MAX) - 1);
        self.edited("dependency-absent", Pending, |b| {
            b.deps.push(ChangeHash(random(rng)));
            b.deps.sort_unstable();
        });
        self.edited("second-creation", Malformed, |b| {
            b.deps.clear();
            (b.seq, b.start_op) = (1, 1);
        });
        let stranger = ActorId(random(rng));
        self.edited("wrong-actor", Malformed, |b| (b.actors[0], b.seq) = (stranger, 1));
        let twins = [self.made(|b| b.message = "một"), self.made(|b| b.message = "hai")];
        let mut twins = twins.map(|t| (honest_change(&t).hash(), t));
        twins.sort();
        let [(_, lower), (_, higher)] = twins;
        let name = "one-sequence-twice";
        self.out.push(HostileChange { name, before: vec![lower], bytes: higher, expect: Blocked });
        let gap = self.made(|b| (b.seq, b.message) = (b.seq + 1, "cha"));
        self.child("child-of-malformed", gap, Blocked);
        let newer = self.made(|b| (b.ops[0].action, b.ops[0].value) = (Action::MakeTable, Scalar::Null));
        self.child("child-of-needs-newer", newer, Pending);
    }

    /// A change that is right but for its parent.
    fn child(&mut self, name: &'static str, parent: Vec<u8>, expect: Status) {
        let hash = change_hash(&parent[CHUNK_PREFIX..]);
        let bytes = self.made(|b| {
            b.deps = vec![hash];
            b.seq += 1;
            b.start_op += 1;
        });
        self.out.push(HostileChange { name, before: vec![parent], bytes, expect });
    }

    /// What the change says of itself.
    fn headers(&mut self, rng: &mut SeededRng) {
        use Status::Malformed;
        self.edited("sequence-zero", Malformed, |b| b.seq = 0);
        self.edited("start-op-zero", Malformed, |b| b.start_op = 0);
        self.edited("start-op-beyond-32-bits", Malformed, |b| {
            b.start_op = u64::from(u32::MAX) + 1 + rng.below(1 << 40)
        });
        self.edited("start-op-of-64-bits", Malformed, |b| b.start_op = u64::MAX - 1);
        self.edited("time-before-1970", Malformed, |b| b.time = -1);
        self.edited("time-after-9999", Malformed, |b| b.time = MAX_MILLIS as i64 + 1);
        self.edited("dependency-twice", Malformed, |b| b.deps.push(b.deps[b.deps.len() - 1]));
        let (low, high) = (ChangeHash([1; 32]), ChangeHash([2; 32]));
        self.edited("dependencies-unsorted", Malformed, |b| b.deps = vec![high, low]);
        let other = ActorId(random(rng));
        self.edited("actor-in-vain", Malformed, |b| b.actors.push(other));
        self.edited("actor-twice", Malformed, |b| b.actors.push(b.actors[0]));
        self.edited("unknown-actor", Malformed, |b| {
            b.actors.push(other);
            b.ops[0].obj = Obj::Op(OpId { counter: 1, actor: 1 });
        });
        self.edited("actor-outside-the-table", Malformed, |b| b.ops[0].obj = Obj::Op(OpId { counter: 1, actor: 3 }));
    }

    /// Points the next change at an operation of the record.
    fn pointed(&mut self, name: &'static str, (counter, of): (u64, ActorId), edit: impl FnOnce(&mut Body<'_>, OpId)) {
        let own = of == self.actor;
        self.edited(name, Status::Malformed, |b| {
            if !own {
                b.actors.push(of);
            }
            edit(b, OpId { counter, actor: u32::from(!own) });
        });
    }

    /// What operations point at.
    fn references(&mut self) {
        let scalar =
            |op: &Op<'_>| op.action == Action::Set && op.obj == Obj::Root && !matches!(op.value, Scalar::Counter(_));
        if let Some(at) = self.past.find(scalar) {
            self.pointed("object-that-nothing-made", at, |b, id| b.ops[0].obj = Obj::Op(id));
            self.pointed("predecessor-elsewhere", at, |b, id| {
                b.preds.push(id);
                b.ops[0].pred_len = 1;
            });
            self.pointed("predecessor-twice", at, |b, id| {
                b.preds.extend([id, id]);
                b.ops[0].pred_len = 2;
            });
            self.pointed("addition-to-no-counter", at, |b, id| {
                b.preds.push(id);
                (b.ops[0].action, b.ops[0].value, b.ops[0].pred_len) = (Action::Increment, Scalar::Int(1), 1);
            });
        }
        let sequence = |op: &Op<'_>| matches!(op.action, Action::MakeText | Action::MakeList);
        if let Some(at) = self.past.find(sequence) {
            self.pointed("list-used-as-a-map", at, |b, id| b.ops[0].obj = Obj::Op(id));
            self.pointed("element-that-nothing-inserted", at, |b, id| {
                (b.ops[0].obj, b.ops[0].key, b.ops[0].insert) = (Obj::Op(id), Key::Elem(id), true);
            });
        }
        let later = OpId { counter: self.past.max_op + 9, actor: 0 };
        self.edited("operation-that-comes-later", Status::Malformed, |b| b.ops[0].obj = Obj::Op(later));
    }

    /// Operations that contradict themselves.
    fn operations(&mut self) {
        use Status::Malformed;
        let nothing = |b: &mut Body<'_>| (b.ops[0].action, b.ops[0].value) = (Action::Delete, Scalar::Null);
        self.edited("deletion-of-nothing", Malformed, nothing);
        self.edited("addition-without-a-counter", Malformed, |b| {
            (b.ops[0].action, b.ops[0].value) = (Action::Increment, Scalar::Int(1));
        });
        self.edited("object-with-a-value", Malformed, |b| b.ops[0].action = Action::MakeMap);
        self.edited("insertion-into-a-map", Malformed, |b| b.ops[0].insert = true);
        self.edited("root-used-as-a-list", Malformed, |b| (b.ops[0].key, b.ops[0].insert) = (Key::Head, true));
    }

    /// Bytes that are no canonical change.
    fn bytes(&mut self, rng: &mut SeededRng) {
        use Status::Malformed;
        self.add("sequence-not-canonical", Malformed, self.raw().with_a_long_sequence().chunk());
        let two = self.made(|b| b.ops.push(b.ops[0]));
        self.add("run-not-canonical", Malformed, Raw::of(&two).with_a_split_run(2).chunk());
        let mut raw = self.raw();
        raw.columns.retain(|(spec, _)| *spec != Raw::PREDECESSORS);
        self.add("column-left-out", Malformed, raw.chunk());
        let content = self.raw().content();
        let mut long = vec![1];
        put(&mut long, content.len() as u64);
        let last = long.len() - 1;
        long[last] |= 0x80;
        long.push(0);
        long.extend_from_slice(&content);
        self.add("length-not-canonical", Malformed, wrapped(&long));
        self.add("footer", Malformed, chunk(1, &[content.as_slice(), b"author"].concat()));
        let whole = self.raw().chunk();
        self.add("trailing-bytes", Malformed, wrapped(&[&whole[CHUNK_PREFIX..], &[0]].concat()));
        let cut = whole.len() - 1 - rng.below(whole.len() as u64 / 2) as usize;
        self.add("cut-off", Malformed, wrapped(&whole[CHUNK_PREFIX..cut]));
        self.add("compressed-chunk", Malformed, chunk(2, &stored_deflate(&content)));
        let mut raw = self.raw();
        for (spec, data) in raw.columns.iter_mut().filter(|(spec, _)| *spec == Raw::KEY) {
            (*spec, *data) = (*spec | 8, stored_deflate(data));
        }
        self.add("compressed-column", Malformed, raw.chunk());
        self.add("document-chunk", Malformed, chunk(0, &content));
        self.add("unknown-chunk", Malformed, chunk(9, &content));
        let mut raw = self.raw();
        let key = raw.column(Raw::KEY);
        let last = key.len() - 1;
        key[last] = 0xff;
        self.add("key-not-utf8", Malformed, raw.chunk());
        let mut raw = self.raw();
        let (start, end) = raw.sequence();
        raw.head.splice(start..end, [0xff; 11]);
        self.add("number-beyond-64-bits", Malformed, raw.chunk());
        let mut raw = self.raw();
        raw.columns.reverse();
        self.add("columns-out-of-order", Malformed, raw.chunk());
        let mut noise = vec![0; 40 + rng.below(200) as usize];
        crate::entropy::Entropy::fill(rng, &mut noise);
        self.add("noise", Malformed, chunk(1, &noise_without_meaning(noise)));
    }

    /// What parses and lies outside format 1.
    fn beyond_the_format(&mut self, rng: &mut SeededRng) {
        use Status::NeedsNewer;
        // 104 bytes of this cost Automerge 450 MB.
        self.add("operations-by-a-run-of-2-to-the-62", NeedsNewer, self.raw().with_a_run_of(1 << 62).chunk());
        let over = CHANGE_OPS_MAX + 1;
        self.add("operations-one-too-many", NeedsNewer, self.raw().with_a_run_of(over).chunk());
        let mut raw = self.raw();
        let column = raw.column(Raw::PREDECESSORS);
        column.truncate(1);
        put(column, 1 << 40);
        self.add("predecessors-too-many", NeedsNewer, raw.chunk());
        self.edited("dependencies-too-many", NeedsNewer, |b| {
            b.deps = (0..=CHANGE_DEPS_MAX).map(|_| ChangeHash(random(rng))).collect();
            b.deps.sort_unstable();
        });
        let step = COUNTER_STEP_MAX as i64 + 1;
        self.edited("counter-too-large", NeedsNewer, |b| b.ops[0].value = Scalar::Counter(step));
        self.edited("table", NeedsNewer, |b| (b.ops[0].action, b.ops[0].value) = (Action::MakeTable, Scalar::Null));
        self.edited("mark", NeedsNewer, |b| {
            (b.ops[0].action, b.ops[0].value) = (Action::MarkBegin { name: "đậm", expand: true }, Scalar::Bool(true));
        });
        let mut raw = self.raw();
        raw.column(Raw::ACTION)[1] = 9;
        self.add("unknown-action", NeedsNewer, raw.chunk());
        let mut raw = self.raw();
        let meta = raw.column(Raw::VALUE_META);
        meta[1] = (meta[1] & 0xf0) | 11;
        self.add("unknown-type-of-value", NeedsNewer, raw.chunk());
        let mut raw = self.raw();
        raw.columns.push((0xb4, vec![1, 2, 3]));
        self.add("unknown-column", NeedsNewer, raw.chunk());
        let long = "x".repeat(CHANGE_BYTES_MAX);
        let mut body = self.past.body(self.actor, &long);
        body.message = "to";
        self.add("too-many-bytes", NeedsNewer, encode_body(&body));
    }
}

/// Noise whose first byte is no small number of dependencies: what it is must not hang on the seed.
fn noise_without_meaning(mut noise: Vec<u8>) -> Vec<u8> {
    noise[..2].copy_from_slice(&[0xff, 0x7f]);
    noise
}

/// Raw deflate that stores its input: a compressed form that needs no compressor.
fn stored_deflate(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len() as u16;
    let mut out = vec![1];
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(!len).to_le_bytes());
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests;
