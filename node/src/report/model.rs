//! What a report says, in words and numbers that are ready to be laid out.
//!
//! It does not: know markup, escape, or read a replica.
//!
//! Invariants: texts are as people wrote them, unescaped; numbers that a picture is drawn from stand beside the same
//! numbers in words.

use crate::i18n::Lang;

/// A whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its language.
    pub lang: Lang,
    /// The organisation.
    pub organisation: String,
    /// The unit, by its path.
    pub unit: String,
    /// The period that was asked for; `None` for as of now.
    pub period: Option<String>,
    /// When it was made.
    pub made_at: String,
    /// The last stored commit that is in its figures.
    pub projected_to: u64,
    /// Targets.
    pub targets: Vec<TargetPart>,
    /// Metrics.
    pub metrics: Vec<MetricPart>,
    /// Units that have not reported.
    pub missing: Vec<MissingLine>,
    /// How many there are, listed or not.
    pub missing_all: usize,
    /// Units that were not heard of; `None` where that is not known.
    pub silent: Option<SilentPart>,
    /// What was asked and is not answered by all.
    pub questions: Vec<QuestionPart>,
}

/// One target at a unit and at those one level down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPart {
    /// What it is called, with its slice.
    pub title: String,
    /// Its period.
    pub period: String,
    /// How it is measured.
    pub measured: String,
    /// The unit first, then those below it.
    pub lines: Vec<TargetLine>,
    /// Units below that have neither a target nor a result, and no line.
    pub without: usize,
    /// What was reached by the end of each period.
    pub steps: Vec<Point>,
    /// The target of the unit: the line that the picture has.
    pub goal: Option<Point>,
}

/// A target at a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetLine {
    /// The unit.
    pub unit: String,
    /// What was set for it.
    pub target: Option<String>,
    /// What was handed down below it, and to how many units.
    pub handed_down: Option<String>,
    /// The result.
    pub value: Option<String>,
    /// Percent.
    pub percent: Option<String>,
    /// The percent is of what was handed down.
    pub of_handed_down: bool,
    /// Thousandths of the whole, for the bar.
    pub thousandths: u64,
    /// More than a hundred percent.
    pub above: bool,
    /// How complete the result is.
    pub coverage: Reported,
    /// Why there is no result.
    pub problem: Option<String>,
}

/// How complete a figure is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reported {
    /// Units that reported.
    pub reported: u64,
    /// Units that were expected.
    pub expected: u64,
    /// The oldest of what they last said.
    pub oldest: Option<String>,
}

/// One column of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// In few letters.
    pub short: String,
    /// In full.
    pub name: String,
    /// What it is drawn by; scaled, never below 0.
    pub size: u128,
    /// The same in words.
    pub value: String,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricPart {
    /// What it is called.
    pub title: String,
    /// The period whose figures are shown.
    pub period: String,
    /// What it is divided by, where it is a ratio.
    pub over: Option<String>,
    /// The dimensions.
    pub dimensions: String,
    /// The whole in the period that is shown, and in those before it, oldest first.
    pub series: Vec<FigureLine>,
    /// What has no date that is known well enough.
    pub undated: Option<String>,
    /// By dimension.
    pub by: Vec<FigureLine>,
    /// By unit.
    pub units: Vec<FigureLine>,
    /// Units of which nothing is counted, and that have no line.
    pub zeros: usize,
    /// What must be told of it: corrections, figures too large to travel.
    pub notes: Vec<String>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FigureLine {
    /// The period, the dimensions or the unit.
    pub name: String,
    /// The name in few letters.
    pub short: String,
    /// What it is drawn by; scaled, never below 0.
    pub size: u128,
    /// The value; `None` where there is none.
    pub value: Option<String>,
    /// What it is divided by.
    pub over: Option<String>,
    /// Percent.
    pub percent: Option<String>,
    /// More than a hundred percent.
    pub above: bool,
    /// How complete it is; `None` where that is not known.
    pub coverage: Option<Reported>,
    /// What the period closed with.
    pub closed: Option<String>,
}

/// A unit that has not reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingLine {
    /// The unit, by its path.
    pub unit: String,
    /// The metrics that miss it.
    pub metrics: String,
    /// Since when.
    pub since: String,
    /// When it was last heard of; `None` for never.
    pub heard: Option<String>,
}

/// The call list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentPart {
    /// After how many days a unit is silent.
    pub days: u32,
    /// Units below that have a device.
    pub with_device: usize,
    /// Units below that have none.
    pub without_device: usize,
    /// Silent units.
    pub lines: Vec<SilentLine>,
}

/// A unit that was not heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentLine {
    /// The unit, by its path.
    pub unit: String,
    /// Days; `None` for never heard of.
    pub days: Option<u64>,
    /// Changes that it had not sent.
    pub unsent: u64,
    /// Whom to call.
    pub call: String,
}

/// A question that not all have answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionPart {
    /// What it is called.
    pub title: String,
    /// Its rule: what is to be done.
    pub what: String,
    /// Units that have answered.
    pub answered: usize,
    /// Units that are asked.
    pub asked: usize,
    /// Those that have not, by path.
    pub missing: Vec<String>,
}
