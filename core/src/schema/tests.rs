//! Tests of parsing schemas and values, on the built-in schema and on broken ones.

use super::value::set_of;
use super::*;
use crate::id::Flow;
use crate::limits;
use crate::value::{Kind, Value};
use std::collections::BTreeMap;

/// Lines 1 to 19; tests break one line at a time.
const SMALL: &str = r#"[schema]
name = "coop"
version = 1
levels = ["union", "coop"]

[collection.farms]
label = { vi = "Nông hộ", en = "Farms" }
flow = "up"
reach = "coop"
title = "{name} ({crop})"
match = ["name"]

[collection.farms.field.name]
kind = "string"
max = 10

[collection.farms.field.crop]
kind = "choice"
choices = [{ id = "rice", vi = "Lúa", en = "Rice" }]
"#;

fn problems(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

fn field(collection: &str, id: &str) -> Field {
    builtin().collections[collection].field(id).unwrap().clone()
}

fn str_of(text: &str) -> Value {
    Value::Str(text.into())
}

#[test]
fn membership_parses_with_every_collection() {
    let s = builtin();
    assert_eq!((s.name.as_str(), s.version), ("membership", 2));
    assert_eq!(s.levels, ["city", "district", "grassroots", "branch"]);
    let travels =
        |flow| -> Vec<&str> { s.collections.values().filter(|c| c.flow == flow).map(|c| c.id.as_str()).collect() };
    assert_eq!(travels(Flow::Down), ["campaigns", "directives", "documents", "holidays", "steps", "targets"]);
    assert_eq!(travels(Flow::Local), ["notes_local"]);
    assert_eq!(travels(Flow::Group), [""; 0]);
    let below_root: Vec<(&str, u8)> =
        s.collections.values().filter(|c| c.reach > 0).map(|c| (c.id.as_str(), c.reach)).collect();
    assert_eq!(below_root, [("meetings", 1), ("resolutions", 1)]);
    for reply in s.collections.values().filter(|c| c.reply_to.is_some()) {
        assert!(s.answers_by(reply).is_some(), "{} has no ref to what it answers", reply.id);
    }
    assert_eq!(s.collections["directives"].addressed.as_deref(), Some("to_units"));
    assert_eq!(s.contact.as_ref().map(|c| c.phone.as_deref()), Some(Some("phone")));
    assert_eq!(s.dues["probation_ends"].of, "members");
    assert_eq!(s.collections["receipts"].identity, ["directive", "_unit"]);
    assert_eq!(s.collections["receipts"].reply_to.as_deref(), Some("directives"));
    assert_eq!(s.metrics["study_attended"].op, MetricOp::Sum("attended".into()));
    assert_eq!(s.level("root"), Some(0));
    assert_eq!(s.level("branch"), Some(3));
    assert_eq!(s.source, MEMBERSHIP);
}

#[test]
fn an_organisation_that_published_version_1_can_publish_this_one() {
    let first = parse(include_str!("published/membership-1.toml")).unwrap();
    assert_eq!(first.version, 1);
    assert_eq!(evolve(&first, &builtin()), Ok(()));
}

#[test]
fn labels_are_there_in_both_languages_and_name_one_field_each() {
    for c in builtin().collections.values() {
        for f in &c.fields {
            assert!(!f.label.vi.is_empty() && f.label.en != f.id, "{}.{}", c.id, f.id);
            for header in [&f.label.vi, &f.label.en, &f.id] {
                assert_eq!(c.field_by_header(header).map(|g| &g.id), Some(&f.id), "{}", c.id);
            }
        }
    }
}

#[test]
fn fields_keep_the_order_of_the_file() {
    let s = builtin();
    let ids: Vec<&str> = s.collections["members"].fields.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(ids[..4], ["full_name", "date_of_birth", "gender", "ethnicity"]);
    assert_eq!(ids[17..19], ["updated_at", "id"]);
}

#[test]
fn the_sample_rows_parse_and_come_back() {
    const HEADER: [&str; 19] = [
        "id",
        "full_name",
        "date_of_birth",
        "gender",
        "ethnicity",
        "id_number",
        "address",
        "phone",
        "occupation",
        "education",
        "admission_date",
        "official_date",
        "branch_code",
        "card_number",
        "status",
        "position",
        "rewards",
        "notes",
        "updated_at",
    ];
    const ROWS: [[&str; 19]; 3] = [
        [
            "b98a6e08-17aa-42e4-a129-f078a53c890a",
            "Mai Bích Quỳnh",
            "1998-01-05",
            "nữ",
            "Khmer",
            "081243743452",
            "Số 88, xóm Chùa, xã Minh Khai, thành phố Cần Thơ",
            "0758249889",
            "Buôn bán",
            "Cao đẳng",
            "1992-10-05",
            "1975-12-27",
            "CB000.00",
            "51226919",
            "miễn sinh hoạt",
            "đảng viên",
            "Bằng khen Tỉnh ủy 2021",
            "Đã nộp đủ đảng phí năm 2025.",
            "1747832521966",
        ],
        [
            "609efbea-b25d-441f-a1a4-322940941998",
            "Bùi Quốc Khánh",
            "1998-06-05",
            "nam",
            "Mường",
            "024981529722",
            "Số 118, ấp Bình Hòa, thị trấn Cẩm Giàng, tỉnh Nghệ An",
            "0841560689",
            "Kế toán",
            "Đại học",
            "2009-09-03",
            "1989-03-16",
            "CB000.00",
            "41600443",
            "chuyển sinh hoạt tạm thời",
            "đảng viên",
            "",
            "Cần xác minh lại ngày chính thức trong hồ sơ gốc.",
            "1735507132720",
        ],
        [
            "a6168183-5b0d-4951-a494-8e2d6910c55c",
            "Huỳnh Đình Trung",
            "1968-04-19",
            "nam",
            "H'Mông",
            "092144875136",
            "Số 211, bản Nà Ngần, phường Hòa Bình, tỉnh Lâm Đồng",
            "0724272652",
            "Lái xe",
            "12/12",
            "2020-11-26",
            "2015-10-23",
            "CB000.00",
            "25400558",
            "đang sinh hoạt",
            "đảng viên",
            "Bằng khen Tỉnh ủy 2021; Huy hiệu 30 năm tuổi Đảng",
            "",
            "1737495214652",
        ],
    ];
    let schema = builtin();
    let members = &schema.collections["members"];
    for row in ROWS {
        let mut fields = BTreeMap::new();
        for (header, cell) in HEADER.iter().zip(row) {
            let f = members.field_by_header(header).unwrap();
            let value = parse_cell(f, cell).unwrap();
            assert_eq!(value.is_none(), cell.is_empty());
            if let Some(v) = value {
                assert_eq!(from_json(f, &to_json(Some(f), &v)), Ok(Some(v.clone())));
                if f.kind == Kind::Choice {
                    assert_eq!(display(f, &v, Lang::Vi).to_lowercase(), cell);
                } else {
                    assert_eq!(to_cell(Some(f), &v), cell);
                }
                fields.insert(f.id.clone(), v);
            }
        }
        assert_eq!(required_missing(members, &fields), Vec::<&str>::new());
        assert_eq!(title(members, &fields), row[1]);
    }
    let status = members.field("status").unwrap();
    assert_eq!(parse_cell(status, "dự bị"), Ok(Some(str_of("candidate"))));
}

#[test]
fn a_small_schema_parses() {
    let s = parse(SMALL).unwrap();
    let farms = &s.collections["farms"];
    assert_eq!((farms.flow, farms.reach), (Flow::Up, 1));
    assert_eq!(farms.fields[0].max, Some(10));
    assert_eq!(farms.fields[0].label, Label { vi: "name".into(), en: "name".into() });
    assert_eq!(farms.fields[1].choices[0].label.vi, "Lúa");
    assert!(parse(&SMALL.replace('\n', "\r\n")).is_ok());
}

#[test]
fn every_problem_has_its_line() {
    for (from, to, wanted) in [
        ("flow = \"up\"", "flwo = \"up\"", "line 8: collection.farms: unknown key 'flwo'. Did you mean 'flow'?"),
        ("flow = \"up\"\n", "", "line 6: collection.farms: 'flow' is missing"),
        ("flow = \"up\"", "flow = \"charter\"", "line 8: collection.farms: 'flow' must be up, down, group or local"),
        (
            "reach = \"coop\"",
            "reach = \"copo\"",
            "line 9: collection.farms: 'reach' must be root or a level (union, coop), not 'copo'. Did you mean 'coop'?",
        ),
        ("flow = \"up\"", "flow = \"down\"", "line 9: collection.farms: 'reach' is for flow"),
        (
            "{crop}",
            "{corp}",
            "line 10: collection.farms: 'title' names 'corp', which is no field here. Did you mean 'crop'?",
        ),
        ("{crop}", "{crop", "line 10: collection.farms: 'title': "),
        ("[\"name\"]", "[\"nmae\"]", "line 11: collection.farms: 'match' names 'nmae'"),
        ("[\"name\"]", "[\"name\", \"name\"]", "line 11: collection.farms: 'match' names 'name' twice"),
        ("[\"name\"]", "\"name\"", "line 11: collection.farms: 'match' must be a list of strings, not a string"),
        ("field.name]", "field._name]", "line 13: collection.farms.field._name: '_name' cannot name a field"),
        ("field.name]", "field.Name]", "line 13: collection.farms.field.Name: 'Name' cannot name a field"),
        ("\"string\"", "\"strng\"", "line 14: collection.farms.field.name: 'kind' must be one of"),
        ("max = 10", "max = 0", "line 15: collection.farms.field.name: 'max' must be a whole number from 1"),
        ("max = 10", "scale = 2", "line 15: collection.farms.field.name: 'scale' is for the kind decimal only"),
        (
            "max = 10",
            "required = 1",
            "line 15: collection.farms.field.name: 'required' must be true or false, not an integer",
        ),
        ("max = 10", "max = 10\nmax = 11", "line 16: not valid TOML: duplicate key"),
        (
            "en = \"Rice\"",
            "fr = \"Riz\"",
            "line 19: collection.farms.field.crop.choices[0]: unknown key 'fr'. Known here: id, vi, en.",
        ),
        ("choices = ", "#", "line 17: collection.farms.field.crop: a choice needs 'choices'"),
        (
            "id = \"rice\"",
            "id = \"Rice\"",
            "line 19: collection.farms.field.crop.choices[0]: 'Rice' cannot name a choice",
        ),
        ("version = 1", "version = 0", "line 3: schema: 'version' must be a whole number from 1"),
        ("version = 1\n", "", "line 1: schema: 'version' is missing"),
        ("[\"union\", \"coop\"]", "[]", "line 4: schema: 'levels' must name 1 to 12"),
        ("\"union\", ", "\"coop\", ", "line 4: schema: the level 'coop' stands there twice"),
        ("[schema]", "[schema", "line 1: not valid TOML"),
        ("[schema]", "[scheme]", "line 1: unknown key 'scheme'. Did you mean 'schema'?"),
        ("en = \"Farms\"", "en = 7", "line 7: collection.farms.label: 'en' must be a string"),
    ] {
        assert!(SMALL.contains(from), "the test's own text: {from}");
        let found = problems(&SMALL.replacen(from, to, 1));
        assert!(found.iter().any(|p| p.starts_with(wanted)), "wanted {wanted}\nfound {found:#?}");
    }
}

#[test]
fn references_and_metrics_are_checked() {
    let more = |text: &str| problems(&format!("{SMALL}{text}"));
    for (text, wanted) in [
        (
            "[collection.farms.field.next]\nkind = \"ref\"\nto = \"frams\"\n",
            "line 22: collection.farms.field.next: 'to' names 'frams', which is no collection. Did you mean 'farms'?",
        ),
        (
            "[collection.answers]\nflow = \"up\"\nreply_to = \"calls\"\n",
            "line 22: collection.answers: 'reply_to' names 'calls'",
        ),
        (
            "[collection.x]\nflow = \"up\"\nidentity = [\"t\", \"_unit\"]\n[collection.x.field.t]\nkind = \"text\"\n",
            "line 22: collection.x: 'identity' names 't', a text: only",
        ),
        ("[metric.m]\nof = \"farms\"\nop = \"average\"\n", "line 22: metric.m: 'op' must be count, sum:FIELD"),
        ("[metric.m]\nof = \"farms\"\nop = \"sum:name\"\n", "line 22: metric.m: 'op' names 'name', a string, which"),
        ("[metric.m]\nof = \"frams\"\nop = \"count\"\n", "line 21: metric.m: 'of' names 'frams'"),
        (
            "[metric.m]\nof = \"farms\"\nop = \"count\"\nwhere = \"crop = tea\"\n",
            "line 23: metric.m: 'where': at character 8: crop: 'tea' is none of the choices: rice.",
        ),
        (
            "[metric.m]\nof = \"farms\"\nop = \"count\"\nperiod = \"moon\"\n",
            "line 23: metric.m: 'period' must be one of",
        ),
    ] {
        let found = more(text);
        assert!(found.iter().any(|p| p.starts_with(wanted)), "wanted {wanted}\nfound {found:#?}");
    }
}

#[test]
fn all_problems_come_at_once_and_in_file_order() {
    let text = SMALL.replace("max = 10", "max = 0").replace("flow = \"up\"", "flow = \"in\"");
    let found = parse(&text).unwrap_err();
    assert_eq!(found.iter().map(|p| p.line).collect::<Vec<_>>(), [8, 9, 15]);
}

#[test]
fn limits_are_refused_by_line() {
    let mut text = String::from(SMALL);
    for i in 0..limits::FIELDS_MAX {
        text.push_str(&format!("[collection.farms.field.f{i}]\nkind = \"int\"\n"));
    }
    let found = problems(&text);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("at most 200 fields"), "{found:?}");
    let levels: Vec<String> = (0..=limits::TREE_DEPTH_MAX).map(|i| format!("\"l{i}\"")).collect();
    let found = problems(&SMALL.replace("\"union\", \"coop\"", &levels.join(", ")));
    assert!(found[0].contains("it names 13"), "{found:?}");
    let found = problems(&format!("{SMALL}#{}", " ".repeat(limits::SCHEMA_BYTES_MAX)));
    assert!(found[0].contains("bytes"), "{found:?}");
}

