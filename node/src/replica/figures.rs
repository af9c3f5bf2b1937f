//! Figures: what this replica can say of a unit and all below, from its own rows where it holds the records and
//! from the registers of others where it does not; and what it publishes of them itself.
//!
//! It does not: keep figures (the store does, with the rows) or print.
//!
//! Invariants: a unit counts once: where the records are held they alone count, else a relay's sum takes the place
//! of everything below its unit, else the one device of a unit that has seen most speaks for it; coverage claims a
//! unit only for what has arrived here: a commit of its space, a report whose digest is that of what is held, or
//! the figure itself.

use super::{Replica, ReplicaError};
use sampan_core::canary::{self, Canary};
use sampan_core::charter::{Charter, Roles};
use sampan_core::engine::{CLOSED_COUNTER, EditFailure};
use sampan_core::id::{DeviceId, Flow, SpaceId, UnitId};
use sampan_core::limits::{FIGURE_UNITS_MAX, FIGURES_SAID_MAX};
use sampan_core::register::{Register, SignedRegister};
use sampan_core::rollup::period::{self, PeriodKind};
use sampan_core::rollup::{
    Closing, Corrected, Coverage, Figure, Key, OVER, Ratio, Report, Said, SaidFigure, SpaceAt, UNDATED, UnitAt, names,
    ratio, recount,
};
use sampan_core::schema::{Collection, Metric, MetricOp, Over, Schema};
use sampan_core::scope::Side;
use sampan_core::store::{RecordKey, Store, StoreError};
use sampan_core::time::Millis;
use sampan_core::value::Value;
use sampan_core::wire;
use std::collections::{BTreeMap, BTreeSet};

/// A running node says its figures anew at most this often, in milliseconds: a day's edits are a handful of words.
const SAY_EVERY_MS: u64 = 3_000;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// Records read at a time when figures are counted anew.
const RECORDS_A_STEP: usize = 256;
/// Lines of corrections that one register carries.
const CORRECTIONS_SAID_MAX: usize = 32;

/// What a replica remembers between two looks at its figures.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// The charter that the tree of the sums was read from.
    tree: Option<usize>,
    /// What the figures last said were computed from.
    said: Option<(u64, u64, usize, u64)>,
    /// When that was looked at.
    looked: Millis,
    /// How often something was said.
    published: u64,
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct FigureQuery {
    /// The unit; the highest that this device works for unless it is said.
    pub unit: Option<UnitId>,
    /// One metric instead of all.
    pub metric: Option<String>,
    /// One period instead of all.
    pub period: Option<String>,
    /// A row for each unit one level down instead of one for all.
    pub by_unit: bool,
}

/// Why a question about figures has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RollupError {
    /// The replica.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// No such metric.
    #[error("there is no metric '{name}'{}", sampan_core::suggest::did_you_mean(.nearest))]
    UnknownMetric {
        /// The name given.
        name: String,
        /// Metrics that look like it.
        nearest: Vec<String>,
    },
    /// No period.
    #[error("'{0}' is no period")]
    BadPeriod(String),
    /// A period of another kind than the metric's.
    #[error("the metric '{metric}' is kept by {kind}, not by '{period}'")]
    OtherPeriod {
        /// The metric.
        metric: String,
        /// Its period.
        kind: String,
        /// What was given.
        period: String,
    },
    /// The unit's figures are not this device's to see.
    #[error("the figures of {0} are not shown to this device")]
    NotShown(UnitId),
    /// The metric does not reach this level.
    #[error("the metric '{0}' does not reach this level")]
    OutOfReach(String),
    /// The period is not over.
    #[error("the period {0} is not over")]
    NotOver(String),
    /// Closed already.
    #[error("the period {period} of '{metric}' was closed already")]
    Closed {
        /// The metric.
        metric: String,
        /// The period.
        period: String,
    },
}

impl From<StoreError> for RollupError {
    fn from(e: StoreError) -> Self {
        Self::Replica(e.into())
    }
}

/// One figure with everything that says how far it can be trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureRow {
    /// The unit.
    pub unit: UnitId,
    /// Whether units below are in it.
    pub below: bool,
    /// The metric.
    pub metric: String,
    /// The period; empty for a metric without.
    pub period: String,
    /// The dimensions with their values; empty for the whole.
    pub by: BTreeMap<String, String>,
    /// The figure.
    pub figure: Figure,
    /// Its value in plain writing.
    pub value: String,
    /// Its decimals.
    pub scale: u8,
    /// How complete it is.
    pub coverage: Coverage,
    /// What it is divided by: the name, and its value where it has one.
    pub over: Option<(String, Option<String>)>,
    /// The ratio.
    pub ratio: Option<Ratio>,
    /// What the period closed with.
    pub closed: Option<ClosedWith>,
    /// What changed after that, oldest first.
    pub corrected: Vec<Corrected>,
    /// Whether it comes from the records themselves.
    pub from_records: bool,
    /// A unit below said that its figures are too large to travel.
    pub too_large: bool,
}

/// What a period closed with.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedWith {
    /// The value, in plain writing.
    pub value: String,
    /// When.
    pub at: Millis,
    /// By whom.
    pub by: DeviceId,
    /// Units that had reported.
    pub reported: u64,
    /// Units that were expected.
    pub expected: u64,
}

