//! Tests of the projections, over the built-in schema and a small one with every kind.

use super::super::tests::{create, fresh};
use super::*;
use crate::store::tables_for_tests;
use rusqlite::Connection;
use sampan_core::schema::{Expr, Schema, builtin, parse};

const NOTHING: [u8; 0] = [];

const EVERY_KIND: &str = r#"
[schema]
name = "kinds"
version = 1
levels = ["city", "branch"]

[collection.records]
label = { vi = "Thẻ", en = "Cards" }
flow = "up"
reach = "root"
title = "{name}"
search = ["name"]
field.name = { kind = "string", label = { vi = "Tên", en = "Name" } }
field.notes = { kind = "text", label = { vi = "Ghi chú", en = "Notes" } }
field.size = { kind = "int", label = { vi = "Cỡ", en = "Size" } }
field.share = { kind = "decimal", scale = 1, label = { vi = "Phần", en = "Share" } }
field.open = { kind = "bool", label = { vi = "Mở", en = "Open" } }
field.born = { kind = "date", label = { vi = "Ngày", en = "Born" } }
field.tags = { kind = "list", label = { vi = "Nhãn", en = "Tags" } }
field.groups = { kind = "set", label = { vi = "Nhóm", en = "Groups" } }
field.seen = { kind = "counter", label = { vi = "Đếm", en = "Seen" } }
"#;

fn kinds() -> Schema {
    parse(EVERY_KIND).unwrap_or_else(|e| panic!("{e:?}"))
}

fn row(n: u8, values: &[(&str, Value)]) -> ProjectedRow {
    ProjectedRow {
        id: RecordId([n; 16]),
        unit: UnitId([1; 16]),
        updated: Millis(1_800_000_000_000 + u64::from(n)),
        author: DeviceId([2; 32]),
        conflict: Vec::new(),
        removed: false,
        values: values.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
    }
}

fn text(s: &str) -> Value {
    Value::Str(s.to_owned())
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

#[test]
fn every_kind_comes_back_and_is_plain_sql() {
    let (_dir, path, mut store) = fresh();
    let schema = kinds();
    let cards = &schema.collections["records"];
    store.follow_schema(&schema).unwrap();
    let mut full = row(
        1,
        &[
            ("name", text("Chi bộ \"Một\"; DROP TABLE records")),
            ("notes", Value::Text("dòng một\ndòng hai".into())),
            ("size", Value::Int(-7)),
            ("share", Value::Int(368)),
            ("open", Value::Bool(true)),
            ("born", text("1980-05")),
            ("tags", Value::List(strings(&["b", "a", "b"]))),
            ("groups", Value::Set(strings(&["x", "y"]).into_iter().collect())),
            ("seen", Value::Counter(12)),
        ],
    );
    full.conflict = strings(&["name", "size"]);
    store.upsert_row(cards, RecordKey(1), &full).unwrap();
    assert_eq!(store.row(cards, RecordKey(1)).unwrap(), Some(full.clone()));
    let bare = row(2, &[("tags", Value::List(Vec::new())), ("notes", Value::Text(String::new()))]);
    store.upsert_row(cards, RecordKey(2), &bare).unwrap();
    assert_eq!(store.row(cards, RecordKey(2)).unwrap(), Some(bare), "emptied is not unset");
    // As any tool would: the store's own table keeps its name, the collection's is marked.
    let tool = Connection::open(path).unwrap();
    let found: (String, i64, i64, i64, String, String) = tool
        .query_row("SELECT _id, size, share, open, tags, _conflict FROM _records WHERE _record = 1", [], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?))
        })
        .unwrap();
    let expected = (full.id.to_string(), -7, 368, 1, r#"["b","a","b"]"#.to_owned(), r#"["name","size"]"#.to_owned());
    assert_eq!(found, expected);
    assert_eq!(store.in_conflict(cards).unwrap(), [full.id]);
    let odd = row(3, &[("size", text("many")), ("name", Value::Int(5)), ("no_such_field", text("x"))]);
    store.upsert_row(cards, RecordKey(3), &odd).unwrap();
    let back = store.row(cards, RecordKey(3)).unwrap().unwrap().values;
    let expected = [("name".to_owned(), text("5")), ("size".to_owned(), Value::Other("many".into()))];
    assert_eq!(back.into_iter().collect::<Vec<_>>(), expected, "a wrong kind is kept as text");
}

