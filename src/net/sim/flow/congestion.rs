//! How much may be under way: Reno's congestion window (RFC 5681), counted in bytes.

/// Segments of the first window (RFC 6928).
const INITIAL_SEGMENTS: u32 = 10;
/// Segments below which a loss does not push the threshold (RFC 5681, equation 4).
const THRESHOLD_SEGMENTS_MIN: u32 = 2;

/// The congestion window and what moves it.
///
/// It grows by the bytes that are acknowledged, not by the number of acknowledgements, as Linux does (RFC 3465): by
/// as many in slow start, by one segment for each window in congestion avoidance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Congestion {
    window: u32,
    /// Slow start below it, congestion avoidance above.
    threshold: u32,
    /// Bytes acknowledged towards the next segment of growth.
    credit: u32,
}

impl Congestion {
    pub(super) fn new(mss: u16) -> Congestion {
        Congestion { window: INITIAL_SEGMENTS * u32::from(mss), threshold: u32::MAX, credit: 0 }
    }

    /// Whether a segment of `len` bytes may join `in_flight` bytes.
    ///
    /// A window that is no whole number of segments is rounded to the nearest. Stacks round down, which costs half a
    /// segment on average; with windows of six segments the formulas for throughput, which do not round, are then
    /// missed by 8 %.
    pub(super) fn admits(self, in_flight: u32, len: u16) -> bool {
        in_flight == 0 || u64::from(in_flight) + u64::from(len.div_ceil(2)) <= u64::from(self.window)
    }

    /// Full segments that fill the window.
    pub(super) fn segments(self, mss: u16) -> usize {
        (self.window / u32::from(mss)) as usize
    }

    /// Whether `in_flight` bytes use the window so well that it may grow: the test of Linux's
    /// `tcp_is_cwnd_limited`. A writer that sends little learns nothing about the network.
    pub(super) fn is_limiting(self, in_flight: u32, mss: u16) -> bool {
        let in_flight = u64::from(in_flight);
        let slow_start = self.window < self.threshold;
        in_flight + u64::from(mss) > u64::from(self.window)
            || (slow_start && 2 * in_flight >= u64::from(self.window))
    }

    /// `acked` bytes have arrived.
    pub(super) fn grow(&mut self, acked: u32, mss: u16) {
        // What carries slow start beyond its end counts towards avoidance.
        let slow = acked.min(self.threshold.saturating_sub(self.window));
        self.window = self.window.saturating_add(slow);
        self.credit = self.credit.saturating_add(acked - slow);
        if slow < acked && self.credit >= self.window {
            self.credit -= self.window;
            self.window = self.window.saturating_add(u32::from(mss));
        }
    }

    /// Duplicate acknowledgements told of a loss: half the window, and on from there (fast recovery).
    pub(super) fn halve(&mut self, mss: u16) {
        self.threshold = (self.window / 2).max(THRESHOLD_SEGMENTS_MIN * u32::from(mss));
        self.window = self.threshold;
        self.credit = 0;
    }

    /// The retransmission timer went off. Only the first of several in a row, `again` being false, says something
    /// new about what the network can carry.
    pub(super) fn collapse(&mut self, mss: u16, again: bool) {
        if !again {
            self.threshold = (self.window / 2).max(THRESHOLD_SEGMENTS_MIN * u32::from(mss));
        }
        self.window = u32::from(mss);
        self.credit = 0;
    }

    /// Nothing was sent for `timeouts` retransmission time-outs: the window halves with each, down to the initial
    /// one, and remembers three quarters of what it was (Linux's `tcp_cwnd_restart`, RFC 2861).
    pub(super) fn after_idle(&mut self, timeouts: u64, mss: u16) {
        let initial = INITIAL_SEGMENTS * u32::from(mss);
        if timeouts == 0 || self.window <= initial {
            return;
        }
        self.threshold = self.threshold.max(self.window / 4 * 3);
        self.window = (self.window >> timeouts.min(31)).max(initial);
        self.credit = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u16 = 1_000;

    #[test]
    fn the_window_doubles_in_slow_start_and_grows_by_a_segment_a_round_afterwards() {
        let mut congestion = Congestion::new(MSS);
        congestion.grow(congestion.window, MSS);
        assert_eq!(congestion.window, 20_000);
        congestion.halve(MSS);
        assert_eq!(congestion.window, 10_000);
        for round in 1..=5 {
            for _ in 0..congestion.window / u32::from(MSS) {
                congestion.grow(u32::from(MSS), MSS);
            }
            assert_eq!(congestion.window, 10_000 + round * 1_000);
        }
    }

    #[test]
    fn slow_start_stops_at_the_threshold() {
        let mut congestion = Congestion::new(MSS);
        congestion.collapse(MSS, false);
        congestion.collapse(MSS, true);
        assert_eq!(congestion.window, 1_000);
        for _ in 0..4 {
            congestion.grow(congestion.window, MSS);
        }
        assert_eq!(congestion.window, 6_000, "1, 2, 4, 5 and one more by avoidance");
    }

    #[test]
    fn a_small_window_stays_above_its_least() {
        let mut congestion = Congestion::new(MSS);
        for _ in 0..9 {
            congestion.halve(MSS);
        }
        assert_eq!(congestion.window, 2_000);
    }

    #[test]
    fn a_pause_gives_up_what_may_no_longer_be_there() {
        let mut congestion = Congestion::new(MSS);
        for _ in 0..5 {
            congestion.grow(congestion.window, MSS);
        }
        congestion.after_idle(0, MSS);
        assert_eq!(congestion.window, 320_000);
        congestion.after_idle(2, MSS);
        assert_eq!(congestion.window, 80_000);
        congestion.after_idle(u64::MAX, MSS);
        assert_eq!(congestion.window, 10_000);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let congestion = Congestion::new(MSS);
        assert!(!congestion.is_limiting(4_000, MSS));
        assert!(congestion.is_limiting(5_000, MSS));
        let mut avoiding = congestion;
        avoiding.halve(MSS);
        assert!(!avoiding.is_limiting(4_000, MSS));
        assert!(avoiding.is_limiting(4_001, MSS));
    }
}
