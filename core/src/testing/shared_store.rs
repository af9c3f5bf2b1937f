//! A store behind a handle, so that its "disk" can be copied or put back while a replica uses it; and the one
//! place that lists what a store that stands before another has to pass on.
//!
//! It does not: store (`mem_store`).
//!
//! Invariants: every read of [`Store`] is passed on by [`store_reads!`](crate::store_reads); a new one is added there.

use crate::store::{Batch, Store, StoreError};
use crate::testing::MemStore;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The reads of [`Store`] for a type that has a method `real`, which takes what is to be asked of the store
/// behind it: `self.real(|s| s.tips())`.
#[macro_export]
macro_rules! store_reads {
    () => {
        $crate::store_reads! {
            epoch() -> $crate::id::StoreEpoch;
            tips() -> ::std::collections::BTreeMap<$crate::id::SpaceId, $crate::frontier::SpaceTips>;
            known(ids: &[$crate::id::CommitId]) -> Vec<Option<($crate::store::CommitKey, u64)>>;
            head(id: &$crate::id::CommitId) -> Option<$crate::log::VerifiedHeader>;
            first_seen(ids: &[$crate::id::CommitId]) -> Vec<Option<$crate::time::Millis>>;
            stored_after(after: $crate::store::CommitKey, limit: usize)
                -> Vec<($crate::id::LogId, $crate::store::CommitRow)>;
            missing(log: &$crate::id::LogId, have: &::std::collections::BTreeSet<$crate::id::CommitId>)
                -> Vec<$crate::store::CommitRow>;
            lineage(space: &$crate::id::SpaceId, device: &$crate::id::DeviceId) -> Vec<$crate::store::Lineage>;
            inventory(log: &$crate::id::LogId) -> Vec<$crate::frontier::ShortId>;
            missing_from(
                log: &$crate::id::LogId, inventory: &::std::collections::BTreeSet<$crate::frontier::ShortId>
            ) -> Vec<$crate::store::CommitRow>;
            groups(space: &$crate::id::SpaceId, keys: &[$crate::store::CommitKey])
                -> Vec<$crate::wire::frame::Group>;
            entry_at(commit: $crate::store::CommitKey, index: u32) -> Option<$crate::log::EntryPayload>;
            charter_commits() -> Vec<$crate::log::Commit>;
            records(ids: &[$crate::id::RecordId]) -> Vec<Option<$crate::store::RecordState>>;
            entries(record: $crate::store::RecordKey) -> Vec<$crate::store::RecordEntry>;
            pending() -> Vec<$crate::store::PendingEntry>;
            pending_of(space: &$crate::id::SpaceId, after: $crate::store::PendingKey, limit: usize) -> Vec<$crate::store::PendingEntry>;
            pending_sums() -> Vec<$crate::store::PendingSum>;
            quarantine() -> Vec<$crate::store::Quarantined>;
            registers(after: u64) -> Vec<(u64, $crate::register::SignedRegister)>;
            acks(leaf: Option<$crate::id::UnitId>) -> Vec<$crate::store::AckRow>;
            last_commit() -> $crate::store::CommitKey;
            irregular(units: &::std::collections::BTreeSet<$crate::id::UnitId>)
                -> ::std::collections::BTreeMap<$crate::store::Status, u64>;
            meta(name: &str) -> Option<Vec<u8>>;
        }
    };
    ($($name:ident($($arg:ident: $t:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $t),*) -> Result<$out, $crate::store::StoreError> {
            self.real(|s| s.$name($($arg),*))
        })*
    };
}

/// A handle; copies of it are the same store.
#[derive(Clone)]
pub struct SharedStore(Arc<Mutex<MemStore>>);

impl SharedStore {
    /// A handle on this store.
    #[must_use]
    pub fn new(store: MemStore) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// The store itself, for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, MemStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn real<T>(&self, f: impl FnOnce(&MemStore) -> T) -> T {
        f(&self.lock())
    }
}

impl Store for SharedStore {
    crate::store_reads!();

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.lock().write(batch)
    }
}
