//! The real store with a plain one beside it: what had been confirmed when, and what was under way.
//!
//! It does not: answer from the plain store: the engine reads SQLite, always.
//!
//! Invariants: a mark is set when a write has returned, with the steps of all disks before and after it.

use sampan_core::frontier::{ShortId, SpaceTips};
use sampan_core::id::{CommitId, DeviceId, LogId, RecordId, SpaceId, StoreEpoch, UnitId};
use sampan_core::log::Commit;
use sampan_core::register::SignedRegister;
use sampan_core::store::{
    AckRow, Batch, CommitKey, CommitRow, Lineage, PendingEntry, Quarantined, RecordEntry, RecordKey, RecordState,
    Status, Store, StoreError,
};
use sampan_core::testing::MemStore;
use sampan_core::wire::frame::Group;
use sampan_node::store::SqliteStore;
use sampan_tests::disk::{Disk, Tape};
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Names under which a store is asked for what a plain list cannot tell.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub records: BTreeSet<RecordId>,
    pub metas: BTreeSet<String>,
}

impl Seen {
    fn add(&mut self, batch: &Batch) {
        self.records.extend(batch.records.iter().map(|r| r.id));
        self.metas.extend(batch.meta.keys().cloned());
    }
}

/// What a store held once a write was confirmed (or might hold: it was under way and never was).
#[derive(Debug)]
pub struct Mark {
    /// Steps of all disks when it began.
    pub begun: usize,
    /// And when it was confirmed; `usize::MAX` when it never was.
    pub ended: usize,
    pub plain: MemStore,
    pub seen: Seen,
    lines: OnceCell<Vec<String>>,
}

impl Mark {
    pub fn new(begun: usize, ended: usize, plain: MemStore, seen: Seen) -> Rc<Self> {
        Rc::new(Self { begun, ended, plain, seen, lines: OnceCell::new() })
    }

    /// What the plain store tells.
    pub fn told(&self) -> &[String] {
        self.lines.get_or_init(|| told(&self.plain, &self.seen).unwrap_or_else(|e| panic!("the plain store says: {e}")))
    }
}

/// One replica's store and its history.
pub struct Held {
    /// Taken out to close and open it.
    pub store: Option<SqliteStore>,
    pub plain: MemStore,
    pub seen: Seen,
    pub marks: Vec<Rc<Mark>>,
    pub disk: Disk,
    pub tape: Tape,
    pub rough: bool,
    /// A checkpoint ran beside a reader: the database has unsynced pages, which the log still holds.
    pub reader: bool,
}

impl Held {
    fn mark(&mut self, begun: usize, ended: usize, plain: MemStore, seen: Seen) {
        self.marks.push(Mark::new(begun, ended, plain, seen));
    }

    /// Whether a power cut now could take nothing back.
    pub fn is_durable(&self) -> bool {
        let database = if self.reader { self.disk.unsynced_in(crate::stage::FILE) } else { 0 };
        self.rough || self.disk.unsynced() == database
    }

    /// A confirmed write must be durable by then.
    fn confirm(&mut self, begun: usize) {
        assert!(self.is_durable(), "a write was confirmed before a sync");
        let (plain, seen) = (self.plain.clone(), self.seen.clone());
        self.mark(begun, self.tape.len(), plain, seen);
    }

    /// Anything that SQLite's store can do beyond the trait; `plain` does the same beside it.
    pub fn directly<R>(
        &mut self,
        real: impl FnOnce(&mut SqliteStore) -> Result<R, StoreError>,
        plain: impl FnOnce(&mut MemStore),
    ) -> Result<R, StoreError> {
        let begun = self.tape.len();
        let mut after = self.plain.clone();
        plain(&mut after);
        let done = self.store.as_mut().map_or_else(|| Err(StoreError::Io("closed".into())), real);
        if done.is_err() {
            let seen = self.seen.clone();
            self.mark(begun, usize::MAX, after, seen);
        } else {
            self.plain = after;
            self.confirm(begun);
        }
        done
    }

    /// Several writes in one transaction, as a node takes its inputs.
    pub fn group<R, E: From<StoreError>>(&mut self, f: impl FnOnce(&mut dyn Store) -> Result<R, E>) -> Result<R, E> {
        let begun = self.tape.len();
        let (mut plain, mut seen) = (self.plain.clone(), self.seen.clone());
        let mut writes = 0;
        let Some(store) = self.store.as_mut() else { return Err(StoreError::Io("closed".into()).into()) };
        let done = store.group(|s| f(&mut Both { inner: s, plain: &mut plain, seen: &mut seen, writes: &mut writes }));
        if writes > 0 && done.is_ok() {
            (self.plain, self.seen) = (plain, seen);
            self.confirm(begun);
        } else if writes > 0 {
            self.mark(begun, usize::MAX, plain, seen);
        }
        done
    }
}

/// The store that a replica is given.
#[derive(Clone)]
pub struct Watched(pub Rc<RefCell<Held>>);

