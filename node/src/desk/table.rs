//! The table: sessions of one replica and the one transaction that a group of their inputs is.
//!
//! It does not: keep a thread, a channel or a clock. The desk's thread drives it for real links, the
//! simulated world on virtual time: both run this very code.
//!
//! Invariants: outputs are returned only after the transaction that made them is durable; when it
//! fails, no session survives and the engine is read anew.

use super::quota::{Over, QuotaRates, Quotas};
use super::{SessionEnd, SessionId, SessionState};
use crate::replica::{META_LAST_ERROR, Replica};
use sampan_core::canary::{self, Canary};
use sampan_core::engine::{Ahead, SealLimits, meta};
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::register::Heartbeat;
use sampan_core::shelf::Shelf as _;
use sampan_core::store::{Batch, Store, StoreError};
use sampan_core::sync::{About, Env, Event, Role, Session, SessionError, Waiting, lane};
use sampan_core::wire::frame::{Frame, RefuseCode};
use std::collections::{BTreeMap, BTreeSet};

/// Frames handed to a link's lane before the link says that they went out.
pub const LANE_FRAMES_MAX: u8 = 2;
/// A device says that it lives at least this often, in milliseconds.
const HEARTBEAT_EVERY_MS: u64 = 3_600_000;
/// When this device last wrote a sign of life, and what it said.
const META_HEARTBEAT: &str = "heartbeat_at";

/// What a link brings.
#[derive(Debug)]
pub enum TableInput {
    /// A link is up: open a session under this name.
    Open {
        /// Its name, never used before.
        id: SessionId,
        /// Which end this is.
        role: Role,
        /// The key at the other end.
        peer: DeviceId,
        /// A nearer relay was tried and did not answer.
        fallback: bool,
    },
    /// A frame came on a lane.
    Frame {
        /// The session.
        id: SessionId,
        /// The lane.
        lane: u8,
        /// Its bytes.
        bytes: Vec<u8>,
        /// What was read of it before its turn, by this replica's reader.
        ahead: Option<Ahead>,
    },
    /// The transport took a frame of this lane.
    Sent {
        /// The session.
        id: SessionId,
        /// The lane.
        lane: u8,
    },
    /// The link is gone.
    Closed {
        /// The session.
        id: SessionId,
    },
    /// Ask the peer for a new comparison.
    Verify {
        /// The session.
        id: SessionId,
    },
}

/// What a link is to do.
#[derive(Debug)]
pub enum TableOutput {
    /// Send this frame on this lane, then hand in [`TableInput::Sent`].
    Frame {
        /// The session.
        id: SessionId,
        /// The lane.
        lane: u8,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Send what is queued, then close.
    Close {
        /// The session.
        id: SessionId,
        /// The code that the peer sees.
        code: u32,
        /// The reason that it sees.
        reason: String,
    },
    /// How a session stands now.
    State {
        /// The session.
        id: SessionId,
        /// Its state.
        state: Box<SessionState>,
    },
}

struct Open {
    session: Session,
    in_flight: BTreeMap<u8, u8>,
    end: Option<SessionEnd>,
    /// What a peer that broke the protocol is told.
    refusal: Option<Vec<u8>>,
    closed: bool,
}

impl Open {
    /// Whether frames are under way that the session's word hangs on: of files it does not.
    fn is_sending(&self) -> bool {
        self.in_flight.iter().any(|(lane, n)| *lane != lane::FILES && *n > 0)
    }
}

/// The sessions of one replica.
#[derive(Default)]
pub struct Table {
    /// Boxed: ids grow, which leaves a map's nodes half empty, and a session takes 1.8 kB.
    sessions: BTreeMap<SessionId, Box<Open>>,
    seen_news: u64,
    /// Commits in the quarantine when what waits there was last told.
    seen_aside: usize,
    /// How often figures had been said when they were last passed on.
    seen_figures: u64,
    /// What the engine and the shelf said of files (version, pieces) when every session was last looked at for them.
    seen_files: (u64, u64),
    /// Sessions that had something to say of files after their last turn: at the same version no other has.
    files_left: BTreeSet<SessionId>,
    /// Sessions that were told that not everything that came was looked at for names of files.
    names_unknown: BTreeSet<SessionId>,
    quotas: Quotas,
}

impl Table {
    /// An empty table for a replica: what its engine told before is nobody's news.
    #[must_use]
    pub fn new(replica: &Replica) -> Self {
        Self::with_quotas(replica, QuotaRates::default())
    }

