//! One session: its state, its two ends, and what it tells its driver.
//!
//! It does not: open (`hello`, `greet`), take frames (`receive`, `commits`, `marks`), decide what to say in a turn
//! (`talk`), order frames (`inbox`, `outbox`) or judge at the door (`door`).
//!
//! Invariants: an error that names the peer ends the session and nothing else; an error of our own
//! store ends it too, before anything is acknowledged.

use super::about::Concern;
use super::acks::PeerAcks;
use super::deposit::Deposit;
use super::door;
use super::files::Files;
use super::inbox::Inbox;
use super::nodes::Top;
use super::orphans::Orphans;
use super::outbox::Outbox;
use super::registers::Registers;
use super::terms::{Env, Event, Progress, Role, SessionError, Stats, Waiting};
use crate::engine::meta;
use crate::frontier::{ShortDigest, ShortId, SpaceTips};
use crate::id::{CommitId, DeviceId, Digest, LogId, SpaceId, UnitId};
use crate::scope::Shared;
use crate::small::{SmallMap, SmallSet};
use crate::time::Millis;
use crate::wire::frame::{AckSet, Group, PROTOCOL, PROTOCOL_MIN, ShortNode, Tree, TreeNode};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One session.
#[derive(Debug)]
pub struct Session {
    pub(super) role: Role,
    pub(super) peer: DeviceId,
    /// The newest protocol that both ends speak, as far as is known.
    pub(super) protocol: u16,
    /// The peer has heard the newest protocol that this end speaks.
    pub(super) told_ours: bool,
    /// Commits that the peer asked to be sent whole.
    pub(super) plain: SmallSet<CommitId>,
    /// Groups that were sent with brief headers, by number, and their commits.
    pub(super) brief: SmallMap<u64, Vec<CommitId>>,
    /// The number of the last of them.
    pub(super) numbered: u64,
    /// When this end's clock was last told.
    pub(super) clock_told: Option<Millis>,
    /// Frames' worth of commits that were made to see how long they are, by their commits.
    pub(super) built: Vec<(Vec<CommitId>, Vec<Group>)>,
    /// Groups that the peer was asked to send whole.
    pub(super) asked_whole: usize,
    pub(super) open: bool,
    pub(super) closing: bool,
    pub(super) fallback: bool,
    /// A greeting opened the session, or was sent or taken in vain.
    pub(super) greeted: bool,
    /// The peer understands greetings.
    pub(super) peer_greets: bool,
    pub(super) shared: Shared,
    pub(super) shared_version: usize,
    /// Whose news are this session's business.
    pub(super) concern: Concern,
    pub(super) blank: bool,
    /// Whether the child came with another charter: what this side cannot place may still be rightful.
    pub(super) charters_differ: bool,
    pub(super) inbox: Inbox,
    pub(super) orphans: Orphans,
    pub(super) out: Outbox,
    pub(super) events: VecDeque<Event>,
    pub(super) stats: Stats,
    pub(super) progress: Progress,
    /// Frontiers of the peer that are not settled yet.
    pub(super) peer_frontiers: BTreeMap<SpaceId, SpaceTips>,
    /// Bytes of frames that the peer's next mark will have answered.
    pub(super) unanswered: usize,
    pub(super) peer_nodes: Vec<TreeNode>,
    pub(super) peer_short_nodes: Vec<ShortNode>,
    pub(super) peer_inventories: Vec<(LogId, BTreeSet<ShortId>)>,
    pub(super) frontier_sent: BTreeSet<SpaceId>,
    pub(super) nodes_sent: BTreeSet<(UnitId, Tree)>,
    pub(super) inventory_sent: BTreeSet<LogId>,
    pub(super) news_at: u64,
    pub(super) registers: Registers,
    pub(super) acks_sent: SmallMap<(UnitId, UnitId), u64>,
    /// Units whose statements were said short, and not whole since.
    pub(super) acks_short: SmallSet<UnitId>,
    /// What the peer's opening said of the acknowledgements that it has.
    pub(super) peer_acks: Option<PeerAcks>,
    /// Acknowledgements up to here, in the engine's order, the peer is known to have.
    pub(super) acks_equal_at: u64,
    pub(super) acks_nodes_sent: SmallSet<UnitId>,
    pub(super) acks_nodes_taken: SmallSet<UnitId>,
    /// Units of which commits came that are not acknowledged yet.
    pub(super) touched: BTreeSet<UnitId>,
    /// Some of them by another way than this session: nobody's mark will ask for it.
    pub(super) acknowledge_due: bool,
    /// Acknowledgements by signers that the charter does not show as relays yet.
    pub(super) early_acks: Vec<AckSet>,
    /// What the child showed at the door and could not be taken.
    pub(super) shown: door::Shown,
    /// Whether every unit of the peer is to be looked at: once a session.
    pub(super) acknowledge_all: bool,
    pub(super) top_due: Option<Top>,
    /// Rounds of comparing anew since the two ends were equal or a commit moved.
    pub(super) repairs: u32,
    pub(super) moved_at_repair: u64,
    pub(super) said: Option<ShortDigest>,
    /// What this end said in its last marks, by their numbers.
    pub(super) said_at: SmallMap<u64, ShortDigest>,
    /// The number of the peer's last mark.
    pub(super) peer_mark: u64,
    /// What the peer said last.
    pub(super) peer_said: Option<ShortDigest>,
    /// What the peer's hello says that it holds of data.
    pub(super) peer_data: Option<Digest>,
    /// What the peer is known to have held last, by its opening or a mark.
    pub(super) peer_held: Option<ShortDigest>,
    pub(super) mark_due: Option<bool>,
    pub(super) marks: u64,
    /// Frames that had left when this end said the last of them, or its greeting.
    pub(super) sent_at_mark: u64,
    /// The last of our marks, 0 for the greeting, that the peer has shown to have taken.
    pub(super) heard: Option<u64>,
    pub(super) awaiting: bool,
    pub(super) verified: Option<Millis>,
    /// The device's rights have ended: all that remains is the handing in of what it wrote.
    pub(super) deposit: Option<Deposit>,
    /// What is said beside it, of files.
    pub(super) files: Files,
}