#[test]
fn typed_values_of_every_kind() {
    for (collection, id, text, value) in [
        ("members", "full_name", "Mai  Bích", str_of("Mai  Bích")),
        ("members", "notes", "a\n", Value::Text("a\n".into())),
        ("members", "updated_at", " -12 ", Value::Int(-12)),
        ("members", "date_of_birth", "5/1/1998", str_of("1998-01-05")),
        ("members", "date_of_birth", "1998", str_of("1998")),
        ("members", "status", "official", str_of("official")),
        ("members", "status", "CHÍNH THỨC", str_of("official")),
        ("members", "status", "chinh thuc", str_of("official")),
        ("members", "status", "Exempt from activities", str_of("exempt")),
        ("members", "rewards", "[\"b\", \"a\"]", Value::List(vec!["b".into(), "a".into()])),
        ("documents", "keywords", "[\"b\", \"a\", \"b\"]", set_of(["a".into(), "b".into()])),
        ("inspections", "score", "36,8", Value::Int(368)),
        ("receipts", "read", "Có", Value::Bool(true)),
        ("receipts", "read", "không", Value::Bool(false)),
        ("receipts", "contacts", "4", Value::Counter(4)),
        ("receipts", "directive", "00112233445566778899AABBCCDDEEFF", str_of("00112233445566778899aabbccddeeff")),
    ] {
        let f = field(collection, id);
        assert_eq!(parse_value(&f, text), Ok(value.clone()), "{id}={text}");
        assert_eq!(check(&f, &value), Ok(()));
    }
}

