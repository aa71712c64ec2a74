//! The rig of these tests: a server's and a client's reactor on one thread, secured in whichever way, and what
//! their handlers saw.

pub use crate::security::{ALL, Kind};
use crate::thorough::thorough;
use windlass::noise::Noise;

/// The kinds that are secured at all.
pub const SECURED: [Kind; 3] = [Kind::Tls, Kind::Noise, Kind::TlsNoise];

/// All kinds, or at a desk those with the fewest and the most layers: for tests that take long with each.
pub fn some_kinds() -> &'static [Kind] {
    thorough(&ALL, &[Kind::Plain, Kind::TlsNoise])
}

impl Kind {
    /// Listens as this kind does, with other Noise.
    pub fn listen_with(self, listen: Listen, noise: &Noise) -> Listen {
        let listen = if self == Kind::TlsNoise { Kind::Tls.listen(listen) } else { listen };
        listen.noise(noise)
    }

    /// Connects as this kind does, with other Noise.
    pub fn connect_with(self, connect: Connect, noise: &Noise) -> Connect {
        let connect = if self == Kind::TlsNoise { Kind::Tls.connect(connect) } else { connect };
        connect.noise(noise)
    }
}

use std::net::SocketAddr;
use std::time::Duration;
use windlass::metrics::Figures;
use windlass::{Cause, Config, Conn, Connect, Event, Io, Listen, Options, Reactor, Session, Wait};

/// Turns of both reactors after which a test gives up.
const TURNS_MAX: usize = 40_000;

/// One side: what its handler saw.
#[derive(Default, Debug)]
pub struct Side {
    pub opened: Vec<Conn>,
    pub sessions: Vec<Session>,
    pub received: Vec<u8>,
    pub drained: usize,
    pub finished: usize,
    pub closed: Vec<(Conn, Cause, Option<String>)>,
    /// The names of all events in order.
    pub words: Vec<&'static str>,
}

impl Side {
    pub fn note(&mut self, event: &Event<'_>) {
        self.words.push(match event {
            Event::Accepted { .. } => "accepted",
            Event::Opened { conn, session, .. } => {
                self.opened.push(*conn);
                self.sessions.push((*session).clone());
                "opened"
            }
            Event::EarlyData { .. } => "early",
            Event::Data { bytes, .. } => {
                self.received.extend_from_slice(bytes);
                "data"
            }
            Event::Drained { .. } => {
                self.drained += 1;
                "drained"
            }
            Event::PeerFinished { .. } => {
                self.finished += 1;
                "finished"
            }
            Event::Closed { conn, reason } => {
                self.closed.push((*conn, reason.cause(), reason.detail().map(str::to_owned)));
                "closed"
            }
            _ => "other",
        });
    }

    pub fn cause(&self) -> Option<Cause> {
        self.closed.last().map(|(_, cause, _)| *cause)
    }
}

/// A reactor that listens, and what its handler saw.
pub struct Host {
    pub reactor: Reactor,
    pub seen: Side,
    pub address: SocketAddr,
}

impl Host {
    pub fn new(kind: Kind, config: Config) -> Host {
        let mut reactor = Reactor::new(config).unwrap();
        let listener = reactor.io().listen(kind.listen(Listen::tcp("127.0.0.1:0"))).unwrap();
        let address = reactor.io().listener_address(listener).unwrap().as_inet().unwrap();
        Host { reactor, seen: Side::default(), address }
    }

    pub fn turn(&mut self, act: &mut impl FnMut(&mut Io, Event<'_>)) {
        let seen = &mut self.seen;
        let mut handler = |io: &mut Io, event: Event<'_>| {
            seen.note(&event);
            act(io, event);
        };
        self.reactor.turn(Wait::For(Duration::from_micros(500)), &mut handler).unwrap();
    }

