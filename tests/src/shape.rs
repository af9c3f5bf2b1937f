//! A whole organisation in memory, of any shape: a hub, districts, grassroots units and branches, each branch with
//! its own device and a commit, and one district's relay beside the hub.
//!
//! It does not: open a socket or a file, or write charters the slow way (the program folds after each commit; of
//! 17,000 units that takes minutes, and comes to the same).
//!
//! Invariants: everything follows from the seed; what is written is what the program itself would write; both ends
//! take every data commit in by their own intake.

use ed25519_dalek::SigningKey;
use sampan_core::charter::{Charter, Op, Roles};
use sampan_core::engine::{Engine, meta};
use sampan_core::entropy::random;
use sampan_core::id::{ActorId, CommitId, DeviceId, Incarnation, Nonce, OrgId, RecordId, SpaceId, StoreEpoch, UnitId};
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use sampan_core::pack::{self, PackScope};
use sampan_core::record::{create, ids::record_id};
use sampan_core::schema::Collection;
use sampan_core::store::{Batch, NewCommit, NewEntry, NewGroup, Status, Store};
use sampan_core::testing::village::{MakeStore, Replica, Village, plain_grant};
use sampan_core::testing::{MemStore, SeededRng, members, test_key};
use sampan_core::time::Millis;
use sampan_core::value::{Kind, Value};
use sampan_core::wire::frame::Group;
use sampan_node::codec::ZstdCodec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many units of each kind, below one city.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Districts.
    pub districts: usize,
    /// Grassroots units, spread over the districts.
    pub grassroots: usize,
    /// Branches, spread over the grassroots units.
    pub branches: usize,
}

/// The city that the figures are for.
pub const CITY: Counts = Counts { districts: 50, grassroots: 2_310, branches: 17_000 };

/// One branch: its device writes, and is nowhere else.
pub struct Branch {
    /// Its unit.
    pub unit: UnitId,
    /// Which district it lies in.
    pub district: usize,
    key: SigningKey,
    grant: CommitId,
    last: Option<(CommitId, u64)>,
}

impl Branch {
    /// A device that writes on a unit and was granted that by this commit.
    #[must_use]
    pub fn new(unit: UnitId, key: SigningKey, grant: CommitId) -> Self {
        Self { unit, district: 0, key, grant, last: None }
    }

    /// The next commit of its log, of so many new members; nobody has it yet.
    ///
    /// # Panics
    /// See [`Shape::found`].
    pub fn commit(&mut self, org: OrgId, collection: &Collection, now: Millis, seed: u64, n: usize) -> Commit {
        let space = collection.space(self.unit);
        let nonce = Nonce([9; 16]);
        let device = device_id(&self.key);
        let actor = ActorId::of(&device, &nonce);
        let mut rng = SeededRng::new(seed);
        let kind = |name: &str| collection.field(name).map_or(Kind::String, |f| f.kind);
        let entries = members::members(seed, n).into_iter().map(|fields| {
            let kinded: BTreeMap<String, (Kind, Value)> =
                fields.into_iter().map(|(k, v)| (k.clone(), (kind(&k), v))).collect();
            let change = create(&actor, now, random(&mut rng), &kinded).expect("a member");
            let entry = Entry {
                kind: EntryKind::Change,
                record: record_id(&space, &change.hash),
                collection: collection.id.clone(),
                payload_hash: change.hash.0,
                time: now,
                birth: None,
            };
            EntryPayload { entry, payload: change.bytes }
        });
        let entries = entries.collect();
        let header = Header {
            format: FORMAT,
            org,
            space,
            device,
            incarnation: Incarnation(nonce.0),
            sequence: 1 + self.last.map_or(0, |l| l.1),
            parents: self.last.iter().map(|l| l.0).collect(),
            nonce,
            charter_heads: vec![self.grant],
            time: now,
            entries: 0,
            root: [0; 32],
        };
        let secret: [u8; 16] = random(&mut rng);
        let commit = Commit::seal(&self.key, header, Payload { secret: secret.into(), entries }).expect("a commit");
        self.last = Some((commit.id(), commit.header().sequence));
        commit
    }
}

