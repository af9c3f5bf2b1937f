//! What relays have acknowledged, in memory: by unit and relay, with a digest for each unit and each subtree, and which
//! units this relay has still to sign for.
//!
//! It does not: hold the statements (the store does), judge or make them (`acks`).
//!
//! Invariants: what it tells is what the store holds, as far as this engine wrote it or has read it anew since; it is
//! kept up with each statement that is stored, so that comparing with a peer reads none.

use super::{Engine, meta};
use crate::charter::Charter;
use crate::hash::tagged16;
use crate::id::{DeviceId, Digest, Flow, Glance, ShortDigest, SpaceId, StoreEpoch, UnitId};
use crate::scope::Side;
use crate::small::SmallMap;
use crate::store::{AckRow, Batch, Store, StoreError};
use crate::wire::frame::ShortNode;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};

/// One statement about one unit.
#[derive(Debug, Clone)]
struct Head {
    relay: DeviceId,
    epoch: StoreEpoch,
    counter: u64,
    /// What it says that the relay holds.
    digest: Digest,
    /// When it was put down, in the order of this engine.
    at: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    heads: BTreeMap<UnitId, SmallMap<UnitId, Head>>,
    /// Digests of a unit and all below it, of statements by relays at and above another unit.
    subtrees: RefCell<BTreeMap<UnitId, SmallMap<UnitId, ShortDigest>>>,
    /// Units of whose data this relay's last statement is not true any more; `None`: not looked yet.
    due: Option<BTreeSet<UnitId>>,
}

/// The book of an engine: read when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    book: RefCell<Option<Book>>,
    /// Numbers statements; goes on when the book is read anew.
    last: Cell<u64>,
    /// How often statements had been stored when this was last true to the store.
    written: Cell<u64>,
}

impl Shelf {
    /// What the store holds may be something else now.
    pub(super) fn forget(&mut self) {
        *self.book.get_mut() = None;
    }

    /// The charter changed: the tree of units, and who is a relay.
    pub(super) fn charter_changed(&mut self) {
        if let Some(book) = self.book.get_mut() {
            book.subtrees.borrow_mut().clear();
            book.due = None;
        }
    }

    /// What is held changed in ways that are not told here.
    pub(super) fn holdings_changed(&mut self) {
        if let Some(book) = self.book.get_mut() {
            book.due = None;
        }
    }

    /// A commit was stored in this space.
    pub(super) fn advanced(&mut self, space: &SpaceId) {
        let due = self.book.get_mut().as_mut().and_then(|book| book.due.as_mut());
        if let (Flow::Up, Some(due)) = (space.flow, due) {
            due.insert(space.unit);
        }
    }

    /// Whether another process stored statements since.
    pub(super) fn others_wrote(&self, store: &dyn Store) -> Result<bool, StoreError> {
        Ok(self.book.borrow().is_some() && written(store)? != self.written.get())
    }

    /// A batch that is to be written next holds statements.
    pub(super) fn note(&mut self, store: &dyn Store, batch: &mut Batch) -> Result<(), StoreError> {
        if self.others_wrote(store)? {
            self.forget();
        }
        let next = written(store)?.wrapping_add(1);
        batch.meta.insert(meta::ACKS_WRITTEN.into(), Some(next.to_le_bytes().to_vec()));
        self.written.set(next);
        Ok(())
    }

    /// These were stored.
    pub(super) fn put(&mut self, charter: &Charter, rows: &[AckRow]) {
        let Some(book) = self.book.get_mut() else { return };
        for row in rows {
            self.last.set(self.last.get() + 1);
            book.put(row, self.last.get());
            let mut subtrees = book.subtrees.borrow_mut();
            subtrees.remove(&row.leaf.unit);
            charter.chain(&row.leaf.unit).for_each(|u| drop(subtrees.remove(&u.id)));
        }
    }

    /// This relay's statements about these units are true.
    pub(super) fn settled(&mut self, units: &BTreeSet<UnitId>) {
        if let Some(due) = self.book.get_mut().as_mut().and_then(|book| book.due.as_mut()) {
            due.retain(|unit| !units.contains(unit));
        }
    }

