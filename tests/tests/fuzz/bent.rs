//! The last change of a real history, bent by a few small alterations: what still passes the door does not
//! harm Automerge, and what stands is a function of the set.
//!
//! It does not: alter bytes (`changes` does); every bent change is well formed.

// The other implementation is called directly here: it is what ours is held against.
#![allow(clippy::disallowed_methods)]

use super::changes::shown_by_automerge;
use super::draw::Draw;
use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId as AmActor, AutoCommit, ObjType, ROOT, ReadDoc, ScalarValue};
use sampan_core::change::{
    Action, Body, Candidate, Key, Obj, Op, OpId, Parsed, Scalar, Standing, check_against, encode_body, evaluate,
    extends,
};
use sampan_core::id::{ActorId, RecordId};
use sampan_core::record::Document;
use std::sync::OnceLock;

const TIME: i64 = 1_790_000_000_000;

fn commit(doc: &mut AutoCommit) {
    doc.commit_with(CommitOptions::default().with_time(TIME));
}

/// Changes of one document, ancestors first.
type History = Vec<Vec<u8>>;

/// A few histories with every kind of object, edits beside each other and merges.
pub fn histories() -> &'static [History] {
    static MADE: OnceLock<Vec<History>> = OnceLock::new();
    MADE.get_or_init(|| (0..6).map(history).collect())
}

fn history(n: u8) -> History {
    let actor = |n: u8| AmActor::from(&[n; 16][..]);
    let mut a = AutoCommit::new().with_actor(actor(10));
    let text = a.put_object(ROOT, "text", ObjType::Text).unwrap();
    let list = a.put_object(ROOT, "list", ObjType::List).unwrap();
    let map = a.put_object(ROOT, "m", ObjType::Map).unwrap();
    a.put(ROOT, "count", ScalarValue::counter(3)).unwrap();
    a.put(ROOT, "k0", "một").unwrap();
    a.splice_text(&text, 0, 0, "đã 👍").unwrap();
    a.insert(&list, 0, "x").unwrap();
    commit(&mut a);
    let mut b = a.fork().with_actor(actor(30));
    let mut c = a.fork().with_actor(actor(20));
    b.splice_text(&text, 1, 1, "họp").unwrap();
    b.put(ROOT, "k0", 7i64).unwrap();
    b.increment(ROOT, "count", 2).unwrap();
    b.put(&map, "a", true).unwrap();
    commit(&mut b);
    c.put(ROOT, "k0", false).unwrap();
    c.insert(&list, 0, "y").unwrap();
    c.put(&list, 1, "z").unwrap();
    c.delete(&map, "a").unwrap_or_default();
    commit(&mut c);
    if n >= 1 {
        a.merge(&mut b).unwrap();
        a.increment(ROOT, "count", -1).unwrap();
        a.splice_text(&text, 0, 2, "").unwrap();
        commit(&mut a);
    }
    if n >= 2 {
        c.merge(&mut a).unwrap();
        c.delete(ROOT, "k0").unwrap();
        c.delete(&list, 0).unwrap();
        c.put(ROOT, "k1", ScalarValue::Uint(u64::MAX)).unwrap();
        commit(&mut c);
    }
    if n >= 3 {
        b.merge(&mut c).unwrap();
        b.put_object(ROOT, "k0", ObjType::Text).unwrap();
        b.put(ROOT, "count", 1i64).unwrap();
        commit(&mut b);
    }
    if n >= 4 {
        a.put(ROOT, "count", ScalarValue::counter(9)).unwrap();
        a.increment(ROOT, "count", 1).unwrap();
        commit(&mut a);
        b.merge(&mut a).unwrap();
        b.increment(ROOT, "count", 5).unwrap();
        commit(&mut b);
    }
    if n >= 5 {
        let inner = b.put_object(&map, "in", ObjType::List).unwrap();
        b.insert(&inner, 0, ScalarValue::counter(1)).unwrap();
        b.increment(&inner, 0, 4).unwrap();
        b.insert_object(&list, 0, ObjType::Map).unwrap();
        commit(&mut b);
    }
    let _ = a.length(&text);
    a.merge(&mut b).unwrap();
    a.merge(&mut c).unwrap();
    a.put(ROOT, "k2", "cuối").unwrap();
    a.increment(ROOT, "count", 1).unwrap_or_default();
    commit(&mut a);
    a.get_changes(&[]).iter().map(|c| c.raw_bytes().to_vec()).collect()
}

const KEYS: [&str; 7] = ["k0", "k1", "count", "text", "list", "m", "a"];

