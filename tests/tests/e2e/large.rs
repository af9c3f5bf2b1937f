//! True sizes: a whole city's tree, and a district's members.

use crate::world::{Daemon, World, relay, sampan};
use sampan_tests::members::members_csv;

#[test]
fn the_tree_of_a_real_city_from_its_csv() {
    let dir = tempfile::tempdir().unwrap();
    let city = dir.path().join("city").display().to_string();
    relay(&["init", &city, "--org", "Thành phố Hà Nội", "--listen", "127.0.0.1:0"]).ok();
    let csv = concat!(env!("CARGO_MANIFEST_DIR"), "/data/hanoi_units_2024.csv");
    relay(&["unit", "add", &city, "--from", csv, "--levels", "district,ward"]).ok();
    let units = relay(&["unit", "list", &city, "--json"]).ok().lines();
    assert_eq!(units.len(), 1 + 30 + 526, "the root, the districts, the wards");
    let code = |c: &str| units.iter().filter(|u| u["code"] == c).count();
    assert!(code("00004") >= 1, "leading zeros are kept");
    let mut names: Vec<&str> = units.iter().filter_map(|u| u["name"].as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).filter(|w| w[0] == w[1]).count();
    assert!(twice >= 14, "{twice} names that occur twice");
    relay(&["invite", &city, "--unit", "Quận Ba Đình/Phường Trúc Bạch", "--role", "editor", "--holder", "Thư ký"]).ok();
    // Once more changes nothing.
    relay(&["unit", "add", &city, "--from", csv, "--levels", "district,ward"]).ok();
    assert_eq!(relay(&["unit", "list", &city, "--json"]).ok().lines().len(), 557);
}

#[test]
fn a_districts_9145_members_are_imported_and_seen_at_the_city() {
    let mut w = World::three_levels();
    // The district's own PC imports for its branches: an editor of the district's subtree.
    let ticket = relay(&[
        "invite",
        &w.path("district"),
        "--unit",
        "001",
        "--role",
        "editor",
        "--subtree",
        "--holder",
        "Văn phòng",
    ])
    .ok()
    .first();
    let joined = sampan(&["join", &w.path("office"), &ticket]);
    assert_eq!(joined.code, 0, "{joined:?}");
    w.sync("office");
    let csv = members_csv(9, 9_145);
    let mut rows = csv.lines();
    let mut out = format!("_unit,{}\n", rows.next().unwrap());
    for (i, row) in rows.enumerate() {
        out.push_str(&format!("{},{row}\n", ["001.1", "001.2"][i % 2]));
    }
    let file = w.dir.path().join("members.csv");
    std::fs::write(&file, out).unwrap();
    let added = sampan(&["add", &w.path("office"), "members", "--from", &file.display().to_string()]).ok();
    assert_eq!(added.stdout.lines().count(), 9_145);
    w.sync("office");
    w.sync_relay("district");
    w.city_daemon.take().unwrap().stop();
    assert_eq!(w.list("sampan-relay", "city", "members").len(), 9_145);
    let found = relay(&["list", &w.path("city"), "members", "--search", "nguyen", "--json"]).ok();
    assert!(found.stdout.lines().count() > 100);
    w.city_daemon = Some(Daemon::start("sampan-relay", &["run", &w.path("city")]));
}
