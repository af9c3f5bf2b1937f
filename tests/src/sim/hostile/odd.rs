//! A rightful device that sends every change which upsets Automerge.
//!
//! It does not: judge what becomes of them: the plain model does, at every replica, at the end.
//!
//! Invariants: the changes stand in commits that count, so they reach everybody who holds the space.

use super::super::fault::FaultKind;
use super::super::world::World;
use super::forge::own_log;
use sampan_core::entropy::random;
use sampan_core::id::{ActorId, Nonce, RecordId};
use sampan_core::limits::{CHANGE_BYTES_MAX, COMMIT_ENTRIES_MAX};
use sampan_core::log::{Commit, EntryPayload};
use sampan_core::store::{RecordState, Status, Store};
use sampan_core::testing::SeededRng;
use sampan_core::testing::hostile::{self, Place};

/// Records of a replica that are looked at for an honest one.
const TRIED_MAX: usize = 40;
/// Payload bytes of one commit of odd changes: a frame over a slow path takes no longer than its link.
const COMMIT_BYTES: usize = 48 << 10;

impl World {
    /// An honest record that a machine holds in a space where it may write, and its standing changes.
    fn honest_record(&mut self, n: usize) -> Option<(RecordState, Vec<Vec<u8>>)> {
        let records: Vec<RecordId> = self.people.records().iter().map(|(_, id)| *id).collect();
        for _ in 0..TRIED_MAX {
            let id = *self.hostile.dice.pick(&records)?;
            let engine = self.hostile_engine(n)?;
            let store = &self.process(n)?.replica.store;
            let Ok(mut states) = store.records(&[id]) else { return None };
            let Some(state) = states.pop().flatten() else { continue };
            if !engine.charter().counts(&engine.device(), &state.space) || state.damaged {
                continue;
            }
            let Some(entries) = state.key.and_then(|key| store.entries(key).ok()) else { continue };
            // Local edits may never be sealed: what leaves builds on what has left.
            let sealed = |e: &&sampan_core::store::RecordEntry| {
                e.status == Status::Accepted && matches!(e.at, sampan_core::store::EntryAt::Sealed(..))
            };
            let base: Vec<Vec<u8>> = entries.iter().filter(sealed).map(|e| e.bytes.clone()).collect();
            if !base.is_empty() && base.len() == entries.len() {
                return Some((state, base));
            }
        }
        None
    }

    /// Every odd change, in commits that count.
    pub(super) fn send_odd_changes(&mut self, n: usize) {
        let kind = FaultKind::HostileChange;
        let Some((state, base)) = self.honest_record(n) else { return };
        let Some(engine) = self.hostile_engine(n) else { return };
        let heads = engine.charter().heads(&state.space.unit);
        let (now, key) = (self.machines[n].clock.now(), self.machines[n].key.clone());
        let mut tips = engine.holdings().tips(&state.space).map(|t| t.of_device(engine.device())).unwrap_or_default();
        let relays = self.relays_over(n);
        let relay = self.hostile.dice.pick(&relays).copied();
        // Half of the time on top of the logs that the device has, as its program would begin a new one.
        let held = |id: &_| relay.is_none_or(|r| self.ledger.held.get(r).is_some_and(|h| h.set.contains(id)));
        tips.retain(|id| held(id));
        let sequence = tips.iter().filter_map(|id| self.ledger.commits.get(id)).map(|c| c.header().sequence).max();
        let dice = &mut self.hostile.dice;
        let mut rng = SeededRng::new(dice.bits());
        let mut place = own_log(self.org, state.space, Nonce(random(&mut rng)), heads, now);
        if let Some(sequence) = sequence.filter(|_| tips.len() <= 16 && dice.chance(500)) {
            (place.parents, place.sequence) = (tips, sequence + 1);
        }
        let actor = ActorId::of(&self.machines[n].device, &place.nonce);
        let large = dice.chance(100);
        let mut entries: Vec<EntryPayload> = Vec::new();
        for odd in hostile::changes(&base, actor, &mut rng) {
            for bytes in odd.before.into_iter().chain([odd.bytes]) {
                if bytes.len() < CHANGE_BYTES_MAX || large {
                    entries.push(hostile::entry(state.id, &state.collection, now, bytes));
                }
            }
        }
        // Any order: a parent may come after its child.
        for i in (1..entries.len()).rev() {
            entries.swap(i, dice.between(0, i as u64) as usize);
        }
        let most = [1, 7, COMMIT_ENTRIES_MAX][dice.between(0, 2) as usize];
        let mut commits: Vec<Commit> = Vec::new();
        let mut run: Vec<EntryPayload> = Vec::new();
        let mut bytes = 0;
        let mut seal = |run: &mut Vec<EntryPayload>| {
            if !run.is_empty() {
                let commit = hostile::commit(&key, &place, std::mem::take(run));
                place = Place::after(&commit);
                commits.push(commit);
            }
        };
        for e in entries {
            if run.len() >= most || bytes > COMMIT_BYTES {
                seal(&mut run);
                bytes = 0;
            }
            bytes += e.payload.len();
            run.push(e);
        }
        seal(&mut run);
        self.hostile_log(n);
        let past = self.hostile.dice.chance(500);
        if let Some(relay) = relay.filter(|_| past)
            && self.hand_over(n, relay, &commits)
        {
            self.faults.fired(kind);
            return;
        }
        for c in commits {
            self.forge_commits(n, kind, &[c]);
        }
    }
}
