//! The way in: a readiness event becomes a read, the read becomes `Data`, and what the handler did with it
//! becomes one write.

use super::Io;
use super::event::{Event, Handler};
use super::io::Lent;
use super::notice::Notice;
use super::receive::ReceiveBuffer;
use crate::collections::{Conn, Handle};
use crate::conn::{State, read_stop};
use crate::error::Cause;
use crate::metrics::Budget;
use crate::net::Reported;
use crate::secure::Session;
use crate::time::Instant;
use rustix::io::Errno;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Io {
    /// Calls the handler.
    #[inline]
    pub(super) fn call<H: Handler + ?Sized>(&mut self, handler: &mut H, event: Event<'_>) {
        self.handled += 1;
        if self.config.isolate_panics {
            self.call_isolated(handler, event);
        } else {
            handler.handle(self, event);
        }
    }

    #[cold]
    fn call_isolated<H: Handler + ?Sized>(&mut self, handler: &mut H, event: Event<'_>) {
        let conn = event.conn();
        // The handler is the application's: whatever it left half done behind a panic is its to repair. What
        // is the reactor's is put right below.
        if catch_unwind(AssertUnwindSafe(|| handler.handle(self, event))).is_ok() {
            return;
        }
        self.metrics.handler_panics.add(1);
        self.metrics.errors_critical.add(1);
        self.cork.discard();
        self.lent = Lent::NOTHING;
        self.take_unused_room_back();
        if let Some(conn) = conn
            && let Some(c) = self.conns.get(conn.handle())
        {
            c.socket.reset_on_close();
            self.close_now(conn.handle(), Cause::HandlerPanicked, None);
        }
    }

    /// An encoder that panicked leaves an empty queue, of whichever connection it was for, with a chunk that nobody
    /// would give back, and a connection that seems to have something to send.
    fn take_unused_room_back(&mut self) {
        for c in self.conns.iter_mut() {
            if let Some(secured) = c.layer.secured().filter(|secured| secured.staged.is_empty()) {
                secured.staged.clear(&mut self.pool);
            }
            if c.queued() == 0 {
                c.out.iter_mut().for_each(|queue| queue.clear(&mut self.pool));
                c.out = None;
                c.queued_since = Instant::FAR_FUTURE;
            }
        }
    }

    /// Calls the handler about a connection; what it sends to that connection is corked and written once.
    #[inline]
    pub(super) fn call_for<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        event: Event<'_>,
    ) {
        // The cork's rest is queued whatever the bound: while memory is short every send must be admitted.
        if !self.memory_short && self.conns.get(handle).is_some_and(|c| c.may_cork()) {
            self.cork.open(handle);
        }
        self.call(handler, event);
        if self.cork.holds_something() {
            self.uncork(handle);
        }
        self.cork.shut();
    }

    /// Serves one connection that the kernel reported.
    #[inline]
    pub(super) fn serve<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        reported: Reported,
        buffer: &mut ReceiveBuffer,
    ) {
        let turn = self.turn;
        let Some(c) = self.conns.get_mut(handle) else { return };
        c.served_turn = turn;
        c.readable |= reported.readable;
        if reported.end && !c.end_seen {
            return self.serve_end(handler, handle, reported, buffer);
        }
        if c.state != State::Open || reported.error {
            return self.serve_unusual(handler, handle, reported, buffer);
        }
        if reported.writable && c.out.is_some() {
            self.flush(handle);
        }
        self.receive(handler, handle, buffer);
    }

    /// The first event that tells of the peer's end.
    #[cold]
    #[inline(never)]
    fn serve_end<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        reported: Reported,
        buffer: &mut ReceiveBuffer,
    ) {
        self.note_end_seen(handle);
        let Some(c) = self.conns.get(handle) else { return };
        if c.state != State::Open || reported.error {
            return self.serve_unusual(handler, handle, reported, buffer);
        }
        if reported.writable && c.out.is_some() {
            self.flush(handle);
        }
        self.receive_off_path(handler, handle, buffer);
    }

    /// From now on nothing is held back from a peer that would wait for it: the timeouts run again.
    fn note_end_seen(&mut self, handle: Handle) {
        let now = self.now;
        let Some(c) = self.conns.get_mut(handle) else { return };
        c.end_seen = true;
        if c.state == State::Open && c.read_stops & !read_stop::ENDED != 0 {
            c.active_at = now;
            c.note_owed(now);
            self.watch(handle);
        }
    }

    #[cold]
    fn serve_unusual<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        reported: Reported,
        buffer: &mut ReceiveBuffer,
    ) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        match c.state {
            State::Connecting if reported.writable || reported.error || reported.end => {
                self.finish_connecting(handler, handle);
                if self.conns.get(handle).is_some_and(|c| c.state == State::Open && c.may_read()) {
                    self.receive_off_path(handler, handle, buffer);
                }
            }
            State::Securing => {
                if reported.writable && c.out.is_some() {
                    self.flush(handle);
                }
                if self.conns.get(handle).is_some_and(|c| c.readable) {
                    self.queue_to_shake(handle);
                }
            }
            State::Connecting | State::Closed => {}
            State::Draining => {
                if reported.writable && c.out.is_some() {
                    self.flush(handle);
                }
                // Also while our bytes still wait: the peer may not read them before it has written all its own.
                if self.conns.get(handle).is_some_and(|c| c.state == State::Draining && c.readable) {
                    self.linger(handle);
                }
            }
            State::Open => {
                // An error is told by the next read, behind whatever can still be read; a connection that is
                // not being read must learn of it here, or it would not learn of it before its deadline.
                if c.may_read() {
                    self.receive_off_path(handler, handle, buffer);
                } else if let Ok(Some(error)) = c.socket.take_error() {
                    self.fail(handle, &error);
                }
            }
        }
    }

    /// Serves a connection whose turn has come in the run queue.
    pub(super) fn serve_again<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        buffer: &mut ReceiveBuffer,
    ) {
        let turn = self.turn;
        let Some(c) = self.conns.get_mut(handle) else { return };
        c.in_run_queue = false;
        if c.state == State::Draining && c.readable {
            self.linger(handle);
        } else if c.state == State::Open && c.may_read() {
            if c.served_turn == turn {
                return self.run_queue.push(handle, c);
            }
            self.receive_off_path(handler, handle, buffer);
        }
    }

    /// The first writable event of a connecting socket: it is established, or it failed.
    fn finish_connecting<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle) {
        let now = self.now;
        let Some(c) = self.conns.get_mut(handle) else { return };
        match c.socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return self.fail(handle, &error),
        }
        if !c.socket.is_connected() {
            // A spurious event: the real one is still to come.
            return;
        }
        self.metrics.connect_latency_nanos.record(nanos_since(c.since, now));
        self.open(handler, handle);
    }

    /// The socket is connected: data may flow, unless there are layers that must shake hands before.
    pub(super) fn open<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle) {
        let Some(c) = self.conns.get(handle) else { return };
        if !matches!(c.state, State::Connecting | State::Securing) {
            return;
        }
        if c.layer.is_plain() {
            self.become_open(handler, handle, &Session::PLAIN);
        } else {
            self.secure(handle);
        }
    }

    /// Data may flow.
    pub(super) fn become_open<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        session: &Session,
    ) {
        let now = self.now;
        let Some(c) = self.conns.get_mut(handle) else { return };
        c.enter(State::Open, now);
        c.opened = true;
        c.active_at = now;
        let conn = c.conn(handle);
        if c.finishing {
            self.end_secured(handle);
        }
        let Some(c) = self.conns.get_mut(handle) else { return };
        if c.out.is_some() {
            c.queued_since = now;
            self.mark_dirty(handle);
        } else if c.finishing {
            self.send_end(handle);
        }
        self.drained_before_open(handle);
        self.metrics.connections_opened.add(1);
        self.watch(handle);
        self.call_for(handler, handle, Event::Opened { conn, session });
    }

    /// A send that was refused for memory before the connection opened left nothing queued whose flush would tell of
    /// room. If the shortage is over, this does; if not, its end will.
    fn drained_before_open(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        if c.backlogged && c.out.is_none() && c.read_stops & read_stop::MEMORY == 0 {
            c.backlogged = false;
            self.notices.push_back(Notice::Drained(handle));
        }
    }

    /// Reads until the socket is empty or the budget used up, and hands on what came.
    #[inline(always)]
    fn receive<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle, buffer: &mut ReceiveBuffer) {
        let mut budget = self.config.budgets.receive_bytes;
        while self.receive_once(handler, handle, buffer, &mut budget) {}
    }

    /// One read and what follows from it. Answers whether there may be more.
    ///
    /// Always inlined, with `lend` and `uncork`: the path of a small message is one function then, which saves
    /// a fifth of its instructions.
    #[inline(always)]
    fn receive_once<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        buffer: &mut ReceiveBuffer,
        budget: &mut usize,
    ) -> bool {
        let Some(c) = self.conns.get_mut(handle) else { return false };
        if !c.may_read() || c.state != State::Open {
            return false;
        }
        if *budget == 0 || self.memory_short {
            return self.postpone(handle, *budget);
        }
        let area = buffer.area();
        let credit = usize::try_from(c.read_credit).unwrap_or(usize::MAX);
        let room = area.len().min(*budget).min(credit);
        if !c.layer.is_plain() {
            return self.receive_secured(handler, handle, buffer, budget, room);
        }
        let n = match c.socket.read(&mut area[..room]) {
            Ok(n) if n > 0 => n,
            other => return self.received_nothing(handler, handle, other),
        };
        *budget -= n;
        c.active_at = self.now;
        self.metrics.bytes_in.add(n as u64);
        if c.read_credit != u64::MAX {
            spend(&mut c.read_credit, &mut c.read_stops, n);
        }
        // A short read of a stream socket has emptied it, and the next bytes are a new edge, unless an end of
        // stream queued behind the data has had its edge already.
        let more = n == room || c.end_seen;
        c.readable = more;
        if c.kept.is_some() || c.owed_since != Instant::FAR_FUTURE {
            self.hand_on_owed(handler, handle, n, buffer);
        } else {
            if c.may_cork() {
                self.cork.open(handle);
            }
            let conn = c.conn(handle);
            self.lend(handler, conn, buffer.received(0, n));
        }
        more
    }

    /// The same off the hot path.
    #[cold]
    #[inline(never)]
    pub(super) fn receive_off_path<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        buffer: &mut ReceiveBuffer,
    ) {
        self.receive(handler, handle, buffer);
    }

    /// A read that brought no bytes: the end of the stream, an empty socket or an error.
    #[cold]
    fn received_nothing<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        outcome: rustix::io::Result<usize>,
    ) -> bool {
        match outcome {
            Ok(_) => self.peer_ended(handler, handle),
            Err(Errno::AGAIN) => {
                if let Some(c) = self.conns.get_mut(handle) {
                    c.readable = false;
                }
            }
            Err(errno) => self.fail_errno(handle, errno),
        }
        false
    }

    /// The budget is used up, or buffer memory is: readiness stays remembered.
    #[cold]
    fn postpone(&mut self, handle: Handle, budget: usize) -> bool {
        let Some(c) = self.conns.get_mut(handle) else { return false };
        if budget == 0 {
            self.metrics.budgets_exhausted[Budget::Bytes].add(1);
            self.run_queue.push(handle, c);
        } else {
            self.metrics.reads_stopped_by_memory.add(1);
            c.read_stops |= read_stop::MEMORY;
            self.starved.push(handle);
        }
        false
    }

    /// Lends `bytes` to the handler, with the cork as it stands, and does what it wanted of them.
    #[inline(always)]
    pub(super) fn lend<H: Handler + ?Sized>(&mut self, handler: &mut H, conn: Conn, bytes: &[u8]) {
        let handle = conn.handle();
        self.metrics.messages_in.add(1);
        self.work.bytes += bytes.len() as u64;
        self.lent = Lent { to: Some(handle), bytes: bytes.len(), keep: 0, want: 0 };
        self.call(handler, Event::Data { conn, bytes });
        if self.cork.holds_something() {
            self.uncork(handle);
        }
        self.cork.shut();
        self.lent.to = None;
        if self.lent.want > 1 {
            self.store_kept(handle, &bytes[bytes.len() - self.lent.keep..], self.lent.want);
        }
    }

    /// The peer has ended its side: what was kept is lent once more, then the handler is told, or the
    /// connection closed.
    #[cold]
    pub(super) fn peer_ended<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        c.readable = false;
        c.read_stops |= read_stop::ENDED;
        c.peer_finished = true;
        c.expecting = false;
        let conn = c.conn(handle);
        self.lend_kept(handler, handle);
        self.drop_kept(handle);
        let Some(c) = self.conns.get_mut(handle).filter(|c| c.state == State::Open) else { return };
        c.note_owed(self.now);
        let (end_sent, half_close) = (c.end_sent, c.options.half_close);
        self.watch(handle);
        if half_close {
            self.call_for(handler, handle, Event::PeerFinished { conn });
        }
        if end_sent {
            self.close_now(handle, Cause::PeerClosed, None);
        } else if !half_close {
            self.begin_close(handle, Cause::PeerClosed);
        }
    }
}

pub(super) fn spend(credit: &mut u64, stops: &mut u8, n: usize) {
    *credit -= n as u64;
    if *credit == 0 {
        *stops |= read_stop::CREDIT;
    }
}

pub(super) fn nanos_since(earlier: Instant, now: Instant) -> u64 {
    now.as_nanos().saturating_sub(earlier.as_nanos())
}
