//! Secured connections: shaking hands within a budget, opening what is received, sealing what is sent.
//!
//! A plain connection never comes here. A secured one reads records into the receive buffer, behind what the
//! last read left of an unfinished one, and all whole records are opened into the plaintext buffer, so that the
//! handler sees one contiguous slice as it would on a plain connection. What is sent gathers in the cork, or
//! as plaintext staged for the connection, and is sealed when it is about to be written: many small sends share
//! a record.

use super::Io;
use super::event::{Event, Handler};
use super::receive::{HEADROOM_BYTES, ReceiveBuffer};
use super::send::Sent;
use super::serve::spend;
use crate::collections::Handle;
use crate::conn::{State, read_stop};
use crate::error::{Cause, SendError};
use crate::limits::{DIRECT_SEND_BYTES_MIN, GONE_SHAKERS_MAX, QUEUED_SEAL_BYTES, SEAL_BYTES};
use crate::metrics::{Budget, CoreMetrics, HandshakeKind};
use crate::secure::{Failure, Session, Shaken, Then, Told};
use crate::time::{Instant, nanos_of};
use rustix::io::Errno;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// This thread's room for records on their way from the cork or the caller's slice to the socket. Made on first use,
    /// and again after a failure, which is rare.
    static RESTING_SEALED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a read for a secured connection came to.
enum Wire {
    /// So many bytes of it are to be looked at, what was held before them included.
    Bytes { before: usize, read: usize },
    /// Nothing is there.
    Empty,
    /// The peer ended the stream.
    End,
    /// The socket broke.
    Broken(Errno),
}

impl Io {
    // ---- shaking hands

    /// A socket is connected whose layers must shake hands first.
    pub(super) fn secure(&mut self, handle: Handle) {
        let now = self.now;
        let Some(c) = self.conns.get_mut(handle) else { return };
        // A late word that the socket is connected must not give the handshake its time once more.
        let Some(secured) = c.layer.secured().filter(|secured| !secured.begun) else { return };
        secured.begun = true;
        let speaks_first = secured.initiator;
        c.enter(State::Securing, now);
        self.metrics.handshakes_pending.add(1);
        self.securing += usize::from(c.listener.is_some());
        let readable = c.readable;
        self.watch(handle);
        if speaks_first || readable {
            self.queue_to_shake(handle);
        }
    }

    /// The connection stands in line for its next step of the handshake.
    pub(super) fn queue_to_shake(&mut self, handle: Handle) {
        if let Some(c) = self.conns.get_mut(handle)
            && let Some(secured) = c.layer.secured().filter(|secured| !secured.in_shake_queue)
        {
            secured.in_shake_queue = true;
            self.shake_queue.push(handle);
            self.forget_gone_shakers();
        }
    }

    /// Whoever gives up while newer ones are served leaves its handle behind. In a storm that lasts nobody would
    /// come to it, so these are taken out when they are half of the line.
    fn forget_gone_shakers(&mut self) {
        let conns = &self.conns;
        if self.shake_queue.len() > GONE_SHAKERS_MAX + 2 * conns.len() {
            self.shake_queue.retain(|handle| conns.get(*handle).is_some_and(|c| c.state == State::Securing));
        }
    }

    /// Takes handshakes a step on, the newest first and at most a budget of them: under overload those that are
    /// served are served in time, and open connections wait for none but these.
    #[inline]
    pub(super) fn shake_hands<H: Handler + ?Sized>(&mut self, handler: &mut H, buffer: &mut ReceiveBuffer) {
        if !self.shake_queue.is_empty() {
            self.shake_some(handler, buffer);
        }
    }

