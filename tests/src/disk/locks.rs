//! Locks of files, and the memory that connections share beside a write-ahead log.
//!
//! It does not: survive a power cut: all of it is memory.
//!
//! Invariants: the rules are those that SQLite states for `xLock` and `xShmLock`; nobody waits here.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

/// How strongly a connection holds a file, as SQLite numbers it.
pub const NONE: i32 = 0;
/// It reads.
pub const SHARED: i32 = 1;
/// It means to write.
pub const RESERVED: i32 = 2;
/// It waits for the readers to leave.
pub const PENDING: i32 = 3;
/// It writes.
pub const EXCLUSIVE: i32 = 4;

/// Who holds a file, and how.
#[derive(Debug, Default)]
pub struct Locks {
    held: BTreeMap<u64, i32>,
}

impl Locks {
    fn others(&self, me: u64, at_least: i32) -> bool {
        self.held.iter().any(|(who, level)| *who != me && *level >= at_least)
    }

    /// Takes a lock; false when somebody is in the way.
    pub fn take(&mut self, me: u64, wanted: i32) -> bool {
        let mine = self.held.get(&me).copied().unwrap_or(NONE);
        if mine >= wanted {
            return true;
        }
        let (free, left_with) = match wanted {
            SHARED => (!self.others(me, PENDING), mine),
            RESERVED => (!self.others(me, RESERVED), mine),
            _ if self.others(me, RESERVED) => (false, mine),
            // Readers may finish, none may begin.
            _ => (!self.others(me, SHARED), PENDING),
        };
        self.held.insert(me, if free { wanted.min(EXCLUSIVE) } else { left_with });
        free
    }

    /// Gives a lock back, down to a level.
    pub fn give(&mut self, me: u64, down_to: i32) {
        if down_to == NONE {
            self.held.remove(&me);
        } else if let Some(level) = self.held.get_mut(&me) {
            *level = (*level).min(down_to);
        }
    }

    /// Whether anybody means to write.
    #[must_use]
    pub fn reserved(&self) -> bool {
        self.held.values().any(|l| *l >= RESERVED)
    }
}

/// Number of locks on shared memory.
const SLOTS: usize = 8;

/// Memory shared by the connections to one database.
#[derive(Debug, Default)]
pub struct Shm {
    regions: Mutex<Vec<Box<[AtomicU64]>>>,
    slots: Mutex<[BTreeMap<u64, bool>; SLOTS]>,
}

impl Shm {
    /// Where region `n` lies; made with all before it when asked for.
    pub fn region(&self, n: usize, bytes: usize, make: bool) -> Option<*mut std::ffi::c_void> {
        let mut regions = self.regions.lock().unwrap_or_else(|e| e.into_inner());
        while make && regions.len() <= n {
            regions.push((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect());
        }
        // The boxes never move or go while this lives, and atomics may be written through a shared place.
        regions.get(n).map(|r| r.as_ptr().cast_mut().cast())
    }

    /// Takes or gives back `n` locks from `first` on, all or none.
    pub fn lock(&self, me: u64, first: usize, n: usize, exclusive: bool, take: bool) -> bool {
        let mut slots = self.slots.lock().unwrap_or_else(|e| e.into_inner());
        let Some(range) = slots.get_mut(first..first.saturating_add(n)) else { return false };
        if !take {
            range.iter_mut().for_each(|s| s.retain(|who, _| *who != me));
            return true;
        }
        let in_the_way = |s: &BTreeMap<u64, bool>| s.iter().any(|(who, ex)| *who != me && (exclusive || *ex));
        if range.iter().any(in_the_way) {
            return false;
        }
        range.iter_mut().for_each(|s| s.extend([(me, exclusive)]));
        true
    }

    /// Gives everything back.
    pub fn leave(&self, me: u64) {
        let mut slots = self.slots.lock().unwrap_or_else(|e| e.into_inner());
        slots.iter_mut().for_each(|s| s.retain(|who, _| *who != me));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writes_and_nobody_reads_then() {
        let mut l = Locks::default();
        assert!(l.take(1, SHARED) && l.take(2, SHARED) && l.take(1, RESERVED));
        assert!(!l.take(2, RESERVED) && l.reserved());
        assert!(!l.take(1, EXCLUSIVE), "a reader is there");
        assert!(!l.take(3, SHARED), "a writer waits");
        l.give(2, NONE);
        assert!(l.take(1, EXCLUSIVE));
        l.give(1, SHARED);
        assert!(l.take(3, SHARED) && !l.reserved());
    }

    #[test]
    fn shared_memory_has_its_locks() {
        let s = Shm::default();
        assert!(s.region(1, 64, false).is_none() && s.region(1, 64, true).is_some());
        assert_eq!(s.region(0, 64, false), s.region(0, 64, true), "it stays where it is");
        assert!(s.lock(1, 3, 1, false, true) && s.lock(2, 3, 1, false, true));
        assert!(!s.lock(3, 2, 3, true, true) && s.lock(3, 0, 1, true, true));
        s.leave(1);
        assert!(s.lock(2, 3, 1, false, false) && s.lock(3, 2, 3, true, true));
        assert!(!s.lock(1, 7, 2, true, true), "there are eight");
    }
}