    /// The same, with other quotas for devices below.
    #[must_use]
    pub fn with_quotas(replica: &Replica, rates: QuotaRates) -> Self {
        let (seen_news, quotas) = (replica.engine.news_end(), Quotas::new(rates));
        Self { seen_news, seen_aside: usize::MAX, quotas, ..Self::default() }
    }

    /// The devices of the sessions open now, each once.
    #[must_use]
    pub fn connected(&self) -> Vec<DeviceId> {
        let mut now: Vec<DeviceId> = self.sessions.values().filter(|o| !o.closed).map(|o| o.session.peer()).collect();
        now.sort_unstable();
        now.dedup();
        now
    }

    /// What each open session keeps of its peer's until it can be taken.
    pub fn waiting(&self) -> impl Iterator<Item = (DeviceId, Waiting)> + '_ {
        self.sessions.values().filter(|o| !o.closed).map(|o| (o.session.peer(), o.session.waiting()))
    }

    /// Whether a session has something to say of files that were named or came since it looked.
    #[must_use]
    pub fn files_due(&self, replica: &Replica) -> bool {
        self.sessions.values().any(|o| !o.closed && o.session.files_due(&replica.engine, &replica.store))
    }

    /// One transaction: the inputs, sealing, news; and only then what leaves. `look`: another process
    /// may have edited, or edits may have waited long enough. The second value says whether commits
    /// were stored, which a projector wants to know.
    pub fn transact(&mut self, replica: &mut Replica, inputs: Vec<TableInput>, look: bool) -> (Vec<TableOutput>, bool) {
        let mut touched: BTreeSet<SessionId> = BTreeSet::new();
        let mut frames: Vec<(SessionId, u8, Vec<u8>)> = Vec::new();
        let result = self.group(replica, inputs, look, &mut touched, &mut frames);
        let mut out = Vec::new();
        match result {
            Ok(unsealed) => {
                let stored = replica.engine.news_end() != self.seen_news;
                self.seen_news = replica.engine.news_end();
                out.extend(frames.into_iter().map(|(id, lane, bytes)| TableOutput::Frame { id, lane, bytes }));
                self.report(replica, touched, unsealed, &mut out);
                (out, stored)
            }
            Err(e) => {
                // Planted bugs: what should have waited for the disk had left before it failed.
                let early = |bytes: &[u8]| match Frame::decode(bytes) {
                    Ok(Frame::Acks(_) | Frame::Mark(_)) => canary::sings(Canary::AckBeforeDurable),
                    Ok(_) => canary::sings(Canary::SealNotDurable),
                    Err(_) => false,
                };
                if canary::sings(Canary::AckBeforeDurable) || canary::sings(Canary::SealNotDurable) {
                    frames.retain(|(_, _, bytes)| early(bytes));
                    out.extend(frames.into_iter().map(|(id, lane, bytes)| TableOutput::Frame { id, lane, bytes }));
                }
                self.fail(replica, &e, &mut out);
                (out, false)
            }
        }
    }

