//! The scenario connect: every node connects to every other at once, and says a word on each connection.

use super::board::{Board, count};
use super::graph;
use super::node::{HEADER_BYTES, connect_to, listen, word};
use super::plan::{Plan, Secured};
use super::stage::{Stage, Watch};
use super::talk::{Played, ways};
use crate::collections::Conn;
use crate::error::Error;
use crate::reactor::{Core, Cores, Event, Handler, Io};
use crate::sim::{Host, Network};
use crate::time::{Instant, nanos_of};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A node that connects to others and takes in others.
struct Caller {
    board: Rc<Board>,
    asked_at: Instant,
    /// Connections that are not open yet, and the least that they take.
    pending: BTreeMap<Conn, Duration>,
}

/// Whom a node connects to, the least that takes, and the least until the first byte is there.
#[derive(Clone, Debug)]
struct Callee {
    host: Host,
    bound: Duration,
    first_byte_bound: Duration,
}

impl Caller {
    fn new(core: &mut Core<'_>, board: &Rc<Board>, callees: &[Callee], secured: Option<&Secured>) -> Caller {
        let io = core.io();
        let mut caller = Caller { board: Rc::clone(board), asked_at: io.now(), pending: BTreeMap::new() };
        for callee in callees {
            let Ok(conn) = io.connect(connect_to(secured, callee.host)) else {
                count(&board.refused);
                continue;
            };
            let mut hello = [0; HEADER_BYTES];
            hello[..8].copy_from_slice(&caller.asked_at.as_nanos().to_le_bytes());
            hello[8..].copy_from_slice(&nanos_of(callee.first_byte_bound).to_le_bytes());
            // It waits in the queue until the connection is open.
            count(if io.send(conn, &hello).is_ok() { &board.sent } else { &board.unsent });
            caller.pending.insert(conn, callee.bound);
        }
        caller
    }
}

impl Handler for Caller {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        let board = &self.board;
        match event {
            Event::Opened { conn, .. } => {
                if let Some(bound) = self.pending.remove(&conn) {
                    board.connected(io.now(), self.asked_at, bound);
                }
            }
            Event::Data { conn, bytes } if bytes.len() < HEADER_BYTES => {
                let _ = io.keep(conn, bytes.len());
            }
            Event::Data { bytes, .. } => {
                let taken_ns = io.now().as_nanos().saturating_sub(word(bytes, 0));
                board.first_byte.record(taken_ns, word(bytes, 8));
                board.heat.add(io.now(), taken_ns);
                count(&board.delivered);
                board.arrivals.add(io.now(), 1);
            }
            Event::Closed { conn, .. } => {
                count(if self.pending.remove(&conn).is_some() { &board.refused } else { &board.broken });
            }
            _ => {}
        }
    }
}

/// Plays it.
pub(super) fn play<'a, 'b>(plan: &Plan, watch: &'a mut Watch<'b>) -> Result<Played<'a, 'b>, Error> {
    let mut net = Network::new(plan.seed);
    net.link(plan.link.clone());
    let hosts: Vec<Host> = (0..plan.nodes).map(|number| net.host(format!("node-{number}"))).collect();
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let edges = graph::neighbours(plan.nodes, plan.peers.unwrap_or(plan.nodes - 1), &mut random);
    let mut callees = vec![Vec::new(); plan.nodes];
    let mut longest = Duration::ZERO;
    for &(from, to) in &edges {
        let (there, back) = ways(&net, &hosts, from, to);
        let bound = (there + back) * plan.connect_round_trips();
        longest = longest.max(bound + there);
        callees[from as usize].push(Callee {
            host: hosts[to as usize],
            bound,
            first_byte_bound: bound + there,
        });
    }
    let board = Rc::new(Board::new(net.now(), longest * 2, plan.nodes));
    for (host, callees) in hosts.iter().zip(callees) {
        let (board, secured) = (Rc::clone(&board), plan.secured.clone());
        let cores = Cores::new(1).listen(listen(plan.secured.as_ref()));
        net.start(*host, cores, move |core| Caller::new(core, &board, &callees, secured.as_ref()))?;
    }
    let mut stage = Stage::new(net, longest * 2, watch);
    let wanted = edges.len() as u64;
    stage.run_until(plan.duration, || {
        board.delivered.get() >= wanted
            || board.opened.get() + board.refused.get() >= wanted
                && board.delivered.get() >= board.opened.get()
    });
    Ok(Played { stage, hosts, edges, board, faults: Vec::new() })
}
