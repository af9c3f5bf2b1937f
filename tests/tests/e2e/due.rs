//! What is due at a branch, a district and the city, and who has answered: real binaries, the shipped schema.
//!
//! It does not: test the rules one by one (`core/src/due`).

use crate::world::{World, relay, sampan};
use serde_json::{Value as Json, json};

fn due(w: &World, program: fn(&[&str]) -> crate::world::Out, name: &str, more: &[&str]) -> Vec<Json> {
    let dir = w.path(name);
    let mut args = vec!["due", dir.as_str(), "--json", "--on", "2026-11-22"];
    args.extend(more);
    program(&args).ok().lines()
}

fn of_rule<'j>(rows: &'j [Json], rule: &str) -> Vec<&'j Json> {
    rows.iter().filter(|r| r["rule"] == rule).collect()
}

#[test]
fn probation_badges_directives_and_reports_fall_due_where_they_belong() {
    let w = World::three_levels();
    let candidate = w.add("branch", "members", &["full_name=An", "status=candidate", "admission_date=20/11/2025"]);
    w.add("branch", "members", &["full_name=Bình", "status=candidate", "admission_date=2026-05"]);
    let old = w.add(
        "branch",
        "members",
        &["full_name=Cường", "status=official", "admission_date=1986-11-30", "badge_years=30"],
    );
    let city = w.path("city");
    let order = |fields: &[&str]| {
        let mut args = vec!["add", city.as_str(), "directives"];
        args.extend(fields);
        relay(&args).ok().first()
    };
    // 28 November 2026 is a Saturday; the Friday before it is a holiday here.
    relay(&["add", &city, "holidays", "name=Hội làng", "starts=2026-11-27"]).ok();
    let to_all = order(&["title=Chỉ thị 05", "due=2026-11-28"]);
    let to_two = order(&["title=Riêng cho Chi bộ 2", "due=2026-11-20", "to_units=[\"001.2\"]"]);
    order(&["title=Đã thu hồi", "due=2026-11-20", "state=recalled"]);
    w.sync_relay("district");
    w.sync("branch");

    let rows = due(&w, sampan, "branch", &[]);
    let late = &rows[0];
    assert_eq!((&late["rule"], &late["record"]), (&json!("probation_ends"), &json!(candidate)), "{rows:?}");
    assert_eq!((&late["due"], &late["days"], &late["late"]), (&json!("2026-11-20"), &json!(-2), &json!(true)));
    let badges = of_rule(&rows, "badge");
    assert_eq!(badges.len(), 1, "{rows:?}");
    assert_eq!((&badges[0]["record"], &badges[0]["milestone"]), (&json!(old), &json!("40 years")));
    let directives = of_rule(&rows, "directive");
    assert_eq!(directives.len(), 1, "one is for another branch, one was recalled: {rows:?}");
    assert_eq!((&directives[0]["record"], &directives[0]["due"]), (&json!(to_all), &json!("2026-11-26")));
    // Founded today, the branch owes no report of quarters before it; the one that runs is due in January.
    assert_eq!(of_rule(&rows, "quarterly_report").len(), 0, "{rows:?}");
    let ahead = due(&w, sampan, "branch", &["--days", "60"]);
    let reports = of_rule(&ahead, "quarterly_report");
    assert_eq!((&reports[0]["period"], &reports[0]["due"]), (&json!("2026-Q4"), &json!("2027-01-07")), "{ahead:?}");

    // Studied, received, reported: then nothing of it is due any more, here and above.
    w.add("branch", "receipts", &[&format!("directive={to_all}"), "read=true"]);
    assert_eq!(of_rule(&due(&w, sampan, "branch", &[]), "directive").len(), 1, "read is not yet studied");
    w.add("branch", "receipts", &[&format!("directive={to_all}"), "studied=true", "members_attended=26"]);
    w.add("branch", "reports", &["kind=quarterly", "period=2026-Q4"]);
    sampan(&["set", &w.path("branch"), &old, "badge_years=40"]).ok();
    w.sync("branch");
    w.sync_relay("district");
    let rows = due(&w, sampan, "branch", &["--days", "60"]);
    assert!(rows.iter().all(|r| r["rule"] == "probation_ends"), "{rows:?}");
    let below = due(&w, relay, "district", &["--below", "--days", "60"]);
    let open: Vec<(&str, String)> = of_rule(&below, "directive")
        .iter()
        .map(|r| (r["record"].as_str().unwrap_or_default(), w.path(r["unit"].as_str().unwrap_or_default())))
        .collect();
    assert_eq!(open.len(), 3, "the district and Chi bộ 2 for the first, Chi bộ 2 for its own: {below:?}");
    assert_eq!(open.iter().filter(|(r, _)| *r == to_two).count(), 1);
    let narrowed = due(&w, relay, "district", &["--below", "--unit", "001.2"]);
    assert_eq!(of_rule(&narrowed, "directive").len(), 2, "{narrowed:?}");

    // For people: dates their way, and the late by a word.
    let words = sampan(&["due", &w.path("branch"), "--on", "22/11/2026", "--lang", "vi"]).ok().stdout;
    assert!(words.contains("20/11/2026") && words.contains("CHẬM 2 ngày"), "{words}");
}

