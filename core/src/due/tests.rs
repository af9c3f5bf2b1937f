//! What rules make due, from the text of a schema to the dates.
//!
//! It does not: read a store.

use super::*;
use crate::schema::{Schema, parse};
use std::collections::BTreeMap;

const SCHEMA: &str = r#"
[schema]
name = "people"
version = 1
levels = ["city", "branch"]
[collection.members]
flow = "up"
[collection.members.field.admitted]
kind = "date"
[collection.members.field.badge]
kind = "int"
[collection.reports]
flow = "up"
[collection.reports.field.period]
kind = "string"
[collection.holidays]
flow = "down"
[collection.holidays.field.day]
kind = "date"
[calendar]
rest = ["saturday", "sunday"]
holidays = "holidays"
from = "day"
[due.probation]
of = "members"
date = "admitted"
after = "12 months"
on_rest = "next"
[due.badge]
of = "members"
date = "admitted"
after = ["30 years", "40 years", "45 years", "50 years"]
reached = "badge"
[due.report]
of = "reports"
each = "quarter"
period = "period"
after = "5 working days"
since = "2026-01-01"
"#;

fn schema() -> Schema {
    parse(SCHEMA).unwrap()
}

fn day(text: &str) -> i32 {
    Date::parse(text).unwrap().last_day_number()
}

fn dates(rule: &str, values: &[(&str, Value)], today: &str) -> Vec<String> {
    let schema = schema();
    let values: BTreeMap<&str, Value> = values.iter().cloned().collect();
    let calendar = Calendar::new(&schema.calendar.rest);
    let dues = of_record(&schema.dues[rule], &|f| values.get(f).cloned(), &calendar, day(today));
    dues.iter().map(|d| d.milestone.map_or(d.on.to_string(), |m| format!("{} {m}", d.on))).collect()
}

#[test]
fn a_date_and_what_comes_after_it() {
    let admitted = |text: &str| [("admitted", Value::Str(text.to_owned()))];
    assert_eq!(dates("probation", &admitted("2025-11-20"), "2026-11-01"), ["2026-11-20"]);
    // 22 November 2026 is a Sunday.
    assert_eq!(dates("probation", &admitted("2025-11-22"), "2026-11-01"), ["2026-11-23"]);
    assert_eq!(dates("probation", &admitted("2025-11"), "2027-11-01"), ["2026-11"]);
    assert_eq!(dates("probation", &[], "2026-11-01"), Vec::<String>::new());
}

#[test]
fn of_milestones_that_passed_only_the_last_is_due_until_it_was_reached() {
    let member = |badge: Option<i64>| {
        let mut values = vec![("admitted", Value::Str("1980-05-19".to_owned()))];
        values.extend(badge.map(|n| ("badge", Value::Int(n))));
        values
    };
    let all = ["2020-05-19 40 years", "2025-05-19 45 years", "2030-05-19 50 years"];
    assert_eq!(dates("badge", &member(None), "2026-11-22"), all[1..]);
    assert_eq!(dates("badge", &member(None), "2025-05-19"), all, "on its day it is not late yet, the one before is");
    assert_eq!(dates("badge", &member(Some(45)), "2026-11-22"), all[2..]);
    assert_eq!(dates("badge", &member(Some(50)), "2026-11-22"), [""; 0]);
}

#[test]
fn a_period_is_asked_for_until_its_record_is_there_and_not_before_the_rule_or_the_unit() {
    let schema = schema();
    let calendar = Calendar::new(&[5, 6]);
    let list = |has: &[&str], today: &str, from: Option<&str>| -> Vec<(String, String)> {
        let dues = of_periods(&schema.dues["report"], &|p| has.contains(&p), &calendar, day(today), from.map(day));
        dues.into_iter().map(|d| (d.period.unwrap(), d.on.to_string())).collect()
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let (q2, q3, q4) = (pair("2026-Q2", "2026-07-07"), pair("2026-Q3", "2026-10-07"), pair("2026-Q4", "2027-01-07"));
    assert_eq!(list(&["2026-Q1"], "2026-11-22", None), [q2.clone(), q3.clone(), q4.clone()]);
    assert_eq!(list(&[], "2026-11-22", Some("2026-08-15")), [q3, q4.clone()]);
    assert_eq!(list(&["2026-Q1", "2026-Q2", "2026-Q3"], "2026-11-22", None), [q4]);
    let names: Vec<String> = list(&[], "2028-02-01", None).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["2027-Q1", "2027-Q2", "2027-Q3", "2027-Q4", "2028-Q1"], "bounded");
}

#[test]
fn rules_that_cannot_be_are_refused_with_their_line() {
    for (from, to, what) in [
        ("after = \"12 months\"", "after = \"12 moons\"", "'after' has '12 moons'"),
        ("after = \"12 months\"", "after = \"1201 months\"", "'after' has '1201 months'"),
        ("date = \"admitted\"\nafter = \"12 months\"", "after = \"12 months\"", "either 'date'"),
        (
            "date = \"admitted\"\nafter = \"12",
            "date = \"badge\"\nafter = \"12",
            "'date' names 'badge', a int; it must be a date",
        ),
        (
            "date = \"admitted\"\nafter = \"12",
            "date = \"admited\"\nafter = \"12",
            "'date' names 'admited', which is no field",
        ),
        ("reached = \"badge\"", "reached = \"admitted\"", "it must be a int"),
        ("each = \"quarter\"", "each = \"fortnight\"", "'each' must be one of month, quarter, half, year"),
        ("period = \"period\"\n", "", "'each' needs 'period'"),
        ("on_rest = \"next\"", "on_rest = \"soon\"", "'on_rest' must be stays, next or before"),
        ("on_rest = \"next\"", "answered_by = \"reports\"", "whose 'reply_to' is not 'members'"),
        ("on_rest = \"next\"", "answered_where = \"badge = 1\"", "goes with 'answered_by' only"),
        (
            "[\"saturday\", \"sunday\"]",
            "[\"saturday\", \"sonday\"]",
            "'rest' names 'sonday', which is no day of the week",
        ),
        (
            "[\"saturday\", \"sunday\"]",
            "[\"monday\", \"tuesday\", \"wednesday\", \"thursday\", \"friday\", \"saturday\", \"sunday\"]",
            "leaves no day to work on",
        ),
        ("holidays = \"holidays\"", "holidays = \"holiday\"", "'holidays' names 'holiday', which is no collection"),
        ("from = \"day\"", "", "'from' is missing"),
        ("since = \"2026-01-01\"", "since = \"soon\"", "'since' must be a date"),
        ("since = \"2026-01-01\"", "levels = [\"village\"]", "'village', which is no level"),
    ] {
        assert!(SCHEMA.contains(from), "the test's own text: {from}");
        let problems = parse(&SCHEMA.replacen(from, to, 1)).unwrap_err();
        assert!(problems.iter().any(|p| p.what.contains(what) && p.line > 1), "{what}: {problems:?}");
    }
}