    fn shake_some<H: Handler + ?Sized>(&mut self, handler: &mut H, buffer: &mut ReceiveBuffer) {
        let mut budget = self.config.budgets.handshakes;
        while let Some(handle) = self.shake_queue.pop() {
            let Some(c) = self.conns.get_mut(handle) else { continue };
            let Some(secured) = c.layer.secured() else { continue };
            secured.in_shake_queue = false;
            if c.state != State::Securing {
                continue;
            }
            self.shake(handler, handle, buffer);
            budget -= 1;
            if budget == 0 {
                break;
            }
        }
        if !self.shake_queue.is_empty() {
            self.metrics.budgets_exhausted[Budget::Handshakes].add(1);
        }
    }

    /// One step of a handshake: reads what is there, answers it, and opens the connection if that was all.
    fn shake<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle, buffer: &mut ReceiveBuffer) {
        // What is left of all this must fit before the next read.
        let held = self.held_bytes(handle);
        let room = buffer.area().len().min(HEADROOM_BYTES - held);
        let (before, read) = if self.must_speak(handle) {
            (0, 0)
        } else if room == 0 {
            return self.fail_secured(handle, Failure::new(Cause::ProtocolViolation));
        } else {
            match self.read_wire(handle, buffer, room) {
                Wire::Bytes { before, read } => (before, read),
                Wire::Empty => return self.note_emptied(handle),
                Wire::End => return self.secured_end(handler, handle),
                Wire::Broken(errno) => return self.fail_errno(handle, errno),
            }
        };
        let now = self.now;
        let mut plain = ReceiveBuffer::take_plain(self.config.receive_buffer_bytes);
        let Some(c) = self.conns.get_mut(handle) else { return plain.rest_plain() };
        let conn = c.conn(handle);
        let more = c.readable && (read == 0 || read == room || c.end_seen);
        c.readable = more;
        let Some(secured) = c.layer.secured() else { return plain.rest_plain() };
        secured.spoke = true;
        let wire = buffer.wire(before, read);
        let isolate = self.config.isolate_panics;
        let mut step = || secured.shake(now, wire, plain.area(), &mut self.sealing, &mut self.pool);
        let shaken = if isolate { isolated(step, &self.metrics) } else { step() };
        if let Ok(shaken) = &shaken {
            secured.store_rest(&mut self.pool, &wire[shaken.consumed..]);
            secured.answered |= shaken.consumed > 0;
            secured.unopened = shaken.done;
        }
        self.queue_reply(handle);
        match shaken {
            Err(failure) => self.fail_secured(handle, failure),
            Ok(shaken) if !shaken.done && self.buffered_bytes() > self.config.buffer_bytes_max => {
                // Handshakes are read also while memory is short, so that whoever is welcome comes in; they must not
                // take more than there is.
                self.fail_errno(handle, Errno::NOMEM);
            }
            Ok(shaken) => {
                // The end of the turn, which follows, sends the reply; with it what the handler may answer to data
                // that came along.
                if shaken.early > 0 {
                    self.metrics.messages_in.add(1);
                    let bytes = plain.received(0, shaken.early);
                    self.call_for(handler, handle, Event::EarlyData { conn, bytes });
                }
                if shaken.done {
                    self.open_secured(handler, handle);
                } else if more {
                    self.queue_to_shake(handle);
                }
            }
        }
        plain.rest_plain();
        if self.open_held(handler, handle, buffer, more) {
            self.receive_off_path(handler, handle, buffer);
        }
    }

    /// Opens what came along with the end of the handshake; a connection that may not be read yet keeps it. Answers
    /// whether the socket may have more.
    fn open_held<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        buffer: &mut ReceiveBuffer,
        more: bool,
    ) -> bool {
        let open = self.conns.get(handle).filter(|c| c.state == State::Open && c.may_read());
        if open.is_none_or(|c| !c.layer.holds_unopened()) {
            return open.is_some();
        }
        let Wire::Bytes { before, .. } = self.read_wire(handle, buffer, 0) else { return false };
        let mut plain = ReceiveBuffer::take_plain(self.config.receive_buffer_bytes);
        let more = self.open_wire(handler, handle, buffer.wire(before, 0), &mut plain, more);
        plain.rest_plain();
        more
    }

    fn held_bytes(&mut self, handle: Handle) -> usize {
        self.conns.get_mut(handle).and_then(|c| c.layer.secured()).map_or(0, |secured| secured.rest_bytes())
    }

    /// Whether the handshake waits for us to begin it.
    fn must_speak(&mut self, handle: Handle) -> bool {
        self.conns
            .get_mut(handle)
            .and_then(|c| c.layer.secured())
            .is_some_and(|secured| !secured.spoke && secured.initiator)
    }

    /// The handshakes are over: data may flow, and some may have come with them.
    fn open_secured<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle) {
        // A step takes longer than most turns: the time at which this one began would leave it out.
        let now = self.clock();
        let Some(c) = self.conns.get_mut(handle).filter(|c| c.state == State::Securing) else { return };
        let took = now.since(c.since);
        self.metrics.handshake_latency_nanos.record(nanos_of(took));
        let Some(secured) = c.layer.secured() else { return };
        let session = Session { took, ..secured.describe() };
        secured.open = true;
        count_handshakes(&self.metrics, &session, secured.initiator);
        // What stands behind the handshake counts as readiness: no descriptor will tell of it.
        c.readable |= c.layer.holds_unopened();
        self.left_securing(handle);
        self.become_open(handler, handle, &session);
        if self.is_stopping() {
            self.look_once_more(handle);
        }
    }

    // ---- receiving

    /// One read of at most `room` bytes for a secured connection, and what follows from it. Answers whether there may
    /// be more.
    #[inline(never)]
    pub(super) fn receive_secured<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        buffer: &mut ReceiveBuffer,
        budget: &mut usize,
        room: usize,
    ) -> bool {
        let (before, read) = match self.read_wire(handle, buffer, room) {
            Wire::Bytes { before, read } => (before, read),
            Wire::Empty => {
                self.note_emptied(handle);
                return false;
            }
            Wire::End => {
                self.secured_end(handler, handle);
                return false;
            }
            Wire::Broken(errno) => {
                self.fail_errno(handle, errno);
                return false;
            }
        };
        *budget -= read;
        let mut plain = ReceiveBuffer::take_plain(self.config.receive_buffer_bytes);
        // Without a read there was what the handshake left; whether the socket has more is still to be seen.
        let filled = read == room || read == 0;
        let more = self.open_wire(handler, handle, buffer.wire(before, read), &mut plain, filled);
        plain.rest_plain();
        more
    }

    /// Opens what was read and hands it on.
    fn open_wire<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        wire: &mut [u8],
        plain: &mut ReceiveBuffer,
        filled: bool,
    ) -> bool {
        let now = self.now;
        let Some(c) = self.conns.get_mut(handle) else { return false };
        let more = filled || c.end_seen;
        c.readable = more;
        let Some(secured) = c.layer.secured() else { return false };
        let opened = secured.open(wire, plain.area(), &mut self.sealing, &mut self.pool);
        match opened.then {
            Then::More => secured.store_rest(&mut self.pool, &wire[opened.consumed..]),
            // Nothing is sealed from now on, whatever the handler sends in what it is lent before it hears of it.
            Then::Failed(_) => secured.open = false,
            Then::Finished => {}
        }
        let was_owed = c.owed_since;
        self.queue_reply(handle);
        if opened.produced > 0 {
            self.hand_on_plain(handler, handle, opened.produced, plain);
        }
        let Some(c) = self.conns.get_mut(handle).filter(|c| c.state == State::Open) else { return false };
        c.note_owed(now);
        if (c.owed_since == Instant::FAR_FUTURE) != (was_owed == Instant::FAR_FUTURE) {
            self.watch(handle);
        }
        self.note_pool_grew();
        match opened.then {
            Then::More => more,
            Then::Finished => {
                self.peer_ended_or_waits(handler, handle);
                false
            }
            Then::Failed(failure) => {
                self.fail_secured(handle, failure);
                false
            }
        }
    }

    /// The peer's end came with what was just lent. Who stopped reading in the midst of that has not come to it: as on
    /// a plain connection, the end is told, and what was kept lent once more, when reading goes on.
    fn peer_ended_or_waits<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        if c.read_stops == 0 {
            return self.peer_ended(handler, handle);
        }
        c.readable = true;
        if let Some(secured) = c.layer.secured() {
            secured.end_waits = true;
        }
    }

    /// Lends opened bytes, behind what was kept.
    fn hand_on_plain<H: Handler + ?Sized>(
        &mut self,
        handler: &mut H,
        handle: Handle,
        produced: usize,
        plain: &mut ReceiveBuffer,
    ) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        if c.kept.is_some() || c.expecting {
            return self.hand_on_owed(handler, handle, produced, plain);
        }
        if c.may_cork() {
            self.cork.open(handle);
        }
        let conn = c.conn(handle);
        self.lend(handler, conn, plain.received(0, produced));
    }

    /// Reads into the area and puts what is held of an unfinished record before it.
    fn read_wire(&mut self, handle: Handle, buffer: &mut ReceiveBuffer, room: usize) -> Wire {
        let Some(c) = self.conns.get_mut(handle) else { return Wire::Empty };
        if c.layer.secured().is_some_and(|secured| secured.end_waits) {
            return Wire::End;
        }
        let unopened = c.layer.holds_unopened();
        if let Some(secured) = c.layer.secured() {
            secured.unopened = false;
        }
        let read = if unopened {
            // Whole records may stand in what the handshake left.
            0
        } else {
            match c.socket.read(&mut buffer.area()[..room]) {
                Ok(0) => return Wire::End,
                Ok(n) => n,
                Err(Errno::AGAIN) => return Wire::Empty,
                Err(errno) => return Wire::Broken(errno),
            }
        };
        if read > 0 {
            c.active_at = self.now;
            self.metrics.bytes_in.add(read as u64);
            // Credit is for the application's bytes, and a handshake that stops halfway helps nobody.
            if c.read_credit != u64::MAX && c.state == State::Open {
                spend(&mut c.read_credit, &mut c.read_stops, read);
            }
        }
        let rest = c.layer.secured().and_then(|secured| secured.take_rest());
        let before = rest.as_ref().map_or(0, |rest| rest.len());
        if let Some(rest) = rest {
            buffer.put_before(rest.filled());
            self.pool.put(rest);
        }
        Wire::Bytes { before, read }
    }

    /// The stream ended: in good order if the layers say so, broken off otherwise.
    fn secured_end<H: Handler + ?Sized>(&mut self, handler: &mut H, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        let failure = c.layer.secured().and_then(|secured| secured.end_of_stream());
        c.peer_finished = true;
        let Some(failure) = failure else { return self.peer_ended(handler, handle) };
        c.readable = false;
        c.read_stops |= read_stop::ENDED;
        if c.state == State::Open {
            self.lend_kept(handler, handle);
            self.drop_kept(handle);
            // What is queued still goes out: the peer may only have ended its side, if without a word.
            if let Some(secured) = self.conns.get_mut(handle).and_then(|c| c.layer.secured()) {
                secured.detail = failure.detail;
            }
            self.begin_close(handle, failure.cause);
        } else {
            self.fail_secured(handle, failure);
        }
    }

    // ---- sending

    /// Puts what the layers want to say into the queue.
    fn queue_reply(&mut self, handle: Handle) {
        if self.sealing.reply.is_empty() {
            return;
        }
        if let Some(c) = self.conns.get_mut(handle).filter(|c| c.state != State::Securing) {
            pay_for(&mut c.write_credit, self.sealing.reply.len());
        }
        let reply = std::mem::take(&mut self.sealing.reply);
        self.enqueue(handle, |queue, pool| queue.append(pool, &reply));
        self.sealing.reply = reply;
        self.sealing.reply.clear();
    }

    /// Seals the cork and writes it.
    #[cold]
    #[inline(never)]
    pub(super) fn uncork_secured(&mut self, handle: Handle, len: usize) {
        let cork = self.cork.take_bytes();
        self.send_sealed(handle, &cork[..len]);
        self.cork.put_bytes(cork);
    }

    /// Takes `parts`, which were admitted: large ones are sealed and written at once, small ones staged.
    pub(super) fn send_secured(
        &mut self,
        handle: Handle,
        parts: &[&[u8]],
        total: usize,
    ) -> Result<Sent, SendError> {
        let c = self.conns.get_mut(handle).ok_or(SendError::Stale)?;
        let nothing_staged = c.layer.staged_bytes() == 0;
        match parts {
            [one] if total >= DIRECT_SEND_BYTES_MIN && c.state == State::Open && nothing_staged => {
                self.send_sealed(handle, one);
            }
            _ => self.stage(handle, |queue, pool| queue.append_parts(pool, parts, 0)),
        }
        let c = self.conns.get(handle).ok_or(SendError::Stale)?;
        if matches!(c.state, State::Draining | State::Closed) {
            Err(SendError::Closing)
        } else {
            Ok(self.level(handle))
        }
    }

    /// Puts plaintext behind what is staged; it is sealed with the next flush, or once there are a few records of it.
    pub(super) fn stage(
        &mut self,
        handle: Handle,
        fill: impl FnOnce(&mut crate::buffer::OutQueue, &mut crate::buffer::Pool),
    ) {
        if self.cork.is_open_for(handle) {
            self.cork.shut();
        }
        let Some(c) = self.conns.get_mut(handle) else { return };
        if c.out.is_none() {
            c.out = Some(self.spare_queues.pop().unwrap_or_default());
            c.queued_since = self.now;
        }
        let state = c.state;
        let Some(secured) = c.layer.secured() else { return };
        fill(&mut secured.staged, &mut self.pool);
        let staged = secured.staged.len();
        self.note_pool_grew();
        if state == State::Open {
            self.mark_dirty(handle);
            if staged >= SEAL_BYTES {
                self.seal_staged(handle);
            }
        }
    }

    /// Seals what is staged into the queue.
    pub(super) fn seal_staged(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        let may_seal = matches!(c.state, State::Open | State::Draining);
        let Some(secured) = c.layer.secured().filter(|secured| may_seal && !secured.staged.is_empty()) else {
            return;
        };
        let mut staged = std::mem::take(&mut secured.staged);
        while !staged.is_empty() {
            let piece = staged.front();
            let piece = &piece[..piece.len().min(QUEUED_SEAL_BYTES)];
            let len = piece.len();
            if !self.seal_into_queue(handle, piece) {
                break;
            }
            staged.consume(&mut self.pool, len);
        }
        staged.clear(&mut self.pool);
    }

    /// Seals `plain` and offers it to the kernel, if nothing waits before it; what is refused is queued.
    fn send_sealed(&mut self, handle: Handle, mut plain: &[u8]) {
        while !plain.is_empty() {
            let Some(c) = self.conns.get_mut(handle) else { return };
            let queued = c.out.is_some() || c.write_credit != u64::MAX;
            let bytes = plain.len().min(if queued { QUEUED_SEAL_BYTES } else { SEAL_BYTES });
            let piece;
            (piece, plain) = plain.split_at(bytes);
            if queued {
                if !self.seal_into_queue(handle, piece) {
                    return;
                }
                continue;
            }
            let Some(secured) = c.layer.secured().filter(|secured| secured.open) else { return };
            let room = secured.sealed_bytes_max(piece.len());
            let mut sealed = RESTING_SEALED.take();
            if sealed.len() < room {
                sealed.resize(room, 0);
            }
            let n = match secured.seal(piece, &mut sealed, &mut self.sealing) {
                Ok(n) => n,
                Err(failure) => return self.fail_secured(handle, failure),
            };
            let written = self.write_once(handle, &[&sealed[..n]]);
            if let Ok(written) = written
                && written < n
            {
                self.enqueue_refused(handle, |queue, pool| queue.append(pool, &sealed[written..n]));
            }
            RESTING_SEALED.set(sealed);
            if written.is_err() {
                return;
            }
        }
        self.level(handle);
    }

    /// Seals `piece` at the end of the queue. `false` if that ended the connection.
    fn seal_into_queue(&mut self, handle: Handle, piece: &[u8]) -> bool {
        let Some(c) = self.conns.get_mut(handle) else { return false };
        let fresh = !c.was_refused();
        let Some(secured) = c.layer.secured().filter(|secured| secured.open) else { return false };
        let room = secured.sealed_bytes_max(piece.len());
        let queue = c.out.get_or_insert_with(|| self.spare_queues.pop().unwrap_or_default());
        let sealed = secured.seal(piece, queue.spare(&mut self.pool, room), &mut self.sealing);
        queue.commit(&mut self.pool, sealed.as_ref().copied().unwrap_or(0));
        match sealed {
            Ok(_) => {
                if c.queued_since == Instant::FAR_FUTURE {
                    c.queued_since = self.now;
                }
                if self.cork.is_open_for(handle) {
                    self.cork.shut();
                }
                if fresh {
                    self.mark_dirty(handle);
                }
                self.note_pool_grew();
                true
            }
            Err(failure) => {
                self.fail_secured(handle, failure);
                false
            }
        }
    }

    // ---- the end

    /// Queues the marks that end our side in good order, behind everything sent.
    pub(super) fn end_secured(&mut self, handle: Handle) {
        self.seal_staged(handle);
        let Some(c) = self.conns.get_mut(handle) else { return };
        let Some(secured) = c.layer.secured().filter(|secured| secured.open) else { return };
        secured.open = false;
        secured.last_words = c.out.is_none();
        secured.finish(&mut self.sealing);
        self.queue_reply(handle);
    }

    /// The layers gave up on the peer: whatever alert they queued is sent, then the connection ends.
    pub(super) fn fail_secured(&mut self, handle: Handle, failure: Failure) {
        let now = self.now;
        let Some(c) = self.conns.get_mut(handle) else { return };
        if matches!(c.state, State::Draining | State::Closed) {
            return;
        }
        match failure.told {
            Some(Told::ByUs(alert)) => self.metrics.alerts_sent[alert].add(1),
            Some(Told::ByPeer(alert)) => self.metrics.alerts_received[alert].add(1),
            None => {}
        }
        if c.state == State::Securing {
            self.metrics.handshakes_failed[failure.cause].add(1);
            self.left_securing(handle);
        }
        let Some(c) = self.conns.get_mut(handle) else { return };
        c.cause = failure.cause;
        if let Some(kept) = c.kept.take() {
            self.pool.put(kept.chunk);
        }
        if let Some(secured) = c.layer.secured() {
            secured.open = false;
            secured.last_words = true;
            secured.detail = failure.detail;
            secured.drop_buffers(&mut self.pool);
        }
        c.enter(State::Draining, now);
        if self.cork.is_open_for(handle) {
            self.cork.discard();
        }
        self.watch(handle);
        self.flush(handle);
    }

    /// The socket broke while the connection was closing: for nothing if only last words were left to be said.
    pub(super) fn nobody_hears(&mut self, handle: Handle, errno: Errno) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        let last_words = c.layer.secured().is_some_and(|secured| secured.last_words);
        if c.state == State::Draining && last_words {
            let cause = c.cause;
            self.close_now(handle, cause, None);
        } else {
            self.fail_errno(handle, errno);
        }
    }

    /// The connection does not shake hands any more.
    pub(super) fn left_securing(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle).filter(|c| c.state == State::Securing) else { return };
        // What is left of the handshake was not sent by the application.
        pay_for(&mut c.write_credit, c.out.as_ref().map_or(0, |queue| queue.len()));
        if let Some(secured) = c.layer.secured().filter(|secured| secured.begun) {
            secured.begun = false;
            self.metrics.handshakes_pending.sub(1);
            self.securing -= usize::from(c.listener.is_some());
        }
    }

    /// Whether the connection's bytes pass through security layers.
    #[inline]
    pub(super) fn is_secured(&self, handle: Handle) -> bool {
        self.conns.get(handle).is_some_and(|c| !c.layer.is_plain())
    }

    /// The socket has nothing more; the next event tells of new bytes.
    fn note_emptied(&mut self, handle: Handle) {
        if let Some(c) = self.conns.get_mut(handle) {
            c.readable = false;
        }
    }
}

