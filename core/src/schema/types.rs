//! The shapes of a parsed schema.
//!
//! It does not: parse (see `parse`) or compare versions (see `evolve`).

use super::contact::ContactRule;
use super::due::{CalendarRule, DueRule};
use super::target::TargetRule;
use crate::fold::fold;
use crate::id::{Flow, SpaceId, UnitId};
use crate::suggest::nearest;
use crate::value::Kind;
use std::collections::BTreeMap;

/// A language of the screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Lang {
    /// Vietnamese.
    #[default]
    Vi,
    /// English.
    En,
}

/// A text in the languages of the screens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Label {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

/// One permitted value of a `choice` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is stored.
    pub id: String,
    /// What is shown.
    pub label: Label,
}

/// One field of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The key in the record.
    pub id: String,
    /// The kind of its value.
    pub kind: Kind,
    /// Refused at the keyboard when empty.
    pub required: bool,
    /// Greatest number of characters (strings, texts) or elements (lists, sets).
    pub max: Option<u32>,
    /// Decimals of a `decimal`, 0 to 9; 0 for every other kind.
    pub scale: u8,
    /// Choices of a `choice`; empty for every other kind.
    pub choices: Vec<Choice>,
    /// The collection that a `ref` points to.
    pub to: Option<String>,
    /// Kept, but not shown or asked for.
    pub hidden: bool,
    /// What people read.
    pub label: Label,
}

/// One kind of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The name on the wire and on the command line.
    pub id: String,
    /// What people read.
    pub label: Label,
    /// Where its records travel.
    pub flow: Flow,
    /// Level (0 = root) of the highest relay that holds them; 0 unless the flow is `up`.
    pub reach: u8,
    /// Template of a record's title, such as `{full_name}`.
    pub title: String,
    /// The field that holds a person's name, where the records are of people: lists for people then go by the given name.
    pub person: Option<String>,
    /// Fields that full-text search covers.
    pub search: Vec<String>,
    /// Fields that an import matches existing records on; empty = every row is new.
    pub match_on: Vec<String>,
    /// Fields whose repeated value is warned about.
    pub unique: Vec<String>,
    /// Fields that the record id is computed from (`_unit` = the space's unit); empty = random ids.
    pub identity: Vec<String>,
    /// The collection that these records answer.
    pub reply_to: Option<String>,
    /// The set field with the codes or ids of the units that a record is for, each with all below it; a record whose
    /// set is empty, and every record where this is `None`, is for all.
    pub addressed: Option<String>,
    /// Fields in file order.
    pub fields: Vec<Field>,
}

impl Collection {
    /// The field of this id.
    #[must_use]
    pub fn field(&self, id: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.id == id)
    }

    /// The field that a column's header names: its id, or a label in any case, with or without
    /// diacritics. `None` if none does or several do.
    #[must_use]
    pub fn field_by_header(&self, header: &str) -> Option<&Field> {
        let header = header.trim();
        if let Some(field) = self.field(header) {
            return Some(field);
        }
        let folded = fold(header);
        let mut alike =
            self.fields.iter().filter(|f| [&f.id, &f.label.vi, &f.label.en].iter().any(|w| fold(w) == folded));
        let first = alike.next()?;
        alike.next().is_none().then_some(first)
    }

    /// The space that a record of this collection is born in at `unit`.
    #[must_use]
    pub fn space(&self, unit: UnitId) -> SpaceId {
        SpaceId { unit, flow: self.flow, reach: self.reach }
    }
}

/// How a metric combines records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricOp {
    /// Number of records.
    Count,
    /// Sum of a field.
    Sum(String),
    /// Smallest value of a field.
    Min(String),
    /// Greatest value of a field.
    Max(String),
    /// How many different values a field has.
    Distinct(String),
}

impl MetricOp {
    /// The field that it looks at; none for a count.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Count => None,
            Self::Sum(f) | Self::Min(f) | Self::Max(f) | Self::Distinct(f) => Some(f),
        }
    }
}

/// What a ratio divides by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Another metric.
    Metric(String),
    /// The sum of another field of the same records: what was expected, or the target.
    Field(String),
}

/// A figure declared in the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub id: String,
    /// What people read; the name unless it is said.
    pub label: Label,
    /// The collection it looks at.
    pub of: String,
    /// How it combines.
    pub op: MetricOp,
    /// Filter, in the words of `list --where`; empty = all.
    pub filter: String,
    /// Dimensions.
    pub by: Vec<String>,
    /// Period, such as `month`; empty = it is only ever as of now.
    pub period: String,
    /// The date field that puts a record into a period; without it the figure is a state, as of now, and a
    /// period closes with what stands at its end.
    pub on: Option<String>,
    /// Level of the highest relay that sees it.
    pub reach: u8,
    /// Level of the units that are expected to report; the lowest unless it is said.
    pub expected: u8,
    /// What it is divided by, where it is a ratio.
    pub over: Option<Over>,
}

impl Metric {
    /// Whether it is shown above the level that holds its records: only figures travel there.
    #[must_use]
    pub fn outreaches(&self, collection: &Collection) -> bool {
        collection.flow != Flow::Up || self.reach < collection.reach
    }

    /// The decimals of its value.
    #[must_use]
    pub fn scale(&self, collection: &Collection) -> u8 {
        match &self.op {
            MetricOp::Count | MetricOp::Distinct(_) => 0,
            MetricOp::Sum(f) | MetricOp::Min(f) | MetricOp::Max(f) => collection.field(f).map_or(0, |f| f.scale),
        }
    }
}

/// A whole schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// Names of the levels, the root's first.
    pub levels: Vec<String>,
    /// The collections by id.
    pub collections: BTreeMap<String, Collection>,
    /// The metrics by id.
    pub metrics: BTreeMap<String, Metric>,
    /// Which days are worked.
    pub calendar: CalendarRule,
    /// The rules of what is due, by id.
    pub dues: BTreeMap<String, DueRule>,
    /// Whom to call about a unit.
    pub contact: Option<ContactRule>,
    /// Where targets stand, and what measures them.
    pub target: Option<TargetRule>,
    /// The file it was parsed from, as published in the charter.
    pub source: String,
}

impl Schema {
    /// The collection of this id.
    #[must_use]
    pub fn collection(&self, id: &str) -> Option<&Collection> {
        self.collections.get(id)
    }

    /// The ids of the collections that look like `id`, for an error's hint.
    #[must_use]
    pub fn nearest_collections(&self, id: &str) -> Vec<&str> {
        nearest(id, self.collections.keys().map(String::as_str))
    }

    /// The field of a reply that names the record it answers: its ref to `reply_to`, the first if there are several.
    #[must_use]
    pub fn answers_by<'c>(&self, reply: &'c Collection) -> Option<&'c Field> {
        reply.fields.iter().find(|f| f.kind == Kind::Ref && f.to.is_some() && f.to == reply.reply_to)
    }

    /// The level of this name: 0 for the first and for `root`.
    #[must_use]
    pub fn level(&self, name: &str) -> Option<u8> {
        let at = self.levels.iter().position(|l| l == name);
        // At most TREE_DEPTH_MAX levels: the index fits.
        at.map(|i| i as u8).or((name == "root").then_some(0))
    }
}
