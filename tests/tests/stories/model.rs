//! The plain model beside the engine.

use crate::{mem, ok, three_levels};
use sampan_core::testing::village::Village;
use sampan_tests::model::{Model, disagreements};

/// Every replica says what the model says.
fn agree(v: &Village, model: &mut Model) {
    for (at, r) in v.replicas.iter().enumerate() {
        let found = disagreements(model, &*r.store, &r.engine).unwrap();
        assert!(found.is_empty(), "replica {at} ({}):\n{}", r.name, found.join("\n"));
    }
}

#[test]
fn a_quiet_village_is_as_the_model_says() {
    let (mut v, _, branch) = three_levels(80);
    let mut model = Model::new(v.org);
    agree(&v, &mut model);
    let an = v.create(2, branch, "members", &["full_name=An", "notes=đã họp"]);
    agree(&v, &mut model);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    v.set(2, "members", an, &["phone=1", "notes=đã họp rồi"]);
    v.set(1, "members", an, &["phone=2", "notes=chưa họp"]);
    v.set(0, "members", an, &["_removed=true"]);
    agree(&v, &mut model);
    for _ in 0..2 {
        ok(&v.sync(2, 1));
        ok(&v.sync(1, 0));
    }
    agree(&v, &mut model);
    let _ = mem;
}
