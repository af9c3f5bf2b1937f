//! Files beside a session: each end asks for what it needs of what both share, and gives what the other asks for.
//!
//! It does not: hold up a record. Nothing is said of files before the two ends were found equal once; their frames have
//! the last lane, count in no mark, and a session is verified whatever becomes of them.
//!
//! Invariants: a file is given only to a peer that shares a space in which a record's current value names it, and an
//! address that is not shared is answered like one that nobody knows; a chunk is kept only after it was checked; what a
//! peer asks for or offers is bounded before it is kept. A link that ends loses at most the chunks on their way: the
//! next session asks for what is missing then.

use super::lane;
use super::session::Session;
use super::terms::{Env, Event, Role, SessionError};
use crate::engine::Engine;
use crate::file::{FileRef, Manifest};
use crate::id::{Flow, SpaceId};
use crate::limits::{FILE_RUNS_MAX, FILES_ASKED_MAX, FILES_NAMED_MAX, FILES_WANTED_MAX};
use crate::scope::{Side, is_top};
use crate::shelf::{FileKey, FileRun, Shelved};
use crate::store::StoreError;
use crate::wire::frame::{FileAsk, FileSaid, FileWord, Frame, PROTOCOL_FILES};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How the talk about files stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileTalk {
    /// Files asked for that the peer has, or has not answered for.
    pub asked: usize,
    /// Files asked for that the peer has not got itself yet.
    pub lacking: usize,
    /// Files that the peer asked for and that are whole here.
    pub giving: usize,
    /// Offers that the peer has not answered.
    pub offered: usize,
    /// Files that came whole.
    pub received: u64,
    /// Chunks that came and were right.
    pub chunks_received: u64,
    /// Chunks that left.
    pub chunks_sent: u64,
}

impl FileTalk {
    /// Whether nothing moves: what the peer lacks itself comes another time.
    #[must_use]
    pub fn is_still(&self) -> bool {
        self.asked == 0 && self.giving == 0 && self.offered == 0
    }
}

/// A file that the peer was asked for.
#[derive(Debug, Default)]
struct Asked {
    manifest: Option<Manifest>,
    lacking: bool,
    /// Chunks asked for that have not come.
    left: u32,
}

/// A file that the peer asks for.
#[derive(Debug)]
struct Giving {
    key: FileKey,
    hashes: bool,
    runs: VecDeque<FileRun>,
    /// It is whole here, and named where the peer may see it.
    ready: bool,
    /// The peer was told that it is not whole here.
    told: bool,
}

/// What a session knows of files.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The two ends were equal once, or the peer has spoken of files.
    begun: bool,
    /// The shelf's version, and the charter's, at the last look.
    looked: Option<(u64, usize)>,
    /// A frame of files has left.
    spoke: bool,
    /// What is to be said, before any chunk.
    words: VecDeque<Frame>,
    asked: BTreeMap<FileKey, Asked>,
    /// Not asked for again in this session.
    given_up: BTreeSet<FileKey>,
    giving: Vec<Giving>,
    /// Ours, that the peer has not answered.
    offered: BTreeSet<FileKey>,
    /// The peer's, that are not answered.
    theirs: BTreeSet<FileKey>,
    talk: FileTalk,
    inquired: Inquired,
    /// The peer asks whether anything is needed of it.
    answer_due: bool,
}

/// Whether the lower end has asked if something is needed now that was not when it was offered: an offer of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Inquired {
    #[default]
    Not,
    Open,
    Answered,
}

impl Files {
    /// Whether a frame of files has left.
    pub(super) fn have_spoken(&self) -> bool {
        self.spoke
    }
}

impl Session {
    /// How the talk about files stands.
    #[must_use]
    pub fn files(&self) -> FileTalk {
        let lacking = self.files.asked.values().filter(|a| a.lacking).count();
        FileTalk {
            asked: self.files.asked.len() - lacking,
            lacking,
            // One that has been sent is given until the peer says that it has it.
            giving: self.files.giving.iter().filter(|g| g.ready).count(),
            offered: self.files.offered.len() + usize::from(self.files.inquired == Inquired::Open),
            ..self.files.talk
        }
    }

