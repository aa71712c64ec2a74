//! The way to the end: closing, aborting, finishing, failing; and what the handler is told after it returned.

use super::Io;
use super::event::{Event, Handler, Listener};
use super::send::recycle;
use crate::collections::{Conn, Handle};
use crate::conn::{State, read_stop};
use crate::error::{Cause, CloseReason, Stale, cause_of_errno};
use crate::limits::LINGER_READS_MAX;
use rustix::io::Errno;

/// Something the handler must be told once it is not running.
#[derive(Debug)]
pub(super) enum Notice {
    Opened(Handle),
    Drained(Handle),
    Relend(Handle),
    Closed(Handle),
    ListenerFailed(Listener, Errno),
}

impl Io {
    /// Closes in good order: what is queued is flushed, the end of stream sent and the peer's awaited, within
    /// the drain timeout in all (for a peer that may take longer over the rest, [`Io::finish`] has the write
    /// timeout, which progress restarts). A connection that is not open yet is dropped with what was queued
    /// for it. Nothing more is read; `Closed` follows. `false` if it was closing already.
    pub fn close(&mut self, conn: Conn) -> bool {
        self.uncork_if(conn.handle());
        self.begin_close(conn.handle(), Cause::Closed)
    }

    /// Drops the connection now: the peer sees a reset, what is queued is lost. `Closed` follows. `false` if
    /// it was closed already.
    pub fn abort(&mut self, conn: Conn) -> bool {
        let Some(c) = self.conns.get(conn.handle()) else { return false };
        if c.state == State::Closed {
            return false;
        }
        c.socket.reset_on_close();
        self.close_now(conn.handle(), Cause::Aborted, None);
        true
    }

    /// Ends the sending side: what is queued is flushed, then the peer sees the end of the stream. Receiving
    /// goes on; once both sides have ended the connection closes.
    ///
    /// # Errors
    /// [`Stale`] if the connection is gone or closing.
    pub fn finish(&mut self, conn: Conn) -> Result<(), Stale> {
        let handle = conn.handle();
        self.uncork_if(handle);
        let c = self
            .conns
            .get_mut(handle)
            .filter(|c| !matches!(c.state, State::Draining | State::Closed))
            .ok_or(Stale)?;
        c.finishing = true;
        if self.cork.is_open_for(handle) {
            self.cork.shut();
        }
        if c.state == State::Open && !c.end_sent {
            self.end_secured(handle);
            if self.conns.get(handle).is_some_and(|c| c.out.is_none()) {
                self.send_end(handle);
            }
        }
        Ok(())
    }

    pub(super) fn begin_close(&mut self, handle: Handle, cause: Cause) -> bool {
        let now = self.now;
        let Some(c) = self.conns.get_mut(handle) else { return false };
        match c.state {
            State::Closed | State::Draining => return false,
            State::Connecting | State::Securing => {
                self.close_now(handle, cause, None);
                return true;
            }
            State::Open => self.end_secured(handle),
        }
        let Some(c) = self.conns.get_mut(handle).filter(|c| c.state == State::Open) else { return true };
        c.cause = cause;
        c.enter(State::Draining, now);
        if let Some(kept) = c.kept.take() {
            self.pool.put(kept.chunk);
        }
        if self.cork.is_open_for(handle) {
            self.cork.discard();
        }
        if c.out.is_some() {
            if c.readable {
                self.run_queue.push(handle, c);
            }
            self.watch(handle);
            self.mark_dirty(handle);
        } else {
            self.advance_close(handle);
        }
        true
    }

    /// The queue of a closing connection is empty: end our side, then wait for the peer's end. Closing the
    /// descriptor while input is unread would make the kernel send a reset, and the peer could lose our last
    /// bytes.
    pub(super) fn advance_close(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        let cause = c.cause;
        if c.peer_finished {
            return self.close_now(handle, cause, None);
        }
        if !c.end_sent {
            c.end_sent = true;
            if c.socket.shutdown_write().is_err() {
                return self.close_now(handle, cause, None);
            }
        }
        self.watch(handle);
        self.linger(handle);
    }

    /// Reads away what a closing connection still receives, until the peer ends its side.
    pub(super) fn linger(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        let mut away = [0; 4096];
        for _ in 0..LINGER_READS_MAX {
            match c.socket.read(&mut away) {
                Ok(0) => {
                    c.peer_finished = true;
                    break;
                }
                Ok(_) => {}
                Err(Errno::AGAIN) => {
                    c.readable = false;
                    return;
                }
                Err(_) => {
                    // The peer is gone; our queue was empty or is lost with it.
                    let lost =
                        c.out.is_some() && !c.layer.secured().is_some_and(|secured| secured.last_words);
                    let cause = if lost { Cause::Reset } else { c.cause };
                    return self.close_now(handle, cause, None);
                }
            }
        }
        if c.peer_finished {
            if c.out.is_none() {
                let cause = c.cause;
                self.close_now(handle, cause, None);
            }
        } else {
            c.readable = true;
            self.run_queue.push(handle, c);
        }
    }

