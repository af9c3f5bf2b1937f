//! From a replica to what its report says.
//!
//! It does not: lay out, or know who is silent (a relay adds that).
//!
//! Invariants: every figure is one that `rollup` or `targets` shows, at the same unit and period; a period without
//! any record is shown as nothing, never left out between two that have some.

use super::model::{
    FigureLine, MetricPart, MissingLine, Point, QuestionPart, Report, Reported, TargetLine, TargetPart,
};
use super::words;
use crate::i18n::{self, Lang};
use crate::replica::{
    FigureQuery, FigureRow, Replica, ReplicaError, RollupError, TargetOver, TargetProblem, TargetQuery, TargetRow,
};
use sampan_core::fold::sort_key;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::rollup::period::{self, PeriodKind, Span};
use sampan_core::rollup::{Coverage, UNDATED};
use sampan_core::schema::{Collection, Expr, Metric, Schema, title};
use sampan_core::time::Millis;
use sampan_core::value::Kind;
use std::collections::BTreeMap;

/// Periods of a picture: three years of quarters, a year of months.
const PERIODS_SHOWN: usize = 12;
/// Lines of a table of dimensions: more nobody reads.
const DIMENSIONS_SHOWN: usize = 40;
/// Units below whose figure is 0 have a line of their own where there are no more than this.
const ZEROS_SHOWN: usize = 12;
/// Units listed by name as missing: ten pages; `rollup --missing` lists them all.
const MISSING_SHOWN: usize = 400;
/// Questions listed, and units named under each.
const QUESTIONS_SHOWN: usize = 12;
/// Units named under a question; `replies` lists them all.
const NAMES_SHOWN: usize = 60;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The unit; the highest that this device works for unless it is said.
    pub unit: Option<UnitId>,
    /// As of the end of this period.
    pub period: Option<String>,
}

/// What a report is gathered with.
struct Gather<'a> {
    replica: &'a mut Replica,
    schema: Schema,
    lang: Lang,
    unit: UnitId,
    now: Millis,
    asked: Option<Span>,
    /// Titles of records that are dimensions.
    titles: BTreeMap<String, BTreeMap<RecordId, String>>,
    /// Units that have not reported, with the metrics that miss them, since when and when last heard of.
    missing: BTreeMap<UnitId, (Vec<String>, Millis, Option<Millis>)>,
}

/// Gathers a report, without the call list.
///
/// # Errors
/// [`RollupError`].
pub fn gather(replica: &mut Replica, wanted: &Wanted, lang: Lang) -> Result<Report, RollupError> {
    let asked = match wanted.period.as_deref() {
        Some(label) => Some(period::read(label).ok_or_else(|| RollupError::BadPeriod(label.to_owned()))?),
        None => None,
    };
    let unit = replica.figure_unit(wanted.unit)?;
    let schema = replica.schema().ok_or(ReplicaError::NoSchema)?.clone();
    let now = replica.label()?;
    let mut g = Gather { replica, schema, lang, unit, now, asked, titles: BTreeMap::new(), missing: BTreeMap::new() };
    let targets = g.targets(wanted.period.as_deref())?;
    let metrics = g.metrics()?;
    let questions = g.questions()?;
    let (missing, missing_all) = g.missing(metrics.len());
    let charter = g.replica.engine.charter();
    Ok(Report {
        lang,
        organisation: charter.name().to_owned(),
        unit: charter.path(&unit),
        period: wanted.period.as_deref().map(|p| words::period(lang, p)),
        made_at: words::moment(lang, now),
        projected_to: g.replica.store.projected_to()?.0,
        targets,
        metrics,
        missing,
        missing_all,
        silent: None,
        questions,
    })
}

fn reported(lang: Lang, c: &Coverage) -> Reported {
    Reported { reported: c.reported, expected: c.expected, oldest: c.oldest.map(|at| words::day(lang, at)) }
}

fn size(n: Option<i128>) -> u128 {
    n.unwrap_or(0).max(0).unsigned_abs()
}

