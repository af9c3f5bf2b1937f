//! The plain account of figures: who wrote what, where it has arrived, and what each level should say of it.
//!
//! It does not: use anything of the engine, its rollups or its periods; it does not even read a schema: whoever
//! asks says what counts, as a closure over the fields as text.
//!
//! Invariants: nothing is kept but rows and who was heard of; every figure is counted anew from them, slowly.

use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The period of what has no date, or not enough of one.
pub const UNDATED: &str = "undated";

/// The fields of a row as text.
pub type Fields = BTreeMap<String, String>;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The code of its unit.
    pub unit: String,
    /// Its collection.
    pub of: String,
    /// Its fields.
    pub fields: Fields,
    /// How often it was edited.
    edits: u64,
}

/// What is counted of a collection.
pub struct Metric {
    /// Its name, as the schema has it.
    pub id: &'static str,
    /// The collection.
    pub of: &'static str,
    /// The field that is added up; none is a count.
    pub sum: Option<&'static str>,
    /// Which rows count.
    pub counts: fn(&Fields) -> bool,
    /// The dimension.
    pub by: Option<&'static str>,
    /// The date that puts a row into a quarter.
    pub quarter_of: Option<&'static str>,
    /// How deep the units lie that must report.
    pub expected: usize,
    /// What it is divided by.
    pub over: Over,
}

/// What a figure is divided by.
pub enum Over {
    /// Nothing.
    Nothing,
    /// The sum of another field of the same rows.
    Field(&'static str),
    /// A sum of another collection, as of now.
    Sum(&'static str, &'static str),
}

/// A figure, as text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Its value.
    pub value: String,
    /// Percent of what it is divided by, with two decimals.
    pub percent: Option<String>,
    /// Units heard of.
    pub reported: usize,
    /// Units expected.
    pub expected: usize,
}

/// Where a figure lies: period, value of the dimension (none is the whole).
pub type Spot = (String, Option<String>);

/// One place where records are: a device or a relay.
#[derive(Debug, Clone, Default)]
struct Place {
    rows: BTreeMap<String, Row>,
    heard: BTreeSet<String>,
}

/// The account.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Parent and depth of each unit; the root is "" at depth 0.
    units: BTreeMap<String, (String, usize)>,
    places: BTreeMap<String, Place>,
}

impl Book {
    /// A unit below another; "" is the root.
    pub fn unit(&mut self, code: &str, parent: &str) {
        let depth = self.units.get(parent).map_or(0, |(_, d)| *d) + 1;
        self.units.insert(code.to_owned(), (parent.to_owned(), depth));
    }

    /// Units at a depth.
    #[must_use]
    pub fn at_depth(&self, depth: usize) -> Vec<String> {
        self.units.iter().filter(|(_, (_, d))| *d == depth).map(|(code, _)| code.clone()).collect()
    }

    /// Units one level down.
    #[must_use]
    pub fn children(&self, of: &str) -> Vec<String> {
        self.units.iter().filter(|(_, (parent, _))| parent == of).map(|(code, _)| code.clone()).collect()
    }

    /// A unit and all below it: worked out once for all the rows that are asked about.
    fn within(&self, of: &str) -> HashSet<&str> {
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (code, (parent, _)) in &self.units {
            below.entry(parent).or_default().push(code);
        }
        let known = self.units.get_key_value(of).map(|(code, _)| code.as_str());
        let mut at: Vec<&str> = if of.is_empty() { vec![""] } else { known.into_iter().collect() };
        let mut out = HashSet::new();
        while let Some(unit) = at.pop() {
            out.insert(unit);
            at.extend(below.get(unit).into_iter().flatten().copied());
        }
        out
    }

