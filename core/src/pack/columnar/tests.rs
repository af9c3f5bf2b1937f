//! Columns by themselves, and packs of changes as records make them; `tests/tests/fuzz` has chance.

use super::super::{
    FORM_COLUMNAR, FORM_COLUMNAR_AFTER, FORM_DENSE_AFTER, Stored, StoredColumns, decode as decode_pack, decode_after,
    encode as encode_pack, encode_after, leb,
};
use super::blocks::{Inflated, Shelf};
use super::numbers::{NumberReader, Numbers};
use super::texts::{TextReader, Texts};
use super::*;
use crate::id::RecordId;
use crate::log::EntryPayload;
use crate::record::ids::record_id;
use crate::record::{Document, EditContext, NewChange, create};
use crate::testing::members::{edit, member};
use crate::testing::{SeededRng, test_org, test_time, up_space};
use crate::time::Millis;
use crate::value::{Edit, Kind, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn through(shelf: Shelf, read: impl FnOnce(&mut blocks::Blocks<'_>) -> Result<(), PackError>) -> Result<(), PackError> {
    let (mut out, dense) = (Vec::new(), shelf.dense);
    shelf.finish(&mut out, 0, &StoredColumns);
    let mut r = leb::Reader::new(&out);
    let raw = r.number()?;
    r.number()?;
    let inflated = Inflated::read(r.rest(), raw, &StoredColumns, dense)?;
    let mut blocks = inflated.blocks()?;
    read(&mut blocks)?;
    blocks.end()
}

fn numbers(all: &[u64]) {
    [false, true].into_iter().for_each(|dense| numbers_as(all, dense));
}

fn numbers_as(all: &[u64], dense: bool) {
    let (mut column, mut shelf) = (Numbers::default(), Shelf::default());
    shelf.dense = dense;
    all.iter().for_each(|n| column.push(*n));
    column.write(&mut shelf);
    let read = through(shelf, |b| {
        let mut r = NumberReader::read(b)?;
        for n in all {
            assert_eq!(r.next()?, *n);
        }
        r.end()
    });
    assert_eq!(read, Ok(()), "{all:?}");
}

fn texts(all: &[&str]) -> u8 {
    let (mut column, mut shelf) = (Texts::default(), Shelf::default());
    all.iter().for_each(|t| column.push(*t));
    column.write(&mut shelf);
    let form = shelf.head[0];
    let read = through(shelf, |b| {
        let (mut r, mut text) = (TextReader::read(b)?, String::new());
        for t in all {
            text.clear();
            r.next(&mut text, t.len())?;
            assert_eq!(text, *t);
        }
        r.end()
    });
    assert_eq!(read, Ok(()), "{all:?}");
    form
}

proptest! {
    #[test]
    fn numbers_come_back(few in prop::collection::vec(any::<u64>(), 0..20), shift in 0u32..64) {
        let many: Vec<u64> = few.iter().cycle().take(few.len() * 9).map(|n| n >> shift).collect();
        numbers(&many);
        numbers(&few);
    }

    #[test]
    fn texts_come_back(all in prop::collection::vec("[ ,a-cđ0\u{0}]{0,9}|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{5}", 0..40)) {
        texts(&all.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn each_form_is_taken_where_it_fits() {
    assert_eq!(texts(&[]), 0);
    assert_eq!(texts(&["a", "a"]), 0);
    assert_eq!(texts(&["xóm Chùa", "Số 12"]), 1);
    assert_eq!(texts(&["a\0b", "c"]), 2);
    assert_eq!(texts(&["nam", "nữ", "nam", "nam", "nữ", "nam"]), 3);
    assert_eq!(texts(&["CB012.34", "CB012.99", "CB999.00"]), 4);
    assert_eq!(texts(&["0001-01-01", "2024-02-29", "9999-12-31"]), 5);
    assert_eq!(texts(&["2023-02-29", "2024-02-29"]), 4, "a day that is none");
    assert_eq!(texts(&["0000-01-01", "2024-02-29"]), 4, "a year that is none");
    assert_eq!(texts(&["b98a6e08-17aa-42e4-a129-f078a53c890a", "00000000-0000-0000-0000-000000000000"]), 6);
    assert_eq!(texts(&["a b a b", "b a  b", " a b a", ""]), 7);
    assert_eq!(texts(&["x y z, u v", "u v, x y z", ", u v, ", "u v", "x y z"]), 8);
}

fn scope() -> PackScope {
    PackScope { org: test_org(), space: up_space(2) }
}

fn entry(record: RecordId, time: Millis, change: &NewChange) -> EntryPayload {
    let birth = change.birth.clone().map(|(field, kind)| crate::log::BirthOf { field, kind });
    let kind = if birth.is_some() { EntryKind::Birth } else { EntryKind::Change };
    let (collection, payload_hash) = ("members".to_owned(), change.hash.0);
    EntryPayload { entry: Entry { kind, record, collection, payload_hash, time, birth }, payload: change.bytes.clone() }
}

/// Records with edits of every kind, one after the other.
fn history(seed: u64, records: usize, edits: u64) -> Vec<EntryPayload> {
    let mut rng = SeededRng::new(seed);
    let actors = [ActorId([3; 16]), ActorId([9; 16])];
    let mut out = Vec::new();
    for r in 0..records {
        let mut fields = member(&mut rng);
        fields.insert("paid".into(), Value::Bool(r % 2 == 0));
        fields.insert("visits".into(), Value::Counter(r as i64));
        fields.insert("tags".into(), Value::Set(["a".to_owned(), "b".to_owned()].into()));
        let kind = |v: &Value| match v {
            Value::Str(_) | Value::Other(_) => Kind::String,
            Value::Text(_) => Kind::Text,
            Value::Int(_) => Kind::Int,
            Value::Counter(_) => Kind::Counter,
            Value::Bool(_) => Kind::Bool,
            Value::List(_) => Kind::List,
            Value::Set(_) => Kind::Set,
        };
        let typed: BTreeMap<_, _> = fields.iter().map(|(k, v)| (k.clone(), (kind(v), v.clone()))).collect();
        let made = create(&actors[r % 2], test_time(r as u64), [r as u8; 6], &typed).unwrap();
        let id = record_id(&up_space(2), &made.hash);
        out.push(entry(id, test_time(r as u64), &made));
        let mut document = Document::load(id, [made.bytes.as_slice()]).unwrap();
        for n in 0..rng.below(edits) {
            let time = test_time(1_000 + n);
            let (name, value) = match rng.below(6) {
                0 => ("visits".to_owned(), Edit::Add(Value::Counter(2))),
                1 => ("tags".to_owned(), Edit::Add(Value::Set([format!("t{n}")].into()))),
                2 => ("notes".to_owned(), Edit::Set(Value::Text(format!("Ghi chú {n}")))),
                3 => ("later".to_owned(), Edit::Set(Value::Text(format!("muộn {n}")))),
                4 => ("phone".to_owned(), Edit::Clear),
                _ => {
                    let (name, value) = edit(&mut rng, &fields);
                    fields.insert(name.clone(), value.clone());
                    (name, Edit::Set(value))
                }
            };
            let ctx = EditContext { creation: made.hash, actor: actors[(n % 2) as usize], time };
            let kinds = |f: &str| fields.get(f).map(kind).or((f == "later").then_some(Kind::Text));
            for change in document.edit(&ctx, &kinds, &[(name, value)]).unwrap() {
                out.push(entry(id, time, &change));
            }
        }
    }
    out
}

fn payloads(entries: Vec<EntryPayload>, each: usize) -> Vec<Payload> {
    let payload = |(n, run): (usize, &[EntryPayload])| Payload { secret: [n as u8; 16].into(), entries: run.to_vec() };
    entries.chunks(each).enumerate().map(payload).collect()
}

#[test]
fn records_and_their_edits_come_back_in_columns() {
    for seed in 0..12 {
        let all = payloads(history(seed, 20, 8), 17);
        let all: Vec<&Payload> = all.iter().collect();
        let pack = encode_pack(&scope(), &all, &StoredColumns);
        assert_eq!(pack[0], FORM_COLUMNAR);
        let whole = encode_pack(&scope(), &all, &Stored);
        assert!(pack.len() * 2 < whole.len(), "{} of {}", pack.len(), whole.len());
        let back = decode_pack(&scope(), &pack, &Stored).unwrap();
        assert!(back.iter().eq(all.iter().copied()), "seed {seed}");
    }
}

#[test]
fn an_edit_in_its_records_pack_costs_a_few_bytes() {
    // The creations alone, and with an edit of one field of each: dependency, record, sequence, first counter
    // and predecessor follow from the pack.
    let (mut creations, mut all) = (Vec::new(), Vec::new());
    let mut rng = SeededRng::new(4);
    for r in 0..100u64 {
        let fields: BTreeMap<_, _> = [
            ("card".to_owned(), (Kind::String, Value::Str(format!("{:08}", rng.below(100_000_000))))),
            ("paid".to_owned(), (Kind::Bool, Value::Bool(false))),
        ]
        .into();
        let made = create(&ActorId([3; 16]), test_time(0), [r as u8; 6], &fields).unwrap();
        let id = record_id(&up_space(2), &made.hash);
        creations.push(entry(id, test_time(0), &made));
        let mut document = Document::load(id, [made.bytes.as_slice()]).unwrap();
        let ctx = EditContext { creation: made.hash, actor: ActorId([3; 16]), time: test_time(9) };
        let kinds = |f: &str| fields.get(f).map(|(kind, _)| *kind);
        let set = ("paid".to_owned(), Edit::Set(Value::Bool(true)));
        all.push(entry(id, test_time(9), &document.edit(&ctx, &kinds, &[set]).unwrap()[0]));
    }
    let size = |entries: Vec<EntryPayload>| {
        let all = payloads(entries, 200);
        encode_pack(&scope(), &all.iter().collect::<Vec<_>>(), &StoredColumns).len()
    };
    let alone = size(creations.clone());
    let both = size(creations.into_iter().chain(all).collect());
    // Uncompressed; a hash and an id would be 48 bytes.
    assert!(both < alone + 100 * 12, "{alone} and {both}");
}

#[test]
fn every_prefix_and_every_bent_byte_is_refused_or_read_without_harm() {
    let all = payloads(history(3, 3, 5), 4);
    let all: Vec<&Payload> = all.iter().collect();
    let pack = encode_pack(&scope(), &all, &StoredColumns);
    assert_eq!(pack[0], FORM_COLUMNAR);
    for cut in 0..pack.len() {
        assert!(decode_pack(&scope(), &pack[..cut], &StoredColumns).is_err(), "prefix {cut}");
    }
    for at in 0..pack.len() {
        for flip in [1u8, 0x80, 0xff, 0x10] {
            let mut bent = pack.clone();
            bent[at] ^= flip;
            // What it reads as, roots and signatures judge.
            let _ = decode_pack(&scope(), &bent, &StoredColumns);
        }
    }
}

#[test]
fn what_has_no_shape_lies_whole_beside_what_has() {
    let mut entries = history(5, 4, 1);
    let odd = crate::testing::fake_entry(&up_space(2), EntryKind::Change, None, test_time(3), b"no change at all");
    entries.insert(2, odd.clone());
    let all = payloads(entries, 10);
    let pack = encode_pack(&scope(), &[&all[0]], &StoredColumns);
    assert_eq!((pack[0], decode_pack(&scope(), &pack, &StoredColumns)), (FORM_COLUMNAR, Ok(all)));
    let alone = payloads(vec![odd], 1);
    assert_ne!(encode_pack(&scope(), &[&alone[0]], &StoredColumns)[0], FORM_COLUMNAR);
}

/// Commits up a chain: the first is one step up.
struct Above(Vec<Payload>);

impl Earlier for Above {
    fn place(&self, record: &RecordId, change: &ChangeHash) -> Option<(u64, u32, EntryPayload)> {
        let steps = self.0.iter().zip(1..);
        let mut all = steps.flat_map(|(p, step)| p.entries.iter().zip(0..).map(move |(e, index)| (step, index, e)));
        let found = all.find(|(_, _, e)| e.entry.record == *record && e.entry.payload_hash == change.0);
        found.map(|(step, index, e)| (step, index, e.clone()))
    }
    fn entry(&self, steps: u64, index: u32) -> Option<EntryPayload> {
        self.0.get(usize::try_from(steps).ok()?.checked_sub(1)?)?.entries.get(index as usize).cloned()
    }
}

#[test]
fn edits_on_top_of_earlier_commits_leave_out_what_follows_from_them() {
    for seed in 0..24 {
        let (seed, dense) = (seed / 2, seed % 2 == 1);
        let all = payloads(history(seed, 30, 6), 13);
        // The newest commits in one pack, those before them up the chain.
        let (below, above) = all.split_at(all.len() / 2);
        let above: Vec<&Payload> = above.iter().collect();
        let mut chain = Above(below.iter().rev().cloned().collect());
        let alone = encode_pack(&scope(), &above, &StoredColumns);
        let Some(pack) = encode_after(&scope(), &above, &StoredColumns, &alone, &chain, dense) else { continue };
        assert_eq!(pack[0], if dense { FORM_DENSE_AFTER } else { FORM_COLUMNAR_AFTER });
        assert!(pack.len() < alone.len());
        let back = decode_after(&scope(), &pack, &Stored, &chain);
        assert!(back.unwrap().iter().eq(above.iter().copied()), "seed {seed}");
        // By itself it says what it lacks; so where an erasure took an entry that it names.
        assert_eq!(decode_pack(&scope(), &pack, &Stored), Err(PackError::Earlier));
        for p in &mut chain.0 {
            p.punch(|_, _| true);
        }
        assert_eq!(decode_after(&scope(), &pack, &Stored, &chain), Err(PackError::Earlier));
        chain.0.clear();
        assert_eq!(decode_after(&scope(), &pack, &Stored, &chain), Err(PackError::Earlier));
    }
}

#[test]
fn an_edit_of_an_earlier_record_needs_no_hash_and_no_id() {
    let creations = history(8, 60, 1);
    let mut edits = Vec::new();
    for e in &creations {
        let mut document = Document::load(e.entry.record, [e.payload.as_slice()]).unwrap();
        let ctx = EditContext { creation: e.entry.change(), actor: ActorId([3; 16]), time: test_time(2_000) };
        let set = ("paid".to_owned(), Edit::Set(Value::Bool(true)));
        edits.extend(
            document
                .edit(&ctx, &|_| Some(Kind::Bool), &[set])
                .unwrap()
                .iter()
                .map(|c| entry(e.entry.record, test_time(2_000), c)),
        );
    }
    let all = payloads(edits, 100);
    let alone = encode_pack(&scope(), &[&all[0]], &StoredColumns);
    let chain = Above(payloads(creations, 100));
    let pack = encode_after(&scope(), &[&all[0]], &StoredColumns, &alone, &chain, false).unwrap();
    let each = (pack.len() - 100) / all[0].entries.len();
    assert!(each <= 4 && alone.len() > pack.len() + all[0].entries.len() * 44, "{} and {}", pack.len(), alone.len());
}