/// The organisation: replica 0 is the hub, which holds everything, replica 1 the relay of district 0, replica 2 the
/// device of branch 0.
pub struct Shape {
    /// The three replicas and their clock.
    pub village: Village,
    /// The districts.
    pub districts: Vec<UnitId>,
    /// The branches.
    pub branches: Vec<Branch>,
    written: u64,
}

/// The hub among the replicas.
pub const HUB: usize = 0;
/// The relay of district 0 among the replicas.
pub const DISTRICT: usize = 1;
/// The device of branch 0, which lies in district 0, among the replicas.
pub const BRANCH: usize = 2;

/// A store in memory as the program packs.
#[must_use]
pub fn mem(org: OrgId, device: DeviceId, epoch: StoreEpoch) -> Box<dyn Store> {
    Box::new(MemStore::with_codec(org, device, epoch, Arc::new(ZstdCodec)))
}

/// The units of a whole organisation, with what the hub's charters say of them.
pub struct Tree {
    /// The districts.
    pub districts: Vec<UnitId>,
    /// The grassroots units; number n lies in district n modulo their number.
    pub grassroots: Vec<UnitId>,
    /// The branches; number n lies in grassroots unit n modulo their number.
    pub branches: Vec<Branch>,
}

/// The key of a district's relay.
#[must_use]
pub fn relay_key(district: usize) -> SigningKey {
    test_key(3_000_000 + district as u64)
}

impl Tree {
    /// Writes it into the charters of the hub of a village; of these districts the relays get these rights.
    ///
    /// # Panics
    /// When the engine refuses what is made here: a fault of the bench.
    #[must_use]
    pub fn grow(village: &mut Village, seed: u64, counts: Counts, relays: &[(usize, Roles)]) -> Self {
        let now = village.now;
        let root = village.root();
        let mut rng = SeededRng::new(seed ^ 0x5a17);
        let mut draw = |n: usize| (0..n).map(|_| UnitId(random(&mut rng))).collect::<Vec<_>>();
        let (districts, grassroots, branches) =
            (draw(counts.districts), draw(counts.grassroots), draw(counts.branches));
        let hub = &mut village.replicas[HUB];
        let mut write = |unit: UnitId, ops: &[Op]| {
            let made = hub.engine.write_charter(&mut *hub.store, &mut hub.rng, unit, ops, now).expect("a charter");
            made.last().copied().unwrap_or_default()
        };
        write(root, &units(&districts, "Quận", "district", now));
        // A unit's charter makes the units below it.
        let below = |units: &[UnitId], parents: usize, at: usize| -> Vec<UnitId> {
            units.iter().skip(at).step_by(parents).copied().collect()
        };
        let mut made = BTreeMap::new();
        for (at, district) in districts.iter().enumerate() {
            let mut ops = units(&below(&grassroots, districts.len(), at), "Đảng bộ", "grassroots", now);
            for (_, roles) in relays.iter().filter(|(district, _)| *district == at) {
                ops.push(Op::Grant(plain_grant(device_id(&relay_key(at)), *roles, now)));
            }
            made.insert(*district, write(*district, &ops));
        }
        let mut charters = Vec::with_capacity(grassroots.len() + branches.len());
        for (at, unit) in grassroots.iter().enumerate() {
            let ops = units(&below(&branches, grassroots.len(), at), "Chi bộ", "branch", now);
            let above = made[&districts[at % districts.len()]];
            if !ops.is_empty() {
                charters.push(charter_commit(hub, *unit, above, &ops, now));
                made.insert(*unit, charters.last().map(Commit::id).unwrap_or_default());
            }
        }
        let mut all = Vec::with_capacity(branches.len());
        for (at, unit) in branches.iter().enumerate() {
            let over = at % grassroots.len();
            let key = test_key(4_000_000 + at as u64);
            let op = Op::Grant(plain_grant(device_id(&key), Roles::EDITOR, now));
            charters.push(charter_commit(hub, *unit, made[&grassroots[over]], &[op], now));
            let grant = charters.last().map(Commit::id).unwrap_or_default();
            all.push(Branch { unit: *unit, district: over % districts.len(), key, grant, last: None });
        }
        hub.store.write(&batch(hub.engine.org(), &charters, now)).expect("a write");
        hub.engine.reload(&*hub.store).expect("a charter");
        assert_eq!(hub.engine.charter().void(), [], "an operation of the bench is void");
        Self { districts, grassroots, branches: all }
    }
}