/// Fills the members of the built-in schema.
fn people() -> (tempfile::TempDir, SqliteStore, Schema) {
    let (dir, _path, mut store) = fresh();
    let schema = builtin();
    store.follow_schema(&schema).unwrap();
    let members = &schema.collections["members"];
    let names = ["Trần Thị Đào", "Nguyễn Văn Uỷ", "Đỗ Văn Nam", "An", "nguyễn văn ủy"];
    for (n, name) in names.iter().enumerate() {
        let n = n as u8 + 1;
        let born = Value::Str(format!("198{n}-0{n}-01"));
        let card = Value::Str(format!("0{n}.12/A"));
        let values = [("full_name", text(name)), ("date_of_birth", born), ("card_number", card)];
        store.upsert_row(members, RecordKey(n.into()), &row(n, &values)).unwrap();
    }
    (dir, store, schema)
}

fn found(store: &SqliteStore, schema: &Schema, filter: &str, search: Option<&str>) -> Vec<u8> {
    let members = &schema.collections["members"];
    let filter = Expr::parse(members, filter).unwrap();
    let rows = store.query(members, Some(&filter), search, false).unwrap();
    rows.iter().map(|r| r.id.0[0]).collect()
}

#[test]
fn lists_are_in_vietnamese_order_and_search_needs_no_marks() {
    let (_dir, mut store, schema) = people();
    assert_eq!(found(&store, &schema, "", None), [4, 3, 2, 5, 1], "An, Đỗ, Nguyễn, Nguyễn, Trần");
    assert_eq!(found(&store, &schema, "", Some("do")), [3]);
    assert_eq!(found(&store, &schema, "", Some("uy NGUYEN")), [2, 5], "any order, any spelling");
    assert_eq!(found(&store, &schema, "", Some("ngu va")), [2, 5], "by the beginnings of words");
    assert_eq!(found(&store, &schema, "", Some("03.12")), [3], "digits apart, as they were written");
    assert_eq!(found(&store, &schema, "", Some("\" OR x:*")), NOTHING);
    assert_eq!(found(&store, &schema, "", Some("...")), NOTHING, "no word finds nothing");
    assert_eq!(found(&store, &schema, "", Some("  ")).len(), 5);
    let members = &schema.collections["members"];
    let mut an = store.row(members, RecordKey(4)).unwrap().unwrap();
    an.values.insert("full_name".into(), text("Bình"));
    store.upsert_row(members, RecordKey(4), &an).unwrap();
    assert_eq!(found(&store, &schema, "", Some("an")), NOTHING, "what it was called before is forgotten");
    assert_eq!(found(&store, &schema, "", Some("binh")), [4]);
}

#[test]
fn filters_mean_what_they_mean_in_memory() {
    let (_dir, store, schema) = people();
    let members = &schema.collections["members"];
    let all = store.query(members, None, None, true).unwrap();
    let unit = UnitId([1; 16]).to_string();
    for filter in [
        "full_name = An".to_owned(),
        "full_name != An".to_owned(),
        "full_name ~ nguyen".to_owned(),
        "full_name > M and full_name < O".to_owned(),
        "date_of_birth = 1983".to_owned(),
        "date_of_birth > 1982-02 and date_of_birth <= 1984".to_owned(),
        "phone = \"\"".to_owned(),
        "phone != \"\"".to_owned(),
        format!("_unit = {unit} and _updated > 2027"),
        "_updated < 2020".to_owned(),
        "_conflict = \"\"".to_owned(),
    ] {
        let expr = Expr::parse(members, &filter).unwrap();
        let expected = all.iter().filter(|r| expr.matches(&|name| query_value(r, name)));
        let expected: Vec<u8> = expected.map(|r| r.id.0[0]).collect();
        assert_eq!(found(&store, &schema, &filter, None), expected, "{filter}");
    }
    assert_eq!(found(&store, &schema, "date_of_birth >= 1984", None), [4, 5]);
}

