//! What a session takes from its driver and tells it: the two ends, events, counts, errors.
//!
//! It does not: hold a session's state (`session`).
//!
//! Invariants: an error names whose fault it is: the peer's, or ours (`Local`).

use crate::engine::{Engine, IntakeError};
use crate::entropy::Entropy;
use crate::id::{DeviceId, UnitId};
use crate::limits::{EARLY_ACKS_MAX, FILES_WANTED_MAX, ORPHAN_COMMITS_MAX, WAITING_BYTES_MAX, WAITING_COMMITS_MAX};
use crate::register::RegisterError;
use crate::shelf::FileKey;
use crate::store::{Store, StoreError};
use crate::time::Millis;
use crate::wire::WireError;
use crate::wire::frame::{Announce, RefuseCode, RelayAddress};

/// Which end this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The child: it dials.
    Lower,
    /// The relay above it.
    Upper,
}

/// What a session needs from outside for one input.
pub struct Env<'a> {
    /// The store.
    pub store: &'a mut dyn Store,
    /// The engine of that store.
    pub engine: &'a mut Engine,
    /// Randomness.
    pub rng: &'a mut dyn Entropy,
    /// The local clock.
    pub now: Millis,
}

/// What a driver may want to know; drained after each input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer refused us, or we refused the peer: close the link after what is queued was sent.
    Refused {
        /// Why.
        code: RefuseCode,
        /// In words.
        text: String,
        /// Whether the peer said it.
        by_peer: bool,
        /// After how many seconds to come back to this relay, if it named them.
        retry_after: Option<u32>,
    },
    /// A device whose rights have ended handed in what it wrote.
    Deposited {
        /// Commits that lie inside its cut, and count.
        counting: u64,
        /// Commits that lie in the quarantine now.
        aside: u64,
        /// Commits that found no room.
        refused: u64,
    },
    /// Another relay is nearer: dial it.
    Redirect(Vec<RelayAddress>),
    /// Both ends hold the same, as of this moment.
    Verified,
    /// The peer says that this much will come.
    Announced(Announce),
    /// Commits were stored.
    Stored {
        /// How many.
        commits: u64,
        /// Entries in them.
        entries: u64,
    },
    /// Acknowledgements were taken.
    Acknowledged,
    /// After `REPAIR_ROUNDS_MAX` rounds the two ends still differ.
    NotVerified,
    /// This device's log was continued by a twin: a clone or an old backup; it goes on under a new name.
    TwinFound,
    /// What the peer has of a file is not what its address says; it was not kept.
    FileDamaged {
        /// The file.
        key: FileKey,
        /// The chunk, or none where it is the list of them.
        chunk: Option<u32>,
    },
    /// The relay of this unit showed something older than it had shown before: its charter went back.
    RolledBack(UnitId),
}

/// Progress toward what either end announced: both directions together, for one bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// What was announced in all.
    pub announced: Announce,
    /// Entries that arrived or left.
    pub entries: u64,
    /// Commits that arrived or left.
    pub commits: u64,
}

impl Progress {
    /// Takes in an announcement, of either end. The peer's numbers may be anything.
    pub(super) fn announce(&mut self, a: &Announce) {
        let sum = &mut self.announced;
        sum.commits = sum.commits.saturating_add(a.commits);
        sum.entries = sum.entries.saturating_add(a.entries);
        sum.bytes = sum.bytes.saturating_add(a.bytes);
    }
}

/// Counts of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Waits for an answer.
    pub round_trips: u64,
    /// Commits sent.
    pub commits_sent: u64,
    /// Commits received that were new.
    pub commits_received: u64,
    /// Commits received, new or not, counting or not.
    pub commits_shown: u64,
    /// Changes of data spaces sent, births excluded.
    pub changes_sent: u64,
    /// Changes of data spaces received that were new, births excluded.
    pub changes_received: u64,
    /// Bytes of frames sent.
    pub frame_bytes_sent: u64,
    /// Bytes of frames received.
    pub frame_bytes_received: u64,
    /// Registers that were not taken, for want of a right or a reason.
    pub registers_refused: u64,
}

/// What a session keeps of a peer's until it can be taken: never more than the limits that are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Frames that overtook what they follow; at most `WAITING_COMMITS_MAX`.
    pub frames: usize,
    /// Bytes of frames and of commits that wait, of each at most `WAITING_BYTES_MAX`.
    pub bytes: usize,
    /// Commits without their parents or a charter that places them; at most `ORPHAN_COMMITS_MAX`.
    pub commits: usize,
    /// Acknowledgements whose signers are no relays yet; at most `EARLY_ACKS_MAX`.
    pub acks: usize,
    /// Files that the peer offered, asked for, or was asked for, whichever are the most; at most `FILES_WANTED_MAX`.
    pub files: usize,
}

impl Waiting {
    /// Whether all of it is within the limits.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.frames <= WAITING_COMMITS_MAX
            && self.bytes <= 2 * WAITING_BYTES_MAX
            && self.commits <= ORPHAN_COMMITS_MAX
            && self.acks <= EARLY_ACKS_MAX
            && self.files <= FILES_WANTED_MAX
    }
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The peer sent bytes that are no frame.
    #[error("the peer sent {0}")]
    PeerWire(#[from] WireError),
    /// The peer sent a frame where it has no place.
    #[error("the peer sent a {0} where none belongs")]
    PeerOrder(&'static str),
    /// The peer is not who it says.
    #[error("the peer speaks for device {claimed}, but its key is {actual}")]
    PeerIdentity {
        /// What its hello says.
        claimed: DeviceId,
        /// Its key.
        actual: DeviceId,
    },
    /// The peer sent more than may wait.
    #[error(
        "the peer sent more than WAITING_COMMITS_MAX, WAITING_BYTES_MAX or ORPHAN_COMMITS_MAX before what it waits for, \
         more than FRAME_ENTRIES_MAX commits in one frame, or words about more than FILES_WANTED_MAX files at once"
    )]
    PeerFlood,
    /// The peer's commits.
    #[error(transparent)]
    Peer(IntakeError),
    /// The peer's registers.
    #[error("the peer sent {0}")]
    PeerRegister(#[from] RegisterError),
    /// Our store failed.
    #[error(transparent)]
    Local(#[from] StoreError),
}

impl From<IntakeError> for SessionError {
    fn from(e: IntakeError) -> Self {
        match e {
            IntakeError::LocalStore(e) => Self::Local(e),
            IntakeError::PeerCommit(_)
            | IntakeError::PeerPack(_)
            | IntakeError::PeerScope(_)
            | IntakeError::PeerGroup
            | IntakeError::PeerOrder(_)
            | IntakeError::PeerEarlier(_)
            | IntakeError::PeerBrief(_)
            | IntakeError::PeerHole(_) => Self::Peer(e),
        }
    }
}
