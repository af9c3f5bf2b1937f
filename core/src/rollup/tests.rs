//! Tests of the algebra: order never matters, what was given is given back, and the second way agrees.

use super::recount::Held;
use super::*;
use crate::date::Date;
use crate::id::UnitId;
use crate::schema::{MetricOp, Schema, parse};
use crate::time::Millis;
use crate::value::Value;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SCHEMA: &str = r#"
[schema]
name = "coop"
version = 1
levels = ["union", "coop", "farm"]
[collection.fields]
flow = "up"
reach = "root"
[collection.fields.field.crop]
kind = "choice"
choices = [{ id = "rice" }, { id = "tea" }]
[collection.fields.field.area]
kind = "decimal"
scale = 2
[collection.fields.field.planned]
kind = "decimal"
scale = 1
[collection.fields.field.sown]
kind = "date"
[metric.fields]
of = "fields"
op = "count"
by = ["crop"]
[metric.sown]
of = "fields"
op = "sum:area"
where = "crop != tea"
on = "sown"
period = "week"
over = "sum:planned"
[metric.first]
of = "fields"
op = "min:sown"
[metric.largest]
of = "fields"
op = "max:area"
on = "sown"
period = "quarter"
[metric.crops]
of = "fields"
op = "distinct:crop"
"#;

fn schema() -> Schema {
    parse(SCHEMA).unwrap()
}

fn ops() -> [MetricOp; 5] {
    let f = || "f".to_owned();
    [MetricOp::Count, MetricOp::Sum(f()), MetricOp::Min(f()), MetricOp::Max(f()), MetricOp::Distinct(f())]
}

fn given() -> impl Strategy<Value = Given> {
    let value = prop_oneof![
        Just(None),
        (-3_i64..3).prop_map(|n| Some(Scalar::Num(n))),
        "[ab]{1,2}".prop_map(|t| Some(Scalar::Text(t)))
    ];
    (any::<i64>(), value).prop_map(|(amount, value)| Given { amount, value })
}

fn row() -> impl Strategy<Value = (u8, BTreeMap<String, Value>)> {
    let crop = prop::option::of(prop_oneof![Just("rice"), Just("tea")]);
    // Some are no dates: what a peer without manners writes is shown as it is.
    let date = prop::option::of((1990_u16..2030, 0_u8..=13, 0_u8..=32, 0_u8..3));
    (0_u8..4, crop, prop::option::of(any::<i64>()), prop::option::of(-5_i64..50), date).prop_map(
        |(unit, crop, area, planned, date)| {
            let mut out = BTreeMap::new();
            let mut put = |name: &str, value: Option<Value>| out.extend(value.map(|v| (name.to_owned(), v)));
            put("crop", crop.map(|c| Value::Str(c.to_owned())));
            put("area", area.map(Value::Int));
            put("planned", planned.map(Value::Int));
            put(
                "sown",
                date.map(|(y, m, d, known)| {
                    Value::Str(match known {
                        0 => format!("{y}"),
                        1 => format!("{y}-{m:02}"),
                        _ => format!("{y}-{m:02}-{d:02}"),
                    })
                }),
            );
            (unit, out)
        },
    )
}

