//! The desk's loop: groups of inputs, one transaction each, then what the sessions have to say.
//!
//! It does not: wait for a peer.
//!
//! Invariants: see the parent module. Projection runs only when no input waits, and sealing only when
//! a link is up, the time has come, or the desk stops.

use super::{Input, Outgoing, Port, SessionEnd, SessionId, SessionState};
use crate::replica::{META_LAST_ERROR, Replica};
use sampan_core::engine::{SealLimits, meta};
use sampan_core::id::DeviceId;
use sampan_core::register::Heartbeat;
use sampan_core::store::{Batch, Store, StoreError};
use sampan_core::sync::{Env, Event, Role, Session, SessionError};
use sampan_core::time::Millis;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

/// Inputs worked through in one transaction: bounds how long an answer waits for its neighbours.
const GROUP_INPUTS_MAX: usize = 256;
/// Frames handed to a link's lane before the link says that they went out.
const LANE_FRAMES_MAX: u8 = 2;
/// How often the desk looks whether another process wrote, or edits wait too long.
const TICK: Duration = Duration::from_millis(500);
/// A device says that it lives at least this often, in milliseconds.
const HEARTBEAT_EVERY_MS: u64 = 3_600_000;
/// When this device last wrote a sign of life, and what it said.
const META_HEARTBEAT: &str = "heartbeat_at";

struct Open {
    session: Session,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    state: watch::Sender<SessionState>,
    in_flight: BTreeMap<u8, u8>,
    end: Option<SessionEnd>,
    closed: bool,
}

pub(super) struct Work {
    replica: Replica,
    inputs: mpsc::Receiver<Input>,
    connected: watch::Sender<Vec<DeviceId>>,
    runtime: Handle,
    sessions: BTreeMap<SessionId, Open>,
    next: u64,
    seen_news: u64,
    look_for_pending: bool,
    projecting: bool,
    stop: bool,
}

impl Work {
    pub(super) fn new(
        replica: Replica,
        inputs: mpsc::Receiver<Input>,
        connected: watch::Sender<Vec<DeviceId>>,
        runtime: Handle,
    ) -> Self {
        Self {
            replica,
            inputs,
            connected,
            runtime,
            sessions: BTreeMap::new(),
            next: 0,
            seen_news: 0,
            look_for_pending: true,
            projecting: true,
            stop: false,
        }
    }

    pub(super) fn run(mut self) -> Replica {
        self.seen_news = self.replica.engine.news_end();
        while !self.stop {
            let inputs = self.gather();
            let quiet = inputs.is_empty();
            self.group(inputs);
            if quiet {
                self.idle();
            }
        }
        if let Err(e) = self.replica.seal() {
            tracing::error!(error = %e, "sealing at the end failed");
        }
        self.replica
    }

