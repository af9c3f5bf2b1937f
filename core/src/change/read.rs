//! From bytes to a change: the chunk, its header, its columns, its operations.
//!
//! It does not: look at other changes (see `admit`, `refs`).
//!
//! Invariants: sizes are checked before anything is allocated; what [`Parsed::read`] accepts is
//! canonical and obeys `rules`; the hash is SHA-256 over the chunk without magic and checksum.

use super::bytes::{Cursor, put_unsigned};
use super::columns::{Bools, Delta, Rle};
use super::error::{ChangeError, Malformed, NeedsNewer};
use super::op::{Action, Body, Key, Obj, Op, OpId, Scalar};
use super::{rules, write};
use crate::canary::{self, Canary};
use crate::id::{ActorId, ChangeHash};
use crate::limits::{CHANGE_BYTES_MAX, CHANGE_DEPS_MAX, CHANGE_OPS_MAX};
use sha2::{Digest, Sha256};
use std::ops::Deref;

/// First bytes of every Automerge chunk.
pub(super) const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Chunk type of an uncompressed change.
pub(super) const TYPE_CHANGE: u8 = 1;
const TYPE_COMPRESSED: u8 = 2;
const DEFLATE_BIT: u32 = 0b1000;

/// The columns of a change, as numbered on the wire.
pub(super) mod column {
    pub const OBJ_ACTOR: u32 = 0x01;
    pub const OBJ_COUNTER: u32 = 0x02;
    pub const KEY_ACTOR: u32 = 0x11;
    pub const KEY_COUNTER: u32 = 0x13;
    pub const KEY_STRING: u32 = 0x15;
    pub const INSERT: u32 = 0x34;
    pub const ACTION: u32 = 0x42;
    pub const VALUE_META: u32 = 0x56;
    pub const VALUE: u32 = 0x57;
    pub const PRED_COUNT: u32 = 0x70;
    pub const PRED_ACTOR: u32 = 0x71;
    pub const PRED_COUNTER: u32 = 0x73;
    pub const EXPAND: u32 = 0x94;
    pub const MARK_NAME: u32 = 0xa5;
    /// All of them, in the order of the wire.
    pub const ALL: [u32; 14] = [
        OBJ_ACTOR,
        OBJ_COUNTER,
        KEY_ACTOR,
        KEY_COUNTER,
        KEY_STRING,
        INSERT,
        ACTION,
        VALUE_META,
        VALUE,
        PRED_COUNT,
        PRED_ACTOR,
        PRED_COUNTER,
        EXPAND,
        MARK_NAME,
    ];
}

/// A change of format 1, canonical, with its hash; borrows from the bytes it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<'a> {
    hash: ChangeHash,
    body: Body<'a>,
}

impl<'a> Deref for Parsed<'a> {
    type Target = Body<'a>;
    fn deref(&self) -> &Body<'a> {
        &self.body
    }
}

