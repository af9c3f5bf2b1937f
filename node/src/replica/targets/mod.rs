//! Targets: what was set for a unit, what was handed on below it, and how much of it is reached.
//!
//! It does not: compute figures (`figures` does), or print.
//!
//! Invariants: a target is what a record says, never a sum that nobody set: where only parts were handed down the
//! row says so by what it is divided by; slices are not added up to a whole; what cannot be measured is named, and
//! is not zero.

mod slice;

use super::figures::{FigureQuery, FigureRow, RollupError};
use super::{Replica, ReplicaError};
use sampan_core::fold::sort_key;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::rollup::period::{self, PeriodKind, Span};
use sampan_core::rollup::{Coverage, Figure, Ratio, ratio};
use sampan_core::schema::{Metric, MetricOp, Schema, TargetRule, title};
use sampan_core::time::Millis;
use sampan_core::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct TargetQuery {
    /// The unit; the highest that this device works for unless it is said.
    pub unit: Option<UnitId>,
    /// Only what this metric measures.
    pub metric: Option<String>,
    /// Only targets whose period has this one in it, as reached by its end.
    pub period: Option<String>,
    /// The unit and a row for each unit one level down.
    pub by_unit: bool,
}

/// What a result is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetOver {
    /// The target that was set for the unit.
    Target,
    /// None was set for it: what was handed down to the units below, together.
    HandedDown,
}

impl TargetOver {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::HandedDown => "handed_down",
        }
    }
}

/// Why a target has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetProblem {
    /// It names a metric that the schema does not have, or none where the schema measures nothing by hand.
    NoMetric,
    /// Its slice is no value of the metric's dimensions.
    NoSlice,
    /// Its period is none, or is cut finer than the metric's.
    NoPeriod,
    /// The metric is not shown at this level.
    OutOfReach,
    /// The unit's figure is not known here.
    NotKnown,
}

impl TargetProblem {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoMetric => "no_metric",
            Self::NoSlice => "no_slice",
            Self::NoPeriod => "no_period",
            Self::OutOfReach => "out_of_reach",
            Self::NotKnown => "not_known",
        }
    }
}

/// A target at a unit, with its result.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetRow {
    /// The unit.
    pub unit: UnitId,
    /// What the target is called.
    pub title: String,
    /// The metric that measures it; `None` where nothing does.
    pub metric: Option<String>,
    /// Whether units report its results by hand.
    pub by_hand: bool,
    /// Its period.
    pub period: String,
    /// Its slice, as it was written; empty for the whole.
    pub slice: String,
    /// The slice as dimensions of the metric.
    pub by: BTreeMap<String, String>,
    /// What was set for this unit, scaled.
    pub target: Option<i128>,
    /// The decimals of targets.
    pub scale: u8,
    /// Records that say so: several of one issuer add up.
    pub records: usize,
    /// What was set for units below, each nearest to this one, together.
    pub handed_down: Option<i128>,
    /// How many units that are.
    pub handed_to: usize,
    /// What the result is divided by.
    pub over: Option<TargetOver>,
    /// The result, scaled.
    pub value: Option<i128>,
    /// The decimals of the result.
    pub value_scale: u8,
    /// Their ratio.
    pub ratio: Option<Ratio>,
    /// How complete the result is.
    pub coverage: Coverage,
    /// Whether it comes from the records themselves.
    pub from_records: bool,
    /// What was reached by the end of each of the metric's periods that has any.
    pub steps: Vec<(String, i128)>,
    /// Why there is no result.
    pub problem: Option<TargetProblem>,
}

/// A scaled number in plain writing.
#[must_use]
pub fn plain(number: i128, scale: u8) -> String {
    Figure { n: 0, total: number, best: None }.text(&MetricOp::Sum(String::new()), scale)
}

