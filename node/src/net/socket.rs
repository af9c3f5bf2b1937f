//! The UDP sockets of endpoints: bound for both IP families where there are two, with room for what comes at once.
//!
//! It does not: send or receive (quinn does), or insist: what the system gives is accepted.
//!
//! Invariants: every socket of an endpoint is opened here; sizes are asked for by the ordinary option, which needs no
//! privilege and goes no further than the system's own limit.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Bytes that a relay's socket may hold in either direction before quinn has read or the network taken them. A small
/// datagram costs the kernel 2.3 kB, so what Linux gives by itself (208 kB) is full with some 90, and what is dropped of a
/// city that comes back at once waits for a second and more to be sent again. This holds some 1,800, and on Linux,
/// which counts twice what is asked for, 3,600: the first two datagrams of `HANDSHAKES_MAX` and as many again.
const RELAY_BUFFER_BYTES: usize = 4 << 20;

/// The same of an end that only dials: the first flights of a few relays, or two windows of a fast link.
const DIAL_BUFFER_BYTES: usize = 1 << 20;

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It accepts, and may dial.
    Accept,
    /// It only dials.
    Dial,
}

impl Use {
    fn bytes(self) -> usize {
        match self {
            Use::Accept => RELAY_BUFFER_BYTES,
            Use::Dial => DIAL_BUFFER_BYTES,
        }
    }
}

/// What a socket was given of the room that it asked for, in bytes as the system counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    asked: usize,
    receive: usize,
    send: usize,
}

impl Room {
    /// Whether it is less than half.
    fn is_short(&self) -> bool {
        self.receive.min(self.send) < self.asked / 2
    }
}

/// A socket bound to this address.
pub(super) fn bind(addr: SocketAddr, used: Use) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        // Where the system has one family a socket, this one has IPv6 alone.
        if let Err(e) = socket.set_only_v6(false) {
            tracing::debug!(error = %e, "the socket takes IPv6 alone");
        }
    }
    socket.bind(&addr.into())?;
    let socket = UdpSocket::from(socket);
    let room = widen(&socket, used.bytes());
    if room.is_short() && used == Use::Accept {
        tracing::info!(
            asked = room.asked,
            receive = room.receive,
            send = room.send,
            "the system gives the relay's socket less room than it asks for: when many branches come back at once, some of \
             their first packets are lost and sent again a second later; net.core.rmem_max and net.core.wmem_max set to \
             4194304 (sysctl, on Linux) give it all"
        );
    } else {
        tracing::debug!(asked = room.asked, receive = room.receive, send = room.send, "room of a socket");
    }
    Ok(socket)
}

/// Asks for this much room either way; what it has then.
fn widen(socket: &UdpSocket, asked: usize) -> Room {
    let socket = SockRef::from(socket);
    // A system that gives less than is asked for may say so or not: what counts is what it has.
    for set in [socket.set_recv_buffer_size(asked), socket.set_send_buffer_size(asked)] {
        if let Err(e) = set {
            tracing::debug!(error = %e, "the socket keeps the room it has");
        }
    }
    let or_none = |size: io::Result<usize>| size.unwrap_or(0);
    Room { asked, receive: or_none(socket.recv_buffer_size()), send: or_none(socket.send_buffer_size()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_never_gets_less_room_than_the_system_gives_by_itself() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let plain = UdpSocket::bind(loopback).unwrap();
        let plain = SockRef::from(&plain).recv_buffer_size().unwrap();
        for used in [Use::Accept, Use::Dial] {
            let socket = bind(loopback, used).unwrap();
            let got = SockRef::from(&socket).recv_buffer_size().unwrap();
            assert!(got >= plain.min(used.bytes()), "{got} of {}, {plain} by itself", used.bytes());
            // And it is the system's limit that it stops at, not ours.
            if plain < used.bytes() && got <= plain {
                let more = widen(&socket, 2 * plain);
                assert!(more.receive <= got, "it could have had {more:?}");
            }
        }
    }

    #[test]
    fn one_socket_serves_both_families_where_there_are_two() {
        let Ok(socket) = bind(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)), Use::Dial) else { return };
        let v4 = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], socket.local_addr().unwrap().port()));
        v4.send_to(b"x", to).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(socket.recv_from(&mut buffer).unwrap().0, 1);
    }

    #[test]
    fn less_than_half_is_short() {
        let room = |receive, send| Room { asked: 1_000, receive, send };
        assert!(!room(500, 2_000).is_short());
        assert!(room(499, 2_000).is_short() && room(2_000, 499).is_short());
    }
}
