//! Every decoder against bytes that nobody should send: longer forms of the same value, cut ones, ones
//! with something behind, random ones.
//!
//! It does not: measure memory (`alloc`).

use super::annotate::head;
use super::samples::*;
use proptest::prelude::*;
use sampan_core::charter::{Op, Ticket};
use sampan_core::log::SignedHeader;
use sampan_core::log::brief::Brief;
use sampan_core::pack::{self, Stored};
use sampan_core::register::{Register, SignedRegister};
use sampan_core::wire;
use sampan_core::wire::frame::Frame;

/// A decoder: what it makes of bytes, encoded again; `None` when it refuses them.
pub struct Decoder {
    pub name: &'static str,
    pub read: fn(&[u8]) -> Option<Vec<u8>>,
    pub samples: Vec<Vec<u8>>,
    /// Whether its bytes are one CBOR item.
    pub cbor: bool,
}

fn read_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let signed = SignedHeader { bytes: bytes.to_vec(), signature: [0; 64] };
    signed.trust().ok().map(|h| wire::encode(h.header()))
}

fn read_brief(bytes: &[u8]) -> Option<Vec<u8>> {
    let signed = SignedHeader { bytes: bytes.to_vec(), signature: [0; 64] };
    Brief::read(&signed).ok().map(|b| wire::encode(&b))
}

fn read_register(bytes: &[u8]) -> Option<Vec<u8>> {
    SignedRegister { bytes: bytes.to_vec(), signature: [0; 64] }.trust().ok().map(|r| wire::encode(&r))
}

fn read_pack(bytes: &[u8]) -> Option<Vec<u8>> {
    let payloads = pack::decode(&scope(), bytes, &Stored).ok()?;
    // The form of a pack is its sender's choice; the body has one form.
    let mut again = packed(&payloads);
    again[0] = bytes[0];
    Some(again)
}

/// The body of a pack: its announced length always fits.
fn read_body(bytes: &[u8]) -> Option<Vec<u8>> {
    read_pack(&frame_body(bytes)).map(|p| body(&p).to_vec())
}

/// A stored pack around a body.
pub fn frame_body(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    leb(&mut out, body.len() as u64);
    out.extend_from_slice(body);
    out
}

pub fn leb(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// The body of a stored pack.
pub fn body(pack: &[u8]) -> &[u8] {
    let head = pack[1..].iter().take_while(|b| **b >= 0x80).count() + 2;
    &pack[head..]
}

pub fn decoders() -> Vec<Decoder> {
    let headers: Vec<_> = commits().iter().map(|c| c.head().signed().clone()).collect();
    vec![
        Decoder {
            name: "Frame",
            read: |b| Frame::decode(b).ok().map(|f| f.encode()),
            samples: frames().iter().map(|(_, f, _)| f.encode()).collect(),
            cbor: true,
        },
        Decoder {
            name: "Brief",
            read: read_brief,
            samples: vec![brief(true).bytes, brief(false).bytes, brief_named().bytes],
            cbor: true,
        },
        Decoder {
            name: "SignedHeader",
            read: |b| wire::decode::<SignedHeader>("signed header", b).ok().map(|s| wire::encode(&s)),
            samples: headers.iter().map(wire::encode).collect(),
            cbor: true,
        },
        Decoder {
            name: "Header",
            read: read_header,
            samples: headers.iter().map(|h| h.bytes.clone()).collect(),
            cbor: true,
        },
        Decoder {
            name: "Op",
            read: |b| Op::decode(b).ok().map(|op| op.encode()),
            samples: ops().iter().map(|(_, op, _)| op.encode()).collect(),
            cbor: true,
        },
        Decoder {
            name: "ticket body",
            read: |b| wire::decode::<Ticket>("ticket", b).ok().map(|t| wire::encode(&t)),
            samples: vec![wire::encode(&ticket())],
            cbor: true,
        },
        Decoder {
            name: "ticket line",
            read: |b| Ticket::decode(std::str::from_utf8(b).ok()?).ok().map(|t| t.encode().into_bytes()),
            samples: vec![ticket().encode().into_bytes()],
            cbor: false,
        },
        Decoder {
            name: "Register",
            read: read_register,
            samples: vec![wire::encode::<Register>(&register()), ack_register().bytes],
            cbor: true,
        },
        Decoder { name: "pack", read: read_pack, samples: vec![packed(&payloads())], cbor: false },
        Decoder { name: "pack body", read: read_body, samples: vec![body(&packed(&payloads())).to_vec()], cbor: false },
    ]
}

#[test]
fn what_is_written_is_read_and_written_again() {
    for d in decoders() {
        for s in &d.samples {
            assert_eq!((d.read)(s).as_ref(), Some(s), "{}", d.name);
        }
    }
}

#[test]
fn every_prefix_is_refused() {
    for d in decoders() {
        for s in &d.samples {
            for cut in 0..s.len() {
                assert_eq!((d.read)(&s[..cut]), None, "{} cut at {cut} of {}", d.name, s.len());
            }
        }
    }
}

#[test]
fn every_trailing_byte_is_refused() {
    for d in decoders() {
        for s in &d.samples {
            for byte in 0..=255u8 {
                if d.name == "ticket line" && (byte.is_ascii_whitespace() || byte == 0x0b) {
                    continue; // Where a chat program broke the line, white space stands for nothing.
                }
                let longer = [s.as_slice(), &[byte]].concat();
                assert_eq!((d.read)(&longer), None, "{} followed by {byte:#04x}", d.name);
            }
        }
    }
}

/// Every way to write one item of these bytes longer: a wider argument, an indefinite length.
fn longer_forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    walk(bytes, 0, &mut out);
    out
}

