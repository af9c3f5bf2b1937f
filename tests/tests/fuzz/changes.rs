//! The change reader against Automerge: what ours takes, Automerge takes as the same and is not harmed by.
//!
//! It does not: judge sets (`sets`, `bent`).
//!
//! Invariants tried: reading never panics and costs no more than the bytes allow; what is read encodes to
//! the same bytes; hash, operations and the document are Automerge's; a change that ours calls not canonical
//! is none for Automerge either.

// The other implementation is called directly here: it is what ours is held against.
#![allow(clippy::disallowed_methods)]

use super::memory::peak;
use automerge::{Automerge, Change, ExpandedChange, ObjType, ROOT, ReadDoc, ScalarValue, Value as AmValue};
use sampan_core::change::{
    Action, Candidate, ChangeError, Malformed, Parsed, Scalar, Standing, creation_fields, encode_body, evaluate,
    replaces_all, scalar_value, simple_edit,
};
use sampan_core::hash::{change_hash, whole_chunk};
use sampan_core::id::RecordId;
use sampan_core::record::Document;
use sampan_core::value::Value;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes that reading may hold for each byte read: an operation of 64 bytes can come out of a part of a
/// run, so operations are bounded by their limit and not by the input.
const COST_MAX: usize = 65_536 * 160 + (1 << 20);

pub fn check(bytes: &[u8]) {
    one(bytes);
    one(&repaired(bytes));
}

/// The content as a whole chunk: with a right length and check sum chance reaches the columns.
pub fn repaired(content: &[u8]) -> Vec<u8> {
    let content = if content.get(8) == Some(&1) && content.len() > 11 { &content[10..] } else { content };
    let mut body = vec![1];
    let mut n = content.len();
    while n >= 0x80 {
        body.push(n as u8 | 0x80);
        n >>= 7;
    }
    body.push(n as u8);
    body.extend_from_slice(content);
    whole_chunk(&body, &change_hash(&body))
}

fn one(raw: &[u8]) {
    let mut read = None;
    let cost = peak(|| read = Some(Parsed::read(raw)));
    assert!(cost <= COST_MAX, "{cost} bytes held for {}", raw.len());
    let stored = Parsed::read_stored(raw);
    match read.expect("it was called") {
        Ok(parsed) => {
            assert_eq!(stored.as_ref(), Ok(&parsed));
            assert_eq!(parsed.encode(), raw);
            as_automerge(raw, &parsed);
            alone(raw, &parsed);
        }
        Err(ChangeError::Malformed(Malformed::NotCanonical)) => not_canonical(raw),
        Err(e) => assert!(!e.to_string().is_empty()),
    }
}

/// Automerge reads the same from it.
fn as_automerge(raw: &[u8], parsed: &Parsed<'_>) {
    let theirs = catch_unwind(AssertUnwindSafe(|| Change::from_bytes(raw.to_vec())));
    let theirs = theirs.unwrap_or_else(|_| panic!("Automerge panics on {parsed:?}"));
    let theirs = theirs.unwrap_or_else(|e| panic!("Automerge refuses {parsed:?}: {e}"));
    assert_eq!(theirs.raw_bytes(), raw);
    assert_eq!(theirs.hash().0, parsed.hash().0);
    assert_eq!((theirs.seq(), theirs.start_op().get(), theirs.len()), (parsed.seq, parsed.start_op, parsed.ops.len()));
    assert_eq!((theirs.timestamp(), theirs.max_op()), (parsed.time, parsed.max_op()));
    assert!(theirs.deps().iter().map(|d| d.0).eq(parsed.deps.iter().map(|d| d.0)));
    assert_eq!(theirs.message().unwrap_or_default(), parsed.message);
    let expanded = catch_unwind(AssertUnwindSafe(|| theirs.decode()));
    let expanded = expanded.unwrap_or_else(|_| panic!("Automerge panics when it looks into {parsed:?}"));
    for (ours, theirs) in parsed.ops.iter().zip(&expanded.operations) {
        assert_eq!(ours.insert, theirs.insert, "{parsed:?}");
        assert_eq!(ours.pred_len as usize, theirs.pred.len(), "{parsed:?}");
        if let automerge::legacy::OpType::Put(value) = &theirs.action {
            assert_eq!(ours.action, Action::Set, "{parsed:?}");
            assert_eq!(scalar_value(ours.value), shown(value), "{parsed:?}");
        }
    }
}

