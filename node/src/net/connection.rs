//! One connection: who is at the other end, what it cost, and how it ends.
//!
//! It does not: read or write frames (see [`Sender`] and [`Receiver`]) or decide when to close.
//!
//! Invariants: `peer` was proven in the handshake or in the one that a resumed session came from;
//! when the last of [`Control`], [`Sender`] and [`Receiver`] goes, the connection is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quinn::VarInt;
use sampan_core::id::DeviceId;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::error::ConnError;
use super::receive::Receiver;
use super::send::Sender;
use super::stall::{LOAD_LOOK_EVERY, LoadWatch, STALL_AFTER, STALL_LOOK_EVERY, StallWatch};
use super::tls;
use super::transport::NUDGE_BYTES;

/// Codes of [`Control::close`] that this layer uses; protocols above begin at
/// [`FIRST_FREE`](code::FIRST_FREE).
pub mod code {
    /// The connection was let go without a word.
    pub const DROPPED: u32 = 0;
    /// All is said: the peer's `recv` ends with `None` once it has read what came before.
    pub const DONE: u32 = 1;
    /// The peer broke the framing.
    pub const FRAMING: u32 = 2;
    /// Nothing was heard any more.
    pub const STALLED: u32 = 3;
    /// The endpoint shuts down; dial again later.
    pub const STOPPING: u32 = 4;
    /// The first code that protocols above may give a meaning.
    pub const FIRST_FREE: u32 = 16;
}

/// What a connection has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of UDP payload sent, handshake included.
    pub udp_sent_bytes: u64,
    /// Bytes of UDP payload received, handshake included; on the accepting end without the
    /// dialler's first datagram (1,200 bytes), which came before there was a connection.
    pub udp_received_bytes: u64,
    /// Packets found lost.
    pub lost_packets: u64,
    /// The round-trip time as QUIC estimates it now.
    pub rtt: Duration,
}

/// A connection as it comes from dialling or accepting; take it apart.
#[derive(Debug)]
pub struct Connection {
    /// Who, how much, and the end.
    pub control: Control,
    /// Frames to the peer.
    pub sender: Sender,
    /// Frames from the peer.
    pub receiver: Receiver,
}

impl Connection {
    /// The device at the other end.
    #[must_use]
    pub fn peer(&self) -> DeviceId {
        self.control.peer()
    }

    /// Its address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.control.remote()
    }

    /// Wraps a finished handshake; `None` if the peer's key is missing or is not of our kind.
    pub(super) fn new(quic: quinn::Connection, dialled: bool, permit: Option<OwnedSemaphorePermit>) -> Option<Self> {
        let Some(peer) = peer_of(&quic) else {
            quic.close(VarInt::from_u32(code::FRAMING), b"no ed25519 raw public key");
            return None;
        };
        let stalled = Arc::new(AtomicBool::new(false));
        if dialled {
            tokio::spawn(watch_for_stall(quic.clone(), stalled.clone()));
        }
        let control = Control { inner: Arc::new(Inner { quic, peer, stalled, _permit: permit }) };
        Some(Self { sender: Sender::new(control.clone()), receiver: Receiver::new(control.clone()), control })
    }
}

/// The handle that outlives the frames: identity, figures, close.
#[derive(Debug, Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    quic: quinn::Connection,
    peer: DeviceId,
    stalled: Arc<AtomicBool>,
    /// Counts against the acceptor's limit of connections until the connection is gone.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.quic.close(VarInt::from_u32(code::DROPPED), b"");
    }
}

impl Control {
    /// The device at the other end. Its rights are the caller's to check, on every connection.
    #[must_use]
    pub fn peer(&self) -> DeviceId {
        self.inner.peer
    }

    /// The peer's address as of now; it changes when the peer's network does.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        canonical(self.inner.quic.remote_address())
    }

    /// Ends the connection at once. What was not acknowledged may be lost: see
    /// [`Sender::finish`]. The peer learns the code and the reason, if the path still carries.
    pub fn close(&self, code: u32, reason: &str) {
        self.inner.quic.close(VarInt::from_u32(code), reason.as_bytes());
    }

    /// Waits for the end and says why.
    pub async fn closed(&self) -> ConnError {
        let why = self.inner.quic.closed().await;
        self.error(why)
    }

    /// Why the connection ended, if it did.
    #[must_use]
    pub fn close_reason(&self) -> Option<ConnError> {
        self.inner.quic.close_reason().map(|e| self.error(e))
    }

    /// Figures of the connection.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let s = self.inner.quic.stats();
        Stats {
            udp_sent_bytes: s.udp_tx.bytes,
            udp_received_bytes: s.udp_rx.bytes,
            lost_packets: s.path.lost_packets,
            rtt: s.path.rtt,
        }
    }

    pub(super) fn quic(&self) -> &quinn::Connection {
        &self.inner.quic
    }

    /// Our words for quinn's, with what only we know.
    pub(super) fn error(&self, e: quinn::ConnectionError) -> ConnError {
        match ConnError::from(e) {
            ConnError::ClosedHere if self.inner.stalled.load(Ordering::Acquire) => {
                ConnError::Silent { after: STALL_AFTER }
            }
            other => other,
        }
    }
}

/// An IPv4 address stays one although a dual-stack socket shows it mapped into IPv6.
pub(super) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// The device whose key the TLS session carries; on a resumed session it is the stored one.
fn peer_of(quic: &quinn::Connection) -> Option<DeviceId> {
    let certs = quic.peer_identity()?.downcast::<Vec<quinn::rustls::pki_types::CertificateDer<'static>>>().ok()?;
    match &certs[..] {
        [one] => tls::device_of_spki(one),
        [] | [_, _, ..] => None,
    }
}

/// Nudges a load that stands still and closes a dialled connection that has stalled; ends with the connection.
async fn watch_for_stall(quic: quinn::Connection, stalled: Arc<AtomicBool>) {
    let (began, received) = (Instant::now().into_std(), quic.stats().udp_rx);
    let mut watch = StallWatch::new(received.datagrams, began);
    let mut load = LoadWatch::new(received.bytes, began);
    loop {
        let wait = if load.is_load() { LOAD_LOOK_EVERY } else { STALL_LOOK_EVERY };
        tokio::select! {
            _ = quic.closed() => return,
            () = tokio::time::sleep(wait) => {
                let (now, stats) = (Instant::now().into_std(), quic.stats());
                if watch.stalled(stats.udp_rx.datagrams, now) {
                    stalled.store(true, Ordering::Release);
                    quic.close(VarInt::from_u32(code::STALLED), b"nothing heard");
                    return;
                }
                if load.stands(stats.udp_rx.bytes, stats.path.rtt, now)
                    && let Some(most) = quic.max_datagram_size()
                {
                    // An older peer takes none; and what cannot be sent now is not worth keeping.
                    let _ = quic.send_datagram(vec![0; most.min(NUDGE_BYTES)].into());
                }
            }
        }
    }
}
