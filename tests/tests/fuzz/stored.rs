//! Everything that is stored, signed or kept in a form of its own: every decoder on the same bytes.
//!
//! It does not: read packs (`packs`) or changes (`changes`).

use super::frames::{CONSTANT, TIMES};
use super::memory::peak;
use sampan_core::charter::{Grant, Holder, Op, Ticket};
use sampan_core::id::{DeviceId, OrgId, RecordId, SpaceId, UnitId};
use sampan_core::log::{BirthOf, EntryKind, Header, SignedHeader};
use sampan_core::register::{Ack, Beacon, Heartbeat, Register, Room, SignedRegister};
use sampan_core::store::Status;
use sampan_core::store::meta_names;
use sampan_core::testing::test_org;
use sampan_core::wire;
use sampan_core::wire::frame::{AckLeaf, AckProof, AckSet, Group, RelayAddress};

/// Decodes and encodes again.
type Read = fn(&[u8]) -> Option<Vec<u8>>;

fn cbor<T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>>(bytes: &[u8]) -> Option<Vec<u8>> {
    wire::decode::<T>("thing", bytes).ok().map(|t| wire::encode(&t))
}

fn header(bytes: &[u8]) -> Option<Vec<u8>> {
    let signed = SignedHeader { bytes: bytes.to_vec(), signature: [0; 64] };
    let read = signed.trust().ok()?;
    // What nobody signed is verified by nobody.
    assert!(signed.verify(&test_org()).is_err());
    assert_eq!(read.header().log().space, read.header().space);
    Some(wire::encode(read.header()))
}

fn register(bytes: &[u8]) -> Option<Vec<u8>> {
    let signed = SignedRegister { bytes: bytes.to_vec(), signature: [0; 64] };
    let read = signed.trust().ok()?;
    assert!(signed.verify(&test_org()).is_err());
    Some(wire::encode(&read))
}

const DECODERS: [(&str, Read); 21] = [
    ("SignedHeader", cbor::<SignedHeader>),
    ("Header", header),
    ("Header, bare", cbor::<Header>),
    ("SignedRegister", cbor::<SignedRegister>),
    ("Register", register),
    ("Register, bare", cbor::<Register>),
    ("Ack", cbor::<Ack>),
    ("AckLeaf", cbor::<AckLeaf>),
    ("AckProof", cbor::<AckProof>),
    ("AckSet", cbor::<AckSet>),
    ("Heartbeat", cbor::<Heartbeat>),
    ("Room", cbor::<Room>),
    ("Beacon", cbor::<Beacon>),
    ("Holder", cbor::<Holder>),
    ("Op", |b| Op::decode(b).ok().map(|op| op.encode())),
    ("Grant", cbor::<Grant>),
    ("Group", cbor::<Group>),
    ("Ticket", cbor::<Ticket>),
    ("RelayAddress", cbor::<RelayAddress>),
    ("BirthOf", cbor::<BirthOf>),
    ("SpaceId", |b| SpaceId::from_key(b).map(|s| s.key().to_vec())),
];

pub fn check(bytes: &[u8]) {
    for (name, read) in DECODERS {
        let mut again = None;
        let cost = peak(|| again = read(bytes));
        assert!(cost <= TIMES * bytes.len() + CONSTANT, "{name}: {cost} bytes held for {}", bytes.len());
        if let Some(again) = again {
            assert_eq!(again, bytes, "{name}");
        }
    }
    if let Some(&n) = bytes.first() {
        assert!(EntryKind::from_u8(n).is_none_or(|k| k as u8 == n));
        assert!(Status::from_number(n).is_none_or(|s| s.number() == n));
    }
    let _ = meta_names::count(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        ids(text);
    }
}

/// Ids are typed and pasted by people: what is read is the id, and prints in one way.
fn ids(text: &str) {
    fn one<T: std::str::FromStr + ToString + PartialEq + std::fmt::Debug>(text: &str) {
        if let Ok(id) = text.parse::<T>() {
            assert_eq!(id.to_string().parse::<T>().ok(), Some(id), "{text}");
        }
    }
    one::<OrgId>(text);
    one::<UnitId>(text);
    one::<DeviceId>(text);
    one::<RecordId>(text);
}
