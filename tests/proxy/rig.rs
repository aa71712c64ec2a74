//! A server behind a proxy, and blocking streams to both ends of a connection through it.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;
use windlass::proxy::{FaultProxy, Plan, ProxyFigures, spawn_with};
use windlass::time::{Clock, Instant};

/// How long anything may take before a test gives up; nothing is expected to take so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy and the server that it leads to.
pub struct Rig {
    pub proxy: FaultProxy,
    pub server: TcpListener,
    pub clock: Clock,
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    InOrder,
    Reset,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::seeded(7)
    }

    pub fn seeded(seed: u64) -> Rig {
        Rig::at("127.0.0.1", seed)
    }

    /// With an address that no other test has, so that nobody takes its port when the proxy lets go of it.
    pub fn at(host: &str, seed: u64) -> Rig {
        let server = TcpListener::bind("127.0.0.1:0").expect("a server");
        let plan = Plan::to("tested", server.local_addr().expect("it listens"));
        let plan = Plan { listen: format!("{host}:0"), ..plan };
        let proxy = spawn_with(plan, seed).expect("a proxy");
        println!("seed {seed}");
        Rig { proxy, server, clock: Clock::os() }
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A client that has only just connected to the proxy.
    pub fn client(&self) -> TcpStream {
        patient(TcpStream::connect(self.proxy.address()).expect("the proxy takes it in"))
    }

    /// What the proxy connects to its server.
    pub fn served(&self) -> TcpStream {
        patient(self.server.accept().expect("the proxy connects").0)
    }

    /// Both ends of a connection through the proxy.
    pub fn pair(&self) -> (TcpStream, TcpStream) {
        (self.client(), self.served())
    }

    pub fn figures(&self) -> ProxyFigures {
        self.proxy.figures().expect("the proxy runs")
    }

    /// Asks the proxy until its figures are as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&ProxyFigures) -> bool) -> ProxyFigures {
        let until = self.now() + PATIENCE;
        loop {
            let figures = self.figures();
            if wanted(&figures) {
                return figures;
            }
            assert!(self.now() < until, "never came: {what}: {figures:?}");
        }
    }
}

pub fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// The next `n` bytes.
pub fn hear(stream: &mut impl Read, n: usize) -> Vec<u8> {
    let mut heard = vec![0; n];
    stream.read_exact(&mut heard).expect("so many bytes come");
    heard
}

/// All bytes to the end, and how it came.
pub fn hear_to_end(stream: &mut impl Read) -> (Vec<u8>, End) {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => (heard, End::InOrder),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (heard, End::Reset),
        Err(error) => panic!("after {} bytes: {error}", heard.len()),
    }
}

/// Writes until the other side has gone away; how far it came does not matter.
pub fn say_what_is_taken(stream: &mut impl Write, bytes: &[u8]) {
    let _nobody_may_be_there = stream.write_all(bytes);
}

/// Nothing is there to be read now.
pub fn hears_nothing(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let outcome = stream.read(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    outcome.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Closes the stream so that its peer sees a reset.
pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

/// Bytes that show where they are out of place: they repeat only after a prime number of them.
pub fn pattern(from: usize, bytes: usize) -> Vec<u8> {
    static ROUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
        (0..65_537u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]).collect()
    });
    let mut all = Vec::with_capacity(bytes);
    while all.len() < bytes {
        let rest = &ROUND[(from + all.len()) % ROUND.len()..];
        all.extend_from_slice(&rest[..rest.len().min(bytes - all.len())]);
    }
    all
}
