//! The layout of a report: one page that stands by itself.
//!
//! It does not: compute, or fetch anything: no script, no link, no font.
//!
//! Invariants: every picture has its numbers in a table; tables have captions and headings with a scope; words come
//! from the catalogue, in the page's one language.

use super::html::Html;
use super::model::{FigureLine, MetricPart, Point, QuestionPart, Report, Reported, SilentPart, TargetLine, TargetPart};
use super::{svg, words};
use crate::i18n::{self, Lang};

const BEGINNING: &str = "<!DOCTYPE html>\n";
const STYLE: &str = include_str!("style.css");

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut h = Html::beginning(BEGINNING);
    let p = Page { lang: report.lang };
    h.el("html", &[("lang", report.lang.code())], |h| {
        h.el("head", &[], |h| {
            h.void("meta", &[("charset", "utf-8")]);
            h.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            // Whatever a name holds, the page may load and run nothing.
            let policy = "default-src 'none'; style-src 'unsafe-inline'";
            h.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", policy)]);
            h.text_el("title", &[], &p.heading(report));
            h.el("style", &[], |h| h.raw(STYLE));
        });
        h.el("body", &[], |h| {
            svg::patterns(h);
            h.el("header", &[], |h| p.header(h, report));
            h.el("main", &[], |h| p.main(h, report));
            h.el("footer", &[], |h| {
                h.text_el("p", &[], &p.t("report.footer"));
            });
        });
    });
    h.finish()
}

struct Page {
    lang: Lang,
}

impl Page {
    fn t(&self, id: &str) -> String {
        i18n::t(self.lang, id, &[])
    }

    fn fill(&self, id: &str, values: &[(&str, &str)]) -> String {
        i18n::t(self.lang, id, values)
    }

    fn n(&self, n: usize) -> String {
        words::count(self.lang, n as u64)
    }

    fn heading(&self, r: &Report) -> String {
        match &r.period {
            Some(period) => self.fill("report.title_period", &[("unit", &r.unit), ("period", period)]),
            None => self.fill("report.title", &[("unit", &r.unit)]),
        }
    }

    fn header(&self, h: &mut Html, r: &Report) {
        h.text_el("p", &[("class", "org")], &r.organisation);
        h.text_el("h1", &[], &self.heading(r));
        let projected = words::count(self.lang, r.projected_to);
        let made = self.fill("report.made", &[("at", &r.made_at), ("commits", &projected)]);
        h.text_el("p", &[("class", "meta")], &made);
        h.el("ul", &[("class", "summary")], |h| {
            let mut item = |count: String, words: &str| {
                h.el("li", &[], |h| {
                    h.text_el("b", &[], &count);
                    h.text_el("span", &[], words);
                });
            };
            item(self.n(r.missing_all), &self.t("report.sum_missing"));
            if let Some(s) = &r.silent {
                let days = self.n(s.days as usize);
                item(self.n(s.lines.len()), &self.fill("report.sum_silent", &[("days", &days)]));
            }
            item(self.n(r.questions.len()), &self.t("report.sum_open"));
            let above = r.targets.iter().flat_map(|t| &t.lines).filter(|l| l.above).count();
            let above = above + r.metrics.iter().filter_map(|m| m.series.last()).filter(|l| l.above).count();
            item(self.n(above), &self.t("report.sum_above"));
        });
    }

    fn main(&self, h: &mut Html, r: &Report) {
        if !r.targets.is_empty() {
            h.el("section", &[], |h| {
                h.text_el("h2", &[], &self.t("report.targets"));
                for (i, part) in r.targets.iter().enumerate() {
                    self.target(h, part, i);
                }
            });
        }
        h.el("section", &[], |h| {
            h.text_el("h2", &[], &self.t("report.figures"));
            if r.metrics.is_empty() {
                h.text_el("p", &[("class", "none")], &self.t("rollup.none"));
            }
            for (i, part) in r.metrics.iter().enumerate() {
                self.metric(h, part, i);
            }
        });
        h.el("section", &[], |h| self.missing(h, r));
        if let Some(silent) = &r.silent {
            h.el("section", &[], |h| self.silent(h, silent));
        }
        if !r.questions.is_empty() {
            h.el("section", &[], |h| {
                h.text_el("h2", &[], &self.t("report.questions"));
                for q in &r.questions {
                    h.el("section", &[], |h| self.question(h, q));
                }
            });
        }
    }

