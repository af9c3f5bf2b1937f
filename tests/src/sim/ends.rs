//! Rights that end while a device has edits that nobody else holds, and relays that show an older word than before.
//!
//! It does not: say what may still be handed in (the door and the deposit session do).
//!
//! Invariants: a device whose right ended promises nothing any more, and is owed one thing: what it sealed before
//! reaches a relay above it once both can meet, to count there or to be judged. What a replica has been shown of a
//! relay's beacons it never forgets, and an older one is noticed.

use super::fault::FaultKind;
use super::world::World;
use sampan_core::charter::{CutKind, Holder, Roles};
use sampan_core::engine::{Narrowing, SeenBeacon};
use sampan_core::id::{CommitId, DeviceId, Flow, UnitId};
use sampan_core::register::{Beacon, names};
use sampan_core::store::{CommitKey, Store};
use sampan_core::value::Value;
use sampan_core::wire::frame::Frame;
use sampan_node::replica::{ImportRecord, Replica};
use std::collections::BTreeMap;

const HOUR: u64 = 3_600_000;
/// Commits read at a time.
const READ_COMMITS: usize = 1_024;

/// A relay's beacon as a frame shows it: unit, device and counter.
pub(super) type Shown = (UnitId, DeviceId, u64);

/// The beacon that a frame shows, if that is what it does.
pub(super) fn beacon_in(bytes: &[u8]) -> Option<Shown> {
    let Frame::Registers(registers) = World::read(bytes)? else { return None };
    let found = registers.iter().filter_map(|r| r.trust().ok()).find(|r| r.name == names::BEACON)?;
    // Only what is a beacon in its form as well.
    sampan_core::wire::decode::<Beacon>("beacon", &found.payload).ok()?;
    Some((found.unit, found.device, found.counter))
}

impl World {
    /// A device's right ends while its road is closed and it has something to send: at once, or at a date.
    pub(super) fn end_with_unsent(&mut self, n: usize, kind: FaultKind) -> bool {
        let device = self.machines[n].device;
        let alone = self.machines.iter().filter(|m| m.device == device).count() == 1;
        let fit = n != 0 && !self.spec(n).relay && self.spec(n).roles == Roles::EDITOR && self.machines[n].runs();
        if !fit || !alone || self.exempt[n] || self.ledger.may_fork.contains(&device) {
            return false;
        }
        let away = self.chaos.around(3 * HOUR).min(self.shape.lasts / 2);
        self.close_road(n, away);
        let wrote = self.unsent_card(n);
        self.mend(n, wrote);
        if !wrote || !self.machines[n].runs() {
            return false;
        }
        let ended = match kind {
            FaultKind::Deposited => self.cut_device(n, CutKind::Lost, Roles::NONE),
            _ => self.give_an_end(n),
        };
        if ended {
            self.exempt[n] = true;
            self.court.returns.insert(n);
        }
        ended
    }

    /// One card, sealed.
    fn unsent_card(&mut self, n: usize) -> bool {
        let unit = self.unit_ids[self.spec(n).unit];
        let Some(p) = self.machines[n].process.as_mut() else { return false };
        let Some(cards) = p.replica.schema().and_then(|s| s.collection("cards")).cloned() else { return false };
        let fields = BTreeMap::from([("name".to_owned(), Value::Str("chưa gửi".to_owned()))]);
        let row = ImportRecord { unit, fields, updates: None };
        p.replica.import(&cards, vec![row]).is_ok() && p.replica.seal().is_ok()
    }

    /// Its grant gets an end, near or far, by the clock of whoever says so.
    fn give_an_end(&mut self, n: usize) -> bool {
        let (device, unit) = (self.machines[n].device, self.unit_ids[self.spec(n).unit]);
        let by = if self.chaos.chance(500) { 0 } else { self.operator_of(unit) };
        let after = self.chaos.around(self.shape.lasts / 4).max(HOUR);
        let now = self.machines[by].clock.now();
        let Some(p) = self.machines[by].process.as_mut() else { return false };
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let narrowing = Narrowing {
            device,
            unit,
            roles: Roles::EDITOR,
            subtree: false,
            collections: None,
            until: Some(sampan_core::time::Millis(now.0.saturating_add(after))),
            reason: "said in the simulated world".into(),
            regrant: Some(Holder { salt: [7; 16], name: "the same".into() }),
        };
        let wrote = store.group(|s| engine.write_narrowing(s, rng, &narrowing, now)).is_ok();
        self.mend(by, wrote);
        wrote
    }