    fn open(&self, store: &dyn Store) -> Result<RefMut<'_, Book>, StoreError> {
        if self.book.borrow().is_none() {
            let mut book = Book::default();
            self.written.set(written(store)?);
            for row in store.acks(None)? {
                self.last.set(self.last.get() + 1);
                book.put(&row, self.last.get());
            }
            *self.book.borrow_mut() = Some(book);
        }
        Ok(RefMut::map(self.book.borrow_mut(), |book| book.get_or_insert_default()))
    }
}

impl Book {
    fn put(&mut self, row: &AckRow, at: u64) {
        let head = Head { relay: row.relay, epoch: row.epoch, counter: row.counter, digest: row.leaf.digest, at };
        let before = self.heads.entry(row.leaf.unit).or_default().insert(row.relay_unit, head);
        // Another relay of the same unit has spoken: this one may have to again.
        if let (Some(due), true) = (&mut self.due, before.is_some_and(|b| b.relay != row.relay)) {
            due.insert(row.leaf.unit);
        }
    }

    /// Of one unit's own statements, by relays of these units.
    fn own(&self, unit: &UnitId, above: &BTreeSet<UnitId>) -> ShortDigest {
        let mut bytes = Vec::new();
        for (relay_unit, head) in self.heads.get(unit).into_iter().flatten().filter(|(u, _)| above.contains(u)) {
            bytes.extend_from_slice(&relay_unit.0);
            bytes.extend_from_slice(&head.relay.0);
            bytes.extend_from_slice(&head.epoch.0);
            bytes.extend_from_slice(&head.counter.to_le_bytes());
        }
        if bytes.is_empty() { ShortDigest::default() } else { ShortDigest(tagged16("acks-own", &[&unit.0, &bytes])) }
    }

    fn subtree(&self, charter: &Charter, over: &UnitId, above: &BTreeSet<UnitId>, unit: &UnitId) -> ShortDigest {
        if let Some(digest) = self.subtrees.borrow().get(unit).and_then(|of| of.get(over)) {
            return *digest;
        }
        let own = self.own(unit, above);
        let mut bytes = Vec::new();
        for child in charter.unit(unit).iter().flat_map(|u| &u.children) {
            let digest = self.subtree(charter, over, above, child);
            if digest != ShortDigest::default() {
                bytes.extend_from_slice(&child.0);
                bytes.extend_from_slice(&digest.0);
            }
        }
        let digest = if bytes.is_empty() && own == ShortDigest::default() {
            own
        } else {
            ShortDigest(tagged16("acks-subtree", &[&unit.0, &own.0, &bytes]))
        };
        self.subtrees.borrow_mut().entry(*unit).or_default().insert(*over, digest);
        digest
    }
}

fn written(store: &dyn Store) -> Result<u64, StoreError> {
    Ok(store.meta(meta::ACKS_WRITTEN)?.and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes))
}

/// A unit and those above it.
fn chain(charter: &Charter, unit: &UnitId) -> BTreeSet<UnitId> {
    charter.chain(unit).map(|u| u.id).collect()
}

/// The upper end's unit that is nearest above a unit.
fn over(charter: &Charter, unit: &UnitId, upper: &Side) -> Option<UnitId> {
    charter.chain(unit).map(|u| u.id).find(|u| upper.relay_units.contains(u))
}

