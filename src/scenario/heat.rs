//! Delivery times by virtual time: how many of which length arrived when.

use super::columns::{Columns, Merge};
use crate::time::Instant;
use std::cell::RefCell;
use std::time::Duration;

/// Columns; up to twice as many if it lasts longer than expected.
pub(super) const COLUMNS: usize = 120;

/// Bins for each doubling of a time.
const BINS_PER_OCTAVE: u32 = 4;

/// Counts in columns of virtual time and bins of delivery time.
#[derive(Debug)]
pub(super) struct Heat(RefCell<Columns<Bins>>);

/// Counts by bin, up to the last that is not 0.
#[derive(Debug, Default)]
struct Bins(Vec<u32>);

impl Merge for Bins {
    fn merge(&mut self, later: Bins) {
        self.0.resize(self.0.len().max(later.0.len()), 0);
        self.0.iter_mut().zip(later.0).for_each(|(count, more)| *count += more);
    }
}

/// One bin of one column in which something was counted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Cell {
    pub from_s: f64,
    pub to_s: f64,
    pub low_ns: f64,
    pub high_ns: f64,
    pub count: u64,
}

impl Heat {
    pub fn new(began: Instant, expected: Duration) -> Heat {
        Heat(RefCell::new(Columns::new(began, expected, COLUMNS)))
    }

    /// Something that took `taken_ns` arrived at `now`.
    #[inline]
    pub fn add(&self, now: Instant, taken_ns: u64) {
        let mut columns = self.0.borrow_mut();
        let (bin, Bins(counts)) = (bin_of(taken_ns), columns.at(now));
        if bin >= counts.len() {
            counts.resize(bin + 1, 0);
        }
        counts[bin] += 1;
    }

    /// What was counted.
    pub fn cells(&self) -> Vec<Cell> {
        let columns = self.0.borrow();
        let at = |column: usize| (column as u64 * columns.column_ns()) as f64 / 1e9;
        let mut cells = Vec::new();
        for (column, Bins(counts)) in columns.all().iter().enumerate() {
            for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                cells.push(Cell {
                    from_s: at(column),
                    to_s: at(column + 1),
                    low_ns: low_of(bin),
                    high_ns: low_of(bin + 1),
                    count: u64::from(*count),
                });
            }
        }
        cells
    }
}

/// The bin of a time: by its highest bit and the two that follow.
fn bin_of(ns: u64) -> usize {
    let ns = ns.max(u64::from(BINS_PER_OCTAVE));
    let octave = ns.ilog2();
    let part = ns >> (octave - BINS_PER_OCTAVE.ilog2()) & u64::from(BINS_PER_OCTAVE - 1);
    (octave * BINS_PER_OCTAVE) as usize + part as usize
}

/// The shortest time of a bin.
fn low_of(bin: usize) -> f64 {
    let (octave, part) = (bin as u32 / BINS_PER_OCTAVE, bin as u32 % BINS_PER_OCTAVE);
    2f64.powi(octave as i32) * (1.0 + f64::from(part) / f64::from(BINS_PER_OCTAVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bin() {
        for ns in (0..200_000).step_by(7).chain([1 << 40, (1 << 40) - 1, u64::MAX / 2]) {
            let (bin, told) = (bin_of(ns), ns.max(4) as f64);
            assert!(low_of(bin) <= told && (told < low_of(bin + 1) || ns > 1 << 50), "{ns} in {bin}");
        }
    }

    #[test]
    fn cells_say_when_and_how_long() {
        let heat = Heat::new(Instant::from_millis(1_000), Duration::from_secs(120));
        heat.add(Instant::from_millis(2_500), 100);
        heat.add(Instant::from_millis(2_600), 101);
        let cells = heat.cells();
        assert_eq!(cells.len(), 1);
        assert_eq!((cells[0].from_s, cells[0].to_s, cells[0].count), (1.0, 2.0, 2));
        assert!(cells[0].low_ns <= 100.0 && cells[0].high_ns > 101.0);
    }

    #[test]
    fn columns_are_few_however_long_it_lasts_and_nothing_is_forgotten() {
        let heat = Heat::new(Instant::ZERO, Duration::ZERO);
        for ms in 0..5_000 {
            heat.add(Instant::from_millis(ms), 1_000 + ms);
        }
        let cells = heat.cells();
        assert_eq!(cells.iter().map(|cell| cell.count).sum::<u64>(), 5_000);
        assert!(cells.chunk_by(|a, b| a.from_s == b.from_s).count() <= 2 * COLUMNS);
    }
}
