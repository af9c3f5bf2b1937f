//! One fixed value of every form, and the shape of its bytes.
//!
//! It does not: compare anything (`golden` and `hostile` do).
//!
//! Invariants: everything follows from the seeded keys and constants here; a value that a vector was
//! made from never changes.

use sampan_core::charter::{Cut, CutKind, CutLog, Erased, Grant, Holder, Op, Roles, Ticket};
use sampan_core::file::Manifest;
use sampan_core::frontier::{ShortDigest, ShortId};
use sampan_core::hash::{change_hash, tagged, whole_chunk};
use sampan_core::id::{
    ActorId, ChangeHash, CommitId, DeviceId, Digest, Flow, Glance, HeadName, Incarnation, LogId, Nonce, RecordId,
    SpaceId, StoreEpoch, UnitId,
};
use sampan_core::limits::FILE_CHUNK_BYTES;
use sampan_core::log::brief::Brief;
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{BirthOf, Commit, Entry, EntryKind, EntryPayload, Header, Payload, SignedHeader, device_id};
use sampan_core::pack::{self, PackScope, Stored};
use sampan_core::record::ids::record_id;
use sampan_core::record::{Document, EditContext, create};
use sampan_core::register::{Ack, Beacon, Heartbeat, Register, SignedRegister, Waiting, WaitingUnit, ack_root, names};
use sampan_core::rollup::{Closing, Corrected, Figure, Report, Said, SaidFigure, Scalar, SpaceAt, UnitAt};
use sampan_core::shelf::{FileKey, FileRun};
use sampan_core::testing::{test_key, test_org, test_time, test_unit, up_space};
use sampan_core::time::Millis;
use sampan_core::value::{Edit, Kind, Value};
use sampan_core::wire;
use sampan_core::wire::frame::{
    AckLeaf, AckProof, AckSet, Announce, ChildDigest, Deposit, FileAsk, FileSaid, FileWord, Frame, Greeted, Greeting,
    Group, Hello, LogFrontier, Mark, NamedRelay, OtherRelay, OwnAck, RefuseCode, RegistersCursor, RelayAddress,
    SameMark, ScopeDigests, ShortAck, ShortMark, ShortNode, ShortWay, SpaceFrontier, Tree, TreeNode, Welcome,
};
use std::collections::BTreeMap;

/// A value's name, its bytes, and the shape of them.
pub type Named<T> = (&'static str, T, &'static str);

pub const SIGNED: &str = "signed(bytes signature)";
const SPACE: &str = "space(unit flow reach)";

pub fn device(n: u64) -> DeviceId {
    device_id(&test_key(n))
}

pub fn scope() -> PackScope {
    PackScope { org: test_org(), space: up_space(2) }
}

fn chunk(body: &[u8]) -> Vec<u8> {
    whole_chunk(body, &change_hash(body))
}

fn entry(kind: EntryKind, record: Option<RecordId>, collection: &str, seconds: u64, payload: Vec<u8>) -> EntryPayload {
    let payload_hash = Entry::hash_payload(kind, &payload);
    let computed = match kind {
        EntryKind::Charter => RecordId::from_slice(&payload_hash[..16]).unwrap(),
        _ => record_id(&up_space(2), &ChangeHash(payload_hash)),
    };
    let birth = (kind == EntryKind::Birth).then(|| BirthOf { field: "bio".into(), kind: Kind::Text });
    let record = record.unwrap_or(computed);
    let time = test_time(seconds);
    EntryPayload { entry: Entry { kind, record, collection: collection.into(), payload_hash, time, birth }, payload }
}

/// [`payloads`] with one of its two records erased: the first commit keeps its secret, the second has holes.
pub fn holed_payloads() -> Vec<Payload> {
    let mut out = payloads();
    for p in &mut out {
        p.punch(|_, e| e.record == RecordId([0x51; 16]));
    }
    out
}

/// Two payloads that use every kind of entry and every form of reference.
pub fn payloads() -> Vec<Payload> {
    let born = entry(EntryKind::Change, None, "members", 10, chunk(b"the first change of a record"));
    let id = born.entry.record;
    let known = RecordId([0x51; 16]);
    vec![
        Payload {
            secret: [0xa1; 16].into(),
            entries: vec![
                born,
                entry(EntryKind::Change, Some(id), "members", 12, chunk(b"its second change")),
                entry(EntryKind::Birth, Some(id), "members", 11, chunk(b"the birth of its text")),
            ],
        },
        Payload {
            secret: [0xa2; 16].into(),
            entries: vec![
                entry(EntryKind::Identity, Some(known), "receipts", 11, chunk(b"a computed creation")),
                entry(EntryKind::Change, Some(known), "receipts", 500, chunk(b"an edit of it")),
                entry(EntryKind::Erase, Some(id), "members", 501, b"reserved".to_vec()),
                entry(EntryKind::Charter, None, "", 502, ops()[5].1.encode()),
            ],
        },
    ]
}

