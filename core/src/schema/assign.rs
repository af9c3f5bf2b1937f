//! `field=value`, `field+=value`, `field-=value`, `field=`: one edit as typed on a command line.
//!
//! It does not: know the record; identity and required fields are checked where the record is.
//!
//! Invariants: the field exists in the collection, or is the pseudo-field `_removed`.

use super::number::Writing;
use super::parse::kind_name;
use super::types::{Collection, Field};
use super::value::{ValueError, bool_word, check, json_strings, parse_value_as, set_of};
use crate::suggest::{did_you_mean, nearest};
use crate::value::{Edit, Kind, Value};

/// The pseudo-field that hides a record from lists; a bool.
pub const REMOVED: &str = "_removed";

/// Why a text is no assignment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// No `=` in it.
    #[error("'{text}' is no assignment; write field=value, field+=value, field-=value or field=")]
    NoEquals {
        /// The text given.
        text: String,
    },
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
    /// `+=` or `-=` at a field that has one plain value.
    #[error("{field} is of kind {kind}: += and -= are for counters, lists and sets; write {field}=value")]
    NotAddable {
        /// The field's id.
        field: String,
        /// Its kind.
        kind: &'static str,
    },
    /// `+=` or `-=` without a value.
    #[error("{field}: += and -= need a value; {field}= empties the field")]
    NothingToAdd {
        /// The field's id.
        field: String,
    },
    /// The value does not fit the field.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// Parser of assignments.
#[derive(Debug, Clone, Copy)]
pub struct Assignment;

impl Assignment {
    /// The field's id and what happens to it.
    ///
    /// # Errors
    /// [`AssignError`]: unknown fields come with the nearest names, values with what was expected.
    pub fn parse(collection: &Collection, text: &str) -> Result<(String, Edit), AssignError> {
        Self::parse_as(collection, text, Writing::Plain)
    }

    /// [`Assignment::parse`] with numbers as a person writes them.
    ///
    /// # Errors
    /// As there.
    pub fn parse_as(collection: &Collection, text: &str, writing: Writing) -> Result<(String, Edit), AssignError> {
        let no_equals = || AssignError::NoEquals { text: text.to_owned() };
        let (left, value) = text.split_once('=').ok_or_else(no_equals)?;
        let (name, sign) = match (left.strip_suffix('+'), left.strip_suffix('-')) {
            (Some(name), _) => (name.trim(), Some(Sign::Plus)),
            (_, Some(name)) => (name.trim(), Some(Sign::Minus)),
            (None, None) => (left.trim(), None),
        };
        if name.is_empty() {
            return Err(no_equals());
        }
        if name == REMOVED {
            return removed(value, sign).map(|edit| (REMOVED.to_owned(), edit));
        }
        let field = known_field(collection, name)?;
        let edit = match sign {
            None if value.is_empty() => Edit::Clear,
            None => Edit::Set(parse_value_as(field, value, writing)?),
            Some(sign) => {
                let operand = operand(field, value, writing)?;
                match sign {
                    Sign::Plus => Edit::Add(operand),
                    Sign::Minus => Edit::Sub(operand),
                }
            }
        };
        Ok((field.id.clone(), edit))
    }
}

/// The field of this id, or the error that names the nearest ones.
///
/// # Errors
/// [`AssignError::UnknownField`].
pub fn known_field<'c>(collection: &'c Collection, name: &str) -> Result<&'c Field, AssignError> {
    collection.field(name).ok_or_else(|| AssignError::UnknownField {
        collection: collection.id.clone(),
        field: name.to_owned(),
        nearest: nearest_fields(collection, name),
    })
}

/// The ids of the fields whose id or label looks like `name`.
pub(super) fn nearest_fields(collection: &Collection, name: &str) -> Vec<String> {
    if let Some(field) = collection.field_by_header(name) {
        return vec![field.id.clone()];
    }
    let ids = collection.fields.iter().map(|f| f.id.as_str());
    nearest(name, ids).into_iter().map(str::to_owned).collect()
}

#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}