    fn head(&self, h: &mut Html, caption: &str, columns: &[(&str, bool)]) {
        h.text_el("caption", &[], caption);
        h.el("thead", &[], |h| {
            h.el("tr", &[], |h| {
                for (id, number) in columns {
                    let class = if *number { "n" } else { "" };
                    h.text_el("th", &[("scope", "col"), ("class", class)], &self.t(id));
                }
            });
        });
    }

    fn none(&self, h: &mut Html) {
        h.text_el("span", &[("class", "none")], &self.t("report.none"));
    }

    fn reported(&self, h: &mut Html, c: Option<&Reported>) {
        let Some(c) = c else { return self.none(h) };
        let values = [words::count(self.lang, c.reported), words::count(self.lang, c.expected)];
        h.text(&self.fill("report.reported", &[("reported", &values[0]), ("expected", &values[1])]));
        if c.reported < c.expected {
            let gap = words::count(self.lang, c.expected - c.reported);
            h.text(" ");
            h.text_el("span", &[("class", "gap")], &self.fill("report.gap", &[("count", &gap)]));
        }
    }

    fn flag(&self, h: &mut Html) {
        h.text(" ");
        h.text_el("span", &[("class", "flag")], &self.t("report.above"));
    }

    fn target(&self, h: &mut Html, part: &TargetPart, at: usize) {
        h.el("section", &[], |h| {
            h.text_el("h3", &[], &part.title);
            let values = [("period", part.period.as_str()), ("measured", part.measured.as_str())];
            let about = if part.measured.is_empty() { "report.target_period" } else { "report.target_about" };
            h.text_el("p", &[("class", "about")], &self.fill(about, &values));
            if !part.steps.is_empty() {
                let title = self.fill("report.steps_title", &[("title", &part.title)]);
                svg::columns(h, &format!("t{at}"), &title, &list(&part.steps), &part.steps, part.goal.as_ref());
            }
            h.el("table", &[], |h| {
                let caption = self.fill("report.target_caption", &[("title", &part.title), ("period", &part.period)]);
                let columns = [
                    ("rollup.unit", false),
                    ("report.target", true),
                    ("report.reached", true),
                    ("rollup.ratio", true),
                    ("report.picture", false),
                    ("rollup.coverage", false),
                    ("rollup.oldest", false),
                ];
                self.head(h, &caption, &columns);
                h.el("tbody", &[], |h| {
                    for (i, line) in part.lines.iter().enumerate() {
                        self.target_line(h, line, i == 0);
                    }
                });
            });
            if part.without > 0 {
                let count = self.n(part.without);
                h.text_el("p", &[("class", "about")], &self.fill("report.without", &[("count", &count)]));
            }
            if !part.steps.is_empty() {
                let caption = self.fill("report.steps_caption", &[("title", &part.title)]);
                self.steps(h, &caption, &part.steps);
            }
        });
    }

    fn steps(&self, h: &mut Html, caption: &str, steps: &[Point]) {
        h.el("table", &[], |h| {
            self.head(h, caption, &[("rollup.period", false), ("report.reached_by_end", true)]);
            h.el("tbody", &[], |h| {
                for p in steps {
                    h.el("tr", &[], |h| {
                        h.text_el("th", &[("scope", "row")], &p.name);
                        h.text_el("td", &[("class", "n")], &p.value);
                    });
                }
            });
        });
    }

    fn target_line(&self, h: &mut Html, line: &TargetLine, whole: bool) {
        h.el("tr", &[("class", if whole { "whole" } else { "" })], |h| {
            h.text_el("th", &[("scope", "row")], &line.unit);
            h.el("td", &[("class", "n")], |h| {
                match &line.target {
                    Some(target) => h.text(target),
                    None => h.text_el("span", &[("class", "none")], &self.t("report.no_target")),
                }
                if let Some(handed) = &line.handed_down {
                    h.text_el("span", &[("class", "part")], handed);
                }
            });
            h.el("td", &[("class", "n")], |h| match (&line.value, &line.problem) {
                (_, Some(problem)) => h.text_el("span", &[("class", "none")], problem),
                (Some(value), None) => h.text(value),
                (None, None) => self.none(h),
            });
            h.el("td", &[("class", "n")], |h| match &line.percent {
                Some(percent) => {
                    h.text_el("span", &[("class", "nw")], &self.fill("report.percent", &[("percent", percent)]));
                    if line.of_handed_down {
                        h.text_el("span", &[("class", "part")], &self.t("report.of_handed"));
                    }
                }
                None => self.none(h),
            });
            h.el("td", &[("class", "p")], |h| {
                if let Some(percent) = &line.percent {
                    let title = self.fill("report.bar", &[("name", &line.unit), ("percent", percent)]);
                    svg::bar(h, &title, line.thousandths, true, line.above);
                    if line.above {
                        self.flag(h);
                    }
                }
            });
            h.el("td", &[("class", "nw")], |h| self.reported(h, Some(&line.coverage)));
            h.el("td", &[("class", "nw")], |h| match &line.coverage.oldest {
                Some(at) => h.text(at),
                None => self.none(h),
            });
        });
    }

