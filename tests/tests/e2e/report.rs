//! Targets from a city through a district to branches, and the page that shows them: real binaries, the shipped schema.
//!
//! It does not: test the layout (`node/src/report`), only that what stands on the page is what the figures say.

use crate::world::{Daemon, Out, World, command, finish, relay, sampan};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A name that means harm to a page.
const HOSTILE: &str = "Chi bộ <script>alert('x')</script> \"&\"";

/// The city with its relay running, the district d1 with its own, the branches b1 and b2 of d1 and b3 of d2 joined;
/// b4 is not there.
fn world() -> (World, Vec<Daemon>) {
    let dir = tempfile::tempdir().unwrap();
    let w = World { dir, city_daemon: None, district_daemon: None };
    let city = w.path("city");
    relay(&["init", &city, "--org", "Thành phố & huyện", "--listen", "127.0.0.1:0"]).ok();
    let unit = |parent: &str, code: &str, kind: &str, name: &str| {
        let mut words = vec!["unit", "add", &city, "--name", name, "--code", code, "--kind", kind];
        if !parent.is_empty() {
            words.extend(["--parent", parent]);
        }
        relay(&words).ok();
    };
    unit("", "d1", "district", "Quận Ba Đình");
    unit("", "d2", "district", "Quận Hoàn Kiếm");
    unit("d1", "b1", "branch", "Chi bộ 1");
    unit("d1", "b2", "branch", HOSTILE);
    unit("d2", "b3", "branch", "Chi bộ 3");
    unit("d2", "b4", "branch", "Chi bộ 4 <b>");
    let mut daemons = vec![Daemon::start("sampan-relay", &["run", &city])];
    let ticket = relay(&["invite", &city, "--unit", "d1", "--role", "admin", "--holder", "Quận"]).ok().first();
    relay(&["join", &w.path("d1"), &ticket, "--listen", "127.0.0.1:0"]).ok();
    daemons.push(Daemon::start("sampan-relay", &["run", &w.path("d1")]));
    w.sync_relay("d1");
    for (at, name) in [("d1", "b1"), ("d1", "b2"), ("city", "b3")] {
        let ticket = relay(&["invite", &w.path(at), "--unit", name, "--role", "editor", "--holder", name]).ok().first();
        sampan(&["join", &w.path(name), &ticket]).ok();
        w.sync(name);
    }
    (w, daemons)
}

/// Admissions of a branch in one month: so many, and so many of them in the non-state sector.
fn admissions(w: &World, name: &str, month: &str, all: usize, non_state: usize) {
    let member = w.add(name, "members", &[&format!("full_name=An {month}"), "status=official"]);
    let mut csv = "member,kind,held_on,sector\n".to_owned();
    for i in 0..all {
        let sector = if i < non_state { "non_state" } else { "state" };
        csv += &format!("{member},admission,{month}-{:02},{sector}\n", i % 28 + 1);
    }
    // Others happen too, and count for nothing here.
    csv += &format!("{member},reward,{month}-01,state\n");
    let file = w.path(&format!("{name}-{month}.csv"));
    std::fs::write(&file, csv).unwrap();
    sampan(&["add", &w.path(name), "events", "--from", &file]).ok();
}

fn at_relay(w: &World, name: &str, collection: &str, fields: &[&str]) -> String {
    let dir = w.path(name);
    let mut words = vec!["add", dir.as_str(), collection];
    words.extend(fields);
    relay(&words).ok().first()
}

fn run(w: &World, name: &str, words: &[&str]) -> Out {
    let dir = w.path(name);
    let mut all = vec![words[0], dir.as_str()];
    all.extend(&words[1..]);
    finish(command(if name.starts_with('b') { "sampan" } else { "sampan-relay" }, &all))
}

fn targets(w: &World, name: &str, more: &[&str]) -> Vec<Json> {
    let mut words = vec!["targets", "--json"];
    words.extend(more);
    run(w, name, &words).ok().lines()
}

fn of<'j>(rows: &'j [Json], unit: &str, slice: &str) -> &'j Json {
    let found = rows.iter().find(|r| r["name"] == unit && r["slice"] == slice && r["metric"] == "admissions");
    found.unwrap_or_else(|| panic!("no {unit} {slice} in {rows:#?}"))
}