impl Shape {
    /// Founds it. Each branch has one commit of one member, which the hub and, of its own district, the district
    /// hold.
    ///
    /// # Panics
    /// When the engine refuses what is made here: a fault of the bench.
    #[must_use]
    pub fn found(seed: u64, counts: Counts) -> Self {
        let mut village = Village::found(seed, Arc::new(ZstdCodec), &mut mem);
        let now = village.now;
        let tree = Tree::grow(&mut village, seed, counts, &[(0, Roles::RELAY)]);
        let Tree { districts, branches: all, .. } = tree;
        let hub = &village.replicas[HUB];
        let district = lower(hub, relay_key(0), districts[0], now);
        village.replicas.push(district);
        let hub = &village.replicas[HUB];
        let branch = lower(hub, all[0].key.clone(), all[0].unit, now);
        village.replicas.push(branch);
        let mut shape = Self { village, districts, branches: all, written: 0 };
        for at in 0..shape.branches.len() {
            let group = shape.write(at);
            shape.take(HUB, &group);
            if shape.branches[at].district == 0 {
                shape.take(DISTRICT, &group);
            }
            if at == 0 {
                shape.take(BRANCH, &group);
            }
        }
        // Who has a relay's right and listens nowhere would be a deputy.
        shape.village.listen(DISTRICT, shape.districts[0]);
        shape
    }

    /// A branch's device writes one more commit, of one new member; nobody has it yet.
    ///
    /// # Panics
    /// See [`Shape::found`].
    pub fn write(&mut self, at: usize) -> Group {
        self.written += 1;
        let engine = &self.village.replicas[HUB].engine;
        let collection = engine.schema().and_then(|s| s.collection("members")).expect("members");
        let org = engine.org();
        group(org, &self.branches[at].commit(org, collection, self.village.now, self.written, 1))
    }

    /// A commit of a charter that nobody has yet: another administrator lets one more device write in a branch.
    ///
    /// # Panics
    /// See [`Shape::found`].
    pub fn grant(&mut self, at: usize) -> Group {
        self.written += 1;
        let now = self.village.now;
        let key = device_id(&test_key(5_000_000 + self.written));
        let op = Op::Grant(plain_grant(key, Roles::EDITOR, now));
        let hub = &mut self.village.replicas[HUB];
        let branch = &self.branches[at];
        // A log of its own, or it would have to continue the hub's.
        let header = charter_header(hub, branch.unit, vec![branch.grant], now);
        let header = Header { incarnation: Incarnation([self.written as u8; 16]), ..header };
        let payload = charter_payload(hub, &[op], now);
        let commit = Commit::seal(hub.engine.key(), header, payload).expect("a commit");
        group(hub.engine.org(), &commit)
    }

    /// The district and the hub no longer know what they held when they last met: a greeting will not do.
    ///
    /// # Panics
    /// See [`Shape::found`].
    pub fn forget(&mut self) {
        for (at, peer) in [(HUB, DISTRICT), (DISTRICT, HUB)] {
            let peer = self.village.replicas[peer].engine.device();
            let mut batch = Batch::at(self.village.now);
            batch.meta.insert(meta::met(&peer), None);
            self.village.replicas[at].store.write(&batch).expect("a write");
        }
    }

    /// A replica takes a commit in that some other way brought it; how many it stored.
    ///
    /// # Panics
    /// See [`Shape::found`].
    pub fn take(&mut self, at: usize, group: &Group) -> u64 {
        let now = self.village.now;
        let Replica { store, engine, rng, .. } = &mut self.village.replicas[at];
        let from = DeviceId::default();
        let groups = std::slice::from_ref(group);
        let done = engine.intake(&mut **store, rng, from, groups, &|_, _| true, now).expect("an intake");
        assert_eq!((done.commits, done.quarantined), (1, 0), "a commit of the bench was not taken in");
        done.commits
    }
}

