//! What a hostile device writes where it may not, and how it forks its log: commits with right headers
//! and right signatures, handed to its relay behind frames of its own program, to a farther relay, or
//! written straight into its own store.
//!
//! It does not: sign with a key that the machine does not hold, or make changes that upset Automerge
//! (`odd`).
//!
//! Invariants: a machine whose store was written to past its engine promises nothing from then on; one
//! that only forged frames stays honest inside, and keeps every promise.

use super::super::dice::Dice;
use super::super::fault::FaultKind;
use super::super::world::World;
use super::Forged;
use sampan_core::charter::{Op, Roles};
use sampan_core::engine::{Engine, IntakeError};
use sampan_core::entropy::random;
use sampan_core::id::{ActorId, CommitId, Flow, Incarnation, Nonce, OrgId, SpaceId, UnitId};
use sampan_core::limits::LOG_TIPS_MAX;
use sampan_core::log::{Commit, EntryKind, EntryPayload, device_id};
use sampan_core::record::create;
use sampan_core::record::ids::record_id;
use sampan_core::scope::{Shared, Side};
use sampan_core::store::{Batch, NewCommit, NewEntry, NewGroup, RecordState, Status, Store};
use sampan_core::sync::lane;
use sampan_core::testing::hostile::{self, Place};
use sampan_core::testing::{SeededRng, fake_entry};
use sampan_core::time::Millis;
use sampan_core::value::{Kind, Value};
use sampan_core::wire::frame::{Frame, Group};
use sampan_node::codec::ZstdCodec;
use sampan_node::replica::Replica;
use std::collections::BTreeMap;

/// Tips that are added to one log on purpose, beside those of its own program and its clones: together
/// they must stay below `LOG_TIPS_MAX`. Which 16 of more stand hangs on the order of arrival, so two
/// relays that got different halves by two routes would never be equal (cuts, which end such a log, do
/// not exist yet); more than 16 tips are therefore only ever made in a log of their own and handed to
/// one relay in one frame.
const FORKS_OF_A_LOG_MAX: usize = 6;

impl World {
    /// Puts a frame behind the next one that the machine's own program sends.
    pub(in crate::sim) fn forge(&mut self, n: usize, kind: FaultKind, lane: u8, frame: &Frame) {
        self.forge_bytes(n, kind, lane, frame.encode());
    }

    /// The same of bytes that need not be a frame.
    pub(super) fn forge_bytes(&mut self, n: usize, kind: FaultKind, lane: u8, bytes: Vec<u8>) {
        self.hostile.waiting.entry(n).or_default().push(Forged { kind, lane, bytes });
    }

    /// Commits of one space, behind the next frame.
    pub(super) fn forge_commits(&mut self, n: usize, kind: FaultKind, commits: &[Commit]) {
        let Some(first) = commits.first() else { return };
        let flow = first.header().space.flow;
        let lane = if flow == Flow::Charter { lane::CHARTER } else { lane::RECENT };
        self.forge(n, kind, lane, &Frame::Commits { after: 1, groups: vec![packed(commits)] });
    }

    /// The engine of a machine that has a charter and is not exempt.
    pub(super) fn hostile_engine(&self, n: usize) -> Option<&Engine> {
        let engine = &self.process(n)?.replica.engine;
        (!self.exempt[n] && engine.charter().root().is_some() && !engine.levels().is_empty()).then_some(engine)
    }

    /// The relays above a machine, nearest first.
    pub(super) fn relays_over(&self, n: usize) -> Vec<usize> {
        let mut out = Vec::new();
        let mut at = Some(self.spec(n).unit);
        while let Some(unit) = at {
            let spec = &self.shape.units[unit];
            out.extend(spec.relay.filter(|r| *r != n));
            at = spec.parent;
        }
        out
    }

