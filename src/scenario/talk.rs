//! The scenarios in which nodes talk all the time: undisturbed (mesh), while they crash and come back (churn), and while
//! the network falls apart and heals (partition).

use super::board::Board;
use super::bounds;
use super::graph;
use super::node::{Neighbour, Node, Talk, listen};
use super::plan::{Plan, Scenario};
use super::stage::{Stage, Watch};
use crate::error::Error;
use crate::reactor::Cores;
use crate::sim::{Fault, Host, Network};
use crate::time::Instant;
use fastrand::Rng;
use std::rc::Rc;
use std::time::Duration;

/// Virtual time after the last message in which it may still arrive.
const GRACE: Duration = Duration::from_secs(10);

/// The same where nodes crash: what went down with them never arrives.
const GRACE_AFTER_CRASHES: Duration = Duration::from_secs(2);

/// The same after a partition, where TCP may have waited long before it tries again.
const GRACE_AFTER_PARTITION: Duration = Duration::from_secs(60);

/// A fault of the plan.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub at: Duration,
    pub until: Duration,
    pub kind: &'static str,
    /// Hosts that it is about, by number: one that goes down, or one side of a partition.
    pub nodes: Vec<u32>,
    pub fault: Fault,
}

/// What was played, for the record.
pub(super) struct Played<'a, 'b> {
    pub stage: Stage<'a, 'b>,
    pub hosts: Vec<Host>,
    /// Pairs of nodes with a connection; the first of each pair connects.
    pub edges: Vec<(u32, u32)>,
    pub board: Rc<Board>,
    pub faults: Vec<Planned>,
}

/// Plays a mesh, with or without faults.
pub(super) fn play<'a, 'b>(plan: &Plan, watch: &'a mut Watch<'b>) -> Result<Played<'a, 'b>, Error> {
    let mut net = Network::new(plan.seed);
    net.link(plan.link.clone());
    let hosts: Vec<Host> = (0..plan.nodes).map(|number| net.host(format!("node-{number}"))).collect();
    let mut random = Rng::with_seed(plan.seed);
    let edges = graph::neighbours(plan.nodes, plan.peers.unwrap_or(plan.nodes - 1), &mut random);
    let faults = match plan.scenario {
        Scenario::Churn => crashes(plan, &hosts, &mut random),
        Scenario::Partition => vec![partition(plan, &hosts, &mut random)],
        _ => Vec::new(),
    };
    for planned in &faults {
        net.at(planned.at, planned.fault.clone());
    }
    let board = Rc::new(Board::new(net.now(), plan.duration, plan.nodes));
    start(plan, &mut net, &hosts, &edges, &faults, &board)?;
    let grace = match plan.scenario {
        Scenario::Churn => GRACE_AFTER_CRASHES,
        Scenario::Partition => GRACE_AFTER_PARTITION,
        _ => GRACE,
    };
    let mut stage = Stage::new(net, plan.duration, watch);
    stage.run_to(plan.duration);
    // What is under way may arrive, and nothing else happens meanwhile.
    let arrived = |board: &Board| board.delivered.get() == board.sent.get();
    stage.run_until(plan.duration + grace, || plan.scenario != Scenario::Churn && arrived(&board));
    Ok(Played { stage, hosts, edges, board, faults })
}

fn start(
    plan: &Plan,
    net: &mut Network,
    hosts: &[Host],
    edges: &[(u32, u32)],
    faults: &[Planned],
    board: &Rc<Board>,
) -> Result<(), Error> {
    let parted = faults.iter().find(|_| plan.scenario == Scenario::Partition);
    let talk = Rc::new(Talk {
        board: Rc::clone(board),
        bytes: plan.bytes as usize,
        every: plan.interval(),
        until: board.began + plan.duration,
        healed_at: parted.map(|planned| board.began + planned.until),
        secured: plan.secured.clone(),
        seed: plan.seed,
    });
    let mut neighbours = vec![Vec::new(); plan.nodes];
    for &(a, b) in edges {
        for (from, to, dials) in [(a, b, true), (b, a, false)] {
            let apart = parted.filter(|planned| planned.nodes.contains(&from) != planned.nodes.contains(&to));
            let (there, back) = ways(net, hosts, from, to);
            neighbours[from as usize].push(Neighbour {
                host: hosts[to as usize],
                dials,
                bound: there + bounds::serialization(&plan.link, plan.bytes),
                connect_bound: (there + back) * plan.connect_round_trips(),
                recovery_bound: apart.map(|planned| {
                    bounds::recovery(planned.until - planned.at, there + back, plan.link.jitter) + back
                }),
            });
        }
    }
    for (number, neighbours) in neighbours.into_iter().enumerate() {
        let (talk, cores) = (Rc::clone(&talk), Cores::new(1).listen(listen(plan.secured.as_ref())));
        net.start(hosts[number], cores, move |core| Node::new(core, &talk, number, &neighbours))?;
    }
    Ok(())
}

