//! Golden vectors: value to bytes and bytes to value, for everything that is signed, sent or stored.
//!
//! It does not: try other bytes than those of the files (`hostile` does).

use super::hex::{golden, same};
use super::samples::*;
use sampan_core::bundle::keys::hint;
use sampan_core::bundle::{BoxKey, BoxSecret, Reader};
use sampan_core::charter::{Charter, Holder, Op, Ticket};
use sampan_core::frontier::SpaceTips;
use sampan_core::frontier::tree::Holdings;
use sampan_core::hash::tagged;
use sampan_core::id::{ActorId, ChangeHash, CommitId, Digest, Flow, Incarnation, Nonce, OrgId, RecordId, SpaceId};
use sampan_core::log::{Commit, EntryKind, EntryPayload, Secret, SignedHeader, merkle, salt};
use sampan_core::pack::{self, Stored, StoredColumns};
use sampan_core::record::ids::{birth_actor, identity_actor, identity_id, record_id};
use sampan_core::record::{birth, identity_creation};
use sampan_core::register::{
    Ack, Beacon, Heartbeat, Register, Room, Settled, SettledDevice, SignedRegister, Waiting, ack_leaf, ack_root,
};
use sampan_core::rollup::{Closing, Report, Said};
use sampan_core::scope::{Item, Shared};
use sampan_core::testing::{Writer, test_org, test_time, test_unit, up_space};
use sampan_core::value::{Kind, Value};
use sampan_core::wire;
use sampan_core::wire::frame::{Frame, Tree};
use sampan_node::codec::ZstdCodec;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// A form that encodes and decodes with the plain wire codec.
fn plain<T>(name: &str, value: &T, shape: &str)
where
    T: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()> + PartialEq + Debug,
{
    let made = wire::encode(value);
    let file = golden(name, &made, shape);
    same(name, &made, &file);
    assert_eq!(wire::decode::<T>("vector", &file).as_ref(), Ok(value), "{name}");
}

fn hash(name: &str, made: &[u8], what: &str) {
    same(name, made, &golden(name, made, &format!("raw {what}")));
}

#[test]
fn frames() {
    for (name, frame, shape) in frames_by_variant() {
        let file = golden(name, &frame.encode(), shape);
        same(name, &frame.encode(), &file);
        assert_eq!(Frame::decode(&file), Ok(frame), "{name}");
    }
}

/// The samples, checked to name every variant: a new frame without a vector does not compile here.
fn frames_by_variant() -> Vec<Named<Frame>> {
    let frames = super::samples::frames();
    let number = |f: &Frame| match f {
        Frame::Hello(_) => 0,
        Frame::Refuse(..) => 1,
        Frame::Redirect(_) => 2,
        Frame::Frontier(_) => 3,
        Frame::Nodes(_) => 4,
        Frame::Announce(_) => 5,
        Frame::Commits { .. } => 6,
        Frame::Inventory { .. } => 7,
        Frame::Registers(_) => 8,
        Frame::Acks(_) => 9,
        Frame::Mark(_) => 10,
        Frame::Deposit(_) => 11,
        Frame::Plain { .. } => 12,
        Frame::Greeting(_) => 13,
        Frame::Greeted(_) => 14,
        Frame::SayHello => 15,
        Frame::ShortMark(_) => 16,
        Frame::OwnAck(_) => 17,
        Frame::ShortNodes(_) => 19,
        Frame::ShortAcks(_) => 20,
        Frame::Welcome(_) => 21,
        Frame::SameMark(_) => 22,
        Frame::AcksLost => 23,
        Frame::FileOffer(_) => 24,
        Frame::FileWant(_) => 25,
        Frame::FileHashes { .. } => 26,
        Frame::FileChunk { .. } => 27,
        Frame::FileAnswer(_) => 28,
        Frame::RegistersCursor(_) => 18,
    };
    let seen: BTreeSet<u8> = frames.iter().map(|(_, f, _)| number(f)).collect();
    assert_eq!(seen.len(), 29, "a frame has no vector");
    frames
}

