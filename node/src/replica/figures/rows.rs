//! From the figures of a unit to the rows that are shown: periods, dimensions, ratios, closings.
//!
//! It does not: choose where figures come from.
//!
//! Invariants: what is above a hundred percent is flagged, and what is not known is not shown as nothing.

use super::types::{ClosedWith, FigureRow, Unknown};
use super::{Look, Part};
use sampan_core::id::UnitId;
use sampan_core::register::Register;
use sampan_core::rollup::period::PeriodKind;
use sampan_core::rollup::{Closing, Coverage, Figure, Key, names, period, ratio};
use sampan_core::schema::{MetricOp, Over};
use sampan_core::store::StoreError;
use sampan_core::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

impl Look<'_> {
    /// The rows of a part.
    pub(super) fn rows(
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
                figures = self.dimensions_of(closing);
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
            let (whole, unknown) = match closing.filter(|_| past) {
                Some((_, c)) => (self.whole_of(c), None),
                None => {
                    let torn = part.torn.contains(at).then_some(Unknown::NotAdditive);
                    let why = if part.known { torn } else { part.why.or(Some(Unknown::NotSaid)) };
                    (self.whole(&figures, part.distinct.get(at).copied()), why)
                }
            };
            let over_here: BTreeMap<Vec<String>, Figure> =
                part.over.iter().filter(|(k, _)| k.period == at).map(|(k, f)| (k.by.clone(), f.clone())).collect();
            let mut all = vec![(Vec::new(), whole)];
            if !metric.by.is_empty() {
                all.extend(figures.iter().map(|(by, f)| (by.clone(), Some(f.clone()))));
            }
            for (by, figure) in all {
                let unknown = unknown.or(figure.is_none().then_some(Unknown::NotAdditive));
                let figure = figure.filter(|_| unknown.is_none()).unwrap_or_default();
                let over = if past { None } else { self.over(unit, below, &label, &by, &over_here)? };
                let number = figure.number(&metric.op).filter(|_| unknown.is_none());
                let ratio = over.as_ref().zip(number).and_then(|((_, o, s), n)| ratio(n, scale, *o, *s));
                let whole = by.is_empty();
                let sum = |c: &Closing| match whole {
                    true => self.whole_of(c),
                    false => Some(self.dimensions_of(c).remove(&by).unwrap_or_default()),
                };
                out.push(FigureRow {
                    unit: *unit,
                    below,
                    metric: metric.id.clone(),
                    period: label.clone(),
                    value: if unknown.is_none() { figure.text(&metric.op, scale) } else { String::new() },
                    figure,
                    unknown,
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
                        value: sum(c).map(|f| f.text(&metric.op, scale)),
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

    /// All dimensions together; `None` where they do not add up, and the whole was not counted by itself.
    pub(super) fn whole(&self, figures: &BTreeMap<Vec<String>, Figure>, distinct: Option<u64>) -> Option<Figure> {
        let mut out = Figure::default();
        if let (MetricOp::Distinct(_), Some(n)) = (&self.metric.op, distinct) {
            out.total = n.into();
            out.n = figures.values().map(|f| f.n).sum();
            return Some(out);
        }
        for f in figures.values() {
            out.merge(&self.metric.op, f).ok()?;
        }
        Some(out)
    }

    /// The whole of what a period closed with. Where it does not add up it stands in the closing by itself, without
    /// dimensions; closings made before that do not tell it.
    fn whole_of(&self, closing: &Closing) -> Option<Figure> {
        let by_itself = closing.figures.iter().find(|f| f.by.is_empty());
        by_itself.map(|f| f.figure()).or_else(|| self.whole(&self.dimensions_of(closing), None))
    }

    fn dimensions_of(&self, closing: &Closing) -> BTreeMap<Vec<String>, Figure> {
        let of = closing.figures.iter().filter(|f| self.metric.by.is_empty() || !f.by.is_empty());
        of.map(|f| (f.by.clone(), f.figure())).collect()
    }

    fn over_name(&self) -> Option<String> {
        self.metric.over.as_ref().map(|o| match o {
            Over::Metric(name) => name.clone(),
            Over::Field(field) => field.clone(),
        })
    }

    /// What a figure is divided by: its name, number and decimals.
    pub(super) fn over(
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
                let part = if below { look.shown(unit)? } else { look.own(unit)? };
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
                let distinct = part.distinct.get(&at).copied().filter(|_| want.is_empty());
                let known = part.known && !part.torn.contains(&at);
                let Some(whole) = look.whole(&picked, distinct).filter(|_| known) else { return Ok(None) };
                let number = whole.number(&metric.op).unwrap_or(0);
                Ok(Some((name.clone(), number, metric.scale(look.collection))))
            }
        }
    }
}
