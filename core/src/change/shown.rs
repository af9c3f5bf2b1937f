//! What a record's first change shows, borrowed from its bytes: for whoever makes thousands of rows.
//!
//! It does not: know the schema (every string is [`Shown::Str`]) or merge.
//!
//! Invariants: a shown value and the [`Value`] of the same field are one and the same; the short way through the columns
//! gives what `fields` gives from the operations, or leaves it to that.

use super::fields;
use super::op::{Action, Key, Obj, Op, OpId, Scalar};
use super::read::{Ops, Parsed, head};
use crate::id::ChangeHash;
use crate::value::Value;
use std::borrow::Cow;

/// A field's value as [`Value`] has it, borrowed where it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown<'a> {
    /// See [`Value::Str`].
    Str(&'a str),
    /// See [`Value::Text`].
    Text(Cow<'a, str>),
    /// See [`Value::Int`].
    Int(i64),
    /// See [`Value::Bool`].
    Bool(bool),
    /// See [`Value::List`].
    List(Vec<&'a str>),
    /// See [`Value::Set`]; ascending, each once.
    Set(Vec<&'a str>),
    /// See [`Value::Counter`].
    Counter(i64),
    /// See [`Value::Other`].
    Other(Cow<'a, str>),
}

impl Shown<'_> {
    /// The value, by itself.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let owned = |items: &[&str]| -> Vec<String> { items.iter().map(|s| (*s).to_owned()).collect() };
        match self {
            Shown::Str(s) => Value::Str((*s).to_owned()),
            Shown::Text(s) => Value::Text(s.clone().into_owned()),
            Shown::Int(n) => Value::Int(*n),
            Shown::Bool(b) => Value::Bool(*b),
            Shown::List(items) => Value::List(owned(items)),
            Shown::Set(items) => Value::Set(owned(items).into_iter().collect()),
            Shown::Counter(n) => Value::Counter(*n),
            Shown::Other(s) => Value::Other(s.clone().into_owned()),
        }
    }
}

impl<'a> From<&'a Value> for Shown<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Str(s) => Shown::Str(s),
            Value::Text(s) => Shown::Text(Cow::Borrowed(s)),
            Value::Int(n) => Shown::Int(*n),
            Value::Bool(b) => Shown::Bool(*b),
            Value::List(items) => Shown::List(items.iter().map(String::as_str).collect()),
            Value::Set(items) => Shown::Set(items.iter().map(String::as_str).collect()),
            Value::Counter(n) => Shown::Counter(*n),
            Value::Other(s) => Shown::Other(Cow::Borrowed(s)),
        }
    }
}

impl<'a> From<Scalar<'a>> for Shown<'a> {
    /// Kinds that no schema of ours writes become text.
    fn from(scalar: Scalar<'a>) -> Self {
        match scalar {
            Scalar::Str(s) => Shown::Str(s),
            Scalar::Int(n) => Shown::Int(n),
            Scalar::Bool(b) => Shown::Bool(b),
            Scalar::Counter(n) => Shown::Counter(n),
            Scalar::Null => Shown::Other(Cow::Borrowed("null")),
            Scalar::Uint(n) => Shown::Other(n.to_string().into()),
            Scalar::F64(n) => Shown::Other(n.to_string().into()),
            Scalar::Timestamp(n) => Shown::Other(n.to_string().into()),
            Scalar::Bytes(b) => Shown::Other(data_encoding::HEXLOWER.encode(b).into()),
        }
    }
}

/// The fields of a stored creation, ascending by name, without those whose names begin with `_`: what
/// [`creation_fields`](super::creation_fields) says of it, `None` alike.
///
/// `bytes` are those of a change that stands here, of this hash, as for [`Parsed::read_hashed`].
#[must_use]
pub fn creation_shown(bytes: &[u8], hash: ChangeHash) -> Option<Vec<(&str, Shown<'_>)>> {
    let mut out = plain(bytes).or_else(|| fields::shown(&Parsed::read_hashed(bytes, hash).ok()?))?;
    out.retain(|(name, _)| !name.starts_with('_'));
    Some(out)
}