/// The latencies between two nodes, there and back.
pub(super) fn ways(net: &Network, hosts: &[Host], from: u32, to: u32) -> (Duration, Duration) {
    let (from, to) = (hosts[from as usize], hosts[to as usize]);
    (net.latency(from, to), net.latency(to, from))
}

/// Nodes go down one after the other, the processes of every second one only, the whole machine of the others. The first
/// and the last tenth of the time are quiet.
fn crashes(plan: &Plan, hosts: &[Host], random: &mut Rng) -> Vec<Planned> {
    let (mut at, end) = (plan.duration / 10, plan.duration.mul_f64(0.9));
    let mut up_again = vec![Duration::ZERO; hosts.len()];
    let mut faults = Vec::new();
    while at + plan.fault_lasts < end {
        let node = random.usize(..hosts.len());
        let powerless = random.bool();
        if up_again[node] < at {
            let lasts = plan.fault_lasts.mul_f64(0.5 + random.f64());
            let fault = if powerless { Fault::PowerOff(hosts[node]) } else { Fault::Crash(hosts[node]) };
            up_again[node] = at + lasts;
            faults.push(Planned {
                at,
                until: at + lasts,
                kind: if powerless { "power off" } else { "crash" },
                nodes: vec![node as u32],
                fault: fault.lasting(lasts),
            });
        }
        at += plan.fault_every.mul_f64(0.5 + random.f64());
    }
    faults
}

/// Half of the nodes against the other half, in the middle of the time.
fn partition(plan: &Plan, hosts: &[Host], random: &mut Rng) -> Planned {
    let mut numbers: Vec<u32> = (0..hosts.len() as u32).collect();
    random.shuffle(&mut numbers);
    let other = numbers.split_off(hosts.len() / 2);
    numbers.sort_unstable();
    let side = |numbers: &[u32]| numbers.iter().map(|number| hosts[*number as usize]).collect();
    let at = (plan.duration - plan.fault_lasts) / 2;
    Planned {
        at,
        until: at + plan.fault_lasts,
        kind: "partition",
        fault: Fault::Partition(side(&numbers), side(&other)).lasting(plan.fault_lasts),
        nodes: numbers,
    }
}

/// For each node, how long it was up and had no quorum of neighbours, from its first quorum to `end`.
pub(super) fn without_quorum(board: &Board, faults: &[Planned], end: Duration) -> Vec<Duration> {
    let end = board.began + end;
    let quorum = board.quorum.borrow();
    let of = |(node, changes): (usize, &Vec<(Instant, bool)>)| {
        let down: Vec<(Instant, Instant)> = faults
            .iter()
            .filter(|planned| planned.nodes == [node as u32])
            .map(|planned| (board.began + planned.at, board.began + planned.until))
            .collect();
        let first = changes.iter().position(|(_, has)| *has).unwrap_or(changes.len());
        let mut without = Duration::ZERO;
        for (index, (from, has)) in changes.iter().enumerate().skip(first) {
            let to = changes.get(index + 1).map_or(end, |(at, _)| *at);
            if !has {
                // A node that is down starts without a quorum, and what was noted before it went down ends there.
                let cut = down.iter().map(|(at, _)| *at).find(|at| *at > *from && *at < to);
                without += cut.unwrap_or(to).since(*from);
            }
        }
        without
    };
    quorum.iter().enumerate().map(of).collect()
}
