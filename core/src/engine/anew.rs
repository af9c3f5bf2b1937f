//! Edits of this device that are blocked by what a cut took out: its own replica writes them anew on what stands.
//!
//! It does not: touch another author's edits (their replicas do), bring back what was cut, or write onto a record
//! whose creation was cut.
//!
//! Invariants: an edit is written anew at most once, with its author's time, beside everything that it was made beside
//! (on those of its ancestors that stand, so that what others wrote meanwhile is an ordinary conflict). Its bytes follow
//! from the edit and from what stands of its ancestors: a copy of this disk or a restored backup writes the same bytes,
//! which fold by hash. What would count twice if the edit came to stand after all (a counter's sum, text, elements of a
//! list) is written only when what blocks it was rejected; until then it is listed.

use super::intake::{CONTINUES, OUTSIDE, TAKEN};
use super::{Engine, meta};
use crate::change::Parsed;
use crate::id::{ActorId, ChangeHash, DeviceId, Nonce, RecordId, SpaceId};
use crate::log::{BirthOf, Entry, EntryKind, EntryPayload};
use crate::record::{Document, EditContext, NewChange, REMOVED_KEY};
use crate::schema::Collection;
use crate::store::{Batch, PendingEntry, PendingKey, Quarantined, RecordEntry, RecordState, Status, Store, StoreError};
use crate::time::Millis;
use crate::value::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// An edit of this device that was made on top of something that a cut took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnBlocked {
    /// Its record.
    pub record: RecordId,
    /// Its change.
    pub change: ChangeHash,
    /// What became of it.
    pub fate: Fate,
}

/// What becomes of a blocked edit of this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It was written anew.
    Anew,
    /// It waits: it stands if what blocks it is released, and is written anew if that is rejected.
    Waits,
    /// The creation of its record was cut: there is nothing to write it onto.
    NoRecord,
}

/// The actor under which a device writes an edit of one of its actors anew.
pub(super) fn actor_anew(device: &DeviceId, actor: &ActorId) -> ActorId {
    ActorId::of(device, &nonce_anew(actor))
}

fn nonce_anew(actor: &ActorId) -> Nonce {
    Nonce(crate::hash::tagged16("anew", &[&actor.0]))
}

/// The nonce that follows one whose edits no longer all stand: the next edit of such a record would have the
/// sequence of one that may stand again, and only one of the two could.
pub(super) fn nonce_after(nonce: &Nonce) -> Nonce {
    Nonce(crate::hash::tagged16("after a cut", &[&nonce.0]))
}

/// What of this store a cut took out, and nothing that came from elsewhere: only on such a thing this device built.
pub(super) fn taken_out(device: &DeviceId, q: &Quarantined) -> bool {
    q.peer == *device && [OUTSIDE, TAKEN, CONTINUES].contains(&q.reason.as_str())
}

/// A change that is known here, wherever it lies.
struct Known {
    bytes: Vec<u8>,
    deps: Vec<ChangeHash>,
    stands: bool,
    /// In the quarantine, and whether it was rejected.
    aside: Option<bool>,
}

/// A record with changes of this device that do not stand because of what lies in the quarantine.
struct Stuck {
    state: RecordState,
    entries: Vec<RecordEntry>,
    known: BTreeMap<ChangeHash, Known>,
    /// The changes, ancestors first.
    own: Vec<RecordEntry>,
}

