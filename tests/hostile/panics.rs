//! Handlers that panic.

use crate::rig::{Rig, Script, Seen, config};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use windlass::{Cause, Cores, Error, Event, Io, Listen};

#[test]
fn an_isolated_panic_closes_that_connection_and_nothing_else() {
    let mut rig = Rig::with(config(|c| c.isolate_panics = true));
    let mut events = 0;
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Data { conn, bytes } = event {
            events += 1;
            io.send(*conn, bytes).unwrap();
            io.keep(*conn, 1).unwrap();
            assert!(events % 100 != 0, "every hundredth event");
        }
    });
    let mut peers: Vec<TcpStream> = (0..40).map(|_| rig.peer()).collect();
    rig.until(&mut script, |script| script.opened().len() == 40);
    for _ in 0..50 {
        for peer in &mut peers {
            // Those whose event panicked are reset.
            let _ = peer.write_all(b"x");
        }
        rig.settle(&mut script);
    }
    let panics = rig.figures().handler_panics;
    let received = script.count(|seen| matches!(seen, Seen::Data(..)));
    assert_eq!(panics, received as u64 / 100);
    assert!(panics >= 5, "{panics}");
    assert_eq!(script.causes(), vec![Cause::HandlerPanicked; panics as usize]);
    assert_eq!(rig.reactor.io().connections(), 40 - panics as usize);
    drop(peers);
    rig.until(&mut script, |script| script.causes().len() >= 40);
    rig.assert_nothing_left();
}

#[test]
fn isolated_panics_in_every_event_leave_a_reactor_that_works() {
    let mut rig = Rig::with(config(|c| {
        c.isolate_panics = true;
        c.options.half_close = true;
    }));
    for place in 0..5 {
        let mut peer = rig.peer();
        peer.write_all(b"x").unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let panics = rig.figures().handler_panics;
        let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
            let here = match event {
                Event::Accepted { .. } => 0,
                Event::Opened { .. } => 1,
                Event::Data { .. } => 2,
                Event::PeerFinished { .. } => 3,
                Event::Closed { .. } => 4,
                _ => return,
            };
            if here < 4 {
                let _ = io.send(event.conn().unwrap(), b"half an answer");
            }
            if here == 3 && place == 4 {
                io.close(event.conn().unwrap());
            }
            assert!(here != place, "in place {place}");
        });
        rig.until(&mut script, |script| !script.causes().is_empty());
        rig.settle(&mut script);
        assert_eq!(rig.figures().handler_panics, panics + 1);
        rig.assert_nothing_left();
    }
    rig.reactor.io().timer_after(std::time::Duration::ZERO, 0);
    let mut panicking = |_: &mut Io, event: Event<'_>| {
        assert!(!matches!(event, Event::Timer { .. }), "a timer");
    };
    while rig.figures().handler_panics < 6 {
        rig.turn(&mut panicking);
    }
}

#[test]
fn a_panic_reaches_whoever_turns_the_reactor() {
    let mut rig = Rig::new();
    let _peer = rig.peer();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let mut panicking = |_: &mut Io, _: Event<'_>| panic!("the payload");
        loop {
            rig.turn(&mut panicking);
        }
    }));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"the payload"));
}

#[test]
fn a_panic_in_one_core_ends_the_others_in_good_order_and_reaches_join() {
    let running = Cores::new(2)
        .listen(Listen::tcp("127.0.0.1:0"))
        .start(|core| {
            let number = core.number();
            move |io: &mut Io, event: Event<'_>| {
                if let Event::Data { conn, bytes } = event {
                    assert!(bytes != b"panic", "core {number} was told to");
                    let _ = io.send(conn, bytes);
                }
            }
        })
        .unwrap();
    let address = running.addresses()[0].as_inet().unwrap();
    let mut peers: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut got = [0; 5];
    for peer in &mut peers {
        peer.write_all(b"hello").unwrap();
        peer.read_exact(&mut got).unwrap();
    }
    peers[0].write_all(b"panic").unwrap();
    // Whoever stays connected would be waited for until the drain's time is up.
    peers.into_iter().for_each(|mut peer| _ = peer.read_to_end(&mut Vec::new()));
    let Err(Error::Panicked { payload, .. }) = running.join() else { panic!("it did not fail") };
    assert!(payload.to_string().contains("was told to"));
}
