//! A global allocator that counts, so that a test can say what decoding cost.
//!
//! It does not: refuse anything, or count across threads: each test runs on a thread of its own.
//!
//! Invariants: a growing block counts with its old and its new size at once, as a move would.

#![allow(unsafe_code)] // An allocator cannot be written without.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn add(bytes: isize) {
    // While a thread ends its counters may be gone; nothing is measured then.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

// SAFETY: every call goes to the system's allocator unchanged; the counters neither allocate nor drop.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        add(-(layout.size() as isize));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add(new_size as isize);
        add(-(layout.size() as isize));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The greatest number of bytes that `f` held at one time, beyond what was held before.
pub fn peak<T>(f: impl FnOnce() -> T) -> usize {
    let before = NOW.with(Cell::get);
    PEAK.with(|p| p.set(before));
    drop(f());
    usize::try_from(PEAK.with(Cell::get) - before).unwrap_or(0)
}

#[test]
fn the_counter_counts() {
    let cost = peak(|| vec![0u8; 10_000]);
    assert!((10_000..10_100).contains(&cost), "{cost}");
}
