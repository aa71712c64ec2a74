//! One direction of a simulated TCP connection, from the writer's call to the reader's: a state machine without I/O,
//! clock and events of its own.
//!
//! The two directions of a connection are two flows that know nothing of each other. A flow holds both ends of its
//! direction, because that is cheap: bytes are copied in once and out once, and an acknowledgement that nobody waits
//! for is a number that is looked at when the flow is next touched. What each end *knows* is kept apart all the
//! same: the sender learns of an arrival when the acknowledgement has travelled back, and not at all if it was lost.
//!
//! # Events
//!
//! The world hands back each [`Step`] when its time has come. A small message costs one, its arrival. There is one
//! for acknowledgements when somebody waits for them (bytes that the window holds back, a writer who was refused, the
//! end), and one for the retransmission timer when something was lost: while everything arrives in time, a timer
//! could only find that there was nothing to do.
//!
//! What is modelled, after whom, and how it was checked: `model.md` beside this file, which is `windlass::sim::model`.

mod chaos;
mod congestion;
mod in_flight;
mod receive;
mod repair;
mod round_trip;
mod send;
mod stream;

use super::path::Path;
use crate::time::Instant;
use chaos::Chaos;
use congestion::Congestion;
use in_flight::InFlight;
use receive::Inbound;
use repair::Repair;
use round_trip::RoundTrip;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Duration;
use stream::Stream;

/// Headers of a segment, IPv4 and TCP without options, which take their time on the wire as well.
pub(crate) const HEADER_BYTES: u32 = 40;

/// Payload of a full segment: 1,460 bytes and the headers fill an Ethernet frame.
pub(crate) const SEGMENT_BYTES: u16 = 1_460;
/// The receive buffer of a socket that asks for none, and so the greatest receive window.
pub(crate) const WINDOW_BYTES: u32 = 3 << 20;

/// What the flows of one socket, or of a whole network, have in common.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlowSettings {
    /// Payload of a full segment.
    pub(crate) mss: u16,
    /// Bytes that were written and are not known to have arrived, at most.
    pub(crate) send_buffer_bytes: u32,
    /// Bytes that have arrived and are not read, at most: the greatest receive window.
    pub(crate) receive_buffer_bytes: u32,
    /// How long bytes may go without any sign of progress (`TCP_USER_TIMEOUT`). `None` is Linux's default of 15
    /// retries, which take 924.6 s.
    pub(crate) user_timeout: Option<Duration>,
    /// Probability that a segment's bytes become readable in two portions.
    pub(crate) short_read: f64,
    /// Probability that a write takes less than there is room for.
    pub(crate) short_write: f64,
}

/// The buffers that Linux's autotuning arrives at when a transfer is long: half of the 6 MiB of `tcp_rmem` become
/// window. The send buffer is twice that, so that a writer who is woken when a third of it is free finds the window
/// still full.
impl Default for FlowSettings {
    fn default() -> FlowSettings {
        FlowSettings {
            mss: SEGMENT_BYTES,
            send_buffer_bytes: 2 * WINDOW_BYTES,
            receive_buffer_bytes: WINDOW_BYTES,
            user_timeout: None,
            short_read: 0.0,
            short_write: 0.0,
        }
    }
}

/// The ways that a flow travels: its segments forward, their acknowledgements back.
pub(crate) struct Paths<'a> {
    /// From the writer to the reader.
    pub(crate) forward: &'a mut Path,
    /// From the reader to the writer.
    pub(crate) back: &'a mut Path,
}

/// What is to happen to a flow at a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A segment gets to the reader.
    Segment {
        /// Its first byte.
        seq: u64,
        /// Which transmission it is.
        serial: u32,
        /// Its payload; the end of the stream counts as one byte.
        len: u16,
    },
    /// Acknowledgements get to the writer, who waits for them.
    Acks,
    /// The writer hears that there is room again up to here.
    Window {
        /// The first byte that there is no room for.
        edge: u64,
    },
    /// The retransmission timer is looked at.
    Timer,
    /// The second portion of a short read becomes readable.
    Rest,
    /// A short write is over.
    Room,
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
    /// More bytes can be read.
    pub(crate) readable: bool,
    /// A writer who was refused may try again.
    pub(crate) writable: bool,
    /// The end of the stream has arrived, perhaps behind unread bytes.
    pub(crate) end: bool,
    /// The flow has given up, once and for all.
    pub(crate) failed: Option<Errno>,
}

