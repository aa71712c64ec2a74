//! Something that is counted by virtual time.

use super::columns::Columns;
use crate::time::{Instant, nanos_of};
use std::cell::RefCell;
use std::time::Duration;

/// Columns of a course; up to twice as many if it lasts longer than expected. More than that nobody sees.
pub(super) const COLUMNS: usize = 240;

/// Counts in columns of equal length.
#[derive(Debug)]
pub(super) struct Course(RefCell<Columns<u64>>);

impl Course {
    /// A course that is expected to last that long.
    pub fn new(began: Instant, expected: Duration) -> Course {
        Course(RefCell::new(Columns::new(began, expected, COLUMNS)))
    }

    /// Adds `n` at that time.
    #[inline]
    pub fn add(&self, now: Instant, n: u64) {
        *self.0.borrow_mut().at(now) += n;
    }

    /// Seconds of a column, and what was counted in each up to `end`, per second.
    pub fn per_second(&self, end: Duration) -> (f64, Vec<f64>) {
        let columns = self.0.borrow();
        let count = nanos_of(end).div_ceil(columns.column_ns()) as usize;
        let column_s = columns.column_ns() as f64 / 1e9;
        let rate = |at: usize| columns.all().get(at).copied().unwrap_or(0) as f64 / column_s;
        (column_s, (0..count.min(2 * COLUMNS)).map(rate).collect())
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
