//! Numbers, dates and the order of names as people write them: real binaries, in both languages.
//!
//! It does not: try every form (`core/src/schema/number.rs`, `core/src/date.rs` and `core/src/fold.rs` do).

use crate::world::{Out, World, command, finish, relay, sampan};
use serde_json::json;

/// A city alone, which has a record program of its own.
fn city() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let city = dir.path().join("city").display().to_string();
    relay(&["init", &city, "--org", "Thành phố", "--listen", "127.0.0.1:0"]).ok();
    (dir, city)
}

/// In Vietnamese, on a wall in Hà Nội.
fn vi(args: &[&str]) -> Out {
    let mut c = command("sampan", args);
    c.env("SAMPAN_LANG", "vi").env("TZ", "Asia/Ho_Chi_Minh");
    finish(c)
}

fn field(dir: &str, record: &str, name: &str) -> serde_json::Value {
    sampan(&["show", dir, record, "--json"]).ok().json()[name].clone()
}

#[test]
fn numbers_and_dates_come_in_and_go_out_as_the_language_writes_them() {
    let (_keep, city) = city();
    let meeting = vi(&["add", &city, "meetings", "title=Họp", "held_on=5/11/2025", "expected=2.241", "attended=1 234"])
        .ok()
        .first();
    assert_eq!(field(&city, &meeting, "expected"), json!(2241));
    assert_eq!(field(&city, &meeting, "attended"), json!(1234));
    assert_eq!(field(&city, &meeting, "held_on"), json!("2025-11-05"));
    let shown = vi(&["show", &city, &meeting]).ok().stdout;
    assert!(shown.contains("2.241") && shown.contains("1.234") && shown.contains("05/11/2025"), "{shown}");
    assert!(shown.starts_with("05/11/2025"), "the title too: {shown}");
    let shown = sampan(&["show", &city, &meeting]).ok().stdout;
    assert!(shown.contains("2,241") && shown.contains("2025-11-05"), "{shown}");

    let check = vi(&["add", &city, "inspections", "subject=Quý 4", "score=36,8"]).ok().first();
    assert_eq!(field(&city, &check, "score"), json!("36.8"));
    assert!(vi(&["show", &city, &check]).ok().stdout.contains("36,8"));
    sampan(&["set", &city, &check, "score=1,234.5"]).ok();
    assert_eq!(field(&city, &check, "score"), json!("1234.5"));
    vi(&["set", &city, &check, "score=36,8"]).ok();

    // Filters read what the person writes, and mean the same.
    let found = |out: Out| out.ok().lines().len();
    assert_eq!(
        found(vi(&["list", &city, "meetings", "--where", "expected = 2.241 and held_on = 11/2025", "--json"])),
        1
    );
    assert_eq!(found(sampan(&["list", &city, "meetings", "--where", "expected >= 2,241", "--json"])), 1);
    assert_eq!(found(vi(&["list", &city, "inspections", "--where", "score < 36,9", "--json"])), 1);
    // A year alone, a time of the wall.
    let member = vi(&["add", &city, "members", "full_name=Lê Văn An", "date_of_birth=1950"]).ok().first();
    assert!(vi(&["show", &city, &member]).ok().stdout.contains("1950"));
    let year = field(&city, &member, "_updated").as_str().unwrap()[..4].to_owned();
    let list = vi(&["list", &city, "members"]).ok().stdout;
    assert!(list.contains(&format!("/{year} ")) && !list.contains('Z'), "{list}");
}

#[test]
fn what_could_be_read_two_ways_is_asked_back_and_changes_nothing() {
    let (_keep, city) = city();
    let meeting = vi(&["add", &city, "meetings", "title=Họp", "held_on=2025", "expected=28"]).ok().first();
    let check = vi(&["add", &city, "inspections", "subject=Quý 4", "score=1"]).ok().first();
    vi(&["set", &city, &check, "score=2.241"]).refused(2, "có thể hiểu là 2241 hoặc 2,2");
    sampan(&["set", &city, &check, "score=2,241"]).refused(2, "it could mean 2241 or 2.2");
    vi(&["set", &city, &check, "score=36,85"]).refused(2, "1 chữ số thập phân");
    vi(&["set", &city, &meeting, "expected=2,241"]).refused(2, "có thể hiểu là 2241");
    sampan(&["set", &city, &meeting, "expected=2.241"]).refused(2, "it could mean 2241");
    vi(&["set", &city, &meeting, "expected=36,8"]).refused(2, "số nguyên");
    vi(&["set", &city, &meeting, "held_on=31/2/2025"]).refused(2, "ngày/tháng/năm");
    vi(&["list", &city, "inspections", "--where", "score > 2.241"]).refused(2, "2241");
    assert_eq!((field(&city, &check, "score"), field(&city, &meeting, "expected")), (json!("1.0"), json!(28)));

    let csv = std::path::Path::new(&city).with_file_name("in.csv");
    let file = csv.display().to_string();
    std::fs::write(&csv, "title;held_on;expected\nMột;5/11/2025;2.241\nHai;6/11/2025;2,241\n").unwrap();
    vi(&["add", &city, "meetings", "--from", &file]).refused(2, "2241");
    assert_eq!(sampan(&["list", &city, "meetings", "--json"]).ok().lines().len(), 1);
    std::fs::write(&csv, "title;held_on;expected\nMột;5/11/2025;2.241\nHai;6/11/2025;9.810\n").unwrap();
    vi(&["add", &city, "meetings", "--from", &file]).ok();
    let big = vi(&["list", &city, "meetings", "--where", "expected >= 2.241", "--json"]).ok().lines();
    assert_eq!(big.iter().map(|m| m["expected"].clone()).collect::<Vec<_>>(), [json!(2241), json!(9810)]);

    // What a file is written with, every language reads back.
    let out = std::path::Path::new(&city).with_file_name("out.csv").display().to_string();
    sampan(&["export", &city, "meetings", &out]).ok();
    vi(&["add", &city, "meetings", "--from", &out]).ok();
    assert_eq!(sampan(&["list", &city, "meetings", "--json"]).ok().lines().len(), 3, "by _id: nothing new");
}

