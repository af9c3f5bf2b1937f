//! What a schema says of dates that people must keep: rules of what is due, and the calendar of working days.
//!
//! It does not: know today or the records (see `crate::due`, which computes).
//!
//! Invariants: a rule that parsed names a collection and fields that exist and fit, and its filters parse.

use super::document::{At, Section};
use super::expr::Expr;
use super::parse::{Reader, kind_name};
use super::types::{Collection, Field, Label};
use crate::date::Date;
use crate::limits::{DUE_SPAN_DAYS_MAX, DUE_SPAN_MONTHS_MAX, DUE_SPANS_MAX};
use crate::suggest::{did_you_mean, nearest};
use crate::value::Kind;
use std::collections::BTreeMap;
use std::fmt;

/// A length of time, as `after` writes it: `30 days`, `10 working days`, `12 months`, `30 years`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    /// Days of any kind, at most [`DUE_SPAN_DAYS_MAX`].
    Days(u32),
    /// Days on which work is done, at most [`DUE_SPAN_DAYS_MAX`].
    WorkingDays(u32),
    /// Months, at most [`DUE_SPAN_MONTHS_MAX`].
    Months(u32),
    /// Years, at most a twelfth of that.
    Years(u32),
}

impl Span {
    /// Its number, without the unit.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Span::Days(n) | Span::WorkingDays(n) | Span::Months(n) | Span::Years(n) => n,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.trim().split_once(' ')?;
        let n: u32 = number.parse().ok()?;
        let (span, most) = match unit.trim() {
            "day" | "days" => (Span::Days(n), DUE_SPAN_DAYS_MAX),
            "working day" | "working days" => (Span::WorkingDays(n), DUE_SPAN_DAYS_MAX),
            "month" | "months" => (Span::Months(n), DUE_SPAN_MONTHS_MAX),
            "year" | "years" => (Span::Years(n), DUE_SPAN_MONTHS_MAX / 12),
            _ => return None,
        };
        (n <= most).then_some(span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Span::Days(n) => write!(f, "{n} days"),
            Span::WorkingDays(n) => write!(f, "{n} working days"),
            Span::Months(n) => write!(f, "{n} months"),
            Span::Years(n) => write!(f, "{n} years"),
        }
    }
}

/// Where a deadline goes that falls on a day of rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRest {
    /// Nowhere.
    #[default]
    Stays,
    /// To the next working day.
    Next,
    /// To the working day before.
    Before,
}

/// How often something is to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Each {
    /// A calendar month.
    Month,
    /// A quarter of a calendar year.
    Quarter,
    /// Half a calendar year.
    Half,
    /// A calendar year.
    Year,
}

/// What makes something due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DueWhen {
    /// A date in a record, and lengths of time after it: milestones if there are several.
    Record {
        /// The field that holds the date.
        date: String,
        /// How long after it; one of zero days if the rule names none.
        after: Vec<Span>,
        /// The int field that holds the number of the last milestone that was reached.
        reached: Option<String>,
    },
    /// A record that a unit must have for each period.
    Period {
        /// The periods.
        each: Each,
        /// How long after a period's end.
        after: Span,
        /// The field that says for which period a record is, such as `2026-Q3`.
        field: String,
        /// The first day from which it is asked for.
        since: Option<Date>,
        /// Levels of units that must have it; empty = every unit.
        levels: Vec<String>,
    },
}

/// One rule of what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRule {
    /// Its name.
    pub id: String,
    /// What people read.
    pub label: Label,
    /// The collection it looks at.
    pub of: String,
    /// Which of its records, in the words of `list --where`; empty = all.
    pub filter: String,
    /// When.
    pub when: DueWhen,
    /// What becomes of it on a day of rest.
    pub on_rest: OnRest,
    /// The collection of replies: a unit that has one is done.
    pub answered_by: Option<String>,
    /// Which replies count, in the words of `list --where`; empty = all.
    pub answered_where: String,
}

impl DueRule {
    /// Whether days of rest decide on its dates.
    #[must_use]
    pub fn counts_working_days(&self) -> bool {
        let working = |span: &Span| matches!(span, Span::WorkingDays(_));
        self.on_rest != OnRest::Stays
            || match &self.when {
                DueWhen::Record { after, .. } => after.iter().any(working),
                DueWhen::Period { after, .. } => working(after),
            }
    }
}

/// Which days are worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarRule {
    /// Days of the week without work: 0 = Monday to 6 = Sunday.
    pub rest: Vec<u8>,
    /// The collection of holidays.
    pub holidays: Option<Holidays>,
}

impl Default for CalendarRule {
    /// Saturday and Sunday rest, no holidays are kept.
    fn default() -> Self {
        Self { rest: vec![5, 6], holidays: None }
    }
}

