//! Replicas on disk, real QUIC on loopback, in one process.

mod quotas;

use sampan_core::charter::Roles;
use sampan_core::id::StoreEpoch;
use sampan_core::limits::{LINKS_PER_DEVICE_MAX, REFUSALS_PER_ADDRESS_MAX};
use sampan_core::log::device_id;
use sampan_core::sync::Role;
use sampan_core::testing::test_key;
use sampan_core::wire::frame::{Frame, Hello, RefuseCode, ScopeDigests};
use sampan_node::link::pump::is_done;
use sampan_node::link::{PumpEnd, pump};
use sampan_node::net::{Connection, Endpoint, Options};
use sampan_tests::city::{Branch, PATIENCE, add_members, found, relay, relay_at, ticket, unit};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_branch_syncs_with_its_city_over_quic() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let city = relay(found(&dir.path().join("city"), "Thành phố")).await;
        let root = city.daemon.desk.call(|r| r.engine.charter().root().unwrap()).await.unwrap();
        let branch = unit(&city.daemon.desk, root, "Chi bộ 1", "branch").await;
        let line = ticket(&city.daemon.desk, branch, Roles::EDITOR).await;
        let b = Branch::join(&dir.path().join("branch"), &line);
        let first = b.sync_ok().await;
        assert!(first.commits_received > 0, "{first:?}");
        add_members(&b.desk, branch, 1, 300).await;
        let second = b.sync_ok().await;
        assert_eq!(second.changes_sent, 300, "{second:?}");
        let third = b.sync_ok().await;
        assert_eq!((third.changes_sent, third.changes_received, third.round_trips), (0, 0, 1), "{third:?}");
        add_members(&b.desk, branch, 2, 5).await;
        let news = b.sync_ok().await;
        assert_eq!((news.changes_sent, news.round_trips), (5, 1), "{news:?}");
        let listed = city
            .daemon
            .desk
            .call(|r| {
                let c = r.collection("members").unwrap();
                r.list(&c, None, Some("nguyen")).unwrap().len()
            })
            .await
            .unwrap();
        assert!(listed > 0 && listed < 305, "{listed} found");
        let status = b.desk.call(|r| r.status().unwrap()).await.unwrap();
        assert_eq!(status.unsent_changes, 0);
        assert!(status.delivered.iter().all(|d| d.complete), "{status:?}");
        b.stop().await;
        city.daemon.stop().await;
    });
}

/// One session by the pump itself, ended as `sync` ends it; it must be done.
async fn pumped(b: &Branch, relay: &sampan_relay::serve::Relay) -> PumpEnd {
    let device = relay.daemon.desk.call(|r| r.device()).await.unwrap();
    let connection = b.endpoint.connect(&relay.listen.to_string(), &[device], PATIENCE).await.unwrap();
    let mut done = false;
    let end = pump(&b.desk, connection, Role::Lower, false, |state| {
        done |= is_done(state);
        done
    });
    let end = end.await;
    assert!(done, "{end:?}");
    end
}

#[test]
fn a_session_whose_last_word_was_answered_closes_at_once_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let city = relay(found(&dir.path().join("city"), "Thành phố")).await;
        let root = city.daemon.desk.call(|r| r.engine.charter().root().unwrap()).await.unwrap();
        let branch = unit(&city.daemon.desk, root, "Chi bộ 1", "branch").await;
        let mut pcs = Vec::new();
        for name in ["secretary", "deputy"] {
            let line = ticket(&city.daemon.desk, branch, Roles::EDITOR).await;
            let b = Branch::join(&dir.path().join(name), &line);
            let end = pumped(&b, &city).await;
            assert!(end.waited, "it has said last that it has all, and nobody answers that: {end:?}");
            b.sync_ok().await;
            pcs.push(b);
        }
        // The deputy's joining is news of the charter for the secretary.
        pcs[0].sync_ok().await;
        for round in 0..5 {
            add_members(&pcs[0].desk, branch, round, 10).await;
            let end = pumped(&pcs[0], &city).await;
            assert!(!end.waited, "{end:?}");
            let held = city.daemon.desk.call(|r| {
                let c = r.collection("members").unwrap();
                r.project().unwrap();
                r.list(&c, None, None).unwrap().len()
            });
            assert_eq!(held.await.unwrap() as u64, 10 * (round + 1));
        }
        let end = pumped(&pcs[1], &city).await;
        assert_eq!(end.state.stats.changes_received, 50);
        assert!(end.waited, "{end:?}");
        for b in pcs {
            b.stop().await;
        }
        city.daemon.stop().await;
    });
}

#[test]
fn a_stopped_relay_gives_its_port_back_at_once() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let mut replica = found(&dir.path().join("city"), "Thành phố");
        let mut listen = None;
        for _ in 0..10 {
            let city = match listen {
                None => relay(replica).await,
                Some(at) => relay_at(replica, at).await,
            };
            let root = city.daemon.desk.call(|r| r.engine.charter().root().unwrap()).await.unwrap();
            let line = ticket(&city.daemon.desk, root, Roles::READER).await;
            let b = Branch::join(&dir.path().join(format!("reader-{}", unique())), &line);
            b.sync_ok().await;
            listen = Some(city.listen);
            // The child's link is still open when its relay stops.
            replica = city.daemon.stop().await.unwrap();
            b.stop().await;
        }
    });
}

