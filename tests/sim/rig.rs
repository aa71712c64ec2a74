//! The rig of these tests: a handler that notes what happens to it, and a server and a client that have one each.

use std::time::Duration;
use windlass::sim::{Host, Link, Network};
use windlass::time::Instant;
use windlass::{Cause, Conn, Connect, Cores, Event, Handler, Io, Listen, Options};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
pub const PORT: u16 = 7000;

/// One closed connection.
#[derive(Clone, Debug)]
pub struct Closed {
    pub cause: Cause,
    pub errno: Option<i32>,
    /// By the clock of its host, counted from the beginning of the network.
    pub at: Duration,
}

/// Notes what happens to it; sends back what it gets, if it is told to.
#[derive(Default, Debug)]
pub struct Peer {
    pub echoes: bool,
    pub opened: Vec<Conn>,
    pub accepted: usize,
    pub received: Vec<u8>,
    pub finished: usize,
    pub closed: Vec<Closed>,
    /// Tags of timers, and when they came.
    pub timers: Vec<(u64, Duration)>,
    pub listeners_failed: usize,
}

impl Handler for Peer {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Accepted { .. } => self.accepted += 1,
            Event::Opened { conn, .. } => self.opened.push(conn),
            Event::Data { conn, bytes } => {
                self.received.extend_from_slice(bytes);
                if self.echoes {
                    let _ = io.send(conn, bytes);
                }
            }
            Event::PeerFinished { .. } => self.finished += 1,
            Event::Closed { reason, .. } => {
                let (cause, errno, at) = (reason.cause(), reason.errno(), since_start(reason.at()));
                self.closed.push(Closed { cause, errno, at });
            }
            Event::Timer { tag, .. } => self.timers.push((tag, since_start(io.now()))),
            Event::ListenerFailed { .. } => self.listeners_failed += 1,
            _ => {}
        }
    }
}

/// Clocks of hosts stand at 1 s when a network is made.
pub fn since_start(at: Instant) -> Duration {
    at.since(Instant::from_millis(1000))
}

/// A server that echoes and a client, 10 ms apart.
pub struct Pair {
    pub net: Network,
    pub server: Host,
    pub client: Host,
}

impl Pair {
    pub fn new(seed: u64) -> Pair {
        Pair::with(seed, Options::default())
    }

    /// A pair whose server has these options.
    pub fn with(seed: u64, options: Options) -> Pair {
        let mut net = Network::new(seed);
        net.record(1000);
        net.link(Link::new(10 * MS));
        let (server, client) = (net.host("server"), net.host("client"));
        serve(&mut net, server, options);
        net.start(client, Cores::new(1), |_| Peer::default()).unwrap();
        Pair { net, server, client }
    }

    pub fn connect(&mut self) -> Conn {
        self.connect_with(Options::default())
    }

    pub fn connect_with(&mut self, options: Options) -> Conn {
        let to = self.server.port(PORT);
        self.net.with(self.client, |_: &mut Peer, io| io.connect(Connect::to(to).options(options)).unwrap())
    }

    /// A connection that works.
    pub fn connected(&mut self, options: Options) -> Conn {
        let conn = self.connect_with(options);
        self.net.expect_within(10 * SECOND, "it opens", |net| {
            net.app::<Peer>(Host::nth(1)).opened.contains(&conn)
        });
        conn
    }

    pub fn send(&mut self, conn: Conn, bytes: &[u8]) {
        // What is closed by now takes nothing.
        let _ = self.net.with(self.client, |_: &mut Peer, io| io.send(conn, bytes));
    }

    pub fn seen_by_client(&self) -> &Peer {
        self.net.app(self.client)
    }

    pub fn seen_by_server(&self) -> &Peer {
        self.net.app(self.server)
    }

    /// Runs until the client has a connection closed, and says how.
    #[track_caller]
    pub fn closed_within(&mut self, limit: Duration) -> Closed {
        let client = self.client;
        self.net.expect_within(limit, "it closes", |net| !net.app::<Peer>(client).closed.is_empty());
        self.seen_by_client().closed[0].clone()
    }
}

/// Starts an echo server.
pub fn serve(net: &mut Network, host: Host, options: Options) {
    let listen = Listen::tcp(("0.0.0.0", PORT)).options(options);
    net.start(host, Cores::new(1).listen(listen), |_| Peer { echoes: true, ..Peer::default() }).unwrap();
}
