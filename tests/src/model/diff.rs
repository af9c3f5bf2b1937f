//! What a replica holds and says, read from its store, and how it differs from the model.
//!
//! It does not: judge. It reads the store through its own trait, as any caller would.
//!
//! Invariants: a sentence names the record, the commit, the entry and both statuses.

use super::{Model, ModelStatus, view};
use sampan_core::engine::Engine;
use sampan_core::id::{CommitId, RecordId};
use sampan_core::log::{Commit, EntryKind};
use sampan_core::pack::{self, PackScope};
use sampan_core::store::{CommitKey, EntryAt, PendingEntry, RecordState, Status, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where an entry lies, by names that every replica shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In a commit, at this index.
    Sealed(CommitId, usize),
    /// Not yet sealed: its position in this store.
    Pending(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed(commit, index) => write!(f, "commit {commit} entry {index}"),
            Self::Pending(at) => write!(f, "unsealed edit {at}"),
        }
    }
}

/// What one replica holds and says.
#[derive(Debug, Clone)]
pub struct Dump {
    /// Every commit, the quarantine included.
    pub commits: Vec<Commit>,
    /// Those that are set aside.
    pub quarantined: BTreeSet<CommitId>,
    /// Unsealed edits.
    pub pending: Vec<PendingEntry>,
    /// Every record's state.
    pub records: Vec<RecordState>,
    /// The status of every entry, charters included.
    pub statuses: BTreeMap<Place, ModelStatus>,
}

fn of_engine(status: Status) -> ModelStatus {
    match status {
        Status::Accepted => ModelStatus::Accepted,
        Status::Pending => ModelStatus::Pending,
        Status::Blocked => ModelStatus::Blocked,
        Status::Malformed => ModelStatus::Malformed,
        Status::NeedsNewer => ModelStatus::NeedsNewer,
    }
}

impl Dump {
    /// Reads a replica.
    ///
    /// # Errors
    /// [`StoreError`], also where what is stored cannot be read back as commits.
    pub fn of(store: &dyn Store, engine: &Engine) -> Result<Self, StoreError> {
        let damaged = |what: String| StoreError::Damaged(what);
        let mut commits = Vec::new();
        let mut by_key: BTreeMap<CommitKey, CommitId> = BTreeMap::new();
        let mut after = CommitKey(0);
        loop {
            let rows = store.stored_after(after, 1_024)?;
            let Some((_, last)) = rows.last() else { break };
            after = last.key;
            for (log, row) in rows {
                by_key.insert(row.key, row.id);
                for group in store.groups(&log.space, &[row.key])? {
                    commits.extend(read_group(engine, log.space, &group).map_err(damaged)?);
                }
            }
        }
        let mut quarantined = BTreeSet::new();
        for q in store.quarantine()? {
            let scope = PackScope { org: engine.org(), space: q.head.header().space };
            let payloads = pack::decode(&scope, &q.pack, engine.codec()).map_err(|e| damaged(e.to_string()))?;
            for payload in payloads {
                commits.push(Commit::join(q.head.clone(), payload).map_err(|e| damaged(e.to_string()))?);
            }
            quarantined.insert(q.head.id());
        }
        let mut out =
            Self { commits, quarantined, pending: store.pending()?, records: Vec::new(), statuses: BTreeMap::new() };
        out.read_statuses(store, &by_key)?;
        Ok(out)
    }

    fn read_statuses(&mut self, store: &dyn Store, by_key: &BTreeMap<CommitKey, CommitId>) -> Result<(), StoreError> {
        let mut ids: BTreeSet<RecordId> = self.pending.iter().map(|p| p.entry.entry.record).collect();
        for c in &self.commits {
            for (index, e) in c.payload().entries.iter().enumerate() {
                if self.quarantined.contains(&c.id()) {
                    self.statuses.insert(Place::Sealed(c.id(), index), ModelStatus::Quarantined);
                } else if e.entry.kind.is_change() {
                    ids.insert(e.entry.record);
                } else {
                    // The charter's fold judges operations; the store keeps them as they came.
                    self.statuses.insert(Place::Sealed(c.id(), index), ModelStatus::Accepted);
                }
            }
        }
        let ids: Vec<RecordId> = ids.into_iter().collect();
        for state in store.records(&ids)?.into_iter().flatten() {
            let Some(key) = state.key else { continue };
            for e in store.entries(key)? {
                let place = match e.at {
                    EntryAt::Sealed(key, index) => {
                        let id = by_key.get(&key);
                        let id =
                            id.ok_or_else(|| StoreError::Damaged(format!("an entry lies in no commit ({key:?})")))?;
                        Place::Sealed(*id, index as usize)
                    }
                    EntryAt::Pending(key) => Place::Pending(key.0),
                };
                self.statuses.insert(place, of_engine(e.status));
            }
            self.records.push(state);
        }
        Ok(())
    }

