//! Several links of one relay open at once: what one branch brings is looked through by those whom it concerns.
//!
//! They do not: count time (`sampan-bench herd` does). Every other story passes over news as a desk does, too, and
//! would hang or differ where that was wrong.

use crate::{mem, ok, three_levels};
use sampan_core::charter::Roles;
use sampan_core::testing::village::Village;

/// A second branch of the district (3), and a second PC of the first (4); who is verified already.
fn neighbours(seed: u64) -> (Village, sampan_core::id::UnitId) {
    let (mut v, district, branch) = three_levels(seed);
    let other = v.unit(1, district, "Chi bộ 2", "branch");
    for (unit, name) in [(other, "neighbour"), (branch, "second")] {
        let t = v.invite(1, unit, Roles::EDITOR);
        let at = v.join(name, &t, &mut mem);
        ok(&v.sync(at, 1));
        ok(&v.sync(at, 1));
    }
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    (v, branch)
}

#[test]
fn what_a_branch_brings_is_passed_over_by_its_neighbours_and_nobody_else() {
    let (mut v, branch) = neighbours(810);
    let (mut own, mut neighbour, mut second) = (v.connect(2, 1, false), v.connect(3, 1, false), v.connect(4, 1, false));
    let mut up = v.connect(1, 0, false);
    for _ in 0..3 {
        for link in [&mut own, &mut neighbour, &mut second, &mut up] {
            v.run(link);
        }
    }
    let id = v.create(2, branch, "members", &["full_name=Mới"]);
    v.seal(2);
    v.run(&mut own);
    assert!(v.view(1, id).is_some());
    let before = v.passed_over;
    v.run(&mut neighbour);
    assert_eq!(v.passed_over, before + 1, "the neighbour's session looked through it");
    assert!(v.view(3, id).is_none());
    v.run(&mut second);
    v.run(&mut up);
    assert!(v.view(4, id).is_some(), "another PC of that branch");
    assert!(v.view(0, id).is_some(), "the city");
    for link in [own, neighbour, second, up] {
        let end = v.end(link);
        assert!(end.error.is_none(), "{end:?}");
    }
}

#[test]
fn what_goes_down_and_a_new_charter_are_never_passed_over() {
    let (mut v, branch) = neighbours(811);
    let root = v.root();
    let mut links = [v.connect(2, 1, false), v.connect(3, 1, false), v.connect(1, 0, false)];
    for _ in 0..3 {
        links.iter_mut().for_each(|link| v.run(link));
    }
    let directive = v.create(0, root, "directives", &["title=Về việc rà soát", "number=1-HD"]);
    v.seal(0);
    let key = sampan_core::log::device_id(&sampan_core::testing::test_key(99_811));
    v.grant(1, branch, key);
    for _ in 0..3 {
        links.iter_mut().rev().for_each(|link| v.run(link));
    }
    for at in [1, 2, 3] {
        assert!(v.view(at, directive).is_some(), "{at}");
    }
    for at in [0, 1, 2] {
        assert!(v.replicas[at].engine.charter().rights(&key).next().is_some(), "{at}");
    }
}
