//! Backpressure, credits, kept tails and budgets, which count what the application sends and what the wire takes.

use crate::peers::{Raw, TlsPeer};
use crate::rig::{ALL, Host, Kind, Pair, SECURED, echo, ignore, pattern, some_kinds};
use crate::thorough::thorough;
use windlass::buffer::Watermarks;
use windlass::{Cause, Config, Conn, Event, Io, Options, SendError, Sent};

/// More than the kernel's buffers take of one connection here.
const MUCH: usize = 6 << 20;

fn small_queue() -> Options {
    Options::with(|options| {
        options.queue = Watermarks { low_bytes: 50_000, high_bytes: 200_000, max_bytes: 800_000 };
        options.self_throttle = false;
        options.socket.send_buffer_bytes = Some(64 * 1024);
        options.socket.receive_buffer_bytes = Some(64 * 1024);
    })
}

/// Sends as much of `data` from `sent` on as is taken, in pieces of 10,000 bytes.
fn push(io: &mut Io, conn: Conn, data: &[u8], sent: &mut usize, levels: &mut [usize; 3]) {
    while *sent < data.len() {
        let piece = &data[*sent..(*sent + 10_000).min(data.len())];
        match io.send(conn, piece) {
            Ok(Sent::Flowing) => levels[0] += 1,
            Ok(Sent::Backlogged) => levels[1] += 1,
            Err(SendError::Full) => {
                levels[2] += 1;
                return;
            }
            Err(error) => panic!("{error}"),
        }
        *sent += piece.len();
    }
}

#[test]
fn a_slow_reader_with_megabytes_to_come_bounds_the_queue_and_loses_nothing() {
    let data = pattern(MUCH);
    for &kind in some_kinds() {
        let (mut pair, conn, server) = Pair::open(kind, small_queue());
        pair.client.io().pause(conn).unwrap();
        let (mut sent, mut levels, mut most) = (0, [0; 3], 0);
        for turn in 0.. {
            assert!(turn < 100_000, "{kind:?} stuck: {sent} sent, {} received", pair.c.received.len());
            if turn == 0 {
                push(pair.server.io(), server, &data, &mut sent, &mut levels);
            }
            most = most.max(pair.server.io().queued(server));
            let room = pair.server.io().room(server);
            assert!(room <= 800_000);
            let mut pushing = |io: &mut Io, event: Event<'_>| {
                if let Event::Drained { conn } = event {
                    assert!(io.queued(conn) <= 50_000);
                    push(io, conn, &data, &mut sent, &mut levels);
                }
            };
            pair.turn(&mut pushing, &mut ignore);
            // Reads a little now and then.
            let io = pair.client.io();
            if turn % 3 == 2 {
                io.resume(conn).unwrap()
            } else {
                io.pause(conn).unwrap()
            }
            if pair.c.received.len() == MUCH {
                break;
            }
        }
        assert!(pair.c.received == data, "{kind:?}");
        assert!(levels.iter().all(|level| *level > 0), "{kind:?}: {levels:?}");
        assert!(pair.s.drained > 1, "{kind:?}");
        // What was staged as plaintext grows when it is sealed, by less than one part in a hundred.
        assert!(most > 200_000 && most <= 808_000, "{kind:?}: {most} bytes queued");
    }
}

#[test]
fn room_is_what_a_send_takes_with_its_records_counted() {
    for kind in ALL {
        let (mut pair, _, server) = Pair::open(kind, small_queue());
        let io = pair.server.io();
        io.grant_write(server, Some(0)).unwrap();
        for _ in 0..3 {
            let room = io.room(server);
            assert!(io.send(server, &vec![7; room / 2]).is_ok());
        }
        let room = io.room(server);
        assert!(room > 0 && io.send(server, &vec![7; room]).is_ok(), "{kind:?}");
        assert!(matches!(io.send(server, &[7; 100_000]), Err(SendError::Full)));
        assert_eq!(io.send(server, &[7; 800_001]), Err(SendError::TooLarge));
        io.grant_write(server, None).unwrap();
        pair.until("drained", ignore, ignore, |pair| pair.s.drained == 1);
    }
}

