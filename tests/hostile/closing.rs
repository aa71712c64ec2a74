//! Ends of connections: inside handlers, from others' events, twice, with the kernel's buffers full.

use crate::rig::{Rig, Script, Seen, config, pattern, silent};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use windlass::{Address, Cause, Connect, Event, Io, SendError};

#[test]
fn close_and_abort_inside_any_event_end_the_connection_once() {
    type End = fn(&mut Io, windlass::Conn) -> bool;
    let ends: [End; 2] = [|io, conn| io.close(conn), |io, conn| io.abort(conn)];
    for (number, end) in ends.into_iter().enumerate() {
        for place in 0..4 {
            let mut rig = Rig::with(config(|c| c.options.half_close = true));
            let mut peer = rig.peer();
            peer.write_all(b"x").unwrap();
            peer.shutdown(std::net::Shutdown::Write).unwrap();
            let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
                let here = match event {
                    Event::Accepted { .. } => 0,
                    Event::Opened { .. } => 1,
                    Event::Data { .. } => 2,
                    Event::PeerFinished { .. } => 3,
                    _ => return,
                };
                if here == place {
                    let conn = event.conn().unwrap();
                    assert!(end(io, conn), "the first time it is open");
                    assert!(!io.close(conn) || number == 0 && place != 3, "the second time it is not");
                    assert!(io.send(conn, b"too late").is_err());
                    assert!(io.keep(conn, 0).is_err() || place == 2);
                }
            });
            rig.until(&mut script, |script| !script.causes().is_empty());
            let expected = [Cause::Closed, Cause::Aborted][number];
            assert_eq!(script.causes(), [expected], "in place {place}");
            rig.settle(&mut script);
            rig.assert_nothing_left();
        }
    }
}

#[test]
fn closing_from_anothers_event_and_twice_flushes_what_was_sent() {
    let mut rig = Rig::new();
    let (mut first, mut second) = (rig.peer(), rig.peer());
    let second_address = second.local_addr().unwrap();
    let mut conns = HashMap::new();
    let mut answers = Vec::new();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| match event {
        Event::Opened { conn, .. } => {
            conns.insert(io.peer(*conn).unwrap().as_inet().unwrap(), *conn);
        }
        Event::Data { .. } => {
            let other = conns[&second_address];
            io.send(other, b"goodbye").unwrap();
            answers.extend([io.close(other), io.close(other)]);
            assert_eq!(io.send(other, b"more"), Err(SendError::Closing));
        }
        _ => {}
    });
    rig.until(&mut script, |script| script.opened().len() == 2);
    first.write_all(b"go").unwrap();
    rig.until(&mut script, |script| !script.received().is_empty());
    rig.settle(&mut script);
    let mut all = Vec::new();
    second.read_to_end(&mut all).unwrap();
    drop(second);
    rig.until(&mut script, |script| script.causes() == [Cause::Closed]);
    drop(script);
    assert_eq!(answers, [true, false]);
    assert_eq!(all, b"goodbye");
}

#[test]
fn an_answer_is_not_lost_when_we_close_with_unread_input() {
    let mut rig = Rig::new();
    let answer = pattern(50_000);
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Data { conn, .. } = event {
            io.send(*conn, &answer).unwrap();
            assert!(io.close(*conn));
        }
    });
    for _ in 0..10 {
        let mut peer = rig.peer();
        let client = std::thread::spawn(move || {
            peer.write_all(&pattern(1 << 20)).unwrap();
            let mut all = Vec::new();
            peer.read_to_end(&mut all).map(|_| all)
        });
        let closed = script.causes().len();
        rig.until(&mut script, |script| script.causes().len() > closed);
        assert!(client.join().unwrap().expect("an end, not a reset") == answer);
    }
    drop(script);
    rig.assert_nothing_left();
}

