//! The figures of a unit and of all below, from the best source for each part of the tree.
//!
//! It does not: make rows of them.
//!
//! Invariants: a unit counts once, whichever way its figure came.

use super::{Look, Part, Unknown};
use sampan_core::id::{Flow, UnitId};
use sampan_core::register::Register;
use sampan_core::rollup::{Key, OVER, Report, Said, names};
use sampan_core::schema::{Metric, MetricOp, Over};
use sampan_core::store::StoreError;
use sampan_core::time::Millis;
use std::collections::BTreeMap;

impl Look<'_> {
    pub(super) fn children(&self, unit: &UnitId) -> Vec<UnitId> {
        self.charter.unit(unit).map(|u| u.children.iter().copied().collect()).unwrap_or_default()
    }

    pub(super) fn level(&self, unit: &UnitId) -> u8 {
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

    pub(super) fn expected(&self, unit: &UnitId) -> bool {
        self.level(unit) == self.metric.expected
    }

    /// What is kept here of a unit.
    pub(super) fn kept(&self, unit: &UnitId, below: bool) -> Result<Part, StoreError> {
        let (store, id, op) = (&self.replica.store, &self.metric.id, &self.metric.op);
        let mut part = Part { figures: store.figures(unit, below, id, op)?, known: true, ..Part::default() };
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
    pub(super) fn own(&self, unit: &UnitId) -> Result<Part, StoreError> {
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
    pub(super) fn below(&self, unit: &UnitId) -> Result<Part, StoreError> {
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

    /// The figures of a unit and of all below it, and where nothing is known of them, why. What lies within the sum of
    /// a relay above it has reported what that sum names, also where the figure itself is not told apart.
    pub(super) fn shown(&self, unit: &UnitId) -> Result<Part, StoreError> {
        let mut part = self.below(unit)?;
        if part.known || part.why.is_some() {
            return Ok(part);
        }
        let level = self.side.relay_units.iter().map(|u| self.level(u)).min();
        part.why = Some(Unknown::NotSaid);
        if level.is_none_or(|l| l < self.metric.reach) {
            part.why = Some(Unknown::OutOfReach);
            return Ok(part);
        }
        let above = self.charter.chain(unit).skip(1).map(|u| u.id);
        for above in above.take_while(|u| !self.side.relay_units.contains(u)) {
            if let Some(sum) = self.summed(&above) {
                part.units.extend(sum.units.into_iter().filter(|(u, _)| u == unit || self.charter.is_below(u, unit)));
                part.why = Some(if sum.known { Unknown::InSumOf(above) } else { Unknown::TooLarge });
                part.from_figures = true;
                break;
            }
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
}

impl Part {
    /// Takes in what was said by somebody else.
    pub(super) fn take(&mut self, metric: &Metric, said: &Said) {
        self.from_figures = true;
        self.too_large |= said.too_large;
        match said.too_large {
            true => self.why = Some(Unknown::TooLarge),
            false => self.known = true,
        }
        self.corrected.extend(said.corrected.iter().cloned());
        for f in &said.figures {
            let over = f.by.last().is_some_and(|d| d == OVER) && f.by.len() > metric.by.len();
            let by = if over { f.by[..f.by.len() - 1].to_vec() } else { f.by.clone() };
            let key = Key { period: f.period.clone(), by };
            let to = if over { &mut self.over } else { &mut self.figures };
            let op = if over { MetricOp::Count } else { metric.op.clone() };
            let period = key.period.clone();
            if to.entry(key).or_default().merge(&op, &f.figure()).is_err() {
                self.torn.insert(period);
            }
        }
    }

    /// Takes in another part, of other units.
    pub(super) fn merge(&mut self, metric: &Metric, other: Self) {
        for (key, f) in other.figures {
            let period = key.period.clone();
            if self.figures.entry(key).or_default().merge(&metric.op, &f).is_err() {
                self.torn.insert(period);
            }
        }
        for (period, n) in other.distinct {
            // Two numbers of different values are not the number of both.
            match (self.distinct.get(&period).copied().unwrap_or(0), n) {
                (0, n) => drop(self.distinct.insert(period, n)),
                (_, 0) => {}
                (_, _) => drop(self.torn.insert(period)),
            }
        }
        self.torn.extend(other.torn);
        self.known |= other.known;
        self.why = self.why.or(other.why);
        for (key, f) in other.over {
            let _ = self.over.entry(key).or_default().merge(&MetricOp::Count, &f);
        }
        self.units.extend(other.units);
        self.corrected.extend(other.corrected);
        self.from_figures |= other.from_figures;
        self.too_large |= other.too_large;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_core::rollup::{Figure, SaidFigure};

    fn names() -> Metric {
        let text = "[schema]\nname = \"x\"\nversion = 1\nlevels = [\"city\", \"branch\"]\n[collection.members]\nflow = \"up\"\n\
                    [collection.members.field.name]\nkind = \"string\"\n[metric.names]\nof = \"members\"\nop = \"distinct:name\"\n";
        sampan_core::schema::parse(text).unwrap().metrics.remove("names").unwrap()
    }

    fn counted(n: u64) -> Part {
        let figure = Figure { n, total: n.into(), best: None };
        Part {
            figures: BTreeMap::from([(Key::default(), figure)]),
            distinct: BTreeMap::from([(String::new(), n)]),
            known: true,
            ..Part::default()
        }
    }

    #[test]
    fn parts_with_different_values_each_come_to_no_figure() {
        let metric = names();
        let mut one = counted(2);
        one.merge(&metric, counted(0));
        assert!(one.torn.is_empty() && one.distinct[""] == 2, "what has none takes nothing away");
        one.merge(&metric, counted(3));
        assert!(one.torn.contains(""), "two and three may be three, four or five");
        // Nor do two that were said.
        let said = |n: u64| {
            let figure = Figure { n, total: n.into(), best: None };
            Said { figures: vec![SaidFigure::of("2025", &[], &figure)], ..Said::default() }
        };
        let mut part = Part::default();
        part.take(&metric, &said(2));
        assert!(part.known && part.torn.is_empty());
        part.take(&metric, &said(2));
        assert!(part.torn.contains("2025"));
    }

    #[test]
    fn what_is_too_large_to_be_said_is_not_known() {
        let mut part = Part::default();
        part.take(&names(), &Said { too_large: true, ..Said::default() });
        assert!(!part.known && part.why == Some(Unknown::TooLarge));
        let mut other = counted(1);
        other.merge(&names(), part);
        assert!(other.known && other.too_large, "what is known beside it stays, and is flagged");
    }
}
