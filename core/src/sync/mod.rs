//! The sync session: a pure state machine between a lower and an upper end of one link.
//!
//! It does not: know a transport, a collection or a schema; open a document; keep a queue for a peer
//! that is not there.
//!
//! Invariants: a side speaks in turns that end with a [`crate::wire::frame::Mark`]; *verified* is said
//! only when a mark's digests equal what is held in the same read of the store and nothing waits to
//! be sent; every repair is bounded.

mod about;
mod acks;
mod beacons;
mod commits;
mod deposit;
pub(crate) mod door;
pub(crate) mod fetch;
pub(crate) mod files;
mod greet;
mod hello;
mod inbox;
mod marks;
mod nodes;
mod orphans;
mod outbox;
mod own_ack;
mod receive;
pub(crate) mod registers;
mod send;
mod session;
mod short_ack;
mod talk;
mod terms;
mod through;

pub use about::About;
pub use files::FileTalk;
pub use session::Session;
pub use terms::{Env, Event, Progress, Role, SessionError, Stats, Waiting};

/// The lanes of a link, most urgent first: one stream each where the transport has streams.
pub mod lane {
    /// Control and charter.
    pub const CHARTER: u8 = 0;
    /// `down`.
    pub const DOWN: u8 = 1;
    /// Registers and acknowledgements.
    pub const REGISTERS: u8 = 2;
    /// Recent changes.
    pub const RECENT: u8 = 3;
    /// Backfill.
    pub const BACKFILL: u8 = 4;
    /// Files.
    pub const FILES: u8 = 7;
}

#[cfg(test)]
mod close_tests;
#[cfg(test)]
mod rest_tests;
