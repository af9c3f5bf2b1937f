//! From what a person types, a csv cell holds or JSON carries to the value of a field.
//!
//! It does not: store or merge; see other fields of the record (except [`required_missing`]).
//!
//! Invariants: what [`parse_value`], [`parse_cell`] and [`from_json`] return passes [`check`];
//! nothing is guessed: a number that could mean two things is an error that says so.

use super::number::{NumberError, Writing, parse_decimal_as, parse_int, parse_plain_decimal};
use super::parse::kind_name;
use super::types::{Choice, Collection, Field, Lang};
use crate::date::Date;
use crate::fold::fold;
use crate::id::RecordId;
use crate::limits::{LIST_BYTES_MAX, LIST_ITEMS_MAX, STRING_BYTES_MAX, TEXT_BYTES_MAX};
use crate::suggest::{did_you_mean, nearest};
use crate::value::{Kind, Value};
use std::collections::{BTreeMap, BTreeSet};
use unicode_normalization::UnicodeNormalization;

/// Why a text is no value of a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text is of another form.
    #[error("{field}: '{text}' does not fit; expected {expected}")]
    Expected {
        /// The field's id.
        field: String,
        /// The text given, shortened.
        text: String,
        /// What was expected, as a phrase.
        expected: String,
    },
    /// A number that could be read in two ways.
    #[error("{field}: '{text}' could mean {one} or {other}; write the one you mean")]
    Ambiguous {
        /// The field's id.
        field: String,
        /// The text given, shortened.
        text: String,
        /// One reading, in a form that is taken.
        one: String,
        /// The other reading, in a form that is taken.
        other: String,
    },
    /// None of the field's choices.
    #[error("{field}: '{text}' is none of the choices: {}.{}", .choices.join(", "), did_you_mean(.nearest))]
    NotAChoice {
        /// The field's id.
        field: String,
        /// The text given, shortened.
        text: String,
        /// The ids of the choices.
        choices: Vec<String>,
        /// The choices that look like it.
        nearest: Vec<String>,
    },
    /// Longer than the schema or the format allows.
    #[error("{field}: it has {got} {unit}; at most {max} are allowed, shorten it")]
    TooLong {
        /// The field's id.
        field: String,
        /// What it has.
        got: usize,
        /// What is allowed.
        max: usize,
        /// Of what: characters, bytes or entries.
        unit: &'static str,
    },
    /// A value of another kind than the field's.
    #[error("{field}: a value of another kind stands there; the field is a {kind}")]
    WrongKind {
        /// The field's id.
        field: String,
        /// The field's kind.
        kind: &'static str,
    },
}

/// Characters of a refused text that an error repeats.
const SHOWN_CHARS_MAX: usize = 80;

