//! Charters of operations that anyone may have signed: one meaning in any order, and no right without a chain.
//!
//! It does not: go through a session or a store (`session`).
//!
//! Invariants tried: folding never panics, in any order gives the same charter, also where one commit is added in place,
//! and all its questions have an end; nobody holds a right that the root key did not begin.

use super::draw::Draw;
use sampan_core::charter::{Charter, Grant, Op, Roles};
use sampan_core::id::{CommitId, DeviceId, Flow, Incarnation, Nonce, SpaceId, UnitId};
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use sampan_core::testing::{test_key, test_org, test_time, test_unit};
use std::collections::BTreeMap;
use std::sync::OnceLock;

const KEYS: usize = 5;
const UNITS: u8 = 5;

/// The keys: 0 is the organisation's.
fn key(n: usize) -> &'static (ed25519_dalek::SigningKey, DeviceId) {
    static MADE: OnceLock<Vec<(ed25519_dalek::SigningKey, DeviceId)>> = OnceLock::new();
    let made = MADE.get_or_init(|| (0..KEYS as u64).map(test_key).map(|k| (k.clone(), device_id(&k))).collect());
    &made[n % KEYS]
}

fn unit(d: &mut Draw<'_>) -> UnitId {
    test_unit(1 + d.byte() % UNITS)
}

pub fn check(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let mut commits: Vec<Commit> = Vec::new();
    let mut tips: BTreeMap<(DeviceId, UnitId), (CommitId, u64)> = BTreeMap::new();
    while !d.is_empty() && commits.len() < 14 {
        let commit = commit(&mut d, &commits, &mut tips);
        commits.extend(commit);
    }
    let folded = Charter::fold(test_org(), &commits);
    assert_eq!(Charter::fold(test_org(), commits.iter().rev().chain(&commits)), folded);
    questions(&folded);
    // Each as the one that comes last: added in place it means the same, or it is left to a fold of all.
    for (at, last) in commits.iter().enumerate() {
        let others = commits.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, c)| c);
        let before = Charter::fold(test_org(), others);
        let mut extended = before.clone();
        let wanted = if extended.extend(last) { &folded } else { &before };
        assert_eq!(&extended, wanted);
    }
    let begun = commits.iter().filter(|c| c.header().device == key(0).1).any(|c| {
        let ops = c.payload().entries.iter().filter_map(|e| Op::decode(&e.payload).ok());
        ops.into_iter().any(|op| matches!(op, Op::Grant(_)))
    });
    let held = folded.all_rights().next().is_some() || folded.tickets().next().is_some();
    assert!(begun || !held, "rights that the root key did not begin: {folded:?}");
    // What waits for a cause gives nothing: without the first commit the rest may only mean less.
    if let Some((_, rest)) = commits.split_first() {
        questions(&Charter::fold(test_org(), rest));
    }
}

fn questions(charter: &Charter) {
    for u in charter.units() {
        assert!(charter.chain(&u.id).count() <= usize::from(u.depth) + 1);
        assert!(!charter.path(&u.id).is_empty() || u.name.is_empty());
        assert!(!charter.is_below(&u.id, &u.id));
        let _ = (charter.heads(&u.id), charter.endpoints(&u.id), charter.has_relay(&u.id), charter.level(&u.id, &[]));
        for n in 0..KEYS {
            let device = key(n).1;
            let roles = charter.roles(&device, &u.id);
            for flow in [Flow::Up, Flow::Down, Flow::Charter] {
                let counts = charter.counts(&device, &SpaceId { unit: u.id, flow, reach: 0 });
                assert!(
                    flow == Flow::Charter || !counts || !roles.is_none() || n == 0,
                    "{device} counts without a right"
                );
            }
        }
    }
    for n in 0..KEYS {
        let device = key(n).1;
        let _ = (charter.units_of(&device), charter.revoked(&device), charter.ticket(&device));
        assert!(charter.rights(&device).count() <= 64);
    }
}

fn commit(
    d: &mut Draw<'_>,
    before: &[Commit],
    tips: &mut BTreeMap<(DeviceId, UnitId), (CommitId, u64)>,
) -> Option<Commit> {
    let (signing, device) = key(d.below(KEYS));
    let space = SpaceId::charter(unit(d));
    let how = d.byte();
    let entries = (0..1 + d.below(3)).map(|n| entry(op(d), n as u64)).collect();
    let tip = tips.get(&(*device, space.unit)).copied().filter(|_| !how.is_multiple_of(16));
    let mut heads: Vec<CommitId> = before
        .iter()
        .filter(|_| d.byte().is_multiple_of(3))
        .map(Commit::id)
        .filter(|id| Some(*id) != tip.map(|t| t.0))
        .collect();
    if how % 16 == 1 {
        heads.push(CommitId([how; 32]));
    }
    heads.sort_unstable();
    heads.dedup();
    let header = Header {
        format: FORMAT,
        org: test_org(),
        space,
        device: *device,
        incarnation: Incarnation([how & 1; 16]),
        sequence: tip.map_or(1, |t| t.1 + 1),
        parents: tip.iter().map(|t| t.0).collect(),
        nonce: Nonce([1; 16]),
        charter_heads: heads,
        time: test_time(u64::from(d.byte())),
        entries: 0,
        root: [0; 32],
    };
    let sequence = header.sequence;
    let commit = Commit::seal(signing, header, Payload { secret: [2; 16].into(), entries }).ok()?;
    tips.insert((*device, space.unit), (commit.id(), sequence));
    Some(commit)
}

fn entry(payload: Vec<u8>, n: u64) -> EntryPayload {
    let payload_hash = Entry::hash_payload(EntryKind::Charter, &payload);
    let record = sampan_core::id::RecordId::from_slice(&payload_hash[..16]).expect("16 bytes");
    let kind = EntryKind::Charter;
    let entry = Entry { kind, record, collection: String::new(), payload_hash, time: test_time(n), birth: None };
    EntryPayload { entry, payload }
}

fn op(d: &mut Draw<'_>) -> Vec<u8> {
    let until = |d: &mut Draw<'_>| (d.byte().is_multiple_of(2)).then(|| test_time(u64::from(d.byte())));
    match d.byte() % 9 {
        0 => {
            let unit = unit(d);
            Op::Found { name: "T".into(), unit, succession: None, kind: None }.encode()
        }
        1 | 2 => {
            let unit = unit(d);
            Op::CreateUnit { unit, name: d.text(), code: None, kind: None, since: test_time(1) }.encode()
        }
        3 | 4 => Op::Grant(Grant {
            key: key(d.below(KEYS)).1,
            roles: [Roles::ADMIN, Roles::RELAY, Roles::EDITOR, Roles::NONE][d.below(4)],
            subtree: d.byte().is_multiple_of(2),
            from: test_time(1),
            until: until(d),
            ticket: d.byte().is_multiple_of(3),
            use_by: until(d),
            holder: [3; 32],
            collections: None,
            replaces: None,
        })
        .encode(),
        5 => Op::enrol(&key(d.below(KEYS)).0, [4; 32], &key(d.below(KEYS)).1).encode(),
        6 => Op::Endpoint { addresses: vec!["a:1".into(); d.below(3)] }.encode(),
        7 => Op::Revoke { key: key(d.below(KEYS)).1, reason: "lost".into() }.encode(),
        _ => d.bytes().to_vec(),
    }
}
