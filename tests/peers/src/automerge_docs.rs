//! Automerge's own sync, document by document: in memory, or with every document kept in SQLite.
//!
//! It does not: send, verify, search or sign anything; its times and bytes are lower bounds. In memory it
//! does not even store.
//!
//! Invariants: sync states are kept over a reconnect, as its manual advises (`State::encode`).

// The peer is Automerge as its users call it: the ban on drawing an actor is for our own records.
#![allow(clippy::disallowed_methods)]

use crate::contender::{Contender, Cost, Done, Over, Resident};
use crate::edits::Edits;
use crate::{peers, resident};
use automerge::sync::{Message, State, SyncDoc as _};
use automerge::transaction::Transactable as _;
use automerge::{Automerge, ROOT};
use rusqlite::Connection;
use sampan_core::value::Value;
use sampan_tests::table::cpu;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Documents of two ends.
pub struct Documents {
    from: Vec<Automerge>,
    to: Vec<Automerge>,
    states: Vec<(State, State)>,
    kept: Option<Kept>,
    dir: PathBuf,
    limit: Duration,
}

/// One durable table of documents or of other bytes.
pub struct Kept(Connection);

impl Kept {
    /// A new table.
    pub fn new(path: &Path) -> Self {
        let conn = Connection::open(path).expect("a database");
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("write-ahead log");
        conn.pragma_update(None, "synchronous", "FULL").expect("synchronous");
        let table = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL); DELETE FROM t";
        conn.execute_batch(table).expect("a table");
        Self(conn)
    }

    /// Writes rows in one durable transaction.
    pub fn put(&self, rows: impl Iterator<Item = (usize, Vec<u8>)>) {
        self.0.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        let mut put =
            self.0.prepare_cached("INSERT OR REPLACE INTO t (id, bytes) VALUES (?1, ?2)").expect("a statement");
        for (id, bytes) in rows {
            put.execute((id as i64, bytes)).expect("an insert");
        }
        self.0.execute_batch("COMMIT").expect("a commit");
    }

    /// All rows in order.
    pub fn all(&self) -> Vec<Vec<u8>> {
        let mut all = self.0.prepare_cached("SELECT bytes FROM t ORDER BY id").expect("a statement");
        let rows = all.query_map([], |r| r.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("bytes")
    }
}

/// Bytes and messages of a sync.
#[derive(Default)]
pub struct Said {
    /// Bytes.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

/// Syncs two documents until neither has anything to say; what the second one lacked is in it then.
pub fn pair(a: &mut Automerge, sa: &mut State, b: &mut Automerge, sb: &mut State, said: &mut Said) {
    loop {
        let up = carry(a, sa, b, sb, said);
        let down = carry(b, sb, a, sa, said);
        if !up && !down {
            break;
        }
    }
    assert_eq!(a.get_heads(), b.get_heads(), "Automerge's sync ended with different heads");
}

fn carry(from: &Automerge, sf: &mut State, to: &mut Automerge, st: &mut State, said: &mut Said) -> bool {
    let Some(message) = from.generate_sync_message(sf) else { return false };
    let bytes = message.encode();
    said.bytes += bytes.len() as u64;
    said.messages += 1;
    to.receive_sync_message(st, Message::decode(&bytes).expect("just encoded")).expect("a message of Automerge's");
    true
}

/// A state as it is after a reconnect.
#[must_use]
pub fn again(state: &State) -> State {
    State::decode(&state.encode()).expect("just encoded")
}

/// A value that the live edits set: all of them are strings.
#[must_use]
pub fn scalar(value: &Value) -> String {
    match value {
        Value::Str(text) | Value::Text(text) | Value::Other(text) => text.clone(),
        Value::List(_) | Value::Set(_) | Value::Int(_) | Value::Counter(_) | Value::Bool(_) => {
            panic!("edits of the figures are strings, not {value:?}")
        }
    }
}

impl Documents {
    /// One document a record, made of Sampan's own changes.
    pub fn new(changes: &[Vec<u8>], dir: &Path, saved: bool, limit: Duration) -> Self {
        let kept = saved.then(|| Kept::new(&dir.join("documents.db")));
        let from = peers::documents(changes);
        Self { from, to: Vec::new(), states: Vec::new(), kept, dir: dir.to_owned(), limit }
    }

