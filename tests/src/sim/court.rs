//! The verdicts: whether a tick, a "verified", a frame or the end of a world keeps its promise, judged
//! by the ledger and the plain model.
//!
//! It does not: ask the engine whether it is right.
//!
//! Invariants: every accusation names the machine, the promise and what is missing.

use super::fault::FaultKind;
use super::world::World;
use crate::model::{Model, ModelCharter, When, disagreements};
use sampan_core::engine::told_epoch;
use sampan_core::id::{CommitId, DeviceId, Flow, SpaceId, UnitId};
use sampan_core::limits::{QUARANTINE_BYTES_MAX, QUARANTINE_COMMITS_MAX};
use sampan_core::log::brief::Brief;
use sampan_core::log::{Commit, EntryKind, SignedHeader};
use sampan_core::store::{CommitKey, Store};
use sampan_core::wire::frame::Frame;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Bytes that one session may cost beside what was missing, whatever it is about: greetings, charters'
/// digests, acknowledgements, registers.
const SESSION_BYTES_FREE: u64 = 64 << 10;
/// How many times the bytes of what was missing a world may send: once for each hop, and what a cut link
/// had under way.
const BYTES_FACTOR_MAX: u64 = 40;
/// Links that a node may need after the faults have stopped: redirects, repairs, news from siblings.
const LINKS_AFTER_MAX: u64 = 24;

/// What a machine showed: commits held, and each relay's unit with its statement's counter and tick.
type Ticks = (usize, Vec<(UnitId, u64, bool)>);

/// A record and the changes held of it.
type ChangeSet = (sampan_core::id::RecordId, Vec<[u8; 32]>);

/// What the verdicts remember between two of them.
#[derive(Debug)]
pub(super) struct Court {
    model: Model,
    charter: Option<(usize, Rc<ModelCharter>)>,
    ticks: BTreeMap<usize, Ticks>,
    /// Devices that may only read any more: nobody waits for a tick of what they had not sent.
    pub(super) narrowed: BTreeSet<DeviceId>,
    /// Machines whose right ended with something unsent: what they had sealed is owed a place above.
    pub(super) returns: BTreeSet<usize>,
}

impl Court {
    pub(super) fn new(org: sampan_core::id::OrgId) -> Self {
        Self {
            model: Model::new(org),
            charter: None,
            ticks: BTreeMap::new(),
            narrowed: BTreeSet::new(),
            returns: BTreeSet::new(),
        }
    }

    /// Devices that may only read any more, or no more at all: nobody owes them a file, and they owe none.
    pub(super) fn poor_devices(&self, world: &World) -> BTreeSet<DeviceId> {
        let returned = self.returns.iter().map(|n| world.machines[*n].device);
        self.narrowed.iter().copied().chain(returned).collect()
    }
}

impl World {
    /// The charter that everything ever written makes.
    pub(super) fn whole_charter(&mut self) -> Rc<ModelCharter> {
        let charters = self.ledger.commits.values().filter(|c| c.header().space.flow == Flow::Charter).count();
        if let Some((n, charter)) = &self.court.charter
            && *n == charters
        {
            return charter.clone();
        }
        let all: Vec<Commit> = self
            .ledger
            .commits
            .values()
            .filter(|c| c.header().space.flow == Flow::Charter)
            .map(|c| Commit::clone(c))
            .collect();
        let charter = self.court.model.charter(&all);
        self.court.charter = Some((charters, charter.clone()));
        charter
    }

    /// A tick is a statement about a store: everything that it covers must have been there.
    pub(super) fn check_ticks(&mut self, n: usize) {
        let Some(p) = &self.machines[n].process else { return };
        let (store, engine) = (&p.replica.store, &p.replica.engine);
        let Some(held) = self.ledger.held.get(n) else { return };
        let mut seen = Vec::new();
        let mut claims = Vec::new();
        for unit in p.replica.units() {
            let (Ok(rows), Ok(acks)) = (engine.delivered(store, &unit), store.acks(Some(unit))) else { return };
            for d in rows {
                let Some(ack) = acks.iter().find(|a| a.relay_unit == d.unit) else { continue };
                seen.push((d.unit, ack.counter, d.complete));
                // A rotten or hostile relay may sign anything; only its own word is false then.
                let doubtful = (0..self.machines.len()).any(|i| self.exempt[i] && self.machines[i].device == ack.relay);
                if d.complete && !doubtful {
                    claims.push((unit, d.unit, ack.level, ack.epoch));
                }
            }
        }
        let now = (held.order.len(), seen);
        if self.court.ticks.get(&n) == Some(&now) {
            return;
        }
        let mut accusations = Vec::new();
        let laid = self.laid(n);
        for (unit, relay, level, epoch) in claims {
            let there = self.ledger.ever.get(&epoch);
            for id in held.order.iter().filter(|id| !laid.contains(id)) {
                let Some(c) = self.ledger.commits.get(id) else { continue };
                let space = c.header().space;
                let covered = space.unit == unit && space.flow == Flow::Up && space.reach <= level;
                if covered && !there.is_some_and(|t| t.contains(id)) {
                    let name = &self.machines[n].name;
                    accusations
                        .push(format!("{name} shows a tick of {relay} for {unit}, and commit {id} was never there"));
                }
            }
        }
        self.court.ticks.insert(n, now);
        for words in accusations {
            self.ledger.accuse(words);
        }
    }

