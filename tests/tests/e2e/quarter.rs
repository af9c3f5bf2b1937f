//! A quarter in the life of a district, with real processes: 67 organisations with 335 branches and 9,145 members,
//! twenty PCs, a tenth of the branches silent for weeks, a cloned PC and a late correction. Beside it the plain
//! account of `model::figures`, which must come to the same figures at every level for every period.
//!
//! It does not: wait for a quarter: dates stand in the records. Who is silent has not met a relay yet.

use crate::world::{Daemon, World, command, copy_folder, finish, relay, sampan};
use sampan_tests::model::figures::{Book, Metric, Over, Said, Spot};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the quarter's figures need beside the shipped schema.
const MORE: &str = r#"
[collection.shares]
label = { vi = "Phần chỉ tiêu đã nhận", en = "Shares of a target" }
flow = "up"
reach = "root"
reply_to = "targets"
identity = ["target", "_unit"]
title = "{value}"
[collection.shares.field.target]
kind = "ref"
to = "targets"
required = true
[collection.shares.field.value]
kind = "int"
[metric.q_admissions]
of = "members"
op = "count"
where = "status = candidate"
on = "admission_date"
period = "quarter"
over = "q_target"
[metric.q_target]
of = "shares"
op = "sum:value"
[metric.q_attended]
of = "meetings"
op = "sum:attended"
by = ["kind"]
on = "held_on"
period = "quarter"
over = "sum:expected"
[metric.q_steps]
of = "progress"
op = "count"
where = "state = done"
by = ["step"]
expected = "grassroots"
"#;

/// The same as plain questions.
fn metrics() -> Vec<Metric> {
    let all = |id, of| Metric {
        id,
        of,
        sum: None,
        counts: |_| true,
        by: None,
        quarter_of: None,
        expected: 3,
        over: Over::Nothing,
    };
    vec![
        Metric { by: Some("status"), ..all("members_all", "members") },
        Metric {
            counts: |f| f.get("status").is_some_and(|s| s == "official"),
            by: Some("gender"),
            ..all("members_official", "members")
        },
        Metric {
            counts: |f| f.get("read").is_some_and(|s| s == "true"),
            by: Some("directive"),
            ..all("receipts_read", "receipts")
        },
        Metric {
            sum: Some("attended"),
            by: Some("directive"),
            over: Over::Field("expected"),
            ..all("study_attended", "receipts")
        },
        Metric {
            counts: |f| f.get("status").is_some_and(|s| s == "candidate"),
            quarter_of: Some("admission_date"),
            over: Over::Sum("shares", "value"),
            ..all("q_admissions", "members")
        },
        Metric { sum: Some("value"), ..all("q_target", "shares") },
        Metric {
            sum: Some("attended"),
            by: Some("kind"),
            quarter_of: Some("held_on"),
            over: Over::Field("expected"),
            ..all("q_attended", "meetings")
        },
        Metric {
            counts: |f| f.get("state").is_some_and(|s| s == "done"),
            by: Some("step"),
            expected: 2,
            ..all("q_steps", "progress")
        },
    ]
}

/// Organisations, branches of each, members.
const ORGANISATIONS: usize = 67;
const BRANCHES_EACH: usize = 5;
const MEMBERS: usize = 9_145;
/// Organisations whose office types for itself and its branches, the first two within reach, the others silent.
const OFFICES: std::ops::Range<usize> = 1..9;
/// Organisations whose first branch has a PC of its own, the first four silent.
const PCS: std::ops::Range<usize> = 9..21;
/// The last organisation has nobody yet who would report.
const MISSING: &str = "g67";

fn organisation(n: usize) -> String {
    format!("g{n:02}")
}

struct District {
    w: World,
    book: Book,
    metrics: Vec<Metric>,
    /// Who writes for each unit.
    writers: BTreeMap<String, String>,
    silent: BTreeSet<String>,
}

