//! The digest tree on the real shape: what a district's relay and the hub say to find one branch that differs.
//!
//! It does not: open a socket (the sessions are the real ones, frames are handed over in memory).

use crate::shape::{BRANCH, Counts, DISTRICT, HUB, Shape, mem};
use crate::table::{Row, bytes, cpu, ms};
use sampan_core::charter::Roles;
use sampan_core::sync::{Env, Event, Session, SessionError};
use sampan_core::testing::village::Village;
use sampan_core::wire::frame::Frame;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Commits of charters that are timed at the hub.
const CHARTER_COMMITS: u32 = 10;

/// What one session came to.
#[derive(Debug)]
pub struct Case {
    /// What was different.
    pub name: &'static str,
    /// Bytes of frames by name, both ways.
    pub frames: BTreeMap<&'static str, u64>,
    /// Round trips that the lower end waited for.
    pub round_trips: u64,
    /// Changes that the lower end sent and got.
    pub changes: (u64, u64),
    /// Time that the upper end spent.
    pub upper: Duration,
    /// Time of both ends together.
    pub time: Duration,
}

impl Case {
    /// Bytes of frames, both ways.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.frames.values().sum()
    }

    /// The same without acknowledgements: what finding and sending the difference took.
    #[must_use]
    pub fn bytes_of_finding(&self) -> u64 {
        let acks = ["Acks", "ShortAcks", "OwnAck"].iter().filter_map(|name| self.frames.get(name)).sum::<u64>();
        self.bytes() - acks
    }
}

/// One session, each frame counted under its name.
///
/// # Errors
/// What ended the session.
///
/// # Panics
/// When it does not end verified.
pub fn session(village: &mut Village, lower: usize, upper: usize, name: &'static str) -> Result<Case, SessionError> {
    session_heard(village, lower, upper, name, &mut |_, _, _| {})
}

/// The same, where each frame is shown with its length, and whether the lower end says it.
///
/// # Errors
/// See [`session`].
///
/// # Panics
/// See [`session`].
pub fn session_heard(
    village: &mut Village,
    lower: usize,
    upper: usize,
    name: &'static str,
    heard: &mut dyn FnMut(bool, &Frame, usize),
) -> Result<Case, SessionError> {
    let began = Instant::now();
    let now = village.now;
    let devices = [lower, upper].map(|at| village.replicas[at].engine.device());
    macro_rules! env {
        ($at:expr) => {{
            let r = &mut village.replicas[$at];
            Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now }
        }};
    }
    let mut ends = [(lower, Session::lower(&mut env!(lower), devices[1], false)?), (upper, Session::upper(devices[0]))];
    let mut spent = [Duration::ZERO; 2];
    let mut frames = BTreeMap::new();
    let mut moved = true;
    while moved {
        moved = false;
        // What one end has to say travels together, as on a link.
        for turn in 0..2 {
            let start = Instant::now();
            let [(from, sender), (to, receiver)] = &mut ends;
            sender.poke(&mut env!(*from))?;
            let mut said = Vec::new();
            while let Some(frame) = sender.next_frame(&mut env!(*from), &|_| true)? {
                said.push(frame);
            }
            spent[turn] += start.elapsed();
            let start = Instant::now();
            for (lane, bytes) in said {
                moved = true;
                let frame = Frame::decode(&bytes);
                *frames.entry(frame.as_ref().map_or("none", Frame::name)).or_default() += bytes.len() as u64;
                frame.iter().for_each(|frame| heard(turn == 0, frame, bytes.len()));
                receiver.receive(&mut env!(*to), lane, &bytes)?;
            }
            spent[1 - turn] += start.elapsed();
            ends.swap(0, 1);
        }
    }
    let verified = ends.iter_mut().all(|(_, end)| end.events().any(|e| e == Event::Verified));
    assert!(verified, "{name}: not verified");
    let stats = ends[0].1.stats();
    let changes = (stats.changes_sent, stats.changes_received);
    Ok(Case { name, frames, round_trips: stats.round_trips, changes, upper: spent[1], time: began.elapsed() })
}