/// The commit that publishes the schema whose words form 7 has.
pub fn schema_payload() -> Payload {
    let text = String::from_utf8(pack::WORDS.to_vec()).unwrap();
    let op = Op::Schema { version: 2, text };
    Payload { secret: [0xa4; 16].into(), entries: vec![entry(EntryKind::Charter, None, "", 12, op.encode())] }
}

pub fn packed(payloads: &[Payload]) -> Vec<u8> {
    pack::encode(&scope(), &payloads.iter().collect::<Vec<_>>(), &Stored)
}

fn seal(sequence: u64, parents: Vec<CommitId>, payload: Payload) -> Commit {
    let header = Header {
        format: FORMAT,
        org: test_org(),
        space: up_space(2),
        device: device(1),
        incarnation: Incarnation([0x11; 16]),
        sequence,
        parents,
        nonce: Nonce([0x12; 16]),
        charter_heads: vec![CommitId([0x21; 32]), CommitId([0x22; 32])],
        time: test_time(600),
        entries: 0,
        root: [0; 32],
    };
    Commit::seal(&test_key(1), header, payload).unwrap()
}

/// Two commits on top of each other.
pub fn commits() -> Vec<Commit> {
    let [first, second]: [Payload; 2] = payloads().try_into().unwrap();
    let first = seal(1, vec![], first);
    let parents = vec![first.id()];
    vec![first, seal(2, parents, second)]
}

pub fn group() -> Group {
    Group { headers: commits().iter().map(|c| c.head().signed().clone()).collect(), pack: packed(&payloads()) }
}

pub fn signed_header() -> SignedHeader {
    commits()[1].head().signed().clone()
}

pub fn register() -> Register {
    Register {
        org: test_org(),
        unit: test_unit(2),
        name: names::HEARTBEAT.into(),
        device: device(1),
        counter: 300,
        time: test_time(700),
        payload: wire::encode(&heartbeat()),
    }
}

pub fn heartbeat() -> Heartbeat {
    Heartbeat {
        version: "0.1.0".into(),
        unsent_changes: 24,
        verified_at: test_time(650),
        last_error: String::new(),
        clock_offset: -1_500,
    }
}

pub fn waiting() -> Waiting {
    let row = |n: u8, commits| WaitingUnit { unit: test_unit(n), commits, oldest: test_time(650) };
    Waiting { units: vec![row(2, 1), row(3, 300)], more: 24 }
}

pub fn report() -> Report {
    let at = |reach, n: u8| SpaceAt { reach, digest: [n; 8] };
    Report { spaces: vec![at(0, 0x91), at(1, 0x92)] }
}

pub fn said() -> Said {
    let figure =
        |period: &str, n, total, best| SaidFigure::of(period, &["official".into()], &Figure { n, total, best });
    Said {
        figures: vec![
            figure("", 3, 0, None),
            figure("2026-11", 24, -1, Some(Scalar::Num(-5))),
            figure("2026-12", 300, i128::from(u64::MAX) + 1, Some(Scalar::Text("2026-12-01".into()))),
        ],
        commits: 25,
        units: vec![UnitAt { unit: test_unit(2), at: test_time(650) }],
        too_large: false,
        corrected: vec![corrected()],
    }
}

fn corrected() -> Corrected {
    Corrected {
        period: "2026-11".into(),
        by: Vec::new(),
        old: "2".into(),
        new: "1".into(),
        at: test_time(660),
        author: device(1),
        unit: test_unit(2),
        record: RecordId([0x71; 16]),
    }
}

pub fn closing() -> Closing {
    let Said { figures, .. } = said();
    Closing { figures, reported: 2_309, expected: 2_310, oldest: Some(test_time(640)) }
}

pub fn beacon() -> Beacon {
    Beacon { number: 5, day: 20_454, charter: Digest([0x81; 32]), commits: 300, above: None }
}

pub fn holder() -> Holder {
    Holder { salt: [0x44; 16], name: "Nguyễn Văn An".into() }
}

pub fn leaves() -> Vec<AckLeaf> {
    (1..=3).map(|n| AckLeaf { unit: test_unit(n), digest: Digest([0x80 + n; 32]) }).collect()
}

