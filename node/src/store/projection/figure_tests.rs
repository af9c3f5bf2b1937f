//! Tests of figures that are kept with the rows: they are what a recount finds, in any order, and cost one update a
//! level.

use super::super::tests::fresh;
use super::*;
use crate::store::{Damage, VerifyReport};
use sampan_core::id::ActorId;
use sampan_core::rollup::{Key, measures, recount};
use sampan_core::schema::{Schema, parse};

const SCHEMA: &str = r#"
[schema]
name = "farms"
version = 1
levels = ["union", "coop", "farm"]
[collection.fields]
flow = "up"
reach = "root"
search = ["crop", "sown"]
[collection.fields.field.crop]
kind = "choice"
choices = [{ id = "rice" }, { id = "tea" }]
[collection.fields.field.area]
kind = "decimal"
scale = 2
[collection.fields.field.sown]
kind = "date"
[metric.fields]
of = "fields"
op = "count"
by = ["crop"]
[metric.area]
of = "fields"
op = "sum:area"
on = "sown"
period = "month"
[metric.first]
of = "fields"
op = "min:sown"
[metric.crops]
of = "fields"
op = "distinct:crop"
"#;

fn unit(n: u8) -> UnitId {
    UnitId([n; 16])
}

/// 1 above 2 and 3, these above 4 and 5.
fn tree() -> BTreeMap<UnitId, Option<UnitId>> {
    [(1, None), (2, Some(1)), (3, Some(1)), (4, Some(2)), (5, Some(3))]
        .into_iter()
        .map(|(u, p): (u8, Option<u8>)| (unit(u), p.map(unit)))
        .collect()
}

fn schema() -> Schema {
    parse(SCHEMA).unwrap_or_else(|e| panic!("{e:?}"))
}

fn row(n: u8, of: u8, crop: &str, area: i64, sown: &str) -> ProjectedRow {
    let mut values = BTreeMap::new();
    if !crop.is_empty() {
        values.insert("crop".to_owned(), Value::Str(crop.to_owned()));
    }
    values.insert("area".to_owned(), Value::Int(area));
    if !sown.is_empty() {
        values.insert("sown".to_owned(), Value::Str(sown.to_owned()));
    }
    ProjectedRow {
        id: RecordId([n; 16]),
        unit: unit(of),
        updated: Millis(1_800_000_000_000),
        author: DeviceId([2; 32]),
        conflict: Vec::new(),
        removed: false,
        values,
    }
}

fn ready(store: &mut SqliteStore) -> Schema {
    let schema = schema();
    store.follow_schema(&schema).unwrap();
    store.keep_figures(&schema).unwrap();
    store.keep_figure_tree(tree()).unwrap();
    assert!(store.keeps_figures_of(&schema).unwrap());
    schema
}

/// What is kept is what one pass over the rows finds.
fn agrees(store: &SqliteStore, schema: &Schema, parents: &BTreeMap<UnitId, Option<UnitId>>) {
    let collection = &schema.collections["fields"];
    let rows = store.query(collection, None, None, false).unwrap();
    for metric in schema.metrics.values() {
        for below in [false, true] {
            let held: Vec<recount::Held> = rows
                .iter()
                .map(|r| {
                    let mut units = vec![r.unit];
                    while let (true, Some(Some(p))) = (below, parents.get(&units[units.len() - 1])) {
                        units.push(*p);
                    }
                    recount::Held { units, fields: r.values.clone() }
                })
                .collect();
            let counted: BTreeMap<(UnitId, Key), String> = recount::recount(schema, metric, None, &held)
                .into_iter()
                .map(|((u, period, by), v)| ((u, Key { period, by }), v))
                .collect();
            assert_eq!(store.every_figure(&metric.id, below).unwrap(), counted, "{} below {below}", metric.id);
        }
    }
}

#[test]
fn figures_follow_rows_that_come_change_and_go() {
    let (_dir, _path, mut store) = fresh();
    let schema = ready(&mut store);
    let c = &schema.collections["fields"];
    let put = |store: &mut SqliteStore, r: &ProjectedRow| {
        store.upsert_row(c, RecordKey(u64::from(r.id.0[0])), r).unwrap();
        agrees(store, &schema, &tree());
    };
    put(&mut store, &row(1, 4, "rice", 150, "2026-03-01"));
    put(&mut store, &row(2, 4, "tea", -25, "2026-03-31"));
    put(&mut store, &row(3, 5, "rice", 5, "2026"));
    put(&mut store, &row(4, 1, "", 7, ""));
    // The same again, another value, another period, another unit, removed, restored, gone.
    put(&mut store, &row(1, 4, "rice", 150, "2026-03-01"));
    put(&mut store, &row(1, 4, "tea", i64::MAX, "2026-04-01"));
    put(&mut store, &row(2, 5, "tea", i64::MAX, "2026-04-02"));
    let gone = ProjectedRow { removed: true, ..row(3, 5, "rice", 5, "2026") };
    put(&mut store, &gone);
    put(&mut store, &row(3, 5, "rice", 5, "2026"));
    store.delete_row(c, RecordKey(1)).unwrap();
    agrees(&store, &schema, &tree());
    for n in [2, 3, 4] {
        store.delete_row(c, RecordKey(n)).unwrap();
    }
    for table in ["_figures", "_figure_values"] {
        let left: i64 = store.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).unwrap();
        assert_eq!(left, 0, "{table}: a figure of no records has no row");
    }
}