impl Session {
    fn new(role: Role, peer: DeviceId) -> Self {
        Self {
            role,
            peer,
            protocol: PROTOCOL_MIN,
            told_ours: false,
            plain: SmallSet::new(),
            brief: SmallMap::new(),
            numbered: 0,
            clock_told: None,
            built: Vec::new(),
            asked_whole: 0,
            open: false,
            closing: false,
            fallback: false,
            greeted: false,
            peer_greets: false,
            shared: Shared::default(),
            shared_version: 0,
            concern: Concern::default(),
            blank: false,
            charters_differ: false,
            inbox: Inbox::default(),
            orphans: Orphans::default(),
            out: Outbox::default(),
            events: VecDeque::new(),
            stats: Stats::default(),
            progress: Progress::default(),
            peer_frontiers: BTreeMap::new(),
            unanswered: 0,
            peer_nodes: Vec::new(),
            peer_short_nodes: Vec::new(),
            peer_inventories: Vec::new(),
            frontier_sent: BTreeSet::new(),
            nodes_sent: BTreeSet::new(),
            inventory_sent: BTreeSet::new(),
            news_at: 0,
            registers: Registers::default(),
            acks_sent: SmallMap::new(),
            acks_short: SmallSet::new(),
            peer_acks: None,
            acks_equal_at: 0,
            acks_nodes_sent: SmallSet::new(),
            acks_nodes_taken: SmallSet::new(),
            touched: BTreeSet::new(),
            acknowledge_due: false,
            early_acks: Vec::new(),
            shown: door::Shown::default(),
            acknowledge_all: true,
            top_due: None,
            repairs: 0,
            moved_at_repair: 0,
            said: None,
            said_at: SmallMap::new(),
            peer_mark: 0,
            peer_said: None,
            peer_data: None,
            peer_held: None,
            mark_due: None,
            marks: 0,
            sent_at_mark: 0,
            heard: None,
            awaiting: false,
            verified: None,
            deposit: None,
            files: Files::default(),
        }
    }

    /// The upper end of a link, waiting for a hello.
    #[must_use]
    pub fn upper(peer: DeviceId) -> Self {
        Self::new(Role::Upper, peer)
    }