impl Gather<'_> {
    fn t(&self, id: &str, values: &[(&str, &str)]) -> String {
        i18n::t(self.lang, id, values)
    }

    fn name(&self, unit: &UnitId) -> String {
        self.replica.engine.charter().unit(unit).map_or_else(|| unit.to_string(), |u| u.name.clone())
    }

    fn targets(&mut self, asked: Option<&str>) -> Result<Vec<TargetPart>, RollupError> {
        let query =
            TargetQuery { unit: Some(self.unit), metric: None, period: asked.map(str::to_owned), by_unit: true };
        let mut out: Vec<(TargetRow, TargetPart)> = Vec::new();
        for row in self.replica.targets(&query)? {
            let line = self.target_line(&row);
            if row.unit != self.unit {
                if let Some((_, part)) = out.last_mut() {
                    let nothing = row.target.is_none() && row.handed_down.is_none() && row.value.unwrap_or(0) == 0;
                    match nothing {
                        true => part.without += 1,
                        false => part.lines.push(line),
                    }
                }
                continue;
            }
            let goal = match row.over {
                Some(TargetOver::Target) => row.target,
                Some(TargetOver::HandedDown) => row.handed_down,
                None => None,
            };
            // The picture is drawn in the decimals of the result.
            let rescaled = |n: i128| {
                let (to, from) = (u32::from(row.value_scale), u32::from(row.scale));
                size(n.checked_mul(10_i128.pow(to)).map(|n| n / 10_i128.pow(from)))
            };
            let goal = goal.map(|n| Point {
                short: String::new(),
                name: self.t("report.target", &[]),
                size: rescaled(n),
                value: words::number(self.lang, n, row.scale),
            });
            let steps = row.steps.iter().map(|(label, n)| Point {
                short: words::short_period(self.lang, label),
                name: words::period(self.lang, label),
                size: size(Some(*n)),
                value: words::number(self.lang, *n, row.value_scale),
            });
            let part = TargetPart {
                title: self.target_title(&row),
                period: words::period(self.lang, &row.period),
                measured: match (&row.metric, row.by_hand) {
                    (_, true) => self.t("report.by_hand", &[]),
                    (Some(id), false) => words::metric(&self.schema, id, self.lang),
                    (None, false) => String::new(),
                },
                lines: vec![line],
                without: 0,
                steps: steps.collect(),
                goal,
            };
            out.push((row, part));
        }
        Ok(out.into_iter().map(|(_, part)| part).collect())
    }

    fn target_title(&self, row: &TargetRow) -> String {
        let collection =
            row.metric.as_ref().and_then(|m| self.schema.metrics.get(m)).and_then(|m| self.schema.collection(&m.of));
        let slice = if row.by.is_empty() {
            row.slice.clone()
        } else {
            let word = |(f, v): (&String, &String)| words::dimension(collection, f, v, self.lang);
            row.by.iter().map(word).collect::<Vec<_>>().join(", ")
        };
        if slice.is_empty() { row.title.clone() } else { format!("{} – {slice}", row.title) }
    }

    fn target_line(&self, row: &TargetRow) -> TargetLine {
        let number = |n: i128, scale: u8| words::number(self.lang, n, scale);
        let handed = row.handed_down.map(|n| {
            let values = [("sum", number(n, row.scale)), ("units", words::count(self.lang, row.handed_to as u64))];
            self.t("report.handed", &values.each_ref().map(|(k, v)| (*k, v.as_str())))
        });
        let hundredths: i128 = row
            .ratio
            .as_ref()
            .and_then(|r| r.percent.chars().filter(|c| *c != '.').collect::<String>().parse().ok())
            .unwrap_or(0);
        TargetLine {
            unit: self.name(&row.unit),
            target: row.target.map(|n| number(n, row.scale)),
            handed_down: handed,
            value: row.value.map(|n| number(n, row.value_scale)),
            percent: row.ratio.as_ref().map(|r| words::percent(self.lang, &r.percent)),
            of_handed_down: row.over == Some(TargetOver::HandedDown),
            thousandths: u64::try_from(hundredths.max(0) / 10).unwrap_or(u64::MAX),
            above: row.ratio.as_ref().is_some_and(|r| r.above),
            coverage: reported(self.lang, &row.coverage),
            problem: row.problem.map(|p| problem(self.lang, p)),
        }
    }

    fn metrics(&mut self) -> Result<Vec<MetricPart>, RollupError> {
        let level = self.replica.engine.charter().level(&self.unit, &self.schema.levels);
        let by_hand = self.schema.target.as_ref().and_then(|t| t.by_hand.as_ref()).map(|h| h.metric.clone());
        let all: Vec<Metric> = self.schema.metrics.values().filter(|m| level >= m.reach).cloned().collect();
        let mut out = Vec::new();
        // What is reported by hand stands under its targets.
        for metric in all.iter().filter(|m| Some(&m.id) != by_hand.as_ref()) {
            out.push(self.metric(metric)?);
        }
        Ok(out)
    }

    /// The period of a metric that is shown: the current one, or the last of what was asked for.
    fn shown(&self, metric: &Metric) -> Option<String> {
        let kind = PeriodKind::named(&metric.period)?;
        let at = self.asked.map_or(self.now, |a| a.until.min(Millis(self.now.0 + 1)).max(Millis(1)));
        Some(kind.of_time(if self.asked.is_some() { Millis(at.0 - 1) } else { at }))
    }

    fn metric(&mut self, metric: &Metric) -> Result<MetricPart, RollupError> {
        let label = self.shown(metric);
        let query = FigureQuery { unit: Some(self.unit), metric: Some(metric.id.clone()), ..FigureQuery::default() };
        let mut rows = self.replica.rollup(&query)?;
        let here = FigureQuery { period: label.clone(), ..query };
        let period = label.clone().unwrap_or_default();
        if !rows.iter().any(|r| r.period == period) {
            rows.extend(self.replica.rollup(&here)?);
        }
        let mut units = self.replica.rollup(&FigureQuery { by_unit: true, ..here })?;
        units.sort_by_cached_key(|r| (r.below, sort_key(&self.name(&r.unit)), r.unit));
        let collection = self.schema.collection(&metric.of).cloned();
        let title = metric.label.text(words::schema_lang(self.lang)).to_owned();
        for dimension in &metric.by {
            self.learn_titles(collection.as_ref(), dimension)?;
        }
        if let Some(row) = rows.iter().find(|r| r.period == period && r.by.is_empty()) {
            self.note_missing(&row.coverage, &title);
        }
        let line = |row: &FigureRow, name: String| self.line(metric, collection.as_ref(), row, name);
        let mut series: Vec<FigureLine> = Vec::new();
        let wholes: BTreeMap<&str, &FigureRow> =
            rows.iter().filter(|r| r.by.is_empty()).map(|r| (r.period.as_str(), r)).collect();
        for label in self.labels(metric, &period, &wholes) {
            series.push(match wholes.get(label.as_str()) {
                Some(row) => line(row, words::period(self.lang, &label)),
                None => self.nothing(&label, collection.as_ref().map_or(0, |c| metric.scale(c))),
            });
        }
        let value = |r: &&FigureRow| words::figure(self.lang, metric, collection.as_ref(), &r.figure, r.scale);
        let undated = rows.iter().find(|r| r.period == UNDATED && r.by.is_empty()).and_then(|r| value(&r));
        let mut by: Vec<FigureLine> = rows
            .iter()
            .filter(|r| r.period == period && !r.by.is_empty())
            .map(|r| line(r, self.dimensions(collection.as_ref(), &r.by)))
            .collect();
        by.sort_by(|a, b| (b.size, sort_key(&a.name)).cmp(&(a.size, sort_key(&b.name))));
        by.truncate(DIMENSIONS_SHOWN);
        let mut units: Vec<&FigureRow> = units.iter().filter(|r| r.by.is_empty() && r.period == period).collect();
        let all = units.len();
        if all > ZEROS_SHOWN {
            let over = |r: &FigureRow| r.over.as_ref().and_then(|(_, v)| v.as_deref()).is_some_and(|v| v != "0");
            units.retain(|r| r.figure.number(&metric.op) != Some(0) || over(r) || r.too_large || r.unknown.is_some());
        }
        let zeros = all - units.len();
        let units = units.into_iter().map(|r| {
            let name = self.name(&r.unit);
            let name = if r.below { name } else { self.t("rollup.own", &[("unit", &name)]) };
            line(r, name)
        });
        let units = units.collect();
        let word = |f: &String| {
            let field = collection.as_ref().and_then(|c| c.field(f));
            field.map_or_else(|| f.clone(), |f| f.label.text(words::schema_lang(self.lang)).to_owned())
        };
        Ok(MetricPart {
            title,
            period: words::period(self.lang, &period),
            over: words::over(&self.schema, metric, self.lang),
            dimensions: metric.by.iter().map(word).collect::<Vec<_>>().join(", "),
            series,
            undated,
            by,
            units,
            zeros,
            notes: self.notes(&rows, &period),
        })
    }

    /// The periods of the picture, oldest first, without gaps where a record counts in the period of its date.
    fn labels(&self, metric: &Metric, last: &str, rows: &BTreeMap<&str, &FigureRow>) -> Vec<String> {
        let known = |p: &str| period::read(p).filter(|s| PeriodKind::named(&metric.period) == Some(s.kind));
        let Some(end) = known(last) else { return vec![last.to_owned()] };
        let first = rows.keys().filter_map(|p| known(p)).map(|s| s.from).min().unwrap_or(end.from);
        let mut out = vec![last.to_owned()];
        let mut at = end;
        while out.len() < PERIODS_SHOWN && at.from > first && at.from.0 > 0 {
            let label = at.kind.of_time(Millis(at.from.0 - 1));
            let Some(before) = period::read(&label) else { break };
            at = before;
            if metric.on.is_some() || rows.contains_key(label.as_str()) {
                out.push(label);
            }
        }
        out.reverse();
        out
    }

    /// A period without a record.
    fn nothing(&self, label: &str, scale: u8) -> FigureLine {
        FigureLine {
            name: words::period(self.lang, label),
            short: words::short_period(self.lang, label),
            size: 0,
            value: Some(words::number(self.lang, 0, scale)),
            over: None,
            percent: None,
            above: false,
            coverage: None,
            closed: None,
        }
    }

    fn line(&self, metric: &Metric, collection: Option<&Collection>, row: &FigureRow, name: String) -> FigureLine {
        FigureLine {
            name,
            short: words::short_period(self.lang, &row.period),
            size: size(row.figure.number(&metric.op)),
            value: match row.unknown {
                Some(_) => Some(self.t("rollup.unknown", &[])),
                None => words::figure(self.lang, metric, collection, &row.figure, row.scale),
            },
            over: row.over.as_ref().and_then(|(_, value)| value.as_deref().map(|v| plain(self.lang, v))),
            percent: row.ratio.as_ref().map(|r| words::percent(self.lang, &r.percent)),
            above: row.ratio.as_ref().is_some_and(|r| r.above),
            coverage: Some(reported(self.lang, &row.coverage)),
            closed: row.closed.as_ref().map(|c| {
                let value = c.value.as_ref().map_or_else(|| self.t("rollup.unknown", &[]), |v| plain(self.lang, v));
                let values = [("value", value), ("at", words::day(self.lang, c.at))];
                self.t("report.closed_with", &values.each_ref().map(|(k, v)| (*k, v.as_str())))
            }),
        }
    }

    fn notes(&self, rows: &[FigureRow], period: &str) -> Vec<String> {
        let mut out = Vec::new();
        let unit = self.name(&self.unit);
        for row in rows.iter().filter(|r| r.by.is_empty()) {
            if row.too_large && row.period == period {
                let metric = words::metric(&self.schema, &row.metric, self.lang);
                out.push(self.t("rollup.too_large", &[("unit", &unit), ("metric", &metric)]));
            }
            for c in &row.corrected {
                let values = [
                    ("period", words::period(self.lang, &c.period)),
                    ("old", plain(self.lang, &c.old)),
                    ("new", plain(self.lang, &c.new)),
                    ("at", words::day(self.lang, c.at)),
                    ("of", self.name(&c.unit)),
                ];
                out.push(self.t("report.corrected", &values.each_ref().map(|(k, v)| (*k, v.as_str()))));
            }
        }
        out
    }

    /// The titles of the records that a dimension names.
    fn learn_titles(&mut self, collection: Option<&Collection>, field: &str) -> Result<(), RollupError> {
        let to = collection.and_then(|c| c.field(field)).filter(|f| f.kind == Kind::Ref).and_then(|f| f.to.clone());
        let Some(to) = to.filter(|t| !self.titles.contains_key(t)) else { return Ok(()) };
        let Some(named) = self.schema.collection(&to).cloned() else { return Ok(()) };
        let rows = self.replica.list(&named, None, None)?;
        self.titles.insert(to, rows.iter().map(|r| (r.id, title(&named, &r.values))).collect());
        Ok(())
    }

    fn dimensions(&self, collection: Option<&Collection>, by: &BTreeMap<String, String>) -> String {
        let word = |(field, value): (&String, &String)| {
            let to = collection.and_then(|c| c.field(field)).and_then(|f| f.to.as_ref());
            let known = to.and_then(|to| self.titles.get(to)?.get(&value.parse().ok()?));
            match known.filter(|t| !t.is_empty()) {
                Some(title) => title.clone(),
                None => words::dimension(collection, field, value, self.lang),
            }
        };
        by.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    fn note_missing(&mut self, coverage: &Coverage, metric: &str) {
        for (unit, heard) in &coverage.missing {
            let born = self.replica.engine.charter().unit(unit).map(|u| u.since).unwrap_or_default();
            let since = heard.unwrap_or(born);
            let of = self.missing.entry(*unit).or_insert((Vec::new(), since, *heard));
            of.0.push(metric.to_owned());
            of.1 = of.1.min(since);
            of.2 = of.2.max(*heard);
        }
    }

    fn missing(&self, metrics: usize) -> (Vec<MissingLine>, usize) {
        let charter = self.replica.engine.charter();
        let mut all: Vec<(&UnitId, String)> = self.missing.keys().map(|u| (u, charter.path(u))).collect();
        all.sort_by_cached_key(|(unit, path)| (sort_key(path), **unit));
        let lines = all.iter().take(MISSING_SHOWN).filter_map(|(unit, path)| {
            let (of, since, heard) = self.missing.get(unit)?;
            let every = of.len() == metrics && metrics > 1;
            Some(MissingLine {
                unit: path.clone(),
                metrics: if every { self.t("report.all_metrics", &[]) } else { of.join("; ") },
                since: words::day(self.lang, *since),
                heard: heard.map(|at| words::day(self.lang, at)),
            })
        });
        (lines.collect(), all.len())
    }

    /// What the schema says is settled by an answer, where some of those asked have given none.
    fn questions(&mut self) -> Result<Vec<QuestionPart>, RollupError> {
        let charter = self.replica.engine.charter();
        let among: Vec<UnitId> = self
            .replica
            .units_and_below()
            .into_iter()
            .filter(|u| *u == self.unit || charter.is_below(u, &self.unit))
            .collect();
        let mut out = Vec::new();
        for rule in self.schema.dues.clone().into_values() {
            let Some(collection) = self.schema.collection(&rule.of).cloned() else { continue };
            let Some(reply) = rule.answered_by.as_ref().and_then(|r| self.schema.collection(r)).cloned() else {
                continue;
            };
            // Both were parsed with the schema.
            let open = Expr::parse(&collection, &rule.filter).unwrap_or_default();
            let settles = Expr::parse(&reply, &rule.answered_where).unwrap_or_default();
            let mut answers = self.replica.answers(&reply, Some(&settles))?;
            for record in self.replica.list(&collection, Some(&open), None)? {
                let answered = answers.remove(&record.id).unwrap_or_default();
                let asked = self.replica.units_asked(&collection, &record, &among);
                let charter = self.replica.engine.charter();
                let missing = asked.iter().filter(|u| !answered.contains_key(u));
                let mut missing: Vec<String> = missing.map(|u| charter.path(u)).collect();
                missing.sort_by_cached_key(|path| sort_key(path));
                if missing.is_empty() {
                    continue;
                }
                let mut names: Vec<String> = missing.iter().take(NAMES_SHOWN).cloned().collect();
                if missing.len() > NAMES_SHOWN {
                    let rest = words::count(self.lang, (missing.len() - NAMES_SHOWN) as u64);
                    names.push(self.t("report.and_more", &[("count", &rest)]));
                }
                out.push((
                    record.updated,
                    QuestionPart {
                        title: title(&collection, &record.values),
                        what: rule.label.text(words::schema_lang(self.lang)).to_owned(),
                        answered: asked.len() - missing.len(),
                        asked: asked.len(),
                        missing: names,
                    },
                ));
            }
        }
        out.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.title.cmp(&b.1.title)));
        out.truncate(QUESTIONS_SHOWN);
        Ok(out.into_iter().map(|(_, q)| q).collect())
    }
}

/// A number in plain writing as people write it; what is no number as it is.
fn plain(lang: Lang, text: &str) -> String {
    let scale = text.split_once('.').map_or(0, |(_, rest)| rest.len());
    let digits: String = text.chars().filter(|c| *c != '.').collect();
    match (digits.parse::<i128>(), u8::try_from(scale)) {
        (Ok(n), Ok(scale)) => words::number(lang, n, scale),
        (Ok(_) | Err(_), _) => text.to_owned(),
    }
}

/// Why a target has no result, in words.
#[must_use]
pub fn problem(lang: Lang, problem: TargetProblem) -> String {
    i18n::t(lang, &format!("targets.{}", problem.name()), &[])
}
