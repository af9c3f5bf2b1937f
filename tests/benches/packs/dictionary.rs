//! What a dictionary made of a schema of one's own would gain for organisations that do not use the shipped one.
//!
//! It does not: change a format. The dictionary of columnar packs is part of their form; here a codec puts another in its
//! place, and both ends have it.

use super::{Desk, scope};
use sampan_core::log::{Entry, EntryKind, EntryPayload, Payload};
use sampan_core::pack::{self, Codec};
use sampan_core::record::create;
use sampan_core::record::ids::record_id;
use sampan_core::schema::{Collection, Schema, parse};
use sampan_core::testing::{SeededRng, test_time};
use sampan_core::value::{Kind, Value};
use sampan_node::codec::ZstdCodec;
use std::collections::{BTreeMap, BTreeSet};

/// Creations that are packed.
const RECORDS: usize = 768;

/// The codec of packs with another dictionary than the built-in one.
struct With(&'static [u8]);

impl Codec for With {
    fn compress(&self, raw: &[u8]) -> Vec<u8> {
        ZstdCodec.compress(raw)
    }
    fn inflate(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        ZstdCodec.inflate(packed, len)
    }
    fn compress_block(&self, raw: &[u8]) -> Vec<u8> {
        ZstdCodec.compress_block(raw)
    }
    fn inflate_block(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        ZstdCodec.inflate_block(packed, len)
    }
    fn compress_with(&self, raw: &[u8], _: &'static [u8]) -> Vec<u8> {
        ZstdCodec.compress_with(raw, self.0)
    }
    fn inflate_with(&self, packed: &[u8], len: usize, _: &'static [u8]) -> Option<Vec<u8>> {
        ZstdCodec.inflate_with(packed, len, self.0)
    }
    fn columnar(&self) -> bool {
        true
    }
}

/// What the head of a pack may name: choices, then fields and collections as the head has them, the likeliest last.
fn words(schema: &Schema) -> Vec<u8> {
    let mut out = Vec::new();
    let fields = || schema.collections.values().flat_map(|c| &c.fields);
    let choices: BTreeSet<&str> = fields().flat_map(|f| &f.choices).map(|c| c.id.as_str()).collect();
    choices.into_iter().for_each(|id| out.extend([id.as_bytes(), &[0]].concat()));
    let mut prefixed = |text: &str| {
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    };
    schema.collections.values().for_each(|c| prefixed(&c.id));
    for c in schema.collections.values().rev() {
        prefixed("_n");
        let names: BTreeSet<&str> = c.fields.iter().map(|f| f.id.as_str()).collect();
        names.into_iter().for_each(&mut prefixed);
    }
    out
}

/// A value of a field, as a co-operative might have it.
fn value(rng: &mut SeededRng, kind: Kind, name: &str, choices: &[&str]) -> Value {
    let words = ["Nguyễn Văn An", "Trần Thị Bình", "Thôn Đoài", "Xóm Trại", "Đồng Mả", "Vụ xuân", "Bà Lê Thị Hoa"];
    let word = words[rng.below(words.len() as u64) as usize];
    match kind {
        Kind::Choice => Value::Str(choices[rng.below(choices.len() as u64) as usize].to_owned()),
        Kind::Date => Value::Str(format!("2026-{:02}-{:02}", 1 + rng.below(12), 1 + rng.below(28))),
        Kind::Int => Value::Int(100_000 * (1 + rng.below(90) as i64)),
        Kind::Decimal => Value::Int(1 + rng.below(5_000) as i64),
        Kind::Ref => Value::Str((0..4).map(|_| format!("{:08x}", rng.next_u64() as u32)).collect()),
        Kind::Text => Value::Text(format!("{word}, {}", rng.below(1_000))),
        _ if name == "book_number" => Value::Str(format!("XV-{:05}", rng.below(100_000))),
        _ => Value::Str(word.to_owned()),
    }
}

/// One creation of a record of this collection.
fn creation(desk: &mut Desk, rng: &mut SeededRng, collection: &Collection) -> EntryPayload {
    let plain = [Kind::String, Kind::Int, Kind::Decimal, Kind::Date, Kind::Choice, Kind::Ref, Kind::Text];
    let fields: BTreeMap<String, (Kind, Value)> = collection
        .fields
        .iter()
        .filter(|f| plain.contains(&f.kind))
        .map(|f| {
            let choices: Vec<&str> = f.choices.iter().map(|c| c.id.as_str()).collect();
            (f.id.clone(), (f.kind, value(rng, f.kind, &f.id, &choices)))
        })
        .collect();
    let time = test_time(60 + rng.below(100_000));
    let change = create(&desk.actor(), time, desk.bytes(), &fields).expect("a record");
    let entry = Entry {
        kind: EntryKind::Change,
        record: record_id(&scope().space, &change.hash),
        collection: collection.id.clone(),
        payload_hash: change.hash.0,
        time,
        birth: None,
    };
    EntryPayload { entry, payload: change.bytes }
}

pub fn dictionary() {
    let schema = parse(include_str!("../../../examples/data/cooperative.toml")).expect("the example's schema");
    let (mut desk, mut rng) = (Desk::new(), SeededRng::new(23));
    let used: Vec<&Collection> =
        ["households", "plots", "deliveries"].iter().filter_map(|c| schema.collection(c)).collect();
    let made: Vec<EntryPayload> =
        (0..RECORDS).map(|n| creation(&mut desk, &mut rng, used[n * used.len() / RECORDS])).collect();
    let own: &'static [u8] = words(&schema).leak();
    println!("dictionary: {RECORDS} creations of a co-operative's schema; one of its own has {} B", own.len());
    let codecs: [(&str, &dyn Codec); 3] =
        [("none", &With(&[])), ("the built-in one", &ZstdCodec), ("one of that schema", &With(own))];
    for each in [1, 10, 256] {
        for (name, codec) in codecs {
            let mut bytes = 0;
            for entries in made.chunks(each) {
                let payload = Payload { secret: desk.bytes::<16>().into(), entries: entries.to_vec() };
                let pack = pack::encode(&scope(), &[&payload], codec);
                assert_eq!(pack::decode(&scope(), &pack, codec).as_deref(), Ok([payload].as_slice()));
                bytes += pack.len();
            }
            let one = bytes as f64 / made.len() as f64;
            println!(
                "  commits of {each:>3}, dictionary {name}: {one:.1} B a creation, {:.1} B a pack",
                one * each as f64
            );
        }
    }
}
