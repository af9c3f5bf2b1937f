//! The world: machines, paths and people on virtual time, one event after the other.
//!
//! It does not: choose faults (`chaos`), edits (`people`) or verdicts (`court`); it keeps time and
//! carries what the real desk tables say between machines.
//!
//! Invariants: everything follows from the seed and the options; a fault of the world's own code is a
//! panic, a broken promise of the engine is a line in the ledger.

use super::court::Court;
use super::dice::Dice;
use super::fault::{FaultKind, Faults};
use super::hostile::Hostile;
use super::ledger::Ledger;
use super::machine::{Birth, Machine, Process};
use super::net::{DIAL_MS, IDLE_MS, Link, Passage, Path};
use super::people::People;
use super::shape::{Habit, NodeSpec, Shape};
use super::trace::Trace;
use sampan_core::charter::{Op, Ticket};
use sampan_core::engine::InviteRequest;
use sampan_core::entropy::random;
use sampan_core::id::{OrgId, UnitId};
use sampan_core::log::device_id;
use sampan_core::sync::{Event, Role};
use sampan_core::testing::{SeededRng, test_key};
use sampan_core::wire::frame::{Frame, RefuseCode};
use sampan_node::desk::{SessionEnd, SessionId, SessionState, TableInput, TableOutput};
use sampan_node::link::pump::is_done;
use sampan_node::link::{ASK_AGAIN_AFTER, Hop, Patience, route};
use sampan_node::replica::Replica;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The schema of simulated worlds.
pub const SCHEMA: &str = include_str!("schema.toml");
/// How long a link to a farther relay is kept before the nearer one is tried again.
const DETOUR_MS: u64 = 300_000;
/// One dialling of all addresses takes at most this.
const DIAL_ALL_MS: u64 = 20_000;
/// A world that has handled this many events has run away.
const EVENTS_MAX: u64 = 4_000_000;
/// After the faults stop everything must be in step within this virtual time.
const HEALED_WITHIN_MS: u64 = 12 * 3_600_000;

/// What happens at some time.
pub(super) enum Happening {
    /// The machine's desk has a transaction to do.
    Work(usize),
    /// Edits may have waited long enough to be sealed.
    Look(usize),
    /// The machine dials.
    Dial(usize),
    /// A frame arrives.
    Deliver { link: usize, end: usize, lane: u8, bytes: Vec<u8> },
    /// The transport took a frame.
    Taken { link: usize, end: usize, lane: u8 },
    /// An end gives a link up.
    Lost { link: usize, end: usize },
    /// A lower end that is not in step asks again.
    Ask { link: usize },
    /// A link to a farther relay has lasted long enough.
    DetourOver { link: usize },
    /// The projector has time.
    Project(usize),
    /// Somebody edits something.
    Edit,
    /// Something breaks.
    Break,
    /// A machine that was off starts.
    Start(usize),
    /// A new node joins.
    Join(usize),
    /// The disk of a machine has room and works again.
    DiskWell(usize),
    /// An old backup is put in the place of a disk.
    Restore(usize, Box<crate::disk::Image>),
}

/// What may be chosen about a run beside its seed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Kinds of faults that are taken out.
    pub without: Vec<FaultKind>,
    /// Only these kinds, whatever the seed says.
    pub only: Option<Vec<FaultKind>>,
    /// At most this many nodes.
    pub nodes_max: Option<usize>,
    /// At most this many edits.
    pub edits_max: Option<u64>,
    /// At most this many faults.
    pub breaks_max: Option<u64>,
    /// Keep the text of the trace.
    pub keep_trace: bool,
    /// Print the trace as it grows.
    pub echo: bool,
}

/// Counts of a run.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Nodes, clones included.
    pub nodes: usize,
    /// Edits that were saved.
    pub edits: u64,
    /// Links that opened.
    pub links: u64,
    /// Frames delivered.
    pub frames: u64,
    /// Bytes of frames sent.
    pub bytes: u64,
    /// Starts of processes.
    pub starts: u64,
    /// Events handled.
    pub events: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Commits in all.
    pub commits: usize,
    /// Links that opened after the faults had stopped.
    pub links_after: u64,
}

