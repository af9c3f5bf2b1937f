//! Figures at a city, a district, two grassroots organisations and their branches, with real processes.

use crate::world::{Daemon, World, command, database, finish, relay, sampan};
use serde_json::{Value as Json, json};

/// Members go up to the root; what a meeting is about stays in the district, how many came does not.
const SCHEMA: &str = r#"
[schema]
name = "figures"
version = 1
levels = ["city", "district", "grassroots", "branch"]
[collection.members]
flow = "up"
reach = "root"
title = "{name}"
[collection.members.field.name]
kind = "string"
[collection.members.field.status]
kind = "choice"
choices = [{ id = "candidate", vi = "Dự bị", en = "Candidate" }, { id = "official", vi = "Chính thức", en = "Official" }]
[collection.members.field.admitted]
kind = "date"
[collection.members.field.dues]
kind = "decimal"
scale = 1
[collection.members.field.expected_dues]
kind = "decimal"
scale = 1
[collection.meetings]
flow = "up"
reach = "district"
title = "{subject}"
[collection.meetings.field.subject]
kind = "string"
[collection.meetings.field.held]
kind = "date"
[collection.meetings.field.came]
kind = "int"
[collection.meetings.field.invited]
kind = "int"
[metric.members]
of = "members"
op = "count"
by = ["status"]
[metric.admitted]
of = "members"
op = "count"
on = "admitted"
period = "month"
[metric.dues]
of = "members"
op = "sum:dues"
over = "sum:expected_dues"
[metric.first]
of = "members"
op = "min:admitted"
[metric.names]
of = "members"
op = "distinct:name"
[metric.came]
of = "meetings"
op = "sum:came"
on = "held"
period = "quarter"
over = "sum:invited"
[metric.most]
of = "meetings"
op = "max:came"
[metric.topics]
of = "meetings"
op = "distinct:subject"
by = ["invited"]
on = "held"
period = "quarter"
reach = "district"
"#;

/// The relays run; the branches b1 and b2 of g1 and b3 of g2 have joined; b4 is not there.
fn world() -> (World, Vec<Daemon>) {
    let dir = tempfile::tempdir().unwrap();
    let w = World { dir, city_daemon: None, district_daemon: None };
    let city = w.path("city");
    let schema = w.path("schema.toml");
    std::fs::write(&schema, SCHEMA).unwrap();
    relay(&["init", &city, "--org", "Thành phố", "--schema", &schema, "--listen", "127.0.0.1:0"]).ok();
    let unit = |parent: &str, code: &str, kind: &str| {
        let name = format!("Đơn vị {code}");
        let mut words = vec!["unit", "add", &city, "--name", &name, "--code", code, "--kind", kind];
        if !parent.is_empty() {
            words.extend(["--parent", parent]);
        }
        relay(&words).ok();
    };
    unit("", "d1", "district");
    for (parent, code) in [("d1", "g1"), ("d1", "g2")] {
        unit(parent, code, "grassroots");
    }
    for (parent, code) in [("g1", "b1"), ("g1", "b2"), ("g2", "b3"), ("g2", "b4")] {
        unit(parent, code, "branch");
    }
    let mut daemons = vec![Daemon::start("sampan-relay", &["run", &city])];
    for (at, name) in [("city", "d1"), ("d1", "g1"), ("d1", "g2")] {
        let ticket = relay(&["invite", &w.path(at), "--unit", name, "--role", "admin", "--holder", name]).ok().first();
        relay(&["join", &w.path(name), &ticket, "--listen", "127.0.0.1:0"]).ok();
        daemons.push(Daemon::start("sampan-relay", &["run", &w.path(name)]));
        w.sync_relay(name);
    }
    for (at, name) in [("g1", "b1"), ("g1", "b2"), ("g2", "b3")] {
        join(&w, at, name, name);
    }
    (w, daemons)
}

