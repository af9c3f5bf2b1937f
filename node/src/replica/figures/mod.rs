//! Figures: what this replica can say of a unit and all below, from its own rows where it holds the records and
//! from the registers of others where it does not; and what it publishes of them itself.
//!
//! It does not: keep figures (the store does, with the rows) or print.
//!
//! Invariants: a unit counts once: where the records are held they alone count, else a relay's sum takes the place
//! of everything below its unit, else the one device of a unit that has seen most speaks for it; coverage claims a
//! unit only for what has arrived here: a commit of its space, a report whose digest is that of what is held, or
//! the figure itself.

mod check;
mod close;
mod look;
mod rows;
mod say;
mod types;

pub use types::{Difference, FigureQuery, FigureRow, MissingUnit, RollupError, Unknown};

use crate::replica::{Replica, ReplicaError};
use sampan_core::charter::{Charter, Roles};
use sampan_core::engine::CLOSED_COUNTER;
use sampan_core::id::UnitId;
use sampan_core::register::{Register, SignedRegister};
use sampan_core::rollup::period::PeriodKind;
use sampan_core::rollup::{Closing, Corrected, Figure, Key, Report, Said, UNDATED, names, period};
use sampan_core::schema::{Collection, Metric, Schema};
use sampan_core::scope::Side;
use sampan_core::store::StoreError;
use sampan_core::time::Millis;
use sampan_core::wire;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Whether anything is known: records are held, or a figure was said.
    known: bool,
    /// Why nothing is, else.
    why: Option<Unknown>,
    /// Periods whose parts do not add up.
    torn: BTreeSet<String>,
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
    pub(super) fn asked(&self, query: &FigureQuery) -> Result<(UnitId, Vec<Metric>), RollupError> {
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
                    let part = look.shown(&child)?;
                    look.rows(&child, true, &part, query.period.as_deref(), &mut out)?;
                }
            } else {
                let part = look.shown(&unit)?;
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
}
