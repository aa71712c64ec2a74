//! A node that talks to its neighbours: the program of the scenarios mesh, churn and partition.
//!
//! Of two neighbours one connects and the other accepts; messages go both ways on the one connection. A message is of
//! fixed length and begins with when it was sent and how long it takes at least, so that whoever gets it needs to know
//! nothing of the way it came.

use super::board::{Board, count};
use super::plan::Secured;
use crate::collections::Conn;
use crate::error::Address;
use crate::reactor::{Connect, Core, Event, Handler, Io, Listen};
use crate::sim::Host;
use crate::time::{Instant, nanos_of};
use fastrand::Rng;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// Where nodes listen.
pub(super) const PORT: u16 = 7000;

/// Bytes at the beginning of a message that say when it was sent and its bound.
pub(super) const HEADER_BYTES: usize = 16;

/// One of those two numbers: the one that begins at byte `at`.
///
/// # Panics
/// If the message is shorter than its header.
pub(super) fn word(message: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(message[at..at + 8].try_into().expect("8 bytes"))
}

/// The first wait before connecting again, and the longest; in between it doubles. Each wait is drawn from the upper half
/// of its range, so that those who lost the same peer do not come back as a crowd.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Tags of timers: the next round of messages, and from here on the next attempt to connect to a neighbour.
const TICK: u64 = 0;
const DIAL: u64 = 1;

/// How to connect to a node.
pub(super) fn connect_to(secured: Option<&Secured>, host: Host) -> Connect {
    let address = host.port(PORT);
    secured.map_or_else(|| Connect::to(address), |secured| secured.connect(address))
}

/// How a node listens.
pub(super) fn listen(secured: Option<&Secured>) -> Listen {
    let listen = Listen::tcp(("0.0.0.0", PORT));
    match secured {
        Some(secured) => secured.listen(listen),
        None => listen,
    }
}

/// What all nodes of a scenario have in common.
#[derive(Debug)]
pub(super) struct Talk {
    pub board: Rc<Board>,
    /// Length of a message.
    pub bytes: usize,
    /// Between two rounds of messages.
    pub every: Duration,
    /// No message is sent from then on.
    pub until: Instant,
    /// When a partition heals, if there is one.
    pub healed_at: Option<Instant>,
    pub secured: Option<Secured>,
    /// What nodes draw from.
    pub seed: u64,
}

/// A node that this one talks to.
#[derive(Clone, Debug)]
pub(super) struct Neighbour {
    pub host: Host,
    /// Whether this node connects to it, and not the other way.
    pub dials: bool,
    /// The least that a message to it takes.
    pub bound: Duration,
    /// The least that connecting to it takes.
    pub connect_bound: Duration,
    /// If a partition parts the two: the longest that the first message from it takes after the healing.
    pub recovery_bound: Option<Duration>,
}

/// A node.
pub(super) struct Node {
    number: usize,
    talk: Rc<Talk>,
    links: Vec<Link>,
    next_tick: Instant,
    message: Vec<u8>,
    random: Rng,
    has_quorum: bool,
}

/// A neighbour, and the connection to it if there is one.
struct Link {
    to: Neighbour,
    conn: Option<Conn>,
    open: bool,
    asked_at: Instant,
    /// When the last connection ended.
    lost_at: Option<Instant>,
    attempts: u32,
    recovered: bool,
}

impl Link {
    fn new(to: Neighbour) -> Link {
        let recovered = to.recovery_bound.is_none();
        Link { to, conn: None, open: false, asked_at: Instant::ZERO, lost_at: None, attempts: 0, recovered }
    }
}

impl Node {
    /// Begins to connect, and to talk within the first interval at a time of its own.
    pub fn new(core: &mut Core<'_>, talk: &Rc<Talk>, number: usize, neighbours: &[Neighbour]) -> Node {
        let io = core.io();
        let now = io.now();
        // Of its own, and another one with each start.
        let mut random = Rng::with_seed(talk.seed ^ now.as_nanos() ^ (number as u64) << 40);
        let next_tick = now + Duration::from_nanos(random.u64(..nanos_of(talk.every).max(1)));
        io.timer_at(next_tick, TICK);
        let links = neighbours.iter().cloned().map(Link::new).collect();
        let mut node = Node {
            number,
            talk: Rc::clone(talk),
            links,
            next_tick,
            message: vec![0; talk.bytes],
            random,
            has_quorum: false,
        };
        talk.board.quorum.borrow_mut()[number].push((now, false));
        for index in 0..node.links.len() {
            if node.links[index].to.dials {
                node.dial(io, index);
            }
        }
        node
    }

