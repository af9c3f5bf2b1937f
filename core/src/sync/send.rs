//! The next frame to send, and the turns that news begins.
//!
//! It does not: order what waits (`outbox`).
//!
//! Invariants: a mark is the last frame of a turn, made from what is held when it leaves.

use super::outbox::Outbox;
use super::session::Session;
use super::terms::{Env, Role, SessionError};
use crate::engine::Reader;
use crate::id::{CommitId, LogId};
use crate::limits::{BRIEF_KEPT_MAX, GROUPS_AFTER_MAX, PUSH_BYTES_MAX, PUSH_STORED_BYTES_MAX};
use crate::log::brief::Brief;
use crate::store::{CommitRow, StoreError};
use crate::wire;
use crate::wire::frame::{
    Frame, Group, Mark, PROTOCOL_COLUMNS, PROTOCOL_DENSE, PROTOCOL_NAMES, PROTOCOL_SHORT, PROTOCOL_WORDS, SameMark,
    ShortMark,
};

impl Session {
    /// Looks for news that the engine told since this session last looked, and starts a turn for it.
    ///
    /// # Errors
    /// [`SessionError::Local`]; an error of the peer, if what it had brought before can be judged now, and is bad.
    pub fn poke(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        if !self.open || self.closing || self.deposit.is_some() {
            return Ok(());
        }
        let due = self.out.due();
        if self.shared_version != env.engine.charter_version() {
            self.charter_changed(env)?;
            let waiting = self.placed(env.engine.charter());
            self.take_commits(env, &waiting)?;
        }
        self.take_news(env)?;
        // What was due before has its mark, or needs none, as the answer to a greeting.
        if self.out.due() > due {
            self.ask();
        }
        Ok(())
    }

    /// Leaves out of commits what this peer, as far as is known, can compute.
    fn fit(&mut self, env: &Env<'_>, groups: &mut [Group]) -> Result<(), StoreError> {
        // Either end looks through the device's log once for each group: not for a backlog of small ones.
        let few = groups.len() <= GROUPS_AFTER_MAX;
        for group in groups {
            let ids = ids_of(std::slice::from_ref(group));
            let columns = self.protocol >= PROTOCOL_COLUMNS;
            let dense = self.protocol >= PROTOCOL_DENSE;
            let thin = columns && self.deposit.is_none() && !ids.iter().any(|id| self.plain.contains(id));
            let number = thin.then_some(self.numbered + 1);
            let names = self.protocol >= PROTOCOL_NAMES;
            let words = thin && self.protocol >= PROTOCOL_WORDS;
            let reader = Reader { columns, dense, after: few && thin, number, names, words };
            let held = std::mem::replace(group, Group { headers: Vec::new(), pack: Vec::new() });
            *group = env.engine.for_peer(env.store, held, &reader)?;
            if group.headers.first().is_some_and(Brief::is) {
                self.numbered += 1;
                self.brief.insert(self.numbered, ids);
                if self.brief.len() > BRIEF_KEPT_MAX {
                    self.brief.pop_first();
                }
            }
        }
        Ok(())
    }

    /// Whether commits are few enough to be sent unasked: makes what would be sent and looks at its size, and keeps
    /// it to be sent.
    pub(super) fn is_short(&mut self, env: &Env<'_>, rows: &[(LogId, CommitRow)]) -> Result<bool, StoreError> {
        self.built.clear();
        if rows.iter().map(|(_, row)| u64::from(row.bytes)).sum::<u64>() > PUSH_STORED_BYTES_MAX {
            return Ok(false);
        }
        let mut trial = Outbox::default();
        trial.offer(rows.to_vec());
        let (mut bytes, mut built) = (0, Vec::new());
        while let Some(out) = trial.next(env.store, &|_| true)? {
            let Frame::Commits { after: _, mut groups } = out.frame else { continue };
            let ids = ids_of(&groups);
            self.fit(env, &mut groups)?;
            bytes += wire::encode(&groups).len() as u64;
            if bytes > PUSH_BYTES_MAX {
                return Ok(false);
            }
            built.push((ids, groups));
        }
        self.built = built;
        Ok(true)
    }

    /// The next frame to send, the most urgent whose lane is free; `None` when there is none now.
    ///
    /// # Errors
    /// [`SessionError::Local`].
    pub fn next_frame(
        &mut self,
        env: &mut Env<'_>,
        free: &dyn Fn(u8) -> bool,
    ) -> Result<Option<(u8, Vec<u8>)>, SessionError> {
        let frame = self.frame_due(env, free)?;
        if frame.is_none() {
            self.rest();
        }
        Ok(frame)
    }

    fn frame_due(
        &mut self,
        env: &mut Env<'_>,
        free: &dyn Fn(u8) -> bool,
    ) -> Result<Option<(u8, Vec<u8>)>, SessionError> {
        if let Some(mut out) = self.out.next(env.store, free)? {
            if let Frame::Commits { groups, .. } = &mut out.frame {
                let ids = ids_of(groups);
                if self.deposit.is_some() {
                    // It was made for a peer that takes part, and hands out what it holds.
                    self.built.clear();
                }
                match self.built.iter().position(|(of, _)| *of == ids) {
                    Some(at) => *groups = self.built.swap_remove(at).1,
                    None => self.fit(env, groups)?,
                }
            }
            self.stats.commits_sent += out.commits;
            self.stats.changes_sent += out.changes;
            self.progress.commits += out.commits;
            self.progress.entries += out.entries;
            if let Frame::Announce(a) = &out.frame {
                self.progress.announce(a);
            }
            let bytes = out.frame.encode();
            self.stats.frame_bytes_sent += bytes.len() as u64;
            return Ok(Some((out.lane, bytes)));
        }
        if self.closing || !self.out.is_empty() || (self.mark_due.is_some() && !free(super::lane::CHARTER)) {
            return Ok(None);
        }
        let Some(answer) = self.mark_due.take() else { return self.next_file(env, free) };
        self.marks += 1;
        self.sent_at_mark = self.out.sent;
        let digests = self.digests(env.engine);
        // What was taken since the peer's mark may have made the two ends equal: this mark says so, the
        // peer then has nothing to add, and nobody would compare here again.
        let known = !env.engine.is_blank() && !self.shared.data.is_empty();
        let holds = self.short(env.engine, &digests);
        let same = self.peer_said == Some(holds);
        if self.open && known && same && self.verified.is_none() {
            self.note_verified(env)?;
        }
        self.said(self.marks, holds);
        self.awaiting |= answer;
        let (number, frames, clock) = (self.marks, self.out.sent, env.now);
        // Who greets is understood when it is brief, or is told to say hello.
        let brief = self.peer_greets || (self.greeted && self.role == Role::Lower);
        let mark = if brief {
            let clock = self.clock_due(clock).then_some(clock);
            if same && self.open && self.protocol >= PROTOCOL_SHORT {
                Frame::SameMark(SameMark { of: self.peer_mark, number, frames, answer, clock })
            } else {
                Frame::ShortMark(ShortMark { number, frames, holds, answer, clock })
            }
        } else {
            Frame::Mark(Mark { number, frames, digests, answer, clock })
        };
        let bytes = mark.encode();
        self.stats.frame_bytes_sent += bytes.len() as u64;
        Ok(Some((super::lane::CHARTER, bytes)))
    }
}

/// The commits of groups whose headers are whole, in order.
fn ids_of(groups: &[Group]) -> Vec<CommitId> {
    groups.iter().flat_map(|g| &g.headers).filter_map(|h| h.trust().ok()).map(|h| h.id()).collect()
}
