//! The columnar body: what repeats from change to change once, and the values field by field.
//!
//! It does not: choose between this and the verbatim body (the parent module does), or hold commits with holes.
//!
//! Layout (see `blocks` for where the bytes of a column lie): in the head the number of commits, the names of
//! collections, the keys and the shapes, the number of actors and the actors; then one bit for each of the columns that
//! has more than zeros and empty texts, and those, each by its own form: secrets (blobs); entries per commit, kinds, record references, explicit records, names,
//! times (differences from the entry before); fields and kinds of births. Then, of each entry, its shape plus one,
//! or 0 for a payload that stands whole, and those payloads (changes without their first eight bytes). Of changes with a
//! shape: dependencies (0 the record's previous entry in this pack, 1 a hash, 2 an entry of an earlier commit, 3 + n the
//! entry n back), the hashes, the earlier commits (how many steps up the chain of sole parents from the pack's first
//! commit) and their entries, authors (0 the actor that is computed for a birth or an identity, or the author of the first dependency,
//! else the actor plus one), sequence,
//! first counter and time as differences from what follows from the dependencies and the entry, messages;
//! counters and actors (0 the author) of predecessors that are not known. Last the columns of values, see `values`.
//!
//! Left out: magic, checksum, payload hash, record of a creation and of a change whose first dependency lies in an
//! earlier commit, everything that follows from a dependency that lies in the pack or in an earlier commit. A record
//! reference is that of the verbatim body. Earlier commits are named by form 5 alone, which is for frames: the receiver
//! holds them, or it could not take the commit. What lies on a disk or in a bundle is readable by itself.
//!
//! Form 6 is form 5 with three things closer: earlier entries by one number each (see `places`), wide numbers in as many
//! bits as their range needs and no more, and small blocks without the compressor's own head.
//!
//! Invariants: nothing that is left out follows from anything but the pack itself; a pack that its writer did not read back
//! as the same is not used; reading holds no more than what the pack inflates to and its payloads, both at most
//! `PACK_INFLATED_BYTES_MAX`, and makes at most `PACK_OPS_MAX` operations.

mod blocks;
mod numbers;
mod past;
mod places;
mod read;
mod shape;
mod texts;
mod values;
mod write;

#[cfg(test)]
mod tests;

use super::verbatim::computed_record;
use super::{Codec, Earlier, PackError, PackScope, Past, leb};
use crate::id::{ActorId, ChangeHash};
use crate::limits::PACK_INFLATED_BYTES_MAX;
use crate::log::{Entry, EntryKind, Payload, Rebuilt};
use crate::record::ids::{birth_actor, identity_actor};

const REF_COMPUTED: u64 = 0;
const REF_EXPLICIT: u64 = 1;
const REF_FIRST: u64 = 2;

const DEP_PREVIOUS: u64 = 0;
const DEP_HASH: u64 = 1;
const DEP_OUTSIDE: u64 = 2;
/// Plus how far back: at least 1.
const DEP_BACK: u64 = 3;

/// How a dependency is named.
#[derive(Debug, Clone, Copy)]
enum Dep {
    Previous,
    Hash(ChangeHash),
    Outside(u64, u32),
    Back(u64),
}

/// The actor that an entry's kind computes.
enum ActorOf {
    Birth(ActorId),
    Identity(ActorId),
    Table,
}

fn actor_of(entry: &Entry) -> ActorOf {
    match (&entry.birth, entry.kind) {
        (Some(birth), EntryKind::Birth) => ActorOf::Birth(birth_actor(&entry.record, &birth.field, birth.kind)),
        (_, EntryKind::Identity) => ActorOf::Identity(identity_actor(&entry.record)),
        (_, EntryKind::Change | EntryKind::Birth | EntryKind::Charter | EntryKind::Erase | EntryKind::Hole) => {
            ActorOf::Table
        }
    }
}

fn kind_number(kind: EntryKind) -> u64 {
    kind as u64
}

/// The columnar body with its raw length in front, if these payloads gain by it and come back from it.
pub(super) fn encode(scope: &PackScope, payloads: &[&Payload], codec: &dyn Codec, past: Past<'_>) -> Option<Vec<u8>> {
    if !write::fits(payloads) {
        return None;
    }
    let written = write::write(scope, payloads, past);
    if written.shaped == 0 || (past.earlier.is_some() && written.outside == 0) {
        return None;
    }
    let mut out = Vec::new();
    written.shelf.finish(&mut out, written.hashes, codec);
    let back = decode(scope, &out, codec, past).ok()?;
    (back.len() == payloads.len() && back.iter().zip(payloads).all(|((a, _), b)| a == *b)).then_some(out)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(
    scope: &PackScope,
    bytes: &[u8],
    codec: &dyn Codec,
    past: Past<'_>,
) -> Result<Vec<(Payload, Rebuilt)>, PackError> {
    let mut r = leb::Reader::new(bytes);
    let raw = r.number()?;
    if raw > PACK_INFLATED_BYTES_MAX as u64 {
        return Err(PackError::TooLarge(raw));
    }
    let hashes = r.number()?;
    let inflated = blocks::Inflated::read(r.rest(), raw, codec, past.dense)?;
    read::read(scope, inflated.blocks()?, hashes, past.earlier)
}

/// How many dependencies a columnar body names by their hash.
pub(super) fn hashes(bytes: &[u8]) -> Option<u64> {
    let mut r = leb::Reader::new(bytes);
    r.number().and_then(|_| r.number()).ok()
}