/// What tells one target from another, whichever unit it is set for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    period: String,
    /// Measured by: a metric's name, or the first of the records that are parts of one another.
    measure: Measure,
    by: BTreeMap<String, String>,
    /// Only where the slice is none of the metric's.
    other: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Measure {
    Metric(String),
    ByHand(RecordId),
}

/// One record, for one unit.
#[derive(Debug, Clone)]
struct Entry {
    unit: UnitId,
    /// How deep in the tree its issuer stands: the nearest above a unit counts.
    depth: u8,
    record: RecordId,
    value: i128,
    title: String,
    slice: String,
    problem: Option<TargetProblem>,
}

/// The figures of a metric that targets are measured by.
#[derive(Debug, Default)]
struct Measured {
    /// Of the unit and of each child, all periods.
    rows: Vec<FigureRow>,
    /// The same in the period whose coverage is shown, where that is not the current one.
    then: Vec<FigureRow>,
}

impl Replica {
    /// The targets of a unit, each with its result; with `by_unit` also those of the units one level down.
    ///
    /// # Errors
    /// [`RollupError`].
    pub fn targets(&mut self, query: &TargetQuery) -> Result<Vec<TargetRow>, RollupError> {
        self.project()?;
        let unit = self.figure_unit(query.unit)?;
        if query.metric.is_some() {
            let known = FigureQuery { unit: Some(unit), metric: query.metric.clone(), ..FigureQuery::default() };
            self.asked(&known)?;
        }
        let asked = match query.period.as_deref() {
            Some(label) => Some(period::read(label).ok_or_else(|| RollupError::BadPeriod(label.to_owned()))?),
            None => None,
        };
        let schema = self.schema().ok_or(ReplicaError::NoSchema)?.clone();
        let Some(rule) = schema.target.clone() else { return Ok(Vec::new()) };
        let (mut entries, roots) = self.target_entries(&schema, &rule)?;
        let charter = self.engine.charter();
        entries.retain(|key, of| {
            let metric = match &key.measure {
                Measure::Metric(name) => query.metric.as_ref().is_none_or(|m| m == name),
                Measure::ByHand(_) => query.metric.is_none(),
            };
            let holds = |a: Span| period::read(&key.period).is_some_and(|t| t.from <= a.from && a.until <= t.until);
            of.retain(|e| e.unit == unit || charter.is_below(&e.unit, &unit));
            metric && asked.is_none_or(holds) && !of.is_empty()
        });
        let mut units = vec![unit];
        if query.by_unit {
            let mut below: Vec<UnitId> =
                charter.unit(&unit).map(|u| u.children.iter().copied().collect()).unwrap_or_default();
            below.sort_by_cached_key(|u| (charter.unit(u).map(|u| sort_key(&u.name)), *u));
            units.extend(below);
        }
        let scale = schema.collection(&rule.of).and_then(|c| c.field(&rule.value)).map_or(0, |f| f.scale);
        let mut known: BTreeMap<String, Measured> = BTreeMap::new();
        let mut out = Vec::new();
        for (key, entries) in &entries {
            let metric = match &key.measure {
                Measure::Metric(name) => schema.metrics.get(name),
                Measure::ByHand(_) => rule.by_hand.as_ref().and_then(|h| schema.metrics.get(&h.metric)),
            };
            let level = self.engine.charter().level(&unit, &schema.levels);
            let shown = metric.filter(|m| level >= m.reach);
            if let Some(m) = shown.filter(|m| !known.contains_key(&m.id)) {
                let figures = self.measured(m, unit, query.by_unit, asked)?;
                known.insert(m.id.clone(), figures);
            }
            for u in &units {
                let mut row = self.target_of(u, entries);
                row.scale = scale;
                row.period.clone_from(&key.period);
                row.by.clone_from(&key.by);
                row.by_hand = matches!(key.measure, Measure::ByHand(_));
                row.metric = metric.map(|m| m.id.clone());
                if let Some(period) = row.title.strip_suffix(&key.period).map(str::trim_end).filter(|t| !t.is_empty()) {
                    row.title = period.to_owned();
                }
                match (shown, metric, shown.and_then(|m| known.get(&m.id))) {
                    (Some(m), _, Some(figures)) if row.problem.is_none() => {
                        self.reach(&schema, &rule, m, key, &roots, asked, figures, &mut row)?;
                    }
                    (None, Some(_), _) => row.problem = row.problem.or(Some(TargetProblem::OutOfReach)),
                    (None, None, _) => row.problem = row.problem.or(Some(TargetProblem::NoMetric)),
                    (Some(_), ..) => {}
                }
                out.push(row);
            }
        }
        Ok(out)
    }