/// A step of a handshake in which the application is asked about the peer (a check of its key, a verifier of its own),
/// and may panic over the answer as over an event.
#[cold]
fn isolated(
    step: impl FnOnce() -> Result<Shaken, Failure>,
    metrics: &CoreMetrics,
) -> Result<Shaken, Failure> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
        metrics.handler_panics.add(1);
        metrics.errors_critical.add(1);
        Err(Failure::new(Cause::HandlerPanicked))
    })
}

/// Write credit is for what the application sends. The bytes of the layers' own (the rest of a handshake, an end mark,
/// an alert) bring theirs: who holds data back must not hold back the end.
fn pay_for(credit: &mut u64, bytes: usize) {
    if *credit != u64::MAX {
        *credit = credit.saturating_add(bytes as u64).min(u64::MAX - 1);
    }
}

fn count_handshakes(metrics: &CoreMetrics, session: &Session, initiator: bool) {
    if let Some(tls) = &session.tls {
        let kind = match (initiator, tls.resumed) {
            (false, false) => HandshakeKind::TlsServerFull,
            (false, true) => HandshakeKind::TlsServerResumed,
            (true, false) => HandshakeKind::TlsClientFull,
            (true, true) => HandshakeKind::TlsClientResumed,
        };
        metrics.handshakes[kind].add(1);
    }
    if session.noise.is_some() {
        let kind = if initiator { HandshakeKind::NoiseInitiator } else { HandshakeKind::NoiseResponder };
        metrics.handshakes[kind].add(1);
    }
}

