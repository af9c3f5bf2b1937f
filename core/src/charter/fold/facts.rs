//! What follows from a commit of a charter alone, worked out once and not in every fold.
//!
//! It does not: judge whether an operation stands.
//!
//! Invariants: a function of the commit's own bytes; a proof is checked only when a standing ticket makes it matter, so
//! that strangers cost no more than their signatures.

use crate::charter::op::{Op, enrol_proves as proves};
use crate::id::DeviceId;
use crate::log::Commit;

/// It is an operation that this version knows.
const KNOWN: u8 = 1;
/// It narrows.
const NARROWS: u8 = 2;

fn facts(c: &Commit) -> &[u8] {
    c.facts(|c| {
        let of = |op: Op| KNOWN | if op.narrows() { NARROWS } else { 0 };
        c.payload().entries.iter().map(|e| Op::decode(&e.payload).map_or(0, of)).collect()
    })
}

/// The operation at a place, `None` for what this version does not know.
pub(super) fn op(c: &Commit, index: usize) -> Option<Op> {
    let known = facts(c).get(index).is_some_and(|f| f & KNOWN != 0);
    let entry = c.payload().entries.get(index).filter(|_| known)?;
    Op::decode_known(&entry.payload)
}

/// Whether any operation of a commit narrows.
pub(super) fn narrows(c: &Commit) -> bool {
    facts(c).iter().any(|f| f & NARROWS != 0)
}

/// Whether a device agreed to the ticket that signed this commit.
pub(super) fn enrol_proves(c: &Commit, device: &DeviceId, proof: &[u8; 64]) -> bool {
    c.proof(|| proves(device, &c.header().device, proof))
}