/// A world.
pub struct World {
    /// The seed.
    pub seed: u64,
    /// What may be chosen beside it.
    pub options: Options,
    /// Its shape.
    pub shape: Shape,
    /// Milliseconds since its beginning.
    pub now: u64,
    /// The faults.
    pub faults: Faults,
    /// The machines; those after the shape's nodes are clones.
    pub machines: Vec<Machine>,
    /// Which node of the shape each machine is.
    pub spec_of: Vec<usize>,
    /// Machines that promise nothing any more: their key was revoked, their disk rotted, they are hostile.
    pub exempt: Vec<bool>,
    /// The ids of the shape's units.
    pub unit_ids: Vec<UnitId>,
    /// The organisation.
    pub org: OrgId,
    /// What was held and promised.
    pub ledger: Ledger,
    /// Counts.
    pub stats: Stats,
    pub(super) links: Vec<Link>,
    pub(super) people: People,
    pub(super) hostile: Hostile,
    pub(super) court: Court,
    pub(super) trace: Trace,
    pub(super) chaos: Dice,
    pub(super) breaks: u64,
    paths: BTreeMap<(usize, usize), Path>,
    clock: Arc<AtomicU64>,
    queue: BTreeMap<(u64, u64), Happening>,
    events: u64,
    under_way: u64,
    tickets: BTreeMap<usize, Vec<Ticket>>,
    pub(super) healed: bool,
    healed_at: u64,
    rng: Dice,
}

impl World {
    /// The world of a seed, before anything happened.
    #[must_use]
    pub fn new(seed: u64, options: Options) -> Self {
        let mut shape = Shape::of(seed, options.nodes_max.unwrap_or(40));
        if let Some(only) = &options.only {
            shape.faults = only.iter().copied().collect();
        }
        for kind in &options.without {
            shape.faults.remove(kind);
        }
        let clock = Arc::new(AtomicU64::new(0));
        let mut machines = Vec::new();
        for (i, spec) in shape.nodes.iter().enumerate() {
            let key = test_key(seed.wrapping_mul(1_000).wrapping_add(i as u64 + 1));
            machines.push(Machine::new(seed, i, &spec.name, key, clock.clone()));
        }
        let root = test_key(seed.wrapping_mul(1_000));
        let count = machines.len();
        Self {
            seed,
            trace: Trace::new(options.keep_trace, options.echo),
            faults: Faults::new(shape.faults.clone()),
            people: People::new(seed, shape.edits.min(options.edits_max.unwrap_or(u64::MAX))),
            hostile: Hostile::new(seed),
            court: Court::new(OrgId(device_id(&root).0)),
            chaos: Dice::of(seed, "chaos"),
            breaks: 0,
            rng: Dice::of(seed, "world"),
            options,
            shape,
            now: 0,
            machines,
            spec_of: (0..count).collect(),
            exempt: vec![false; count],
            unit_ids: Vec::new(),
            org: OrgId(device_id(&root).0),
            ledger: Ledger::default(),
            stats: Stats::default(),
            links: Vec::new(),
            paths: BTreeMap::new(),
            clock,
            queue: BTreeMap::new(),
            events: 0,
            under_way: 0,
            tickets: BTreeMap::new(),
            healed: true,
            healed_at: 0,
        }
    }

    /// Runs it whole: founding, work under faults, healing. What was broken is in the ledger.
    pub fn run(&mut self) {
        self.found();
        if self.ledger.broken.is_empty() {
            self.live();
        }
        if self.ledger.broken.is_empty() {
            self.heal();
        }
        self.stats.nodes = self.machines.len();
        self.stats.events = self.events;
        self.stats.virtual_ms = self.now;
        self.stats.commits = self.ledger.commits.len();
    }

    /// The trace's hash, its length, and its text if it was kept.
    pub fn end(self) -> (String, u64, Vec<String>) {
        self.trace.end()
    }

    // ------------------------------------------------------------ time

    pub(super) fn at(&mut self, after: u64, what: Happening) {
        self.events += 1;
        self.queue.insert((self.now + after, self.events), what);
    }

    pub(super) fn say(&mut self, text: &str) {
        self.trace.line(self.now, text);
    }

    fn step(&mut self) -> bool {
        let Some(((time, _), what)) = self.queue.pop_first() else { return false };
        self.now = self.now.max(time);
        self.clock.store(self.now, Ordering::Relaxed);
        self.handle(what);
        assert!(self.events < EVENTS_MAX, "the world of seed {} ran away", self.seed);
        true
    }

    /// Goes on until a time.
    fn until(&mut self, time: u64) {
        while self.ledger.broken.is_empty() && self.queue.first_key_value().is_some_and(|((t, _), _)| *t <= time) {
            self.step();
        }
        self.now = self.now.max(time);
        self.clock.store(self.now, Ordering::Relaxed);
    }

    /// Goes on until every running machine is in step with its relay; false when that takes too long.
    fn settle(&mut self, within: u64) -> bool {
        let deadline = self.now + within;
        let mut n = 0_u64;
        while self.ledger.broken.is_empty() {
            n += 1;
            if n.is_multiple_of(16) && self.in_step().is_none() {
                return true;
            }
            if self.queue.first_key_value().is_none_or(|((t, _), _)| *t > deadline) || !self.step() {
                return self.in_step().is_none();
            }
        }
        true
    }