    /// Hands commits of one space to a relay as a second program with the same key would: in a session
    /// of its own that nobody else notices. True when it took them.
    pub(super) fn hand_over(&mut self, n: usize, relay: usize, commits: &[Commit]) -> bool {
        let Some(space) = commits.first().map(|c| c.header().space) else { return false };
        let (device, now) = (self.machines[n].device, self.machines[relay].clock.now());
        let awake = self.now;
        if self.exempt[relay] {
            return false;
        }
        let group = packed(commits);
        let Some(p) = self.machines[relay].process.as_mut().filter(|p| p.sleeps_until <= awake) else { return false };
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let sides = [device, engine.device()].map(|d| Side::of(engine.charter(), &d));
        let shared = Shared::of(engine.charter(), engine.levels(), &sides[0], &sides[1]);
        if !shared.contains(engine.charter(), &space) {
            return false;
        }
        let taken: Result<_, IntakeError> =
            store.group(|s| engine.intake(s, &mut **rng, device, &[group], &|_, s| *s == space, now));
        if taken.is_err() {
            // What failed was rolled back; a disk that cannot be read either fails the next transaction.
            let _ = engine.reload(store);
        }
        let stored = taken.is_ok_and(|t| t.commits + t.quarantined > 0);
        self.written(relay);
        stored
    }

    /// After a write past the desk.
    fn written(&mut self, n: usize) {
        if self.machines[n].disk.is_off() {
            let down = self.hostile.dice.around(600_000);
            self.died(n, down);
        } else {
            self.after_step(n);
            self.wake(n);
        }
    }

    /// A device writes where it may not.
    pub(super) fn write_without_right(&mut self, n: usize) {
        let kind = FaultKind::HostileNoRight;
        let Some(engine) = self.hostile_engine(n) else { return };
        let (charter, device) = (engine.charter(), engine.device());
        let places: Vec<SpaceId> = self
            .unit_ids
            .iter()
            .flat_map(|u| every_space(*u))
            .filter(|s| s.flow == Flow::Charter || s.flow == Flow::Down || s.flow == Flow::Up || s.flow == Flow::Local)
            .collect();
        let mine: Vec<SpaceId> = places.iter().filter(|s| charter.counts(&device, s)).copied().collect();
        let foreign: Vec<SpaceId> = places.into_iter().filter(|s| !mine.contains(s)).collect();
        let relay_only = self.spec(n).roles == Roles::RELAY;
        // A relay without an administrator's right may write into its charter, and what it orders there
        // is void.
        let noise = mine.into_iter().find(|s| relay_only && s.flow == Flow::Charter);
        let patched = !self.spec(n).relay && self.hostile.dice.chance(120);
        for _ in 0..self.hostile.dice.between(1, 5) {
            let space = match noise {
                Some(own) if self.hostile.dice.chance(200) => own,
                Some(_) | None => match self.hostile.dice.pick(&foreign) {
                    Some(space) => *space,
                    None => return,
                },
            };
            let Some(commit) = self.forged_commit(n, space) else { return };
            if patched && noise != Some(space) && commit.header().org == self.org && self.patch(n, &commit) {
                self.faults.fired(kind);
                return;
            }
            self.hostile_log(n);
            self.forge_commits(n, kind, &[commit]);
        }
    }

    /// A commit of a machine's device at the start of a log of its own.
    fn forged_commit(&mut self, n: usize, space: SpaceId) -> Option<Commit> {
        let (now, key) = (self.machines[n].clock.now(), self.machines[n].key.clone());
        let root_device = self.machines[0].device;
        let mut heads = self.hostile_engine(n)?.charter().heads(&space.unit);
        let dice = &mut self.hostile.dice;
        let mut rng = SeededRng::new(dice.bits());
        match dice.between(0, 9) {
            0 => heads.clear(),
            1 => heads = vec![CommitId(random(&mut rng))],
            _ => {}
        }
        let org = if dice.chance(100) { OrgId(random(&mut rng)) } else { self.org };
        let place = Place::first(org, space, Nonce(random(&mut rng)), heads, now);
        let entry = if space.flow == Flow::Charter {
            let op = match dice.between(0, 3) {
                0 => Op::Revoke { key: root_device, reason: "ours now".into() },
                1 => {
                    let unit = UnitId(random(&mut rng));
                    Op::CreateUnit { unit, name: "nobody's".into(), code: None, kind: None, since: now }
                }
                2 => Op::Endpoint { addresses: vec!["nowhere:7447".into()] },
                _ => {
                    Op::Schema { version: 99, text: super::super::world::SCHEMA.replace("version = 1", "version = 99") }
                }
            };
            fake_entry(&space, EntryKind::Charter, None, now, &op.encode())
        } else {
            card(&key, &place, dice, &mut rng)
        };
        Some(hostile::commit(&key, &place, vec![entry]))
    }

