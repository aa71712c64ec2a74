//! What a flooder does to its neighbours: `cargo bench --bench fairness`.
//!
//! A thousand connections each send 64 bytes ten times a second and wait for the echo, while one more connection
//! streams as fast as it can or is absent. The server is a reactor, or the loop that one would write first: mio,
//! each ready connection drained until it would block. It has a core to itself; flooder and pingers share the
//! other, the flooder with the lowest priority, so that what the pingers see is the server's doing. Short rounds
//! of the four combinations take turns.

mod machine;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use machine::{median, pin, quantile};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use windlass::time::Instant;
use windlass::{Config, Conn, Connect, Event, Handler, Io, Listen, PerConn, Reactor};

const PINGERS: usize = 1_000;
const PERIOD: Duration = Duration::from_millis(100);
const ROUND: Duration = Duration::from_millis(800);
/// How much of a round's beginning does not count: it meets the flood's beginning.
const UNMEASURED: Duration = Duration::from_millis(200);
const ROUNDS: usize = 5;
const PING: [u8; 64] = [b'p'; 64];
/// What the flooder's bytes are: the servers swallow them.
const FLOOD: u8 = b'f';

/// Bytes of flood that the servers have swallowed.
static SWALLOWED: AtomicU64 = AtomicU64::new(0);

/// What both servers do with what they read: pings are echoed, flood is swallowed.
fn is_ping(bytes: &[u8]) -> bool {
    let ping = bytes[0] != FLOOD;
    if !ping {
        SWALLOWED.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
    ping
}

/// A server on a thread of its own, which ends with the process.
struct Server {
    address: SocketAddr,
    name: &'static str,
}

fn windlass_server() -> Server {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        pin(1);
        let mut reactor = Reactor::new(Config::default()).expect("a reactor");
        reactor.io().listen(Listen::from_std(listener)).expect("a listener");
        let mut echo = |io: &mut Io, event: Event<'_>| {
            if let Event::Data { conn, bytes } = event
                && is_ping(bytes)
            {
                io.send(conn, bytes).expect("room for the echo");
            }
        };
        reactor.run(&mut echo).expect("the server runs");
    });
    Server { address, name: "windlass" }
}

/// Each ready connection is read until it would block.
fn draining_server() -> Server {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        pin(1);
        listener.set_nonblocking(true).expect("listeners can be non-blocking");
        let mut listener = mio::net::TcpListener::from_std(listener);
        let mut poll = mio::Poll::new().expect("a poller");
        let (mut events, mut conns) = (mio::Events::with_capacity(1024), slab::Slab::new());
        let own = mio::Token(usize::MAX - 1);
        poll.registry().register(&mut listener, own, mio::Interest::READABLE).expect("a new socket");
        let mut buffer = vec![0; 64 * 1024];
        loop {
            poll.poll(&mut events, None).expect("the poller works");
            for event in &events {
                if event.token() == own {
                    while let Ok((mut conn, _)) = listener.accept() {
                        conn.set_nodelay(true).expect("TCP has the option");
                        let entry = conns.vacant_entry();
                        let token = mio::Token(entry.key());
                        poll.registry().register(&mut conn, token, mio::Interest::READABLE).expect("new");
                        entry.insert(conn);
                    }
                } else if drain(&mut conns[event.token().0], &mut buffer) {
                    conns.remove(event.token().0);
                }
            }
        }
    });
    Server { address, name: "mio, draining" }
}