    /// The first reason why not everything is in step, `None` when it is.
    pub(super) fn in_step(&self) -> Option<String> {
        if self.under_way > 0 {
            return Some(format!("{} frames are under way", self.under_way));
        }
        for (i, m) in self.machines.iter().enumerate() {
            let Some(p) = &m.process else {
                if self.exempt[i] || !self.has_joined(i) {
                    continue;
                }
                return Some(format!("{} does not run", m.name));
            };
            if !p.inbox.is_empty() || p.look {
                return Some(format!("{} has something to do", m.name));
            }
            if self.exempt[i] {
                continue;
            }
            for (id, link) in &p.links {
                let peer = self.links[*link].nodes;
                if self.exempt[peer[0]] || self.exempt[peer[1]] {
                    continue;
                }
                let done = p.states.get(id).is_some_and(|s| s.verified_at.is_some() && s.settled && s.end.is_none());
                if !done {
                    let waits = p.states.get(id).map(|s| s.waits_for.clone()).unwrap_or_default();
                    return Some(format!("{}: the link {link} waits for {waits}", m.name));
                }
            }
            if i != 0 && self.lower_link(i).is_none() {
                return Some(format!("{} has no link upward", m.name));
            }
        }
        None
    }

    fn has_joined(&self, machine: usize) -> bool {
        self.machines[machine].starts > 0
    }

    /// The open link that a machine dialled.
    pub(super) fn lower_link(&self, machine: usize) -> Option<usize> {
        let p = self.machines[machine].process.as_ref()?;
        p.links.values().copied().find(|l| self.links[*l].nodes[0] == machine && self.links[*l].open[0])
    }

    fn handle(&mut self, what: Happening) {
        match what {
            Happening::Work(n) => self.work(n),
            Happening::Look(n) => {
                if let Some(p) = self.machines[n].process.as_mut() {
                    p.look_planned = false;
                }
                self.wake(n);
            }
            Happening::Dial(n) => self.dial(n),
            Happening::Deliver { link, end, lane, bytes } => {
                self.under_way -= 1;
                self.stats.frames += 1;
                let node = self.links[link].nodes[end];
                if self.links[link].open[end] {
                    let id = self.links[link].sessions[end];
                    self.hand_in(node, TableInput::Frame { id, lane, bytes });
                }
            }
            Happening::Taken { link, end, lane } => {
                let (node, id) = (self.links[link].nodes[end], self.links[link].sessions[end]);
                if self.links[link].open[end] {
                    self.hand_in(node, TableInput::Sent { id, lane });
                }
            }
            Happening::Lost { link, end } => self.lost(link, end),
            Happening::Ask { link } => self.ask(link),
            Happening::DetourOver { link } => {
                if self.links[link].open[0] {
                    self.close(link, 0);
                }
            }
            Happening::Project(n) => self.project(n),
            Happening::Edit => self.edit(),
            Happening::Break => self.break_something(),
            Happening::Start(n) => self.start(n),
            Happening::Join(n) => self.join(n),
            Happening::Restore(n, image) => self.restore(n, &image),
            Happening::DiskWell(n) => {
                self.machines[n].disk.set_capacity(None);
                self.machines[n].disk.heal();
                self.wake(n);
            }
        }
    }

    // ------------------------------------------------------------ the story

    /// Founds the organisation: units, relays top down, tickets for all others.
    fn found(&mut self) {
        let root_key = test_key(self.seed.wrapping_mul(1_000));
        let org = self.org;
        let made = self.machines[0].make(org, &Birth::Found(&root_key, SCHEMA));
        let root = made.unwrap_or_else(|e| panic!("founding failed: {e}")).unwrap_or_default();
        self.unit_ids.push(root);
        self.after_step(0);
        self.publish(0);
        for u in 1..self.shape.units.len() {
            let spec = self.shape.units[u].clone();
            let parent = self.unit_ids[spec.parent.unwrap_or(0)];
            let unit = self.write_unit(parent, &spec.name, spec.kind);
            self.unit_ids.push(unit);
            if let Some(relay) = spec.relay {
                let ticket = self.invite(relay);
                self.enrol(relay, &[ticket]);
                // A relay is there when those above have heard where it listens.
                if !self.settle(HEALED_WITHIN_MS) {
                    let why = self.in_step().unwrap_or_default();
                    self.ledger.accuse(format!("the relay {} never came into step: {why}", spec.name));
                    return;
                }
            }
        }
        for n in 0..self.shape.nodes.len() {
            if !self.shape.nodes[n].relay {
                let mut tickets = vec![self.invite(n)];
                if let Some(also) = self.shape.nodes[n].also {
                    tickets.push(self.invite_to(n, also));
                }
                self.tickets.insert(n, tickets);
            }
        }
        self.settle(HEALED_WITHIN_MS);
        let began = self.now;
        self.say(&format!("founded: {} nodes", self.shape.nodes.len()));
        for n in 0..self.shape.nodes.len() {
            if !self.shape.nodes[n].relay {
                let joins_at = self.shape.nodes[n].joins_at;
                self.at(joins_at, Happening::Join(n));
            }
        }
        debug_assert!(self.now >= began);
    }