impl Engine {
    /// Edits of this device that were made on what a cut took out, and what became of each.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn own_blocked(&self, store: &dyn Store) -> Result<Vec<OwnBlocked>, StoreError> {
        let mut out = Vec::new();
        for stuck in self.stuck(store)? {
            for e in &stuck.own {
                let fate = if store.meta(&meta::anew(&e.hash))?.is_some() {
                    Fate::Anew
                } else if stuck.state.heads.is_empty() {
                    Fate::NoRecord
                } else {
                    Fate::Waits
                };
                out.push(OwnBlocked { record: stuck.state.id, change: e.hash, fate });
            }
        }
        out.sort_unstable();
        Ok(out)
    }

    /// Writes anew what is due; returns the number of edits. Each record is one durable write, with the marks of
    /// what was written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn write_anew(&mut self, store: &mut dyn Store, now: Millis) -> Result<u64, StoreError> {
        if !self.anew_due {
            return Ok(0);
        }
        let mut made = 0;
        for stuck in self.stuck(store)? {
            made += self.write_record_anew(store, stuck, now)?;
        }
        self.anew_due = false;
        Ok(made)
    }

    /// Whether something in the quarantine may block an edit of this device.
    pub(super) fn may_block(&self, quarantine: &[Quarantined]) -> bool {
        quarantine.iter().any(|q| taken_out(&self.device, q))
    }

    fn stuck(&self, store: &dyn Store) -> Result<Vec<Stuck>, StoreError> {
        let mut aside: BTreeMap<RecordId, BTreeMap<ChangeHash, Known>> = BTreeMap::new();
        for q in store.quarantine()?.iter().filter(|q| taken_out(&self.device, q)) {
            let rejected = self.charter.rejected(&q.head.id(), &q.head.header().space.unit);
            let commit = self.open_laid(q).map_err(|e| StoreError::Damaged(e.to_string()))?;
            for e in commit.payload().entries.iter().filter(|e| e.entry.kind.is_change()) {
                let Ok(parsed) = Parsed::read(&e.payload) else { continue };
                let (bytes, deps) = (e.payload.clone(), parsed.deps.clone());
                let known = Known { bytes, deps, stands: false, aside: Some(rejected) };
                aside.entry(e.entry.record).or_default().insert(e.entry.change(), known);
            }
        }
        let ids: Vec<RecordId> = aside.keys().copied().collect();
        let mut out = Vec::new();
        for ((_, mut known), state) in aside.into_iter().zip(store.records(&ids)?) {
            let Some(state) = state.filter(|s| s.irregular > 0 && !s.damaged) else { continue };
            let Some(key) = state.key.filter(|_| !self.charter.is_erased(&state.space.unit, &state.id)) else {
                continue;
            };
            let entries = store.entries(key)?;
            let mut own = Vec::new();
            for e in &entries {
                let Ok(parsed) = Parsed::read(&e.bytes) else { continue };
                let stands = e.status == Status::Accepted;
                let waits = matches!(e.status, Status::Pending | Status::Blocked);
                if e.author == self.device && e.kind == EntryKind::Change && waits {
                    own.push((parsed.start_op, e.clone()));
                }
                // What stands beside its twin in the quarantine (a birth) stands.
                let (bytes, deps) = (e.bytes.clone(), parsed.deps.clone());
                known.insert(e.hash, Known { bytes, deps, stands, aside: None });
            }
            own.sort_by_key(|(start, e)| (*start, e.hash));
            own.dedup_by_key(|(_, e)| e.hash);
            let by_cut = |e: &RecordEntry| {
                past(&known, [e.hash]).iter().any(|h| known.get(h).is_some_and(|k| k.aside.is_some()))
            };
            let own: Vec<RecordEntry> = own.into_iter().map(|(_, e)| e).filter(by_cut).collect();
            if !own.is_empty() {
                out.push(Stuck { state, entries, known, own });
            }
        }
        Ok(out)
    }

    fn write_record_anew(&self, store: &mut dyn Store, stuck: Stuck, now: Millis) -> Result<u64, StoreError> {
        let Stuck { state, entries, mut known, own } = stuck;
        let schema = self.schema.as_ref();
        let Some(collection) = schema.and_then(|s| s.collection(&state.collection)) else { return Ok(0) };
        let space = state.space;
        let creation = entries.iter().find(|e| e.status == Status::Accepted && super::edit::is_creation(e));
        let Some(creation) = creation.map(|e| e.hash) else { return Ok(0) };
        let cut = !self.may_seal(&space, &collection.id);
        if cut || self.check_right(store, collection, space.unit, now).is_err() {
            return Ok(0);
        }
        let mut batch = Batch::at(now);
        let mut new: Vec<(PendingEntry, ActorId)> = Vec::new();
        let mut written = 0;
        // What each was written as, of those before it.
        let mut anew: BTreeMap<ChangeHash, ChangeHash> = BTreeMap::new();
        for e in &own {
            let mark = store.meta(&meta::anew(&e.hash))?.and_then(|mark| mark.try_into().ok());
            anew.extend(mark.map(|written: [u8; 32]| (e.hash, ChangeHash(written))));
        }
        for e in &own {
            if anew.contains_key(&e.hash) {
                continue;
            }
            let actor = actor_anew(&self.device, &e.actor);
            // A store put back to before the mark finds what was written: it came back from the relay.
            let same = |o: &&RecordEntry| o.actor == actor && o.time == e.time && o.kind == EntryKind::Change;
            let taken: BTreeSet<ChangeHash> = anew.values().copied().collect();
            let twin = entries.iter().filter(same).find(|o| !taken.contains(&o.hash));
            let made = match twin {
                Some(twin) => Some((twin.hash, Vec::new())),
                None => anew_of(&state, &known, e, actor, creation, collection, &anew),
            };
            // The next may build on this one: it waits with it.
            let Some((hash, changes)) = made else { break };
            for change in changes {
                // A birth that stands already is the same bytes.
                if known.get(&change.hash).is_some_and(|k| k.stands) {
                    continue;
                }
                let deps = Parsed::read(&change.bytes).map(|p| p.deps.clone()).unwrap_or_default();
                let bytes = change.bytes.clone();
                known.insert(change.hash, Known { bytes, deps, stands: true, aside: None });
                new.push((pending(state.id, collection, space, e, change), actor));
            }
            written += u64::from(twin.is_none());
            anew.insert(e.hash, hash);
            batch.meta.insert(meta::anew(&e.hash), Some(hash.0.to_vec()));
        }
        if batch.meta.is_empty() {
            return Ok(0);
        }
        if !new.is_empty() {
            let offered: Vec<super::NewRecordEntry<'_>> = new
                .iter()
                .map(|(p, actor)| super::NewRecordEntry {
                    space: p.space,
                    collection: &p.entry.entry.collection,
                    kind: p.entry.entry.kind,
                    hash: p.entry.entry.change(),
                    actor: *actor,
                    birth: p.entry.entry.birth.as_ref(),
                    bytes: &p.entry.payload,
                    checked: super::Checked::Nothing,
                })
                .collect();
            let judged = super::judge(&self.org, state.id, Some(&state), &entries, &offered);
            batch.records.push(judged.state);
            batch.restatus = judged.restatus;
            batch.pending = new.into_iter().map(|(p, _)| p).zip(judged.statuses).collect();
        }
        store.write(&batch)?;
        Ok(written)
    }
}