    /// A patched program takes its own commit for good, and stores it as if it counted.
    fn patch(&mut self, n: usize, commit: &Commit) -> bool {
        let patched = (0..self.machines.len()).filter(|i| self.exempt[*i]).count();
        if patched * 4 > self.machines.len() {
            return false;
        }
        let now = self.machines[n].clock.now();
        let Some(p) = self.machines[n].process.as_mut() else { return false };
        let Replica { store, engine, .. } = &mut p.replica;
        let h = commit.header();
        let mut batch = Batch::at(now);
        let mut entries = Vec::new();
        for e in &commit.payload().entries {
            entries.push(NewEntry { record: e.entry.record, kind: e.entry.kind, status: Status::Accepted });
            if e.entry.kind.is_change() {
                batch.records.push(RecordState {
                    id: e.entry.record,
                    key: None,
                    collection: e.entry.collection.clone(),
                    space: h.space,
                    heads: vec![e.entry.change()],
                    max_op: 3,
                    sequences: [(h.actor(), 1)].into(),
                    entries: 1,
                    irregular: 0,
                    damaged: false,
                });
            }
        }
        let commits = vec![NewCommit { head: commit.head().clone(), entries }];
        batch.groups.push(NewGroup { commits, pack: packed(std::slice::from_ref(commit)).pack });
        let wrote = store.group(|s| s.write(&batch)).is_ok();
        let _ = engine.reload(store);
        if wrote {
            self.exempt[n] = true;
            self.hostile_log(n);
            self.ledger.forget(n);
            let name = self.machines[n].name.clone();
            self.say(&format!("{name} writes into its own store what it has no right to"));
        }
        self.written(n);
        wrote
    }

    /// The log of a hostile device may fork.
    pub(super) fn hostile_log(&mut self, n: usize) {
        let device = self.machines[n].device;
        self.ledger.may_fork.insert(device);
    }

    /// The data spaces that a machine may write, its own unit's first.
    pub(super) fn rightful_spaces(&self, n: usize) -> Vec<SpaceId> {
        let Some(engine) = self.hostile_engine(n) else { return Vec::new() };
        let own = self.unit_ids[self.spec(n).unit];
        let units = std::iter::once(own).chain(self.unit_ids.iter().copied().filter(|u| *u != own));
        let data = |s: &SpaceId| matches!(s.flow, Flow::Up | Flow::Down);
        units
            .flat_map(every_space)
            .filter(|s| data(s) && engine.charter().counts(&engine.device(), s))
            .take(8)
            .collect()
    }

    /// A device forks its log: one tip goes to one relay, the others later or elsewhere.
    pub(super) fn fork_on_purpose(&mut self, n: usize) {
        let kind = FaultKind::HostileFork;
        let spaces = self.rightful_spaces(n);
        let Some(space) = self.hostile.dice.pick(&spaces).copied() else { return };
        let Some(engine) = self.hostile_engine(n) else { return };
        let (heads, nonce, incarnation) = (engine.charter().heads(&space.unit), engine.nonce(), engine.incarnation());
        let (now, key) = (self.machines[n].clock.now(), self.machines[n].key.clone());
        let relays = self.relays_over(n);
        self.hostile_log(n);
        if self.hostile.dice.chance(120) {
            self.fork_too_often(n, space, heads);
            return;
        }
        // Where an own commit stands whose parents the relay holds, or at the beginning.
        let mut place = Place::first(self.org, space, nonce, heads, now);
        place.incarnation = incarnation;
        let device = self.machines[n].device;
        let held = |at: usize, id: &CommitId| self.ledger.held.get(at).is_some_and(|h| h.set.contains(id));
        let own = self.ledger.held.get(n).into_iter().flat_map(|h| h.order.iter().rev());
        let own: Vec<Place> = own
            .filter_map(|id| self.ledger.commits.get(id))
            .filter(|c| c.header().device == device && c.header().space == space)
            .filter(|c| relays.first().is_none_or(|r| c.header().parents.iter().all(|p| held(*r, p))))
            .take(3)
            .map(|c| if self.machines[n].starts.is_multiple_of(2) { Place::after(c) } else { Place::beside(c) })
            .collect();
        if let Some(own) = self.hostile.dice.pick(&own) {
            place = Place { time: now, ..own.clone() };
        }
        let log = sampan_core::id::LogId { space, device, incarnation: place.incarnation };
        let dice = &mut self.hostile.dice;
        let room = FORKS_OF_A_LOG_MAX - self.hostile.forks.get(&log).copied().unwrap_or(0).min(FORKS_OF_A_LOG_MAX);
        let count = (dice.between(2, 3) as usize).min(room);
        if count == 0 {
            return;
        }
        let mut rng = SeededRng::new(dice.bits());
        let tips: Vec<Commit> = (0..count)
            .map(|_| {
                let entry = card(&key, &place, dice, &mut rng);
                hostile::commit(&key, &place, vec![entry])
            })
            .collect();
        *self.hostile.forks.entry(log).or_default() += count;
        // The last one goes to a relay past the device's own program, the first ones wait for a link.
        let to = self.hostile.dice.pick(&relays).copied();
        let (first, last) = tips.split_at(count - 1);
        if to.is_some_and(|relay| self.hand_over(n, relay, last)) {
            self.faults.fired(kind);
        } else {
            self.forge_commits(n, kind, last);
        }
        for tip in first {
            self.forge_commits(n, kind, std::slice::from_ref(tip));
        }
    }

