//! `loss`: what TCP makes of lost segments. The receiver's program sees nothing missing, it sees a pause, and then all
//! that had come behind the lost segment at once.

use super::{Step, gap};
use crate::proxy::chain::{Content, Piece, Queue};
use crate::time::Instant;
use fastrand::Rng;
use std::time::Duration;

/// Bytes of a segment: TCP over Ethernet without options.
const SEGMENT_BYTES: u64 = 1460;

/// The smallest retransmission time-out beyond the round trip: Linux' `TCP_RTO_MIN`.
const RTO_MIN: Duration = Duration::from_millis(200);

/// The longest retransmission time-out: Linux' `TCP_RTO_MAX`.
const RTO_MAX: Duration = Duration::from_secs(120);

/// How often one segment is lost again, at most: Linux' `tcp_retries2`, after which it would give the peer up.
const RETRIES_MAX: usize = 15;

#[derive(Debug)]
pub(in crate::proxy) struct Loss {
    probability: f64,
    rtt: Duration,
    rng: Rng,
    /// Bytes until the next segment that is lost begins.
    sound: u64,
    /// When the last bytes could be delivered: nothing behind them can be before.
    last: Instant,
}

impl Loss {
    pub(super) fn new(probability: f64, rtt_ms: u64, rng: Rng) -> Loss {
        let rtt = Duration::from_millis(rtt_ms);
        let mut loss = Loss { probability, rtt, rng, sound: 0, last: Instant::ZERO };
        loss.sound = loss.bytes_to_next();
        loss
    }

    pub(super) fn change(&mut self, probability: f64, rtt_ms: u64) {
        self.rtt = Duration::from_millis(rtt_ms);
        if probability != self.probability {
            self.probability = probability;
            self.sound = self.bytes_to_next();
        }
    }

    pub(super) fn step(&mut self, queue: &mut Queue, now: Instant) -> Step {
        let Some(front) = queue.front() else { return Step::Rest };
        let due = front.at.max(self.last);
        if due > now {
            return Step::Wait(due);
        }
        if self.sound == 0 && matches!(front.content, Content::Bytes(_)) {
            self.last = due + self.stall(queue);
            self.sound = SEGMENT_BYTES.saturating_add(self.bytes_to_next());
            return self.step(queue, now);
        }
        let Some(piece) = queue.pop_bytes(usize::try_from(self.sound).unwrap_or(usize::MAX)) else {
            return Step::Rest;
        };
        self.sound -= piece.len() as u64;
        Step::Pass(Piece { at: due, ..piece })
    }

    /// How long it takes until a segment that was lost has come after all.
    fn stall(&mut self, queue: &Queue) -> Duration {
        let longer = |front: &Piece| front.len() as u64 > SEGMENT_BYTES;
        let more_follows = queue.len() > 1 || queue.front().is_some_and(longer);
        let mut rto = self.rtt.saturating_add(RTO_MIN).min(RTO_MAX);
        let mut stall = if more_follows { self.rtt } else { rto };
        for _ in 0..RETRIES_MAX {
            if self.rng.f64() >= self.probability {
                break;
            }
            rto = rto.saturating_mul(2).min(RTO_MAX);
            stall = stall.saturating_add(rto);
        }
        stall
    }

    fn bytes_to_next(&mut self) -> u64 {
        gap(&mut self.rng, self.probability).saturating_mul(SEGMENT_BYTES)
    }
}
