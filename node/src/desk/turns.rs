//! Whose turn it is at the desk: what links brought waits in a line of its own for each, and a device that
//! took more than its share of the desk's time waits while others work.
//!
//! It does not: know what a frame says, or read a clock (times are arguments).
//!
//! Invariants: a link's inputs keep their order; a group takes from every line that may go before it takes much
//! from one; a device over its share still gets one part in `DESK_REST_FACTOR + 1` of the time, all of it when
//! nobody else works.

use super::table::TableInput;
use super::{Room, SessionId};
use sampan_core::id::DeviceId;
use sampan_core::limits::{DESK_BURST_MS, DESK_GROUP_BYTES, DESK_REST_FACTOR, DESK_SLICE_BYTES, QUOTA_DEVICES_MAX};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Inputs worked through in one transaction: bounds how long an answer waits for its neighbours.
const GROUP_INPUTS_MAX: usize = 256;
/// How long after the last work of others they still count as working.
const OTHERS_WORK_FOR: Duration = Duration::from_secs(1);
/// What an input weighs beside its bytes, when the time of a group is shared out.
const INPUT_WEIGHT: usize = 512;

/// What waits in a line.
pub(super) enum Waiting {
    /// For the table; the room is free again when it is taken.
    Table(TableInput, Option<Room>),
    /// Says that everything before it was taken.
    Settle(oneshot::Sender<()>),
}

impl Waiting {
    fn bytes(&self) -> usize {
        match self {
            Self::Table(TableInput::Frame { bytes, .. }, _) => bytes.len(),
            Self::Table(
                TableInput::Open { .. }
                | TableInput::Sent { .. }
                | TableInput::Closed { .. }
                | TableInput::Verify { .. },
                _,
            )
            | Self::Settle(_) => 0,
        }
    }
}

struct Line {
    device: DeviceId,
    /// Whether this link came from below: the link upward has no share to keep to.
    below: bool,
    waiting: VecDeque<Waiting>,
}

/// The desk's time that a device took lately.
#[derive(Debug, Clone, Copy)]
struct Share {
    took: Duration,
    at: Instant,
    /// Over its share it goes again then.
    rests_until: Instant,
}

/// A group of inputs, and what each device put into it.
#[derive(Default)]
pub(super) struct Group {
    pub(super) inputs: Vec<Waiting>,
    weights: BTreeMap<DeviceId, usize>,
}

/// The lines.
#[derive(Default)]
pub(super) struct Turns {
    lines: BTreeMap<SessionId, Line>,
    /// The lines in which something waits: of thousands of links most are quiet, and are not looked at.
    filled: BTreeSet<SessionId>,
    /// Where the next group begins to take.
    next: SessionId,
    shares: BTreeMap<DeviceId, Share>,
    light_at: Option<Instant>,
}

impl Turns {
    /// A new link.
    pub(super) fn open(&mut self, id: SessionId, device: DeviceId, below: bool, first: Waiting) {
        self.lines.insert(id, Line { device, below, waiting: VecDeque::from([first]) });
        self.filled.insert(id);
    }

