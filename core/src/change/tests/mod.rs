//! Tests of the change reader: against Automerge, against hostile bytes, over sets of changes.
//!
//! It does not: run in anything but tests; Automerge is named here as the other implementation.
//!
//! Invariants: every generator is seeded by proptest; nothing waits.

// The other implementation is called directly here, and one ignored test measures.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod differential;
mod hostile;
mod sets;

use super::*;
use crate::id::{ActorId, ChangeHash};
use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId as AmActor, AutoCommit, ObjType, ROOT};

pub(super) const TIME: i64 = 1_790_000_000_000;

pub(super) fn actor(n: u8) -> ActorId {
    ActorId([n; 16])
}

/// An Automerge document of this actor.
pub(super) fn doc(n: u8) -> AutoCommit {
    AutoCommit::new().with_actor(AmActor::from(&[n; 16][..]))
}

pub(super) fn commit(doc: &mut AutoCommit) {
    doc.commit_with(CommitOptions::default().with_time(TIME));
}

/// The raw bytes of all changes of a document, in its order.
pub(super) fn changes(doc: &mut AutoCommit) -> Vec<Vec<u8>> {
    doc.get_changes(&[]).iter().map(|c| c.raw_bytes().to_vec()).collect()
}

/// A creation with strings, a number, a text, a list, a set and a counter.
pub(super) fn card(n: u8) -> AutoCommit {
    let mut d = doc(n);
    d.put(ROOT, "_n", vec![1u8, 2, 3, 4, 5, 6]).unwrap();
    d.put(ROOT, "name", "Nguyễn Thị Ánh").unwrap();
    d.put(ROOT, "year", 1961i64).unwrap();
    d.put(ROOT, "active", true).unwrap();
    let text = d.put_object(ROOT, "notes", ObjType::Text).unwrap();
    d.splice_text(&text, 0, 0, "đã họp 👍 rồi").unwrap();
    let list = d.put_object(ROOT, "phones", ObjType::List).unwrap();
    d.insert(&list, 0, "0912").unwrap();
    d.insert(&list, 1, "0913").unwrap();
    let set = d.put_object(ROOT, "tags", ObjType::Map).unwrap();
    d.put(&set, "a", true).unwrap();
    d.put(&set, "b", true).unwrap();
    d.put(ROOT, "visits", automerge::ScalarValue::counter(5)).unwrap();
    commit(&mut d);
    d
}

/// A builder's change as bytes.
pub(super) fn built(deps: &[ChangeHash], by: u8, seq: u64, start: u64, fields: &[(&str, Scalar<'_>)]) -> Vec<u8> {
    let mut b = ChangeBuilder::new(deps.to_vec(), actor(by), seq, start, TIME);
    for (key, value) in fields {
        b.put(key, *value);
    }
    b.finish().unwrap().0
}

/// Prints microseconds a change; for a look by hand with optimisation.
#[test]
#[ignore = "prints a figure, asserts nothing about time"]
fn speed() {
    let mut d = doc(1);
    for n in 0..20 {
        d.put(ROOT, format!("field_number_{n}"), format!("Nguyễn Văn {n} phường Trúc Bạch")).unwrap();
    }
    commit(&mut d);
    let raw = changes(&mut d).remove(0);
    let rounds = 20_000;
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(Parsed::read(std::hint::black_box(&raw)).unwrap());
    }
    let read = start.elapsed();
    let start = std::time::Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(read::chunk_hash(std::hint::black_box(&raw)));
    }
    let hash = start.elapsed();
    let each = |t: std::time::Duration| t.as_secs_f64() * 1e6 / f64::from(rounds);
    println!("{} bytes: read {:.1} µs, of that hash {:.1} µs", raw.len(), each(read), each(hash));
}
