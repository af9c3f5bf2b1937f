//! Creation of an ordinary record.
//!
//! It does not: validate against a schema or compute the record's id (`ids::record_id` does, from
//! the hash that comes out).
//!
//! Invariants: sequence 1, operations from 1, no dependencies; [`NONCE_KEY`] comes first, then the
//! fields in byte order; equal arguments give equal bytes, and the bytes are those that Automerge
//! writes for the same edits (a test compares them). No document is made for it: that costs ten
//! times as much, and an import makes ten thousand.

use super::error::{Damaged, EditError, within};
use super::write::{self, Typed};
use super::{NONCE_KEY, NewChange};
use crate::change::{Action, ChangeBuilder, Key, Obj, Scalar};
use crate::id::ActorId;
use crate::limits;
use crate::time::Millis;
use crate::value::{Kind, Value};
use automerge::ScalarValue;
use std::collections::BTreeMap;

/// The creation change of an ordinary record.
///
/// `n` are six fresh random bytes. A text, list, set or counter that is given here, even empty, is
/// born with the record and never needs a birth change.
///
/// # Errors
/// A value that does not fit its kind, a reserved name, or a limit.
pub fn create(
    actor: &ActorId,
    time: Millis,
    n: [u8; 6],
    fields: &BTreeMap<String, (Kind, Value)>,
) -> Result<NewChange, EditError> {
    within("FIELDS_MAX", limits::FIELDS_MAX as u64, fields.len() as u64, || "the number of fields".into())?;
    let mut values: Vec<(&str, Typed)> = Vec::with_capacity(fields.len());
    let mut ops = 1u64;
    for (field, (kind, value)) in fields {
        if field.starts_with('_') {
            return Err(EditError::ReservedField { field: field.clone() });
        }
        let value = write::typed(field, *kind, value)?;
        ops += 1 + match &value {
            Typed::Scalar(_) => 0,
            Typed::Counter(n) => {
                // No peer would take a greater start.
                let what = || format!("the start of the counter '{field}'");
                within("COUNTER_STEP_MAX", limits::COUNTER_STEP_MAX, n.unsigned_abs(), what)?;
                0
            }
            Typed::Text(s) => s.chars().count() as u64,
            Typed::List(list) => list.len() as u64,
            Typed::Set(set) => set.len() as u64,
        };
        values.push((field, value));
    }
    within("CHANGE_OPS_MAX", limits::CHANGE_OPS_MAX, ops, || "the change in operations".into())?;
    let mut change = ChangeBuilder::new(Vec::new(), *actor, 1, 1, time.0 as i64);
    change.put(NONCE_KEY, Scalar::Bytes(&n));
    for (field, value) in &values {
        put(&mut change, field, value)?;
    }
    let (bytes, hash) = match change.finish() {
        Ok(done) => done,
        Err(error) => {
            // What the parts can still be is too large; anything else is a fault of ours.
            let bytes = change.bytes_len() as u64;
            within("CHANGE_BYTES_MAX", limits::CHANGE_BYTES_MAX as u64, bytes, || "the change in bytes".into())?;
            return Err(Damaged::Refused { reason: error.to_string() }.into());
        }
    };
    Ok(NewChange { bytes, hash, birth: None, fields: fields.keys().cloned().collect() })
}

