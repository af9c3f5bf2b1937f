//! The hottest paths, each run once on the same made-up data, to count their instructions: `.ci/run guard`.
//!
//! It does not: count (valgrind does, see `.ci/guard.py`), or measure time.
//!
//! Invariants: everything follows from fixed seeds, so that two runs execute the same instructions but for the
//! seeds of hash maps; only what runs inside a function named `counted_…` is counted, the setting up is not.

use crate::long::intake;
use crate::shape::{Counts, DISTRICT, HUB, Shape, group, mem};
use sampan_core::charter::{Charter, Roles};
use sampan_core::engine::{Engine, NewRecord};
use sampan_core::frontier::tree::Holdings;
use sampan_core::id::{CommitId, DeviceId, Flow, Incarnation, RecordId, SpaceId};
use sampan_core::log::Payload;
use sampan_core::pack::{self, PackScope};
use sampan_core::store::{CommitKey, Store, StoreError};
use sampan_core::testing::village::{Replica, Village};
use sampan_core::testing::{SeededRng, members};
use sampan_core::value::Edit;
use sampan_core::wire::frame::{Group, Tree};
use sampan_node::codec::ZstdCodec;
use std::hint::black_box;
use std::sync::Arc;

/// The branch's PC, its relay, and another PC of the branch.
const PC: usize = 1;
const RELAY: usize = 0;
/// Members of the branch.
const RECORDS: usize = 1_000;
/// The organisation whose charter is folded and whose digests are taken.
const SHAPE: Counts = Counts { districts: 8, grassroots: 40, branches: 200 };

/// Runs every path, printing the name of each on a line before it runs.
///
/// # Panics
/// When a path does not do what it is there for.
pub fn run() {
    branch();
    disk();
    organisation();
}

/// Runs a path inside a function of its own name: valgrind counts from its entry to its end.
macro_rules! path {
    ($name:ident, $work:expr) => {{
        #[inline(never)]
        fn $name(work: &mut dyn FnMut()) {
            work();
            // Something must follow, or the call becomes a jump.
            black_box(());
        }
        println!("{}", stringify!($name));
        let (mut work, mut out) = (once($work), None);
        $name(&mut || out = work.take().map(|w| w()));
        out.unwrap_or_else(|| unreachable!("it was run"))
    }};
}

fn once<T>(work: impl FnOnce() -> T) -> Option<impl FnOnce() -> T> {
    Some(work)
}

/// What a branch, its relay and a second PC do.
fn branch() {
    let mut village = Village::found(7, Arc::new(ZstdCodec), &mut mem);
    let root = village.root();
    let unit = village.unit(RELAY, root, "Chi bộ 1", "branch");
    let ticket = village.invite(RELAY, unit, Roles::EDITOR);
    assert_eq!(village.join("pc", &ticket, &mut mem), PC);
    assert!(village.sync(PC, RELAY).verified());

    let now = village.now;
    let schema = village.replicas[PC].engine.schema().cloned().expect("a schema");
    let collection = schema.collection("members").expect("members");
    let rows = members::members(2_026, RECORDS);
    let new = |fields: &_| NewRecord { collection, unit, fields: Clone::clone(fields) };
    let Replica { store, engine, rng, .. } = &mut village.replicas[PC];
    let records: Vec<_> = rows.iter().map(new).collect();
    let saved = path!(counted_create_1000, || engine.create(&mut **store, rng, records, now)).expect("created");
    let ids: Vec<RecordId> = saved.iter().map(|s| s.id).collect();
    assert_eq!(path!(counted_seal_1000, || engine.seal(&mut **store, rng, Default::default(), now)), Ok(4));

    let space = collection.space(unit);
    let groups = held(&**store, &space);
    let scope = PackScope { org: engine.org(), space };
    let packs: Vec<&[u8]> = groups.iter().map(|g| g.pack.as_slice()).collect();
    let decode = || packs.iter().flat_map(|p| pack::decode(&scope, p, &ZstdCodec).expect("a pack")).collect();
    let payloads: Vec<Payload> = path!(counted_decode_columns_1000, decode);
    assert_eq!(payloads.iter().map(|p| p.entries.len()).sum::<usize>(), RECORDS);
    let encode = || payloads.iter().map(|p| pack::encode(&scope, &[p], &ZstdCodec).len()).sum::<usize>();
    assert!(path!(counted_encode_columns_1000, encode) > 0);

    let taken = path!(counted_intake_1000, || take(&mut village.replicas[RELAY], &groups, now));
    assert_eq!(taken, RECORDS as u64);

    let mut rng = SeededRng::new(8);
    let edits: Vec<_> = (0..10)
        .map(|i| {
            let at = i * 97 % RECORDS;
            let (name, value) = members::edit(&mut rng, &rows[at]);
            (ids[at], vec![(name, Edit::Set(value))])
        })
        .collect();
    let Replica { store, engine, rng, .. } = &mut village.replicas[PC];
    path!(counted_edit_10, || {
        for (id, edit) in &edits {
            assert_eq!(engine.edit(&mut **store, collection, *id, edit, now).expect("an edit").changes, 1);
        }
    });
    engine.seal(&mut **store, rng, Default::default(), now).expect("sealed");
    let last = held(&**store, &space).split_off(4);
    let taken = path!(counted_intake_edits_10, || take(&mut village.replicas[RELAY], &last, now));
    assert_eq!(taken, 10);

    let ticket = village.invite(RELAY, unit, Roles::EDITOR);
    let second = village.join("pc2", &ticket, &mut mem);
    let end = path!(counted_first_sync_1000, || village.sync(second, RELAY));
    assert!(end.verified() && end.changes.1 == RECORDS as u64 + 10, "{end:?}");
    let end = path!(counted_sync_nothing_changed, || village.sync(second, RELAY));
    assert!(end.verified() && end.changes == (0, 0), "{end:?}");
}

