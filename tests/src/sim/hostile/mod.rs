//! Hostile peers: what they do to the frames that their own, honest program hands out.
//!
//! It does not: break cryptography. A hostile peer has its own keys and its own history, and nothing
//! else. What it makes up is written in `forge`, `odd` and `flood`.
//!
//! Invariants: whatever it does, no honest replica breaks a promise; once it is honest again, everything
//! comes into step.

mod flood;
mod forge;
mod odd;
#[cfg(test)]
mod tests;

use super::dice::Dice;
use super::ends::beacon_in;
use super::fault::{FaultKind, Faults};
use super::files::bend;
use super::world::World;
use sampan_core::id::{Flow, LogId};
use sampan_core::sync::lane;
use sampan_core::wire::frame::Frame;
use std::collections::{BTreeMap, BTreeSet};

/// Frames of before that a replaying peer keeps.
const KEPT_MAX: usize = 24;

/// A frame that a hostile peer made up, waiting for a link to leave on.
#[derive(Debug)]
struct Forged {
    kind: FaultKind,
    lane: u8,
    bytes: Vec<u8>,
}

/// The hostile peers of a world.
#[derive(Debug)]
pub(super) struct Hostile {
    dice: Dice,
    /// Those of what becomes of files.
    files: Dice,
    tricks: BTreeMap<usize, BTreeSet<FaultKind>>,
    ever: BTreeSet<usize>,
    kept: BTreeMap<usize, Vec<(u8, Vec<u8>)>>,
    held_back: BTreeMap<(usize, u8), Vec<u8>>,
    /// Made-up frames of each machine: they leave behind the next frame of its own program.
    waiting: BTreeMap<usize, Vec<Forged>>,
    /// Tips that were added to each log on purpose.
    forks: BTreeMap<LogId, usize>,
    /// The first beacon that a relay said since it began to show old ones.
    beacons: BTreeMap<usize, Vec<u8>>,
    /// Machines that flood.
    flooding: BTreeSet<usize>,
    /// Bytes of made-up frames that left since the costs were last looked at.
    made_up: u64,
}

