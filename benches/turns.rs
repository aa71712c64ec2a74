//! The cases of `instructions` that turn a whole reactor: 64 connections over loopback, whose other ends are plain
//! sockets of the same thread.
//!
//! All clients write before the reactor turns, so every turn serves all of them and the counts hardly differ from
//! run to run. Only what runs inside the functions named `counted_...` is counted.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use windlass::{Address, Config, Conn, Event, Handler, Inbox, Io, Listen, Owner, Reactor, Sender, Wait};

/// Matches the functions in which instructions count, and no other.
pub const COUNTED: &str = "turns*counted_";

/// How many connections are served in each turn.
pub const CONNECTIONS: usize = 64;

const MESSAGE: [u8; 64] = [b'w'; 64];

/// What the handlers of all cases keep count of.
#[derive(Default)]
struct Server {
    conns: Vec<Conn>,
    served: usize,
    closed: usize,
    inbox: Option<Inbox<u64>>,
}

impl Handler for Server {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Data { conn, bytes } if bytes.len() < MESSAGE.len() => {
                io.keep(conn, bytes.len()).expect("half a message may be kept");
                self.served += 1;
            }
            Event::Data { conn, bytes } => {
                io.send(conn, bytes).expect("room for the echo");
                self.served += 1;
            }
            Event::Opened { conn, .. } => self.conns.push(conn),
            Event::Closed { .. } => self.closed += 1,
            Event::Timer { tag, .. } => (0..tag).for_each(|work| _ = black_box(work)),
            Event::Mail { .. } => {
                while let Some(message) = self.inbox.as_mut().and_then(Inbox::recv) {
                    black_box(message);
                    self.served += 1;
                }
            }
            _ => {}
        }
    }
}

#[inline(never)]
fn counted_turn(reactor: &mut Reactor, server: &mut Server) {
    reactor.turn(Wait::Forever, server).expect("a turn");
}

#[inline(never)]
fn counted_mail(reactor: &mut Reactor, server: &mut Server, sender: &Sender<u64>) {
    for message in 0..CONNECTIONS as u64 {
        sender.try_send(message).expect("room in the mailbox");
    }
    reactor.turn(Wait::Forever, server).expect("a turn");
}

/// Between turns nothing is corked: each message is queued, and the next turn flushes it.
#[inline(never)]
fn counted_sends(reactor: &mut Reactor, server: &mut Server) {
    let io = reactor.io();
    for conn in &server.conns {
        io.send(*conn, &MESSAGE).expect("room for a message");
    }
    reactor.turn(Wait::No, server).expect("a turn");
}

/// Turns until that many more have been served.
fn serve(reactor: &mut Reactor, server: &mut Server, more: usize) {
    let until = server.served + more;
    while server.served < until {
        counted_turn(reactor, server);
    }
}

/// A reactor that has been up for a while: its turns took many different times, and the histogram of them has grown.
fn reactor() -> Reactor {
    let mut reactor = Reactor::new(Config::default()).expect("a reactor");
    for turn in 0..100 {
        reactor.io().timer_after(Duration::ZERO, turn * 200);
        reactor.turn(Wait::No, &mut Server::default()).expect("a turn");
    }
    reactor
}

fn listening() -> (Reactor, SocketAddr) {
    let mut reactor = reactor();
    let listener = reactor.io().listen(Listen::tcp("127.0.0.1:0")).expect("a listener");
    match reactor.io().listener_address(listener) {
        Some(Address::Inet(address)) => {
            let address = *address;
            (reactor, address)
        }
        other => panic!("a TCP listener has an internet address, not {other:?}"),
    }
}

fn dial(address: SocketAddr) -> Vec<TcpStream> {
    (0..CONNECTIONS).map(|_| TcpStream::connect(address).expect("the reactor listens")).collect()
}

fn connected() -> (Reactor, Server, Vec<TcpStream>) {
    let (mut reactor, address) = listening();
    let clients = dial(address);
    let mut server = Server::default();
    while server.conns.len() < CONNECTIONS {
        reactor.turn(Wait::Forever, &mut server).expect("a turn");
    }
    (reactor, server, clients)
}

fn write_all(clients: &mut [TcpStream], bytes: &[u8]) {
    for client in clients {
        client.write_all(bytes).expect("the kernel takes a small message");
    }
}

fn read_all(clients: &mut [TcpStream]) {
    let mut answer = [0; MESSAGE.len()];
    for client in clients {
        client.read_exact(&mut answer).expect("the server answers");
        assert_eq!(answer, MESSAGE);
    }
}

/// A message in, the same out.
pub fn echo(ops: usize) {
    let (mut reactor, mut server, mut clients) = connected();
    for _ in 0..ops / CONNECTIONS {
        write_all(&mut clients, &MESSAGE);
        serve(&mut reactor, &mut server, CONNECTIONS);
        read_all(&mut clients);
    }
}

/// A connection taken in and its first message echoed; closing it does not count.
pub fn accept_and_echo(ops: usize) {
    let (mut reactor, address) = listening();
    let mut server = Server::default();
    for _ in 0..ops / CONNECTIONS {
        let mut clients = dial(address);
        write_all(&mut clients, &MESSAGE);
        serve(&mut reactor, &mut server, CONNECTIONS);
        read_all(&mut clients);
        drop(clients);
        while server.closed < server.served {
            reactor.turn(Wait::Forever, &mut server).expect("a turn");
        }
        server.conns.clear();
    }
}

/// A message from the sender to the inbox, in batches that share a wake-up.
pub fn mail(ops: usize) {
    let mut reactor = reactor();
    let (sender, inbox) = reactor.io().mailbox(CONNECTIONS, Owner::APP).expect("a mailbox");
    let mut server = Server { inbox: Some(inbox), ..Server::default() };
    for _ in 0..ops / CONNECTIONS {
        counted_mail(&mut reactor, &mut server, &sender);
    }
    assert_eq!(server.served, ops);
}

/// A message that comes in two halves: the first is kept, the whole echoed.
pub fn keep_half(ops: usize) {
    let (mut reactor, mut server, mut clients) = connected();
    let (first, second) = MESSAGE.split_at(MESSAGE.len() / 2);
    for _ in 0..ops / CONNECTIONS {
        for half in [first, second] {
            write_all(&mut clients, half);
            serve(&mut reactor, &mut server, CONNECTIONS);
        }
        read_all(&mut clients);
    }
}

/// A message that is sent to somebody else than the connection being served.
pub fn send_queued(ops: usize) {
    let (mut reactor, mut server, mut clients) = connected();
    for _ in 0..ops / CONNECTIONS {
        counted_sends(&mut reactor, &mut server);
        read_all(&mut clients);
    }
}
