//! A node that talks to its neighbours: the program of the scenarios mesh, churn and partition.
//!
//! Of two neighbours one connects and the other accepts; messages go both ways on the one connection. A message is of
//! fixed length and begins with when it was sent and how long it takes at least, so that whoever gets it needs to know
//! nothing of the way it came.

use super::board::{Board, count};
use crate::collections::Conn;
use crate::error::Address;
use crate::reactor::{Connect, Core, Event, Handler, Io};
use crate::sim::Host;
use crate::time::{Instant, nanos_of};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// Where nodes listen.
pub(super) const PORT: u16 = 7000;

/// Bytes at the beginning of a message that say when it was sent and its bound.
pub(super) const HEADER_BYTES: usize = 16;

/// Tags of timers: the next round of messages, and from here on the next attempt to connect to a neighbour.
const TICK: u64 = 0;
const DIAL: u64 = 1;

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
}

/// A node.
pub(super) struct Node {
    talk: Rc<Talk>,
    neighbours: Vec<Link>,
    next_tick: Instant,
    message: Vec<u8>,
}

/// A neighbour, and the connection to it if there is one.
struct Link {
    to: Neighbour,
    conn: Option<Conn>,
    open: bool,
    asked_at: Instant,
}

impl Node {
    /// Begins to connect, and to talk within the first interval at a time of its own.
    pub fn new(core: &mut Core<'_>, talk: &Rc<Talk>, neighbours: &[Neighbour], phase: Duration) -> Node {
        let io = core.io();
        let now = io.now();
        let next_tick = now + phase;
        io.timer_at(next_tick, TICK);
        let links = neighbours.iter().cloned();
        let mut node = Node {
            talk: Rc::clone(talk),
            neighbours: links.map(|to| Link { to, conn: None, open: false, asked_at: now }).collect(),
            next_tick,
            message: vec![0; talk.bytes],
        };
        for index in 0..node.neighbours.len() {
            if node.neighbours[index].to.dials {
                node.dial(io, index);
            }
        }
        node
    }

    fn dial(&mut self, io: &mut Io, index: usize) {
        let link = &mut self.neighbours[index];
        link.asked_at = io.now();
        link.conn = io.connect(Connect::to(link.to.host.port(PORT))).ok();
    }

    fn tick(&mut self, io: &mut Io) {
        let now = io.now();
        if now >= self.talk.until {
            return;
        }
        let board = &self.talk.board;
        self.message[..8].copy_from_slice(&now.as_nanos().to_le_bytes());
        for link in &self.neighbours {
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
    fn take(&self, io: &mut Io, conn: Conn, bytes: &[u8]) {
        let (now, board) = (io.now(), &self.talk.board);
        let mut messages = bytes.chunks_exact(self.talk.bytes);
        for message in &mut messages {
            let word = |at: usize| u64::from_le_bytes(message[at..at + 8].try_into().expect("8 bytes"));
            board.delivery.record(now.as_nanos().saturating_sub(word(0)), word(8));
            count(&board.delivered);
            board.arrivals.add(now, 1);
        }
        let rest = messages.remainder().len();
        board.received_bytes.add(now, (bytes.len() - rest) as u64);
        if rest > 0 {
            let _ = io.keep(conn, rest);
        }
    }

    /// The neighbour behind an address that connected to us.
    fn neighbour_at(&self, address: Option<&Address>) -> Option<usize> {
        let IpAddr::V4(ip) = address?.as_inet()?.ip() else { return None };
        self.neighbours.iter().position(|link| !link.to.dials && link.to.host.ip() == ip)
    }

    fn opened(&mut self, io: &mut Io, conn: Conn) {
        let dialled = self.neighbours.iter().position(|link| link.conn == Some(conn));
        let Some(index) = dialled.or_else(|| self.neighbour_at(io.peer(conn))) else { return };
        let link = &mut self.neighbours[index];
        (link.conn, link.open) = (Some(conn), true);
        if link.to.dials {
            let taken = io.now().since(link.asked_at);
            self.talk.board.connect.record(nanos_of(taken), nanos_of(link.to.connect_bound));
            count(&self.talk.board.opened);
        }
    }

    fn closed(&mut self, io: &mut Io, conn: Conn) {
        let Some(index) = self.neighbours.iter().position(|link| link.conn == Some(conn)) else { return };
        let link = &mut self.neighbours[index];
        if link.open && link.to.dials {
            count(&self.talk.board.closed);
        }
        (link.conn, link.open) = (None, false);
        if link.to.dials {
            io.timer_after(self.talk.every, DIAL + index as u64);
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