fn removed(value: &str, sign: Option<Sign>) -> Result<Edit, AssignError> {
    if sign.is_some() {
        return Err(AssignError::NotAddable { field: REMOVED.to_owned(), kind: "bool" });
    }
    match bool_word(value) {
        Some(b) => Ok(Edit::Set(Value::Bool(b))),
        None => Err(AssignError::Value(ValueError::Expected {
            field: REMOVED.to_owned(),
            text: value.to_owned(),
            expected: "true or false".to_owned(),
        })),
    }
}

/// What `+=` and `-=` add or take: a number, one string, or a JSON array of strings.
fn operand(field: &Field, value: &str, writing: Writing) -> Result<Value, AssignError> {
    let strings = || json_strings(value).unwrap_or_else(|| vec![value.to_owned()]);
    let addable = matches!(field.kind, Kind::Counter | Kind::List | Kind::Set);
    if addable && value.is_empty() {
        return Err(AssignError::NothingToAdd { field: field.id.clone() });
    }
    let operand = match field.kind {
        Kind::Counter => parse_value_as(field, value, writing)?,
        Kind::List => Value::List(strings()),
        Kind::Set => set_of(strings()),
        Kind::Text
        | Kind::String
        | Kind::Int
        | Kind::Decimal
        | Kind::Bool
        | Kind::Date
        | Kind::Choice
        | Kind::Ref
        | Kind::File => {
            return Err(AssignError::NotAddable { field: field.id.clone(), kind: kind_name(field.kind) });
        }
    };
    check(field, &operand)?;
    Ok(operand)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin;

    fn parse(collection: &str, text: &str) -> Result<(String, Edit), AssignError> {
        Assignment::parse(&builtin().collections[collection], text)
    }

    #[test]
    fn the_four_forms() {
        let set = |v: &str| Edit::Set(Value::Str(v.into()));
        assert_eq!(parse("members", "phone=091=2"), Ok(("phone".into(), set("091=2"))));
        assert_eq!(parse("members", "status=Dự bị"), Ok(("status".into(), set("candidate"))));
        assert_eq!(parse("members", "phone="), Ok(("phone".into(), Edit::Clear)));
        let add = Edit::Add(Value::List(vec!["Bằng khen".into()]));
        assert_eq!(parse("members", "rewards+=Bằng khen"), Ok(("rewards".into(), add)));
        let sub = Edit::Sub(set_of(["a".into(), "b".into()]));
        assert_eq!(parse("documents", r#"keywords-=["a","b"]"#), Ok(("keywords".into(), sub)));
        assert_eq!(parse("receipts", "contacts+=3"), Ok(("contacts".into(), Edit::Add(Value::Counter(3)))));
        assert_eq!(
            parse("members", r#"rewards=["a"]"#),
            Ok(("rewards".into(), Edit::Set(Value::List(vec!["a".into()]))))
        );
    }

    #[test]
    fn removed_is_a_bool_of_every_collection() {
        assert_eq!(parse("members", "_removed=false"), Ok(("_removed".into(), Edit::Set(Value::Bool(false)))));
        assert!(matches!(parse("members", "_removed=maybe"), Err(AssignError::Value(_))));
        assert!(matches!(parse("members", "_removed="), Err(AssignError::Value(_))));
    }

    #[test]
    fn unknown_fields_come_with_the_nearest() {
        let message = |t| parse("members", t).unwrap_err().to_string();
        assert_eq!(message("phnoe=1"), "members has no field 'phnoe'. Did you mean 'phone'?");
        assert_eq!(message("Họ và tên=x"), "members has no field 'Họ và tên'. Did you mean 'full_name'?");
        assert!(message("_unit=x").contains("no field '_unit'"));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let no_equals = |t| matches!(parse("members", t), Err(AssignError::NoEquals { .. }));
        assert!(no_equals("phone") && no_equals("=x") && no_equals("+=x"));
        let message = |t| parse("members", t).unwrap_err().to_string();
        assert!(message("phone+=1").contains("phone is of kind string"));
        assert!(message("updated_at-=1").contains("updated_at is of kind int"));
        assert!(message("rewards+=").contains("need a value"));
        assert!(message("rewards=abc").contains("JSON array"));
    }
}
