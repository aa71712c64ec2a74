//! Counts heap allocations: none once things are warm, neither in a queue that fills and drains again and
//! again nor for a message on its way through two reactors. And counts the bytes that an idle reactor holds.
#![allow(unsafe_code)] // A counting allocator can be had in no other way.

mod idle;
mod messages;
mod queues;
#[cfg(all(feature = "noise", feature = "tls"))]
mod records;
#[cfg(all(feature = "noise", feature = "tls"))]
#[path = "../rig/security.rs"]
mod security;
#[cfg(feature = "sim")]
mod simulated;
#[path = "../../src/thorough.rs"]
mod thorough;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Of this thread only, so that the tests do not count each other's.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread allocated, less those that it freed.
    static BYTES_HELD: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

/// One allocation of `size` bytes, in place of one of `freed` bytes or of none.
fn count(size: usize, freed: usize) {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
    hold(size.wrapping_sub(freed) as isize);
}

fn hold(bytes: isize) {
    BYTES_HELD.with(|held| held.set(held.get().wrapping_add(bytes)));
}

// SAFETY: every call is handed on unchanged to the system's allocator, whose contract is the same. Counting
// touches a thread-local without initialiser or destructor, so it neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps to `GlobalAlloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        hold((layout.size() as isize).wrapping_neg());
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// By how many bytes this thread holds more after `work` than before.
fn bytes_held_after(work: impl FnOnce()) -> isize {
    let before = BYTES_HELD.get();
    work();
    BYTES_HELD.get() - before
}