#[test]
fn an_edit_costs_one_update_a_level_however_many_records_there_are() {
    let (_dir, _path, mut store) = fresh();
    let schema = ready(&mut store);
    let c = &schema.collections["fields"];
    let mut costs = Vec::new();
    for n in 1..=200_u8 {
        store.upsert_row(c, RecordKey(u64::from(n)), &row(n, 4, "rice", 1, "2026-03-01")).unwrap();
        let before = store.figure_updates();
        // Only the area changes: one metric, the unit's own figure, and a sum at each of three levels.
        store.upsert_row(c, RecordKey(u64::from(n)), &row(n, 4, "rice", 2, "2026-03-01")).unwrap();
        costs.push(store.figure_updates() - before);
        let before = store.figure_updates();
        store.upsert_row(c, RecordKey(u64::from(n)), &row(n, 4, "rice", 2, "2026-03-01")).unwrap();
        assert_eq!(store.figure_updates(), before, "what changes nothing costs nothing");
    }
    assert_eq!(costs, [4; 200]);
    agrees(&store, &schema, &tree());
}

#[test]
fn a_unit_that_moves_counts_where_it_is_now() {
    let (_dir, _path, mut store) = fresh();
    let schema = ready(&mut store);
    let c = &schema.collections["fields"];
    for n in 1..=5 {
        store.upsert_row(c, RecordKey(u64::from(n)), &row(n, n, "rice", i64::from(n), "2026-03-01")).unwrap();
    }
    agrees(&store, &schema, &tree());
    let mut moved = tree();
    moved.insert(unit(4), Some(unit(3)));
    assert!(store.keep_figure_tree(moved.clone()).unwrap());
    agrees(&store, &schema, &moved);
    // A new unit with nothing in it makes nothing anew; rows of a unit that the tree does not have yet count later.
    moved.insert(unit(6), Some(unit(4)));
    assert!(!store.keep_figure_tree(moved.clone()).unwrap());
    store.upsert_row(c, RecordKey(7), &row(7, 7, "tea", 9, "2026-03-01")).unwrap();
    moved.insert(unit(7), Some(unit(6)));
    assert!(store.keep_figure_tree(moved.clone()).unwrap());
    agrees(&store, &schema, &moved);
}

#[test]
fn rows_that_were_there_before_the_metrics_count() {
    let (_dir, _path, mut store) = fresh();
    let schema = schema();
    let c = &schema.collections["fields"];
    store.follow_schema(&schema).unwrap();
    for n in 1..=5 {
        store.upsert_row(c, RecordKey(u64::from(n)), &row(n, n, "rice", i64::from(n), "2026-03-01")).unwrap();
    }
    ready(&mut store);
    agrees(&store, &schema, &tree());
    // A writer that knows another tree leaves the figures to be made anew, instead of making them wrong.
    store.put_meta("figures_of", Some(b"1/farms/1/and another tree")).unwrap();
    store.upsert_row(c, RecordKey(6), &row(6, 4, "tea", 8, "2026-03-01")).unwrap();
    assert!(!store.keeps_figures_of(&schema).unwrap());
    store.keep_figures(&schema).unwrap();
    assert!(store.keep_figure_tree(tree()).unwrap() || store.keeps_figures_of(&schema).unwrap());
    agrees(&store, &schema, &tree());
}

