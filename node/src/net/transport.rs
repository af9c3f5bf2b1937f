//! The tuning of QUIC for thin, lossy and long links, each figure by name and with its reason.
//!
//! It does not: measure or adapt anything itself.
//!
//! Invariants: the connection's windows are [`PRIORITIES`] stream windows, so that one full lane
//! never takes the credit of another.

use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{AckFrequencyConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

/// Priorities of frames, 0 most urgent; each is one stream a direction.
pub const PRIORITIES: usize = 8;

/// Bytes in flight before the first acknowledgement. A branch's Monday fits one flight; beside
/// BBR and smaller windows, Cubic with this one won on 2G, after outages and over satellites.
const INITIAL_WINDOW_BYTES: u64 = 40 * 1200;

/// Packets that may share one acknowledgement: on a thin link the way back is as thin.
const ACK_EVERY_PACKETS: u32 = 8;

/// How long an acknowledgement may wait for company.
const ACK_DELAY_MAX: Duration = Duration::from_millis(200);

/// A silent dialler sends a ping this often. Below the 30 s after which many NATs forget a UDP
/// flow, with one ping to lose. Only the dialling end pings: the answer refreshes both.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A connection from which nothing came for this long is dead: three lost pings and a retry.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Bytes that one lane may have in flight or unread: 14 Mbit/s over a satellite's 600 ms.
pub(super) const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// Bytes that a connection may have in flight or unread.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * PRIORITIES as u32;

/// Unacknowledged bytes kept for sending again. Above the peer's windows on purpose: were it the
/// smaller, bulk in the buffer would keep an urgent frame out of it.
const SEND_WINDOW_BYTES: u64 = 2 * CONNECTION_WINDOW_BYTES as u64;

/// Bytes of a nudge, which says nothing: with it the other end may send three full packets to a port that it has not
/// proven yet, its challenge among them. It is the one QUIC datagram that is ever sent, and nobody reads it.
pub(super) const NUDGE_BYTES: usize = 1_100;

/// Which end of the connection the configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The end that dials and keeps the path open.
    Dialler,
    /// The end that accepts.
    Acceptor,
}

/// The transport configuration of one side; `thin` leaves out path-MTU probes (2.2 kB a
/// handshake).
pub(super) fn config(side: Side, thin: bool) -> Arc<TransportConfig> {
    let mut cubic = CubicConfig::default();
    cubic.initial_window(INITIAL_WINDOW_BYTES);
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(ACK_EVERY_PACKETS)).max_ack_delay(Some(ACK_DELAY_MAX));
    let idle_ms = VarInt::from_u32(IDLE_TIMEOUT.as_millis() as u32);

    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(cubic))
        .ack_frequency_config(Some(acks))
        .max_idle_timeout(Some(IdleTimeout::from(idle_ms)))
        .keep_alive_interval(match side {
            Side::Dialler => Some(KEEP_ALIVE),
            Side::Acceptor => None,
        })
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(PRIORITIES as u32))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(Some(2 * NUDGE_BYTES))
        .mtu_discovery_config((!thin).then(MtuDiscoveryConfig::default));
    Arc::new(config)
}
