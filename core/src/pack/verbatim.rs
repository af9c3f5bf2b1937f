//! The verbatim body: every change byte for byte, without what the receiver computes.
//!
//! It does not: compress or bound the whole (see the parent module).
//!
//! Layout: number of commits; the names of collections (count, each length-prefixed); then per
//! commit its secret (16 bytes), its number of entries, and per entry: kind (1 byte), a record
//! reference, the collection's position in the names, author's time as a signed difference from the
//! entry before (from 0 at the start of a pack), for births the field and the kind, and the payload:
//! length-prefixed, for changes without its first eight bytes. A record reference is 0 for a record
//! that this entry creates (its id follows from space and hash), 1 and the 16 bytes for one not yet
//! named in the pack, or 2 + the position of its first mention. Charter operations have reference 0.
//!
//! With holes, a byte before each commit's secret tells whether it is one (0) or gone (1). Where it is gone
//! there is no secret, each entry has its salt (16 bytes) between record reference and collection, and a
//! hole is its kind (5), its record reference (never 0) and its inner hash (32 bytes), without salt.
//!
//! Invariants: canonical: a reference is always the shortest that applies, every name is used, in
//! order of first use, and stands once. A name, the entries of a commit and those of the pack are
//! bounded, so that a short pack cannot cost much memory by naming one long name many times.

use super::leb::{Reader, put, put_bytes, put_signed};
use super::{PackError, PackScope};
use crate::hash::{CHUNK_PREFIX, change_hash, whole_chunk};
use crate::id::{ChangeHash, RecordId, SpaceId};
use crate::limits::{COMMIT_ENTRIES_MAX, PACK_ENTRIES_MAX, SCHEMA_ID_BYTES_MAX};
use crate::log::{BirthOf, Entry, EntryKind, EntryPayload, Payload, Secret};
use crate::record::ids::record_id;
use crate::time::Millis;
use crate::value::Kind;
use std::collections::{BTreeMap, BTreeSet};

const REF_COMPUTED: u64 = 0;
const REF_EXPLICIT: u64 = 1;
const REF_FIRST: u64 = 2;

/// The record that an entry computes for itself, if any: charter operations and born records.
pub(super) fn computed_record(space: &SpaceId, kind: EntryKind, payload_hash: &[u8; 32]) -> Option<RecordId> {
    match kind {
        EntryKind::Charter => RecordId::from_slice(&payload_hash[..16]),
        EntryKind::Change => Some(record_id(space, &ChangeHash(*payload_hash))),
        EntryKind::Identity | EntryKind::Birth | EntryKind::Erase | EntryKind::Hole => None,
    }
}

pub(super) fn write(scope: &PackScope, payloads: &[&Payload], holed: bool) -> Vec<u8> {
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for e in payloads.iter().flat_map(|p| &p.entries).filter(|e| e.entry.kind != EntryKind::Hole) {
        names.entry(&e.entry.collection).or_insert_with(|| {
            order.push(&e.entry.collection);
            order.len() as u64 - 1
        });
    }
    let mut out = Vec::new();
    put(&mut out, payloads.len() as u64);
    put(&mut out, order.len() as u64);
    for name in &order {
        put_bytes(&mut out, name.as_bytes());
    }
    let mut seen: BTreeMap<RecordId, u64> = BTreeMap::new();
    let mut time = 0i64;
    for p in payloads {
        if holed {
            out.push(u8::from(matches!(p.secret, Secret::Salts(_))));
        }
        if let Secret::Whole(secret) = &p.secret {
            out.extend_from_slice(secret);
        }
        put(&mut out, p.entries.len() as u64);
        for (i, EntryPayload { entry, payload }) in p.entries.iter().enumerate() {
            out.push(entry.kind as u8);
            let next = seen.len() as u64;
            if let Some(at) = seen.get(&entry.record) {
                put(&mut out, REF_FIRST + at);
            } else {
                if computed_record(&scope.space, entry.kind, &entry.payload_hash) == Some(entry.record) {
                    put(&mut out, REF_COMPUTED);
                } else {
                    put(&mut out, REF_EXPLICIT);
                    out.extend_from_slice(&entry.record.0);
                }
                seen.insert(entry.record, next);
            }
            if entry.kind == EntryKind::Hole {
                out.extend_from_slice(&entry.payload_hash);
                continue;
            }
            if matches!(p.secret, Secret::Salts(_)) {
                out.extend_from_slice(&p.secret.salt(i as u32));
            }
            put(&mut out, names[entry.collection.as_str()]);
            put_signed(&mut out, entry.time.0 as i64 - time);
            time = entry.time.0 as i64;
            if let Some(birth) = &entry.birth {
                put_bytes(&mut out, birth.field.as_bytes());
                out.push(birth.kind as u8);
            }
            let from = if entry.kind.is_change() { CHUNK_PREFIX } else { 0 };
            put_bytes(&mut out, payload.get(from..).unwrap_or_default());
        }
    }
    out
}

