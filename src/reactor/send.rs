//! The way out: the cork, direct writes, the queue, and flushing it.
//!
//! While the handler runs for a connection, its small sends gather in one hot buffer of the reactor and are
//! written once when it returns: pipelined answers coalesce without a slot look-up. Large sends go straight
//! from the caller's slice. Only what the kernel refuses is copied into the connection's queue. Connections
//! made dirty by somebody else's event are flushed at the end of the turn.

use super::Io;
use super::notice::Notice;
use crate::buffer::{OutQueue, Pool};
use crate::collections::{Conn, Handle};
use crate::conn::{Connection, State, read_stop};
use crate::error::{SendError, Stale};
use crate::limits::{CORK_BYTES, DIRECT_SEND_BYTES_MIN, GATHER_SLICES_MAX, SPARE_QUEUES_MAX};
use crate::time::Instant;
use bytes::Bytes;
use rustix::io::Errno;
use std::cell::Cell;
use std::io::IoSlice;

/// What a send came to. Everything was taken either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// Send on. Small sends of the connection being served are corked until the handler returns and always
    /// answer this.
    Flowing,
    /// The queue is over its high watermark: better wait for [`Event::Drained`](crate::Event::Drained).
    Backlogged,
}

thread_local! {
    /// The cork's buffer of this thread while no reactor of it uses one.
    static RESTING: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Small sends of the handler being called, in order.
#[derive(Debug)]
pub(super) struct Cork {
    /// The thread's, from the first use in a turn to its end, so that an idle reactor does without.
    bytes: Box<[u8]>,
    len: usize,
    open_for: Option<Handle>,
}

impl Cork {
    pub(super) fn new() -> Cork {
        Cork { bytes: Box::default(), len: 0, open_for: None }
    }

    #[inline]
    pub(super) fn open(&mut self, handle: Handle) {
        debug_assert!(self.len == 0, "what was corked for another connection was written");
        self.open_for = Some(handle);
    }

    #[inline]
    pub(super) fn shut(&mut self) {
        self.open_for = None;
    }

    /// Whether something waits in it.
    #[inline]
    pub(super) const fn holds_something(&self) -> bool {
        self.len > 0
    }

    /// Takes `bytes` if it is open for `handle` and they are small enough.
    #[inline]
    fn take(&mut self, handle: Handle, bytes: &[u8]) -> bool {
        if self.open_for != Some(handle) || bytes.len() >= DIRECT_SEND_BYTES_MIN {
            return false;
        }
        match self.bytes.get_mut(self.len..self.len + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
                true
            }
            None => false,
        }
    }

    /// Contiguous room for `max` bytes, if it is open for `handle`.
    fn room(&mut self, handle: Handle, max: usize) -> Option<&mut [u8]> {
        if self.open_for != Some(handle) {
            return None;
        }
        self.bytes.get_mut(self.len..self.len + max)
    }

    /// Takes the buffer out, for a caller that needs the reactor as well; [`Cork::put_bytes`] follows.
    pub(super) fn take_bytes(&mut self) -> Box<[u8]> {
        std::mem::take(&mut self.bytes)
    }

    pub(super) fn put_bytes(&mut self, bytes: Box<[u8]>) {
        self.bytes = bytes;
    }

    fn make(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = RESTING.take().unwrap_or_else(|| vec![0; CORK_BYTES].into_boxed_slice());
        }
    }

    /// Leaves the buffer for the next turn on this thread, of whichever reactor.
    pub(super) fn rest(&mut self) {
        debug_assert!(self.len == 0, "everything corked was written");
        if !self.bytes.is_empty() {
            RESTING.set(Some(std::mem::take(&mut self.bytes)));
        }
    }

    pub(super) fn is_open_for(&self, handle: Handle) -> bool {
        self.open_for == Some(handle)
    }

    pub(super) fn discard(&mut self) {
        (self.len, self.open_for) = (0, None);
    }
}

