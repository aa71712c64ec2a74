//! The rig of these tests: a reactor, what its handler has seen, and ordinary sockets as its peers.
//!
//! Nothing here sleeps. A test turns the reactor until what it waits for is there; after a bounded number of
//! turns it fails and prints what was seen. Peers never block, so one thread plays both ends.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use windlass::metrics::Figures;
use windlass::{
    Address, Cause, CloseReason, Config, Conn, Event, Io, Listen, Listener, Mailbox, Options, Owner, Reactor,
    Readiness, Source, Timer, Turn, Wait,
};

/// Turns after which a test gives up: at least 10 s if nothing at all happens.
const TURNS_MAX: usize = 2000;
const TURN: Wait = Wait::For(Duration::from_millis(5));

/// An event as an owned value.
#[derive(Clone, PartialEq)]
pub enum Seen {
    Accepted(Conn, Listener),
    Opened(Conn),
    Data(Conn, Vec<u8>),
    Drained(Conn),
    PeerFinished(Conn),
    Closed(Conn, CloseReason),
    Timer(Timer, u64),
    Mail(Mailbox),
    Ready(Source, Readiness),
    ListenerFailed(Listener),
    Stopping,
}

impl Seen {
    fn of(event: &Event<'_>) -> Seen {
        match event {
            Event::Accepted { conn, listener, .. } => Seen::Accepted(*conn, *listener),
            Event::Opened { conn, .. } => Seen::Opened(*conn),
            Event::Data { conn, bytes } => Seen::Data(*conn, bytes.to_vec()),
            Event::Drained { conn } => Seen::Drained(*conn),
            Event::PeerFinished { conn } => Seen::PeerFinished(*conn),
            Event::Closed { conn, reason } => Seen::Closed(*conn, (*reason).clone()),
            Event::Timer { timer, tag } => Seen::Timer(*timer, *tag),
            Event::Mail { mailbox } => Seen::Mail(*mailbox),
            Event::Ready { source, readiness } => Seen::Ready(*source, *readiness),
            Event::ListenerFailed { listener, .. } => Seen::ListenerFailed(*listener),
            Event::Stopping { .. } => Seen::Stopping,
            other => panic!("an event that these tests do not know: {other:?}"),
        }
    }

    pub fn conn(&self) -> Option<Conn> {
        match self {
            Seen::Accepted(conn, _)
            | Seen::Opened(conn)
            | Seen::Data(conn, _)
            | Seen::Drained(conn)
            | Seen::PeerFinished(conn)
            | Seen::Closed(conn, _) => Some(*conn),
            _ => None,
        }
    }

    /// The event's name, to compare orders with.
    pub fn word(&self) -> &'static str {
        match self {
            Seen::Accepted(..) => "accepted",
            Seen::Opened(_) => "opened",
            Seen::Data(..) => "data",
            Seen::Drained(_) => "drained",
            Seen::PeerFinished(_) => "peer finished",
            Seen::Closed(..) => "closed",
            Seen::Timer(..) => "timer",
            Seen::Mail(_) => "mail",
            Seen::Ready(..) => "ready",
            Seen::ListenerFailed(_) => "listener failed",
            Seen::Stopping => "stopping",
        }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Data(conn, bytes) if bytes.len() > 32 => {
                write!(f, "data {conn:?} {} bytes", bytes.len())
            }
            Seen::Data(conn, bytes) => write!(f, "data {conn:?} {:?}", String::from_utf8_lossy(bytes)),
            Seen::Closed(conn, reason) => write!(f, "closed {conn:?} {reason}"),
            Seen::Timer(timer, tag) => write!(f, "{timer:?} tag {tag}"),
            other => write!(f, "{} {:?}", other.word(), other.conn()),
        }
    }
}

