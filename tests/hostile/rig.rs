//! A reactor with a listener on this thread, and a handler that writes down what it is told and checks that
//! events come in the promised order.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use windlass::metrics::Figures;
use windlass::{Cause, Config, Conn, Event, Handler, Io, Listen, Options, Reactor, Turn, Wait};

/// Turns without an end in sight after which a test gives up: each waits 10 ms at most.
const TURNS_MAX: usize = 6_000;

/// What a handler was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    Accepted(Conn),
    Opened(Conn),
    Data(Conn, Vec<u8>),
    Drained(Conn),
    Finished(Conn),
    Closed(Conn, Cause),
    Timer(u64),
    Mail,
    Failed,
    Stopping,
    Other,
}

impl Seen {
    fn of(event: &Event<'_>) -> Seen {
        match event {
            Event::Accepted { conn, .. } => Seen::Accepted(*conn),
            Event::Opened { conn, .. } => Seen::Opened(*conn),
            Event::Data { conn, bytes } => Seen::Data(*conn, bytes.to_vec()),
            Event::Drained { conn } => Seen::Drained(*conn),
            Event::PeerFinished { conn } => Seen::Finished(*conn),
            Event::Closed { conn, reason } => Seen::Closed(*conn, reason.cause()),
            Event::Timer { tag, .. } => Seen::Timer(*tag),
            Event::Mail { .. } => Seen::Mail,
            Event::ListenerFailed { .. } => Seen::Failed,
            Event::Stopping { .. } => Seen::Stopping,
            _ => Seen::Other,
        }
    }

    fn conn(&self) -> Option<Conn> {
        match self {
            Seen::Accepted(conn)
            | Seen::Opened(conn)
            | Seen::Data(conn, _)
            | Seen::Drained(conn)
            | Seen::Finished(conn)
            | Seen::Closed(conn, _) => Some(*conn),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Accepted,
    Open,
    Finished,
    Over,
}

/// Writes events down, checks their order, and lets `act` answer them.
pub struct Script<F> {
    pub log: Vec<Seen>,
    lives: HashMap<Conn, Life>,
    act: F,
}

impl<F: FnMut(&mut Io, &Event<'_>)> Script<F> {
    pub fn new(act: F) -> Script<F> {
        Script { log: Vec::new(), lives: HashMap::new(), act }
    }

    fn check_order(&mut self, seen: &Seen) {
        let Some(conn) = seen.conn() else { return };
        let before = self.lives.get(&conn).copied();
        let now = match (before, seen) {
            (None, Seen::Accepted(_)) => Life::Accepted,
            (None | Some(Life::Accepted), Seen::Opened(_)) => Life::Open,
            (Some(Life::Open), Seen::Data(..)) => Life::Open,
            (Some(life @ (Life::Open | Life::Finished)), Seen::Drained(_)) => life,
            (Some(Life::Open), Seen::Finished(_)) => Life::Finished,
            (None | Some(Life::Accepted | Life::Open | Life::Finished), Seen::Closed(..)) => Life::Over,
            _ => panic!("{seen:?} of a connection that is {before:?}"),
        };
        self.lives.insert(conn, now);
    }

    pub fn count(&self, wanted: impl Fn(&Seen) -> bool) -> usize {
        self.log.iter().filter(|seen| wanted(seen)).count()
    }

    pub fn opened(&self) -> Vec<Conn> {
        let opened = self.log.iter().filter_map(|seen| match seen {
            Seen::Opened(conn) => Some(*conn),
            _ => None,
        });
        opened.collect()
    }

    pub fn causes(&self) -> Vec<Cause> {
        let causes = self.log.iter().filter_map(|seen| match seen {
            Seen::Closed(_, cause) => Some(*cause),
            _ => None,
        });
        causes.collect()
    }

    /// All bytes that came, of all connections, in order.
    pub fn received(&self) -> Vec<u8> {
        let pieces = self.log.iter().filter_map(|seen| match seen {
            Seen::Data(_, bytes) => Some(&bytes[..]),
            _ => None,
        });
        pieces.collect::<Vec<_>>().concat()
    }
}

impl<F: FnMut(&mut Io, &Event<'_>)> Handler for Script<F> {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        let seen = Seen::of(&event);
        self.check_order(&seen);
        self.log.push(seen);
        (self.act)(io, &event);
    }
}

/// Does nothing with what it is told.
pub fn silent() -> Script<impl FnMut(&mut Io, &Event<'_>)> {
    Script::new(|_: &mut Io, _: &Event<'_>| {})
}

/// Sends everything back.
pub fn echo() -> Script<impl FnMut(&mut Io, &Event<'_>)> {
    Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            let _ = io.send(*conn, bytes);
        }
    })
}

