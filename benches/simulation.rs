//! How fast the simulated network is, and how the cost of an event grows with the number of hosts:
//! `cargo bench --bench simulation --features sim`.
//!
//! Every host talks to eight others ten times a second over the default link. First each mesh of 10, 100 and 1,000 hosts
//! is made and runs for 60 virtual seconds. Then they take turns in short pieces of virtual time with about as many
//! events each, so that whatever else the machine does hits all of them; what counts is the CPU time of the cheapest
//! piece.

mod machine;

use machine::{median, pin};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};
use windlass::sim::{Host, Network};
use windlass::{Conn, Connect, Cores, Event, Handler, Io, Listen};

const SIZES: [usize; 3] = [10, 100, 1000];
const ROUNDS: usize = 25;
/// Events of one piece, roughly.
const PIECE_EVENTS: usize = 180_000;
const PEERS: usize = 8;
const EVERY: Duration = Duration::from_millis(100);
const PORT: u16 = 7000;

struct Node {
    peers: Vec<Conn>,
}

impl Handler for Node {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        if let Event::Timer { .. } = event {
            for &peer in &self.peers {
                io.send(peer, &[7; 64]).expect("a message of 64 bytes has room");
            }
            let next = io.now() + EVERY;
            io.timer_at(next, 0);
        }
    }
}

/// A mesh of `hosts` that talks.
fn mesh(hosts: usize) -> Network {
    let mut net = Network::new(1);
    let all: Vec<Host> = (0..hosts).map(|number| net.host(format!("node {number}"))).collect();
    for (number, &host) in all.iter().enumerate() {
        // Each to eight others, spread over the mesh.
        let peers: Vec<_> = (1..=PEERS).map(|step| all[(number + step * 7) % hosts].port(PORT)).collect();
        let cores = Cores::new(1).listen(Listen::tcp(("0.0.0.0", PORT)));
        net.start(host, cores, move |core| {
            let io = core.io();
            let first = io.now() + EVERY + Duration::from_micros(997 * number as u64 % 100_000);
            io.timer_at(first, 0);
            let dial = |peer: &_| io.connect(Connect::to(*peer)).expect("a host has room for its peers");
            Node { peers: peers.iter().map(dial).collect() }
        })
        .expect("a host starts");
    }
    net
}

/// Makes a mesh, lets it run for a minute, and says what that took.
fn minute(hosts: usize) -> Network {
    let began = Instant::now();
    let mut net = mesh(hosts);
    net.run_for(Duration::from_secs(60));
    let took = began.elapsed().as_secs_f64();
    println!("{hosts:>8}  {took:>8.2}  {:>12}  {:>12.1}", net.events(), peak_memory_mib());
    net
}

/// The most memory that this process has held.
fn peak_memory_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    peak.map_or(f64::NAN, |kib: f64| kib / 1024.0)
}

fn cpu_nanos() -> u64 {
    let at = clock_gettime(ClockId::ThreadCPUTime);
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// CPU nanoseconds per event over `piece` of virtual time.
fn cost(net: &mut Network, piece: Duration) -> f64 {
    let (events, began) = (net.events(), cpu_nanos());
    net.run_for(piece);
    (cpu_nanos() - began) as f64 / (net.events() - events) as f64
}

fn main() {
    pin(0);
    println!("{:>8}  {:>8}  {:>12}  {:>12}", "hosts", "wall s", "events", "peak MiB");
    let mut meshes: Vec<Network> = SIZES.iter().map(|&hosts| minute(hosts)).collect();
    let mut costs = vec![Vec::new(); SIZES.len()];
    for _ in 0..ROUNDS {
        for (number, net) in meshes.iter_mut().enumerate() {
            // A host and a second make about 180 events.
            let piece = Duration::from_secs_f64((PIECE_EVENTS / 180) as f64 / SIZES[number] as f64);
            costs[number].push(cost(net, piece));
        }
    }
    let least: Vec<f64> = costs.iter().map(|all| all.iter().copied().fold(f64::MAX, f64::min)).collect();
    println!("\n{:>8}  {:>12}  {:>12}  {:>8}", "hosts", "ns per event", "median", "to 10");
    for (number, hosts) in SIZES.iter().enumerate() {
        let middle = median(costs[number].clone());
        let growth = least[number] / least[0];
        println!("{hosts:>8}  {:>12.0}  {middle:>12.0}  {growth:>7.2}x", least[number]);
    }
}
