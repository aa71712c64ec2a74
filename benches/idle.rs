//! What spinning buys and what it costs: `cargo bench --bench idle`.
//!
//! Two reactors on two cores play ping-pong with 64 bytes over loopback. Both wait in the same way; short rounds
//! of the three ways take turns, so that whatever else the machine does hits all of them. Then each way waits for
//! half a second with one open connection and nothing to do, and its thread's CPU time is read.

mod machine;

use std::time::Duration;

use machine::{median, pin, quantile};
use rustix::time::{ClockId, clock_gettime};
use windlass::{Address, Config, Conn, Connect, Event, Handler, Idle, Io, Listen, Reactor};

const WAYS: [(&str, Idle); 3] = [
    ("Block", Idle::Block),
    ("SpinThenBlock(50 us)", Idle::SpinThenBlock(Duration::from_micros(50))),
    ("Spin", Idle::Spin),
];
const ROUNDS: usize = 15;
const PINGS: usize = 2_000;
/// Round trips at the start of each round that do not count: connecting, first faults, sleeping cores.
const WARM_UP: usize = 200;
const IDLE: Duration = Duration::from_millis(500);

fn reactor(idle: Idle) -> Reactor {
    let mut config = Config::default();
    config.idle = idle;
    Reactor::new(config).expect("a reactor")
}

/// An echo server on the second core that lives until `client` is done with its address.
fn beside_an_echo_server<R>(idle: Idle, client: impl FnOnce(Address) -> R) -> R {
    let mut server = reactor(idle);
    let listener = server.io().listen(Listen::tcp("127.0.0.1:0")).expect("a listener");
    let address = server.io().listener_address(listener).cloned().expect("it listens");
    let stopper = server.stopper();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            pin(1);
            let echo = |io: &mut Io, event: Event<'_>| {
                if let Event::Data { conn, bytes } = event {
                    io.send(conn, bytes).expect("room for the echo");
                }
            };
            server.run(&mut { echo }).expect("the server runs");
        });
        let result = client(address);
        stopper.shutdown(Duration::ZERO);
        result
    })
}

/// Sends the next ping when the last has come back.
#[derive(Default)]
struct Pinger {
    sent_at: windlass::time::Instant,
    missing: usize,
    nanos: Vec<u64>,
}

impl Pinger {
    fn ping(&mut self, io: &mut Io, conn: Conn) {
        self.missing = 64;
        self.sent_at = io.clock();
        io.send(conn, &[b'p'; 64]).expect("room for a ping");
    }
}

impl Handler for Pinger {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => self.ping(io, conn),
            Event::Data { conn, bytes } => {
                self.missing -= bytes.len();
                if self.missing > 0 {
                    return;
                }
                self.nanos.push(io.clock().since(self.sent_at).as_nanos() as u64);
                if self.nanos.len() == WARM_UP + PINGS {
                    return io.stop();
                }
                self.ping(io, conn);
            }
            Event::Closed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
}

/// Round trips of one round in microseconds, sorted.
fn round_trips(idle: Idle) -> Vec<f64> {
    beside_an_echo_server(idle, |address| {
        let mut client = reactor(idle);
        client.io().connect(Connect::to(address)).expect("room for a connection");
        let mut pinger = Pinger::default();
        client.run(&mut pinger).expect("the client runs");
        let mut micros: Vec<f64> = pinger.nanos[WARM_UP..].iter().map(|n| *n as f64 / 1000.0).collect();
        micros.sort_by(f64::total_cmp);
        micros
    })
}

fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The share of a core that a client with one silent connection takes.
fn idle_share(idle: Idle) -> f64 {
    beside_an_echo_server(Idle::Block, |address| {
        let mut client = reactor(idle);
        client.io().connect(Connect::to(address)).expect("room for a connection");
        let (cpu, wall) = (thread_cpu_time(), std::time::Instant::now());
        let until = client.io().clock() + IDLE;
        client.run_until(until, &mut |_: &mut Io, _: Event<'_>| {}).expect("the client runs");
        (thread_cpu_time() - cpu).as_secs_f64() / wall.elapsed().as_secs_f64()
    })
}

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("waiting is measured in optimised code: cargo bench --bench idle");
        return;
    }
    pin(0);
    let mut rounds: [Vec<Vec<f64>>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (rounds, (_, idle)) in rounds.iter_mut().zip(WAYS) {
            rounds.push(round_trips(idle));
        }
    }
    println!(
        "64 bytes there and back, {ROUNDS} rounds of {PINGS} each, interleaved; medians over the rounds\n"
    );
    println!(
        "{:22} {:>10} {:>10} {:>16} {:>12}",
        "both wait with", "median us", "p99 us", "Block's median /", "idle CPU"
    );
    for (own, (name, idle)) in rounds.iter().zip(WAYS) {
        let [middle, high] =
            [0.5, 0.99].map(|share| median(own.iter().map(|r| quantile(r, share)).collect()));
        let pairs = rounds[0].iter().zip(own);
        let ratio = median(pairs.map(|(block, own)| quantile(block, 0.5) / quantile(own, 0.5)).collect());
        let cpu = idle_share(idle) * 100.0;
        println!("{name:22} {middle:10.1} {high:10.1} {ratio:15.2}x {cpu:10.2} %");
    }
}