    /// What runs inside the transaction; true while edits remain unsealed.
    fn group(
        &mut self,
        replica: &mut Replica,
        inputs: Vec<TableInput>,
        look: bool,
        touched: &mut BTreeSet<SessionId>,
        frames: &mut Vec<(SessionId, u8, Vec<u8>)>,
    ) -> Result<bool, StoreError> {
        let now = replica.label()?;
        let limits = SealLimits { entries: replica.config().seal_entries_max, ..SealLimits::default() };
        let seal_after = replica.config().seal_after_s.saturating_mul(1_000);
        let figures = replica.figures_published();
        let Replica { store, engine, rng, .. } = replica;
        let rng = &mut **rng;
        let seen_figures = &mut self.seen_figures;
        let seen_news = self.seen_news;
        let seen_aside = &mut self.seen_aside;
        let sessions = &mut self.sessions;
        let quotas = &mut self.quotas;
        let (seen_files, files_left) = (&mut self.seen_files, &mut self.files_left);
        store.group(|s| {
            if s.changed_elsewhere()? {
                engine.catch_up(s)?;
            }
            for input in inputs {
                let mut env = Env { store: s, engine, rng, now };
                match input {
                    TableInput::Open { id, role, peer, fallback } => {
                        // What was edited offline goes out with the greeting, not a round trip after it.
                        if role == Role::Lower {
                            env.engine.seal(env.store, env.rng, limits, now)?;
                        }
                        let mut open = open_session(&mut env, role, peer, fallback)?;
                        if let Some(over) = quotas.waits(&peer, now).filter(|_| role == Role::Upper) {
                            hold_back(&mut open, over);
                        }
                        sessions.insert(id, Box::new(open));
                        touched.insert(id);
                    }
                    TableInput::Frame { id, lane, bytes, ahead } => {
                        if let Some(open) = sessions.get_mut(&id).filter(|o| !o.closed) {
                            touched.insert(id);
                            let before = open.session.stats().commits_shown;
                            env.engine.read_ahead(ahead);
                            let taken = open.session.receive(&mut env, lane, &bytes);
                            env.engine.read_ahead(None);
                            end_session(open, taken)?;
                            let commits = open.session.stats().commits_shown - before;
                            if open.session.role() == Role::Upper {
                                let peer = open.session.peer();
                                let over = quotas.spend(peer, bytes.len() as u64, commits + 1, now);
                                if let Some(over) = over.filter(|_| !open.closed) {
                                    note_held_back(&mut env, peer)?;
                                    hold_back(open, over);
                                }
                            }
                        }
                    }
                    TableInput::Sent { id, lane } => {
                        if let Some(open) = sessions.get_mut(&id) {
                            touched.insert(id);
                            let n = open.in_flight.entry(lane).or_default();
                            *n = n.saturating_sub(1);
                        }
                    }
                    TableInput::Closed { id } => {
                        if let Some(mut open) = sessions.remove(&id) {
                            open.session.leave_files(env.engine);
                            note_closed(&mut env, &open)?;
                        }
                    }
                    TableInput::Verify { id } => {
                        if let Some(open) = sessions.get_mut(&id) {
                            touched.insert(id);
                            open.session.ask_to_verify();
                        }
                    }
                }
            }
            let linked = sessions.values().any(|o| !o.closed);
            let mut unsealed = false;
            if look || linked {
                let pending = s.pending_sums()?;
                let due = pending.iter().any(|p| now.0.saturating_sub(p.oldest.0) >= seal_after);
                let entries: u64 = pending.iter().map(|p| p.entries).sum();
                if !pending.is_empty() && (linked || due || entries >= limits.entries as u64) {
                    engine.seal(s, rng, limits, now)?;
                    unsealed = !s.pending_sums()?.is_empty();
                } else {
                    unsealed = !pending.is_empty();
                }
            }
            if engine.news_end() != seen_news {
                // Of thousands of links, what one branch brought concerns one or two.
                let about = About::since(engine, seen_news);
                for (id, open) in sessions.iter_mut().filter(|(_, o)| !o.closed) {
                    if open.session.pass_over(&about) {
                        continue;
                    }
                    let mut env = Env { store: s, engine, rng, now };
                    let poked = open.session.poke(&mut env);
                    end_session(open, poked)?;
                    touched.insert(*id);
                }
            }
            // What waits here is told upward when it changes, to a link that is up as well.
            let (aside, said) = (engine.aside_count() != *seen_aside, figures != *seen_figures);
            if linked && (aside || said) {
                if aside {
                    *seen_aside = engine.aside_count();
                    engine.tell_waiting(s, now)?;
                }
                *seen_figures = figures;
                for (id, open) in sessions.iter_mut().filter(|(_, o)| !o.closed) {
                    let mut env = Env { store: s, engine, rng, now };
                    let passed = open.session.pass_registers(&mut env);
                    end_session(open, passed)?;
                    touched.insert(*id);
                }
            }
            // A piece of a file that came for one may be what another waits for.
            engine.sweep_fetches(now);
            let files = s.shelf().map_or((0, 0), |shelf| (engine.files_version(shelf), shelf.pieces()));
            if std::mem::replace(seen_files, files) == files {
                let left = std::mem::take(files_left);
                touched.extend(left.into_iter().filter(|id| sessions.get(id).is_some_and(|o| !o.closed)));
            } else {
                files_left.clear();
                if let Some(shelf) = s.shelf() {
                    let due = sessions.iter().filter(|(_, o)| !o.closed && o.session.files_due(engine, shelf));
                    touched.extend(due.map(|(id, _)| *id));
                }
            }
            for id in touched.iter() {
                let Some(open) = sessions.get_mut(id) else { continue };
                if !open.closed {
                    let mut env = Env { store: s, engine, rng, now };
                    pull(open, &mut env, *id, frames)?;
                }
                frames.extend(open.refusal.take().map(|bytes| (*id, 0, bytes)));
                if !open.closed && s.shelf().is_some_and(|shelf| open.session.files_due(engine, shelf)) {
                    files_left.insert(*id);
                }
            }
            Ok(unsealed)
        })
    }