struct Both<'a> {
    inner: &'a mut SqliteStore,
    plain: &'a mut MemStore,
    seen: &'a mut Seen,
    writes: &'a mut usize,
}

type R<T> = Result<T, StoreError>;

macro_rules! reads {
    ($($name:ident($($arg:ident: $t:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $t),*) -> R<$out> { self.real(|s| s.$name($($arg),*)) })*
    };
}

macro_rules! all_reads {
    () => {
        reads! {
            epoch() -> StoreEpoch;
            tips() -> BTreeMap<SpaceId, SpaceTips>;
            known(ids: &[CommitId]) -> Vec<Option<(CommitKey, u64)>>;
            stored_after(after: CommitKey, limit: usize) -> Vec<(LogId, CommitRow)>;
            missing(log: &LogId, have: &BTreeSet<CommitId>) -> Vec<CommitRow>;
            lineage(space: &SpaceId, device: &DeviceId) -> Vec<Lineage>;
            inventory(log: &LogId) -> Vec<ShortId>;
            missing_from(log: &LogId, inventory: &BTreeSet<ShortId>) -> Vec<CommitRow>;
            groups(space: &SpaceId, keys: &[CommitKey]) -> Vec<Group>;
            charter_commits() -> Vec<Commit>;
            records(ids: &[RecordId]) -> Vec<Option<RecordState>>;
            entries(record: RecordKey) -> Vec<RecordEntry>;
            pending() -> Vec<PendingEntry>;
            quarantine() -> Vec<Quarantined>;
            registers(after: u64) -> Vec<(u64, SignedRegister)>;
            acks(leaf: Option<UnitId>) -> Vec<AckRow>;
            last_commit() -> CommitKey;
            irregular(units: &BTreeSet<UnitId>) -> BTreeMap<Status, u64>;
            meta(name: &str) -> Option<Vec<u8>>;
        }
    };
}

impl Watched {
    fn real<T>(&self, f: impl FnOnce(&SqliteStore) -> R<T>) -> R<T> {
        self.0.borrow().store.as_ref().map_or_else(|| Err(StoreError::Io("closed".into())), f)
    }
}

impl Both<'_> {
    fn real<T>(&self, f: impl FnOnce(&SqliteStore) -> R<T>) -> R<T> {
        f(self.inner)
    }
}

impl Store for Watched {
    all_reads!();

    fn write(&mut self, batch: &Batch) -> R<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.0.borrow_mut().group(|s| s.write(batch))
    }
}

impl Store for Both<'_> {
    all_reads!();

    fn write(&mut self, batch: &Batch) -> R<()> {
        if batch.is_empty() {
            return Ok(());
        }
        // The plain store first: a write that the real one refuses may still be what was under way.
        self.plain.write(batch).unwrap_or_else(|e| panic!("the plain store refuses a batch: {e}"));
        self.seen.add(batch);
        *self.writes += 1;
        self.inner.write(batch)
    }
}

/// All that a store says, line by line.
pub fn told(store: &dyn Store, seen: &Seen) -> R<Vec<String>> {
    let short = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
    let mut out = vec![format!("epoch {:?}", store.epoch()?), format!("last {:?}", store.last_commit()?)];
    for (space, tips) in store.tips()? {
        out.push(format!("tips {space:?} {tips:?}"));
    }
    for (log, row) in store.stored_after(CommitKey(0), usize::MAX >> 1)? {
        let CommitRow { key, id, sequence, entries, changes, time, .. } = row;
        out.push(format!("commit {key:?} {id} {log:?} {sequence} {entries} {changes} {time:?}"));
    }
    // Their ids cover what is in them, and `verify` checks that.
    for c in store.charter_commits()? {
        out.push(format!("charter {}", c.id()));
    }
    let ids: Vec<RecordId> = seen.records.iter().copied().collect();
    for (id, state) in ids.iter().zip(store.records(&ids)?) {
        let Some(state) = state else {
            out.push(format!("record {id} none"));
            continue;
        };
        out.push(format!("record {state:?}"));
        let Some(key) = state.key else { continue };
        for e in store.entries(key)? {
            let bytes = short(&e.bytes);
            out.push(format!("entry {:?} {bytes}", RecordEntry { bytes: Vec::new(), ..e }));
        }
    }
    for p in store.pending()? {
        out.push(format!("pending {:?} {}", (p.key, p.space, p.nonce, &p.entry.entry), short(&p.entry.payload)));
    }
    for q in store.quarantine()? {
        out.push(format!("quarantine {} {} {:?} {}", q.head.id(), q.reason, (q.peer, q.at), short(&q.pack)));
    }
    for (_, r) in store.registers(0)? {
        out.push(format!("register {} {}", short(&r.bytes), short(&r.signature)));
    }
    for a in store.acks(None)? {
        out.push(format!("ack {}", short(format!("{a:?}").as_bytes())));
    }
    for name in &seen.metas {
        out.push(format!("meta {name} {:?}", store.meta(name)?));
    }
    Ok(out)
}