impl<'a> Parsed<'a> {
    /// Reads exactly one uncompressed change.
    ///
    /// # Errors
    /// [`ChangeError::Malformed`] for what no replica will ever apply, [`ChangeError::NeedsNewer`]
    /// for what lies outside format 1. Bytes above [`CHANGE_BYTES_MAX`] are not parsed at all.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ChangeError> {
        let (hash, content, body) = decode(bytes)?;
        rules::check(&body)?;
        if write::encode_content(&body) != content && !canary::sings(Canary::CanonicalCheckOff) {
            return Err(Malformed::NotCanonical.into());
        }
        Ok(Self { hash, body })
    }

    /// Reads a change that stands in this store: that its form is canonical was checked when it was
    /// taken in, and encoding it again is a good part of the cost of reading it.
    ///
    /// # Errors
    /// [`ChangeError`] where the bytes are no change.
    pub fn read_stored(bytes: &'a [u8]) -> Result<Self, ChangeError> {
        let (hash, _, body) = decode(bytes)?;
        Ok(Self { hash, body })
    }

    /// Reads a change that our own writer made from columns a moment ago: it was hashed then, and its form is canonical
    /// because nothing else writes it. All that its maker chose is checked as [`Parsed::read`] checks it.
    ///
    /// # Errors
    /// As [`Parsed::read`].
    pub fn read_rebuilt(bytes: &'a [u8], hash: ChangeHash) -> Result<Self, ChangeError> {
        let out = Self::read_hashed(bytes, hash)?;
        rules::check(&out.body)?;
        Ok(out)
    }

    /// Reads a change that is stored here as one that stands: its form was found to be canonical when it came.
    ///
    /// # Errors
    /// As [`Parsed::read`].
    pub fn read_standing(bytes: &'a [u8]) -> Result<Self, ChangeError> {
        let (hash, _, body) = decode(bytes)?;
        rules::check(&body)?;
        Ok(Self { hash, body })
    }

    /// Reads a change of this store as [`Parsed::read_stored`] does, where its hash is known: from the pack that it was
    /// read from, or from the commit that holds it.
    ///
    /// # Errors
    /// [`ChangeError`] where the bytes are no change.
    pub fn read_hashed(bytes: &'a [u8], hash: ChangeHash) -> Result<Self, ChangeError> {
        let (_, content) = chunk_content(bytes)?;
        Ok(Self { hash, body: read_content(content)? })
    }

    /// The change's hash, Automerge's own.
    #[must_use]
    pub fn hash(&self) -> ChangeHash {
        self.hash
    }

    /// The author.
    #[must_use]
    pub fn actor(&self) -> ActorId {
        self.body.actors[0] // `decode` always puts the author there
    }

    /// What the change says, without its hash.
    #[must_use]
    pub fn body(&self) -> &Body<'a> {
        &self.body
    }

    /// The operations with their counters.
    pub fn ops_with_counters(&self) -> impl Iterator<Item = (u64, &Op<'a>)> {
        (self.body.start_op..).zip(&self.body.ops)
    }

    /// Whether any operation refers to one of an earlier change (an object, an element, a
    /// predecessor).
    #[must_use]
    pub fn refers_back(&self) -> bool {
        let back = |id: &OpId| id.actor != 0 || id.counter < self.body.start_op;
        self.body.preds.iter().any(back)
            || self
                .body
                .ops
                .iter()
                .any(|op| matches!(&op.obj, Obj::Op(id) if back(id)) || matches!(&op.key, Key::Elem(id) if back(id)))
    }

    /// The bytes that it was read from, made anew.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write::encode_body(&self.body)
    }
}

/// The hash of a chunk of this type and content.
pub(super) fn chunk_hash(content: &[u8]) -> ChangeHash {
    let mut head = Vec::with_capacity(11);
    head.push(TYPE_CHANGE);
    put_unsigned(&mut head, content.len() as u64);
    let mut sha = Sha256::new();
    sha.update(&head);
    sha.update(content);
    ChangeHash(sha.finalize().into())
}

/// Decodes a change of any canonicity, marks and tables included.
pub(super) fn decode(bytes: &[u8]) -> Result<(ChangeHash, &[u8], Body<'_>), ChangeError> {
    let (checksum, content) = chunk_content(bytes)?;
    let hash = chunk_hash(content);
    if hash.0[..4] != *checksum {
        return Err(Malformed::Checksum.into());
    }
    Ok((hash, content, read_content(content)?))
}

