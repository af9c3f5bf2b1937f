//! The rules of format 1 that one change alone can keep or break.
//!
//! It does not: look at other changes (see `admit` and `refs`).
//!
//! Invariants: every rule stands for something that Automerge either refuses, crashes on, or cannot
//! save and load again; none rejects what Automerge writes for the edits that Sampan makes.

use super::error::{ChangeError, Malformed, NeedsNewer};
use super::op::{Action, Body, Key, Obj, Op, OpId, Scalar};
use crate::limits::COUNTER_STEP_MAX;
use crate::time::MAX_MILLIS;

pub(super) fn check(body: &Body<'_>) -> Result<(), ChangeError> {
    if !ascending(&body.deps) {
        return Err(Malformed::Dependencies.into());
    }
    if body.seq == 0 {
        return Err(Malformed::SequenceZero.into());
    }
    if u64::try_from(body.time).map_or(true, |t| t > MAX_MILLIS) {
        return Err(Malformed::Time.into());
    }
    let others = body.actors.get(1..).unwrap_or(&[]);
    if !ascending(others) || body.actors.first().is_none_or(|author| others.contains(author)) {
        return Err(Malformed::ActorTable.into());
    }
    let mut named = vec![false; body.actors.len()];
    for (counter, op) in (body.start_op..).zip(&body.ops) {
        check_op(body, counter, op, &mut named)?;
    }
    if named.iter().skip(1).any(|used| !used) {
        return Err(Malformed::ActorTable.into());
    }
    Ok(())
}

fn ascending<T: Ord>(list: &[T]) -> bool {
    list.windows(2).all(|w| w[0] < w[1])
}

fn check_op(body: &Body<'_>, counter: u64, op: &Op<'_>, named: &mut [bool]) -> Result<(), ChangeError> {
    // Whatever an operation knows of has a smaller Lamport counter.
    let mut earlier = |id: OpId| {
        if let Some(seen) = named.get_mut(id.actor as usize) {
            *seen = true;
        }
        // An own id below the change's start is an earlier change's and fine.
        if id.counter < counter { Ok(()) } else { Err(Malformed::Reference("an operation that comes later")) }
    };
    if let Obj::Op(id) = op.obj {
        earlier(id)?;
    }
    if let Key::Elem(id) = op.key {
        earlier(id)?;
    }
    let preds = body.preds_of(op);
    for id in preds {
        earlier(*id)?;
    }
    let order = |id: &OpId| (id.counter, body.actor_of(*id));
    if !preds.windows(2).all(|w| order(&w[0]) < order(&w[1])) {
        return Err(Malformed::Operation("predecessors out of order or repeated").into());
    }
    check_place(op)?;
    check_action(op)
}

fn check_place(op: &Op<'_>) -> Result<(), Malformed> {
    let fits = match (op.key, op.insert) {
        (Key::Map(_), false) => true,
        (Key::Map(_), true) => return Err(Malformed::Operation("an insertion into a map")),
        (Key::Head, false) => {
            return Err(Malformed::Operation("a change of the beginning of a list"));
        }
        (Key::Head, true) | (Key::Elem(_), true) => op.pred_len == 0,
        (Key::Elem(_), false) => op.pred_len > 0,
    };
    if !fits {
        return Err(Malformed::Operation("an insertion with predecessors, or an element's change without"));
    }
    if matches!(op.obj, Obj::Root) && !matches!(op.key, Key::Map(_)) {
        return Err(Malformed::Operation("the root used as a list"));
    }
    Ok(())
}

fn check_action(op: &Op<'_>) -> Result<(), ChangeError> {
    let bounded = |n: i64| {
        if n.unsigned_abs() <= COUNTER_STEP_MAX { Ok(()) } else { Err(ChangeError::from(NeedsNewer::CounterStep)) }
    };
    match op.action {
        Action::MakeMap | Action::MakeList | Action::MakeText => match op.value {
            Scalar::Null => Ok(()),
            _ => Err(Malformed::Operation("an object made with a value").into()),
        },
        Action::Set => match op.value {
            Scalar::Counter(n) => bounded(n),
            _ => Ok(()),
        },
        // Automerge keeps deletions only as marks on their predecessors; one without any is lost
        // when the document is saved, and the document then never loads again.
        Action::Delete if op.insert || op.pred_len == 0 || op.value != Scalar::Null => {
            Err(Malformed::Operation("a deletion of nothing, or with a value").into())
        }
        Action::Delete => Ok(()),
        Action::Increment => match op.value {
            Scalar::Int(n) if !op.insert && op.pred_len > 0 => bounded(n),
            _ => Err(Malformed::Operation("an addition to no counter, or of no integer").into()),
        },
        Action::MakeTable | Action::MarkBegin { .. } | Action::MarkEnd { .. } => {
            Err(NeedsNewer::Action(op.action.code()).into())
        }
    }
}
