//! Why a record, a value, a filter or a unit was refused, in the language of the person.
//!
//! It does not: decide; the schema, the engine and the replica did.
//!
//! Invariants: nothing that core says in English reaches a person who asked for Vietnamese, but for
//! the technical reason inside a sentence about damage.

use super::codes;
use super::convert::{IntoCli, did_you_mean, list_of, unknown_name};
use super::exit::CliError;
use crate::i18n::{Lang, t};
use crate::replica::ReplicaError;
use sampan_core::charter::TicketError;
use sampan_core::engine::EditFailure;
use sampan_core::record::{Damaged, EditError};
use sampan_core::schema::expr::ExprProblem;
use sampan_core::schema::{AssignError, Collection, ExprError, Field, ValueError};
use sampan_core::value::Kind;

impl IntoCli for ReplicaError {
    fn into_cli(self, lang: Lang) -> CliError {
        let new = |code, values: &[(&str, &str)]| CliError::new(lang, code, values);
        match self {
            Self::Dir(e) => e.into_cli(lang),
            Self::Config(e) => e.into_cli(lang),
            Self::Key(e) => e.into_cli(lang),
            Self::Store(e) => e.into_cli(lang),
            Self::Edit(e) => e.into_cli(lang),
            Self::Unfinished(dir) => new(&codes::UNFINISHED, &[("dir", &dir)]).at(dir),
            Self::OtherOrganisation => new(&codes::TICKET_OTHER_ORG, &[("dir", "DIR")]),
            Self::RepairLater => new(&codes::REPAIR_LATER, &[]),
            Self::NoSchema => new(&codes::NO_SCHEMA, &[]),
            Self::NoCollection(name) => unknown_name(lang, &codes::UNKNOWN_COLLECTION, &name, &[], &[]),
            Self::NoRecord(name) => unknown_name(lang, &codes::UNKNOWN_RECORD, &name, &[], &[]),
            Self::WhichUnit(known) => new(&codes::UNIT_NEEDED, &[("known", &known)]),
            Self::UnknownUnit { name, nearest } => {
                let nearest = did_you_mean(lang, &nearest);
                new(&codes::UNKNOWN_UNIT, &[("name", &name), ("nearest", &nearest)]).at(name)
            }
            Self::AmbiguousUnit { name, paths } => {
                let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                new(&codes::AMBIGUOUS_UNIT, &[("name", &name), ("known", &list_of(lang, &paths))]).at(name)
            }
        }
    }
}

impl IntoCli for EditFailure {
    fn into_cli(self, lang: Lang) -> CliError {
        let new = |code, values: &[(&str, &str)]| CliError::new(lang, code, values);
        match self {
            Self::NoRecord(id) => ReplicaError::NoRecord(id.to_string()).into_cli(lang),
            Self::Erased(id) => new(&codes::RECORD_ERASED, &[("name", &id.to_string())]).at(id.to_string()),
            Self::NotHere(id) => new(&codes::RECORD_NOT_HERE, &[("name", &id.to_string())]).at(id.to_string()),
            Self::NoRight { collection, unit } => {
                let values = [("collection", collection.as_str()), ("unit", &unit.to_string())];
                new(&codes::NO_RIGHT, &[("what", &t(lang, "right.write", &values))]).at(unit.to_string())
            }
            Self::Ended { collection, unit, at } => {
                let values = [("collection", collection.as_str()), ("unit", &unit.to_string())];
                let when = t(lang, "grant.ended_at", &[("at", &crate::i18n::format_time(lang, at))]);
                new(&codes::GRANT_ENDED, &[("what", &t(lang, "right.write", &values)), ("when", &when)])
                    .at(unit.to_string())
            }
            Self::Cut(reason) => new(&codes::DEVICE_CUT, &[("reason", &reason)]),
            Self::OutOfReach { collection, unit } => {
                let values = [("collection", collection.as_str()), ("unit", &unit.to_string())];
                new(&codes::NO_RIGHT, &[("what", &t(lang, "right.out_of_reach", &values))]).at(unit.to_string())
            }
            Self::KeyField(field) => new(&codes::KEY_FIELD, &[("field", &field)]).at(field),
            Self::Required(fields) => required(lang, &fields),
            Self::NoCollection(name) => ReplicaError::NoCollection(name).into_cli(lang),
            Self::Edit(e) => e.into_cli(lang),
            Self::Damaged(id, e) => damaged(lang, &id.to_string(), &e),
            Self::Store(e) => e.into_cli(lang),
        }
    }
}

