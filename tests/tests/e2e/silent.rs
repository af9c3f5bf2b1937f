//! The call list of a relay, and what a device says of itself: real binaries.
//!
//! It does not: wait for days to pass; a unit that was heard of today is silent "for 0 days or more".

use crate::world::{World, relay, sampan};
use serde_json::json;

#[test]
fn the_call_list_names_the_unit_its_secretary_and_the_number() {
    let w = World::three_levels();
    let district = w.path("district");
    w.add("branch", "officers", &["full_name=Trần Thị Bình", "post=secretary", "phone=0912 345 678"]);
    w.add("branch", "officers", &["full_name=Người cũ", "post=secretary", "phone=1", "until=2025-12-31"]);
    w.sync("branch");
    w.sync_relay("district");
    assert_eq!(relay(&["silent", &district, "--json"]).ok().stdout, "", "heard of today");
    let rows = relay(&["silent", &district, "--days", "0", "--json"]).ok().lines();
    assert_eq!(rows.len(), 1, "Chi bộ 2 has no device and cannot be silent: {rows:?}");
    let row = &rows[0];
    assert_eq!((&row["name"], &row["days"]), (&json!("Quận Ba Đình/Chi bộ 1"), &json!(0)));
    assert_eq!(row["contacts"], json!([{ "name": "Trần Thị Bình", "phone": "0912 345 678" }]));
    assert_eq!((&row["unsent_changes"], &row["devices"][0]["unsent_changes"]), (&json!(0), &json!(0)), "{row}");
    assert_eq!(row["devices"][0]["holder"], json!("branch"));
    assert!(row["devices"][0]["version"].is_string(), "{row}");
    let words = relay(&["silent", &district, "--days", "0"]).ok();
    assert!(words.stderr.contains("1 of 1 units with a device") && words.stderr.contains("1 units have no device"));
    assert!(words.stdout.contains("0912 345 678"), "{words:?}");
    // The city calls by district and by branch.
    let all = relay(&["silent", &w.path("city"), "--days", "0", "--json"]).ok().lines();
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(relay(&["silent", &w.path("city"), "--days", "0", "--unit", "001.1", "--json"]).ok().lines().len(), 1);
}

#[test]
fn where_no_officer_is_known_the_holder_of_the_device_is_called() {
    let w = World::three_levels();
    let district = w.path("district");
    let ticket = relay(&["invite", &district, "--unit", "001.2", "--role", "editor", "--holder", "Lê Văn Cường"]);
    let ticket = ticket.ok().first();
    sampan(&["join", &w.path("second"), &ticket]).ok();
    w.sync("second");
    let rows = relay(&["silent", &district, "--days", "0", "--json"]).ok().lines();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let second = rows.iter().find(|r| r["name"] == "Quận Ba Đình/Chi bộ 2").unwrap();
    assert_eq!(second["contacts"], json!([{ "name": "Lê Văn Cường", "phone": null }]), "{second}");
}

#[test]
fn wrong_folders_days_and_units_are_refused() {
    let w = World::three_levels();
    let district = w.path("district");
    relay(&["silent", &w.path("none")]).refused(2, "");
    relay(&["silent", &district, "--days", "soon"]).refused(2, "");
    relay(&["silent", &district, "--unit", "009"]).refused(2, "009");
    // A branch's program has no call list.
    assert_eq!(sampan(&["silent", &w.path("branch")]).code, 2);
}
