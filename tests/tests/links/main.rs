//! Replicas on disk, real QUIC on loopback, in one process.

use sampan_core::charter::Roles;
use sampan_tests::city::{Branch, add_members, found, relay, relay_at, ticket, unit};

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
