//! The first values of a histogram: while they fall into few different buckets, 256 bytes count them.
//!
//! A reactor that has little to do, or lives in virtual time, measures the same few values over and over. Buckets for
//! all values would be 31 KiB for each of its histograms, and a thousand such reactors share one process.

use super::counter::add;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many different buckets there is room for. A power of two, so that a bucket's number modulo it is a mask.
pub(super) const CELLS: usize = 32;
/// The lower bits of a cell count; the upper ones hold the bucket's number plus one, or nothing in a free cell.
const COUNT_BITS: u32 = 48;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// A small hash table of buckets with linear probing. One thread writes, any thread reads; a cell once taken keeps its
/// bucket, and its count only rises.
#[derive(Debug)]
pub(super) struct FirstValues {
    cells: [AtomicU64; CELLS],
}

impl FirstValues {
    pub(super) const fn new() -> FirstValues {
        FirstValues { cells: [const { AtomicU64::new(0) }; CELLS] }
    }

    /// Counts `n` more of the bucket with that number; false if there is no room for it, and nothing was counted.
    pub(super) fn count(&self, index: usize, n: u64) -> bool {
        let key = (index as u64 + 1) << COUNT_BITS;
        for probe in 0..CELLS {
            let cell = &self.cells[(index + probe) % CELLS];
            let seen = cell.load(Relaxed);
            if seen == 0 && n <= COUNT_MAX {
                // Number and count become visible at once, or not yet.
                cell.store(key | n, Relaxed);
                return true;
            }
            if seen & !COUNT_MAX == key {
                let fits = n <= COUNT_MAX - (seen & COUNT_MAX);
                if fits {
                    add(cell, n);
                }
                return fits;
            }
        }
        false
    }

    /// The buckets in use and how many each counted, in no particular order.
    pub(super) fn counts(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let seen = self.cells.iter().map(|cell| cell.load(Relaxed)).filter(|seen| *seen != 0);
        seen.map(|seen| ((seen >> COUNT_BITS) as usize - 1, seen & COUNT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(first: &FirstValues) -> Vec<(usize, u64)> {
        let mut counts: Vec<_> = first.counts().collect();
        counts.sort_unstable();
        counts
    }

    #[test]
    fn buckets_that_share_a_cell_are_kept_apart_until_there_is_no_room() {
        let first = FirstValues::new();
        for n in 0..CELLS {
            assert!(first.count(5 + n * CELLS, 1 + n as u64));
        }
        assert!(first.count(5, 9));
        assert!(!first.count(4, 1), "every cell is taken");
        let mut expected: Vec<_> = (0..CELLS).map(|n| (5 + n * CELLS, 1 + n as u64)).collect();
        expected[0].1 += 9;
        assert_eq!(sorted(&first), expected);
    }

    #[test]
    fn the_lowest_and_the_highest_bucket_have_cells() {
        let first = FirstValues::new();
        let last = super::super::histogram::index_of(u64::MAX);
        assert!(first.count(0, 1) && first.count(last, 2));
        assert_eq!(sorted(&first), [(0, 1), (last, 2)]);
    }

    #[test]
    fn a_count_that_a_cell_cannot_hold_is_refused_and_changes_nothing() {
        let first = FirstValues::new();
        assert!(!first.count(1, COUNT_MAX + 1));
        assert_eq!(sorted(&first), []);
        assert!(first.count(1, COUNT_MAX - 1) && first.count(1, 1) && !first.count(1, 1));
        assert!(!first.count(1, u64::MAX));
        assert_eq!(sorted(&first), [(1, COUNT_MAX)]);
    }
}
