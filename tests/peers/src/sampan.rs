//! Sampan: a city, a district's relay and a branch on disk, real QUIC on loopback, as in the bench `figures`.
//!
//! It does not: leave out anything that a user's PC does (signatures, proofs, the search index, durable
//! commits).

use crate::contender::{Contender, Cost, Done, Over, Resident};
use crate::edits::{Edits, Records};
use crate::org::{Org, Session, find_last, import, last_commit, session};
use crate::resident;
use sampan_core::id::RecordId;
use sampan_core::store::Store as _;
use sampan_core::value::Edit;
use sampan_node::daemon::{Daemon, StatusWriter};
use sampan_node::net::{Endpoint, Options};
use sampan_node::replica::Replica;
use sampan_tests::city::Branch;
use sampan_tests::table::cpu;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// The contender.
pub struct Sampan {
    rt: Handle,
    org: Org,
    pc: Option<Branch>,
    ids: Vec<RecordId>,
    /// The raw change that made each record.
    pub changes: Vec<Vec<u8>>,
    /// Bytes of frames of the last first sync, for the floor that moves as many.
    pub frames: u64,
    /// Commits of the last first sync, each with its signature, and bytes of their headers.
    pub commits: Vec<Vec<u8>>,
}

/// The changes that wait to be sealed, in order of editing.
fn pending_changes(replica: &Replica) -> Vec<Vec<u8>> {
    replica.store.pending().expect("pending edits").into_iter().map(|p| p.entry.payload).collect()
}

impl Sampan {
    /// A branch whose relay has all of its records.
    pub fn new(rt: &Handle, records: &Records) -> Self {
        rt.block_on(async {
            let mut org = Org::new(&["district"]).await;
            let path = org.device_path();
            let pc = Branch::join(&path, &org.ticket().await);
            session(&pc).await;
            let mut replica = pc.stop().await;
            let ids = import(&mut replica, org.branch, records.rows.clone());
            let changes = pending_changes(&replica);
            let pc = Branch::of(replica);
            session(&pc).await;
            // Its acknowledgements come with the next one, and the relay does its own work first.
            session(&pc).await;
            org.nearest().call(|r| r.project()).await.expect("a desk").expect("projecting");
            Self { rt: rt.clone(), org, pc: Some(pc), ids, changes, frames: 0, commits: Vec::new() }
        })
    }

    /// Makes edits at the branch without a link, and says which changes they are.
    pub fn edit(&mut self, edits: &mut Edits) {
        let todo: Vec<_> = edits.places.iter().map(|at| self.ids[*at]).zip(edits.fields.clone()).collect();
        let desk = &self.pc.as_ref().expect("a branch").desk;
        let made = self.rt.block_on(desk.call(move |r| {
            for (id, (name, value)) in todo {
                r.set(id, &[(name, Edit::Set(value))]).expect("an edit");
            }
            pending_changes(r)
        }));
        edits.changes = made.expect("a desk");
        assert_eq!(edits.changes.len(), edits.places.len(), "one change an edit");
    }

    fn session(&self) -> (Session, Cost) {
        let pc = self.pc.as_ref().expect("a branch");
        let before = cpu();
        let s = self.rt.block_on(session(pc));
        let cost = Cost { time: s.time, cpu: cpu().saturating_sub(before), bytes: Some(s.udp()), note: words(&s) };
        (s, cost)
    }

    /// Ends the organisation.
    pub fn stop(self) {
        let Self { rt, org, pc, .. } = self;
        rt.block_on(async {
            if let Some(pc) = pc {
                pc.stop().await;
            }
            org.stop().await;
        });
    }
}

fn words(s: &Session) -> String {
    format!("frames={} round_trips={}", s.frames, s.report.round_trips)
}

impl Contender for Sampan {
    fn name(&self) -> &'static str {
        "Sampan"
    }

    fn first(&mut self) -> Done {
        let Self { rt, org, frames, commits, .. } = self;
        Ok(rt.block_on(async {
            let pc = org.device().await;
            let (began, before) = (Instant::now(), cpu());
            let s = session(&pc).await;
            pc.desk.call(find_last).await.expect("a desk");
            let (time, cpu) = (began.elapsed(), cpu().saturating_sub(before));
            let replica = pc.stop().await;
            *frames = s.frames;
            *commits = headers(&replica.dir().store());
            let note = format!("{} verified_ms={:.1} commits={}", words(&s), s.time.as_secs_f64() * 1e3, commits.len());
            Cost { time, cpu, bytes: Some(s.udp()), note }
        }))
    }

    fn nothing(&mut self) -> Done {
        Ok(self.session().1)
    }

    fn monday(&mut self, edits: &Edits) -> Done {
        let (s, cost) = self.session();
        assert_eq!(s.report.changes_sent, edits.places.len() as u64, "every edit passes");
        Ok(cost)
    }

    fn live(&mut self, edits: &Edits) -> Result<Vec<Duration>, Over> {
        let Self { rt, org, pc, ids, .. } = self;
        let pc_was = pc.take().expect("a branch");
        let store = org.dir.path().join("district").join("store.db");
        let (times, replica) = rt.block_on(async {
            let replica = pc_was.stop().await;
            let lock = replica.dir().lock().expect("the lock");
            let endpoint = Endpoint::client(replica.engine.key(), Options::default()).expect("an endpoint");
            let status: StatusWriter = Arc::new(|_, _, _| serde_json::Value::Null);
            let daemon = Daemon::start(replica, endpoint, lock, None, true, status).await.expect("a daemon");
            settle(&store).await;
            let mut times = Vec::new();
            for (at, (name, value)) in edits.places.iter().zip(edits.fields.clone()) {
                let id = ids[*at];
                let last = last_commit(&store);
                let before = last();
                let began = Instant::now();
                let arrived = tokio::task::spawn_blocking(move || {
                    while last() == before {
                        assert!(began.elapsed() < Duration::from_secs(20), "the edit did not arrive");
                        std::thread::sleep(Duration::from_micros(200));
                    }
                    began.elapsed()
                });
                let edit = daemon.desk.call(move |r| r.set(id, &[(name, Edit::Set(value))]).map(|_| ()));
                edit.await.expect("a desk").expect("an edit");
                times.push(arrived.await.expect("a watcher"));
                tokio::time::sleep(crate::run::BETWEEN).await;
            }
            (times, daemon.stop().await.expect("the replica"))
        });
        *pc = Some(rt.block_on(async { Branch::of(replica) }));
        Ok(times)
    }

    fn memory(&mut self) -> Result<Resident, Over> {
        let path = self.org.device_path();
        let ticket = self.rt.block_on(self.org.ticket());
        resident::ask(&["sampan", &path.display().to_string(), &ticket])
    }
}

/// What the child process of the row `memory` does.
pub async fn receive(path: &Path, ticket: &str) -> Resident {
    let pc = Branch::join(path, ticket);
    let before = resident::now();
    session(&pc).await;
    pc.desk.call(find_last).await.expect("a desk");
    let after = resident::now();
    pc.stop().await;
    Resident { before, after }
}

/// Headers of all commits in a store.
fn headers(store: &Path) -> Vec<Vec<u8>> {
    let conn = rusqlite::Connection::open(store).expect("a store");
    let mut all = conn.prepare("SELECT header FROM commits").expect("a statement");
    let rows = all.query_map([], |r| r.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("headers")
}

/// Waits until a store has taken no commit for a while.
async fn settle(store: &Path) {
    let last = last_commit(store);
    let mut before = last();
    loop {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let now = last();
        if now == before {
            return;
        }
        before = now;
    }
}
