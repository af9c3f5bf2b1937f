//! Merging: every interleaving of four operations at three replicas, and every order of delivery of
//! what they made.
//!
//! It does not: fork logs (`forks`) or change rights (`authority`).
//!
//! Invariants: replicas that differ only by name are tried once: the first to act is the first desk.

use crate::desk::{self, Desk, Engines};
use crate::ends::Ends;
use crate::explore::{World, explore};
use sampan_core::charter::Roles;
use sampan_core::hash::tagged;
use sampan_core::id::{ActorId, RecordId};
use sampan_core::value::{Edit, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A desk sets a scalar field, to a value of its own.
    Set(usize, &'static str),
    /// A desk writes into the text: even desks at its front, odd ones at its end.
    Splice(usize),
    /// A desk adds to the counter.
    Add(usize),
    /// A desk removes the card.
    Remove(usize),
    /// A desk seals what is pending.
    Seal(usize),
    /// A desk seals and hands everything to another.
    Deliver(usize, usize),
}

impl Step {
    /// The desks it names.
    fn desks(self) -> [Option<usize>; 2] {
        match self {
            Self::Set(d, _) | Self::Splice(d) | Self::Add(d) | Self::Remove(d) | Self::Seal(d) => [Some(d), None],
            Self::Deliver(from, to) => [Some(from), Some(to)],
        }
    }
}

/// The desks, all editors of one card.
#[derive(Clone)]
pub struct Card {
    /// The engines.
    pub engines: Engines,
    /// The replicas.
    pub desks: Vec<Desk>,
    /// How many of the first desks are as good as one another.
    pub alike: usize,
    /// The kinds of edit that are tried.
    pub edits: Vec<fn(usize) -> Step>,
    /// Desks that met a commit of their own that they had not made, and the actors of their twin then.
    pub met: BTreeMap<usize, BTreeSet<ActorId>>,
    observer: Desk,
    card: RecordId,
    /// How many of the desks that are alike acted already.
    pub used: usize,
    set_before: bool,
    ends: Rc<RefCell<Ends>>,
}

impl Card {
    /// The organisation, one card in it, and desks for these devices.
    pub fn new(devices: &[u64], edits: &[fn(usize) -> Step]) -> Self {
        let engines = Engines::default();
        let grants: Vec<_> = (2..=4).map(|d| desk::grant(d, Roles::EDITOR)).collect();
        let (mut founder, unit) = desk::found(&engines, &grants);
        let card = founder.create(&engines, unit, "An").unwrap();
        founder.seal(&engines);
        let make = |device: &u64| {
            let mut desk = Desk::new(&engines, *device);
            desk.take_all(&engines, &founder).unwrap();
            desk
        };
        let desks: Vec<Desk> = devices.iter().map(make).collect();
        let observer = make(&9);
        let alike = devices.len();
        let (edits, met, ends) = (edits.to_vec(), BTreeMap::new(), Rc::default());
        Self { engines, desks, alike, edits, met, observer, card, used: 0, set_before: false, ends }
    }

    /// How much was delivered.
    pub fn told(&self) -> String {
        self.ends.borrow().told()
    }

    fn text(&self, desk: usize) -> String {
        let mut copy = self.desks[desk].clone();
        let document = self.engines.at(&mut copy, |e, store, _| e.document(store, self.card));
        let view = document.ok().and_then(|(_, _, d)| d.view().ok()).unwrap_or_default();
        match view.fields.get("notes") {
            Some(Value::Text(t)) => t.clone(),
            Some(_) | None => String::new(),
        }
    }

    fn edit(&mut self, desk: usize, field: &str, edit: Edit) -> Result<bool, String> {
        if let Some(twins) = self.met.get(&desk) {
            let actor = self.engines.at(&mut self.desks[desk], |e, _, _| e.actor());
            if twins.contains(&actor) {
                return Err(format!("desk {desk} met its twin and still writes under its name"));
            }
        }
        self.desks[desk].edit(&self.engines, self.card, field, edit)
    }

    fn deliver(&mut self, from: usize, to: usize) -> Result<bool, String> {
        let sealed = self.desks[from].seal(&self.engines);
        let sender = self.desks[from].clone();
        let before = self.engines.at(&mut self.desks[to], |e, _, _| (e.nonce(), e.incarnation()));
        let (came, twin) = self.desks[to].take_all(&self.engines, &sender)?;
        let after = self.engines.at(&mut self.desks[to], |e, _, _| (e.nonce(), e.incarnation()));
        if twin {
            if before.0 == after.0 || before.1 == after.1 {
                return Err(format!("desk {to} met its twin and kept its nonce or incarnation"));
            }
            let held = sender.parcels(&self.engines);
            let own = held.iter().filter(|p| p.commit().header().device == self.desks[to].id());
            self.met.entry(to).or_default().extend(own.map(|p| p.commit().header().actor()));
        } else if before != after {
            return Err(format!("desk {to} took another name without having met a twin"));
        }
        Ok(sealed || came)
    }
}

impl World for Card {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let all = 0..self.desks.len();
        let mut out = Vec::new();
        for d in all.clone() {
            out.extend(self.edits.iter().map(|edit| edit(d)));
            out.push(Step::Seal(d));
            out.extend(all.clone().filter(|to| *to != d).map(|to| Step::Deliver(d, to)));
        }
        // The next desk to act for the first time is the first that has not.
        let known = |d: usize| d <= self.used || d >= self.alike;
        out.retain(|s| s.desks().into_iter().flatten().all(known));
        // The two fields differ by name alone: the first that is set is `a`.
        out.retain(|s| self.set_before || !matches!(s, Step::Set(_, "b")));
        out
    }

    fn step(&mut self, step: &Step) -> Result<bool, String> {
        let alike = step.desks().into_iter().flatten().filter(|d| *d < self.alike);
        let used = alike.map(|d| d + 1).max().unwrap_or(0);
        self.used = self.used.max(used);
        match *step {
            Step::Set(d, field) => {
                self.set_before = true;
                let value = format!("{field}{d}{}", self.desks[d].edits);
                self.edit(d, field, Edit::Set(Value::Str(value)))
            }
            Step::Splice(d) => {
                let (old, new) = (self.text(d), format!("<{d}{}>", self.desks[d].edits));
                let text = if d.is_multiple_of(2) { format!("{new}{old}") } else { format!("{old}{new}") };
                self.edit(d, "notes", Edit::Set(Value::Text(text)))
            }
            Step::Add(d) => self.edit(d, "visits", Edit::Add(Value::Counter(1 + d as i64))),
            Step::Remove(d) => self.edit(d, "_removed", Edit::Set(Value::Bool(true))),
            Step::Seal(d) => Ok(self.desks[d].seal(&self.engines)),
            Step::Deliver(from, to) => self.deliver(from, to),
        }
    }

    fn digest(&self) -> [u8; 32] {
        let desks: Vec<_> = self.desks.iter().map(Desk::digest).collect();
        tagged("card", &[format!("{:?}", (desks, self.used, self.set_before, &self.met)).as_bytes()])
    }

    fn check(&self) -> Result<(), String> {
        self.ends.borrow_mut().check(&self.engines, self.desks.clone(), &self.observer)
    }
}

