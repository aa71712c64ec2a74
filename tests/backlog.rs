//! What a turn leaves over is said, so that a foreign loop does not wait for an edge that has been and gone.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use windlass::{Config, Event, Io, Listen, Reactor, Wait};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn events_beyond_a_turns_budget_are_a_backlog_that_a_foreign_loop_hears_of() {
    let mut config = Config::default();
    config.budgets.events = 1;
    let mut reactor = Reactor::new(config).expect("a reactor");
    let listener = reactor.io().listen(Listen::tcp("127.0.0.1:0")).expect("listening");
    let address = reactor.io().listener_address(listener).and_then(|a| a.as_inet()).expect("bound");
    let mut peers: Vec<TcpStream> = Vec::new();
    let mut opened = 0;
    while opened < 3 {
        if peers.len() == opened {
            peers.push(TcpStream::connect(address).expect("listening"));
        }
        let count =
            |_: &mut Io, event: Event<'_>| opened += usize::from(matches!(event, Event::Opened { .. }));
        reactor.turn(Wait::For(LONG), &mut { count }).expect("a turn");
    }
    for peer in &mut peers {
        peer.write_all(b"x").expect("open");
    }
    // Loopback has delivered by the time that write returns: three events wait in the kernel, one may be taken.
    let turn = reactor.turn(Wait::For(LONG), &mut |_: &mut Io, _: Event<'_>| {}).expect("a turn");
    assert_eq!(turn.events, 1);
    assert!(turn.backlog, "two events wait still");
    assert_eq!(reactor.sleep_max(), Some(Duration::ZERO), "an edge on our descriptor may not come again");
}