    /// Sends the end of our side of an open connection; closes it if the peer's has come before.
    pub(super) fn send_end(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        c.end_sent = true;
        match c.socket.shutdown_write() {
            Ok(()) if c.peer_finished => self.close_now(handle, Cause::PeerClosed, None),
            Ok(()) => {}
            // Not connected any more: the peer's reset was faster.
            Err(error) => self.close_now(handle, Cause::Reset, error.raw_os_error()),
        }
    }

    pub(super) fn fail(&mut self, handle: Handle, error: &std::io::Error) {
        match error.raw_os_error() {
            Some(errno) => self.close_now(handle, cause_of_errno(errno), Some(errno)),
            None => self.close_now(handle, Cause::System, None),
        }
    }

    pub(super) fn fail_errno(&mut self, handle: Handle, errno: Errno) {
        let number = errno.raw_os_error();
        self.close_now(handle, cause_of_errno(number), Some(number));
    }

    /// Frees everything the connection holds, its descriptor first; only the slot waits for `Closed` to be
    /// delivered, so that no successor takes it while handles in this batch still name it.
    pub(super) fn close_now(&mut self, handle: Handle, cause: Cause, errno: Option<i32>) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        if c.state == State::Closed {
            return;
        }
        let (opened, state) = (c.opened, c.state);
        let errno = errno.filter(|_| c.cause_after(cause) == cause);
        let cause = c.cause_after(cause);
        let securing = c.state == State::Securing && !c.layer.is_plain();
        if securing {
            self.metrics.handshakes_failed[cause].add(1);
            self.left_securing(handle);
        }
        let corked = self.cork.is_open_for(handle) && self.cork.holds_something();
        let Some(c) = self.conns.get_mut(handle) else { return };
        if state == State::Open && (corked || c.queued() > 0) {
            // An end in good order would tell the peer that what it got is all.
            c.socket.reset_on_close();
        }
        c.socket = crate::net::Socket::Gone;
        c.cause = cause;
        c.errno = errno;
        c.dirty = false;
        c.readable = false;
        c.read_stops |= read_stop::PAUSED;
        c.enter(State::Closed, self.now);
        self.wheel.cancel(handle.index());
        self.metrics.connections_closed[cause].add(1);
        if !opened {
            self.metrics.connections_failed[cause].add(1);
        }
        if self.cork.is_open_for(handle) {
            self.cork.discard();
        }
        self.drop_buffers(handle);
        self.notices.push_back(Notice::Closed(handle));
    }

    /// Tells the handler what its own calls (or a deadline, or a flush) caused: at most a budget of notices.
    pub(super) fn deliver_notices<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        for _ in 0..self.config.budgets.notices {
            let Some(notice) = self.notices.pop_front() else { return };
            match notice {
                Notice::Opened(handle) => {
                    self.open(handler, handle);
                    // Its readiness may have been reported between its adoption and now, and is not again.
                    if let Some(c) = self.conns.get_mut(handle).filter(|c| c.may_read()) {
                        self.run_queue.push(handle, c);
                    }
                }
                Notice::Drained(handle) => {
                    let open = self.conns.get(handle).filter(|c| c.state == State::Open);
                    if let Some(conn) = open.map(|c| c.conn(handle)) {
                        self.call_for(handler, handle, Event::Drained { conn });
                    }
                }
                Notice::Relend(handle) => self.lend_again(handler, handle),
                Notice::Closed(handle) => self.deliver_closed(handler, handle),
                Notice::ListenerFailed(listener, errno) => {
                    let error = std::io::Error::from(errno);
                    self.call(handler, Event::ListenerFailed { listener, error: &error });
                }
            }
        }
    }

    fn deliver_closed<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        let detail = c.layer.secured().and_then(|secured| secured.detail.take());
        let reason =
            CloseReason { cause: c.cause, peer: c.peer.clone(), errno: c.errno, detail, at: c.since };
        let conn = c.conn(handle);
        self.forget(handle);
        self.call(handler, Event::Closed { conn, reason: &reason });
    }

    /// Gives queue and kept bytes back to the pool.
    pub(super) fn drop_buffers(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        if let Some(queue) = c.out.as_mut() {
            self.shared_bytes -= queue.shared_bytes();
            queue.clear(&mut self.pool);
            recycle(&mut self.spare_queues, c);
        }
        if let Some(kept) = c.kept.take() {
            self.pool.put(kept.chunk);
        }
        if let Some(secured) = c.layer.secured() {
            secured.drop_buffers(&mut self.pool);
        }
        self.relieve_memory();
    }

    /// Frees the slot. Listeners that waited for one try again.
    pub(super) fn forget(&mut self, handle: Handle) {
        self.left_securing(handle);
        self.drop_buffers(handle);
        self.wheel.cancel(handle.index());
        if let Some(c) = self.conns.remove(handle) {
            if c.listener.is_some() {
                self.admission.left(c.peer.as_ref());
            }
            if let Some(listener) = c.listener.and_then(|listener| self.listeners.get(listener)) {
                listener.one_less();
            }
            self.metrics.connections_active.set(self.conns.len() as u64);
            self.retry_waiting_listeners();
        }
    }
}