    /// Work under faults.
    fn live(&mut self) {
        self.healed = false;
        let ends = self.now + self.shape.lasts;
        self.at(1, Happening::Edit);
        self.at(1, Happening::Break);
        self.until(ends);
    }

    /// The faults stop; everything must come into step, and everybody must say so.
    fn heal(&mut self) {
        self.say("the faults stop");
        self.healed = true;
        self.healed_at = self.now;
        self.paths.clear();
        self.hostile.stop();
        // Links of before may be dead without knowing: the first act of a healed world is to end them.
        let before = self.links.len();
        for link in 0..before {
            self.lost(link, 0);
            self.lost(link, 1);
        }
        for n in 0..self.machines.len() {
            let m = &mut self.machines[n];
            m.disk.set_capacity(None);
            m.disk.heal();
            if let Some(p) = m.process.as_mut() {
                p.sleeps_until = 0;
                p.plan = sampan_node::link::Plan::new((1, 300));
            }
            if self.has_joined(n) {
                if !self.machines[n].runs() {
                    self.start(n);
                } else {
                    self.wake(n);
                    self.plan_dial(n, 1);
                }
            } else if !self.exempt[n] {
                self.join(n);
            }
        }
        if !self.settle(HEALED_WITHIN_MS) && self.ledger.broken.is_empty() {
            let why = self.in_step().unwrap_or_default();
            self.ledger.accuse(format!("not in step {HEALED_WITHIN_MS} ms after the faults stopped: {why}"));
        }
        self.stats.links_after = (self.links.len() - before) as u64;
        if self.ledger.broken.is_empty() {
            self.final_verdict();
        }
    }

    fn write_unit(&mut self, parent: UnitId, name: &str, kind: &str) -> UnitId {
        let m = &mut self.machines[0];
        let now = m.clock.now();
        let p = m.process.as_mut().unwrap_or_else(|| panic!("the city does not run"));
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let unit = UnitId(random(rng));
        let op = Op::CreateUnit { unit, name: name.to_owned(), code: None, kind: Some(kind.to_owned()), since: now };
        store
            .group(|s| engine.write_charter(s, rng, parent, &[op], now))
            .unwrap_or_else(|e| panic!("creating a unit failed: {e}"));
        self.after_step(0);
        self.wake(0);
        unit
    }

    fn invite(&mut self, node: usize) -> Ticket {
        let unit = self.shape.nodes[node].unit;
        self.invite_to(node, unit)
    }

    fn invite_to(&mut self, node: usize, unit: usize) -> Ticket {
        let spec = self.shape.nodes[node].clone();
        let request = InviteRequest {
            unit: self.unit_ids[unit],
            roles: spec.roles,
            subtree: spec.subtree,
            holder: format!("holder of {}", spec.name),
            until: None,
            use_by: None,
        };
        let m = &mut self.machines[0];
        let now = m.clock.now();
        let p = m.process.as_mut().unwrap_or_else(|| panic!("the city does not run"));
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let ticket =
            store.group(|s| engine.invite(s, rng, &request, now)).unwrap_or_else(|e| panic!("inviting failed: {e}"));
        self.after_step(0);
        self.wake(0);
        ticket
    }

    fn join(&mut self, node: usize) {
        if let Some(tickets) = self.tickets.remove(&node) {
            self.enrol(node, &tickets);
        }
    }

    fn enrol(&mut self, node: usize, tickets: &[Ticket]) {
        let Some((first, more)) = tickets.split_first() else { return };
        let org = self.org;
        self.say(&format!("{} joins", self.machines[node].name));
        if let Err(e) = self.machines[node].make(org, &Birth::Join(first)) {
            assert!(!self.healed, "joining failed: {e}");
            self.join_later(node, tickets);
            return;
        }
        let now = self.machines[node].clock.now();
        for ticket in more {
            let Some(p) = self.machines[node].process.as_mut() else { return };
            let Replica { store, engine, rng, .. } = &mut p.replica;
            if let Err(e) = store.group(|s| engine.join(s, rng, ticket, [7; 32], now).map(|_| ())) {
                assert!(!self.healed, "joining failed: {e}");
                self.machines[node].disk.power_off();
                self.machines[node].process = None;
                self.join_later(node, tickets);
                return;
            }
        }
        self.after_step(node);
        self.stats.starts += 1;
        self.plan_dial(node, 1);
    }

    /// The disk failed a join: nothing of it remains, and the person tries again.
    fn join_later(&mut self, node: usize, tickets: &[Ticket]) {
        self.machines[node].disk.lose();
        self.machines[node].starts = 0;
        self.tickets.insert(node, tickets.to_vec());
        self.at(600_000, Happening::Join(node));
    }

    // ------------------------------------------------------------ processes