fn query_value(row: &ProjectedRow, name: &str) -> Option<Value> {
    super::query::value_of(row, name)
}

#[test]
fn removed_rows_hide_and_are_not_counted() {
    let (_dir, mut store, schema) = people();
    let members = &schema.collections["members"];
    assert_eq!(store.count_records().unwrap(), 5);
    let mut gone = store.row(members, RecordKey(1)).unwrap().unwrap();
    gone.removed = true;
    gone.conflict = strings(&["_removed"]);
    store.upsert_row(members, RecordKey(1), &gone).unwrap();
    store.upsert_row(members, RecordKey(1), &gone).unwrap();
    assert_eq!(store.count_records().unwrap(), 4);
    assert_eq!(store.query(members, None, Some("dao"), false).unwrap(), []);
    assert_eq!(store.query(members, None, Some("dao"), true).unwrap(), std::slice::from_ref(&gone));
    assert_eq!(store.in_conflict(members).unwrap(), [gone.id]);
    gone.removed = false;
    store.upsert_row(members, RecordKey(1), &gone).unwrap();
    store.delete_row(members, RecordKey(2)).unwrap();
    store.delete_row(members, RecordKey(2)).unwrap();
    assert_eq!(store.count_records().unwrap(), 4);
    assert_eq!(found(&store, &schema, "", Some("van uy")), [5]);
}

#[test]
fn tables_grow_with_the_schema() {
    let (_dir, _path, mut store) = fresh();
    let old = kinds();
    store.follow_schema(&old).unwrap();
    store.upsert_row(&old.collections["records"], RecordKey(1), &row(1, &[("name", text("Sổ tay"))])).unwrap();
    let newer = EVERY_KIND.replace("version = 1", "version = 2").replace(
        "search = [\"name\"]",
        "search = [\"name\", \"place\"]\nfield.place = { kind = \"string\", label = { vi = \"Nơi\", en = \"Place\" } }",
    );
    let new = parse(&newer).unwrap_or_else(|e| panic!("{e:?}"));
    store.follow_schema(&new).unwrap();
    store.follow_schema(&new).unwrap();
    let cards = &new.collections["records"];
    assert_eq!(store.query(cards, None, Some("so"), false).unwrap().len(), 1, "rows stay found");
    let moved = row(1, &[("name", text("Sổ tay")), ("place", text("Hà Nội"))]);
    store.upsert_row(cards, RecordKey(1), &moved).unwrap();
    assert_eq!(store.query(cards, None, Some("ha noi"), false).unwrap(), [moved]);
}

#[test]
fn rows_and_cursor_land_together() {
    let (_dir, mut store, schema) = people();
    let members = &schema.collections["members"];
    let failed: Result<(), StoreError> = store.group(|s| {
        s.upsert_row(members, RecordKey(9), &row(9, &[("full_name", text("Lan"))]))?;
        s.set_projected_to(sampan_core::store::CommitKey(5))?;
        Err(StoreError::Io("for the test".into()))
    });
    assert!(failed.is_err());
    assert_eq!(store.row(members, RecordKey(9)).unwrap(), None);
    assert_eq!(found(&store, &schema, "", Some("lan")), NOTHING);
    assert_eq!((store.count_records().unwrap(), store.projected_to().unwrap().0), (5, 0));
}

#[test]
fn no_name_of_the_stores_own_is_free_for_a_collection() {
    let dir = tempfile::tempdir().unwrap();
    let store = create(&dir.path().join("store.db"));
    // No collection's id begins with `_`.
    for name in tables_for_tests(&store).into_iter().filter(|name| !name.starts_with('_')) {
        assert_ne!(tables::view_name(&name), name, "{name} is missing from the reserved names");
    }
}