    /// One more input of a link; what comes from a link that ended is dropped.
    pub(super) fn put(&mut self, id: SessionId, waiting: Waiting) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.waiting.push_back(waiting);
            self.filled.insert(id);
        }
    }

    /// A link's last input was taken.
    pub(super) fn close(&mut self, id: SessionId) {
        self.lines.remove(&id);
        self.filled.remove(&id);
    }

    /// What to take now.
    pub(super) fn pick(&mut self, now: Instant) -> Group {
        let mut out = Group::default();
        let light = self.light_at.is_some_and(|at| now.saturating_duration_since(at) < OTHERS_WORK_FOR);
        let ready: Vec<(SessionId, bool)> = {
            let line = |id: &SessionId| {
                let line = self.lines.get(id)?;
                let heavy = line.below && self.is_heavy(&line.device, now);
                let rests = self.shares.get(&line.device).is_some_and(|s| s.rests_until > now);
                let held = heavy && rests && light;
                (!held).then_some((*id, heavy))
            };
            let (from, before) = (self.filled.range(self.next..), self.filled.range(..self.next));
            from.chain(before).filter_map(line).collect()
        };
        let alone = ready.len() == 1;
        let mut bytes = 0;
        for (id, heavy) in ready {
            let Some(line) = self.lines.get_mut(&id) else { continue };
            if !heavy && line.below {
                self.light_at = Some(now);
            }
            let mut slice = 0;
            while let Some(first) = line.waiting.front() {
                let size = first.bytes();
                // Of a line that is over its share a single input, however long the others' are.
                let slice_max = if alone { DESK_GROUP_BYTES } else { DESK_SLICE_BYTES };
                let fits = slice + size <= slice_max && bytes + size <= DESK_GROUP_BYTES;
                if slice > 0 && (heavy || !fits) {
                    break;
                }
                slice += size.max(1);
                bytes += size;
                *out.weights.entry(line.device).or_default() += size + INPUT_WEIGHT;
                out.inputs.extend(line.waiting.pop_front());
                if out.inputs.len() >= GROUP_INPUTS_MAX {
                    break;
                }
            }
            if line.waiting.is_empty() {
                self.filled.remove(&id);
                // A quiet link keeps no room for inputs: of thousands that is half a kilobyte each.
                line.waiting.shrink_to_fit();
            }
            self.next = SessionId(id.0 + 1);
            if out.inputs.len() >= GROUP_INPUTS_MAX || bytes >= DESK_GROUP_BYTES {
                break;
            }
        }
        out
    }

    /// A group took so long: each device pays for its part.
    pub(super) fn charge(&mut self, weights: &BTreeMap<DeviceId, usize>, took: Duration, now: Instant) {
        let all: usize = weights.values().sum();
        if self.shares.len() > QUOTA_DEVICES_MAX {
            self.shares.retain(|_, share| drained(share, now) > Duration::ZERO);
        }
        for (device, weight) in weights {
            let part = took.mul_f64(*weight as f64 / all.max(1) as f64);
            let share = self.shares.entry(*device).or_insert(Share { took: Duration::ZERO, at: now, rests_until: now });
            let took = drained(share, now) + part;
            *share = Share { took, at: now, rests_until: now + part * DESK_REST_FACTOR };
        }
    }

    /// When the first line that rests now may go again.
    pub(super) fn wakes(&self) -> Option<Instant> {
        let waiting = self.filled.iter().filter_map(|id| self.lines.get(id));
        waiting.filter_map(|l| self.shares.get(&l.device)).map(|s| s.rests_until).min()
    }

    fn is_heavy(&self, device: &DeviceId, now: Instant) -> bool {
        let burst = Duration::from_millis(DESK_BURST_MS);
        self.shares.get(device).is_some_and(|s| drained(s, now) > burst)
    }
}

impl Group {
    /// What each device put into it.
    pub(super) fn take_weights(&mut self) -> BTreeMap<DeviceId, usize> {
        std::mem::take(&mut self.weights)
    }
}

