//! Authority: every order of granting, joining, writing, revoking and publishing by two admins and two
//! devices, and every order of delivery of what they signed.
//!
//! It does not: cut what a revoked device wrote (there are no cuts yet): a revocation ends rights at the
//! door and in the fold.
//!
//! Invariants: each operation happens once at most; the fold, the frontier, the statuses and what is
//! set aside depend on the set of commits alone.

use crate::desk::{self, Desk, Engines, SCHEMA};
use crate::ends::Ends;
use crate::explore::{World, explore};
use sampan_core::charter::{Op, Roles, Ticket};
use sampan_core::engine::InviteRequest;
use sampan_core::hash::tagged;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::log::device_id;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Desks by place: two admins, then two devices that have no right before they are given one.
const A: usize = 0;
const B: usize = 1;
const X: usize = 2;
const Y: usize = 3;

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// An admin creates a unit below the root.
    Unit(usize),
    /// An admin grants a device the right to edit.
    Grant(usize, usize),
    /// The first admin makes a ticket.
    Invite,
    /// A device uses the ticket at an admin's relay.
    Join(usize, usize),
    /// A device takes what an admin holds, and writes a card if it may.
    Write(usize, usize),
    /// An admin revokes a device.
    Revoke(usize, usize),
    /// An admin revokes the ticket.
    RevokeTicket(usize),
    /// An admin publishes the next schema, each another one.
    Schema(usize),
    /// An admin makes a device a second-line admin.
    Promote(usize, usize),
    /// One hands everything to another.
    Deliver(usize, usize),
}

#[derive(Clone)]
struct Office {
    engines: Engines,
    desks: Vec<Desk>,
    observer: Desk,
    root: UnitId,
    ticket: Option<Ticket>,
    offered: Vec<Step>,
    done: BTreeSet<Step>,
    ends: Rc<RefCell<Ends>>,
}

impl Office {
    fn new(offered: &[Step]) -> Self {
        let engines = Engines::default();
        let (founder, root) = desk::found(&engines, &[desk::grant(2, Roles::ADMIN)]);
        let make = |device: u64| {
            let mut desk = Desk::new(&engines, device);
            desk.take_all(&engines, &founder).unwrap();
            desk
        };
        let desks = vec![founder.clone(), make(2), make(3), make(4)];
        let (observer, offered) = (make(9), offered.to_vec());
        Self { engines, desks, observer, root, ticket: None, offered, done: BTreeSet::new(), ends: Rc::default() }
    }

    fn device(&self, desk: usize) -> DeviceId {
        self.desks[desk].id()
    }

    /// Writes into the root's charter; false where that is refused.
    fn say(&mut self, by: usize, op: Op) -> bool {
        let root = self.root;
        self.engines.at(&mut self.desks[by], |e, s, r| e.write_charter(s, r, root, &[op], desk::now()).is_ok())
    }

    fn invite(&mut self) -> bool {
        let (roles, holder) = (Roles::EDITOR, "one".to_owned());
        let request = InviteRequest {
            unit: self.root,
            roles,
            subtree: false,
            holder,
            until: None,
            use_by: None,
            collections: None,
            replaces: None,
        };
        let made = self.engines.at(&mut self.desks[A], |e, s, r| e.invite(s, r, &request, desk::now()));
        self.ticket = made.ok();
        self.ticket.is_some()
    }

    fn join(&mut self, device: usize, at: usize) -> Result<bool, String> {
        let Some(ticket) = self.ticket.clone() else { return Ok(false) };
        let joined = self.engines.at(&mut self.desks[device], |e, s, r| e.join(s, r, &ticket, [7; 32], desk::now()));
        let chain = joined.map_err(|e| e.to_string())?.chain;
        let from = self.device(device);
        self.desks[at].take_groups(&self.engines, from, &chain)?;
        Ok(true)
    }

