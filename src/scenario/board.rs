//! What the nodes of a scenario write their results on: all run in one thread, so one board serves them all.

use super::meter::Meter;
use crate::time::{Instant, nanos_of};
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// Columns of a course at most: more than that nobody sees.
const COLUMNS: u64 = 240;

/// The results of one scenario under way.
#[derive(Debug)]
pub(super) struct Board {
    /// When the network was made.
    pub began: Instant,
    /// From one handler to another.
    pub delivery: Meter,
    /// From asking for a connection to its being open.
    pub connect: Meter,
    /// Messages that were handed to a connection.
    pub sent: Cell<u64>,
    /// Messages that arrived.
    pub delivered: Cell<u64>,
    /// Messages that there was no connection or no room for.
    pub unsent: Cell<u64>,
    /// Connections that opened, counted where they were asked for.
    pub opened: Cell<u64>,
    /// Connections that ended, counted there as well.
    pub closed: Cell<u64>,
    /// Bytes that arrived, by time.
    pub received_bytes: Course,
    /// Messages that arrived, by time.
    pub arrivals: Course,
}

impl Board {
    pub fn new(began: Instant, duration: Duration) -> Board {
        let course = || Course::new(began, duration);
        Board {
            began,
            delivery: Meter::new(),
            connect: Meter::new(),
            sent: Cell::default(),
            delivered: Cell::default(),
            unsent: Cell::default(),
            opened: Cell::default(),
            closed: Cell::default(),
            received_bytes: course(),
            arrivals: course(),
        }
    }
}

/// One more.
#[inline]
pub(super) fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// Something that is counted by virtual time, in columns of equal length.
#[derive(Debug)]
pub(super) struct Course {
    began: Instant,
    column_ns: u64,
    counts: RefCell<Vec<u64>>,
}

impl Course {
    pub fn new(began: Instant, duration: Duration) -> Course {
        let column_ns = (nanos_of(duration) / COLUMNS).max(1);
        Course { began, column_ns, counts: RefCell::default() }
    }

    /// Adds `n` at that time.
    #[inline]
    pub fn add(&self, now: Instant, n: u64) {
        let column = (nanos_of(now.since(self.began)) / self.column_ns) as usize;
        let mut counts = self.counts.borrow_mut();
        if column >= counts.len() {
            counts.resize(column + 1, 0);
        }
        counts[column] += n;
    }

    /// Seconds of a column.
    pub fn column_s(&self) -> f64 {
        self.column_ns as f64 / 1e9
    }

    /// What was counted in each column up to `end`, per second.
    pub fn per_second(&self, end: Duration) -> Vec<f64> {
        let columns = nanos_of(end).div_ceil(self.column_ns) as usize;
        let counts = self.counts.borrow();
        (0..columns).map(|at| counts.get(at).copied().unwrap_or(0) as f64 / self.column_s()).collect()
    }
}
