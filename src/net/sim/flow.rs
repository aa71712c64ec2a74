//! One direction of a simulated TCP connection: send buffer, segments, congestion control, receive buffer.

use super::link::Path;
use crate::time::{Instant, nanos_of};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of IPv4 and TCP headers that each segment carries besides its payload.
pub(crate) const HEADER_BYTES: u32 = 40;
/// RFC 6928.
const INITIAL_WINDOW_SEGMENTS: u32 = 10;
/// Linux's `TCP_RTO_MIN`, the least that it adds to the smoothed round trip.
const RTO_MARGIN_MIN_NS: u64 = 200_000_000;
/// RFC 6298, section 2.1.
const RTO_INITIAL_NS: u64 = 1_000_000_000;
/// Linux's `TCP_RTO_MAX`.
const RTO_MAX_NS: u64 = 120_000_000_000;
/// What Linux's 15 retries take from 200 ms, doubled up to 120 s.
const USER_TIMEOUT_DEFAULT: Duration = Duration::from_millis(924_600);
/// A segment is lost once one that was sent this many later has arrived.
const REORDERING_SEGMENTS: u32 = 3;

/// What all flows of a socket's kind have in common.
#[derive(Clone, Debug)]
pub(crate) struct FlowSettings {
    /// Payload of a full segment.
    pub(crate) mss: u16,
    /// Bytes written and not yet acknowledged.
    pub(crate) send_buffer_bytes: u32,
    /// Bytes arrived and not yet read.
    pub(crate) receive_buffer_bytes: u32,
    /// How long sent bytes may stay unacknowledged.
    pub(crate) user_timeout: Option<Duration>,
}

impl Default for FlowSettings {
    fn default() -> FlowSettings {
        FlowSettings {
            mss: 1460,
            send_buffer_bytes: 4 << 20,
            receive_buffer_bytes: 3 << 20,
            user_timeout: None,
        }
    }
}

/// The two directions that a flow travels: its segments forward, their acknowledgements back.
pub(crate) struct Paths<'a> {
    pub(crate) forward: &'a mut Path,
    pub(crate) back: &'a mut Path,
}

/// What is to happen to a flow at a certain time. The world keeps these and hands them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A segment arrives.
    Segment { seq: u64, serial: u32, len: u16 },
    /// Acknowledgements arrive that somebody waits for.
    Acks,
    /// The receiver tells that it has room again.
    Window { edge: u64 },
    /// The retransmission timer may be due.
    Rto,
}

const _: () = assert!(size_of::<Step>() <= 16);

impl Step {
    /// Whether it happens at the receiving end.
    pub(crate) const fn is_arrival(self) -> bool {
        matches!(self, Step::Segment { .. })
    }
}

/// What a step changed for those who read and write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) end: bool,
    pub(crate) failed: Option<Errno>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    seq: u64,
    sent_at: Instant,
    /// When its acknowledgement arrives; far away while there is none.
    ack_at: Instant,
    /// What that acknowledges.
    ack: u64,
    window: u32,
    len: u16,
    arrived: bool,
    acked: bool,
}

#[derive(Debug)]
pub(crate) struct Flow {
    settings: Arc<FlowSettings>,
    bytes: VecDeque<u8>,
    written: u64,
    next: u64,
    una: u64,
    edge: u64,
    arrived: u64,
    read: u64,
    advertised: u64,
    sent: VecDeque<Sent>,
    lost: VecDeque<(u64, u16)>,
    ahead: Vec<(u64, u64)>,
    base: u32,
    seen: u32,
    acks_end: u32,
    round: u32,
    recovery: u32,
    cwnd: u64,
    ssthresh: u64,
    credit: u64,
    in_flight: u64,
    srtt_ns: u64,
    rttvar_ns: u64,
    timer_from: Instant,
    stalled_since: Instant,
    backoff: u8,
    finished: bool,
    burst: bool,
    wake_set: bool,
    rto_set: bool,
    writer_waits: bool,
    failed: bool,
    retransmissions: u64,
    timeouts: u64,
    bytes_sent: u64,
}