pub fn ack() -> Ack {
    Ack {
        epoch: StoreEpoch([0x31; 16]),
        level: 1,
        count: 3,
        root: ack_root(&leaves()),
        pending: 2,
        blocked: 0,
        quarantined: 1_000,
    }
}

pub fn ack_register() -> SignedRegister {
    let register = Register { name: names::ACK.into(), payload: wire::encode(&ack()), ..register() };
    SignedRegister::seal(&test_key(1), &register)
}

/// Every variant of a charter operation, with and without what is optional.
pub fn ops() -> Vec<Named<Op>> {
    let device_of = |n| device_id(&test_key(n));
    let grant = Grant {
        key: device_of(3),
        roles: Roles::EDITOR,
        subtree: false,
        from: test_time(20),
        until: None,
        ticket: false,
        use_by: None,
        holder: Grant::holder_hash(&[0x44; 16], "Nguyễn Văn An"),
        collections: None,
        replaces: None,
    };
    let ticket = Grant {
        ticket: true,
        subtree: true,
        until: Some(test_time(9_000)),
        use_by: Some(test_time(900)),
        ..grant.clone()
    };
    let narrow = Grant {
        until: Some(test_time(9_000)),
        collections: Some(["members".to_owned(), "receipts".to_owned()].into()),
        replaces: Some(device_of(5)),
        ..grant.clone()
    };
    let narrow_shape = "op(variant fields(grant(key roles subtree from until ticket use_by holder \
                        collections[collection] replaces)))";
    let grant_shape = "op(variant fields(grant(key roles subtree from until ticket use_by holder)))";
    vec![
        (
            "op_found",
            Op::Found { name: "Thành phố".into(), unit: test_unit(1), succession: None, kind: Some("city".into()) },
            "op(variant fields(name unit succession kind))",
        ),
        (
            "op_found_without_kind",
            Op::Found { name: "T".into(), unit: test_unit(1), succession: Some(device_of(9)), kind: None },
            "op(variant fields(name unit succession))",
        ),
        (
            "op_create_unit",
            Op::CreateUnit {
                unit: test_unit(2),
                name: "Phường Trúc Bạch".into(),
                code: Some("00004".into()),
                kind: None,
                since: test_time(30),
            },
            "op(variant fields(unit name code kind since))",
        ),
        ("op_grant", Op::Grant(grant), grant_shape),
        ("op_grant_of_a_ticket", Op::Grant(ticket), grant_shape),
        (
            "op_endpoint",
            Op::Endpoint { addresses: vec!["relay.example:7447".into(), "[2001:db8::1]:7447".into()] },
            "op(variant fields(addresses[address]))",
        ),
        ("op_endpoint_gone", Op::Endpoint { addresses: vec![] }, "op(variant fields(addresses[address]))"),
        ("op_enrol", Op::enrol(&test_key(3), [0x55; 32], &device_of(4)), "op(variant fields(device box_key proof))"),
        (
            "op_schema",
            Op::Schema { version: 2, text: "[schema]\nname = \"x\"\n".into() },
            "op(variant fields(version text))",
        ),
        ("op_revoke", Op::Revoke { key: device_of(3), reason: "lost".into() }, "op(variant fields(key reason))"),
        ("op_succeed", Op::Succeed { root: device_of(6), succession: None }, "op(variant fields(root))"),
        (
            "op_cut",
            Op::Cut(Cut {
                key: device_of(3),
                kind: CutKind::Narrow,
                reason: "moved".into(),
                logs: vec![CutLog {
                    space: SpaceId { unit: test_unit(2), flow: Flow::Up, reach: 1 },
                    incarnation: Incarnation([0x11; 16]),
                    tips: vec![CommitId([1; 32]), CommitId([2; 32])],
                }],
                remaining: Roles::READER,
            }),
            "op(variant fields(cut(key kind reason logs[log(space(unit flow reach) incarnation tips[tip])] remaining)))",
        ),
        (
            "op_release",
            Op::Release { commits: vec![CommitId([1; 32])], reason: "ours".into() },
            "op(variant fields(commits[commit] reason))",
        ),
        (
            "op_reject",
            Op::Reject { commits: vec![CommitId([1; 32])], reason: "forged".into() },
            "op(variant fields(commits[commit] reason))",
        ),
        ("op_grant_of_some_collections", Op::Grant(narrow), narrow_shape),
        (
            "op_erase_record",
            Op::Erase {
                what: Erased::Record {
                    space: SpaceId { unit: test_unit(2), flow: Flow::Up, reach: 0 },
                    record: RecordId([0x51; 16]),
                },
                reason: "on request".into(),
            },
            "op(variant fields(what(variant fields(space(unit flow reach) record)) reason))",
        ),
        (
            "op_erase_holder",
            Op::Erase { what: Erased::Holder { key: device_of(3) }, reason: "on request".into() },
            "op(variant fields(what(variant fields(key)) reason))",
        ),
    ]
}