    pub(super) fn spec(&self, machine: usize) -> &NodeSpec {
        &self.shape.nodes[self.spec_of[machine]]
    }

    /// Starts what is off.
    pub(super) fn start(&mut self, n: usize) {
        if self.machines[n].runs() || !self.has_joined(n) {
            return;
        }
        let org = self.org;
        if self.machines[n].disk.is_off() {
            self.machines[n].disk.restart();
        }
        self.stats.starts += 1;
        match self.machines[n].start(org) {
            Ok(()) => {
                let name = self.machines[n].name.clone();
                self.say(&format!("{name} starts"));
                let m = &self.machines[n];
                let looked = match &m.process {
                    Some(p) => self.ledger.after_start(n, &m.name, &p.replica),
                    None => Ok(()),
                };
                if let Err(e) = looked {
                    self.ledger.accuse(format!("{name} cannot be read after a start: {e}"));
                }
                self.after_step(n);
                self.plan_dial(n, 1);
            }
            Err(e) => {
                let name = self.machines[n].name.clone();
                let off = self.machines[n].disk.is_off();
                self.say(&format!("{name} does not start (off: {off})"));
                // A start that failed for a reason of the disk is tried again; any other is a broken promise.
                let excused = off || !self.healed || self.exempt[n];
                if !excused {
                    self.ledger.accuse(format!("{name} does not start: {e}"));
                }
                if !self.exempt[n] || off {
                    let after = self.rng.between(1_000, 600_000);
                    self.at(after, Happening::Start(n));
                }
            }
        }
    }

    /// The process is gone: killed, or without power.
    pub(super) fn died(&mut self, n: usize, down_ms: u64) {
        let Some(p) = self.machines[n].process.take() else { return };
        let links: Vec<usize> = p.links.values().copied().collect();
        // The disk goes first: a store that is closed in good order syncs what a dying one never would.
        if !self.machines[n].disk.is_off() {
            self.machines[n].disk.power_off();
        }
        drop(p);
        let name = self.machines[n].name.clone();
        self.say(&format!("{name} dies"));
        for link in links {
            let end = usize::from(self.links[link].nodes[0] != n);
            self.links[link].open[end] = false;
            // The other end hears nothing, and gives up in its own time.
            let after = self.rng.between(1, IDLE_MS);
            self.at(after, Happening::Lost { link, end: 1 - end });
        }
        self.at(down_ms, Happening::Start(n));
    }

    pub(super) fn wake(&mut self, n: usize) {
        if let Some(p) = self.machines[n].process.as_mut() {
            p.look = true;
        }
        self.plan_work(n, 0);
    }

