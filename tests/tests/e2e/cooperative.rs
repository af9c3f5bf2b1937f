//! Another domain on the same programs: the farmers' co-operative of the examples.
//!
//! It does not: test what a command does (`due`, `rollup`, …), only that nothing of it needs the shipped schema.

use crate::world::{Daemon, relay, sampan};
use serde_json::json;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/cooperative.toml");

#[test]
fn a_co_operative_keeps_households_deliveries_and_plans_with_its_own_schema() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (union, group) = (path("union"), path("group"));
    relay(&["init", &union, "--org", "Liên hiệp HTX", "--schema", SCHEMA, "--listen", "127.0.0.1:0"]).ok();
    relay(&["unit", "add", &union, "--name", "HTX Đông", "--code", "1", "--kind", "cooperative"]).ok();
    relay(&["unit", "add", &union, "--parent", "1", "--name", "Tổ 1", "--code", "1.1", "--kind", "group"]).ok();
    let ticket = relay(&["invite", &union, "--unit", "1.1", "--role", "editor", "--holder", "Tổ trưởng"]).ok().first();
    let daemon = Daemon::start("sampan-relay", &["run", &union]);
    sampan(&["join", &group, &ticket]).ok();

    let add = |fields: &[&str]| {
        let mut args = vec!["add", group.as_str()];
        args.extend(fields);
        sampan(&args).ok().first()
    };
    let household = add(&["households", "head=Nguyễn Văn Lúa", "village=Đông", "joined_on=1999"]);
    let of = format!("household={household}");
    add(&["deliveries", &of, "delivered_on=2026-11-02", "crop=rice", "weight=36,8"]);
    add(&["deliveries", &of, "delivered_on=2026-11-09", "crop=rice", "weight=2241"]);
    sampan(&["add", &group, "members", "full_name=An"]).refused(2, "members");
    relay(&["add", &union, "festivals", "name=Giỗ tổ", "day=2026-11-27"]).ok();
    let plan = relay(&["add", &union, "season_plans", "season=Đông xuân", "sow_by=2026-11-25"]).ok().first();
    sampan(&["sync", &group]).ok();

    // Thursday, then Saturday, for Friday is a feast, then Monday: farmers rest on Sundays alone.
    let due = sampan(&["due", &group, "--on", "2026-11-22", "--json"]).ok().lines();
    assert_eq!(due.len(), 1, "{due:?}");
    assert_eq!((&due[0]["record"], &due[0]["due"]), (&json!(plan), &json!("2026-11-30")));
    add(&["sowings", &format!("plan={plan}"), "sown_on=2026-11-24", "area=1,25"]);
    sampan(&["sync", &group]).ok();
    let missing = relay(&["replies", &union, &plan, "--missing", "--json"]).ok().lines();
    assert_eq!(missing.iter().map(|m| &m["name"]).collect::<Vec<_>>(), [&json!("HTX Đông")]);
    let rows = relay(&["rollup", &union, "--metric", "delivered", "--json"]).ok().lines();
    assert!(rows.iter().any(|r| r["value"] == "2277.8"), "{rows:?}");
    drop(daemon);
}
