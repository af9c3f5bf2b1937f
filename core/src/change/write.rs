//! From a change to bytes: the one form that Automerge itself writes.
//!
//! It does not: check (what a builder makes is checked by reading it back, see
//! [`ChangeBuilder::finish`]).
//!
//! Invariants: the same body gives the same bytes; empty columns are left out.

use super::bytes::{put_signed, put_unsigned};
use super::columns::{write_bools, write_delta, write_rle};
use super::error::ChangeError;
use super::op::{Action, Body, Key, Obj, Op, OpId, Scalar};
use super::read::{MAGIC, Parsed, TYPE_CHANGE, chunk_hash, column};
use crate::id::{ActorId, ChangeHash};

/// The whole chunk.
#[must_use]
pub fn encode_body(body: &Body<'_>) -> Vec<u8> {
    chunk(&encode_content(body))
}

/// The whole chunk and its hash.
#[must_use]
pub fn encode_hashed(body: &Body<'_>) -> (Vec<u8>, ChangeHash) {
    let content = encode_content(body);
    let hash = chunk_hash(&content);
    (chunk_of(&content, &hash), hash)
}

/// Wraps content into a chunk with its checksum.
pub(super) fn chunk(content: &[u8]) -> Vec<u8> {
    chunk_of(content, &chunk_hash(content))
}

fn chunk_of(content: &[u8], hash: &ChangeHash) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 19);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&hash.0[..4]);
    out.push(TYPE_CHANGE);
    put_unsigned(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

/// The chunk without magic, checksum, type and length.
pub(super) fn encode_content(body: &Body<'_>) -> Vec<u8> {
    let (data, ends) = encode_columns(body);
    let mut out = Vec::with_capacity(data.len() + 64 + 32 * body.deps.len() + 17 * body.actors.len());
    put_unsigned(&mut out, body.deps.len() as u64);
    for dep in &body.deps {
        out.extend_from_slice(&dep.0);
    }
    let (author, others) = match body.actors.split_first() {
        Some((author, others)) => (*author, others),
        None => (ActorId::default(), &[][..]),
    };
    put_unsigned(&mut out, ActorId::LEN as u64);
    out.extend_from_slice(&author.0);
    put_unsigned(&mut out, body.seq);
    put_unsigned(&mut out, body.start_op);
    put_signed(&mut out, body.time);
    put_unsigned(&mut out, body.message.len() as u64);
    out.extend_from_slice(body.message.as_bytes());
    put_unsigned(&mut out, others.len() as u64);
    for actor in others {
        put_unsigned(&mut out, ActorId::LEN as u64);
        out.extend_from_slice(&actor.0);
    }
    let mut start = 0;
    let lens = ends.map(|end| {
        let len = end - start;
        start = end;
        len
    });
    put_unsigned(&mut out, lens.iter().filter(|len| **len > 0).count() as u64);
    for (spec, len) in column::ALL.iter().zip(lens).filter(|(_, len)| *len > 0) {
        put_unsigned(&mut out, u64::from(*spec));
        put_unsigned(&mut out, len as u64);
    }
    out.extend_from_slice(&data);
    out
}

/// The columns one after the other, and where each ends.
fn encode_columns(body: &Body<'_>) -> (Vec<u8>, [usize; 14]) {
    let ops = &body.ops;
    let mut out = Vec::new();
    let mut ends = [0; 14];
    if ops.is_empty() {
        return (out, ends);
    }
    let mut at = 0;
    let mut end = |out: &Vec<u8>| {
        ends[at] = out.len();
        at += 1;
    };
    let mut numbers: Vec<Option<u64>> = Vec::with_capacity(ops.len());
    let obj_id = |op: &Op<'_>| match op.obj {
        Obj::Root => None,
        Obj::Op(id) => Some(id),
    };
    rle(&mut out, &mut numbers, ops.iter().map(|op| obj_id(op).map(|id| u64::from(id.actor))));
    end(&out);
    rle(&mut out, &mut numbers, ops.iter().map(|op| obj_id(op).map(|id| id.counter)));
    end(&out);
    let key_actor = |op: &Op<'_>| match op.key {
        Key::Map(_) | Key::Head => None,
        Key::Elem(id) => Some(u64::from(id.actor)),
    };
    rle(&mut out, &mut numbers, ops.iter().map(key_actor));
    end(&out);
    let key_counter = |op: &Op<'_>| match op.key {
        Key::Map(_) => None,
        Key::Head => Some(0),
        Key::Elem(id) => Some(id.counter as i64),
    };
    let mut signed: Vec<Option<i64>> = ops.iter().map(key_counter).collect();
    write_delta(&mut out, &mut signed);
    end(&out);
    let mut strings: Vec<Option<&str>> = Vec::with_capacity(ops.len());
    strings.extend(ops.iter().map(|op| match op.key {
        Key::Map(key) => Some(key),
        Key::Head | Key::Elem(_) => None,
    }));
    write_rle(&mut out, &strings);
    end(&out);
    write_bools(&mut out, ops.iter().map(|op| op.insert));
    end(&out);
    rle(&mut out, &mut numbers, ops.iter().map(|op| Some(op.action.code())));
    end(&out);
    let mut values = Vec::new();
    let metas: Vec<Option<u64>> = ops.iter().map(|op| Some(put_scalar(&mut values, op.value))).collect();
    write_rle(&mut out, &metas);
    end(&out);
    out.extend_from_slice(&values);
    end(&out);
    rle(&mut out, &mut numbers, ops.iter().map(|op| Some(u64::from(op.pred_len))));
    end(&out);
    rle(&mut out, &mut numbers, body.preds.iter().map(|id| Some(u64::from(id.actor))));
    end(&out);
    signed.clear();
    signed.extend(body.preds.iter().map(|id| Some(id.counter as i64)));
    write_delta(&mut out, &mut signed);
    end(&out);
    let expands = |op: &Op<'_>| match op.action {
        Action::MarkBegin { expand, .. } | Action::MarkEnd { expand } => expand,
        _ => false,
    };
    if ops.iter().any(expands) {
        write_bools(&mut out, ops.iter().map(expands));
    }
    end(&out);
    strings.clear();
    strings.extend(ops.iter().map(|op| match op.action {
        Action::MarkBegin { name, .. } => Some(name),
        _ => None,
    }));
    write_rle(&mut out, &strings);
    end(&out);
    (out, ends)
}

