//! Columnar packs on a link: what both ends hold is left out, and what one of them lost is asked for.
//!
//! It does not: measure (`cargo bench -p sampan-tests --bench packs` does).

use crate::{mem, ok};
use sampan_core::charter::{Erased, Roles};
use sampan_core::id::{RecordId, UnitId};
use sampan_core::pack::{Codec, Stored, StoredColumns};
use sampan_core::testing::village::Village;
use sampan_tests::model::{Model, disagreements};
use std::sync::Arc;

/// A city (0) and a branch (1) in sync, with these codecs everywhere, and some records of the branch.
fn village(codec: Arc<dyn Codec + Send + Sync>) -> (Village, UnitId, Vec<RecordId>) {
    let mut v = Village::found(870, codec, &mut mem);
    let root = v.root();
    let branch = v.unit(0, root, "Chi bộ 1", "branch");
    let t = v.invite(0, branch, Roles::EDITOR);
    let b = v.join("branch", &t, &mut mem);
    ok(&v.sync(b, 0));
    let name = |n: usize| format!("full_name=Nguyễn Văn {n}");
    let ids = (0..30).map(|n| v.create(b, branch, "members", &[&name(n), "phone=0912345678"])).collect();
    ok(&v.sync(b, 0));
    (v, branch, ids)
}

fn checked(v: &Village, at: usize) {
    let r = &v.replicas[at];
    let found = disagreements(&mut Model::new(v.org), &*r.store, &r.engine).unwrap();
    assert!(found.is_empty(), "{}: {found:#?}", r.name);
}

#[test]
fn edits_travel_without_what_follows_from_what_both_hold() {
    let sent = |codec: Arc<dyn Codec + Send + Sync>| {
        let (mut v, _, ids) = village(codec);
        for (n, id) in ids.iter().enumerate() {
            v.set(1, "members", *id, &[&format!("phone=09{n:08}")]);
        }
        let end = v.sync(1, 0);
        ok(&end);
        assert_eq!(end.changes.0, 30);
        for (n, id) in ids.iter().enumerate() {
            let phone = v.field(0, *id, "phone");
            assert_eq!(phone, Some(sampan_core::value::Value::Str(format!("09{n:08}"))));
        }
        checked(&v, 0);
        // What the city took it can pass on whole: a second PC of the branch.
        let branch = v.replicas[0].engine.charter().units_of(&v.replicas[1].engine.device());
        let t = v.invite(0, *branch.iter().next().unwrap(), Roles::EDITOR);
        let second = v.join("second", &t, &mut mem);
        ok(&v.sync(second, 0));
        checked(&v, second);
        assert!(v.field(second, ids[3], "phone").is_some());
        end.bytes.0
    };
    let (whole, columns) = (sent(Arc::new(Stored)), sent(Arc::new(StoredColumns)));
    // A hash and an id at the least are left out of each.
    assert!(columns + 30 * 48 < whole, "{columns} bytes in columns, {whole} whole");
}

#[test]
fn what_an_erasure_took_from_one_end_is_sent_whole() {
    let (mut v, branch, ids) = village(Arc::new(StoredColumns));
    let (goes, stays) = (ids[7], ids[8]);
    for id in [goes, stays] {
        v.set(1, "members", id, &["phone=0999999999"]);
    }
    v.seal(1);
    // The city erases one of them before it hears of the edits, which name it by its place.
    let space = v.replicas[0].engine.schema().unwrap().collection("members").unwrap().space(branch);
    let now = v.now;
    let r = &mut v.replicas[0];
    let what = Erased::Record { space, record: goes };
    r.engine.erase(&mut *r.store, &mut r.rng, branch, (what, "theo yêu cầu"), now).unwrap();
    let end = v.sync(1, 0);
    ok(&end);
    assert_eq!(end.changes.0, 4, "both edits went twice: without what the city lacks, then whole");
    for at in [0, 1] {
        assert!(v.field(at, goes, "phone").is_none(), "{at}");
        assert_eq!(v.field(at, stays, "phone"), Some(sampan_core::value::Value::Str("0999999999".into())));
        checked(&v, at);
    }
    ok(&v.sync(1, 0));
}

#[test]
fn what_a_cut_device_sent_before_it_was_told_is_handed_in_whole() {
    let (mut v, branch, ids) = village(Arc::new(StoredColumns));
    crate::cuts::cut(&mut v, 0, 1, branch, sampan_core::charter::CutKind::Lost);
    // Two commits, the second of which leaves out what follows from the first: the relay holds neither.
    for phone in ["phone=1", "phone=2"] {
        for id in &ids {
            v.set(1, "members", *id, &[phone]);
        }
        v.seal(1);
    }
    for opening in ["a greeting", "a hello"] {
        let end = v.sync(1, 0);
        assert_eq!(end.error, None, "{opening}");
        assert_eq!(crate::cuts::aside(&v, 0).len(), 2, "{opening}: not handed in");
        crate::forget(&mut v, 1, 0);
    }
    checked(&v, 0);
}