    fn write(&mut self, device: usize, from: usize) -> Result<bool, String> {
        let admin = self.desks[from].clone();
        let engines = self.engines.clone();
        let desk = &mut self.desks[device];
        desk.take_all(&engines, &admin)?;
        // Whether it may is the charter's to say; that it may not is no fault.
        let _ = desk.create(&engines, self.root, "An");
        desk.seal(&engines);
        Ok(true)
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
        match *step {
            Step::Unit(by) => {
                let (unit, name) = (UnitId([by as u8 + 1; 16]), format!("Quận {by}"));
                let op = Op::CreateUnit { unit, name, code: None, kind: Some("branch".into()), since: desk::now() };
                Ok(self.say(by, op))
            }
            Step::Grant(by, to) => Ok(self.say(by, desk::grant(self.desks[to].device, Roles::EDITOR))),
            Step::Promote(by, to) => Ok(self.say(by, desk::grant(self.desks[to].device, Roles::ADMIN))),
            Step::Invite => Ok(self.invite()),
            Step::Join(device, at) => self.join(device, at),
            Step::Write(device, from) => self.write(device, from),
            Step::Revoke(by, whom) => {
                let op = Op::Revoke { key: self.device(whom), reason: format!("by {by}") };
                Ok(self.say(by, op))
            }
            Step::RevokeTicket(by) => {
                let Some(ticket) = &self.ticket else { return Ok(false) };
                let key = device_id(&ed25519_dalek::SigningKey::from_bytes(&ticket.seed));
                Ok(self.say(by, Op::Revoke { key, reason: "lost".into() }))
            }
            Step::Schema(by) => {
                let text = format!("{}\n# {by}\n", SCHEMA.replace("version = 1", "version = 2"));
                Ok(self.say(by, Op::Schema { version: 2, text }))
            }
            Step::Deliver(from, to) => {
                let sender = self.desks[from].clone();
                Ok(self.desks[to].take_all(&self.engines, &sender)?.0)
            }
        }
    }

    fn digest(&self) -> [u8; 32] {
        let desks: Vec<_> = self.desks.iter().map(Desk::digest).collect();
        tagged("office", &[format!("{:?}", (desks, &self.done)).as_bytes()])
    }

    fn check(&self) -> Result<(), String> {
        self.ends.borrow_mut().check(&self.engines, self.desks.clone(), &self.observer)
    }
}

fn run(offered: &[Step], depth: usize) {
    let world = Office::new(offered);
    let seen = explore(world.clone(), depth).unwrap_or_else(|e| panic!("{e:?}"));
    println!("authority: {} states, {} steps, {}", seen.states, seen.steps, world.ends.borrow().told());
}

#[test]
fn all_kinds_of_operations_of_two_admins_fold_alike() {
    use Step::{Deliver, Grant, Invite, Join, Revoke, Schema, Unit, Write};
    run(
        &[Unit(A), Unit(B), Grant(A, X), Invite, Join(X, A), Write(X, A), Revoke(A, X), Revoke(A, B), Revoke(B, A)]
            .into_iter()
            .chain([Schema(A), Schema(B), Deliver(A, B), Deliver(B, A)])
            .collect::<Vec<_>>(),
        3,
    );
}

#[test]
fn mutual_revocations_and_grants_beside_them_fold_alike() {
    use Step::{Deliver, Grant, Revoke, Write};
    run(&[Revoke(A, B), Revoke(B, A), Grant(A, X), Write(X, A), Deliver(A, B), Deliver(B, A)], 4);
}

#[test]
fn two_admins_who_revoke_each_other_are_both_revoked_and_what_was_written_stays() {
    let mut office = Office::new(&[]);
    for step in [Step::Grant(A, X), Step::Write(X, A), Step::Revoke(A, B), Step::Revoke(B, A)] {
        assert_eq!(office.step(&step), Ok(true), "{step:?}");
    }
    office.step(&Step::Deliver(B, A)).unwrap();
    let (a, b, x) = (office.device(A), office.device(B), office.device(X));
    let root = office.root;
    let engines = office.engines.clone();
    engines.at(&mut office.desks[A], |e, _, _| {
        let charter = e.charter();
        assert!(charter.revoked(&a).is_some() && charter.revoked(&b).is_some());
        // The grant was given by one who was being revoked: it lets nobody in, and its log counts.
        assert!(charter.roles(&x, &root).is_none());
        assert!(
            charter.counts(&x, &sampan_core::id::SpaceId { unit: root, flow: sampan_core::id::Flow::Up, reach: 0 })
        );
    });
    office.check().unwrap();
}

#[test]
fn a_unit_made_by_an_admin_who_is_revoked_beside_it_folds_alike() {
    use Step::{Deliver, Revoke, Unit};
    run(&[Unit(A), Revoke(B, A), Revoke(A, B), Unit(B), Deliver(A, B)], 5);
}

#[test]
fn a_ticket_used_twice_folds_alike() {
    use Step::{Deliver, Invite, Join, RevokeTicket, Write};
    run(&[Invite, Join(X, A), Join(Y, B), Write(X, A), Write(Y, B), RevokeTicket(A), Deliver(A, B)], 5);
}

#[test]
fn chains_of_grants_fold_alike() {
    use Step::{Deliver, Grant, Promote, Revoke, Write};
    run(&[Promote(B, X), Deliver(B, X), Grant(X, Y), Deliver(X, A), Write(Y, X), Revoke(A, X)], 5);
}