pub(super) fn read(scope: &PackScope, raw: &[u8], holed: bool) -> Result<Vec<Payload>, PackError> {
    let mut r = Reader::new(raw);
    let commits = r.count()?;
    let names = read_names(&mut r)?;
    // In order of first mention, and the same as a set: canonical form must not cost a scan.
    let mut seen = (Vec::new(), BTreeSet::new());
    let mut time = 0i64;
    let mut used = 0;
    let (mut out, mut total, mut any_hole) = (Vec::new(), 0, false);
    for _ in 0..commits {
        let form = if holed { r.byte()? } else { 0 };
        let secret = match form {
            0 => Some(array(&mut r)?),
            1 => None,
            _ => return Err(PackError::Malformed("a secret of unknown form")),
        };
        let count = r.count()?;
        total += count;
        if count == 0 || count > COMMIT_ENTRIES_MAX || total > PACK_ENTRIES_MAX {
            return Err(PackError::Malformed("a commit or a pack with none or too many entries"));
        }
        let (mut entries, mut salts) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let mut salt = secret.is_none().then_some([0; 16]);
            entries.push(read_entry(scope, &mut r, &names, &mut used, &mut seen, &mut time, &mut salt)?);
            salts.extend(salt);
        }
        let payload = Payload { secret: secret.map_or(Secret::Salts(salts), Secret::Whole), entries };
        if payload.has_holes() == matches!(payload.secret, Secret::Whole(_)) {
            return Err(PackError::Malformed("holes beside a secret, or salts without a hole"));
        }
        any_hole |= payload.has_holes();
        out.push(payload);
    }
    if holed && !any_hole {
        return Err(PackError::Malformed("the form with holes and no hole"));
    }
    if !r.is_empty() {
        return Err(PackError::Malformed("bytes follow its last commit"));
    }
    if used != names.len() {
        return Err(PackError::Malformed("a name that nothing uses"));
    }
    Ok(out)
}

/// The next bytes of a fixed number.
fn array<const N: usize>(r: &mut Reader<'_>) -> Result<[u8; N], PackError> {
    r.take(N)?.try_into().map_err(|_| PackError::Malformed("it ends early"))
}

pub(super) fn read_names(r: &mut Reader<'_>) -> Result<Vec<String>, PackError> {
    let count = r.count()?;
    if count > PACK_ENTRIES_MAX {
        return Err(PackError::Malformed("more names than a pack has entries"));
    }
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    for _ in 0..count {
        let name = r.text()?;
        if name.len() > SCHEMA_ID_BYTES_MAX {
            return Err(PackError::Malformed("a name longer than SCHEMA_ID_BYTES_MAX"));
        }
        if !seen.insert(name) {
            return Err(PackError::Malformed("a name that stands twice"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn read_entry(
    scope: &PackScope,
    r: &mut Reader<'_>,
    names: &[String],
    used: &mut usize,
    seen: &mut (Vec<RecordId>, BTreeSet<RecordId>),
    time: &mut i64,
    salt: &mut Option<[u8; 16]>,
) -> Result<EntryPayload, PackError> {
    let kind = EntryKind::from_u8(r.byte()?).ok_or(PackError::Malformed("an entry of unknown kind"))?;
    let reference = r.number()?;
    let explicit = if reference == REF_EXPLICIT { RecordId::from_slice(r.take(16)?) } else { None };
    if kind == EntryKind::Hole {
        let inner = array(r)?;
        let record = match reference {
            REF_EXPLICIT => explicit,
            n => n.checked_sub(REF_FIRST).and_then(|n| usize::try_from(n).ok()).and_then(|i| seen.0.get(i)).copied(),
        };
        let record = record.ok_or(PackError::Malformed("a hole without its record"))?;
        if reference == REF_EXPLICIT {
            if !seen.1.insert(record) {
                return Err(PackError::Malformed("a record named the long way"));
            }
            seen.0.push(record);
        }
        let entry =
            Entry { kind, record, collection: String::new(), payload_hash: inner, time: Millis(0), birth: None };
        return Ok(EntryPayload { entry, payload: Vec::new() });
    }
    if let Some(salt) = salt {
        *salt = array(r)?;
    }
    let at = usize::try_from(r.number()?).map_err(|_| PackError::Malformed("a name out of range"))?;
    if at > *used || at >= names.len() {
        return Err(PackError::Malformed("a name out of order"));
    }
    *used = (*used).max(at + 1);
    *time = time.checked_add(r.signed()?).ok_or(PackError::Malformed("a time out of range"))?;
    let label = u64::try_from(*time).map(Millis).ok().filter(|t| t.in_range());
    let label = label.ok_or(PackError::Malformed("a time out of range"))?;
    let birth = if kind == EntryKind::Birth {
        let field = r.text()?.to_owned();
        let kind = kind_from_u8(r.byte()?).ok_or(PackError::Malformed("a birth of unknown kind"))?;
        Some(BirthOf { field, kind })
    } else {
        None
    };
    let body = r.bytes()?;
    let (payload, payload_hash) = if kind.is_change() {
        let hash = change_hash(body);
        (whole_chunk(body, &hash), hash.0)
    } else {
        (body.to_vec(), Entry::hash_payload(kind, body))
    };
    let computed = computed_record(&scope.space, kind, &payload_hash);
    let record = match reference {
        REF_COMPUTED => computed.ok_or(PackError::Malformed("a record that cannot be computed"))?,
        REF_EXPLICIT => explicit.ok_or(PackError::Malformed("it ends early"))?,
        n => *usize::try_from(n - REF_FIRST)
            .ok()
            .and_then(|i| seen.0.get(i))
            .ok_or(PackError::Malformed("a record named before it appears"))?,
    };
    if reference < REF_FIRST {
        if !seen.1.insert(record) || (reference == REF_EXPLICIT && computed == Some(record)) {
            return Err(PackError::Malformed("a record named the long way"));
        }
        seen.0.push(record);
    }
    let entry = Entry { kind, record, collection: names[at].clone(), payload_hash, time: label, birth };
    Ok(EntryPayload { entry, payload })
}

pub(super) fn kind_from_u8(n: u8) -> Option<Kind> {
    use Kind::{Bool, Choice, Counter, Date, Decimal, File, Int, List, Ref, Set, String, Text};
    [Text, String, Int, Decimal, Bool, Date, Choice, List, Set, Counter, Ref, File].get(usize::from(n)).copied()
}