    /// The inputs of the next group: at once when there are any, else what comes within a tick.
    fn gather(&mut self) -> Vec<Input> {
        let mut out = Vec::new();
        while out.len() < GROUP_INPUTS_MAX {
            match self.inputs.try_recv() {
                Ok(input) => out.push(input),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.stop = true;
                    break;
                }
            }
        }
        if out.is_empty() && !self.stop && !self.projecting {
            let inputs = &mut self.inputs;
            let first = self.runtime.block_on(async { tokio::time::timeout(TICK, inputs.recv()).await });
            match first {
                Ok(Some(input)) => out.push(input),
                Ok(None) => self.stop = true,
                Err(_) => self.look_for_pending = true,
            }
        }
        out
    }

    /// What is done when nobody waits: a slice of projection, a checkpoint.
    fn idle(&mut self) {
        match self.replica.project_step() {
            Ok(more) => {
                if self.projecting && !more {
                    // The end of a stretch of work is when the log is cut back, never inside an edit.
                    if let Err(e) = self.replica.store.checkpoint() {
                        tracing::warn!(error = %e, "a checkpoint failed");
                    }
                }
                self.projecting = more;
            }
            Err(e) => {
                self.projecting = false;
                tracing::error!(error = %e, "projecting failed");
            }
        }
    }

    fn group(&mut self, inputs: Vec<Input>) {
        let mut session_inputs = Vec::new();
        for input in inputs {
            match input {
                Input::Call(call) => {
                    self.transaction(std::mem::take(&mut session_inputs));
                    call(&mut self.replica);
                    self.look_for_pending = true;
                }
                Input::Nudge => self.look_for_pending = true,
                Input::Stop => self.stop = true,
                Input::Open { .. }
                | Input::Frame { .. }
                | Input::Sent { .. }
                | Input::Closed { .. }
                | Input::Verify { .. } => {
                    session_inputs.push(input);
                }
            }
        }
        if !session_inputs.is_empty() || self.look_for_pending {
            self.transaction(session_inputs);
        }
    }

    /// One transaction: the inputs, sealing, news; and only then what leaves.
    fn transaction(&mut self, inputs: Vec<Input>) {
        let mut touched: BTreeSet<SessionId> = BTreeSet::new();
        let mut replies: Vec<(oneshot::Sender<Port>, Port)> = Vec::new();
        let mut frames: Vec<(SessionId, u8, Vec<u8>)> = Vec::new();
        let label = self.replica.label();
        let limits = SealLimits { entries: self.replica.config().seal_entries_max, ..SealLimits::default() };
        let seal_after = self.replica.config().seal_after_s.saturating_mul(1_000);
        let Replica { store, engine, rng, .. } = &mut self.replica;
        let (sessions, next) = (&mut self.sessions, &mut self.next);
        let look = std::mem::take(&mut self.look_for_pending);
        let seen_news = self.seen_news;
        let result = store.group(|s| -> Result<bool, StoreError> {
            let now = label?;
            if s.changed_elsewhere()? {
                engine.catch_up(s)?;
            }
            for input in inputs {
                let mut env = Env { store: s, engine, rng, now };
                match input {
                    Input::Open { role, peer, fallback, reply } => {
                        // What was edited offline goes out with the greeting, not a round trip after it.
                        if role == Role::Lower {
                            env.engine.seal(env.store, env.rng, limits, now)?;
                        }
                        *next += 1;
                        let id = SessionId(*next);
                        let (open, port) = open_session(&mut env, id, role, peer, fallback)?;
                        sessions.insert(id, open);
                        touched.insert(id);
                        replies.push((reply, port));
                    }
                    Input::Frame { id, lane, bytes } => {
                        if let Some(open) = sessions.get_mut(&id).filter(|o| !o.closed) {
                            touched.insert(id);
                            take_frame(open, &mut env, lane, &bytes)?;
                        }
                    }
                    Input::Sent { id, lane } => {
                        if let Some(open) = sessions.get_mut(&id) {
                            touched.insert(id);
                            let n = open.in_flight.entry(lane).or_default();
                            *n = n.saturating_sub(1);
                        }
                    }
                    Input::Closed { id } => {
                        if let Some(open) = sessions.remove(&id) {
                            note_closed(&mut env, &open)?;
                        }
                    }
                    Input::Verify { id } => {
                        if let Some(open) = sessions.get_mut(&id) {
                            touched.insert(id);
                            open.session.ask_to_verify();
                        }
                    }
                    Input::Call(_) | Input::Nudge | Input::Stop => {}
                }
            }
            let linked = sessions.values().any(|o| !o.closed);
            let mut unsealed = false;
            if look || linked {
                let pending = s.pending()?;
                let due = pending.iter().any(|p| now.0.saturating_sub(p.entry.entry.time.0) >= seal_after);
                if !pending.is_empty() && (linked || due || pending.len() >= limits.entries) {
                    engine.seal(s, rng, limits, now)?;
                    unsealed = !s.pending()?.is_empty();
                } else {
                    unsealed = !pending.is_empty();
                }
            }
            if engine.news_end() != seen_news {
                for (id, open) in sessions.iter_mut().filter(|(_, o)| !o.closed) {
                    let mut env = Env { store: s, engine, rng, now };
                    poke(open, &mut env)?;
                    touched.insert(*id);
                }
            }
            for id in &touched {
                let Some(open) = sessions.get_mut(id).filter(|o| !o.closed) else { continue };
                let mut env = Env { store: s, engine, rng, now };
                pull(open, &mut env, *id, &mut frames)?;
            }
            Ok(unsealed)
        });
        match result {
            Ok(unsealed) => {
                if self.replica.engine.news_end() != self.seen_news {
                    self.seen_news = self.replica.engine.news_end();
                    self.projecting = true;
                }
                for (reply, port) in replies {
                    let _ = reply.send(port);
                }
                for (id, lane, bytes) in frames {
                    if let Some(open) = self.sessions.get(&id) {
                        let _ = open.outgoing.send(Outgoing::Frame(lane, bytes));
                    }
                }
                self.report(&touched, unsealed);
            }
            Err(e) => self.fail(&e),
        }
    }

    /// Tells links how their sessions stand.
    fn report(&mut self, touched: &BTreeSet<SessionId>, unsealed: bool) {
        for id in touched {
            let Some(open) = self.sessions.get_mut(id) else { continue };
            let events: Vec<Event> = open.session.events().collect();
            for event in events {
                match event {
                    Event::Refused { .. } => open.end = Some(SessionEnd::Refused(event)),
                    Event::Redirect(to) => open.end = Some(SessionEnd::Redirect(to)),
                    Event::NotVerified => open.end = Some(SessionEnd::NotVerified),
                    Event::TwinFound => tracing::warn!("another copy of this disk wrote under this device's name"),
                    Event::Verified | Event::Announced(_) | Event::Stored { .. } | Event::Acknowledged => {}
                }
            }
            let state = SessionState {
                verified_at: open.session.verified_at(),
                settled: open.session.is_quiet() && open.in_flight.values().all(|n| *n == 0) && !unsealed,
                waits_for: waits_for(open, unsealed),
                stats: open.session.stats(),
                progress: open.session.progress(),
                end: open.end.clone(),
            };
            if (open.session.is_closing() || open.closed) && open.end.is_some() {
                open.closed = true;
                let _ = open.outgoing.send(Outgoing::Close(crate::net::code::DONE, String::new()));
            }
            open.state.send_if_modified(|old| {
                let differs = *old != state;
                *old = state;
                differs
            });
        }
        let mut now: Vec<DeviceId> = self.sessions.values().filter(|o| !o.closed).map(|o| o.session.peer()).collect();
        now.sort_unstable();
        now.dedup();
        self.connected.send_if_modified(|old| {
            let differs = *old != now;
            *old = now;
            differs
        });
    }

    /// The transaction did not land: nothing of it may be believed.
    fn fail(&mut self, error: &StoreError) {
        tracing::error!(%error, "a group of inputs could not be stored");
        for open in self.sessions.values_mut() {
            open.closed = true;
            let text = error.to_string();
            open.state.send_modify(|s| s.end = Some(SessionEnd::Failed(text)));
            let _ = open.outgoing.send(Outgoing::Close(crate::net::code::STOPPING, "the store failed".into()));
        }
        let Replica { store, engine, .. } = &mut self.replica;
        if let Err(e) = engine.reload(store) {
            tracing::error!(error = %e, "the store cannot be read either");
        }
        self.seen_news = self.replica.engine.news_end();
    }
}