    fn sync(&mut self, began: Instant) -> Result<Said, Over> {
        let mut said = Said::default();
        for ((a, b), (sa, sb)) in self.from.iter_mut().zip(&mut self.to).zip(&mut self.states) {
            pair(a, sa, b, sb, &mut said);
            if began.elapsed() > self.limit {
                return Err(Over(self.limit));
            }
        }
        Ok(said)
    }

    /// After a reconnect: where documents are saved, the receiver has none in memory.
    fn reconnect(&mut self) -> Result<Said, Over> {
        let began = Instant::now();
        for (a, b) in &mut self.states {
            (*a, *b) = (again(a), again(b));
        }
        if let Some(kept) = &self.kept {
            self.to = kept.all().iter().map(|b| Automerge::load(b).expect("a saved document")).collect();
        }
        self.sync(began)
    }
}

fn cost(began: Instant, before: Duration, said: &Said) -> Cost {
    let note = format!("messages={}", said.messages);
    Cost { time: began.elapsed(), cpu: cpu().saturating_sub(before), bytes: Some(said.bytes), note }
}

impl Contender for Documents {
    fn name(&self) -> &'static str {
        if self.kept.is_some() { "Automerge documents, saved" } else { "Automerge documents, in memory" }
    }

    fn first(&mut self) -> Done {
        self.to = (0..self.from.len()).map(|_| Automerge::new()).collect();
        self.states = self.from.iter().map(|_| (State::new(), State::new())).collect();
        if let Some(kept) = &mut self.kept {
            *kept = Kept::new(&self.dir.join("documents.db"));
        }
        let (began, before) = (Instant::now(), cpu());
        let said = self.sync(began)?;
        if let Some(kept) = &self.kept {
            kept.put(self.to.iter().map(Automerge::save).enumerate());
        }
        Ok(cost(began, before, &said))
    }

    fn nothing(&mut self) -> Done {
        let (began, before) = (Instant::now(), cpu());
        let said = self.reconnect()?;
        Ok(cost(began, before, &said))
    }

    fn monday(&mut self, edits: &Edits) -> Done {
        for (at, change) in edits.places.iter().zip(&edits.changes) {
            peers::add(&mut self.from[*at], change);
        }
        let (began, before) = (Instant::now(), cpu());
        let said = self.reconnect()?;
        if let Some(kept) = &self.kept {
            kept.put(edits.places.iter().map(|at| (*at, self.to[*at].save())));
        }
        Ok(cost(began, before, &said))
    }

    fn live(&mut self, edits: &Edits) -> Result<Vec<Duration>, Over> {
        let mut times = Vec::new();
        for (at, (name, value)) in edits.places.iter().zip(&edits.fields) {
            let began = Instant::now();
            let made = self.from[*at].transact(|tx| tx.put(ROOT, name.as_str(), scalar(value)));
            made.expect("an edit");
            let (sa, sb) = &mut self.states[*at];
            pair(&mut self.from[*at], sa, &mut self.to[*at], sb, &mut Said::default());
            if let Some(kept) = &self.kept {
                kept.put(std::iter::once((*at, self.to[*at].save())));
            }
            times.push(began.elapsed());
        }
        Ok(times)
    }

    fn memory(&mut self) -> Result<Resident, Over> {
        let path = self.dir.join("memory.db");
        Kept::new(&path).put(self.from.iter().map(Automerge::save).enumerate());
        resident::ask(&["documents", &path.display().to_string()])
    }

    fn does(&self, row: &str) -> bool {
        // Documents in memory are the same ones whether they are saved too or not.
        row != "memory" || self.kept.is_none()
    }
}

/// What the child process of the row `memory` does: documents in memory, each loaded from what was saved.
pub fn hold(path: &Path) -> Resident {
    let conn = Connection::open(path).expect("a database");
    let before = resident::now();
    let mut documents = Vec::new();
    {
        let mut all = conn.prepare("SELECT bytes FROM t ORDER BY id").expect("a statement");
        let rows = all.query_map([], |r| r.get::<_, Vec<u8>>(0)).expect("rows");
        for bytes in rows {
            documents.push(Automerge::load(&bytes.expect("bytes")).expect("a saved document"));
        }
    }
    let after = resident::now();
    drop(documents);
    Resident { before, after }
}
