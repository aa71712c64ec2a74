//! How much memory a reactor holds that has little to do: a thousand of them shall fit in one process. Counted are the
//! bytes of the heap; what reactors of a thread share (receive buffer, cork) does not count.

use crate::bytes_held_after;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use windlass::{Address, Config, Conn, Event, Handler, Io, Listen, Reactor, Wait};

/// What any idle reactor may hold.
const IDLE_BYTES_MAX: isize = 64 * 1024;

/// Answers half of what is asked at once and half after a timer.
#[derive(Default)]
struct Server {
    asked: Option<Conn>,
    answered: bool,
    closed: bool,
}

impl Handler for Server {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Data { conn, .. } => {
                self.asked = Some(conn);
                io.send(conn, b"po").expect("room for the answer");
                io.timer_after(Duration::from_millis(2), 0);
            }
            Event::Timer { .. } => {
                io.send(self.asked.expect("somebody asked"), b"ng").expect("room for the answer");
                self.answered = true;
            }
            Event::Closed { .. } => self.closed = true,
            _ => {}
        }
    }
}

/// One connection comes, is answered and leaves.
fn serve_one(reactor: &mut Reactor) {
    let listener = reactor.io().listen(Listen::tcp("127.0.0.1:0")).expect("a listener");
    let Some(&Address::Inet(address)) = reactor.io().listener_address(listener) else {
        panic!("a TCP listener has an internet address")
    };
    let mut peer = TcpStream::connect(address).expect("the reactor listens");
    peer.write_all(b"ping").expect("the kernel takes four bytes");
    let mut server = Server::default();
    while !server.answered {
        reactor.turn(Wait::Forever, &mut server).expect("a turn");
    }
    let mut answer = [0; 4];
    peer.read_exact(&mut answer).expect("an answer");
    drop(peer);
    while !server.closed {
        reactor.turn(Wait::Forever, &mut server).expect("a turn");
    }
    assert!(reactor.io().close_listener(listener));
    reactor.turn(Wait::No, &mut server).expect("a turn");
}

fn reactor() -> Reactor {
    Reactor::new(Config::default()).expect("a reactor")
}

#[test]
fn an_idle_reactor_is_small() {
    // What the reactors of a thread share is there before anything is counted.
    serve_one(&mut reactor());
    let mut reactors = Vec::with_capacity(1);
    let new = bytes_held_after(|| reactors.push(reactor()));
    let reactor = &mut reactors[0];
    let turns = bytes_held_after(|| {
        for _ in 0..10 {
            reactor.turn(Wait::For(Duration::from_micros(50)), &mut Server::default()).expect("a turn");
        }
    });
    let connection = bytes_held_after(|| serve_one(reactor));
    let (turned, served) = (new + turns, new + turns + connection);
    let held = format!("{new} bytes new, {turned} after ten idle turns, {served} after a connection");
    println!("a reactor holds {held}");
    assert!(new.max(turned).max(served) <= IDLE_BYTES_MAX, "{held}");
}
