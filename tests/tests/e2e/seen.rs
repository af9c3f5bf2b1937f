//! Since when a unit that has not answered could have seen what it was asked, and how all below stand, added up.
//!
//! It does not: wait for days; what was met is met now.

use crate::world::{World, relay, sampan};
use serde_json::{Value as Json, json};

fn missing(w: &World, at: &str, record: &str) -> Vec<(String, Json, Json)> {
    let rows = relay(&["replies", &w.path(at), record, "--missing", "--json"]).ok().lines();
    let cell = |r: &Json| (r["name"].as_str().unwrap().to_owned(), r["seen_by"].clone(), r["seen_since"].clone());
    rows.iter().map(cell).collect()
}

fn of<'r>(rows: &'r [(String, Json, Json)], name: &str) -> &'r (String, Json, Json) {
    rows.iter().find(|r| r.0.ends_with(name)).unwrap_or_else(|| panic!("{name}: {rows:?}"))
}

#[test]
fn the_missing_stand_with_the_time_since_when_they_could_have_seen_it() {
    let w = World::three_levels();
    let (city, district) = (w.path("city"), w.path("district"));
    let order = relay(&["add", &city, "directives", "title=Chỉ thị 05"]).ok().first();
    w.sync_relay("district");
    let at_city = missing(&w, "city", &order);
    let district_row = of(&at_city, "Ba Đình");
    assert_eq!(district_row.1, "met", "{at_city:?}");
    assert!(district_row.2.is_string(), "{at_city:?}");
    // The branch has not come: the district knows that, the city knows nothing newer of it.
    let at_district = missing(&w, "district", &order);
    assert_eq!(of(&at_district, "Chi bộ 1").1, "not_yet", "{at_district:?}");
    assert_eq!(of(&at_district, "Chi bộ 2").1, "unknown", "nobody has a device there: {at_district:?}");
    w.sync("branch");
    let met = missing(&w, "district", &order);
    let since = of(&met, "Chi bộ 1").clone();
    assert_eq!((&since.1, since.2.is_string()), (&json!("met"), true), "{met:?}");
    // Meeting again, and news of other things, do not move it.
    relay(&["add", &city, "directives", "title=Chỉ thị 06"]).ok();
    w.sync_relay("district");
    w.sync("branch");
    assert_eq!(of(&missing(&w, "district", &order), "Chi bộ 1"), &since);
    let words = relay(&["replies", &district, &order, "--missing", "--lang", "vi"]).ok().stdout;
    assert!(words.contains("Có thể thấy") && words.contains("từ ") && words.contains("chưa rõ"), "{words}");
    // Who has answered is not asked after.
    w.add("branch", "receipts", &[&format!("directive={order}"), "read=true"]);
    w.sync("branch");
    assert!(!missing(&w, "district", &order).iter().any(|r| r.0.ends_with("Chi bộ 1")));
    relay(&["replies", &district, "nothing", "--missing"]).refused(2, "nothing");
}

#[test]
fn how_all_stand_is_added_up_by_the_units_directly_below() {
    let w = World::three_levels();
    w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    w.sync_relay("district");
    let rows = relay(&["silent", &w.path("city"), "--sums", "--json"]).ok().lines();
    assert_eq!(rows.len(), 1, "one district: {rows:?}");
    let row = &rows[0];
    assert_eq!((&row["name"], &row["units"], &row["silent"]), (&json!("Quận Ba Đình"), &json!(2), &json!(0)), "{row}");
    assert!(row["unsent_changes"].is_u64() && row["disks_low"].is_u64() && row["oldest_seen"].is_string(), "{row}");
    assert_eq!(row["versions"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>(), 2, "{row}");
    let all = relay(&["silent", &w.path("city"), "--sums", "--days", "0", "--json"]).ok().lines();
    assert_eq!(all[0]["silent"], 2, "{all:?}");
    // The room on the branch's disk comes up beside its sign of life, as far as the city.
    let known = (0..100).any(|_| {
        w.sync_relay("district");
        let list = relay(&["silent", &w.path("city"), "--days", "0", "--json"]).ok().lines();
        let branch = list.iter().find(|r| r["name"].as_str().unwrap().ends_with("Chi bộ 1")).unwrap();
        branch["devices"][0]["disk_free_bytes"].as_u64().is_some_and(|free| free.is_power_of_two())
    });
    assert!(known, "the room of the branch's disk never came to the city");
    let words = relay(&["silent", &w.path("district"), "--sums"]).ok().stdout;
    assert!(words.contains("Disks low") && words.contains("Chi bộ 1"), "{words}");
    relay(&["silent", &w.path("city"), "--sums", "--unit", "009"]).refused(2, "009");
    assert_eq!(sampan(&["silent", &w.path("branch"), "--sums"]).code, 2);
}
