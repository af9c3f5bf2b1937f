//! How much room the disk of a replica has, told to the relays above.
//!
//! It does not: free any, or look at the disk where nobody asked (the desk's thread does, the simulated world does not).
//!
//! Invariants: it is told when it is another class than was told before, so that it costs a link next to nothing.

use super::Replica;
use sampan_core::id::UnitId;
use sampan_core::register::Room;
use sampan_core::store::{Batch, Store, StoreError};
use std::path::Path;

/// What was told last: the logarithm of the room, and whether it is low.
const META_ROOM: &str = "room_told";
/// Bytes of free disk below which a person is told whatever the size of the database.
pub const DISK_FREE_BYTES_MIN: u64 = 256 << 20;

/// Bytes free on the disk of a folder; `None` where the system does not say.
#[must_use]
pub fn disk_free(folder: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(folder).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// Whether a disk has too little room: a backup takes the size of the database twice over.
#[must_use]
pub fn room_is_low(free: u64, database: u64) -> bool {
    free < DISK_FREE_BYTES_MIN.max(database.saturating_mul(2))
}

impl Replica {
    /// Tells the relays above how much room the disk has, if that is another class than they were told; whether it did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tell_room(&mut self) -> Result<bool, StoreError> {
        let Some(free) = disk_free(self.dir.root()) else { return Ok(false) };
        let database = std::fs::metadata(self.dir.store()).map_or(0, |m| m.len());
        self.tell_room_of(free, database)
    }

    fn tell_room_of(&mut self, free: u64, database: u64) -> Result<bool, StoreError> {
        let class = free.checked_ilog2().unwrap_or(0);
        let room = Room { free: if free == 0 { 0 } else { 1 << class }, low: room_is_low(free, database) };
        let told = vec![class as u8, u8::from(room.low)]; // a logarithm is below 64
        if self.store.meta(META_ROOM)?.as_ref() == Some(&told) {
            return Ok(false);
        }
        // One for each way up, as with signs of life.
        let ways = self.engine.ways(&self.store)?;
        let mut units: Vec<UnitId> = ways.ways.iter().filter_map(|w| w.way.units.first().copied()).collect();
        units.dedup();
        if units.is_empty() {
            // Before the charter has come nobody could read it; at the top nobody is told.
            return Ok(false);
        }
        let now = self.label()?;
        let Self { store, engine, .. } = self;
        store.group(|store| {
            for unit in &units {
                engine.tell_room(store, *unit, &room, now)?;
            }
            let mut batch = Batch::at(now);
            batch.meta.insert(META_ROOM.into(), Some(told));
            store.write(&batch)
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_low_by_the_database_or_at_all() {
        assert!(room_is_low(DISK_FREE_BYTES_MIN - 1, 0));
        assert!(!room_is_low(DISK_FREE_BYTES_MIN, 0));
        assert!(room_is_low(3 << 30, 2 << 30));
        assert!(!room_is_low(4 << 30, 2 << 30));
        assert!(room_is_low(u64::MAX - 1, u64::MAX));
        assert!(disk_free(Path::new("/")).is_some());
        assert_eq!(disk_free(Path::new("/no such folder")), None);
    }
}