/// Options changed a little.
pub fn options(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    change(&mut options);
    options
}

/// A configuration changed a little.
pub fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// Makes room for the descriptors of both ends of thousands of connections, once.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    static RAISED: std::sync::Once = std::sync::Once::new();
    RAISED.call_once(|| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    });
}

/// Lets this process have that many descriptors; only for tests that run in a child.
pub fn limit_descriptors(current: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap();
}

/// Takes every descriptor below 64 that is left; dropping them ends the shortage.
pub fn take_all_descriptors() -> Vec<std::fs::File> {
    limit_descriptors(64);
    std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
}

/// A reactor that listens on loopback.
pub struct Rig {
    pub reactor: Reactor,
    pub address: SocketAddr,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(Config::default())
    }

    pub fn with(config: Config) -> Rig {
        raise_descriptor_limit();
        let mut reactor = Reactor::new(config).unwrap();
        let listener = reactor.io().listen(Listen::tcp("127.0.0.1:0")).unwrap();
        let address = reactor.io().listener_address(listener).unwrap().as_inet().unwrap();
        Rig { reactor, address }
    }

    /// A peer; the kernel completes the connection before the reactor has accepted it.
    pub fn peer(&self) -> TcpStream {
        let peer = TcpStream::connect(self.address).unwrap();
        peer.set_nodelay(true).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        peer
    }

    pub fn turn<H: Handler>(&mut self, handler: &mut H) -> Turn {
        self.reactor.turn(Wait::No, handler).unwrap()
    }

    /// Turns until `done`.
    #[track_caller]
    pub fn until<H: Handler>(&mut self, handler: &mut H, done: impl FnMut(&H) -> bool) {
        let count = drive(&mut self.reactor, handler, done);
        assert!(count < TURNS_MAX, "nothing came of it");
    }

    /// Turns until nothing is left to do; fails if the reactor never comes to rest.
    #[track_caller]
    pub fn settle<H: Handler>(&mut self, handler: &mut H) {
        let mut turns = 0;
        loop {
            let turn = self.reactor.turn(Wait::For(Duration::from_millis(1)), handler).unwrap();
            if turn.events == 0 && turn.handled == 0 && !turn.backlog {
                return;
            }
            turns += 1;
            assert!(turns < TURNS_MAX, "the reactor does not come to rest: {turn:?}");
        }
    }

    pub fn figures(&mut self) -> Figures {
        self.reactor.io().metrics().figures()
    }

    /// Slots, buffers, deadlines: everything that connections took has been given back.
    #[track_caller]
    pub fn assert_nothing_left(&mut self) {
        assert_eq!(self.reactor.io().connections(), 0, "slots");
        let figures = self.figures();
        assert_eq!(figures.connections_active, 0, "connections");
        assert_eq!(figures.buffered_bytes, 0, "buffered bytes");
        assert_eq!(figures.pool_bytes_taken, 0, "pool");
        assert_eq!(figures.deadlines_armed, 0, "deadlines");
    }
}

/// Turns until `done`; answers how many turns that took, at most [`TURNS_MAX`].
pub fn drive<H: Handler>(reactor: &mut Reactor, handler: &mut H, mut done: impl FnMut(&H) -> bool) -> usize {
    for turns in 0..TURNS_MAX {
        if done(handler) {
            return turns;
        }
        reactor.turn(Wait::For(Duration::from_millis(10)), handler).unwrap();
    }
    TURNS_MAX
}

/// Bytes whose period no buffer size is a multiple of.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Runs the test of that name again in a process of its own, with `HOSTILE_CHILD` set; true in that child.
pub fn in_a_child(test: &str) -> bool {
    if std::env::var_os("HOSTILE_CHILD").is_some() {
        return true;
    }
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("HOSTILE_CHILD", "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && output.contains("1 passed"), "{test} in a child: {output}");
    false
}

/// Closes a standard socket with a reset.
pub fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}