impl Io {
    /// Sends `bytes`: all or nothing. Before `Opened` they are queued.
    ///
    /// # Errors
    /// [`SendError`] says why nothing was taken.
    #[inline]
    pub fn send(&mut self, conn: Conn, bytes: &[u8]) -> Result<Sent, SendError> {
        if self.cork.take(conn.handle(), bytes) {
            self.metrics.messages_out.add(1);
            return Ok(Sent::Flowing);
        }
        self.send_parts(conn, &[bytes])
    }

    /// Sends the parts one after the other as if they were one slice: all or nothing.
    ///
    /// # Errors
    /// [`SendError`] says why nothing was taken.
    pub fn send_parts(&mut self, conn: Conn, parts: &[&[u8]]) -> Result<Sent, SendError> {
        let handle = conn.handle();
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if total < DIRECT_SEND_BYTES_MIN && self.cork.open_for == Some(handle) {
            self.make_cork_room(handle, total);
            if self.cork.open_for == Some(handle) {
                for part in parts {
                    self.cork.take(handle, part);
                }
                self.metrics.messages_out.add(1);
                return Ok(Sent::Flowing);
            }
        }
        self.uncork_if(handle);
        self.admit(handle, total)?;
        self.metrics.messages_out.add(1);
        if self.is_secured(handle) {
            return self.send_secured(handle, parts, total);
        }
        if total >= DIRECT_SEND_BYTES_MIN && self.may_write_now(handle) {
            return self.write_through(handle, parts, total);
        }
        self.enqueue(handle, |queue, pool| queue.append_parts(pool, parts, 0));
        Ok(self.level(handle))
    }

    /// Sends a shared buffer without copying what the kernel does not take at once: all or nothing.
    ///
    /// # Errors
    /// [`SendError`] says why nothing was taken.
    pub fn send_bytes(&mut self, conn: Conn, bytes: &Bytes) -> Result<Sent, SendError> {
        let handle = conn.handle();
        if bytes.len() < DIRECT_SEND_BYTES_MIN && self.cork.open_for == Some(handle) {
            return self.send_parts(conn, &[bytes]);
        }
        self.uncork_if(handle);
        self.admit(handle, bytes.len())?;
        self.metrics.messages_out.add(1);
        if self.is_secured(handle) {
            return self.send_secured(handle, &[bytes], bytes.len());
        }
        let mut rest = bytes.clone();
        // What is queued must leave first; the flush then offers both in one write.
        let nothing_queued = self.conns.get(handle).is_some_and(|c| c.out.is_none());
        if bytes.len() >= DIRECT_SEND_BYTES_MIN && nothing_queued && self.may_write_now(handle) {
            let written = self.write_once(handle, &[bytes])?;
            if written == bytes.len() {
                return Ok(Sent::Flowing);
            }
            rest = bytes.slice(written..);
            self.enqueue_refused(handle, |queue, pool| queue.append_shared(pool, rest));
            return Ok(self.level(handle));
        }
        self.enqueue(handle, |queue, pool| queue.append_shared(pool, rest));
        Ok(self.level(handle))
    }

