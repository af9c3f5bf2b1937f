//! Admission: does a change fit its causal past?
//!
//! It does not: resolve references to single operations (see `refs`) or find the causal past (see
//! `evaluate`).
//!
//! Invariants: the answer depends on the change's bytes and its causal past alone.

use super::error::Malformed;
use super::op::Body;
use super::read::Parsed;
use crate::id::{ActorId, ChangeHash};
use std::collections::BTreeMap;

/// Checks sequence, first counter and actors against a causal past that is wholly present:
/// `max_op` is the greatest operation counter in it, `seq_of` an actor's greatest sequence in it
/// (`None` for an actor that it does not know).
///
/// # Errors
/// The first rule that is broken.
pub fn admit(change: &Body<'_>, max_op: u64, seq_of: impl Fn(&ActorId) -> Option<u64>) -> Result<(), Malformed> {
    let (author, others) = change.actors.split_first().ok_or(Malformed::ActorTable)?;
    let expected = seq_of(author).unwrap_or(0).saturating_add(1);
    if change.seq != expected {
        return Err(Malformed::Sequence { expected, found: change.seq });
    }
    let expected = max_op.saturating_add(1);
    if change.start_op != expected {
        return Err(Malformed::StartOp { expected, found: change.start_op });
    }
    if others.iter().any(|actor| seq_of(actor).is_none()) {
        return Err(Malformed::UnknownActor);
    }
    Ok(())
}

/// The short way for a change on top of everything that stands: true if its dependencies are
/// exactly `heads` (ascending) and it fits them; false if it stands elsewhere and needs
/// [`super::evaluate`].
///
/// It does not resolve references to earlier operations: a change for which
/// [`Parsed::refers_back`] is true also needs [`super::check_against`] before it may be applied.
///
/// # Errors
/// The first rule that is broken.
pub fn extends(
    change: &Parsed<'_>,
    heads: &[ChangeHash],
    max_op: u64,
    seqs: &BTreeMap<ActorId, u64>,
    expected_actor: Option<ActorId>,
) -> Result<bool, Malformed> {
    if expected_actor.is_some_and(|actor| actor != change.actor()) {
        return Err(Malformed::WrongActor);
    }
    if change.deps != heads {
        return Ok(false);
    }
    admit(change, max_op, |actor| seqs.get(actor).copied())?;
    if !change.refers_back() {
        super::check_against(change, &[])?;
    }
    Ok(true)
}
