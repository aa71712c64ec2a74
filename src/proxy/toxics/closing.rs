//! `slow_close`, `timeout`, `partition` and `reset_peer`: nothing passes, or not the end, and some of them end it all.

use super::Step;
use crate::proxy::chain::{Content, Ending, Piece, Queue};
use crate::time::Instant;
use std::time::Duration;

/// `slow_close`: ends come later.
#[derive(Debug)]
pub(in crate::proxy) struct SlowClose {
    pub(super) delay_ms: u64,
}

impl SlowClose {
    pub(super) fn step(&mut self, queue: &mut Queue, now: Instant) -> Step {
        let Some(front) = queue.front() else { return Step::Rest };
        if matches!(front.content, Content::Bytes(_)) {
            return queue.pop().map_or(Step::Rest, Step::Pass);
        }
        let due = front.at + Duration::from_millis(self.delay_ms);
        if due > now {
            return Step::Wait(due);
        }
        queue.pop().map_or(Step::Rest, |piece| Step::Pass(Piece { at: due, ..piece }))
    }
}

/// `timeout` and `partition`: nothing passes; a timeout that is not 0 closes the connection.
#[derive(Debug)]
pub(in crate::proxy) struct Silence {
    timeout_ms: u64,
    since: Instant,
    closed: bool,
}

impl Silence {
    pub(super) fn new(timeout_ms: u64, now: Instant) -> Silence {
        Silence { timeout_ms, since: now, closed: false }
    }

    pub(super) fn change(&mut self, timeout_ms: u64, now: Instant) {
        if timeout_ms != self.timeout_ms {
            (self.timeout_ms, self.since) = (timeout_ms, now);
        }
    }

    pub(super) fn step(&mut self, queue: &mut Queue, now: Instant) -> Step {
        if self.closed {
            queue.clear();
            return Step::Rest;
        }
        if self.timeout_ms == 0 {
            return Step::Rest;
        }
        let due = self.since + Duration::from_millis(self.timeout_ms);
        if due > now {
            return Step::Wait(due);
        }
        queue.clear();
        self.closed = true;
        Step::Pass(Piece::end(due, Ending::Close))
    }
}

/// `reset_peer`: what comes first sets it off.
#[derive(Debug)]
pub(in crate::proxy) struct ResetPeer {
    timeout_ms: u64,
    first_at: Option<Instant>,
    closed: bool,
}

impl ResetPeer {
    pub(super) fn new(timeout_ms: u64) -> ResetPeer {
        ResetPeer { timeout_ms, first_at: None, closed: false }
    }

    pub(super) fn change(&mut self, timeout_ms: u64) {
        self.timeout_ms = timeout_ms;
    }

    pub(super) fn step(&mut self, queue: &mut Queue, now: Instant) -> Step {
        if self.closed {
            queue.clear();
            return Step::Rest;
        }
        let Some(first_at) = self.first_at.or(queue.front().map(|front| front.at)) else {
            return Step::Rest;
        };
        self.first_at = Some(first_at);
        let due = first_at + Duration::from_millis(self.timeout_ms);
        if due > now {
            return Step::Wait(due);
        }
        queue.clear();
        self.closed = true;
        Step::Pass(Piece::end(due, Ending::Reset))
    }
}
