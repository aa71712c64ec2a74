//! Our two ends: an echo server that tells what it saw, and a client that is asked to speak line by line.

use crate::certificates::Pair;
use crate::rig::{Folder, PATIENCE};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use windlass::error::CloseReason;
use windlass::tls::{ClientTls, ClientTlsBuilder, ServerTls};
use windlass::{
    Config, Conn, Connect, Core, Cores, Event, Handler, Io, Listen, Reactor, Running, Session, Wait,
};

/// A server with this certificate, and the defaults otherwise.
pub fn server_tls(pair: &Pair) -> ServerTls {
    ServerTls::from_pem_files(&pair.cert, &pair.key).expect("a pair")
}

/// A client that trusts the folder's authority only.
pub fn client_tls(folder: &Folder) -> ClientTlsBuilder {
    ClientTls::builder().roots_file(folder.file("ca.pem"))
}

/// What an end saw of a connection.
#[derive(Debug)]
pub enum Seen {
    Early(Vec<u8>),
    Opened(Session),
    Closed(CloseReason),
}

/// Sends back what comes in, on a thread of its own.
pub struct Server {
    pub address: SocketAddr,
    seen: Receiver<Seen>,
    running: Option<Running>,
}

impl Server {
    pub fn start(listen: Listen) -> Server {
        let (sender, seen) = channel();
        let make = move |_: &mut Core<'_>| echo(sender.clone());
        let running = Cores::new(1).listen(listen).start(make).expect("a free port");
        let address = running.addresses()[0].as_inet().expect("of the internet");
        Server { address, seen, running: Some(running) }
    }

    #[track_caller]
    fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("something happens")
    }

    /// What the next connection's handshake agreed on.
    #[track_caller]
    pub fn opened(&self) -> Session {
        match self.next() {
            Seen::Opened(session) => session,
            other => panic!("not opened: {other:?}"),
        }
    }

    /// What came within the next connection's handshake.
    #[track_caller]
    pub fn early(&self) -> Vec<u8> {
        match self.next() {
            Seen::Early(bytes) => bytes,
            other => panic!("nothing early: {other:?}"),
        }
    }

    /// Why the connection ended.
    #[track_caller]
    pub fn closed(&self) -> CloseReason {
        match self.next() {
            Seen::Closed(reason) => reason,
            other => panic!("not closed: {other:?}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown(Duration::ZERO);
            let ended = running.join();
            assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
        }
    }
}

fn echo(tell: Sender<Seen>) -> impl Handler {
    move |io: &mut Io, event: Event<'_>| {
        // The test may have seen all it wanted to.
        match event {
            Event::EarlyData { bytes, .. } => drop(tell.send(Seen::Early(bytes.to_vec()))),
            Event::Opened { session, .. } => drop(tell.send(Seen::Opened(session.clone()))),
            Event::Data { conn, bytes } => drop(io.send(conn, bytes)),
            Event::Closed { reason, .. } => drop(tell.send(Seen::Closed(reason.clone()))),
            _ => {}
        }
    }
}

/// A connection that turns its reactor while it waits.
pub struct Client {
    reactor: Reactor,
    conn: Conn,
    saw: Saw,
}

#[derive(Default)]
struct Saw {
    session: Option<Session>,
    received: Vec<u8>,
    closed: Option<CloseReason>,
}

impl Handler for Saw {
    fn handle(&mut self, _: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { session, .. } => self.session = Some(session.clone()),
            Event::Data { bytes, .. } => self.received.extend_from_slice(bytes),
            Event::Closed { reason, .. } => self.closed = Some(reason.clone()),
            _ => {}
        }
    }
}

impl Client {
    pub fn connect(connect: Connect) -> Client {
        let mut reactor = Reactor::new(Config::default()).expect("descriptors");
        let conn = reactor.io().connect(connect).expect("a socket");
        Client { reactor, conn, saw: Saw::default() }
    }

    #[track_caller]
    fn until(&mut self, enough: impl Fn(&Saw) -> bool, what: &str) {
        let give_up = self.reactor.io().clock() + PATIENCE;
        while !enough(&self.saw) {
            assert!(self.saw.closed.is_none(), "closed instead of {what}: {:?}", self.saw.closed);
            assert!(self.reactor.io().clock() < give_up, "no {what}");
            self.reactor.turn(Wait::Until(give_up), &mut self.saw).expect("it turns");
        }
    }

    /// Does what can be done now.
    pub fn turn(&mut self) {
        self.reactor.turn(Wait::No, &mut self.saw).expect("it turns");
    }

    /// What the handshake agreed on.
    #[track_caller]
    pub fn opened(&mut self) -> Session {
        self.until(|saw| saw.session.is_some(), "opened");
        self.saw.session.clone().expect("just seen")
    }

    /// Sends, as soon as it may.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.opened();
        self.reactor.io().send(self.conn, bytes).expect("room");
        self.turn();
    }

    /// Waits until these bytes are among those that have come and have not been waited for yet, and takes them.
    #[track_caller]
    pub fn receives(&mut self, bytes: &[u8]) {
        let place = |saw: &Saw| saw.received.windows(bytes.len()).position(|window| window == bytes);
        self.until(|saw| place(saw).is_some(), "what was to come");
        let end = place(&self.saw).expect("just seen") + bytes.len();
        self.saw.received.drain(..end);
    }

    /// Waits for as many bytes and takes them.
    #[track_caller]
    pub fn takes(&mut self, count: usize) -> Vec<u8> {
        self.until(|saw| saw.received.len() >= count, "as many bytes");
        self.saw.received.drain(..count).collect()
    }

    /// Sends and waits for the same to come back.
    #[track_caller]
    pub fn is_echoed(&mut self, bytes: &[u8]) {
        self.send(bytes);
        assert!(self.takes(bytes.len()) == bytes, "{} bytes came back altered", bytes.len());
    }

    /// Closes in good order and says why it is over.
    #[track_caller]
    pub fn close(mut self) -> CloseReason {
        self.reactor.io().close(self.conn);
        self.closed()
    }

    /// Waits for the end and says why it came.
    #[track_caller]
    pub fn closed(&mut self) -> CloseReason {
        self.until(|saw| saw.closed.is_some(), "closed");
        self.saw.closed.clone().expect("just seen")
    }
}