/// A run-length column through a buffer that the columns share.
fn rle(out: &mut Vec<u8>, buffer: &mut Vec<Option<u64>>, values: impl Iterator<Item = Option<u64>>) {
    buffer.clear();
    buffer.extend(values);
    write_rle(out, buffer);
}

/// Appends a value's bytes; returns its length and type as the metadata column has them.
fn put_scalar(out: &mut Vec<u8>, value: Scalar<'_>) -> u64 {
    let before = out.len();
    let kind = match value {
        Scalar::Null => 0,
        Scalar::Bool(false) => 1,
        Scalar::Bool(true) => 2,
        Scalar::Uint(n) => {
            put_unsigned(out, n);
            3
        }
        Scalar::Int(n) => {
            put_signed(out, n);
            4
        }
        Scalar::F64(n) => {
            out.extend_from_slice(&n.to_le_bytes());
            5
        }
        Scalar::Str(s) => {
            out.extend_from_slice(s.as_bytes());
            6
        }
        Scalar::Bytes(b) => {
            out.extend_from_slice(b);
            7
        }
        Scalar::Counter(n) => {
            put_signed(out, n);
            8
        }
        Scalar::Timestamp(n) => {
            put_signed(out, n);
            9
        }
    };
    ((out.len() - before) as u64) << 4 | kind
}

/// Builds a change from its parts, for the changes that every replica computes to the same bytes.
#[derive(Debug, Clone)]
pub struct ChangeBuilder<'a> {
    body: Body<'a>,
}

impl<'a> ChangeBuilder<'a> {
    /// A change of `actor` on top of `deps`.
    #[must_use]
    pub fn new(mut deps: Vec<ChangeHash>, actor: ActorId, seq: u64, start_op: u64, time: i64) -> Self {
        deps.sort_unstable();
        deps.dedup();
        let (actors, ops, preds) = (vec![actor], Vec::new(), Vec::new());
        Self { body: Body { deps, actors, seq, start_op, time, message: "", ops, preds } }
    }

    /// The id that the next operation gets.
    #[must_use]
    pub fn next_id(&self) -> OpId {
        OpId { counter: self.body.start_op + self.body.ops.len() as u64, actor: 0 }
    }

    /// Appends an operation without predecessors.
    pub fn push(&mut self, obj: Obj, key: Key<'a>, insert: bool, action: Action<'a>, value: Scalar<'a>) -> OpId {
        let id = self.next_id();
        let pred_at = self.body.preds.len() as u32;
        self.body.ops.push(Op { obj, key, insert, action, value, pred_at, pred_len: 0 });
        id
    }

    /// Puts a scalar (a counter's start among them) at a key of the root.
    pub fn put(&mut self, key: &'a str, value: Scalar<'a>) -> OpId {
        self.push(Obj::Root, Key::Map(key), false, Action::Set, value)
    }

    /// Makes an object at a key of the root; `action` is one of the three makers.
    pub fn make(&mut self, key: &'a str, action: Action<'a>) -> OpId {
        self.push(Obj::Root, Key::Map(key), false, action, Scalar::Null)
    }

    /// Inserts a string after an element (or at the beginning) of a list or text.
    pub fn insert(&mut self, obj: OpId, after: Option<OpId>, value: &'a str) -> OpId {
        let key = after.map_or(Key::Head, Key::Elem);
        self.push(Obj::Op(obj), key, true, Action::Set, Scalar::Str(value))
    }

    /// How many bytes it has.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        encode_body(&self.body).len()
    }

    /// The bytes and the hash.
    ///
    /// # Errors
    /// What [`Parsed::read`] finds wrong with the parts, such as a size over its limit.
    pub fn finish(&self) -> Result<(Vec<u8>, ChangeHash), ChangeError> {
        let bytes = encode_body(&self.body);
        let hash = Parsed::read(&bytes)?.hash();
        Ok((bytes, hash))
    }
}
