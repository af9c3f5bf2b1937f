//! The log: entries, Merkle roots, commits.
//!
//! It does not: decide who may write (`charter`), what a peer lacks (`frontier`, `sync`) or how
//! payloads are laid out (`pack`).

pub mod brief;
pub mod commit;
pub mod entry;
pub mod merkle;
pub mod rebuilt;

pub use commit::{
    Commit, CommitError, EntryPayload, Header, Payload, Secret, SignedHeader, VerifiedHeader, device_id, sign,
    signature_holds,
};
pub use entry::{BirthOf, Entry, EntryKind, salt};
pub use rebuilt::Rebuilt;
