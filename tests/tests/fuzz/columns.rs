//! Columnar packs: whatever Automerge writes comes back from them, and bent ones cost no more than they may.
//!
//! It does not: check roots or signatures (`session`), or packs of bytes that are no changes (`packs`).
//!
//! Invariants tried: writing and reading gives exactly the payloads, alone and on top of earlier commits; a pack that
//! was bent anywhere is read without a panic and within the memory that packs may cost; a change that was rebuilt is
//! judged by the short way as by the long one, whatever its columns said.

// The other implementation is called directly here: it is what makes the changes.
#![allow(clippy::disallowed_methods)]

use super::draw::Draw;
use super::memory::peak;
use super::samples::{Above, scope};
use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, AutoCommit, ObjId, ObjType, ROOT, ReadDoc, ScalarValue};
use sampan_core::change::Parsed;
use sampan_core::hash::change_hash;
use sampan_core::id::{ChangeHash, RecordId};
use sampan_core::limits::{PACK_ENTRIES_MAX, PACK_INFLATED_BYTES_MAX};
use sampan_core::log::{Entry, EntryKind, EntryPayload, Payload, Rebuilt};
use sampan_core::pack::{self, Codec, StoredColumns};
use sampan_core::record::ids::record_id;
use sampan_core::testing::test_time;
use sampan_node::codec::ZstdCodec;

const KEYS: [&str; 6] = ["a", "full_name", "note", "_n", "", "đ"];

pub fn made(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let mut entries = Vec::new();
    for n in 0..1 + d.below(3) {
        record(&mut d, n as u8, &mut entries);
    }
    let mut payloads = Vec::new();
    while !entries.is_empty() {
        let rest = entries.split_off((1 + d.below(12)).min(entries.len()));
        payloads.push(Payload { secret: d.array::<16>().into(), entries: std::mem::replace(&mut entries, rest) });
    }
    let all: Vec<&Payload> = payloads.iter().collect();
    for codec in [&StoredColumns as &dyn Codec, &ZstdCodec] {
        same(&all, codec);
        all.iter().for_each(|p| same(std::slice::from_ref(p), codec));
    }
    // On top of earlier commits.
    let (below, above) = payloads.split_at(d.below(payloads.len() + 1));
    let chain = Above(below.iter().rev().cloned().collect());
    let above: Vec<&Payload> = above.iter().collect();
    let alone = pack::encode(&scope(), &above, &StoredColumns);
    let [after, dense] = [false, true].map(|dense| {
        let after = pack::encode_after(&scope(), &above, &StoredColumns, &alone, &chain, dense)?;
        assert!(after.len() < alone.len());
        let back = pack::decode_after(&scope(), &after, &StoredColumns, &chain);
        assert!(back.is_ok_and(|b| b.iter().eq(above.iter().copied())));
        Some(after)
    });
    // Bent.
    let whole = pack::encode(&scope(), &all, &StoredColumns);
    for pack in [Some(whole), after, dense].into_iter().flatten() {
        for _ in 0..4 {
            let mut bent = pack.clone();
            for _ in 0..1 + d.below(3) {
                let at = 1 + d.u16() as usize % (bent.len() - 1).max(1);
                if let Some(b) = bent.get_mut(at) {
                    *b = d.byte();
                }
            }
            let mut read = Ok(Vec::new());
            let cost = peak(|| read = pack::read_after(&scope(), &bent, &StoredColumns, &chain));
            read.iter().flatten().for_each(|(payload, rebuilt)| like_the_long_way(payload, rebuilt));
            assert!(cost <= 3 * PACK_INFLATED_BYTES_MAX + PACK_ENTRIES_MAX * 512, "{cost} bytes held");
        }
    }
}

fn same(payloads: &[&Payload], codec: &dyn Codec) {
    let pack = pack::encode(&scope(), payloads, codec);
    let back = pack::read(&scope(), &pack, codec).unwrap_or_else(|e| panic!("{e}"));
    assert!(back.iter().map(|(payload, _)| payload).eq(payloads.iter().copied()));
    back.iter().for_each(|(payload, rebuilt)| like_the_long_way(payload, rebuilt));
}

/// What is left out for a change that was rebuilt from columns finds nothing: the verdict is that of the whole door.
pub fn like_the_long_way(payload: &Payload, rebuilt: &Rebuilt) {
    for (at, e) in payload.entries.iter().enumerate().filter(|(at, _)| rebuilt.at(*at)) {
        let short = Parsed::read_rebuilt(&e.payload, e.entry.change());
        // As text: a number that is none is not equal to itself.
        let (short, long) = (format!("{short:?}"), format!("{:?}", Parsed::read(&e.payload)));
        assert_eq!(short, long, "entry {at}: {:02x?}", e.payload);
    }
}

