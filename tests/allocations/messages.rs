//! What a message costs in heap allocations once everything is warm: nothing. Counted over
//! real sockets, with server and client on reactors of the same thread.

use crate::allocations_of;
use crate::thorough::thorough;
use std::hint::black_box;
use std::time::Duration;
use windlass::{Address, Config, Conn, Connect, Event, Handler, Io, Listen, Reactor, Wait};

/// Asks again as soon as the whole answer is there.
struct Client {
    message: Vec<u8>,
    missing: usize,
    answers: u64,
}

impl Client {
    fn ask(&mut self, io: &mut Io, conn: Conn) {
        self.missing = self.message.len();
        io.send(conn, &self.message).expect("an empty queue has room");
    }
}

impl Handler for Client {
    fn handle(&mut self, io: &mut Io, event: Event<'_>) {
        match event {
            Event::Opened { conn, .. } => self.ask(io, conn),
            Event::Data { conn, bytes } => {
                self.missing -= bytes.len();
                if self.missing == 0 {
                    self.answers += 1;
                    self.ask(io, conn);
                }
            }
            Event::Closed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
}

fn allocations(bytes: usize, server: impl FnMut(&mut Io, Event<'_>)) -> usize {
    allocations_secured(bytes, server, |listen| listen, |connect| connect)
}

/// A reactor whose turns have taken many different times: the histogram of them grows once, when few are no longer
/// enough, and that is not what is counted here.
fn reactor() -> Reactor {
    let mut reactor = Reactor::new(Config::default()).expect("a reactor");
    let mut work = |_: &mut Io, event: Event<'_>| {
        if let Event::Timer { tag, .. } = event {
            (0..tag).for_each(|step| _ = black_box(step));
        }
    };
    for turn in 0..100 {
        reactor.io().timer_after(Duration::ZERO, turn * 1_000);
        reactor.turn(Wait::No, &mut work).expect("a turn");
    }
    reactor
}

/// Allocations over 1,000 answers of `bytes` each, after 200 that warm everything up.
pub fn allocations_secured(
    bytes: usize,
    mut server: impl FnMut(&mut Io, Event<'_>),
    listen: impl FnOnce(Listen) -> Listen,
    connect: impl FnOnce(Connect) -> Connect,
) -> usize {
    let mut serving = reactor();
    let listener = serving.io().listen(listen(Listen::tcp("127.0.0.1:0"))).expect("a listener");
    let address: Address = serving.io().listener_address(listener).cloned().expect("an address");
    let mut asking = reactor();
    asking.io().connect(connect(Connect::to(address))).expect("a connection");
    let mut client = Client { message: vec![7; bytes], missing: 0, answers: 0 };
    let mut until = |answers| {
        allocations_of(|| {
            while client.answers < answers {
                serving.turn(Wait::No, &mut server).expect("a turn");
                asking.turn(Wait::No, &mut client).expect("a turn");
            }
        })
    };
    assert!(until(200) > 0, "the counter counts");
    until(thorough(1_200, 400))
}

#[test]
fn small_messages_cost_no_allocation() {
    let echo = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.send(conn, bytes).expect("room for the echo");
        }
    };
    assert_eq!(allocations(64, echo), 0);
}

#[test]
fn streamed_messages_that_queue_cost_no_allocation() {
    let echo = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            io.send(conn, bytes).expect("room for the echo");
        }
    };
    assert_eq!(allocations(900 * 1024, echo), 0);
}

#[test]
fn kept_tails_cost_no_allocation() {
    let frames = |io: &mut Io, event: Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            let whole = bytes.len() / 1000 * 1000;
            for frame in bytes[..whole].chunks(1000) {
                io.send_with(conn, 1000, |room| {
                    room.copy_from_slice(frame);
                    1000
                })
                .expect("room for the echo");
            }
            io.keep(conn, bytes.len() - whole).expect("a part of one frame may be kept");
        }
    };
    assert_eq!(allocations(200_000, frames), 0);
}