impl Hostile {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::of(seed, "hostile"),
            files: Dice::of(seed, "hostile-file"),
            tricks: BTreeMap::new(),
            ever: BTreeSet::new(),
            kept: BTreeMap::new(),
            held_back: BTreeMap::new(),
            waiting: BTreeMap::new(),
            forks: BTreeMap::new(),
            beacons: BTreeMap::new(),
            flooding: BTreeSet::new(),
            made_up: 0,
        }
    }

    /// All are honest from now on.
    pub(super) fn stop(&mut self) {
        self.tricks.clear();
        self.held_back.clear();
        self.waiting.clear();
        self.flooding.clear();
    }

    /// Of the bytes just sent over a link between two machines, those that no honest program answers for:
    /// made-up frames; and everything while one of the two floods, because a link that waits for frames
    /// which never come asks again every few seconds, for as long as it lives.
    pub(super) fn not_honest(&mut self, nodes: [usize; 2], sent: u64) -> u64 {
        let made_up = std::mem::take(&mut self.made_up);
        if nodes.iter().any(|n| self.flooding.contains(n)) { sent } else { made_up.min(sent) }
    }

    /// Whether what a machine says of itself may be of another time or link: its word is worth nothing
    /// then, and "verified" is worth no more than the word of both ends.
    pub(super) fn lies(&self, n: usize) -> bool {
        let lying = [FaultKind::HostileReplay, FaultKind::HostileReorder, FaultKind::HostileFlood];
        self.tricks.get(&n).is_some_and(|t| lying.iter().any(|k| t.contains(k)))
    }

    /// Whether a machine is, or was, hostile.
    pub(super) fn is(&self, n: usize) -> bool {
        self.ever.contains(&n)
    }

    /// What really leaves of a frame.
    pub(super) fn tamper(&mut self, n: usize, lane: u8, bytes: Vec<u8>, faults: &mut Faults) -> Vec<(u8, Vec<u8>)> {
        // Before the greeting nobody listens.
        let greets =
            self.waiting.contains_key(&n) && matches!(World::read(&bytes), Some(Frame::Hello(_) | Frame::Greeting(_)));
        let forged = if greets { None } else { self.waiting.remove(&n) };
        let mut out = self.trick(n, lane, bytes, faults);
        let mut last = None;
        for f in forged.into_iter().flatten() {
            if last != Some(f.kind) {
                faults.fired(f.kind);
            }
            last = Some(f.kind);
            self.made_up += f.bytes.len() as u64;
            out.push((f.lane, f.bytes));
        }
        out
    }

    /// What the standing tricks of a peer make of a frame.
    fn trick(&mut self, n: usize, lane: u8, bytes: Vec<u8>, faults: &mut Faults) -> Vec<(u8, Vec<u8>)> {
        let Some(tricks) = self.tricks.get(&n).cloned() else { return vec![(lane, bytes)] };
        let mut out = vec![(lane, bytes)];
        let has = |k| tricks.contains(&k);
        if has(FaultKind::HostileStale) && out.first().is_some_and(|(_, b)| is_charter(b)) {
            faults.fired(FaultKind::HostileStale);
            out.clear();
        }
        if has(FaultKind::HostileBeacon)
            && let Some((_, b)) = out.first_mut()
            && beacon_in(b).is_some()
        {
            let first = self.beacons.entry(n).or_insert_with(|| b.clone());
            // In turn with new ones: who is shown nothing newer cannot tell.
            if first != b && self.dice.chance(500) {
                faults.fired(FaultKind::HostileBeacon);
                b.clone_from(first);
            }
        }
        if has(FaultKind::HostileFile)
            && let Some((lane::FILES, b)) = out.first_mut()
            && bend(&mut self.files, b)
        {
            faults.fired(FaultKind::HostileFile);
        }
        if has(FaultKind::HostileWithhold) && self.dice.chance(300) && !out.is_empty() {
            faults.fired(FaultKind::HostileWithhold);
            out.clear();
        }
        if has(FaultKind::HostileReplay) {
            let kept = self.kept.entry(n).or_default();
            if self.dice.chance(200)
                && let Some(old) = self.dice.pick(kept).cloned()
            {
                faults.fired(FaultKind::HostileReplay);
                out.push(old);
            }
            if let Some(first) = out.first()
                && kept.len() < KEPT_MAX
            {
                kept.push(first.clone());
            }
        }
        if has(FaultKind::HostileReorder) {
            if let Some(back) = self.held_back.remove(&(n, lane)) {
                out.push((lane, back));
                faults.fired(FaultKind::HostileReorder);
            } else if self.dice.chance(200)
                && let Some((lane, bytes)) = out.pop()
            {
                self.held_back.insert((n, lane), bytes);
            }
        }
        out
    }
}

fn is_charter(bytes: &[u8]) -> bool {
    match World::read(bytes) {
        Some(Frame::Commits { groups, .. }) => groups
            .iter()
            .flat_map(|g| g.headers.iter().filter_map(|h| h.trust().ok()))
            .any(|h| h.header().space.flow == Flow::Charter),
        Some(_) | None => false,
    }
}

impl World {
    /// A peer turns hostile in one way more.
    pub(super) fn turn_hostile(&mut self, kind: FaultKind, n: usize) {
        // Only a relay has a word to go back on.
        let n = if kind == FaultKind::HostileBeacon && !self.spec(n).relay { 0 } else { n };
        self.hostile.ever.insert(n);
        match kind {
            FaultKind::HostileWithhold
            | FaultKind::HostileReplay
            | FaultKind::HostileReorder
            | FaultKind::HostileStale
            | FaultKind::HostileBeacon => {
                self.hostile.tricks.entry(n).or_default().insert(kind);
            }
            FaultKind::HostileFile => {
                self.hostile.tricks.entry(n).or_default().insert(kind);
                self.forge_about_files(n);
            }
            FaultKind::HostileNoRight => self.write_without_right(n),
            FaultKind::HostileFork => self.fork_on_purpose(n),
            FaultKind::HostileFlood => {
                self.hostile.flooding.insert(n);
                self.flood(n);
            }
            FaultKind::HostileChange => self.send_odd_changes(n),
            _ => unreachable!("{} is no way to be hostile", kind.word()),
        }
    }
}
