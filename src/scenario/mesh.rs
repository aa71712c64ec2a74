//! The scenario mesh: every node talks to a few others all the time. What it measures most of all is the simulator.

use super::board::Board;
use super::graph;
use super::node::{Neighbour, Node, PORT, Talk};
use super::plan::Plan;
use super::stage::{Stage, Watch};
use crate::error::Error;
use crate::reactor::{Cores, Listen};
use crate::sim::{Host, Network};
use crate::time::{Instant, nanos_of};
use fastrand::Rng;
use std::rc::Rc;
use std::time::Duration;

/// Virtual time after the last message in which it may still arrive.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// A network of nodes that talk.
pub(super) struct Mesh {
    pub net: Network,
    pub hosts: Vec<Host>,
    /// Neighbours; the first of each pair connects.
    pub edges: Vec<(u32, u32)>,
    pub board: Rc<Board>,
}

impl Mesh {
    /// Makes the network and starts all nodes.
    pub fn start(plan: &Plan) -> Result<Mesh, Error> {
        let mut net = Network::new(plan.seed);
        net.link(plan.link.clone());
        let hosts: Vec<Host> = (0..plan.nodes).map(|number| net.host(format!("node-{number}"))).collect();
        let mut random = Rng::with_seed(plan.seed);
        let edges = graph::neighbours(plan.nodes, plan.peers.unwrap_or(plan.nodes), &mut random);
        let began = net.now();
        let board = Rc::new(Board::new(began, plan.duration));
        let talk = Rc::new(Talk {
            board: Rc::clone(&board),
            bytes: plan.bytes as usize,
            every: plan.interval(),
            until: began + plan.duration,
        });
        let mut neighbours = vec![Vec::new(); plan.nodes];
        for &(a, b) in &edges {
            for (from, to, dials) in [(a, b, true), (b, a, false)] {
                neighbours[from as usize].push(neighbour(&net, plan, &hosts, from, to, dials));
            }
        }
        for (host, neighbours) in hosts.iter().zip(neighbours) {
            let phase = Duration::from_nanos(random.u64(..nanos_of(talk.every).max(1)));
            let talk = Rc::clone(&talk);
            net.start(*host, Cores::new(1).listen(Listen::tcp(("0.0.0.0", PORT))), move |core| {
                Node::new(core, &talk, &neighbours, phase)
            })?;
        }
        Ok(Mesh { net, hosts, edges, board })
    }
}

/// What a node knows of a neighbour: where it is, and what physics allows.
fn neighbour(net: &Network, plan: &Plan, hosts: &[Host], from: u32, to: u32, dials: bool) -> Neighbour {
    let (from, to) = (hosts[from as usize], hosts[to as usize]);
    let (there, back) = (net.latency(from, to), net.latency(to, from));
    Neighbour {
        host: to,
        dials,
        bound: there + super::bounds::serialization(&plan.link, plan.bytes),
        connect_bound: there + back,
    }
}

/// Plays it.
pub fn play(plan: &Plan, watch: &mut Watch<'_>) -> Result<(), Error> {
    let Mesh { net, board, .. } = Mesh::start(plan)?;
    let mut stage = Stage::new(net, plan.duration, watch);
    stage.run_to(plan.duration + GRACE);
    let cost = stage.cost();
    let _: Instant = board.began;
    println!(
        "wall {:?} events {} ns/event {:.0} sent {} delivered {} unsent {} rss {:?} p50 {:?} ratio {:?}",
        cost.wall,
        cost.events,
        cost.wall.as_nanos() as f64 / cost.events as f64,
        board.sent.get(),
        board.delivered.get(),
        board.unsent.get(),
        cost.peak_memory_bytes,
        board.delivery.times().percentile(0.5),
        board.delivery.ratios().percentile(0.99)
    );
    Ok(())
}