    /// Tells links how their sessions stand.
    fn report(
        &mut self,
        replica: &Replica,
        mut touched: BTreeSet<SessionId>,
        unsealed: bool,
        out: &mut Vec<TableOutput>,
    ) {
        // A lower end that leaves when it has all must first know what its records name.
        let unknown = std::mem::take(&mut self.names_unknown);
        touched.extend(unknown.into_iter().filter(|id| self.sessions.get(id).is_some_and(|o| !o.closed)));
        let lower = touched.iter().filter_map(|id| self.sessions.get(id)).any(|o| o.session.role() == Role::Lower);
        let names_known = !lower || replica.schema().is_none() || replica.store.settled().unwrap_or(true);
        for id in &touched {
            let Some(open) = self.sessions.get_mut(id) else { continue };
            if open.session.role() == Role::Lower && !names_known && !open.closed {
                self.names_unknown.insert(*id);
            }
            let events: Vec<Event> = open.session.events().collect();
            for event in events {
                match event {
                    Event::Refused { .. } => open.end = Some(SessionEnd::Refused(event)),
                    Event::Redirect(to) => open.end = Some(SessionEnd::Redirect(to)),
                    Event::Deposited { counting, aside, refused } => tracing::info!(
                        device = %open.session.peer(), counting, aside, refused,
                        "a device whose rights have ended handed in what it had not sent"
                    ),
                    Event::NotVerified => open.end = Some(SessionEnd::NotVerified),
                    Event::TwinFound => tracing::warn!("another copy of this disk wrote under this device's name"),
                    // They differed for a while, and do no longer.
                    Event::Verified if matches!(open.end, Some(SessionEnd::NotVerified)) => open.end = None,
                    Event::FileDamaged { key, chunk } => {
                        let (peer, file) = (open.session.peer(), key.address);
                        tracing::warn!(%peer, %file, ?chunk, "a neighbour's copy of a file is damaged; it was not kept");
                    }
                    Event::RolledBack(unit) => {
                        tracing::warn!(%unit, "the relay above showed an older charter than it had shown before");
                    }
                    Event::Verified | Event::Announced(_) | Event::Stored { .. } | Event::Acknowledged => {}
                }
            }
            let state = SessionState {
                verified_at: open.session.verified_at(),
                settled: open.session.is_quiet() && !open.is_sending() && !unsealed,
                // A refusal is said by the table, and no session counts it.
                heard: open.session.is_heard() && open.end.is_none() && !open.closed && !open.is_sending(),
                files: open.session.files(),
                names_known: open.session.role() == Role::Upper || names_known,
                waits_for: waits_for(open, unsealed),
                stats: open.session.stats(),
                progress: open.session.progress(),
                end: open.end.clone(),
            };
            out.push(TableOutput::State { id: *id, state: Box::new(state) });
            if (open.session.is_closing() || open.closed) && open.end.is_some() {
                open.closed = true;
                out.push(TableOutput::Close { id: *id, code: crate::net::code::DONE, reason: String::new() });
            }
        }
    }

