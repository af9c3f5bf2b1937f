//! Tests of the hostile changes: what the real judge makes of each, alone and in any company.
//!
//! It does not: ask Automerge what it makes of them (`change::tests::hostile` does).
//!
//! Invariants: the seeds are fixed.

use super::*;
use crate::engine::{Checked, NewRecordEntry, judge};
use crate::id::{Nonce, RecordId};
use crate::limits::{QUARANTINE_BYTES_MAX, QUARANTINE_COMMITS_MAX};
use crate::log::{Commit, Entry, EntryKind, device_id};
use crate::pack::{self, PackScope, Stored};
use crate::record::ids::record_id;
use crate::store::Store as _;
use crate::testing::{MemStore, test_key, test_org, test_time, up_space};
use crate::value::{Kind, Value};
use ed25519_dalek::SigningKey;
use std::collections::{BTreeMap, BTreeSet};

/// Where the honest one and the hostile one write.
fn places() -> [(SigningKey, Place); 2] {
    [1, 2].map(|n| {
        let place = Place::first(test_org(), up_space(1), Nonce([n; 16]), Vec::new(), test_time(1));
        (test_key(u64::from(n)), place)
    })
}

fn actor((key, place): &(SigningKey, Place)) -> ActorId {
    ActorId::of(&device_id(key), &place.nonce)
}

/// An honest record of two authors, with a scalar, a text, a list and a counter.
fn record() -> (RecordId, Vec<(ActorId, Vec<u8>)>) {
    let [honest, hostile] = places().map(|p| actor(&p));
    let fields = [
        ("full_name", Kind::String, Value::Str("An".into())),
        ("notes", Kind::Text, Value::Str("đã họp".into())),
        ("phones", Kind::List, Value::List(vec!["0912".into()])),
        ("visits", Kind::Counter, Value::Int(5)),
    ];
    let fields: BTreeMap<_, _> = fields.into_iter().map(|(f, k, v)| (f.to_owned(), (k, v))).collect();
    let made = crate::record::create(&honest, test_time(1), [1; 6], &fields).unwrap();
    let id = record_id(&up_space(1), &made.hash);
    let base = vec![made.bytes];
    let second = next(&base, hostile, "honest yet", |_| {});
    (id, vec![(honest, base[0].clone()), (hostile, second)])
}

fn bytes_of(base: &[(ActorId, Vec<u8>)]) -> Vec<Vec<u8>> {
    base.iter().map(|(_, b)| b.clone()).collect()
}

/// The statuses of these changes of one record, in order.
fn judged(id: RecordId, all: &[(ActorId, Vec<u8>)]) -> Vec<Status> {
    let entry = |(actor, bytes): &(ActorId, Vec<u8>)| (*actor, bytes.clone());
    let owned: Vec<(ActorId, Vec<u8>)> = all.iter().map(entry).collect();
    let entries: Vec<NewRecordEntry<'_>> = owned
        .iter()
        .map(|(actor, bytes)| NewRecordEntry {
            space: up_space(1),
            collection: "members",
            kind: EntryKind::Change,
            hash: ChangeHash(Entry::hash_payload(EntryKind::Change, bytes)),
            actor: *actor,
            birth: None,
            bytes,
            checked: Checked::Nothing,
        })
        .collect();
    judge(&test_org(), id, None, &[], &entries).statuses
}

#[test]
fn each_becomes_what_it_says() {
    let (id, base) = record();
    let hostile = actor(&places()[1]);
    for (len, seed) in [(1, 1), (2, 2), (2, 3)] {
        let base = &base[..len];
        let all = changes(&bytes_of(base), hostile, &mut SeededRng::new(seed));
        for c in &all {
            let mut set = base.to_vec();
            set.extend(c.before.iter().chain([&c.bytes]).map(|b| (hostile, b.clone())));
            let statuses = judged(id, &set);
            assert_eq!(statuses.last(), Some(&c.expect), "{} on {len}: {statuses:?}", c.name);
            assert!(statuses[..len].iter().all(|s| *s == Status::Accepted), "{}: {statuses:?}", c.name);
            let back = wrapped(c.bytes.get(CHUNK_PREFIX..).unwrap());
            assert_eq!(back, c.bytes, "{} would arrive as something else", c.name);
        }
        let names: BTreeSet<_> = all.iter().map(|c| c.name).collect();
        let distinct: BTreeSet<_> = all.iter().map(|c| &c.bytes).collect();
        assert_eq!((names.len(), distinct.len()), (all.len(), all.len()));
        assert!(all.len() >= 52 + len, "only {}", all.len());
    }
}