    /// Every target that is known here, by what tells it from others; and for each record the first of those that it
    /// is a part of.
    #[allow(clippy::type_complexity)] // two maps, used in one place
    fn target_entries(
        &mut self,
        schema: &Schema,
        rule: &TargetRule,
    ) -> Result<(BTreeMap<Key, Vec<Entry>>, BTreeMap<RecordId, RecordId>), RollupError> {
        let Some(collection) = schema.collection(&rule.of) else { return Ok(Default::default()) };
        let rows = self.list(collection, None, None)?;
        let charter = self.engine.charter();
        let text = |row: &crate::store::ProjectedRow, field: &str| match row.values.get(field) {
            Some(Value::Str(t)) => t.trim().to_owned(),
            _ => String::new(),
        };
        let parts: BTreeMap<RecordId, RecordId> =
            rows.iter().filter_map(|r| Some((r.id, text(r, rule.part_of.as_deref()?).parse().ok()?))).collect();
        let root_of = |id: RecordId| {
            let (mut at, mut seen) = (id, BTreeSet::new());
            while let Some(above) = parts.get(&at).filter(|_| seen.insert(at)) {
                at = *above;
            }
            at
        };
        let roots: BTreeMap<RecordId, RecordId> = rows.iter().map(|r| (r.id, root_of(r.id))).collect();
        let mut found: BTreeMap<String, Option<UnitId>> = BTreeMap::new();
        let mut out: BTreeMap<Key, Vec<Entry>> = BTreeMap::new();
        for row in &rows {
            let Some(Value::Int(value)) = row.values.get(&rule.value) else { continue };
            let issuer = row.unit;
            let words = match collection.addressed.as_deref().and_then(|f| row.values.get(f)) {
                Some(Value::Set(words)) => words.iter().cloned().collect(),
                _ => Vec::new(),
            };
            // One that names no unit is the issuer's own.
            let mut units = if words.is_empty() { BTreeSet::from([issuer]) } else { BTreeSet::new() };
            for word in words {
                let unit = *found.entry(word).or_insert_with_key(|w| self.find_unit(w).ok());
                units.extend(unit.filter(|u| *u == issuer || charter.is_below(u, &issuer)));
            }
            let name = text(row, &rule.measured_by);
            let (measure, metric) = match name.as_str() {
                "" => {
                    let by_hand = rule.by_hand.as_ref().and_then(|h| schema.metrics.get(&h.metric));
                    (Measure::ByHand(roots.get(&row.id).copied().unwrap_or(row.id)), by_hand)
                }
                _ => (Measure::Metric(name.clone()), schema.metrics.get(&name)),
            };
            let written = rule.slice.as_deref().map(|f| text(row, f)).unwrap_or_default();
            let by_hand = matches!(measure, Measure::ByHand(_));
            let by = match metric.and_then(|m| Some((m, schema.collection(&m.of)?))) {
                // Of what is told by hand every slice is a target of its own.
                Some((m, c)) if !by_hand => slice::resolve(m, c, &written),
                _ => None,
            };
            let mut problem = (metric.is_none()).then_some(TargetProblem::NoMetric);
            if by.is_none() && !by_hand {
                problem = problem.or(Some(TargetProblem::NoSlice));
            }
            let other = if by.is_none() { written.clone() } else { String::new() };
            let key = Key { period: text(row, &rule.period), measure, by: by.unwrap_or_default(), other };
            let of = out.entry(key).or_default();
            for unit in units {
                of.push(Entry {
                    unit,
                    depth: charter.unit(&issuer).map_or(0, |u| u.depth),
                    record: row.id,
                    value: i128::from(*value),
                    title: title(collection, &row.values),
                    slice: written.clone(),
                    problem,
                });
            }
        }
        Ok((out, roots))
    }

