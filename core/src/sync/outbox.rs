//! What a side has to say, by lane, produced frame by frame so that urgent news overtakes backlog.
//!
//! It does not: decide what is missing at the peer (`talk`).
//!
//! Invariants: commits of one device in one space keep the order of storage, which is parents first,
//! and stay in one lane; a commit is offered to a peer once a session.

use super::lane;
use crate::canary::{self, Canary};
use crate::id::{DeviceId, Flow, LogId, SpaceId};
use crate::limits::{ANNOUNCE_BYTES_MIN, BACKFILL_BYTES_MIN, FRAME_ENTRIES_MAX, FRAME_PAYLOAD_BYTES_MAX};
use crate::small::{SmallMap, SmallSet};
use crate::store::{CommitKey, CommitRow, Store, StoreError};
use crate::wire::frame::{Announce, Frame, Group};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Commits waiting to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    control: VecDeque<Frame>,
    registers: VecDeque<Frame>,
    /// By lane, of each at least one.
    commits: SmallMap<u8, VecDeque<(SpaceId, CommitRow)>>,
    lane_of: SmallMap<(SpaceId, DeviceId), u8>,
    offered: SmallSet<CommitKey>,
    unannounced: Announce,
    pub(super) sent: u64,
    sent_lane0: u64,
}

/// A frame about to leave, with what it adds to the statistics.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub lane: u8,
    pub frame: Frame,
    pub commits: u64,
    pub entries: u64,
    pub changes: u64,
}

impl Outbox {
    pub(super) fn control(&mut self, frame: Frame) {
        self.control.push_back(frame);
    }

    /// The word that opens the session: before all else.
    pub(super) fn opening(&mut self, frame: Frame) {
        self.control.push_front(frame);
    }

    pub(super) fn registers(&mut self, frame: Frame) {
        self.registers.push_back(frame);
    }

    /// Forgets everything that waits: the peer turned out to want none of it.
    pub(super) fn drop_all(&mut self) {
        self.control.clear();
        self.registers.clear();
        for (_, row) in std::mem::take(&mut self.commits).into_iter().flat_map(|(_, queue)| queue) {
            self.offered.remove(&row.key);
        }
        self.unannounced = Announce::default();
    }

    /// Forgets what waits and what was offered: none of it was taken. Counts of frames go on.
    pub(super) fn begin_anew(&mut self) {
        self.drop_all();
        self.offered.clear();
        self.lane_of.clear();
    }

    /// Queues commits that no position of the store names.
    pub(super) fn aside(&mut self, groups: Vec<Group>) {
        self.control(Frame::Commits { after: 0, groups });
    }

    /// The peer has this commit: never offer it.
    pub(super) fn has(&mut self, key: CommitKey) {
        self.offered.insert(key);
    }

    /// Whether the peer has this commit, or is being sent it.
    pub(super) fn knows(&self, key: CommitKey) -> bool {
        self.offered.contains(&key)
    }

    /// Queues commits once more that the peer could not read.
    pub(super) fn again(&mut self, rows: Vec<(LogId, CommitRow)>) {
        for (_, row) in &rows {
            self.offered.remove(&row.key);
        }
        self.offer(rows);
    }