#[test]
fn headers_and_their_ids() {
    let [first, second]: [Commit; 2] = commits().try_into().unwrap();
    plain("header", first.header(), HEADER);
    plain("header_with_parent", second.header(), HEADER);
    plain("signed_header", second.head().signed(), SIGNED);
    let head = second.head().signed().verify(&test_org()).unwrap();
    assert_eq!(head.header(), second.header());
    hash("commit_id", &second.id().0, "tagged hash `commit-id` of the header in header_with_parent");
    assert_eq!(second.header().parents, [first.id()]);
    let signed: SignedHeader = signed_header();
    assert_eq!(signed, *second.head().signed());
}

#[test]
fn packs() {
    let payloads = payloads();
    let made = packed(&payloads);
    let file = golden("pack", &made, "raw form 0 (stored); every kind of entry and every form of reference");
    same("pack", &made, &file);
    assert_eq!(pack::decode(&scope(), &file, &Stored), Ok(payloads));
}

#[test]
fn a_pack_with_holes() {
    let (whole, holed) = (payloads(), holed_payloads());
    let made = packed(&holed);
    let file =
        golden("pack_with_holes", &made, "raw form 3 (stored, with holes); pack.hex with its record 0x51 erased");
    same("pack_with_holes", &made, &file);
    assert_eq!(pack::decode(&scope(), &file, &Stored).as_ref(), Ok(&holed));
    for (whole, holed) in whole.iter().zip(&holed) {
        assert_eq!(whole.root(), holed.root(), "the chain stays what it was");
    }
    assert_eq!(holed[0], whole[0], "a commit without it keeps its secret");
    // Neither the secret nor what was there is left.
    let has = |needle: &[u8]| file.windows(needle.len()).any(|w| w == needle);
    assert!(has(b"its second change") && !has(b"a computed creation") && !has(b"an edit of it") && !has(&[0xa2; 16]));
    // A form that says more than it needs, and every prefix, is refused.
    for cut in 0..file.len() {
        assert!(pack::decode(&scope(), &file[..cut], &Stored).is_err(), "prefix {cut}");
    }
    let mut plain = file.clone();
    plain[0] = 0;
    assert!(pack::decode(&scope(), &plain, &Stored).is_err(), "holes in a form without them");
    let mut none = packed(&whole);
    none[0] = 3;
    assert!(pack::decode(&scope(), &none, &Stored).is_err(), "the form with holes and no hole");
}

#[test]
fn a_pack_with_the_words_of_a_schema() {
    hash("pack_words", &tagged("test", &[pack::WORDS]), "the dictionary of form 7, as tagged hash `test` of it");
    let payload = schema_payload();
    let whole = pack::encode(&scope(), &[&payload], &ZstdCodec);
    let made = pack::encode_worded(&whole, &ZstdCodec).unwrap();
    let what = "raw form 7 (with the words of a shipped schema); one commit that publishes that schema";
    // A writer may find a shorter one; what is read is for ever.
    let file = golden("pack_worded", &made, what);
    assert_eq!(file[0], 7);
    assert!(file.len() < 200 && made.len() < 200 && whole.len() > 8_000, "{} of {}", made.len(), whole.len());
    for pack in [&file, &made] {
        let read = pack::read_worded(&scope(), pack, &ZstdCodec).unwrap();
        assert!(read.iter().map(|(payload, _)| payload).eq([&payload]));
        // It is for frames alone, and nothing but itself.
        assert!(pack::is_for_frames(pack) && pack::decode(&scope(), pack, &ZstdCodec).is_err());
        for cut in 0..pack.len() {
            assert!(pack::read_worded(&scope(), &pack[..cut], &ZstdCodec).is_err(), "prefix {cut}");
        }
    }
    assert!(!pack::is_for_frames(&whole) && pack::read_worded(&scope(), &whole, &ZstdCodec).is_err());
    assert_eq!(pack::encode_worded(&made, &ZstdCodec), None);
}