/// Runs every case once.
///
/// # Panics
/// When a session does not end verified.
#[must_use]
pub fn cases(shape: &mut Shape) -> Vec<Case> {
    let mut out = Vec::new();
    let mut from = |shape: &mut Shape, lower: usize, name: &'static str, changes: (u64, u64)| {
        shape.village.now.0 += 60_000;
        let case = session(&mut shape.village, lower, HUB, name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(case.changes, changes, "{name}");
        out.push(case);
    };
    from(shape, BRANCH, "a branch meets the hub for the first time", (0, 0));
    from(shape, BRANCH, "a branch, the next time, nothing changed", (0, 0));
    from(shape, BRANCH, "a branch, nothing changed", (0, 0));
    let mut run = |shape: &mut Shape, name, changes| from(shape, DISTRICT, name, changes);
    run(shape, "first meeting, both hold the same", (0, 0));
    run(shape, "the next, nothing changed", (0, 0));
    run(shape, "nothing changed", (0, 0));
    shape.forget();
    run(shape, "nothing changed, the last meeting forgotten", (0, 0));
    for (name, at, changes) in
        [("the district has one commit more", DISTRICT, (1, 0)), ("the hub has one commit more", HUB, (0, 1))]
    {
        let group = shape.write(0);
        shape.take(at, &group);
        run(shape, name, changes);
    }
    for (name, at, changes) in [
        ("the district has one more, the last meeting forgotten", DISTRICT, (1, 0)),
        ("the hub has one more, the last meeting forgotten", HUB, (0, 1)),
    ] {
        shape.forget();
        let group = shape.write(0);
        shape.take(at, &group);
        run(shape, name, changes);
    }
    run(shape, "nothing changed, at the end", (0, 0));
    out
}

/// Founds the shape, runs the cases and prints them.
///
/// # Errors
/// In words.
pub fn run(counts: Counts) -> Result<(), String> {
    let Counts { districts, grassroots, branches } = counts;
    let began = Instant::now();
    let mut shape = Shape::found(3, counts);
    println!("1 + {districts} + {grassroots} + {branches} units founded in {:.1} s", began.elapsed().as_secs_f64());
    let own = shape.branches.iter().filter(|b| b.district == 0).count();
    println!("the district's relay holds {own} branches, the hub all of them");
    let (began, before) = (Instant::now(), cpu());
    for _ in 0..CHARTER_COMMITS {
        let group = shape.grant(1);
        shape.take(HUB, &group);
    }
    let (time, spent) = (began.elapsed() / CHARTER_COMMITS, (cpu() - before) / CHARTER_COMMITS);
    Row::new("one commit of a charter, at the hub").value("CPU", ms(spent)).value("time", ms(time)).print();
    for case in cases(&mut shape) {
        let goals = if case.changes == (0, 0) { (200.0, 1.0) } else { (4_096.0, 3.0) };
        let by_name: Vec<String> = case.frames.iter().map(|(name, n)| format!("{name} {n}")).collect();
        Row::new(case.name)
            .goal("bytes", case.bytes() as f64, goals.0)
            .goal("round trips", case.round_trips as f64, goals.1)
            .value("frames", bytes(case.bytes()))
            .value("without acknowledgements", bytes(case.bytes_of_finding()))
            .value("of which", by_name.join(", "))
            .value("round trips", case.round_trips.to_string())
            .value("time of the hub", format!("{:.2} ms", case.upper.as_secs_f64() * 1e3))
            .value("time of both ends", format!("{:.2} ms", case.time.as_secs_f64() * 1e3))
            .print();
    }
    let root = shape.village.root();
    let ticket = shape.village.invite(HUB, root, Roles::RELAY);
    let second = shape.village.join("second", &ticket, &mut mem);
    let (began, before) = (Instant::now(), cpu());
    let end = shape.village.sync(second, HUB);
    if !end.verified() {
        return Err(format!("the second relay: {end:?}"));
    }
    Row::new("a second relay of the city loads all charters, and a commit of each branch")
        .value("CPU of both ends", ms(cpu() - before))
        .value("time", ms(began.elapsed()))
        .print();
    Ok(())
}
