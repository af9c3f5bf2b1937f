//! The herd: every branch of a city at one relay at once, each with its own key, its frontier and one commit that
//! nobody has yet, over real QUIC on loopback.
//!
//! It does not: run as a test; `sampan-bench herd` does, with the relay as a process of its own.
//!
//! Invariants: the relay is the real program's code on a real folder; the branches are real engines and sessions
//! on stores in memory (their disks are theirs, not the relay's), and stay connected until the relay was counted.

mod branch;
mod found;

pub use branch::{Branch, Kept, Seed, run};
pub use found::{Found, found};