impl Flow {
    pub(crate) fn new(settings: &Arc<FlowSettings>) -> Flow {
        let window = u64::from(settings.receive_buffer_bytes);
        Flow {
            settings: Arc::clone(settings),
            bytes: VecDeque::new(),
            written: 0,
            next: 0,
            una: 0,
            edge: window,
            arrived: 0,
            read: 0,
            advertised: window,
            sent: VecDeque::new(),
            lost: VecDeque::new(),
            ahead: Vec::new(),
            base: 0,
            seen: 0,
            acks_end: 0,
            round: 0,
            recovery: 0,
            cwnd: u64::from(settings.mss) * u64::from(INITIAL_WINDOW_SEGMENTS),
            ssthresh: u64::MAX,
            credit: 0,
            in_flight: 0,
            srtt_ns: 0,
            rttvar_ns: 0,
            timer_from: Instant::ZERO,
            stalled_since: Instant::FAR_FUTURE,
            backoff: 0,
            finished: false,
            burst: false,
            wake_set: false,
            rto_set: false,
            writer_waits: false,
            failed: false,
            retransmissions: 0,
            timeouts: 0,
            bytes_sent: 0,
        }
    }

    /// A measured round trip: the handshake's.
    pub(crate) fn measured(&mut self, rtt: Duration) {
        let rtt_ns = nanos_of(rtt);
        if self.srtt_ns == 0 {
            (self.srtt_ns, self.rttvar_ns) = (rtt_ns, rtt_ns / 2);
        } else {
            self.rttvar_ns = (3 * self.rttvar_ns + self.srtt_ns.abs_diff(rtt_ns)) / 4;
            self.srtt_ns = (7 * self.srtt_ns + rtt_ns) / 8;
        }
    }