    /// What lies in the quarantine of a machine: a cut may have taken it out of what counted.
    pub(super) fn laid(&self, n: usize) -> BTreeSet<CommitId> {
        let laid = self.machines[n].process.as_ref().and_then(|p| p.replica.store.quarantine().ok());
        laid.into_iter().flatten().map(|q| q.head.id()).collect()
    }

    /// "Verified" means: what both shared and held when the link opened, both hold now.
    pub(super) fn check_verified(&mut self, link: usize, end: usize) {
        let l = &self.links[link];
        let nodes = l.nodes;
        let marks = l.marks;
        if nodes.iter().any(|n| self.exempt[*n])
            || nodes.iter().zip(l.starts).any(|(n, s)| self.machines[*n].starts != s)
        {
            return;
        }
        if self.hostile.lies(nodes[1 - end]) {
            return;
        }
        // What a disk holds only grows: of less it is another one, put back while the last word was on its way.
        let held = |end: usize| self.ledger.held.get(nodes[end]).map_or(0, |h| h.order.len());
        if (0..2).any(|end| held(end) < marks[end]) {
            return;
        }
        // What the step of this very moment stored is looked at first.
        self.after_step(nodes[end]);
        let charter = self.whole_charter();
        let levels: Vec<String> = ["city", "district", "grassroots", "branch"].map(str::to_owned).to_vec();
        let mut accusations = Vec::new();
        let laid: BTreeSet<CommitId> = nodes.iter().flat_map(|n| self.laid(*n)).collect();
        for from in 0..2 {
            let (a, b) = (nodes[from], nodes[1 - from]);
            let (Some(held), Some(other)) = (self.ledger.held.get(a), self.ledger.held.get(b)) else { return };
            for id in held.order.iter().take(marks[from]) {
                let Some(c) = self.ledger.commits.get(id) else { continue };
                let space = c.header().space;
                let both = space.flow != Flow::Local
                    && nodes.iter().all(|n| charter.holds(&self.machines[*n].device, &levels, &space));
                if both && !other.set.contains(id) && !laid.contains(id) {
                    let (who, names) =
                        (&self.machines[nodes[end]].name, [&self.machines[a].name, &self.machines[b].name]);
                    accusations.push(format!(
                        "{who} says verified, and {} holds commit {id} of {space:?} that {} does not",
                        names[0], names[1]
                    ));
                }
            }
        }
        for words in accusations {
            self.ledger.accuse(words);
        }
    }

    /// Nothing that a frame tells may lie outside what its receiver may read.
    pub(super) fn check_frame(&mut self, link: usize, end: usize, bytes: &[u8]) {
        // Upward everything may go that the lower end may read itself; downward a sibling's would leak.
        if end != 0 {
            let [lower, upper] = self.links[link].nodes;
            self.check_told([lower, upper], bytes);
        }
        if self.files.on
            && let Some(frame) = Self::read(bytes).filter(Frame::is_file)
        {
            let [lower, upper] = self.links[link].nodes;
            let (by, to) = if end == 0 { (lower, upper) } else { (upper, lower) };
            self.check_file_told(by, to, &frame);
        }
    }