impl IntoCli for EditError {
    fn into_cli(self, lang: Lang) -> CliError {
        let bad = |field: &str, reason: &str| {
            let values = [("field", field), ("given", ""), ("reason", reason)];
            CliError::new(lang, &codes::BAD_VALUE, &values).at(field)
        };
        match &self {
            Self::UnknownField { field } | Self::ReservedField { field } => {
                unknown_name(lang, &codes::UNKNOWN_FIELD, field, &[], &[("collection", "")])
            }
            Self::WrongValue { field, kind: _ } => bad(field, &t(lang, "value.other", &[])),
            Self::KeyField { field } => bad(field, &t(lang, "value.other", &[])),
            Self::NotAddable { field } => bad(field, &t(lang, "value.not_addable", &[])),
            Self::CounterRange { field } => {
                let max = sampan_core::limits::COUNTER_ABS_MAX.to_string();
                CliError::new(lang, &codes::LIMIT, &[("what", field), ("limit", &format!("COUNTER_ABS_MAX = {max}"))])
                    .at(field.clone())
            }
            Self::Limit { limit, what, max, found } => {
                let what = format!("{what} ({found})");
                CliError::new(lang, &codes::LIMIT, &[("what", &what), ("limit", &format!("{limit} = {max}"))])
            }
            Self::NoCreation { creation } => {
                let what = creation.to_string();
                CliError::new(lang, &codes::RECORD_DAMAGED, &[("name", ""), ("reason", &what)])
            }
            Self::Damaged(e) => damaged(lang, "", e),
        }
    }
}

impl IntoCli for TicketError {
    fn into_cli(self, lang: Lang) -> CliError {
        match self {
            Self::NotATicket => CliError::new(lang, &codes::TICKET_NOT, &[("what", "")]),
            Self::TooLong(_) | Self::Damaged => CliError::new(lang, &codes::TICKET_ALTERED, &[]),
            Self::Newer(_) => CliError::new(lang, &codes::TICKET_NEWER, &[]),
        }
    }
}

fn damaged(lang: Lang, record: &str, error: &Damaged) -> CliError {
    let reason = error.to_string();
    CliError::new(lang, &codes::RECORD_DAMAGED, &[("name", record), ("reason", &reason)]).at(record)
}

/// Fields that must not be empty.
#[must_use]
pub fn required(lang: Lang, fields: &[String]) -> CliError {
    CliError::new(lang, &codes::REQUIRED, &[("fields", &fields.join(", "))]).at(fields.join(", "))
}

/// A field that the collection does not have.
#[must_use]
pub fn unknown_field(lang: Lang, collection: &Collection, name: &str) -> CliError {
    let known: Vec<&str> = collection.fields.iter().filter(|f| !f.hidden).map(|f| f.id.as_str()).collect();
    let mut error = unknown_name(lang, &codes::UNKNOWN_FIELD, name, &known, &[("collection", &collection.id)]);
    // A label names its field better than any likeness of letters.
    if let Some(field) = collection.field_by_header(name) {
        let near = did_you_mean(lang, std::slice::from_ref(&field.id));
        let known = list_of(lang, &known);
        error.hint = t(lang, "hint.unknown_field", &[("nearest", &near), ("known", &known)]);
    }
    error
}

/// Why a text is no value of a field, as the end of a sentence.
#[must_use]
pub fn value_reason(lang: Lang, field: &Field, error: &ValueError) -> String {
    match error {
        ValueError::Expected { .. } | ValueError::WrongKind { .. } => {
            let id = match field.kind {
                Kind::Date => "value.date",
                Kind::Int | Kind::Counter => "value.int",
                Kind::Decimal => "value.decimal",
                Kind::Bool => "value.bool",
                Kind::List | Kind::Set => "value.array",
                Kind::Ref => "value.ref",
                Kind::Text | Kind::String | Kind::Choice | Kind::File => "value.other",
            };
            t(lang, id, &[("scale", &field.scale.to_string())])
        }
        ValueError::Ambiguous { one, other, .. } => t(lang, "value.ambiguous", &[("one", one), ("other", other)]),
        ValueError::NotAChoice { choices, .. } => {
            let known: Vec<&str> = choices.iter().map(String::as_str).collect();
            t(lang, "value.choice", &[("known", &list_of(lang, &known))])
        }
        ValueError::TooLong { got, max, unit, .. } => {
            let unit = match *unit {
                "characters" => t(lang, "value.characters", &[]),
                "bytes" => t(lang, "value.bytes", &[]),
                "entries" => t(lang, "value.entries", &[]),
                other => other.to_owned(),
            };
            t(lang, "value.too_long", &[("got", &got.to_string()), ("max", &max.to_string()), ("unit", &unit)])
        }
    }
}

