//! What physics and TCP allow: the least time that something takes on a link, whatever the software does; and for what is
//! left to chance, what the literature expects.

use crate::net::sim::{self, pftk};
use crate::sim::Link;
use std::time::Duration;

/// Payload of a full segment.
pub(super) const SEGMENT_BYTES: u64 = sim::SEGMENT_BYTES as u64;

/// Bytes of IPv4 and TCP headers of a segment.
const HEADER_BYTES: u64 = 40;

/// Segments of the first window (RFC 6928).
const INITIAL_SEGMENTS: u64 = 10;

/// The receive buffer of the simulated TCP, the most that can be under way.
pub(super) const WINDOW_BYTES: u64 = sim::WINDOW_BYTES as u64;

/// What Linux adds to the round trip before it sends again (`TCP_RTO_MIN`), and the longest it waits (`TCP_RTO_MAX`).
const TIMEOUT_MARGIN: Duration = Duration::from_millis(200);
const TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// Time-outs double at most so often: the next one would be above [`TIMEOUT_MAX`] on any link.
const DOUBLINGS_MAX: u32 = 16;

/// How long the link's bottleneck takes for so many bytes and their headers.
pub(super) fn serialization(link: &Link, bytes: u64) -> Duration {
    let on_the_wire = bytes + bytes.div_ceil(SEGMENT_BYTES) * HEADER_BYTES;
    link.bandwidth_bits_per_s
        .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(on_the_wire as f64 * 8.0 / rate.max(1) as f64))
}

/// How long `bytes` take from the first SYN to the last byte on a link without loss: handshake, slow start that doubles
/// with each round trip until it fills the link or the window, serialization, latency.
pub(super) fn transfer(link: &Link, bytes: u64, there: Duration, back: Duration) -> Duration {
    let round_trip = there + back + serialization(link, SEGMENT_BYTES);
    let mut begun = there + back;
    let (mut left, mut window) = (bytes, INITIAL_SEGMENTS * SEGMENT_BYTES);
    while left > window && serialization(link, window) < round_trip && !round_trip.is_zero() {
        left -= window;
        begun += round_trip;
        window = (2 * window).min(WINDOW_BYTES);
    }
    begun + serialization(link, left) + there
}

/// Segments per second that get through at loss `p`, above 0 and below 1.
pub(super) fn lossy_segments_per_s(p: f64, round_trip: Duration) -> f64 {
    let (round_trip_s, timeout_s) = (round_trip.as_secs_f64(), (round_trip + TIMEOUT_MARGIN).as_secs_f64());
    pftk::rates(p, round_trip_s, timeout_s, (WINDOW_BYTES / SEGMENT_BYTES) as f64).delivered
}

/// The longest that TCP waits after a partition of that length has healed before it sends again: the time-out has doubled
/// with each attempt that was lost, and the last attempt may have been just before the end.
pub(super) fn recovery(partition: Duration, round_trip: Duration, jitter: Duration) -> Duration {
    // What varies is in the estimate of the round trip, four times its mean deviation at most.
    let mut timeout = round_trip + 2 * jitter + TIMEOUT_MARGIN.max(4 * jitter);
    let mut waited = timeout;
    for _ in 0..DOUBLINGS_MAX {
        if waited >= partition {
            break;
        }
        timeout = (timeout * 2).min(TIMEOUT_MAX);
        waited += timeout;
    }
    timeout
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Latency;

    const MS: Duration = Duration::from_millis(1);

    fn link(mbit: Option<u64>) -> Link {
        let mut link = Link::new(Latency::Fixed(25 * MS));
        link.bandwidth_bits_per_s = mbit.map(|mbit| mbit * 1_000_000);
        link
    }

    #[test]
    fn a_short_transfer_is_a_handshake_and_a_latency() {
        assert_eq!(transfer(&link(None), 14_600, 25 * MS, 25 * MS), 75 * MS);
        assert_eq!(transfer(&link(None), 14_601, 25 * MS, 25 * MS), 125 * MS, "a second round");
    }

    #[test]
    fn a_long_transfer_is_as_fast_as_the_link_or_the_window() {
        let took = transfer(&link(Some(100)), 100_000_000, 25 * MS, 25 * MS).as_secs_f64();
        assert!((8.2..8.6).contains(&took), "{took}: 8.2 s for bytes and headers, and slow start");
        let took = transfer(&link(None), 100_000_000, 25 * MS, 25 * MS).as_secs_f64();
        let rounds = 100_000_000.0 / WINDOW_BYTES as f64;
        assert!((rounds * 0.05..(rounds + 12.0) * 0.05).contains(&took), "{took}");
    }

    /// The square-root law of Mathis et al. (1997), which the formula becomes where time-outs are rare.
    #[test]
    fn rare_losses_follow_the_square_root_law() {
        for p in [1e-5, 1e-4] {
            let rate = lossy_segments_per_s(p, 100 * MS);
            let mathis = (1.5 / p).sqrt() / 0.1;
            assert!((0.8..1.1).contains(&(rate / mathis)), "{p}: {rate} and {mathis}");
        }
        let rates: Vec<f64> = [0.001, 0.01, 0.05].map(|p| lossy_segments_per_s(p, 100 * MS)).into();
        assert!(rates.windows(2).all(|pair| pair[0] > pair[1]), "{rates:?}");
    }

    #[test]
    fn recovery_waits_about_as_long_as_the_partition_lasted() {
        for seconds in [5, 20, 60] {
            let partition = Duration::from_secs(seconds);
            let wait = recovery(partition, 100 * MS, Duration::ZERO);
            assert!(
                wait > partition / 4 && wait <= partition + Duration::from_secs(1),
                "{wait:?} after {partition:?}"
            );
        }
        assert_eq!(recovery(MS, 100 * MS, Duration::ZERO), 300 * MS);
        assert_eq!(recovery(Duration::from_secs(3_000), 100 * MS, Duration::ZERO), TIMEOUT_MAX);
    }
}
