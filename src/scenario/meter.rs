//! Times, and how they compare with what physics allows: one histogram of each.

use crate::metrics::{HistogramReader, HistogramSnapshot, Recorder, histogram_up_to};
use crate::time::{Instant, nanos_of};
use std::time::Duration;

/// Virtual times up to 73 min.
const TIME_MAX_NS: u64 = 1 << 42;

/// Ratios are kept in millionths, up to a million.
pub(super) const PARTS: f64 = 1e6;
const RATIO_MAX: u64 = 1 << 40;

/// Times of one kind, each with its own bound.
#[derive(Debug)]
pub(super) struct Meter {
    times: (Recorder, HistogramReader),
    ratios: (Recorder, HistogramReader),
}

impl Meter {
    pub fn new() -> Meter {
        Meter { times: histogram_up_to(TIME_MAX_NS), ratios: histogram_up_to(RATIO_MAX) }
    }

    /// It took that long, and could not have taken less than `bound_ns`; 0 if nothing is known of that.
    #[inline]
    pub fn record(&self, taken_ns: u64, bound_ns: u64) {
        self.times.0.record(taken_ns);
        if bound_ns > 0 {
            self.ratios.0.record((taken_ns as f64 / bound_ns as f64 * PARTS) as u64);
        }
    }

    /// The same for what began at `from`; a bound of zero is none.
    pub fn record_since(&self, now: Instant, from: Instant, bound: Duration) {
        self.record(nanos_of(now.since(from)), nanos_of(bound));
    }

    /// All times so far, in nanoseconds.
    pub fn times(&self) -> HistogramSnapshot {
        self.times.1.snapshot()
    }

    /// All ratios so far, in millionths.
    pub fn ratios(&self) -> HistogramSnapshot {
        self.ratios.1.snapshot()
    }
}
