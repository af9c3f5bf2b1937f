//! The desk's loop: groups of inputs, one transaction each, then what the sessions have to say.
//!
//! It does not: wait for a peer, or know what a session says (`table` does).
//!
//! Invariants: see the parent module. Projection runs only when no input may be taken.

use super::mail::{MailIn, mail};
use super::table::{Table, TableInput, TableOutput};
use super::turns::{Group, Turns, Waiting};
use super::{Call, Input, Outgoing, Port, SessionId};
use crate::bundle::waiting;
use crate::replica::Replica;
use sampan_core::id::DeviceId;
use sampan_core::limits::LINK_INPUT_BYTES_MAX;
use sampan_core::sync::Role;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// How often the desk looks whether another process wrote, or edits wait too long.
const TICK: Duration = Duration::from_millis(500);
/// Quiet ticks between two tries to clean the disk of what was erased: each copies the whole database.
const CLEAN_WAIT_TICKS: u32 = 600;

/// Quiet ticks between two looks for files that nothing names: ten minutes.
const COLLECT_WAIT_TICKS: u32 = 1_200;

/// Steps of merging when the desk closes: what one sync brings, and some of what waited.
const MERGE_STEPS_AT_END: usize = 8;

/// Groups without a rest after which the size of the write-ahead log is looked at.
const LOG_LOOK_GROUPS: u32 = 64;
/// Bytes of the write-ahead log beyond which a desk that never rests cuts it back: a second of an old disk.
const LOG_BYTES_BUSY_MAX: u64 = 64 << 20;

/// How often a desk that never rests says who is connected: of a whole city that is half a megabyte.
const CONNECTED_EVERY: Duration = Duration::from_millis(100);

/// How often the room on the disk is looked at, and who was found equal since they said otherwise.
const ROOM_EVERY: Duration = Duration::from_secs(3_600);

pub(super) struct Work {
    replica: Replica,
    table: Table,
    inputs: mpsc::Receiver<Input>,
    connected: watch::Sender<Vec<DeviceId>>,
    runtime: Handle,
    links: BTreeMap<SessionId, MailIn>,
    turns: Turns,
    calls: Vec<Call>,
    /// Who asked for a session, until it is open.
    opening: BTreeMap<SessionId, (oneshot::Sender<Port>, Port)>,
    next: u64,
    look_for_pending: bool,
    projecting: bool,
    /// Commits came that small packs may be merged of.
    merging: bool,
    /// Steps of merging since the log of the database was cut back.
    merged: bool,
    /// Commits came that a waiting bundle may go on from.
    look_for_waiting: bool,
    /// Ticks until cleaning is tried again.
    clean_wait: u32,
    /// Ticks until unnamed files are looked for again.
    collect_wait: u32,
    stop: bool,
    /// Since when what is said of who is connected may be wrong.
    connected_since: Option<Instant>,
}

impl Work {
    pub(super) fn new(
        replica: Replica,
        inputs: mpsc::Receiver<Input>,
        connected: watch::Sender<Vec<DeviceId>>,
        runtime: Handle,
    ) -> Self {
        let table = Table::new(&replica);
        Self {
            replica,
            table,
            inputs,
            connected,
            runtime,
            links: BTreeMap::new(),
            turns: Turns::default(),
            calls: Vec::new(),
            opening: BTreeMap::new(),
            next: 0,
            look_for_pending: true,
            projecting: true,
            merging: true,
            merged: false,
            look_for_waiting: true,
            clean_wait: 0,
            collect_wait: 0,
            stop: false,
            connected_since: None,
        }
    }

    pub(super) fn run(mut self) -> Replica {
        let mut busy = 0;
        let mut room_told: Option<Instant> = None;
        while !self.stop {
            if room_told.is_none_or(|at| at.elapsed() >= ROOM_EVERY) {
                room_told = Some(Instant::now());
                if let Err(e) = self.replica.tell_room() {
                    tracing::warn!(error = %e, "the room on the disk could not be told");
                }
                if let Err(e) = self.replica.tell_settled() {
                    tracing::warn!(error = %e, "who was found equal could not be told");
                }
            }
            let group = self.gather();
            let quiet = group.inputs.is_empty() && self.calls.is_empty();
            self.group(group);
            if quiet {
                self.idle();
                busy = 0;
            } else {
                busy += 1;
                self.cut_back_the_log(busy);
            }
        }
        self.take_waiting();
        if let Err(e) = self.replica.seal() {
            tracing::error!(error = %e, "sealing at the end failed");
        }
        self.clean();
        // One that runs for a moment at a time never idles for long.
        for _ in 0..MERGE_STEPS_AT_END {
            if !self.merge() {
                break;
            }
        }
        self.replica
    }

