//! One big Automerge document that holds all records, a change each: in memory, or saved.
//!
//! It does not: send, verify, search or sign anything; nor can any part of it be kept from a reader, or
//! left out by a replica that needs some records only.

#![allow(clippy::disallowed_methods)] // as in the other room of Automerge

use crate::automerge_docs::{Kept, Said, again, pair, scalar};
use crate::contender::{Contender, Cost, Done, Over, Resident};
use crate::edits::{Edits, Fields, Records};
use crate::resident;
use automerge::sync::State;
use automerge::transaction::Transactable;
use automerge::{ActorId, Automerge, AutomergeError, ObjId, ObjType, ROOT};
use sampan_core::value::Value;
use sampan_tests::table::cpu;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The document of two ends.
pub struct Big {
    from: Automerge,
    to: Automerge,
    states: (State, State),
    places: Vec<ObjId>,
    kept: Option<Kept>,
    next: usize,
    dir: PathBuf,
    limit: Duration,
}

fn write(tx: &mut impl Transactable, at: &ObjId, row: &Fields) -> Result<(), AutomergeError> {
    for (name, value) in row {
        match value {
            Value::Str(text) | Value::Other(text) => tx.put(at, name.as_str(), text.as_str())?,
            Value::Int(n) | Value::Counter(n) => tx.put(at, name.as_str(), *n)?,
            Value::Bool(b) => tx.put(at, name.as_str(), *b)?,
            Value::Text(text) => {
                let object = tx.put_object(at, name.as_str(), ObjType::Text)?;
                tx.splice_text(&object, 0, 0, text)?;
            }
            Value::List(words) => {
                let object = tx.put_object(at, name.as_str(), ObjType::List)?;
                for (i, word) in words.iter().enumerate() {
                    tx.insert(&object, i, word.as_str())?;
                }
            }
            Value::Set(words) => {
                let object = tx.put_object(at, name.as_str(), ObjType::Map)?;
                for word in words {
                    tx.put(&object, word.as_str(), true)?;
                }
            }
        }
    }
    Ok(())
}

impl Big {
    /// All records in one document; none when that takes longer than the limit.
    pub fn new(records: &Records, dir: &Path, saved: bool, limit: Duration) -> Result<Self, Over> {
        let began = Instant::now();
        let mut from = Automerge::new().with_actor(ActorId::from([1u8; 16]));
        let mut places = Vec::new();
        for (i, row) in records.rows.iter().enumerate() {
            let made = from.transact(|tx| {
                let at = tx.put_object(ROOT, format!("{i:08}"), ObjType::Map)?;
                write(tx, &at, row)?;
                Ok::<_, AutomergeError>(at)
            });
            places.push(made.expect("a record").result);
            if began.elapsed() > limit {
                return Err(Over(limit));
            }
        }
        let kept = saved.then(|| Kept::new(&dir.join("big.db")));
        let states = (State::new(), State::new());
        Ok(Self { from, to: Automerge::new(), states, places, kept, next: 1, dir: dir.to_owned(), limit })
    }

    fn reconnect(&mut self) -> Said {
        self.states = (again(&self.states.0), again(&self.states.1));
        if let Some(kept) = &self.kept {
            let saved = kept.all();
            self.to = Automerge::load(&saved[0]).expect("a saved document");
            for more in &saved[1..] {
                self.to.load_incremental(more).expect("a saved change");
            }
        }
        let before = self.to.get_heads();
        let mut said = Said::default();
        pair(&mut self.from, &mut self.states.0, &mut self.to, &mut self.states.1, &mut said);
        self.append(&before);
        said
    }

    fn append(&mut self, before: &[automerge::ChangeHash]) {
        if let Some(kept) = &self.kept
            && self.to.get_heads() != before
        {
            kept.put(std::iter::once((self.next, self.to.save_after(before))));
            self.next += 1;
        }
    }

    fn cost(&self, began: Instant, before: Duration, said: &Said) -> Done {
        let time = began.elapsed();
        if time > self.limit {
            return Err(Over(self.limit));
        }
        let note = format!("messages={}", said.messages);
        Ok(Cost { time, cpu: cpu().saturating_sub(before), bytes: Some(said.bytes), note })
    }

    fn edit(&mut self, at: usize, name: &str, value: &Value) {
        let at = self.places[at].clone();
        self.from.transact(|tx| tx.put(&at, name, scalar(value))).expect("an edit");
    }
}

impl Contender for Big {
    fn name(&self) -> &'static str {
        if self.kept.is_some() { "one Automerge document, saved" } else { "one Automerge document, in memory" }
    }

    fn first(&mut self) -> Done {
        self.to = Automerge::new();
        self.states = (State::new(), State::new());
        self.next = 1;
        if let Some(kept) = &mut self.kept {
            *kept = Kept::new(&self.dir.join("big.db"));
        }
        let (began, before) = (Instant::now(), cpu());
        let mut said = Said::default();
        pair(&mut self.from, &mut self.states.0, &mut self.to, &mut self.states.1, &mut said);
        if let Some(kept) = &self.kept {
            kept.put(std::iter::once((0, self.to.save())));
        }
        self.cost(began, before, &said)
    }

    fn nothing(&mut self) -> Done {
        let (began, before) = (Instant::now(), cpu());
        let said = self.reconnect();
        self.cost(began, before, &said)
    }

    fn monday(&mut self, edits: &Edits) -> Done {
        for (at, (name, value)) in edits.places.iter().zip(&edits.fields) {
            self.edit(*at, name, value);
        }
        let (began, before) = (Instant::now(), cpu());
        let said = self.reconnect();
        self.cost(began, before, &said)
    }

    fn live(&mut self, edits: &Edits) -> Result<Vec<Duration>, Over> {
        let mut times = Vec::new();
        for (at, (name, value)) in edits.places.iter().zip(&edits.fields) {
            let began = Instant::now();
            self.edit(*at, name, value);
            let before = self.to.get_heads();
            pair(&mut self.from, &mut self.states.0, &mut self.to, &mut self.states.1, &mut Said::default());
            self.append(&before);
            times.push(began.elapsed());
        }
        Ok(times)
    }

    fn memory(&mut self) -> Result<Resident, Over> {
        let path = self.dir.join("big.memory.db");
        Kept::new(&path).put(std::iter::once((0, self.from.save())));
        resident::ask(&["big", &path.display().to_string()])
    }

    fn does(&self, row: &str) -> bool {
        row != "memory" || self.kept.is_none()
    }
}

/// What the child process of the row `memory` does.
pub fn hold(path: &Path) -> Resident {
    let conn = rusqlite::Connection::open(path).expect("a database");
    let before = resident::now();
    let bytes: Vec<u8> = conn.query_row("SELECT bytes FROM t", [], |r| r.get(0)).expect("a row");
    let document = Automerge::load(&bytes).expect("a saved document");
    drop(bytes);
    let after = resident::now();
    drop(document);
    Resident { before, after }
}
