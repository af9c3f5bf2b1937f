//! Packs: bytes from anywhere, and the payloads of chance.
//!
//! It does not: check roots or signatures (`session`).
//!
//! Invariants tried: decoding never panics and costs no more than the announced size allows; what is read is
//! written and read again as the same; what is written of rightful payloads is read as exactly them.

use super::columns::like_the_long_way;
use super::draw::Draw;
use super::memory::peak;
use super::samples::scope;
use sampan_core::hash::{change_hash, whole_chunk};
use sampan_core::id::{ChangeHash, RecordId};
use sampan_core::limits::{COMMIT_ENTRIES_MAX, PACK_ENTRIES_MAX, PACK_INFLATED_BYTES_MAX};
use sampan_core::log::{BirthOf, Entry, EntryKind, EntryPayload, Payload};
use sampan_core::pack::{self, Codec, Stored};
use sampan_core::record::ids::record_id;
use sampan_core::time::{MAX_MILLIS, Millis};
use sampan_core::value::Kind;
use sampan_node::codec::ZstdCodec;

/// What a pack may cost beyond the bytes it inflates to (see `vectors::packs`).
const COST_MAX: usize = PACK_ENTRIES_MAX * 512;

/// What any pack may cost.
const LARGE: usize = 3 * PACK_INFLATED_BYTES_MAX + COST_MAX;

/// What a small pack may cost: where every byte were an entry.
fn small(len: usize) -> usize {
    (len * 600 + (1 << 20)).min(COST_MAX)
}

pub fn read(bytes: &[u8]) {
    for (codec, most) in
        // Columns may say "the same again": they cost up to what they make, however short they are.
        [
            (&Stored as &dyn Codec, if matches!(bytes.first(), Some(2 | 5)) { LARGE } else { small(bytes.len()) }),
            (&ZstdCodec, LARGE),
        ]
    {
        let mut read = None;
        let by = if pack::is_worded(bytes) { pack::read_worded } else { pack::read };
        let cost = peak(|| read = Some(by(&scope(), bytes, codec)));
        assert!(cost <= most, "{cost} bytes held for {}", bytes.len());
        if let Some(Ok(payloads)) = read {
            payloads.iter().for_each(|(payload, rebuilt)| like_the_long_way(payload, rebuilt));
            let payloads: Vec<Payload> = payloads.into_iter().map(|(payload, _)| payload).collect();
            same(&payloads, codec);
            if matches!(bytes[0], 0 | 3) {
                let again = pack::encode(&scope(), &payloads.iter().collect::<Vec<_>>(), &Stored);
                assert_eq!(again, bytes, "a stored pack has one form");
            }
        }
    }
}

fn same(payloads: &[Payload], codec: &dyn Codec) {
    let packed = pack::encode(&scope(), &payloads.iter().collect::<Vec<_>>(), codec);
    assert_eq!(pack::decode(&scope(), &packed, codec).as_deref(), Ok(payloads));
}

pub fn made(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let mut payloads = Vec::new();
    let mut known: Vec<RecordId> = Vec::new();
    while !d.is_empty() && payloads.len() < 20 {
        let secret = d.array();
        let count = 1 + if d.byte() == 255 { COMMIT_ENTRIES_MAX - 1 } else { d.below(6) };
        let entries = (0..count).map(|_| entry(&mut d, &mut known)).collect();
        payloads.push(Payload { secret: secret.into(), entries });
    }
    same(&payloads, &Stored);
    same(&payloads, &ZstdCodec);
    // One by one they say the same as together.
    for p in &payloads {
        same(std::slice::from_ref(p), &Stored);
    }
    // With what an erasure leaves of one record they keep their roots, and all else.
    let Some(gone) = known.first() else { return };
    for p in &mut payloads {
        let root = p.root();
        p.punch(|_, e| e.record == *gone);
        assert_eq!(p.root(), root, "the root shows an erasure");
    }
    same(&payloads, &Stored);
    same(&payloads, &ZstdCodec);
}

const KINDS: [EntryKind; 5] =
    [EntryKind::Change, EntryKind::Identity, EntryKind::Birth, EntryKind::Charter, EntryKind::Erase];

/// An entry as a rightful writer makes it.
fn entry(d: &mut Draw<'_>, known: &mut Vec<RecordId>) -> EntryPayload {
    let kind = KINDS[d.below(5)];
    let body = d.bytes();
    let payload = if kind.is_change() { whole_chunk(body, &change_hash(body)) } else { body.to_vec() };
    let payload_hash = Entry::hash_payload(kind, &payload);
    let computed = match kind {
        EntryKind::Charter => RecordId::from_slice(&payload_hash[..16]).expect("16 bytes"),
        EntryKind::Change | EntryKind::Identity | EntryKind::Birth | EntryKind::Erase | EntryKind::Hole => {
            record_id(&scope().space, &ChangeHash(payload_hash))
        }
    };
    let record = match d.byte() % 4 {
        _ if kind == EntryKind::Charter => computed,
        0 if !known.is_empty() => known[d.below(known.len())],
        1 => RecordId(d.array()),
        _ => computed,
    };
    known.push(record);
    let collection = match kind {
        EntryKind::Charter => String::new(),
        EntryKind::Change | EntryKind::Identity | EntryKind::Birth | EntryKind::Erase | EntryKind::Hole => {
            ["members", "minutes", "", "x", "receipts"][d.below(5)].to_owned()
        }
    };
    let time = Millis(d.number().min(MAX_MILLIS));
    let birth =
        (kind == EntryKind::Birth).then(|| BirthOf { field: format!("f{}", d.byte()), kind: Kind::ALL[d.below(12)] });
    EntryPayload { entry: Entry { kind, record, collection, payload_hash, time, birth }, payload }
}
