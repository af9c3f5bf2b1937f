//! Merging: every interleaving of four operations at three replicas, and every order of delivery of
//! what they made.
//!
//! It does not: fork logs (`forks`) or change rights (`authority`).
//!
//! Invariants: replicas that differ only by name are tried once: the first to act is the first desk.

use crate::desk::{self, Desk, Engines, Parcel};
use crate::explore::{World, explore};
use crate::orders::{Orders, Picture, records};
use sampan_core::charter::Roles;
use sampan_core::hash::tagged;
use sampan_core::id::{ActorId, CommitId, RecordId};
use sampan_core::store::Store as _;
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
    /// Whether the desks are devices of their own: then one is as good as another.
    pub symmetric: bool,
    /// The kinds of edit that are tried.
    pub edits: Vec<fn(usize) -> Step>,
    /// Desks that met a commit of their own that they had not made, and the actors of their twin then.
    pub met: BTreeMap<usize, BTreeSet<ActorId>>,
    observer: Desk,
    card: RecordId,
    used: usize,
    walked: Rc<RefCell<Walked>>,
}

/// What was looked at already, by digests of all that it depends on.
#[derive(Default)]
struct Walked {
    /// Sets of commits whose every order was walked, and what they come to.
    sets: BTreeMap<[u8; 32], Picture>,
    /// Desks with the set that they took at last.
    ends: BTreeSet<([u8; 32], [u8; 32])>,
    /// Desks as they were before sealing.
    desks: BTreeSet<[u8; 32]>,
    /// Deliveries made.
    deliveries: usize,
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
        let symmetric = devices.iter().collect::<BTreeSet<_>>().len() == devices.len();
        let (edits, met, walked) = (edits.to_vec(), BTreeMap::new(), Rc::default());
        Self { engines, desks, symmetric, edits, met, observer, card, used: 0, walked }
    }

    /// Sets walked and deliveries made.
    pub fn walked(&self) -> (usize, usize) {
        let walked = self.walked.borrow();
        (walked.sets.len(), walked.deliveries)
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
            let held = sender.parcels();
            let own = held.iter().filter(|p| p.commit.header().device == self.desks[to].id());
            self.met.entry(to).or_default().extend(own.map(|p| p.commit.header().actor()));
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
        let known = |d: usize| !self.symmetric || d <= self.used;
        out.retain(|s| s.desks().into_iter().flatten().all(known));
        out
    }

    fn step(&mut self, step: &Step) -> Result<bool, String> {
        let used = step.desks().into_iter().flatten().map(|d| d + 1).max().unwrap_or(0);
        self.used = self.used.max(used);
        match *step {
            Step::Set(d, field) => {
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
        tagged("card", &[format!("{:?}", (desks, self.used, &self.met)).as_bytes()])
    }

    fn check(&self) -> Result<(), String> {
        let engines = &self.engines;
        let mut last = self.clone();
        let mut walked = self.walked.borrow_mut();
        let ids = BTreeSet::from([self.card]);
        for desk in &mut last.desks {
            if walked.desks.insert(desk.digest()) {
                // What is shown before sealing is the plain model's as well.
                Picture::of(engines, desk, &ids)?;
            }
            desk.seal(engines);
            if !desk.store.pending().unwrap().is_empty() {
                return Err(format!("device {} could not seal", desk.device));
            }
        }
        let made = new_parcels(&last.desks, &self.observer);
        let key = tagged("set", &[format!("{:?}", made.keys()).as_bytes()]);
        let parcels: Vec<Parcel> = made.into_values().collect();
        if !walked.sets.contains_key(&key) {
            let (picture, deliveries) = Orders::walk(engines, &self.observer, self.desks[0].id(), &parcels)?;
            all_at_once(engines, &self.observer, &parcels, &picture)?;
            walked.deliveries += deliveries;
            walked.sets.insert(key, picture);
        }
        // The authors end where the observer did.
        for (i, desk) in last.desks.iter_mut().enumerate() {
            if !walked.ends.insert((desk.digest(), key)) {
                continue;
            }
            in_any_order(engines, desk, &parcels)?;
            if let Some(difference) = walked.sets[&key].differs(&Picture::of(engines, desk, &ids)?) {
                return Err(format!("the observer and desk {i} hold the same commits and differ in {difference}"));
            }
        }
        Ok(())
    }
}

/// What desks hold beyond a base, each commit once.
pub fn new_parcels(desks: &[Desk], base: &Desk) -> BTreeMap<CommitId, Parcel> {
    let held = base.held();
    let all = desks.iter().flat_map(Desk::parcels).map(|p| (p.commit.id(), p));
    all.filter(|(id, _)| !held.contains(id)).collect()
}

/// Hands over what a desk lacks, again and again until nothing waits for parents any more.
///
/// # Errors
/// A refusal, or parcels that never fit.
pub fn in_any_order(engines: &Engines, desk: &mut Desk, parcels: &[Parcel]) -> Result<(), String> {
    let from = sampan_core::id::DeviceId([7; 32]);
    let mut left: Vec<&Parcel> = parcels.iter().collect();
    while !left.is_empty() {
        let before = left.len();
        let mut later = Vec::new();
        for p in left {
            if desk.take(engines, from, p)? == crate::desk::Taken::Later {
                later.push(p);
            }
        }
        left = later;
        if left.len() == before {
            return Err("commits whose parents are not among those made".into());
        }
    }
    Ok(())
}

/// Everything in one intake, and in one group a space where no parents are missing.
fn all_at_once(engines: &Engines, observer: &Desk, parcels: &[Parcel], expected: &Picture) -> Result<(), String> {
    let mut sorted: Vec<&Parcel> = parcels.iter().collect();
    sorted.sort_by_key(|p| p.commit.header().sequence);
    let Some(first) = sorted.first() else { return Ok(()) };
    let (space, org) = (first.commit.header().space, first.commit.header().org);
    let payloads: Vec<_> = sorted.iter().map(|p| p.commit.payload()).collect();
    let scope = sampan_core::pack::PackScope { org, space };
    let group = sampan_core::wire::frame::Group {
        headers: sorted.iter().map(|p| p.group.headers[0].clone()).collect(),
        pack: sampan_core::pack::encode(&scope, &payloads, &sampan_core::pack::Stored),
    };
    let mut desk = observer.clone();
    desk.take_groups(engines, first.commit.header().device, &[group])?;
    let mut ids = records(parcels);
    ids.extend(records(&observer.parcels()));
    let picture = Picture::of(engines, &mut desk, &ids)?;
    expected.differs(&picture).map_or(Ok(()), |d| Err(format!("one by one and all at once differ in {d}")))
}

fn run(edits: &[fn(usize) -> Step], depth: usize) {
    let world = Card::new(&[2, 3, 4], edits);
    let seen = explore(world.clone(), depth).unwrap_or_else(|e| panic!("{e:?}"));
    let (sets, deliveries) = world.walked();
    println!("merge: {} states, {} steps, {sets} sets of commits, {deliveries} deliveries", seen.states, seen.steps);
}

const A: fn(usize) -> Step = |d| Step::Set(d, "a");
const B: fn(usize) -> Step = |d| Step::Set(d, "b");

#[test]
fn every_interleaving_of_three_operations_of_all_kinds_merges_alike() {
    run(&[A, B, Step::Splice, Step::Add, Step::Remove], 3);
}

#[test]
fn every_interleaving_of_four_operations_on_fields_merges_alike() {
    run(&[A, B, Step::Remove], 4);
}

#[test]
fn every_interleaving_of_four_operations_on_texts_and_counters_merges_alike() {
    run(&[A, Step::Splice, Step::Add], 4);
}

