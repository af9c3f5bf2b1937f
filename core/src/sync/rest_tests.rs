//! What a session keeps while nothing is said.
//!
//! It does not: measure what an allocator makes of it (`sampan-bench herd` does).

use crate::charter::Roles;
use crate::id::{DeviceId, OrgId, StoreEpoch};
use crate::pack::StoredColumns;
use crate::store::Store;
use crate::testing::MemStore;
use crate::testing::village::Village;
use std::sync::Arc;

fn mem(org: OrgId, device: DeviceId, epoch: StoreEpoch) -> Box<dyn Store> {
    Box::new(MemStore::new(org, device, epoch))
}

#[test]
fn a_quiet_session_keeps_no_room_in_its_queues_and_goes_on_as_before() {
    let mut v = Village::found(440, Arc::new(StoredColumns), &mut mem);
    let root = v.root();
    let unit = v.unit(0, root, "Chi bộ 1", "branch");
    let t = v.invite(0, unit, Roles::EDITOR);
    let b = v.join("branch", &t, &mut mem);
    v.create(b, unit, "members", &["full_name=Nguyễn Văn An"]);
    let mut link = v.connect(b, 0, false);
    v.run(&mut link);
    // From below and from above, with the link up.
    for n in 0..4 {
        let (lower, upper) = link.sessions();
        assert!(lower.is_quiet() && upper.is_quiet(), "{}; {}", lower.waits_for(), upper.waits_for());
        assert!(lower.verified_at().is_some() && upper.verified_at().is_some());
        assert_eq!((lower.room(), upper.room()), (0, 0), "after {n}");
        let before = (lower.stats().commits_sent, upper.stats().commits_sent);
        if n % 2 == 0 {
            v.create(b, unit, "members", &[&format!("full_name=Người {n}")]);
            v.seal(b);
        } else {
            v.create(0, root, "directives", &[&format!("title=Chỉ thị {n}")]);
            v.seal(0);
        }
        v.run(&mut link);
        let (lower, upper) = link.sessions();
        assert!((lower.stats().commits_sent, upper.stats().commits_sent) > before, "nothing moved");
    }
    assert!(v.end(link).verified());
}

#[test]
fn a_session_for_one_branch_is_small() {
    // Of 17,000 links at a relay each has one.
    assert!(size_of::<super::Session>() <= 2_048, "{} bytes", size_of::<super::Session>());
}