    /// Somebody at a place adds a record.
    pub fn add(&mut self, place: &str, id: &str, unit: &str, of: &str, fields: &[(&str, String)]) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let row = Row { unit: unit.to_owned(), of: of.to_owned(), fields, edits: 0 };
        let here = self.places.entry(place.to_owned()).or_default();
        here.heard.insert(unit.to_owned());
        here.rows.insert(id.to_owned(), row);
    }

    /// Somebody at a place changes a field.
    ///
    /// # Panics
    /// When the record is not there: a fault of the test.
    pub fn set(&mut self, place: &str, id: &str, field: &str, value: &str) {
        let row = self.places.get_mut(place).and_then(|p| p.rows.get_mut(id)).expect("a record that is here");
        row.fields.insert(field.to_owned(), value.to_owned());
        row.edits += 1;
    }

    /// A device at a place works for a unit: what it sends tells of that unit, also where it has nothing to tell.
    pub fn works_for(&mut self, place: &str, unit: &str) {
        self.places.entry(place.to_owned()).or_default().heard.insert(unit.to_owned());
    }

    /// A place has met another: what it holds has arrived there.
    pub fn carry(&mut self, from: &str, to: &str) {
        let source = self.places.entry(from.to_owned()).or_default().clone();
        let target = self.places.entry(to.to_owned()).or_default();
        target.heard.extend(source.heard);
        for (id, row) in source.rows {
            target.heard.insert(row.unit.clone());
            match target.rows.get(&id) {
                Some(there) if there.edits >= row.edits => {}
                _ => {
                    target.rows.insert(id, row);
                }
            }
        }
    }

    /// A field of a record at a place.
    ///
    /// # Panics
    /// When the record is not there, or has no such field: a fault of the test.
    #[must_use]
    pub fn field(&self, place: &str, id: &str, field: &str) -> String {
        self.places[place].rows[id].fields[field].clone()
    }

    /// A place is copied as it is.
    pub fn copy(&mut self, from: &str, to: &str) {
        let place = self.places.get(from).cloned().unwrap_or_default();
        self.places.insert(to.to_owned(), place);
    }

    /// A place gets what another holds of one unit.
    pub fn fetch(&mut self, from: &str, to: &str, unit: &str) {
        let rows = self.places.get(from).map(|p| p.rows.clone()).unwrap_or_default();
        let target = self.places.entry(to.to_owned()).or_default();
        target.rows.extend(rows.into_iter().filter(|(_, row)| row.unit == unit));
    }

    /// The units of the expected level, at or below a unit, that this place has not heard of.
    #[must_use]
    pub fn missing(&self, place: &str, metric: &Metric, unit: &str) -> BTreeSet<String> {
        let heard = self.places.get(place).map(|p| p.heard.clone()).unwrap_or_default();
        let within = self.within(unit);
        let expected = self.at_depth(metric.expected).into_iter().filter(|u| within.contains(u.as_str()));
        expected.filter(|u| !heard.contains(u)).collect()
    }

    /// The figures of a unit and all below, as this place should show them.
    #[must_use]
    pub fn figures(&self, place: &str, metric: &Metric, unit: &str) -> BTreeMap<Spot, Said> {
        let nothing = Place::default();
        let here = self.places.get(place).unwrap_or(&nothing);
        let mut sums: BTreeMap<Spot, (i64, i64)> = BTreeMap::new();
        let within = self.within(unit);
        for row in here.rows.values().filter(|r| r.of == metric.of && within.contains(r.unit.as_str())) {
            if !(metric.counts)(&row.fields) {
                continue;
            }
            let gives = match metric.sum {
                None => Some(1),
                Some(field) => number(&row.fields, field),
            };
            let Some(gives) = gives else { continue };
            let over = match metric.over {
                Over::Field(field) => number(&row.fields, field).unwrap_or(0),
                Over::Nothing | Over::Sum(..) => 0,
            };
            let period = metric.quarter_of.map_or(String::new(), |f| quarter(row.fields.get(f)));
            let mut spots = vec![(period.clone(), None)];
            spots.extend(metric.by.map(|f| (period, Some(row.fields.get(f).cloned().unwrap_or_default()))));
            for spot in spots {
                let sum = sums.entry(spot).or_default();
                *sum = (sum.0 + gives, sum.1 + over);
            }
        }
        let expected = self.at_depth(metric.expected).iter().filter(|u| within.contains(u.as_str())).count();
        let reported = expected - self.missing(place, metric, unit).len();
        let share = match metric.over {
            Over::Sum(of, field) => {
                let rows = here.rows.values().filter(|r| r.of == of && within.contains(r.unit.as_str()));
                Some(rows.filter_map(|r| number(&r.fields, field)).sum::<i64>())
            }
            Over::Nothing | Over::Field(_) => None,
        };
        let said = |(value, over): (i64, i64)| {
            let over = match metric.over {
                Over::Nothing => None,
                Over::Field(_) => Some(over),
                Over::Sum(..) => share,
            };
            let percent = over.filter(|o| *o > 0).map(|o| percent(value, o));
            Said { value: value.to_string(), percent, reported, expected }
        };
        sums.into_iter().map(|(spot, sum)| (spot, said(sum))).collect()
    }
}

