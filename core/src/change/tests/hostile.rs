//! Hostile changes, one test each, and what Automerge does with some of them.
//!
//! It does not: test what Automerge writes itself (see `differential`).
//!
//! Invariants: a case here that becomes admissible is a hole in the door.

use super::*;
use crate::limits::{CHANGE_BYTES_MAX, COUNTER_STEP_MAX};
use automerge::{Automerge, Change};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The first change of [`card`], changed by `edit` and wrapped up again with a right checksum.
fn altered(edit: impl FnOnce(&mut Body<'_>)) -> Vec<u8> {
    let raw = changes(&mut card(1)).remove(0);
    let (_, _, mut body) = read::decode(&raw).unwrap();
    edit(&mut body);
    encode_body(&body)
}

/// A second change on top of [`card`]'s, changed by `edit`; with its past.
fn second(edit: impl FnOnce(&mut Body<'_>)) -> (Vec<u8>, Vec<u8>) {
    let first = changes(&mut card(1)).remove(0);
    let parsed = Parsed::read(&first).unwrap();
    let raw = built(&[parsed.hash()], 2, 1, parsed.max_op() + 1, &[("later", Scalar::Int(1))]);
    let (_, _, mut body) = read::decode(&raw).unwrap();
    edit(&mut body);
    (first.clone(), encode_body(&body))
}

fn refusal(raw: &[u8]) -> ChangeError {
    Parsed::read(raw).expect_err("refused")
}

fn malformed(raw: &[u8], reason: Malformed) {
    assert_eq!(refusal(raw), ChangeError::Malformed(reason));
}

/// What becomes of the second change.
fn judged((first, next): &(Vec<u8>, Vec<u8>)) -> Standing {
    let (first, next) = (Parsed::read(first).unwrap(), Parsed::read(next).unwrap());
    evaluate(&[Candidate::of(&first, None), Candidate::of(&next, None)]).standings[&next.hash()]
}

fn misplaced(case: &(Vec<u8>, Vec<u8>), reason: &'static str) {
    assert_eq!(judged(case), Standing::Malformed(Malformed::Reference(reason)));
}

/// Whether Automerge crashes on these, or makes a document that it cannot load again.
pub(super) fn harms_automerge(raw: &[&Vec<u8>]) -> bool {
    let survived = catch_unwind(AssertUnwindSafe(|| {
        let mut doc = Automerge::new();
        for bytes in raw {
            let Ok(change) = Change::from_bytes(bytes.to_vec()) else {
                return true;
            };
            if doc.apply_changes([change]).is_err() {
                return true;
            }
        }
        let Ok(again) = Automerge::load(&doc.save()) else {
            return false;
        };
        again.get_heads() == doc.get_heads()
    }));
    !matches!(survived, Ok(true))
}

#[test]
fn automerge_is_not_harmed_by_what_is_admitted() {
    let case = second(|_| {});
    assert_eq!(judged(&case), Standing::Standing);
    assert!(!harms_automerge(&[&case.0, &case.1]));
}

#[test]
fn every_prefix_and_trailing_bytes_are_refused() {
    let raw = changes(&mut card(1)).remove(0);
    for len in 0..raw.len() {
        malformed(&raw[..len], Malformed::Truncated);
    }
    let mut longer = raw.clone();
    longer.push(0);
    malformed(&longer, Malformed::TrailingBytes);
    malformed(&[raw.clone(), raw].concat(), Malformed::TrailingBytes);
}

#[test]
fn extra_bytes_such_as_an_author_footer_are_refused() {
    let raw = changes(&mut card(1)).remove(0);
    let (_, content, _) = read::decode(&raw).unwrap();
    malformed(&write::chunk(&[content, b"author"].concat()), Malformed::ExtraBytes);
}

#[test]
fn compressed_and_other_chunks_are_refused() {
    let mut all = card(1).get_changes(&[]);
    let compressed = all[0].bytes().to_vec();
    assert_eq!(compressed[8], 2, "the example is long enough to be compressed");
    malformed(&compressed, Malformed::Compressed);
    malformed(&card(1).save(), Malformed::ChunkType(0));
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut raw = changes(&mut card(1)).remove(0);
    raw[5] ^= 1;
    malformed(&raw, Malformed::Checksum);
}

#[test]
fn other_encodings_of_one_change_are_refused() {
    let raw = built(&[], 1, 1, 1, &[("a", Scalar::Int(1)), ("b", Scalar::Int(1))]);
    let (_, content, _) = read::decode(&raw).unwrap();
    // Sequence 1 in two bytes.
    let mut long = content.to_vec();
    assert_eq!(long[18], 1);
    long.splice(18..19, [0x81, 0x00]);
    malformed(&write::chunk(&long), Malformed::NotCanonical);
    // The run "2 × set" as a literal of two: action is the column 0x42, two bytes long.
    let at = content.windows(2).position(|w| w == [0x42, 2]).unwrap();
    let run = content.windows(2).rposition(|w| w == [2, 1]).unwrap();
    let mut split = content.to_vec();
    split.splice(run..run + 2, [0x7e, 1, 1]);
    split[at + 1] = 3;
    let found = refusal(&write::chunk(&split));
    assert_eq!(found, ChangeError::Malformed(Malformed::NotCanonical));
    // The length of the chunk in two bytes.
    let mut header = raw.clone();
    let len = header[9];
    assert!(len < 0x80);
    header.splice(9..10, [len | 0x80, 0]);
    malformed(&header, Malformed::NotCanonical);
}

#[test]
fn a_small_change_that_claims_many_operations_costs_nothing() {
    let raw = built(&[], 1, 1, 1, &[("a", Scalar::Null), ("a", Scalar::Null)]);
    let (_, content, _) = read::decode(&raw).unwrap();
    let at = content.windows(2).position(|w| w == [0x42, 2]).unwrap();
    let run = content.windows(2).rposition(|w| w == [2, 1]).unwrap();
    let mut huge = content.to_vec();
    huge.splice(run..run + 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f]);
    huge[at + 1] = 10;
    assert_eq!(refusal(&write::chunk(&huge)), NeedsNewer::Operations.into());
}

#[test]
fn sizes_over_the_limits_wait_for_a_newer_format() {
    assert_eq!(refusal(&vec![0; CHANGE_BYTES_MAX + 1]), NeedsNewer::Bytes(CHANGE_BYTES_MAX + 1).into());
    let deps = (0..300u32).map(|n| {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        ChangeHash(hash)
    });
    let raw = altered(|b| b.deps = deps.collect());
    assert_eq!(refusal(&raw), NeedsNewer::Dependencies(300).into());
    let step = COUNTER_STEP_MAX as i64 + 1;
    let raw = altered(|b| b.ops[0].value = Scalar::Counter(step));
    assert_eq!(refusal(&raw), NeedsNewer::CounterStep.into());
}

#[test]
fn unknown_columns_actions_and_values_wait_for_a_newer_format() {
    let raw = built(&[], 1, 1, 1, &[("a", Scalar::Int(1))]);
    let (_, content, _) = read::decode(&raw).unwrap();
    let swap = |from: &[u8], to: &[u8]| {
        let at = content.windows(from.len()).rposition(|w| w == from).unwrap();
        let mut out = content.to_vec();
        out.splice(at..at + from.len(), to.iter().copied());
        refusal(&write::chunk(&out))
    };
    assert_eq!(swap(&[0x70, 2], &[0x74, 2]), NeedsNewer::Column(0x74).into());
    // insert "1 × false", then the literal of one action.
    assert_eq!(swap(&[1, 0x7f, 1], &[1, 0x7f, 9]), NeedsNewer::Action(9).into());
    // one value's metadata: length 1, type int.
    assert_eq!(swap(&[0x7f, 0x14], &[0x7f, 0x1b]), NeedsNewer::ValueType(11).into());
}

#[test]
fn tables_of_actors_are_canonical() {
    malformed(&altered(|b| b.actors.push(actor(9))), Malformed::ActorTable);
    malformed(&altered(|b| b.actors.push(actor(1))), Malformed::ActorTable);
    malformed(&altered(|b| b.ops[0].obj = Obj::Op(OpId { counter: 1, actor: 3 })), Malformed::ActorIndex);
    malformed(&altered(|b| b.deps = vec![ChangeHash([2; 32]), ChangeHash([1; 32])]), Malformed::Dependencies);
    malformed(&altered(|b| b.deps = vec![ChangeHash([2; 32]); 2]), Malformed::Dependencies);
    malformed(&altered(|b| b.seq = 0), Malformed::SequenceZero);
    malformed(&altered(|b| b.time = -1), Malformed::Time);
    malformed(&altered(|b| b.time = i64::MAX), Malformed::Time);
}

#[test]
fn a_sequence_gap_is_refused_and_harms_automerge() {
    let case = second(|b| b.seq = 7);
    assert_eq!(judged(&case), Standing::Malformed(Malformed::Sequence { expected: 1, found: 7 }));
    assert!(harms_automerge(&[&case.0, &case.1]));
}

#[test]
fn a_wrong_first_counter_is_refused() {
    let case = second(|b| b.start_op += 1);
    assert!(matches!(judged(&case), Standing::Malformed(Malformed::StartOp { .. })));
    let case = second(|b| b.start_op -= 1);
    assert!(matches!(judged(&case), Standing::Malformed(Malformed::StartOp { .. })));
}

#[test]
fn extreme_counters_are_refused_and_harm_automerge() {
    malformed(&altered(|b| b.start_op = u64::MAX - 1), Malformed::Counter);
    malformed(&altered(|b| b.start_op = u64::from(u32::MAX) - 2), Malformed::Counter);
    malformed(&altered(|b| b.start_op = 0), Malformed::Counter);
    let top = altered(|b| {
        b.start_op = u64::from(u32::MAX);
        b.ops.truncate(4);
    });
    assert!(harms_automerge(&[&top]));
}

#[test]
fn an_unknown_actor_is_refused() {
    let case = second(|b| {
        b.actors.push(actor(9));
        b.ops[0].obj = Obj::Op(OpId { counter: 1, actor: 1 });
    });
    assert_eq!(judged(&case), Standing::Malformed(Malformed::UnknownActor));
    assert!(harms_automerge(&[&case.0, &case.1]));
}

/// Points the second change at an operation of the first.
fn pointed(counter: u64, edit: impl FnOnce(&mut Body<'_>, OpId)) -> (Vec<u8>, Vec<u8>) {
    second(|b| {
        b.actors.push(actor(1));
        edit(b, OpId { counter, actor: 1 });
    })
}

#[test]
fn references_to_nothing_or_to_the_wrong_thing_are_refused() {
    // Counters of the card: 1-4 scalars, 5 the text, 6.. its letters.
    let no_object = pointed(1, |b, id| b.ops[0].obj = Obj::Op(id));
    misplaced(&no_object, "an object that nothing made");
    assert!(harms_automerge(&[&no_object.0, &no_object.1]));
    let text_as_map = pointed(5, |b, id| b.ops[0].obj = Obj::Op(id));
    misplaced(&text_as_map, "a map used as a list, or a list as a map");
    let no_element = pointed(5, |b, id| {
        (b.ops[0].obj, b.ops[0].key, b.ops[0].insert) = (Obj::Op(id), Key::Elem(OpId { counter: 1, actor: 1 }), true);
    });
    misplaced(&no_element, "an element that nothing inserted");
    assert!(harms_automerge(&[&no_element.0, &no_element.1]));
    let other_key = pointed(2, |b, id| {
        b.preds.push(id);
        b.ops[0].pred_len = 1;
    });
    misplaced(&other_key, "a predecessor in another place");
    let not_a_counter = pointed(3, |b, id| {
        b.preds.push(id);
        (b.ops[0].key, b.ops[0].action, b.ops[0].pred_len) = (Key::Map("year"), Action::Increment, 1);
    });
    misplaced(&not_a_counter, "an addition to no counter");
}

#[test]
fn operations_that_contradict_themselves_are_refused() {
    let reason = |edit: fn(&mut Op<'_>)| refusal(&altered(|b| edit(&mut b.ops[1])));
    let operation = |e| matches!(e, ChangeError::Malformed(Malformed::Operation(_)));
    assert!(operation(reason(|op| op.action = Action::Delete)));
    assert!(operation(reason(|op| op.action = Action::Increment)));
    assert!(operation(reason(|op| op.action = Action::MakeMap)));
    assert!(operation(reason(|op| op.insert = true)));
    assert!(operation(reason(|op| op.key = Key::Head)));
    assert!(operation(reason(|op| (op.key, op.insert) = (Key::Head, true))));
    assert_eq!(
        reason(|op| op.obj = Obj::Op(OpId { counter: 9, actor: 0 })),
        Malformed::Reference("an operation that comes later").into()
    );
    assert_eq!(reason(|op| (op.action, op.value) = (Action::MakeTable, Scalar::Null)), NeedsNewer::Action(6).into());
}

#[test]
fn a_deletion_of_nothing_harms_automerge() {
    let raw = altered(|b| {
        b.ops.truncate(4);
        (b.ops[3].action, b.ops[3].value) = (Action::Delete, Scalar::Null);
    });
    assert!(matches!(refusal(&raw), ChangeError::Malformed(Malformed::Operation(_))));
    assert!(harms_automerge(&[&raw]));
}

#[test]
fn repeated_predecessors_are_refused() {
    let case = pointed(2, |b, id| {
        b.preds.extend([id, id]);
        (b.ops[0].key, b.ops[0].pred_len) = (Key::Map("name"), 2);
    });
    assert!(matches!(refusal(&case.1), ChangeError::Malformed(Malformed::Operation(_))));
}
