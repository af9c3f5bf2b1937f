//! A TOML document read section by section, with the line of every key.
//!
//! It does not: know what a schema is; it hands out typed values and remembers what was asked for.
//!
//! Invariants: sections and entries come in file order; every key that nobody asked for is reported
//! with its line when a section is closed; all problems are collected, not only the first.

use crate::suggest::{did_you_mean, nearest};
use std::fmt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing wrong with a schema file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaProblem {
    /// Line of the file, from 1.
    pub line: u32,
    /// Where in the document, such as `collection.members.field.phone`; empty for the whole file.
    pub path: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for SchemaProblem {}

/// The problems found so far, and how to turn an offset into a line.
pub(super) struct Problems {
    line_starts: Vec<usize>,
    list: Vec<SchemaProblem>,
}

impl Problems {
    pub(super) fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Self { line_starts: std::iter::once(0).chain(ends).collect(), list: Vec::new() }
    }

    /// The line, from 1, that holds this byte offset.
    pub(super) fn line(&self, offset: usize) -> u32 {
        // A schema file is bounded far below four thousand million lines.
        self.line_starts.partition_point(|s| *s <= offset) as u32
    }

    pub(super) fn add(&mut self, line: u32, path: &str, what: impl Into<String>) {
        self.list.push(SchemaProblem { line, path: path.to_owned(), what: what.into() });
    }

    /// The problems in the order of the file.
    pub(super) fn into_sorted(mut self) -> Vec<SchemaProblem> {
        self.list.sort();
        self.list
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A value with the line that it stands on.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) line: u32,
    pub(super) value: T,
}

struct Row<'d> {
    key: &'d str,
    line: u32,
    value: &'d DeValue<'d>,
    asked: bool,
}

/// One table of the document.
pub(super) struct Section<'d> {
    pub(super) path: String,
    pub(super) line: u32,
    rows: Vec<Row<'d>>,
    /// Every key that was asked for: what an unknown key is compared with.
    known: Vec<&'static str>,
}

impl<'d> Section<'d> {
    pub(super) fn new(path: String, line: u32, table: &'d DeTable<'d>, problems: &Problems) -> Self {
        let mut entries: Vec<(&Spanned<_>, &Spanned<DeValue>)> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let rows = entries
            .into_iter()
            .map(|(key, value)| Row {
                key: key.get_ref(),
                line: problems.line(key.span().start),
                value: value.get_ref(),
                asked: false,
            })
            .collect();
        Self { path, line, rows, known: Vec::new() }
    }

    /// The path of a key of this section.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether the key stands there, of whatever type.
    pub(super) fn has(&self, key: &str) -> bool {
        self.rows.iter().any(|r| r.key == key)
    }

    fn take(&mut self, key: &'static str) -> Option<At<&'d DeValue<'d>>> {
        self.known.push(key);
        let row = self.rows.iter_mut().find(|r| r.key == key)?;
        row.asked = true;
        Some(At { line: row.line, value: row.value })
    }

    fn typed<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        problems: &mut Problems,
        read: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<At<T>> {
        let At { line, value } = self.take(key)?;
        match read(value) {
            Some(value) => Some(At { line, value }),
            None => {
                let what = format!("'{key}' must be {wanted}, not {}", a(value.type_str()));
                problems.add(line, &self.path, what);
                None
            }
        }
    }

    pub(super) fn string(&mut self, key: &'static str, problems: &mut Problems) -> Option<At<&'d str>> {
        self.typed(key, "a string in quotes", problems, DeValue::as_str)
    }

    pub(super) fn flag(&mut self, key: &'static str, problems: &mut Problems) -> bool {
        self.typed(key, "true or false", problems, DeValue::as_bool).is_some_and(|b| b.value)
    }

    /// A whole number between `least` and `most`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        least: u32,
        most: u32,
        problems: &mut Problems,
    ) -> Option<At<u32>> {
        let wanted = format!("a whole number from {least} to {most}");
        self.typed(key, &wanted, problems, |v| {
            let n = v.as_integer()?;
            let n = u32::from_str_radix(n.as_str(), n.radix()).ok()?;
            (least..=most).contains(&n).then_some(n)
        })
    }

    /// A list of strings; empty if absent.
    pub(super) fn strings(&mut self, key: &'static str, problems: &mut Problems) -> At<Vec<String>> {
        self.typed(key, "a list of strings", problems, |v| {
            v.as_array()?.iter().map(|e| e.get_ref().as_str().map(str::to_owned)).collect()
        })
        .unwrap_or(At { line: self.line, value: Vec::new() })
    }

    /// One string, or a list of them; empty if absent.
    pub(super) fn string_or_strings(&mut self, key: &'static str, problems: &mut Problems) -> At<Vec<String>> {
        self.typed(key, "a string or a list of strings", problems, |v| match v.as_str() {
            Some(one) => Some(vec![one.to_owned()]),
            None => v.as_array()?.iter().map(|e| e.get_ref().as_str().map(str::to_owned)).collect(),
        })
        .unwrap_or(At { line: self.line, value: Vec::new() })
    }

    /// A table under this section.
    pub(super) fn table(&mut self, key: &'static str, problems: &mut Problems) -> Option<Section<'d>> {
        let At { line, value } = self.typed(key, "a table", problems, DeValue::as_table)?;
        Some(Section::new(self.at(key), line, value, problems))
    }

    /// A list of tables under this section.
    pub(super) fn tables(&mut self, key: &'static str, problems: &mut Problems) -> Option<At<Vec<Section<'d>>>> {
        let path = self.at(key);
        let found =
            self.typed(key, "a list of tables such as [{ id = \"a\", vi = \"A\", en = \"A\" }]", problems, |v| {
                v.as_array()?
                    .iter()
                    .map(|e| e.get_ref().as_table().map(|t| (e.span().start, t)))
                    .collect::<Option<Vec<_>>>()
            })?;
        let sections = found
            .value
            .into_iter()
            .enumerate()
            .map(|(i, (offset, t))| Section::new(format!("{path}[{i}]"), problems.line(offset), t, problems))
            .collect();
        Some(At { line: found.line, value: sections })
    }

    /// Every entry of this section as a named table, for sections whose keys are ids.
    pub(super) fn named(mut self, problems: &mut Problems) -> Vec<(&'d str, Section<'d>)> {
        let mut out = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            let path = self.at(row.key);
            match row.value.as_table() {
                Some(t) => out.push((row.key, Section::new(path, row.line, t, problems))),
                None => {
                    let what = format!("it must be a table, [{path}], not {}", a(row.value.type_str()));
                    problems.add(row.line, &path, what);
                }
            }
        }
        out
    }

    /// Reports every key that nobody asked for.
    pub(super) fn close(self, problems: &mut Problems) {
        for row in self.rows.iter().filter(|r| !r.asked) {
            let near = nearest(row.key, self.known.iter().copied());
            let hint =
                if near.is_empty() { format!(" Known here: {}.", self.known.join(", ")) } else { did_you_mean(&near) };
            problems.add(row.line, &self.path, format!("unknown key '{}'.{hint}", row.key));
        }
    }
}

fn a(type_name: &str) -> String {
    let article = if type_name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {type_name}")
}
