//! What a flow needs once something was lost: what to send again, what came too early, and the retransmission timer.
//!
//! Most flows never do, so it is made when it is needed and kept for what it has counted.

use super::{Flow, Step, Wire};
use crate::time::Instant;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::time::Duration;

/// How long Linux goes on: `tcp_retries2` is 15, and 15 retries from 200 ms, doubled up to 120 s, take this long.
const PATIENCE_DEFAULT: Duration = Duration::from_millis(924_600);

/// The state of a flow that had something to repair.
#[derive(Debug)]
pub(super) struct Repair {
    /// What must be sent again.
    pub(super) lost: VecDeque<(u64, u16)>,
    /// What has arrived beyond a gap.
    pub(super) early: Early,
    /// Losses among transmissions before this one belong to a loss that was already answered.
    pub(super) recovery: u32,
    /// Losses have begun; what is sent before this time is lost as well, unless a new round begins.
    pub(super) burst_until: Instant,
    /// When the next [`Step::Timer`] comes; far away if none does.
    timer_at: Instant,
    /// The last progress before the timer first went off.
    stalled_since: Instant,
    /// How often the timer went off since.
    pub(super) backoff: u8,
    pub(super) retransmissions: u64,
    pub(super) bytes_resent: u64,
    pub(super) timeouts: u64,
}

impl Default for Repair {
    fn default() -> Repair {
        Repair {
            lost: VecDeque::new(),
            early: Early::default(),
            recovery: 0,
            burst_until: Instant::ZERO,
            timer_at: Instant::FAR_FUTURE,
            stalled_since: Instant::ZERO,
            backoff: 0,
            retransmissions: 0,
            bytes_resent: 0,
            timeouts: 0,
        }
    }
}

impl Repair {
    /// Gives its buffers back, and keeps what it has counted.
    pub(super) fn forget(&mut self) {
        (self.lost, self.early) = (VecDeque::new(), Early::default());
    }
}

/// Stretches of bytes that have arrived beyond a gap, apart from each other and in order.
#[derive(Debug, Default)]
pub(super) struct Early(Vec<(u64, u64)>);

impl Early {
    /// Adds the bytes from `from` to `to`.
    pub(super) fn insert(&mut self, from: u64, to: u64) {
        let first = self.0.partition_point(|stretch| stretch.1 < from);
        let last = first + self.0[first..].partition_point(|stretch| stretch.0 <= to);
        let merged = self.0[first..last]
            .iter()
            .fold((from, to), |merged, stretch| (merged.0.min(stretch.0), merged.1.max(stretch.1)));
        self.0.splice(first..last, [merged]);
    }

    /// All before `arrived` is there: takes out what joins on, and says how far that reaches.
    pub(super) fn take_up_to(&mut self, arrived: u64) -> u64 {
        let count = self.0.partition_point(|stretch| stretch.0 <= arrived);
        let reached = self.0[..count].iter().map(|stretch| stretch.1).fold(arrived, u64::max);
        self.0.drain(..count);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        reached
    }
}

impl Flow {
    pub(super) fn backoff(&self) -> u8 {
        self.repair.as_ref().map_or(0, |repair| repair.backoff)
    }

    /// When the retransmission timer goes off, and whether that is when the flow gives up.
    fn timer(&self) -> (Instant, bool) {
        let backoff = self.backoff();
        let retry_at = self.timer_from + self.round_trip.timeout(backoff);
        let stalled_since = match &self.repair {
            Some(repair) if backoff > 0 => repair.stalled_since,
            _ => self.timer_from,
        };
        let give_up_at = stalled_since + self.settings.user_timeout.unwrap_or(PATIENCE_DEFAULT);
        (retry_at.min(give_up_at), give_up_at <= retry_at)
    }

    /// When the retransmission timer goes off.
    pub(super) fn timer_due(&self) -> Instant {
        self.timer().0
    }

    /// Sees to it that the timer is looked at when it is due: something will not be acknowledged before.
    pub(super) fn arm(&mut self, now: Instant, out: &mut Vec<(Instant, Step)>) {
        // It may seem overdue while acknowledgements wait to be taken in: that is done first when it is looked at.
        let due = self.timer_due().max(now);
        let repair = self.repair.get_or_insert_default();
        if due < repair.timer_at {
            repair.timer_at = due;
            out.push((due, Step::Timer));
        }
    }

    /// Something was acknowledged at `at`: the timer starts afresh.
    pub(super) fn progress(&mut self, at: Instant) {
        self.timer_from = at;
        if let Some(repair) = &mut self.repair {
            repair.backoff = 0;
        }
    }

    /// The receiver has answered at `at` that it still has no room: nobody gives up on it.
    pub(super) fn answered(&mut self, at: Instant) {
        if let Some(repair) = &mut self.repair {
            repair.stalled_since = at;
        }
    }

    /// A [`Step::Timer`] has come.
    ///
    /// # Errors
    /// `ETIMEDOUT` if there was no progress for too long.
    pub(super) fn check_timer(&mut self, wire: &mut Wire<'_, '_>) -> Result<(), Errno> {
        let Some(repair) = self.repair.as_mut().filter(|repair| repair.timer_at <= wire.now) else {
            // It was superseded by an earlier one.
            return Ok(());
        };
        repair.timer_at = Instant::FAR_FUTURE;
        if self.in_flight.is_empty() && !self.has_unsent() {
            return Ok(());
        }
        let (due, gives_up) = self.timer();
        if wire.now < due {
            self.arm(wire.now, wire.out);
            return Ok(());
        }
        if gives_up {
            return Err(Errno::TIMEDOUT);
        }
        self.time_out(wire);
        Ok(())
    }

    /// Nothing was acknowledged for too long: all that is under way counts as lost, and one segment tries again. If
    /// nothing was under way because the receiver had no room, an empty segment asks for its window.
    fn time_out(&mut self, wire: &mut Wire<'_, '_>) {
        let mss = self.settings.mss;
        let is_probe = self.in_flight.bytes() == 0;
        let repair = self.repair.get_or_insert_default();
        if repair.backoff == 0 {
            repair.stalled_since = self.timer_from;
        }
        if !is_probe {
            self.congestion.collapse(mss, repair.backoff > 0);
            repair.timeouts += 1;
        }
        while let Some(lost) = self.in_flight.give_up() {
            if lost.len > 0 {
                repair.lost.push_back((lost.seq, lost.len));
            }
        }
        repair.lost.make_contiguous().sort_unstable();
        repair.backoff = repair.backoff.saturating_add(1);
        repair.burst_until = Instant::ZERO;
        self.round = self.in_flight.next_serial();
        repair.recovery = self.round;
        self.timer_from = wire.now;
        if is_probe {
            self.send(wire, self.next, 0);
        }
        self.arm(wire.now, wire.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_stretches_merge_and_join_on() {
        let mut early = Early::default();
        for (from, to) in [(30, 40), (10, 20), (50, 60), (20, 25), (38, 50), (10, 12)] {
            early.insert(from, to);
        }
        assert_eq!(early.0, [(10, 25), (30, 60)]);
        assert_eq!(early.take_up_to(5), 5);
        assert_eq!(early.take_up_to(10), 25);
        assert_eq!(early.take_up_to(45), 60);
        assert_eq!(early.0.capacity(), 0);
    }
}