pub fn check(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let history = &histories()[d.below(6)];
    // The bent change replaces the last, or one before it.
    let at = history.len() - 1 - d.below(3).min(history.len() - 1);
    let original = Parsed::read(&history[at]).expect("Automerge wrote it");
    let mut body = original.body().clone();
    offer_actors(&mut body);
    for _ in 0..1 + d.below(5) {
        bend(&mut body, &mut d);
    }
    tidy(&mut body);
    let bent = encode_body(&body);
    let Ok(last) = Parsed::read(&bent) else { return };
    let past: Vec<_> = history[..at].iter().map(|b| Parsed::read(b).expect("Automerge wrote it")).collect();
    let mut candidates: Vec<_> = past.iter().map(|p| Candidate::of(p, None)).collect();
    let before = evaluate(&candidates);
    candidates.push(Candidate::of(&last, None));
    let result = evaluate(&candidates);
    candidates.reverse();
    assert_eq!(evaluate(&candidates), result);
    let standing = result.standings[&last.hash()];
    // The short way says the same where it says anything.
    let short = extends(&last, &before.heads, before.max_op, &before.seqs, None);
    let whole = short.and_then(|on_top| {
        if on_top { check_against(&last, &past.iter().collect::<Vec<_>>()).map(|()| true) } else { Ok(false) }
    });
    match (whole, standing) {
        (Ok(true), Standing::Standing) | (Ok(false), _) => {}
        (Err(short), Standing::Malformed(long)) => assert_eq!(short, long, "{last:?}"),
        (short, long) => panic!("{short:?} against {long:?}: {last:?}"),
    }
    if standing != Standing::Standing {
        return;
    }
    let all: Vec<&[u8]> = history[..at].iter().chain([&bent]).map(Vec::as_slice).collect();
    assert!(shown_by_automerge(&all).is_some(), "what stands harms Automerge: {last:?}");
    let document =
        Document::load(RecordId([1; 16]), all.iter().rev().copied()).unwrap_or_else(|e| panic!("{e}: {last:?}"));
    let view = document.view().unwrap_or_else(|e| panic!("{e}: {last:?}"));
    document.history().unwrap_or_else(|e| panic!("{e}: {last:?}"));
    assert_eq!(document.heads(), result.heads);
    let forwards = Document::load(RecordId([1; 16]), all).unwrap_or_else(|e| panic!("{e}: {last:?}"));
    assert_eq!(forwards.view().ok(), Some(view), "{last:?}");
}

/// All actors of the histories may be named; what stays unused is taken out again.
fn offer_actors(body: &mut Body<'_>) {
    let before = body.actors.clone();
    for n in [10, 20, 30] {
        let actor = ActorId([n; 16]);
        if !body.actors.contains(&actor) {
            body.actors.push(actor);
        }
    }
    body.actors[1..].sort_unstable();
    let place: Vec<u32> =
        before.iter().map(|a| body.actors.iter().position(|b| a == b).expect("it was kept") as u32).collect();
    each_id(body, |id| id.actor = place[id.actor as usize]);
}

fn each_id(body: &mut Body<'_>, mut f: impl FnMut(&mut OpId)) {
    body.preds.iter_mut().for_each(&mut f);
    for op in &mut body.ops {
        if let Obj::Op(id) = &mut op.obj {
            f(id);
        }
        if let Key::Elem(id) = &mut op.key {
            f(id);
        }
    }
}

/// One alteration of one operation.
fn bend(body: &mut Body<'_>, d: &mut Draw<'_>) {
    let what = d.below(24);
    let id = OpId { counter: 1 + d.below(body.max_op() as usize) as u64, actor: d.below(body.actors.len()) as u32 };
    let key = Key::Map(KEYS[d.below(KEYS.len())]);
    if what >= 20 || body.ops.is_empty() {
        let obj = if what == 20 { Obj::Op(id) } else { Obj::Root };
        let key = if what == 20 { Key::Head } else { key };
        let (pred_at, pred_len) = (body.preds.len() as u32, u32::from(what == 22));
        if what == 22 {
            body.preds.push(id);
        }
        let action = [Action::Set, Action::MakeText, Action::Delete, Action::Increment][d.below(4)];
        let value = if action == Action::Set { Scalar::Counter(2) } else { Scalar::Null };
        body.ops.push(Op { obj, key, insert: what == 20, action, value, pred_at, pred_len });
        return;
    }
    let at = d.below(body.ops.len());
    let n = d.byte();
    if what == 19 {
        body.ops.remove(at);
        return;
    }
    let op = &mut body.ops[at];
    match what {
        0 => op.obj = Obj::Op(id),
        1 => op.obj = Obj::Root,
        2 => op.key = Key::Elem(id),
        3 => op.key = Key::Head,
        4 => op.key = key,
        5 => op.insert = !op.insert,
        6 => (op.action, op.value) = (Action::Delete, Scalar::Null),
        7 => (op.action, op.value) = (Action::Increment, Scalar::Int(i64::from(n))),
        8 => op.action = [Action::MakeMap, Action::MakeText, Action::MakeList][n as usize % 3],
        9 => op.action = Action::Set,
        10 => op.value = Scalar::Null,
        11 => op.value = Scalar::Int(i64::from(n) - 128),
        12 => op.value = Scalar::Counter(i64::from(n)),
        13 => op.value = Scalar::Str("bent"),
        14 => op.pred_len = 0,
        15 => op.value = Scalar::F64(f64::from_bits(u64::from(n) << 56 | 1)),
        16 => op.value = Scalar::Bytes(b"\xff\x00"),
        17 => op.value = Scalar::Timestamp(-i64::from(n)),
        _ => {
            let mut own = body.preds_of(&body.ops[at]).to_vec();
            own.push(id);
            let place = |id: &OpId| (id.counter, body.actors[id.actor as usize]);
            own.sort_by_key(place);
            own.dedup();
            let op = &mut body.ops[at];
            (op.pred_at, op.pred_len) = (body.preds.len() as u32, own.len() as u32);
            body.preds.extend(own);
        }
    }
}

/// Lays the predecessors out again, in the order of the operations, and drops unused actors.
fn tidy(body: &mut Body<'_>) {
    let mut preds = Vec::new();
    for at in 0..body.ops.len() {
        let own = body.preds_of(&body.ops[at]).to_vec();
        body.ops[at].pred_at = preds.len() as u32;
        preds.extend(own);
    }
    body.preds = preds;
    let mut used = vec![false; body.actors.len()];
    used[0] = true;
    each_id(body, |id| used[id.actor as usize] = true);
    let map: Vec<u32> = (0..used.len()).map(|i| used[..i].iter().filter(|u| **u).count() as u32).collect();
    each_id(body, |id| id.actor = map[id.actor as usize]);
    let mut keep = used.iter();
    body.actors.retain(|_| *keep.next().expect("one for each"));
}