/// Walks the item at `at`, adding a longer form of each item inside; returns where it ends.
fn walk(bytes: &[u8], at: usize, out: &mut Vec<Vec<u8>>) -> usize {
    let (major, len, n) = head(&bytes[at..]);
    let splice = |from: usize, to: usize, new: &[u8]| [&bytes[..from], new, &bytes[to..]].concat();
    let widths: [(u8, usize); 4] = [(24, 1), (25, 2), (26, 4), (27, 8)];
    if major < 7 {
        for (info, width) in widths.into_iter().filter(|(_, w)| *w >= len) {
            let mut new = vec![major << 5 | info];
            new.extend_from_slice(&n.to_be_bytes()[8 - width..]);
            out.push(splice(at, at + len, &new));
        }
    }
    let start = at + len;
    match major {
        2 | 3 => {
            let end = start + n as usize;
            let whole = [&[major << 5 | 31], &bytes[at..end], &[0xff]].concat();
            out.push(splice(at, end, &whole));
            end
        }
        4 => {
            let mut end = start;
            for _ in 0..n {
                end = walk(bytes, end, out);
            }
            out.push(splice(at, end, &[&[0x9f], &bytes[start..end], &[0xff]].concat()));
            // One field more than this version knows, and a trailing absent one written out.
            if n < 23 {
                for extra in [0x00, 0xf6] {
                    let new = [&[0x80 | (n as u8 + 1)], &bytes[start..end], &[extra]].concat();
                    out.push(splice(at, end, &new));
                }
            }
            end
        }
        _ => start,
    }
}

#[test]
fn a_second_way_to_write_the_same_is_refused() {
    let mut tried = 0;
    for d in decoders().iter().filter(|d| d.cbor) {
        for s in &d.samples {
            for longer in longer_forms(s) {
                tried += 1;
                // A list may rightly hold one item more; whatever is taken must be written the same.
                let again = (d.read)(&longer);
                assert!(
                    again.is_none() || again.as_ref() == Some(&longer),
                    "{} takes {} for {}",
                    d.name,
                    data_encoding::HEXLOWER.encode(&longer),
                    data_encoding::HEXLOWER.encode(s)
                );
            }
        }
    }
    assert!(tried > 1_500, "only {tried} forms were tried");
}

#[test]
fn a_ticket_survives_a_chat_program_and_nothing_else() {
    let line = ticket().encode();
    let (a, b) = line.split_at(line.len() / 2);
    assert!(Ticket::decode(&format!("  {a}\r\n{b}\n")) == Ok(ticket()), "broken lines are put together");
    for at in 0..line.len() {
        let mut other = line.clone().into_bytes();
        other[at] = if other[at] == b'a' { b'b' } else { b'a' };
        assert!(Ticket::decode(std::str::from_utf8(&other).unwrap()).is_err(), "altered at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic_and_what_is_taken_is_canonical(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for d in decoders() {
            if d.name != "ticket line" && let Some(again) = (d.read)(&bytes) {
                prop_assert_eq!(&again, &bytes, "{}", d.name);
            }
        }
    }

    #[test]
    fn mutations_never_panic_and_what_is_taken_is_canonical(
        which in any::<prop::sample::Index>(),
        sample in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6),
    ) {
        let all = decoders();
        let d = which.get(&all);
        let mut bytes = sample.get(&d.samples).clone();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
            prop_assume!(!bytes.is_empty());
        }
        // A ticket line may differ in white space and case; it is covered by its check sum.
        if d.name == "ticket line" {
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let _ = Ticket::decode(text);
            }
        } else if let Some(again) = (d.read)(&bytes) {
            prop_assert_eq!(&again, &bytes, "{}", d.name);
        }
    }
}