fn join(w: &World, at: &str, name: &str, unit: &str) {
    let ticket = relay(&["invite", &w.path(at), "--unit", unit, "--role", "editor", "--holder", name]).ok().first();
    sampan(&["join", &w.path(name), &ticket]).ok();
    w.sync(name);
}

/// Branches first, then every relay with its parent.
fn carry(w: &World, branches: &[&str]) {
    for name in branches {
        w.sync(name);
    }
    for name in ["g1", "g2", "d1"] {
        w.sync_relay(name);
    }
}

fn rows(w: &World, name: &str, words: &[&str]) -> Vec<Json> {
    let dir = w.path(name);
    let bin = if name.starts_with('b') { "sampan" } else { "sampan-relay" };
    let mut all = vec!["rollup", dir.as_str(), "--json"];
    all.extend(words);
    finish(command(bin, &all)).ok().lines()
}

/// The whole of a metric.
fn whole(w: &World, name: &str, metric: &str, more: &[&str]) -> Json {
    let mut words = vec!["--metric", metric];
    words.extend(more);
    let all = rows(w, name, &words);
    let row = all.iter().find(|r| r["by"] == json!({}));
    row.unwrap_or_else(|| panic!("no whole in {all:?}")).clone()
}

/// Waits until a figure has come up: what a relay passes on is on its way when its child's session ends.
fn until(w: &World, name: &str, metric: &str, more: &[&str], wanted: &Json) -> Json {
    let mut last = Json::Null;
    for _ in 0..600 {
        last = whole(w, name, metric, more);
        if last["value"] == *wanted {
            return last;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{metric} at {name} is not {wanted}: {last}");
}

fn coverage(row: &Json) -> (u64, u64) {
    (row["units_reported"].as_u64().unwrap(), row["units_expected"].as_u64().unwrap())
}

#[test]
fn figures_stand_at_every_level_with_who_is_missing_by_name() {
    let (w, _daemons) = world();
    w.add("b1", "members", &["name=An", "status=official", "admitted=2025-11-03", "dues=10.5", "expected_dues=10"]);
    w.add("b1", "members", &["name=Bình", "status=candidate", "admitted=2025-11-30", "dues=0.5", "expected_dues=2"]);
    let chi = w.add("b2", "members", &["name=Chi", "status=official", "admitted=2024", "expected_dues=1"]);
    w.add("b3", "members", &["name=An", "status=official", "admitted=2025-10-01"]);
    w.add("b1", "meetings", &["subject=x", "held=2025-11-05", "came=18", "invited=20"]);
    w.add("b3", "meetings", &["subject=y", "held=2025-12-05", "came=7", "invited=5"]);
    carry(&w, &["b1", "b2", "b3"]);
    for (name, n, reported) in
        [("b1", 2, (1, 1)), ("g1", 3, (2, 2)), ("g2", 1, (1, 2)), ("d1", 4, (3, 4)), ("city", 4, (3, 4))]
    {
        let row = until(&w, name, "members", &[], &json!(n));
        assert_eq!(coverage(&row), reported, "{name}: {row}");
        assert_eq!(row["from"], "records");
        assert!(row["oldest_input_at"].is_string() && row["projected_to"].is_u64(), "{row}");
    }
    // By dimension, period, date, different values; decimals are strings.
    let by: Vec<(Json, Json)> =
        rows(&w, "city", &["--metric", "members"]).into_iter().map(|r| (r["by"].clone(), r["value"].clone())).collect();
    assert_eq!(
        by,
        [
            (json!({}), json!(4)),
            (json!({ "status": "candidate" }), json!(1)),
            (json!({ "status": "official" }), json!(3))
        ]
    );
    assert_eq!(whole(&w, "city", "admitted", &["--period", "2025-11"])["value"], 2);
    assert_eq!(whole(&w, "city", "admitted", &["--period", "undated"])["value"], 1, "a year is no month");
    assert_eq!(whole(&w, "city", "first", &[])["value"], "2024");
    assert_eq!(whole(&w, "city", "names", &[])["value"], 3);
    let dues = whole(&w, "city", "dues", &[]);
    assert_eq!(
        (&dues["value"], &dues["over"], &dues["over_value"]),
        (&json!("11.0"), &json!("expected_dues"), &json!("13.0"))
    );
    assert_eq!((&dues["percent"], &dues["above_100"]), (&json!("84.62"), &json!(false)));
    // Above the reach of the records only the figures are there, and who stands behind them.
    assert!(w.list("sampan-relay", "city", "meetings").is_empty());
    let came = until(&w, "city", "came", &["--period", "2025-Q4"], &json!(25));
    assert_eq!(
        (&came["from"], &came["over_value"], &came["percent"]),
        (&json!("figures"), &json!("25"), &json!("100.00"))
    );
    assert_eq!(coverage(&came), (3, 4), "{came}");
    for ask in [["--unit", "d1"].as_slice(), &["--by-unit"]] {
        let of = whole(&w, "city", "came", &[&["--period", "2025-Q4"], ask].concat());
        assert_eq!((&of["name"], &of["value"], coverage(&of)), (&json!("Đơn vị d1"), &json!(25), (3, 4)), "{of}");
    }
    assert_eq!(whole(&w, "city", "most", &[])["value"], 18);
    // One level down, and the missing by name.
    let children = rows(&w, "d1", &["--metric", "came", "--period", "2025-Q4", "--by-unit"]);
    let children: Vec<Json> =
        children.iter().map(|r| json!([r["name"], r["value"], r["percent"], r["above_100"]])).collect();
    let mut sorted = children.clone();
    sorted.sort_by_key(ToString::to_string);
    assert_eq!(sorted, [json!(["Đơn vị g1", 18, "90.00", false]), json!(["Đơn vị g2", 7, "140.00", true])]);
    for (name, metric) in [("city", "members"), ("city", "came"), ("d1", "came"), ("g2", "members")] {
        let missing = rows(&w, name, &["--metric", metric, "--missing"]);
        let names: std::collections::BTreeSet<&str> = missing.iter().map(|m| m["name"].as_str().unwrap()).collect();
        assert!(names.contains("Đơn vị b4"), "{name} {metric}: {missing:?}");
        let b4 = missing.iter().find(|m| m["name"] == "Đơn vị b4").unwrap();
        assert_eq!(b4["heard_at"], Json::Null);
        assert!(b4["since"].is_string() && b4["path"].as_str().unwrap().contains("Đơn vị g2/"), "{b4}");
    }
    // An edit changes them all.
    sampan(&["set", &w.path("b2"), &chi, "status=candidate", "dues=2.5"]).ok();
    carry(&w, &["b2"]);
    for name in ["b2", "g1", "d1", "city"] {
        let wanted = if name == "b2" { "2.5" } else { "13.5" };
        until(&w, name, "dues", &[], &json!(wanted));
    }
    let dues = whole(&w, "city", "dues", &[]);
    assert_eq!((&dues["percent"], &dues["above_100"]), (&json!("103.85"), &json!(true)), "flagged, not capped");
    // For people, in both languages.
    let table = relay(&["rollup", &w.path("city"), "--metric", "dues"]).ok();
    assert!(table.stdout.contains("ABOVE 100 %") && table.stdout.contains("3/4"), "{table:?}");
    let table = relay(&["rollup", &w.path("city"), "--metric", "members", "--lang", "vi"]).ok();
    assert!(table.stdout.contains("Chính thức") && table.stdout.contains("Đã báo cáo"), "{table:?}");
    for name in ["city", "d1", "g1"] {
        relay(&["rollup", &w.path(name), "--check"]).ok();
    }
    // The missing one comes, with nothing to tell: that is an answer.
    join(&w, "g2", "b4", "b4");
    carry(&w, &["b4"]);
    for _ in 0..600 {
        if coverage(&whole(&w, "city", "members", &[])) == (4, 4) && coverage(&whole(&w, "city", "most", &[])) == (4, 4)
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("a nil return did not count: {} {}", whole(&w, "city", "members", &[]), whole(&w, "city", "most", &[]));
}

#[test]
fn a_second_device_of_a_unit_does_not_count_twice() {
    let (w, _daemons) = world();
    w.add("b1", "members", &["name=An"]);
    w.add("b1", "meetings", &["subject=x", "held=2025-11-05", "came=18", "invited=20"]);
    w.sync("b1");
    // The deputy's PC holds the same unit, and adds to it.
    join(&w, "g1", "b1b", "b1");
    w.add("b1b", "meetings", &["subject=y", "held=2025-12-05", "came=2", "invited=20"]);
    carry(&w, &["b1b", "b1", "b1b"]);
    until(&w, "city", "came", &["--period", "2025-Q4"], &json!(20));
    until(&w, "city", "members", &[], &json!(1));
    for name in ["b1", "b1b", "g1", "d1"] {
        until(&w, name, "came", &["--period", "2025-Q4"], &json!(20));
    }
    // It goes for good; what it wrote stays, once.
    std::fs::remove_dir_all(w.path("b1b")).unwrap();
    w.add("b1", "meetings", &["subject=z", "held=2025-12-06", "came=1", "invited=1"]);
    carry(&w, &["b1"]);
    until(&w, "city", "came", &["--period", "2025-Q4"], &json!(21));
}

#[test]
fn a_correction_of_a_closed_period_is_a_visible_line() {
    let (w, _daemons) = world();
    let an = w.add("b1", "members", &["name=An", "admitted=2025-11-03"]);
    w.add("b3", "members", &["name=Bình", "admitted=2025-11-04"]);
    carry(&w, &["b1", "b3"]);
    until(&w, "d1", "admitted", &["--period", "2025-11"], &json!(2));
    let close = ["rollup", &w.path("d1"), "--metric", "admitted", "--close", "2025-11", "--json"];
    let row = relay(&close).ok().json();
    assert_eq!((&row["closed"]["value"], &row["corrections"]), (&json!("2"), &json!([])), "{row}");
    assert_eq!(row["closed"]["units_reported"], 3, "as it was then, b2 with nothing to tell: {row}");
    relay(&close).refused(2, "closed already");
    // Months later b1 finds that it was October.
    sampan(&["set", &w.path("b1"), &an, "admitted=2025-10-31"]).ok();
    carry(&w, &["b1"]);
    let row = until(&w, "d1", "admitted", &["--period", "2025-11"], &json!(1));
    assert_eq!(row["closed"]["value"], "2", "what it closed with stands for ever: {row}");
    let lines = row["corrections"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{row}");
    assert_eq!((&lines[0]["old"], &lines[0]["new"], &lines[0]["record"]), (&json!("2"), &json!("1"), &json!(an)));
    assert!(lines[0]["at"].is_string(), "{row}");
    let status = sampan(&["status", &w.path("b1"), "--json"]).ok().json();
    assert_eq!(lines[0]["author"], status["device"], "by whose change");
    let words = relay(&["rollup", &w.path("d1"), "--metric", "admitted"]).ok();
    assert!(words.stdout.contains("closed, then 2 became 1"), "{words:?}");
    // The closing travels up; the city sees it at the district.
    w.sync_relay("d1");
    for _ in 0..600 {
        let row = whole(&w, "city", "admitted", &["--period", "2025-11", "--unit", "d1"]);
        if row["closed"]["value"] == "2" {
            relay(&["rollup", &w.path("d1"), "--check"]).ok();
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the closing did not come up");
}

#[test]
fn the_check_finds_a_figure_that_was_tampered_with() {
    let (w, daemons) = world();
    w.add("b1", "members", &["name=An", "status=official", "dues=1.5"]);
    carry(&w, &["b1"]);
    until(&w, "city", "members", &[], &json!(1));
    drop(daemons);
    let (city, check) = (w.path("city"), ["rollup", &w.path("city"), "--check"]);
    relay(&check).ok();
    for (spoil, words) in [
        ("UPDATE _figures SET n = 2 WHERE below = 1 AND metric = 'members'", "kept 2, counted 1"),
        ("UPDATE _figures SET total = '16' WHERE below = 0 AND metric = 'dues'", "kept 1.6, counted 1.5"),
        ("DELETE FROM _figures WHERE metric = 'members'", "counted 1"),
        ("UPDATE _figure_values SET value = '2001-01-01', n = 1 WHERE metric = 'names'", ""),
    ] {
        let saved: Vec<u8> = std::fs::read(format!("{city}/store.db")).unwrap();
        let db = database(&city);
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let before = std::fs::read(format!("{city}/store.db")).unwrap();
        db.execute_batch(spoil).unwrap();
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(db);
        let _ = saved;
        if words.is_empty() {
            // One value instead of another is as many values: the check is of figures.
            relay(&check).ok();
        } else {
            let out = relay(&check);
            assert!(out.stdout.contains(words), "{spoil}: {out:?}");
            out.refused(5, "others than those kept");
        }
        std::fs::write(format!("{city}/store.db"), before).unwrap();
        relay(&check).ok();
    }
}

#[test]
fn questions_without_an_answer_are_refused_in_a_sentence() {
    let (w, _daemons) = world();
    let city = w.path("city");
    let of = |words: &[&str]| {
        let mut all = vec!["rollup", city.as_str()];
        all.extend(words);
        finish(command("sampan-relay", &all))
    };
    of(&["--metric", "memebrs"]).refused(2, "Did you mean 'members'?");
    of(&["--period", "november"]).refused(2, "'november' is no period");
    of(&["--metric", "admitted", "--period", "2025"]).refused(2, "not kept by a period like '2025'");
    of(&["--metric", "members", "--unit", "d9"]).refused(2, "d9");
    of(&["--metric", "admitted", "--close", "2999-01"]).refused(2, "is not over");
    of(&["--metric", "admitted", "--close", "soon"]).refused(2, "is no period");
    of(&["--close", "2025-11"]).refused(2, "--metric");
    of(&["--check", "--missing"]).refused(2, "");
    sampan(&["rollup", &w.path("b1"), "--unit", "g1"]).refused(3, "no right to see");
    sampan(&["rollup", &w.path("b1"), "--metric", "admitted", "--close", "2025-11"]).refused(3, "");
    sampan(&["rollup", &w.path("nowhere")]).refused(2, "");
    let out = of(&["--metric", "nothing", "--json"]);
    let error: Json = serde_json::from_str(out.stderr.trim()).unwrap();
    assert_eq!((out.code, &error["error"]["code"]), (2, &json!("unknown_metric")), "{out:?}");
    relay(&["rollup", &city, "--check"]).ok();
}

#[test]
fn a_figure_that_is_not_known_here_is_no_zero() {
    let (w, _daemons) = world();
    w.add("b1", "meetings", &["subject=x", "held=2025-11-05", "came=18", "invited=20"]);
    w.add("b2", "meetings", &["subject=x", "held=2025-11-06", "came=3", "invited=9"]);
    carry(&w, &["b1", "b2"]);
    let q4 = ["--period", "2025-Q4"];
    let all = until(&w, "city", "came", &[&q4[..], &["--unit", "d1"]].concat(), &json!(21));
    assert_eq!((&all["reason"], &all["known_at"]), (&Json::Null, &Json::Null), "{all}");
    // The city has the district's sum alone: what an organisation or a branch has in it is not told apart.
    for (unit, reported) in [("g1", (2, 2)), ("b1", (1, 1))] {
        let row = whole(&w, "city", "came", &[&q4[..], &["--unit", unit]].concat());
        assert_eq!(
            (&row["value"], &row["reason"], &row["known_at"]),
            (&Json::Null, &json!("in_sum"), &all["unit"]),
            "{row}"
        );
        assert_eq!((coverage(&row), &row["percent"]), (reported, &Json::Null), "they are in the sum: {row}");
    }
    let below = rows(&w, "city", &["--metric", "came", "--period", "2025-Q4", "--unit", "d1", "--by-unit"]);
    assert!(below.len() == 2 && below.iter().all(|r| r["value"].is_null() && r["reason"] == "in_sum"), "{below:?}");
    let city = w.path("city");
    let ask = ["rollup", &city, "--metric", "came", "--period", "2025-Q4", "--unit", "g1"];
    let words = relay(&ask).ok();
    assert!(
        words.stdout.contains("not known here") && words.stderr.contains("within the sum of Đơn vị d1"),
        "{words:?}"
    );
    let words = relay(&[&ask[..], &["--lang", "vi"]].concat()).ok();
    assert!(words.stdout.contains("ở đây chưa biết") && words.stderr.contains("trong tổng của Đơn vị d1"), "{words:?}");
    // Nothing is signed of it, and those who keep it know it.
    relay(&["rollup", &city, "--metric", "came", "--unit", "g1", "--close", "2025-Q4"]).refused(4, "not known here");
    let row = whole(&w, "d1", "came", &[&q4[..], &["--unit", "g1"]].concat());
    assert_eq!((&row["value"], &row["reason"]), (&json!(21), &Json::Null), "{row}");
    // What is known and nothing is a zero.
    assert_eq!(whole(&w, "d1", "came", &[&q4[..], &["--unit", "g2"]].concat())["value"], 0);
    // Of a district without a relay nobody has said anything.
    relay(&["unit", "add", &city, "--name", "Đơn vị d2", "--code", "d2", "--kind", "district"]).ok();
    let row = whole(&w, "city", "came", &[&q4[..], &["--unit", "d2"]].concat());
    assert_eq!((&row["value"], &row["reason"]), (&Json::Null, &json!("not_said")), "{row}");
}

#[test]
fn numbers_of_different_values_are_never_added_up() {
    let (w, _daemons) = world();
    w.add("b1", "meetings", &["subject=x", "held=2025-11-05", "came=18", "invited=20"]);
    w.add("b2", "meetings", &["subject=x", "held=2025-11-06", "came=3", "invited=9"]);
    w.add("b3", "meetings", &["subject=y", "held=2025-11-07", "came=3", "invited=9"]);
    carry(&w, &["b1", "b2", "b3"]);
    let q4 = ["--period", "2025-Q4"];
    until(&w, "d1", "topics", &q4, &json!(2));
    let by = rows(&w, "d1", &["--metric", "topics", "--period", "2025-Q4"]);
    let by: Vec<(&Json, &Json)> = by.iter().map(|r| (&r["by"]["invited"], &r["value"])).collect();
    assert_eq!(by, [(&Json::Null, &json!(2)), (&json!("20"), &json!(1)), (&json!("9"), &json!(2))]);
    // What a period closes with tells the whole too, which its dimensions do not add up to.
    let closed = relay(&["rollup", &w.path("d1"), "--metric", "topics", "--close", "2025-Q4", "--json"]).ok().lines();
    let closed: Vec<&Json> = closed.iter().map(|r| &r["closed"]["value"]).collect();
    assert_eq!(closed, [&json!("2"), &json!("1"), &json!("2")]);
    // It does not travel above the records: the city says so.
    let row = whole(&w, "city", "topics", &[&q4[..], &["--unit", "d1"]].concat());
    assert_eq!((&row["value"], &row["reason"]), (&Json::Null, &json!("out_of_reach")), "{row}");
}