    fn plan_work(&mut self, n: usize, after: u64) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let at = self.now + after;
        if p.work_at.is_none_or(|planned| planned > at) {
            p.work_at = Some(at);
            self.at(after, Happening::Work(n));
        }
    }

    fn hand_in(&mut self, n: usize, input: TableInput) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        p.inbox.push(input);
        let after = self.rng.between(0, 3);
        self.plan_work(n, after);
    }

    fn work(&mut self, n: usize) {
        let slow = if self.faults.has(FaultKind::SlowDisk) && !self.healed && self.rng.chance(50) {
            self.faults.fired(FaultKind::SlowDisk);
            self.rng.between(100, 5_000)
        } else {
            0
        };
        let Some(p) = self.machines[n].process.as_mut() else { return };
        if p.work_at.is_none_or(|at| at > self.now) {
            return;
        }
        p.work_at = None;
        if p.sleeps_until > self.now {
            let after = p.sleeps_until - self.now;
            self.plan_work(n, after);
            return;
        }
        let inputs = std::mem::take(&mut p.inbox);
        let look = std::mem::take(&mut p.look);
        let closed: Vec<SessionId> =
            inputs.iter().filter_map(|i| if let TableInput::Closed { id } = i { Some(*id) } else { None }).collect();
        let count = inputs.len();
        let (outputs, stored) = p.table.transact(&mut p.replica, inputs, look);
        for id in closed {
            p.states.remove(&id);
        }
        let name = self.machines[n].name.clone();
        self.say(&format!("{name} works through {count}, stored {stored}, {} outputs", outputs.len()));
        self.outputs(n, outputs, slow);
        if self.machines[n].disk.is_off() {
            let down = self.rng.around(600_000);
            self.died(n, down);
            return;
        }
        self.after_step(n);
        if stored {
            self.at(1, Happening::Project(n));
        }
        if self.spec(n).relay {
            self.publish(n);
        }
        self.seal_later(n);
    }

    /// Edits that no link takes are sealed when their time has come.
    fn seal_later(&mut self, n: usize) {
        let Some(p) = self.machines[n].process.as_ref() else { return };
        let waits = self.ledger.held.get(n).is_some_and(|h| !h.unsealed.is_empty());
        if waits && p.links.is_empty() && !p.look_planned {
            let after = p.replica.config().seal_after_s * 1_000 + 1;
            if let Some(p) = self.machines[n].process.as_mut() {
                p.look_planned = true;
            }
            self.at(after, Happening::Look(n));
        }
    }

    fn publish(&mut self, n: usize) {
        let address = self.machines[n].address.clone();
        let Some(p) = self.machines[n].process.as_mut() else { return };
        // A failure of the disk is met again by the next transaction.
        if let Ok(true) = sampan_relay::serve::publish(&mut p.replica, &[address]) {
            self.after_step(n);
            self.wake(n);
        }
        if self.machines[n].disk.is_off() {
            let down = self.rng.around(600_000);
            self.died(n, down);
        }
    }

    fn project(&mut self, n: usize) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        if p.sleeps_until > self.now {
            return;
        }
        match p.replica.project_step() {
            Ok(true) => self.at(1, Happening::Project(n)),
            Ok(false) => {
                // As the desk does at the end of a stretch of work.
                let _ = p.replica.store.checkpoint();
            }
            Err(_) if !self.healed => {}
            Err(e) => self.ledger.accuse(format!("{} cannot project: {e}", self.machines[n].name)),
        }
        if self.machines[n].disk.is_off() {
            let down = self.rng.around(600_000);
            self.died(n, down);
        }
    }

    /// What the ledger sees after a step of a machine.
    pub(super) fn after_step(&mut self, n: usize) {
        if self.exempt[n] {
            return;
        }
        let m = &self.machines[n];
        let Some(p) = &m.process else { return };
        if let Err(e) = self.ledger.look(n, &m.name, &p.replica)
            && !m.disk.is_off()
            && self.healed
        {
            let name = m.name.clone();
            self.ledger.accuse(format!("{name} cannot be read: {e}"));
        }
        self.check_ticks(n);
    }

    /// Carries what a table said.
    fn outputs(&mut self, n: usize, outputs: Vec<TableOutput>, slow: u64) {
        for output in outputs {
            match output {
                TableOutput::Frame { id, lane, bytes } => self.send(n, id, lane, bytes, slow),
                TableOutput::State { id, state } => self.state(n, id, state),
                TableOutput::Close { id, .. } => {
                    let link = self.machines[n].process.as_ref().and_then(|p| p.links.get(&id).copied());
                    if let Some(link) = link {
                        let end = usize::from(self.links[link].nodes[0] != n);
                        self.close(link, end);
                    }
                }
            }
        }
    }

    fn state(&mut self, n: usize, id: SessionId, state: SessionState) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let Some(link) = p.links.get(&id).copied() else { return };
        let before = p.states.insert(id, state.clone());
        let end = usize::from(self.links[link].nodes[0] != n);
        let was = before.and_then(|s| s.verified_at);
        if state.verified_at.is_some() && was != state.verified_at {
            self.links[link].verified = true;
            self.check_verified(link, end);
        }
        if state.verified_at.is_none() && was.is_some() && end == 0 {
            let after = ASK_AGAIN_AFTER.as_millis() as u64;
            self.at(after, Happening::Ask { link });
        }
        if let Some(end) = &state.end {
            self.note_refusal(link, end);
        }
        let once = matches!(self.spec(n).habit, Habit::Now(_)) && !self.healed && !self.spec(n).relay;
        if end == 0 && once && is_done(&state) {
            self.close(link, 0);
        }
    }

    /// A device that was refused for want of a right, while nobody took it, was wronged.
    fn note_refusal(&mut self, link: usize, end: &SessionEnd) {
        let lower = self.links[link].nodes[0];
        let SessionEnd::Refused(Event::Refused { code, text, .. }) = end else { return };
        // A hostile relay may say what it likes, and what it said to another.
        let honest = !self.links[link].nodes.iter().any(|n| self.hostile.is(*n));
        let of_right = match code {
            RefuseCode::NoGrant
            | RefuseCode::GrantEnded
            | RefuseCode::TicketUsed
            | RefuseCode::TicketExpired
            | RefuseCode::WrongOrganisation
            | RefuseCode::Version
            | RefuseCode::Protocol => honest,
            RefuseCode::Busy => false,
        };
        if of_right && !self.exempt[lower] && !self.exempt[self.links[link].nodes[1]] {
            let name = self.machines[lower].name.clone();
            self.ledger.accuse(format!("{name} has a right and was refused: {text}"));
        }
    }

    // ------------------------------------------------------------ links

    pub(super) fn path(&mut self, lower: usize, upper: usize) -> &mut Path {
        let calm = Faults::default();
        let faults = if self.healed { &calm } else { &self.faults };
        let seed = self.seed;
        self.paths.entry((lower, upper)).or_insert_with(|| {
            let mut p = Path::new(seed, lower, upper, faults);
            if self.healed {
                p.rate_kbit = 100_000;
            }
            p
        })
    }

    pub(super) fn plan_dial(&mut self, n: usize, after: u64) {
        let at = self.now + after;
        let Some(p) = self.machines[n].process.as_mut() else { return };
        if n != 0 && p.dial_at.is_none_or(|planned| planned > at) {
            p.dial_at = Some(at);
            self.at(after, Happening::Dial(n));
        }
    }

    fn dial(&mut self, n: usize) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        if p.dial_at.is_none_or(|at| at > self.now) {
            return;
        }
        p.dial_at = None;
        if p.sleeps_until > self.now {
            let after = p.sleeps_until - self.now;
            self.plan_dial(n, after);
            return;
        }
        if self.lower_link(n).is_some() {
            return;
        }
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let hops = p.plan.hops(route(&p.replica));
        let mut took = 0;
        let mut opens_at = u64::MAX;
        for hop in hops {
            for address in &hop.addresses {
                let there =
                    self.machines.iter().position(|m| m.address == *address && m.device == hop.device && m.runs());
                if let Some(upper) = there
                    && upper != n
                {
                    let now = self.now;
                    let path = self.path(n, upper);
                    if path.open(true, now) && path.open(false, now) {
                        let rtt = path.round_trip();
                        self.connect(n, upper, hop.clone(), took + rtt);
                        return;
                    }
                    opens_at = opens_at.min(path.dead_until[0].max(path.dead_until[1]));
                }
                took += DIAL_MS;
            }
        }
        let mut rng = SeededRng::new(self.rng.bits());
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let wait = p.plan.wait(&mut rng).as_millis() as u64;
        let mut after = took.min(DIAL_ALL_MS) + wait;
        // Months of vain tries are passed over: the tries go on when the path may be open again.
        if wait >= 100_000 && opens_at != u64::MAX && opens_at > self.now + after {
            after = opens_at - self.now + self.rng.between(0, 300_000);
        }
        self.plan_dial(n, after);
    }

    fn connect(&mut self, lower: usize, upper: usize, hop: Hop, after: u64) {
        let link = self.links.len();
        let mut sessions = [SessionId(0); 2];
        let mut starts = [0; 2];
        let mut marks = [0; 2];
        for (end, node) in [lower, upper].into_iter().enumerate() {
            let m = &mut self.machines[node];
            starts[end] = m.starts;
            let Some(p) = m.process.as_mut() else { return };
            sessions[end] = p.session();
            p.links.insert(sessions[end], link);
            marks[end] = self.ledger.held.get(node).map_or(0, |h| h.order.len());
        }
        let detour = hop.distance > 0;
        self.links.push(Link {
            nodes: [lower, upper],
            starts,
            sessions,
            hop,
            open: [true; 2],
            lanes: BTreeMap::new(),
            verified: false,
            patience: Patience::default(),
            bytes: [0; 2],
            stuck: [false; 2],
            marks,
        });
        self.stats.links += 1;
        let (a, b) = (self.machines[lower].name.clone(), self.machines[upper].name.clone());
        self.say(&format!("link {link}: {a} to {b}, detour {detour}"));
        let keys = [self.machines[upper].device, self.machines[lower].device];
        let roles = [Role::Lower, Role::Upper];
        for (end, node) in [lower, upper].into_iter().enumerate() {
            let input =
                TableInput::Open { id: sessions[end], role: roles[end], peer: keys[end], fallback: detour && end == 0 };
            let Some(p) = self.machines[node].process.as_mut() else { return };
            p.inbox.push(input);
            self.plan_work(node, after);
        }
        self.at(after + ASK_AGAIN_AFTER.as_millis() as u64, Happening::Ask { link });
        if detour {
            self.at(after + DETOUR_MS, Happening::DetourOver { link });
        }
    }

    fn send(&mut self, n: usize, id: SessionId, lane: u8, bytes: Vec<u8>, slow: u64) {
        let Some(link) = self.machines[n].process.as_ref().and_then(|p| p.links.get(&id).copied()) else { return };
        let end = usize::from(self.links[link].nodes[0] != n);
        if !self.links[link].open[end] {
            return;
        }
        self.check_frame(link, end, &bytes);
        let before = self.stats.bytes;
        let frames = self.hostile.tamper(n, lane, bytes, &mut self.faults);
        for (lane, bytes) in frames {
            self.transmit(link, end, lane, bytes, slow);
        }
        let sent = self.stats.bytes - before;
        self.stats.bytes -= self.hostile.not_honest(self.links[link].nodes, sent);
        // What a tampering peer swallowed counts as taken.
        self.at(1, Happening::Taken { link, end, lane });
    }

    fn transmit(&mut self, link: usize, end: usize, lane: u8, bytes: Vec<u8>, slow: u64) {
        let [lower, upper] = self.links[link].nodes;
        self.links[link].bytes[end] += bytes.len() as u64;
        self.stats.bytes += bytes.len() as u64;
        let now = self.now;
        let mut faults = std::mem::take(&mut self.faults);
        let path = self.path(lower, upper);
        let dead = path.dead_until[end].saturating_sub(now);
        let passage = if dead > 0 && dead < IDLE_MS {
            // A short silence is bridged by sending again.
            match path.send(bytes.len(), end == 0, now + dead, &mut faults) {
                Passage::After(ms) => Passage::After(ms + dead),
                Passage::Never => Passage::Never,
            }
        } else {
            path.send(bytes.len(), end == 0, now, &mut faults)
        };
        self.faults = faults;
        match passage {
            // A lane keeps its order: behind a frame that never comes through, nothing does.
            Passage::After(ms) if ms < IDLE_MS && !self.links[link].stuck[end] => {
                let ready = self.links[link].lanes.entry((end == 0, lane)).or_default();
                let at = (*ready).max(now + slow + ms);
                *ready = at;
                self.under_way += 1;
                self.trace.line(
                    now,
                    &format!(
                        "link {link}.{end} lane {lane} {} {}",
                        bytes.len(),
                        blake3::hash(&bytes).to_hex().split_at(8).0
                    ),
                );
                self.at(at - now, Happening::Deliver { link, end: 1 - end, lane, bytes });
            }
            Passage::After(_) | Passage::Never => {
                // Nothing comes through for too long: both ends give the link up, each in its own time.
                if std::mem::replace(&mut self.links[link].stuck[end], true) {
                    return;
                }
                let (a, b) = (self.rng.between(1, IDLE_MS), self.rng.between(1, IDLE_MS));
                self.at(IDLE_MS + a, Happening::Lost { link, end: 0 });
                self.at(IDLE_MS + b, Happening::Lost { link, end: 1 });
            }
        }
    }

    /// An end closes a link: what it said before still arrives.
    pub(super) fn close(&mut self, link: usize, end: usize) {
        let last = self.links[link].lanes.iter().filter(|((d, _), _)| *d == (end == 0)).map(|(_, at)| *at).max();
        let after = last.unwrap_or(0).saturating_sub(self.now) + 1;
        self.at(after, Happening::Lost { link, end: 1 - end });
        self.lost(link, end);
    }

    /// An end gives a link up.
    pub(super) fn lost(&mut self, link: usize, end: usize) {
        if !std::mem::take(&mut self.links[link].open[end]) {
            return;
        }
        let n = self.links[link].nodes[end];
        let id = self.links[link].sessions[end];
        self.say(&format!("link {link}.{end} ends"));
        let Some(p) = self.machines[n].process.as_mut() else { return };
        p.links.remove(&id);
        let state = p.states.get(&id).cloned().unwrap_or_default();
        p.inbox.push(TableInput::Closed { id });
        self.plan_work(n, 0);
        if end == 0 {
            self.lower_ended(n, link, &state);
        }
    }

    fn lower_ended(&mut self, n: usize, link: usize, state: &SessionState) {
        let (hop, verified) = (self.links[link].hop.clone(), self.links[link].verified);
        let habit = self.spec(n).habit;
        let healed = self.healed;
        let mut rng = SeededRng::new(self.rng.bits());
        let Some(p) = self.machines[n].process.as_mut() else { return };
        p.plan.ended(&hop, state.end.as_ref(), verified);
        let redirected = matches!(state.end, Some(SessionEnd::Redirect(_)));
        let wait = p.plan.wait(&mut rng).as_millis() as u64;
        let after = match habit {
            Habit::Daemon => wait,
            Habit::Now(_) if healed || redirected || !verified => wait,
            Habit::Now(mean) => self.rng.around(mean),
        };
        self.plan_dial(n, after.max(1));
    }

    fn ask(&mut self, link: usize) {
        let n = self.links[link].nodes[0];
        let id = self.links[link].sessions[0];
        if !self.links[link].open[0] {
            return;
        }
        let state = self.process(n).and_then(|p| p.states.get(&id)).cloned().unwrap_or_default();
        if state.end.is_none() && state.verified_at.is_none() {
            if !self.links[link].patience.ask(&state) {
                self.close(link, 0);
                return;
            }
            self.hand_in(n, TableInput::Verify { id });
            let wait = self.links[link].patience.wait().as_millis() as u64;
            self.at(wait, Happening::Ask { link });
        }
    }

    /// The clock that all machines read.
    pub(super) fn world_clock(&self) -> Arc<AtomicU64> {
        self.clock.clone()
    }

    /// A process that may be looked at.
    pub(super) fn process(&self, n: usize) -> Option<&Process> {
        self.machines[n].process.as_ref()
    }

    /// The frame as read, if it is one.
    pub(super) fn read(bytes: &[u8]) -> Option<Frame> {
        Frame::decode(bytes).ok()
    }
}
