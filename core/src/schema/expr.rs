//! Filter expressions: `field op value and field op value …`.
//!
//! It does not: run on a database; a store translates the public terms, with bound parameters, or
//! calls [`Expr::matches`].
//!
//! Invariants: every term's operand has the type of its field; a filter means the same on every
//! machine, whatever the language.
//!
//! The meaning, for a store that translates it:
//! - an *empty* value (unset, or no characters) equals only the operand `""`; every ordering and
//!   `~` is false for it; `!=` is the exact opposite of `=`;
//! - a date, and `_updated`, is first cut to the operand's length: `2025-11-30` is `= 2025` and
//!   `<= 2025`, and not `> 2025`;
//! - numbers compare as integers (a decimal as its scaled integer), strings and texts bytewise;
//! - a list or set is `=` an operand that is one of its entries, and `~` if any entry contains it;
//! - `~` compares folded; for a choice it looks at the id and both labels, and the operand is the
//!   list of ids that match.

use super::assign::nearest_fields;
use super::number::Writing;
use super::parse::kind_name;
use super::types::{Collection, Field};
use super::value::{ValueError, is_empty, parse_value_as};
use crate::fold::fold;
use crate::limits::{EXPR_BYTES_MAX, EXPR_TERMS_MAX};
use crate::suggest::did_you_mean;
use crate::value::{Kind, Value};
use std::cmp::Ordering;
use std::fmt;

/// Names that every record has beside its fields; all are strings here.
pub const PSEUDO_FIELDS: [&str; 5] = ["_unit", "_id", "_updated", "_author", "_conflict"];

/// How a term compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `~`: contains, folded.
    Contains,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(OPS.iter().find(|(_, op)| op == self).map_or("", |(word, _)| word))
    }
}

/// Longer words first, so that `<=` is not read as `<`.
const OPS: [(&str, Op); 7] =
    [("!=", Op::Ne), ("<=", Op::Le), (">=", Op::Ge), ("=", Op::Eq), ("<", Op::Lt), (">", Op::Gt), ("~", Op::Contains)];

/// What a term compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// `""`: unset or empty.
    Empty,
    /// One value: `Str` for string, choice, ref, file, list, set and pseudo-fields, `Text` for text,
    /// `Int` for int and decimal (scaled), `Counter`, `Bool`.
    Value(Value),
    /// A date or time, or the beginning of one: values are cut to its length before comparing.
    Prefix(String),
    /// The folded text of `~`.
    Folded(String),
    /// The choices whose id or label contains the text of `~`.
    OneOf(Vec<String>),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// A field's id or one of [`PSEUDO_FIELDS`].
    pub field: String,
    /// The field's kind; `String` for pseudo-fields.
    pub kind: Kind,
    /// How.
    pub op: Op,
    /// With what.
    pub operand: Operand,
}

/// A filter: all terms must hold; none = every record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expr {
    /// The comparisons.
    pub terms: Vec<Term>,
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {what}")]
pub struct ExprError {
    /// The character, from 1.
    pub at: usize,
    /// What is wrong there.
    pub what: ExprProblem,
}

/// What can be wrong in a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExprProblem {
    /// A name was expected.
    #[error("a field's name must stand here, as in: status = official")]
    NoField,
    /// The collection has no such field.
    #[error("{collection} has no field '{field}'.{}", did_you_mean(.nearest))]
    UnknownField {
        /// The collection's id.
        collection: String,
        /// The name given.
        field: String,
        /// Fields that look like it.
        nearest: Vec<String>,
    },
    /// A comparison was expected.
    #[error("one of = != < <= > >= ~ must stand here")]
    NoOperator,
    /// This comparison means nothing for this field.
    #[error("'{op}' cannot compare {field}, which is of kind {kind}; use {instead}")]
    WrongOperator {
        /// The comparison.
        op: Op,
        /// The field's id.
        field: String,
        /// Its kind.
        kind: &'static str,
        /// What works.
        instead: &'static str,
    },
    /// A value was expected.
    #[error("a value must stand here; \"\" stands for empty")]
    NoValue,
    /// A quoted value without its end.
    #[error("this quote has no end; close it with \"")]
    OpenQuote,
    /// Something else than `and` between two terms.
    #[error("'and' or the end must stand here; put a value that holds 'and' or quotes into \"…\"")]
    NoAnd,
    /// The value does not fit the field.
    #[error(transparent)]
    Value(ValueError),
    /// Beyond a limit.
    #[error("the filter is too long; {EXPR_TERMS_MAX} comparisons and {EXPR_BYTES_MAX} bytes are allowed")]
    TooLong,
}