    /// The record that an entry speaks of.
    #[must_use]
    pub fn record_at(&self, place: &Place) -> Option<RecordId> {
        match place {
            Place::Sealed(id, index) => {
                let commit = self.commits.iter().find(|c| c.id() == *id)?;
                commit.payload().entries.get(*index).map(|e| e.entry.record)
            }
            Place::Pending(at) => self.pending.iter().find(|p| p.key.0 == *at).map(|p| p.entry.entry.record),
        }
    }
}

fn read_group(
    engine: &Engine,
    space: sampan_core::id::SpaceId,
    group: &sampan_core::wire::frame::Group,
) -> Result<Vec<Commit>, String> {
    let scope = PackScope { org: engine.org(), space };
    let payloads = pack::decode(&scope, &group.pack, engine.codec()).map_err(|e| e.to_string())?;
    let heads = group.headers.iter().map(|h| h.verify(&engine.org()).map_err(|e| e.to_string()));
    heads.zip(payloads).map(|(head, payload)| Commit::join(head?, payload).map_err(|e| e.to_string())).collect()
}

/// How two accounts of the same entries differ, a sentence each.
#[must_use]
pub fn diff(
    engine: &BTreeMap<Place, ModelStatus>,
    model: &BTreeMap<Place, ModelStatus>,
    record_at: &dyn Fn(&Place) -> Option<RecordId>,
) -> Vec<String> {
    let places: BTreeSet<&Place> = engine.keys().chain(model.keys()).collect();
    let word = |status: Option<&ModelStatus>| status.map_or("nothing".to_owned(), |s| format!("{s:?}"));
    let sentence = |place: &Place| {
        let (says, should) = (engine.get(place), model.get(place));
        (says != should).then(|| {
            let record = record_at(place).map_or("an unknown record".to_owned(), |r| format!("record {r}"));
            format!("{record}, {place}: the engine says {}, the model {}", word(says), word(should))
        })
    };
    places.into_iter().filter_map(sentence).collect()
}

/// Everything in which a replica and the model disagree: statuses, frontier, fold of the charter and
/// every document that can be opened. Empty is what it should be.
///
/// # Errors
/// [`StoreError`] when the replica cannot be read.
pub fn disagreements(model: &mut Model, store: &dyn Store, engine: &Engine) -> Result<Vec<String>, StoreError> {
    let dump = Dump::of(store, engine)?;
    let charter = model.charter(&dump.commits);
    let frontier = model.frontier(&charter, &dump.commits);
    let overfull = Model::overfull(&frontier);
    let uncertain: BTreeSet<CommitId> = dump
        .commits
        .iter()
        .filter(|c| overfull.contains(&(c.header().space, c.header().device, c.header().incarnation)))
        .map(Commit::id)
        .collect();
    let mut expected = model.statuses(&charter, &dump.commits, &dump.pending, engine.device());
    let mut found = dump.statuses.clone();
    if !uncertain.is_empty() {
        // Which tips of such a log stand depends on who came first, and so do all that share a record.
        let touched: BTreeSet<Option<RecordId>> = found
            .keys()
            .filter(|p| matches!(p, Place::Sealed(id, _) if uncertain.contains(id)))
            .map(|p| dump.record_at(p))
            .collect();
        found.retain(|p, _| !touched.contains(&dump.record_at(p)));
        expected.retain(|p, _| !touched.contains(&dump.record_at(p)));
    }
    let mut out = diff(&found, &expected, &|p| dump.record_at(p));
    let mut held = super::Frontier::new();
    for (space, tips) in engine.holdings().spaces() {
        for (log, tips) in tips.logs().filter(|(_, tips)| !tips.is_empty()) {
            held.entry(*space).or_default().insert(*log, tips.iter().copied().collect());
        }
    }
    let spaces: BTreeSet<_> = held.keys().chain(frontier.keys()).collect();
    for space in spaces.into_iter().filter(|s| !overfull.iter().any(|(o, _, _)| o == *s)) {
        let (has, should) = (held.get(space), frontier.get(space));
        if has != should {
            out.push(format!("space {space:?}: the engine's tips are {has:?}, the model's {should:?}"));
        }
    }
    out.extend(charter_differs(engine, &charter));
    out.extend(erasures_differ(&dump, &charter));
    for state in &dump.records {
        out.extend(document_differs(store, engine, state));
    }
    Ok(out)
}