    /// The same of what a machine is told, by a link or a bundle from above.
    pub(super) fn check_told(&mut self, [lower, by]: [usize; 2], bytes: &[u8]) {
        let Some(frame) = Self::read(bytes) else { return };
        let told: Vec<SpaceId> = match &frame {
            Frame::Commits { groups, .. } => {
                groups.iter().flat_map(|g| &g.headers).filter_map(|h| self.space_of(h)).collect()
            }
            Frame::Deposit(told) => told.held.iter().map(|s| s.space).collect(),
            Frame::Frontier(spaces) => spaces.iter().map(|s| s.space).collect(),
            Frame::Inventory { log, .. } => vec![log.space],
            Frame::Hello(_)
            | Frame::Refuse(..)
            | Frame::Redirect(_)
            | Frame::Nodes(_)
            | Frame::Announce(_)
            | Frame::Registers(_)
            | Frame::Acks(_)
            | Frame::Plain { .. }
            | Frame::Greeting(_)
            | Frame::Greeted(_)
            | Frame::SayHello
            | Frame::ShortMark(_)
            | Frame::OwnAck(_)
            | Frame::ShortNodes(_)
            | Frame::ShortAcks(_)
            | Frame::Welcome(_)
            | Frame::SameMark(_)
            | Frame::AcksLost
            | Frame::FileOffer(_)
            | Frame::FileWant(_)
            | Frame::FileHashes { .. }
            | Frame::FileChunk { .. }
            | Frame::FileAnswer(_)
            | Frame::RegistersCursor(_)
            | Frame::Mark(_) => Vec::new(),
        };
        let device = self.machines[lower].device;
        let mut charter = self.whole_charter();
        if told.iter().any(|space| !charter.may_read(&device, space, When::Ever)) {
            // The right may be what the one who tells has just been shown.
            self.after_step(by);
            charter = self.whole_charter();
        }
        for space in told {
            let blank = self.ledger.held.get(lower).is_none_or(|h| h.order.is_empty());
            if !charter.may_read(&device, &space, When::Ever) && !blank {
                let name = self.machines[lower].name.clone();
                self.ledger.accuse(format!("{name} is told of {space:?}, which it may not read"));
            }
        }
    }

    /// The space of a header in a frame; of a brief one that of its parent.
    fn space_of(&self, head: &SignedHeader) -> Option<SpaceId> {
        if !Brief::is(head) {
            return Some(head.trust().ok()?.header().space);
        }
        let after = Brief::read(head).ok()?.after?;
        let (first, last) = after.parent.units();
        let fits = |c: &Commit| after.parent.is(&c.id()) && (first..=last).contains(&c.header().space.unit);
        self.ledger.commits.values().find(|c| fits(c)).map(|c| c.header().space)
    }

    /// The last look: everything that anybody may read is everywhere where it belongs, every replica says
    /// of it what the model says, and every tick is there.
    pub(super) fn final_verdict(&mut self) {
        let charter = self.whole_charter();
        let levels: Vec<String> = ["city", "district", "grassroots", "branch"].map(str::to_owned).to_vec();
        let living: Vec<usize> =
            (0..self.machines.len()).filter(|n| !self.exempt[*n] && self.machines[*n].runs()).collect();
        // What some living disk holds and its author once had the right to write.
        let mut somewhere: BTreeSet<CommitId> = BTreeSet::new();
        for n in &living {
            somewhere.extend(self.ledger.held[*n].order.iter().copied());
        }
        let all: Vec<Commit> = self.ledger.commits.values().map(|c| Commit::clone(c)).collect();
        let counting: BTreeSet<CommitId> = self.court.model.counting(&charter, &all).into_keys().collect();
        // A dishonest relay can show a charter that it holds to anybody below it: no replica can prevent that.
        let replayed = [FaultKind::HostileReplay, FaultKind::HostileReorder];
        let replayed = replayed.iter().any(|k| self.faults.counts().contains_key(k));
        let doubtful = self.doubtful_relays();
        let shown_by_hostile = |space: SpaceId| replayed && space.flow == Flow::Charter;
        for n in &living {
            let (name, device) = (self.machines[*n].name.clone(), self.machines[*n].device);
            let held = self.ledger.held[*n].set.clone();
            for id in &somewhere {
                let Some(c) = self.ledger.commits.get(id).cloned() else { continue };
                let h = c.header();
                // What no relay above may carry stays where it was written.
                let carried = h.space.flow != Flow::Up
                    || charter
                        .relays_above(&h.space.unit)
                        .iter()
                        .any(|u| charter.level(u, &levels) >= usize::from(h.space.reach) && !doubtful.contains(u));
                let should = carried && charter.holds(&device, &levels, &h.space);
                let has = held.contains(id);
                let counts = h.space.flow == Flow::Charter && charter.counts(&h.device, &h.space);
                if should && !has && h.space.flow != Flow::Local && (counts || counting.contains(id)) {
                    self.ledger.accuse(format!("{name} lacks commit {id} of {:?} after everything healed", h.space));
                }
                if has && !charter.may_read(&device, &h.space, When::Ever) && !shown_by_hostile(h.space) {
                    self.ledger.accuse(format!("{name} holds commit {id} of {:?}, which it may not read", h.space));
                }
                // What somebody who may has released counts, whoever wrote it.
                if has && !charter.counts(&h.device, &h.space) && !charter.released(id, &h.space.unit) {
                    self.ledger.accuse(format!("{name} took commit {id} of {:?} from a device without right", h.space));
                }
            }
            self.check_erased(*n);
            self.check_files(*n);
            self.check_statuses(*n);
            self.check_anew(*n);
            self.check_delivered(*n);
            self.check_quarantine(*n);
            self.check_figures(*n, true);
        }
        let returns: Vec<usize> = self.court.returns.iter().copied().collect();
        for words in returns.into_iter().filter_map(|n| self.unreturned(n)).collect::<Vec<_>>() {
            self.ledger.accuse(words);
        }
        self.check_documents(&living);
        self.check_cost();
    }

