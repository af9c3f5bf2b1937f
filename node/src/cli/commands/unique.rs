//! Which records have these values: what an import matches on, and what repeats though it should not.
//!
//! It does not: refuse; a repeated value is a note for the person.
//!
//! Invariants: values are compared whole; an unset value matches nothing; removed records do not count.

use super::common::OrCli;
use crate::cli::exit::CliError;
use crate::cli::{App, output};
use crate::replica::Replica;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::schema::expr::{Expr, Op, Operand, Term};
use sampan_core::schema::{Collection, to_cell, value::is_empty};
use sampan_core::value::{Kind, Value};
use std::collections::BTreeMap;

/// Up to this many rows are looked up one by one; more make an index of the whole collection first.
const ONE_BY_ONE_MAX: usize = 16;
/// Notes shown: more are counted.
const NOTES_SHOWN_MAX: usize = 20;

/// A group of fields and the records with each combination of their values.
type Index = BTreeMap<Vec<String>, Vec<(RecordId, UnitId)>>;

/// Finds records by the values of some fields.
pub(super) struct Finder {
    groups: Vec<(Vec<String>, Option<Index>)>,
}

/// The values of a group of fields, `None` where one is unset.
pub(super) fn key(collection: &Collection, fields: &[String], values: &BTreeMap<String, Value>) -> Option<Vec<String>> {
    let cell = |name: &String| {
        let value = values.get(name).filter(|v| !is_empty(v))?;
        Some(to_cell(collection.field(name), value))
    };
    if fields.is_empty() { None } else { fields.iter().map(cell).collect() }
}

impl Finder {
    /// For the match fields of a collection and each of its unique fields, about to be asked for
    /// this many rows.
    pub(super) fn new(app: &App, replica: &mut Replica, c: &Collection, rows: usize) -> Result<Self, CliError> {
        let names = std::iter::once(c.match_on.clone()).chain(c.unique.iter().map(|u| vec![u.clone()]));
        let mut groups: Vec<(Vec<String>, Option<Index>)> = names.map(|n| (n, None)).collect();
        if rows > ONE_BY_ONE_MAX && groups.iter().any(|(names, _)| !names.is_empty()) {
            let all = replica.list(c, None, None).or_cli(app)?;
            for (names, index) in &mut groups {
                let mut map = Index::new();
                for row in &all {
                    if let Some(key) = key(c, names, &row.values) {
                        map.entry(key).or_default().push((row.id, row.unit));
                    }
                }
                *index = Some(map);
            }
        }
        Ok(Self { groups })
    }

    fn find(
        &self,
        app: &App,
        replica: &mut Replica,
        c: &Collection,
        group: usize,
        values: &BTreeMap<String, Value>,
    ) -> Result<Vec<(RecordId, UnitId)>, CliError> {
        let Some((names, index)) = self.groups.get(group) else { return Ok(Vec::new()) };
        let Some(wanted) = key(c, names, values) else { return Ok(Vec::new()) };
        if let Some(index) = index {
            return Ok(index.get(&wanted).cloned().unwrap_or_default());
        }
        let terms = names.iter().filter_map(|n| term(c, n, values.get(n)?)).collect();
        let rows = replica.list(c, Some(&Expr { terms }), None).or_cli(app)?;
        let same = rows.iter().filter(|r| key(c, names, &r.values).as_ref() == Some(&wanted));
        Ok(same.map(|r| (r.id, r.unit)).collect())
    }

    /// The records whose match fields equal those of a row.
    pub(super) fn matching(
        &self,
        app: &App,
        replica: &mut Replica,
        c: &Collection,
        values: &BTreeMap<String, Value>,
    ) -> Result<Vec<(RecordId, UnitId)>, CliError> {
        self.find(app, replica, c, 0, values)
    }

    /// Notes about values of unique fields that other records have as well, those of the rows among
    /// themselves included.
    pub(super) fn note_repeated(
        &self,
        app: &App,
        replica: &mut Replica,
        c: &Collection,
        rows: &[(RecordId, BTreeMap<String, Value>)],
    ) -> Result<(), CliError> {
        let mut notes = Vec::new();
        for (at, field) in c.unique.iter().enumerate() {
            let mut first: BTreeMap<Vec<String>, RecordId> = BTreeMap::new();
            for (id, values) in rows {
                let Some(key) = key(c, std::slice::from_ref(field), values) else { continue };
                let before = self.find(app, replica, c, at + 1, values)?;
                let other = before.into_iter().map(|(r, _)| r).find(|r| r != id);
                let other = other.or_else(|| first.get(&key).copied().filter(|r| r != id));
                first.entry(key.clone()).or_insert(*id);
                if let Some(other) = other {
                    let values = [("value", key[0].as_str()), ("field", field), ("record", &other.to_string())];
                    notes.push(app.t("record.unique_warning", &values));
                }
            }
        }
        for note in notes.iter().take(NOTES_SHOWN_MAX) {
            output::to_stderr(note);
        }
        if let Some(more) = notes.len().checked_sub(NOTES_SHOWN_MAX).filter(|n| *n > 0) {
            output::to_stderr(&app.t("record.more_warnings", &[("count", &more.to_string())]));
        }
        Ok(())
    }
}

/// A term that every row with this value meets; none where the filter has no exact word for it.
fn term(c: &Collection, name: &str, value: &Value) -> Option<Term> {
    let kind = c.field(name)?.kind;
    let operand = match (kind, value) {
        (Kind::Date, Value::Str(s)) => Operand::Prefix(s.clone()),
        (Kind::List | Kind::Set, _) => return None,
        (_, value) => Operand::Value(value.clone()),
    };
    Some(Term { field: name.to_owned(), kind, op: Op::Eq, operand })
}