impl ValueError {
    pub(super) fn expected(field: &Field, text: &str, expected: impl Into<String>) -> Self {
        ValueError::Expected { field: field.id.clone(), text: shown(text), expected: expected.into() }
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// [`parse_value_as`] a program or a schema file writes.
///
/// # Errors
/// As there.
pub fn parse_value(field: &Field, text: &str) -> Result<Value, ValueError> {
    parse_value_as(field, text, Writing::Plain)
}

/// Parses what somebody typed after `field=`.
///
/// Strings and texts are taken as they are. Dates are `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, `mm/yyyy` or
/// `dd/mm/yyyy`. A choice is its id or one of its labels, with or without diacritics. A bool is
/// true, false, yes, no, có, không, 1 or 0. Lists and sets are JSON arrays of strings. A number is read as `writing`
/// says, see [`number`](super::number): in Vietnamese `2.241` is 2241 in a field of whole numbers, and is asked back in
/// one with decimals.
///
/// # Errors
/// [`ValueError`], which names the field and what it takes.
pub fn parse_value_as(field: &Field, text: &str, writing: Writing) -> Result<Value, ValueError> {
    let value = match field.kind {
        Kind::Text => Value::Text(text.to_owned()),
        Kind::String | Kind::File => Value::Str(text.to_owned()),
        Kind::Int => Value::Int(integer(field, text, writing)?),
        Kind::Counter => Value::Counter(integer(field, text, writing)?),
        Kind::Decimal => Value::Int(decimal(field, text, writing)?),
        Kind::Bool => Value::Bool(boolean(field, text)?),
        Kind::Date => {
            let date = Date::parse_typed(text).map_err(|e| ValueError::expected(field, text, e.to_string()))?;
            Value::Str(date.to_string())
        }
        Kind::Choice => Value::Str(choice(field, text)?.id.clone()),
        Kind::List => Value::List(array(field, text)?),
        Kind::Set => Value::Set(array(field, text)?.into_iter().collect()),
        Kind::Ref => match text.trim().parse::<RecordId>() {
            Ok(id) => Value::Str(id.to_string()),
            Err(_) => {
                return Err(ValueError::expected(field, text, "a record's id of 32 hexadecimal digits"));
            }
        },
    };
    check(field, &value)?;
    Ok(value)
}

/// [`parse_cell_as`] a program writes.
///
/// # Errors
/// As there.
pub fn parse_cell(field: &Field, text: &str) -> Result<Option<Value>, ValueError> {
    parse_cell_as(field, text, Writing::Plain)
}

/// Parses a cell of a table: like [`parse_value_as`], but an empty cell is unset (`None`), spaces
/// around anything but a text are dropped, and lists and sets may be written `a; b; c` (`;` alone is
/// an empty cell).
///
/// # Errors
/// As [`parse_value`].
pub fn parse_cell_as(field: &Field, text: &str, writing: Writing) -> Result<Option<Value>, ValueError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    let is_list = matches!(field.kind, Kind::List | Kind::Set);
    let value = if is_list && json_strings(trimmed).is_none() {
        let parts = trimmed.split(';').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned);
        let mut parts = parts.peekable();
        // Separators alone say nothing: they must not empty what is there.
        if parts.peek().is_none() {
            return Ok(None);
        }
        let value = match field.kind {
            Kind::Set => Value::Set(parts.collect()),
            _ => Value::List(parts.collect()),
        };
        check(field, &value)?;
        value
    } else {
        parse_value_as(field, if field.kind == Kind::Text { text } else { trimmed }, writing)?
    };
    Ok(Some(value))
}

/// Reads a value as JSON carries it; `null` is unset (`None`).
///
/// # Errors
/// As [`parse_value`]; also a JSON type that the field's kind does not have.
pub fn from_json(field: &Field, json: &serde_json::Value) -> Result<Option<Value>, ValueError> {
    use serde_json::Value as Json;
    let refuse = || ValueError::expected(field, &json.to_string(), json_form(field.kind));
    let value = match (field.kind, json) {
        (_, Json::Null) => return Ok(None),
        (Kind::Int, Json::Number(n)) => Value::Int(n.as_i64().ok_or_else(refuse)?),
        (Kind::Counter, Json::Number(n)) => Value::Counter(n.as_i64().ok_or_else(refuse)?),
        (Kind::Decimal, Json::Number(n)) => {
            Value::Int(parse_plain_decimal(&n.to_string(), field.scale).ok_or_else(refuse)?)
        }
        // A program writes decimals with a point and never groups digits.
        (Kind::Decimal, Json::String(s)) => Value::Int(parse_plain_decimal(s, field.scale).ok_or_else(refuse)?),
        (Kind::Bool, Json::Bool(b)) => Value::Bool(*b),
        (Kind::List | Kind::Set, Json::Array(items)) => {
            let strings = items.iter().map(|i| i.as_str().map(str::to_owned));
            let strings = strings.collect::<Option<Vec<_>>>().ok_or_else(refuse)?;
            match field.kind {
                Kind::Set => Value::Set(strings.into_iter().collect()),
                _ => Value::List(strings),
            }
        }
        (Kind::Text | Kind::String | Kind::Date | Kind::Choice | Kind::Ref | Kind::File, Json::String(s)) => {
            return parse_value(field, s).map(Some);
        }
        _ => return Err(refuse()),
    };
    check(field, &value)?;
    Ok(Some(value))
}