    /// Queues what the peer lacks; rows of one device in one space come together.
    pub(super) fn offer(&mut self, rows: Vec<(LogId, CommitRow)>) {
        let mut groups: BTreeMap<(SpaceId, DeviceId), Vec<CommitRow>> = BTreeMap::new();
        let mut charter = Vec::new();
        for (log, row) in rows {
            if !self.offered.insert(row.key) {
                continue;
            }
            if log.space.flow == Flow::Charter {
                charter.push((log.space, row));
            } else {
                groups.entry((log.space, log.device)).or_default().push(row);
            }
        }
        // Charters build on one another across units: the order of storage has causes first.
        charter.sort_by_key(|(_, row)| row.key);
        for (_, row) in &charter {
            self.announce(row);
        }
        if !charter.is_empty() {
            self.commits.get_or_insert_with(lane::CHARTER, VecDeque::new).extend(charter);
        }
        // Newest first orders spaces and logs; within a log the oldest comes first.
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.iter().map(|r| r.time).max()));
        for ((space, device), mut rows) in groups {
            rows.sort_by_key(|r| r.key);
            let bytes: u64 = rows.iter().map(|r| u64::from(r.bytes)).sum();
            let usual = match space.flow {
                Flow::Charter => lane::CHARTER,
                Flow::Down => lane::DOWN,
                Flow::Up | Flow::Group | Flow::Local | Flow::Inbox if bytes < BACKFILL_BYTES_MIN => lane::RECENT,
                Flow::Up | Flow::Group | Flow::Local | Flow::Inbox => lane::BACKFILL,
            };
            let lane = *self.lane_of.get_or_insert_with((space, device), || usual);
            rows.iter().for_each(|r| self.announce(r));
            self.commits.get_or_insert_with(lane, VecDeque::new).extend(rows.into_iter().map(|r| (space, r)));
        }
    }

    fn announce(&mut self, row: &CommitRow) {
        self.unannounced.commits += 1;
        self.unannounced.entries += u64::from(row.entries);
        self.unannounced.bytes += u64::from(row.bytes);
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.registers.is_empty() && self.commits.is_empty()
    }

    /// Whether commits wait that the peer lacks.
    pub(super) fn has_commits(&self) -> bool {
        !self.commits.is_empty()
    }

    /// How much waits that a turn has to end: registers and acknowledgements need no answer.
    pub(super) fn due(&self) -> usize {
        self.control.len() + self.commits.values().map(VecDeque::len).sum::<usize>()
    }

    /// Whether no turn is due: registers and acknowledgements need no answer.
    pub(super) fn is_commits_and_control_empty(&self) -> bool {
        self.control.is_empty() && self.commits.is_empty()
    }

    /// The same, where the word that opened the session may wait still: it says nothing that a mark would have to answer.
    pub(super) fn has_nothing_to_answer(&self) -> bool {
        self.control.iter().all(|frame| matches!(frame, Frame::Greeted(_) | Frame::Welcome(_)))
            && self.commits.is_empty()
    }

    /// The most urgent frame whose lane is free.
    pub(super) fn next(
        &mut self,
        store: &dyn Store,
        free: &dyn Fn(u8) -> bool,
    ) -> Result<Option<Outgoing>, StoreError> {
        let plain = |lane, frame| Outgoing { lane, frame, commits: 0, entries: 0, changes: 0 };
        if free(lane::CHARTER) {
            if let Some(frame) = self.control.pop_front() {
                return Ok(Some(self.count(plain(lane::CHARTER, frame))));
            }
            if self.unannounced.bytes >= ANNOUNCE_BYTES_MIN {
                let frame = Frame::Announce(std::mem::take(&mut self.unannounced));
                return Ok(Some(self.count(plain(lane::CHARTER, frame))));
            }
        }
        let lanes: Vec<u8> = self.commits.keys().copied().collect();
        // What is judged by a charter says how many lane-0 frames it follows: it must not be counted
        // before the charter's own commits are, however busy their lane.
        if lanes.contains(&lane::CHARTER) && !free(lane::CHARTER) {
            return Ok(None);
        }
        if let Some(lane) = lanes.iter().copied().find(|l| *l < lane::REGISTERS && free(*l)) {
            return self.commits_frame(store, lane).map(Some);
        }
        if free(lane::REGISTERS)
            && !canary::sings(Canary::PriorityForgotten)
            && let Some(frame) = self.registers.pop_front()
        {
            return Ok(Some(self.count(plain(lane::REGISTERS, frame))));
        }
        if let Some(lane) = lanes.into_iter().find(|l| *l > lane::REGISTERS && free(*l)) {
            return self.commits_frame(store, lane).map(Some);
        }
        Ok(None)
    }

    fn commits_frame(&mut self, store: &dyn Store, lane: u8) -> Result<Outgoing, StoreError> {
        let queue = self.commits.get_or_insert_with(lane, VecDeque::new);
        let mut runs: Vec<(SpaceId, Vec<CommitKey>)> = Vec::new();
        let (mut taken, mut ids) = (Vec::new(), Vec::new());
        let (mut commits, mut entries, mut bytes, mut changes) = (0, 0u32, 0u32, 0u64);
        while let Some((space, row)) = queue.front() {
            let fits = entries + row.entries <= FRAME_ENTRIES_MAX && bytes + row.bytes <= FRAME_PAYLOAD_BYTES_MAX;
            if commits > 0 && !fits {
                break;
            }
            match runs.last_mut() {
                Some((s, keys)) if s == space => keys.push(row.key),
                Some(_) | None => runs.push((*space, vec![row.key])),
            }
            taken.push(row.key);
            ids.push(row.id);
            commits += 1;
            entries += row.entries;
            bytes += row.bytes;
            changes += if space.flow == Flow::Charter { 0 } else { u64::from(row.changes) };
            queue.pop_front();
        }
        if queue.is_empty() {
            self.commits.remove(&lane);
        }
        let held = store.known(&ids)?;
        let gone: BTreeSet<CommitKey> =
            taken.into_iter().zip(held).filter(|(_, held)| held.is_none()).map(|(key, _)| key).collect();
        let mut groups = Vec::new();
        for (space, mut keys) in runs {
            // What a cut took out of what counts since it was offered stays here.
            keys.retain(|k| !gone.contains(k));
            if keys.is_empty() {
                continue;
            }
            groups.extend(store.groups(&space, &keys)?);
        }
        let frame = Frame::Commits { after: self.sent_lane0, groups };
        Ok(self.count(Outgoing { lane, frame, commits, entries: u64::from(entries), changes }))
    }

    /// Lets go of the room of empty queues.
    pub(super) fn rest(&mut self) {
        for queue in [&mut self.control, &mut self.registers] {
            if queue.is_empty() {
                *queue = VecDeque::new();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let commits = usize::from(!self.commits.owns_nothing());
        self.control.capacity() + self.registers.capacity() + commits
    }

    fn count(&mut self, out: Outgoing) -> Outgoing {
        self.sent += 1;
        if out.lane == lane::CHARTER {
            self.sent_lane0 += 1;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Incarnation;
    use crate::id::StoreEpoch;
    use crate::testing::{MemStore, test_org, test_unit};
    use crate::time::Millis;

    fn row(key: u64, flow: Flow) -> (LogId, CommitRow) {
        let mut space = SpaceId::charter(test_unit(1));
        space.flow = flow;
        let log = LogId { space, device: DeviceId::default(), incarnation: Incarnation::default() };
        let row = CommitRow {
            key: CommitKey(key),
            id: crate::id::CommitId::default(),
            sequence: 1,
            entries: 1,
            changes: 1,
            bytes: 1 << 20,
            time: Millis(0),
        };
        (log, row)
    }

    #[test]
    fn records_never_overtake_the_charter_that_is_to_judge_them() {
        let mut out = Outbox::default();
        let store = MemStore::new(test_org(), DeviceId::default(), StoreEpoch::default());
        out.offer(vec![row(1, Flow::Charter), row(2, Flow::Up)]);
        let announced = out.next(&store, &|_| true).unwrap().unwrap();
        assert_eq!(announced.frame.name(), "Announce");
        let busy = |lane: u8| lane != lane::CHARTER;
        assert!(out.next(&store, &busy).unwrap().is_none(), "a record left while the charter's lane was busy");
    }
}