fn units(ids: &[UnitId], name: &str, kind: &str, since: Millis) -> Vec<Op> {
    let op = |(n, unit): (usize, &UnitId)| Op::CreateUnit {
        unit: *unit,
        name: format!("{name} {}", n + 1),
        code: None,
        kind: Some(kind.to_owned()),
        since,
    };
    ids.iter().enumerate().map(op).collect()
}

/// The first commit of the hub in a unit's charter, on top of the commit that made the unit.
fn charter_commit(hub: &mut Replica, unit: UnitId, above: CommitId, ops: &[Op], now: Millis) -> Commit {
    let payload = charter_payload(hub, ops, now);
    Commit::seal(hub.engine.key(), charter_header(hub, unit, vec![above], now), payload).expect("a charter commit")
}

fn charter_payload(hub: &mut Replica, ops: &[Op], now: Millis) -> Payload {
    let entries = ops.iter().map(|op| {
        let payload = op.encode();
        let payload_hash = Entry::hash_payload(EntryKind::Charter, &payload);
        let record = RecordId::from_slice(&payload_hash[..16]).unwrap_or_default();
        let kind = EntryKind::Charter;
        let entry = Entry { kind, record, collection: String::new(), payload_hash, time: now, birth: None };
        EntryPayload { entry, payload }
    });
    let secret: [u8; 16] = random(&mut hub.rng);
    Payload { secret: secret.into(), entries: entries.collect() }
}

fn charter_header(hub: &Replica, unit: UnitId, charter_heads: Vec<CommitId>, now: Millis) -> Header {
    Header {
        format: FORMAT,
        org: hub.engine.org(),
        space: SpaceId::charter(unit),
        device: hub.engine.device(),
        incarnation: hub.engine.incarnation(),
        sequence: 1,
        parents: Vec::new(),
        nonce: hub.engine.nonce(),
        charter_heads,
        time: now,
        entries: 0,
        root: [0; 32],
    }
}

/// A commit as frames carry it.
#[must_use]
pub fn group(org: OrgId, commit: &Commit) -> Group {
    let scope = PackScope { org, space: commit.header().space };
    let pack = pack::encode(&scope, &[commit.payload()], &ZstdCodec);
    Group { headers: vec![commit.head().signed().clone()], pack }
}

/// Charter commits as one write.
fn batch(org: OrgId, commits: &[Commit], now: Millis) -> Batch {
    let mut batch = Batch::at(now);
    for commit in commits {
        let entry =
            |e: &EntryPayload| NewEntry { record: e.entry.record, kind: e.entry.kind, status: Status::Accepted };
        let entries = commit.payload().entries.iter().map(entry).collect();
        let commits = vec![NewCommit { head: commit.head().clone(), entries }];
        let pack = group(org, commit).pack;
        batch.groups.push(NewGroup { commits, pack });
    }
    batch
}

/// The replica of a unit's device, with the charters that it holds: its own, those below it, and those above.
fn lower(hub: &Replica, key: SigningKey, unit: UnitId, now: Millis) -> Replica {
    lower_in(hub, key, unit, now, &mut mem)
}

/// The same in a store that is made here.
///
/// # Panics
/// See [`Shape::found`].
#[must_use]
pub fn lower_in(hub: &Replica, key: SigningKey, unit: UnitId, now: Millis, make: MakeStore<'_>) -> Replica {
    let charter: &Charter = hub.engine.charter();
    let above: Vec<UnitId> = charter.chain(&unit).map(|u| u.id).collect();
    let holds = |u: &UnitId| above.contains(u) || charter.is_below(u, &unit);
    let own: Vec<Commit> = hub.engine.charter_log().iter().filter(|c| holds(&c.header().space.unit)).cloned().collect();
    let mut rng = SeededRng::new(0xd157);
    let org = hub.engine.org();
    let mut store = make(org, device_id(&key), StoreEpoch(random(&mut rng)));
    store.write(&batch(org, &own, now)).expect("a write");
    let engine = Engine::open(&mut *store, org, key, Arc::new(ZstdCodec), &mut rng).expect("an engine");
    assert_eq!(engine.charter().waiting(), 0, "a cause of a charter is missing");
    Replica { store, engine, rng, name: "below".into() }
}
