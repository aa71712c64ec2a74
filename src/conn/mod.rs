//! One connection: its state, what it owes and is owed, and when each of its deadlines comes.
//!
//! States follow each other downwards only: connecting, securing, open, draining, closed. The reactor moves
//! the bytes; this room says what they mean for the state and for the deadlines.

mod options;

pub use options::{Options, Priority, Timeouts};

use crate::buffer::{Chunk, OutQueue};
use crate::collections::{Conn, Handle, Owner};
use crate::error::{Address, Cause};
use crate::net::Socket;
use crate::secure::Layer;
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// Where a connection is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The kernel is establishing it.
    Connecting,
    /// Established; the security layers are shaking hands.
    Securing,
    /// Data may flow.
    Open,
    /// Being closed in good order: the queue is flushed, the end of stream sent, the peer's awaited.
    Draining,
    /// Over; the slot waits only for `Closed` to be delivered.
    Closed,
}

/// Reasons for which a connection is not read. It is read only when there is none.
pub(crate) mod read_stop {
    /// The application paused it.
    pub(crate) const PAUSED: u8 = 1;
    /// Its own queue is over high water.
    pub(crate) const THROTTLED: u8 = 2;
    /// It has no read credit.
    pub(crate) const CREDIT: u8 = 4;
    /// The reactor is short of buffer memory.
    pub(crate) const MEMORY: u8 = 8;
    /// The end of the stream was read: nothing follows, but every later event still says readable.
    pub(crate) const ENDED: u8 = 16;
}

/// Bytes that the handler wanted to see again.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) chunk: Chunk,
    /// The handler is called again when this many bytes are there.
    pub(crate) want: usize,
}

/// With its wheel entry (24 B), its generation and the slab's tag an idle connection stays within 256 bytes.
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Connection>() <= 216);

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    pub(crate) layer: Layer,
    pub(crate) options: Arc<Options>,
    /// What the kernel refused; absent while there is nothing.
    pub(crate) out: Option<Box<OutQueue>>,
    pub(crate) kept: Option<Kept>,
    pub(crate) peer: Option<Address>,
    /// When the present state began.
    pub(crate) since: Instant,
    /// When the last byte moved, either way.
    pub(crate) active_at: Instant,
    /// When owed input was last seen to progress; far future while none is owed.
    pub(crate) owed_since: Instant,
    /// When queued output was last seen to progress; far future while none is queued.
    pub(crate) queued_since: Instant,
    /// The application's total deadline; far future without one.
    pub(crate) total_by: Instant,
    /// Where the deadline wheel will look at this connection next.
    pub(crate) wheel_at: Instant,
    /// Bytes that may still be read and written; `u64::MAX` is unlimited.
    pub(crate) read_credit: u64,
    pub(crate) write_credit: u64,
    /// The turn in which an event served it, so that the run queue does not serve it again.
    pub(crate) served_turn: u32,
    pub(crate) owner: Owner,
    pub(crate) listener: Option<Handle>,
    pub(crate) state: State,
    /// Bits of [`read_stop`].
    pub(crate) read_stops: u8,
    /// The kernel may have bytes for us.
    pub(crate) readable: bool,
    /// The kernel said that the peer's end of stream is (or will be) behind what is readable.
    pub(crate) end_seen: bool,
    /// We have read that end of stream.
    pub(crate) peer_finished: bool,
    /// The application finished its sending side.
    pub(crate) finishing: bool,
    /// The end of our stream was sent.
    pub(crate) end_sent: bool,
    /// The application expects an answer.
    pub(crate) expecting: bool,
    /// The queue went over high water or refused something, so `Drained` is due.
    pub(crate) backlogged: bool,
    /// Has queued bytes that were not yet offered to the kernel; stands in the reactor's dirty list.
    pub(crate) dirty: bool,
    /// Stands in the run queue.
    pub(crate) in_run_queue: bool,
    /// What it kept is to be lent again.
    pub(crate) relend: bool,
    /// Why it is draining or closed.
    pub(crate) cause: Cause,
    pub(crate) errno: Option<i32>,
    /// `Opened` was delivered, or is about to be.
    pub(crate) opened: bool,
}