fn number(fields: &Fields, name: &str) -> Option<i64> {
    fields.get(name).and_then(|v| v.parse().ok())
}

/// `2026-09-30` lies in `2026-Q3`; a year alone in none.
fn quarter(date: Option<&String>) -> String {
    let month = date.and_then(|d| d.split('-').nth(1)).and_then(|m| m.parse::<u32>().ok());
    match (date, month) {
        (Some(date), Some(month)) => format!("{}-Q{}", &date[..4], ["1", "2", "3", "4"][(month as usize - 1) / 3]),
        _ => UNDATED.to_owned(),
    }
}

/// Percent with two decimals, as written on paper: divide, and round half up.
#[must_use]
pub fn percent(value: i64, over: i64) -> String {
    let mut hundredths = value * 10_000 / over;
    if value * 10_000 % over * 2 >= over {
        hundredths += 1;
    }
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_those_of_the_reports() {
        assert_eq!(percent(2_309, 2_310), "99.96");
        assert_eq!(percent(2_241, 9_810), "22.84");
        assert_eq!(percent(29, 69), "42.03");
        assert_eq!(percent(167, 454), "36.78");
        assert_eq!(percent(425_588, 472_869), "90.00");
    }

    #[test]
    fn a_row_counts_once_where_it_is_and_above() {
        let mut book = Book::default();
        for (code, parent) in [("d", ""), ("g", "d"), ("b", "g"), ("c", "g")] {
            book.unit(code, parent);
        }
        let metric = Metric {
            id: "m",
            of: "x",
            sum: Some("n"),
            counts: |_| true,
            by: None,
            quarter_of: Some("on"),
            expected: 3,
            over: Over::Field("of"),
        };
        let fields = |n: &str, on: &str| [("n", n.to_owned()), ("of", "4".to_owned()), ("on", on.to_owned())];
        book.add("pc", "1", "b", "x", &fields("2", "2026-09-30"));
        book.add("pc", "2", "b", "x", &fields("1", "2026"));
        book.works_for("pc", "b");
        book.carry("pc", "d");
        book.carry("pc", "d");
        let at = (String::from("2026-Q3"), None);
        for unit in ["", "d", "g", "b"] {
            let said = &book.figures("d", &metric, unit)[&at];
            assert_eq!((said.value.as_str(), said.percent.as_deref()), ("2", Some("50.00")), "{unit}");
        }
        assert_eq!(book.figures("d", &metric, "g")[&(UNDATED.to_owned(), None)].value, "1");
        assert_eq!(book.missing("d", &metric, ""), BTreeSet::from(["c".to_owned()]));
        book.set("pc", "1", "on", "2026-10-01");
        assert!(book.figures("d", &metric, "").contains_key(&at), "it has not arrived");
        book.carry("pc", "d");
        assert!(!book.figures("d", &metric, "").contains_key(&at));
    }
}
