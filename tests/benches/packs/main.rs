//! What packs cost: bytes and time of first loads, of edits and of a Monday, beside zstd of the raw changes.
//!
//! It does not: open a link, or a store but for `disk` (`figures` does), so its times are those of packing and unpacking
//! alone.
//!
//! `cargo bench -p sampan-tests --bench packs [-- first history monday small dictionary disk]`

mod dictionary;
mod disk;

use ed25519_dalek::SigningKey;
use sampan_core::id::ChangeHash;
use sampan_core::id::{ActorId, CommitId, Incarnation, Nonce, RecordId};
use sampan_core::log::commit::{FORMAT, device_id};
use sampan_core::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload};
use sampan_core::pack::{self, Codec, Earlier, PackScope, Verbatim};
use sampan_core::record::ids::record_id;
use sampan_core::record::{Document, EditContext, create};
use sampan_core::testing::members::{edit, members};
use sampan_core::testing::{SeededRng, test_key, test_org, test_time, up_space};
use sampan_core::time::Millis;
use sampan_core::value::{Edit, Kind, Value};
use sampan_node::codec::ZstdCodec;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

type Fields = BTreeMap<String, Value>;

fn kind(value: &Value) -> Kind {
    match value {
        Value::Str(_) | Value::Other(_) => Kind::String,
        Value::Text(_) => Kind::Text,
        Value::Int(_) => Kind::Int,
        Value::Counter(_) => Kind::Counter,
        Value::Bool(_) => Kind::Bool,
        Value::List(_) => Kind::List,
        Value::Set(_) => Kind::Set,
    }
}

fn scope() -> PackScope {
    PackScope { org: test_org(), space: up_space(2) }
}

/// One device with its log.
struct Desk {
    key: SigningKey,
    nonce: Nonce,
    rng: SeededRng,
    parent: Option<(CommitId, u64)>,
}

impl Desk {
    fn new() -> Self {
        Self { key: test_key(1), nonce: Nonce([7; 16]), rng: SeededRng::new(5), parent: None }
    }

    fn actor(&self) -> ActorId {
        ActorId::of(&device_id(&self.key), &self.nonce)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.rng.next_u64() as u8)
    }

    fn seal(&mut self, entries: Vec<EntryPayload>, time: Millis) -> Commit {
        let payload = Payload { secret: self.bytes::<16>().into(), entries };
        let header = Header {
            format: FORMAT,
            org: test_org(),
            space: scope().space,
            device: device_id(&self.key),
            incarnation: Incarnation(self.nonce.0),
            sequence: 1 + self.parent.map_or(0, |p| p.1),
            parents: self.parent.iter().map(|p| p.0).collect(),
            nonce: self.nonce,
            charter_heads: vec![CommitId([0x21; 32])],
            time,
            entries: 0,
            root: [0; 32],
        };
        let commit = Commit::seal(&self.key, header, payload).expect("within the limits");
        self.parent = Some((commit.id(), commit.header().sequence));
        commit
    }
}

struct Member {
    id: RecordId,
    fields: Fields,
    changes: Vec<Vec<u8>>,
}

/// Creations of `n` members, as an import makes them.
fn created(desk: &mut Desk, n: usize) -> Vec<(Member, EntryPayload)> {
    let (actor, time) = (desk.actor(), test_time(60));
    let make = |fields: Fields| {
        let typed: BTreeMap<_, _> = fields.iter().map(|(k, v)| (k.clone(), (kind(v), v.clone()))).collect();
        let change = create(&actor, time, desk.bytes(), &typed).expect("a member");
        let id = record_id(&scope().space, &change.hash);
        let e = entry(id, change.hash.0, time, &change.bytes);
        (Member { id, fields, changes: vec![change.bytes] }, e)
    };
    members(11, n).into_iter().map(make).collect()
}

fn entry(record: RecordId, payload_hash: [u8; 32], time: Millis, payload: &[u8]) -> EntryPayload {
    let (kind, collection) = (EntryKind::Change, "members".to_owned());
    let entry = Entry { kind, record, collection, payload_hash, time, birth: None };
    EntryPayload { entry, payload: payload.to_vec() }
}

