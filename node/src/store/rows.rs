//! Columns and what they mean: the checked way between rows and the model.
//!
//! It does not: query.
//!
//! Invariants: numbers of 64 bits without sign keep their bits in SQLite's signed ones; bytes that
//! do not fit their type are damage, never a default.

use super::error::{Fault, damaged};
use rusqlite::Row;
use sampan_core::frontier::ShortId;
use sampan_core::id::{ActorId, ChangeHash, SpaceId};
use sampan_core::log::{EntryKind, SignedHeader, VerifiedHeader};
use sampan_core::store::{CommitKey, EntryAt, PendingKey, Status};
use std::collections::BTreeMap;

/// A number as SQLite keeps it.
pub(super) fn int(n: u64) -> i64 {
    n as i64
}

/// A column's number, the other way round.
pub(super) fn uint(n: i64) -> u64 {
    n as u64
}

/// The number of a column.
pub(super) fn number(row: &Row<'_>, i: usize) -> Result<u64, Fault> {
    Ok(row.get::<_, i64>(i)? as u64)
}

/// A position or a count within a pack.
pub(super) fn index(row: &Row<'_>, i: usize) -> Result<usize, Fault> {
    let n: u32 = row.get(i)?;
    Ok(n as usize)
}

/// An id of fixed width.
pub(super) fn id<T>(row: &Row<'_>, i: usize, what: &str, from: fn(&[u8]) -> Option<T>) -> Result<T, Fault> {
    let bytes = row.get_ref(i)?.as_blob().map_err(|e| damaged(format!("{what}: {e}")))?;
    from(bytes).ok_or_else(|| damaged(format!("{what} of {} bytes", bytes.len())))
}

/// A space by its key.
pub(super) fn space(row: &Row<'_>, i: usize) -> Result<SpaceId, Fault> {
    id(row, i, "a space", SpaceId::from_key)
}

/// The header and signature in two neighbouring columns, which were verified before they were stored.
pub(super) fn head(row: &Row<'_>, i: usize) -> Result<VerifiedHeader, Fault> {
    signed_header(row, i)?.trust().map_err(damaged)
}

/// The same, as it travels.
pub(super) fn signed_header(row: &Row<'_>, i: usize) -> Result<SignedHeader, Fault> {
    Ok(SignedHeader { bytes: row.get(i)?, signature: row.get(i + 1)? })
}

pub(super) fn status(row: &Row<'_>, i: usize) -> Result<Status, Fault> {
    let n: u8 = row.get(i)?;
    Status::from_number(n).ok_or_else(|| damaged(format!("an entry of status {n}")))
}

pub(super) fn kind(row: &Row<'_>, i: usize) -> Result<EntryKind, Fault> {
    let n: u8 = row.get(i)?;
    EntryKind::from_u8(n).ok_or_else(|| damaged(format!("an entry of kind {n}")))
}

/// `hist.at` and `hist.place` of an entry.
pub(super) fn at_columns(at: EntryAt) -> (i64, u32) {
    match at {
        EntryAt::Sealed(key, place) => (int(key.0), place),
        EntryAt::Pending(key) => (-int(key.0), 0),
    }
}

/// The inverse of [`at_columns`].
pub(super) fn at_of(at: i64, place: u32) -> EntryAt {
    if at > 0 { EntryAt::Sealed(CommitKey(at as u64), place) } else { EntryAt::Pending(PendingKey(at.unsigned_abs())) }
}

/// Heads, one after the other.
pub(super) fn heads_blob(heads: &[ChangeHash]) -> Vec<u8> {
    heads.iter().flat_map(|h| h.0).collect()
}

/// The inverse of [`heads_blob`].
pub(super) fn heads_of(bytes: &[u8]) -> Result<Vec<ChangeHash>, Fault> {
    bytes
        .chunks(ChangeHash::LEN)
        .map(|c| ChangeHash::from_slice(c).ok_or_else(|| damaged("heads of a wrong width")))
        .collect()
}

/// Actor and sequence (eight bytes, little-endian), one after the other.
pub(super) fn sequences_blob(sequences: &BTreeMap<ActorId, u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(sequences.len() * 24);
    for (actor, n) in sequences {
        out.extend_from_slice(&actor.0);
        out.extend_from_slice(&n.to_le_bytes());
    }
    out
}

/// The inverse of [`sequences_blob`].
pub(super) fn sequences_of(bytes: &[u8]) -> Result<BTreeMap<ActorId, u64>, Fault> {
    let pair = |c: &[u8]| {
        let (actor, n) = c.split_at_checked(ActorId::LEN)?;
        Some((ActorId::from_slice(actor)?, u64::from_le_bytes(n.try_into().ok()?)))
    };
    bytes.chunks(24).map(|c| pair(c).ok_or_else(|| damaged("sequences of a wrong width"))).collect()
}

/// The first half of a commit id in a column.
pub(super) fn short_id(row: &Row<'_>, i: usize) -> Result<ShortId, Fault> {
    Ok(id(row, i, "a commit id", sampan_core::id::CommitId::from_slice)?.into())
}