#[test]
fn a_large_answer_reaches_a_peer_that_reads_only_after_it_has_written_all() {
    let mut rig = Rig::with(config(|c| c.options.socket.send_buffer_bytes = Some(16 * 1024)));
    let answer = pattern(1 << 20);
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        if let Event::Data { conn, .. } = event {
            io.send(*conn, &answer).unwrap();
            assert!(io.close(*conn));
        }
    });
    let mut peer = rig.peer();
    let client = std::thread::spawn(move || {
        peer.write_all(&pattern(30 << 20)).unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).map(|_| all)
    });
    rig.until(&mut script, |script| !script.causes().is_empty());
    assert_eq!(script.causes(), [Cause::Closed]);
    assert!(client.join().unwrap().expect("an end, not a reset") == answer);
}

#[test]
fn closing_without_write_credit_or_paused_ends_at_the_drain_deadline() {
    let mut rig = Rig::with(config(|c| {
        c.options.timeouts.drain = Some(std::time::Duration::from_millis(30));
    }));
    let _peers = [rig.peer(), rig.peer()];
    let mut script = silent();
    rig.until(&mut script, |script| script.opened().len() == 2);
    let [thirsty, paused] = script.opened()[..] else { unreachable!() };
    let io = rig.reactor.io();
    io.grant_write(thirsty, Some(0)).unwrap();
    io.send(thirsty, b"never").unwrap();
    io.pause(paused).unwrap();
    assert!(io.close(thirsty) && io.close(paused));
    rig.until(&mut script, |script| script.causes().len() == 2);
    assert!(script.log.contains(&Seen::Closed(thirsty, Cause::DrainTimeout)));
    assert!(script.log.contains(&Seen::Closed(paused, Cause::Closed)));
    rig.assert_nothing_left();
}

#[test]
fn finish_close_and_abort_while_connecting() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = || Connect::to(far.local_addr().unwrap());
    let mut rig = Rig::new();
    let mut script = silent();
    let io = rig.reactor.io();
    let [closed, aborted, finished, empty] = [(); 4].map(|()| io.connect(to()).unwrap());
    assert!(io.close(closed) && !io.close(closed));
    assert!(io.abort(aborted) && !io.abort(aborted));
    io.send(finished, b"first and last").unwrap();
    io.finish(finished).unwrap();
    assert_eq!(io.send(finished, b"more"), Err(SendError::Closing));
    io.finish(empty).unwrap();
    rig.until(&mut script, |script| script.opened().len() == 2);
    rig.settle(&mut script);
    assert!(script.log.contains(&Seen::Closed(closed, Cause::Closed)));
    assert!(script.log.contains(&Seen::Closed(aborted, Cause::Aborted)));
    let mut received = Vec::new();
    for _ in 0..4 {
        let mut all = Vec::new();
        let (mut peer, _) = far.accept().unwrap();
        // The aborted ones are reset.
        let _ = peer.read_to_end(&mut all);
        received.extend(all);
    }
    assert_eq!(received, b"first and last");
    rig.until(&mut script, |script| script.causes().len() == 4);
    rig.assert_nothing_left();
}