    fn check_statuses(&mut self, n: usize) {
        let Some(p) = &self.machines[n].process else { return };
        let found = disagreements(&mut self.court.model, &p.replica.store, &p.replica.engine);
        let name = self.machines[n].name.clone();
        match found {
            Ok(all) => {
                for words in all {
                    self.ledger.accuse(format!("{name}: {words}"));
                }
            }
            Err(e) => self.ledger.accuse(format!("{name} cannot be read: {e}")),
        }
        let Some(p) = &self.machines[n].process else { return };
        match p.replica.store.verify(&self.org) {
            Ok(report) if report.damaged.is_empty() => {}
            Ok(report) => self.ledger.accuse(format!("{name} is damaged: {:?}", report.damaged.first())),
            Err(e) => self.ledger.accuse(format!("{name} cannot be verified: {e}")),
        }
    }

    /// Units whose relay is rotten or hostile: it owes nobody a tick, and what it alone may carry may stay where it is.
    fn doubtful_relays(&self) -> BTreeSet<UnitId> {
        let relays = (0..self.machines.len()).filter(|i| self.exempt[*i] && self.spec(*i).relay);
        relays.map(|i| self.unit_ids[self.spec(i).unit]).collect()
    }

    /// Units whose relay lost its store, and whose clock, put right by the relay above it, now shows an earlier
    /// time than it told this replica when they met: its statements cannot be told from those of before, so they show no tick until the clock is right
    /// or the two meet again.
    fn relays_back_in_time(&self, n: usize) -> BTreeSet<UnitId> {
        let Some(p) = &self.machines[n].process else { return BTreeSet::new() };
        let relays = (0..self.machines.len()).filter(|i| self.spec(*i).relay);
        let back = relays.filter(|i| {
            let Some(q) = &self.machines[*i].process else { return false };
            let told = told_epoch(&p.replica.store, &q.replica.engine.device()).ok().flatten();
            let now = q.replica.label().unwrap_or_default();
            told.is_some_and(|(epoch, at)| epoch != q.replica.engine.epoch() && at > now)
        });
        back.map(|i| self.unit_ids[self.spec(i).unit]).collect()
    }

    /// In a healed world every branch sees that all above hold its work.
    fn check_delivered(&mut self, n: usize) {
        if !self.machines[n].runs() || n == 0 || self.court.narrowed.contains(&self.machines[n].device) {
            return;
        }
        let name = self.machines[n].name.clone();
        let mut doubtful = self.doubtful_relays();
        doubtful.extend(self.relays_back_in_time(n));
        let Some(p) = self.machines[n].process.as_mut() else { return };
        match p.replica.status() {
            Ok(status) => {
                let missing: Vec<String> = status
                    .delivered
                    .iter()
                    .filter(|d| !d.complete && !doubtful.contains(&d.unit))
                    .map(|d| d.name.clone())
                    .collect();
                if !missing.is_empty() {
                    let words = format!("{name} shows no tick of {} after everything healed", missing.join(", "));
                    self.ledger.accuse(words);
                }
                if status.unsent_changes > 0 && missing.is_empty() && doubtful.is_empty() {
                    let unsent = status.unsent_changes;
                    self.ledger.accuse(format!("{name} shows {unsent} unsent changes and every tick"));
                }
            }
            Err(e) => self.ledger.accuse(format!("{name} cannot say how it stands: {e}")),
        }
    }