/// A unit that has not reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingUnit {
    /// The unit.
    pub unit: UnitId,
    /// The metric.
    pub metric: String,
    /// The period.
    pub period: String,
    /// When it was last heard of at all.
    pub heard: Option<Millis>,
    /// Since when it is missing: then, or since it exists.
    pub since: Millis,
}

/// A figure that the second way does not find again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The unit.
    pub unit: UnitId,
    /// Whether units below are in it.
    pub below: bool,
    /// The metric.
    pub metric: String,
    /// The figure's place.
    pub key: Key,
    /// What is kept.
    pub kept: String,
    /// What the changes say.
    pub counted: String,
}

/// The figures of a unit and all below, as far as they are known here.
#[derive(Debug, Clone, Default)]
struct Part {
    figures: BTreeMap<Key, Figure>,
    /// Of ratios: what is divided by.
    over: BTreeMap<Key, Figure>,
    /// The different values of each period, where they were counted.
    distinct: BTreeMap<String, u64>,
    /// The units that are expected, with when each was last heard of.
    units: BTreeMap<UnitId, Option<Millis>>,
    corrected: Vec<Corrected>,
    from_figures: bool,
    too_large: bool,
}

/// Registers of figures by unit and name, each the one that stands.
struct Registers {
    by: BTreeMap<(UnitId, String), (Register, Said)>,
    reports: BTreeMap<UnitId, Vec<(Millis, Report)>>,
    closings: BTreeMap<(UnitId, String), (Register, Closing)>,
}

/// What a look at figures is taken with.
struct Look<'a> {
    replica: &'a Replica,
    charter: &'a Charter,
    schema: &'a Schema,
    side: Side,
    registers: &'a Registers,
    metric: &'a Metric,
    collection: &'a Collection,
    heard: BTreeMap<UnitId, Millis>,
    now: Millis,
}

impl Replica {
    /// Keeps the figures in step with schema and tree; the rows do the rest.
    pub(super) fn follow_figures(&mut self, schema: &Schema) -> Result<(), StoreError> {
        let now = self.label()?;
        self.store.set_figure_time(now);
        if schema.metrics.is_empty() {
            return Ok(());
        }
        let version = self.engine.charter_version();
        if self.store.keeps_figures_of(schema)? && self.figures.tree == Some(version) {
            return Ok(());
        }
        self.store.keep_figures(schema)?;
        let parents = self.engine.charter().units().map(|u| (u.id, u.parent)).collect();
        self.store.keep_figure_tree(parents)?;
        self.figures.tree = Some(version);
        Ok(())
    }

    fn figure_registers(&self) -> Result<Registers, StoreError> {
        let charter = self.engine.charter();
        let mut out = Registers { by: BTreeMap::new(), reports: BTreeMap::new(), closings: BTreeMap::new() };
        let may = |r: &Register, roles: Roles| charter.roles(&r.device, &r.unit).contains(roles);
        let held = |signed: &[SignedRegister]| signed.iter().filter_map(|s| s.trust().ok()).collect::<Vec<Register>>();
        for (prefix, roles) in [(names::FIGURE, Roles::READER), (names::SUM, Roles::RELAY)] {
            for register in held(&self.store.registers_named(prefix)?) {
                let Ok(said) = wire::decode::<Said>("figures", &register.payload) else { continue };
                if !may(&register, roles) {
                    continue;
                }
                // Two devices of one unit never add up: the one that has seen most speaks.
                let key = (register.unit, register.name.clone());
                let rank = |r: &Register, s: &Said| (s.commits, r.time, r.device);
                if out.by.get(&key).is_none_or(|(r, s)| rank(r, s) < rank(&register, &said)) {
                    out.by.insert(key, (register, said));
                }
            }
        }
        for register in held(&self.store.registers_named(names::REPORT)?) {
            let report = wire::decode::<Report>("report", &register.payload).ok();
            if let Some(report) = report.filter(|_| register.name == names::REPORT && may(&register, Roles::READER)) {
                out.reports.entry(register.unit).or_default().push((register.time, report));
            }
        }
        for register in held(&self.store.registers_named(names::CLOSED)?) {
            let Ok(closing) = wire::decode::<Closing>("closing", &register.payload) else { continue };
            let key = (register.unit, register.name.clone());
            // The first stands; a device that has lost its right since had it then.
            let rank = |r: &Register| (r.time, r.device);
            if register.counter == CLOSED_COUNTER
                && out.closings.get(&key).is_none_or(|(r, _)| rank(&register) < rank(r))
            {
                out.closings.insert(key, (register, closing));
            }
        }
        Ok(out)
    }

    /// The unit that figures are asked of: the one named, else the highest that this device works for.
    ///
    /// # Errors
    /// [`RollupError::NotShown`].
    pub fn figure_unit(&self, named: Option<UnitId>) -> Result<UnitId, RollupError> {
        let charter = self.engine.charter();
        let side = Side::of(charter, &self.device());
        let unit = match named {
            Some(unit) => unit,
            None => {
                let mut all: Vec<UnitId> = side.all().into_iter().collect();
                all.sort_by_key(|u| (charter.level(u, self.engine.levels()), *u));
                *all.first().ok_or(ReplicaError::NoSchema)?
            }
        };
        if side.covers(charter, &unit) { Ok(unit) } else { Err(RollupError::NotShown(unit)) }
    }

