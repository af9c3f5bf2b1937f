//! What is due at this device's units, by the rules of the schema.
//!
//! It does not: know rules or calendars (see `sampan_core::due`), or print.
//!
//! Invariants: what was answered or is there is not due; a holiday that says nothing is told, never guessed.

use super::{Replica, ReplicaError};
use crate::store::ProjectedRow;
use sampan_core::due::{Calendar, Due, HolidayError, of_periods, of_record};
use sampan_core::id::{RecordId, UnitId};
use sampan_core::schema::due::{DueRule, DueWhen};
use sampan_core::schema::{Collection, Expr, Schema, title};
use sampan_core::time::Millis;
use sampan_core::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// One thing to be done by a day.
#[derive(Debug, Clone)]
pub struct DueRow {
    /// The rule.
    pub rule: DueRule,
    /// The date, and its milestone or period.
    pub due: Due,
    /// The unit that must do it.
    pub unit: UnitId,
    /// The record that makes it due; `None` for a record that is to be made.
    pub record: Option<RecordId>,
    /// Its title.
    pub title: String,
}

/// The list of what is due, and what was noticed on the way.
#[derive(Debug, Clone, Default)]
pub struct DueList {
    /// The rows, earliest first.
    pub rows: Vec<DueRow>,
    /// Holidays that say nothing.
    pub odd_holidays: Vec<(RecordId, HolidayError)>,
    /// Years for which working days were counted without any holiday known.
    pub years_without_holidays: BTreeSet<u16>,
}

impl Replica {
    /// What must be done by day `until`, counted from 1970-01-01 as `today` is, late things included: at this device's
    /// units, and with `below` at all below them too.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn due(&mut self, today: i32, until: i32, below: bool) -> Result<DueList, ReplicaError> {
        let schema = self.schema().ok_or(ReplicaError::NoSchema)?.clone();
        let units = if below { self.units_and_below() } else { self.units() };
        let mut out = DueList::default();
        let calendar = self.calendar(&schema, &mut out.odd_holidays)?;
        for rule in schema.dues.values() {
            let Some(collection) = schema.collection(&rule.of) else { continue };
            let filter = Expr::parse(collection, &rule.filter).unwrap_or_default(); // parsed with the schema
            self.project()?;
            match &rule.when {
                DueWhen::Record { .. } => {
                    let answers = self.answers_of(&schema, rule)?;
                    self.store.each_row(collection, Some(&filter), None, false, &mut |_, record| {
                        let dues = of_record(rule, &|f| record.values.get(f).cloned(), &calendar, today);
                        let dues: Vec<Due> = dues.into_iter().filter(|d| d.day <= until).collect();
                        if dues.is_empty() {
                            return;
                        }
                        for unit in self.must_do(collection, rule, &record, &units, &answers) {
                            out.rows.extend(dues.iter().map(|due| DueRow {
                                rule: rule.clone(),
                                due: due.clone(),
                                unit,
                                record: Some(record.id),
                                title: title(collection, &record.values),
                            }));
                        }
                    })?;
                }
                DueWhen::Period { field, levels, .. } => {
                    let mut there: BTreeMap<UnitId, BTreeSet<String>> = BTreeMap::new();
                    self.store.each_row(collection, Some(&filter), None, false, &mut |_, mut record| {
                        if let Some(Value::Str(period)) = record.values.remove(field) {
                            there.entry(record.unit).or_default().insert(period);
                        }
                    })?;
                    for unit in units.iter().filter(|u| self.is_of_level(u, levels)) {
                        let has = |period: &str| there.get(unit).is_some_and(|p| p.contains(period));
                        let since = self.engine.charter().unit(unit).map(|u| day_of(u.since));
                        let dues = of_periods(rule, &has, &calendar, today, since);
                        out.rows.extend(dues.into_iter().filter(|d| d.day <= until).map(|due| DueRow {
                            rule: rule.clone(),
                            due,
                            unit: *unit,
                            record: None,
                            title: String::new(),
                        }));
                    }
                }
            }
        }
        let counts_work = |r: &DueRow| r.rule.counts_working_days();
        out.years_without_holidays = match schema.calendar.holidays {
            None => BTreeSet::new(),
            Some(_) => out.rows.iter().filter(|r| counts_work(r)).map(|r| r.due.on.year()).collect(),
        };
        out.years_without_holidays.retain(|year| !calendar.knows_year(*year));
        out.rows.sort_by(|a, b| {
            let key = |r: &DueRow| (r.due.day, r.rule.id.clone(), r.title.clone(), r.unit, r.record);
            key(a).cmp(&key(b))
        });
        Ok(out)
    }

    /// Working days as the organisation's records say them.
    fn calendar(&mut self, schema: &Schema, odd: &mut Vec<(RecordId, HolidayError)>) -> Result<Calendar, ReplicaError> {
        let mut calendar = Calendar::new(&schema.calendar.rest);
        let Some(rule) = &schema.calendar.holidays else { return Ok(calendar) };
        let Some(collection) = schema.collection(&rule.of) else { return Ok(calendar) };
        for row in self.list(collection, None, None)? {
            let date = |field: &str| match row.values.get(field) {
                Some(Value::Str(text)) => sampan_core::date::Date::parse(text).ok(),
                _ => None,
            };
            let worked = rule.works.as_ref().is_some_and(|f| row.values.get(f) == Some(&Value::Bool(true)));
            let taken = match date(&rule.from) {
                Some(first) => calendar.holiday(first, rule.until.as_deref().and_then(date), worked),
                None => Err(HolidayError::NoDay),
            };
            if let Err(e) = taken {
                odd.push((row.id, e));
            }
        }
        Ok(calendar)
    }

    /// Who has answered what, for a rule that replies settle.
    fn answers_of(&mut self, schema: &Schema, rule: &DueRule) -> Result<BTreeSet<(RecordId, UnitId)>, ReplicaError> {
        let reply = rule.answered_by.as_deref().and_then(|id| schema.collection(id));
        let Some(reply) = reply else { return Ok(BTreeSet::new()) };
        let filter = Expr::parse(reply, &rule.answered_where).unwrap_or_default(); // parsed with the schema
        let answers = self.answers(reply, Some(&filter))?;
        Ok(answers.into_iter().flat_map(|(id, units)| units.into_keys().map(move |u| (id, u))).collect())
    }

    /// The units among `units` that still have to do something about a record.
    fn must_do(
        &self,
        collection: &Collection,
        rule: &DueRule,
        record: &ProjectedRow,
        units: &[UnitId],
        answered: &BTreeSet<(RecordId, UnitId)>,
    ) -> Vec<UnitId> {
        if rule.answered_by.is_none() {
            return units.iter().copied().filter(|u| *u == record.unit).collect();
        }
        let mut asked = self.units_asked(collection, record, units);
        asked.retain(|u| !answered.contains(&(record.id, *u)));
        asked
    }

    /// Whether a unit is of one of these levels: its kind, else the schema's name for its depth; all are if none is named.
    fn is_of_level(&self, unit: &UnitId, levels: &[String]) -> bool {
        let Some(known) = self.engine.charter().unit(unit) else { return levels.is_empty() };
        let level = known.kind.as_ref().or_else(|| self.engine.levels().get(usize::from(known.depth)));
        levels.is_empty() || level.is_some_and(|l| levels.contains(l))
    }
}

/// The day of a time in UTC, counted from 1970-01-01.
fn day_of(at: Millis) -> i32 {
    i32::try_from(at.0 / DAY_MS).unwrap_or(i32::MAX)
}