    /// A document is a function of its set of changes: two replicas with the same entries show the same.
    fn check_documents(&mut self, living: &[usize]) {
        let mut shown: BTreeMap<ChangeSet, (usize, String)> = BTreeMap::new();
        let records: Vec<_> = self.people.records().to_vec();
        for n in living {
            for (_, id) in &records {
                let Some(p) = &self.machines[*n].process else { continue };
                let Ok(Some(state)) = p.replica.store.records(&[*id]).map(|r| r.into_iter().next().flatten()) else {
                    continue;
                };
                let Ok((_, entries, document)) = p.replica.engine.document(&p.replica.store, *id) else { continue };
                let mut set: Vec<[u8; 32]> = entries.iter().map(|e| e.hash.0).collect();
                set.sort_unstable();
                set.dedup();
                let view = match document.view() {
                    Ok(v) => format!("{:?} {:?}", v.fields, v.conflicts),
                    Err(e) => format!("{e}"),
                };
                let key = (state.id, set);
                match shown.get(&key) {
                    Some((first, said)) if *said != view => {
                        let words = format!(
                            "{} and {} hold the same changes of {id} and show other documents",
                            self.machines[*first].name, self.machines[*n].name
                        );
                        self.ledger.accuse(words);
                    }
                    Some(_) => {}
                    None => {
                        shown.insert(key, (*n, view));
                    }
                }
            }
        }
    }

    /// Of what the city knows to be erased, nobody who lives holds a byte in any commit.
    fn check_erased(&mut self, n: usize) {
        let (Some(city), Some(p)) = (&self.machines[0].process, &self.machines[n].process) else { return };
        let charter = city.replica.engine.charter();
        if charter.erasures().next().is_none() {
            return;
        }
        let mut words = Vec::new();
        let (mut last, name) = (CommitKey(0), &self.machines[n].name);
        while let Ok(feed) = p.replica.store.commits_after(last, 1_024)
            && let Some(end) = feed.last()
        {
            last = end.key;
            for c in feed {
                let unit = c.commit.header().space.unit;
                let entries = c.commit.payload().entries.iter();
                let kept =
                    entries.filter(|e| charter.is_erased(&unit, &e.entry.record) && e.entry.kind != EntryKind::Hole);
                words.extend(kept.map(|e| format!("{name} holds an entry of {}, which is erased", e.entry.record)));
            }
        }
        words.into_iter().for_each(|w| self.ledger.accuse(w));
    }

    /// What a peer can make a replica keep stays under the limits that are named, whatever it sends.
    pub(super) fn check_memory(&mut self, n: usize) {
        let Some(p) = &self.machines[n].process else { return };
        let name = &self.machines[n].name;
        for (peer, waiting) in p.table.waiting() {
            if !waiting.is_bounded() {
                self.ledger.accuse(format!("{name} keeps more of {peer} than it may: {waiting:?}"));
            }
        }
    }

    /// Nor does anybody fill a quarantine beyond the quota.
    fn check_quarantine(&mut self, n: usize) {
        let Some(p) = &self.machines[n].process else { return };
        let Ok(held) = p.replica.store.quarantine() else { return };
        let mut of: BTreeMap<DeviceId, (usize, usize)> = BTreeMap::new();
        for q in &held {
            let (commits, bytes) = of.entry(q.peer).or_default();
            *commits += 1;
            *bytes += q.pack.len();
        }
        for (peer, (commits, bytes)) in of {
            if commits > QUARANTINE_COMMITS_MAX || bytes > QUARANTINE_BYTES_MAX {
                let name = &self.machines[n].name;
                self.ledger.accuse(format!("{name} keeps {commits} commits ({bytes} bytes) of {peer} in quarantine"));
            }
        }
    }

    /// What was sent stays within a constant of what had to be sent.
    fn check_cost(&mut self) {
        let payload: u64 = self
            .ledger
            .commits
            .values()
            .map(|c| c.payload().entries.iter().map(|e| e.payload.len() as u64 + 64).sum::<u64>() + 512)
            .sum();
        let payload = payload + self.files.total();
        let nodes = self.machines.len() as u64;
        let bound = payload * BYTES_FACTOR_MAX.max(nodes * 2) + self.stats.links * SESSION_BYTES_FREE;
        if self.stats.bytes > bound {
            let words = format!(
                "{} bytes were sent for {payload} bytes of commits over {} links",
                self.stats.bytes, self.stats.links
            );
            self.ledger.accuse(words);
        }
        if self.stats.links_after > LINKS_AFTER_MAX * nodes {
            let words = format!("{} links were needed after the faults had stopped", self.stats.links_after);
            self.ledger.accuse(words);
        }
    }
}