    /// Turns until `done`, which is where raw peers go on.
    pub fn until(
        &mut self,
        what: &str,
        mut act: impl FnMut(&mut Io, Event<'_>),
        mut done: impl FnMut(&mut Host) -> bool,
    ) {
        for _ in 0..TURNS_MAX {
            if done(self) {
                return;
            }
            self.turn(&mut act);
        }
        panic!("{what}: not after {TURNS_MAX} turns; {:?} {:?}", self.seen.words, self.seen.closed);
    }

    pub fn figures(&mut self) -> Figures {
        self.reactor.io().metrics().figures()
    }

    /// Nothing of any connection is left, neither buffers nor deadlines.
    pub fn assert_nothing_left(&mut self) {
        assert_eq!(self.reactor.io().connections(), 0);
        self.turn(&mut ignore);
        let figures = self.figures();
        assert_eq!((figures.pool_bytes_taken, figures.buffered_bytes, figures.deadlines_armed), (0, 0, 0));
    }
}

pub struct Pair {
    pub server: Reactor,
    pub client: Reactor,
    pub s: Side,
    pub c: Side,
    pub address: SocketAddr,
}

impl Pair {
    pub fn listening(listen: impl FnOnce(Listen) -> Listen, config: Config) -> Pair {
        let mut server = Reactor::new(config.clone()).unwrap();
        let listener = server.io().listen(listen(Listen::tcp("127.0.0.1:0"))).unwrap();
        let address = server.io().listener_address(listener).unwrap().as_inet().unwrap();
        Pair {
            server,
            client: Reactor::new(config).unwrap(),
            s: Side::default(),
            c: Side::default(),
            address,
        }
    }

    pub fn new(kind: Kind, options: Options) -> (Pair, Conn) {
        let config = Config::with(|config| config.options = options);
        let mut pair = Pair::listening(|listen| kind.listen(listen), config);
        let connect = kind.connect(Connect::to(pair.address));
        let conn = pair.client.io().connect(connect).unwrap();
        (pair, conn)
    }

    /// Connects once more, in the same way as [`Pair::new`] does.
    pub fn connect(&mut self, kind: Kind) -> Conn {
        let connect = kind.connect(Connect::to(self.address));
        self.client.io().connect(connect).unwrap()
    }

    /// Turns until both ends have opened.
    pub fn open(kind: Kind, options: Options) -> (Pair, Conn, Conn) {
        let (mut pair, conn) = Pair::new(kind, options);
        pair.until("both open", ignore, ignore, |pair| {
            !pair.s.opened.is_empty() && !pair.c.opened.is_empty()
        });
        let server = pair.s.opened[0];
        (pair, conn, server)
    }

    /// Turns until both ends have closed, and says by what: the server's first.
    pub fn causes(&mut self, what: &str) -> (Cause, Cause) {
        self.until(what, ignore, ignore, |pair| pair.s.cause().is_some() && pair.c.cause().is_some());
        (self.s.cause().unwrap(), self.c.cause().unwrap())
    }

    /// One turn of each; events are noted before the handlers get them.
    pub fn turn(
        &mut self,
        server: &mut impl FnMut(&mut Io, Event<'_>),
        client: &mut impl FnMut(&mut Io, Event<'_>),
    ) {
        let (s, c) = (&mut self.s, &mut self.c);
        let mut server = |io: &mut Io, event: Event<'_>| {
            s.note(&event);
            server(io, event);
        };
        let mut client = |io: &mut Io, event: Event<'_>| {
            c.note(&event);
            client(io, event);
        };
        self.server.turn(Wait::For(Duration::from_micros(500)), &mut server).unwrap();
        self.client.turn(Wait::For(Duration::from_micros(500)), &mut client).unwrap();
    }

    pub fn until(
        &mut self,
        what: &str,
        mut server: impl FnMut(&mut Io, Event<'_>),
        mut client: impl FnMut(&mut Io, Event<'_>),
        mut done: impl FnMut(&mut Pair) -> bool,
    ) {
        for _ in 0..TURNS_MAX {
            if done(self) {
                return;
            }
            self.turn(&mut server, &mut client);
        }
        panic!("{what}: not after {TURNS_MAX} turns; server: {:?}\nclient: {:?}", self.s.words, self.c.words);
    }
}

pub fn ignore(_: &mut Io, _: Event<'_>) {}

pub fn echo(io: &mut Io, event: Event<'_>) {
    if let Event::Data { conn, bytes } = event {
        io.send(conn, bytes).unwrap();
    }
}

/// Bytes that differ from place to place.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8)).wrapping_mul(167) as u8).collect()
}