fn run(edits: &[fn(usize) -> Step], depth: usize) {
    let world = Card::new(&[2, 3, 4], edits);
    let seen = explore(world.clone(), depth).unwrap_or_else(|e| panic!("{e:?}"));
    println!("merge: {} states, {} steps, {}", seen.states, seen.steps, world.told());
}

const A: fn(usize) -> Step = |d| Step::Set(d, "a");
const B: fn(usize) -> Step = |d| Step::Set(d, "b");

#[test]
fn every_interleaving_of_three_operations_of_all_kinds_merges_alike() {
    run(&[A, B, Step::Splice, Step::Add, Step::Remove], 3);
}

#[test]
fn every_interleaving_of_four_operations_on_fields_merges_alike() {
    run(&[A, Step::Remove], 4);
}

#[test]
fn every_interleaving_of_four_operations_on_texts_and_counters_merges_alike() {
    run(&[Step::Splice], 4);
    run(&[Step::Add], 4);
}

/// `cargo test --release -p sampan-tests --test models merge -- --ignored`
#[test]
#[ignore = "minutes: the same with all kinds of edit together"]
fn every_interleaving_of_four_operations_of_all_kinds_merges_alike() {
    run(&[A, B, Step::Splice, Step::Add, Step::Remove], 4);
}
