//! The link on loopback: identity, order, limits and endings.
//!
//! Invariants: nothing here waits for time to pass; a dial that must fail has a short timeout.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use sampan_core::id::DeviceId;
use sampan_core::limits::FRAME_BYTES_MAX;

use super::transport::STREAM_WINDOW_BYTES;
use super::*;

const LONG: Duration = Duration::from_secs(30);

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn server(n: u8) -> Endpoint {
    Endpoint::server(loopback(), &key(n), Options::default()).unwrap()
}

fn client(n: u8) -> Endpoint {
    Endpoint::client(&key(n), Options::default()).unwrap()
}

async fn dial(from: &Endpoint, to: &Endpoint) -> Result<Connection, DialError> {
    from.connect(&to.local_addr().unwrap().to_string(), &[to.device()], LONG).await
}

/// Both ends of a new connection.
async fn pair(from: &Endpoint, to: &Endpoint) -> (Connection, Connection) {
    let (dialled, accepted) = tokio::join!(dial(from, to), async { to.accept().await.unwrap().accept().await });
    (dialled.unwrap(), accepted.unwrap())
}

#[tokio::test]
async fn both_ends_know_each_other_and_a_server_can_dial() {
    let (branch, relay, city) = (client(1), server(2), server(3));
    let (a, b) = pair(&branch, &relay).await;
    assert_eq!((a.peer(), b.peer()), (relay.device(), branch.device()));
    assert_eq!(a.remote(), relay.local_addr().unwrap());
    assert!(b.remote().is_ipv4(), "mapped addresses must not show: {}", b.remote());
    let (c, d) = pair(&relay, &city).await;
    assert_eq!((c.peer(), d.peer()), (city.device(), relay.device()));
}

#[tokio::test]
async fn another_key_at_the_address_is_refused_by_name() {
    let (branch, relay) = (client(1), server(2));
    let serve = tokio::spawn({
        let relay = relay.clone();
        async move { relay.accept().await.unwrap().accept().await.map(|c| c.peer()) }
    });
    let addr = relay.local_addr().unwrap();
    let strangers = [DeviceId([7; 32]), DeviceId([8; 32])];
    let err = branch.connect(&addr.to_string(), &strangers, LONG).await.unwrap_err();
    let expected = format!("{}, {}", strangers[0], strangers[1]);
    assert_eq!(err, DialError::WrongKey { addr, expected, found: relay.device() });
    assert!(matches!(serve.await.unwrap(), Err(AcceptError::Handshake { .. })));
}

#[tokio::test]
async fn nothing_at_the_address_is_unreachable_and_no_name_is_dns() {
    let closed = std::net::UdpSocket::bind(loopback()).unwrap();
    let addr = closed.local_addr().unwrap().to_string();
    drop(closed);
    let branch = client(1);
    let err = branch.connect(&addr, &[DeviceId([7; 32])], Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(&err, DialError::Unreachable { addr: a, .. } if *a == addr), "{err}");
    let err = branch.connect("no port here", &[], LONG).await.unwrap_err();
    assert!(matches!(err, DialError::Dns { .. }), "{err}");
}

#[tokio::test]
async fn a_full_relay_says_so() {
    let options = Options { connections_max: 1, ..Options::default() };
    let relay = Endpoint::server(loopback(), &key(2), options).unwrap();
    let branch = client(1);
    let (_a, _b) = pair(&branch, &relay).await;
    let accepting = tokio::spawn({
        let relay = relay.clone();
        async move { relay.accept().await.is_none() }
    });
    let err = dial(&branch, &relay).await.unwrap_err();
    assert!(matches!(err, DialError::Refused { .. }), "{err}");
    relay.close(code::DONE, "");
    assert!(accepting.await.unwrap(), "nothing above the limit may come out of accept");
}

#[tokio::test]
async fn frames_of_every_size_arrive_whole_and_in_order() {
    let (branch, relay) = (client(1), server(2));
    let (a, mut b) = pair(&branch, &relay).await;
    let sizes = [0, 1, 1199, 16 << 10, (16 << 10) + 1, FRAME_BYTES_MAX, 3];
    let sending = tokio::spawn(async move {
        for (n, size) in sizes.into_iter().enumerate() {
            a.sender.send(4, vec![n as u8; size]).await.unwrap();
        }
        a
    });
    for (n, size) in sizes.into_iter().enumerate() {
        assert_eq!(b.receiver.recv().await, Ok(Some((4, vec![n as u8; size]))));
    }
    let a = sending.await.unwrap();
    assert!(a.control.stats().udp_sent_bytes > FRAME_BYTES_MAX as u64);
    assert!(b.control.stats().udp_received_bytes > FRAME_BYTES_MAX as u64);
}

