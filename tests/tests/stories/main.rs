//! Stories on a virtual network: real engines and sessions, told in the order in which they happen.
//!
//! They do not: open a socket or wait for a clock.

mod ahead;
mod anew;
mod authority;
mod beacons;
mod brief;
mod bundles;
mod canaries;
mod charters;
mod city_quarter;
mod columns;
mod cuts;
mod deposits;
mod edges;
mod erase;
mod forks;
mod grants;
mod greetings;
mod hostile;
mod many;
mod model;
mod model_random;
mod narrowing;
mod openings;
mod registers;
mod shape;
mod siblings;
mod sync;
mod taken;
mod tricks;
mod versions;
mod ways;

use sampan_core::id::{DeviceId, OrgId, StoreEpoch};
use sampan_core::pack::{Codec, Stored};
use sampan_core::store::Store;
use sampan_core::testing::MemStore;
use sampan_core::testing::village::{LinkEnd, MakeStore, Village};
use std::sync::Arc;

/// A store in memory.
pub fn mem(org: OrgId, device: DeviceId, epoch: StoreEpoch) -> Box<dyn Store> {
    Box::new(MemStore::new(org, device, epoch))
}

/// A city with its relay.
pub fn city(seed: u64) -> Village {
    Village::found(seed, Arc::new(Stored), &mut mem)
}

/// Both ends said verified; else the whole story of the link is shown.
pub fn ok(end: &LinkEnd) {
    assert!(end.verified(), "not verified: {end:?}");
}

/// A replica forgets that it ever was equal with another, so that their next session opens with a hello.
pub fn forget(v: &mut Village, at: usize, peer: usize) {
    let name = sampan_core::engine::meta::met(&v.replicas[peer].engine.device());
    let mut batch = sampan_core::store::Batch::at(v.now);
    batch.meta.insert(name, None);
    v.replicas[at].store.write(&batch).unwrap();
}

/// A city (0), a district relay (1) and a branch of the district (2), all in sync.
pub fn three_levels(seed: u64) -> (Village, sampan_core::id::UnitId, sampan_core::id::UnitId) {
    three_levels_with(seed, Arc::new(Stored), &mut mem)
}

/// The same, with packs by this codec and stores that read them.
pub fn three_levels_with(
    seed: u64,
    codec: Arc<dyn Codec + Send + Sync>,
    make: MakeStore<'_>,
) -> (Village, sampan_core::id::UnitId, sampan_core::id::UnitId) {
    use sampan_core::charter::Roles;
    let mut v = Village::found(seed, codec, make);
    let root = v.root();
    let district = v.unit(0, root, "Quận Ba Đình", "district");
    let branch = v.unit(0, district, "Chi bộ 1", "branch");
    let t = v.invite(0, district, Roles::ADMIN);
    let d = v.join("district", &t, make);
    ok(&v.sync(d, 0));
    v.listen(d, district);
    ok(&v.sync(d, 0));
    let t = v.invite(d, branch, Roles::EDITOR);
    let b = v.join("branch", &t, make);
    ok(&v.sync(b, d));
    ok(&v.sync(d, 0));
    (v, district, branch)
}