/// What a call needs besides the flow: the time, the paths, and where steps to come are put.
struct Wire<'a, 'p> {
    now: Instant,
    paths: &'a mut Paths<'p>,
    out: &'a mut Vec<(Instant, Step)>,
}

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Flow {
    settings: Arc<FlowSettings>,
    stream: Stream,
    /// Bytes taken from the writer so far.
    written: u64,
    /// First byte that was never sent. The end of the stream is one byte more than was written.
    next: u64,
    /// First byte that is not known to have arrived.
    acked: u64,
    /// First byte that the receiver is not known to have room for.
    edge: u64,
    inbound: Inbound,
    in_flight: InFlight,
    congestion: Congestion,
    round_trip: RoundTrip,
    /// The retransmission timer runs from here: the last progress, or the first sending after none was under way.
    timer_from: Instant,
    /// First transmission of the current round.
    round: u32,
    /// The writer has finished.
    finished: bool,
    /// The writer was refused and is to hear of room.
    writer_waits: bool,
    /// A [`Step::Acks`] is to come.
    acks_awaited: bool,
    dead: bool,
    repair: Option<Box<Repair>>,
    chaos: Option<Box<Chaos>>,
}

const _: () = assert!(size_of::<Flow>() <= 208);

impl Flow {
    /// A flow that has sent nothing yet. `seed` is for short reads and writes alone.
    pub(crate) fn new(settings: &Arc<FlowSettings>, seed: u64) -> Flow {
        debug_assert!(
            settings.mss > 0 && settings.send_buffer_bytes > 0 && settings.receive_buffer_bytes > 0
        );
        Flow {
            stream: Stream::default(),
            written: 0,
            next: 0,
            acked: 0,
            edge: u64::from(settings.receive_buffer_bytes),
            inbound: Inbound::new(settings.receive_buffer_bytes),
            in_flight: InFlight::default(),
            congestion: Congestion::new(settings.mss),
            round_trip: RoundTrip::default(),
            timer_from: Instant::ZERO,
            round: 0,
            finished: false,
            writer_waits: false,
            acks_awaited: false,
            dead: false,
            repair: None,
            chaos: Chaos::new(settings, seed),
            settings: Arc::clone(settings),
        }
    }

    /// Takes a measured round trip in: that of the handshake. Without it the first time-out is 1 s.
    pub(crate) fn measured(&mut self, round_trip: Duration) {
        self.round_trip.sample(round_trip);
    }

