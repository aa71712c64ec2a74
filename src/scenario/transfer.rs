//! The scenario transfer: many bytes from one node to another, as fast as TCP lets them.

use super::board::{Board, count};
use super::bounds;
use super::node::{connect_to, listen};
use super::plan::Plan;
use super::stage::{Stage, Watch};
use super::talk::{Played, ways};
use crate::collections::Conn;
use crate::conn::Options;
use crate::error::Error;
use crate::reactor::{Core, Cores, Event, Handler, Io, Sent};
use crate::sim::Network;
use crate::time::Instant;
use bytes::Bytes;
use std::rc::Rc;
use std::time::Duration;

/// Bytes that the sender gives to the reactor at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// What a sender still has to send, simulated or real.
pub(super) struct Supply {
    left: u64,
    chunk: Bytes,
}

impl Supply {
    pub fn new(bytes: u64) -> Supply {
        Supply { left: bytes, chunk: Bytes::from(vec![0x5a; CHUNK_BYTES]) }
    }

    /// Sends until the connection has enough, of which `Drained` tells when it is over.
    pub fn give(&mut self, io: &mut Io, conn: Conn) {
        while self.left > 0 {
            let len = (CHUNK_BYTES as u64).min(self.left);
            let Ok(sent) = io.send_bytes(conn, &self.chunk.slice(..len as usize)) else { return };
            self.left -= len;
            if sent == Sent::Backlogged {
                return;
            }
        }
    }
}

/// How long a transfer is expected to take: until the last byte, and what that figure means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub time: Duration,
    pub what: &'static str,
}

/// By slow start, serialization and latency; with losses, by what the formula for them says if that is longer.
pub(super) fn expected(plan: &Plan, there: Duration, back: Duration) -> Expected {
    let lossless = bounds::transfer(&plan.link, plan.bytes, there, back);
    if plan.link.loss > 0.0 {
        let segments = plan.bytes as f64 / bounds::SEGMENT_BYTES as f64;
        // Half of the jitter on average, each way.
        let round_trip = there + back + plan.link.jitter;
        let rate = bounds::lossy_segments_per_s(plan.link.loss.min(0.99), round_trip);
        let lossy = Duration::try_from_secs_f64(segments / rate).unwrap_or(Duration::MAX);
        if lossy > lossless {
            return Expected { time: lossy, what: "the mean of TCP at this loss (Padhye et al. 1998)" };
        }
    }
    Expected { time: lossless, what: "handshake, slow start, serialization, latency" }
}

/// What takes its time is what is to be measured: a link may need minutes for what the send buffer holds.
fn patient() -> Options {
    Options::with(|options| {
        let timeouts = &mut options.timeouts;
        (timeouts.read, timeouts.write, timeouts.keep_alive) = (None, None, None);
    })
}

/// The node that sends.
struct Giver {
    board: Rc<Board>,
    supply: Supply,
    asked_at: Instant,
    connect_bound: Duration,
}

impl Handler for Giver {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => {
                self.board.connected(io.now(), self.asked_at, self.connect_bound);
                self.supply.give(io, conn);
            }
            Event::Drained { conn } => self.supply.give(io, conn),
            Event::Closed { .. } => count(&self.board.broken),
            _ => {}
        }
    }
}

/// The node that receives.
struct Taker {
    board: Rc<Board>,
    /// When the sender asked for the connection.
    began: Instant,
    got: u64,
    bytes: u64,
    expected: Duration,
}

impl Handler for Taker {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Data { bytes, .. } => {
                self.board.received_bytes.add(io.now(), bytes.len() as u64);
                self.got += bytes.len() as u64;
                if self.got == self.bytes {
                    self.board.delivery.record_since(io.now(), self.began, self.expected);
                    count(&self.board.delivered);
                }
            }
            Event::Closed { .. } => count(&self.board.broken),
            _ => {}
        }
    }
}

/// Plays it. The sender connects, and begins as soon as it may.
pub(super) fn play<'a, 'b>(plan: &Plan, watch: &'a mut Watch<'b>) -> Result<Played<'a, 'b>, Error> {
    let mut net = Network::new(plan.seed);
    net.link(plan.link.clone());
    let hosts = vec![net.host("sender"), net.host("receiver")];
    let (there, back) = ways(&net, &hosts, 0, 1);
    let connect_bound = (there + back) * plan.connect_round_trips();
    let expected = expected(plan, there, back).time;
    let (began, bytes) = (net.now(), plan.bytes);
    let board = Rc::new(Board::new(began, expected, plan.nodes));
    board.sent.set(1);
    let theirs = Rc::clone(&board);
    net.start(
        hosts[1],
        Cores::new(1).listen(listen(plan.secured.as_ref()).options(patient())),
        move |_: &mut Core<'_>| Taker { board: Rc::clone(&theirs), began, got: 0, bytes, expected },
    )?;
    let (theirs, secured, receiver) = (Rc::clone(&board), plan.secured.clone(), hosts[1]);
    net.start(hosts[0], Cores::new(1), move |core| {
        // What keeps it from being asked for shows as a transfer that never ends.
        let _ = core.io().connect(connect_to(secured.as_ref(), receiver).options(patient()));
        let (board, supply) = (Rc::clone(&theirs), Supply::new(bytes));
        Giver { board, supply, asked_at: core.io().now(), connect_bound }
    })?;
    let mut stage = Stage::new(net, expected, watch);
    stage.run_until(plan.duration, || board.delivered.get() + board.broken.get() > 0);
    Ok(Played { stage, hosts, edges: vec![(0, 1)], board, faults: Vec::new() })
}
