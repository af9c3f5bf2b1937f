//! Sets of changes: what stands is the same in whatever order they came, and however often.
//!
//! It does not: alter single changes (`changes`, `bent`).
//!
//! Invariants tried: order and repetition change nothing; what stands has ancestors that stand; one change
//! stands under one (actor, sequence); what more of a set arrives makes nothing malformed and mends nothing
//! malformed; Automerge takes what stands and agrees on the heads.

use super::changes::shown_by_automerge;
use super::draw::Draw;
use sampan_core::change::{
    Action, Candidate, ChangeBuilder, ChangeError, Evaluation, Malformed, NeedsNewer, Parsed, Scalar, Standing,
    evaluate,
};
use sampan_core::id::{ActorId, ChangeHash, RecordId};
use sampan_core::record::Document;
use std::collections::BTreeSet;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// One change and the places of its ancestors in the list.
struct Made {
    raw: Vec<u8>,
    past: BTreeSet<usize>,
}

pub fn check(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let count = 1 + d.below(16);
    let mut made: Vec<Made> = Vec::new();
    for _ in 0..count {
        // Once each: what a change's bytes are read as is one answer, which the lines below draw for it.
        let next = change(&mut d, &made).filter(|next| made.iter().all(|m| m.raw != next.raw));
        made.extend(next);
    }
    let parsed: Vec<Parsed<'_>> = made.iter().map(|m| Parsed::read(&m.raw).expect("the builder read it")).collect();
    let mut all: Vec<_> = Vec::new();
    for p in &parsed {
        all.push(match d.byte() {
            0..=199 => Candidate::of(p, None),
            200..=229 => Candidate::of(p, Some(p.actor())),
            230..=239 => Candidate::of(p, Some(ActorId([9; 16]))),
            240..=247 => Candidate::refused(p.hash(), ChangeError::NeedsNewer(NeedsNewer::Action(9))),
            _ => Candidate::refused(p.hash(), ChangeError::Malformed(Malformed::ExtraBytes)),
        });
    }
    let absent = d.u16();
    let mut some: Vec<_> = all.iter().zip(0..16).filter(|(_, n)| (absent >> n) & 1 == 0).map(|(c, _)| *c).collect();
    let (whole, part) = (evaluate(&all), evaluate(&some));
    for _ in 0..3 {
        shuffle(&mut all, &mut d);
        shuffle(&mut some, &mut d);
        let again: Vec<_> = all.iter().chain(all.first()).chain(all.last()).copied().collect();
        assert_eq!(evaluate(&again), whole);
        assert_eq!(evaluate(&some), part);
    }
    for result in [&whole, &part] {
        sound(result, &parsed);
    }
    for (hash, standing) in &part.standings {
        match (standing, whole.standings[hash]) {
            (Standing::Malformed(a), Standing::Malformed(b)) => assert_eq!(*a, b),
            (Standing::Malformed(a), other) => panic!("malformed ({a}) became {other:?}"),
            (Standing::Standing, Standing::Malformed(e)) => panic!("standing became malformed: {e}"),
            (Standing::NeedsNewer(a), other) => assert_eq!(Standing::NeedsNewer(*a), other),
            (Standing::Standing | Standing::Pending { .. } | Standing::Blocked { .. }, _) => {}
        }
    }
}

fn shuffle<T>(items: &mut [T], d: &mut Draw<'_>) {
    for i in (1..items.len()).rev() {
        items.swap(i, d.below(i + 1));
    }
}

/// A change on top of some of those before it: mostly right, sometimes under a sequence taken before, with a
/// wrong start, or pointing at what its past does not have.
fn change(d: &mut Draw<'_>, made: &[Made]) -> Option<Made> {
    let actor = ActorId([1 + d.byte() % 4; 16]);
    let bits = d.u16();
    let twist = d.byte();
    let deps: Vec<usize> = (0..made.len().min(16)).filter(|i| (bits >> i) & 1 == 1).collect();
    let mut past: BTreeSet<usize> = deps.iter().copied().collect();
    deps.iter().for_each(|i| past.extend(made[*i].past.clone()));
    let ancestors: Vec<Parsed<'_>> = past.iter().filter_map(|i| Parsed::read(&made[*i].raw).ok()).collect();
    let mine = ancestors.iter().filter(|p| p.actor() == actor).map(|p| p.seq).max().unwrap_or(0);
    let top = ancestors.iter().map(|p| p.max_op()).max().unwrap_or(0);
    let hashes: Vec<ChangeHash> =
        deps.iter().filter_map(|i| Parsed::read(&made[*i].raw).ok()).map(|p| p.hash()).collect();
    let seq = mine + 1 + u64::from(twist == 1);
    let start = top + 1 + u64::from(twist == 2);
    let mut b = ChangeBuilder::new(hashes, actor, seq, start, 1_790_000_000_000 + i64::from(d.byte()));
    for _ in 0..d.below(4) {
        let key = KEYS[d.below(KEYS.len())];
        match d.byte() % 4 {
            0 => drop(b.put(key, Scalar::Counter(1))),
            1 => {
                let text = b.make(key, Action::MakeText);
                b.insert(text, None, "x");
            }
            _ => drop(b.put(key, Scalar::Int(i64::from(d.byte())))),
        }
    }
    let (raw, _) = b.finish().ok()?;
    Some(Made { raw, past })
}

fn sound(result: &Evaluation, parsed: &[Parsed<'_>]) {
    let stands = |h: &ChangeHash| result.standings.get(h) == Some(&Standing::Standing);
    let of = |hash: &ChangeHash| parsed.iter().find(|p| p.hash() == *hash).expect("it was offered");
    let (mut places, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut raw: Vec<Vec<u8>> = Vec::new();
    for hash in &result.order {
        let p = of(hash);
        assert!(stands(hash) && p.deps.iter().all(|d| seen.contains(d)), "ancestors come first");
        assert!(places.insert((p.actor(), p.seq)), "two stand under one sequence");
        assert_eq!(result.seqs.get(&p.actor()).map(|s| *s >= p.seq), Some(true));
        seen.insert(*hash);
        raw.push(p.encode());
    }
    assert_eq!(seen.len(), result.standings.values().filter(|s| **s == Standing::Standing).count());
    assert_eq!(result.max_op, result.order.iter().map(|h| of(h).max_op()).max().unwrap_or(0));
    if raw.is_empty() {
        return;
    }
    let slices: Vec<&[u8]> = raw.iter().map(Vec::as_slice).collect();
    assert!(shown_by_automerge(&slices).is_some(), "what stands harms Automerge: {result:?}");
    let document = Document::load(RecordId([1; 16]), slices).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(document.heads(), result.heads);
    document.view().unwrap_or_else(|e| panic!("{e}"));
}
