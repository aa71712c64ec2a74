//! `bandwidth`: bytes leave as from a link of this rate, which is busy with one after the other.

use super::Step;
use crate::proxy::chain::{Piece, Queue};
use crate::time::{Instant, nanos_of};
use std::time::Duration;

const NANOS_PER_S: u128 = 1_000_000_000;

/// Bytes of a piece that leaves by itself, if that takes neither too long nor too short: a segment of TCP over Ethernet.
const PIECE_BYTES: u64 = 1460;

/// A piece takes no longer than this, so that a slow link does not stutter.
const PIECE_LONGEST: Duration = Duration::from_millis(10);

/// Nor shorter than this, so that a fast one does not wake the reactor more often than its timers are exact.
const PIECE_SHORTEST: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(in crate::proxy) struct Bandwidth {
    bytes_per_s: u64,
    /// When the last byte had left.
    free_at: Instant,
    /// What the last byte took beyond that, in fractions of a nanosecond: its numerator over the rate.
    carry: u128,
}

impl Bandwidth {
    pub(super) fn new(rate_kb_per_s: u64) -> Bandwidth {
        Bandwidth { bytes_per_s: rate_kb_per_s.saturating_mul(1000), free_at: Instant::ZERO, carry: 0 }
    }

    pub(super) fn change(&mut self, rate_kb_per_s: u64, now: Instant) {
        // While nothing was let through the link was not busy with anything.
        let free_at = if self.bytes_per_s == 0 { now } else { self.free_at };
        *self = Bandwidth { free_at, ..Bandwidth::new(rate_kb_per_s) };
    }

    /// The time in which nothing could leave does not count: it must not be made up for by a burst.
    pub(super) fn held_up(&mut self, now: Instant) {
        if now > self.free_at {
            (self.free_at, self.carry) = (now, 0);
        }
    }

    pub(super) fn step(&mut self, queue: &mut Queue, now: Instant) -> Step {
        let Some(front) = queue.front() else { return Step::Rest };
        if self.bytes_per_s == 0 {
            return Step::Rest;
        }
        if front.at > self.free_at {
            (self.free_at, self.carry) = (front.at, 0);
        }
        let whole = front.len() as u64;
        let (done, _) = self.after(whole);
        if done <= now {
            return self.pass(queue, whole);
        }
        let some = self.piece_bytes().min(whole);
        let (next, _) = self.after(some);
        if next > now {
            return Step::Wait(next);
        }
        // As much as has left by now: whoever comes late finds more.
        let elapsed = u128::from(nanos_of(now.since(self.free_at)));
        let left = (elapsed * u128::from(self.bytes_per_s)).saturating_sub(self.carry) / NANOS_PER_S;
        self.pass(queue, u64::try_from(left).unwrap_or(whole).clamp(some, whole))
    }

    fn pass(&mut self, queue: &mut Queue, bytes: u64) -> Step {
        (self.free_at, self.carry) = self.after(bytes);
        let at = self.free_at;
        let piece = queue.pop_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
        piece.map_or(Step::Rest, |piece| Step::Pass(Piece { at, ..piece }))
    }

    /// When `bytes` more have left, and the fraction of a nanosecond beyond.
    fn after(&self, bytes: u64) -> (Instant, u128) {
        let rate = u128::from(self.bytes_per_s);
        let taken = u128::from(bytes) * NANOS_PER_S + self.carry;
        let nanos = u64::try_from(taken / rate).unwrap_or(u64::MAX);
        (self.free_at + Duration::from_nanos(nanos), taken % rate)
    }

    fn piece_bytes(&self) -> u64 {
        let within = |time: Duration| {
            let bytes = u128::from(self.bytes_per_s) * time.as_nanos() / NANOS_PER_S;
            u64::try_from(bytes).unwrap_or(u64::MAX)
        };
        PIECE_BYTES.clamp(within(PIECE_SHORTEST), within(PIECE_LONGEST)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Sends `pieces` of `bytes` each through `rate` and looks again `late` after it was told to: when the last byte
    /// had left.
    fn transfer(rate: u64, pieces: usize, bytes: usize, late: Duration) -> Instant {
        let mut queue = Queue::default();
        for _ in 0..pieces {
            queue.push(Piece::bytes(Instant::ZERO, Bytes::from(vec![0; bytes])));
        }
        let (mut bandwidth, mut now, mut last) = (Bandwidth::new(rate), Instant::ZERO, Instant::ZERO);
        let mut passed = 0;
        loop {
            match bandwidth.step(&mut queue, now) {
                Step::Pass(piece) => {
                    assert!(piece.at >= last && piece.at <= now, "{:?} at {now:?}", piece.at);
                    (last, passed) = (piece.at, passed + piece.len());
                }
                Step::Wait(at) => now = at + late,
                Step::Rest => break,
            }
        }
        assert_eq!(passed, pieces * bytes);
        last
    }

    #[test]
    fn a_second_of_bytes_takes_a_second_however_they_come() {
        let second = Instant::from_nanos(1_000_000_000);
        for (rate, pieces, bytes) in
            [(100, 1, 100_000), (100, 100_000, 1), (1000, 700, 1_000_000 / 700), (50_000, 200, 250_000)]
        {
            for late in [Duration::ZERO, Duration::from_micros(1300)] {
                let took = transfer(rate, pieces, bytes, late).as_nanos();
                let exact = pieces as u64 * bytes as u64 * 1_000_000 / rate;
                assert!(
                    took.abs_diff(exact) <= 1,
                    "{pieces} of {bytes} at {rate} kB/s: {took} ns, not {exact}"
                );
                assert!(exact <= second.as_nanos());
            }
        }
    }

    #[test]
    fn no_rate_holds_and_a_huge_one_lets_through() {
        let mut queue = Queue::default();
        queue.push(Piece::bytes(Instant::ZERO, Bytes::from_static(b"abc")));
        let mut bandwidth = Bandwidth::new(0);
        assert!(matches!(bandwidth.step(&mut queue, Instant::from_millis(1)), Step::Rest));
        bandwidth.change(u64::MAX, Instant::from_millis(1));
        assert!(matches!(bandwidth.step(&mut queue, Instant::from_millis(1)), Step::Pass(_)));
        queue.push(Piece::bytes(Instant::from_millis(1), Bytes::from_static(b"abc")));
        bandwidth.change(1, Instant::from_millis(1));
        assert!(matches!(bandwidth.step(&mut queue, Instant::from_millis(1)), Step::Wait(_)));
    }
}
