//! What was sent and is not yet known to have arrived, in the order of sending.
//!
//! Every transmission has a serial number of its own, also when it repeats bytes (QUIC does the same, RFC 9002).
//! Since a path keeps the order, a transmission whose later neighbours have arrived is lost.
//!
//! The list is also where acknowledgements wait: the one that a segment caused is written beside it with the time at
//! which it gets back, and is taken in when somebody looks. That spares the world an event for each of them.

use crate::time::Instant;
use std::collections::VecDeque;

/// A transmission is lost once one that was sent this many later has arrived (RFC 5681's three duplicates).
const REORDERING: usize = 3;

/// Room for so many is kept while nothing is under way: it spares a quiet flow an allocation for each message.
const KEPT_MAX: usize = 1;

/// One transmission.
#[derive(Clone, Copy, Debug)]
struct Sent {
    seq: u64,
    at: Instant,
    /// When its acknowledgement gets back; far away while there is none.
    ack_at: Instant,
    /// All before this had arrived then.
    ack_seq: u64,
    /// Bytes that the receiver then had room for.
    ack_window: u32,
    len: u16,
    arrived: bool,
    /// An acknowledgement of it, or of a later one, has got back.
    acked: bool,
}

/// An acknowledgement that has got back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    /// The transmission that caused it.
    pub(super) serial: u32,
    /// When that was sent.
    pub(super) sent_at: Instant,
    /// When the acknowledgement got back.
    pub(super) at: Instant,
    /// All before this has arrived.
    pub(super) seq: u64,
    /// Bytes that the receiver has room for beyond it.
    pub(super) window: u32,
    /// Bytes that are no longer under way thanks to it.
    pub(super) acked: u32,
    /// It answers a probe without payload.
    pub(super) is_probe: bool,
}

/// A transmission that did not arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub(super) serial: u32,
    pub(super) seq: u64,
    pub(super) len: u16,
}

/// The transmissions under way.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    sent: VecDeque<Sent>,
    /// Serial number of the first in `sent`.
    base: u32,
    /// Up to here acknowledgements were taken in.
    taken: u32,
    /// Up to here acknowledgements were written down.
    written: u32,
    /// Payload under way, as far as the sender knows.
    bytes: u32,
}

impl InFlight {
    /// Payload under way, as far as the sender knows.
    pub(super) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Whether nothing is under way, not even a probe.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// How many transmissions are under way.
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// The serial number that the next transmission gets.
    pub(super) fn next_serial(&self) -> u32 {
        self.base.wrapping_add(self.sent.len() as u32)
    }

    /// Adds a transmission; its serial number.
    pub(super) fn push(&mut self, seq: u64, len: u16, now: Instant) -> u32 {
        let serial = self.next_serial();
        if self.sent.capacity() == 0 {
            // A lone message is the usual case.
            self.sent.reserve_exact(1);
        }
        self.bytes += u32::from(len);
        self.sent.push_back(Sent {
            seq,
            at: now,
            ack_at: Instant::FAR_FUTURE,
            ack_seq: 0,
            ack_window: 0,
            len,
            arrived: false,
            acked: false,
        });
        serial
    }

    /// A transmission has arrived. Its acknowledgement, which says `seq` and `window`, gets back at `ack_at`, or not
    /// at all. Nothing happens if the sender has given the transmission up.
    pub(super) fn arrived(&mut self, serial: u32, ack_at: Option<Instant>, seq: u64, window: u32) {
        let Some(sent) = self.sent.get_mut(serial.wrapping_sub(self.base) as usize) else { return };
        sent.arrived = true;
        if let Some(at) = ack_at {
            (sent.ack_at, sent.ack_seq, sent.ack_window) = (at, seq, window);
            self.written = serial.wrapping_add(1);
        }
    }

    /// Whether an acknowledgement is to get back, or has already.
    #[inline]
    pub(super) fn awaits_ack(&self) -> bool {
        (self.written.wrapping_sub(self.taken) as i32) > 0
    }

    /// Where the next acknowledgement stands in the list.
    fn next_ack(&self) -> Option<usize> {
        if !self.awaits_ack() {
            return None;
        }
        let (from, to) = (self.taken.wrapping_sub(self.base), self.written.wrapping_sub(self.base));
        (from as usize..to as usize).find(|index| self.sent[*index].ack_at != Instant::FAR_FUTURE)
    }

    /// When the next acknowledgement gets back.
    pub(super) fn next_ack_at(&self) -> Option<Instant> {
        self.next_ack().map(|index| self.sent[index].ack_at)
    }

    /// Takes the next acknowledgement in, if it has got back by `now`. It speaks for all that arrived before it.
    pub(super) fn take_ack(&mut self, now: Instant) -> Option<Ack> {
        let index = self.next_ack().filter(|index| self.sent[*index].ack_at <= now)?;
        let mut acked = 0;
        let from = self.taken.wrapping_sub(self.base) as usize;
        for sent in self.sent.range_mut(from..=index).filter(|sent| sent.arrived) {
            sent.acked = true;
            acked += u32::from(sent.len);
        }
        let (sent, serial) = (self.sent[index], self.base.wrapping_add(index as u32));
        self.taken = serial.wrapping_add(1);
        Some(Ack {
            serial,
            sent_at: sent.at,
            at: sent.ack_at,
            seq: sent.ack_seq,
            window: sent.ack_window,
            acked,
            is_probe: sent.len == 0,
        })
    }

    /// Forgets what is settled: what has arrived, and what must be lost, which is returned, one at a time.
    pub(super) fn next_lost(&mut self) -> Option<Lost> {
        let seen = self.taken.wrapping_sub(self.base) as usize;
        for judged in 0..seen {
            let settled = seen - judged > REORDERING || self.sent[0].acked;
            if !settled {
                break;
            }
            if let Some(lost) = self.pop() {
                return Some(lost);
            }
        }
        self.release();
        None
    }

    /// Gives up on all that is not acknowledged, the oldest first: the retransmission timer went off.
    pub(super) fn give_up(&mut self) -> Option<Lost> {
        while !self.sent.is_empty() {
            if let Some(lost) = self.pop() {
                return Some(lost);
            }
        }
        (self.taken, self.written) = (self.base, self.base);
        self.release();
        None
    }

    /// Takes the oldest out; it is returned unless it has arrived.
    fn pop(&mut self) -> Option<Lost> {
        let (sent, serial) = (self.sent.pop_front()?, self.base);
        self.base = self.base.wrapping_add(1);
        self.bytes -= u32::from(sent.len);
        if sent.acked {
            return None;
        }
        Some(Lost { serial, seq: sent.seq, len: sent.len })
    }

    /// Gives memory back once nothing is under way.
    fn release(&mut self) {
        if self.sent.is_empty() && self.sent.capacity() > KEPT_MAX {
            self.sent = VecDeque::new();
        }
    }
}
