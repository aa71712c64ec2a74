//! The sending end: what is sent when, and what acknowledgements tell.

use super::in_flight::Ack;
use super::{Flow, HEADER_BYTES, Step, Wire};
use crate::net::sim::path::Fate;
use crate::time::{Instant, nanos_of};
use std::collections::VecDeque;
use std::time::Duration;

/// Segments of small messages that may be under way besides those that fill the congestion window. What is written
/// beyond them waits and travels in larger segments. At 40 bytes each they take 40 KiB.
const SMALL_SEGMENTS_MAX: usize = 1_024;

/// Whether transmission `serial` is not before `other`; numbers wrap.
fn is_at_or_after(serial: u32, other: u32) -> bool {
    serial.wrapping_sub(other) as i32 >= 0
}

impl Flow {
    /// One beyond the last byte, counting the end of the stream as one.
    fn end(&self) -> u64 {
        self.written + u64::from(self.finished)
    }

    /// Whether something is to be sent, for the first time or again.
    pub(super) fn has_unsent(&self) -> bool {
        self.next < self.end() || self.repair.as_ref().is_some_and(|repair| !repair.lost.is_empty())
    }

    /// Sends what the windows admit: first what was lost, then what is new.
    pub(super) fn transmit(&mut self, wire: &mut Wire<'_, '_>) {
        if !self.has_unsent() {
            return;
        }
        self.rest(wire.now);
        while let Some((seq, len)) = self.next_segment() {
            let in_flight = self.in_flight.bytes();
            if !self.congestion.admits(in_flight, len) || self.in_flight.len() >= self.segments_max() {
                break;
            }
            if seq < self.next {
                self.note_retransmission(wire.now, seq, len);
            } else {
                if in_flight == 0 {
                    self.progress(wire.now);
                }
                self.next += u64::from(len);
            }
            self.send(wire, seq, len);
        }
        if self.in_flight.is_empty() && self.has_unsent() {
            // The receiver's window is shut: the timer will ask for it.
            self.arm(wire.now, wire.out);
        }
    }

    /// How many segments may be under way. The windows count bytes, which bounds full segments only.
    fn segments_max(&self) -> usize {
        SMALL_SEGMENTS_MAX + self.congestion.segments(self.settings.mss)
    }

    /// After a pause, some of the congestion window is gone.
    fn rest(&mut self, now: Instant) {
        if self.in_flight.is_empty() {
            let (idle, timeout) = (now.since(self.timer_from), self.round_trip.timeout(0));
            if idle >= timeout {
                let timeouts = nanos_of(idle) / nanos_of(timeout);
                self.congestion.after_idle(timeouts, self.settings.mss);
            }
        }
    }

    /// What would be sent next, if the congestion window admits it: its first byte and its length.
    fn next_segment(&mut self) -> Option<(u64, u16)> {
        if let Some(repair) = &mut self.repair {
            while let Some((seq, len)) = repair.lost.front().copied() {
                if seq + u64::from(len) > self.acked {
                    return Some((seq, len));
                }
                repair.lost.pop_front();
            }
        }
        let mss = u64::from(self.settings.mss);
        let ready = self.end() - self.next;
        // The end of the stream needs no room.
        let edge = if self.edge >= self.written { self.end().max(self.edge) } else { self.edge };
        let len = ready.min(mss).min(edge.saturating_sub(self.next));
        // A window that admits only a part of a segment is waited for while acknowledgements are to come (RFC 1122).
        let is_silly = len < ready.min(mss) && !self.in_flight.is_empty();
        (len > 0 && !is_silly).then_some((self.next, len as u16))
    }

    /// The front of what is lost is about to be sent again.
    fn note_retransmission(&mut self, now: Instant, seq: u64, len: u16) {
        let repair = self.repair.get_or_insert_default();
        repair.lost.pop_front();
        if repair.lost.is_empty() {
            repair.lost = VecDeque::new();
        }
        repair.retransmissions += 1;
        repair.bytes_resent += u64::from(len);
        if seq == self.acked {
            // As Linux does (`tcp_xmit_retransmit_queue`): the repetition gets the time that the original had.
            self.timer_from = now;
        }
    }

