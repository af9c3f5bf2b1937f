//! Writing one field inside a transaction.
//!
//! It does not: make births, count operations of a whole change, or commit.
//!
//! Invariants: what already holds is not written again; a born field is emptied, never deleted; the
//! smaller edit is preferred (a splice to a new text), because concurrent edits merge around it.

use super::diff::{set_list, set_text};
use super::engine::refused;
use super::error::{EditError, within};
use super::read;
use crate::limits;
use crate::value::{Edit, Kind, Value};
use automerge::transaction::Transactable;
use automerge::{ObjType, ROOT, ReadDoc, ScalarValue};
use std::collections::BTreeSet;

/// The string, if it is within its limit.
pub(super) fn bounded<'a>(field: &str, s: &'a str) -> Result<&'a str, EditError> {
    within("STRING_BYTES_MAX", limits::STRING_BYTES_MAX as u64, s.len() as u64, || {
        format!("the value of '{field}' in bytes")
    })?;
    Ok(s)
}

/// The count, if it is within its limit.
fn countable(field: &str, n: i64) -> Result<i64, EditError> {
    if n.unsigned_abs() > limits::COUNTER_ABS_MAX {
        return Err(EditError::CounterRange { field: field.to_owned() });
    }
    Ok(n)
}

/// A value in the form that its kind is written in.
pub(super) enum Typed {
    /// One scalar.
    Scalar(ScalarValue),
    /// A text's content.
    Text(String),
    /// A list's elements.
    List(Vec<String>),
    /// A set's elements.
    Set(BTreeSet<String>),
    /// A counter's value.
    Counter(i64),
}

/// Checks that a value fits its kind and its limits.
///
/// A string is taken for a text, an array for a set, an integer for a counter and one string for a
/// list or set of one, because that is how people and JSON write them.
pub(super) fn typed(field: &str, kind: Kind, value: &Value) -> Result<Typed, EditError> {
    let wrong = || EditError::WrongValue { field: field.to_owned(), kind };
    let strings = |list: Vec<&String>| -> Result<Vec<String>, EditError> {
        within("CHANGE_OPS_MAX", limits::CHANGE_OPS_MAX, list.len() as u64, || {
            format!("the number of elements of '{field}'")
        })?;
        list.into_iter().map(|s| bounded(field, s).map(str::to_owned)).collect()
    };
    Ok(match kind {
        Kind::String | Kind::Date | Kind::Choice | Kind::Ref | Kind::File => match value {
            Value::Str(s) | Value::Text(s) => Typed::Scalar(ScalarValue::Str(bounded(field, s)?.into())),
            _ => return Err(wrong()),
        },
        Kind::Int | Kind::Decimal => match value {
            Value::Int(n) => Typed::Scalar(ScalarValue::Int(*n)),
            _ => return Err(wrong()),
        },
        Kind::Bool => match value {
            Value::Bool(b) => Typed::Scalar(ScalarValue::Boolean(*b)),
            _ => return Err(wrong()),
        },
        Kind::Text => match value {
            Value::Text(s) | Value::Str(s) => {
                within("TEXT_BYTES_MAX", limits::TEXT_BYTES_MAX as u64, s.len() as u64, || {
                    format!("the value of '{field}' in bytes")
                })?;
                Typed::Text(s.clone())
            }
            _ => return Err(wrong()),
        },
        Kind::List => match value {
            Value::List(list) => Typed::List(strings(list.iter().collect())?),
            Value::Set(set) => Typed::List(strings(set.iter().collect())?),
            Value::Str(s) => Typed::List(strings(vec![s])?),
            _ => return Err(wrong()),
        },
        Kind::Set => match value {
            Value::List(list) => Typed::Set(strings(list.iter().collect())?.into_iter().collect()),
            Value::Set(set) => Typed::Set(strings(set.iter().collect())?.into_iter().collect()),
            Value::Str(s) => Typed::Set(strings(vec![s])?.into_iter().collect()),
            _ => return Err(wrong()),
        },
        Kind::Counter => match value {
            Value::Counter(n) | Value::Int(n) => Typed::Counter(countable(field, *n)?),
            _ => return Err(wrong()),
        },
    })
}