/// The checksum and the content of exactly one uncompressed change.
fn chunk_content(bytes: &[u8]) -> Result<(&[u8], &[u8]), ChangeError> {
    if bytes.len() > CHANGE_BYTES_MAX {
        return Err(NeedsNewer::Bytes(bytes.len()).into());
    }
    let mut c = Cursor::new(bytes);
    if c.take(4)? != MAGIC {
        return Err(Malformed::Magic.into());
    }
    let checksum = c.take(4)?;
    match c.byte()? {
        TYPE_CHANGE => {}
        TYPE_COMPRESSED => return Err(Malformed::Compressed.into()),
        other => return Err(Malformed::ChunkType(other).into()),
    }
    let header_len_at = bytes.len() - c.rest().len();
    let len = c.unsigned()?;
    let mut shortest = Vec::with_capacity(10);
    put_unsigned(&mut shortest, len);
    if bytes[header_len_at..bytes.len() - c.rest().len()] != shortest {
        return Err(Malformed::NotCanonical.into());
    }
    let content = c.take(len)?;
    if !c.is_empty() {
        return Err(Malformed::TrailingBytes.into());
    }
    Ok((checksum, content))
}

/// What a change says before its operations, and their columns.
pub(super) fn head(bytes: &[u8]) -> Result<(Body<'_>, Columns<'_>), ChangeError> {
    let (_, content) = chunk_content(bytes)?;
    read_head(content)
}

fn read_content(content: &[u8]) -> Result<Body<'_>, ChangeError> {
    let (mut body, columns) = read_head(content)?;
    read_ops(&columns, &mut body)?;
    Ok(body)
}

fn read_head(content: &[u8]) -> Result<(Body<'_>, Columns<'_>), ChangeError> {
    let mut c = Cursor::new(content);
    let deps_len = c.unsigned()?;
    if deps_len > content.len() as u64 / 32 {
        return Err(Malformed::Truncated.into());
    }
    if deps_len > CHANGE_DEPS_MAX as u64 {
        return Err(NeedsNewer::Dependencies(deps_len).into());
    }
    let mut deps = Vec::with_capacity(deps_len as usize);
    for _ in 0..deps_len {
        deps.push(ChangeHash::from_slice(c.take(32)?).ok_or(Malformed::Truncated)?);
    }
    let author = read_actor(&mut c)?;
    let seq = c.unsigned()?;
    let start_op = c.unsigned()?;
    let time = c.signed()?;
    let message = c.text()?;
    let others = c.unsigned()?;
    if others > content.len() as u64 / 17 {
        return Err(Malformed::Truncated.into());
    }
    let mut actors = Vec::with_capacity(others as usize + 1);
    actors.push(author);
    for _ in 0..others {
        actors.push(read_actor(&mut c)?);
    }
    if start_op == 0 || start_op > u64::from(u32::MAX) {
        return Err(Malformed::Counter.into());
    }
    let columns = read_columns(&mut c)?;
    let body = Body { deps, actors, seq, start_op, time, message, ops: Vec::new(), preds: Vec::new() };
    Ok((body, columns))
}

fn read_actor(c: &mut Cursor<'_>) -> Result<ActorId, Malformed> {
    let len = c.unsigned()?;
    ActorId::from_slice(c.take(len)?).ok_or(Malformed::ActorWidth)
}

/// The bytes of every known column, in the order of [`column::ALL`]; absent ones are empty.
pub(super) type Columns<'a> = [&'a [u8]; 14];

fn read_columns<'a>(c: &mut Cursor<'a>) -> Result<Columns<'a>, ChangeError> {
    let count = c.unsigned()?;
    if count > c.rest().len() as u64 / 2 {
        return Err(Malformed::Truncated.into());
    }
    // Twice over the same bytes: the specifications first, then the data that follows them all.
    let mut specs = *c;
    for _ in 0..count {
        c.unsigned()?;
        c.unsigned()?;
    }
    let mut out: Columns<'a> = [&[]; 14];
    let (mut last, mut unknown) = (None, None);
    for _ in 0..count {
        let spec = u32::try_from(specs.unsigned()?).map_err(|_| Malformed::Columns)?;
        let data = c.take(specs.unsigned()?)?;
        if spec & DEFLATE_BIT != 0 {
            return Err(Malformed::Compressed.into());
        }
        if last.is_some_and(|l| l >= spec) {
            return Err(Malformed::Columns.into());
        }
        last = Some(spec);
        match column::ALL.iter().position(|known| *known == spec) {
            Some(at) => out[at] = data,
            None => unknown = unknown.or(Some(spec)),
        }
    }
    if !c.is_empty() {
        return Err(Malformed::ExtraBytes.into());
    }
    match unknown {
        Some(spec) => Err(NeedsNewer::Column(spec).into()),
        None => Ok(out),
    }
}

