//! The columnar body: what repeats from change to change once, and the values field by field.
//!
//! It does not: choose between this and the verbatim body (the parent module does), or hold commits with holes.
//!
//! Layout (see `blocks` for where the bytes of a column lie): in the head the number of commits, the names of
//! collections, the keys and the shapes, and the number of actors; then the columns, each by its own form. First
//! actors and secrets (blobs); entries per commit, kinds, record references, explicit records, names,
//! times (differences from the entry before); fields and kinds of births. Then, of each entry, its shape plus one,
//! or 0 for a payload that stands whole, and those payloads (changes without their first eight bytes). Of changes with a
//! shape: dependencies (0 the record's previous entry in this pack, 1 a hash, 2 + n the entry n back), the
//! hashes, authors (0 the actor that is computed for a birth or an identity, else the actor plus one), sequence,
//! first counter and time as differences from what follows from the dependencies and the entry, messages;
//! counters and actors (0 the author) of predecessors that are not known. Last the columns of values, see `values`.
//!
//! Left out: magic, checksum, payload hash, record of a creation, everything that follows from a dependency that
//! lies in the pack. A record reference is that of the verbatim body.
//!
//! Invariants: nothing that is left out follows from anything but the pack itself; a pack that its writer did not read back
//! as the same is not used; reading holds no more than what the pack inflates to and its payloads, both at most
//! `PACK_INFLATED_BYTES_MAX`, and makes at most `PACK_OPS_MAX` operations.

mod blocks;
mod numbers;
mod past;
mod read;
mod shape;
mod texts;
mod values;
mod write;

use super::verbatim::computed_record;
use super::{Codec, PackError, PackScope, leb};
use crate::id::{ActorId, ChangeHash};
use crate::limits::PACK_INFLATED_BYTES_MAX;
use crate::log::{Entry, EntryKind, Payload};
use crate::record::ids::{birth_actor, identity_actor};

const REF_COMPUTED: u64 = 0;
const REF_EXPLICIT: u64 = 1;
const REF_FIRST: u64 = 2;

const DEP_PREVIOUS: u64 = 0;
const DEP_HASH: u64 = 1;
/// Plus how far back: at least 1.
const DEP_BACK: u64 = 2;

/// How a dependency is named.
#[derive(Debug, Clone, Copy)]
enum Dep {
    Previous,
    Hash(ChangeHash),
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
pub(super) fn encode(scope: &PackScope, payloads: &[&Payload], codec: &dyn Codec) -> Option<Vec<u8>> {
    if !write::fits(payloads) {
        return None;
    }
    let (shelf, shaped) = write::write(scope, payloads);
    if shaped == 0 {
        return None;
    }
    let mut out = Vec::new();
    shelf.finish(&mut out, codec);
    let back = decode(scope, &out, codec).ok()?;
    (back.len() == payloads.len() && back.iter().zip(payloads).all(|(a, b)| a == *b)).then_some(out)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(scope: &PackScope, bytes: &[u8], codec: &dyn Codec) -> Result<Vec<Payload>, PackError> {
    let mut r = leb::Reader::new(bytes);
    let raw = r.number()?;
    if raw > PACK_INFLATED_BYTES_MAX as u64 {
        return Err(PackError::TooLarge(raw));
    }
    let inflated = blocks::Inflated::read(r.rest(), raw, codec)?;
    read::read(scope, inflated.blocks()?)
}