impl Engine {
    /// A digest of the acknowledgements of a lower end's units by relays at and above an upper end, in two halves: those
    /// of single units by the relay's own unit, with its store as the lower end knows it; and all others.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn acks_digest(
        &self,
        store: &dyn Store,
        (lower, upper): (&Side, &Side),
        upper_epoch: StoreEpoch,
    ) -> Result<ShortDigest, StoreError> {
        let (charter, book) = (&self.charter, self.acks.open(store)?);
        let (mut own, mut others) = (upper_epoch.0.to_vec(), Vec::new());
        for (unit, whole) in lower.units.iter().map(|u| (u, false)).chain(lower.subtrees().map(|u| (u, true))) {
            let Some(over) = over(charter, unit, upper) else { continue };
            let mut above = chain(charter, &over);
            let digest = if whole {
                book.subtree(charter, &over, &above, unit)
            } else {
                above.remove(&over);
                own.extend_from_slice(&unit.0);
                own.extend_from_slice(&book.own(unit, &[over].into()).0);
                book.own(unit, &above)
            };
            others.extend_from_slice(&unit.0);
            others.extend_from_slice(&digest.0);
        }
        let half = |kind: &str, bytes: &[u8]| Glance::of(&tagged16(kind, &[bytes])).0;
        let mut digest = ShortDigest::default();
        let (first, second) = digest.0.split_at_mut(Glance::LEN);
        first.copy_from_slice(&half("acks-own-half", &own));
        second.copy_from_slice(&half("acks-others-half", &others));
        Ok(digest)
    }

    /// The same as peers of protocol 2 compute it: over every statement, one after the other.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn acks_digest_flat(
        &self,
        store: &dyn Store,
        units: &BTreeSet<UnitId>,
        upper: &Side,
    ) -> Result<ShortDigest, StoreError> {
        let book = self.acks.open(store)?;
        let above: BTreeSet<UnitId> =
            upper.relay_units.iter().flat_map(|u| self.charter.chain(u)).map(|u| u.id).collect();
        let mut bytes = Vec::new();
        for (unit, heads) in units.iter().filter_map(|u| Some((u, book.heads.get(u)?))) {
            for (relay_unit, head) in heads.iter().filter(|(u, _)| above.contains(u)) {
                bytes.extend_from_slice(&unit.0);
                bytes.extend_from_slice(&relay_unit.0);
                bytes.extend_from_slice(&head.relay.0);
                bytes.extend_from_slice(&head.epoch.0);
                bytes.extend_from_slice(&head.counter.to_le_bytes());
            }
        }
        Ok(ShortDigest(tagged16("acks-held", &[&bytes])))
    }

    /// A unit's node in the tree of acknowledgements that two ends share.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn acks_node(
        &self,
        store: &dyn Store,
        unit: &UnitId,
        upper: &Side,
    ) -> Result<Option<ShortNode>, StoreError> {
        let (charter, book) = (&self.charter, self.acks.open(store)?);
        let Some(over) = over(charter, unit, upper) else { return Ok(None) };
        let above = chain(charter, &over);
        let below = charter.unit(unit).map(|u| &u.children);
        let children = below
            .into_iter()
            .flatten()
            .flat_map(|u| Glance::of(&book.subtree(charter, &over, &above, u).0).0)
            .collect();
        let own = Glance::of(&book.own(unit, &above).0);
        Ok(Some(ShortNode { unit: *unit, tree: None, own, children }))
    }

    /// Where the newest statement stands in the order of this engine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn acks_at(&self, store: &dyn Store) -> Result<u64, StoreError> {
        let _read = self.acks.open(store)?;
        Ok(self.acks.last.get())
    }

    /// Where a statement stands in that order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn ack_at(&self, store: &dyn Store, unit: &UnitId, relay_unit: &UnitId) -> Result<u64, StoreError> {
        let book = self.acks.open(store)?;
        Ok(book.heads.get(unit).and_then(|heads| heads.get(relay_unit)).map_or(u64::MAX, |head| head.at))
    }

    /// Units of a side that this relay holds data of and has not signed for as they are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn acks_due(&self, store: &dyn Store, side: &Side) -> Result<BTreeSet<UnitId>, StoreError> {
        let mut book = self.acks.open(store)?;
        if book.due.is_none() {
            let me = Side::of(&self.charter, &self.device);
            let written = self.holdings.spaces().filter(|(s, _)| s.flow == Flow::Up).map(|(s, _)| s.unit);
            let mut units: Vec<UnitId> = written.collect();
            units.dedup();
            units.retain(|unit| {
                let Some(relay) = over(&self.charter, unit, &me) else { return false };
                let said = book.heads.get(unit).and_then(|heads| heads.get(&relay));
                let level = self.charter.level(&relay, self.levels());
                !said.is_some_and(|h| {
                    h.relay == self.device
                        && h.epoch == self.epoch
                        && h.digest == self.holdings.own_up_digest(unit, level)
                })
            });
            book.due = Some(units.into_iter().collect());
        }
        let Some(due) = book.due.as_ref().filter(|due| !due.is_empty()) else { return Ok(BTreeSet::new()) };
        // A hub that has not met many yet has far more of them than one side has units.
        let mut out: BTreeSet<UnitId> = side.units.iter().filter(|unit| due.contains(unit)).copied().collect();
        let mut todo: Vec<UnitId> = side.subtrees().copied().collect();
        while let Some(unit) = todo.pop() {
            out.extend(due.get(&unit));
            todo.extend(self.charter.unit(&unit).iter().flat_map(|u| &u.children));
        }
        Ok(out)
    }
}
