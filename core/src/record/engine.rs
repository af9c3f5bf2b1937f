//! The few places where Automerge documents and changes are made, and the guard around them.
//!
//! It does not: know fields, kinds or records.
//!
//! Invariants: a document gets its actor at once, so that the random one Automerge draws never
//! reaches a change; positions in texts count Unicode code points; a panic inside [`guarded`] comes
//! out as [`Damaged::Panicked`].

use super::error::{Damaged, EditError, within};
use crate::id::{ActorId, ChangeHash};
use crate::limits;
use automerge::transaction::CommitOptions;
use automerge::{Automerge, Change, TextEncoding};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An empty document under `actor`.
pub(super) fn blank(actor: &ActorId) -> Automerge {
    let mut doc = Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint);
    doc.set_actor(am_actor(actor));
    doc
}

/// Our actor as Automerge's.
pub(super) fn am_actor(actor: &ActorId) -> automerge::ActorId {
    automerge::ActorId::from(actor.0)
}

/// Automerge's actor as ours; `None` if it is not 16 bytes wide.
pub(super) fn our_actor(actor: &automerge::ActorId) -> Option<ActorId> {
    ActorId::from_slice(actor.to_bytes())
}

/// Automerge's hash as ours.
pub(super) fn ours(hash: &automerge::ChangeHash) -> ChangeHash {
    ChangeHash(hash.0)
}

/// Our hashes as Automerge's.
pub(super) fn theirs<'a>(hashes: impl IntoIterator<Item = &'a ChangeHash>) -> Vec<automerge::ChangeHash> {
    hashes.into_iter().map(|h| automerge::ChangeHash(h.0)).collect()
}

/// Options of a commit: the author's time in milliseconds and no message.
pub(super) fn at_time(millis: i64) -> CommitOptions {
    CommitOptions::default().with_time(millis)
}

/// One uncompressed change from its bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Change, Damaged> {
    // Automerge would inflate a compressed chunk without bound, so its type byte is looked at
    // before it sees the bytes: magic (4), checksum (4), type.
    if bytes.get(8) != Some(&1) {
        return Err(Damaged::Unreadable { reason: "not an uncompressed change chunk".into() });
    }
    let change = Change::try_from(bytes).map_err(|e| Damaged::Unreadable { reason: e.to_string() })?;
    if change.raw_bytes() != bytes {
        return Err(Damaged::Unreadable { reason: "not in its canonical form".into() });
    }
    Ok(change)
}

/// An error of Automerge in our words.
pub(super) fn refused(e: automerge::AutomergeError) -> Damaged {
    Damaged::Refused { reason: e.to_string() }
}

/// Refuses a change of ours that admission elsewhere would refuse.
pub(super) fn within_limits(change: &Change) -> Result<(), EditError> {
    let bytes = change.raw_bytes().len() as u64;
    within("CHANGE_BYTES_MAX", limits::CHANGE_BYTES_MAX as u64, bytes, || "the change in bytes".into())?;
    within("CHANGE_OPS_MAX", limits::CHANGE_OPS_MAX, change.len() as u64, || "the change in operations".into())?;
    let deps = change.deps().len() as u64;
    within("CHANGE_DEPS_MAX", limits::CHANGE_DEPS_MAX as u64, deps, || "the number of versions to merge".into())
}

/// Runs `f`; a panic inside becomes an error.
///
/// Callers hand in either shared references or a copy that they drop on an error, so that nothing
/// half-changed is seen again.
pub(super) fn guarded<T, E: From<Damaged>>(f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(panic) => {
            let reason = panic
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no reason given".to_owned());
            Err(Damaged::Panicked { reason }.into())
        }
    }
}