    /// The lower end: greets a peer that it was equal with before; else says hello. With it goes at once what the
    /// peer lacks, as far as this end knows.
    /// `fallback`: a nearer relay was tried and did not answer.
    ///
    /// # Errors
    /// [`SessionError::Local`].
    pub fn lower(env: &mut Env<'_>, peer: DeviceId, fallback: bool) -> Result<Self, SessionError> {
        let mut session = Self::new(Role::Lower, peer);
        session.fallback = fallback;
        // What it sends unasked must be readable: as the relay was when last heard of.
        let heard = env.store.meta(&meta::peer_protocol(&peer))?.unwrap_or_default();
        let (heard, knew) = heard.split_at_checked(2).unwrap_or_default();
        let number = |b: &[u8]| b.try_into().ok().map(u16::from_le_bytes);
        session.protocol = number(heard).unwrap_or(PROTOCOL_MIN).min(PROTOCOL);
        // What was heard before this version came is heard anew: the relay may have learned more since, too.
        session.told_ours = number(knew) == Some(PROTOCOL);
        session.recall_registers(env)?;
        session.refresh_shared(env.engine);
        session.news_at = env.engine.news_end();
        if !session.greet(env)? {
            session.say_hello(env)?;
        }
        Ok(session)
    }

    /// What happened since the last call.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + '_ {
        std::mem::take(&mut self.events).into_iter()
    }

    /// Lets go of the room of queues in which nothing waits: of thousands of links most are quiet for hours. What the
    /// session knows stands.
    pub(super) fn rest(&mut self) {
        self.inbox.rest();
        self.out.rest();
        self.registers.rest();
        self.files.rest();
        if self.built.is_empty() {
            self.built = Vec::new();
        }
    }

    /// The room that its queues keep, in entries.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        let own = [
            self.events.capacity(),
            self.built.capacity(),
            self.peer_nodes.capacity(),
            self.peer_short_nodes.capacity(),
            self.peer_inventories.capacity(),
            self.early_acks.capacity(),
        ];
        let parts = [self.inbox.room(), self.out.room(), self.orphans.room(), self.registers.room(), self.files.room()];
        own.iter().chain(&parts).sum()
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// How far what was announced has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// When the two ends last were found equal, `None` when something was asked since.
    #[must_use]
    pub fn verified_at(&self) -> Option<Millis> {
        self.verified
    }

    /// What is kept of the peer's until it can be taken.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let (commits, bytes) = self.orphans.size();
        let (frames, acks) = (self.inbox.len(), self.early_acks.len());
        Waiting { frames, bytes: self.inbox.bytes() + bytes, commits, acks, files: self.files_kept() }
    }

    /// Whether nothing waits to be sent and no answer is awaited.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.out.is_empty() && self.mark_due.is_none() && !self.awaiting
    }

    /// Whether the peer has taken everything that this end said: its last mark names the last of ours, which it took only
    /// after all that had left before, and nothing was said since. Such a link may be closed without waiting for the
    /// transport's acknowledgement. Frames of files count in no mark: where one left, this is never true.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        let last = self.heard == Some(self.marks) && self.out.sent == self.sent_at_mark;
        last && self.is_quiet() && !self.closing && self.deposit.is_none() && !self.files.have_spoken()
    }

    /// What the session waits for, in words for a log: empty when for nothing.
    #[must_use]
    pub fn waits_for(&self) -> String {
        let mut out = Vec::new();
        if !self.open {
            out.push("the other end's hello".to_owned());
        }
        if self.awaiting {
            out.push("an answer to its mark".to_owned());
        }
        if self.mark_due.is_some() || !self.out.is_empty() {
            out.push("room to send what is due".to_owned());
        }
        if let Some(held) = self.inbox.held() {
            out.push(held);
        }
        if self.verified.is_none() {
            out.push(format!(
                "both ends to be equal (repairs {}, open frontiers {})",
                self.repairs,
                self.peer_frontiers.len()
            ));
        }
        out.join("; ")
    }

    /// Whether the link should be closed once nothing is left to send.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// The device at the other end.
    #[must_use]
    pub fn peer(&self) -> DeviceId {
        self.peer
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }
}