    /// Takes as many bytes as there is room for, and says how many. [`Flow::pump`] must follow. Whoever was not
    /// rid of all of them hears of room by [`Change::writable`].
    pub(crate) fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let room = self.write_room(now);
        let taken = match &mut self.chaos {
            Some(chaos) => chaos.write(&self.settings, bytes.len(), room),
            None => bytes.len().min(room),
        };
        self.writer_waits |= taken < bytes.len();
        self.stream.push(&bytes[..taken], (self.written - self.inbound.read()) as usize);
        self.written += taken as u64;
        taken
    }

    /// Bytes that a write takes at most. None after [`Flow::finish`].
    pub(crate) fn write_room(&mut self, now: Instant) -> usize {
        self.take_acks(now);
        let shut = self.chaos.as_ref().is_some_and(|chaos| chaos.is_shut());
        if self.finished || self.dead || shut { 0 } else { self.free_bytes() as usize }
    }

    fn free_bytes(&self) -> u32 {
        let unacked = self.written - self.acked.min(self.written);
        self.settings.send_buffer_bytes.saturating_sub(unacked as u32)
    }

    /// Nothing more is written: the end of the stream goes behind what is buffered. [`Flow::pump`] must follow.
    pub(crate) fn finish(&mut self) {
        self.finished |= !self.dead;
    }

    /// Moves bytes that have arrived into `into`, and says how many. [`Flow::pump`] must follow.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.readable());
        self.stream.pop(&mut into[..count]);
        self.inbound.take(count as u64);
        count
    }

    /// Bytes that have arrived and can be read.
    pub(crate) fn readable(&self) -> usize {
        (self.visible().min(self.written) - self.inbound.read()) as usize
    }

    /// First byte that has not arrived, or that a short read still hides.
    fn visible(&self) -> u64 {
        let hidden = self.chaos.as_ref().map_or(u64::MAX, |chaos| chaos.hidden_from());
        self.inbound.arrived().min(hidden)
    }

    /// Whether the end of the stream has arrived.
    pub(crate) fn end_arrived(&self) -> bool {
        self.finished && self.visible() > self.written
    }

    /// Whether the end of the stream has arrived and everything before it was read.
    pub(crate) fn at_end(&self) -> bool {
        self.end_arrived() && self.readable() == 0
    }

    /// Whether the writer knows that everything has arrived, the end included.
    pub(crate) fn is_done(&self) -> bool {
        self.finished && self.acked > self.written
    }

    /// Ends it, as a reset does, and forgets what has not arrived; what has can still be read. Steps to come do nothing
    /// any more.
    pub(crate) fn kill(&mut self) {
        self.dead = true;
        self.chaos = None;
        self.in_flight = InFlight::default();
        if !self.end_arrived() {
            self.finished = false;
            self.written = self.written.min(self.inbound.arrived());
            self.stream.keep(self.readable());
        }
        (self.next, self.acked) = (self.written, self.written);
        if let Some(repair) = &mut self.repair {
            repair.forget();
        }
    }

    /// Sends what can be sent now. Call it after [`Flow::write`], [`Flow::finish`] and [`Flow::read`].
    pub(crate) fn pump(&mut self, now: Instant, paths: &mut Paths<'_>, out: &mut Vec<(Instant, Step)>) {
        if self.dead {
            return;
        }
        let wire = &mut Wire { now, paths, out };
        self.take_acks(now);
        self.update_window(wire);
        self.transmit(wire);
        self.await_acks(wire);
        if let Some(at) = self.chaos.as_mut().and_then(|chaos| chaos.room_due(now)) {
            wire.out.push((at, Step::Room));
        }
    }

    /// The time of `step` has come.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        step: Step,
        paths: &mut Paths<'_>,
        out: &mut Vec<(Instant, Step)>,
    ) -> Change {
        if self.dead {
            return Change::default();
        }
        let wire = &mut Wire { now, paths, out };
        match step {
            Step::Segment { seq, serial, len } => return self.receive(wire, seq, serial, len),
            Step::Rest => return self.reveal(),
            Step::Acks => self.acks_awaited = false,
            Step::Window { edge } => self.edge = self.edge.max(edge),
            Step::Room => self.chaos.iter_mut().for_each(|chaos| chaos.open()),
            Step::Timer => {}
        }
        self.take_acks(now);
        if step == Step::Timer
            && let Err(errno) = self.check_timer(wire)
        {
            self.kill();
            return Change { failed: Some(errno), ..Change::default() };
        }
        self.transmit(wire);
        self.await_acks(wire);
        Change { writable: self.wake_writer(), ..Change::default() }
    }

    /// The host that `step` is for is gone, and nobody takes notice of it: a segment is lost.
    pub(crate) fn discard(&mut self, now: Instant, step: Step, out: &mut Vec<(Instant, Step)>) {
        if matches!(step, Step::Segment { .. } | Step::Window { .. }) && !self.dead {
            self.arm(now, out);
        }
    }

    /// Whether a writer who was refused is to hear of room: a third of the buffer is free, as on Linux
    /// (`sk_stream_is_writeable`).
    fn wake_writer(&mut self) -> bool {
        let shut = self.chaos.as_ref().is_some_and(|chaos| chaos.is_shut());
        let wakes = self.writer_waits && !shut && self.free_bytes() >= self.settings.send_buffer_bytes / 3;
        self.writer_waits &= !wakes;
        wakes
    }
}

#[cfg(test)]
mod tests;