    /// What was set for a unit and what was handed on below it.
    fn target_of(&self, unit: &UnitId, entries: &[Entry]) -> TargetRow {
        let charter = self.engine.charter();
        // The nearest issuer counts: who hands on a target sets it anew for those below.
        let set_for = |u: &UnitId| -> Vec<&Entry> {
            let depth = entries.iter().filter(|e| e.unit == *u).map(|e| e.depth).max();
            entries.iter().filter(|e| e.unit == *u && Some(e.depth) == depth).collect()
        };
        let own = set_for(unit);
        let bearing: BTreeSet<UnitId> = entries.iter().map(|e| e.unit).collect();
        let (mut handed, mut handed_to) = (None, 0);
        for below in bearing.iter().filter(|u| charter.is_below(u, unit)) {
            let between = charter.chain(below).skip(1).take_while(|u| u.id != *unit).any(|u| bearing.contains(&u.id));
            if !between {
                let sum: i128 = set_for(below).iter().map(|e| e.value).sum();
                handed = Some(handed.unwrap_or(0) + sum);
                handed_to += 1;
            }
        }
        let first = own.first().copied().or_else(|| entries.iter().min_by_key(|e| (e.depth, e.record)));
        TargetRow {
            unit: *unit,
            title: first.map(|e| e.title.clone()).unwrap_or_default(),
            metric: None,
            by_hand: false,
            period: String::new(),
            slice: first.map(|e| e.slice.clone()).unwrap_or_default(),
            by: BTreeMap::new(),
            target: (!own.is_empty()).then(|| own.iter().map(|e| e.value).sum()),
            scale: 0,
            records: own.len(),
            handed_down: handed,
            handed_to,
            over: match (own.is_empty(), handed) {
                (false, _) => Some(TargetOver::Target),
                (true, Some(_)) => Some(TargetOver::HandedDown),
                (true, None) => None,
            },
            value: None,
            value_scale: 0,
            ratio: None,
            coverage: Coverage::default(),
            from_records: true,
            steps: Vec::new(),
            problem: first.and_then(|e| e.problem),
        }
    }

    /// The figures of a metric at a unit and its children.
    fn measured(
        &mut self,
        metric: &Metric,
        unit: UnitId,
        by_unit: bool,
        asked: Option<Span>,
    ) -> Result<Measured, RollupError> {
        let query = FigureQuery { unit: Some(unit), metric: Some(metric.id.clone()), ..FigureQuery::default() };
        let all = |replica: &mut Self, period: Option<String>| -> Result<Vec<FigureRow>, RollupError> {
            let query = FigureQuery { period, ..query.clone() };
            let mut rows = replica.rollup(&query)?;
            if by_unit {
                rows.extend(replica.rollup(&FigureQuery { by_unit: true, ..query })?.into_iter().filter(|r| r.below));
            }
            Ok(rows)
        };
        let rows = all(self, None)?;
        let now = self.label()?;
        let then = match (PeriodKind::named(&metric.period), asked) {
            (Some(kind), Some(a)) if a.until <= now => all(self, Some(kind.of_time(Millis(a.until.0 - 1))))?,
            _ => Vec::new(),
        };
        Ok(Measured { rows, then })
    }