fn hello() -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        org: test_org(),
        device: device(1),
        units: vec![test_unit(2)],
        tree_number: 0,
        schema_version: 1,
        clock: test_time(800),
        epoch: StoreEpoch([0x31; 16]),
        digests: digests(),
        frontier: Some(vec![frontier()]),
        chain: vec![group()],
        fallback: true,
        registers: None,
        acks: None,
    }
}

fn cursor() -> RegistersCursor {
    RegistersCursor { tag: 0xdead_beef, through: 300 }
}

fn digests() -> ScopeDigests {
    ScopeDigests { charter: Digest([0xc1; 32]), data: Digest([0xd1; 32]) }
}

fn frontier() -> SpaceFrontier {
    SpaceFrontier {
        space: SpaceId { unit: test_unit(2), flow: Flow::Up, reach: 1 },
        logs: vec![LogFrontier {
            device: device(1),
            incarnation: Incarnation([0x11; 16]),
            tips: vec![CommitId([1; 32]), CommitId([2; 32])],
        }],
    }
}

const GROUP: &str = "group(headers[signed(bytes signature)] pack)";
const CURSOR: &str = "registers(tag through)";
const FRONTIER: &str = "frontier(space(unit flow reach) logs[log(device incarnation tips[tip])])";
const DIGESTS: &str = "digests(charter data)";
const ACKSET: &str = "set(register(bytes signature) leaves[leaf(unit digest)] proof(index siblings[sibling]))";

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn short_node(tree: Option<Tree>, children: usize) -> ShortNode {
    ShortNode { unit: test_unit(2), tree, own: Glance([0x73; 8]), children: vec![0x74; 8 * children] }
}

fn short_ack() -> ShortAck {
    ShortAck {
        units: vec![7, 1],
        above: 1,
        counter: 1_767_226_404_000,
        time: -3,
        pending: 0,
        blocked: 1,
        quarantined: 2,
        signature: [0xa4; 64],
        other: Some(OtherRelay { device: device(5), epoch: StoreEpoch([0xa3; 16]) }),
        way: Some(ShortWay { count: 300, index: 7, siblings: vec![0x91; 64] }),
        named: None,
    }
}

