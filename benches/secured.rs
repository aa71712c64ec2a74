//! What security costs: `cargo bench --bench secured --features tls,noise`.
//!
//! Throughput: eight connections, four echoes of 16 KiB in flight on each, client and server on a core each, plain
//! and secured in every way in turns. Memory: what a thousand idle connections of each kind hold after an echo of
//! 16 KiB, both ends of them in this process, per end.

mod machine;

use machine::{median, pin};
use rcgen::{CertificateParams, KeyPair};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use windlass::noise::{self, Noise};
use windlass::tls::{ClientTls, ServerTls};
use windlass::{Config, Conn, Connect, Event, Handler, Io, Listen, PerConn, Reactor, Wait};

const CONNECTIONS: usize = 8;
const DEPTH: usize = 4;
const MESSAGE_BYTES: usize = 16 * 1024;
const ROUND: Duration = Duration::from_millis(300);
const ROUNDS: usize = 11;
const IDLE_CONNECTIONS: usize = 1_000;

/// How connections are secured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Plain,
    Tls,
    Noise,
    NoiseInTls,
}

const KINDS: [Kind; 4] = [Kind::Plain, Kind::Tls, Kind::Noise, Kind::NoiseInTls];

/// Both ends' keys.
#[derive(Clone)]
struct Keys {
    server_tls: ServerTls,
    client_tls: ClientTls,
    responder: Noise,
    initiator: Noise,
}

impl Keys {
    fn new() -> Keys {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".into()]).expect("a name");
        let cert = params.self_signed(&key).expect("a certificate").pem();
        let [ours, theirs] = [(); 2].map(|()| noise::KeyPair::generate().expect("a key"));
        Keys {
            server_tls: ServerTls::from_pem(&cert, key.serialize_pem()).expect("they match"),
            client_tls: ClientTls::builder().roots_pem(&cert).build().expect("a root"),
            responder: Noise::responder(&ours),
            initiator: Noise::initiator(&theirs, ours.public()),
        }
    }

    fn listen(&self, kind: Kind, listen: Listen) -> Listen {
        match kind {
            Kind::Plain => listen,
            Kind::Tls => listen.tls(&self.server_tls),
            Kind::Noise => listen.noise(&self.responder),
            Kind::NoiseInTls => listen.tls(&self.server_tls).noise(&self.responder),
        }
    }

    fn connect(&self, kind: Kind, connect: Connect) -> Connect {
        match kind {
            Kind::Plain => connect,
            Kind::Tls => connect.tls(&self.client_tls, "localhost"),
            Kind::Noise => connect.noise(&self.initiator),
            Kind::NoiseInTls => connect.tls(&self.client_tls, "localhost").noise(&self.initiator),
        }
    }
}

fn echo(io: &mut Io, event: Event<'_>) {
    if let Event::Data { conn, bytes } = event {
        io.send(conn, bytes).expect("room for the echo");
    }
}

/// A server of one kind on the second core, which ends with the process.
fn serve(keys: &Keys, kind: Kind) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let keys = keys.clone();
    std::thread::spawn(move || {
        pin(1);
        let mut reactor = Reactor::new(Config::default()).expect("a reactor");
        reactor.io().listen(keys.listen(kind, Listen::from_std(listener))).expect("a listener");
        reactor.run(&mut echo).expect("the server runs");
    });
    address
}

/// The client of one server: keeps echoes in flight while it is on, and counts what came back.
struct Stream {
    message: Vec<u8>,
    conns: Vec<Conn>,
    partial: PerConn<usize>,
    bytes: usize,
    on: bool,
}

impl Handler for Stream {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => {
                self.partial.insert(conn, 0);
                self.conns.push(conn);
            }
            Event::Data { conn, bytes } => {
                self.bytes += bytes.len();
                let there = self.partial.get_mut(conn).expect("it is open");
                *there += bytes.len();
                let whole = *there / MESSAGE_BYTES;
                *there %= MESSAGE_BYTES;
                for _ in 0..if self.on { whole } else { 0 } {
                    io.send(conn, &self.message).expect("room for what was answered");
                }
            }
            _ => {}
        }
    }
}