    /// Lets `encode` write at most `bytes_max` bytes straight into the outbound chunk and say how many it
    /// wrote: all or nothing. The buffer's content is unspecified before.
    ///
    /// # Errors
    /// [`SendError`] says why nothing was taken; `encode` was not called then.
    ///
    /// # Panics
    /// If `encode` claims to have written more than `bytes_max`.
    pub fn send_with(
        &mut self,
        conn: Conn,
        bytes_max: usize,
        encode: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<Sent, SendError> {
        let handle = conn.handle();
        if bytes_max <= CORK_BYTES && self.cork.open_for == Some(handle) {
            self.make_cork_room(handle, bytes_max);
        }
        if let Some(room) = self.cork.room(handle, bytes_max) {
            let n = encode(room);
            assert!(n <= bytes_max, "encode claims {n} bytes of at most {bytes_max}");
            self.cork.len += n;
            self.metrics.messages_out.add(1);
            return Ok(Sent::Flowing);
        }
        self.uncork_if(handle);
        self.admit(handle, bytes_max)?;
        self.metrics.messages_out.add(1);
        let fill = |queue: &mut OutQueue, pool: &mut Pool| {
            let n = encode(queue.spare(pool, bytes_max));
            assert!(n <= bytes_max, "encode claims {n} bytes of at most {bytes_max}");
            queue.commit(pool, n);
        };
        if self.is_secured(handle) {
            self.stage(handle, fill);
        } else {
            self.enqueue(handle, fill);
        }
        Ok(self.level(handle))
    }

    /// How many bytes a send would take now. Asking does not arm `Drained`: that comes after a send answered
    /// `Backlogged` or `Full`.
    #[must_use]
    pub fn room(&self, conn: Conn) -> usize {
        let Some(c) = self.conns.get(conn.handle()).filter(|c| c.may_send()) else { return 0 };
        let corked = if self.cork.open_for == Some(conn.handle()) { self.cork.len } else { 0 };
        let own = c.options.queue.max_bytes.saturating_sub(c.queued() + corked);
        let room = own.min(self.config.buffer_bytes_max.saturating_sub(self.buffered_bytes() + corked));
        match c.layer.held() {
            Some(secured) => room.saturating_sub(secured.sealed_bytes_max(room).saturating_sub(room)),
            None => room,
        }
    }

    /// Offers what was sent to a connection to the kernel now, not at the end of the turn: for those who note when
    /// something left. What was sent to the connection being served leaves when the handler returns.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone.
    pub fn flush_now(&mut self, conn: Conn) -> Result<(), Stale> {
        if self.conns.get(conn.handle()).ok_or(Stale)?.dirty {
            self.flush(conn.handle());
        }
        Ok(())
    }

    /// Bytes that wait for the kernel.
    #[must_use]
    pub fn queued(&self, conn: Conn) -> usize {
        let corked = if self.cork.open_for == Some(conn.handle()) { self.cork.len } else { 0 };
        corked + self.conns.get(conn.handle()).map_or(0, Connection::queued)
    }

    // ---- the cork

    /// Makes sure that `bytes` more fit into the cork, writing what is in it if need be.
    fn make_cork_room(&mut self, handle: Handle, bytes: usize) {
        self.cork.make();
        if self.cork.len + bytes > self.cork.bytes.len() {
            self.uncork(handle);
            // What the kernel refused is queued now; what follows must queue up behind it.
            if self.conns.get(handle).is_none_or(|c| !c.may_cork()) {
                self.cork.shut();
            }
        }
    }

    /// Writes the cork out if it holds something of `handle`'s, so that what comes next comes after it.
    pub(super) fn uncork_if(&mut self, handle: Handle) {
        if self.cork.open_for == Some(handle) {
            if self.cork.holds_something() {
                self.uncork(handle);
            }
            if self.conns.get(handle).is_none_or(|c| !c.may_cork()) {
                self.cork.shut();
            }
        }
    }

    /// Writes the cork out.
    #[inline(always)]
    pub(super) fn uncork(&mut self, handle: Handle) {
        let len = std::mem::take(&mut self.cork.len);
        let Some(c) = self.conns.get_mut(handle) else { return };
        if c.state != State::Open {
            return;
        }
        if !c.layer.is_plain() {
            return self.uncork_secured(handle, len);
        }
        match c.socket.write(&self.cork.bytes[..len]) {
            Ok(written) => {
                c.active_at = self.now;
                self.metrics.bytes_out.add(written as u64);
                self.work.bytes += written as u64;
                if written < len {
                    self.queue_cork_tail(handle, written, len);
                }
            }
            Err(Errno::AGAIN) => self.queue_cork_tail(handle, 0, len),
            Err(errno) => self.fail_errno(handle, errno),
        }
    }

    #[cold]
    fn queue_cork_tail(&mut self, handle: Handle, from: usize, to: usize) {
        let cork = std::mem::take(&mut self.cork.bytes);
        self.enqueue_refused(handle, |queue, pool| queue.append(pool, &cork[from..to]));
        self.cork.bytes = cork;
        self.level(handle);
    }

    // ---- writing and queueing

    /// Whether `bytes` more may be taken for the connection.
    fn admit(&mut self, handle: Handle, bytes: usize) -> Result<(), SendError> {
        let buffered = self.buffered_bytes();
        let c = self.conns.get_mut(handle).ok_or(SendError::Stale)?;
        if !c.may_send() {
            return Err(SendError::Closing);
        }
        // A sealed record cannot be taken back: there must be room for it before it is made.
        let bytes = c.layer.held().map_or(bytes, |secured| secured.sealed_bytes_max(bytes).max(bytes));
        if bytes > c.options.queue.max_bytes.min(self.config.buffer_bytes_max) {
            return Err(SendError::TooLarge);
        }
        let own_full = c.queued() + bytes > c.options.queue.max_bytes;
        let all_full = buffered + bytes > self.config.buffer_bytes_max;
        if own_full || all_full {
            c.backlogged = true;
            self.metrics.sends_refused_full.add(1);
            if all_full && c.read_stops & read_stop::MEMORY == 0 {
                c.read_stops |= read_stop::MEMORY;
                self.starved.push(handle);
            }
            return Err(SendError::Full);
        }
        Ok(())
    }

    /// Whether the kernel may be offered bytes now: open, nothing refused before, credit unlimited.
    fn may_write_now(&self, handle: Handle) -> bool {
        self.conns.get(handle).is_some_and(|c| {
            c.state == State::Open && (c.out.is_none() || c.dirty) && c.write_credit == u64::MAX
        })
    }

    /// Offers what is queued but was never offered, and `parts` behind it, in one write; queues the rest.
    fn write_through(&mut self, handle: Handle, parts: &[&[u8]], total: usize) -> Result<Sent, SendError> {
        let queued = self.conns.get(handle).is_some_and(|c| c.out.is_some());
        if queued || parts.len() > GATHER_SLICES_MAX {
            return self.write_behind_queue(handle, parts, total);
        }
        let written = self.write_once(handle, parts)?;
        if written < total {
            self.enqueue_refused(handle, |queue, pool| queue.append_parts(pool, parts, written));
        }
        Ok(self.level(handle))
    }

    fn write_behind_queue(
        &mut self,
        handle: Handle,
        parts: &[&[u8]],
        total: usize,
    ) -> Result<Sent, SendError> {
        let c = self.conns.get_mut(handle).ok_or(SendError::Stale)?;
        let queued = c.queued();
        let written = {
            let mut slices = [IoSlice::new(&[]); GATHER_SLICES_MAX];
            let room = GATHER_SLICES_MAX.saturating_sub(parts.len());
            let filled = c.out.as_ref().map_or(0, |queue| queue.gather(&mut slices[..room]));
            let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            if offered < queued || parts.len() + filled > GATHER_SLICES_MAX {
                None
            } else {
                for (slice, part) in slices[filled..].iter_mut().zip(parts) {
                    *slice = IoSlice::new(part);
                }
                Some(c.socket.write_gathered(&slices[..filled + parts.len()]))
            }
        };
        let written = match written {
            Some(Ok(written)) => written,
            Some(Err(Errno::AGAIN)) => 0,
            Some(Err(errno)) => {
                self.fail_errno(handle, errno);
                return Err(SendError::Closing);
            }
            None => {
                // More slices than one write takes: queue behind them and flush as usual.
                self.enqueue(handle, |queue, pool| queue.append_parts(pool, parts, 0));
                self.flush(handle);
                return Ok(self.level(handle));
            }
        };
        self.note_written(handle, written);
        self.consume_queued(handle, written.min(queued));
        let skip = written.saturating_sub(queued);
        if skip < total {
            self.enqueue_refused(handle, |queue, pool| queue.append_parts(pool, parts, skip));
        }
        self.after_flush(handle);
        Ok(self.level(handle))
    }

    /// One write of all `parts`; says how many bytes the kernel took. An error closes the connection.
    pub(super) fn write_once(&mut self, handle: Handle, parts: &[&[u8]]) -> Result<usize, SendError> {
        let c = self.conns.get_mut(handle).ok_or(SendError::Stale)?;
        let written = if let [one] = parts {
            c.socket.write(one)
        } else {
            let mut slices = [IoSlice::new(&[]); GATHER_SLICES_MAX];
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
            }
            c.socket.write_gathered(&slices[..parts.len()])
        };
        match written {
            Ok(written) => {
                self.note_written(handle, written);
                Ok(written)
            }
            Err(Errno::AGAIN) => Ok(0),
            Err(errno) => {
                self.fail_errno(handle, errno);
                Err(SendError::Closing)
            }
        }
    }

