//! Replicas on disk, real QUIC on loopback, in one process.

use sampan_core::charter::Roles;
use sampan_tests::city::{Branch, add_members, found, relay, ticket, unit};

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
