//! What can go wrong on the way to a peer and on a connection, as sentences.
//!
//! It does not: say what to do about the peer's rights; those are refusals of the session.
//!
//! Invariants: a name begins with the culprit where there is one (`Peer…` misbehaved, `Local…` is
//! our own use of the link).

use std::net::SocketAddr;
use std::time::Duration;

use sampan_core::id::DeviceId;

/// An endpoint could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The socket could not be opened.
    #[error("cannot open UDP {addr}: {source}; another program may hold the port")]
    Socket {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The TLS configuration was refused.
    #[error("cannot set up TLS for the device key: {why}")]
    Tls {
        /// What rustls said.
        why: String,
    },
    /// No tokio runtime is running.
    #[error("the network needs a running tokio runtime")]
    NoRuntime,
}

/// A dial that brought no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The name gave no address.
    #[error("'{host}' gives no address: {why}; check the name and the port, as in relay.example:7447")]
    Dns {
        /// What was looked up.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// Nothing answered. A closed UDP port, a firewall and a cut line look the same.
    #[error("no answer from {addr} ({tried}): {why}")]
    Unreachable {
        /// What was dialled.
        addr: String,
        /// The addresses tried, comma separated.
        tried: String,
        /// What happened.
        why: String,
    },
    /// Somebody else answered.
    #[error("{addr} holds the key of device {found}, not of {expected}; nothing was sent to it")]
    WrongKey {
        /// What was dialled.
        addr: SocketAddr,
        /// The devices expected, comma separated.
        expected: String,
        /// The device that answered.
        found: DeviceId,
    },
    /// It answered and the handshake failed.
    #[error("{addr} answered, but the handshake failed: {why}")]
    Handshake {
        /// What was dialled.
        addr: SocketAddr,
        /// What went wrong.
        why: String,
    },
    /// It answered that it takes no connection now.
    #[error("{addr} refused the connection (code {code}): {reason}")]
    Refused {
        /// What was dialled.
        addr: SocketAddr,
        /// The QUIC or application error code.
        code: u64,
        /// The peer's words.
        reason: String,
    },
}

/// An incoming connection that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The handshake failed.
    #[error("the handshake with {remote} failed: {why}")]
    Handshake {
        /// Who tried.
        remote: SocketAddr,
        /// What went wrong.
        why: String,
    },
    /// The handshake took too long.
    #[error("the handshake with {remote} did not finish within {} s", within.as_secs())]
    TimedOut {
        /// Who tried.
        remote: SocketAddr,
        /// The limit.
        within: Duration,
    },
}

/// A connection that ended, or an operation on it that cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnError {
    /// The peer closed, with a reason.
    #[error("the peer closed the connection (code {code}): {reason}")]
    ClosedByPeer {
        /// Its code, see [`super::code`].
        code: u32,
        /// Its words.
        reason: String,
    },
    /// This end closed.
    #[error("this end closed the connection")]
    ClosedHere,
    /// Nothing was heard although an answer was due.
    #[error("nothing was heard from the peer for {} s", after.as_secs())]
    Silent {
        /// For how long.
        after: Duration,
    },
    /// The peer's process was started anew and does not know this connection.
    #[error("the peer has restarted and does not know this connection")]
    PeerRestarted,
    /// QUIC gave up.
    #[error("the QUIC connection broke: {why}")]
    Transport {
        /// What quinn said.
        why: String,
    },
    /// The peer announced a frame above the limit.
    #[error("the peer announced a frame of {bytes} bytes at priority {priority}; the limit FRAME_BYTES_MAX is {limit}")]
    PeerOversize {
        /// The priority of the stream.
        priority: u8,
        /// Announced bytes.
        bytes: u32,
        /// The limit.
        limit: usize,
    },
    /// The peer broke the rules of streams.
    #[error("the peer broke the framing: {why}")]
    PeerFraming {
        /// How.
        why: &'static str,
    },
    /// A frame of ours above the limit.
    #[error("a frame of {bytes} bytes cannot be sent; the limit FRAME_BYTES_MAX is {limit}")]
    LocalOversize {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A priority that does not exist.
    #[error("there is no priority {priority}; they go from 0 (most urgent) to {}", super::PRIORITIES - 1)]
    LocalPriority {
        /// The number given.
        priority: u8,
    },
    /// A frame offered after `finish`.
    #[error("the sender was finished; no frame can follow")]
    LocalFinished,
    /// What was sent was not acknowledged in time.
    #[error("the peer did not acknowledge everything within {} ms", within.as_millis())]
    Unacknowledged {
        /// The limit.
        within: Duration,
    },
}

impl From<quinn::ConnectionError> for ConnError {
    fn from(e: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as E;
        match e {
            E::ApplicationClosed(c) => Self::ClosedByPeer {
                // Codes above 32 bits are not ours; the greatest says "unknown" as well as any.
                code: u32::try_from(c.error_code.into_inner()).unwrap_or(u32::MAX),
                reason: String::from_utf8_lossy(&c.reason).into_owned(),
            },
            E::LocallyClosed => Self::ClosedHere,
            E::TimedOut => Self::Silent { after: super::IDLE_TIMEOUT },
            E::Reset => Self::PeerRestarted,
            E::VersionMismatch | E::TransportError(_) | E::ConnectionClosed(_) | E::CidsExhausted => {
                Self::Transport { why: e.to_string() }
            }
        }
    }
}
