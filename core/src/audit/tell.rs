//! The readable part of a record's entries, computed from their signed bytes: by who makes a file and
//! again by who checks it.
//!
//! It does not: look at any store.
//!
//! Invariants: a pure function of the set of entries, the organisation and the schema.

use super::line::ChangedField;
use crate::engine::{NewRecordEntry, judge};
use crate::id::{ChangeHash, OrgId, RecordId};
use crate::log::EntryKind;
use crate::record::{Document, Step};
use crate::schema::{Schema, to_json};
use crate::store::Status;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What is told of one entry.
pub(super) struct Told {
    /// What it counts for.
    pub(super) status: &'static str,
    /// What it did.
    pub(super) fields: BTreeMap<String, ChangedField>,
}

/// The names of the statuses.
fn name(status: Status) -> &'static str {
    match status {
        Status::Accepted => "accepted",
        Status::Pending => "pending",
        Status::Blocked => "blocked",
        Status::Malformed => "malformed",
        Status::NeedsNewer => "needs_newer",
    }
}

/// The names of kinds of entries that a record has.
pub(super) const KINDS: [(EntryKind, &str); 3] =
    [(EntryKind::Change, "change"), (EntryKind::Identity, "identity"), (EntryKind::Birth, "birth")];

/// What stands of a record and what each standing change did, entry by entry.
pub(super) fn tell(
    org: &OrgId,
    schema: Option<&Schema>,
    record: RecordId,
    entries: &[NewRecordEntry<'_>],
) -> Vec<Told> {
    let judged = judge(org, record, None, &[], entries);
    let standing = entries.iter().zip(&judged.statuses).filter(|(_, s)| **s == Status::Accepted);
    // A record that Automerge cannot open is told without its fields; its bytes are there all the same.
    let steps = Document::load(record, standing.map(|(e, _)| e.bytes)).and_then(|d| d.history()).unwrap_or_default();
    let steps: BTreeMap<ChangeHash, Step> = steps.into_iter().map(|s| (s.change, s)).collect();
    let collection = schema.and_then(|s| s.collection(&judged.state.collection));
    let fields = |hash: &ChangeHash| {
        let touched = steps.get(hash).map(|s| s.fields.as_slice()).unwrap_or_default();
        let one = touched.iter().map(|f| {
            let json = |v: &Option<_>| {
                v.as_ref().map_or(Json::Null, |v| to_json(collection.and_then(|c| c.field(&f.field)), v))
            };
            (f.field.clone(), ChangedField { old: json(&f.old), new: json(&f.new) })
        });
        one.collect()
    };
    let told = entries.iter().zip(&judged.statuses).map(|(e, s)| Told {
        status: name(*s),
        fields: if *s == Status::Accepted { fields(&e.hash) } else { BTreeMap::new() },
    });
    told.collect()
}