/// One record's whole history, with a second writer and their conflicts.
fn record(d: &mut Draw<'_>, n: u8, out: &mut Vec<EntryPayload>) {
    let mut doc = AutoCommit::new().with_actor(ActorId::from([n; 16].as_slice()));
    edits(d, &mut doc);
    commit(d, &mut doc);
    let mut other = doc.fork().with_actor(ActorId::from([0x80 | n; 16].as_slice()));
    for _ in 0..d.below(6) {
        let who = if d.byte().is_multiple_of(2) { &mut doc } else { &mut other };
        edits(d, who);
        commit(d, who);
        if d.byte().is_multiple_of(3) && doc.merge(&mut other).is_err() {
            return;
        }
    }
    if doc.merge(&mut other).is_err() {
        return;
    }
    let mut id = None;
    for change in doc.get_changes(&[]) {
        let payload = change.raw_bytes().to_vec();
        let hash = change_hash(&payload[8..]);
        let record: RecordId = *id.get_or_insert_with(|| record_id(&scope().space, &ChangeHash(hash.0)));
        let time = test_time(u64::from(d.byte()));
        let (kind, collection) = (EntryKind::Change, ["members", "minutes"][d.below(2)].to_owned());
        let entry = Entry { kind, record, collection, payload_hash: hash.0, time, birth: None };
        out.push(EntryPayload { entry, payload });
    }
}

fn commit(d: &mut Draw<'_>, doc: &mut AutoCommit) {
    let mut options = CommitOptions::default().with_time(d.number() as i64 >> 20);
    if d.byte().is_multiple_of(4) {
        options = options.with_message(d.text());
    }
    doc.commit_with(options);
}

fn edits(d: &mut Draw<'_>, doc: &mut AutoCommit) {
    for _ in 0..d.below(6) {
        // What Automerge refuses, it leaves undone.
        let _ = one(d, doc);
    }
}

fn one(d: &mut Draw<'_>, doc: &mut AutoCommit) -> Result<(), automerge::AutomergeError> {
    let key = KEYS[d.below(KEYS.len())];
    let held: Option<(bool, ObjId)> = doc.get(ROOT, key)?.map(|(v, id)| (v.is_object(), id));
    let kind = [ObjType::Text, ObjType::List, ObjType::Map][d.below(3)];
    match (d.byte() % 8, held) {
        (0..=2, _) | (_, None) => match d.below(4) {
            0 => drop(doc.put_object(ROOT, key, kind)?),
            1 => {
                let id = doc.put_object(ROOT, key, kind)?;
                fill(d, doc, &id, kind)?;
            }
            _ => doc.put(ROOT, key, scalar(d))?,
        },
        (3, Some(_)) => doc.delete(ROOT, key)?,
        (4, Some((false, _))) => doc.increment(ROOT, key, d.number() as i64 >> 30)?,
        (_, Some((true, id))) => {
            let kind = doc.object_type(&id)?;
            fill(d, doc, &id, kind)?;
        }
        (_, Some((false, _))) => doc.put(ROOT, key, scalar(d))?,
    }
    Ok(())
}

fn fill(d: &mut Draw<'_>, doc: &mut AutoCommit, id: &ObjId, kind: ObjType) -> Result<(), automerge::AutomergeError> {
    let len = doc.length(id);
    match kind {
        ObjType::Text => doc.splice_text(id, d.below(len + 1), d.below(3).min(len) as isize, &d.text()),
        ObjType::List if d.byte().is_multiple_of(4) && len > 0 => doc.delete(id, d.below(len)),
        ObjType::List => (0..d.below(4)).try_for_each(|i| doc.insert(id, (len + i).min(doc.length(id)), scalar(d))),
        ObjType::Map | ObjType::Table => {
            let value = if d.byte().is_multiple_of(4) { scalar(d) } else { ScalarValue::Boolean(true) };
            doc.put(id, KEYS[d.below(KEYS.len())], value)
        }
    }
}

fn scalar(d: &mut Draw<'_>) -> ScalarValue {
    match d.below(12) {
        0 => ScalarValue::Null,
        1 => ScalarValue::Boolean(d.byte().is_multiple_of(2)),
        2 => ScalarValue::Uint(d.number()),
        3 => ScalarValue::Int(d.number() as i64),
        4 => ScalarValue::F64(f64::from_bits(d.u64())),
        5 => ScalarValue::Bytes(d.bytes().to_vec()),
        6 => ScalarValue::counter(d.number() as i64 >> 30),
        7 => ScalarValue::Timestamp(d.number() as i64),
        8 => ScalarValue::Str(format!("19{:02}-0{}-1{}", d.byte() % 100, d.byte() % 10, d.byte() % 10).into()),
        9 => ScalarValue::Str(["nam", "nữ", "xóm Chùa", ""][d.below(4)].into()),
        _ => ScalarValue::Str(d.text().into()),
    }
}
