//! A seeded userspace UDP proxy between two real nodes: what a thin, lossy, cut or shy link does to
//! real packets.
//!
//! [`profile`] says what a link does, [`fate`] draws for each packet, [`mod@line`] is one link with its clock
//! passed in, [`count`] what it came to, and [`run`] puts sockets around it.
//!
//! It does not: read or change a packet, or know QUIC beyond "this packet opens a connection".
//!
//! Invariants: one seed decides every random decision, by direction and packet index; when a packet
//! arrives is the machine's, and no decision hangs on it but those of rate, queue and cuts.

pub mod count;
pub mod fate;
pub mod line;
pub mod profile;
pub mod run;

pub use count::{Counts, Leg, Lost, Tally};
pub use profile::{After, Burst, Cut, Every, Link, Profile, Way, Windows};
pub use run::Proxy;