/// Checks a value of whatever origin against the field: kind, form, choices and limits.
///
/// # Errors
/// The first thing that does not hold.
pub fn check(field: &Field, value: &Value) -> Result<(), ValueError> {
    let wrong = || ValueError::WrongKind { field: field.id.clone(), kind: kind_name(field.kind) };
    match (field.kind, value) {
        (Kind::Text, Value::Text(s)) => measure(field, s, TEXT_BYTES_MAX),
        (Kind::String | Kind::File, Value::Str(s)) => measure(field, s, STRING_BYTES_MAX),
        (Kind::Int | Kind::Decimal, Value::Int(_))
        | (Kind::Bool, Value::Bool(_))
        | (Kind::Counter, Value::Counter(_)) => Ok(()),
        (Kind::Date, Value::Str(s)) => match Date::parse(s) {
            Ok(_) => Ok(()),
            Err(e) => Err(ValueError::expected(field, s, e.to_string())),
        },
        (Kind::Choice, Value::Str(s)) => {
            if field.choices.iter().any(|c| c.id == *s) {
                Ok(())
            } else {
                Err(not_a_choice(field, s))
            }
        }
        (Kind::Ref, Value::Str(s)) => match s.parse::<RecordId>() {
            Ok(_) => Ok(()),
            Err(_) => Err(ValueError::expected(field, s, "a record's id of 32 hexadecimal digits")),
        },
        (Kind::List, Value::List(items)) => measure_items(field, items.len(), items.iter()),
        (Kind::Set, Value::Set(items)) => measure_items(field, items.len(), items.iter()),
        (
            Kind::Text
            | Kind::String
            | Kind::Int
            | Kind::Decimal
            | Kind::Bool
            | Kind::Date
            | Kind::Choice
            | Kind::List
            | Kind::Set
            | Kind::Counter
            | Kind::Ref
            | Kind::File,
            _,
        ) => Err(wrong()),
    }
}

/// The required fields of a collection that a record leaves empty.
#[must_use]
pub fn required_missing<'c>(collection: &'c Collection, fields: &BTreeMap<String, Value>) -> Vec<&'c str> {
    let required = collection.fields.iter().filter(|f| f.required);
    required.filter(|f| fields.get(&f.id).is_none_or(is_empty)).map(|f| f.id.as_str()).collect()
}

/// Whether a value says nothing: no characters but spaces, no entries.
#[must_use]
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Str(s) | Value::Text(s) | Value::Other(s) => s.trim().is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Set(items) => items.is_empty(),
        Value::Int(_) | Value::Bool(_) | Value::Counter(_) => false,
    }
}

/// The strings of a JSON array, if the text is one.
pub(super) fn json_strings(text: &str) -> Option<Vec<String>> {
    if !text.trim_start().starts_with('[') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// A bool in the words of both languages.
pub(super) fn bool_word(text: &str) -> Option<bool> {
    match fold(text).as_str() {
        "true" | "yes" | "co" | "1" => Some(true),
        "false" | "no" | "khong" | "0" => Some(false),
        _ => None,
    }
}

/// The choice that a text means: its id, else a label as written, else one that folds alike.
fn choice<'f>(field: &'f Field, text: &str) -> Result<&'f Choice, ValueError> {
    let typed = text.trim();
    let same = |label: &str| label.nfc().flat_map(char::to_lowercase).eq(typed.nfc().flat_map(char::to_lowercase));
    let by_id = field.choices.iter().find(|c| c.id == typed);
    let by_label = || field.choices.iter().find(|c| same(&c.label.vi) || same(&c.label.en));
    if let Some(found) = by_id.or_else(by_label) {
        return Ok(found);
    }
    let folded = fold(typed);
    let mut alike =
        field.choices.iter().filter(|c| [&c.id, &c.label.vi, &c.label.en].iter().any(|w| fold(w) == folded));
    match (alike.next(), alike.next()) {
        (Some(found), None) => Ok(found),
        (Some(one), Some(other)) => Err(ValueError::Ambiguous {
            field: field.id.clone(),
            text: shown(text),
            one: one.id.clone(),
            other: other.id.clone(),
        }),
        (None, _) => Err(not_a_choice(field, text)),
    }
}