impl Expr {
    /// Parses a filter over a collection; an empty text matches everything.
    ///
    /// A value in `"…"` may hold anything (`\"` and `\\` are escapes); a bare one ends at the word
    /// `and` or at the end.
    ///
    /// # Errors
    /// The first problem, with its place.
    pub fn parse(collection: &Collection, text: &str) -> Result<Self, ExprError> {
        Self::parse_as(collection, text, Writing::Plain)
    }

    /// [`Expr::parse`] with the numbers as a person writes them; the filter means the same to everybody afterwards.
    ///
    /// # Errors
    /// As there.
    pub fn parse_as(collection: &Collection, text: &str, writing: Writing) -> Result<Self, ExprError> {
        let mut cursor = Cursor { text, at: 0, writing };
        if text.len() > EXPR_BYTES_MAX {
            return Err(cursor.error(0, ExprProblem::TooLong));
        }
        let mut terms = Vec::new();
        cursor.skip_spaces();
        while !text[cursor.at..].is_empty() {
            if !terms.is_empty() {
                let start = cursor.at;
                if !cursor.word().eq_ignore_ascii_case("and") {
                    return Err(cursor.error(start, ExprProblem::NoAnd));
                }
            }
            if terms.len() == EXPR_TERMS_MAX {
                return Err(cursor.error(cursor.at, ExprProblem::TooLong));
            }
            terms.push(cursor.term(collection)?);
            cursor.skip_spaces();
        }
        Ok(Self { terms })
    }

    /// Whether a record matches; `get` gives the value of a field or pseudo-field.
    #[must_use]
    pub fn matches(&self, get: &dyn Fn(&str) -> Option<Value>) -> bool {
        self.terms.iter().all(|t| t.matches(get(&t.field).as_ref()))
    }
}

impl Term {
    /// Whether a value of the field satisfies the term.
    #[must_use]
    pub fn matches(&self, value: Option<&Value>) -> bool {
        let value = value.filter(|v| !is_empty(v));
        match self.op {
            Op::Eq => self.equals(value),
            Op::Ne => !self.equals(value),
            Op::Lt => self.order(value) == Some(Ordering::Less),
            Op::Le => matches!(self.order(value), Some(Ordering::Less | Ordering::Equal)),
            Op::Gt => self.order(value) == Some(Ordering::Greater),
            Op::Ge => matches!(self.order(value), Some(Ordering::Greater | Ordering::Equal)),
            Op::Contains => value.is_some_and(|v| self.contains(v)),
        }
    }

    fn equals(&self, value: Option<&Value>) -> bool {
        match (&self.operand, value) {
            (Operand::Empty, value) => value.is_none(),
            (Operand::Value(Value::Str(s)), Some(Value::List(items))) => items.contains(s),
            (Operand::Value(Value::Str(s)), Some(Value::Set(items))) => items.contains(s),
            (_, value) => self.order(value) == Some(Ordering::Equal),
        }
    }