fn read_ops<'a>(columns: &Columns<'a>, body: &mut Body<'a>) -> Result<(), ChangeError> {
    let mut ops = Ops::begin(columns, body)?;
    body.ops.reserve_exact(ops.left());
    body.preds.reserve_exact(ops.preds as usize);
    while let Some(op) = ops.next(&mut body.preds)? {
        body.ops.push(op);
    }
    ops.end()
}

/// Reads the operations of a change one by one.
pub(super) struct Ops<'a> {
    left: u64,
    preds: u64,
    actors: u64,
    obj_a: Rle<'a, u64>,
    obj_c: Rle<'a, u64>,
    key_a: Rle<'a, u64>,
    key_c: Delta<'a>,
    key_s: Rle<'a, &'a str>,
    insert: Bools<'a>,
    action: Rle<'a, u64>,
    meta: Rle<'a, u64>,
    value: Cursor<'a>,
    pred_n: Rle<'a, u64>,
    pred_a: Rle<'a, u64>,
    pred_c: Delta<'a>,
    expand: Bools<'a>,
    mark: Rle<'a, &'a str>,
}

impl<'a> Ops<'a> {
    /// The operations of these columns, counted and within their limits.
    pub(super) fn begin(columns: &Columns<'a>, body: &Body<'a>) -> Result<Self, ChangeError> {
        let [obj_a, obj_c, key_a, key_c, key_s, insert, action, meta, value, pred_n, pred_a, pred_c, expand, mark] =
            *columns;
        let left = Rle::<u64>::new(action).count(CHANGE_OPS_MAX)?.ok_or(NeedsNewer::Operations)?;
        if body.start_op + left > u64::from(u32::MAX) {
            return Err(Malformed::Counter.into());
        }
        Ok(Self {
            left,
            preds: count_preds(pred_n, left)?,
            actors: body.actors.len() as u64,
            obj_a: Rle::new(obj_a),
            obj_c: Rle::new(obj_c),
            key_a: Rle::new(key_a),
            key_c: Delta::new(key_c),
            key_s: Rle::new(key_s),
            insert: Bools::new(insert),
            action: Rle::new(action),
            meta: Rle::new(meta),
            value: Cursor::new(value),
            pred_n: Rle::new(pred_n),
            pred_a: Rle::new(pred_a),
            pred_c: Delta::new(pred_c),
            expand: Bools::new(expand),
            mark: Rle::new(mark),
        })
    }

    /// How many are to come: at most [`CHANGE_OPS_MAX`].
    pub(super) fn left(&self) -> usize {
        self.left as usize
    }