    /// The transaction did not land: nothing of it may be believed.
    fn fail(&mut self, replica: &mut Replica, error: &StoreError, out: &mut Vec<TableOutput>) {
        tracing::error!(%error, "a group of inputs could not be stored");
        for (id, open) in &mut self.sessions {
            open.closed = true;
            let end = SessionEnd::Failed(error.to_string());
            open.end = Some(end.clone());
            let state = SessionState { end: Some(end), ..SessionState::default() };
            out.push(TableOutput::State { id: *id, state: Box::new(state) });
            let (code, reason) = (crate::net::code::STOPPING, "the store failed".to_owned());
            out.push(TableOutput::Close { id: *id, code, reason });
        }
        let Replica { store, engine, .. } = replica;
        if let Err(e) = engine.reload(store) {
            tracing::error!(error = %e, "the store cannot be read either");
        }
        self.seen_news = replica.engine.news_end();
    }
}

fn open_session(env: &mut Env<'_>, role: Role, peer: DeviceId, fallback: bool) -> Result<Open, StoreError> {
    let mut end = None;
    let session = match role {
        Role::Upper => {
            note_seen(env, peer)?;
            Session::upper(peer)
        }
        Role::Lower => {
            heartbeat(env)?;
            env.engine.tell_waiting(env.store, env.now)?;
            match Session::lower(env, peer, fallback) {
                Ok(s) => s,
                Err(SessionError::Local(e)) => return Err(e),
                Err(e) => {
                    end = Some(SessionEnd::Failed(e.to_string()));
                    Session::upper(peer)
                }
            }
        }
    };
    Ok(Open { session, in_flight: BTreeMap::new(), end, refusal: None, closed: false })
}

/// What a session waits for, in words for a log.
fn waits_for(open: &Open, unsealed: bool) -> String {
    let mut out = open.session.waits_for();
    if open.is_sending() {
        out.push_str(&format!("; frames under way {:?}", open.in_flight));
    }
    if unsealed {
        out.push_str("; edits that cannot be sealed");
    }
    out
}

fn note_seen(env: &mut Env<'_>, peer: DeviceId) -> Result<(), StoreError> {
    let mut batch = Batch::at(env.now);
    let name = format!("{}{peer}", meta::CHILD_SEEN_AT);
    batch.meta.insert(name, Some(env.now.0.to_le_bytes().to_vec()));
    env.store.write(&batch)
}

/// Tells a device over its quota when to come back. What it brought is taken, and stored with this group.
fn hold_back(open: &mut Open, over: Over) {
    let (text, retry_after) = (over.words(), Some(over.retry_after));
    tracing::warn!(peer = %open.session.peer(), quota = ?over.kind, seconds = over.retry_after, "a device is over its quota");
    open.refusal = Some(Frame::Refuse(RefuseCode::Busy, text.clone(), retry_after).encode());
    open.end = Some(SessionEnd::Refused(Event::Refused { code: RefuseCode::Busy, text, by_peer: false, retry_after }));
    open.closed = true;
}