fn put<'a>(change: &mut ChangeBuilder<'a>, field: &'a str, value: &'a Typed) -> Result<(), EditError> {
    match value {
        Typed::Scalar(scalar) => {
            let scalar = match scalar {
                ScalarValue::Str(s) => Scalar::Str(s.as_str()),
                ScalarValue::Int(n) => Scalar::Int(*n),
                ScalarValue::Boolean(b) => Scalar::Bool(*b),
                other => {
                    let reason = format!("a value of type {other:?} is never written");
                    return Err(Damaged::Refused { reason }.into());
                }
            };
            change.put(field, scalar);
        }
        Typed::Counter(n) => {
            change.put(field, Scalar::Counter(*n));
        }
        Typed::Text(text) => {
            let obj = change.make(field, Action::MakeText);
            let mut after = None;
            for (at, c) in text.char_indices() {
                let one = text.get(at..at + c.len_utf8()).unwrap_or_default();
                after = Some(change.insert(obj, after, one));
            }
        }
        Typed::List(list) => {
            let obj = change.make(field, Action::MakeList);
            let mut after = None;
            for item in list {
                after = Some(change.insert(obj, after, item));
            }
        }
        Typed::Set(set) => {
            let obj = change.make(field, Action::MakeMap);
            for item in set {
                change.push(Obj::Op(obj), Key::Map(item), false, Action::Set, Scalar::Bool(true));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::engine::{at_time, blank, refused};
    use super::*;
    use crate::testing::SeededRng;
    use automerge::ROOT;
    use automerge::transaction::Transactable as _;

    fn by_automerge(actor: &ActorId, time: Millis, n: [u8; 6], fields: &BTreeMap<String, (Kind, Value)>) -> Vec<u8> {
        let mut doc = blank(actor);
        let mut tx = doc.transaction();
        tx.put(ROOT, NONCE_KEY, ScalarValue::Bytes(n.to_vec())).map_err(refused).unwrap();
        for (field, (kind, value)) in fields {
            write::fresh(&mut tx, field, *kind, value).unwrap();
        }
        tx.commit_with(at_time(time.0 as i64));
        doc.get_last_local_change().unwrap().raw_bytes().to_vec()
    }

    fn text(rng: &mut SeededRng, max: u64) -> String {
        let letters = ["a", "b", "đ", "ễ", "e\u{302}\u{303}", " ", "\r\n", "👩‍👧", "漢", "0", "\u{0}"];
        (0..rng.below(max)).map(|_| letters[rng.below(letters.len() as u64) as usize]).collect()
    }

    fn value(rng: &mut SeededRng) -> (Kind, Value) {
        let strings = |rng: &mut SeededRng| (0..rng.below(4)).map(|_| text(rng, 5)).collect::<Vec<_>>();
        match rng.below(8) {
            0 => (Kind::Text, Value::Text(text(rng, 40))),
            1 => (Kind::List, Value::List(strings(rng))),
            2 => (Kind::Set, Value::Set(strings(rng).into_iter().collect())),
            3 => (Kind::Counter, Value::Counter(rng.below(9) as i64 - 4)),
            4 => (Kind::Int, Value::Int(rng.next_u64() as i64)),
            5 => (Kind::Bool, Value::Bool(rng.one_in(2))),
            6 => (Kind::Date, Value::Str("1999-12".into())),
            _ => (Kind::String, Value::Str(text(rng, 20))),
        }
    }

    #[test]
    fn what_no_peer_would_take_is_refused_here() {
        let start = |n: i64| {
            let fields = [("visits".to_owned(), (Kind::Counter, Value::Counter(n)))].into();
            create(&ActorId([7; 16]), Millis(0), [0; 6], &fields)
        };
        assert!(start(1 << 42).is_ok());
        assert!(start((1 << 42) + 1).unwrap_err().to_string().contains("COUNTER_STEP_MAX"));
        let list = (0..5).map(|i| format!("{i}{}", "x".repeat(60_000))).collect();
        let fields = [("steps".to_owned(), (Kind::List, Value::List(list)))].into();
        let refused = create(&ActorId([7; 16]), Millis(0), [0; 6], &fields).unwrap_err().to_string();
        assert!(refused.contains("CHANGE_BYTES_MAX"), "{refused}");
    }

    #[test]
    fn the_bytes_are_those_that_automerge_writes() {
        let mut rng = SeededRng::new(3);
        let actor = ActorId([7; 16]);
        for round in 0..300 {
            let names = (0..rng.below(7)).map(|i| format!("f{i}"));
            let fields: BTreeMap<_, _> = names.map(|name| (name, value(&mut rng))).collect();
            let (time, n) = (Millis(rng.below(1 << 41)), [round as u8; 6]);
            let ours = create(&actor, time, n, &fields).unwrap();
            assert_eq!(ours.bytes, by_automerge(&actor, time, n, &fields), "round {round}: {fields:?}");
        }
    }
}