    fn note_written(&mut self, handle: Handle, written: usize) {
        self.metrics.bytes_out.add(written as u64);
        self.work.bytes += written as u64;
        if written > 0
            && let Some(c) = self.conns.get_mut(handle)
        {
            c.active_at = self.now;
            if c.out.is_some() {
                c.queued_since = self.now;
            }
        }
    }

    /// Queues bytes that were not offered to the kernel yet.
    pub(super) fn enqueue(&mut self, handle: Handle, fill: impl FnOnce(&mut OutQueue, &mut Pool)) {
        let fresh = self.conns.get(handle).is_some_and(|c| !c.was_refused());
        self.store(handle, fill);
        if fresh {
            // The flush at the end of the turn will most likely empty it: only what it leaves needs a deadline.
            self.mark_dirty(handle);
        }
    }

    /// Queues what the kernel did not take; its next writable event goes on from there.
    pub(super) fn enqueue_refused(&mut self, handle: Handle, fill: impl FnOnce(&mut OutQueue, &mut Pool)) {
        self.store(handle, fill);
        self.watch(handle);
    }

    fn store(&mut self, handle: Handle, fill: impl FnOnce(&mut OutQueue, &mut Pool)) {
        if self.cork.is_open_for(handle) {
            // What the handler sends from now on must queue up behind this.
            self.cork.shut();
        }
        let Some(c) = self.conns.get_mut(handle) else { return };
        // Not the same as no queue: an encoder that panicked leaves an empty one.
        let fresh = c.queued() == 0;
        let queue = c.out.get_or_insert_with(|| self.spare_queues.pop().unwrap_or_default());
        let shared_before = queue.shared_bytes();
        fill(queue, &mut self.pool);
        self.shared_bytes = self.shared_bytes + queue.shared_bytes() - shared_before;
        if queue.is_empty() && c.layer.staged_bytes() == 0 {
            recycle(&mut self.spare_queues, c);
            return;
        }
        if fresh {
            c.queued_since = self.now;
        }
        self.note_pool_grew();
    }