fn not_a_choice(field: &Field, text: &str) -> ValueError {
    let words = field.choices.iter().flat_map(|c| [c.id.as_str(), c.label.vi.as_str(), c.label.en.as_str()]);
    // A label and the id it stands for are one suggestion, not two.
    let mut near: Vec<String> = Vec::new();
    for word in nearest(text, words) {
        let choice = field.choices.iter().find(|c| [&c.id, &c.label.vi, &c.label.en].iter().any(|w| *w == word));
        let id = choice.map_or_else(|| word.to_owned(), |c| c.id.clone());
        if !near.contains(&id) {
            near.push(id);
        }
    }
    ValueError::NotAChoice {
        field: field.id.clone(),
        text: shown(text),
        choices: field.choices.iter().map(|c| c.id.clone()).collect(),
        nearest: near,
    }
}

fn integer(field: &Field, text: &str, writing: Writing) -> Result<i64, ValueError> {
    let expected = match writing {
        Writing::Plain => "a whole number, without separators, such as 2241",
        Writing::Of(Lang::Vi) => "a whole number, such as 2241 or 2.241",
        Writing::Of(Lang::En) => "a whole number, such as 2241 or 2,241",
    };
    parse_int(text.trim(), writing).map_err(|e| number_error(field, text, expected, e))
}

fn boolean(field: &Field, text: &str) -> Result<bool, ValueError> {
    let expected = "true or false (also yes, no, có, không, 1, 0)";
    bool_word(text).ok_or_else(|| ValueError::expected(field, text, expected))
}

fn decimal(field: &Field, text: &str, writing: Writing) -> Result<i64, ValueError> {
    let expected = "a number such as 36.8 or 36,8";
    parse_decimal_as(text.trim(), field.scale, writing).map_err(|e| number_error(field, text, expected, e))
}

fn number_error(field: &Field, text: &str, expected: &str, error: NumberError) -> ValueError {
    match error {
        NumberError::Form => ValueError::expected(field, text, expected),
        NumberError::TooFine => {
            ValueError::expected(field, text, format!("a number with at most {} decimals", field.scale))
        }
        NumberError::TooLarge => ValueError::expected(field, text, "a smaller number"),
        NumberError::Ambiguous { grouped, fraction } => {
            ValueError::Ambiguous { field: field.id.clone(), text: shown(text), one: grouped, other: fraction }
        }
    }
}

fn array(field: &Field, text: &str) -> Result<Vec<String>, ValueError> {
    json_strings(text).ok_or_else(|| ValueError::expected(field, text, r#"a JSON array of strings such as ["a", "b"]"#))
}

fn json_form(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::String | Kind::Date | Kind::Choice | Kind::Ref | Kind::File => "a JSON string",
        Kind::Int | Kind::Counter => "a whole JSON number",
        Kind::Decimal => "a JSON string such as \"36.8\", without more decimals than the field has",
        Kind::Bool => "true or false",
        Kind::List | Kind::Set => "a JSON array of strings",
    }
}

fn measure(field: &Field, text: &str, bytes_max: usize) -> Result<(), ValueError> {
    let too_long = |got, max, unit| ValueError::TooLong { field: field.id.clone(), got, max, unit };
    if text.len() > bytes_max {
        return Err(too_long(text.len(), bytes_max, "bytes"));
    }
    let Some(max) = field.max.map(|m| m as usize) else {
        return Ok(());
    };
    // Bytes bound characters from above: most texts need no counting.
    match text.len() > max {
        true if text.chars().count() > max => Err(too_long(text.chars().count(), max, "characters")),
        _ => Ok(()),
    }
}

fn measure_items<'i>(field: &Field, count: usize, items: impl Iterator<Item = &'i String>) -> Result<(), ValueError> {
    let too_long = |got, max, unit| ValueError::TooLong { field: field.id.clone(), got, max, unit };
    let max = field.max.map_or(LIST_ITEMS_MAX, |m| LIST_ITEMS_MAX.min(m as usize));
    if count > max {
        return Err(too_long(count, max, "entries"));
    }
    let bytes: usize = items.map(String::len).sum();
    if bytes > LIST_BYTES_MAX {
        return Err(too_long(bytes, LIST_BYTES_MAX, "bytes"));
    }
    Ok(())
}

/// A set from words, for callers that have a list.
#[must_use]
pub fn set_of(words: impl IntoIterator<Item = String>) -> Value {
    Value::Set(words.into_iter().collect::<BTreeSet<_>>())
}
