//! Sets of changes: order independence, doubles, blocking, waiting.
//!
//! It does not: test single changes (see `differential` and `hostile`).
//!
//! Invariants: every case is evaluated forwards, backwards and shuffled, with one result.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A seeded shuffle that needs no generator.
pub(super) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for i in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(i, (state % (i as u64 + 1)) as usize);
    }
}

/// Evaluates in many orders and insists on one result.
fn settled(candidates: &[Candidate<'_, '_>]) -> Evaluation {
    let result = evaluate(candidates);
    for seed in 0..20 {
        let mut shuffled = candidates.to_vec();
        shuffled.extend_from_slice(&candidates[..candidates.len() / 2]);
        shuffle(&mut shuffled, seed * 7919 + 3);
        assert_eq!(evaluate(&shuffled), result);
    }
    result
}

fn at(raw: &[u8]) -> ChangeHash {
    Parsed::read(raw).unwrap().hash()
}

fn standings(raw: &[&Vec<u8>]) -> (Evaluation, Vec<Standing>) {
    let parsed: Vec<_> = raw.iter().map(|b| Parsed::read(b).unwrap()).collect();
    let candidates: Vec<_> = parsed.iter().map(|p| Candidate::of(p, Some(p.actor()))).collect();
    let result = settled(&candidates);
    let list = parsed.iter().map(|p| result.standings[&p.hash()]).collect();
    (result, list)
}

const V: Scalar<'static> = Scalar::Int(1);

#[test]
fn the_lower_of_two_with_one_sequence_stands_and_what_follows_the_other_waits() {
    let root = built(&[], 1, 1, 1, &[("a", V)]);
    let x = built(&[at(&root)], 2, 1, 2, &[("x", V)]);
    let y = built(&[at(&root)], 2, 1, 2, &[("y", V)]);
    let (low, high) = if at(&x) < at(&y) { (&x, &y) } else { (&y, &x) };
    let low_next = built(&[at(low)], 3, 1, 3, &[("b", V)]);
    let high_next = built(&[at(high)], 2, 2, 3, &[("c", V)]);
    let (result, list) = standings(&[&root, low, high, &low_next, &high_next]);
    let blocked = Standing::Blocked { by: at(low) };
    let stands = Standing::Standing;
    assert_eq!(list, vec![stands, stands, blocked, stands, blocked]);
    assert_eq!(result.heads, vec![at(&low_next)]);
    assert_eq!(result.order, vec![at(&root), at(low), at(&low_next)]);
    assert_eq!(result.seqs, BTreeMap::from([(actor(1), 1), (actor(2), 1), (actor(3), 1)]));
    assert_eq!(result.max_op, 3);
}

#[test]
fn a_missing_ancestor_makes_all_that_follows_wait_for_it() {
    let root = built(&[], 1, 1, 1, &[("a", V)]);
    let next = built(&[at(&root)], 1, 2, 2, &[("b", V)]);
    let last = built(&[at(&next)], 1, 3, 3, &[("c", V)]);
    let (result, list) = standings(&[&next, &last]);
    let waits = Standing::Pending { missing: at(&root) };
    assert_eq!(list, vec![waits, waits]);
    assert!(result.heads.is_empty() && result.order.is_empty());
    let (_, list) = standings(&[&root, &next, &last]);
    assert_eq!(list, vec![Standing::Standing; 3]);
}

#[test]
fn what_follows_a_malformed_change_is_blocked_by_it_and_what_follows_a_newer_one_waits() {
    let root = built(&[], 1, 1, 1, &[("a", V)]);
    let gap = built(&[at(&root)], 1, 3, 2, &[("b", V)]);
    let on_gap = built(&[at(&gap)], 4, 1, 3, &[("c", V)]);
    let (_, list) = standings(&[&root, &gap, &on_gap]);
    assert_eq!(list[1], Standing::Malformed(Malformed::Sequence { expected: 2, found: 3 }));
    assert_eq!(list[2], Standing::Blocked { by: at(&gap) });

    let newer = ChangeHash([9; 32]);
    let on_newer = built(&[newer], 4, 1, 3, &[("c", V)]);
    let parsed = Parsed::read(&on_newer).unwrap();
    let reason = NeedsNewer::Action(9);
    let result = settled(&[Candidate::of(&parsed, None), Candidate::refused(newer, reason.into())]);
    assert_eq!(result.standings[&newer], Standing::NeedsNewer(reason));
    assert_eq!(result.standings[&parsed.hash()], Standing::Pending { missing: newer });
}

