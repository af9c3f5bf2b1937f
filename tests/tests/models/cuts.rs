//! Cuts: every order of writing, cutting, cutting back, releasing and editing on top by two admins and a
//! device, and every order of delivery of what they signed.
//!
//! It does not: narrow rights other than by final cuts, or draw anything at random (the stories do).
//!
//! Invariants: what counts, what is shown and what is set aside depend on the set of commits alone; two who
//! cut each other are both cut.

use crate::desk::{self, Desk, Engines};
use crate::ends::Ends;
use crate::explore::{World, explore};
use sampan_core::charter::{CutKind, Op, Roles};
use sampan_core::engine::CutRequest;
use sampan_core::hash::tagged;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::value::{Edit, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Desks by place: two admins and a device.
const A: usize = 0;
const B: usize = 1;
const X: usize = 2;

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The device creates a card; the number tells two apart.
    Write(u8),
    /// A desk edits the first card that was made, if it shows it.
    Edit(usize),
    /// One cuts another at what it holds of it.
    Cut(usize, usize),
    /// One releases all that lies in its quarantine.
    Release(usize),
    /// One hands everything to another.
    Deliver(usize, usize),
}

#[derive(Clone)]
struct Office {
    engines: Engines,
    desks: Vec<Desk>,
    observer: Desk,
    root: UnitId,
    card: Option<RecordId>,
    offered: Vec<Step>,
    done: BTreeSet<Step>,
    ends: Rc<RefCell<Ends>>,
}

impl Office {
    fn new(offered: &[Step]) -> Self {
        let engines = Engines::default();
        let (founder, root) = desk::found(&engines, &[desk::grant(2, Roles::ADMIN), desk::grant(3, Roles::EDITOR)]);
        let make = |device: u64| {
            let mut desk = Desk::new(&engines, device);
            desk.take_all(&engines, &founder).unwrap();
            desk
        };
        let (desks, observer) = (vec![founder.clone(), make(2), make(3)], make(9));
        let (offered, done, ends) = (offered.to_vec(), BTreeSet::new(), Rc::default());
        Self { engines, desks, observer, root, card: None, offered, done, ends }
    }

    fn cut(&mut self, by: usize, whom: usize) -> bool {
        let (device, units) = (self.desks[whom].id(), [self.root].into());
        let (kind, reason, remaining) = (CutKind::Lost, format!("by {by}"), Roles::NONE);
        let request = CutRequest { device, kind, reason, remaining };
        self.engines.at(&mut self.desks[by], |e, s, r| e.write_cut(s, r, &units, &request, desk::now()).is_ok())
    }

    fn release(&mut self, by: usize) -> bool {
        let root = self.root;
        self.engines.at(&mut self.desks[by], |e, s, r| {
            let commits: Vec<_> = e.laid(s).unwrap().iter().map(|l| l.held.head.id()).collect();
            let op = Op::Release { commits: commits.clone(), reason: "ours".into() };
            !commits.is_empty() && e.write_charter(s, r, root, &[op], desk::now()).is_ok()
        })
    }
}

impl World for Office {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let again = |s: &Step| matches!(s, Step::Deliver(..)) || !self.done.contains(s);
        self.offered.iter().copied().filter(again).collect()
    }

    fn step(&mut self, step: &Step) -> Result<bool, String> {
        self.done.insert(*step);
        let engines = self.engines.clone();
        match *step {
            Step::Write(n) => {
                let id = self.desks[X].create(&engines, self.root, &format!("card {n}"))?;
                self.card.get_or_insert(id);
                Ok(self.desks[X].seal(&engines))
            }
            Step::Edit(by) => {
                let Some(card) = self.card else { return Ok(false) };
                let value = Edit::Set(Value::Str(format!("edited by {by}")));
                // Whether it has the card is the history's to say; that it has not is no fault.
                let edited = self.desks[by].edit(&engines, card, "b", value).unwrap_or(false);
                Ok(edited && self.desks[by].seal(&engines))
            }
            Step::Cut(by, whom) => Ok(self.cut(by, whom)),
            Step::Release(by) => Ok(self.release(by)),
            Step::Deliver(from, to) => {
                let sender = self.desks[from].clone();
                Ok(self.desks[to].take_all(&engines, &sender)?.0)
            }
        }
    }

    fn digest(&self) -> [u8; 32] {
        let desks: Vec<_> = self.desks.iter().map(Desk::digest).collect();
        tagged("cuts", &[format!("{:?}", (desks, &self.done)).as_bytes()])
    }

    fn check(&self) -> Result<(), String> {
        self.ends.borrow_mut().check(&self.engines, self.desks.clone(), &self.observer)
    }
}

fn run(offered: &[Step], depth: usize) {
    let world = Office::new(offered);
    let seen = explore(world.clone(), depth).unwrap_or_else(|e| panic!("{e:?}"));
    println!("cuts: {} states, {} steps, {}", seen.states, seen.steps, world.ends.borrow().told());
}

#[test]
fn what_a_cut_device_wrote_folds_alike_in_every_order() {
    use Step::{Cut, Deliver, Write};
    run(&[Write(0), Write(1), Cut(A, X), Cut(B, X), Deliver(X, A), Deliver(X, B), Deliver(A, B)], 4);
}

#[test]
fn admins_who_cut_each_other_and_a_device_fold_alike() {
    use Step::{Cut, Deliver, Write};
    run(&[Write(0), Cut(A, B), Cut(B, A), Cut(A, X), Cut(B, X), Deliver(X, B), Deliver(A, B)], 4);
}

#[test]
fn releases_and_edits_on_top_of_what_is_cut_fold_alike() {
    use Step::{Cut, Deliver, Edit, Release, Write};
    run(&[Write(0), Deliver(X, B), Edit(B), Cut(A, X), Deliver(B, A), Release(A), Cut(B, A)], 5);
}

#[test]
fn two_cuts_of_one_log_leave_what_both_name() {
    let mut office = Office::new(&[]);
    use Step::{Cut, Deliver, Write};
    // The first admin knows of one card, the second of both.
    for step in [Write(0), Deliver(X, A), Write(1), Deliver(X, B), Cut(A, X), Cut(B, X)] {
        assert_eq!(office.step(&step), Ok(true), "{step:?}");
    }
    let aside = |office: &Office, at: usize| {
        use sampan_core::store::Store as _;
        office.desks[at].store.quarantine().unwrap().len()
    };
    assert_eq!((aside(&office, A), aside(&office, B)), (0, 0));
    office.step(&Deliver(A, B)).unwrap();
    office.step(&Deliver(B, A)).unwrap();
    office.step(&Deliver(X, A)).unwrap();
    assert_eq!((aside(&office, A), aside(&office, B)), (1, 1), "the second card is outside the first cut");
    office.check().unwrap();
}
