//! The round trip as the sender knows it, and the retransmission time-out that follows from it (RFC 6298).

use crate::time::nanos_of;
use std::time::Duration;

/// Before the first measurement (RFC 6298, section 2.1).
const TIMEOUT_INITIAL_US: u64 = 1_000_000;
/// What is added to the round trip at least: Linux's `TCP_RTO_MIN`, which bounds the variation and not the sum.
const MARGIN_MIN_US: u64 = 200_000;
/// Linux's `TCP_RTO_MAX`.
const TIMEOUT_MAX_US: u64 = 120_000_000;
/// Doublings after which the greatest time-out is reached in any case.
const BACKOFF_MAX: u8 = 10;

/// Smoothed round trip and its mean deviation, in microseconds; zero before the first sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrip {
    smoothed_us: u32,
    deviation_us: u32,
}

impl RoundTrip {
    /// Takes one measurement in: once a round, and the first from the handshake.
    pub(super) fn sample(&mut self, measured: Duration) {
        let measured_us = u32::try_from(nanos_of(measured).div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        if self.smoothed_us == 0 {
            *self = RoundTrip { smoothed_us: measured_us, deviation_us: measured_us / 2 };
            return;
        }
        let mean = |weight: u64, old: u32, new: u32| {
            ((weight - 1) * u64::from(old) + u64::from(new) + weight / 2) / weight
        };
        self.deviation_us = mean(4, self.deviation_us, self.smoothed_us.abs_diff(measured_us)) as u32;
        self.smoothed_us = mean(8, self.smoothed_us, measured_us) as u32;
    }

    /// The smoothed round trip; zero before the first sample.
    pub(super) fn smoothed(self) -> Duration {
        Duration::from_micros(u64::from(self.smoothed_us))
    }

    /// The time-out after `backoff` doublings.
    pub(super) fn timeout(self, backoff: u8) -> Duration {
        let base_us = match u64::from(self.smoothed_us) {
            0 => TIMEOUT_INITIAL_US,
            smoothed_us => smoothed_us + (4 * u64::from(self.deviation_us)).max(MARGIN_MIN_US),
        };
        Duration::from_micros((base_us << backoff.min(BACKOFF_MAX)).min(TIMEOUT_MAX_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_round_trip_leaves_the_least_margin() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.timeout(0), Duration::from_secs(1));
        round_trip.sample(Duration::from_millis(600));
        assert_eq!(round_trip.timeout(0), Duration::from_millis(1_800));
        for _ in 0..40 {
            round_trip.sample(Duration::from_millis(600));
        }
        assert_eq!(round_trip.smoothed(), Duration::from_millis(600));
        assert_eq!(round_trip.timeout(0), Duration::from_millis(800));
        assert_eq!(round_trip.timeout(1), Duration::from_millis(1_600));
        assert_eq!(round_trip.timeout(200), Duration::from_secs(120));
    }

    #[test]
    fn an_unsteady_one_widens_it() {
        let mut round_trip = RoundTrip::default();
        for round in 0..100 {
            round_trip.sample(Duration::from_millis(if round % 2 == 0 { 100 } else { 500 }));
        }
        assert!(round_trip.timeout(0) > Duration::from_millis(900), "{:?}", round_trip.timeout(0));
    }

    #[test]
    fn odd_measurements_do_no_harm() {
        let mut round_trip = RoundTrip::default();
        for measured in [Duration::ZERO, Duration::MAX, Duration::ZERO, Duration::MAX] {
            round_trip.sample(measured);
            assert!(round_trip.timeout(0) >= Duration::from_millis(200));
            assert!(round_trip.timeout(255) <= Duration::from_secs(120));
        }
    }
}