/// Whether the edit needs the field's object to exist; emptying what is absent does not.
pub(super) fn needs_object(field: &str, kind: Kind, edit: &Edit) -> Result<bool, EditError> {
    Ok(match edit {
        Edit::Clear => false,
        Edit::Sub(_) => kind == Kind::Counter,
        Edit::Set(value) | Edit::Add(value) => match typed(field, kind, value)? {
            Typed::Scalar(_) => false,
            Typed::Text(s) => !s.is_empty(),
            Typed::List(list) => !list.is_empty(),
            Typed::Set(set) => !set.is_empty(),
            Typed::Counter(_) => true,
        },
    })
}

/// Writes a value over whatever the key holds, as a new object where the kind has one.
#[cfg(test)]
pub(super) fn fresh<T: Transactable>(tx: &mut T, field: &str, kind: Kind, value: &Value) -> Result<(), EditError> {
    let typed = typed(field, kind, value)?;
    put_new(tx, field, typed)
}

fn put_new<T: Transactable>(tx: &mut T, field: &str, value: Typed) -> Result<(), EditError> {
    match value {
        Typed::Scalar(scalar) => tx.put(ROOT, field, scalar).map_err(refused)?,
        Typed::Counter(n) => tx.put(ROOT, field, ScalarValue::counter(n)).map_err(refused)?,
        Typed::Text(s) => {
            let obj = tx.put_object(ROOT, field, ObjType::Text).map_err(refused)?;
            set_text(tx, field, &obj, "", &s)?;
        }
        Typed::List(list) => {
            let obj = tx.put_object(ROOT, field, ObjType::List).map_err(refused)?;
            tx.splice(&obj, 0, 0, list.iter().map(String::as_str)).map_err(refused)?;
        }
        Typed::Set(set) => {
            let obj = tx.put_object(ROOT, field, ObjType::Map).map_err(refused)?;
            for s in &set {
                tx.put(&obj, s.as_str(), true).map_err(refused)?;
            }
        }
    }
    Ok(())
}

/// Applies one edit of a field of a scalar kind. `again` writes even what already holds, so that
/// the write stands after everything seen so far.
pub(super) fn scalar<T: Transactable>(
    tx: &mut T,
    field: &str,
    kind: Kind,
    edit: &Edit,
    again: bool,
) -> Result<(), EditError> {
    let present = read::all(tx, field, None)?;
    match edit {
        Edit::Add(_) | Edit::Sub(_) => Err(EditError::NotAddable { field: field.to_owned() }),
        Edit::Clear if present.is_empty() => Ok(()),
        Edit::Clear => Ok(tx.delete(ROOT, field).map_err(refused)?),
        Edit::Set(value) => {
            let Typed::Scalar(scalar) = typed(field, kind, value)? else {
                return Err(EditError::WrongValue { field: field.to_owned(), kind });
            };
            if !present.is_empty() && present.iter().all(|(held, _)| same(held, &scalar)) {
                if !again {
                    return Ok(());
                }
                // Automerge drops a put of the value that holds, so the key is emptied first.
                tx.delete(ROOT, field).map_err(refused)?;
            }
            Ok(tx.put(ROOT, field, scalar).map_err(refused)?)
        }
    }
}

fn same(held: &Value, scalar: &ScalarValue) -> bool {
    match (held, scalar) {
        (Value::Str(a), ScalarValue::Str(b)) => a == b.as_str(),
        (Value::Int(a), ScalarValue::Int(b)) => a == b,
        (Value::Bool(a), ScalarValue::Boolean(b)) => a == b,
        _ => false,
    }
}

