//! Groups of commits read and checked before their turn: signatures, packs, roots. All of it follows from the bytes
//! and the organisation alone, so another thread can do it while the one that owns the store writes.
//!
//! It does not: look at a store. What builds on commits held there, has brief headers, or a pack that is not kept as it
//! came, is read in its turn; and whether a commit counts, has its parents and its place is judged in its turn, for all
//! alike.
//!
//! Invariants: what was read ahead is used for the very bytes that it was read from, and no others; what is wrong is
//! not kept, so that its turn finds and says what.

use super::Engine;
use crate::id::OrgId;
use crate::limits::{AHEAD_BYTES_MIN, FRAME_ENTRIES_MAX};
use crate::log::{Commit, SignedHeader, VerifiedHeader};
use crate::pack::{self, Codec, PackScope};
use crate::wire::frame::{Frame, Group};
use std::sync::Arc;

/// What is needed to read ahead; cheap to clone, for any thread.
#[derive(Clone)]
pub struct AheadReader {
    org: OrgId,
    codec: Arc<dyn Codec + Send + Sync>,
}

/// What was read of one frame.
#[derive(Debug, Default)]
pub struct Ahead(Vec<(Group, Vec<Commit>)>);

impl AheadReader {
    /// Reads what can be read of a frame without a store; `None` where that is nothing, or not worth it.
    #[must_use]
    pub fn read(&self, frame: &[u8]) -> Option<Ahead> {
        if frame.len() < AHEAD_BYTES_MIN {
            return None;
        }
        let Ok(Frame::Commits { after: _, groups }) = Frame::decode(frame) else { return None };
        // More in a frame ends the session unread.
        if groups.iter().map(|g| g.headers.len()).sum::<usize>() > FRAME_ENTRIES_MAX as usize {
            return None;
        }
        let read: Vec<_> = groups.into_iter().filter_map(|g| self.commits(&g).map(|c| (g, c))).collect();
        (!read.is_empty()).then_some(Ahead(read))
    }

    fn commits(&self, group: &Group) -> Option<Vec<Commit>> {
        if pack::is_for_frames(&group.pack) {
            return None;
        }
        let heads = group.headers.iter().map(|h| h.verify(&self.org).ok()).collect::<Option<Vec<VerifiedHeader>>>()?;
        let scope = PackScope { org: self.org, space: heads.first()?.header().space };
        let payloads = pack::read(&scope, &group.pack, &*self.codec).ok()?;
        if payloads.len() != heads.len() {
            return None;
        }
        heads.into_iter().zip(payloads).map(|(head, read)| Commit::join_read(head, read).ok()).collect()
    }
}

impl Engine {
    /// What reads frames for this engine ahead of their turn.
    #[must_use]
    pub fn ahead_reader(&self) -> AheadReader {
        AheadReader { org: self.org, codec: self.codec.clone() }
    }

    /// Takes over what was read of the frame whose turn it is, or `None` to let go of it.
    pub fn read_ahead(&mut self, read: Option<Ahead>) {
        self.ahead = read.unwrap_or_default();
    }

    /// The commits of this group, if they were read ahead from these very bytes.
    pub(super) fn take_ahead(&mut self, headers: &[SignedHeader], pack: &[u8]) -> Option<Vec<Commit>> {
        let at = self.ahead.0.iter().position(|(g, _)| g.headers == headers && g.pack == pack)?;
        Some(self.ahead.0.swap_remove(at).1)
    }
}
