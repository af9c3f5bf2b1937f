//! Closing a period: what stands is signed once.
//!
//! It does not: correct a closed period (the store leaves a line for each change).
//!
//! Invariants: nothing takes the place of a closing; a period that is not over is not closed.

use super::types::{FigureQuery, RollupError, Unknown};
use crate::replica::Replica;
use sampan_core::id::UnitId;
use sampan_core::rollup::{Closing, Coverage, Figure, SaidFigure, names, period};
use sampan_core::wire;

impl Replica {
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
        let part = look.shown(&unit)?;
        let at = if metric.on.is_some() { label } else { "" };
        // What is signed stands for ever: nothing is signed of what is not known.
        let why = if part.known { part.torn.contains(at).then_some(Unknown::NotAdditive) } else { part.why };
        if let Some(why) = why {
            return Err(RollupError::NotKnown(metric.id, why));
        }
        let mut figures: Vec<SaidFigure> = part
            .figures
            .iter()
            .filter(|(key, _)| key.period == at)
            .map(|(key, f)| SaidFigure::of("", &key.by, f))
            .collect();
        if let (Some(n), false) = (part.distinct.get(at), metric.by.is_empty()) {
            // Its dimensions do not add up to the whole, so that stands beside them.
            let counted = part.figures.iter().filter(|(key, _)| key.period == at).map(|(_, f)| f.n).sum();
            figures.push(SaidFigure::of("", &[], &Figure { n: counted, total: (*n).into(), best: None }));
        }
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
}