/// Every frame.
pub fn frames() -> Vec<Named<Frame>> {
    let with_nothing =
        Hello { units: vec![], frontier: None, chain: vec![], fallback: false, schema_version: 0, ..hello() };
    let with_cursor = Hello { registers: Some(cursor()), chain: vec![], ..hello() };
    let with_acks = Hello { acks: Some(ShortDigest([0xa2; 16])), ..with_cursor.clone() };
    let hello_shape = leak(format!(
        "frame(variant fields(hello(version_min version_max org device units[unit] tree_number schema_version clock \
         epoch {DIGESTS} frontier[{FRONTIER}] chain[{GROUP}] fallback {CURSOR} acks)))"
    ));
    let log = LogId { space: up_space(2), device: device(1), incarnation: Incarnation([0x11; 16]) };
    let child = |n: u8| ChildDigest { unit: test_unit(n), digest: Digest([n; 32]) };
    let node = |tree, children| TreeNode { unit: test_unit(2), tree, own: Digest([0x71; 32]), children };
    let proof = AckProof { index: 1, siblings: vec![Digest([0x91; 32]), Digest([0x92; 32])] };
    let whole = AckSet { register: ack_register(), leaves: leaves(), proof: None };
    let cut = AckSet { register: ack_register(), leaves: vec![leaves()[1]], proof: Some(proof) };
    let mark = Mark { number: 2, frames: 70_000, digests: digests(), answer: true, clock: test_time(801) };
    let deposit =
        |cut| Deposit { reason: "máy bị mất".into(), cut, held: vec![frontier()], taken: 0, last: false };
    let answered = Deposit { taken: 300, last: true, ..deposit(None) };
    let deposit_shape = leak(format!("frame(variant fields(deposit(reason {GROUP} held[{FRONTIER}] taken last)))"));
    let (since, acks) = (ShortDigest([0xa1; 16]), ShortDigest([0xa2; 16]));
    let greeting =
        Greeting { since, same: true, acks, fallback: false, registers: Some(cursor()), version: None, charter: None };
    let anew = Greeting { version: Some(3), charter: Some(ShortDigest([0xa5; 16])), ..greeting };
    let own = OwnAck {
        unit: 0,
        above: 2,
        counter: 1_767_226_404_000,
        time: -3,
        pending: 0,
        blocked: 1,
        quarantined: 2,
        signature: [0xa4; 64],
    };
    let greeted =
        Greeted { epoch: StoreEpoch([0xa3; 16]), clock: test_time(803), same: true, registers: None, version: None };
    let greeted_back = Greeted { version: Some(3), ..greeted };
    let address = RelayAddress { device: device(5), addresses: vec!["10.0.0.1:7447".into(), "relay:7447".into()] };
    vec![
        ("frame_hello", Frame::Hello(Box::new(hello())), hello_shape),
        ("frame_hello_short", Frame::Hello(Box::new(with_nothing)), hello_shape),
        ("frame_hello_cursor", Frame::Hello(Box::new(with_cursor)), hello_shape),
        ("frame_hello_acks", Frame::Hello(Box::new(with_acks)), hello_shape),
        (
            "frame_refuse",
            Frame::Refuse(RefuseCode::TicketUsed, "this ticket was used already".into(), None),
            "frame(variant fields(code text))",
        ),
        (
            "frame_refuse_wait",
            Frame::Refuse(RefuseCode::Busy, "come back in 90 s".into(), Some(90)),
            "frame(variant fields(code text retry_after))",
        ),
        (
            "frame_redirect",
            Frame::Redirect(vec![address]),
            "frame(variant fields(relays[relay(device addresses[address])]))",
        ),
        (
            "frame_frontier",
            Frame::Frontier(vec![frontier()]),
            leak(format!("frame(variant fields(spaces[{FRONTIER}]))")),
        ),
        (
            "frame_nodes",
            Frame::Nodes(vec![node(Tree::Charter, vec![]), node(Tree::Up(2), vec![child(3), child(4)])]),
            "frame(variant fields(nodes[node(unit tree(variant fields(reach)) own children[child(unit digest)])]))",
        ),
        (
            "frame_announce",
            Frame::Announce(Announce { commits: 23, entries: 24, bytes: 65_536 }),
            "frame(variant fields(announce(commits entries bytes)))",
        ),
        (
            "frame_commits",
            Frame::Commits { after: 3, groups: vec![group()] },
            leak(format!("frame(variant fields(after groups[{GROUP}]))")),
        ),
        (
            "frame_commits_brief",
            Frame::Commits { after: 3, groups: vec![Group { headers: vec![brief(true)], ..group() }] },
            leak(format!("frame(variant fields(after groups[{GROUP}]))")),
        ),
        (
            "frame_commits_named_heads",
            Frame::Commits { after: 3, groups: vec![Group { headers: vec![brief_named()], pack: vec![] }] },
            leak(format!("frame(variant fields(after groups[{GROUP}]))")),
        ),
        (
            "frame_inventory",
            Frame::Inventory { log, commits: vec![ShortId([1; 16]), ShortId([2; 16])] },
            leak(format!("frame(variant fields(log({SPACE} device incarnation) commits[id]))")),
        ),
        (
            "frame_registers",
            Frame::Registers(vec![SignedRegister::seal(&test_key(1), &register())]),
            leak(format!("frame(variant fields(registers[{SIGNED}]))")),
        ),
        ("frame_acks", Frame::Acks(vec![whole, cut]), leak(format!("frame(variant fields(sets[{ACKSET}]))"))),
        (
            "frame_mark",
            Frame::Mark(mark),
            leak(format!("frame(variant fields(mark(number frames {DIGESTS} answer clock)))")),
        ),
        ("frame_deposit", Frame::Deposit(Box::new(deposit(Some(group())))), deposit_shape),
        ("frame_deposit_answered", Frame::Deposit(Box::new(answered)), deposit_shape),
        (
            "frame_plain",
            Frame::Plain { commits: vec![CommitId([0x21; 32]), CommitId([0x22; 32])], groups: vec![3, 300] },
            "frame(variant fields(commits[commit] groups[number]))",
        ),
        (
            "frame_greeting",
            Frame::Greeting(greeting),
            leak(format!("frame(variant fields(greeting(since same acks fallback {CURSOR})))")),
        ),
        (
            "frame_greeting_anew",
            Frame::Greeting(anew),
            leak(format!("frame(variant fields(greeting(since same acks fallback {CURSOR} version charter)))")),
        ),
        (
            "frame_greeted",
            Frame::Greeted(greeted),
            leak(format!("frame(variant fields(greeted(epoch clock same {CURSOR})))")),
        ),
        (
            "frame_greeted_back",
            Frame::Greeted(greeted_back),
            leak(format!("frame(variant fields(greeted(epoch clock same {CURSOR} version)))")),
        ),
        (
            "frame_welcome",
            Frame::Welcome(Welcome { clock: test_time(803), same: true, registers: Some(cursor()) }),
            leak(format!("frame(variant fields(welcome(clock same {CURSOR})))")),
        ),
        (
            "frame_same_mark",
            Frame::SameMark(SameMark { of: 1, number: 2, frames: 7, answer: false, clock: None }),
            "frame(variant fields(mark(of number frames answer clock)))",
        ),
        (
            "frame_short_nodes",
            Frame::ShortNodes(vec![short_node(Some(Tree::Up(2)), 2), short_node(None, 0)]),
            "frame(variant fields(nodes[node(unit tree(variant fields(reach)) own children)]))",
        ),
        (
            "frame_short_acks",
            Frame::ShortAcks(vec![ShortAck { other: None, way: None, ..short_ack() }, short_ack()]),
            "frame(variant fields(acks[ack(units[run] above counter time pending blocked quarantined signature \
             other(device epoch) way(count index siblings))]))",
        ),
        (
            "frame_short_acks_named",
            Frame::ShortAcks(vec![ShortAck {
                other: None,
                way: None,
                named: Some(NamedRelay { place: 1, epoch: StoreEpoch([0xa3; 16]) }),
                ..short_ack()
            }]),
            "frame(variant fields(acks[ack(units[run] above counter time pending blocked quarantined signature \
             other way named(place epoch))]))",
        ),
        ("frame_say_hello", Frame::SayHello, "frame(variant fields())"),
        ("frame_acks_lost", Frame::AcksLost, "frame(variant fields())"),
        (
            "frame_file_offer",
            Frame::FileOffer(vec![file_key(1), file_key(2)]),
            "frame(variant fields(files[file(address size)]))",
        ),
        (
            "frame_file_want",
            Frame::FileWant(vec![
                FileAsk { key: file_key(1), hashes: true, runs: vec![FileRun { first: 0, count: 3 }] },
                FileAsk {
                    key: file_key(2),
                    hashes: false,
                    runs: vec![FileRun { first: 7, count: 1 }, FileRun { first: 9, count: 183 }],
                },
            ]),
            "frame(variant fields(asks[ask(file(address size) hashes runs[run(first count)])]))",
        ),
        (
            "frame_file_hashes",
            Frame::FileHashes { key: file_key(1), hashes: file_manifest(1).to_bytes() },
            "frame(variant fields(file(address size) hashes))",
        ),
        (
            "frame_file_chunk",
            Frame::FileChunk { key: file_key(1), index: 2, bytes: vec![1; 3] },
            "frame(variant fields(file(address size) index bytes))",
        ),
        (
            "frame_file_answer",
            Frame::FileAnswer(
                [FileWord::Held, FileWord::Later, FileWord::Lacking, FileWord::Unknown]
                    .into_iter()
                    .map(|word| FileSaid { key: file_key(1), word })
                    .collect(),
            ),
            "frame(variant fields(said[said(file(address size) word)]))",
        ),
        (
            "frame_short_mark",
            Frame::ShortMark(ShortMark { number: 2, frames: 7, holds: since, answer: true, clock: None }),
            "frame(variant fields(mark(number frames holds answer clock)))",
        ),
        (
            "frame_short_mark_clock",
            Frame::ShortMark(ShortMark {
                number: 2,
                frames: 7,
                holds: since,
                answer: true,
                clock: Some(test_time(804)),
            }),
            "frame(variant fields(mark(number frames holds answer clock)))",
        ),
        (
            "frame_own_ack",
            Frame::OwnAck(own),
            "frame(variant fields(ack(unit above counter time pending blocked quarantined signature)))",
        ),
        ("frame_registers_cursor", Frame::RegistersCursor(cursor()), leak(format!("frame(variant fields({CURSOR}))"))),
    ]
}