    /// Whether the shelf has something new for this session at this version, or may have soon.
    #[must_use]
    pub fn files_due(&self, version: u64) -> bool {
        self.files.begun
            && (self.files.looked.is_some_and(|(at, _)| at != version)
                || !self.files.theirs.is_empty()
                || self.files.giving.iter().any(|g| !g.ready && !g.told))
    }

    /// The next word or chunk, when nothing else has to be said.
    pub(super) fn next_file(
        &mut self,
        env: &mut Env<'_>,
        free: &dyn Fn(u8) -> bool,
    ) -> Result<Option<(u8, Vec<u8>)>, SessionError> {
        self.files.begun |= self.verified.is_some();
        let speaks = self.open && !self.closing && self.deposit.is_none() && self.protocol >= PROTOCOL_FILES;
        if !self.files.begun || !speaks || !free(lane::FILES) || env.store.shelf().is_none() {
            return Ok(None);
        }
        self.look_at_files(env)?;
        let frame = match self.files.words.pop_front() {
            Some(frame) => Some(frame),
            None => self.give(env)?,
        };
        self.files.spoke |= frame.is_some();
        Ok(frame.map(|frame| {
            let bytes = frame.encode();
            self.stats.frame_bytes_sent += bytes.len() as u64;
            (lane::FILES, bytes)
        }))
    }

    /// Looks at the shelf anew with the next frame, though it has not changed.
    fn look_again(&mut self) {
        self.files.looked = self.files.looked.map(|(at, shared)| (at.wrapping_sub(1), shared));
    }

    /// Whether a record in a space that both share names the file.
    fn shares_any(&self, engine: &Engine, spaces: &[SpaceId]) -> bool {
        spaces.iter().any(|space| self.shared.contains(engine.charter(), space))
    }

    /// Whether the peer may have what a record of this space names. What came down is not sought below.
    fn may_have(&self, engine: &Engine, space: &SpaceId) -> bool {
        let charter = engine.charter();
        self.shared.contains(charter, space)
            && (self.role == Role::Lower
                || space.flow != Flow::Down
                || Side::of(charter, &self.peer).covers(charter, &space.unit)
                || is_top(charter, &engine.device()))
    }

    /// Looks at the shelf where it has changed: what to ask for, to offer, to answer.
    fn look_at_files(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let Some(shelf) = env.store.shelf() else { return Ok(()) };
        let now = (shelf.version(), self.shared_version);
        let changed = self.files.looked != Some(now);
        if changed {
            let wanted = shelf.wanted()?;
            let untold = if self.role == Role::Lower { shelf.untold(&self.peer)? } else { Vec::new() };
            let inquire = self.role == Role::Lower && self.files.looked.is_none() && shelf.has_later(&self.peer)?;
            if self.files.looked.is_some_and(|(_, shared)| shared != now.1) {
                self.files.given_up.clear();
            }
            self.files.looked = Some(now);
            self.ask_for(env, &wanted)?;
            self.offer_files(env.engine, &untold);
            if inquire {
                self.files.inquired = Inquired::Open;
                self.files.words.push_back(Frame::FileOffer(Vec::new()));
            }
            for giving in &mut self.files.giving {
                giving.ready = false;
            }
        }
        self.judge_asked(env, changed)?;
        self.judge_offered(env)?;
        if std::mem::take(&mut self.files.answer_due) {
            // Behind what is asked for.
            self.files.words.push_back(Frame::FileAnswer(Vec::new()));
        }
        Ok(())
    }

