//! `limit_data`: so many bytes pass, then the connection is closed.

use super::Step;
use crate::proxy::chain::{Content, Ending, Piece, Queue};
use crate::time::Instant;

#[derive(Debug)]
pub(in crate::proxy) struct LimitData {
    bytes_max: u64,
    passed: u64,
    /// When the last byte passed.
    at: Instant,
    closed: bool,
}

impl LimitData {
    pub(super) fn new(bytes_max: u64) -> LimitData {
        LimitData { bytes_max, passed: 0, at: Instant::ZERO, closed: false }
    }

    pub(super) fn change(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    pub(super) fn step(&mut self, queue: &mut Queue) -> Step {
        if self.closed {
            queue.clear();
            return Step::Rest;
        }
        let left = self.bytes_max.saturating_sub(self.passed);
        let more_comes = queue.front().is_some_and(|front| matches!(front.content, Content::Bytes(_)));
        if left == 0 && (more_comes || self.passed > 0) {
            let at = queue.front().map_or(self.at, |front| front.at);
            queue.clear();
            self.closed = true;
            return Step::Pass(Piece::end(at, Ending::Close));
        }
        let Some(piece) = queue.pop_bytes(usize::try_from(left).unwrap_or(usize::MAX)) else {
            return Step::Rest;
        };
        self.passed += piece.len() as u64;
        self.at = piece.at;
        Step::Pass(piece)
    }
}