/// The list of a file of three chunks, the last of three bytes, all of this value.
fn file_manifest(byte: u8) -> Manifest {
    Manifest::of(&vec![byte; 2 * FILE_CHUNK_BYTES + 3]).unwrap()
}

fn file_key(byte: u8) -> FileKey {
    let manifest = file_manifest(byte);
    FileKey { address: manifest.address(), size: manifest.size() }
}

pub const HEADER: &str = "header(format org space(unit flow reach) device incarnation sequence parents[parent] nonce \
                          charter_heads[head] time entries root)";

/// The second of the commits in brief, with its payload at hand or without it.
pub fn brief(payload: bool) -> SignedHeader {
    let [first, second]: [Commit; 2] = commits().try_into().unwrap();
    let payload = payload.then(|| second.payload());
    Brief::shorten(second.head(), first.head(), Some(3), payload, None).unwrap()
}

/// The same, where the charters have gone on since the first, to a reader of protocol 4.
pub fn brief_named() -> SignedHeader {
    let [first, second]: [Commit; 2] = commits().try_into().unwrap();
    let heads = [CommitId([0x21; 32]), CommitId([0x24; 32])];
    let header = Header { charter_heads: heads.to_vec(), ..second.header().clone() };
    let second = Commit::seal(&test_key(1), header, second.payload().clone()).unwrap();
    let find = |name: &HeadName| heads.into_iter().find(|id| HeadName::of(id) == *name);
    Brief::shorten(second.head(), first.head(), Some(3), Some(second.payload()), Some(&find)).unwrap()
}