impl Connection {
    pub(crate) fn new(
        socket: Socket,
        layer: Layer,
        options: Arc<Options>,
        owner: Owner,
        now: Instant,
    ) -> Connection {
        Connection {
            socket,
            layer,
            options,
            out: None,
            kept: None,
            peer: None,
            since: now,
            active_at: now,
            owed_since: Instant::FAR_FUTURE,
            queued_since: Instant::FAR_FUTURE,
            total_by: Instant::FAR_FUTURE,
            wheel_at: Instant::FAR_FUTURE,
            read_credit: u64::MAX,
            write_credit: u64::MAX,
            served_turn: 0,
            owner,
            listener: None,
            state: State::Connecting,
            read_stops: 0,
            readable: false,
            end_seen: false,
            peer_finished: false,
            finishing: false,
            end_sent: false,
            expecting: false,
            backlogged: false,
            dirty: false,
            in_run_queue: false,
            relend: false,
            cause: Cause::Closed,
            errno: None,
            opened: false,
        }
    }

    pub(crate) const fn conn(&self, handle: Handle) -> Conn {
        Conn::new(handle, self.owner)
    }

    /// Moves to `state`; its own deadline counts from now.
    pub(crate) fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.since = now;
    }

    /// Whether the handler may be given data now.
    #[inline]
    pub(crate) fn may_read(&self) -> bool {
        self.readable && self.read_stops == 0
    }

    /// Whether small sends of the handler being called may gather in the cork.
    #[inline]
    pub(crate) fn may_cork(&self) -> bool {
        self.state == State::Open && self.out.is_none() && !self.finishing && self.write_credit == u64::MAX
    }

    /// Whether the application may still send.
    pub(crate) fn may_send(&self) -> bool {
        !self.finishing && matches!(self.state, State::Connecting | State::Securing | State::Open)
    }

    /// Bytes waiting for the kernel, those that are still to be sealed included.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.out.as_ref().map_or(0, |queue| queue.len() + self.layer.staged_bytes())
    }

    /// Whether the kernel refused what the queue holds: then its next writable event goes on from there.
    #[inline]
    pub(crate) fn was_refused(&self) -> bool {
        self.out.as_ref().is_some_and(|queue| !queue.is_empty()) && !self.dirty
    }

    /// Input is owed while a message or a record is unfinished or the application expects an answer.
    pub(crate) fn note_owed(&mut self, now: Instant) {
        let owed = self.expecting || self.kept.is_some() || self.layer.holds_partial();
        self.owed_since = if owed { now } else { Instant::FAR_FUTURE };
    }

    /// Whether anything of a conversation is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.owed_since != Instant::FAR_FUTURE
            || self.out.is_some()
            || (self.readable && !self.peer_finished && self.state == State::Open)
    }

    /// The earliest of the deadlines that apply now, and what it means when it comes.
    pub(crate) fn deadline(&self, timeouts: &Timeouts) -> (Instant, Cause) {
        let total = (self.total_by, Cause::DeadlineExceeded);
        let mine = match self.state {
            State::Connecting => (after(self.since, timeouts.connect), Cause::ConnectTimeout),
            State::Securing => (after(self.since, timeouts.handshake), Cause::HandshakeTimeout),
            State::Draining => (after(self.since, timeouts.drain), self.cause_at_drain_end()),
            State::Open => {
                let expiry = (self.layer.expires_at(), Cause::SessionExpired);
                let open = self.open_deadline(timeouts);
                if expiry.0 < open.0 { expiry } else { open }
            }
            State::Closed => (Instant::FAR_FUTURE, self.cause),
        };
        if total.0 < mine.0 { total } else { mine }
    }

    fn open_deadline(&self, timeouts: &Timeouts) -> (Instant, Cause) {
        // Bytes that we do not want to read yet are no silence of the peer's.
        // Who holds memory itself is not excused by the lack of it: nothing else would ever end the shortage.
        let holds = self.kept.is_some() || self.layer.holds_partial();
        let excused = if holds { self.read_stops & !read_stop::MEMORY } else { self.read_stops };
        let held_back = self.readable && excused != 0 && !self.end_seen;
        let awaited_since = if held_back { Instant::FAR_FUTURE } else { self.owed_since };
        let read = (after(awaited_since, timeouts.read), Cause::ReadTimeout);
        // Without credit it is us who hold the bytes back, not the peer.
        let offered_since = if self.write_credit > 0 { self.queued_since } else { Instant::FAR_FUTURE };
        let write = (after(offered_since, timeouts.write), Cause::WriteTimeout);
        let nothing_owed =
            self.owed_since == Instant::FAR_FUTURE && self.queued_since == Instant::FAR_FUTURE && !held_back;
        let idle_since = if nothing_owed { self.active_at } else { Instant::FAR_FUTURE };
        let idle = (after(idle_since, timeouts.keep_alive), Cause::IdleTimeout);
        [read, write, idle].into_iter().min_by_key(|(at, _)| *at).unwrap_or(idle)
    }

    /// The cause that counts when `later` ends it: the first failure is final, and that its peer was gone when it was
    /// told why, or never ended its own side, is no news.
    pub(crate) fn cause_after(&self, later: Cause) -> Cause {
        let in_good_order = matches!(self.cause, Cause::Closed | Cause::PeerClosed | Cause::Shutdown);
        if self.state == State::Draining && !in_good_order { self.cause } else { later }
    }

    /// A peer that merely does not end its side has not made the close fail: all we had to say was said.
    fn cause_at_drain_end(&self) -> Cause {
        if self.out.is_some() { Cause::DrainTimeout } else { self.cause }
    }
}