/// One more edit of a member.
fn edited(rng: &mut SeededRng, actor: ActorId, m: &mut Member, time: Millis) -> EntryPayload {
    let mut document = Document::load(m.id, m.changes.iter().map(Vec::as_slice)).expect("a member");
    let (name, value) = edit(rng, &m.fields);
    let creation = sampan_core::hash::change_hash(&m.changes[0][8..]);
    let context = EditContext { creation, actor, time };
    let kinds: BTreeMap<String, Kind> = m.fields.iter().map(|(k, v)| (k.clone(), kind(v))).collect();
    let change = document
        .edit(&context, &|f| kinds.get(f).copied(), &[(name.clone(), Edit::Set(value.clone()))])
        .expect("an edit")
        .remove(0);
    m.fields.insert(name, value);
    m.changes.push(change.bytes.clone());
    entry(m.id, change.hash.0, time, &change.bytes)
}

fn raw(commits: &[Commit]) -> Vec<u8> {
    commits.iter().flat_map(|c| &c.payload().entries).flat_map(|e| e.payload.clone()).collect()
}

fn signed(commits: &[Commit]) -> usize {
    commits.iter().map(|c| c.head().signed().bytes.len() + 64).sum()
}

/// Packs of at most so many changes, with their time to write and to read.
fn packed(commits: &[Commit], entries: usize, codec: &dyn Codec) -> (usize, Duration, Duration) {
    let (mut bytes, mut write, mut read) = (0, Duration::ZERO, Duration::ZERO);
    let mut at = 0;
    while at < commits.len() {
        let (mut end, mut held) = (at, 0);
        while end < commits.len() && (end == at || held + commits[end].payload().entries.len() <= entries) {
            held += commits[end].payload().entries.len();
            end += 1;
        }
        let payloads: Vec<&Payload> = commits[at..end].iter().map(Commit::payload).collect();
        let began = Instant::now();
        let pack = pack::encode(&scope(), &payloads, codec);
        write += began.elapsed();
        bytes += pack.len();
        let began = Instant::now();
        let back = pack::decode(&scope(), &pack, codec).expect("its own pack");
        read += began.elapsed();
        assert!(back.iter().eq(payloads.iter().copied()));
        at = end;
    }
    (bytes, write, read)
}

fn row(what: &str, commits: &[Commit], sizes: &[usize]) {
    let n: usize = commits.iter().map(|c| c.payload().entries.len()).sum();
    let raw = raw(commits);
    let floor = zstd::bulk::compress(&raw, 3).expect("zstd").len();
    let heads = signed(commits);
    println!(
        "{what}: {n} changes in {} commits; raw {:.1} B each, zstd-3 of them all {:.2} B, headers and signatures {:.2} B",
        commits.len(),
        raw.len() as f64 / n as f64,
        floor as f64 / n as f64,
        heads as f64 / n as f64
    );
    for size in sizes {
        for (name, codec) in [("verbatim", &Verbatim(&ZstdCodec) as &dyn Codec), ("columnar", &ZstdCodec)] {
            let (bytes, write, read) = packed(commits, *size, codec);
            let each = |d: Duration| d.as_secs_f64() * 1e6 / n as f64;
            println!(
                "  {name} packs of {size:>4}: {:7.2} B each, {:.3} x the floor, with headers {:.3} x = {} B; write {:.1} µs, read {:.1} µs",
                bytes as f64 / n as f64,
                bytes as f64 / floor as f64,
                (bytes + heads) as f64 / floor as f64,
                bytes + heads,
                each(write),
                each(read),
            );
        }
    }
}

fn sealed(desk: &mut Desk, entries: &[EntryPayload], each: usize) -> Vec<Commit> {
    entries.chunks(each).map(|run| desk.seal(run.to_vec(), test_time(900))).collect()
}

fn first() {
    for n in [1_000, 10_000] {
        let mut desk = Desk::new();
        let entries: Vec<EntryPayload> = created(&mut desk, n).into_iter().map(|(_, e)| e).collect();
        let commits = sealed(&mut desk, &entries, 256);
        row(&format!("first load of {n}"), &commits, &[256, 4_096]);
    }
}

fn small() {
    let mut desk = Desk::new();
    let entries: Vec<EntryPayload> = created(&mut desk, 100).into_iter().map(|(_, e)| e).collect();
    for each in [1, 10, 100] {
        let commits = sealed(&mut desk, &entries, each);
        row(&format!("creations, commits of {each}"), &commits, &[each, 256]);
    }
}

