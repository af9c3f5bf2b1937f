//! What is wrong with an audit file, as a sentence.
//!
//! It does not: choose exits or languages.

use crate::id::{CommitId, DeviceId, OrgId, RecordId, UnitId};

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// No audit file at all.
    #[error("this is no audit file")]
    NotAudit,
    /// A later form.
    #[error("an audit file of form {0} needs a newer Sampan")]
    Newer(u32),
    /// A line that is not in its one form, or not where it may stand.
    #[error("the line cannot be read: {0}")]
    Unreadable(&'static str),
    /// It ends before its last line.
    #[error("the file is cut: its last line is missing")]
    Cut,
    /// Signed under another root key.
    #[error("the evidence is of another organisation, with the root key {0}")]
    OtherRoot(OrgId),
    /// A commit that does not verify.
    #[error("a commit does not hold: {0}")]
    Commit(String),
    /// A commit of the charter that another builds on is not in the file.
    #[error("the charter commit {0}, on which this one rests, is missing")]
    CharterMissing(CommitId),
    /// The charter in the file does not begin at the root key.
    #[error("the charter does not begin with a founding by the root key")]
    NoFounding,
    /// No chain of grants gives the author the right.
    #[error("nothing in the charter gives device {device} the right to write in unit {unit}")]
    NoRight {
        /// The author.
        device: DeviceId,
        /// The unit.
        unit: UnitId,
    },
    /// An entry of a commit that is not in the file.
    #[error("the commit {0} of this entry is missing")]
    CommitMissing(CommitId),
    /// An entry that is not in its commit, or not as that says.
    #[error("the entry of record {0} is not what its author signed at this place")]
    NotSigned(RecordId),
    /// A readable column that the signed bytes do not bear out.
    #[error("the column '{0}' says something else than the signed bytes")]
    Column(&'static str),
    /// The same thing twice, or a record in two places.
    #[error("the same stands twice: {0}")]
    Twice(String),
    /// The maker's digest or signature.
    #[error("the file is not what device {0} signed")]
    Maker(DeviceId),
    /// The maker is nobody in this organisation.
    #[error("device {0}, which made the file, has no right in this organisation")]
    MakerUnknown(DeviceId),
}

impl Finding {
    /// Whether the file is no evidence at all (bad input), and not evidence that does not hold.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::NotAudit | Self::Newer(_) | Self::Unreadable(_) | Self::Cut => true,
            Self::OtherRoot(_)
            | Self::Commit(_)
            | Self::CharterMissing(_)
            | Self::NoFounding
            | Self::NoRight { .. }
            | Self::CommitMissing(_)
            | Self::NotSigned(_)
            | Self::Column(_)
            | Self::Twice(_)
            | Self::Maker(_)
            | Self::MakerUnknown(_) => false,
        }
    }
}

/// A finding and the line it was found at, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct AuditError {
    /// The line.
    pub line: u64,
    /// What is wrong.
    pub what: Finding,
}
