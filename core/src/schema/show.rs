//! Values as people and programs read them: JSON, tables, cells, titles.
//!
//! It does not: choose columns or translate sentences.
//!
//! Invariants: [`to_cell`] and [`to_json`] are read back by `parse_cell` and `from_json` as the same
//! value (`Other` values, which no schema writes, apart).

use super::number::{file_decimal, grouped, plain_decimal};
use super::types::{Collection, Field, Label, Lang};
use super::value::json_strings;
use crate::date::Date;
use crate::fold::{name_sort_key, sort_key};
use crate::value::{Kind, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The value as JSON: text, string, choice, date and decimal are strings, int and counter numbers,
/// list and set arrays. Without its field a decimal cannot be told from an int.
#[must_use]
pub fn to_json(field: Option<&Field>, value: &Value) -> Json {
    match value {
        Value::Int(n) => match field {
            Some(f) if f.kind == Kind::Decimal => Json::from(plain_decimal(*n, f.scale)),
            _ => Json::from(*n),
        },
        Value::Counter(n) => Json::from(*n),
        Value::Bool(b) => Json::from(*b),
        Value::Str(s) | Value::Text(s) | Value::Other(s) => Json::from(s.as_str()),
        Value::List(items) => items.iter().map(String::as_str).collect(),
        Value::Set(items) => items.iter().map(String::as_str).collect(),
    }
}

/// The value as a cell of a table file: ids of choices, `a; b` for lists and sets.
#[must_use]
pub fn to_cell(field: Option<&Field>, value: &Value) -> String {
    match value {
        Value::Int(n) => match field {
            Some(f) if f.kind == Kind::Decimal => plain_decimal(*n, f.scale),
            _ => n.to_string(),
        },
        Value::Counter(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Str(s) | Value::Text(s) | Value::Other(s) => s.clone(),
        Value::List(items) => joined(items.iter()),
        Value::Set(items) => joined(items.iter()),
    }
}

/// `a; b`, or a JSON array where that would not be read back as the same strings.
fn joined<'i>(items: impl Iterator<Item = &'i String> + Clone) -> String {
    let plain = items.clone().all(|i| !i.is_empty() && i.trim() == i && !i.contains(';'));
    let text = items.clone().map(String::as_str).collect::<Vec<_>>().join("; ");
    if plain && json_strings(&text).is_none() { text } else { items.map(String::as_str).collect::<Json>().to_string() }
}

/// The value for a person: labels of choices, dates and decimals in the language's way.
#[must_use]
pub fn display(field: &Field, value: &Value, lang: Lang) -> String {
    match (field.kind, value) {
        (Kind::Choice, Value::Str(s)) => {
            let choice = field.choices.iter().find(|c| c.id == *s);
            choice.map_or_else(|| s.clone(), |c| c.label.text(lang).to_owned())
        }
        (Kind::Date, Value::Str(s)) => match (lang, Date::parse(s)) {
            (Lang::Vi, Ok(date)) => date.day_first(),
            (Lang::En, _) | (_, Err(_)) => s.clone(),
        },
        (Kind::Decimal, Value::Int(n)) => grouped(*n, field.scale, lang),
        (Kind::Int | Kind::Counter, Value::Int(n) | Value::Counter(n)) => grouped(*n, 0, lang),
        (_, Value::Bool(b)) => match (lang, b) {
            (Lang::Vi, true) => "có",
            (Lang::Vi, false) => "không",
            (Lang::En, true) => "yes",
            (Lang::En, false) => "no",
        }
        .to_owned(),
        (_, Value::List(items)) => items.join("; "),
        (_, Value::Set(items)) => items.iter().map(String::as_str).collect::<Vec<_>>().join("; "),
        _ => to_cell(Some(field), value),
    }
}

/// The value as a cell of a table file that people of any language read back, see [`file_decimal`].
#[must_use]
pub fn to_file_cell(field: &Field, value: &Value) -> String {
    match value {
        Value::Int(n) if field.kind == Kind::Decimal => file_decimal(*n, field.scale),
        _ => to_cell(Some(field), value),
    }
}

/// The title of a record: the collection's template with the fields filled in, the same in every
/// language; unset fields leave nothing, and spaces are squeezed.
#[must_use]
pub fn title(collection: &Collection, fields: &BTreeMap<String, Value>) -> String {
    filled(collection, fields, &to_cell)
}

/// The [`title`] for a person: its dates, numbers and choices as [`display`] shows them.
#[must_use]
pub fn title_in(collection: &Collection, fields: &BTreeMap<String, Value>, lang: Lang) -> String {
    filled(collection, fields, &|field, value| match field {
        Some(f) => display(f, value, lang),
        None => to_cell(None, value),
    })
}

/// Where a record stands in a list: by its title in Vietnamese order. Equal keys go by the id.
#[must_use]
pub fn list_key(collection: &Collection, fields: &BTreeMap<String, Value>) -> (Vec<u8>, String) {
    let title = title(collection, fields);
    (sort_key(&title), title)
}

/// Where a record stands in a list that people read, before [`list_key`]: where the collection has a person's name, by
/// the given name first, then the rest of the name. Empty for any other.
#[must_use]
pub fn person_key(collection: &Collection, fields: &BTreeMap<String, Value>) -> Vec<u8> {
    match collection.person.as_ref().and_then(|p| fields.get(p)) {
        Some(Value::Str(name)) => name_sort_key(name),
        Some(_) | None => Vec::new(),
    }
}

fn filled(
    collection: &Collection,
    fields: &BTreeMap<String, Value>,
    shown: &dyn Fn(Option<&Field>, &Value) -> String,
) -> String {
    let mut out = String::new();
    let mut rest = collection.title.as_str();
    while let Some((before, tail)) = rest.split_once('{') {
        // A schema that parsed has no brace without its partner.
        let (name, after) = tail.split_once('}').unwrap_or((tail, ""));
        out.push_str(before);
        if let Some(value) = fields.get(name) {
            out.push_str(&shown(collection.field(name), value));
        }
        rest = after;
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Label {
    /// The words in a language.
    #[must_use]
    pub fn text(&self, lang: Lang) -> &str {
        match lang {
            Lang::Vi => &self.vi,
            Lang::En => &self.en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::{from_json, parse_cell, set_of};
    use super::*;
    use crate::schema::builtin;
    use serde_json::json;

    fn field(collection: &str, id: &str) -> Field {
        builtin().collections[collection].field(id).unwrap().clone()
    }

    #[test]
    fn json_has_the_documented_types() {
        let score = field("inspections", "score");
        assert_eq!(to_json(Some(&score), &Value::Int(368)), json!("36.8"));
        assert_eq!(to_json(None, &Value::Int(368)), json!(368));
        assert_eq!(to_json(None, &Value::Counter(-2)), json!(-2));
        assert_eq!(to_json(None, &Value::Bool(true)), json!(true));
        assert_eq!(to_json(None, &set_of(["b".into(), "a".into()])), json!(["a", "b"]));
        assert_eq!(to_json(None, &Value::Text("x\ny".into())), json!("x\ny"));
    }

    #[test]
    fn json_and_cells_are_read_back() {
        let samples = [
            ("inspections", "score", Value::Int(-368)),
            ("members", "status", Value::Str("candidate".into())),
            ("members", "rewards", Value::List(vec!["a; b".into(), " c".into()])),
            ("members", "rewards", Value::List(vec!["[1]".into(), "a".into()])),
            ("members", "rewards", Value::List(vec![r#"["a"]"#.into()])),
            ("members", "rewards", Value::List(vec!["a".into(), "a".into()])),
            ("documents", "keywords", set_of(["x".into(), "y z".into()])),
            ("members", "updated_at", Value::Int(1_747_832_521_966)),
            ("receipts", "read", Value::Bool(false)),
            ("receipts", "contacts", Value::Counter(7)),
            ("members", "notes", Value::Text(" a\n b ".into())),
        ];
        for (collection, id, value) in samples {
            let f = field(collection, id);
            assert_eq!(from_json(&f, &to_json(Some(&f), &value)), Ok(Some(value.clone())), "{id}");
            assert_eq!(parse_cell(&f, &to_cell(Some(&f), &value)), Ok(Some(value)), "{id}");
        }
    }

    #[test]
    fn people_read_their_own_language() {
        let status = field("members", "status");
        let candidate = Value::Str("candidate".into());
        assert_eq!(display(&status, &candidate, Lang::Vi), "Dự bị");
        assert_eq!(display(&status, &candidate, Lang::En), "Candidate");
        assert_eq!(display(&status, &Value::Str("later".into()), Lang::En), "later");
        let born = field("members", "date_of_birth");
        assert_eq!(display(&born, &Value::Str("1998-01-05".into()), Lang::Vi), "05/01/1998");
        let score = field("inspections", "score");
        assert_eq!(display(&score, &Value::Int(368), Lang::Vi), "36,8");
        assert_eq!(display(&score, &Value::Int(368), Lang::En), "36.8");
        assert_eq!(display(&score, &Value::Int(123_456), Lang::Vi), "12.345,6");
        let expected = field("receipts", "expected");
        assert_eq!(display(&expected, &Value::Int(2241), Lang::Vi), "2.241");
        assert_eq!(display(&expected, &Value::Int(2241), Lang::En), "2,241");
        assert_eq!(display(&field("receipts", "read"), &Value::Bool(true), Lang::Vi), "có");
    }

    #[test]
    fn titles_fill_the_template() {
        let schema = builtin();
        let fields = BTreeMap::from([("title".to_owned(), Value::Str("Kế hoạch".into()))]);
        assert_eq!(title(&schema.collections["directives"], &fields), "Kế hoạch");
        let mut fields = fields;
        fields.insert("number".into(), Value::Str("12-KH".into()));
        assert_eq!(title(&schema.collections["directives"], &fields), "12-KH Kế hoạch");
        assert_eq!(title(&schema.collections["members"], &BTreeMap::new()), "");
        let meeting = [("held_on", "2025-11-05"), ("title", "Chi bộ")];
        let meeting = meeting.map(|(k, v)| (k.to_owned(), Value::Str(v.into()))).into();
        assert_eq!(title(&schema.collections["meetings"], &meeting), "2025-11-05 Chi bộ");
        assert_eq!(title_in(&schema.collections["meetings"], &meeting, Lang::Vi), "05/11/2025 Chi bộ");
    }
}