#[test]
fn a_change_under_a_foreign_actor_is_malformed_unless_exempt() {
    let root = built(&[], 1, 1, 1, &[("a", V)]);
    let parsed = Parsed::read(&root).unwrap();
    let standing = |expected| settled(&[Candidate::of(&parsed, expected)]).standings[&parsed.hash()];
    assert_eq!(standing(Some(actor(2))), Standing::Malformed(Malformed::WrongActor));
    assert_eq!(standing(Some(actor(1))), Standing::Standing);
    assert_eq!(standing(None), Standing::Standing);
}

#[test]
fn a_verdict_does_not_depend_on_changes_outside_the_causal_past() {
    // Two changes under one sequence, of different length: one refers to an operation that only
    // the other has.
    let root = built(&[], 1, 1, 1, &[("a", V)]);
    let short = built(&[at(&root)], 2, 1, 2, &[("b", V)]);
    let long = built(&[at(&root)], 2, 1, 2, &[("b", V), ("c", V), ("d", V)]);
    let mut builder = ChangeBuilder::new(vec![at(&short)], actor(3), 1, 3, TIME);
    builder.put("e", V);
    let (bytes, _) = builder.finish().unwrap();
    let (_, _, mut body) = read::decode(&bytes).unwrap();
    body.actors.push(actor(2));
    body.start_op = 6;
    body.ops[0].key = Key::Map("d");
    body.preds.push(OpId { counter: 4, actor: 1 });
    body.ops[0].pred_len = 1;
    body.start_op = 3;
    let crossing = encode_body(&body);
    assert_eq!(
        Parsed::read(&crossing),
        Err(Malformed::Reference("an operation that comes later").into()),
        "a counter that its own past cannot have reached"
    );
    // The same with enough operations in between.
    let pad = built(&[at(&short)], 4, 1, 3, &[("p", V), ("q", V), ("r", V)]);
    body.deps = vec![at(&pad)];
    body.start_op = 6;
    let crossing = encode_body(&body);
    let hash = at(&crossing);
    let (result, _) = standings(&[&root, &short, &long, &pad, &crossing]);
    let (alone, _) = standings(&[&root, &short, &pad, &crossing]);
    assert_eq!(result.standings[&hash], alone.standings[&hash]);
    assert_eq!(alone.standings[&hash], Standing::Malformed(Malformed::Reference("a predecessor that does not exist")));
}

#[test]
fn extending_agrees_with_evaluating() {
    let root = built(&[], 1, 1, 1, &[("a", V)]);
    let next = built(&[at(&root)], 2, 1, 2, &[("b", V)]);
    let aside = built(&[at(&root)], 3, 1, 2, &[("c", V)]);
    let wrong = built(&[at(&next)], 2, 3, 3, &[("c", V)]);
    let (result, _) = standings(&[&root, &next]);
    let ask = |raw: &Vec<u8>, e: &Evaluation, by| extends(&Parsed::read(raw).unwrap(), &e.heads, e.max_op, &e.seqs, by);
    let (first, _) = standings(&[&root]);
    assert_eq!(ask(&next, &first, Some(actor(2))), Ok(true));
    assert_eq!(ask(&next, &first, Some(actor(9))), Err(Malformed::WrongActor));
    assert_eq!(ask(&aside, &result, None), Ok(false));
    assert_eq!(ask(&wrong, &result, None), Err(Malformed::Sequence { expected: 2, found: 3 }));
}