    /// What a relay's program does hourly: grants whose month after their end is over are closed.
    pub(super) fn close_what_is_due(&mut self, n: usize) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        // A failure of the disk is met again by the next transaction.
        if let Ok(1..) = sampan_relay::serve::close(&mut p.replica) {
            self.after_step(n);
            self.wake(n);
        }
        if self.machines[n].disk.is_off() {
            let down = self.chaos.around(HOUR / 6);
            self.died(n, down);
        }
    }

    /// The first thing that a device whose right has ended sealed before, and that no relay above it has.
    pub(super) fn unreturned(&self, n: usize) -> Option<String> {
        // What takes a relay's disk takes what was handed in there; what fills its quarantine leaves no room.
        let taken = [FaultKind::RelayLost, FaultKind::RestoreRelay, FaultKind::BitRot, FaultKind::HostileFlood];
        if taken.iter().any(|k| self.faults.counts().contains_key(k)) {
            return None;
        }
        let p = self.machines[n].process.as_ref()?;
        let unit = self.unit_ids[self.spec(n).unit];
        let charter = self.machines[0].process.as_ref()?.replica.engine.charter();
        let above = |i: &usize| {
            let own = self.unit_ids[self.spec(*i).unit];
            self.spec(*i).relay && charter.chain(&unit).any(|u| u.id == own)
        };
        let relays: Vec<usize> = (0..self.shape.nodes.len()).filter(above).collect();
        if relays.iter().any(|i| self.exempt[*i] || self.hostile.is(*i) || !self.machines[*i].runs()) {
            return None;
        }
        let mut last = CommitKey(0);
        loop {
            let feed = p.replica.store.commits_after(last, READ_COMMITS).ok()?;
            last = feed.last()?.key;
            for c in feed {
                let h = c.commit.header();
                let id = c.commit.id();
                // What reaches to the root every relay above may hold.
                let owed = h.device == self.machines[n].device && h.space.flow == Flow::Up && h.space.reach == 0;
                if owed && h.space.unit == unit && !relays.iter().any(|r| self.has_or_laid(*r, id, &unit)) {
                    let name = &self.machines[n].name;
                    return Some(format!("{name} sealed commit {id} before its right ended, and no relay has it"));
                }
            }
        }
    }

    fn has_or_laid(&self, n: usize, id: CommitId, unit: &UnitId) -> bool {
        let Some(p) = &self.machines[n].process else { return false };
        let known = p.replica.store.known(&[id]).is_ok_and(|k| k.iter().any(Option::is_some));
        known || self.laid(n).contains(&id) || p.replica.engine.charter().rejected(&id, unit)
    }

    /// What a machine remembers of beacons never goes back.
    pub(super) fn check_beacons(&mut self, n: usize) {
        let Some(p) = &self.machines[n].process else { return };
        let Ok(seen) = p.replica.engine.beacons(&p.replica.store) else { return };
        let name = &self.machines[n].name;
        let Some(held) = self.ledger.held.get_mut(n) else { return };
        let mut words = Vec::new();
        for s in seen {
            let before = held.beacons.entry((s.unit, s.device)).or_insert((s.counter, s.commits));
            if s.counter < before.0 || s.commits < before.1 {
                words.push(format!(
                    "{name} was shown beacon {} of {} with {} commits, and now remembers {} with {}",
                    before.0, s.device, before.1, s.counter, s.commits
                ));
            }
            *before = (s.counter, s.commits);
        }
        words.into_iter().for_each(|w| self.ledger.accuse(w));
    }

    /// Of the frames about to be worked through: beacons of the very relay at the other end that are older than what the
    /// machine remembers of it, with their link and the number of what it remembers.
    pub(super) fn older_beacons<'b>(
        &self,
        n: usize,
        frames: impl Iterator<Item = (usize, &'b [u8])>,
    ) -> Vec<(usize, Shown, u64)> {
        let Some(p) = &self.machines[n].process else { return Vec::new() };
        let shown = frames.filter_map(|(link, bytes)| beacon_in(bytes).map(|shown| (link, shown)));
        let mut shown = shown
            .filter(|(link, (_, device, _))| {
                let [lower, upper] = self.links[*link].nodes;
                lower == n && self.machines[upper].device == *device
            })
            .peekable();
        if shown.peek().is_none() {
            return Vec::new();
        }
        let seen = p.replica.engine.beacons(&p.replica.store).unwrap_or_default();
        let remembered = |(unit, device, counter): &Shown| {
            let of = seen.iter().find(|s| (s.unit, s.device) == (*unit, *device));
            of.map(|s| s.counter).filter(|known| known > counter)
        };
        shown.filter_map(|(link, shown)| Some((link, shown, remembered(&shown)?))).collect()
    }

    /// An older word of a relay than it gave before is noticed, by whoever took the frame and whose link goes on; the
    /// notice stands until that relay gives a newer one, which may be among the very frames that were worked through.
    pub(super) fn check_noticed(&mut self, n: usize, older: &[(usize, Shown, u64)]) {
        let Some(p) = &self.machines[n].process else { return };
        let Ok(seen) = p.replica.engine.beacons(&p.replica.store) else { return };
        let name = self.machines[n].name.clone();
        for (link, (unit, device, counter), remembered) in older {
            let goes_on = self.links[*link].open[0]
                && p.states
                    .get(&self.links[*link].sessions[0])
                    .is_some_and(|s| s.end.is_none() && s.verified_at.is_some());
            let of = |s: &&SeenBeacon| (s.unit, s.device) == (*unit, *device);
            let blind = seen.iter().find(of).is_some_and(|s| !s.rolled_back && s.counter == *remembered);
            if goes_on && blind {
                self.ledger
                    .accuse(format!("{name} was shown the older beacon {counter} of {device} and did not notice"));
            }
        }
    }
}