/// What a device took, less what time has forgiven: one part in `DESK_REST_FACTOR + 1` of the time is its own.
fn drained(share: &Share, now: Instant) -> Duration {
    share.took.saturating_sub(now.saturating_duration_since(share.at) / (DESK_REST_FACTOR + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_core::sync::Role;

    fn frame(id: u64, size: usize) -> Waiting {
        Waiting::Table(TableInput::Frame { id: SessionId(id), lane: 3, bytes: vec![0; size], ahead: None }, None)
    }

    fn open(turns: &mut Turns, id: u64) {
        let (session, peer) = (SessionId(id), DeviceId([id as u8; 32]));
        let first = TableInput::Open { id: session, role: Role::Upper, peer, fallback: false };
        turns.open(session, peer, true, Waiting::Table(first, None));
    }

    #[test]
    fn a_quiet_line_is_not_looked_at_and_none_is_forgotten() {
        let now = Instant::now();
        let mut turns = Turns::default();
        (1..=300).for_each(|id| open(&mut turns, id));
        assert_eq!(turns.filled.len(), 300);
        // More than one group: what did not find room is still to be looked at.
        assert_eq!(turns.pick(now).inputs.len(), GROUP_INPUTS_MAX);
        assert_eq!(turns.filled.len(), 300 - GROUP_INPUTS_MAX);
        assert_eq!(turns.pick(now).inputs.len(), 300 - GROUP_INPUTS_MAX);
        assert!(turns.filled.is_empty() && turns.wakes().is_none());
        turns.put(SessionId(7), frame(7, 10));
        turns.put(SessionId(9), frame(9, 10));
        turns.close(SessionId(9));
        turns.put(SessionId(9), frame(9, 10));
        assert_eq!(turns.filled, BTreeSet::from([SessionId(7)]));
        assert_eq!(taken(&turns.pick(now)), [(7, 10)]);
        assert!(turns.filled.is_empty());
    }

    fn taken(group: &Group) -> Vec<(u64, usize)> {
        let one = |w: &Waiting| match w {
            Waiting::Table(TableInput::Frame { id, bytes, .. }, _) => Some((id.0, bytes.len())),
            Waiting::Table(..) | Waiting::Settle(_) => None,
        };
        group.inputs.iter().filter_map(one).collect()
    }

    #[test]
    fn a_group_takes_from_every_link_before_it_takes_much_from_one() {
        let now = Instant::now();
        let mut turns = Turns::default();
        (1..=3).for_each(|id| open(&mut turns, id));
        turns.pick(now);
        for _ in 0..400 {
            turns.put(SessionId(1), frame(1, 200_000));
        }
        turns.put(SessionId(2), frame(2, 100));
        turns.put(SessionId(3), frame(3, 100));
        let first = taken(&turns.pick(now));
        assert_eq!(first, [(1, 200_000), (2, 100), (3, 100)]);
        let alone = taken(&turns.pick(now));
        assert!(alone.len() > 1 && alone.iter().map(|(_, n)| n).sum::<usize>() <= DESK_GROUP_BYTES);
        turns.put(SessionId(3), frame(3, 100));
        assert!(taken(&turns.pick(now)).contains(&(3, 100)), "whoever comes later is in the next group");
    }

    #[test]
    fn a_device_over_its_share_rests_while_others_work_and_only_then() {
        let mut now = Instant::now();
        let mut turns = Turns::default();
        (1..=2).for_each(|id| open(&mut turns, id));
        turns.pick(now);
        let flood = BTreeMap::from([(DeviceId([1; 32]), 1_000)]);
        let burst = Duration::from_millis(DESK_BURST_MS);
        turns.charge(&flood, burst, now);
        let turn = Duration::from_millis(50);
        turns.charge(&flood, turn, now);
        turns.put(SessionId(2), frame(2, 100));
        turns.put(SessionId(1), frame(1, 1_000));
        turns.put(SessionId(1), frame(1, 1_000));
        assert_eq!(taken(&turns.pick(now)), [(2, 100)]);
        assert!(taken(&turns.pick(now)).is_empty());
        now = turns.wakes().unwrap();
        turns.put(SessionId(2), frame(2, 100));
        let mut both = taken(&turns.pick(now));
        both.sort_unstable();
        assert_eq!(both, [(1, 1_000), (2, 100)], "one at a time, and never starved");
        turns.charge(&flood, turn, now);
        assert!(taken(&turns.pick(now)).is_empty());
        now += OTHERS_WORK_FOR;
        assert_eq!(taken(&turns.pick(now)), [(1, 1_000)], "nobody else works");
        // The same device with another link is the same device.
        open(&mut turns, 2);
        now += Duration::from_secs(3_600);
        assert!(!turns.is_heavy(&DeviceId([1; 32]), now));
    }
}
