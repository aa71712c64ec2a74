//! `slicer`: bytes leave in small pieces, each written by itself, with a pause between them.

use super::Step;
use crate::proxy::chain::{Content, Piece, Queue};
use crate::time::Instant;
use fastrand::Rng;
use std::time::Duration;

#[derive(Debug)]
pub(in crate::proxy) struct Slicer {
    average_size: u64,
    size_variation: u64,
    delay: Duration,
    rng: Rng,
    /// When the next piece may leave.
    next_at: Instant,
}

impl Slicer {
    pub(super) fn new(average_size: u64, size_variation: u64, delay_us: u64, rng: Rng) -> Slicer {
        let delay = Duration::from_micros(delay_us);
        Slicer { average_size, size_variation, delay, rng, next_at: Instant::ZERO }
    }

    pub(super) fn change(&mut self, average_size: u64, size_variation: u64, delay_us: u64) {
        // A pause that has begun ends as the new one would have.
        let began = self.next_at - self.delay;
        self.delay = Duration::from_micros(delay_us);
        self.next_at = began + self.delay;
        (self.average_size, self.size_variation) = (average_size, size_variation);
    }

    pub(super) fn step(&mut self, queue: &mut Queue, now: Instant) -> Step {
        let Some(front) = queue.front() else { return Step::Rest };
        if matches!(front.content, Content::End(_)) {
            return queue.pop().map_or(Step::Rest, Step::Pass);
        }
        let due = front.at.max(self.next_at);
        if due > now {
            return Step::Wait(due);
        }
        let smallest = self.average_size.saturating_sub(self.size_variation).max(1);
        let largest = self.average_size.saturating_add(self.size_variation).max(smallest);
        let size = usize::try_from(self.rng.u64(smallest..=largest)).unwrap_or(usize::MAX);
        self.next_at = due + self.delay;
        let piece = queue.pop_bytes(size);
        piece.map_or(Step::Rest, |piece| Step::Pass(Piece { at: due, apart: true, ..piece }))
    }
}
