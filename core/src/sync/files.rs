//! Files beside a session: each end asks for what it needs of what both share, and gives what the other asks for.
//!
//! It does not: hold up a record. Nothing is said of files before the two ends were found equal once; their frames have
//! the last lane, count in no mark, and a session is verified whatever becomes of them.
//!
//! Invariants: a file is given only to a peer that shares a space in which a record's current value names it, and an
//! address that is not shared is answered like one that nobody knows; a chunk is kept, and given on, only after it was
//! checked; what a peer asks for or offers is bounded before it is kept. A link that ends loses at most the chunks on
//! their way: the next session asks for what is missing then.
//!
//! What is asked for and not whole here is passed on chunk by chunk as it comes. Of several links that could bring a
//! file one is asked at a time (`fetch`); the others wait until it ends, falls silent or says that it has no more.

use super::fetch::Link;
use super::lane;
use super::session::Session;
use super::terms::{Env, Event, Role, SessionError};
use crate::canary::{self, Canary};
use crate::engine::Engine;
use crate::file::{FileRef, Manifest, chunks_of};
use crate::id::{Flow, SpaceId};
use crate::limits::{
    FILE_BYTES_MAX, FILE_RUNS_MAX, FILE_WORDS_MAX, FILES_ASKED_MAX, FILES_NAMED_MAX, FILES_WANTED_MAX,
};
use crate::scope::{Side, is_top};
use crate::shelf::{FileKey, FileRun, Shelf, Shelved};
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
    lacking: bool,
    /// Chunks asked for that have not come.
    left: u32,
}

/// A file that the peer asks for.
#[derive(Debug)]
struct Giving {
    key: FileKey,
    hashes: bool,
    /// Chunks that have not been sent, in order.
    runs: VecDeque<FileRun>,
    /// It is named where the peer may see it.
    ready: bool,
    /// It is whole here.
    whole: bool,
    /// It is sought here because the peer asks for it.
    sought: bool,
    /// The peer was told that no more of it is here now.
    told: bool,
    /// The shelf's number for its last piece, when there was nothing left to send of it.
    dry: Option<u64>,
}

impl Giving {
    /// Whether there may be something to send that was not there at the last look.
    fn is_due(&self, shelf: &dyn Shelf) -> bool {
        self.dry.is_none_or(|at| shelf.arrival(&self.key) != at)
    }