#[test]
fn people_are_listed_by_their_given_names_in_vietnamese_order() {
    let (_keep, city) = city();
    // The last one is written with decomposed letters.
    for name in [
        "Nguyễn Văn Dũng",
        "Trần Thị Ánh",
        "Lê Đức",
        "Bùi Văn An",
        "Hoàng Anh",
        "Đỗ Ân",
        "Lê Ăn",
        "Phạm Bình",
        "Le\u{302} Thi\u{323} A\u{309}nh",
    ] {
        sampan(&["add", &city, "members", &format!("full_name={name}")]).ok();
    }
    // The names of these people in the order in which they are said.
    let names = |said: &str, of: &[&str]| -> Vec<String> {
        let mut found: Vec<(usize, String)> =
            of.iter().filter_map(|name| Some((said.find(name)?, (*name).to_owned()))).collect();
        found.sort();
        found.into_iter().map(|(_, name)| name).collect()
    };
    let expected = [
        "Bùi Văn An",
        "Hoàng Anh",
        "Le\u{302} Thi\u{323} A\u{309}nh",
        "Trần Thị Ánh",
        "Lê Ăn",
        "Đỗ Ân",
        "Phạm Bình",
        "Nguyễn Văn Dũng",
        "Lê Đức",
    ];
    assert_eq!(names(&sampan(&["list", &city, "members"]).ok().stdout, &expected), expected);
    // A search keeps the order, and so does the file; programs get the records by their titles.
    let searched = sampan(&["list", &city, "members", "--search", "le"]).ok().stdout;
    assert_eq!(names(&searched, &expected), [expected[2], expected[4], expected[8]]);
    let rows = sampan(&["list", &city, "members", "--json"]).ok().lines();
    let titles: Vec<&str> = rows.iter().map(|r| r["full_name"].as_str().unwrap()).collect();
    assert_eq!((titles[0], titles[8]), ("Bùi Văn An", "Trần Thị Ánh"));
    assert!(
        titles.iter().position(|t| *t == expected[8]) < titles.iter().position(|t| *t == expected[7]),
        "{titles:?}"
    );
    let file = std::path::Path::new(&city).with_file_name("people.csv");
    sampan(&["export", &city, "members", &file.display().to_string()]).ok();
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.lines().nth(1).unwrap().starts_with("Bùi Văn An"), "{text}");
}

/// Words of a text that are times as programs write them.
fn stamps(text: &str) -> Vec<&str> {
    let words = text.split_whitespace().map(|w| w.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
    words.filter(|w| w.ends_with('Z') && w.contains('T') && w.starts_with(|c: char| c.is_ascii_digit())).collect()
}

#[test]
fn status_doctor_lists_and_bundles_show_people_the_clock_on_the_wall() {
    let w = World::three_levels();
    let (district, branch, stick) = (w.path("district"), w.path("branch"), w.path("up.sampan"));
    w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    w.sync_relay("district");
    w.add("branch", "members", &["full_name=Bình"]);
    sampan(&["bundle", "create", &branch, &stick]).ok();
    let year = sampan(&["status", &branch, "--json"]).ok().json()["verified_at"].as_str().unwrap()[..4].to_owned();
    assert_eq!(stamps("verified at 2026-11-22T08:13:00Z."), ["2026-11-22T08:13:00Z"]);
    for words in [
        sampan(&["status", &branch, "--lang", "vi"]).ok(),
        relay(&["status", &district, "--lang", "vi"]).ok(),
        relay(&["devices", &district, "--lang", "vi"]).ok(),
        relay(&["unit", "list", &district, "--lang", "vi"]).ok(),
        sampan(&["bundle", "inspect", &branch, &stick, "--lang", "vi"]).ok(),
        relay(&["bundle", "inspect", &district, &stick, "--lang", "vi"]).ok(),
    ] {
        assert!(words.stdout.contains(&format!("/{year} ")), "{words:?}");
        assert_eq!(stamps(&words.stdout), Vec::<&str>::new(), "{words:?}");
    }
    let doctor = sampan(&["doctor", &branch, "--lang", "vi"]);
    assert_eq!(stamps(&doctor.stdout), Vec::<&str>::new(), "{doctor:?}");
    // Programs read the stamps.
    let status = sampan(&["status", &branch, "--json"]).ok().json();
    assert_eq!(stamps(status["verified_at"].as_str().unwrap()).len(), 1, "{status}");
}