    /// Takes what there is room for and says how much that was; follow it with `pump`.
    pub(crate) fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.write_room(now));
        self.writer_waits = taken < bytes.len();
        self.bytes.extend(&bytes[..taken]);
        self.written += taken as u64;
        taken
    }

    /// Bytes that a write would take now.
    pub(crate) fn write_room(&mut self, now: Instant) -> usize {
        self.take_acks(now);
        if self.finished || self.failed {
            return 0;
        }
        (u64::from(self.settings.send_buffer_bytes) - (self.written - self.una)) as usize
    }

    /// Nothing more will be written.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// Moves bytes that have arrived; follow it with `pump`.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.readable());
        let (front, back) = self.bytes.as_slices();
        let first = front.len().min(count);
        into[..first].copy_from_slice(&front[..first]);
        into[first..count].copy_from_slice(&back[..count - first]);
        self.bytes.drain(..count);
        if self.bytes.is_empty() {
            self.bytes = VecDeque::new();
        }
        self.read += count as u64;
        count
    }

    /// Bytes that have arrived, in order, and are not yet read.
    pub(crate) fn readable(&self) -> usize {
        (self.arrived.min(self.written) - self.read) as usize
    }

    /// Whether the FIN has arrived and everything before it was read.
    pub(crate) fn at_end(&self) -> bool {
        self.end_arrived() && self.readable() == 0
    }

    /// Whether the FIN has arrived.
    pub(crate) fn end_arrived(&self) -> bool {
        self.finished && self.arrived > self.written
    }

    /// Whether everything that was written, and the FIN, is acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.finished && self.una > self.written
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    pub(crate) fn bytes_acked(&self) -> u64 {
        self.una.min(self.written)
    }

    pub(crate) fn bytes_delivered(&self) -> u64 {
        self.arrived.min(self.written)
    }

    pub(crate) fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    pub(crate) fn timeouts(&self) -> u64 {
        self.timeouts
    }

    /// Forgets everything that has not arrived; what has can still be read. Steps that are still to come do nothing.
    pub(crate) fn kill(&mut self) {
        self.failed = true;
        let readable = self.readable();
        self.bytes.truncate(readable);
        self.base = self.base.wrapping_add(self.sent.len() as u32);
        self.sent = VecDeque::new();
        (self.seen, self.acks_end) = (self.base, self.base);
        self.lost = VecDeque::new();
        self.ahead = Vec::new();
        self.in_flight = 0;
        if !self.end_arrived() {
            self.written = self.arrived;
        }
        self.una = self.written;
    }

    /// What was sent has reached a host that is down: nobody answers, so that only the timer finds out.
    pub(crate) fn unanswered(&mut self, out: &mut Vec<(Instant, Step)>) {
        if !self.failed {
            self.arm(out);
        }
    }

    fn end(&self) -> u64 {
        self.written + u64::from(self.finished)
    }

    fn rto(&self) -> Duration {
        let base_ns = match self.srtt_ns {
            0 => RTO_INITIAL_NS,
            srtt_ns => srtt_ns + (4 * self.rttvar_ns).max(RTO_MARGIN_MIN_NS),
        };
        Duration::from_nanos(base_ns.saturating_mul(1 << self.backoff).min(RTO_MAX_NS))
    }

    /// Sends what may be sent. Call it after `write`, `finish` and `read`.
    pub(crate) fn pump(&mut self, now: Instant, paths: &mut Paths<'_>, out: &mut Vec<(Instant, Step)>) {
        if self.failed {
            return;
        }
        self.take_acks(now);
        self.update_window(now, paths, out);
        self.transmit(now, paths, out);
        self.await_acks(out);
    }

    /// What the world kept has come due.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        step: Step,
        paths: &mut Paths<'_>,
        out: &mut Vec<(Instant, Step)>,
    ) -> Change {
        let mut change = Change::default();
        if self.failed {
            return change;
        }
        match step {
            Step::Segment { seq, serial, len } => {
                self.receive(now, seq, serial, len, paths, out, &mut change);
                return change;
            }
            Step::Acks => {
                self.wake_set = false;
                self.take_acks(now);
            }
            Step::Window { edge } => {
                self.take_acks(now);
                self.edge = self.edge.max(edge);
            }
            Step::Rto => {
                self.rto_set = false;
                self.take_acks(now);
                if let Err(errno) = self.check_timer(now, paths, out) {
                    self.kill();
                    change.failed = Some(errno);
                    return change;
                }
            }
        }
        self.transmit(now, paths, out);
        let room = u64::from(self.settings.send_buffer_bytes) - (self.written - self.una.min(self.written));
        if self.writer_waits && room >= u64::from(self.settings.send_buffer_bytes) / 3 {
            self.writer_waits = false;
            change.writable = true;
        }
        self.await_acks(out);
        change
    }

    fn transmit(&mut self, now: Instant, paths: &mut Paths<'_>, out: &mut Vec<(Instant, Step)>) {
        let mss = u64::from(self.settings.mss);
        loop {
            let (seq, len) = match self.lost.front() {
                Some(&(seq, len)) if seq + u64::from(len) <= self.una => {
                    self.lost.pop_front();
                    let _ = (seq, len);
                    continue;
                }
                Some(&(seq, len)) => (seq, u64::from(len)),
                None => {
                    let window = (self.edge + u64::from(self.finished)).saturating_sub(self.next);
                    let ready = self.end() - self.next;
                    let len = ready.min(mss).min(window);
                    if len == 0 || (len < mss && len < ready && self.in_flight > 0) {
                        break;
                    }
                    (self.next, len)
                }
            };
            if self.in_flight > 0 && self.in_flight + len > self.cwnd {
                break;
            }
            if self.lost.pop_front().is_some() {
                self.retransmissions += 1;
            } else {
                self.next += len;
            }
            self.send(now, seq, len as u16, paths, out);
        }
        if self.in_flight == 0 && self.next < self.end() {
            self.start_timer(now);
            self.arm(out);
        }
    }

    fn start_timer(&mut self, now: Instant) {
        if self.stalled_since == Instant::FAR_FUTURE {
            self.stalled_since = now;
            self.timer_from = now;
        }
    }

    fn send(
        &mut self,
        now: Instant,
        seq: u64,
        len: u16,
        paths: &mut Paths<'_>,
        out: &mut Vec<(Instant, Step)>,
    ) {
        self.start_timer(now);
        let serial = self.base.wrapping_add(self.sent.len() as u32);
        self.sent.push_back(Sent {
            seq,
            sent_at: now,
            ack_at: Instant::FAR_FUTURE,
            ack: 0,
            window: 0,
            len,
            arrived: false,
            acked: false,
        });
        self.in_flight += u64::from(len);
        self.bytes_sent += u64::from(len);
        let fate = if self.burst { None } else { paths.forward.transit(now, u32::from(len) + HEADER_BYTES) };
        match fate {
            Some(at) => {
                out.push((at, Step::Segment { seq, serial, len }));
                if at > self.timer_from + self.rto() {
                    self.arm(out);
                }
            }
            None => {
                self.burst = true;
                self.arm(out);
            }
        }
    }

    fn arm(&mut self, out: &mut Vec<(Instant, Step)>) {
        if !self.rto_set {
            self.rto_set = true;
            out.push((self.deadline(), Step::Rto));
        }
    }

    fn deadline(&self) -> Instant {
        let patience = self.settings.user_timeout.unwrap_or(USER_TIMEOUT_DEFAULT);
        (self.timer_from + self.rto()).min((self.stalled_since + patience).max(self.timer_from))
    }

    #[allow(clippy::too_many_arguments)]
    fn receive(
        &mut self,
        now: Instant,
        seq: u64,
        serial: u32,
        len: u16,
        paths: &mut Paths<'_>,
        out: &mut Vec<(Instant, Step)>,
        change: &mut Change,
    ) {
        let before = self.readable();
        let limit = self.read + u64::from(self.settings.receive_buffer_bytes) + 1;
        let stop = seq + u64::from(len);
        if stop <= limit {
            self.accept(seq, stop);
        }
        change.readable = self.readable() > before;
        change.end = len > 0 && self.end_arrived() && stop > self.written;
        let window = (self.read + u64::from(self.settings.receive_buffer_bytes))
            .saturating_sub(self.arrived.min(self.written)) as u32;
        self.advertised = self.advertised.max(self.arrived + u64::from(window));
        let ack_at = paths.back.transit(now, HEADER_BYTES);
        let index = serial.wrapping_sub(self.base) as usize;
        if index < self.sent.len() {
            let ack = self.arrived;
            let record = &mut self.sent[index];
            record.arrived = true;
            match ack_at {
                Some(at) => {
                    (record.ack_at, record.ack, record.window) = (at, ack, window);
                    self.acks_end = serial.wrapping_add(1);
                    if at > self.timer_from + self.rto() {
                        self.arm(out);
                    }
                    self.await_acks(out);
                }
                None => self.arm(out),
            }
        }
    }

    fn accept(&mut self, seq: u64, stop: u64) {
        if seq > self.arrived {
            self.ahead.push((seq, stop));
            self.ahead.sort_unstable();
            return;
        }
        self.arrived = self.arrived.max(stop);
        let mut taken = 0;
        for &(seq, stop) in &self.ahead {
            if seq > self.arrived {
                break;
            }
            self.arrived = self.arrived.max(stop);
            taken += 1;
        }
        self.ahead.drain(..taken);
    }

    /// Tells the sender of room, if the last it heard was that there is hardly any.
    fn update_window(&mut self, now: Instant, paths: &mut Paths<'_>, out: &mut Vec<(Instant, Step)>) {
        let room = u64::from(self.settings.receive_buffer_bytes);
        let edge = self.read + room;
        let known = self.advertised.saturating_sub(self.arrived);
        let grown = edge.saturating_sub(self.advertised);
        if known >= room / 2 || grown < (room / 2).min(2 * u64::from(self.settings.mss)) || grown < known {
            return;
        }
        self.advertised = edge;
        match paths.back.transit(now, HEADER_BYTES) {
            Some(at) => out.push((at, Step::Window { edge })),
            None => self.arm(out),
        }
    }

    fn waits(&self) -> bool {
        self.writer_waits || self.next < self.end() || !self.lost.is_empty() || self.finished
    }

    fn await_acks(&mut self, out: &mut Vec<(Instant, Step)>) {
        if self.wake_set || !self.waits() {
            return;
        }
        let first = self.seen.wrapping_sub(self.base) as usize;
        let count = self.acks_end.wrapping_sub(self.seen) as i32;
        if count <= 0 {
            return;
        }
        let pending = self.sent.range(first..first + count as usize);
        if let Some(record) = pending.into_iter().find(|record| record.ack_at != Instant::FAR_FUTURE) {
            self.wake_set = true;
            out.push((record.ack_at, Step::Acks));
        }
    }

    /// Applies the acknowledgements that have arrived by now.
    fn take_acks(&mut self, now: Instant) {
        let full = 2 * self.in_flight >= self.cwnd && self.cwnd < self.ssthresh
            || self.in_flight + u64::from(self.settings.mss) > self.cwnd;
        while (self.acks_end.wrapping_sub(self.seen) as i32) > 0 {
            let first = self.seen.wrapping_sub(self.base) as usize;
            let last = self.acks_end.wrapping_sub(self.base) as usize;
            let Some(offset) =
                self.sent.range(first..last).position(|record| record.ack_at != Instant::FAR_FUTURE)
            else {
                return;
            };
            if self.sent[first + offset].ack_at > now {
                return;
            }
            self.take_ack(first, first + offset, full);
        }
    }

    fn take_ack(&mut self, first: usize, last: usize, full: bool) {
        let ack = self.sent[last];
        let serial = self.base.wrapping_add(last as u32);
        let mut acked = 0;
        for record in self.sent.range_mut(first..=last) {
            if record.arrived {
                record.acked = true;
                acked += u64::from(record.len);
            }
        }
        self.seen = serial.wrapping_add(1);
        self.in_flight -= acked;
        self.edge = self.edge.max(ack.ack.min(self.written) + u64::from(ack.window));
        if serial.wrapping_sub(self.round) as i32 >= 0 {
            self.measured(ack.ack_at.since(ack.sent_at));
            self.round = self.base.wrapping_add(self.sent.len() as u32);
            self.burst = false;
        }
        if ack.len == 0 {
            self.stalled_since = ack.ack_at;
        }
        if ack.ack > self.una {
            self.una = ack.ack;
            self.backoff = 0;
            self.timer_from = ack.ack_at;
            self.stalled_since = ack.ack_at;
        }
        self.find_losses(last);
        if self.in_flight == 0 && self.lost.is_empty() {
            self.stalled_since = Instant::FAR_FUTURE;
        }
        if full && serial.wrapping_sub(self.recovery) as i32 >= 0 {
            self.grow(acked);
        }
    }

    fn grow(&mut self, acked: u64) {
        if self.cwnd < self.ssthresh {
            self.cwnd += acked;
            return;
        }
        self.credit += acked;
        if self.credit >= self.cwnd {
            self.credit -= self.cwnd;
            self.cwnd += u64::from(self.settings.mss);
        }
    }

    fn find_losses(&mut self, last: usize) {
        let judged = (last + 1).saturating_sub(REORDERING_SEGMENTS as usize);
        for _ in 0..judged {
            let serial = self.base;
            let record = self.pop();
            if !record.acked {
                self.in_flight -= u64::from(record.len);
                self.lost.push_back((record.seq, record.len));
                if serial.wrapping_sub(self.recovery) as i32 >= 0 {
                    self.ssthresh = (self.cwnd / 2).max(2 * u64::from(self.settings.mss));
                    self.cwnd = self.ssthresh;
                    self.credit = 0;
                    self.recovery = self.base.wrapping_add(self.sent.len() as u32);
                }
            }
        }
        while self.sent.front().is_some_and(|record| record.acked) {
            self.pop();
        }
        if self.sent.is_empty() {
            self.sent = VecDeque::new();
        }
    }

    fn pop(&mut self) -> Sent {
        self.base = self.base.wrapping_add(1);
        self.sent.pop_front().expect("the caller counted")
    }

    fn check_timer(
        &mut self,
        now: Instant,
        paths: &mut Paths<'_>,
        out: &mut Vec<(Instant, Step)>,
    ) -> Result<(), Errno> {
        let blocked = self.next < self.end() || !self.lost.is_empty();
        if self.in_flight == 0 && !blocked {
            return Ok(());
        }
        if now < self.deadline() {
            self.arm(out);
            return Ok(());
        }
        let patience = self.settings.user_timeout.unwrap_or(USER_TIMEOUT_DEFAULT);
        if now >= self.stalled_since + patience {
            return Err(Errno::TIMEDOUT);
        }
        self.timeouts += 1;
        let mss = u64::from(self.settings.mss);
        if self.in_flight > 0 {
            if self.backoff == 0 {
                self.ssthresh = (self.cwnd / 2).max(2 * mss);
            }
            self.cwnd = mss;
            self.credit = 0;
        }
        let probe = self.in_flight == 0 && self.lost.is_empty();
        while let Some(record) = self.sent.pop_front() {
            self.base = self.base.wrapping_add(1);
            if !record.acked {
                self.lost.push_back((record.seq, record.len));
            }
        }
        self.lost.make_contiguous().sort_unstable();
        self.in_flight = 0;
        (self.seen, self.acks_end, self.round, self.recovery) = (self.base, self.base, self.base, self.base);
        self.burst = false;
        self.backoff = (self.backoff + 1).min(20);
        self.timer_from = now;
        if probe {
            self.send(now, self.next, 0, paths, out);
        }
        self.arm(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
