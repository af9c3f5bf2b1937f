//! Copies of a folder: a clone that runs beside the original, and an old backup put back.

use crate::world::{World, copy_folder, sampan};
use serde_json::json;

#[test]
fn a_cloned_folder_writes_under_a_name_of_its_own() {
    let w = World::three_levels();
    let an = w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    copy_folder(&w.path("branch"), &w.path("clone"));
    sampan(&["set", &w.path("branch"), &an, "phone=1"]).ok();
    sampan(&["set", &w.path("clone"), &an, "address=ở đây"]).ok();
    let x = w.add("branch", "members", &["full_name=X"]);
    let y = w.add("clone", "members", &["full_name=Y"]);
    for name in ["branch", "clone", "branch", "clone"] {
        w.sync(name);
    }
    for name in ["branch", "clone"] {
        assert_eq!(w.field("sampan", name, &an, "phone"), json!("1"));
        assert_eq!(w.field("sampan", name, &an, "address"), json!("ở đây"));
        assert_eq!(w.list("sampan", name, "members").len(), 3, "{x} {y}");
    }
    assert_eq!(w.list("sampan-relay", "district", "members").len(), 3);
}

#[test]
fn an_old_copy_put_back_takes_its_own_commits_back_and_goes_on() {
    let w = World::three_levels();
    let an = w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    copy_folder(&w.path("branch"), &w.path("backup"));
    sampan(&["set", &w.path("branch"), &an, "phone=1"]).ok();
    let late = w.add("branch", "members", &["full_name=Bình"]);
    w.sync("branch");
    std::fs::remove_dir_all(w.path("branch")).unwrap();
    std::fs::rename(w.path("backup"), w.path("branch")).unwrap();
    sampan(&["set", &w.path("branch"), &an, "address=mới"]).ok();
    w.sync("branch");
    assert_eq!(w.field("sampan", "branch", &an, "phone"), json!("1"), "what was acknowledged came back");
    assert_eq!(w.field("sampan", "branch", &an, "address"), json!("mới"));
    assert_eq!(w.field("sampan", "branch", &late, "full_name"), json!("Bình"));
    sampan(&["set", &w.path("branch"), &an, "phone=2"]).ok();
    w.sync("branch");
    assert_eq!(w.field("sampan-relay", "district", &an, "phone"), json!("2"));
    sampan(&["verify", &w.path("branch")]).ok();
}
