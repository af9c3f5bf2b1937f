//! What an operation refers to: objects, elements and predecessors, and whether they exist.
//!
//! It does not: say which changes are ancestors (its callers do, through [`Index::find`]'s filter).
//!
//! Invariants: every reference resolves to an operation of a kind that it may refer to, in the same
//! object and under the same key; Automerge trusts all of this and crashes, or saves a document that
//! never loads again, where it does not hold.

use super::error::Malformed;
use super::op::{Action, Body, Key, Obj, Op, OpId, Scalar};
use super::read::Parsed;
use crate::id::ActorId;
use std::collections::BTreeMap;

/// An operation and the change that it stands in.
#[derive(Clone, Copy)]
pub(super) struct Found<'p, 'a> {
    body: &'p Body<'a>,
    op: &'p Op<'a>,
}

/// Where each actor's operations lie, over a growing list of changes.
#[derive(Default)]
pub(super) struct Index<'p, 'a> {
    by_actor: BTreeMap<ActorId, Vec<Span<'p, 'a>>>,
}

#[derive(Clone, Copy)]
struct Span<'p, 'a> {
    number: usize,
    body: &'p Body<'a>,
}

impl<'p, 'a> Index<'p, 'a> {
    /// Adds a change under the caller's number; each actor's come in order of sequence.
    pub(super) fn add(&mut self, number: usize, change: &'p Parsed<'a>) {
        self.by_actor.entry(change.actor()).or_default().push(Span { number, body: change.body() });
    }

    /// The operation of this id in the last change that has it and that `is_past` takes.
    pub(super) fn find(
        &self,
        counter: u64,
        actor: ActorId,
        mut is_past: impl FnMut(usize, &Body<'a>) -> bool,
    ) -> Option<Found<'p, 'a>> {
        let spans = self.by_actor.get(&actor)?;
        // Ascending by start except where an actor wrote twice under one sequence, which sorts
        // close by: the search starts at the end and stops only when it found something.
        let from = spans.partition_point(|s| s.body.start_op <= counter);
        let near = spans[..from].iter().rev().take(1);
        let hit = |s: &Span<'p, 'a>| s.body.start_op <= counter && counter <= s.body.max_op();
        for span in near.chain(spans) {
            if hit(span) && is_past(span.number, span.body) {
                let op = span.body.own(OpId { counter, actor: 0 })?;
                return Some(Found { body: span.body, op });
            }
        }
        None
    }
}

/// Checks a change's references against its whole causal past, given as changes.
///
/// # Errors
/// [`Malformed::Reference`] with what is missing.
pub fn check_against<'p, 'a>(change: &'p Parsed<'a>, past: &[&'p Parsed<'a>]) -> Result<(), Malformed> {
    let mut index = Index::default();
    let mut sorted: Vec<&Parsed<'a>> = past.to_vec();
    sorted.sort_by_key(|p| (p.start_op, p.hash()));
    for (number, parsed) in sorted.into_iter().enumerate() {
        index.add(number, parsed);
    }
    check(change.body(), |counter, actor| index.find(counter, actor, |_, _| true))
}

/// Checks every reference of a change; `find` looks in its causal past.
pub(super) fn check<'p, 'a>(
    body: &'p Body<'a>,
    mut find: impl FnMut(u64, ActorId) -> Option<Found<'p, 'a>>,
) -> Result<(), Malformed> {
    let mut resolve = |id: OpId| {
        let own = body.own(id).map(|op| Found { body, op });
        own.or_else(|| find(id.counter, body.actor_of(id)?))
    };
    // A text edit names one object thousands of times.
    let mut last = (Obj::Root, true);
    for op in &body.ops {
        if last.0 != op.obj {
            let is_map = match op.obj {
                Obj::Root => true,
                Obj::Op(id) => {
                    let made = resolve(id).filter(|found| is_object(found.op));
                    let made = made.ok_or(Malformed::Reference("an object that nothing made"))?;
                    matches!(made.op.action, Action::MakeMap)
                }
            };
            last = (op.obj, is_map);
        }
        if last.1 != matches!(op.key, Key::Map(_)) {
            return Err(Malformed::Reference("a map used as a list, or a list as a map"));
        }
        if let Key::Elem(id) = op.key {
            let there = resolve(id).is_some_and(|f| f.op.insert && same_obj(body, op.obj, f.body, f.op.obj));
            if !there {
                return Err(Malformed::Reference("an element that nothing inserted"));
            }
        }
        check_preds(body, op, &mut resolve)?;
    }
    Ok(())
}

fn check_preds<'p, 'a>(
    body: &Body<'a>,
    op: &Op<'a>,
    mut resolve: impl FnMut(OpId) -> Option<Found<'p, 'a>>,
) -> Result<(), Malformed>
where
    'a: 'p,
{
    let mut counters = 0;
    for id in body.preds_of(op) {
        let Some(found) = resolve(*id) else {
            return Err(Malformed::Reference("a predecessor that does not exist"));
        };
        let Found { body: there, op: old } = found;
        let same_key = match (op.key, old.key) {
            (Key::Map(a), Key::Map(b)) => a == b,
            (Key::Elem(elem), _) if old.insert => same_id(body, elem, body, *id),
            (Key::Elem(a), Key::Elem(b)) => same_id(body, a, there, b),
            _ => false,
        };
        if !same_key || !same_obj(body, op.obj, there, old.obj) {
            return Err(Malformed::Reference("a predecessor in another place"));
        }
        match old.action {
            Action::Set | Action::MakeMap | Action::MakeList | Action::MakeText => {}
            Action::Delete
            | Action::Increment
            | Action::MakeTable
            | Action::MarkBegin { .. }
            | Action::MarkEnd { .. } => {
                return Err(Malformed::Reference("a predecessor that is no value"));
            }
        }
        counters += usize::from(matches!(old.value, Scalar::Counter(_)));
    }
    if op.action == Action::Increment && counters == 0 {
        return Err(Malformed::Reference("an addition to no counter"));
    }
    Ok(())
}

fn is_object(op: &Op<'_>) -> bool {
    matches!(op.action, Action::MakeMap | Action::MakeList | Action::MakeText)
}

fn same_id(a: &Body<'_>, a_id: OpId, b: &Body<'_>, b_id: OpId) -> bool {
    a_id.counter == b_id.counter && a.actor_of(a_id) == b.actor_of(b_id)
}

fn same_obj(a: &Body<'_>, a_obj: Obj, b: &Body<'_>, b_obj: Obj) -> bool {
    match (a_obj, b_obj) {
        (Obj::Root, Obj::Root) => true,
        (Obj::Op(x), Obj::Op(y)) => same_id(a, x, b, y),
        (Obj::Root, Obj::Op(_)) | (Obj::Op(_), Obj::Root) => false,
    }
}