/// Applies one edit of a text, list, set or counter. `new` says that the field was born in this
/// very call, so that setting a counter to 0 is still recorded with its author.
pub(super) fn born<T: Transactable>(
    tx: &mut T,
    field: &str,
    kind: Kind,
    edit: &Edit,
    new: bool,
) -> Result<(), EditError> {
    let mut present = read::all(tx, field, None)?;
    let conflict = present.len() > 1;
    let Some((held, id)) = present.pop() else {
        // Only a stranger deletes the key of a born field; the next write makes it anew.
        if needs_object(field, kind, edit)? {
            let target = target(field, kind, edit, None)?;
            put_new(tx, field, target)?;
        }
        return Ok(());
    };
    let target = target(field, kind, edit, Some(&held))?;
    match (held, target) {
        // Several objects at one key, or one of a strange type: setting or clearing settles it.
        (_, target) if conflict && matches!(edit, Edit::Set(_) | Edit::Clear) => put_new(tx, field, target),
        (Value::Text(old), Typed::Text(new)) => set_text(tx, field, &id, &old, &new),
        (Value::List(old), Typed::List(new)) => set_list(tx, &id, &old, &new),
        (Value::Set(old), Typed::Set(new)) => {
            for gone in old.difference(&new) {
                tx.delete(&id, gone.as_str()).map_err(refused)?;
            }
            for come in new.difference(&old) {
                tx.put(&id, come.as_str(), true).map_err(refused)?;
            }
            Ok(())
        }
        (Value::Counter(old), Typed::Counter(to)) => {
            let by = to.checked_sub(old).ok_or_else(|| EditError::CounterRange { field: field.to_owned() })?;
            if by != 0 || new {
                tx.increment(ROOT, field, by).map_err(refused)?;
            }
            Ok(())
        }
        (_, target) => put_new(tx, field, target),
    }
}

/// What the field shall hold after the edit.
fn target(field: &str, kind: Kind, edit: &Edit, held: Option<&Value>) -> Result<Typed, EditError> {
    let not_addable = || EditError::NotAddable { field: field.to_owned() };
    let range = || EditError::CounterRange { field: field.to_owned() };
    let list = || match held {
        Some(Value::List(list)) => list.clone(),
        _ => Vec::new(),
    };
    let set = || match held {
        Some(Value::Set(set)) => set.clone(),
        _ => BTreeSet::new(),
    };
    let count = || match held {
        Some(Value::Counter(n)) => *n,
        _ => 0,
    };
    match edit {
        Edit::Set(value) => typed(field, kind, value),
        Edit::Clear => typed(field, kind, &empty(kind).ok_or_else(not_addable)?),
        Edit::Add(value) => match typed(field, kind, value)? {
            Typed::List(more) => Ok(Typed::List(list().into_iter().chain(more).collect())),
            Typed::Set(more) => Ok(Typed::Set(set().into_iter().chain(more).collect())),
            Typed::Counter(by) => {
                count().checked_add(by).ok_or_else(range).and_then(|n| countable(field, n)).map(Typed::Counter)
            }
            Typed::Text(_) | Typed::Scalar(_) => Err(not_addable()),
        },
        Edit::Sub(value) => match typed(field, kind, value)? {
            Typed::List(less) => {
                let less: BTreeSet<String> = less.into_iter().collect();
                Ok(Typed::List(list().into_iter().filter(|s| !less.contains(s)).collect()))
            }
            Typed::Set(less) => Ok(Typed::Set(set().difference(&less).cloned().collect())),
            Typed::Counter(by) => {
                count().checked_sub(by).ok_or_else(range).and_then(|n| countable(field, n)).map(Typed::Counter)
            }
            Typed::Text(_) | Typed::Scalar(_) => Err(not_addable()),
        },
    }
}

fn empty(kind: Kind) -> Option<Value> {
    match kind {
        Kind::Text => Some(Value::Text(String::new())),
        Kind::List => Some(Value::List(Vec::new())),
        Kind::Set => Some(Value::Set(BTreeSet::new())),
        Kind::Counter => Some(Value::Counter(0)),
        Kind::String | Kind::Int | Kind::Decimal | Kind::Bool | Kind::Date | Kind::Choice | Kind::Ref | Kind::File => {
            None
        }
    }
}

/// Whether the key holds anything at all.
pub(super) fn holds<D: ReadDoc>(doc: &D, field: &str) -> Result<bool, EditError> {
    Ok(doc.get(ROOT, field).map_err(refused)?.is_some())
}