/// A ticket whose grant is the real grant of its key.
pub fn ticket() -> Ticket {
    let key = test_key(4);
    let space = SpaceId::charter(test_unit(2));
    let grant = Grant {
        key: device_id(&key),
        roles: Roles::EDITOR,
        subtree: false,
        from: test_time(20),
        until: None,
        ticket: true,
        use_by: Some(test_time(900)),
        holder: Grant::holder_hash(&[0x44; 16], "Nguyễn Văn An"),
        collections: None,
        replaces: None,
    };
    let payload = Op::Grant(grant).encode();
    let payload_hash = Entry::hash_payload(EntryKind::Charter, &payload);
    let entry = Entry {
        kind: EntryKind::Charter,
        record: RecordId::from_slice(&payload_hash[..16]).unwrap(),
        collection: String::new(),
        payload_hash,
        time: test_time(20),
        birth: None,
    };
    let payload = Payload { secret: [0xa3; 16].into(), entries: vec![EntryPayload { entry, payload }] };
    let header = Header {
        format: FORMAT,
        org: test_org(),
        space,
        device: device_id(&test_key(0)),
        incarnation: Incarnation([0x13; 16]),
        sequence: 1,
        parents: vec![],
        nonce: Nonce([0x14; 16]),
        charter_heads: vec![],
        time: test_time(20),
        entries: 0,
        root: [0; 32],
    };
    let commit = Commit::seal(&test_key(0), header, payload).unwrap();
    let scope = PackScope { org: test_org(), space };
    Ticket {
        org: test_org(),
        org_name: "Thành phố".into(),
        unit: test_unit(2),
        unit_name: "Phường Trúc Bạch".into(),
        seed: key.to_bytes(),
        grant: Group {
            headers: vec![commit.head().signed().clone()],
            pack: pack::encode(&scope, &[commit.payload()], &Stored),
        },
        relays: vec![RelayAddress { device: device(5), addresses: vec!["10.0.0.1:7447".into()] }],
        use_by: Some(test_time(900)),
        depth: 3,
        relay: false,
    }
}

pub const TICKET: &str = "ticket(org org_name unit unit_name seed group(headers[signed(bytes signature)] pack) \
                          relays[relay(device addresses[address])] use_by depth relay)";

/// The first `n` leaves of the Merkle vectors: leaf `i` is 32 times the byte `i`.
pub fn merkle_leaves(n: u8) -> Vec<[u8; 32]> {
    (0..n).map(|i| [i; 32]).collect()
}

/// A secret that nothing else uses.
pub fn word(text: &str) -> [u8; 32] {
    tagged("test", &[text.as_bytes()])
}

/// A time that a label may have.
pub const LABEL: Millis = Millis(1_767_225_600_000);

/// The unit tree of the digest vectors: 1 is the root of 2 and 3.
pub fn root_unit() -> UnitId {
    test_unit(1)
}

/// Frames of a bundle: one that opens it, and one that is longer than nothing.
pub fn bundle_frames() -> Vec<Vec<u8>> {
    frames()
        .iter()
        .filter(|(name, _, _)| ["frame_hello_short", "frame_mark"].contains(name))
        .map(|(_, f, _)| f.encode())
        .collect()
}