    /// More tips than a log may have, in one log of their own and by one route: see
    /// [`FORKS_OF_A_LOG_MAX`].
    fn fork_too_often(&mut self, n: usize, space: SpaceId, heads: Vec<CommitId>) {
        let kind = FaultKind::HostileFork;
        let (now, key) = (self.machines[n].clock.now(), self.machines[n].key.clone());
        let relays = self.relays_over(n);
        let dice = &mut self.hostile.dice;
        let mut rng = SeededRng::new(dice.bits());
        let first = Place::first(self.org, space, Nonce(random(&mut rng)), heads, now);
        let mut commits = vec![hostile::commit(&key, &first, vec![card(&key, &first, dice, &mut rng)])];
        let place = Place::after(&commits[0]);
        for _ in 0..LOG_TIPS_MAX as u64 + dice.between(1, 8) {
            let entry = card(&key, &place, dice, &mut rng);
            commits.push(hostile::commit(&key, &place, vec![entry]));
        }
        if self.hostile.dice.chance(500)
            && let Some(relay) = relays.first()
        {
            if self.hand_over(n, *relay, &commits) {
                self.faults.fired(kind);
            }
        } else {
            self.forge_commits(n, kind, &commits);
        }
    }
}

/// The spaces that a unit may have.
fn every_space(unit: UnitId) -> impl Iterator<Item = SpaceId> {
    let flows = [(Flow::Up, 0), (Flow::Up, 1), (Flow::Down, 0), (Flow::Charter, 0), (Flow::Local, 0)];
    flows.into_iter().map(move |(flow, reach)| SpaceId { unit, flow, reach })
}

/// Commits of one space as they travel.
pub(super) fn packed(commits: &[Commit]) -> Group {
    hostile::group(&ZstdCodec, &commits.iter().collect::<Vec<_>>())
}

/// A new card, honest in form.
pub(super) fn card(
    key: &ed25519_dalek::SigningKey,
    place: &Place,
    dice: &mut Dice,
    rng: &mut SeededRng,
) -> EntryPayload {
    let actor = ActorId::of(&device_id(key), &place.nonce);
    let name = format!("kẻ xấu {}", dice.between(1, 1_000_000));
    let fields: BTreeMap<String, (Kind, Value)> = [("name".to_owned(), (Kind::String, Value::Str(name)))].into();
    let time = Millis(place.time.0);
    let made = create(&actor, time, random(rng), &fields)
        .unwrap_or_else(|e| panic!("the world makes a card that breaks a rule: {e}"));
    hostile::entry(record_id(&place.space, &made.hash), "cards", time, made.bytes)
}

/// The start of a log of a machine's device, under a name of its own.
pub(super) fn own_log(org: OrgId, space: SpaceId, nonce: Nonce, heads: Vec<CommitId>, now: Millis) -> Place {
    Place { incarnation: Incarnation(nonce.0), ..Place::first(org, space, nonce, heads, now) }
}
