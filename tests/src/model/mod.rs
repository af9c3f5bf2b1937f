//! The plain model: what a replica should say about everything it holds, computed a second time,
//! simply and slowly, from the set of commits alone.
//!
//! It does not: call the engine's own judging, folding, scopes or frontiers. It shares the plain data
//! types, the decoding of commits and charter operations, the hashes that make ids, and Automerge,
//! which stands for the truth about changes. The two must be able to disagree.
//!
//! Invariants: every answer is a pure function of the *set* given, never of its order; caches are
//! keyed by content and change no answer. What only our own bounded reader can tell, because
//! Automerge would pay for it in memory first, stands in `walk` and nowhere else.

pub mod change;
pub mod charter;
pub mod cuts;
pub mod diff;
pub mod figures;
pub mod record;
pub mod view;
mod walk;

pub use charter::{ModelCharter, When};
pub use diff::{Dump, Place, diff, disagreements};
pub use view::{document, same_view};

use change::Reading;
use record::{Offered, Verdict};
use sampan_core::id::{ActorId, CommitId, DeviceId, Flow, Incarnation, OrgId, RecordId, SpaceId};
use sampan_core::limits::LOG_TIPS_MAX;
use sampan_core::log::{Commit, EntryKind};
use sampan_core::store::PendingEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What an entry should count for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelStatus {
    /// It stands.
    Accepted,
    /// An ancestor is absent, or waits for a newer version.
    Pending,
    /// An ancestor does not stand, or a twin of its actor and sequence took its place.
    Blocked,
    /// It breaks a rule and never stands.
    Malformed,
    /// It lies beyond format 1.
    NeedsNewer,
    /// Its log does not count here, or its ancestry is broken.
    Quarantined,
}

/// Tips by space and log.
pub type Frontier = BTreeMap<SpaceId, BTreeMap<(DeviceId, Incarnation), BTreeSet<CommitId>>>;

/// The model of one organisation: caches and nothing else.
#[derive(Debug)]
pub struct Model {
    org: OrgId,
    readings: BTreeMap<[u8; 32], Rc<Reading>>,
    charters: BTreeMap<[u8; 32], Rc<ModelCharter>>,
    records: BTreeMap<[u8; 32], Rc<Vec<Verdict>>>,
}

/// One entry on its way to being judged: where it lies, and what it says.
struct Placed<'a> {
    place: Place,
    space: SpaceId,
    actor: ActorId,
    entry: &'a sampan_core::log::EntryPayload,
}

impl Model {
    /// A model of this organisation.
    #[must_use]
    pub fn new(org: OrgId) -> Self {
        Self { org, readings: BTreeMap::new(), charters: BTreeMap::new(), records: BTreeMap::new() }
    }

    /// The charter that these commits make; those of other spaces are ignored. Give it everything
    /// that is held, the quarantine included: what is without right folds to nothing.
    pub fn charter(&mut self, commits: &[Commit]) -> Rc<ModelCharter> {
        let mut set: Vec<&Commit> = commits.iter().filter(|c| c.header().space.flow == Flow::Charter).collect();
        set.sort_by_key(|c| c.id());
        set.dedup_by_key(|c| c.id());
        let key = digest(set.iter().map(|c| c.id().0.to_vec()));
        let org = self.org;
        self.charters.entry(key).or_insert_with(|| Rc::new(ModelCharter::fold(org, &set))).clone()
    }