    fn order(&self, value: Option<&Value>) -> Option<Ordering> {
        match (&self.operand, value?) {
            (Operand::Value(Value::Int(b)), Value::Int(a)) => Some(a.cmp(b)),
            (Operand::Value(Value::Counter(b)), Value::Counter(a)) => Some(a.cmp(b)),
            (Operand::Value(Value::Bool(b)), Value::Bool(a)) => Some(a.cmp(b)),
            (Operand::Value(Value::Str(b)), Value::Str(a)) => Some(a.cmp(b)),
            (Operand::Value(Value::Text(b)), Value::Text(a)) => Some(a.cmp(b)),
            (Operand::Prefix(b), Value::Str(a)) => {
                // By bytes: a date is ASCII, and what is not is no date but must not panic.
                let cut = a.len().min(b.len());
                Some(a.as_bytes()[..cut].cmp(b.as_bytes()))
            }
            _ => None,
        }
    }

    fn contains(&self, value: &Value) -> bool {
        match (&self.operand, value) {
            (Operand::OneOf(ids), Value::Str(s)) => ids.contains(s),
            (Operand::Folded(f), Value::Str(s) | Value::Text(s) | Value::Other(s)) => fold(s).contains(f),
            (Operand::Folded(f), Value::List(items)) => items.iter().any(|i| fold(i).contains(f)),
            (Operand::Folded(f), Value::Set(items)) => items.iter().any(|i| fold(i).contains(f)),
            _ => false,
        }
    }
}

struct Cursor<'t> {
    text: &'t str,
    /// Bytes read so far.
    at: usize,
    writing: Writing,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn error(&self, offset: usize, what: ExprProblem) -> ExprError {
        ExprError { at: self.text[..offset].chars().count() + 1, what }
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The next run of letters, digits and `_`.
    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn term(&mut self, collection: &Collection) -> Result<Term, ExprError> {
        self.skip_spaces();
        let start = self.at;
        let name = self.word();
        if name.is_empty() {
            return Err(self.error(start, ExprProblem::NoField));
        }
        let field = collection.field(name);
        if field.is_none() && !PSEUDO_FIELDS.contains(&name) {
            let what = ExprProblem::UnknownField {
                collection: collection.id.clone(),
                field: name.to_owned(),
                nearest: nearest_names(collection, name),
            };
            return Err(self.error(start, what));
        }
        self.skip_spaces();
        let op_at = self.at;
        let found = OPS.iter().find(|(word, _)| self.rest().starts_with(word));
        let Some((word, op)) = found else {
            return Err(self.error(op_at, ExprProblem::NoOperator));
        };
        self.at += word.len();
        self.skip_spaces();
        let value_at = self.at;
        let value = self.value()?;
        let kind = field.map_or(Kind::String, |f| f.kind);
        if let Some(instead) = refuses(kind, *op) {
            let what = ExprProblem::WrongOperator { op: *op, field: name.to_owned(), kind: kind_name(kind), instead };
            return Err(self.error(op_at, what));
        }
        let operand =
            operand(name, field, *op, &value, self.writing).map_err(|e| self.error(value_at, ExprProblem::Value(e)))?;
        Ok(Term { field: name.to_owned(), kind, op: *op, operand })
    }

    fn value(&mut self) -> Result<String, ExprError> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let (start, rest) = (self.at, self.rest());
        let mut end = rest.len();
        let mut offset = 0;
        for piece in rest.split_inclusive(char::is_whitespace) {
            if piece.trim_end().eq_ignore_ascii_case("and") {
                end = offset;
                break;
            }
            offset += piece.len();
        }
        let value = rest[..end].trim();
        if value.is_empty() {
            return Err(self.error(start, ExprProblem::NoValue));
        }
        // `== x` or `= "a" b`: what the writer meant cannot be known.
        if value.starts_with(['=', '<', '>', '~']) {
            return Err(self.error(start, ExprProblem::NoValue));
        }
        if let Some(quote) = value.find('"') {
            return Err(self.error(start + quote, ExprProblem::NoAnd));
        }
        self.at += end;
        Ok(value.to_owned())
    }

    fn quoted(&mut self) -> Result<String, ExprError> {
        let start = self.at;
        let mut value = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(value);
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => break,
                },
                other => value.push(other),
            }
        }
        Err(self.error(start, ExprProblem::OpenQuote))
    }
}

