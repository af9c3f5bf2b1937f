//! Replicas on made-up disks that are all on one tape, and what their scripts were promised.
//!
//! It does not: crash anything (`check` does), or let frames pass unseen: whenever one leaves, all that its
//! sender ever wrote must be durable.
//!
//! Invariants: the same script gives the same steps.

use crate::watched::{Held, Seen, Watched};
use sampan_core::charter::{Roles, Ticket};
use sampan_core::engine::{Engine, SealLimits};
use sampan_core::id::{Nonce, RecordId, UnitId};
use sampan_core::log::SignedHeader;
use sampan_core::pack::{Codec, Stored};
use sampan_core::store::{Store, StoreError};
use sampan_core::sync::{Env, Event, Session, SessionError};
use sampan_core::testing::village::{MakeStore, Replica, Village};
use sampan_core::testing::{MemStore, SeededRng, test_key};
use sampan_core::time::Millis;
use sampan_core::wire::frame::Frame;
use sampan_node::keys::Secret;
use sampan_node::store::{Place, SqliteStore};
use sampan_tests::disk::{Disk, Tape};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// MiB of cache of every store here.
pub const CACHE_MB: u32 = 4;

/// Packs as they are: the plain store reads no others.
pub fn codec() -> Arc<dyn Codec + Send + Sync> {
    Arc::new(Stored)
}

/// A field that a script was told is stored.
#[derive(Debug, Clone)]
pub struct Promise {
    pub seat: usize,
    /// Steps when the edit began, and when it had been confirmed.
    pub begun: usize,
    pub ended: usize,
    pub record: RecordId,
    pub field: String,
    pub value: String,
}

/// A commit that left in a frame.
#[derive(Debug, Clone)]
pub struct Left {
    pub seat: usize,
    pub at: usize,
    /// As it left; of a brief header only the signature is the commit's own.
    pub head: SignedHeader,
}

/// A file name that every store has.
pub const FILE: &str = "store.db";

/// Everything around the replicas that outlives a crash of the script.
#[derive(Clone, Default)]
pub struct Book {
    pub tape: Tape,
    pub seats: Rc<RefCell<Vec<Rc<RefCell<Held>>>>>,
    pub promises: Rc<RefCell<Vec<Promise>>>,
    pub left: Rc<RefCell<Vec<Left>>>,
    /// Disks promise nothing to SQLite.
    pub rough: bool,
    /// Checkpoints may be cut short, and leave pages in the database that only the log holds durably.
    pub short: bool,
    pub seed: u64,
    /// The nonce of a replica that is an old backup and does not know it yet.
    pub backup: Rc<Cell<Option<Nonce>>>,
    /// Cut the power of this seat at this of its own steps, counted from its first.
    pub cut: Option<(usize, u64, sampan_tests::disk::Fault)>,
    /// Links that must end verified, lower and upper, in the order in which they talk.
    pub links: Rc<RefCell<Vec<(usize, usize)>>>,
    /// The step at which the script's own part begins.
    pub from: Rc<RefCell<usize>>,
    pub now: Rc<RefCell<Millis>>,
    /// Number of frames that were looked at.
    pub frames: Rc<RefCell<u64>>,
}

impl Book {
    /// The key of a seat: that of the village's replica.
    pub fn key(&self, seat: usize) -> ed25519_dalek::SigningKey {
        test_key(self.seed * 1_000 + 2 + seat as u64)
    }

    fn sit(
        &self,
        org: sampan_core::id::OrgId,
        device: sampan_core::id::DeviceId,
        epoch: sampan_core::id::StoreEpoch,
    ) -> Watched {
        let at = self.seats.borrow().len();
        let disk = Disk::new(&format!("disk{at}"));
        disk.set_rough(self.rough);
        disk.record(&self.tape, at);
        if let Some((seat, step, fault)) = self.cut
            && seat == at
        {
            disk.fail_at(sampan_tests::disk::Step::Any(step), fault);
        }
        let begun = self.tape.len();
        let plain = MemStore::new(org, device, epoch);
        let held = Held {
            store: None,
            plain: plain.clone(),
            seen: Seen::default(),
            marks: Vec::new(),
            disk: disk.clone(),
            tape: self.tape.clone(),
            rough: self.rough,
            reader: self.short,
        };
        let held = Rc::new(RefCell::new(held));
        self.seats.borrow_mut().push(held.clone());
        let made = SqliteStore::create_on(&disk, place(&disk), codec(), device, org, epoch, CACHE_MB);
        let mut h = held.borrow_mut();
        let ended = if made.is_ok() { self.tape.len() } else { usize::MAX };
        h.marks.push(crate::watched::Mark::new(begun, ended, plain, Seen::default()));
        h.store = Some(made.unwrap_or_else(|e| panic!("creating a store failed: {e}")));
        drop(h);
        Watched(held)
    }
}

/// A village on disks.
pub struct Stage {
    pub v: Village,
    pub book: Book,
    /// Inputs are taken in one transaction each, as a node does.
    pub grouped: bool,
}

