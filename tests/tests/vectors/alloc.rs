//! What decoding hostile bytes may cost: a small multiple of their number.
//!
//! It does not: look at what is decoded (`hostile`) or at packs that inflate (`packs`).

use super::hostile::decoders;
use super::memory::peak;
use proptest::prelude::*;
use sampan_core::limits::FRAME_BYTES_MAX;

/// Bytes held at one time for each byte read, and for none: the decoded form, the same encoded again
/// for the check of its canonical form, and a vector that grows by moving. The constant is what the
/// shortest entries of one commit come to.
const TIMES: usize = 16;
const CONSTANT: usize = 64 << 10;

fn cheap(name: &str, read: fn(&[u8]) -> Option<Vec<u8>>, bytes: &[u8], what: &str) {
    let cost = peak(|| read(bytes));
    let most = TIMES * bytes.len() + CONSTANT;
    assert!(cost <= most, "{name}, {what}: {cost} bytes held for {} read, at most {most}", bytes.len());
}

/// The head of an array, text or byte string that claims `n`.
fn claim(major: u8, n: u64) -> Vec<u8> {
    [&[major << 5 | 27u8] as &[u8], &n.to_be_bytes()].concat()
}

#[test]
fn claims_of_huge_lengths_cost_nothing() {
    for d in decoders() {
        for n in [1 << 20, 1 << 32, u64::MAX >> 1, u64::MAX] {
            for major in [2, 3, 4, 5] {
                let claim = claim(major, n);
                cheap(d.name, d.read, &claim, "a claim alone");
                for s in &d.samples {
                    for at in 0..s.len().min(400) {
                        cheap(d.name, d.read, &[&s[..at], &claim, &s[at..]].concat(), "a claim inside");
                        cheap(d.name, d.read, &[&s[..at], &claim].concat(), "a claim at the end");
                    }
                }
            }
        }
    }
}

#[test]
fn the_smallest_items_by_the_million_cost_a_small_multiple() {
    for d in decoders().iter().filter(|d| d.cbor) {
        // One byte each (numbers, empty bytes, texts, arrays and maps, open arrays, null), and the
        // smallest records of two and three bytes.
        let items: [&[u8]; 11] = [
            &[0x00],
            &[0x40],
            &[0x60],
            &[0x80],
            &[0xa0],
            &[0x9f],
            &[0xf6],
            &[0x81, 0x80],
            &[0x82, 0x80, 0x40],
            &[0x82, 0x40, 0x40],
            &[0x83, 0x40, 0x00, 0x80],
        ];
        for item in items {
            let many = item.repeat(FRAME_BYTES_MAX / 2 / item.len());
            cheap(d.name, d.read, &many, "items");
            let open = |prefix: &[u8]| [prefix, &[0x9f], &many].concat();
            cheap(d.name, d.read, &open(&[]), "items in an open array");
            for variant in 0..12 {
                cheap(d.name, d.read, &open(&[0x82, variant, 0x81]), "items as a variant's first field");
                cheap(d.name, d.read, &open(&[0x82, variant, 0x82, 0x00]), "items as a variant's second field");
                cheap(d.name, d.read, &open(&[0x82, variant, 0x81, 0x81, 0x82, 0x80]), "items deeper");
                let key = [&[0x82, variant, 0x81, 0x81, 0x82, 0x58, 0x20] as &[u8], &[1; 32]].concat();
                cheap(d.name, d.read, &open(&key), "items after a key");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_cost_a_small_multiple(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for d in decoders() {
            cheap(d.name, d.read, &bytes, "random bytes");
        }
    }

    #[test]
    fn samples_with_a_part_repeated_cost_a_small_multiple(
        which in any::<prop::sample::Index>(),
        sample in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        len in 1..8usize,
        times in 1..20_000usize,
    ) {
        let all = decoders();
        let d = which.get(&all);
        let s = sample.get(&d.samples);
        let from = from.index(s.len());
        let to = (from + len).min(s.len());
        cheap(d.name, d.read, &[&s[..from], &s[from..to].repeat(times), &s[to..]].concat(), "a part repeated");
    }
}
