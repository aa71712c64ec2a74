//! cargo run --release --example foreign_source -- --listen 127.0.0.1:7000
//!
//! Somebody else's source of events, here a UDP socket of mio, inside a reactor: names that come in as datagrams
//! are counted, `echo -n apples >/dev/udp/127.0.0.1/7000`, and whoever connects by TCP is told the totals,
//! `nc 127.0.0.1 7000`. The example `foreign_loop` is the same thing inside out.

#[path = "common/args.rs"]
mod args;
#[path = "common/totals.rs"]
mod totals;

use std::time::Duration;
use totals::Totals;
use windlass::{Config, Event, Interest, Io, Listen, Owner, Reactor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = args::parse_for_one_core(&mut []);
    let mut socket = totals::bind(&args.listen)?;
    let mut reactor = Reactor::new(Config::default())?;
    let listener = reactor.io().listen(Listen::at(args.listen))?;
    args::announce(reactor.io().listener_address(listener).map_or(&[], std::slice::from_ref));
    println!("counting datagrams on {}", socket.local_addr()?);

    reactor.io().register_source(&mut socket, Interest::Readable, Owner::APP)?;
    let mut totals = Totals::default();
    let mut failure = None;
    reactor.run(&mut |io: &mut Io, event: Event<'_>| match event {
        Event::Opened { conn, .. } => {
            let _ = io.send(conn, totals.to_string().as_bytes());
            io.close(conn);
        }
        // There is one source and one timer, so neither needs to be told from others.
        Event::Ready { .. } | Event::Timer { .. } => match totals.count(&socket) {
            Ok(false) => {}
            // The kernel tells of readiness once: what is left now is ours to remember. Any time later than
            // this turn's is the next turn.
            Ok(true) => _ = io.timer_after(Duration::from_nanos(1), 0),
            Err(error) => {
                failure = Some(error);
                io.stop();
            }
        },
        _ => {}
    })?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}