#[test]
fn packs_in_columns() {
    let payloads = column_payloads();
    let all: Vec<_> = payloads.iter().collect();
    let made = pack::encode(&scope(), &all, &StoredColumns);
    let file = golden(
        "pack_in_columns",
        &made,
        "raw form 2 (columnar); records with every kind of field, and an edit of each",
    );
    assert_eq!(file[0], 2);
    assert_eq!(pack::decode(&scope(), &file, &Stored).as_ref(), Ok(&payloads));
    let chain = Above(payloads.iter().rev().cloned().collect());
    let edits = column_edits();
    let alone = pack::encode(&scope(), &[&edits], &StoredColumns);
    let made = pack::encode_after(&scope(), &[&edits], &StoredColumns, &alone, &chain, false).unwrap();
    let what = "raw form 5 (columnar, after earlier commits); two edits of records of pack_in_columns, two steps up";
    let after = golden("pack_after_others", &made, what);
    assert_eq!(after[0], 5);
    assert_eq!(pack::decode_after(&scope(), &after, &Stored, &chain), Ok(vec![edits.clone()]));
    let made = pack::encode_after(&scope(), &[&edits], &StoredColumns, &alone, &chain, true).unwrap();
    let what = "raw form 6 (dense, after earlier commits); the two edits of pack_after_others";
    let dense = golden("pack_dense_after_others", &made, what);
    assert_eq!(dense[0], 6);
    assert_eq!(pack::decode_after(&scope(), &dense, &Stored, &chain), Ok(vec![edits]));
    // A writer may find a shorter form; what is read is for ever, and no prefix is.
    for cut in 0..file.len() {
        assert!(pack::decode(&scope(), &file[..cut], &Stored).is_err(), "prefix {cut}");
    }
    for whole in [after, dense] {
        for cut in 0..whole.len() {
            assert!(pack::decode_after(&scope(), &whole[..cut], &Stored, &chain).is_err(), "prefix {cut}");
        }
    }
}

#[test]
fn charter_operations() {
    let ops = ops();
    let number = |op: &Op| match op {
        Op::Found { .. } => 0,
        Op::CreateUnit { .. } => 1,
        Op::Grant(_) => 2,
        Op::Enrol { .. } => 3,
        Op::Endpoint { .. } => 4,
        Op::Schema { .. } => 5,
        Op::Revoke { .. } => 6,
        Op::Cut(_) => 7,
        Op::Release { .. } => 8,
        Op::Reject { .. } => 9,
        Op::Erase { .. } => 10,
        Op::Succeed { .. } => 16,
    };
    assert_eq!(
        ops.iter().map(|(_, op, _)| number(op)).collect::<BTreeSet<_>>().len(),
        12,
        "an operation has no vector"
    );
    for (name, op, shape) in ops {
        let file = golden(name, &op.encode(), shape);
        same(name, &op.encode(), &file);
        assert_eq!(Op::decode(&file), Ok(op), "{name}");
    }
}

#[test]
fn tickets() {
    let ticket = ticket();
    let line = ticket.encode();
    plain("ticket_body", &ticket, TICKET);
    let file = golden("ticket_line", line.as_bytes(), "raw the line, in ASCII: prefix, base32 of body and check sum");
    same("ticket_line", line.as_bytes(), &file);
    assert!(Ticket::decode(std::str::from_utf8(&file).unwrap()) == Ok(ticket));
}

#[test]
fn registers() {
    let register = register();
    plain::<Register>("register", &register, "register(org unit name device counter time payload)");
    let signed = SignedRegister::seal(&sampan_core::testing::test_key(1), &register);
    plain("signed_register", &signed, SIGNED);
    assert_eq!(signed.verify(&test_org()), Ok(register));
    plain::<Ack>("ack", &ack(), "ack(epoch level count root pending blocked quarantined)");
    plain::<Heartbeat>(
        "heartbeat",
        &heartbeat(),
        "heartbeat(version unsent_changes verified_at last_error clock_offset)",
    );
    plain::<Room>("room", &Room { free: 1 << 30, low: false }, "room(free low)");
    let settled = Settled { devices: vec![SettledDevice::of(&device(1), test_time(600))] };
    plain::<Settled>("settled", &settled, "settled(devices[device(device said)])");
    plain::<Waiting>("waiting", &waiting(), "waiting(units[unit(unit commits oldest)] more)");
    plain::<Beacon>("beacon", &beacon(), "beacon(number day charter commits above)");
    plain::<Report>("report", &report(), "report(spaces[space(reach digest)])");
    let figure = "figures[figure(period by[] n high low best)]";
    let corrected = "corrected[line(period by[] old new at author unit record)]";
    let shape = format!("said({figure} commits units[unit(unit at)] too_large {corrected})");
    plain::<Said>("said", &said(), &shape);
    plain::<Closing>("closing", &closing(), &format!("closing({figure} reported expected oldest)"));
    plain::<Holder>("holder", &holder(), "holder(salt name)");
    hash("ack_leaf", &ack_leaf(&leaves()[0]), "tagged hash `ack-leaf` of the unit 16 x 01 and the digest 32 x 81");
    hash(
        "ack_root",
        &ack_root(&leaves()).0,
        "Merkle root of the leaves (16 x 01, 32 x 81), (.. 02, .. 82), (.. 03, .. 83)",
    );
}

