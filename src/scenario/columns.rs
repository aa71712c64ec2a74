//! Columns of equal length in virtual time, which are made longer as time goes on, so that there are never too many.

use crate::time::{Instant, nanos_of};
use std::time::Duration;

/// What a column holds.
pub(super) trait Merge: Default {
    /// Adds what a later column holds.
    fn merge(&mut self, later: Self);
}

impl Merge for u64 {
    fn merge(&mut self, later: u64) {
        *self += later;
    }
}

/// Up to twice so many columns as were wanted.
#[derive(Debug)]
pub(super) struct Columns<C> {
    began: Instant,
    wanted: usize,
    column_ns: u64,
    all: Vec<C>,
}

impl<C: Merge> Columns<C> {
    /// About `wanted` columns of something that is expected to last that long.
    pub fn new(began: Instant, expected: Duration, wanted: usize) -> Columns<C> {
        let column_ns = nanos_of(expected).div_ceil(wanted as u64).max(1);
        Columns { began, wanted, column_ns, all: Vec::new() }
    }

    /// The column of that time.
    #[inline]
    pub fn at(&mut self, now: Instant) -> &mut C {
        let since_ns = nanos_of(now.since(self.began));
        let mut column = (since_ns / self.column_ns) as usize;
        if column >= self.all.len() {
            while column >= 2 * self.wanted {
                self.halve();
                column = (since_ns / self.column_ns) as usize;
            }
            self.all.resize_with(column + 1, C::default);
        }
        &mut self.all[column]
    }

    /// Nanoseconds of a column.
    pub fn column_ns(&self) -> u64 {
        self.column_ns
    }

    /// All up to the last in which something was counted.
    pub fn all(&self) -> &[C] {
        &self.all
    }

    fn halve(&mut self) {
        let mut halved: Vec<C> = Vec::with_capacity(self.all.len().div_ceil(2));
        for (number, column) in std::mem::take(&mut self.all).into_iter().enumerate() {
            match halved.last_mut() {
                Some(earlier) if number % 2 == 1 => earlier.merge(column),
                _ => halved.push(column),
            }
        }
        self.all = halved;
        self.column_ns *= 2;
    }
}
