//! The order in which received frames are taken, whatever order the lanes delivered them in.
//!
//! It does not: look inside frames beyond the two counters that order them.
//!
//! Invariants: commits are taken after the lane-0 frames they follow; a mark after every frame sent
//! before it; what waits is bounded.

use crate::limits::{WAITING_BYTES_MAX, WAITING_COMMITS_MAX};
use crate::wire::frame::{Frame, Mark, SameMark, ShortMark};

/// Waiting frames that a log names.
const HELD_NAMED_MAX: usize = 8;

/// Frames that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Vec<(u8, usize, Frame)>,
    bytes: usize,
    received: u64,
    taken_lane0: u64,
}

impl Inbox {
    /// Puts a frame in; false when too much waits already.
    pub(super) fn put(&mut self, lane: u8, size: usize, frame: Frame) -> bool {
        // A mark counts the frames before it, itself excluded, and nothing of files.
        if !is_mark(&frame) && !frame.is_file() {
            self.received += 1;
        }
        self.bytes += size;
        self.waiting.push((lane, size, frame));
        self.bytes <= WAITING_BYTES_MAX && self.waiting.len() <= WAITING_COMMITS_MAX
    }

    /// What waits and for what, in words for a log.
    pub(super) fn held(&self) -> Option<String> {
        // A peer may make very many wait, and these words are made after every input.
        let more = self.waiting.len().saturating_sub(HELD_NAMED_MAX);
        let names: Vec<String> = self
            .waiting
            .iter()
            .take(HELD_NAMED_MAX)
            .map(|(lane, _, frame)| match frame {
                Frame::Mark(Mark { frames, .. })
                | Frame::ShortMark(ShortMark { frames, .. })
                | Frame::SameMark(SameMark { frames, .. }) => {
                    format!("Mark after {frames} frames")
                }
                Frame::Commits { after, .. } => format!("Commits of lane {lane} after {after} of lane 0"),
                _ => frame.name().to_owned(),
            })
            .collect();
        let so_far = format!("taken {} of lane 0, received {}", self.taken_lane0, self.received);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| format!("frames before {}{more} ({so_far})", names.join(", ")))
    }

    /// Frames received so far, marks and files excluded: as a mark counts them.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of the frames that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many frames wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Lets go of its room when nothing waits.
    pub(super) fn rest(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.waiting.capacity()
    }

    /// The next frame that may be taken. `open`: a hello or a greeting has opened the session; other lanes than 0
    /// may be faster than it, and wait for it.
    pub(super) fn take(&mut self, open: bool) -> Option<Frame> {
        let ready = |(lane, _, frame): &(u8, usize, Frame)| match frame {
            Frame::Commits { after, .. } => *lane == 0 || (open && *after <= self.taken_lane0),
            Frame::Mark(Mark { frames, .. })
            | Frame::ShortMark(ShortMark { frames, .. })
            | Frame::SameMark(SameMark { frames, .. }) => *frames <= self.received,
            _ => *lane == 0 || open,
        };
        // A mark is taken only when nothing else is ready: what it counts may have arrived and wait.
        let others = self.waiting.iter().position(|w| ready(w) && !is_mark(&w.2));
        let at = others.or_else(|| {
            let held = self.waiting.iter().any(|w| !is_mark(&w.2) && !w.2.is_file());
            self.waiting.iter().position(|w| ready(w) && !held)
        })?;
        let (lane, size, frame) = self.waiting.remove(at);
        self.bytes -= size;
        if lane == 0 && !is_mark(&frame) && !frame.is_file() {
            self.taken_lane0 += 1;
        }
        Some(frame)
    }
}

fn is_mark(frame: &Frame) -> bool {
    matches!(frame, Frame::Mark(_) | Frame::ShortMark(_) | Frame::SameMark(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;
    use crate::wire::frame::{Announce, ScopeDigests};

    fn mark(frames: u64) -> Frame {
        Frame::Mark(Mark { number: 1, frames, digests: ScopeDigests::default(), answer: false, clock: Millis(0) })
    }

    #[test]
    fn a_mark_waits_for_every_frame_before_it_and_commits_for_the_charter() {
        let mut inbox = Inbox::default();
        assert!(inbox.put(0, 1, mark(2)));
        assert!(inbox.put(3, 1, Frame::Commits { after: 1, groups: vec![] }));
        assert!(inbox.take(true).is_none());
        assert!(inbox.put(0, 1, Frame::Announce(Announce::default())));
        assert_eq!(inbox.take(true).map(|f| f.name()), Some("Announce"));
        assert_eq!(inbox.take(true).map(|f| f.name()), Some("Commits"));
        assert_eq!(inbox.take(true).map(|f| f.name()), Some("Mark"));
        assert!(inbox.take(true).is_none());
    }

    #[test]
    fn registers_that_overtake_the_hello_wait_for_it() {
        let mut inbox = Inbox::default();
        assert!(inbox.put(2, 1, Frame::Registers(vec![])));
        assert!(inbox.take(false).is_none());
        // Nor does an opening in vain let them in.
        assert!(inbox.put(0, 1, Frame::SayHello));
        assert_eq!(inbox.take(false).map(|f| f.name()), Some("SayHello"));
        assert!(inbox.take(false).is_none());
        assert_eq!(inbox.take(true).map(|f| f.name()), Some("Registers"));
    }

    #[test]
    fn what_is_said_of_a_flood_is_short() {
        let mut inbox = Inbox::default();
        for _ in 0..1_000 {
            assert!(inbox.put(4, 1, Frame::Commits { after: u64::MAX, groups: vec![] }));
        }
        let words = inbox.held().unwrap_or_default();
        assert!(words.contains("and 992 more") && words.len() < 1_000, "{words}");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut inbox = Inbox::default();
        assert!(!inbox.put(3, WAITING_BYTES_MAX + 1, Frame::Commits { after: 9, groups: vec![] }));
    }
}