/// Whatever is held of an erased record but holes, and holes that nothing accounts for.
fn erasures_differ(dump: &Dump, charter: &super::ModelCharter) -> Vec<String> {
    let mut out = Vec::new();
    let mut look = |whose: String, space: &sampan_core::id::SpaceId, e: &sampan_core::log::Entry| {
        let erased = charter.erased.contains(&(space.unit, e.record.to_string()));
        if space.flow != sampan_core::id::Flow::Charter && erased != (e.kind == EntryKind::Hole) {
            out.push(format!("record {}, {whose}: erased {erased}, and held as {:?}", e.record, e.kind));
        }
    };
    for c in &dump.commits {
        c.payload().entries.iter().for_each(|e| look(format!("commit {}", c.id()), &c.header().space, &e.entry));
    }
    dump.pending.iter().for_each(|p| look("an unsealed edit".to_owned(), &p.space, &p.entry.entry));
    out
}

fn charter_differs(engine: &Engine, model: &super::ModelCharter) -> Vec<String> {
    let mut out = Vec::new();
    let mut compare = |what: &str, engine: String, model: String| {
        if engine != model {
            out.push(format!("charter, {what}: the engine has {engine}, the model {model}"));
        }
    };
    let c = engine.charter();
    let units: BTreeMap<_, _> = c.units().map(|u| (u.id, (u.parent, usize::from(u.depth), &u.kind))).collect();
    let plain: BTreeMap<_, _> = model.units.iter().map(|(id, u)| (*id, (u.parent, u.depth, &u.kind))).collect();
    compare("units", format!("{units:?}"), format!("{plain:?}"));
    let rights: BTreeSet<_> = c.all_rights().map(|(d, r)| (*d, r.unit, r.roles, r.subtree, r.until, r.key)).collect();
    let all = model.rights.iter().flat_map(|(d, rights)| rights.iter().map(move |r| (d, r)));
    let plain: BTreeSet<_> = all.map(|(d, r)| (*d, r.unit, r.roles, r.subtree, r.until, r.key)).collect();
    compare("rights", format!("{rights:?}"), format!("{plain:?}"));
    let used: BTreeMap<_, _> = c.tickets().map(|(k, t)| (*k, t.used_by)).collect();
    let plain: BTreeMap<_, _> = model.tickets.iter().map(|(k, (_, used))| (*k, *used)).collect();
    compare("tickets", format!("{used:?}"), format!("{plain:?}"));
    let erased: BTreeSet<_> = c.erasures().map(|e| (e.unit, e.what.name())).collect();
    compare("erasures", format!("{erased:?}"), format!("{:?}", model.erased));
    compare("schema", format!("{:?}", c.schema().map(|s| (s.version, &s.text))), {
        format!("{:?}", model.schema.as_ref().map(|(v, _, text)| (*v, text)))
    });
    out
}

fn document_differs(store: &dyn Store, engine: &Engine, state: &RecordState) -> Option<String> {
    let standing: Vec<Vec<u8>> = match state.key.map(|key| store.entries(key)) {
        Some(Ok(entries)) => entries.into_iter().filter(|e| e.status == Status::Accepted).map(|e| e.bytes).collect(),
        Some(Err(e)) => return Some(format!("record {}: its entries cannot be read: {e}", state.id)),
        None => return None,
    };
    let says = |what: String| Some(format!("record {}: {what}", state.id));
    let doc = match view::document(standing.iter().map(Vec::as_slice)) {
        Ok(Some(doc)) => doc,
        Ok(None) => return None,
        Err(why) => return says(why),
    };
    let shown = engine.document(store, state.id).map_err(|e| e.to_string());
    let shown = shown.and_then(|(_, _, d)| d.view().map_err(|e| e.to_string()));
    match shown {
        Ok(view) => view::same_view(&view, &doc).err().and_then(says),
        Err(e) => says(format!("the engine does not open it: {e}")),
    }
}
