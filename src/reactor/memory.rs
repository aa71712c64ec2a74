//! The bound on all buffers together: above 80 % nothing is read, at 100 % nothing is taken for sending, and
//! below 70 % both go on. Also when spare buffers go back to the system.

use super::Io;
use super::io::Alarm;
use super::notice::Notice;
use crate::conn::{State, read_stop};
use std::time::Duration;

/// How often spare buffers are looked at while there are any.
const TRIM_EVERY: Duration = Duration::from_secs(1);

impl Io {
    /// Bytes that queues and kept tails hold, in whole chunks where they are pooled.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.pool.bytes_taken() + self.shared_bytes
    }

    /// Buffers have grown: is it time to stop reading?
    pub(super) fn note_pool_grew(&mut self) {
        if self.buffered_bytes() > self.config.buffer_bytes_max / 10 * 8 {
            self.memory_short = true;
        }
        if !self.trim_armed {
            self.trim_armed = true;
            self.timers.insert(self.now + TRIM_EVERY, Alarm::TrimPool);
        }
    }

    /// Buffers have shrunk: may reading and sending go on?
    #[inline]
    pub(super) fn relieve_memory(&mut self) {
        let anybody_waits = self.memory_short || !self.starved.is_empty();
        if anybody_waits && self.buffered_bytes() <= self.config.buffer_bytes_max / 10 * 7 {
            self.end_shortage();
        }
    }

    #[cold]
    fn end_shortage(&mut self) {
        self.memory_short = false;
        for handle in std::mem::take(&mut self.starved) {
            let Some(c) = self.conns.get_mut(handle) else { continue };
            if c.state != State::Open {
                c.read_stops &= !read_stop::MEMORY;
                continue;
            }
            let mut stops = read_stop::MEMORY;
            if c.backlogged && c.queued() <= c.options.queue.low_bytes {
                c.backlogged = false;
                stops |= read_stop::THROTTLED;
                self.notices.push_back(Notice::Drained(handle));
            }
            // The connection was just found, so the answer is known.
            let _ = self.allow_reading(handle, stops);
        }
    }

    /// Gives spare buffers back that the last second did not need; goes on until none are left over.
    pub(super) fn trim_pool(&mut self) {
        self.pool.trim();
        let stats = self.pool.stats();
        self.metrics.pool_bytes_free.set(stats.bytes_free_now as u64);
        self.trim_armed = stats.bytes_free_now > 0 || stats.bytes_taken_now > 0;
        if self.trim_armed {
            self.timers.insert(self.now + TRIM_EVERY, Alarm::TrimPool);
        } else {
            self.spare_queues = Vec::new();
        }
    }
}