#[test]
fn none_changes_what_becomes_of_another_in_any_order() {
    let (id, base) = record();
    let hostile = actor(&places()[1]);
    let mut rng = SeededRng::new(4);
    let all = changes(&bytes_of(&base), hostile, &mut rng);
    let mut set: Vec<(ActorId, Vec<u8>)> = base.clone();
    set.extend(all.iter().flat_map(|c| c.before.iter().chain([&c.bytes])).map(|b| (hostile, b.clone())));
    let expected: BTreeMap<&Vec<u8>, (Status, &str)> = all.iter().map(|c| (&c.bytes, (c.expect, c.name))).collect();
    for _ in 0..4 {
        for i in (1..set.len()).rev() {
            set.swap(i, rng.below(i as u64 + 1) as usize);
        }
        for ((_, bytes), status) in set.iter().zip(judged(id, &set)) {
            if let Some((expect, name)) = expected.get(bytes) {
                assert_eq!(status, *expect, "{name}");
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (_, base) = record();
    let made = |seed| changes(&bytes_of(&base), actor(&places()[1]), &mut SeededRng::new(seed));
    assert_eq!(made(5), made(5));
    assert_ne!(made(5), made(6));
}

#[test]
fn the_small_one_that_costs_450_megabytes_is_small() {
    let (_, base) = record();
    let all = changes(&bytes_of(&base), actor(&places()[1]), &mut SeededRng::new(7));
    let small = all.iter().find(|c| c.name == "operations-by-a-run-of-2-to-the-62").unwrap();
    assert!(small.bytes.len() < 200, "{}", small.bytes.len());
}

#[test]
fn commits_are_signed_and_come_out_of_their_group_whole() {
    let (id, base) = record();
    let [_, (key, place)] = places();
    let mut rng = SeededRng::new(8);
    let all = changes(&bytes_of(&base), actor(&(key.clone(), place.clone())), &mut rng);
    let entries = |c: &HostileChange| vec![entry(id, "members", place.time, c.bytes.clone())];
    let mut made: Vec<Commit> = vec![commit(&key, &place, entries(&all[0]))];
    for c in &all[1..] {
        made.push(commit(&key, &Place::after(&made[made.len() - 1]), entries(c)));
    }
    let refs: Vec<&Commit> = made.iter().collect();
    let sent = group(&Stored, &refs);
    let scope = PackScope { org: place.org, space: place.space };
    let payloads = pack::decode(&scope, &sent.pack, &Stored).unwrap();
    assert_eq!(payloads.len(), made.len());
    for ((header, payload), c) in sent.headers.iter().zip(payloads).zip(&made) {
        let head = header.verify(&place.org).unwrap();
        assert_eq!(&Commit::join(head, payload).unwrap(), c);
    }
    let twin = fork(&key, &made[1], entries(&all[5]));
    assert_eq!((twin.header().sequence, &twin.header().parents), (2, &made[1].header().parents));
    assert_ne!(twin.id(), made[1].id());
}

#[test]
fn a_flood_is_more_than_a_quarantine_keeps() {
    let [_, (_, place)] = places();
    let mut rng = SeededRng::new(9);
    let many = flood(&place, QUARANTINE_COMMITS_MAX + 20, 1, &mut rng);
    let large = flood(&place, QUARANTINE_BYTES_MAX / 60_000 + 20, 60_000, &mut rng);
    for (commits, most) in [(many, QUARANTINE_COMMITS_MAX), (large, QUARANTINE_BYTES_MAX / 60_000)] {
        let mut store = MemStore::new(test_org(), device_id(&test_key(3)), crate::id::StoreEpoch([1; 16]));
        let mut batch = crate::store::Batch::at(test_time(1));
        for c in &commits {
            batch.quarantine.push(crate::store::Quarantined {
                head: c.head().clone(),
                pack: group(&Stored, &[c]).pack,
                peer: device_id(&test_key(4)),
                reason: "no right".into(),
                at: test_time(1),
            });
        }
        store.write(&batch).unwrap();
        let kept = store.quarantine().unwrap().len();
        assert!(kept > 0 && kept <= most && kept < commits.len(), "{kept} of {}", commits.len());
    }
}

/// One entry as a hostile or an honest commit might hold it.
#[derive(Debug, Clone, PartialEq)]
struct Claim {
    space: u8,
    collection: &'static str,
    kind: EntryKind,
    actor: ActorId,
    birth: Option<crate::log::BirthOf>,
    bytes: Vec<u8>,
}

fn judge_claims(id: RecordId, claims: &[Claim]) -> crate::engine::JudgedRecord {
    let entries: Vec<NewRecordEntry<'_>> = claims
        .iter()
        .map(|c| NewRecordEntry {
            space: up_space(c.space),
            collection: c.collection,
            kind: c.kind,
            hash: ChangeHash(Entry::hash_payload(c.kind, &c.bytes)),
            actor: c.actor,
            birth: c.birth.as_ref(),
            bytes: &c.bytes,
            checked: Checked::Nothing,
        })
        .collect();
    judge(&test_org(), id, None, &[], &entries)
}

#[test]
fn what_becomes_of_any_set_of_entries_does_not_hang_on_their_order() {
    let (id, base) = record();
    let [honest, hostile] = places().map(|p| actor(&p));
    let created = honest_change(&base[0].1);
    let born = crate::record::birth(&id, &created.hash(), created.max_op(), "tags", Kind::Set).unwrap();
    let birth = Some(crate::log::BirthOf { field: "tags".into(), kind: Kind::Set });
    let mut rng = SeededRng::new(10);
    let mut pool: Vec<Vec<u8>> = base.iter().map(|(_, b)| b.clone()).collect();
    let third = next(&pool, honest, "third", |_| {});
    pool.extend([born.bytes.clone(), third]);
    for t in changes(&bytes_of(&base), hostile, &mut rng).into_iter().filter(|t| t.bytes.len() < 1_000) {
        pool.extend(t.before);
        pool.push(t.bytes);
    }
    for round in 0..3_000 {
        let mut set: Vec<Claim> = Vec::new();
        for _ in 0..2 + rng.below(8) {
            // The honest payloads come often, so that something stands.
            let at = if rng.one_in(2) { rng.below(4) } else { rng.below(pool.len() as u64) };
            let kinds = [EntryKind::Change, EntryKind::Change, EntryKind::Birth, EntryKind::Identity];
            let kind = kinds[rng.below(4) as usize];
            set.push(Claim {
                space: if rng.one_in(5) { 2 } else { 1 },
                collection: if rng.one_in(3) { "meetings" } else { "members" },
                kind,
                actor: if rng.one_in(2) { honest } else { hostile },
                birth: birth.clone().filter(|_| kind == EntryKind::Birth && !rng.one_in(4)),
                bytes: pool[at as usize].clone(),
            });
        }
        let first = judge_claims(id, &set);
        let before = set.clone();
        for i in (1..set.len()).rev() {
            set.swap(i, rng.below(i as u64 + 1) as usize);
        }
        // Judged anew in another order: the same of each entry, and of the record where it is shown.
        let again = judge_claims(id, &set);
        let standing = |j: &crate::engine::JudgedRecord| {
            let s = &j.state;
            let place = (!s.heads.is_empty()).then(|| (s.space, s.collection.clone()));
            (s.heads.clone(), s.max_op, s.sequences.clone(), s.irregular, place)
        };
        assert_eq!(standing(&first), standing(&again), "round {round}: {set:?}");
        for (claim, status) in set.iter().zip(&again.statuses) {
            let at = before.iter().position(|c| c == claim).unwrap();
            assert_eq!(first.statuses[at], *status, "round {round}: {claim:?} of {set:?}");
        }
    }
}

#[test]
fn nobody_writes_under_another_name_by_calling_a_change_computed() {
    let (id, base) = record();
    let [honest, hostile] = places().map(|p| actor(&p));
    let mut claims: Vec<Claim> = base
        .iter()
        .map(|(actor, bytes)| Claim {
            space: 1,
            collection: "members",
            kind: EntryKind::Change,
            actor: *actor,
            birth: None,
            bytes: bytes.clone(),
        })
        .collect();
    let forged = next(&bytes_of(&base), honest, "never said", |_| {});
    for kind in [EntryKind::Change, EntryKind::Identity, EntryKind::Birth] {
        let birth = (kind == EntryKind::Birth).then(|| crate::log::BirthOf { field: "later".into(), kind: Kind::Text });
        let forgery = Claim { kind, actor: hostile, birth, bytes: forged.clone(), ..claims[0].clone() };
        // Also where it comes before the record.
        assert_ne!(judge_claims(id, std::slice::from_ref(&forgery)).statuses[0], Status::Accepted, "{kind:?}");
        claims.push(forgery);
        assert_eq!(judge_claims(id, &claims).statuses[2], Status::Malformed, "{kind:?}");
        claims.pop();
    }
}
