//! Shapes: what repeats from change to change of a collection, and the values that do not.
//!
//! It does not: know dependencies, or put anything into columns (see `write` and `read`).
//!
//! A change has a shape if every operation puts, makes, deletes or adds at a key of the root; a text, list or set
//! that was just made may be filled: a text letter by letter from its beginning, a list item by item, a set with keys
//! that are true. Anything else (a splice in the middle of an older text) has none and travels as it is.
//!
//! Invariants: shape and values give back the operations exactly, or there is no shape.

use super::super::PackError;
use super::super::leb::{Reader, put, put_bytes};
use crate::change::{Action, Body, Key, Obj, Op, OpId, Scalar};
use crate::limits::{CHANGE_DEPS_MAX, PACK_COLUMNS_MAX, PACK_ENTRIES_MAX, PACK_STEPS_MAX};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What one operation of the root does, with what fills it; its number in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Class {
    Null,
    Bool,
    Uint,
    Int,
    F64,
    Str,
    Bytes,
    Counter,
    Timestamp,
    Text,
    List,
    Set,
    Delete,
    Increment,
}

const CLASSES: [Class; 14] = [
    Class::Null,
    Class::Bool,
    Class::Uint,
    Class::Int,
    Class::F64,
    Class::Str,
    Class::Bytes,
    Class::Counter,
    Class::Timestamp,
    Class::Text,
    Class::List,
    Class::Set,
    Class::Delete,
    Class::Increment,
];

/// Predecessors of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Preds {
    /// So many, each named.
    Named(u32),
    /// The one operation that the change's dependency left at this key.
    Known,
}

/// One operation of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    /// The key, by its place among the pack's keys.
    pub(super) key: u32,
    pub(super) class: Class,
    pub(super) preds: Preds,
}

/// What repeats.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Shape {
    pub(super) message: bool,
    pub(super) deps: u32,
    pub(super) steps: Vec<Step>,
}

/// The value of one step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Number(u64),
    Signed(i64),
    Bits(u64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    Texts(Vec<&'a str>),
}

/// A step before its key and predecessors are named.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) key: &'a str,
    pub(super) class: Class,
    /// Where its operation stands among the change's.
    pub(super) at: usize,
    pub(super) value: Value<'a>,
}

/// Takes the operations apart; `None` if they have no shape.
pub(super) fn parts<'a>(body: &Body<'a>) -> Option<Vec<Part<'a>>> {
    let mut out = Vec::with_capacity(body.ops.len().min(64));
    let mut at = 0;
    while let Some(op) = body.ops.get(at) {
        let (Obj::Root, Key::Map(key), false) = (op.obj, op.key, op.insert) else { return None };
        let made = OpId { counter: body.start_op + at as u64, actor: 0 };
        let rest = body.ops.get(at + 1..).unwrap_or_default();
        let inside = rest.iter().take_while(|o| o.obj == Obj::Op(made)).count();
        let inside = rest.get(..inside).unwrap_or_default();
        let (class, value) = match op.action {
            Action::Set => scalar(op.value),
            Action::Delete if op.value == Scalar::Null => (Class::Delete, Value::None),
            Action::Increment => match op.value {
                Scalar::Int(n) => (Class::Increment, Value::Signed(n)),
                _ => return None,
            },
            Action::MakeText => (Class::Text, letters(inside, made)?),
            Action::MakeList => (Class::List, Value::Texts(items(inside, made)?)),
            Action::MakeMap => (Class::Set, Value::Texts(keys(inside)?)),
            Action::Delete | Action::MakeTable | Action::MarkBegin { .. } | Action::MarkEnd { .. } => return None,
        };
        if matches!(op.action, Action::MakeText | Action::MakeList | Action::MakeMap) && op.value != Scalar::Null {
            return None;
        }
        out.push(Part { key, class, at, value });
        at += 1 + if matches!(class, Class::Text | Class::List | Class::Set) { inside.len() } else { 0 };
    }
    Some(out)
}

fn scalar(value: Scalar<'_>) -> (Class, Value<'_>) {
    match value {
        Scalar::Null => (Class::Null, Value::None),
        Scalar::Bool(b) => (Class::Bool, Value::Number(u64::from(b))),
        Scalar::Uint(n) => (Class::Uint, Value::Number(n)),
        Scalar::Int(n) => (Class::Int, Value::Signed(n)),
        Scalar::F64(n) => (Class::F64, Value::Bits(n.to_bits())),
        Scalar::Str(s) => (Class::Str, Value::Text(Cow::Borrowed(s))),
        Scalar::Bytes(b) => (Class::Bytes, Value::Bytes(b)),
        Scalar::Counter(n) => (Class::Counter, Value::Signed(n)),
        Scalar::Timestamp(n) => (Class::Timestamp, Value::Signed(n)),
    }
}

/// What is inserted one after the other, from the beginning.
fn items<'a>(ops: &[Op<'a>], made: OpId) -> Option<Vec<&'a str>> {
    let mut after = Key::Head;
    let mut out = Vec::with_capacity(ops.len());
    for (op, counter) in ops.iter().zip(made.counter + 1..) {
        let (Action::Set, Scalar::Str(s), true, 0) = (op.action, op.value, op.insert, op.pred_len) else { return None };
        if op.key != after {
            return None;
        }
        after = Key::Elem(OpId { counter, actor: 0 });
        out.push(s);
    }
    Some(out)
}