fn open_session(
    env: &mut Env<'_>,
    id: SessionId,
    role: Role,
    peer: DeviceId,
    fallback: bool,
) -> Result<(Open, Port), StoreError> {
    let (outgoing, receiver) = mpsc::unbounded_channel();
    let (state_in, state) = watch::channel(SessionState::default());
    let mut end = None;
    let session = match role {
        Role::Upper => {
            note_seen(env, peer)?;
            Session::upper(peer)
        }
        Role::Lower => {
            heartbeat(env)?;
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
    let open = Open { session, outgoing, state: state_in, in_flight: BTreeMap::new(), end, closed: false };
    Ok((open, Port { id, outgoing: receiver, state }))
}

/// What a session waits for, in words for a log.
fn waits_for(open: &Open, unsealed: bool) -> String {
    let mut out = open.session.waits_for();
    if open.in_flight.values().any(|n| *n > 0) {
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

fn note_closed(env: &mut Env<'_>, open: &Open) -> Result<(), StoreError> {
    match open.session.role() {
        Role::Upper => note_seen(env, open.session.peer()),
        Role::Lower => Ok(()),
    }
}

/// Writes a sign of life when the last one is old or says something else.
fn heartbeat(env: &mut Env<'_>) -> Result<(), StoreError> {
    let Some(unit) = env.engine.charter().units_of(&env.engine.device()).first().copied() else { return Ok(()) };
    let last = env.store.meta(META_HEARTBEAT)?.and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    if env.now.0.saturating_sub(last) < HEARTBEAT_EVERY_MS {
        return Ok(());
    }
    let read = |name: &str| -> Result<u64, StoreError> {
        Ok(env.store.meta(name)?.and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes))
    };
    let offset = env.store.meta(meta::CLOCK_OFFSET)?.and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes);
    let beat = Heartbeat {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        unsent_changes: env.store.pending()?.len() as u64,
        verified_at: Millis(read(meta::VERIFIED_AT)?),
        last_error: env.store.meta(META_LAST_ERROR)?.and_then(|b| String::from_utf8(b).ok()).unwrap_or_default(),
        clock_offset: offset,
    };
    env.engine.heartbeat(env.store, unit, &beat, env.now)?;
    let mut batch = Batch::at(env.now);
    batch.meta.insert(META_HEARTBEAT.into(), Some(env.now.0.to_le_bytes().to_vec()));
    env.store.write(&batch)
}

fn take_frame(open: &mut Open, env: &mut Env<'_>, lane: u8, bytes: &[u8]) -> Result<(), StoreError> {
    match open.session.receive(env, lane, bytes) {
        Ok(()) => Ok(()),
        Err(e) => end_session(open, e),
    }
}

fn poke(open: &mut Open, env: &mut Env<'_>) -> Result<(), StoreError> {
    match open.session.poke(env) {
        Ok(()) => Ok(()),
        Err(e) => end_session(open, e),
    }
}

/// A peer's fault ends its session; a fault of ours fails the group.
fn end_session(open: &mut Open, error: SessionError) -> Result<(), StoreError> {
    if let SessionError::Local(e) = error {
        return Err(e);
    }
    tracing::warn!(peer = %open.session.peer(), %error, "a session ended");
    if let Some(refusal) = Session::refusal(&error) {
        let _ = open.outgoing.send(Outgoing::Frame(0, refusal));
    }
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
            Err(e) => return end_session(open, e),
        }
    }
}