/// The tables of a page: by caption, the text of each cell; pictures left out. Every tag is closed, in order.
fn tables(page: &str) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut out: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let (mut open, mut caption): (Vec<String>, String) = (Vec::new(), String::new());
    let (mut rows, mut row, mut text): (Vec<Vec<String>>, Vec<String>, String) = Default::default();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(at) = rest.find('<') {
        if !open.iter().any(|t| t == "svg" || t == "style") {
            text += &rest[..at];
        }
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed out of order");
            let plain = |t: &str| {
                let t = t.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
                t.replace("&amp;", "&").trim().to_owned()
            };
            match name {
                "caption" => caption = plain(&text),
                "th" | "td" => row.push(plain(&text)),
                "tr" => rows.push(std::mem::take(&mut row)),
                "table" => drop(out.insert(std::mem::take(&mut caption), std::mem::take(&mut rows))),
                _ => {}
            }
        } else if !tag.ends_with('/') && !tag.starts_with("meta") {
            let name = tag.split(' ').next().unwrap();
            open.push(name.to_owned());
            if matches!(name, "caption" | "th" | "td") {
                text.clear();
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "left open: {open:?}");
    out
}

fn page(w: &World, name: &str, more: &[&str]) -> String {
    let file = w.path(&format!("{name}.html"));
    let mut words = vec!["report", "--out", file.as_str()];
    words.extend(more);
    run(w, name, &words).ok();
    std::fs::read_to_string(file).unwrap()
}

/// A number as the page writes it.
fn vi(n: &Json) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('.');
        }
        out.push(c);
    }
    out
}

