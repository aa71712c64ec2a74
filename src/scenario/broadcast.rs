//! The scenario broadcast: one node sends every message to all others, on a connection to each.

use super::board::{Board, count};
use super::bounds;
use super::node::{connect_to, listen, word};
use super::plan::Plan;
use super::stage::{Stage, Watch};
use super::talk::{Played, ways};
use crate::collections::Conn;
use crate::error::Error;
use crate::reactor::{Core, Cores, Event, Handler, Io};
use crate::sim::{Host, Network};
use crate::time::{Instant, nanos_of};
use bytes::Bytes;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The number of the node that sends.
const SOURCE: u32 = 0;

/// Virtual time in which connections open before the first message, and in which the last ones arrive.
const LEAD: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(30);

/// Messages that are under way: when each was sent, and how many have not got it.
type Rounds = Rc<RefCell<Vec<(Instant, usize)>>>;

/// The node that sends.
struct Source {
    board: Rc<Board>,
    rounds: Rounds,
    conns: Vec<Conn>,
    bytes: usize,
    every: Duration,
    next: Instant,
    until: Instant,
}

impl Source {
    fn send(&mut self, io: &mut Io) {
        let now = io.now();
        if now >= self.until {
            return;
        }
        let mut rounds = self.rounds.borrow_mut();
        let mut message = vec![0; self.bytes];
        message[..8].copy_from_slice(&now.as_nanos().to_le_bytes());
        message[8..16].copy_from_slice(&(rounds.len() as u64).to_le_bytes());
        // Every connection sends the same bytes: they are not copied.
        let message = Bytes::from(message);
        let mut sent = 0;
        for conn in &self.conns {
            let taken = io.send_bytes(*conn, &message).is_ok();
            count(if taken { &self.board.sent } else { &self.board.unsent });
            sent += usize::from(taken);
        }
        rounds.push((now, sent));
        self.next += self.every;
        io.timer_at(self.next, 0);
    }
}

impl Handler for Source {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => self.conns.push(conn),
            Event::Closed { conn, .. } => self.conns.retain(|known| *known != conn),
            Event::Timer { .. } => self.send(io),
            _ => {}
        }
    }
}

/// A node that gets what the source sends.
struct Sink {
    board: Rc<Board>,
    rounds: Rounds,
    asked_at: Instant,
    connect_bound: Duration,
    bytes: usize,
    bound_ns: u64,
    longest_bound: Duration,
}

impl Sink {
    fn take(&self, io: &mut Io, conn: Conn, bytes: &[u8]) {
        let now = io.now();
        let mut messages = bytes.chunks_exact(self.bytes);
        for message in &mut messages {
            let taken_ns = now.as_nanos().saturating_sub(word(message, 0));
            self.board.arrived(now, taken_ns, self.bound_ns);
            if let Some((sent_at, left)) = self.rounds.borrow_mut().get_mut(word(message, 8) as usize) {
                *left -= 1;
                if *left == 0 {
                    self.board.last_of_all.record_since(now, *sent_at, self.longest_bound);
                }
            }
        }
        let rest = messages.remainder().len();
        if rest > 0 {
            let _ = io.keep_until(conn, rest, self.bytes);
        }
    }
}

impl Handler for Sink {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { .. } => self.board.connected(io.now(), self.asked_at, self.connect_bound),
            Event::Data { conn, bytes } => self.take(io, conn, bytes),
            Event::Closed { .. } => count(&self.board.broken),
            _ => {}
        }
    }
}

/// Plays it.
pub(super) fn play<'a, 'b>(plan: &Plan, watch: &'a mut Watch<'b>) -> Result<Played<'a, 'b>, Error> {
    let mut net = Network::new(plan.seed);
    net.link(plan.link.clone());
    let hosts: Vec<Host> = (0..plan.nodes).map(|number| net.host(format!("node-{number}"))).collect();
    let edges: Vec<(u32, u32)> = (1..plan.nodes as u32).map(|sink| (SOURCE, sink)).collect();
    let all: Vec<_> = edges.iter().map(|&(source, sink)| ways(&net, &hosts, source, sink)).collect();
    let serialization = bounds::serialization(&plan.link, plan.bytes);
    let longest = all.iter().map(|(there, _)| *there).max().unwrap_or_default();
    // As long as the longest way takes to open, with some patience for what is lost.
    let lead = LEAD + 4 * longest;
    let board = Rc::new(Board::new(net.now(), lead + plan.duration, plan.nodes));
    let rounds = Rounds::default();
    let (began, bytes) = (net.now(), plan.bytes as usize);
    let (theirs, his_rounds, every, until) =
        (Rc::clone(&board), Rc::clone(&rounds), plan.interval(), began + lead + plan.duration);
    let cores = Cores::new(1).listen(listen(plan.secured.as_ref()));
    net.start(hosts[SOURCE as usize], cores, move |core: &mut Core<'_>| {
        core.io().timer_at(began + lead, 0);
        let (board, rounds) = (Rc::clone(&theirs), Rc::clone(&his_rounds));
        Source { board, rounds, conns: Vec::new(), bytes, every, next: began + lead, until }
    })?;
    for (&(_, sink), (there, back)) in edges.iter().zip(all) {
        let (board, rounds, secured) = (Rc::clone(&board), Rc::clone(&rounds), plan.secured.clone());
        let (source, connect_bound) = (hosts[SOURCE as usize], (there + back) * plan.connect_round_trips());
        net.start(hosts[sink as usize], Cores::new(1), move |core| {
            let asked_at = core.io().now();
            // A connection that cannot be asked for shows as messages that were never sent.
            let _ = core.io().connect(connect_to(secured.as_ref(), source));
            Sink {
                board: Rc::clone(&board),
                rounds: Rc::clone(&rounds),
                asked_at,
                connect_bound,
                bytes,
                bound_ns: nanos_of(there + serialization),
                longest_bound: longest + serialization,
            }
        })?;
    }
    let mut stage = Stage::new(net, lead + plan.duration, watch);
    stage.run_to(lead + plan.duration);
    stage.run_until(lead + plan.duration + GRACE, || board.delivered.get() == board.sent.get());
    Ok(Played { stage, hosts, edges, board, faults: Vec::new() })
}