    fn metric(&self, h: &mut Html, part: &MetricPart, at: usize) {
        h.el("section", &[], |h| {
            h.text_el("h3", &[], &part.title);
            if let Some(over) = &part.over {
                h.text_el("p", &[("class", "about")], &self.fill("report.over", &[("over", over)]));
            }
            if part.series.len() > 1 {
                let points: Vec<Point> = part.series.iter().map(point).collect();
                let title = self.fill("report.series_title", &[("title", &part.title)]);
                svg::columns(h, &format!("m{at}"), &title, &list(&points), &points, None);
            }
            let ratio = part.over.is_some();
            if part.series.is_empty() {
                h.text_el("p", &[("class", "none")], &self.fill("report.not_known", &[("period", &part.period)]));
            } else {
                let caption = self.fill("report.by_period", &[("title", &part.title)]);
                self.lines(h, &caption, "rollup.period", &part.series, ratio, false);
            }
            if let Some(undated) = &part.undated {
                h.text_el("p", &[("class", "about")], &self.fill("report.undated_note", &[("count", undated)]));
            }
            if !part.notes.is_empty() {
                h.el("ul", &[("class", "notes")], |h| part.notes.iter().for_each(|n| h.text_el("li", &[], n)));
            }
            let values =
                [("title", part.title.as_str()), ("by", part.dimensions.as_str()), ("period", part.period.as_str())];
            if !part.by.is_empty() {
                self.lines(h, &self.fill("report.by_dimension", &values), "report.group", &part.by, ratio, true);
            }
            if !part.units.is_empty() {
                self.lines(h, &self.fill("report.by_unit", &values), "rollup.unit", &part.units, ratio, true);
            }
            if part.zeros > 0 {
                let count = self.n(part.zeros);
                h.text_el("p", &[("class", "about")], &self.fill("report.zeros", &[("count", &count)]));
            }
        });
    }

    /// A table of figures; with bars where lines are compared with one another.
    fn lines(&self, h: &mut Html, caption: &str, first: &str, lines: &[FigureLine], ratio: bool, bars: bool) {
        let most = lines.iter().map(|l| l.size).max().unwrap_or(0).max(1);
        let closed = lines.iter().any(|l| l.closed.is_some());
        // A dimension is of the units that the whole is of.
        let covered = first != "report.group";
        let mut columns = vec![(first, false), ("rollup.value", true)];
        if bars {
            columns.push(("report.picture", false));
        }
        if ratio {
            columns.push(("report.denominator", true));
            columns.push(("rollup.ratio", false));
        }
        if covered {
            columns.push(("rollup.coverage", false));
            columns.push(("rollup.oldest", false));
        }
        if closed {
            columns.push(("rollup.closed", false));
        }
        h.el("table", &[], |h| {
            self.head(h, caption, &columns);
            h.el("tbody", &[], |h| {
                for line in lines {
                    h.el("tr", &[], |h| {
                        h.text_el("th", &[("scope", "row")], &line.name);
                        h.el("td", &[("class", "n")], |h| match &line.value {
                            Some(value) => h.text(value),
                            None => self.none(h),
                        });
                        if bars {
                            h.el("td", &[("class", "p")], |h| {
                                let value = line.value.as_deref().unwrap_or_default();
                                let title = self.fill("report.bar_value", &[("name", &line.name), ("value", value)]);
                                let part = u64::try_from(line.size.saturating_mul(1_000) / most).unwrap_or(1_000);
                                svg::bar(h, &title, part, false, false);
                            });
                        }
                        if ratio {
                            self.ratio(h, line);
                        }
                        if covered {
                            h.el("td", &[("class", "nw")], |h| self.reported(h, line.coverage.as_ref()));
                            h.el("td", &[("class", "nw")], |h| {
                                match line.coverage.as_ref().and_then(|c| c.oldest.as_ref()) {
                                    Some(at) => h.text(at),
                                    None => self.none(h),
                                }
                            });
                        }
                        if closed {
                            h.text_el("td", &[], line.closed.as_deref().unwrap_or_default());
                        }
                    });
                }
            });
        });
    }

