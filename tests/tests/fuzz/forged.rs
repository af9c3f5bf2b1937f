//! Commits that a rightful device signs and should not: forks of its own log, other people's spaces, changes
//! under false actors, sequences and references.
//!
//! It does not: sign for another device.

use super::bent;
use super::draw::Draw;
use sampan_core::change::{Action, ChangeBuilder, Scalar};
use sampan_core::hash::{change_hash, whole_chunk};
use sampan_core::id::{ActorId, ChangeHash, CommitId, Incarnation, Nonce, OrgId, RecordId, SpaceId};
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{BirthOf, Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use sampan_core::pack::{self, PackScope, Stored};
use sampan_core::record::ids::record_id;
use sampan_core::time::Millis;
use sampan_core::value::Kind;
use sampan_core::wire::frame::Group;

/// What a forger may build on.
pub struct Ground<'g> {
    pub key: &'g ed25519_dalek::SigningKey,
    pub org: OrgId,
    pub space: SpaceId,
    pub now: Millis,
    /// The nonce and incarnation in force at the device that is forged.
    pub nonce: Nonce,
    pub incarnation: Incarnation,
    /// Commits of the device's own log there, oldest first, with their sequences.
    pub own: &'g [(CommitId, u64)],
    pub records: &'g [(RecordId, Vec<ChangeHash>)],
}

/// A group of one commit; `None` where no writer could make it.
pub fn group(d: &mut Draw<'_>, on: &Ground<'_>) -> Option<Group> {
    let how = d.byte();
    let parents: Vec<(CommitId, u64)> = match how % 4 {
        0 => vec![],
        1 => on.own.last().copied().into_iter().collect(),
        // A fork: on top of one in the middle.
        2 if !on.own.is_empty() => vec![on.own[d.below(on.own.len())]],
        _ => on.own.iter().copied().filter(|_| d.byte().is_multiple_of(3)).collect(),
    };
    let nonce = if how & 4 == 0 { on.nonce } else { Nonce([d.byte() % 3; 16]) };
    let actor = ActorId::of(&device_id(on.key), &nonce);
    let entries = (0..1 + d.below(3)).map(|_| entry(d, on, actor)).collect();
    let mut ids: Vec<CommitId> = parents.iter().map(|p| p.0).collect();
    ids.sort_unstable();
    let right = 1 + parents.iter().map(|p| p.1).max().unwrap_or(0);
    let header = Header {
        format: FORMAT,
        org: on.org,
        space: on.space,
        device: device_id(on.key),
        incarnation: if how & 8 == 0 { on.incarnation } else { Incarnation([d.byte() % 3; 16]) },
        sequence: if how & 0x70 == 0 { d.number() } else { right },
        parents: ids,
        nonce,
        charter_heads: Vec::new(),
        time: on.now,
        entries: 0,
        root: [0; 32],
    };
    let commit = Commit::seal(on.key, header, Payload { secret: [d.byte(); 16].into(), entries }).ok()?;
    let scope = PackScope { org: on.org, space: on.space };
    let pack = pack::encode(&scope, &[commit.payload()], &Stored);
    Some(Group { headers: vec![commit.head().signed().clone()], pack })
}

const KINDS: [EntryKind; 6] =
    [EntryKind::Change, EntryKind::Change, EntryKind::Identity, EntryKind::Birth, EntryKind::Charter, EntryKind::Erase];

fn entry(d: &mut Draw<'_>, on: &Ground<'_>, actor: ActorId) -> EntryPayload {
    let kind = KINDS[d.below(KINDS.len())];
    let known = (!on.records.is_empty()).then(|| &on.records[d.below(on.records.len())]);
    let payload = match d.byte() % 5 {
        0 => {
            let history = &bent::histories()[d.below(6)];
            history[d.below(history.len())].clone()
        }
        1 => {
            let body = d.bytes();
            whole_chunk(body, &change_hash(body))
        }
        _ => change(d, known.filter(|_| kind == EntryKind::Change).map(|k| k.1.as_slice()), actor),
    };
    let payload_hash = Entry::hash_payload(kind, &payload);
    let record = match (d.byte() % 4, known) {
        (0..=2, Some(known)) => known.0,
        _ => record_id(&on.space, &ChangeHash(payload_hash)),
    };
    let collection = ["members", "meetings", "nothing"][d.below(3)].to_owned();
    let birth = (kind == EntryKind::Birth).then(|| BirthOf { field: "notes".into(), kind: Kind::Text });
    EntryPayload { entry: Entry { kind, record, collection, payload_hash, time: on.now, birth }, payload }
}

/// A change on top of a record's heads, right or not.
fn change(d: &mut Draw<'_>, heads: Option<&[ChangeHash]>, actor: ActorId) -> Vec<u8> {
    let actor = if d.byte() < 220 { actor } else { ActorId([d.byte(); 16]) };
    let deps = heads.unwrap_or_default().to_vec();
    let (seq, start) = (1 + d.below(8) as u64, 1 + d.below(40) as u64);
    let mut b = ChangeBuilder::new(deps, actor, seq, start, 1_790_000_000_000);
    for _ in 0..1 + d.below(3) {
        match d.byte() % 4 {
            0 => {
                let text = b.make("notes", Action::MakeText);
                b.insert(text, None, "x");
            }
            1 => drop(b.put("full_name", Scalar::Counter(1))),
            _ => drop(b.put("full_name", Scalar::Str("Giả"))),
        }
    }
    b.finish().map(|(bytes, _)| bytes).unwrap_or_default()
}