fn shown(value: &ScalarValue) -> Value {
    match value {
        ScalarValue::Bytes(b) => scalar_value(Scalar::Bytes(b)),
        ScalarValue::Str(s) => scalar_value(Scalar::Str(s)),
        ScalarValue::Int(n) => scalar_value(Scalar::Int(*n)),
        ScalarValue::Uint(n) => scalar_value(Scalar::Uint(*n)),
        ScalarValue::F64(n) => scalar_value(Scalar::F64(*n)),
        ScalarValue::Counter(_) => scalar_value(Scalar::Counter(value.as_i64().unwrap_or_default())),
        ScalarValue::Timestamp(n) => scalar_value(Scalar::Timestamp(*n)),
        ScalarValue::Boolean(b) => scalar_value(Scalar::Bool(*b)),
        ScalarValue::Null => scalar_value(Scalar::Null),
        ScalarValue::Unknown { .. } => Value::Other("a type of a newer format".into()),
    }
}

/// What stands by itself makes a document, the same in both, that saves and loads again.
fn alone(raw: &[u8], parsed: &Parsed<'_>) {
    let standing = evaluate(&[Candidate::of(parsed, None)]).standings[&parsed.hash()];
    if standing != Standing::Standing {
        return;
    }
    let fields = shown_by_automerge(&[raw]).unwrap_or_else(|| panic!("{parsed:?} harms Automerge"));
    if let Some(ours) = creation_fields(parsed) {
        assert_eq!(ours, fields, "{parsed:?}");
    }
    if let Some(edit) = simple_edit(parsed).filter(|_| replaces_all(parsed, &[])) {
        let put: BTreeMap<_, _> = edit.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        assert_eq!(put, fields, "{parsed:?}");
    }
    let document = Document::load(RecordId([1; 16]), [raw]).unwrap_or_else(|e| panic!("{e}: {parsed:?}"));
    document.view().unwrap_or_else(|e| panic!("{e}: {parsed:?}"));
    document.history().unwrap_or_else(|e| panic!("{e}: {parsed:?}"));
    assert_eq!(document.changes(), vec![(parsed.hash(), raw.to_vec())]);
}

/// The root of the document that these changes make in Automerge, ancestors first; `None` if it panics,
/// refuses, or saves what does not load as the same.
pub fn shown_by_automerge(changes: &[&[u8]]) -> Option<BTreeMap<String, Value>> {
    let shown = catch_unwind(AssertUnwindSafe(|| {
        let mut doc = Automerge::new();
        let changes: Result<Vec<_>, _> = changes.iter().map(|c| Change::from_bytes(c.to_vec())).collect();
        doc.apply_changes(changes.ok()?).ok()?;
        let again = Automerge::load(&doc.save()).ok()?;
        let fields = fields(&doc);
        let heads = again.get_heads() == doc.get_heads() && self::fields(&again) == fields;
        heads.then_some(fields)
    }));
    shown.ok().flatten()
}

fn fields(doc: &Automerge) -> BTreeMap<String, Value> {
    let value = |value: AmValue<'_>, id: automerge::ObjId| match value {
        AmValue::Object(ObjType::Text) => Value::Text(doc.text(&id).unwrap_or_default()),
        AmValue::Object(ObjType::List) => {
            let item = |i| doc.get(&id, i).ok().flatten().map(|(v, _)| v.into_string().unwrap_or_default());
            Value::List((0..doc.length(&id)).filter_map(item).collect())
        }
        AmValue::Object(_) => Value::Set(doc.keys(&id).collect()),
        AmValue::Scalar(s) => shown(&s),
    };
    doc.keys(ROOT)
        .filter_map(|key| doc.get(ROOT, key.as_str()).ok().flatten().map(|(v, id)| (key, value(v, id))))
        .collect()
}

/// Automerge writes it in another form, or not at all.
fn not_canonical(raw: &[u8]) {
    // Only what was read as a whole comes here, so that its size is bounded.
    if let Ok(stored) = Parsed::read_stored(raw) {
        let again = encode_body(stored.body());
        let theirs = catch_unwind(AssertUnwindSafe(|| {
            let change = Change::from_bytes(raw.to_vec()).ok()?;
            Some(Change::from(ExpandedChange::from(&change)).raw_bytes().to_vec())
        }));
        if let Ok(Some(theirs)) = theirs {
            assert!(theirs != raw || again == raw, "Automerge writes {stored:?} in this form");
        }
    }
}