/// The error about a value.
#[must_use]
pub fn bad_value(lang: Lang, collection: &Collection, error: &ValueError) -> CliError {
    let (ValueError::Expected { field: id, .. }
    | ValueError::Ambiguous { field: id, .. }
    | ValueError::NotAChoice { field: id, .. }
    | ValueError::TooLong { field: id, .. }
    | ValueError::WrongKind { field: id, .. }) = error;
    let given = match error {
        ValueError::Expected { text, .. }
        | ValueError::Ambiguous { text, .. }
        | ValueError::NotAChoice { text, .. } => text.as_str(),
        ValueError::TooLong { .. } | ValueError::WrongKind { .. } => "…",
    };
    let Some(field) = collection.field(id) else {
        // `_removed`, the one name beside the fields.
        let reason = t(lang, "value.bool", &[]);
        return CliError::new(lang, &codes::BAD_VALUE, &[("field", id), ("given", given), ("reason", &reason)])
            .at(id.clone());
    };
    match error {
        ValueError::NotAChoice { choices, nearest, .. } => {
            let known: Vec<&str> = choices.iter().map(String::as_str).collect();
            let (near, known) = (did_you_mean(lang, nearest), list_of(lang, &known));
            let values = [("field", id.as_str()), ("given", given), ("nearest", &near), ("known", &known)];
            CliError::new(lang, &codes::UNKNOWN_CHOICE, &values)
        }
        ValueError::Expected { .. } if field.kind == Kind::Date => {
            CliError::new(lang, &codes::BAD_DATE, &[("field", id), ("given", given)])
        }
        _ => {
            let reason = value_reason(lang, field, error);
            CliError::new(lang, &codes::BAD_VALUE, &[("field", id), ("given", given), ("reason", &reason)])
        }
    }
    .at(id.clone())
}

/// The error about an assignment.
#[must_use]
pub fn bad_assignment(lang: Lang, collection: &Collection, error: &AssignError) -> CliError {
    let bad = |field: &str, reason: &str| {
        let values = [("field", field), ("given", "+= -="), ("reason", reason)];
        CliError::new(lang, &codes::BAD_VALUE, &values).at(field)
    };
    match error {
        AssignError::NoEquals { text } => {
            let what = t(lang, "usage.assignment", &[("what", text)]);
            CliError::new(lang, &codes::USAGE, &[("what", &what), ("help", "sampan set --help")]).at(text.clone())
        }
        AssignError::UnknownField { field, .. } => unknown_field(lang, collection, field),
        AssignError::NotAddable { field, .. } => bad(field, &t(lang, "value.not_addable", &[])),
        AssignError::NothingToAdd { field } => bad(field, &t(lang, "value.nothing_to_add", &[])),
        AssignError::Value(e) => bad_value(lang, collection, e),
    }
}

/// The error about a filter.
#[must_use]
pub fn bad_expr(lang: Lang, collection: &Collection, text: &str, error: &ExprError) -> CliError {
    let what = match &error.what {
        ExprProblem::UnknownField { field, .. } => return unknown_field(lang, collection, field),
        ExprProblem::NoField => t(lang, "expr.no_field", &[]),
        ExprProblem::NoOperator => t(lang, "expr.no_operator", &[]),
        ExprProblem::WrongOperator { op, field, instead, .. } => {
            t(lang, "expr.wrong_operator", &[("op", &op.to_string()), ("field", field), ("instead", instead)])
        }
        ExprProblem::NoValue => t(lang, "expr.no_value", &[]),
        ExprProblem::OpenQuote => t(lang, "expr.open_quote", &[]),
        ExprProblem::NoAnd => t(lang, "expr.no_and", &[]),
        ExprProblem::Value(e) => {
            let inner = bad_value(lang, collection, e);
            format!("{} {}", inner.message, inner.hint)
        }
        ExprProblem::TooLong => t(lang, "expr.too_long", &[]),
    };
    let reason = t(lang, "expr.at", &[("at", &error.at.to_string()), ("what", what.trim_end_matches('.'))]);
    CliError::new(lang, &codes::BAD_EXPR, &[("given", text), ("reason", &reason)]).at(error.at.to_string())
}