    fn ask_for(&mut self, env: &Env<'_>, wanted: &[Shelved]) -> Result<(), SessionError> {
        let keys: BTreeSet<FileKey> = wanted.iter().map(|f| f.key).collect();
        let over: Vec<FileKey> = self.files.asked.keys().filter(|k| !keys.contains(k)).copied().collect();
        for key in over {
            // It came by another way, or nothing names it any more.
            self.files.asked.remove(&key);
            self.say_of(key, FileWord::Held);
        }
        let mut asks = Vec::new();
        for file in wanted {
            let active = self.files.asked.values().filter(|a| !a.lacking).count();
            if active >= FILES_ASKED_MAX || self.files.asked.len() >= FILES_WANTED_MAX {
                break;
            }
            // Who asks for it has not got it.
            let asks_us = self.files.giving.iter().any(|g| g.key == file.key);
            let known = self.files.asked.contains_key(&file.key) || self.files.given_up.contains(&file.key);
            let offered = self.files.theirs.contains(&file.key) && self.shares_any(env.engine, &file.spaces);
            let has = offered || file.spaces.iter().any(|s| self.may_have(env.engine, s));
            if known || asks_us || !has {
                continue;
            }
            asks.push(self.ask_anew(env, file.key)?);
        }
        if !asks.is_empty() {
            self.files.words.push_back(Frame::FileWant(asks));
        }
        Ok(())
    }

    /// Asks for what is missing of a file now.
    fn ask_anew(&mut self, env: &Env<'_>, key: FileKey) -> Result<FileAsk, StoreError> {
        let (mut runs, mut hashes) = (Vec::new(), None);
        if let Some(shelf) = env.store.shelf() {
            runs = shelf.missing_chunks(&key, FILE_RUNS_MAX)?;
            hashes = shelf.hashes(&key)?;
        }
        let manifest = hashes.and_then(|h| Manifest::read(&nameless(&key), &h).ok());
        let ask = FileAsk { key, hashes: manifest.is_none(), runs };
        let left = ask.runs.iter().map(|r| r.count).sum();
        self.files.asked.insert(key, Asked { manifest, lacking: false, left });
        Ok(ask)
    }

    fn offer_files(&mut self, engine: &Engine, untold: &[Shelved]) {
        let mut new = Vec::new();
        for file in untold {
            let asked = self.files.giving.iter().any(|g| g.key == file.key);
            if !asked
                && !self.files.given_up.contains(&file.key)
                && self.shares_any(engine, &file.spaces)
                && self.files.offered.len() < FILES_WANTED_MAX
                && self.files.offered.insert(file.key)
            {
                new.push(file.key);
            }
        }
        for some in new.chunks(FILES_NAMED_MAX) {
            self.files.words.push_back(Frame::FileOffer(some.to_vec()));
        }
    }

    /// What the peer asks for: whether it may have it, and whether it is here.
    fn judge_asked(&mut self, env: &mut Env<'_>, changed: bool) -> Result<(), SessionError> {
        if !changed && self.files.giving.iter().all(|g| g.ready || g.told) {
            return Ok(());
        }
        let mut giving = std::mem::take(&mut self.files.giving);
        let mut kept = Vec::with_capacity(giving.len());
        for mut g in giving.drain(..) {
            if g.ready {
                kept.push(g);
                continue;
            }
            let Some(shelf) = env.store.shelf_mut() else { continue };
            let found = shelf.find(&g.key)?.filter(|f| self.shares_any(env.engine, &f.spaces));
            match found {
                Some(file) => {
                    g.ready = file.whole;
                    if !file.whole && !std::mem::replace(&mut g.told, true) {
                        shelf.seek(&g.key)?;
                        self.say_of(g.key, FileWord::Lacking);
                    }
                    kept.push(g);
                }
                // The record that names it may be here and not be looked at yet.
                None if !shelf.settled()? => kept.push(g),
                None => self.say_of(g.key, FileWord::Unknown),
            }
        }
        self.files.giving = kept;
        Ok(())
    }