fn after(since: Instant, timeout: Option<Duration>) -> Instant {
    timeout.map_or(Instant::FAR_FUTURE, |timeout| since + timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_at(now: Instant) -> Connection {
        let mut c = Connection::new(Socket::Gone, Layer::Plain, Arc::default(), Owner::APP, now);
        c.enter(State::Open, now);
        c
    }

    #[test]
    fn each_state_is_under_its_own_deadline() {
        let t = Timeouts::default();
        let s = |secs: u64| Instant::from_millis(secs * 1000);
        let mut c = Connection::new(Socket::Gone, Layer::Plain, Arc::default(), Owner::APP, s(1));
        assert_eq!(c.deadline(&t), (s(31), Cause::ConnectTimeout));
        c.enter(State::Securing, s(2));
        assert_eq!(c.deadline(&t), (s(12), Cause::HandshakeTimeout));
        c.enter(State::Open, s(3));
        c.active_at = s(3);
        assert_eq!(c.deadline(&t), (s(303), Cause::IdleTimeout));
        c.expecting = true;
        c.note_owed(s(4));
        assert_eq!(c.deadline(&t), (s(64), Cause::ReadTimeout));
        c.queued_since = s(5);
        assert_eq!(c.deadline(&t), (s(35), Cause::WriteTimeout));
        c.write_credit = 0;
        assert_eq!(c.deadline(&t), (s(64), Cause::ReadTimeout), "without credit no write timeout runs");
        c.write_credit = 1;
        c.total_by = s(20);
        assert_eq!(c.deadline(&t), (s(20), Cause::DeadlineExceeded));
        c.total_by = Instant::FAR_FUTURE;
        c.cause = Cause::PeerClosed;
        c.enter(State::Draining, s(6));
        assert_eq!(c.deadline(&t), (s(11), Cause::PeerClosed));
        c.out = Some(Box::default());
        assert_eq!(c.deadline(&t), (s(11), Cause::DrainTimeout));
    }

    #[test]
    fn keep_alive_counts_only_while_nothing_is_owed_either_way() {
        let t = Timeouts { read: None, write: None, ..Timeouts::default() };
        let mut c = open_at(Instant::from_millis(10));
        c.expecting = true;
        c.note_owed(Instant::from_millis(20));
        assert_eq!(c.deadline(&t).0, Instant::FAR_FUTURE);
        c.expecting = false;
        c.note_owed(Instant::from_millis(30));
        assert_eq!(c.deadline(&t).1, Cause::IdleTimeout);
    }
}
