//! Packs against second forms and bombs: what CBOR's rules do for the other formats is done here by hand.
//!
//! It does not: use a real compressor; a codec that inflates zeros, or whatever it is told to, is worse.

use super::hostile::{body, frame_body, leb};
use super::memory::peak;
use super::samples::*;
use sampan_core::limits::{COMMIT_ENTRIES_MAX, PACK_ENTRIES_MAX, PACK_INFLATED_BYTES_MAX, SCHEMA_ID_BYTES_MAX};
use sampan_core::log::Payload;
use sampan_core::pack::{self, Codec, PackError, Stored};

/// Inflates anything to the length that the pack announces, by repeating its bytes.
struct Bomb;

impl Codec for Bomb {
    fn compress(&self, raw: &[u8]) -> Vec<u8> {
        raw.to_vec()
    }
    fn inflate(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        Some(packed.iter().copied().cycle().take(len).collect())
    }
}

/// Hands out a body that the test made.
struct Inflated(Vec<u8>);

impl Codec for Inflated {
    fn compress(&self, raw: &[u8]) -> Vec<u8> {
        raw.to_vec()
    }
    fn inflate(&self, _: &[u8], len: usize) -> Option<Vec<u8>> {
        Some(self.0[..len].to_vec())
    }
}

fn announcing(form: u8, len: u64, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![form];
    leb(&mut out, len);
    out.extend_from_slice(rest);
    out
}

fn read(body: &[u8]) -> Result<Vec<Payload>, PackError> {
    pack::decode(&scope(), &frame_body(body), &Stored)
}

/// An entry's reference, name and payload.
type Part<'a> = (&'a [u8], u64, &'a [u8]);