#[test]
fn a_creation_makes_the_row_and_the_figures_that_its_fields_make() {
    use sampan_core::change::{Parsed, creation_fields, creation_shown};
    use sampan_core::testing::SeededRng;
    let (_one, _path, mut whole) = fresh();
    let (_two, _path, mut short) = fresh();
    let schema = ready(&mut whole);
    ready(&mut short);
    let c = &schema.collections["fields"];
    let mut rng = SeededRng::new(4);
    let values = |rng: &mut SeededRng| {
        let texts = ["rice", "tea", "2026-03", "2026-13-01", "12", " -7 ", "", "Đông \"1\""];
        let words = || vec!["a".to_owned(), "ă; b".to_owned()];
        let of = |rng: &mut SeededRng| match rng.below(8) {
            0 => (Kind::Int, Value::Int(rng.below(900) as i64 - 90)),
            1 => (Kind::Bool, Value::Bool(rng.one_in(2))),
            2 => (Kind::List, Value::List(words())),
            3 => (Kind::Set, Value::Set(words().into_iter().collect())),
            4 => (Kind::Counter, Value::Counter(3)),
            5 => (Kind::Text, Value::Text(texts[rng.below(8) as usize].to_owned())),
            _ => (Kind::String, Value::Str(texts[rng.below(8) as usize].to_owned())),
        };
        let names = ["crop", "area", "sown", "aaa", "cz", "zzz"].into_iter().filter(|_| !rng.one_in(4));
        let names: Vec<&str> = names.collect();
        names.into_iter().map(|name| (name.to_owned(), of(rng))).collect::<BTreeMap<_, _>>()
    };
    let made: Vec<Vec<u8>> = (1..=80)
        .map(|n| {
            let fields = values(&mut rng);
            sampan_core::record::create(&ActorId([n; 16]), Millis(1), [n; 6], &fields).unwrap().bytes
        })
        .collect();
    let place = |n: usize| (RecordKey(n as u64 + 1), RecordId([n as u8 + 1; 16]), unit(n as u8 % 5 + 1));
    let (updated, author) = (Millis(1_800_000_000_000), DeviceId([2; 32]));
    for (n, bytes) in made.iter().enumerate() {
        let mut values = creation_fields(&Parsed::read(bytes).unwrap()).unwrap();
        values.retain(|name, _| !name.starts_with('_'));
        let (key, id, unit) = place(n);
        let row = ProjectedRow { id, unit, updated, author, conflict: Vec::new(), removed: false, values };
        whole.upsert_row(c, key, &row).unwrap();
    }
    // The last first, and some twice: a row that stands is replaced by the short way too.
    for piece in [40..80, 0..40, 30..50] {
        let rows = made.iter().enumerate().skip(piece.start).take(piece.len()).map(|(n, bytes)| {
            let (key, id, unit) = place(n);
            let hash = Parsed::read(bytes).unwrap().hash();
            (key, Created { id, unit, updated, author, fields: creation_shown(bytes, hash).unwrap() })
        });
        short.group(|s| s.put_created(c, rows)).unwrap();
        agrees(&short, &schema, &tree());
    }
    let all = |store: &SqliteStore| store.query(c, None, None, true).unwrap();
    assert_eq!(all(&whole).len(), 80);
    assert_eq!(all(&whole), all(&short));
    for m in measures(&schema) {
        for below in [false, true] {
            assert_eq!(
                whole.every_figure(&m.id, below).unwrap(),
                short.every_figure(&m.id, below).unwrap(),
                "{}",
                m.id
            );
        }
    }
    let mut report = VerifyReport::default();
    short.check_kept_figures(&mut report).unwrap();
    short.check_collection(c, (80, 80), &mut report).unwrap();
    let of_rows = |d: &Damage| !d.what.contains("no record") && !d.what.contains("another record");
    assert!(!report.damaged.iter().any(of_rows), "{:?}", report.damaged);
}

#[test]
fn a_value_of_another_kind_is_taken_back_as_it_was_counted() {
    let (_dir, _path, mut store) = fresh();
    let schema = ready(&mut store);
    let c = &schema.collections["fields"];
    let mut odd = row(1, 4, "rice", 1, "2026-03-01");
    odd.values.insert("crop".to_owned(), Value::Int(3));
    for text in ["12", " -7 ", "1e2", "3.0", "3.5", "0x10", "nan", "x", "+4", "99999999999999999999", "1e300", "."] {
        odd.values.insert("area".to_owned(), Value::Str(text.to_owned()));
        store.upsert_row(c, RecordKey(1), &odd).unwrap();
        let read = store.row(c, RecordKey(1)).unwrap().unwrap();
        let said = SqliteStore::as_stored(c, &odd).unwrap();
        assert_eq!(said.values.get("area"), read.values.get("area"), "{text}");
        agrees(&store, &schema, &tree());
    }
    store.upsert_row(c, RecordKey(1), &row(1, 4, "tea", 1, "2026-03-01")).unwrap();
    agrees(&store, &schema, &tree());
    store.delete_row(c, RecordKey(1)).unwrap();
    assert!(measures(&schema).iter().all(|m| store.every_figure(&m.id, true).unwrap().is_empty()));
}