    /// A desk that never rests would let the write-ahead log grow without end; between two groups nobody's edit waits.
    fn cut_back_the_log(&mut self, busy: u32) {
        if busy.is_multiple_of(LOG_LOOK_GROUPS)
            && self.replica.store.log_bytes() > LOG_BYTES_BUSY_MAX
            && let Err(e) = self.replica.store.checkpoint()
        {
            tracing::warn!(error = %e, "a checkpoint failed");
        }
    }

    /// The inputs of the next group: at once when there are any that may go, else what comes within a tick.
    fn gather(&mut self) -> Group {
        loop {
            match self.inputs.try_recv() {
                Ok(input) => self.sort(input),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.stop = true;
                    break;
                }
            }
        }
        let now = Instant::now();
        let group = self.turns.pick(now);
        let idle = group.inputs.is_empty() && self.calls.is_empty() && !self.look_for_pending;
        if group.inputs.is_empty() || self.connected_since.is_some_and(|at| now - at >= CONNECTED_EVERY) {
            self.tell_connected();
        }
        if !idle || self.stop || self.projecting || self.merging {
            return group;
        }
        let wait = self.turns.wakes().map_or(TICK, |at| at.saturating_duration_since(now).min(TICK));
        let inputs = &mut self.inputs;
        let first = self.runtime.block_on(async { tokio::time::timeout(wait, inputs.recv()).await });
        match first {
            Ok(Some(input)) => self.sort(input),
            Ok(None) => self.stop = true,
            Err(_) => self.look_for_pending |= wait == TICK,
        }
        self.turns.pick(Instant::now())
    }

    /// Puts an input where it waits for its turn.
    fn sort(&mut self, input: Input) {
        match input {
            Input::Call(call) => self.calls.push(call),
            Input::Nudge => self.look_for_pending = true,
            Input::Stop => self.stop = true,
            Input::Open { role, peer, fallback, reply } => {
                let id = SessionId(self.next);
                self.next += 1;
                let port = self.port(id);
                self.opening.insert(id, (reply, port));
                let first = Waiting::Table(TableInput::Open { id, role, peer, fallback }, None);
                self.turns.open(id, peer, role == Role::Upper, first);
            }
            Input::Frame { id, lane, bytes, ahead, room } => {
                self.turns.put(id, Waiting::Table(TableInput::Frame { id, lane, bytes, ahead }, Some(room)));
            }
            Input::Link(id, input) => self.turns.put(id, Waiting::Table(input, None)),
            Input::Settle(id, reply) => self.turns.put(id, Waiting::Settle(reply)),
        }
    }

    /// What is done when nobody waits: a slice of projection, a checkpoint.
    fn idle(&mut self) {
        self.take_waiting();
        match self.replica.project_step() {
            Ok(more) => {
                // What is named now may have to be asked for, or is asked for already.
                self.look_for_pending |= (self.projecting && !more) || (more && self.table.files_due(&self.replica));
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
        if !self.projecting {
            match self.replica.publish_figures(false) {
                Ok(said) => self.look_for_pending |= said,
                Err(e) => tracing::error!(error = %e, "the figures could not be said"),
            }
            match self.collect_wait.checked_sub(1) {
                Some(less) => self.collect_wait = less,
                None => self.collect(),
            }
            match self.clean_wait.checked_sub(1) {
                Some(less) => self.clean_wait = less,
                None => self.clean(),
            }
            if self.merging {
                self.merging = self.merge();
                if !self.merging
                    && std::mem::take(&mut self.merged)
                    && let Err(e) = self.replica.store.checkpoint()
                {
                    tracing::warn!(error = %e, "a checkpoint failed");
                }
            }
        }
    }

    /// One step of merging small packs; whether there is more to do.
    fn merge(&mut self) -> bool {
        match self.replica.store.merge_step() {
            Ok(step) => {
                if step.merged > 0 {
                    self.merged = true;
                    tracing::debug!(packs = step.merged, into = step.made, "small packs were merged");
                }
                step.more
            }
            // What is wrong with the store is told by whoever needs it; small packs serve as well.
            Err(e) => {
                tracing::warn!(error = %e, "small packs could not be merged");
                false
            }
        }
    }

    /// Takes in bundles that came before what they build on, where that is here now.
    fn take_waiting(&mut self) {
        if !std::mem::take(&mut self.look_for_waiting) {
            return;
        }
        match waiting::take_ready(&mut self.replica, None) {
            Ok(ready) => {
                let any = !ready.applied.is_empty();
                self.projecting |= any;
                self.look_for_pending |= any;
            }
            Err(e) => tracing::error!(error = %e, "a bundle that waits could not be taken in"),
        }
    }

    /// Removes files that nothing has named for long.
    fn collect(&mut self) {
        self.collect_wait = COLLECT_WAIT_TICKS;
        match self.replica.collect_files() {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "files that no record names any more were removed"),
            Err(e) => tracing::error!(error = %e, "files that no record names could not be removed"),
        }
    }

    /// Cleans the disk of what was erased meanwhile.
    fn clean(&mut self) {
        match self.replica.clean_erased() {
            Ok(true) => {}
            // Another process reads, or an old copy lies in the folder: again after a while.
            Ok(false) => self.clean_wait = CLEAN_WAIT_TICKS,
            Err(e) => tracing::error!(error = %e, "cleaning the disk of what was erased failed"),
        }
    }

    fn group(&mut self, mut group: Group) {
        let weights = group.take_weights();
        let (mut inputs, mut rooms, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for waiting in group.inputs {
            match waiting {
                Waiting::Table(input, room) => {
                    inputs.push(input);
                    rooms.extend(room);
                }
                Waiting::Settle(reply) => settled.push(reply),
            }
        }
        if !inputs.is_empty() || self.look_for_pending {
            let began = Instant::now();
            self.transaction(inputs);
            let now = Instant::now();
            self.turns.charge(&weights, now.saturating_duration_since(began), now);
        }
        drop(rooms);
        for reply in settled {
            // A link that is gone waits for nothing.
            let _ = reply.send(());
        }
        for call in std::mem::take(&mut self.calls) {
            call(&mut self.replica);
            self.look_for_pending = true;
        }
    }

    fn port(&mut self, id: SessionId) -> Port {
        let (link, mail) = mail();
        self.links.insert(id, link);
        Port { id, mail, room: Arc::new(Semaphore::new(LINK_INPUT_BYTES_MAX)) }
    }

    /// One transaction of the table; links hear of it only when it is durable.
    fn transaction(&mut self, inputs: Vec<TableInput>) {
        let opened: Vec<SessionId> =
            inputs.iter().filter_map(|i| if let TableInput::Open { id, .. } = i { Some(*id) } else { None }).collect();
        let closed: Vec<SessionId> =
            inputs.iter().filter_map(|i| if let TableInput::Closed { id } = i { Some(*id) } else { None }).collect();
        let look = std::mem::take(&mut self.look_for_pending);
        let (outputs, stored) = self.table.transact(&mut self.replica, inputs, look);
        self.projecting |= stored;
        self.merging |= stored;
        self.look_for_waiting |= stored;
        for (reply, port) in opened.iter().filter_map(|id| self.opening.remove(id)) {
            // A link that is gone already says so itself.
            let _ = reply.send(port);
        }
        let mut others = !opened.is_empty() || !closed.is_empty();
        for output in outputs {
            others |= matches!(output, TableOutput::Close { .. });
            match output {
                TableOutput::Frame { id, lane, bytes } => self.tell(id, Outgoing::Frame(lane, bytes)),
                TableOutput::Close { id, code, reason } => self.tell(id, Outgoing::Close(code, reason)),
                TableOutput::State { id, state } => {
                    if let Some(link) = self.links.get(&id) {
                        link.state(*state);
                    }
                }
            }
        }
        for id in closed {
            self.links.remove(&id);
            self.turns.close(id);
        }
        if others {
            self.connected_since.get_or_insert_with(Instant::now);
        }
    }

    /// Says who is connected, if that may have changed.
    fn tell_connected(&mut self) {
        if self.connected_since.take().is_none() {
            return;
        }
        let now = self.table.connected();
        self.connected.send_if_modified(|old| {
            let differs = *old != now;
            *old = now;
            differs
        });
    }

    fn tell(&self, id: SessionId, what: Outgoing) {
        if let Some(link) = self.links.get(&id) {
            // A link that is gone hands in `Closed` by itself.
            link.put(what);
        }
    }
}
