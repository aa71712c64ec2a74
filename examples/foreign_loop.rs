//! cargo run --release --example foreign_loop -- --listen 127.0.0.1:7000
//!
//! A reactor inside a loop that is somebody else's, here one of mio: the application counts names that come in as
//! UDP datagrams, `echo -n apples >/dev/udp/127.0.0.1/7000`, and whoever connects by TCP is told the totals,
//! `nc 127.0.0.1 7000`. The example `foreign_source` is the same thing inside out.

#[path = "common/args.rs"]
mod args;
#[path = "common/totals.rs"]
mod totals;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;
use totals::Totals;
use windlass::{Config, Event, Io, Listen, Reactor, Wait};

const REACTOR: Token = Token(0);
const DATAGRAMS: Token = Token(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = args::parse_for_one_core(&mut []);
    let mut socket = totals::bind(&args.listen)?;
    let mut reactor = Reactor::new(Config::default())?;
    let listener = reactor.io().listen(Listen::at(args.listen))?;
    args::announce(reactor.io().listener_address(listener).map_or(&[], std::slice::from_ref));
    println!("counting datagrams on {}", socket.local_addr()?);

    let mut poll = Poll::new()?;
    let reactor_fd = reactor.as_fd().as_raw_fd();
    poll.registry().register(&mut SourceFd(&reactor_fd), REACTOR, Interest::READABLE)?;
    poll.registry().register(&mut socket, DATAGRAMS, Interest::READABLE)?;
    let mut events = Events::with_capacity(16);
    let mut totals = Totals::default();
    let mut datagrams_left = false;
    loop {
        // The descriptor says when something happened, `sleep_max` when time alone makes a turn necessary.
        let sleep_max = if datagrams_left { Some(Duration::ZERO) } else { reactor.sleep_max() };
        match poll.poll(&mut events, sleep_max) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        if datagrams_left || events.iter().any(|event| event.token() == DATAGRAMS) {
            datagrams_left = totals.count(&socket)?;
        }
        // A turn that has nothing to do costs one system call, so there is no need to ask what woke us.
        reactor.turn(Wait::No, &mut |io: &mut Io, event: Event<'_>| {
            if let Event::Opened { conn, .. } = event {
                let _ = io.send(conn, totals.to_string().as_bytes());
                io.close(conn);
            }
        })?;
    }
}
