//! Since when a unit that has not answered could have seen what it was asked, and how all below stand, added up.
//!
//! It does not: wait for days; what was met is met now.

use crate::world::{World, relay, sampan};
use sampan_tests::proxy::{After, Cut, Every, Link, Profile, Proxy};
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

/// A device of the second branch that has met the district once, when it joined, and has given no sign of life yet.
fn second(w: &World) -> String {
    let district = w.path("district");
    let ticket = relay(&["invite", &district, "--unit", "001.2", "--role", "editor", "--holder", "Lê Văn Cường"]);
    sampan(&["join", &w.path("second"), &ticket.ok().first()]).ok();
    sampan(&["status", &w.path("second"), "--json"]).ok().json()["device"].as_str().unwrap().to_owned()
}

/// What the second branch has not sent, as a relay knows it: in the call list, and in the sums of its district.
fn unsent(w: &World, at: &str) -> (Json, Json) {
    let all = relay(&["silent", &w.path(at), "--days", "0", "--json"]).ok().lines();
    let row = all.iter().find(|r| r["name"].as_str().unwrap().ends_with("Chi bộ 2")).unwrap();
    assert_eq!(row["unsent_changes"], row["devices"][0]["unsent_changes"].as_u64().unwrap_or(0), "{row}");
    let sums = relay(&["silent", &w.path(at), "--sums", "--json"]).ok().lines();
    let sum: u64 = sums.iter().map(|r| r["unsent_changes"].as_u64().unwrap()).sum();
    (row["devices"][0]["unsent_changes"].clone(), json!(sum))
}

/// Looks until it is so: what a relay passes on is on its way when its child's session ends.
fn until_unsent(w: &World, at: &str, wanted: u64) {
    let mut last = Json::Null;
    for _ in 0..100 {
        w.sync_relay("district");
        let (of_device, sum) = unsent(w, at);
        if of_device == wanted && sum == wanted {
            return;
        }
        last = json!([of_device, sum]);
    }
    panic!("{at} shows {last}, not {wanted}");
}

#[test]
fn behind_another_relay_a_units_own_word_tells_when_it_could_have_seen_it() {
    let w = World::three_levels();
    let (city, district) = (w.path("city"), w.path("district"));
    let order = relay(&["add", &city, "directives", "title=Chỉ thị 05"]).ok().first();
    w.sync_relay("district");
    second(&w);
    w.sync("second");
    let later = relay(&["add", &city, "directives", "title=Chỉ thị 06"]).ok().first();
    let mut last = Vec::new();
    let said = (0..100).any(|_| {
        w.sync_relay("district");
        last = missing(&w, "city", &order);
        of(&last, "Chi bộ 2").1 == "said"
    });
    assert!(said, "{last:?}");
    let (district_row, row) = (of(&last, "Ba Đình"), of(&last, "Chi bộ 2"));
    assert_eq!(district_row.1, "met");
    assert!(row.2.as_str() >= district_row.2.as_str() && row.2.is_string(), "{last:?}");
    // Of what the district got only after that word nothing is said.
    assert_eq!(of(&missing(&w, "city", &later), "Chi bộ 2").1, "unknown");
    // At the district itself the meeting tells it.
    assert_eq!(of(&missing(&w, "district", &order), "Chi bộ 2").1, "met");
    let words = relay(&["replies", &city, &order, "--missing", "--lang", "vi"]).ok().stdout;
    assert!(words.contains("muộn nhất"), "{words}");
    drop(district);
}

#[test]
fn unsent_work_is_known_above_though_a_thin_link_does_not_let_all_of_it_through() {
    let w = World::three_levels();
    second(&w);
    let rows: String = (0..600).map(|n| format!("Nguyễn Văn {n:04} {:x}\n", n * 7_919_993_u64)).collect();
    let csv = w.path("in.csv");
    std::fs::write(&csv, format!("full_name\n{rows}")).unwrap();
    sampan(&["add", &w.path("second"), "members", "--from", &csv]).ok();
    // Cut after a handshake and little more, each time.
    let upstream = w.district_daemon.as_ref().unwrap().ready.parse().unwrap();
    let cut = Cut { every: Every::Bytes(14_000), dark: std::time::Duration::ZERO, after: After::Severed };
    let profile = Profile { cut: Some(cut), ..Profile::of(Link::default()) };
    let proxy = Proxy::start(profile, 7, upstream).unwrap();
    let address = proxy.listen().to_string();
    let told = (0..20).any(|_| {
        let out = sampan(&["sync", &w.path("second"), "--relay", &address, "--timeout", "3", "--json"]);
        assert_eq!(out.code, 4, "{out:?}");
        unsent(&w, "district").0 == 600
    });
    assert!(told, "the sign of life did not come through");
    assert!(w.list("sampan-relay", "district", "members").len() < 600, "all of its work did");
    until_unsent(&w, "city", 600);
    assert_eq!(unsent(&w, "district"), (json!(600), json!(600)));
}

#[test]
fn unsent_work_is_known_above_though_it_is_refused_and_not_when_it_has_come() {
    let mut w = World::three_levels();
    let district = w.path("district");
    let device = second(&w);
    // Its right on members is taken while it writes some.
    let narrow =
        ["narrow", &district, &device, "--unit", "001.2", "--collections", "documents", "--reason", "đổi việc"];
    relay(&narrow).ok();
    for name in ["An", "Bình", "Chi"] {
        w.add("second", "members", &[&format!("full_name={name}")]);
    }
    sampan(&["sync", &w.path("second"), "--timeout", "20", "--json"]);
    assert!(w.list("sampan-relay", "district", "members").is_empty());
    assert_eq!(unsent(&w, "district"), (json!(3), json!(3)), "what lies in the quarantine has not come");
    until_unsent(&w, "city", 3);
    // Another, whose work comes: its word of before is outdone, which the city hears from the district.
    let ticket = relay(&["invite", &district, "--unit", "001.1", "--role", "editor", "--holder", "Lan"]).ok().first();
    sampan(&["join", &w.path("third"), &ticket]).ok();
    for name in ["Dung", "Giang"] {
        w.add("third", "members", &[&format!("full_name={name}")]);
    }
    w.sync("third");
    assert_eq!(w.list("sampan-relay", "district", "members").len(), 2);
    assert_eq!(unsent(&w, "district").1, 3);
    until_sum(&w, 5);
    // It looks once an hour, and when it starts.
    w.district_daemon.take().unwrap().stop();
    until_sum(&w, 3);
}

/// Looks until the city's sum of what its district has not sent is this.
fn until_sum(w: &World, wanted: u64) {
    let mut last = Json::Null;
    let found = (0..100).any(|_| {
        w.sync_relay("district");
        last = unsent(w, "city").1;
        last == wanted
    });
    assert!(found, "{last}, not {wanted}");
}