    /// The metrics of a question, with the unit asked about.
    fn asked(&self, query: &FigureQuery) -> Result<(UnitId, Vec<Metric>), RollupError> {
        let schema = self.schema().ok_or(ReplicaError::NoSchema)?;
        let charter = self.engine.charter();
        let unit = self.figure_unit(query.unit)?;
        let level = charter.level(&unit, &schema.levels);
        if let Some(label) = query.period.as_deref().filter(|p| *p != UNDATED)
            && period::read(label).is_none()
        {
            return Err(RollupError::BadPeriod(label.to_owned()));
        }
        let kind = query.period.as_deref().and_then(period::read).map(|s| s.kind);
        let metrics = match &query.metric {
            Some(name) => {
                let Some(metric) = schema.metrics.get(name) else {
                    let near = sampan_core::suggest::nearest(name, schema.metrics.keys().map(String::as_str));
                    let nearest = near.into_iter().map(str::to_owned).collect();
                    return Err(RollupError::UnknownMetric { name: name.clone(), nearest });
                };
                if level < metric.reach {
                    return Err(RollupError::OutOfReach(name.clone()));
                }
                if kind.is_some() && PeriodKind::named(&metric.period) != kind {
                    return Err(RollupError::OtherPeriod {
                        metric: name.clone(),
                        kind: metric.period.clone(),
                        period: query.period.clone().unwrap_or_default(),
                    });
                }
                vec![metric.clone()]
            }
            None => {
                let fits = |m: &&Metric| {
                    level >= m.reach
                        && kind.is_none_or(|k| PeriodKind::named(&m.period) == Some(k))
                        && (query.period.as_deref() != Some(UNDATED) || m.on.is_some())
                };
                schema.metrics.values().filter(fits).cloned().collect()
            }
        };
        Ok((unit, metrics))
    }

    /// The figures of a unit.
    ///
    /// # Errors
    /// [`RollupError`].
    pub fn rollup(&mut self, query: &FigureQuery) -> Result<Vec<FigureRow>, RollupError> {
        self.project()?;
        let (unit, metrics) = self.asked(query)?;
        let registers = self.figure_registers()?;
        let mut out = Vec::new();
        for metric in &metrics {
            let Some(look) = self.look(metric, &registers)? else { continue };
            if query.by_unit {
                let own = look.own(&unit)?;
                if !own.figures.is_empty() {
                    look.rows(&unit, false, &own, query.period.as_deref(), &mut out)?;
                }
                for child in look.children(&unit) {
                    let part = look.below(&child)?;
                    look.rows(&child, true, &part, query.period.as_deref(), &mut out)?;
                }
            } else {
                let part = look.below(&unit)?;
                look.rows(&unit, true, &part, query.period.as_deref(), &mut out)?;
            }
        }
        Ok(out)
    }

    /// The units that have not reported, by metric and period.
    ///
    /// # Errors
    /// [`RollupError`].
    pub fn missing_units(&mut self, query: &FigureQuery) -> Result<Vec<MissingUnit>, RollupError> {
        let mut rows = self.rollup(&FigureQuery { by_unit: false, ..query.clone() })?;
        if query.period.is_none() {
            // Who is missing now; of a period that is over one asks by its name.
            let (now, metrics) = (self.label()?, self.schema().map(|s| &s.metrics));
            let current = |metric: &str| {
                let kind = metrics.and_then(|m| PeriodKind::named(&m.get(metric)?.period));
                kind.map(|k| k.of_time(now)).unwrap_or_default()
            };
            rows.retain(|r| r.period == current(&r.metric));
        }
        let charter = self.engine.charter();
        let mut out = Vec::new();
        for row in rows.into_iter().filter(|r| r.by.is_empty()) {
            for (unit, heard) in row.coverage.missing {
                let born = charter.unit(&unit).map(|u| u.since).unwrap_or_default();
                let (metric, period) = (row.metric.clone(), row.period.clone());
                out.push(MissingUnit { unit, metric, period, heard, since: heard.unwrap_or(born) });
            }
        }
        Ok(out)
    }