#[test]
fn targets_are_split_handed_down_and_reached_at_every_level_and_the_page_says_the_same() {
    let (w, daemons) = world();
    // Set for the year and handed down; the parts need not add up, nor the slices.
    let measured = "measured_by=admissions";
    at_relay(&w, "city", "targets", &["title=Kết nạp đảng viên", measured, "period=2026", "value=9810"]);
    let to = |unit: &str| format!("to_units=[\"{unit}\"]");
    for (unit, value) in [("d1", "value=6000"), ("d2", "value=3700")] {
        at_relay(&w, "city", "targets", &["title=Kết nạp", measured, "period=2026", value, &to(unit)]);
    }
    let slice = "slice=Ngoài nhà nước";
    at_relay(&w, "city", "targets", &["title=Kết nạp", measured, slice, "period=2026", "value=454"]);
    let new = at_relay(&w, "city", "targets", &["title=Tổ chức đảng mới", "period=2026", "value=69"]);
    at_relay(&w, "city", "targets", &["title=Lạ", "measured_by=no_such", "period=2026", "value=1"]);
    for (unit, value) in [("b1", "value=1500"), ("b2", "value=500")] {
        at_relay(&w, "d1", "targets", &["title=Kết nạp", measured, "period=2026", value, &to(unit)]);
    }
    let order = at_relay(&w, "city", "directives", &["title=Chỉ thị <i>05</i>", "due=2026-12-01"]);
    w.sync_relay("d1");
    for name in ["b1", "b2", "b3"] {
        w.sync(name);
    }
    admissions(&w, "b1", "2026-02", 900, 60);
    admissions(&w, "b1", "2026-08", 500, 40);
    admissions(&w, "b2", "2026-05", 600, 60);
    admissions(&w, "b3", "2026-08", 241, 7);
    admissions(&w, "b3", "2025-12", 5, 5);
    let result = format!("target={new}");
    w.add("b1", "results", &[&result, "period=2026-Q1", "value=20"]);
    w.add("b3", "results", &[&result, "period=2026-Q3", "value=9"]);
    w.add(
        "b1",
        "receipts",
        &[&format!("directive={order}"), "read=true", "studied=true", "expected=20", "attended=19"],
    );
    w.add("b3", "officers", &["full_name=Nguyễn <u>Văn</u> A", "post=secretary", "phone=0912 345 678"]);
    for name in ["b1", "b2", "b3"] {
        w.sync(name);
    }
    w.sync_relay("d1");
    let mut rows = Vec::new();
    for _ in 0..600 {
        rows = targets(&w, "city", &["--by-unit"]);
        if of(&rows, "Thành phố & huyện", "")["value"] == 2241 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    // The city: 2,241 of 9,810, and what was handed down beside it.
    let row = of(&rows, "Thành phố & huyện", "");
    assert_eq!(
        (&row["target"], &row["value"], &row["percent"]),
        (&json!(9810), &json!(2241), &json!("22.84")),
        "{row}"
    );
    assert_eq!((&row["handed_down"], &row["handed_to"], &row["over"]), (&json!(9700), &json!(2), &json!("target")));
    assert_eq!((&row["units_expected"], &row["above_100"]), (&json!(4), &json!(false)));
    assert_eq!(row["units_reported"], 3, "b4 has said nothing: {row}");
    let row = of(&rows, "Thành phố & huyện", "Ngoài nhà nước");
    assert_eq!((&row["target"], &row["value"], &row["percent"]), (&json!(454), &json!(167), &json!("36.78")), "{row}");
    assert_eq!(row["by"], json!({ "sector": "non_state" }));
    let by_hand = rows.iter().find(|r| r["by_hand"] == true && r["name"] == "Thành phố & huyện").unwrap();
    assert_eq!((&by_hand["target"], &by_hand["value"], &by_hand["percent"]), (&json!(69), &json!(29), &json!("42.03")));
    let odd = rows.iter().find(|r| r["title"] == "Lạ").unwrap();
    assert_eq!((&odd["problem"], &odd["value"]), (&json!("no_metric"), &Json::Null), "{odd}");
    // One level down, there and at the district itself.
    let row = of(&rows, "Quận Ba Đình", "");
    assert_eq!(
        (&row["target"], &row["value"], &row["percent"]),
        (&json!(6000), &json!(2000), &json!("33.33")),
        "{row}"
    );
    let at_d1 = targets(&w, "d1", &["--by-unit"]);
    let row = of(&at_d1, "Quận Ba Đình", "");
    assert_eq!(
        (&row["target"], &row["value"], &row["handed_down"]),
        (&json!(6000), &json!(2000), &json!(2000)),
        "{row}"
    );
    let row = of(&at_d1, HOSTILE, "");
    assert_eq!((&row["target"], &row["percent"], &row["above_100"]), (&json!(500), &json!("120.00"), &json!(true)));
    let row = targets(&w, "b1", &[]);
    let row = of(&row, "Chi bộ 1", "");
    assert_eq!(
        (&row["target"], &row["value"], &row["percent"]),
        (&json!(1500), &json!(1400), &json!("93.33")),
        "{row}"
    );
    // As of the end of an earlier quarter.
    let q2 = targets(&w, "city", &["--period", "2026-Q2"]);
    assert_eq!(of(&q2, "Thành phố & huyện", "")["value"], 1500, "what came by the end of June: {q2:?}");
    assert_eq!(of(&q2, "Thành phố & huyện", "")["target"], 9810);
    assert!(targets(&w, "city", &["--period", "2027"]).is_empty(), "no target is set for that year");
    // For people.
    let table = run(&w, "city", &["targets", "--by-unit", "--lang", "vi"]).ok().stdout;
    assert!(table.contains("9.810") && table.contains("22,84 %") && table.contains("Ngoài nhà nước"), "{table}");
    let table = run(&w, "d1", &["targets", "--by-unit"]).ok().stdout;
    assert!(table.contains("120.00 % (ABOVE 100 %)"), "{table}");
    let table = run(&w, "city", &["rollup", "--metric", "admissions", "--lang", "vi"]).ok().stdout;
    assert!(table.contains("Kết nạp đảng viên"), "metrics have their labels: {table}");

    // The page says what `targets` and `rollup` say, in both languages.
    for lang in ["vi", "en"] {
        let text = page(&w, "city", &["--lang", lang, "--period", "2026-Q3", "--days", "0"]);
        assert!(text.contains(&format!("<html lang=\"{lang}\">")));
        assert!(!text.contains("<script") && !text.contains("<b>\"") && !text.contains("<u>") && !text.contains("<i>"));
        for banned in ["http://", "https://", "src=", "href=", "@import"] {
            assert!(!text.contains(banned), "{banned}");
        }
        let tables = tables(&text);
        let number = |n: &Json| if lang == "vi" { vi(n) } else { vi(n).replace('.', ",") };
        let words =
            run(&w, "city", &["rollup", "--json", "--metric", "admissions", "--period", "2026-Q3", "--by-unit"]);
        let caption = if lang == "vi" {
            "Kết nạp đảng viên theo đơn vị, quý 3/2026"
        } else {
            "Admissions by unit, Q3 2026"
        };
        let shown = &tables[caption];
        let units: Vec<Json> = words.ok().lines().into_iter().filter(|r| r["by"] == json!({})).collect();
        assert_eq!(units.len() + 1, shown.len(), "one line a unit and the headings: {shown:?}");
        for unit in units {
            let line = shown.iter().find(|l| l[0] == unit["name"].as_str().unwrap()).unwrap();
            assert_eq!(line[1], number(&unit["value"]), "{line:?}");
            let separator = if lang == "vi" { "/" } else { " of " };
            let coverage = format!("{}{separator}{}", unit["units_reported"], unit["units_expected"]);
            assert!(line[3].starts_with(&coverage), "{coverage}: {line:?}");
        }
        let rows = targets(&w, "city", &["--by-unit", "--period", "2026-Q3"]);
        let caption = if lang == "vi" {
            "Kết nạp đảng viên, năm 2026: chỉ tiêu và kết quả theo đơn vị"
        } else {
            "Kết nạp đảng viên, 2026: target and result by unit"
        };
        for line in &tables[caption][1..] {
            let row = of(&rows, &line[0], "");
            assert!(line[1].starts_with(&number(&row["target"])), "{line:?} {row}");
            assert_eq!(line[2], number(&row["value"]), "{line:?}");
            let percent = row["percent"].as_str().unwrap();
            let percent = if lang == "vi" { percent.replace('.', ",") } else { percent.to_owned() };
            assert!(line[3].starts_with(&percent), "{line:?}");
        }
        let all: String = tables.values().flatten().flatten().map(|c| format!("{c}\n")).collect();
        assert!(all.contains("Quận Hoàn Kiếm/Chi bộ 4 <b>"), "the missing by name: {all}");
        assert!(all.contains("Nguyễn <u>Văn</u> A, 0912 345 678"), "whom to call: {all}");
        assert!(text.contains("Chỉ thị &lt;i&gt;05&lt;/i&gt;"), "what is not answered by all");
    }
    let text = page(&w, "d1", &["--lang", "vi"]);
    assert!(text.contains("▲ TRÊN 100 %") && text.contains("120,00 %"), "flagged, also in words");
    tables(&page(&w, "b1", &["--lang", "en"]));
    drop(daemons);
}

#[test]
fn a_page_that_cannot_be_made_is_refused_in_a_sentence_and_leaves_what_was_there() {
    let (w, daemons) = world();
    drop(daemons);
    let city = w.path("city");
    let out = w.path("out.html");
    // Nothing in it yet, and a page all the same.
    relay(&["report", &city, "--out", &out]).ok();
    let first = std::fs::read_to_string(&out).unwrap();
    assert!(tables(&first).keys().any(|c| c.contains("have not reported")), "{first}");
    let of = |words: &[&str]| {
        let mut all = vec!["report", city.as_str()];
        all.extend(words);
        relay(&all)
    };
    of(&["--out", &w.path("out.csv")]).refused(2, "html page, not '.csv'");
    of(&["--out", &w.path("nowhere/out.html")]).refused(1, "cannot be written");
    of(&["--out", &out, "--period", "november"]).refused(2, "'november' is no period");
    of(&["--out", &out, "--unit", "d9"]).refused(2, "d9");
    of(&[]).refused(2, "--out");
    relay(&["report", &w.path("nothing"), "--out", &out]).refused(2, "");
    sampan(&["report", &w.path("b1"), "--unit", "d1", "--out", &out]).refused(3, "no right to see");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), first, "what is refused changes nothing");
    std::fs::create_dir(w.path("folder.html")).unwrap();
    of(&["--out", &w.path("folder.html")]).refused(1, "cannot be written");
    assert!(!std::path::Path::new(&w.path("folder.html.new")).exists());
    let said = of(&["--out", &out, "--unit", "d1", "--json"]).ok().json();
    assert_eq!((&said["file"], &said["targets"]), (&json!(out), &json!(0)), "{said}");
    assert!(said["missing"].as_u64().unwrap() <= 2, "of its own two branches alone: {said}");

    let of = |words: &[&str]| {
        let mut all = vec!["targets", city.as_str()];
        all.extend(words);
        relay(&all)
    };
    of(&["--metric", "admisions"]).refused(2, "Did you mean 'admissions'?");
    of(&["--period", "soon"]).refused(2, "is no period");
    of(&["--unit", "d9"]).refused(2, "d9");
    sampan(&["targets", &w.path("b1"), "--unit", "d1"]).refused(3, "no right to see");
    assert!(of(&[]).ok().stderr.contains("No target"));

    // None for the city itself: then what was handed down stands below the line, and says so. Two of one issuer add up.
    for (unit, value) in [("d1", "value=10"), ("d2", "value=20"), ("d2", "value=5")] {
        let to = format!("to_units=[\"{unit}\"]");
        at_relay(&w, "city", "targets", &["title=Kết nạp", "measured_by=admissions", "period=2026-Q4", value, &to]);
    }
    let rows = targets(&w, "city", &["--by-unit", "--period", "2026-Q4"]);
    let row = self::of(&rows, "Thành phố & huyện", "");
    assert_eq!((&row["target"], &row["handed_down"], &row["over"]), (&Json::Null, &json!(35), &json!("handed_down")));
    assert_eq!((&row["value"], &row["percent"]), (&json!(0), &json!("0.00")), "{row}");
    let row = self::of(&rows, "Quận Hoàn Kiếm", "");
    assert_eq!((&row["target"], &row["records"], &row["over"]), (&json!(25), &json!(2), &json!("target")), "{row}");
    // What cannot be measured says why; it is not zero.
    let odd = [("slice=Tư nhân", "period=2026", "no_slice"), ("slice=", "period=2026-11", "no_period")];
    for (slice, period, problem) in odd {
        at_relay(&w, "city", "targets", &["title=Lạ", "measured_by=admissions", slice, period, "value=5"]);
        let rows = targets(&w, "city", &[]);
        let row = rows.iter().find(|r| r["problem"] == problem).unwrap_or_else(|| panic!("{problem}: {rows:#?}"));
        assert_eq!((&row["value"], &row["percent"]), (&Json::Null, &Json::Null), "{row}");
    }
}