#[test]
fn bundles() {
    let (file, header) = bundle();
    plain("bundle_header", &header, "bundle_header(org sender created down unit ephemeral slots[slot(hint wrapped)])");
    let held = golden("bundle", &file, "raw a whole file; its one receiver has the box secret 32 x 02");
    same("bundle", &file, &held);
    let secrets = [BoxSecret::from_bytes([2; 32])];
    let mut reader = Reader::new(test_org(), &secrets);
    let mut read = Vec::new();
    reader.push(&held, &mut read).unwrap();
    assert_eq!(read, bundle_frames());
    assert!(reader.finish().is_ok_and(|c| c.for_us && c.header == header));
    let (ephemeral, receiver) = (BoxKey(header.ephemeral), secrets[0].public());
    hash("bundle_hint", &hint(&ephemeral, &receiver), "the hint of the slot in bundle_header.hex");
    let key = BoxKey::of_signer(&device(1)).unwrap();
    hash("bundle_key_of_signer", &key.0, "X25519 form of the device in header.hex");
}

#[test]
fn merkle_roots() {
    for n in [0, 1, 2, 3, 5] {
        let name = format!("merkle_{n}");
        hash(&name, &merkle::root(&merkle_leaves(n)), &format!("root of {n} leaves; leaf i is 32 times the byte i"));
    }
}

#[test]
fn entries_and_ids() {
    let payloads = payloads();
    let Secret::Whole(secret) = payloads[0].secret else { panic!("the sample has its secret") };
    let entry = &payloads[0].entries[2].entry;
    hash("salt", &salt(&secret, 2), "salt of entry 2 under the secret 16 x a1");
    hash(
        "entry_inner",
        &entry.inner(&salt(&secret, 2)),
        "tagged hash `entry` of that salt and the hidden part of entry 2 of pack.hex",
    );
    hash("entry_leaf", &entry.leaf(2, &salt(&secret, 2)), "the leaf of that entry at index 2");
    hash(
        "actor",
        &ActorId::of(&device(1), &Nonce([0x12; 16])).0,
        "actor of the device in header.hex under the nonce 16 x 12",
    );
    let record = record_id(&up_space(2), &ChangeHash([9; 32]));
    hash("record_id", &record.0, "record born in (unit 16 x 02, flow up, reach 0) by the change 32 x 09");
    let keys = [("unit".to_owned(), "8".to_owned()), ("directive".to_owned(), "77".to_owned())];
    let id = identity_id(&OrgId([1; 32]), &test_unit(2), "receipts", &keys);
    hash("identity_id", &id.0, "organisation 32 x 01, unit 16 x 02, collection receipts, directive=77, unit=8");
    hash("identity_actor", &identity_actor(&id).0, "actor of the creation of that record");
    hash("birth_actor", &birth_actor(&id, "bio", Kind::Text).0, "actor of the birth of its text `bio`");
}

#[test]
fn identity_creation_and_births() {
    let keys: BTreeMap<String, Value> = BTreeMap::from([
        ("directive".into(), Value::Str("77".into())),
        ("round".into(), Value::Int(-3)),
        ("urgent".into(), Value::Bool(true)),
    ]);
    let id = RecordId([0x61; 16]);
    let created = identity_creation(&id, &keys).unwrap();
    hash(
        "identity_creation",
        &created.bytes,
        "Automerge change: creation of record 16 x 61 with directive=\"77\", round=-3, urgent=true",
    );
    for (name, kind) in [
        ("birth_text", Kind::Text),
        ("birth_list", Kind::List),
        ("birth_set", Kind::Set),
        ("birth_counter", Kind::Counter),
    ] {
        let born = birth(&id, &created.hash, 3, "bio", kind).unwrap();
        hash(
            name,
            &born.bytes,
            "Automerge change: birth of `bio` in record 16 x 61 after identity_creation, operation 4",
        );
    }
}

