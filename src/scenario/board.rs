//! What the nodes of a scenario write their results on: all run in one thread, so one board serves them all.

use super::course::Course;
use super::heat::Heat;
use super::meter::Meter;
use crate::time::Instant;
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// The results of one scenario under way.
#[derive(Debug)]
pub(super) struct Board {
    /// When the network was made.
    pub began: Instant,
    /// From one handler to another.
    pub delivery: Meter,
    /// The same, by virtual time of arrival.
    pub heat: Heat,
    /// From asking for a connection to its being open.
    pub connect: Meter,
    /// From asking for a connection to the first byte at its other end.
    pub first_byte: Meter,
    /// From the end of a connection to the opening of the next one to the same neighbour.
    pub outage: Meter,
    /// From the healing of a partition to the first message across it, for each direction of a connection.
    pub recovery: Meter,
    /// From sending a message to all, to its arrival at the last of them.
    pub last_of_all: Meter,
    /// Messages that were handed to a connection.
    pub sent: Cell<u64>,
    /// Messages that arrived.
    pub delivered: Cell<u64>,
    /// Messages that there was no connection or no room for.
    pub unsent: Cell<u64>,
    /// Connections that opened, counted where they were asked for.
    pub opened: Cell<u64>,
    /// Connections that ended although nobody asked for that, counted where they had been open.
    pub broken: Cell<u64>,
    /// Attempts to connect that came to nothing.
    pub refused: Cell<u64>,
    /// Bytes that arrived, by time.
    pub received_bytes: Course,
    /// Messages that arrived, by time.
    pub arrivals: Course,
    /// Connections that opened, by time.
    pub openings: Course,
    /// For each node, when it got and lost its quorum of neighbours; a start of the node counts as a loss.
    pub quorum: RefCell<Vec<Vec<(Instant, bool)>>>,
}

impl Board {
    pub fn new(began: Instant, expected: Duration, nodes: usize) -> Board {
        let course = || Course::new(began, expected);
        Board {
            began,
            delivery: Meter::new(),
            heat: Heat::new(began, expected),
            connect: Meter::new(),
            first_byte: Meter::new(),
            outage: Meter::new(),
            recovery: Meter::new(),
            last_of_all: Meter::new(),
            sent: Cell::default(),
            delivered: Cell::default(),
            unsent: Cell::default(),
            opened: Cell::default(),
            broken: Cell::default(),
            refused: Cell::default(),
            received_bytes: course(),
            arrivals: course(),
            openings: course(),
            quorum: RefCell::new(vec![Vec::new(); nodes]),
        }
    }

    /// A message arrived that took `taken_ns`, and at least `bound_ns`.
    #[inline]
    pub fn arrived(&self, now: Instant, taken_ns: u64, bound_ns: u64) {
        self.delivery.record(taken_ns, bound_ns);
        self.heat.add(now, taken_ns);
        count(&self.delivered);
        self.arrivals.add(now, 1);
    }

    /// A connection is open that was asked for at `asked_at`.
    pub fn connected(&self, now: Instant, asked_at: Instant, bound: Duration) {
        self.connect.record_since(now, asked_at, bound);
        count(&self.opened);
        self.openings.add(now, 1);
    }
}

/// One more.
#[inline]
pub(super) fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}
