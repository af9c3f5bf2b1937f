//! Founding a city of many branches, each with a device that was granted its right.
//!
//! It does not: invite (a grant names the device's key at once, as in an office where the PCs are set up).
//!
//! Invariants: what is written is what the program itself would write; only that all grants go into one transaction.

use super::branch::Seed;
use crate::city;
use sampan_core::charter::{Op, Roles};
use sampan_core::entropy::random;
use sampan_core::id::{Flow, RecordId, SpaceId, UnitId};
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use sampan_core::pack::{self, PackScope};
use sampan_core::store::{Batch, CommitKey, NewCommit, NewEntry, NewGroup, Status, Store, StoreError};
use sampan_core::testing::{SeededRng, test_key, village::plain_grant};
use sampan_core::wire::frame::Group;
use sampan_node::codec::ZstdCodec;
use sampan_node::replica::Replica;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Grants that are written in one transaction.
const GRANTS_AT_ONCE: usize = 1_000;

/// What was founded.
pub struct Found {
    /// The branches that are to come.
    pub branches: Vec<Seed>,
    /// The organisation.
    pub org: sampan_core::id::OrgId,
    /// The relay's device.
    pub relay: sampan_core::id::DeviceId,
}

/// Founds a city in `path`: so many branches, spread over so many districts that have no relay of their own.
///
/// # Errors
/// [`StoreError`].
pub fn found(path: &Path, branches: usize, districts: usize) -> Result<Found, StoreError> {
    let mut replica = city::found(path, "Thành phố");
    let root = replica.engine.charter().root().unwrap_or_default();
    let mut rng = SeededRng::new(17);
    let mut draw = |n: usize| (0..n).map(|_| UnitId(random(&mut rng))).collect::<Vec<_>>();
    let parents = draw(districts);
    let units = draw(branches);
    create(&mut replica, root, &parents, "Quận", "district")?;
    for (at, parent) in parents.iter().enumerate() {
        let own: Vec<UnitId> = units.iter().skip(at).step_by(districts).copied().collect();
        create(&mut replica, *parent, &own, "Chi bộ", "branch")?;
    }
    let keys: Vec<_> = (0..branches).map(|n| test_key(1_000_000 + n as u64)).collect();
    for (units, keys) in units.chunks(GRANTS_AT_ONCE).zip(keys.chunks(GRANTS_AT_ONCE)) {
        grant(&mut replica, units, keys)?;
    }
    let Replica { store, engine, .. } = &mut replica;
    engine.reload(store)?;
    let charters = charters(store)?;
    let shared: BTreeMap<UnitId, Arc<Vec<Group>>> = parents
        .iter()
        .map(|p| {
            let groups = [root, *p].iter().filter_map(|u| charters.get(u)).flatten().cloned().collect();
            (*p, Arc::new(groups))
        })
        .collect();
    let seeds = units.iter().zip(keys).enumerate().map(|(n, (unit, key))| Seed {
        key,
        unit: *unit,
        above: shared[&parents[n % districts]].clone(),
        own: charters.get(unit).cloned().unwrap_or_default(),
    });
    Ok(Found { branches: seeds.collect(), org: replica.engine.org(), relay: replica.device() })
}

fn create(replica: &mut Replica, parent: UnitId, units: &[UnitId], name: &str, kind: &str) -> Result<(), StoreError> {
    let now = replica.now();
    let op = |(n, unit): (usize, &UnitId)| Op::CreateUnit {
        unit: *unit,
        name: format!("{name} {n}"),
        code: None,
        kind: Some(kind.to_owned()),
        since: now,
    };
    let ops: Vec<Op> = units.iter().enumerate().map(op).collect();
    let Replica { store, engine, rng, .. } = replica;
    store.group(|s| engine.write_charter(s, rng, parent, &ops, now)).map(|_| ())
}

/// Lets each key write in its unit: one commit a charter, all of them in one transaction.
fn grant(replica: &mut Replica, units: &[UnitId], keys: &[ed25519_dalek::SigningKey]) -> Result<(), StoreError> {
    let now = replica.now();
    let mut batch = Batch::at(now);
    for (unit, key) in units.iter().zip(keys) {
        let op = Op::Grant(plain_grant(device_id(key), Roles::EDITOR, now)).encode();
        let payload_hash = Entry::hash_payload(EntryKind::Charter, &op);
        let record = RecordId::from_slice(&payload_hash[..16]).unwrap_or_default();
        let kind = EntryKind::Charter;
        let entry = Entry { kind, record, collection: String::new(), payload_hash, time: now, birth: None };
        let secret: [u8; 16] = replica.random();
        let payload = Payload { secret: secret.into(), entries: vec![EntryPayload { entry, payload: op }] };
        let engine = &replica.engine;
        let space = SpaceId::charter(*unit);
        let header = Header {
            format: FORMAT,
            org: engine.org(),
            space,
            device: engine.device(),
            incarnation: engine.incarnation(),
            sequence: 1,
            parents: Vec::new(),
            nonce: engine.nonce(),
            charter_heads: engine.charter().heads(unit),
            time: now,
            entries: 0,
            root: [0; 32],
        };
        let broke = |e: sampan_core::log::CommitError| StoreError::Io(e.to_string());
        let commit = Commit::seal(engine.key(), header, payload).map_err(broke)?;
        let scope = PackScope { org: engine.org(), space };
        let entries = vec![NewEntry { record, kind, status: Status::Accepted }];
        let pack = pack::encode(&scope, &[commit.payload()], &ZstdCodec);
        batch.groups.push(NewGroup { commits: vec![NewCommit { head: commit.head().clone(), entries }], pack });
    }
    replica.store.group(|s| s.write(&batch))
}

/// The commits of every charter, ready to send.
fn charters(store: &dyn Store) -> Result<BTreeMap<UnitId, Vec<Group>>, StoreError> {
    let mut keys: BTreeMap<UnitId, Vec<CommitKey>> = BTreeMap::new();
    let mut at = CommitKey(0);
    loop {
        let rows = store.stored_after(at, 4_096)?;
        let Some((_, last)) = rows.last() else { break };
        at = last.key;
        for (log, row) in rows.into_iter().filter(|(log, _)| log.space.flow == Flow::Charter) {
            keys.entry(log.space.unit).or_default().push(row.key);
        }
    }
    keys.into_iter().map(|(unit, keys)| Ok((unit, store.groups(&SpaceId::charter(unit), &keys)?))).collect()
}
