//! One piece of pooled memory, with a cursor at either end of what it holds.

use super::leaks::Ticket;
use std::fmt;

/// Memory on loan from a [`Pool`](super::Pool): `capacity` bytes, of which a contiguous stretch is filled.
///
/// Bytes are added behind that stretch and consumed at its front. Give the chunk back with
/// [`Pool::put`](super::Pool::put); a chunk that is dropped instead returns its memory to the allocator but
/// counts as taken for ever, and [`Pool::leaks`](super::Pool::leaks) names who took it.
pub struct Chunk {
    /// Its length is the class: no two classes share one, so nothing else need say where the chunk belongs.
    data: Box<[u8]>,
    start: u32,
    end: u32,
    ticket: Ticket,
}

/// Two words for the slice and two half words for the cursors; only debug builds carry more.
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Chunk>() == size_of::<Box<[u8]>>() + 8);

impl Chunk {
    /// An empty chunk over `data`, whose length the pool has checked to fit the cursors.
    #[inline]
    pub(super) fn new(data: Box<[u8]>, ticket: Ticket) -> Chunk {
        debug_assert!(u32::try_from(data.len()).is_ok());
        Chunk { data, start: 0, end: 0, ticket }
    }

    /// The memory and the receipt for it, for the pool.
    #[inline]
    pub(super) fn into_parts(self) -> (Box<[u8]>, Ticket) {
        (self.data, self.ticket)
    }

    /// How many bytes fit at most.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.data.len()
    }

    /// How many bytes are held.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether no byte is held.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes can still be added.
    #[inline]
    pub(super) fn spare_len(&self) -> usize {
        self.data.len() - self.end as usize
    }

    /// The bytes held, oldest first.
    #[inline]
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.data[self.start as usize..self.end as usize]
    }

    /// The room behind them, to write into; [`Chunk::advance`] then says how much was written.
    ///
    /// It holds whatever an earlier user left there, perhaps another connection's bytes: advance over what
    /// you wrote and no further.
    #[inline]
    #[must_use]
    pub fn spare_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.end as usize..]
    }

    /// Counts the first `n` bytes of [`Chunk::spare_mut`] as filled.
    ///
    /// # Panics
    /// When there is less room than `n`.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.spare_len(), "advanced {n} bytes with room for {}", self.spare_len());
        self.end += n as u32;
    }

    /// Copies as much of `bytes` as fits and says how much that was.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.spare_len());
        self.spare_mut()[..n].copy_from_slice(&bytes[..n]);
        self.end += n as u32;
        n
    }

    /// Forgets the `n` oldest bytes. A chunk that this empties has its whole capacity to offer again.
    ///
    /// # Panics
    /// When fewer than `n` bytes are held.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "consumed {n} bytes of {}", self.len());
        self.start += n as u32;
        if self.start == self.end {
            self.clear();
        }
    }

    /// Forgets everything held.
    #[inline]
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }
}

impl fmt::Debug for Chunk {
    /// Shows sizes only: the content may be secret, and long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("len", &self.len())
            .field("spare", &self.spare_len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pool;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn cursors_move_over_what_was_written_and_never_past_it() {
        let mut pool = Pool::new();
        let mut chunk = pool.take(10);
        assert_eq!((chunk.capacity(), chunk.len(), chunk.is_empty()), (4096, 0, true));

        chunk.spare_mut()[..3].copy_from_slice(b"abc");
        chunk.advance(3);
        assert_eq!(chunk.append(b"def"), 3);
        chunk.consume(2);
        assert_eq!(chunk.filled(), b"cdef");
        assert_eq!(chunk.spare_mut().len(), 4096 - 6, "what was consumed is not room until all is");

        assert!(catch_unwind(AssertUnwindSafe(|| chunk.consume(5))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| chunk.advance(4096 - 6 + 1))).is_err());
        assert_eq!(chunk.filled(), b"cdef", "a refused move changes nothing");

        assert_eq!(chunk.append(&[7; 5000]), 4096 - 6);
        assert_eq!(chunk.append(b"x"), 0);
        chunk.consume(chunk.len());
        assert_eq!(chunk.spare_mut().len(), 4096);
        pool.put(chunk);
    }
}