    /// The next one, whose predecessors are added to `preds`; `None` after the last.
    // Twenty times a change, at whatever optimisation the tests have.
    #[inline(always)]
    pub(super) fn next(&mut self, preds: &mut Vec<OpId>) -> Result<Option<Op<'a>>, ChangeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let actors = self.actors;
        let obj = match (self.obj_a.next()?, self.obj_c.next()?) {
            (None, None) => Obj::Root,
            (Some(a), Some(c)) => Obj::Op(op_id(c, a, actors)?),
            _ => return Err(Malformed::Column("obj").into()),
        };
        let key = match (self.key_a.next()?, self.key_c.next()?, self.key_s.next()?) {
            (None, None, Some(s)) => Key::Map(s),
            (None, Some(0), None) => Key::Head,
            (Some(a), Some(c), None) => Key::Elem(op_id(u64::try_from(c).map_err(|_| Malformed::Counter)?, a, actors)?),
            _ => return Err(Malformed::Column("key").into()),
        };
        let insert = self.insert.next()?;
        let code = self.action.next()?.ok_or(Malformed::Column("action"))?;
        let (expand, mark) = (self.expand.next()?, self.mark.next()?);
        let action = read_action(code, expand, mark)?;
        let value = read_scalar(self.meta.next()?.ok_or(Malformed::Column("value"))?, &mut self.value)?;
        let pred_at = preds.len() as u32;
        let pred_len = self.pred_n.next()?.unwrap_or(0) as u32;
        for _ in 0..pred_len {
            let actor = self.pred_a.next()?.ok_or(Malformed::Column("predecessor"))?;
            let counter = self.pred_c.next()?.ok_or(Malformed::Column("predecessor"))?;
            let counter = u64::try_from(counter).map_err(|_| Malformed::Counter)?;
            preds.push(op_id(counter, actor, actors)?);
        }
        Ok(Some(Op { obj, key, insert, action, value, pred_at, pred_len }))
    }

    /// After the last: nothing is left over.
    pub(super) fn end(&self) -> Result<(), ChangeError> {
        if self.value.is_empty() { Ok(()) } else { Err(Malformed::Column("value").into()) }
    }
}

/// All predecessors together, counted on run lengths.
fn count_preds(column: &[u8], ops: u64) -> Result<u64, ChangeError> {
    let mut lens = Rle::<u64>::new(column);
    let mut total = 0u64;
    for _ in 0..ops {
        total = total.saturating_add(lens.next()?.unwrap_or(0));
    }
    if total > CHANGE_OPS_MAX {
        return Err(NeedsNewer::Predecessors.into());
    }
    Ok(total)
}

fn op_id(counter: u64, actor: u64, actors: u64) -> Result<OpId, Malformed> {
    if actor >= actors {
        return Err(Malformed::ActorIndex);
    }
    if counter == 0 || counter > u64::from(u32::MAX) {
        return Err(Malformed::Counter);
    }
    Ok(OpId { counter, actor: actor as u32 })
}

fn read_action<'a>(code: u64, expand: bool, mark: Option<&'a str>) -> Result<Action<'a>, ChangeError> {
    Ok(match code {
        0 => Action::MakeMap,
        1 => Action::Set,
        2 => Action::MakeList,
        3 => Action::Delete,
        4 => Action::MakeText,
        5 => Action::Increment,
        6 => Action::MakeTable,
        7 => match mark {
            Some(name) => Action::MarkBegin { name, expand },
            None => Action::MarkEnd { expand },
        },
        other => return Err(NeedsNewer::Action(other).into()),
    })
}

fn read_scalar<'a>(meta: u64, values: &mut Cursor<'a>) -> Result<Scalar<'a>, ChangeError> {
    let raw = values.take(meta >> 4)?;
    let whole = |mut c: Cursor<'a>| {
        let n = c.signed()?;
        if c.is_empty() { Ok(n) } else { Err(Malformed::Value) }
    };
    Ok(match (meta & 15) as u8 {
        0 if raw.is_empty() => Scalar::Null,
        1 if raw.is_empty() => Scalar::Bool(false),
        2 if raw.is_empty() => Scalar::Bool(true),
        0..=2 => return Err(Malformed::Value.into()),
        3 => {
            let mut c = Cursor::new(raw);
            let n = c.unsigned()?;
            if !c.is_empty() {
                return Err(Malformed::Value.into());
            }
            Scalar::Uint(n)
        }
        4 => Scalar::Int(whole(Cursor::new(raw))?),
        5 => Scalar::F64(f64::from_le_bytes(raw.try_into().map_err(|_| Malformed::Value)?)),
        6 => Scalar::Str(std::str::from_utf8(raw).map_err(|_| Malformed::Utf8)?),
        7 => Scalar::Bytes(raw),
        8 => Scalar::Counter(whole(Cursor::new(raw))?),
        9 => Scalar::Timestamp(whole(Cursor::new(raw))?),
        other => return Err(NeedsNewer::ValueType(other).into()),
    })
}