proptest! {
    #[test]
    fn what_was_added_is_given_back(all in prop::collection::vec(given(), 0..30), split in 0_usize..30) {
        let mut cell = Cell::default();
        for g in &all {
            cell.add(g);
        }
        let mut back = cell.clone();
        for g in all.iter().rev() {
            back.remove(g);
        }
        prop_assert!(back.is_empty());
        // Removed before it was added, as a late arrival may be: the sum is the same.
        let (first, second) = all.split_at(split.min(all.len()));
        let mut other = Cell::default();
        for g in second.iter().chain(first) {
            other.add(g);
        }
        prop_assert_eq!(&other, &cell);
        let mut parts = Cell::default();
        for part in [second, first] {
            let mut one = Cell::default();
            part.iter().for_each(|g| one.add(g));
            parts.merge(&one);
        }
        prop_assert_eq!(parts, cell);
    }

    #[test]
    fn figures_of_units_add_up_in_any_order(units in prop::collection::vec(prop::collection::vec(given(), 0..6), 0..6)) {
        for op in ops().iter().filter(|op| !matches!(op, MetricOp::Distinct(_))) {
            let figures: Vec<Figure> = units.iter().map(|all| {
                let mut cell = Cell::default();
                all.iter().for_each(|g| cell.add(g));
                cell.figure(op)
            }).collect();
            let mut whole = Cell::default();
            units.iter().flatten().for_each(|g| whole.add(g));
            let (mut forth, mut back) = (Figure::default(), Figure::default());
            for f in &figures {
                forth.merge(op, f).unwrap();
            }
            for f in figures.iter().rev() {
                back.merge(op, f).unwrap();
            }
            prop_assert_eq!(&forth, &back);
            prop_assert_eq!(forth, whole.figure(op));
        }
    }

    #[test]
    fn both_ways_agree_to_the_last_digit(rows in prop::collection::vec(row(), 0..40)) {
        let schema = schema();
        for m in measures(&schema) {
            let metric = &schema.metrics[m.id.trim_end_matches(OVER)];
            let sum = m.id.ends_with(OVER).then_some("planned");
            let mut cells: BTreeMap<recount::Place, Cell> = BTreeMap::new();
            for (unit, fields) in &rows {
                if let Some((key, given)) = m.of_row(&|name| fields.get(name).cloned()) {
                    cells.entry((UnitId([*unit; 16]), key.period, key.by)).or_default().add(&given);
                }
            }
            let collection = schema.collection(&metric.of).unwrap();
            let scale = m.op.field().and_then(|f| collection.field(f)).map_or(0, |f| f.scale);
            let one: BTreeMap<_, _> =
                cells.into_iter().map(|(place, c)| (place, c.figure(&m.op).text(&m.op, scale))).collect();
            let held: Vec<Held> = rows
                .iter()
                .map(|(unit, fields)| Held { units: vec![UnitId([*unit; 16])], fields: fields.clone() })
                .collect();
            prop_assert_eq!(one, recount::recount(&schema, metric, sum, &held), "{}", m.id);
        }
    }

    #[test]
    fn what_is_said_is_read_back(n in any::<u64>(), total in any::<i128>(), best in prop::option::of(any::<i64>())) {
        let figure = Figure { n, total, best: best.map(Scalar::Num) };
        prop_assert_eq!(SaidFigure::of("2026-11", &["a".to_owned()], &figure).figure(), figure);
    }

    #[test]
    fn a_date_lies_in_its_period(y in 1970_u16..2200, m in 1_u8..=12, d in 1_u8..=28) {
        let day = period::read(&format!("{y:04}-{m:02}-{d:02}")).unwrap();
        let date = Date::new(y, Some(m), Some(d)).unwrap();
        for name in crate::schema::metric::PERIODS {
            let kind = PeriodKind::named(name).unwrap();
            let label = kind.of_date(date).unwrap();
            let span = period::read(&label).unwrap();
            prop_assert_eq!(span.kind, kind);
            prop_assert!(span.from <= day.from && day.until <= span.until, "{}", label);
            prop_assert_eq!(kind.of_time(day.from), label.clone());
            prop_assert_eq!(kind.of_time(Millis(span.until.0 - 1)), label.clone());
            prop_assert_ne!(kind.of_time(span.until), label);
        }
    }
}

#[test]
fn numbers_of_different_values_do_not_add_up() {
    let op = MetricOp::Distinct("f".to_owned());
    let two = Figure { n: 3, total: 2, best: None };
    let mut sum = two.clone();
    assert_eq!(sum.merge(&op, &two), Err(NotAdditive));
    assert_eq!(sum, two);
}

#[test]
fn periods_are_read_and_nothing_else_is() {
    for (label, from, until) in [
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-H2", "2026-07-01", "2027-01-01"),
        ("2026-Q4", "2026-10-01", "2027-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2020-W53", "2020-12-28", "2021-01-04"),
        ("2026-W01", "2025-12-29", "2026-01-05"),
    ] {
        let span = period::read(label).unwrap();
        let day = |t: &str| period::read(t).unwrap().from;
        assert_eq!((span.from, span.until), (day(from), day(until)), "{label}");
    }
    for none in
        ["", "2026-13", "2026-Q5", "2026-H3", "2026-W54", "2021-W53", "2026-02-30", "26", "2026-1", "x", "2026-"]
    {
        assert_eq!(period::read(none), None, "{none}");
    }
    assert_eq!((period::year_of("2026-Q4"), period::year_of("undated"), period::year_of("")), ("2026", "", ""));
}

#[test]
fn coverage_counts_who_was_heard_of_since() {
    let unit = |n: u8| UnitId([n; 16]);
    let units = [(unit(1), Some(Millis(50))), (unit(2), Some(Millis(9))), (unit(3), None), (unit(4), Some(Millis(20)))];
    let c = Coverage::of(units, Millis(10));
    assert_eq!((c.reported, c.expected, c.oldest), (2, 4, Some(Millis(20))));
    assert_eq!(c.missing, [(unit(2), Some(Millis(9))), (unit(3), None)]);
}

#[test]
fn a_ratio_is_rounded_by_halves_and_flagged_above_a_hundred() {
    let of = |v, s, o, os| ratio(v, s, o, os).map(|r| (r.percent, r.above));
    assert_eq!(of(2_241, 0, 9_810, 0), Some(("22.84".to_owned(), false)));
    assert_eq!(of(425_588, 0, 416_181, 0), Some(("102.26".to_owned(), true)));
    assert_eq!(of(167, 0, 454, 0), Some(("36.78".to_owned(), false)));
    assert_eq!(of(125, 2, 10, 1), Some(("125.00".to_owned(), true)));
    assert_eq!(of(100, 0, 100, 0), Some(("100.00".to_owned(), false)));
    assert_eq!(of(-1, 0, 3, 0), Some(("-33.33".to_owned(), false)));
    assert_eq!(of(5, 0, 0, 0), None);
}