fn letters<'a>(ops: &[Op<'a>], made: OpId) -> Option<Value<'a>> {
    let items = items(ops, made)?;
    let single = |s: &&str| {
        let mut chars = s.chars();
        chars.next().is_some() && chars.next().is_none()
    };
    items.iter().all(single).then(|| Value::Text(Cow::Owned(items.concat())))
}

fn keys<'a>(ops: &[Op<'a>]) -> Option<Vec<&'a str>> {
    let key = |op: &Op<'a>| match (op.action, op.key, op.value) {
        (Action::Set, Key::Map(key), Scalar::Bool(true)) if !op.insert && op.pred_len == 0 => Some(key),
        _ => None,
    };
    ops.iter().map(key).collect()
}

/// The keys and shapes of a pack, each once.
#[derive(Debug, Default)]
pub(super) struct Shapes<'a> {
    keys: Vec<&'a str>,
    key_at: BTreeMap<&'a str, u32>,
    shapes: Vec<Shape>,
    shape_at: BTreeMap<Shape, usize>,
}

impl<'a> Shapes<'a> {
    pub(super) fn key(&mut self, key: &'a str) -> u32 {
        *self.key_at.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.keys.len() as u32 - 1
        })
    }

    /// The shape's place.
    pub(super) fn shape(&mut self, shape: &Shape) -> usize {
        if let Some(at) = self.shape_at.get(shape) {
            return *at;
        }
        self.shapes.push(shape.clone());
        self.shape_at.insert(shape.clone(), self.shapes.len() - 1);
        self.shapes.len() - 1
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.keys.len() as u64);
        self.keys.iter().for_each(|key| put_bytes(out, key.as_bytes()));
        put(out, self.shapes.len() as u64);
        for shape in &self.shapes {
            put(out, u64::from(shape.deps) << 1 | u64::from(shape.message));
            put(out, shape.steps.len() as u64);
            for step in &shape.steps {
                put(out, u64::from(step.key));
                let (mode, named) = match step.preds {
                    Preds::Named(0) => (0, None),
                    Preds::Known => (1, None),
                    Preds::Named(1) => (2, None),
                    Preds::Named(n) => (3, Some(n)),
                };
                out.push(mode << 4 | step.class as u8);
                if let Some(n) = named {
                    put(out, u64::from(n));
                }
            }
        }
    }
}

/// The keys and shapes of a pack that is read.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) keys: Vec<&'a str>,
    pub(super) shapes: Vec<Shape>,
    /// For each shape its steps by key: the last that a key has.
    pub(super) last: Vec<Vec<(u32, u32)>>,
}

/// For each key the last step that it has, in the order of keys.
pub(super) fn last_steps(shape: &Shape) -> Vec<(u32, u32)> {
    let mut out: Vec<(u32, u32)> = shape.steps.iter().map(|s| s.key).zip(0..).collect();
    out.sort_unstable();
    out.reverse();
    out.dedup_by_key(|(key, _)| *key);
    out.reverse();
    out
}

impl<'a> Known<'a> {
    pub(super) fn read(r: &mut Reader<'a>) -> Result<Self, PackError> {
        let mut keys = Vec::new();
        let count = r.count()?;
        if count > PACK_COLUMNS_MAX {
            return Err(PackError::Malformed("more keys than PACK_COLUMNS_MAX"));
        }
        for _ in 0..count {
            keys.push(r.text()?);
        }
        let count = r.count()?;
        if count > PACK_ENTRIES_MAX {
            return Err(PackError::Malformed("more shapes than a pack has entries"));
        }
        let (mut shapes, mut left) = (Vec::new(), PACK_STEPS_MAX);
        for _ in 0..count {
            shapes.push(shape(r, keys.len(), &mut left)?);
        }
        let last = shapes.iter().map(last_steps).collect();
        Ok(Self { keys, shapes, last })
    }
}

fn shape(r: &mut Reader<'_>, keys: usize, left: &mut usize) -> Result<Shape, PackError> {
    let n = r.number()?;
    if n >> 1 > CHANGE_DEPS_MAX as u64 {
        return Err(PackError::Malformed("a shape with too many dependencies"));
    }
    let (message, deps) = (n & 1 == 1, (n >> 1) as u32);
    let steps = r.count()?;
    *left = left.checked_sub(steps).ok_or(PackError::Malformed("more steps than PACK_STEPS_MAX"))?;
    let mut out = Shape { message, deps, steps: Vec::with_capacity(steps) };
    for _ in 0..steps {
        let key = r.number()?;
        if key >= keys as u64 {
            return Err(PackError::Malformed("a key out of range"));
        }
        let b = r.byte()?;
        let class = CLASSES.get(usize::from(b & 15)).copied();
        let class = class.ok_or(PackError::Malformed("a value of an unknown class"))?;
        let preds = match b >> 4 {
            0 => Preds::Named(0),
            1 => Preds::Known,
            2 => Preds::Named(1),
            3 => {
                let n = r.number()?;
                if n > crate::limits::CHANGE_OPS_MAX {
                    return Err(PackError::Malformed("a step with too many predecessors"));
                }
                Preds::Named(n as u32)
            }
            _ => return Err(PackError::Malformed("predecessors in an unknown form")),
        };
        out.steps.push(Step { key: key as u32, class, preds });
    }
    Ok(out)
}
