//! The world: machines, paths and people on virtual time, one event after the other.
//!
//! It does not: choose faults (`chaos`), edits (`people`) or verdicts (`court`); it keeps time and
//! carries what the real desk tables say between machines.
//!
//! Invariants: everything follows from the seed and the options; a fault of the world's own code is a
//! panic, a broken promise of the engine is a line in the ledger.

mod link;
mod process;
mod story;

use crate::sim::court::Court;
use crate::sim::dice::Dice;
use crate::sim::fault::{FaultKind, Faults};
use crate::sim::figures::Figures;
use crate::sim::files::Files;
use crate::sim::hostile::Hostile;
use crate::sim::ledger::Ledger;
use crate::sim::machine::{Birth, Machine, Process};
use crate::sim::net::{DIAL_MS, IDLE_MS, Link, Passage, Path};
use crate::sim::people::People;
use crate::sim::shape::{Habit, NodeSpec, Shape};
use crate::sim::trace::Trace;
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
use sampan_node::link::{ASK_AGAIN_AFTER, Hop, Patience, Plan, Route, routes};
use sampan_node::replica::Replica;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The schema of simulated worlds.
pub const SCHEMA: &str = include_str!("../schema.toml");
/// What it has beside that in worlds where periods are closed.
const CLOSED_METRIC: &str =
    "\n[metric.cards_born]\nof = \"cards\"\nop = \"count\"\non = \"born\"\nperiod = \"month\"\n";
/// What [`Happening::Minute`] is, in milliseconds.
const MINUTE_MS: u64 = 60_000;
/// How long a link to a farther relay is kept before the nearer one is tried again.
const DETOUR_MS: u64 = 300_000;
/// One dialling of all addresses takes at most this.
const DIAL_ALL_MS: u64 = 20_000;
/// A world that has handled this many events has run away.
const EVENTS_MAX: u64 = 4_000_000;
/// Faults stop early in a world in which this much has happened: someone dials a hostile or rotten relay in vain
/// for months, and nothing new comes of it.
const LIVING_EVENTS_MAX: u64 = 300_000;
/// After the faults stop everything must be in step within this virtual time.
const HEALED_WITHIN_MS: u64 = 12 * 3_600_000;