#[test]
fn digests() {
    let mut tips = SpaceTips::default();
    tips.insert(device(1), Incarnation([0x11; 16]), CommitId([2; 32]));
    tips.insert(device(1), Incarnation([0x11; 16]), CommitId([1; 32]));
    tips.insert(device(2), Incarnation([0x12; 16]), CommitId([3; 32]));
    let space = |unit, reach| SpaceId { unit: test_unit(unit), flow: Flow::Up, reach };
    let digest = tips.digest(&space(2, 0));
    hash(
        "space_digest",
        &digest.0,
        "space (16 x 02, up, 0); devices of test keys 1 (incarnation 16 x 11, tips 32 x 01, 32 x 02) and 2 (16 x 12, 32 x 03)",
    );
    assert_eq!(SpaceTips::default().digest(&space(2, 0)), Digest::default(), "an empty space has the zero digest");
    let spaces = [space(1, 0), space(2, 0), space(2, 1), space(3, 0)].map(|s| (s, tips.clone()));
    let holdings = Holdings::new(spaces.into_iter().filter(|(s, _)| *s != space(1, 0)).collect());
    let charter = tree();
    assert_eq!(charter.void(), [], "the tree of the digest vectors");
    hash(
        "subtree_digest",
        &holdings.subtree_digest(&charter, &root_unit(), Tree::Up(0)).0,
        "tree up(0) of unit 16 x 01, whose own space is empty, over 16 x 02 and 16 x 03, each with the tips of space_digest",
    );
    hash(
        "subtree_leaf_digest",
        &holdings.subtree_digest(&charter, &test_unit(2), Tree::Up(0)).0,
        "the same of unit 16 x 02 alone",
    );
    hash(
        "own_up_digest",
        &holdings.own_up_digest(&test_unit(2), 1).0,
        "unit 16 x 02 at level 1: its spaces of reach 0 and 1, each with the tips of space_digest",
    );
    let items = [Item::Space(space(2, 1)), Item::Subtree(root_unit(), Tree::Up(0)), Item::Space(space(9, 0))];
    let shared = Shared { charter: BTreeSet::new(), data: items.into() };
    hash(
        "scope_digest",
        &shared.digests(&charter, &holdings).data.0,
        "the space (16 x 02, up, 1), the subtree up(0) of 16 x 01, and the empty space (16 x 09, up, 0), which adds nothing",
    );
    hash("scope_digest_empty", &shared.digests(&charter, &holdings).charter.0, "a scope in which nothing is held");
}

/// Units 2 and 3 below 1.
fn tree() -> Charter {
    let mut root = Writer::new(0);
    let space = SpaceId::charter(root_unit());
    let found = Op::Found { name: "T".into(), unit: root_unit(), succession: None, kind: None };
    let create =
        |n| Op::CreateUnit { unit: test_unit(n), name: "U".into(), code: None, kind: None, since: test_time(1) };
    let entries = [found, create(2), create(3)].map(|op| charter_entry(&op));
    let commit = root.commit(space, &[], entries.into());
    Charter::fold(test_org(), [&commit])
}

fn charter_entry(op: &Op) -> EntryPayload {
    let space = SpaceId::charter(root_unit());
    sampan_core::testing::fake_entry(&space, EntryKind::Charter, None, LABEL, &op.encode())
}

#[test]
fn every_file_is_used_and_says_what_it_is() {
    for file in std::fs::read_dir(super::hex::folder()).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|e| e == "txt") {
            // A file of a user's, whole: its own first line says what it is.
            assert!(text.starts_with("sampan "), "{} does not say what it is", path.display());
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let used = include_str!("../../../core/src/bundle/recovery.rs").contains(&name);
            assert!(used, "{} belongs to no test", path.display());
            continue;
        }
        assert!(text.starts_with("# "), "{} does not say what it is", path.display());
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let used = include_str!("golden.rs").contains(&format!("\"{name}\""))
            || include_str!("samples.rs").contains(&format!("\"{name}\""))
            || name.starts_with("merkle_");
        assert!(used, "{} belongs to no test", path.display());
    }
}

#[test]
fn a_tagged_hash_is_blake3_of_tag_and_parts() {
    let by_hand = blake3_of(b"sampan/test/1\0abc");
    assert_eq!(tagged("test", &[b"a", b"bc"]), by_hand);
    assert_eq!(word("abc"), by_hand);
}

fn blake3_of(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}
