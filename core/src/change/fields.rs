//! Field values straight from changes, without a document.
//!
//! It does not: know the schema (every string is [`Value::Str`]) or merge; `None` always means "open
//! the document".
//!
//! Invariants: what is returned is what Automerge's document would show.

use super::op::{Action, Key, Obj, Op, OpId, Scalar};
use super::read::Parsed;
use super::shown::Shown;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A scalar as a field value; kinds that no schema of ours writes become text.
#[must_use]
pub fn scalar_value(scalar: Scalar<'_>) -> Value {
    Shown::from(scalar).to_value()
}

/// What a root key holds while the operations are read.
enum Slot<'a> {
    Scalar(Scalar<'a>),
    /// The element inserted last, and all of them in order.
    Text(Option<OpId>, Vec<&'a str>),
    List(Option<OpId>, Vec<&'a str>),
    Set(BTreeSet<&'a str>),
}

/// The fields of a record's first change, if it only puts scalars and makes and fills texts, lists,
/// sets and counters at root keys.
#[must_use]
pub fn creation_fields(change: &Parsed<'_>) -> Option<BTreeMap<String, Value>> {
    Some(shown(change)?.into_iter().map(|(key, value)| (key.to_owned(), value.to_value())).collect())
}

/// The same, borrowed from the change: ascending by name.
pub(super) fn shown<'a>(change: &Parsed<'a>) -> Option<Vec<(&'a str, Shown<'a>)>> {
    if !change.deps.is_empty() {
        return None;
    }
    let mut slots: BTreeMap<&str, (OpId, Slot<'_>)> = BTreeMap::new();
    let mut keys: BTreeMap<OpId, &str> = BTreeMap::new();
    for (counter, op) in change.ops_with_counters() {
        let id = OpId { counter, actor: 0 };
        match op.obj {
            Obj::Root => {
                let Key::Map(key) = op.key else { return None };
                root_op(change, op, key, id, &mut slots)?;
                if !matches!(op.action, Action::Set | Action::Increment | Action::Delete) {
                    keys.insert(id, key);
                }
            }
            Obj::Op(made) => {
                let (current, slot) = slots.get_mut(keys.get(&made)?)?;
                if *current != made || op.action != Action::Set || op.pred_len > 0 {
                    return None;
                }
                fill(slot, op, id)?;
            }
        }
    }
    Some(slots.into_iter().map(|(key, (_, slot))| (key, of_slot(slot))).collect())
}

fn root_op<'a>(
    change: &Parsed<'a>,
    op: &Op<'a>,
    key: &'a str,
    id: OpId,
    slots: &mut BTreeMap<&'a str, (OpId, Slot<'a>)>,
) -> Option<()> {
    // A predecessor list that is not exactly what the key holds would make a conflict.
    let held = slots.get(key).map(|(id, _)| *id);
    if change.preds_of(op) != held.as_slice() {
        return None;
    }
    let slot = match op.action {
        Action::Set => Slot::Scalar(op.value),
        Action::MakeText => Slot::Text(None, Vec::new()),
        Action::MakeList => Slot::List(None, Vec::new()),
        Action::MakeMap => Slot::Set(BTreeSet::new()),
        Action::Delete => {
            slots.remove(key);
            return Some(());
        }
        Action::Increment => {
            let (Some((_, Slot::Scalar(Scalar::Counter(n)))), Scalar::Int(by)) = (slots.get_mut(key), op.value) else {
                return None;
            };
            *n = n.checked_add(by)?;
            return Some(());
        }
        Action::MakeTable | Action::MarkBegin { .. } | Action::MarkEnd { .. } => return None,
    };
    slots.insert(key, (id, slot));
    Some(())
}

/// One element more: at the end of a text or list, or as a key of a set.
fn fill<'a>(slot: &mut Slot<'a>, op: &Op<'a>, id: OpId) -> Option<()> {
    match slot {
        Slot::Text(last, items) | Slot::List(last, items) => {
            let at_end = match op.key {
                Key::Head => last.is_none(),
                Key::Elem(after) => *last == Some(after),
                Key::Map(_) => false,
            };
            let (true, true, Scalar::Str(s)) = (op.insert, at_end, op.value) else {
                return None;
            };
            items.push(s);
            *last = Some(id);
            Some(())
        }
        Slot::Set(keys) => {
            let (Key::Map(key), Scalar::Bool(true)) = (op.key, op.value) else {
                return None;
            };
            keys.insert(key).then_some(())
        }
        Slot::Scalar(_) => None,
    }
}

fn of_slot(slot: Slot<'_>) -> Shown<'_> {
    match slot {
        Slot::Scalar(scalar) => Shown::from(scalar),
        Slot::Text(_, items) => Shown::Text(items.concat().into()),
        Slot::List(_, items) => Shown::List(items),
        Slot::Set(keys) => Shown::Set(keys.into_iter().collect()),
    }
}

/// The fields that a later change sets (`None` = deletes), if it does nothing but put and delete
/// scalars at root keys, each at most once.
///
/// It shows what the document would only where the change is on top of everything and
/// [`replaces_all`] holds; otherwise a conflict would be overlooked.
#[must_use]
pub fn simple_edit(change: &Parsed<'_>) -> Option<Vec<(String, Option<Value>)>> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::with_capacity(change.ops.len());
    for op in &change.ops {
        let (Obj::Root, Key::Map(key)) = (op.obj, op.key) else {
            return None;
        };
        if !seen.insert(key) {
            return None;
        }
        let value = match (op.action, op.value) {
            (Action::Set, Scalar::Counter(_)) => return None,
            (Action::Set, scalar) => Some(scalar_value(scalar)),
            (Action::Delete, _) => None,
            (
                Action::MakeMap
                | Action::MakeList
                | Action::MakeText
                | Action::Increment
                | Action::MakeTable
                | Action::MarkBegin { .. }
                | Action::MarkEnd { .. },
                _,
            ) => return None,
        };
        out.push((key.to_owned(), value));
    }
    Some(out)
}

/// Whether every root key that the change touches loses all that `past`, its whole causal past,
/// left there, so that exactly the new value (or nothing) remains.
#[must_use]
pub fn replaces_all(change: &Parsed<'_>, past: &[&Parsed<'_>]) -> bool {
    let touched: BTreeSet<&str> = change.ops.iter().filter_map(root_key).collect();
    let mut live: BTreeMap<&str, BTreeSet<(u64, crate::id::ActorId)>> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    for parsed in past {
        for (counter, op) in parsed.ops_with_counters() {
            let Some(key) = root_key(op).filter(|key| touched.contains(key)) else {
                continue;
            };
            match op.action {
                Action::Increment => continue, // keeps its predecessors alive
                Action::Delete => {}
                _ => {
                    live.entry(key).or_default().insert((counter, parsed.actor()));
                }
            }
            gone.extend(parsed.preds_of(op).iter().filter_map(|id| Some((id.counter, parsed.actor_of(*id)?))));
        }
    }
    change.ops.iter().all(|op| {
        let Some(key) = root_key(op) else {
            return false;
        };
        let named: BTreeSet<_> =
            change.preds_of(op).iter().filter_map(|id| Some((id.counter, change.actor_of(*id)?))).collect();
        live.get(key).is_none_or(|ids| ids.iter().all(|id| gone.contains(id) || named.contains(id)))
    })
}

fn root_key<'a>(op: &Op<'a>) -> Option<&'a str> {
    match (op.obj, op.key) {
        (Obj::Root, Key::Map(key)) => Some(key),
        _ => None,
    }
}
