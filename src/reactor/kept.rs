//! Kept tails: what a handler wants to see again, stored until more has come, lent again in front of it.

use super::Io;
use super::event::Handler;
use super::receive::{HEADROOM_BYTES, ReceiveBuffer};
use crate::collections::Handle;
use crate::conn::{Kept, State, read_stop};

/// A chunk for kept bytes is at most this much larger than what is there already, whatever the handler wants:
/// a length that a peer merely declares must not take memory.
const AHEAD_BYTES_MAX: usize = 4 * 1024;

impl Io {
    /// Lends `n` received bytes to a handler that was owed them, behind what it kept before.
    #[cold]
    pub(super) fn hand_on_owed<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        n: usize,
        buffer: &mut ReceiveBuffer,
    ) {
        let now = self.now;
        let Some(c) = self.conns.get_mut(handle) else { return };
        let conn = c.conn(handle);
        if let Some(kept) = &c.kept
            && kept.chunk.len() + n < kept.want
        {
            // Progress, but not yet what the handler wants: store it, and the read timeout starts again.
            c.owed_since = now;
            return self.append_kept(handle, buffer.received(0, n));
        }
        c.expecting = false;
        let kept = c.kept.take();
        if c.may_cork() {
            self.cork.open(handle);
        }
        match kept {
            None => self.lend(handler, conn, buffer.received(0, n)),
            Some(Kept { chunk, .. }) if chunk.len() <= HEADROOM_BYTES => {
                let before = chunk.len();
                buffer.put_before(chunk.filled());
                self.pool.put(chunk);
                self.lend(handler, conn, buffer.received(before, n));
            }
            Some(Kept { chunk, .. }) => {
                let mut whole = self.pool.take(chunk.len() + n);
                whole.append(chunk.filled());
                whole.append(buffer.received(0, n));
                self.pool.put(chunk);
                self.lend(handler, conn, whole.filled());
                self.pool.put(whole);
            }
        }
        self.settle_owed(handle);
    }

    /// Lends what is kept once more, without new bytes.
    pub(super) fn lend_kept<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle).filter(|c| c.state == State::Open) else { return };
        let conn = c.conn(handle);
        let Some(Kept { chunk, .. }) = c.kept.take() else { return };
        if !chunk.is_empty() {
            if c.may_cork() && !self.memory_short {
                self.cork.open(handle);
            }
            self.lend(handler, conn, chunk.filled());
        }
        self.pool.put(chunk);
        self.settle_owed(handle);
    }

    /// Does what [`Io::relend`] asked for, unless the connection has been paused since.
    pub(super) fn lend_again<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        c.relend = false;
        // An empty tail is only a wish for more: that stands.
        let has_some = c.kept.as_ref().is_some_and(|kept| !kept.chunk.is_empty());
        if has_some && c.read_stops & read_stop::PAUSED == 0 {
            self.lend_kept(handler, handle);
        }
    }

    #[cold]
    pub(super) fn store_kept(&mut self, handle: Handle, tail: &[u8], want: usize) {
        let now = self.now;
        let Some(c) = self.conns.get_mut(handle).filter(|c| c.state == State::Open) else { return };
        let mut chunk = self.pool.take(ahead(tail.len(), want));
        chunk.append(tail);
        c.kept = Some(Kept { chunk, want });
        c.note_owed(now);
        self.watch(handle);
        self.note_pool_grew();
    }

    fn append_kept(&mut self, handle: Handle, more: &[u8]) {
        let Some(kept) = self.conns.get_mut(handle).and_then(|c| c.kept.as_mut()) else { return };
        if kept.chunk.spare_mut().len() < more.len() {
            let mut larger = self.pool.take(ahead(kept.chunk.len() + more.len(), kept.want));
            larger.append(kept.chunk.filled());
            self.pool.put(std::mem::replace(&mut kept.chunk, larger));
        }
        kept.chunk.append(more);
        self.note_pool_grew();
    }

    /// Input may have stopped being owed, or be owed anew.
    pub(super) fn settle_owed(&mut self, handle: Handle) {
        let now = self.now;
        if let Some(c) = self.conns.get_mut(handle) {
            c.note_owed(now);
        }
        // The keep-alive timeout that now runs may end before the read timeout would have.
        self.watch(handle);
        self.relieve_memory();
    }

    /// Nothing will ever come behind bytes that are kept at the end of the stream.
    pub(super) fn drop_kept(&mut self, handle: Handle) {
        if let Some(kept) = self.conns.get_mut(handle).and_then(|c| c.kept.take()) {
            self.pool.put(kept.chunk);
        }
        self.relieve_memory();
    }
}

/// Room to take for `there` bytes of which `want` are wanted in the end: twice as much as is there, at least up
/// to the ahead bound, so that a frame that comes in many pieces moves only a few times.
fn ahead(there: usize, want: usize) -> usize {
    there.max(want.min((there * 2).max(AHEAD_BYTES_MAX)))
}