/// What happens at some time.
pub(in crate::sim) enum Happening {
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
    /// A machine looks for figures to say.
    Say(usize),
    /// Somebody edits something.
    Edit,
    /// Somebody attaches a file.
    Attach,
    /// A minute has passed in a healed world that waits for files.
    Minute,
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
    /// A bundle arrives by hand, with one bit turned if it says so.
    Carried { to: usize, bytes: std::rc::Rc<Vec<u8>>, turned: Option<u64> },
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
    /// Relays close periods now and then (and the schema has a metric whose closed periods change later). Not from the
    /// seed: worlds that were found before there were closings stay what they were.
    pub closings: bool,
    /// Whether people attach files; `None`: they do not.
    pub files: Option<bool>,
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
    pub(in crate::sim) links: Vec<Link>,
    pub(in crate::sim) people: People,
    pub(in crate::sim) hostile: Hostile,
    pub(in crate::sim) court: Court,
    pub(in crate::sim) figures: Figures,
    pub(in crate::sim) files: Files,
    /// Whether the world is looked at every minute.
    pub(in crate::sim) minutes: bool,
    pub(in crate::sim) trace: Trace,
    pub(in crate::sim) chaos: Dice,
    pub(in crate::sim) breaks: u64,
    paths: BTreeMap<(usize, usize), Path>,
    clock: Arc<AtomicU64>,
    queue: BTreeMap<(u64, u64), Happening>,
    events: u64,
    under_way: u64,
    tickets: BTreeMap<usize, Vec<Ticket>>,
    pub(in crate::sim) healed: bool,
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
        let files = Files::new(seed, &options, shape.edits);
        if !files.on {
            shape.faults.remove(&FaultKind::HostileFile);
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
            figures: Figures::new(seed, options.closings),
            files,
            minutes: false,
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

    pub(in crate::sim) fn at(&mut self, after: u64, what: Happening) {
        self.events += 1;
        self.queue.insert((self.now + after, self.events), what);
    }

    pub(in crate::sim) fn say(&mut self, text: &str) {
        self.trace.line(self.now, text);
    }

    /// The schema of this world.
    pub(in crate::sim) fn schema(&self) -> String {
        let text = if self.options.closings { format!("{SCHEMA}{CLOSED_METRIC}") } else { SCHEMA.to_owned() };
        if self.files.on { crate::sim::files::schema(&text) } else { text }
    }

    fn step(&mut self) -> bool {
        let Some(((time, _), what)) = self.queue.pop_first() else { return false };
        self.now = self.now.max(time);
        self.clock.store(self.now, Ordering::Relaxed);
        self.handle(what);
        assert!(self.events < EVENTS_MAX, "the world of seed {} ran away", self.seed);
        true
    }

    /// One event; false when nothing is planned.
    pub(in crate::sim) fn advance(&mut self) -> bool {
        self.step()
    }

    /// Every node looks around, as a running program does now and then.
    fn minute(&mut self) {
        if self.minutes {
            (0..self.machines.len()).for_each(|n| self.wake(n));
            self.at(MINUTE_MS, Happening::Minute);
        }
    }

    /// Goes on until a time.
    fn until(&mut self, time: u64) {
        while self.ledger.broken.is_empty() && self.queue.first_key_value().is_some_and(|((t, _), _)| *t <= time) {
            if self.events > LIVING_EVENTS_MAX {
                self.say("enough has happened");
                return;
            }
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
    pub(in crate::sim) fn in_step(&self) -> Option<String> {
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
            if i == 0 {
                continue;
            }
            for (way, route) in self.ways(i) {
                let Some(upward) = self.link_on(i, way) else { return Some(format!("{} has no link upward", m.name)) };
                // What only the nearest relay may hold has not reached it.
                let nearest = route.and_then(|r| self.machines.iter().position(|m| m.device == r.key() && m.runs()));
                if self.links[upward].hop.distance > 0 && nearest.is_some_and(|relay| !self.exempt[relay]) {
                    return Some(format!("{} is on a detour", m.name));
                }
            }
        }
        None
    }

    fn has_joined(&self, machine: usize) -> bool {
        self.machines[machine].starts > 0
    }

    /// A machine's ways up, each with its relays as the charter shows them now.
    fn ways(&self, machine: usize) -> Vec<(u32, Option<Route>)> {
        let Some(p) = self.machines[machine].process.as_ref() else { return Vec::new() };
        let known = routes(&p.replica);
        p.upward.iter().map(|(way, up)| (*way, known.iter().find(|r| Some(r.key()) == up.key).cloned())).collect()
    }

    /// The open link that a machine dialled on one of its ways.
    pub(in crate::sim) fn link_on(&self, machine: usize, way: u32) -> Option<usize> {
        let p = self.machines[machine].process.as_ref()?;
        let mine =
            |l: &usize| self.links[*l].nodes[0] == machine && self.links[*l].way == way && self.links[*l].open[0];
        p.links.values().copied().find(mine)
    }

    /// An open link that a machine dialled.
    pub(in crate::sim) fn lower_link(&self, machine: usize) -> Option<usize> {
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
                    // Some are read before their turn, as another thread would, and some are not.
                    let process = self.machines[node].process.as_ref().filter(|_| bytes.len().is_multiple_of(2));
                    let ahead = process.and_then(|p| p.replica.engine.ahead_reader().read(&bytes));
                    self.hand_in(node, TableInput::Frame { id, lane, bytes, ahead });
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
            Happening::Say(n) => self.say_figures(n),
            Happening::Edit => self.edit(),
            Happening::Attach => self.attach(),
            Happening::Minute => self.minute(),
            Happening::Break => self.break_something(),
            Happening::Start(n) => self.start(n),
            Happening::Join(n) => self.join(n),
            Happening::Restore(n, image) => self.restore(n, &image),
            Happening::Carried { to, bytes, turned } => self.carried(to, &bytes, turned),
            Happening::DiskWell(n) => {
                self.machines[n].disk.set_capacity(None);
                self.machines[n].disk.heal();
                self.wake(n);
            }
        }
    }
}
