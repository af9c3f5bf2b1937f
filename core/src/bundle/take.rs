//! Taking a bundle in: its frames, one after the other, judged as in a session.
//!
//! It does not: open the file (`format`), or undo: the caller runs it in one transaction and rolls back when
//! anything is refused.
//!
//! Invariants: a sender is let in by the same door as a caller, a commit by the same intake; what comes from
//! below lies in the sender's scope or the whole is refused; what comes from above and lies outside our own is
//! left out and counted (our rights may have shrunk since the bundle was made). The sender's clock and its
//! store's epoch are not taken from a file, which may be old.

use super::format::Header;
use super::{Held, held_by};
use crate::charter::Charter;
use crate::engine::{Engine, IntakeError, meta};
use crate::file::{FileError, Manifest};
use crate::id::{CommitId, DeviceId, Flow, SpaceId};
use crate::limits::BUNDLE_HELD_LOGS_MAX;
use crate::register::{RegisterError, SignedRegister};
use crate::scope::{Shared, Side};
use crate::shelf::FileKey;
use crate::store::{Batch, Store, StoreError};
use crate::sync::door::{self, Door};
use crate::sync::files::nameless;
use crate::sync::{Env, Role, registers};
use crate::time::Millis;
use crate::wire::frame::{
    Announce, FileSaid, FileWord, Frame, Group, Hello, Mark, PROTOCOL, PROTOCOL_MIN, RefuseCode, ScopeDigests,
    SpaceFrontier,
};
use crate::wire::{self, WireError};
use std::collections::BTreeSet;

