//! The plain model of a record and of a log, written without the engine: what a set of changes and
//! commits must come to.
//!
//! It does not: call anything of core but to compare; the changes are read by Automerge itself.
//!
//! Invariants: functions of sets: no order of arrival is known here.

use automerge::{Automerge, Change, ReadDoc as _, ScalarValue};
use sampan_core::id::{CommitId, DeviceId, Incarnation, SpaceId};
use sampan_core::log::Commit;
use sampan_core::record::View;
use sampan_core::store::Status;
use sampan_core::value::Value;
use std::collections::{BTreeMap, BTreeSet};

type Hash = [u8; 32];

/// The tips of every log: the commits that no other commit of the same log names as its parent.
pub fn tips<'a>(
    commits: impl Iterator<Item = &'a Commit> + Clone,
) -> BTreeMap<(SpaceId, DeviceId, Incarnation), BTreeSet<CommitId>> {
    let mut out: BTreeMap<_, BTreeSet<CommitId>> = BTreeMap::new();
    for c in commits.clone() {
        let h = c.header();
        let named = commits.clone().any(|o| o.header().log() == h.log() && o.header().parents.contains(&c.id()));
        if !named {
            out.entry((h.space, h.device, h.incarnation)).or_default().insert(c.id());
        }
    }
    out
}

/// What the changes of one record come to.
pub struct Card {
    /// The status of each change by its hash.
    pub statuses: BTreeMap<Hash, Status>,
    fields: BTreeMap<String, Value>,
    removed: bool,
}

impl Card {
    /// Of these changes, in whatever order.
    pub fn of<'a>(bytes: impl Iterator<Item = &'a [u8]>) -> Self {
        let changes = read(bytes);
        let statuses = statuses(&changes);
        let standing = changes.iter().filter(|(h, _)| statuses[*h] == Status::Accepted);
        let (fields, removed) = document(standing.map(|(_, c)| c));
        Self { statuses, fields, removed }
    }

    /// Compares a view with Automerge's own document of what stands.
    ///
    /// # Errors
    /// Both, where they differ.
    pub fn same(&self, view: &View) -> Result<(), String> {
        if view.fields == self.fields && view.removed == self.removed {
            return Ok(());
        }
        let (fields, removed) = (&self.fields, self.removed);
        Err(format!("the view is {:?}, removed {}, Automerge shows {fields:?}, {removed}", view.fields, view.removed))
    }
}

/// The changes of one record, read by Automerge.
fn read<'a>(bytes: impl Iterator<Item = &'a [u8]>) -> BTreeMap<Hash, Change> {
    let changes = bytes.map(|b| Change::from_bytes(b.to_vec()).expect("a change that Automerge reads"));
    changes.map(|c| (c.hash().0, c)).collect()
}

/// Which changes of an honest record stand.
///
/// What misses an ancestor waits. Of several changes with one actor and sequence the lowest hash
/// stands; the others, and whatever builds on them, are blocked: settled from the earliest on.
fn statuses(changes: &BTreeMap<Hash, Change>) -> BTreeMap<Hash, Status> {
    let mut out: BTreeMap<Hash, Status> = BTreeMap::new();
    let mut order: Vec<&Change> = changes.values().collect();
    order.sort_by_key(|c| (c.start_op(), c.hash().0));
    for c in &order {
        let whole = c.deps().iter().all(|d| out.get(&d.0) == Some(&Status::Accepted));
        out.insert(c.hash().0, if whole { Status::Accepted } else { Status::Pending });
    }
    loop {
        // The earliest actor and sequence that still has two standing changes.
        let mut places: BTreeMap<(Vec<u8>, u64), Vec<&Change>> = BTreeMap::new();
        for c in order.iter().filter(|c| out[&c.hash().0] == Status::Accepted) {
            places.entry((c.actor_id().to_bytes().to_vec(), c.seq())).or_default().push(c);
        }
        let doubles = places.into_iter().filter(|(_, all)| all.len() > 1);
        let Some((_, all)) = doubles.min_by_key(|(place, all)| (all[0].start_op(), place.clone())) else {
            return out;
        };
        let winner = all.iter().map(|c| c.hash().0).min();
        let mut lost: BTreeSet<Hash> = all.iter().map(|c| c.hash().0).filter(|h| Some(*h) != winner).collect();
        for c in &order {
            if c.deps().iter().any(|d| lost.contains(&d.0)) {
                lost.insert(c.hash().0);
            }
        }
        for hash in lost {
            out.entry(hash).and_modify(|s| {
                if *s == Status::Accepted {
                    *s = Status::Blocked;
                }
            });
        }
    }
}

/// The fields that Automerge's own document of these changes shows, and whether it is removed.
fn document<'a>(changes: impl Iterator<Item = &'a Change>) -> (BTreeMap<String, Value>, bool) {
    // The actor that it draws never writes: the document is only read.
    #[allow(clippy::disallowed_methods)]
    let mut doc = Automerge::new();
    doc.apply_changes(changes.cloned().collect::<Vec<_>>()).expect("honest changes apply");
    let mut fields = BTreeMap::new();
    let mut removed = false;
    for key in doc.keys(automerge::ROOT).collect::<Vec<_>>() {
        let (value, id) = doc.get(automerge::ROOT, key.as_str()).unwrap().expect("a key that is listed");
        let value = match value {
            automerge::Value::Object(_) => Value::Text(doc.text(&id).unwrap()),
            automerge::Value::Scalar(s) => match s.as_ref() {
                ScalarValue::Str(s) => Value::Str(s.to_string()),
                ScalarValue::Counter(c) => Value::Counter(c.into()),
                ScalarValue::Boolean(b) => Value::Bool(*b),
                other => Value::Other(format!("{other:?}")),
            },
        };
        if key == "_removed" {
            removed = value == Value::Bool(true);
        } else if !key.starts_with('_') {
            fields.insert(key, value);
        }
    }
    (fields, removed)
}
