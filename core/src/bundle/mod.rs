//! Bundles: a session's frames in a file, for where only a memory stick travels.
//!
//! It does not: open files (node's `bundle` does), or judge commits in another way than a session does.
//!
//! `keys` wraps a key for its receivers; `format` is the file; `plan` says who receives what, and `take` takes
//! it in; `recovery` uses the same wrapping for the key of a folder whose passphrase was forgotten. The manual's page is [`crate::manual::bundles`].
//!
//! Invariants: what goes in is what `scope` says that its receivers share with the sender, and nothing else; a
//! bundle is taken in as a whole or not at all (the caller's transaction); twice, or in any order, is harmless.

pub mod format;
pub mod keys;
mod plan;
pub mod recovery;
mod take;

pub use format::{Address, Checked, FormatError, Header, Reader, Sealer};
pub use keys::{BoxKey, BoxSecret};
pub use plan::{Parcel, Plan, PlanError, Receiver, Target, named_by_ticket};
pub use take::{TakeError, Taken, Taking};

/// Whether the charter says that the rights of a device have ended. One that it does not know yet may show its
/// right in the bundle itself.
#[must_use]
pub fn sender_ended(charter: &crate::charter::Charter, sender: DeviceId, now: Millis) -> bool {
    use crate::sync::door::{Door, judge_rights};
    use crate::wire::frame::RefuseCode;
    matches!(judge_rights(charter, sender, now), Some(Door::Refused(RefuseCode::GrantEnded, _)))
}

use crate::id::DeviceId;
use crate::time::Millis;
use crate::wire::frame::SpaceFrontier;

/// What a neighbour said in its newest bundle that it holds.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
struct Held {
    /// When it made that bundle, by its clock.
    #[n(0)]
    at: Millis,
    /// The tips of the spaces that both share.
    #[n(1)]
    spaces: Vec<SpaceFrontier>,
}

/// Under which name the store keeps what a neighbour holds.
fn held_by(device: &DeviceId) -> String {
    format!("bundle_held/{device}")
}
