//! What a storm of handshakes does to open connections: `cargo bench --bench storm --features tls`.
//!
//! Sixteen open TLS connections each send 64 bytes four hundred times a second and wait for the echo, alone or
//! while a thousand clients come at once and shake hands. Each of those sends the same first message, recorded
//! before, and waits for the server's answer: that costs the server all of a full handshake but its last step, and
//! the clients next to nothing, so that what the pingers see is the server's doing. Server and clients have a core
//! each. Quiet and stormy rounds take turns; the storm's latencies are those of pings sent while it lasts.

mod machine;

use machine::{median, pin, quantile};
use rcgen::{CertificateParams, KeyPair};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use windlass::time::Instant;
use windlass::tls::{ClientTls, ServerTls};
use windlass::{Config, Conn, Connect, Event, Handler, Idle, Io, Listen, PerConn, Reactor, Wait};

const PINGERS: usize = 16;
const PERIOD: Duration = Duration::from_micros(2500);
const ROUNDS: usize = 9;
const QUIET: Duration = Duration::from_millis(400);
const CLIENTS: usize = 1_000;
/// Of them so many connect between two turns, so that dialling does not hold the pingers up.
const DIALS_PER_TURN: usize = 2;
const PING: [u8; 64] = [b'p'; 64];

/// The two ends' configurations.
fn security() -> (ServerTls, ClientTls) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".into()]).expect("a name");
    let cert = params.self_signed(&key).expect("a certificate").pem();
    let server = ServerTls::from_pem(&cert, key.serialize_pem()).expect("they match");
    (server, ClientTls::builder().roots_pem(&cert).build().expect("a root"))
}

fn serve(listener: TcpListener, tls: ServerTls) {
    pin(1);
    let mut reactor = Reactor::new(Config::default()).expect("a reactor");
    reactor.io().listen(Listen::from_std(listener).tls(&tls)).expect("a listener");
    let mut echo = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.send(conn, bytes).expect("room for the echo");
        }
    };
    reactor.run(&mut echo).expect("the server runs");
}

/// The first message of a client, which opens a handshake.
fn client_hello(tls: &ClientTls) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut reactor = Reactor::new(Config::default()).expect("a reactor");
    let to = listener.local_addr().expect("it is bound");
    reactor.io().connect(Connect::to(to).tls(tls, "localhost")).expect("room for one");
    let (mut stream, _) = listener.accept().expect("the client");
    stream.set_nonblocking(true).expect("it can be");
    let mut hello = vec![0; 16 * 1024];
    loop {
        reactor
            .turn(Wait::For(Duration::from_millis(1)), &mut |_: &mut Io, _: Event<'_>| {})
            .expect("a turn");
        if let Ok(n) = stream.read(&mut hello) {
            hello.truncate(n);
            return hello;
        }
    }
}

/// All clients: pingers on connections that stay open, and those of a storm.
struct Clients {
    server: SocketAddr,
    hello: Vec<u8>,
    pingers: Vec<Conn>,
    sent_at: PerConn<Instant>,
    latencies: Vec<u64>,
    answered: usize,
}

impl Handler for Clients {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, session, .. } if session.tls.is_some() => self.pingers.push(conn),
            Event::Opened { conn, .. } => {
                io.send(conn, &self.hello).expect("room for one message");
            }
            Event::Data { conn, .. } => match self.sent_at.remove(conn) {
                Some(at) => self.latencies.push(io.clock().since(at).as_nanos() as u64),
                // The server has answered; with that its work on this handshake is done.
                None if io.abort(conn) => self.answered += 1,
                None => {}
            },
            Event::Timer { tag, .. } => {
                let conn = self.pingers[tag as usize];
                io.timer_after(PERIOD, tag);
                if self.sent_at.get(conn).is_none() {
                    self.sent_at.insert(conn, io.clock());
                    io.send(conn, &PING).expect("room for a ping");
                    io.flush_now(conn).expect("it is open");
                }
            }
            _ => {}
        }
    }
}

/// The latencies of a while without a storm, or of one.
fn round(reactor: &mut Reactor, clients: &mut Clients, stormy: bool) -> Vec<u64> {
    clients.latencies.clear();
    clients.answered = 0;
    let (mut dialled, until) = (0, reactor.io().now() + QUIET);
    loop {
        if stormy && dialled < CLIENTS {
            for _ in 0..DIALS_PER_TURN {
                reactor.io().connect(Connect::to(clients.server)).expect("room for it");
            }
            dialled += DIALS_PER_TURN;
        }
        reactor.turn(Wait::No, clients).expect("a turn");
        let over = if stormy { clients.answered >= CLIENTS } else { reactor.io().now() >= until };
        if over {
            let mut latencies = std::mem::take(&mut clients.latencies);
            latencies.sort_unstable();
            return latencies;
        }
    }
}

fn main() {
    let (server_tls, client_tls) = security();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || serve(listener, server_tls));
    pin(0);
    let mut clients = Clients {
        server,
        hello: client_hello(&client_tls),
        pingers: Vec::new(),
        sent_at: PerConn::new(),
        latencies: Vec::new(),
        answered: 0,
    };
    let mut reactor = Reactor::new(Config::with(|config| config.idle = Idle::Spin)).expect("a reactor");
    for _ in 0..PINGERS {
        reactor.io().connect(Connect::to(server).tls(&client_tls, "localhost")).expect("room for it");
    }
    while clients.pingers.len() < PINGERS {
        reactor.turn(Wait::No, &mut clients).expect("a turn");
    }
    for pinger in 0..PINGERS {
        reactor.io().timer_after(PERIOD * pinger as u32 / PINGERS as u32, pinger as u64);
    }
    round(&mut reactor, &mut clients, false);
    let mut found = [(); 2].map(|()| (Vec::new(), Vec::new()));
    for _ in 0..ROUNDS {
        for (stormy, (p50s, p99s)) in [false, true].into_iter().zip(&mut found) {
            let latencies = round(&mut reactor, &mut clients, stormy);
            p50s.push(quantile(&latencies, 0.5) as f64 / 1e3);
            p99s.push(quantile(&latencies, 0.99) as f64 / 1e3);
        }
    }
    println!("{PINGERS} open connections, {CLIENTS} handshakes at once; medians of {ROUNDS} rounds, us");
    let [quiet, storm] = found.map(|(p50s, p99s)| (median(p50s), median(p99s)));
    println!("quiet   p50 {:>8.1}   p99 {:>8.1}", quiet.0, quiet.1);
    println!("storm   p50 {:>8.1}   p99 {:>8.1}", storm.0, storm.1);
    println!("ratio   p50 {:>8.2}   p99 {:>8.2}", storm.0 / quiet.0, storm.1 / quiet.1);
}