fn nearest_names(collection: &Collection, name: &str) -> Vec<String> {
    let pseudo = crate::suggest::nearest(name, PSEUDO_FIELDS);
    match name.starts_with('_') {
        true => pseudo.into_iter().map(str::to_owned).collect(),
        false => nearest_fields(collection, name),
    }
}

/// What to use instead, if this kind has no such comparison.
fn refuses(kind: Kind, op: Op) -> Option<&'static str> {
    let equality = matches!(op, Op::Eq | Op::Ne);
    match kind {
        Kind::Int | Kind::Decimal | Kind::Counter => (op == Op::Contains).then_some("= != < <= > >="),
        Kind::Bool => (!equality).then_some("= !="),
        Kind::Choice | Kind::List | Kind::Set | Kind::Ref | Kind::File => {
            (!equality && op != Op::Contains).then_some("= != ~")
        }
        Kind::Text | Kind::String | Kind::Date => None,
    }
}

fn operand(name: &str, field: Option<&Field>, op: Op, value: &str, writing: Writing) -> Result<Operand, ValueError> {
    if value.is_empty() {
        return Ok(Operand::Empty);
    }
    let kind = field.map_or(Kind::String, |f| f.kind);
    if op == Op::Contains {
        let folded = fold(value);
        return Ok(match field {
            Some(f) if f.kind == Kind::Choice => {
                let hit = |words: [&str; 3]| words.iter().any(|w| fold(w).contains(&folded));
                let chosen = f.choices.iter().filter(|c| hit([&c.id, &c.label.vi, &c.label.en]));
                Operand::OneOf(chosen.map(|c| c.id.clone()).collect())
            }
            _ => Operand::Folded(folded),
        });
    }
    let whole = || Operand::Value(Value::Str(value.to_owned()));
    match (kind, field) {
        (_, None) if name == "_updated" => Ok(Operand::Prefix(value.to_owned())),
        // An entry of a list, and a string of any length, is compared as it was typed.
        (Kind::List | Kind::Set | Kind::String | Kind::File, _) | (_, None) => Ok(whole()),
        (Kind::Text, _) => Ok(Operand::Value(Value::Text(value.to_owned()))),
        (Kind::Date, Some(f)) => match parse_value_as(f, value, writing)? {
            Value::Str(date) => Ok(Operand::Prefix(date)),
            other => Ok(Operand::Value(other)),
        },
        (Kind::Int | Kind::Decimal | Kind::Bool | Kind::Choice | Kind::Counter | Kind::Ref, Some(f)) => {
            Ok(Operand::Value(parse_value_as(f, value, writing)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin;
    use std::collections::BTreeMap;

    fn parse(collection: &str, text: &str) -> Result<Expr, ExprError> {
        Expr::parse(&builtin().collections[collection], text)
    }

    fn member() -> BTreeMap<&'static str, Value> {
        let s = |v: &str| Value::Str(v.into());
        BTreeMap::from([
            ("full_name", s("Nguyễn Thị Ánh")),
            ("status", s("candidate")),
            ("admission_date", s("2020-11-26")),
            ("date_of_birth", s("1975")),
            ("updated_at", Value::Int(1000)),
            ("rewards", Value::List(vec!["Bằng khen".into(), "Huy hiệu 30 năm".into()])),
            ("notes", Value::Text("Đã nộp đủ đảng phí.".into())),
            ("phone", s("")),
            ("_updated", s("2025-11-30T01:02:03Z")),
            ("_unit", s("ab")),
        ])
    }

    fn holds(text: &str) -> bool {
        let m = member();
        parse("members", text).unwrap().matches(&|f| m.get(f).cloned())
    }

    #[test]
    fn comparisons_are_typed() {
        for yes in [
            "",
            "status = candidate",
            "status = \"Dự bị\" and updated_at > 999",
            "status=du bi and updated_at<=1000",
            "status != official",
            "status ~ du",
            "full_name ~ nguyen thi",
            "full_name = \"Nguyễn Thị Ánh\"",
            "admission_date = 2020",
            "admission_date <= 2020",
            "admission_date >= 11/2020",
            "admission_date > 2020-11-25 AND admission_date < 2020-11-27",
            "date_of_birth < 1975-06",
            "rewards = \"Bằng khen\"",
            "rewards ~ \"30 nam\"",
            "rewards != x",
            "notes ~ \"dang phi\"",
            "phone = \"\"",
            "phone != 091",
            "address = \"\"",
            "status != \"\"",
            "_updated >= 2025-11",
            "_updated <= 2025-11",
            "_unit = ab",
            "_conflict = \"\"",
            "official_date != 2020",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in [
            "status = official",
            "status ~ official",
            "admission_date > 2020",
            "admission_date < 2020",
            "official_date < 2030",
            "updated_at < 9",
            "rewards = bang",
            "phone != \"\"",
            "phone ~ 0",
            "_updated > 2025-11",
            "status = candidate and updated_at = 1",
        ] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn decimals_compare_scaled_and_bools_by_word() {
        let expr = parse("inspections", "score >= 36,8").unwrap();
        assert_eq!(expr.terms[0].operand, Operand::Value(Value::Int(368)));
        assert!(expr.matches(&|_| Some(Value::Int(1000))));
        assert!(!expr.matches(&|_| Some(Value::Int(99))));
        let expr = parse("receipts", "read = có").unwrap();
        assert!(expr.matches(&|_| Some(Value::Bool(true))));
        assert!(!expr.matches(&|_| None));
    }

    #[test]
    fn quotes_hold_anything() {
        let expr = parse("members", r#"address = "a and \"b\" \\ = c" and phone = 1"#).unwrap();
        assert_eq!(expr.terms.len(), 2);
        assert_eq!(expr.terms[0].operand, Operand::Value(Value::Str(r#"a and "b" \ = c"#.into())));
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, at, what) in [
            ("phnoe = 1", 1, "Did you mean 'phone'?"),
            ("phone = 1 and _unt = 2", 15, "Did you mean '_unit'?"),
            ("phone", 6, "one of ="),
            ("phone 1", 7, "one of ="),
            ("phone =", 8, "a value must stand"),
            ("phone == 1", 8, "a value must stand"),
            ("phone = 1 and", 14, "a field's name"),
            ("phone = \"1", 9, "no end"),
            ("phone = \"1\" or phone = 2", 13, "'and' or the end"),
            ("phone = 1 \"2\"", 11, "'and' or the end"),
            ("address = đ and status = nothing", 26, "none of the choices"),
            ("status < official", 8, "use = != ~"),
            ("updated_at ~ 1", 12, "use = !="),
            ("updated_at = 1.5", 14, "a whole number"),
            ("admission_date = 2020-13", 18, "month"),
            ("= 1", 1, "a field's name"),
        ] {
            let e = parse("members", text).unwrap_err();
            assert_eq!(e.at, at, "{text}: {e}");
            assert!(e.to_string().contains(what), "{text}: {e}");
        }
    }

    #[test]
    fn long_filters_are_refused() {
        let many = vec!["phone = 1"; EXPR_TERMS_MAX + 1].join(" and ");
        assert_eq!(parse("members", &many).unwrap_err().what, ExprProblem::TooLong);
        let long = format!("phone = {}", "1".repeat(EXPR_BYTES_MAX));
        assert_eq!(parse("members", &long).unwrap_err().what, ExprProblem::TooLong);
    }
}