#[test]
fn ten_thousand_changes_in_a_row_and_interleaved() {
    let mut raw = vec![built(&[], 1, 1, 1, &[("a", V)])];
    let mut tips = [at(&raw[0]); 2];
    for n in 0..10_000u64 {
        // Two authors who never meet until the end.
        let side = (n % 2) as usize;
        let change = built(&[tips[side]], 2 + side as u8, n / 2 + 1, n / 2 + 2, &[("a", V)]);
        tips[side] = at(&change);
        raw.push(change);
    }
    let parsed: Vec<_> = raw.iter().map(|b| Parsed::read(b).unwrap()).collect();
    let candidates: Vec<_> = parsed.iter().map(|p| Candidate::of(p, Some(p.actor()))).collect();
    let result = evaluate(&candidates);
    assert_eq!(result.order.len(), 10_001);
    assert_eq!(result.heads.len(), 2);
    assert_eq!(result.seqs[&actor(2)], 5_000);
}

/// A plan for one change: author, dependencies (by bits, among the earlier ones), and what is wrong.
type Plan = (u8, u16, u8);

/// Makes the planned changes: mostly right ones, some under a sequence taken before, some with a
/// wrong start, and drops some afterwards.
fn planned(plans: &[Plan]) -> Vec<Vec<u8>> {
    let mut made: Vec<Vec<u8>> = Vec::new();
    let mut past: Vec<std::collections::BTreeSet<usize>> = Vec::new();
    for (n, (by, bits, twist)) in plans.iter().enumerate() {
        let deps: Vec<usize> = (0..n.min(16)).filter(|i| (bits >> i) & 1 == 1).collect();
        let mut before: std::collections::BTreeSet<usize> = deps.iter().copied().collect();
        deps.iter().for_each(|d| before.extend(past[*d].clone()));
        let ancestors: Vec<Parsed<'_>> = before.iter().map(|i| Parsed::read(&made[*i]).unwrap()).collect();
        let mine = ancestors.iter().filter(|p| p.actor() == actor(*by)).map(|p| p.seq).max();
        let top = ancestors.iter().map(|p| p.max_op()).max().unwrap_or(0);
        let hashes: Vec<ChangeHash> = deps.iter().map(|d| at(&made[*d])).collect();
        let seq = mine.unwrap_or(0) + 1 + u64::from(*twist == 0);
        let start = top + 1 + u64::from(*twist == 1);
        let key = format!("k{n}");
        made.push(built(&hashes, *by, seq, start, &[(&key, V)]));
        past.push(before);
    }
    made
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_set_has_one_meaning(
        plans in prop::collection::vec((1u8..4, any::<u16>(), 0u8..24), 1..14),
        absent in any::<u16>(),
        seed in any::<u64>(),
    ) {
        let raw = planned(&plans);
        let parsed: Vec<_> = raw.iter().map(|b| Parsed::read(b).unwrap()).collect();
        let all: Vec<_> = parsed.iter().map(|p| Candidate::of(p, Some(p.actor()))).collect();
        let whole = evaluate(&all);
        let mut some: Vec<_> = all.iter().copied().zip(0..).filter(|(_, n): &(_, u32)| (absent >> n) & 1 == 0).map(|(c, _)| c).collect();
        let part = evaluate(&some);
        shuffle(&mut some, seed);
        prop_assert_eq!(&evaluate(&some), &part);
        for result in [&whole, &part] {
            let stands = |h: &ChangeHash| result.standings.get(h) == Some(&Standing::Standing);
            let mut places = std::collections::BTreeSet::new();
            for p in parsed.iter().filter(|p| stands(&p.hash())) {
                prop_assert!(p.deps.iter().all(stands), "a standing change has a fallen ancestor");
                prop_assert!(places.insert((p.actor(), p.seq)), "two stand under one sequence");
            }
            let mut seen = std::collections::BTreeSet::new();
            for hash in &result.order {
                let p = parsed.iter().find(|p| p.hash() == *hash).unwrap();
                prop_assert!(p.deps.iter().all(|d| seen.contains(d)), "the order has ancestors first");
                seen.insert(*hash);
            }
        }
        // Malformed is for ever: what more of the set arrives never makes or unmakes it.
        for (hash, standing) in &part.standings {
            match (standing, whole.standings[hash]) {
                (Standing::Malformed(a), Standing::Malformed(b)) => prop_assert_eq!(*a, b),
                (Standing::Malformed(_), other) => prop_assert!(false, "malformed became {:?}", other),
                (Standing::Standing, Standing::Malformed(_)) => prop_assert!(false, "standing became malformed"),
                _ => {}
            }
        }
    }
}