fn streaming(keys: &Keys) {
    let mut ends: Vec<(Reactor, Stream)> = KINDS
        .into_iter()
        .map(|kind| {
            let server = serve(keys, kind);
            let mut reactor = Reactor::new(Config::default()).expect("a reactor");
            for _ in 0..CONNECTIONS {
                reactor.io().connect(keys.connect(kind, Connect::to(server))).expect("room for it");
            }
            let message = vec![7; MESSAGE_BYTES];
            let mut stream = Stream { message, conns: vec![], partial: PerConn::new(), bytes: 0, on: false };
            while stream.conns.len() < CONNECTIONS {
                reactor.turn(Wait::Forever, &mut stream).expect("a turn");
            }
            (reactor, stream)
        })
        .collect();
    let mut rates = KINDS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((reactor, stream), rates) in ends.iter_mut().zip(&mut rates) {
            stream.on = true;
            for i in 0..CONNECTIONS * DEPTH {
                reactor.io().send(stream.conns[i % CONNECTIONS], &stream.message).expect("room");
            }
            stream.bytes = 0;
            let from = reactor.io().now();
            reactor.run_until(from + ROUND, stream).expect("turns");
            let secs = reactor.io().now().since(from).as_secs_f64();
            rates.push(stream.bytes as f64 / secs / 1e9);
            stream.on = false;
            let quiet = reactor.io().now() + ROUND / 6;
            reactor.run_until(quiet, stream).expect("turns");
        }
    }
    println!("echoes of 16 KiB, {CONNECTIONS} connections, {DEPTH} in flight; medians of {ROUNDS} rounds");
    let rates = rates.map(median);
    for (kind, rate) in KINDS.into_iter().zip(rates) {
        let name = format!("{kind:?}");
        println!(
            "{name:<12} {rate:>6.3} GB/s   {:>5.2}x plain   {:>5.2}x TLS",
            rate / rates[0],
            rate / rates[1]
        );
    }
}

/// Resident bytes of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").expect("a Linux kernel");
    let line = status.lines().find(|line| line.starts_with("Rss:")).expect("it is told");
    line.split_whitespace().nth(1).expect("a number").parse::<usize>().expect("a number") * 1024
}

/// Connects the given number, has each echo one message, and lets them rest until spare buffers are given back.
fn rest(keys: &Keys, kind: Kind, server: &mut Reactor, client: &mut Reactor, to: SocketAddr, number: usize) {
    let message = vec![7; MESSAGE_BYTES];
    let mut stream = Stream { message, conns: vec![], partial: PerConn::new(), bytes: 0, on: false };
    for _ in 0..number {
        client.io().connect(keys.connect(kind, Connect::to(to))).expect("room for it");
        let before = stream.bytes;
        let mut sent = false;
        while stream.bytes < before + MESSAGE_BYTES {
            server.turn(Wait::No, &mut echo).expect("a turn");
            client.turn(Wait::No, &mut stream).expect("a turn");
            if !sent
                && let Some(&conn) =
                    stream.conns.last().filter(|_| stream.conns.len() * MESSAGE_BYTES > before)
            {
                sent = true;
                let message = std::mem::take(&mut stream.message);
                client.io().send(conn, &message).expect("room");
                stream.message = message;
            }
        }
    }
    let until = client.io().now() + Duration::from_millis(2_500);
    while client.io().now() < until {
        server.turn(Wait::For(Duration::from_millis(20)), &mut echo).expect("a turn");
        client.turn(Wait::For(Duration::from_millis(20)), &mut stream).expect("a turn");
    }
}

/// What idle connections of one kind hold, in a process that has had no others.
fn idle(keys: &Keys, kind: Kind) {
    let [mut server, mut client] = [(); 2].map(|()| Reactor::new(Config::default()).expect("a reactor"));
    let listener = keys.listen(kind, Listen::tcp("127.0.0.1:0"));
    let listener = server.io().listen(listener).expect("a listener");
    let to = server.io().listener_address(listener).and_then(|a| a.as_inet()).expect("it is TCP");
    rest(keys, kind, &mut server, &mut client, to, 50);
    let before = resident_bytes();
    rest(keys, kind, &mut server, &mut client, to, IDLE_CONNECTIONS);
    let per_end = resident_bytes().saturating_sub(before) / (2 * IDLE_CONNECTIONS);
    println!("{:<12} {per_end:>6} B", format!("{kind:?}"));
}

fn main() {
    let keys = Keys::new();
    if let Some(kind) = std::env::var("SECURED_IDLE").ok().and_then(|number| number.parse::<usize>().ok()) {
        return idle(&keys, KINDS[kind]);
    }
    println!("{IDLE_CONNECTIONS} idle connections after an echo of 16 KiB each, user memory per end");
    let this = std::env::current_exe().expect("it runs");
    for (number, kind) in KINDS.into_iter().enumerate() {
        let ran = std::process::Command::new(&this).env("SECURED_IDLE", number.to_string()).status();
        assert!(ran.is_ok_and(|status| status.success()), "the measurement of {kind:?} failed");
    }
    pin(0);
    streaming(&keys);
}