/// What an edit becomes on what stands of its ancestors, and the changes that this takes: none where it changes
/// nothing there. `None` while it must wait.
fn anew_of(
    state: &RecordState,
    known: &BTreeMap<ChangeHash, Known>,
    e: &RecordEntry,
    actor: ActorId,
    creation: ChangeHash,
    collection: &Collection,
    anew: &BTreeMap<ChangeHash, ChangeHash>,
) -> Option<(ChangeHash, Vec<NewChange>)> {
    let full = past(known, [e.hash]);
    let held: Option<Vec<&Known>> = full.iter().map(|h| known.get(h)).collect();
    // Without all its ancestors nobody can tell what it changed.
    let held = held?;
    let rejected = held.iter().filter_map(|k| k.aside).all(|rejected| rejected);
    // It stands on its ancestors that stand, on what was written anew of them, and on all that was written under
    // the same actor before, whose sequence it continues.
    let of_actor = known.iter().filter(|(_, k)| k.stands && of_actor(k, actor)).map(|(h, _)| *h);
    let own = full.iter().filter_map(|h| anew.get(h)).copied();
    let roots = full.iter().copied().chain(own).chain(of_actor);
    let base = past(known, roots.filter(|h| known.get(h).is_some_and(|k| k.stands)));
    let load = |of: &BTreeSet<ChangeHash>| {
        Document::load(state.id, of.iter().filter_map(|h| known.get(h)).map(|k| k.bytes.as_slice())).ok()
    };
    let (full, mut base) = (load(&full)?, load(&base)?);
    let rebased = full.rebase(&e.hash, &base).ok().flatten()?;
    if rebased.adds && !rejected {
        return None;
    }
    let kinds = |name: &str| {
        if name == REMOVED_KEY { Some(Kind::Bool) } else { collection.field(name).map(|f| f.kind) }
    };
    let context = EditContext { creation, actor, time: e.time };
    let changes = base.edit(&context, &kinds, &rebased.edits).ok()?;
    Some((changes.last().map(|c| c.hash).unwrap_or_default(), changes))
}

fn of_actor(k: &Known, actor: ActorId) -> bool {
    Parsed::read(&k.bytes).is_ok_and(|p| p.actor() == actor)
}

/// These changes and their ancestors; those that are not known are named all the same.
fn past(known: &BTreeMap<ChangeHash, Known>, of: impl IntoIterator<Item = ChangeHash>) -> BTreeSet<ChangeHash> {
    let mut out = BTreeSet::new();
    let mut todo: Vec<ChangeHash> = of.into_iter().collect();
    while let Some(at) = todo.pop() {
        if out.insert(at) {
            todo.extend(known.get(&at).into_iter().flat_map(|k| &k.deps));
        }
    }
    out
}

fn pending(
    record: RecordId,
    collection: &Collection,
    space: SpaceId,
    of: &RecordEntry,
    change: NewChange,
) -> PendingEntry {
    let kind = if change.birth.is_some() { EntryKind::Birth } else { EntryKind::Change };
    let birth = change.birth.map(|(field, kind)| BirthOf { field, kind });
    let (collection, payload_hash) = (collection.id.clone(), change.hash.0);
    let entry = Entry { kind, record, collection, payload_hash, time: of.time, birth };
    let nonce = nonce_anew(&of.actor);
    PendingEntry { key: PendingKey(0), space, nonce, entry: EntryPayload { entry, payload: change.bytes } }
}