    /// The commits that count: their device once had the right to write in their space, and no cut leaves
    /// them outside, or they were released; and so does every commit that they build on, all of which are held.
    #[must_use]
    pub fn counting<'a>(&self, charter: &ModelCharter, commits: &'a [Commit]) -> BTreeMap<CommitId, &'a Commit> {
        let mut todo: BTreeMap<CommitId, &Commit> = commits.iter().map(|c| (c.id(), c)).collect();
        let held: Vec<&Commit> = todo.values().copied().collect();
        let mut left: BTreeMap<(DeviceId, SpaceId), Option<BTreeSet<CommitId>>> = BTreeMap::new();
        todo.retain(|id, c| {
            let (device, space) = (c.header().device, c.header().space);
            let left = left.entry((device, space)).or_insert_with(|| charter.left(&device, &space, &held));
            let inside = left.as_ref().is_none_or(|left| left.contains(id));
            let rightful = charter.counts(&device, &space) && charter.is_rightful(c, &held);
            charter.released(id, &space.unit) || (inside && rightful)
        });
        // Parents have lower sequences, so one pass in that order finds all.
        let mut order: Vec<&Commit> = todo.values().copied().collect();
        order.sort_by_key(|c| (c.header().sequence, c.id()));
        let mut out: BTreeMap<CommitId, &Commit> = BTreeMap::new();
        for c in order {
            let h = c.header();
            let follows =
                |p: &CommitId| out.get(p).is_some_and(|p| p.header().device == h.device && p.header().space == h.space);
            if h.parents.iter().all(follows) {
                out.insert(c.id(), c);
            }
        }
        out
    }

    /// The tips of every counting log with unbroken ancestry.
    #[must_use]
    pub fn frontier(&self, charter: &ModelCharter, commits: &[Commit]) -> Frontier {
        let counting = self.counting(charter, commits);
        // A new incarnation names the tips of an older one as parents: they stay tips of their log.
        let mut continued: BTreeSet<CommitId> = BTreeSet::new();
        for c in counting.values() {
            let own = |p: &&CommitId| counting.get(*p).is_some_and(|p| p.header().log() == c.header().log());
            continued.extend(c.header().parents.iter().filter(own));
        }
        let mut out = Frontier::new();
        for (id, c) in &counting {
            let h = c.header();
            if !continued.contains(id) {
                out.entry(h.space).or_default().entry((h.device, h.incarnation)).or_default().insert(*id);
            }
        }
        out
    }

    /// Logs with more tips than are kept: which of them are set aside depends on who came first, so
    /// nothing can be said about their entries from the set alone.
    #[must_use]
    pub fn overfull(frontier: &Frontier) -> BTreeSet<(SpaceId, DeviceId, Incarnation)> {
        let logs = frontier.iter().flat_map(|(space, logs)| logs.iter().map(move |(log, tips)| (space, log, tips)));
        logs.filter(|(_, _, tips)| tips.len() > LOG_TIPS_MAX).map(|(s, (d, i), _)| (*s, *d, *i)).collect()
    }

    /// The status of every entry of these commits (all that a replica holds, of charters and of
    /// records, the quarantine included) and of its unsealed edits, which `device` will sign.
    pub fn statuses(
        &mut self,
        charter: &ModelCharter,
        commits: &[Commit],
        pending: &[PendingEntry],
        device: DeviceId,
    ) -> BTreeMap<Place, ModelStatus> {
        let counting = self.counting(charter, commits);
        let mut out = BTreeMap::new();
        let mut records: BTreeMap<RecordId, Vec<Placed<'_>>> = BTreeMap::new();
        for c in commits {
            for (index, entry) in c.payload().entries.iter().enumerate() {
                let place = Place::Sealed(c.id(), index);
                let space = c.header().space;
                let in_charter = space.flow == Flow::Charter;
                let kind = entry.entry.kind;
                if !counting.contains_key(&c.id()) {
                    out.insert(place, ModelStatus::Quarantined);
                } else if in_charter || !kind.is_change() {
                    let fits = kind == if in_charter { EntryKind::Charter } else { EntryKind::Hole };
                    out.insert(place, if fits { ModelStatus::Accepted } else { ModelStatus::Malformed });
                } else {
                    let actor = ActorId::of(&c.header().device, &c.header().nonce);
                    records.entry(entry.entry.record).or_default().push(Placed { place, space, actor, entry });
                }
            }
        }
        for p in pending {
            let actor = ActorId::of(&device, &p.nonce);
            let placed = Placed { place: Place::Pending(p.key.0), space: p.space, actor, entry: &p.entry };
            records.entry(p.entry.entry.record).or_default().push(placed);
        }
        for (record, mut placed) in records {
            placed.sort_by_key(|p| p.place);
            placed.dedup_by_key(|p| p.place);
            let verdicts = self.judge(record, &placed);
            out.extend(placed.iter().zip(verdicts.iter()).map(|(p, v)| (p.place, v.status())));
        }
        out
    }

    fn judge(&mut self, record: RecordId, placed: &[Placed<'_>]) -> Rc<Vec<Verdict>> {
        let parts = placed.iter().map(|p| {
            let e = &p.entry.entry;
            let birth = e.birth.as_ref().map(|b| format!("{}\0{:?}", b.field, b.kind)).unwrap_or_default();
            let text = format!("{:?}\0{}\0{birth}", e.kind, e.collection);
            [&p.space.key()[..], &p.actor.0, &change_key(&p.entry.payload), text.as_bytes()].concat()
        });
        let key = digest(std::iter::once(record.0.to_vec()).chain(parts));
        if let Some(known) = self.records.get(&key) {
            return known.clone();
        }
        let readings: Vec<Rc<Reading>> = placed.iter().map(|p| self.read(&p.entry.payload)).collect();
        let offered: Vec<Offered<'_>> = placed
            .iter()
            .zip(&readings)
            .map(|(p, reading)| Offered {
                space: p.space,
                actor: p.actor,
                entry: &p.entry.entry,
                bytes: &p.entry.payload,
                reading,
            })
            .collect();
        let verdicts = Rc::new(record::judge(&self.org, record, &offered));
        self.records.insert(key, verdicts.clone());
        verdicts
    }

    fn read(&mut self, bytes: &[u8]) -> Rc<Reading> {
        self.readings.entry(change_key(bytes)).or_insert_with(|| Rc::new(change::read(bytes))).clone()
    }

    /// The document that a record's accepted changes make, shown plainly: field to value, with every
    /// concurrent value where they differ. `None` when nothing of it stands.
    #[must_use]
    pub fn view<'a>(changes: impl IntoIterator<Item = &'a [u8]>) -> Option<BTreeMap<String, String>> {
        view::document(changes).ok().flatten().map(|doc| view::plain(&doc))
    }
}

fn change_key(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// A digest of a list of parts, each behind its length.
fn digest(parts: impl Iterator<Item = Vec<u8>>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(&part);
    }
    *hasher.finalize().as_bytes()
}