    /// What the peer offers: whether it is needed, now or later.
    fn judge_offered(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        if self.files.theirs.is_empty() {
            return Ok(());
        }
        let Some(shelf) = env.store.shelf() else { return Ok(()) };
        // What is to come is asked for at the next look, when there is room.
        let wanted = shelf.wanted()?;
        for key in std::mem::take(&mut self.files.theirs) {
            if self.files.asked.contains_key(&key) {
                continue;
            }
            match shelf.find(&key)?.filter(|f| self.shares_any(env.engine, &f.spaces)) {
                Some(file) if file.whole => self.say_of(key, FileWord::Held),
                Some(_) if wanted.iter().any(|w| w.key == key) && !self.files.given_up.contains(&key) => {
                    self.files.theirs.insert(key);
                }
                Some(_) => self.say_of(key, FileWord::Later),
                None if !shelf.settled()? => {
                    self.files.theirs.insert(key);
                }
                None => self.say_of(key, FileWord::Unknown),
            }
        }
        Ok(())
    }

    fn say_of(&mut self, key: FileKey, word: FileWord) {
        let said = FileSaid { key, word };
        match self.files.words.back_mut() {
            Some(Frame::FileAnswer(more)) if more.len() < FILES_NAMED_MAX => more.push(said),
            Some(_) | None => self.files.words.push_back(Frame::FileAnswer(vec![said])),
        }
    }

    /// The next piece of what the peer asks for, in the order of asking.
    fn give(&mut self, env: &Env<'_>) -> Result<Option<Frame>, SessionError> {
        let Some(shelf) = env.store.shelf() else { return Ok(None) };
        for g in self.files.giving.iter_mut().filter(|g| g.ready) {
            if std::mem::take(&mut g.hashes)
                && let Some(hashes) = shelf.hashes(&g.key)?
            {
                return Ok(Some(Frame::FileHashes { key: g.key, hashes }));
            }
            while let Some(run) = g.runs.front_mut() {
                if run.count == 0 {
                    g.runs.pop_front();
                    continue;
                }
                let index = run.first;
                *run = FileRun { first: index.saturating_add(1), count: run.count - 1 };
                if let Some(bytes) = shelf.chunk(&g.key, index)? {
                    self.files.talk.chunks_sent += 1;
                    return Ok(Some(Frame::FileChunk { key: g.key, index, bytes }));
                }
                // Nothing lies there: nor does what follows of a run that was made up.
                g.runs.pop_front();
            }
        }
        Ok(None)
    }

    /// Takes a frame about files.
    pub(super) fn take_file(&mut self, env: &mut Env<'_>, frame: Frame) -> Result<(), SessionError> {
        if env.store.shelf().is_none() {
            return Ok(());
        }
        self.files.begun = true;
        match frame {
            Frame::FileOffer(keys) => {
                let room = self.files.theirs.len() + keys.len() <= FILES_WANTED_MAX;
                if self.role != Role::Upper {
                    return Err(SessionError::PeerOrder("FileOffer"));
                }
                if keys.len() > FILES_NAMED_MAX || !room {
                    return Err(SessionError::PeerFlood);
                }
                self.files.answer_due |= keys.is_empty();
                self.files.theirs.extend(keys);
                self.look_again();
            }
            Frame::FileWant(asks) => self.take_asks(asks)?,
            Frame::FileHashes { key, hashes } => self.take_hashes(env, key, &hashes)?,
            Frame::FileChunk { key, index, bytes } => self.take_chunk(env, key, index, &bytes)?,
            Frame::FileAnswer(said) => {
                if said.len() > FILES_NAMED_MAX {
                    return Err(SessionError::PeerFlood);
                }
                if said.is_empty() && self.files.inquired == Inquired::Open {
                    self.files.inquired = Inquired::Answered;
                }
                for FileSaid { key, word } in said {
                    self.take_word(env, key, word)?;
                }
            }
            other => return Err(SessionError::PeerOrder(other.name())),
        }
        Ok(())
    }