fn history() {
    let mut desk = Desk::new();
    let mut rng = SeededRng::new(9);
    let actor = desk.actor();
    let mut entries = Vec::new();
    for (mut m, e) in created(&mut desk, 1_000) {
        entries.push(e);
        for i in 0..5 {
            entries.push(edited(&mut rng, actor, &mut m, test_time(100 + 20 * i)));
        }
    }
    let commits = sealed(&mut desk, &entries, 256);
    row("1,000 records with five edits each", &commits, &[256, 4_096]);
}

/// The commits up the log from the first edit.
struct Above {
    payloads: Vec<Payload>,
    at: BTreeMap<ChangeHash, (u64, u32)>,
}

impl Above {
    fn new(commits: &[Commit]) -> Self {
        let payloads: Vec<Payload> = commits.iter().rev().map(|c| c.payload().clone()).collect();
        let at = payloads.iter().zip(1..).flat_map(|(p, step)| {
            p.entries.iter().zip(0..).map(move |(e, index)| (ChangeHash(e.entry.payload_hash), (step, index)))
        });
        Self { at: at.collect(), payloads }
    }
}

impl Earlier for Above {
    fn place(&self, _: &RecordId, change: &ChangeHash) -> Option<(u64, u32, EntryPayload)> {
        let (steps, index) = *self.at.get(change)?;
        Some((steps, index, self.entry(steps, index)?))
    }
    fn entry(&self, steps: u64, index: u32) -> Option<EntryPayload> {
        self.payloads.get(steps as usize - 1)?.entries.get(index as usize).cloned()
    }
}

/// The same as frames carry it, to a peer that holds the creations.
fn on_top(commits: &[Commit], earlier: &Above, dense: bool) {
    let (mut bytes, mut write, mut read) = (0, Duration::ZERO, Duration::ZERO);
    for c in commits {
        let payload = [c.payload()];
        let alone = pack::encode(&scope(), &payload, &ZstdCodec);
        let began = Instant::now();
        let pack = pack::encode_after(&scope(), &payload, &ZstdCodec, &alone, earlier, dense).unwrap_or(alone);
        write += began.elapsed();
        bytes += pack.len();
        let began = Instant::now();
        let back = pack::decode_after(&scope(), &pack, &ZstdCodec, earlier).expect("its own pack");
        read += began.elapsed();
        assert!(back.iter().eq(payload));
    }
    let n: usize = commits.iter().map(|c| c.payload().entries.len()).sum();
    let each = |d: Duration| d.as_secs_f64() * 1e6 / n as f64;
    println!(
        "  on top of what the peer holds{}: {:7.2} B each, with headers {} B; write {:.1} µs, read {:.1} µs",
        if dense { ", dense" } else { "" },
        bytes as f64 / n as f64,
        bytes + signed(commits),
        each(write),
        each(read)
    );
}

fn monday() {
    let mut desk = Desk::new();
    let (mut all, creations): (Vec<Member>, Vec<EntryPayload>) = created(&mut desk, 10_000).into_iter().unzip();
    let earlier = Above::new(&sealed(&mut desk, &creations, 256));
    let mut rng = SeededRng::new(17);
    let actor = desk.actor();
    for k in [1, 10, 100, 1_000] {
        let mut entries = Vec::new();
        let step = all.len() / k;
        for i in 0..k {
            let time = Millis(test_time(5_000 + 25 * i as u64).0 + rng.below(9_000));
            let Some(m) = all.get_mut(i * step + rng.below(step as u64) as usize) else { continue };
            m.changes.truncate(1);
            entries.push(edited(&mut rng, actor, m, time));
        }
        let commits = sealed(&mut desk, &entries, 256);
        row(&format!("Monday, {k} of 10,000 edited"), &commits, &[256]);
        on_top(&commits, &earlier, false);
        on_top(&commits, &earlier, true);
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|w| name.contains(w.as_str()));
    for (name, run) in [
        ("first", first as fn()),
        ("history", history),
        ("small", small),
        ("monday", monday),
        ("dictionary", dictionary::dictionary),
        ("disk", disk::disk),
    ] {
        if wanted(name) {
            run();
        }
    }
}