    fn ratio(&self, h: &mut Html, line: &FigureLine) {
        h.el("td", &[("class", "n")], |h| match &line.over {
            Some(over) => h.text(over),
            None => self.none(h),
        });
        h.el("td", &[], |h| match &line.percent {
            Some(percent) => {
                h.text(&self.fill("report.percent", &[("percent", percent)]));
                if line.above {
                    self.flag(h);
                }
            }
            None => self.none(h),
        });
    }

    fn missing(&self, h: &mut Html, r: &Report) {
        h.text_el("h2", &[], &self.t("report.missing"));
        if r.missing.is_empty() {
            h.text_el("p", &[], &self.t("rollup.all_reported"));
            return;
        }
        h.el("table", &[], |h| {
            let caption = self.fill("report.missing_caption", &[("count", &self.n(r.missing_all))]);
            let columns = [
                ("rollup.unit", false),
                ("report.missing_in", false),
                ("rollup.since", false),
                ("rollup.heard", false),
            ];
            self.head(h, &caption, &columns);
            h.el("tbody", &[], |h| {
                for line in &r.missing {
                    h.el("tr", &[], |h| {
                        h.text_el("th", &[("scope", "row")], &line.unit);
                        h.text_el("td", &[], &line.metrics);
                        h.text_el("td", &[("class", "nw")], &line.since);
                        let heard = line.heard.clone().unwrap_or_else(|| self.t("rollup.never"));
                        h.text_el("td", &[("class", "nw")], &heard);
                    });
                }
            });
        });
        if r.missing_all > r.missing.len() {
            let rest = self.n(r.missing_all - r.missing.len());
            h.text_el("p", &[("class", "about")], &self.fill("report.missing_more", &[("count", &rest)]));
        }
    }

    fn silent(&self, h: &mut Html, s: &SilentPart) {
        h.text_el("h2", &[], &self.t("report.silent"));
        let values = [
            ("silent", self.n(s.lines.len())),
            ("units", self.n(s.with_device)),
            ("days", self.n(s.days as usize)),
            ("without", self.n(s.without_device)),
        ];
        let id = if s.without_device > 0 { "silent.sum_without" } else { "silent.sum" };
        let sum = self.fill(id, &values.each_ref().map(|(k, v)| (*k, v.as_str())));
        if s.lines.is_empty() {
            h.text_el("p", &[], &sum);
            return;
        }
        h.el("table", &[], |h| {
            let columns = [("org.unit", false), ("silent.days", true), ("silent.unsent", true), ("silent.call", false)];
            self.head(h, &sum, &columns);
            h.el("tbody", &[], |h| {
                for line in &s.lines {
                    h.el("tr", &[], |h| {
                        h.text_el("th", &[("scope", "row")], &line.unit);
                        let days = line.days.map_or_else(|| self.t("silent.never"), |d| words::count(self.lang, d));
                        h.text_el("td", &[("class", "n")], &days);
                        h.text_el("td", &[("class", "n")], &words::count(self.lang, line.unsent));
                        h.text_el("td", &[], &line.call);
                    });
                }
            });
        });
    }

    fn question(&self, h: &mut Html, q: &QuestionPart) {
        h.text_el("h3", &[], &q.title);
        let (answered, asked) = (self.n(q.answered), self.n(q.asked));
        let missing = self.n(q.asked - q.answered);
        let values = [
            ("what", q.what.as_str()),
            ("answered", answered.as_str()),
            ("asked", asked.as_str()),
            ("missing", missing.as_str()),
        ];
        h.text_el("p", &[("class", "about")], &self.fill("report.question", &values));
        h.el("ul", &[("class", "names")], |h| q.missing.iter().for_each(|n| h.text_el("li", &[], n)));
    }
}

fn point(line: &FigureLine) -> Point {
    Point {
        short: line.short.clone(),
        name: line.name.clone(),
        size: line.size,
        value: line.value.clone().unwrap_or_default(),
    }
}

/// The numbers of a picture in a sentence, for who cannot see it.
fn list(points: &[Point]) -> String {
    points.iter().map(|p| format!("{}: {}", p.name, p.value)).collect::<Vec<_>>().join("; ")
}