    fn take_asks(&mut self, asks: Vec<FileAsk>) -> Result<(), SessionError> {
        if asks.len() > FILES_NAMED_MAX || asks.iter().any(|a| a.runs.len() > FILE_RUNS_MAX) {
            return Err(SessionError::PeerFlood);
        }
        for FileAsk { key, hashes, runs } in asks {
            // The word for an offer.
            self.files.offered.remove(&key);
            self.files.giving.retain(|g| g.key != key);
            if self.files.giving.len() >= FILES_WANTED_MAX {
                return Err(SessionError::PeerFlood);
            }
            self.files.giving.push(Giving { key, hashes, runs: runs.into(), ready: false, told: false });
        }
        Ok(())
    }

    fn take_hashes(&mut self, env: &mut Env<'_>, key: FileKey, hashes: &[u8]) -> Result<(), SessionError> {
        let Some(asked) = self.files.asked.get_mut(&key) else { return Ok(()) };
        asked.lacking = false;
        match Manifest::read(&nameless(&key), hashes) {
            Ok(manifest) => asked.manifest = Some(manifest),
            Err(_) => {
                self.give_up(key, None);
                return Ok(());
            }
        }
        let Some(shelf) = env.store.shelf_mut() else { return Ok(()) };
        // Erased since it was asked for: it is not begun again.
        if shelf.find(&key)?.is_none() {
            return Ok(());
        }
        shelf.put_hashes(&key, hashes)?;
        if shelf.find(&key)?.is_some_and(|f| f.whole) {
            self.came_whole(env, key)?;
        }
        Ok(())
    }

    fn take_chunk(&mut self, env: &mut Env<'_>, key: FileKey, index: u32, bytes: &[u8]) -> Result<(), SessionError> {
        let Some(asked) = self.files.asked.get_mut(&key) else { return Ok(()) };
        let Some(manifest) = &asked.manifest else { return Err(SessionError::PeerOrder("FileChunk")) };
        if manifest.check(index, bytes).is_err() {
            self.give_up(key, Some(index));
            return Ok(());
        }
        asked.lacking = false;
        asked.left = asked.left.saturating_sub(1);
        let done = asked.left == 0;
        self.files.talk.chunks_received += 1;
        let Some(shelf) = env.store.shelf_mut() else { return Ok(()) };
        if shelf.put_chunk(&key, index, bytes)? {
            self.came_whole(env, key)?;
        } else if done {
            // More gaps than one question names.
            let ask = self.ask_anew(env, key)?;
            self.files.words.push_back(Frame::FileWant(vec![ask]));
        }
        Ok(())
    }

    fn came_whole(&mut self, env: &mut Env<'_>, key: FileKey) -> Result<(), SessionError> {
        self.files.asked.remove(&key);
        self.files.talk.received += 1;
        if let Some(shelf) = env.store.shelf_mut() {
            shelf.told(&key, &self.peer, false)?;
        }
        self.say_of(key, FileWord::Held);
        Ok(())
    }

    /// What the peer has of it is not what the address says: it is sought elsewhere.
    fn give_up(&mut self, key: FileKey, chunk: Option<u32>) {
        self.files.asked.remove(&key);
        self.files.given_up.insert(key);
        self.say_of(key, FileWord::Later);
        self.events.push_back(Event::FileDamaged { key, chunk });
    }

    fn take_word(&mut self, env: &mut Env<'_>, key: FileKey, word: FileWord) -> Result<(), SessionError> {
        self.files.offered.remove(&key);
        match word {
            FileWord::Held | FileWord::Later => {
                self.files.giving.retain(|g| g.key != key);
                if let Some(shelf) = env.store.shelf_mut() {
                    shelf.told(&key, &self.peer, word == FileWord::Later)?;
                }
            }
            FileWord::Lacking => {
                if let Some(asked) = self.files.asked.get_mut(&key) {
                    asked.lacking = true;
                    // Another may be asked for in its place.
                    self.look_again();
                }
            }
            FileWord::Unknown => {
                if self.files.asked.remove(&key).is_some() {
                    self.look_again();
                }
                self.files.given_up.insert(key);
            }
        }
        Ok(())
    }
}

/// A file whatever its name.
pub(crate) fn nameless(key: &FileKey) -> FileRef {
    FileRef { address: key.address, size: key.size, name: String::new() }
}