/// What a real store adds: taking commits in, and the rows that lists are read from.
fn disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut relay = crate::city::found(&dir.path().join("city"), "Thành phố");
    let mut branch = intake::enrol(&mut relay, 1).expect("a branch");
    let collection = relay.collection("members").expect("members");
    let commits = intake::made(&relay, &mut branch, &collection, 1, RECORDS / 250, 250);
    let groups: Vec<Group> = commits.iter().map(|c| group(relay.engine.org(), c)).collect();
    relay.project().expect("projected");
    let now = relay.now();
    let taken = path!(counted_store_1000, || {
        let sampan_node::replica::Replica { store, engine, rng, .. } = &mut relay;
        let from = DeviceId::default();
        store.group(|s| {
            engine.intake(s, rng, from, &groups, &|_, _| true, now).map_err(|e| StoreError::Io(e.to_string()))
        })
    });
    assert_eq!(taken.expect("an intake").changes, RECORDS as u64);
    path!(counted_project_1000, || relay.project()).expect("projected");
    assert_eq!(relay.list(&collection, None, None).expect("a list").len(), RECORDS);
}

/// What a relay does with a whole organisation.
fn organisation() {
    let mut shape = Shape::found(5, SHAPE);
    let hub = &shape.village.replicas[HUB];
    let units = 1 + SHAPE.districts + SHAPE.grassroots + SHAPE.branches;
    let charter = path!(counted_fold_charter, || Charter::fold(hub.engine.org(), hub.engine.charter_log()));
    assert_eq!(charter.units().count(), units);

    let root = charter.root().expect("a root");
    let mut holdings = Holdings::new(hub.store.tips().expect("tips"));
    let reach = charter_reach(&hub.engine);
    let before = path!(counted_digests_all, || holdings.subtree_digest(&charter, &root, Tree::Up(reach)));
    let after = path!(counted_digests_after_100, || {
        let mut after = before;
        for (n, branch) in shape.branches.iter().enumerate().take(100) {
            let space = SpaceId { unit: branch.unit, flow: Flow::Up, reach };
            let id = CommitId([n as u8; 32]);
            holdings.advance(&charter, space, DeviceId([1; 32]), Incarnation([2; 16]), id, &[]);
            after = holdings.subtree_digest(&charter, &root, Tree::Up(reach));
        }
        after
    });
    assert_ne!(before, after);

    // The first session says hello; one branch then differs, and the two remember nothing of each other.
    assert!(shape.village.sync(DISTRICT, HUB).verified());
    shape.forget();
    let group = shape.write(0);
    shape.take(HUB, &group);
    let differs = path!(counted_sync_one_branch_differs, || shape.village.sync(DISTRICT, HUB));
    assert!(differs.verified() && differs.changes == (0, 1), "{differs:?}");

    // A charter's commit: what one more device that joins costs the hub.
    let group = shape.grant(1);
    let grown = path!(counted_intake_charter_commit, || shape.take(HUB, &group));
    assert_eq!(grown, 1);

    let ticket = shape.village.invite(HUB, root, Roles::RELAY);
    let second = shape.village.join("second", &ticket, &mut mem);
    let loaded = path!(counted_load_charters, || shape.village.sync(second, HUB));
    assert!(loaded.verified(), "{loaded:?}");
    assert_eq!(shape.village.replicas[second].engine.charter().units().count(), units);
}

fn charter_reach(engine: &Engine) -> u8 {
    engine.schema().and_then(|s| s.collection("members")).map_or(0, |c| c.reach)
}

fn take(relay: &mut Replica, groups: &[Group], now: sampan_core::time::Millis) -> u64 {
    let Replica { store, engine, rng, .. } = relay;
    let from = DeviceId::default();
    engine.intake(&mut **store, rng, from, groups, &|_, _| true, now).expect("an intake").changes
}

/// Every commit of a space, one a group as they were sealed.
fn held(store: &dyn Store, space: &SpaceId) -> Vec<Group> {
    let rows = store.stored_after(CommitKey(0), usize::MAX).expect("commits");
    let keys = rows.into_iter().filter(|(log, _)| log.space == *space).map(|(_, row)| row.key);
    keys.flat_map(|key| store.groups(space, &[key]).expect("a group")).collect()
}