    /// The next piece of it that is here.
    fn next(&mut self, shelf: &dyn Shelf) -> Result<Option<Frame>, StoreError> {
        let key = self.key;
        if self.hashes {
            match shelf.hashes(&key)? {
                Some(hashes) => {
                    self.hashes = false;
                    return Ok(Some(Frame::FileHashes { key, hashes }));
                }
                None if !self.whole => return Ok(None),
                None => self.hashes = false,
            }
        }
        let mut at = 0;
        while let Some(run) = self.runs.get(at).copied() {
            let first = match run.count {
                0 => None,
                _ if self.whole => Some(run.first),
                _ => shelf.first_held(&key, run)?,
            };
            let Some(index) = first else {
                if run.count == 0 {
                    self.runs.remove(at);
                } else {
                    at += 1;
                }
                continue;
            };
            let before = FileRun { first: run.first, count: index.saturating_sub(run.first) };
            let left = run.count.saturating_sub(before.count).saturating_sub(1);
            let after = FileRun { first: index.saturating_add(1), count: left };
            // Chunks may come in any order; a list of gaps that grows too long waits for the first of them.
            if before.count > 0 && after.count > 0 && self.runs.len() >= 2 * FILE_RUNS_MAX {
                at += 1;
                continue;
            }
            let bytes = shelf.chunk(&key, index)?;
            self.runs.remove(at);
            // Of a damaged shelf something may be missing that was said to be here.
            for rest in [after, before].into_iter().filter(|r| r.count > 0 && bytes.is_some()) {
                self.runs.insert(at, rest);
            }
            if let Some(bytes) = bytes {
                return Ok(Some(Frame::FileChunk { key, index, bytes }));
            }
        }
        Ok(None)
    }
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
    /// Lists of chunks of files that are coming, the last used last; the others are on the shelf.
    lists: VecDeque<(FileKey, Manifest)>,
    /// This end, among those that could be asked for a file.
    link: Link,
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
    /// Lets go of the room of what is empty.
    pub(super) fn rest(&mut self) {
        if self.words.is_empty() {
            self.words = VecDeque::new();
        }
        if self.lists.is_empty() {
            self.lists = VecDeque::new();
        }
        if self.giving.is_empty() {
            self.giving = Vec::new();
        }
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.words.capacity() + self.lists.capacity() + self.giving.capacity()
    }

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
            giving: self.files.giving.iter().filter(|g| g.ready && g.whole).count(),
            offered: self.files.offered.len() + usize::from(self.files.inquired == Inquired::Open),
            ..self.files.talk
        }
    }

    /// What is kept of files that the peer offered and asked for, and of words for it.
    pub(super) fn files_kept(&self) -> usize {
        let of = &self.files;
        of.theirs.len().max(of.giving.len()).max(of.given_up.len()).max(of.asked.len())
    }

    /// Whether there is something new of files for this session, or may be soon.
    #[must_use]
    pub fn files_due(&self, engine: &Engine, shelf: &dyn Shelf) -> bool {
        let now = engine.files_version(shelf);
        self.files.begun
            && (self.files.looked.is_some_and(|(at, _)| at != now)
                || !self.files.theirs.is_empty()
                || self.files.giving.iter().any(|g| !g.ready || (g.dry.is_some() && g.is_due(shelf))))
    }

    /// The link is gone: others may be asked for what it was asked for.
    pub fn leave_files(&mut self, engine: &mut Engine) {
        engine.fetches.leave_all(&self.files.link);
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
        // Who does not listen to answers is asked no more questions, and soon has said too much.
        if self.files.words.len() < FILE_WORDS_MAX {
            self.look_at_files(env)?;
        }
        let mut frame = self.files.words.pop_front();
        if frame.is_none() {
            frame = self.give(env)?;
        }
        if frame.is_none() {
            frame = self.files.words.pop_front();
        }
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
        let now = (env.engine.files_version(shelf), self.shared_version);
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

    fn ask_for(&mut self, env: &mut Env<'_>, wanted: &[Shelved]) -> Result<(), SessionError> {
        let keys: BTreeSet<FileKey> = wanted.iter().map(|f| f.key).collect();
        let over: Vec<FileKey> = self.files.asked.keys().filter(|k| !keys.contains(k)).copied().collect();
        for key in over {
            // It came by another way, or nothing names it any more.
            self.files.asked.remove(&key);
            env.engine.fetches.done(&key);
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
            if known || asks_us || !has || env.engine.fetches.is_others(&file.key, &self.files.link) {
                continue;
            }
            env.engine.fetches.ask(file.key, &self.files.link, env.now);
            asks.push(self.ask_anew(env, file.key)?);
        }
        if !asks.is_empty() {
            self.files.words.push_back(Frame::FileWant(asks));
        }
        Ok(())
    }

    /// Asks for what is missing of a file now.
    fn ask_anew(&mut self, env: &Env<'_>, key: FileKey) -> Result<FileAsk, StoreError> {
        let runs = env.store.shelf().map(|s| s.missing_chunks(&key, FILE_RUNS_MAX)).transpose()?.unwrap_or_default();
        let hashes = !self.has_list(env, &key)?;
        let left = runs.iter().map(|r| r.count).sum();
        self.files.asked.insert(key, Asked { lacking: false, left });
        Ok(FileAsk { key, hashes, runs })
    }

    /// Whether the list of a file's chunks is known; it is the last of those in memory then.
    fn has_list(&mut self, env: &Env<'_>, key: &FileKey) -> Result<bool, StoreError> {
        let lists = &mut self.files.lists;
        if let Some(at) = lists.iter().position(|(of, _)| of == key) {
            let list = lists.remove(at);
            lists.extend(list);
            return Ok(true);
        }
        let hashes = env.store.shelf().map(|s| s.hashes(key)).transpose()?.flatten();
        let Some(manifest) = hashes.and_then(|h| Manifest::read(&nameless(key), &h).ok()) else { return Ok(false) };
        self.keep_list(*key, manifest);
        Ok(true)
    }

    fn keep_list(&mut self, key: FileKey, manifest: Manifest) {
        let lists = &mut self.files.lists;
        lists.retain(|(of, _)| *of != key);
        lists.push_back((key, manifest));
        if lists.len() > FILES_ASKED_MAX {
            lists.pop_front();
        }
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

    /// What the peer asks for: whether it may have it, and how much of it is here.
    fn judge_asked(&mut self, env: &mut Env<'_>, changed: bool) -> Result<(), SessionError> {
        if !changed && self.files.giving.iter().all(|g| g.ready) {
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
                    if file.whole && !g.whole {
                        g.dry = None;
                    }
                    (g.ready, g.whole) = (true, file.whole);
                    if !file.whole && !std::mem::replace(&mut g.sought, true) {
                        shelf.seek(&g.key)?;
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

    /// The next piece of what the peer asks for, in the order of asking. Of what has no more here, and does not come
    /// just now, the peer is told so.
    fn give(&mut self, env: &Env<'_>) -> Result<Option<Frame>, SessionError> {
        let Some(shelf) = env.store.shelf() else { return Ok(None) };
        let mut lacking = Vec::new();
        for g in self.files.giving.iter_mut().filter(|g| g.ready) {
            if g.is_due(shelf) {
                let arrival = shelf.arrival(&g.key);
                if let Some(frame) = g.next(shelf)? {
                    (g.dry, g.told) = (None, false);
                    self.files.talk.chunks_sent += u64::from(matches!(frame, Frame::FileChunk { .. }));
                    return Ok(Some(frame));
                }
                g.dry = Some(arrival);
            }
            if !g.whole && !g.told && !env.engine.fetches.comes(&g.key, &self.files.link) {
                g.told = true;
                lacking.push(g.key);
            }
        }
        lacking.into_iter().for_each(|key| self.say_of(key, FileWord::Lacking));
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
        if !asks.iter().all(is_sound) {
            return Err(SessionError::PeerOrder("FileWant"));
        }
        for FileAsk { key, hashes, runs } in asks {
            // The word for an offer.
            self.files.offered.remove(&key);
            self.files.giving.retain(|g| g.key != key);
            if self.files.giving.len() >= FILES_WANTED_MAX {
                return Err(SessionError::PeerFlood);
            }
            self.files.giving.push(Giving {
                key,
                hashes,
                runs: runs.into(),
                ready: false,
                whole: false,
                sought: false,
                told: false,
                dry: None,
            });
        }
        Ok(())
    }

    fn take_hashes(&mut self, env: &mut Env<'_>, key: FileKey, hashes: &[u8]) -> Result<(), SessionError> {
        if !self.files.asked.contains_key(&key) {
            return Ok(());
        }
        let Ok(manifest) = Manifest::read(&nameless(&key), hashes) else {
            self.give_up(env, key, None);
            return Ok(());
        };
        self.keep_list(key, manifest);
        let Some(shelf) = env.store.shelf_mut() else { return Ok(()) };
        // Erased since it was asked for: it is not begun again.
        if shelf.find(&key)?.is_none() {
            return Ok(());
        }
        shelf.put_hashes(&key, hashes)?;
        if shelf.find(&key)?.is_some_and(|f| f.whole) {
            self.came_whole(env, key)?;
        } else {
            self.goes_on(env, key);
        }
        Ok(())
    }

    fn take_chunk(&mut self, env: &mut Env<'_>, key: FileKey, index: u32, bytes: &[u8]) -> Result<(), SessionError> {
        if !self.files.asked.contains_key(&key) {
            return Ok(());
        }
        if !self.has_list(env, &key)? {
            return Err(SessionError::PeerOrder("FileChunk"));
        }
        let right = self.files.lists.back().is_some_and(|(_, list)| list.check(index, bytes).is_ok());
        if !right && !canary::sings(Canary::ChunkUnchecked) {
            self.give_up(env, key, Some(index));
            return Ok(());
        }
        self.files.talk.chunks_received += 1;
        let Some(shelf) = env.store.shelf_mut() else { return Ok(()) };
        if shelf.put_chunk(&key, index, bytes)? {
            return self.came_whole(env, key);
        }
        if !self.goes_on(env, key) {
            return Ok(());
        }
        let Some(asked) = self.files.asked.get_mut(&key) else { return Ok(()) };
        asked.left = asked.left.saturating_sub(1);
        if asked.left == 0 {
            // More gaps than one question names.
            let ask = self.ask_anew(env, key)?;
            self.files.words.push_back(Frame::FileWant(vec![ask]));
        }
        Ok(())
    }

    /// Something of a file came: whether more of it is to come by this link. Another may bring it already.
    fn goes_on(&mut self, env: &mut Env<'_>, key: FileKey) -> bool {
        if !env.engine.fetches.came(key, &self.files.link, env.now) {
            self.files.asked.remove(&key);
            self.say_of(key, FileWord::Later);
            return false;
        }
        if let Some(asked) = self.files.asked.get_mut(&key) {
            asked.lacking = false;
        }
        true
    }

    fn came_whole(&mut self, env: &mut Env<'_>, key: FileKey) -> Result<(), SessionError> {
        self.files.asked.remove(&key);
        self.files.lists.retain(|(of, _)| *of != key);
        env.engine.fetches.done(&key);
        self.files.talk.received += 1;
        if let Some(shelf) = env.store.shelf_mut() {
            shelf.told(&key, &self.peer, false)?;
        }
        self.say_of(key, FileWord::Held);
        Ok(())
    }

    /// What the peer has of it is not what the address says: it is sought elsewhere.
    fn give_up(&mut self, env: &mut Env<'_>, key: FileKey, chunk: Option<u32>) {
        self.files.asked.remove(&key);
        env.engine.fetches.leave(&key, &self.files.link);
        self.files.given_up.insert(key);
        self.say_of(key, FileWord::Later);
        self.events.push_back(Event::FileDamaged { key, chunk });
    }

    fn take_word(&mut self, env: &mut Env<'_>, key: FileKey, word: FileWord) -> Result<(), SessionError> {
        let offered = self.files.offered.remove(&key);
        match word {
            FileWord::Held | FileWord::Later => {
                let before = self.files.giving.len();
                self.files.giving.retain(|g| g.key != key);
                if self.files.giving.len() != before {
                    // Who asked for it was not asked; now it may be.
                    self.look_again();
                }
                if let Some(shelf) = env.store.shelf_mut() {
                    shelf.told(&key, &self.peer, word == FileWord::Later)?;
                }
            }
            FileWord::Lacking => {
                if let Some(asked) = self.files.asked.get_mut(&key) {
                    asked.lacking = true;
                    // Another may be asked for in its place, and another link for this one.
                    env.engine.fetches.leave(&key, &self.files.link);
                    self.look_again();
                }
            }
            FileWord::Unknown => {
                let asked = self.files.asked.remove(&key).is_some();
                if asked {
                    env.engine.fetches.leave(&key, &self.files.link);
                    self.look_again();
                }
                // Of what was never spoken of nothing is kept.
                if (asked || offered) && self.files.given_up.len() < FILES_WANTED_MAX {
                    self.files.given_up.insert(key);
                }
            }
        }
        Ok(())
    }
}

/// Whether a question is of a file that can be, for chunks that it has, in order and each once.
fn is_sound(ask: &FileAsk) -> bool {
    let (mut next, end) = (0_u32, chunks_of(ask.key.size));
    let in_order = ask.runs.iter().all(|run| {
        let sound = run.count > 0 && run.first >= next && run.first < end && run.count <= end - run.first;
        next = run.first.saturating_add(run.count);
        sound
    });
    ask.key.size <= FILE_BYTES_MAX && in_order
}

/// A file whatever its name.
pub(crate) fn nameless(key: &FileKey) -> FileRef {
    FileRef { address: key.address, size: key.size, name: String::new() }
}