    fn dial(&mut self, io: &mut Io, index: usize) {
        let link = &mut self.links[index];
        link.asked_at = io.now();
        link.conn = io.connect(connect_to(self.talk.secured.as_ref(), link.to.host)).ok();
    }

    fn tick(&mut self, io: &mut Io) {
        let now = io.now();
        if now >= self.talk.until {
            return;
        }
        let board = &self.talk.board;
        self.message[..8].copy_from_slice(&now.as_nanos().to_le_bytes());
        for link in &self.links {
            let Some(conn) = link.conn.filter(|_| link.open) else {
                count(&board.unsent);
                continue;
            };
            self.message[8..HEADER_BYTES].copy_from_slice(&nanos_of(link.to.bound).to_le_bytes());
            count(if io.send(conn, &self.message).is_ok() { &board.sent } else { &board.unsent });
        }
        self.next_tick += self.talk.every;
        io.timer_at(self.next_tick, TICK);
    }

    /// Takes what is whole and has the reactor keep the rest.
    fn take(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) {
        let now = io.now();
        let mut messages = bytes.chunks_exact(self.talk.bytes);
        for message in &mut messages {
            let taken_ns = now.as_nanos().saturating_sub(word(message, 0));
            self.talk.board.arrived(now, taken_ns, word(message, 8));
        }
        let rest = messages.remainder().len();
        if rest > 0 {
            let _ = io.keep(conn, rest);
        }
        if let Some(healed_at) = self.talk.healed_at.filter(|at| now >= *at) {
            self.heard(now, healed_at, conn);
        }
    }

    /// Something came from a neighbour after the network healed.
    fn heard(&mut self, now: Instant, healed_at: Instant, conn: Conn) {
        let link = self.links.iter_mut().find(|link| link.conn == Some(conn) && !link.recovered);
        if let Some((link, bound)) = link.and_then(|link| link.to.recovery_bound.map(|bound| (link, bound))) {
            link.recovered = true;
            self.talk.board.recovery.record_since(now, healed_at, bound);
        }
    }

    /// The neighbour behind an address that connected to us.
    fn neighbour_at(&self, address: Option<&Address>) -> Option<usize> {
        let IpAddr::V4(ip) = address?.as_inet()?.ip() else { return None };
        self.links.iter().position(|link| !link.to.dials && link.to.host.ip() == ip)
    }

    fn opened(&mut self, io: &mut Io, conn: Conn) {
        let dialled = self.links.iter().position(|link| link.conn == Some(conn));
        let Some(index) = dialled.or_else(|| self.neighbour_at(io.peer(conn))) else { return };
        let (now, board) = (io.now(), &self.talk.board);
        let link = &mut self.links[index];
        // The neighbour has come back, and its old connection is one that it knows nothing of any more.
        if let Some(old) = link.conn.replace(conn).filter(|old| *old != conn) {
            io.abort(old);
            count(&board.broken);
        }
        (link.open, link.attempts) = (true, 0);
        if link.to.dials {
            board.connected(now, link.asked_at, link.to.connect_bound);
            if let Some(lost_at) = link.lost_at.take() {
                board.outage.record_since(now, lost_at, Duration::ZERO);
            }
        }
        self.judge_quorum(now);
    }

    fn closed(&mut self, io: &mut Io, conn: Conn) {
        let Some(index) = self.links.iter().position(|link| link.conn == Some(conn)) else { return };
        let link = &mut self.links[index];
        count(if link.open { &self.talk.board.broken } else { &self.talk.board.refused });
        if link.to.dials {
            if link.open {
                link.lost_at = Some(io.now());
            }
            let longest = BACKOFF_MIN.saturating_mul(1 << link.attempts.min(16)).min(BACKOFF_MAX);
            link.attempts += 1;
            io.timer_after(longest.mul_f64(0.5 + self.random.f64() / 2.0), DIAL + index as u64);
        }
        (link.conn, link.open) = (None, false);
        self.judge_quorum(io.now());
    }

    /// Notes when more than half of the neighbours are connected, and when they no longer are.
    fn judge_quorum(&mut self, now: Instant) {
        let open = self.links.iter().filter(|link| link.open).count();
        let has_quorum = 2 * open > self.links.len();
        if has_quorum != self.has_quorum {
            self.has_quorum = has_quorum;
            self.talk.board.quorum.borrow_mut()[self.number].push((now, has_quorum));
        }
    }
}

impl Handler for Node {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Data { conn, bytes } => self.take(io, conn, bytes),
            Event::Timer { tag: TICK, .. } => self.tick(io),
            Event::Timer { tag, .. } => self.dial(io, (tag - DIAL) as usize),
            Event::Opened { conn, .. } => self.opened(io, conn),
            Event::Closed { conn, .. } => self.closed(io, conn),
            _ => {}
        }
    }
}