/// Makes a database one of version 3, where rows lay in the collection's own table and ids were hex.
pub(crate) fn as_version_3(path: &std::path::Path) {
    let old = Connection::open(path).unwrap();
    let all = |sql: &str, of: &[&str]| -> Vec<(String, String)> {
        let mut q = old.prepare(sql).unwrap();
        let of = rusqlite::params_from_iter(of);
        q.query_map(of, |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    for (collection, _) in all("SELECT collection, search FROM projections", &[]) {
        let fields = "SELECT name, type FROM pragma_table_info(?1) WHERE substr(name, 1, 1) <> '_'";
        let fields = all(fields, &[&format!("_rows_{collection}")]);
        let names: String = fields.iter().map(|(name, _)| format!(", {}", quoted(name))).collect();
        let kinds: String = fields.iter().map(|(name, kind)| format!(", {} {kind}", quoted(name))).collect();
        let (view, rows) = (quoted(&tables::view_name(&collection)), tables::table(&collection));
        old.execute_batch(&format!(
            "CREATE TABLE rows_then AS SELECT * FROM {view};
             DROP VIEW {view};
             DROP TABLE {rows};
             CREATE TABLE {view} (_record INTEGER PRIMARY KEY, _id TEXT NOT NULL, _unit TEXT NOT NULL,
               _updated INTEGER NOT NULL, _author TEXT NOT NULL, _conflict TEXT NOT NULL, _removed INTEGER NOT NULL{kinds});
             CREATE INDEX \"_conflicts_{collection}\" ON {view} (_id) WHERE _conflict <> '[]';
             INSERT INTO {view} SELECT {OWN_COLUMNS}{names} FROM rows_then;
             DROP TABLE rows_then"
        ))
        .unwrap();
    }
    old.execute_batch("DROP TABLE _authors; PRAGMA user_version = 3").unwrap();
}

#[test]
fn rows_of_version_3_are_the_same_rows() {
    let (_dir, path, mut store) = fresh();
    let schema = kinds();
    let cards = &schema.collections["records"];
    store.follow_schema(&schema).unwrap();
    let mut rows = BTreeMap::new();
    for n in 1..=9 {
        let mut r = row(n, &[("name", text(&format!("Thẻ {n}"))), ("size", Value::Int(i64::from(n)))]);
        r.author = DeviceId([n % 3; 32]);
        r.removed = n == 4;
        r.conflict = if n == 5 { strings(&["name"]) } else { Vec::new() };
        rows.insert(RecordKey(u64::from(n) * 2), r);
    }
    store.upsert_rows(cards, &rows).unwrap();
    let plain = |store: &SqliteStore| -> Vec<(i64, String, String, String)> {
        let sql = "SELECT _record, _id, _unit, _author FROM _records ORDER BY _record";
        store.all(sql, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))).unwrap()
    };
    let (held, shown) = (store.query(cards, None, None, true).unwrap(), plain(&store));
    assert_eq!(shown[2], (6, "03".repeat(16), "01".repeat(16), "00".repeat(32)));
    store.close().unwrap();
    as_version_3(&path);
    let mut store = crate::store::tests::open(&path).unwrap();
    assert_eq!((store.query(cards, None, None, true).unwrap(), plain(&store)), (held, shown));
    assert_eq!(store.in_conflict(cards).unwrap(), [RecordId([5; 16])]);
    assert_eq!(store.query(cards, None, Some("the 7"), false).unwrap().len(), 1, "the search index stands");
    // A row edited by somebody new, and a schema that grew, as ever.
    let edited = ProjectedRow { author: DeviceId([9; 32]), ..rows[&RecordKey(4)].clone() };
    store.upsert_row(cards, RecordKey(4), &edited).unwrap();
    assert_eq!(store.row(cards, RecordKey(4)).unwrap(), Some(edited));
    let grown =
        EVERY_KIND.to_owned() + "field.more = { kind = \"string\", label = { vi = \"Thêm\", en = \"More\" } }\n";
    store.follow_schema(&parse(&grown).unwrap()).unwrap();
    let more: Option<String> = store.conn.query_row("SELECT more FROM _records LIMIT 1", [], |r| r.get(0)).unwrap();
    assert_eq!(more, None, "the view has grown too");
}
