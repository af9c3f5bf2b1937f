//! How a command ends: its exit code, and the error that a person or a program reads.
//!
//! It does not: choose codes (see [`super::codes`]) or convert errors (see [`super::convert`]).
//!
//! Invariants: every error has a hint; the exit follows from the code.

use super::codes::Code;
use super::output::OutputError;
use crate::i18n::{Lang, t};
use serde_json::json;

/// The exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitCode {
    /// Done; also an empty list, conflicts that exist, joined but not yet seen by a relay.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Bad usage or bad input.
    BadInput = 2,
    /// Refused: no right.
    Refused = 3,
    /// Not reachable, or not yet in sync.
    NotInSync = 4,
    /// Damaged data found.
    Damaged = 5,
    /// Interrupted.
    Interrupted = 130,
}

impl ExitCode {
    /// The number that the system sees.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(exit: ExitCode) -> Self {
        Self::from(exit.number())
    }
}

/// An error as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// The exit.
    pub exit: ExitCode,
    /// The name of its code, from [`super::codes`].
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// Where: a file and line, a field, an address.
    pub where_: Option<String>,
    /// What to do next.
    pub hint: String,
    /// One line for each single finding, such as the bad rows of an import.
    pub details: Vec<String>,
}

impl CliError {
    /// The error of this code, its words from the catalogue.
    #[must_use]
    pub fn new(lang: Lang, code: &'static Code, values: &[(&str, &str)]) -> Self {
        Self {
            exit: code.exit,
            code: code.name,
            message: t(lang, &format!("error.{}", code.name), values),
            where_: None,
            hint: t(lang, &format!("hint.{}", code.name), values),
            details: Vec::new(),
        }
    }

    /// With the place.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.where_ = Some(place.into());
        self
    }

    /// With single findings.
    #[must_use]
    pub fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// The findings, the message and the hint, a line each.
    #[must_use]
    pub fn to_words(&self) -> String {
        let mut out = String::new();
        for line in self.details.iter().chain([&self.message]) {
            out.push_str(line);
            out.push('\n');
        }
        out.push_str(&self.hint);
        out
    }

    /// The object that programs read.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut error = json!({
            "code": self.code,
            "message": self.message,
            "where": self.where_,
            "hint": self.hint,
        });
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        json!({ "error": error }).to_string()
    }
}

impl From<OutputError> for CliError {
    // The one error whose language is not known where it arises; it is as rare as a full pipe.
    fn from(error: OutputError) -> Self {
        Self::new(Lang::En, &super::codes::OUTPUT, &[("what", &error.0.to_string())])
    }
}