/// A name that no other folder here has.
fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

#[test]
fn two_devices_of_one_branch_stay_in_step_over_many_sessions() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let city = relay(found(&dir.path().join("city"), "Thành phố")).await;
        let root = city.daemon.desk.call(|r| r.engine.charter().root().unwrap()).await.unwrap();
        let branch = unit(&city.daemon.desk, root, "Chi bộ 1", "branch").await;
        let mut desks = Vec::new();
        for name in ["secretary", "deputy"] {
            let line = ticket(&city.daemon.desk, branch, Roles::EDITOR).await;
            let b = Branch::join(&dir.path().join(name), &line);
            b.sync_ok().await;
            desks.push(b);
        }
        // Every session both brings and fetches: the two directions cross.
        for round in 0..60 {
            for (i, b) in desks.iter().enumerate() {
                add_members(&b.desk, branch, 1_000 + round * 2 + i as u64, 2).await;
            }
            for b in &desks {
                let mut last = None;
                let within = std::time::Duration::from_secs(20);
                let outcome =
                    sampan_node::link::sync_once(&b.desk, &b.endpoint, None, within, |s| last = Some(s.clone()));
                let (report, result) = outcome.await;
                assert_eq!(result, Ok(()), "round {round}: {report:?}; the last state was {last:?}");
            }
        }
        city.daemon.stop().await;
    });
}

/// A link of a key that nobody knows to a relay.
async fn knock(endpoint: &Endpoint, relay: &sampan_relay::serve::Relay) -> Connection {
    let device = relay.daemon.desk.call(|r| r.device()).await.unwrap();
    let within = std::time::Duration::from_secs(30);
    endpoint.connect(&relay.listen.to_string(), &[device], within).await.unwrap()
}

#[test]
fn strangers_who_are_refused_again_and_again_wait_and_their_neighbours_do_not() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let city = relay(found(&dir.path().join("city"), "Thành phố")).await;
        let org = city.daemon.desk.call(|r| r.engine.org()).await.unwrap();
        let root = city.daemon.desk.call(|r| r.engine.charter().root().unwrap()).await.unwrap();
        let line = ticket(&city.daemon.desk, root, Roles::READER).await;
        let neighbour = Branch::join(&dir.path().join("neighbour"), &line);
        neighbour.sync_ok().await;
        let mut told = Vec::new();
        let mut knocks = 0;
        // A slow machine's refusals are forgiven while it knocks, so that their number is not fixed.
        while told.len() < 3 {
            knocks += 1;
            assert!(knocks < 50 * u64::from(REFUSALS_PER_ADDRESS_MAX), "nobody is made to wait");
            let key = test_key(5_000 + knocks);
            let endpoint = Endpoint::client(&key, Options::default()).unwrap();
            let mut link = knock(&endpoint, &city).await;
            let hello = Hello {
                version_min: 1,
                version_max: 1,
                org,
                device: device_id(&key),
                units: Vec::new(),
                tree_number: 0,
                schema_version: 0,
                clock: sampan_core::testing::test_time(1),
                epoch: StoreEpoch::default(),
                digests: ScopeDigests::default(),
                frontier: None,
                chain: Vec::new(),
                registers: None,
                acks: None,
                fallback: false,
            };
            // Where the gate has closed the link already there is nothing to send it on.
            let _ = link.sender.send(0, Frame::Hello(Box::new(hello)).encode()).await;
            match link.receiver.recv().await {
                Ok(Some((_, bytes))) => {
                    let frame = Frame::decode(&bytes).unwrap();
                    assert!(matches!(frame, Frame::Refuse(RefuseCode::Busy | RefuseCode::NoGrant, ..)), "{frame:?}");
                }
                Ok(None) => panic!("closed without a word"),
                Err(e) => told.push(e.to_string()),
            }
            // Its own end is not awaited: the relay counts it when it has closed.
            link.control.close(1, "");
        }
        assert!(knocks > u64::from(REFUSALS_PER_ADDRESS_MAX), "a few wrong tickets are nothing: {knocks}");
        assert!(told.iter().all(|t| t.contains("too many were refused")), "{told:?}");
        neighbour.sync_ok().await;
        city.daemon.stop().await;
    });
}

#[test]
fn a_device_that_opens_link_after_link_keeps_only_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let city = relay(found(&dir.path().join("city"), "Thành phố")).await;
        let endpoint = Endpoint::client(&test_key(6_000), Options::default()).unwrap();
        let mut links = Vec::new();
        for _ in 0..=LINKS_PER_DEVICE_MAX {
            links.push(knock(&endpoint, &city).await);
        }
        // Handshakes may end in another order at the relay: which of the first it is does not matter.
        let mut waiting: Vec<_> =
            links.into_iter().map(|mut l| Box::pin(async move { l.receiver.recv().await.map(|_| ()) })).collect();
        let closed = std::future::poll_fn(|cx| {
            for link in &mut waiting {
                if let std::task::Poll::Ready(end) = link.as_mut().poll(cx) {
                    return std::task::Poll::Ready(end);
                }
            }
            std::task::Poll::Pending
        });
        let words = closed.await.unwrap_err().to_string();
        assert!(words.contains("more links than one device needs"), "{words}");
        city.daemon.stop().await;
    });
}