/// Why a bundle is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    /// Its sender signed bytes that are no frame.
    #[error("it holds {0}")]
    PeerWire(#[from] WireError),
    /// A frame where it has no place.
    #[error("it holds a {0} where none belongs")]
    PeerOrder(&'static str),
    /// Its frames speak for another device than the one that signed it.
    #[error("it speaks for device {claimed} and was made by {actual}")]
    PeerIdentity {
        /// What its hello says.
        claimed: DeviceId,
        /// Who signed it.
        actual: DeviceId,
    },
    /// Another protocol version.
    #[error("it speaks protocol {0} to {1}, this version {PROTOCOL_MIN} to {PROTOCOL}")]
    PeerVersion(u16, u16),
    /// The door is shut to its sender.
    #[error("{1}")]
    Refused(RefuseCode, String),
    /// Its sender is no relay above this device.
    #[error("device {0} is no relay above this one")]
    NotAbove(DeviceId),
    /// From below, at a folder that holds no charter: nobody's right can be judged.
    #[error("nothing is known here yet: what comes from above must come first")]
    Blank,
    /// It builds on a commit that is not here.
    #[error("commit {0} builds on something that is not here")]
    Missing(CommitId),
    /// It brings commits of a space that its sender has no part in.
    #[error("it brings commits of a space outside its sender's scope (unit {unit})", unit = .0.unit)]
    PeerScope(SpaceId),
    /// Its commits.
    #[error("{0}")]
    Peer(IntakeError),
    /// Its registers.
    #[error("it holds {0}")]
    PeerRegister(#[from] RegisterError),
    /// A file's chunk that is not what its address says.
    #[error("it holds a file that was altered: {0}")]
    PeerFile(FileError),
    /// More than may be kept of it.
    #[error("it is over the limit {0}")]
    Limit(&'static str),
    /// Our store failed.
    #[error(transparent)]
    Local(#[from] StoreError),
}

impl From<IntakeError> for TakeError {
    fn from(e: IntakeError) -> Self {
        match e {
            IntakeError::LocalStore(e) => Self::Local(e),
            IntakeError::PeerOrder(id) => Self::Missing(id),
            IntakeError::PeerScope(space) => Self::PeerScope(space),
            IntakeError::PeerCommit(_)
            | IntakeError::PeerPack(_)
            | IntakeError::PeerGroup
            | IntakeError::PeerEarlier(_)
            | IntakeError::PeerBrief(_)
            | IntakeError::PeerHole(_) => Self::Peer(e),
        }
    }
}

/// What a bundle brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// What it said that it holds.
    pub announced: Announce,
    /// Commits that were new.
    pub commits: u64,
    /// Changes of data spaces that were new, births excluded.
    pub changes: u64,
    /// Commits set aside in the quarantine.
    pub quarantined: u64,
    /// Commits of spaces that this device has no part in (any more).
    pub left_out: u64,
    /// Statements of what relays above hold.
    pub acks: u64,
    /// Whether both ends held the same when the bundle was made; `None` where that cannot be told.
    pub equal: Option<bool>,
    /// How often a twin of this device was found.
    pub twins: u64,
    /// Files that it brought whole.
    pub files: u64,
    /// Why its sender's rights ended: then only what it wrote itself was taken, as a deposit.
    pub deposit: Option<String>,
}

/// The taking of one bundle.
#[derive(Debug)]
pub struct Taking {
    sender: DeviceId,
    created: Millis,
    role: Role,
    shared: Shared,
    shared_version: Option<usize>,
    open: bool,
    chained: bool,
    ended: bool,
    frames: u64,
    /// How old the news from above was before.
    news_at: u64,
    held: Vec<SpaceFrontier>,
    held_logs: usize,
    /// The parents that are not here of the commit that was refused for it.
    lacking: BTreeSet<CommitId>,
    /// The sender's rights have ended: what it once shared with this relay, and which commits it handed in.
    deposit: Option<(Shared, BTreeSet<CommitId>)>,
    taken: Taken,
    /// The file whose chunks come.
    file: Option<(FileKey, Manifest)>,
}

impl Taking {
    /// Begins to take a bundle with this header.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        Self {
            sender: header.sender,
            created: header.created,
            role: if header.down { Role::Lower } else { Role::Upper },
            shared: Shared::default(),
            shared_version: None,
            open: false,
            chained: false,
            ended: false,
            frames: 0,
            news_at: 0,
            held: Vec::new(),
            held_logs: 0,
            lacking: BTreeSet::new(),
            deposit: None,
            taken: Taken::default(),
            file: None,
        }
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// [`TakeError`]; the caller undoes everything.
    pub fn take(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> Result<(), TakeError> {
        let frame = Frame::decode(bytes)?;
        if self.ended || self.open == matches!(frame, Frame::Hello(_)) {
            return Err(TakeError::PeerOrder(frame.name()));
        }
        self.frames += 1;
        if self.deposit.is_some() {
            return self.take_in_deposit(env, frame);
        }
        match frame {
            Frame::Hello(hello) => self.take_hello(env, &hello),
            Frame::Announce(a) => {
                self.taken.announced = a;
                Ok(())
            }
            Frame::Frontier(spaces) => {
                self.held_logs += spaces.iter().flat_map(|s| &s.logs).map(|l| l.tips.len().max(1)).sum::<usize>();
                if self.held_logs > BUNDLE_HELD_LOGS_MAX {
                    return Err(TakeError::Limit("BUNDLE_HELD_LOGS_MAX"));
                }
                self.held.extend(spaces);
                Ok(())
            }
            Frame::Commits { after: _, groups } => groups.iter().try_for_each(|g| self.take_group(env, g)),
            Frame::Registers(registers) => self.take_registers(env, registers),
            Frame::Acks(sets) if self.role == Role::Lower => {
                self.prepare(env)?;
                self.taken.acks += env.engine.take_acks(env.store, &sets, env.now)??;
                Ok(())
            }
            Frame::Mark(mark) => self.take_mark(env, &mark),
            Frame::FileHashes { key, hashes } => self.take_hashes(env, key, &hashes),
            Frame::FileChunk { key, index, bytes } => self.take_chunk(env, key, index, &bytes),
            Frame::FileAnswer(said) => self.take_words(env, &said),
            Frame::Acks(_)
            | Frame::Refuse(..)
            | Frame::Redirect(_)
            | Frame::Nodes(_)
            | Frame::Inventory { .. }
            | Frame::Deposit(_)
            | Frame::Plain { .. }
            | Frame::Greeting(_)
            | Frame::Greeted(_)
            | Frame::SayHello
            | Frame::ShortMark(_)
            | Frame::OwnAck(_)
            | Frame::RegistersCursor(_)
            | Frame::ShortNodes(_)
            | Frame::ShortAcks(_)
            | Frame::Welcome(_)
            | Frame::SameMark(_)
            | Frame::FileOffer(_)
            | Frame::FileWant(_)
            | Frame::AcksLost => Err(TakeError::PeerOrder(frame.name())),
        }
    }

    fn take_hello(&mut self, env: &mut Env<'_>, hello: &Hello) -> Result<(), TakeError> {
        self.open = true;
        self.news_at = crate::engine::meta_u64(env.store, meta::NEWS_FROM_ABOVE_AT)?;
        if hello.device != self.sender {
            return Err(TakeError::PeerIdentity { claimed: hello.device, actual: self.sender });
        }
        if hello.org != env.engine.org() {
            let text = "it speaks for another organisation".to_owned();
            return Err(TakeError::Refused(RefuseCode::WrongOrganisation, text));
        }
        if hello.version_min > PROTOCOL || hello.version_max < PROTOCOL_MIN {
            return Err(TakeError::PeerVersion(hello.version_min, hello.version_max));
        }
        if self.role == Role::Lower {
            return Ok(());
        }
        if env.engine.is_blank() {
            return Err(TakeError::Blank);
        }
        match door::judge(env, self.sender, hello, &mut door::Shown::default())? {
            // There is no other relay to go to: the file is here.
            Door::Open | Door::Redirect(_) => Ok(()),
            Door::Refused(RefuseCode::GrantEnded, text) => {
                let shared = env.engine.deposit_scope(&self.sender);
                if shared.data.is_empty() {
                    return Err(TakeError::Refused(RefuseCode::GrantEnded, text));
                }
                self.taken.deposit = Some(text);
                self.deposit = Some((shared, BTreeSet::new()));
                Ok(())
            }
            Door::Refused(code, text) => Err(TakeError::Refused(code, text)),
        }
    }

    /// Takes one frame of a sender whose rights have ended: its own commits of records, and nothing else.
    fn take_in_deposit(&mut self, env: &mut Env<'_>, frame: Frame) -> Result<(), TakeError> {
        match frame {
            Frame::Announce(a) => self.taken.announced = a,
            Frame::Commits { after: _, groups } => {
                let Some((shared, seen)) = &mut self.deposit else { return Ok(()) };
                for group in &groups {
                    let part = env.engine.deposit_part(&self.sender, shared, group);
                    let own = part.as_ref().map_or(0, |p| p.headers.len());
                    self.taken.left_out += (group.headers.len() - own) as u64;
                    let Some(part) = part else { continue };
                    seen.extend(part.headers.iter().filter_map(|h| h.trust().ok()).map(|h| h.id()));
                    let one = std::slice::from_ref(&part);
                    let intake = env.engine.intake(env.store, env.rng, self.sender, one, &|_, _| true, env.now)?;
                    self.taken.commits += intake.commits;
                    self.taken.changes += intake.changes;
                }
            }
            Frame::Mark(mark) if mark.frames + 1 == self.frames => self.ended = true,
            Frame::Frontier(_)
            | Frame::Registers(_)
            | Frame::FileHashes { .. }
            | Frame::FileChunk { .. }
            | Frame::FileAnswer(_) => {}
            Frame::Hello(_)
            | Frame::Acks(_)
            | Frame::Refuse(..)
            | Frame::Redirect(_)
            | Frame::Nodes(_)
            | Frame::Inventory { .. }
            | Frame::Mark(_)
            | Frame::Deposit(_)
            | Frame::Plain { .. }
            | Frame::Greeting(_)
            | Frame::Greeted(_)
            | Frame::SayHello
            | Frame::ShortMark(_)
            | Frame::OwnAck(_)
            | Frame::RegistersCursor(_)
            | Frame::ShortNodes(_)
            | Frame::ShortAcks(_)
            | Frame::Welcome(_)
            | Frame::SameMark(_)
            | Frame::FileOffer(_)
            | Frame::FileWant(_)
            | Frame::AcksLost => return Err(TakeError::PeerOrder(frame.name())),
        }
        Ok(())
    }

    /// What both ends share, by the charter as it is now.
    fn refresh(&mut self, engine: &Engine) {
        if self.shared_version == Some(engine.charter_version()) {
            return;
        }
        let charter = engine.charter();
        let (me, peer) = (Side::of(charter, &engine.device()), Side::of(charter, &self.sender));
        let (lower, upper) = match self.role {
            Role::Lower => (me, peer),
            Role::Upper => (peer, me),
        };
        self.shared = Shared::of(charter, engine.levels(), &lower, &upper);
        self.shared_version = Some(engine.charter_version());
    }

    /// Before the first thing that a charter judges: a device that joined without a link adds the chain that
    /// shows its own right, which the relay may not have seen.
    fn prepare(&mut self, env: &mut Env<'_>) -> Result<(), TakeError> {
        if !std::mem::replace(&mut self.chained, true) && self.role == Role::Lower {
            let chains = env.engine.chains(env.store)?;
            env.engine.intake_chains(env.store, env.rng, self.sender, &chains, env.now)?;
        }
        self.refresh(env.engine);
        Ok(())
    }

    fn take_group(&mut self, env: &mut Env<'_>, group: &Group) -> Result<(), TakeError> {
        let first = group.headers.first().ok_or(TakeError::Peer(IntakeError::PeerGroup))?;
        let head = first.verify(&env.engine.org()).map_err(|e| TakeError::Peer(e.into()))?;
        let space = head.header().space;
        if space.flow == Flow::Charter {
            self.refresh(env.engine);
        } else {
            self.prepare(env)?;
        }
        let from_above = self.role == Role::Lower;
        let charter = env.engine.charter();
        let ours = self.shared.contains(charter, &space) || (from_above && space.flow == Flow::Charter);
        if !ours {
            if from_above {
                self.taken.left_out += group.headers.len() as u64;
                return Ok(());
            }
            // A unit that the sender's own charter commits, taken a moment ago, do not show.
            return Err(TakeError::PeerScope(space));
        }
        let judged = |_: &Charter, s: &SpaceId| *s == space;
        let one = std::slice::from_ref(group);
        let intake = match env.engine.intake(env.store, env.rng, self.sender, one, &judged, env.now) {
            Ok(intake) => intake,
            Err(e) => {
                if let IntakeError::PeerOrder(id) = e {
                    self.note_lacking(env.store, group, id)?;
                }
                return Err(e.into());
            }
        };
        self.taken.commits += intake.commits;
        self.taken.changes += intake.changes;
        self.taken.quarantined += intake.quarantined;
        self.taken.twins += u64::from(intake.twin_found);
        Ok(())
    }

    /// Remembers what a refused commit builds on that is not here: neither stored nor in what came with it.
    fn note_lacking(&mut self, store: &dyn Store, group: &Group, id: CommitId) -> Result<(), StoreError> {
        let heads: Vec<_> = group.headers.iter().filter_map(|h| h.trust().ok()).collect();
        let Some(refused) = heads.iter().find(|h| h.id() == id) else { return Ok(()) };
        let beside: BTreeSet<CommitId> = heads.iter().map(|h| h.id()).collect();
        let parents = &refused.header().parents;
        let known = store.known(parents)?;
        let lacks = parents.iter().zip(known).filter(|(p, held)| held.is_none() && !beside.contains(*p));
        self.lacking = lacks.map(|(p, _)| *p).collect();
        Ok(())
    }

    /// After [`TakeError::Missing`], in the transaction that will be undone: the parents that the bundle waits
    /// for. `None` when its sender has not shown a right to bring it, so that nothing of it may be kept.
    #[must_use]
    pub fn waits_for(&mut self, env: &Env<'_>) -> Option<BTreeSet<CommitId>> {
        if self.lacking.is_empty() || self.deposit.is_some() || env.engine.is_blank() {
            return None;
        }
        if self.role == Role::Lower {
            // From below the door has judged at the hello; from above the charter must show a relay.
            self.refresh(env.engine);
            let ended = door::judge_rights(env.engine.charter(), self.sender, env.now).is_some();
            if ended || self.shared.data.is_empty() {
                return None;
            }
        }
        Some(std::mem::take(&mut self.lacking))
    }

    fn take_registers(&mut self, env: &mut Env<'_>, registers: Vec<SignedRegister>) -> Result<(), TakeError> {
        self.prepare(env)?;
        let mut batch = Batch::at(env.now);
        for signed in registers {
            let register = signed.verify(&env.engine.org())?;
            if registers::admits(env.engine.charter(), self.role, &register) {
                batch.registers.push(signed);
            }
        }
        if !batch.is_empty() {
            env.store.write(&batch)?;
        }
        Ok(())
    }

    /// The list of a file's chunks. Whether a record here names the file is known only once the bundle's own records
    /// were looked at: one that none names goes when its time is over.
    fn take_hashes(&mut self, env: &mut Env<'_>, key: FileKey, hashes: &[u8]) -> Result<(), TakeError> {
        self.prepare(env)?;
        let manifest = Manifest::read(&nameless(&key), hashes).map_err(TakeError::PeerFile)?;
        self.file = None;
        let Some(shelf) = env.store.shelf_mut() else { return Ok(()) };
        if shelf.missing_chunks(&key, 1)?.is_empty() && shelf.hashes(&key)?.is_some() {
            return Ok(());
        }
        shelf.put_hashes(&key, hashes)?;
        self.taken.files += u64::from(manifest.chunks() == 0);
        self.file = Some((key, manifest));
        Ok(())
    }

    fn take_chunk(&mut self, env: &mut Env<'_>, key: FileKey, index: u32, bytes: &[u8]) -> Result<(), TakeError> {
        // Those of a file that is here already are passed over.
        let Some((_, manifest)) = self.file.as_ref().filter(|(of, _)| *of == key) else { return Ok(()) };
        manifest.check(index, bytes).map_err(TakeError::PeerFile)?;
        if let Some(shelf) = env.store.shelf_mut() {
            self.taken.files += u64::from(shelf.put_chunk(&key, index, bytes)?);
        }
        Ok(())
    }

    /// Files that the sender holds.
    fn take_words(&mut self, env: &mut Env<'_>, said: &[FileSaid]) -> Result<(), TakeError> {
        let Some(shelf) = env.store.shelf_mut() else { return Ok(()) };
        for one in said.iter().filter(|s| s.word == FileWord::Held) {
            shelf.told(&one.key, &self.sender, false)?;
        }
        Ok(())
    }

    fn take_mark(&mut self, env: &mut Env<'_>, mark: &Mark) -> Result<(), TakeError> {
        if mark.frames + 1 != self.frames {
            return Err(TakeError::PeerOrder("Mark"));
        }
        self.prepare(env)?;
        self.ended = true;
        let mine = self.shared.digests(env.engine.charter(), env.engine.holdings());
        let told = mark.digests != ScopeDigests::default() && !self.shared.data.is_empty();
        self.taken.equal = told.then_some(mark.digests == mine);
        Ok(())
    }

    /// Ends the taking: judges the sender where only the bundle itself could show its right, and keeps what it
    /// said that it holds.
    ///
    /// # Errors
    /// [`TakeError`]; the caller undoes everything.
    pub fn finish(mut self, env: &mut Env<'_>) -> Result<Taken, TakeError> {
        if !self.ended {
            return Err(TakeError::PeerOrder("end before its Mark"));
        }
        if let Some((_, seen)) = self.deposit {
            // What found no room in the quarantine is not called set aside.
            let laid = env.store.quarantine()?.into_iter().filter(|q| seen.contains(&q.head.id())).count() as u64;
            let ids: Vec<CommitId> = seen.into_iter().collect();
            let held = env.store.known(&ids)?.iter().flatten().count() as u64;
            self.taken.quarantined = laid;
            self.taken.left_out += ids.len() as u64 - laid - held;
            return Ok(self.taken);
        }
        let charter = env.engine.charter();
        if self.role == Role::Lower {
            if let Some(Door::Refused(RefuseCode::GrantEnded, text)) = door::judge_rights(charter, self.sender, env.now)
            {
                return Err(TakeError::Refused(RefuseCode::GrantEnded, text));
            }
            if self.shared.data.is_empty() {
                return Err(TakeError::NotAbove(self.sender));
            }
        }
        let mut batch = Batch::at(env.now);
        let name = held_by(&self.sender);
        let before: Option<Held> = env.store.meta(&name)?.and_then(|b| wire::decode("held", &b).ok());
        if before.is_none_or(|b| b.at < self.created) {
            let mut spaces = self.held;
            spaces.retain(|s| self.shared.contains(charter, &s.space));
            batch.meta.insert(name, Some(wire::encode(&Held { at: self.created, spaces })));
        }
        if self.role == Role::Lower {
            // The news is as old as the bundle, whenever it is taken in; no bundle comes from the future.
            let news = self.created.0.min(env.now.0);
            let from = meta::news_from(&self.sender);
            let of_relay = news.max(crate::engine::meta_u64(env.store, &from)?);
            batch.meta.insert(from, Some(of_relay.to_le_bytes().to_vec()));
            let news = news.max(self.news_at);
            batch.meta.insert(meta::NEWS_FROM_ABOVE_AT.into(), Some(news.to_le_bytes().to_vec()));
        }
        env.store.write(&batch)?;
        Ok(self.taken)
    }
}