    /// Puts the result into a row.
    #[allow(clippy::too_many_arguments)] // what a target is measured with
    fn reach(
        &self,
        schema: &Schema,
        rule: &TargetRule,
        metric: &Metric,
        key: &Key,
        roots: &BTreeMap<RecordId, RecordId>,
        asked: Option<Span>,
        figures: &Measured,
        row: &mut TargetRow,
    ) -> Result<(), RollupError> {
        let Some(span) = period::read(&key.period) else {
            row.problem = Some(TargetProblem::NoPeriod);
            return Ok(());
        };
        let until = asked.map_or(span.until, |a| a.until);
        let kind = PeriodKind::named(&metric.period);
        let own: Vec<&FigureRow> = figures.rows.iter().filter(|r| r.unit == row.unit && r.below).collect();
        let then = figures.then.iter().find(|r| r.unit == row.unit && r.below && r.by.is_empty());
        let now = self.label()?;
        let current = kind.map(|k| k.of_time(now)).unwrap_or_default();
        if let Some(r) = then.or_else(|| own.iter().copied().find(|r| r.by.is_empty() && r.period == current)) {
            row.coverage = r.coverage.clone();
            row.from_records = r.from_records;
        }
        row.value_scale = schema.collection(&metric.of).map_or(0, |c| metric.scale(c));
        let by_hand = rule.by_hand.as_ref().filter(|_| row.by_hand);
        if kind.is_some_and(|k| metric.on.is_some() && k > span.kind) {
            row.problem = Some(TargetProblem::NoPeriod);
            return Ok(());
        }
        if !own.is_empty() && own.iter().all(|r| r.unknown.is_some()) {
            row.problem = Some(TargetProblem::NotKnown);
            return Ok(());
        }
        let mut by_period: BTreeMap<String, i128> = BTreeMap::new();
        for r in own {
            let fits = match by_hand {
                Some(hand) => {
                    let target = metric.by.get(hand.target).and_then(|f| r.by.get(f)?.parse::<RecordId>().ok());
                    target.is_some_and(|t| Measure::ByHand(roots.get(&t).copied().unwrap_or(t)) == key.measure)
                }
                None if key.by.is_empty() => r.by.is_empty(),
                None => !r.by.is_empty() && key.by.iter().all(|(f, v)| r.by.get(f) == Some(v)),
            };
            let label = match by_hand {
                Some(hand) => hand.period.and_then(|p| r.by.get(metric.by.get(p)?)).unwrap_or(&r.period),
                None => &r.period,
            };
            let inside = match (period::read(label), metric.on.is_some() || by_hand.is_some()) {
                (Some(s), true) => s.from >= span.from && s.until <= until,
                // What is as of now, or closed, counts at the end of what is asked.
                (Some(s), false) => s.from < until && s.from >= span.from,
                (None, _) => label.is_empty() && kind.is_none() && (by_hand.is_some() || span.from <= now),
            };
            let number = r.figure.number(&metric.op).filter(|_| fits && inside && !r.too_large && r.unknown.is_none());
            if let Some(n) = number {
                *by_period.entry(label.clone()).or_default() += n;
            }
        }
        let adds = metric.on.is_some() || by_hand.is_some();
        let mut sum = 0;
        for (label, n) in &by_period {
            sum = if adds { sum + n } else { *n };
            row.steps.push((label.clone(), sum));
        }
        if !adds && by_period.is_empty() && (until <= now || span.from > now) {
            row.problem = Some(TargetProblem::NoPeriod);
            return Ok(());
        }
        if matches!(metric.op, MetricOp::Min(_) | MetricOp::Max(_))
            || (matches!(metric.op, MetricOp::Distinct(_)) && by_period.len() > 1)
        {
            row.problem = Some(TargetProblem::NoMetric);
            return Ok(());
        }
        row.value = Some(sum);
        let over = match row.over {
            Some(TargetOver::Target) => row.target,
            Some(TargetOver::HandedDown) => row.handed_down,
            None => None,
        };
        row.ratio = over.and_then(|o| ratio(sum, row.value_scale, o, row.scale));
        Ok(())
    }
}