#[test]
fn an_echo_that_throttles_itself_loses_nothing_whatever_the_budgets_are() {
    let data = pattern(MUCH / 4);
    for &kind in some_kinds() {
        for (receive_bytes, buffer) in [(100, 4096), (5_000, 4096), (256 * 1024, 256 * 1024)] {
            let mut config = Config::with(|config| {
                config.budgets.receive_bytes = receive_bytes;
                config.receive_buffer_bytes = buffer;
                config.options.queue =
                    Watermarks { low_bytes: 10_000, high_bytes: 30_000, max_bytes: 30_000 + 320 * 1024 };
                config.options.socket.send_buffer_bytes = Some(32 * 1024);
                config.options.socket.receive_buffer_bytes = Some(32 * 1024);
            });
            if receive_bytes == 100 {
                config.budgets.events = 3;
            }
            let mut pair = Pair::listening(|listen| kind.listen(listen), config);
            let data = if receive_bytes == 100 { &data[..60_000] } else { &data };
            let conn = pair.connect(kind);
            pair.client.io().set_options(conn, small_queue()).unwrap();
            let (mut sent, mut levels) = (0, [0; 3]);
            pair.until(
                &format!("{kind:?} {receive_bytes}"),
                echo,
                |io, event| {
                    if let Event::Opened { conn, .. } | Event::Drained { conn } | Event::Data { conn, .. } =
                        event
                    {
                        push(io, conn, data, &mut sent, &mut levels);
                    }
                },
                |pair| pair.c.received.len() == data.len(),
            );
            assert!(pair.c.received == data, "{kind:?} {receive_bytes}");
        }
    }
}

#[test]
fn without_write_credit_nothing_leaves_and_with_some_no_more_than_that() {
    for kind in ALL {
        let (mut pair, _, server) = Pair::open(kind, Options::default());
        let io = pair.server.io();
        io.grant_write(server, Some(0)).unwrap();
        let before = io.metrics().figures().bytes_out;
        io.send(server, &pattern(100_000)).unwrap();
        for granted in [0_u64, 1, 4, 20, 1000, 40_000] {
            let already = pair.server.io().metrics().figures().bytes_out - before;
            pair.server.io().grant_write(server, Some(granted)).unwrap();
            (0..4).for_each(|_| pair.turn(&mut ignore, &mut ignore));
            let out = pair.server.io().metrics().figures().bytes_out - before;
            assert_eq!(out, already + granted, "{kind:?}");
        }
        pair.server.io().grant_write(server, None).unwrap();
        pair.until("all", ignore, ignore, |pair| pair.c.received.len() == 100_000);
        assert!(pair.c.received == pattern(100_000));
    }
}

#[test]
fn read_credit_counts_what_the_wire_brings_and_loses_nothing() {
    for kind in ALL {
        let (mut pair, conn, server) = Pair::open(kind, Options::default());
        pair.client.io().grant_read(conn, Some(0)).unwrap();
        (0..3).for_each(|_| pair.turn(&mut ignore, &mut ignore));
        let before = pair.client.io().metrics().figures().bytes_in;
        pair.server.io().send(server, &pattern(100_000)).unwrap();
        for granted in [1_u64, 4, 20, 1000, 40_000] {
            let already = pair.client.io().metrics().figures().bytes_in - before;
            pair.client.io().grant_read(conn, Some(granted)).unwrap();
            pair.until("credit is used up", ignore, ignore, |pair| {
                pair.client.io().metrics().figures().bytes_in - before == already + granted
            });
            assert!(pair.c.received.len() as u64 <= already + granted, "{kind:?}");
        }
        pair.client.io().grant_read(conn, None).unwrap();
        pair.until("all", ignore, ignore, |pair| pair.c.received.len() == 100_000);
        assert!(pair.c.received == pattern(100_000));
    }
}

#[test]
fn kept_tails_stand_before_what_comes_in_later_records() {
    const FRAME: usize = 1000;
    let frames_sent = thorough(80, 20);
    for &kind in some_kinds() {
        for wanting in [false, true] {
            let (mut pair, conn, _) = Pair::open(kind, Options::default());
            let data = pattern(frames_sent * FRAME);
            let (mut frames, mut lent) = (Vec::new(), 0);
            let mut framing = |io: &mut Io, event: Event<'_>| {
                if let Event::Data { conn, bytes } = event {
                    lent += 1;
                    let whole = bytes.len() / FRAME * FRAME;
                    frames.extend_from_slice(&bytes[..whole]);
                    let tail = bytes.len() - whole;
                    if wanting { io.keep_until(conn, tail, FRAME) } else { io.keep(conn, tail) }.unwrap();
                }
            };
            let mut next = 0;
            for piece in data.chunks(333) {
                next += 1;
                pair.client.io().send(conn, piece).unwrap();
                if next % 2 == 0 {
                    // So that each has a record of its own.
                    pair.client.io().flush_now(conn).unwrap();
                }
                pair.turn(&mut framing, &mut ignore);
            }
            pair.until("all frames", &mut framing, ignore, |pair| pair.s.received.len() >= data.len());
            (0..3).for_each(|_| pair.turn(&mut framing, &mut ignore));
            assert!(frames == data, "{kind:?} {wanting}: {} of {}", frames.len(), data.len());
            assert!(
                !wanting || lent <= frames_sent + 2,
                "{kind:?}: woken {lent} times for {frames_sent} frames"
            );
        }
    }
}

