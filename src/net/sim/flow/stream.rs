//! The bytes of one direction, from the first that is not yet read to the last that was written.
//!
//! Sender and receiver of a simulated flow share them: a byte is copied in when it is written and out when it is
//! read, and what lies between (sent, lost, sent again, arrived) only moves counters.

use std::collections::VecDeque;

/// The smallest piece of memory that is asked for.
const CHUNK_BYTES_MIN: usize = 64;
/// The largest.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// A queue of bytes that owns no memory while it is empty.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// What is read next. A single message needs no more than this one piece of memory.
    front: Vec<u8>,
    #[expect(clippy::box_collection, reason = "a word in every flow instead of four that few need")]
    behind: Option<Box<VecDeque<Vec<u8>>>>,
    /// How much of `front` is read.
    taken: usize,
}

impl Stream {
    /// Adds `bytes` behind the `buffered` ones that are there.
    pub(super) fn push(&mut self, bytes: &[u8], buffered: usize) {
        let last = match &mut self.behind {
            Some(behind) => behind.back_mut().expect("an empty list is not kept"),
            None => &mut self.front,
        };
        let fits = (last.capacity() - last.len()).min(bytes.len());
        let (now, mut later) = bytes.split_at(fits);
        last.extend_from_slice(now);
        while !later.is_empty() {
            // As much again as is there, so that many small writes share few pieces.
            let capacity = later.len().max(buffered).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
            let mut chunk = Vec::with_capacity(capacity);
            let (now, rest) = later.split_at(later.len().min(capacity));
            chunk.extend_from_slice(now);
            later = rest;
            if self.front.capacity() == 0 {
                self.front = chunk;
            } else {
                self.behind.get_or_insert_default().push_back(chunk);
            }
        }
    }

    /// Moves the oldest bytes out, as many as `into` holds. There must be that many.
    pub(super) fn pop(&mut self, mut into: &mut [u8]) {
        while !into.is_empty() {
            let ready = &self.front[self.taken..];
            let count = ready.len().min(into.len());
            assert!(count > 0, "the flow counts what is there");
            let (now, later) = into.split_at_mut(count);
            now.copy_from_slice(&ready[..count]);
            into = later;
            self.taken += count;
            if self.taken == self.front.len() {
                self.advance();
            }
        }
    }

    fn advance(&mut self) {
        self.taken = 0;
        let Some(behind) = &mut self.behind else {
            self.front = Vec::new();
            return;
        };
        self.front = behind.pop_front().expect("an empty list is not kept");
        if behind.is_empty() {
            self.behind = None;
        }
    }

    /// Forgets all but the oldest `count` bytes. There must be that many.
    pub(super) fn keep(&mut self, count: usize) {
        let mut kept = vec![0; count];
        self.pop(&mut kept);
        *self = Stream::default();
        self.push(&kept, 0);
    }

    /// Whether it owns memory.
    #[cfg(test)]
    pub(super) fn owns_memory(&self) -> bool {
        self.front.capacity() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_went_in() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut stream, mut written, mut read) = (Stream::default(), 0_usize, 0_usize);
        let byte = |index: usize| (index.wrapping_mul(167) >> 3) as u8;
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (written..written + rng.usize(..9_000)).map(byte).collect();
            stream.push(&bytes, written - read);
            written += bytes.len();
            let mut into = vec![0; rng.usize(..=(written - read).min(10_000))];
            stream.pop(&mut into);
            assert!(into.iter().enumerate().all(|(offset, got)| *got == byte(read + offset)));
            read += into.len();
        }
        let mut rest = vec![0; written - read];
        stream.pop(&mut rest);
        assert!(!stream.owns_memory());
    }

    #[test]
    fn many_small_writes_share_memory() {
        let mut stream = Stream::default();
        for count in 0..10_000 {
            stream.push(&[1; 10], count * 10);
        }
        let pieces = 1 + stream.behind.as_ref().map_or(0, |behind| behind.len());
        assert!(pieces <= 20, "{pieces} pieces for 100 kB");
    }
}