/// A text, list or set that is being filled.
struct Made {
    /// The counter of the operation that made it.
    by: u64,
    /// Where it stands among the fields.
    at: usize,
    /// The counter of the element inserted last; 0 for none.
    last: u64,
}

/// The short way: for a change that sets or makes each root key once and names no predecessor, as our own writer does.
/// `None` says nothing of any other.
fn plain(bytes: &[u8]) -> Option<Vec<(&str, Shown<'_>)>> {
    let (body, columns) = head(bytes).ok()?;
    if !body.deps.is_empty() {
        return None;
    }
    let mut preds = Vec::new();
    let mut ops = Ops::begin(&columns, &body).ok()?;
    let mut out = Vec::with_capacity(ops.left().min(32));
    let mut made: Vec<Made> = Vec::new();
    let mut counter = body.start_op;
    while let Some(op) = ops.next(&mut preds).ok()? {
        if op.pred_len > 0 {
            return None;
        }
        match (op.obj, op.key) {
            (Obj::Root, Key::Map(key)) => {
                let value = match op.action {
                    // Nobody is shown these.
                    Action::Set if key.starts_with('_') => Shown::Other(Cow::Borrowed("")),
                    Action::Set => Shown::from(op.value),
                    Action::MakeText => Shown::Text(Cow::Borrowed("")),
                    Action::MakeList => Shown::List(Vec::new()),
                    Action::MakeMap => Shown::Set(Vec::new()),
                    Action::Delete
                    | Action::Increment
                    | Action::MakeTable
                    | Action::MarkBegin { .. }
                    | Action::MarkEnd { .. } => return None,
                };
                if op.action != Action::Set {
                    made.push(Made { by: counter, at: out.len(), last: 0 });
                }
                out.push((key, value));
            }
            (Obj::Root, Key::Head | Key::Elem(_)) => return None,
            (Obj::Op(id), _) => fill(&mut out, made_by(&mut made, id)?, &op, counter)?,
        }
        counter += 1;
    }
    ops.end().ok()?;
    for made in &made {
        if let Some((_, Shown::Set(keys))) = out.get_mut(made.at) {
            ascending(keys, |k| *k)?;
        }
    }
    ascending(&mut out, |(key, _)| *key)?;
    Some(out)
}

/// What an operation of this change made: nearly always the last thing made.
fn made_by(made: &mut [Made], id: OpId) -> Option<&mut Made> {
    let at = made.binary_search_by_key(&id.counter, |m| m.by).ok()?;
    made.get_mut(at).filter(|_| id.actor == 0)
}

/// One element more: at the end of a text or list, or as a key of a set.
fn fill<'a>(out: &mut [(&'a str, Shown<'a>)], made: &mut Made, op: &Op<'a>, counter: u64) -> Option<()> {
    if op.action != Action::Set {
        return None;
    }
    let (_, value) = out.get_mut(made.at)?;
    if let Shown::Set(keys) = value {
        let (Key::Map(key), Scalar::Bool(true)) = (op.key, op.value) else { return None };
        keys.push(key);
        return Some(());
    }
    let at_end = match op.key {
        Key::Head => made.last == 0,
        Key::Elem(after) => made.last == after.counter && after.actor == 0,
        Key::Map(_) => false,
    };
    let (true, true, Scalar::Str(s)) = (op.insert, at_end, op.value) else { return None };
    match value {
        Shown::Text(text) => text.to_mut().push_str(s),
        Shown::List(items) => items.push(s),
        Shown::Str(_) | Shown::Int(_) | Shown::Bool(_) | Shown::Set(_) | Shown::Counter(_) | Shown::Other(_) => {
            return None;
        }
    }
    made.last = counter;
    Some(())
}

/// Sorts by a key that each has for itself; `None` where two have the same.
fn ascending<'a, T>(list: &mut [T], key: impl Fn(&T) -> &'a str) -> Option<()> {
    let sorted = |list: &[T]| list.windows(2).all(|w| key(&w[0]) < key(&w[1]));
    if !sorted(list) {
        list.sort_unstable_by(|a, b| key(a).cmp(key(b)));
    }
    sorted(list).then_some(())
}