#[test]
fn a_pause_within_data_holds_the_rest_back_in_order() {
    for kind in SECURED {
        let (mut pair, conn, server) = Pair::open(kind, Options::default());
        let data = pattern(600_000);
        let mut sent = 0;
        let mut pausing = |io: &mut Io, event: Event<'_>| {
            if let Event::Data { conn, .. } = event {
                io.pause(conn).unwrap();
            }
        };
        pair.until(&format!("{kind:?}"), &mut pausing, ignore, |pair| {
            if sent < data.len() && pair.client.io().send(conn, &data[sent..sent + 50_000]).is_ok() {
                sent += 50_000;
            }
            let seen = pair.s.received.len();
            assert!(pair.s.words.iter().filter(|word| **word == "data").count() <= pair.c.words.len() + 4000);
            pair.server.io().resume(server).unwrap();
            seen == data.len()
        });
        assert!(pair.s.received == data, "{kind:?}");
    }
}

#[test]
fn slow_readers_of_secured_connections_hold_no_more_memory_than_those_of_plain_ones() {
    let held = |kind: Kind| {
        let (mut pair, _, server) = Pair::open(kind, Options::default());
        let io = pair.server.io();
        io.grant_write(server, Some(0)).unwrap();
        io.send(server, &pattern(100_000)).unwrap();
        (0..3).for_each(|_| pair.turn(&mut ignore, &mut ignore));
        pair.server.io().metrics().figures().pool_bytes_taken
    };
    let plain = held(Kind::Plain);
    for kind in SECURED {
        let secured = held(kind);
        assert!(secured <= plain + 65_536 + 4096, "{kind:?} holds {secured} bytes, plain {plain}");
    }
}

#[test]
fn rustls_reads_slowly_what_we_send_in_bulk() {
    let mut host = Host::new(Kind::Tls, Config::with(|config| config.options = small_queue()));
    let mut peer = TlsPeer::connect(host.address);
    let data = pattern(MUCH);
    let (mut sent, mut levels, mut turn) = (0, [0; 3], 0);
    let pushing = |io: &mut Io, event: Event<'_>| {
        if let Event::Opened { conn, .. } | Event::Drained { conn } = event {
            push(io, conn, &data, &mut sent, &mut levels);
        }
    };
    host.until("all arrived", pushing, |_| {
        turn += 1;
        if turn < 20 || turn % 2 == 0 {
            peer.pump();
        }
        peer.plain.len() == MUCH
    });
    assert!(peer.plain == data);
    assert!(host.seen.drained > 1);
}

#[test]
fn without_write_credit_handshakes_still_end() {
    for kind in SECURED {
        let (mut pair, conn) = Pair::new(kind, Options::default());
        pair.client.io().grant_write(conn, Some(0)).unwrap();
        pair.client.io().send(conn, b"held back").unwrap();
        let penniless = |io: &mut Io, event: Event<'_>| {
            if let Event::Accepted { conn, .. } = event {
                io.grant_write(conn, Some(0)).unwrap();
            }
        };
        pair.until(&format!("{kind:?} both open"), penniless, ignore, |pair| {
            !pair.s.opened.is_empty() && !pair.c.opened.is_empty()
        });
        (0..5).for_each(|_| pair.turn(&mut ignore, &mut ignore));
        assert!(pair.s.received.is_empty(), "{kind:?}");
        pair.client.io().grant_write(conn, None).unwrap();
        pair.until("received", ignore, ignore, |pair| pair.s.received == b"held back");
    }
}

#[test]
fn an_end_in_good_order_needs_no_write_credit() {
    for kind in ALL {
        for finish in [false, true] {
            let (mut pair, _, server) = Pair::open(kind, Options::default());
            pair.server.io().send(server, b"all there is").unwrap();
            pair.until("received", ignore, ignore, |pair| pair.c.received.len() == 12);
            let io = pair.server.io();
            io.grant_write(server, Some(0)).unwrap();
            if finish {
                io.finish(server).unwrap()
            } else {
                assert!(io.close(server))
            }
            let causes = pair.causes(&format!("{kind:?} {finish}"));
            let ours = if finish { Cause::PeerClosed } else { Cause::Closed };
            assert_eq!(causes, (ours, Cause::PeerClosed), "{kind:?} {finish}");
        }
    }
}

#[test]
fn a_refusal_in_the_handshake_needs_no_write_credit() {
    let mut host = Host::new(Kind::Tls, Config::default());
    let mut peer = Raw::connect(host.address);
    // A record longer than any, which is told with an alert.
    peer.send(&[22, 3, 1, 0xff, 0xff]);
    let penniless = |io: &mut Io, event: Event<'_>| {
        if let Event::Accepted { conn, .. } = event {
            io.grant_write(conn, Some(0)).unwrap();
        }
    };
    host.until("ended", penniless, |_| {
        peer.pump();
        peer.end.is_some()
    });
    assert_eq!(peer.got, [21, 3, 3, 0, 2, 2, 22]);
}
