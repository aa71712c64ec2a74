//! `latency`: every piece is due so much later than it came, and never before the one ahead of it.

use super::Step;
use crate::proxy::chain::{Piece, Queue};
use crate::time::Instant;
use fastrand::Rng;
use std::time::Duration;

#[derive(Debug)]
pub(in crate::proxy) struct Latency {
    latency: Duration,
    jitter: Duration,
    rng: Rng,
    /// Where between early (-1) and late (1) the front piece falls.
    drawn: Option<f64>,
    /// When the last piece was due.
    last: Instant,
}

impl Latency {
    pub(super) fn new(latency_ms: u64, jitter_ms: u64, rng: Rng) -> Latency {
        let (latency, jitter) = (Duration::from_millis(latency_ms), Duration::from_millis(jitter_ms));
        Latency { latency, jitter, rng, drawn: None, last: Instant::ZERO }
    }

    pub(super) fn change(&mut self, latency_ms: u64, jitter_ms: u64) {
        self.latency = Duration::from_millis(latency_ms);
        self.jitter = Duration::from_millis(jitter_ms);
    }

    pub(super) fn step(&mut self, queue: &mut Queue, now: Instant) -> Step {
        let Some(front) = queue.front() else { return Step::Rest };
        let drawn = *self.drawn.get_or_insert_with(|| self.rng.f64() * 2.0 - 1.0);
        let shift = Duration::try_from_secs_f64(self.jitter.as_secs_f64() * drawn.abs());
        let shift = shift.unwrap_or(Duration::MAX);
        let delay =
            if drawn < 0.0 { self.latency.saturating_sub(shift) } else { self.latency.saturating_add(shift) };
        let due = (front.at + delay).max(self.last);
        if due > now {
            return Step::Wait(due);
        }
        (self.last, self.drawn) = (due, None);
        queue.pop().map_or(Step::Rest, |piece| Step::Pass(Piece { at: due, ..piece }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::chain::Ending;
    use bytes::Bytes;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn pieces_are_due_after_the_latency_and_keep_their_order_whatever_the_jitter() {
        let mut queue = Queue::default();
        for ms in 0..1000 {
            queue.push(Piece::bytes(at(ms), Bytes::from(ms.to_le_bytes().to_vec())));
        }
        queue.push(Piece::end(at(1000), Ending::Finish));
        let mut latency = Latency::new(50, 30, Rng::with_seed(7));
        let (mut last, mut spread) = (at(0), std::collections::BTreeSet::new());
        for ms in 0..1000u64 {
            let due = match latency.step(&mut queue, at(0)) {
                Step::Wait(due) => due,
                Step::Pass(piece) => panic!("{piece:?} came at once"),
                Step::Rest => panic!("nothing there"),
            };
            assert!(due >= last && due >= at(ms + 20), "{due:?} for {ms}");
            let Step::Pass(piece) = latency.step(&mut queue, due) else { panic!("due, and not passed") };
            assert_eq!(piece, Piece::bytes(due, Bytes::from(ms.to_le_bytes().to_vec())));
            last = due;
            spread.insert(due.since(at(ms)).as_millis());
        }
        assert!(spread.len() > 20, "{} different delays", spread.len());
        assert!(matches!(latency.step(&mut queue, at(1080)), Step::Pass(_)), "the end follows");
        assert!(matches!(latency.step(&mut queue, at(1080)), Step::Rest));
    }

    #[test]
    fn a_new_latency_counts_from_when_a_piece_came() {
        let mut queue = Queue::default();
        queue.push(Piece::bytes(at(10), Bytes::from_static(b"x")));
        let mut latency = Latency::new(u64::MAX, u64::MAX, Rng::with_seed(7));
        assert!(matches!(latency.step(&mut queue, at(1_000_000)), Step::Wait(_)));
        latency.change(100, 0);
        assert!(matches!(latency.step(&mut queue, at(60)), Step::Wait(due) if due == at(110)));
        assert!(matches!(latency.step(&mut queue, at(110)), Step::Pass(_)));
    }
}
