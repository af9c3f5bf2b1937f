//! Which records have these values: what an import matches on, and what repeats though it should not.
//!
//! It does not: refuse; a repeated value is a note for the person.
//!
//! Invariants: values are compared whole; an unset value matches nothing; removed records do not count.

use super::common::OrCli;
use crate::cli::exit::CliError;
use crate::cli::{App, output};
use crate::replica::Replica;
use crate::store::ProjectedRow;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::schema::expr::{Expr, Op, Operand, Term};
use sampan_core::schema::{Collection, to_cell, value::is_empty};
use sampan_core::value::{Kind, Value};
use std::collections::BTreeMap;

/// Up to this many rows are looked up one by one; more make an index of the whole collection first.
pub(super) const ONE_BY_ONE_MAX: usize = 16;
/// Notes shown: more are counted.
const NOTES_SHOWN_MAX: usize = 20;

/// A group of fields and the records with each combination of their values.
type Index = BTreeMap<Vec<String>, Vec<(RecordId, UnitId)>>;

/// Finds records by the values of some fields.
pub(super) struct Finder {
    groups: Vec<(Vec<String>, Option<Index>)>,
}

/// The values of a record in the unique fields of its collection, in their order.
pub(super) type Uniques = Vec<Option<Value>>;

/// Takes them from all of its values.
pub(super) fn uniques(collection: &Collection, values: &BTreeMap<String, Value>) -> Uniques {
    collection.unique.iter().map(|name| values.get(name).cloned()).collect()
}

/// The values of a group of fields as they are compared, `None` where one is unset.
fn key(collection: &Collection, fields: &[String], values: &[Option<&Value>]) -> Option<Vec<String>> {
    let cell = |(name, value): (&String, &Option<&Value>)| {
        let value = value.filter(|v| !is_empty(v))?;
        Some(to_cell(collection.field(name), value))
    };
    if fields.is_empty() { None } else { fields.iter().zip(values).map(cell).collect() }
}

impl Finder {
    /// For the match fields of a collection and each of its unique fields.
    pub(super) fn new(c: &Collection) -> Self {
        let names = std::iter::once(c.match_on.clone()).chain(c.unique.iter().map(|u| vec![u.clone()]));
        Self { groups: names.map(|n| (n, None)).collect() }
    }

    /// Reads the collection once, as it stands now, for all that is asked from now on: worth it for more than
    /// [`ONE_BY_ONE_MAX`] rows.
    pub(super) fn read_all(&mut self, app: &App, replica: &mut Replica, c: &Collection) -> Result<(), CliError> {
        if self.groups.iter().all(|(names, _)| names.is_empty()) {
            return Ok(());
        }
        let mut maps: Vec<Index> = self.groups.iter().map(|_| Index::new()).collect();
        let groups = &self.groups;
        let add = &mut |row: ProjectedRow| {
            for ((names, _), map) in groups.iter().zip(&mut maps) {
                let values: Vec<Option<&Value>> = names.iter().map(|n| row.values.get(n)).collect();
                if let Some(key) = key(c, names, &values) {
                    map.entry(key).or_default().push((row.id, row.unit));
                }
            }
        };
        replica.each_row(c, add).or_cli(app)?;
        for ((_, index), map) in self.groups.iter_mut().zip(maps) {
            *index = Some(map);
        }
        Ok(())
    }

    fn find(
        &self,
        app: &App,
        replica: &mut Replica,
        c: &Collection,
        group: usize,
        values: &[Option<&Value>],
    ) -> Result<Vec<(RecordId, UnitId)>, CliError> {
        let Some((names, index)) = self.groups.get(group) else { return Ok(Vec::new()) };
        let Some(wanted) = key(c, names, values) else { return Ok(Vec::new()) };
        if let Some(index) = index {
            return Ok(index.get(&wanted).cloned().unwrap_or_default());
        }
        let terms = names.iter().zip(values).filter_map(|(n, value)| term(c, n, (*value)?)).collect();
        let rows = replica.list(c, Some(&Expr { terms }), None).or_cli(app)?;
        let same = rows.iter().filter(|r| {
            let values: Vec<Option<&Value>> = names.iter().map(|n| r.values.get(n)).collect();
            key(c, names, &values).as_ref() == Some(&wanted)
        });
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
        let values: Vec<Option<&Value>> = c.match_on.iter().map(|n| values.get(n)).collect();
        self.find(app, replica, c, 0, &values)
    }

    /// Notes about values of unique fields that other records have as well, those of the rows among
    /// themselves included.
    pub(super) fn note_repeated(
        &self,
        app: &App,
        replica: &mut Replica,
        c: &Collection,
        rows: &[(RecordId, Uniques)],
    ) -> Result<(), CliError> {
        let mut notes = Vec::new();
        let mut more = 0u64;
        for (at, field) in c.unique.iter().enumerate() {
            let mut first: BTreeMap<Vec<String>, RecordId> = BTreeMap::new();
            for (id, values) in rows {
                let values = [values.get(at).and_then(Option::as_ref)];
                let Some(key) = key(c, std::slice::from_ref(field), &values) else { continue };
                let before = self.find(app, replica, c, at + 1, &values)?;
                let other = before.into_iter().map(|(r, _)| r).find(|r| r != id);
                let other = other.or_else(|| first.get(&key).copied().filter(|r| r != id));
                first.entry(key.clone()).or_insert(*id);
                if other.is_some() && notes.len() == NOTES_SHOWN_MAX {
                    more += 1;
                } else if let Some(other) = other {
                    let values = [("value", key[0].as_str()), ("field", field), ("record", &other.to_string())];
                    notes.push(app.t("record.unique_warning", &values));
                }
            }
        }
        for note in &notes {
            output::to_stderr(note);
        }
        if more > 0 {
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