    /// Sends one segment.
    pub(super) fn send(&mut self, wire: &mut Wire<'_, '_>, seq: u64, len: u16) {
        let serial = self.in_flight.push(seq, len, wire.now);
        match self.carry(wire, u32::from(len) + HEADER_BYTES) {
            Some(at) => {
                wire.out.push((at, Step::Segment { seq, serial, len }));
                if at > self.timer_due() {
                    self.arm(wire.now, wire.out);
                }
            }
            None => self.arm(wire.now, wire.out),
        }
    }

    /// When a segment of `bytes` arrives. Once one is lost, the rest of its round is: see [`Link::loss`].
    ///
    /// [`Link::loss`]: crate::net::sim::Link::loss
    fn carry(&mut self, wire: &mut Wire<'_, '_>, bytes: u32) -> Option<Instant> {
        if self.repair.as_ref().is_some_and(|repair| wire.now < repair.burst_until) {
            return None;
        }
        match wire.paths.forward.carry(wire.now, bytes) {
            Fate::Arrives(at) => Some(at),
            Fate::Dropped => None,
            Fate::Lost => {
                let round = self.round_trip.smoothed().max(Duration::from_nanos(1));
                self.repair.get_or_insert_default().burst_until = wire.now + round;
                None
            }
        }
    }

    /// Whether acknowledgements are waited for.
    fn awaits_acks(&self) -> bool {
        self.writer_waits || self.has_unsent() || (self.finished && !self.is_done())
    }

    /// Asks the world for a step when the next acknowledgement gets back, if that is waited for.
    pub(super) fn await_acks(&mut self, wire: &mut Wire<'_, '_>) {
        if self.acks_awaited || !self.awaits_acks() {
            return;
        }
        if let Some(at) = self.in_flight.next_ack_at() {
            self.acks_awaited = true;
            wire.out.push((at.max(wire.now), Step::Acks));
        }
    }

    /// Takes in the acknowledgements that have got back by `now`.
    #[inline]
    pub(super) fn take_acks(&mut self, now: Instant) {
        if self.in_flight.awaits_ack() {
            self.take_pending_acks(now);
        }
    }

    fn take_pending_acks(&mut self, now: Instant) {
        let is_limiting = self.congestion.is_limiting(self.in_flight.bytes(), self.settings.mss);
        while let Some(ack) = self.in_flight.take_ack(now) {
            self.apply(ack, is_limiting);
        }
    }

    fn apply(&mut self, ack: Ack, is_limiting: bool) {
        self.edge = self.edge.max(ack.seq.min(self.written) + u64::from(ack.window));
        if is_at_or_after(ack.serial, self.round) {
            self.round = self.in_flight.next_serial();
            self.round_trip.sample(ack.at.since(ack.sent_at));
            if let Some(repair) = &mut self.repair {
                repair.burst_until = Instant::ZERO;
            }
        }
        if ack.seq > self.acked {
            self.acked = ack.seq;
            self.progress(ack.at);
        } else if ack.is_probe && self.settings.user_timeout.is_none() {
            self.answered(ack.at);
        }
        let recovery = self.find_losses();
        if is_limiting && is_at_or_after(ack.serial, recovery) {
            self.congestion.grow(ack.acked, self.settings.mss);
        }
    }

    /// Queues what must have been lost for sending again, and halves the window once for all of it. The first
    /// transmission after which a loss is a new one.
    fn find_losses(&mut self) -> u32 {
        let next = self.in_flight.next_serial();
        while let Some(lost) = self.in_flight.next_lost() {
            let repair = self.repair.get_or_insert_default();
            if lost.len > 0 {
                repair.lost.push_back((lost.seq, lost.len));
            }
            if is_at_or_after(lost.serial, repair.recovery) {
                repair.recovery = next;
                self.congestion.halve(self.settings.mss);
            }
        }
        self.repair.as_ref().map_or(0, |repair| repair.recovery)
    }
}
