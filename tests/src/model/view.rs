//! A record's document by Automerge alone, and whether the engine shows the same.
//!
//! It does not: use the engine's documents or readers; it compares with their outcome.
//!
//! Invariants: a document is a function of its set of changes: they are applied one by one in the
//! order of their hashes, which is no causal order.

use super::change::{self, Plain, Reading};
use automerge::legacy::{Key, ObjectId, Op};
use automerge::{Automerge, Change, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, TextEncoding, Value as AmValue};
use sampan_core::id::ChangeHash;
use sampan_core::record::View;
use sampan_core::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The document of a set of accepted changes, `None` for none.
///
/// # Errors
/// A sentence, if Automerge refuses, panics, leaves a change out or cannot load what it saved: then
/// something stands that must not.
pub fn document<'a>(changes: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Automerge>, String> {
    let mut sorted: BTreeMap<ChangeHash, &[u8]> = BTreeMap::new();
    for bytes in changes {
        match change::read(bytes) {
            Reading::Fine(plain) => sorted.insert(plain.hash, bytes),
            Reading::Malformed(why) | Reading::NeedsNewer(why) => return Err(format!("a change stands but {why}")),
        };
    }
    if sorted.is_empty() {
        return Ok(None);
    }
    // What is loaded was saved a line before, and that it loads is what is asked.
    #[allow(clippy::disallowed_methods)]
    let made = catch_unwind(AssertUnwindSafe(|| {
        let mut doc = Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint);
        doc.set_actor(automerge::ActorId::from([0u8; 16]));
        for bytes in sorted.values() {
            let change = Change::try_from(*bytes).map_err(|e| e.to_string())?;
            doc.apply_changes([change]).map_err(|e| e.to_string())?;
        }
        let held = doc.get_changes(&[]).len();
        if held != sorted.len() {
            return Err(format!("Automerge applied {held} of {} changes", sorted.len()));
        }
        let again = Automerge::load(&doc.save()).map_err(|e| format!("what was saved does not load: {e}"))?;
        if again.get_heads() != doc.get_heads() {
            return Err("what was saved loads as another document".to_owned());
        }
        Ok(Some(doc))
    }));
    made.unwrap_or_else(|_| Err("Automerge panics on changes that all stand".to_owned()))
}

/// All values of a root key, the winner last, each with the change that wrote it.
fn all(doc: &Automerge, key: &str) -> Vec<(String, ChangeHash)> {
    let found = doc.get_all(ROOT, key).unwrap_or_default();
    let of = |(value, id): (AmValue<'_>, ObjId)| {
        let hash = doc.hash_for_opid(&id).map_or(ChangeHash::default(), |h| ChangeHash(h.0));
        (shown(doc, &value, &id), hash)
    };
    found.into_iter().map(of).collect()
}

fn shown(doc: &Automerge, value: &AmValue<'_>, id: &ObjId) -> String {
    match value {
        AmValue::Object(ObjType::Text) => format!("text {:?}", doc.text(id).unwrap_or_default()),
        AmValue::Object(ObjType::List) => {
            let items: Vec<String> =
                (0..doc.length(id)).filter_map(|i| doc.get(id, i).ok()?.map(|(v, _)| item(&v))).collect();
            format!("list {items:?}")
        }
        AmValue::Object(ObjType::Map | ObjType::Table) => format!("set {:?}", doc.keys(id).collect::<BTreeSet<_>>()),
        AmValue::Scalar(s) => match s.as_ref() {
            ScalarValue::Str(s) => format!("str {:?}", s.as_str()),
            ScalarValue::Int(n) => format!("int {n}"),
            ScalarValue::Boolean(b) => format!("bool {b}"),
            ScalarValue::Counter(c) => format!("counter {}", i64::from(c)),
            other => format!("other {}", text(other)),
        },
    }
}

fn item(value: &AmValue<'_>) -> String {
    match value {
        AmValue::Object(ObjType::Map | ObjType::Table) => "{…}".to_owned(),
        AmValue::Object(ObjType::List) => "[…]".to_owned(),
        AmValue::Object(ObjType::Text) => "(text)".to_owned(),
        AmValue::Scalar(s) => text(s),
    }
}

fn text(scalar: &ScalarValue) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
    match scalar {
        ScalarValue::Str(s) => s.to_string(),
        ScalarValue::Int(n) => n.to_string(),
        ScalarValue::Uint(n) => n.to_string(),
        ScalarValue::F64(n) => n.to_string(),
        ScalarValue::Counter(n) => i64::from(n).to_string(),
        ScalarValue::Timestamp(n) => n.to_string(),
        ScalarValue::Boolean(b) => b.to_string(),
        ScalarValue::Null => "null".to_owned(),
        ScalarValue::Bytes(b) | ScalarValue::Unknown { bytes: b, .. } => hex(b),
    }
}

/// A value of the engine in the words that [`shown`] uses.
fn of_engine(value: &Value) -> String {
    match value {
        Value::Str(s) => format!("str {s:?}"),
        Value::Text(s) => format!("text {s:?}"),
        Value::Int(n) => format!("int {n}"),
        Value::Bool(b) => format!("bool {b}"),
        Value::List(l) => format!("list {l:?}"),
        Value::Set(s) => format!("set {s:?}"),
        Value::Counter(n) => format!("counter {n}"),
        Value::Other(s) => format!("other {s}"),
    }
}

