//! A bounded look at the bytes of a change, before Automerge may see them.
//!
//! It does not: understand operations. It walks over lengths and runs, and names what Automerge would
//! pay for in memory or inflate, what it ignores (bytes behind the operations, unknown columns), and
//! what it cannot name (kinds of operation and of value that it does not know).
//!
//! Invariants: nothing is allocated beyond the input's own size; no input panics.

use sampan_core::limits::{CHANGE_BYTES_MAX, CHANGE_DEPS_MAX, CHANGE_OPS_MAX};

/// What the walk came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Automerge may look.
    Fine,
    /// Malformed, and why.
    Bad(&'static str),
    /// Beyond format 1, and why.
    Newer(&'static str),
}

/// Column numbers of format 1: id times sixteen and type, as Automerge's storage format numbers them.
const KNOWN: [u64; 14] = [0x01, 0x02, 0x11, 0x13, 0x15, 0x34, 0x42, 0x56, 0x57, 0x70, 0x71, 0x73, 0x94, 0xa5];

/// Walks over a chunk.
pub fn walk(bytes: &[u8]) -> Walk {
    if bytes.len() > CHANGE_BYTES_MAX {
        return Walk::Newer("more bytes than a change may have");
    }
    chunk(bytes).unwrap_or(Walk::Bad("it ends inside something"))
}

fn chunk(bytes: &[u8]) -> Option<Walk> {
    let mut at = bytes;
    if take(&mut at, 4)? != [0x85, 0x6f, 0x4a, 0x83] {
        return Some(Walk::Bad("it does not begin as a chunk"));
    }
    take(&mut at, 4)?;
    if take(&mut at, 1)? != [1] {
        return Some(Walk::Bad("it is compressed, or no change"));
    }
    let len = number(&mut at)?;
    if len != at.len() as u64 {
        return Some(Walk::Bad("its length is not that of its bytes"));
    }
    let deps = number(&mut at)?;
    if deps > at.len() as u64 / 32 {
        return Some(Walk::Bad("it names more dependencies than it has bytes"));
    }
    if deps > CHANGE_DEPS_MAX as u64 {
        return Some(Walk::Newer("more dependencies than a change may have"));
    }
    take(&mut at, deps * 32)?;
    let mut widths = vec![blob(&mut at)?.len()];
    number(&mut at)?; // sequence
    let start = number(&mut at)?;
    signed(&mut at)?; // time
    blob(&mut at)?; // message
    let others = number(&mut at)?;
    if others > at.len() as u64 {
        return Some(Walk::Bad("it names more actors than it has bytes"));
    }
    for _ in 0..others {
        widths.push(blob(&mut at)?.len());
    }
    if widths.iter().any(|w| *w != 16) {
        return Some(Walk::Bad("an actor is not 16 bytes wide"));
    }
    if start == 0 || start > u64::from(u32::MAX) {
        return Some(Walk::Bad("its first counter is 0 or above 32 bits"));
    }
    columns(at, start)
}

fn columns(mut at: &[u8], start: u64) -> Option<Walk> {
    let count = number(&mut at)?;
    if count > at.len() as u64 / 2 {
        return Some(Walk::Bad("it names more columns than it has bytes"));
    }
    let mut specs = Vec::new();
    for _ in 0..count {
        specs.push((number(&mut at)?, number(&mut at)?));
    }
    if specs.windows(2).any(|w| w[0].0 >= w[1].0) {
        return Some(Walk::Bad("columns out of order"));
    }
    let (mut actions, mut metas, mut preds): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    for (spec, len) in &specs {
        let data = take(&mut at, *len)?;
        match spec {
            s if s & 8 != 0 => return Some(Walk::Bad("a compressed column")),
            0x42 => actions = data,
            0x56 => metas = data,
            0x70 => preds = data,
            _ => {}
        }
    }
    if !at.is_empty() {
        return Some(Walk::Bad("bytes behind the operations"));
    }
    if specs.iter().any(|(spec, _)| !KNOWN.contains(spec)) {
        return Some(Walk::Newer("an unknown column"));
    }
    let Some(actions) = values(actions, CHANGE_OPS_MAX)? else {
        return Some(Walk::Newer("more operations than a change may have"));
    };
    if start + actions.len() as u64 > u64::from(u32::MAX) {
        return Some(Walk::Bad("its counters go above 32 bits"));
    }
    // Values past the operations are never read: what is too long there is not canonical.
    let of_ops = |column| values(column, CHANGE_OPS_MAX * 2).map(|v| v.unwrap_or_default());
    let preds = of_ops(preds)?.into_iter().take(actions.len()).flatten().fold(0u64, u64::saturating_add);
    if preds > CHANGE_OPS_MAX {
        return Some(Walk::Newer("more predecessors than a change may have"));
    }
    if actions.iter().flatten().any(|code| *code > 7) {
        return Some(Walk::Newer("an unknown kind of operation"));
    }
    if of_ops(metas)?.iter().take(actions.len()).flatten().any(|meta| meta & 15 > 9) {
        return Some(Walk::Newer("an unknown kind of value"));
    }
    Some(Walk::Fine)
}

fn take<'a>(at: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (head, tail) = at.split_at_checked(usize::try_from(len).ok()?)?;
    *at = tail;
    Some(head)
}

fn blob<'a>(at: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = number(at)?;
    take(at, len)
}

/// An unsigned LEB128 number; `None` at the end of the bytes or above 64 bits.
fn number(at: &mut &[u8]) -> Option<u64> {
    let mut out = 0u128;
    for shift in 0..10 {
        let byte = take(at, 1)?[0];
        out |= u128::from(byte & 0x7f) << (7 * shift);
        if byte < 0x80 {
            return u64::try_from(out).ok();
        }
    }
    None
}

/// A signed LEB128 number.
fn signed(at: &mut &[u8]) -> Option<i64> {
    let mut out = 0i128;
    for n in 1..=10 {
        let byte = take(at, 1)?[0];
        out |= i128::from(byte & 0x7f) << (7 * (n - 1));
        if byte < 0x80 {
            let negative = byte & 0x40 != 0;
            return i64::try_from(if negative { out - (1 << (7 * n)) } else { out }).ok();
        }
    }
    None
}

/// The values of a run-length column of numbers: `Some(None)` if there are more than `max`.
fn values(mut at: &[u8], max: u64) -> Option<Option<Vec<Option<u64>>>> {
    let mut out: Vec<Option<u64>> = Vec::new();
    while !at.is_empty() {
        let run = signed(&mut at)?;
        let (len, value) = match run {
            0 => (number(&mut at)?, None),
            n if n > 0 => (n.unsigned_abs(), Some(number(&mut at)?)),
            n => (n.unsigned_abs(), None),
        };
        if len.saturating_add(out.len() as u64) > max {
            return Some(None);
        }
        if run < 0 {
            for _ in 0..len {
                out.push(Some(number(&mut at)?));
            }
        } else {
            out.extend(std::iter::repeat_n(value, len as usize));
        }
    }
    Some(Some(out))
}