/// Whether the connection is over.
fn drain(conn: &mut mio::net::TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        match conn.read(buffer) {
            Ok(0) => return true,
            Ok(n) if is_ping(&buffer[..n]) => conn.write_all(&buffer[..n]).expect("room for a ping"),
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// All pingers of a round: each has a timer of its own, and they start spread over the period.
struct Pingers {
    conns: Vec<Conn>,
    sent_at: PerConn<Instant>,
    measured_from: Instant,
    nanos: Vec<u64>,
}

impl Handler for Pingers {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => {
                self.conns.push(conn);
                if self.conns.len() == PINGERS {
                    io.stop();
                }
            }
            Event::Timer { tag, .. } => {
                io.timer_after(PERIOD, tag);
                let conn = self.conns[tag as usize];
                // A pinger whose answer is still out waits for it, and its next round trip is the longer one.
                if self.sent_at.get(conn).is_none() {
                    self.sent_at.insert(conn, io.clock());
                    io.send(conn, &PING).expect("room for a ping");
                }
            }
            Event::Data { conn, .. } => {
                let sent_at = self.sent_at.remove(conn).expect("answers follow pings");
                if sent_at >= self.measured_from {
                    self.nanos.push(io.clock().since(sent_at).as_nanos() as u64);
                }
            }
            Event::Closed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
}

/// Connects all pingers; nobody sends anything yet.
fn connected(server: SocketAddr) -> (Reactor, Pingers) {
    let mut reactor = Reactor::new(Config::default()).expect("a reactor");
    for _ in 0..PINGERS {
        reactor.io().connect(Connect::to(server)).expect("room for a connection");
    }
    let measured_from = Instant::FAR_FUTURE;
    let mut pingers =
        Pingers { conns: Vec::new(), sent_at: PerConn::new(), measured_from, nanos: Vec::new() };
    reactor.run(&mut pingers).expect("the client runs");
    (reactor, pingers)
}

/// The pingers' round trips in microseconds, sorted.
fn ping(mut reactor: Reactor, mut pingers: Pingers) -> Vec<f64> {
    let io = reactor.io();
    let start = io.clock();
    for place in 0..PINGERS {
        io.timer_at(start + PERIOD * place as u32 / PINGERS as u32, place as u64);
    }
    pingers.measured_from = start + UNMEASURED;
    reactor.run_until(start + ROUND, &mut pingers).expect("the client runs");
    let mut micros: Vec<f64> = pingers.nanos.iter().map(|nanos| *nanos as f64 / 1000.0).collect();
    micros.sort_by(f64::total_cmp);
    micros
}

fn flood(server: SocketAddr, stop: &AtomicBool) {
    pin(0);
    rustix::process::nice(19).expect("lower is always allowed");
    let mut flooder = TcpStream::connect(server).expect("the server listens");
    let bytes = vec![FLOOD; 64 * 1024];
    while !stop.load(Ordering::Relaxed) {
        flooder.write_all(&bytes).expect("the server swallows it");
    }
}

/// Ends the flooder, also when a round panics.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn round(server: &Server, flooded: bool) -> Vec<f64> {
    let stop = AtomicBool::new(false);
    let (reactor, pingers) = connected(server.address);
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        if flooded {
            scope.spawn(|| flood(server.address, &stop));
        }
        ping(reactor, pingers)
    })
}

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("latency is measured in optimised code: cargo bench --bench fairness");
        return;
    }
    raise_open_files();
    pin(0);
    let servers = [windlass_server(), draining_server()];
    println!("{PINGERS} pingers, ten pings a second each; medians over {ROUNDS} rounds, interleaved\n");
    let columns = ["server", "median us", "p99 us", "p99.9 us", "flood MB/s", "p99 flooded /"];
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>11} {:>14}",
        columns[0], columns[1], columns[2], columns[3], columns[4], columns[5]
    );
    let mut rounds: [[Vec<Vec<f64>>; 2]; 2] = Default::default();
    let mut swallowed = [0.0; 2];
    for _ in 0..ROUNDS {
        for (which, server) in servers.iter().enumerate() {
            for flooded in [false, true] {
                let before = SWALLOWED.load(Ordering::Relaxed);
                rounds[which][usize::from(flooded)].push(round(server, flooded));
                swallowed[which] += (SWALLOWED.load(Ordering::Relaxed) - before) as f64 / 1e6;
            }
        }
    }
    for (which, server) in servers.iter().enumerate() {
        for flooded in [false, true] {
            let own = &rounds[which][usize::from(flooded)];
            let of = |share: f64| median(own.iter().map(|r| quantile(r, share)).collect());
            let pairs = rounds[which][0].iter().zip(own);
            let ratio =
                median(pairs.map(|(alone, own)| quantile(own, 0.99) / quantile(alone, 0.99)).collect());
            let rate = if flooded { swallowed[which] / (ROUNDS as f64 * ROUND.as_secs_f64()) } else { 0.0 };
            let name = format!("{}{}", server.name, if flooded { ", flooded" } else { "" });
            println!(
                "{name:24} {:10.1} {:10.1} {:10.1} {rate:11.0} {ratio:13.2}x",
                of(0.5),
                of(0.99),
                of(0.999)
            );
        }
    }
}

/// Raises the limit of open files as far as allowed.
fn raise_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit");
}
