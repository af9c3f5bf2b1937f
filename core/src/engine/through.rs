//! Since when a device below holds what came down: noted by the relay that it meets, at verified meetings.
//!
//! It does not: ask the device, or speak of one that this relay never met.
//!
//! Invariants: a meeting is noted only when both ends were found equal and the `down` spaces that they share are others
//! than at the last one noted; so the first one noted after a commit was stored is the first at which the device had it.
//! Where the oldest were dropped ([`MEETINGS_KEPT_MAX`]), what is told is later than it was, never earlier.

use super::{Engine, meta};
use crate::id::DeviceId;
use crate::limits::MEETINGS_KEPT_MAX;
use crate::store::{CommitKey, Store, StoreError};
use crate::time::Millis;

/// Bytes of the tag before the meetings.
const TAG_BYTES: usize = 16;
/// Bytes of one meeting.
const MEETING_BYTES: usize = 16;

/// The meetings with one device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meetings {
    /// What the shared `down` spaces were at the last one.
    tag: [u8; TAG_BYTES],
    /// This store's last commit and the time, oldest first.
    noted: Vec<(CommitKey, Millis)>,
}

impl Meetings {
    /// Adds a meeting, if what came down is not what it was at the last one.
    pub(crate) fn note(&mut self, tag: [u8; TAG_BYTES], through: CommitKey, at: Millis) -> bool {
        if self.tag == tag && !self.noted.is_empty() {
            return false;
        }
        self.tag = tag;
        if self.noted.len() >= MEETINGS_KEPT_MAX {
            self.noted.remove(0);
        }
        self.noted.push((through, at));
        true
    }

    /// When the device was first found to hold everything up to a commit.
    #[must_use]
    pub fn since(&self, key: CommitKey) -> Option<Millis> {
        self.noted.iter().find(|(through, _)| *through >= key).map(|(_, at)| *at)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let meetings = self.noted.iter().flat_map(|(key, at)| [key.0.to_le_bytes(), at.0.to_le_bytes()]);
        self.tag.iter().copied().chain(meetings.flatten()).collect()
    }

    /// `None` for bytes of another form: they are written anew.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first_chunk::<TAG_BYTES>()?;
        if rest.len() % MEETING_BYTES != 0 {
            return None;
        }
        let number = |b: &[u8]| b.try_into().map_or(0, u64::from_le_bytes);
        let meeting = |b: &[u8]| (CommitKey(number(&b[..8])), Millis(number(&b[8..])));
        Some(Self { tag: *tag, noted: rest.chunks_exact(MEETING_BYTES).map(meeting).collect() })
    }
}

impl Engine {
    /// The meetings with a device below; `None` if this store noted none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn meetings(&self, store: &dyn Store, device: &DeviceId) -> Result<Option<Meetings>, StoreError> {
        Ok(store.meta(&meta::meetings(device))?.and_then(|b| Meetings::from_bytes(&b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_meeting_after_a_commit_tells_since_when() {
        let mut m = Meetings::default();
        assert_eq!(m.since(CommitKey(1)), None);
        assert!(m.note([1; 16], CommitKey(5), Millis(100)));
        assert!(!m.note([1; 16], CommitKey(9), Millis(200)), "nothing new came down");
        assert!(m.note([2; 16], CommitKey(12), Millis(300)));
        assert_eq!(m.since(CommitKey(5)), Some(Millis(100)));
        assert_eq!(m.since(CommitKey(6)), Some(Millis(300)));
        assert_eq!(m.since(CommitKey(13)), None, "it was not met since");
        assert_eq!(Meetings::from_bytes(&m.to_bytes()), Some(m.clone()));
        for cut in [0, 15, 17, 30] {
            assert_eq!(Meetings::from_bytes(&m.to_bytes()[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_was_dropped_makes_it_later_and_never_earlier() {
        let mut m = Meetings::default();
        for n in 0..=MEETINGS_KEPT_MAX as u64 {
            let mut tag = [0; 16];
            tag[..8].copy_from_slice(&(n + 1).to_le_bytes());
            assert!(m.note(tag, CommitKey(n), Millis(1_000 + n)));
        }
        assert_eq!(m.since(CommitKey(0)), Some(Millis(1_001)));
        assert_eq!(m.to_bytes().len(), TAG_BYTES + MEETING_BYTES * MEETINGS_KEPT_MAX);
    }
}