#[test]
fn connects_that_fail_are_closed_without_opened() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = std::env::temp_dir().join(format!("windlass-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let dead = directory.join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let missing = directory.join("missing.sock");
    let too_long = directory.join("x".repeat(200));
    let mut rig = Rig::new();
    let mut script = silent();
    let mut connect = |to: Address| rig.reactor.io().connect(Connect::to(to)).unwrap();
    let all = [
        (connect(refused.into()), Cause::Refused),
        (connect(dead.into()), Cause::Refused),
        (connect(missing.into()), Cause::AddressUnusable),
        (connect(too_long.into()), Cause::System),
    ];
    rig.until(&mut script, |script| script.causes().len() == 4);
    assert_eq!(script.opened(), []);
    for (conn, cause) in all {
        let closed = script.log.iter().find(|seen| matches!(seen, Seen::Closed(c, _) if *c == conn));
        let Some(Seen::Closed(_, found)) = closed else { panic!("{conn:?} was not closed") };
        assert!(*found == cause || cause == Cause::AddressUnusable || cause == Cause::System, "{found:?}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    rig.assert_nothing_left();
}

#[test]
fn a_unix_peer_that_dies_with_bytes_in_flight_both_ways_is_closed() {
    let mut rig = Rig::new();
    let mut script = silent();
    let (mine, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let conn = rig.reactor.io().adopt(mine).unwrap();
    rig.until(&mut script, |script| script.opened() == [conn]);
    while rig.reactor.io().send(conn, &[1; 10_000]).is_ok() {}
    rig.turn(&mut script);
    theirs.write_all(b"last words").unwrap();
    drop(theirs);
    rig.until(&mut script, |script| !script.causes().is_empty());
    rig.assert_nothing_left();
}

#[test]
fn releasing_in_every_event_leaves_without_closed() {
    for place in 0..3 {
        let mut rig = Rig::new();
        let mut peer = rig.peer();
        peer.write_all(b"x").unwrap();
        let mut streams = Vec::new();
        let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
            let here = match event {
                Event::Accepted { .. } => 0,
                Event::Opened { .. } => 1,
                Event::Data { .. } => 2,
                _ => return,
            };
            if here == place {
                let conn = event.conn().unwrap();
                io.send(conn, b"parting ").unwrap();
                streams.push(io.release(conn).unwrap());
                assert_eq!(io.send(conn, b"more"), Err(SendError::Stale));
                assert!(io.release(conn).is_err());
            }
        });
        rig.until(&mut script, |script| script.log.len() > place);
        rig.settle(&mut script);
        assert_eq!(script.causes(), []);
        drop(script);
        rig.assert_nothing_left();
        let released = streams.pop().unwrap();
        let windlass::Stream::Tcp(mut stream) = released.stream else { panic!("it was TCP") };
        stream.write_all(&released.unsent).unwrap();
        stream.write_all(b"words").unwrap();
        drop(stream);
        let mut all = Vec::new();
        let _ = peer.read_to_end(&mut all);
        assert_eq!(all, b"parting words");
    }
}

#[test]
fn a_peer_that_never_ends_its_side_does_not_hold_a_closing_connection() {
    let mut rig = Rig::with(config(|c| {
        c.options.timeouts.drain = Some(std::time::Duration::from_millis(50));
    }));
    let mut peer: TcpStream = rig.peer();
    peer.set_nonblocking(true).unwrap();
    let mut script = silent();
    rig.until(&mut script, |script| !script.opened().is_empty());
    let conn = script.opened()[0];
    assert!(rig.reactor.io().close(conn));
    rig.until(&mut script, |script| {
        // It floods us instead.
        let _ = peer.write(&[0; 65536]);
        !script.causes().is_empty()
    });
    assert_eq!(script.causes(), [Cause::Closed]);
    rig.assert_nothing_left();
}

#[test]
fn a_reactor_dropped_with_output_queued_ends_no_stream_in_good_order() {
    let mut rig = Rig::new();
    let (mut whole, mut cut) = (rig.peer(), rig.peer());
    let cut_address = cut.local_addr().unwrap();
    let mut script = Script::new(|io: &mut Io, event: &Event<'_>| {
        let Event::Opened { conn, .. } = event else { return };
        io.send(*conn, b"all there is").unwrap();
        if io.peer(*conn).unwrap().as_inet() == Some(cut_address) {
            // Until neither the kernel nor the queue has room for more.
            while io.send(*conn, &[7; 100_000]).is_ok() {}
        }
    });
    rig.until(&mut script, |script| script.opened().len() == 2);
    rig.settle(&mut script);
    drop(rig);
    let mut got = Vec::new();
    whole.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"all there is");
    let error = cut.read_to_end(&mut got).expect_err("a stream that was cut off looks whole");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