/// Every root key with its value, and where concurrent values differ all of them, the winner last.
#[must_use]
pub fn plain(doc: &Automerge) -> BTreeMap<String, String> {
    let line = |key: String| {
        let values: Vec<String> = all(doc, &key).into_iter().map(|(v, _)| v).collect();
        let agree = values.windows(2).all(|w| w[0] == w[1]);
        let value = if agree { values.last().cloned().unwrap_or_default() } else { values.join(" ‖ ") };
        (key, value)
    };
    doc.keys(ROOT).map(line).collect()
}

/// Whether the engine shows of a record what its document says: fields, conflicts with all values and
/// their changes, and removal.
///
/// # Errors
/// The first difference, as a sentence.
pub fn same_view(view: &View, doc: &Automerge) -> Result<(), String> {
    let keys: BTreeSet<String> = doc.keys(ROOT).filter(|k| !k.starts_with('_')).collect();
    let shown: BTreeSet<String> = view.fields.keys().cloned().collect();
    if keys != shown {
        return Err(format!("the engine shows the fields {shown:?}, the document has {keys:?}"));
    }
    for key in &keys {
        let values = all(doc, key);
        let winner = values.last().map(|(v, _)| v.clone()).unwrap_or_default();
        let field = view.fields.get(key).map(of_engine).unwrap_or_default();
        if field != winner {
            return Err(format!("'{key}' is shown as {field}, the document says {winner}"));
        }
        let expected = if values.iter().all(|(v, _)| *v == winner) { Vec::new() } else { values };
        same_conflict(view, key, &expected)?;
    }
    same_removal(view, doc)
}

fn same_conflict(view: &View, key: &str, expected: &[(String, ChangeHash)]) -> Result<(), String> {
    let mut of_key = view.conflicts.iter().filter(|c| c.field == key);
    let listed: Vec<(String, ChangeHash)> =
        of_key.next().into_iter().flat_map(|c| &c.values).map(|v| (of_engine(&v.value), v.change)).collect();
    if of_key.next().is_some() {
        return Err(format!("the conflict of '{key}' is listed twice"));
    }
    if listed != expected {
        return Err(format!("the conflict of '{key}' is listed as {listed:?}, the document has {expected:?}"));
    }
    Ok(())
}

/// A removal stands, and edits that ran beside every removal are listed against it.
fn same_removal(view: &View, doc: &Automerge) -> Result<(), String> {
    let said = all(doc, "_removed");
    let yes = "bool true";
    let removed = said.last().is_some_and(|(v, _)| v == yes);
    if view.removed != removed {
        return Err(format!("the engine says removed = {}, the document {removed}", view.removed));
    }
    let changes: BTreeMap<ChangeHash, Plain> = doc
        .get_changes(&[])
        .iter()
        .filter_map(|c| match change::read(c.raw_bytes()) {
            Reading::Fine(plain) => Some((plain.hash, plain)),
            Reading::Malformed(_) | Reading::NeedsNewer(_) => None,
        })
        .collect();
    let removals: BTreeSet<ChangeHash> = said.iter().filter(|(v, _)| removed && v == yes).map(|(_, h)| *h).collect();
    let mut beside = Vec::new();
    if removed {
        let past: BTreeMap<ChangeHash, BTreeSet<ChangeHash>> =
            changes.keys().map(|h| (*h, ancestors(&changes, h))).collect();
        for (hash, change) in &changes {
            let apart = removals.iter().all(|r| r != hash && !past[r].contains(hash) && !past[hash].contains(r));
            if apart && !is_computed(change) && edits_a_field(&changes, change) {
                beside.push((change.start_op, *hash));
            }
        }
    }
    beside.sort_unstable();
    let differ = said.windows(2).any(|w| w[0].0 != w[1].0);
    let expected = if differ || !beside.is_empty() {
        beside.into_iter().map(|(_, h)| ("bool false".to_owned(), h)).chain(said).collect()
    } else {
        Vec::new()
    };
    same_conflict(view, "_removed", &expected)
}

fn ancestors(changes: &BTreeMap<ChangeHash, Plain>, of: &ChangeHash) -> BTreeSet<ChangeHash> {
    let mut out = BTreeSet::new();
    let mut todo = vec![*of];
    while let Some(next) = todo.pop() {
        for dep in changes.get(&next).map(|c| c.deps.as_slice()).unwrap_or_default() {
            if out.insert(*dep) {
                todo.push(*dep);
            }
        }
    }
    out
}

/// A birth: nobody's edit. Only computed changes have time 0, sequence 1 and one operation that makes.
fn is_computed(change: &Plain) -> bool {
    let makes = |op: &Op| op.pred.is_empty() && matches!(op.obj, ObjectId::Root);
    change.time == 0
        && change.seq == 1
        && !change.deps.is_empty()
        && change.ops.len() == 1
        && change.ops.iter().all(makes)
}

fn edits_a_field(changes: &BTreeMap<ChangeHash, Plain>, change: &Plain) -> bool {
    change.ops.iter().any(|op| root_key(changes, op).is_some_and(|key| !key.starts_with('_')))
}

fn root_key(changes: &BTreeMap<ChangeHash, Plain>, op: &Op) -> Option<String> {
    let mut at = op.clone();
    loop {
        match (&at.obj, &at.key) {
            (ObjectId::Root, Key::Map(key)) => return Some(key.to_string()),
            (ObjectId::Root, Key::Seq(_)) => return None,
            (ObjectId::Id(id), _) => at = changes.values().find_map(|c| c.op(id))?.clone(),
        }
    }
}
