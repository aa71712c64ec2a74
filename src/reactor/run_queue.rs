//! Connections with readiness left over: whoever used up its budget waits here behind the others.

use crate::collections::Handle;
use crate::conn::{Connection, Priority};
use std::collections::VecDeque;

/// Three lines by priority. Each connection stands in line at most once, and everybody in line at the start of
/// a turn is served in it, so priority decides who is first and nobody starves.
#[derive(Debug)]
pub(super) struct RunQueue {
    lines: [VecDeque<Handle>; Priority::COUNT],
}

impl RunQueue {
    pub(super) const fn new() -> RunQueue {
        RunQueue { lines: [const { VecDeque::new() }; Priority::COUNT] }
    }

    pub(super) fn push(&mut self, handle: Handle, connection: &mut Connection) {
        if !connection.in_run_queue {
            connection.in_run_queue = true;
            self.lines[connection.options.priority as usize].push_back(handle);
        }
    }

    /// Who stands in each line now: as many as may be popped before newcomers would be.
    pub(super) fn lengths(&self) -> [usize; Priority::COUNT] {
        std::array::from_fn(|line| self.lines[line].len())
    }

    pub(super) fn pop(&mut self, line: usize) -> Option<Handle> {
        self.lines[line].pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(VecDeque::is_empty)
    }
}
