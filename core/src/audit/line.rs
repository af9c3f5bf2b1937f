//! The lines of an audit file, as JSON.
//!
//! It does not: check anything but the form.
//!
//! Invariants: a line has exactly one text: what reads is written again and must come out the same, so
//! that no byte of it is free.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

use crate::time::Millis;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// The first: whose, by whom, of what.
    Audit(HeadLine),
    /// A commit of a charter, whole.
    Charter(CharterLine),
    /// A commit of records, its signed header alone.
    Commit(CommitLine),
    /// One entry of such a commit, with the proof that it is in it.
    Entry(EntryLine),
    /// The last: the maker's signature over all the others.
    End(EndLine),
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadLine {
    /// The form, [`FORM`](super::FORM).
    pub form: u32,
    /// The organisation: its root key.
    pub organisation: String,
    /// Its name, as its charter says.
    pub name: String,
    /// The device that made the file.
    pub made_by: String,
    /// When, by its clock.
    pub made_at: String,
    /// What was asked for.
    pub of: OfLine,
}

/// What the file is of; all that is given holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OfLine {
    /// One record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The records of a unit and of those below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The records that something was done to since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// A commit of a charter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CharterLine {
    /// Its id.
    pub commit: String,
    /// The unit whose charter it is.
    pub unit: String,
    /// The key that signed.
    pub author: String,
    /// The author's label of time.
    pub at: String,
    /// When the maker of the file first saw it: the maker's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen_at: Option<String>,
    /// What its operations are, by name.
    pub operations: Vec<String>,
    /// The commit: a group of one (manual, section 4) with a stored pack.
    pub group: String,
    /// `outside` where a cut of its author leaves its operations without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
}

/// A commit of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitLine {
    /// Its id.
    pub commit: String,
    /// The unit of its space.
    pub unit: String,
    /// The device that signed.
    pub author: String,
    /// The author's label of time when sealing.
    pub at: String,
    /// The header's bytes.
    pub header: String,
    /// The signature.
    pub signature: String,
    /// Where it lies to the cuts of its author: `inside`, `outside`, `released` or `rejected`; nothing where no
    /// cut bears on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
}

/// What a change did to one field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangedField {
    /// What its author saw.
    pub old: Json,
    /// What stood afterwards.
    pub new: Json,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntryLine {
    /// The commit.
    pub commit: String,
    /// Its place there, from 0.
    pub index: u32,
    /// The record.
    pub record: String,
    /// Its collection.
    pub collection: String,
    /// `change`, `identity` or `birth`.
    pub kind: String,
    /// Who did it; nothing for what every replica computes.
    pub author: Option<String>,
    /// The unit.
    pub unit: String,
    /// When, as the author says.
    pub at: String,
    /// When the maker of the file first saw it: the maker's word.
    pub first_seen_at: String,
    /// What it counts for; `outside` for an entry of a commit that lies outside a cut or was rejected.
    pub status: String,
    /// The change's hash.
    pub change: String,
    /// What it did, by field; empty for what does not stand.
    pub fields: BTreeMap<String, ChangedField>,
    /// The field and the kind's number, of a birth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth: Option<(String, u8)>,
    /// Its salt.
    pub salt: String,
    /// The sibling hashes, one after the other, lowest first.
    pub proof: String,
    /// The change's bytes.
    pub payload: String,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndLine {
    /// How many lines stand before it.
    pub lines: u64,
    /// Their digest.
    pub digest: String,
    /// The maker's signature over the digest.
    pub signature: String,
}

impl Line {
    /// Reads a line without its end; `None` unless it is in its one form.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let line: Self = serde_json::from_str(text).ok()?;
        (line.write() == text).then_some(line)
    }

    /// The text, without an end of line.
    #[must_use]
    pub fn write(&self) -> String {
        // Strings, numbers and lists of them: nothing in a line can fail to be JSON.
        serde_json::to_string(self).unwrap_or_else(|e| unreachable!("a line is JSON: {e}"))
    }
}

/// RFC 3339, UTC, with milliseconds: the label to its last digit.
#[must_use]
pub fn utc(at: Millis) -> String {
    let (days, ms) = (at.0 / 86_400_000, at.0 % 86_400_000);
    // Days to a date of the Gregorian calendar, in years that begin in March: H. Hinnant, "chrono-Compatible
    // Low-Level Date Algorithms", civil_from_days.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (s, ms) = (ms / 1_000, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3_600, s / 60 % 60, s % 60)
}
