//! The receive buffer: one per thread, lent to whichever reactor is turning there.
//!
//! Two ranges in one allocation: headroom for what a handler kept, and the area that reads go into, so that
//! kept bytes can be put right before new ones and both be lent as one slice. The memory is zeroed by the
//! system and becomes resident only where reads have touched it.

use std::cell::Cell;

/// Kept bytes that can be put before new ones without another buffer.
pub(super) const HEADROOM_BYTES: usize = crate::limits::KEPT_BYTES_MAX;

thread_local! {
    /// The buffer of this thread while no reactor of it turns.
    static RESTING: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    /// The buffer of this thread into which records are opened, while it is not used.
    static RESTING_PLAIN: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

#[derive(Debug)]
pub(super) struct ReceiveBuffer {
    bytes: Box<[u8]>,
    area_bytes: usize,
}

impl ReceiveBuffer {
    /// Takes this thread's buffer, or makes one with an area of `area_bytes`.
    pub(super) fn take(area_bytes: usize) -> ReceiveBuffer {
        ReceiveBuffer::reuse(RESTING.take(), area_bytes)
    }

    fn reuse(resting: Option<Box<[u8]>>, area_bytes: usize) -> ReceiveBuffer {
        let bytes = match resting {
            Some(bytes) if bytes.len() >= HEADROOM_BYTES + area_bytes => bytes,
            _ => vec![0; HEADROOM_BYTES + area_bytes].into_boxed_slice(),
        };
        ReceiveBuffer { bytes, area_bytes }
    }

    /// Takes this thread's buffer for what is opened of one read of `read_bytes` and of what was held of
    /// unfinished records, one for each of two layers.
    pub(super) fn take_plain(read_bytes: usize) -> ReceiveBuffer {
        ReceiveBuffer::reuse(RESTING_PLAIN.take(), read_bytes + 2 * HEADROOM_BYTES)
    }

    /// Leaves the plaintext buffer for the next connection on this thread.
    pub(super) fn rest_plain(self) {
        RESTING_PLAIN.set(Some(self.bytes));
    }

    /// Leaves the buffer for the next turn on this thread, of whichever reactor.
    pub(super) fn rest(self) {
        RESTING.set(Some(self.bytes));
    }

    /// Where reads go.
    #[inline]
    pub(super) fn area(&mut self) -> &mut [u8] {
        &mut self.bytes[HEADROOM_BYTES..HEADROOM_BYTES + self.area_bytes]
    }

    /// Puts kept bytes right before the area.
    pub(super) fn put_before(&mut self, kept: &[u8]) {
        self.bytes[HEADROOM_BYTES - kept.len()..HEADROOM_BYTES].copy_from_slice(kept);
    }

    /// What was put before the area, `before` bytes of it, and the `n` bytes read behind that.
    pub(super) fn wire(&mut self, before: usize, n: usize) -> &mut [u8] {
        &mut self.bytes[HEADROOM_BYTES - before..HEADROOM_BYTES + n]
    }

    /// The last `kept` bytes before the area and the first `n` in it.
    #[inline]
    pub(super) fn received(&self, kept: usize, n: usize) -> &[u8] {
        &self.bytes[HEADROOM_BYTES - kept..HEADROOM_BYTES + n]
    }
}