/// One row of an import: the unit and its fields.
type Line = (String, Vec<(&'static str, String)>);

impl District {
    fn places(&self) -> BTreeSet<String> {
        self.writers.values().cloned().collect()
    }

    fn loud(&self) -> Vec<String> {
        self.places().into_iter().filter(|p| !self.silent.contains(p)).collect()
    }

    /// Each place writes what is its own of these lines, in one import; the ids by unit.
    fn write(&mut self, of: &str, lines: &[Line]) -> BTreeMap<String, Vec<String>> {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for place in self.places() {
            let own: Vec<&Line> = lines.iter().filter(|(unit, _)| self.writers[unit] == place).collect();
            let Some((_, first)) = own.first() else { continue };
            let mut text = format!("_unit,{}\n", first.iter().map(|(f, _)| *f).collect::<Vec<_>>().join(","));
            for (unit, fields) in &own {
                let values: Vec<&str> = fields.iter().map(|(_, v)| v.as_str()).collect();
                text.push_str(&format!("{unit},{}\n", values.join(",")));
            }
            let file = self.w.path(&format!("import-{}.csv", FILES.fetch_add(1, Ordering::Relaxed)));
            std::fs::write(&file, text).unwrap();
            let out = sampan(&["add", &self.w.path(&place), of, "--from", &file]).ok();
            assert_eq!(out.stdout.lines().count(), own.len(), "{place} {of}");
            for (id, (unit, fields)) in out.stdout.lines().zip(own) {
                self.book.add(&place, id, unit, of, fields);
                ids.entry(unit.clone()).or_default().push(id.to_owned());
            }
        }
        ids
    }

    /// These places meet the district, which then meets the city.
    fn carry(&mut self, places: &[String]) {
        let w = &self.w;
        std::thread::scope(|s| {
            for half in 0..2 {
                s.spawn(move || places.iter().skip(half).step_by(2).for_each(|p| drop(w.sync(p))));
            }
        });
        for place in places {
            self.book.carry(place, "district");
        }
        self.w.sync_relay("district");
        self.book.carry("district", "city");
    }

    /// What a program shows of one unit, or of each below it, against the plain account.
    fn differences(&self, place: &str, unit: &str, by_unit: bool) -> Vec<String> {
        let dir = self.w.path(place);
        let bin = if ["city", "district"].contains(&place) { "sampan-relay" } else { "sampan" };
        let mut words = vec!["rollup", dir.as_str(), "--json"];
        if !unit.is_empty() {
            words.extend(["--unit", unit]);
        }
        if by_unit {
            words.push("--by-unit");
        }
        let rows = finish(command(bin, &words)).ok().lines();
        let mut shown: BTreeMap<(String, String), BTreeMap<Spot, Said>> = BTreeMap::new();
        let states: BTreeSet<&str> = self.metrics.iter().filter(|m| m.quarter_of.is_none()).map(|m| m.id).collect();
        for row in rows.iter().filter(|r| r["below"] == true) {
            let metric = row["metric"].as_str().unwrap().to_owned();
            let name = row["name"].as_str().unwrap();
            let code = if name == "Thành phố" { "" } else { name.rsplit(' ').next().unwrap() };
            let period = if states.contains(metric.as_str()) { "" } else { row["period"].as_str().unwrap() };
            let by = row["by"].as_object().unwrap().values().next().map(|v| v.as_str().unwrap().to_owned());
            let said = Said {
                value: row["value"].to_string(),
                percent: row["percent"].as_str().map(str::to_owned),
                reported: row["units_reported"].as_u64().unwrap() as usize,
                expected: row["units_expected"].as_u64().unwrap() as usize,
            };
            shown.entry((metric, code.to_owned())).or_default().insert((period.to_owned(), by), said);
        }
        let units = if by_unit { self.book.children(unit) } else { vec![unit.to_owned()] };
        let mut out = Vec::new();
        for (metric, unit) in self.metrics.iter().flat_map(|m| units.iter().map(move |u| (m, u))) {
            let shown = shown.remove(&(metric.id.to_owned(), unit.clone())).unwrap_or_default();
            if place == "city" && metric.of == "meetings" && unit.starts_with('g') {
                // The district's sum is all that the city has of these: what lies below it is not known here, and no more
                // of it is said to have been heard than the district has.
                let missing = self.book.missing("district", metric, unit).len();
                let claims = shown.values().filter(|s| s.value != "null" || s.reported + missing > s.expected);
                out.extend(claims.map(|s| format!("{place} {unit} {}: {s:?}", metric.id)));
                continue;
            }
            let counted = self.book.figures(place, metric, unit);
            for spot in shown.keys().chain(counted.keys()).collect::<BTreeSet<_>>() {
                match (shown.get(spot), counted.get(spot)) {
                    (Some(s), Some(c)) if s == c => {}
                    // A row of the running period stands also where nothing is in it.
                    (Some(s), None) if s.value == "0" && spot.1.is_none() => {
                        let missing = self.book.missing(place, metric, unit).len();
                        if s.expected - s.reported != missing {
                            out.push(format!("{place} {unit} {} {spot:?}: {s:?}, {missing} missing", metric.id));
                        }
                    }
                    (s, c) => out.push(format!("{place} {unit} {} {spot:?}: shown {s:?}, counted {c:?}", metric.id)),
                }
            }
        }
        out
    }

    /// Both agree, once what is on its way between relays has come.
    fn agree(&self, place: &str, unit: &str, by_unit: bool) {
        let mut left = Vec::new();
        for _ in 0..300 {
            left = self.differences(place, unit, by_unit);
            if left.is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{} differences, the first:\n{}", left.len(), left[..left.len().min(12)].join("\n"));
    }

    /// Every level, from the city's own replica and from the district's.
    fn agree_everywhere(&self, organisations: &[&str]) {
        for place in ["city", "district"] {
            if place == "city" {
                self.agree(place, "", false);
                self.agree(place, "", true);
            }
            self.agree(place, "d1", false);
            self.agree(place, "d1", true);
            for org in organisations {
                self.agree(place, org, true);
            }
            self.agree_on_the_missing(place);
        }
    }

    fn agree_on_the_missing(&self, place: &str) {
        let dir = self.w.path(place);
        let rows = relay(&["rollup", &dir, "--unit", "d1", "--missing", "--json"]).ok().lines();
        for metric in &self.metrics {
            let of = rows.iter().filter(|r| r["metric"] == metric.id);
            let names = of.map(|r| r["name"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned());
            assert_eq!(
                names.collect::<BTreeSet<_>>(),
                self.book.missing(place, metric, "d1"),
                "missing at {place}: {}",
                metric.id
            );
        }
    }

    /// The whole of a metric at a place.
    fn whole(&self, place: &str, metric: &str, more: &[&str]) -> Json {
        let dir = self.w.path(place);
        let mut words = vec!["rollup", dir.as_str(), "--metric", metric, "--json"];
        words.extend(more);
        let rows = relay(&words).ok().lines();
        rows.iter().find(|r| r["by"] == json!({})).unwrap_or_else(|| panic!("no whole in {rows:?}")).clone()
    }
}

/// The organisation; the relays run; who is not silent has met them; the directives, the target and the campaign
/// have come down to them.
fn found() -> (District, Vec<Daemon>, BTreeMap<&'static str, String>) {
    let dir = tempfile::tempdir().unwrap();
    let w = World { dir, city_daemon: None, district_daemon: None };
    let (city, district) = (w.path("city"), w.path("district"));
    let schema = w.path("schema.toml");
    let text = sampan_core::schema::builtin().source.clone();
    std::fs::write(&schema, format!("{}{MORE}", text.replacen("version = 2", "version = 3", 1))).unwrap();
    relay(&["init", &city, "--org", "Thành phố", "--schema", &schema, "--listen", "127.0.0.1:0"]).ok();
    let mut book = Book::default();
    let mut writers: BTreeMap<String, String> = BTreeMap::new();
    let mut csv = String::from("name,code,parent,kind\nĐảng bộ khối d1,d1,,district\n");
    book.unit("d1", "");
    for n in 1..=ORGANISATIONS {
        let org = organisation(n);
        csv.push_str(&format!("Đảng bộ {org},{org},d1,grassroots\n"));
        book.unit(&org, "d1");
        let typist = if OFFICES.contains(&n) { org.clone() } else { "office".to_owned() };
        writers.insert(org.clone(), typist.clone());
        for b in 1..=BRANCHES_EACH {
            let branch = format!("{org}.{b}");
            csv.push_str(&format!("Chi bộ {branch},{branch},{org},branch\n"));
            book.unit(&branch, &org);
            let own = PCS.contains(&n) && b == 1;
            writers.insert(branch.clone(), if own { branch } else { typist.clone() });
        }
    }
    let file = w.path("units.csv");
    std::fs::write(&file, csv).unwrap();
    relay(&["unit", "add", &city, "--from", &file]).ok();
    let silent: BTreeSet<String> =
        (3..9).map(organisation).chain((9..13).map(|n| format!("{}.1", organisation(n)))).collect();
    let mut d = District { w, book, metrics: metrics(), writers, silent };

    let ticket = relay(&["invite", &city, "--unit", "d1", "--role", "admin", "--holder", "Văn phòng"]).ok().first();
    let city_daemon = Daemon::start("sampan-relay", &["run", &city]);
    relay(&["join", &district, &ticket, "--listen", "127.0.0.1:0"]).ok();
    let daemon = Daemon::start("sampan-relay", &["run", &district]);
    d.w.sync_relay("district");
    let mut ids = BTreeMap::new();
    let mut issue = |at: &str, name: &'static str, words: &[&str]| {
        let dir = d.w.path(at);
        let mut all = vec!["add", dir.as_str()];
        all.extend(words);
        let id = relay(&all).ok().first();
        ids.insert(name, id.clone());
        id
    };
    issue("city", "directive", &["directives", "title=Chỉ thị 05", "number=05", "urgency=urgent", "issued=2026-07-02"]);
    issue("district", "plan", &["directives", "title=Kế hoạch 12", "number=12", "issued=2026-07-06"]);
    issue("district", "target", &["targets", "title=Kết nạp", "measured_by=q_admissions", "period=2026", "value=447"]);
    let campaign = issue("city", "campaign", &["campaigns", "title=Đại hội chi bộ", "starts=2026-07-01"]);
    let of = format!("campaign={campaign}");
    issue("city", "step", &["steps", &of, "number=1", "title=Đại hội xong"]);
    issue("city", "report", &["steps", &of, "number=2", "title=Báo cáo kết quả"]);
    d.w.sync_relay("district");
    let invited: Vec<(String, String)> = d
        .places()
        .into_iter()
        .map(|place| {
            let unit = if place == "office" { "d1" } else { &place };
            let mut words = vec!["invite", district.as_str(), "--unit", unit, "--role", "editor", "--holder", &place];
            if !place.contains('.') {
                words.push("--subtree");
            }
            (place.clone(), relay(&words).ok().first())
        })
        .collect();
    assert_eq!(invited.len(), 21, "twenty PCs, and the district's office");
    // Nothing is within reach of those who take their PC home, with a ticket and a stick.
    daemon.stop();
    city_daemon.stop();
    for (place, ticket) in invited.iter().filter(|(p, _)| d.silent.contains(p)) {
        let load = d.w.path(&format!("{place}.bundle"));
        relay(&["bundle", "create", &district, &load, "--for", place]).ok();
        sampan(&["join", &d.w.path(place), ticket, "--timeout", "1"]).ok();
        sampan(&["bundle", "apply", &d.w.path(place), &load]).ok();
    }
    let daemons =
        vec![Daemon::start("sampan-relay", &["run", &city]), Daemon::start("sampan-relay", &["run", &district])];
    for (place, ticket) in &invited {
        let unit = if place == "office" { "d1" } else { place };
        d.book.works_for(place, unit);
        if !d.silent.contains(place) {
            sampan(&["join", &d.w.path(place), ticket]).ok();
        }
    }
    let loud = d.loud();
    d.carry(&loud);
    (d, daemons, ids)
}

/// Members, and a candidate admitted in the quarter in every fourth branch.
fn members(d: &District) -> Vec<Line> {
    let branches = d.book.at_depth(3);
    assert_eq!(branches.len(), ORGANISATIONS * BRANCHES_EACH);
    let line = |n: usize| {
        let (at, of) = (n % branches.len(), n / branches.len());
        let new = of == 0 && at % 4 == 0;
        let date = match (new, n % 29) {
            (true, _) => format!("2026-{:02}-{:02}", 7 + at % 3, 1 + at % 28),
            // Of some only the year is known.
            (false, 0) => "1988".to_owned(),
            (false, _) => format!("{}-{:02}-{:02}", 1970 + n % 50, 1 + n % 12, 1 + n % 28),
        };
        let status = if new { "candidate" } else { ["official", "official", "official", "exempt"][n % 4] };
        let fields = vec![
            ("full_name", format!("Đảng viên {n}")),
            ("card_number", format!("{n:08}")),
            ("gender", ["Nam", "Nữ"][n % 2].to_owned()),
            ("status", status.to_owned()),
            ("admission_date", date),
        ];
        (branches[at].clone(), fields)
    };
    (0..MEMBERS).map(line).collect()
}

/// A meeting a month in every branch, and a thematic one in some.
fn meetings(d: &District) -> Vec<Line> {
    let mut out = Vec::new();
    for (n, branch) in d.book.at_depth(3).into_iter().enumerate() {
        for month in [6, 7, 8, 9] {
            let kind = if month == 8 && n % 3 == 0 { "thematic" } else { "regular" };
            let fields = vec![
                ("title", format!("Họp tháng {month}")),
                ("held_on", format!("2026-{month:02}-03")),
                ("kind", kind.to_owned()),
                ("expected", "27".to_owned()),
                ("attended", format!("{}", 27 - (n + month) % 6)),
            ];
            out.push((branch.clone(), fields));
        }
    }
    out
}

/// What each branch answers to a directive that was read in every branch but some.
fn receipts(d: &District, directive: &str, not_in: usize) -> Vec<Line> {
    let branches = d.book.at_depth(3).into_iter().enumerate().filter(|(n, _)| n % not_in != 1);
    let line = |(n, branch): (usize, String)| {
        let fields = vec![
            ("directive", directive.to_owned()),
            ("read", (n % 11 != 2).to_string()),
            ("expected", "27".to_owned()),
            ("attended", format!("{}", 25 + n % 3)),
        ];
        (branch, fields)
    };
    branches.map(line).collect()
}

fn progress(d: &District, step: &str) -> Vec<Line> {
    let orgs = d.book.at_depth(2).into_iter().filter(|o| o != MISSING);
    let fields = |n: usize| {
        let done = vec![("step", step.to_owned()), ("state", "done".to_owned()), ("done_on", "2026-08-20".to_owned())];
        let pilot = ("pilot", (n < 3).to_string());
        [done, vec![pilot]].concat()
    };
    orgs.enumerate().map(|(n, org)| (org, fields(n))).collect()
}

#[test]
fn a_quarter_of_a_district_comes_to_the_same_figures_as_the_plain_account() {
    let (mut d, _daemons, ids) = found();

    // The quarter: everybody works, whether anybody hears of it or not.
    let (people, met) = (members(&d), meetings(&d));
    let records = d.write("members", &people);
    d.write("meetings", &met);
    for lines in [receipts(&d, &ids["directive"], 9), receipts(&d, &ids["plan"], 5)] {
        d.write("receipts", &lines);
    }
    let share = |n: usize| vec![("target", ids["target"].clone()), ("value", (1 + n % 3 / 2).to_string())];
    let shares: Vec<Line> = d.book.at_depth(3).into_iter().enumerate().map(|(n, b)| (b, share(n))).collect();
    d.write("shares", &shares);
    let steps = progress(&d, &ids["step"]);
    d.write("progress", &steps);
    let loud = d.loud();
    d.carry(&loud);

    // A tenth of the branches is missing, by name, at every level; the rest counts.
    d.agree_everywhere(&["g01", "g05", "g09", "g20", MISSING]);
    let row = d.whole("city", "q_attended", &["--period", "2026-Q3"]);
    assert_eq!((&row["units_reported"], &row["units_expected"]), (&json!(301), &json!(335)), "{row}");
    assert_eq!(row["from"], "figures", "minutes stay in the district: {row}");
    for place in ["g01", "g02", "g13.1", "g20.1", "g10.1"] {
        d.agree(place, place, false);
    }

    // They come back, with all that they did.
    let late: Vec<String> = d.silent.iter().cloned().collect();
    d.carry(&late);
    d.agree_everywhere(&["g05", "g09", MISSING]);
    let row = d.whole("city", "members_all", &[]);
    assert_eq!((&row["value"], &row["units_reported"]), (&json!(MEMBERS), &json!(335)), "{row}");

    // All organisations but one have had their congress: the one is named.
    let row = d.whole("city", "q_steps", &[]);
    assert_eq!((&row["value"], &row["units_reported"], &row["units_expected"]), (&json!(66), &json!(66), &json!(67)));
    let missing = relay(&["rollup", &d.w.path("city"), "--metric", "q_steps", "--missing", "--json"]).ok().lines();
    assert_eq!(missing.iter().map(|m| m["name"].as_str().unwrap()).collect::<Vec<_>>(), ["Đảng bộ g67"]);

    // A PC is copied; both go on. What either writes counts once.
    copy_folder(&d.w.path("g14.1"), &d.w.path("clone"));
    d.book.copy("g14.1", "clone");
    for (place, card) in [("g14.1", "90000001"), ("clone", "90000002")] {
        let fields =
            [("full_name", "Mới".to_owned()), ("card_number", card.to_owned()), ("status", "candidate".into())];
        let fields = [fields.as_slice(), &[("admission_date", "2026-09-28".to_owned())]].concat();
        let words: Vec<String> = fields.iter().map(|(f, v)| format!("{f}={v}")).collect();
        let id = d.w.add(place, "members", &words.iter().map(String::as_str).collect::<Vec<_>>());
        d.book.add(place, &id, "g14.1", "members", &fields);
    }
    let own = &records["g14.1"][3];
    sampan(&["set", &d.w.path("clone"), own, "status=deceased"]).ok();
    d.book.set("clone", own, "status", "deceased");
    let twins = ["g14.1".to_owned(), "clone".to_owned()];
    for _ in 0..2 {
        for twin in &twins {
            d.carry(std::slice::from_ref(twin));
            d.book.fetch("district", twin, "g14.1");
        }
    }
    d.agree_everywhere(&["g14"]);
    for twin in &twins {
        d.agree(twin, "g14.1", false);
    }

    // The quarter is closed at the district; then an admission turns out to have been in October.
    let district = d.w.path("district");
    let before = d.whole("district", "q_admissions", &["--period", "2026-Q3"]);
    relay(&["rollup", &district, "--metric", "q_admissions", "--close", "2026-Q3"]).ok();
    let wrong = records["g13.1"].first().unwrap();
    let dated = d.w.field("sampan", "g13.1", wrong, "admission_date");
    assert!(dated.as_str().unwrap().starts_with("2026-0"), "an admission of the quarter: {dated}");
    sampan(&["set", &d.w.path("g13.1"), wrong, "admission_date=2026-10-01"]).ok();
    d.book.set("g13.1", wrong, "admission_date", "2026-10-01");
    d.carry(&["g13.1".to_owned()]);
    d.agree_everywhere(&["g13"]);
    let after = d.whole("district", "q_admissions", &["--period", "2026-Q3"]);
    let (was, is) = (before["value"].as_u64().unwrap(), after["value"].as_u64().unwrap());
    assert_eq!(is, was - 1);
    assert_eq!(after["closed"]["value"], json!(was.to_string()), "what it closed with stands");
    let lines = after["corrections"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{after}");
    assert_eq!(
        (&lines[0]["old"], &lines[0]["new"], &lines[0]["record"]),
        (&json!(was.to_string()), &json!(is.to_string()), &json!(wrong))
    );
    let seen = d.whole("city", "q_admissions", &["--period", "2026-Q3", "--unit", "d1"]);
    assert_eq!(seen["closed"]["value"], json!(was.to_string()), "and is seen at the city: {seen}");

    // Every record anew, by the second way.
    relay(&["rollup", &district, "--check"]).ok();
}