    fn look<'a>(&'a self, metric: &'a Metric, registers: &'a Registers) -> Result<Option<Look<'a>>, StoreError> {
        let Some(schema) = self.schema() else { return Ok(None) };
        let Some(collection) = schema.collection(&metric.of) else { return Ok(None) };
        let charter = self.engine.charter();
        let (side, now) = (Side::of(charter, &self.device()), self.label()?);
        let heard = self.store.heard(collection.reach)?;
        Ok(Some(Look { replica: self, charter, schema, side, registers, metric, collection, heard, now }))
    }

    /// Says anew what changed of the figures of this device's units; true if anything was said. A running node
    /// looks `at_once` or not too often.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn publish_figures(&mut self, at_once: bool) -> Result<bool, StoreError> {
        let Some(schema) = self.engine.schema().cloned() else { return Ok(false) };
        if schema.metrics.is_empty() {
            return Ok(false);
        }
        let now = self.label()?;
        if now.is_unset() || (!at_once && now.0.abs_diff(self.figures.looked.0) < SAY_EVERY_MS) {
            return Ok(false);
        }
        // What is stored and not projected is in no figure yet.
        if self.store.projected_to()? < self.store.last_commit()? {
            return Ok(false);
        }
        self.figures.looked = now;
        let (projected, position) = (self.store.projected_to()?.0, self.store.registers_through()?);
        let at = (projected, position, self.engine.charter_version(), now.0 / DAY_MS);
        if self.figures.said == Some(at) {
            return Ok(false);
        }
        let words = self.words(&schema)?;
        let said = !words.is_empty();
        let Self { store, engine, .. } = self;
        store.group(|s| {
            for (unit, name, payload) in words {
                engine.say_figures(s, unit, name, payload, now)?;
            }
            Ok::<_, StoreError>(())
        })?;
        self.watch_closings()?;
        self.figures.said = Some((projected, self.store.registers_through()?, at.2, at.3));
        self.figures.published += u64::from(said);
        Ok(said)
    }

    /// Grows whenever something was said.
    #[must_use]
    pub fn figures_published(&self) -> u64 {
        self.figures.published
    }

    fn watch_closings(&mut self) -> Result<(), StoreError> {
        for signed in self.store.registers_named(names::CLOSED)? {
            let Ok(register) = signed.trust() else { continue };
            if let Some((metric, period)) = names::metric(&register.name) {
                self.store.watch_closed(&register.unit, metric, period)?;
            }
        }
        Ok(())
    }

    /// What is to be said that is not said yet.
    fn words(&self, schema: &Schema) -> Result<Vec<(UnitId, String, Vec<u8>)>, StoreError> {
        let charter = self.engine.charter();
        let side = Side::of(charter, &self.device());
        let registers = self.figure_registers()?;
        let mut out = Vec::new();
        let mut mine: BTreeMap<(UnitId, String), Register> = BTreeMap::new();
        for prefix in [names::FIGURE, names::SUM, names::REPORT] {
            for register in self.store.registers_named(prefix)?.iter().filter_map(|s| s.trust().ok()) {
                if register.device == self.device() {
                    mine.insert((register.unit, register.name.clone()), register);
                }
            }
        }
        // Commits tell by themselves that a unit is there; its report is for the periods in which it has none.
        let kinds = schema.metrics.values().filter_map(|m| PeriodKind::named(&m.period));
        let (kind, now) = (kinds.min().unwrap_or(PeriodKind::Month), self.label()?);
        for unit in side.units.iter().chain(&side.relay_units) {
            if charter.unit(unit).is_none_or(|u| u.parent.is_none()) {
                continue;
            }
            let said = mine.get(&(*unit, names::REPORT.to_owned()));
            if said.is_none_or(|r| kind.of_time(r.time) != kind.of_time(now)) {
                out.push((*unit, names::REPORT.to_owned(), wire::encode(&self.report(unit))));
            }
            let level = charter.level(unit, &schema.levels);
            let relay = side.relay_units.contains(unit);
            if !relay && !charter.roles(&self.device(), unit).contains(Roles::EDITOR) {
                continue;
            }
            for metric in schema.metrics.values().filter(|m| level > m.reach) {
                let Some(look) = self.look(metric, &registers)? else { continue };
                if !metric.outreaches(look.collection) {
                    continue;
                }
                let part = if relay { look.below(unit)? } else { look.own(unit)? };
                let prefix = if relay { names::SUM } else { names::FIGURE };
                // Of two relays the later speaks: what each holds of its own unit tells nothing of those below.
                let commits = if relay { 0 } else { self.store.commits_in(&look.collection.space(*unit))? };
                for (name, said) in look.said(prefix, &part, commits, relay) {
                    let payload = wire::encode(&said);
                    let before = mine.get(&(*unit, name.clone()));
                    // A word that no figure is there is said once, so that it is known to have been looked at.
                    if before.is_none_or(|r| r.payload != payload) {
                        out.push((*unit, name, payload));
                    }
                }
                let gone = |(u, name): &&(UnitId, String)| {
                    *u == *unit && names::metric(name).is_some_and(|(m, _)| m == metric.id)
                };
                let now: BTreeSet<String> =
                    look.said(prefix, &part, commits, relay).into_iter().map(|(name, _)| name).collect();
                for (_, name) in mine.keys().filter(gone).filter(|(_, n)| n.starts_with(prefix) && !now.contains(n)) {
                    let payload = wire::encode(&Said { commits, ..Said::default() });
                    if mine.get(&(*unit, name.clone())).is_none_or(|r| r.payload != payload) {
                        out.push((*unit, name.clone(), payload));
                    }
                }
            }
        }
        Ok(out)
    }

    fn report(&self, unit: &UnitId) -> Report {
        let holdings = self.engine.holdings();
        let spaces = holdings.spaces_of(unit).filter(|(s, _)| s.flow == Flow::Up);
        Report { spaces: spaces.map(|(s, _)| SpaceAt { reach: s.reach, digest: self.short_digest(s) }).collect() }
    }

    fn short_digest(&self, space: &SpaceId) -> [u8; sampan_core::rollup::REPORT_DIGEST_BYTES] {
        let digest = self.engine.holdings().space_digest(space);
        std::array::from_fn(|i| digest.0[i])
    }

    /// Closes a period of a metric at a unit: what stands now is signed, and stands for ever.
    ///
    /// # Errors
    /// [`RollupError`]; nothing was signed.
    pub fn close_period(&mut self, unit: UnitId, metric: &str, label: &str) -> Result<(), RollupError> {
        self.project()?;
        let query = FigureQuery {
            unit: Some(unit),
            metric: Some(metric.to_owned()),
            period: Some(label.to_owned()),
            by_unit: false,
        };
        let (_, metrics) = self.asked(&query)?;
        let Some(metric) = metrics.into_iter().next() else { return Ok(()) };
        if !self.engine.sums_for(&unit) {
            return Err(RollupError::NotShown(unit));
        }
        let now = self.label()?;
        let span = period::read(label).ok_or_else(|| RollupError::BadPeriod(label.to_owned()))?;
        if now < span.until {
            return Err(RollupError::NotOver(label.to_owned()));
        }
        let name = format!("{}{}/{label}", names::CLOSED, metric.id);
        let registers = self.figure_registers()?;
        if registers.closings.contains_key(&(unit, name.clone())) {
            return Err(RollupError::Closed { metric: metric.id, period: label.to_owned() });
        }
        let Some(look) = self.look(&metric, &registers)? else { return Ok(()) };
        let part = look.below(&unit)?;
        let at = if metric.on.is_some() { label } else { "" };
        let figures: Vec<SaidFigure> = part
            .figures
            .iter()
            .filter(|(key, _)| key.period == at)
            .map(|(key, f)| SaidFigure::of("", &key.by, f))
            .collect();
        let coverage = Coverage::of(part.units.clone(), span.from);
        let closing =
            Closing { figures, reported: coverage.reported, expected: coverage.expected, oldest: coverage.oldest };
        let payload = wire::encode(&closing);
        let id = metric.id.clone();
        let Self { store, engine, .. } = self;
        store.group(|s| {
            engine.say_figures(s, unit, name, payload, now)?;
            s.watch_closed(&unit, &id, label)
        })?;
        Ok(())
    }

    /// Counts every figure that is kept here anew, from the changes of the records through their documents; where
    /// the two ways differ.
    ///
    /// # Errors
    /// [`RollupError`].
    pub fn check_figures(&mut self, only: Option<&str>) -> Result<Vec<Difference>, RollupError> {
        self.project()?;
        let query = FigureQuery { metric: only.map(str::to_owned), ..FigureQuery::default() };
        let metrics: Vec<Metric> = match only {
            Some(_) => self.asked(&query)?.1,
            None => self.schema().ok_or(ReplicaError::NoSchema)?.metrics.values().cloned().collect(),
        };
        let Some(schema) = self.schema().cloned() else { return Ok(Vec::new()) };
        let mut held: BTreeMap<&str, Vec<recount::Held>> = BTreeMap::new();
        let mut out = Vec::new();
        for metric in &metrics {
            let Some(collection) = schema.collection(&metric.of) else { continue };
            if !held.contains_key(metric.of.as_str()) {
                held.insert(&metric.of, self.held_records(collection)?);
            }
            let records = held.get(metric.of.as_str()).map(Vec::as_slice).unwrap_or_default();
            let sums = match &metric.over {
                Some(Over::Field(f)) => vec![None, Some(f.as_str())],
                Some(Over::Metric(_)) | None => vec![None],
            };
            for sum in sums {
                let id = if sum.is_some() { format!("{}{OVER}", metric.id) } else { metric.id.clone() };
                for below in [false, true] {
                    let records: Vec<recount::Held> = records
                        .iter()
                        .map(|r| recount::Held {
                            units: if below { r.units.clone() } else { r.units[..1].to_vec() },
                            fields: r.fields.clone(),
                        })
                        .collect();
                    let counted = recount::recount(&schema, metric, sum, &records);
                    let counted: BTreeMap<(UnitId, Key), String> =
                        counted.into_iter().map(|((u, period, by), v)| ((u, Key { period, by }), v)).collect();
                    let kept = self.store.every_figure(&id, below)?;
                    let places: BTreeSet<&(UnitId, Key)> = kept.keys().chain(counted.keys()).collect();
                    for place in places {
                        let (k, c) = (kept.get(place), counted.get(place));
                        if k != c {
                            out.push(Difference {
                                unit: place.0,
                                below,
                                metric: id.clone(),
                                key: place.1.clone(),
                                kept: k.cloned().unwrap_or_default(),
                                counted: c.cloned().unwrap_or_default(),
                            });
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// Every record of a collection, each opened as a document.
    fn held_records(&self, collection: &Collection) -> Result<Vec<recount::Held>, ReplicaError> {
        let charter = self.engine.charter();
        let mut out = Vec::new();
        let mut after = RecordKey(0);
        loop {
            let states = self.store.records_after(after, RECORDS_A_STEP)?;
            let Some(last) = states.last().and_then(|s| s.key) else { return Ok(out) };
            after = last;
            for state in states.into_iter().filter(|s| s.collection == collection.id) {
                if state.damaged || state.heads.is_empty() {
                    continue;
                }
                let (state, entries, document) = self.engine.document(&self.store, state.id)?;
                let view = document.view().map_err(|e| EditFailure::Damaged(state.id, e))?;
                let (author, updated) = super::project::last_touch(&state, &entries);
                let row = super::project::row_of_view(&state, view, author, updated);
                if row.removed {
                    continue;
                }
                // What a list shows of a value is what counts: one of another kind than its field is text.
                let row = crate::store::SqliteStore::as_stored(collection, &row)?;
                let mut fields = row.values.clone();
                for name in sampan_core::schema::expr::PSEUDO_FIELDS {
                    if let Some(value) = pseudo(&row, name) {
                        fields.insert(name.to_owned(), value);
                    }
                }
                let mut units = vec![row.unit];
                units.extend(charter.chain(&row.unit).map(|u| u.id).filter(|u| *u != row.unit));
                // The first is the record's own; with those below its own counts once too.
                out.push(recount::Held { units, fields });
            }
        }
    }
}

fn pseudo(row: &crate::store::ProjectedRow, name: &str) -> Option<Value> {
    match name {
        "_id" => Some(Value::Str(row.id.to_string())),
        "_unit" => Some(Value::Str(row.unit.to_string())),
        "_author" => Some(Value::Str(row.author.to_string())),
        "_updated" => Some(Value::Str(crate::stamp::rfc3339(row.updated))),
        "_conflict" => Some(Value::List(row.conflict.clone())),
        _ => None,
    }
}

impl Look<'_> {
    fn children(&self, unit: &UnitId) -> Vec<UnitId> {
        self.charter.unit(unit).map(|u| u.children.iter().copied().collect()).unwrap_or_default()
    }

    fn level(&self, unit: &UnitId) -> u8 {
        self.charter.level(unit, &self.schema.levels)
    }

    /// Whether the records of a unit and of all below are held here.
    fn holds_below(&self, unit: &UnitId) -> bool {
        let c = self.collection;
        let covers = |of: &UnitId| of == unit || self.charter.is_below(unit, of);
        c.flow == Flow::Up && self.side.subtrees().any(|of| covers(of) && self.level(of) >= c.reach)
    }

    /// Whether the records of the unit itself are held here.
    fn holds_own(&self, unit: &UnitId) -> bool {
        self.side.units.contains(unit) || self.side.subtrees().any(|u| u == unit) || self.holds_below(unit)
    }

    fn expected(&self, unit: &UnitId) -> bool {
        self.level(unit) == self.metric.expected
    }

    /// What is kept here of a unit.
    fn kept(&self, unit: &UnitId, below: bool) -> Result<Part, StoreError> {
        let (store, id, op) = (&self.replica.store, &self.metric.id, &self.metric.op);
        let mut part = Part { figures: store.figures(unit, below, id, op)?, ..Part::default() };
        if let Some(Over::Field(f)) = &self.metric.over {
            let sum = MetricOp::Sum(f.clone());
            part.over = store.figures(unit, below, &format!("{id}{OVER}"), &sum)?;
        }
        if matches!(op, MetricOp::Distinct(_)) {
            part.distinct = store.distinct(unit, below, id)?;
        }
        if below {
            part.corrected = store.corrections(unit, id)?;
        }
        Ok(part)
    }

    /// When a unit whose records are held here was last heard of.
    fn heard_of(&self, unit: &UnitId) -> Option<Millis> {
        if self.side.units.contains(unit) || self.side.relay_units.contains(unit) {
            return Some(self.now);
        }
        let space = self.collection.space(*unit);
        let held = self.replica.engine.holdings().tips(&space).is_some();
        let digest = self.replica.short_digest(&space);
        let reports = self.registers.reports.get(unit).into_iter().flatten();
        // A report that speaks of what is not here claims nothing yet.
        let all_here = |r: &Report| match r.spaces.iter().find(|s| s.reach == space.reach) {
            Some(said) => held && said.digest == digest,
            None => !held,
        };
        let reported = reports.filter(|(_, r)| all_here(r)).map(|(at, _)| *at).max();
        reported.max(self.heard.get(unit).copied())
    }

    /// The figures of a unit alone.
    fn own(&self, unit: &UnitId) -> Result<Part, StoreError> {
        let mut part = Part::default();
        let mut heard = None;
        if self.holds_own(unit) {
            part = self.kept(unit, false)?;
            heard = self.heard_of(unit);
        } else {
            for (register, said) in self.said_by(unit, names::FIGURE) {
                part.take(self.metric, said);
                if !said.too_large {
                    heard = heard.max(Some(register.time));
                }
            }
        }
        if self.expected(unit) {
            part.units.insert(*unit, heard);
        }
        Ok(part)
    }

    fn said_by(&self, unit: &UnitId, prefix: &str) -> impl Iterator<Item = &(Register, Said)> {
        let from = (*unit, format!("{prefix}{}/", self.metric.id));
        let until = (*unit, format!("{prefix}{}0", self.metric.id));
        self.registers.by.range(from..until).map(|(_, said)| said)
    }

    /// The figures of a unit and of all below it.
    fn below(&self, unit: &UnitId) -> Result<Part, StoreError> {
        if self.holds_below(unit) {
            let mut part = self.kept(unit, true)?;
            let mut open = vec![*unit];
            while let Some(u) = open.pop() {
                if self.expected(&u) {
                    part.units.insert(u, self.heard_of(&u));
                }
                open.extend(self.children(&u));
            }
            return Ok(part);
        }
        // What its own relay says of a unit takes the place of all below it, also where it is asked about by itself.
        if !self.side.relay_units.contains(unit)
            && let Some(part) = self.summed(unit)
        {
            return Ok(part);
        }
        let mut part = self.own(unit)?;
        for child in self.children(unit) {
            part.merge(self.metric, self.below(&child)?);
        }
        Ok(part)
    }

    /// The sum that a relay of a unit said; `None` where none did.
    fn summed(&self, unit: &UnitId) -> Option<Part> {
        let mut sums = self.said_by(unit, names::SUM).peekable();
        sums.peek()?;
        let (mut part, mut heard) = (Part::default(), BTreeMap::<UnitId, Millis>::new());
        for (_, said) in sums {
            part.take(self.metric, said);
            for u in &said.units {
                heard.entry(u.unit).and_modify(|at| *at = (*at).max(u.at)).or_insert(u.at);
            }
        }
        let mut open = vec![*unit];
        while let Some(u) = open.pop() {
            if self.expected(&u) {
                part.units.insert(u, heard.get(&u).copied());
            }
            open.extend(self.children(&u));
        }
        Some(part)
    }

    /// What is told of a part: a register a year.
    fn said(&self, prefix: &str, part: &Part, commits: u64, sums: bool) -> Vec<(String, Said)> {
        let mut years: BTreeMap<String, Said> = BTreeMap::new();
        // What is as of now is always said, also that it is nothing: a unit that reports nothing has reported.
        let mut keys = vec![String::new()];
        keys.extend(part.figures.keys().chain(part.over.keys()).map(|k| period::year_of(&k.period).to_owned()));
        for year in keys {
            years.entry(year).or_insert_with(|| Said { commits, ..Said::default() });
        }
        for (key, figure) in &part.figures {
            if let Some(said) = years.get_mut(period::year_of(&key.period)) {
                said.figures.push(SaidFigure::of(&key.period, &key.by, figure));
            }
        }
        for (key, figure) in &part.over {
            if let Some(said) = years.get_mut(period::year_of(&key.period)) {
                // What a ratio divides by travels beside it, under one dimension more.
                let mut by = key.by.clone();
                by.push(OVER.to_owned());
                said.figures.push(SaidFigure::of(&key.period, &by, figure));
            }
        }
        for said in years.values_mut() {
            if sums {
                let claimed = canary::sings(Canary::SilentUnitClaimed).then_some(self.now);
                let units =
                    part.units.iter().filter_map(|(unit, at)| Some(UnitAt { unit: *unit, at: at.or(claimed)? }));
                said.units = units.take(FIGURE_UNITS_MAX).collect();
            }
            said.too_large = part.too_large;
            if said.figures.len() > FIGURES_SAID_MAX {
                *said = Said { commits, too_large: true, ..Said::default() };
            }
        }
        if sums && let Some(said) = years.get_mut("") {
            let from = part.corrected.len().saturating_sub(CORRECTIONS_SAID_MAX);
            // Further up a record's id is of no use, and tells of a person.
            let lines = part.corrected[from..].iter().map(|c| Corrected { record: Default::default(), ..c.clone() });
            said.corrected = lines.collect();
        }
        years.into_iter().map(|(year, said)| (format!("{prefix}{}/{year}", self.metric.id), said)).collect()
    }

    /// The rows of a part.
    fn rows(
        &self,
        unit: &UnitId,
        below: bool,
        part: &Part,
        only: Option<&str>,
        out: &mut Vec<FigureRow>,
    ) -> Result<(), StoreError> {
        let metric = self.metric;
        let kind = PeriodKind::named(&metric.period);
        let current = kind.map(|k| k.of_time(self.now)).unwrap_or_default();
        let shown = |period: &str| if metric.on.is_none() { current.clone() } else { period.to_owned() };
        let mut periods: BTreeSet<String> = part.figures.keys().map(|k| shown(&k.period)).collect();
        periods.insert(current.clone());
        periods.extend(only.map(str::to_owned));
        let prefix = format!("{}{}/", names::CLOSED, metric.id);
        let closings = self.registers.closings.range((*unit, prefix.clone())..);
        let closings = closings.take_while(|((u, n), _)| u == unit && n.starts_with(&prefix));
        let closed: BTreeMap<&str, &(Register, Closing)> = match below {
            true => closings.map(|((_, name), c)| (&name[prefix.len()..], c)).collect(),
            false => BTreeMap::new(),
        };
        periods.extend(closed.keys().map(|p| (*p).to_owned()));
        let scale = metric.scale(self.collection);
        for label in periods.into_iter().filter(|p| only.is_none_or(|o| o == p)) {
            let closing = closed.get(label.as_str()).copied();
            // Of a state only the closing knows what it was.
            let past = metric.on.is_none() && label != current;
            let at = if metric.on.is_none() { "" } else { label.as_str() };
            let mut figures: BTreeMap<Vec<String>, Figure> = BTreeMap::new();
            if past {
                let Some((_, closing)) = closing else { continue };
                figures.extend(closing.figures.iter().map(|f| (f.by.clone(), f.figure())));
            } else {
                let here = part.figures.iter().filter(|(k, _)| k.period == at);
                figures.extend(here.map(|(k, f)| (k.by.clone(), f.clone())));
            }
            let from = period::read(&label).map_or(Millis(0), |s| s.from);
            let coverage = match closing.filter(|_| past) {
                Some((_, c)) => {
                    Coverage { reported: c.reported, expected: c.expected, oldest: c.oldest, missing: vec![] }
                }
                None => Coverage::of(part.units.clone(), from),
            };
            let whole = self.whole(&figures, part.distinct.get(at).copied().filter(|_| !past));
            let over_here: BTreeMap<Vec<String>, Figure> =
                part.over.iter().filter(|(k, _)| k.period == at).map(|(k, f)| (k.by.clone(), f.clone())).collect();
            let mut all = vec![(Vec::new(), whole)];
            if !metric.by.is_empty() {
                all.extend(figures.iter().map(|(by, f)| (by.clone(), f.clone())));
            }
            for (by, figure) in all {
                let over = if past { None } else { self.over(unit, below, &label, &by, &over_here)? };
                let number = figure.number(&metric.op);
                let ratio = over.as_ref().zip(number).and_then(|((_, o, s), n)| ratio(n, scale, *o, *s));
                let whole = by.is_empty();
                let sum = |c: &Closing| {
                    let of = c.figures.iter().map(|f| (f.by.clone(), f.figure())).collect();
                    if whole { self.whole(&of, None) } else { of.get(&by).cloned().unwrap_or_default() }
                };
                out.push(FigureRow {
                    unit: *unit,
                    below,
                    metric: metric.id.clone(),
                    period: label.clone(),
                    value: figure.text(&metric.op, scale),
                    figure,
                    scale,
                    coverage: coverage.clone(),
                    over: self.over_name().map(|name| {
                        let text = over.as_ref().map(|(_, o, s)| {
                            Figure { n: 0, total: *o, best: None }.text(&MetricOp::Sum(String::new()), *s)
                        });
                        (name, text)
                    }),
                    ratio,
                    closed: closing.map(|(register, c)| ClosedWith {
                        value: sum(c).text(&metric.op, scale),
                        at: register.time,
                        by: register.device,
                        reported: c.reported,
                        expected: c.expected,
                    }),
                    corrected: part
                        .corrected
                        .iter()
                        .filter(|c| c.period == label && (whole || c.by == by))
                        .cloned()
                        .collect(),
                    from_records: !part.from_figures,
                    too_large: part.too_large,
                    by: metric.by.iter().cloned().zip(by).collect(),
                });
            }
        }
        Ok(())
    }

    /// All dimensions together.
    fn whole(&self, figures: &BTreeMap<Vec<String>, Figure>, distinct: Option<u64>) -> Figure {
        let mut out = Figure::default();
        if let (MetricOp::Distinct(_), Some(n)) = (&self.metric.op, distinct) {
            out.total = n.into();
            out.n = figures.values().map(|f| f.n).sum();
            return out;
        }
        for f in figures.values() {
            // Numbers of different values are counted above; of a closing with dimensions they are not known.
            if out.merge(&self.metric.op, f).is_err() {
                return Figure::default();
            }
        }
        out
    }

    fn over_name(&self) -> Option<String> {
        self.metric.over.as_ref().map(|o| match o {
            Over::Metric(name) => name.clone(),
            Over::Field(field) => field.clone(),
        })
    }

    /// What a figure is divided by: its name, number and decimals.
    fn over(
        &self,
        unit: &UnitId,
        below: bool,
        label: &str,
        by: &[String],
        here: &BTreeMap<Vec<String>, Figure>,
    ) -> Result<Option<(String, i128, u8)>, StoreError> {
        let Some(over) = &self.metric.over else { return Ok(None) };
        match over {
            Over::Field(field) => {
                let scale = self.collection.field(field).map_or(0, |f| f.scale);
                let picked = here.iter().filter(|(k, _)| by.is_empty() || k.as_slice() == by);
                Ok(Some((field.clone(), picked.map(|(_, f)| f.total).sum(), scale)))
            }
            Over::Metric(name) => {
                let Some(metric) = self.schema.metrics.get(name) else { return Ok(None) };
                let Some(look) = self.replica.look(metric, self.registers)? else { return Ok(None) };
                let part = if below { look.below(unit)? } else { look.own(unit)? };
                let at = match (&metric.on, PeriodKind::named(&metric.period), period::read(label)) {
                    (None, ..) => Some(String::new()),
                    (Some(_), Some(kind), Some(span)) => Some(kind.of_time(span.from)),
                    (Some(_), ..) => None,
                };
                let Some(at) = at else { return Ok(None) };
                // Of dimensions that the two share each has its own denominator; the others have the whole.
                let want: Vec<(usize, &String)> = metric
                    .by
                    .iter()
                    .enumerate()
                    .filter_map(|(i, f)| Some((i, by.get(self.metric.by.iter().position(|m| m == f)?)?)))
                    .collect();
                let fits = |key: &Key| key.period == at && want.iter().all(|(i, v)| key.by.get(*i) == Some(*v));
                let picked: BTreeMap<Vec<String>, Figure> =
                    part.figures.iter().filter(|(k, _)| fits(k)).map(|(k, f)| (k.by.clone(), f.clone())).collect();
                let whole = look.whole(&picked, part.distinct.get(&at).copied());
                let number = whole.number(&metric.op).unwrap_or(0);
                Ok(Some((name.clone(), number, metric.scale(look.collection))))
            }
        }
    }
}

impl Part {
    /// Takes in what was said by somebody else.
    fn take(&mut self, metric: &Metric, said: &Said) {
        self.from_figures = true;
        self.too_large |= said.too_large;
        self.corrected.extend(said.corrected.iter().cloned());
        for f in &said.figures {
            let over = f.by.last().is_some_and(|d| d == OVER) && f.by.len() > metric.by.len();
            let by = if over { f.by[..f.by.len() - 1].to_vec() } else { f.by.clone() };
            let key = Key { period: f.period.clone(), by };
            let to = if over { &mut self.over } else { &mut self.figures };
            // What does not add up is refused when the schema is read; there is nothing to do here.
            let op = if over { MetricOp::Count } else { metric.op.clone() };
            let _ = to.entry(key).or_default().merge(&op, &f.figure());
        }
    }

    /// Takes in another part, of other units.
    fn merge(&mut self, metric: &Metric, other: Self) {
        for (key, f) in other.figures {
            let _ = self.figures.entry(key).or_default().merge(&metric.op, &f);
        }
        for (key, f) in other.over {
            let _ = self.over.entry(key).or_default().merge(&MetricOp::Count, &f);
        }
        self.units.extend(other.units);
        self.corrected.extend(other.corrected);
        self.from_figures |= other.from_figures;
        self.too_large |= other.too_large;
    }
}
