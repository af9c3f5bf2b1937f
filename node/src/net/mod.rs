//! The QUIC link: endpoints that dial and accept, and connections that carry opaque frames.
//!
//! It does not: know the session protocol, judge what a device may do, look at a clock of the wall,
//! or redial; the link and the hub do that on top.
//!
//! Invariants: quinn and rustls are named in this room and nowhere else in the package; a
//! [`Connection`] always names the device whose key the other end proved to hold, also when its
//! TLS session was resumed; every queue here is bounded by a flow-control window or by one frame.
//!
//! ```text
//! endpoint   bind (socket), dial (every address of a name), accept (limits, Retry), close
//!   tls      RFC 7250 raw keys on the device key, session resumption
//!   transport  the tuning, by name
//! connection peer, remote, stats, close codes
//!   send     eight lanes, one writer each, none blocks another
//!   receive  the most urgent whole frame first
//! ```

mod connection;
mod endpoint;
mod error;
mod receive;
mod send;
mod socket;
mod stall;
mod tls;
mod transport;

#[cfg(test)]
mod tests;

pub use connection::{Connection, Control, Stats, code};
pub use endpoint::{Endpoint, Incoming, Options};
pub use error::{AcceptError, BindError, ConnError, DialError};
pub use receive::Receiver;
pub use send::{Offer, Sender};
pub use tls::device_of;
pub use transport::{IDLE_TIMEOUT, PRIORITIES};