#[cfg(all(test, feature = "noise"))]
mod tests {
    use crate::limits::GONE_SHAKERS_MAX;
    use crate::reactor::{Adopt, Config, Event, Io, Reactor, Wait};
    use crate::secure::noise::Noise;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_line_for_handshakes_does_not_grow_by_those_who_gave_up() {
        let mut reactor = Reactor::new(Config::default()).unwrap();
        let noise = Noise::unauthenticated_nn_responder();
        let mut ignore = |_: &mut Io, _: Event<'_>| {};
        let mut ahead = Vec::new();
        for _ in 0..GONE_SHAKERS_MAX {
            // Four come in each turn, one is served, and all four give up.
            for _ in 0..4 {
                let (mut near, far) = UnixStream::pair().unwrap();
                near.write_all(&[0]).unwrap();
                let conn = reactor.io().adopt(Adopt::stream(far).accept_noise(&noise)).unwrap();
                ahead.push((near, conn));
            }
            reactor.turn(Wait::No, &mut ignore).unwrap();
            for (_, conn) in ahead.drain(..) {
                assert!(reactor.io().abort(conn));
            }
        }
        let line = reactor.io().shake_queue.len();
        assert!(line > GONE_SHAKERS_MAX / 2, "this test makes no storm: {line} in line");
        assert!(line <= GONE_SHAKERS_MAX + 16, "{line} in line");
    }
}