/// A body with these names and entries of kind 0 in one commit.
fn made(names: &[&[u8]], entries: &[Part<'_>]) -> Vec<u8> {
    let mut out = vec![1];
    leb(&mut out, names.len() as u64);
    for n in names {
        leb(&mut out, n.len() as u64);
        out.extend_from_slice(n);
    }
    out.extend_from_slice(&[7; 16]);
    leb(&mut out, entries.len() as u64);
    for (reference, name, payload) in entries {
        out.push(0);
        out.extend_from_slice(reference);
        leb(&mut out, *name);
        out.push(0);
        leb(&mut out, payload.len() as u64);
        out.extend_from_slice(payload);
    }
    out
}

#[test]
fn the_maker_of_bodies_makes_what_is_read() {
    let payloads = read(&made(&[b"members", b"minutes"], &[(&[0], 0, b"a"), (&[2], 1, b"b")])).unwrap();
    assert_eq!(payloads[0].entries.len(), 2);
    assert_eq!(payloads[0].entries[1].entry.record, payloads[0].entries[0].entry.record);
}

#[test]
fn names_stand_once_in_order_and_short() {
    let one: &[Part<'_>] = &[(&[0], 0, b"a")];
    let two: &[Part<'_>] = &[(&[0], 0, b"a"), (&[0], 1, b"b")];
    let back: &[Part<'_>] = &[(&[0], 1, b"a"), (&[0], 0, b"b")];
    assert!(read(&made(&[b"a", b"b"], two)).is_ok());
    for (names, entries, what) in [
        (&[b"a" as &[u8], b"a"] as &[&[u8]], two, "twice"),
        (&[b"a", b"b"], one, "unused"),
        (&[b"a", b"b"], back, "out of order"),
        (&[&[b'x'; SCHEMA_ID_BYTES_MAX + 1]], one, "too long"),
        (&[&[0xff]], one, "not UTF-8"),
        (&[], one, "out of range"),
    ] {
        assert!(read(&made(names, entries)).is_err(), "a name {what}");
    }
    assert!(read(&made(&[&[b'x'; SCHEMA_ID_BYTES_MAX]], one)).is_ok());
}

#[test]
fn a_reference_is_the_shortest_that_applies() {
    let first = read(&made(&[b"a"], &[(&[0], 0, b"x")])).unwrap();
    let record = first[0].entries[0].entry.record;
    let explicit = [&[1u8] as &[u8], &record.0].concat();
    let other = [&[1u8] as &[u8], &[9; 16]].concat();
    assert!(read(&made(&[b"a"], &[(&other, 0, b"x"), (&[2], 0, b"y")])).is_ok());
    fn x(reference: &[u8]) -> Part<'_> {
        (reference, 0, b"x")
    }
    let cases: [(Vec<Part<'_>>, &str); 7] = [
        (vec![x(&explicit)], "explicit though computed"),
        (vec![x(&other), (&other, 0, b"y")], "explicit though seen"),
        (vec![x(&[0]), x(&[0])], "computed though seen"),
        (vec![x(&[2])], "before its first mention"),
        (vec![x(&[0]), x(&[3])], "before its first mention"),
        (vec![x(&[0x80, 0x00])], "in a longer number"),
        (vec![x(&[0xff; 10])], "beyond 64 bits"),
    ];
    for (entries, what) in &cases {
        assert!(read(&made(&[b"a"], entries)).is_err(), "a reference {what}");
    }
}

#[test]
fn every_number_of_a_pack_has_one_form() {
    // Each byte below 0x80 that is a whole number may be written as two; the pack then differs or is
    // refused, and no two packs of one form read the same.
    let whole = body(&packed(&payloads())).to_vec();
    let right = read(&whole).unwrap();
    for at in 0..whole.len() {
        if whole[at] < 0x80 {
            let longer = [&whole[..at], &[whole[at] | 0x80, 0], &whole[at + 1..]].concat();
            assert_ne!(read(&longer).ok().as_ref(), Some(&right), "at {at}");
        }
    }
    let pack = frame_body(&whole);
    assert!(pack::decode(&scope(), &[&pack[..2], &[pack[2] | 0x80, 0], &pack[3..]].concat(), &Stored).is_err());
}

#[test]
fn counts_are_those_of_commits() {
    let entries = |n: usize| vec![(&[0u8] as &[u8], 0, b"x" as &[u8]); n];
    assert!(read(&made(&[], &[])).is_err(), "a commit without entries");
    let mut many = entries(COMMIT_ENTRIES_MAX + 1);
    many[1..].iter_mut().for_each(|e| e.0 = &[2]);
    assert!(read(&made(&[b"a"], &many)).is_err());
    many.pop();
    assert!(read(&made(&[b"a"], &many)).is_ok());
    assert_eq!(read(&[0, 0]), Ok(vec![]), "a pack of no commits is one");
}

#[test]
fn the_announced_size_is_bounded_and_kept() {
    let limit = PACK_INFLATED_BYTES_MAX as u64;
    for form in [0, 1, 2, 3, 4, 5, 6] {
        for len in [limit + 1, u64::from(u32::MAX), u64::MAX] {
            let pack = announcing(form, len, b"x");
            let cost = peak(|| assert_eq!(pack::decode(&scope(), &pack, &Bomb), Err(PackError::TooLarge(len))));
            assert!(cost < 1_024, "{cost} bytes for a refusal");
        }
    }
    assert_eq!(pack::decode(&scope(), &announcing(0, limit, b"x"), &Bomb), Err(PackError::Inflate));
    assert_eq!(pack::decode(&scope(), &announcing(1, 9, b"x"), &Stored), Err(PackError::Inflate));
    let worded = |len: u64, codec: &dyn Codec| pack::read_worded(&scope(), &announcing(7, len, b"x"), codec);
    for len in [limit + 1, u64::from(u32::MAX), u64::MAX] {
        let cost = peak(|| assert_eq!(worded(len, &Bomb), Err(PackError::TooLarge(len))));
        assert!(cost < 1_024, "{cost} bytes for a refusal");
    }
    assert_eq!(worded(9, &Stored), Err(PackError::Inflate));
    assert!(matches!(pack::decode(&scope(), &announcing(7, 1, b"x"), &Bomb), Err(PackError::Malformed(_))));
    for form in 8..=255 {
        assert_eq!(pack::decode(&scope(), &announcing(form, 1, b"x"), &Bomb), Err(PackError::NewerForm(form)));
    }
}

/// What a pack may cost beyond the bytes it inflates to: its entries, with names and payloads apart.
const COST_MAX: usize = PACK_ENTRIES_MAX * 512;

fn bomb(body: &[u8], what: &str) {
    let pack = announcing(1, body.len() as u64, b"x");
    let codec = Inflated(body.to_vec());
    let cost = peak(|| pack::decode(&scope(), &pack, &codec));
    let most = 3 * body.len() + COST_MAX;
    assert!(cost <= most, "{what}: {cost} bytes held for a body of {}, at most {most}", body.len());
}

#[test]
fn a_bomb_costs_no_more_than_it_inflates_to() {
    let most = PACK_INFLATED_BYTES_MAX;
    for fill in [0x00, 0x01, 0x02, 0x10, 0x7f, 0x80, 0xff] {
        bomb(&vec![fill; most], &format!("16 MiB of {fill:#04x}"));
    }
    // As many commits, names or entries as the body has bytes.
    let many = |n: u64, rest: &[u8]| {
        let mut out = Vec::new();
        leb(&mut out, n);
        out.extend_from_slice(rest);
        out.resize(most, 0);
        out
    };
    bomb(&many(15 << 20, &[]), "15 Mi commits announced");
    bomb(&[&[1u8] as &[u8], &many(15 << 20, &[])[..most - 1]].concat(), "15 Mi names announced");
    bomb(&[&[1u8, 0] as &[u8], &[7; 16], &many(15 << 20, &[])[..most - 18]].concat(), "15 Mi entries announced");
}

#[test]
fn one_name_named_many_times_costs_no_more() {
    let name = vec![b'n'; 1 << 20];
    let entry: Part<'_> = (&[2], 0, b"");
    let mut entries = vec![entry; COMMIT_ENTRIES_MAX];
    entries[0].0 = &[0];
    bomb(&made(&[&name], &entries), "a name of 1 MiB, 256 times");
    // The most that format 1 allows: short entries under a name of full length, commit after commit.
    let mut body = made(&[&[b'n'; SCHEMA_ID_BYTES_MAX]], &entries);
    let commits = PACK_ENTRIES_MAX / COMMIT_ENTRIES_MAX;
    entries[0].0 = &[2];
    let next = made(&[], &entries)[2..].to_vec();
    for _ in 1..commits {
        body.extend_from_slice(&next);
    }
    let body = [[0x80, 0x02].as_slice(), &body[1..]].concat();
    assert_eq!(commits, 256, "the two bytes above");
    bomb(&body, "65,536 entries");
    assert_eq!(read(&body).map(|p| p.len()), Ok(commits));
    // The counts at the front, in a body with one commit more: refused by its total.
    let more = [[0x81, 0x02].as_slice(), &body[2..], &next].concat();
    assert!(read(&more).is_err());
    bomb(&more, "more entries than PACK_ENTRIES_MAX");
}
