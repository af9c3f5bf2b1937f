//! What a replica says of its figures to others, in registers.
//!
//! It does not: send them (`sync` does).
//!
//! Invariants: what was said already is not said again; of what is stored and not projected nothing is said.

use super::{Look, Part};
use crate::replica::Replica;
use sampan_core::canary::{self, Canary};
use sampan_core::charter::Roles;
use sampan_core::id::{Flow, SpaceId, UnitId};
use sampan_core::limits::{FIGURE_UNITS_MAX, FIGURES_SAID_MAX};
use sampan_core::register::Register;
use sampan_core::rollup::period::PeriodKind;
use sampan_core::rollup::{Corrected, OVER, Report, Said, SaidFigure, SpaceAt, UnitAt, names, period};
use sampan_core::schema::Schema;
use sampan_core::scope::Side;
use sampan_core::store::{Store as _, StoreError};
use sampan_core::wire;
use std::collections::{BTreeMap, BTreeSet};

/// A running node says its figures anew at most this often, in milliseconds: a day's edits are a handful of words.
const SAY_EVERY_MS: u64 = 3_000;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// Lines of corrections that one register carries.
const CORRECTIONS_SAID_MAX: usize = 32;

impl Replica {
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

    pub(super) fn report(&self, unit: &UnitId) -> Report {
        let holdings = self.engine.holdings();
        let spaces = holdings.spaces_of(unit).filter(|(s, _)| s.flow == Flow::Up);
        Report { spaces: spaces.map(|(s, _)| SpaceAt { reach: s.reach, digest: self.short_digest(s) }).collect() }
    }

    pub(super) fn short_digest(&self, space: &SpaceId) -> [u8; sampan_core::rollup::REPORT_DIGEST_BYTES] {
        let digest = self.engine.holdings().space_digest(space);
        std::array::from_fn(|i| digest.0[i])
    }
}

impl Look<'_> {
    /// What is told of a part: a register a year.
    pub(super) fn said(&self, prefix: &str, part: &Part, commits: u64, sums: bool) -> Vec<(String, Said)> {
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
}