    pub(super) fn mark_dirty(&mut self, handle: Handle) {
        if let Some(c) = self.conns.get_mut(handle)
            && c.out.is_some()
            && !c.dirty
        {
            c.dirty = true;
            self.dirty.push(handle);
        }
    }

    /// Compares the queue with its high watermark.
    pub(super) fn level(&mut self, handle: Handle) -> Sent {
        let Some(c) = self.conns.get_mut(handle) else { return Sent::Flowing };
        if c.queued() <= c.options.queue.high_bytes {
            return Sent::Flowing;
        }
        c.backlogged = true;
        if c.options.self_throttle {
            c.read_stops |= read_stop::THROTTLED;
        }
        Sent::Backlogged
    }

    /// Offers the whole queue to the kernel, until it refuses or nothing is left.
    pub(super) fn flush(&mut self, handle: Handle) {
        if self.is_secured(handle) {
            self.seal_staged(handle);
        }
        loop {
            let Some(c) = self.conns.get_mut(handle) else { return };
            c.dirty = false;
            if !matches!(c.state, State::Securing | State::Open | State::Draining) {
                return;
            }
            let Some(queue) = c.out.as_ref().filter(|queue| !queue.is_empty()) else { break };
            let mut slices = [IoSlice::new(&[]); GATHER_SLICES_MAX];
            // A handshake is not the application's to hold back.
            let unlimited = c.write_credit == u64::MAX || c.state == State::Securing;
            let (offered, written) = if unlimited {
                let filled = queue.gather(&mut slices);
                let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
                match &slices[..filled] {
                    [one] => (offered, c.socket.write(one)),
                    many => (offered, c.socket.write_gathered(many)),
                }
            } else {
                let front = queue.front();
                let offered = front.len().min(usize::try_from(c.write_credit).unwrap_or(usize::MAX));
                if offered == 0 {
                    break;
                }
                (offered, c.socket.write(&front[..offered]))
            };
            match written {
                Ok(written) => {
                    if !unlimited {
                        c.write_credit -= written as u64;
                    }
                    self.note_written(handle, written);
                    self.consume_queued(handle, written);
                    if written < offered {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(errno) => return self.nobody_hears(handle, errno),
            }
        }
        self.after_flush(handle);
    }

    fn consume_queued(&mut self, handle: Handle, n: usize) {
        if let Some(queue) = self.conns.get_mut(handle).and_then(|c| c.out.as_mut()) {
            let shared_before = queue.shared_bytes();
            queue.consume(&mut self.pool, n);
            self.shared_bytes -= shared_before - queue.shared_bytes();
        }
    }

    /// What follows from the queue having become shorter.
    pub(super) fn after_flush(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        let queued = c.queued();
        if queued == 0 {
            c.queued_since = Instant::FAR_FUTURE;
            c.active_at = self.now;
            recycle(&mut self.spare_queues, c);
        }
        // A handshake's own bytes tell of nothing: who waits for room hears of it once the connection is open.
        if c.backlogged && queued <= c.options.queue.low_bytes && c.state == State::Open {
            c.backlogged = false;
            c.read_stops &= !read_stop::THROTTLED;
            self.notices.push_back(Notice::Drained(handle));
            if c.may_read() {
                self.run_queue.push(handle, c);
            }
        }
        if queued == 0 {
            self.after_queue_emptied(handle);
        } else {
            self.watch(handle);
        }
        self.relieve_memory();
    }

    fn after_queue_emptied(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        match c.state {
            State::Draining => self.advance_close(handle),
            State::Open if c.finishing && !c.end_sent => {
                self.send_end(handle);
                self.watch(handle);
            }
            State::Open => self.watch(handle),
            _ => {}
        }
    }

    /// Offers everything that other events queued, once.
    #[inline]
    pub(super) fn flush_dirty(&mut self) {
        if !self.dirty.is_empty() {
            self.flush_all_dirty();
        }
    }

    fn flush_all_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for handle in dirty.drain(..) {
            if self.conns.get(handle).is_some_and(|c| c.dirty) {
                self.flush(handle);
            }
        }
        // Flushing sends nothing to others, but it may have failed connections: their notices wait.
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
    }
}

/// Puts an emptied queue back, so that the next one needs no allocation.
#[allow(clippy::vec_box)]
pub(super) fn recycle(spare: &mut Vec<Box<OutQueue>>, c: &mut Connection) {
    if let Some(queue) = c.out.take()
        && spare.len() < SPARE_QUEUES_MAX
    {
        spare.push(queue);
    }
}