impl Stage {
    /// A city.
    pub fn found(book: &Book) -> Self {
        let b = book.clone();
        let mut make = move |org, device, epoch| -> Box<dyn Store> { Box::new(b.sit(org, device, epoch)) };
        let v = Village::found(book.seed, codec(), &mut make as MakeStore<'_>);
        *book.now.borrow_mut() = v.now;
        Self { v, book: book.clone(), grouped: false }
    }

    /// From here on crashes are of interest.
    pub fn begin(&self) {
        *self.book.from.borrow_mut() = self.book.tape.len();
    }

    pub fn link(&self, lower: usize, upper: usize) {
        self.book.links.borrow_mut().push((lower, upper));
    }

    pub fn join(&mut self, name: &str, ticket: &Ticket) -> usize {
        let b = self.book.clone();
        let mut make = move |org, device, epoch| -> Box<dyn Store> { Box::new(b.sit(org, device, epoch)) };
        self.v.join(name, ticket, &mut make as MakeStore<'_>)
    }

    pub fn held(&self, at: usize) -> Rc<RefCell<Held>> {
        self.book.seats.borrow()[at].clone()
    }

    /// A city (0), a district (1) and a branch (2), in step.
    pub fn three_levels(book: &Book) -> (Self, UnitId, UnitId) {
        let mut s = Self::found(book);
        let root = s.v.root();
        let district = s.v.unit(0, root, "Quận Ba Đình", "district");
        let branch = s.v.unit(0, district, "Chi bộ 1", "branch");
        let t = s.v.invite(0, district, Roles::ADMIN);
        let d = s.join("district", &t);
        s.link(d, 0);
        s.sync(d, 0);
        s.v.listen(d, district);
        s.sync(d, 0);
        let t = s.v.invite(d, branch, Roles::EDITOR);
        let b = s.join("branch", &t);
        *book.links.borrow_mut() = vec![(b, d), (d, 0)];
        s.sync(b, d);
        s.sync(d, 0);
        s.begin();
        (s, district, branch)
    }

    /// Creates a record and keeps what was promised of it.
    pub fn create(&mut self, at: usize, unit: UnitId, fields: &[&str]) -> RecordId {
        let begun = self.book.tape.len();
        let id = self.v.create(at, unit, "members", fields);
        self.intend(at, begun, id, fields);
        self.promise();
        id
    }

    /// Edits a record and keeps what was promised of it.
    pub fn set(&mut self, at: usize, id: RecordId, edits: &[&str]) {
        self.intend(at, self.book.tape.len(), id, edits);
        self.v.set(at, "members", id, edits);
        self.promise();
    }

    fn intend(&self, seat: usize, begun: usize, record: RecordId, edits: &[&str]) {
        let each = edits.iter().filter_map(|e| e.split_once('=')).map(|(field, value)| Promise {
            seat,
            begun,
            ended: usize::MAX,
            record,
            field: field.to_owned(),
            value: value.to_owned(),
        });
        self.book.promises.borrow_mut().extend(each);
    }

    /// What was meant has been confirmed.
    fn promise(&self) {
        let now = self.book.tape.len();
        let mut all = self.book.promises.borrow_mut();
        all.iter_mut().rev().take_while(|p| p.ended == usize::MAX).for_each(|p| p.ended = now);
    }

    /// One session; both ends must say verified.
    pub fn sync(&mut self, lower: usize, upper: usize) {
        let end = self.talk(lower, upper);
        assert!(end.error.is_none() && end.verified, "{lower} with {upper}: {end:?}");
    }

    pub fn talk(&mut self, lower: usize, upper: usize) -> End {
        let seats = self.book.seats.borrow().clone();
        talk(&mut self.v.replicas, &seats, &self.book, lower, upper, self.v.now, self.grouped)
    }

    pub fn checkpoint(&self, at: usize) {
        let held = self.held(at);
        let done = held.borrow_mut().store.as_mut().map(SqliteStore::checkpoint);
        assert_eq!(done, Some(Ok(())));
    }

    /// Merges small packs until nothing is left to look at; returns how many went.
    pub fn merge(&self, at: usize) -> u64 {
        let held = self.held(at);
        let mut merged = 0;
        loop {
            let step = held.borrow_mut().directly(SqliteStore::merge_step, |_| ());
            let step = step.unwrap_or_else(|e| panic!("merging failed: {e}"));
            merged += step.merged;
            if !step.more {
                return merged;
            }
        }
    }

    /// Closes a store in order, and opens it again.
    pub fn reopen(&mut self, at: usize) {
        let held = self.held(at);
        let old = held.borrow_mut().store.take();
        drop(old);
        let (org, device) = (self.v.org, self.v.replicas[at].engine.device());
        let store = open(&held.borrow().disk, device, org).unwrap_or_else(|e| panic!("opening failed: {e}"));
        held.borrow_mut().store = Some(store);
        let r = &mut self.v.replicas[at];
        let mut rng = SeededRng::new(self.book.tape.len() as u64);
        r.engine = Engine::open(&mut *r.store, org, self.book.key(at), codec(), &mut rng)
            .unwrap_or_else(|e| panic!("opening failed: {e}"));
    }

    /// A replica on a disk of its own that holds a copy of what seat `of` held.
    pub fn store_of_copy(&self, of: usize) -> SqliteStore {
        let held = self.held(of);
        let copy = Disk::from_image("copy", &held.borrow().disk.snapshot());
        // The directory of disks holds them weakly; the store keeps its own.
        open(&copy, self.v.replicas[of].engine.device(), self.v.org).unwrap_or_else(|e| panic!("copying failed: {e}"))
    }
}

/// Where the database lies; encrypted in a build that can.
pub fn place(disk: &Disk) -> Place<'static> {
    Place::keyed(disk.path(FILE), cfg!(feature = "encryption").then(|| Secret::from_bytes([6; 32])))
}

pub fn open(
    disk: &Disk,
    device: sampan_core::id::DeviceId,
    org: sampan_core::id::OrgId,
) -> Result<SqliteStore, StoreError> {
    SqliteStore::open_on(disk, place(disk), codec(), device, org, CACHE_MB)
}

/// How a session ended.
#[derive(Debug, Clone, Default)]
pub struct End {
    pub verified: bool,
    pub lower: Vec<Event>,
    pub upper: Vec<Event>,
    pub error: Option<String>,
}

fn using<R>(
    r: &mut Replica,
    seat: Option<&Rc<RefCell<Held>>>,
    now: Millis,
    grouped: bool,
    f: impl FnOnce(&mut Env<'_>) -> Result<R, SessionError>,
) -> Result<R, SessionError> {
    match seat {
        Some(held) if grouped => {
            let mut held = held.borrow_mut();
            held.group(|store| f(&mut Env { store, engine: &mut r.engine, rng: &mut r.rng, now }))
        }
        Some(_) | None => f(&mut Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now }),
    }
}

/// One session between two replicas, until it is quiet.
pub fn talk(
    replicas: &mut [Replica],
    seats: &[Rc<RefCell<Held>>],
    book: &Book,
    lower: usize,
    upper: usize,
    now: Millis,
    grouped: bool,
) -> End {
    let mut end = End::default();
    for at in [lower, upper] {
        let r = &mut replicas[at];
        let sealed = using(r, seats.get(at), now, grouped, |env| {
            Ok(env.engine.seal(env.store, env.rng, SealLimits::default(), now)?)
        });
        if let Err(e) = sealed {
            panic!("sealing failed: {e}");
        }
    }
    let (upper_device, lower_device) = (replicas[upper].engine.device(), replicas[lower].engine.device());
    let opened =
        using(&mut replicas[lower], seats.get(lower), now, grouped, |env| Session::lower(env, upper_device, false));
    let mut sessions = [opened.unwrap_or_else(|e| panic!("saying hello failed: {e}")), Session::upper(lower_device)];
    let places = [lower, upper];
    let mut under_way: [VecDeque<(u8, Vec<u8>)>; 2] = Default::default();
    for _ in 0..100_000 {
        let mut moved = false;
        for from in 0..2 {
            let (at, to) = (places[from], places[1 - from]);
            let session = &mut sessions[from];
            let frame = using(&mut replicas[at], seats.get(at), now, grouped, |env| {
                session.poke(env)?;
                session.next_frame(env, &|_| true)
            });
            match frame {
                Err(e) => {
                    end.error = Some(e.to_string());
                    return end;
                }
                Ok(None) => {}
                Ok(Some((lane, bytes))) => {
                    if let Some(held) = seats.get(at) {
                        watch(&held.borrow(), book, at, &bytes);
                    }
                    under_way[from].push_back((lane, bytes));
                }
            }
            if let Some((lane, bytes)) = under_way[from].pop_front() {
                moved = true;
                let session = &mut sessions[1 - from];
                let taken =
                    using(&mut replicas[to], seats.get(to), now, grouped, |env| session.receive(env, lane, &bytes));
                if let Err(e) = taken {
                    end.error = Some(e.to_string());
                    return end;
                }
            }
            end.lower.extend(sessions[0].events());
            end.upper.extend(sessions[1].events());
        }
        if !moved {
            end.verified = end.lower.contains(&Event::Verified) && end.upper.contains(&Event::Verified);
            return end;
        }
    }
    panic!("a session that never becomes quiet");
}

/// A frame is about to leave: what it tells must not be lost any more.
fn watch(held: &Held, book: &Book, seat: usize, bytes: &[u8]) {
    *book.frames.borrow_mut() += 1;
    assert!(held.is_durable(), "a frame leaves seat {seat} before a sync");
    if let Ok(Frame::Commits { groups, .. }) = Frame::decode(bytes) {
        let heads = groups.iter().flat_map(|g| &g.headers);
        let at = book.tape.len();
        let each = heads.map(|h| Left { seat, at, head: h.clone() });
        book.left.borrow_mut().extend(each);
    }
}