/// Where holidays are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holidays {
    /// The collection.
    pub of: String,
    /// The field of the first day.
    pub from: String,
    /// The field of the last day; a record without one is of a single day.
    pub until: Option<String>,
    /// The bool field that says that these days are worked, though they would be of rest.
    pub works: Option<String>,
}

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const EACH: [(&str, Each); 4] =
    [("month", Each::Month), ("quarter", Each::Quarter), ("half", Each::Half), ("year", Each::Year)];

impl Reader<'_> {
    /// `[calendar]`: `rest`, `holidays`, `from`, `until`, `works`.
    pub(super) fn calendar(
        &mut self,
        mut s: Section<'_>,
        collections: &BTreeMap<String, Collection>,
    ) -> Option<CalendarRule> {
        let rest = if s.has("rest") {
            let named = s.strings("rest", self.problems);
            let mut rest = Vec::new();
            for name in &named.value {
                match WEEKDAYS.iter().position(|w| w == name) {
                    Some(day) => rest.push(day as u8), // at most 6
                    None => {
                        let near = nearest(name, WEEKDAYS.iter().copied());
                        let what =
                            format!("'rest' names '{name}', which is no day of the week.{}", did_you_mean(&near));
                        self.problems.add(named.line, &s.path, what);
                    }
                }
            }
            rest.sort_unstable();
            rest.dedup();
            if rest.len() == WEEKDAYS.len() {
                self.problems.add(named.line, &s.path, "'rest' leaves no day to work on; leave at least one out");
                return None;
            }
            rest
        } else {
            CalendarRule::default().rest
        };
        let of = s.string("holidays", self.problems);
        let [from, until, works] = ["from", "until", "works"].map(|key| s.string(key, self.problems));
        let path = s.path.clone();
        if of.is_none() && [&from, &until, &works].iter().any(|k| k.is_some()) {
            self.problems.add(s.line, &path, "'from', 'until' and 'works' are fields of 'holidays', which is missing");
        }
        let line = s.line;
        s.close(self.problems);
        let Some(of) = of else { return Some(CalendarRule { rest, holidays: None }) };
        let collection = self.collection_named("holidays", &of, &path, collections)?;
        let from = match from {
            Some(from) => self.field_of("from", &from, &path, collection, &[Kind::Date])?,
            None => {
                self.problems.add(line, &path, "'from' is missing: the date field of the first day of a holiday");
                return None;
            }
        };
        let until = until.and_then(|at| self.field_of("until", &at, &path, collection, &[Kind::Date]));
        let works = works.and_then(|at| self.field_of("works", &at, &path, collection, &[Kind::Bool]));
        Some(CalendarRule { rest, holidays: Some(Holidays { of: collection.id.clone(), from, until, works }) })
    }

    /// One `[due.ID]`; `None` once a problem made it unusable.
    pub(super) fn due(
        &mut self,
        id: &str,
        mut s: Section<'_>,
        collections: &BTreeMap<String, Collection>,
    ) -> Option<DueRule> {
        self.check_id("rule", id, &s);
        let label = self.label(&mut s, id);
        let of = self.needed(&mut s, "of");
        let filter = s.string("where", self.problems);
        let date = s.string("date", self.problems);
        let after = self.spans(&mut s);
        let reached = s.string("reached", self.problems);
        let each = s.string("each", self.problems);
        let period = s.string("period", self.problems);
        let since = s.string("since", self.problems);
        let levels = s.strings("levels", self.problems);
        let on_rest = self.on_rest(&mut s);
        let answered_by = s.string("answered_by", self.problems);
        let answered_where = s.string("answered_where", self.problems);
        let (path, line) = (s.path.clone(), s.line);
        s.close(self.problems);

        let of = of?;
        let collection = self.collection_named("of", &of, &path, collections)?;
        let filter = self.filter("where", filter, &path, collection);
        let when = match (date, each) {
            (Some(date), None) => {
                for (key, at) in [("period", period.as_ref()), ("since", since.as_ref())] {
                    if let Some(at) = at {
                        self.problems.add(at.line, &path, format!("'{key}' goes with 'each' only; leave it out"));
                    }
                }
                DueWhen::Record {
                    date: self.field_of("date", &date, &path, collection, &[Kind::Date])?,
                    after: if after.value.is_empty() { vec![Span::Days(0)] } else { after.value },
                    reached: reached.and_then(|at| self.field_of("reached", &at, &path, collection, &[Kind::Int])),
                }
            }
            (None, Some(each)) => {
                if let [_, _, ..] = after.value[..] {
                    self.problems.add(after.line, &path, "with 'each', 'after' is one length of time");
                }
                let Some(each_of) = EACH.iter().find(|(word, _)| *word == each.value).map(|(_, e)| *e) else {
                    let words = EACH.map(|(word, _)| word).join(", ");
                    self.problems.add(each.line, &path, format!("'each' must be one of {words}, not '{}'", each.value));
                    return None;
                };
                let Some(period) = period else {
                    self.problems.add(
                        line,
                        &path,
                        "'each' needs 'period', the field that says for which period a record is",
                    );
                    return None;
                };
                self.check_levels_of(&levels, &path);
                DueWhen::Period {
                    each: each_of,
                    after: after.value.first().copied().unwrap_or(Span::Days(0)),
                    field: self.field_of("period", &period, &path, collection, &[Kind::String, Kind::Date])?,
                    since: self.since(since, &path),
                    levels: levels.value,
                }
            }
            _ => {
                self.problems.add(
                    line,
                    &path,
                    "a rule needs either 'date', a date field, or 'each' with 'period', for what each unit must have",
                );
                return None;
            }
        };
        let reply = answered_by.and_then(|at| {
            let reply = self.collection_named("answered_by", &at, &path, collections)?;
            if reply.reply_to.as_deref() != Some(collection.id.as_str()) {
                let what = format!("'answered_by' names '{}', whose 'reply_to' is not '{}'", reply.id, collection.id);
                self.problems.add(at.line, &path, what);
            }
            Some(reply)
        });
        if let (None, Some(at)) = (reply, &answered_where) {
            self.problems.add(at.line, &path, "'answered_where' goes with 'answered_by' only");
        }
        Some(DueRule {
            id: id.to_owned(),
            label,
            of: collection.id.clone(),
            filter,
            when,
            on_rest,
            answered_by: reply.map(|r| r.id.clone()),
            answered_where: reply.map(|r| self.filter("answered_where", answered_where, &path, r)).unwrap_or_default(),
        })
    }

    fn spans(&mut self, s: &mut Section<'_>) -> At<Vec<Span>> {
        let words = s.string_or_strings("after", self.problems);
        let mut spans = Vec::new();
        for word in &words.value {
            match Span::parse(word) {
                Some(span) => spans.push(span),
                None => {
                    let what = format!(
                        "'after' has '{word}'; write a number of days, working days (at most {DUE_SPAN_DAYS_MAX}), months (at \
                         most {DUE_SPAN_MONTHS_MAX}) or years, as in \"12 months\""
                    );
                    self.problems.add(words.line, &s.path, what);
                }
            }
        }
        if spans.len() > DUE_SPANS_MAX {
            self.problems.add(words.line, &s.path, format!("'after' has more than {DUE_SPANS_MAX} lengths of time"));
        }
        At { line: words.line, value: spans }
    }

    fn on_rest(&mut self, s: &mut Section<'_>) -> OnRest {
        let Some(at) = s.string("on_rest", self.problems) else { return OnRest::Stays };
        match at.value {
            "stays" => OnRest::Stays,
            "next" => OnRest::Next,
            "before" => OnRest::Before,
            other => {
                let what = format!("'on_rest' must be stays, next or before, not '{other}'");
                self.problems.add(at.line, &s.path, what);
                OnRest::Stays
            }
        }
    }

    fn since(&mut self, at: Option<At<&str>>, path: &str) -> Option<Date> {
        let at = at?;
        match Date::parse(at.value) {
            Ok(date) => Some(date),
            Err(e) => {
                self.problems.add(at.line, path, format!("'since' must be {e}"));
                None
            }
        }
    }

    /// The collection that a key names.
    pub(super) fn collection_named<'c>(
        &mut self,
        key: &str,
        at: &At<&str>,
        path: &str,
        collections: &'c BTreeMap<String, Collection>,
    ) -> Option<&'c Collection> {
        let found = collections.get(at.value);
        if found.is_none() {
            let near = nearest(at.value, collections.keys().map(String::as_str));
            let what = format!("'{key}' names '{}', which is no collection.{}", at.value, did_you_mean(&near));
            self.problems.add(at.line, path, what);
        }
        found
    }

    /// The field that a key names, if it is of one of these kinds.
    pub(super) fn field_of(
        &mut self,
        key: &str,
        at: &At<&str>,
        path: &str,
        collection: &Collection,
        kinds: &[Kind],
    ) -> Option<String> {
        match collection.field(at.value) {
            None => {
                self.no_field(at.line, path, key, at.value, &collection.fields);
                None
            }
            Some(Field { kind, .. }) if !kinds.contains(kind) => {
                let wanted = kinds.iter().map(|k| kind_name(*k)).collect::<Vec<_>>().join(" or ");
                let what = format!("'{key}' names '{}', a {}; it must be a {wanted}", at.value, kind_name(*kind));
                self.problems.add(at.line, path, what);
                None
            }
            Some(field) => Some(field.id.clone()),
        }
    }

    pub(super) fn filter(&mut self, key: &str, at: Option<At<&str>>, path: &str, collection: &Collection) -> String {
        let Some(at) = at else { return String::new() };
        if let Err(e) = Expr::parse(collection, at.value) {
            self.problems.add(at.line, path, format!("'{key}': {e}"));
        }
        at.value.to_owned()
    }
}
