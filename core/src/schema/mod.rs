//! The schema: which collections exist, their fields, how they travel.
//!
//! It does not: store or merge anything; the sync session never looks at it beyond the space that
//! a collection's records live in.
//!
//! Invariants: ids are lowercase ASCII words; fields keep the order of the file; a schema that
//! parsed is valid.

pub mod assign;
pub mod contact;
mod document;
pub mod due;
pub mod evolve;
pub mod expr;
pub mod metric;
pub mod number;
pub mod parse;
pub mod show;
pub mod target;
pub mod types;
pub mod value;

pub use assign::{AssignError, Assignment, known_field};
pub use document::SchemaProblem;
pub use evolve::{News, evolve, news};
pub use expr::{Expr, ExprError, Op, Operand, Term};
pub use number::Writing;
pub use parse::{kind_name, parse};
pub use show::{display, list_key, person_key, title, title_in, to_cell, to_file_cell, to_json};
pub use target::{ByHand, TargetRule};
pub use types::{Choice, Collection, Field, Label, Lang, Metric, MetricOp, Over, Schema};
pub use value::{
    ValueError, check, from_json, parse_cell, parse_cell_as, parse_value, parse_value_as, required_missing,
};

/// The text of the built-in schema, `membership`.
pub const MEMBERSHIP: &str = include_str!("membership.toml");

/// The built-in schema: what an organisation with branches keeps, in Vietnamese and English.
#[must_use]
pub fn builtin() -> Schema {
    // The text is part of the program and a test parses it.
    parse(MEMBERSHIP).expect("the embedded membership.toml is valid")
}

#[cfg(test)]
mod tests;