#[tokio::test]
async fn a_backlog_does_not_hold_up_an_urgent_frame() {
    const FRAMES: usize = 64;
    const BYTES: usize = 256 << 10;
    let (branch, relay) = (client(1), server(2));
    let (a, mut b) = pair(&branch, &relay).await;
    // Two frames fit the lane's window; the rest, fifteen windows, cannot be in flight.
    assert!(FRAMES * BYTES > 10 * STREAM_WINDOW_BYTES as usize);
    for _ in 0..2 {
        a.sender.send(6, vec![0; BYTES]).await.unwrap();
    }
    let backlog = a.sender.clone();
    tokio::spawn(async move {
        for _ in 2..FRAMES {
            backlog.send(6, vec![0; BYTES]).await.unwrap();
        }
    });
    // The lane of the backlog fills up and stays full, for nobody reads yet.
    let mut sender = a.sender.clone();
    while sender.is_free(6) {
        tokio::task::yield_now().await;
    }
    sender.send(0, b"revoked".to_vec()).await.unwrap();
    let mut before = 0;
    while let Some((priority, _)) = b.receiver.recv().await.unwrap() {
        if priority == 0 {
            break;
        }
        before += 1;
    }
    assert!(before < FRAMES / 2, "{before} frames of the backlog came first");
    sender.freed().await;
}

#[tokio::test]
async fn a_busy_lane_gives_the_frame_back_and_tells_when_it_is_free() {
    let (branch, relay) = (client(1), server(2));
    let (mut a, mut b) = pair(&branch, &relay).await;
    let big = vec![5; FRAME_BYTES_MAX];
    // With its length a frame of this size does not fit the window, so the lane stays busy.
    assert_eq!(a.sender.offer(5, big.clone()), Ok(Offer::Taken));
    assert_eq!(a.sender.offer(5, vec![1]), Ok(Offer::Busy(vec![1])));
    assert!(!a.sender.is_free(5) && a.sender.is_free(4));
    assert_eq!(b.receiver.recv().await, Ok(Some((5, big))));
    a.sender.freed().await;
    assert_eq!(a.sender.offer(5, vec![1]), Ok(Offer::Taken));
    assert_eq!(b.receiver.recv().await, Ok(Some((5, vec![1]))));
}

