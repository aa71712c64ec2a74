//! Something that is counted by virtual time.

use crate::time::{Instant, nanos_of};
use std::cell::RefCell;
use std::time::Duration;

/// Columns of a course at most: more than that nobody sees.
pub(super) const COLUMNS: usize = 240;

/// Counts in columns of equal length. Columns are made longer as time goes on, so that there are never too many.
#[derive(Debug)]
pub(super) struct Course {
    began: Instant,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    column_ns: u64,
    counts: Vec<u64>,
}

impl Course {
    /// A course that is expected to last that long.
    pub fn new(began: Instant, expected: Duration) -> Course {
        let column_ns = nanos_of(expected).div_ceil(COLUMNS as u64).max(1);
        Course { began, inner: RefCell::new(Inner { column_ns, counts: Vec::new() }) }
    }

    /// Adds `n` at that time.
    #[inline]
    pub fn add(&self, now: Instant, n: u64) {
        let since_ns = nanos_of(now.since(self.began));
        let mut inner = self.inner.borrow_mut();
        let mut column = (since_ns / inner.column_ns) as usize;
        if column >= inner.counts.len() {
            while column >= 2 * COLUMNS {
                inner.halve();
                column = (since_ns / inner.column_ns) as usize;
            }
            inner.counts.resize(column + 1, 0);
        }
        inner.counts[column] += n;
    }

    /// Seconds of a column, and what was counted in each up to `end`, per second.
    pub fn per_second(&self, end: Duration) -> (f64, Vec<f64>) {
        let inner = self.inner.borrow();
        let columns = nanos_of(end).div_ceil(inner.column_ns) as usize;
        let column_s = inner.column_ns as f64 / 1e9;
        let count = |at: usize| inner.counts.get(at).copied().unwrap_or(0) as f64 / column_s;
        (column_s, (0..columns.min(2 * COLUMNS)).map(count).collect())
    }
}

impl Inner {
    fn halve(&mut self) {
        self.counts = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
        self.column_ns *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_few_however_long_it_lasts_and_nothing_is_forgotten() {
        let began = Instant::from_millis(1_000);
        let course = Course::new(began, Duration::from_millis(10));
        for ms in 0..10_000 {
            course.add(began + Duration::from_millis(ms), 3);
        }
        let (column_s, rates) = course.per_second(Duration::from_secs(10));
        assert!(rates.len() <= 2 * COLUMNS);
        let total: f64 = rates.iter().map(|rate| rate * column_s).sum();
        assert!((total - 30_000.0).abs() < 1e-6, "{total}");
    }

    #[test]
    fn what_is_silent_counts_as_zero() {
        let course = Course::new(Instant::ZERO, Duration::from_secs(240));
        course.add(Instant::from_millis(1_500), 7);
        assert_eq!(course.per_second(Duration::from_secs(4)), (1.0, vec![0.0, 7.0, 0.0, 0.0]));
    }
}