/// A reactor and what its handler has seen so far.
pub struct Rig {
    pub reactor: Reactor,
    pub seen: Vec<Seen>,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(Config::default())
    }

    pub fn with(config: Config) -> Rig {
        Rig { reactor: Reactor::new(config).expect("a reactor"), seen: Vec::new() }
    }

    pub fn io(&mut self) -> &mut Io {
        self.reactor.io()
    }

    /// One turn; every event is noted before `handler` gets it.
    pub fn turn(&mut self, wait: Wait, mut handler: impl FnMut(&mut Io, Event<'_>)) -> Turn {
        let seen = &mut self.seen;
        let mut noting = |io: &mut Io, event: Event<'_>| {
            seen.push(Seen::of(&event));
            handler(io, event);
        };
        self.reactor.turn(wait, &mut noting).expect("a turn")
    }

    /// Turns until `done`, or fails with what was seen.
    pub fn until(
        &mut self,
        what: &str,
        mut handler: impl FnMut(&mut Io, Event<'_>),
        mut done: impl FnMut(&mut Rig) -> bool,
    ) {
        for _ in 0..TURNS_MAX {
            if done(self) {
                return;
            }
            self.turn(TURN, &mut handler);
        }
        panic!("{what}: not after {TURNS_MAX} turns; seen: {:#?}", self.seen);
    }

    /// Turns until nothing is left to do: three turns in a row in which nothing happened.
    pub fn settle(&mut self, mut handler: impl FnMut(&mut Io, Event<'_>)) {
        let mut quiet = 0;
        for _ in 0..TURNS_MAX {
            let turn = self.turn(Wait::For(Duration::from_millis(1)), &mut handler);
            quiet = if turn == Turn::default() { quiet + 1 } else { 0 };
            if quiet == 3 {
                return;
            }
        }
        panic!("the reactor does not come to rest; seen: {:#?}", self.seen);
    }

    /// Listens on a port of loopback.
    pub fn listen(&mut self, listen: impl FnOnce(Listen) -> Listen) -> (Listener, SocketAddr) {
        let listener = self.io().listen(listen(Listen::tcp("127.0.0.1:0"))).expect("a listener");
        let address = self.io().listener_address(listener).expect("its address").as_inet().expect("TCP");
        (listener, address)
    }

    /// An accepted and opened connection, and the other end of it.
    pub fn peer(&mut self) -> (Conn, TcpStream) {
        self.peer_with(Options::default())
    }

    /// Like `peer`, with options.
    pub fn peer_with(&mut self, options: Options) -> (Conn, TcpStream) {
        self.peer_of(Owner::APP, Some(options))
    }

    /// Like `peer`, of a component; without options it has the reactor's.
    pub fn peer_of(&mut self, owner: Owner, options: Option<Options>) -> (Conn, TcpStream) {
        let (listener, address) = self.listen(|listen| match options {
            Some(options) => listen.options(options).owner(owner),
            None => listen.owner(owner),
        });
        let before = self.seen.len();
        let peer = dial(address);
        self.until("a connection opens", ignore, |rig| rig.last_opened(before).is_some());
        let conn = self.last_opened(before).expect("just seen");
        self.io().close_listener(listener);
        (conn, peer)
    }

    fn last_opened(&self, since: usize) -> Option<Conn> {
        self.seen[since..].iter().rev().find_map(|seen| match seen {
            Seen::Opened(conn) => Some(*conn),
            _ => None,
        })
    }

    /// What was seen of `conn`, by name.
    pub fn words(&self, conn: Conn) -> Vec<&'static str> {
        self.seen.iter().filter(|seen| seen.conn() == Some(conn)).map(Seen::word).collect()
    }

    /// How often something of that name was seen.
    pub fn count(&self, word: &str) -> usize {
        self.seen.iter().filter(|seen| seen.word() == word).count()
    }

    /// All bytes that `conn` was lent, one after the other.
    pub fn data(&self, conn: Conn) -> Vec<u8> {
        self.lent(conn).concat()
    }

    /// The bytes of each `Data` of `conn`.
    pub fn lent(&self, conn: Conn) -> Vec<&[u8]> {
        let mine = self.seen.iter().filter_map(|seen| match seen {
            Seen::Data(whose, bytes) if *whose == conn => Some(&bytes[..]),
            _ => None,
        });
        mine.collect()
    }

    /// Why `conn` was closed, if it was.
    pub fn closed(&self, conn: Conn) -> Option<&CloseReason> {
        self.seen.iter().find_map(|seen| match seen {
            Seen::Closed(whose, reason) if *whose == conn => Some(reason),
            _ => None,
        })
    }

    /// Turns until `conn` is closed and says why.
    pub fn until_closed(&mut self, conn: Conn, handler: impl FnMut(&mut Io, Event<'_>)) -> Cause {
        self.until("the connection closes", handler, |rig| rig.closed(conn).is_some());
        self.closed(conn).expect("just seen").cause()
    }

    /// Turns until `conn` has been lent that many bytes in all.
    pub fn until_data(&mut self, conn: Conn, bytes: usize, handler: impl FnMut(&mut Io, Event<'_>)) {
        self.until("the bytes come", handler, |rig| rig.data(conn).len() >= bytes);
    }

    /// Turns until `peer` has received `n` bytes.
    pub fn receive(
        &mut self,
        peer: &mut impl Read,
        n: usize,
        handler: impl FnMut(&mut Io, Event<'_>),
    ) -> Vec<u8> {
        let mut got = Vec::new();
        self.until("the peer receives", handler, |_| {
            let end = drink(peer, &mut got, n);
            assert!(
                end == End::None || got.len() == n,
                "the stream ended ({end:?}) after {} bytes",
                got.len()
            );
            got.len() >= n
        });
        got
    }

    /// Turns until `peer` has seen its stream end, and says how.
    pub fn receive_to_end(
        &mut self,
        peer: &mut impl Read,
        handler: impl FnMut(&mut Io, Event<'_>),
    ) -> (Vec<u8>, End) {
        let mut got = Vec::new();
        let mut end = End::None;
        self.until("the peer's stream ends", handler, |_| {
            end = drink(peer, &mut got, usize::MAX);
            end != End::None
        });
        (got, end)
    }

    /// Turns until `peer` has sent all of `bytes`.
    pub fn feed(&mut self, peer: &mut impl Write, bytes: &[u8], handler: impl FnMut(&mut Io, Event<'_>)) {
        let mut rest = bytes;
        self.until("the peer sends", handler, |_| {
            pour(peer, &mut rest);
            rest.is_empty()
        });
    }

    /// Sends to `conn` until the kernel takes no more and something is queued; says how much was sent.
    pub fn clog(&mut self, conn: Conn) -> usize {
        let block = [b'x'; 32 * 1024];
        let mut sent = 0;
        while self.io().queued(conn) == 0 {
            self.io().send(conn, &block).expect("room for what the kernel takes");
            sent += block.len();
        }
        sent
    }

    pub fn figures(&mut self) -> Figures {
        self.io().metrics().figures()
    }
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It has not.
    None,
    InOrder,
    Reset,
}

/// Reads what is there, `max` bytes in all at most.
pub fn drink(peer: &mut impl Read, got: &mut Vec<u8>, max: usize) -> End {
    let mut piece = [0; 64 * 1024];
    while got.len() < max {
        let room = piece.len().min(max - got.len());
        match peer.read(&mut piece[..room]) {
            Ok(0) => return End::InOrder,
            Ok(n) => got.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return End::None,
            Err(_) => return End::Reset,
        }
    }
    End::None
}

/// Writes what the kernel takes of `rest`.
pub fn pour(peer: &mut impl Write, rest: &mut &[u8]) {
    while !rest.is_empty() {
        match peer.write(rest) {
            Ok(n) => *rest = &rest[n..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("the peer cannot send: {error}"),
        }
    }
}

/// A peer that never blocks.
pub fn dial(address: SocketAddr) -> TcpStream {
    let peer = TcpStream::connect(address).expect("somebody listens");
    peer.set_nonblocking(true).expect("a socket can be non-blocking");
    peer.set_nodelay(true).expect("TCP");
    peer
}

/// Drops `peer` so that the other end sees a reset.
pub fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("a socket can linger");
}

/// The options that `change` makes of the default ones.
pub fn options(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    change(&mut options);
    options
}

/// The configuration that `change` makes of the default one.
pub fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// Bytes that repeat only every 251, so that anything lost, doubled or swapped shows.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..251).cycle().take(len).collect()
}

/// Fails with the first difference instead of printing megabytes.
pub fn assert_same(got: &[u8], expected: &[u8]) {
    let differs = got.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        got.len() == expected.len() && differs.is_none(),
        "{} bytes came, {} were sent, first difference at {differs:?}",
        got.len(),
        expected.len()
    );
}

/// A path for a Unix socket that nobody else uses; the directory goes with the value.
pub struct SocketPath(std::path::PathBuf);

impl SocketPath {
    pub fn new(name: &str) -> SocketPath {
        let directory = std::env::temp_dir().join(format!("windlass-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a temporary directory");
        SocketPath(directory)
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.0.join("socket")
    }

    pub fn address(&self) -> Address {
        self.path().into()
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        // Best effort: what is left in the temporary directory is the system's to clean.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The handler of those who only watch.
pub fn ignore(_: &mut Io, _: Event<'_>) {}

/// The twelve-line echo.
pub fn echo(io: &mut Io, event: Event<'_>) {
    if let Event::Data { conn, bytes } = event {
        let _ = io.send(conn, bytes);
    }
}