#[test]
fn a_holiday_that_says_no_day_is_told_and_a_year_without_any_too() {
    let w = World::three_levels();
    let city = w.path("city");
    let odd = relay(&["add", &city, "holidays", "name=Tết", "starts=2026"]).ok().first();
    relay(&["add", &city, "directives", "title=Chỉ thị", "due=2026-11-28"]).ok();
    w.sync_relay("district");
    w.sync("branch");
    let out = sampan(&["due", &w.path("branch"), "--on", "2026-11-22"]).ok();
    assert!(out.stderr.contains(&odd) && out.stderr.contains("it names no day"), "{out:?}");
    assert!(out.stderr.contains("No holidays of 2026 are known"), "{out:?}");
    assert!(out.stdout.contains("2026-11-27"), "the Friday before: {out:?}");
}

#[test]
fn the_missing_are_listed_by_name_and_answers_count_wherever_they_come_from() {
    let w = World::three_levels();
    let city = w.path("city");
    let order = relay(&["add", &city, "directives", "title=Chỉ thị 05"]).ok().first();
    w.sync_relay("district");
    w.sync("branch");
    let replies = |name: &str, more: &[&str]| {
        let dir = w.path(name);
        let mut args = vec!["replies", dir.as_str(), order.as_str()];
        args.extend(more);
        relay(&args).ok()
    };
    let rows = replies("city", &["--json"]).lines();
    assert_eq!(rows.len(), 3, "the district and its two branches: {rows:?}");
    assert!(rows.iter().all(|r| r["answered"] == false && r["asked"] == true), "{rows:?}");
    // A nil return is an answer.
    w.add("branch", "receipts", &[&format!("directive={order}")]);
    w.sync("branch");
    w.sync_relay("district");
    let missing = replies("city", &["--missing", "--json"]).lines();
    let names: Vec<&str> = missing.iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(names, ["Quận Ba Đình", "Quận Ba Đình/Chi bộ 2"]);
    let words = replies("city", &[]);
    assert!(words.stderr.contains("Chỉ thị 05: 1 of 3 units have answered"), "{words:?}");
    assert!(words.stdout.contains("MISSING") && words.stdout.contains("Chi bộ 2"), "{words:?}");
    assert_eq!(replies("district", &["--unit", "001.1", "--json"]).lines().len(), 1);
    // An answer to what has not arrived here is shown as such.
    let unknown = "00112233445566778899aabbccddeeff";
    w.add("branch", "receipts", &[&format!("directive={unknown}")]);
    let early = sampan(&["replies", &w.path("branch"), unknown]).ok();
    assert!(early.stderr.contains("has not arrived here") && early.stdout.contains("not asked"), "{early:?}");
}

#[test]
fn wrong_days_records_and_addresses_are_refused() {
    let w = World::three_levels();
    let branch = w.path("branch");
    let an = w.add("branch", "members", &["full_name=An"]);
    sampan(&["due", &branch, "--on", "2026-13-01"]).refused(2, "--on");
    sampan(&["due", &branch, "--on", "2026"]).refused(2, "YYYY-MM-DD");
    sampan(&["due", &branch, "--days", "-1"]).refused(2, "");
    sampan(&["due", &branch, "--days", "99999"]).refused(2, "");
    sampan(&["due", &branch, "--unit", "nowhere"]).refused(2, "nowhere");
    sampan(&["due", &w.path("none")]).refused(2, "");
    sampan(&["replies", &branch, &an]).refused(2, "No collection answers");
    sampan(&["replies", &branch, "00112233445566778899aabbccddeeff"]).refused(2, "00112233");
    let city = w.path("city");
    relay(&["add", &city, "directives", "title=Chỉ thị", "to_units=[\"001.9\"]"]).refused(2, "001.9");
    assert_eq!(w.list("sampan-relay", "city", "directives").len(), 0, "nothing was written");
    let order = relay(&["add", &city, "directives", "title=Chỉ thị"]).ok().first();
    relay(&["set", &city, &order, "to_units+=[\"001.9\"]"]).refused(2, "001.9");
}
