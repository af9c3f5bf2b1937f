//! What the figures stand beside: Automerge's own sync, document by document in memory, and floors.
//!
//! It does not: store, verify or send anything for Automerge, so its times are lower bounds.

// The peer is Automerge as its users call it: the ban on drawing an actor is for our own records.
#![allow(clippy::disallowed_methods)]

use automerge::Automerge;
use automerge::sync::{Message, State, SyncDoc as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// What one sync of all documents cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeerCost {
    /// Time of generating, encoding, decoding and receiving.
    pub time: Duration,
    /// Bytes of all messages.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

/// Documents made of these changes, one each.
pub fn documents(changes: &[Vec<u8>]) -> Vec<Automerge> {
    changes.iter().map(|c| with(Automerge::new(), c)).collect()
}

/// Empty documents.
pub fn empty(n: usize) -> Vec<Automerge> {
    (0..n).map(|_| Automerge::new()).collect()
}

fn with(mut doc: Automerge, change: &[u8]) -> Automerge {
    doc.load_incremental(change).expect("a change of ours is one of Automerge's");
    doc
}

/// Adds a change to a document.
pub fn add(doc: &mut Automerge, change: &[u8]) {
    doc.load_incremental(change).expect("a change of ours is one of Automerge's");
}

/// Syncs every pair until neither side has anything to say, with fresh states, as after a reconnect.
pub fn sync(a: &mut [Automerge], b: &mut [Automerge]) -> PeerCost {
    let mut cost = PeerCost::default();
    let began = Instant::now();
    for (a, b) in a.iter_mut().zip(b.iter_mut()) {
        let (mut sa, mut sb) = (State::new(), State::new());
        loop {
            let up = carry(a, &mut sa, b, &mut sb, &mut cost);
            let down = carry(b, &mut sb, a, &mut sa, &mut cost);
            if !up && !down {
                break;
            }
        }
        assert_eq!(a.get_heads(), b.get_heads(), "Automerge's sync ended with different heads");
    }
    cost.time = began.elapsed();
    cost
}

fn carry(from: &Automerge, sf: &mut State, to: &mut Automerge, st: &mut State, cost: &mut PeerCost) -> bool {
    let Some(message) = from.generate_sync_message(sf) else { return false };
    let bytes = message.encode();
    cost.bytes += bytes.len() as u64;
    cost.messages += 1;
    let message = Message::decode(&bytes).expect("what was just encoded");
    to.receive_sync_message(st, message).expect("a message of Automerge's");
    true
}

/// Bytes of the raw changes, one after the other, under zstd 3.
pub fn zstd3(changes: &[Vec<u8>]) -> u64 {
    zstd::bulk::compress(&changes.concat(), 3).expect("zstd has memory").len() as u64
}

/// Bare inserts of the changes into one SQLite table, in one durable transaction.
pub fn sqlite_inserts(path: &Path, changes: &[Vec<u8>]) -> Duration {
    let conn = plain(path);
    let began = Instant::now();
    conn.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
    {
        let mut add = conn.prepare("INSERT INTO t (bytes) VALUES (?1)").expect("a statement");
        for c in changes {
            add.execute([c]).expect("an insert");
        }
    }
    conn.execute_batch("COMMIT").expect("a commit");
    began.elapsed()
}

fn plain(path: &Path) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(path).expect("a database");
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("write-ahead log");
    conn.pragma_update(None, "synchronous", "FULL").expect("synchronous");
    conn.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)").expect("a table");
    conn
}
