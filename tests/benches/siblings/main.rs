//! What a flooding or hostile child costs its siblings: `cargo bench -p sampan-tests --bench siblings`.
//!
//! The honest sibling keeps a link to the relay; a round is one edit until both ends were equal again, which the
//! relay says when it has stored it durably. Rounds without any flood and rounds beside each kind of it take
//! turns in one run, on real QUIC over loopback. Each block of rounds is compared with the quiet ones just before
//! and after it, for other work on the machine comes and goes; what is printed is the middle of those ratios.
//!
//! It does not: prove that a flood is refused (the tests do), or compare machines.
//!
//! Invariants: bounded in rounds and in time; the flood never rests of itself while a round is timed.

mod flood;

use flood::{Attack, Attacker};
use sampan_core::charter::Roles;
use sampan_core::id::RecordId;
use sampan_core::sync::Role;
use sampan_core::value::{Edit, Value};
use sampan_node::desk::{Desk, SessionState};
use sampan_node::link::pump;
use sampan_relay::serve::Relay;
use sampan_tests::city::{Branch, PATIENCE, add_members, found, relay, ticket, unit};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often each kind of round has its turn.
const TURNS: usize = 4;
/// Rounds a turn.
const ROUNDS: usize = 12;
/// Between two rounds, as somebody who types fast.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a flood runs before the first round beside it: its device has used up what it may take at once.
const WARM_UP: Duration = Duration::from_millis(1_000);
/// The goal: a median at most this many times that of the quiet rounds around it.
const GOAL: f64 = 1.2;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(run());
}

async fn run() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of the machine before: {}", load.trim());
    let dir = tempfile::tempdir().expect("a folder");
    let city = relay(found(&dir.path().join("city"), "Thành phố")).await;
    let desk = &city.daemon.desk;
    let root = desk.call(|r| r.engine.charter().root()).await.flatten().expect("a root");
    let honest = unit(desk, root, "Chi bộ 1", "branch").await;
    let line = ticket(desk, honest, Roles::EDITOR).await;
    let branch = Branch::join(&dir.path().join("honest"), &line);
    branch.sync_ok().await;
    let ids = add_members(&branch.desk, honest, 7, 50).await;
    branch.sync_ok().await;
    let mut attackers = Vec::new();
    for attack in Attack::ALL {
        let id = unit(desk, root, &format!("Chi bộ {attack:?}"), "branch").await;
        let line = ticket(desk, id, Roles::EDITOR).await;
        let joined = Branch::join(&dir.path().join(format!("{attack:?}")), &line);
        joined.sync_ok().await;
        let key = joined.desk.call(|r| r.engine.key().clone()).await.expect("a key");
        joined.stop().await;
        attackers.push(Attacker::new(attack, key, id, &city).await);
    }
    let link = Link::open(&branch, &city).await;
    let mut n = 0;
    let mut quiet = vec![rounds(&branch.desk, &link, &ids, &mut n).await];
    let mut beside: Vec<Vec<(Vec<Duration>, f64)>> = vec![Vec::new(); attackers.len()];
    for _ in 0..TURNS {
        for (attacker, blocks) in attackers.iter().zip(&mut beside) {
            let flood = attacker.start();
            tokio::time::sleep(WARM_UP).await;
            let block = rounds(&branch.desk, &link, &ids, &mut n).await;
            flood.abort();
            // What it had under way is taken or dropped before anything is timed again.
            let _ = flood.await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let before = quiet.last().cloned().unwrap_or_default();
            quiet.push(rounds(&branch.desk, &link, &ids, &mut n).await);
            let around = [before, quiet.last().cloned().unwrap_or_default()].concat();
            let ratio = at(&block, 0.5).as_secs_f64() / at(&around, 0.5).as_secs_f64();
            blocks.push((block, ratio));
        }
    }
    let quiet = quiet.concat();
    let (median, p95) = (at(&quiet, 0.5), at(&quiet, 0.95));
    println!("a round of an honest sibling, {} quiet: median {median:.2?}, p95 {p95:.2?}", quiet.len());
    for (attacker, blocks) in attackers.iter().zip(&beside) {
        let times = blocks.iter().flat_map(|(times, _)| times.iter().copied()).collect::<Vec<_>>();
        let mut ratios: Vec<f64> = blocks.iter().map(|(_, ratio)| *ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = (ratios[(TURNS - 1) / 2] + ratios[TURNS / 2]) / 2.0;
        let (m, p) = (at(&times, 0.5), at(&times, 0.95));
        println!(
            "beside {}: {ratio:.2} x the quiet rounds around it ({}; {ratios:.2?}); median {m:.2?}, p95 {p:.2?} = {:.2} x; \
             {} frames, {} links",
            attacker.attack.words(),
            if ratio <= GOAL { "met" } else { "MISSED" },
            p.as_secs_f64() / p95.as_secs_f64(),
            attacker.sent(),
            attacker.links(),
        );
    }
    drop(link);
    branch.stop().await;
    city.daemon.stop().await;
}

/// The kept link of the honest sibling.
struct Link {
    state: watch::Receiver<SessionState>,
}

impl Link {
    async fn open(branch: &Branch, city: &Relay) -> Self {
        let device = city.daemon.desk.call(|r| r.device()).await.expect("a desk");
        let connection = branch.endpoint.connect(&city.listen.to_string(), &[device], PATIENCE).await.expect("a link");
        let (seen, state) = watch::channel(SessionState::default());
        let desk = branch.desk.clone();
        tokio::spawn(async move {
            pump(&desk, connection, Role::Lower, false, |state| {
                seen.send_replace(state.clone());
                false
            })
            .await;
        });
        let mut link = Self { state };
        link.until(|s| s.verified_at.is_some() && s.settled).await;
        link
    }

    async fn until(&mut self, done: impl Fn(&SessionState) -> bool) {
        let reached = tokio::time::timeout(PATIENCE, self.state.wait_for(|s| done(s) || s.end.is_some())).await;
        let state = reached.expect("the sibling is served").expect("the link stays").clone();
        assert!(state.end.is_none(), "{:?}", state.end);
    }
}

async fn rounds(desk: &Desk, link: &Link, ids: &[RecordId], n: &mut usize) -> Vec<Duration> {
    let mut link = Link { state: link.state.clone() };
    let mut out = Vec::new();
    for _ in 0..ROUNDS {
        *n += 1;
        let (id, phone) = (ids[*n % ids.len()], format!("09{n:08}"));
        let sent = link.state.borrow().stats.commits_sent;
        let began = Instant::now();
        let edit = vec![("phone".to_owned(), Edit::Set(Value::Str(phone)))];
        desk.call(move |r| r.set(id, &edit).map(|_| ())).await.expect("a desk").expect("an edit");
        link.until(|s| s.stats.commits_sent > sent && s.verified_at.is_some() && s.settled).await;
        out.push(began.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    out
}

/// The value below which this share of the times lies.
fn at(times: &[Duration], share: f64) -> Duration {
    let mut all = times.to_vec();
    all.sort_unstable();
    let index = ((all.len() as f64 * share).ceil() as usize).clamp(1, all.len().max(1)) - 1;
    all.get(index).copied().unwrap_or_default()
}