#[tokio::test]
async fn a_send_that_nobody_waits_for_does_not_tear_the_stream() {
    let (branch, relay) = (client(1), server(2));
    let (a, mut b) = pair(&branch, &relay).await;
    let big = vec![5; FRAME_BYTES_MAX];
    tokio::select! {
        biased;
        _ = a.sender.send(5, big.clone()) => panic!("it does not fit the window"),
        () = async { while a.sender.is_free(5) { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(b.receiver.recv().await, Ok(Some((5, big))));
    a.sender.send(5, vec![2]).await.unwrap();
    assert_eq!(b.receiver.recv().await, Ok(Some((5, vec![2]))));
}

#[tokio::test]
async fn our_own_mistakes_are_refused_before_the_wire() {
    let (branch, relay) = (client(1), server(2));
    let (a, _b) = pair(&branch, &relay).await;
    let bytes = FRAME_BYTES_MAX + 1;
    let oversize = ConnError::LocalOversize { bytes, limit: FRAME_BYTES_MAX };
    assert_eq!(a.sender.send(0, vec![0; bytes]).await, Err(oversize));
    assert_eq!(a.sender.send(8, vec![]).await, Err(ConnError::LocalPriority { priority: 8 }));
    a.sender.finish(LONG).await.unwrap();
    assert_eq!(a.sender.send(0, vec![]).await, Err(ConnError::LocalFinished));
}

/// What the receiver says to raw bytes on a stream, and what the sender of them is told.
async fn raw(bytes: &[u8], finish: bool) -> (ConnError, ConnError) {
    let (branch, relay) = (client(1), server(2));
    let (a, mut b) = pair(&branch, &relay).await;
    let mut stream = a.control.quic().open_uni().await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if finish {
        stream.finish().unwrap();
    }
    let here = b.receiver.recv().await.unwrap_err();
    (here, a.control.closed().await)
}

#[tokio::test]
async fn broken_framing_closes_the_connection_with_a_sentence() {
    let announced = FRAME_BYTES_MAX as u32 + 1;
    let mut oversize = vec![3];
    oversize.extend_from_slice(&announced.to_le_bytes());
    let err = ConnError::PeerOversize { priority: 3, bytes: announced, limit: FRAME_BYTES_MAX };
    let cases: [(&[u8], bool, ConnError); 5] = [
        (&oversize, false, err),
        (&[8, 0], false, ConnError::PeerFraming { why: "a stream names a priority that does not exist" }),
        (&[], true, ConnError::PeerFraming { why: "a stream ended before it named its priority" }),
        (&[0, 9, 0], true, ConnError::PeerFraming { why: "a stream ended inside a frame's length" }),
        (&[0, 9, 0, 0, 0, 1], true, ConnError::PeerFraming { why: "a stream ended inside a frame" }),
    ];
    for (bytes, finish, expected) in cases {
        let (here, there) = raw(bytes, finish).await;
        assert_eq!(there, ConnError::ClosedByPeer { code: code::FRAMING, reason: expected.to_string() });
        assert_eq!(here, expected);
    }
}

#[tokio::test]
async fn a_second_stream_of_one_priority_is_refused() {
    let (branch, relay) = (client(1), server(2));
    let (a, mut b) = pair(&branch, &relay).await;
    for _ in 0..2 {
        let mut stream = a.control.quic().open_uni().await.unwrap();
        stream.write_all(&[2]).await.unwrap();
    }
    assert!(matches!(b.receiver.recv().await, Err(ConnError::PeerFraming { .. })));
}

#[tokio::test]
async fn reasons_arrive_and_what_was_finished_is_read_before_them() {
    let (branch, relay) = (client(1), server(2));
    let (a, mut b) = pair(&branch, &relay).await;
    b.control.close(17, "this device was revoked");
    let mut a_receiver = a.receiver;
    let closed = ConnError::ClosedByPeer { code: 17, reason: "this device was revoked".into() };
    assert_eq!(a_receiver.recv().await, Err(closed.clone()));
    assert_eq!(a.sender.send(0, vec![1]).await, Err(closed));
    assert_eq!(b.receiver.recv().await, Err(ConnError::ClosedHere));

    let (a, mut b) = pair(&branch, &relay).await;
    a.sender.send(1, vec![1]).await.unwrap();
    a.sender.send(7, vec![7; 5000]).await.unwrap();
    a.sender.finish(LONG).await.unwrap();
    a.control.close(code::DONE, "");
    b.control.closed().await;
    assert_eq!(b.receiver.recv().await, Ok(Some((1, vec![1]))));
    assert_eq!(b.receiver.recv().await, Ok(Some((7, vec![7; 5000]))));
    assert_eq!(b.receiver.recv().await, Ok(None));
}

#[tokio::test]
async fn a_connection_let_go_is_closed_and_frees_its_place() {
    let options = Options { connections_max: 1, ..Options::default() };
    let relay = Endpoint::server(loopback(), &key(2), options).unwrap();
    let branch = client(1);
    let (a, b) = pair(&branch, &relay).await;
    drop(b);
    assert_eq!(a.control.closed().await, ConnError::ClosedByPeer { code: code::DROPPED, reason: String::new() });
    pair(&branch, &relay).await;
}

#[tokio::test]
async fn resumed_sessions_still_name_the_peer() {
    let (branch, other, relay) = (client(1), client(5), server(2));
    for _ in 0..3 {
        for from in [&branch, &other] {
            let (mut a, b) = pair(from, &relay).await;
            assert_eq!((a.peer(), b.peer()), (relay.device(), from.device()));
            // A frame comes after the ticket, so the next session can be resumed.
            b.sender.send(0, vec![1]).await.unwrap();
            assert_eq!(a.receiver.recv().await, Ok(Some((0, vec![1]))));
            a.control.close(code::DONE, "");
            b.control.closed().await;
        }
    }
    assert_eq!(relay.full_handshakes(), 2, "every later session should have been resumed");
}

#[tokio::test]
async fn a_closed_endpoint_tells_its_peers_and_accepts_no_more() {
    let (branch, relay) = (client(1), server(2));
    let (mut a, _b) = pair(&branch, &relay).await;
    relay.close(code::STOPPING, "restarting");
    let stopping = ConnError::ClosedByPeer { code: code::STOPPING, reason: "restarting".into() };
    assert_eq!(a.receiver.recv().await, Err(stopping));
    assert!(relay.accept().await.is_none());
    relay.wait_idle().await;
}

#[tokio::test]
async fn a_connection_survives_a_change_of_network() {
    let (branch, relay) = (client(1), server(2));
    let (a, mut b) = pair(&branch, &relay).await;
    let before = branch.local_addr().unwrap();
    branch.rebind().unwrap();
    assert_ne!(branch.local_addr().unwrap(), before);
    a.sender.send(0, vec![9]).await.unwrap();
    assert_eq!(b.receiver.recv().await, Ok(Some((0, vec![9]))));
}

#[tokio::test]
async fn a_restarted_relay_tells_its_children_at_once() {
    // A crash: the runtime goes with all its tasks, so nobody can say goodbye.
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let relay = process.spawn(async { server(2) }).await.unwrap();
    let addr = relay.local_addr().unwrap();
    let branch = client(1);
    let accepting = process.spawn({
        let relay = relay.clone();
        async move { relay.accept().await.unwrap().accept().await.unwrap() }
    });
    let a = dial(&branch, &relay).await.unwrap();
    let b = accepting.await.unwrap();
    tokio::task::spawn_blocking(move || process.shutdown_timeout(LONG)).await.unwrap();
    drop((b, relay));
    let _again = Endpoint::server(addr, &key(2), Options::default()).unwrap();
    a.sender.send(0, vec![1]).await.unwrap();
    assert_eq!(a.control.closed().await, ConnError::PeerRestarted);
}
