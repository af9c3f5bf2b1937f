//! One change, as Automerge reads it, and the rules that it alone can keep or break.
//!
//! It does not: look at other changes (`record` does).
//!
//! Invariants: Automerge sees bytes only after `walk` bounded them, and inside `catch_unwind`; what
//! is [`Reading::Fine`] encodes again to the same bytes.

use super::walk::{Walk, walk};
use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{Change, ObjType, ScalarValue};
use sampan_core::id::{ActorId, ChangeHash};
use sampan_core::limits::COUNTER_STEP_MAX;
use sampan_core::time::MAX_MILLIS;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What one change alone comes to.
#[derive(Debug, Clone)]
pub enum Reading {
    /// A change of format 1.
    Fine(Plain),
    /// It never stands, and why.
    Malformed(String),
    /// It waits for a newer version, and why.
    NeedsNewer(String),
}

/// A change that may be looked at.
#[derive(Debug, Clone)]
pub struct Plain {
    /// Automerge's hash.
    pub hash: ChangeHash,
    /// What it was made on top of.
    pub deps: Vec<ChangeHash>,
    /// Its author.
    pub actor: ActorId,
    /// The other actors that its operations name.
    pub others: Vec<ActorId>,
    /// Its sequence.
    pub seq: u64,
    /// The counter of its first operation.
    pub start_op: u64,
    /// Its time.
    pub time: i64,
    /// Whether it has a message.
    pub message: bool,
    /// Its operations.
    pub ops: Vec<Op>,
}

impl Plain {
    /// The counter of the last operation, one less than the first if there is none.
    #[must_use]
    pub fn max_op(&self) -> u64 {
        self.start_op + self.ops.len() as u64 - 1
    }

    /// The operation that this id names, if it is one of this change's.
    #[must_use]
    pub fn op(&self, id: &OpId) -> Option<&Op> {
        if id.1.to_bytes() != self.actor.0 {
            return None;
        }
        self.ops.get(usize::try_from(id.0.checked_sub(self.start_op)?).ok()?)
    }
}

/// Reads a change.
#[must_use]
pub fn read(bytes: &[u8]) -> Reading {
    match walk(bytes) {
        Walk::Fine => {}
        Walk::Bad(why) => return Reading::Malformed(why.to_owned()),
        Walk::Newer(why) => return Reading::NeedsNewer(why.to_owned()),
    }
    catch_unwind(AssertUnwindSafe(|| by_automerge(bytes)))
        .unwrap_or_else(|_| Reading::Malformed("Automerge panics on it".to_owned()))
}

fn by_automerge(bytes: &[u8]) -> Reading {
    let bad = |why: String| Reading::Malformed(why);
    let change = match Change::try_from(bytes) {
        Ok(change) => change,
        Err(e) => return bad(format!("Automerge refuses it: {e}")),
    };
    // A wrong checksum is no error to Automerge here: it is only in the bytes.
    if change.hash().0[..4] != bytes[4..8] {
        return bad("its checksum is not that of its content".into());
    }
    let expanded = change.decode();
    let actors: Vec<ActorId> = change.actors().filter_map(|a| ActorId::from_slice(a.to_bytes())).collect();
    let Some((actor, others)) = actors.split_first() else {
        return bad("it has no actor".into());
    };
    let plain = Plain {
        hash: ChangeHash(change.hash().0),
        deps: change.deps().iter().map(|d| ChangeHash(d.0)).collect(),
        actor: *actor,
        others: others.to_vec(),
        seq: change.seq(),
        start_op: change.start_op().get(),
        time: change.timestamp(),
        message: change.message().is_some(),
        ops: expanded.operations.clone(),
    };
    if !plain.deps.windows(2).all(|w| w[0] < w[1]) {
        return bad("its dependencies are out of order or repeated".into());
    }
    if plain.seq == 0 {
        return bad("its sequence is 0".into());
    }
    if u64::try_from(plain.time).map_or(true, |t| t > MAX_MILLIS) {
        return bad("its time lies outside the years 1970 to 9999".into());
    }
    if !others.windows(2).all(|w| w[0] < w[1]) || others.contains(actor) {
        return bad("its actors are out of order or repeated".into());
    }
    for (counter, op) in (plain.start_op..).zip(&plain.ops) {
        match rule(counter, op) {
            Rule::Kept => {}
            Rule::Broken(why) => return Reading::Malformed(why.to_owned()),
            Rule::Newer(why) => return Reading::NeedsNewer(why.to_owned()),
        }
    }
    // Decode and encode: the one test of canonical form, and of everything that decoding threw away.
    if Change::from(expanded).raw_bytes() != bytes {
        return bad("it is not in the form that Automerge writes".into());
    }
    Reading::Fine(plain)
}

enum Rule {
    Kept,
    Broken(&'static str),
    Newer(&'static str),
}

fn rule(counter: u64, op: &Op) -> Rule {
    let obj = if let ObjectId::Id(id) = &op.obj { Some(id) } else { None };
    let elem = if let Key::Seq(ElementId::Id(id)) = &op.key { Some(id) } else { None };
    if obj.into_iter().chain(elem).chain(op.pred.iter()).any(|id| id.0 >= counter) {
        return Rule::Broken("an operation knows of a later one");
    }
    let preds: Vec<&OpId> = op.pred.iter().collect();
    if preds.windows(2).any(|w| w[0] == w[1]) {
        return Rule::Broken("a predecessor is named twice");
    }
    let place = match (&op.key, op.insert) {
        (Key::Map(_), inserts) => !inserts,
        (Key::Seq(ElementId::Head), inserts) => inserts && preds.is_empty() && obj.is_some(),
        (Key::Seq(ElementId::Id(_)), inserts) => inserts == preds.is_empty() && obj.is_some(),
    };
    if !place {
        return Rule::Broken("an operation contradicts its own place");
    }
    let far = |n: i64| n.unsigned_abs() > COUNTER_STEP_MAX;
    match &op.action {
        OpType::Make(ObjType::Table) => Rule::Newer("a table"),
        OpType::MarkBegin(_) | OpType::MarkEnd(_) => Rule::Newer("a mark"),
        OpType::Make(ObjType::Map | ObjType::List | ObjType::Text) => Rule::Kept,
        OpType::Put(ScalarValue::Counter(c)) if far(i64::from(c)) => Rule::Newer("a counter that starts far away"),
        OpType::Put(_) => Rule::Kept,
        OpType::Delete if op.insert || preds.is_empty() => Rule::Broken("a deletion of nothing"),
        OpType::Delete => Rule::Kept,
        OpType::Increment(_) if op.insert || preds.is_empty() => Rule::Broken("an addition to nothing"),
        OpType::Increment(n) if far(*n) => Rule::Newer("a counter that moves far"),
        OpType::Increment(_) => Rule::Kept,
    }
}