/// Keeps for the operator which device of the organisation was held back last, and when.
fn note_held_back(env: &mut Env<'_>, peer: DeviceId) -> Result<(), StoreError> {
    if env.engine.charter().rights(&peer).next().is_none() {
        return Ok(());
    }
    let mut batch = Batch::at(env.now);
    let at = Some(env.now.0.to_le_bytes().to_vec());
    batch.meta.insert(format!("{}{peer}", meta::CHILD_HELD_BACK_AT), at);
    env.store.write(&batch)
}

fn note_closed(env: &mut Env<'_>, open: &Open) -> Result<(), StoreError> {
    match open.session.role() {
        Role::Upper => note_seen(env, open.session.peer()),
        Role::Lower => Ok(()),
    }
}

/// Writes a sign of life when the last one is old or says something else.
fn heartbeat(env: &mut Env<'_>) -> Result<(), StoreError> {
    let units = env.engine.charter().units_of(&env.engine.device());
    let Some(first) = units.first().copied() else { return Ok(()) };
    let last = env.store.meta(META_HEARTBEAT)?.and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    if env.now.0.saturating_sub(last) < HEARTBEAT_EVERY_MS {
        return Ok(());
    }
    // One for each way up: a relay hears only of what lies below it.
    let ways = env.engine.ways(env.store)?;
    let mut said: Vec<UnitId> = ways.ways.iter().filter_map(|w| w.way.units.first().copied()).collect();
    if said.len() <= 1 {
        said = vec![first];
    }
    let offset = env.store.meta(meta::CLOCK_OFFSET)?.and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes);
    let beat = Heartbeat {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        unsent_changes: crate::replica::unsent(
            env.engine,
            env.store,
            &units.iter().copied().collect::<Vec<_>>(),
            &ways,
        )?,
        verified_at: ways.verified_at.unwrap_or_default(),
        last_error: env.store.meta(META_LAST_ERROR)?.and_then(|b| String::from_utf8(b).ok()).unwrap_or_default(),
        clock_offset: offset,
    };
    for unit in said {
        env.engine.heartbeat(env.store, unit, &beat, env.now)?;
    }
    let mut batch = Batch::at(env.now);
    batch.meta.insert(META_HEARTBEAT.into(), Some(env.now.0.to_le_bytes().to_vec()));
    env.store.write(&batch)
}

/// A peer's fault ends its session; a fault of ours fails the group.
fn end_session(open: &mut Open, result: Result<(), SessionError>) -> Result<(), StoreError> {
    let error = match result {
        Ok(()) => return Ok(()),
        Err(SessionError::Local(e)) => return Err(e),
        Err(error) => error,
    };
    tracing::warn!(peer = %open.session.peer(), %error, "a session ended");
    open.refusal = Session::refusal(&error);
    open.end = Some(SessionEnd::Failed(error.to_string()));
    open.closed = true;
    Ok(())
}

fn pull(
    open: &mut Open,
    env: &mut Env<'_>,
    id: SessionId,
    frames: &mut Vec<(SessionId, u8, Vec<u8>)>,
) -> Result<(), StoreError> {
    loop {
        let in_flight = &open.in_flight;
        let free = |lane: u8| in_flight.get(&lane).copied().unwrap_or(0) < LANE_FRAMES_MAX;
        match open.session.next_frame(env, &free) {
            Ok(Some((lane, bytes))) => {
                *open.in_flight.entry(lane).or_default() += 1;
                frames.push((id, lane, bytes));
            }
            Ok(None) => return Ok(()),
            Err(e) => return end_session(open, Err(e)),
        }
    }
}