/// A whole bundle of them, and its header.
pub fn bundle() -> (Vec<u8>, sampan_core::bundle::Header) {
    use sampan_core::bundle::{Address, BoxSecret, Reader, Sealer, format::LENGTH_AT};
    let receivers = [BoxSecret::from_bytes([2; 32]).public()];
    let unit = Some(sampan_core::testing::test_unit(2));
    let created = sampan_core::testing::test_time(7);
    let address = Address { org: sampan_core::testing::test_org(), created, down: true, unit, receivers: &receivers };
    let key = sampan_core::testing::test_key(1);
    let mut file = Vec::new();
    let mut sealer = Sealer::new(&key, &address, &mut sampan_core::testing::SeededRng::new(1), &mut file).unwrap();
    bundle_frames().iter().for_each(|f| sealer.push(f, &mut file).unwrap());
    let total = sealer.finish(&key, &mut file).unwrap();
    file[LENGTH_AT as usize..][..8].copy_from_slice(&total);
    let mut reader = Reader::new(sampan_core::testing::test_org(), &[]);
    reader.push(&file, &mut Vec::new()).unwrap();
    let header = reader.header().cloned().unwrap();
    (file, header)
}

/// Real records: creations with every kind of field, an edit beside its creation, and a payload that is no change.
pub fn column_payloads() -> Vec<Payload> {
    let (mut all, mut edits) = (Vec::new(), Vec::new());
    for n in 0..6u8 {
        let text = |t: &str| Value::Str(t.to_owned());
        let fields: BTreeMap<String, (Kind, Value)> = [
            ("born", (Kind::Date, text(["1954-02-28", "2000-02-29", "1999-12-31"][usize::from(n) % 3]))),
            ("card", (Kind::String, text(&format!("CB{:03}.{n:02}", 7 * u32::from(n))))),
            ("full_name", (Kind::String, text(["Trần Thị Bình", "Lê Văn An", "Trần Văn Bình"][usize::from(n) % 3]))),
            ("key", (Kind::String, text(&format!("b98a6e0{n}-17aa-42e4-a129-f078a53c890a")))),
            ("note", (Kind::Text, Value::Text(format!("ghi chú {n}")))),
            ("odd", (Kind::String, text(if n == 3 { "a\0b" } else { "" }))),
            ("paid", (Kind::Bool, Value::Bool(n % 2 == 0))),
            ("score", (Kind::Int, Value::Int(1_735_000_000_000 + i64::from(n)))),
            ("tags", (Kind::Set, Value::Set((0..n % 3).map(|t| format!("t{t}")).collect()))),
            ("visits", (Kind::Counter, Value::Counter(-i64::from(n)))),
            ("works", (Kind::List, Value::List((0..n % 4).map(|t| format!("việc {t}")).collect()))),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let made = create(&ActorId([0x13; 16]), test_time(10), [n; 6], &fields).unwrap();
        let created = entry(EntryKind::Change, None, "members", 10, made.bytes);
        edits.push(column_edit(&created, "paid", Value::Bool(n % 2 != 0), 20));
        all.push(created);
    }
    all.push(entry(EntryKind::Change, None, "members", 11, chunk(b"no change of Automerge's")));
    let second = Payload { secret: [0xb2; 16].into(), entries: edits };
    vec![Payload { secret: [0xb1; 16].into(), entries: all }, second]
}

/// Edits on top of [`column_payloads`], whose last commit is one step up.
pub fn column_edits() -> Payload {
    let below = column_payloads();
    let edit = |n: usize| column_edit(&below[0].entries[n], "card", Value::Str(format!("CB999.{n:02}")), 30);
    Payload { secret: [0xb3; 16].into(), entries: vec![edit(4), edit(1)] }
}

fn column_edit(created: &EntryPayload, field: &str, value: Value, seconds: u64) -> EntryPayload {
    let record = created.entry.record;
    let mut document = Document::load(record, [created.payload.as_slice()]).unwrap();
    let (creation, actor, time) = (created.entry.change(), ActorId([0x13; 16]), test_time(seconds));
    let kind = if field == "paid" { Kind::Bool } else { Kind::String };
    let edits = [(field.to_owned(), Edit::Set(value))];
    let made = document.edit(&EditContext { creation, actor, time }, &|_| Some(kind), &edits).unwrap();
    entry(EntryKind::Change, Some(record), "members", seconds, made[0].bytes.clone())
}

/// Commits up the chain: the first is one step up.
pub struct Above(pub Vec<Payload>);

impl pack::Earlier for Above {
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