#[test]
fn refused_values_name_the_field_and_the_way_out() {
    for (collection, id, text, wanted) in [
        (
            "members",
            "updated_at",
            "2.241",
            "updated_at: '2.241' does not fit; expected a whole number, without separators",
        ),
        ("members", "date_of_birth", "30/02/1998", "expected a date that exists: that month has 28 days"),
        ("members", "status", "oficial", "none of the choices: candidate, official, active"),
        ("members", "status", "oficial", "Did you mean 'official'?"),
        ("members", "rewards", "a", "a JSON array of strings"),
        ("members", "rewards", "[1]", "a JSON array of strings"),
        ("inspections", "score", "2.241", "could mean 2241 or 2.2"),
        ("inspections", "score", "36.85", "at most 1 decimals"),
        ("inspections", "score", "many", "36.8 or 36,8"),
        ("receipts", "read", "maybe", "true or false"),
        ("receipts", "directive", "12", "32 hexadecimal digits"),
    ] {
        let message = parse_value(&field(collection, id), text).unwrap_err().to_string();
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn lengths_are_measured_in_characters_and_bytes() {
    let mut f = field("members", "full_name");
    f.max = Some(3);
    assert!(parse_value(&f, "ữữữ").is_ok());
    let e = parse_value(&f, "abcd").unwrap_err();
    assert_eq!(e, ValueError::TooLong { field: "full_name".into(), got: 4, max: 3, unit: "characters" });
    f.max = None;
    assert!(parse_value(&f, &"a".repeat(limits::STRING_BYTES_MAX)).is_ok());
    assert!(parse_value(&f, &"a".repeat(limits::STRING_BYTES_MAX + 1)).is_err());
    let mut list = field("members", "rewards");
    list.max = Some(1);
    assert!(parse_cell(&list, "a; b").is_err());
    let text = field("members", "notes");
    assert!(parse_value(&text, &"a".repeat(limits::TEXT_BYTES_MAX + 1)).is_err());
    let long = parse_value(&field("members", "updated_at"), &"x".repeat(5000)).unwrap_err();
    assert!(long.to_string().len() < 500);
}

#[test]
fn values_from_elsewhere_are_checked() {
    let status = field("members", "status");
    assert!(matches!(check(&status, &str_of("zzz")), Err(ValueError::NotAChoice { .. })));
    assert!(matches!(check(&status, &Value::Int(1)), Err(ValueError::WrongKind { .. })));
    assert!(check(&field("members", "date_of_birth"), &str_of("5/1/1998")).is_err());
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(from_json(&status, &json("null")), Ok(None));
    assert!(from_json(&status, &json("1")).is_err());
    let score = field("inspections", "score");
    assert_eq!(from_json(&score, &json("36.8")), Ok(Some(Value::Int(368))));
    assert!(from_json(&score, &json("\"36,8\"")).is_err());
    assert!(from_json(&field("members", "updated_at"), &json("1.5")).is_err());
    assert!(from_json(&field("members", "rewards"), &json("[1]")).is_err());
}

#[test]
fn required_fields_that_are_blank_are_missing() {
    let s = builtin();
    let members = &s.collections["members"];
    assert_eq!(required_missing(members, &BTreeMap::new()), ["full_name"]);
    let blank = BTreeMap::from([("full_name".to_owned(), str_of("  "))]);
    assert_eq!(required_missing(members, &blank), ["full_name"]);
}

/// Records stay in the coop; figures of them are asked for at the union.
const FAR: &str = r#"
[schema]
name = "coop"
version = 1
levels = ["union", "coop", "farm"]
[collection.fields]
flow = "up"
reach = "coop"
[collection.fields.field.owner]
kind = "string"
[collection.fields.field.crop]
kind = "choice"
choices = [{ id = "rice" }]
[collection.fields.field.area]
kind = "decimal"
[collection.fields.field.sown]
kind = "date"
"#;

#[test]
fn a_metric_that_cannot_be_kept_is_refused_with_its_line() {
    let first = FAR.lines().count() as u32 + 1;
    for (text, line, wanted) in [
        ("op = \"distinct:crop\"", 2, "'distinct' is counted where the records are"),
        ("op = \"count\"\nby = [\"owner\"]", 3, "'by' names 'owner', a string: where the figure travels further"),
        ("op = \"count\"\nby = [\"area\"]", 3, "'by' names 'area', a decimal, which makes no groups"),
        ("op = \"count\"\nby = [\"crop\", \"crop\"]", 3, "'by' names 'crop' twice"),
        ("op = \"count\"\non = \"sown\"", 3, "'on' needs a 'period'"),
        ("op = \"count\"\nperiod = \"year\"\non = \"crop\"", 4, "'on' names 'crop', a choice; a date puts"),
        ("op = \"count\"\nexpected = \"farms\"", 3, "'expected' must be a level (union, coop, farm), not 'farms'"),
        ("op = \"count\"\nover = \"nothing\"", 3, "'over' names 'nothing', which is no metric"),
        ("op = \"count\"\nover = \"m\"", 3, "'over' names 'm', which is a ratio itself"),
        ("op = \"count\"\nover = \"sum:crop\"", 3, "'over' names 'crop', a choice, which cannot be reckoned with"),
        ("op = \"min:area\"\nover = \"sum:area\"", 3, "'over' divides a count or a sum"),
    ] {
        let found = problems(&format!("{FAR}[metric.m]\nof = \"fields\"\n{text}\n"));
        let wanted = format!("line {}: metric.m: {wanted}", first + line);
        assert!(found.iter().any(|p| p.starts_with(&wanted)), "wanted {wanted}\nfound {found:#?}");
    }
    // Where the records are, all that may be a dimension.
    let near = format!(
        "{FAR}[metric.m]\nof = \"fields\"\nop = \"distinct:crop\"\nby = [\"owner\"]\nreach = \"coop\"\nexpected = \"farm\"\n"
    );
    let schema = parse(&near).unwrap();
    assert_eq!((schema.metrics["m"].expected, schema.metrics["m"].on.clone()), (2, None));
}

/// A schema with targets, measured by a metric or by hand.
const TARGETS: &str = r#"
[schema]
name = "coop"
version = 1
levels = ["union", "coop"]
[collection.plans]
flow = "down"
addressed = "to"
[collection.plans.field.name]
kind = "string"
[collection.plans.field.goal]
kind = "int"
[collection.plans.field.to]
kind = "set"
[collection.plans.field.part]
kind = "ref"
to = "plans"
[collection.words]
flow = "up"
[collection.words.field.plan]
kind = "ref"
to = "plans"
[collection.words.field.n]
kind = "int"
[metric.said]
of = "words"
op = "sum:n"
by = ["plan"]
[metric.most]
of = "words"
op = "max:n"
by = ["plan"]
[target]
of = "plans"
value = "goal"
period = "name"
measured_by = "name"
part_of = "part"
by_hand = "said"
"#;

#[test]
fn a_metric_has_a_label_and_targets_a_rule() {
    let schema = builtin();
    let words: Vec<(&str, &str)> =
        schema.metrics.values().map(|m| (m.label.vi.as_str(), m.label.en.as_str())).collect();
    assert!(words.iter().all(|(vi, en)| vi != en && !vi.is_empty()), "{words:?}");
    assert_eq!(schema.metrics["admissions"].label.vi, "Kết nạp đảng viên");
    let rule = schema.target.unwrap();
    assert_eq!((rule.of.as_str(), rule.value.as_str()), ("targets", "value"));
    let by_hand = rule.by_hand.unwrap();
    assert_eq!((by_hand.metric.as_str(), by_hand.target, by_hand.period), ("results_reported", 0, Some(1)));
    let small = parse(TARGETS).unwrap();
    assert_eq!(small.metrics["said"].label.en, "said", "the id stands where no label is said");
    assert_eq!(small.target.unwrap().part_of.as_deref(), Some("part"));
}

#[test]
fn a_target_that_nothing_could_measure_is_refused_with_its_line() {
    for (from, to, wanted) in [
        ("of = \"plans\"\nvalue", "of = \"words\"\nvalue", "targets are handed down to units"),
        ("of = \"plans\"\nvalue", "of = \"plasn\"\nvalue", "'of' names 'plasn', which is no collection"),
        ("value = \"goal\"", "value = \"name\"", "'value' names 'name', a string"),
        ("value = \"goal\"\n", "", "'value' is missing"),
        ("by_hand = \"said\"", "by_hand = \"most\"", "'by_hand' must name a metric that counts or sums"),
        ("by_hand = \"said\"", "by_hand = \"siad\"", "'by_hand' must name a metric"),
        ("part_of = \"part\"", "part_of = \"goal\"", "'part_of' names 'goal'"),
        ("part_of", "parts_of", "unknown key 'parts_of'"),
    ] {
        assert!(TARGETS.contains(from), "the test's own text: {from}");
        let found = problems(&TARGETS.replacen(from, to, 1));
        assert!(found.iter().any(|p| p.contains(wanted)), "wanted {wanted}\nfound {found:#?}");
    }
}
